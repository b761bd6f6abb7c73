/* SPDX-License-Identifier: Apache-2.0
 * A hostile driver of virtio devices. A machine's slots on a bare host with 64 KiB of RAM; the input is a list of
 * {what u8, a u8, b u16, c u32}: registers, descriptors, ring entries, bytes of RAM, time, saves and restores. The rings are set up as
 * a driver would, so that what follows goes deep. Whatever happens: no access outside of RAM succeeds, deadlines move on, and a
 * save restored is the same. */
#include "sim/base/mem.h"
#include "sim/devices/devices.h"
#include "sim/devices/virtio_cards.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RAM = 0x80000000, RAM_BYTES = 1 << 16, NCARDS = 6, DISK_BYTES = 64 << 10, QUEUE_STEP = 0x1000, DATA = 0x8000 };
enum { OP_BYTES = 8, MAX_OPS = 400 };

typedef struct {
    DeviceHost host;
    uint64_t now_ns;
    uint8_t ram[RAM_BYTES];
    Device *d[NCARDS];
} World;

static void on_irq(void *ctx, const Device *d, unsigned output, bool level)
{
    (void)ctx;
    (void)d;
    (void)level;
    if (output) {
        __builtin_trap();
    }
}
static uint64_t on_now(void *ctx)
{
    return ((World *)ctx)->now_ns;
}
static void on_output(void *ctx, const Device *d, const void *bytes, size_t n)
{
    (void)ctx;
    (void)d;
    if (!bytes || !n) {
        __builtin_trap();
    }
}
static bool in_ram(uint64_t gpa, size_t n)
{
    return gpa >= RAM && gpa - RAM <= RAM_BYTES && n <= RAM_BYTES - (gpa - RAM);
}
static bool on_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    if (in_ram(gpa, n)) {
        memcpy(bytes, ((World *)ctx)->ram + (gpa - RAM), n);
    }
    return in_ram(gpa, n);
}
static bool on_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    if (in_ram(gpa, n)) {
        memcpy(((World *)ctx)->ram + (gpa - RAM), bytes, n);
    }
    return in_ram(gpa, n);
}

static bool on_discard(void *ctx, uint64_t gpa, size_t n)
{
    if (in_ram(gpa, n)) {
        memset(((World *)ctx)->ram + (gpa - RAM), 0, n);
    }
    return in_ram(gpa, n);
}

static VirtioCard *card_new(unsigned i, const char *path)
{
    VirtioCard *c = NULL;
    int rc = 0;
    switch (i) {
    case 0:
    case 1:
        rc = virtio_blk_new(path, i ? DISK_READ_ONLY : DISK_OVERLAY, &c, NULL);
        break;
    case 2:
        c = virtio_rng_new(1);
        break;
    case 3:
        rc = virtio_net_new("loopback", &c, NULL);
        break;
    case 4:
        c = virtio_console_new();
        break;
    case 5:
        c = virtio_balloon_new(1 << 20);
        break;
    }
    if (rc) {
        abort();
    }
    return c;
}

static void put(Device *d, uint64_t offset, uint64_t value)
{
    if (device_write(d, 0, offset, 4, value)) {
        __builtin_trap();
    }
}

/* As a driver does: all that is offered is accepted. */
static void start(Device *d)
{
    uint64_t low = 0, ready = 0;
    put(d, 0x70, 0);
    put(d, 0x70, 3);
    if (device_read(d, 0, 0x10, 4, &low)) {
        __builtin_trap();
    }
    put(d, 0x24, 0);
    put(d, 0x20, low);
    put(d, 0x24, 1);
    put(d, 0x20, 1);
    put(d, 0x70, 11);
    for (uint64_t q = 0; q < VIRTIO_QUEUES; q++) {
        uint64_t at = RAM + q * QUEUE_STEP;
        put(d, 0x30, q);
        put(d, 0x38, 16);
        put(d, 0x80, at);
        put(d, 0x90, at + 0x400);
        put(d, 0xa0, at + 0x800);
        put(d, 0x44, 1);
        (void)device_read(d, 0, 0x44, 4, &ready);
    }
    put(d, 0x70, 15);
}

static void ram_put(World *w, uint64_t at, unsigned n, uint64_t value)
{
    for (unsigned i = 0; i < n; i++) {
        w->ram[(at + i) % RAM_BYTES] = (uint8_t)(value >> 8 * i);
    }
}

/* A descriptor: its address near the data or anywhere. */
static void desc_put(World *w, unsigned a, uint16_t b, uint32_t c)
{
    uint64_t at = (uint64_t)(a >> 4 & 3) * QUEUE_STEP + (a & 15) * 16u;
    ram_put(w, at, 8, b & 0x8000 ? c * 0x100000001ull : RAM + DATA + (c & 0x7fff));
    ram_put(w, at + 8, 4, b & 0x4000 ? c : c >> 16 & 0x7ff);
    ram_put(w, at + 12, 2, b & 7);
    ram_put(w, at + 14, 2, b & 8 ? b : (a + 1) & 15);
}

