/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/riscv64/double/rig.h"

enum {
    A0 = 10,
    A1 = 11,
    SSTATUS = 0x100,
    STIMECMP = 0x14d,
    SATP = 0x180,
    MSTATUS = 0x300,
    MSCRATCH = 0x340,
    MEPC = 0x341
};
enum {
    MIP = 0x344,
    MCOUNTINHIBIT = 0x320,
    MCYCLE = 0xb00,
    MINSTRET = 0xb02,
    CYCLE = 0xc00,
    TIME = 0xc01,
    INSTRET = 0xc02
};

static bool is_illegal(Rig *g, uint32_t insn)
{
    return rig_step(g, insn) == RIG_TRAP && g->r.f.trap.cause == CAUSE_ILLEGAL && g->r.f.trap.value == insn;
}

TEST(riscv64_priv, a_scratch_csr_swaps_with_one_register)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.mscratch = 1;
    g.r.x[A0] = 2;
    CHECK_INT(rig_step(&g, CSRRW(A0, MSCRATCH, A0)), RIG_NEXT); /* no sync: nothing else changes */
    CHECK_INT(g.r.x[A0], 1);
    CHECK_INT(g.r.mscratch, 2);
}

TEST(riscv64_priv, sets_and_clears_keep_what_is_not_writable)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.x[A0] = 0xf;
    CHECK_INT(rig_step(&g, CSRRS(A1, MEPC, A0)), RIG_NEXT);
    CHECK_INT(g.r.mepc, 0xe);
    CHECK_INT(rig_step(&g, ENC_I(MEPC, 4, 7, A1, 0x73)), RIG_NEXT); /* csrrci a1, mepc, 4 */
    CHECK_INT(g.r.x[A1], 0xe);
    CHECK_INT(g.r.mepc, 0xa);
    CHECK_INT(rig_step(&g, ENC_I(MEPC, 5, 6, 0, 0x73)), RIG_NEXT); /* csrsi mepc, 5 */
    CHECK_INT(g.r.mepc, 0xe);
}

TEST(riscv64_priv, a_csr_that_changes_the_mode_ends_the_block)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.x[A0] = MSTATUS_MIE;
    CHECK_INT(rig_step(&g, CSRRS(A1, MSTATUS, A0)), RIG_SYNC);
    CHECK_INT(g.r.f.pc, RIG_PC + 4);
    CHECK_INT(g.r.mstatus & MSTATUS_MIE, MSTATUS_MIE);
    CHECK_INT(rig_step(&g, CSRRS(A1, MSTATUS, 0)), RIG_NEXT); /* reading does not */
    CHECK_INT(g.r.x[A1], MSTATUS_MIE | MSTATUS_UXL | MSTATUS_SXL);
}

TEST(riscv64_priv, a_read_only_csr_is_read_by_set_of_nothing_only)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(rig_step(&g, CSRRS(A0, 0xf14, 0)), RIG_NEXT);
    CHECK_INT(g.r.x[A0], 5); /* the hart's id */
    CHECK(is_illegal(&g, CSRRS(A0, 0xf14, A1)));
    CHECK(is_illegal(&g, CSRRW(A0, 0xf14, A1)));
    CHECK(is_illegal(&g, CSRRW(0, CYCLE, 0)));
    CHECK_INT(rig_step(&g, ENC_I(0xf14, 0, 6, A0, 0x73)), RIG_NEXT); /* csrrsi a0, mhartid, 0 */
}

