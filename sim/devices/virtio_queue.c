/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/virtio_queue.h"

#include <stdatomic.h>

enum { DESC_BYTES = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, AVAIL_NO_INTERRUPT = 1 };
enum { RING_FLAGS = 0, RING_INDEX = 2, RING_ITEMS = 4, AVAIL_ITEM_BYTES = 2, USED_ITEM_BYTES = 8 };
static const uint64_t MAX_CHAIN_BYTES = 1ull << 32;

static bool load(const DeviceHost *host, uint64_t gpa, unsigned size_bytes, uint64_t *value)
{
    uint8_t bytes[8];
    if (!host->mem_read(host->ctx, gpa, bytes, size_bytes)) {
        return false;
    }
    Cursor c = cursor_of(bytes, size_bytes);
    *value = cursor_le(&c, size_bytes);
    return true;
}

static bool store(const DeviceHost *host, uint64_t gpa, unsigned size_bytes, uint64_t value)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < size_bytes; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    return host->mem_write(host->ctx, gpa, bytes, size_bytes);
}

typedef struct {
    uint64_t gpa;
    uint32_t size_bytes;
    uint16_t flags, next;
} Desc;

static bool desc_load(const DeviceHost *host, uint64_t table, uint32_t index, Desc *out)
{
    uint8_t bytes[DESC_BYTES];
    if (!host->mem_read(host->ctx, table + (uint64_t)index * DESC_BYTES, bytes, sizeof bytes)) {
        return false;
    }
    Cursor c = cursor_of(bytes, sizeof bytes);
    out->gpa = cursor_le(&c, 8);
    out->size_bytes = (uint32_t)cursor_le(&c, 4);
    out->flags = (uint16_t)cursor_le(&c, 2);
    out->next = (uint16_t)cursor_le(&c, 2);
    return true;
}

/* 2.7.4.2: what the device reads comes before what it writes. No more segments than the queue's size (2.7.5.3.1), which ends
 * loops as well. */
static bool segment_add(const VirtQueue *q, VirtqChain *c, const Desc *d)
{
    bool is_in = d->flags & DESC_WRITE;
    if (c->nout + c->nin == q->size || (!is_in && c->nin) || d->gpa + d->size_bytes < d->gpa) {
        return false;
    }
    c->segment[c->nout + c->nin] = (VirtqSegment){d->gpa, d->size_bytes};
    c->nin += is_in;
    c->nout += !is_in;
    c->in_bytes += is_in ? d->size_bytes : 0;
    c->out_bytes += is_in ? 0 : d->size_bytes;
    return c->in_bytes + c->out_bytes <= MAX_CHAIN_BYTES;
}

/* From entry `index` of a table of n on. In the queue's own table the last descriptor may refer to a table instead
 * (2.7.5.3): *indirect; in such a table none may. */
static bool table_walk(const VirtQueue *q, const DeviceHost *host, uint64_t table, uint32_t n, uint32_t index,
                       VirtqChain *c, Desc *indirect)
{
    for (uint32_t steps = 0; steps < n; steps++) {
        Desc d;
        if (index >= n || !desc_load(host, table, index, &d)) {
            return false;
        }
        if (d.flags & DESC_INDIRECT) {
            if (!indirect || d.flags & DESC_NEXT) { /* 2.7.5.3.1 */
                return false;
            }
            *indirect = d;
            return true;
        }
        if (!segment_add(q, c, &d)) {
            return false;
        }
        if (!(d.flags & DESC_NEXT)) {
            return true;
        }
        index = d.next;
    }
    return false; /* a loop */
}

static bool chain_load(const VirtQueue *q, const DeviceHost *host, VirtqChain *c)
{
    Desc indirect = {0};
    if (!table_walk(q, host, q->desc, q->size, c->head, c, &indirect)) {
        return false;
    }
    if (!(indirect.flags & DESC_INDIRECT)) {
        return true;
    }
    if (!indirect.size_bytes || indirect.size_bytes % DESC_BYTES) { /* 2.7.5.3.2 */
        return false;
    }
    return table_walk(q, host, indirect.gpa, indirect.size_bytes / DESC_BYTES, 0, c, NULL);
}

VirtqPop virtq_pop(VirtQueue *q, const DeviceHost *host, VirtqChain *out)
{
    uint64_t index, head;
    if (!load(host, q->driver + RING_INDEX, 2, &index)) {
        return VIRTQ_BROKEN;
    }
    uint16_t waiting = (uint16_t)(index - q->next_avail);
    if (!waiting) {
        return VIRTQ_EMPTY;
    }
    if (waiting > q->size) {
        return VIRTQ_BROKEN;
    }
    atomic_thread_fence(memory_order_seq_cst); /* 2.7.13: the entry after the index that says it is there */
    uint32_t at = q->next_avail % q->size;
    if (!load(host, q->driver + RING_ITEMS + (uint64_t)at * AVAIL_ITEM_BYTES, 2, &head)) {
        return VIRTQ_BROKEN;
    }
    out->head = (uint16_t)head;
    out->nout = out->nin = 0;
    out->out_bytes = out->in_bytes = 0;
    if (!chain_load(q, host, out)) {
        return VIRTQ_BROKEN;
    }
    q->next_avail++;
    return VIRTQ_CHAIN;
}

void virtq_unpop(VirtQueue *q)
{
    q->next_avail--;
}

bool virtq_push(VirtQueue *q, const DeviceHost *host, uint16_t head, uint32_t written, bool *wants_irq)
{
    uint64_t item = q->device + RING_ITEMS + (uint64_t)(q->next_used % q->size) * USED_ITEM_BYTES, flags;
    if (!store(host, item, 8, (uint64_t)written << 32 | head)) {
        return false;
    }
    atomic_thread_fence(memory_order_seq_cst); /* 2.7.8.2: the entry before the index */
    if (!store(host, q->device + RING_INDEX, 2, ++q->next_used)) {
        return false;
    }
    atomic_thread_fence(memory_order_seq_cst); /* 2.7.7.2: the index before the driver's wish is looked at */
    if (!load(host, q->driver + RING_FLAGS, 2, &flags)) {
        return false;
    }
    *wants_irq = !(flags & AVAIL_NO_INTERRUPT);
    return true;
}

/* ---- contents ---- */
static bool copy(const DeviceHost *host, const VirtqSegment *s, size_t nsegments, uint64_t at, uint8_t *bytes, size_t n,
                 bool is_write)
{
    for (size_t i = 0; n && i < nsegments; i++) {
        if (at >= s[i].size_bytes) {
            at -= s[i].size_bytes;
            continue;
        }
        size_t left = s[i].size_bytes - (size_t)at, piece = n < left ? n : left;
        bool is_done = is_write ? host->mem_write(host->ctx, s[i].gpa + at, bytes, piece)
                                : host->mem_read(host->ctx, s[i].gpa + at, bytes, piece);
        if (!is_done) {
            return false;
        }
        bytes += piece;
        n -= piece;
        at = 0;
    }
    return !n;
}

bool virtq_read(const DeviceHost *host, const VirtqSegment *s, size_t nsegments, uint64_t at, void *bytes, size_t n)
{
    return copy(host, s, nsegments, at, bytes, n, false);
}

bool virtq_write(const DeviceHost *host, const VirtqSegment *s, size_t nsegments, uint64_t at, const void *bytes,
                 size_t n)
{
    return copy(host, s, nsegments, at, (uint8_t *)(uintptr_t)bytes, n, true);
}
