/* SPDX-License-Identifier: Apache-2.0
 * The optimiser against text (tests/optimise.ir), its rows against ir_eval, and random blocks before against after, at every
 * point where an event may strike. */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/ir/ir_test.h"
#include "sim/ir/opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static IrOp ops[IR_BLOCK_MAX_OPS], copy[IR_BLOCK_MAX_OPS];

/* ---- rows ---- */
static bool row_holds(unsigned op, uint64_t k, uint64_t a)
{
    uint64_t want = ir_eval((IrOpcode)op, a, 0, 0, (int64_t)k);
    Fold to = {(uint16_t)op, (int64_t)k};
    for (unsigned steps = 0; to.op != IR_COUNT; steps++) {
        if (steps > 4 || ir_eval((IrOpcode)to.op, a, 0, 0, to.imm) != want) {
            printf("%s by 0x%llx of 0x%llx\n", ir_op_info[op].name, (unsigned long long)k, (unsigned long long)a);
            return false;
        }
        to = fold_imm(to.op, (uint64_t)to.imm);
    }
    return true;
}

TEST(ir_opt, every_row_gives_what_its_op_gives)
{
    uint64_t seed = 5;
    for (unsigned op = 0; op < IR_COUNT; op++) {
        if (ir_op_info[op].cls != CLASS_PURE) {
            continue;
        }
        bool ok = true;
        for (unsigned i = 0; i < 6000 && ok; i++) {
            uint64_t k = i < 140 ? i - 70 : test_operand(&seed), a = test_operand(&seed), b = test_operand(&seed);
            Fold to = fold_same((uint16_t)op);
            ok = !ir_op_info[op].has_imm || row_holds(op, k, a);
            ok = ok &&
                 (to.op == IR_COUNT || ir_eval((IrOpcode)op, a, a, 0, 0) == ir_eval((IrOpcode)to.op, a, 0, 0, to.imm));
            ok = ok && (!fold_may_swap((uint16_t)op) ||
                        ir_eval((IrOpcode)op, a, b, 0, 0) == ir_eval((IrOpcode)op, b, a, 0, 0));
        }
        CHECK(ok);
    }
}

/* ---- text ---- */
static void run_case(char *name)
{
    Buf got = {0};
    IrBlock b;
    Err e = {0};
    char *input = strchr(name, '\n');
    char *want = input ? strstr(input, "\n--\n") : NULL;
    if (!CHECK(want)) {
        return;
    }
    *input = want[1] = 0;
    if (!CHECK_INT(ir_parse(input + 1, &test_guest, &b, ops, &e), 0) || !CHECK_INT(ir_verify(&b, &test_guest, &e), 0)) {
        printf("%s: %s\n", name, e.text);
        return;
    }
    ir_optimise(&b, &test_guest);
    CHECK_INT(ir_verify(&b, &test_guest, &e), 0);
    ir_print(&b, &test_guest, &got);
    if (!CHECK_STR(buf_text(&got), want + 4)) {
        printf("    in the case \"%s\"\n", name);
    }
    buf_free(&got);
}

TEST(ir_opt, blocks_become_what_the_file_of_cases_says)
{
    Buf text = {0};
    Err e = {0};
    unsigned n = 0;
    CHECK_INT(os_read_file("sim/ir/tests/optimise.ir", 1 << 20, &text, &e), 0);
    for (char *at = text.n ? strstr(text.data, "== ") : NULL, *next; at; at = next) {
        next = strstr(at, "\n== ");
        if (next) {
            *next++ = 0;
        }
        run_case(at + 3);
        n++;
    }
    CHECK(n >= 30);
    buf_free(&text);
}

/* ---- a tiny machine ---- */
enum { CELLS = 8, NO_EVENT = 1000 };
typedef struct {
    TestFrame t;
    uint64_t cell[CELLS];
    uint64_t trace;   /* of all that is seen outside: accesses, helpers */
    unsigned nevents; /* ops so far that could raise one */
    uint64_t left_pc, left_by;
    uint32_t retired;
} Machine;

static uint64_t *slot_of(Machine *m, Slot s)
{
    return (uint64_t *)((char *)&m->t + s);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t s = a * 3 + b;
    return test_random(&s);
}

