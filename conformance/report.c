/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/report.h"

#include "conformance/cmd.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORTER(name) &reporter_##name,
static const Reporter *const REPORTERS[] = {
#include "conformance/reporters.def"
};
#undef REPORTER

const Reporter *const *reporter_list(size_t *n)
{
    *n = ARRAY_LEN(REPORTERS);
    return REPORTERS;
}

int run_report_add(Run *run, const char *text, Err *err)
{
    const char *names[ARRAY_LEN(REPORTERS)];
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    for (size_t i = 0; i < ARRAY_LEN(REPORTERS); i++) {
        names[i] = REPORTERS[i]->name;
        if (strlen(names[i]) == n && !memcmp(names[i], text, n)) {
            if (!equals && REPORTERS[i]->is_bare) {
                VEC_PUSH(&run->reports, (Report){.reporter = REPORTERS[i], .path = "-"});
                return 0;
            }
            if (!equals || !equals[1]) {
                return err_set(err, ERR_INVAL, "--report %s: needs a path, as in %s=FILE (- is stdout)", text,
                               names[i]);
            }
            const char *path = strcmp(equals + 1, "/dev/stdout") ? equals + 1 : "-";
            VEC_PUSH(&run->reports, (Report){.reporter = REPORTERS[i], .path = path});
            return 0;
        }
    }
    char *word = x_strndup(text, n);
    const char *near = cli_nearest(word, names, ARRAY_LEN(names));
    Buf known = {0};
    for (size_t i = 0; i < ARRAY_LEN(REPORTERS); i++) {
        buf_printf(&known, " %s", names[i]);
    }
    err_set(err, ERR_INVAL, "--report: unknown format `%s`%s%s%s; known:%s", word, near ? "; did you mean `" : "",
            near ? near : "", near ? "`?" : "", buf_text(&known));
    buf_free(&known);
    mem_free(word);
    return -ERR_INVAL;
}

void run_begin(Run *run, size_t njobs)
{
    run->njobs = njobs;
    run->out = stdout;
    for (size_t i = 0; i < run->reports.n; i++) {
        const Report *r = &run->reports.items[i];
        if (!strcmp(r->path, "-") && r->reporter->document) {
            run->out = stderr; /* stdout is a document: people read the other one */
        }
    }
    int fd = fileno(run->out);
    run->has_color = cli_color(run->view.color, fd);
    run->has_progress = cli_progress(fd) && !run->view.is_quiet;
}

static void progress_clear(const Run *run)
{
    if (run->has_progress) {
        fputs("\r\033[K", run->out);
    }
}

void run_progress(const Run *run)
{
    if (!run->has_progress || run->lines.n == run->njobs) {
        return;
    }
    const Tally *t = &run->tally;
    uint64_t bad = t->n[STATUS_failed] + t->n[STATUS_error] + t->n[STATUS_xpassed];
    char text[128];
    snprintf(text, sizeof text, "%zu/%zu  %" PRIu64 " passed  %" PRIu64 " bad  %" PRIu64 " skipped", run->lines.n,
             run->njobs, t->n[STATUS_passed], bad, t->n[STATUS_skipped]);
    fprintf(run->out, "\r\033[K%.*s", (int)cli_width(fileno(run->out)) - 1, text);
    fflush(run->out);
}

static void write_pretty(const Run *run, const Buf *text)
{
    if (text->n) {
        progress_clear(run);
        fwrite(text->data, 1, text->n, run->out);
        fflush(run->out);
    }
}

void run_result(Run *run, Result *r, const char *asked)
{
    Result *kept = x_alloc(sizeof *kept);
    *kept = *r;
    *r = (Result){0};
    Line line = {.r = kept, .asked = asked};
    run->tally.n[kept->status]++;
    run->tally.total++;
    Buf text = {0};
    if (!run->view.is_quiet) {
        reporter_pretty.result(run, &line, &text);
    }
    write_pretty(run, &text);
    buf_clear(&text);
    for (size_t i = 0; i < run->reports.n && !text.n; i++) {
        if (run->reports.items[i].reporter->keep) {
            run->reports.items[i].reporter->keep(&line, &text);
        }
    }
    line.kept = text.n ? buf_take(&text) : NULL;
    buf_free(&text);
    VEC_FREE(&kept->trace); /* was shown; a run of many thousands must not keep them all */
    arena_free(kept->arena);
    kept->arena = NULL;
    VEC_PUSH(&run->lines, line);
}

