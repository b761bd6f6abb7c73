/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/rig.h"

enum { A0 = 10, A1 = 11, A2 = 12, A4 = 14, AMO = 0x2f, CAS = 0x05 << 2, ADD = 0, SWAP = 1 << 2 };
enum { BYTE, HALF, WORD, DOUBLE, QUAD };

TEST(riscv64_a, compare_and_swap_stores_if_memory_is_what_rd_held)
{
    static const struct {
        unsigned size;
        uint64_t expected, found, stored;
    } rows[] = {
        {BYTE, 0xffffff80, -128ull, 0x8786858483828111},
        {BYTE, 0x81, -128ull, 0x8786858483828180},
        {HALF, 0x18180, -0x7e80ull, 0x8786858483821111},
        {HALF, 0x8181, -0x7e80ull, 0x8786858483828180},
        {WORD, 0x83828180, -0x7c7d7e80ull, 0x8786858411111111},
        {WORD, 0, -0x7c7d7e80ull, 0x8786858483828180},
        {DOUBLE, 0x8786858483828180, 0x8786858483828180, 0x1111111111111111},
        {DOUBLE, 0x83828180, 0x8786858483828180, 0x8786858483828180},
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        rig_mem_set(&g, RIG_BASE, 0x8786858483828180);
        g.r.x[A0] = rows[i].expected;
        g.r.x[A1] = RIG_BASE;
        g.r.x[A2] = 0x1111111111111111;
        CHECK_INT(rig_step(&g, ENC_R(CAS, A2, A1, rows[i].size, A0, AMO)), RIG_NEXT);
        CHECK_INT(g.r.x[A0], rows[i].found);
        CHECK_INT(rig_mem(&g, RIG_BASE), rows[i].stored);
    }
}

TEST(riscv64_a, a_pair_is_compared_and_swapped_as_one)
{
    static Rig g;
    rig_open(&g, false, NULL);
    rig_mem_set(&g, RIG_BASE, 1);
    rig_mem_set(&g, RIG_BASE + 8, 2);
    g.r.x[A0] = 1;
    g.r.x[A0 + 1] = 3; /* the second word differs */
    g.r.x[A2] = 7;
    g.r.x[A2 + 1] = 8;
    g.r.x[A4] = RIG_BASE;
    CHECK_INT(rig_step(&g, ENC_R(CAS, A2, A4, QUAD, A0, AMO)), RIG_SYNC);
    CHECK(g.r.x[A0] == 1 && g.r.x[A0 + 1] == 2);
    CHECK_INT(rig_mem(&g, RIG_BASE), 1);
    CHECK_INT(rig_step(&g, ENC_R(CAS, A2, A4, QUAD, A0, AMO)), RIG_SYNC);
    CHECK(g.r.x[A0] == 1 && g.r.x[A0 + 1] == 2);
    CHECK(rig_mem(&g, RIG_BASE) == 7 && rig_mem(&g, RIG_BASE + 8) == 8);
    CHECK_INT(g.r.f.pc, RIG_PC + 8);
}

TEST(riscv64_a, a_pair_that_begins_with_x0_is_zero_and_is_not_written)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.x[1] = 5;
    g.r.x[A4] = RIG_BASE;
    g.r.x[A2] = 7;
    CHECK_INT(rig_step(&g, ENC_R(CAS, A2, A4, QUAD, 0, AMO)), RIG_SYNC); /* memory is 0 */
    CHECK(g.r.x[0] == 0 && g.r.x[1] == 5);
    CHECK_INT(rig_mem(&g, RIG_BASE), 7);
    g.r.x[A0] = 7;
    g.r.x[A0 + 1] = 0;
    CHECK_INT(rig_step(&g, ENC_R(CAS, 0, A4, QUAD, A0, AMO)), RIG_SYNC);
    CHECK(rig_mem(&g, RIG_BASE) == 0 && rig_mem(&g, RIG_BASE + 8) == 0);
}

