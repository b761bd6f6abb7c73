/* SPDX-License-Identifier: Apache-2.0
 * report_trace.c - the document of report_json.c with the trace of every result: exits, operations, steps. */
#include "conformance/report.h"
#include "sim/base/json.h"

#include <string.h>

/* "mmio_read" of "mmio_read addr dev size 4", "save" of "save: Ready -> Ready (busy)": what an entry is, in one word. */
static void put_name(Json *j, const char *text)
{
    char *word = x_strndup(text, strcspn(text, " :"));
    json_kstr(j, "name", word);
    mem_free(word);
}

static void trace_keep(const Line *line, Buf *out)
{
    static const char *const KINDS[] = {[TRACE_EXIT] = "exit", [TRACE_OP] = "op", [TRACE_STEP] = "step"};
    const Result *r = line->r;
    if (!r->trace.n) {
        return;
    }
    Json j = json_to(out, 0);
    json_open(&j, '[');
    for (size_t i = 0; i < r->trace.n; i++) {
        const TraceEntry *t = &r->trace.items[i];
        Buf text = {0};
        text_clean(&text, t->text ? t->text : "");
        json_open(&j, '{');
        json_kstr(&j, "kind", KINDS[t->kind]);
        json_ku64(&j, "vcpu", t->vcpu);
        put_name(&j, buf_text(&text));
        json_kstr(&j, "text", buf_text(&text));
        json_ku64(&j, "line", t->pos.line);
        json_close(&j, '}');
        buf_free(&text);
    }
    json_close(&j, ']');
}

static void trace_document(const Run *run, Buf *out)
{
    report_json_document(run, true, out);
}

const Reporter reporter_trace = {
    .name = "trace",
    .doc = "json with the trace of every result, for conf dashboard",
    .document = trace_document,
    .keep = trace_keep,
};
