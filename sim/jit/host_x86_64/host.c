/* SPDX-License-Identifier: Apache-2.0
 * host.c - the emitter's life, the code around units, and units on their way into the cache. */
#include "sim/jit/host_x86_64/host.h"

#include "sim/base/os.h"
#include "sim/base/x86.h"
#include "sim/softmmu/softmmu.h"

#include <assert.h>
#include <immintrin.h>
#include <stdatomic.h>

/* Pins come first: they are what C must keep, so that a call saves and restores less. */
const uint8_t host_gprs[] = {RBX, R12, R13, R14, RSI, RDI, R8, R9, R10, R11};
const unsigned host_ngprs = sizeof host_gprs, host_nspare = GROUP_REGS, host_nspare_flat = 1, host_fpr_first = 2,
               host_fpr_end = 16;
enum { KEPT_BY_C = 4 }; /* of host_gprs */

/* ---- the code around units ---- */
static const uint8_t kept[] = {RBX, RBP, R12, R13, R14, R15};

static void push_pop(Asm *a, unsigned opc, unsigned r)
{
    x_prefix(a, 0, opc | (r & 7), 0, 0, r, false);
}

static void call_c(Asm *a, uintptr_t fn)
{
    x_movi64(a, RAX, fn);
    x_rr(a, 0, X_GROUP5, 2, RAX);
}

static void pins(JitHost *h, uint32_t opc)
{
    for (unsigned p = 0; p < h->j->npins; p++) {
        x_rm(&h->a, W, opc, host_gprs[p], RBP, AT_SLOT(h->j->pin[p]));
    }
}

void host_pins_store(JitHost *h)
{
    pins(h, X_STORE);
}

static void save_gprs(Asm *a, unsigned from, unsigned to, int32_t below)
{
    for (unsigned i = from; i < to; i++) {
        x_rm(a, W, X_STORE, host_gprs[i], RSP, below + ON_STACK(gpr) + host_gprs[i] * 8);
    }
}

/* Homes into the JitStack, of which rsp is `below` bytes short: those that C does not keep; */
static void save_lost(Asm *a, bool has_fpr, int32_t below)
{
    save_gprs(a, KEPT_BY_C, sizeof host_gprs, below);
    for (unsigned x = host_fpr_first; has_fpr && x < host_fpr_end; x++) {
        x_rm(a, 0, X_MOVQ_STORE, x, RSP, below + ON_STACK(fpr) + (int32_t)x * 8);
    }
}

/* all. */
static void save(Asm *a, bool has_fpr, int32_t below)
{
    save_gprs(a, 0, KEPT_BY_C, below);
    save_lost(a, has_fpr, below);
}

static void restore(Asm *a, bool has_fpr, int32_t below)
{
    for (unsigned i = KEPT_BY_C; i < sizeof host_gprs; i++) {
        x_rm(a, W, X_LOAD, host_gprs[i], RSP, below + ON_STACK(gpr) + host_gprs[i] * 8);
    }
    for (unsigned x = host_fpr_first; has_fpr && x < host_fpr_end; x++) {
        x_rm(a, 0, X_MOVQ_LOAD, x, RSP, below + ON_STACK(fpr) + (int32_t)x * 8);
    }
}

static uint8_t *emit_enter(JitHost *h)
{
    Asm *a = &h->a;
    uint8_t *start = a->p;
    for (unsigned i = 0; i < sizeof kept; i++) {
        push_pop(a, 0x50, kept[i]);
    }
    x_alui(a, W, G_SUB, RSP, (int32_t)sizeof(JitStack) + 8);
    x_rm(a, W, X_STORE, RDX, RSP, ON_STACK(j));
    x_rm(a, W, X_STORE, RDI, RSP, ON_STACK(f));
    x_rm(a, W, X_LEA, RBP, RDI, HOST_BIAS);
    x_rm(a, W, X_LOAD, R15, RBP, AT(tlb_read));
    x_mov(a, RAX, RSI);
    pins(h, X_LOAD);
    x_rr(a, 0, X_GROUP5, 4, RAX);
    return start;
}

/* rax, rdx: LeftBy */
static uint8_t *emit_return(Asm *a)
{
    uint8_t *start = a->p;
    x_alui(a, W, G_ADD, RSP, (int32_t)sizeof(JitStack) + 8);
    for (unsigned i = sizeof kept; i-- > 0;) {
        push_pop(a, 0x58, kept[i]);
    }
    x_byte(a, 0xc3);
    return start;
}

