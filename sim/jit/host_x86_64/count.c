/* SPDX-License-Identifier: Apache-2.0
 * count.c - a block that is a loop by itself, and goes around until one register has come to another by steps that are known: then it is
 * known how often. Where it goes around for the first time code computes how many rounds are certain: until that end; for which the
 * budget is there; in which every access by a base that goes on regularly is in the flat range, or in its base's window. These are paid at
 * once and run in a body of their own, which looks neither at the budget nor at those bases nor at its end, but counts. Other accesses are
 * looked at as ever, and those that fail leave the body for the plain block's rest, as side exits leave it: with the rounds not
 * begun given back. Nothing in the body can raise an event or call C that looks at the budget. */
#include "sim/jit/host_x86_64/host.h"

enum {
    MIN_ROUNDS = 4,
    MAX_ROUNDS = 1 << 16
}; /* for fewer it is not worth while; the budget allows no more at a time */

/* ---- what can be counted ---- */
typedef struct {
    const Maker *m;
    const JBlock *b;
    uint32_t last;
} Loop;

static bool writes(const IrOp *o, Slot s)
{
    return ir_op_info[o->op].has_dst && o->d == s;
}

static unsigned writes_in(const Loop *l, Slot s)
{
    unsigned n = 0;
    for (uint32_t q = 0; q < l->last; q++) {
        n += writes(&l->b->op[q], s);
    }
    return n;
}

/* By how much it goes on in a round, by constants only. */
static bool stride_of(const Loop *l, Slot s, int64_t *by)
{
    *by = 0;
    for (uint32_t q = 0; q < l->last; q++) {
        const IrOp *o = &l->b->op[q];
        if (writes(o, s)) {
            if (o->op != IR_add_i || o->a != s || !is_s32((uint64_t)o->imm) || !is_s32((uint64_t)(*by + o->imm))) {
                return false;
            }
            *by += o->imm;
        }
    }
    return true;
}

/* A register that is the same in all rounds, by which s goes on once in each; IR_ZERO: none. */
static Slot stride_by(const Loop *l, Slot s)
{
    Slot by = IR_ZERO;
    unsigned n = 0;
    for (uint32_t q = 0; q < l->last; q++) {
        const IrOp *o = &l->b->op[q];
        if (writes(o, s)) {
            bool is_sum = o->op == IR_add && (o->a == s) != (o->b == s);
            by = is_sum ? (o->a == s ? o->b : o->a) : IR_ZERO;
            n++;
        }
    }
    return n == 1 && by != IR_ZERO && !IR_IS_TEMP(by) && !writes_in(l, by) ? by : IR_ZERO;
}

static bool word_stride_of(const Loop *l, Slot s, int64_t *by)
{
    unsigned n = 0;
    for (uint32_t q = 0; q < l->last; q++) {
        const IrOp *o = &l->b->op[q];
        if (writes(o, s)) {
            *by = o->op == IR_addw_i && o->a == s && is_s32((uint64_t)o->imm) ? o->imm : 0;
            n++;
        }
    }
    return n == 1 && *by;
}

static bool is_power(int64_t v) /* or that, negative */
{
    v = v < 0 ? -v : v;
    return v && !(v & (v - 1));
}

/* Going on by stride, does x come to where the loop ends? It goes around while `cond` of a and b; is_first: x is a. */
static bool comes_there(unsigned cond, bool is_first, bool is_word, int64_t stride)
{
    switch (cond) {
    case COND_NE:
        return true;
    case COND_LT:
        return is_first == (stride > 0);
    case COND_GE:
        return is_first == (stride < 0);
    case COND_LTU: /* 32 bits that pass 2^31 jump */
        return !is_word && is_first == (stride > 0);
    case COND_GEU:
        return !is_word && is_first == (stride < 0);
    default:
        return false;
    }
}

static bool end_of(const Loop *l, Count *c)
{
    const IrOp *o = &l->b->op[l->last];
    for (unsigned i = 0; i < 2; i++) {
        c->x = i ? o->b : o->a;
        c->y = i ? o->a : o->b;
        c->is_word = false;
        if (c->x == IR_ZERO || IR_IS_TEMP(c->x) || IR_IS_TEMP(c->y) || writes_in(l, c->y)) {
            continue;
        }
        if (!stride_of(l, c->x, &c->stride) || !c->stride) {
            c->is_word = word_stride_of(l, c->x, &c->stride);
            if (!c->is_word) {
                continue;
            }
        }
        if (is_power(c->stride) && comes_there(o->aux, !i, c->is_word, c->stride)) {
            return true;
        }
    }
    return false;
}

