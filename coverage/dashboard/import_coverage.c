/* SPDX-License-Identifier: Apache-2.0
 * import_coverage.c - what coverage/coverage.h holds, as the pages show it: a letter per item and backend, and some of the
 * scenarios that reach it. */
#include "coverage/coverage.h"

#include "coverage/dashboard/dashboard.h"

#include <string.h>

static const char *rule_reason(const Coverage *c, uint32_t item)
{
    for (uint32_t i = 0; i < c->contexts.n; i++) {
        const char *why = coverage_excluded(c, item, i);
        if (why && *why) {
            return why;
        }
    }
    return NULL;
}

static char mask_letter(const CovMatrix *m, size_t cell)
{
    return m->count[cell] ? '1' : m->state[cell] == COV_OPEN ? '0' : '-';
}

/* Lines of C are too many to be listed; gcovr's own pages show them. */
static bool is_listed(const Coverage *c, uint32_t kind)
{
    return strncmp(c->kinds.items[kind], "c_", 2) != 0;
}

static void add_item(Dash *d, const Coverage *c, const CovMatrix *m, uint32_t i, const size_t *kinds)
{
    const CovItem *item = &c->items.items[i];
    DashItem it = {.kind = kinds[item->kind],
                   .group = arena_strdup(d->arena, item->group ? item->group : ""),
                   .name = arena_strdup(d->arena, item->name),
                   .mask = arena_alloc(d->arena, m->nbackends + 1)};
    for (size_t b = 0; b < m->nbackends; b++) {
        it.mask[b] = mask_letter(m, i * m->nbackends + b);
    }
    const char *why = strchr(it.mask, '-') ? rule_reason(c, i) : NULL;
    it.reason = why ? arena_strdup(d->arena, why) : NULL;
    VEC_PUSH(&d->items, it);
}

/* Scenarios of an item, each once; the first few by their order in the file are named. where: the DashItem of each item. */
static void add_scenarios(Dash *d, const Coverage *c, const size_t *where)
{
    uint32_t *last = x_calloc(c->items.n + 1, sizeof *last);
    size_t *at = x_calloc(c->scenarios.n + 1, sizeof *at); /* where the hits of a scenario go in `order` */
    uint32_t *order = x_calloc(c->hits.n + 1, sizeof *order);
    for (size_t i = 0; i < c->hits.n; i++) {
        at[c->hits.items[i].scenario + 1]++;
    }
    for (size_t s = 0; s < c->scenarios.n; s++) {
        at[s + 1] += at[s];
    }
    for (size_t i = 0; i < c->hits.n; i++) {
        order[at[c->hits.items[i].scenario]++] = (uint32_t)i;
    }
    for (size_t i = 0; i < c->hits.n; i++) {
        const CovHit *hit = &c->hits.items[order[i]];
        if (where[hit->item] == DASH_NONE || last[hit->item] == hit->scenario + 1) {
            continue;
        }
        DashItem *it = &d->items.items[where[hit->item]];
        last[hit->item] = hit->scenario + 1;
        it->nscenarios++;
        if (it->nby < DASH_BY_MAX) {
            it->by[it->nby++] = hit->scenario;
        }
    }
    mem_free(last);
    mem_free(at);
    mem_free(order);
}

/* The C code by folder, until import_gcovr() knows more. */
static void add_code(Dash *d, const char *kind, const CovRow *row)
{
    size_t i = 0;
    while (i < d->code.n && strcmp(d->code.items[i].path, row->group) != 0) {
        i++;
    }
    if (i == d->code.n) {
        VEC_PUSH(&d->code, (DashCode){.path = arena_strdup(d->arena, row->group)});
    }
    DashCode *c = &d->code.items[i];
    uint64_t *to = !strcmp(kind, "c_line") ? c->lines : !strcmp(kind, "c_branch") ? c->branches : c->functions;
    to[0] = row->covered;
    to[1] = row->total;
}

/* In the order of the tally, which is that of kinds.def. */
static void add_kinds(Dash *d, const Coverage *c, const CovMatrix *m, size_t *kinds)
{
    CovTally tally = {0};
    coverage_tally(c, m, &tally);
    for (size_t i = 0; i < tally.rows.n; i++) {
        const CovRow *row = &tally.rows.items[i];
        if (row->group && !row->backend && !is_listed(c, row->kind)) {
            add_code(d, c->kinds.items[row->kind], row);
        } else if (!row->group && !row->backend) {
            const char *name = arena_strdup(d->arena, c->kinds.items[row->kind]);
            kinds[row->kind] = d->kinds.n;
            VEC_PUSH(&d->kinds, (DashKind){.name = name,
                                           .title = arena_strdup(d->arena, coverage_kind_title(name)),
                                           .covered = row->covered,
                                           .total = row->total});
        }
    }
    coverage_tally_free(&tally);
}

void import_coverage(Dash *d, const Coverage *c)
{
    CovMatrix m = {0};
    size_t *kinds = x_calloc(c->kinds.n + 1, sizeof *kinds), *where = x_calloc(c->items.n + 1, sizeof *where);
    coverage_matrix(c, &m);
    add_kinds(d, c, &m, kinds);
    for (size_t b = 0; b < m.nbackends; b++) {
        VEC_PUSH(&d->cover_backends, arena_strdup(d->arena, m.backends[b]));
    }
    for (size_t i = 0; i < c->scenarios.n; i++) {
        VEC_PUSH(&d->cover_scenarios, arena_strdup(d->arena, c->scenarios.items[i]));
    }
    for (uint32_t i = 0; i < c->items.n; i++) {
        where[i] = DASH_NONE;
        if (is_listed(c, c->items.items[i].kind)) {
            where[i] = d->items.n;
            add_item(d, c, &m, i, kinds);
        }
    }
    add_scenarios(d, c, where);
    coverage_matrix_free(&m);
    mem_free(kinds);
    mem_free(where);
}
