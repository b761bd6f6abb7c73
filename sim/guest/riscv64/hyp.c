/* SPDX-License-Identifier: Apache-2.0
 * hyp.c - instructions of the hypervisor extension (Priv 15.3). */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

/* ---- accesses of a guest's memory (15.3.1): by hstatus.SPVP, which the walk looks at ---- */
static bool is_denied(const Translate *t)
{
    bool is_lowest = KEY_PRIV(t->mode_key) == PRIV_U && !(t->mode_key & KEY_HU);
    return t->mode_key & KEY_V || is_lowest;
}

static TrResult load(Translate *t, const Rv64Args *a, uint16_t aux)
{
    if (is_denied(t)) {
        return riscv_denied(t);
    }
    Slot d = a->rd ? riscv_x((unsigned)a->rd) : ir_temp(t->ir);
    ir_load(t->ir, aux | MEM_REGIME(REGIME_HLV), d, riscv_x((unsigned)a->rs1), 0);
    return TR_NEXT;
}

static TrResult store(Translate *t, const Rv64Args *a, uint16_t aux)
{
    if (is_denied(t)) {
        return riscv_denied(t);
    }
    ir_store(t->ir, aux | MEM_REGIME(REGIME_HLV), riscv_x((unsigned)a->rs1), 0, riscv_x((unsigned)a->rs2));
    return TR_NEXT;
}

enum { LG2_1, LG2_2, LG2_4, LG2_8 };
#define ACCESS(name, what, aux)                                                                                        \
    TrResult rv64_tr_##name(Translate *t, const Rv64Args *a)                                                           \
    {                                                                                                                  \
        return what(t, a, aux);                                                                                        \
    }
ACCESS(hlv_b, load, LG2_1 | MEM_SIGNED)
ACCESS(hlv_bu, load, LG2_1)
ACCESS(hlv_h, load, LG2_2 | MEM_SIGNED)
ACCESS(hlv_hu, load, LG2_2)
ACCESS(hlvx_hu, load, LG2_2 | MEM_FETCHLIKE)
ACCESS(hlv_w, load, LG2_4 | MEM_SIGNED)
ACCESS(hlv_wu, load, LG2_4)
ACCESS(hlvx_wu, load, LG2_4 | MEM_FETCHLIKE)
ACCESS(hlv_d, load, LG2_8)
ACCESS(hsv_b, store, LG2_1)
ACCESS(hsv_h, store, LG2_2)
ACCESS(hsv_w, store, LG2_4)
ACCESS(hsv_d, store, LG2_8)

/* ---- fences of a guest's translations (15.3.2) ---- */
TrResult rv64_tr_hfence_vvma(Translate *t, const Rv64Args *a)
{
    if (t->mode_key & KEY_V || KEY_PRIV(t->mode_key) == PRIV_U) {
        return riscv_denied(t);
    }
    Slot address = riscv_or_every(t, a->rs1), asid = riscv_or_every(t, a->rs2);
    ir_call(t->ir, HELP_hfence_vvma, ir_temp(t->ir), address, asid, IR_ZERO, 0);
    return riscv_sync(t);
}

TrResult rv64_tr_hfence_gvma(Translate *t, const Rv64Args *a)
{
    (void)a; /* the TLB is not searched by addresses of a guest, nor by VMID alone: all goes */
    unsigned priv = KEY_PRIV(t->mode_key);
    if (t->mode_key & KEY_V || priv == PRIV_U || (priv == PRIV_S && t->mode_key & KEY_TVM)) {
        return riscv_denied(t);
    }
    ir_call(t->ir, HELP_hfence_gvma, ir_temp(t->ir), IR_ZERO, IR_ZERO, IR_ZERO, 0);
    return riscv_sync(t);
}

uint64_t riscv_help_hfence_vvma(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)c;
    (void)imm;
    riscv_flush_guest(f, a, b);
    return 0;
}

uint64_t riscv_help_hfence_gvma(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a;
    (void)b;
    (void)c;
    (void)imm;
    exec_flush_tlb(f, UINT64_MAX, UINT64_MAX);
    return 0;
}
