/* SPDX-License-Identifier: Apache-2.0
 * extra.c - what a run has besides results: coverage and measurements. */
#include "coverage/history/history_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int64_t run;
    size_t at;
} RunOrder;

static int compare_runs(const void *a, const void *b)
{
    return ids_compare(a, b); /* run comes first in the struct */
}

/* From a run's number to its place in the caller's list. */
static RunOrder *order_of(const HistoryRuns *runs)
{
    RunOrder *o = x_calloc(runs->n + 1, sizeof *o);
    for (size_t i = 0; i < runs->n; i++) {
        o[i] = (RunOrder){runs->runs[i].id, i};
    }
    qsort(o, runs->n, sizeof *o, compare_runs);
    return o;
}

static size_t place_of(const RunOrder *o, size_t n, int64_t run)
{
    const RunOrder key = {.run = run};
    const RunOrder *at = bsearch(&key, o, n, sizeof *o, compare_runs);
    return at ? at->at : SIZE_MAX;
}

typedef struct {
    size_t place;
    HistoryCoverageRow row;
} CoverageAt;

static int compare_coverage(const void *a, const void *b)
{
    const CoverageAt *x = a, *y = b;
    int order = x->place < y->place ? -1 : x->place > y->place;
    order = order ? order : strcmp(x->row.kind, y->row.kind);
    return order ? order : strcmp(x->row.backend, y->row.backend);
}

int history_coverage(History *h, const HistoryRuns *runs, HistoryCoverageRows *out, Err *err)
{
    const SqlOps *ops = h->sql->ops;
    SqlRows *rows = NULL;
    RunOrder *order = order_of(runs);
    VEC(CoverageAt) list = {0};
    *out = (HistoryCoverageRows){.arena = arena_new()};
    int rc = ops->query(
        h->sql,
        "SELECT c.run, c.covered, c.total, k.value, b.value FROM conf_cover c JOIN conf_text k ON k.id = c.kind"
        " JOIN conf_text b ON b.id = c.backend WHERE c.run >= $1 AND c.run <= $2",
        SQL_ARGS(sql_int(runs->n ? order[0].run : 1), sql_int(runs->n ? order[runs->n - 1].run : 0)), &rows, err);
    while (!rc && (rc = ops->next(rows, err)) > 0) {
        size_t place = place_of(order, runs->n, ops->get_int(rows, 0));
        rc = 0;
        if (place != SIZE_MAX) {
            const char *kind = arena_strdup(out->arena, ops->get_text(rows, 3, NULL));
            const char *backend = arena_strdup(out->arena, ops->get_text(rows, 4, NULL));
            VEC_PUSH(&list, (CoverageAt){place,
                                         {.run = ops->get_int(rows, 0),
                                          .covered = (uint64_t)ops->get_int(rows, 1),
                                          .total = (uint64_t)ops->get_int(rows, 2),
                                          .kind = kind,
                                          .backend = backend}});
        }
    }
    if (rows) {
        ops->end(rows);
    }
    mem_free(order);
    if (list.n) {
        qsort(list.items, list.n, sizeof *list.items, compare_coverage);
    }
    out->rows = x_calloc(list.n + 1, sizeof *out->rows);
    out->n = list.n;
    for (size_t i = 0; i < list.n; i++) {
        out->rows[i] = list.items[i].row;
    }
    VEC_FREE(&list);
    if (rc) {
        history_coverage_free(out);
    }
    return rc;
}

void history_coverage_free(HistoryCoverageRows *r)
{
    mem_free(r->rows);
    arena_free(r->arena);
    *r = (HistoryCoverageRows){0};
}

/* ---- items ---- */

typedef VEC(int64_t) Ids;

static int chunks_of(History *h, int64_t run, const char *kind, const char *backend, Ids *out, Err *err)
{
    const SqlOps *ops = h->sql->ops;
    SqlRows *rows = NULL;
    int rc =
        ops->query(h->sql,
                   "SELECT c.items, b.value FROM conf_cover c JOIN conf_text k ON k.id = c.kind JOIN conf_text b ON"
                   " b.id = c.backend WHERE c.run = $1 AND k.value = $2 AND c.items <> 0",
                   SQL_ARGS(sql_int(run), sql_text(kind)), &rows, err);
    while (!rc && (rc = ops->next(rows, err)) > 0) {
        rc = 0;
        if (!backend || !strcmp(backend, ops->get_text(rows, 1, NULL))) {
            VEC_PUSH(out, ops->get_int(rows, 0));
        }
    }
    if (rows) {
        ops->end(rows);
    }
    return rc;
}

