/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/rig.h"

enum { A0 = 10, A1 = 11, A2 = 12, OP = 0x33, OP_IMM = 0x13, OP_W = 0x3b, OP_IMM_W = 0x1b };

typedef struct {
    uint32_t insn;
    uint64_t a1, a2, want;
} Row;

static void check_rows(const Row *rows, size_t n)
{
    static Rig g;
    for (size_t i = 0; i < n; i++) {
        rig_open(&g, false, NULL);
        g.r.x[A1] = rows[i].a1;
        g.r.x[A2] = rows[i].a2;
        CHECK_INT(rig_step(&g, rows[i].insn), RIG_NEXT);
        CHECK_INT(g.r.x[A0], rows[i].want);
        CHECK_INT(rig_step(&g, rows[i].insn & ~0xf80u), RIG_NEXT); /* to x0 */
        CHECK_INT(g.r.f.zero | g.r.x[0], 0);
    }
}

TEST(riscv64_bits, addresses_of_array_elements)
{
    static const Row rows[] = {
        {ENC_R(0x10, A2, A1, 2, A0, OP), 1ull << 63 | 5, 100, 110},                  /* sh1add: bits fall out */
        {ENC_R(0x10, A2, A1, 4, A0, OP), -1ull, 1, -3ull},                           /* sh2add */
        {ENC_R(0x10, A2, A1, 6, A0, OP), 3, -25ull, -1ull},                          /* sh3add */
        {ENC_R(0x10, A2, A1, 2, A0, OP_W), 0xffffffff80000001, 1, 0x100000003},      /* sh1add.uw */
        {ENC_R(0x10, A2, A1, 4, A0, OP_W), 0xfedcba98ffffffff, 0, 0x3fffffffc},      /* sh2add.uw */
        {ENC_R(0x10, A2, A1, 6, A0, OP_W), 0x1ffffffff, 8, 0x800000000},             /* sh3add.uw */
        {ENC_R(0x04, A2, A1, 0, A0, OP_W), 0xffffffffffffffff, 1, 0x100000000},      /* add.uw */
        {ENC_R(0x04, 0, A1, 0, A0, OP_W), 0xffffffff87654321, 0, 0x87654321},        /* zext.w */
        {ENC_I(0x080 | 63, A1, 1, A0, OP_IMM_W), 0xffffffff00000001, 0, 1ull << 63}, /* slli.uw 63 */
    };
    check_rows(rows, ARRAY_LEN(rows));
}

TEST(riscv64_bits, logic_with_an_inverted_operand_counts_and_rotations)
{
    static const Row rows[] = {
        {ENC_R(0x20, A2, A1, 7, A0, OP), 0xff, 0x0f, 0xf0},                              /* andn */
        {ENC_R(0x20, A2, A1, 6, A0, OP), 0, 0x0f, ~0x0full},                             /* orn */
        {ENC_R(0x20, A2, A1, 4, A0, OP), 0xff, 0x0f, ~0xf0ull},                          /* xnor */
        {ENC_I(0x600, A1, 1, A0, OP_IMM), 0, 0, 64},                                     /* clz */
        {ENC_I(0x601, A1, 1, A0, OP_IMM), 0, 0, 64},                                     /* ctz */
        {ENC_I(0x602, A1, 1, A0, OP_IMM), -1ull, 0, 64},                                 /* cpop */
        {ENC_I(0x600, A1, 1, A0, OP_IMM_W), 0xffffffff00000000, 0, 32},                  /* clzw */
        {ENC_I(0x600, A1, 1, A0, OP_IMM_W), 0xffffffff00000001, 0, 31},                  /* clzw */
        {ENC_I(0x601, A1, 1, A0, OP_IMM_W), 0xffffffff00000000, 0, 32},                  /* ctzw */
        {ENC_I(0x602, A1, 1, A0, OP_IMM_W), 0xffffffff80000001, 0, 2},                   /* cpopw */
        {ENC_R(0x05, A2, A1, 4, A0, OP), -1ull, 1, -1ull},                               /* min */
        {ENC_R(0x05, A2, A1, 5, A0, OP), -1ull, 1, 1},                                   /* minu */
        {ENC_R(0x05, A2, A1, 6, A0, OP), -1ull, 1, 1},                                   /* max */
        {ENC_R(0x05, A2, A1, 7, A0, OP), -1ull, 1, -1ull},                               /* maxu */
        {ENC_I(0x604, A1, 1, A0, OP_IMM), 0x180, 0, -128ull},                            /* sext.b */
        {ENC_I(0x605, A1, 1, A0, OP_IMM), 0x18000, 0, -32768ull},                        /* sext.h */
        {ENC_R(0x04, 0, A1, 4, A0, OP_W), 0xabcd1234, 0, 0x1234},                        /* zext.h */
        {ENC_R(0x30, A2, A1, 1, A0, OP), 0x8000000000000001, 65, 3},                     /* rol */
        {ENC_R(0x30, A2, A1, 1, A0, OP), 5, 64, 5},                                      /* rol by 0 */
        {ENC_R(0x30, A2, A1, 5, A0, OP), 3, 1, 0x8000000000000001},                      /* ror */
        {ENC_I(0x600 | 63, A1, 5, A0, OP_IMM), 1, 0, 2},                                 /* rori */
        {ENC_R(0x30, A2, A1, 1, A0, OP_W), 0x40000000, 33, 0xffffffff80000000},          /* rolw */
        {ENC_R(0x30, A2, A1, 5, A0, OP_W), 0xf00000001, 1, 0xffffffff80000000},          /* rorw */
        {ENC_R(0x30, 0, A1, 5, A0, OP_IMM_W), 0x80000000, 0, 0xffffffff80000000},        /* roriw by 0 */
        {ENC_I(0x287, A1, 5, A0, OP_IMM), 0x0100800000ff0070, 0, 0xff00ff0000ff00ffull}, /* orc.b */
        {ENC_I(0x6b8, A1, 5, A0, OP_IMM), 0x0102030405060708, 0, 0x0807060504030201},    /* rev8 */
    };
    check_rows(rows, ARRAY_LEN(rows));
}

