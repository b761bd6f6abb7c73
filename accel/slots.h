/* SPDX-License-Identifier: Apache-2.0
 * slots.h - guest memory of a platform that is given ranges of host memory (KVM's memory slots, WHPX's GPA ranges): the RAMs, the
 * slots, access from the host, dirty pages. For backends; what the platform is told of it is theirs.
 *
 * Nothing here locks: the backend holds its lock where slots or dirty pages may change on another thread. */
#ifndef ACCEL_SLOTS_H
#define ACCEL_SLOTS_H

#include "accel/accel.h"
#include "sim/base/mem.h"

typedef struct {
    int fd; /* the backend's own; -1 = none */
    uint8_t *host;
    uint64_t size;
} SlotRam;

typedef struct {
    bool is_used;
    uint64_t at, size, offset; /* guest physical address, bytes, offset in the RAM: multiples of page_bytes */
    RamId ram;
    uint32_t flags;  /* MAP_x */
    uint64_t *dirty; /* a bit a page: written, and not yet cleared. NULL until there is a need for it */
} Slot;

typedef struct {
    uint32_t page_bytes, max_slots;
    VEC(SlotRam) rams; /* RamId = index + 1 */
    VEC(Slot) slots;   /* an index is a slot's for as long as it is used */
} Slots;

/* Frees the slots' dirty pages and the lists; the RAMs' memory is the backend's. */
void slots_free(Slots *s);

/* -ERR_ALIGN, -ERR_INVAL: no RAM can have this size. */
MUST_USE int slots_check_ram(const Slots *s, uint64_t size, Err *err);
/* -ERR_ALIGN, -ERR_NOENT, -ERR_INVAL: no slot can be `want`. Its flags are not looked at. */
MUST_USE int slots_check(const Slots *s, const Slot *want, Err *err);

/* The slot that [at, at + size) touches, NULL: none. size: not 0, and no wrap-around. */
Slot *slots_find(Slots *s, uint64_t at, uint64_t size);
/* *out: the slot that is just [at, at + size). -ERR_NOENT: none is. */
MUST_USE int slots_exact(Slots *s, uint64_t at, uint64_t size, Slot **out, Err *err);
/* *out: the slot to which `want` changes nothing but flags, as it was; or an unused one that is now `want` but for is_used, which
 * the backend sets when the platform has it. -ERR_EXIST: it overlaps another. -ERR_LIMIT: there are max_slots. */
MUST_USE int slots_place(Slots *s, const Slot *want, Slot **out, Err *err);
uint8_t *slot_host(const Slots *s, const Slot *slot);

/* All of it, or nothing. -ERR_FAULT: a byte of it is in no slot. Flags do not matter, but what is written is marked where
 * MAP_LOG_DIRTY asks for it. -ERR_NOMEM: no room for such marks. */
MUST_USE int slots_read(Slots *s, uint64_t gpa, void *buf, size_t n, Err *err);
MUST_USE int slots_write(Slots *s, uint64_t gpa, const void *buf, size_t n, Err *err);

/* Room for the marks, if it is not there. -ERR_NOMEM. */
MUST_USE int slot_want_dirty(const Slots *s, Slot *slot, Err *err);
void slot_drop_dirty(Slot *slot);
/* 64-bit words that the bitmap of a slot has. */
size_t slot_dirty_words(const Slots *s, const Slot *slot);
/* The platform's part: adds to slot->dirty, which is there, what it has noted since it was last asked. 0 or -ERR_x. */
typedef int SlotFetch(void *ctx, Slot *slot, Err *err);
/* VmOps.dirty_get: bits of the pages of [at, at + size), with `clear` they are clean from now on. fetch is called once for each slot
 * of the range. -ERR_ALIGN, -ERR_FAULT, -ERR_STATE (mapped without MAP_LOG_DIRTY), fetch's. */
MUST_USE int slots_dirty_get(Slots *s, uint64_t at, uint64_t size, uint8_t *bits, bool clear, SlotFetch *fetch,
                             void *ctx, Err *err);
#endif
