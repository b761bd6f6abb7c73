/* SPDX-License-Identifier: Apache-2.0
 * Blocks of a few ops, each a guest instruction of its own, on the engine and by the evaluator: same registers, memory, exit,
 * pc and budget. One page is mapped; whatever touches another one traps. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/interp/interp.h"
#include "sim/softmmu/softmmu.h"

#include <stdio.h>
#include <string.h>

enum { NREGS = 8, PAGE = 0x10000, BUDGET = 1000, GVA = 0x4000, TARGET = 0x9000, INSN_BYTES = 4, CAUSE = 13 };
typedef struct {
    Frame f;
    uint64_t r[NREGS], fp_flags;
} RigFrame;
#define R(n) ((Slot)(offsetof(RigFrame, r) + 8u * (n)))
static const IrSlotInfo slots[] = {{"r0", R(0)}, {"r1", R(1)}, {"r2", R(2)},
                                   {"r3", R(3)}, {"r4", R(4)}, {"r5", R(5)},
                                   {"r6", R(6)}, {"r7", R(7)}, {"fp_flags", offsetof(RigFrame, fp_flags)}};
static const IrGuest guest = {.name = "rig",
                              .frame_bytes = sizeof(RigFrame),
                              .slots = slots,
                              .nslots = ARRAY_LEN(slots),
                              .fp_flags = offsetof(RigFrame, fp_flags),
                              .fp_mode = FP_MODE_RISCV};

typedef struct {
    RigFrame *f;
    Space *space;
    Mmu *mmu;
    void *engine;
    uint64_t random;
    uint8_t memory[SPACE_PAGE_BYTES];
    JumpEntry jump[1 << JUMP_BITS];
    IrOp ops[8];
    IrBlock block;
} Rig;

static uint64_t rnd(Rig *g, uint64_t below)
{
    g->random = g->random * 6364136223846793005ull + 1442695040888963407ull;
    return (g->random >> 33) % below;
}

static bool walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap)
{
    (void)f;
    (void)acc;
    (void)regime;
    (void)io;
    (void)out;
    *trap = (Trap){.cause = CAUSE, .value = gva};
    return false;
}

static Rig *rig_open(void)
{
    static const MmuGuest mmu_guest = {.nregimes = 1, .walk = walk};
    Rig *g = x_alloc(sizeof *g);
    *g = (Rig){.f = x_alloc(sizeof *g->f), .space = space_new(), .engine = engine_interp.create(&guest), .random = 1};
    g->mmu = mmu_new(&g->f->f, g->space, &mmu_guest, &(MmuHost){.ctx = g});
    g->f->f.jump = g->jump;
    jump_begin(g->jump);
    TlbEntry e = {.tag = PAGE | g->f->f.tlb_key, .addend = (uint64_t)(uintptr_t)g->memory - PAGE};
    g->f->f.tlb_read[TLB_INDEX(PAGE)] = g->f->f.tlb_write[TLB_INDEX(PAGE)] = e;
    for (size_t i = 0; i < sizeof g->memory; i++) {
        g->memory[i] = (uint8_t)rnd(g, 256);
    }
    return g;
}

static void rig_close(Rig *g)
{
    engine_interp.destroy(g->engine);
    mmu_free(g->mmu);
    space_free(g->space);
    mem_free(g->f);
    mem_free(g);
}

/* ---- the oracle ---- */
typedef struct {
    uint64_t r[NREGS], pc;
    uint32_t fp_flags;
    int64_t budget;
    Left left;
    uint8_t memory[SPACE_PAGE_BYTES];
} Result;

static uint64_t *slot(Result *o, Slot s)
{
    static uint64_t zero;
    return s == IR_ZERO ? &zero : &o->r[(s - R(0)) / 8];
}

static bool access_do(Result *o, const IrOp *op)
{
    uint64_t at = *slot(o, op->a) + (uint64_t)op->imm, value = 0;
    unsigned size = MEM_SIZE(op->aux), unused = 64 - 8 * size;
    if (at - PAGE > SPACE_PAGE_BYTES - size) {
        return false;
    }
    if (op->op == IR_st) {
        memcpy(o->memory + (at - PAGE), slot(o, op->b), size);
        return true;
    }
    memcpy(&value, o->memory + (at - PAGE), size);
    *slot(o, op->d) = op->aux & MEM_SIGNED ? (uint64_t)((int64_t)(value << unused) >> unused) : value;
    return true;
}

