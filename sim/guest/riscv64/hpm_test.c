/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/riscv64/double/rig.h"

enum { A0 = 10, A1 = 11, NOP = 0x13 };
enum {
    HPMCOUNTER3 = 0xc03,
    MHPMCOUNTER3 = 0xb03,
    MHPMEVENT3 = 0x323,
    MCOUNTINHIBIT = 0x320,
    SCOUNTOVF = 0xda0,
    MIP = 0x344
};
#define OF    (1ull << 63)
#define MINH  (1ull << 62)
#define SINH  (1ull << 61)
#define UINH  (1ull << 60)
#define VSINH (1ull << 59)
#define VUINH (1ull << 58)

static uint64_t read_csr(Rig *g, unsigned csr)
{
    CHECK(rig_step(g, CSRRS(A0, csr, 0)) != RIG_TRAP);
    return g->r.x[A0];
}

static void write_csr(Rig *g, unsigned csr, uint64_t value)
{
    g->r.x[A1] = value;
    CHECK_INT(rig_step(g, CSRRW(0, csr, A1)), RIG_SYNC);
}

static void nops(Rig *g, unsigned n)
{
    while (n--) {
        CHECK_INT(rig_step(g, NOP), RIG_NEXT);
    }
}

TEST(riscv64_hpm, a_counter_counts_instructions_from_the_one_after_its_event_is_set)
{
    static Rig g;
    for (unsigned event = 1; event <= 2; event++) {
        rig_open(&g, false, NULL);
        nops(&g, 2);
        CHECK_INT(read_csr(&g, MHPMCOUNTER3), 0);
        write_csr(&g, MHPMEVENT3, event);
        nops(&g, 3);
        CHECK_INT(read_csr(&g, MHPMCOUNTER3), 3);
        CHECK_INT(read_csr(&g, HPMCOUNTER3), 4);
        write_csr(&g, MHPMCOUNTER3, 100);
        CHECK_INT(read_csr(&g, MHPMCOUNTER3), 100);
        write_csr(&g, MHPMEVENT3, 0);
        nops(&g, 3);
        CHECK_INT(read_csr(&g, MHPMCOUNTER3), 102); /* the read and the write */
    }
}

TEST(riscv64_hpm, events_that_there_are_not_stop_the_counter)
{
    static Rig g;
    rig_open(&g, false, NULL);
    write_csr(&g, MHPMEVENT3, 3);
    CHECK_INT(read_csr(&g, MHPMEVENT3), 0);
    write_csr(&g, MHPMEVENT3, ~0ull);
    CHECK_INT(read_csr(&g, MHPMEVENT3), OF | MINH | SINH | UINH | VSINH | VUINH);
    CHECK_INT(rig_step(&g, CSRRW(0, MHPMEVENT3 + HPM_COUNTERS, A1)), RIG_NEXT);
    CHECK_INT(read_csr(&g, MHPMEVENT3 + HPM_COUNTERS), 0);
    CHECK_INT(read_csr(&g, MHPMCOUNTER3), 0);
}

TEST(riscv64_hpm, an_inhibited_counter_stands_still)
{
    static Rig g;
    rig_open(&g, false, NULL);
    write_csr(&g, MHPMEVENT3, 2);
    write_csr(&g, MCOUNTINHIBIT, ~0ull);
    CHECK_INT(read_csr(&g, MCOUNTINHIBIT), 5 | COUNTERS_HPM);
    nops(&g, 3);
    CHECK_INT(read_csr(&g, MHPMCOUNTER3), 1);
    write_csr(&g, MCOUNTINHIBIT, 0);
    CHECK_INT(read_csr(&g, MHPMCOUNTER3), 1);
}

