/* SPDX-License-Identifier: Apache-2.0
 * walk.c - address translation: Bare, Sv39, Sv48 and Sv57 (Priv 12.3 to 12.6), with Svnapot, Svpbmt and Svadu; and in two stages
 * (15.5). */
#include "sim/guest/riscv64/riscv.h"

enum { INDEX_BITS = 9, PTE_BYTES = 8, PAGE_BITS = 12, NAPOT_BITS = 16 };
enum { ROOT_BITS = 2 }; /* more of a root of the second stage: x4 */
#define PTE_V        (1ull << 0)
#define PTE_R        (1ull << 1)
#define PTE_W        (1ull << 2)
#define PTE_X        (1ull << 3)
#define PTE_U        (1ull << 4)
#define PTE_G        (1ull << 5)
#define PTE_A        (1ull << 6)
#define PTE_D        (1ull << 7)
#define PTE_PPN(pte) ((pte) >> 10 & 0xfffffffffffull)
#define PTE_RESERVED (0x7full << 54)
#define PTE_PBMT     (3ull << 61)
#define PTE_N        (1ull << 63)

typedef struct {
    const RiscvFrame *r;
    const PhysIo *io;
    uint64_t gva;
    Access acc;
    unsigned regime;
    bool is_hlvx; /* a load that needs X instead of R (Priv 15.3.1) */
    Trap *trap;
} Request;

/* What a regime says about the pages of U-mode, and about those that only execute. */
typedef struct {
    bool is_user, is_sum, is_mxr;
} Rights;

static const Rights rights_of[REGIME_COUNT] = {
    [REGIME_S_SUM] = {.is_sum = true},
    [REGIME_S_MXR] = {.is_mxr = true},
    [REGIME_S_SUM_MXR] = {.is_sum = true, .is_mxr = true},
    [REGIME_U] = {.is_user = true},
    [REGIME_U_MXR] = {.is_user = true, .is_mxr = true},
    [REGIME_VS_SUM] = {.is_sum = true},
    [REGIME_VS_MXR] = {.is_mxr = true},
    [REGIME_VS_SUM_MXR] = {.is_sum = true, .is_mxr = true},
    [REGIME_VU] = {.is_user = true},
    [REGIME_VU_MXR] = {.is_user = true, .is_mxr = true},
};

static bool is_guest(unsigned regime)
{
    return regime >= REGIME_VS;
}

/* What an access is for; of those to tables, what htinst says if the second stage faults (Priv table 15.5). */
typedef enum {
    FOR_ITSELF = 0,
    FOR_READING_TABLES = HTINST_TABLE_READ,
    FOR_WRITING_TABLES = HTINST_TABLE_WRITE
} Purpose;

/* One stage of translation by a table: of an address of the guest's (Priv 12.3.2) or of its machine (15.5.1). */
typedef struct {
    const Request *q;
    uint64_t address, atp;
    Rights who;
    uint32_t wanted; /* ACC_x that the leaf must allow */
    Purpose why;
    bool is_second;
    uint64_t envcfg; /* whose ADUE and PBMTE count */
} Stage;
/* Where a stage's results and its tables are: the next stage, or machine memory, which PMP guards. Fills gpa and allow. */
typedef bool Below(const Stage *s, uint64_t address, uint32_t wanted, Purpose why, Walk *out);
/* A walk is made for each Below, so that one stage alone does not pay for two. */
#define WALK_INLINE static inline __attribute__((always_inline))

static unsigned levels_of(uint64_t mode)
{
    return mode == SATP_BARE ? 0 : (unsigned)mode - SATP_SV39 + 3;
}

bool riscv_has_satp_mode(const RiscvCpu *cpu, uint64_t mode)
{
    switch (mode) {
    case SATP_BARE:
        return true;
    case SATP_SV39:
        return cpu->has[NEED_Sv39];
    case SATP_SV48:
        return cpu->has[NEED_Sv48];
    case SATP_SV57:
        return cpu->has[NEED_Sv57];
    default:
        return false;
    }
}

static bool fault(const Request *q, uint64_t fetch, uint64_t load, uint64_t store)
{
    bool is_fetch = q->acc & ACC_EXEC && !q->is_hlvx;
    *q->trap = (Trap){.cause = is_fetch             ? fetch
                               : q->acc & ACC_WRITE ? store
                                                    : load,
                      .value = q->gva,
                      .value3 = is_guest(q->regime) ? TRAP_GVA : 0};
    return false;
}