static int add_items(History *h, int64_t chunk, Ids *out, Err *err)
{
    uint8_t *raw = NULL;
    int64_t *ids = NULL;
    size_t n = 0, nids = 0;
    char what[256];
    snprintf(what, sizeof what, "%.200s: chunk %" PRId64, h->sql->where, chunk);
    int rc = load_chunk(h->sql, chunk, &raw, &n, err);
    rc = rc ? rc : unpack_ids(raw, n, what, &ids, &nids, err);
    for (size_t i = 0; !rc && i < nids; i++) {
        VEC_PUSH(out, ids[i]);
    }
    mem_free(raw);
    mem_free(ids);
    return rc;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int history_items(History *h, int64_t run, const char *kind, const char *backend, HistoryItems *out, Err *err)
{
    Ids chunks = {0}, ids = {0};
    IdTexts texts = {0};
    *out = (HistoryItems){.arena = arena_new()};
    int rc = chunks_of(h, run, kind, backend, &chunks, err);
    for (size_t i = 0; !rc && i < chunks.n; i++) {
        rc = add_items(h, chunks.items[i], &ids, err);
    }
    rc = rc ? rc : load_texts(h->sql, ids.items, ids.n, out->arena, &texts, err);
    out->items = x_calloc(texts.n + 1, sizeof *out->items);
    out->n = texts.n;
    for (size_t i = 0; i < texts.n; i++) {
        out->items[i] = texts.items[i].text;
    }
    if (texts.n) {
        qsort(out->items, out->n, sizeof *out->items, compare_strings);
    }
    VEC_FREE(&chunks);
    VEC_FREE(&ids);
    VEC_FREE(&texts);
    if (rc) {
        history_items_free(out);
    }
    return rc;
}

void history_items_free(HistoryItems *i)
{
    mem_free(i->items);
    arena_free(i->arena);
    *i = (HistoryItems){0};
}

/* ---- measurements ---- */

typedef struct {
    size_t place;
    HistoryBenchRow row;
} BenchAt;

static int compare_bench(const void *a, const void *b)
{
    const BenchAt *x = a, *y = b;
    int order = strcmp(x->row.name, y->row.name);
    return order ? order : x->place < y->place ? -1 : x->place > y->place;
}

int history_bench(History *h, const HistoryRuns *runs, HistoryBenchRows *out, Err *err)
{
    const SqlOps *ops = h->sql->ops;
    SqlRows *rows = NULL;
    RunOrder *order = order_of(runs);
    VEC(BenchAt) list = {0};
    *out = (HistoryBenchRows){.arena = arena_new()};
    int rc = ops->query(
        h->sql,
        "SELECT b.run, b.value, b.direction, n.value, u.value FROM conf_bench b JOIN conf_text n ON n.id = b.name"
        " JOIN conf_text u ON u.id = b.unit WHERE b.run >= $1 AND b.run <= $2",
        SQL_ARGS(sql_int(runs->n ? order[0].run : 1), sql_int(runs->n ? order[runs->n - 1].run : 0)), &rows, err);
    while (!rc && (rc = ops->next(rows, err)) > 0) {
        size_t place = place_of(order, runs->n, ops->get_int(rows, 0));
        rc = 0;
        if (place != SIZE_MAX) {
            const char *name = arena_strdup(out->arena, ops->get_text(rows, 3, NULL));
            const char *unit = arena_strdup(out->arena, ops->get_text(rows, 4, NULL));
            VEC_PUSH(&list,
                     (BenchAt){place,
                               {.run = ops->get_int(rows, 0),
                                .value = ops->get_real(rows, 1),
                                .direction = ops->get_int(rows, 2) ? HISTORY_MORE_IS_BETTER : HISTORY_LESS_IS_BETTER,
                                .name = name,
                                .unit = unit}});
        }
    }
    if (rows) {
        ops->end(rows);
    }
    mem_free(order);
    if (list.n) {
        qsort(list.items, list.n, sizeof *list.items, compare_bench);
    }
    out->rows = x_calloc(list.n + 1, sizeof *out->rows);
    out->n = list.n;
    for (size_t i = 0; i < list.n; i++) {
        out->rows[i] = list.items[i].row;
    }
    VEC_FREE(&list);
    if (rc) {
        history_bench_free(out);
    }
    return rc;
}

void history_bench_free(HistoryBenchRows *r)
{
    mem_free(r->rows);
    arena_free(r->arena);
    *r = (HistoryBenchRows){0};
}
