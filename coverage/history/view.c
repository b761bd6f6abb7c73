/* SPDX-License-Identifier: Apache-2.0
 * view.c - the results of some runs as a table in memory. Columns that runs share are decoded once; status and durations are spread
 * into arrays, as the analyses go through them by case. */
#include "coverage/history/history_int.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NO_CASE = UINT32_MAX };

typedef struct {
    int64_t id;
    uint8_t *raw;
    size_t n;
    /* decoded, when first used */
    int64_t *ids; /* layout: case numbers, n of them */
    size_t nids;
    uint32_t *position;       /* layout: by case of the view, where it is; NO_CASE */
    PackCounts *counts;       /* ncounts of them */
    const char **reasons;     /* NULL where there is none; nreasons of them */
    size_t ncounts, nreasons; /* one chunk may be a column of two kinds, if their bytes are alike */
} Chunk;
typedef struct {
    const Chunk *layout, *counts, *reasons;
} Block;
struct HistoryView {
    Arena *arena;
    HistoryRun *runs;
    HistoryCase *cases;
    const char **backends;
    size_t nruns, ncases, nbackends;
    uint8_t *status;    /* [backend][run][case] */
    uint16_t *duration; /* the same; NULL: not loaded */
    Block *blocks;      /* [backend][run] */
    VEC(Chunk) chunks;  /* sorted by id */
};
typedef struct {
    size_t run, backend;
    int64_t layout, status, reason, counts;
    uint8_t *duration; /* raw, 2 bytes a case; NULL */
    size_t nduration;
} RawBlock;
typedef struct {
    Sql *sql;
    const HistoryViewOptions *o;
    HistoryView *v;
    VEC(RawBlock) raw;
    IdTexts backends; /* in the order of the view: sorted by text */
    struct {
        int64_t id;
        uint32_t at;
    } * case_index; /* sorted by id */
    size_t ncase_index;
    Err *err;
} Loading;

/* ---- small helpers that others use too ---- */

int ids_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

size_t ids_unique(int64_t *ids, size_t n)
{
    size_t kept = 0;
    if (n) {
        qsort(ids, n, sizeof *ids, ids_compare);
    }
    for (size_t i = 0; i < n; i++) {
        if (!kept || ids[kept - 1] != ids[i]) {
            ids[kept++] = ids[i];
        }
    }
    return kept;
}

const char *id_text(const IdTexts *t, int64_t id)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (t->items[mid].id < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < t->n && t->items[low].id == id ? t->items[low].text : "";
}

/* "id IN (1, 2, ...)" for one query of at most so many. */
enum { IDS_AT_ONCE = 4096 };

static int each_id(Sql *sql, const char *select, const int64_t *ids, size_t n,
                   void (*on_row)(void *ctx, const SqlRows *rows), void *ctx, Err *err)
{
    int rc = 0;
    for (size_t from = 0; !rc && from < n; from += IDS_AT_ONCE) {
        size_t end = from + IDS_AT_ONCE < n ? from + IDS_AT_ONCE : n;
        Buf text = {0};
        buf_str(&text, select);
        for (size_t i = from; i < end; i++) {
            buf_printf(&text, "%s%" PRId64, i == from ? " IN (" : ",", ids[i]);
        }
        buf_str(&text, ") ORDER BY id");
        rc = sql_each(sql, buf_text(&text), SQL_NO_ARGS, on_row, ctx, err);
        buf_free(&text);
    }
    return rc;
}

typedef struct {
    Arena *arena;
    IdTexts *out;
} TextRows;

static void on_text(void *ctx, const SqlRows *rows)
{
    TextRows *t = ctx;
    const SqlOps *ops = rows->sql->ops;
    const char *text = arena_strdup(t->arena, ops->get_text(rows, 1, NULL));
    VEC_PUSH(t->out, (IdText){.id = ops->get_int(rows, 0), .text = text});
}

int load_texts(Sql *sql, const int64_t *ids, size_t n, Arena *arena, IdTexts *out, Err *err)
{
    if (!n) {
        return 0;
    }
    int64_t *sorted = x_calloc(n, sizeof *sorted);
    memcpy(sorted, ids, n * sizeof *ids);
    n = ids_unique(sorted, n);
    TextRows t = {.arena = arena, .out = out};
    int rc = each_id(sql, "SELECT id, value FROM conf_text WHERE id", sorted, n, on_text, &t, err);
    mem_free(sorted);
    return rc;
}