/* rcx: site */
/* Frame.go_on, if there is one. rax: Left. Pins are in the frame. */
static uint8_t *emit_ask(JitHost *h, const uint8_t *back)
{
    Asm *a = &h->a;
    uint8_t *start = a->p;
    x_rm(a, W, X_LOAD, RCX, RBP, AT(go_on));
    x_zero(a, RDX);
    x_rr(a, W, X_TEST, RCX, RCX);
    x_fix(x_jcc(a, CC_E), back);
    x_rm(a, W, X_LOAD, RDI, RSP, ON_STACK(f));
    x_mov(a, RSI, RAX);
    x_rr(a, 0, X_GROUP5, 2, RCX);
    x_rr(a, W, X_TEST, RAX, RAX);
    uint8_t *leave = x_jcc(a, CC_E);
    x_rm(a, W, X_LOAD, R15, RBP, AT(tlb_read));
    pins(h, X_LOAD);
    x_rr(a, 0, X_GROUP5, 4, RAX);
    x_fix(leave, a->p);
    x_mov(a, RAX, RDX);
    x_zero(a, RDX);
    x_fix(x_jmp(a), back);
    return start;
}

static uint8_t *emit_by_table(Asm *a, uintptr_t fn, const uint8_t *back)
{
    uint8_t *start = a->p;
    save(a, true, 0);
    x_mov(a, RDI, RSP);
    x_mov(a, RSI, RCX);
    call_c(a, fn);
    x_zero(a, RDX);
    x_fix(x_jmp(a), back);
    return start;
}

/* Called with rax, rdx, rcx as jit_slow's operands; its value comes back in rax. */
static uint8_t *emit_slow_call(Asm *a, bool has_fpr, const uint8_t *ask)
{
    uint8_t *start = a->p;
    save(a, has_fpr, 8);
    x_rm(a, W, X_LEA, RDI, RSP, 8);
    x_mov(a, RSI, RAX);
    x_alui(a, W, G_SUB, RSP, 8);
    call_c(a, (uintptr_t)jit_slow);
    x_alui(a, W, G_ADD, RSP, 8);
    x_alumi(a, 0, G_CMP, RBP, AT(event), 0);
    uint8_t *event = x_jcc(a, CC_NE);
    restore(a, has_fpr, 8);
    x_byte(a, 0xc3);
    x_fix(event, a->p);
    x_alui(a, W, G_ADD, RSP, 8);
    x_movi(a, RAX, LEFT_EVENT);
    x_fix(x_jmp(a), ask);
    return start;
}

/* Called as emit_slow_call's, for an access of the last instruction of its block, which is all that the budget must give back. */
static uint8_t *emit_alone_call(Asm *a, bool is_store, bool has_fpr, const uint8_t *ask)
{
    uint8_t *start = a->p;
    save_lost(a, has_fpr, 8);
    x_rm(a, W, X_STORE, RCX, RSP, 8 + ON_STACK(arg[1]));
    x_alumi(a, W, G_ADD, RBP, AT(budget), 1);
    x_rm(a, W, X_LOAD, RDI, RSP, 8 + ON_STACK(f));
    x_mov(a, RSI, RAX);
    x_rm(a, 0, X_LOAD, is_store ? RCX : RDX, RSP, 8 + ON_STACK(arg[0]));
    x_alui(a, W, G_SUB, RSP, 8);
    call_c(a, is_store ? (uintptr_t)mmu_store : (uintptr_t)mmu_load);
    x_alui(a, W, G_ADD, RSP, 8);
    x_alumi(a, 0, G_CMP, RBP, AT(event), 0);
    uint8_t *event = x_jcc(a, CC_NE);
    x_alumi(a, W, G_SUB, RBP, AT(budget), 1);
    restore(a, has_fpr, 8);
    x_byte(a, 0xc3);
    x_fix(event, a->p);
    x_alui(a, W, G_ADD, RSP, 8);
    save_gprs(a, 0, KEPT_BY_C, 0);
    x_mov(a, RDI, RSP);
    x_rm(a, W, X_LOAD, RSI, RSP, ON_STACK(arg[1]));
    call_c(a, (uintptr_t)jit_show);
    x_movi(a, RAX, LEFT_EVENT);
    x_fix(x_jmp(a), ask);
    return start;
}

