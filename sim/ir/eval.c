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
#define FP(name, nsrc)  case IR_##name:
#define MEM(name, ...)  case IR_##name:
#define CTL(name, ...)  case IR_##name:
#include "sim/ir/ir_ops.def"
#undef NUL
#undef UN
#undef BIN
#undef TRI
#undef FP
#undef MEM
#undef CTL
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

typedef struct {
    FpOp1 *one;
    FpOp2 *two;
    FpOp3 *three;
} FpRow;
static const FpRow fp_rows[IR_COUNT] = {
    [IR_fadd] = {.two = fp_add}, [IR_fsub] = {.two = fp_sub},   [IR_fmul] = {.two = fp_mul},
    [IR_fdiv] = {.two = fp_div}, [IR_fsqrt] = {.one = fp_sqrt}, [IR_fma] = {.three = fp_fma},
};

uint64_t ir_eval_fp(const IrOp *op, uint64_t a, uint64_t b, uint64_t c, unsigned rm, uint32_t fp_mode, uint32_t *flags)
{
    const FpRow *row = &fp_rows[op->op];
    FpFmt fmt = (FpFmt)FP_FMT(op->aux);
    FpRound round = (FpRound)(FP_RM(op->aux) == RM_DYN ? rm : FP_RM(op->aux));
    round = round <= RM_ODD ? round : RM_RNE;
    if (row->one) {
        return row->one(fmt, a, round, fp_mode, flags);
    }
    if (row->two) {
        return row->two(fmt, a, b, round, fp_mode, flags);
    }
    assert(row->three); /* else a new FP op has no row */
    return row->three(fmt, a, b, c, round, fp_mode, flags);
}
