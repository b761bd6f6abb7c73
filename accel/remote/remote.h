/* SPDX-License-Identifier: Apache-2.0
 * remote.h - a backend in another process: the wire protocol's two ends.
 *
 * The client is a Backend like any other: each VmOps/VcpuOps call is a request frame and its reply frame. The server
 * owns the real backend. The same two ends serve a worker process forked on this machine (a crash, a hang or a leak of
 * the backend then costs one job), a `conf-agent` behind any command whose stdin/stdout speak it (ssh, a serial line),
 * and the REPL. docs/wire.md describes the frames for other languages; wire.h has the numbers.
 *
 * Nothing that arrives is trusted, at either end: lengths are bounded by the negotiated frame size, counts by the bytes
 * that are there; a frame that does not parse closes the link with -ERR_PROTO and the offset; the peer's death is
 * -ERR_IO; both are final, after them every call returns the same error at once. */
#ifndef ACCEL_REMOTE_REMOTE_H
#define ACCEL_REMOTE_REMOTE_H

#include "accel/accel.h"

/* Which backends a server may open: the one of that name, which lives as long as the server; NULL with *err filled. ctx is
 * the one that was given with it. */
typedef const Backend *(*RemoteFind)(void *ctx, const char *name, Err *err);
const Backend *remote_find_built_in(void *ctx, const char *name, Err *err); /* ctx is not looked at */

/* ---- client ---- */
typedef struct RemoteLink RemoteLink;
/* Says hello over the descriptors (owned from now on, also on failure) and asks for the backend `name`. -ERR_VERSION, -ERR_PROTO,
 * -ERR_TIMEOUT (nothing within timeout_ns), -ERR_IO, -ERR_NOENT (no such backend there). */
MUST_USE int remote_connect(int fd_in, int fd_out, const char *name, uint64_t timeout_ns, RemoteLink **out, Err *err);
/* The backend as a table for vm_open(); valid until remote_close. Calls may come from any thread (rebind is FULL);
 * replies are matched by sequence number. Several calls may be outstanding, one per vcpu at most. */
const Backend *remote_backend(const RemoteLink *link);
/* Every request but RUN must be answered within limit_ns (default 10 s), RUN within its caller's patience:
 * on expiry the call returns -ERR_TIMEOUT and the link is dead. run_limit_ns UINT64_MAX = none. THREAD-SAFE. */
void remote_limits(RemoteLink *link, uint64_t limit_ns, uint64_t run_limit_ns);
/* Ends the link at once: every outstanding call returns -ERR_IO. THREAD-SAFE. */
void remote_abort(RemoteLink *link);
void remote_close(RemoteLink *link); /* no call may be outstanding; NULL is fine */
/* Between calls: has the peer closed, or has the link ended otherwise? A peer may still end right after it. */
bool remote_is_over(RemoteLink *link);
/* Between calls: has the link ended as something was not answered in time? Then the peer hangs, and may not end by itself. */
bool remote_has_timed_out(RemoteLink *link);

/* ---- worker processes ---- */
/* A server forked before this process grew (threads, assembler): it forks one worker at a time, which serves a link. One
 * WorkerServer per runner slot; not thread-safe, one thread at a time per server. */
typedef struct WorkerServer WorkerServer;
typedef struct {
    uint64_t max_memory_bytes; /* of the worker (RLIMIT_AS above what it starts with); 0 = no limit */
    uint64_t max_cpu_s;        /* RLIMIT_CPU; 0 = no limit */
} WorkerLimits;
typedef struct {
    bool has_exited, was_signaled;
    int exit_status, signal;
    int start_error; /* errno of the fork: it never was, and the link ended at once */
    uint64_t max_rss_bytes, cpu_ns;
} WorkerEnd;
/* Call on the main thread while there is no other: the server dies with the thread that started it. */
MUST_USE int worker_server_start(WorkerServer **out, Err *err);
/* As worker_server_start, for other backends than the built-in ones; find(NULL, ..) is called in the worker only. */
MUST_USE int worker_server_start_for(RemoteFind find, WorkerServer **out, Err *err);
void worker_server_stop(WorkerServer *s); /* NULL is fine */
/* Forks a worker and connects to backend `name` in it. A calling thread that is tied to one CPU gets its worker there: a
 * round trip then needs no other CPU to wake up, which is several times faster on idle or virtual machines. */
MUST_USE int worker_start(WorkerServer *s, const char *name, const WorkerLimits *limits, RemoteLink **out, Err *err);
/* Closes the link (NULL is fine), waits up to grace_ns for the worker to end, then kills it; says how it ended. Always
 * reaps. All zero: there was no worker, or the server was killed. */
void worker_end(WorkerServer *s, RemoteLink *link, uint64_t grace_ns, WorkerEnd *out);
#endif
