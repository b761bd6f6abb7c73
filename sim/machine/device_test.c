/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/machine/device.h"

#include <string.h>

typedef struct {
    uint8_t small;
    uint16_t half[3];
    uint32_t word;
    uint64_t wide[2];
} Toy;
static const StateField toy_state[] = {
    STATE_FIELD(Toy, small), STATE_ARRAY(Toy, half), STATE_FIELD(Toy, word), STATE_ARRAY(Toy, wide), {0}};

static void toy_reset(Device *d)
{
    ((Toy *)d->state)->word = 42;
}
static int toy_read(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    *value = ((Toy *)d->state)->wide[0] + vcpu + offset + size_bytes;
    return offset == 4 ? -ERR_FAULT : 0;
}
static int toy_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    ((Toy *)d->state)->wide[0] = value;
    (void)vcpu;
    (void)size_bytes;
    return offset == 4 ? -ERR_FAULT : 0;
}
static int toy_check(const Device *d, Err *err)
{
    return ((const Toy *)d->state)->small < 10
               ? 0
               : err_set(err, ERR_INVAL, "toy: small is %u, expected less than 10", ((const Toy *)d->state)->small);
}
static const DeviceType toy = {.name = "toy",
                               .size_bytes = 16,
                               .access_bytes = 1 | 4 | 8,
                               .state_bytes = sizeof(Toy),
                               .state = toy_state,
                               .reset = toy_reset,
                               .read = toy_read,
                               .write = toy_write,
                               .check = toy_check};

TEST(device, accesses_of_other_sizes_misaligned_or_beyond_the_window_are_bus_errors)
{
    static const struct {
        uint64_t offset;
        unsigned size_bytes;
        int rc;
    } rows[] = {
        {0, 1, 0},           {15, 1, 0},         {0, 4, 0},          {12, 4, 0},          {8, 8, 0},
        {0, 2, -ERR_FAULT},  {1, 4, -ERR_FAULT}, {4, 8, -ERR_FAULT}, {16, 1, -ERR_FAULT}, {16, 8, -ERR_FAULT},
        {0, 16, -ERR_FAULT}, {0, 5, -ERR_FAULT}, {0, 0, -ERR_FAULT}, {4, 4, -ERR_FAULT},  {~7ull, 8, -ERR_FAULT}};
    Device *d = device_new(&toy, NULL);
    device_reset(d);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t value;
        CHECK_INT(device_read(d, 1, rows[i].offset, rows[i].size_bytes, &value), rows[i].rc);
        CHECK_INT(device_write(d, 1, rows[i].offset, rows[i].size_bytes, 0), rows[i].rc);
    }
    device_free(d);
    device_free(NULL);
}

TEST(device, a_write_arrives_without_the_bits_beyond_its_size)
{
    Device *d = device_new(&toy, NULL);
    device_reset(d);
    CHECK_INT(device_write(d, 0, 0, 4, 0x1122334455667788), 0);
    CHECK_INT(((Toy *)d->state)->wide[0], 0x55667788);
    CHECK_INT(device_write(d, 0, 0, 8, 0x1122334455667788), 0);
    CHECK_INT(((Toy *)d->state)->wide[0], 0x1122334455667788);
    device_free(d);
}

TEST(device, reset_zeroes_the_state_first)
{
    Device *d = device_new(&toy, NULL);
    ((Toy *)d->state)->half[2] = 7;
    device_reset(d);
    CHECK_INT(((Toy *)d->state)->half[2], 0);
    CHECK_INT(((Toy *)d->state)->word, 42);
    device_free(d);
}

TEST(device, state_is_saved_little_endian_in_table_order_and_restored)
{
    Device *d = device_new(&toy, NULL), *e = device_new(&toy, NULL);
    Toy t = {1, {2, 3, 0x405}, 6, {7, 0x0809}};
    Buf b = {0};
    memcpy(d->state, &t, sizeof t);
    device_save(d, &b);
    CHECK_INT(b.n, 4 + 1 + 6 + 4 + 16);
    CHECK(!memcmp(b.data, "\x1b\0\0\0\1\2\0\3\0\5\4\6\0\0\0\7\0\0\0\0\0\0\0\x09\x08\0\0\0\0\0\0", b.n));
    buf_char(&b, 'x');
    Cursor c = cursor_of(b.data, b.n);
    CHECK_INT(device_restore(e, &c, NULL), 0);
    CHECK_INT(cursor_left(&c), 1);
    const Toy *got = e->state;
    CHECK(got->small == 1 && got->half[2] == 0x405 && got->word == 6 && got->wide[1] == 0x0809);
    buf_free(&b);
    device_free(d);
    device_free(e);
}

TEST(device, a_short_wrong_or_unsound_state_is_refused_and_changes_nothing)
{
    Device *d = device_new(&toy, NULL);
    Buf b = {0};
    Err err;
    ((Toy *)d->state)->small = 9;
    device_save(d, &b);
    ((Toy *)d->state)->small = 3;
    for (size_t n = 0; n < b.n; n++) {
        Cursor c = cursor_of(b.data, n);
        CHECK_INT(device_restore(d, &c, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "toy: ");
    }
    Cursor c = cursor_of(b.data, b.n);
    b.data[0]++;
    CHECK_INT(device_restore(d, &c, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "length of 28: expected a length of 27");
    b.data[0]--;
    b.data[4] = 10;
    c = cursor_of(b.data, b.n);
    CHECK_INT(device_restore(d, &c, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "small is 10");
    CHECK_INT(((Toy *)d->state)->small, 3);
    buf_free(&b);
    device_free(d);
}

/* ---- more: a text of any length, of which the peer has a copy ---- */
static void diary_save(Device *d, Buf *out)
{
    const char *text = d->more ? d->more : "";
    buf_le(out, strlen(text), 2);
    buf_str(out, text);
}
static int diary_restore(Device *d, Cursor *in, Err *err)
{
    size_t n = (size_t)cursor_le(in, 2);
    const uint8_t *text = cursor_bytes(in, n);
    if (!text) {
        return err_set(err, ERR_INVAL, "diary: %zu bytes are missing", n);
    }
    d->more = x_strndup((const char *)text, n);
    return 0;
}
static void diary_free(Device *d)
{
    mem_free(d->more);
}
static void diary_adopt(Device *d)
{
    buf_str(d->peer, d->more);
}

TEST(device, what_has_no_fixed_size_is_saved_behind_the_table_and_exchanged_whole)
{
    DeviceType diary = toy;
    diary.more_save = diary_save;
    diary.more_restore = diary_restore;
    diary.more_free = diary_free;
    diary.adopt = diary_adopt;
    Device *d = device_new(&diary, NULL), *twin = device_new(&diary, NULL);
    Buf saved = {0}, peer = {0};
    Err err;
    twin->peer = &peer;
    device_reset(d);
    device_reset(twin);
    d->more = x_strdup("dear");
    twin->more = x_strdup("old");
    device_save(d, &saved);
    Cursor cut = cursor_of(saved.data, saved.n - 1);
    CHECK_INT(device_restore(twin, &cut, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "4 bytes are missing");
    CHECK_STR(twin->more, "old");
    Cursor c = cursor_of(saved.data, saved.n);
    CHECK_INT(device_restore(twin, &c, &err), 0);
    CHECK_STR(twin->more, "dear");
    CHECK_STR(buf_text(&peer), ""); /* not before it is in use */
    device_adopt(twin);
    CHECK_STR(buf_text(&peer), "dear");
    buf_free(&saved);
    buf_free(&peer);
    device_free(d);
    device_free(twin);
}
