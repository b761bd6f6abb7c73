/* SPDX-License-Identifier: Apache-2.0
 * rounds.c - some rounds of a loop in a row that computes and does nothing else, where it is certain that all of them are run: nobody looks
 * between them, so their ops are put into an order in which chains of one round run beside those of the next, as the host's
 * schedulers do not look far enough ahead for it. Values are numbered first, then ordered, then given registers. These are the homes of the
 * loop's slots, and others that are borrowed (loans.c): nothing can leave a row, so nobody misses them there. */
#include "sim/jit/host_x86_64/host.h"

enum {
    MAX_LINES = 144,
    MAX_VALUES = MAX_LINES + JIT_HOST_REGS, /* those that come in by registers, then one a line */
    MUL_CYCLES = 3,
    NO_REG = 0xff
};
typedef enum { SHAPE_NONE, SHAPE_ALU, SHAPE_SHIFT, SHAPE_MUL, SHAPE_EXTEND } Shape;
typedef struct { /* how an op is made of the host's */
    Shape shape;
    uint32_t opc;  /* X_, or G_ of a shift */
    uint8_t flags; /* W, or 0: of 32 bits */
    bool has_sx;   /* and extended from there */
    bool is_commutative;
} How;
typedef struct {
    How how;
    bool has_imm, is_done;
    uint8_t nsrc;
    uint16_t src[2]; /* values */
    int32_t imm;
    uint16_t height; /* cycles until all that needs it is through, at least */
    uint32_t ready;  /* cycle in which what it makes is there */
} Line;
typedef struct {
    JitHost *h;
    unsigned nlines, nin;
    Line line[MAX_LINES];
    uint16_t order[MAX_LINES];
    uint16_t last[MAX_VALUES];     /* place in the order where it is read last; MAX_LINES: it goes on */
    uint8_t reg[MAX_VALUES];       /* NO_REG: none now */
    uint8_t home[JIT_IDS];         /* by id of what comes in: where it does, and where it goes on */
    uint16_t value_of[JIT_IDS];    /* by id: as numbered so far, 1 + */
    uint16_t id_of[JIT_HOST_REGS]; /* by value that comes in */
    Set written, goes_on;          /* by a round; and read by the next one */
    uint32_t free;                 /* registers, a bit each */
    Loans *loans;
} Rounds;

static How how_of(unsigned op)
{
#define ALU(name, opc, flags, has_sx, is_commutative)                                                                  \
    case IR_##name:                                                                                                    \
    case IR_##name##_i:                                                                                                \
        return (How){SHAPE_ALU, opc, flags, has_sx, is_commutative};
#define SHIFT(name, group, flags, has_sx)                                                                              \
    case IR_##name##_i:                                                                                                \
        return (How){SHAPE_SHIFT, group, flags, has_sx, false};
#define EXTEND(name, opc, flags)                                                                                       \
    case IR_##name:                                                                                                    \
        return (How){SHAPE_EXTEND, opc, flags, false, false};
    switch (op) {
        ALU(add, X_ADD, W, false, true)
        ALU(sub, X_SUB, W, false, false)
        ALU(and, X_AND, W, false, true)
        ALU(or, X_OR, W, false, true)
        ALU(xor, X_XOR, W, false, true)
        ALU(addw, X_ADD, 0, true, true)
        ALU(subw, X_SUB, 0, true, false)
        ALU(add32, X_ADD, 0, false, true)
        ALU(sub32, X_SUB, 0, false, false)
        SHIFT(shl, G_SHL, W, false)
        SHIFT(shr, G_SHR, W, false)
        SHIFT(sar, G_SAR, W, false)
        SHIFT(rotr, G_ROR, W, false)
        SHIFT(shlw, G_SHL, 0, true)
        SHIFT(shrw, G_SHR, 0, true)
        SHIFT(sarw, G_SAR, 0, true)
        SHIFT(rotrw, G_ROR, 0, true)
        SHIFT(shl32, G_SHL, 0, false)
        SHIFT(shr32, G_SHR, 0, false)
        SHIFT(sar32, G_SAR, 0, false)
        SHIFT(rotr32, G_ROR, 0, false)
        EXTEND(sx8, X_MOVSX8, W | BYTE)
        EXTEND(sx16, X_MOVSX16, W)
        EXTEND(sx32, X_MOVSXD, W)
        EXTEND(zx8, X_MOVZX8, BYTE)
        EXTEND(zx16, X_MOVZX16, 0)
        EXTEND(zx32, X_LOAD, 0)
    case IR_mul:
    case IR_mul_i:
        return (How){SHAPE_MUL, X_IMUL, W, false, true};
    case IR_mulw:
    case IR_mulw_i:
        return (How){SHAPE_MUL, X_IMUL, 0, true, true};
    case IR_mul32:
    case IR_mul32_i:
        return (How){SHAPE_MUL, X_IMUL, 0, false, true};
    default:
        return (How){.shape = SHAPE_NONE};
    }
#undef ALU
#undef SHIFT
#undef EXTEND
}

