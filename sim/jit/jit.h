/* SPDX-License-Identifier: Apache-2.0
 * jit.h - the engine that makes host code of the slot IR. It knows slots and never registers of a guest.
 *
 * A block becomes code when it is prepared. Slots that are used most live in host registers; a value is written back to the frame
 * only where somebody may look, by a side table of that place (ir.h P2). Code is written through one mapping and run
 * through another: no page is writable and executable at once.
 *
 * There is one where JIT_HAS_HOST is defined: x86-64 hosts. */
#ifndef SIM_JIT_JIT_H
#define SIM_JIT_JIT_H

#include "sim/ir/ir.h"

#include <limits.h>

/* ---- looking on, for tests ----
 * A test program that defines these (sim/jit/decode does) sees all code that is made in it, says what the host can do, and how much memory
 * and time there is; no other program has them. */
typedef enum { JIT_BMI1 = 1, JIT_BMI2 = 2, JIT_LZCNT = 4, JIT_POPCNT = 8, JIT_FMA = 16, JIT_AVX = 32 } JitFeature;
typedef enum {
    JIT_AROUND, /* code around units: the first of a cache */
    JIT_STUB,   /* what a block has before it has code of its own */
    JIT_BLOCK,
    JIT_REGION,
    JIT_JUMP, /* a jump of 5 bytes was aimed anew */
    JIT_DROPPED,
} JitEventKind;
typedef struct {
    JitEventKind kind;
    const void *cache;    /* whose */
    const uint8_t *where; /* where code of it may be run: cache_bytes from here */
    size_t cache_bytes;
    uint8_t *bytes;        /* of the code, to read, or to spoil it */
    const uint8_t *at;     /* where it runs */
    size_t nbytes;         /* of code */
    size_t hot_bytes;      /* the first of them; then comes what is rarely run */
    const uint8_t *consts; /* of 16 bytes each, which code of the cache reads */
    size_t consts_bytes;
    size_t table_bytes; /* behind the code, aligned to 16: JumpEntry of a table of jumps */
    /* of a stub, block or region */
    uint64_t gva;                   /* of the first block */
    uint32_t nblocks, ninsns, nops; /* with all copies of loops that are unrolled */
} JitEvent;
extern void jit_watch(const JitEvent *e) __attribute__((weak));
extern unsigned jit_features(unsigned have) __attribute__((weak)); /* JitFeature bits */
/* When a region is there that is made beside the vcpu (Engine.assist): the vcpu looks for it so many times in vain, and then waits for it;
 * or JIT_WHEN_MADE, as if there were no such function. gva: of the block that became hot. */
#define JIT_WHEN_MADE UINT_MAX
extern unsigned jit_delay(uint64_t gva) __attribute__((weak));
/* How much memory for code each vcpu has; 0: as ever. */
extern size_t jit_code_bytes(void) __attribute__((weak));

#if defined(__x86_64__)
#define JIT_HAS_HOST 1
extern const Engine engine_jit;
extern const Engine engine_hybrid; /* a block is run from its IR a few times before code is made of it */
/* The same, but a block moves on when it runs for the second time: for tests. */
extern const Engine engine_jit_eager, engine_hybrid_eager;
extern const Engine engine_hybrid_beside; /* the latter, with a thread of its own that makes its regions */
#endif
#endif
