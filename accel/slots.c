/* SPDX-License-Identifier: Apache-2.0
 * slots.c - see slots.h. */
#include "accel/slots.h"

#include <string.h>

void slots_free(Slots *s)
{
    for (size_t i = 0; i < s->slots.n; i++) {
        mem_free(s->slots.items[i].dirty);
    }
    VEC_FREE(&s->slots);
    VEC_FREE(&s->rams);
}

int slots_check_ram(const Slots *s, uint64_t size, Err *err)
{
    if (size == 0 || size % s->page_bytes || size > SIZE_MAX / 2) {
        return err_set(err, size % s->page_bytes ? ERR_ALIGN : ERR_INVAL,
                       "RAM of %#llx bytes: must be a multiple of the page size %#x, and not 0",
                       (unsigned long long)size, s->page_bytes);
    }
    return 0;
}

int slots_check(const Slots *s, const Slot *want, Err *err)
{
    unsigned long long at = want->at, size = want->size, offset = want->offset;
    if ((at | size | offset) % s->page_bytes) {
        return err_set(err, ERR_ALIGN, "map at %#llx, size %#llx, offset %#llx: all must be multiples of %#x", at, size,
                       offset, s->page_bytes);
    }
    if (want->ram == 0 || want->ram > s->rams.n) {
        return err_set(err, ERR_NOENT, "no RAM %u in this VM", want->ram);
    }
    unsigned long long ram_size = s->rams.items[want->ram - 1].size;
    if (size == 0 || at + (size - 1) < at || offset > ram_size || size > ram_size - offset) {
        return err_set(err, ERR_INVAL, "map at %#llx, size %#llx, offset %#llx does not fit RAM %u of %#llx bytes", at,
                       size, offset, want->ram, ram_size);
    }
    return 0;
}

/* ---- which slot ---- */
Slot *slots_find(Slots *s, uint64_t at, uint64_t size)
{
    for (size_t i = 0; i < s->slots.n; i++) {
        Slot *slot = &s->slots.items[i];
        if (slot->is_used && slot->at <= at + (size - 1) && at <= slot->at + (slot->size - 1)) {
            return slot;
        }
    }
    return NULL;
}

int slots_exact(Slots *s, uint64_t at, uint64_t size, Slot **out, Err *err)
{
    *out = size && at + (size - 1) >= at ? slots_find(s, at, size) : NULL;
    if (!*out || (*out)->at != at || (*out)->size != size) {
        return err_set(err, ERR_NOENT, "no region is exactly %#llx, size %#llx", (unsigned long long)at,
                       (unsigned long long)size);
    }
    return 0;
}

static int slot_new(Slots *s, Slot **out, Err *err)
{
    size_t i = 0;
    while (i < s->slots.n && s->slots.items[i].is_used) {
        i++;
    }
    if (i >= s->max_slots) {
        return err_set(err, ERR_LIMIT, "all %u memory slots are in use", s->max_slots);
    }
    if (i == s->slots.n) {
        VEC_PUSH(&s->slots, (Slot){0});
    }
    *out = &s->slots.items[i];
    return 0;
}

int slots_place(Slots *s, const Slot *want, Slot **out, Err *err)
{
    Slot *old = *out = slots_find(s, want->at, want->size);
    if (old) {
        bool is_same =
            old->at == want->at && old->size == want->size && old->ram == want->ram && old->offset == want->offset;
        return is_same ? 0
                       : err_set(err, ERR_EXIST, "map at %#llx, size %#llx overlaps the region at %#llx, size %#llx",
                                 (unsigned long long)want->at, (unsigned long long)want->size,
                                 (unsigned long long)old->at, (unsigned long long)old->size);
    }
    int rc = slot_new(s, out, err);
    if (!rc) {
        **out = *want;
        (*out)->is_used = false;
        (*out)->dirty = NULL;
    }
    return rc;
}

uint8_t *slot_host(const Slots *s, const Slot *slot)
{
    return s->rams.items[slot->ram - 1].host + slot->offset;
}

/* ---- dirty pages ---- */
size_t slot_dirty_words(const Slots *s, const Slot *slot)
{
    return (size_t)((slot->size / s->page_bytes + 63) / 64);
}

int slot_want_dirty(const Slots *s, Slot *slot, Err *err)
{
    size_t words = slot_dirty_words(s, slot);
    if (!slot->dirty && !(slot->dirty = mem_try(words, 8))) {
        return err_set(err, ERR_NOMEM, "dirty bitmap of %zu bytes", words * 8);
    }
    return 0;
}

void slot_drop_dirty(Slot *slot)
{
    mem_free(slot->dirty);
    slot->dirty = NULL;
}

