/* SPDX-License-Identifier: Apache-2.0
 * opt.c - two passes over a block, both linear, without allocation: translation happens at run time.
 *
 * FORWARD: for each slot what is known of its value, as "base + add" of another slot at this moment (base zero: a
 * constant). Operands and ops are rewritten by it. No op changes places, so P1 and P2 stay as they were; only retarget()
 * moves a write, and says why it may.
 * BACKWARD: for each slot whether it is overwritten before anybody looks (P3); a PURE op that writes such a slot goes.
 *
 * Both passes keep their facts in tables of fixed size, indexed by slot. Slots that fall into the same bucket only make
 * facts forgotten. */
#include "sim/ir/opt.h"

#include <assert.h>
#include <string.h>

enum { NBUCKETS = 256, DEAD = IR_COUNT /* in IrOp.op: taken out */ };
#define BUCKET(s) ((s) >> 3 & (NBUCKETS - 1))

typedef struct {
    Slot slot, base;
    uint16_t when; /* 1 + op that last wrote a slot of this bucket; 0 = none in this block */
    bool is_known; /* slot = base + add, both as they were after op `when` */
    uint64_t add;
} Fact;
typedef struct {
    IrBlock *b;
    const IrGuest *g;
    unsigned now;   /* 1 + op looked at */
    unsigned floor; /* facts of this op and before are void: a helper wrote the frame */
    unsigned first; /* 1 + first op of this instruction */
    Fact at[NBUCKETS];
} Forward;

typedef struct {
    Slot base;
    uint64_t add;
} Value;

/* ---- facts ---- */
/* May a fact of op `when` about s be used? A temporary does not outlive its instruction. */
static bool is_young(const Forward *f, Slot s, unsigned when)
{
    return s == IR_ZERO || (IR_IS_TEMP(s) ? when >= f->first : when > f->floor);
}

/* Does s still hold what it held after op `when`? */
static bool holds(const Forward *f, Slot s, unsigned when)
{
    return s == IR_ZERO || (f->at[BUCKET(s)].when < when && is_young(f, s, when));
}

static Value value_of(const Forward *f, Slot s)
{
    const Fact *k = &f->at[BUCKET(s)];
    bool is_known =
        s != IR_ZERO && k->is_known && k->slot == s && is_young(f, s, k->when) && holds(f, k->base, k->when);
    return is_known ? (Value){k->base, k->add} : (Value){s, 0};
}

static bool is_const(Value v)
{
    return v.base == IR_ZERO;
}

static void wrote(Forward *f, Slot s, unsigned when)
{
    if (s != IR_ZERO) {
        f->at[BUCKET(s)] = (Fact){.slot = s, .when = (uint16_t)when};
    }
}

static void wrote_value(Forward *f, Slot s, unsigned when, Value v)
{
    wrote(f, s, when);
    Fact *k = &f->at[BUCKET(s)];
    k->base = v.base; /* of s itself, as it was before: a fact that holds() rejects */
    k->add = v.add;
    k->is_known = true;
}

/* ---- operands ---- */
static Slot copy_of(const Forward *f, Slot s)
{
    Value v = value_of(f, s);
    return v.add ? s : v.base;
}

static void copy_operands(const Forward *f, IrOp *o)
{
    o->a = copy_of(f, o->a);
    o->b = copy_of(f, o->b);
    o->c = copy_of(f, o->c);
}

static bool fits_int32(uint64_t k)
{
    return (uint64_t)(int64_t)(int32_t)(uint32_t)k == k;
}

/* An address through a temporary, or a constant one, as long as the displacement is short. One through an architectural
 * slot keeps its base: engines check accesses of one base together. */
static void fold_address(const Forward *f, IrOp *o)
{
    Slot b = copy_of(f, o->b), c = copy_of(f, o->c);
    Value v = value_of(f, o->a);
    v.add += (uint64_t)o->imm;
    o->b = b;
    o->c = c;
    if (IR_IS_TEMP(o->a) ? fits_int32(v.add) || is_const(v) : fits_int32(v.add) && is_const(v)) {
        o->a = v.base;
        o->imm = (int64_t)v.add;
    }
}

