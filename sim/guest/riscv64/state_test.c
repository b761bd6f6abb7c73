/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/riscv64/double/rig.h"

#include <string.h>

static void trap(Rig *g, uint64_t cause, uint64_t value)
{
    guest_riscv64.take_trap(&g->r.f, &(Trap){.cause = cause, .value = value});
}

TEST(riscv64_state, reset_is_m_mode_or_the_s_mode_of_a_hypervisor)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(g.r.priv, PRIV_M);
    CHECK_INT(g.r.f.pc, RIG_PC);
    CHECK_INT(g.r.mstatus, MSTATUS_UXL | MSTATUS_SXL);
    CHECK_INT(g.r.menvcfg, MENVCFG_ADUE);
    CHECK_INT(riscv_csr_read(&g.r, 0x301, 0), 0x80000000001411ad); /* misa: RV64ACDFHIMSU */
    CHECK_INT(g.r.x[10] | g.r.x[11], 0);
    rig_open(&g, true, NULL);
    CHECK_INT(g.r.priv, PRIV_S);
    CHECK_INT(riscv_csr_read(&g.r, 0x100, 0), MSTATUS_UXL);
    CHECK_INT(g.r.menvcfg, MENVCFG_ADUE | MENVCFG_STCE | MENVCFG_PBMTE |
                               ENVCFG_CBO); /* or what the device tree says could not be used */
    RiscvCpu cpu = g.r.cpu;
    guest_riscv64.reset(&g.r.f, &(GuestReset){.hw_id = 3, .entry = 1, .arg = 0x8000, .cpu = &cpu});
    CHECK_INT(g.r.x[10], 3);
    CHECK_INT(g.r.x[11], 0x8000);
    CHECK_INT(g.r.f.pc, 0);
}

TEST(riscv64_state, a_trap_that_is_not_delegated_goes_to_m_mode)
{
    static Rig g;
    rig_open(&g, false, NULL);
    rig_mode(&g, PRIV_S);
    g.r.mtvec = 0x1001; /* vectored: for interrupts only */
    g.r.mstatus |= MSTATUS_MIE;
    trap(&g, CAUSE_LOAD_PAGE, 0x123);
    CHECK_INT(g.r.priv, PRIV_M);
    CHECK_INT(g.r.f.pc, 0x1000);
    CHECK_INT(g.r.mepc, RIG_PC);
    CHECK_INT(g.r.mcause, CAUSE_LOAD_PAGE);
    CHECK_INT(g.r.mtval, 0x123);
    CHECK_INT(g.r.mstatus & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP),
              MSTATUS_MPIE | (uint64_t)PRIV_S << MSTATUS_MPP_SHIFT);
}

TEST(riscv64_state, a_delegated_trap_goes_to_s_mode_but_never_from_m_mode)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.medeleg = 1u << CAUSE_LOAD_PAGE;
    g.r.stvec = 0x2000;
    g.r.mtvec = 0x1000;
    trap(&g, CAUSE_LOAD_PAGE, 1);
    CHECK_INT(g.r.f.pc, 0x1000);
    rig_mode(&g, PRIV_U);
    g.r.mstatus |= MSTATUS_SIE | MSTATUS_SPP;
    trap(&g, CAUSE_LOAD_PAGE, 0x123);
    CHECK_INT(g.r.priv, PRIV_S);
    CHECK_INT(g.r.f.pc, 0x2000);
    CHECK_INT(g.r.sepc, 0x1000);
    CHECK_INT(g.r.scause, CAUSE_LOAD_PAGE);
    CHECK_INT(g.r.stval, 0x123);
    CHECK_INT(g.r.mstatus & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP), MSTATUS_SPIE);
}

