/* SPDX-License-Identifier: Apache-2.0
 * r2.h - risk test R2: can the slot IR be both precise and fast? A throw-away: an emitter for x86-64 hosts, a guest of a few
 * registers, four programs as IR text. To be deleted when sim/jit exists. docs/adr/0006-slot-ir-is-kept.md has the figures. */
#ifndef SIM_R2_R2_H
#define SIM_R2_R2_H

#include "sim/ir/ir.h"
#include "sim/softmmu/softmmu.h"

#define R2_RAM 0x80000000ull
enum { R2_RAM_BYTES = 16 << 20, R2_NPINS = 5, R2_MAX_SPAN = 2048 };
enum { R2_HELPER_I2D, R2_HELPER_CARRY, R2_HELPER_CARRY_FRAME, R2_NHELPERS };

typedef struct R2Frame {
    Frame f;
    uint64_t x[32], fr[32];
    uint64_t cc_op, cc_r, cc_b, cc_c; /* lazy flags: operation, result, second operand, carry that came in */
    uint64_t fflags, frm;
    /* from here on the emitter's own */
    uint64_t
        ram_limit; /* unpaged: accesses that begin at most here after R2_RAM need no slow path; R2_MAX_SPAN below its end */
    uint64_t host_rsp, arg[3], save[16], xsave[16];
} R2Frame;
extern const IrGuest r2_guest;
extern const Slot r2_pins[R2_NPINS]; /* in host registers all the time */

typedef struct {
    IrBlock *items;
    size_t n, cap;
} R2Blocks;
const IrBlock *r2_find(const R2Blocks *all, uint64_t pc); /* NULL: none there */

/* ---- the emitter ---- */
/* The indirect-jump cache: as ir.h has it, entries {pc, key, code}; or one table per key, entries {pc, code} of 16 bytes, with
 * ir.h's index or the plain one. */
typedef enum { JUMP_KEYED, JUMP_PAIR, JUMP_PLAIN } JumpForm;
typedef struct {
    bool is_paged;   /* TLB; else one compare with R2Frame.ram_limit */
    bool is_grouped; /* one check per base slot and block */
    JumpForm jump;
    uint8_t *ram; /* host address of R2_RAM */
} JitConfig;
typedef struct Jit Jit;
Jit *jit_new(const JitConfig *cfg, const R2Blocks *blocks);
void jit_free(Jit *j);
/* The region of blocks reachable from pc. NULL: no block is there. */
void *jit_unit(Jit *j, uint64_t pc);
/* A block alone, not to be linked; valid until the next call. */
void *jit_single(Jit *j, const IrBlock *b);
/* Links the exit by which the last jit_enter left. */
void jit_link(Jit *j, void *to);
Left jit_enter(Jit *j, void *code, R2Frame *f);
/* Spoils an entry, chosen by n, of a side table that was used: another register, another constant. */
void jit_break_table(Jit *j, unsigned n);
typedef struct {
    size_t units, sites, used, entries, code_bytes; /* used: sites whose table was read */
} JitStats;
JitStats jit_stats(Jit *j);
/* flags.ir on this host; ram: R2_RAM_BYTES, aligned to 256 KiB */
uint64_t r2_native_flags(uint8_t *ram);
#endif
