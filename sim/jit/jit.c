/* SPDX-License-Identifier: Apache-2.0
 * jit.c - the engine: blocks and their links, and what runs when code calls C or is left. */
#include "sim/base/os.h"
#include "sim/jit/jit_int.h"
#include "sim/softmmu/softmmu.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- run time: write-back by side tables ---- */
static uint64_t *slot(Frame *f, Slot s)
{
    return (uint64_t *)(void *)((char *)f + s);
}

#define F64_INFINITY 0x7ff0000000000000ull
#define F32_INFINITY 0x7f800000u

static uint64_t operand(const JitStack *s, const Entry *e)
{
    return e->kind == ENTRY_GPR ? s->gpr[e->reg] : *slot(s->f, e->slot);
}

static void site_apply(const JitStack *s, const Site *site)
{
    Frame *f = s->f;
    for (unsigned p = 0; p < s->j->npins; p++) {
        *slot(f, s->j->pin[p]) = s->gpr[host_gprs[p]];
    }
    for (const Entry *e = site->entry, *end = e + site->nentries; e < end; e++) {
        uint64_t *to = slot(f, e->slot);
        switch ((EntryKind)e->kind) {
        case ENTRY_GPR:
            *to = s->gpr[e->reg];
            break;
        case ENTRY_FPR:
            *to = s->fpr[e->reg];
            break;
        case ENTRY_RAW:
            *to = s->fpr[e->reg] << 1 > F64_INFINITY << 1 ? F64_NAN : s->fpr[e->reg];
            break;
        case ENTRY_RAW32:
            *to = (uint32_t)s->fpr[e->reg] << 1 > F32_INFINITY << 1 ? F32_NAN : s->fpr[e->reg];
            break;
        case ENTRY_CONST:
            memcpy(to, e + 1, sizeof *to);
            e += sizeof *to / sizeof *e;
            break;
        case ENTRY_SLOT:
            *to = *slot(f, (++e)->slot);
            break;
        case ENTRY_OP: {
            const IrOp *o = &site->b->op[(++e)->slot];
            uint64_t a = operand(s, ++e), b = operand(s, ++e);
            *to = ir_eval((IrOpcode)o->op, a, b, 0, o->imm);
            break;
        }
        }
    }
}

/* Instructions from the site's on, which the budget has paid. */
static int64_t rest(const Site *site)
{
    return (int64_t)site->b->ninsns + site->extra - (site->op < site->b->nops ? site->b->op[site->op].insn : 0);
}

void jit_show(const JitStack *s, const Site *site)
{
    const JBlock *b = site->b;
    site_apply(s, site);
    s->f->pc = b->gva + (site->op < b->nops ? b->insn_at[b->op[site->op].insn] : 0);
    s->f->left_block = b->tag;
}

/* What has accrued in the host goes to the frame (ir.h 8), and C may do FP of its own. */
static void flags_fold(const Jit *j, Frame *f)
{
    uint32_t flags = host_fp_flags();
    if (flags && j->guest->fp_flags != IR_ZERO) {
        *slot(f, j->guest->fp_flags) |= flags;
    }
}

void jit_fold(JitStack *s)
{
    flags_fold(s->j, s->f);
    (void)host_fp_begin();
}

static uint64_t slow_fp(const JitStack *s, const IrOp *o)
{
    const IrGuest *g = s->j->guest;
    uint32_t flags = (uint32_t)*slot(s->f, g->fp_flags);
    unsigned rm = FP_RM(o->aux) == RM_DYN ? (unsigned)*slot(s->f, g->fp_rm) : FP_RM(o->aux);
    uint64_t value = ir_eval_fp(o, s->arg[0], s->arg[1], s->arg[2], rm, g->fp_mode, &flags);
    *slot(s->f, g->fp_flags) = flags;
    return value;
}

static uint64_t slow_call(const JitStack *s, const IrOp *o, const Site *site)
{
    const Helper *help = &s->j->guest->helpers[o->aux];
    if (help->effects & (EFF_READS_FRAME | EFF_WRITES_FRAME)) {
        site_apply(s, site);
    }
    return help->fn(s->f, s->arg[0], s->arg[1], s->arg[2], o->imm);
}

/* May it look at FP flags, or do FP in the host? */
static bool touches_fp(const IrGuest *g, const IrOp *o)
{
    return ir_op_info[o->op].cls == CLASS_FP || (o->op == IR_call && g->helpers[o->aux].effects & EFF_FP_FLAGS);
}