static uint8_t *emit_aim(Asm *a, bool has_fpr)
{
    uint8_t *start = a->p;
    save(a, has_fpr, 8);
    x_rm(a, W, X_STORE, RCX, RSP, 8 + ON_STACK(arg[0]));
    x_rm(a, W, X_LOAD, RDI, RSP, 8 + ON_STACK(f));
    x_mov(a, RSI, RDX);
    x_mov(a, RDX, RAX);
    x_alui(a, W, G_SUB, RSP, 8);
    call_c(a, (uintptr_t)mmu_window_aim);
    x_alui(a, W, G_ADD, RSP, 8);
    restore(a, has_fpr, 8);
    x_rm(a, W, X_LOAD, RCX, RSP, 8 + ON_STACK(arg[0]));
    x_byte(a, 0xc3);
    return start;
}

static uint8_t *emit_fold(Asm *a, bool has_fpr)
{
    uint8_t *start = a->p;
    save(a, has_fpr, 8);
    x_rm(a, W, X_LEA, RDI, RSP, 8);
    x_alui(a, W, G_SUB, RSP, 8);
    call_c(a, (uintptr_t)jit_fold);
    x_alui(a, W, G_ADD, RSP, 8);
    restore(a, has_fpr, 8);
    x_byte(a, 0xc3);
    return start;
}

/* To rdx by the second place that Frame.jump has for it, if it is there. */
static void emit_other_jump(Asm *a, unsigned entry)
{
    x_rm(a, W, X_CMP, RDX, entry, offsetof(JumpEntry, pc));
    uint8_t *miss = x_jcc(a, CC_NE);
    x_rm(a, 0, X_GROUP5, 4, entry, offsetof(JumpEntry, code));
    x_fix(miss, a->p);
}

static void emit_around(JitHost *h)
{
    Asm *a = &h->a;
    int64_t exec = h->j->cache.exec;
    uint8_t *enter = emit_enter(h), *back = emit_return(a);
    h->exit_far = a->p + exec; /* rax: JExit */
    x_rm(a, W, X_LOAD, RCX, RBP, AT(jump));
    x_rm(a, W, X_ADD, RCX, RAX, offsetof(JExit, jump_other));
    x_rm(a, W, X_LOAD, RDX, RAX, offsetof(JExit, pc));
    emit_other_jump(a, RCX);
    h->exit = a->p + exec;
    pins(h, X_STORE);
    x_movi(a, RDX, BY_EXIT);
    x_fix(x_jmp(a), back);
    h->heat = a->p + exec;
    pins(h, X_STORE);
    x_movi(a, RDX, BY_HEAT);
    x_fix(x_jmp(a), back);
    h->cold = a->p + exec;
    pins(h, X_STORE);
    x_movi(a, RDX, BY_COLD);
    x_fix(x_jmp(a), back);
    h->indirect = a->p + exec; /* rdx: pc; rcx: Frame.jump; rax: its entry for that */
    x_rr(a, W, X_SUB, RAX, RCX);
    x_alui(a, 0, G_XOR, RAX, JUMP_OTHER(0) * sizeof(JumpEntry));
    x_rr(a, W, X_ADD, RCX, RAX);
    emit_other_jump(a, RCX);
    x_rm(a, W, X_STORE, RDX, RBP, AT(pc));
    x_movi(a, RAX, LEFT_INDIRECT);
    pins(h, X_STORE);
    x_zero(a, RDX);
    x_fix(x_jmp(a), back);
    uint8_t *asked = emit_ask(h, back);
    h->asked = asked + exec;
    h->ask = a->p + exec;
    pins(h, X_STORE);
    x_fix(x_jmp(a), asked);
    h->term = emit_by_table(a, (uintptr_t)jit_leave, back) + exec;
    h->budget = emit_by_table(a, (uintptr_t)jit_out_of_budget, back) + exec;
    for (unsigned i = 0; i < 2; i++) {
        h->slow[i] = emit_slow_call(a, i, asked) + exec;
        h->alone[0][i] = emit_alone_call(a, false, i, asked) + exec;
        h->alone[1][i] = emit_alone_call(a, true, i, asked) + exec;
        h->fold[i] = emit_fold(a, i) + exec;
        h->aim[i] = emit_aim(a, i) + exec;
    }
    h->enter = (LeftBy(*)(Frame *, void *, Jit *))(uintptr_t)(enter + exec);
}