/* ---- PURE ---- */
static const uint8_t nsrc_of_reg_form[IR_COUNT] = {
#define BIN(name, expr) [IR_##name] = 2,
#include "sim/ir/ir_ops.def"
};

static bool is_bin(const IrOp *o) /* then op + 1 is its _i form */
{
    return nsrc_of_reg_form[o->op] == 2;
}

static void become(IrOp *o, Fold to)
{
    o->op = to.op;
    o->imm = to.imm;
    o->a = to.op == IR_movi ? IR_ZERO : o->a;
    o->b = IR_ZERO;
    o->c = IR_ZERO;
}

/* The rows of opt_folds.def. A constant that came from an architectural slot stays there if its imm would be long: the
 * slot may be in a host register, and a long imm is one more host instruction. */
static void apply_rows(IrOp *o, Slot from, uint64_t k)
{
    IrOp t = *o;
    become(&t, (Fold){is_bin(o) ? (uint16_t)(o->op + 1) : o->op, (int64_t)k});
    for (Fold to = fold_imm(t.op, k); to.op != IR_COUNT; to = fold_imm(t.op, (uint64_t)t.imm)) {
        become(&t, to);
    }
    if (!is_bin(o) || IR_IS_TEMP(from) || t.op == IR_movi || fits_int32((uint64_t)t.imm)) {
        *o = t;
    }
}

static void fold_bin(const Forward *f, IrOp *o)
{
    Value a = value_of(f, o->a), b = value_of(f, o->b);
    if (is_const(a) && !is_const(b) && fold_may_swap(o->op)) {
        Slot s = o->a;
        o->a = o->b;
        o->b = s;
        b = a;
    }
    if (is_const(b)) {
        apply_rows(o, o->b, b.add);
    } else if (o->a == o->b) {
        Fold to = fold_same(o->op);
        if (to.op != IR_COUNT) {
            become(o, to);
        }
    }
}

/* The op that made s, if the value is still there; NULL: not known. */
static const IrOp *maker_of(const Forward *f, Slot s)
{
    const Fact *k = &f->at[BUCKET(s)];
    if (s == IR_ZERO || !k->when || k->slot != s || !is_young(f, s, k->when)) {
        return NULL;
    }
    const IrOp *w = &f->b->op[k->when - 1];
    return w->op != DEAD && w->d == s ? w : NULL;
}

/* What two shifts of one number are, put together; op IR_COUNT: nothing. The bits do not overlap, so or, xor and add are one. */
static Fold rotation_of(const IrOp *r, const IrOp *l)
{
    static const struct {
        uint16_t right, left, to;
        int64_t width;
    } rows[] = {{IR_shr_i, IR_shl_i, IR_rotr_i, 64},
                {IR_shr32_i, IR_shlw_i, IR_rotrw_i, 32},
                {IR_shr32_i, IR_shl32_i, IR_rotr32_i, 32}};
    if (l->op == IR_shr_i || l->op == IR_shr32_i) {
        const IrOp *other = r;
        r = l;
        l = other;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (r->op == rows[i].right && l->op == rows[i].left && r->imm > 0 && r->imm + l->imm == rows[i].width) {
            return (Fold){rows[i].to, r->imm};
        }
    }
    return (Fold){IR_COUNT, 0};
}

enum { NEAR_OPS = 16 };

/* Is s at op `to` what it was at op `from`, near before? */
static bool is_same(const IrOp *from, const IrOp *to, Slot s)
{
    for (const IrOp *o = from; o < to; o++) {
        if (o->op != DEAD && (ir_op_info[o->op].cls == CLASS_CALL || (ir_op_info[o->op].has_dst && o->d == s))) {
            return false;
        }
    }
    return true;
}

/* The op before o has shifted x into x, and that goes into x again: nobody sees it, so x itself is rotated. */
static void fold_rotation_in_place(const Forward *f, IrOp *o)
{
    IrOp *last = o - 1;
    if (f->now < 2 || last->op == DEAD || last->a != last->d || last->d != o->d || (o->a == o->d) == (o->b == o->d)) {
        return;
    }
    const IrOp *other = maker_of(f, o->a == o->d ? o->b : o->a);
    if (!other || other->a != last->a || last - other > NEAR_OPS || !is_same(other, last, last->a)) {
        return;
    }
    Fold to = rotation_of(last, other);
    if (to.op != IR_COUNT) {
        last->op = DEAD;
        o->a = o->d;
        become(o, to);
    }
}