TEST(riscv64_priv, csrs_are_out_of_reach_below_their_privilege_and_where_there_is_none)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK(is_illegal(&g, CSRRS(A0, 0x3a1, 0))); /* odd pmpcfg */
    CHECK(is_illegal(&g, CSRRS(A0, 0x001, 0))); /* fflags: there is no F */
    rig_open(&g, false, "rv64imac,h=off");
    CHECK(is_illegal(&g, CSRRS(A0, 0x600, 0))); /* hstatus */
    rig_mode(&g, PRIV_S);
    CHECK(is_illegal(&g, CSRRS(A0, MSTATUS, 0)));
    CHECK_INT(rig_step(&g, CSRRS(A0, SSTATUS, 0)), RIG_NEXT);
    rig_mode(&g, PRIV_U);
    CHECK(is_illegal(&g, CSRRS(A0, SSTATUS, 0)));
    rig_open(&g, true, NULL);
    CHECK(is_illegal(&g, CSRRS(A0, MSTATUS, 0)));
    CHECK(is_illegal(&g, INSN_MRET));
}

TEST(riscv64_priv, counters_are_enabled_level_by_level)
{
    static Rig g;
    static const uint32_t csr[] = {CYCLE, TIME, INSTRET};
    for (unsigned i = 0; i < 3; i++) {
        rig_open(&g, false, NULL);
        CHECK_INT(rig_step(&g, CSRRS(A0, csr[i], 0)), RIG_SYNC);
        rig_mode(&g, PRIV_S);
        CHECK(is_illegal(&g, CSRRS(A0, csr[i], 0)));
        g.r.mcounteren = 1u << i;
        CHECK_INT(rig_step(&g, CSRRS(A0, csr[i], 0)), RIG_SYNC);
        rig_mode(&g, PRIV_U);
        CHECK(is_illegal(&g, CSRRS(A0, csr[i], 0)));
        g.r.scounteren = 1u << i;
        CHECK_INT(rig_step(&g, CSRRS(A0, csr[i], 0)), RIG_SYNC);
    }
    rig_mode(&g, PRIV_S);
    CHECK(is_illegal(&g, CSRRS(A0, 0xc03, 0))); /* hpmcounter3 */
    rig_mode(&g, PRIV_M);
    CHECK_INT(rig_step(&g, CSRRS(A0, 0xc03, 0)), RIG_SYNC);
    CHECK_INT(g.r.x[A0], 0);
}

TEST(riscv64_priv, instret_counts_what_retired_before_and_a_write_shows_in_the_next_read)
{
    static Rig g;
    rig_open(&g, false, NULL);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_INT(rig_step(&g, 0x13), RIG_NEXT);
    }
    CHECK_INT(rig_step(&g, CSRRS(A0, MINSTRET, 0)), RIG_SYNC);
    CHECK_INT(g.r.x[A0], 3);
    g.r.x[A1] = 0x1000;
    CHECK_INT(rig_step(&g, CSRRW(A0, MINSTRET, A1)), RIG_SYNC);
    CHECK_INT(g.r.x[A0], 4);
    CHECK_INT(rig_step(&g, CSRRS(A0, MINSTRET, 0)), RIG_SYNC);
    CHECK_INT(g.r.x[A0], 0x1000);
    CHECK_INT(rig_step(&g, CSRRS(A0, CYCLE, 0)), RIG_SYNC);
    CHECK_INT(g.r.x[A0], 6);
}

TEST(riscv64_priv, an_inhibited_counter_stands_still_and_can_be_written)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.x[A1] = 1;
    CHECK_INT(rig_step(&g, CSRRW(0, MCOUNTINHIBIT, A1)), RIG_SYNC);
    CHECK_INT(rig_step(&g, 0x13), RIG_NEXT);
    CHECK_INT(rig_step(&g, CSRRS(A0, MCYCLE, 0)), RIG_SYNC);
    CHECK_INT(g.r.x[A0], 1);
    CHECK_INT(rig_step(&g, CSRRS(A0, MINSTRET, 0)), RIG_SYNC); /* this one goes on */
    CHECK_INT(g.r.x[A0], 3);
    g.r.x[A1] = 0x50;
    CHECK_INT(rig_step(&g, CSRRW(0, MCYCLE, A1)), RIG_SYNC);
    CHECK_INT(rig_step(&g, CSRRW(0, MCOUNTINHIBIT, 0)), RIG_SYNC);
    CHECK_INT(rig_step(&g, CSRRS(A0, MCYCLE, 0)), RIG_SYNC);
    CHECK_INT(g.r.x[A0], 0x50);
}

