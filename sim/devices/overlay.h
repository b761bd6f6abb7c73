/* SPDX-License-Identifier: Apache-2.0
 * overlay.h - what was written over a disk image, in memory: pages of 4 KiB by their number.
 * THREADS. It belongs to one thread at a time. */
#ifndef SIM_DEVICES_OVERLAY_H
#define SIM_DEVICES_OVERLAY_H

#include "sim/base/buf.h"
#include "sim/base/err.h"

enum { OVERLAY_PAGE_BYTES = 4096 };
typedef struct Overlay Overlay;
Overlay *overlay_new(uint64_t disk_size_bytes);               /* at most DISK_MAX_BYTES; costs nothing yet */
void overlay_free(Overlay *o);                                /* NULL is fine */
const uint8_t *overlay_find(const Overlay *o, uint64_t page); /* NULL: never written */
/* For writing; *is_new: it was never written, and its contents are the caller's to make. NULL: out of memory. */
uint8_t *overlay_page(Overlay *o, uint64_t page, bool *is_new);
bool overlay_zero(Overlay *o, uint64_t page);  /* all of it, for next to no memory; false: not even that */
void overlay_save(const Overlay *o, Buf *out); /* appends */
/* -ERR_INVAL: not what overlay_save wrote for a disk of that size; -ERR_NOMEM. */
MUST_USE int overlay_read(Cursor *in, uint64_t disk_size_bytes, Overlay **out, Err *err);
#endif
