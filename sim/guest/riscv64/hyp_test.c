/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/double/exec_double.h"
#include "sim/guest/riscv64/double/rig.h"

enum { A0 = 10, A1 = 11 };
enum { SSTATUS = 0x100, SIE = 0x104, STVEC = 0x105, SCOUNTEREN = 0x106, SENVCFG = 0x10a, SSCRATCH = 0x140 };
enum { SEPC = 0x141, SCAUSE = 0x142, STVAL = 0x143, SIP = 0x144, STIMECMP = 0x14d, SATP = 0x180 };
enum { VSSTATUS = 0x200, VSIE = 0x204, VSIP = 0x244, VSTIMECMP = 0x24d, VSATP = 0x280 };
enum { HSTATUS = 0x600, HIDELEG = 0x603, HIE = 0x604, HTIMEDELTA = 0x605, HGEIE = 0x607, HENVCFG = 0x60a };
enum { HIP = 0x644, HVIP = 0x645, HGATP = 0x680, HGEIP = 0xe12, MIDELEG = 0x303, MIE = 0x304, MENVCFG = 0x30a };
enum { MIP = 0x344, CYCLE = 0xc00, TIME = 0xc01 };
enum { HFENCE_VVMA = 0x22b50073, HFENCE_GVMA = 0x62b50073, HINVAL_VVMA = 0x26b50073, HINVAL_GVMA = 0x66b50073 };
enum { SINVAL_VMA = 0x16b50073, SFENCE_W_INVAL = 0x18000073, SFENCE_INVAL_IR = 0x18100073 };
enum { HLV_W = 0x6805c573, HLVX_WU = 0x6835c573, HLV_D = 0x6c05c573, HSV_W = 0x6aa5c073 }; /* a0, (a1) */

typedef enum { U, S, M, VU, VS } Mode;
static void mode(Rig *g, Mode m)
{
    rig_mode(g, m == M ? PRIV_M : m == S || m == VS ? PRIV_S : PRIV_U);
    g->r.v = m >= VU;
}

static uint64_t after(Rig *g, unsigned csr, uint64_t value)
{
    riscv_csr_write(&g->r, csr, value, 0);
    return riscv_csr_read(&g->r, csr, 0);
}

/* The cause of an instruction's trap, 0 if there is none. */
static uint64_t cause_of(Rig *g, uint32_t insn)
{
    g->r.x[A1] = RIG_BASE;
    if (rig_step(g, insn) != RIG_TRAP) {
        return CHECK(g->left != RIG_UNSOUND) ? 0 : UINT64_MAX;
    }
    if (g->r.f.trap.cause == CAUSE_ILLEGAL || g->r.f.trap.cause == CAUSE_VIRTUAL) {
        CHECK_INT(g->r.f.trap.value, insn);
    }
    return g->r.f.trap.cause;
}

#define TVM        MSTATUS_TVM
#define TW         MSTATUS_TW
#define TSR        MSTATUS_TSR
#define VTVM       HSTATUS_VTVM
#define VTW        HSTATUS_VTW
#define VTSR       HSTATUS_VTSR
#define HU         HSTATUS_HU
#define RDCSR(csr) CSRRS(A0, csr, 0)
enum { OK = 0, ILL = CAUSE_ILLEGAL, VIRT = CAUSE_VIRTUAL };

