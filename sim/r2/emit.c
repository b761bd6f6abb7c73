/* SPDX-License-Identifier: Apache-2.0
 * emit.c - the code of a region. Scratch: rax, rcx, rdx, xmm0, xmm1. r15: unpaged the host address of guest address 0, paged
 * the TLB for loads, with that for stores behind it. */
#include "sim/r2/jit_int.h"

#include "sim/base/mem.h"

#include <assert.h>

typedef enum { O_REG, O_XMM, O_MEM, O_IMM } OpndKind;
typedef struct {
    OpndKind kind;
    unsigned reg;
    int32_t disp;
    uint64_t imm;
} Opnd;
enum { S_GENERIC, S_SLOW, S_NAN, S_EXIT, S_EDGE, S_BUDGET };
struct Stub {
    uint8_t kind, reg; /* S_x; where a value is wanted or comes from */
    bool is_store;
    uint8_t *fix, *back;
    uint32_t site, q;
    unsigned k, give;
    uint64_t pc;
    Set dirty;
    Opnd value;          /* S_SLOW of a store */
    struct Point *point; /* S_GENERIC */
};
typedef struct Point { /* what is known at a point of the code, for code that goes on from there */
    Val val[NS];
    Set away;
} Point;

/* ---- slots ---- */
static Opnd opnd(const Jit *j, Slot s)
{
    unsigned i = SLOT(s);
    if (s == IR_ZERO || j->val[i].kind == V_CONST) {
        return (Opnd){.kind = O_IMM, .imm = s == IR_ZERO ? 0 : j->val[i].c};
    }
    i = j->val[i].kind == V_COPY ? j->val[i].of : i;
    int h = j->home[i];
    if (h < 0) {
        return (Opnd){.kind = O_MEM, .disp = AT_SLOT(i)};
    }
    return h < XMM ? (Opnd){.kind = O_REG, .reg = (unsigned)h} : (Opnd){.kind = O_XMM, .reg = (unsigned)h - XMM};
}

static void opnd_to(Jit *j, unsigned r, Opnd o)
{
    switch (o.kind) {
    case O_REG:
        x_mov(&j->a, r, o.reg);
        break;
    case O_XMM:
        x_rr(&j->a, W, X_MOVQ_FROM, o.reg, r);
        break;
    case O_MEM:
        x_rm(&j->a, W, X_LOAD, r, RBP, o.disp);
        break;
    case O_IMM:
        x_movi(&j->a, r, o.imm);
        break;
    }
}

static void gpr_to(Jit *j, unsigned r, Slot s)
{
    opnd_to(j, r, opnd(j, s));
}

static unsigned gpr(Jit *j, Slot s, unsigned scratch)
{
    Opnd o = opnd(j, s);
    if (o.kind == O_REG) {
        return o.reg;
    }
    gpr_to(j, scratch, s);
    return scratch;
}

static unsigned xmm(Jit *j, Slot s, unsigned scratch)
{
    Opnd o = opnd(j, s);
    if (o.kind == O_XMM) {
        return o.reg;
    }
    if (o.kind == O_MEM) {
        x_rm(&j->a, 0, X_MOVQ_LOAD, scratch, RBP, o.disp);
    } else if (o.kind == O_IMM && !o.imm) {
        x_rr(&j->a, 0, 0x0f57, scratch, scratch);
    } else {
        x_rr(&j->a, W, X_MOVQ_TO, scratch, gpr(j, s, RAX));
    }
    return scratch;
}

static bool is_s32(uint64_t v)
{
    return (int64_t)v == (int32_t)v;
}

/* r = r op s; rcx may be lost */
static void alu(Jit *j, unsigned flags, uint32_t opc, unsigned r, Slot s)
{
    Opnd o = opnd(j, s);
    if (o.kind == O_IMM && (is_s32(o.imm) || !(flags & W))) {
        x_alui(&j->a, flags, opc >> 3, r, (int32_t)o.imm);
    } else if (o.kind == O_MEM) {
        x_rm(&j->a, flags, opc, r, RBP, o.disp);
    } else {
        x_rr(&j->a, flags, opc, r, gpr(j, s, RCX));
    }
}

void store_home(Jit *j, unsigned i)
{
    if (j->home[i] >= XMM) {
        x_rm(&j->a, 0, X_MOVQ_STORE, (unsigned)j->home[i] - XMM, RBP, AT_SLOT(i));
    } else if (j->home[i] >= 0) {
        x_rm(&j->a, W, X_STORE, (unsigned)j->home[i], RBP, AT_SLOT(i));
    }
}

void load_home(Jit *j, unsigned i)
{
    if (j->home[i] >= XMM) {
        x_rm(&j->a, 0, X_MOVQ_LOAD, (unsigned)j->home[i] - XMM, RBP, AT_SLOT(i));
    } else if (j->home[i] >= 0) {
        x_rm(&j->a, W, X_LOAD, (unsigned)j->home[i], RBP, AT_SLOT(i));
    }
}

