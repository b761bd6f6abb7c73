/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/machine/space.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PAGE = SPACE_PAGE_BYTES };

static int dev_read(void *ctx, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    *value = *(uint64_t *)ctx + vcpu + offset + size_bytes;
    return 0;
}
static int dev_write(void *ctx, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    *(uint64_t *)ctx = value + vcpu + offset + size_bytes;
    return 0;
}
static const SpaceDevice dev = {dev_read, dev_write};

static Space *space_with(uint64_t npages, uint64_t gpa, uint32_t flags)
{
    Space *s = space_new();
    uint32_t ram = 99;
    CHECK_INT(space_ram_new(s, npages * PAGE, &ram, NULL), 0);
    CHECK_INT(ram, 0);
    CHECK_INT(space_map(s, gpa, npages * PAGE, ram, 0, flags, NULL), 0);
    return s;
}

static uint64_t word_at(const Space *s, uint64_t gpa)
{
    uint64_t w = 0xdead;
    CHECK_INT(space_read(s, gpa, &w, 8, NULL), 0);
    return w;
}

static void word_put(Space *s, uint64_t gpa, uint64_t w)
{
    CHECK_INT(space_write(s, gpa, &w, 8, NULL), 0);
}

TEST(space, an_empty_space_is_one_hole)
{
    Space *s = space_new();
    SpaceHit h;
    CHECK(!space_find(s, 0, &h) && !space_find(s, UINT64_MAX, &h));
    CHECK_INT(space_rams(s, NULL, 0), 0);
    CHECK_INT(space_regions(s, NULL, 0), 0);
    space_free(s);
    space_free(NULL);
}

TEST(space, find_answers_with_the_region_its_host_bytes_and_page_flags)
{
    Space *s = space_with(4, 0x8000, SPACE_R | SPACE_X);
    uint64_t state = 5;
    CHECK_INT(space_device(s, 0x1000, PAGE, &dev, &state, NULL), 0);
    CHECK_INT(space_map(s, 0x20000, PAGE, 0, 2 * PAGE, SPACE_R | SPACE_W, NULL), 0);
    SpaceHit a, b, d;
    CHECK(space_find(s, 0xbfff, &a));
    CHECK_INT(a.gpa, 0x8000);
    CHECK_INT(a.size_bytes, 4 * PAGE);
    CHECK_INT(a.flags, SPACE_R | SPACE_X);
    CHECK(!a.device && a.host && a.pages);
    CHECK(space_find(s, 0x20000, &b));
    CHECK(b.host == a.host + 2 * PAGE && b.pages == a.pages + 2);
    CHECK(space_find(s, 0x1fff, &d));
    CHECK(d.device == &dev && d.ctx == &state && !d.host && !d.pages);
    CHECK(!space_find(s, 0x7fff, &a) && !space_find(s, 0xc000, &a) && !space_find(s, 0xfff, &a) &&
          !space_find(s, 0x2000, &a));
    space_free(s);
}

TEST(space, a_byte_of_the_hosts_is_found_where_it_is_mapped_lowest)
{
    Space *s = space_with(4, 0x20000, SPACE_R);
    uint64_t state = 5, gpa = 0;
    SpaceHit hit;
    CHECK(space_find(s, 0x20000, &hit));
    CHECK_INT(space_device(s, 0x1000, PAGE, &dev, &state, NULL), 0); /* the host has nothing there */
    CHECK_INT(space_map(s, 0x8000, PAGE, 0, 2 * PAGE, SPACE_R, NULL), 0);
    CHECK(space_gpa_of(s, hit.host, &gpa));
    CHECK_INT(gpa, 0x20000);
    CHECK(space_gpa_of(s, hit.host + 3 * PAGE - 1, &gpa));
    CHECK_INT(gpa, 0x8fff);
    CHECK(space_gpa_of(s, hit.host + 4 * PAGE - 1, &gpa));
    CHECK_INT(gpa, 0x23fff);
    CHECK(!space_gpa_of(s, hit.host - 1, &gpa) && !space_gpa_of(s, hit.host + 4 * PAGE, &gpa));
    CHECK_INT(space_unmap(s, 0x20000, 4 * PAGE, NULL), 0);
    CHECK(!space_gpa_of(s, hit.host, &gpa) && space_gpa_of(s, hit.host + 2 * PAGE, &gpa));
    CHECK(!space_gpa_of(s, NULL, &gpa));
    space_free(s);
}

