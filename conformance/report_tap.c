/* SPDX-License-Identifier: Apache-2.0
 * report_tap.c - TAP version 14 (testanything.org): plan, test points, YAML diagnostics, SKIP and TODO directives. */
#include "conformance/report.h"

#include <inttypes.h>
#include <string.h>

/* Descriptions and reasons: one line; # and \ are escaped (TAP 14 "Escaping"). */
static void put_line(Buf *out, const char *text)
{
    Buf clean = {0};
    text_clean(&clean, text);
    for (const char *p = buf_text(&clean); *p; p++) {
        if (*p == '#' || *p == '\\') {
            buf_char(out, '\\');
        }
        buf_char(out, *p == '\n' || *p == '\t' ? ' ' : *p);
    }
    buf_free(&clean);
}

/* key: "text" in double quotes: YAML 1.2 7.3.1. */
static void put_quoted(Buf *out, const char *key, const char *text)
{
    Buf clean = {0};
    text_clean(&clean, text);
    buf_printf(out, "  %s: \"", key);
    for (const char *p = buf_text(&clean); *p; p++) {
        if (*p == '"' || *p == '\\') {
            buf_char(out, '\\');
        }
        if (*p == '\n' || *p == '\t') {
            buf_str(out, *p == '\n' ? "\\n" : "\\t");
        } else {
            buf_char(out, *p);
        }
    }
    buf_str(out, "\"\n");
    buf_free(&clean);
}

static void put_block(Buf *out, const char *key, const char *text)
{
    Buf clean = {0};
    text_clean(&clean, text);
    buf_printf(out, "  %s: |2\n", key);
    const char *p = buf_text(&clean);
    while (*p) {
        size_t n = strcspn(p, "\n");
        buf_str(out, "    ");
        buf_bytes(out, p, n);
        buf_char(out, '\n');
        p += n + (p[n] == '\n');
    }
    buf_free(&clean);
}

static void put_diagnostics(Buf *out, const Line *line)
{
    const Result *r = line->r;
    Buf command = {0};
    result_reproduce(line, &command);
    buf_str(out, "  ---\n");
    put_quoted(out, "status", status_name(r->status));
    put_quoted(out, "message", result_reason(r));
    put_quoted(out, "file", result_file(r));
    buf_printf(out, "  line: %u\n", result_pos(r).line);
    put_quoted(out, "reproduce", buf_text(&command));
    if (r->failure.n) {
        put_block(out, "detail", buf_text(&r->failure));
    }
    buf_str(out, "  ...\n");
    buf_free(&command);
}

static void put_point(Buf *out, const Line *line, size_t number)
{
    const Result *r = line->r;
    bool is_ok = r->status == STATUS_passed || r->status == STATUS_skipped;
    buf_printf(out, "%s %zu - ", is_ok ? "ok" : "not ok", number);
    put_line(out, result_file(r));
    buf_str(out, ": ");
    put_line(out, r->c->id);
    buf_printf(out, " (%s, ", guest_name(r->c->guest));
    put_line(out, r->backend);
    buf_char(out, ')');
    if (r->status == STATUS_skipped || r->status == STATUS_xfailed) {
        buf_str(out, r->status == STATUS_skipped ? " # SKIP " : " # TODO ");
        put_line(out, result_reason(r));
    }
    buf_char(out, '\n');
    if (!is_ok) {
        put_diagnostics(out, line);
    }
}

static void tap_document(const Run *run, Buf *out)
{
    buf_printf(out, "TAP version 14\n1..%zu\n", run->njobs);
    for (size_t i = 0; i < run->lines.n; i++) {
        put_point(out, &run->lines.items[i], i + 1);
    }
    if (run->cut_short) {
        buf_printf(out, "Bail out! cut short by %s\n", run->cut_short);
    }
}

const Reporter reporter_tap = {
    .name = "tap",
    .doc = "Test Anything Protocol, version 14",
    .document = tap_document,
};
