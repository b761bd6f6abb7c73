/* SPDX-License-Identifier: Apache-2.0
 * Memory balloon (VIRTIO 1.2, 5.5). The owner says how much memory it wants back; the driver puts pages into the balloon, and what was
 * in them is gone: they read as zeros when they come back, and cost the host nothing meanwhile.
 *
 * A page is given back at its inflation, and is the guest's memory like any other all the time, so that a driver that uses one without
 * a word (VIRTIO_BALLOON_F_MUST_TELL_HOST is not offered) does no harm. */
#include "sim/base/mem.h"
#include "sim/devices/virtio_cards.h"

enum { QUEUE_SIZE = 128, INFLATE = 0, F_DEFLATE_ON_OOM = 2 };
enum {
    PAGE_BYTES = 4096 /* 5.5.6: whatever the guest's own page is */,
    PFN_BYTES = 4,
    CHUNK_PFNS = 256,
    MAX_BYTES = 1 << 17
};
enum { CONFIG_ACTUAL = 4, CONFIG_BYTES = 8 }; /* 5.5.4: le32 num_pages, le32 actual */
enum { OWN_ACTUAL };

typedef struct {
    VirtioCard card;
    uint32_t wanted; /* pages */
} BalloonCard;

static uint64_t balloon_features(const Device *d)
{
    (void)d;
    return 1u << F_DEFLATE_ON_OOM;
}

static void balloon_config(const Device *d, uint8_t *bytes)
{
    uint32_t actual = (uint32_t)((const VirtioState *)d->state)->own[OWN_ACTUAL];
    uint32_t wanted = ((const BalloonCard *)d->peer)->wanted;
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(wanted >> 8 * i);
        bytes[CONFIG_ACTUAL + i] = (uint8_t)(actual >> 8 * i);
    }
}

/* The driver says how large the balloon is, 5.5.6; in pieces if it likes. */
static void balloon_config_write(Device *d, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    uint64_t *actual = &((VirtioState *)d->state)->own[OWN_ACTUAL];
    if (offset < CONFIG_ACTUAL) {
        return; /* num_pages is the device's */
    }
    unsigned shift = (unsigned)(offset - CONFIG_ACTUAL) * 8;
    uint64_t mask = (size_bytes < 4 ? (1ull << size_bytes * 8) - 1 : UINT32_MAX) << shift;
    *actual = (*actual & ~mask) | (value << shift & mask);
}

/* The buffer is an array of le32 page numbers, 5.5.6. False: not that, or not of RAM. */
static bool inflate(Device *d, const VirtqChain *c)
{
    uint8_t bytes[CHUNK_PFNS * PFN_BYTES];
    for (uint64_t at = 0; at < c->out_bytes; at += sizeof bytes) {
        uint64_t left = c->out_bytes - at;
        size_t n = left < sizeof bytes ? (size_t)left : sizeof bytes;
        if (!virtq_read(d->host, c->segment, c->nout, at, bytes, n)) {
            return false;
        }
        Cursor in = cursor_of(bytes, n);
        for (size_t i = 0; i < n; i += PFN_BYTES) {
            if (!d->host->mem_discard(d->host->ctx, cursor_le(&in, PFN_BYTES) * PAGE_BYTES, PAGE_BYTES)) {
                return false;
            }
        }
    }
    return true;
}

static void balloon_notify(Device *d, unsigned queue)
{
    VirtqChain c;
    for (unsigned i = 0; i < QUEUE_SIZE && virtio_pop(d, queue, &c); i++) {
        /* The machine stands still meanwhile: a buffer may not have as much as 4 GiB. */
        bool is_sound = c.out_bytes && c.out_bytes % PFN_BYTES == 0 && c.out_bytes <= MAX_BYTES;
        if (!is_sound || (queue == INFLATE && !inflate(d, &c))) {
            virtio_break(d);
            return;
        }
        virtio_push(d, queue, c.head, 0);
    }
}

static int balloon_twin(const VirtioCard *c, VirtioCard **out, Err *err)
{
    (void)err;
    *out = virtio_balloon_new(((const BalloonCard *)c)->wanted * (uint64_t)PAGE_BYTES);
    return 0;
}

static void balloon_free(VirtioCard *c)
{
    mem_free(c);
}

static const VirtioKind balloon_kind = {
    .name = "balloon",
    .device_id = VIRTIO_ID_BALLOON,
    .nqueues = 2,
    .queue_size = QUEUE_SIZE,
    .features = balloon_features,
    .config_bytes = CONFIG_BYTES,
    .config = balloon_config,
    .config_write = balloon_config_write,
    .notify = balloon_notify,
    .twin = balloon_twin,
    .free = balloon_free,
};

VirtioCard *virtio_balloon_new(uint64_t wanted_bytes)
{
    uint64_t pages = wanted_bytes / PAGE_BYTES;
    BalloonCard *c = x_alloc(sizeof *c);
    *c = (BalloonCard){.card.kind = &balloon_kind, .wanted = pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX};
    return &c->card;
}
