/* SPDX-License-Identifier: Apache-2.0
 * blocks.c - the code of one vcpu: blocks by (gpa, gva, mode key), made by the guest's translator and an engine, linked
 * exit to entry, dropped when their bytes change. */
#include "sim/exec/exec_int.h"

#include <assert.h>
#include <string.h>

enum { PAGE_MASK = SPACE_PAGE_BYTES - 1 };

/* ---- keeping ---- */
/* Blocks of a page lie near each other in the table, so that a small program touches little of it. */
static size_t hash_of(uint64_t gpa, uint64_t gva, uint32_t mode_key)
{
    uint64_t page =
        (gpa >> MMU_PAGE_BITS ^ gva >> MMU_PAGE_BITS << 7 ^ (uint64_t)mode_key << 32) * 0x9e3779b97f4a7c15ull;
    return (size_t)((page >> (64 - BLOCK_HASH_BITS)) + ((gpa & PAGE_MASK) >> 1)) & ((1u << BLOCK_HASH_BITS) - 1);
}

static Block *block_alloc(ExecVcpu *v)
{
    if (!v->spare) {
        size_t n = v->pools.n ? BLOCK_POOL : BLOCK_POOL_FIRST; /* a guest that ends at once touches few pages */
        char *pool = x_alloc(n * BLOCK_BYTES + BLOCK_ALIGN);
        VEC_PUSH(&v->pools, pool);
        pool += -(uintptr_t)pool % BLOCK_ALIGN;
        for (size_t i = 0; i < n; i++) {
            Block *b = (Block *)(void *)(pool + i * BLOCK_BYTES);
            b->hash_next = v->spare;
            v->spare = b;
        }
    }
    Block *b = v->spare;
    v->spare = b->hash_next;
    *b = (Block){0};
    return b;
}

static PageBlocks *page_get(ExecVcpu *v, uint64_t gpa, _Atomic uint8_t *flags)
{
    uint64_t page = gpa >> MMU_PAGE_BITS;
    PageBlocks **at = &v->tables.pages[page & ((1u << PAGE_HASH_BITS) - 1)];
    for (PageBlocks *p = *at; p; p = p->next) {
        if (p->page == page) {
            p->flags = flags ? flags : p->flags;
            return p;
        }
    }
    if (!flags) {
        return NULL;
    }
    PageBlocks *p = x_alloc(sizeof *p);
    *p = (PageBlocks){.page = page, .flags = flags, .next = *at};
    *at = p;
    return p;
}

/* The page holds code from here on: stores to it must come to the slow path, this vcpu's and everybody's. */
static void page_add(ExecVcpu *v, Block *b, unsigned which, uint64_t gpa, _Atomic uint8_t *flags, bool is_fresh)
{
    PageBlocks *p = page_get(v, gpa, flags);
    b->page_next[which] = p->blocks;
    p->blocks = b;
    p->stores = 0;
    if (is_fresh && !p->is_fresh) {
        p->is_fresh = true;
        VEC_PUSH(&v->fresh, p);
    }
}

/* true: others may go on storing to it unseen for a while. */
static bool page_watch(ExecVcpu *v, const Fetch *at)
{
    bool has_peers = v->host.has_peers(v->host.ctx, v);
    uint8_t flags = atomic_fetch_or(at->page, PAGE_CODE);
    if (!(flags & PAGE_CODE) && flags & PAGE_STORED) {
        mmu_flush_writes_to(v->mmu, at->host);
        if (has_peers) {
            v->host.code_page(v->host.ctx, v);
        } else {
            atomic_fetch_and(at->page, (uint8_t)~PAGE_STORED);
        }
    }
    return has_peers && !v->host.is_code_seen(v->host.ctx, v);
}

