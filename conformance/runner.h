/* SPDX-License-Identifier: Apache-2.0
 * runner.h - plays the jobs of a plan on N threads, each with worker processes of its own.
 *
 * A job is one case on one backend, in a process of its own: a crash, a hang, a leak, garbage on the pipe is one ERROR,
 * and every other result is whole. Results go to the report in the plan's order whatever the number of threads. The
 * worker servers fork from this process, so runner_start comes first of all, while it is small and single-threaded. */
#ifndef CONFORMANCE_RUNNER_H
#define CONFORMANCE_RUNNER_H

#include "conformance/hostile.h"
#include "conformance/plan.h"
#include "conformance/probe.h"
#include "conformance/report.h"

typedef struct {
    unsigned nthreads;
    bool is_in_process; /* no workers: a crash ends conf. For debuggers. */
    bool is_verbose, is_bless;
    bool is_coverage; /* results bring what they reached, for on_result to take */
    uint64_t seed, timeout_ns, max_memory_bytes;
    uint64_t fail_fast; /* stop after so many bad results; 0 = never */
    /* Sees each result in order before the report takes it; NULL = nobody. */
    void (*on_result)(void *ctx, const Job *job, Result *r);
    void *ctx;
} RunnerOptions;
typedef struct Runner Runner;
/* Starts the servers and installs the handlers of SIGINT and SIGTERM: one runner at a time. */
MUST_USE int runner_start(const RunnerOptions *o, Runner **out, Err *err);
/* Opens every backend of the plan for every guest that it has, each in a process of its own. */
void runner_open(Runner *r, Plan *p);
/* As runner_open for one backend and guest. */
void runner_open_one(Runner *r, Plan *p, size_t backend, GuestId guest);
/* Plays probes, then jobs. Returns NULL, or what cut it short: "SIGINT", "SIGTERM", "--fail-fast". */
const char *runner_run(Runner *r, Plan *p, const RunHooks *hooks, Run *report);
/* How many of the threads that were started runner_run uses from now on; at least one, at most all. */
void runner_use_threads(Runner *r, unsigned n);
/* One probe, one hostile check, of a backend that was opened for the guest; in a process of its own: what it breaks ends
 * with it. Needs workers. */
ProbeAnswer runner_probe(Runner *r, const Plan *p, size_t backend, GuestId guest, Cap cap, Buf *why);
HostileAnswer runner_hostile(Runner *r, const Plan *p, size_t backend, GuestId guest, size_t check, Buf *why);
/* What the backend's ctl of that name answers, appended to out; nothing if it has none. */
void runner_ctl(Runner *r, const Plan *p, size_t backend, GuestId guest, const char *name, Buf *out);
int runner_signal(const Runner *r); /* the signal that arrived; 0 = none */
void runner_stop(Runner *r);        /* NULL is fine */
#endif
