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
    r->stimecmp = r->vstimecmp = UINT64_MAX;
    if (r->cpu.has[NEED_H]) {
        r->mideleg = IRQ_VS;
        r->vsstatus = MSTATUS_UXL;
        r->hstatus = HSTATUS_VSXL;
    }
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
    if (how->has_stage2) {
        r->hgatp = riscv_stage2_hgatp(how->stage2);
    }
    if (how->arg) { /* the boot convention of SBI and Linux */
        r->x[10] = how->hw_id;
        r->x[11] = how->arg;
    }
    f->pc = how->entry & ~1ull;
    f->resv_size = 0;
}

/* Of ENVCFG_CBO, what is on. */
static uint32_t cbo_of(uint64_t envcfg)
{
    return (envcfg & ENVCFG_CBIE ? KEY_CBI : 0) | (envcfg & ENVCFG_CBCFE ? KEY_CBCF : 0) |
           (envcfg & ENVCFG_CBZE ? KEY_CBZ : 0);
}

/* All in M-mode; else what menvcfg, of guests henvcfg, and of user mode senvcfg allow. */
static uint32_t cbo_key(const RiscvFrame *r)
{
    uint32_t hs = r->priv == PRIV_M ? cbo_of(ENVCFG_CBO) : cbo_of(r->menvcfg), own = hs;
    own &= r->v ? cbo_of(r->henvcfg) : own;
    own &= r->priv == PRIV_U ? cbo_of(r->senvcfg) : own;
    return own | (r->v ? hs << KEY_CB_HS_SHIFT : 0);
}

/* What is open to a mode: the counters, and stimecmp, which needs STCE too (Priv 3.1.11, 12.1.5, 15.2.6; Sstc 2). */
static uint32_t open_key(uint64_t counters, uint64_t envcfg)
{
    bool has_stimecmp = counters & 2 && envcfg & MENVCFG_STCE;
    return (counters & 1 ? KEY_CYCLE : 0) | (counters & 2 ? KEY_TIME : 0) | (counters & 4 ? KEY_INSTRET : 0) |
           (has_stimecmp ? KEY_STIMECMP : 0);
}

static uint32_t open_keys(const RiscvFrame *r)
{
    if (r->priv == PRIV_M) {
        return KEY_OPEN;
    }
    uint64_t own = r->mcounteren & (r->v ? r->hcounteren : ~0ull) & (r->priv == PRIV_U ? r->scounteren : ~0ull);
    uint32_t key = open_key(own, r->v ? r->henvcfg : r->menvcfg);
    return r->v ? key | open_key(r->mcounteren, r->menvcfg) << KEY_HS_SHIFT : key;
}

static bool is_bare(const RiscvFrame *r)
{
    uint64_t second = r->v || r->is_virt ? r->hgatp : 0;
    return SATP_MODE(second) == SATP_BARE && (r->priv == PRIV_M || SATP_MODE(r->v ? r->vsatp : r->satp) == SATP_BARE);
}

uint32_t riscv_mode_key(const Frame *f)
{
    const RiscvFrame *r = CRISCV(f);
    bool is_flat = is_bare(r) && riscv_pmp_ignores_fetches(r);
    bool is_tvm = r->v ? r->hstatus & HSTATUS_VTVM : r->mstatus & MSTATUS_TVM;
    bool is_tsr = r->v ? r->hstatus & HSTATUS_VTSR : r->mstatus & MSTATUS_TSR;
    return cbo_key(r) | riscv_fp_key(r) |
           (uint32_t)(r->priv | (r->is_virt ? KEY_VIRT : 0) | (is_tvm ? KEY_TVM : 0) |
                      (r->mstatus & MSTATUS_TW ? KEY_TW : 0) | (is_tsr ? KEY_TSR : 0) | (is_flat ? KEY_FLAT : 0) |
                      (r->v ? KEY_V : 0) | (r->hstatus & HSTATUS_HU ? KEY_HU : 0) |
                      (r->hstatus & HSTATUS_VTW ? KEY_VTW : 0) | open_keys(r));
}

/* The rest of what mode_key and context look at changes by CSR instructions only: riscv_csr_write. What guests of a hypervisor
 * have besides is not in it. */
