/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/guest/riscv64/riscv.h"

#include <string.h>

enum { NS_PER_TICK = 100 }; /* `time` counts at 10 MHz */

void riscv_reset(Frame *f, const GuestReset *how)
{
    RiscvFrame *r = RISCV(f);
    memset((char *)r + sizeof r->f, 0, sizeof *r - sizeof r->f);
    memcpy(&r->cpu, how->cpu, sizeof r->cpu);
    r->is_virt = how->is_virt;
    r->hart_id = how->hw_id;
    r->priv = how->is_virt ? PRIV_S : PRIV_M; /* Priv 3.4 */
    r->mstatus = MSTATUS_UXL | MSTATUS_SXL;
    r->stimecmp = UINT64_MAX;
    /* No reset value is prescribed for menvcfg: hardware sets A and D where it can, as old software expects. */
    r->menvcfg = r->cpu.has[NEED_Svadu] ? MENVCFG_ADUE : 0;
    if (how->is_virt) { /* what the level below S-mode would have set up */
        r->mideleg = IRQ_S;
        r->medeleg = ~0ull;
        r->mcounteren = r->scounteren = 7;
        r->menvcfg |= r->cpu.has[NEED_Sstc] ? MENVCFG_STCE : 0;
        r->menvcfg |= riscv_envcfg_cbo(&r->cpu);
        r->menvcfg |= r->cpu.has[NEED_Svpbmt] ? MENVCFG_PBMTE : 0;
    }
    if (how->arg) { /* the boot convention of SBI and Linux */
        r->x[10] = how->hw_id;
        r->x[11] = how->arg;
    }
    f->pc = how->entry & ~1ull;
    f->resv_size = 0;
}

/* Which of ENVCFG_CBO are on: all in M-mode, those of menvcfg in S-mode, those of both in U-mode. */
static uint32_t cbo_key(const RiscvFrame *r)
{
    uint64_t m = r->priv == PRIV_M ? ENVCFG_CBO : r->menvcfg, s = r->priv == PRIV_U ? r->senvcfg : ENVCFG_CBO;
    return (m & ENVCFG_CBIE && s & ENVCFG_CBIE ? KEY_CBI : 0) | (m & s & ENVCFG_CBCFE ? KEY_CBCF : 0) |
           (m & s & ENVCFG_CBZE ? KEY_CBZ : 0);
}

uint32_t riscv_mode_key(const Frame *f)
{
    const RiscvFrame *r = CRISCV(f);
    uint64_t counters = r->priv == PRIV_M ? 7 : r->priv == PRIV_S ? r->mcounteren : r->mcounteren & r->scounteren;
    bool is_flat = (r->priv == PRIV_M || SATP_MODE(r->satp) == SATP_BARE) && riscv_pmp_ignores_fetches(r);
    bool has_stimecmp = r->priv == PRIV_M || (r->mcounteren & 2 && r->menvcfg & MENVCFG_STCE);
    return cbo_key(r) | (uint32_t)(r->priv | (r->is_virt ? KEY_VIRT : 0) | (r->mstatus & MSTATUS_TVM ? KEY_TVM : 0) |
                                   (r->mstatus & MSTATUS_TW ? KEY_TW : 0) | (r->mstatus & MSTATUS_TSR ? KEY_TSR : 0) |
                                   (counters & 1 ? KEY_CYCLE : 0) | (counters & 2 ? KEY_TIME : 0) |
                                   (counters & 4 ? KEY_INSTRET : 0) | (has_stimecmp ? KEY_STIMECMP : 0) |
                                   (is_flat ? KEY_FLAT : 0) | riscv_fp_key(r));
}

bool riscv_fetch_is_flat(uint32_t mode_key)
{
    return mode_key & KEY_FLAT;
}

