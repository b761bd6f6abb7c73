/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/snapshot/snapshot.h"

#include "sim/base/hash.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <string.h>

enum { PAGE = SPACE_PAGE_BYTES };
static const uint32_t VCPU = SNAP_TAG('V', 'C', 'P', 'U'), RAM = SNAP_TAG('R', 'A', 'M', ' ');

static void sample(Buf *out)
{
    SnapWriter w = snap_begin(out);
    buf_le(snap_section(&w, VCPU, 0), 0x1122, 2);
    snap_section(&w, VCPU, 7); /* empty */
    buf_str(snap_section(&w, RAM, 0), "xyz");
    snap_end(&w);
}

/* Makes length and checksum right again after a change. */
static void seal(Buf *b, size_t n)
{
    Sha256 sha;
    b->n = n;
    for (unsigned i = 0; i < 8; i++) {
        b->data[16 + i] = (char)((n + 32) >> 8 * i);
    }
    uint8_t sum[32];
    sha256_init(&sha);
    sha256_add(&sha, b->data, b->n);
    sha256_end(&sha, sum);
    buf_bytes(b, sum, sizeof sum);
}

TEST(snapshot, sections_are_found_by_tag_and_number_with_what_was_written)
{
    Buf b = {0};
    SnapReader r;
    Cursor c;
    Err err;
    buf_str(&b, "before");
    sample(&b);
    CHECK_INT(snap_open(&r, b.data + 6, b.n - 6, NULL), 0);
    CHECK_INT(snap_count(&r, VCPU), 2);
    CHECK_INT(snap_count(&r, RAM), 1);
    CHECK_INT(snap_count(&r, 0), 0);
    CHECK_INT(snap_find(&r, VCPU, 0, &c, NULL), 0);
    CHECK_INT(snap_done(&c, VCPU, 0, &err), -ERR_INVAL);
    CHECK_STR(err.text, "snapshot: section VCPU 0 has 2 bytes too many");
    CHECK_INT(cursor_le(&c, 2), 0x1122);
    CHECK_INT(snap_done(&c, VCPU, 0, NULL), 0);
    (void)cursor_le(&c, 1);
    CHECK_INT(snap_done(&c, VCPU, 0, &err), -ERR_INVAL);
    CHECK_STR(err.text, "snapshot: section VCPU 0 is too short");
    CHECK_INT(snap_find(&r, VCPU, 7, &c, NULL), 0);
    CHECK_INT(cursor_left(&c), 0);
    CHECK_INT(snap_find(&r, RAM, 0, &c, NULL), 0);
    CHECK(!memcmp(cursor_bytes(&c, 3), "xyz", 3));
    CHECK_INT(snap_find(&r, VCPU, 1, &c, &err), -ERR_NOENT);
    CHECK_STR(err.text, "snapshot: there is no section VCPU 1");
    CHECK_INT(snap_find(&r, 0x41, 0, &c, &err), -ERR_NOENT);
    CHECK_HAS(err.text, "A...");
    buf_free(&b);
}

TEST(snapshot, an_empty_container_is_sound)
{
    Buf b = {0};
    SnapReader r;
    SnapWriter w = snap_begin(&b);
    snap_end(&w);
    CHECK_INT(snap_open(&r, b.data, b.n, NULL), 0);
    CHECK_INT(snap_count(&r, VCPU), 0);
    buf_free(&b);
}

