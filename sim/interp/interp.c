/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's dispatch is one indirect jump per handler; merging them again would cost a fifth of its speed. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-gcse", "no-crossjumping")
#endif
#include "sim/interp/interp.h"

#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/ir/ir_math.h"
#include "sim/softfp/hostfp.h"
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
    uint16_t op, aux, insn, handler; /* handler: of the op alone */
} OpMeta;                            /* what only slow paths need */
typedef struct {
    Op *site;  /* whose imm is the Head that the exit goes to */
    Head stub; /* back to the dispatcher */
    Op stub_op;
} Exit;
/* A piece of code memory: Code, its ops, an OpMeta for each, its Exits, the offset of each instruction. */
typedef struct Code {
    OpMeta *meta;
    Exit *exits;
    uint16_t *insn_at;
    uint32_t nexits, size_bytes;
    const IrGuest *guest;
    void *tag;
    Head head;
} Code;
static Code *code_of(Head *h)
{
    return (Code *)(void *)((char *)h - offsetof(Code, head));
}

/* Sizes are multiples of CODE_GRAIN; what is released is kept by size, for the next of that size: code that is written again
 * and again, and made again, stays in the same place. */
enum { CODE_GRAIN = 64, CODE_SIZES = 512 };
typedef struct Piece {
    struct Piece *next;
} Piece;
typedef struct {
    const IrGuest *guest;
    uint8_t *memory; /* CODE_BYTES, touched as it is used */
    size_t used, nlive;
    Piece *released[CODE_SIZES];
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
    X(ld64x2)                                                                                                          \
    X(ld64x4)                                                                                                          \
    X(st64x2)                                                                                                          \
    X(st64x4)                                                                                                          \
    X(atomic) X(fence) X(fp) X(call) X(jmp) X(jmpr) X(trap) X(stop) X(sync) X(syncr) X(leave) X(leave_far)

typedef enum {
#define NUL(name, expr) H_##name,
#define UN(name, expr)  H_##name,
#define BIN(name, expr) H_##name, H_##name##_i,
#define TRI(name, expr) H_##name,
#include "sim/ir/ir_ops.def"
#define X(name, ...) H_##name,
    LOADS(X) STORES(X) BRANCHES(X) OTHERS(X)
#undef X
#define FPH(name, op, aux, expr) H_##name,
#include "sim/interp/fps.def"
#undef FPH
#define RUN2(first, how, second)              H_##first##_##how##_##second,
#define RUN3(first, how, second, how3, third) H_##first##_##how##_##second##_##how3##_##third,
#include "sim/interp/runs.def"
#undef RUN2
#undef RUN3
        H_COUNT
} Handler;
typedef enum { HOW_N, HOW_P, HOW_O, HOW_V, HOW_COUNT } How; /* runs.def */

/* Where the handlers are: told by a call of the loop without code, as labels are visible inside it only. As distances, so that the
 * table is the same wherever the program is loaded. */
typedef struct {
    const char *from;
    const int32_t *to; /* [Handler] */
} Handlers;
static const void *handler_at(const Handlers *l, unsigned h)
{
    return l->from + l->to[h];
}
static Left interp_loop(Head *head, Frame *f, Handlers *handlers);

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

static Handler lower_fp(const IrOp *op, const IrGuest *g)
{
    static const struct {
        uint16_t op, aux;
        Handler handler;
    } forms[] = {
#define FPH(name, op, aux, expr) {IR_##op, (aux), H_##name},
#include "sim/interp/fps.def"
#undef FPH
    };
    if (g->fp_mode & FP_HOST_NOT_MODES || (op->op == IR_fma && !fp_host_has_fused())) {
        return H_fp;
    }
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (forms[i].op == op->op && forms[i].aux == op->aux) {
            return forms[i].handler;
        }
    }
    return H_fp;
}

static Handler lower(const IrOp *op, const IrGuest *g)
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
#include "sim/ir/ir_ops.def"
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
    case CLASS_FP:
        return lower_fp(op, g);
    case CLASS_PURE:
    case CLASS_CALL:
    case CLASS_TERM:
        break;
    }
    return plain[op->op];
}