/* ---- links ---- */
void block_link(ExecVcpu *v, Block *from, unsigned exit, Block *to)
{
    if (from->is_dead || to->is_dead || from->to[exit]) {
        return;
    }
    from->to[exit] = to;
    from->next_in[exit] = to->in;
    from->next_in_exit[exit] = to->in_exit;
    to->in = from;
    to->in_exit = (uint8_t)exit;
    v->cfg.engine->link(v->engine, from->code, exit, to->code);
}

static void unlink_in(ExecVcpu *v, Block *b)
{
    while (b->in) {
        Block *from = b->in;
        unsigned exit = b->in_exit;
        b->in = from->next_in[exit];
        b->in_exit = from->next_in_exit[exit];
        from->to[exit] = NULL;
        v->cfg.engine->link(v->engine, from->code, exit, NULL);
    }
}

static void unlink_out(Block *b, unsigned exit)
{
    Block *to = b->to[exit], *at = to->in, *before = NULL;
    unsigned at_exit = to->in_exit, before_exit = 0;
    while (at != b || at_exit != exit) {
        before = at;
        before_exit = at_exit;
        at = before->next_in[before_exit];
        at_exit = before->next_in_exit[before_exit];
    }
    if (before) {
        before->next_in[before_exit] = b->next_in[exit];
        before->next_in_exit[before_exit] = b->next_in_exit[exit];
    } else {
        to->in = b->next_in[exit];
        to->in_exit = b->next_in_exit[exit];
    }
    b->to[exit] = NULL;
}

/* ---- dropping ---- */
static void hash_remove(ExecVcpu *v, Block *b)
{
    Block **at = &v->tables.hash[hash_of(b->gpa, b->gva, b->mode_key)];
    while (*at != b) {
        at = &(*at)->hash_next;
    }
    *at = b->hash_next;
}

/* All but its places in the lists of its pages. */
static void block_kill(ExecVcpu *v, Block *b)
{
    b->is_dead = true;
    hash_remove(v, b);
    unlink_in(v, b);
    for (unsigned i = 0; i < IR_MAX_EXITS; i++) {
        if (b->to[i]) {
            unlink_out(b, i);
        }
    }
    for (size_t t = 0; t < JUMP_TABLES && v->jump_key[t]; t++) { /* in order of use: those that follow are untouched */
        if (jump_find(v->tables.jump[t], b->gva) == b->code) {
            jump_drop(v->tables.jump[t], b->gva);
        }
    }
    b->hash_next = v->dead;
    v->dead = b;
}

static unsigned page_index(const Block *b, uint64_t page)
{
    return b->gpa >> MMU_PAGE_BITS != page;
}

/* Two virtual pages may be one physical page. */
static bool is_in_two_lists(const Block *b)
{
    return b->nbytes2 && b->gpa >> MMU_PAGE_BITS != b->gpa2 >> MMU_PAGE_BITS;
}

static void page_remove(ExecVcpu *v, uint64_t gpa, const Block *b)
{
    PageBlocks *p = page_get(v, gpa, NULL);
    Block **at = &p->blocks;
    while (*at != b) {
        at = &(*at)->page_next[page_index(*at, p->page)];
    }
    *at = b->page_next[page_index(b, p->page)];
}

static bool holds(const Block *b, uint64_t first, uint64_t last)
{
    uint64_t n1 = b->nbytes - b->nbytes2;
    return (b->gpa <= last && b->gpa + n1 - 1 >= first) ||
           (b->nbytes2 && b->gpa2 <= last && b->gpa2 + b->nbytes2 - 1 >= first);
}

/* A page that is written again and again without code in it is a page like any other; with other vcpus about, only they know
 * of theirs. Not at once: code that is changed is mostly run next, and then it would be watched again. */
static void page_release(ExecVcpu *v, PageBlocks *p)
{
    if (!p->blocks && ++p->stores > STORES_TO_RELEASE && !v->host.has_peers(v->host.ctx, v)) {
        atomic_fetch_and_explicit(p->flags, (uint8_t)~PAGE_CODE, memory_order_acq_rel);
    }
}

