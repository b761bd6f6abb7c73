/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/guest/riscv64/riscv.h"

#include <string.h>

/* ---- rules for values (WARL) ---- */
static uint64_t warl_mstatus(const RiscvFrame *r, uint64_t old, uint64_t value)
{
    value &= r->cpu.has[NEED_F] ? ~MSTATUS_SD : ~(MSTATUS_SD | MSTATUS_FS); /* Priv 3.1.6.6 */
    value |= (value & MSTATUS_FS) == MSTATUS_FS ? MSTATUS_SD : 0;
    value &= r->cpu.has[NEED_H] ? ~0ull : ~(MSTATUS_GVA | MSTATUS_MPV);
    if ((value & MSTATUS_MPP) >> MSTATUS_MPP_SHIFT == 2) { /* no such privilege: MPP stays */
        value = (value & ~MSTATUS_MPP) | (old & MSTATUS_MPP);
    }
    return value;
}

uint64_t riscv_envcfg_cbo(const RiscvCpu *cpu)
{
    return (cpu->has[NEED_Zicbom] ? ENVCFG_CBIE | ENVCFG_CBCFE : 0) | (cpu->has[NEED_Zicboz] ? ENVCFG_CBZE : 0);
}

static uint64_t warl_envcfg(const RiscvFrame *r, uint64_t old, uint64_t value)
{
    value &= ~ENVCFG_CBO | riscv_envcfg_cbo(&r->cpu);
    bool is_reserved = (value & ENVCFG_CBIE) == (2ull << 4);
    return is_reserved ? (value & ~ENVCFG_CBIE) | (old & ENVCFG_CBIE) : value;
}

static uint64_t warl_counteren(const RiscvFrame *r, uint64_t old, uint64_t value)
{
    (void)old;
    return r->cpu.has[NEED_Zihpm] ? value : value & ~(uint64_t)COUNTERS_HPM;
}

static uint64_t lcofi(const RiscvFrame *r)
{
    return r->cpu.has[NEED_Sscofpmf] ? IRQ_LCOFI : 0;
}

static uint64_t warl_mideleg(const RiscvFrame *r, uint64_t old, uint64_t value)
{
    (void)old;
    return value & (~IRQ_LCOFI | lcofi(r));
}

static uint64_t warl_medeleg(const RiscvFrame *r, uint64_t old, uint64_t value)
{
    (void)old;
    const uint64_t of_guests = 0xf00400; /* calls of VS-mode, virtual instructions, guest-page faults (Priv 15.4.2) */
    return r->cpu.has[NEED_H] ? value : value & ~of_guests;
}

static uint64_t warl_mie(const RiscvFrame *r, uint64_t old, uint64_t value)
{
    (void)old;
    return value & (~IRQ_LCOFI | lcofi(r)) & (r->cpu.has[NEED_H] ? ~0ull : ~IRQ_VS);
}

/* ---- made from other state ---- */
static uint64_t read_fcsr(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return riscv_fcsr(r);
}

static void write_fcsr(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    riscv_fcsr_set(r, value);
}

static uint64_t read_zero(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)r;
    (void)number;
    (void)insns;
    return 0;
}

static uint64_t read_cycle(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    return r->cycle_base + (r->mcountinhibit & 1 ? 0 : insns);
}

static uint64_t read_instret(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    return r->instret_base + (r->mcountinhibit & 4 ? 0 : insns);
}

static void write_mcycle(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    r->cycle_base = value - (r->mcountinhibit & 1 ? 0 : insns);
}

static void write_minstret(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    r->instret_base = value - (r->mcountinhibit & 4 ? 0 : insns);
}

static uint64_t read_mcountinhibit(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return r->mcountinhibit;
}

static void write_mcountinhibit(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    uint64_t cycle = read_cycle(r, number, insns), instret = read_instret(r, number, insns);
    r->mcountinhibit = value & (5 | (r->cpu.has[NEED_Zihpm] ? COUNTERS_HPM : 0));
    write_mcycle(r, number, cycle, insns);
    write_minstret(r, number, instret, insns);
    riscv_hpm_settle(r, insns);
}

/* Numbers of hpmcounter, mhpmcounter and mhpmevent have the counter's in their lower bits. */
static unsigned hpm_of(unsigned number)
{
    return (number & 31) - HPM_FIRST;
}

static uint64_t read_hpmcounter(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    return riscv_hpm_counter(r, hpm_of(number), insns);
}

