/* SPDX-License-Identifier: Apache-2.0
 * riscv.h - the riscv64 guest from inside: its frame, its modes, and what its files ask of each other.
 *
 * "Unpriv n" and "Priv n" are sections of the RISC-V Instruction Set Manual, volumes I and II, version 20240411. */
#ifndef SIM_GUEST_RISCV64_RISCV_H
#define SIM_GUEST_RISCV64_RISCV_H

#include "sim/guest/guest.h"

/* ---- the parsed cpu ---- */
typedef enum {
    NEED_ALWAYS,
#define FEATURE(id, text, kind, requires) NEED_##id,
#define ROWS(label, has)                  NEED_##label,
#include "sim/guest/riscv64/features.def"
    NEED_COUNT
} RiscvNeed; /* ids of features.def */
typedef struct RiscvCpu {
    bool has[NEED_COUNT];
} RiscvCpu;
uint64_t riscv_misa(const RiscvCpu *cpu);
int riscv_cpu_parse(const char *text, void *cpu, Err *err);
void riscv_cpu_virt(void *cpu);
void riscv_rows_settle(RiscvCpu *cpu);  /* the ids of ROWS, from those of FEATURE */
RiscvNeed riscv_row_need(unsigned row); /* translate.c: of a decode row, or RV64_ROW_NONE */
/* "rv64imac_zicsr"; with_modes: and the paged modes, "sv39", which a device tree has elsewhere */
void riscv_isa_string(const void *cpu, bool with_modes, char *text, size_t size);
const char *riscv_fdt_mmu(const void *cpu); /* "riscv,sv39" */

/* ---- the frame ---- */
enum { PRIV_U = 0, PRIV_S = 1, PRIV_M = 3 };
enum { PMP_ENTRIES = 16 };
enum { HPM_FIRST = 3, HPM_COUNTERS = 4 }; /* hpmcounter3 and on; the others are read-only 0 */
#define COUNTERS_HPM (((1u << HPM_COUNTERS) - 1) << HPM_FIRST)
typedef struct {
    uint64_t event;    /* mhpmevent */
    uint64_t base;     /* the counter less the instructions retired; the counter itself while it is not on */
    uint64_t wraps_at; /* instructions retired when it comes round to 0, if that is to be noted; else 0 */
    uint64_t is_on;
} RiscvHpm;
typedef struct RiscvFrame {
    Frame f;
    uint64_t x[32];   /* x[0] stays 0; translators use IR_ZERO for it */
    uint64_t fpr[32]; /* what is narrower than 64 bits is NaN-boxed (Unpriv 21.2), also without D */
#define CSR(name, number, need, sync, field, writable, warl) uint64_t field;
#define VIEW(name, number, need, sync, field, readable, writable, warl)
#define CALC(name, number, need, when, read, write)
#define CALCS(first, last, need, when, read, write)
#define FIXED(first, last, value)
#include "sim/guest/riscv64/csr.def"
#undef CSR
#undef VIEW
#undef CALC
#undef CALCS
#undef FIXED
    uint64_t mip_soft;  /* bits of mip that software set: SSIP STIP SEIP */
    uint64_t mip_lines; /* bits of mip that lines hold */
    uint64_t satp, stimecmp, menvcfg, mseccfg, mcountinhibit;
    uint64_t vsatp, hgatp, vstimecmp, htimedelta,
        henvcfg; /* is_virt: hgatp is the second stage that the level below set up */
    uint64_t cycle_base,
        instret_base; /* the counter less the instructions retired; the counter itself while inhibited */
    RiscvHpm hpm[HPM_COUNTERS];
    uint64_t pmpaddr[PMP_ENTRIES];
    uint64_t hart_id;
    uint8_t pmpcfg[PMP_ENTRIES];
    uint8_t pmp_used; /* entries up to the last that is on: walks look at no more */
    uint8_t priv;
    bool is_virt;
    bool has_hpm_event;  /* some counter of hpm has an event */
    bool v;              /* the virtualization mode V (Priv 15.1) */
    bool is_time_due;    /* time >= stimecmp, as tick() or a write of stimecmp last saw it */
    bool is_vs_time_due; /* likewise of vstimecmp */
    RiscvCpu cpu;
} RiscvFrame;
#define RISCV(f)      ((RiscvFrame *)(f)) /* Frame is its first member */
#define CRISCV(f)     ((const RiscvFrame *)(f))
#define SLOT_OF(name) ((Slot)offsetof(RiscvFrame, name))
static inline Slot riscv_x(unsigned n) /* the slot of register xn */
{
    return n ? (Slot)(SLOT_OF(x) + 8 * n) : IR_ZERO;
}

