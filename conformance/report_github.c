/* SPDX-License-Identifier: Apache-2.0
 * report_github.c - workflow commands of GitHub Actions: what is bad becomes an annotation at its line. A step shows ten of them, so
 * what became bad since the last run comes first, and the rest is counted in an eleventh, a notice. */
#include "conformance/report.h"

#include <inttypes.h>

enum { SHOWN = 10 };

/* docs.github.com "Workflow commands": % \r \n in a message, and : , in a property. */
static void put_escaped(Buf *out, const char *text, bool is_property)
{
    Buf clean = {0};
    text_clean(&clean, text);
    for (const char *p = buf_text(&clean); *p; p++) {
        if (*p == '%' || *p == '\n' || *p == '\r' || (is_property && (*p == ':' || *p == ','))) {
            buf_printf(out, "%%%02X", (unsigned char)*p);
        } else {
            buf_char(out, *p);
        }
    }
    buf_free(&clean);
}

static void put_annotation(Buf *out, const Line *line, bool is_new)
{
    const Result *r = line->r;
    Buf title = {0}, text = {0};
    buf_printf(&title, "%s%s: %s (%s, %s)", is_new ? "new " : "", status_name(r->status), r->c->id,
               guest_name(r->c->guest), r->backend);
    buf_printf(&text, "%s\n", result_reason(r));
    if (r->failure.n) {
        buf_printf(&text, "%s\n", buf_text(&r->failure));
    }
    buf_str(&text, "reproduce: ");
    result_reproduce(line, &text);
    buf_str(out, "::error file=");
    put_escaped(out, result_file(r), true);
    buf_printf(out, ",line=%u,title=", result_pos(r).line ? result_pos(r).line : 1);
    put_escaped(out, buf_text(&title), true);
    buf_str(out, "::");
    put_escaped(out, buf_text(&text), false);
    buf_char(out, '\n');
    buf_free(&title);
    buf_free(&text);
}

static bool is_new_here(const Run *run, size_t i)
{
    int was = run->since ? run->since->was[i] : -1;
    return was >= 0 && !status_is_bad((Status)was);
}

static void github_document(const Run *run, Buf *out)
{
    size_t nshown = 0, nbad = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < run->lines.n; i++) {
            bool is_new = is_new_here(run, i);
            if (!status_is_bad(run->lines.items[i].r->status) || is_new != !pass) {
                continue;
            }
            nbad++;
            if (nshown < SHOWN) {
                nshown++;
                put_annotation(out, &run->lines.items[i], is_new);
            }
        }
    }
    if (nbad > nshown) {
        buf_printf(out, "::notice title=conf::%zu more bad results; the summary and the log have them all\n",
                   nbad - nshown);
    }
    if (run->cut_short) {
        buf_printf(out, "::warning title=conf::cut short by %s: %zu of %zu results\n", run->cut_short, run->lines.n,
                   run->njobs);
    }
}

const Reporter reporter_github = {
    .name = "github",
    .doc = "annotations of GitHub Actions",
    .is_bare = true,
    .document = github_document,
};