static bool access_fault(const Request *q)
{
    return fault(q, CAUSE_FETCH_ACCESS, CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS);
}

/* Priv 15.2.8, 15.6.3: of an access of a program htinst may be 0; of one to its tables it must say so. */
static bool page_fault(const Stage *s)
{
    const Request *q = s->q;
    if (!s->is_second) {
        return fault(q, CAUSE_FETCH_PAGE, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE);
    }
    (void)fault(q, CAUSE_FETCH_GUEST_PAGE, CAUSE_LOAD_GUEST_PAGE, CAUSE_STORE_GUEST_PAGE);
    q->trap->value2 = s->address >> 2;
    q->trap->value3 |= s->why;
    return false;
}

/* What a leaf allows, before A and D (Priv 12.3.1, 12.1.1.2). */
static uint32_t leaf_allow(uint64_t pte, const Rights *who)
{
    if (who->is_user ? !(pte & PTE_U) : pte & PTE_U && !who->is_sum) {
        return 0;
    }
    bool may_exec = pte & PTE_X && (who->is_user || !(pte & PTE_U)); /* SUM does not help S-mode to execute */
    bool may_read = pte & PTE_R || (who->is_mxr && pte & PTE_X);
    return (may_read ? (uint32_t)ACC_READ : 0) | (pte & PTE_W ? (uint32_t)ACC_WRITE : 0) |
           (may_exec ? (uint32_t)ACC_EXEC : 0);
}

WALK_INLINE bool memory_below(const Stage *s, uint64_t address, uint32_t wanted, Purpose why, Walk *out)
{
    const Request *q = s->q;
    wanted |= q->is_hlvx && why == FOR_ITSELF ? (uint32_t)ACC_READ : 0; /* PMP has no say in that X is read (15.3.1) */
    out->gpa = address;
    out->allow = riscv_pmp_allow(q->r, address, q->regime == REGIME_M);
    return !(wanted & ~out->allow) || access_fault(q);
}

static bool is_unmarked(const Stage *s, uint64_t pte)
{
    return !(s->q->acc & ACC_PROBE) && (!(pte & PTE_A) || (s->wanted & ACC_WRITE && !(pte & PTE_D)));
}

/* Priv 12.3.1 and Svadu: hardware sets A and D in the entry, which is at a machine address, atomically with the check. true: *pte
 * is up to date. *again: it changed meanwhile and must be read again. */
static bool mark(const Stage *s, uint64_t at, uint64_t *pte, bool *again)
{
    uint64_t now = *pte | PTE_A | (s->wanted & ACC_WRITE ? PTE_D : 0);
    bool ok = true;
    if (!s->q->io->update(s->q->io->ctx, at, PTE_BYTES, *pte, now, &ok)) {
        *again = ok;
        return ok || access_fault(s->q);
    }
    *pte = now;
    return true;
}

/* The bits of an address that a leaf leaves alone: Svnapot makes one of 64 KiB of sixteen. */
static uint64_t inside_of(uint64_t pte, unsigned level)
{
    return (1ull << (pte & PTE_N ? NAPOT_BITS : PAGE_BITS + INDEX_BITS * level)) - 1;
}

WALK_INLINE bool leaf(const Stage *s, Below *below, uint64_t at, uint64_t pte, unsigned level, Walk *out, bool *again)
{
    uint64_t inside = inside_of(pte, level), base = PTE_PPN(pte) << PAGE_BITS;
    uint32_t allow = leaf_allow(pte, &s->who);
    *again = false;
    base &= pte & PTE_N ? ~inside : ~0ull;
    bool is_svade = !(s->envcfg & MENVCFG_ADUE);                                    /* software sets A and D */
    if (s->wanted & ~allow || base & inside || (is_svade && is_unmarked(s, pte))) { /* a superpage is aligned */
        return page_fault(s);
    }
    /* Where the entry cannot be written is told first (15.6.3); and a store that fails leaves D alone. */
    bool is_marked = !is_unmarked(s, pte);
    Walk w = {0}, entry = {0};
    if ((!is_marked && !below(s, at, ACC_WRITE, FOR_WRITING_TABLES, &entry)) ||
        !below(s, base | (s->address & inside), s->wanted, s->why, &w) ||
        (!is_marked && !mark(s, entry.gpa, &pte, again))) {
        return false;
    }
    if (*again) {
        return true;
    }
    if (!(pte & PTE_A)) {
        allow = 0; /* only a probe comes here */
    } else if (!(pte & PTE_D)) {
        allow &= ~(uint32_t)ACC_WRITE;
    }
    out->gpa = w.gpa;
    out->page_bits = (uint8_t)__builtin_popcountll(inside);
    out->allow = allow & w.allow;
    return true;
}