static inline Slot riscv_f(unsigned n)
{
    return (Slot)(SLOT_OF(fpr) + 8 * n);
}

/* ---- mode key: what translation looks at ---- */
#define KEY_PRIV(key) ((key)&3u)
#define KEY_VIRT      (1u << 2)
#define KEY_TVM       (1u << 3) /* mstatus, Priv 3.1.6.5; with V hstatus.VTVM, Priv 15.2.1 */
#define KEY_TW        (1u << 4) /* mstatus, with V too */
#define KEY_TSR       (1u << 5) /* as TVM */
#define KEY_CYCLE     (1u << 6) /* the counter may be read at this privilege (Priv 3.1.11, 12.1.5) */
#define KEY_TIME      (1u << 7)
#define KEY_INSTRET   (1u << 8)
#define KEY_STIMECMP  (1u << 9)  /* likewise (Sstc 2) */
#define KEY_FLAT      (1u << 10) /* fetches are neither translated nor checked */
#define KEY_CBI       (1u << 18) /* cbo.inval is allowed; cbo.clean and cbo.flush; cbo.zero (Unpriv, "CMO") */
#define KEY_CBCF      (1u << 19)
#define KEY_CBZ       (1u << 20)
enum { KEY_CB_HS_SHIFT = 3 }; /* with V: what of these is open to HS-mode */
/* With floating point on, frm is in the key: a dynamic rounding mode is known when code is made. */
#define KEY_FP       (1u << 24) /* mstatus.FS is not Off */
#define KEY_FP_DIRTY (1u << 25) /* it is Dirty: nothing needs marking */
#define KEY_FRM(key) ((key) >> KEY_FRM_SHIFT & 7u)
enum { KEY_FRM_SHIFT = 26 };
#define KEY_V       (1u << 11) /* VS- or VU-mode */
#define KEY_HU      (1u << 12) /* hstatus: U-mode may use hlv and hsv */
#define KEY_VTW     (1u << 13) /* hstatus */
#define KEY_OPEN    (KEY_CYCLE | KEY_TIME | KEY_INSTRET | KEY_STIMECMP)
#define KEY_OPEN_HS (KEY_OPEN << KEY_HS_SHIFT) /* with V: what of these is open to HS-mode */
enum { KEY_HS_SHIFT = 8 };
uint32_t riscv_mode_key(const Frame *f);
uint64_t riscv_mode_word(const Frame *f);
uint64_t riscv_calm_word(const Frame *f);
bool riscv_fetch_is_flat(uint32_t mode_key);

/* ---- mstatus (Priv 3.1.6) and its kin ---- */
#define MSTATUS_SIE       (1ull << 1)
#define MSTATUS_MIE       (1ull << 3)
#define MSTATUS_SPIE      (1ull << 5)
#define MSTATUS_MPIE      (1ull << 7)
#define MSTATUS_SPP       (1ull << 8)
#define MSTATUS_MPP       (3ull << 11)
#define MSTATUS_FS        (3ull << 13) /* Priv 3.1.6.6: 0 Off, 1 Initial, 2 Clean, 3 Dirty */
#define MSTATUS_MPRV      (1ull << 17)
#define MSTATUS_SUM       (1ull << 18)
#define MSTATUS_MXR       (1ull << 19)
#define MSTATUS_TVM       (1ull << 20)
#define MSTATUS_TW        (1ull << 21)
#define MSTATUS_TSR       (1ull << 22)
#define MSTATUS_UXL       (2ull << 32) /* 64 bits, always */
#define MSTATUS_SXL       (2ull << 34)
#define MSTATUS_SD        (1ull << 63) /* FS is Dirty */
#define MSTATUS_GVA       (1ull << 38) /* Priv 15.4.1 */
#define MSTATUS_MPV       (1ull << 39)
#define MSTATUS_MPP_SHIFT 11
#define SSTATUS_WRITABLE  (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define MSTATUS_WRITABLE                                                                                               \
    (SSTATUS_WRITABLE | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW |           \
     MSTATUS_TSR | MSTATUS_GVA | MSTATUS_MPV)
/* ---- hstatus (Priv 15.2.1) ---- */
#define HSTATUS_GVA  (1ull << 6)
#define HSTATUS_SPV  (1ull << 7)
#define HSTATUS_SPVP (1ull << 8)
#define HSTATUS_HU   (1ull << 9)
#define HSTATUS_VTVM (1ull << 20)
#define HSTATUS_VTW  (1ull << 21)
#define HSTATUS_VTSR (1ull << 22)
#define HSTATUS_VSXL (2ull << 32) /* 64 bits, always */
#define HSTATUS_WRITABLE                                                                                               \
    (HSTATUS_GVA | HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_HU | HSTATUS_VTVM | HSTATUS_VTW | HSTATUS_VTSR)
