/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ir/opt.h"

#define KEEP         ((Fold){IR_COUNT, 0})
#define A            ((Fold){IR_mov, 0})
#define CONST(v)     ((Fold){IR_movi, (int64_t)(v)})
#define TO(op, imm_) ((Fold){IR_##op, (int64_t)(imm_)})
#define IS_POW2(v)   ((v) != 0 && ((v) & ((v)-1)) == 0)
#define LOG2(v)      ((unsigned)__builtin_ctzll(v))

/* Not a switch over the enum: most ops have no row. */
Fold fold_imm(uint16_t op, uint64_t k)
{
    switch (op) {
#define IMM(op, to)                                                                                                    \
    case IR_##op:                                                                                                      \
        return to;
#define SAME(op, to)
#define SWAP(op)
#include "sim/ir/opt_folds.def"
#undef IMM
#undef SAME
#undef SWAP
    }
    return KEEP;
}

Fold fold_same(uint16_t op)
{
    switch (op) {
#define IMM(op, to)
#define SAME(op, to)                                                                                                   \
    case IR_##op:                                                                                                      \
        return to;
#define SWAP(op)
#include "sim/ir/opt_folds.def"
#undef IMM
#undef SAME
#undef SWAP
    }
    return KEEP;
}

bool fold_may_swap(uint16_t op)
{
    switch (op) {
#define IMM(op, to)
#define SAME(op, to)
#define SWAP(op) case IR_##op:
#include "sim/ir/opt_folds.def"
#undef IMM
#undef SAME
#undef SWAP
        return true;
    }
    return false;
}
