/* SPDX-License-Identifier: Apache-2.0
 * oracle.c - the engine that all others are compared with: one op after the other, as ir.h says it, without a thought for
 * speed. It keeps no links: an exit always leaves. */
#include "sim/base/mem.h"
#include "sim/crosscheck/crosscheck.h"
#include "sim/softmmu/softmmu.h"

#include <string.h>

typedef struct {
    const IrGuest *guest;
} Oracle;
typedef struct {
    IrBlock block;
    void *tag;
    IrOp op[];
} Code;

static void *oracle_create(const IrGuest *g)
{
    Oracle *o = x_alloc(sizeof *o);
    o->guest = g;
    return o;
}

static void oracle_destroy(void *engine)
{
    mem_free(engine);
}

static void *oracle_prepare(void *engine, const IrBlock *b, void *tag)
{
    (void)engine;
    Code *c = x_alloc(sizeof *c + b->nops * sizeof *c->op);
    memcpy(c->op, b->op, b->nops * sizeof *c->op);
    c->block = *b;
    c->block.op = c->op;
    c->tag = tag;
    return c;
}

static void oracle_link(void *engine, void *from, unsigned exit, void *to)
{
    (void)engine;
    (void)from;
    (void)exit;
    (void)to;
}

static void oracle_release(void *engine, void *code)
{
    (void)engine;
    mem_free(code);
}

static uint64_t get(const Frame *f, Slot s)
{
    uint64_t v;
    memcpy(&v, (const char *)f + s, sizeof v);
    return v;
}

static void put(Frame *f, Slot s, uint64_t v)
{
    memcpy((char *)f + s, &v, sizeof v);
}

static uint64_t fp_do(const IrGuest *g, Frame *f, const IrOp *o)
{
    uint32_t flags = (uint32_t)get(f, g->fp_flags);
    uint64_t d =
        ir_eval_fp(o, get(f, o->a), get(f, o->b), get(f, o->c), (unsigned)get(f, g->fp_rm), g->fp_mode, &flags);
    put(f, g->fp_flags, flags);
    return d;
}

/* What is not control: the value for d. */
static uint64_t op_do(const IrGuest *g, Frame *f, const IrOp *o)
{
    uint64_t a = get(f, o->a), b = get(f, o->b), c = get(f, o->c);
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
        return ir_eval((IrOpcode)o->op, a, b, c, o->imm);
    case CLASS_FP:
        return fp_do(g, f, o);
    case CLASS_LOAD:
        return mmu_load(f, a + (uint64_t)o->imm, o->aux);
    case CLASS_STORE:
        mmu_store(f, a + (uint64_t)o->imm, b, o->aux);
        return 0;
    case CLASS_ATOMIC:
        return mmu_atomic(f, (IrOpcode)o->op, a + (uint64_t)o->imm, b, c, o->aux);
    case CLASS_CALL:
        return g->helpers[o->aux].fn(f, a, b, c, o->imm);
    case CLASS_FENCE:
    case CLASS_SIDE_EXIT:
    case CLASS_TERM:
        break;
    }
    return 0;
}

static Left event_leave(Frame *f, const Code *c, const IrOp *o)
{
    f->left_block = c->tag;
    f->pc = c->block.gva + c->block.insn_at[o->insn];
    return LEFT_EVENT;
}

static Left exit_leave(Frame *f, const Code *c, unsigned exit, uint64_t pc)
{
    f->left_block = c->tag;
    f->left_exit = exit;
    f->pc = pc;
    return LEFT_EXIT;
}

static Left term_do(Frame *f, const Code *c, const IrOp *o, unsigned exit)
{
    uint64_t a = get(f, o->a), pc = a + (uint64_t)o->imm;
    switch ((unsigned)o->op) {
    case IR_jmp:
        return exit_leave(f, c, exit, (uint64_t)o->imm);
    case IR_jmpr:
        f->pc = o->aux & JMP_EVEN ? pc & ~1ull : pc;
        return LEFT_INDIRECT;
    case IR_trap:
        f->budget++; /* it does not retire */
        frame_raise(f, (uint64_t)o->imm, a);
        return event_leave(f, c, o);
    case IR_stop:
        f->stop_reason = o->aux;
        f->stop_imm = (uint64_t)o->imm;
        f->pc = a;
        return LEFT_STOP;
    case IR_sync:
        f->pc = (uint64_t)o->imm;
        return LEFT_SYNC;
    default: /* syncr */
        f->pc = pc;
        return LEFT_SYNC;
    }
}

static Left oracle_enter(void *engine, void *code, Frame *f)
{
    const Oracle *oracle = engine;
    const Code *c = code;
    const IrBlock *b = &c->block;
    unsigned exit = 0;
    int64_t budget = f->budget;
    f->event = 0;
    if (budget < b->ninsns) {
        f->pc = b->gva;
        return LEFT_BUDGET;
    }
    for (const IrOp *o = b->op;; o++) {
        IrClass cls = ir_op_info[o->op].cls;
        if (cls == CLASS_TERM) {
            f->budget = budget - b->ninsns;
            return term_do(f, c, o, exit);
        }
        if (cls == CLASS_SIDE_EXIT) {
            if (ir_cond((IrCond)o->aux, get(f, o->a), get(f, o->b))) {
                f->budget = budget - o->insn - 1;
                return exit_leave(f, c, exit, (uint64_t)o->imm);
            }
            exit++;
            continue;
        }
        f->budget = budget - o->insn; /* of which only who may look makes use */
        uint64_t d = op_do(oracle->guest, f, o);
        if (f->event) {
            return event_leave(f, c, o);
        }
        if (ir_op_info[o->op].has_dst && o->d != IR_ZERO) {
            put(f, o->d, d);
        }
    }
}

const Engine engine_oracle = {
    .name = "oracle",
    .create = oracle_create,
    .destroy = oracle_destroy,
    .prepare = oracle_prepare,
    .enter = oracle_enter,
    .link = oracle_link,
    .release = oracle_release,
};
