/* SPDX-License-Identifier: Apache-2.0
 * unit.c - which slots of a unit live in host registers, and what may be dirty and is live where. */
#include "sim/jit/jit_int.h"

#include <stdlib.h>
#include <string.h>

unsigned jit_op_sources(const IrGuest *g, const IrOp *o, Slot out[3])
{
    out[0] = o->a, out[1] = o->b, out[2] = o->c;
    unsigned n = o->op == IR_call ? g->helpers[o->aux].nsrc : ir_op_info[o->op].nsrc;
    return n < 3 ? n : 3;
}

bool jit_op_may_leave(const IrGuest *g, const IrOp *o)
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

void jit_unit_begin(Maker *m)
{
    for (unsigned i = 1; i < m->nids; i++) {
        m->id_of[m->slot_of[i] / 8] = 0;
    }
    m->nids = 1; /* 0 is IR_ZERO's, and no slot's */
    m->nbbs = m->ntargets = m->nrows = m->nlent = 0;
    m->targets_dirty = m->targets_live = (Set){0};
    m->is_region = m->is_flat = m->is_ranged = false;
    for (unsigned p = 0; p < m->j->npins; p++) {
        id_give(m, m->j->pin[p]);
        m->is_pin[p + 1] = true;
    }
}

void jit_unit_add(Maker *m, JBlock *b)
{
    Bb *x = &m->bb[m->nbbs++];
    *x = (Bb){.b = b};
    for (uint32_t q = 0; q < b->nops; q++) {
        const IrOp *o = &b->op[q];
        if (o->op == IR_brcond || o->op == IR_jmp) {
            x->succ[x->nexits] = -1;
            x->at[x->nexits++] = q;
        }
    }
}

static void ids_give(Maker *m, const JBlock *b)
{
    for (uint32_t q = 0; q < b->nops; q++) {
        const IrOp *o = &b->op[q];
        Slot src[3];
        unsigned n = jit_op_sources(m->guest, o, src);
        for (unsigned s = 0; s < n; s++) {
            id_give(m, src[s]);
        }
        if (ir_op_info[o->op].has_dst) {
            id_give(m, o->d);
        }
    }
}

/* ---- regions ---- */
typedef struct {
    JBlock *b, *caller; /* whose call it was reached by */
    bool is_target;
} Reached;
typedef struct {
    Maker *m;
    const Frame *f;
    Reached at[JIT_MAX_BBS]; /* b->mark - 1 */
    unsigned n;
    uint32_t nops;
    bool has_looked; /* at all that is in f->jump */
} Reach;
enum { NEAR_BYTES = 16384 }; /* how far from the root a function is that is called through a register */

static const IrOp *end_of(const JBlock *b)
{
    return &b->op[b->nops - 1];
}

static bool is_call(const JBlock *b, unsigned exit, unsigned nexits)
{
    return exit + 1 == nexits && end_of(b)->op == IR_jmp && end_of(b)->aux & JMP_CALL;
}

static void reach(Reach *r, JBlock *b, JBlock *caller)
{
    if (!b->mark && r->n < JIT_MAX_BBS && r->nops + b->nops <= JIT_MAX_OPS) {
        r->at[r->n++] = (Reached){.b = b, .caller = caller};
        b->mark = r->n;
        r->nops += b->nops;
    }
}

/* A block that runs now and then is not worth a place. */
static bool is_warm(const Maker *m, const JBlock *b)
{
    return b->members || b->hot || m->j->heat - b->heat >= m->j->heat / WARM_PART;
}

/* Where fetches are translated, what is in one page was found by one translation of it. */
static bool is_certain(const Reach *r, const JBlock *b)
{
    uint64_t page = r->at[0].b->gva >> 12;
    return r->f->is_code_flat || (b->gva >> 12 == page && (b->gva + b->nbytes - 1) >> 12 == page);
}

static void reach_indirectly(Reach *r, const JumpEntry *e, JBlock *caller)
{
    JBlock *b = e->code ? jblock_of(e->code) : NULL;
    if (b && b->gva == e->pc && is_certain(r, b) && is_warm(r->m, b)) {
        reach(r, b, caller);
        if (b->mark) {
            r->at[b->mark - 1].is_target = true;
        }
    }
}

static void reach_return(Reach *r, const JBlock *b, JBlock *caller)
{
    uint64_t pc = b->gva + b->nbytes;
    reach_indirectly(r, &(JumpEntry){.pc = pc, .code = jump_find(r->f->jump, pc)}, caller);
}

static void reach_all_near(Reach *r, JBlock *caller)
{
    uint64_t root = r->at[0].b->gva;
    for (size_t i = 0; !r->has_looked && i < 1u << JUMP_BITS; i++) {
        const JumpEntry *e = &r->f->jump[i];
        if (e->pc - root + NEAR_BYTES < 2 * NEAR_BYTES) {
            reach_indirectly(r, e, caller);
        }
    }
    r->has_looked = true;
}