TEST(riscv64_priv, the_clock_is_ten_million_a_second)
{
    static Rig g;
    rig_open(&g, false, NULL);
    exec_double.now_ns = 12345;
    CHECK_INT(rig_step(&g, CSRRS(A0, TIME, 0)), RIG_SYNC);
    CHECK_INT(g.r.x[A0], 123);
}

TEST(riscv64_priv, stimecmp_needs_stce_below_m_mode)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(rig_step(&g, CSRRW(0, STIMECMP, A0)), RIG_SYNC);
    rig_mode(&g, PRIV_S);
    g.r.mcounteren = 2;
    CHECK(is_illegal(&g, CSRRW(0, STIMECMP, A0)));
    g.r.menvcfg |= MENVCFG_STCE;
    CHECK_INT(rig_step(&g, CSRRW(0, STIMECMP, A0)), RIG_SYNC);
    g.r.mcounteren = 0;
    CHECK(is_illegal(&g, CSRRW(0, STIMECMP, A0)));
    rig_open(&g, false, "rv64imac,sstc=off");
    CHECK(is_illegal(&g, CSRRW(0, STIMECMP, A0)));
}

TEST(riscv64_priv, tvm_tw_and_tsr_take_from_s_mode_what_they_name)
{
    static Rig g;
    static const struct {
        uint64_t bit;
        uint32_t insn;
    } rows[] = {{MSTATUS_TVM, CSRRS(A0, SATP, 0)},
                {MSTATUS_TVM, INSN_SFENCE_VMA},
                {MSTATUS_TW, INSN_WFI},
                {MSTATUS_TSR, INSN_SRET}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        rig_mode(&g, PRIV_S);
        CHECK(!is_illegal(&g, rows[i].insn));
        rig_mode(&g, PRIV_S);
        g.r.mstatus |= rows[i].bit;
        CHECK(is_illegal(&g, rows[i].insn));
        rig_mode(&g, PRIV_M);
        CHECK(!is_illegal(&g, rows[i].insn));
    }
}

TEST(riscv64_priv, u_mode_may_neither_wait_nor_return_nor_flush)
{
    static Rig g;
    static const uint32_t words[] = {INSN_WFI, INSN_SRET, INSN_MRET, INSN_SFENCE_VMA};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        rig_open(&g, false, NULL);
        rig_mode(&g, PRIV_U);
        CHECK(is_illegal(&g, words[i]));
    }
    rig_mode(&g, PRIV_S);
    CHECK(is_illegal(&g, INSN_MRET));
}

TEST(riscv64_priv, svinval_invalidates_at_once_and_its_fences_mind_no_tvm)
{
    enum { SINVAL_VMA = 0x16b50073, SFENCE_W_INVAL = 0x18000073, SFENCE_INVAL_IR = 0x18100073 };
    static Rig g;
    static const uint32_t words[] = {SINVAL_VMA, SFENCE_W_INVAL, SFENCE_INVAL_IR};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        rig_open(&g, false, NULL);
        g.r.x[A0] = 0x5000;
        g.r.x[A1] = 7;
        CHECK_INT(rig_step(&g, words[i]), i ? RIG_NEXT : RIG_SYNC);
        CHECK_INT(exec_double.tlb_flushes, !i);
        CHECK_INT(exec_double.gva, i ? 0 : 0x5000);
        CHECK_INT(exec_double.space_tag, i ? 0 : 7);
        g.r.mstatus |= MSTATUS_TVM;
        rig_mode(&g, PRIV_S);
        CHECK_INT(is_illegal(&g, words[i]), !i);
        rig_mode(&g, PRIV_U);
        CHECK(is_illegal(&g, words[i]));
        rig_open(&g, false, "rv64imac,svinval=off");
        CHECK(is_illegal(&g, words[i]));
    }
}

