/* SPDX-License-Identifier: Apache-2.0
 * cbo.c - operations on cache blocks (Unpriv, "CMO": Zicbom, Zicboz). Memory has no cache here, so that clean, flush and inval only check
 * that they may be made. Every fault is one of a store, at the address in rs1 as it is. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

enum { BLOCK_BYTES = 64, LG2_8 = 3, LOAD_TO_STORE = 2 };

/* Unpriv, "CMO": what may load or store may manage. No page can be stored to and not loaded from (Priv 12.3.1, 3.7.1). */
uint64_t riscv_help_cbo(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b;
    (void)c;
    if (!mmu_probe(f, a, imm ? ACC_WRITE : ACC_READ) && !imm) {
        f->trap.cause += LOAD_TO_STORE;
    }
    return 0;
}

static TrResult check(Translate *t, const Rv64Args *a, uint32_t key, bool is_zero)
{
    if (!(t->mode_key & key)) { /* a guest that the levels above its hypervisor would let: Priv 15.2.5 */
        return t->mode_key & key << KEY_CB_HS_SHIFT ? riscv_denied(t) : riscv_illegal(t);
    }
    ir_call(t->ir, HELP_cbo, IR_ZERO, riscv_x((unsigned)a->rs1), IR_ZERO, IR_ZERO, is_zero);
    return TR_NEXT;
}

TrResult rv64_tr_cbo_inval(Translate *t, const Rv64Args *a)
{
    return check(t, a, KEY_CBI, false);
}

TrResult rv64_tr_cbo_clean(Translate *t, const Rv64Args *a)
{
    return check(t, a, KEY_CBCF, false);
}

TrResult rv64_tr_cbo_zero(Translate *t, const Rv64Args *a)
{
    if (check(t, a, KEY_CBZ, true) == TR_END) {
        return TR_END;
    }
    Slot block = ir_temp(t->ir);
    ir_opi(t->ir, IR_and_i, block, riscv_x((unsigned)a->rs1), -BLOCK_BYTES);
    for (int64_t at = 0; at < BLOCK_BYTES; at += 8) { /* a page holds all of it: these do not fault */
        ir_store(t->ir, LG2_8, block, at, IR_ZERO);
    }
    return TR_NEXT;
}