static bool page_drop(ExecVcpu *v, PageBlocks *p, uint64_t first, uint64_t last)
{
    bool is_any = false;
    Block *next;
    for (Block *b = p->blocks; b; b = next) {
        next = b->page_next[page_index(b, p->page)];
        if (holds(b, first, last)) {
            is_any = true;
            page_remove(v, b->gpa, b);
            if (is_in_two_lists(b)) {
                page_remove(v, b->gpa2, b);
            }
            block_kill(v, b);
        }
    }
    page_release(v, p);
    return is_any;
}

bool blocks_drop(ExecVcpu *v, uint64_t gpa, uint64_t n)
{
    uint64_t last = gpa + n - 1;
    bool is_any = false;
    for (uint64_t at = gpa & ~(uint64_t)PAGE_MASK; at <= last && at >= (gpa & ~(uint64_t)PAGE_MASK);
         at += SPACE_PAGE_BYTES) {
        PageBlocks *p = page_get(v, at, NULL);
        is_any = (p && page_drop(v, p, gpa, last)) || is_any;
    }
    return is_any;
}

void blocks_drop_all(ExecVcpu *v)
{
    if (!v->pools.n) { /* nothing was made yet: the table is untouched, and stays so */
        return;
    }
    for (size_t i = 0; i < 1u << PAGE_HASH_BITS; i++) {
        for (PageBlocks *p = v->tables.pages[i]; p; p = p->next) {
            page_drop(v, p, 0, UINT64_MAX);
        }
    }
}

void blocks_drop_fresh(ExecVcpu *v)
{
    bool is_seen = v->host.is_code_seen(v->host.ctx, v); /* if so, what is read from now on is up to date, or dropped */
    for (size_t i = 0; i < v->fresh.n; i++) {
        v->fresh.items[i]->is_fresh = !is_seen;
        page_drop(v, v->fresh.items[i], 0, UINT64_MAX);
    }
    v->fresh.n = is_seen ? 0 : v->fresh.n;
}

void blocks_reap(ExecVcpu *v)
{
    while (v->dead) {
        Block *b = v->dead;
        v->dead = b->hash_next;
        v->cfg.engine->release(v->engine, b->code);
        b->hash_next = v->spare;
        v->spare = b;
    }
}

/* Nothing runs any more: links and lists go with all of it. */
static void page_free(ExecVcpu *v, PageBlocks *p)
{
    for (const Block *b = p->blocks; b; b = b->page_next[page_index(b, p->page)]) {
        if (!page_index(b, p->page)) { /* else by its first page */
            v->cfg.engine->release(v->engine, b->code);
        }
    }
    mem_free(p);
}

void blocks_free(ExecVcpu *v)
{
    blocks_reap(v);
    for (size_t i = 0; v->pools.n && i < 1u << PAGE_HASH_BITS; i++) {
        while (v->tables.pages[i]) {
            PageBlocks *p = v->tables.pages[i];
            v->tables.pages[i] = p->next;
            page_free(v, p);
        }
    }
    for (size_t i = 0; i < v->pools.n; i++) {
        mem_free(v->pools.items[i]);
    }
    VEC_FREE(&v->pools);
    VEC_FREE(&v->fresh);
}

/* ---- instructions that end their block ---- */
static uint64_t *alone_slot(ExecVcpu *v, uint64_t gpa)
{
    return &v->tables.alone[(gpa >> 1 ^ gpa >> 11) % ALONE_MARKS];
}

static bool is_alone(ExecVcpu *v, uint64_t gpa)
{
    return *alone_slot(v, gpa) == gpa + 1;
}

/* Forgetting a mark costs time, never correctness: so a table that overwrites is enough. */
void blocks_mark_alone(ExecVcpu *v, uint64_t gpa)
{
    *alone_slot(v, gpa) = gpa + 1;
    blocks_drop(v, gpa, 1);
}

/* ---- making ---- */
typedef struct {
    ExecVcpu *v;
    IrBuild build;
    Fetch first, second;
    bool has_second;
    uint32_t max_insns;
} Maker;

