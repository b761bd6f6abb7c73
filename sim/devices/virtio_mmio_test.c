/* SPDX-License-Identifier: Apache-2.0
 * The transport and the rings, with the entropy source as the card: it needs one queue and no file. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/devices/virtio_rig.h"

#include <string.h>

enum { SEED = 42, SIZE = 8 };

static VRig *rng(void)
{
    return vrig_new(virtio_rng_new(SEED), ~0ull, 1, SIZE);
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i]) {
            return false;
        }
    }
    return true;
}

TEST(virtio_mmio, an_empty_slot_says_so_and_ignores_the_rest)
{
    Rig *r = rig_new("virtio_mmio", 1, 3);
    CHECK_INT(rig_get(r, 0, 0x000, 4), 0x74726976);
    CHECK_INT(rig_get(r, 0, 0x004, 4), 2);
    CHECK_INT(rig_get(r, 0, 0x008, 4), 0);
    rig_put(r, 0, V_STATUS, 4, 3);
    rig_put(r, 0, V_NOTIFY, 4, 0);
    rig_put(r, 0, 0x044, 4, 1);
    rig_put(r, 0, V_CONFIG, 1, 1);
    CHECK_INT(rig_get(r, 0, V_STATUS, 4), 0);
    CHECK_INT(rig_get(r, 0, 0x034, 4), 0);
    CHECK_INT(rig_get(r, 0, 0x010, 4), 0);
    CHECK_INT(rig_get(r, 0, V_CONFIG, 4), 0);
    CHECK_INT(r->d->type->deadline(r->d, 0), UINT64_MAX);
    rig_swap(r);
    rig_refuses(r, 80, 4); /* device_id: the snapshot had something in it */
    rig_free(r);
}

TEST(virtio_mmio, registers_take_words_and_other_offsets_are_bus_errors)
{
    VRig *v = rng();
    uint64_t value;
    static const uint16_t holes[] = {0x00c + 0xc, 0x01c, 0x028, 0x03c, 0x040, 0x048, 0x054, 0x068, 0x074, 0x0c4, 0x0f8};
    for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
        CHECK_INT(device_read(v->r->d, 0, holes[i], 4, &value), -ERR_FAULT);
        CHECK_INT(device_write(v->r->d, 0, holes[i], 4, 0), -ERR_FAULT);
    }
    CHECK_INT(device_read(v->r->d, 0, V_STATUS, 1, &value), -ERR_FAULT);
    CHECK_INT(device_write(v->r->d, 0, V_STATUS, 2, 0), -ERR_FAULT);
    CHECK_INT(device_read(v->r->d, 0, V_CONFIG, 8, &value), -ERR_FAULT);
    CHECK_INT(vrig_get(v, 0x008), VIRTIO_ID_ENTROPY);
    CHECK_INT(vrig_get(v, 0x050), 0);          /* write-only */
    CHECK_INT(vrig_get(v, 0x0b0), UINT32_MAX); /* no shared memory */
    vrig_put(v, 0x000, 5);                     /* read-only */
    CHECK_INT(vrig_get(v, 0x000), 0x74726976);
    CHECK_INT(rig_get(v->r, 0, V_CONFIG + 1, 1), 0);
    vrig_free(v);
}