/* ---- life ---- */
unsigned host_features(void)
{
    unsigned have = 0;
    have |= x86_has.lzcnt ? JIT_LZCNT : 0;
    have |= x86_has.bmi2 ? JIT_BMI2 : 0;
    have |= x86_has.bmi1 ? JIT_BMI1 : 0;
    have |= x86_has.fma ? JIT_FMA : 0;
    have |= x86_has.avx ? JIT_AVX : 0;
    have |= x86_has.popcnt ? JIT_POPCNT : 0;
    return jit_features ? jit_features(have) : have;
}

/* Behind the code around units, where code of units reaches it. */
static void emit_consts(JitHost *h)
{
    static const uint64_t consts[HOST_CONSTS] = {[CONST_BOX] = ~0ull << 32,
                                                 [CONST_SIGN64] = 1ull << 63,
                                                 [CONST_SIGN32] = 1ull << 31,
                                                 [CONST_ABS64] = ~0ull >> 1,
                                                 [CONST_ABS32] = ~(1ull << 31)};
    while ((uintptr_t)h->a.p % 16) {
        x_byte(&h->a, 0);
    }
    h->j->cache.consts = h->a.p + h->j->cache.exec;
    h->j->cache.consts_bytes = sizeof consts * 2;
    for (unsigned i = 0; i < HOST_CONSTS; i++) {
        x_imm64(&h->a, consts[i]);
        x_imm64(&h->a, 0);
    }
}

JitHost *host_open(Jit *j)
{
    uint8_t *buffer = os_pages_new(HOST_BUFFER_BYTES + sizeof(JitHost)); /* of which little is touched at first */
    JitHost *h = (JitHost *)(void *)(buffer + HOST_BUFFER_BYTES);
    h->j = j;
    h->buffer = buffer;
    unsigned has = host_features();
    h->has_bmi2 = has & JIT_BMI2;
    h->has_bmi1 = has & JIT_BMI1;
    h->has_lzcnt = has & JIT_LZCNT;
    h->has_fma = has & JIT_FMA;
    h->has_avx = has & JIT_AVX;
    h->has_popcnt = has & JIT_POPCNT;
    uint8_t *code = j->cache.code;
    h->a = (Asm){.p = code, .end = code + HOST_AROUND_BYTES};
    emit_around(h);
    size_t around_bytes = (size_t)(h->a.p - code);
    emit_consts(h);
    assert(!h->a.is_full);
    if (jit_watch) {
        JitEvent e = jit_event(&j->cache, JIT_AROUND, code, around_bytes);
        jit_watch(&e);
    }
    return h;
}

JitHost *host_open_beside(const JitHost *of)
{
    uint8_t *buffer = os_pages_new(HOST_BUFFER_BYTES + sizeof(JitHost));
    JitHost *h = (JitHost *)(void *)(buffer + HOST_BUFFER_BYTES);
    memcpy(h, of, offsetof(JitHost, sites));
    h->buffer = buffer;
    return h;
}

void host_close(JitHost *h)
{
    VEC_FREE(&h->sites);
    VEC_FREE(&h->entries);
    VEC_FREE(&h->exits);
    VEC_FREE(&h->relocs);
    VEC_FREE(&h->stubs);
    VEC_FREE(&h->fixes);
    VEC_FREE(&h->tables);
    os_pages_free(h->buffer, HOST_BUFFER_BYTES + sizeof *h);
}

/* ---- flags of FP, which accrue in MXCSR while code runs (SDM 1, 10.2.3) ---- */
enum { MXCSR_DEFAULT = 0x1f80 };

uint32_t host_fp_begin(void)
{
    uint32_t host = _mm_getcsr();
    if (host != MXCSR_DEFAULT) {
        _mm_setcsr(MXCSR_DEFAULT);
    }
    return host;
}

uint32_t host_fp_flags(void)
{
    uint32_t csr = _mm_getcsr();
    return (csr & 1 ? FP_NV : 0) | (csr & 4 ? FP_DZ : 0) | (csr & 8 ? FP_OF : 0) | (csr & 16 ? FP_UF : 0) |
           (csr & 32 ? FP_NX : 0);
}

void host_fp_end(uint32_t host)
{
    if (_mm_getcsr() != host) {
        _mm_setcsr(host);
    }
}

/* Clang's -fsanitize=function looks for a signature before the code of whom it calls, which emitted code has not. */
#if defined(__clang__)
__attribute__((no_sanitize("function")))
#endif
LeftBy
host_enter(JitHost *h, void *code, Frame *f)
{
    assert(f->tlb_write == f->tlb_read + TLB_ENTRIES); /* as mmu_new makes them */
    return h->enter(f, code, h->j);
}

