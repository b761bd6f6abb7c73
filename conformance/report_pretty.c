/* SPDX-License-Identifier: Apache-2.0
 * report_pretty.c - for people: what went wrong as it comes, then what was skipped and why, then one line of numbers.
 */
#include "conformance/report.h"

#include <inttypes.h>
#include <string.h>

enum { NAMES_SHOWN = 20, TRACE_HEAD = 256 };

static void put_color(const Run *run, Buf *out, const char *code, const char *text)
{
    if (run->has_color) {
        buf_printf(out, "\033[%sm%s\033[0m", code, text);
    } else {
        buf_str(out, text);
    }
}

/* Text from outside must not move the cursor of a terminal; each line is put behind two spaces. */
static void put_indented(Buf *out, const char *text)
{
    Buf clean = {0};
    text_clean(&clean, text);
    const char *p = buf_text(&clean);
    while (*p) {
        size_t n = strcspn(p, "\n");
        if (n) {
            buf_str(out, "  ");
            buf_bytes(out, p, n);
        }
        buf_char(out, '\n');
        p += n + (p[n] == '\n');
    }
    buf_free(&clean);
}

static void put_head(const Run *run, const Line *line, Buf *out)
{
    static const struct {
        const char *word, *color;
    } HEADS[STATUS_COUNT] = {
        [STATUS_passed] = {"ok   ", "32"},  [STATUS_failed] = {"FAIL ", "1;31"}, [STATUS_error] = {"ERROR", "1;35"},
        [STATUS_skipped] = {"skip ", "33"}, [STATUS_xfailed] = {"xfail", "33"},  [STATUS_xpassed] = {"XPASS", "1;31"},
    };
    const Result *r = line->r;
    put_color(run, out, HEADS[r->status].color, HEADS[r->status].word);
    buf_char(out, ' ');
    text_clean(out, r->c->id);
    buf_printf(out, "  %s  ", guest_name(r->c->guest));
    text_clean(out, r->backend);
    buf_str(out, "  ");
    text_clean(out, result_file(r));
    buf_printf(out, ":%u", result_pos(r).line);
    if (r->status == STATUS_passed) {
        buf_printf(out, "  (%" PRIu64 ".%03" PRIu64 " ms)", r->duration_ns / 1000000, r->duration_ns % 1000000 / 1000);
    }
    buf_char(out, '\n');
}

static void put_trace(const Result *r, Buf *out)
{
    for (size_t i = 0; i < r->trace.n; i++) {
        if (i == TRACE_HEAD && r->trace_dropped) {
            buf_printf(out, "  .. %zu more ..\n", r->trace_dropped);
        }
        const TraceEntry *t = &r->trace.items[i];
        if (t->pos.line) {
            buf_printf(out, "%6u = ", t->pos.line);
        } else {
            buf_str(out, "       = ");
        }
        text_clean(out, t->text ? t->text : "");
        buf_char(out, '\n');
    }
}

static void pretty_result(const Run *run, const Line *line, Buf *out)
{
    const Result *r = line->r;
    bool is_bad = r->status == STATUS_failed || r->status == STATUS_error || r->status == STATUS_xpassed;
    if (!is_bad && !run->view.is_verbose) {
        return;
    }
    put_head(run, line, out);
    if (!is_bad) {
        if (r->reason.n) {
            put_indented(out, buf_text(&r->reason));
        }
        put_trace(r, out);
        return;
    }
    put_indented(out, r->failure.n ? buf_text(&r->failure) : result_reason(r));
    buf_str(out, "  reproduce: ");
    result_reproduce(line, out);
    buf_char(out, '\n');
}

typedef struct {
    const char *text;
    size_t n;
} Reason;