TEST(virtio_mmio, features_that_are_not_offered_or_no_version_1_are_not_accepted)
{
    Rig *r = rig_plugged("virtio_mmio", virtio_rng_new(SEED));
    static const struct {
        uint32_t low, high;
        bool ok;
    } rows[] = {{0, 1, true}, {1u << 28, 1, true}, {0, 0, false}, {1, 1, false}, {0, 3, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_put(r, 0, V_STATUS, 4, 0);
        rig_put(r, 0, V_STATUS, 4, 3);
        rig_put(r, 0, 0x024, 4, 0);
        rig_put(r, 0, 0x020, 4, rows[i].low);
        rig_put(r, 0, 0x024, 4, 1);
        rig_put(r, 0, 0x020, 4, rows[i].high);
        rig_put(r, 0, 0x024, 4, 2); /* beyond the features there are */
        rig_put(r, 0, 0x020, 4, 7);
        rig_put(r, 0, V_STATUS, 4, 11);
        CHECK_INT(rig_get(r, 0, V_STATUS, 4), rows[i].ok ? 11 : 3);
    }
    rig_put(r, 0, 0x014, 4, 2);
    CHECK_INT(rig_get(r, 0, 0x010, 4), 0);
    VirtioCard *card = r->d->peer;
    rig_free(r);
    virtio_card_free(card);
}

TEST(virtio_mmio, a_queue_has_a_size_of_a_power_of_2_and_is_not_moved_while_it_is_in_use)
{
    VRig *v = rng();
    vrig_put(v, V_STATUS, 0);
    vrig_put(v, 0x030, 0);
    uint32_t max = vrig_get(v, 0x034);
    vrig_put(v, 0x038, 3);
    vrig_put(v, 0x038, 0);
    vrig_put(v, 0x038, max * 2);
    vrig_put(v, 0x044, 1);
    vrig_put(v, 0x038, 2);
    vrig_put(v, 0x080, 0x1000);
    const VirtioState *s = v->r->d->state;
    CHECK(s->queue[0].size == max && s->queue[0].desc == 0);
    vrig_put(v, 0x044, 0);
    vrig_put(v, 0x038, 2);
    vrig_put(v, 0x080, 0x1000);
    vrig_put(v, 0x084, 0x7);
    CHECK(s->queue[0].size == 2 && s->queue[0].desc == 0x700001000);
    vrig_put(v, 0x030, 1); /* there is no second one */
    CHECK_INT(vrig_get(v, 0x034), 0);
    vrig_put(v, 0x044, 1);
    vrig_put(v, 0x0a0, 0x1000);
    CHECK_INT(vrig_get(v, 0x044), 0);
    vrig_put(v, V_NOTIFY, 1);
    vrig_put(v, V_NOTIFY, 77);
    vrig_free(v);
}

TEST(virtio_mmio, a_buffer_comes_back_with_its_length_and_interrupts_until_acknowledged)
{
    VRig *v = rng();
    uint16_t head;
    uint32_t written;
    vrig_desc(v, 0, 3, V_DATA, 20, V_WRITE | V_NEXT, 5);
    vrig_desc(v, 0, 5, V_DATA + 0x100, 13, V_WRITE, 0);
    vrig_offer(v, 0, 3);
    CHECK(!v->r->irq && !vrig_take(v, 0, &head, &written));
    vrig_notify(v, 0);
    CHECK(vrig_take(v, 0, &head, &written) && head == 3 && written == 33);
    CHECK(!is_zero(vrig_at(v, V_DATA), 20) && !is_zero(vrig_at(v, V_DATA + 0x100), 13));
    CHECK(is_zero(vrig_at(v, V_DATA + 20), 0x100 - 20) && is_zero(vrig_at(v, V_DATA + 0x10d), 64));
    CHECK(v->r->irq);
    CHECK_INT(vrig_get(v, V_INTERRUPT_STATUS), 1);
    vrig_put(v, V_INTERRUPT_ACK, 1);
    CHECK(!v->r->irq);
    *vrig_at(v, vrig_avail_at(0)) = 1; /* VIRTQ_AVAIL_F_NO_INTERRUPT */
    vrig_offer(v, 0, 5);
    vrig_notify(v, 0);
    CHECK(vrig_take(v, 0, &head, &written) && head == 5 && written == 13 && !v->r->irq);
    vrig_free(v);
}

TEST(virtio_mmio, the_ring_goes_round_and_a_save_in_between_does_not_show)
{
    VRig *v = rng(), *same = rng();
    for (unsigned i = 0; i < 70000; i++) { /* past the wrap of both indices */
        uint16_t head = 99;
        uint32_t written = 0;
        unsigned at = i % SIZE;
        vrig_desc(v, 0, at, V_DATA + at * 8, 8, V_WRITE, 0);
        vrig_offer(v, 0, (uint16_t)at);
        vrig_notify(v, 0);
        if (!vrig_take(v, 0, &head, &written) || head != at || written != 8) {
            CHECK(!"it came back");
            break;
        }
        if (i % 10007 == 0) {
            rig_swap(v->r);
        }
    }
    CHECK(!vrig_is_broken(v));
    rig_refuses(v->r, 84, 16); /* status: a bit that there is not */
    rig_refuses(v->r, 132, 3); /* the size of queue 0 */
    vrig_free(same);
    vrig_free(v);
}

TEST(virtio_rng, the_same_seed_gives_the_same_bytes_and_a_driver_that_begins_anew_gets_others)
{
    VRig *v = rng(), *same = rng(), *other = vrig_new(virtio_rng_new(SEED + 1), 0, 1, SIZE);
    VRig *all[] = {v, same, other};
    uint16_t head;
    uint32_t written;
    for (unsigned i = 0; i < 3; i++) {
        vrig_desc(all[i], 0, 0, V_DATA, 8192, V_WRITE, 0);
        vrig_offer(all[i], 0, 0);
        vrig_notify(all[i], 0);
        CHECK(vrig_take(all[i], 0, &head, &written) && written == 4096);
    }
    CHECK(!memcmp(vrig_at(v, V_DATA), vrig_at(same, V_DATA), 8192));
    CHECK(memcmp(vrig_at(v, V_DATA), vrig_at(other, V_DATA), 4096) != 0);
    vrig_start(v, 0, 1, SIZE);
    vrig_desc(v, 0, 0, V_DATA, 4096, V_WRITE, 0);
    vrig_offer(v, 0, 0);
    vrig_notify(v, 0);
    CHECK(memcmp(vrig_at(v, V_DATA), vrig_at(same, V_DATA), 4096) != 0);
    for (unsigned i = 0; i < 3; i++) {
        vrig_free(all[i]);
    }
}

TEST(virtio_queue, indirect_tables_are_followed)
{
    VRig *v = rng();
    uint16_t head;
    uint32_t written;
    uint64_t table = V_DATA + 0x1000;
    vrig_desc_in(v, table, 0, V_DATA, 16, V_WRITE | V_NEXT, 2);
    vrig_desc_in(v, table, 2, V_DATA + 0x100, 16, V_WRITE, 0);
    vrig_desc(v, 0, 7, table, 48, V_INDIRECT, 0);
    vrig_offer(v, 0, 7);
    vrig_notify(v, 0);
    CHECK(vrig_take(v, 0, &head, &written) && head == 7 && written == 32);
    vrig_free(v);
}

/* Descriptors 0 and 1 of the queue, and two of a table at V_DATA + 0x1000. */
typedef struct {
    const char *what;
    struct {
        uint64_t gpa;
        uint32_t size_bytes;
        uint16_t flags, next;
    } d[4];
    uint16_t head;
} Hostile;

TEST(virtio_queue, what_a_driver_must_not_do_breaks_the_device_until_it_is_reset)
{
    enum { T = V_DATA + 0x1000 };
    static const Hostile rows[] = {
        {"a head that there is not", {{V_DATA, 8, V_WRITE, 0}}, SIZE},
        {"a next one that there is not", {{V_DATA, 8, V_WRITE | V_NEXT, SIZE}}, 0},
        {"a loop of itself", {{V_DATA, 8, V_WRITE | V_NEXT, 0}}, 0},
        {"a loop of two", {{V_DATA, 8, V_WRITE | V_NEXT, 1}, {V_DATA, 8, V_WRITE | V_NEXT, 0}}, 0},
        {"readable after writable", {{V_DATA, 8, V_WRITE | V_NEXT, 1}, {V_DATA, 8, 0, 0}}, 0},
        {"nothing to write", {{V_DATA, 8, 0, 0}}, 0},
        {"no RAM", {{0x1000, 8, V_WRITE, 0}}, 0},
        {"the end of RAM", {{RIG_RAM + RIG_RAM_BYTES - 4, 8, V_WRITE, 0}}, 0},
        {"the end of the address space", {{~3ull, 8, V_WRITE, 0}}, 0},
        {"more than 4 GiB", {{V_DATA, UINT32_MAX, V_NEXT, 1}, {V_DATA, UINT32_MAX, V_WRITE, 0}}, 0},
        {"an empty table", {{T, 0, V_INDIRECT, 0}}, 0},
        {"a table of a piece", {{T, 24, V_INDIRECT, 0}, {0}, {V_DATA, 8, V_WRITE, 0}}, 0},
        {"a table in no RAM", {{0x1000, 32, V_INDIRECT, 0}}, 0},
        {"a table and a next one",
         {{T, 32, V_INDIRECT | V_NEXT, 1}, {V_DATA, 8, V_WRITE, 0}, {V_DATA, 8, V_WRITE, 0}},
         0},
        {"a table in a table", {{T, 32, V_INDIRECT, 0}, {0}, {T, 32, V_INDIRECT, 0}}, 0},
        {"a next one outside of the table", {{T, 32, V_INDIRECT, 0}, {0}, {V_DATA, 8, V_WRITE | V_NEXT, 2}}, 0},
        {"a loop in the table", {{T, 32, V_INDIRECT, 0}, {0}, {V_DATA, 8, V_WRITE | V_NEXT, 0}}, 0},
        {"a table that wraps", {{~15ull, 32, V_INDIRECT, 0}}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        VRig *v = rng();
        uint16_t head;
        uint32_t written;
        for (unsigned k = 0; k < 4; k++) {
            vrig_desc_in(v, k < 2 ? vrig_desc_at(0) : T, k % 2, rows[i].d[k].gpa, rows[i].d[k].size_bytes,
                         rows[i].d[k].flags, rows[i].d[k].next);
        }
        vrig_offer(v, 0, rows[i].head);
        vrig_notify(v, 0);
        CHECK_STR(vrig_is_broken(v) ? rows[i].what : "not broken", rows[i].what);
        CHECK(!vrig_take(v, 0, &head, &written));
        vrig_put(v, V_STATUS, V_LIVE); /* does not mend it */
        vrig_desc(v, 0, 0, V_DATA, 8, V_WRITE, 0);
        vrig_offer(v, 0, 0);
        vrig_notify(v, 0);
        CHECK(vrig_is_broken(v) && !vrig_take(v, 0, &head, &written));
        rig_swap(v->r);
        vrig_start(v, 0, 1, SIZE);
        CHECK(!v->r->irq);
        vrig_desc(v, 0, 0, V_DATA, 8, V_WRITE, 0);
        vrig_offer(v, 0, 0);
        vrig_notify(v, 0);
        CHECK(vrig_take(v, 0, &head, &written));
        vrig_free(v);
    }
}

TEST(virtio_queue, an_index_too_far_or_rings_outside_of_ram_break_it)
{
    static const struct {
        uint16_t offset;
        uint32_t high;
    } rings[] = {{0x084, 1}, {0x094, 1}, {0x0a4, 1}};
    VRig *v = rng();
    *vrig_at(v, vrig_avail_at(0) + 2) = SIZE + 1;
    vrig_notify(v, 0);
    CHECK(vrig_is_broken(v));
    for (size_t i = 0; i < ARRAY_LEN(rings); i++) {
        vrig_start(v, 0, 1, SIZE);
        vrig_put(v, 0x044, 0);
        vrig_put(v, rings[i].offset, rings[i].high);
        vrig_put(v, 0x044, 1);
        vrig_desc(v, 0, 0, V_DATA, 8, V_WRITE, 0);
        vrig_offer(v, 0, 0);
        vrig_notify(v, 0);
        CHECK(vrig_is_broken(v));
    }
    vrig_free(v);
}

TEST(virtio_queue, nothing_is_taken_before_the_driver_is_ready)
{
    VRig *v = rng();
    uint16_t head;
    uint32_t written;
    vrig_put(v, V_STATUS, 0);
    vrig_put(v, V_STATUS, 11); /* no VERSION_1 accepted */
    vrig_desc(v, 0, 0, V_DATA, 8, V_WRITE, 0);
    vrig_offer(v, 0, 0);
    vrig_notify(v, 0);
    CHECK(!vrig_take(v, 0, &head, &written) && !v->r->irq);
    vrig_start(v, 0, 0, SIZE);
    vrig_notify(v, 0); /* the queue is not in use */
    CHECK(!v->r->irq && !(vrig_get(v, V_STATUS) & V_NEEDS_RESET));
    vrig_free(v);
}