uint64_t jit_slow(JitStack *s, uint64_t gva, uint64_t value, const Site *site)
{
    const IrOp *o = &site->b->op[site->op];
    Frame *f = s->f;
    f->budget += rest(site);
    bool has_fp = touches_fp(s->j->guest, o);
    if (has_fp) {
        flags_fold(s->j, f);
    }
    switch (ir_op_info[o->op].cls) {
    case CLASS_LOAD:
        value = mmu_load(f, gva, o->aux);
        break;
    case CLASS_STORE:
        mmu_store(f, gva, value, o->aux);
        break;
    case CLASS_ATOMIC:
        value = mmu_atomic(f, (IrOpcode)o->op, s->arg[0] + (uint64_t)o->imm, s->arg[1], s->arg[2], o->aux);
        break;
    case CLASS_CALL:
        value = slow_call(s, o, site);
        break;
    case CLASS_PURE:
        value = ir_eval((IrOpcode)o->op, s->arg[0], s->arg[1], s->arg[2], o->imm);
        break;
    case CLASS_FP:
        value = slow_fp(s, o);
        break;
    case CLASS_FENCE:
    case CLASS_SIDE_EXIT:
    case CLASS_TERM:
        break;
    }
    if (f->event) {
        jit_show(s, site);
    } else {
        f->budget -= rest(site);
    }
    if (has_fp) {
        (void)host_fp_begin();
    }
    return value;
}

Left jit_leave(JitStack *s, const Site *site)
{
    const IrOp *o = &site->b->op[site->op];
    Frame *f = s->f;
    jit_show(s, site);
    assert(o->op == IR_stop);
    f->stop_reason = o->aux;
    f->stop_imm = (uint64_t)o->imm;
    f->pc = s->arg[0];
    return LEFT_STOP;
}

Left jit_out_of_budget(JitStack *s, const Site *site)
{
    jit_show(s, site);
    s->f->budget += rest(site);
    s->j->few = s->f->budget < site->b->ninsns ? NULL : (JBlock *)(uintptr_t)site->b;
    return LEFT_BUDGET;
}

/* ---- life ---- */
typedef struct { /* in os_pages: a guest that ends soon touches little of it */
    Jit jit;
    Maker maker;
    uint8_t code[CACHE_BYTES + OS_LARGE_PAGE_BYTES]; /* used from the first large page on */
} Together;

static void *create(const IrGuest *g, int32_t cold, int32_t heat, int32_t first)
{
    Together *t = os_pages_new(sizeof *t);
    Jit *j = &t->jit;
    j->heat = heat;
    j->cold = cold;
    j->first = first;
    j->guest = g;
    jit_cache_open(&j->cache, t->code + (-(uintptr_t)t->code & (OS_LARGE_PAGE_BYTES - 1)));
    j->npins = g->nhot < JIT_MAX_PINS ? g->nhot : JIT_MAX_PINS;
    for (size_t p = 0; p < j->npins; p++) {
        j->pin[p] = g->hot[p];
    }
    j->maker = &t->maker;
    j->maker->j = j;
    j->maker->guest = g;
    return j;
}

static void *create_jit(const IrGuest *g)
{
    return create(g, -1, JIT_HEAT, 0);
}

static void *create_jit_eager(const IrGuest *g)
{
    return create(g, -1, 1, 0);
}

static void *create_hybrid(const IrGuest *g)
{
    return create(g, JIT_COLD, JIT_HEAT, JIT_FIRST);
}

static void *create_hybrid_eager(const IrGuest *g)
{
    return create(g, 1, 1, 0);
}

static void *create_hybrid_beside(const IrGuest *g)
{
    Jit *j = create(g, 1, 1, 0);
    j->own = worker_new(1);
    jit_beside_open(j, j->own);
    return j;
}

static void engine_destroy(void *engine)
{
    Jit *j = engine;
    jit_beside_close(j);
    worker_free(j->own);
    if (j->host) {
        host_close(j->host);
    }
    jit_cache_close(&j->cache);
    os_pages_free(j, sizeof(Together));
}

/* ---- blocks ---- */
static JBlock *jblock_new(const Jit *j, const IrBlock *from, void *tag)
{
    JBlock *b = x_alloc(sizeof *b + from->nops * sizeof *from->op + from->ninsns * sizeof from->insn_at[0]);
    b->tag = tag;
    b->gva = from->gva;
    b->nops = from->nops;
    b->ninsns = from->ninsns;
    b->nbytes = from->nbytes;
    b->heat = j->heat;
    b->cold = j->cold;
    memcpy(b->op, from->op, from->nops * sizeof *from->op);
    b->insn_at = (uint16_t *)(b->op + b->nops);
    memcpy(b->insn_at, from->insn_at, from->ninsns * sizeof from->insn_at[0]);
    return b;
}

