/* SPDX-License-Identifier: Apache-2.0
 * jit_int.h - what jit.c (life, run time), region.c (which blocks, which registers) and emit.c (code) share. */
#ifndef SIM_R2_JIT_INT_H
#define SIM_R2_JIT_INT_H

#include "sim/r2/r2.h"
#include "sim/r2/x64.h"

enum {
    NS = 256, /* slots by number: byte offset / 8 */
    MAX_BBS = 256,
    CODE_BYTES = 8 << 20,
    XMM = 16, /* homes below are general registers, from here on xmm0.. */
    FIRST_XMM = 2,
};
#define SLOT(s)    ((unsigned)(s) / 8)
#define BIAS       ((int32_t)offsetof(R2Frame, x) + 128) /* rbp = frame + BIAS: all x have short displacements */
#define AT(field)  ((int32_t)offsetof(R2Frame, field) - BIAS)
#define AT_SLOT(i) ((int32_t)(i)*8 - BIAS)
#define IS_TEMP(i) ((i) >= SLOT(IR_TEMP(0)) && (i) < SLOT(IR_TEMP(IR_NTEMPS)))
#define QNAN       0x7ff8000000000000ull

typedef struct {
    uint64_t w[NS / 64];
} Set;
static inline bool set_has(const Set *s, unsigned i)
{
    return s->w[i / 64] >> i % 64 & 1;
}
static inline void set_add(Set *s, unsigned i)
{
    s->w[i / 64] |= 1ull << i % 64;
}
static inline void set_del(Set *s, unsigned i)
{
    s->w[i / 64] &= ~(1ull << i % 64);
}
/* for each i in s */
#define SET_EACH(i, s)                                                                                                 \
    for (unsigned i##_w = 0, i; i##_w < NS / 64; i##_w++)                                                              \
        for (uint64_t i##_m = (s)->w[i##_w]; i##_m && (i = i##_w * 64 + (unsigned)__builtin_ctzll(i##_m), 1);          \
             i##_m &= i##_m - 1)

/* Where a slot's value is at some point of the code: the second half of what a side table says. */
typedef enum { V_HOME, V_CONST, V_COPY } ValKind; /* in its home; a constant not yet written; the same as slot `of` */
typedef struct {
    uint8_t kind;
    uint16_t of;
    uint64_t c;
} Val;
typedef struct {
    uint16_t slot;
    uint8_t kind; /* E_x */
    uint8_t reg;
    uint16_t of;
    uint64_t c;
} Entry;
enum { E_GPR, E_XMM, E_CONST, E_MEM };
/* A place that may be left or looked at from: op of block, and what to write back there. */
typedef struct {
    const IrBlock *b;
    uint32_t op, first, n; /* op == nops: the block's head */
    uint32_t nused;
} Site;
typedef struct {
    const IrBlock *b;
    uint64_t pc;
    uint8_t *at; /* of the displacement to patch; NULL: not to be linked */
} Exit;

typedef struct {
    const IrBlock *b;
    unsigned depth;
    int succ[IR_MAX_EXITS];
    unsigned nsucc;
    Set dirty_in, def, use, live;
    uint8_t *label;
} Bb;
typedef struct {
    bool is_on, can_write;
    int64_t lo, hi;
    unsigned reg;
} Group;
typedef struct Stub Stub;
typedef struct {
    uint8_t *at;
    int bb;
} Fix;
/* What leaves the code: in eax, kind << 28 | number. */
enum { X_EXIT, X_INDIRECT, X_BUDGET, X_TERM, X_EVENT };

struct Jit {
    JitConfig cfg;
    const R2Blocks *blocks;
    void **unit; /* by block */
    Asm a;
    uint8_t *code, *single;                 /* where code is written; single blocks go to the end */
    int64_t exec;                           /* from there to where it runs */
    uint8_t *th_slow[2], *c_exit, *c_table; /* [1]: xmm registers are in use */
    uint32_t (*enter)(R2Frame *f, void *code);
    R2Frame *f;
    uint32_t left; /* exit that was taken last */
    struct {
        Site *items;
        size_t n, cap;
    } sites;
    struct {
        Entry *items;
        size_t n, cap;
    } entries;
    struct {
        Exit *items;
        size_t n, cap;
    } exits;
    struct {
        bool is_there;
        IrBlock *block; /* the one that is alone */
        IrOp op[IR_BLOCK_MAX_OPS];
        size_t sites, entries, exits;
    } alone;
    size_t nunits;

    /* of the region being made */
    Bb bb[MAX_BBS];
    unsigned nbbs;
    int16_t home[NS]; /* -1: the frame */
    bool is_pin[NS], is_fp[NS];
    bool has_xmm;
    /* of the point being emitted */
    Val val[NS];
    Set away, dirty; /* away: val is not V_HOME */
    unsigned k, q;   /* block, op */
    bool is_generic, group_slot;
    Group group[NS];
    int group_owner[2];
    struct {
        Stub *items;
        size_t n, cap;
    } stubs;
    struct {
        Fix *items;
        size_t n, cap;
    } fixes;
};
/* region.c */
bool region_form(Jit *j, uint64_t pc); /* false: no block there */
void region_one(Jit *j, const IrBlock *b);
void region_allocate(Jit *j);
void region_analyse(Jit *j);
unsigned op_sources(const IrOp *o, Slot out[3]);
bool op_may_leave(const IrOp *o);
/* emit.c */
uint8_t *region_emit(Jit *j, uint64_t pc); /* returns the entry, where it is written */
void store_home(Jit *j, unsigned i);
void load_home(Jit *j, unsigned i);
#endif
