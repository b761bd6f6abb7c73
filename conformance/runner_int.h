/* SPDX-License-Identifier: Apache-2.0
 * runner_int.h - the inside of a Runner: runner.c (threads, order, signals), runner_job.c (one job), runner_link.c (a
 * connection to a backend, in a worker or behind a command). */
#ifndef CONFORMANCE_RUNNER_INT_H
#define CONFORMANCE_RUNNER_INT_H

#include "accel/plugin/plugin.h"
#include "accel/remote/remote.h"
#include "conformance/runner.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/types.h>

typedef struct { /* a case's world: built by the first job that needs it, freed after the last */
    pthread_mutex_t lock;
    World *world;
    bool is_built;
    int rc;
    Err err;
    atomic_size_t nleft;
} SharedWorld;

/* A connection to a backend. Of a thread; link alone is shared, under Slot.lock, so that the watchdog can abort it. */
typedef struct {
    RemoteLink *link;
    pid_t command;     /* remote: the process that speaks; 0 = a worker */
    struct Said *said; /* and what it says on its standard error */
    size_t backend;
} Peer;
typedef struct {
    Runner *runner;
    WorkerServer *server; /* NULL in process */
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock; /* link, deadline_ns, is_aborted */
    RemoteLink *link;     /* of the job under way */
    uint64_t deadline_ns;
    bool is_aborted;
    Peer kept; /* of a command: kept from job to job */
} Slot;

typedef struct {
    atomic_bool is_done, is_dropped;
    Result r;
} Outcome;
typedef struct { /* one pass over a list of jobs */
    Plan *plan;
    const RunHooks *hooks;
    const Job *jobs;
    size_t n;
    atomic_size_t next;
    Outcome *outcomes;
    SharedWorld *worlds; /* by Job.slot */
    uint32_t page_bytes[GUEST_COUNT];
    bool is_coverage;
    atomic_bool *has_items; /* [backend * GUEST_COUNT + guest]: of coverage */
} Pass;
struct Runner {
    RunnerOptions o;
    Slot *slots;    /* o.nthreads */
    unsigned nused; /* of these, by runner_run */
    Pass *pass;
    atomic_bool is_stopping;
    VEC(Status) answers;   /* of the plan's probes, in their order */
    VEC(Plugin *) plugins; /* in process: loaded by runner_open_one, in no worker */
};

/* runner_link.c */
typedef struct {
    bool is_crash;   /* the process ended by itself, badly */
    bool was_killed; /* it did not end in the time that it was given */
    char text[300];  /* "backend died: signal 11 (SIGSEGV)"; also of a command that ended well, with its status */
} PeerEnd;
/* "fake:ssh host conf-agent" names the backend over there, and *command becomes what is behind it; without a name: kvm. */
const char *command_backend(Arena *scratch, const char **command);
/* Connects to the plan's backend: a new worker, or the command (kept while it works). */
MUST_USE int peer_open(Slot *s, const PlanBackend *b, size_t index, Peer *out, Err *err);
/* How long a peer may take to end, not counting on a host without other work: one that hangs is not worth waiting for. */
uint64_t peer_patience_ns(const Peer *peer);
/* Ends it. is_broken: a command is not kept; patience_ns: how long it may take to end. */
void peer_close(Slot *s, Peer *peer, bool is_broken, uint64_t patience_ns, PeerEnd *end);
void peer_forget(Slot *s); /* closes the kept one */

/* runner_job.c */
void job_play(Slot *s, const Job *job, Result *out);

bool runner_is_stopping(const Runner *r);
#endif