#define IRQ_SSI         (1ull << 1)
#define IRQ_VSSI        (1ull << 2)
#define IRQ_MSI         (1ull << 3)
#define IRQ_STI         (1ull << 5)
#define IRQ_VSTI        (1ull << 6)
#define IRQ_MTI         (1ull << 7)
#define IRQ_SEI         (1ull << 9)
#define IRQ_VSEI        (1ull << 10)
#define IRQ_MEI         (1ull << 11)
#define IRQ_LCOFI       (1ull << 13) /* Sscofpmf */
#define IRQ_S           (IRQ_SSI | IRQ_STI | IRQ_SEI)
#define IRQ_VS          (IRQ_VSSI | IRQ_VSTI | IRQ_VSEI)
#define IRQ_ALL         (IRQ_S | IRQ_MSI | IRQ_MTI | IRQ_MEI)
#define SATP_MODE(satp) ((satp) >> 60)
#define SATP_ASID(satp) ((satp) >> 44 & 0xffff)
#define SATP_PPN(satp)  ((satp)&0xfffffffffffull)
#define HGATP_VMID(h)   ((h) >> 44 & 0x3fff)
enum { SATP_BARE = 0, SATP_SV39 = 8, SATP_SV48 = 9, SATP_SV57 = 10 };
#define MENVCFG_FIOM  (1ull << 0)
#define ENVCFG_CBIE   (3ull << 4) /* and of senvcfg: 0 illegal, 1 flush, 3 invalidate */
#define ENVCFG_CBCFE  (1ull << 6)
#define ENVCFG_CBZE   (1ull << 7)
#define ENVCFG_CBO    (ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE)
#define MENVCFG_ADUE  (1ull << 61)
#define MENVCFG_PBMTE (1ull << 62)
#define MENVCFG_STCE  (1ull << 63)
#define MSECCFG_MML   (1ull << 0) /* Smepmp 2 */
#define MSECCFG_MMWP  (1ull << 1)
#define MSECCFG_RLB   (1ull << 2)

/* Priv tables 3.8 and 12.5 */
enum {
    CAUSE_FETCH_ACCESS = 1,
    CAUSE_ILLEGAL = 2,
    CAUSE_BREAKPOINT = 3,
    CAUSE_LOAD_MISALIGNED = 4,
    CAUSE_LOAD_ACCESS = 5,
    CAUSE_STORE_MISALIGNED = 6,
    CAUSE_STORE_ACCESS = 7,
    CAUSE_ECALL_U = 8,
    CAUSE_ECALL_VS = 10,
    CAUSE_FETCH_PAGE = 12,
    CAUSE_LOAD_PAGE = 13,
    CAUSE_STORE_PAGE = 15,
    CAUSE_FETCH_GUEST_PAGE = 20,
    CAUSE_LOAD_GUEST_PAGE = 21,
    CAUSE_VIRTUAL = 22,
    CAUSE_STORE_GUEST_PAGE = 23,
};
#define CAUSE_IRQ (1ull << 63)
/* Of a Trap, value2 is what htval or mtval2 gets, value3 what htinst or mtinst gets, and this bit: value is an address of a
 * guest (hstatus.GVA, Priv 15.2.1). */
#define TRAP_GVA (1ull << 63)
enum { HTINST_TABLE_READ = 0x3000, HTINST_TABLE_WRITE = 0x3020 }; /* Priv table 15.5, of tables of 64-bit entries */

/* ---- regimes: an address translates by V, privilege, SUM and MXR. Fetches use S and U without either. With V, SUM and MXR are
 * those of vsstatus; the MXR of mstatus is in the tag of the space. HLV stands for the one that hstatus.SPVP names. ---- */
enum { REGIME_M, REGIME_S, REGIME_S_SUM, REGIME_S_MXR, REGIME_S_SUM_MXR, REGIME_U, REGIME_U_MXR };
enum { REGIME_VS = REGIME_U_MXR + 1, REGIME_VS_SUM, REGIME_VS_MXR, REGIME_VS_SUM_MXR, REGIME_VU, REGIME_VU_MXR };
enum { REGIME_HLV = REGIME_VU_MXR + 1, REGIME_COUNT };
unsigned riscv_regime(unsigned priv, uint64_t status, bool is_guest);
void riscv_context(const Frame *f, uint64_t *space_tag, unsigned *data_regime, unsigned *fetch_regime);