static uint32_t insns_cap(ExecVcpu *v)
{
    uint32_t cap = v->cfg.max_block_insns;
    cap = cap && cap < IR_BLOCK_MAX_INSNS ? cap : IR_BLOCK_MAX_INSNS;
    if (v->cfg.block_seed) {
        v->random = v->random * 6364136223846793005ull + 1442695040888963407ull;
        cap = 1 + (uint32_t)(v->random >> 33) % cap;
    }
    return cap;
}

/* It was translated; one that did not fit is translated again. */
static void insn_cover(const Maker *k, const Translate *t)
{
    if (k->v->cover && !k->build.is_full) {
        k->v->isa->cover.insn(k->v->f, t->bytes, k->v->ir.insn_row[k->v->ir.ninsns - 1]);
    }
}

/* An instruction over the end of the page: its bytes are put together. Only ever the first of a block. */
static TrResult translate_split(Maker *k, Translate *t, Trap *trap, bool *is_trap)
{
    ExecVcpu *v = k->v;
    uint8_t bytes[32];
    unsigned n = k->first.n, max = v->isa->insn_max_bytes;
    if (!mmu_fetch(v->mmu, t->pc + n, &k->second, trap)) {
        *is_trap = true;
        return TR_END;
    }
    k->has_second = true;
    memcpy(bytes, k->first.host, n);
    memcpy(bytes + n, k->second.host, max - n);
    t->bytes = bytes;
    t->avail = max;
    TrResult r = v->isa->translate(t);
    assert(r != TR_MORE); /* insn_max_bytes are enough for any instruction */
    insn_cover(k, t);
    return r;
}

static TrResult translate_one(Maker *k, Trap *trap, bool *is_trap)
{
    ExecVcpu *v = k->v;
    uint32_t at = v->ir.nbytes;
    Translate t = {.ir = &k->build,
                   .pc = v->ir.gva + at,
                   .mode_key = v->ir.mode_key,
                   .bytes = k->first.host + at,
                   .avail = k->first.n - at,
                   .cpu = v->cfg.cpu};
    if (t.avail > v->isa->insn_max_bytes) {
        t.avail = v->isa->insn_max_bytes;
    }
    TrResult r = t.avail ? v->isa->translate(&t) : TR_MORE;
    if (r != TR_MORE) {
        insn_cover(k, &t);
    }
    return r == TR_MORE && !at ? translate_split(k, &t, trap, is_trap) : r;
}

static bool is_access(const IrOp *op)
{
    IrClass cls = ir_op_info[op->op].cls;
    return cls == CLASS_LOAD || cls == CLASS_STORE || cls == CLASS_ATOMIC;
}

/* The accesses of the last instruction may reach devices and code: sync follows it. false: it has none. */
static bool last_is_alone(IrBlock *b)
{
    bool is_any = false;
    for (uint32_t i = b->nops; i-- && b->op[i].insn == b->ninsns - 1;) {
        if (is_access(&b->op[i])) {
            b->op[i].aux |= MEM_ALONE;
            is_any = true;
        }
    }
    return is_any;
}

static void terminate(Maker *k, bool is_alone_insn)
{
    IrBlock *b = &k->v->ir;
    uint64_t pc = b->gva + b->nbytes;
    ir_emit(&k->build, &(IrOp){.op = is_alone_insn ? IR_sync : IR_jmp, .imm = (int64_t)pc});
}