TEST(riscv64_hpm, a_counter_counts_in_the_modes_that_its_event_allows)
{
    static Rig g;
    static const struct {
        uint64_t inhibit, want;
    } rows[] = {{0, 9}, {MINH, 5}, {SINH, 6}, {UINH, 7}, {MINH | SINH, 2}, {MINH | UINH, 3}, {MINH | SINH | UINH, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        write_csr(&g, MHPMEVENT3, 2 | rows[i].inhibit);
        nops(&g, 3);
        g.r.mstatus = (uint64_t)PRIV_S << MSTATUS_MPP_SHIFT | MSTATUS_UXL | MSTATUS_SXL;
        CHECK_INT(rig_step(&g, INSN_MRET), RIG_SYNC); /* the fourth of M-mode */
        nops(&g, 2);
        CHECK_INT(rig_step(&g, INSN_SRET), RIG_SYNC); /* the third of S-mode */
        nops(&g, 2);
        riscv_take_trap(&g.r.f, &(Trap){.cause = CAUSE_ECALL_U});
        CHECK_INT(riscv_csr_read(&g.r, MHPMCOUNTER3, frame_insns(&g.r.f)), rows[i].want);
    }
}

TEST(riscv64_hpm, counters_below_machine_mode_are_enabled_one_by_one)
{
    static Rig g;
    for (unsigned i = 0; i < 29; i++) {
        rig_open(&g, false, NULL);
        riscv_csr_write(&g.r, 0x306, 1ull << (i + 3), 0);
        for (unsigned k = 0; k < 29; k++) {
            rig_mode(&g, PRIV_S);
            CHECK((rig_step(&g, CSRRS(A0, HPMCOUNTER3 + k, 0)) != RIG_TRAP) == (i == k && i < HPM_COUNTERS));
            rig_mode(&g, PRIV_M);
            CHECK(rig_step(&g, CSRRS(A0, HPMCOUNTER3 + k, 0)) != RIG_TRAP);
        }
    }
}

TEST(riscv64_hpm, guests_have_modes_and_enables_of_their_own)
{
    static Rig g;
    static const uint64_t inhibit[] = {0, SINH | UINH, VSINH, VUINH};
    for (size_t i = 0; i < ARRAY_LEN(inhibit); i++) {
        for (unsigned priv = PRIV_U; priv <= PRIV_S; priv++) {
            rig_open(&g, false, NULL);
            riscv_csr_write(&g.r, MHPMEVENT3, 2 | inhibit[i], 0);
            g.r.v = true;
            g.r.priv = (uint8_t)priv;
            riscv_hpm_settle(&g.r, 0);
            bool counts = inhibit[i] != (priv == PRIV_S ? VSINH : VUINH);
            CHECK_INT(riscv_csr_read(&g.r, MHPMCOUNTER3, 5), counts ? 5 : 0);
        }
    }
    for (unsigned open = 0; open < 8; open++) { /* mcounteren, hcounteren, scounteren */
        for (unsigned priv = PRIV_U; priv <= PRIV_S; priv++) {
            rig_open(&g, false, NULL);
            g.r.mcounteren = open & 1 ? 8 : 0x70;
            g.r.hcounteren = open & 2 ? 8 : 0x70;
            g.r.scounteren = open & 4 ? 8 : 0x70;
            g.r.v = true;
            g.r.priv = (uint8_t)priv;
            bool may = (open & 3) == 3 && (priv == PRIV_S || open & 4);
            CHECK_INT(rig_step(&g, CSRRS(A0, HPMCOUNTER3, 0)), may ? RIG_SYNC : RIG_TRAP);
            CHECK(may || g.r.f.trap.cause == (open & 1 ? CAUSE_VIRTUAL : CAUSE_ILLEGAL));
            CHECK(may || g.r.f.trap.value == CSRRS(A0, HPMCOUNTER3, 0));
        }
    }
}

TEST(riscv64_hpm, an_overflow_is_a_deadline_and_then_an_interrupt)
{
    static Rig g;
    rig_open(&g, false, NULL);
    exec_double.now_ns = 5000;
    CHECK_INT(riscv_deadline(&g.r.f), UINT64_MAX);
    write_csr(&g, MHPMEVENT3, 2);
    write_csr(&g, MHPMCOUNTER3, -3ull);
    CHECK_INT(riscv_deadline(&g.r.f), 5003);
    nops(&g, 2);
    CHECK_INT(riscv_deadline(&g.r.f), 5001);
    riscv_tick(&g.r.f, 5001); /* of another timer */
    CHECK_INT(riscv_mip(&g.r), 0);
    nops(&g, 1);
    CHECK_INT(riscv_deadline(&g.r.f), 5000);
    CHECK_INT(riscv_csr_read(&g.r, MHPMEVENT3, frame_insns(&g.r.f)), OF | 2); /* who looks now sees it */
    riscv_tick(&g.r.f, 5000);
    CHECK_INT(riscv_deadline(&g.r.f), UINT64_MAX);
    CHECK_INT(riscv_mip(&g.r), IRQ_LCOFI);
    CHECK_INT(read_csr(&g, MHPMEVENT3), OF | 2);
    CHECK_INT(read_csr(&g, SCOUNTOVF), 8);
    CHECK_INT(read_csr(&g, MHPMCOUNTER3), 2); /* it goes on */

    Trap t = {0};
    g.r.mie = IRQ_LCOFI;
    g.r.mstatus |= MSTATUS_MIE;
    CHECK(riscv_pending(&g.r.f, &t) && t.cause == (CAUSE_IRQ | 13));
    write_csr(&g, MIP, 0);
    CHECK(!riscv_pending(&g.r.f, &t));
    write_csr(&g, MHPMCOUNTER3, -1ull); /* OF is still set: nothing more to say */
    CHECK_INT(riscv_deadline(&g.r.f), UINT64_MAX);
    write_csr(&g, MHPMEVENT3, 2); /* the write that clears it makes the counter 0 after it */
    CHECK_INT(riscv_mip(&g.r), 0);
}

TEST(riscv64_hpm, an_overflow_by_the_instruction_that_stops_the_counter_is_not_lost)
{
    static Rig g;
    rig_open(&g, false, NULL);
    write_csr(&g, MHPMEVENT3, 2);
    write_csr(&g, MHPMCOUNTER3, -1ull);
    write_csr(&g, MCOUNTINHIBIT, 8);
    CHECK_INT(riscv_mip(&g.r), IRQ_LCOFI);
    CHECK_INT(read_csr(&g, MHPMEVENT3), OF | 2);
    CHECK_INT(read_csr(&g, MHPMCOUNTER3), 0);
}

TEST(riscv64_hpm, the_supervisor_sees_overflows_of_counters_that_it_may_read)
{
    static Rig g;
    rig_open(&g, false, NULL);
    riscv_csr_write(&g.r, MHPMEVENT3, OF, 0);
    riscv_csr_write(&g.r, MHPMEVENT3 + 2, OF, 0);
    rig_mode(&g, PRIV_S);
    CHECK_INT(read_csr(&g, SCOUNTOVF), 0);
    g.r.mcounteren = 0x20;
    CHECK_INT(read_csr(&g, SCOUNTOVF), 0x20);
    rig_mode(&g, PRIV_U);
    CHECK_INT(rig_step(&g, CSRRS(A0, SCOUNTOVF, 0)), RIG_TRAP);
}

TEST(riscv64_hpm, what_is_off_is_zero_or_does_not_exist)
{
    static Rig g;
    rig_open(&g, false, "rv64imac,sscofpmf=off");
    write_csr(&g, MHPMEVENT3, ~0ull << 2 | 1);
    CHECK_INT(read_csr(&g, MHPMEVENT3), 0);
    write_csr(&g, MHPMEVENT3, OF | 1);
    CHECK_INT(read_csr(&g, MHPMEVENT3), 1);
    write_csr(&g, MHPMCOUNTER3, -1ull);
    CHECK_INT(riscv_deadline(&g.r.f), UINT64_MAX);
    write_csr(&g, 0x304, ~0ull);
    CHECK_INT(read_csr(&g, 0x304), IRQ_ALL | IRQ_VS);
    CHECK_INT(rig_step(&g, CSRRS(A0, SCOUNTOVF, 0)), RIG_TRAP);
    rig_open(&g, false, "rv64imac,zihpm=off");
    write_csr(&g, MHPMEVENT3, 1);
    write_csr(&g, MHPMCOUNTER3, 7);
    write_csr(&g, 0x306, ~0ull);
    CHECK_INT(read_csr(&g, MHPMEVENT3) | read_csr(&g, MHPMCOUNTER3), 0);
    CHECK_INT(read_csr(&g, 0x306), 7);
    CHECK_INT(rig_step(&g, CSRRS(A0, HPMCOUNTER3, 0)), RIG_TRAP);
    CHECK_INT(rig_step(&g, CSRRS(A0, HPMCOUNTER3 + 28, 0)), RIG_TRAP);
    rig_open(&g, false, "rv64imac,zicntr=off");
    CHECK_INT(rig_step(&g, CSRRS(A0, 0xc01, 0)), RIG_TRAP);
}
