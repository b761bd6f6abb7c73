/* SPDX-License-Identifier: Apache-2.0
 * Random blocks on the engine and by the evaluator: same registers, memory, exit, pc, budget and FP flags. One page is mapped;
 * whatever touches another one traps. What blocks do together is tested in sim/exec with this engine. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/jit/jit_int.h"
#include "sim/softmmu/softmmu.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#ifdef JIT_HAS_HOST
enum {
    NREGS = 20, /* more than there are host registers */
    PAGE = 0x10000,
    BUDGET = 1000,
    GVA = 0x4000,
    BLOCK_BYTES = 0x100, /* from a block to the next */
    TARGET = 0x9000,
    INSN_BYTES = 4,
    CAUSE = 13,
    CAUSE_HELPER = 77,
    MAX_INSNS = 24,
};
typedef struct {
    Frame f;
    uint64_t r[NREGS], fp_flags, fp_rm;
} RigFrame;
#define R(n) ((Slot)(offsetof(RigFrame, r) + 8u * (n)))
#define S(n)                                                                                                           \
    {                                                                                                                  \
        "r" #n, R(n)                                                                                                   \
    }
static const IrSlotInfo slots[] = {S(0),
                                   S(1),
                                   S(2),
                                   S(3),
                                   S(4),
                                   S(5),
                                   S(6),
                                   S(7),
                                   S(8),
                                   S(9),
                                   S(10),
                                   S(11),
                                   S(12),
                                   S(13),
                                   S(14),
                                   S(15),
                                   S(16),
                                   S(17),
                                   S(18),
                                   S(19),
                                   {"fp_flags", offsetof(RigFrame, fp_flags)},
                                   {"fp_rm", offsetof(RigFrame, fp_rm)}};
static const Slot hot[] = {R(3), R(0), R(5), R(6), R(7), R(8)};

enum { HELP_MIX, HELP_SUM, HELP_TURN, HELP_RAISE, HELP_COUNT };
static uint64_t help_mix(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)f;
    return (a ^ b << 7) + c * 3 + (uint64_t)imm;
}
static uint64_t help_sum(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    const RigFrame *rig = (const RigFrame *)f;
    uint64_t sum = a + b + c + (uint64_t)imm;
    for (unsigned i = 0; i < NREGS; i++) {
        sum = sum * 31 + rig->r[i];
    }
    return sum;
}
static uint64_t help_turn(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    RigFrame *rig = (RigFrame *)f;
    uint64_t first = rig->r[0];
    memmove(rig->r, rig->r + 1, sizeof rig->r - sizeof rig->r[0]);
    rig->r[NREGS - 1] = first;
    return help_mix(f, a, b, c, imm);
}
static uint64_t help_raise(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    if (a & 1) {
        frame_raise(f, CAUSE_HELPER, a);
    }
    return help_mix(f, a, b, c, imm);
}
static const Helper helpers[HELP_COUNT] = {
    [HELP_MIX] = {"mix", help_mix, 0, 3},
    [HELP_SUM] = {"sum", help_sum, EFF_READS_FRAME, 2},
    [HELP_TURN] = {"turn", help_turn, EFF_READS_FRAME | EFF_WRITES_FRAME, 1},
    [HELP_RAISE] = {"raise", help_raise, EFF_EVENT, 2},
};
static const IrGuest guest = {.name = "rig",
                              .frame_bytes = sizeof(RigFrame),
                              .slots = slots,
                              .nslots = ARRAY_LEN(slots),
                              .helpers = helpers,
                              .nhelpers = HELP_COUNT,
                              .fp_flags = offsetof(RigFrame, fp_flags),
                              .fp_rm = offsetof(RigFrame, fp_rm),
                              .fp_mode = FP_MODE_RISCV,
                              .hot = hot,
                              .nhot = ARRAY_LEN(hot)};

typedef struct {
    RigFrame *f, *oracle;
    Space *space;
    Mmu *mmu;
    void *engine;
    uint64_t random;
    uint8_t memory[SPACE_PAGE_BYTES], oracle_memory[SPACE_PAGE_BYTES];
    JumpEntry jump[1 << JUMP_BITS];
    IrOp ops[IR_BLOCK_MAX_OPS];
    IrBlock block;
    const Engine *kind;
    int64_t budget;    /* at the head of the block */
    uint64_t ntargets; /* side exits go to blocks; 0: to nowhere */
    bool has_churn;    /* blocks are released and prepared anew now and then */
    IrBuild build;
    Slot temp[4]; /* of the instruction being made */
    unsigned ntemps;
} Rig;

static uint64_t rnd(Rig *g, uint64_t below)
{
    g->random = g->random * 6364136223846793005ull + 1442695040888963407ull;
    return (g->random >> 33) % below;
}

static bool walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap)
{
    (void)f, (void)acc, (void)regime, (void)io, (void)out;
    *trap = (Trap){.cause = CAUSE, .value = gva};
    return false;
}
static void align_fault(Frame *f, uint64_t gva, Access acc, unsigned regime, Trap *trap)
{
    (void)walk(f, gva, acc, regime, NULL, NULL, trap);
}

static Rig *rig_open_with(const Engine *kind, uint64_t seed)
{
    static const MmuGuest mmu_guest = {.nregimes = 1, .walk = walk, .align_fault = align_fault};
    Rig *g = x_alloc(sizeof *g);
    *g = (Rig){.f = x_alloc(sizeof *g->f),
               .oracle = x_alloc(sizeof *g->f),
               .space = space_new(),
               .kind = kind,
               .budget = BUDGET,
               .engine = kind->create(&guest),
               .random = seed};
    g->mmu = mmu_new(&g->f->f, g->space, &mmu_guest, &(MmuHost){.ctx = g});
    g->f->f.jump = g->jump;
    jump_begin(g->jump);
    TlbEntry e = {.tag = PAGE | g->f->f.tlb_key, .addend = (uint64_t)(uintptr_t)g->memory - PAGE};
    g->f->f.tlb_read[TLB_INDEX(PAGE)] = g->f->f.tlb_write[TLB_INDEX(PAGE)] = e;
    g->f->f.flat_first = PAGE;
    g->f->f.flat_addend = e.addend;
    for (size_t i = 0; i < sizeof g->memory; i++) {
        g->memory[i] = (uint8_t)rnd(g, 256);
    }
    return g;
}

