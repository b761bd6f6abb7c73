/* SPDX-License-Identifier: Apache-2.0
 * Calls through registers of few and of many functions, from several places, at addresses of all kinds. */
#include "sim/base/test.h"
#include "sim/jit/rig.h"

#include <stdio.h>

#ifdef JIT_HAS_HOST
/* Caller i chooses a function by r3, calls it with the link in r4, and goes on at place i, which goes to the next caller. Some calls go
 * to an odd address, which is the even one. r0 is 0, but once it leads back to where no code is. */
enum { STEP = 0x40, MAX_CALLERS = 17, MAX_CALLED = 40, MAX_PARTS = 2 * MAX_CALLERS + MAX_CALLED };
typedef struct {
    uint64_t base, ncallers, ncalled;
    void *code[MAX_PARTS];
} Calls;
typedef struct {
    uint64_t r[5], pc;
} State;

static uint64_t pc_of(const Calls *c, uint64_t part)
{
    return c->base + (part < 2 * MAX_CALLERS ? part / 2 * STEP + part % 2 * INSN_BYTES : (part - MAX_CALLERS) * STEP);
}

static uint64_t called(const Calls *c, uint64_t k)
{
    return pc_of(c, 2 * MAX_CALLERS + k);
}

static const uint64_t times = 6364136223846793005u, plus = 1442695040888963407u;

static uint64_t next_of(const Calls *c, uint64_t i)
{
    return pc_of(c, 2 * ((i + 1) % c->ncallers));
}

static void part_make(Rig *g, Calls *c, uint64_t part)
{
    IrBuild *k = &g->build;
    ir_begin(k, &g->block, g->ops, pc_of(c, part), 0);
    ir_insn(k, INSN_BYTES, 0);
    if (part >= 2 * MAX_CALLERS) {
        ir_opi(k, IR_add_i, R(1), R(1), (int64_t)(part * part));
        ir_emit(k, &(IrOp){.op = IR_jmpr, .a = R(4), .aux = JMP_EVEN | JMP_RET});
    } else if (part % 2) {
        ir_opi(k, IR_xor_i, R(1), R(1), (int64_t)part * 1000);
        ir_jmp(k, next_of(c, part / 2));
    } else {
        Slot factor = ir_temp(k), n = ir_temp(k);
        ir_emit(k, &(IrOp){.op = IR_movi, .d = factor, .imm = (int64_t)times});
        ir_op2(k, IR_mul, R(3), R(3), factor);
        ir_emit(k, &(IrOp){.op = IR_movi, .d = factor, .imm = (int64_t)plus});
        ir_op2(k, IR_add, R(3), R(3), factor);
        ir_opi(k, IR_shr_i, n, R(3), 48);
        ir_emit(k, &(IrOp){.op = IR_movi, .d = factor, .imm = (int64_t)c->ncalled});
        ir_op2(k, IR_mul, n, n, factor);
        ir_opi(k, IR_shr_i, n, n, 15); /* odd: half of them */
        ir_opi(k, IR_and_i, R(2), n, 1);
        ir_opi(k, IR_shr_i, n, n, 1);
        ir_emit(k, &(IrOp){.op = IR_movi, .d = factor, .imm = STEP});
        ir_op2(k, IR_mul, n, n, factor);
        ir_op2(k, IR_add, R(2), R(2), n);
        ir_emit(k, &(IrOp){.op = IR_movi, .d = factor, .imm = (int64_t)called(c, 0)});
        ir_op2(k, IR_add, R(2), R(2), factor);
        ir_emit(k, &(IrOp){.op = IR_movi, .d = R(4), .imm = (int64_t)pc_of(c, part + 1)});
        ir_op2(k, IR_add, R(4), R(4), R(0));
        ir_emit(k, &(IrOp){.op = IR_jmpr, .a = R(2), .aux = JMP_EVEN | JMP_CALL});
    }
    c->code[part] = g->kind->prepare(g->engine, &g->block, &c->code[part]);
    jump_put(g->jump, pc_of(c, part), c->code[part]);
}

static bool is_part(const Calls *c, uint64_t part)
{
    return part < 2 * c->ncallers || (part >= 2 * MAX_CALLERS && part < 2 * MAX_CALLERS + c->ncalled);
}

static uint64_t part_at(const Calls *c, uint64_t pc)
{
    uint64_t part = 0;
    while (part < MAX_PARTS && !(is_part(c, part) && pc_of(c, part) == pc)) {
        part++;
    }
    return part;
}

