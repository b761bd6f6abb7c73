/* SPDX-License-Identifier: Apache-2.0
 * report_junit.c - JUnit XML in the dialect of Maven Surefire, one testsuite per file of scenarios. */
#include "conformance/report.h"

#include <inttypes.h>
#include <string.h>

static void put_text(Buf *out, const char *text, bool is_attribute)
{
    Buf clean = {0};
    text_clean(&clean, text);
    for (const char *p = buf_text(&clean); *p; p++) {
        switch (*p) {
        case '&':
            buf_str(out, "&amp;");
            break;
        case '<':
            buf_str(out, "&lt;");
            break;
        case '>':
            buf_str(out, "&gt;");
            break;
        case '"':
            buf_str(out, "&quot;");
            break;
        case '\n':
        case '\t': /* an attribute's line end would be read as a space (XML 1.0, 3.3.3) */
            if (is_attribute) {
                buf_printf(out, "&#%d;", *p);
            } else {
                buf_char(out, *p);
            }
            break;
        default:
            buf_char(out, *p);
        }
    }
    buf_free(&clean);
}

static void put_attr(Buf *out, const char *name, const char *value)
{
    buf_printf(out, " %s=\"", name);
    put_text(out, value, true);
    buf_char(out, '"');
}

static void put_property(Buf *out, const char *name, const char *value)
{
    buf_str(out, "        <property");
    put_attr(out, "name", name);
    put_attr(out, "value", value);
    buf_str(out, "/>\n");
}

static void put_time(Buf *out, uint64_t ns)
{
    buf_printf(out, " time=\"%" PRIu64 ".%06" PRIu64 "\"", ns / 1000000000, ns % 1000000000 / 1000);
}

/* <failure message=".." type="..">details and the command</failure> */
static void put_bad(Buf *out, const Line *line, const char *element)
{
    const Result *r = line->r;
    buf_printf(out, "      <%s", element);
    put_attr(out, "message", result_reason(r));
    put_attr(out, "type", status_name(r->status));
    buf_char(out, '>');
    put_text(out, buf_text(&r->failure), false);
    if (r->failure.n && r->failure.data[r->failure.n - 1] != '\n') {
        buf_char(out, '\n');
    }
    Buf command = {0};
    result_reproduce(line, &command);
    buf_str(out, "reproduce: ");
    put_text(out, buf_text(&command), false);
    buf_free(&command);
    buf_printf(out, "</%s>\n", element);
}

static void put_case(Buf *out, const Line *line)
{
    const Result *r = line->r;
    Buf name = {0}, number = {0};
    buf_printf(&name, "%s (%s, %s)", r->c->id, guest_name(r->c->guest), r->backend);
    buf_str(out, "    <testcase");
    put_attr(out, "name", buf_text(&name));
    put_attr(out, "classname", result_file(r));
    put_attr(out, "file", result_file(r));
    buf_printf(out, " line=\"%u\"", result_pos(r).line);
    put_time(out, r->duration_ns);
    buf_str(out, ">\n      <properties>\n");
    put_property(out, "backend", r->backend);
    put_property(out, "guest", guest_name(r->c->guest));
    buf_printf(&number, "%" PRIu64, r->seed);
    put_property(out, "seed", buf_text(&number));
    buf_str(out, "      </properties>\n");
    switch (r->status) {
    case STATUS_failed:
    case STATUS_xpassed:
        put_bad(out, line, "failure");
        break;
    case STATUS_error:
        put_bad(out, line, "error");
        break;
    case STATUS_skipped:
    case STATUS_xfailed:
        buf_str(out, "      <skipped");
        put_attr(out, "message", result_reason(r));
        put_attr(out, "type", status_name(r->status));
        buf_str(out, "/>\n");
        break;
    case STATUS_passed:
    case STATUS_COUNT:
        break;
    }
    buf_str(out, "    </testcase>\n");
    buf_free(&name);
    buf_free(&number);
}

static void put_counts(Buf *out, const Tally *t)
{
    buf_printf(out, " tests=\"%" PRIu64 "\" failures=\"%" PRIu64 "\" errors=\"%" PRIu64 "\" skipped=\"%" PRIu64 "\"",
               t->total, t->n[STATUS_failed] + t->n[STATUS_xpassed], t->n[STATUS_error],
               t->n[STATUS_skipped] + t->n[STATUS_xfailed]);
    put_time(out, t->duration_ns);
}

/* The lines [from, returned) are of one file. */
static size_t put_suite(const Run *run, size_t from, Buf *out)
{
    Tally t = {0};
    const char *file = result_file(run->lines.items[from].r);
    size_t end = from;
    for (; end < run->lines.n && !strcmp(result_file(run->lines.items[end].r), file); end++) {
        const Result *r = run->lines.items[end].r;
        t.n[r->status]++;
        t.total++;
        t.duration_ns += r->duration_ns;
    }
    buf_str(out, "  <testsuite");
    put_attr(out, "name", file);
    put_counts(out, &t);
    buf_str(out, ">\n");
    if (run->cut_short) {
        buf_str(out, "    <properties>\n");
        put_property(out, "cut_short", run->cut_short);
        buf_str(out, "    </properties>\n");
    }
    for (size_t i = from; i < end; i++) {
        put_case(out, &run->lines.items[i]);
    }
    buf_str(out, "  </testsuite>\n");
    return end;
}

static void junit_document(const Run *run, Buf *out)
{
    buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"conf\"");
    put_counts(out, &run->tally);
    buf_str(out, ">\n");
    for (size_t i = 0; i < run->lines.n;) {
        i = put_suite(run, i, out);
    }
    buf_str(out, "</testsuites>\n");
}

const Reporter reporter_junit = {
    .name = "junit",
    .doc = "JUnit XML as Maven Surefire writes it",
    .document = junit_document,
};