TEST(riscv64_state, a_vectored_interrupt_has_its_own_entry)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.mtvec = 0x1001;
    trap(&g, CAUSE_IRQ | 7, 0);
    CHECK_INT(g.r.f.pc, 0x1000 + 4 * 7);
    g.r.stvec = 0x2001;
    g.r.mideleg = IRQ_S;
    rig_mode(&g, PRIV_S);
    trap(&g, CAUSE_IRQ | 9, 0);
    CHECK_INT(g.r.f.pc, 0x2000 + 4 * 9);
}

TEST(riscv64_state, a_trap_ends_the_reservation)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.f.resv_size = 8;
    trap(&g, CAUSE_ILLEGAL, 0);
    CHECK_INT(g.r.f.resv_size, 0);
}

TEST(riscv64_state, under_a_hypervisor_every_trap_is_the_guests_own)
{
    static Rig g;
    rig_open(&g, true, NULL);
    g.r.stvec = 0x2000;
    for (unsigned cause = 0; cause < 16; cause++) {
        trap(&g, cause, 0);
        CHECK_INT(g.r.priv, PRIV_S);
        CHECK_INT(g.r.scause, cause);
    }
}

TEST(riscv64_state, interrupts_come_in_the_order_of_the_manual)
{
    static Rig g;
    static const unsigned order[] = {11, 3, 7, 9, 1, 5};
    rig_open(&g, false, NULL);
    g.r.mie = IRQ_ALL;
    g.r.mip_lines = IRQ_ALL & ~IRQ_SSI;
    g.r.mip_soft = IRQ_SSI;
    rig_mode(&g, PRIV_S);
    Trap t;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        CHECK(guest_riscv64.pending(&g.r.f, &t));
        CHECK_INT(t.cause, CAUSE_IRQ | order[i]);
        g.r.mip_lines &= ~(1ull << order[i]);
        g.r.mip_soft &= ~(1ull << order[i]);
    }
    CHECK(!guest_riscv64.pending(&g.r.f, &t));
}

TEST(riscv64_state, the_calm_word_is_the_mode_word_unless_something_may_be_pending)
{
    static Rig g;
    rig_open(&g, false, NULL);
    uint64_t word = guest_riscv64.mode_word(&g.r.f);
    CHECK(word);
    CHECK_INT(guest_riscv64.calm_word(&g.r.f), word);
    g.r.mip_lines = IRQ_STI;
    CHECK_INT(guest_riscv64.calm_word(&g.r.f), word); /* not enabled */
    g.r.mie = IRQ_STI;
    CHECK_INT(guest_riscv64.calm_word(&g.r.f), 0);
    g.r.mip_lines = IRQ_MTI;
    CHECK_INT(guest_riscv64.calm_word(&g.r.f), word);
    g.r.mie = IRQ_MTI; /* masked by MIE, but is asked for */
    CHECK_INT(guest_riscv64.calm_word(&g.r.f), 0);
    g.r.mie = 0;
    rig_mode(&g, PRIV_S);
    CHECK(guest_riscv64.calm_word(&g.r.f) == guest_riscv64.mode_word(&g.r.f));
    CHECK(guest_riscv64.calm_word(&g.r.f) != word);
}

TEST(riscv64_state, an_interrupt_waits_for_its_level_to_be_open)
{
    static Rig g;
    Trap t;
    rig_open(&g, false, NULL);
    g.r.mie = IRQ_MTI | IRQ_STI;
    g.r.mip_lines = IRQ_MTI | IRQ_STI;
    g.r.mideleg = IRQ_STI;
    CHECK(!guest_riscv64.pending(&g.r.f, &t)); /* M-mode, MIE off */
    CHECK(guest_riscv64.wakes(&g.r.f));
    g.r.mstatus |= MSTATUS_MIE;
    CHECK(guest_riscv64.pending(&g.r.f, &t) && t.cause == (CAUSE_IRQ | 7));
    g.r.mip_lines = IRQ_STI;
    CHECK(!guest_riscv64.pending(&g.r.f, &t)); /* not for S-mode while in M-mode */
    rig_mode(&g, PRIV_S);
    CHECK(!guest_riscv64.pending(&g.r.f, &t)); /* SIE off */
    g.r.mstatus |= MSTATUS_SIE;
    CHECK(guest_riscv64.pending(&g.r.f, &t) && t.cause == (CAUSE_IRQ | 5));
    g.r.mstatus &= ~MSTATUS_SIE;
    rig_mode(&g, PRIV_U);
    CHECK(guest_riscv64.pending(&g.r.f, &t)); /* always below its level */
    g.r.mie = 0;
    CHECK(!guest_riscv64.pending(&g.r.f, &t));
    CHECK(!guest_riscv64.wakes(&g.r.f));
}

