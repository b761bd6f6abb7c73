/* SPDX-License-Identifier: Apache-2.0
 * a.c - RV64A (Unpriv 14). Every IR atomic is sequentially consistent, so that aq and rl ask for nothing more. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

enum { AUX_W = 2 | MEM_SIGNED | MEM_ALIGNED, AUX_D = 3 | MEM_ALIGNED };

static TrResult atomic(Translate *t, const Rv64Args *a, IrOpcode op, uint16_t aux)
{
    Slot d = a->rd ? riscv_x((unsigned)a->rd) : ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = (uint16_t)op,
                           .aux = aux,
                           .d = d,
                           .a = riscv_x((unsigned)a->rs1),
                           .b = op == IR_lr ? IR_ZERO : riscv_x((unsigned)a->rs2)});
    return TR_NEXT;
}

TrResult rv64_tr_amo_w(Translate *t, const Rv64Args *a, IrOpcode op)
{
    return atomic(t, a, op, op == IR_sc ? AUX_W & ~MEM_SIGNED : AUX_W); /* the result of an SC is 0 or 1 */
}

TrResult rv64_tr_amo_d(Translate *t, const Rv64Args *a, IrOpcode op)
{
    return atomic(t, a, op, AUX_D);
}

TrResult rv64_tr_lr_w(Translate *t, const Rv64Args *a)
{
    return atomic(t, a, IR_lr, AUX_W);
}

TrResult rv64_tr_lr_d(Translate *t, const Rv64Args *a)
{
    return atomic(t, a, IR_lr, AUX_D);
}
