/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/history_cover.h"

#include <stdlib.h>
#include <string.h>

static bool is_reached(const CovMatrix *m, size_t item, const char *backend)
{
    bool is = false;
    for (size_t b = 0; b < m->nbackends; b++) {
        is |= (!backend || !strcmp(m->backends[b], backend)) && m->count[item * m->nbackends + b] &&
              (!backend || m->state[item * m->nbackends + b] != COV_FOREIGN);
    }
    return is;
}

/* The items that the row of the tally counts as covered. */
static void add_row(HistoryCover *x, const Coverage *c, const CovMatrix *m, const CovRow *row)
{
    const char *kind = c->kinds.items[row->kind];
    bool has_items = strcmp(kind, "c_line") != 0 && strcmp(kind, "c_branch") != 0;
    VEC(const char *) items = {0};
    for (size_t i = 0; has_items && i < c->items.n; i++) {
        const CovItem *item = &c->items.items[i];
        if (item->kind == row->kind && item->is_listed && is_reached(m, i, row->backend)) {
            VEC_PUSH(&items, item->name);
        }
    }
    if (items.n) {
        qsort(items.items, items.n, sizeof *items.items, text_compare);
    }
    VEC_PUSH(&x->rows, (HistoryCoverage){.kind = kind,
                                         .backend = row->backend ? row->backend : "",
                                         .covered = row->covered,
                                         .total = row->total,
                                         .items = items.items,
                                         .nitems = items.n});
}

void history_cover_add(HistoryCover *x, const Coverage *c)
{
    CovMatrix m;
    CovTally tally;
    coverage_matrix(c, &m);
    coverage_tally(c, &m, &tally);
    for (size_t i = 0; i < tally.rows.n; i++) {
        const CovRow *row = &tally.rows.items[i];
        if (!row->group && (!row->backend || *row->backend)) { /* the program itself has a row of all together */
            add_row(x, c, &m, row);
        }
    }
    coverage_tally_free(&tally);
    coverage_matrix_free(&m);
}

void history_cover_free(HistoryCover *x)
{
    for (size_t i = 0; i < x->rows.n; i++) {
        mem_free((void *)x->rows.items[i].items);
    }
    VEC_FREE(&x->rows);
}

bool history_cover_is(const void *bytes, size_t n)
{
    static const char KEY[] = "\"conf_coverage\""; /* the first one, docs/coverage.md */
    const char *p = bytes, *end = p + n;
    for (; p < end && strchr(" \t\r\n{", *p); p++) {
    }
    return (size_t)(end - p) >= sizeof KEY - 1 && !memcmp(p, KEY, sizeof KEY - 1);
}