TEST(space, ram_is_zero_and_what_is_written_is_read_at_every_place_it_is_mapped)
{
    Space *s = space_with(2, 0x10000, SPACE_R);
    CHECK_INT(space_map(s, 0x12000, 2 * PAGE, 0, 0, SPACE_R, NULL), 0);
    CHECK_INT(word_at(s, 0x10008), 0);
    uint8_t in[PAGE + 100], out[PAGE + 100];
    for (size_t i = 0; i < sizeof in; i++) {
        in[i] = (uint8_t)(i * 7 + 1);
    }
    /* from the end of one region into the next, which is the same RAM; both ends misaligned */
    CHECK_INT(space_write(s, 0x12000 - 51, in, sizeof in, NULL), 0);
    CHECK_INT(space_read(s, 0x12000 - 51, out, sizeof out, NULL), 0);
    CHECK(!memcmp(in, out, sizeof in));
    CHECK_INT(space_read(s, 0x10000, out, 50, NULL), 0);
    CHECK(!memcmp(in + 51, out, 50));
    CHECK_INT(space_read(s, 0, out, 0, NULL), 0);
    space_free(s);
}

TEST(space, reads_and_writes_that_meet_a_hole_or_a_device_say_where_and_do_nothing)
{
    Space *s = space_with(1, 0x10000, SPACE_R | SPACE_W);
    uint64_t state = 5;
    uint8_t b[2 * PAGE] = {1};
    Err err;
    memset(b, 1, sizeof b);
    CHECK_INT(space_write(s, 0x10800, b, PAGE, &err), -ERR_FAULT);
    CHECK_HAS(err.text, "nothing is mapped at 0x11000");
    CHECK_INT(word_at(s, 0x10800), 0);
    CHECK_INT(space_device(s, 0x11000, PAGE, &dev, &state, NULL), 0);
    CHECK_INT(space_write(s, 0x10800, b, PAGE, &err), -ERR_FAULT);
    CHECK_HAS(err.text, "a device at 0x11000");
    CHECK_INT(space_read(s, 0xffff, b, 2, &err), -ERR_FAULT);
    CHECK_HAS(err.text, "0xffff");
    CHECK_INT(b[0], 1);
    CHECK_INT(space_read(s, UINT64_MAX, b, 2, &err), -ERR_FAULT);
    CHECK_HAS(err.text, "passes the end");
    CHECK_INT(state, 5);
    space_free(s);
}

TEST(space, the_last_page_of_the_address_space_can_be_mapped)
{
    Space *s = space_with(1, 0ull - PAGE, SPACE_R);
    SpaceHit h;
    word_put(s, 0ull - 8, 77);
    CHECK_INT(word_at(s, 0ull - 8), 77);
    CHECK(space_find(s, UINT64_MAX, &h) && !space_find(s, 0ull - PAGE - 1, &h));
    CHECK_INT(space_map(s, 0ull - PAGE, 2 * PAGE, 0, 0, 0, NULL), -ERR_ALIGN);
    space_free(s);
}