/* x >> n and x << (width - n), put together: one rotation. */
static void fold_rotation(const Forward *f, IrOp *o)
{
    if (o->op != IR_or && o->op != IR_xor && o->op != IR_add) {
        return;
    }
    const IrOp *r = maker_of(f, o->a), *l = maker_of(f, o->b);
    if (r && l && r->a == l->a && holds(f, r->a, (unsigned)(r - f->b->op) + 1) &&
        holds(f, l->a, (unsigned)(l - f->b->op) + 1)) {
        Fold to = rotation_of(r, l);
        if (to.op != IR_COUNT) {
            o->a = r->a;
            become(o, to);
            return;
        }
    }
    fold_rotation_in_place(f, o);
}

/* Is what the op makes the extension of its own low 32 bits? */
static bool is_sx32(const IrOp *w)
{
    switch (w->op) { /* a few are enough */
    case IR_sx8:
    case IR_sx16:
    case IR_sx32:
    case IR_zx8:
    case IR_zx16:
    case IR_addw:
    case IR_addw_i:
    case IR_subw:
    case IR_shlw:
    case IR_shlw_i:
    case IR_shrw:
    case IR_sarw:
    case IR_sarw_i:
    case IR_rotrw:
    case IR_rotrw_i:
    case IR_mulw:
    case IR_divw:
    case IR_divuw:
    case IR_remw:
    case IR_remuw:
    case IR_eq:
    case IR_eq_i:
    case IR_ne:
    case IR_ne_i:
    case IR_lt:
    case IR_lt_i:
    case IR_ltu:
    case IR_ltu_i:
        return true;
    case IR_shr32_i:
        return w->imm > 0 && w->imm < 32;
    case IR_ld:
        return MEM_LG2(w->aux) < 2 || (MEM_LG2(w->aux) == 2 && w->aux & MEM_SIGNED);
    default:
        return false;
    }
}

static void fold_sx32(const Forward *f, IrOp *o)
{
    const IrOp *w = maker_of(f, o->a);
    if (o->op == IR_sx32 && w && is_sx32(w)) {
        become(o, (Fold){IR_mov, 0});
    }
}

static void fold_sel(const Forward *f, IrOp *o)
{
    Value a = value_of(f, o->a);
    if (is_const(a) || o->b == o->c) {
        o->a = is_const(a) && !a.add ? o->c : o->b;
        become(o, (Fold){IR_mov, 0});
    }
}

static bool fold_const(const Forward *f, IrOp *o)
{
    Value a = value_of(f, o->a), b = value_of(f, o->b), c = value_of(f, o->c);
    if (!is_const(a) || !is_const(b) || !is_const(c)) {
        return false; /* unused operands are zero */
    }
    become(o, (Fold){IR_movi, (int64_t)ir_eval((IrOpcode)o->op, a.add, b.add, c.add, o->imm)});
    return true;
}

/* `op t, ...; mov d, t` becomes `op d, ...; mov t, d`, of which the mov is mostly dead. d is written one op earlier, but
 * as the destination of that very op, and no op is between: P1 and P2 hold. */
static bool retarget(Forward *f, IrOp *o)
{
    IrOp *before = o - 1;
    if (!IR_IS_TEMP(o->a) || IR_IS_TEMP(o->d) || f->now <= f->first || before->op == DEAD || before->d != o->a ||
        o->d == f->g->fp_flags /* which an FP op writes besides */) {
        return false;
    }
    before->d = o->d;
    o->d = o->a;
    o->a = before->d;
    wrote(f, before->d, f->now - 1);
    wrote_value(f, o->d, f->now, (Value){o->a, 0});
    return true;
}

/* Shifts of one register that is a copy keep to it while the original changes: so halves of a rotation stay alike. */
static bool keeps_copy(const IrOp *o)
{
    bool is_half = o->op == IR_shl_i || o->op == IR_shr_i || o->op == IR_shlw_i || o->op == IR_shrw_i ||
                   o->op == IR_shl32_i || o->op == IR_shr32_i;
    return is_half && !IR_IS_TEMP(o->a);
}

