/* SPDX-License-Identifier: Apache-2.0
 * Entropy device (VIRTIO 1.2, 5.4) whose bytes are no entropy: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
 * Generators, OOPSLA 2014) from a seed, so that a guest that asks gets the same in every run. */
#include "sim/base/mem.h"
#include "sim/devices/virtio_cards.h"

#include <string.h>

enum { QUEUE_SIZE = 64, MAX_BYTES = 4096 /* of one buffer; less than it holds is fine, 5.4.6 */ };
enum { OWN_STATE };

typedef struct {
    VirtioCard card;
    uint64_t seed;
} RngCard;

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void rng_reset(Device *d)
{
    ((VirtioState *)d->state)->own[OWN_STATE] = ((const RngCard *)d->peer)->seed;
}

static void rng_notify(Device *d, unsigned queue)
{
    VirtioState *s = d->state;
    VirtqChain c;
    uint8_t bytes[MAX_BYTES];
    for (unsigned i = 0; i < QUEUE_SIZE && virtio_pop(d, queue, &c); i++) {
        uint32_t n = c.in_bytes < MAX_BYTES ? (uint32_t)c.in_bytes : MAX_BYTES;
        for (uint32_t at = 0; at < n; at += 8) {
            uint64_t word = next(&s->own[OWN_STATE]);
            for (unsigned k = 0; k < 8; k++) {
                bytes[at + k] = (uint8_t)(word >> 8 * k);
            }
        }
        if (!n || !virtq_write(d->host, c.segment + c.nout, c.nin, 0, bytes, n)) { /* 5.4.6.1: a buffer to be written */
            virtio_break(d);
            return;
        }
        virtio_push(d, queue, c.head, n);
    }
}

static void rng_free(VirtioCard *c)
{
    mem_free(c);
}

static const VirtioKind rng_kind = {
    .name = "rng",
    .device_id = VIRTIO_ID_ENTROPY,
    .nqueues = 1,
    .queue_size = QUEUE_SIZE,
    .keeps_own = true,
    .reset = rng_reset,
    .notify = rng_notify,
    .free = rng_free,
};

VirtioCard *virtio_rng_new(uint64_t seed)
{
    RngCard *c = x_alloc(sizeof *c);
    *c = (RngCard){.card.kind = &rng_kind, .seed = seed};
    return &c->card;
}