TEST(riscv64_bits, products_without_carries_single_bits_and_permutations)
{
    static const Row rows[] = {
        {ENC_R(0x05, A2, A1, 1, A0, OP), 7, 7, 21},                         /* clmul */
        {ENC_R(0x05, A2, A1, 3, A0, OP), -1ull, -1ull, 0x5555555555555555}, /* clmulh */
        {ENC_R(0x05, A2, A1, 2, A0, OP), -1ull, -1ull, 0xaaaaaaaaaaaaaaaa}, /* clmulr */
        {ENC_R(0x05, A2, A1, 2, A0, OP), 1ull << 63, 1, 1},                 /* clmulr */
        {ENC_R(0x24, A2, A1, 1, A0, OP), -1ull, 64, -2ull},                 /* bclr: 6 bits count */
        {ENC_R(0x24, A2, A1, 5, A0, OP), 1ull << 63, 63, 1},                /* bext */
        {ENC_R(0x34, A2, A1, 1, A0, OP), 0, 63, 1ull << 63},                /* binv */
        {ENC_R(0x14, A2, A1, 1, A0, OP), 0, 63, 1ull << 63},                /* bset */
        {ENC_I(0x480 | 63, A1, 1, A0, OP_IMM), -1ull, 0, -1ull >> 1},       /* bclri */
        {ENC_I(0x480 | 63, A1, 5, A0, OP_IMM), 1ull << 63, 0, 1},           /* bexti */
        {ENC_I(0x680 | 0, A1, 1, A0, OP_IMM), 1, 0, 0},                     /* binvi */
        {ENC_I(0x280 | 63, A1, 1, A0, OP_IMM), 1, 0, 1ull << 63 | 1},       /* bseti */
        {ENC_R(0x04, A2, A1, 4, A0, OP), 0xffffffff11111111, 0xffffffff22222222, 0x2222222211111111}, /* pack */
        {ENC_R(0x04, A2, A1, 7, A0, OP), 0xff11, 0xff22, 0x2211},                                     /* packh */
        {ENC_R(0x04, A2, A1, 4, A0, OP_W), 0xffff1111, 0xffff8222, 0xffffffff82221111},               /* packw */
        {ENC_I(0x687, A1, 5, A0, OP_IMM), 0x0102040810204080, 0, 0x8040201008040201},                 /* brev8 */
        {ENC_R(0x14, A2, A1, 4, A0, OP), 0x8877665544332211, 0x0001020304ff0807, 0x1122334455000088}, /* xperm8 */
        {ENC_R(0x14, A2, A1, 2, A0, OP), 0xfedcba9876543210, 0x0123456789abcdef, 0x0123456789abcdef}, /* xperm4 */
        {ENC_R(0x14, A2, A1, 2, A0, OP), 0x0123456789abcdef, 0x00000000000000f0, 0xffffffffffffff0f}, /* xperm4 */
        {ENC_R(0x07, A2, A1, 5, A0, OP), 5, 0, 0},                                                    /* czero.eqz */
        {ENC_R(0x07, A2, A1, 5, A0, OP), 5, 1ull << 63, 5},                                           /* czero.eqz */
        {ENC_R(0x07, A2, A1, 7, A0, OP), 5, 0, 5},                                                    /* czero.nez */
        {ENC_R(0x07, A2, A1, 7, A0, OP), 5, 1ull << 63, 0},                                           /* czero.nez */
        {0xcdf5c573, 5, 5, 0}, /* mop.r.31 a0, a1 */
        {0xcec5c573, 5, 5, 0}, /* mop.rr.7 a0, a1, a2 */
    };
    check_rows(rows, ARRAY_LEN(rows));
}

