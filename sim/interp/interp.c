/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/interp/interp.h"

#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/ir/ir_math.h"
#include "sim/softmmu/softmmu.h"

#include <assert.h>
#include <string.h>

enum { CODE_BYTES = 32 << 20 };

/* ---- code ---- */
typedef struct {
    const void *handler;
    Slot d, a, b, c;
    int64_t imm;
} Op;
_Static_assert(sizeof(Op) == 24, "three words: the loop's stride");

/* What an exit goes to: a block, or the stub that leaves for the dispatcher. Both are entered alike. */
typedef struct Head {
    int64_t ninsns; /* 0: a stub */
    uint64_t pc;
    Op op[];
} Head;
typedef struct {
    Head head;
    Op op[1];
} Stub;
typedef struct {
    uint16_t op, aux, insn, handler; /* handler: of the op alone */
} OpMeta;                            /* what only slow paths need */
typedef struct {
    Op *site[IR_MAX_EXITS]; /* whose imm is the exit's Head */
    Stub stub[IR_MAX_EXITS];
    OpMeta *meta; /* by op */
    uint16_t insn_at[IR_BLOCK_MAX_INSNS];
    unsigned nexits;
    const IrGuest *guest;
    void *tag;
    Head head; /* its ops follow */
} Code;
static Code *code_of(Head *h)
{
    return (Code *)(void *)((char *)h - offsetof(Code, head));
}

typedef struct {
    const IrGuest *guest;
    uint8_t *memory; /* CODE_BYTES, touched as it is used */
    size_t used, nlive;
} Interp;

/* ---- handlers: one per form that the loop tells apart ---- */
/* Forms of MEM ops: X(name, type, aux) */
#define LOADS(X)                                                                                                       \
    X(ld8, uint8_t, 0)                                                                                                 \
    X(lds8, int8_t, MEM_SIGNED)                                                                                        \
    X(ld16, uint16_t, 1)                                                                                               \
    X(lds16, int16_t, 1 | MEM_SIGNED) X(ld32, uint32_t, 2) X(lds32, int32_t, 2 | MEM_SIGNED) X(ld64, uint64_t, 3)
#define STORES(X) X(st8, uint8_t, 0) X(st16, uint16_t, 1) X(st32, uint32_t, 2) X(st64, uint64_t, 3)
#define BRANCHES(X)                                                                                                    \
    X(breq, COND_EQ, a == b)                                                                                           \
    X(brne, COND_NE, a != b)                                                                                           \
    X(brlt, COND_LT, (int64_t)a < (int64_t)b)                                                                          \
    X(brge, COND_GE, (int64_t)a >= (int64_t)b)                                                                         \
    X(brltu, COND_LTU, a < b)                                                                                          \
    X(brgeu, COND_GEU, a >= b)
#define OTHERS(X)                                                                                                      \
    X(ld_any)                                                                                                          \
    X(st_any)                                                                                                          \
    X(atomic) X(fence) X(fp) X(call) X(jmp) X(jmpr) X(trap) X(stop) X(sync) X(syncr) X(leave) X(leave_far)

typedef enum {
#define NUL(name, expr) H_##name,
#define UN(name, expr)  H_##name,
#define BIN(name, expr) H_##name, H_##name##_i,
#define TRI(name, expr) H_##name,
#define FP(name, nsrc)
#define MEM(name, ...)
#define CTL(name, ...)
#include "sim/ir/ir_ops.def"
#undef NUL
#undef UN
#undef BIN
#undef TRI
#undef FP
#undef MEM
#undef CTL
#define X(name, ...) H_##name,
    LOADS(X) STORES(X) BRANCHES(X) OTHERS(X)
#undef X
#define PAIR(first, second) H_##first##__##second,
#include "sim/interp/pairs.def"
#undef PAIR
        H_COUNT
} Handler;

/* handlers[h]: filled by a call of the loop without code, as labels are visible inside it only. */
static Left interp_loop(Head *head, Frame *f, const void *const **handlers);

