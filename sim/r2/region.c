/* SPDX-License-Identifier: Apache-2.0
 * region.c - which blocks become one piece of code, which of their slots live in host registers, and what may be dirty. */
#include "sim/r2/jit_int.h"

#include <stdlib.h>

unsigned op_sources(const IrOp *o, Slot out[3])
{
    unsigned n = o->op == IR_call ? r2_guest.helpers[o->aux].nsrc : ir_op_info[o->op].nsrc;
    out[0] = o->a, out[1] = o->b, out[2] = o->c;
    return n;
}

/* Can the frame be looked at here? */
bool op_may_leave(const IrOp *o)
{
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
    case CLASS_FP:
    case CLASS_FENCE:
        return false;
    case CLASS_CALL:
        return r2_guest.helpers[o->aux].effects != 0;
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
    case CLASS_SIDE_EXIT:
    case CLASS_TERM:
        return true;
    }
    return true;
}

static int bb_find(const Jit *j, uint64_t pc)
{
    for (unsigned k = 0; k < j->nbbs; k++) {
        if (j->bb[k].b->gva == pc) {
            return (int)k;
        }
    }
    return -1;
}

static int bb_order(const void *a, const void *b)
{
    uint64_t x = ((const Bb *)a)->b->gva, y = ((const Bb *)b)->b->gva;
    return (x > y) - (x < y);
}

static bool is_edge(const IrOp *o)
{
    return o->op == IR_brcond || (o->op == IR_jmp && !(o->aux & JMP_CALL));
}

static void edges(Jit *j, bool is_closed)
{
    for (unsigned k = 0; k < j->nbbs; k++) {
        Bb *x = &j->bb[k];
        x->nsucc = 0;
        for (uint32_t i = 0; !is_closed && i < x->b->nops; i++) {
            if (is_edge(&x->b->op[i])) {
                int to = bb_find(j, (uint64_t)x->b->op[i].imm);
                if (to >= 0) {
                    x->succ[x->nsucc++] = to;
                }
            }
        }
    }
}

/* Loops by address order: an edge back from k to h makes h..k deeper. */
static void depths(Jit *j)
{
    for (unsigned k = 0; k < j->nbbs; k++) {
        for (unsigned s = 0; s < j->bb[k].nsucc; s++) {
            for (unsigned h = (unsigned)j->bb[k].succ[s]; h <= k; h++) {
                j->bb[h].depth++;
            }
        }
    }
}

bool region_form(Jit *j, uint64_t pc)
{
    j->nbbs = 0;
    const IrBlock *first = r2_find(j->blocks, pc);
    if (!first) {
        return false;
    }
    j->bb[j->nbbs++] = (Bb){.b = first};
    for (unsigned k = 0; k < j->nbbs; k++) {
        const IrBlock *b = j->bb[k].b;
        for (uint32_t i = 0; i < b->nops; i++) {
            const IrBlock *to = is_edge(&b->op[i]) ? r2_find(j->blocks, (uint64_t)b->op[i].imm) : NULL;
            if (to && bb_find(j, to->gva) < 0 && j->nbbs < MAX_BBS) {
                j->bb[j->nbbs++] = (Bb){.b = to};
            }
        }
    }
    qsort(j->bb, j->nbbs, sizeof j->bb[0], bb_order);
    edges(j, false);
    depths(j);
    return true;
}

void region_one(Jit *j, const IrBlock *b)
{
    j->nbbs = 1;
    j->bb[0] = (Bb){.b = b};
    edges(j, true);
}