/* ---- helpers that IR calls ---- */
enum {
#define HELPER(name, effects, nsrc) HELP_##name,
#include "sim/guest/riscv64/helpers.def"
#undef HELPER
    HELP_COUNT
};
#define HELPER(name, effects, nsrc) HelperFn riscv_help_##name;
#include "sim/guest/riscv64/helpers.def"
#undef HELPER

/* Retired once the instruction that calls a helper has: the helper itself runs before that (ir.h P4). */
static inline uint64_t riscv_insns_after(const Frame *f)
{
    return frame_insns(f) + 1;
}

/* ---- csr.c ---- */
typedef enum {
    WHEN_PLAIN, /* a slot: reads and writes are moves */
    WHEN_SYNC,  /* a slot to read; a write may change mode, translation or interrupts */
    WHEN_CALC,  /* read() and write(); a write as SYNC */
    WHEN_COUNT, /* as CALC, and a read needs the exact count of instructions */
    WHEN_FIXED, /* a constant; writes are ignored */
} CsrWhen;
/* insns: instructions that have retired when what is read counts, and when what is written counts. */
typedef uint64_t CsrRead(const RiscvFrame *r, unsigned number, uint64_t insns);
typedef void CsrWrite(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns);
typedef uint64_t CsrWarl(const RiscvFrame *r, uint64_t old, uint64_t value);
typedef struct Csr {
    CsrWhen when;
    RiscvNeed need;
    Slot slot;
    uint64_t readable, writable; /* of a slot; readable: the value of FIXED */
    CsrWarl *warl;               /* NULL: the masks are all */
    CsrRead *read;
    CsrWrite *write; /* NULL: writes are ignored */
} Csr;
const Csr *riscv_csr(unsigned number); /* NULL: no such CSR in any cpu */
/* May code of this mode name it (Priv 2.1, and the enables of counters)? If not, which exception says so: with V a virtual
 * instruction, where HS-mode may (Priv 15.6.1). */
typedef enum { CSR_MAY, CSR_ILLEGAL, CSR_VIRTUAL } CsrAccess;
CsrAccess riscv_csr_access(unsigned number, bool is_write, uint32_t mode_key, const RiscvCpu *cpu);
unsigned riscv_csr_meant(unsigned number, uint32_t mode_key); /* with V the VS CSR for a supervisor's (Priv 15.2) */
bool riscv_csr_is_read_only(unsigned number);
uint64_t riscv_csr_read(const RiscvFrame *r, unsigned number, uint64_t insns);
void riscv_csr_write(RiscvFrame *r, unsigned number, uint64_t value, uint64_t insns);
uint64_t riscv_envcfg_cbo(const RiscvCpu *cpu); /* those of ENVCFG_CBO that it has */
const char *riscv_csr_name(unsigned number);    /* in assembly text; NULL if it has none */

/* ---- state.c ---- */
void riscv_reset(Frame *f, const GuestReset *how);
uint64_t riscv_mip(const RiscvFrame *r);
void riscv_time_check(RiscvFrame *r); /* is_time_due from the clock, now */
uint64_t riscv_time(const RiscvFrame *r);
void riscv_take_trap(Frame *f, const Trap *t);
void riscv_line(Frame *f, GuestLine line, bool level);
bool riscv_line_get(const Frame *f, GuestLine line);
bool riscv_pending(const Frame *f, Trap *out);
bool riscv_wakes(const Frame *f);
uint64_t riscv_deadline(const Frame *f);
void riscv_tick(Frame *f, uint64_t now_ns);
void riscv_flush_guest(Frame *f, uint64_t gva, uint64_t asid); /* of the VMID in hgatp; UINT64_MAX = all */

/* ---- hpm.c. i: from 0. insns: as of CsrRead and CsrWrite ---- */
void riscv_hpm_settle_events(RiscvFrame *r, uint64_t insns);
static inline void riscv_hpm_settle(RiscvFrame *r, uint64_t insns) /* after a change of privilege, V or mcountinhibit */
{
    if (r->has_hpm_event) {
        riscv_hpm_settle_events(r, insns);
    }
}
uint64_t riscv_hpm_counter(const RiscvFrame *r, unsigned i, uint64_t insns);
void riscv_hpm_counter_write(RiscvFrame *r, unsigned i, uint64_t value, uint64_t insns);
uint64_t riscv_hpm_event(const RiscvFrame *r, unsigned i, uint64_t insns);
void riscv_hpm_event_write(RiscvFrame *r, unsigned i, uint64_t value, uint64_t insns);
uint64_t riscv_hpm_overflows(const RiscvFrame *r, uint64_t insns); /* scountovf, before mcounteren */
bool riscv_hpm_is_due(const RiscvFrame *r, uint64_t insns);        /* an overflow that riscv_hpm_tick has not seen */
uint64_t riscv_hpm_deadline(const RiscvFrame *r);                  /* of the next overflow, as GuestIsa.deadline */
void riscv_hpm_tick(RiscvFrame *r);

