/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ir/ir.h"

enum { EVENT_LOAD = true, EVENT_STORE = true, EVENT_ATOMIC = true, EVENT_FENCE = false };

const IrOpInfo ir_op_info[IR_COUNT] = {
#define NUL(name, expr) [IR_##name] = {#name, CLASS_PURE, 0, true, true, false, 0},
#define UN(name, expr)  [IR_##name] = {#name, CLASS_PURE, 1, true, false, false, 0},
#define BIN(name, expr)                                                                                                \
    [IR_##name] = {#name, CLASS_PURE, 2, true, false, false, 0},                                                       \
    [IR_##name##_i] = {#name "_i", CLASS_PURE, 1, true, true, false, 0},
#define TRI(name, expr)               [IR_##name] = {#name, CLASS_PURE, 3, true, false, false, 0},
#define FP(name, nsrc_, shape_, expr) [IR_##name] = {#name, CLASS_FP, nsrc_, true, false, false, FP_SHAPE_##shape_},
#define MEM(name, class_, nsrc_, dst_, imm_)                                                                           \
    [IR_##name] = {#name, CLASS_##class_, nsrc_, dst_, imm_, EVENT_##class_, 0},
#define CTL(name, class_, nsrc_, dst_, imm_) [IR_##name] = {#name, CLASS_##class_, nsrc_, dst_, imm_, false, 0},
#include "sim/ir/ir_ops.def"
};