TEST(riscv64_a, a_pair_of_an_odd_register_is_reserved_and_a_misaligned_one_traps)
{
    static Rig g;
    static const uint32_t odd[] = {ENC_R(CAS, A2, A4, QUAD, A1, AMO), ENC_R(CAS, A1, A4, QUAD, A0, AMO)};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        rig_open(&g, false, NULL);
        g.r.x[A4] = RIG_BASE;
        CHECK_INT(rig_step(&g, odd[i]), RIG_TRAP);
        CHECK_INT(g.r.f.trap.cause, CAUSE_ILLEGAL);
    }
    g.r.x[A4] = RIG_BASE + 8;
    CHECK_INT(rig_step(&g, ENC_R(CAS, A2, A4, QUAD, A0, AMO)), RIG_TRAP);
    CHECK_INT(g.r.f.trap.cause, CAUSE_STORE_MISALIGNED);
    CHECK_INT(g.r.f.trap.value, RIG_BASE + 8);
    g.r.x[A4] = 0;
    CHECK_INT(rig_step(&g, ENC_R(CAS, A2, A4, QUAD, A0, AMO)), RIG_TRAP);
    CHECK_INT(g.r.f.trap.cause, CAUSE_STORE_ACCESS);
    CHECK_INT(g.r.f.pc, RIG_PC);
}

TEST(riscv64_a, atomics_of_bytes_and_halfwords_extend_what_they_found)
{
    static Rig g;
    rig_open(&g, false, NULL);
    rig_mem_set(&g, RIG_BASE, 0x00000000008000ff);
    g.r.x[A1] = RIG_BASE;
    g.r.x[A2] = 0x101;
    CHECK_INT(rig_step(&g, ENC_R(ADD, A2, A1, BYTE, A0, AMO)), RIG_NEXT);
    CHECK_INT(g.r.x[A0], -1ull);
    CHECK_INT(rig_mem(&g, RIG_BASE), 0x00800000);
    g.r.x[A1] = RIG_BASE + 2;
    CHECK_INT(rig_step(&g, ENC_R(SWAP, A2, A1, HALF, A0, AMO)), RIG_NEXT);
    CHECK_INT(g.r.x[A0], 0x80);
    CHECK_INT(rig_mem(&g, RIG_BASE), 0x01010000);
    g.r.x[A1] = RIG_BASE + 1;
    CHECK_INT(rig_step(&g, ENC_R(SWAP, A2, A1, HALF, A0, AMO)), RIG_TRAP);
    CHECK_INT(g.r.f.trap.cause, CAUSE_STORE_MISALIGNED);
}

TEST(riscv64_a, the_wait_on_a_reservation_ends_at_once_or_is_what_tw_forbids)
{
    enum { NTO = 0x00d00073, STO = 0x01d00073 };
    static Rig g;
    for (unsigned priv = 0; priv <= PRIV_M; priv += priv + 1) { /* 0, 1, 3 */
        rig_open(&g, false, NULL);
        rig_mode(&g, priv);
        CHECK_INT(rig_step(&g, NTO), RIG_NEXT);
        g.r.mstatus |= MSTATUS_TW;
        CHECK_INT(rig_step(&g, STO), RIG_NEXT);
        CHECK_INT(rig_step(&g, NTO), priv == PRIV_M ? RIG_NEXT : RIG_TRAP);
    }
}

TEST(riscv64_a, what_is_off_traps)
{
    static const struct {
        const char *cpu;
        uint32_t off, on;
    } rows[] = {{"rv64imac,zacas=off", ENC_R(CAS, A2, A1, WORD, A0, AMO), ENC_R(ADD, A2, A1, BYTE, A0, AMO)},
                {"rv64imac,zacas=off", ENC_R(CAS, A2, A1, QUAD, A0, AMO), ENC_R(ADD, A2, A1, WORD, A0, AMO)},
                {"rv64imac,zacas=off", ENC_R(CAS, A2, A1, BYTE, A0, AMO), ENC_R(ADD, A2, A1, HALF, A0, AMO)},
                {"rv64imac,zabha=off", ENC_R(ADD, A2, A1, BYTE, A0, AMO), ENC_R(CAS, A2, A1, WORD, A0, AMO)},
                {"rv64imac,zabha=off", ENC_R(CAS, A2, A1, HALF, A0, AMO), ENC_R(CAS, A2, A1, DOUBLE, A0, AMO)},
                {"rv64imc", ENC_R(CAS, A2, A1, WORD, A0, AMO), 0x13},
                {"rv64imac,zawrs=off", 0x00d00073, 0x13},
                {"rv64imac,zawrs=off", 0x01d00073, 0x13}};
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, rows[i].cpu);
        g.r.x[A1] = RIG_BASE;
        CHECK_INT(rig_step(&g, rows[i].on), RIG_NEXT);
        CHECK_INT(rig_step(&g, rows[i].off), RIG_TRAP);
        CHECK_INT(g.r.f.trap.cause, CAUSE_ILLEGAL);
    }
}
