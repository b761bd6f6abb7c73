/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/devices/virtio_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, NSECTORS = 64, LATENCY_NS = 20000, SIZE = 64 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { OK, IOERR, UNSUPP, NONE = 0xee };
enum { HEADER = V_DATA, STATUS = V_DATA + 0x100, BUFFER = V_DATA + 0x1000 };

typedef struct {
    char path[32];
    VRig *v;
} Blk;

/* Sector i is full of i + 1. */
static Blk blk_new(uint32_t flags)
{
    Blk b = {"/tmp/conf-blk-XXXXXX", NULL};
    VirtioCard *card = NULL;
    uint8_t bytes[NSECTORS * SECTOR];
    int fd = mkstemp(b.path);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i / SECTOR + 1);
    }
    CHECK_INT(write(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
    CHECK_INT(virtio_blk_new(b.path, flags, &card, NULL), 0);
    b.v = vrig_new(card, ~0ull, 1, SIZE);
    return b;
}

static void blk_free(Blk *b)
{
    vrig_free(b->v);
    unlink(b->path);
}

static void header(VRig *v, unsigned slot, uint32_t type, uint64_t sector)
{
    uint8_t *h = vrig_at(v, HEADER + slot * 16);
    memset(h, 0, 16);
    memcpy(h, &type, 4);
    memcpy(h + 8, &sector, 8);
}

/* A request in three descriptors from 3 * slot on, made available. n: bytes of data at BUFFER + slot * 0x1000. */
static void ask(VRig *v, unsigned slot, uint32_t type, uint64_t sector, uint32_t n)
{
    unsigned d = 3 * slot;
    bool is_in = type == IN || type == GET_ID;
    header(v, slot, type, sector);
    *vrig_at(v, STATUS + slot) = NONE;
    vrig_desc(v, 0, d, HEADER + slot * 16, 16, V_NEXT, (uint16_t)(n ? d + 1 : d + 2));
    vrig_desc(v, 0, d + 1, BUFFER + slot * 0x1000, n, is_in ? V_WRITE | V_NEXT : V_NEXT, (uint16_t)(d + 2));
    vrig_desc(v, 0, d + 2, STATUS + slot, 1, V_WRITE, 0);
    vrig_offer(v, 0, (uint16_t)d);
}

/* The same, to its end; returns the status. */
static uint8_t request(VRig *v, uint32_t type, uint64_t sector, uint32_t n, uint32_t *written)
{
    uint16_t head;
    ask(v, 0, type, sector, n);
    vrig_notify(v, 0);
    rig_clock(v->r, 0, v->r->now_ns + LATENCY_NS);
    CHECK(vrig_take(v, 0, &head, written) && head == 0);
    return *vrig_at(v, STATUS);
}

static uint8_t sector_byte(VRig *v, uint64_t sector)
{
    uint32_t written;
    CHECK_INT(request(v, IN, sector, SECTOR, &written), OK);
    CHECK_INT(written, SECTOR + 1);
    return *vrig_at(v, BUFFER + 100);
}

static void range(VRig *v, unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
    uint8_t *r = vrig_at(v, BUFFER + i * 16);
    memcpy(r, &sector, 8);
    memcpy(r + 8, &n, 4);
    memcpy(r + 12, &flags, 4);
}

TEST(virtio_blk, it_says_what_it_is)
{
    Blk b = blk_new(0), ro = blk_new(DISK_READ_ONLY);
    CHECK_INT(vrig_get(b.v, 0x008), VIRTIO_ID_BLOCK);
    CHECK_INT(vrig_get(b.v, V_CONFIG), NSECTORS);
    CHECK_INT(vrig_get(b.v, V_CONFIG + 4), 0);
    CHECK_INT(vrig_get(b.v, V_CONFIG + 12), 254);
    CHECK_INT(vrig_get(b.v, V_CONFIG + 20), 512);
    CHECK_INT(rig_get(b.v->r, 0, V_CONFIG + 34, 2), 1);
    CHECK_INT(rig_get(b.v->r, 0, V_CONFIG + 56, 1), 1);
    CHECK_INT(vrig_get(b.v, V_CONFIG + 60), 0); /* beyond what there is */
    vrig_put(b.v, V_CONFIG, 7);
    CHECK_INT(vrig_get(b.v, V_CONFIG), NSECTORS);
    vrig_put(b.v, 0x014, 0);
    vrig_put(ro.v, 0x014, 0);
    CHECK_INT(vrig_get(b.v, 0x010), 1u << 28 | 1 << 14 | 1 << 13 | 1 << 9 | 1 << 6 | 1 << 2);
    CHECK_INT(vrig_get(ro.v, 0x010), 1u << 28 | 1 << 9 | 1 << 6 | 1 << 5 | 1 << 2);
    blk_free(&b);
    blk_free(&ro);
}

TEST(virtio_blk, sectors_are_read_and_written)
{
    Blk b = blk_new(0);
    uint32_t written;
    CHECK_INT(sector_byte(b.v, 0), 1);
    CHECK_INT(sector_byte(b.v, NSECTORS - 1), NSECTORS);
    memset(vrig_at(b.v, BUFFER), 0xab, 2 * SECTOR);
    CHECK_INT(request(b.v, OUT, 9, 2 * SECTOR, &written), OK);
    CHECK_INT(written, 1);
    CHECK_INT(request(b.v, FLUSH, 0, 0, &written), OK);
    CHECK(sector_byte(b.v, 8) == 9 && sector_byte(b.v, 9) == 0xab && sector_byte(b.v, 10) == 0xab);
    CHECK_INT(sector_byte(b.v, 11), 12);
    CHECK_INT(request(b.v, GET_ID, 0, 20, &written), OK);
    CHECK_INT(written, 21);
    CHECK_STR((char *)vrig_at(b.v, BUFFER), "conf-drive-0");
    CHECK_INT(request(b.v, IN, 3, 0, &written), OK);
    CHECK_INT(written, 1);
    blk_free(&b);
}

TEST(virtio_blk, borders_of_segments_mean_nothing)
{
    Blk b = blk_new(0);
    VRig *v = b.v;
    uint16_t head;
    uint32_t written;
    /* out: 3 + 13 bytes of header with 1 of data, 511; in: nothing, status */
    header(v, 0, OUT, 5);
    memset(vrig_at(v, HEADER + 16), 0x77, SECTOR);
    vrig_desc(v, 0, 0, HEADER, 3, V_NEXT, 1);
    vrig_desc(v, 0, 1, HEADER + 3, 14, V_NEXT, 2);
    vrig_desc(v, 0, 2, HEADER + 17, 511, V_NEXT, 3);
    vrig_desc(v, 0, 3, 0, 0, V_WRITE | V_NEXT, 4);
    vrig_desc(v, 0, 4, STATUS + 0x1000, 1, V_WRITE, 0);
    vrig_offer(v, 0, 0);
    vrig_notify(v, 0);
    rig_clock(v->r, 0, LATENCY_NS);
    CHECK(vrig_take(v, 0, &head, &written) && written == 1 && *vrig_at(v, STATUS + 0x1000) == OK);
    CHECK_INT(sector_byte(v, 5), 0x77);
    /* the same to be read: data and status share a segment */
    header(v, 0, IN, 5);
    vrig_desc(v, 0, 0, HEADER, 16, V_NEXT, 1);
    vrig_desc(v, 0, 1, BUFFER, 1, V_WRITE | V_NEXT, 2);
    vrig_desc(v, 0, 2, BUFFER + 0x800, 512, V_WRITE, 0);
    memset(vrig_at(v, BUFFER + 0x800), NONE, 1024);
    vrig_offer(v, 0, 0);
    vrig_notify(v, 0);
    rig_clock(v->r, 0, v->r->now_ns + LATENCY_NS);
    CHECK(vrig_take(v, 0, &head, &written) && written == 513);
    CHECK(*vrig_at(v, BUFFER) == 0x77 && *vrig_at(v, BUFFER + 0x800 + 510) == 0x77);
    CHECK(*vrig_at(v, BUFFER + 0x800 + 511) == OK && *vrig_at(v, BUFFER + 0x800 + 512) == NONE);
    blk_free(&b);
}

TEST(virtio_blk, a_request_ends_a_fixed_time_after_the_notification_and_in_order)
{
    Blk b = blk_new(0);
    VRig *v = b.v;
    uint16_t head;
    uint32_t written;
    v->r->now_ns = 1000;
    ask(v, 0, IN, 1, SECTOR);
    ask(v, 1, IN, 2, SECTOR);
    CHECK_INT(v->r->d->type->deadline(v->r->d, 0), UINT64_MAX);
    vrig_notify(v, 0);
    v->r->now_ns = 5000;
    ask(v, 2, IN, 3, SECTOR);
    vrig_notify(v, 0);
    CHECK_INT(v->r->d->type->deadline(v->r->d, 0), 1000 + LATENCY_NS);
    rig_clock(v->r, 0, 999 + LATENCY_NS);
    CHECK(!vrig_take(v, 0, &head, &written) && !v->r->irq);
    rig_clock(v->r, 0, 1000 + LATENCY_NS);
    CHECK(v->r->irq && vrig_take(v, 0, &head, &written) && head == 0);
    CHECK(vrig_take(v, 0, &head, &written) && head == 3 && !vrig_take(v, 0, &head, &written));
    CHECK_INT(v->r->d->type->deadline(v->r->d, 0), 5000 + LATENCY_NS);
    CHECK(*vrig_at(v, BUFFER + 0x1000) == 3 && *vrig_at(v, STATUS + 1) == OK && *vrig_at(v, STATUS + 2) == NONE);
    rig_clock(v->r, 0, 1 << 20);
    CHECK(vrig_take(v, 0, &head, &written) && head == 6 && *vrig_at(v, BUFFER + 0x2000) == 4);
    blk_free(&b);
}

TEST(virtio_blk, requests_that_cannot_be_are_answered_so)
{
    static const struct {
        uint32_t type, n;
        uint64_t sector;
        uint8_t status;
        uint32_t written;
    } rows[] = {
        {IN, SECTOR, NSECTORS, IOERR, 0},
        {IN, 2 * SECTOR, NSECTORS - 1, IOERR, 0},
        {IN, SECTOR, UINT64_MAX, IOERR, 0},
        {IN, 100, 0, IOERR, 0},
        {OUT, SECTOR, NSECTORS, IOERR, 1},
        {OUT, 100, 0, IOERR, 1},
        {OUT, SECTOR, UINT64_MAX / SECTOR, IOERR, 1},
        {99, 0, 0, UNSUPP, 1},
        {DISCARD, 0, 0, IOERR, 1},
        {WRITE_ZEROES, 15, 0, IOERR, 1},
        {WRITE_ZEROES, 17 * 16, 0, IOERR, 1},
    };
    Blk b = blk_new(0);
    uint32_t written = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(request(b.v, rows[i].type, rows[i].sector, rows[i].n, &written), rows[i].status);
        CHECK_INT(written, rows[i].written);
    }
    CHECK_INT(sector_byte(b.v, 0), 1);
    blk_free(&b);
}