static unsigned regime_of(unsigned priv, uint64_t mstatus)
{
    bool is_sum = mstatus & MSTATUS_SUM, is_mxr = mstatus & MSTATUS_MXR;
    if (priv == PRIV_M) {
        return REGIME_M;
    }
    if (priv == PRIV_U) {
        return is_mxr ? REGIME_U_MXR : REGIME_U;
    }
    return is_mxr ? (is_sum ? REGIME_S_SUM_MXR : REGIME_S_MXR) : is_sum ? REGIME_S_SUM : REGIME_S;
}

void riscv_context(const Frame *f, uint64_t *space_tag, unsigned *data_regime, unsigned *fetch_regime)
{
    enum { TAG_UNTRANSLATED = 0x10000 }; /* no ASID */
    const RiscvFrame *r = CRISCV(f);
    unsigned data_priv =
        r->mstatus & MSTATUS_MPRV ? (unsigned)((r->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT) : r->priv;
    *data_regime = regime_of(data_priv, r->mstatus);
    *fetch_regime = regime_of(r->priv, 0);
    bool is_bare = SATP_MODE(r->satp) == SATP_BARE || (*data_regime == REGIME_M && *fetch_regime == REGIME_M);
    *space_tag = is_bare ? TAG_UNTRANSLATED : SATP_ASID(r->satp);
}

/* ---- traps: Priv 3.1.6.1, 3.1.8, 12.1.1 ---- */
static uint64_t vector(uint64_t tvec, uint64_t cause)
{
    uint64_t base = tvec & ~3ull;
    return tvec & 1 && cause & CAUSE_IRQ ? base + 4 * (cause & ~CAUSE_IRQ) : base;
}

static bool is_delegated(const RiscvFrame *r, uint64_t cause)
{
    uint64_t table = cause & CAUSE_IRQ ? r->mideleg : r->medeleg;
    return r->priv != PRIV_M && table >> (cause & 63) & 1;
}

void riscv_take_trap(Frame *f, const Trap *t)
{
    RiscvFrame *r = RISCV(f);
    f->resv_size = 0;
    if (is_delegated(r, t->cause)) {
        r->scause = t->cause;
        r->sepc = f->pc;
        r->stval = t->value;
        uint64_t spie = r->mstatus & MSTATUS_SIE ? MSTATUS_SPIE : 0, spp = r->priv == PRIV_S ? MSTATUS_SPP : 0;
        r->mstatus = (r->mstatus & ~(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP)) | spie | spp;
        r->priv = PRIV_S;
        f->pc = vector(r->stvec, t->cause);
        return;
    }
    r->mcause = t->cause;
    r->mepc = f->pc;
    r->mtval = t->value;
    uint64_t mpie = r->mstatus & MSTATUS_MIE ? MSTATUS_MPIE : 0, mpp = (uint64_t)r->priv << MSTATUS_MPP_SHIFT;
    r->mstatus = (r->mstatus & ~(MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP)) | mpie | mpp;
    r->priv = PRIV_M;
    f->pc = vector(r->mtvec, t->cause);
}

/* Priv 3.1.6.1 and 3.3.2: MPRV does not outlive a return to a lower privilege. */
uint64_t riscv_help_mret(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a;
    (void)b;
    (void)c;
    (void)imm;
    RiscvFrame *r = RISCV(f);
    r->priv = (uint8_t)((r->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
    uint64_t mie = r->mstatus & MSTATUS_MPIE ? MSTATUS_MIE : 0, gone = r->priv == PRIV_M ? 0 : MSTATUS_MPRV;
    r->mstatus = (r->mstatus & ~(MSTATUS_MIE | MSTATUS_MPP | gone)) | mie | MSTATUS_MPIE;
    return r->mepc;
}

uint64_t riscv_help_sret(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a;
    (void)b;
    (void)c;
    (void)imm;
    RiscvFrame *r = RISCV(f);
    r->priv = r->mstatus & MSTATUS_SPP ? PRIV_S : PRIV_U;
    uint64_t sie = r->mstatus & MSTATUS_SPIE ? MSTATUS_SIE : 0;
    r->mstatus = (r->mstatus & ~(MSTATUS_SIE | MSTATUS_SPP | MSTATUS_MPRV)) | sie | MSTATUS_SPIE;
    return r->sepc;
}

/* ---- interrupts ---- */
uint64_t riscv_mip(const RiscvFrame *r)
{
    if (!(r->menvcfg & MENVCFG_STCE)) {
        return r->mip_soft | r->mip_lines;
    }
    return (r->mip_soft & ~IRQ_STI) | r->mip_lines | (r->is_time_due ? IRQ_STI : 0);
}

/* The supervisor's software interrupt is no wire: whoever sends it sets the bit, and the guest clears it (Priv 12.1.3). */
void riscv_line(Frame *f, GuestLine line, bool level)
{
    RiscvFrame *r = RISCV(f);
    static const uint64_t of_machine[LINE_COUNT] = {IRQ_MSI, IRQ_MTI, IRQ_MEI, IRQ_SEI, 0};
    static const uint64_t of_virt[LINE_COUNT] = {IRQ_SSI, IRQ_STI, IRQ_SEI, IRQ_SEI, 0};
    uint64_t bit = r->is_virt ? of_virt[line] : of_machine[line];
    uint64_t *word = bit == IRQ_SSI ? &r->mip_soft : &r->mip_lines;
    *word = level ? *word | bit : *word & ~bit;
}

bool riscv_line_get(const Frame *f, GuestLine line)
{
    const RiscvFrame *r = CRISCV(f);
    static const uint64_t of_machine[LINE_COUNT] = {IRQ_MSI, IRQ_MTI, IRQ_MEI, IRQ_SEI, 0};
    static const uint64_t of_virt[LINE_COUNT] = {IRQ_SSI, IRQ_STI, IRQ_SEI, IRQ_SEI, 0};
    uint64_t bit = r->is_virt ? of_virt[line] : of_machine[line];
    return (bit == IRQ_SSI ? r->mip_soft : r->mip_lines) & bit;
}

/* Priv 3.1.9: for M-mode first; then external, software, timer, the machine's before the supervisor's. */
bool riscv_pending(const Frame *f, Trap *out)
{
    static const uint8_t order[] = {11, 3, 7, 9, 1, 5};
    const RiscvFrame *r = CRISCV(f);
    uint64_t raised = riscv_mip(r) & r->mie;
    uint64_t to_m = raised & ~r->mideleg, to_s = raised & r->mideleg;
    bool is_m_on = r->priv != PRIV_M || r->mstatus & MSTATUS_MIE;
    bool is_s_on = r->priv == PRIV_U || (r->priv == PRIV_S && r->mstatus & MSTATUS_SIE);
    uint64_t best = is_m_on && to_m && !r->is_virt ? to_m : is_s_on ? to_s : 0;
    for (size_t i = 0; i < sizeof order; i++) {
        if (best >> order[i] & 1) {
            *out = (Trap){.cause = CAUSE_IRQ | order[i]};
            return true;
        }
    }
    return false;
}

bool riscv_wakes(const Frame *f) /* Priv 3.3.3: enabled one by one, whatever MIE, SIE and mideleg say */
{
    return riscv_mip(CRISCV(f)) & CRISCV(f)->mie;
}

/* ---- time ---- */
uint64_t riscv_time(const RiscvFrame *r)
{
    return exec_now_ns(&r->f) / NS_PER_TICK;
}

void riscv_time_check(RiscvFrame *r)
{
    r->is_time_due = r->menvcfg & MENVCFG_STCE && riscv_time(r) >= r->stimecmp;
}

uint64_t riscv_deadline(const Frame *f)
{
    const RiscvFrame *r = CRISCV(f);
    if (!(r->menvcfg & MENVCFG_STCE) || r->is_time_due || r->stimecmp > UINT64_MAX / NS_PER_TICK) {
        return UINT64_MAX;
    }
    return r->stimecmp * NS_PER_TICK;
}

void riscv_tick(Frame *f, uint64_t now_ns)
{
    RiscvFrame *r = RISCV(f);
    r->is_time_due = r->menvcfg & MENVCFG_STCE && now_ns / NS_PER_TICK >= r->stimecmp;
}
