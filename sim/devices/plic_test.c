/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/test.h"
#include "sim/devices/rig.h"

enum { PENDING = 0x1000, ENABLE = 0x2000, THRESHOLD = 0x200000, CLAIM = 0x200004, CONTEXT = 0x1000 };

static void wire(Rig *r, unsigned source, bool level)
{
    r->d->type->wire(r->d, source, level);
}

static void enable(Rig *r, unsigned context, unsigned source, uint32_t priority)
{
    uint64_t at = ENABLE + context * 0x80 + source / 32 * 4;
    rig_put(r, 0, 4ull * source, 4, priority);
    rig_put(r, 0, at, 4, rig_get(r, 0, at, 4) | 1u << source % 32);
}

TEST(plic, a_source_interrupts_once_it_is_enabled_with_a_priority_and_its_wire_is_high)
{
    Rig *r = rig_new("plic", 1, 1);
    wire(r, 10, true);
    CHECK_INT(rig_get(r, 0, PENDING, 4), 1u << 10);
    CHECK(!r->line[0][WIRE_EXTERNAL]);
    rig_put(r, 0, ENABLE, 4, 1u << 10);
    CHECK(!r->line[0][WIRE_EXTERNAL]); /* priority 0: never */
    CHECK_INT(rig_get(r, 0, CLAIM, 4), 0);
    rig_put(r, 0, 40, 4, 1);
    CHECK(r->line[0][WIRE_EXTERNAL]);
    CHECK_INT(rig_get(r, 0, CLAIM, 4), 10);
    CHECK(!r->line[0][WIRE_EXTERNAL]);
    CHECK_INT(rig_get(r, 0, PENDING, 4), 0);
    CHECK_INT(rig_get(r, 0, CLAIM, 4), 0);
    rig_free(r);
}

TEST(plic, completion_lets_a_wire_that_is_still_high_interrupt_again)
{
    Rig *r = rig_new("plic", 1, 1);
    enable(r, 0, 10, 1);
    wire(r, 10, true);
    CHECK_INT(rig_get(r, 0, CLAIM, 4), 10);
    wire(r, 10, false);
    wire(r, 10, true); /* the gateway waits */
    CHECK(!r->line[0][WIRE_EXTERNAL]);
    rig_put(r, 0, CLAIM, 4, 10);
    CHECK(r->line[0][WIRE_EXTERNAL]);
    CHECK_INT(rig_get(r, 0, CLAIM, 4), 10);
    wire(r, 10, false);
    rig_put(r, 0, CLAIM, 4, 10);
    CHECK(!r->line[0][WIRE_EXTERNAL]);
    rig_free(r);
}

TEST(plic, a_request_is_not_retracted_when_its_wire_falls)
{
    Rig *r = rig_new("plic", 1, 1);
    enable(r, 0, 40, 1);
    wire(r, 40, true);
    wire(r, 40, false);
    CHECK(r->line[0][WIRE_EXTERNAL]);
    CHECK_INT(rig_get(r, 0, PENDING + 4, 4), 1u << 8);
    CHECK_INT(rig_get(r, 0, CLAIM, 4), 40);
    rig_free(r);
}

TEST(plic, completions_of_what_is_not_enabled_for_the_context_are_ignored)
{
    Rig *r = rig_new("plic", 2, 1);
    enable(r, 0, 5, 1);
    wire(r, 5, true);
    CHECK_INT(rig_get(r, 0, CLAIM, 4), 5);
    rig_put(r, 0, CLAIM + CONTEXT, 4, 5); /* context 1 */
    rig_put(r, 0, CLAIM, 4, 0);
    rig_put(r, 0, CLAIM, 4, 96);
    rig_put(r, 0, CLAIM, 4, 0xffffffff);
    CHECK(!r->line[0][WIRE_EXTERNAL]);
    rig_put(r, 0, CLAIM, 4, 5);
    CHECK(r->line[0][WIRE_EXTERNAL]);
    rig_free(r);
}

TEST(plic, the_highest_priority_is_claimed_first_and_of_equals_the_lowest_number)
{
    Rig *r = rig_new("plic", 1, 1);
    static const unsigned sources[] = {3, 33, 64, 95}, order[] = {64, 95, 3, 33};
    static const uint8_t priority[] = {2, 2, 7, 7};
    for (unsigned i = 0; i < 4; i++) {
        enable(r, 0, sources[i], priority[i]);
        wire(r, sources[i], true);
    }
    for (unsigned i = 0; i < 4; i++) {
        CHECK(r->line[0][WIRE_EXTERNAL]);
        CHECK_INT(rig_get(r, 0, CLAIM, 4), order[i]);
    }
    CHECK(!r->line[0][WIRE_EXTERNAL]);
    rig_free(r);
}

