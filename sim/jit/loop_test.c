/* SPDX-License-Identifier: Apache-2.0
 * Loops of one block, by the engine and by the rig's oracle: unrolled, counted, and with rounds in a row. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/jit/rig.h"

#include <stdio.h>

#ifdef JIT_HAS_HOST
enum { X = 3, BY = 4, Y = 5, FIRST_OTHER = 6 };

static Slot other(Rig *g) /* not what the loop goes on by */
{
    return R(FIRST_OTHER + rnd(g, g->nothers));
}

static IrOp loop_access(Rig *g, Slot base)
{
    bool is_store = !rnd(g, 3);
    return (IrOp){.op = is_store ? IR_st : IR_ld,
                  .aux = (uint16_t)(rnd(g, 4) | (!is_store && rnd(g, 2) ? MEM_SIGNED : 0)),
                  .d = is_store ? IR_ZERO : other(g),
                  .a = base,
                  .b = is_store ? R(rnd(g, NREGS)) : IR_ZERO,
                  .imm = (int64_t)rnd(g, 64) - 32};
}

static IrOp loop_op(Rig *g)
{
    IrOp op;
    switch (rnd(g, 10)) {
    case 0:
    case 1:
    case 2:
        return loop_access(g, R(rnd(g, 3)));
    case 3: /* by what was computed just before */
        op = (IrOp){.op = IR_and_i, .d = ir_temp(&g->build), .a = other(g), .imm = 0x7f8};
        ir_emit(&g->build, &op);
        IrOp sum = {.op = IR_add, .d = ir_temp(&g->build), .a = op.d, .b = R(2)};
        ir_emit(&g->build, &sum);
        return loop_access(g, sum.d);
    case 4:
        return (IrOp){.op = IR_add_i, .d = R(0), .a = R(0), .imm = (int64_t)rnd(g, 32) - 16};
    case 5:
        return (IrOp){.op = IR_add, .d = R(1), .a = R(BY), .b = R(1)};
    case 6:
        op = (IrOp){.op = IR_brcond, .aux = (uint16_t)rnd(g, COND_COUNT), .a = other(g), .b = other(g)};
        op.aux = op.aux == COND_NE ? COND_EQ : op.aux;
        op.imm = target(g);
        return op;
    case 7:
    case 8:
        op = fp_op(g);
        op.d = other(g);
        return op;
    default:
        return pure_op(g, other(g));
    }
}

/* What rounds in a row may hold (rounds.c), mostly */
static IrOp row_op(Rig *g)
{
    static const uint16_t some[] = {IR_add,      IR_add_i,  IR_sub,     IR_sub_i,   IR_and,     IR_and_i,   IR_or,
                                    IR_or_i,     IR_xor,    IR_xor_i,   IR_addw,    IR_addw_i,  IR_subw,    IR_subw_i,
                                    IR_add32,    IR_sub32,  IR_shl_i,   IR_shr_i,   IR_sar_i,   IR_rotr_i,  IR_shlw_i,
                                    IR_shrw_i,   IR_sarw_i, IR_rotrw_i, IR_shl32_i, IR_mul,     IR_shr32_i, IR_sar32_i,
                                    IR_rotr32_i, IR_mul_i,  IR_mulw,    IR_mulw_i,  IR_mul32_i, IR_mul32,   IR_sx8,
                                    IR_sx16,     IR_sx32,   IR_zx8,     IR_zx16,    IR_zx32,    IR_mov,     IR_mov};
    if (!rnd(g, 50)) {
        return pure_op(g, other(g));
    }
    if (!rnd(g, 20)) { /* two change places */
        Slot a = other(g), b = other(g), t = ir_temp(&g->build);
        ir_op2(&g->build, IR_mov, t, a, IR_ZERO);
        ir_op2(&g->build, IR_mov, a, b, IR_ZERO);
        return (IrOp){.op = IR_mov, .d = b, .a = t};
    }
    IrOp op = {.op = some[rnd(g, ARRAY_LEN(some))], .d = other(g)};
    const IrOpInfo *info = &ir_op_info[op.op];
    op.a = R(rnd(g, FIRST_OTHER + g->nothers));
    op.b = info->nsrc > 1 ? R(rnd(g, FIRST_OTHER + g->nothers)) : IR_ZERO;
    op.imm = info->has_imm ? constant(g) : 0;
    op.imm = rnd(g, 20) ? (int32_t)op.imm : op.imm;
    return op;
}

