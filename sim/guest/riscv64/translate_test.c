/* SPDX-License-Identifier: Apache-2.0 */
#include "rv64_decode.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/riscv64/double/rig.h"

#include <string.h>

enum { A0 = 10, A1 = 11, A2 = 12, OP = 0x33, OP_IMM = 0x13, OP_W = 0x3b, LOAD = 0x03, AMO = 0x2f };

static uint64_t next_random(uint64_t *s) /* splitmix64 */
{
    uint64_t z = *s += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* A word near to instructions: every other time it is one of 32 bits, with random operands. */
static uint32_t random_word(uint64_t *s)
{
    uint64_t x = next_random(s);
    uint32_t w = (uint32_t)x | 3;
    const Rv64RowBits *bits = &rv64_row_bits[(x >> 33) % RV64_ROW_COUNT];
    return x >> 32 & 1 && (bits->value & 3) == 3 ? (w & ~bits->mask) | bits->value : w;
}

TEST(riscv64_translate, names_of_slots_end_in_their_places)
{
    for (size_t i = 0; i < guest_riscv64.ir.nslots; i++) {
        CHECK_INT(guest_riscv64.ir.slots[i].name[IR_NAME_BYTES - 1], 0);
    }
}

TEST(riscv64_translate, every_row_gives_sound_blocks_in_every_mode)
{
    static Rig g;
    static unsigned seen[RV64_ROW_COUNT];
    uint64_t seed = 1;
    bool is_sound = true;
    for (uint32_t i = 0; i < 0x10000 + 400000 && is_sound; i++) {
        if (i % 4096 == 0) {
            rig_open(&g, i & 4096, NULL);
            rig_mode(&g, g.r.is_virt ? next_random(&seed) & 1 : (unsigned[]){0, 1, 3}[next_random(&seed) % 3]);
            riscv_csr_write(&g.r, 0x300, next_random(&seed), 0);
            g.r.mcounteren = g.r.scounteren = next_random(&seed) & 7;
            g.r.v = !g.r.is_virt && g.r.priv != PRIV_M && next_random(&seed) & 1;
            g.r.hstatus = next_random(&seed) & HSTATUS_WRITABLE;
        }
        g.left = RIG_NEXT;
        unsigned row = rig_translate(&g, i < 0x10000 ? i : random_word(&seed));
        seen[row]++;
        if (row == RV64_ROW_NONE) { /* reserved, or of no extension that is here */
            const IrOp *last = &g.ops[g.block.nops - 1];
            CHECK(last->op == IR_trap && last->imm == CAUSE_ILLEGAL);
        }
        is_sound = CHECK(g.left != RIG_UNSOUND);
        if (!is_sound) {
            CHECK_STR(g.err.text, "");
        }
    }
    for (unsigned row = 0; row < RV64_ROW_COUNT; row++) {
        if (!seen[row]) {
            CHECK_STR(rv64_row_names[row], "seen");
        }
    }
}

TEST(riscv64_translate, most_instructions_are_one_operation)
{
    static Rig g;
    rig_open(&g, false, NULL);
    static const uint32_t words[] = {ENC_R(0, A2, A1, 0, A0, OP),
                                     ENC_I(5, A1, 0, A0, OP_IMM),
                                     ENC_I(0, A1, 0, A0, OP_IMM),
                                     ENC_I(5, 0, 0, A0, OP_IMM),
                                     0x12345537,
                                     0x12345517,
                                     ENC_I(8, A1, 3, A0, LOAD),
                                     ENC_S(8, A2, A1, 3),
                                     ENC_R(1, A2, A1, 4, A0, OP),
                                     ENC_R(0, A2, A1, 2, A0, AMO),
                                     CSRRS(A0, 0x340, 0),
                                     CSRRW(0, 0x340, A1)};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        rig_translate(&g, words[i]);
        CHECK_INT(g.block.nops, 2); /* and the jump that ends the block */
    }
    rig_translate(&g, ENC_I(5, A1, 0, 0, OP_IMM)); /* a HINT */
    CHECK_INT(g.block.nops, 1);
}

TEST(riscv64_translate, reserved_encodings_trap_with_their_bits)
{
    static Rig g;
    static const uint32_t words[] = {0x0000,     0x2000,    0x8c40 /* c.sh's neighbour */,
                                     0x9c79,     0x8002,    0x4002,
                                     0x6002,     0x6001,    0x6101,
                                     0x6901,     0xa000,    0xffffffff,
                                     0x000b,     0x407b,    0xfe000033,
                                     0x2000407b, 0x31b51513 /* aes64ks1i, round 11 */};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        rig_open(&g, false, NULL);
        CHECK_INT(rig_step(&g, words[i]), RIG_TRAP);
        CHECK_INT(g.r.f.trap.cause, CAUSE_ILLEGAL);
        CHECK_INT(g.r.f.trap.value, words[i]);
        CHECK_INT(g.r.f.pc, RIG_PC);
    }
}