static CountBase *base_of(Count *c, Slot s)
{
    for (unsigned i = 0; i < c->nbases; i++) {
        if (c->base[i].base == s) {
            return &c->base[i];
        }
    }
    return NULL;
}

static void base_add(const Loop *l, Count *c, Slot s)
{
    CountBase *b = &c->base[c->nbases];
    *b = (CountBase){.base = s, .by = IR_ZERO};
    if (!stride_of(l, s, &b->stride)) {
        b->by = stride_by(l, s);
        if (b->by == IR_ZERO) {
            return;
        }
    }
    int64_t moved = 0;
    bool has_any = false;
    for (uint32_t q = 0; q < l->last; q++) {
        const IrOp *o = &l->b->op[q];
        if (host_is_plain_access(o) && o->a == s) {
            int64_t low = moved + o->imm, high = low + MEM_SIZE(o->aux);
            low = has_any && b->low < low ? b->low : low;
            high = has_any && b->high > high ? b->high : high;
            if (high - low <= GROUP_SPAN) {
                b->low = low, b->high = high;
                b->can_write |= o->op == IR_st;
                has_any = true;
            }
        }
        if (writes(o, s)) {
            if (b->by != IR_ZERO) {
                break;
            }
            moved += o->imm;
        }
    }
    c->nbases += has_any;
}

/* Accesses that can be made without C, or left for the plain block. */
static bool is_fit(const Loop *l, const IrOp *o)
{
    IrClass cls = ir_op_info[o->op].cls;
    if (!jit_is_plain(o)) {
        return false;
    }
    if (cls == CLASS_LOAD || cls == CLASS_STORE) {
        unsigned i = l->m->id_of[o->a / 8];
        return l->m->is_flat && host_is_plain_access(o) && i && l->m->home[i] < FPR_HOME;
    }
    return true;
}

bool host_count_plan(Maker *m, unsigned k)
{
    Bb *x = &m->bb[k];
    int around = jit_exit_around(x, k);
    Loop l = {.m = m, .b = x->b, .last = around < 0 ? 0 : x->at[around]};
    Count c = {.last = l.last};
    if (!l.last || x->b->op[l.last].op != IR_brcond || !end_of(&l, &c)) {
        return false;
    }
    for (uint32_t q = 0; q < l.last; q++) {
        const IrOp *o = &x->b->op[q];
        if (!is_fit(&l, o)) {
            return false;
        }
        if ((o->op == IR_ld || o->op == IR_st) && c.nbases < COUNT_BASES && !base_of(&c, o->a)) {
            base_add(&l, &c, o->a);
        }
    }
    x->count = c;
    return true;
}

/* ---- where it is counted ---- */
bool host_count_uses(const JitHost *h, unsigned k, unsigned i)
{
    const Bb *x = &h->m->bb[k];
    for (uint32_t q = 0; q < x->count.last; q++) {
        const IrOp *o = &x->b->op[q];
        Slot src[3];
        unsigned n = jit_op_sources(h->m->guest, o, src);
        for (unsigned s = 0; s < n; s++) {
            if (host_id(h, src[s]) == i) {
                return true;
            }
        }
        if (ir_op_info[o->op].has_dst && host_id(h, o->d) == i) {
            return true;
        }
    }
    return false;
}

/* A register that is no home, or that of a slot which the loop does not use: pins last, as they are used most elsewhere. */
static void counter_choose(JitHost *h, unsigned k)
{
    BbAt *at = &h->bb[k];
    const Maker *m = h->m;
    unsigned end = host_ngprs - (m->is_ranged ? 0 : m->is_flat ? host_nspare_flat : host_nspare);
    at->counter = COUNT_ON_STACK;
    at->spilled = 0;
    for (unsigned r = end; r-- > 0;) {
        unsigned i = m->nids;
        while (--i && m->home[i] != host_gprs[r]) {
        }
        if (!i || !host_count_uses(h, k, i)) {
            at->counter = host_gprs[r];
            at->spilled = m->is_pin[i] || set_has(&m->bb[k].live, i) ? i : 0; /* else it holds nothing */
            return;
        }
    }
}

