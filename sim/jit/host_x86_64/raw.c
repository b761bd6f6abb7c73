/* SPDX-License-Identifier: Apache-2.0
 * raw.c - results of f64 that nobody has looked at. A NaN in such a register only stands for the default one: FP ops make no
 * difference between NaNs that are quiet, so there is a look when something else reads it, or at the end of its block. What was
 * loaded or moved is never raw: of that each bit counts.
 *
 * CHAINS. A NaN among the operands of an addition, a multiplication, a division or a root makes the result one. So where a result
 * is found to be a number, all that it was made of are numbers too, and of a chain only the last is looked at. */
#include "sim/jit/host_x86_64/host.h"

static RegMask bit_of(const JitHost *h, unsigned i)
{
    int home = h->m->home[i];
    return home >= FPR_HOME ? (RegMask)(1u << (home - FPR_HOME)) : 0;
}

void host_raw_drop(JitHost *h, unsigned i)
{
    RegMask bit = bit_of(h, i);
    if (!bit) {
        return;
    }
    h->raws.raw &= (RegMask)~bit;
    for (unsigned x = 0; x < HOST_FPRS; x++) {
        h->raws.from[x] &= (RegMask)~bit;
    }
    h->raws.from[(unsigned)h->m->home[i] - FPR_HOME] = 0;
}

void host_raw_add(JitHost *h, unsigned x, RegMask from)
{
    RegMask bit = (RegMask)(1u << x);
    h->raws.raw |= bit;
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

RegMask host_raw_last(const Raws *r)
{
    return last_of(r, r->raw);
}

/* ---- which ops look ---- */
/* It reads numbers of f64, and no more of a NaN than that it is one. */
static bool takes_raw(const JitHost *h, const IrOp *o)
{
    FpShape shape = ir_op_info[o->op].shape;
    unsigned fmt = shape == FP_SHAPE_CONVERT ? FP_OTHER(o->aux) : FP_FMT(o->aux);
    return ir_op_info[o->op].cls == CLASS_FP && shape != FP_SHAPE_FROM_INT && fmt == FMT_F64 &&
           host_fp_is_inline(h->m->guest, o);
}

static RegMask sources(const JitHost *h, const IrOp *o)
{
    Slot src[3];
    RegMask found = 0;
    unsigned n = jit_op_sources(h->m->guest, o, src);
    for (unsigned s = 0; s < n; s++) {
        unsigned i = host_id(h, src[s]);
        found |= bit_of(h, i && h->val[i].kind == V_COPY ? h->val[i].of : i);
    }
    return found;
}

RegMask host_raw_operands(const JitHost *h, const IrOp *o)
{
    return with_operands(&h->raws, sources(h, o));
}

/* Registers that are raw and that the op must not see so. */
static RegMask seen_by(const JitHost *h, const IrOp *o)
{
    return takes_raw(h, o) ? 0 : sources(h, o) & h->raws.raw;
}

/* Those that the ops behind this one will look at, and that are there already. */
static RegMask seen_later(const JitHost *h)
{
    RegMask seen = 0, lost = 0;
    for (uint32_t q = h->q + 1; q < h->b->nops; q++) {
        const IrOp *o = &h->b->op[q];
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

void host_emit_nan(JitHost *h, const Stub *s)
{
    x_movi(&h->a, RAX, F64_NAN);
    for (RegMask rest = s->raw; rest;) {
        unsigned x = pop(&rest);
        x_rr(&h->a, 0, 0x66000000u | X_UCOMI, x, x);
        uint8_t *plain = x_jcc(&h->a, CC_NP);
        x_rr(&h->a, W, X_MOVQ_TO, x, RAX);
        x_fix(plain, h->a.p);
    }
    x_fix(x_jmp(&h->a), s->back);
}

enum { UNORDERED = 3 }; /* of CMPSD: all ones, which is a NaN, or 0 */

/* xmm0 = a NaN if there is one in x or y. It is the shortest way for more than two: the scheduler of the host is full of what
 * waits for a result (Zen 4, nbody). */
static void unordered(JitHost *h, unsigned x, unsigned y)
{
    if (h->has_avx) {
        host_vex_f64(h, X_CMPSD, 0, x, (Opnd){.kind = O_XMM, .reg = y});
    } else {
        if (x) {
            x_rr(&h->a, 0, X_MOVAPS, 0, x);
        }
        x_rr(&h->a, 0, 0xf2000000u | X_CMPSD, 0, y);
    }
    x_byte(&h->a, UNORDERED);
}

void host_look(JitHost *h, RegMask last, RegMask all)
{
    if (!all) {
        return;
    }
    unsigned x = pop(&last), y = last ? pop(&last) : x;
    while (last) {
        unordered(h, x, y);
        x = 0;
        y = pop(&last);
    }
    x_rr(&h->a, 0, 0x66000000u | X_UCOMI, x, y);
    Stub *s = host_stub_new(h, STUB_NAN, x_jcc(&h->a, CC_P));
    s->raw = all;
    s->back = h->a.p;
}

void host_look_sources(JitHost *h, const IrOp *o)
{
    RegMask seen = h->raws.raw ? seen_by(h, o) : 0;
    if (seen) {
        RegMask last = last_of(&h->raws, seen | seen_later(h)), all = with_operands(&h->raws, last);
        host_look(h, last, all);
        h->raws.raw &= (RegMask)~all;
    }
}

void host_look_all(JitHost *h)
{
    host_look(h, host_raw_last(&h->raws), h->raws.raw);
    h->raws.raw = 0;
}