static void name_chunk(const Sql *sql, int64_t id, char *out, size_t n)
{
    snprintf(out, n, "%.200s: chunk %" PRId64, sql->where, id);
}

int load_chunk(Sql *sql, int64_t id, uint8_t **raw, size_t *n, Err *err)
{
    SqlRows *rows = NULL;
    char what[256];
    name_chunk(sql, id, what, sizeof what);
    int rc = sql->ops->query(sql, "SELECT data FROM conf_chunk WHERE id = $1", SQL_ARGS(sql_int(id)), &rows, err);
    if (rc) {
        return rc;
    }
    rc = sql->ops->next(rows, err);
    if (rc > 0) {
        size_t size;
        const void *bytes = sql->ops->get_blob(rows, 0, &size);
        rc = unpack_chunk(bytes, size, what, raw, n, err);
    } else if (!rc) {
        rc = err_set(err, ERR_PROTO, "%s: damaged: it is missing", what);
    }
    sql->ops->end(rows);
    return rc;
}

/* ---- loading ---- */

static bool is_match(const char *pattern, const char *text)
{
    return !pattern || !strcmp(pattern, text) || !fnmatch(pattern, text, 0);
}

static size_t run_index(const HistoryView *v, const int64_t *ids, const size_t *order, int64_t id)
{
    size_t low = 0, high = v->nruns;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (ids[mid] < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < v->nruns && ids[low] == id ? order[low] : SIZE_MAX;
}

typedef struct {
    int64_t id;
    size_t at;
} RunKey;

static int compare_run_keys(const void *a, const void *b)
{
    const RunKey *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int read_block(Loading *l, const SqlRows *rows, size_t run, RawBlock *b)
{
    const SqlOps *ops = l->sql->ops;
    *b = (RawBlock){.run = run,
                    .backend = (size_t)ops->get_int(rows, 1), /* a text's number still */
                    .layout = ops->get_int(rows, 2),
                    .status = ops->get_int(rows, 3),
                    .reason = ops->get_int(rows, 4),
                    .counts = ops->get_int(rows, 5)};
    if (!(l->o->what & HISTORY_DURATIONS)) {
        return 0;
    }
    size_t n;
    char what[256];
    const void *bytes = ops->get_blob(rows, 6, &n);
    snprintf(what, sizeof what, "%.200s: durations of run %" PRId64, l->sql->where, ops->get_int(rows, 0));
    return unpack_chunk(bytes, n, what, &b->duration, &b->nduration, l->err);
}

/* The blocks of the wanted runs; those between them are passed over. */
static int load_blocks(Loading *l)
{
    HistoryView *v = l->v;
    RunKey *keys = x_calloc(v->nruns + 1, sizeof *keys);
    int64_t *ids = x_calloc(v->nruns + 1, sizeof *ids);
    size_t *order = x_calloc(v->nruns + 1, sizeof *order);
    for (size_t i = 0; i < v->nruns; i++) {
        keys[i] = (RunKey){v->runs[i].id, i};
    }
    qsort(keys, v->nruns, sizeof *keys, compare_run_keys);
    for (size_t i = 0; i < v->nruns; i++) {
        ids[i] = keys[i].id;
        order[i] = keys[i].at;
    }
    SqlRows *rows = NULL;
    const SqlOps *ops = l->sql->ops;
    int64_t first = v->nruns ? ids[0] : 1, last = v->nruns ? ids[v->nruns - 1] : 0;
    int rc = ops->query(
        l->sql,
        l->o->what & HISTORY_DURATIONS
            ? "SELECT run, backend, layout, status, reason, counts, duration FROM conf_block WHERE run >= $1 AND run "
              "<= $2"
            : "SELECT run, backend, layout, status, reason, counts FROM conf_block WHERE run >= $1 AND run <= $2",
        SQL_ARGS(sql_int(first), sql_int(last)), &rows, l->err);
    while (!rc && (rc = ops->next(rows, l->err)) > 0) {
        RawBlock b;
        size_t run = run_index(v, ids, order, ops->get_int(rows, 0));
        rc = 0;
        if (run != SIZE_MAX) {
            rc = read_block(l, rows, run, &b);
            VEC_PUSH(&l->raw, b);
        }
    }
    if (rows) {
        ops->end(rows);
    }
    mem_free(keys);
    mem_free(ids);
    mem_free(order);
    return rc;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(((const IdText *)a)->text, ((const IdText *)b)->text);
}

/* Names of the backends, those that are not wanted left out, and the blocks get their indices. */
static int load_backends(Loading *l)
{
    int64_t *ids = x_calloc(l->raw.n + 1, sizeof *ids);
    IdTexts texts = {0};
    for (size_t i = 0; i < l->raw.n; i++) {
        ids[i] = (int64_t)l->raw.items[i].backend;
    }
    int rc = load_texts(l->sql, ids, l->raw.n, l->v->arena, &texts, l->err);
    mem_free(ids);
    for (size_t i = 0; i < texts.n; i++) {
        if (is_match(l->o->backend, texts.items[i].text)) {
            VEC_PUSH(&l->backends, texts.items[i]);
        }
    }
    VEC_FREE(&texts);
    if (l->backends.n) {
        qsort(l->backends.items, l->backends.n, sizeof *l->backends.items, compare_texts);
    }
    l->v->nbackends = l->backends.n;
    l->v->backends = x_calloc(l->backends.n + 1, sizeof *l->v->backends);
    for (size_t i = 0; i < l->backends.n; i++) {
        l->v->backends[i] = l->backends.items[i].text;
    }
    size_t kept = 0;
    for (size_t i = 0; i < l->raw.n; i++) {
        RawBlock b = l->raw.items[i];
        int64_t id = (int64_t)b.backend;
        for (b.backend = 0; b.backend < l->backends.n && l->backends.items[b.backend].id != id; b.backend++) {
        }
        if (b.backend < l->backends.n) {
            l->raw.items[kept++] = b;
        } else {
            mem_free(b.duration);
        }
    }
    l->raw.n = kept;
    return rc;
}

typedef struct {
    Loading *l;
    int rc;
} ChunkRows;

static void on_chunk(void *ctx, const SqlRows *rows)
{
    ChunkRows *t = ctx;
    Loading *l = t->l;
    Chunk c = {.id = rows->sql->ops->get_int(rows, 0)};
    size_t n;
    char what[256];
    const void *bytes = rows->sql->ops->get_blob(rows, 1, &n);
    if (t->rc) {
        return;
    }
    name_chunk(l->sql, c.id, what, sizeof what);
    t->rc = unpack_chunk(bytes, n, what, &c.raw, &c.n, l->err);
    VEC_PUSH(&l->v->chunks, c);
}

static int load_chunks(Loading *l)
{
    int64_t *ids = x_calloc(l->raw.n * 4 + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < l->raw.n; i++) {
        const RawBlock *b = &l->raw.items[i];
        ids[n++] = b->layout;
        ids[n++] = b->status;
        if (l->o->what & HISTORY_REASONS) {
            ids[n++] = b->reason;
        }
        if (l->o->what & HISTORY_COUNTS) {
            ids[n++] = b->counts;
        }
    }
    ChunkRows t = {.l = l};
    int rc = each_id(l->sql, "SELECT id, data FROM conf_chunk WHERE id", ids, ids_unique(ids, n), on_chunk, &t, l->err);
    mem_free(ids);
    return rc ? rc : t.rc;
}

static Chunk *chunk_of(const Loading *l, int64_t id)
{
    size_t low = 0, high = l->v->chunks.n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (l->v->chunks.items[mid].id < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < l->v->chunks.n && l->v->chunks.items[low].id == id ? &l->v->chunks.items[low] : NULL;
}

static int need_chunk(const Loading *l, int64_t id, Chunk **out)
{
    *out = chunk_of(l, id);
    return *out ? 0 : err_set(l->err, ERR_PROTO, "%s: damaged: chunk %" PRId64 " is missing", l->sql->where, id);
}

static int decode_layouts(Loading *l)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < l->raw.n; i++) {
        Chunk *c;
        char what[256];
        rc = need_chunk(l, l->raw.items[i].layout, &c);
        if (!rc && !c->ids) {
            name_chunk(l->sql, c->id, what, sizeof what);
            rc = unpack_ids(c->raw, c->n, what, &c->ids, &c->nids, l->err);
        }
    }
    return rc;
}

typedef struct {
    int64_t id, suite, scenario, guest;
    uint32_t line;
    HistoryCase c;
} CaseRow;
typedef VEC(CaseRow) CaseRows;

static void on_case(void *ctx, const SqlRows *rows)
{
    CaseRows *t = ctx;
    const SqlOps *ops = rows->sql->ops;
    VEC_PUSH(t, (CaseRow){.id = ops->get_int(rows, 0),
                          .suite = ops->get_int(rows, 1),
                          .scenario = ops->get_int(rows, 2),
                          .guest = ops->get_int(rows, 3),
                          .line = (uint32_t)ops->get_int(rows, 4)});
}

static int compare_cases(const void *a, const void *b)
{
    const HistoryCase *x = &((const CaseRow *)a)->c, *y = &((const CaseRow *)b)->c;
    int order = strcmp(x->suite, y->suite);
    order = order ? order : strcmp(x->scenario, y->scenario);
    return order ? order : strcmp(x->guest, y->guest);
}

static int compare_case_ids(const void *a, const void *b)
{
    return ids_compare(a, b); /* id comes first in the struct */
}

static void index_cases(Loading *l, CaseRows *rows)
{
    if (rows->n) {
        qsort(rows->items, rows->n, sizeof *rows->items, compare_cases);
    }
    l->v->ncases = rows->n;
    l->v->cases = x_calloc(rows->n + 1, sizeof *l->v->cases);
    l->case_index = x_calloc(rows->n + 1, sizeof *l->case_index);
    l->ncase_index = rows->n;
    for (size_t i = 0; i < rows->n; i++) {
        l->v->cases[i] = rows->items[i].c;
        l->case_index[i].id = rows->items[i].id;
        l->case_index[i].at = (uint32_t)i;
    }
    if (rows->n) {
        qsort(l->case_index, rows->n, sizeof *l->case_index, compare_case_ids);
    }
}

/* Every case of a layout, those that are not wanted left out. */
static int load_cases(Loading *l)
{
    VEC(int64_t) ids = {0};
    CaseRows rows = {0};
    IdTexts texts = {0};
    for (size_t i = 0; i < l->v->chunks.n; i++) {
        const Chunk *c = &l->v->chunks.items[i];
        for (size_t k = 0; k < c->nids; k++) {
            VEC_PUSH(&ids, c->ids[k]);
        }
    }
    ids.n = ids_unique(ids.items, ids.n);
    int rc = each_id(l->sql, "SELECT id, suite, scenario, guest, line FROM conf_case WHERE id", ids.items, ids.n,
                     on_case, &rows, l->err);
    ids.n = 0;
    for (size_t i = 0; i < rows.n; i++) {
        VEC_PUSH(&ids, rows.items[i].suite);
        VEC_PUSH(&ids, rows.items[i].scenario);
        VEC_PUSH(&ids, rows.items[i].guest);
    }
    rc = rc ? rc : load_texts(l->sql, ids.items, ids.n, l->v->arena, &texts, l->err);
    size_t kept = 0;
    for (size_t i = 0; i < rows.n; i++) {
        CaseRow *r = &rows.items[i];
        r->c = (HistoryCase){.suite = id_text(&texts, r->suite),
                             .scenario = id_text(&texts, r->scenario),
                             .guest = id_text(&texts, r->guest),
                             .line = r->line};
        if (is_match(l->o->suite, r->c.suite) && is_match(l->o->scenario, r->c.scenario) &&
            is_match(l->o->guest, r->c.guest)) {
            rows.items[kept++] = *r;
        }
    }
    rows.n = kept;
    index_cases(l, &rows);
    VEC_FREE(&rows);
    VEC_FREE(&ids);
    VEC_FREE(&texts);
    return rc;
}

/* From the place in a layout to the case of the view, and back. */
static uint32_t *map_layout(const Loading *l, Chunk *c)
{
    uint32_t *to = x_calloc(c->nids + 1, sizeof *to);
    size_t k = 0;
    c->position = c->position ? c->position : x_calloc(l->v->ncases + 1, sizeof *c->position);
    memset(c->position, 0xff, (l->v->ncases + 1) * sizeof *c->position);
    for (size_t i = 0; i < c->nids; i++) { /* both ascend */
        while (k < l->ncase_index && l->case_index[k].id < c->ids[i]) {
            k++;
        }
        bool is_there = k < l->ncase_index && l->case_index[k].id == c->ids[i];
        to[i] = is_there ? l->case_index[k].at : NO_CASE;
        if (is_there) {
            c->position[to[i]] = (uint32_t)i;
        }
    }
    return to;
}

static int spread(const Loading *l, const RawBlock *b, const Chunk *layout, const uint32_t *to)
{
    HistoryView *v = l->v;
    Chunk *status;
    int rc = need_chunk(l, b->status, &status);
    if (rc) {
        return rc;
    }
    size_t row = (b->backend * v->nruns + b->run) * v->ncases;
    if (status->n != layout->nids || (b->duration && b->nduration != layout->nids * 2)) {
        return err_set(l->err, ERR_PROTO, "%s: damaged: the columns of run %" PRId64 " on %s do not fit each other",
                       l->sql->where, v->runs[b->run].id, v->backends[b->backend]);
    }
    for (size_t i = 0; i < layout->nids; i++) {
        if (status->raw[i] >= HISTORY_STATUS_COUNT) {
            return err_set(l->err, ERR_PROTO, "%s: damaged: chunk %" PRId64 " holds no status", l->sql->where,
                           status->id);
        }
        if (to[i] != NO_CASE) {
            v->status[row + to[i]] = status->raw[i];
        }
    }
    for (size_t i = 0; b->duration && i < layout->nids; i++) {
        if (to[i] != NO_CASE) {
            v->duration[row + to[i]] = (uint16_t)(b->duration[2 * i] | b->duration[2 * i + 1] << 8);
        }
    }
    return 0;
}

static int fits(const Loading *l, const Chunk *c, size_t n, const Chunk *layout)
{
    return n == layout->nids ? 0
                             : err_set(l->err, ERR_PROTO, "%s: damaged: chunk %" PRId64 " does not fit its cases",
                                       l->sql->where, c->id);
}

static int decode_counts(const Loading *l, const RawBlock *b, const Chunk *layout, const Chunk **out)
{
    Chunk *c;
    char what[256];
    int rc = need_chunk(l, b->counts, &c);
    *out = c;
    if (rc || c->counts) {
        return rc ? rc : fits(l, c, c->ncounts, layout);
    }
    name_chunk(l->sql, c->id, what, sizeof what);
    c->counts = x_calloc(layout->nids + 1, sizeof *c->counts);
    c->ncounts = layout->nids;
    return unpack_counts(c->raw, c->n, what, c->counts, layout->nids, l->err);
}

static int decode_reasons(const Loading *l, const RawBlock *b, const Chunk *layout, const Chunk **out)
{
    Chunk *c;
    char what[256];
    int rc = need_chunk(l, b->reason, &c);
    *out = c;
    if (rc || c->reasons) {
        return rc ? rc : fits(l, c, c->nreasons, layout);
    }
    name_chunk(l->sql, c->id, what, sizeof what);
    int64_t *ids = x_calloc(layout->nids + 1, sizeof *ids);
    IdTexts texts = {0};
    rc = unpack_sparse(c->raw, c->n, what, ids, layout->nids, l->err);
    rc = rc ? rc : load_texts(l->sql, ids, layout->nids, l->v->arena, &texts, l->err);
    c->reasons = x_calloc(layout->nids + 1, sizeof *c->reasons);
    c->nreasons = layout->nids;
    for (size_t i = 0; !rc && i < layout->nids; i++) {
        c->reasons[i] = ids[i] ? id_text(&texts, ids[i]) : NULL;
    }
    VEC_FREE(&texts);
    mem_free(ids);
    return rc;
}

static int fill_block(const Loading *l, const RawBlock *b)
{
    HistoryView *v = l->v;
    Chunk *layout;
    int rc = need_chunk(l, b->layout, &layout);
    if (rc) {
        return rc;
    }
    Block *block = &v->blocks[b->backend * v->nruns + b->run];
    block->layout = layout;
    if (l->o->what & HISTORY_COUNTS) {
        rc = decode_counts(l, b, layout, &block->counts);
    }
    if (!rc && l->o->what & HISTORY_REASONS) {
        rc = decode_reasons(l, b, layout, &block->reasons);
    }
    return rc;
}

static int compare_raw(const void *a, const void *b)
{
    const RawBlock *x = a, *y = b;
    return ids_compare(&x->layout, &y->layout);
}

static int fill(Loading *l)
{
    HistoryView *v = l->v;
    size_t rows = v->nbackends * v->nruns;
    int rc = 0;
    v->blocks = x_calloc(rows + 1, sizeof *v->blocks);
    v->status = mem_try(rows * v->ncases + 1, sizeof *v->status);
    v->duration = l->o->what & HISTORY_DURATIONS ? mem_try(rows * v->ncases + 1, sizeof *v->duration) : NULL;
    if (!v->status || (l->o->what & HISTORY_DURATIONS && !v->duration)) {
        return err_set(l->err, ERR_NOMEM, "no memory for %zu results; ask for fewer runs", rows * v->ncases);
    }
    if (l->raw.n) {
        qsort(l->raw.items, l->raw.n, sizeof *l->raw.items, compare_raw); /* a layout is mapped once */
    }
    uint32_t *to = NULL;
    for (size_t i = 0; !rc && i < l->raw.n; i++) {
        const RawBlock *b = &l->raw.items[i];
        if (!i || b->layout != b[-1].layout) {
            mem_free(to);
            to = map_layout(l, chunk_of(l, b->layout));
        }
        rc = spread(l, b, chunk_of(l, b->layout), to);
        rc = rc ? rc : fill_block(l, b);
    }
    mem_free(to);
    return rc;
}

static void copy_runs(HistoryView *v, const HistoryRuns *runs)
{
    v->nruns = runs->n;
    v->runs = x_calloc(runs->n + 1, sizeof *v->runs);
    for (size_t i = 0; i < runs->n; i++) {
        HistoryRun *r = &v->runs[i];
        *r = runs->runs[i];
        const char **texts[] = {&r->uid,  &r->commit,  &r->parent, &r->branch,
                                &r->host, &r->version, &r->job,    &r->cut_short};
        for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
            *texts[k] = arena_strdup(v->arena, *texts[k] ? *texts[k] : "");
        }
    }
}

