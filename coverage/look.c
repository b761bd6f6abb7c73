/* SPDX-License-Identifier: Apache-2.0
 * look.c - what is computed from a Coverage: who reached what, and how much of what there is. */
#include "coverage/model.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *scope, *title;
} known[] = {
#define KIND(name, scope, title) {#name, scope, title},
#include "coverage/kinds.def"
#undef KIND
};

static size_t kind_rank(const char *kind)
{
    size_t i = 0;
    while (i < ARRAY_LEN(known) && strcmp(known[i].name, kind) != 0) {
        i++;
    }
    return i;
}

int coverage_kind_order(const char *a, const char *b)
{
    size_t i = kind_rank(a), j = kind_rank(b);
    return i != j ? (i < j ? -1 : 1) : strcmp(a, b);
}

const char *coverage_kind_title(const char *kind)
{
    size_t i = kind_rank(kind);
    return i < ARRAY_LEN(known) ? known[i].title : kind;
}

const char *coverage_kind_scope(const char *kind)
{
    size_t i = kind_rank(kind);
    return i < ARRAY_LEN(known) ? known[i].scope : "*";
}

bool coverage_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *again = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            again = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return !*pattern;
}

/* The program itself is reached by no pattern but its own. */
static bool in_scope(const CovItem *item, const char *backend)
{
    return *item->scope && *backend ? coverage_matches(item->scope, backend) : !*item->scope && !*backend;
}

static const char *rule_for(const Coverage *c, const CovItem *item, const CovContext *x)
{
    for (size_t i = 0; i < c->rules.n; i++) {
        const CovRule *r = &c->rules.items[i];
        if (!strcmp(r->kind, c->kinds.items[item->kind]) && coverage_matches(r->backend, x->backend) &&
            coverage_matches(r->guest, x->guest) && coverage_matches(r->item, item->name)) {
            return r->reason;
        }
    }
    return NULL;
}

const char *coverage_excluded(const Coverage *c, uint32_t item, uint32_t context)
{
    const CovItem *it = &c->items.items[item];
    const CovContext *x = &c->contexts.items[context];
    return it->is_listed && in_scope(it, x->backend) ? rule_for(c, it, x) : "";
}

/* ---- the matrix ---- */
static size_t backend_index(const CovMatrix *m, const char *backend)
{
    size_t i = 0;
    while (strcmp(m->backends[i], backend) != 0) {
        i++;
    }
    return i;
}

static void matrix_backends(const Coverage *c, CovMatrix *m)
{
    m->backends = x_calloc(c->contexts.n, sizeof *m->backends);
    for (size_t i = 0; i < c->contexts.n; i++) {
        m->backends[i] = c->contexts.items[i].backend;
    }
    if (c->contexts.n) {
        qsort(m->backends, c->contexts.n, sizeof *m->backends, text_compare);
    }
    for (size_t i = 0; i < c->contexts.n; i++) {
        if (!m->nbackends || strcmp(m->backends[m->nbackends - 1], m->backends[i]) != 0) {
            m->backends[m->nbackends++] = m->backends[i];
        }
    }
}

static void matrix_states(const Coverage *c, const uint32_t *backend_of, CovMatrix *m)
{
    bool *has_rules = x_calloc(c->kinds.n, sizeof *has_rules);
    for (size_t i = 0; i < c->rules.n; i++) {
        uint32_t kind = coverage_kind_find(c, c->rules.items[i].kind);
        if (kind != COV_NONE) {
            has_rules[kind] = true;
        }
    }
    for (size_t i = 0; i < c->items.n; i++) {
        const CovItem *item = &c->items.items[i];
        uint8_t *state = &m->state[i * m->nbackends];
        memset(state, COV_FOREIGN, m->nbackends);
        for (size_t x = 0; item->is_listed && x < c->contexts.n; x++) {
            const CovContext *context = &c->contexts.items[x];
            if (state[backend_of[x]] != COV_OPEN && in_scope(item, context->backend)) {
                bool is_out = has_rules[item->kind] && rule_for(c, item, context);
                state[backend_of[x]] = is_out ? COV_EXCLUDED : COV_OPEN;
            }
        }
    }
    mem_free(has_rules);
}

void coverage_matrix(const Coverage *c, CovMatrix *out)
{
    *out = (CovMatrix){.nitems = c->items.n};
    matrix_backends(c, out);
    uint32_t *backend_of = x_calloc(c->contexts.n, sizeof *backend_of);
    for (size_t i = 0; i < c->contexts.n; i++) {
        backend_of[i] = (uint32_t)backend_index(out, c->contexts.items[i].backend);
    }
    size_t cells = c->items.n * out->nbackends;
    out->count = x_calloc(cells, sizeof *out->count);
    out->state = x_calloc(cells, sizeof *out->state);
    for (size_t i = 0; i < c->hits.n; i++) {
        const CovHit *h = &c->hits.items[i];
        uint64_t *count = &out->count[h->item * out->nbackends + backend_of[h->context]];
        *count = *count + h->count < h->count ? UINT64_MAX : *count + h->count;
    }
    matrix_states(c, backend_of, out);
    mem_free(backend_of);
}

void coverage_matrix_free(CovMatrix *m)
{
    mem_free(m->backends);
    mem_free(m->count);
    mem_free(m->state);
    *m = (CovMatrix){0};
}

/* ---- the tally ---- */
typedef struct {
    const Coverage *c;
    const CovMatrix *m;
    CovTally *out;
    uint32_t *order; /* items by kind and group */
} Tally;

