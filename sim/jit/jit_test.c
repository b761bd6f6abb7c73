/* SPDX-License-Identifier: Apache-2.0
 * Random blocks on the engine and by the evaluator (rig.h), alone and several that jump to each other; regions made beside the vcpu.
 * Loops of one block are in loop_test.c. What blocks do together is tested in sim/exec with this engine. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/jit/rig.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#ifdef JIT_HAS_HOST
static Rig *rig_open(uint64_t seed)
{
    return rig_open_with(&engine_jit, seed);
}

static void terminator(Rig *g)
{
    static const uint16_t ops[] = {IR_jmp, IR_jmpr, IR_trap, IR_stop, IR_sync, IR_syncr};
    IrOp op = {.op = ops[rnd(g, ARRAY_LEN(ops))], .imm = constant(g)};
    op.aux = op.op == IR_jmpr ? JMP_EVEN : 0;
    operands(g, &op, ir_op_info[op.op].nsrc);
    ir_emit(&g->build, &op);
}

enum { MAX_INSNS = 24 };
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
enum { SEEDS = 401 };
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
        CHECK(!ir_verify(&p->block[i], &rig_guest, &err));
    }
    memset(p->code, 0, sizeof p->code);
    prepare(g, p);
}

static CodeStore *store; /* of the engines of programs; NULL: none */

/* w: makes regions beside the vcpu; NULL: nobody does. Returns what became of regions. */
static JitStats programs_agree(const Engine *kind, Worker *w, uint64_t first, uint64_t end)
{
    Program *p = x_alloc(sizeof *p);
    JitStats all = {0};
    for (uint64_t seed = first; seed < end; seed++) {
        Rig *g = rig_open_of(kind, &rig_guest, store, seed);
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
                g->f->r[k] = rnd(g, 3) ? corners[rnd(g, NCORNERS)] : (uint64_t)constant(g);
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
                CHECK_INT(left, is_aligned ? LEFT_EXIT : LEFT_EVENT);
                CHECK(is_aligned || (g->f->f.trap.cause == CAUSE && g->f->f.trap.value == at && !g->f->r[2]));
                CHECK(is_aligned || !memcmp(before, g->memory, sizeof before));
                g->kind->release(g->engine, code);
                rig_close(g);
            }
        }
    }
}

static void insn_of(Rig *g, IrOpcode op, unsigned lg2, Slot d, Slot a, Slot b, int64_t imm)
{
    ir_insn(&g->build, INSN_BYTES, 0);
    uint16_t aux = (uint16_t)(lg2 | MEM_ALIGNED | (op == IR_sc ? 0 : MEM_SIGNED));
    ir_emit(&g->build, &(IrOp){.op = (uint16_t)op, .aux = aux, .d = d, .a = a, .b = b, .imm = imm});
}