/* The handler of a run and one more op; 0: there is none (which is movi's number, and no run's). */
static Handler run_longer(Handler run, How how, Handler next)
{
#define KEY(run, how, next) ((run)*HOW_COUNT * H_COUNT + (how)*H_COUNT + (next))
    switch ((int)KEY(run, how, next)) {
#define RUN2(first, how, second)                                                                                       \
    case KEY(H_##first, HOW_##how, H_##second):                                                                        \
        return H_##first##_##how##_##second;
#define RUN3(first, how, second, how3, third)                                                                          \
    case KEY(H_##first##_##how##_##second, HOW_##how3, H_##third):                                                     \
        return H_##first##_##how##_##second##_##how3##_##third;
#include "sim/interp/runs.def"
#undef RUN2
#undef RUN3
    default:
        return 0;
    }
#undef KEY
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

static size_t exits_count(const IrBlock *b)
{
    size_t n = 0;
    for (uint32_t i = 0; i < b->nops; i++) {
        n += b->op[i].op == IR_brcond || b->op[i].op == IR_jmp;
    }
    return n;
}

static void *memory_get(Interp *in, size_t size)
{
    size_t grains = size / CODE_GRAIN;
    if (grains < CODE_SIZES && in->released[grains]) {
        Piece *p = in->released[grains];
        in->released[grains] = p->next;
        return p;
    }
    if (in->used + size > CODE_BYTES) {
        return NULL;
    }
    in->used += size;
    return in->memory + in->used - size;
}

static Code *code_new(Interp *in, const IrBlock *b, void *tag)
{
    size_t nexits = exits_count(b);
    size_t size = sizeof(Code) + b->nops * (sizeof(Op) + sizeof(OpMeta)) + nexits * sizeof(Exit) +
                  b->ninsns * sizeof(b->insn_at[0]);
    size = (size + CODE_GRAIN - 1) & ~(size_t)(CODE_GRAIN - 1);
    Code *c = memory_get(in, size);
    if (!c) {
        return NULL;
    }
    in->nlive++;
    c->meta = (OpMeta *)(void *)(c->head.op + b->nops);
    c->exits = (Exit *)(void *)(c->meta + b->nops);
    c->insn_at = (uint16_t *)(void *)(c->exits + nexits);
    c->nexits = 0;
    c->size_bytes = (uint32_t)size;
    c->guest = in->guest;
    c->tag = tag;
    memcpy(c->insn_at, b->insn_at, b->ninsns * sizeof b->insn_at[0]);
    c->head.ninsns = b->ninsns;
    c->head.pc = b->gva;
    return c;
}

/* d: what goes to the budget on the way: what the exit gives back, less what its target takes. */
static void exit_to(Op *op, const Head *to)
{
    op->imm = (int64_t)(uintptr_t)to;
    op->d = (Slot)(int16_t)(op->c - to->ninsns);
}

static void exit_add(Code *c, Op *op, uint64_t target, const void *leave)
{
    Exit *e = &c->exits[c->nexits];
    e->site = op;
    e->stub.ninsns = 0;
    e->stub.pc = target;
    e->stub_op = (Op){.handler = leave, .c = (Slot)c->nexits++, .imm = (int64_t)(uintptr_t)c};
    exit_to(op, &e->stub);
}

static void op_lower(Code *c, const IrBlock *b, uint32_t i, const Handlers *handlers)
{
    const IrOp *from = &b->op[i];
    Op *to = &c->head.op[i];
    Handler h = lower(from, c->guest);
    *to = (Op){
        .handler = handler_at(handlers, h), .d = from->d, .a = from->a, .b = from->b, .c = from->c, .imm = from->imm};
    c->meta[i] = (OpMeta){.op = from->op, .aux = from->aux, .insn = (uint16_t)from->insn, .handler = (uint16_t)h};
    if (from->op == IR_brcond || from->op == IR_jmp) {
        to->c = (Slot)(b->ninsns - from->insn - 1); /* what this exit gives back */
        exit_add(c, to, (uint64_t)from->imm, handler_at(handlers, H_leave));
    } else if (ir_op_info[from->op].cls == CLASS_FP) {
        to->imm = c->guest->fp_flags;
    } else if (from->op == IR_jmpr) {
        to->b = (Slot)(from->aux & JMP_EVEN ? ~1u : ~0u); /* sign-extended: what stays of the target */
    }
}

enum { GROUP_SPAN = 2048 };
/* Accesses of 8 bytes after each other from one base, near each other: how many of at most 4. */
static uint32_t group_count(const Op *op, const OpMeta *meta, uint32_t n)
{
    uint32_t k = 1;
    if (meta[0].handler != H_ld64 && meta[0].handler != H_st64) {
        return 1;
    }
    while (k < n && k < 4 && meta[k].handler == meta[0].handler && op[k].a == op->a &&
           (meta[0].handler == H_st64 || op[k - 1].d != op->a) && op[k].imm - op->imm < GROUP_SPAN &&
           op->imm - op[k].imm < GROUP_SPAN) {
        k++;
    }
    return k;
}

/* One look into the TLB for all of a group: from its lowest byte (b: less the first's) to its highest (c: less the lowest). */
static uint32_t group_lower(Code *c, uint32_t i, uint32_t n, const Handlers *handlers)
{
    Op *op = &c->head.op[i];
    bool is_load = c->meta[i].handler == H_ld64;
    uint32_t k = group_count(op, &c->meta[i], n - i);
    k = k == 3 ? 2 : k;
    if (k < 2) {
        return 0;
    }
    int64_t low = op->imm, high = op->imm;
    for (uint32_t j = 1; j < k; j++) {
        low = op[j].imm < low ? op[j].imm : low;
        high = op[j].imm > high ? op[j].imm : high;
    }
    *(is_load ? &op->b : &op->d) = (Slot)(int16_t)(low - op->imm);
    op->c = (Slot)(high - low + 7);
    op->handler = handler_at(handlers, is_load ? (k == 4 ? H_ld64x4 : H_ld64x2) : k == 4 ? H_st64x4 : H_st64x2);
    return k;
}

static bool may_swap(unsigned handler)
{
    switch (handler) {
    case H_add:
    case H_and:
    case H_or:
    case H_xor:
    case H_mul:
    case H_addw:
    case H_mulw:
    case H_breq:
    case H_brne:
        return true;
    default:
        return false;
    }
}

/* The handler of a run and the op `to` after it, whose last is `from`. */
static Handler run_join(Handler run, const Op *from, bool has_value, const Op *to, Handler next)
{
    Handler longer = 0;
    if (has_value && to->a == from->d) {
        if (to->d == from->d && to->b != from->d) {
            longer = run_longer(run, HOW_O, next);
        }
        longer = longer ? longer : run_longer(run, HOW_P, next);
    } else if (has_value && to->b == from->d) {
        longer = run_longer(run, HOW_V, next);
    }
    return longer ? longer : run_longer(run, HOW_N, next);
}

static bool has_value(const OpMeta *m)
{
    IrClass cls = ir_op_info[m->op].cls;
    return cls == CLASS_PURE || cls == CLASS_LOAD || cls == CLASS_FP;
}

/* Gives op i the handler of the longest run or group that begins there; returns how many ops it is of. */
static uint32_t run_lower(Code *c, uint32_t i, uint32_t nops, const Handlers *handlers)
{
    Op *op = c->head.op;
    const OpMeta *m = c->meta;
    uint32_t n = group_lower(c, i, nops, handlers);
    if (n) {
        return n;
    }
    Handler run = (Handler)m[i].handler;
    for (n = 1; i + n < nops; n++) {
        uint32_t at = i + n;
        bool is_value = has_value(&m[at - 1]);
        if (group_count(&op[at], &m[at], nops - at) > 1) {
            break;
        }
        if (is_value && op[at].b == op[at - 1].d && op[at].a != op[at].b && may_swap(m[at].handler)) {
            op[at].b = op[at].a;
            op[at].a = op[at - 1].d;
        }
        Handler longer = run_join(run, &op[at - 1], is_value, &op[at], (Handler)m[at].handler);
        if (!longer) {
            break;
        }
        run = longer;
    }
    op[i].handler = handler_at(handlers, run);
    return n;
}

static void *interp_prepare(void *engine, const IrBlock *b, void *tag)
{
    Handlers handlers;
    interp_loop(NULL, NULL, &handlers);
    Interp *in = engine;
    assert(b->nops && b->nops <= IR_BLOCK_MAX_OPS);
    Code *c = code_new(in, b, tag);
    if (!c) {
        return NULL;
    }
    for (uint32_t i = 0; i < b->nops; i++) {
        op_lower(c, b, i, &handlers);
    }
    for (uint32_t i = 0; i < b->nops; i += run_lower(c, i, b->nops, &handlers)) {
    }
    return &c->head;
}

static void interp_link(void *engine, void *from, unsigned exit, void *to)
{
    (void)engine;
    Handlers handlers;
    interp_loop(NULL, NULL, &handlers);
    Code *c = code_of(from);
    assert(exit < c->nexits);
    bool is_stub = !to || to == LINK_BY_JUMP_CACHE;
    Exit *e = &c->exits[exit];
    e->stub_op.handler = handler_at(&handlers, to == LINK_BY_JUMP_CACHE ? H_leave_far : H_leave);
    exit_to(e->site, is_stub ? &e->stub : to);
}

static void interp_release(void *engine, void *code)
{
    Interp *in = engine;
    Code *c = code_of(code);
    size_t grains = c->size_bytes / CODE_GRAIN;
    if (!--in->nlive) { /* the dispatcher has thrown all away, as it was full */
        in->used = 0;
        memset(in->released, 0, sizeof in->released);
    } else if (grains < CODE_SIZES) {
        Piece *p = (Piece *)(void *)c;
        p->next = in->released[grains];
        in->released[grains] = p;
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

static __attribute__((noinline)) uint64_t slow_fp(Frame *f, const Head *head, const Op *p)
{
    const Code *c = code_of((Head *)(uintptr_t)head);
    const OpMeta *meta = &c->meta[p - head->op];
    const IrGuest *g = c->guest;
    IrOp op = {.op = meta->op, .aux = meta->aux};
    uint32_t flags = (uint32_t)S(g->fp_flags);
    unsigned rm = FP_RM(meta->aux) == RM_DYN ? (unsigned)S(g->fp_rm) : FP_RM(meta->aux);
    uint64_t value = ir_eval_fp(&op, S(p->a), S(p->b), S(p->c), rm, g->fp_mode, &flags);
    S(g->fp_flags) = flags;
    return value;
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
    f->pc = c->exits[p->c].stub.pc;
    return LEFT_EXIT;
}

/* ---- what an op does: alone and in runs ---- */
#define PURE_FN(name, expr)                                                                                            \
    static inline __attribute__((always_inline)) uint64_t fn_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t imm)  \
    {                                                                                                                  \
        (void)a;                                                                                                       \
        (void)b;                                                                                                       \
        (void)c;                                                                                                       \
        (void)imm;                                                                                                     \
        return expr;                                                                                                   \
    }
#define NUL(name, expr) PURE_FN(name, expr)
#define UN(name, expr)  PURE_FN(name, expr)
#define BIN(name, expr)                                                                                                \
    PURE_FN(name, expr)                                                                                                \
    static inline __attribute__((always_inline))                                                                       \
    uint64_t fn_##name##_i(uint64_t a, uint64_t b, uint64_t c, uint64_t imm)                                           \
    {                                                                                                                  \
        (void)b;                                                                                                       \
        return fn_##name(a, imm, c, 0);                                                                                \
    }
#define TRI(name, expr) PURE_FN(name, expr)
#include "sim/ir/ir_ops.def"

#define IS_BOXED(all) ((uint32_t)((all) >> 32) == UINT32_MAX)
#define BOX(d)        (*(d) |= (uint64_t)UINT32_MAX << 32)
#define FPH(name, op, aux, expr)                                                                                       \
    static inline                                                                                                      \
        __attribute__((always_inline)) bool host_##name(uint64_t a, uint64_t b, uint64_t c, bool has_nx, uint64_t *d)  \
    {                                                                                                                  \
        (void)b;                                                                                                       \
        (void)c;                                                                                                       \
        (void)has_nx;                                                                                                  \
        return expr;                                                                                                   \
    }
#include "sim/interp/fps.def"
#undef FPH

#define GO                                                                                                             \
    do {                                                                                                               \
        goto * p->handler;                                                                                             \
    } while (0)
#define NEXT(n)                                                                                                        \
    do {                                                                                                               \
        p += (n);                                                                                                      \
        GO;                                                                                                            \
    } while (0)
#define SPOT(q) ((Spot){head, (q), budget})
/* Of each: q the op, va and vb the values of its operands a and b, before what must be done before its slow path. x is
 * the value that it makes. */
#define PURE_AT(name, q, va, vb)                                                                                       \
    do {                                                                                                               \
        x = fn_##name(va, vb, S((q)->c), (uint64_t)(q)->imm);                                                          \
        S((q)->d) = x;                                                                                                 \
    } while (0)
#define FP_AT(name, q, va, vb, before)                                                                                 \
    do {                                                                                                               \
        uint64_t result;                                                                                               \
        bool has_nx = S((Slot)(q)->imm) & FP_NX;                                                                       \
        if (__builtin_expect(host_##name(va, vb, S((q)->c), has_nx, &result), 1)) {                                    \
            x = result;                                                                                                \
        } else {                                                                                                       \
            before;                                                                                                    \
            x = slow_fp(f, head, q);                                                                                   \
        }                                                                                                              \
        S((q)->d) = x;                                                                                                 \
    } while (0)
#define LOAD_AT(type, q, va, before)                                                                                   \
    do {                                                                                                               \
        uint64_t gva = (va) + (uint64_t)(q)->imm;                                                                      \
        const void *host = tlb_hit(reads, key, gva, sizeof(type));                                                     \
        if (__builtin_expect(host != NULL, 1)) {                                                                       \
            x = (uint64_t)(int64_t) * (const type *)host;                                                              \
        } else {                                                                                                       \
            before;                                                                                                    \
            x = slow_load(f, gva, SPOT(q));                                                                            \
            if (f->event) {                                                                                            \
                return spot_event(f, &SPOT(q));                                                                        \
            }                                                                                                          \
        }                                                                                                              \
        S((q)->d) = x;                                                                                                 \
    } while (0)
#define STORE_AT(type, q, va, vb)                                                                                      \
    do {                                                                                                               \
        uint64_t value = (vb), gva = (va) + (uint64_t)(q)->imm;                                                        \
        void *host = tlb_hit(writes, key, gva, sizeof(type));                                                          \
        if (__builtin_expect(host != NULL, 1)) {                                                                       \
            *(type *)host = (type)value;                                                                               \
        } else {                                                                                                       \
            slow_store(f, gva, value, SPOT(q));                                                                        \
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
        head = (Head *)(uintptr_t)(q)->imm;                                                                            \
        budget += (int16_t)(q)->d;                                                                                     \
        if (__builtin_expect(budget < 0, 0)) {                                                                         \
            goto out_of_budget;                                                                                        \
        }                                                                                                              \
        p = head->op;                                                                                                  \
        GO;                                                                                                            \
    } while (0)
#define BRANCH_AT(expr, q, va, vb)                                                                                     \
    do {                                                                                                               \
        uint64_t a = (va), b = (vb);                                                                                   \
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
#define INDIRECT_AT(q, va)                                                                                             \
    do {                                                                                                               \
        uint64_t pc = (va) + (uint64_t)(q)->imm;                                                                       \
        pc &= (uint64_t)(int64_t)(int16_t)(q)->b;                                                                      \
        const JumpEntry *e = &f->jump[JUMP_INDEX(pc)];                                                                 \
        if (__builtin_expect(e->pc == pc, 1)) {                                                                        \
            ENTER((Head *)e->code);                                                                                    \
        }                                                                                                              \
        f->budget = budget;                                                                                            \
        f->pc = pc;                                                                                                    \
        return LEFT_INDIRECT;                                                                                          \
    } while (0)
/* By name, so that runs.def can name any. Which ops are in no row need no line. */
#define AT_movi(q, va, vb, before)   PURE_AT(movi, q, va, vb)
#define AT_mov(q, va, vb, before)    PURE_AT(mov, q, va, vb)
#define AT_sx32(q, va, vb, before)   PURE_AT(sx32, q, va, vb)
#define AT_zx8(q, va, vb, before)    PURE_AT(zx8, q, va, vb)
#define AT_zx16(q, va, vb, before)   PURE_AT(zx16, q, va, vb)
#define AT_zx32(q, va, vb, before)   PURE_AT(zx32, q, va, vb)
#define AT_add(q, va, vb, before)    PURE_AT(add, q, va, vb)
#define AT_add_i(q, va, vb, before)  PURE_AT(add_i, q, va, vb)
#define AT_sub(q, va, vb, before)    PURE_AT(sub, q, va, vb)
#define AT_and(q, va, vb, before)    PURE_AT(and, q, va, vb)
#define AT_and_i(q, va, vb, before)  PURE_AT(and_i, q, va, vb)
#define AT_or(q, va, vb, before)     PURE_AT(or, q, va, vb)
#define AT_or_i(q, va, vb, before)   PURE_AT(or_i, q, va, vb)
#define AT_xor(q, va, vb, before)    PURE_AT(xor, q, va, vb)
#define AT_xor_i(q, va, vb, before)  PURE_AT(xor_i, q, va, vb)
#define AT_shl_i(q, va, vb, before)  PURE_AT(shl_i, q, va, vb)
#define AT_shr_i(q, va, vb, before)  PURE_AT(shr_i, q, va, vb)
#define AT_sar_i(q, va, vb, before)  PURE_AT(sar_i, q, va, vb)
#define AT_addw(q, va, vb, before)   PURE_AT(addw, q, va, vb)
#define AT_addw_i(q, va, vb, before) PURE_AT(addw_i, q, va, vb)
#define AT_subw(q, va, vb, before)   PURE_AT(subw, q, va, vb)
#define AT_shlw_i(q, va, vb, before) PURE_AT(shlw_i, q, va, vb)
#define AT_shrw_i(q, va, vb, before) PURE_AT(shrw_i, q, va, vb)
#define AT_sarw_i(q, va, vb, before) PURE_AT(sarw_i, q, va, vb)
#define AT_mul(q, va, vb, before)    PURE_AT(mul, q, va, vb)
#define AT_mulw(q, va, vb, before)   PURE_AT(mulw, q, va, vb)
#define AT_ltu(q, va, vb, before)    PURE_AT(ltu, q, va, vb)
#define AT_lt(q, va, vb, before)     PURE_AT(lt, q, va, vb)
#define AT_ltu_i(q, va, vb, before)  PURE_AT(ltu_i, q, va, vb)
#define AT_lt_i(q, va, vb, before)   PURE_AT(lt_i, q, va, vb)
#define AT_ld8(q, va, vb, before)    LOAD_AT(GuestU8, q, va, before)
#define AT_lds8(q, va, vb, before)   LOAD_AT(GuestS8, q, va, before)
#define AT_ld16(q, va, vb, before)   LOAD_AT(GuestU16, q, va, before)
#define AT_lds16(q, va, vb, before)  LOAD_AT(GuestS16, q, va, before)
#define AT_ld32(q, va, vb, before)   LOAD_AT(GuestU32, q, va, before)
#define AT_lds32(q, va, vb, before)  LOAD_AT(GuestS32, q, va, before)
#define AT_ld64(q, va, vb, before)   LOAD_AT(GuestU64, q, va, before)
#define AT_st8(q, va, vb, before)    STORE_AT(GuestU8, q, va, vb)
#define AT_st16(q, va, vb, before)   STORE_AT(GuestU16, q, va, vb)
#define AT_st32(q, va, vb, before)   STORE_AT(GuestU32, q, va, vb)
#define AT_st64(q, va, vb, before)   STORE_AT(GuestU64, q, va, vb)
#define AT_breq(q, va, vb, before)   BRANCH_AT(a == b, q, va, vb)
#define AT_brne(q, va, vb, before)   BRANCH_AT(a != b, q, va, vb)
#define AT_brlt(q, va, vb, before)   BRANCH_AT((int64_t)a < (int64_t)b, q, va, vb)
#define AT_brge(q, va, vb, before)   BRANCH_AT((int64_t)a >= (int64_t)b, q, va, vb)
#define AT_brltu(q, va, vb, before)  BRANCH_AT(a < b, q, va, vb)
#define AT_brgeu(q, va, vb, before)  BRANCH_AT(a >= b, q, va, vb)
#define AT_jmp(q, va, vb, before)    JUMP_AT(q)
#define AT_jmpr(q, va, vb, before)   INDIRECT_AT(q, va)
#define AT_fadd64(q, va, vb, before) FP_AT(fadd64, q, va, vb, before)
#define AT_fsub64(q, va, vb, before) FP_AT(fsub64, q, va, vb, before)
#define AT_fmul64(q, va, vb, before) FP_AT(fmul64, q, va, vb, before)
#define AT_fma64(q, va, vb, before)  FP_AT(fma64, q, va, vb, before)
#define AT_feq64(q, va, vb, before)  FP_AT(feq64, q, va, vb, before)
#define AT_flt64(q, va, vb, before)  FP_AT(flt64, q, va, vb, before)
#define AT_fle64(q, va, vb, before)  FP_AT(fle64, q, va, vb, before)
#define AT_fadd32(q, va, vb, before) FP_AT(fadd32, q, va, vb, before)
#define AT_fsub32(q, va, vb, before) FP_AT(fsub32, q, va, vb, before)
#define AT_fmul32(q, va, vb, before) FP_AT(fmul32, q, va, vb, before)
#define AT_fma32(q, va, vb, before)  FP_AT(fma32, q, va, vb, before)
/* How an op is joined to the one before it, whose value is x (runs.def) */
#define A_N(q) S((q)->a)
#define B_N(q) S((q)->b)
#define A_P(q) x
#define B_P(q) S((q)->b)
#define A_O(q) x
#define B_O(q) S((q)->b)
#define A_V(q) S((q)->a)
#define B_V(q) x
#define BEFORE_N(q)
#define BEFORE_P(q)
#define BEFORE_V(q)
#define BEFORE_O(q) S((q)[-1].d) = x
/* An op by how the next is joined to it: O leaves its value in x only. */
#define OP_N(name, q, va, vb, before) AT_##name(q, va, vb, before)
#define OP_P(name, q, va, vb, before) AT_##name(q, va, vb, before)
#define OP_V(name, q, va, vb, before) AT_##name(q, va, vb, before)
#define OP_O(name, q, va, vb, before) x = fn_##name(va, vb, S((q)->c), (uint64_t)(q)->imm)

/* NOLINTNEXTLINE(readability-function-size): labels and their registers live in one function */
static GUEST_ACCESS Left interp_loop(Head *head, Frame *f, Handlers *handlers)
{
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a label is no expression */
#define AT(label) (int32_t)((const char *)&&label - (const char *)&&L_leave)
    static const int32_t table[H_COUNT] = {
#define NUL(name, expr) [H_##name] = AT(L_##name),
#define UN(name, expr)  [H_##name] = AT(L_##name),
#define BIN(name, expr) [H_##name] = AT(L_##name), [H_##name##_i] = AT(L_##name##_i),
#define TRI(name, expr) [H_##name] = AT(L_##name),
#include "sim/ir/ir_ops.def"
#define X(name, ...) [H_##name] = AT(L_##name),
        LOADS(X) STORES(X) BRANCHES(X) OTHERS(X)
#undef X
#define FPH(name, op, aux, expr) [H_##name] = AT(L_##name),
#include "sim/interp/fps.def"
#undef FPH
#define RUN2(first, how, second) [H_##first##_##how##_##second] = AT(L_##first##_##how##_##second),
#define RUN3(first, how, second, how3, third)                                                                          \
    [H_##first##_##how##_##second##_##how3##_##third] = AT(L_##first##_##how##_##second##_##how3##_##third),
#include "sim/interp/runs.def"
#undef RUN2
#undef RUN3
#undef AT
    };
    if (!head) {
        *handlers = (Handlers){&&L_leave, table};
        return LEFT_EXIT;
    }
    const Op *p;
    int64_t budget = f->budget;
    const TlbEntry *const reads = f->tlb_read, *const writes = f->tlb_write;
    const uint64_t key = f->tlb_key;
    uint64_t x;
    ENTER(head);

#define NUL(name, expr)                                                                                                \
    L_##name : PURE_AT(name, p, S(p->a), S(p->b));                                                                     \
    NEXT(1);
#define UN(name, expr)  NUL(name, expr)
#define TRI(name, expr) NUL(name, expr)
#define BIN(name, expr) NUL(name, expr) NUL(name##_i, expr)
#include "sim/ir/ir_ops.def"
#define X(name, ...)                                                                                                   \
    L_##name : AT_##name(p, S(p->a), S(p->b), );                                                                       \
    NEXT(1);
    LOADS(X)
    STORES(X)
    BRANCHES(X)
#undef X
#define FPH(name, op, aux, expr)                                                                                       \
    L_##name : FP_AT(name, p, S(p->a), S(p->b), );                                                                     \
    NEXT(1);
#include "sim/interp/fps.def"
#undef FPH
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
    x = slow_fp(f, head, p);
    S(p->d) = x;
    NEXT(1);
L_fence:
    atomic_thread_fence(memory_order_seq_cst);
    NEXT(1);
L_jmp:
    JUMP_AT(p);
L_jmpr:
    INDIRECT_AT(p, S(p->a));
#define GROUP_LOAD(k)  S(p[k].d) = *(const GuestU64 *)(base + p[k].imm)
#define GROUP_STORE(k) *(GuestU64 *)(base + p[k].imm) = S(p[k].b)
/* host address of what the base slot holds; a group that misses in the TLB begins with its first op alone */
#define GROUP_AT(table, below, alone)                                                                                  \
    const uint64_t at = S(p->a), low = at + (uint64_t)p->imm + (uint64_t)(int64_t)(int16_t)(below);                    \
    char *base = tlb_hit(table, key, low, p->c + 1u);                                                                  \
    if (__builtin_expect(!base, 0)) {                                                                                  \
        goto alone;                                                                                                    \
    }                                                                                                                  \
    base += at - low
L_ld64x2 : {
    GROUP_AT(reads, p->b, L_ld64);
    GROUP_LOAD(0);
    GROUP_LOAD(1);
    NEXT(2);
}
L_ld64x4 : {
    GROUP_AT(reads, p->b, L_ld64);
    GROUP_LOAD(0);
    GROUP_LOAD(1);
    GROUP_LOAD(2);
    GROUP_LOAD(3);
    NEXT(4);
}
L_st64x2 : {
    GROUP_AT(writes, p->d, L_st64);
    GROUP_STORE(0);
    GROUP_STORE(1);
    NEXT(2);
}
L_st64x4 : {
    GROUP_AT(writes, p->d, L_st64);
    GROUP_STORE(0);
    GROUP_STORE(1);
    GROUP_STORE(2);
    GROUP_STORE(3);
    NEXT(4);
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
#define RUN2(first, how, second)                                                                                       \
    L_##first##_##how##_##second : OP_##how(first, p, S(p->a), S(p->b), );                                             \
    AT_##second(p + 1, A_##how(p + 1), B_##how(p + 1), BEFORE_##how(p + 1));                                           \
    NEXT(2);
#define RUN3(first, how, second, how3, third)                                                                          \
    L_##first##_##how##_##second##_##how3##_##third : OP_##how(first, p, S(p->a), S(p->b), );                          \
    OP_##how3(second, p + 1, A_##how(p + 1), B_##how(p + 1), BEFORE_##how(p + 1));                                     \
    AT_##third(p + 2, A_##how3(p + 2), B_##how3(p + 2), BEFORE_##how3(p + 2));                                         \
    NEXT(3);
#include "sim/interp/runs.def"
#undef RUN2
#undef RUN3

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