/* One op; false: the block is left. */
static bool op_do(Result *o, const IrBlock *b, const IrOp *op)
{
    o->budget = BUDGET - (int64_t)op->insn - 1;
    switch (ir_op_info[op->op].cls) {
    case CLASS_LOAD:
    case CLASS_STORE:
        if (!access_do(o, op)) {
            o->left = LEFT_EVENT;
            o->pc = b->gva + INSN_BYTES * op->insn;
            o->budget++;
            return false;
        }
        return true;
    case CLASS_SIDE_EXIT:
        o->pc = (uint64_t)op->imm;
        return !ir_cond((IrCond)op->aux, *slot(o, op->a), *slot(o, op->b));
    case CLASS_TERM:
        o->left = op->op == IR_jmpr ? LEFT_INDIRECT : LEFT_EXIT;
        o->pc = op->op == IR_jmpr ? *slot(o, op->a) + (uint64_t)op->imm : (uint64_t)op->imm;
        return false;
    case CLASS_PURE:
        *slot(o, op->d) = ir_eval((IrOpcode)op->op, *slot(o, op->a), *slot(o, op->b), *slot(o, op->c), op->imm);
        return true;
    case CLASS_FP:
        *slot(o, op->d) =
            ir_eval_fp(op, *slot(o, op->a), *slot(o, op->b), *slot(o, op->c), RM_RNE, guest.fp_mode, &o->fp_flags);
        return true;
    case CLASS_ATOMIC:
    case CLASS_FENCE:
    case CLASS_CALL:
        break;
    }
    return true;
}

/* ---- blocks ---- */
static void block_begin(Rig *g)
{
    g->block = (IrBlock){.op = g->ops, .gva = GVA};
}

static void block_add(Rig *g, IrOp op)
{
    IrBlock *b = &g->block;
    op.insn = b->ninsns;
    b->op[b->nops++] = op;
    b->insn_at[++b->ninsns] = (uint16_t)(b->nbytes += INSN_BYTES);
}

static bool is_ended(const Rig *g)
{
    return g->block.nops && ir_op_info[g->ops[g->block.nops - 1].op].cls == CLASS_TERM;
}

/* Numbers of both widths, boxed or not, and what looks like one. */
static uint64_t fp_number(Rig *g)
{
    static const uint64_t some[] = {0,
                                    1ull << 63,
                                    0x3ff0000000000000,
                                    0x7ff0000000000000,
                                    0x7ff8000000000000,
                                    0x7ff0000000000001,
                                    1,
                                    0x10000000000000,
                                    0xffffffff00000000,
                                    0xffffffff80000000,
                                    0xffffffff3f800000,
                                    0xffffffff7f800000,
                                    0xffffffff7fc00000,
                                    0xffffffff7f800001,
                                    0xffffffff00000001,
                                    0x3f800000};
    uint64_t any = rnd(g, 1ull << 31) << 32 | rnd(g, 1ull << 31) << 1;
    switch (rnd(g, 4)) {
    case 0:
        return some[rnd(g, ARRAY_LEN(some))];
    case 1:
        return (any & 0x800fffffffffffff) | (1023 - 8 + rnd(g, 16)) << 52;
    case 2:
        return 0xffffffff00000000 | (any & 0x807fffff) | (127 - 8 + rnd(g, 16)) << 23;
    default:
        return any;
    }
}

static void fill(Rig *g)
{
    g->f->fp_flags = rnd(g, 2) ? FP_NX : 0;
    for (unsigned i = 0; i < NREGS; i++) {
        switch (rnd(g, 8)) {
        case 0:
        case 4:
            g->f->r[i] = PAGE + rnd(g, SPACE_PAGE_BYTES);
            break;
        case 1:
            g->f->r[i] = rnd(g, 64);
            break;
        case 2:
            g->f->r[i] = PAGE / 8 + rnd(g, 512); /* a page when it is shifted */
            break;
        case 3:
        case 5:
        case 6:
            g->f->r[i] = fp_number(g);
            break;
        default:
            g->f->r[i] = rnd(g, UINT64_MAX) * 0x9e3779b97f4a7c15ull;
            break;
        }
    }
}