int history_view(History *h, const HistoryViewOptions *o, HistoryView **out, Err *err)
{
    HistoryView *v = x_alloc(sizeof *v);
    v->arena = arena_new();
    copy_runs(v, o->runs);
    Loading l = {.sql = h->sql, .o = o, .v = v, .err = err};
    int rc = h->sql->ops->exec(h->sql, h->sql->ops->begin_read, err);
    if (!rc) {
        rc = load_blocks(&l);
        rc = rc ? rc : load_backends(&l);
        rc = rc ? rc : load_chunks(&l);
        rc = rc ? rc : decode_layouts(&l);
        rc = rc ? rc : load_cases(&l);
        rc = rc ? rc : fill(&l);
        rc = sql_finish(h->sql, rc, err);
    }
    for (size_t i = 0; i < l.raw.n; i++) {
        mem_free(l.raw.items[i].duration);
    }
    VEC_FREE(&l.raw);
    VEC_FREE(&l.backends);
    mem_free(l.case_index);
    if (rc) {
        history_view_free(v);
        return rc;
    }
    *out = v;
    return 0;
}

void history_view_free(HistoryView *v)
{
    if (!v) {
        return;
    }
    for (size_t i = 0; i < v->chunks.n; i++) {
        Chunk *c = &v->chunks.items[i];
        mem_free(c->raw);
        mem_free(c->ids);
        mem_free(c->position);
        mem_free(c->counts);
        mem_free(c->reasons);
    }
    VEC_FREE(&v->chunks);
    mem_free(v->blocks);
    mem_free(v->status);
    mem_free(v->duration);
    mem_free(v->cases);
    mem_free(v->backends);
    mem_free(v->runs);
    arena_free(v->arena);
    mem_free(v);
}

