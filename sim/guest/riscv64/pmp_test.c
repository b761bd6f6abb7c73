/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/riscv64/double/rig.h"

enum {
    PMPCFG0 = 0x3a0,
    PMPCFG2 = 0x3a2,
    PMPADDR0 = 0x3b0,
    MSECCFG = 0x747,
    CFG_R = 1,
    CFG_W = 2,
    CFG_X = 4,
    TOR = 8,
    NA4 = 16,
    NAPOT = 24
};
enum { CFG_L = 128, RWX = ACC_READ | ACC_WRITE | ACC_EXEC };

static uint64_t set(Rig *g, unsigned csr, uint64_t value)
{
    riscv_csr_write(&g->r, csr, value, 0);
    return riscv_csr_read(&g->r, csr, 0);
}

TEST(riscv64_pmp, with_entries_and_no_match_only_m_mode_may_access)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x1000, true), RWX);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x1000, false), 0);
    rig_open(&g, false, "rv64imac,pmp=off");
    CHECK_INT(riscv_pmp_allow(&g.r, 0x1000, false), RWX);
    rig_open(&g, true, NULL);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x1000, false), RWX);
}

TEST(riscv64_pmp, napot_matches_a_power_of_two_of_at_least_a_page)
{
    static Rig g;
    rig_open(&g, false, NULL);
    set(&g, PMPCFG0, NAPOT | CFG_R);
    CHECK_INT(set(&g, PMPADDR0, 0x80000000 >> 2), 0x80000000 >> 2 | 0x1ff); /* the grain reads as ones */
    CHECK_INT(riscv_pmp_allow(&g.r, 0x80000fff, false), ACC_READ);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x80001000, false), 0);
    set(&g, PMPADDR0, 0x80000000 >> 2 | 0x3fff); /* 128 KiB */
    CHECK_INT(riscv_pmp_allow(&g.r, 0x8001ffff, false), ACC_READ);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x80020000, false), 0);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x7fffffff, false), 0);
    set(&g, PMPADDR0, ~0ull); /* everything */
    CHECK_INT(riscv_pmp_allow(&g.r, 0xffffffffffffff, false), ACC_READ);
}

TEST(riscv64_pmp, top_of_range_begins_where_the_entry_before_ends)
{
    static Rig g;
    rig_open(&g, false, NULL);
    set(&g, PMPADDR0, 0x4fff >> 2);
    CHECK_INT(set(&g, PMPADDR0 + 1, 0x9800 >> 2), 0x9000 >> 2); /* read with the grain */
    set(&g, PMPCFG0, (TOR | CFG_W | CFG_R) << 8 | (TOR | CFG_X));
    CHECK_INT(riscv_pmp_allow(&g.r, 0, false), ACC_EXEC);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x3fff, false), ACC_EXEC);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x4000, false), ACC_READ | ACC_WRITE);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x8fff, false), ACC_READ | ACC_WRITE);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x9000, false), 0);
}

TEST(riscv64_pmp, the_first_match_decides)
{
    static Rig g;
    rig_open(&g, false, NULL);
    set(&g, PMPADDR0 + 8, 0x8000 >> 2 | 0x1ff);
    set(&g, PMPADDR0 + 9, ~0ull);
    set(&g, PMPCFG2, (NAPOT | CFG_R | CFG_W | CFG_X) << 8 | (NAPOT | CFG_R));
    CHECK_INT(riscv_pmp_allow(&g.r, 0x8000, false), ACC_READ);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x9000, false), RWX);
}

TEST(riscv64_pmp, a_locked_entry_binds_m_mode_and_cannot_be_changed)
{
    static Rig g;
    rig_open(&g, false, NULL);
    set(&g, PMPADDR0, 0x8000 >> 2);
    set(&g, PMPADDR0 + 1, 0x9000 >> 2);
    set(&g, PMPCFG0, (uint64_t)(CFG_L | TOR | CFG_R) << 8);
    CHECK_INT(riscv_pmp_allow(&g.r, 0x8000, true), ACC_READ);
    CHECK_INT(set(&g, PMPADDR0 + 1, 0), 0x9000 >> 2);
    CHECK_INT(set(&g, PMPADDR0, 0), 0x8000 >> 2); /* the base of a locked range */
    CHECK_INT(set(&g, PMPCFG0, 0), (uint64_t)(CFG_L | TOR | CFG_R) << 8);
}