static void write_hpmcounter(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    riscv_hpm_counter_write(r, hpm_of(number), value, insns);
}

static uint64_t read_hpmevent(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    return riscv_hpm_event(r, hpm_of(number), insns);
}

static void write_hpmevent(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    riscv_hpm_event_write(r, hpm_of(number), value, insns);
}

static uint64_t read_scountovf(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    return riscv_hpm_overflows(r, insns) &
           (r->priv == PRIV_M ? ~0ull : r->mcounteren & (r->v ? r->hcounteren : ~0ull)); /* Sscofpmf 4 */
}

static uint64_t read_time(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return riscv_time(r) + (r->v ? r->htimedelta : 0); /* Priv 15.2.7 */
}

static uint64_t read_sie(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return r->mie & r->mideleg & ~IRQ_VS; /* Priv 12.1.3: what is not delegated reads as 0 */
}

static void write_sie(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    uint64_t mask = r->mideleg & ~IRQ_VS;
    r->mie = (r->mie & ~mask) | (value & mask);
}

static uint64_t read_mip(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return riscv_mip(r);
}

static uint64_t read_sip(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return riscv_mip(r) & r->mideleg & ~IRQ_VS;
}

/* Priv 3.1.9: M-mode may set the supervisor bits, but not STIP when it belongs to stimecmp; SEIP there is the part that
 * software holds. S-mode may set SSIP and LCOFIP only (Priv 12.1.3). VSSIP is hvip's (Priv 15.2.3). */
static void set_vssip(RiscvFrame *r, bool is_set)
{
    if (r->cpu.has[NEED_H]) {
        r->hvip = (r->hvip & ~IRQ_VSSI) | (is_set ? IRQ_VSSI : 0);
    }
}

static void write_mip(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    uint64_t mask = lcofi(r) | (r->menvcfg & MENVCFG_STCE ? IRQ_SSI | IRQ_SEI : IRQ_S);
    r->mip_soft = (r->mip_soft & ~mask) | (value & mask);
    set_vssip(r, value & IRQ_VSSI);
}

static void write_sip(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    uint64_t mask = (IRQ_SSI | lcofi(r)) & r->mideleg;
    r->mip_soft = (r->mip_soft & ~mask) | (value & mask);
}

static uint64_t read_stimecmp(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return r->stimecmp;
}

static void write_stimecmp(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    r->stimecmp = value;
    riscv_time_check(r);
}

static uint64_t read_satp(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return r->satp;
}

/* Priv 12.1.11: a write with an unsupported MODE has no effect at all; another MODE takes effect without a fence, but the tags
 * of the TLB know the ASID only. */
static void set_atp(RiscvFrame *r, uint64_t *atp, uint64_t value)
{
    if (SATP_MODE(value) != SATP_MODE(*atp)) {
        exec_flush_tlb(&r->f, UINT64_MAX, UINT64_MAX);
    }
    *atp = value;
}

static void write_satp(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    if (riscv_has_satp_mode(&r->cpu, SATP_MODE(value))) {
        set_atp(r, &r->satp, value);
    }
}

/* ---- of the hypervisor extension (Priv 15.2) ---- */
#define READ(name, value)                                                                                              \
    static uint64_t read_##name(const RiscvFrame *r, unsigned number, uint64_t insns)                                  \
    {                                                                                                                  \
        (void)number;                                                                                                  \
        (void)insns;                                                                                                   \
        return value;                                                                                                  \
    }
READ(hie, r->mie &IRQ_VS)
READ(hip, riscv_mip(r) & IRQ_VS)
READ(vsie, (r->mie & r->hideleg) >> 1) /* what is not delegated reads as 0; one lower than in hie (15.2.13) */
READ(vsip, (riscv_mip(r) & r->hideleg) >> 1)
READ(vsatp, r->vsatp)
READ(hgatp, r->hgatp)
READ(vstimecmp, r->vstimecmp)
READ(htimedelta, r->htimedelta)
READ(henvcfg, r->henvcfg)
#undef READ

static void write_hie(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    r->mie = (r->mie & ~IRQ_VS) | (value & IRQ_VS);
}

static void write_vsie(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    r->mie = (r->mie & ~r->hideleg) | (value << 1 & r->hideleg);
}

static void write_hip(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    set_vssip(r, value & IRQ_VSSI); /* the others are hvip's, or of their sources */
}