static void loop_make(Rig *g, Program *p, bool computes, int64_t *stride, bool *has_y)
{
    static const int8_t strides[] = {1, -1, 1, -1, 2, 4, 8, -8, 3, -2};
    *stride = (int64_t)strides[rnd(g, ARRAY_LEN(strides))];
    *has_y = rnd(g, 3);
    g->nothers = computes ? 4 + rnd(g, NREGS - FIRST_OTHER - 6) : NREGS - FIRST_OTHER;
    p->n = g->ntargets = 2;
    ir_begin(&g->build, &p->block[0], p->ops[0], GVA, 0);
    uint64_t n = 1 + rnd(g, computes ? 16 : 8), at = rnd(g, n);
    for (uint64_t i = 0; i < n; i++) {
        g->ntemps = 0;
        if (i == at) {
            ir_insn(&g->build, INSN_BYTES, 0);
            ir_opi(&g->build, rnd(g, 4) ? IR_add_i : IR_addw_i, R(X), R(X), *stride);
        }
        ir_insn(&g->build, INSN_BYTES, 0);
        IrOp op = computes ? row_op(g) : loop_op(g);
        ir_emit(&g->build, &op);
    }
    ir_insn(&g->build, INSN_BYTES, 0);
    Slot y = *has_y ? R(Y) : IR_ZERO;
    IrCond cond = rnd(g, 3) ? COND_NE : (IrCond)rnd(g, COND_COUNT);
    bool is_swapped = rnd(g, 4) == 0;
    ir_brcond(&g->build, cond, is_swapped ? y : R(X), is_swapped ? R(X) : y, GVA);
    for (n = computes ? rnd(g, 3) : 0; n; n--) { /* which reach memory by registers that the loop borrowed */
        ir_insn(&g->build, INSN_BYTES, 0);
        IrOp op = loop_access(g, R(rnd(g, 3)));
        ir_emit(&g->build, &op);
    }
    for (n = rnd(g, 3); n; n--) {
        insn(g);
    }
    ir_insn(&g->build, INSN_BYTES, 0);
    ir_jmp(&g->build, rnd(g, 2) ? GVA + BLOCK_BYTES : TARGET);
    ir_begin(&g->build, &p->block[1], p->ops[1], GVA + BLOCK_BYTES, 0);
    Slot written = other(g); /* often not live in the loop, so that its register there holds nothing */
    for (n = rnd(g, 2) * 8; n; n--) {
        ir_insn(&g->build, INSN_BYTES, 0);
        ir_opi(&g->build, IR_addw_i, written, R(Y), (int64_t)n);
    }
    for (n = computes ? rnd(g, 2) * 36 : 0; n; n--) { /* not of a row that computes: it borrows their registers */
        ir_insn(&g->build, INSN_BYTES, 0);
        ir_op2(&g->build, IR_xor, R(NREGS - 1 - n % 3), R(NREGS - 1 - n % 2), R(Y));
    }
    g->ntemps = 0;
    insn(g);
    ir_insn(&g->build, INSN_BYTES, 0);
    ir_jmp(&g->build, rnd(g, 3) ? TARGET : GVA);
    for (uint64_t i = 0; i < p->n; i++) {
        Err err = {0};
        CHECK(!ir_verify(&p->block[i], &rig_guest, &err));
    }
    prepare(g, p);
}

