/* SPDX-License-Identifier: Apache-2.0
 * fp_test.c - floating point of riscv64 by single instructions. The arithmetic itself is tested in softfp. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/rig.h"

#include <math.h>
#include <string.h>

enum { A0 = 10, A1 = 11, F0 = 0, F1 = 1, F2 = 2, F3 = 3, OP_FP = 0x53, LOAD_FP = 0x07, STORE_FP = 0x27, DYN = 7 };
enum { FFLAGS = 1, FRM = 2, FCSR = 3, SSTATUS = 0x100, MSTATUS = 0x300 };
enum { S, D, H = 2 }; /* fmt */
enum { OFF, INITIAL, CLEAN, DIRTY };
#define FS(n)   ((uint64_t)(n) << 13)
#define BOX     0xffffffff00000000ull
#define BOX16   0xffffffffffff0000ull
#define ONE_S   (BOX | 0x3f800000)
#define NAN_S   (BOX | 0x7fc00000)
#define ONE_D   0x3ff0000000000000ull
#define THREE_D 0x4008000000000000ull
#define SIGN    (1ull << 63)
/* funct5 of OP-FP with fmt (Unpriv 20.6 to 20.9, 21.4 to 21.7) */
#define FADD(fmt, rd, a, b, rm)      ENC_R((fmt), b, a, rm, rd, OP_FP)
#define FDIV(fmt, rd, a, b, rm)      ENC_R(12 | (fmt), b, a, rm, rd, OP_FP)
#define FSGNJ(fmt, rd, a, b, how)    ENC_R(16 | (fmt), b, a, how, rd, OP_FP)
#define FMIN(fmt, rd, a, b, how)     ENC_R(20 | (fmt), b, a, how, rd, OP_FP)
#define FCMP(fmt, rd, a, b, how)     ENC_R(80 | (fmt), b, a, how, rd, OP_FP)   /* how: 0 le, 1 lt, 2 eq */
#define FTOI(fmt, rd, a, kind, rm)   ENC_R(96 | (fmt), kind, a, rm, rd, OP_FP) /* kind: 0 w, 1 wu, 2 l, 3 lu */
#define ITOF(fmt, rd, a, kind, rm)   ENC_R(104 | (fmt), kind, a, rm, rd, OP_FP)
#define FCVT(to, from, rd, a, rm)    ENC_R(32 | (to), from, a, rm, rd, OP_FP)
#define FMV_X(fmt, rd, a)            ENC_R(112 | (fmt), 0, a, 0, rd, OP_FP)
#define FCLASS(fmt, rd, a)           ENC_R(112 | (fmt), 0, a, 1, rd, OP_FP)
#define FMV_F(fmt, rd, a)            ENC_R(120 | (fmt), 0, a, 0, rd, OP_FP)
#define FMADD(fmt, rd, a, b, c, how) /* how: 0 fmadd, 4 fmsub, 8 fnmsub, 12 fnmadd */                                  \
    ((uint32_t)(c) << 27 | (uint32_t)(fmt) << 25 | (uint32_t)(b) << 20 | (uint32_t)(a) << 15 | DYN << 12 |             \
     (uint32_t)(rd) << 7 | 0x43 | (how))

static Rig *rig(unsigned fs)
{
    static Rig g;
    rig_open(&g, false, NULL);
    riscv_csr_write(&g.r, MSTATUS, FS(fs), 0);
    return &g;
}

static unsigned fs_of(const Rig *g)
{
    bool is_dirty = g->r.mstatus >> 63;
    unsigned fs = g->r.mstatus >> 13 & 3;
    CHECK_INT(is_dirty, fs == DIRTY);
    return fs;
}

static uint64_t x_after(Rig *g, uint32_t insn) /* a0 */
{
    CHECK_INT(rig_step(g, insn), RIG_NEXT);
    return g->r.x[A0];
}

static uint64_t f_after(Rig *g, uint32_t insn) /* f0 */
{
    CHECK_INT(rig_step(g, insn), RIG_NEXT);
    return g->r.fpr[F0];
}

