/* SPDX-License-Identifier: Apache-2.0
 * The guest of rig.h, its oracle, and blocks at random. */
#include "sim/jit/rig.h"

#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>

#ifdef JIT_HAS_HOST
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

enum { CAUSE_HELPER = 77 };
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
const IrGuest rig_guest = {.name = "rig",
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

uint64_t rnd(Rig *g, uint64_t below)
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

Rig *rig_open_of(const Engine *kind, const IrGuest *guest, CodeStore *store, uint64_t seed)
{
    static const MmuGuest mmu_guest = {.nregimes = 1, .walk = walk, .align_fault = align_fault};
    Rig *g = x_alloc(sizeof *g);
    *g = (Rig){.f = x_alloc(sizeof *g->f),
               .oracle = x_alloc(sizeof *g->f),
               .space = space_new(),
               .kind = kind,
               .budget = BUDGET,
               .engine = kind->create(guest),
               .random = seed};
    if (store) {
        kind->recall(g->engine, store);
    }
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

Rig *rig_open_with(const Engine *kind, uint64_t seed)
{
    return rig_open_of(kind, &rig_guest, NULL, seed);
}

void rig_close(Rig *g)
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
        put(g, op->d, ir_eval_fp(op, a, b, c, (unsigned)g->oracle->fp_rm, rig_guest.fp_mode, &flags));
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
const uint64_t corners[NCORNERS] = {0,
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

int64_t constant(Rig *g)
{
    switch (rnd(g, 4)) {
    case 0:
        return (int64_t)corners[rnd(g, NCORNERS)];
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

void operands(Rig *g, IrOp *op, unsigned nsrc)
{
    op->a = nsrc > 0 ? source(g) : IR_ZERO;
    op->b = nsrc > 1 ? source(g) : IR_ZERO;
    op->c = nsrc > 2 ? source(g) : IR_ZERO;
}

IrOp pure_op(Rig *g, Slot d)
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

IrOp fp_op(Rig *g)
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

int64_t target(Rig *g)
{
    return g->ntargets ? GVA + (int64_t)rnd(g, g->ntargets) * BLOCK_BYTES : TARGET + (int64_t)rnd(g, 64) * 4;
}

/* An instruction: pure ops into temporaries, then one op that writes a register, or may raise an event. */
void insn(Rig *g)
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

void fill(Rig *g)
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
    ir_print(&g->block, &rig_guest, &text);
    printf("%s", text.data);
    buf_free(&text);
}

bool block_agrees(Rig *g)
{
    Err err = {0};
    if (ir_verify(&g->block, &rig_guest, &err)) {
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

/* ---- several blocks ---- */
void release(Rig *g, Program *p)
{
    for (uint64_t i = 0; i < p->n; i++) {
        if (p->code[i]) {
            g->kind->release(g->engine, p->code[i]);
            p->code[i] = NULL;
        }
    }
}

/* What is not there. If there is no room, all goes first. */
void prepare(Rig *g, Program *p)
{
    for (uint64_t i = 0; i < p->n; i++) {
        if (!p->code[i] && !(p->code[i] = g->kind->prepare(g->engine, &p->block[i], &p->code[i]))) {
            release(g, p);
            i = UINT64_MAX;
        }
    }
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

bool program_agrees(Rig *g, Program *p, uint64_t first, int64_t budget)
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
#endif