TEST(space, what_cannot_be_mapped_is_refused_with_the_reason)
{
    static const struct {
        uint64_t gpa, size, offset;
        uint32_t ram, flags;
        int rc;
        const char *text;
    } rows[] = {
        {0x1001, PAGE, 0, 0, 0, -ERR_ALIGN, "0x1001"},
        {0x1000, 100, 0, 0, 0, -ERR_ALIGN, "whole pages"},
        {0x1000, 0, 0, 0, 0, -ERR_ALIGN, "whole pages"},
        {0x1000, PAGE, 8, 0, 0, -ERR_ALIGN, "offset 0x8"},
        {0x1000, PAGE, 0, 7, 0, -ERR_INVAL, "no RAM 7"},
        {0x1000, PAGE, 0, 0, 64, -ERR_INVAL, "unknown flags 0x40"},
        {0x1000, 5 * PAGE, 0, 0, 0, -ERR_INVAL, "beyond the 0x4000 bytes of RAM 0"},
        {0x1000, PAGE, 4 * PAGE, 0, 0, -ERR_INVAL, "beyond"},
        {0x1000, PAGE, 0ull - PAGE, 0, 0, -ERR_INVAL, "beyond"},
        {0x7000, 2 * PAGE, 0, 0, 0, -ERR_EXIST, "overlaps the region at 0x8000 + 0x4000"},
        {0xb000, 2 * PAGE, 0, 0, 0, -ERR_EXIST, "overlaps the region at 0x8000"},
        {0x9000, PAGE, 0, 0, 0, -ERR_EXIST, "overlaps"},
        {0x8000, 4 * PAGE, 0, 1, 0, -ERR_EXIST, "overlaps"}, /* exactly over it, but other RAM */
        {0x20000, PAGE, 0, 0, 0, -ERR_EXIST, "overlaps the device at 0x20000"},
    };
    Space *s = space_with(4, 0x8000, SPACE_R);
    uint64_t state = 0;
    uint32_t other;
    CHECK_INT(space_ram_new(s, 4 * PAGE, &other, NULL), 0);
    CHECK_INT(space_device(s, 0x20000, PAGE, &dev, &state, NULL), 0);
    uint64_t version = space_version(s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Err err;
        CHECK_INT(space_map(s, rows[i].gpa, rows[i].size, rows[i].ram, rows[i].offset, rows[i].flags, &err),
                  rows[i].rc);
        CHECK_HAS(err.text, rows[i].text);
    }
    Err err;
    CHECK_INT(space_device(s, 0x8000, PAGE, &dev, &state, &err), -ERR_EXIST);
    CHECK_INT(space_device(s, 0x8010, PAGE, &dev, &state, &err), -ERR_ALIGN);
    CHECK_INT(space_unmap(s, 0x8000, PAGE, &err), -ERR_NOENT);
    CHECK_INT(space_unmap(s, 0x9000, 3 * PAGE, &err), -ERR_NOENT);
    CHECK_INT(space_unmap(s, 0x70000, PAGE, &err), -ERR_NOENT);
    CHECK_HAS(err.text, "0x70000");
    CHECK_INT(space_version(s), version);
    space_free(s);
}

TEST(space, ram_of_no_size_of_half_a_page_or_larger_than_the_host_is_refused)
{
    Space *s = space_new();
    uint32_t ram;
    Err err;
    CHECK_INT(space_ram_new(s, 0, &ram, &err), -ERR_INVAL);
    CHECK_INT(space_ram_new(s, PAGE + 1, &ram, &err), -ERR_INVAL);
    CHECK_INT(space_ram_new(s, 1ull << 60, &ram, &err), -ERR_NOMEM);
    CHECK_HAS(err.text, "0x1000000000000000");
    CHECK_INT(space_ram_new(s, 0ull - PAGE, &ram, &err), -ERR_NOMEM);
    CHECK_INT(space_rams(s, NULL, 0), 0);
    space_free(s);
}

TEST(space, mapping_exactly_over_a_region_changes_its_flags)
{
    Space *s = space_with(2, 0x8000, SPACE_R);
    SpaceHit h;
    uint64_t version = space_version(s);
    CHECK_INT(space_map(s, 0x8000, 2 * PAGE, 0, 0, SPACE_R | SPACE_W, NULL), 0);
    CHECK(space_version(s) != version);
    CHECK(space_find(s, 0x8000, &h));
    CHECK_INT(h.flags, SPACE_R | SPACE_W);
    CHECK_INT(space_regions(s, NULL, 0), 1);
    space_free(s);
}

TEST(space, a_space_holds_1024_regions_and_no_more)
{
    Space *s = space_with(1, 0, SPACE_R);
    for (uint64_t i = 1; i < SPACE_MAX_REGIONS; i++) {
        CHECK_INT(space_map(s, i * 2 * PAGE, PAGE, 0, 0, SPACE_R, NULL), 0);
        space_collect(s);
    }
    Err err;
    CHECK_INT(space_map(s, 1ull << 40, PAGE, 0, 0, SPACE_R, &err), -ERR_LIMIT);
    CHECK_HAS(err.text, "1024");
    CHECK_INT(space_device(s, 1ull << 40, PAGE, &dev, NULL, &err), -ERR_LIMIT);
    CHECK_INT(space_unmap(s, 0, PAGE, NULL), 0);
    CHECK_INT(space_map(s, 1ull << 40, PAGE, 0, 0, SPACE_R, NULL), 0);
    SpaceRegion list[2];
    CHECK_INT(space_regions(s, list, 2), SPACE_MAX_REGIONS);
    CHECK_INT(list[0].gpa, 2 * PAGE);
    CHECK_INT(list[1].gpa, 4 * PAGE);
    space_free(s);
}