/* A value that was only noted is put into the slot's home. rax may be lost. */
static void materialise(Jit *j, unsigned i)
{
    Slot s = (Slot)(i * 8);
    Opnd o = opnd(j, s);
    int h = j->home[i];
    if (h >= XMM) {
        unsigned x = xmm(j, s, (unsigned)h - XMM);
        if (x != (unsigned)h - XMM) {
            x_rr(&j->a, 0, 0x0f28, (unsigned)h - XMM, x);
        }
    } else if (h >= 0) {
        gpr_to(j, (unsigned)h, s);
    } else if (o.kind == O_IMM && is_s32(o.imm)) {
        x_rm(&j->a, W, 0xc7, 0, RBP, AT_SLOT(i));
        x_imm32(&j->a, (uint32_t)o.imm);
    } else {
        x_rm(&j->a, W, X_STORE, gpr(j, s, RAX), RBP, AT_SLOT(i));
    }
    j->val[i].kind = V_HOME;
    set_del(&j->away, i);
    if (h >= 0 && !IS_TEMP(i)) {
        set_add(&j->dirty, i);
    }
}

static void flush(Jit *j)
{
    Set away = j->away;
    SET_EACH(i, &away)
    {
        if (!IS_TEMP(i)) {
            materialise(j, i);
        }
    }
}

/* Is slot i, once op j->q is done, written again before anybody can see it? (P3) */
static bool is_dead(const Jit *j, unsigned i)
{
    const IrBlock *b = j->bb[j->k].b;
    for (uint32_t q = j->q; q < b->nops; q++) {
        const IrOp *o = &b->op[q];
        if (IS_TEMP(i) && o->insn != b->op[j->q].insn) {
            return true;
        }
        Slot src[3];
        unsigned n = op_sources(o, src);
        for (unsigned s = 0; s < n; s++) {
            if (SLOT(src[s]) == i) {
                return false;
            }
        }
        if (!IS_TEMP(i) && op_may_leave(o)) {
            return false;
        }
        if (q > j->q && SLOT(o->d) == i) {
            return true;
        }
    }
    return true;
}

/* Slot d is about to change: copies of it that still count get their own. */
static void kill(Jit *j, Slot d)
{
    Set away = j->away;
    SET_EACH(c, &away)
    {
        if (j->val[c].kind == V_COPY && j->val[c].of == SLOT(d)) {
            if (is_dead(j, c)) {
                j->val[c].kind = V_HOME;
                set_del(&j->away, c);
            } else {
                materialise(j, c);
            }
        }
    }
}

static void wrote(Jit *j, unsigned i)
{
    j->group[i].is_on = false;
    j->val[i].kind = V_HOME;
    set_del(&j->away, i);
    if (j->home[i] >= 0 && !IS_TEMP(i)) {
        set_add(&j->dirty, i);
    }
}

static unsigned dst(const Jit *j, Slot d)
{
    int h = j->home[SLOT(d)];
    return h >= 0 && h < XMM ? (unsigned)h : RAX;
}

static void fin(Jit *j, Slot d, unsigned r)
{
    unsigned i = SLOT(d);
    if (j->home[i] >= XMM) {
        x_rr(&j->a, W, X_MOVQ_TO, (unsigned)j->home[i] - XMM, r);
    } else if (j->home[i] >= 0) {
        x_mov(&j->a, (unsigned)j->home[i], r);
    } else {
        x_rm(&j->a, W, X_STORE, r, RBP, AT_SLOT(i));
    }
    wrote(j, i);
}

static void set_const(Jit *j, Slot d, uint64_t c)
{
    j->group[SLOT(d)].is_on = false;
    j->val[SLOT(d)] = (Val){.kind = V_CONST, .c = c};
    set_add(&j->away, SLOT(d));
}

/* ---- side tables ---- */
static Entry entry_of(const Jit *j, unsigned i)
{
    Opnd o = opnd(j, (Slot)(i * 8));
    Entry e = {.slot = (uint16_t)i, .reg = (uint8_t)o.reg};
    switch (o.kind) {
    case O_REG:
        e.kind = E_GPR;
        break;
    case O_XMM:
        e.kind = E_XMM;
        break;
    case O_MEM:
        e.kind = E_MEM;
        e.of = j->val[i].of;
        break;
    case O_IMM:
        e.kind = E_CONST;
        e.c = o.imm;
        break;
    }
    return e;
}

/* Pins come first: they are always written back, and a noted value of one is newer. */
static uint32_t site_new(Jit *j, uint32_t op)
{
    Site s = {.b = j->bb[j->k].b, .op = op, .first = (uint32_t)j->entries.n};
    for (unsigned p = 0; p < R2_NPINS; p++) {
        unsigned i = SLOT(r2_pins[p]);
        if (!set_has(&j->away, i)) {
            VEC_PUSH(&j->entries, entry_of(j, i));
        }
    }
    Set back = j->dirty;
    for (unsigned i = 0; i < NS / 64; i++) {
        back.w[i] |= j->away.w[i];
    }
    SET_EACH(i, &back)
    {
        if (!IS_TEMP(i) && (!j->is_pin[i] || set_has(&j->away, i))) {
            VEC_PUSH(&j->entries, entry_of(j, i));
        }
    }
    s.n = (uint32_t)j->entries.n - s.first;
    VEC_PUSH(&j->sites, s);
    return (uint32_t)j->sites.n - 1;
}

static Stub *stub_new(Jit *j, unsigned kind, uint8_t *fix)
{
    VEC_PUSH(&j->stubs,
             (Stub){.kind = (uint8_t)kind, .fix = fix, .back = j->a.p, .q = j->q, .k = j->k, .dirty = j->dirty});
    return &j->stubs.items[j->stubs.n - 1];
}

/* ---- leaving ---- */
static void write_back(Jit *j, const Set *dirty)
{
    SET_EACH(i, dirty)
    {
        if (!j->is_pin[i]) {
            store_home(j, i);
        }
    }
}