/* Priv 15.6.1, and what the modes without V say. */
static const struct {
    Mode mode;
    uint32_t insn;
    uint64_t mstatus, hstatus;
    unsigned cause;
} instructions[] = {
    {VS, INSN_SRET, 0, 0, OK},
    {VS, INSN_SRET, TSR, 0, OK}, /* of HS-mode only */
    {VS, INSN_SRET, 0, VTSR, VIRT},
    {VU, INSN_SRET, 0, 0, VIRT},
    {S, INSN_SRET, 0, VTSR, OK},
    {S, INSN_SRET, TSR, 0, ILL},
    {VS, INSN_MRET, 0, 0, ILL},
    {VU, INSN_MRET, 0, 0, ILL},
    {VS, INSN_WFI, 0, 0, OK},
    {VS, INSN_WFI, TW, 0, ILL},
    {VS, INSN_WFI, TW, VTW, ILL},
    {VS, INSN_WFI, 0, VTW, VIRT},
    {VU, INSN_WFI, 0, 0, VIRT},
    {VU, INSN_WFI, TW, 0, ILL},
    {S, INSN_WFI, 0, VTW, OK},
    {U, INSN_WFI, 0, 0, ILL},
    {VS, INSN_SFENCE_VMA, 0, 0, OK},
    {VS, INSN_SFENCE_VMA, TVM, 0, OK},
    {VS, INSN_SFENCE_VMA, 0, VTVM, VIRT},
    {VU, INSN_SFENCE_VMA, 0, 0, VIRT},
    {S, INSN_SFENCE_VMA, 0, VTVM, OK},
    {VS, SINVAL_VMA, 0, 0, OK},
    {VS, SINVAL_VMA, 0, VTVM, VIRT},
    {VU, SINVAL_VMA, 0, 0, VIRT},
    {VS, SFENCE_W_INVAL, 0, VTVM, OK},
    {VU, SFENCE_W_INVAL, 0, 0, VIRT},
    {VS, SFENCE_INVAL_IR, TVM, VTVM, OK},
    {VU, SFENCE_INVAL_IR, 0, 0, VIRT},
    {VS, RDCSR(SATP), 0, 0, OK},
    {VS, RDCSR(SATP), TVM, 0, OK},
    {VS, RDCSR(SATP), TVM, VTVM, VIRT},
    {VU, RDCSR(SATP), TVM, 0, VIRT},
    {S, RDCSR(SATP), TVM, 0, ILL},
    {S, RDCSR(SATP), 0, VTVM, OK},
    {S, RDCSR(VSATP), TVM, 0, OK},
    {S, RDCSR(HGATP), 0, 0, OK},
    {S, RDCSR(HGATP), TVM, 0, ILL},
    {M, RDCSR(HGATP), TVM, 0, OK},
    {VS, RDCSR(HGATP), TVM, 0, VIRT},
    {VU, RDCSR(HGATP), 0, 0, VIRT},
    {U, RDCSR(HGATP), 0, 0, ILL},
    {VS, RDCSR(HSTATUS), 0, 0, VIRT},
    {VS, RDCSR(VSSTATUS), 0, 0, VIRT},
    {VU, RDCSR(VSATP), 0, 0, VIRT},
    {VS, RDCSR(HGEIP), 0, 0, VIRT},
    {VS, CSRRW(0, HGEIP, A0), 0, 0, ILL}, /* HS-mode may not either */
    {S, RDCSR(HGEIP), 0, 0, OK},
    {VU, RDCSR(SSTATUS), 0, 0, VIRT},
    {VU, RDCSR(SENVCFG), 0, 0, VIRT},
    {VS, RDCSR(SENVCFG), 0, 0, OK},
    {VS, RDCSR(SCOUNTEREN), 0, 0, OK},
    {VS, RDCSR(0x300), 0, 0, ILL},
    {VU, RDCSR(0x34b), 0, 0, ILL},
    {VS, RDCSR(0x110), 0, 0, ILL}, /* no such CSR */
    {VS, HFENCE_VVMA, 0, 0, VIRT},
    {VU, HFENCE_GVMA, 0, 0, VIRT},
    {U, HFENCE_VVMA, 0, 0, ILL},
    {S, HFENCE_VVMA, TVM, 0, OK},
    {S, HFENCE_GVMA, 0, 0, OK},
    {S, HFENCE_GVMA, TVM, 0, ILL},
    {M, HFENCE_GVMA, TVM, 0, OK},
    {VS, HINVAL_VVMA, 0, 0, VIRT},
    {S, HINVAL_VVMA, TVM, 0, OK},
    {S, HINVAL_GVMA, TVM, 0, ILL},
    {S, HLV_W, 0, 0, OK},
    {M, HLV_W, 0, 0, OK},
    {M, HSV_W, 0, 0, OK},
    {U, HLV_W, 0, 0, ILL},
    {U, HLV_W, 0, HU, OK},
    {U, HSV_W, 0, HU, OK},
    {U, HLVX_WU, 0, 0, ILL},
    {VS, HLV_W, 0, HU, VIRT},
    {VU, HLV_D, 0, HU, VIRT},
    {VU, HSV_W, 0, HU, VIRT},
    {VS, INSN_ECALL, 0, 0, CAUSE_ECALL_VS},
    {VU, INSN_ECALL, 0, 0, CAUSE_ECALL_U},
    {S, INSN_ECALL, 0, 0, CAUSE_ECALL_U + PRIV_S},
    {VS, INSN_EBREAK, 0, 0, CAUSE_BREAKPOINT},
    {VS, 0xffffffff, 0, 0, ILL},
};

TEST(riscv64_hyp, an_instruction_is_allowed_illegal_or_virtual_by_mode_and_enables)
{
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(instructions); i++) {
        rig_open(&g, false, NULL);
        mode(&g, instructions[i].mode);
        g.r.mstatus |= instructions[i].mstatus;
        g.r.hstatus |= instructions[i].hstatus;
        if (!CHECK_INT(cause_of(&g, instructions[i].insn), instructions[i].cause)) {
            CHECK_INT(i, UINT64_MAX); /* the row */
        }
    }
}