/* One of each kind: of what may change floating-point state, and of what only looks. */
static const uint32_t changing[] = {ENC_I(0, 0, 2, F0, LOAD_FP),
                                    ENC_I(0, 0, 3, F0, LOAD_FP),
                                    0x2188, /* c.fld fa0, 0(a1) */
                                    FADD(S, F0, F1, F2, DYN),
                                    FADD(D, F0, F1, F2, 0),
                                    FMADD(D, F0, F1, F2, F3, 0),
                                    FSGNJ(D, F0, F1, F1, 0),
                                    FSGNJ(S, F0, F1, F2, 2),
                                    FMIN(D, F0, F1, F2, 0),
                                    FCMP(D, A0, F1, F2, 2),
                                    FTOI(D, A0, F1, 0, 1),
                                    ITOF(D, F0, A0, 0, 7),
                                    FCVT(S, D, F0, F1, 7),
                                    FMV_F(D, F0, A0)};
static const uint32_t looking[] = {FMV_X(S, A0, F1), FMV_X(D, A0, F1), FCLASS(D, A0, F1), ENC_S(0, F1, 0, 2) ^ 4,
                                   ENC_S(0, F1, 0, 3) ^ 4};

TEST(riscv64_fp, with_fs_off_instructions_and_csrs_are_illegal)
{
    for (size_t i = 0; i < ARRAY_LEN(changing) + ARRAY_LEN(looking) + 3; i++) {
        size_t at = i - ARRAY_LEN(changing);
        uint32_t w = i < ARRAY_LEN(changing)   ? changing[i]
                     : at < ARRAY_LEN(looking) ? looking[at]
                                               : CSRRS(A0, FFLAGS + at - ARRAY_LEN(looking), 0);
        Rig *g = rig(OFF);
        CHECK_INT(rig_step(g, w), RIG_TRAP);
        CHECK_INT(g->r.f.trap.cause, CAUSE_ILLEGAL);
        CHECK_INT(fs_of(g), OFF);
    }
}

TEST(riscv64_fp, without_f_nothing_turns_it_on)
{
    static Rig g;
    rig_open(&g, false, "rv64imac");
    riscv_csr_write(&g.r, MSTATUS, FS(DIRTY), 0);
    CHECK_INT(fs_of(&g), OFF);
    CHECK_INT(rig_step(&g, FADD(S, F0, F1, F2, DYN)), RIG_TRAP);
    CHECK_INT(rig_step(&g, CSRRS(A0, FCSR, 0)), RIG_TRAP);
    rig_open(&g, false, "rv64imafc,zfh=off");
    riscv_csr_write(&g.r, MSTATUS, FS(DIRTY), 0);
    CHECK_INT(rig_step(&g, FADD(S, F0, F1, F2, DYN)), RIG_NEXT);
    CHECK_INT(rig_step(&g, FADD(D, F0, F1, F2, DYN)), RIG_TRAP);
    CHECK_INT(rig_step(&g, 0x2188), RIG_TRAP); /* c.fld */
    CHECK_INT(rig_step(&g, FADD(H, F0, F1, F2, DYN)), RIG_TRAP);
    CHECK_INT(rig_step(&g, FMV_X(H, A0, F1)), RIG_NEXT);      /* Zfhmin */
    CHECK_INT(rig_step(&g, FCVT(D, H, F0, F1, 7)), RIG_TRAP); /* of D too */
}

TEST(riscv64_fp, what_may_change_state_makes_fs_dirty_once_and_ends_its_block)
{
    for (size_t i = 0; i < ARRAY_LEN(changing); i++) {
        for (unsigned fs = INITIAL; fs < DIRTY; fs++) {
            Rig *g = rig(fs);
            g->r.x[A1] = RIG_BASE;
            CHECK_INT(rig_step(g, changing[i] | (i < 2 ? A1 << 15 : 0)), RIG_SYNC);
            CHECK_INT(fs_of(g), DIRTY);
            g->r.f.pc = RIG_PC;
            CHECK_INT(rig_step(g, changing[i] | (i < 2 ? A1 << 15 : 0)), RIG_NEXT);
        }
    }
}