static long resident_kib(void)
{
    Buf b = {0};
    char *at;
    CHECK_INT(os_read_file("/proc/self/statm", 4096, &b, NULL), 0);
    (void)strtol(buf_text(&b), &at, 10); /* all of it; then what is resident, in pages */
    long resident = strtol(at, NULL, 10);
    buf_free(&b);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

TEST(space, untouched_ram_costs_nothing_even_when_its_log_is_started_and_it_is_forked)
{
    long before = resident_kib();
    Space *s = space_with((4ull << 30) / PAGE, 0x80000000, SPACE_R | SPACE_W | SPACE_LOG_DIRTY), *twin;
    CHECK_INT(space_fork(s, &twin, NULL), 0);
    long after = resident_kib();
    CHECK(before > 0 && after - before < 8192);
    space_free(twin);
    space_free(s);
}

TEST(space, a_host_without_a_file_for_memory_is_an_error_and_nothing_is_half_made)
{
    Space *s = space_with(4, 0x80000000, SPACE_R | SPACE_W), *twin = NULL;
    struct rlimit before, none;
    Err err;
    word_put(s, 0x80001000, 7);
    CHECK(!getrlimit(RLIMIT_NOFILE, &before));
    none = before;
    none.rlim_cur = 0;
    CHECK(!setrlimit(RLIMIT_NOFILE, &none));
    CHECK_INT(space_fork(s, &twin, &err), -ERR_LIMIT);
    CHECK_HAS(err.text, "memfd for RAM");
    CHECK(!setrlimit(RLIMIT_NOFILE, &before));
    CHECK_INT(word_at(s, 0x80001000), 7);
    CHECK_INT(space_fork(s, &twin, NULL), 0);
    CHECK_INT(word_at(twin, 0x80001000), 7);
    space_free(twin);
    CHECK(!setrlimit(RLIMIT_NOFILE, &none));
    CHECK_INT(space_fork(s, &twin, &err), -ERR_LIMIT); /* now it is a memfd already */
    CHECK_HAS(err.text, "memfd for RAM");
    CHECK(!setrlimit(RLIMIT_NOFILE, &before));
    CHECK_INT(word_at(s, 0x80001000), 7);
    space_free(s);
}

typedef struct {
    uint64_t gpa[8], n[8];
    unsigned count;
} Reports;

static void report(void *ctx, uint64_t gpa, uint64_t n)
{
    Reports *r = ctx;
    if (r->count < 8) {
        r->gpa[r->count] = gpa;
        r->n[r->count] = n;
    }
    r->count++;
}

static void set_flag(Space *s, uint64_t gpa, uint8_t flag)
{
    SpaceHit h;
    CHECK(space_find(s, gpa, &h));
    atomic_fetch_or(&h.pages[(gpa - h.gpa) / PAGE], flag);
}

TEST(space, writes_to_pages_of_code_are_reported_and_others_are_not)
{
    Space *s = space_with(6, 0x10000, SPACE_R);
    Reports got = {0};
    uint8_t b[4 * PAGE] = {0};
    space_on_code(s, report, &got);
    set_flag(s, 0x11000, PAGE_CODE);
    set_flag(s, 0x12000, PAGE_CODE);
    set_flag(s, 0x14000, PAGE_CODE);
    CHECK_INT(space_write(s, 0x10ff0, b, 16, NULL), 0);
    CHECK_INT(got.count, 0);
    CHECK_INT(space_write(s, 0x10ffc, b, 4 + 2 * PAGE, NULL), 0);
    CHECK_INT(got.count, 1);
    CHECK(got.gpa[0] == 0x11000 && got.n[0] == 2 * PAGE);
    CHECK_INT(space_write(s, 0x12800, b, 2 * PAGE, NULL), 0);
    CHECK_INT(got.count, 3);
    CHECK(got.gpa[1] == 0x12800 && got.n[1] == 0x800 && got.gpa[2] == 0x14000 && got.n[2] == 0x800);
    space_code_written(s, 0x14ff8, 8);
    CHECK_INT(got.count, 4);
    CHECK(got.gpa[3] == 0x14ff8 && got.n[3] == 8);
    space_code_written(s, 0x15000, 8);
    space_code_written(s, 0x900000, 8);
    CHECK_INT(got.count, 4);
    space_on_code(s, NULL, NULL);
    CHECK_INT(space_write(s, 0x12000, b, 1, NULL), 0);
    CHECK_INT(got.count, 4);
    space_free(s);
}

TEST(space, pages_that_are_discarded_are_zero_everywhere_their_memory_is_given_back_and_a_twins_is_not)
{
    Space *s = space_with(4, 0x10000, SPACE_R | SPACE_LOG_DIRTY), *twin = NULL;
    Reports got = {0};
    uint8_t b[4 * PAGE], bits = 0;
    uint64_t first = 0, npages = 0;
    Err err;
    memset(b, 7, sizeof b);
    CHECK_INT(space_map(s, 0x80000, PAGE, 0, PAGE, SPACE_R, NULL), 0);
    CHECK_INT(space_write(s, 0x10000, b, sizeof b, NULL), 0);
    CHECK_INT(space_dirty_get(s, 0x10000, 4 * PAGE, &bits, true, NULL), 0);
    set_flag(s, 0x12000, PAGE_CODE);
    space_on_code(s, report, &got);
    CHECK_INT(space_discard(s, 0x11000, 2 * PAGE, NULL), 0);
    CHECK(space_ram_touched(s, 0, 1, &first, &npages) && first == 3);
    CHECK(word_at(s, 0x10ff8) == 0x0707070707070707 && word_at(s, 0x13000) == 0x0707070707070707);
    CHECK(!word_at(s, 0x11000) && !word_at(s, 0x12ff8) && !word_at(s, 0x80000));
    CHECK(got.count == 1 && got.gpa[0] == 0x12000 && got.n[0] == PAGE);
    CHECK_INT(space_dirty_get(s, 0x10000, 4 * PAGE, &bits, true, NULL), 0);
    CHECK_INT(bits, 6);
    CHECK_INT(space_fork(s, &twin, NULL), 0);
    CHECK_INT(space_discard(s, 0x13000, PAGE, NULL), 0);
    CHECK(!word_at(s, 0x13000) && word_at(twin, 0x13000) == 0x0707070707070707);
    CHECK_INT(space_discard(s, 0x10800, PAGE, &err), -ERR_ALIGN);
    CHECK_HAS(err.text, "is not whole pages");
    CHECK_INT(space_discard(s, 0x13000, 2 * PAGE, &err), -ERR_FAULT);
    CHECK_HAS(err.text, "nothing is mapped at 0x14000");
    space_free(twin);
    space_free(s);
}

TEST(space, code_that_is_written_through_another_mapping_is_reported_at_each)
{
    Space *s = space_with(2, 0x10000, SPACE_R);
    Reports got = {0};
    space_on_code(s, report, &got);
    CHECK_INT(space_map(s, 0x80000, PAGE, 0, PAGE, SPACE_R, NULL), 0);
    set_flag(s, 0x11000, PAGE_CODE);
    word_put(s, 0x80010, 1);
    CHECK_INT(got.count, 2);
    CHECK(got.gpa[0] == 0x11010 && got.n[0] == 8 && got.gpa[1] == 0x80010 && got.n[1] == 8);
    space_free(s);
}

TEST(space, the_dirty_log_has_a_bit_for_each_page_written_and_is_cleared_on_request)
{
    Space *s = space_with(12, 0x10000, SPACE_R | SPACE_LOG_DIRTY);
    uint8_t bits[2] = {0xff, 0xff};
    uint64_t version = space_version(s);
    CHECK_INT(space_dirty_get(s, 0x10000, 12 * PAGE, bits, true, NULL), 0);
    CHECK(!bits[0] && !bits[1]);
    CHECK_INT(space_version(s), version);
    word_put(s, 0x10ffc, 1); /* two pages */
    word_put(s, 0x1a000, 1);
    set_flag(s, 0x1b000, PAGE_DIRTY); /* as a vcpu does */
    CHECK_INT(space_dirty_get(s, 0x10000, 12 * PAGE, bits, false, NULL), 0);
    CHECK(bits[0] == 3 && bits[1] == 0x0c);
    CHECK_INT(space_dirty_get(s, 0x11000, 2 * PAGE, bits, true, NULL), 0);
    CHECK_INT(bits[0], 1);
    CHECK(space_version(s) != version);
    CHECK_INT(space_dirty_get(s, 0x10000, 12 * PAGE, bits, true, NULL), 0);
    CHECK(bits[0] == 1 && bits[1] == 0x0c);
    CHECK_INT(space_dirty_get(s, 0x10000, 12 * PAGE, bits, true, NULL), 0);
    CHECK(!bits[0] && !bits[1]);
    space_free(s);
}

TEST(space, a_dirty_log_starts_clean_and_exists_only_where_it_was_asked_for)
{
    Space *s = space_with(2, 0x10000, SPACE_R);
    uint8_t bits[1] = {0};
    Err err;
    word_put(s, 0x10000, 1);
    CHECK_INT(space_dirty_get(s, 0x10000, PAGE, bits, false, &err), -ERR_NOENT);
    CHECK_HAS(err.text, "the region at 0x10000 is not logged");
    CHECK_INT(space_map(s, 0x10000, 2 * PAGE, 0, 0, SPACE_R | SPACE_LOG_DIRTY, NULL), 0);
    CHECK_INT(space_dirty_get(s, 0x10000, 2 * PAGE, bits, false, NULL), 0);
    CHECK_INT(bits[0], 0);
    CHECK_INT(space_dirty_get(s, 0x10000, 3 * PAGE, bits, false, &err), -ERR_NOENT);
    CHECK_HAS(err.text, "nothing is mapped at 0x12000");
    CHECK_INT(space_dirty_get(s, 0x10008, PAGE, bits, false, &err), -ERR_ALIGN);
    CHECK_INT(space_dirty_get(s, 0x10000, 0, bits, false, &err), -ERR_ALIGN);
    space_free(s);
}

TEST(space, forks_do_not_see_each_others_writes_in_any_order_of_forking)
{
    Space *s = space_with(64, 0x10000, SPACE_R | SPACE_W), *a, *b, *c;
    SpaceHit before, after;
    CHECK(space_find(s, 0x10000, &before));
    word_put(s, 0x10000, 1);
    CHECK_INT(space_fork(s, &a, NULL), 0);
    word_put(s, 0x10000, 2);
    word_put(s, 0x12000, 20);
    word_put(a, 0x10000, 3);
    word_put(a, 0x13000, 30);
    CHECK_INT(space_fork(s, &b, NULL), 0); /* the second of s */
    CHECK_INT(space_fork(a, &c, NULL), 0); /* of a twin */
    word_put(s, 0x12000, 21);
    word_put(a, 0x13000, 31);
    word_put(b, 0x14000, 40);
    word_put(c, 0x15000, 50);
    CHECK(space_find(s, 0x10000, &after));
    CHECK(before.host == after.host && before.pages == after.pages);
    static const uint64_t want[4][6] = {
        {2, 0, 21, 0, 0, 0}, {3, 0, 0, 31, 0, 0}, {2, 0, 20, 0, 40, 0}, {3, 0, 0, 30, 0, 50}};
    Space *all[4] = {s, a, b, c};
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned page = 0; page < 6; page++) {
            CHECK_INT(word_at(all[i], 0x10000 + page * PAGE), want[i][page]);
        }
    }
    space_free(s); /* twins live on */
    CHECK_INT(word_at(b, 0x12000), 20);
    space_free(a);
    CHECK_INT(word_at(c, 0x13000), 30);
    space_free(b);
    space_free(c);
}