/* ---- lowering ---- */
static Handler lower_mem(const IrOp *op)
{
    static const struct {
        uint16_t aux;
        Handler load, store;
    } forms[] = {
#define X(name, type, aux_) {aux_, H_##name, H_st_any},
        LOADS(X)
#undef X
#define X(name, type, aux_) {aux_, H_ld_any, H_##name},
            STORES(X)
#undef X
    };
    uint16_t aux = op->aux & (uint16_t)~MEM_ALONE;
    Handler any = op->op == IR_ld ? H_ld_any : H_st_any;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        Handler h = op->op == IR_ld ? forms[i].load : forms[i].store;
        if (forms[i].aux == aux && h != any) {
            return h;
        }
    }
    return any;
}

static Handler lower(const IrOp *op)
{
    static const Handler branches[COND_COUNT] = {
#define X(name, cond, expr) [cond] = H_##name,
        BRANCHES(X)
#undef X
    };
    static const Handler plain[IR_COUNT] = {
#define NUL(name, expr) [IR_##name] = H_##name,
#define UN(name, expr)  [IR_##name] = H_##name,
#define BIN(name, expr) [IR_##name] = H_##name, [IR_##name##_i] = H_##name##_i,
#define TRI(name, expr) [IR_##name] = H_##name,
#define FP(name, nsrc)  [IR_##name] = H_fp,
#define MEM(name, ...)
#define CTL(name, ...)
#include "sim/ir/ir_ops.def"
#undef NUL
#undef UN
#undef BIN
#undef TRI
#undef FP
#undef MEM
#undef CTL
        [IR_call] = H_call, [IR_jmp] = H_jmp,   [IR_jmpr] = H_jmpr,   [IR_trap] = H_trap,
        [IR_stop] = H_stop, [IR_sync] = H_sync, [IR_syncr] = H_syncr,
    };
    switch (ir_op_info[op->op].cls) {
    case CLASS_LOAD:
    case CLASS_STORE:
        return lower_mem(op);
    case CLASS_ATOMIC:
        return H_atomic;
    case CLASS_FENCE:
        return H_fence;
    case CLASS_SIDE_EXIT:
        return branches[op->aux];
    case CLASS_PURE:
    case CLASS_FP:
    case CLASS_CALL:
    case CLASS_TERM:
        break;
    }
    return plain[op->op];
}

static Handler pair_of(Handler first, Handler second)
{
    static const uint16_t pairs[H_leave_far + 1][H_leave_far + 1] = {
#define PAIR(first, second) [H_##first][H_##second] = H_##first##__##second,
#include "sim/interp/pairs.def"
#undef PAIR
    };
    return (Handler)pairs[first][second];
}

static void *interp_create(const IrGuest *g)
{
    Interp *in = x_alloc(sizeof *in);
    in->guest = g;
    in->memory = os_pages_new(CODE_BYTES);
    return in;
}

static void interp_destroy(void *engine)
{
    Interp *in = engine;
    os_pages_free(in->memory, CODE_BYTES);
    mem_free(in);
}

static Code *code_new(Interp *in, const IrBlock *b, void *tag)
{
    size_t size = sizeof(Code) + b->nops * (sizeof(Op) + sizeof(OpMeta));
    size = (size + 15) & ~(size_t)15;
    if (in->used + size > CODE_BYTES) {
        return NULL;
    }
    Code *c = (Code *)(void *)(in->memory + in->used);
    in->used += size;
    in->nlive++;
    c->meta = (OpMeta *)(void *)(c->head.op + b->nops);
    c->nexits = 0;
    c->guest = in->guest;
    c->tag = tag;
    memcpy(c->insn_at, b->insn_at, sizeof c->insn_at);
    c->head.ninsns = b->ninsns;
    c->head.pc = b->gva;
    return c;
}

static void exit_add(Code *c, Op *op, uint64_t target, const void *leave)
{
    unsigned n = c->nexits++;
    c->site[n] = op;
    c->stub[n].head = (Head){.pc = target};
    c->stub[n].op[0] = (Op){.handler = leave, .c = (Slot)n, .imm = (int64_t)(uintptr_t)c};
    op->imm = (int64_t)(uintptr_t)&c->stub[n].head;
}