static bool block_agrees(Rig *g)
{
    if (!is_ended(g)) {
        block_add(g, (IrOp){.op = IR_jmp, .imm = TARGET});
    }
    Err err = {0};
    if (ir_verify(&g->block, &guest, &err)) {
        printf("%s\n", err.text);
        return false;
    }
    Result o = {.left = LEFT_EXIT};
    memcpy(o.r, g->f->r, sizeof o.r);
    memcpy(o.memory, g->memory, sizeof o.memory);
    o.fp_flags = (uint32_t)g->f->fp_flags;
    for (uint32_t i = 0; op_do(&o, &g->block, &g->ops[i]); i++) {
    }
    Frame *f = &g->f->f;
    f->budget = BUDGET;
    void *code = engine_interp.prepare(g->engine, &g->block, g);
    Left left = engine_interp.enter(g->engine, code, f);
    engine_interp.release(g->engine, code);
    bool is_same = left == o.left && f->pc == o.pc && f->budget == o.budget && !memcmp(o.r, g->f->r, sizeof o.r) &&
                   g->f->fp_flags == o.fp_flags && !memcmp(o.memory, g->memory, sizeof o.memory) && !f->zero;
    if (!is_same) {
        printf("left %d, expected %d; pc 0x%llx, 0x%llx; budget %lld, %lld\n", left, o.left, (unsigned long long)f->pc,
               (unsigned long long)o.pc, (long long)f->budget, (long long)o.budget);
        for (unsigned i = 0; i < NREGS; i++) {
            printf("r%u 0x%llx, 0x%llx\n", i, (unsigned long long)g->f->r[i], (unsigned long long)o.r[i]);
        }
        Buf text = {0};
        ir_print(&g->block, &guest, &text);
        printf("%s", text.data);
        buf_free(&text);
    }
    return is_same;
}

/* ---- rows of runs.def ---- */
static IrOp op_named(Rig *g, const char *name)
{
    static const struct {
        const char *name;
        uint16_t op, aux;
    } forms[] = {
        {"ld8", IR_ld, 0},
        {"lds8", IR_ld, 0 | MEM_SIGNED},
        {"ld16", IR_ld, 1},
        {"lds16", IR_ld, 1 | MEM_SIGNED},
        {"ld32", IR_ld, 2},
        {"lds32", IR_ld, 2 | MEM_SIGNED},
        {"ld64", IR_ld, 3},
        {"st8", IR_st, 0},
        {"st16", IR_st, 1},
        {"st32", IR_st, 2},
        {"st64", IR_st, 3},
        {"breq", IR_brcond, COND_EQ},
        {"brne", IR_brcond, COND_NE},
        {"brlt", IR_brcond, COND_LT},
        {"brge", IR_brcond, COND_GE},
        {"brltu", IR_brcond, COND_LTU},
        {"brgeu", IR_brcond, COND_GEU},
#define FPH(name, op, aux, expr) {#name, IR_##op, (aux)},
#include "sim/interp/fps.def"
#undef FPH
    };
    IrOp op = {.op = IR_COUNT};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (!strcmp(forms[i].name, name)) {
            op.op = forms[i].op;
            op.aux = forms[i].aux;
        }
    }
    for (uint16_t i = 0; op.op == IR_COUNT && i < IR_COUNT; i++) {
        op.op = strcmp(ir_op_info[i].name, name) ? (uint16_t)IR_COUNT : i;
    }
    const IrOpInfo *info = &ir_op_info[op.op];
    op.d = info->has_dst ? R(rnd(g, NREGS)) : IR_ZERO;
    op.a = info->nsrc > 0 ? R(rnd(g, NREGS)) : IR_ZERO;
    op.b = info->nsrc > 1 ? R(rnd(g, NREGS)) : IR_ZERO;
    op.c = info->nsrc > 2 ? R(rnd(g, NREGS)) : IR_ZERO;
    op.imm = info->has_imm ? (int64_t)rnd(g, 16) - (info->cls == CLASS_PURE ? 0 : 8) : 0;
    op.imm = info->cls == CLASS_SIDE_EXIT || op.op == IR_jmp ? TARGET : op.imm;
    return op;
}

static void join(Rig *g, const char *how, const char *name)
{
    const IrOp *before = &g->ops[g->block.nops - 1];
    IrOp op = op_named(g, name);
    const IrOpInfo *info = &ir_op_info[op.op];
    bool is_kept = !rnd(g, 4) || before->d == IR_ZERO; /* now and then whatever it is */
    if (!is_kept && *how != 'N' && *how != 'V' && info->nsrc > 0) {
        op.a = before->d;
    }
    if (!is_kept && *how == 'O') {
        op.d = before->d;
    }
    if (!is_kept && *how == 'V') {
        op.b = before->d;
    }
    block_add(g, op);
}

static bool row_agrees(Rig *g, const char *const *name, const char *const *how, size_t n)
{
    enum { TRIES = 300 };
    for (int i = 0; i < TRIES; i++) {
        fill(g);
        block_begin(g);
        block_add(g, op_named(g, name[0]));
        for (size_t k = 1; k < n; k++) {
            join(g, how[k - 1], name[k]);
        }
        if (!block_agrees(g)) {
            return false;
        }
    }
    return true;
}

