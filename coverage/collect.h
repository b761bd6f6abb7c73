/* SPDX-License-Identifier: Apache-2.0
 * collect.h - the collectors on this side of the waist, and the universe of what they count.
 *
 * A CovJob gathers what one scenario reaches on one backend: it is told by the observer of its VM (the first three functions
 * are an Observer's), by whoever plays the scenario, and by the backend itself, if it has a ctl "sim.coverage". At its end
 * it is poured into a Coverage. What a job gathers is bounded by what there is to be covered, not by its length. */
#ifndef COVERAGE_COLLECT_H
#define COVERAGE_COLLECT_H

#include "accel/accel.h"
#include "coverage/coverage.h"

/* ---- the universe ---- */
/* Lists everything of the kinds exit, lifecycle, lifecycle_edge, operation, error and capability, and the rules of rules.def. */
void coverage_universe(Coverage *c);
/* A backend (as results show it) that was opened for the guest: its context, and what it says that it cannot do as rules. */
uint32_t coverage_opened(Coverage *c, const char *shown, GuestId guest, const Caps *caps);

/* ---- a job ---- */
typedef struct CovJob CovJob;
CovJob *covjob_new(const LifeModel *model); /* borrowed */
/* Should the universe of the backend's own kinds be asked for too; has it come? */
void covjob_want_items(CovJob *j);
bool covjob_wants_items(const CovJob *j);
bool covjob_has_items(const CovJob *j);
void covjob_free(CovJob *j); /* NULL is fine */
/* THREAD-SAFE. ctx is the CovJob. */
void covjob_on_exit(void *ctx, const VmExit *e);
void covjob_on_op(void *ctx, uint8_t vcpu, LifeOp op, uint8_t from, uint8_t to, int rc);
void covjob_on_call(void *ctx, const char *call, int rc);
/* Anything else that was reached. THREAD-SAFE. */
void covjob_reached(CovJob *j, const char *kind, const char *group, const char *name, uint64_t n);
/* What a backend answered to "sim.coverage": lines of KIND, GROUP, NAME and a count, with tabs between them; a count of 0 lists
 * an item of the universe. docs/coverage.md. All or nothing: -ERR_PROTO with the line. */
MUST_USE int covjob_answer(CovJob *j, const void *bytes, size_t n, Err *err);
/* Of a job that does not count: what its backend listed, and no hits. */
void covjob_list(const CovJob *j, Coverage *c);
/* Pours it into c: once, when nobody tells it anything any more. */
void covjob_end(const CovJob *j, Coverage *c, uint32_t context, uint32_t scenario);

enum { COV_ANSWER_MAX = 1 << 22 }; /* bytes of an answer */
#define COV_CTL "sim.coverage"
#endif
