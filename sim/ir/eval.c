/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ir/ir.h"
#include "sim/ir/ir_math.h"

#include <assert.h>

uint64_t ir_eval(IrOpcode op, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    switch (op) {
#define NUL(name, expr)                                                                                                \
    case IR_##name:                                                                                                    \
        return (uint64_t)(expr);
#define UN(name, expr) NUL(name, expr)
#define BIN(name, expr)                                                                                                \
    case IR_##name##_i:                                                                                                \
        b = (uint64_t)imm;                                                                                             \
        return (uint64_t)(expr);                                                                                       \
        NUL(name, expr)
#define TRI(name, expr) NUL(name, expr)
#define FP(name, ...)   case IR_##name:
#define MEM(name, ...)  case IR_##name:
#define CTL(name, ...)  case IR_##name:
#include "sim/ir/ir_ops.def"
    case IR_COUNT:
        break;
    }
    assert(!"a PURE op");
    return 0;
}

bool ir_cond(IrCond cond, uint64_t a, uint64_t b)
{
    switch (cond) {
    case COND_EQ:
        return a == b;
    case COND_NE:
        return a != b;
    case COND_LT:
        return (int64_t)a < (int64_t)b;
    case COND_GE:
        return (int64_t)a >= (int64_t)b;
    case COND_LTU:
        return a < b;
    case COND_GEU:
        return a >= b;
    case COND_COUNT:
        break;
    }
    assert(!"a condition");
    return false;
}

static uint64_t eval_fp(const IrOp *op, uint64_t a, uint64_t b, uint64_t c, FpRound rm, uint32_t mode, uint32_t *flags)
{
    FpFmt fmt = (FpFmt)FP_FMT(op->aux);
    unsigned other = FP_OTHER(op->aux);
    switch ((IrOpcode)op->op) {
#define FP(name, nsrc, shape, expr)                                                                                    \
    case IR_##name:                                                                                                    \
        return expr;
#define NUL(name, expr) case IR_##name:
#define UN(name, expr)  case IR_##name:
#define BIN(name, expr)                                                                                                \
    case IR_##name:                                                                                                    \
    case IR_##name##_i:
#define TRI(name, expr) case IR_##name:
#define MEM(name, ...)  case IR_##name:
#define CTL(name, ...)  case IR_##name:
#include "sim/ir/ir_ops.def"
    case IR_COUNT:
        break;
    }
    assert(!"an FP op");
    return 0;
}

uint64_t ir_eval_fp(const IrOp *op, uint64_t a, uint64_t b, uint64_t c, unsigned rm, uint32_t fp_mode, uint32_t *flags)
{
    FpShape shape = ir_op_info[op->op].shape;
    FpFmt fmt = (FpFmt)FP_FMT(op->aux), from = shape == FP_SHAPE_CONVERT ? (FpFmt)FP_OTHER(op->aux) : fmt;
    bool is_boxed = op->aux & FP_BOXED;
    FpRound round = (FpRound)(FP_RM(op->aux) == RM_DYN ? rm : FP_RM(op->aux));
    round = round <= RM_ODD ? round : RM_RNE;
    if (is_boxed && shape != FP_SHAPE_FROM_INT) {
        a = ir_unbox(a, from);
        b = ir_unbox(b, from);
        c = ir_unbox(c, from);
    }
    uint64_t d = eval_fp(op, a, b, c, round, fp_mode, flags);
    return is_boxed && shape != FP_SHAPE_TEST && shape != FP_SHAPE_TO_INT ? d | ir_box_ones(fmt) : d;
}
