/* SPDX-License-Identifier: Apache-2.0
 * report_pretty.c - for people: what went wrong as it comes, then what was skipped and why, then one line of numbers.
 */
#include "conformance/matrix.h"
#include "conformance/report.h"

#include <inttypes.h>
#include <string.h>

enum { NAMES_SHOWN = 20 };

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
    char *text;        /* without the place */
    const char *first; /* whole */
    size_t n;
} Reason;
typedef VEC(Reason) Reasons;

static void reason_add(Reasons *reasons, const char *whole)
{
    Buf text = {0};
    size_t k = 0;
    matrix_reason(whole, &text);
    while (k < reasons->n && strcmp(reasons->items[k].text, buf_text(&text)) != 0) {
        k++;
    }
    if (k == reasons->n) {
        VEC_PUSH(reasons, (Reason){.text = x_strdup(buf_text(&text)), .first = whole});
    }
    reasons->items[k].n++;
    buf_free(&text);
}

/* "  12  needs dirty_log: fake keeps none", in order of first appearance; of one alone with the place that needs it. */
static void put_reasons(const Run *run, Buf *out)
{
    Reasons reasons = {0};
    for (size_t i = 0; i < run->lines.n; i++) {
        if (run->lines.items[i].r->status == STATUS_skipped) {
            reason_add(&reasons, result_reason(run->lines.items[i].r));
        }
    }
    if (reasons.n) {
        buf_str(out, "skipped:\n");
    }
    for (size_t i = 0; i < reasons.n; i++) {
        const Reason *r = &reasons.items[i];
        buf_printf(out, "%6zu  ", r->n);
        text_clean(out, r->n == 1 ? r->first : r->text);
        buf_char(out, '\n');
        mem_free(r->text);
    }
    VEC_FREE(&reasons);
}

/* "    skipped: 49 env_machine, 13 zabha", wrapped. */
static void put_counts(const char *head, const MatrixCounts *counts, Buf *out)
{
    enum { WIDTH = 120 };
    size_t column = 0;
    for (size_t i = 0; i < counts->n; i++) {
        char number[32];
        size_t n = (size_t)snprintf(number, sizeof number, "%" PRIu64 " ", counts->items[i].n);
        size_t length = n + strlen(counts->items[i].text) + 2;
        if (!i) {
            column = (size_t)snprintf(number, sizeof number, "    %s: ", head);
            buf_str(out, number);
            snprintf(number, sizeof number, "%" PRIu64 " ", counts->items[i].n);
        } else if (column + length > WIDTH) {
            buf_str(out, ",\n        ");
            column = 8;
        } else {
            buf_str(out, ", ");
        }
        buf_str(out, number);
        text_clean(out, counts->items[i].text);
        column += length;
    }
    buf_str(out, counts->n ? "\n" : "");
}

/* Where there are several backends: each with what it passed, and why it did not play the rest. */
static void put_matrix(const Run *run, Buf *out)
{
    Matrix m = matrix_of(run);
    int width = (int)strlen("backend");
    for (size_t i = 0; i < m.rows.n; i++) {
        int n = (int)strlen(m.rows.items[i].backend);
        width = n > width && n < 40 ? n : width;
    }
    if (m.rows.n > 1) {
        buf_printf(out, "%-*s  passed  failed  errors  skipped  xfailed  xpassed\n", width, "backend");
    }
    for (size_t i = 0; m.rows.n > 1 && i < m.rows.n; i++) {
        const MatrixRow *r = &m.rows.items[i];
        size_t before = out->n;
        text_clean(out, r->backend);
        buf_printf(out, "%*s  %6" PRIu64 "  %6" PRIu64 "  %6" PRIu64 "  %7" PRIu64 "  %7" PRIu64 "  %7" PRIu64 "\n",
                   width > (int)(out->n - before) ? width - (int)(out->n - before) : 0, "", r->n[STATUS_passed],
                   r->n[STATUS_failed], r->n[STATUS_error], r->n[STATUS_skipped], r->n[STATUS_xfailed],
                   r->n[STATUS_xpassed]);
        put_counts("skipped for want of", &r->skipped, out);
        put_counts("expected to fail", &r->xfailed, out);
    }
    matrix_free(&m);
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
    put_matrix(run, out);
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
