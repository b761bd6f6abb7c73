/* SPDX-License-Identifier: Apache-2.0
 * jit.c - the emitter's life, the code around units, and what runs when code is left: write-back by side tables. */
#include "sim/r2/jit_int.h"

#include "sim/base/mem.h"

#include <assert.h>
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SINGLE_BYTES = 1 << 16, MXCSR_MASKED = 0x1f80 };

/* ---- side tables ---- */
static void site_apply(const Jit *j, R2Frame *f, Site *s)
{
    s->nused++;
    uint64_t *slots = (uint64_t *)(void *)f;
    for (uint32_t i = 0; i < s->n; i++) {
        const Entry *e = &j->entries.items[s->first + i];
        switch (e->kind) {
        case E_GPR:
            slots[e->slot] = f->save[e->reg];
            break;
        case E_XMM:
            slots[e->slot] = f->xsave[e->reg];
            break;
        case E_CONST:
            slots[e->slot] = e->c;
            break;
        default:
            slots[e->slot] = slots[e->of];
            break;
        }
    }
}

static int64_t rest(const Site *s)
{
    return s->op < s->b->nops ? (int64_t)s->b->ninsns - s->b->op[s->op].insn : s->b->ninsns;
}

static void site_show(const Jit *j, R2Frame *f, Site *s)
{
    site_apply(j, f, s);
    f->f.pc = s->b->gva + (s->op < s->b->nops ? s->b->insn_at[s->b->op[s->op].insn] : 0);
}

static uint64_t slow_fp(R2Frame *f, const IrOp *o)
{
    uint32_t flags = (uint32_t)f->fflags;
    unsigned rm = FP_RM(o->aux) == RM_DYN ? (unsigned)f->frm : FP_RM(o->aux);
    uint64_t v = ir_eval_fp(o, f->arg[0], f->arg[1], f->arg[2], rm, r2_guest.fp_mode, &flags);
    f->fflags = flags;
    return v;
}

/* Everything that code calls: registers are in f->save. */
static uint64_t slow_op(Jit *j, uint64_t gva, uint64_t value, uint32_t site)
{
    R2Frame *f = j->f;
    Site *s = &j->sites.items[site];
    const IrOp *o = &s->b->op[s->op];
    uint64_t got = 0;
    f->f.budget += rest(s);
    switch (ir_op_info[o->op].cls) {
    case CLASS_LOAD:
        got = mmu_load(&f->f, gva, o->aux);
        break;
    case CLASS_STORE:
        mmu_store(&f->f, gva, value, o->aux);
        break;
    case CLASS_CALL:
        if (r2_guest.helpers[o->aux].effects & EFF_READS_FRAME) {
            site_apply(j, f, s);
        }
        got = r2_guest.helpers[o->aux].fn(&f->f, f->arg[0], f->arg[1], f->arg[2], o->imm);
        break;
    case CLASS_PURE:
        got = ir_eval(o->op, f->arg[0], f->arg[1], f->arg[2], o->imm);
        break;
    case CLASS_FP:
        got = slow_fp(f, o);
        break;
    case CLASS_ATOMIC:
    case CLASS_FENCE:
    case CLASS_SIDE_EXIT:
    case CLASS_TERM:
        assert(!"code calls for these");
        break;
    }
    if (f->f.event) {
        site_show(j, f, s);
        f->f.left_block = (void *)(uintptr_t)s->b;
    } else {
        f->f.budget -= rest(s);
    }
    return got;
}

/* ---- the code around units ---- */
static const uint8_t saved[] = {RBX, RSI, RDI, R8, R9, R10, R11, R12, R13, R14};

static void save_all(Asm *a, bool is_load, bool has_xmm)
{
    for (unsigned i = 0; i < sizeof saved; i++) {
        x_rm(a, W, is_load ? X_LOAD : X_STORE, saved[i], RBP, AT(save) + saved[i] * 8);
    }
    for (unsigned x = FIRST_XMM; has_xmm && x < 16; x++) {
        x_rm(a, 0, is_load ? X_MOVQ_LOAD : X_MOVQ_STORE, x, RBP, AT(xsave) + (int32_t)x * 8);
    }
}

static uint8_t *make_slow(Jit *j, bool has_xmm, const uint8_t *c_return)
{
    Asm *a = &j->a;
    uint8_t *start = a->p;
    save_all(a, false, has_xmm);
    x_alui(a, W, G_SUB, RSP, 8);
    x_movi(a, RDI, (uintptr_t)j);
    x_mov(a, RSI, RAX);
    x_movi(a, RAX, (uintptr_t)slow_op);
    x_rr(a, 0, 0xff, 2, RAX);
    x_alui(a, W, G_ADD, RSP, 8);
    x_rm(a, 0, 0x83, 7, RBP, AT(f.event));
    x_byte(a, 0);
    uint8_t *event = x_jcc(a, CC_NE);
    save_all(a, true, has_xmm);
    x_byte(a, 0xc3);
    x_fix(event, a->p);
    x_movi(a, RAX, (uint32_t)X_EVENT << 28);
    x_fix(x_jmp(a), c_return);
    return start;
}