TEST(riscv64_fp, what_only_looks_leaves_fs)
{
    for (size_t i = 0; i < ARRAY_LEN(looking); i++) {
        Rig *g = rig(CLEAN);
        g->r.x[A1] = RIG_BASE;
        CHECK_INT(rig_step(g, looking[i] | (i > 2 ? A1 << 15 : 0)), RIG_NEXT);
        CHECK_INT(fs_of(g), CLEAN);
    }
    Rig *g = rig(INITIAL);
    CHECK_INT(rig_step(g, CSRRS(A0, FCSR, 0)), RIG_NEXT);
    CHECK_INT(fs_of(g), INITIAL);
    CHECK_INT(rig_step(g, CSRRW(0, FRM, A0)), RIG_SYNC);
    CHECK_INT(fs_of(g), DIRTY);
}

TEST(riscv64_fp, a_load_that_faults_changes_neither_register_nor_fs)
{
    Rig *g = rig(CLEAN);
    g->r.fpr[F0] = 5;
    CHECK_INT(rig_step(g, ENC_I(0, 0, 2, F0, LOAD_FP)), RIG_TRAP);
    CHECK_INT(g->r.f.trap.cause, CAUSE_LOAD_ACCESS);
    CHECK_INT(g->r.fpr[F0], 5);
    CHECK_INT(fs_of(g), CLEAN);
}

TEST(riscv64_fp, in_dirty_mode_arithmetic_is_one_operation)
{
    static const uint32_t words[] = {FADD(D, F0, F1, F2, DYN), FADD(S, F0, F1, F2, DYN), FMADD(D, F0, F1, F2, F3, 0),
                                     FSGNJ(D, F0, F1, F1, 0),  FSGNJ(D, F0, F1, F1, 1),  FCMP(D, A0, F1, F2, 1),
                                     ITOF(D, F0, A0, 0, 0),    FTOI(D, A0, F1, 2, 1),    FCVT(D, S, F0, F1, 0)};
    Rig *g = rig(DIRTY);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        rig_translate(g, words[i]);
        CHECK_INT(g->block.nops, 2); /* and the jump */
    }
}

TEST(riscv64_fp, a_reserved_rounding_mode_is_illegal_in_the_instruction_and_in_frm)
{
    for (unsigned rm = 0; rm < 8; rm++) {
        Rig *g = rig(DIRTY);
        CHECK_INT(rig_step(g, FADD(D, F0, F1, F2, rm)), rm == 5 || rm == 6 ? RIG_TRAP : RIG_NEXT);
        riscv_csr_write(&g->r, FRM, rm, 0);
        CHECK_INT(riscv_csr_read(&g->r, FRM, 0), rm); /* WARL: holds any (Unpriv 20.2) */
        CHECK_INT(rig_step(g, FADD(D, F0, F1, F2, DYN)), rm > 4 ? RIG_TRAP : RIG_NEXT);
        CHECK_INT(rig_step(g, FADD(D, F0, F1, F2, 1)), RIG_NEXT);
        CHECK_INT(rig_step(g, FSGNJ(D, F0, F1, F2, 0)), RIG_NEXT);
    }
}

TEST(riscv64_fp, rounding_is_that_of_the_instruction_or_of_frm)
{
    static const uint64_t third[] = {0x3fd5555555555555, 0x3fd5555555555555, 0x3fd5555555555555, 0x3fd5555555555556,
                                     0x3fd5555555555555};
    Rig *g = rig(DIRTY);
    for (unsigned rm = 0; rm < 5; rm++) {
        g->r.fpr[F1] = ONE_D;
        g->r.fpr[F2] = THREE_D;
        riscv_csr_write(&g->r, FCSR, (rm ^ 1) << 5, 0);
        CHECK_INT(f_after(g, FDIV(D, F0, F1, F2, rm)), third[rm]);
        CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), 1); /* NX */
        riscv_csr_write(&g->r, FRM, rm, 0);
        CHECK_INT(f_after(g, FDIV(D, F0, F1, F2, DYN)), third[rm]);
    }
}

TEST(riscv64_fp, a_write_of_fflags_is_a_move_once_fs_is_dirty)
{
    Rig *g = rig(INITIAL);
    g->r.x[A0] = 0xff;
    CHECK_INT(rig_step(g, CSRRW(0, FFLAGS, A0)), RIG_SYNC);
    CHECK_INT(fs_of(g), DIRTY);
    CHECK_INT(g->r.fflags, 0x1f);
    g->r.x[A0] = 0x22;
    CHECK_INT(x_after(g, CSRRW(A0, FFLAGS, A0)), 0x1f);
    CHECK_INT(g->r.fflags, 2);
    g->r.x[A0] = 0x7a;
    CHECK_INT(rig_step(g, CSRRW(0, FRM, A0)), RIG_SYNC); /* the mode key has it */
    CHECK_INT(g->r.frm, 2);
}

