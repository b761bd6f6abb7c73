/* SPDX-License-Identifier: Apache-2.0
 * model.h - the inside of a Coverage: its indices by content. */
#ifndef COVERAGE_MODEL_H
#define COVERAGE_MODEL_H

#include "accel/accel.h"
#include "coverage/coverage.h"

typedef struct {
    uint32_t hash, value; /* value COV_NONE: free */
} CovSlot;
typedef struct {
    CovSlot *slots;
    size_t n, cap; /* cap: a power of 2, or 0 */
} CovMap;
typedef enum { COV_TEXT, COV_KIND, COV_RUN, COV_SCENARIO, COV_TEXT_TABLES } CovTextTable;
struct CovIndex {
    CovMap by_text[COV_TEXT_TABLES], items, contexts, rules, hits;
    VEC(const char *) texts; /* groups, scopes, patterns, reasons */
};
uint32_t coverage_kind_add(Coverage *c, const char *kind);
const char *coverage_kind_scope(const char *kind); /* of kinds.def; "*" if it has none */
/* universe.c: the items of a cell and of an edge, listed or not. */
uint32_t lifecycle_item(Coverage *c, const LifeModel *m, uint8_t state, LifeOp op);
uint32_t lifecycle_edge(Coverage *c, const LifeModel *m, uint8_t from, uint8_t to);
#endif