static void offer(World *w, unsigned a, uint16_t b)
{
    uint64_t at = (uint64_t)(a >> 4 & 3) * QUEUE_STEP + 0x400;
    uint16_t index = (uint16_t)(w->ram[at + 2] | w->ram[at + 3] << 8);
    ram_put(w, at + 4 + index % 16 * 2u, 2, b & 0x8000 ? b : a & 15);
    ram_put(w, at + 2, 2, index + 1u);
}

static void swap(World *w, unsigned i)
{
    Buf saved = {0}, again = {0};
    device_save(w->d[i], &saved);
    Device *d = device_new(w->d[i]->type, &w->host);
    d->peer = w->d[i]->peer;
    Cursor c = cursor_of(saved.data, saved.n);
    if (device_restore(d, &c, NULL) || cursor_left(&c)) {
        __builtin_trap();
    }
    device_free(w->d[i]);
    w->d[i] = d;
    device_adopt(d);
    device_save(d, &again);
    if (saved.n != again.n || memcmp(saved.data, again.data, saved.n) != 0) {
        __builtin_trap();
    }
    buf_free(&saved);
    buf_free(&again);
}

/* A save with one byte changed: taken or refused, both sound. */
static void damage(World *w, unsigned i, uint16_t b, uint32_t c)
{
    Buf saved = {0};
    Err err = {0};
    device_save(w->d[i], &saved);
    saved.data[b % saved.n] = (char)c;
    Cursor in = cursor_of(saved.data, saved.n);
    if (device_restore(w->d[i], &in, &err)) {
        if (!err.text[0]) {
            __builtin_trap();
        }
    } else {
        device_adopt(w->d[i]);
    }
    buf_free(&saved);
}

static void tick(World *w, uint64_t ns)
{
    w->now_ns += ns;
    for (unsigned i = 0; i < NCARDS; i++) {
        if (w->d[i]->type->deadline(w->d[i], 0) <= w->now_ns) {
            w->d[i]->type->tick(w->d[i], 0);
            if (w->d[i]->type->deadline(w->d[i], 0) <= w->now_ns) {
                __builtin_trap();
            }
        }
    }
}

static void op(World *w, Cursor *in)
{
    unsigned what = (unsigned)cursor_le(in, 1), a = (unsigned)cursor_le(in, 1), i = (what >> 4) % NCARDS;
    uint16_t b = (uint16_t)cursor_le(in, 2);
    uint32_t c = (uint32_t)cursor_le(in, 4);
    uint64_t value;
    switch (what & 15) {
    case 0:
        (void)device_write(w->d[i], 0, b & 0x1ff, 1u << a % 3, c);
        break;
    case 1:
        (void)device_read(w->d[i], 0, b & 0x1ff, 1u << a % 3, &value);
        break;
    case 2:
    case 3:
    case 4:
        desc_put(w, a, b, c);
        break;
    case 5:
        offer(w, a, b);
        put(w->d[i], 0x50, a >> 4 & 3);
        break;
    case 6:
        offer(w, a, b);
        break;
    case 7:
        put(w->d[i], 0x50, a & 3);
        break;
    case 8: /* a request's header */
        ram_put(w, DATA + (b & 0x7fff), 4, a & 15);
        ram_put(w, DATA + (b & 0x7fff) + 8, 8, c % 160);
        break;
    case 9:
        ram_put(w, b, 4, c);
        break;
    case 10:
        tick(w, c & 0xffff);
        break;
    case 11:
        start(w->d[i]);
        break;
    case 12:
        swap(w, i);
        break;
    case 13:
        damage(w, i, b, c);
        break;
    case 14:
        w->d[i]->type->poll(w->d[i]);
        (void)w->d[i]->type->input(w->d[i], &c, sizeof c);
        break;
    case 15:
        (void)device_write(w->d[i], 0, a * 4u & 0xfc, 4, c);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static VirtioCard *cards[NCARDS];
    World *w = x_alloc(sizeof *w);
    w->host = (DeviceHost){.ctx = w,
                           .irq = on_irq,
                           .now_ns = on_now,
                           .output = on_output,
                           .mem_read = on_read,
                           .mem_write = on_write,
                           .mem_discard = on_discard};
    if (!cards[0]) {
        char path[] = "/tmp/conf-fuzz-XXXXXX";
        int fd = mkstemp(path);
        if (fd < 0 || ftruncate(fd, DISK_BYTES)) {
            abort();
        }
        for (unsigned i = 0; i < NCARDS; i++) {
            cards[i] = card_new(i, path);
        }
        close(fd);
        unlink(path);
    }
    for (unsigned i = 0; i < NCARDS; i++) {
        w->d[i] = device_new(&device_virtio_mmio, &w->host);
        w->d[i]->peer = cards[i];
        device_reset(w->d[i]);
        start(w->d[i]);
    }
    Cursor in = cursor_of(data, size);
    for (unsigned n = 0; n < MAX_OPS && cursor_left(&in) >= OP_BYTES; n++) {
        op(w, &in);
    }
    for (unsigned i = 0; i < NCARDS; i++) {
        device_free(w->d[i]);
    }
    mem_free(w);
    return 0;
}