/* Before code is left for good: what is only noted goes straight to the frame. rax may be lost. */
static void write_back_all(Jit *j)
{
    Set away = j->away;
    SET_EACH(i, &away)
    {
        Opnd o = opnd(j, (Slot)(i * 8));
        if (IS_TEMP(i)) {
            continue;
        }
        if (j->is_pin[i] || j->home[i] < 0) {
            materialise(j, i);
        } else if (o.kind == O_XMM) {
            x_rm(&j->a, 0, X_MOVQ_STORE, o.reg, RBP, AT_SLOT(i));
        } else if (o.kind == O_IMM && is_s32(o.imm)) {
            x_rm(&j->a, W, 0xc7, 0, RBP, AT_SLOT(i));
            x_imm32(&j->a, (uint32_t)o.imm);
        } else {
            x_rm(&j->a, W, X_STORE, gpr(j, (Slot)(i * 8), RAX), RBP, AT_SLOT(i));
        }
        set_del(&j->dirty, i);
    }
    write_back(j, &j->dirty);
}

static void leave(Jit *j, unsigned kind, uint32_t number, uint8_t *to)
{
    x_movi(&j->a, RAX, kind << 28 | number);
    x_fix(x_jmp(&j->a), to);
}

static void budget_add(Jit *j, unsigned n)
{
    if (n) {
        x_alumi(&j->a, G_ADD, RBP, AT(f.budget), (int32_t)n);
    }
}

static void exit_to(Jit *j, const IrBlock *b, uint64_t pc)
{
    uint8_t *at = x_jmp(&j->a);
    x_fix(at, j->a.p);
    VEC_PUSH(&j->exits, (Exit){.b = b, .pc = pc, .at = at});
    leave(j, X_EXIT, (uint32_t)j->exits.n - 1, j->c_exit);
}

static int inner(const Jit *j, const IrOp *o)
{
    const Bb *x = &j->bb[j->k];
    for (unsigned s = 0; s < x->nsucc; s++) {
        if (j->bb[x->succ[s]].b->gva == (uint64_t)o->imm) {
            return x->succ[s];
        }
    }
    return -1;
}

static unsigned give_of(const Jit *j, const IrOp *o)
{
    return j->bb[j->k].b->ninsns - o->insn - 1;
}

static void branch_to(Jit *j, const IrOp *o, uint8_t *fix)
{
    int to = inner(j, o);
    if (to >= 0 && !give_of(j, o)) {
        VEC_PUSH(&j->fixes, (Fix){fix, to});
        return;
    }
    Stub *s = stub_new(j, to >= 0 ? S_EDGE : S_EXIT, fix);
    s->pc = (uint64_t)o->imm;
    s->give = give_of(j, o);
    s->reg = (uint8_t)(to >= 0 ? to : 0);
}

static unsigned compare(Jit *j, const IrOp *o)
{
    static const uint8_t cc[] = {CC_E, CC_NE, CC_L, CC_GE, CC_B, CC_AE};
    static const uint8_t swapped[] = {CC_E, CC_NE, CC_G, CC_LE, CC_A, CC_BE};
    Opnd a = opnd(j, o->a);
    Slot x = o->a, y = o->b;
    bool is_swapped = a.kind == O_IMM;
    if (is_swapped) {
        x = o->b, y = o->a;
    }
    Opnd left = opnd(j, x), right = opnd(j, y);
    if (right.kind == O_IMM && !right.imm && left.kind == O_REG) {
        x_rr(&j->a, W, X_TEST, left.reg, left.reg);
    } else if (right.kind == O_IMM && is_s32(right.imm) && left.kind == O_MEM) {
        x_alumi(&j->a, G_CMP, RBP, left.disp, (int32_t)right.imm);
    } else {
        alu(j, W, X_CMP, gpr(j, x, RAX), y);
    }
    return (is_swapped ? swapped : cc)[o->aux];
}

static void emit_brcond(Jit *j, const IrOp *o)
{
    flush(j);
    unsigned cc = compare(j, o);
    const IrOp *other = o + 1;
    if (!j->is_generic && inner(j, o) == (int)j->k + 1 && other->op == IR_jmp && other->insn == o->insn &&
        !give_of(j, o)) { /* the taken side comes next: the other way round */
        branch_to(j, other, x_jcc(&j->a, cc ^ 1));
        j->q++;
        return;
    }
    branch_to(j, o, x_jcc(&j->a, cc));
}

static void emit_jmp(Jit *j, const IrOp *o)
{
    int to = o->aux & JMP_CALL ? -1 : inner(j, o);
    if (to < 0) {
        write_back_all(j);
        exit_to(j, j->bb[j->k].b, (uint64_t)o->imm);
        return;
    }
    flush(j);
    if (j->is_generic || to != (int)j->k + 1) {
        VEC_PUSH(&j->fixes, (Fix){x_jmp(&j->a), to});
    }
}