TEST(riscv64_priv, an_ecall_traps_with_its_privilege_and_an_ebreak_with_its_address)
{
    static Rig g;
    static const unsigned privs[] = {PRIV_U, PRIV_S, PRIV_M};
    for (size_t i = 0; i < ARRAY_LEN(privs); i++) {
        rig_open(&g, false, NULL);
        rig_mode(&g, privs[i]);
        CHECK_INT(rig_step(&g, INSN_ECALL), RIG_TRAP);
        CHECK_INT(g.r.f.trap.cause, CAUSE_ECALL_U + privs[i]);
        CHECK_INT(g.r.f.trap.value, 0);
        CHECK_INT(rig_step(&g, 0x9002), RIG_TRAP); /* c.ebreak */
        CHECK_INT(g.r.f.trap.cause, CAUSE_BREAKPOINT);
        CHECK_INT(g.r.f.trap.value, RIG_PC);
    }
}

TEST(riscv64_priv, under_a_hypervisor_an_ecall_of_s_mode_stops_and_one_of_u_mode_traps)
{
    static Rig g;
    rig_open(&g, true, NULL);
    g.r.x[17] = 0x10;
    g.r.x[16] = 3;
    g.r.x[A0] = 1;
    g.r.x[15] = 6;
    CHECK_INT(rig_step(&g, INSN_ECALL), RIG_STOP);
    CHECK_INT(g.r.f.stop_reason, STOP_HYPERCALL);
    CHECK_INT(g.r.f.pc, RIG_PC + 4);
    GuestCall call;
    guest_riscv64.call_get(&g.r.f, &call);
    CHECK_INT(call.nr, 0x1000000003);
    CHECK_INT(call.arg[0], 1);
    CHECK_INT(call.arg[5], 6);
    guest_riscv64.call_return(&g.r.f, (const uint64_t[]){-2ull, 9}, 2);
    CHECK_INT(g.r.x[A0], -2ull);
    CHECK_INT(g.r.x[A1], 9);
    rig_mode(&g, PRIV_U);
    CHECK_INT(rig_step(&g, INSN_ECALL), RIG_TRAP);
    CHECK_INT(g.r.f.trap.cause, CAUSE_ECALL_U);
}

TEST(riscv64_priv, wfi_waits_at_the_next_instruction)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(rig_step(&g, INSN_WFI), RIG_STOP);
    CHECK_INT(g.r.f.stop_reason, STOP_WAIT);
    CHECK_INT(g.r.f.pc, RIG_PC + 4);
}

TEST(riscv64_priv, returns_go_to_the_privilege_and_pc_that_were_saved)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.mepc = 0x4000;
    g.r.mstatus |= MSTATUS_MPIE | MSTATUS_MPRV | (uint64_t)PRIV_S << MSTATUS_MPP_SHIFT;
    CHECK_INT(rig_step(&g, INSN_MRET), RIG_SYNC);
    CHECK_INT(g.r.f.pc, 0x4000);
    CHECK_INT(g.r.priv, PRIV_S);
    CHECK_INT(g.r.mstatus, MSTATUS_UXL | MSTATUS_SXL | MSTATUS_MIE | MSTATUS_MPIE); /* MPP = U, no MPRV */
    g.r.sepc = 0x5000;
    CHECK_INT(rig_step(&g, INSN_SRET), RIG_SYNC);
    CHECK_INT(g.r.f.pc, 0x5000);
    CHECK_INT(g.r.priv, PRIV_U);
    CHECK_INT(g.r.mstatus & (MSTATUS_SIE | MSTATUS_SPIE), MSTATUS_SPIE);
}

TEST(riscv64_priv, mret_to_m_mode_keeps_mprv)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.mstatus |= MSTATUS_MPRV | MSTATUS_MPP;
    CHECK_INT(rig_step(&g, INSN_MRET), RIG_SYNC);
    CHECK_INT(g.r.mstatus & MSTATUS_MPRV, MSTATUS_MPRV);
    CHECK_INT(g.r.priv, PRIV_M);
}
