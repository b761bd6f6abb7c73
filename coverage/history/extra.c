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

static int64_t first_of(const RunOrder *o, size_t n)
{
    return n ? o[0].run : 1;
}

static int64_t last_of(const RunOrder *o, size_t n)
{
    return n ? o[n - 1].run : 0;
}

static size_t place_of(const RunOrder *o, size_t n, int64_t run)
{
    const RunOrder key = {.run = run};
    const RunOrder *at = bsearch(&key, o, n, sizeof *o, compare_runs);
    return at ? at->at : SIZE_MAX;
}

typedef struct {
    size_t place;
    int64_t chunk; /* of the covered items; 0 = only totals are known */
    HistoryCoverageRow row;
} CoverageAt;
typedef VEC(CoverageAt) CoverageList;
typedef struct {
    Arena *arena;
    RunOrder *order;
    size_t nruns;
    CoverageList list;
} CoverageRows;

static void on_coverage(void *ctx, const SqlRows *rows)
{
    CoverageRows *x = ctx;
    const SqlOps *ops = rows->sql->ops;
    size_t place = place_of(x->order, x->nruns, ops->get_int(rows, 0));
    if (place == SIZE_MAX) {
        return;
    }
    const char *kind = arena_strdup(x->arena, ops->get_text(rows, 4, NULL));
    const char *backend = arena_strdup(x->arena, ops->get_text(rows, 5, NULL));
    VEC_PUSH(&x->list, (CoverageAt){place,
                                    ops->get_int(rows, 3),
                                    {.run = ops->get_int(rows, 0),
                                     .covered = (uint64_t)ops->get_int(rows, 1),
                                     .total = (uint64_t)ops->get_int(rows, 2),
                                     .kind = kind,
                                     .backend = backend}});
}

/* Of the runs, in no order; what comes is the caller's even on an error. */
static int load_coverage(History *h, const HistoryRuns *runs, Arena *arena, CoverageList *out, Err *err)
{
    CoverageRows x = {.arena = arena, .order = order_of(runs), .nruns = runs->n};
    int rc = sql_each(
        h->sql,
        "SELECT c.run, c.covered, c.total, c.items, k.value, b.value FROM conf_cover c JOIN conf_text k ON k.id ="
        " c.kind JOIN conf_text b ON b.id = c.backend WHERE c.run >= $1 AND c.run <= $2",
        SQL_ARGS(sql_int(first_of(x.order, runs->n)), sql_int(last_of(x.order, runs->n))), on_coverage, &x, err);
    mem_free(x.order);
    *out = x.list;
    return rc;
}

static int compare_coverage(const void *a, const void *b)
{
    const CoverageAt *x = a, *y = b;
    int order = x->place < y->place ? -1 : x->place > y->place;
    order = order ? order : strcmp(x->row.kind, y->row.kind);
    return order ? order : strcmp(x->row.backend, y->row.backend);
}

