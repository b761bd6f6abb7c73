/* SPDX-License-Identifier: Apache-2.0
 * cold.c - runs a block from its IR, op by op: for code that is run so seldom that making code of it would take longer. */
#include "sim/jit/jit_int.h"
#include "sim/softmmu/softmmu.h"

enum { GO_ON = -1 }; /* beside the values of Left */

typedef struct {
    Jit *j;
    Frame *f;
    JBlock *b;
    const IrOp *o;
    JBlock *next;
} Cold;

static uint64_t *slot(const Cold *c, Slot s)
{
    return (uint64_t *)(void *)((char *)c->f + s);
}

static void put(const Cold *c, uint64_t value)
{
    if (c->o->d != IR_ZERO) {
        *slot(c, c->o->d) = value;
    }
}

static int64_t rest(const Cold *c)
{
    return (int64_t)c->b->ninsns - c->o->insn;
}

static int event(const Cold *c)
{
    c->f->left_block = c->b->tag;
    c->f->pc = c->b->gva + c->b->insn_at[c->o->insn];
    return LEFT_EVENT;
}

/* What may raise an event: it sees the count at its instruction. */
static int slow(const Cold *c)
{
    const IrOp *o = c->o;
    Frame *f = c->f;
    uint64_t a = *slot(c, o->a), b = *slot(c, o->b), third = *slot(c, o->c), value = 0;
    f->budget += rest(c);
    switch (ir_op_info[o->op].cls) {
    case CLASS_LOAD:
        value = mmu_load(f, a + (uint64_t)o->imm, o->aux);
        break;
    case CLASS_STORE:
        mmu_store(f, a + (uint64_t)o->imm, b, o->aux);
        break;
    case CLASS_ATOMIC:
        value = mmu_atomic(f, (IrOpcode)o->op, a + (uint64_t)o->imm, b, third, o->aux);
        break;
    case CLASS_CALL:
        value = c->j->guest->helpers[o->aux].fn(f, a, b, third, o->imm);
        break;
    case CLASS_PURE:
    case CLASS_FP:
    case CLASS_FENCE:
    case CLASS_SIDE_EXIT:
    case CLASS_TERM:
        break;
    }
    if (f->event) {
        return event(c);
    }
    f->budget -= rest(c);
    if (ir_op_info[o->op].has_dst) {
        put(c, value);
    }
    return GO_ON;
}

static GUEST_ACCESS uint64_t load(const void *host, uint32_t aux)
{
    switch (aux & (3 | MEM_SIGNED)) {
    case 0:
        return *(const GuestU8 *)host;
    case 1:
        return *(const GuestU16 *)host;
    case 2:
        return *(const GuestU32 *)host;
    case 0 | MEM_SIGNED:
        return (uint64_t) * (const GuestS8 *)host;
    case 1 | MEM_SIGNED:
        return (uint64_t) * (const GuestS16 *)host;
    case 2 | MEM_SIGNED:
        return (uint64_t) * (const GuestS32 *)host;
    default:
        return *(const GuestU64 *)host;
    }
}

static GUEST_ACCESS void store(void *host, uint32_t aux, uint64_t value)
{
    switch (MEM_LG2(aux)) {
    case 0:
        *(GuestU8 *)host = (uint8_t)value;
        break;
    case 1:
        *(GuestU16 *)host = (uint16_t)value;
        break;
    case 2:
        *(GuestU32 *)host = (uint32_t)value;
        break;
    default:
        *(GuestU64 *)host = value;
        break;
    }
}

static int access_do(const Cold *c)
{
    const IrOp *o = c->o;
    const Frame *f = c->f;
    uint64_t gva = *slot(c, o->a) + (uint64_t)o->imm;
    if (o->aux & (MEM_ALIGNED | MEM_FETCHLIKE) || MEM_REGIME_OF(o->aux)) {
        return slow(c);
    }
    void *host = tlb_hit(o->op == IR_ld ? f->tlb_read : f->tlb_write, f->tlb_key, gva, MEM_SIZE(o->aux));
    if (!host) {
        return slow(c);
    }
    if (o->op == IR_ld) {
        put(c, load(host, o->aux));
    } else {
        store(host, o->aux, *slot(c, o->b));
    }
    return GO_ON;
}