void jit_unit_connect(const Jit *j, Unit *u)
{
    for (uint32_t i = 0; i < u->nexits; i++) {
        JExit *e = &u->exits[i];
        e->next = e->from->exits[e->number];
        e->from->exits[e->number] = e;
        host_patch(j, e, e->from->code_to[e->number]);
    }
}

static void stub_make(const Jit *j, uint8_t *code)
{
    JBlock *b = jblock_of(code + HOST_ENTRY);
    host_stub(j->host, code);
    memcpy(&b->head_bytes, code + HOST_ENTRY, sizeof b->head_bytes);
}

/* The first code is about to be made: what a guest that ends before has done without. */
static void code_begin(Jit *j)
{
    CodeCache *c = &j->cache;
    jit_cache_run(c);
    j->host = host_open(j);
    j->first = 0;
    for (uint8_t *code = c->code + c->fixed; code < c->code + c->used;
         code += HOST_STUB_BYTES) { /* all that there is */
        if (jblock_of(code + HOST_ENTRY)) {
            stub_make(j, code);
        }
    }
}

static bool unit_make(Jit *j, JBlock *b)
{
    if (!j->host) {
        code_begin(j);
    }
    jit_unit_begin(j->maker);
    jit_unit_add(j->maker, b);
    jit_recall(j->maker);
    Unit *u = jit_unit_make(j->maker, j->host);
    if (u && !host_place(j->host, u)) {
        host_unit_free(u);
        return false;
    }
    b->unit = u;
    if (u) {
        jit_unit_connect(j, u);
    }
    return u;
}

static void block_note(uint8_t *code, const JBlock *b) /* for jblock_of */
{
    memcpy(code + HOST_ENTRY - sizeof b, &b, sizeof b);
}

/* Its writable side. Stubs are not run, and so are not made, before there is code that goes to them. */
static uint8_t *head_make(Jit *j, JBlock *b)
{
    if (j->cold < 0) {
        return unit_make(j, b) ? b->unit->code : NULL;
    }
    uint8_t *code = jit_cache_get(&j->cache, HOST_STUB_BYTES);
    if (code) {
        block_note(code, b);
    }
    if (code && j->host) {
        host_stub(j->host, code);
    }
    return code;
}

static void *engine_prepare(void *engine, const IrBlock *from, void *tag)
{
    Jit *j = engine;
    if (j->is_full && j->nblocks) {
        return NULL;
    }
    JBlock *b = jblock_new(j, from, tag);
    uint8_t *code = head_make(j, b);
    if (!code) {
        mem_free(b);
        return NULL;
    }
    memcpy(&b->head_bytes, code + HOST_ENTRY, sizeof b->head_bytes);
    b->head = code + HOST_ENTRY + j->cache.exec;
    j->nblocks++;
    return b->head;
}

/* A block that has no code yet, and those that follow it. true: *left says why that came to an end; else *b has code. */
static bool cold_go(Jit *j, JBlock **b, Frame *f, Left *left)
{
    while (!(*b)->hot && !(*b)->unit) {
        if (--(*b)->cold < -j->first) {
            if (unit_make(j, *b)) {
                jit_block_aim(j, *b);
                return false;
            }
            j->is_full = true;
        }
        JBlock *next;
        *left = jit_cold_run(j, *b, f, &next);
        if (!next) {
            return true;
        }
        *b = next;
    }
    return false;
}

/* Before a block has begun: true, or *left. */
static bool block_improve(Jit *j, const LeftBy *by, Frame *f, void **code, Left *left)
{
    JBlock *b = (JBlock *)(uintptr_t)by->what;
    if (by->by == BY_HEAT) {
        jit_region_try(j, b, f);
    } else if (cold_go(j, &b, f, left)) {
        return false;
    }
    *code = b->head;
    return true;
}

/* Code was left because the budget is not for all that it would have paid at once: the rest of it, an instruction after the other. */
static LeftBy few_run(Jit *j, Frame *f)
{
    JBlock *b = j->few, *next;
    LeftBy by = {LEFT_BUDGET, BY_LEFT};
    j->few = NULL;
    for (; b; b = next) {
        by.what = jit_cold_run(j, b, f, &next);
    }
    return by;
}

static Left exit_left(const JExit *e, Frame *f)
{
    f->left_block = e->from->tag;
    f->left_exit = e->number;
    f->pc = e->pc;
    return LEFT_EXIT;
}