static void op_lower(Code *c, const IrBlock *b, uint32_t i, const void *const *handlers)
{
    const IrOp *from = &b->op[i];
    Op *to = &c->head.op[i];
    Handler h = lower(from);
    *to = (Op){.handler = handlers[h], .d = from->d, .a = from->a, .b = from->b, .c = from->c, .imm = from->imm};
    c->meta[i] = (OpMeta){.op = from->op, .aux = from->aux, .insn = (uint16_t)from->insn, .handler = (uint16_t)h};
    if (from->op == IR_brcond || from->op == IR_jmp) {
        to->d = (Slot)(b->ninsns - from->insn - 1); /* what this exit gives back */
        exit_add(c, to, (uint64_t)from->imm, handlers[H_leave]);
    } else if (from->op == IR_jmpr) {
        to->b = from->aux & JMP_EVEN;
    }
}

static void *interp_prepare(void *engine, const IrBlock *b, void *tag)
{
    const void *const *handlers;
    interp_loop(NULL, NULL, &handlers);
    Interp *in = engine;
    assert(b->nops && b->nops <= IR_BLOCK_MAX_OPS);
    Code *c = code_new(in, b, tag);
    if (!c) {
        return NULL;
    }
    for (uint32_t i = 0; i < b->nops; i++) {
        op_lower(c, b, i, handlers);
    }
    for (uint32_t i = 0; i + 1 < b->nops; i++) {
        Handler pair = pair_of((Handler)c->meta[i].handler, (Handler)c->meta[i + 1].handler);
        if (pair) {
            c->head.op[i].handler = handlers[pair];
            i++;
        }
    }
    return &c->head;
}

static void interp_link(void *engine, void *from, unsigned exit, void *to)
{
    (void)engine;
    const void *const *handlers;
    interp_loop(NULL, NULL, &handlers);
    Code *c = code_of(from);
    assert(exit < c->nexits);
    bool is_stub = !to || to == LINK_BY_JUMP_CACHE;
    c->stub[exit].op[0].handler = handlers[to == LINK_BY_JUMP_CACHE ? H_leave_far : H_leave];
    c->site[exit]->imm = (int64_t)(uintptr_t)(is_stub ? &c->stub[exit].head : to);
}

static void interp_release(void *engine, void *code)
{
    (void)code;
    Interp *in = engine;
    if (!--in->nlive) {
        in->used =
            0; /* code is given back when nothing is left of it: the dispatcher throws all away when it is full */
    }
}

/* ---- slow paths: out of the loop, so that it keeps its registers ---- */
typedef struct {
    Head *head;
    const Op *op;
    int64_t budget;
} Spot;

static const OpMeta *spot_enter(Frame *f, const Spot *s)
{
    const OpMeta *meta = &code_of(s->head)->meta[s->op - s->head->op];
    f->budget = s->budget + s->head->ninsns - meta->insn;
    return meta;
}

/* The state of an event at this op (P2): its instruction has not retired. */
static Left spot_event(Frame *f, const Spot *s)
{
    const OpMeta *meta = spot_enter(f, s);
    f->left_block = code_of(s->head)->tag;
    f->pc = s->head->pc + code_of(s->head)->insn_at[meta->insn];
    return LEFT_EVENT;
}

static __attribute__((noinline)) uint64_t slow_load(Frame *f, uint64_t gva, Spot s)
{
    return mmu_load(f, gva, spot_enter(f, &s)->aux);
}

static __attribute__((noinline)) void slow_store(Frame *f, uint64_t gva, uint64_t value, Spot s)
{
    mmu_store(f, gva, value, spot_enter(f, &s)->aux);
}

#define S(slot) (*(uint64_t *)(void *)((char *)f + (slot)))

static __attribute__((noinline)) void slow_atomic(Frame *f, Spot s)
{
    const OpMeta *meta = spot_enter(f, &s);
    const Op *p = s.op;
    uint64_t value = mmu_atomic(f, (IrOpcode)meta->op, S(p->a) + (uint64_t)p->imm, S(p->b), S(p->c), meta->aux);
    if (!f->event && p->d) {
        S(p->d) = value;
    }
}

static __attribute__((noinline)) void slow_call(Frame *f, Spot s)
{
    const OpMeta *meta = spot_enter(f, &s);
    const Op *p = s.op;
    uint64_t value = code_of(s.head)->guest->helpers[meta->aux].fn(f, S(p->a), S(p->b), S(p->c), p->imm);
    if (!f->event && p->d) {
        S(p->d) = value;
    }
}

