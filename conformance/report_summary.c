/* SPDX-License-Identifier: Apache-2.0
 * report_summary.c - Markdown for a step's summary: how it stands, what has changed since the last run, what is bad. Kept under GitHub's
 * limit of 1 MiB by listing only so many. */
#include "conformance/report.h"

#include <inttypes.h>
#include <string.h>

enum { LISTED = 40, DETAILED = 10, DETAIL_MAX = 6000 };

/* Text from outside in a line of Markdown: nothing in it is markup. */
static void put_text(Buf *out, const char *text)
{
    Buf clean = {0};
    text_clean(&clean, text);
    for (const char *p = buf_text(&clean); *p; p++) {
        if (*p == '<' || *p == '&') {
            buf_str(out, *p == '<' ? "&lt;" : "&amp;");
        } else if (*p == '\n' || *p == '\t') {
            buf_char(out, ' ');
        } else {
            if (strchr("\\`*_[]>|#~@!", *p)) {
                buf_char(out, '\\');
            }
            buf_char(out, *p);
        }
    }
    buf_free(&clean);
}

/* ```text between fences that it cannot close. */
static void put_block(Buf *out, const char *text)
{
    Buf clean = {0};
    size_t longest = 2;
    text_clean(&clean, text);
    for (const char *p = buf_text(&clean); *p;) {
        size_t n = strspn(p, "`");
        longest = n > longest ? n : longest;
        p += n ? n : 1;
    }
    size_t n = clean.n > DETAIL_MAX ? DETAIL_MAX : clean.n;
    while (n < clean.n && ((unsigned char)clean.data[n] & 0xc0) == 0x80) { /* not in the middle of a character */
        n--;
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i <= longest; i++) {
            buf_char(out, '`');
        }
        buf_str(out, side ? "\n" : "text\n");
        if (!side) {
            buf_bytes(out, buf_text(&clean), n);
            buf_str(out, n < clean.n ? "\n...\n" : n && clean.data[n - 1] != '\n' ? "\n" : "");
        }
    }
    buf_free(&clean);
}

/* The same within an element of HTML, where Markdown says nothing. */
static void put_html(Buf *out, const char *text)
{
    Buf clean = {0};
    text_clean(&clean, text);
    for (const char *p = buf_text(&clean); *p; p++) {
        if (*p == '<' || *p == '&') {
            buf_str(out, *p == '<' ? "&lt;" : "&amp;");
        } else {
            buf_char(out, *p == '\n' || *p == '\t' ? ' ' : *p);
        }
    }
    buf_free(&clean);
}

static void put_name(Buf *out, const Result *r, void (*put)(Buf *out, const char *text))
{
    put(out, r->c->id);
    buf_str(out, " (");
    put(out, guest_name(r->c->guest));
    buf_str(out, ", ");
    put(out, r->backend);
    buf_str(out, "), ");
    put(out, result_file(r));
    buf_printf(out, ":%u", result_pos(r).line);
}

/* ---- how it stands ---- */

static void put_counts(Buf *out, const Run *run)
{
    typedef struct {
        const char *name;
        uint64_t n[STATUS_COUNT];
    } Row;
    VEC(Row) rows = {0};
    for (size_t i = 0; i < run->lines.n; i++) {
        const Result *r = run->lines.items[i].r;
        size_t k = 0;
        while (k < rows.n && strcmp(rows.items[k].name, r->backend) != 0) {
            k++;
        }
        if (k == rows.n) {
            VEC_PUSH(&rows, (Row){.name = r->backend});
        }
        rows.items[k].n[r->status]++;
    }
    buf_str(out, "| backend |");
    for (int s = 0; s < STATUS_COUNT; s++) {
        buf_printf(out, " %s |", status_name((Status)s));
    }
    buf_str(out, "\n|---|");
    for (int s = 0; s < STATUS_COUNT; s++) {
        buf_str(out, "--:|");
    }
    buf_char(out, '\n');
    for (size_t k = 0; k < rows.n; k++) {
        buf_str(out, "| ");
        put_text(out, rows.items[k].name);
        buf_str(out, " |");
        for (int s = 0; s < STATUS_COUNT; s++) {
            buf_printf(out, " %" PRIu64 " |", rows.items[k].n[s]);
        }
        buf_char(out, '\n');
    }
    VEC_FREE(&rows);
}

/* ---- what has changed ---- */

typedef enum { CHANGE_bad, CHANGE_good, CHANGE_new, CHANGE_other, CHANGE_none } Change;

static Change change_of(const Run *run, size_t i)
{
    int was = (int)run->since->was[i];
    Status is = run->lines.items[i].r->status;
    if (was < 0) {
        return CHANGE_new;
    }
    if (was == (int)is) {
        return CHANGE_none;
    }
    bool was_bad = status_is_bad((Status)was), is_bad = status_is_bad(is);
    return is_bad && !was_bad ? CHANGE_bad : was_bad && !is_bad ? CHANGE_good : CHANGE_other;
}