static void make_thunks(Jit *j)
{
    static const uint8_t kept[] = {RBX, RBP, R12, R13, R14, R15};
    Asm *a = &j->a;
    uint8_t *enter = a->p;
    for (unsigned i = 0; i < sizeof kept; i++) {
        x_prefix(a, 0, 0x50 | (kept[i] & 7), 0, 0, kept[i], false);
    }
    x_alui(a, W, G_SUB, RSP, 8);
    x_rm(a, W, X_LEA, RBP, RDI, BIAS);
    x_rm(a, W, X_STORE, RSP, RBP, AT(host_rsp));
    x_mov(a, RAX, RSI);
    if (j->cfg.is_paged) {
        x_rm(a, W, X_LOAD, R15, RBP, AT(f.tlb_read));
    } else {
        x_movi(a, R15, (uint64_t)(uintptr_t)j->cfg.ram - R2_RAM);
    }
    for (unsigned p = 0; p < R2_NPINS; p++) {
        load_home(j, SLOT(r2_pins[p]));
    }
    x_rr(a, 0, 0xff, 4, RAX);
    j->c_exit = a->p;
    for (unsigned p = 0; p < R2_NPINS; p++) {
        store_home(j, SLOT(r2_pins[p]));
    }
    uint8_t *c_return = a->p;
    x_rm(a, W, X_LOAD, RSP, RBP, AT(host_rsp));
    x_alui(a, W, G_ADD, RSP, 8);
    for (unsigned i = sizeof kept; i-- > 0;) {
        x_prefix(a, 0, 0x58 | (kept[i] & 7), 0, 0, kept[i], false);
    }
    x_byte(a, 0xc3);
    j->c_table = a->p;
    save_all(a, false, true);
    x_fix(x_jmp(a), c_return);
    for (unsigned i = 0; i < 2; i++) {
        j->th_slow[i] = make_slow(j, i, c_return);
    }
    j->enter = (uint32_t(*)(R2Frame *, void *))(uintptr_t)(enter + j->exec);
}