/* ---- values ---- */
/* The register of id i, or one that is borrowed for it, as it lives in the frame. */
static bool has_home(Rounds *r, unsigned i)
{
    int home = r->h->m->home[i];
    if (home >= 0 && home < FPR_HOME) {
        r->home[i] = (uint8_t)home;
        return true;
    }
    return home == HOME_FRAME && !r->h->m->is_temp[i] && host_loan_add(r->loans, i, &r->home[i]);
}

/* 1 + the number of the value that slot s has now; 0: it has none that could be in a register. */
static unsigned value_of(Rounds *r, Slot s)
{
    unsigned i = host_id(r->h, s);
    if (i && !r->value_of[i] && r->nin < JIT_HOST_REGS && !r->nlines && has_home(r, i)) {
        r->id_of[r->nin] = (uint16_t)i;
        r->value_of[i] = (uint16_t)++r->nin;
    }
    return i ? r->value_of[i] : 0;
}

/* What comes in is numbered before all lines. */
static bool numbers_begin(Rounds *r, const IrOp *op, uint32_t nops)
{
    for (const IrOp *o = op; o < op + nops; o++) {
        Slot src[3];
        unsigned n = jit_op_sources(r->h->m->guest, o, src);
        for (unsigned s = 0; s < n; s++) {
            unsigned i = host_id(r->h, src[s]);
            if (!set_has(&r->written, i) && !value_of(r, src[s])) {
                return false;
            }
        }
        unsigned d = host_id(r->h, o->d);
        int home = r->h->m->home[d];
        if (!d || (!r->h->m->is_temp[d] && home >= FPR_HOME)) {
            return false;
        }
        set_add(&r->written, d);
    }
    for (unsigned v = 0; v < r->nin; v++) {
        if (set_has(&r->written, r->id_of[v])) {
            set_add(&r->goes_on, r->id_of[v]);
            host_loan_writes(r->loans, r->id_of[v]);
        }
    }
    return true;
}

static bool line_add(Rounds *r, const IrOp *o)
{
    const IrOpInfo *info = &ir_op_info[o->op];
    Line *l = &r->line[r->nlines];
    unsigned d = host_id(r->h, o->d);
    if (o->op == IR_mov) {
        r->value_of[d] = (uint16_t)value_of(r, o->a);
        return r->value_of[d];
    }
    *l = (Line){.how = how_of(o->op), .nsrc = info->nsrc, .has_imm = info->has_imm, .imm = (int32_t)o->imm};
    const Slot slot[2] = {o->a, o->b};
    for (unsigned s = 0; s < l->nsrc && s < 2; s++) {
        unsigned v = value_of(r, slot[s]);
        if (!v) {
            return false;
        }
        l->src[s] = (uint16_t)(v - 1);
    }
    if (l->how.shape == SHAPE_NONE || (l->has_imm && !is_s32((uint64_t)o->imm)) || r->nlines == MAX_LINES - 1) {
        return false;
    }
    r->value_of[d] = (uint16_t)(1 + r->nin + r->nlines++);
    return true;
}

/* ---- order ---- */
static unsigned cycles_of(const Line *l)
{
    return (l->how.shape == SHAPE_MUL ? MUL_CYCLES : 1) + l->how.has_sx;
}

/* Lines that nobody reads in the end have no height. */
static void heights(Rounds *r)
{
    SET_EACH(i, &r->goes_on)
    {
        if (r->value_of[i] > r->nin) {
            Line *l = &r->line[r->value_of[i] - 1 - r->nin];
            l->height = (uint16_t)cycles_of(l);
        }
    }
    for (unsigned k = r->nlines; k-- > 0;) {
        const Line *l = &r->line[k];
        for (unsigned s = 0; l->height && s < l->nsrc; s++) {
            if (l->src[s] >= r->nin) {
                Line *from = &r->line[l->src[s] - r->nin];
                unsigned height = l->height + cycles_of(from);
                from->height = (uint16_t)(from->height > height ? from->height : height);
            }
        }
    }
}

