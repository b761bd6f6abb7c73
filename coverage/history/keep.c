/* SPDX-License-Identifier: Apache-2.0
 * keep.c - looking after a database: merge another one, delete old runs, read all of it. */
#include "coverage/history/history_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- merge ---- */

static int has_uid(History *h, const char *uid, bool *found, Err *err)
{
    int64_t id;
    return sql_one(h->sql, "SELECT id FROM conf_run WHERE uid = $1", SQL_ARGS(sql_text(uid)), &id, found, err);
}

/* All that a run is, as it is added. */
typedef struct {
    HistoryView *view;
    HistoryBackends backends;
    HistoryCoverageRows coverage;
    HistoryBenchRows bench;
    VEC(HistoryResult) results;
    VEC(HistoryCoverage) cover;
    VEC(HistoryItems) items;
    VEC(HistoryBench) measured;
} Whole;

static int read_items(History *from, Whole *w, Err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < w->coverage.n; i++) {
        const HistoryCoverageRow *r = &w->coverage.rows[i];
        HistoryItems items;
        rc = history_items(from, r->run, r->kind, r->backend, &items, err);
        if (!rc) {
            VEC_PUSH(&w->items, items);
            VEC_PUSH(&w->cover, (HistoryCoverage){.kind = r->kind,
                                                  .backend = r->backend,
                                                  .covered = r->covered,
                                                  .total = r->total,
                                                  .items = items.n ? items.items : NULL,
                                                  .nitems = items.n});
        }
    }
    return rc;
}

static int read_whole(History *from, const HistoryRuns *one, Whole *w, Err *err)
{
    HistoryViewOptions o = {.runs = one, .what = HISTORY_DURATIONS | HISTORY_REASONS | HISTORY_COUNTS};
    int rc = history_view(from, &o, &w->view, err);
    rc = rc ? rc : history_backends(from, one->runs[0].id, &w->backends, err);
    rc = rc ? rc : history_coverage(from, one, &w->coverage, err);
    rc = rc ? rc : history_bench(from, one, &w->bench, err);
    rc = rc ? rc : read_items(from, w, err);
    HistoryIter it = {0};
    HistoryResult r;
    while (!rc && history_next(w->view, 0, &it, &r)) {
        VEC_PUSH(&w->results, r);
    }
    for (size_t i = 0; !rc && i < w->bench.n; i++) {
        const HistoryBenchRow *b = &w->bench.rows[i];
        VEC_PUSH(&w->measured, (HistoryBench){b->name, b->value, b->unit, b->direction});
    }
    return rc;
}

static void whole_free(Whole *w)
{
    history_view_free(w->view);
    history_backends_free(&w->backends);
    history_coverage_free(&w->coverage);
    history_bench_free(&w->bench);
    for (size_t i = 0; i < w->items.n; i++) {
        history_items_free(&w->items.items[i]);
    }
    VEC_FREE(&w->items);
    VEC_FREE(&w->results);
    VEC_FREE(&w->cover);
    VEC_FREE(&w->measured);
}

static int merge_run(History *h, History *from, const HistoryRun *r, bool *is_new, Err *err)
{
    Whole w = {0};
    HistoryRun copy = *r;
    HistoryRuns one = {.runs = &copy, .n = 1};
    int rc = read_whole(from, &one, &w, err);
    if (!rc) {
        HistoryAdd a = {.run = *r,
                        .backends = w.backends.backends,
                        .nbackends = w.backends.n,
                        .results = w.results.items,
                        .nresults = w.results.n,
                        .coverage = w.cover.items,
                        .ncoverage = w.cover.n,
                        .bench = w.measured.items,
                        .nbench = w.measured.n};
        rc = history_add(h, &a, NULL, is_new, err);
    }
    whole_free(&w);
    return rc;
}

int history_merge(History *h, History *from, uint64_t *n, Err *err)
{
    HistoryRuns runs;
    *n = 0;
    int rc = history_runs(from, NULL, &runs, err);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; !rc && i < runs.n; i++) {
        bool is_there = false, is_new = false;
        rc = has_uid(h, runs.runs[i].uid, &is_there, err);
        if (!rc && !is_there) {
            rc = merge_run(h, from, &runs.runs[i], &is_new, err);
            *n += !rc && is_new;
        }
    }
    history_runs_free(&runs);
    return rc;
}

/* ---- prune ---- */

/* Of each branch the newest stay; counted from the end. */
static bool is_beyond(const HistoryRuns *runs, size_t at, uint64_t keep)
{
    uint64_t newer = 0;
    for (size_t i = at + 1; i < runs->n && newer < keep; i++) {
        newer += !strcmp(runs->runs[i].branch, runs->runs[at].branch);
    }
    return newer >= keep;
}

static int delete_run(Sql *sql, int64_t id, Err *err)
{
    static const char *const DELETE[] = {
        "DELETE FROM conf_bench WHERE run = $1", "DELETE FROM conf_cover WHERE run = $1",
        "DELETE FROM conf_block WHERE run = $1", "DELETE FROM conf_backend WHERE run = $1",
        "DELETE FROM conf_run WHERE id = $1"};
    int rc = 0;
    for (size_t i = 0; !rc && i < ARRAY_LEN(DELETE); i++) {
        rc = sql_run(sql, DELETE[i], SQL_ARGS(sql_int(id)), err);
    }
    return rc;
}

typedef VEC(int64_t) Ids;

static void on_id(void *ctx, const SqlRows *rows)
{
    Ids *out = ctx;
    VEC_PUSH(out, rows->sql->ops->get_int(rows, 0));
}

