/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/slots.h"
#include "sim/base/test.h"

#include <string.h>

enum { PAGE = 4096, PAGES = 16 };
static uint8_t memory[PAGES * PAGE];

static void slots_open(Slots *s)
{
    *s = (Slots){.page_bytes = PAGE, .max_slots = 2};
    memset(memory, 0, sizeof memory);
    VEC_PUSH(&s->rams, (SlotRam){-1, memory, sizeof memory});
}

static Slot *place(Slots *s, uint64_t at, uint64_t pages, uint64_t offset_pages, uint32_t flags)
{
    Slot *slot = NULL;
    Slot want = {.at = at, .size = pages * PAGE, .offset = offset_pages * PAGE, .ram = 1, .flags = flags};
    CHECK_INT(slots_check(s, &want, NULL), 0);
    CHECK_INT(slots_place(s, &want, &slot, NULL), 0);
    if (slot) {
        slot->is_used = true;
    }
    return slot;
}

TEST(slots, refuse_what_cannot_be_mapped)
{
    Slots s;
    Err e = {0};
    static const struct {
        Slot want;
        int rc;
    } rows[] = {
        {{.at = 1, .size = PAGE, .ram = 1}, -ERR_ALIGN},
        {{.at = 0, .size = PAGE, .offset = 1, .ram = 1}, -ERR_ALIGN},
        {{.at = 0, .size = PAGE, .ram = 0}, -ERR_NOENT},
        {{.at = 0, .size = PAGE, .ram = 2}, -ERR_NOENT},
        {{.at = 0, .size = 0, .ram = 1}, -ERR_INVAL},
        {{.at = UINT64_MAX - PAGE + 1, .size = 2 * PAGE, .ram = 1}, -ERR_INVAL},
        {{.at = 0, .size = (PAGES + 1) * PAGE, .ram = 1}, -ERR_INVAL},
        {{.at = 0, .size = PAGE, .offset = PAGES * PAGE, .ram = 1}, -ERR_INVAL},
        {{.at = UINT64_MAX - PAGE + 1, .size = PAGE, .ram = 1}, 0},
    };
    slots_open(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(slots_check(&s, &rows[i].want, &e), rows[i].rc);
    }
    CHECK_INT(slots_check_ram(&s, 0, &e), -ERR_INVAL);
    CHECK_INT(slots_check_ram(&s, PAGE + 1, &e), -ERR_ALIGN);
    CHECK_INT(slots_check_ram(&s, PAGE, &e), 0);
    slots_free(&s);
}

TEST(slots, are_found_by_any_byte_and_taken_again_only_for_flags)
{
    Slots s;
    Err e = {0};
    slots_open(&s);
    Slot *a = place(&s, 0x10000, 2, 0, MAP_R), *out = NULL;
    CHECK(slots_find(&s, 0x11fff, 1) == a && slots_find(&s, 0xffff, 2) == a && slots_find(&s, 0, UINT64_MAX) == a);
    CHECK(!slots_find(&s, 0x12000, 1) && !slots_find(&s, 0xffff, 1));
    Slot want = *a;
    want.flags = MAP_R | MAP_W;
    CHECK_INT(slots_place(&s, &want, &out, &e), 0);
    CHECK(out == a && out->is_used && out->flags == MAP_R); /* the backend changes them */
    want.offset = PAGE;
    CHECK_INT(slots_place(&s, &want, &out, &e), -ERR_EXIST);
    CHECK_HAS(e.text, "map at 0x10000, size 0x2000 overlaps the region at 0x10000, size 0x2000");
    Slot *b = place(&s, 0x20000, 1, 2, MAP_R);
    a = slots_find(&s, 0x10000, 1); /* the list may have moved */
    want = (Slot){.at = 0x30000, .size = PAGE, .ram = 1};
    CHECK_INT(slots_place(&s, &want, &out, &e), -ERR_LIMIT);
    CHECK_INT(slots_exact(&s, 0x10000, PAGE, &out, &e), -ERR_NOENT);
    CHECK_INT(slots_exact(&s, 0x10000, 0, &out, &e), -ERR_NOENT);
    CHECK_INT(slots_exact(&s, UINT64_MAX, 2, &out, &e), -ERR_NOENT);
    CHECK_INT(slots_exact(&s, 0x10000, 2 * PAGE, &out, &e), 0);
    CHECK(out == a && b != a);
    if (CHECK(a)) {
        *a = (Slot){0};
    }
    CHECK_INT(slots_place(&s, &want, &out, &e), 0); /* in its place */
    CHECK(out && out == a && !out->is_used && out->at == 0x30000);
    slots_free(&s);
}

