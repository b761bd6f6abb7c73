/* SPDX-License-Identifier: Apache-2.0
 * charge.c - how much of the budget is paid where, in a region. Whoever comes to a block has paid Bb.due: its own instructions, and perhaps
 * some for blocks that follow it, so that the edges to these cost nothing. What an exit leaves unused is known when code is made: an edge pays
 * or gives back the difference, and only where it pays the budget may run out. So each instruction is paid before it runs, on any way,
 * and each way around a loop pays somewhere. */
#include "sim/jit/jit_int.h"

enum { MAX_DUE = 128, PAYS = 2, GIVES = 1 }; /* instructions of the host that it takes to pay, and to give back */
enum { SELDOM = 3, OFTEN = 4 }; /* how often an exit is taken: forward out of a block; at its end, or around a loop */

/* Must it be exact at each op what is paid? Not where only loads and stores are seen from outside, whose sites say what is too much. */
static bool may_owe(const Bb *x)
{
    bool may = !x->unrolled && !x->count.last;
    for (uint32_t q = 0; q < x->b->nops; q++) {
        const IrOp *o = &x->b->op[q];
        switch (ir_op_info[o->op].cls) {
        case CLASS_CALL:
            may = false;
            break;
        case CLASS_LOAD:
        case CLASS_STORE:
        case CLASS_ATOMIC:
            may = may && !(o->aux & MEM_ALONE);
            break;
        case CLASS_TERM:
            may = may && (o->op == IR_jmp || o->op == IR_jmpr);
            break;
        case CLASS_PURE:
        case CLASS_FP:
        case CLASS_FENCE:
        case CLASS_SIDE_EXIT:
            break;
        }
    }
    return may;
}

typedef struct {
    Maker *m;
    bool is_begun[JIT_MAX_BBS], is_done[JIT_MAX_BBS];
} Plan;

/* Instructions of the block up to and with its exit. */
static unsigned run_by(const Bb *x, unsigned exit)
{
    return x->b->op[x->at[exit]].insn + 1u;
}

/* What is due where the exit goes; 0: out of the region, or that is not known yet, as it is a way back. */
static unsigned due_after(const Plan *p, const Bb *x, unsigned exit)
{
    int to = x->succ[exit];
    return to >= 0 && p->is_done[to] ? p->m->bb[to].due : 0;
}

/* What the exits cost in all if `due` is paid before. */
static unsigned cost_of(const Plan *p, const Bb *x, unsigned k, unsigned due)
{
    unsigned cost = 0;
    for (unsigned e = 0; e < x->nexits; e++) {
        int to = x->succ[e];
        bool is_last = e + 1 == x->nexits && !x->is_indirect;
        unsigned often = is_last || (to >= 0 && (unsigned)to <= k) ? OFTEN : SELDOM, left = due - run_by(x, e);
        if (to >= 0 && !p->is_done[to]) {
            cost += often * PAYS;
        } else {
            unsigned next = due_after(p, x, e);
            cost += often * (left < next ? PAYS : left > next && (to >= 0 || is_last) ? GIVES : 0);
        }
    }
    return cost + (x->is_indirect && due > x->b->ninsns ? OFTEN * GIVES : 0);
}

static void visit(Plan *p, unsigned k)
{
    Bb *x = &p->m->bb[k];
    p->is_begun[k] = true;
    for (unsigned e = x->nexits; e-- > 0;) {
        if (x->succ[e] >= 0 && !p->is_begun[x->succ[e]]) {
            visit(p, (unsigned)x->succ[e]);
        }
    }
    x->due = x->b->ninsns;
    for (unsigned e = 0; e < x->nexits && may_owe(x); e++) {
        unsigned due = run_by(x, e) + due_after(p, x, e);
        if (due > x->b->ninsns && due <= MAX_DUE && cost_of(p, x, k, due) < cost_of(p, x, k, x->due)) {
            x->due = due;
        }
    }
    p->is_done[k] = true;
}

void jit_charge(Maker *m)
{
    Plan p = {.m = m};
    for (unsigned k = 0; k < m->nbbs; k++) {
        if (!p.is_begun[k] && m->bb[k].is_entry) {
            visit(&p, k);
        }
    }
    for (unsigned k = 0; k < m->nbbs; k++) {
        if (!p.is_begun[k]) {
            visit(&p, k);
        }
    }
}
