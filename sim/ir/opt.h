/* SPDX-License-Identifier: Apache-2.0
 * opt.h - internal: the rows of opt_folds.def as functions, for opt.c and for the test of the rows. */
#ifndef SIM_IR_OPT_H
#define SIM_IR_OPT_H

#include "sim/ir/ir.h"

typedef struct {
    uint16_t op; /* IR_COUNT: no row, keep it */
    int64_t imm;
} Fold;
Fold fold_imm(uint16_t op, uint64_t k);
Fold fold_same(uint16_t op);
bool fold_may_swap(uint16_t op);
#endif