TEST(riscv64_fp, fcsr_is_frm_and_fflags)
{
    Rig *g = rig(DIRTY);
    riscv_csr_write(&g->r, FCSR, ~0ull, 0);
    CHECK_INT(riscv_csr_read(&g->r, FCSR, 0), 0xff);
    riscv_csr_write(&g->r, FFLAGS, 0x20, 0);
    CHECK_INT(riscv_csr_read(&g->r, FCSR, 0), 0xe0);
    riscv_csr_write(&g->r, FRM, 0xfa, 0);
    riscv_csr_write(&g->r, FFLAGS, 0x15, 0);
    CHECK_INT(riscv_csr_read(&g->r, FCSR, 0), 0x55);
    CHECK_INT(riscv_csr_read(&g->r, FRM, 0), 2);
    CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), 0x15);
}

TEST(riscv64_fp, narrower_values_are_boxed_and_what_is_not_is_a_nan)
{
    Rig *g = rig(DIRTY);
    g->r.fpr[F1] = g->r.fpr[F2] = ONE_S;
    CHECK_INT(f_after(g, FADD(S, F0, F1, F2, DYN)), BOX | 0x40000000);
    g->r.fpr[F2] = ONE_S & ~(1ull << 40);
    CHECK_INT(f_after(g, FADD(S, F0, F1, F2, DYN)), NAN_S);
    CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), 0); /* quiet */
    CHECK_INT(f_after(g, FSGNJ(S, F0, F2, F2, 0)), NAN_S);
    CHECK_INT(f_after(g, FSGNJ(S, F0, F2, F2, 1)), NAN_S | 0x80000000);
    CHECK_INT(f_after(g, FSGNJ(S, F0, F1, F2, 1)), ONE_S | 0x80000000);
    CHECK_INT(x_after(g, FMV_X(S, A0, F2)), 0x3f800000); /* moves and stores transfer bits */
    CHECK_INT(x_after(g, FCLASS(S, A0, F2)), 1 << 9);
    CHECK_INT(f_after(g, FCVT(D, S, F0, F2, 0)), 0x7ff8000000000000);
    g->r.x[A0] = 0x123456783f800000;
    CHECK_INT(f_after(g, FMV_F(S, F0, A0)), ONE_S);
    CHECK_INT(f_after(g, FMV_F(H, F0, A0)), BOX16);
    g->r.x[A1] = RIG_BASE;
    rig_mem_set(g, RIG_BASE, 0x12345678c0000000);
    CHECK_INT(f_after(g, ENC_I(0, A1, 2, F0, LOAD_FP)), BOX | 0xc0000000);
    CHECK_INT(f_after(g, ENC_I(0, A1, 3, F0, LOAD_FP)), 0x12345678c0000000);
    CHECK_INT(f_after(g, ENC_I(2, A1, 1, F0, LOAD_FP)), BOX16 | 0xc000);
    CHECK_INT(x_after(g, FMV_X(H, A0, F0)), BOX16 | 0xc000); /* sign-extended */
    CHECK_INT(rig_step(g, ENC_S(8, F2, A1, 2) ^ 4), RIG_NEXT);
    CHECK_INT(rig_mem(g, RIG_BASE + 8), 0x3f800000);
}

