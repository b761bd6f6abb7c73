/* SPDX-License-Identifier: Apache-2.0
 * guest.c - the guest that programs are of: registers, a rounding mode, flags, and a helper of each kind of effect. */
#include "sim/crosscheck/world.h"
#include "sim/engines.h"
#include "sim/jit/jit.h"

static CrossFrame *cross(Frame *f)
{
    return (CrossFrame *)(void *)f;
}

static uint64_t help_hash(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)f;
    return (a * 31 + b * 17 + c) ^ (uint64_t)imm;
}

static uint64_t help_check(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b, (void)c;
    if ((a & 7) == (uint64_t)imm) {
        frame_raise(f, 2, a);
        return 0;
    }
    return a + 1;
}

static uint64_t help_peek(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    const CrossFrame *t = cross(f);
    (void)b, (void)c;
    uint64_t d = (uint64_t)imm;
    for (unsigned i = 0; i < CROSS_REGS; i++) {
        d = d * 31 + t->r[i] * (1 + (a & 1));
    }
    return d * 31 + t->fp_flags;
}

static uint64_t help_poke(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)c, (void)imm;
    cross(f)->r[a % CROSS_BASES] = b;
    return b + 1;
}

static uint64_t help_flags(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b, (void)c, (void)imm;
    uint64_t old = cross(f)->fp_flags;
    cross(f)->fp_flags |= a & 31;
    return old;
}

static uint64_t help_count(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a, (void)b, (void)c, (void)imm;
    return frame_insns(f);
}

static uint64_t help_round(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b, (void)c, (void)imm;
    CrossFrame *t = cross(f);
    uint64_t old = t->fp_flags | t->fp_rm << 5;
    t->fp_rm = (a & 0xff) % (RM_RMM + 1);
    t->fp_flags = a >> 8 & 31;
    return old;
}

static const Helper helpers[CROSS_HELPERS] = {
    [HELP_HASH] = {"hash", help_hash, 0, 3},
    [HELP_CHECK] = {"check", help_check, EFF_EVENT, 1},
    [HELP_PEEK] = {"peek", help_peek, EFF_READS_FRAME | EFF_FP_FLAGS, 1},
    [HELP_POKE] = {"poke", help_poke, EFF_WRITES_FRAME, 2},
    [HELP_FLAGS] = {"flags", help_flags, EFF_FP_FLAGS, 1},
    [HELP_COUNT] = {"count", help_count, EFF_READS_FRAME | EFF_ENDS, 0},
    [HELP_ROUND] = {"round", help_round, EFF_READS_FRAME | EFF_WRITES_FRAME | EFF_FP_FLAGS | EFF_ENDS, 1},
};
static const IrSlotInfo slots[] = {
    {"r0", CROSS_REG(0)},         {"r1", CROSS_REG(1)},   {"r2", CROSS_REG(2)},   {"r3", CROSS_REG(3)},
    {"r4", CROSS_REG(4)},         {"r5", CROSS_REG(5)},   {"r6", CROSS_REG(6)},   {"r7", CROSS_REG(7)},
    {"r8", CROSS_REG(8)},         {"r9", CROSS_REG(9)},   {"r10", CROSS_REG(10)}, {"r11", CROSS_REG(11)},
    {"r12", CROSS_REG(12)},       {"r13", CROSS_REG(13)}, {"r14", CROSS_REG(14)}, {"r15", CROSS_REG(15)},
    {"fp_flags", CROSS_FP_FLAGS}, {"fp_rm", CROSS_FP_RM},
};
static const Slot hot[] = {CROSS_REG(12), CROSS_REG(0), CROSS_REG(5), CROSS_REG(1),
                           CROSS_REG(13), CROSS_REG(7), CROSS_REG(2), CROSS_REG(3)};
#define GUEST(name_, mode)                                                                                             \
    {                                                                                                                  \
        .name = (name_), .frame_bytes = sizeof(CrossFrame), .slots = slots, .nslots = ARRAY_LEN(slots),                \
        .helpers = helpers, .nhelpers = CROSS_HELPERS, .fp_flags = CROSS_FP_FLAGS, .fp_rm = CROSS_FP_RM,               \
        .fp_mode = (mode), .hot = hot, .nhot = ARRAY_LEN(hot)                                                          \
    }

const IrGuest *cross_guest(CrossGuest g)
{
    static const IrGuest guests[CROSS_GUESTS] = {
        [CROSS_RISCV] = GUEST("cross-riscv", FP_MODE_RISCV),
        [CROSS_SSE] = GUEST("cross-sse", FP_MODE_X86_SSE),
        [CROSS_ARM] = GUEST("cross-arm", FP_MODE_AARCH64 | FPM_FZ_IN | FPM_FZ_OUT),
    };
    return &guests[g];
}

/* Regions that are made beside the vcpu come at once, soon or late, but always at the same time in the same program. */
unsigned jit_delay(uint64_t gva)
{
    unsigned n = (unsigned)(gva * 0x9e3779b97f4a7c15 >> 60);
    return n < 8 ? n / 4 : n < 14 ? n : 30 * n;
}

const Engine *cross_engine(unsigned n)
{
    const char *why;
#ifdef JIT_HAS_HOST
    static const Engine *const hot_at_once[] = {&engine_jit_eager, &engine_hybrid_eager, &engine_hybrid_beside};
    _Static_assert(ARRAY_LEN(hot_at_once) == CROSS_ENGINES - SIM_ENGINES, "all of them");
    if (n >= SIM_ENGINES) {
        return hot_at_once[n - SIM_ENGINES];
    }
#endif
    return n < SIM_ENGINES ? engine_of((SimEngine)n, &why) : NULL;
}