static uint64_t access_of(Machine *m, const IrOp *o, uint64_t gva, uint64_t b, uint64_t c)
{
    uint64_t *cell = &m->cell[gva / 8 % CELLS], old = *cell;
    m->trace = mix(m->trace, mix(gva, mix(o->op, o->aux)));
    if (o->op != IR_ld) {
        m->trace = mix(m->trace, mix(b, c));
        *cell = o->op == IR_st ? b : mix(old, mix(b, c));
    }
    unsigned unused = 64 - 8 * MEM_SIZE(o->aux);
    return o->aux & MEM_SIGNED ? (uint64_t)((int64_t)(old << unused) >> unused) : old << unused >> unused;
}

static bool is_event_op(const IrOp *o)
{
    return ir_op_info[o->op].may_event || o->op == IR_trap ||
           (o->op == IR_call && test_guest.helpers[o->aux].effects & EFF_EVENT);
}

static void leave(Machine *m, const IrOp *o, uint64_t pc, uint32_t retired)
{
    m->left_by = o->op == IR_brcond ? IR_jmp : o->op; /* the optimiser may know that it is taken */
    m->left_by = m->left_by == IR_jmpr ? IR_jmp : m->left_by;
    m->left_pc = pc;
    m->retired = retired;
}

/* An op; true: it left the block. */
static bool step(Machine *m, const IrOp *o)
{
    uint64_t a = *slot_of(m, o->a), b = *slot_of(m, o->b), c = *slot_of(m, o->c), d = 0;
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
        d = ir_eval((IrOpcode)o->op, a, b, c, o->imm);
        break;
    case CLASS_FP:
        d = mix(a, mix(b, mix(c, mix(o->aux, FP_RM(o->aux) == RM_DYN ? m->t.fp_rm : 9))));
        m->t.fp_flags |= d & 31;
        break;
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
        d = access_of(m, o, a + (uint64_t)o->imm, b, c);
        break;
    case CLASS_FENCE:
        m->trace = mix(m->trace, o->aux);
        return false;
    case CLASS_CALL:
        d = test_guest.helpers[o->aux].fn(&m->t.f, a, b, c, o->imm);
        m->trace = test_guest.helpers[o->aux].effects ? mix(m->trace, mix(d, o->aux)) : m->trace;
        break;
    case CLASS_SIDE_EXIT:
        if (ir_cond((IrCond)o->aux, a, b)) {
            leave(m, o, (uint64_t)o->imm, o->insn + 1);
            return true;
        }
        return false;
    case CLASS_TERM:
        leave(m, o, o->op == IR_jmpr || o->op == IR_stop ? a : (uint64_t)o->imm, o->insn + (o->op != IR_trap));
        m->trace = o->op == IR_trap || o->op == IR_stop ? mix(m->trace, mix(a, (uint64_t)o->imm)) : m->trace;
        return true;
    }
    if (ir_op_info[o->op].has_dst && o->d != IR_ZERO) {
        *slot_of(m, o->d) = d;
    }
    return false;
}

/* Runs b with an event at the event_at-th op that can raise one. */
static void run(Machine *m, const IrBlock *b, unsigned event_at)
{
    uint32_t insn = ~0u;
    for (uint32_t i = 0; i < b->nops; i++) {
        const IrOp *o = &b->op[i];
        if (o->insn != insn) { /* what a dead temporary holds must not matter */
            memset(m->t.f.temp, (int)(i * 7 + b->nops), sizeof m->t.f.temp);
            insn = o->insn;
        }
        if (is_event_op(o) && m->nevents++ == event_at) {
            m->left_by = NO_EVENT;
            m->retired = o->insn;
            return;
        }
        m->t.f.event = 0;
        if (step(m, o)) {
            return;
        }
    }
}

static bool same_seen(const Machine *x, const Machine *y)
{
    return !memcmp(x->t.r, y->t.r, sizeof x->t.r) && !memcmp(x->t.far, y->t.far, sizeof x->t.far) &&
           x->t.fp_flags == y->t.fp_flags && x->t.fp_rm == y->t.fp_rm && !memcmp(x->cell, y->cell, sizeof x->cell) &&
           x->trace == y->trace && x->nevents == y->nevents && x->left_by == y->left_by && x->left_pc == y->left_pc &&
           x->retired == y->retired && !x->t.f.zero && !y->t.f.zero;
}

