/* SPDX-License-Identifier: Apache-2.0
 * virtio_queue.h - the device's side of a split virtqueue (VIRTIO 1.2, 2.7) with indirect descriptors.
 *
 * The rings lie in guest memory, and all that is there is the guest's word: what a driver must not do is found out and named
 * VIRTQ_BROKEN, never believed. A chain is copied out of guest memory once, so that what was checked is what is used.
 * THREADS. As a device's: under the board's lock. */
#ifndef SIM_DEVICES_VIRTIO_QUEUE_H
#define SIM_DEVICES_VIRTIO_QUEUE_H

#include "sim/machine/device.h"

enum { VIRTQ_MAX_SIZE = 256, VIRTQ_ALIGN = 16 };

typedef struct VirtQueue {
    uint64_t desc, driver,
        device;    /* physical addresses: descriptor table, available ring, used ring (2.7.5, 2.7.6, 2.7.8) */
    uint16_t size; /* a power of 2, at most VIRTQ_MAX_SIZE */
    uint16_t next_avail, next_used;
    uint8_t is_ready;
} VirtQueue;

typedef struct VirtqSegment {
    uint64_t gpa;
    uint32_t size_bytes;
} VirtqSegment;
/* A buffer that the driver made available: nout segments for the device to read, then nin for it to write. */
typedef struct VirtqChain {
    uint16_t head;
    uint16_t nout, nin;
    uint64_t out_bytes, in_bytes; /* at most 2^32 together (2.7.5.2) */
    VirtqSegment segment[VIRTQ_MAX_SIZE];
} VirtqChain;

typedef enum {
    VIRTQ_EMPTY,
    VIRTQ_CHAIN, /* one was taken */
    VIRTQ_BROKEN /* the rings are not what the specification allows, or not in RAM */
} VirtqPop;
VirtqPop virtq_pop(VirtQueue *q, const DeviceHost *host, VirtqChain *out);
void virtq_unpop(VirtQueue *q); /* the last one that was taken is available again */
/* Gives a chain back, written bytes of it having been written, from its first writable byte on (2.7.8). False: broken. *wants_irq:
 * the driver did not ask to be left alone (2.7.7). */
bool virtq_push(VirtQueue *q, const DeviceHost *host, uint16_t head, uint32_t written, bool *wants_irq);

/* n bytes from byte `at` of the segments on, wherever the driver put the borders (2.7.4). False: fewer there, or no RAM. */
bool virtq_read(const DeviceHost *host, const VirtqSegment *s, size_t nsegments, uint64_t at, void *bytes, size_t n);
bool virtq_write(const DeviceHost *host, const VirtqSegment *s, size_t nsegments, uint64_t at, const void *bytes,
                 size_t n);
#endif