TEST(riscv64_state, lines_show_in_mip_and_software_cannot_clear_them)
{
    static Rig g;
    static const uint64_t machine[] = {IRQ_MSI, IRQ_MTI, IRQ_MEI, IRQ_SEI},
                          virt[] = {IRQ_SSI, IRQ_STI, IRQ_SEI, IRQ_SEI};
    for (unsigned is_virt = 0; is_virt < 2; is_virt++) {
        for (unsigned line = LINE_SOFTWARE; line <= LINE_EXTERNAL_LOW; line++) {
            rig_open(&g, is_virt, "rv64imac,sstc=off");
            uint64_t bit = is_virt ? virt[line] : machine[line];
            guest_riscv64.line(&g.r.f, (GuestLine)line, true);
            CHECK(guest_riscv64.line_get(&g.r.f, (GuestLine)line));
            CHECK_INT(riscv_mip(&g.r), bit);
            riscv_csr_write(&g.r, is_virt ? 0x144 : 0x344, 0, 0);
            CHECK_INT(riscv_mip(&g.r), bit == IRQ_SSI ? 0 : bit); /* SSIP is the guest's to clear */
            guest_riscv64.line(&g.r.f, (GuestLine)line, false);
            CHECK(!guest_riscv64.line_get(&g.r.f, (GuestLine)line));
            CHECK_INT(riscv_mip(&g.r), 0);
        }
    }
}

TEST(riscv64_state, setting_a_bit_of_mip_does_not_latch_the_external_line)
{
    static Rig g;
    rig_open(&g, false, NULL);
    guest_riscv64.line(&g.r.f, LINE_EXTERNAL_LOW, true);
    g.r.x[10] = IRQ_SSI;
    CHECK_INT(rig_step(&g, CSRRS(11, 0x344, 10)), RIG_SYNC);
    CHECK_INT(g.r.x[11], IRQ_SEI);
    guest_riscv64.line(&g.r.f, LINE_EXTERNAL_LOW, false);
    CHECK_INT(riscv_mip(&g.r), IRQ_SSI);
}

TEST(riscv64_state, the_timer_of_s_mode_fires_at_stimecmp_and_stops_when_it_is_moved)
{
    static Rig g;
    rig_open(&g, true, NULL);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), UINT64_MAX); /* not set */
    riscv_csr_write(&g.r, 0x14d, 50, 0);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), 5000);
    CHECK_INT(riscv_mip(&g.r), 0);
    exec_double.now_ns = 5000;
    guest_riscv64.tick(&g.r.f, 5000);
    CHECK_INT(riscv_mip(&g.r), IRQ_STI);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), UINT64_MAX);
    riscv_csr_write(&g.r, 0x14d, 51, 0);
    CHECK_INT(riscv_mip(&g.r), 0);
    riscv_csr_write(&g.r, 0x14d, 49, 0); /* in the past: at once */
    CHECK_INT(riscv_mip(&g.r), IRQ_STI);
    riscv_csr_write(&g.r, 0x14d, UINT64_MAX, 0);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), UINT64_MAX);
}

