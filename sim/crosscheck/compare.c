/* SPDX-License-Identifier: Apache-2.0
 * compare.c - two worlds from point to point; and of a program that they differ on, the smallest. */
#include "sim/crosscheck/world.h"

#include <string.h>

static const char *const kinds[] = {"end of a slice", "trap", "stop", "sync", "out", "end", "broken"};

static void point_print(const Point *p, Buf *out)
{
    buf_printf(out, "%s at pc 0x%llx after %llu instructions, devices 0x%llx", kinds[p->kind],
               (unsigned long long)p->pc, (unsigned long long)p->insns, (unsigned long long)p->io);
    if (p->kind == POINT_TRAP) {
        buf_printf(out, ", cause %llu value 0x%llx", (unsigned long long)p->cause, (unsigned long long)p->value);
    }
    if (p->kind == POINT_STOP) {
        buf_printf(out, ", reason %llu imm %llu", (unsigned long long)p->reason, (unsigned long long)p->imm);
    }
}

static bool points_equal(const Point *a, const Point *b)
{
    return a->kind == b->kind && a->pc == b->pc && a->insns == b->insns && a->cause == b->cause &&
           a->value == b->value && a->reason == b->reason && a->imm == b->imm && a->io == b->io;
}

static bool points_agree(World *a, World *b, const Point *pa, const Point *pb, Buf *why)
{
    const World *worlds[] = {a, b};
    const Point *points[] = {pa, pb};
    if (pa->kind != POINT_BROKEN && points_equal(pa, pb)) {
        return true;
    }
    for (unsigned i = 0; i < 2; i++) {
        buf_printf(why, "%s: ", world_name(worlds[i]));
        point_print(points[i], why);
        buf_printf(why, "%s%s\n", points[i]->kind == POINT_BROKEN ? ": " : "",
                   points[i]->kind == POINT_BROKEN ? world_fault(worlds[i]) : "");
    }
    return false;
}

static bool value_agrees(const char *name, uint64_t a, uint64_t b, Buf *why)
{
    if (a != b) {
        buf_printf(why, "  %s: 0x%llx, 0x%llx\n", name, (unsigned long long)a, (unsigned long long)b);
    }
    return a == b;
}

static bool frames_agree(World *a, World *b, Buf *why)
{
    const CrossFrame *fa = world_frame(a), *fb = world_frame(b);
    const IrGuest *g = world_guest(a);
    bool ok = true;
    for (size_t i = 0; i < g->nslots; i++) {
        uint64_t va, vb;
        memcpy(&va, (const char *)fa + g->slots[i].at, sizeof va);
        memcpy(&vb, (const char *)fb + g->slots[i].at, sizeof vb);
        ok = value_agrees(g->slots[i].name, va, vb, why) && ok;
    }
    ok = value_agrees("bytes reserved", fa->f.resv_size, fb->f.resv_size, why) && ok;
    if (fa->f.resv_size && fb->f.resv_size) { /* each has its own memory */
        size_t n;
        uint64_t at_a = fa->f.resv_host - (uintptr_t)world_memory(a, &n);
        uint64_t at_b = fb->f.resv_host - (uintptr_t)world_memory(b, &n);
        ok = value_agrees("reserved", at_a, at_b, why) && ok;
        ok = value_agrees("reserved value", fa->f.resv_val, fb->f.resv_val, why) && ok;
    }
    return ok;
}

static bool memories_agree(World *a, World *b, Buf *why)
{
    size_t n;
    const uint8_t *ma = world_memory(a, &n), *mb = world_memory(b, &n);
    if (!memcmp(ma, mb, n)) {
        return true;
    }
    size_t at = 0;
    while (ma[at] == mb[at]) {
        at++;
    }
    buf_printf(why, "  memory, page %zu at 0x%zx: 0x%02x, 0x%02x\n", at / SPACE_PAGE_BYTES, at % SPACE_PAGE_BYTES,
               ma[at], mb[at]);
    return false;
}

static bool ends_agree(World *a, World *b, Buf *why)
{
    uint8_t da = world_dirty(a), db = world_dirty(b);
    if (da != db) {
        buf_printf(why, "  dirty log at the end: %u, %u\n", da, db);
    }
    return da == db;
}

bool cross_agrees(World *a, World *b, const Program *p, Buf *why)
{
    Point pa = {.kind = POINT_SLICE}, pb = pa, before = pa;
    bool ok = true;
    world_begin(a, p);
    world_begin(b, p);
    do {
        before = pa;
        world_step(a, &pa);
        world_step(b, &pb);
        ok = points_agree(a, b, &pa, &pb, why);
        ok = frames_agree(a, b, why) && ok;
        ok = memories_agree(a, b, why) && ok;
    } while (ok && pa.kind != POINT_OUT && pa.kind != POINT_END);
    ok = ok && ends_agree(a, b, why);
    if (!ok) {
        buf_printf(why, "  (%s, %s) at: ", world_name(a), world_name(b));
        point_print(&pa, why);
        buf_str(why, "\n  the point before, at which both agreed: ");
        point_print(&before, why);
        buf_char(why, '\n');
    }
    world_end(a);
    world_end(b);
    return ok;
}

/* ---- smaller ---- */
typedef struct {
    World *a, *b;
    Program *p, *best;
} Shrink;