/* ---- into the cache ---- */
static uint64_t reloc_pointer(const JitHost *h, const Unit *u, const Reloc *r)
{
    switch ((RelocKind)r->kind) {
    case RELOC_SITE:
        return (uintptr_t)&u->sites[r->to];
    case RELOC_EXIT:
        return (uintptr_t)&u->exits[r->to];
    case RELOC_HERE:
        return (uintptr_t)u->code + r->to + (uint64_t)h->j->cache.exec;
    case RELOC_HELPER:
        return (uintptr_t)h->m->guest->helpers[r->to].fn;
    case RELOC_BLOCK:
        return (uintptr_t)h->m->bb[r->to].b;
    case RELOC_HEAT:
        return (uintptr_t)&h->m->bb[r->to].b->heat;
    case RELOC_TAG:
        return (uintptr_t)h->m->bb[r->to].b->tag;
    case RELOC_CODE:
    case RELOC_RANGE:
    case RELOC_KINDS:
        break;
    }
    return 0;
}

static void relocate(const JitHost *h, const Unit *u)
{
    const CodeCache *c = &h->j->cache;
    for (size_t i = 0; i < h->relocs.n; i++) {
        const Reloc *r = &h->relocs.items[i];
        uint8_t *at = u->code + r->at;
        if (r->kind == RELOC_CODE) {
            x_fix(at, c->code + r->to);
        } else if (r->kind == RELOC_RANGE) {
            uint64_t to = h->m->flat_addend + h->m->flat_first + (uint64_t)(int64_t)(int32_t)r->to;
            x_fix(at, (const uint8_t *)(uintptr_t)(to - (uint64_t)c->exec));
        } else {
            uint64_t pointer = reloc_pointer(h, u, r);
            memcpy(at, &pointer, sizeof pointer);
        }
    }
}

static Unit *unit_new(JitHost *h)
{
    size_t n = h->exits.n;
    Unit *u = x_alloc(sizeof *u + h->sites.n * sizeof(Site) + n * sizeof(JExit) + h->entries.n * sizeof(Entry));
    u->sites = (Site *)(u + 1);
    u->exits = (JExit *)(u->sites + h->sites.n);
    u->entries = (Entry *)(u->exits + n);
    u->nsites = (uint32_t)h->sites.n;
    u->nexits = (uint32_t)n;
    u->nentries = (uint32_t)h->entries.n;
    if (u->nentries) {
        memcpy(u->entries, h->entries.items, u->nentries * sizeof(Entry));
    }
    for (size_t i = 0; i < u->nsites; i++) {
        const SiteAt *s = &h->sites.items[i];
        u->sites[i] = (Site){.b = host_block_of(h, s),
                             .entry = u->entries + s->first,
                             .nentries = s->nentries,
                             .op = s->op,
                             .extra = s->extra};
    }
    return u;
}

static void members_note(const JitHost *h, Unit *u)
{
    const Maker *m = h->m;
    u->members = x_calloc(m->nbbs, sizeof *u->members);
    u->nmembers = m->nbbs;
    for (unsigned k = 0; k < m->nbbs; k++) {
        const uint8_t *entry = h->bb[k].entry;
        u->members[k] = (Member){.b = m->bb[k].b,
                                 .region = u,
                                 .entry = entry ? (uint32_t)(entry - h->buffer) : 0,
                                 .unrolled = m->bb[k].unrolled};
    }
}

static void unit_show(const JitHost *h, const Unit *u)
{
    const Maker *m = h->m;
    JitEvent e = jit_event(&h->j->cache, m->is_region ? JIT_REGION : JIT_BLOCK, u->code + HOST_ENTRY, u->insn_bytes);
    e.hot_bytes = h->hot_end - HOST_ENTRY;
    e.table_bytes = h->table_bytes;
    e.gva = m->bb[0].b->gva;
    e.nblocks = m->nbbs;
    for (unsigned k = 0; k < m->nbbs; k++) {
        e.ninsns += m->bb[k].b->ninsns;
        e.nops += m->bb[k].b->nops;
        e.ninsns += m->bb[k].unrolled ? m->bb[k].unrolled->ninsns : 0;
        e.nops += m->bb[k].unrolled ? m->bb[k].unrolled->nops : 0;
        uint32_t counted = m->bb[k].count.last; /* a second body up to there, and what follows a second time */
        e.ninsns += counted ? m->bb[k].b->ninsns : 0;
        e.nops += counted ? m->bb[k].b->nops : 0;
    }
    jit_watch(&e);
}