/* Priv 15.2.6, 15.6.1; Sstc 3. */
TEST(riscv64_hyp, counters_and_timers_of_a_guest_are_opened_by_hcounteren_and_henvcfg)
{
    static const struct {
        Mode mode;
        unsigned csr, m, h, s;
        bool has_mstce, has_hstce;
        unsigned cause;
    } rows[] = {
        {VS, CYCLE, 1, 1, 0, false, false, OK},
        {VS, CYCLE, 1, 0, 7, false, false, VIRT},
        {VS, CYCLE, 0, 1, 7, false, false, ILL},
        {VU, CYCLE, 1, 1, 1, false, false, OK},
        {VU, CYCLE, 1, 1, 0, false, false, VIRT},
        {VU, CYCLE, 1, 0, 1, false, false, VIRT},
        {VU, CYCLE, 0, 1, 1, false, false, ILL},
        {S, CYCLE, 1, 0, 0, false, false, OK}, /* hcounteren is for guests */
        {U, CYCLE, 1, 0, 1, false, false, OK},
        {VS, TIME, 2, 2, 0, false, false, OK},
        {VS, TIME, 2, 5, 0, false, false, VIRT},
        {VS, STIMECMP, 2, 2, 0, true, true, OK},
        {VS, STIMECMP, 2, 2, 0, true, false, VIRT},
        {VS, STIMECMP, 2, 0, 0, true, true, VIRT},
        {VS, STIMECMP, 0, 2, 0, true, true, ILL},
        {VS, STIMECMP, 2, 2, 0, false, false, ILL},
        {VU, STIMECMP, 2, 2, 2, true, true, VIRT},
        {VU, STIMECMP, 0, 2, 2, true, true, ILL},
        {VS, VSTIMECMP, 2, 2, 0, true, true, VIRT},
        {VS, VSTIMECMP, 0, 2, 0, true, true, ILL},
        {S, VSTIMECMP, 2, 0, 0, true, false, OK},
        {S, VSTIMECMP, 2, 0, 0, false, false, ILL},
        {M, VSTIMECMP, 0, 0, 0, false, false, OK},
        {VS, 0xc03, 7, 7, 7, false, false, ILL}, /* hpmcounter3 */
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        after(&g, MENVCFG, rows[i].has_mstce ? MENVCFG_STCE : 0);
        after(&g, HENVCFG, rows[i].has_hstce ? MENVCFG_STCE : 0);
        g.r.mcounteren = rows[i].m;
        g.r.hcounteren = rows[i].h;
        g.r.scounteren = rows[i].s;
        mode(&g, rows[i].mode);
        if (!CHECK_INT(cause_of(&g, RDCSR(rows[i].csr)), rows[i].cause)) {
            CHECK_INT(i, UINT64_MAX);
        }
    }
}

TEST(riscv64_hyp, without_h_there_is_none_of_it)
{
    static Rig g;
    static const uint32_t words[] = {HFENCE_VVMA, HFENCE_GVMA, HINVAL_VVMA,    HINVAL_GVMA,  HLV_W,
                                     HLVX_WU,     HSV_W,       RDCSR(HSTATUS), RDCSR(VSATP), RDCSR(0x34a)};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        rig_open(&g, false, "rv64imac,h=off");
        CHECK_INT(cause_of(&g, words[i]), ILL);
        rig_open(&g, true, NULL); /* a guest has no hypervisor */
        CHECK_INT(cause_of(&g, words[i]), ILL);
    }
    rig_open(&g, false, "rv64imac,svinval=off");
    CHECK_INT(cause_of(&g, HINVAL_VVMA), ILL);
    CHECK_INT(cause_of(&g, HFENCE_VVMA), OK);
    rig_open(&g, false, "rv64imac,sstc=off");
    CHECK_INT(cause_of(&g, RDCSR(VSTIMECMP)), ILL);
}

/* Priv 15.2: what HS-mode calls vsepc, VS-mode calls sepc. */
TEST(riscv64_hyp, with_v_the_supervisor_s_csrs_are_the_guest_s)
{
    static const unsigned swapped[] = {SSTATUS, STVEC, SSCRATCH, SEPC, SCAUSE, STVAL, SATP};
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(swapped); i++) {
        rig_open(&g, false, NULL);
        uint64_t own = riscv_csr_read(&g.r, swapped[i], 0);
        mode(&g, VS);
        g.r.x[A0] = swapped[i] == SSTATUS ? MSTATUS_SUM : 8ull << 60 | 0x1230;
        CHECK_INT(cause_of(&g, CSRRW(0, swapped[i], A0)), OK);
        CHECK_INT(riscv_csr_read(&g.r, swapped[i], 0), own);
        CHECK(riscv_csr_read(&g.r, swapped[i] + 0x100, 0) != 0);
        CHECK_INT(cause_of(&g, RDCSR(swapped[i])), OK);
        CHECK_INT(g.r.x[A0], riscv_csr_read(&g.r, swapped[i] + 0x100, 0));
    }
    rig_open(&g, false, NULL);
    mode(&g, VS);
    g.r.x[A0] = 1;
    CHECK_INT(cause_of(&g, CSRRW(0, SENVCFG, A0)), OK); /* the hypervisor swaps these itself */
    CHECK_INT(g.r.senvcfg, 1);
}

