/* SPDX-License-Identifier: Apache-2.0
 * cover.h - coverage of a run: what a story tells its job's collector, and the file that a run writes. */
#ifndef CONFORMANCE_COVER_H
#define CONFORMANCE_COVER_H

#include "conformance/plan.h"
#include "coverage/collect.h"

/* ---- of a run; RunnerOptions.is_coverage ---- */
typedef struct {
    Coverage *c;
    const Plan *plan;
} Cover;
/* Lists the universe. The plan's backends are looked at when a result comes. */
void cover_begin(Cover *x, const Plan *plan);
void cover_result(void *ctx, const Job *job, Result *r); /* RunnerOptions.on_result; ctx is a Cover */
MUST_USE int cover_save(const Cover *x, const char *path, Err *err);
void cover_free(Cover *x);
/* Items of the kind exit_field. */
void cover_fields(Coverage *c);
#endif