TEST(snapshot, cut_anywhere_or_with_any_byte_changed_it_is_refused)
{
    Buf b = {0};
    SnapReader r;
    Err err;
    sample(&b);
    for (size_t n = 0; n < b.n; n++) {
        CHECK_INT(snap_open(&r, b.data, n, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "snapshot: offset 0x");
    }
    for (size_t i = 0; i < b.n; i++) {
        b.data[i] ^= 0x20;
        CHECK(snap_open(&r, b.data, b.n, &err) < 0);
        b.data[i] ^= 0x20;
    }
    CHECK_INT(snap_open(&r, b.data, b.n, NULL), 0);
    buf_free(&b);
}

TEST(snapshot, each_malformed_field_is_refused_though_the_checksum_is_right)
{
    static const struct {
        size_t at;
        uint8_t value;
        int rc;
        const char *text;
    } rows[] = {
        {0, 'X', -ERR_INVAL, "no snapshot, expected \"CONFSNAP\""},
        {8, 2, -ERR_VERSION, "offset 0x8: version 2, expected 1"},
        {12, 2, -ERR_INVAL, "offset 0x3a: 19 bytes behind the last section"},
        {12, 4, -ERR_INVAL, "offset 0x4d: section 3 of 4 does not end inside"},
        {13, 9, -ERR_INVAL, "offset 0xc: 2307 sections, expected at most 1024"},
        {28, 7, -ERR_INVAL, "offset 0x2a: a second section VCPU 7"},
        {32, 200, -ERR_INVAL, "offset 0x18: section 0 of 3 does not end inside"},
        {39, 0xff, -ERR_INVAL, "offset 0x18: section 0 of 3 does not end inside"},
        {32, 1, -ERR_INVAL, "section"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        Buf b = {0};
        SnapReader r;
        Err err;
        sample(&b);
        b.data[rows[i].at] = (char)rows[i].value;
        seal(&b, b.n - 32);
        CHECK_INT(snap_open(&r, b.data, b.n, &err), rows[i].rc);
        CHECK_HAS(err.text, rows[i].text);
        buf_free(&b);
    }
}

static Space *space_of(uint64_t npages)
{
    Space *s = space_new();
    uint32_t ram;
    CHECK_INT(space_ram_new(s, npages * PAGE, &ram, NULL), 0);
    return s;
}

static uint64_t word_at(const Space *s, uint64_t offset)
{
    SpaceRam r;
    uint64_t w;
    space_rams(s, &r, 1);
    memcpy(&w, r.host + offset, 8);
    return w;
}

static void word_put(Space *s, uint64_t offset, uint64_t w)
{
    space_ram_put(s, 0, offset, &w, 8);
}

TEST(snapshot, ram_is_kept_as_its_pages_that_are_not_zero)
{
    Space *s = space_of(1024), *t = space_of(1024);
    Buf b = {0};
    word_put(s, 0, 1);
    word_put(s, 1 * PAGE + 4088, 2);
    word_put(s, 2 * PAGE, 0); /* touched, but zero */
    word_put(s, 3 * PAGE, 3);
    word_put(s, 1023 * PAGE, 4);
    snap_put_ram(&b, s, 0);
    CHECK_INT(b.n, 8 + 3 * 16 + 4 * PAGE + 16);
    word_put(t, 2 * PAGE, 99); /* goes */
    word_put(t, 3 * PAGE + 8, 99);
    CHECK_INT(snap_check_ram(cursor_of(b.data, b.n), 1024 * PAGE, NULL), 0);
    CHECK_INT(snap_get_ram(cursor_of(b.data, b.n), t, 0, NULL), 0);
    CHECK(word_at(t, 0) == 1 && word_at(t, PAGE + 4088) == 2 && word_at(t, 2 * PAGE) == 0);
    CHECK(word_at(t, 3 * PAGE) == 3 && word_at(t, 3 * PAGE + 8) == 0 && word_at(t, 1023 * PAGE) == 4);
    buf_free(&b);
    space_free(s);
    space_free(t);
}

TEST(snapshot, ram_of_a_fork_is_kept_with_what_base_and_overlay_hold)
{
    Space *s = space_of(64), *twin, *t = space_of(64);
    Buf b = {0};
    word_put(s, 5 * PAGE, 5);
    word_put(s, 6 * PAGE, 6);
    CHECK_INT(space_fork(s, &twin, NULL), 0);
    word_put(twin, 6 * PAGE, 60);
    word_put(twin, 9 * PAGE, 90);
    snap_put_ram(&b, twin, 0);
    CHECK_INT(snap_get_ram(cursor_of(b.data, b.n), t, 0, NULL), 0);
    CHECK(word_at(t, 5 * PAGE) == 5 && word_at(t, 6 * PAGE) == 60 && word_at(t, 9 * PAGE) == 90);
    CHECK_INT(snap_get_ram(cursor_of(b.data, b.n), s, 0, NULL), 0); /* into a side of the fork itself */
    CHECK(word_at(s, 6 * PAGE) == 60 && word_at(twin, 6 * PAGE) == 60);
    buf_free(&b);
    space_free(s);
    space_free(twin);
    space_free(t);
}

TEST(snapshot, untouched_ram_of_any_size_is_three_words)
{
    Space *s = space_of(1 << 20);
    Buf b = {0};
    snap_put_ram(&b, s, 0);
    CHECK_INT(b.n, 24);
    CHECK_INT(snap_get_ram(cursor_of(b.data, b.n), s, 0, NULL), 0);
    buf_free(&b);
    space_free(s);
}

TEST(snapshot, malformed_ram_is_refused_and_leaves_the_ram_as_it_is)
{
    enum { END = 8 + 2 * (16 + PAGE) };
    static const struct {
        size_t at;
        uint8_t value;
        const char *text;
    } rows[] = {
        {0, 1, "RAM of 0x8001 bytes, expected 0x8000"},
        {8, 9, "1 pages from page 9, expected ascending runs of 8"}, /* beyond the RAM */
        {15, 0xff, "ascending runs"},
        {16, 2, "not ended"}, /* swallows the next head */
        {16, 0, "not ended"}, /* the end in the middle */
        {23, 0xff, "not ended"},
        {8 + 16 + PAGE, 1, "1 pages from page 1, expected ascending"}, /* twice the same */
        {8 + 16 + PAGE, 0, "1 pages from page 0"},
        {END, 1, "not ended"},
        {END + 8, 1, "not ended"},
    };
    Space *s = space_of(8);
    Buf good = {0};
    Err err;
    word_put(s, 1 * PAGE, 1);
    word_put(s, 3 * PAGE, 3);
    snap_put_ram(&good, s, 0);
    word_put(s, 0, 77);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t old = (uint8_t)good.data[rows[i].at];
        good.data[rows[i].at] = (char)rows[i].value;
        CHECK_INT(snap_get_ram(cursor_of(good.data, good.n), s, 0, &err), -ERR_INVAL);
        CHECK_HAS(err.text, rows[i].text);
        good.data[rows[i].at] = (char)old;
    }
    for (size_t n = 0; n < good.n; n += n < 40 ? 1 : 61) {
        CHECK_INT(snap_get_ram(cursor_of(good.data, n), s, 0, &err), -ERR_INVAL);
    }
    buf_char(&good, 0);
    CHECK_INT(snap_get_ram(cursor_of(good.data, good.n), s, 0, &err), -ERR_INVAL);
    CHECK(word_at(s, 0) == 77 && word_at(s, PAGE) == 1);
    buf_free(&good);
    space_free(s);
}
