/* SPDX-License-Identifier: Apache-2.0
 * link.h - the client's connection: sends a request, waits for its reply, delivers kicks. Used by
 * client.c alone.
 *
 * There is no reader thread: of the threads that wait for a reply one reads for all (a round trip
 * then costs two context switches and no third). Everything is THREAD-SAFE; link_kick() is
 * async-signal-safe too. */
#ifndef ACCEL_REMOTE_LINK_H
#define ACCEL_REMOTE_LINK_H

#include "accel/remote/remote.h"
#include "accel/remote/wire.h"
#include "sim/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct Call Call;
/* What a server has answered before: those that it forks later answer alike, and need not be waited for. Made and freed
 * by who connects to such servers, one after the other; a link uses it as long as it lives. */
typedef struct {
    Arena *arena; /* strings of caps */
    char *name;
    const char *shown; /* its name over there */
    Buf hello;
    bool has_open[GUEST_COUNT];
    Buf open[GUEST_COUNT];
    Caps caps[GUEST_COUNT];
} RemoteKnown;
void remote_known_free(RemoteKnown *k); /* its fields */
/* As remote_connect(), over a socket that does not block and is closed on exec; from the second time on without waiting. */
MUST_USE int remote_connect_known(int fd, RemoteKnown *known, uint64_t timeout_ns, RemoteLink **out, Err *err);

/* A request that was put off: sent, or about to be, and not answered yet. */
typedef struct {
    uint32_t seq;
    uint16_t type;
    bool is_any;         /* the answer is ignored, else it must be: */
    const Buf *expected; /* NULL = empty */
} Late;
struct RemoteLink {
    Backend backend; /* client.c: the tables that vm_open() sees */
    VmOps vm;
    VcpuOps vcpu;
    RemoteKnown own, *known;     /* caps, under lock; known: own, or of who connected */
    bool has_asked[GUEST_COUNT]; /* OPEN, on this link */

    WireIn in; /* whoever has set has_reader */
    WireOut out;
    int wake[2];      /* readable once the link is dead */
    unsigned version; /* of the protocol, as the server has chosen */
    uint32_t max_frame;
    _Atomic uint64_t limit_ns, run_limit_ns;
    pthread_mutex_t lock;      /* calls, has_reader, is_dead, dead, next_seq */
    pthread_mutex_t send_lock; /* one message at a time */
    Call *calls;
    Err dead;
    uint32_t next_seq;
    bool has_reader, is_dead;
    VEC(Late) late; /* from late_at on: in the order of their replies; under lock */
    size_t late_at;
    Err late_error;     /* of the first that failed; code 0 = none */
    Buf held;           /* their frames, not sent yet; under send_lock */
    VEC(uint64_t) born; /* slot << 32 | handle of vcpus whose VCPU_CREATE is in there */
    _Atomic uint32_t next_handle;

    /* Kicks: a bit is set, then whoever gets `writer` writes the frames of all bits: the kicker, or
     * the thread that holds it for a frame just now, when it lets go. Neither waits for the other,
     * so a signal handler may kick. */
    atomic_bool writer, has_kicks, is_broken, has_kick_failed;
    _Atomic uint64_t kicks[WIRE_VCPUS_MAX / 64];
    _Atomic uint32_t handles[WIRE_VCPUS_MAX]; /* 0 = free */
};

/* Owns the descriptors, also when it fails. */
RemoteLink *link_new(int fd_in, int fd_out, Err *err);
RemoteLink *link_new_socket(int fd); /* one that does not block and is closed on exec */
void link_free(RemoteLink *l);
typedef struct {
    WireType type;
    uint32_t object;
    Buf payload; /* freed by the call */
} Request;
/* Sends and waits. 0 with *reply the caller's (wire_msg_free); else the error that the peer sent,
 * with *bad (may be NULL) its index, or the link's own. */
int link_call(RemoteLink *l, Request *r, WireMsg *reply, uint32_t *bad, Err *err);
/* Puts a request off: it is sent with the next one that is waited for, or by link_settle, and chained to those before it,
 * so that none is done after one that failed. `want` says what answer is expected. 0, or the link's own error. */
int link_put_off(RemoteLink *l, Request *r, const Late *want, Err *err);
/* Waits for all that was put off. The first failure. */
int link_settle(RemoteLink *l, Err *err);
/* Sends a request that is not answered (seq 0): VM_DESTROY and VCPU_DESTROY only. A failure ends the link. is_more: one
 * that is sent at once will follow. */
void link_post(RemoteLink *l, Request *r, bool is_more);
/* A reply's payload was not what its type promises: the link is dead. */
int link_bad_reply(RemoteLink *l, const WireMsg *reply, Err *err);
void link_fail(RemoteLink *l, const Err *why);
int link_slot_new(RemoteLink *l, Err *err); /* a place for a vcpu's kicks, or -ERR_LIMIT */
void link_slot_set(RemoteLink *l, unsigned slot, uint32_t handle);
void link_slot_set_late(RemoteLink *l, unsigned slot, uint32_t handle); /* once what was put off is sent */
void link_slot_free(RemoteLink *l, unsigned slot);                      /* kicks not yet sent are dropped */
void link_kick(RemoteLink *l, unsigned slot);
#endif