/* ---- random blocks ---- */
typedef struct {
    IrBuild k;
    uint64_t seed;
} Gen;

static uint64_t pick(Gen *g, uint64_t n)
{
    return test_random(&g->seed) % n;
}

static Slot any_reg(Gen *g)
{
    uint64_t r = pick(g, 20);
    return r == 0 ? test_guest.fp_flags : r == 1 ? test_guest.fp_rm : r < 5 ? TEST_FAR(r & 1) : TEST_REG(pick(g, 5));
}

static Slot any_src(Gen *g)
{
    uint64_t r = pick(g, 8);
    return r == 0 ? IR_ZERO : r < 4 && g->k.ntemps ? IR_TEMP(pick(g, g->k.ntemps)) : any_reg(g);
}

/* A new temporary or one of this instruction; its own op reads it only if it was there. */
static Slot any_temp(Gen *g)
{
    return g->k.ntemps == 0 || (pick(g, 2) && g->k.ntemps < IR_NTEMPS) ? ir_temp(&g->k) : IR_TEMP(pick(g, g->k.ntemps));
}

static void emit_pure(Gen *g, bool to_temp)
{
    static const IrOpcode often[] = {IR_movi, IR_mov, IR_add_i, IR_mov, IR_movi, IR_eq, IR_ne_i, IR_lt, IR_add};
    unsigned op = (unsigned)pick(g, IR_sel + 1);
    op = pick(g, 2) ? often[pick(g, ARRAY_LEN(often))] : op;
    const IrOpInfo *info = &ir_op_info[op];
    IrOp o = {.op = (uint16_t)op};
    Slot *const src[] = {&o.a, &o.b, &o.c};
    for (unsigned i = 0; i < info->nsrc; i++) {
        *src[i] = any_src(g);
    }
    o.imm = !info->has_imm ? 0 : pick(g, 3) ? (int64_t)pick(g, 5) - 2 : (int64_t)test_operand(&g->seed);
    o.d = to_temp ? any_temp(g) : any_reg(g);
    ir_emit(&g->k, &o);
}

static void emit_event(Gen *g, bool to_temp)
{
    static const IrOpcode mem[] = {IR_ld, IR_ld, IR_st, IR_st, IR_amo_add, IR_amo_cas, IR_sc};
    IrOp o = {.op = (uint16_t)mem[pick(g, ARRAY_LEN(mem))], .aux = (uint16_t)pick(g, 4), .a = any_src(g)};
    const IrOpInfo *info = &ir_op_info[o.op];
    o.imm = (int64_t)pick(g, 64) - 32;
    o.b = info->nsrc > 1 ? any_src(g) : IR_ZERO;
    o.c = info->nsrc > 2 ? any_src(g) : IR_ZERO;
    if (pick(g, 5) == 0) {
        o = (IrOp){.op = IR_call, .aux = TEST_CHECK, .a = any_src(g), .imm = -1};
        info = &ir_op_info[IR_call];
    }
    o.d = !info->has_dst ? IR_ZERO : to_temp ? any_temp(g) : any_reg(g);
    ir_emit(&g->k, &o);
}

static void emit_other(Gen *g)
{
    IrOp o = {.op = IR_call, .a = any_src(g)};
    switch (pick(g, 6)) {
    case 0:
        o.b = any_src(g);
        o.c = any_src(g);
        o.imm = 3;
        o.aux = TEST_HASH;
        o.d = any_reg(g);
        break;
    case 1:
        o.aux = TEST_PEEK;
        o.d = pick(g, 2) ? any_reg(g) : any_temp(g);
        break;
    case 2:
        o.aux = TEST_POKE;
        o.b = any_src(g);
        break;
    case 3:
        o.aux = TEST_FLAGS;
        o.d = any_reg(g);
        break;
    case 4:
        o = (IrOp){.op = IR_fence, .aux = (uint16_t)pick(g, 5)};
        break;
    default:
        o = (IrOp){.op = IR_fadd, .aux = FP_AUX(FMT_F64, pick(g, 2) ? RM_DYN : 0), .a = any_src(g), .b = any_src(g)};
        o.d = pick(g, 2) ? TEST_REG(pick(g, 5)) : any_temp(g);
        break;
    }
    ir_emit(&g->k, &o);
}

