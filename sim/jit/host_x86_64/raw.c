/* SPDX-License-Identifier: Apache-2.0
 * raw.c - results of f64 and f32 that nobody has looked at. A NaN in such a register only stands for the default one: FP ops make no
 * difference between NaNs that are quiet, so there is a look when something else reads it, or at the end of its block. What was
 * loaded or moved is never raw: of that each bit counts.
 *
 * CHAINS. A NaN among the operands of an addition, a multiplication, a division or a root makes the result one. So where a result
 * is found to be a number, all that it was made of are numbers too, and of a chain only the last is looked at.
 *
 * BOXES. An operation on f32 leaves the other bits of its first operand in the register. So results of boxed operands are boxed, and
 * a block looks at boxes of what it did not make itself only: once, for all that it reads. */
#include "sim/jit/host_x86_64/host.h"

static RegMask bit_of(const JitHost *h, unsigned i)
{
    int home = h->m->home[i];
    return home >= FPR_HOME ? (RegMask)(1u << (home - FPR_HOME)) : 0;
}

/* Whose home has what is in the slot; 0: none has. */
static unsigned owner_of(const JitHost *h, Slot s)
{
    unsigned i = host_id(h, s);
    return i && h->val[i].kind == V_COPY ? h->val[i].of : i && h->val[i].kind == V_CONST ? 0 : i;
}

void host_raw_drop(JitHost *h, unsigned i)
{
    RegMask bit = bit_of(h, i);
    if (!bit) {
        return;
    }
    h->raws.raw &= (RegMask)~bit;
    h->raws.single &= (RegMask)~bit;
    for (unsigned x = 0; x < HOST_FPRS; x++) {
        h->raws.from[x] &= (RegMask)~bit;
    }
    h->raws.from[(unsigned)h->m->home[i] - FPR_HOME] = 0;
}

void host_raw_add(JitHost *h, unsigned x, RegMask from, bool is_single)
{
    RegMask bit = (RegMask)(1u << x);
    h->raws.raw |= bit;
    h->raws.single |= is_single ? bit : 0;
    h->raws.from[x] = from & (RegMask)~bit;
}

/* Those of the registers, and of all that they were made of, that are raw. */
static RegMask with_operands(const Raws *r, RegMask of)
{
    RegMask all = of;
    for (unsigned x = 0; x < HOST_FPRS; x++) {
        all |= of >> x & 1 ? r->from[x] : 0;
    }
    return all & r->raw;
}

/* Without those that are part of another. */
static RegMask last_of(const Raws *r, RegMask of)
{
    RegMask parts = 0;
    for (unsigned x = 0; x < HOST_FPRS; x++) {
        parts |= of >> x & 1 ? r->from[x] : 0;
    }
    return of & (RegMask)~parts;
}

/* ---- which ops look ---- */
/* The op at q, and of how many it is made. */
static const IrOp *op_at(const JitHost *h, uint32_t q, IrOp *fused, unsigned *n)
{
    unsigned turn;
    *n = host_fp_fused(h, q, fused, &turn);
    if (*n) {
        return fused;
    }
    *n = 1;
    return &h->b->op[q];
}

static RegMask sources(const JitHost *h, const IrOp *o)
{
    Slot src[3];
    RegMask found = 0;
    unsigned n = jit_op_sources(h->m->guest, o, src);
    for (unsigned s = 0; s < n; s++) {
        found |= bit_of(h, owner_of(h, src[s]));
    }
    return found;
}

RegMask host_raw_operands(const JitHost *h, const IrOp *o)
{
    return with_operands(&h->raws, sources(h, o));
}

static bool reads_numbers(const JitHost *h, const IrOp *o)
{
    return ir_op_info[o->op].cls == CLASS_FP && ir_op_info[o->op].shape != FP_SHAPE_FROM_INT &&
           host_fp_is_inline(h->m->guest, o);
}

static unsigned fmt_of_operands(const IrOp *o)
{
    return ir_op_info[o->op].shape == FP_SHAPE_CONVERT ? FP_OTHER(o->aux) : FP_FMT(o->aux);
}

/* Registers that are raw and that the op must not see so. To f64, an f32 in its box is a NaN whatever it is. */
static RegMask seen_by(const JitHost *h, const IrOp *o)
{
    RegMask hidden = 0;
    if (reads_numbers(h, o)) {
        hidden = fmt_of_operands(o) == FMT_F64 ? 0xffff : fmt_of_operands(o) == FMT_F32 ? h->raws.single : 0;
    }
    return sources(h, o) & h->raws.raw & (RegMask)~hidden;
}

/* Those that the ops from q on will look at, and that are there already. */
static RegMask seen_from(const JitHost *h, uint32_t q)
{
    RegMask seen = 0, lost = 0;
    unsigned n;
    for (IrOp fused; q < h->b->nops; q += n) {
        const IrOp *o = op_at(h, q, &fused, &n);
        seen |= seen_by(h, o) & (RegMask)~lost;
        lost |= ir_op_info[o->op].has_dst ? bit_of(h, host_id(h, o->d)) : 0;
    }
    return seen;
}

/* ---- looks ---- */
static unsigned pop(RegMask *set)
{
    unsigned x = (unsigned)__builtin_ctz(*set);
    *set &= (RegMask)(*set - 1);
    return x;
}

enum { PREFIX_F32 = 0xf3, PREFIX_F64 = 0xf2 };

static void ucomi(JitHost *h, unsigned x, unsigned y, bool is_single)
{
    x_rr(&h->a, 0, (is_single ? 0 : 0x66000000u) | X_UCOMI, x, y);
}