static Rig *rig_open(uint64_t seed)
{
    return rig_open_with(&engine_jit, seed);
}

static void rig_close(Rig *g)
{
    g->kind->destroy(g->engine);
    mmu_free(g->mmu);
    space_free(g->space);
    mem_free(g->f);
    mem_free(g->oracle);
    mem_free(g);
}

/* ---- the oracle: an op after the other, all in the frame ---- */
static uint64_t get(const Rig *g, Slot s)
{
    return *(const uint64_t *)(const void *)((const char *)g->oracle + s);
}

static void put(Rig *g, Slot s, uint64_t value)
{
    if (s != IR_ZERO) {
        *(uint64_t *)(void *)((char *)g->oracle + s) = value;
    }
}

static bool access_do(Rig *g, const IrOp *op)
{
    uint64_t at = get(g, op->a) + (uint64_t)op->imm, value = 0;
    unsigned size = MEM_SIZE(op->aux), unused = 64 - 8 * size;
    if (at - PAGE > SPACE_PAGE_BYTES - size) {
        g->oracle->f.trap = (Trap){.cause = CAUSE, .value = at};
        g->oracle->f.event = EVENT_TRAP;
        return false;
    }
    if (op->op == IR_st) {
        value = get(g, op->b);
        memcpy(g->oracle_memory + (at - PAGE), &value, size);
        return true;
    }
    memcpy(&value, g->oracle_memory + (at - PAGE), size);
    put(g, op->d, op->aux & MEM_SIGNED ? (uint64_t)((int64_t)(value << unused) >> unused) : value);
    return true;
}

static Left event_at(Rig *g, const IrOp *op)
{
    Frame *f = &g->oracle->f;
    f->budget = g->budget - (int64_t)op->insn;
    f->pc = g->block.gva + INSN_BYTES * op->insn;
    return LEFT_EVENT;
}

enum { GO_ON = -1 };
static int value_do(Rig *g, const IrOp *op)
{
    uint64_t a = get(g, op->a), b = get(g, op->b), c = get(g, op->c);
    if (ir_op_info[op->op].cls == CLASS_PURE) {
        put(g, op->d, ir_eval((IrOpcode)op->op, a, b, c, op->imm));
    } else if (op->op == IR_call) {
        uint64_t value = helpers[op->aux].fn(&g->oracle->f, a, b, c, op->imm);
        if (g->oracle->f.event) {
            return (int)event_at(g, op);
        }
        put(g, op->d, value);
    } else {
        uint32_t flags = (uint32_t)g->oracle->fp_flags;
        put(g, op->d, ir_eval_fp(op, a, b, c, (unsigned)g->oracle->fp_rm, guest.fp_mode, &flags));
        g->oracle->fp_flags = flags;
    }
    return GO_ON;
}

static int exit_do(Rig *g, const IrOp *op)
{
    Frame *f = &g->oracle->f;
    uint64_t target = get(g, op->a) + (uint64_t)op->imm;
    f->budget = g->budget - (int64_t)op->insn - 1;
    switch (op->op) {
    case IR_brcond:
        f->pc = (uint64_t)op->imm;
        return ir_cond((IrCond)op->aux, get(g, op->a), get(g, op->b)) ? (int)LEFT_EXIT : GO_ON;
    case IR_jmpr:
        f->pc = op->aux & JMP_EVEN ? target & ~1ull : target;
        return LEFT_INDIRECT;
    case IR_trap:
        f->trap = (Trap){.cause = (uint64_t)op->imm, .value = get(g, op->a)};
        f->event = EVENT_TRAP;
        return event_at(g, op);
    case IR_stop:
        f->stop_reason = op->aux;
        f->stop_imm = (uint64_t)op->imm;
        f->pc = get(g, op->a);
        return LEFT_STOP;
    case IR_sync:
        f->pc = (uint64_t)op->imm;
        return LEFT_SYNC;
    case IR_syncr:
        f->pc = target;
        return LEFT_SYNC;
    default:
        f->pc = (uint64_t)op->imm;
        return LEFT_EXIT;
    }
}

static int op_do(Rig *g, const IrOp *op)
{
    switch (ir_op_info[op->op].cls) {
    case CLASS_LOAD:
    case CLASS_STORE:
        return access_do(g, op) ? GO_ON : (int)event_at(g, op);
    case CLASS_PURE:
    case CLASS_FP:
    case CLASS_CALL:
        return value_do(g, op);
    case CLASS_SIDE_EXIT:
    case CLASS_TERM:
        return exit_do(g, op);
    case CLASS_FENCE:
    case CLASS_ATOMIC:
        break;
    }
    return GO_ON;
}

/* ---- blocks ---- */
static const uint64_t corners[] = {0,
                                   1,
                                   2,
                                   63,
                                   64,
                                   31,
                                   32,
                                   0x7f,
                                   0x80,
                                   0xff,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   1ull << 32,
                                   1ull << 63,
                                   ~0ull,
                                   INT64_MAX,
                                   0xffffffff80000000,
                                   0xffffffff00000000};

static int64_t constant(Rig *g)
{
    switch (rnd(g, 4)) {
    case 0:
        return (int64_t)corners[rnd(g, ARRAY_LEN(corners))];
    case 1:
        return (int64_t)(rnd(g, UINT64_MAX) * 0x9e3779b97f4a7c15ull);
    default:
        return (int64_t)rnd(g, 4096) - 2048;
    }
}

static Slot source(Rig *g)
{
    if (g->ntemps && rnd(g, 2)) {
        return g->temp[rnd(g, g->ntemps)];
    }
    if (!rnd(g, 30)) {
        return offsetof(RigFrame, fp_flags);
    }
    return rnd(g, 12) ? R(rnd(g, NREGS)) : IR_ZERO;
}