static Left engine_enter(void *engine, void *code, Frame *f)
{
    Jit *j = engine;
    f->event = 0;
    jit_beside_poll(j, f);
    jit_regions_reap(j);
    uint32_t host_fp = host_fp_begin();
    LeftBy by = j->host ? host_enter(j->host, code, f) : (LeftBy){(uintptr_t)jblock_of(code), BY_COLD};
    while (by.by == BY_HEAT || by.by == BY_COLD) {
        Left left;
        flags_fold(j, f);
        (void)host_fp_begin();
        by = block_improve(j, &by, f, &code, &left) ? host_enter(j->host, code, f) : (LeftBy){left, BY_LEFT};
    }
    flags_fold(j, f);
    if (j->few) {
        (void)host_fp_begin();
        by = few_run(j, f);
        flags_fold(j, f);
    }
    host_fp_end(host_fp);
    return by.by == BY_EXIT ? exit_left((const JExit *)(uintptr_t)by.what, f) : (Left)by.what;
}

static void engine_link(void *engine, void *from, unsigned exit, void *to)
{
    Jit *j = engine;
    JBlock *b = jblock_of(from), *before = b->to[exit];
    b->to[exit] = to && to != LINK_BY_JUMP_CACHE ? jblock_of(to) : NULL;
    if (before && before != b->to[exit]) {
        jit_beside_unlink(j, b, before);
        jit_regions_drop_edge(j, b, before);
    }
    for (const JExit *e = b->exits[exit]; e; e = e->next) {
        host_patch(j, e, to);
    }
    b->code_to[exit] = to;
}

static void engine_release(void *engine, void *code)
{
    Jit *j = engine;
    JBlock *b = jblock_of(code);
    jit_regions_drop(j, b);
    jit_regions_reap(j);
    if (b->unit) {
        jit_cache_put(&j->cache, b->unit->code, b->unit->code_bytes);
        mem_free(b->unit);
    }
    if (j->cold >= 0) {
        uint8_t *stub = b->head - j->cache.exec - HOST_ENTRY;
        block_note(stub, NULL);
        jit_cache_put(&j->cache, stub, HOST_STUB_BYTES);
    }
    jit_beside_release(j, b);
    if (!--j->nblocks) { /* the dispatcher has thrown all away, as it was full */
        jit_cache_reset(&j->cache);
        j->is_full = false;
    }
}

/* With the bytes that it had before its head was aimed elsewhere. */
static void block_seen(const Jit *j, const JBlock *b, EngineSeen *seen, void *ctx)
{
    const uint8_t *code = b->unit->code + HOST_ENTRY;
    uint8_t *copy = x_alloc(b->unit->insn_bytes);
    memcpy(copy, code, b->unit->insn_bytes);
    if (code + j->cache.exec == b->head) {
        memcpy(copy, &b->head_bytes, sizeof b->head_bytes);
    }
    seen(ctx, b->hot ? "block, but it is entered in a region now" : "block", copy, b->unit->insn_bytes,
         (uintptr_t)(code + j->cache.exec));
    mem_free(copy);
}

static void engine_show(void *engine, void *code, EngineSeen *seen, void *ctx)
{
    const Jit *j = engine;
    const JBlock *b = jblock_of(code);
    if (b->unit) {
        block_seen(j, b, seen, ctx);
    }
    for (const Member *m = b->members; m; m = m->next) {
        const Unit *u = m->region;
        char what[64];
        snprintf(what, sizeof what, "region of %u block%s, of that at 0x%llx", u->nmembers, u->nmembers == 1 ? "" : "s",
                 (unsigned long long)u->root->gva);
        seen(ctx, what, u->code + HOST_ENTRY, u->insn_bytes, (uintptr_t)(u->code + HOST_ENTRY + j->cache.exec));
    }
}

static void engine_assist(void *engine, Worker *w)
{
    jit_beside_open(engine, w);
}

static void engine_recall(void *engine, CodeStore *s)
{
    jit_recall_open(engine, s);
}

#define ENGINE(name_, create_)                                                                                         \
    {                                                                                                                  \
        .name = (name_), .create = (create_), .destroy = engine_destroy, .prepare = engine_prepare,                    \
        .enter = engine_enter, .link = engine_link, .release = engine_release, .show = engine_show,                    \
        .assist = engine_assist, .recall = engine_recall                                                               \
    }
const Engine engine_jit = ENGINE("jit", create_jit);
const Engine engine_jit_eager = ENGINE("jit-eager", create_jit_eager);
const Engine engine_hybrid = ENGINE("hybrid", create_hybrid);
const Engine engine_hybrid_eager = ENGINE("hybrid-eager", create_hybrid_eager);
const Engine engine_hybrid_beside = ENGINE("hybrid-beside", create_hybrid_beside);