/* The cycle from which on it can be run; UINT32_MAX: what it reads is not yet in the order. */
static uint32_t ready_at(const Rounds *r, const Line *l)
{
    uint32_t at = 0;
    for (unsigned s = 0; s < l->nsrc; s++) {
        if (l->src[s] >= r->nin) {
            const Line *from = &r->line[l->src[s] - r->nin];
            if (!from->is_done) {
                return UINT32_MAX;
            }
            at = at > from->ready ? at : from->ready;
        }
    }
    return at;
}

/* Of those that can be run the highest, and of these that of the last round: one in two cycles, as if the host had less at a time than
 * it has, which mixes rounds best (of a dozen ways, Zen 4). */
static unsigned order(Rounds *r)
{
    unsigned n = 0, nwanted = 0;
    for (unsigned k = 0; k < r->nlines; k++) {
        nwanted += r->line[k].height != 0;
    }
    for (uint32_t cycle = 0; n < nwanted; cycle += 2) {
        Line *best = NULL;
        for (Line *l = r->line; l < r->line + r->nlines; l++) {
            if (l->height && !l->is_done && (!best || l->height >= best->height) && ready_at(r, l) <= cycle) {
                best = l;
            }
        }
        if (best) {
            best->is_done = true;
            best->ready = cycle + cycles_of(best);
            r->order[n++] = (uint16_t)(best - r->line);
        }
    }
    return n;
}

/* ---- registers ---- */
static void lives(Rounds *r, unsigned n)
{
    for (unsigned p = 0; p < n; p++) {
        const Line *l = &r->line[r->order[p]];
        for (unsigned s = 0; s < l->nsrc; s++) {
            r->last[l->src[s]] = (uint16_t)p;
        }
    }
    for (unsigned v = 0; v < r->nin; v++) {
        if (!set_has(&r->written, r->id_of[v])) {
            r->last[v] = MAX_LINES;
        }
    }
    SET_EACH(i, &r->goes_on)
    {
        r->last[r->value_of[i] - 1] = MAX_LINES;
    }
}

/* All homes that the loop has and no slot that goes on, what is borrowed, and what is free anyway. */
static void registers_begin(Rounds *r)
{
    const Maker *m = r->h->m;
    memset(r->reg, NO_REG, sizeof r->reg);
    r->free = 1u << RAX | 1u << RCX | 1u << RDX;
    for (unsigned i = 0; i < r->loans->ntaken; i++) {
        r->free |= 1u << r->loans->of[i].reg;
    }
    SET_EACH(i, &r->written)
    {
        if (m->home[i] >= 0 && m->home[i] < FPR_HOME) {
            r->free |= 1u << m->home[i];
        }
    }
    for (unsigned v = 0; v < r->nin; v++) {
        r->reg[v] = r->home[r->id_of[v]];
        r->free &= ~(1u << r->reg[v]);
    }
}

static bool dies(const Rounds *r, unsigned v, unsigned p)
{
    return r->last[v] == p;
}

static void release(Rounds *r, unsigned v)
{
    if (r->reg[v] != NO_REG) {
        r->free |= 1u << r->reg[v];
        r->reg[v] = NO_REG;
    }
}

/* For value v of line l at place p: the register of an operand that dies, if the host's op has that for a destination; else any. */
static unsigned register_for(Rounds *r, const Line *l, unsigned p)
{
    for (unsigned s = 0; s < l->nsrc; s++) {
        if (dies(r, l->src[s], p) && (s == 0 || l->how.is_commutative)) {
            return r->reg[l->src[s]];
        }
    }
    return r->free ? (unsigned)__builtin_ctz(r->free) : NO_REG;
}