/* Takes the program that was changed, if it still differs. */
static bool keep(Shrink *s)
{
    Buf why = {0};
    Err err;
    bool is_sound = true;
    for (unsigned k = 0; k < s->p->nblocks; k++) {
        s->p->block[k].op = s->p->op[k];
        is_sound = is_sound && !ir_verify(&s->p->block[k], world_guest(s->a), &err);
    }
    bool differs = is_sound && !cross_agrees(s->a, s->b, s->p, &why);
    buf_free(&why);
    if (differs) {
        *s->best = *s->p;
    } else {
        *s->p = *s->best;
    }
    for (unsigned k = 0; k < s->p->nblocks; k++) {
        s->p->block[k].op = s->p->op[k];
        s->best->block[k].op = s->best->op[k];
    }
    return differs;
}

static void insn_remove(IrBlock *b, uint32_t insn)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->nops; i++) {
        if (b->op[i].insn != insn) {
            IrOp o = b->op[i];
            o.insn -= o.insn > insn;
            b->op[n++] = o;
        }
    }
    unsigned len = b->insn_at[insn + 1] - b->insn_at[insn];
    for (uint32_t i = insn + 1; i < b->ninsns; i++) {
        b->insn_at[i] = (uint16_t)(b->insn_at[i + 1] - len);
        b->insn_row[i - 1] = b->insn_row[i];
    }
    b->nops = n;
    b->ninsns--;
    b->nbytes -= len;
}

static bool insns_shrink(Shrink *s)
{
    bool is_smaller = false;
    for (unsigned k = 0; k < s->p->nblocks; k++) {
        for (uint32_t i = s->p->block[k].ninsns - 1; i-- > 0;) {
            insn_remove(&s->p->block[k], i);
            is_smaller = keep(s) || is_smaller;
        }
    }
    return is_smaller;
}

static bool ops_shrink(Shrink *s)
{
    bool is_smaller = false;
    for (unsigned k = 0; k < s->p->nblocks; k++) {
        for (uint32_t i = s->p->block[k].nops - 1; i-- > 0;) {
            IrBlock *b = &s->p->block[k];
            memmove(&b->op[i], &b->op[i + 1], (--b->nops - i) * sizeof *b->op);
            is_smaller = keep(s) || is_smaller;
        }
    }
    return is_smaller;
}

/* A block becomes one jmp out. */
static bool blocks_shrink(Shrink *s)
{
    bool is_smaller = false;
    for (unsigned k = 0; k < s->p->nblocks; k++) {
        IrBlock *b = &s->p->block[k];
        if (b->nops == 1 && b->op[0].op == IR_jmp) {
            continue;
        }
        b->op[0] = (IrOp){.op = IR_jmp, .imm = CROSS_OUT};
        b->nops = b->ninsns = 1;
        b->nbytes = b->insn_at[1] = 4;
        is_smaller = keep(s) || is_smaller;
    }
    if (s->p->nblocks > 1) {
        s->p->nblocks--;
        is_smaller = keep(s) || is_smaller;
    }
    return is_smaller;
}

static bool state_shrink(Shrink *s)
{
    bool is_smaller = false;
    for (unsigned i = 0; i < CROSS_REGS + 2; i++) {
        uint64_t *v = i < CROSS_REGS ? &s->p->reg[i] : i == CROSS_REGS ? &s->p->fp_flags : &s->p->fp_rm;
        if (*v) {
            *v = 0;
            is_smaller = keep(s) || is_smaller;
        }
    }
    if (s->p->insns > 1) {
        s->p->insns /= 2;
        is_smaller = keep(s) || is_smaller;
    }
    if (s->p->is_linked) {
        s->p->is_linked = false;
        is_smaller = keep(s) || is_smaller;
    }
    if (s->p->slice_insns < 1000) {
        s->p->slice_insns = 1000;
        is_smaller = keep(s) || is_smaller;
    }
    return is_smaller;
}

bool cross_check(World *a, World *b, Program *p, Buf *report)
{
    enum { ROUNDS = 12 };
    Buf why = {0};
    bool ok = cross_agrees(a, b, p, &why);
    buf_free(&why);
    if (ok) {
        return true;
    }
    Program *best = x_alloc(sizeof *best);
    *best = *p;
    Shrink s = {.a = a, .b = b, .p = p, .best = best};
    for (unsigned k = 0; k < p->nblocks; k++) {
        best->block[k].op = best->op[k];
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool is_smaller = blocks_shrink(&s);
        is_smaller = insns_shrink(&s) || is_smaller;
        is_smaller = ops_shrink(&s) || is_smaller;
        is_smaller = state_shrink(&s) || is_smaller;
        if (!is_smaller) {
            break;
        }
    }
    if (cross_agrees(a, b, p, report)) {
        buf_str(report, "it differs only after other programs\n");
    }
    program_print(p, world_guest(a), report);
    mem_free(best);
    return false;
}

void program_print(const Program *p, const IrGuest *g, Buf *out)
{
    buf_printf(out, "schedule 0x%llx, %llu instructions in slices of at most %u, %slinked\n",
               (unsigned long long)p->schedule, (unsigned long long)p->insns, p->slice_insns,
               p->is_linked ? "" : "not ");
    for (unsigned i = 0; i < CROSS_REGS; i++) {
        if (p->reg[i]) {
            buf_printf(out, "r%u = 0x%llx\n", i, (unsigned long long)p->reg[i]);
        }
    }
    buf_printf(out, "fp_flags = %llu, fp_rm = %llu\n", (unsigned long long)p->fp_flags, (unsigned long long)p->fp_rm);
    for (unsigned k = 0; k < p->nblocks; k++) {
        ir_print(&p->block[k], g, out);
    }
}