TEST(virtio_blk, discarded_and_zeroed_sectors_read_as_zeroes_all_or_none_of_a_request)
{
    static const uint32_t types[] = {DISCARD, WRITE_ZEROES};
    for (unsigned k = 0; k < 4; k++) {
        Blk b = blk_new(k & 2 ? DISK_OVERLAY : 0);
        uint32_t written, type = types[k & 1];
        range(b.v, 0, 2, 3, 0);
        range(b.v, 1, 20, 30, type == WRITE_ZEROES);
        CHECK_INT(request(b.v, type, 0, 32, &written), OK);
        CHECK(sector_byte(b.v, 1) == 2 && sector_byte(b.v, 2) == 0 && sector_byte(b.v, 4) == 0);
        CHECK(sector_byte(b.v, 5) == 6 && sector_byte(b.v, 20) == 0 && sector_byte(b.v, 49) == 0);
        CHECK_INT(sector_byte(b.v, 50), 51);
        range(b.v, 0, 10, 1, 0);
        range(b.v, 1, NSECTORS - 1, 2, 0);
        CHECK_INT(request(b.v, type, 0, 32, &written), IOERR);
        range(b.v, 0, 10, 1, 0);
        range(b.v, 1, 11, 1, 2); /* a flag that there is not */
        CHECK_INT(request(b.v, type, 0, 32, &written), UNSUPP);
        range(b.v, 0, 10, 1, 1); /* may be unmapped: for zeroes only */
        CHECK_INT(request(b.v, type, 0, 16, &written), type == DISCARD ? UNSUPP : OK);
        CHECK_INT(sector_byte(b.v, 10), type == DISCARD ? 11 : 0);
        vrig_start(b.v, 0, 1, SIZE); /* without the feature */
        range(b.v, 0, 12, 1, 0);
        CHECK_INT(request(b.v, type, 0, 16, &written), UNSUPP);
        blk_free(&b);
    }
}