static void operands(Rig *g, IrOp *op, unsigned nsrc)
{
    op->a = nsrc > 0 ? source(g) : IR_ZERO;
    op->b = nsrc > 1 ? source(g) : IR_ZERO;
    op->c = nsrc > 2 ? source(g) : IR_ZERO;
}

static IrOp pure_op(Rig *g, Slot d)
{
    IrOp op = {.d = d};
    do {
        op.op = (uint16_t)rnd(g, IR_COUNT);
    } while (ir_op_info[op.op].cls != CLASS_PURE);
    if (!rnd(g, 3)) {
        op.op = rnd(g, 2) ? IR_mov : IR_movi;
    }
    operands(g, &op, ir_op_info[op.op].nsrc);
    op.imm = ir_op_info[op.op].has_imm ? constant(g) : 0;
    return op;
}

static IrOp fp_op(Rig *g)
{
    IrOp op = {.d = R(rnd(g, NREGS))};
    do {
        op.op = (uint16_t)rnd(g, IR_COUNT);
    } while (ir_op_info[op.op].cls != CLASS_FP);
    operands(g, &op, ir_op_info[op.op].nsrc);
    bool is_usual = rnd(g, 2); /* what compilers make */
    uint64_t rm = is_usual                                 ? (op.op == IR_ftoi ? RM_RTZ : RM_RNE)
                  : op.op >= IR_fmin && op.op <= IR_fclass ? RM_RNE
                  : rnd(g, 6) == 5                         ? RM_DYN
                                                           : rnd(g, 5);
    uint64_t other = ir_op_info[op.op].shape >= FP_SHAPE_CONVERT ? rnd(g, 4) : 0;
    op.aux = (uint16_t)(FP_AUX3(rnd(g, 3) ? rnd(g, 2) ? FMT_F64 : FMT_F32 : rnd(g, 4), rm, other) |
                        (rnd(g, 2) ? FP_BOXED : 0));
    return op;
}

/* Often one of few bases, so that accesses share a look into the TLB. */
static void address(Rig *g, IrOp *op)
{
    op->a = rnd(g, 3) ? R(rnd(g, 3)) : op->a;
    op->imm = rnd(g, 8) ? (int64_t)rnd(g, 64) - 32 : constant(g);
}

static int64_t target(Rig *g)
{
    return g->ntargets ? GVA + (int64_t)rnd(g, g->ntargets) * BLOCK_BYTES : TARGET + (int64_t)rnd(g, 64) * 4;
}

/* An instruction: pure ops into temporaries, then one op that writes a register, or may raise an event. */
static void insn(Rig *g)
{
    ir_insn(&g->build, INSN_BYTES, 0);
    g->ntemps = 0;
    for (uint64_t n = rnd(g, 3); n; n--) {
        IrOp op = pure_op(g, ir_temp(&g->build));
        ir_emit(&g->build, &op);
        g->temp[g->ntemps++] = op.d;
    }
    IrOp op = {0};
    switch (rnd(g, 14)) {
    case 12:
    case 13: {
        Slot base = R(rnd(g, 3));
        op = (IrOp){
            .op = IR_add_i, .d = base, .a = base, .imm = rnd(g, 2) ? SPACE_PAGE_BYTES : (int64_t)rnd(g, 64) - 32};
        break;
    }
    case 0:
    case 1:
    case 10:
        op = (IrOp){.op = IR_ld, .aux = (uint16_t)(rnd(g, 4) | (rnd(g, 2) ? MEM_SIGNED : 0)), .d = R(rnd(g, NREGS))};
        operands(g, &op, 1);
        address(g, &op);
        break;
    case 2:
    case 11:
        op = (IrOp){.op = IR_st, .aux = (uint16_t)rnd(g, 4)};
        operands(g, &op, 2);
        address(g, &op);
        break;
    case 3:
        op = fp_op(g);
        break;
    case 4:
        op = (IrOp){.op = IR_call, .aux = (uint16_t)rnd(g, HELP_COUNT), .imm = constant(g)};
        op.d = op.aux == HELP_MIX || rnd(g, 2) ? R(rnd(g, NREGS)) : IR_ZERO;
        operands(g, &op, helpers[op.aux].nsrc);
        break;
    case 5:
        op = (IrOp){.op = IR_brcond, .aux = (uint16_t)rnd(g, COND_COUNT), .imm = target(g)};
        operands(g, &op, 2);
        break;
    case 6:
        op = (IrOp){.op = IR_fence, .aux = (uint16_t)rnd(g, ORD_SEQ_CST + 1)};
        break;
    case 7:
        op = (IrOp){.op = IR_and_i, .d = offsetof(RigFrame, fp_flags), .a = source(g), .imm = 31};
        if (!rnd(g, 4)) {
            break;
        }
        __attribute__((fallthrough));
    default:
        op = pure_op(g, R(rnd(g, NREGS)));
        break;
    }
    ir_emit(&g->build, &op);
}

static void terminator(Rig *g)
{
    static const uint16_t ops[] = {IR_jmp, IR_jmpr, IR_trap, IR_stop, IR_sync, IR_syncr};
    IrOp op = {.op = ops[rnd(g, ARRAY_LEN(ops))], .imm = constant(g)};
    op.aux = op.op == IR_jmpr ? JMP_EVEN : 0;
    operands(g, &op, ir_op_info[op.op].nsrc);
    ir_emit(&g->build, &op);
}

static void block_make(Rig *g)
{
    ir_begin(&g->build, &g->block, g->ops, GVA, 0);
    for (uint64_t n = 1 + rnd(g, MAX_INSNS - 1); n && !g->build.is_full; n--) {
        insn(g);
    }
    if (g->build.is_full) {
        ir_drop_insn(&g->build);
    }
    ir_insn(&g->build, INSN_BYTES, 0);
    g->ntemps = 0;
    terminator(g);
}