TEST(riscv64_fp, signs_are_copied_turned_and_multiplied_and_nans_keep_their_payload)
{
    static const struct {
        uint64_t a, b, want[3];
    } rows[] = {{ONE_D, SIGN, {ONE_D | SIGN, ONE_D, ONE_D | SIGN}},
                {ONE_D | SIGN, THREE_D, {ONE_D, ONE_D | SIGN, ONE_D | SIGN}},
                {ONE_D | SIGN, SIGN, {ONE_D | SIGN, ONE_D, ONE_D}},
                {0x7ff0000000000001, SIGN, {0xfff0000000000001, 0x7ff0000000000001, 0xfff0000000000001}}};
    Rig *g = rig(DIRTY);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned how = 0; how < 3; how++) {
            g->r.fpr[F1] = rows[i].a;
            g->r.fpr[F2] = rows[i].b;
            CHECK_INT(f_after(g, FSGNJ(D, F0, F1, F2, how)), rows[i].want[how]);
            g->r.fpr[F0] = rows[i].a; /* the destination is an operand */
            CHECK_INT(f_after(g, FSGNJ(D, F0, F0, F2, how)), rows[i].want[how]);
            g->r.fpr[F0] = rows[i].b;
            CHECK_INT(f_after(g, FSGNJ(D, F0, F1, F0, how)), rows[i].want[how]);
        }
    }
    g->r.fpr[F1] = ONE_D | SIGN;
    CHECK_INT(f_after(g, FSGNJ(D, F0, F1, F1, 0)), ONE_D | SIGN);
    CHECK_INT(f_after(g, FSGNJ(D, F0, F1, F1, 1)), ONE_D);
    CHECK_INT(f_after(g, FSGNJ(D, F0, F1, F1, 2)), ONE_D);
    CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), 0);
}

TEST(riscv64_fp, the_four_fused_forms_turn_product_and_addend)
{
    static const uint64_t want[] = {0x401c000000000000, 0x4014000000000000, 0xc014000000000000, 0xc01c000000000000};
    Rig *g = rig(DIRTY);
    for (unsigned i = 0; i < 4; i++) { /* 2 * 3 and 1 */
        g->r.fpr[F1] = 0x4000000000000000;
        g->r.fpr[F2] = THREE_D;
        g->r.fpr[F3] = ONE_D;
        CHECK_INT(f_after(g, FMADD(D, F0, F1, F2, F3, 4 * i)), want[i]);
        g->r.fpr[F1] = BOX | 0x40000000;
        g->r.fpr[F2] = BOX | 0x40400000;
        g->r.fpr[F3] = ONE_S;
        uint64_t sign = want[i] & SIGN ? 0x80000000 : 0, value = i % 3 ? 0x40a00000 : 0x40e00000;
        CHECK_INT(f_after(g, FMADD(S, F0, F1, F2, F3, 4 * i)), BOX | sign | value);
    }
    g->r.fpr[F1] = 0x7ff0000000000000; /* inf * 0 + NaN is invalid (Unpriv 20.6) */
    g->r.fpr[F2] = 0;
    g->r.fpr[F3] = 0xfff8000000000001;
    CHECK_INT(f_after(g, FMADD(D, F0, F1, F2, F3, 0)), 0x7ff8000000000000);
    CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), 0x10);
}

TEST(riscv64_fp, minimum_and_maximum_prefer_numbers_and_know_the_signs_of_zeros)
{
    static const struct {
        uint64_t a, b, min, max, flags;
    } rows[] = {{0, SIGN, SIGN, 0, 0},
                {SIGN, 0, SIGN, 0, 0},
                {0x7ff8000000000000, ONE_D, ONE_D, ONE_D, 0},
                {ONE_D, 0x7ff0000000000001, ONE_D, ONE_D, 0x10},
                {0xfff8000000000001, 0x7ff8000000000002, 0x7ff8000000000000, 0x7ff8000000000000, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Rig *g = rig(DIRTY);
        g->r.fpr[F1] = rows[i].a;
        g->r.fpr[F2] = rows[i].b;
        CHECK_INT(f_after(g, FMIN(D, F0, F1, F2, 0)), rows[i].min);
        CHECK_INT(f_after(g, FMIN(D, F0, F1, F2, 1)), rows[i].max);
        CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), rows[i].flags);
    }
}

TEST(riscv64_fp, comparisons_with_a_nan_are_false_and_only_eq_is_quiet)
{
    Rig *g = rig(DIRTY);
    g->r.fpr[F1] = 0x7ff8000000000000;
    CHECK_INT(x_after(g, FCMP(D, A0, F1, F1, 2)), 0);
    CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), 0);
    CHECK_INT(x_after(g, FCMP(D, A0, F1, F1, 1)), 0);
    CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), 0x10);
    g->r.fpr[F1] = SIGN;
    g->r.fpr[F2] = 0;
    CHECK_INT(x_after(g, FCMP(D, A0, F1, F2, 2)), 1);
    CHECK_INT(x_after(g, FCMP(D, A0, F1, F2, 1)), 0);
    CHECK_INT(x_after(g, FCMP(D, A0, F1, F2, 0)), 1);
    CHECK_INT(rig_step(g, FCMP(D, 0, F1, F2, 0)), RIG_NEXT); /* x0 */
    CHECK_INT(g->r.x[0], 0);
}