TEST(interp, every_run_does_what_its_ops_do)
{
    static const struct {
        size_t n;
        const char *name[3], *how[2];
    } rows[] = {
#define RUN2(first, how, second)              {2, {#first, #second}, {#how}},
#define RUN3(first, how, second, how3, third) {3, {#first, #second, #third}, {#how, #how3}},
#include "sim/interp/runs.def"
#undef RUN2
#undef RUN3
    };
    Rig *g = rig_open();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool is_same = row_agrees(g, rows[i].name, rows[i].how, rows[i].n);
        if (!is_same) {
            printf("row %s %s %s\n", rows[i].name[0], rows[i].how[0], rows[i].name[1]);
        }
        CHECK(is_same);
    }
    rig_close(g);
}

TEST(interp, fp_ops_by_the_host_are_those_of_softfp_in_value_and_flags)
{
    static const struct {
        const char *name;
    } rows[] = {
#define FPH(name, op, aux, expr) {#name},
#include "sim/interp/fps.def"
#undef FPH
    };
    Rig *g = rig_open();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool is_same = true;
        for (unsigned k = 0; k < 3000 && is_same; k++) {
            fill(g);
            for (unsigned n = 0; n < NREGS; n++) {
                g->f->r[n] = rnd(g, 8) ? fp_number(g) : g->f->r[n];
            }
            block_begin(g);
            block_add(g, op_named(g, rows[i].name));
            is_same = block_agrees(g);
        }
        if (!CHECK(is_same)) {
            printf("row %s\n", rows[i].name);
        }
    }
    rig_close(g);
}

TEST(interp, other_formats_roundings_and_modes_are_softfps)
{
    Rig *g = rig_open();
    static const uint16_t ops[] = {IR_fadd, IR_fma,  IR_fsqrt,  IR_froundx, IR_fcvt,
                                   IR_ftoi, IR_itof, IR_fclass, IR_fmin};
    for (unsigned k = 0; k < 20000; k++) {
        uint16_t op = ops[k % ARRAY_LEN(ops)];
        const IrOpInfo *info = &ir_op_info[op];
        uint64_t other = info->shape >= FP_SHAPE_CONVERT ? rnd(g, 4) : 0;
        fill(g);
        block_begin(g);
        block_add(g, (IrOp){.op = op,
                            .aux = (uint16_t)(FP_AUX3(rnd(g, 4), rnd(g, 6), other) | (rnd(g, 2) ? FP_BOXED : 0)),
                            .d = R(0),
                            .a = R(1),
                            .b = info->nsrc > 1 ? R(2) : IR_ZERO,
                            .c = info->nsrc > 2 ? R(3) : IR_ZERO});
        CHECK(block_agrees(g));
    }
    rig_close(g);
}

TEST(interp, accesses_of_one_base_are_made_in_order_and_trap_one_by_one)
{
    Rig *g = rig_open();
    for (int i = 0; i < 20000; i++) {
        fill(g);
        g->f->r[1] = PAGE + (rnd(g, 2) ? rnd(g, SPACE_PAGE_BYTES) : rnd(g, 64));
        block_begin(g);
        uint64_t n = 2 + rnd(g, 4), is_store = rnd(g, 2);
        for (uint64_t k = 0; k < n; k++) {
            int64_t imm = rnd(g, 8) ? (int64_t)rnd(g, 64) - 16 : (int64_t)rnd(g, 8192) - 4096;
            block_add(g, is_store ? (IrOp){.op = IR_st, .aux = 3, .a = R(1), .b = R(rnd(g, NREGS)), .imm = imm}
                                  : (IrOp){.op = IR_ld, .aux = 3, .d = R(rnd(g, NREGS)), .a = R(1), .imm = imm});
        }
        CHECK(block_agrees(g));
    }
    rig_close(g);
}

TEST(interp, code_that_is_made_again_and_again_needs_no_more_memory)
{
    Rig *g = rig_open();
    void *kept = NULL, *first = NULL;
    for (int i = 0; i < 100000; i++) { /* else ten times what there is */
        block_begin(g);
        for (int k = 0; k < 6; k++) {
            block_add(g, (IrOp){.op = IR_add_i, .d = R(1), .a = R(1), .imm = 1});
        }
        block_add(g, (IrOp){.op = IR_jmp, .imm = TARGET});
        void *code = engine_interp.prepare(g->engine, &g->block, g);
        CHECK(code && (!first || code == first));
        if (!kept) {
            kept = code; /* so that all is never free */
        } else {
            first = code;
            engine_interp.release(g->engine, code);
        }
    }
    rig_close(g);
}