static void fill(Rig *g)
{
    g->f->fp_flags = rnd(g, 2) ? FP_NX : 0;
    g->f->f.tlb_same = rnd(g, 8); /* of the hint, no more than speed may depend */
    g->f->f.tlb_addend = rnd(g, 2) ? (uint64_t)(uintptr_t)g->memory - PAGE : rnd(g, 1ull << 30);
    bool is_flat = rnd(g, 4);
    g->f->f.flat_end = is_flat ? SPACE_PAGE_BYTES - (8 - 1) : 0;
    g->f->f.flat_end_span = is_flat ? SPACE_PAGE_BYTES - (FLAT_SPAN - 1) : 0;
    for (unsigned i = 2 * WINDOWS; i < 3 * WINDOWS;
         i++) { /* aimed anew they are nowhere, as the Mmu knows of no range */
        bool is_on = is_flat && rnd(g, 2);
        g->f->f.window[i] = (TlbWindow){.first = PAGE,
                                        .end = is_on ? SPACE_PAGE_BYTES - (8 - 1) : 0,
                                        .end_span = is_on ? SPACE_PAGE_BYTES - (FLAT_SPAN - 1) : 0,
                                        .wait = (int32_t)rnd(g, 4)};
    }
    g->f->fp_rm = rnd(g, 5);
    for (unsigned i = 0; i < NREGS; i++) {
        uint64_t at =
            rnd(g, 4) ? rnd(g, SPACE_PAGE_BYTES) : SPACE_PAGE_BYTES - 12 + rnd(g, 8); /* often where it ends */
        g->f->r[i] = i < 3 || rnd(g, 2) ? PAGE + at : (uint64_t)constant(g);
    }
}

/* What the engine must leave; temporaries, and what is the engine's own, count for nothing. */
static bool is_same(const Rig *g, int left, int want)
{
    const Frame *f = &g->f->f, *o = &g->oracle->f;
    bool is_trap = want == LEFT_EVENT, is_stop = want == LEFT_STOP;
    return left == want && f->pc == o->pc && f->budget == o->budget && f->event == o->event && !f->zero &&
           !memcmp(g->f->r, g->oracle->r, sizeof g->f->r) && g->f->fp_flags == g->oracle->fp_flags &&
           !memcmp(g->memory, g->oracle_memory, sizeof g->memory) &&
           (!is_trap || (f->trap.cause == o->trap.cause && f->trap.value == o->trap.value)) &&
           (!is_stop || (f->stop_reason == o->stop_reason && f->stop_imm == o->stop_imm)) &&
           (want != LEFT_EXIT || f->left_block == g);
}

static void show(const Rig *g, int left, int want)
{
    printf("left %d, expected %d; pc 0x%llx, 0x%llx; budget %lld, %lld\n", left, want, (unsigned long long)g->f->f.pc,
           (unsigned long long)g->oracle->f.pc, (long long)g->f->f.budget, (long long)g->oracle->f.budget);
    for (unsigned i = 0; i < NREGS; i++) {
        printf("%c r%u 0x%llx, 0x%llx\n", g->f->r[i] == g->oracle->r[i] ? ' ' : '!', i, (unsigned long long)g->f->r[i],
               (unsigned long long)g->oracle->r[i]);
    }
    Buf text = {0};
    ir_print(&g->block, &guest, &text);
    printf("%s", text.data);
    buf_free(&text);
}

static bool block_agrees(Rig *g)
{
    Err err = {0};
    if (ir_verify(&g->block, &guest, &err)) {
        printf("%s\n", err.text);
        return false;
    }
    Frame *f = &g->f->f;
    f->budget = BUDGET;
    f->event = 0;
    memcpy(g->oracle, g->f, sizeof *g->f);
    memcpy(g->oracle_memory, g->memory, sizeof g->memory);
    int want = GO_ON;
    for (uint32_t i = 0; want == GO_ON; i++) {
        want = op_do(g, &g->ops[i]);
    }
    void *code = engine_jit.prepare(g->engine, &g->block, g);
    int left = engine_jit.enter(g->engine, code, f);
    engine_jit.release(g->engine, code);
    if (!is_same(g, left, want)) {
        show(g, left, want);
        return false;
    }
    return true;
}

TEST(jit, random_blocks_do_what_their_ops_do)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        Rig *g = rig_open(seed);
        for (int i = 0; i < 10000; i++) {
            fill(g);
            block_make(g);
            if (!CHECK(block_agrees(g))) {
                printf("seed %d, block %d\n", (int)seed, i);
                break;
            }
        }
        rig_close(g);
    }
}

/* ---- several blocks ---- */
enum { MAX_BLOCKS = 6, LOOPS = 40, SEEDS = 401 };
typedef struct {
    IrBlock block[MAX_BLOCKS];
    IrOp ops[MAX_BLOCKS][IR_BLOCK_MAX_OPS];
    void *code[MAX_BLOCKS];
    uint64_t n;
} Program;

static void release(Rig *g, Program *p)
{
    for (uint64_t i = 0; i < p->n; i++) {
        if (p->code[i]) {
            g->kind->release(g->engine, p->code[i]);
            p->code[i] = NULL;
        }
    }
}

/* What is not there. If there is no room, all goes first. */
static void prepare(Rig *g, Program *p)
{
    for (uint64_t i = 0; i < p->n; i++) {
        if (!p->code[i] && !(p->code[i] = g->kind->prepare(g->engine, &p->block[i], &p->code[i]))) {
            release(g, p);
            i = UINT64_MAX;
        }
    }
}

static void program_make(Rig *g, Program *p)
{
    p->n = g->ntargets = 1 + rnd(g, MAX_BLOCKS);
    for (uint64_t i = 0; i < p->n; i++) {
        ir_begin(&g->build, &p->block[i], p->ops[i], GVA + i * BLOCK_BYTES, 0);
        for (uint64_t n = 1 + rnd(g, 16); n; n--) {
            insn(g);
        }
        ir_insn(&g->build, INSN_BYTES, 0);
        g->ntemps = 0;
        if (rnd(g, 6)) {
            ir_jmp(&g->build, (uint64_t)target(g));
        } else {
            terminator(g);
        }
        Err err = {0};
        CHECK(!ir_verify(&p->block[i], &guest, &err));
    }
    memset(p->code, 0, sizeof p->code);
    prepare(g, p);
}