/* The jump cache in line. */
static void emit_jmpr(Jit *j, const IrOp *o)
{
    Asm *a = &j->a;
    gpr_to(j, RDX, o->a);
    if (o->imm) {
        assert(is_s32((uint64_t)o->imm));
        x_alui(a, W, G_ADD, RDX, (int32_t)o->imm);
    }
    if (o->aux & JMP_EVEN) {
        x_alui(a, W, G_AND, RDX, -2);
    }
    write_back_all(j);
    x_rr(a, 0, X_LOAD, RAX, RDX);
    x_rr(a, W, X_LOAD, RCX, RDX);
    x_shift(a, W, G_SHR, RCX, 12); /* JUMP_INDEX twice: its bit 0 is bit 1 here */
    x_rr(a, 0, X_XOR, RAX, RCX);
    x_alui(a, 0, G_AND, RAX, ((1 << JUMP_BITS) - 1) << 1);
    x_rm(a, W, X_LOAD, RCX, RBP, AT(f.jump));
    x_rx(a, W, X_LEA, RAX, RCX, RAX, 3, 0);
    x_rm(a, W, X_CMP, RDX, RAX, offsetof(JumpEntry, pc));
    uint8_t *miss = x_jcc(a, CC_NE);
    x_rm(a, 0, 0xff, 4, RAX, offsetof(JumpEntry, code));
    x_fix(miss, a->p);
    x_rm(a, W, X_STORE, RDX, RBP, AT(f.pc));
    leave(j, X_INDIRECT, 0, j->c_exit);
}

/* ---- memory ---- */
typedef struct {
    unsigned base;
    int idx;
    int32_t disp;
    uint8_t *fix; /* to the slow path; NULL: checked already */
} Ea;

static void tlb_check(Jit *j, unsigned size, bool is_write, uint8_t **fix, unsigned addend)
{
    Asm *a = &j->a; /* rax = gva */
    int32_t table = is_write ? (int32_t)sizeof(TlbEntry) * TLB_ENTRIES : 0;
    x_rr(a, 0, X_LOAD, RCX, RAX);
    x_shift(a, 0, G_SHR, RCX, MMU_PAGE_BITS - 4);
    x_alui(a, 0, G_AND, RCX, (TLB_ENTRIES - 1) << 4);
    x_rm(a, W, X_LEA, RDX, RAX, (int32_t)size - 1);
    x_alui(a, W, G_AND, RDX, -4096);
    x_rm(a, W, X_OR, RDX, RBP, AT(f.tlb_key));
    x_rx(a, W, X_CMP, RDX, R15, RCX, 0, table);
    *fix = x_jcc(a, CC_NE);
    x_rx(a, W, X_LOAD, addend, R15, RCX, 0, table + (int32_t)offsetof(TlbEntry, addend));
}

static void range_check(Jit *j, unsigned b, int32_t lo, uint8_t **fix)
{
    int64_t k = (int64_t)lo - (int64_t)R2_RAM; /* every span fits into what ram_limit leaves out */
    if (k >= INT32_MIN) {
        x_rm(&j->a, W, X_LEA, RAX, b, (int32_t)k);
    } else {
        x_rm(&j->a, W, X_LEA, RAX, b, lo);
        x_alui(&j->a, W, G_ADD, RAX, INT32_MIN);
    }
    x_rm(&j->a, W, X_CMP, RAX, RBP, AT(ram_limit));
    *fix = x_jcc(&j->a, CC_A);
}

