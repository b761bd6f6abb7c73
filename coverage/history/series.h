/* SPDX-License-Identifier: Apache-2.0
 * series.h - the runs of one host and one branch, in order: what the analyses compare with each other. */
#ifndef COVERAGE_HISTORY_SERIES_H
#define COVERAGE_HISTORY_SERIES_H

#include "coverage/history/history.h"

typedef struct {
    size_t *runs; /* indices of the view, ascending */
    size_t n;
} Series;
typedef struct {
    Series *items;
    size_t n;
    size_t *memory;
} AllSeries;
AllSeries series_of(const HistoryView *v);
void series_free(AllSeries *s);

/* ---- trend.c: on the logarithms, 1,024 to the octave ---- */
enum { KEY_OCTAVE = 1024, KEY_MIDDLE = 32768 };
typedef struct {
    double alpha, min_change;
    size_t min_segment, nseries;
} StepRule;
StepRule step_rule(const HistoryStepOptions *o);
typedef struct {
    size_t at;
    double p;
} KeyStep;
/* The steps of n keys, in order, into a list that the caller frees. */
typedef VEC(KeyStep) KeySteps;
void key_steps(const uint16_t *keys, size_t n, const StepRule *rule, KeySteps *out);
uint16_t key_median(uint16_t *keys, size_t n); /* reorders; 0 if n is 0 */
#endif
