/* SPDX-License-Identifier: Apache-2.0
 * text.h - internal: the words of the text form that printer and parser share.
 *
 *     block pc=0x80000000 mode=0x3            flags=0x1 follows if there are any
 *     insn 0 len=4 row=12
 *       add a0, a1, a2                        slots by the guest's names; %3: temporary 3; zero; @520: a slot by offset
 *       ld.s4.aligned a3, [a1 + 8]            size (s: sign-extended), then flags in the order of text_mem_flags, .r2: regime
 *       amo_cas.8 a0, [a1], a2, a3
 *       fadd.f32.dyn.boxed a0, a1, a2         format, rounding; ftoi.f64.rtz.i32 a0, a1: and of conversions the other side
 *       call.check a0, a1, -5                 the helper's operands, then imm
 *       brcond.ltu a0, a1, 0x80000010
 *       jmp 0x80000020                        also jmpr.ret a0, 0; trap a0, 13; stop.1 a0, 0; sync 0x80000020
 *
 * An operand list is d, then [a + imm] of memory ops or a, b, c, then imm. A # starts a comment. */
#ifndef SIM_IR_TEXT_H
#define SIM_IR_TEXT_H

#include "sim/ir/ir.h"

typedef struct {
    const char *word;
    uint16_t bit;
} TextFlag;
enum {
    TEXT_NMEM_FLAGS = 3,
    TEXT_NJMP_FLAGS = 3,
    TEXT_NRM = 8,
    TEXT_NFMT = FMT_F64 + 1,
    TEXT_NINT = FP_U64 + 1,
    TEXT_NORDER = ORD_SEQ_CST + 1
};
extern const char *const text_sizes[8]; /* index: MEM_LG2, + 4 if MEM_SIGNED */
extern const TextFlag text_mem_flags[TEXT_NMEM_FLAGS], text_jmp_flags[TEXT_NJMP_FLAGS];
extern const char *const text_conds[COND_COUNT], *const text_orders[TEXT_NORDER];
extern const char *const text_fmts[TEXT_NFMT], *const text_rms[TEXT_NRM]; /* NULL: no such rounding */
extern const char *const text_ints[TEXT_NINT];

static inline bool text_is_mem(IrClass cls) /* the operand a is an address */
{
    return cls == CLASS_LOAD || cls == CLASS_STORE || cls == CLASS_ATOMIC;
}

static inline unsigned text_nsrc(const IrOp *o, const IrGuest *g) /* operands read; a call: as its helper says */
{
    unsigned n = o->op == IR_call && o->aux < g->nhelpers ? g->helpers[o->aux].nsrc : ir_op_info[o->op].nsrc;
    return n < 3 ? n : 3;
}

/* The words for FP_OTHER of an op; *n: how many. NULL: it has none. */
static inline const char *const *text_others(uint16_t op, size_t *n)
{
    switch (ir_op_info[op].shape) {
    case FP_SHAPE_CONVERT:
        *n = TEXT_NFMT;
        return text_fmts;
    case FP_SHAPE_TO_INT:
    case FP_SHAPE_FROM_INT:
        *n = TEXT_NINT;
        return text_ints;
    case FP_SHAPE_NONE:
    case FP_SHAPE_SAME:
    case FP_SHAPE_TEST:
        break;
    }
    *n = 0;
    return NULL;
}
#endif