static int read_ids(Sql *sql, const char *text, Ids *out, Err *err)
{
    return sql_each(sql, text, SQL_NO_ARGS, on_id, out, err);
}

/* The texts that a column of reasons, or of covered items, names. */
static int texts_of_chunks(Sql *sql, bool is_items, Ids *out, Err *err)
{
    Ids chunks = {0};
    int rc = read_ids(sql,
                      is_items ? "SELECT DISTINCT items FROM conf_cover WHERE items <> 0"
                               : "SELECT DISTINCT reason FROM conf_block",
                      &chunks, err);
    for (size_t i = 0; !rc && i < chunks.n; i++) {
        uint8_t *raw = NULL;
        size_t n = 0, nids = 0;
        int64_t *ids = NULL;
        char what[256];
        snprintf(what, sizeof what, "%.200s: chunk %" PRId64, sql->where, chunks.items[i]);
        rc = load_chunk(sql, chunks.items[i], &raw, &n, err);
        if (!rc && is_items) {
            rc = unpack_ids(raw, n, what, &ids, &nids, err);
        } else if (!rc) {
            Cursor c = cursor_of(raw, n);
            uint64_t length = unpack_varint(&c);
            nids = length > PACK_MAX_ITEMS ? 0 : length;
            ids = x_calloc(nids + 1, sizeof *ids);
            rc = unpack_sparse(raw, n, what, ids, nids, err);
        }
        for (size_t k = 0; !rc && k < nids; k++) {
            if (ids[k]) {
                VEC_PUSH(out, ids[k]);
            }
        }
        mem_free(ids);
        mem_free(raw);
    }
    VEC_FREE(&chunks);
    return rc;
}

/* What no run uses any more. */
static int sweep(Sql *sql, Err *err)
{
    Ids used = {0}, all = {0};
    int rc = sql->ops->exec(
        sql,
        "DELETE FROM conf_chunk WHERE id NOT IN (SELECT layout FROM conf_block UNION SELECT status FROM conf_block"
        " UNION SELECT reason FROM conf_block UNION SELECT counts FROM conf_block UNION SELECT items FROM conf_cover)",
        err);
    rc = rc ? rc : texts_of_chunks(sql, false, &used, err);
    rc = rc ? rc : texts_of_chunks(sql, true, &used, err);
    rc = rc ? rc
            : read_ids(sql,
                       "SELECT suite FROM conf_case UNION SELECT scenario FROM conf_case UNION SELECT guest FROM "
                       "conf_case UNION"
                       " SELECT name FROM conf_backend UNION SELECT version FROM conf_backend UNION SELECT backend "
                       "FROM conf_block"
                       " UNION SELECT kind FROM conf_cover UNION SELECT backend FROM conf_cover UNION SELECT name FROM "
                       "conf_bench"
                       " UNION SELECT unit FROM conf_bench",
                       &used, err);
    rc = rc ? rc : read_ids(sql, "SELECT id FROM conf_text ORDER BY id", &all, err);
    used.n = ids_unique(used.items, used.n);
    for (size_t i = 0, k = 0; !rc && i < all.n; i++) {
        while (k < used.n && used.items[k] < all.items[i]) {
            k++;
        }
        if (k == used.n || used.items[k] != all.items[i]) {
            rc = sql_run(sql, "DELETE FROM conf_text WHERE id = $1", SQL_ARGS(sql_int(all.items[i])), err);
        }
    }
    VEC_FREE(&used);
    VEC_FREE(&all);
    return rc;
}

int history_prune(History *h, const HistoryPrune *p, uint64_t *nruns, Err *err)
{
    HistoryRuns runs;
    Sql *sql = h->sql;
    *nruns = 0;
    int rc = sql->ops->exec(sql, p->is_dry ? sql->ops->begin_read : sql->ops->begin_write, err);
    if (rc) {
        return rc;
    }
    rc = history_runs(h, NULL, &runs, err);
    for (size_t i = 0; !rc && i < runs.n; i++) {
        if ((!p->before_ms || runs.runs[i].time_ms < p->before_ms) && (!p->keep || is_beyond(&runs, i, p->keep))) {
            rc = p->is_dry ? 0 : delete_run(sql, runs.runs[i].id, err);
            ++*nruns;
        }
    }
    history_runs_free(&runs);
    rc = rc || p->is_dry || !*nruns ? rc : sweep(sql, err);
    rc = sql_finish(sql, rc, err);
    return rc || p->is_dry ? rc : sql->ops->shrink(sql, err);
}

/* ---- check ---- */

int history_check(History *h, Err *err)
{
    HistoryRuns runs = {0};
    int rc = h->sql->ops->check(h->sql, err);
    rc = rc ? rc : history_runs(h, NULL, &runs, err);
    for (size_t i = 0; !rc && i < runs.n; i++) {
        HistoryRun copy = runs.runs[i];
        HistoryRuns one = {.runs = &copy, .n = 1};
        Whole w = {0};
        uint64_t n[HISTORY_STATUS_COUNT] = {0};
        rc = read_whole(h, &one, &w, err);
        for (size_t k = 0; k < w.results.n; k++) {
            n[w.results.items[k].status]++;
        }
        if (!rc && memcmp(n, copy.n, sizeof n) != 0) {
            rc = err_set(err, ERR_PROTO, "%s: damaged: run %" PRId64 " has not the results that it says", h->sql->where,
                         copy.id);
        }
        whole_free(&w);
    }
    history_runs_free(&runs);
    return rc;
}