static void write_vsip(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    if (r->hideleg & IRQ_VSSI) {
        set_vssip(r, value & IRQ_SSI);
    }
}

static void write_vsatp(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    if (riscv_has_satp_mode(&r->cpu, SATP_MODE(value))) {
        set_atp(r, &r->vsatp, value);
    }
}

/* Priv 15.2.10: of a MODE that is not there only the MODE is ignored. The root is aligned to 16 KiB. */
static void write_hgatp(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    uint64_t mode = SATP_MODE(riscv_has_satp_mode(&r->cpu, SATP_MODE(value)) ? value : r->hgatp);
    set_atp(r, &r->hgatp, mode << 60 | HGATP_VMID(value) << 44 | (SATP_PPN(value) & ~3ull));
}

static void write_vstimecmp(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    r->vstimecmp = value;
    riscv_time_check(r);
}

static void write_htimedelta(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    r->htimedelta = value;
    riscv_time_check(r);
}

/* Priv 15.2.5: what menvcfg has not is read-only 0 here. */
static void write_henvcfg(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    uint64_t mask = MENVCFG_FIOM | ENVCFG_CBO | (r->menvcfg & (MENVCFG_STCE | MENVCFG_ADUE | MENVCFG_PBMTE));
    r->henvcfg = warl_envcfg(r, r->henvcfg, value & mask);
    riscv_time_check(r);
}

/* ---- the environment of lower levels ---- */
static uint64_t read_menvcfg(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return r->menvcfg;
}

static void write_menvcfg(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    const bool *has = r->cpu.has;
    uint64_t mask = MENVCFG_FIOM | ENVCFG_CBO | (has[NEED_Sstc] ? MENVCFG_STCE : 0) |
                    (has[NEED_Svadu] ? MENVCFG_ADUE : 0) | (has[NEED_Svpbmt] ? MENVCFG_PBMTE : 0);
    r->menvcfg = warl_envcfg(r, r->menvcfg, value & mask);
    write_henvcfg(r, number, r->henvcfg, insns);
}

static uint64_t read_mseccfg(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return r->mseccfg;
}

static void write_mseccfg(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)number;
    (void)insns;
    riscv_mseccfg_write(r, value);
}

static uint64_t read_mhartid(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return r->hart_id;
}

static uint64_t read_misa(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)number;
    (void)insns;
    return riscv_misa(&r->cpu);
}

static uint64_t read_pmpcfg(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)insns;
    return riscv_pmpcfg_read(r, number - 0x3a0);
}

static void write_pmpcfg(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)insns;
    riscv_pmpcfg_write(r, number - 0x3a0, value);
}

static uint64_t read_pmpaddr(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    (void)insns;
    return riscv_pmpaddr_read(r, number - 0x3b0);
}

static void write_pmpaddr(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    (void)insns;
    riscv_pmpaddr_write(r, number - 0x3b0, value);
}