TEST(riscv64_translate, an_extension_that_is_off_does_not_decode)
{
    static Rig g;
    rig_open(&g, false, "rv64ic");
    CHECK_INT(rig_step(&g, ENC_R(1, A2, A1, 0, A0, OP)), RIG_TRAP);
    CHECK_INT(rig_step(&g, ENC_R(0, A2, A1, 2, A0, AMO)), RIG_TRAP);
    CHECK_INT(rig_step(&g, ENC_R(0, A2, A1, 0, A0, OP)), RIG_NEXT);
}

TEST(riscv64_translate, what_needs_more_bytes_asks_for_them)
{
    IrBlock b;
    IrOp ops[8];
    IrBuild k;
    RiscvCpu cpu;
    CHECK_INT(guest_riscv64.cpu_parse(NULL, &cpu, NULL), 0);
    ir_begin(&k, &b, ops, RIG_PC, PRIV_M);
    const uint8_t bytes[] = {0x13, 0x05, 0x10, 0x00};
    for (unsigned avail = 0; avail < 4; avail++) {
        Translate t = {.ir = &k, .pc = RIG_PC, .mode_key = PRIV_M, .bytes = bytes, .avail = avail, .cpu = &cpu};
        CHECK_INT(guest_riscv64.translate(&t), TR_MORE);
        CHECK_INT(b.ninsns, 0);
    }
}

TEST(riscv64_translate, computation_follows_the_manual)
{
    static const struct {
        uint32_t insn;
        uint64_t a1, a2, want;
    } rows[] = {
        {ENC_R(0, A2, A1, 0, A0, OP), 5, -7ull, -2ull},                     /* add */
        {ENC_R(0x20, A2, A1, 0, A0, OP), 5, 7, -2ull},                      /* sub */
        {ENC_R(0, A2, A1, 1, A0, OP), 1, 0x7f, 1ull << 63},                 /* sll: 6 bits count */
        {ENC_R(0, A2, A1, 2, A0, OP), -1ull, 0, 1},                         /* slt */
        {ENC_R(0, A2, A1, 3, A0, OP), -1ull, 0, 0},                         /* sltu */
        {ENC_R(0x20, A2, A1, 5, A0, OP), 1ull << 63, 63, -1ull},            /* sra */
        {ENC_R(0, A2, A1, 0, A0, OP_W), 0x7fffffff, 1, 0xffffffff80000000}, /* addw */
        {ENC_R(0x20, A2, A1, 5, A0, OP_W), 0x80000000, 31, -1ull},          /* sraw */
        {ENC_R(0, A2, A1, 5, A0, OP_W), 0xffffffff80000000, 31, 1},         /* srlw */
        {ENC_I(-1 & 0xfff, A1, 3, A0, OP_IMM), 5, 0, 1},                    /* sltiu: the immediate is signed first */
        {ENC_I(1, A1, 3, A0, OP_IMM), 0, 0, 1},                             /* seqz */
        {ENC_I(0, A1, 0, A0, 0x1b), 0x180000000, 0, 0xffffffff80000000},    /* sext.w */
        {ENC_I(0x43f, A1, 5, A0, OP_IMM), 1ull << 63, 0, -1ull},            /* srai 63 */
        {0x80000537, 0, 0, 0xffffffff80000000},                             /* lui a0, 0x80000 */
        {0xfffff517, 0, 0, RIG_PC - 0x1000},                                /* auipc a0, -1 */
        {ENC_R(1, A2, A1, 1, A0, OP), -1ull, -1ull, 0},                     /* mulh */
        {ENC_R(1, A2, A1, 2, A0, OP), -1ull, -1ull, -1ull},                 /* mulhsu */
        {ENC_R(1, A2, A1, 3, A0, OP), -1ull, -1ull, -2ull},                 /* mulhu */
        {ENC_R(1, A2, A1, 4, A0, OP), 1ull << 63, -1ull, 1ull << 63},       /* div: overflow */
        {ENC_R(1, A2, A1, 4, A0, OP), 5, 0, -1ull},                         /* div by 0 */
        {ENC_R(1, A2, A1, 6, A0, OP), 5, 0, 5},                             /* rem by 0 */
        {ENC_R(1, A2, A1, 6, A0, OP_W), 0x80000000, -1ull, 0},              /* remw: overflow */
        {ENC_R(1, A2, A1, 5, A0, OP_W), 0xffffffff, 0, -1ull},              /* divuw by 0 */
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        g.r.x[A1] = rows[i].a1;
        g.r.x[A2] = rows[i].a2;
        CHECK_INT(rig_step(&g, rows[i].insn), RIG_NEXT);
        CHECK_INT(g.r.x[A0], rows[i].want);
    }
}