TEST(slots, read_and_write_all_or_nothing_over_neighbours)
{
    Slots s;
    Err e = {0};
    uint8_t bytes[32], back[32];
    slots_open(&s);
    place(&s, 0x10000, 1, 5, MAP_R);
    place(&s, 0x11000, 1, 2, MAP_R | MAP_LOG_DIRTY);
    memset(bytes, 0xa5, sizeof bytes);
    CHECK_INT(slots_write(&s, 0x10ff0, bytes, sizeof bytes, &e), 0);
    CHECK(memory[6 * PAGE - 1] == 0xa5 && memory[2 * PAGE + 15] == 0xa5 && memory[2 * PAGE + 16] == 0);
    CHECK_INT(slots_read(&s, 0x10ff0, back, sizeof back, &e), 0);
    CHECK(!memcmp(bytes, back, sizeof back));
    CHECK(!slots_find(&s, 0x10000, 1)->dirty && slots_find(&s, 0x11000, 1)->dirty[0] == 1);
    memset(bytes, 0x11, sizeof bytes);
    CHECK_INT(slots_write(&s, 0x11ff0, bytes, sizeof bytes, &e), -ERR_FAULT);
    CHECK_HAS(e.text, "no memory at 0x12000");
    CHECK_INT(memory[3 * PAGE - 1], 0);
    CHECK_INT(slots_read(&s, 0xfff0, back, sizeof back, &e), -ERR_FAULT);
    slots_free(&s);
    slots_open(&s);
    place(&s, UINT64_MAX - PAGE + 1, 1, 0, MAP_R);
    CHECK_INT(slots_read(&s, UINT64_MAX, back, 1, &e), 0);
    CHECK_INT(slots_read(&s, UINT64_MAX, back, 2, &e), -ERR_FAULT);
    CHECK_HAS(e.text, "wraps around");
    slots_free(&s);
}

typedef struct {
    unsigned ncalls;
    int rc;
} Platform;

static int fetch(void *ctx, Slot *slot, Err *err)
{
    Platform *p = ctx;
    p->ncalls++;
    slot->dirty[0] |= 2; /* the second page of each */
    return p->rc ? err_set(err, -p->rc, "the platform says no") : 0;
}

TEST(slots, tell_dirty_pages_once_and_ask_the_platform_for_each)
{
    Slots s;
    Err e = {0};
    Platform p = {0};
    uint8_t bits[2];
    slots_open(&s);
    place(&s, 0x10000, 4, 0, MAP_R | MAP_LOG_DIRTY);
    place(&s, 0x14000, 8, 4, MAP_R | MAP_LOG_DIRTY);
    CHECK_INT(slots_write(&s, 0x16000, "x", 1, &e), 0);
    CHECK_INT(slots_dirty_get(&s, 0x10000, 12 * PAGE, bits, false, fetch, &p, &e), 0);
    CHECK(bits[0] == 0x62 && bits[1] == 0 && p.ncalls == 2);
    CHECK_INT(slots_dirty_get(&s, 0x15000, 2 * PAGE, bits, true, fetch, &p, &e), 0);
    CHECK(bits[0] == 3 && p.ncalls == 3);
    CHECK_INT(slots_dirty_get(&s, 0x16000, PAGE, bits, true, fetch, &p, &e), 0);
    CHECK(bits[0] == 0);
    CHECK_INT(slots_dirty_get(&s, 0x10001, PAGE, bits, true, fetch, &p, &e), -ERR_ALIGN);
    CHECK_INT(slots_dirty_get(&s, 0x1b000, 2 * PAGE, bits, true, fetch, &p, &e), -ERR_FAULT);
    slots_find(&s, 0x14000, 1)->flags = MAP_R;
    slot_drop_dirty(slots_find(&s, 0x14000, 1));
    CHECK_INT(slots_dirty_get(&s, 0x13000, 2 * PAGE, bits, true, fetch, &p, &e), -ERR_STATE);
    p.rc = -ERR_HOST;
    CHECK_INT(slots_dirty_get(&s, 0x10000, PAGE, bits, true, fetch, &p, &e), -ERR_HOST);
    slots_free(&s);
}