static uint64_t index_of(const Program *p, uint64_t pc)
{
    return pc % BLOCK_BYTES || pc < GVA || (pc - GVA) / BLOCK_BYTES >= p->n ? p->n : (pc - GVA) / BLOCK_BYTES;
}

static int oracle_run(Rig *g, const Program *p, uint64_t i)
{
    Frame *f = &g->oracle->f;
    for (;;) {
        g->block = p->block[i];
        f->pc = g->block.gva;
        if (f->budget < g->block.ninsns) {
            return LEFT_BUDGET;
        }
        g->budget = f->budget;
        int left = GO_ON;
        for (uint32_t q = 0; left == GO_ON; q++) {
            left = op_do(g, &g->block.op[q]);
        }
        i = index_of(p, f->pc);
        if (left != LEFT_EXIT || i == p->n) {
            return left;
        }
    }
}

/* As the dispatcher does when code has changed: nothing goes to the block any more, and it goes. Then it is there again. */
static void churn(Rig *g, Program *p)
{
    uint64_t which = rnd(g, p->n);
    for (uint64_t from = 0; from < p->n; from++) {
        for (unsigned exit = 0; exit < IR_MAX_EXITS; exit++) {
            const JBlock *b = jblock_of(p->code[from]);
            if (from == which || b->code_to[exit] == p->code[which]) {
                g->kind->link(g->engine, p->code[from], exit, NULL);
            }
        }
    }
    g->kind->release(g->engine, p->code[which]);
    p->code[which] = NULL;
    prepare(g, p);
}

/* As the dispatcher does: an exit that was left by is linked, if it is near; now and then a link is taken back. */
static int engine_run(Rig *g, Program *p, uint64_t i)
{
    for (;;) {
        if (!rnd(g, 50)) {
            uint64_t from = rnd(g, p->n);
            g->kind->link(g->engine, p->code[from], 0, NULL);
        }
        if (g->has_churn && !rnd(g, 20)) {
            churn(g, p);
        }
        Left left = g->kind->enter(g->engine, p->code[i], &g->f->f);
        i = index_of(p, g->f->f.pc);
        if (left != LEFT_EXIT || i == p->n) {
            return left;
        }
        void **from = g->f->f.left_block;
        g->kind->link(g->engine, *from, g->f->f.left_exit, p->code[i]);
    }
}

static bool program_agrees(Rig *g, Program *p, uint64_t first, int64_t budget)
{
    g->f->f.budget = budget;
    g->f->f.event = 0;
    memcpy(g->oracle, g->f, sizeof *g->f);
    memcpy(g->oracle_memory, g->memory, sizeof g->memory);
    int want = oracle_run(g, p, first), left = engine_run(g, p, first);
    if (want == LEFT_EXIT) {
        g->f->f.left_block = g;
    }
    if (!is_same(g, left, want)) {
        show(g, left, want);
        return false;
    }
    return true;
}

/* w: makes regions beside the vcpu; NULL: nobody does. Returns what became of regions. */
static JitStats programs_agree(const Engine *kind, Worker *w, uint64_t first, uint64_t end)
{
    Program *p = x_alloc(sizeof *p);
    JitStats all = {0};
    for (uint64_t seed = first; seed < end; seed++) {
        Rig *g = rig_open_with(kind, seed);
        bool is_right = true;
        if (w) {
            kind->assist(g->engine, w);
            g->has_churn = true;
        }
        program_make(g, p);
        for (int i = 0; i < LOOPS && is_right; i++) {
            fill(g);
            uint64_t at = rnd(g, p->n);
            is_right = CHECK(program_agrees(g, p, at, (int64_t)rnd(g, 300)));
        }
        release(g, p);
        const JitStats *s = &((const Jit *)g->engine)->stats;
        all.regions += s->regions;
        all.dropped += s->dropped;
        all.voided += s->voided;
        rig_close(g);
        if (!is_right) {
            printf("seed %d\n", (int)seed);
            break;
        }
    }
    mem_free(p);
    return all;
}

TEST(jit, blocks_that_are_linked_and_hot_do_what_their_ops_do)
{
    programs_agree(&engine_jit_eager, NULL, 1, SEEDS);
}

TEST(jit, blocks_that_are_run_from_their_ir_first_do_what_their_ops_do)
{
    programs_agree(&engine_hybrid_eager, NULL, 1, SEEDS);
    programs_agree(&engine_hybrid, NULL, 1, SEEDS);
}

/* ---- regions that are made beside the vcpu ---- */
static unsigned delay_least = JIT_WHEN_MADE, delay_more; /* looks; below so many more, by block */
unsigned jit_delay(uint64_t gva)
{
    return delay_more ? delay_least + (unsigned)(gva / BLOCK_BYTES * 7) % delay_more : delay_least;
}

static _Thread_local size_t code_bytes; /* of engines of this thread; 0: as ever */
size_t jit_code_bytes(void)
{
    return code_bytes;
}

/* r1 += by; goes to the other. */
static void *adder(Rig *g, void **code, unsigned which, int64_t by)
{
    ir_begin(&g->build, &g->block, g->ops, GVA + which * BLOCK_BYTES, 0);
    ir_insn(&g->build, INSN_BYTES, 0);
    ir_opi(&g->build, IR_add_i, R(1), R(1), by);
    ir_jmp(&g->build, GVA + (uint64_t)!which * BLOCK_BYTES);
    return code[which] = g->kind->prepare(g->engine, &g->block, &code[which]);
}

/* The second of two blocks goes to the first, and mostly that goes back. While a region of them is being made for the second, something
 * happens; then it is there, or it is not. Entered at the second, with a budget for three. */