Unit *host_unit(JitHost *h)
{
    const Maker *m = h->m;
    Unit *u = unit_new(h);
    u->code_bytes = (uint32_t)(h->a.p - h->buffer);
    u->insn_bytes = h->code_end - HOST_ENTRY;
    memcpy(h->buffer + HOST_ENTRY - sizeof(JBlock *), &m->bb[0].b, sizeof(JBlock *));
    if (m->is_region) {
        members_note(h, u);
    }
    return u;
}

Unit *host_make(JitHost *h, Maker *m)
{
    h->m = m;
    h->a = (Asm){.p = h->buffer + HOST_ENTRY, .end = h->buffer + HOST_BUFFER_BYTES};
    return jit_unit_emit(h) ? host_unit(h) : NULL;
}

void host_unit_free(Unit *u)
{
    if (u) {
        mem_free(u->members);
        mem_free(u);
    }
}

bool host_place(JitHost *h, Unit *u)
{
    u->code = jit_cache_get(&h->j->cache, u->code_bytes);
    if (!u->code) {
        return false;
    }
    memcpy(u->code, h->buffer, u->code_bytes);
    relocate(h, u);
    const uint8_t *runs = u->code + h->j->cache.exec;
    for (size_t i = 0; i < u->nexits; i++) {
        const ExitAt *from = &h->exits.items[i];
        const Bb *x = &h->m->bb[from->k];
        uint64_t pc = (uint64_t)x->b->op[x->at[from->number]].imm;
        u->exits[i] = (JExit){.from = x->b,
                              .number = from->number,
                              .pc = pc,
                              .jump_other = JUMP_OTHER(JUMP_INDEX(pc)) * sizeof(JumpEntry),
                              .jump = u->code + from->jump,
                              .leave = runs + from->leave,
                              .far = from->far ? runs + from->far : NULL};
    }
    if (jit_watch) {
        unit_show(h, u);
    }
    return true;
}

enum { JUMP_BYTES = 5 };

static void jump_show(const Jit *j, uint8_t *jump)
{
    if (jit_watch) {
        JitEvent e = jit_event(&j->cache, JIT_JUMP, jump, JUMP_BYTES);
        jit_watch(&e);
    }
}

void host_patch(const Jit *j, const JExit *e, const void *to)
{
    const uint8_t *at = to == LINK_BY_JUMP_CACHE && e->far ? e->far : !to || to == LINK_BY_JUMP_CACHE ? e->leave : to;
    int32_t displacement = (int32_t)(at - (e->jump + j->cache.exec + 4));
    /* The displacement is aligned: who runs here sees the old one or the new one. */
    atomic_store_explicit((_Atomic int32_t *)(void *)e->jump, displacement, memory_order_release);
    jump_show(j, e->jump - 1);
}

void host_stub(JitHost *h, uint8_t *code)
{
    const JBlock *b = jblock_of(code + HOST_ENTRY);
    h->a = (Asm){.p = code + HOST_ENTRY, .end = code + HOST_STUB_BYTES};
    x_movi64(&h->a, RAX, (uintptr_t)b);
    x_fix(x_jmp(&h->a), h->cold - h->j->cache.exec);
    if (jit_watch) {
        JitEvent e = jit_event(&h->j->cache, JIT_STUB, code + HOST_ENTRY, (size_t)(h->a.p - code - HOST_ENTRY));
        e.gva = b->gva;
        jit_watch(&e);
    }
}

/* A head begins with movabs rax, of 10 bytes, and is aligned: one store changes it. */
void host_redirect(const Jit *j, JBlock *b, const uint8_t *to)
{
    uint64_t now = b->head_bytes;
    if (to) {
        uint8_t jump[8] = {0xe9};
        int32_t displacement = (int32_t)(to - (b->head + JUMP_BYTES));
        memcpy(jump + 1, &displacement, sizeof displacement);
        memcpy(&now, jump, sizeof now);
    }
    uint8_t *head = b->head - j->cache.exec;
    atomic_store_explicit((_Atomic uint64_t *)(void *)head, now, memory_order_release);
    if (to) {
        jump_show(j, head);
    }
}
