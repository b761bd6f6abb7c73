/* SPDX-License-Identifier: Apache-2.0
 * history_list.c - conf history add, merge, list, show, prune, check. */
#include "conformance/cmd.h"
#include "conformance/history_cmd.h"
#include "conformance/history_cover.h"
#include "conformance/report.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 512 << 20 };

/* ---- add ---- */

static const char *first_of(const char *a, const char *b)
{
    return a && *a ? a : b;
}

/* The command line says more than the file, the file more than where we are. */
static void complete(const HistoryCommand *c, const HistoryOrigin *o, const char *file, HistoryRun *r)
{
    bool is_ours = !r->commit || !*r->commit; /* else the file is from elsewhere: what is around here says nothing */
    struct stat st;
    r->commit = first_of(c->filter.commit, first_of(r->commit, is_ours ? o->commit : ""));
    r->parent = first_of(c->run.parent, first_of(r->parent, is_ours && !c->filter.commit ? o->parent : ""));
    r->branch = first_of(c->filter.branch, first_of(r->branch, is_ours ? o->branch : ""));
    r->host = first_of(c->filter.host, first_of(r->host, o->host));
    r->job = first_of(c->run.job, first_of(r->job, is_ours ? o->job : ""));
    r->ordinal = c->run.ordinal ? c->run.ordinal : r->ordinal;
    if (c->run.time_ms) {
        r->time_ms = c->run.time_ms;
    } else if (!r->time_ms && !stat(file, &st)) {
        r->time_ms = (int64_t)st.st_mtim.tv_sec * 1000;
    }
}

typedef struct {
    HistoryFile *file;
    Coverage *coverage; /* of all files of `conf run --coverage` */
    HistoryCover cover;
    VEC(HistoryCoverage) all;
} Read;

static int read_coverage(Read *r, const char *name, const Buf *text, Err *err)
{
    Coverage *one = NULL;
    int rc = coverage_read(name, buf_text(text), text->n, &one, err);
    rc = rc ? rc : coverage_merge(r->coverage, one, err);
    coverage_free(one);
    history_file_also(r->file, buf_text(text), text->n);
    return rc;
}

static int read_file(Read *r, const char *name, Err *err)
{
    Buf text = {0};
    int rc = os_read_file(name, FILE_MAX, &text, err);
    if (!rc && history_cover_is(buf_text(&text), text.n)) {
        rc = read_coverage(r, name, &text, err);
    } else if (!rc) {
        rc = history_file_read(r->file, name, buf_text(&text), text.n, err);
    }
    buf_free(&text);
    return rc;
}

/* What the documents say of coverage, and what the files of coverage come to. */
static HistoryAdd *whole(Read *r)
{
    HistoryAdd *a = history_file_add(r->file);
    history_cover_add(&r->cover, r->coverage);
    for (size_t i = 0; i < a->ncoverage; i++) {
        VEC_PUSH(&r->all, a->coverage[i]);
    }
    for (size_t i = 0; i < r->cover.rows.n; i++) {
        VEC_PUSH(&r->all, r->cover.rows.items[i]);
    }
    a->coverage = r->all.items;
    a->ncoverage = r->all.n;
    return a;
}

int history_cmd_add(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    Read r = {.file = history_file_new(), .coverage = coverage_new()};
    HistoryOrigin origin;
    int rc = 0;
    for (size_t i = 1; !rc && i < c->words.n; i++) {
        rc = read_file(&r, c->words.items[i], err);
    }
    if (!rc) {
        HistoryAdd *a = whole(&r);
        int64_t id = 0;
        bool is_new = false;
        history_origin(NULL, &origin);
        complete(c, &origin, c->words.items[1], &a->run);
        rc = history_add(h, a, &id, &is_new, err);
        if (!rc && c->is_json) {
            buf_printf(out, "{\"schema_version\": 1, \"run\": %" PRId64 ", \"is_new\": %s}\n", id,
                       is_new ? "true" : "false");
        } else if (!rc) {
            buf_printf(out, is_new ? "run %" PRId64 " added: %zu results\n" : "run %" PRId64 " was there already\n", id,
                       a->nresults);
        }
    }
    VEC_FREE(&r.all);
    history_cover_free(&r.cover);
    coverage_free(r.coverage);
    history_file_free(r.file);
    return rc;
}

