/* SPDX-License-Identifier: Apache-2.0
 * reg.c - registers by id. A set is a write by the most privileged code: bits that are read-only are ignored, and a value that a
 * writable field cannot hold is refused. */
#include "sim/base/mem.h"
#include "sim/guest/riscv64/riscv.h"

#include <string.h>

enum { PMPCFG0 = 0x3a0, PMPCFG2 = 0x3a2, PMPADDR0 = 0x3b0, MSECCFG = 0x747 };
enum { FCSR = 0x003, SSTATUS = 0x100, SIE = 0x104, SIP = 0x144, MIP = 0x344 };
enum { VSIE = 0x204, VSIP = 0x244, HIE = 0x604, HIP = 0x644 };
enum { CTL_PC = 0, CTL_PRIV = 1, STATE_IRQ = 1, LINES_BITS = 16 };
enum { PRIV_V = 4 }; /* of the register priv: V */

static bool has_csr(const RiscvFrame *r, uint64_t number)
{
    const Csr *c = number < 4096 ? riscv_csr((unsigned)number) : NULL;
    return c && r->cpu.has[c->need] && (!r->is_virt || (number >> 8 & 3) <= PRIV_S);
}

static bool has_reg(const RiscvFrame *r, RegId id)
{
    uint64_t i = REG_INDEX(id);
    switch (REG_CLASS(id)) {
    case REG_GPR:
    case REG_CTL:
        return true;
    case REG_SYS:
        return has_csr(r, i);
    case REG_STATE:
        return i == STATE_IRQ;
    case REG_FP:
        return r->cpu.has[NEED_F];
    case REG_VEC:
    case REG_NATIVE:
        break;
    }
    return false;
}

static const RegInfo *find(const RiscvFrame *r, RegId id, Err *err)
{
    const RegInfo *info = REG_GUEST(id) == GUEST_riscv64 ? reg_info(id) : NULL;
    if (!info) {
        (void)err_set(err, ERR_NOENT, "no register %#llx of riscv64", (unsigned long long)id);
    } else if (!has_reg(r, id)) {
        (void)err_set(err, ERR_NOENT, "this cpu has no register %s", info->name);
        info = NULL;
    }
    return info;
}

static bool is_pmpaddr(uint64_t number)
{
    return number - PMPADDR0 < PMP_ENTRIES;
}

static void set_csr(RiscvFrame *r, unsigned number, uint64_t value)
{
    if (is_pmpaddr(number)) {
        riscv_pmpaddr_restore(r, number - PMPADDR0, value);
    } else if (number == PMPCFG0 || number == PMPCFG2) {
        riscv_pmpcfg_restore(r, number - PMPCFG0, value);
    } else if (number == MSECCFG) {
        riscv_mseccfg_restore(r, value);
    } else if (number == FCSR) { /* as nothing here runs: FS stays */
        riscv_fcsr_set(r, value);
    } else {
        riscv_csr_write(r, number, value, frame_insns(&r->f));
    }
}

static uint64_t get(const RiscvFrame *r, RegId id)
{
    uint64_t i = REG_INDEX(id);
    switch (REG_CLASS(id)) {
    case REG_GPR:
        return r->x[i];
    case REG_CTL:
        return i == CTL_PC ? r->f.pc : r->priv | (r->v ? PRIV_V : 0u);
    case REG_SYS:
        return is_pmpaddr(i) ? r->pmpaddr[i - PMPADDR0] : riscv_csr_read(r, (unsigned)i, frame_insns(&r->f));
    case REG_STATE:
        return r->mip_lines | (r->mip_soft | (riscv_hpm_is_due(r, frame_insns(&r->f)) ? IRQ_LCOFI : 0)) << LINES_BITS;
    case REG_FP:
        return r->cpu.has[NEED_D] ? r->fpr[i] : (uint32_t)r->fpr[i];
    case REG_VEC:
    case REG_NATIVE:
        break;
    }
    return 0;
}

