/* SPDX-License-Identifier: Apache-2.0
 * space.h - the physical address space of a machine: pieces of RAM, where they are mapped, and where devices are.
 *
 * RAM and mapping are apart: a piece of RAM is anonymous memory (or a private overlay of a memfd, after space_fork), lives
 * as long as the Space, and may be mapped several times. Mappings do not overlap; they are aligned to SPACE_PAGE_BYTES.
 *
 * THREADS. Changes (ram_new, map, unmap, device) are serialised by an own lock, which all but space_find and
 * space_version take. space_find may be called by any
 * thread at any time, takes no lock, and sees the map before or after a change, never a mix: a change installs a new map
 * and leaves the old one readable until space_collect. Whoever caches a look-up compares space_version.
 * Memory is read and written by vcpus directly through SpaceHit.host. Beside them space_read and space_write move aligned
 * 2, 4 and 8 bytes at once.
 *
 * PAGE_CODE. A translator sets it (atomic_fetch_or, sequentially consistent) before it reads the bytes; a writer writes, then
 * looks at it. So either the translator sees the new bytes, or the writer sees the flag. */
#ifndef SIM_MACHINE_SPACE_H
#define SIM_MACHINE_SPACE_H

#include "sim/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPACE_PAGE_BYTES = 4096, SPACE_MAX_REGIONS = 1024, SPACE_MAX_RAMS = 1024 };
enum { SPACE_R = 1, SPACE_W = 2, SPACE_X = 4, SPACE_LOG_DIRTY = 8 }; /* the numbers of accel.h's MAP_x */
/* flags of a page of RAM, one atomic byte each */
enum {
    PAGE_CODE = 1 /* some vcpu has translated from it: stores go the slow way */,
    PAGE_DIRTY = 2,
    PAGE_WATCH = 4, /* stores are looked at to the byte, by whoever set it */
    PAGE_STORED = 8 /* some vcpu may have cached the right to store to it without looking at its flags */
};

typedef struct Space Space;
/* A device: offset is from its start, size 1, 2, 4 or 8. 0, or -ERR_FAULT: no register of that size there (bus error). */
typedef struct SpaceDevice {
    int (*read)(void *ctx, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value);
    int (*write)(void *ctx, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value);
} SpaceDevice;

Space *space_new(void);
void space_free(Space *s); /* nobody may be using it; NULL is fine */
/* A twin with the same RAM contents, copy-on-write, the same map and dirty log, without devices. s stays usable; its host
 * addresses stay. Neither sees what the other writes from now on. No vcpu of s may run. The first fork of a RAM copies what
 * has been written, for both; later ones copy the pages that this side has written since its first. */
MUST_USE int space_fork(Space *s, Space **out, Err *err);
/* Zeroed; host pages are committed when touched. size: a multiple of the page. -ERR_NOMEM, -ERR_INVAL, -ERR_LIMIT. */
MUST_USE int space_ram_new(Space *s, uint64_t size_bytes, uint32_t *ram, Err *err);
/* Overlap: -ERR_EXIST; not aligned or wrapping: -ERR_ALIGN; beyond the RAM: -ERR_INVAL; too many: -ERR_LIMIT. Exactly over a
 * region with the same RAM and offset: changes its flags. */
MUST_USE int space_map(Space *s, uint64_t gpa, uint64_t size_bytes, uint32_t ram, uint64_t offset, uint32_t flags,
                       Err *err);
MUST_USE int space_unmap(Space *s, uint64_t gpa, uint64_t size_bytes,
                         Err *err); /* exactly one region or device, else -ERR_NOENT */
MUST_USE int space_device(Space *s, uint64_t gpa, uint64_t size_bytes, const SpaceDevice *ops, void *ctx, Err *err);