/* All that pretty printed, once more, for a file. */
static void pretty_document(const Run *run, Buf *out)
{
    Run plain = *run;
    plain.has_color = false;
    plain.view.is_verbose = false; /* the traces are gone */
    for (size_t i = 0; i < run->lines.n; i++) {
        reporter_pretty.result(&plain, &run->lines.items[i], out);
    }
    reporter_pretty.end(&plain, out);
}

/* Behind a link it is the file that is replaced, not the link. */
static int write_to(const char *path, const Buf *text, Err *err)
{
    char real[PATH_MAX];
    struct stat st;
    bool is_file = !stat(path, &st) && S_ISREG(st.st_mode);
    return os_write_file(is_file && realpath(path, real) ? real : path, buf_text(text), text->n, err);
}

static int write_report(const Run *run, const Report *r)
{
    Buf text = {0};
    Err err = {0};
    int rc = 0;
    bool is_stdout = !strcmp(r->path, "-");
    if (r->reporter->document) {
        r->reporter->document(run, &text);
    } else if (!is_stdout) {
        pretty_document(run, &text);
    }
    if (is_stdout) {
        rc = fwrite(text.data ? text.data : "", 1, text.n, stdout) != text.n || fflush(stdout)
                 ? err_set(&err, ERR_IO, "standard output cannot be written")
                 : 0;
    } else {
        rc = write_to(r->path, &text, &err);
    }
    if (rc) {
        fprintf(stderr, "conf: report %s: %s\n", r->reporter->name, err.text);
    }
    buf_free(&text);
    return rc;
}

void run_close(Run *run, const char *cut_short, uint64_t duration_ns)
{
    run->cut_short = cut_short;
    run->tally.duration_ns = duration_ns;
}

int run_end(Run *run)
{
    Buf text = {0};
    int rc = 0;
    reporter_pretty.end(run, &text);
    write_pretty(run, &text);
    buf_free(&text);
    for (size_t i = 0; i < run->reports.n; i++) {
        int one = write_report(run, &run->reports.items[i]);
        rc = rc ? rc : one;
    }
    return rc;
}

bool status_is_bad(Status s)
{
    return s == STATUS_failed || s == STATUS_error || s == STATUS_xpassed;
}

int run_status(const Run *run)
{
    const Tally *t = &run->tally;
    return t->n[STATUS_failed] || t->n[STATUS_error] || t->n[STATUS_xpassed] ? CONF_FAILURES : CONF_OK;
}

void run_free(Run *run)
{
    for (size_t i = 0; i < run->lines.n; i++) {
        Result *r = (Result *)run->lines.items[i].r;
        result_free(r);
        mem_free(r);
        mem_free(run->lines.items[i].kept);
    }
    VEC_FREE(&run->lines);
    VEC_FREE(&run->reports);
}

/* ---- for reporters ---- */

const char *result_file(const Result *r)
{
    return r->c->suite && r->c->suite->file ? r->c->suite->file : "?";
}

const char *result_reason(const Result *r)
{
    return r->reason.n ? buf_text(&r->reason) : status_name(r->status);
}

Pos result_pos(const Result *r)
{
    return r->fail_pos.line ? r->fail_pos : r->c->pos;
}

void result_reproduce(const Line *line, Buf *out)
{
    const Case *c = line->r->c;
    Buf which = {0};
    buf_printf(&which, "%s::%s", result_file(line->r), c->id);
    buf_str(out, "conf run ");
    cli_shell_word(out, buf_text(&which));
    buf_str(out, " --backend ");
    cli_shell_word(out, line->asked);
    buf_printf(out, " --guest %s --seed 0x%" PRIx64, guest_name(c->guest), line->r->seed);
    buf_free(&which);
}

/* Length of the UTF-8 character at p that XML 1.0 (2.2) allows; 0 = none. RFC 3629. */
static size_t clean_length(const unsigned char *p)
{
    if (p[0] < 0x80) {
        return p[0] == '\n' || p[0] == '\t' || (p[0] >= 0x20 && p[0] != 0x7f);
    }
    size_t n = p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : 0;
    uint32_t c = n == 4 ? p[0] & 7 : n == 3 ? p[0] & 15 : p[0] & 31;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    bool is_bad = c < 0xa0 || (n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
                  (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff;
    return is_bad ? 0 : n;
}

void text_clean(Buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = clean_length(p);
        if (n) {
            buf_bytes(out, p, n);
        } else {
            buf_str(out, "\xef\xbf\xbd");
        }
        p += n ? n : 1;
    }
}