static void row_count(CovRow *row, bool is_listed, bool is_open, bool is_excluded, bool is_reached)
{
    if (!is_listed) {
        row->unlisted += is_reached;
    } else if (is_reached || is_open) {
        row->total++;
        row->covered += is_reached;
    } else {
        row->excluded += is_excluded;
    }
}

/* Adds the item to the row of one backend, or (SIZE_MAX) of all together. */
static void row_add(const Tally *t, CovRow *row, uint32_t item, size_t backend)
{
    const uint64_t *count = &t->m->count[item * t->m->nbackends];
    const uint8_t *state = &t->m->state[item * t->m->nbackends];
    bool is_listed = t->c->items.items[item].is_listed;
    if (backend != SIZE_MAX) {
        bool is_foreign = is_listed && state[backend] == COV_FOREIGN;
        if (!is_foreign) {
            row_count(row, is_listed, state[backend] == COV_OPEN, state[backend] == COV_EXCLUDED, count[backend] > 0);
        }
        return;
    }
    bool is_open = false, is_excluded = false, is_reached = false;
    for (size_t b = 0; b < t->m->nbackends; b++) {
        is_open |= state[b] == COV_OPEN;
        is_excluded |= state[b] == COV_EXCLUDED;
        is_reached |= count[b] > 0;
    }
    /* what no backend of these runs could have counts as open, so that a file without any is not at 100 % */
    row_count(row, is_listed, is_open || !is_excluded, is_excluded, is_reached);
}

/* One kind and group (NULL: all), items order[from..to): the row of all backends, then of each. */
static void rows_add(const Tally *t, size_t from, size_t to, const char *group)
{
    uint32_t kind = t->c->items.items[t->order[from]].kind;
    for (size_t b = 0; b <= t->m->nbackends; b++) {
        size_t backend = b ? b - 1 : SIZE_MAX;
        CovRow row = {.kind = kind, .group = group, .backend = b ? t->m->backends[backend] : NULL};
        for (size_t i = from; i < to; i++) {
            row_add(t, &row, t->order[i], backend);
        }
        if (row.total || row.excluded || row.unlisted) {
            VEC_PUSH(&t->out->rows, row);
        }
    }
}

static int by_kind_and_group(const void *a, const void *b, void *ctx)
{
    const Coverage *c = ctx;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const CovItem *x = &c->items.items[i], *y = &c->items.items[j];
    if (x->kind != y->kind) {
        return coverage_kind_order(c->kinds.items[x->kind], c->kinds.items[y->kind]);
    }
    int groups = strcmp(x->group, y->group);
    return groups ? groups : i < j ? -1 : i > j;
}

void coverage_tally(const Coverage *c, const CovMatrix *m, CovTally *out)
{
    *out = (CovTally){0};
    Tally t = {.c = c, .m = m, .out = out, .order = x_calloc(c->items.n, sizeof *t.order)};
    for (size_t i = 0; i < c->items.n; i++) {
        t.order[i] = (uint32_t)i;
    }
    if (c->items.n) {
        qsort_r(t.order, c->items.n, sizeof *t.order, by_kind_and_group, (void *)c);
    }
    for (size_t from = 0, to; from < c->items.n; from = to) {
        uint32_t kind = c->items.items[t.order[from]].kind;
        for (to = from; to < c->items.n && c->items.items[t.order[to]].kind == kind;) {
            to++;
        }
        rows_add(&t, from, to, NULL);
        for (size_t g = from, end; g < to; g = end) {
            const char *group = c->items.items[t.order[g]].group;
            for (end = g; end < to && !strcmp(c->items.items[t.order[end]].group, group);) {
                end++;
            }
            rows_add(&t, g, end, group);
        }
    }
    mem_free(t.order);
}

void coverage_tally_free(CovTally *t)
{
    VEC_FREE(&t->rows);
}

double coverage_percent(const CovRow *row)
{
    return row->total ? 100.0 * (double)row->covered / (double)row->total : 100.0;
}

/* ---- contradictions ---- */
static int by_item_and_context(const void *a, const void *b)
{
    const CovHit *x = *(const CovHit *const *)a, *y = *(const CovHit *const *)b;
    return x->item != y->item ? (x->item < y->item ? -1 : 1) : x->context < y->context ? -1 : x->context > y->context;
}

size_t coverage_contradictions(const Coverage *c, Buf *out)
{
    size_t n = 0;
    const CovHit **hits = x_calloc(c->hits.n, sizeof *hits);
    for (size_t i = 0; i < c->hits.n; i++) {
        hits[i] = &c->hits.items[i];
    }
    if (c->hits.n) {
        qsort(hits, c->hits.n, sizeof *hits, by_item_and_context);
    }
    for (size_t i = 0; i < c->hits.n; i++) {
        bool is_again = i && hits[i]->item == hits[i - 1]->item && hits[i]->context == hits[i - 1]->context;
        const char *reason = is_again ? NULL : coverage_excluded(c, hits[i]->item, hits[i]->context);
        if (reason && *reason) {
            const CovItem *item = &c->items.items[hits[i]->item];
            const CovContext *x = &c->contexts.items[hits[i]->context];
            buf_printf(out, "%s %s on %s %s: %s\n", c->kinds.items[item->kind], item->name, x->backend, x->guest,
                       reason);
            n++;
        }
    }
    mem_free(hits);
    return n;
}
