/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/machine/device.h"

#include "sim/base/mem.h"

#include <string.h>

Device *device_new(const DeviceType *t, const DeviceHost *host)
{
    Device *d = x_alloc(sizeof *d);
    *d = (Device){.type = t, .host = host, .state = x_alloc(t->state_bytes)};
    return d;
}

void device_free(Device *d)
{
    if (d) {
        if (d->type->more_free) {
            d->type->more_free(d);
        }
        mem_free(d->state);
        mem_free(d);
    }
}

void device_reset(Device *d)
{
    memset(d->state, 0, d->type->state_bytes);
    d->type->reset(d);
}

int device_reg_at(const DeviceType *t, uint64_t offset, bool is_write)
{
    for (int i = 0; t->regs && t->regs[i].name; i++) {
        const DeviceReg *r = &t->regs[i];
        uint64_t end = r->stride ? r->end : (uint64_t)r->first + r->bytes;
        uint64_t inside = offset - r->first;
        if (offset >= r->first && offset < end && (r->stride ? inside % r->stride : inside) < r->bytes &&
            r->access & (is_write ? DEVICE_W : DEVICE_R)) {
            return i;
        }
    }
    return -1;
}

void device_cover(const DeviceType *t, const uint64_t *reg, const uint64_t *feature, Buf *out)
{
    for (size_t i = 0; t->regs && t->regs[i].name; i++) {
        for (unsigned is_write = 0; is_write < 2; is_write++) {
            uint64_t n = reg ? reg[2 * i + is_write] : 0;
            if (t->regs[i].access & (is_write ? DEVICE_W : DEVICE_R) && (n || !reg)) {
                buf_printf(out, "device_reg\t%s\t%s %s %s\t%llu\n", t->name, t->name, t->regs[i].name,
                           is_write ? "write" : "read", (unsigned long long)n);
            }
        }
    }
    for (size_t i = 0; t->features && t->features[i].kind; i++) {
        uint64_t n = feature ? feature[i] : 0;
        if (n || !feature) {
            buf_printf(out, "virtio_feature\tvirtio %s\tvirtio %s %s\t%llu\n", t->features[i].kind, t->features[i].kind,
                       t->features[i].name, (unsigned long long)n);
        }
    }
}

int device_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    if (!device_takes(d, offset, size_bytes)) {
        return -ERR_FAULT;
    }
    uint64_t mask = size_bytes == 8 ? UINT64_MAX : (1ull << size_bytes * 8) - 1;
    return d->type->write(d, vcpu, offset, size_bytes, value & mask);
}

static uint32_t state_total(const DeviceType *t)
{
    uint32_t total = 0;
    for (const StateField *f = t->state; f->name; f++) {
        total += f->size_bytes * f->count;
    }
    return total;
}

/* Elements are values of the host's byte order in the struct, little-endian outside. */
static uint64_t element_get(const void *at, uint32_t size_bytes)
{
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    switch (size_bytes) {
    case 1:
        memcpy(&a, at, 1);
        return a;
    case 2:
        memcpy(&b, at, 2);
        return b;
    case 4:
        memcpy(&c, at, 4);
        return c;
    }
    memcpy(&d, at, 8);
    return d;
}

static void element_set(void *at, uint32_t size_bytes, uint64_t value)
{
    switch (size_bytes) {
    case 1:
        memcpy(at, &(uint8_t){(uint8_t)value}, 1);
        return;
    case 2:
        memcpy(at, &(uint16_t){(uint16_t)value}, 2);
        return;
    case 4:
        memcpy(at, &(uint32_t){(uint32_t)value}, 4);
        return;
    }
    memcpy(at, &value, 8);
}

void device_save(Device *d, Buf *out)
{
    buf_le(out, state_total(d->type), 4);
    for (const StateField *f = d->type->state; f->name; f++) {
        for (uint32_t i = 0; i < f->count; i++) {
            buf_le(out, element_get((const uint8_t *)d->state + f->offset + i * f->size_bytes, f->size_bytes),
                   f->size_bytes);
        }
    }
    if (d->type->more_save) {
        d->type->more_save(d, out);
    }
}

int device_restore(Device *d, Cursor *in, Err *err)
{
    const DeviceType *t = d->type;
    size_t left = cursor_left(in);
    uint32_t want = state_total(t), total = (uint32_t)cursor_le(in, 4);
    if (!cursor_ok(in) || total != want || cursor_left(in) < total) {
        return err_set(err, ERR_INVAL,
                       "%s: %zu bytes left with a length of %u: expected a length of %u and as many bytes", t->name,
                       left, total, want);
    }
    Device new = *d;
    new.state = x_alloc(t->state_bytes);
    for (const StateField *f = t->state; f->name; f++) {
        for (uint32_t i = 0; i < f->count; i++) {
            element_set((uint8_t *)new.state + f->offset + i * f->size_bytes, f->size_bytes,
                        cursor_le(in, f->size_bytes));
        }
    }
    new.more = NULL;
    int rc = t->check ? t->check(&new, err) : 0;
    rc = !rc && t->more_restore ? t->more_restore(&new, in, err) : rc;
    if (!rc) {
        memcpy(d->state, new.state, t->state_bytes);
        if (t->more_free) {
            t->more_free(d);
        }
        d->more = new.more;
    }
    mem_free(new.state);
    return rc;
}

void device_adopt(Device *d)
{
    if (d->type->adopt) {
        d->type->adopt(d);
    }
}
