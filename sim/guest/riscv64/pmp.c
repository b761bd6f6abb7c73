/* SPDX-License-Identifier: Apache-2.0
 * pmp.c - physical memory protection (Priv 3.7) and Smepmp, with a grain of 4 KiB (G = 10), which the specification leaves to
 * us: so every page of the TLB has one answer. NA4 cannot be selected with such a grain. */
#include "sim/guest/riscv64/riscv.h"

enum { CFG_R = 1, CFG_W = 2, CFG_X = 4, CFG_L = 0x80, CFG_KEPT = 0x9f };
enum { MATCH_OFF, MATCH_TOR, MATCH_NA4, MATCH_NAPOT };
enum { GRAIN_BITS = 10 };                                                     /* G: pmpaddr counts in 4 bytes */
#define PMPADDR_BITS (((1ull << 54) - 1) & ~((1ull << (GRAIN_BITS - 1)) - 1)) /* the others cannot be told */

static unsigned match_of(uint8_t cfg)
{
    return cfg >> 3 & 3;
}

uint64_t riscv_pmpaddr_read(const RiscvFrame *r, unsigned i)
{
    if (match_of(r->pmpcfg[i]) == MATCH_NAPOT) {
        return r->pmpaddr[i] | ((1ull << (GRAIN_BITS - 1)) - 1);
    }
    return r->pmpaddr[i] & ~((1ull << GRAIN_BITS) - 1);
}

static bool is_locked(const RiscvFrame *r, unsigned i)
{
    return r->pmpcfg[i] & CFG_L && !(r->mseccfg & MSECCFG_RLB);
}

void riscv_pmpaddr_write(RiscvFrame *r, unsigned i, uint64_t value)
{
    bool is_base_of_locked = i + 1 < PMP_ENTRIES && is_locked(r, i + 1) && match_of(r->pmpcfg[i + 1]) == MATCH_TOR;
    if (!is_locked(r, i) && !is_base_of_locked) {
        riscv_pmpaddr_restore(r, i, value);
    }
}

void riscv_pmpaddr_restore(RiscvFrame *r, unsigned i, uint64_t value)
{
    r->pmpaddr[i] = value & PMPADDR_BITS;
    exec_flush_rights(&r->f);
}

uint64_t riscv_pmpcfg_read(const RiscvFrame *r, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)r->pmpcfg[4 * n + i] << (8 * i);
    }
    return value;
}

/* What an entry becomes by a write of cfg: fields that cannot hold their value. */
static uint8_t legal_cfg(const RiscvFrame *r, uint8_t old, uint8_t cfg)
{
    cfg &= CFG_KEPT;
    if ((cfg & (CFG_R | CFG_W)) == CFG_W && !(r->mseccfg & MSECCFG_MML)) { /* reserved */
        cfg &= (uint8_t)~CFG_W;
    }
    return match_of(cfg) == MATCH_NA4 ? (uint8_t)((cfg & ~0x18) | (old & 0x18)) : cfg;
}

static void cfg_changed(RiscvFrame *r)
{
    r->pmp_used = 0;
    for (unsigned i = 0; i < PMP_ENTRIES; i++) {
        r->pmp_used = r->pmpcfg[i] ? (uint8_t)(i + 1) : r->pmp_used;
    }
    exec_flush_rights(&r->f);
}

/* Smepmp 2.4 (4b): with MML no rule by which M-mode may execute is added, but for RLB. Such are, of the locked ones, those
 * with X that are not read by everybody, and those without R but with W. */
static bool is_forbidden(const RiscvFrame *r, uint8_t cfg)
{
    uint8_t rwx = cfg & (CFG_R | CFG_W | CFG_X);
    bool is_exec = cfg & CFG_L && (rwx & CFG_X ? rwx != (CFG_R | CFG_W | CFG_X) : rwx == CFG_W);
    return is_exec && (r->mseccfg & (MSECCFG_MML | MSECCFG_RLB)) == MSECCFG_MML;
}

void riscv_pmpcfg_write(RiscvFrame *r, unsigned n, uint64_t value)
{
    for (unsigned i = 4 * n; i < 4 * n + 8; i++, value >>= 8) {
        uint8_t cfg = legal_cfg(r, r->pmpcfg[i], (uint8_t)value);
        if (!is_locked(r, i) && !is_forbidden(r, cfg)) {
            r->pmpcfg[i] = cfg;
        }
    }
    cfg_changed(r);
}

/* Locks are the guest's: who restores a vcpu writes what was stored. */
void riscv_pmpcfg_restore(RiscvFrame *r, unsigned n, uint64_t value)
{
    for (unsigned i = 4 * n; i < 4 * n + 8; i++, value >>= 8) {
        r->pmpcfg[i] = legal_cfg(r, 0, (uint8_t)value);
    }
    cfg_changed(r);
}