/* ---- code ---- */
static void emit_line(JitHost *h, const Line *l, unsigned d, unsigned a, unsigned b)
{
    Asm *x = &h->a;
    unsigned flags = l->how.flags;
    switch (l->how.shape) {
    case SHAPE_EXTEND:
        x_rr(x, flags, l->how.opc, d, a);
        break;
    case SHAPE_SHIFT: {
        unsigned n = (unsigned)l->imm & (flags ? 63 : 31);
        if (l->how.opc == G_ROR && h->has_bmi2 && n && d != a) {
            x_rorx(x, flags, d, a, n);
        } else {
            if (d != a || (!flags && !n)) {
                x_rr(x, flags, X_LOAD, d, a); /* of 32 bits: clears the others */
            }
            if (n) {
                x_shift(x, flags, l->how.opc, d, n);
            }
        }
        break;
    }
    case SHAPE_MUL:
        if (l->has_imm) {
            x_rr(x, flags, X_IMULI, d, a);
            x_imm32(x, (uint32_t)l->imm);
            break;
        }
        /* fall through */
    case SHAPE_ALU:
        if (l->how.opc == X_ADD && d != a && (l->has_imm || d != b)) {
            x_rx(x, flags, X_LEA, d, a, l->has_imm ? -1 : (int)b, 0, l->has_imm ? l->imm : 0);
        } else if (l->has_imm) {
            x_mov(x, d, a);
            x_alui(x, flags, (l->how.opc & 0x38) >> 3, d, l->imm);
        } else if (d == b && d != a) {
            x_rr(x, flags, l->how.opc, d, a);
        } else {
            x_mov(x, d, a);
            x_rr(x, flags, l->how.opc, d, b);
        }
        break;
    case SHAPE_NONE:
        break;
    }
    if (l->how.has_sx) {
        x_rr(x, W, X_MOVSXD, d, d);
    }
}

/* Each slot that goes on comes to its home. */
static void emit_homes(Rounds *r)
{
    Asm *a = &r->h->a;
    uint8_t from[JIT_HOST_REGS];
    memset(from, NO_REG, sizeof from);
    SET_EACH(i, &r->goes_on)
    {
        from[r->home[i]] = r->reg[r->value_of[i] - 1];
    }
    for (bool again = true; again;) { /* first those that nobody else waits for */
        again = false;
        for (unsigned d = 0; d < JIT_HOST_REGS; d++) {
            bool is_wanted = false;
            for (unsigned e = 0; e < JIT_HOST_REGS; e++) {
                is_wanted |= e != d && from[e] == d;
            }
            if (from[d] != NO_REG && from[d] != d && !is_wanted) {
                x_mov(a, d, from[d]);
                from[d] = NO_REG;
                again = true;
            }
        }
    }
    for (unsigned d = 0; d < JIT_HOST_REGS; d++) { /* then circles: who waits for what was in d finds it in s */
        unsigned s = from[d];
        if (s == NO_REG || s == d) {
            continue;
        }
        x_rr(a, W, X_XCHG, d, s);
        for (unsigned e = 0; e < JIT_HOST_REGS; e++) {
            from[e] = from[e] == d ? (uint8_t)s : from[e];
        }
    }
}

static bool emit_all(Rounds *r, unsigned n)
{
    for (unsigned p = 0; p < n; p++) {
        const Line *l = &r->line[r->order[p]];
        unsigned v = r->nin + r->order[p], a = r->reg[l->src[0]], b = l->nsrc > 1 ? r->reg[l->src[1]] : NO_REG;
        unsigned d = register_for(r, l, p);
        if (d == NO_REG) {
            return false;
        }
        for (unsigned s = 0; s < l->nsrc; s++) {
            if (dies(r, l->src[s], p)) {
                release(r, l->src[s]);
            }
        }
        emit_line(r->h, l, d, a, b);
        r->reg[v] = (uint8_t)d;
        r->free &= ~(1u << d);
    }
    emit_homes(r);
    return true;
}

const uint8_t *host_emit_row(JitHost *h, const IrOp *op, uint32_t nops, unsigned n, Loans *loans)
{
    Rounds r = {.h = h, .loans = loans};
    loans->ntaken = 0;
    bool ok = numbers_begin(&r, op, nops);
    for (unsigned k = 0; ok && k < n; k++) {
        for (uint32_t q = 0; ok && q < nops; q++) {
            ok = line_add(&r, &op[q]);
        }
    }
    if (!ok) {
        return NULL;
    }
    heights(&r);
    unsigned nlines = order(&r);
    lives(&r, nlines);
    for (Asm before = h->a; loans->ntaken <= loans->n; loans->ntaken++) { /* the fewest that do */
        h->a = before;
        host_loans_take(h, loans);
        while ((uintptr_t)h->a.p % LOOP_ALIGN) {
            x_byte(&h->a, 0x90);
        }
        const uint8_t *again = h->a.p;
        registers_begin(&r);
        if (emit_all(&r, nlines)) {
            return again;
        }
    }
    return NULL;
}