TEST(space, a_fork_has_the_map_and_the_dirty_log_but_no_devices_and_no_code)
{
    Space *s = space_with(4, 0x10000, SPACE_R | SPACE_LOG_DIRTY), *twin;
    uint64_t state = 0;
    uint32_t ram;
    Reports got = {0};
    SpaceHit h;
    uint8_t bits[1];
    CHECK_INT(space_ram_new(s, 2 * PAGE, &ram, NULL), 0);
    CHECK_INT(space_map(s, 0x40000, PAGE, ram, PAGE, SPACE_X, NULL), 0);
    CHECK_INT(space_device(s, 0x30000, PAGE, &dev, &state, NULL), 0);
    space_on_code(s, report, &got);
    word_put(s, 0x11000, 1);
    set_flag(s, 0x11000, PAGE_CODE);
    CHECK_INT(space_fork(s, &twin, NULL), 0);
    CHECK(!space_find(twin, 0x30000, &h) && space_find(s, 0x30000, &h));
    CHECK(space_find(twin, 0x40000, &h));
    CHECK_INT(h.flags, SPACE_X);
    SpaceRam rams[3];
    CHECK_INT(space_rams(twin, rams, 3), 2);
    CHECK(rams[0].size_bytes == 4 * PAGE && rams[1].size_bytes == 2 * PAGE && h.host == rams[1].host + PAGE);
    SpaceRegion regions[3];
    CHECK_INT(space_regions(twin, regions, 3), 2);
    CHECK(regions[1].gpa == 0x40000 && regions[1].ram == 1 && regions[1].offset == PAGE && regions[1].flags == SPACE_X);
    CHECK_INT(space_dirty_get(twin, 0x10000, 4 * PAGE, bits, true, NULL), 0);
    CHECK_INT(bits[0], 2);
    CHECK_INT(space_dirty_get(s, 0x10000, 4 * PAGE, bits, true, NULL), 0);
    CHECK_INT(bits[0], 2);
    word_put(twin, 0x11000, 2);
    CHECK_INT(got.count, 0);
    space_free(twin);
    space_free(s);
}

