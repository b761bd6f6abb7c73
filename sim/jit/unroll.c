/* SPDX-License-Identifier: Apache-2.0
 * unroll.c - a block that is a loop by itself gets a second body: some copies in a row, which are paid at once and look at memory
 * together. To all that reads side tables they are a block like others, of which each copy is at the same place in guest code. Where
 * the loop ends in the middle of the block, the rest of it, its tail, is paid with the copies and follows them. */
#include "sim/jit/jit_int.h"

#include <string.h>

enum { UNROLL_INSNS = 32, UNROLL_COPIES = 8, UNROLL_BYTES = 1024 };

bool jit_is_plain(const IrOp *o)
{
    switch (ir_op_info[o->op].cls) {
    case CLASS_LOAD:
    case CLASS_STORE:
        return !(o->aux & MEM_ALONE);
    case CLASS_PURE:
    case CLASS_FP:
    case CLASS_SIDE_EXIT:
        return true;
    case CLASS_TERM:
        return o->op == IR_jmp && !(o->aux & JMP_CALL);
    case CLASS_ATOMIC:
    case CLASS_FENCE:
    case CLASS_CALL:
        return false;
    }
    return false;
}

int jit_exit_around(const Bb *x, unsigned k)
{
    int found = -1;
    for (unsigned e = 0; e < x->nexits; e++) {
        if (x->succ[e] == (int)k) {
            if (found >= 0) {
                return -1;
            }
            found = (int)e;
        }
    }
    return found;
}

/* How far the base of an access goes each time around; UNROLL_BYTES: too far, or that is not known. Large strides are left alone:
 * the host foresees them by the address of the one instruction that makes them. */
static int64_t stride_of(const JBlock *b, const IrOp *last, Slot base)
{
    int64_t by = 0;
    for (const IrOp *o = b->op; o <= last; o++) {
        if (ir_op_info[o->op].has_dst && o->d == base) {
            if (o->op != IR_add_i || o->a != base || o->imm <= -UNROLL_BYTES || o->imm >= UNROLL_BYTES) {
                return UNROLL_BYTES;
            }
            by += o->imm;
        }
    }
    by = by < 0 ? -by : by;
    return by < UNROLL_BYTES ? by : UNROLL_BYTES;
}

static unsigned copies_of(const JBlock *b, const IrOp *last)
{
    unsigned n = UNROLL_INSNS / (last->insn + 1);
    n = n < UNROLL_COPIES ? n : UNROLL_COPIES;
    for (const IrOp *o = b->op; o <= last && n > 1; o++) {
        IrClass cls = ir_op_info[o->op].cls;
        int64_t stride = cls == CLASS_LOAD || cls == CLASS_STORE ? stride_of(b, last, o->a) : 0;
        if (!jit_is_plain(o) || stride == UNROLL_BYTES) {
            return 0;
        }
        n = stride * n > UNROLL_BYTES ? (unsigned)(UNROLL_BYTES / stride) : n;
    }
    return n;
}

/* Appends the ops up to last. In all copies but the last what goes around goes on, and what does not goes to the tail. */
static void copy_add(JBlock *to, const JBlock *b, const IrOp *last, uint32_t insn, bool is_last)
{
    unsigned e = 0;
    for (const IrOp *o = b->op; o <= last; o++) {
        IrOp *p = &to->op[to->nops];
        *p = *o;
        p->insn += insn;
        if (o->op == IR_jmp && !is_last) {
            return;
        }
        to->nops++;
        if (o == last && o->op == IR_brcond && !is_last) {
            p->aux = (uint16_t)((o->aux ^ 1) | UNROLLED_TO_TAIL << UNROLLED_EXIT);
        } else if (o->op == IR_brcond || o->op == IR_jmp) {
            p->aux |= (uint16_t)(++e << UNROLLED_EXIT);
        }
    }
}

static JBlock *unrolled(const JBlock *b, const IrOp *last, unsigned copies)
{
    uint32_t nops = (uint32_t)(last - b->op) + 1, body = last->insn + 1;
    JBlock *u = x_alloc(sizeof *u + copies * (nops * sizeof b->op[0] + body * sizeof b->insn_at[0]));
    *u = (JBlock){.tag = b->tag, .gva = b->gva, .nbytes = b->nbytes, .ninsns = body * (copies - 1) + b->ninsns};
    for (unsigned c = 0; c < copies; c++) {
        copy_add(u, b, last, c * body, c + 1 == copies);
    }
    u->insn_at = (uint16_t *)(u->op + u->nops);
    for (unsigned c = 0; c < copies; c++) {
        memcpy(u->insn_at + (size_t)c * body, b->insn_at, body * sizeof b->insn_at[0]);
    }
    return u;
}

void jit_unroll(Maker *m)
{
    _Static_assert(((int)COND_EQ ^ 1) == COND_NE && ((int)COND_LT ^ 1) == COND_GE && ((int)COND_LTU ^ 1) == COND_GEU,
                   "the other case of a condition is its neighbour");
    for (unsigned k = 0; k < m->nbbs; k++) {
        Bb *x = &m->bb[k];
        if (host_count_plan(m, k)) {
            continue;
        }
        int around = jit_exit_around(x, k);
        const IrOp *last = around < 0 ? NULL : &x->b->op[x->at[around]];
        unsigned copies = last ? copies_of(x->b, last) : 0;
        if (copies > 1) {
            x->copies = copies;
            x->unrolled = unrolled(x->b, last, copies);
            x->tail = x->at[around] + 1;
        }
    }
}

bool jit_unroll_again(Bb *x, unsigned k, unsigned copies)
{
    int around = jit_exit_around(x, k);
    const IrOp *last = around < 0 ? NULL : &x->b->op[x->at[around]];
    if (!last || copies < 2 || copies != copies_of(x->b, last)) {
        return false;
    }
    x->unrolled = unrolled(x->b, last, copies);
    return true;
}