int history_coverage(History *h, const HistoryRuns *runs, HistoryCoverageRows *out, Err *err)
{
    CoverageList list = {0};
    *out = (HistoryCoverageRows){.arena = arena_new()};
    int rc = load_coverage(h, runs, out->arena, &list, err);
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

typedef struct {
    const char *backend; /* NULL = any */
    Ids *out;
} ChunkRows;

static void on_chunk(void *ctx, const SqlRows *rows)
{
    const ChunkRows *x = ctx;
    const SqlOps *ops = rows->sql->ops;
    if (!x->backend || !strcmp(x->backend, ops->get_text(rows, 1, NULL))) {
        VEC_PUSH(x->out, ops->get_int(rows, 0));
    }
}

static int chunks_of(History *h, int64_t run, const char *kind, const char *backend, Ids *out, Err *err)
{
    ChunkRows x = {.backend = backend, .out = out};
    return sql_each(h->sql,
                    "SELECT c.items, b.value FROM conf_cover c JOIN conf_text k ON k.id = c.kind JOIN conf_text b ON"
                    " b.id = c.backend WHERE c.run = $1 AND k.value = $2 AND c.items <> 0",
                    SQL_ARGS(sql_int(run), sql_text(kind)), on_chunk, &x, err);
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
        qsort(out->items, out->n, sizeof *out->items, text_compare);
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

/* ---- what came and went ---- */

typedef struct {
    HistoryCoverChange change;
    Ids ids[2]; /* lost, gained */
} Difference;
typedef struct {
    History *h;
    const HistoryRuns *runs;
    bool is_one_series;
    CoverageList list;
    VEC(Difference) found;
    Err *err;
} Comparing;

static int compare_series(const Comparing *x, size_t a, size_t b)
{
    const HistoryRun *r = &x->runs->runs[a], *s = &x->runs->runs[b];
    int order = x->is_one_series ? 0 : strcmp(r->host, s->host);
    return order || x->is_one_series ? order : strcmp(r->branch, s->branch);
}

/* By kind, backend, series, then time. */
static int compare_by_series(const void *a, const void *b, void *ctx)
{
    const CoverageAt *x = a, *y = b;
    int order = strcmp(x->row.kind, y->row.kind);
    order = order ? order : strcmp(x->row.backend, y->row.backend);
    order = order ? order : compare_series(ctx, x->place, y->place);
    return order ? order : x->place < y->place ? -1 : x->place > y->place;
}

static bool is_next(const Comparing *x, const CoverageAt *a, const CoverageAt *b)
{
    return !strcmp(a->row.kind, b->row.kind) && !strcmp(a->row.backend, b->row.backend) &&
           !compare_series(x, a->place, b->place);
}

/* Are the items known, or only how many there are? */
static bool is_listed(const CoverageAt *x)
{
    return x->chunk || !x->row.covered;
}

/* What only a has, of two ascending lists. */
static void put_only(const Ids *a, const Ids *b, Ids *out)
{
    for (size_t i = 0, k = 0; i < a->n; i++) {
        while (k < b->n && b->items[k] < a->items[i]) {
            k++;
        }
        if (k == b->n || b->items[k] != a->items[i]) {
            VEC_PUSH(out, a->items[i]);
        }
    }
}

static int note_difference(Comparing *x, const CoverageAt *a, const CoverageAt *b)
{
    Ids before = {0}, after = {0};
    Difference d = {.change = {.run = b->place,
                               .before = a->place,
                               .kind = b->row.kind,
                               .backend = b->row.backend,
                               .covered = {a->row.covered, b->row.covered},
                               .total = {a->row.total, b->row.total}}};
    bool has_items = is_listed(a) && is_listed(b) && a->chunk != b->chunk;
    int rc = has_items && a->chunk ? add_items(x->h, a->chunk, &before, x->err) : 0;
    rc = rc || !has_items || !b->chunk ? rc : add_items(x->h, b->chunk, &after, x->err);
    if (!rc) {
        put_only(&before, &after, &d.ids[0]);
        put_only(&after, &before, &d.ids[1]);
    }
    VEC_FREE(&before);
    VEC_FREE(&after);
    VEC_PUSH(&x->found, d);
    return rc;
}

static const char **names_of(const Ids *ids, const IdTexts *texts, Arena *arena)
{
    const char **names = arena_alloc(arena, (ids->n + 1) * sizeof *names);
    for (size_t i = 0; i < ids->n; i++) {
        names[i] = id_text(texts, ids->items[i]);
    }
    if (ids->n) {
        qsort(names, ids->n, sizeof *names, text_compare);
    }
    return names;
}

/* Newest run first, then by kind and backend, as they stand already. */
static int compare_found(const void *a, const void *b)
{
    const HistoryCoverChange *x = &((const Difference *)a)->change, *y = &((const Difference *)b)->change;
    int order = x->run > y->run ? -1 : x->run < y->run;
    order = order ? order : strcmp(x->kind, y->kind);
    return order ? order : strcmp(x->backend, y->backend);
}

static int name_found(Comparing *x, HistoryCoverChanges *out)
{
    Ids ids = {0};
    IdTexts texts = {0};
    for (size_t i = 0; i < x->found.n; i++) {
        for (int side = 0; side < 2; side++) {
            const Ids *some = &x->found.items[i].ids[side];
            for (size_t k = 0; k < some->n; k++) {
                VEC_PUSH(&ids, some->items[k]);
            }
        }
    }
    ids.n = ids_unique(ids.items, ids.n);
    int rc = load_texts(x->h->sql, ids.items, ids.n, out->arena, &texts, x->err);
    if (x->found.n) {
        qsort(x->found.items, x->found.n, sizeof *x->found.items, compare_found);
    }
    out->items = x_calloc(x->found.n + 1, sizeof *out->items);
    for (size_t i = 0; !rc && i < x->found.n; i++) {
        const Difference *d = &x->found.items[i];
        HistoryCoverChange *c = &out->items[out->n++];
        *c = d->change;
        c->lost = names_of(&d->ids[0], &texts, out->arena);
        c->gained = names_of(&d->ids[1], &texts, out->arena);
        c->nlost = d->ids[0].n;
        c->ngained = d->ids[1].n;
    }
    VEC_FREE(&ids);
    VEC_FREE(&texts);
    return rc;
}

int history_cover_changes(History *h, const HistoryRuns *runs, bool is_one_series, HistoryCoverChanges *out, Err *err)
{
    Comparing x = {.h = h, .runs = runs, .is_one_series = is_one_series, .err = err};
    *out = (HistoryCoverChanges){.arena = arena_new()};
    int rc = load_coverage(h, runs, out->arena, &x.list, err);
    if (x.list.n) {
        qsort_r(x.list.items, x.list.n, sizeof *x.list.items, compare_by_series, &x);
    }
    for (size_t i = 1; !rc && i < x.list.n; i++) {
        const CoverageAt *a = &x.list.items[i - 1], *b = &x.list.items[i];
        bool is_same = a->chunk == b->chunk && a->row.covered == b->row.covered && a->row.total == b->row.total;
        if (is_next(&x, a, b) && !is_same) {
            rc = note_difference(&x, a, b);
        }
    }
    rc = rc ? rc : name_found(&x, out);
    for (size_t i = 0; i < x.found.n; i++) {
        VEC_FREE(&x.found.items[i].ids[0]);
        VEC_FREE(&x.found.items[i].ids[1]);
    }
    VEC_FREE(&x.found);
    VEC_FREE(&x.list);
    if (rc) {
        history_cover_changes_free(out);
    }
    return rc;
}

void history_cover_changes_free(HistoryCoverChanges *c)
{
    mem_free(c->items);
    arena_free(c->arena);
    *c = (HistoryCoverChanges){0};
}

/* ---- measurements ---- */

static int compare_bench(const void *a, const void *b)
{
    const HistoryBenchRow *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    order = order ? order : strcmp(x->host, y->host);
    order = order ? order : strcmp(x->branch, y->branch);
    return order ? order : x->place < y->place ? -1 : x->place > y->place;
}

typedef struct {
    Arena *arena;
    const HistoryRuns *runs;
    RunOrder *order;
    VEC(HistoryBenchRow) list;
} BenchRows;

static void on_bench(void *ctx, const SqlRows *rows)
{
    BenchRows *x = ctx;
    const SqlOps *ops = rows->sql->ops;
    size_t place = place_of(x->order, x->runs->n, ops->get_int(rows, 0));
    if (place == SIZE_MAX) {
        return;
    }
    HistoryBenchRow row = {.run = ops->get_int(rows, 0),
                           .place = place,
                           .value = ops->get_real(rows, 1),
                           .direction = ops->get_int(rows, 2) ? HISTORY_MORE_IS_BETTER : HISTORY_LESS_IS_BETTER,
                           .name = arena_strdup(x->arena, ops->get_text(rows, 3, NULL)),
                           .unit = arena_strdup(x->arena, ops->get_text(rows, 4, NULL)),
                           .host = arena_strdup(x->arena, x->runs->runs[place].host),
                           .branch = arena_strdup(x->arena, x->runs->runs[place].branch)};
    VEC_PUSH(&x->list, row);
}

int history_bench(History *h, const HistoryRuns *runs, HistoryBenchRows *out, Err *err)
{
    *out = (HistoryBenchRows){.arena = arena_new()};
    BenchRows x = {.arena = out->arena, .runs = runs, .order = order_of(runs)};
    int rc = sql_each(
        h->sql,
        "SELECT b.run, b.value, b.direction, n.value, u.value FROM conf_bench b JOIN conf_text n ON n.id = b.name"
        " JOIN conf_text u ON u.id = b.unit WHERE b.run >= $1 AND b.run <= $2",
        SQL_ARGS(sql_int(first_of(x.order, runs->n)), sql_int(last_of(x.order, runs->n))), on_bench, &x, err);
    mem_free(x.order);
    if (x.list.n) {
        qsort(x.list.items, x.list.n, sizeof *x.list.items, compare_bench);
    }
    out->rows = x.list.items;
    out->n = x.list.n;
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

bool history_bench_is_one_series(const HistoryBenchRow *a, const HistoryBenchRow *b)
{
    return !strcmp(a->name, b->name) && !strcmp(a->host, b->host) && !strcmp(a->branch, b->branch);
}