/* All in code: what is left to C raises an event here. */
TEST(jit, a_store_conditional_stores_if_the_last_reservation_is_of_its_bytes_and_they_are_the_same)
{
    enum { NONE, RETRY, OTHER_PLACE, OTHER_SIZE, NO_LR, AFTER_ONE, AFTER_OTHER, CHANGED, SAME_AGAIN, CASES };
    static const bool fails[CASES] = {[OTHER_PLACE] = true, [OTHER_SIZE] = true,  [NO_LR] = true,
                                      [AFTER_ONE] = true,   [AFTER_OTHER] = true, [CHANGED] = true};
    for (unsigned n = 0; n < 2 * CASES; n++) {
        unsigned what = n / 2, lg2 = 2 + n % 2;
        Rig *g = rig_open(1);
        uint64_t at = PAGE + SPACE_PAGE_BYTES - 24, before = 0x1122334480000001, now = 0x5566778899aabbcc, found = 0;
        memset(&g->f->r, 0, sizeof g->f->r);
        g->f->r[0] = at;
        g->f->r[1] = now;
        g->f->r[4] = 5; /* at the other place, and again */
        memcpy(g->memory + at - PAGE, &before, sizeof before);
        memcpy(g->memory + at + 8 - PAGE, &before, sizeof before);
        ir_begin(&g->build, &g->block, g->ops, GVA, 0);
        if (what != NO_LR) {
            insn_of(g, IR_lr, what == OTHER_SIZE ? lg2 ^ 1 : lg2, R(2), R(0), IR_ZERO, what == OTHER_PLACE ? 8 : 0);
        }
        if (what == AFTER_ONE || what == AFTER_OTHER) {
            insn_of(g, IR_sc, lg2, R(5), R(0), R(2), what == AFTER_ONE ? 0 : 8);
        }
        if (what == RETRY) { /* the second lr counts */
            insn_of(g, IR_lr, lg2, R(2), R(0), IR_ZERO, 8);
            insn_of(g, IR_lr, lg2, R(2), R(0), IR_ZERO, 0);
        }
        if (what == CHANGED || what == SAME_AGAIN) {
            insn_of(g, IR_amo_add, lg2, R(6), R(0), R(4), 0);
        }
        if (what == SAME_AGAIN) {
            insn_of(g, IR_amo_swap, lg2, R(6), R(0), R(2), 0);
        }
        insn_of(g, IR_sc, lg2, R(3), R(0), R(1), 0);
        ir_insn(&g->build, INSN_BYTES, 0);
        ir_jmp(&g->build, GVA);
        g->f->r[3] = 7;
        void *code = engine_jit.prepare(g->engine, &g->block, g);
        g->f->f.budget = MAX_INSNS;
        CHECK_INT(engine_jit.enter(g->engine, code, &g->f->f), LEFT_EXIT);
        CHECK_INT(g->f->r[3], fails[what]);
        CHECK_INT(g->f->f.resv_size, 0);
        memcpy(&found, g->memory + at - PAGE, sizeof found);
        uint64_t old = what == CHANGED ? before + 5 : before, low = lg2 == 3 ? ~0ull : UINT32_MAX;
        CHECK_INT(found, fails[what] ? old : (before & ~low) | (now & low));
        if (what != OTHER_PLACE && what != NO_LR && what != OTHER_SIZE) {
            CHECK_INT(g->f->r[2], lg2 == 3 ? before : (uint64_t)(int32_t)before);
        }
        engine_jit.release(g->engine, code);
        rig_close(g);
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

/* ---- code that was made before ---- */
/* Into another store, by way of a file. */
static void store_reload(void)
{
    Buf file = {0};
    Err err;
    code_store_write(store, &file);
    code_store_free(store);
    store = code_store_new(NULL);
    CHECK_INT(code_store_read(store, file.data, file.n, "x", &err), 0);
    buf_free(&file);
}

static void store_end(void)
{
    code_store_free(store);
    store = NULL;
}

TEST(jit, code_that_was_saved_does_what_it_did)
{
    static const Engine *const kinds[] = {&engine_jit_eager, &engine_hybrid_eager, &engine_jit};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        store = code_store_new(NULL);
        JitStats first = programs_agree(kinds[i], NULL, 3000, 3150);
        store_reload();
        uint64_t saved = code_store_stats(store).records;
        JitStats again = programs_agree(kinds[i], NULL, 3000, 3150);
        CodeStoreStats s = code_store_stats(store);
        CHECK(saved > 100 && s.records == saved && s.found > saved);
        CHECK_INT(s.wanting, 0); /* not one was made */
        CHECK(first.regions == again.regions && (first.regions > 100 || kinds[i] == &engine_jit));
        store_end();
    }
}

TEST(jit, code_that_was_saved_does_what_it_did_while_other_regions_are_made)
{
    Worker *w = worker_new(2);
    store = code_store_new(NULL);
    programs_agree(&engine_hybrid_eager, w, 4000, 4100);
    store_reload();
    programs_agree(&engine_hybrid_eager, w, 4000, 4100);
    CHECK(code_store_stats(store).found > 100);
    store_end();
    worker_free(w);
}
#endif
