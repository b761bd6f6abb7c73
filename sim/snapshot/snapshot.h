/* SPDX-License-Identifier: Apache-2.0
 * snapshot.h - the container of a saved machine: sections of bytes under a tag and a number, versioned and checksummed. What is in
 * a section is its writer's business: sim.c keeps the configuration, vcpus (registers and ExecState), the map, devices and
 * RAM in sections of their own.
 *
 *     SnapWriter w = snap_begin(&out);
 *     buf_le(snap_section(&w, SNAP_TAG('V', 'C', 'P', 'U'), 0), x, 8);  ...  snap_end(&w);
 *
 *     SnapReader r;  Cursor c;
 *     rc = snap_open(&r, bytes, n, err);                               // the whole container is sound
 *     rc = rc ? rc : snap_find(&r, SNAP_TAG('V', 'C', 'P', 'U'), 0, &c, err);
 *
 * ALL OR NOTHING. A reader gets to a section only after the whole container was checked; restore in two passes: check every section
 * (the RAM with snap_check_ram), then change.
 *
 * FORMAT, all little-endian: "CONFSNAP", version u32, number of sections u32, length of all u64; sections {tag u32, number u32, length
 * u64, bytes}; SHA-256 of everything before it. A snapshot is untrusted: nothing in it makes a reader allocate or fail by abort. */
#ifndef SIM_SNAPSHOT_SNAPSHOT_H
#define SIM_SNAPSHOT_SNAPSHOT_H

#include "sim/base/buf.h"
#include "sim/machine/space.h"

enum { SNAP_VERSION = 1, SNAP_MAX_SECTIONS = 1024 };
#define SNAP_TAG(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

typedef struct SnapWriter {
    Buf *out;
    size_t start, section; /* offsets in out; section 0: none is open */
    uint32_t nsections;
} SnapWriter;
SnapWriter snap_begin(Buf *out); /* appends to out, which is the caller's */
/* Ends the section before and opens one: its bytes are what is appended to the Buf returned, until the next. tag and number
 * together are unique. */
Buf *snap_section(SnapWriter *w, uint32_t tag, uint32_t number);
void snap_end(SnapWriter *w);

typedef struct SnapReader {
    const uint8_t *bytes; /* borrowed */
    size_t n;             /* without the checksum */
    uint32_t nsections;
} SnapReader;
/* -ERR_VERSION: another version; -ERR_INVAL: cut, damaged or malformed, with the offset and what was expected. */
MUST_USE int snap_open(SnapReader *r, const void *bytes, size_t n, Err *err);
MUST_USE int snap_find(const SnapReader *r, uint32_t tag, uint32_t number, Cursor *body, Err *err); /* -ERR_NOENT */
size_t snap_count(const SnapReader *r, uint32_t tag);
/* After a section was read: it was neither too short nor too long, else -ERR_INVAL. */
MUST_USE int snap_done(const Cursor *body, uint32_t tag, uint32_t number, Err *err);

/* A RAM: its size, then runs of pages that are not zero {first u64, count u64, bytes}, in ascending order, ended by a count of 0.
 * Untouched RAM is neither written nor read. No vcpu may run. */
void snap_put_ram(Buf *out, const Space *s, uint32_t ram);
/* Sound, and of a RAM of that size; else -ERR_INVAL. */
MUST_USE int snap_check_ram(Cursor body, uint64_t size_bytes, Err *err);
/* Checks, then makes the RAM what it was. On failure it is unchanged; after snap_check_ram only the host can fail. */
MUST_USE int snap_get_ram(Cursor body, Space *s, uint32_t ram, Err *err);
#endif
