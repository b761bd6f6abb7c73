/* SPDX-License-Identifier: Apache-2.0
 * walk.c - address translation: Bare and Sv39 (Priv 12.3.2 and 12.4). */
#include "sim/guest/riscv64/riscv.h"

enum { LEVELS = 3, INDEX_BITS = 9, PTE_BYTES = 8, PAGE_BITS = 12 };
#define PTE_V        (1ull << 0)
#define PTE_R        (1ull << 1)
#define PTE_W        (1ull << 2)
#define PTE_X        (1ull << 3)
#define PTE_U        (1ull << 4)
#define PTE_G        (1ull << 5)
#define PTE_A        (1ull << 6)
#define PTE_D        (1ull << 7)
#define PTE_PPN(pte) ((pte) >> 10 & 0xfffffffffffull)
#define PTE_RESERVED (0x3ffull << 54) /* N and PBMT too: neither Svnapot nor Svpbmt is here */

typedef struct {
    const RiscvFrame *r;
    const PhysIo *io;
    uint64_t gva;
    Access acc;
    unsigned regime;
    Trap *trap;
} Request;

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

static bool is_user(unsigned regime)
{
    return regime == REGIME_U || regime == REGIME_U_MXR;
}

/* What a leaf allows in a regime, before A and D (Priv 12.3.1, 12.1.1.2). */
static uint32_t leaf_allow(uint64_t pte, unsigned regime)
{
    bool is_mxr = regime == REGIME_S_MXR || regime == REGIME_S_SUM_MXR || regime == REGIME_U_MXR;
    bool is_sum = regime == REGIME_S_SUM || regime == REGIME_S_SUM_MXR;
    bool is_foreign = is_user(regime) ? !(pte & PTE_U) : pte & PTE_U && !is_sum;
    if (is_foreign) {
        return 0;
    }
    bool may_exec = pte & PTE_X && (is_user(regime) || !(pte & PTE_U)); /* SUM does not help S-mode to execute */
    bool may_read = pte & PTE_R || (is_mxr && pte & PTE_X);
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

/* Priv 12.3.1 and Svadu: with ADUE hardware sets A and D, atomically with the check; else software does (Svade).
 * true: *pte is up to date. *again: it changed meanwhile and must be read again. */
static bool mark(const Request *q, uint64_t at, uint64_t *pte, bool *again)
{
    uint64_t now = *pte | PTE_A | (q->acc & ACC_WRITE ? PTE_D : 0);
    *again = false;
    if (now == *pte || q->acc & ACC_PROBE) {
        return true;
    }
    if (!(q->r->menvcfg & MENVCFG_ADUE)) {
        return page_fault(q);
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

static bool leaf(const Request *q, uint64_t at, uint64_t pte, unsigned level, Walk *out, bool *again)
{
    uint64_t low = (1ull << (PAGE_BITS + INDEX_BITS * level)) - 1, base = PTE_PPN(pte) << PAGE_BITS;
    uint32_t wanted = q->acc & (ACC_READ | ACC_WRITE | ACC_EXEC), allow = leaf_allow(pte, q->regime);
    *again = false;
    if (wanted & ~allow || base & low) { /* a superpage is aligned to its size */
        return page_fault(q);
    }
    out->gpa = base | (q->gva & low);
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
    out->is_large = level > 0;
    out->allow = allow;
    return true;
}

static bool is_malformed(uint64_t pte)
{
    bool is_leaf = pte & (PTE_R | PTE_X);
    return !(pte & PTE_V) || (pte & PTE_W && !(pte & PTE_R)) || pte & PTE_RESERVED ||
           (!is_leaf && pte & (PTE_A | PTE_D | PTE_U));
}

static bool walk_sv39(const Request *q, Walk *out)
{
    if ((int64_t)(q->gva << 25) >> 25 != (int64_t)q->gva) {
        return page_fault(q);
    }
    uint64_t table = SATP_PPN(q->r->satp) << PAGE_BITS;
    out->is_global = false;
    for (unsigned level = LEVELS; level-- > 0;) {
        uint64_t index = q->gva >> (PAGE_BITS + INDEX_BITS * level) & ((1u << INDEX_BITS) - 1);
        uint64_t at = table + index * PTE_BYTES;
        bool again = true;
        while (again) { /* each turn, somebody else has changed the entry */
            bool ok = riscv_pmp_allow(q->r, at, false) & ACC_READ;
            uint64_t pte = ok ? q->io->read(q->io->ctx, at, PTE_BYTES, &ok) : 0;
            if (!ok) {
                return access_fault(q);
            }
            if (is_malformed(pte)) {
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
    if (regime != REGIME_M && SATP_MODE(q.r->satp) == SATP_SV39) {
        return walk_sv39(&q, out);
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
