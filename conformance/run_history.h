/* SPDX-License-Identifier: Apache-2.0
 * run_history.h - conf run --history: what the last run came to, and the run that just was, added. */
#ifndef CONFORMANCE_RUN_HISTORY_H
#define CONFORMANCE_RUN_HISTORY_H

#include "conformance/history_cover.h"
#include "conformance/report.h"
#include "conformance/runner.h"

typedef struct RunHistory RunHistory;
/* Opens the history (where NULL: the default) and compares the run with the newest whole one of its branch, else of `main`, else of any; on the
 * same host if it has one. run->since is set then, and valid until run_history_end. coverage: of the run; NULL = it was not collected; it
 * must live as long. NULL: the history cannot be opened, which was said on stderr. */
RunHistory *run_history_begin(const char *where, Run *run, int64_t start_ms, const Coverage *coverage);
/* Adds the run, with what the backends say of themselves (runner NULL: nothing), tells its number on run->out, and frees. -ERR_x was
 * said on stderr; NULL is -ERR_IO. */
MUST_USE int run_history_end(RunHistory *h, Run *run, Runner *runner, const Plan *plan);
#endif