static __attribute__((noinline)) void slow_fp(Frame *f, const Head *head, const Op *p)
{
    const Code *c = code_of((Head *)(uintptr_t)head);
    const OpMeta *meta = &c->meta[p - head->op];
    const IrGuest *g = c->guest;
    IrOp op = {.op = meta->op, .aux = meta->aux};
    uint32_t flags = (uint32_t)S(g->fp_flags);
    unsigned rm = FP_RM(meta->aux) == RM_DYN ? (unsigned)S(g->fp_rm) : FP_RM(meta->aux);
    S(p->d) = ir_eval_fp(&op, S(p->a), S(p->b), S(p->c), rm, g->fp_mode, &flags);
    S(g->fp_flags) = flags;
}

static Left leave_trap(Frame *f, Spot s)
{
    f->trap = (Trap){.cause = (uint64_t)s.op->imm, .value = S(s.op->a)};
    f->event = EVENT_TRAP;
    return spot_event(f, &s);
}

static Left leave_stop(Frame *f, Spot s)
{
    const OpMeta *meta = spot_enter(f, &s);
    f->budget = s.budget;
    f->stop_reason = meta->aux;
    f->stop_imm = (uint64_t)s.op->imm;
    f->pc = S(s.op->a);
    return LEFT_STOP;
}

static Left leave_exit(Frame *f, const Op *p, int64_t budget)
{
    Code *c = (Code *)(uintptr_t)p->imm;
    f->budget = budget;
    f->left_block = c->tag;
    f->left_exit = p->c;
    f->pc = c->stub[p->c].head.pc;
    return LEFT_EXIT;
}

/* ---- what an op does: used alone and in pairs ---- */
#define INLINE static inline __attribute__((always_inline)) void
#define NUL(name, expr)                                                                                                \
    INLINE do_##name(Frame *f, const Op *p)                                                                            \
    {                                                                                                                  \
        uint64_t imm = (uint64_t)p->imm;                                                                               \
        S(p->d) = (expr);                                                                                              \
    }
#define UN(name, expr)                                                                                                 \
    INLINE do_##name(Frame *f, const Op *p)                                                                            \
    {                                                                                                                  \
        uint64_t a = S(p->a);                                                                                          \
        S(p->d) = (expr);                                                                                              \
    }
#define BIN(name, expr)                                                                                                \
    INLINE do_##name(Frame *f, const Op *p)                                                                            \
    {                                                                                                                  \
        uint64_t a = S(p->a), b = S(p->b);                                                                             \
        S(p->d) = (expr);                                                                                              \
    }                                                                                                                  \
    INLINE do_##name##_i(Frame *f, const Op *p)                                                                        \
    {                                                                                                                  \
        uint64_t a = S(p->a), b = (uint64_t)p->imm;                                                                    \
        S(p->d) = (expr);                                                                                              \
    }
#define TRI(name, expr)                                                                                                \
    INLINE do_##name(Frame *f, const Op *p)                                                                            \
    {                                                                                                                  \
        uint64_t a = S(p->a), b = S(p->b), c = S(p->c);                                                                \
        S(p->d) = (expr);                                                                                              \
    }
#define FP(name, nsrc)
#define MEM(name, ...)
#define CTL(name, ...)
#include "sim/ir/ir_ops.def"
#undef NUL
#undef UN
#undef BIN
#undef TRI
#undef FP
#undef MEM
#undef CTL

/* ---- the loop ----
 * Locals that the compiler keeps in host registers: f, head, p, budget, the TLB's tables and key. GO runs the op at p. */
#define GO goto * p->handler
#define NEXT(n)                                                                                                        \
    do {                                                                                                               \
        p += (n);                                                                                                      \
        GO;                                                                                                            \
    } while (0)
