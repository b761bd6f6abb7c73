/* SPDX-License-Identifier: Apache-2.0
 * The finisher and the clock. */
#include "sim/base/test.h"
#include "sim/devices/rig.h"

TEST(finisher, values_end_the_machine_as_their_low_half_says)
{
    Rig *r = rig_new("finisher", 1, 0);
    rig_put(r, 0, 0, 4, 0x5555);
    CHECK(r->finishes == 1 && r->finish_kind == FINISH_OFF && r->finish_code == 0);
    rig_put(r, 0, 0, 4, 0x00073333);
    CHECK(r->finishes == 2 && r->finish_kind == FINISH_FAIL && r->finish_code == 7);
    rig_put(r, 0, 0, 2, 0x7777);
    CHECK(r->finishes == 3 && r->finish_kind == FINISH_RESET);
    rig_put(r, 0, 0, 4, 0x1234);
    rig_put(r, 0, 4, 4, 0x5555);
    CHECK_INT(r->finishes, 3);
    CHECK_INT(rig_get(r, 0, 0, 4), 0);
    uint64_t value;
    CHECK_INT(device_read(r->d, 0, 0, 8, &value), -ERR_FAULT);
    rig_swap(r);
    rig_free(r);
}

TEST(goldfish_rtc, time_is_the_guest_clock_and_reading_its_low_half_latches_the_high)
{
    Rig *r = rig_new("goldfish_rtc", 1, 0);
    r->now_ns = 0x1ffffffff;
    CHECK_INT(rig_get(r, 0, 0, 4), 0xffffffff);
    r->now_ns++;
    CHECK_INT(rig_get(r, 0, 4, 4), 1);
    CHECK_INT(rig_get(r, 0, 0, 4), 0);
    CHECK_INT(rig_get(r, 0, 4, 4), 2);
    rig_put(r, 0, 4, 4, 0x10); /* set the clock: high, then low */
    rig_put(r, 0, 0, 4, 0x20);
    r->now_ns += 5;
    CHECK_INT(rig_get(r, 0, 0, 4), 0x25);
    CHECK_INT(rig_get(r, 0, 4, 4), 0x10);
    rig_free(r);
}

TEST(goldfish_rtc, an_alarm_interrupts_when_its_time_comes_and_it_is_enabled)
{
    Rig *r = rig_new("goldfish_rtc", 1, 0);
    rig_put(r, 0, 0x10, 4, 1);
    rig_put(r, 0, 0x0c, 4, 0);
    rig_put(r, 0, 0x08, 4, 1000);
    CHECK_INT(rig_get(r, 0, 0x18, 4), 1);
    CHECK_INT(r->d->type->deadline(r->d, 0), 1000);
    rig_clock(r, 0, 999);
    CHECK(!r->irq);
    rig_swap(r);
    rig_clock(r, 0, 1000);
    CHECK(r->irq);
    CHECK_INT(r->d->type->deadline(r->d, 0), UINT64_MAX);
    CHECK_INT(rig_get(r, 0, 0x18, 4), 0);
    rig_put(r, 0, 0x1c, 4, 1);
    CHECK(!r->irq);
    rig_put(r, 0, 0x08, 4, 500); /* in the past: at once */
    CHECK(r->irq);
    rig_put(r, 0, 0x10, 4, 0);
    CHECK(!r->irq);
    CHECK_INT(rig_get(r, 0, 0x10, 4), 0);
    rig_put(r, 0, 0x08, 4, 5000);
    rig_put(r, 0, 0x14, 4, 1);
    CHECK_INT(r->d->type->deadline(r->d, 0), UINT64_MAX);
    CHECK_INT(rig_get(r, 0, 0x08, 4), 5000);
    CHECK_INT(rig_get(r, 0, 0x14, 4), 0); /* registers that are written only, and one that is read only */
    CHECK_INT(rig_get(r, 0, 0x1c, 4), 0);
    rig_put(r, 0, 0x18, 4, 1);
    CHECK_INT(rig_get(r, 0, 0x18, 4), 0);
    CHECK_INT(rig_get(r, 0, 0x0c, 4), 0);
    uint64_t value;
    CHECK_INT(device_read(r->d, 0, 0x20, 4, &value), -ERR_FAULT);
    CHECK_INT(device_write(r->d, 0, 0x20, 4, 0), -ERR_FAULT);
    rig_refuses(r, 24, 2);
    rig_free(r);
}