static void gen_insn(Gen *g, uint64_t i)
{
    ir_insn(&g->k, 4, 0);
    for (uint64_t n = pick(g, 4); n--;) {
        emit_pure(g, true);
    }
    for (uint64_t n = pick(g, 5) / 2; n--;) {
        emit_event(g, true);
    }
    if (pick(g, 4) == 0) {
        emit_event(g, false);
    }
    for (uint64_t n = pick(g, 5); n--;) {
        uint64_t kind = pick(g, 8);
        if (kind == 0) {
            emit_other(g);
        } else if (kind < 3 && g->k.nexits < IR_MAX_EXITS - 1) {
            Slot b = pick(g, 2) ? any_src(g) : IR_ZERO; /* zero: as after a comparison */
            ir_brcond(&g->k, (IrCond)(pick(g, COND_COUNT) & (b == IR_ZERO ? 1 : 7)), any_src(g), b,
                      0x1000 + i * 16 + n);
        } else {
            emit_pure(g, kind < 5);
        }
    }
}

static void gen_block(Gen *g, IrBlock *b)
{
    ir_begin(&g->k, b, ops, 0x4000, 1);
    for (uint64_t n = 1 + pick(g, 6), i = 0; i < n; i++) {
        gen_insn(g, i);
    }
    uint64_t end = pick(g, 8);
    if (end == 0) {
        ir_call(&g->k, TEST_MODE, IR_ZERO, any_src(g), any_src(g), IR_ZERO, 0);
        ir_emit(&g->k, &(IrOp){.op = IR_sync, .imm = 0x9000});
    } else if (end == 1) {
        ir_emit(&g->k, &(IrOp){.op = IR_stop, .aux = 2, .a = any_src(g), .imm = 4});
    } else if (end == 2) {
        ir_emit(&g->k, &(IrOp){.op = IR_jmpr, .a = any_src(g)});
    } else if (end == 3) {
        ir_insn(&g->k, 4, 0);
        ir_emit(&g->k, &(IrOp){.op = IR_trap, .a = any_src(g), .imm = 2});
    } else {
        ir_jmp(&g->k, 0x8000);
    }
}

static void print_both(const IrBlock *before, const IrBlock *after, unsigned event_at)
{
    Buf text = {0};
    ir_print(before, &test_guest, &text);
    ir_print(after, &test_guest, &text);
    printf("differs with an event at %u:\n%s", event_at, buf_text(&text));
    buf_free(&text);
}

static bool agree(const IrBlock *before, const IrBlock *after, Machine *start)
{
    for (unsigned event_at = 0;; event_at++) {
        Machine x = *start, y = *start;
        run(&x, before, event_at);
        run(&y, after, event_at);
        if (!same_seen(&x, &y)) {
            print_both(before, after, event_at);
            return false;
        }
        if (x.left_by != NO_EVENT) {
            return true;
        }
    }
}

TEST(ir_opt, a_random_block_shows_the_same_before_and_after_at_every_event_and_exit)
{
    Gen g = {.seed = 11};
    uint64_t before_ops = 0, after_ops = 0;
    for (unsigned round = 0; round < 20000; round++) {
        IrBlock b, after;
        Err e = {0};
        gen_block(&g, &b);
        after = b;
        memcpy(copy, ops, sizeof(IrOp) * b.nops);
        after.op = copy;
        if (!CHECK_INT(ir_verify(&b, &test_guest, &e), 0)) {
            print_both(&b, &b, 0);
            CHECK_STR(e.text, "");
            return;
        }
        ir_optimise(&after, &test_guest);
        bool ok = CHECK_INT(ir_verify(&after, &test_guest, &e), 0);
        for (unsigned i = 0; i < 3 && ok; i++) {
            Machine start = {0};
            for (unsigned r = 0; r < TEST_NREGS; r++) {
                start.t.r[r] = pick(&g, 2) ? pick(&g, 4) : test_operand(&g.seed);
            }
            ok = CHECK(agree(&b, &after, &start));
        }
        if (!ok) {
            print_both(&b, &after, 0);
            CHECK_STR(e.text, "");
            return;
        }
        before_ops += b.nops;
        after_ops += after.nops;
    }
    CHECK(after_ops * 10 < before_ops * 9); /* else it was not much of a test */
}