static bool is_access(const IrOp *o)
{
    return ir_op_info[o->op].cls == CLASS_LOAD || ir_op_info[o->op].cls == CLASS_STORE;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The span of all accesses of this block by slot `base` from op j->q on, until it changes; how many there are. */
static unsigned group_span(const Jit *j, Slot base, Group *g)
{
    const IrBlock *b = j->bb[j->k].b;
    unsigned n = 0;
    for (uint32_t q = j->q; q < b->nops; q++) {
        const IrOp *o = &b->op[q];
        if (is_access(o) && o->a == base) {
            int64_t lo = o->imm, hi = o->imm + MEM_SIZE(o->aux);
            lo = n ? -max64(-lo, -g->lo) : lo;
            hi = n ? max64(hi, g->hi) : hi;
            if (hi - lo <= R2_MAX_SPAN) {
                g->lo = lo, g->hi = hi;
                g->can_write |= o->op == IR_st;
                n++;
            }
        }
        if (o->d == base) {
            break;
        }
    }
    return n;
}

static bool group_ea(Jit *j, const IrOp *o, Ea *ea)
{
    Opnd b = opnd(j, o->a);
    unsigned i = SLOT(o->a);
    i = j->val[i].kind == V_COPY ? j->val[i].of : i;
    if (!j->cfg.is_grouped || j->is_generic || b.kind != O_REG || !is_s32((uint64_t)o->imm) || i != SLOT(o->a)) {
        return false;
    }
    Group *g = &j->group[i];
    if (!g->is_on || o->imm < g->lo || o->imm + MEM_SIZE(o->aux) > g->hi || (o->op == IR_st && !g->can_write)) {
        Group now = {.is_on = true};
        if (group_span(j, o->a, &now) < 2) {
            return false;
        }
        uint8_t *fix;
        unsigned span = (unsigned)(now.hi - now.lo);
        if (j->cfg.is_paged) {
            j->group_slot = !j->group_slot;
            if (j->group_owner[j->group_slot]) {
                j->group[j->group_owner[j->group_slot]].is_on = false;
            }
            j->group_owner[j->group_slot] = (int)i;
            now.reg = j->group_slot ? R13 : R12;
            x_rm(&j->a, W, X_LEA, RAX, b.reg, (int32_t)now.lo);
            tlb_check(j, span, now.can_write, &fix, now.reg);
        } else {
            now.reg = R15;
            now.can_write = true;
            range_check(j, b.reg, (int32_t)now.lo, &fix);
        }
        *g = now;
        Stub *s = stub_new(j, S_GENERIC, fix);
        s->point = x_alloc(sizeof *s->point);
        memcpy(s->point->val, j->val, sizeof j->val);
        s->point->away = j->away;
    }
    *ea = (Ea){.base = g->reg, .idx = (int)b.reg, .disp = (int32_t)o->imm};
    return true;
}

static Ea address(Jit *j, const IrOp *o)
{
    Ea ea = {0};
    if (group_ea(j, o, &ea)) {
        return ea;
    }
    unsigned size = MEM_SIZE(o->aux);
    Opnd base = opnd(j, o->a);
    if (base.kind == O_IMM || !is_s32((uint64_t)o->imm)) {
        assert(base.kind == O_IMM);
        x_movi(&j->a, RCX, base.imm + (uint64_t)o->imm);
        base = (Opnd){.kind = O_REG, .reg = RCX};
        ea.disp = 0;
    } else {
        ea.disp = (int32_t)o->imm;
        base.reg = gpr(j, o->a, RCX);
    }
    if (j->cfg.is_paged) {
        x_rm(&j->a, W, X_LEA, RAX, base.reg, ea.disp);
        tlb_check(j, size, o->op == IR_st, &ea.fix, RCX);
        return (Ea){.base = RCX, .idx = RAX, .fix = ea.fix};
    }
    range_check(j, base.reg, ea.disp, &ea.fix);
    return (Ea){.base = R15, .idx = (int)base.reg, .disp = ea.disp, .fix = ea.fix};
}

#define ASSERT_PLAIN(o) assert(!((o)->aux & (MEM_ALIGNED | MEM_FETCHLIKE)) && !MEM_REGIME_OF((o)->aux))

static void slow_stub(Jit *j, const IrOp *o, uint8_t *fix, unsigned reg)
{
    uint32_t site = site_new(j, j->q);
    Stub *s = stub_new(j, S_SLOW, fix);
    s->site = site;
    s->reg = (uint8_t)reg;
    s->is_store = o->op == IR_st;
    s->value = opnd(j, o->b);
}

static void emit_load(Jit *j, const IrOp *o)
{
    static const uint32_t opc[8] = {0x0fb6, 0x0fb7, X_LOAD, X_LOAD, 0x0fbe, 0x0fbf, X_MOVSXD, X_LOAD};
    ASSERT_PLAIN(o);
    kill(j, o->d);
    Ea ea = address(j, o);
    int h = j->home[SLOT(o->d)];
    bool is_xmm = h >= XMM && MEM_LG2(o->aux) == 3;
    unsigned d = is_xmm ? (unsigned)h : dst(j, o->d);
    if (ea.fix) {
        slow_stub(j, o, ea.fix, d);
    }
    size_t mine = j->stubs.n - 1;
    if (is_xmm) {
        x_rx(&j->a, 0, X_MOVQ_LOAD, d - XMM, ea.base, ea.idx, 0, ea.disp);
    } else {
        bool w = MEM_LG2(o->aux) == 3 || o->aux & MEM_SIGNED;
        x_rx(&j->a, w ? W : 0, opc[MEM_LG2(o->aux) | (o->aux & MEM_SIGNED)], d, ea.base, ea.idx, 0, ea.disp);
    }
    if (ea.fix) {
        j->stubs.items[mine].back = j->a.p;
    }
    is_xmm ? wrote(j, SLOT(o->d)) : fin(j, o->d, d);
}

static void emit_store(Jit *j, const IrOp *o)
{
    ASSERT_PLAIN(o);
    Ea ea = address(j, o);
    unsigned lg2 = MEM_LG2(o->aux);
    Opnd v = opnd(j, o->b);
    if (ea.fix) {
        slow_stub(j, o, ea.fix, 0);
    }
    size_t mine = j->stubs.n - 1;
    if (v.kind == O_XMM && lg2 == 3) {
        x_rx(&j->a, 0, X_MOVQ_STORE, v.reg, ea.base, ea.idx, 0, ea.disp);
    } else {
        unsigned r = gpr(j, o->b, RDX);
        if (lg2 == 1) {
            x_byte(&j->a, 0x66);
        }
        x_rx(&j->a, lg2 == 3 ? W : lg2 == 0 ? BYTE : 0, lg2 ? X_STORE : 0x88, r, ea.base, ea.idx, 0, ea.disp);
    }
    if (ea.fix) {
        j->stubs.items[mine].back = j->a.p;
    }
}

/* ---- calls into C: helpers, and ops that have no code of their own ---- */
static void emit_call(Jit *j, const IrOp *o)
{
    Asm *a = &j->a;
    Slot src[3];
    unsigned n = op_sources(o, src);
    for (unsigned i = 0; i < n; i++) {
        Opnd v = opnd(j, src[i]);
        int32_t at = AT(arg) + (int32_t)i * 8;
        if (v.kind == O_IMM && is_s32(v.imm)) {
            x_rm(a, W, 0xc7, 0, RBP, at);
            x_imm32(a, (uint32_t)v.imm);
        } else {
            x_rm(a, W, X_STORE, gpr(j, src[i], RAX), RBP, at);
        }
    }
    x_movi(a, RCX, site_new(j, j->q));
    x_fix(x_call(a), j->th_slow[j->has_xmm]);
    if (o->d != IR_ZERO) {
        x_mov(a, RDX, RAX); /* kill may use rax */
        kill(j, o->d);
        fin(j, o->d, RDX);
    }
}

/* ---- FP ---- */
static void emit_fp(Jit *j, const IrOp *o)
{
    uint32_t opc = o->op == IR_fadd   ? 0xf2000f58
                   : o->op == IR_fsub ? 0xf2000f5c
                   : o->op == IR_fmul ? 0xf2000f59
                   : o->op == IR_fdiv ? 0xf2000f5e
                                      : 0;
    if (!opc || o->aux != FP_AUX(FMT_F64, RM_DYN)) {
        emit_call(j, o);
        return;
    }
    Asm *a = &j->a;
    kill(j, o->d);
    unsigned i = SLOT(o->d), x = xmm(j, o->a, 0);
    unsigned d = j->home[i] >= XMM ? (unsigned)j->home[i] - XMM : 0;
    Opnd b = opnd(j, o->b);
    unsigned t = d;
    if (b.kind == O_XMM && b.reg == d && x != d) { /* the result's register holds b */
        bool commutes = o->op == IR_fadd || o->op == IR_fmul;
        t = commutes ? d : 0;
        b.reg = commutes ? x : b.reg;
        x = commutes ? d : x;
    }
    if (t != x) {
        x_rr(a, 0, 0x0f28, t, x);
    }
    if (b.kind == O_MEM) {
        x_rm(a, 0, opc, t, RBP, b.disp);
    } else {
        x_rr(a, 0, opc, t, b.kind == O_XMM ? b.reg : xmm(j, o->b, 1));
    }
    x_rr(a, 0, 0x66000f2e, t, t);
    uint8_t *fix = x_jcc(a, CC_P);
    stub_new(j, S_NAN, fix)->reg = (uint8_t)t;
    if (j->home[i] < 0) {
        x_rm(a, 0, X_MOVQ_STORE, t, RBP, AT_SLOT(i));
    } else if (t != d) {
        x_rr(a, 0, 0x0f28, d, t);
    }
    wrote(j, i);
}

/* ---- PURE ---- */
/* value of o->b, or imm of the _i form */
typedef struct {
    bool is_imm;
    uint64_t imm;
    Slot s;
} Right;

static Right right_of(const Jit *j, const IrOp *o)
{
    if (ir_op_info[o->op].has_imm) {
        return (Right){.is_imm = true, .imm = (uint64_t)o->imm};
    }
    Opnd b = opnd(j, o->b);
    return (Right){.is_imm = b.kind == O_IMM, .imm = b.imm, .s = o->b};
}

static void alu_right(Jit *j, unsigned flags, uint32_t opc, unsigned r, const Right *b)
{
    if (!b->is_imm) {
        alu(j, flags, opc, r, b->s);
    } else if (is_s32(b->imm) || !(flags & W)) {
        x_alui(&j->a, flags, opc >> 3, r, (int32_t)b->imm);
    } else {
        x_movi(&j->a, RCX, b->imm);
        x_rr(&j->a, flags, opc, r, RCX);
    }
}

typedef enum { WIDTH_64, WIDTH_W, WIDTH_32 } Width;

static void fin_width(Jit *j, Slot d, unsigned r, Width width)
{
    if (width == WIDTH_W) {
        unsigned h = dst(j, d);
        x_rr(&j->a, W, X_MOVSXD, h, r);
        r = h;
    }
    fin(j, d, r);
}

static void emit_alu(Jit *j, const IrOp *o, uint32_t opc, Width width)
{
    Right b = right_of(j, o);
    unsigned flags = width == WIDTH_64 ? W : 0, d = width == WIDTH_W ? RAX : dst(j, o->d);
    Opnd a = opnd(j, o->a), c = b.is_imm ? (Opnd){.kind = O_IMM} : opnd(j, b.s);
    bool commutes = opc != X_SUB;
    if (opc == X_ADD && b.is_imm && is_s32(b.imm) && a.kind == O_MEM && o->a == o->d && flags) {
        x_alumi(&j->a, G_ADD, RBP, a.disp, (int32_t)b.imm);
        wrote(j, SLOT(o->d));
        return;
    }
    if (opc == X_ADD && a.kind == O_REG && b.is_imm && is_s32(b.imm) && a.reg != d) {
        x_rm(&j->a, flags, X_LEA, d, a.reg, (int32_t)b.imm);
    } else if (opc == X_ADD && a.kind == O_REG && c.kind == O_REG && a.reg != d && c.reg != d) {
        x_rx(&j->a, flags, X_LEA, d, a.reg, (int)c.reg, 0, 0);
    } else if (c.kind == O_REG && c.reg == d && !(a.kind == O_REG && a.reg == d)) {
        if (commutes) {
            alu(j, flags, opc, d, o->a);
        } else {
            x_rr(&j->a, flags, 0xf7, 3, d); /* a - d = -d + a */
            alu(j, flags, X_ADD, d, o->a);
        }
    } else {
        gpr_to(j, d, o->a);
        alu_right(j, flags, opc, d, &b);
    }
    fin_width(j, o->d, d, width);
}

static void emit_shift(Jit *j, const IrOp *o, unsigned group, Width width)
{
    Right b = right_of(j, o);
    unsigned flags = width == WIDTH_64 ? W : 0, d = width == WIDTH_W ? RAX : dst(j, o->d);
    if (!b.is_imm && group != G_ROR) {
        unsigned count = gpr(j, b.s, RCX), s = gpr(j, o->a, RAX);
        x_shiftx(&j->a, group == G_SHL ? 1 : group == G_SHR ? 3 : 2, flags & W, d, count, s);
    } else if (b.is_imm) {
        unsigned n = b.imm & (flags ? 63 : 31);
        Opnd a = opnd(j, o->a);
        if (group == G_SHL && flags && n >= 1 && n <= 3 && a.kind == O_REG && a.reg != d) {
            x_prefix(&j->a, W, X_LEA, d, a.reg, 0, false); /* [a << n + disp32] */
            x_byte(&j->a, (d & 7) << 3 | 4);
            x_byte(&j->a, n << 6 | (a.reg & 7) << 3 | 5);
            x_imm32(&j->a, 0);
        } else {
            gpr_to(j, d, o->a);
            if (n) {
                x_shift(&j->a, flags, group, d, n);
            } else if (!flags) {
                x_rr(&j->a, 0, X_LOAD, d, d);
            }
        }
    } else {
        emit_call(j, o);
        return;
    }
    fin_width(j, o->d, d, width);
}

static void emit_mul(Jit *j, const IrOp *o, Width width)
{
    Right b = right_of(j, o);
    unsigned flags = width == WIDTH_64 ? W : 0;
    gpr_to(j, RAX, o->a);
    if (b.is_imm) {
        x_movi(&j->a, RCX, b.imm);
    }
    x_rr(&j->a, flags, 0x0faf, RAX, b.is_imm ? RCX : gpr(j, b.s, RCX));
    fin_width(j, o->d, RAX, width);
}

static void emit_compare(Jit *j, const IrOp *o, unsigned cc)
{
    Right b = right_of(j, o);
    alu_right(j, W, X_CMP, gpr(j, o->a, RAX), &b);
    x_rr(&j->a, 0, 0x0f90 | cc, 0, RAX);
    x_rr(&j->a, 0, 0x0fb6, dst(j, o->d), RAX);
    fin(j, o->d, dst(j, o->d));
}

static void emit_extend(Jit *j, const IrOp *o, unsigned flags, uint32_t opc)
{
    unsigned s = gpr(j, o->a, RAX), d = dst(j, o->d);
    x_rr(&j->a, flags | (opc == 0x0fb6 || opc == 0x0fbe ? BYTE : 0), opc, d, s);
    fin(j, o->d, d);
}

static void emit_sel(Jit *j, const IrOp *o)
{
    gpr_to(j, RDX, o->c);
    unsigned b = gpr(j, o->b, RCX), a = gpr(j, o->a, RAX);
    x_rr(&j->a, W, X_TEST, a, a);
    x_rr(&j->a, W, 0x0f45, RDX, b);
    fin(j, o->d, RDX);
}

static void emit_mov(Jit *j, const IrOp *o)
{
    unsigned d = SLOT(o->d), s = SLOT(o->a);
    Opnd a = opnd(j, o->a);
    if (a.kind == O_IMM) {
        set_const(j, o->d, a.imm);
        return;
    }
    s = j->val[s].kind == V_COPY ? j->val[s].of : s;
    if (s == d) {
        return;
    }
    j->group[d].is_on = false;
    j->val[d] = (Val){.kind = V_COPY, .of = (uint16_t)s};
    set_add(&j->away, d);
    if ((j->home[d] >= XMM) != (j->home[s] >= XMM)) {
        materialise(j, d);
    }
}

static bool is_const(const Jit *j, const IrOp *o)
{
    Slot src[3];
    unsigned n = op_sources(o, src);
    for (unsigned i = 0; i < n; i++) {
        if (opnd(j, src[i]).kind != O_IMM) {
            return false;
        }
    }
    return true;
}

static void emit_pure(Jit *j, const IrOp *o)
{
    kill(j, o->d);
    if (is_const(j, o)) {
        set_const(j, o->d, ir_eval(o->op, opnd(j, o->a).imm, opnd(j, o->b).imm, opnd(j, o->c).imm, o->imm));
        return;
    }
#define BOTH(name)                                                                                                     \
    case IR_##name:                                                                                                    \
    case IR_##name##_i
    switch ((unsigned)o->op) {
    case IR_mov:
        emit_mov(j, o);
        break;
#define ALU(name, call)                                                                                                \
    BOTH(name) : (call);                                                                                               \
    break;
        ALU(add, emit_alu(j, o, X_ADD, WIDTH_64))
        ALU(sub, emit_alu(j, o, X_SUB, WIDTH_64))
        ALU(and, emit_alu(j, o, X_AND, WIDTH_64))
        ALU(or, emit_alu(j, o, X_OR, WIDTH_64))
        ALU(xor, emit_alu(j, o, X_XOR, WIDTH_64))
        ALU(addw, emit_alu(j, o, X_ADD, WIDTH_W))
        ALU(subw, emit_alu(j, o, X_SUB, WIDTH_W))
        ALU(add32, emit_alu(j, o, X_ADD, WIDTH_32))
        ALU(sub32, emit_alu(j, o, X_SUB, WIDTH_32))
        ALU(shl, emit_shift(j, o, G_SHL, WIDTH_64))
        ALU(shr, emit_shift(j, o, G_SHR, WIDTH_64))
        ALU(sar, emit_shift(j, o, G_SAR, WIDTH_64))
        ALU(rotr, emit_shift(j, o, G_ROR, WIDTH_64))
        ALU(shlw, emit_shift(j, o, G_SHL, WIDTH_W))
        ALU(shrw, emit_shift(j, o, G_SHR, WIDTH_W))
        ALU(sarw, emit_shift(j, o, G_SAR, WIDTH_W))
        ALU(mul, emit_mul(j, o, WIDTH_64))
        ALU(mulw, emit_mul(j, o, WIDTH_W))
        ALU(eq, emit_compare(j, o, CC_E))
        ALU(ne, emit_compare(j, o, CC_NE))
        ALU(lt, emit_compare(j, o, CC_L))
        ALU(ltu, emit_compare(j, o, CC_B))
    case IR_sx8:
        emit_extend(j, o, W, 0x0fbe);
        break;
    case IR_sx16:
        emit_extend(j, o, W, 0x0fbf);
        break;
    case IR_sx32:
        emit_extend(j, o, W, X_MOVSXD);
        break;
    case IR_zx8:
        emit_extend(j, o, 0, 0x0fb6);
        break;
    case IR_zx16:
        emit_extend(j, o, 0, 0x0fb7);
        break;
    case IR_zx32:
        emit_extend(j, o, 0, X_LOAD);
        break;
    case IR_sel:
        emit_sel(j, o);
        break;
    default:
        emit_call(j, o);
        break;
    }
}

/* ---- blocks ---- */
static void emit_op(Jit *j, const IrOp *o)
{
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
        emit_pure(j, o);
        break;
    case CLASS_FP:
        emit_fp(j, o);
        break;
    case CLASS_LOAD:
        emit_load(j, o);
        break;
    case CLASS_STORE:
        emit_store(j, o);
        break;
    case CLASS_ATOMIC:
    case CLASS_FENCE:
        assert(!"an op that no program of R2 has");
        break;
    case CLASS_CALL:
        emit_call(j, o);
        break;
    case CLASS_SIDE_EXIT:
        emit_brcond(j, o);
        break;
    case CLASS_TERM:
        if (o->op == IR_jmp) {
            emit_jmp(j, o);
        } else if (o->op == IR_jmpr) {
            emit_jmpr(j, o);
        } else {
            flush(j);
            leave(j, X_TERM, site_new(j, j->q), j->c_table);
        }
        break;
    }
}