/* ---- pmp.c: Priv 3.7, in grains of a page, so that a page has one answer ---- */
uint64_t riscv_pmpaddr_read(const RiscvFrame *r, unsigned i);
void riscv_pmpaddr_write(RiscvFrame *r, unsigned i, uint64_t value);
uint64_t riscv_pmpcfg_read(const RiscvFrame *r, unsigned n);
void riscv_pmpcfg_write(RiscvFrame *r, unsigned n, uint64_t value);
void riscv_mseccfg_write(RiscvFrame *r, uint64_t value);
uint32_t riscv_pmp_allow(const RiscvFrame *r, uint64_t gpa, bool is_m); /* ACC_READ | ACC_WRITE | ACC_EXEC */

/* For restore, whatever is locked: entry i; pmpcfg n; mseccfg, which says what pmpcfg may hold. */
void riscv_pmpaddr_restore(RiscvFrame *r, unsigned i, uint64_t value);
void riscv_pmpcfg_restore(RiscvFrame *r, unsigned n, uint64_t value);
void riscv_mseccfg_restore(RiscvFrame *r, uint64_t value);
bool riscv_pmp_ignores_m(const RiscvFrame *r);       /* M-mode may do anything anywhere */
bool riscv_pmp_ignores_fetches(const RiscvFrame *r); /* at the privilege that it is in */

/* ---- walk.c ---- */
bool riscv_has_satp_mode(const RiscvCpu *cpu, uint64_t mode);
bool riscv_walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap);
void riscv_bus_fault(Frame *f, uint64_t gva, uint64_t gpa, Access acc, unsigned regime, Trap *trap);
void riscv_align_fault(Frame *f, uint64_t gva, Access acc, unsigned regime, Trap *trap);

/* ---- fp.c ---- */
#define FCSR_FLAGS 0x1full /* Unpriv 20.2 */
enum { FCSR_FRM_SHIFT = 5 };
uint32_t riscv_fp_key(const RiscvFrame *r);
uint64_t riscv_fcsr(const RiscvFrame *r);
void riscv_fcsr_set(RiscvFrame *r, uint64_t value); /* without marking FS */
void riscv_fp_mark_dirty(RiscvFrame *r);            /* as every riscv_csr_write of what needs F does */

/* ---- stage2.c: the second stage of guests whose hypervisor is absent ---- */
int riscv_stage2_check(uint64_t root, Err *err);
uint64_t riscv_stage2_hgatp(uint64_t root);
bool riscv_stage2_fault(const Frame *f, const Trap *t, Stage2Fault *out);

/* ---- reg.c ---- */
int riscv_reg_get(const Frame *f, RegId id, void *bytes, Err *err);
int riscv_reg_set(Frame *f, RegId id, const void *bytes, Err *err);
size_t riscv_reg_list(const Frame *f, RegId *ids, size_t cap);

/* ---- translate.c ---- */
TrResult riscv_translate(Translate *t);
uint32_t riscv_insn_bits(const Translate *t);
TrResult riscv_illegal(Translate *t); /* of the instruction that has been started */
TrResult riscv_denied(Translate *t);  /* as riscv_illegal; with V a virtual-instruction exception */
uint64_t riscv_next_pc(const Translate *t);
TrResult riscv_sync(Translate *t); /* to the next instruction */

/* ---- priv.c ---- */
Slot riscv_or_every(Translate *t, int32_t reg); /* of a fence: x0 stands for every address or ASID, which is all ones */

/* ---- disasm.c ---- */
unsigned riscv_disasm(const uint8_t *bytes, unsigned n, uint64_t pc, char *text, size_t size);

/* ---- coverage (cover.c): GuestCover's, and what a walk came to; fault NULL: *w. atp: the tables of the first stage ---- */
size_t riscv_cover_count(void);
void riscv_cover_item(size_t i, Buf *out);
void riscv_cover_insn(Frame *f, const uint8_t *bytes, unsigned row);
void riscv_cover_trap(Frame *f, const Trap *t);
void riscv_cover_walk(Frame *f, Access acc, uint64_t atp, bool has_second, const Walk *w, const Trap *fault);
#endif