static void put_change_list(Buf *out, const Run *run, Change change, const char *head)
{
    size_t n = 0;
    for (size_t i = 0; i < run->lines.n; i++) {
        const Result *r = run->lines.items[i].r;
        if (change_of(run, i) != change || n++ >= LISTED) {
            continue;
        }
        if (n == 1) {
            buf_printf(out, "\n**%s**\n\n", head);
        }
        buf_str(out, "- ");
        put_name(out, r, put_text);
        if (change == CHANGE_new) {
            buf_printf(out, ": %s", status_name(r->status));
        } else {
            buf_printf(out, ": %s, was %s", status_name(r->status), status_name((Status)run->since->was[i]));
        }
        if (change != CHANGE_good && r->reason.n) {
            buf_str(out, ": ");
            put_text(out, buf_text(&r->reason));
        }
        buf_char(out, '\n');
    }
    if (n > LISTED) {
        buf_printf(out, "- and %zu more\n", n - LISTED);
    }
}

static void put_items(Buf *out, const SinceCovered *x, int side)
{
    enum { NAMED = 5 };
    size_t n = x->only[side].n;
    for (size_t i = 0; i < n && i < NAMED; i++) {
        buf_str(out, i ? ", " : "");
        put_text(out, x->only[side].items[i]);
    }
    if (n > NAMED) {
        buf_printf(out, " and %zu more", n - NAMED);
    }
}

static void put_coverage(Buf *out, const RunSince *since)
{
    if (!since->covered.n) {
        buf_str(out, "\nThe coverage is as it was.\n");
        return;
    }
    buf_str(out, "\n| coverage | was | is | lost | gained |\n|---|--:|--:|---|---|\n");
    for (size_t i = 0; i < since->covered.n; i++) {
        const SinceCovered *x = &since->covered.items[i];
        buf_str(out, "| ");
        put_text(out, x->kind);
        for (int side = 0; side < 2; side++) {
            buf_printf(out, " | %" PRIu64 " / %" PRIu64, x->covered[side], x->total[side]);
        }
        for (int side = 0; side < 2; side++) {
            buf_str(out, " | ");
            put_items(out, x, side);
        }
        buf_str(out, " |\n");
    }
}

static void put_changes(Buf *out, const Run *run)
{
    size_t n[CHANGE_none + 1] = {0};
    for (size_t i = 0; i < run->lines.n; i++) {
        n[change_of(run, i)]++;
    }
    buf_str(out, "\n### Since ");
    put_text(out, run->since->against);
    buf_printf(out,
               "\n\n%zu became bad, %zu became good, %zu changed otherwise, %zu are new, %zu are gone, %zu are as they "
               "were.\n",
               n[CHANGE_bad], n[CHANGE_good], n[CHANGE_other], n[CHANGE_new], run->since->ngone, n[CHANGE_none]);
    put_change_list(out, run, CHANGE_bad, "Became bad");
    put_change_list(out, run, CHANGE_good, "Became good");
    put_change_list(out, run, CHANGE_other, "Changed otherwise");
    if (n[CHANGE_new] < run->lines.n) { /* else it is another set altogether */
        put_change_list(out, run, CHANGE_new, "New");
    }
    if (run->since->has_coverage) {
        put_coverage(out, run->since);
    }
}

/* ---- what is bad ---- */

static void put_bad(Buf *out, const Run *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->lines.n; i++) {
        const Line *line = &run->lines.items[i];
        if (!status_is_bad(line->r->status) || n++ >= LISTED) {
            continue;
        }
        if (n == 1) {
            buf_str(out, "\n### What is bad\n\n");
        }
        if (n > DETAILED) {
            buf_str(out, "- ");
            put_name(out, line->r, put_text);
            buf_printf(out, ": %s: ", status_name(line->r->status));
            put_text(out, result_reason(line->r));
            buf_char(out, '\n');
            continue;
        }
        Buf text = {0};
        buf_printf(out, "<details><summary>%s: ", status_name(line->r->status));
        put_name(out, line->r, put_html);
        buf_str(out, ": ");
        put_html(out, result_reason(line->r));
        buf_str(out, "</summary>\n\n");
        buf_str(&text, buf_text(&line->r->failure));
        buf_printf(&text, "%sreproduce: ", text.n && text.data[text.n - 1] != '\n' ? "\n" : "");
        result_reproduce(line, &text);
        put_block(out, buf_text(&text));
        buf_str(out, "\n</details>\n");
        buf_free(&text);
    }
    if (n > LISTED) {
        buf_printf(out, "- and %zu more\n", n - LISTED);
    }
}

static void summary_document(const Run *run, Buf *out)
{
    const Tally *t = &run->tally;
    uint64_t nbad = t->n[STATUS_failed] + t->n[STATUS_error] + t->n[STATUS_xpassed];
    buf_str(out, "## conf: ");
    if (nbad) {
        buf_printf(out, "%" PRIu64 " of %" PRIu64 " bad\n\n", nbad, t->total);
    } else {
        buf_printf(out, "%s\n\n", t->n[STATUS_passed] + t->n[STATUS_xfailed] ? "all passed" : "nothing ran");
    }
    if (run->cut_short) {
        buf_printf(out, "Cut short by %s: %zu of %zu results.\n\n", run->cut_short, run->lines.n, run->njobs);
    }
    put_counts(out, run);
    if (run->since) {
        put_changes(out, run);
    }
    put_bad(out, run);
}

const Reporter reporter_summary = {
    .name = "summary",
    .doc = "Markdown, with what has changed since the last run of the history",
    .document = summary_document,
};
