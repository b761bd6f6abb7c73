/* SPDX-License-Identifier: Apache-2.0
 * lockstep.h - random programs of riscv64, made from the decode tables, that use whatever an engine may get wrong: loops, calls,
 * branches; accesses that are misaligned, cross pages, meet devices and fault; atomics; floating point in all rounding modes; CSRs; traps
 * and timer interrupts; code that changes itself; Sv39 with pages of all kinds and two address spaces.
 *
 * A program is an image for the start of RAM, registers to begin with, and a list of instructions of which any may become a nop: so
 * it can be made smaller. Its trap handler goes on behind what trapped, so it never ends by itself. */
#ifndef SIM_LOCKSTEP_LOCKSTEP_H
#define SIM_LOCKSTEP_LOCKSTEP_H

#include "sim/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    LOCK_RAM = 0x80000000,
    LOCK_RAM_BYTES = 4 << 20,
    LOCK_IMAGE_BYTES = 0x30000,
    LOCK_SAVE = 0x800, /* offsets into RAM: what the handler saves; */
    LOCK_TABLES = 0x1000,
    LOCK_DATA = 0x10000, /* 16 pages; */
    LOCK_CODE = 0x20000,
    LOCK_ITEMS = 4000,
};
typedef struct {
    uint32_t bits;
    uint8_t len;
    int16_t to; /* branches and jumps: items to go, in the immediate field; 0: as it is */
} LockItem;
typedef struct {
    const char *cpu; /* NULL: all */
    uint64_t priv;   /* 0, 1, 3 */
    bool is_paged;
    uint64_t x[32], f[32], fcsr, mstatus, satp;
    size_t nitems;
    LockItem item[LOCK_ITEMS];
} LockProgram;
void lock_generate(LockProgram *p, uint64_t seed);
void lock_image(const LockProgram *p, uint8_t image[LOCK_IMAGE_BYTES]);
#endif