int history_cmd_merge(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    History *from = NULL;
    uint64_t n = 0;
    int rc = history_open(&(HistoryOpen){.where = c->words.items[1], .is_reader = true}, &from, err);
    rc = rc ? rc : history_merge(h, from, &n, err);
    history_close(from);
    if (!rc) {
        buf_printf(out, c->is_json ? "{\"schema_version\": 1, \"added\": %" PRIu64 "}\n" : "%" PRIu64 " runs added\n",
                   n);
    }
    return rc;
}

/* ---- list ---- */

int history_cmd_list(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    HistoryRuns runs;
    int rc = history_runs(h, &c->filter, &runs, err);
    if (rc) {
        return rc;
    }
    if (c->is_json) {
        Json j;
        history_json_begin(&j, out, "runs");
        for (size_t i = 0; i < runs.n; i++) {
            history_json_run(&j, NULL, &runs.runs[i]);
        }
        history_json_end(&j, out);
        history_runs_free(&runs);
        return CONF_OK;
    }
    Table t = table_new("rlllrrrrrrrl", "RUN TIME COMMIT BRANCH PASSED FAILED ERROR SKIPPED XFAILED XPASSED TOOK HOST");
    for (size_t i = runs.n; i-- > 0;) { /* newest first */
        const HistoryRun *r = &runs.runs[i];
        char time[32], took[32], commit[16];
        history_put_time(r->time_ms, time);
        history_put_ns((double)r->duration_ns, took);
        history_put_commit(r, commit);
        table_cell(&t, "%" PRId64, r->id);
        table_cell(&t, "%s", time);
        table_cell(&t, "%s", commit);
        table_cell(&t, "%s", *r->branch ? r->branch : "-");
        for (int s = HISTORY_passed; s < HISTORY_STATUS_COUNT; s++) {
            table_cell(&t, "%" PRIu64, r->n[s]);
        }
        table_cell(&t, "%s", took);
        table_cell(&t, "%s%s%s", r->host, *r->cut_short ? "  cut short by " : "", r->cut_short);
    }
    table_end(&t, out);
    if (!runs.n) {
        buf_printf(out, "no runs in %s\n", history_where(h));
    }
    history_runs_free(&runs);
    return CONF_OK;
}

/* ---- show ---- */

typedef struct {
    HistoryRuns runs;
    HistoryView *view;
    HistoryBackends backends;
    HistoryCoverageRows coverage;
    HistoryBenchRows bench;
} Shown;

static int load(History *h, const HistoryCommand *c, Shown *s, Err *err)
{
    int64_t id = 0;
    int rc = history_find_run(h, c->words.n > 1 ? c->words.items[1] : "last", &id, err);
    rc = rc ? rc : history_runs(h, &(HistoryFilter){.first_id = id, .last_id = id}, &s->runs, err);
    HistoryViewOptions o = {.runs = &s->runs,
                            .what = HISTORY_DURATIONS | HISTORY_REASONS | HISTORY_COUNTS,
                            .suite = c->suite,
                            .guest = c->guest,
                            .backend = c->backend};
    rc = rc ? rc : history_view(h, &o, &s->view, err);
    rc = rc ? rc : history_backends(h, id, &s->backends, err);
    rc = rc ? rc : history_coverage(h, &s->runs, &s->coverage, err);
    return rc ? rc : history_bench(h, &s->runs, &s->bench, err);
}

