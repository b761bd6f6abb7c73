/* SPDX-License-Identifier: Apache-2.0
 * commit_log.h - a line for each instruction that retired, as Spike's --log-commits writes it:
 *
 *     core   0: 3 0x0000000080000000 (0x00500513) x10 0x0000000000000005
 *
 * hart; privilege (0 U, 1 S, 3 M); pc; the instruction's bits; each register of x and f that changed, and its value. Other than in
 * Spike's, a register that was written with the value that it had is not named, and neither are memory and CSRs.
 *
 * The machine must make one step (SimRun.is_step) between two calls. Not in real time. */
#ifndef SIM_CMD_COMMIT_LOG_H
#define SIM_CMD_COMMIT_LOG_H

#include "sim/sim.h"

typedef struct CommitLog CommitLog;
/* Writes to a file; "-": standard error. -ERR_IO: it cannot be written. */
MUST_USE int commit_log_open(const char *path, CommitLog **out, Err *err);
void commit_log_begin(CommitLog *l, Sim *s);           /* of a machine, before its first instruction */
void commit_log_look(CommitLog *l, Sim *s);            /* after at most one more step */
MUST_USE int commit_log_close(CommitLog *l, Err *err); /* NULL is fine. -ERR_IO: some of it was lost */
#endif