TEST(riscv64_hyp, interrupts_of_a_guest_are_its_supervisor_s_where_they_are_delegated)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(riscv_csr_read(&g.r, MIDELEG, 0), IRQ_VS); /* read-only 1 */
    CHECK_INT(after(&g, HVIP, ~0ull), IRQ_VS);
    CHECK_INT(riscv_csr_read(&g.r, HIP, 0), IRQ_VS);
    CHECK_INT(riscv_csr_read(&g.r, MIP, 0), IRQ_VS);
    CHECK_INT(riscv_csr_read(&g.r, SIP, 0), 0);
    CHECK_INT(riscv_csr_read(&g.r, VSIP, 0), 0);
    CHECK_INT(after(&g, HIE, ~0ull), IRQ_VS);
    CHECK_INT(riscv_csr_read(&g.r, MIE, 0), IRQ_VS);
    CHECK_INT(riscv_csr_read(&g.r, SIE, 0), 0);
    CHECK_INT(riscv_csr_read(&g.r, VSIE, 0), 0);
    CHECK_INT(after(&g, HIDELEG, ~0ull), IRQ_VS);
    CHECK_INT(riscv_csr_read(&g.r, VSIP, 0), IRQ_S);
    CHECK_INT(after(&g, VSIP, 0), IRQ_STI | IRQ_SEI);
    CHECK_INT(riscv_csr_read(&g.r, HVIP, 0), IRQ_VSTI | IRQ_VSEI);
    CHECK_INT(after(&g, VSIE, IRQ_SSI), IRQ_SSI);
    CHECK_INT(riscv_csr_read(&g.r, HIE, 0), IRQ_VSSI);
    after(&g, HIDELEG, IRQ_VSTI);
    CHECK_INT(after(&g, VSIE, ~0ull), IRQ_STI);
    CHECK_INT(after(&g, HIP, ~0ull), IRQ_VS); /* VSSIP is all of it that can be written */
    CHECK_INT(after(&g, HIP, 0), IRQ_VSTI | IRQ_VSEI);
    CHECK_INT(after(&g, MIP, IRQ_VSSI) & IRQ_VS, IRQ_VS);
    g.r.x[A0] = IRQ_SSI;
    CHECK_INT(cause_of(&g, CSRRS(A1, MIP, A0)), OK);
    CHECK_INT(riscv_mip(&g.r), IRQ_SSI | IRQ_VS); /* what was there stays */
    CHECK_INT(after(&g, HGEIE, ~0ull), 0);        /* no guest external interrupts */
}

TEST(riscv64_hyp, hgatp_takes_what_it_can_of_a_mode_that_there_is_not)
{
    static Rig g;
    rig_open(&g, false, NULL);
    CHECK_INT(after(&g, HGATP, ~0ull), 0x3fffull << 44 | 0xffffffffffc);
    CHECK_INT(after(&g, HGATP, 8ull << 60 | 0x1237), 8ull << 60 | 0x1234);
    CHECK_INT(after(&g, HGATP, 3ull << 60 | 1ull << 44 | 0x10), 8ull << 60 | 1ull << 44 | 0x10);
    CHECK_INT(after(&g, VSATP, 9ull << 60 | 5), 9ull << 60 | 5);
    CHECK_INT(after(&g, VSATP, 1ull << 60 | 6), 9ull << 60 | 5); /* ignored, as of satp */
    rig_open(&g, false, "rv64imac,sv48=off");
    CHECK_INT(after(&g, HGATP, 9ull << 60 | 4), 4);
    CHECK_INT(after(&g, VSATP, 9ull << 60 | 4), 0);
}

TEST(riscv64_hyp, henvcfg_has_no_more_than_menvcfg)
{
    static Rig g;
    const uint64_t all = MENVCFG_FIOM | ENVCFG_CBO | MENVCFG_ADUE | MENVCFG_PBMTE | MENVCFG_STCE;
    rig_open(&g, false, NULL);
    CHECK_INT(after(&g, MENVCFG, ~0ull), all);
    CHECK_INT(after(&g, HENVCFG, ~0ull), all);
    after(&g, MENVCFG, MENVCFG_PBMTE);
    CHECK_INT(riscv_csr_read(&g.r, HENVCFG, 0), MENVCFG_FIOM | ENVCFG_CBO | MENVCFG_PBMTE);
    CHECK_INT(after(&g, HENVCFG, ~0ull), MENVCFG_FIOM | ENVCFG_CBO | MENVCFG_PBMTE);
}

/* ---- traps (Priv 15.6.2) ---- */
static void trap(Rig *g, const Trap *t)
{
    guest_riscv64.take_trap(&g->r.f, t);
}