TEST(riscv64_pmp, what_is_reserved_or_finer_than_the_grain_is_not_taken)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(set(&g, PMPCFG0, TOR | CFG_W), TOR);
    CHECK_INT(set(&g, PMPCFG0, NA4 | CFG_R), TOR | CFG_R);
    CHECK_INT(set(&g, PMPCFG0, 0x60), 0);
}

TEST(riscv64_pmp, a_change_flushes_translations)
{
    static Rig g;
    rig_open(&g, false, NULL);
    set(&g, PMPCFG0, NAPOT);
    set(&g, PMPADDR0, 1);
    CHECK_INT(exec_double.tlb_flushes, 2);
    CHECK_INT(exec_double.gva, UINT64_MAX);
    CHECK_INT(exec_double.space_tag, UINT64_MAX);
}

/* Smepmp 2.4, its truth table: by LRWX, what S- and U-mode may, and what M-mode may. */
TEST(riscv64_pmp, with_mml_an_entry_is_of_one_side_or_shared)
{
    enum { R = ACC_READ, W = ACC_WRITE, X = ACC_EXEC };
    static const struct {
        uint8_t cfg;
        uint32_t user, machine;
    } rows[] = {
        {0, 0, 0},
        {CFG_X, X, 0},
        {CFG_W, R, R | W},
        {CFG_W | CFG_X, R | W, R | W},
        {CFG_R, R, 0},
        {CFG_R | CFG_X, R | X, 0},
        {CFG_R | CFG_W, R | W, 0},
        {CFG_R | CFG_W | CFG_X, RWX, 0},
        {CFG_L, 0, 0},
        {CFG_L | CFG_X, 0, X},
        {CFG_L | CFG_W, X, X},
        {CFG_L | CFG_W | CFG_X, X, R | X},
        {CFG_L | CFG_R, 0, R},
        {CFG_L | CFG_R | CFG_X, 0, R | X},
        {CFG_L | CFG_R | CFG_W, 0, R | W},
        {CFG_L | CFG_R | CFG_W | CFG_X, R, R},
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        set(&g, PMPADDR0, 0x8000 >> 2 | 0x1ff);
        CHECK_INT(set(&g, MSECCFG, MSECCFG_MML | MSECCFG_RLB), MSECCFG_MML | MSECCFG_RLB);
        CHECK_INT(set(&g, PMPCFG0, NAPOT | rows[i].cfg), NAPOT | rows[i].cfg);
        CHECK_INT(riscv_pmp_allow(&g.r, 0x8000, false), rows[i].user);
        CHECK_INT(riscv_pmp_allow(&g.r, 0x8000, true), rows[i].machine);
        CHECK_INT(riscv_pmp_allow(&g.r, 0x9000, true), R | W); /* no match: not executed */
        set(&g, MSECCFG, 0);
        bool is_machine_code = rows[i].cfg & CFG_L && rows[i].machine & X;
        set(&g, PMPCFG0, 0); /* unless it is locked */
        CHECK_INT(set(&g, PMPCFG0 + 2, NAPOT | rows[i].cfg), is_machine_code ? 0 : NAPOT | rows[i].cfg);
    }
}

TEST(riscv64_pmp, mml_and_mmwp_stay_and_rlb_opens_locks_until_it_is_given_up)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK(riscv_pmp_ignores_fetches(&g.r));
    CHECK_INT(set(&g, MSECCFG, ~0ull), MSECCFG_MML | MSECCFG_MMWP | MSECCFG_RLB);
    CHECK(!riscv_pmp_ignores_fetches(&g.r));
    CHECK_INT(riscv_pmp_allow(&g.r, 0x9000, true), 0); /* no match */
    CHECK_INT(set(&g, PMPCFG0, CFG_L | NAPOT | CFG_R), CFG_L | NAPOT | CFG_R);
    CHECK_INT(set(&g, PMPADDR0, 0x3ff), 0x3ff); /* locked, but for RLB */
    CHECK_INT(set(&g, MSECCFG, 0), MSECCFG_MML | MSECCFG_MMWP);
    CHECK_INT(set(&g, PMPADDR0, 0x7ff), 0x3ff);
    CHECK_INT(set(&g, PMPCFG0, 0), CFG_L | NAPOT | CFG_R);
    CHECK_INT(set(&g, MSECCFG, MSECCFG_RLB), MSECCFG_MML | MSECCFG_MMWP); /* an entry is locked */
    rig_open(&g, false, "rv64imac,smepmp=off");
    riscv_mseccfg_write(&g.r, 7);
    CHECK_INT(g.r.mseccfg, 0);
}