static void emit_ops(Jit *j, uint32_t q)
{
    const IrBlock *b = j->bb[j->k].b;
    for (j->q = q; j->q < b->nops; j->q++) {
        emit_op(j, &b->op[j->q]);
    }
}

static void emit_block(Jit *j, unsigned k)
{
    Bb *x = &j->bb[k];
    j->k = k;
    j->q = 0;
    j->dirty = x->dirty_in;
    memset(j->val, 0, sizeof j->val);
    memset(&j->away, 0, sizeof j->away);
    memset(j->group, 0, sizeof j->group);
    memset(j->group_owner, 0, sizeof j->group_owner);
    x->label = j->a.p;
    x_alumi(&j->a, G_SUB, RBP, AT(f.budget), (int32_t)x->b->ninsns);
    uint8_t *fix = x_jcc(&j->a, CC_S);
    uint32_t site = site_new(j, x->b->nops);
    stub_new(j, S_BUDGET, fix)->site = site;
    emit_ops(j, 0);
}

static void emit_slow(Jit *j, const Stub *s)
{
    Asm *a = &j->a;
    if (!j->cfg.is_paged) {
        x_alui(a, W, G_SUB, RAX, INT32_MIN); /* + R2_RAM */
    }
    if (s->is_store) {
        opnd_to(j, RDX, s->value);
    }
    x_movi(a, RCX, s->site);
    x_fix(x_call(a), j->th_slow[j->has_xmm]);
    if (!s->is_store && s->reg >= XMM) {
        x_rr(a, W, X_MOVQ_TO, s->reg - XMM, RAX);
    } else if (!s->is_store) {
        x_mov(a, s->reg, RAX);
    }
    x_fix(x_jmp(a), s->back);
}

