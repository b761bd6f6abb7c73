/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ir/ir.h"

#include <assert.h>

void ir_begin(IrBuild *k, IrBlock *b, IrOp *ops, uint64_t gva, uint32_t mode_key)
{
    b->op = ops;
    b->nops = b->ninsns = b->flags = b->nbytes = 0;
    b->gva = gva;
    b->mode_key = mode_key;
    b->insn_at[0] = 0;
    *k = (IrBuild){.block = b};
}

void ir_insn(IrBuild *k, unsigned len, uint16_t row)
{
    IrBlock *b = k->block;
    assert(len >= 1 && len <= 255); /* so that insn_at cannot overflow */
    assert(!k->is_full);
    k->ntemps = 0;
    k->is_begun = b->ninsns < IR_BLOCK_MAX_INSNS;
    if (!k->is_begun) {
        k->is_full = true;
        return;
    }
    b->insn_row[b->ninsns++] = row;
    b->nbytes += len;
    b->insn_at[b->ninsns] = (uint16_t)b->nbytes;
}

void ir_drop_insn(IrBuild *k)
{
    IrBlock *b = k->block;
    k->ntemps = 0;
    k->is_full = false;
    if (!k->is_begun) {
        return;
    }
    k->is_begun = false;
    b->nbytes = b->insn_at[--b->ninsns];
    for (; b->nops && b->op[b->nops - 1].insn == b->ninsns; b->nops--) {
        IrClass cls = ir_op_info[b->op[b->nops - 1].op].cls;
        k->nexits -= cls == CLASS_SIDE_EXIT || cls == CLASS_TERM;
    }
}

Slot ir_temp(IrBuild *k)
{
    if (k->ntemps == IR_NTEMPS) {
        k->is_full = true;
        return IR_TEMP(IR_NTEMPS - 1);
    }
    return IR_TEMP(k->ntemps++);
}

void ir_emit(IrBuild *k, const IrOp *op)
{
    IrBlock *b = k->block;
    const IrOpInfo *info = &ir_op_info[op->op];
    uint32_t kept = info->cls != CLASS_TERM; /* room for the terminator */
    bool is_exit = info->cls == CLASS_SIDE_EXIT || info->cls == CLASS_TERM;
    IrOp o = *op;
    if (info->has_dst && o.d == IR_ZERO && info->cls != CLASS_CALL) {
        if (info->cls == CLASS_PURE) {
            return;
        }
        o.d = ir_temp(k);
    }
    assert(b->ninsns); /* ir_insn comes first */
    if (k->is_full || b->nops + kept >= IR_BLOCK_MAX_OPS || (is_exit && k->nexits + kept >= IR_MAX_EXITS)) {
        k->is_full = true;
        return;
    }
    o.insn = b->ninsns - 1;
    k->nexits += is_exit;
    b->op[b->nops++] = o;
}

void ir_op2(IrBuild *k, IrOpcode op, Slot d, Slot a, Slot b)
{
    ir_emit(k, &(IrOp){.op = (uint16_t)op, .d = d, .a = a, .b = b});
}

void ir_opi(IrBuild *k, IrOpcode op, Slot d, Slot a, int64_t imm)
{
    ir_emit(k, &(IrOp){.op = (uint16_t)op, .d = d, .a = a, .imm = imm});
}

void ir_load(IrBuild *k, uint16_t aux, Slot d, Slot base, int64_t imm)
{
    ir_emit(k, &(IrOp){.op = IR_ld, .aux = aux, .d = d, .a = base, .imm = imm});
}

void ir_store(IrBuild *k, uint16_t aux, Slot base, int64_t imm, Slot value)
{
    ir_emit(k, &(IrOp){.op = IR_st, .aux = aux, .a = base, .b = value, .imm = imm});
}

void ir_call(IrBuild *k, uint16_t helper, Slot d, Slot a, Slot b, Slot c, int64_t imm)
{
    ir_emit(k, &(IrOp){.op = IR_call, .aux = helper, .d = d, .a = a, .b = b, .c = c, .imm = imm});
}

void ir_brcond(IrBuild *k, IrCond cond, Slot a, Slot b, uint64_t pc)
{
    ir_emit(k, &(IrOp){.op = IR_brcond, .aux = (uint16_t)cond, .a = a, .b = b, .imm = (int64_t)pc});
}

void ir_jmp(IrBuild *k, uint64_t pc)
{
    ir_emit(k, &(IrOp){.op = IR_jmp, .imm = (int64_t)pc});
}