TEST(riscv64_bits, compressed_forms_of_them)
{
    static const struct {
        uint32_t insn;
        uint64_t a0, want;
    } rows[] = {{0x9d61, 0x1ff, 0xff},       /* c.zext.b a0 */
                {0x9d65, 0x80, -128ull},     /* c.sext.b */
                {0x9d69, 0x1ffff, 0xffff},   /* c.zext.h */
                {0x9d6d, 0x8000, -32768ull}, /* c.sext.h */
                {0x9d71, -1ull, 0xffffffff}, /* c.zext.w */
                {0x9d75, 0, -1ull},          /* c.not */
                {0x9d49, 7, 49},             /* c.mul a0, a0 */
                {0x6781, 7, 7}};             /* c.mop.15: writes nothing */
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        g.r.x[A0] = rows[i].a0;
        CHECK_INT(rig_step(&g, rows[i].insn), RIG_NEXT);
        CHECK_INT(g.r.f.pc, RIG_PC + 2);
        CHECK_INT(g.r.x[A0], rows[i].want);
    }
}

TEST(riscv64_bits, compressed_loads_and_stores_of_bytes_and_halfwords)
{
    static const struct {
        uint32_t insn;
        uint64_t a0, mem;
    } rows[] = {{0x81a8, 0x86, 0x8786858483828180},       /* c.lbu a0, 2(a1), of the second half */
                {0x85a8, 0x8786, 0x8786858483828180},     /* c.lhu a0, 2(a1) */
                {0x85e8, -0x787aull, 0x8786858483828180}, /* c.lh a0, 2(a1) */
                {0x89e8, 0x1234, 0x3486858483828180},     /* c.sb a0, 3(a1) */
                {0x8da8, 0x1234, 0x1234858483828180}};    /* c.sh a0, 2(a1) */
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        rig_mem_set(&g, RIG_BASE, 0x8786858483828180);
        g.r.x[A0] = 0x1234;
        g.r.x[A1] = RIG_BASE + 4;
        CHECK_INT(rig_step(&g, rows[i].insn), RIG_NEXT);
        CHECK_INT(g.r.x[A0], rows[i].a0);
        CHECK_INT(rig_mem(&g, RIG_BASE), rows[i].mem);
    }
}

TEST(riscv64_bits, what_is_off_traps_and_what_another_extension_has_as_well_does_not)
{
    static const struct {
        const char *cpu;
        uint32_t off, on;
    } rows[] = {
        {"rv64imac,zba=off", ENC_R(0x10, A2, A1, 2, A0, OP), ENC_R(0x24, A2, A1, 1, A0, OP)},
        {"rv64imac,zba=off", 0x9d71 /* c.zext.w */, 0x9d75},
        {"rv64imac,zbb=off", ENC_R(0x05, A2, A1, 4, A0, OP), ENC_R(0x20, A2, A1, 7, A0, OP)},
        {"rv64imac,zbb=off", 0x9d65 /* c.sext.b */, 0x9d61},
        {"rv64imac,zbb=off,zbkb=off", ENC_R(0x20, A2, A1, 7, A0, OP), ENC_R(0x05, A2, A1, 1, A0, OP)},
        {"rv64imac,zbkb=off", ENC_R(0x04, A2, A1, 4, A0, OP), ENC_R(0x30, A2, A1, 5, A0, OP)},
        {"rv64imac,zbc=off", ENC_R(0x05, A2, A1, 2, A0, OP), ENC_R(0x05, A2, A1, 3, A0, OP)},
        {"rv64imac,zbc=off,zbkc=off", ENC_R(0x05, A2, A1, 3, A0, OP), ENC_R(0x05, A2, A1, 4, A0, OP)},
        {"rv64imac,zbs=off", ENC_R(0x24, A2, A1, 1, A0, OP), ENC_R(0x05, A2, A1, 4, A0, OP)},
        {"rv64imac,zbkx=off", ENC_R(0x14, A2, A1, 4, A0, OP), ENC_R(0x14, A2, A1, 1, A0, OP)},
        {"rv64imac,zicond=off", ENC_R(0x07, A2, A1, 5, A0, OP), ENC_R(0x05, A2, A1, 4, A0, OP)},
        {"rv64imac,zimop=off", 0xcdf5c573, 0x9d61},
        {"rv64imac,zcmop=off", 0x6781, 0xcdf5c573},
        {"rv64imac,zcb=off", 0x9d61, ENC_R(0x10, A2, A1, 2, A0, OP)},
        {"rv64iac", 0x9d49 /* c.mul */, 0x9d61},
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, rows[i].cpu);
        CHECK_INT(rig_step(&g, rows[i].on), RIG_NEXT);
        CHECK_INT(rig_step(&g, rows[i].off), RIG_TRAP);
        CHECK_INT(g.r.f.trap.cause, CAUSE_ILLEGAL);
    }
}