void host_nans_fix(JitHost *h, const Raws *r)
{
    for (RegMask rest = r->raw; rest;) {
        unsigned x = pop(&rest);
        bool is_single = r->single >> x & 1;
        ucomi(h, x, x, is_single);
        uint8_t *plain = x_jcc(&h->a, CC_NP);
        x_movi(&h->a, RAX, is_single ? F32_NAN : F64_NAN);
        x_rr(&h->a, W, X_MOVQ_TO, x, RAX);
        x_fix(plain, h->a.p);
    }
}

void host_emit_nan(JitHost *h, const Stub *s)
{
    host_nans_fix(h, &s->raws);
    x_fix(x_jmp(&h->a), s->back);
}

enum { UNORDERED = 3 }; /* of CMPSD: all ones, which is a NaN, or 0 */

/* Of one format, by CMPSD for more than two. It is the shortest way: the scheduler of the host is full of what waits for a result
 * (Zen 4, nbody). */
static void look(JitHost *h, RegMask at, const Raws *all, bool is_single)
{
    if (!at) {
        return;
    }
    unsigned x = pop(&at), y = at ? pop(&at) : x;
    while (at) {
        uint32_t opc = (uint32_t)(is_single ? PREFIX_F32 : PREFIX_F64) << 24 | X_CMPS;
        host_op3(h, opc, 0, x, (Opnd){.kind = O_XMM, .reg = y});
        x_byte(&h->a, UNORDERED);
        x = 0;
        y = pop(&at);
    }
    ucomi(h, x, y, is_single);
    Stub *s = host_stub_new(h, STUB_NAN, x_jcc(&h->a, CC_P));
    s->raws = *all;
    s->back = h->a.p;
}

/* At `last`, of which all raw ones of r are parts. */
static void look_both(JitHost *h, RegMask last, const Raws *r)
{
    Raws all = *r;
    look(h, last & (RegMask)~all.single, &all, false);
    look(h, last & all.single, &all, true);
}

void host_look(JitHost *h, const Raws *r)
{
    look_both(h, last_of(r, r->raw), r);
}

void host_look_sources(JitHost *h)
{
    IrOp fused;
    unsigned n;
    RegMask seen = h->raws.raw ? seen_by(h, op_at(h, h->q, &fused, &n)) : 0;
    if (seen) {
        RegMask last = last_of(&h->raws, seen | seen_from(h, h->q + n));
        Raws all = h->raws;
        all.raw = with_operands(&h->raws, last);
        look_both(h, last, &all);
        h->raws.raw &= (RegMask)~all.raw;
    }
}

void host_look_all(JitHost *h)
{
    host_look(h, &h->raws);
    h->raws.raw = 0;
}

/* ---- boxes ---- */
/* Ids whose boxes the op asks for, and that are not known to be there. */
static void boxes_of(const JitHost *h, const IrOp *o, const Set *lost, Set *out)
{
    bool is_boxed = reads_numbers(h, o) && fmt_of_operands(o) == FMT_F32 && o->aux & FP_BOXED;
    Slot src[3];
    unsigned n = is_boxed || o->op == IR_unbox32 ? jit_op_sources(h->m->guest, o, src) : 0;
    for (unsigned s = 0; s < n; s++) {
        unsigned i = owner_of(h, src[s]);
        bool may_change =
            bit_of(h, i) & h->raws.raw & (RegMask)~h->raws.single; /* a NaN of f64, when it is looked at */
        if (i && !may_change && !set_has(&h->boxed, i) && !set_has(lost, i)) {
            set_add(out, i);
        }
    }
}

static bool is_none(const Set *s)
{
    uint64_t any = 0;
    for (unsigned w = 0; w < JIT_IDS / 64; w++) {
        any |= s->w[w];
    }
    return !any;
}

void host_look_boxes(JitHost *h)
{
    Asm *a = &h->a;
    Set wanted = {0}, lost = {0};
    IrOp fused;
    unsigned n;
    if (!h->m->is_region || h->is_rest || h->nrests >= MAX_RESTS) {
        return;
    }
    boxes_of(h, op_at(h, h->q, &fused, &n), &lost, &wanted);
    if (is_none(&wanted)) {
        return;
    }
    for (uint32_t q = h->q; q < h->b->nops; q += n) {
        const IrOp *o = op_at(h, q, &fused, &n);
        boxes_of(h, o, &lost, &wanted);
        if (ir_op_info[o->op].has_dst) {
            set_add(&lost, host_id(h, o->d));
        }
    }
    bool is_first = true;
    SET_EACH(i, &wanted)
    {
        Opnd o = host_opnd(h, h->m->slot_of[i]);
        if (o.kind != O_XMM) {
            host_opnd_to(h, RAX, o);
            x_rr(a, W, X_MOVQ_TO, 1, RAX);
            o = (Opnd){.kind = O_XMM, .reg = 1};
        }
        if (is_first) {
            x_rr(a, 0, X_MOVAPS, 0, o.reg);
        } else {
            host_op3(h, X_ANDPS, 0, 0, o);
        }
        is_first = false;
    }
    x_rr(a, W, X_MOVQ_FROM, 0, RAX);
    x_shift(a, W, G_SHR, RAX, 32);
    x_alui(a, 0, G_CMP, RAX, -1);
    host_rest_stub(h, x_jcc(a, CC_NE), NULL); /* where nothing of this is known */
    SET_EACH(boxed, &wanted)
    {
        set_add(&h->boxed, boxed);
    }
}