/* Pages that are touched, a bit each. */
static uint64_t touched(const Space *s)
{
    uint64_t bits = 0;
    for (uint64_t first, n, at = 0; space_ram_touched(s, 0, at, &first, &n); at = first + n) {
        CHECK(first >= at && n && first + n <= 64);
        for (uint64_t i = first; i < first + n; i++) {
            bits |= 1ull << i;
        }
    }
    return bits;
}

TEST(space, pages_that_were_touched_are_known_in_a_base_and_in_its_overlays)
{
    Space *s = space_with(64, 0x10000, SPACE_R | SPACE_W), *twin;
    CHECK_INT(touched(s), 0);
    word_put(s, 0x10000 + 3 * PAGE, 1);
    word_put(s, 0x10000 + 5 * PAGE - 4, 1ull << 32 | 1);
    word_put(s, 0x10000 + 63 * PAGE, 1);
    CHECK_INT(touched(s), 1ull << 63 | 0x38);
    CHECK_INT(space_fork(s, &twin, NULL), 0);
    CHECK_INT(touched(twin), 1ull << 63 | 0x38);
    word_put(twin, 0x10000 + 0 * PAGE, 1);
    word_put(twin, 0x10000 + 4 * PAGE, 1);
    word_put(twin, 0x10000 + 6 * PAGE, 1);
    word_put(twin, 0x10000 + 7 * PAGE, 1);
    word_put(twin, 0x10000 + 20 * PAGE, 1);
    CHECK_INT(touched(twin), 1ull << 63 | 1 << 20 | 0xf9);
    CHECK_INT(touched(s) & ~(1 << 20 | 0xc1), 1ull << 63 | 0x38); /* the base of both may have more */
    CHECK_INT(word_at(s, 0x10000), 0);
    space_free(twin);
    space_free(s);
}