static void emit_stub(Jit *j, Stub s)
{
    Asm *a = &j->a;
    x_fix(s.fix, a->p);
    j->k = s.k;
    switch (s.kind) {
    case S_GENERIC: /* the rest of the block once more, with a check for each access */
        memcpy(j->val, s.point->val, sizeof j->val);
        j->away = s.point->away;
        j->dirty = s.dirty;
        mem_free(s.point);
        j->is_generic = true;
        emit_ops(j, s.q);
        j->is_generic = false;
        break;
    case S_SLOW:
        emit_slow(j, &s);
        break;
    case S_NAN:
        x_movi(a, RAX, QNAN);
        x_rr(a, W, X_MOVQ_TO, s.reg, RAX);
        x_fix(x_jmp(a), s.back);
        break;
    case S_EXIT:
        write_back(j, &s.dirty);
        budget_add(j, s.give);
        exit_to(j, j->bb[s.k].b, s.pc);
        break;
    case S_EDGE:
        budget_add(j, s.give);
        VEC_PUSH(&j->fixes, (Fix){x_jmp(a), s.reg});
        break;
    case S_BUDGET:
        leave(j, X_BUDGET, s.site, j->c_table);
        break;
    }
}

uint8_t *region_emit(Jit *j, uint64_t pc)
{
    j->stubs.n = j->fixes.n = 0;
    while ((uintptr_t)j->a.p & 15) {
        x_byte(&j->a, 0x90);
    }
    uint8_t *entry = j->a.p;
    int first = 0;
    while (j->bb[first].b->gva != pc) {
        first++;
    }
    SET_EACH(i, &j->bb[first].live)
    {
        load_home(j, i);
    }
    if (first) {
        VEC_PUSH(&j->fixes, (Fix){x_jmp(&j->a), first});
    }
    for (unsigned k = 0; k < j->nbbs; k++) {
        emit_block(j, k);
    }
    for (size_t i = 0; i < j->stubs.n; i++) { /* which add stubs */
        emit_stub(j, j->stubs.items[i]);
    }
    for (size_t i = 0; i < j->fixes.n; i++) {
        x_fix(j->fixes.items[i].at, j->bb[j->fixes.items[i].bb].label);
    }
    return entry;
}