static void set_priv(RiscvFrame *r, uint64_t value)
{
    bool is_v = value & PRIV_V;
    unsigned priv = value & 3;
    bool is_there = priv == PRIV_U || priv == PRIV_S || (priv == PRIV_M && !r->is_virt && !is_v);
    if (is_there && value <= (PRIV_V | 3) && (!is_v || r->cpu.has[NEED_H])) {
        r->priv = (uint8_t)priv;
        r->v = is_v;
        riscv_hpm_settle(r, frame_insns(&r->f));
    }
}

static void set(RiscvFrame *r, RegId id, uint64_t value)
{
    uint64_t i = REG_INDEX(id);
    switch (REG_CLASS(id)) {
    case REG_GPR:
        r->x[i] = value;
        return;
    case REG_CTL:
        if (i == CTL_PC) {
            r->f.pc = value & ~1ull;
        } else {
            set_priv(r, value);
        }
        return;
    case REG_SYS:
        set_csr(r, (unsigned)i, value);
        return;
    case REG_STATE:
        r->mip_lines = value & IRQ_ALL & ~IRQ_SSI;
        r->mip_soft = value >> LINES_BITS & (IRQ_S | (r->cpu.has[NEED_Sscofpmf] ? IRQ_LCOFI : 0));
        return;
    case REG_FP:
        r->fpr[i] = r->cpu.has[NEED_D] ? value : value | ~0ull << 32;
        return;
    case REG_VEC:
    case REG_NATIVE:
        return;
    }
}

int riscv_reg_get(const Frame *f, RegId id, void *bytes, Err *err)
{
    const RegInfo *info = find(CRISCV(f), id, err);
    if (!info) {
        return -ERR_NOENT;
    }
    uint64_t value = get(CRISCV(f), id);
    memcpy(bytes, &value, REG_SIZE(id));
    return 0;
}

int riscv_reg_set(Frame *f, RegId id, const void *bytes, Err *err)
{
    const RegInfo *info = find(CRISCV(f), id, err);
    if (!info) {
        return -ERR_NOENT;
    }
    if (!info->writable) {
        return err_set(err, ERR_INVAL, "%s is read-only", info->name);
    }
    uint64_t value = 0, old = get(CRISCV(f), id);
    memcpy(&value, bytes, REG_SIZE(id));
    set(RISCV(f), id, value);
    if ((get(CRISCV(f), id) ^ value) & info->writable) {
        set(RISCV(f), id, old);
        return err_set(err, ERR_INVAL, "%s cannot hold %#llx", info->name, (unsigned long long)value);
    }
    return 0;
}

static bool is_view(uint64_t number)
{
    static const uint16_t views[] = {SSTATUS, SIE, SIP, MIP, VSIE, VSIP, HIE, HIP};
    bool is_one = false;
    for (size_t i = 0; i < ARRAY_LEN(views); i++) {
        is_one |= number == views[i];
    }
    return is_one;
}

/* What a restore needs: nothing that cannot be written, and no second view of the same bits (mip is one of irq_state, stimecmp,
 * hvip, vstimecmp and the clock). */
static bool is_listed(const RiscvFrame *r, const RegInfo *info)
{
    if (!info->writable || !has_reg(r, info->id)) {
        return false;
    }
    return r->is_virt || REG_CLASS(info->id) != REG_SYS || !is_view(REG_INDEX(info->id));
}

size_t riscv_reg_list(const Frame *f, RegId *ids, size_t cap)
{
    size_t nrows, n = 0;
    const RegInfo *rows = reg_table(GUEST_riscv64, &nrows);
    for (size_t i = 0; i < nrows; i++) {
        if (is_listed(CRISCV(f), &rows[i])) {
            if (n < cap) {
                ids[n] = rows[i].id;
            }
            n++;
        }
    }
    return n;
}