TEST(space, ram_of_large_pages_is_forked_discarded_and_cleared_as_any)
{
    enum { N = 64 << 20 };
    const uint64_t base = 0x80000000, at[] = {0, PAGE, (2 << 20) - 8, 2 << 20, (5 << 20) + 16, N - 8};
    Space *s = space_with(N / PAGE, base, SPACE_R | SPACE_W), *twin;
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        word_put(s, base + at[i], i + 1);
    }
    CHECK_INT(space_discard(s, base + (5 << 20), PAGE, NULL), 0);
    CHECK_INT(space_fork(s, &twin, NULL), 0);
    word_put(s, base + (3 << 20), 9);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        uint64_t want = at[i] >> 20 == 5 ? 0 : i + 1;
        CHECK_INT(word_at(s, base + at[i]), want);
        CHECK_INT(word_at(twin, base + at[i]), want);
    }
    CHECK_INT(word_at(twin, base + (3 << 20)), 0);
    CHECK_INT(space_ram_clear(s, 0, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        CHECK_INT(word_at(s, base + at[i]), 0);
    }
    space_free(s);
    CHECK_INT(word_at(twin, base + N - 8), ARRAY_LEN(at));
    space_free(twin);
}

TEST(space, cleared_ram_is_zero_at_the_same_address_and_what_changed_is_dirty)
{
    Space *s = space_with(64, 0x10000, SPACE_R | SPACE_W | SPACE_LOG_DIRTY), *twin;
    uint8_t bits[8];
    SpaceHit before, after;
    word_put(s, 0x11000, 7);
    CHECK_INT(space_fork(s, &twin, NULL), 0);
    word_put(s, 0x12000, 8);
    set_flag(s, 0x11000, PAGE_CODE);
    CHECK(space_find(s, 0x10000, &before));
    uint64_t version = space_version(s);
    CHECK_INT(space_dirty_get(s, 0x10000, 64 * PAGE, bits, true, NULL), 0);
    CHECK_INT(space_ram_clear(s, 0, NULL), 0);
    CHECK(space_version(s) != version);
    CHECK(space_find(s, 0x10000, &after) && before.host == after.host);
    CHECK_INT(atomic_load(&after.pages[1]), PAGE_DIRTY);
    CHECK_INT(space_dirty_get(s, 0x10000, 64 * PAGE, bits, true, NULL), 0);
    CHECK_INT(bits[0], 6);
    CHECK_INT(touched(s), 0);
    CHECK(word_at(s, 0x11000) == 0 && word_at(s, 0x12000) == 0 && word_at(twin, 0x11000) == 7);
    space_ram_put(s, 0, 2 * PAGE - 1, "ab", 2);
    CHECK_INT(word_at(s, 0x12000), 'b');
    CHECK_INT(space_dirty_get(s, 0x10000, 64 * PAGE, bits, true, NULL), 0);
    CHECK_INT(bits[0], 6);
    space_free(s);
    CHECK_INT(space_fork(twin, &s, NULL), 0);
    CHECK_INT(word_at(s, 0x11000), 7);
    space_free(twin);
    space_free(s);
}

