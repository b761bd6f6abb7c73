/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/test.h"
#include "sim/devices/virtio_rig.h"

#include <string.h>

enum { INFLATE, DEFLATE, SIZE = 8, PAGE = 4096, ACTUAL = V_CONFIG + 4 };
enum { FIRST_PAGE = RIG_RAM + 0x90000, NUMBERS = V_DATA };

static VRig *balloon(void)
{
    return vrig_new(virtio_balloon_new(3 * PAGE + 1), ~0ull, 2, SIZE);
}

/* A buffer of n page numbers, from `first` on. */
static void send_pages(VRig *v, unsigned queue, uint64_t first, uint32_t n, uint32_t bytes)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t pfn = first / PAGE + i;
        for (unsigned k = 0; k < 4; k++) {
            vrig_at(v, NUMBERS)[i * 4 + k] = (uint8_t)(pfn >> 8 * k);
        }
    }
    vrig_desc(v, queue, 0, NUMBERS, bytes, 0, 0);
    vrig_offer(v, queue, 0);
    vrig_notify(v, queue);
}

static bool is_all(VRig *v, uint64_t gpa, uint8_t value)
{
    for (unsigned i = 0; i < PAGE; i++) {
        if (vrig_at(v, gpa)[i] != value) {
            return false;
        }
    }
    return true;
}

TEST(virtio_balloon, it_asks_for_whole_pages_and_the_driver_says_how_many_it_gave)
{
    VRig *v = balloon();
    CHECK_INT(vrig_get(v, V_CONFIG), 3);
    CHECK_INT(vrig_get(v, ACTUAL), 0);
    vrig_put(v, ACTUAL, 2);
    CHECK_INT(vrig_get(v, ACTUAL), 2);
    vrig_put(v, V_CONFIG, 9); /* the device's own */
    CHECK_INT(vrig_get(v, V_CONFIG), 3);
    rig_put(v->r, 0, ACTUAL + 1, 1, 7);
    CHECK_INT(vrig_get(v, ACTUAL), 0x702);
    rig_swap(v->r);
    CHECK_INT(vrig_get(v, ACTUAL), 0x702);
    vrig_put(v, V_STATUS, 0);
    CHECK_INT(vrig_get(v, ACTUAL), 0);
    vrig_free(v);
}

TEST(virtio_balloon, what_is_in_pages_that_go_into_it_is_gone_and_of_those_that_come_out_nothing_happens)
{
    VRig *v = balloon();
    uint16_t head;
    uint32_t written;
    memset(vrig_at(v, FIRST_PAGE - PAGE), 1, 4 * PAGE);
    send_pages(v, INFLATE, FIRST_PAGE, 2, 8);
    CHECK(vrig_take(v, INFLATE, &head, &written) && head == 0 && written == 0);
    CHECK(is_all(v, FIRST_PAGE - PAGE, 1) && is_all(v, FIRST_PAGE, 0) && is_all(v, FIRST_PAGE + PAGE, 0) &&
          is_all(v, FIRST_PAGE + 2 * PAGE, 1));
    memset(vrig_at(v, FIRST_PAGE), 2, PAGE);
    send_pages(v, DEFLATE, FIRST_PAGE, 2, 8);
    CHECK(vrig_take(v, DEFLATE, &head, &written));
    CHECK(is_all(v, FIRST_PAGE, 2) && !vrig_is_broken(v));
    vrig_free(v);
}

TEST(virtio_balloon, numbers_that_are_no_pages_of_ram_and_buffers_that_are_no_numbers_break_it)
{
    static const struct {
        uint64_t first;
        uint32_t bytes;
    } bad[] = {{RIG_RAM + RIG_RAM_BYTES, 4}, {0xffffffffull * PAGE, 4}, {FIRST_PAGE, 6}, {FIRST_PAGE, 0x20004}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        VRig *v = balloon();
        send_pages(v, INFLATE, bad[i].first, 1, bad[i].bytes);
        CHECK(vrig_is_broken(v));
        vrig_free(v);
    }
}