/* Where a loop begins: often so that it ends after some rounds, by memory that is there. */
static void loop_fill(Rig *g, int64_t stride, bool has_y)
{
    fill(g);
    uint64_t *r = g->f->r;
    for (unsigned i = 0; i < 3; i++) {
        r[i] = PAGE + (rnd(g, 8) ? 64 + rnd(g, 1900) : rnd(g, SPACE_PAGE_BYTES));
    }
    for (unsigned i = FIRST_OTHER; i < NREGS; i++) {
        r[i] = rnd(g, 3) ? r[i] : (uint64_t)i * 0x3ff0000000000001ull;
    }
    r[BY] = rnd(g, 8) ? rnd(g, 64) - 32 : rnd(g, 4) ? 1ull << (58 + rnd(g, 6)) : (uint64_t)constant(g);
    r[X] = has_y ? (uint64_t)constant(g) : 0;
    if (has_y && rnd(g, 2)) { /* near where numbers jump */
        r[X] = (1ull << (rnd(g, 2) ? 31 : 63)) * rnd(g, 2) + rnd(g, 200) - 100;
    }
    r[Y] = r[X];
    uint64_t way = (uint64_t)stride * rnd(g, 60) + (rnd(g, 8) ? 0 : rnd(g, 8));
    r[has_y ? Y : X] += has_y ? way : -way;
    if (has_y && !rnd(g, 4)) { /* the other way around, or far away */
        r[Y] = rnd(g, 2) ? r[X] - way : r[X] + way * 1000;
    }
    r[Y] = rnd(g, 2) ? r[Y] : (uint64_t)(int64_t)(int32_t)r[Y];
    r[X] = rnd(g, 2) ? r[X] : (uint64_t)(int64_t)(int32_t)r[X];
}

/* How code reaches memory: by the TLB, by windows with an addend, by the range. Regions are made for what is so then. */
typedef enum { REACH_TLB, REACH_FLAT, REACH_RANGE, REACH_ANY } ReachWay;
static void reach_set(Rig *g, ReachWay way)
{
    if (way == REACH_ANY) {
        return;
    }
    g->f->f.tlb_same = way == REACH_TLB ? 0 : JIT_SAME;
    g->f->f.tlb_addend = (uint64_t)(uintptr_t)g->memory - PAGE;
    g->f->f.flat_end = way == REACH_RANGE ? SPACE_PAGE_BYTES - (8 - 1) : 0;
    g->f->f.flat_end_span = way == REACH_RANGE ? SPACE_PAGE_BYTES - (FLAT_SPAN - 1) : 0;
    for (unsigned i = 2 * WINDOWS; i < 3 * WINDOWS && way != REACH_RANGE; i++) {
        g->f->f.window[i].end = g->f->f.window[i].end_span = 0;
    }
}

static JitStats loops_agree(const Engine *kind, bool compute, ReachWay way, uint64_t first, uint64_t end)
{
    Program *p = x_alloc(sizeof *p);
    JitStats all = {0};
    bool is_right = true;
    for (uint64_t seed = first; seed < end && is_right; seed++) {
        Rig *g = rig_open_with(kind, seed);
        int64_t stride;
        bool has_y;
        loop_make(g, p, compute, &stride, &has_y);
        for (int i = 0; i < LOOPS && is_right; i++) {
            loop_fill(g, stride, has_y);
            reach_set(g, way);
            is_right = CHECK(program_agrees(g, p, 0, (int64_t)rnd(g, rnd(g, 2) ? 3000 : 300)));
        }
        release(g, p);
        all.rows += ((const Jit *)g->engine)->stats.rows;
        all.lent += ((const Jit *)g->engine)->stats.lent;
        rig_close(g);
        if (!is_right) {
            printf("seed %d, way %d\n", (int)seed, way);
        }
    }
    mem_free(p);
    return all;
}

TEST(jit, loops_that_are_counted_do_what_their_ops_do)
{
    loops_agree(&engine_jit_eager, false, REACH_ANY, 1, 4001);
}

TEST(jit, rounds_in_a_row_do_what_their_ops_do)
{
    enum { SEEDS_EACH = 1500 };
    for (ReachWay way = REACH_TLB; way <= REACH_ANY; way++) {
        JitStats all = loops_agree(&engine_jit_eager, true, way, 1 + SEEDS_EACH * way, 1 + SEEDS_EACH * (way + 1));
        CHECK(all.rows > SEEDS_EACH / 4 && all.lent > SEEDS_EACH / 8); /* it is they that were tested */
    }
}
#endif
