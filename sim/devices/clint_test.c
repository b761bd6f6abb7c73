/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/test.h"
#include "sim/devices/rig.h"

enum { CMP = 0x4000, TIME = 0xbff8 };

TEST(clint, mtime_counts_at_10_mhz_and_reads_in_one_or_two_halves)
{
    Rig *r = rig_new("clint", 1, 0);
    CHECK_INT(rig_get(r, 0, TIME, 8), 0);
    r->now_ns = 99;
    CHECK_INT(rig_get(r, 0, TIME, 8), 0);
    r->now_ns = 0x123456789ull * 100;
    CHECK_INT(rig_get(r, 0, TIME, 8), 0x123456789);
    CHECK_INT(rig_get(r, 0, TIME, 4), 0x23456789);
    CHECK_INT(rig_get(r, 0, TIME + 4, 4), 1);
    rig_free(r);
}

TEST(clint, the_timer_wire_rises_at_the_deadline_and_falls_when_the_comparator_moves)
{
    Rig *r = rig_new("clint", 2, 0);
    CHECK_INT(r->d->type->deadline(r->d, 0), UINT64_MAX);
    rig_put(r, 0, CMP, 8, 50);
    CHECK_INT(r->d->type->deadline(r->d, 0), 5000);
    CHECK_INT(r->d->type->deadline(r->d, 1), UINT64_MAX);
    rig_clock(r, 0, 4999);
    CHECK(!r->line[0][WIRE_TIMER]);
    rig_clock(r, 0, 5000);
    CHECK(r->line[0][WIRE_TIMER] && !r->line[1][WIRE_TIMER]);
    CHECK_INT(r->d->type->deadline(r->d, 0), UINT64_MAX);
    rig_put(r, 0, CMP, 8, 60);
    CHECK(!r->line[0][WIRE_TIMER]);
    rig_put(r, 0, CMP, 8, 50);
    CHECK(r->line[0][WIRE_TIMER]);
    rig_free(r);
}

TEST(clint, a_comparator_is_written_in_halves_and_reads_back)
{
    Rig *r = rig_new("clint", 2, 0);
    CHECK_INT(rig_get(r, 0, CMP + 8, 8), UINT64_MAX);
    rig_put(r, 1, CMP + 8, 4, 0x11111111);
    rig_put(r, 1, CMP + 12, 4, 0x22222222);
    CHECK_INT(rig_get(r, 0, CMP + 8, 8), 0x2222222211111111);
    CHECK_INT(rig_get(r, 0, CMP + 12, 4), 0x22222222);
    CHECK_INT(rig_get(r, 0, CMP + 8, 4), 0x11111111);
    rig_free(r);
}

TEST(clint, a_timer_that_another_hart_sets_fires_by_its_owners_clock)
{
    Rig *r = rig_new("clint", 2, 0);
    r->now_ns = 10000; /* hart 0 is ahead */
    rig_put(r, 0, CMP + 8, 8, 50);
    CHECK(!r->line[1][WIRE_TIMER]);
    rig_clock(r, 1, 3000);
    CHECK(!r->line[1][WIRE_TIMER]);
    CHECK_INT(r->d->type->deadline(r->d, 1), 5000);
    rig_clock(r, 1, 7000);
    CHECK(r->line[1][WIRE_TIMER]);
    rig_free(r);
}

TEST(clint, deadlines_that_the_clock_cannot_reach_are_none)
{
    Rig *r = rig_new("clint", 1, 0);
    r->now_ns = 100;
    rig_put(r, 0, CMP, 8, UINT64_MAX / 100 + 1);
    CHECK_INT(r->d->type->deadline(r->d, 0), UINT64_MAX);
    rig_put(r, 0, CMP, 8, UINT64_MAX / 100);
    CHECK_INT(r->d->type->deadline(r->d, 0), UINT64_MAX / 100 * 100);
    rig_free(r);
}

TEST(clint, writing_mtime_moves_the_timers_of_all_harts)
{
    Rig *r = rig_new("clint", 2, 0);
    rig_put(r, 0, CMP, 8, 1000);
    rig_put(r, 1, CMP + 8, 8, 1000);
    r->now_ns = 700;
    rig_put(r, 0, TIME, 8, 2000);
    CHECK_INT(rig_get(r, 0, TIME, 8), 2000);
    CHECK(r->line[0][WIRE_TIMER]);
    rig_clock(r, 1, 700);
    CHECK(r->line[1][WIRE_TIMER]);
    rig_put(r, 0, TIME, 4, 10);
    CHECK_INT(rig_get(r, 0, TIME, 8), 10);
    CHECK(!r->line[0][WIRE_TIMER] && !r->line[1][WIRE_TIMER]);
    CHECK_INT(r->d->type->deadline(r->d, 1), (7 + 990) * 100);
    rig_put(r, 0, TIME + 4, 4, 1);
    CHECK_INT(rig_get(r, 0, TIME, 8), 0x10000000a);
    rig_free(r);
}

TEST(clint, msip_is_one_bit_a_hart_and_drives_its_software_wire)
{
    Rig *r = rig_new("clint", 2, 0);
    rig_put(r, 0, 4, 4, 0xffffffff);
    CHECK(r->line[1][WIRE_SOFTWARE] && !r->line[0][WIRE_SOFTWARE]);
    CHECK_INT(rig_get(r, 0, 4, 4), 1);
    CHECK_INT(rig_get(r, 0, 0, 4), 0);
    rig_put(r, 1, 4, 4, 0xfffffffe);
    CHECK(!r->line[1][WIRE_SOFTWARE]);
    rig_free(r);
}

TEST(clint, harts_that_do_not_exist_read_as_zero_and_the_rest_is_a_bus_error)
{
    Rig *r = rig_new("clint", 2, 0);
    uint64_t value;
    rig_put(r, 0, 8, 4, 1);
    rig_put(r, 0, CMP + 16, 8, 5);
    CHECK_INT(rig_get(r, 0, 8, 4), 0);
    CHECK_INT(rig_get(r, 0, CMP + 16, 8), 0);
    CHECK_INT(rig_get(r, 0, 0x3ffc, 4), 0);
    CHECK_INT(device_read(r->d, 0, 0, 8, &value), -ERR_FAULT);
    CHECK_INT(device_read(r->d, 0, 0xc000, 4, &value), -ERR_FAULT);
    CHECK_INT(device_write(r->d, 0, 0xfff8, 8, 0), -ERR_FAULT);
    CHECK_INT(device_read(r->d, 0, TIME, 2, &value), -ERR_FAULT);
    rig_free(r);
}

TEST(clint, saved_in_the_middle_it_goes_on_the_same)
{
    Rig *r = rig_new("clint", 2, 0);
    r->now_ns = 1000;
    rig_put(r, 0, TIME, 8, 500);
    rig_put(r, 0, CMP, 8, 510);
    rig_put(r, 0, 4, 4, 1);
    rig_swap(r);
    CHECK_INT(rig_get(r, 0, TIME, 8), 500);
    CHECK_INT(rig_get(r, 0, 4, 4), 1);
    CHECK_INT(r->d->type->deadline(r->d, 0), 2000);
    r->line[1][WIRE_SOFTWARE] = false;
    r->d->type->drive(r->d);
    CHECK(r->line[1][WIRE_SOFTWARE] && !r->line[0][WIRE_TIMER]);
    rig_refuses(r, 8 + 8 * DEVICE_MAX_VCPUS, 2); /* msip */
    rig_free(r);
}