static void deleg_open(Rig *g, Mode m, uint64_t medeleg, uint64_t hedeleg)
{
    rig_open(g, false, NULL);
    g->r.medeleg = medeleg;
    g->r.hedeleg = hedeleg;
    g->r.mtvec = 0x1000;
    g->r.stvec = 0x2000;
    g->r.vstvec = 0x3000;
    mode(g, m);
}

TEST(riscv64_hyp, a_trap_of_a_guest_goes_as_far_down_as_it_is_delegated)
{
    const uint64_t page = 1u << CAUSE_LOAD_PAGE;
    static const struct {
        Mode mode;
        bool is_m, is_h;
        unsigned pc;
    } rows[] = {{VU, true, true, 0x3000},  {VS, true, true, 0x3000},  {VU, true, false, 0x2000},
                {VS, true, false, 0x2000}, {VS, false, true, 0x1000}, {VU, false, false, 0x1000},
                {S, true, true, 0x2000},   {U, true, true, 0x2000},   {M, true, true, 0x1000}};
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        deleg_open(&g, rows[i].mode, rows[i].is_m ? page : 0, rows[i].is_h ? page : 0);
        trap(&g, &(Trap){.cause = CAUSE_LOAD_PAGE, .value = 0x123, .value3 = g.r.v ? TRAP_GVA : 0});
        CHECK_INT(g.r.f.pc, rows[i].pc);
        CHECK_INT(g.r.v, rows[i].pc == 0x3000);
        CHECK_INT(g.r.priv, rows[i].pc == 0x1000 ? PRIV_M : PRIV_S);
        CHECK_INT(rows[i].pc == 0x1000 ? g.r.mtval : rows[i].pc == 0x2000 ? g.r.stval : g.r.vstval, 0x123);
        CHECK_INT(rows[i].pc == 0x1000 ? g.r.mepc : rows[i].pc == 0x2000 ? g.r.sepc : g.r.vsepc, RIG_PC);
    }
}

TEST(riscv64_hyp, a_trap_into_hs_mode_says_where_it_came_from)
{
    static const struct {
        Mode mode;
        bool is_gva;
        uint64_t before, hstatus, spp;
    } rows[] = {
        {VS, true, 0, HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_GVA, MSTATUS_SPP},
        {VU, true, HSTATUS_SPVP, HSTATUS_SPV | HSTATUS_GVA, 0},
        {VS, false, HSTATUS_GVA, HSTATUS_SPV | HSTATUS_SPVP, MSTATUS_SPP},
        {S, false, HSTATUS_SPVP | HSTATUS_SPV | HSTATUS_GVA, HSTATUS_SPVP, MSTATUS_SPP}, /* SPVP is of guests */
        {S, true, 0, HSTATUS_GVA, MSTATUS_SPP},                                          /* hlv */
        {U, false, HSTATUS_SPV, 0, 0},
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        deleg_open(&g, rows[i].mode, ~0ull, 0);
        g.r.hstatus |= rows[i].before;
        trap(&g, &(Trap){.cause = CAUSE_LOAD_GUEST_PAGE,
                         .value2 = 0x44,
                         .value3 = 0x3000 | (rows[i].is_gva ? TRAP_GVA : 0)});
        CHECK_INT(g.r.hstatus, rows[i].hstatus | HSTATUS_VSXL);
        CHECK_INT(g.r.mstatus & MSTATUS_SPP, rows[i].spp);
        CHECK_INT(g.r.htval, 0x44);
        CHECK_INT(g.r.htinst, 0x3000);
        deleg_open(&g, rows[i].mode, ~0ull, 0);
        trap(&g, &(Trap){.cause = CAUSE_ILLEGAL, .value = 1});
        CHECK_INT(g.r.htval | g.r.htinst | (g.r.hstatus & HSTATUS_GVA), 0);
    }
    deleg_open(&g, VS, ~0ull, 0);
    trap(&g, &(Trap){.cause = CAUSE_BREAKPOINT, .value = RIG_PC});
    CHECK_INT(g.r.hstatus & HSTATUS_GVA, HSTATUS_GVA); /* an address of the guest */
}

TEST(riscv64_hyp, a_trap_into_m_mode_keeps_v_and_mret_brings_it_back)
{
    static Rig g;
    deleg_open(&g, VS, 0, 0);
    trap(&g, &(Trap){.cause = CAUSE_STORE_GUEST_PAGE, .value2 = 0x55, .value3 = TRAP_GVA | 0x3020});
    CHECK_INT(g.r.mstatus & (MSTATUS_MPV | MSTATUS_GVA | MSTATUS_MPP), MSTATUS_MPV | MSTATUS_GVA | 1ull << 11);
    CHECK_INT(g.r.mtval2, 0x55);
    CHECK_INT(g.r.mtinst, 0x3020);
    CHECK(!g.r.v);
    CHECK_INT(rig_step(&g, INSN_MRET), RIG_SYNC);
    CHECK(g.r.v && g.r.priv == PRIV_S);
    CHECK_INT(g.r.mstatus & MSTATUS_MPV, 0);
    mode(&g, S);
    trap(&g, &(Trap){.cause = CAUSE_ILLEGAL});
    CHECK_INT(g.r.mstatus & (MSTATUS_MPV | MSTATUS_GVA), 0);
    g.r.mstatus |= MSTATUS_MPV | MSTATUS_MPP; /* M-mode is never a guest */
    CHECK_INT(rig_step(&g, INSN_MRET), RIG_SYNC);
    CHECK(!g.r.v && g.r.priv == PRIV_M);
}

