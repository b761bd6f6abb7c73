/* SPDX-License-Identifier: Apache-2.0
 * pmp.c - physical memory protection (Priv 3.7) with a grain of 4 KiB (G = 10), which the specification leaves to us: so every page
 * of the TLB has one answer. NA4 cannot be selected with such a grain. */
#include "sim/guest/riscv64/riscv.h"

#include <string.h>

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

void riscv_pmpaddr_write(RiscvFrame *r, unsigned i, uint64_t value)
{
    bool is_base_of_locked = i + 1 < PMP_ENTRIES && r->pmpcfg[i + 1] & CFG_L && match_of(r->pmpcfg[i + 1]) == MATCH_TOR;
    if (!(r->pmpcfg[i] & CFG_L) && !is_base_of_locked) {
        r->pmpaddr[i] = value & PMPADDR_BITS;
        exec_flush_tlb(&r->f, UINT64_MAX, UINT64_MAX);
    }
}

uint64_t riscv_pmpcfg_read(const RiscvFrame *r, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)r->pmpcfg[4 * n + i] << (8 * i);
    }
    return value;
}

static void count_used(RiscvFrame *r)
{
    r->pmp_used = 0;
    for (unsigned i = 0; i < PMP_ENTRIES; i++) {
        r->pmp_used = r->pmpcfg[i] ? (uint8_t)(i + 1) : r->pmp_used;
    }
}

void riscv_pmpcfg_write(RiscvFrame *r, unsigned n, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t *cfg = &r->pmpcfg[4 * n + i], now = (uint8_t)(value >> (8 * i)) & CFG_KEPT;
        if (*cfg & CFG_L) {
            continue;
        }
        if ((now & (CFG_R | CFG_W)) == CFG_W) { /* reserved */
            now &= (uint8_t)~CFG_W;
        }
        if (match_of(now) == MATCH_NA4) {
            now = (uint8_t)((now & ~0x18) | (*cfg & 0x18));
        }
        *cfg = now;
    }
    count_used(r);
    exec_flush_tlb(&r->f, UINT64_MAX, UINT64_MAX);
}

/* Locks are the guest's: who restores a vcpu writes what was stored. */
void riscv_pmp_restore(RiscvFrame *r, unsigned i, uint64_t pmpaddr)
{
    r->pmpaddr[i] = pmpaddr & PMPADDR_BITS;
    exec_flush_tlb(&r->f, UINT64_MAX, UINT64_MAX);
}

void riscv_pmp_unlock(RiscvFrame *r, unsigned n)
{
    memset(&r->pmpcfg[4 * n], 0, 8);
    count_used(r);
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

uint32_t riscv_pmp_allow(const RiscvFrame *r, uint64_t gpa, bool is_m)
{
    const uint32_t all = ACC_READ | ACC_WRITE | ACC_EXEC;
    if (r->is_virt || !r->cpu.has[NEED_Pmp]) {
        return all;
    }
    for (unsigned i = 0; i < r->pmp_used; i++) {
        uint8_t cfg = r->pmpcfg[i];
        if (matches(r, i, gpa)) {
            return is_m && !(cfg & CFG_L)
                       ? all
                       : (cfg & CFG_R ? (uint32_t)ACC_READ : 0) | (cfg & CFG_W ? (uint32_t)ACC_WRITE : 0) |
                             (cfg & CFG_X ? (uint32_t)ACC_EXEC : 0);
        }
    }
    return is_m ? all : 0;
}

bool riscv_pmp_ignores_fetches(const RiscvFrame *r)
{
    if (r->is_virt || !r->cpu.has[NEED_Pmp]) {
        return true;
    }
    bool is_locked = false;
    for (unsigned i = 0; i < r->pmp_used; i++) {
        is_locked |= (r->pmpcfg[i] & CFG_L) != 0;
    }
    return r->priv == PRIV_M && !is_locked;
}