static void reach_from(Reach *r, unsigned k)
{
    JBlock *b = r->at[k].b, *caller = r->at[k].caller;
    const IrOp *end = end_of(b);
    unsigned nexits = 0;
    for (uint32_t q = 0; q < b->nops; q++) {
        nexits += b->op[q].op == IR_brcond || b->op[q].op == IR_jmp;
    }
    for (unsigned e = 0; e < nexits; e++) {
        JBlock *to = b->to[e];
        bool is_called = is_call(b, e, nexits);
        if (to && (!is_called || is_warm(r->m, to))) {
            reach(r, to, is_called ? b : caller);
        }
    }
    if (end->aux & JMP_CALL && (end->op == IR_jmp || end->op == IR_jmpr)) {
        reach_return(r, b, caller);
    }
    if (end->op == IR_jmpr && !(end->aux & JMP_RET)) {
        reach_all_near(r, end->aux & JMP_CALL ? b : caller);
    }
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = ((const Reached *)a)->b->gva, y = ((const Reached *)b)->b->gva;
    return (x > y) - (x < y);
}

/* An edge back from block k to block t makes what is between, and k up to it, deeper. */
static void edge_add(Maker *m, unsigned k, unsigned exit, unsigned t)
{
    m->bb[k].succ[exit] = (int)t;
    m->bb[t].is_loop |= t <= k && !is_call(m->bb[k].b, exit, m->bb[k].nexits);
    for (unsigned i = t; i < k && !is_call(m->bb[k].b, exit, m->bb[k].nexits); i++) {
        m->bb[i].depth++;
    }
}

/* What is called is as deep as who calls it, and more. Callers are in the order in which they were reached. */
static void depths_of_callees(Maker *m, JBlock *const *order, JBlock *const *caller, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (caller[i]) {
            m->bb[order[i]->mark - 1].depth += m->bb[caller[i]->mark - 1].depth;
        }
    }
}

void jit_region_add(Maker *m, JBlock *root, const Frame *f)
{
    Reach r = {.m = m, .f = f};
    JBlock *order[JIT_MAX_BBS], *caller[JIT_MAX_BBS] = {NULL};
    reach(&r, root, NULL);
    for (unsigned k = 0; k < r.n; k++) {
        reach_from(&r, k);
    }
    for (unsigned k = 0; k < r.n; k++) {
        order[k] = r.at[k].b;
        caller[k] = r.at[k].caller;
    }
    qsort(r.at, r.n, sizeof r.at[0], by_address);
    m->is_region = true;
    for (unsigned k = 0; k < r.n; k++) {
        JBlock *b = r.at[k].b;
        b->mark = k + 1;
        jit_unit_add(m, b);
        m->bb[k].is_target = r.at[k].is_target;
        m->bb[k].is_callee = r.at[k].caller;
        m->bb[k].is_indirect = end_of(b)->op == IR_jmpr;
        m->ntargets += r.at[k].is_target;
    }
    for (unsigned k = 0; k < r.n; k++) {
        for (unsigned e = 0; e < m->bb[k].nexits; e++) {
            const JBlock *to = m->bb[k].b->to[e];
            if (to && to->mark) {
                edge_add(m, k, e, to->mark - 1);
            }
        }
    }
    depths_of_callees(m, order, caller, r.n);
}

/* ---- homes ---- */
enum { WORTH_A_HOME = 3 }; /* uses; it costs a load and a store */
enum { MAX_DEPTH = 6 };

static uint64_t weight_of(const Bb *x, unsigned k, uint32_t q)
{
    unsigned depth = x->depth;
    for (unsigned e = 0; e < x->nexits; e++) {
        depth += x->succ[e] >= 0 && (unsigned)x->succ[e] <= k && x->at[e] >= q;
    }
    return 1ull << 3 * (depth < MAX_DEPTH ? depth : MAX_DEPTH);
}

static void weigh(Maker *m, uint64_t weight[JIT_IDS])
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        const JBlock *b = m->bb[k].b;
        for (uint32_t q = 0; q < b->nops; q++) {
            const IrOp *o = &b->op[q];
            uint64_t w = weight_of(&m->bb[k], k, q);
            Slot src[3];
            unsigned n = jit_op_sources(m->guest, o, src);
            for (unsigned s = 0; s < n; s++) {
                weight[m->id_of[src[s] / 8]] += w;
            }
            if (ir_op_info[o->op].has_dst) {
                weight[m->id_of[o->d / 8]] += w;
            }
        }
    }
    weight[0] = 0;
}

/* Slots that hold numbers of FP ops that the host does itself belong into its other file. */
static void numbers_note(Maker *m, const IrOp *o)
{
    FpShape shape = ir_op_info[o->op].shape;
    if (ir_op_info[o->op].cls != CLASS_FP || !host_fp_is_inline(m->guest, o)) {
        return;
    }
    Slot src[3];
    unsigned n = shape == FP_SHAPE_FROM_INT ? 0 : jit_op_sources(m->guest, o, src);
    for (unsigned s = 0; s < n; s++) {
        m->is_fpr[m->id_of[src[s] / 8]] = true;
    }
    if (shape != FP_SHAPE_TEST && shape != FP_SHAPE_TO_INT) {
        m->is_fpr[m->id_of[o->d / 8]] = true;
    }
}