TEST(riscv64_state, without_stce_stip_is_software_s_and_stimecmp_is_silent)
{
    static Rig g;
    rig_open(&g, false, NULL);
    exec_double.now_ns = 1000;
    riscv_csr_write(&g.r, 0x14d, 1, 0);
    CHECK_INT(riscv_mip(&g.r), 0);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), UINT64_MAX);
    riscv_csr_write(&g.r, 0x344, IRQ_STI, 0);
    CHECK_INT(riscv_mip(&g.r), IRQ_STI);
    riscv_csr_write(&g.r, 0x14d, 100, 0);
    riscv_csr_write(&g.r, 0x30a, MENVCFG_STCE, 0); /* now stimecmp owns the bit */
    CHECK_INT(riscv_mip(&g.r), 0);
}

TEST(riscv64_state, regimes_follow_privilege_sum_mxr_and_mprv)
{
    static const struct {
        unsigned priv;
        uint64_t mstatus;
        unsigned data, fetch;
    } rows[] = {
        {PRIV_M, 0, REGIME_M, REGIME_M},
        {PRIV_M, MSTATUS_SUM | MSTATUS_MXR, REGIME_M, REGIME_M},
        {PRIV_S, 0, REGIME_S, REGIME_S},
        {PRIV_S, MSTATUS_SUM, REGIME_S_SUM, REGIME_S},
        {PRIV_S, MSTATUS_MXR, REGIME_S_MXR, REGIME_S},
        {PRIV_S, MSTATUS_SUM | MSTATUS_MXR, REGIME_S_SUM_MXR, REGIME_S},
        {PRIV_U, MSTATUS_SUM, REGIME_U, REGIME_U},
        {PRIV_U, MSTATUS_MXR, REGIME_U_MXR, REGIME_U},
        {PRIV_M, MSTATUS_MPRV | (uint64_t)PRIV_S << MSTATUS_MPP_SHIFT, REGIME_S, REGIME_M},
        {PRIV_M, MSTATUS_MPRV, REGIME_U, REGIME_M},
        {PRIV_M, MSTATUS_MPRV | MSTATUS_MPP, REGIME_M, REGIME_M},
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        rig_mode(&g, rows[i].priv);
        g.r.mstatus |= rows[i].mstatus;
        uint64_t tag;
        unsigned data = 99, fetch = 99;
        guest_riscv64.context(&g.r.f, &tag, &data, &fetch);
        CHECK_INT(data, rows[i].data);
        CHECK_INT(fetch, rows[i].fetch);
    }
}

TEST(riscv64_state, an_address_space_is_its_asid_and_none_of_them_when_untranslated)
{
    static Rig g;
    uint64_t tag, bare;
    unsigned data, fetch;
    rig_open(&g, false, NULL);
    rig_mode(&g, PRIV_S);
    guest_riscv64.context(&g.r.f, &bare, &data, &fetch);
    CHECK(bare > 0xffff);
    g.r.satp = (uint64_t)SATP_SV39 << 60 | 0x1234ull << 44 | 5;
    guest_riscv64.context(&g.r.f, &tag, &data, &fetch);
    CHECK_INT(tag, 0x1234);
    rig_mode(&g, PRIV_M);
    guest_riscv64.context(&g.r.f, &tag, &data, &fetch);
    CHECK_INT(tag, bare);
}

TEST(riscv64_state, code_may_link_across_pages_only_where_fetches_are_not_checked)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK(guest_riscv64.fetch_is_flat(guest_riscv64.mode_key(&g.r.f)));
    riscv_csr_write(&g.r, 0x3a0, 0x80000000, 0);
    CHECK(!guest_riscv64.fetch_is_flat(guest_riscv64.mode_key(&g.r.f)));
    rig_open(&g, true, NULL);
    CHECK(guest_riscv64.fetch_is_flat(guest_riscv64.mode_key(&g.r.f)));
    g.r.satp = (uint64_t)SATP_SV39 << 60;
    CHECK(!guest_riscv64.fetch_is_flat(guest_riscv64.mode_key(&g.r.f)));
}
