/* SPDX-License-Identifier: Apache-2.0
 * virtio_rig.h - for tests: a small driver of one virtio_mmio slot, whose rings and buffers are in the rig's RAM. */
#ifndef SIM_DEVICES_VIRTIO_RIG_H
#define SIM_DEVICES_VIRTIO_RIG_H

#include "sim/devices/rig.h"
#include "sim/devices/virtio_cards.h"

enum { V_DATA = RIG_RAM + 0x80000 };              /* where buffers may be; the rings are before */
enum { V_NEXT = 1, V_WRITE = 2, V_INDIRECT = 4 }; /* of descriptors, 2.7.5 */
enum {                                            /* registers that tests touch themselves, 4.2.2 */
       V_NOTIFY = 0x50,
       V_INTERRUPT_STATUS = 0x60,
       V_INTERRUPT_ACK = 0x64,
       V_STATUS = 0x70,
       V_CONFIG_GENERATION = 0xfc,
       V_CONFIG = 0x100
};
enum { V_LIVE = 15, V_NEEDS_RESET = 64 };

typedef struct {
    Rig *r;
    uint16_t size[VIRTIO_QUEUES];
    uint16_t avail[VIRTIO_QUEUES], used[VIRTIO_QUEUES];
} VRig;
/* A driver that accepted these features, as far as they are offered, and set up nqueues of so many entries. */
VRig *vrig_new(VirtioCard *card, uint64_t features, unsigned nqueues, uint16_t size);
void vrig_free(VRig *v);                                                      /* and the card */
void vrig_start(VRig *v, uint64_t features, unsigned nqueues, uint16_t size); /* once more, after a reset */
uint32_t vrig_get(VRig *v, uint64_t offset);
void vrig_put(VRig *v, uint64_t offset, uint32_t value);
uint64_t vrig_desc_at(unsigned queue);
uint64_t vrig_avail_at(unsigned queue);
uint64_t vrig_used_at(unsigned queue);
/* A descriptor of a queue, or of a table anywhere. */
void vrig_desc(VRig *v, unsigned queue, unsigned index, uint64_t gpa, uint32_t size_bytes, uint16_t flags,
               uint16_t next);
void vrig_desc_in(VRig *v, uint64_t table, unsigned index, uint64_t gpa, uint32_t size_bytes, uint16_t flags,
                  uint16_t next);
void vrig_offer(VRig *v, unsigned queue, uint16_t head); /* makes it available */
void vrig_notify(VRig *v, unsigned queue);
/* The next one that came back; false: none. */
bool vrig_take(VRig *v, unsigned queue, uint16_t *head, uint32_t *written);
uint8_t *vrig_at(VRig *v, uint64_t gpa);
bool vrig_is_broken(VRig *v);
#endif