/* The instructions of one block. false: the first cannot be fetched. */
static bool translate_block(Maker *k, BlockKind kind, Trap *trap)
{
    ExecVcpu *v = k->v;
    bool is_trap = false;
    for (;;) {
        TrResult r = translate_one(k, trap, &is_trap);
        if (is_trap) {
            return false;
        }
        if (r == TR_MORE || k->build.is_full) {
            if (k->build.is_full) {
                ir_drop_insn(&k->build);
            }
            terminate(k, false);
            return true;
        }
        if (r == TR_END) {
            unsigned end = v->ir.op[v->ir.nops - 1].op;
            if (end == IR_sync || end == IR_syncr) { /* an access of it is alone as it is, and could not be made so */
                last_is_alone(&v->ir);
            }
            return true;
        }
        uint32_t last = v->ir.insn_at[v->ir.ninsns - 1];
        bool alone = (kind == KIND_SINGLE || is_alone(v, k->first.gpa + last)) && last_is_alone(&v->ir);
        if (alone || v->ir.ninsns >= k->max_insns || k->has_second || v->ir.nbytes >= k->first.n ||
            exec_is_break(v, v->ir.gva + v->ir.nbytes)) {
            terminate(k, alone);
            return true;
        }
    }
}

static void access_note(ExecVcpu *v, Block *b)
{
    uint32_t last = v->ir.ninsns - 1;
    b->last_len = (uint8_t)(v->ir.insn_at[last + 1] - v->ir.insn_at[last]);
    for (uint32_t i = 0; i < v->ir.nops; i++) {
        if (v->ir.op[i].insn == last && is_access(&v->ir.op[i])) {
            b->access_dst = ir_op_info[v->ir.op[i].op].has_dst ? v->ir.op[i].d : IR_ZERO;
            b->access_aux = v->ir.op[i].aux;
            return;
        }
    }
}

static void *code_make(ExecVcpu *v, Block *b)
{
#ifndef NDEBUG
    Err err = {0};
    int rc = ir_verify(&v->ir, &v->isa->ir, &err);
    assert(!rc && "the translator made an unsound block");
#endif
    if (v->cfg.max_block_insns != 1) { /* the reference mode runs what the translator wrote */
        ir_optimise(&v->ir, &v->isa->ir);
    }
    if (v->cover) {
        cover_block(v, &v->ir);
    }
    void *code = v->cfg.engine->prepare(v->engine, &v->ir, b);
    if (!code) { /* full: start again from nothing */
        blocks_drop_all(v);
        blocks_reap(v);
        code = v->cfg.engine->prepare(v->engine, &v->ir, b);
    }
    return code;
}

static void block_list(ExecVcpu *v, Block *b, const Fetch *first, const Fetch *second, bool is_fresh)
{
    is_fresh = page_watch(v, first) || is_fresh; /* again: making room for the code may have released the page */
    page_add(v, b, 0, b->gpa, first->page, is_fresh);
    if (is_in_two_lists(b)) {
        is_fresh = page_watch(v, second) || is_fresh;
        page_add(v, b, 1, b->gpa2, second->page, is_fresh);
    }
    Block **head = &v->tables.hash[hash_of(b->gpa, b->gva, b->mode_key)];
    b->hash_next = *head;
    *head = b;
}

static Block *block_make(ExecVcpu *v, BlockKind kind, uint32_t max_insns, const Fetch *at)
{
    Maker k = {.v = v, .first = *at, .max_insns = kind == KIND_NORMAL ? insns_cap(v) : max_insns};
    Trap trap;
    ir_begin(&k.build, &v->ir, v->ops, v->f->pc, v->f->mode_key);
    bool is_fresh = page_watch(v, at); /* before the bytes are read, so that no store goes unnoticed */
    if (!translate_block(&k, kind, &trap)) {
        v->f->trap = trap;
        return NULL;
    }
    if (k.has_second) {
        is_fresh = page_watch(v, &k.second) || is_fresh;
    }
    Block *b = block_alloc(v);
    void *code = code_make(v, b);
    assert(code); /* an empty cache holds any block */
    *b = (Block){.gva = v->f->pc,
                 .gpa = at->gpa,
                 .mode_key = v->f->mode_key,
                 .ninsns = v->ir.ninsns,
                 .nbytes = v->ir.nbytes,
                 .cut = max_insns,
                 .kind = kind,
                 .code = code};
    access_note(v, b);
    if (k.has_second) {
        b->gpa2 = k.second.gpa;
        b->nbytes2 = b->nbytes - at->n;
    }
    block_list(v, b, at, &k.second, is_fresh);
    v->stats.translations++;
    return b;
}