static void number(const Cold *c)
{
    const IrOp *o = c->o;
    const IrGuest *g = c->j->guest;
    uint32_t flags = (uint32_t)*slot(c, g->fp_flags);
    unsigned rm = FP_RM(o->aux) == RM_DYN ? (unsigned)*slot(c, g->fp_rm) : FP_RM(o->aux);
    put(c, ir_eval_fp(o, *slot(c, o->a), *slot(c, o->b), *slot(c, o->c), rm, g->fp_mode, &flags));
    *slot(c, g->fp_flags) = flags;
}

static JBlock *known(const Frame *f, uint64_t pc)
{
    void *code = jump_find(f->jump, pc);
    return code ? jblock_of(code) : NULL;
}

static int leave_by_exit(Cold *c)
{
    Frame *f = c->f;
    uint32_t number = 0;
    for (const IrOp *p = c->b->op; p < c->o; p++) {
        number += p->op == IR_brcond || p->op == IR_jmp;
    }
    f->budget += rest(c) - 1;
    c->next = c->b->to[number];
    if (c->b->code_to[number] == LINK_BY_JUMP_CACHE) {
        c->next = known(f, (uint64_t)c->o->imm);
    }
    f->left_block = c->b->tag;
    f->left_exit = number;
    f->pc = (uint64_t)c->o->imm;
    return LEFT_EXIT;
}

static int terminator(Cold *c)
{
    const IrOp *o = c->o;
    Frame *f = c->f;
    uint64_t a = *slot(c, o->a), target = a + (uint64_t)o->imm;
    switch (o->op) {
    case IR_jmp:
        return leave_by_exit(c);
    case IR_jmpr:
        f->pc = o->aux & JMP_EVEN ? target & ~1ull : target;
        c->next = known(f, f->pc);
        return LEFT_INDIRECT;
    case IR_trap:
        f->trap = (Trap){.cause = (uint64_t)o->imm, .value = a};
        f->event = EVENT_TRAP;
        f->budget += rest(c);
        return event(c);
    case IR_stop:
        f->stop_reason = o->aux;
        f->stop_imm = (uint64_t)o->imm;
        f->pc = a;
        return LEFT_STOP;
    default: /* sync, syncr: the a of sync is IR_ZERO */
        f->pc = target;
        return LEFT_SYNC;
    }
}

static int op_run(Cold *c)
{
    const IrOp *o = c->o;
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
        put(c, ir_eval((IrOpcode)o->op, *slot(c, o->a), *slot(c, o->b), *slot(c, o->c), o->imm));
        return GO_ON;
    case CLASS_FP:
        number(c);
        return GO_ON;
    case CLASS_LOAD:
    case CLASS_STORE:
        return access_do(c);
    case CLASS_ATOMIC:
    case CLASS_CALL:
        return slow(c);
    case CLASS_FENCE:
        atomic_thread_fence(memory_order_seq_cst);
        return GO_ON;
    case CLASS_SIDE_EXIT:
        return ir_cond((IrCond)o->aux, *slot(c, o->a), *slot(c, o->b)) ? leave_by_exit(c) : GO_ON;
    case CLASS_TERM:
        return terminator(c);
    }
    return GO_ON;
}

Left jit_cold_run(Jit *j, JBlock *b, Frame *f, JBlock **next)
{
    Cold c = {.j = j, .f = f, .b = b};
    *next = NULL;
    f->budget -= b->ninsns;
    if (f->budget < 0) {
        f->budget += b->ninsns;
        f->pc = b->gva;
        return LEFT_BUDGET;
    }
    int left = GO_ON;
    for (c.o = b->op; left == GO_ON; c.o++) {
        left = op_run(&c);
    }
    *next = c.next;
    return (Left)left;
}