TEST(riscv64_hyp, sret_of_hs_mode_enters_the_guest_and_that_of_vs_mode_stays_there)
{
    static Rig g;
    rig_open(&g, false, NULL);
    mode(&g, S);
    g.r.hstatus |= HSTATUS_SPV;
    g.r.mstatus |= MSTATUS_SPP | MSTATUS_SPIE;
    g.r.sepc = 0x5000;
    CHECK_INT(rig_step(&g, INSN_SRET), RIG_SYNC);
    CHECK(g.r.v && g.r.priv == PRIV_S);
    CHECK_INT(g.r.hstatus & HSTATUS_SPV, 0);
    CHECK_INT(g.r.f.pc, 0x5000);
    CHECK_INT(g.r.mstatus & (MSTATUS_SIE | MSTATUS_SPP), MSTATUS_SIE);
    g.r.vsepc = 0x6000;
    g.r.vsstatus |= MSTATUS_SPIE;
    CHECK_INT(rig_step(&g, INSN_SRET), RIG_SYNC);
    CHECK(g.r.v && g.r.priv == PRIV_U);
    CHECK_INT(g.r.f.pc, 0x6000);
    CHECK_INT(g.r.vsstatus, MSTATUS_UXL | MSTATUS_SIE | MSTATUS_SPIE);
    mode(&g, S);
    CHECK_INT(rig_step(&g, INSN_SRET), RIG_SYNC);
    CHECK(!g.r.v);
}

/* ---- interrupts (Priv 15.4.2, 15.4.3, 15.2.13) ---- */
TEST(riscv64_hyp, interrupts_of_a_guest_wait_for_it_and_come_as_those_of_a_supervisor)
{
    static const struct {
        Mode mode;
        bool is_on, is_delegated; /* the SIE of the mode; in hideleg */
        unsigned pc;              /* 0: it waits */
    } rows[] = {
        {VS, true, true, 0x3000 + 4},
        {VS, false, true, 0},
        {VU, false, true, 0x3000 + 4},
        {VS, false, false, 0x2000 + 8},
        {VU, false, false, 0x2000 + 8},
        {S, true, false, 0x2000 + 8},
        {S, false, false, 0},
        {S, true, true, 0},
        {U, true, true, 0},
        {U, false, false, 0x2000 + 8},
        {M, true, false, 0},
    };
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Trap t;
        deleg_open(&g, rows[i].mode, 0, 0);
        g.r.stvec |= 1;
        g.r.vstvec |= 1;
        g.r.hideleg = rows[i].is_delegated ? IRQ_VSSI : 0;
        g.r.mie = g.r.hvip = IRQ_VSSI;
        *(g.r.v ? &g.r.vsstatus : &g.r.mstatus) |= rows[i].is_on ? MSTATUS_SIE | MSTATUS_MIE : 0;
        CHECK(riscv_wakes(&g.r.f));
        if (!CHECK_INT(riscv_pending(&g.r.f, &t), rows[i].pc != 0)) {
            CHECK_INT(i, UINT64_MAX);
            continue;
        }
        if (rows[i].pc) {
            trap(&g, &t);
            CHECK_INT(g.r.f.pc, rows[i].pc);
            CHECK_INT(g.r.v ? g.r.vscause : g.r.scause, CAUSE_IRQ | (g.r.v ? 1 : 2));
        }
    }
}

TEST(riscv64_hyp, interrupts_of_a_guest_come_after_those_of_its_host)
{
    static const unsigned order[] = {11, 3, 7, 9, 1, /* M-mode */ 5, 10, 2, /* HS-mode */ 6 /* VS-mode */};
    static Rig g;
    Trap t;
    rig_open(&g, false, NULL);
    mode(&g, VU);
    g.r.mie = IRQ_ALL | IRQ_VS;
    g.r.mip_lines = IRQ_ALL & ~IRQ_SSI;
    g.r.mip_soft = IRQ_SSI;
    g.r.hvip = IRQ_VS;
    g.r.mideleg |= IRQ_STI;
    g.r.hideleg = IRQ_VSTI;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        CHECK(riscv_pending(&g.r.f, &t));
        CHECK_INT(t.cause, CAUSE_IRQ | order[i]);
        uint64_t bit = 1ull << (t.cause & 63);
        g.r.mip_lines &= ~bit;
        g.r.mip_soft &= ~bit;
        g.r.hvip &= ~bit;
    }
    CHECK(!riscv_pending(&g.r.f, &t));
}

