/* SPDX-License-Identifier: Apache-2.0
 * report_json.c - one JSON document. schema_version grows only when a key changes its meaning; keys are added freely.
 */
#include "conformance/report.h"
#include "sim/base/json.h"

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
    json_close(j, '}');
}

static void put_result(Json *j, const Result *r)
{
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
    json_close(j, '}');
}

static void json_document(const Run *run, Buf *out)
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
        put_result(&j, run->lines.items[i].r);
    }
    json_close(&j, ']');
    json_close(&j, '}');
    buf_char(out, '\n');
}

const Reporter reporter_json = {
    .name = "json",
    .doc = "one document with a summary and every result",
    .document = json_document,
};