TEST(riscv64_fp, integers_out_of_range_are_the_nearest_limit)
{
    static const struct {
        uint64_t a, want[4]; /* w wu l lu: Unpriv table 29 */
    } rows[] = {
        {0xfff0000000000000, {0xffffffff80000000, 0, SIGN, 0}},
        {0x7ff0000000000000, {0x7fffffff, ~0ull, ~SIGN, ~0ull}},
        {0xfff8000000000000, {0x7fffffff, ~0ull, ~SIGN, ~0ull}}, /* NaN */
        {0xbff0000000000000, {~0ull, 0, ~0ull, 0}},
        {0x41efffffffe00000, {0x7fffffff, ~0ull, 0xffffffff, 0xffffffff}},
        {0x43e0000000000000, {0x7fffffff, ~0ull, ~SIGN, SIGN}},
    };
    Rig *g = rig(DIRTY);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            g->r.fpr[F1] = rows[i].a;
            CHECK_INT(x_after(g, FTOI(D, A0, F1, kind, 1)), rows[i].want[kind]);
        }
    }
    g->r.x[A0] = ~0ull;
    CHECK_INT(f_after(g, ITOF(D, F0, A0, 1, 7)), 0x41efffffffe00000); /* wu takes 32 bits */
    CHECK_INT(f_after(g, ITOF(D, F0, A0, 0, 7)), ONE_D | SIGN);
    CHECK_INT(f_after(g, ITOF(S, F0, A0, 3, 1)), BOX | 0x5f7fffff);
    CHECK_INT(f_after(g, ITOF(H, F0, A0, 3, 7)), BOX16 | 0x7c00); /* overflows */
}

/* ---- Zfa (Unpriv 25) ---- */
#define FLI(fmt, rd, n)           ENC_R(120 | (fmt), 1, n, 0, rd, OP_FP)
#define FROUND(fmt, rd, a, x, rm) ENC_R(32 | (fmt), 4 + (x), a, rm, rd, OP_FP)
#define FCVTMOD(rd, a)            ENC_R(97, 8, a, 1, rd, OP_FP)

TEST(riscv64_fp, constants_are_loaded_by_their_number)
{
    static const struct {
        unsigned n;
        uint64_t d, s, h;
    } rows[] = {{0, ONE_D | SIGN, 0xbf800000, 0xbc00},
                {1, 0x0010000000000000, 0x00800000, 0x0400},
                {2, 0x3ef0000000000000, 0x37800000, 0x0100},
                {3, 0x3f00000000000000, 0x38000000, 0x0200},
                {11, 0x3fdc000000000000, 0x3ee00000, 0x3700},
                {16, ONE_D, 0x3f800000, 0x3c00},
                {22, THREE_D, 0x40400000, 0x4200},
                {28, 0x40e0000000000000, 0x47000000, 0x7800},
                {29, 0x40f0000000000000, 0x47800000, 0x7c00},
                {30, 0x7ff0000000000000, 0x7f800000, 0x7c00},
                {31, 0x7ff8000000000000, 0x7fc00000, 0x7e00}};
    Rig *g = rig(DIRTY);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(f_after(g, FLI(D, F0, rows[i].n)), rows[i].d);
        CHECK_INT(f_after(g, FLI(S, F0, rows[i].n)), BOX | rows[i].s);
        CHECK_INT(f_after(g, FLI(H, F0, rows[i].n)), BOX16 | rows[i].h);
    }
    CHECK_INT(riscv_csr_read(&g->r, FFLAGS, 0), 0);
    rig_open(g, false, "rv64gc,zfa=off");
    riscv_csr_write(&g->r, MSTATUS, FS(DIRTY), 0);
    CHECK_INT(rig_step(g, FLI(D, F0, 0)), RIG_TRAP);
}