/* ---- time (Priv 15.2.7; Sstc 3) ---- */
TEST(riscv64_hyp, a_guest_has_its_own_time_and_timer)
{
    static Rig g;
    rig_open(&g, false, NULL);
    exec_double.now_ns = 100000; /* 1000 ticks */
    after(&g, MENVCFG, MENVCFG_STCE);
    CHECK_INT(after(&g, HTIMEDELTA, -400ull), -400ull);
    CHECK_INT(riscv_csr_read(&g.r, TIME, 0), 1000);
    mode(&g, VS);
    CHECK_INT(riscv_csr_read(&g.r, TIME, 0), 600);
    after(&g, VSTIMECMP, 650);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), UINT64_MAX); /* henvcfg says no */
    after(&g, HENVCFG, MENVCFG_STCE);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), 105000);
    CHECK_INT(riscv_mip(&g.r), 0);
    exec_double.now_ns = 105000;
    CHECK_INT(guest_riscv64.deadline(&g.r.f), 0); /* now */
    guest_riscv64.tick(&g.r.f, 105000);
    CHECK_INT(riscv_mip(&g.r), IRQ_VSTI);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), UINT64_MAX);
    after(&g, VSTIMECMP, 651);
    CHECK_INT(riscv_mip(&g.r), 0);
    after(&g, HVIP, IRQ_VSTI); /* either */
    CHECK_INT(riscv_mip(&g.r), IRQ_VSTI);
}

TEST(riscv64_hyp, the_sum_of_time_and_its_delta_wraps)
{
    static Rig g;
    rig_open(&g, false, NULL);
    exec_double.now_ns = 100000;
    after(&g, MENVCFG, MENVCFG_STCE);
    after(&g, HENVCFG, MENVCFG_STCE);
    after(&g, HTIMEDELTA, -2000ull);
    after(&g, VSTIMECMP, 5);
    CHECK_INT(riscv_mip(&g.r), IRQ_VSTI);              /* the guest's time is -1000 */
    CHECK_INT(guest_riscv64.deadline(&g.r.f), 200000); /* at 0 it is due no longer */
    exec_double.now_ns = 200000;
    guest_riscv64.tick(&g.r.f, 200000);
    CHECK_INT(riscv_mip(&g.r), 0);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), 200500);
    after(&g, HTIMEDELTA, 0);
    after(&g, VSTIMECMP, UINT64_MAX);
    CHECK_INT(guest_riscv64.deadline(&g.r.f), UINT64_MAX);
}

/* ---- spaces of the TLB ---- */
typedef struct {
    uint64_t tag;
    unsigned data, fetch;
} Context;

static Context context(const Rig *g)
{
    Context c = {0};
    riscv_context(&g->r.f, &c.tag, &c.data, &c.fetch);
    return c;
}

TEST(riscv64_hyp, a_space_is_of_one_vmid_asid_and_mxr_and_no_host_s)
{
    static Rig g;
    rig_open(&g, false, NULL);
    uint64_t sv39 = (uint64_t)SATP_SV39 << 60;
    g.r.satp = g.r.vsatp = sv39 | 7ull << 44;
    mode(&g, S);
    uint64_t host = context(&g).tag;
    mode(&g, VS);
    uint64_t guest = context(&g).tag;
    CHECK(guest != host);
    g.r.hgatp = 1ull << 44;
    CHECK(context(&g).tag != guest && context(&g).tag != host);
    g.r.hgatp = 0;
    g.r.vsatp = sv39 | 8ull << 44;
    CHECK(context(&g).tag != guest);
    g.r.vsatp = sv39 | 7ull << 44;
    g.r.mstatus |= MSTATUS_MXR;
    CHECK(context(&g).tag != guest);
    CHECK_INT(context(&g).data, REGIME_VS); /* of vsstatus */
    g.r.vsstatus |= MSTATUS_SUM;
    CHECK_INT(context(&g).data, REGIME_VS_SUM);
    CHECK_INT(context(&g).fetch, REGIME_VS);
    mode(&g, VU);
    g.r.vsstatus |= MSTATUS_MXR;
    CHECK_INT(context(&g).data, REGIME_VU_MXR);
    mode(&g, M);
    g.r.mstatus |= MSTATUS_MPRV | MSTATUS_MPV | (uint64_t)PRIV_S << MSTATUS_MPP_SHIFT;
    CHECK_INT(context(&g).data, REGIME_VS_SUM_MXR);
    CHECK_INT(context(&g).fetch, REGIME_M);
    g.r.mstatus |= MSTATUS_MPP;
    CHECK_INT(context(&g).data, REGIME_M);
}