/* ---- code ---- */
static void at_least(JitHost *h, const uint8_t *plain)
{
    x_alui(&h->a, W, G_CMP, RDX, MIN_ROUNDS);
    x_fix(x_jcc(&h->a, CC_B), plain);
}

/* rdx = until x comes to y, as it is where the loop goes around. Less is right too: the branch is made once more then. */
static void rounds_to_end(JitHost *h, const Count *c)
{
    Asm *a = &h->a;
    Slot from = c->stride < 0 ? c->y : c->x, to = c->stride < 0 ? c->x : c->y;
    host_gpr_to(h, RDX, to);
    if (from != IR_ZERO || c->is_word) {
        host_alu(h, c->is_word ? 0 : W, X_SUB, RDX, from);
    }
    unsigned by = (unsigned)__builtin_ctzll((uint64_t)c->stride);
    if (by) {
        x_shift(a, W, G_SHR, RDX, by);
    }
}

/* rdx = rdx, or what the budget is enough for. */
static void rounds_to_pay(JitHost *h, int32_t body, const uint8_t *plain)
{
    Asm *a = &h->a;
    x_movi(a, RAX, MAX_ROUNDS);
    x_rr(a, W, X_CMP, RDX, RAX);
    x_rr(a, W, X_CMOV | CC_A, RDX, RAX);
    x_rr(a, W, X_IMULI, RAX, RDX);
    x_imm32(a, (uint32_t)body);
    x_rm(a, W, X_CMP, RAX, RBP, AT(budget));
    uint8_t *enough = x_jcc(a, CC_LE);
    x_rm(a, W, X_LOAD, RAX, RBP, AT(budget));
    x_zero(a, RDX);
    x_movi(a, RCX, (uint64_t)body);
    x_rr(a, W, X_GROUP3, G_DIV, RCX);
    x_mov(a, RDX, RAX);
    at_least(h, plain);
    x_fix(enough, a->p);
}

void host_emit_rounds(JitHost *h, unsigned k, const uint8_t *plain)
{
    Asm *a = &h->a;
    const Bb *x = &h->m->bb[k];
    const Count *c = &x->count;
    uint8_t *later[COUNT_BASES * REACH_WAYS], *now;
    unsigned n = 0;
    counter_choose(h, k);
    uint8_t *half = NULL, *again = NULL;
    if (c->nbases) { /* fewer, as something is out of reach */
        half = a->p;
        x_shift(a, W, G_SHR, RDX, 1);
        at_least(h, plain);
        again = x_jmp(a);
    }
    h->bb[k].count = a->p;
    rounds_to_end(h, c);
    at_least(h, plain);
    rounds_to_pay(h, (int32_t)x->b->op[c->last].insn + 1, plain);
    if (again) {
        x_fix(again, a->p);
    }
    for (unsigned i = 0; i < c->nbases; i++) {
        n += host_emit_reach(h, &c->base[i], &now, later + n);
        x_fix(now, plain);
    }
    while (n) {
        x_fix(later[--n], half);
    }
}

void host_count_begin(JitHost *h, unsigned k)
{
    const Count *c = &h->m->bb[k].count;
    for (unsigned i = 0; i < c->nbases; i++) {
        const CountBase *b = &c->base[i];
        h->group[host_id(h, b->base)] =
            (Group){.is_on = true, .can_write = b->can_write, .low = b->low, .high = b->high, .addend = FLAT_REG};
    }
    h->raws.raw = h->bb[k].raw;
    h->raws.single = h->bb[k].single;
    set_del(&h->dirty, h->bb[k].spilled); /* it is in the frame */
}

/* Rounds that each take a line of their own from behind the first cache must not be too short: if more of them are under way than the
 * processor has misses at a time (Zen 4: 24, of 320 instructions), loads are tried again and again (matmul 6 cycles a round of 8
 * instructions, 4 of 16). */
enum { FAR_BYTES = 1024, FAR_OPS = 14 };

void host_count_slow(JitHost *h, unsigned k)
{
    const Count *c = &h->m->bb[k].count;
    bool is_far = false;
    for (unsigned i = 0; i < c->nbases; i++) {
        const CountBase *b = &c->base[i];
        is_far |= b->by != IR_ZERO || b->stride >= FAR_BYTES || b->stride <= -FAR_BYTES;
    }
    for (uint32_t n = c->last; is_far && n < FAR_OPS; n++) {
        x_rm(&h->a, W, X_LEA, RAX, RBP, 8); /* more of them at a time than of no-operations */
    }
}