TEST(plic, a_threshold_masks_the_notification_but_not_the_claim)
{
    Rig *r = rig_new("plic", 1, 1);
    enable(r, 0, 7, 3);
    wire(r, 7, true);
    rig_put(r, 0, THRESHOLD, 4, 3);
    CHECK(!r->line[0][WIRE_EXTERNAL]);
    rig_put(r, 0, THRESHOLD, 4, 2);
    CHECK(r->line[0][WIRE_EXTERNAL]);
    rig_put(r, 0, THRESHOLD, 4, 0xff);
    CHECK_INT(rig_get(r, 0, THRESHOLD, 4), 7);
    CHECK(!r->line[0][WIRE_EXTERNAL]);
    CHECK_INT(rig_get(r, 0, CLAIM, 4), 7);
    rig_free(r);
}

TEST(plic, with_machine_mode_each_hart_has_two_contexts)
{
    Rig *r = rig_new("plic", 2, 2);
    enable(r, 2, 9, 1); /* hart 1, M */
    enable(r, 1, 9, 1); /* hart 0, S */
    wire(r, 9, true);
    CHECK(r->line[1][WIRE_EXTERNAL] && r->line[0][WIRE_EXTERNAL_LOW]);
    CHECK(!r->line[0][WIRE_EXTERNAL] && !r->line[1][WIRE_EXTERNAL_LOW]);
    CHECK_INT(rig_get(r, 0, CLAIM + CONTEXT, 4), 9);
    CHECK(!r->line[1][WIRE_EXTERNAL] && !r->line[0][WIRE_EXTERNAL_LOW]);
    CHECK_INT(rig_get(r, 1, CLAIM + 2 * CONTEXT, 4), 0);
    rig_free(r);
}

TEST(plic, source_0_and_what_lies_beyond_sources_and_contexts_cannot_be_set)
{
    static const uint64_t offsets[] = {0,
                                       4 * 96,
                                       0xffc,
                                       PENDING,
                                       PENDING + 12,
                                       ENABLE + 12,
                                       ENABLE + 0x80,
                                       THRESHOLD + CONTEXT,
                                       CLAIM + CONTEXT,
                                       0x200008,
                                       0x5ffffc};
    Rig *r = rig_new("plic", 1, 1);
    for (unsigned i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        rig_put(r, 0, offsets[i], 4, 0xffffffff);
        CHECK_INT(rig_get(r, 0, offsets[i], 4), 0);
    }
    rig_put(r, 0, ENABLE, 4, 0xffffffff);
    CHECK_INT(rig_get(r, 0, ENABLE, 4), 0xfffffffe);
    rig_put(r, 0, 4, 4, 0xffffffff);
    CHECK_INT(rig_get(r, 0, 4, 4), 7);
    wire(r, 0, true);
    wire(r, 96, true);
    CHECK_INT(rig_get(r, 0, PENDING, 4), 0);
    uint64_t value;
    CHECK_INT(device_read(r->d, 0, 0, 8, &value), -ERR_FAULT);
    CHECK_INT(device_read(r->d, 0, 0x600000, 4, &value), -ERR_FAULT);
    rig_free(r);
}

TEST(plic, saved_in_the_middle_it_goes_on_the_same)
{
    Rig *r = rig_new("plic", 2, 1);
    enable(r, 1, 9, 4);
    enable(r, 1, 12, 5);
    rig_put(r, 0, THRESHOLD + CONTEXT, 4, 2);
    wire(r, 9, true);
    wire(r, 12, true);
    CHECK_INT(rig_get(r, 1, CLAIM + CONTEXT, 4), 12);
    rig_swap(r);
    CHECK_INT(rig_get(r, 1, CLAIM + CONTEXT, 4), 9);
    CHECK(!r->line[1][WIRE_EXTERNAL]);
    rig_put(r, 1, CLAIM + CONTEXT, 4, 12);
    CHECK(r->line[1][WIRE_EXTERNAL]);
    r->line[1][WIRE_EXTERNAL] = false;
    r->d->type->drive(r->d);
    CHECK(r->line[1][WIRE_EXTERNAL] && !r->line[0][WIRE_EXTERNAL]);
    rig_refuses(r, 5, 8);                         /* a priority */
    rig_refuses(r, 96, 8);                        /* a threshold */
    rig_refuses(r, 96 + 2 * DEVICE_MAX_VCPUS, 1); /* the wire of source 0 */
    rig_free(r);
}
