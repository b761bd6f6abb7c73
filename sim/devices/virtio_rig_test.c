/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/virtio_rig.h"

#include "sim/base/mem.h"
#include "sim/base/test.h"

enum { QUEUE_STEP = 0x10000, AVAIL = 0x4000, USED = 0x8000 };

uint8_t *vrig_at(VRig *v, uint64_t gpa)
{
    return v->r->ram + (gpa - RIG_RAM);
}

static void mem_put(VRig *v, uint64_t gpa, unsigned size_bytes, uint64_t value)
{
    for (unsigned i = 0; i < size_bytes; i++) {
        vrig_at(v, gpa)[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t mem_get(VRig *v, uint64_t gpa, unsigned size_bytes)
{
    Cursor c = cursor_of(vrig_at(v, gpa), size_bytes);
    return cursor_le(&c, size_bytes);
}

uint64_t vrig_desc_at(unsigned queue)
{
    return RIG_RAM + (uint64_t)queue * QUEUE_STEP;
}

uint64_t vrig_avail_at(unsigned queue)
{
    return vrig_desc_at(queue) + AVAIL;
}

uint64_t vrig_used_at(unsigned queue)
{
    return vrig_desc_at(queue) + USED;
}

uint32_t vrig_get(VRig *v, uint64_t offset)
{
    return (uint32_t)rig_get(v->r, 0, offset, 4);
}

void vrig_put(VRig *v, uint64_t offset, uint32_t value)
{
    rig_put(v->r, 0, offset, 4, value);
}

static void address_put(VRig *v, uint64_t offset, uint64_t value)
{
    vrig_put(v, offset, (uint32_t)value);
    vrig_put(v, offset + 4, (uint32_t)(value >> 32));
}

static void queue_start(VRig *v, unsigned queue, uint16_t size)
{
    vrig_put(v, 0x030, queue);
    CHECK_INT(vrig_get(v, 0x044), 0);
    CHECK(vrig_get(v, 0x034) >= size);
    vrig_put(v, 0x038, size);
    address_put(v, 0x080, vrig_desc_at(queue));
    address_put(v, 0x090, vrig_avail_at(queue));
    address_put(v, 0x0a0, vrig_used_at(queue));
    vrig_put(v, 0x044, 1);
    CHECK_INT(vrig_get(v, 0x044), 1);
    v->size[queue] = size;
    v->avail[queue] = v->used[queue] = 0;
    mem_put(v, vrig_avail_at(queue), 4, 0);
    mem_put(v, vrig_used_at(queue), 4, 0);
}

/* 3.1.1, 4.2.3.1 */
void vrig_start(VRig *v, uint64_t features, unsigned nqueues, uint16_t size)
{
    vrig_put(v, V_STATUS, 0);
    vrig_put(v, V_STATUS, 1);
    vrig_put(v, V_STATUS, 3);
    vrig_put(v, 0x014, 0);
    uint64_t offered = vrig_get(v, 0x010);
    vrig_put(v, 0x014, 1);
    offered |= (uint64_t)vrig_get(v, 0x010) << 32;
    CHECK(offered >> 32 & 1);
    uint64_t accepted = (features | 1ull << 32) & offered;
    vrig_put(v, 0x024, 0);
    vrig_put(v, 0x020, (uint32_t)accepted);
    vrig_put(v, 0x024, 1);
    vrig_put(v, 0x020, (uint32_t)(accepted >> 32));
    vrig_put(v, V_STATUS, 11);
    CHECK_INT(vrig_get(v, V_STATUS), 11);
    for (unsigned i = 0; i < nqueues; i++) {
        queue_start(v, i, size);
    }
    vrig_put(v, V_STATUS, V_LIVE);
    CHECK_INT(vrig_get(v, V_STATUS), V_LIVE);
}

VRig *vrig_new(VirtioCard *card, uint64_t features, unsigned nqueues, uint16_t size)
{
    VRig *v = x_alloc(sizeof *v);
    v->r = rig_plugged("virtio_mmio", card);
    vrig_start(v, features, nqueues, size);
    return v;
}

void vrig_free(VRig *v)
{
    VirtioCard *card = v->r->d->peer;
    rig_free(v->r);
    virtio_card_free(card);
    mem_free(v);
}

void vrig_desc_in(VRig *v, uint64_t table, unsigned index, uint64_t gpa, uint32_t size_bytes, uint16_t flags,
                  uint16_t next)
{
    uint64_t at = table + (uint64_t)index * 16;
    mem_put(v, at, 8, gpa);
    mem_put(v, at + 8, 4, size_bytes);
    mem_put(v, at + 12, 2, flags);
    mem_put(v, at + 14, 2, next);
}

void vrig_desc(VRig *v, unsigned queue, unsigned index, uint64_t gpa, uint32_t size_bytes, uint16_t flags,
               uint16_t next)
{
    vrig_desc_in(v, vrig_desc_at(queue), index, gpa, size_bytes, flags, next);
}

void vrig_offer(VRig *v, unsigned queue, uint16_t head)
{
    mem_put(v, vrig_avail_at(queue) + 4 + v->avail[queue] % v->size[queue] * 2u, 2, head);
    mem_put(v, vrig_avail_at(queue) + 2, 2, ++v->avail[queue]);
}

void vrig_notify(VRig *v, unsigned queue)
{
    vrig_put(v, V_NOTIFY, queue);
}

bool vrig_take(VRig *v, unsigned queue, uint16_t *head, uint32_t *written)
{
    uint64_t at = vrig_used_at(queue) + 4 + v->used[queue] % v->size[queue] * 8u;
    if (mem_get(v, vrig_used_at(queue) + 2, 2) == v->used[queue]) {
        return false;
    }
    v->used[queue]++;
    *head = (uint16_t)mem_get(v, at, 4);
    *written = (uint32_t)mem_get(v, at + 4, 4);
    return true;
}

bool vrig_is_broken(VRig *v)
{
    return vrig_get(v, V_STATUS) & V_NEEDS_RESET && vrig_get(v, V_INTERRUPT_STATUS) & 2 && v->r->irq;
}
