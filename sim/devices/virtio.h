/* SPDX-License-Identifier: Apache-2.0
 * virtio.h - what sits in the slots of virtio_mmio.c: cards. A card is what the machine's owner plugged in (a drive, an end of a
 * network) and is the Device's peer; its kind is the device of VIRTIO 1.2, chapter 5, that the guest sees. The transport keeps
 * registers and rings; a kind says what a buffer means.
 *
 * THREADS. The functions of a kind run with the board's lock held, except free and twin, when nobody uses the card, and fds and
 * served.
 * TIME. Whatever a guest can see happens at an instant of the guest's clock: a kind that must wait for the host sets due_ns by
 * what the guest asked for alone, and waits there. What comes from outside is taken in poll. */
#ifndef SIM_DEVICES_VIRTIO_H
#define SIM_DEVICES_VIRTIO_H

#include "sim/devices/virtio_queue.h"

#include <poll.h>

enum { VIRTIO_SLOTS = 8, VIRTIO_QUEUES = 4, VIRTIO_OWN_WORDS = 8, VIRTIO_CONFIG_BYTES = 64 };
enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_ENTROPY = 4, VIRTIO_ID_BALLOON = 5 };

typedef struct VirtioCard VirtioCard;
typedef struct VirtioKind {
    const char *name;
    uint32_t device_id; /* VIRTIO_ID_x */
    unsigned nqueues;   /* at most VIRTIO_QUEUES */
    uint16_t queue_size;
    uint64_t (*features)(const Device *d); /* of the device itself: bits 0 to 23; NULL = none */
    bool keeps_own;                        /* VirtioState.own survives the driver's reset */
    size_t config_bytes;                   /* at most VIRTIO_CONFIG_BYTES */
    void (*config)(const Device *d, uint8_t *bytes);
    void (*config_write)(Device *d, uint64_t offset, unsigned size_bytes, uint64_t value); /* NULL = read-only */
    void (*reset)(Device *d);                  /* NULL = nothing beside the transport's state */
    void (*notify)(Device *d, unsigned queue); /* buffers may have become available; the queue is in use */
    void (*stop)(Device *d, unsigned queue);   /* NULL = none. The queue was switched off: its buffers are void */
    void (*tick)(Device *d);                   /* NULL = due_ns is never set */
    void (*poll)(Device *d);                   /* NULL = none */
    size_t (*input)(Device *d, const void *bytes, size_t n); /* NULL = no console. Queue 0 takes what is typed */
    /* As DeviceType's; NULL = none. */
    void (*more_save)(Device *d, Buf *out);
    int (*more_restore)(Device *d, Cursor *in, Err *err);
    void (*more_free)(Device *d);
    void (*adopt)(Device *d);
    int (*check)(const Device *d, Err *err);
    int (*saveable)(const Device *d, Err *err);
    /* Of a card that frames or the like come to from outside of the machine; NULL = none. As NetEndOps (net.h), by the owner's
     * thread, without the board's lock. */
    bool (*is_outside)(const VirtioCard *c);
    size_t (*fds)(VirtioCard *c, struct pollfd *fds, size_t cap, uint64_t *timeout_ns);
    void (*served)(VirtioCard *c, const struct pollfd *fds, size_t n);
    /* Of a card: a second one at the same host resource for the twin of a machine, whose state a restore gives it. NULL: every
     * machine makes its own. */
    int (*twin)(const VirtioCard *c, VirtioCard **out, Err *err);
    void (*free)(VirtioCard *c);
} VirtioKind;
struct VirtioCard { /* the first member of a kind's own */
    const VirtioKind *kind;
};
void virtio_card_free(VirtioCard *c); /* NULL is fine */

/* Device.state of a slot. */
typedef struct VirtioState {
    uint64_t driver_features;
    uint64_t due_ns;                /* of the kind's tick; UINT64_MAX = none */
    uint64_t own[VIRTIO_OWN_WORDS]; /* the kind's */
    uint32_t device_id;             /* of what is plugged in: the state of another is refused */
    uint32_t status, interrupts, config_generation;
    uint32_t device_features_sel, driver_features_sel, queue_sel;
    VirtQueue queue[VIRTIO_QUEUES];
} VirtioState;

/* ---- for kinds ---- */
bool virtio_is_live(const Device *d, unsigned queue); /* the driver is ready, nothing is broken, the queue is in use */
bool virtio_has(const Device *d, unsigned feature);   /* the driver accepted it */
bool virtio_pop(Device *d, unsigned queue, VirtqChain *out); /* false: none, or now broken */
/* Gives back a buffer and interrupts if the driver wants it. */
void virtio_push(Device *d, unsigned queue, uint16_t head, uint64_t written);
void virtio_break(Device *d); /* DEVICE_NEEDS_RESET, 2.1.2: until then nothing goes on */
#endif