/* Two threads look up without a lock while the map changes under them: an answer is one of the maps, never a mix. */
typedef struct {
    Space *s;
    _Atomic bool is_done;
    _Atomic uint64_t bad, hits;
} Race;

static void *race_find(void *arg)
{
    Race *r = arg;
    SpaceHit still, h;
    bool ok = space_find(r->s, 0x10000, &still);
    while (!atomic_load(&r->is_done)) {
        ok = ok && space_find(r->s, 0x10008, &h) && h.gpa == 0x10000 && h.host == still.host;
        bool found = space_find(r->s, 0x80000, &h);
        ok = ok && (!found || (h.gpa == 0x80000 && h.size_bytes == PAGE && h.pages == still.pages + 1 &&
                               h.host == still.host + PAGE && (h.flags == SPACE_R || h.flags == SPACE_W)));
        atomic_fetch_add_explicit(&r->hits, found, memory_order_relaxed);
    }
    atomic_fetch_add(&r->bad, !ok);
    return NULL;
}

TEST(space, look_ups_beside_changes_see_the_map_before_or_after_each)
{
    Race r = {.s = space_with(2, 0x10000, SPACE_R)};
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        CHECK_INT(pthread_create(&threads[i], NULL, race_find, &r), 0);
    }
    for (unsigned i = 0; i < 2000 || (!atomic_load(&r.hits) && i < 1000000); i++) {
        int rc = space_map(r.s, 0x80000, PAGE, 0, PAGE, SPACE_R, NULL);
        rc |= space_map(r.s, 0x80000, PAGE, 0, PAGE, SPACE_W, NULL);
        word_put(r.s, 0x11000, i);
        rc |= space_unmap(r.s, 0x80000, PAGE, NULL);
        atomic_fetch_add(&r.bad, rc != 0);
    }
    atomic_store(&r.is_done, true);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    space_collect(r.s);
    CHECK_INT(atomic_load(&r.bad), 0);
    CHECK(atomic_load(&r.hits) > 0);
    space_free(r.s);
}
