/* SPDX-License-Identifier: Apache-2.0
 * a.c - RV64A (Unpriv 14), Zabha, Zacas, Zawrs (the chapters of these names). Every IR atomic is sequentially consistent, so that aq and
 * rl ask for nothing more, but for rl of lr: a load may come before a plain store that precedes it. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

enum {
    AUX_B = 0 | MEM_SIGNED | MEM_ALIGNED,
    AUX_H = 1 | MEM_SIGNED | MEM_ALIGNED,
    AUX_W = 2 | MEM_SIGNED | MEM_ALIGNED,
    AUX_D = 3 | MEM_ALIGNED
};
enum { ORD_RL = 1 };

static TrResult atomic(Translate *t, const Rv64Args *a, IrOpcode op, uint16_t aux)
{
    Slot d = a->rd ? riscv_x((unsigned)a->rd) : ir_temp(t->ir), value = riscv_x((unsigned)a->rs2);
    IrOp o = {.op = (uint16_t)op, .aux = aux, .d = d, .a = riscv_x((unsigned)a->rs1)};
    if (op == IR_amo_cas) { /* rd holds what is expected */
        o.b = riscv_x((unsigned)a->rd);
        o.c = value;
    } else if (op != IR_lr) {
        o.b = value;
    }
    ir_emit(t->ir, &o);
    return TR_NEXT;
}

TrResult rv64_tr_amo_b(Translate *t, const Rv64Args *a, IrOpcode op)
{
    return atomic(t, a, op, AUX_B);
}

TrResult rv64_tr_amo_h(Translate *t, const Rv64Args *a, IrOpcode op)
{
    return atomic(t, a, op, AUX_H);
}

TrResult rv64_tr_amo_w(Translate *t, const Rv64Args *a, IrOpcode op)
{
    return atomic(t, a, op, op == IR_sc ? AUX_W & ~MEM_SIGNED : AUX_W); /* the result of an SC is 0 or 1 */
}

TrResult rv64_tr_amo_d(Translate *t, const Rv64Args *a, IrOpcode op)
{
    return atomic(t, a, op, AUX_D);
}

static TrResult load_reserved(Translate *t, const Rv64Args *a, uint16_t aux)
{
    if (a->ord & ORD_RL) {
        ir_emit(t->ir, &(IrOp){.op = IR_fence, .aux = ORD_SEQ_CST});
    }
    return atomic(t, a, IR_lr, aux);
}

TrResult rv64_tr_lr_w(Translate *t, const Rv64Args *a)
{
    return load_reserved(t, a, AUX_W);
}

TrResult rv64_tr_lr_d(Translate *t, const Rv64Args *a)
{
    return load_reserved(t, a, AUX_D);
}

TrResult rv64_tr_amocas_q(Translate *t, const Rv64Args *a)
{
    ir_call(t->ir, HELP_amocas_q, IR_ZERO, riscv_x((unsigned)a->rs1), IR_ZERO, IR_ZERO, a->rd | a->rs2 << 5);
    return riscv_sync(t);
}

/* A pair that begins with x0 is 0, and is not written. */
uint64_t riscv_help_amocas_q(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b;
    (void)c;
    RiscvFrame *r = RISCV(f);
    unsigned rd = (unsigned)imm & 31, rs2 = (unsigned)imm >> 5;
    uint64_t old[2] = {0, 0}, now[2] = {0, 0};
    for (unsigned i = 0; i < 2; i++) {
        old[i] = rd ? r->x[rd + i] : 0;
        now[i] = rs2 ? r->x[rs2 + i] : 0;
    }
    if (mmu_cas16(f, a, old, now) && rd) {
        r->x[rd] = old[0];
        r->x[rd + 1] = old[1];
    }
    return 0;
}

/* The wait may end at any moment, and so ends at once; but TW is to hand a processor that waits to others, as with wfi (Priv 3.1.6.5): its
 * time limit is 0. wrs.sto has a limit of its own, which TW leaves alone. */
TrResult rv64_tr_wrs_nto(Translate *t, const Rv64Args *a)
{
    (void)a;
    if (KEY_PRIV(t->mode_key) != PRIV_M && t->mode_key & KEY_TW) {
        return riscv_illegal(t);
    }
    return t->mode_key & KEY_V && t->mode_key & KEY_VTW ? riscv_denied(t) : TR_NEXT; /* Priv 15.2.1 */
}