TEST(riscv64_fp, a_modular_conversion_is_the_integer_modulo_2_to_the_32)
{
    Rig *g = rig(DIRTY);
    uint64_t seed = 1;
    for (unsigned i = 0; i < 20000; i++) {
        double x;
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t bits = (seed & 0x800fffffffffffff) | (1023 - 4 + (seed >> 20) % 100) << 52;
        memcpy(&x, &bits, sizeof x);
        g->r.fpr[F1] = bits;
        (void)x_after(g, FTOI(D, A0, F1, 0, 1));
        uint64_t flags = g->r.fflags;
        g->r.fflags = 0;
        CHECK_INT(x_after(g, FCVTMOD(A0, F1)), (int32_t)(uint32_t)(int64_t)fmod(trunc(x), 0x1p32));
        CHECK_INT(g->r.fflags, flags);
        g->r.fflags = 0;
    }
    static const uint64_t none[] = {0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        g->r.fpr[F1] = none[i];
        g->r.fflags = 0;
        CHECK_INT(x_after(g, FCVTMOD(A0, F1)), 0);
        CHECK_INT(g->r.fflags, FP_NV);
    }
}

TEST(riscv64_fp, rounding_to_an_integer_raises_nx_in_one_form_only)
{
    Rig *g = rig(DIRTY);
    g->r.fpr[F1] = 0xc004000000000000; /* -2.5 */
    CHECK_INT(f_after(g, FROUND(D, F0, F1, 0, 0)), 0xc000000000000000);
    CHECK_INT(f_after(g, FROUND(D, F0, F1, 0, 2)), THREE_D | SIGN);
    CHECK_INT(g->r.fflags, 0);
    CHECK_INT(f_after(g, FROUND(D, F0, F1, 1, 4)), THREE_D | SIGN);
    CHECK_INT(g->r.fflags, FP_NX);
    g->r.fpr[F1] = 0xbfe0000000000000; /* -0.5 */
    CHECK_INT(f_after(g, FROUND(D, F0, F1, 0, 1)), SIGN);
}

TEST(riscv64_fp, the_other_minimum_is_a_nan_if_one_is_there_and_quiet_comparisons_are)
{
    Rig *g = rig(DIRTY);
    g->r.fpr[F1] = 0xfff8000000000001;
    g->r.fpr[F2] = ONE_D;
    CHECK_INT(f_after(g, FMIN(D, F0, F1, F2, 2)), 0x7ff8000000000000);
    CHECK_INT(f_after(g, FMIN(D, F0, F2, F1, 3)), 0x7ff8000000000000);
    CHECK_INT(x_after(g, FCMP(D, A0, F1, F2, 4)), 0);
    CHECK_INT(x_after(g, FCMP(D, A0, F1, F2, 5)), 0);
    CHECK_INT(g->r.fflags, 0);
    g->r.fpr[F1] = 0;
    CHECK_INT(f_after(g, FMIN(D, F0, F1, F2, 2)), 0);
    CHECK_INT(f_after(g, FMIN(D, F0, F1, F2, 3)), ONE_D);
    CHECK_INT(x_after(g, FCMP(D, A0, F2, F2, 4)), 1);
    CHECK_INT(x_after(g, FCMP(D, A0, F1, F2, 5)), 1);
}

TEST(riscv64_fp, registers_of_the_waist_leave_fs_and_are_as_wide_as_the_cpu_has)
{
    Rig *g = rig(CLEAN);
    RegId fcsr = reg_find(GUEST_riscv64, "fcsr")->id, f7 = reg_find(GUEST_riscv64, "f7")->id;
    uint64_t value = 0x7f;
    CHECK_INT(guest_riscv64.reg_set(&g->r.f, fcsr, &value, NULL), 0);
    CHECK_INT(riscv_csr_read(&g->r, FCSR, 0), 0x7f);
    value = 0x12345678;
    CHECK_INT(guest_riscv64.reg_set(&g->r.f, f7, &value, NULL), 0);
    CHECK_INT(g->r.fpr[7], 0x12345678);
    CHECK_INT(fs_of(g), CLEAN);
    rig_open(g, false, "rv64imafc");
    CHECK_INT(guest_riscv64.reg_set(&g->r.f, f7, &value, NULL), 0);
    CHECK_INT(g->r.fpr[7], BOX | 0x12345678);
    CHECK_INT(guest_riscv64.reg_get(&g->r.f, f7, &value, NULL), 0);
    CHECK_INT(value, 0x12345678);
}
