/* SPDX-License-Identifier: Apache-2.0
 * history_cover.h - what a Coverage comes to, as rows of the history: a row for each kind of all backends together ("" as the backend),
 * and one for each backend. Lines and branches of C code have no items: their names are places that change with each commit. */
#ifndef CONFORMANCE_HISTORY_COVER_H
#define CONFORMANCE_HISTORY_COVER_H

#include "coverage/coverage.h"
#include "coverage/history/history.h"

typedef struct {
    VEC(HistoryCoverage) rows; /* items sorted by name; texts are the Coverage's */
} HistoryCover;
/* Appends to x->rows; c must outlive them. */
void history_cover_add(HistoryCover *x, const Coverage *c);
void history_cover_free(HistoryCover *x);
/* Is it a file of `conf run --coverage`, and not a document of docs/history.md? */
bool history_cover_is(const void *bytes, size_t n);
#endif