typedef struct SpaceHit {
    uint64_t gpa, size_bytes; /* the region */
    uint32_t flags;           /* SPACE_x */
    uint8_t *host;            /* of the region's first byte; NULL for a device */
    _Atomic uint8_t *pages;   /* PAGE_x of the region's first page; NULL for a device */
    const SpaceDevice *device;
    void *ctx;
} SpaceHit;
bool space_find(const Space *s, uint64_t gpa, SpaceHit *out); /* THREAD-SAFE; false: a hole */
/* Where the byte of RAM that the host has there is mapped, at its lowest address. THREAD-SAFE; false: nowhere */
bool space_gpa_of(const Space *s, const uint8_t *host, uint64_t *gpa);
uint64_t space_version(const Space *s);                   /* THREAD-SAFE; changes with every change of the map */
const _Atomic uint64_t *space_version_at(const Space *s); /* where it is, for who looks often */
void space_collect(Space *s);                             /* frees old maps: when no vcpu of the machine runs */

/* For loaders, debuggers and the waist. R/W/X are ignored; never reaches a device; a hole anywhere: -ERR_FAULT with the address
 * and nothing done. A write marks pages dirty and reports code pages hit through the call-back of space_on_code. */
MUST_USE int space_read(const Space *s, uint64_t gpa, void *buf, size_t n, Err *err);
MUST_USE int space_write(Space *s, uint64_t gpa, const void *buf, size_t n, Err *err);
/* As a write of zeros to whole pages. Their host pages are given back, unless the RAM is shared with a twin (space_fork). Not whole
 * pages: -ERR_ALIGN. */
MUST_USE int space_discard(Space *s, uint64_t gpa, uint64_t size_bytes, Err *err);
/* Called on the writing thread, after the write and without the lock, when space_write, space_discard, or a vcpu that says so with
 * space_code_written, changed bytes of PAGE_CODE pages: once for each address range at which those bytes are mapped. */
void space_on_code(Space *s, void (*fn)(void *ctx, uint64_t gpa, uint64_t n), void *ctx);
void space_code_written(Space *s, uint64_t gpa, uint64_t n);
/* One bit per page from gpa, LSB first, of regions with SPACE_LOG_DIRTY; fetch and clear is one atomic step a page. bits holds
 * (size / page + 7) / 8 bytes. The log is of the RAM: regions that share a page share its bit. A log is clean when it is switched
 * on. Clearing changes space_version, as cached rights to write are void. A page that is not logged: -ERR_NOENT; not whole
 * pages: -ERR_ALIGN. */
MUST_USE int space_dirty_get(Space *s, uint64_t gpa, uint64_t size_bytes, uint8_t *bits, bool clear, Err *err);

/* For snapshots: pieces and regions in order of creation and of address. */
typedef struct {
    uint64_t size_bytes;
    uint8_t *host;
} SpaceRam;
size_t space_rams(const Space *s, SpaceRam *out, size_t cap); /* returns the count */
/* The next run of pages, from page `from` of a RAM on, that may hold something: that were written or read, on any side of a
 * fork, or lie in a large page of the host with such; false: none. All others are zero, and reading them would commit them. */
bool space_ram_touched(const Space *s, uint32_t ram, uint64_t from, uint64_t *first, uint64_t *npages);
/* Makes a RAM all zeros again and gives its host pages back; host addresses stay. What was not zero is dirty, nothing is
 * PAGE_CODE, and space_version changes: no vcpu may run, and what was translated is void. -ERR_NOMEM: the contents are unchanged. */
MUST_USE int space_ram_clear(Space *s, uint32_t ram, Err *err);
/* Writes by place in the RAM, wherever it is mapped; marks dirty, reports no code. The range is inside the RAM. */
void space_ram_put(Space *s, uint32_t ram, uint64_t offset, const void *bytes, size_t n);
typedef struct {
    uint64_t gpa, size_bytes, offset;
    uint32_t ram, flags;
} SpaceRegion;
size_t space_regions(const Space *s, SpaceRegion *out, size_t cap); /* of RAM only; returns the count */
#endif