static int dirty_check(Slots *s, uint64_t at, uint64_t size, Err *err)
{
    if ((at | size) % s->page_bytes) {
        return err_set(err, ERR_ALIGN, "dirty log of %#llx, size %#llx: both must be multiples of %#x",
                       (unsigned long long)at, (unsigned long long)size, s->page_bytes);
    }
    uint64_t left;
    for (uint64_t done = 0; done < size; done += left) {
        const Slot *slot = slots_find(s, at + done, 1);
        if (!slot) {
            return err_set(err, ERR_FAULT, "no memory at %#llx", (unsigned long long)(at + done));
        }
        if (!(slot->flags & MAP_LOG_DIRTY)) {
            return err_set(err, ERR_STATE, "the region at %#llx is mapped without a dirty log",
                           (unsigned long long)slot->at);
        }
        left = slot->size - (at + done - slot->at);
    }
    return 0;
}

int slots_dirty_get(Slots *s, uint64_t at, uint64_t size, uint8_t *bits, bool clear, SlotFetch *fetch, void *ctx,
                    Err *err)
{
    int rc = dirty_check(s, at, size, err);
    uint64_t pages = size / s->page_bytes;
    if (!rc) {
        memset(bits, 0, (size_t)((pages + 7) / 8));
    }
    Slot *slot = NULL;
    for (uint64_t i = 0; !rc && i < pages; i++) {
        uint64_t gpa = at + i * s->page_bytes;
        if (!slot || gpa - slot->at >= slot->size) {
            slot = slots_find(s, gpa, 1);
            rc = slot_want_dirty(s, slot, err);
            rc = rc ? rc : fetch(ctx, slot, err);
        }
        uint64_t page = (gpa - slot->at) / s->page_bytes;
        if (!rc && slot->dirty[page / 64] >> (page % 64) & 1) {
            bits[i / 8] |= (uint8_t)(1 << (i % 8));
            slot->dirty[page / 64] &= ~((uint64_t)clear << (page % 64));
        }
    }
    return rc;
}

/* ---- access from the host ---- */
typedef enum { COPY_CHECK, COPY_CHECK_WRITE, COPY_READ, COPY_WRITE } CopyKind;

static int copy_part(Slots *s, CopyKind kind, Slot *slot, uint64_t offset, uint8_t *buf, size_t n, Err *err)
{
    uint8_t *host = slot_host(s, slot) + offset;
    bool is_logged = slot->flags & MAP_LOG_DIRTY;
    switch (kind) {
    case COPY_CHECK:
        return 0;
    case COPY_CHECK_WRITE:
        return is_logged ? slot_want_dirty(s, slot, err) : 0;
    case COPY_READ:
        memcpy(buf, host, n);
        return 0;
    case COPY_WRITE:
        memcpy(host, buf, n);
        /* Code written here is executed as written: the caches of aarch64 and riscv64 are told. */
        __builtin___clear_cache((char *)host, (char *)host + n);
        /* The platform logs what vcpus write; what is written from here, by a board's DMA or by the caller, only we know. */
        for (uint64_t page = offset / s->page_bytes; is_logged && page <= (offset + n - 1) / s->page_bytes; page++) {
            slot->dirty[page / 64] |= 1ull << (page % 64);
        }
        return 0;
    }
    return 0;
}

static int copy_pass(Slots *s, CopyKind kind, uint64_t gpa, uint8_t *buf, size_t n, Err *err)
{
    while (n) {
        Slot *slot = slots_find(s, gpa, 1);
        if (!slot) {
            return err_set(err, ERR_FAULT, "no memory at %#llx", (unsigned long long)gpa);
        }
        uint64_t left = slot->size - (gpa - slot->at);
        size_t part = left < n ? (size_t)left : n;
        int rc = copy_part(s, kind, slot, gpa - slot->at, buf, part, err);
        if (rc) {
            return rc;
        }
        gpa += part;
        buf = buf ? buf + part : NULL;
        n -= part;
        if (n && gpa == 0) {
            return err_set(err, ERR_FAULT, "access wraps around the address space");
        }
    }
    return 0;
}

int slots_read(Slots *s, uint64_t gpa, void *buf, size_t n, Err *err)
{
    int rc = copy_pass(s, COPY_CHECK, gpa, NULL, n, err);
    return rc ? rc : copy_pass(s, COPY_READ, gpa, buf, n, err);
}

int slots_write(Slots *s, uint64_t gpa, const void *buf, size_t n, Err *err)
{
    int rc = copy_pass(s, COPY_CHECK_WRITE, gpa, NULL, n, err);
    return rc ? rc : copy_pass(s, COPY_WRITE, gpa, (uint8_t *)(uintptr_t)buf, n, err);
}