#define SPOT(q)          ((Spot){head, (q), budget})
#define PURE_AT(name, q) do_##name(f, (q))
#define LOAD_AT(type, q)                                                                                               \
    do {                                                                                                               \
        uint64_t gva = S((q)->a) + (uint64_t)(q)->imm, value;                                                          \
        const void *host = tlb_hit(reads, key, gva, sizeof(type));                                                     \
        if (__builtin_expect(host != NULL, 1)) {                                                                       \
            type loaded;                                                                                               \
            memcpy(&loaded, host, sizeof loaded);                                                                      \
            value = (uint64_t)(int64_t)loaded;                                                                         \
        } else {                                                                                                       \
            value = slow_load(f, gva, SPOT(q));                                                                        \
            if (f->event) {                                                                                            \
                return spot_event(f, &SPOT(q));                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        S((q)->d) = value;                                                                                             \
    } while (0)
#define STORE_AT(type, q)                                                                                              \
    do {                                                                                                               \
        uint64_t gva = S((q)->a) + (uint64_t)(q)->imm;                                                                 \
        void *host = tlb_hit(writes, key, gva, sizeof(type));                                                          \
        if (__builtin_expect(host != NULL, 1)) {                                                                       \
            type stored = (type)S((q)->b);                                                                             \
            memcpy(host, &stored, sizeof stored);                                                                      \
        } else {                                                                                                       \
            slow_store(f, gva, S((q)->b), SPOT(q));                                                                    \
            if (f->event) {                                                                                            \
                return spot_event(f, &SPOT(q));                                                                        \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
#define ENTER(to)                                                                                                      \
    do {                                                                                                               \
        head = (to);                                                                                                   \
        budget -= head->ninsns;                                                                                        \
        if (__builtin_expect(budget < 0, 0)) {                                                                         \
            goto out_of_budget;                                                                                        \
        }                                                                                                              \
        p = head->op;                                                                                                  \
        GO;                                                                                                            \
    } while (0)
#define JUMP_AT(q)                                                                                                     \
    do {                                                                                                               \
        budget += (q)->d;                                                                                              \
        ENTER((Head *)(uintptr_t)(q)->imm);                                                                            \
    } while (0)
#define BRANCH_AT(expr, q)                                                                                             \
    do {                                                                                                               \
        uint64_t a = S((q)->a), b = S((q)->b);                                                                         \
        if (expr) {                                                                                                    \
            JUMP_AT(q);                                                                                                \
        }                                                                                                              \
    } while (0)
#define EVENT_AT(q)                                                                                                    \
    do {                                                                                                               \
        if (__builtin_expect(f->event, 0)) {                                                                           \
            return spot_event(f, &SPOT(q));                                                                            \
        }                                                                                                              \
    } while (0)
/* By name, so that pairs.def can name any form */
#define AT_ld8(q)   LOAD_AT(uint8_t, q)
#define AT_lds8(q)  LOAD_AT(int8_t, q)
#define AT_ld16(q)  LOAD_AT(uint16_t, q)
#define AT_lds16(q) LOAD_AT(int16_t, q)
#define AT_ld32(q)  LOAD_AT(uint32_t, q)
#define AT_lds32(q) LOAD_AT(int32_t, q)
#define AT_ld64(q)  LOAD_AT(uint64_t, q)
#define AT_st8(q)   STORE_AT(uint8_t, q)
#define AT_st16(q)  STORE_AT(uint16_t, q)
#define AT_st32(q)  STORE_AT(uint32_t, q)
#define AT_st64(q)  STORE_AT(uint64_t, q)
#define AT_breq(q)  BRANCH_AT(a == b, q)
#define AT_brne(q)  BRANCH_AT(a != b, q)
#define AT_brlt(q)  BRANCH_AT((int64_t)a < (int64_t)b, q)
#define AT_brge(q)  BRANCH_AT((int64_t)a >= (int64_t)b, q)
#define AT_brltu(q) BRANCH_AT(a < b, q)
#define AT_brgeu(q) BRANCH_AT(a >= b, q)
#define AT_jmp(q)   JUMP_AT(q)

static Left interp_loop(Head *head, Frame *f, const void *const **handlers)
{
    static const void *const table[H_COUNT] = {
#define NUL(name, expr) [H_##name] = &&L_##name,
#define UN(name, expr)  [H_##name] = &&L_##name,
#define BIN(name, expr) [H_##name] = &&L_##name, [H_##name##_i] = &&L_##name##_i,
#define TRI(name, expr) [H_##name] = &&L_##name,
#define FP(name, nsrc)
#define MEM(name, ...)
#define CTL(name, ...)
#include "sim/ir/ir_ops.def"
#undef NUL
#undef UN
#undef BIN
#undef TRI
#undef FP
#undef MEM
#undef CTL
#define X(name, ...) [H_##name] = &&L_##name,
        LOADS(X) STORES(X) BRANCHES(X) OTHERS(X)
#undef X
#define PAIR(first, second) [H_##first##__##second] = &&L_##first##__##second,
#include "sim/interp/pairs.def"
#undef PAIR
    };
    if (!head) {
        *handlers = table;
        return LEFT_EXIT;
    }
    const Op *p;
    int64_t budget = f->budget;
    const TlbEntry *const reads = f->tlb_read, *const writes = f->tlb_write;
    const uint64_t key = f->tlb_key;
    ENTER(head);

#define NUL(name, expr)                                                                                                \
    L_##name : PURE_AT(name, p);                                                                                       \
    NEXT(1);
#define UN(name, expr)  NUL(name, expr)
#define TRI(name, expr) NUL(name, expr)
#define BIN(name, expr) NUL(name, expr) NUL(name##_i, expr)
#define FP(name, nsrc)
#define MEM(name, ...)
#define CTL(name, ...)
#include "sim/ir/ir_ops.def"
#undef NUL
#undef UN
#undef BIN
#undef TRI
#undef FP
#undef MEM
#undef CTL
#define X(name, ...)                                                                                                   \
    L_##name : AT_##name(p);                                                                                           \
    NEXT(1);
    LOADS(X)
    STORES(X)
    BRANCHES(X)
#undef X
L_ld_any : {
    uint64_t value = slow_load(f, S(p->a) + (uint64_t)p->imm, SPOT(p));
    EVENT_AT(p);
    S(p->d) = value;
    NEXT(1);
}
L_st_any:
    slow_store(f, S(p->a) + (uint64_t)p->imm, S(p->b), SPOT(p));
    EVENT_AT(p);
    NEXT(1);
L_atomic:
    slow_atomic(f, SPOT(p));
    EVENT_AT(p);
    NEXT(1);
L_call:
    slow_call(f, SPOT(p));
    EVENT_AT(p);
    NEXT(1);
L_fp:
    slow_fp(f, head, p);
    NEXT(1);
L_fence:
    atomic_thread_fence(memory_order_seq_cst);
    NEXT(1);
L_jmp:
    AT_jmp(p);
L_jmpr : {
    uint64_t pc = S(p->a) + (uint64_t)p->imm;
    pc &= p->b ? ~1ull : ~0ull;
    const JumpEntry *e = &f->jump[JUMP_INDEX(pc)];
    if (__builtin_expect(e->pc == pc, 1)) {
        ENTER((Head *)e->code);
    }
    f->budget = budget;
    f->pc = pc;
    return LEFT_INDIRECT;
}
L_trap:
    return leave_trap(f, SPOT(p));
L_stop:
    return leave_stop(f, SPOT(p));
L_sync:
    f->budget = budget;
    f->pc = (uint64_t)p->imm;
    return LEFT_SYNC;
L_syncr:
    f->budget = budget;
    f->pc = S(p->a) + (uint64_t)p->imm;
    return LEFT_SYNC;
L_leave_far : {
    const JumpEntry *e = &f->jump[JUMP_INDEX(head->pc)];
    if (__builtin_expect(e->pc == head->pc, 1)) {
        ENTER((Head *)e->code);
    }
}
L_leave:
    return leave_exit(f, p, budget);
#define PAIR(first, second)                                                                                            \
    L_##first##__##second : AT_##first(p);                                                                             \
    AT_##second(p + 1);                                                                                                \
    NEXT(2);
#include "sim/interp/pairs.def"
#undef PAIR

out_of_budget:
    f->budget = budget + head->ninsns;
    f->pc = head->pc;
    return LEFT_BUDGET;
}

static Left interp_enter(void *engine, void *code, Frame *f)
{
    (void)engine;
    f->event = 0;
    return interp_loop(code, f, NULL);
}

const Engine engine_interp = {
    .name = "interp",
    .create = interp_create,
    .destroy = interp_destroy,
    .prepare = interp_prepare,
    .enter = interp_enter,
    .link = interp_link,
    .release = interp_release,
};