static void put_text(const char *key, const char *value, Buf *out)
{
    if (*value) {
        buf_printf(out, "%-10s ", key);
        text_clean(out, value);
        buf_char(out, '\n');
    }
}

static void put_run(const HistoryRun *r, Buf *out)
{
    char time[32];
    history_put_time(r->time_ms, time);
    buf_printf(out, "run        %" PRId64 "  (%s)\n", r->id, r->uid);
    put_text("time", time, out);
    put_text("commit", r->commit, out);
    put_text("parent", r->parent, out);
    put_text("branch", r->branch, out);
    put_text("host", r->host, out);
    put_text("job", r->job, out);
    put_text("conf", r->version, out);
    put_text("cut short", r->cut_short, out);
    buf_str(out, "results   ");
    for (int s = HISTORY_passed; s < HISTORY_STATUS_COUNT; s++) {
        buf_printf(out, " %" PRIu64 " %s", r->n[s], history_status_name((HistoryStatus)s));
    }
    buf_char(out, '\n');
}

static void show_text(const HistoryCommand *c, const Shown *s, Buf *out)
{
    put_run(history_run(s->view, 0), out);
    Table t = table_new("llllrl", "STATUS SCENARIO GUEST BACKEND TOOK REASON");
    HistoryIter it = {0};
    HistoryResult r;
    while (history_next(s->view, 0, &it, &r)) {
        char took[32];
        if (!c->is_verbose && !history_status_is_bad(r.status)) {
            continue;
        }
        history_put_ns((double)r.duration_ns, took);
        table_cell(&t, "%s", history_status_name(r.status));
        table_cell(&t, "%s:%u %s", r.suite, r.line, r.scenario);
        table_cell(&t, "%s", r.guest);
        table_cell(&t, "%s", r.backend);
        table_cell(&t, "%s", took);
        table_cell(&t, "%s", r.reason);
    }
    table_end(&t, out);
    t = table_new("ll", "BACKEND VERSION");
    for (size_t i = 0; i < s->backends.n; i++) {
        table_cell(&t, "%s", s->backends.backends[i].name);
        table_cell(&t, "%s", s->backends.backends[i].version);
    }
    table_end(&t, out);
    t = table_new("llrr", "COVERAGE BACKEND COVERED TOTAL");
    for (size_t i = 0; i < s->coverage.n; i++) {
        table_cell(&t, "%s", s->coverage.rows[i].kind);
        table_cell(&t, "%s", s->coverage.rows[i].backend);
        table_cell(&t, "%" PRIu64, s->coverage.rows[i].covered);
        table_cell(&t, "%" PRIu64, s->coverage.rows[i].total);
    }
    table_end(&t, out);
    t = table_new("lrl", "MEASURED VALUE UNIT");
    for (size_t i = 0; i < s->bench.n; i++) {
        table_cell(&t, "%s", s->bench.rows[i].name);
        table_cell(&t, "%.6g", s->bench.rows[i].value);
        table_cell(&t, "%s", s->bench.rows[i].unit);
    }
    table_end(&t, out);
}

static void json_result(Json *j, const HistoryResult *r)
{
    json_open(j, '{');
    json_kstr(j, "suite", r->suite);
    json_kstr(j, "scenario", r->scenario);
    json_kstr(j, "guest", r->guest);
    json_kstr(j, "backend", r->backend);
    json_kstr(j, "status", history_status_name(r->status));
    json_kstr(j, "reason", r->reason);
    json_ku64(j, "line", r->line);
    json_ku64(j, "duration_ns", r->duration_ns);
    json_ku64(j, "exits", r->exits);
    json_ku64(j, "transitions", r->transitions);
    json_ku64(j, "retries", r->retries);
    json_close(j, '}');
}