/* Smepmp 2: MML and MMWP stay once they are set; RLB cannot be set while an entry is locked. */
void riscv_mseccfg_write(RiscvFrame *r, uint64_t value)
{
    bool has_locked = false;
    for (unsigned i = 0; i < r->pmp_used; i++) {
        has_locked |= (r->pmpcfg[i] & CFG_L) != 0;
    }
    value |= r->mseccfg & (MSECCFG_MML | MSECCFG_MMWP);
    value &= has_locked && !(r->mseccfg & MSECCFG_RLB) ? ~MSECCFG_RLB : ~0ull;
    riscv_mseccfg_restore(r, value);
}

void riscv_mseccfg_restore(RiscvFrame *r, uint64_t value)
{
    r->mseccfg = value & (r->cpu.has[NEED_Smepmp] ? MSECCFG_MML | MSECCFG_MMWP | MSECCFG_RLB : 0);
    exec_flush_rights(&r->f);
}

static bool matches(const RiscvFrame *r, unsigned i, uint64_t gpa)
{
    uint64_t word = gpa >> 2;
    switch (match_of(r->pmpcfg[i])) {
    case MATCH_TOR:
        return word >> GRAIN_BITS >= (i ? r->pmpaddr[i - 1] >> GRAIN_BITS : 0) &&
               word >> GRAIN_BITS < r->pmpaddr[i] >> GRAIN_BITS;
    case MATCH_NAPOT: {
        uint64_t ones = riscv_pmpaddr_read(r, i), inside = ones ^ (ones + 1);
        return (word & ~inside) == (ones & ~inside);
    }
    default:
        return false;
    }
}

enum { ALLOW_ALL = ACC_READ | ACC_WRITE | ACC_EXEC };

static uint32_t plain_allow(uint8_t cfg)
{
    return (cfg & CFG_R ? (uint32_t)ACC_READ : 0) | (cfg & CFG_W ? (uint32_t)ACC_WRITE : 0) |
           (cfg & CFG_X ? (uint32_t)ACC_EXEC : 0);
}

/* Smepmp 2.4, the truth table with MML: a rule is of M-mode (L), of the others, or shared (W without R, and all of LRWX). */
static uint32_t mml_allow(uint8_t cfg, bool is_m)
{
    bool is_l = cfg & CFG_L, is_x = cfg & CFG_X;
    if ((cfg & (CFG_R | CFG_W)) == CFG_W) {
        uint32_t data = ACC_READ | (is_m || is_x ? (uint32_t)ACC_WRITE : 0);
        uint32_t code = ACC_EXEC | (is_m && is_x ? (uint32_t)ACC_READ : 0);
        return is_l ? code : data;
    }
    if (is_l && plain_allow(cfg) == ALLOW_ALL) {
        return ACC_READ;
    }
    return is_l == is_m ? plain_allow(cfg) : 0;
}

/* Where no entry matches. */
static uint32_t default_allow(const RiscvFrame *r, bool is_m)
{
    if (!is_m || r->mseccfg & MSECCFG_MMWP) {
        return 0;
    }
    return r->mseccfg & MSECCFG_MML ? ACC_READ | ACC_WRITE : ALLOW_ALL;
}

uint32_t riscv_pmp_allow(const RiscvFrame *r, uint64_t gpa, bool is_m)
{
    if (r->is_virt || !r->cpu.has[NEED_Pmp]) {
        return ALLOW_ALL;
    }
    for (unsigned i = 0; i < r->pmp_used; i++) {
        uint8_t cfg = r->pmpcfg[i];
        if (matches(r, i, gpa)) {
            return r->mseccfg & MSECCFG_MML ? mml_allow(cfg, is_m)
                   : is_m && !(cfg & CFG_L) ? ALLOW_ALL
                                            : plain_allow(cfg);
        }
    }
    return default_allow(r, is_m);
}

bool riscv_pmp_ignores_m(const RiscvFrame *r)
{
    bool is_bound = r->mseccfg & (MSECCFG_MML | MSECCFG_MMWP);
    for (unsigned i = 0; i < r->pmp_used; i++) {
        is_bound |= (r->pmpcfg[i] & CFG_L) != 0;
    }
    return !is_bound;
}

bool riscv_pmp_ignores_fetches(const RiscvFrame *r)
{
    return r->is_virt || !r->cpu.has[NEED_Pmp] || (r->priv == PRIV_M && riscv_pmp_ignores_m(r));
}