static void expect(const Calls *c, State *s)
{
    uint64_t part = part_at(c, s->pc);
    if (part >= 2 * MAX_CALLERS) {
        s->r[1] += part * part;
        s->pc = s->r[4] & ~1ull;
    } else if (part % 2) {
        s->r[1] ^= part * 1000;
        s->pc = next_of(c, part / 2);
    } else {
        s->r[3] = s->r[3] * times + plus;
        uint64_t n = (s->r[3] >> 48) * c->ncalled >> 15;
        s->r[2] = called(c, n / 2) + n % 2;
        s->r[4] = pc_of(c, part + 1);
        s->pc = s->r[2] & ~1ull;
    }
}

/* Runs it until the budget is 0; the test is the dispatcher. */
static bool run(Rig *g, const Calls *c, int64_t budget)
{
    Frame *f = &g->f->f;
    f->budget = budget;
    for (Left left = LEFT_EXIT; left != LEFT_BUDGET;) {
        uint64_t part = part_at(c, f->pc);
        if (!CHECK(part < MAX_PARTS)) {
            return false;
        }
        left = g->kind->enter(g->engine, c->code[part], f);
        if (left == LEFT_EXIT) {
            part = (uint64_t)((void *const *)f->left_block - c->code);
            g->kind->link(g->engine, c->code[part], f->left_exit, c->code[part_at(c, f->pc)]);
        } else if (!CHECK(left == LEFT_INDIRECT || left == LEFT_BUDGET)) {
            return false;
        }
    }
    return CHECK_INT(f->budget, 0);
}

/* A place whose lower half is the same is another. */
static bool leaves_for_another(Rig *g, const Calls *c, uint64_t caller)
{
    Frame *f = &g->f->f;
    g->f->r[0] = ~0ull << 32;
    f->budget = 10;
    Left left = g->kind->enter(g->engine, c->code[2 * caller], f);
    return CHECK_INT(left, LEFT_INDIRECT) && CHECK_INT(f->budget, 8) &&
           CHECK(f->pc == pc_of(c, 2 * caller + 1) + g->f->r[0]);
}

static bool calls_agree(const Engine *kind, Calls *c)
{
    Rig *g = rig_open_with(kind, c->ncalled);
    g->f->f.is_code_flat = true;
    State s = {.r = {0, 1, 2, 3, 4}, .pc = pc_of(c, 0)};
    for (uint64_t part = 0; part < MAX_PARTS; part++) {
        if (is_part(c, part)) {
            part_make(g, c, part);
        }
    }
    for (int i = 0; i < 5; i++) {
        g->f->r[i] = s.r[i];
    }
    g->f->f.pc = s.pc;
    bool is_right = true;
    for (int64_t i = 0; i < 40 && is_right; i++) {
        int64_t budget = i < 30 ? i : 1000;
        is_right = run(g, c, budget);
        for (int64_t n = 0; n < budget; n++) {
            expect(c, &s);
        }
        is_right = is_right && CHECK(g->f->f.pc == s.pc);
        for (int n = 1; n < 5; n++) {
            is_right = is_right && CHECK(g->f->r[n] == s.r[n]);
        }
    }
    for (uint64_t i = 0; i < c->ncallers && is_right; i++) {
        is_right = leaves_for_another(g, c, i);
    }
    for (uint64_t part = 0; part < MAX_PARTS; part++) {
        if (is_part(c, part)) {
            kind->release(g->engine, c->code[part]);
        }
    }
    rig_close(g);
    return is_right;
}

TEST(jit, calls_and_returns_go_where_registers_say)
{
    static const uint64_t base[] = {
        0x4000,      0x7ffffc00,         0x7fffff80,         0x80000000,         0xfffff800,        0x3f12345000,
        0x37ffffe00, 0xffffffff7ffffc00, 0xffffffff80000000, 0xffffffffffff0000, 0x7ffffffffffffc00};
    static const uint64_t ncalled[] = {1, 2, 8, 9, 16, 17, 32, 33, MAX_CALLED}, ncallers[] = {1, 2, 4, 9, MAX_CALLERS};
    for (unsigned b = 0; b < ARRAY_LEN(base); b++) {
        for (unsigned n = 0; n < ARRAY_LEN(ncalled); n++) {
            for (unsigned i = 0; i < ARRAY_LEN(ncallers); i++) {
                Calls c = {.base = base[b], .ncallers = ncallers[i], .ncalled = ncalled[n]};
                if (!calls_agree(&engine_jit_eager, &c)) {
                    printf("at %llx: %u callers, %u functions\n", (unsigned long long)c.base, (unsigned)c.ncallers,
                           (unsigned)c.ncalled);
                    return;
                }
            }
        }
    }
}
#endif