TEST(riscv64_translate, compressed_instructions_are_what_they_stand_for)
{
    static const struct {
        uint32_t insn;
        uint64_t sp, a0, a1, want; /* want: of a0, or of sp for c.addi16sp */
    } rows[] = {
        {0x0505, 0, 41, 0, 42},                         /* c.addi a0, 1 */
        {0x157d, 0, 0, 0, -1ull},                       /* c.addi a0, -1 */
        {0x357d, 0, 0x80000000, 0, 0x7fffffff},         /* c.addiw a0, -1 */
        {0x557d, 0, 0, 0, -1ull},                       /* c.li a0, -1 */
        {0x757d, 0, 0, 0, 0xfffffffffffff000},          /* c.lui a0, -1 */
        {0x852e, 0, 0, 7, 7},                           /* c.mv a0, a1 */
        {0x952e, 0, 3, 4, 7},                           /* c.add a0, a1 */
        {0x8d0d, 0, 3, 4, -1ull},                       /* c.sub a0, a1 */
        {0x9d2d, 0, 0x7fffffff, 1, 0xffffffff80000000}, /* c.addw a0, a1 */
        {0x0028, 0x100, 0, 0, 0x108},                   /* c.addi4spn a0, 8 */
        {0x917d, 0, -1ull, 0, 1},                       /* c.srli a0, 63 */
        {0x957d, 0, 1ull << 63, 0, -1ull},              /* c.srai a0, 63 */
        {0x8905, 0, 7, 0, 1},                           /* c.andi a0, 1 */
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        g.r.x[2] = rows[i].sp;
        g.r.x[A0] = rows[i].a0;
        g.r.x[A1] = rows[i].a1;
        CHECK_INT(rig_step(&g, rows[i].insn), RIG_NEXT);
        CHECK_INT(g.r.f.pc, RIG_PC + 2);
        CHECK_INT(g.r.x[A0], rows[i].want);
    }
    rig_open(&g, false, NULL);
    g.r.x[2] = 0x1000;
    CHECK_INT(rig_step(&g, 0x7139), RIG_NEXT); /* c.addi16sp -64 */
    CHECK_INT(g.r.x[2], 0x1000 - 64);
}

TEST(riscv64_translate, loads_extend_and_a_load_to_x0_still_accesses)
{
    static Rig g;
    static const uint64_t want[] = {
        0xffffffffffffff80, 0xffffffffffff8180, 0xffffffff83828180, 0x8786858483828180, 0x80, 0x8180, 0x83828180};
    for (unsigned f3 = 0; f3 < 7; f3++) {
        rig_open(&g, false, NULL);
        rig_mem_set(&g, RIG_BASE + 3, 0x8786858483828180);
        g.r.x[A1] = RIG_BASE;
        CHECK_INT(rig_step(&g, ENC_I(3, A1, f3, A0, LOAD)), RIG_NEXT);
        CHECK_INT(g.r.x[A0], want[f3]);
        CHECK_INT(rig_step(&g, ENC_I(3, A1, f3, 0, LOAD)), RIG_NEXT);
        CHECK_INT(g.loads, 1);
        CHECK_INT(g.r.f.zero, 0);
        CHECK_INT(g.r.x[0], 0);
        CHECK_INT(rig_step(&g, ENC_I(3, 0, f3, 0, LOAD)), RIG_TRAP); /* nothing there */
        CHECK_INT(g.r.f.trap.cause, CAUSE_LOAD_ACCESS);
        CHECK_INT(g.r.f.trap.value, 3);
    }
    CHECK_INT(rig_step(&g, ENC_S(-8, A0, 0, 3)), RIG_TRAP);
    CHECK_INT(g.r.f.trap.cause, CAUSE_STORE_ACCESS);
    CHECK_INT(g.r.f.trap.value, -8ull);
}