/* Pins are everywhere the same; the other registers go to the slots that loops use most. */
void region_allocate(Jit *j)
{
    static const uint8_t gprs[] = {RBX, RSI, RDI, R8, R9, R10, R11, R14, R12, R13};
    uint64_t weight[NS] = {0};
    memset(j->home, -1, sizeof j->home);
    memset(j->is_fp, 0, sizeof j->is_fp);
    for (unsigned k = 0; k < j->nbbs; k++) {
        uint64_t w = 1ull << (3 * (j->bb[k].depth < 6 ? j->bb[k].depth : 6));
        for (uint32_t q = 0; q < j->bb[k].b->nops; q++) {
            const IrOp *o = &j->bb[k].b->op[q];
            Slot src[3] = {0};
            unsigned n = op_sources(o, src);
            src[n < 3 ? n : 2] = n < 3 ? o->d : src[2];
            n += n < 3;
            for (unsigned s = 0; s < n; s++) {
                weight[SLOT(src[s])] += w;
                j->is_fp[SLOT(src[s])] |= ir_op_info[o->op].cls == CLASS_FP;
            }
            j->is_fp[SLOT(o->d)] |= ir_op_info[o->op].cls == CLASS_FP;
        }
    }
    weight[SLOT(IR_ZERO)] = 0;
    unsigned used = 0, end = sizeof gprs - (j->cfg.is_paged && j->cfg.is_grouped ? 2 : 0), xmm = FIRST_XMM;
    for (unsigned p = 0; p < R2_NPINS; p++) {
        j->home[SLOT(r2_pins[p])] = (int16_t)gprs[used++];
        weight[SLOT(r2_pins[p])] = 0;
    }
    for (;;) {
        unsigned best = 0;
        for (unsigned i = 0; i < NS; i++) {
            if (weight[i] > weight[best] && (j->is_fp[i] ? xmm < 16 : used < end)) {
                best = i;
            }
        }
        if (!weight[best]) {
            break;
        }
        j->home[best] = (int16_t)(j->is_fp[best] ? XMM + xmm++ : gprs[used++]);
        weight[best] = 0;
    }
    j->has_xmm = xmm > FIRST_XMM;
}

static bool is_tracked(const Jit *j, unsigned i) /* kept in a register of this region only */
{
    return j->home[i] >= 0 && !j->is_pin[i];
}

/* What is written after a side exit is not certain to be written: it counts as used. */
static void uses(Jit *j, Bb *x)
{
    bool has_exited = false;
    for (uint32_t q = 0; q < x->b->nops; q++) {
        const IrOp *o = &x->b->op[q];
        Slot src[3] = {0};
        unsigned n = op_sources(o, src);
        for (unsigned s = 0; s < n; s++) {
            if (is_tracked(j, SLOT(src[s])) && !set_has(&x->def, SLOT(src[s]))) {
                set_add(&x->use, SLOT(src[s]));
            }
        }
        if (o->d != IR_ZERO && is_tracked(j, SLOT(o->d))) {
            if (has_exited && !set_has(&x->def, SLOT(o->d)) && !IS_TEMP(SLOT(o->d))) {
                set_add(&x->use, SLOT(o->d));
            }
            set_add(&x->def, SLOT(o->d));
        }
        has_exited |= o->op == IR_brcond;
    }
}

static bool set_join(Set *to, const Set *from)
{
    bool has_changed = false;
    for (unsigned i = 0; i < NS / 64; i++) {
        has_changed |= (from->w[i] & ~to->w[i]) != 0;
        to->w[i] |= from->w[i];
    }
    return has_changed;
}

/* What may be dirty at the head of a block is written back when the budget ends there; so it must be right there. */
void region_analyse(Jit *j)
{
    for (unsigned k = 0; k < j->nbbs; k++) {
        uses(j, &j->bb[k]);
    }
    for (bool again = true; again;) {
        again = false;
        for (unsigned k = 0; k < j->nbbs; k++) {
            Set out = j->bb[k].dirty_in;
            set_join(&out, &j->bb[k].def);
            for (unsigned t = SLOT(IR_TEMP(0)); t < SLOT(IR_TEMP(IR_NTEMPS)); t++) {
                set_del(&out, t);
            }
            for (unsigned s = 0; s < j->bb[k].nsucc; s++) {
                again |= set_join(&j->bb[j->bb[k].succ[s]].dirty_in, &out);
            }
        }
    }
    for (unsigned k = 0; k < j->nbbs; k++) {
        j->bb[k].live = j->bb[k].use;
        set_join(&j->bb[k].live, &j->bb[k].dirty_in);
    }
    for (bool again = true; again;) {
        again = false;
        for (unsigned k = j->nbbs; k-- > 0;) {
            for (unsigned s = 0; s < j->bb[k].nsucc; s++) {
                Set in = j->bb[j->bb[k].succ[s]].live;
                for (unsigned i = 0; i < NS / 64; i++) {
                    in.w[i] &= ~j->bb[k].def.w[i];
                }
                again |= set_join(&j->bb[k].live, &in);
            }
        }
    }
}