TEST(jit, a_region_is_void_if_a_link_was_taken_back_or_a_block_released_while_it_was_made)
{
    enum { NOTHING, UNLINK, RELEASE, CASES };
    delay_least = 1;
    for (unsigned what = NOTHING; what < CASES; what++) {
        Rig *g = rig_open_with(&engine_hybrid_beside, 1);
        const Jit *j = g->engine;
        void *code[2];
        adder(g, code, 0, 1);
        adder(g, code, 1, 100);
        g->kind->link(g->engine, code[1], 0, code[0]);
        g->kind->link(g->engine, code[0], 0, what == RELEASE ? NULL : code[1]);
        while (!jblock_of(code[1])->is_beside) {
            g->f->f.budget = 1;
            CHECK_INT(g->kind->enter(g->engine, code[1], &g->f->f), LEFT_BUDGET);
        }
        if (what == UNLINK) {
            g->kind->link(g->engine, code[0], 0, NULL);
        } else if (what == RELEASE) {
            g->kind->release(g->engine, code[1]);
            adder(g, code, 1, 10000);
            g->kind->link(g->engine, code[1], 0, code[0]);
        }
        g->f->r[1] = 0;
        for (unsigned i = 0; i < 5; i++) {
            g->f->f.budget = 3;
            CHECK_INT(g->kind->enter(g->engine, code[1], &g->f->f), what == NOTHING ? LEFT_BUDGET : LEFT_EXIT);
        }
        CHECK_INT(g->f->r[1], what == NOTHING ? 1005 : what == UNLINK ? 505 : 50005);
        CHECK_INT(j->stats.voided, what == NOTHING ? 0 : 1);
        for (unsigned i = 0; i < 2; i++) {
            g->kind->release(g->engine, code[i]);
        }
        rig_close(g);
    }
    delay_least = JIT_WHEN_MADE;
}

TEST(jit, regions_that_come_late_do_what_their_ops_do)
{
    Worker *w = worker_new(1);
    delay_least = 0;
    for (delay_more = 0; delay_more < 40; delay_more += 13) {
        JitStats all = programs_agree(&engine_hybrid_eager, w, 1000 + 1000 * delay_more, 1100 + 1000 * delay_more);
        CHECK(all.regions > 100);
        CHECK(!delay_more || all.voided > 10);
    }
    delay_least = JIT_WHEN_MADE;
    delay_more = 0;
    worker_free(w);
}

typedef struct {
    WorkerJob job;
    sem_t may_end;
} Blocker;

static void block(WorkerJob *job)
{
    sem_wait(&((Blocker *)job)->may_end);
}

TEST(jit, a_region_that_no_thread_begins_to_make_is_made_by_the_vcpu)
{
    enum { SLICE = 1 << 16, SLICES = 20 };
    Worker *w = worker_new(1);
    Blocker blocker = {.job.run = block};
    sem_init(&blocker.may_end, 0, 0);
    CHECK(worker_give(w, &blocker.job)); /* the only thread has begun this, or will first */
    Rig *g = rig_open_with(&engine_hybrid_eager, 1);
    const Jit *j = g->engine;
    void *code[2];
    g->kind->assist(g->engine, w);
    adder(g, code, 0, 1);
    adder(g, code, 1, 1);
    g->kind->link(g->engine, code[1], 0, code[0]);
    g->kind->link(g->engine, code[0], 0, code[1]);
    g->f->r[1] = 0;
    for (unsigned i = 0; i < SLICES; i++) {
        CHECK(i > 10 || !j->stats.regions);
        g->f->f.budget = SLICE;
        g->f->f.insns_end += SLICE;
        CHECK_INT(g->kind->enter(g->engine, code[0], &g->f->f), LEFT_BUDGET);
    }
    CHECK_INT(j->stats.regions, 1);
    CHECK_INT(g->f->r[1], SLICE * SLICES);
    sem_post(&blocker.may_end);
    worker_wait(w, &blocker.job);
    g->kind->release(g->engine, code[0]);
    g->kind->release(g->engine, code[1]);
    rig_close(g);
    worker_free(w);
    sem_destroy(&blocker.may_end);
}

typedef struct {
    pthread_t thread;
    Worker *w;
    unsigned number;
} Vcpu;

static void *vcpu_run(void *arg)
{
    const Vcpu *v = arg;
    code_bytes = v->number % 2 ? 0 : 24 << 10; /* of which the code around units takes 8 */
    programs_agree(v->number / 2 % 2 ? &engine_jit_eager : &engine_hybrid_eager, v->w, 10000 * (v->number + 1),
                   10000 * (v->number + 1) + 60);
    return NULL;
}

/* Programs end, and engines with them, while regions of theirs are being made or wait for it. */
TEST(jit, several_vcpus_have_their_regions_made_beside_them_by_the_same_threads)
{
    enum { VCPUS = 4 };
    for (unsigned nthreads = 1; nthreads <= 2; nthreads++) {
        Vcpu v[VCPUS];
        Worker *w = worker_new(nthreads);
        for (unsigned i = 0; i < VCPUS; i++) {
            v[i] = (Vcpu){.w = w, .number = i};
            CHECK(!pthread_create(&v[i].thread, NULL, vcpu_run, &v[i]));
        }
        for (unsigned i = 0; i < VCPUS; i++) {
            pthread_join(v[i].thread, NULL);
        }
        worker_free(w);
    }
}

/* ---- loops of one block, of which many can be counted ---- */
enum { X = 3, BY = 4, Y = 5, FIRST_OTHER = 6 };

static Slot other(Rig *g) /* not what the loop goes on by */
{
    return R(FIRST_OTHER + rnd(g, NREGS - FIRST_OTHER));
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
    op.a = R(rnd(g, NREGS));
    op.b = info->nsrc > 1 ? R(rnd(g, NREGS)) : IR_ZERO;
    op.imm = info->has_imm ? constant(g) : 0;
    op.imm = rnd(g, 20) ? (int32_t)op.imm : op.imm;
    return op;
}

