/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ir/ir.h"

enum { EVENT_LOAD = true, EVENT_STORE = true, EVENT_ATOMIC = true, EVENT_FENCE = false };

const IrOpInfo ir_op_info[IR_COUNT] = {
#define NUL(name, expr) [IR_##name] = {#name, CLASS_PURE, 0, true, true, false},
#define UN(name, expr)  [IR_##name] = {#name, CLASS_PURE, 1, true, false, false},
#define BIN(name, expr)                                                                                                \
    [IR_##name] = {#name, CLASS_PURE, 2, true, false, false},                                                          \
    [IR_##name##_i] = {#name "_i", CLASS_PURE, 1, true, true, false},
#define TRI(name, expr)                      [IR_##name] = {#name, CLASS_PURE, 3, true, false, false},
#define FP(name, nsrc_)                      [IR_##name] = {#name, CLASS_FP, nsrc_, true, false, false},
#define MEM(name, class_, nsrc_, dst_, imm_) [IR_##name] = {#name, CLASS_##class_, nsrc_, dst_, imm_, EVENT_##class_},
#define CTL(name, class_, nsrc_, dst_, imm_) [IR_##name] = {#name, CLASS_##class_, nsrc_, dst_, imm_, false},
#include "sim/ir/ir_ops.def"
#undef NUL
#undef UN
#undef BIN
#undef TRI
#undef FP
#undef MEM
#undef CTL
};