static void json_covered(Json *j, const HistoryCoverageRow *row, const HistoryItems *items)
{
    json_open(j, '{');
    json_kstr(j, "kind", row->kind);
    json_kstr(j, "backend", row->backend);
    json_ku64(j, "covered", row->covered);
    json_ku64(j, "total", row->total);
    json_key(j, "items");
    json_open(j, '[');
    for (size_t i = 0; i < items->n; i++) {
        json_str(j, items->items[i]);
    }
    json_close(j, ']');
    json_close(j, '}');
}

/* The same keys as a report has: what is shown can be added again. */
static int show_json(History *h, const Shown *s, Buf *out, Err *err)
{
    int rc = 0;
    Json j = json_to(out, 2);
    HistoryIter it = {0};
    HistoryResult r;
    json_open(&j, '{');
    json_ku64(&j, "schema_version", 1);
    history_json_run(&j, "run", history_run(s->view, 0));
    json_key(&j, "backends");
    json_open(&j, '[');
    for (size_t i = 0; i < s->backends.n; i++) {
        json_open(&j, '{');
        json_kstr(&j, "name", s->backends.backends[i].name);
        json_kstr(&j, "version", s->backends.backends[i].version);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_key(&j, "results");
    json_open(&j, '[');
    while (history_next(s->view, 0, &it, &r)) {
        json_result(&j, &r);
    }
    json_close(&j, ']');
    json_key(&j, "coverage");
    json_open(&j, '[');
    for (size_t i = 0; !rc && i < s->coverage.n; i++) {
        const HistoryCoverageRow *row = &s->coverage.rows[i];
        HistoryItems items;
        rc = history_items(h, row->run, row->kind, row->backend, &items, err);
        if (!rc) {
            json_covered(&j, row, &items);
            history_items_free(&items);
        }
    }
    json_close(&j, ']');
    json_key(&j, "bench");
    json_open(&j, '[');
    for (size_t i = 0; i < s->bench.n; i++) {
        const HistoryBenchRow *row = &s->bench.rows[i];
        json_open(&j, '{');
        json_kstr(&j, "name", row->name);
        history_json_real(&j, "value", row->value);
        json_kstr(&j, "unit", row->unit);
        json_kstr(&j, "better", row->direction == HISTORY_MORE_IS_BETTER ? "more" : "less");
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    buf_char(out, '\n');
    return rc;
}

int history_cmd_show(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    Shown s = {0};
    int rc = load(h, c, &s, err);
    if (!rc && c->is_json) {
        rc = show_json(h, &s, out, err);
    } else if (!rc) {
        show_text(c, &s, out);
    }
    history_view_free(s.view);
    history_runs_free(&s.runs);
    history_backends_free(&s.backends);
    history_coverage_free(&s.coverage);
    history_bench_free(&s.bench);
    return rc;
}

/* ---- looking after it ---- */

int history_cmd_prune(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    uint64_t n = 0;
    if (!c->prune.keep && !c->prune.before_ms) {
        return cli_usage("history", &(Err){.text = "prune: which runs? --keep N, --before T or both"});
    }
    int rc = history_prune(h, &c->prune, &n, err);
    if (!rc && c->is_json) {
        buf_printf(out, "{\"schema_version\": 1, \"deleted\": %" PRIu64 ", \"is_dry\": %s}\n", n,
                   c->prune.is_dry ? "true" : "false");
    } else if (!rc) {
        buf_printf(out, "%" PRIu64 " runs %s\n", n, c->prune.is_dry ? "would be deleted" : "deleted");
    }
    return rc;
}

int history_cmd_check(History *h, const HistoryCommand *c, Buf *out, Err *err)
{
    int rc = history_check(h, err);
    if (rc == -ERR_PROTO) {
        fprintf(stderr, "conf history: %s\n", err->text);
        return CONF_FAILURES;
    }
    if (!rc) {
        buf_printf(
            out, c->is_json ? "{\"schema_version\": 1, \"is_whole\": true}\n" : "%s: all runs read, nothing damaged\n",
            history_where(h));
    }
    return rc;
}