Block *block_get(ExecVcpu *v, BlockKind kind, uint32_t max_insns, Trap *trap)
{
    Frame *f = v->f;
    Fetch at;
    if (!mmu_fetch(v->mmu, f->pc, &at, trap)) {
        return NULL;
    }
    Block **first = &v->tables.hash[hash_of(at.gpa, f->pc, f->mode_key)], *b;
    for (Block **link = first; (b = *link); link = &b->hash_next) {
        if (b->gpa == at.gpa && b->gva == f->pc && b->mode_key == f->mode_key && b->kind == kind &&
            b->cut == max_insns) {
            *link = b->hash_next; /* to the front: blocks that were cut once are many, and looked for less */
            b->hash_next = *first;
            *first = b;
            if (!b->nbytes2) {
                return b;
            }
            Fetch second; /* may be another page by now, or none */
            if (!mmu_fetch(v->mmu, f->pc + at.n, &second, trap)) {
                return NULL;
            }
            if (second.gpa == b->gpa2) {
                return b;
            }
        }
    }
    b = block_make(v, kind, max_insns, &at);
    if (!b) {
        *trap = f->trap;
    }
    return b;
}

/* ---- showing ---- */
typedef struct {
    ExecCodeSeen *seen;
    void *ctx;
} Shown;

static void host_show(void *ctx, const char *what, const void *bytes, size_t nbytes, uint64_t at)
{
    const Shown *s = ctx;
    s->seen(s->ctx, EXEC_CODE_HOST, what, at, bytes, nbytes);
}

/* Translated once more, as nobody keeps the IR. */
static void block_show(ExecVcpu *v, const Block *b, Shown *s)
{
    static const char *const kinds[] = {[KIND_NORMAL] = "block",
                                        [KIND_CUT] = "block that is cut at a deadline",
                                        [KIND_SINGLE] = "block of an instruction that runs alone"};
    Maker k = {.v = v, .max_insns = b->ninsns};
    Trap trap;
    Buf text = {0};
    bool is_here =
        mmu_fetch(v->mmu, b->gva, &k.first, &trap) && k.first.gpa == b->gpa; /* in the address space of now */
    if (is_here) {
        s->seen(s->ctx, EXEC_CODE_GUEST, kinds[b->kind], b->gva, k.first.host, b->nbytes - b->nbytes2);
        ir_begin(&k.build, &v->ir, v->ops, b->gva, b->mode_key);
    }
    if (is_here && translate_block(&k, b->kind, &trap)) {
        if (v->cfg.max_block_insns != 1) {
            ir_optimise(&v->ir, &v->isa->ir);
        }
        ir_print(&v->ir, &v->isa->ir, &text);
        s->seen(s->ctx, EXEC_CODE_IR, kinds[b->kind], b->gva, text.data, text.n);
    }
    buf_free(&text);
    if (v->cfg.engine->show) {
        v->cfg.engine->show(v->engine, b->code, host_show, s);
    }
}

static bool kind_show(ExecVcpu *v, uint64_t gva, bool is_normal, Shown *s)
{
    bool is_any = false;
    for (size_t i = 0; i < 1u << BLOCK_HASH_BITS; i++) {
        for (const Block *b = v->tables.hash[i]; b; b = b->hash_next) {
            if (gva - b->gva < b->nbytes && (b->kind == KIND_NORMAL) == is_normal) {
                block_show(v, b, s);
                is_any = true;
            }
        }
    }
    return is_any;
}

void exec_code(ExecVcpu *v, uint64_t gva, ExecCodeSeen *seen, void *ctx)
{
    Shown s = {seen, ctx};
    if (!kind_show(v, gva, true, &s)) {
        kind_show(v, gva, false, &s);
    }
}
