/* SPDX-License-Identifier: Apache-2.0
 * walk.c - address translation: Bare, Sv39, Sv48 and Sv57 (Priv 12.3 to 12.6), with Svnapot, Svpbmt and Svadu. */
#include "sim/guest/riscv64/riscv.h"

enum { INDEX_BITS = 9, PTE_BYTES = 8, PAGE_BITS = 12, NAPOT_BITS = 16 };
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
    unsigned levels; /* of the table; 0: Bare */
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
};

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
    *q->trap = (Trap){.cause = q->acc & ACC_EXEC ? fetch : q->acc & ACC_WRITE ? store : load, .value = q->gva};
    return false;
}

static bool page_fault(const Request *q)
{
    return fault(q, CAUSE_FETCH_PAGE, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE);
}

static bool access_fault(const Request *q)
{
    return fault(q, CAUSE_FETCH_ACCESS, CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS);
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

static bool pmp_ok(const Request *q, uint64_t gpa, uint32_t *allow)
{
    uint32_t wanted = q->acc & (ACC_READ | ACC_WRITE | ACC_EXEC);
    uint32_t pmp = riscv_pmp_allow(q->r, gpa, q->regime == REGIME_M);
    *allow &= pmp;
    return !(wanted & ~pmp) || access_fault(q);
}

static bool is_unmarked(const Request *q, uint64_t pte)
{
    return !(q->acc & ACC_PROBE) && (!(pte & PTE_A) || (q->acc & ACC_WRITE && !(pte & PTE_D)));
}

/* Priv 12.3.1 and Svadu: hardware sets A and D, atomically with the check. true: *pte is up to date. *again: it changed
 * meanwhile and must be read again. */
static bool mark(const Request *q, uint64_t at, uint64_t *pte, bool *again)
{
    uint64_t now = *pte | PTE_A | (q->acc & ACC_WRITE ? PTE_D : 0);
    *again = false;
    if (!is_unmarked(q, *pte)) {
        return true;
    }
    bool ok = true;
    if (!(riscv_pmp_allow(q->r, at, false) & ACC_WRITE)) {
        return access_fault(q);
    }
    if (!q->io->update(q->io->ctx, at, PTE_BYTES, *pte, now, &ok)) {
        *again = ok;
        return ok || access_fault(q);
    }
    *pte = now;
    return true;
}

/* The bits of an address that a leaf leaves alone: Svnapot makes one of 64 KiB of sixteen. */
static uint64_t inside_of(uint64_t pte, unsigned level)
{
    return (1ull << (pte & PTE_N ? NAPOT_BITS : PAGE_BITS + INDEX_BITS * level)) - 1;
}

static bool leaf(const Request *q, uint64_t at, uint64_t pte, unsigned level, Walk *out, bool *again)
{
    uint64_t inside = inside_of(pte, level), base = PTE_PPN(pte) << PAGE_BITS;
    uint32_t wanted = q->acc & (ACC_READ | ACC_WRITE | ACC_EXEC), allow = leaf_allow(pte, &rights_of[q->regime]);
    *again = false;
    base &= pte & PTE_N ? ~inside : ~0ull;
    bool is_svade = !(q->r->menvcfg & MENVCFG_ADUE); /* software sets A and D */
    if (wanted & ~allow || base & inside ||
        (is_svade && is_unmarked(q, pte))) { /* a superpage is aligned to its size */
        return page_fault(q);
    }
    out->gpa = base | (q->gva & inside);
    if (!pmp_ok(q, out->gpa, &allow) || !mark(q, at, &pte, again)) { /* a store that fails leaves D alone */
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
    out->is_large = inside >> PAGE_BITS;
    out->allow = allow;
    return true;
}

/* Priv 12.3.2 step 3, 12.4.1, Svnapot and Svpbmt: what is reserved in an entry. */
static bool is_malformed(const Request *q, uint64_t pte, unsigned level)
{
    enum { NAPOT_64K = 8, PBMT_RESERVED = 3 };
    if (!(pte & PTE_V) || (pte & PTE_W && !(pte & PTE_R)) || pte & PTE_RESERVED) {
        return true;
    }
    if (!(pte & (PTE_R | PTE_X))) {
        return pte & (PTE_A | PTE_D | PTE_U | PTE_PBMT | PTE_N);
    }
    if (pte & PTE_N && (!q->r->cpu.has[NEED_Svnapot] || level || (PTE_PPN(pte) & 15) != NAPOT_64K)) {
        return true;
    }
    return pte & PTE_PBMT && (!(q->r->menvcfg & MENVCFG_PBMTE) || (pte & PTE_PBMT) >> 61 == PBMT_RESERVED);
}

static bool walk_table(const Request *q, Walk *out)
{
    unsigned unused = 64 - PAGE_BITS - INDEX_BITS * q->levels;
    if ((int64_t)(q->gva << unused) >> unused != (int64_t)q->gva) {
        return page_fault(q);
    }
    uint64_t table = SATP_PPN(q->r->satp) << PAGE_BITS;
    for (unsigned level = q->levels; level-- > 0;) {
        uint64_t index = q->gva >> (PAGE_BITS + INDEX_BITS * level) & ((1u << INDEX_BITS) - 1);
        uint64_t at = table + index * PTE_BYTES;
        bool again = true;
        while (again) { /* each turn, somebody else has changed the entry */
            bool ok = riscv_pmp_allow(q->r, at, false) & ACC_READ;
            uint64_t pte = ok ? q->io->read(q->io->ctx, at, PTE_BYTES, &ok) : 0;
            if (!ok) {
                return access_fault(q);
            }
            if (is_malformed(q, pte, level)) {
                return page_fault(q);
            }
            out->is_global = out->is_global || pte & PTE_G;
            if (!(pte & (PTE_R | PTE_X))) {
                table = PTE_PPN(pte) << PAGE_BITS;
                break;
            }
            bool is_done = leaf(q, at, pte, level, out, &again);
            if (!again) {
                return is_done;
            }
        }
    }
    return page_fault(q); /* no leaf at the last level */
}

bool riscv_walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap)
{
    Request q = {.r = CRISCV(f), .io = io, .gva = gva, .acc = acc, .regime = regime, .trap = trap};
    *out = (Walk){0};
    q.levels = regime == REGIME_M ? 0 : levels_of(SATP_MODE(q.r->satp));
    if (q.levels) {
        return walk_table(&q, out);
    }
    out->gpa = gva;
    out->allow = ACC_READ | ACC_WRITE | ACC_EXEC;
    return pmp_ok(&q, gva, &out->allow);
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
