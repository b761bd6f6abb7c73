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
struct RemoteLink {
    Backend backend; /* client.c: the tables that vm_open() sees */
    VmOps vm;
    VcpuOps vcpu;
    Arena *arena; /* strings of caps, under lock */
    Caps caps[GUEST_COUNT];
    bool has_caps[GUEST_COUNT];

    WireIn in; /* whoever has set has_reader */
    WireOut out;
    int wake[2]; /* readable once the link is dead */
    uint32_t max_frame;
    _Atomic uint64_t limit_ns, run_limit_ns;
    pthread_mutex_t lock;      /* calls, has_reader, is_dead, dead, next_seq */
    pthread_mutex_t send_lock; /* one message at a time */
    Call *calls;
    Err dead;
    uint32_t next_seq;
    bool has_reader, is_dead;

    /* Kicks: a bit is set, then whoever gets `writer` writes the frames of all bits: the kicker, or
     * the thread that holds it for a frame just now, when it lets go. Neither waits for the other,
     * so a signal handler may kick. */
    atomic_bool writer, has_kicks, is_broken;
    _Atomic uint64_t kicks[WIRE_VCPUS_MAX / 64];
    _Atomic uint32_t handles[WIRE_VCPUS_MAX]; /* 0 = free */
};

/* Owns the descriptors, also when it fails. */
RemoteLink *link_new(int fd_in, int fd_out, Err *err);
void link_free(RemoteLink *l);
typedef struct {
    WireType type;
    uint32_t object;
    Buf payload; /* freed by the call */
} Request;
/* Sends and waits. 0 with *reply the caller's (wire_msg_free); else the error that the peer sent,
 * with *bad (may be NULL) its index, or the link's own. */
int link_call(RemoteLink *l, Request *r, WireMsg *reply, uint32_t *bad, Err *err);
/* Sends a request that is not answered (seq 0): VM_DESTROY and VCPU_DESTROY only. A failure ends the link. */
void link_post(RemoteLink *l, Request *r);
/* A reply's payload was not what its type promises: the link is dead. */
int link_bad_reply(RemoteLink *l, const WireMsg *reply, Err *err);
void link_fail(RemoteLink *l, const Err *why);
int link_slot_new(RemoteLink *l, Err *err); /* a place for a vcpu's kicks, or -ERR_LIMIT */
void link_slot_set(RemoteLink *l, unsigned slot, uint32_t handle);
void link_slot_free(RemoteLink *l, unsigned slot); /* kicks not yet sent are dropped */
void link_kick(RemoteLink *l, unsigned slot);
#endif
