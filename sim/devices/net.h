/* SPDX-License-Identifier: Apache-2.0
 * net.h - the far end of a network cable: what becomes of the frames that a guest sends, and where those that it gets come from.
 *
 *     loopback            what is sent comes back
 *     user[,hostfwd=...]  a NAT of its own in this process (libslirp): guest 10.0.2.15 by DHCP, gateway 10.0.2.2, name server
 *                         10.0.2.3; no privileges. hostfwd=tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT, repeatable: a port of the host
 *                         (127.0.0.1 if no address is said) is one of the guest.
 *     tap,ifname=NAME     a TAP interface of the host, which must be there or be allowed to be made
 *
 * Frames are Ethernet without checksum. THREADS. One caller at a time. */
#ifndef SIM_DEVICES_NET_H
#define SIM_DEVICES_NET_H

#include "sim/base/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_MIN_FRAME = 14, NET_MAX_FRAME = 1518 };

typedef struct NetEnd NetEnd;
typedef struct NetSink { /* where frames for the guest go */
    void *ctx;
    void (*arrived)(void *ctx, const uint8_t *frame, size_t n);
} NetSink;
typedef struct NetEndOps {
    const char *name;
    bool is_outside; /* frames come from outside of the machine, and when they please */
    void (*send)(NetEnd *e, const uint8_t *frame, size_t n);
    /* Of an end that is outside. What to wait for, at most cap; *timeout_ns is lowered to when it wants to be looked at. */
    size_t (*fds)(NetEnd *e, struct pollfd *fds, size_t cap, uint64_t *timeout_ns);
    void (*served)(NetEnd *e, const struct pollfd *fds, size_t n); /* the same, with what happened: frames arrive */
    void (*free)(NetEnd *e);
} NetEndOps;
struct NetEnd { /* the first member of an end's own */
    const NetEndOps *ops;
    NetSink sink;
};
/* spec: as above. -ERR_INVAL: not one of these; -ERR_UNAVAILABLE: not in this build, or the host does not have it; -ERR_DENIED. The
 * sink is set by the taker. */
MUST_USE int net_open(const char *spec, NetEnd **out, Err *err);
void net_close(NetEnd *e); /* NULL is fine */

/* options: what follows the name; "" = none. */
MUST_USE int net_loopback_open(const char *options, NetEnd **out, Err *err);
MUST_USE int net_user_open(const char *options, NetEnd **out, Err *err);
MUST_USE int net_tap_open(const char *options, NetEnd **out, Err *err);
/* Takes the next option off *options: the text up to a comma. False: none is left. */
bool net_option(const char **options, char *out, size_t cap);
#endif