TEST(virtio_blk, a_drive_that_is_read_only_refuses_what_would_change_it)
{
    Blk b = blk_new(DISK_READ_ONLY);
    uint32_t written;
    CHECK_INT(request(b.v, OUT, 0, SECTOR, &written), IOERR);
    range(b.v, 0, 0, 1, 0);
    CHECK_INT(request(b.v, DISCARD, 0, 16, &written), IOERR);
    CHECK_INT(request(b.v, WRITE_ZEROES, 0, 16, &written), IOERR);
    CHECK_INT(request(b.v, FLUSH, 0, 0, &written), OK);
    CHECK_INT(sector_byte(b.v, 0), 1);
    blk_free(&b);
}

TEST(virtio_blk, a_request_without_header_or_status_or_to_no_ram_breaks_the_device)
{
    static const struct {
        uint64_t gpa[3];
        uint32_t size_bytes[3];
    } rows[] = {
        {{HEADER, BUFFER, STATUS}, {15, 0, 1}},      {{HEADER, BUFFER, STATUS}, {16, 0, 0}},
        {{HEADER, 0x1000, STATUS}, {16, SECTOR, 1}}, {{HEADER, BUFFER, 0x1000}, {16, SECTOR, 1}},
        {{0x1000, BUFFER, STATUS}, {16, SECTOR, 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (uint32_t type = IN; type <= OUT; type++) {
            Blk b = blk_new(DISK_OVERLAY);
            header(b.v, 0, type, 0);
            for (uint16_t k = 0; k < 3; k++) {
                bool is_in = k == 2 || (k == 1 && type == IN);
                uint16_t flags = (uint16_t)((k < 2 ? V_NEXT : 0) | (is_in ? V_WRITE : 0));
                uint32_t n = type == OUT && k == 1 && i == 0 ? 0 : rows[i].size_bytes[k];
                vrig_desc(b.v, 0, k, rows[i].gpa[k], n, flags, k + 1);
            }
            vrig_offer(b.v, 0, 0);
            ask(b.v, 3, IN, 0, SECTOR);
            vrig_notify(b.v, 0);
            rig_clock(b.v->r, 0, LATENCY_NS);
            bool is_data_only = i == 1 && type == IN; /* no status, but nothing else to be written either: as row 1 */
            CHECK(vrig_is_broken(b.v) || is_data_only);
            CHECK_INT(b.v->r->d->type->deadline(b.v->r->d, 0), UINT64_MAX);
            blk_free(&b);
        }
    }
}

TEST(virtio_blk, requests_under_way_are_part_of_a_save_and_so_is_an_overlay)
{
    Blk b = blk_new(DISK_OVERLAY);
    VRig *v = b.v;
    uint16_t head;
    uint32_t written;
    memset(vrig_at(v, BUFFER), 0xcd, SECTOR);
    ask(v, 0, OUT, 3, SECTOR);
    ask(v, 1, IN, 3, SECTOR);
    ask(v, 2, IN, NSECTORS, SECTOR);
    vrig_notify(v, 0);
    rig_swap(v->r);
    memset(vrig_at(v, BUFFER), 0, SECTOR); /* what was read then counts */
    CHECK_INT(v->r->d->type->deadline(v->r->d, 0), LATENCY_NS);
    rig_clock(v->r, 0, LATENCY_NS);
    CHECK(vrig_take(v, 0, &head, &written) && head == 0 && *vrig_at(v, STATUS) == OK);
    CHECK(vrig_take(v, 0, &head, &written) && head == 3 && written == SECTOR + 1 && *vrig_at(v, STATUS + 1) == OK);
    CHECK_INT(*vrig_at(v, BUFFER + 0x1000 + 511), 0xcd);
    CHECK(vrig_take(v, 0, &head, &written) && head == 6 && *vrig_at(v, STATUS + 2) == IOERR);
    rig_swap(v->r);
    CHECK_INT(sector_byte(v, 3), 0xcd);
    rig_refuses(v->r, 16, NSECTORS - 1); /* own[0]: a smaller drive */
    rig_refuses(v->r, 24, 0);            /* own[1]: without an overlay */
    ask(v, 0, IN, 3, SECTOR);
    vrig_notify(v, 0);
    rig_refuses(v->r, 8, 1);  /* due_ns: no request is due then */
    rig_refuses(v->r, 32, 1); /* own[2] */
    vrig_put(v, V_STATUS, 0); /* reset with one under way: it never comes back */
    CHECK_INT(v->r->d->type->deadline(v->r->d, 0), UINT64_MAX);
    blk_free(&b);
}

TEST(virtio_blk, a_drive_that_is_written_in_place_cannot_be_saved)
{
    Blk b = blk_new(0), over = blk_new(DISK_OVERLAY), ro = blk_new(DISK_READ_ONLY);
    Err err;
    const DeviceType *t = b.v->r->d->type;
    CHECK_INT(t->saveable(b.v->r->d, &err), -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "written in place");
    CHECK_INT(t->saveable(over.v->r->d, &err), 0);
    CHECK_INT(t->saveable(ro.v->r->d, &err), 0);
    blk_free(&b);
    blk_free(&over);
    blk_free(&ro);
}

/* Descriptors may name the same RAM many times: what is held in the host stays small. */
TEST(virtio_blk, only_so_much_is_under_way_at_a_time)
{
    enum { BIG = 1 << 18, SEGMENTS = 128, REQUESTS = 6 };
    Blk b = blk_new(DISK_READ_ONLY);
    VRig *v = b.v;
    uint16_t head;
    uint32_t written;
    uint64_t table = V_DATA + 0x20000, deadline = 0;
    unsigned ends = 0;
    vrig_free(v);
    VirtioCard *card = NULL;
    CHECK_INT(virtio_blk_new(b.path, DISK_READ_ONLY, &card, NULL), 0);
    b.v = v = vrig_new(card, ~0ull, 1, 256);
    header(v, 0, IN, 0);
    vrig_desc_in(v, table, 0, HEADER, 16, V_NEXT, 1);
    for (unsigned i = 1; i <= SEGMENTS; i++) { /* 32 MiB into 256 KiB */
        vrig_desc_in(v, table, i, V_DATA + 0x30000, BIG, V_WRITE | V_NEXT, (uint16_t)(i + 1));
    }
    vrig_desc_in(v, table, SEGMENTS + 1, STATUS, 1, V_WRITE, 0);
    vrig_desc(v, 0, 0, table, (SEGMENTS + 2) * 16, V_INDIRECT, 0);
    for (unsigned i = 0; i < REQUESTS; i++) {
        vrig_offer(v, 0, 0);
    }
    vrig_notify(v, 0);
    for (unsigned rounds = 1; ends < REQUESTS && rounds < 10; rounds++) {
        deadline = v->r->d->type->deadline(v->r->d, 0);
        rig_clock(v->r, 0, deadline);
        while (vrig_take(v, 0, &head, &written)) {
            ends++;
        }
        CHECK_INT(ends, rounds == 1 ? 3 : REQUESTS);
        CHECK_INT(*vrig_at(v, STATUS), IOERR); /* beyond the drive */
    }
    CHECK_INT(deadline, 2 * LATENCY_NS);
    blk_free(&b);
}

TEST(virtio_blk, a_queue_that_is_taken_away_takes_its_requests_along)
{
    enum { QUEUE_READY = 0x44 };
    Blk b = blk_new(0);
    ask(b.v, 0, IN, 0, SECTOR);
    vrig_notify(b.v, 0);
    CHECK_INT(b.v->r->d->type->deadline(b.v->r->d, 0), LATENCY_NS);
    vrig_put(b.v, QUEUE_READY, 0);
    CHECK_INT(b.v->r->d->type->deadline(b.v->r->d, 0), UINT64_MAX);
    rig_clock(b.v->r, 0, LATENCY_NS);
    CHECK_INT(*vrig_at(b.v, STATUS), NONE);
    CHECK(!vrig_is_broken(b.v));
    blk_free(&b);
}
