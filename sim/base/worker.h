/* SPDX-License-Identifier: Apache-2.0
 * worker.h - threads that do jobs beside the thread that has them. THREAD-SAFE.
 *
 * A thread begins when a job comes and no other is free, and sleeps while there is none. A job is the caller's memory, and is run once,
 * from worker_give until worker_is_done: meanwhile it is the worker's, with all that its function reads or writes. */
#ifndef SIM_BASE_WORKER_H
#define SIM_BASE_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct Worker Worker;
typedef struct WorkerJob WorkerJob;
struct WorkerJob {
    void (*run)(WorkerJob *job); /* set by the caller; with all signals blocked */
    WorkerJob *next;             /* the worker's, as the next */
    _Atomic bool is_done;
};
enum { WORKER_MAX_THREADS = 16 };
Worker *worker_new(unsigned max_threads); /* 1 to WORKER_MAX_THREADS, none of which is there yet */
void worker_free(Worker *w);              /* all jobs are done or taken back; NULL is fine */
/* In the order in which they are given. false: the host gives no thread, and the job was not taken. */
bool worker_give(Worker *w, WorkerJob *job);
/* What it wrote is seen from here on. */
static inline bool worker_is_done(const WorkerJob *job)
{
    return atomic_load_explicit(&job->is_done, memory_order_acquire);
}
/* One that was given. true: it had not begun, and will not; false: it has. */
bool worker_take_back(Worker *w, WorkerJob *job);
void worker_wait(Worker *w, WorkerJob *job); /* until it is done */
#endif
