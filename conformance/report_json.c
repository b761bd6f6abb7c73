/* SPDX-License-Identifier: Apache-2.0
 * report_json.c - one JSON document. schema_version grows only when a key changes its meaning; keys are added freely.
 */
#include "conformance/matrix.h"
#include "conformance/report.h"
#include "sim/base/json.h"

static void put_counts(Json *j, const char *key, const char *what, const MatrixCounts *counts)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < counts->n; i++) {
        Buf clean = {0};
        text_clean(&clean, counts->items[i].text);
        json_open(j, '{');
        json_kstr(j, what, buf_text(&clean));
        json_ku64(j, "n", counts->items[i].n);
        json_close(j, '}');
        buf_free(&clean);
    }
    json_close(j, ']');
}

static void put_backends(Json *j, const Run *run)
{
    Matrix m = matrix_of(run);
    json_key(j, "backends");
    json_open(j, '[');
    for (size_t i = 0; i < m.rows.n; i++) {
        const MatrixRow *r = &m.rows.items[i];
        json_open(j, '{');
        json_kstr(j, "backend", r->backend);
        json_ku64(j, "passed", r->n[STATUS_passed]);
        json_ku64(j, "failed", r->n[STATUS_failed]);
        json_ku64(j, "skipped", r->n[STATUS_skipped]);
        json_ku64(j, "errors", r->n[STATUS_error]);
        json_ku64(j, "xfailed", r->n[STATUS_xfailed]);
        json_ku64(j, "xpassed", r->n[STATUS_xpassed]);
        put_counts(j, "skipped_for", "need", &r->skipped);
        put_counts(j, "xfailed_for", "reason", &r->xfailed);
        json_close(j, '}');
    }
    json_close(j, ']');
    matrix_free(&m);
}

static void put_summary(Json *j, const Run *run)
{
    const Tally *t = &run->tally;
    json_key(j, "summary");
    json_open(j, '{');
    json_ku64(j, "passed", t->n[STATUS_passed]);
    json_ku64(j, "failed", t->n[STATUS_failed]);
    json_ku64(j, "skipped", t->n[STATUS_skipped]);
    json_ku64(j, "errors", t->n[STATUS_error]);
    json_ku64(j, "xfailed", t->n[STATUS_xfailed]);
    json_ku64(j, "xpassed", t->n[STATUS_xpassed]);
    json_ku64(j, "total", t->total);
    json_ku64(j, "planned", run->njobs);
    json_ku64(j, "duration_ns", t->duration_ns);
    put_backends(j, run);
    json_close(j, '}');
}

static void put_result(Json *j, const Line *line, bool with_traces)
{
    const Result *r = line->r;
    Pos pos = result_pos(r);
    json_open(j, '{');
    json_kstr(j, "suite", result_file(r));
    json_kstr(j, "scenario", r->c->id);
    json_kstr(j, "guest", guest_name(r->c->guest));
    json_kstr(j, "backend", r->backend);
    json_kstr(j, "status", status_name(r->status));
    json_kstr(j, "reason", buf_text(&r->reason));
    json_ku64(j, "line", pos.line);
    json_ku64(j, "duration_ns", r->duration_ns);
    json_ku64(j, "exits", r->nexits);
    json_ku64(j, "transitions", r->ntransitions);
    json_ku64(j, "seed", r->seed);
    if (status_is_bad(r->status)) {
        Buf text = {0};
        result_reproduce(line, &text);
        json_kstr(j, "reproduce", buf_text(&text));
        buf_clear(&text);
        text_clean(&text, buf_text(&r->failure));
        json_kstr(j, "failure", buf_text(&text));
        buf_free(&text);
    }
    if (with_traces && line->kept) {
        json_key(j, "trace");
        json_raw(j, line->kept);
        json_ku64(j, "trace_dropped", r->trace_dropped);
    }
    json_close(j, '}');
}

void report_json_document(const Run *run, bool with_traces, Buf *out)
{
    Json j = json_to(out, 2);
    json_open(&j, '{');
    json_ku64(&j, "schema_version", 1);
    json_kstr(&j, "conf_version", CONF_VERSION);
    json_kstr(&j, "cut_short", run->cut_short);
    put_summary(&j, run);
    json_key(&j, "results");
    json_open(&j, '[');
    for (size_t i = 0; i < run->lines.n; i++) {
        put_result(&j, &run->lines.items[i], with_traces);
    }
    json_close(&j, ']');
    json_close(&j, '}');
    buf_char(out, '\n');
}

static void json_document(const Run *run, Buf *out)
{
    report_json_document(run, false, out);
}

const Reporter reporter_json = {
    .name = "json",
    .doc = "one document with a summary and every result",
    .document = json_document,
};