/* "  12  needs dirty_log: fake keeps none", in order of first appearance. */
static void put_reasons(const Run *run, Buf *out)
{
    VEC(Reason) reasons = {0};
    for (size_t i = 0; i < run->lines.n; i++) {
        const Result *r = run->lines.items[i].r;
        size_t k = 0;
        if (r->status != STATUS_skipped) {
            continue;
        }
        while (k < reasons.n && strcmp(reasons.items[k].text, result_reason(r)) != 0) {
            k++;
        }
        if (k == reasons.n) {
            VEC_PUSH(&reasons, (Reason){.text = result_reason(r)});
        }
        reasons.items[k].n++;
    }
    if (reasons.n) {
        buf_str(out, "skipped:\n");
    }
    for (size_t i = 0; i < reasons.n; i++) {
        buf_printf(out, "%6zu  ", reasons.items[i].n);
        text_clean(out, reasons.items[i].text);
        buf_char(out, '\n');
    }
    VEC_FREE(&reasons);
}

static bool is_same_scenario(const Result *a, const Result *b)
{
    return !strcmp(a->c->name, b->c->name) && !strcmp(result_file(a), result_file(b));
}

/* Scenarios none of whose results ran: what nobody checks must not look like what passed. */
static void put_never_run(const Run *run, Buf *out)
{
    size_t nfound = 0;
    for (size_t i = 0, end = 0; i < run->lines.n; i = end) {
        bool has_run = false;
        for (end = i; end < run->lines.n && is_same_scenario(run->lines.items[i].r, run->lines.items[end].r); end++) {
            has_run = has_run || run->lines.items[end].r->status != STATUS_skipped;
        }
        if (has_run) {
            continue;
        }
        if (!nfound++) {
            buf_str(out, "ran on no backend:\n");
        }
        if (nfound <= NAMES_SHOWN || run->view.is_verbose) {
            const Result *r = run->lines.items[i].r;
            buf_str(out, "        ");
            text_clean(out, result_file(r));
            buf_printf(out, ":%u  ", r->c->pos.line);
            text_clean(out, r->c->name);
            buf_char(out, '\n');
        }
    }
    if (nfound > NAMES_SHOWN && !run->view.is_verbose) {
        buf_printf(out, "        and %zu more (-v names them)\n", nfound - NAMES_SHOWN);
    }
}

static void put_count(const Run *run, Buf *out, uint64_t n, const char *word, const char *color)
{
    char text[64];
    snprintf(text, sizeof text, "%" PRIu64 " %s", n, word);
    if (n && color) {
        put_color(run, out, color, text);
    } else {
        buf_str(out, text);
    }
}

static void pretty_end(const Run *run, Buf *out)
{
    const Tally *t = &run->tally;
    put_reasons(run, out);
    text_clean(out, run->left_out ? run->left_out : "");
    bool is_nothing = t->total && t->n[STATUS_skipped] == t->total;
    if (is_nothing) {
        char text[96];
        snprintf(text, sizeof text, "NOTHING RAN: all %" PRIu64 " results skipped", t->total);
        put_color(run, out, "1;31", text);
        buf_char(out, '\n');
    } else {
        put_never_run(run, out);
    }
    if (run->cut_short) {
        buf_printf(out, "cut short by %s: %zu of %zu results\n", run->cut_short, run->lines.n, run->njobs);
    }
    put_count(run, out, t->n[STATUS_passed], "passed, ", "32");
    put_count(run, out, t->n[STATUS_failed], "failed, ", "1;31");
    put_count(run, out, t->n[STATUS_error], "errors, ", "1;35");
    put_count(run, out, t->n[STATUS_skipped], "skipped, ", "33");
    put_count(run, out, t->n[STATUS_xfailed], "xfailed ", NULL);
    buf_char(out, '(');
    put_count(run, out, t->n[STATUS_xpassed], "xpassed", "1;31");
    buf_printf(out, ") in %" PRIu64 ".%02" PRIu64 " s\n", t->duration_ns / 1000000000,
               t->duration_ns % 1000000000 / 10000000);
}

const Reporter reporter_pretty = {
    .name = "pretty",
    .doc = "for people, as it comes",
    .result = pretty_result,
    .end = pretty_end,
};