/* Priv 12.3.2 step 3, 12.4.1, Svnapot and Svpbmt: what is reserved in an entry. */
WALK_INLINE bool is_malformed(const Stage *s, uint64_t pte, unsigned level)
{
    enum { NAPOT_64K = 8, PBMT_RESERVED = 3 };
    if (!(pte & PTE_V) || (pte & PTE_W && !(pte & PTE_R)) || pte & PTE_RESERVED) {
        return true;
    }
    if (!(pte & (PTE_R | PTE_X))) {
        return pte & (PTE_A | PTE_D | PTE_U | PTE_PBMT | PTE_N);
    }
    if (pte & PTE_N && (!s->q->r->cpu.has[NEED_Svnapot] || level || (PTE_PPN(pte) & 15) != NAPOT_64K)) {
        return true;
    }
    return pte & PTE_PBMT && (!(s->envcfg & MENVCFG_PBMTE) || (pte & PTE_PBMT) >> 61 == PBMT_RESERVED);
}

/* A guest's address is sign-extended (12.4.1); one of its machine has two bits more than the levels give, and no others (15.5.1). */
WALK_INLINE bool is_in_range(const Stage *s, unsigned levels)
{
    unsigned unused = 64 - PAGE_BITS - INDEX_BITS * levels;
    return s->is_second ? !(s->address >> (64 - unused + ROOT_BITS))
                        : (int64_t)(s->address << unused) >> unused == (int64_t)s->address;
}

WALK_INLINE bool table_walk(const Stage *s, Below *below, Walk *out)
{
    unsigned levels = levels_of(SATP_MODE(s->atp));
    if (!is_in_range(s, levels)) {
        return page_fault(s);
    }
    uint64_t table = SATP_PPN(s->atp) << PAGE_BITS, index = s->address >> (PAGE_BITS + INDEX_BITS * (levels - 1));
    index &= s->is_second ? (1u << (INDEX_BITS + ROOT_BITS)) - 1 : (1u << INDEX_BITS) - 1;
    for (unsigned level = levels; level-- > 0;) {
        uint64_t at = table + index * PTE_BYTES;
        bool again = true;
        while (again) { /* each turn, somebody else has changed the entry */
            Walk w = {0};
            bool ok = true;
            if (!below(s, at, ACC_READ, FOR_READING_TABLES, &w)) {
                return false;
            }
            uint64_t pte = s->q->io->read(s->q->io->ctx, w.gpa, PTE_BYTES, &ok);
            if (!ok) {
                return access_fault(s->q);
            }
            if (is_malformed(s, pte, level)) {
                return page_fault(s);
            }
            out->is_global = out->is_global || (pte & PTE_G && !s->is_second);
            if (!(pte & (PTE_R | PTE_X))) {
                table = PTE_PPN(pte) << PAGE_BITS;
                break;
            }
            bool is_done = leaf(s, below, at, pte, level, out, &again);
            if (!again) {
                return is_done;
            }
        }
        index = level ? s->address >> (PAGE_BITS + INDEX_BITS * (level - 1)) & ((1u << INDEX_BITS) - 1) : 0;
    }
    return page_fault(s); /* no leaf at the last level */
}

/* Priv 15.5.1: every access is one of U-mode, and the guest's own MXR does not count. */
static bool second_below(const Stage *first, uint64_t address, uint32_t wanted, Purpose why, Walk *out)
{
    const RiscvFrame *r = first->q->r;
    Stage s = {.q = first->q,
               .address = address,
               .atp = r->hgatp,
               .who = {.is_user = true, .is_mxr = why == FOR_ITSELF && r->mstatus & MSTATUS_MXR},
               .wanted = wanted,
               .why = why,
               .is_second = true,
               .envcfg = r->menvcfg};
    return table_walk(&s, memory_below, out);
}