static inline uint64_t mode_word(const RiscvFrame *r)
{
    enum { FRM_SHIFT = 32 };
    const uint64_t is_word = 1ull << 63, mask = MSTATUS_FS | MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR | MSTATUS_TVM |
                                                MSTATUS_TW | MSTATUS_TSR;
    uint64_t data = r->mstatus & MSTATUS_MPRV ? r->mstatus & (MSTATUS_MPP | MSTATUS_MPV) : 0;
    if (r->v || data & MSTATUS_MPV) {
        return 0;
    }
    return is_word | (r->mstatus & mask) | data | r->priv | r->frm << FRM_SHIFT;
}

uint64_t riscv_mode_word(const Frame *f)
{
    return mode_word(CRISCV(f));
}

bool riscv_fetch_is_flat(uint32_t mode_key)
{
    return mode_key & KEY_FLAT;
}

unsigned riscv_regime(unsigned priv, uint64_t status, bool is_guest)
{
    bool is_sum = status & MSTATUS_SUM, is_mxr = status & MSTATUS_MXR;
    unsigned to_guest = is_guest ? REGIME_VS - REGIME_S : 0;
    if (priv == PRIV_M) {
        return REGIME_M;
    }
    if (priv == PRIV_U) {
        return (is_mxr ? REGIME_U_MXR : REGIME_U) + to_guest;
    }
    return (is_mxr ? (is_sum ? REGIME_S_SUM_MXR : REGIME_S_MXR) : is_sum ? REGIME_S_SUM : REGIME_S) + to_guest;
}

/* The space of a guest: VMID, ASID unless vsatp is Bare, and the MXR of mstatus, which is no part of its regimes. */
static uint64_t guest_tag(const RiscvFrame *r, uint64_t asid, bool is_mxr)
{
    enum { TAG_MXR = 1 << 16, TAG_GUEST = 1 << 17, VMID_SHIFT = 18 };
    return HGATP_VMID(r->hgatp) << VMID_SHIFT | TAG_GUEST | (is_mxr ? TAG_MXR : 0) | (asid & 0xffff);
}

