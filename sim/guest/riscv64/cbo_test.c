/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/rig.h"

#include <string.h>

enum { A1 = 11, BLOCK = 64 };
#define CBO(n) ENC_I(n, A1, 2, 0, 0x0f)
enum { INVAL, CLEAN, FLUSH, ZERO = 4 };

TEST(riscv64_cbo, zero_writes_the_whole_block_that_the_address_is_in)
{
    static Rig g;
    rig_open(&g, false, NULL);
    memset(g.mem, 0xaa, sizeof g.mem);
    g.r.x[A1] = RIG_BASE + BLOCK + 13;
    CHECK_INT(rig_step(&g, CBO(ZERO)), RIG_NEXT);
    for (unsigned i = 0; i < 3 * BLOCK; i++) {
        CHECK_INT(g.mem[i], i / BLOCK == 1 ? 0 : 0xaa);
    }
}

TEST(riscv64_cbo, every_fault_is_a_store_s_at_the_address_as_given)
{
    static const unsigned ops[] = {INVAL, CLEAN, FLUSH, ZERO};
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        rig_open(&g, false, NULL);
        g.r.x[A1] = RIG_BASE - 1;
        CHECK_INT(rig_step(&g, CBO(ops[i])), RIG_TRAP);
        CHECK_INT(g.r.f.trap.cause, CAUSE_STORE_ACCESS);
        CHECK_INT(g.r.f.trap.value, RIG_BASE - 1);
        CHECK_INT(g.stores, 0);
    }
}

TEST(riscv64_cbo, management_leaves_memory_alone)
{
    static Rig g;
    rig_open(&g, false, NULL);
    memset(g.mem, 0xaa, sizeof g.mem);
    g.r.x[A1] = RIG_BASE + 1;
    CHECK_INT(rig_step(&g, CBO(INVAL)), RIG_NEXT);
    CHECK_INT(rig_step(&g, CBO(CLEAN)), RIG_NEXT);
    CHECK_INT(rig_step(&g, CBO(FLUSH)), RIG_NEXT);
    CHECK_INT(rig_mem(&g, RIG_BASE), 0xaaaaaaaaaaaaaaaa);
    CHECK_INT(rig_step(&g, CBO(3)), RIG_TRAP); /* reserved */
    CHECK_INT(g.r.f.trap.cause, CAUSE_ILLEGAL);
}

TEST(riscv64_cbo, is_enabled_level_by_level)
{
    static const struct {
        unsigned op;
        uint64_t bit;
    } rows[] = {
        {INVAL, 1ull << 4}, {INVAL, 3ull << 4}, {CLEAN, ENVCFG_CBCFE}, {FLUSH, ENVCFG_CBCFE}, {ZERO, ENVCFG_CBZE}};
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned k = 0; k < 12; k++) {
            unsigned priv = (unsigned[]){PRIV_U, PRIV_S, PRIV_M}[k % 3];
            bool is_m = k / 3 & 1, is_s = k / 3 & 2;
            rig_open(&g, false, NULL);
            rig_mode(&g, priv);
            g.r.x[A1] = RIG_BASE;
            riscv_csr_write(&g.r, 0x30a, is_m ? rows[i].bit : ENVCFG_CBO & ~rows[i].bit & ~ENVCFG_CBIE, 0);
            riscv_csr_write(&g.r, 0x10a, is_s ? rows[i].bit : ENVCFG_CBO & ~rows[i].bit & ~ENVCFG_CBIE, 0);
            bool is_legal = priv == PRIV_M || (is_m && (is_s || priv == PRIV_S));
            CHECK_INT(rig_step(&g, CBO(rows[i].op)), is_legal ? RIG_NEXT : RIG_TRAP);
        }
    }
}

TEST(riscv64_cbo, the_supervisor_of_a_hypervisor_may_use_all)
{
    static Rig g;
    rig_open(&g, true, NULL);
    g.r.x[A1] = RIG_BASE;
    CHECK_INT(rig_step(&g, CBO(INVAL)), RIG_NEXT);
    CHECK_INT(rig_step(&g, CBO(ZERO)), RIG_NEXT);
    rig_mode(&g, PRIV_U);
    CHECK_INT(rig_step(&g, CBO(ZERO)), RIG_TRAP); /* senvcfg is its own */
}

TEST(riscv64_cbo, what_is_off_traps_and_prefetches_never_do)
{
    static Rig g;
    rig_open(&g, false, "rv64imac,zicbom=off,zicbop=off");
    g.r.x[A1] = 1;
    CHECK_INT(rig_step(&g, CBO(CLEAN)), RIG_TRAP);
    CHECK_INT(rig_step(&g, CBO(INVAL)), RIG_TRAP);
    for (unsigned kind = 0; kind < 32; kind++) {
        CHECK_INT(rig_step(&g, ENC_I(0x7e0 | kind, A1, 6, 0, 0x13)), RIG_NEXT);
    }
    g.r.x[A1] = RIG_BASE;
    CHECK_INT(rig_step(&g, CBO(ZERO)), RIG_NEXT);
    rig_open(&g, false, "rv64imac,zicboz=off");
    g.r.x[A1] = RIG_BASE;
    CHECK_INT(rig_step(&g, CBO(ZERO)), RIG_TRAP);
    CHECK_INT(rig_step(&g, CBO(FLUSH)), RIG_NEXT);
}