/* ---- the table ---- */
#define warl_none  NULL
#define write_none NULL
static const Csr csrs[] = {
    {0}, /* row 0: no CSR */
#define CSR(name, number, need_, when_, field, writable_, legal_)                                                      \
    {.when = WHEN_##when_,                                                                                             \
     .need = NEED_##need_,                                                                                             \
     .slot = SLOT_OF(field),                                                                                           \
     .readable = ~0ull,                                                                                                \
     .writable = (writable_),                                                                                          \
     .warl = warl_##legal_},
#define VIEW(name, number, need_, when_, field, readable_, writable_, legal_)                                          \
    {.when = WHEN_##when_,                                                                                             \
     .need = NEED_##need_,                                                                                             \
     .slot = SLOT_OF(field),                                                                                           \
     .readable = (readable_),                                                                                          \
     .writable = (writable_),                                                                                          \
     .warl = warl_##legal_},
#define CALC(name, number, need_, when_, from_, to_)                                                                   \
    {.when = WHEN_##when_, .need = NEED_##need_, .read = read_##from_, .write = write_##to_},
#define CALCS(first, last, need_, when_, from_, to_)                                                                   \
    {.when = WHEN_##when_, .need = NEED_##need_, .read = read_##from_, .write = write_##to_},
#define FIXED(first, last, value) {.when = WHEN_FIXED, .readable = (value)},
#include "sim/guest/riscv64/csr.def"
#undef CSR
#undef VIEW
#undef CALC
#undef CALCS
#undef FIXED
};

/* Number to row of the table: the rows are counted as they are read again. */
enum {
    ROW_FIRST = __COUNTER__ + 1,
};
static const uint8_t csr_row[4096] = {
#define ROW                                                             (__COUNTER__ - ROW_FIRST + 1)
#define CSR(name, number, need, when, field, writable, warl)            [number] = ROW,
#define VIEW(name, number, need, when, field, readable, writable, warl) [number] = ROW,
#define CALC(name, number, need, when, read, write)                     [number] = ROW,
#define CALCS(first, last, need, when, read, write)                     [(first)...(last)] = ROW,
#define FIXED(first, last, value)                                       [(first)...(last)] = ROW,
#include "sim/guest/riscv64/csr.def"
#undef CSR
#undef VIEW
#undef CALC
#undef CALCS
#undef FIXED
};

const Csr *riscv_csr(unsigned number)
{
    return number < 4096 && csr_row[number] ? &csrs[csr_row[number]] : NULL;
}

bool riscv_csr_is_read_only(unsigned number)
{
    return number >> 10 == 3;
}

static bool is_enabled(unsigned number, uint32_t key)
{
    switch (number) {
    case 0x001:
    case 0x002:
    case 0x003:
        return key & KEY_FP; /* Priv 3.1.6.6 */
    case 0xc00:
        return key & KEY_CYCLE;
    case 0xc01:
        return key & KEY_TIME;
    case 0xc02:
        return key & KEY_INSTRET;
    case 0x14d:
        return key & KEY_STIMECMP;
    case 0x24d:
        return key & KEY_STIMECMP;
    case 0x180:
        return KEY_PRIV(key) != PRIV_S || !(key & KEY_TVM);
    case 0x680: /* Priv 15.2.10 */
        return KEY_PRIV(key) != PRIV_S || !(key & KEY_TVM);
    default: /* the enables of hpmcounters beyond HPM_COUNTERS are read-only 0; those of others are looked at by riscv_help_csr_hpm */
        return number < 0xc03 + HPM_COUNTERS || number > 0xc1f || KEY_PRIV(key) == PRIV_M;
    }
}

/* Bits 9:8 of a number: 2 is HS-mode, and M-mode. */
static bool is_reachable(unsigned number, uint32_t key)
{
    enum { HYPERVISOR = 2 };
    unsigned level = number >> 8 & 3;
    bool is_high = KEY_PRIV(key) == PRIV_M || (KEY_PRIV(key) == PRIV_S && !(key & KEY_V));
    return (level == HYPERVISOR ? is_high : KEY_PRIV(key) >= level) && is_enabled(number, key);
}

/* The mode key of HS-mode on the same hart, with mstatus.TVM 0 (Priv 15.6.1). */
static uint32_t key_of_hs(uint32_t key)
{
    uint32_t open = key >> KEY_HS_SHIFT & KEY_OPEN;
    return (key & ~(uint32_t)(3 | KEY_V | KEY_TVM | KEY_OPEN)) | open | PRIV_S;
}

CsrAccess riscv_csr_access(unsigned number, bool is_write, uint32_t key, const RiscvCpu *cpu)
{
    const Csr *c = riscv_csr(number);
    if (!c || !cpu->has[c->need] || (is_write && riscv_csr_is_read_only(number))) {
        return CSR_ILLEGAL;
    }
    if (is_reachable(number, key)) {
        return CSR_MAY;
    }
    return key & KEY_V && is_reachable(number, key_of_hs(key)) ? CSR_VIRTUAL : CSR_ILLEGAL;
}

unsigned riscv_csr_meant(unsigned number, uint32_t key)
{
    enum { TO_VS = 0x100 };
    switch (key & KEY_V ? number : 0) {
    case 0x100: /* sstatus */
    case 0x104: /* sie */
    case 0x105: /* stvec */
    case 0x140: /* sscratch */
    case 0x141: /* sepc */
    case 0x142: /* scause */
    case 0x143: /* stval */
    case 0x144: /* sip */
    case 0x14d: /* stimecmp */
    case 0x180: /* satp */
        return number + TO_VS;
    default:
        return number;
    }
}

static uint64_t slot_get(const RiscvFrame *r, Slot at)
{
    uint64_t value;
    memcpy(&value, (const char *)r + at, sizeof value);
    return value;
}

uint64_t riscv_csr_read(const RiscvFrame *r, unsigned number, uint64_t insns)
{
    const Csr *c = riscv_csr(number);
    switch (c->when) {
    case WHEN_PLAIN:
    case WHEN_SYNC:
        return slot_get(r, c->slot) & c->readable;
    case WHEN_CALC:
    case WHEN_COUNT:
        return c->read(r, number, insns);
    case WHEN_FIXED:
        break;
    }
    return c->readable;
}

/* Does riscv_mode_word say all that a write of it may change of mode_key, context and deadline? */
static bool is_in_word(unsigned number)
{
    switch (number) {
    case 0x001: /* fflags */
    case 0x002: /* frm */
    case 0x003: /* fcsr */
    case 0x100: /* sstatus */
    case 0x104: /* sie */
    case 0x144: /* sip */
    case 0x300: /* mstatus */
    case 0x302: /* medeleg */
    case 0x303: /* mideleg */
    case 0x304: /* mie */
    case 0x344: /* mip */
        return true;
    default:
        return false;
    }
}

void riscv_csr_write(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns)
{
    const Csr *c = riscv_csr(number);
    if (!is_in_word(number)) {
        exec_changed(&r->f);
    }
    if (c->write) {
        c->write(r, number, value, insns);
    } else if (c->slot) {
        uint64_t old = slot_get(r, c->slot), now = (old & ~c->writable) | (value & c->writable);
        if (c->warl) {
            now = c->warl(r, old, now);
        }
        memcpy((char *)r + c->slot, &now, sizeof now);
    }
    if (c->need == NEED_F) {
        riscv_fp_mark_dirty(r);
    }
}

/* ---- helpers ---- */

uint64_t riscv_help_csr_read(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a;
    (void)b;
    (void)c;
    return riscv_csr_read(RISCV(f), (unsigned)imm, 0);
}

uint64_t riscv_help_csr_count(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a;
    (void)b;
    (void)c;
    return riscv_csr_read(RISCV(f), (unsigned)imm, frame_insns(f));
}

/* There are more enables than bits in the mode key. a: the instruction's bits. */
uint64_t riscv_help_csr_hpm(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b;
    (void)c;
    const RiscvFrame *r = CRISCV(f);
    uint64_t bit = 1ull << (imm & 31), guest = r->v ? r->hcounteren : ~0ull;
    if (r->mcounteren & guest & (r->priv == PRIV_U ? r->scounteren : ~0ull) & bit) {
        return riscv_csr_read(r, (unsigned)imm, frame_insns(f));
    }
    frame_raise(f, r->v && r->mcounteren & bit ? CAUSE_VIRTUAL : CAUSE_ILLEGAL, a); /* Priv 15.6.1 */
    return 0;
}

/* A written counter does not count the instruction that wrote it: the next one reads what was written (Unpriv 8.1). */
uint64_t riscv_help_csr_write(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b;
    (void)c;
    uint64_t old = riscv_csr_read(RISCV(f), (unsigned)imm, frame_insns(f));
    riscv_csr_write(RISCV(f), (unsigned)imm, a, riscv_insns_after(f));
    return old;
}

/* Of mip, a set or clear works on what software wrote and not on what lines show (Priv 3.1.9). */
static uint64_t modified(const RiscvFrame *r, unsigned number, uint64_t old)
{
    return number == 0x344 ? r->mip_soft | (r->hvip & IRQ_VSSI) : old;
}

uint64_t riscv_help_csr_set(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b;
    (void)c;
    uint64_t old = riscv_csr_read(RISCV(f), (unsigned)imm, frame_insns(f));
    riscv_csr_write(RISCV(f), (unsigned)imm, modified(RISCV(f), (unsigned)imm, old) | a, riscv_insns_after(f));
    return old;
}

uint64_t riscv_help_csr_clear(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b;
    (void)c;
    uint64_t old = riscv_csr_read(RISCV(f), (unsigned)imm, frame_insns(f));
    riscv_csr_write(RISCV(f), (unsigned)imm, modified(RISCV(f), (unsigned)imm, old) & ~a, riscv_insns_after(f));
    return old;
}

#define SAME(name)                                                                                                     \
    uint64_t riscv_help_csr_##name##_fp(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)                     \
    {                                                                                                                  \
        return riscv_help_csr_##name(f, a, b, c, imm);                                                                 \
    }
SAME(read)
SAME(write)
SAME(set)
SAME(clear)
#undef SAME