/* ---- life ---- */
Jit *jit_new(const JitConfig *cfg, const R2Blocks *blocks)
{
    Jit *j = x_alloc(sizeof *j);
    j->cfg = *cfg;
    j->blocks = blocks;
    j->unit = x_calloc(blocks->n, sizeof *j->unit);
    /* Written through one mapping, run through another: no page is both (W^X). */
    int fd = memfd_create("r2", MFD_CLOEXEC);
    void *exec = MAP_FAILED;
    if (fd >= 0 && !ftruncate(fd, CODE_BYTES)) {
        j->code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        exec = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    if (fd < 0 || j->code == MAP_FAILED || exec == MAP_FAILED) {
        perror("r2: memory for code");
        exit(1);
    }
    close(fd);
    j->exec = (uint8_t *)exec - j->code;
    j->single = j->code + CODE_BYTES - SINGLE_BYTES;
    j->a.p = j->code;
    for (unsigned p = 0; p < R2_NPINS; p++) {
        j->is_pin[SLOT(r2_pins[p])] = true;
    }
    region_allocate(j);
    make_thunks(j);
    return j;
}

void jit_free(Jit *j)
{
    munmap(j->code + j->exec, CODE_BYTES);
    munmap(j->code, CODE_BYTES);
    mem_free(j->unit);
    VEC_FREE(&j->sites);
    VEC_FREE(&j->entries);
    VEC_FREE(&j->exits);
    VEC_FREE(&j->fixes);
    mem_free(j->stubs.items);
    mem_free(j->alone.block);
    mem_free(j);
}

static void *make(Jit *j, uint64_t pc)
{
    region_allocate(j);
    region_analyse(j);
    uint8_t *entry = region_emit(j, pc);
    return entry + j->exec;
}

static void alone_drop(Jit *j) /* the tables of the last single block */
{
    if (j->alone.is_there) {
        j->sites.n = j->alone.sites;
        j->entries.n = j->alone.entries;
        j->exits.n = j->alone.exits;
        j->alone.is_there = false;
    }
}

void *jit_unit(Jit *j, uint64_t pc)
{
    const IrBlock *b = r2_find(j->blocks, pc);
    if (!b) {
        return NULL;
    }
    void **unit = &j->unit[b - j->blocks->items];
    if (!*unit) {
        alone_drop(j);
        region_form(j, pc);
        *unit = make(j, pc);
        j->nunits++;
        if (j->a.p > j->single - SINGLE_BYTES) {
            fprintf(stderr, "r2: no room for code\n");
            exit(1);
        }
    }
    return *unit;
}

void *jit_single(Jit *j, const IrBlock *b)
{
    alone_drop(j);
    if (!j->alone.block) {
        j->alone.block = x_alloc(sizeof *j->alone.block);
    }
    j->alone.is_there = true;
    j->alone.sites = j->sites.n;
    j->alone.entries = j->entries.n;
    j->alone.exits = j->exits.n;
    *j->alone.block = *b;
    memcpy(j->alone.op, b->op, b->nops * sizeof *b->op);
    j->alone.block->op = j->alone.op;
    uint8_t *p = j->a.p;
    j->a.p = j->single;
    region_one(j, j->alone.block);
    void *code = make(j, b->gva);
    for (size_t i = j->alone.exits; i < j->exits.n; i++) {
        j->exits.items[i].at = NULL;
    }
    j->a.p = p;
    return code;
}

void jit_link(Jit *j, void *to)
{
    uint8_t *at = j->exits.items[j->left].at;
    if (at) {
        x_fix(at, (uint8_t *)to - j->exec);
    }
}

void jit_break_table(Jit *j, unsigned n)
{
    static const char *const kinds[] = {"register", "xmm register", "constant", "slot"};
    alone_drop(j);
    size_t first = n % j->sites.n, k = first;
    while (!j->sites.items[k].nused) { /* units that never run again are of no interest */
        k = (k + 1) % j->sites.n;
        if (k == first) {
            return;
        }
    }
    const Site *s = &j->sites.items[k];
    Entry *e = &j->entries.items[s->first + n % s->n];
    e->reg ^= 2;
    e->c++;
    e->of++;
    printf("spoiled: a %s of op %u of block 0x%llx; ", kinds[e->kind], s->op, (unsigned long long)s->b->gva);
}

JitStats jit_stats(Jit *j)
{
    alone_drop(j);
    JitStats stats = {
        .units = j->nunits, .sites = j->sites.n, .entries = j->entries.n, .code_bytes = (size_t)(j->a.p - j->code)};
    for (size_t i = 0; i < j->sites.n; i++) {
        stats.used += j->sites.items[i].nused != 0;
    }
    return stats;
}

/* ---- running ---- */
static Left leave_term(R2Frame *f, const IrOp *o)
{
    switch (o->op) {
    case IR_trap:
        f->f.trap = (Trap){.cause = (uint64_t)o->imm, .value = ((uint64_t *)(void *)f)[SLOT(o->a)]};
        f->f.event = EVENT_TRAP;
        return LEFT_EVENT;
    case IR_stop:
        f->f.stop_reason = o->aux;
        f->f.stop_imm = (uint64_t)o->imm;
        f->f.pc = ((uint64_t *)(void *)f)[SLOT(o->a)];
        return LEFT_STOP;
    default:
        f->f.pc = (uint64_t)o->imm;
        return LEFT_SYNC;
    }
}

static Left leave_site(Jit *j, R2Frame *f, unsigned kind, uint32_t number)
{
    Site *s = &j->sites.items[number];
    site_show(j, f, s);
    if (kind == X_BUDGET) {
        f->f.budget += rest(s);
        return LEFT_BUDGET;
    }
    const IrOp *o = &s->b->op[s->op];
    Left left = leave_term(f, o);
    if (left == LEFT_EVENT) {
        f->f.left_block = (void *)(uintptr_t)s->b;
        f->f.budget += rest(s);
    }
    return left;
}

/* Flags accrue in MXCSR while code runs (ir.h 8); RMM has no host mode, and no program of R2 uses it. */
static unsigned mxcsr_of(const R2Frame *f)
{
    static const unsigned rc[] = {0, 3, 1, 2};
    return MXCSR_MASKED | rc[f->frm & 3] << 13;
}

static uint64_t flags_of(unsigned mxcsr)
{
    return (mxcsr >> 5 & 1 ? FP_NX : 0) | (mxcsr >> 4 & 1 ? FP_UF : 0) | (mxcsr >> 3 & 1 ? FP_OF : 0) |
           (mxcsr >> 2 & 1 ? FP_DZ : 0) | (mxcsr & 1 ? FP_NV : 0);
}

Left jit_enter(Jit *j, void *code, R2Frame *f)
{
    assert(f->f.tlb_write == f->f.tlb_read + TLB_ENTRIES); /* as mmu_new makes them */
    j->f = f;
    f->f.event = 0;
    unsigned host = _mm_getcsr();
    _mm_setcsr(mxcsr_of(f));
    uint32_t how = j->enter(f, code);
    f->fflags |= flags_of(_mm_getcsr());
    _mm_setcsr(host);
    uint32_t number = how & 0xfffffff;
    switch (how >> 28) {
    case X_EXIT:
        j->left = number;
        f->f.left_block = (void *)(uintptr_t)j->exits.items[number].b;
        f->f.pc = j->exits.items[number].pc;
        return LEFT_EXIT;
    case X_INDIRECT:
        return LEFT_INDIRECT;
    case X_EVENT:
        return LEFT_EVENT;
    default:
        return leave_site(j, f, how >> 28, number);
    }
}