static void fold_pure(Forward *f, IrOp *o)
{
    if (!keeps_copy(o)) {
        copy_operands(f, o);
    }
    if (!fold_const(f, o)) {
        if (is_bin(o)) {
            fold_bin(f, o);
            fold_rotation(f, o);
        } else if (o->op == IR_sel) {
            fold_sel(f, o);
        } else if (ir_op_info[o->op].has_imm) {
            apply_rows(o, IR_ZERO, (uint64_t)o->imm);
        }
    }
    fold_sx32(f, o);
    Value v;
    switch (o->op) { /* the ops that give a Value */
    case IR_movi:
        v = (Value){IR_ZERO, (uint64_t)o->imm};
        break;
    case IR_mov:
        v = value_of(f, o->a);
        break;
    case IR_add_i:
        v = value_of(f, o->a);
        v.add += (uint64_t)o->imm;
        break;
    default:
        wrote(f, o->d, f->now);
        return;
    }
    Value old = value_of(f, o->d);
    if (old.base == v.base && old.add == v.add) {
        o->op = DEAD;
        return;
    }
    if (is_const(v) || fits_int32(v.add)) { /* in its shortest form */
        o->a = v.base;
        become(o, (Fold){is_const(v) ? IR_movi : v.add ? IR_add_i : IR_mov, (int64_t)v.add});
    }
    if (o->op != IR_mov || !retarget(f, o)) {
        wrote_value(f, o->d, f->now, v);
    }
}

/* ---- exits ---- */
static IrCond opposite(IrCond cond)
{
    return (IrCond)(cond ^ 1); /* EQ NE, LT GE, LTU GEU */
}

/* The branch tests a slot that a comparison made, and the operands of that still hold: test them. */
static void fuse_compare(const Forward *f, IrOp *o)
{
    const Fact *k = &f->at[BUCKET(o->a)];
    if (o->b != IR_ZERO || o->aux > COND_NE || !k->when || k->slot != o->a || !is_young(f, o->a, k->when)) {
        return;
    }
    const IrOp *w = &f->b->op[k->when - 1];
    IrCond cond = COND_EQ;
    switch (w->op) { /* the comparisons */
    case IR_eq:
    case IR_eq_i:
        break;
    case IR_ne:
    case IR_ne_i:
        cond = COND_NE;
        break;
    case IR_lt:
    case IR_lt_i:
        cond = COND_LT;
        break;
    case IR_ltu:
        cond = COND_LTU;
        break;
    default:
        return;
    }
    if (w->d == o->a && w->imm == 0 && holds(f, w->a, k->when) && holds(f, w->b, k->when)) {
        o->aux = (uint16_t)(o->aux == COND_NE ? cond : opposite(cond));
        o->a = w->a;
        o->b = w->b;
    }
}

/* true: always taken; the block ends here. */
static bool fold_brcond(const Forward *f, IrOp *o)
{
    copy_operands(f, o);
    fuse_compare(f, o);
    Value a = value_of(f, o->a), b = value_of(f, o->b);
    bool is_never = o->aux == COND_LTU && o->b == IR_ZERO, is_always = o->aux == COND_GEU && o->b == IR_ZERO;
    if (a.base == b.base && (is_const(a) || a.add == b.add)) { /* both numbers, or the same */
        is_always = ir_cond((IrCond)o->aux, a.add, b.add);
        is_never = !is_always;
    }
    if (is_always) {
        *o = (IrOp){.op = IR_jmp, .insn = o->insn, .imm = o->imm};
    } else if (is_never) {
        o->op = DEAD;
    }
    return is_always;
}

static void fold_term(const Forward *f, IrOp *o)
{
    Value a = value_of(f, o->a);
    if (o->op == IR_jmpr && is_const(a)) {
        uint64_t to = a.add + (uint64_t)o->imm;
        *o = (IrOp){.op = IR_jmp,
                    .aux = o->aux & ~JMP_EVEN,
                    .insn = o->insn,
                    .imm = (int64_t)(o->aux & JMP_EVEN ? to & ~1ull : to)};
        return;
    }
    copy_operands(f, o);
}

