/* SPDX-License-Identifier: Apache-2.0
 * wire_fuzz.h - frames for the fuzz targets of the wire. */
#ifndef ACCEL_REMOTE_WIRE_FUZZ_H
#define ACCEL_REMOTE_WIRE_FUZZ_H

#include "accel/remote/wire.h"

#include <sys/socket.h>
#include <unistd.h>

/* h->length bytes of payload */
static inline void put(Buf *b, const WireHead *h, const void *payload)
{
    uint8_t head[WIRE_HEADER];
    wire_head_put(head, h);
    buf_bytes(b, head, sizeof head);
    buf_bytes(b, payload, h->length);
}

/* A descriptor that gives a frame of b for each read(2): the client is to find no answer before it has asked. */
static inline int packets_of(const Buf *b)
{
    enum { MAX_PACKET = 16384 };
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
        __builtin_trap();
    }
    for (size_t at = 0; at < b->n;) {
        size_t left = b->n - at, n = left;
        if (left >= WIRE_HEADER) {
            uint32_t length = wire_head_get((const uint8_t *)b->data + at).length;
            n = length < left - WIRE_HEADER ? length + WIRE_HEADER : left;
        }
        n = n < MAX_PACKET ? n : MAX_PACKET;
        at = send(pair[1], b->data + at, n, MSG_NOSIGNAL) == (ssize_t)n ? at + n : b->n;
    }
    close(pair[1]);
    return pair[0];
}
#endif