static void loop_make(Rig *g, Program *p, bool computes, int64_t *stride, bool *has_y)
{
    static const int8_t strides[] = {1, -1, 1, -1, 2, 4, 8, -8, 3, -2};
    *stride = strides[rnd(g, ARRAY_LEN(strides))];
    *has_y = rnd(g, 3);
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
    g->ntemps = 0;
    insn(g);
    ir_insn(&g->build, INSN_BYTES, 0);
    ir_jmp(&g->build, rnd(g, 3) ? TARGET : GVA);
    for (uint64_t i = 0; i < p->n; i++) {
        Err err = {0};
        CHECK(!ir_verify(&p->block[i], &guest, &err));
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

static void loops_agree(const Engine *kind, bool compute, uint64_t nseeds)
{
    Program *p = x_alloc(sizeof *p);
    bool is_right = true;
    for (uint64_t seed = 1; seed <= nseeds && is_right; seed++) {
        Rig *g = rig_open_with(kind, seed);
        int64_t stride;
        bool has_y;
        loop_make(g, p, compute, &stride, &has_y);
        for (int i = 0; i < LOOPS && is_right; i++) {
            loop_fill(g, stride, has_y);
            is_right = CHECK(program_agrees(g, p, 0, (int64_t)rnd(g, rnd(g, 2) ? 3000 : 300)));
        }
        release(g, p);
        rig_close(g);
        if (!is_right) {
            printf("seed %d\n", (int)seed);
        }
    }
    mem_free(p);
}

TEST(jit, loops_that_are_counted_do_what_their_ops_do)
{
    loops_agree(&engine_jit_eager, false, 4000);
}

TEST(jit, rounds_in_a_row_do_what_their_ops_do)
{
    loops_agree(&engine_jit_eager, true, 3000);
}

TEST(jit, every_op_does_what_its_expression_says)
{
    Rig *g = rig_open(4);
    for (int op = 0; op < IR_COUNT; op++) {
        const IrOpInfo *info = &ir_op_info[op];
        for (int i = 0; i < 400 && info->cls == CLASS_PURE; i++) {
            fill(g);
            ir_begin(&g->build, &g->block, g->ops, GVA, 0);
            ir_insn(&g->build, INSN_BYTES, 0);
            IrOp o = {.op = (uint16_t)op, .d = R(rnd(g, NREGS)), .imm = info->has_imm ? constant(g) : 0};
            operands(g, &o, info->nsrc);
            for (unsigned k = 0; k < NREGS; k++) { /* one of few, so that operands are often equal */
                g->f->r[k] = rnd(g, 3) ? corners[rnd(g, ARRAY_LEN(corners))] : (uint64_t)constant(g);
            }
            ir_emit(&g->build, &o);
            ir_jmp(&g->build, TARGET);
            if (!CHECK(block_agrees(g))) {
                break;
            }
        }
    }
    rig_close(g);
}

/* Numbers of both widths, boxed or not, near each other or at a limit. */
static uint64_t number(Rig *g)
{
    static const uint64_t some[] = {0,
                                    1ull << 63,
                                    0x3ff0000000000000,
                                    0x7ff0000000000000,
                                    0xfff0000000000000,
                                    0x7ff8000000000000,
                                    0x7ff0000000000001,
                                    1,
                                    0x10000000000000,
                                    0x7fefffffffffffff,
                                    0x41dfffffffc00000,
                                    0xc1e0000000000000,
                                    0x43e0000000000000,
                                    0xc3e0000000000000,
                                    0xffffffff00000000,
                                    0xffffffff80000000,
                                    0xffffffff3f800000,
                                    0xffffffff7f800000,
                                    0xffffffff7fc00000,
                                    0xffffffff7f800001,
                                    0xffffffff00000001,
                                    0xffffffff4f000000,
                                    0xffffffffcf000000,
                                    0x3f800000};
    uint64_t any = rnd(g, 1ull << 31) << 32 | rnd(g, 1ull << 31) << 1;
    switch (rnd(g, 5)) {
    case 0:
        return some[rnd(g, ARRAY_LEN(some))];
    case 1:
        return (any & 0x800fffffffffffff) | (1023 - 8 + rnd(g, 16)) << 52;
    case 2:
        return 0xffffffff00000000 | (any & 0x807fffff) | (127 - 8 + rnd(g, 16)) << 23;
    case 3:
        return (any & 0x800ffff000000000) | (rnd(g, 2) ? rnd(g, 3) : 2044 + rnd(g, 3)) << 52; /* tiny, huge */
    default:
        return any;
    }
}

TEST(jit, numbers_and_flags_are_those_of_softfp)
{
    Rig *g = rig_open(8);
    for (int i = 0; i < 120000; i++) {
        fill(g);
        for (unsigned k = 0; k < NREGS; k++) {
            g->f->r[k] = number(g);
        }
        ir_begin(&g->build, &g->block, g->ops, GVA, 0);
        g->ntemps = 0;
        for (uint64_t n = 1 + rnd(g, 3) * rnd(g, 6); n; n--) { /* one, or several that keep theirs in registers */
            ir_insn(&g->build, INSN_BYTES, 0);
            IrOp op = fp_op(g);
            ir_emit(&g->build, &op);
        }
        ir_insn(&g->build, INSN_BYTES, 0);
        ir_jmp(&g->build, TARGET);
        if (!CHECK(block_agrees(g))) {
            break;
        }
    }
    rig_close(g);
}

TEST(jit, a_budget_that_is_too_small_leaves_before_the_block)
{
    Rig *g = rig_open(5);
    for (int i = 0; i < 1000; i++) {
        fill(g);
        block_make(g);
        memcpy(g->oracle, g->f, sizeof *g->f);
        int64_t budget = (int64_t)rnd(g, g->block.ninsns);
        g->f->f.budget = budget;
        void *code = engine_jit.prepare(g->engine, &g->block, g);
        CHECK_INT(engine_jit.enter(g->engine, code, &g->f->f), LEFT_BUDGET);
        CHECK_INT(g->f->f.budget, budget);
        CHECK_INT(g->f->f.pc, GVA);
        CHECK(!memcmp(g->f->r, g->oracle->r, sizeof g->f->r));
        engine_jit.release(g->engine, code);
    }
    rig_close(g);
}

/* Every misaligned address in a page that is known, and those that go beyond it. */
TEST(jit, an_atomic_that_is_misaligned_traps_and_does_nothing)
{
    static const IrOpcode ops[] = {IR_amo_add, IR_amo_swap, IR_amo_min, IR_amo_cas, IR_lr, IR_sc};
    for (unsigned lg2 = 1; lg2 <= 3; lg2++) {
        for (size_t n = 0; n < ARRAY_LEN(ops); n++) {
            for (uint64_t off = 0; off < 16; off++) {
                Rig *g = rig_open(1);
                uint64_t size = 1ull << lg2, at = PAGE + SPACE_PAGE_BYTES - 16 + off;
                bool is_aligned = !(at % size);
                uint8_t before[SPACE_PAGE_BYTES];
                memcpy(before, g->memory, sizeof before);
                memset(&g->f->r, 0, sizeof g->f->r);
                g->f->r[0] = at;
                g->f->r[1] = 77;
                ir_begin(&g->build, &g->block, g->ops, GVA, 0);
                ir_insn(&g->build, INSN_BYTES, 0);
                ir_emit(&g->build, &(IrOp){.op = (uint16_t)ops[n],
                                           .aux = (uint16_t)(lg2 | MEM_ALIGNED),
                                           .d = R(2),
                                           .a = R(0),
                                           .b = ops[n] == IR_lr ? IR_ZERO : R(1),
                                           .c = ops[n] == IR_amo_cas ? R(1) : IR_ZERO});
                ir_insn(&g->build, INSN_BYTES, 0);
                ir_jmp(&g->build, GVA);
                void *code = g->kind->prepare(g->engine, &g->block, g);
                g->f->f.budget = 2;
                Left left = g->kind->enter(g->engine, code, &g->f->f);
                bool is_miss = ops[n] == IR_lr || ops[n] == IR_sc; /* the table here does not say where the page is */
                CHECK_INT(left, is_aligned && !is_miss ? LEFT_EXIT : LEFT_EVENT);
                CHECK(is_aligned || (g->f->f.trap.cause == CAUSE && g->f->f.trap.value == at && !g->f->r[2]));
                CHECK(is_aligned || !memcmp(before, g->memory, sizeof before));
                g->kind->release(g->engine, code);
                rig_close(g);
            }
        }
    }
}

TEST(jit, exits_go_where_they_are_linked_to)
{
    Rig *g = rig_open(6);
    g->f->r[1] = 0;
    void *code[2];
    for (int i = 0; i < 2; i++) { /* r1 += 1 + i; go to the other */
        ir_begin(&g->build, &g->block, g->ops, GVA + (uint64_t)i * INSN_BYTES, 0);
        ir_insn(&g->build, INSN_BYTES, 0);
        ir_opi(&g->build, IR_add_i, R(1), R(1), 1 + i);
        ir_jmp(&g->build, GVA + (uint64_t)!i * INSN_BYTES);
        code[i] = engine_jit.prepare(g->engine, &g->block, &code[i]);
    }
    engine_jit.link(g->engine, code[0], 0, code[1]);
    g->f->f.budget = 10;
    CHECK_INT(engine_jit.enter(g->engine, code[0], &g->f->f), LEFT_EXIT);
    CHECK(g->f->f.left_block == &code[1]);
    CHECK_INT(g->f->r[1], 3);
    engine_jit.link(g->engine, code[1], 0, code[0]);
    CHECK_INT(engine_jit.enter(g->engine, code[0], &g->f->f), LEFT_BUDGET);
    CHECK_INT(g->f->r[1], 15);
    engine_jit.link(g->engine, code[1], 0, NULL);
    g->f->f.budget = 10;
    CHECK_INT(engine_jit.enter(g->engine, code[1], &g->f->f), LEFT_EXIT);
    CHECK_INT(g->f->f.budget, 9);
    for (int i = 0; i < 2; i++) {
        engine_jit.release(g->engine, code[i]);
    }
    rig_close(g);
}

/* r1 += 1; goes on at itself, which is another block for the dispatcher */
static void *counter_make(Rig *g)
{
    ir_begin(&g->build, &g->block, g->ops, GVA, 0);
    ir_insn(&g->build, INSN_BYTES, 0);
    ir_opi(&g->build, IR_add_i, R(1), R(1), 1);
    ir_jmp(&g->build, GVA);
    return engine_hybrid.prepare(g->engine, &g->block, g);
}

/* The hybrid has no memory for code until a block is worth it; what was prepared, released and linked by then goes on as before. */
TEST(jit, blocks_go_on_when_the_first_code_is_made)
{
    enum { BLOCKS = 200, RUNS = 100 };
    Rig *g = rig_open_with(&engine_hybrid, 8);
    void *code[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        code[i] = counter_make(g);
        if (i % 3 == 1) { /* its place is for the next but one */
            engine_hybrid.release(g->engine, code[i - 1]);
            code[i - 1] = i % 2 ? counter_make(g) : NULL;
        }
    }
    g->f->r[1] = 0;
    uint64_t n = 0;
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < BLOCKS; i++) {
            if (code[i] && (run < 2 || i % 7 == 3)) { /* most are prepared, and hardly run */
                g->f->f.budget = 1;
                CHECK_INT(engine_hybrid.enter(g->engine, code[i], &g->f->f), LEFT_EXIT);
                CHECK_INT(g->f->r[1], ++n);
            }
        }
    }
    engine_hybrid.link(g->engine, code[10], 0, code[5]); /* of code to a stub that was made before there was any */
    engine_hybrid.link(g->engine, code[5], 0, code[1]);
    g->f->f.budget = 3;
    CHECK_INT(engine_hybrid.enter(g->engine, code[10], &g->f->f), LEFT_EXIT);
    CHECK_INT(g->f->r[1], n + 3);
    for (int i = 0; i < BLOCKS; i++) {
        if (code[i]) {
            engine_hybrid.release(g->engine, code[i]);
        }
    }
    rig_close(g);
}

TEST(jit, code_that_is_made_again_and_again_needs_no_more_memory)
{
    Rig *g = rig_open(7);
    void *kept = NULL, *first = NULL;
    block_make(g);
    for (int i = 0; i < 100000; i++) { /* else more than there is */
        void *code = engine_jit.prepare(g->engine, &g->block, g);
        CHECK(code && (!first || code == first));
        if (!kept) {
            kept = code; /* so that all is never free */
        } else {
            first = code;
            engine_jit.release(g->engine, code);
        }
    }
    engine_jit.release(g->engine, kept);
    rig_close(g);
}
#endif