static unsigned heaviest(const Maker *m, const uint64_t weight[JIT_IDS], bool has_gpr, bool has_fpr)
{
    unsigned best = 0;
    for (unsigned i = 1; i < m->nids; i++) {
        if (weight[i] > weight[best] && (m->is_fpr[i] ? has_fpr : has_gpr)) {
            best = i;
        }
    }
    return weight[best] < WORTH_A_HOME ? 0 : best;
}

/* Pins are everywhere the same; the other registers go to the slots that are used most. */
static void homes_give(Maker *m)
{
    uint64_t weight[JIT_IDS] = {0};
    weigh(m, weight);
    for (unsigned k = 0; k < m->nbbs; k++) {
        for (uint32_t q = 0; q < m->bb[k].b->nops; q++) {
            numbers_note(m, &m->bb[k].b->op[q]);
        }
    }
    unsigned gpr = 0, fpr = host_fpr_first, end = host_ngprs, best;
    end -= m->is_ranged ? 0 : m->is_flat ? host_nspare_flat : m->is_region ? host_nspare : 0;
    memset(m->home, HOME_FRAME, sizeof m->home); /* -1 in each byte too */
    for (unsigned i = 1; i < m->nids; i++) {
        if (m->is_pin[i]) {
            m->home[i] = (int16_t)host_gprs[gpr++];
            m->is_fpr[i] = false;
            weight[i] = 0;
        }
    }
    while ((best = heaviest(m, weight, gpr < end, fpr < host_fpr_end))) {
        m->home[best] = (int16_t)(m->is_fpr[best] ? FPR_HOME + fpr++ : host_gprs[gpr++]);
        weight[best] = 0;
    }
    m->has_fpr = fpr > host_fpr_first;
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
        unsigned n = jit_op_sources(m->guest, o, src);
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

static bool set_join(Set *to, const Set *from)
{
    bool has_changed = false;
    for (unsigned i = 0; i < JIT_IDS / 64; i++) {
        has_changed |= (from->w[i] & ~to->w[i]) != 0;
        to->w[i] |= from->w[i];
    }
    return has_changed;
}

/* What may be dirty at the head of a block: written on some way to it. */
static bool dirty_spread(Maker *m, unsigned k)
{
    const Bb *x = &m->bb[k];
    Set out = x->dirty_in;
    bool has_changed = false;
    set_join(&out, &x->def);
    for (unsigned i = 1; i < m->nids; i++) {
        if (m->is_temp[i]) {
            set_del(&out, i);
        }
    }
    for (unsigned e = 0; e < x->nexits; e++) {
        has_changed |= x->succ[e] >= 0 && set_join(&m->bb[x->succ[e]].dirty_in, &out);
    }
    if (x->is_indirect) {
        has_changed |= set_join(&m->targets_dirty, &out);
    }
    if (x->is_target) {
        has_changed |= set_join(&m->bb[k].dirty_in, &m->targets_dirty);
    }
    return has_changed;
}

static bool live_before(Bb *x, const Set *after)
{
    Set in = *after;
    for (unsigned i = 0; i < JIT_IDS / 64; i++) {
        in.w[i] &= ~x->def.w[i];
    }
    return set_join(&x->live, &in);
}

static bool live_spread(Maker *m, unsigned k)
{
    Bb *x = &m->bb[k];
    bool has_changed = false;
    for (unsigned e = 0; e < x->nexits; e++) {
        has_changed |= x->succ[e] >= 0 && live_before(x, &m->bb[x->succ[e]].live);
    }
    has_changed |= x->is_indirect && live_before(x, &m->targets_live);
    has_changed |= x->is_target && set_join(&m->targets_live, &x->live);
    return has_changed;
}

/* What may be dirty at the head of a block is written back if the budget ends there; so it must be right there: it is live. */
void jit_unit_plan(Maker *m)
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        ids_give(m, m->bb[k].b);
    }
    homes_give(m);
    bool again = true;
    for (unsigned k = 0; k < m->nbbs; k++) {
        uses(m, &m->bb[k]);
    }
    while (again) {
        again = false;
        for (unsigned k = 0; k < m->nbbs; k++) {
            again |= dirty_spread(m, k);
        }
    }
    for (unsigned k = 0; k < m->nbbs; k++) {
        m->bb[k].live = m->bb[k].use;
        set_join(&m->bb[k].live, &m->bb[k].dirty_in);
    }
    for (again = true; again;) {
        again = false;
        for (unsigned k = m->nbbs; k-- > 0;) {
            again |= live_spread(m, k);
        }
    }
}