/* ---- the passes ---- */
static void forward_call(Forward *f, IrOp *o)
{
    uint32_t effects = f->g->helpers[o->aux].effects;
    copy_operands(f, o);
    if (effects & EFF_WRITES_FRAME) {
        f->floor = f->now;
    }
    if (effects & (EFF_FP_FLAGS | EFF_WRITES_FRAME)) {
        wrote(f, f->g->fp_flags, f->now);
    }
    wrote(f, o->d, f->now);
}

static void cut(IrBlock *b, uint32_t nops)
{
    b->nops = nops;
    b->ninsns = b->op[nops - 1].insn + 1;
    b->nbytes = b->insn_at[b->ninsns];
}

static void forward(Forward *f)
{
    IrBlock *b = f->b;
    for (uint32_t i = 0; i < b->nops; i++) {
        IrOp *o = &b->op[i];
        f->now = i + 1;
        if (!i || o->insn != o[-1].insn) {
            f->first = f->now;
        }
        switch (ir_op_info[o->op].cls) {
        case CLASS_PURE:
            fold_pure(f, o);
            break;
        case CLASS_FP:
            copy_operands(f, o);
            wrote(f, f->g->fp_flags, f->now);
            wrote(f, o->d, f->now);
            break;
        case CLASS_LOAD:
        case CLASS_STORE:
        case CLASS_ATOMIC:
            fold_address(f, o);
            wrote(f, o->d, f->now);
            break;
        case CLASS_FENCE:
            break;
        case CLASS_CALL:
            forward_call(f, o);
            break;
        case CLASS_SIDE_EXIT:
            if (fold_brcond(f, o)) {
                cut(b, i + 1);
            }
            break;
        case CLASS_TERM:
            fold_term(f, o);
            break;
        }
    }
}

typedef struct {
    const IrGuest *g;
    uint32_t temps, temps_wide; /* read later in this instruction; and not only their low 32 bits */
    uint32_t epoch;             /* of the dead slots: a new one makes all of them live */
    struct {
        Slot slot;
        uint16_t epoch, low; /* low, if it is the epoch: overwritten, and until then only the low 32 bits are read */
    } dead[NBUCKETS];        /* overwritten before anybody looks */
} Backward;

static uint32_t temp_bit(Slot s)
{
    return 1u << (s - IR_TEMP(0)) / 8;
}

static bool is_dead(const Backward *w, Slot s)
{
    if (IR_IS_TEMP(s)) {
        return !(w->temps & temp_bit(s));
    }
    return s == IR_ZERO || (w->dead[BUCKET(s)].slot == s && w->dead[BUCKET(s)].epoch == w->epoch);
}

/* Are no more than its low 32 bits ever seen? */
static bool is_low(const Backward *w, Slot s)
{
    if (IR_IS_TEMP(s)) {
        return !(w->temps_wide & temp_bit(s));
    }
    return s != IR_ZERO && w->dead[BUCKET(s)].slot == s && w->dead[BUCKET(s)].low == w->epoch;
}

static void overwritten(Backward *w, Slot s)
{
    if (IR_IS_TEMP(s)) {
        w->temps &= ~temp_bit(s);
        w->temps_wide &= ~temp_bit(s);
    } else if (s != IR_ZERO) {
        w->dead[BUCKET(s)].slot = s;
        w->dead[BUCKET(s)].epoch = w->dead[BUCKET(s)].low = (uint16_t)w->epoch;
    }
}

static void read_low(Backward *w, Slot s)
{
    if (IR_IS_TEMP(s)) {
        w->temps |= temp_bit(s);
    } else if (w->dead[BUCKET(s)].slot == s) {
        w->dead[BUCKET(s)].epoch = 0;
    }
}

static void read(Backward *w, Slot s)
{
    read_low(w, s);
    if (IR_IS_TEMP(s)) {
        w->temps_wide |= temp_bit(s);
    } else if (w->dead[BUCKET(s)].slot == s) {
        w->dead[BUCKET(s)].low = 0;
    }
}