void riscv_context(const Frame *f, uint64_t *space_tag, unsigned *data_regime, unsigned *fetch_regime)
{
    enum { TAG_UNTRANSLATED = 0x10000 }; /* no ASID */
    const RiscvFrame *r = CRISCV(f);
    unsigned data_priv = r->priv;
    bool is_guest = r->v;
    if (r->mstatus & MSTATUS_MPRV) { /* Priv 3.1.6.3, 15.4.1 */
        data_priv = (unsigned)((r->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
        is_guest = data_priv != PRIV_M && r->mstatus & MSTATUS_MPV;
    }
    *data_regime = riscv_regime(data_priv, is_guest ? r->vsstatus : r->mstatus, is_guest);
    *fetch_regime = riscv_regime(r->priv, 0, r->v);
    if (is_guest) {
        bool is_bare = SATP_MODE(r->vsatp) == SATP_BARE;
        *space_tag = guest_tag(r, is_bare ? 0 : SATP_ASID(r->vsatp), r->mstatus & MSTATUS_MXR);
        return;
    }
    bool is_bare = SATP_MODE(r->satp) == SATP_BARE || (*data_regime == REGIME_M && *fetch_regime == REGIME_M);
    *space_tag = is_bare ? TAG_UNTRANSLATED : SATP_ASID(r->satp);
}

void riscv_flush_guest(Frame *f, uint64_t gva, uint64_t asid)
{
    if (asid == UINT64_MAX) {
        exec_flush_tlb(f, gva, UINT64_MAX);
        return;
    }
    for (unsigned is_mxr = 0; is_mxr < 2; is_mxr++) {
        exec_flush_tlb(f, gva, guest_tag(CRISCV(f), asid, is_mxr));
    }
}

/* ---- traps: Priv 3.1.6.1, 3.1.8, 12.1.1, 15.6.2 ---- */
static uint64_t vector(uint64_t tvec, uint64_t cause)
{
    uint64_t base = tvec & ~3ull;
    return tvec & 1 && cause & CAUSE_IRQ ? base + 4 * (cause & ~CAUSE_IRQ) : base;
}

static bool is_delegated(uint64_t cause, uint64_t exceptions, uint64_t interrupts)
{
    return (cause & CAUSE_IRQ ? interrupts : exceptions) >> (cause & 63) & 1;
}

/* sstatus and vsstatus alike. */
static uint64_t status_entered(uint64_t status, unsigned priv)
{
    uint64_t spie = status & MSTATUS_SIE ? MSTATUS_SPIE : 0, spp = priv == PRIV_S ? MSTATUS_SPP : 0;
    return (status & ~(MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP)) | spie | spp;
}

/* Its interrupts are those of a supervisor there (15.2.13). */
static void enter_vs(RiscvFrame *r, const Trap *t)
{
    r->vscause = t->cause & CAUSE_IRQ ? t->cause - 1 : t->cause;
    r->vsepc = r->f.pc;
    r->vstval = t->value;
    r->vsstatus = status_entered(r->vsstatus, r->priv);
    r->priv = PRIV_S;
    r->f.pc = vector(r->vstvec, r->vscause);
}

/* Is t->value an address of a guest? That of an ebreak is where it is. */
static bool is_guest_address(const RiscvFrame *r, const Trap *t)
{
    return t->value3 & TRAP_GVA || (r->v && t->cause == CAUSE_BREAKPOINT);
}

static void enter_s(RiscvFrame *r, const Trap *t)
{
    uint64_t old = r->hstatus & ~(HSTATUS_GVA | HSTATUS_SPV);
    if (r->v) {
        old = (old & ~HSTATUS_SPVP) | HSTATUS_SPV | (r->priv == PRIV_S ? HSTATUS_SPVP : 0);
    }
    r->hstatus = old | (is_guest_address(r, t) ? HSTATUS_GVA : 0);
    r->htval = t->value2;
    r->htinst = (uint32_t)t->value3;
    r->scause = t->cause;
    r->sepc = r->f.pc;
    r->stval = t->value;
    r->mstatus = status_entered(r->mstatus, r->priv);
    r->priv = PRIV_S;
    r->v = false;
    r->f.pc = vector(r->stvec, t->cause);
}

static void enter(RiscvFrame *r, const Trap *t)
{
    if (r->priv != PRIV_M && is_delegated(t->cause, r->medeleg, r->mideleg)) {
        if (r->v && is_delegated(t->cause, r->hedeleg, r->hideleg)) {
            enter_vs(r, t);
        } else {
            enter_s(r, t);
        }
        return;
    }
    uint64_t gva = is_guest_address(r, t) ? MSTATUS_GVA : 0, mpv = r->v ? MSTATUS_MPV : 0;
    r->mcause = t->cause;
    r->mepc = r->f.pc;
    r->mtval = t->value;
    r->mtval2 = t->value2;
    r->mtinst = (uint32_t)t->value3;
    uint64_t mpie = r->mstatus & MSTATUS_MIE ? MSTATUS_MPIE : 0, mpp = (uint64_t)r->priv << MSTATUS_MPP_SHIFT;
    r->mstatus =
        (r->mstatus & ~(MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_GVA | MSTATUS_MPV)) | mpie | mpp | gva | mpv;
    r->priv = PRIV_M;
    r->v = false;
    r->f.pc = vector(r->mtvec, t->cause);
}

LINE_ALIGNED void riscv_take_trap(Frame *f, const Trap *t)
{
    RiscvFrame *r = RISCV(f);
    f->resv_size = 0;
    enter(r, t);
    riscv_hpm_settle(r, frame_insns(f));
}

/* Priv 3.1.6.1 and 3.3.2: MPRV does not outlive a return to a lower privilege. */
LINE_ALIGNED uint64_t riscv_help_mret(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a;
    (void)b;
    (void)c;
    (void)imm;
    RiscvFrame *r = RISCV(f);
    r->priv = (uint8_t)((r->mstatus & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT);
    r->v = r->priv != PRIV_M && r->mstatus & MSTATUS_MPV; /* 15.6.4 */
    riscv_hpm_settle(r, riscv_insns_after(f));
    uint64_t mie = r->mstatus & MSTATUS_MPIE ? MSTATUS_MIE : 0, gone = r->priv == PRIV_M ? 0 : MSTATUS_MPRV;
    r->mstatus = (r->mstatus & ~(MSTATUS_MIE | MSTATUS_MPP | MSTATUS_MPV | gone)) | mie | MSTATUS_MPIE;
    return r->mepc;
}

uint64_t riscv_help_sret(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a;
    (void)b;
    (void)c;
    (void)imm;
    RiscvFrame *r = RISCV(f);
    uint64_t *status = r->v ? &r->vsstatus : &r->mstatus;
    r->priv = *status & MSTATUS_SPP ? PRIV_S : PRIV_U;
    uint64_t sie = *status & MSTATUS_SPIE ? MSTATUS_SIE : 0;
    *status = (*status & ~(MSTATUS_SIE | MSTATUS_SPP)) | sie | MSTATUS_SPIE;
    r->mstatus &= ~MSTATUS_MPRV;
    uint64_t pc = r->v ? r->vsepc : r->sepc;
    if (!r->v) { /* 15.6.4 */
        r->v = r->hstatus & HSTATUS_SPV;
        r->hstatus &= ~HSTATUS_SPV;
    }
    riscv_hpm_settle(r, riscv_insns_after(f));
    return pc;
}

/* ---- interrupts ---- */
static inline uint64_t mip(const RiscvFrame *r)
{
    uint64_t of_guest = r->hvip | (r->is_vs_time_due ? IRQ_VSTI : 0); /* 15.2.3 */
    if (!(r->menvcfg & MENVCFG_STCE)) {
        return r->mip_soft | r->mip_lines | of_guest;
    }
    return (r->mip_soft & ~IRQ_STI) | r->mip_lines | (r->is_time_due ? IRQ_STI : 0) | of_guest;
}

uint64_t riscv_mip(const RiscvFrame *r)
{
    return mip(r);
}

LINE_ALIGNED uint64_t riscv_calm_word(const Frame *f)
{
    const RiscvFrame *r = CRISCV(f);
    return mip(r) & r->mie ? 0 : mode_word(r);
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

/* Priv 3.1.9 and 15.4.3: for M-mode first, then for HS-mode, then for VS-mode; of each external, software, timer, the machine's
 * before the supervisor's before the guest's; overflow of counters last. What is for a lower level waits. */
bool riscv_pending(const Frame *f, Trap *out)
{
    static const uint8_t order[] = {11, 3, 7, 9, 1, 5, 10, 2, 6, 13};
    const RiscvFrame *r = CRISCV(f);
    uint64_t raised = mip(r) & r->mie;
    if (!raised) {
        return false;
    }
    uint64_t to_m = raised & ~r->mideleg, to_s = raised & r->mideleg & ~r->hideleg;
    uint64_t to_vs = raised & r->mideleg & r->hideleg;
    bool is_m_on = r->priv != PRIV_M || r->mstatus & MSTATUS_MIE;
    bool is_s_on = r->priv == PRIV_U || (r->priv == PRIV_S && (r->v || r->mstatus & MSTATUS_SIE));
    bool is_vs_on = r->v && (r->priv == PRIV_U || r->vsstatus & MSTATUS_SIE);
    uint64_t best = is_m_on && to_m && !r->is_virt ? to_m : is_s_on && to_s ? to_s : is_vs_on ? to_vs : 0;
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

static bool is_vs_time_due(const RiscvFrame *r, uint64_t now) /* Sstc 3 */
{
    return r->henvcfg & MENVCFG_STCE && now + r->htimedelta >= r->vstimecmp;
}

static void time_check(RiscvFrame *r, uint64_t now)
{
    r->is_time_due = r->menvcfg & MENVCFG_STCE && now >= r->stimecmp;
    r->is_vs_time_due = is_vs_time_due(r, now);
}

void riscv_time_check(RiscvFrame *r)
{
    time_check(r, riscv_time(r));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t instant_of(uint64_t ticks)
{
    return ticks > UINT64_MAX / NS_PER_TICK ? UINT64_MAX : ticks * NS_PER_TICK;
}

/* The sum of time and htimedelta wraps, so that being due ends as well. */
static uint64_t vs_deadline(const RiscvFrame *r)
{
    uint64_t now = riscv_time(r), vs_now = now + r->htimedelta;
    if (!(r->henvcfg & MENVCFG_STCE)) {
        return UINT64_MAX;
    }
    if (is_vs_time_due(r, now) != r->is_vs_time_due) {
        return 0;
    }
    uint64_t at = now + ((r->is_vs_time_due ? 0 : r->vstimecmp) - vs_now);
    return at > now ? instant_of(at) : UINT64_MAX;
}

uint64_t riscv_deadline(const Frame *f)
{
    const RiscvFrame *r = CRISCV(f);
    uint64_t at = r->menvcfg & MENVCFG_STCE && !r->is_time_due ? instant_of(r->stimecmp) : UINT64_MAX;
    uint64_t vs = r->henvcfg ? vs_deadline(r) : UINT64_MAX;
    return earlier(earlier(vs, at), riscv_hpm_deadline(r));
}

void riscv_tick(Frame *f, uint64_t now_ns)
{
    riscv_hpm_tick(RISCV(f));
    time_check(RISCV(f), now_ns / NS_PER_TICK);
}