/* ---- asking ---- */

size_t history_nruns(const HistoryView *v)
{
    return v->nruns;
}

size_t history_ncases(const HistoryView *v)
{
    return v->ncases;
}

size_t history_nbackends(const HistoryView *v)
{
    return v->nbackends;
}

const HistoryRun *history_run(const HistoryView *v, size_t run)
{
    return &v->runs[run];
}

const HistoryCase *history_case(const HistoryView *v, size_t c)
{
    return &v->cases[c];
}

const char *history_backend(const HistoryView *v, size_t backend)
{
    return v->backends[backend];
}

size_t history_find_case(const HistoryView *v, const char *suite, const char *scenario, const char *guest)
{
    const CaseRow key = {.c = {.suite = suite, .scenario = scenario, .guest = guest}};
    size_t low = 0, high = v->ncases;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const CaseRow row = {.c = v->cases[mid]};
        int order = compare_cases(&row, &key);
        if (!order) {
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return SIZE_MAX;
}

size_t history_find_backend(const HistoryView *v, const char *name)
{
    size_t i = 0;
    while (i < v->nbackends && strcmp(v->backends[i], name) != 0) {
        i++;
    }
    return i < v->nbackends ? i : SIZE_MAX;
}

HistoryStatus history_status(const HistoryView *v, size_t run, size_t backend, size_t c)
{
    return (HistoryStatus)v->status[(backend * v->nruns + run) * v->ncases + c];
}

const uint8_t *view_statuses(const HistoryView *v, size_t run, size_t backend)
{
    return v->status + (backend * v->nruns + run) * v->ncases;
}

const uint16_t *view_durations(const HistoryView *v, size_t run, size_t backend)
{
    return v->duration ? v->duration + (backend * v->nruns + run) * v->ncases : NULL;
}

uint64_t history_duration_ns(const HistoryView *v, size_t run, size_t backend, size_t c)
{
    return v->duration ? unpack_duration(v->duration[(backend * v->nruns + run) * v->ncases + c]) : 0;
}

const char *history_reason(const HistoryView *v, size_t run, size_t backend, size_t c)
{
    const Block *b = &v->blocks[backend * v->nruns + run];
    if (!b->layout || !b->reasons || !b->reasons->reasons || b->layout->position[c] == NO_CASE) {
        return "";
    }
    const char *text = b->reasons->reasons[b->layout->position[c]];
    return text ? text : "";
}

void history_counts(const HistoryView *v, size_t run, size_t backend, size_t c, uint64_t *exits, uint64_t *transitions,
                    uint32_t *retries)
{
    const Block *b = &v->blocks[backend * v->nruns + run];
    bool is_there = b->layout && b->counts && b->layout->position[c] != NO_CASE;
    PackCounts counts = is_there ? b->counts->counts[b->layout->position[c]] : (PackCounts){0};
    *exits = counts.exits;
    *transitions = counts.transitions;
    *retries = counts.retries;
}

bool history_next(const HistoryView *v, size_t run, HistoryIter *it, HistoryResult *r)
{
    for (; it->c < v->ncases; it->c++, it->backend = 0) {
        while (it->backend < v->nbackends && history_status(v, run, it->backend, it->c) == HISTORY_absent) {
            it->backend++;
        }
        if (it->backend == v->nbackends) {
            continue;
        }
        const HistoryCase *c = &v->cases[it->c];
        *r = (HistoryResult){.suite = c->suite,
                             .scenario = c->scenario,
                             .guest = c->guest,
                             .backend = v->backends[it->backend],
                             .status = history_status(v, run, it->backend, it->c),
                             .reason = history_reason(v, run, it->backend, it->c),
                             .duration_ns = history_duration_ns(v, run, it->backend, it->c),
                             .line = c->line};
        history_counts(v, run, it->backend, it->c, &r->exits, &r->transitions, &r->retries);
        it->backend++;
        return true;
    }
    return false;
}