/* Ops of which only the low half counts are done without extending it; true: then only the low halves of its operands count. */
static bool narrow(IrOp *o)
{
#define ROW(from, to)                                                                                                  \
    case IR_##from:                                                                                                    \
        o->op = IR_##to;                                                                                               \
        return true;                                                                                                   \
    case IR_##from##_i:                                                                                                \
        o->op = IR_##to##_i;                                                                                           \
        return true;
    switch (o->op) { /* the ops whose low half depends on low halves */
        ROW(addw, add32)
        ROW(subw, sub32)
        ROW(mulw, mul32)
        ROW(shlw, shl32)
        ROW(shrw, shr32)
        ROW(sarw, sar32)
        ROW(rotrw, rotr32)
    case IR_sx32:
    case IR_zx32:
        o->op = IR_mov;
        return true;
    case IR_mov:
    case IR_add:
    case IR_add_i:
    case IR_sub:
    case IR_sub_i:
    case IR_mul:
    case IR_mul_i:
    case IR_and:
    case IR_and_i:
    case IR_or:
    case IR_or_i:
    case IR_xor:
    case IR_xor_i:
    case IR_andn:
    case IR_andn_i:
    case IR_orn:
    case IR_orn_i:
    case IR_xnor:
    case IR_xnor_i:
        return true;
    default:
        return false;
    }
#undef ROW
}

/* Ops that look at the low halves of their operands, whatever becomes of the result. */
static bool reads_low(const IrOp *o)
{
    switch (o->op) {
    case IR_sx8:
    case IR_sx16:
    case IR_sx32:
    case IR_zx8:
    case IR_zx16:
    case IR_zx32:
    case IR_addw:
    case IR_addw_i:
    case IR_subw:
    case IR_mulw:
    case IR_shlw:
    case IR_shlw_i:
    case IR_shrw:
    case IR_sarw:
    case IR_sarw_i:
    case IR_rotrw:
    case IR_rotrw_i:
    case IR_add32:
    case IR_add32_i:
    case IR_sub32:
    case IR_mul32:
    case IR_shl32:
    case IR_shl32_i:
    case IR_shr32:
    case IR_shr32_i:
    case IR_sar32:
    case IR_sar32_i:
    case IR_rotr32:
    case IR_rotr32_i:
        return true;
    default:
        return false;
    }
}

/* One op, from the end. An event shows what earlier instructions wrote (P2), an exit what this one wrote as well. */
static void backward_op(Backward *w, IrOp *o)
{
    IrClass cls = ir_op_info[o->op].cls;
    uint32_t effects = cls == CLASS_CALL ? w->g->helpers[o->aux].effects : 0;
    if ((cls == CLASS_PURE || (cls == CLASS_CALL && !effects)) && is_dead(w, o->d)) {
        o->op = DEAD;
        return;
    }
    bool has_low = cls == CLASS_PURE && ((is_low(w, o->d) && narrow(o)) || reads_low(o));
    overwritten(w, o->d);
    if (has_low) {
        read_low(w, o->a);
        read_low(w, o->b);
        return;
    }
    switch (cls) {
    case CLASS_PURE:
    case CLASS_FENCE:
        break;
    case CLASS_FP: /* flags accrue: it reads them too */
        read(w, w->g->fp_flags);
        read(w, FP_RM(o->aux) == RM_DYN ? w->g->fp_rm : IR_ZERO);
        break;
    case CLASS_CALL:
        if (effects & EFF_FP_FLAGS) {
            read(w, w->g->fp_flags);
            read(w, w->g->fp_rm);
        }
        w->epoch += (effects & (EFF_EVENT | EFF_READS_FRAME)) != 0;
        break;
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
    case CLASS_SIDE_EXIT:
    case CLASS_TERM:
        w->epoch++;
        break;
    }
    read(w, o->a);
    read(w, o->b);
    read(w, o->c);
}

/* Temporaries need no care between instructions: one that is read was written in the same. */
static void backward(Backward *w, IrBlock *b)
{
    for (uint32_t i = b->nops; i-- > 0;) {
        if (b->op[i].op != DEAD) {
            backward_op(w, &b->op[i]);
        }
    }
}

void ir_optimise(IrBlock *b, const IrGuest *g)
{
    Forward f;
    memset(&f, 0, sizeof f);
    f.b = b;
    f.g = g;
    forward(&f);
    Backward w;
    memset(&w, 0, sizeof w);
    w.g = g;
    w.epoch = 1;
    backward(&w, b);
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->nops; i++) {
        if (b->op[i].op != DEAD) {
            b->op[n++] = b->op[i];
        }
    }
    b->nops = n;
}