TEST(riscv64_hyp, fences_flush_the_spaces_of_the_guest)
{
    static Rig g;
    rig_open(&g, false, NULL);
    g.r.vsatp = (uint64_t)SATP_SV39 << 60 | 7ull << 44;
    g.r.hgatp = 3ull << 44;
    g.r.mstatus |= MSTATUS_MXR;
    mode(&g, VS);
    uint64_t tag = context(&g).tag;
    g.r.x[A0] = 0x5000;
    g.r.x[A1] = 7;
    CHECK_INT(rig_step(&g, 0x12b50073), RIG_SYNC); /* sfence.vma a0, a1 */
    CHECK_INT(exec_double.gva, 0x5000);
    CHECK_INT(exec_double.space_tag, tag); /* the last: that with MXR */
    CHECK_INT(exec_double.tlb_flushes, 2);
    mode(&g, S);
    CHECK_INT(rig_step(&g, HFENCE_VVMA), RIG_SYNC);
    CHECK_INT(exec_double.space_tag, tag);
    CHECK_INT(rig_step(&g, 0x22050073), RIG_SYNC); /* hfence.vvma a0 */
    CHECK_INT(exec_double.gva, 0x5000);
    CHECK_INT(exec_double.space_tag, UINT64_MAX);
    CHECK_INT(rig_step(&g, HFENCE_GVMA), RIG_SYNC);
    CHECK_INT(exec_double.gva, UINT64_MAX);
    CHECK_INT(exec_double.space_tag, UINT64_MAX);
    unsigned before = exec_double.tlb_flushes;
    after(&g, HGATP, 8ull << 60 | 3ull << 44);
    after(&g, VSATP, 0);
    CHECK_INT(exec_double.tlb_flushes, before + 2); /* other modes */
}

TEST(riscv64_hyp, accesses_of_a_guest_s_memory_name_its_regime)
{
    static Rig g;
    rig_open(&g, false, NULL);
    rig_translate(&g, HLV_W);
    CHECK_INT(MEM_REGIME_OF(g.ops[0].aux), REGIME_HLV);
    CHECK(!(g.ops[0].aux & MEM_FETCHLIKE));
    rig_translate(&g, HLVX_WU);
    CHECK(g.ops[0].aux & MEM_FETCHLIKE);
    rig_translate(&g, HSV_W);
    CHECK_INT(g.ops[0].op, IR_st);
    CHECK_INT(MEM_REGIME_OF(g.ops[0].aux), REGIME_HLV);
}

/* ---- what other extensions ask of a guest ---- */
TEST(riscv64_hyp, floating_point_of_a_guest_needs_both_fs_and_makes_both_dirty)
{
    static Rig g;
    const uint32_t fmv = 0xf0000053; /* fmv.w.x f0, x0 */
    for (unsigned on = 0; on < 4; on++) {
        rig_open(&g, false, NULL);
        rig_mode(&g, PRIV_S);
        g.r.v = true;
        g.r.mstatus |= on & 1 ? 1ull << 13 : 0;
        g.r.vsstatus |= on & 2 ? 1ull << 13 : 0;
        int got = rig_step(&g, fmv);
        if (on != 3) {
            CHECK_INT(got, RIG_TRAP);
            CHECK_INT(g.r.f.trap.cause, CAUSE_ILLEGAL);
        } else {
            CHECK(got != RIG_TRAP);
            CHECK_INT(g.r.mstatus & (MSTATUS_FS | MSTATUS_SD), MSTATUS_FS | MSTATUS_SD);
            CHECK_INT(g.r.vsstatus & (MSTATUS_FS | MSTATUS_SD), MSTATUS_FS | MSTATUS_SD);
        }
    }
}

TEST(riscv64_hyp, a_guest_manages_caches_as_menvcfg_and_henvcfg_allow)
{
    static const struct {
        uint64_t menvcfg, henvcfg;
        uint64_t cause; /* 0: none of the two */
    } rows[] = {{0, ENVCFG_CBCFE, CAUSE_ILLEGAL}, {ENVCFG_CBCFE, 0, CAUSE_VIRTUAL}, {ENVCFG_CBCFE, ENVCFG_CBCFE, 0}};
    static Rig g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rig_open(&g, false, NULL);
        rig_mode(&g, PRIV_S);
        g.r.v = true;
        g.r.menvcfg = rows[i].menvcfg;
        g.r.henvcfg = rows[i].henvcfg;
        int got = rig_step(&g, 0x0015200f); /* cbo.clean (a0) */
        bool is_denied = got == RIG_TRAP && (g.r.f.trap.cause == CAUSE_ILLEGAL || g.r.f.trap.cause == CAUSE_VIRTUAL);
        CHECK_INT(is_denied ? g.r.f.trap.cause : 0, rows[i].cause);
    }
}
