/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/rig.h"

#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <string.h>

static void rig_irq(void *ctx, const Device *d, unsigned output, bool level)
{
    Rig *r = ctx;
    CHECK(d->host == &r->host && output == 0);
    r->irq = level;
}
static void rig_line(void *ctx, unsigned vcpu, unsigned line, bool level)
{
    Rig *r = ctx;
    if (CHECK(vcpu < r->nvcpus && line < 4)) {
        r->line[vcpu][line] = level;
    }
}
static uint64_t rig_now(void *ctx)
{
    return ((Rig *)ctx)->now_ns;
}
static void rig_output(void *ctx, const Device *d, const void *bytes, size_t n)
{
    (void)d;
    buf_bytes(&((Rig *)ctx)->output, bytes, n);
}
static void rig_finish(void *ctx, int kind, uint32_t code)
{
    Rig *r = ctx;
    r->finishes++;
    r->finish_kind = kind;
    r->finish_code = code;
}
static bool in_ram(uint64_t gpa, size_t n)
{
    return gpa >= RIG_RAM && gpa - RIG_RAM <= RIG_RAM_BYTES && n <= RIG_RAM_BYTES - (gpa - RIG_RAM);
}
static bool rig_mem_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    if (in_ram(gpa, n)) {
        memcpy(bytes, ((Rig *)ctx)->ram + (gpa - RIG_RAM), n);
    }
    return in_ram(gpa, n);
}
static bool rig_mem_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    if (in_ram(gpa, n)) {
        memcpy(((Rig *)ctx)->ram + (gpa - RIG_RAM), bytes, n);
    }
    return in_ram(gpa, n);
}
static bool rig_mem_discard(void *ctx, uint64_t gpa, size_t n)
{
    if (in_ram(gpa, n)) {
        memset(((Rig *)ctx)->ram + (gpa - RIG_RAM), 0, n);
    }
    return in_ram(gpa, n);
}
static unsigned rig_nvcpus(void *ctx)
{
    return ((Rig *)ctx)->nvcpus;
}

static Rig *rig_make(const char *device, unsigned nvcpus, uint32_t param, void *peer)
{
    Rig *r = x_alloc(sizeof *r);
    r->ram = x_alloc(RIG_RAM_BYTES);
    r->nvcpus = nvcpus;
    r->host = (DeviceHost){.ctx = r,
                           .irq = rig_irq,
                           .line = rig_line,
                           .now_ns = rig_now,
                           .output = rig_output,
                           .finish = rig_finish,
                           .nvcpus = rig_nvcpus,
                           .mem_read = rig_mem_read,
                           .mem_write = rig_mem_write,
                           .mem_discard = rig_mem_discard};
    r->d = device_new(device_find(device), &r->host);
    r->d->param = param;
    r->d->peer = peer;
    device_reset(r->d);
    return r;
}

Rig *rig_new(const char *device, unsigned nvcpus, uint32_t param)
{
    return rig_make(device, nvcpus, param, NULL);
}

Rig *rig_plugged(const char *device, void *peer)
{
    return rig_make(device, 1, 0, peer);
}

void rig_free(Rig *r)
{
    device_free(r->d);
    buf_free(&r->output);
    mem_free(r->ram);
    mem_free(r);
}

uint64_t rig_get(Rig *r, unsigned vcpu, uint64_t offset, unsigned size_bytes)
{
    uint64_t value = 0;
    CHECK_INT(device_read(r->d, vcpu, offset, size_bytes, &value), 0);
    return value;
}

void rig_put(Rig *r, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    CHECK_INT(device_write(r->d, vcpu, offset, size_bytes, value), 0);
}

void rig_clock(Rig *r, unsigned vcpu, uint64_t now_ns)
{
    r->now_ns = now_ns;
    if (r->d->type->deadline(r->d, vcpu) <= now_ns) {
        r->d->type->tick(r->d, vcpu);
    }
}

void rig_swap(Rig *r)
{
    Buf b = {0}, again = {0};
    device_save(r->d, &b);
    Device *d = device_new(r->d->type, &r->host);
    d->param = r->d->param;
    d->peer = r->d->peer;
    Cursor c = cursor_of(b.data, b.n);
    CHECK_INT(device_restore(d, &c, NULL), 0);
    CHECK_INT(cursor_left(&c), 0);
    device_save(d, &again);
    CHECK(b.n == again.n && !memcmp(b.data, again.data, b.n));
    CHECK(!memcmp(d->state, r->d->state, d->type->state_bytes)); /* a field that the table forgets */
    device_free(r->d);
    r->d = d;
    device_adopt(d);
    buf_free(&b);
    buf_free(&again);
}

void rig_refuses(Rig *r, size_t at, uint8_t value)
{
    Buf b = {0}, again = {0};
    Err err;
    device_save(r->d, &b);
    uint8_t old = (uint8_t)b.data[4 + at];
    b.data[4 + at] = (char)value;
    Cursor c = cursor_of(b.data, b.n);
    CHECK_INT(device_restore(r->d, &c, &err), -ERR_INVAL);
    CHECK_HAS(err.text, r->d->type->name);
    b.data[4 + at] = (char)old;
    device_save(r->d, &again);
    CHECK(!memcmp(b.data, again.data, b.n));
    buf_free(&b);
    buf_free(&again);
}

TEST(devices, each_is_found_by_its_name_and_no_other_is)
{
#define DEVICE(n) CHECK(device_find(#n) == &device_##n && !strcmp(device_##n.name, #n));
#include "sim/devices/devices.def"
#undef DEVICE
    CHECK(!device_find("nothing"));
}

TEST(devices, state_tables_lie_inside_their_structs_and_do_not_overlap)
{
#define DEVICE(n)                                                                                                      \
    for (const StateField *f = device_##n.state; f->name; f++) {                                                       \
        CHECK(f->offset + f->size_bytes * f->count <= device_##n.state_bytes && f->count);                             \
        for (const StateField *g = f + 1; g->name; g++) {                                                              \
            CHECK(g->offset >= f->offset + f->size_bytes * f->count ||                                                 \
                  f->offset >= g->offset + g->size_bytes * g->count);                                                  \
        }                                                                                                              \
    }
#include "sim/devices/devices.def"
#undef DEVICE
}
