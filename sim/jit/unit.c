/* SPDX-License-Identifier: Apache-2.0
 * unit.c - which slots of a unit live in host registers, and what may be dirty and is live where. */
#include "sim/jit/jit_int.h"

#include <string.h>

unsigned op_sources(const IrGuest *g, const IrOp *o, Slot out[3])
{
    out[0] = o->a, out[1] = o->b, out[2] = o->c;
    return o->op == IR_call ? g->helpers[o->aux].nsrc : ir_op_info[o->op].nsrc;
}

bool op_may_leave(const IrGuest *g, const IrOp *o)
{
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
    case CLASS_FP:
    case CLASS_FENCE:
        return false;
    case CLASS_CALL:
        return g->helpers[o->aux].effects & ~(uint32_t)EFF_FP_FLAGS;
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
    case CLASS_SIDE_EXIT:
    case CLASS_TERM:
        return true;
    }
    return true;
}

/* ---- numbers of slots ---- */
static void id_give(Maker *m, Slot s)
{
    if (s == IR_ZERO || m->id_of[s / 8] || m->nids == JIT_IDS || s == m->guest->fp_flags || s == m->guest->fp_rm) {
        return; /* softfp reads and writes the frame */
    }
    m->id_of[s / 8] = (uint16_t)m->nids;
    m->is_temp[m->nids] = IR_IS_TEMP(s);
    m->is_pin[m->nids] = m->is_fpr[m->nids] = false;
    m->slot_of[m->nids++] = s;
}

void unit_begin(Maker *m)
{
    for (unsigned i = 1; i < m->nids; i++) {
        m->id_of[m->slot_of[i] / 8] = 0;
    }
    m->nids = 1; /* 0 is IR_ZERO's, and no slot's */
    m->nbbs = 0;
    for (unsigned p = 0; p < m->j->npins; p++) {
        id_give(m, m->j->pin[p]);
        m->is_pin[p + 1] = true;
    }
}

void unit_add(Maker *m, JBlock *b)
{
    m->bb[m->nbbs++] = (Bb){.b = b};
    for (uint32_t q = 0; q < b->nops; q++) {
        const IrOp *o = &b->op[q];
        Slot src[3];
        unsigned n = op_sources(m->guest, o, src);
        for (unsigned s = 0; s < n; s++) {
            id_give(m, src[s]);
        }
        if (ir_op_info[o->op].has_dst) {
            id_give(m, o->d);
        }
    }
}

/* ---- homes ---- */
enum { WORTH_A_HOME = 3 }; /* uses; it costs a load and a store */

static void weigh(Maker *m, uint32_t weight[JIT_IDS])
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        const JBlock *b = m->bb[k].b;
        for (uint32_t q = 0; q < b->nops; q++) {
            const IrOp *o = &b->op[q];
            Slot src[3];
            unsigned n = op_sources(m->guest, o, src);
            for (unsigned s = 0; s < n; s++) {
                weight[m->id_of[src[s] / 8]]++;
            }
            if (ir_op_info[o->op].has_dst) {
                weight[m->id_of[o->d / 8]]++;
            }
        }
    }
    weight[0] = 0;
}

/* Pins are everywhere the same; the other registers go to the slots that are used most. */
static void homes_give(Maker *m)
{
    uint32_t weight[JIT_IDS] = {0};
    weigh(m, weight);
    unsigned gpr = 0;
    memset(m->home, HOME_FRAME, sizeof m->home);
    for (unsigned i = 1; i < m->nids; i++) {
        if (m->is_pin[i]) {
            m->home[i] = (int8_t)host_gprs[gpr++];
            weight[i] = 0;
        }
    }
    m->has_fpr = false;
    while (gpr < host_ngprs) {
        unsigned best = 0;
        for (unsigned i = 1; i < m->nids; i++) {
            if (weight[i] > weight[best]) {
                best = i;
            }
        }
        if (weight[best] < WORTH_A_HOME) {
            break;
        }
        m->home[best] = (int8_t)host_gprs[gpr++];
        weight[best] = 0;
    }
}

/* ---- what is live and dirty ---- */
static bool is_tracked(const Maker *m, unsigned i) /* in a register of this unit only */
{
    return m->home[i] != HOME_FRAME && !m->is_pin[i];
}

/* What is written after a side exit is not certain to be written: it counts as used. */
static void uses(Maker *m, Bb *x)
{
    bool has_exited = false;
    for (uint32_t q = 0; q < x->b->nops; q++) {
        const IrOp *o = &x->b->op[q];
        Slot src[3];
        unsigned n = op_sources(m->guest, o, src);
        for (unsigned s = 0; s < n; s++) {
            unsigned i = m->id_of[src[s] / 8];
            if (is_tracked(m, i) && !set_has(&x->def, i)) {
                set_add(&x->use, i);
            }
        }
        unsigned d = ir_op_info[o->op].has_dst ? m->id_of[o->d / 8] : 0;
        if (d && is_tracked(m, d)) {
            if (has_exited && !set_has(&x->def, d) && !m->is_temp[d]) {
                set_add(&x->use, d);
            }
            set_add(&x->def, d);
        }
        has_exited |= o->op == IR_brcond;
    }
}

void unit_plan(Maker *m)
{
    homes_give(m);
    for (unsigned k = 0; k < m->nbbs; k++) {
        Bb *x = &m->bb[k];
        uses(m, x);
        x->live = x->use;
    }
}