static bool one_stage(const Stage *s, Walk *out)
{
    return SATP_MODE(s->atp) == SATP_BARE ? memory_below(s, s->address, s->wanted, FOR_ITSELF, out)
                                          : table_walk(s, memory_below, out);
}

static bool two_stages(const Stage *s, Walk *out)
{
    return SATP_MODE(s->atp) == SATP_BARE ? second_below(s, s->address, s->wanted, FOR_ITSELF, out)
                                          : table_walk(s, second_below, out);
}

/* The tables of the walk, for coverage: *has_second: there are two stages. */
static uint64_t tables_of(const Request *q, bool *has_second)
{
    const RiscvFrame *r = q->r;
    *has_second = (is_guest(q->regime) || r->is_virt) && SATP_MODE(r->hgatp) != SATP_BARE;
    return q->regime == REGIME_M ? 0 : is_guest(q->regime) ? r->vsatp : r->satp;
}

static bool walk(const Request *q, Walk *out)
{
    const RiscvFrame *r = q->r;
    if (q->regime == REGIME_M && riscv_pmp_ignores_m(r)) {
        *out = (Walk){.gpa = q->gva,
                      .allow = ACC_READ | ACC_WRITE | ACC_EXEC,
                      .is_global = true,
                      .is_flat = true,
                      .flat_first = 0,
                      .flat_last = UINT64_MAX};
        return true;
    }
    Stage s = {.q = q,
               .address = q->gva,
               .atp = q->regime == REGIME_M ? 0 : r->satp,
               .who = rights_of[q->regime],
               .wanted = q->acc & (ACC_READ | ACC_WRITE | ACC_EXEC),
               .envcfg = r->menvcfg};
    if (!is_guest(q->regime)) {
        bool has_second = r->is_virt && SATP_MODE(r->hgatp) != SATP_BARE;
        return has_second ? two_stages(&s, out) : one_stage(&s, out);
    }
    s.atp = r->vsatp;
    s.envcfg = r->henvcfg;
    s.who.is_mxr |= (r->mstatus & MSTATUS_MXR) != 0; /* 15.2.11: it overrides both stages */
    bool ok = SATP_MODE(r->hgatp) == SATP_BARE ? one_stage(&s, out) : two_stages(&s, out);
    out->is_global = false; /* it would be in the spaces of one VMID only */
    return ok;
}

static unsigned regime_meant(const RiscvFrame *r, unsigned regime)
{
    return regime == REGIME_HLV ? riscv_regime(r->hstatus & HSTATUS_SPVP ? PRIV_S : PRIV_U, r->vsstatus, true) : regime;
}

bool riscv_walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap)
{
    Request q = {.r = CRISCV(f), .io = io, .gva = gva, .acc = acc, .trap = trap};
    q.regime = regime_meant(q.r, regime);
    q.is_hlvx = regime == REGIME_HLV && acc & ACC_EXEC; /* nothing is fetched there */
    *out = (Walk){0};
    bool ok = walk(&q, out), has_second = false;
    if (exec_is_covered(f) && !(acc & ACC_PROBE)) {
        uint64_t atp = tables_of(&q, &has_second);
        riscv_cover_walk(f, q.is_hlvx ? ACC_READ : acc, atp, has_second, out, ok ? NULL : trap);
    }
    return ok;
}

void riscv_bus_fault(Frame *f, uint64_t gva, uint64_t gpa, Access acc, unsigned regime, Trap *trap)
{
    (void)gpa;
    Request q = {.r = CRISCV(f), .gva = gva, .acc = acc, .regime = regime, .trap = trap};
    access_fault(&q);
}

/* Only LR, SC and AMOs ask for alignment; of the two exceptions that Unpriv 14.2 and 14.4 allow this is the one that says why. */
void riscv_align_fault(Frame *f, uint64_t gva, Access acc, unsigned regime, Trap *trap)
{
    Request q = {.r = CRISCV(f), .gva = gva, .acc = acc, .regime = regime, .trap = trap};
    fault(&q, CAUSE_FETCH_ACCESS, CAUSE_LOAD_MISALIGNED, CAUSE_STORE_MISALIGNED);
}