TEST(riscv64_translate, atomics_must_be_aligned_and_plain_accesses_need_not)
{
    static Rig g;
    static const struct {
        uint32_t insn;
        uint64_t cause;
    } rows[] = {{ENC_R(0x08, 0, A1, 2, A0, AMO), CAUSE_LOAD_MISALIGNED},    /* lr.w */
                {ENC_R(0x0c, A2, A1, 3, A0, AMO), CAUSE_STORE_MISALIGNED},  /* sc.d */
                {ENC_R(0x00, A2, A1, 2, A0, AMO), CAUSE_STORE_MISALIGNED}}; /* amoadd.w */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        g.r.x[A1] = RIG_BASE + 2;
        CHECK_INT(rig_step(&g, rows[i].insn), RIG_TRAP);
        CHECK_INT(g.r.f.trap.cause, rows[i].cause);
        CHECK_INT(g.r.f.trap.value, RIG_BASE + 2);
    }
    rig_open(&g, false, NULL);
    g.r.x[A1] = RIG_BASE + 4;
    g.r.x[A2] = 1;
    rig_mem_set(&g, RIG_BASE + 4, 0xffffffff7fffffff);
    CHECK_INT(rig_step(&g, ENC_R(0x03, A2, A1, 2, A0, AMO)), RIG_NEXT); /* amoadd.w.aqrl */
    CHECK_INT(g.r.x[A0], 0x7fffffff);
    CHECK_INT(rig_mem(&g, RIG_BASE + 4), 0xffffffff80000000);
    CHECK_INT(rig_step(&g, ENC_R(0x00, A2, A1, 2, A0, AMO)), RIG_NEXT);
    CHECK_INT(g.r.x[A0], 0xffffffff80000000); /* sign-extended */
}

TEST(riscv64_translate, jumps_link_the_next_instruction_and_clear_bit_0)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(rig_step(&g, 0x0080056f), RIG_JUMP); /* jal a0, 8 */
    CHECK_INT(g.r.f.pc, RIG_PC + 8);
    CHECK_INT(g.r.x[A0], RIG_PC + 4);
    g.r.x[A0] = 0x9003;
    CHECK_INT(rig_step(&g, ENC_I(4, A0, 0, A0, 0x67)), RIG_JUMP); /* jalr a0, 4(a0): the old a0 is the base */
    CHECK_INT(g.r.f.pc, 0x9006);
    CHECK_INT(g.r.x[A0], RIG_PC + 12);
    g.r.x[A0] = 0x4000;
    CHECK_INT(rig_step(&g, 0x9502), RIG_JUMP); /* c.jalr a0 */
    CHECK_INT(g.r.f.pc, 0x4000);
    CHECK_INT(g.r.x[1], 0x9008);
    CHECK_INT(rig_step(&g, 0x8082), RIG_JUMP); /* ret */
    CHECK_INT(g.r.f.pc, 0x9008);
}

TEST(riscv64_translate, branches_compare_as_their_names_say)
{
    static Rig g;
    static const struct {
        unsigned f3;
        bool when_less, when_same, when_greater; /* a1 = -1 below 1, signed */
    } rows[] = {{0, false, true, false}, {1, true, false, true},  {4, true, false, false},
                {5, false, true, true},  {6, false, false, true}, {7, true, true, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t insn = ENC_R(0, A2, A1, rows[i].f3, 16, 0x63); /* to pc + 16 */
        const uint64_t pairs[3][2] = {{-1ull, 1}, {3, 3}, {1, -1ull}};
        const bool want[3] = {rows[i].when_less, rows[i].when_same, rows[i].when_greater};
        for (unsigned k = 0; k < 3; k++) {
            rig_open(&g, false, NULL);
            g.r.x[A1] = pairs[k][0];
            g.r.x[A2] = pairs[k][1];
            CHECK_INT(rig_step(&g, insn), want[k] ? RIG_JUMP : RIG_NEXT);
            CHECK_INT(g.r.f.pc, want[k] ? RIG_PC + 16 : RIG_PC + 4);
        }
    }
}

TEST(riscv64_translate, fences_of_code_and_translation_reach_the_dispatcher)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(rig_step(&g, INSN_FENCE_I), RIG_SYNC);
    CHECK_INT(exec_double.code_flushes, 1);
    CHECK_INT(rig_step(&g, INSN_SFENCE_VMA), RIG_SYNC);
    CHECK_INT(exec_double.gva, UINT64_MAX);
    CHECK_INT(exec_double.space_tag, UINT64_MAX);
    g.r.x[A0] = 0x5000;
    g.r.x[A1] = 0x10007;
    CHECK_INT(rig_step(&g, INSN_SFENCE_VMA | A0 << 15 | A1 << 20), RIG_SYNC);
    CHECK_INT(exec_double.gva, 0x5000);
    CHECK_INT(exec_double.space_tag, 7); /* an ASID has 16 bits */
    CHECK_INT(exec_double.tlb_flushes, 2);
    CHECK_INT(rig_step(&g, 0x0ff0000f), RIG_NEXT); /* fence */
    CHECK_INT(rig_step(&g, 0x5551050f), RIG_NEXT); /* one with bits that are not defined yet */
    CHECK_INT(rig_step(&g, 0x0100000f), RIG_NEXT); /* pause */
}
