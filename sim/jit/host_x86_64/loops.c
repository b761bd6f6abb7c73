/* SPDX-License-Identifier: Apache-2.0
 * loops.c - the second bodies of loops of one block: copies in a row (unroll.c), and rounds that are counted (count.c, rounds.c). */
#include "sim/jit/host_x86_64/host.h"

/* From the counted body of block k to elsewhere: the rounds that were paid and not begun are given back. rax is lost. */
void host_count_leave(JitHost *h, unsigned k)
{
    const BbAt *at = &h->bb[k];
    const Bb *x = &h->m->bb[k];
    int32_t body = (int32_t)x->b->op[x->count.last].insn + 1;
    if (at->counter == COUNT_ON_STACK) {
        x_rm(&h->a, W, X_LOAD, RAX, RSP, ON_STACK(count[0]));
    } else {
        x_mov(&h->a, RAX, at->counter);
    }
    x_rr(&h->a, W, X_IMULI, RAX, RAX);
    x_imm32(&h->a, (uint32_t)body);
    x_alui(&h->a, W, G_SUB, RAX, body);
    x_rm(&h->a, W, X_ADD_TO, RAX, RBP, AT(budget));
    if (at->spilled) {
        host_load_home(h, at->spilled);
    }
}

void host_emit_unrolled(JitHost *h, unsigned k)
{
    const Bb *x = &h->m->bb[k];
    host_block_begin(h, k, x->unrolled);
    while ((uintptr_t)h->a.p % LOOP_ALIGN) {
        x_byte(&h->a, 0x90);
    }
    h->bb[k].unrolled = h->a.p;
    h->is_apart = true;
    host_emit_ops(h, 0);
    if (x->tail < x->b->nops) {
        host_look_all(h);
        Set dirty = h->dirty;
        host_block_begin(h, k, x->b);
        h->dirty = dirty;
        h->bb[k].tail = h->a.p;
        host_emit_ops(h, x->tail);
    }
    h->is_apart = false;
}

static void counter_by(JitHost *h, unsigned counter, unsigned group, int32_t n)
{
    if (counter == COUNT_ON_STACK) {
        x_alumi(&h->a, W, group, RSP, ON_STACK(count[0]), n);
    } else {
        x_alui(&h->a, W, group, counter, n);
    }
}

/* One round less: around again, unless that was the last. */
static void count_down(JitHost *h, unsigned counter, const uint8_t *again)
{
    counter_by(h, counter, G_SUB, 1);
    x_fix(x_jcc(&h->a, CC_NE), again);
}

/* Most rounds, some in a row, if the loop only computes. One is left over at least, which writes what no round reads of another. */
static void counted_rows(JitHost *h, unsigned k)
{
    unsigned counter = h->bb[k].counter;
    Asm before = h->a;
    for (int32_t n = MAX_ROW; n > 1; n--) {
        Loans loans;
        host_loans_begin(h, k, &loans);
        counter_by(h, counter, G_SUB, n + 1);
        uint8_t *few = x_jcc(&h->a, CC_B);
        const uint8_t *again = host_emit_row(h, h->b->op, h->m->bb[k].count.last, (unsigned)n, &loans);
        if (again) {
            counter_by(h, counter, G_SUB, n);
            x_fix(x_jcc(&h->a, CC_AE), again);
            host_loans_return(h, &loans);
            x_fix(few, h->a.p);
            counter_by(h, counter, G_ADD, n + 1);
            h->m->nrows++;
            h->m->nlent += loans.ntaken;
            return;
        }
        h->a = before;
    }
}

static void counted_ops(JitHost *h, unsigned k, bool is_brief)
{
    uint32_t last = h->m->bb[k].count.last;
    for (h->q = 0; h->q < last; h->q++) {
        if (!is_brief || !host_is_unread_around(h, last, h->q)) {
            host_emit_op(h, &h->b->op[h->q]);
        }
    }
}

/* Can rounds but the last leave out what no round reads? If there is any such, and nothing leaves on the way, which is tried. */
static bool may_be_brief(JitHost *h, unsigned k)
{
    uint32_t last = h->m->bb[k].count.last;
    bool has_any = false, has_access = false;
    for (uint32_t q = 0; q < last; q++) {
        IrClass cls = ir_op_info[h->b->op[q].op].cls;
        if (cls != CLASS_PURE && cls != CLASS_LOAD && cls != CLASS_STORE) {
            return false;
        }
        has_access |= cls != CLASS_PURE;
        has_any |= host_is_unread_around(h, last, q);
    }
    if (!has_any || !has_access) { /* without, they come in rows, which leave it out too */
        return false;
    }
    Asm a = h->a;
    size_t nsites = h->sites.n, nstubs = h->stubs.n, nentries = h->entries.n, nrelocs = h->relocs.n;
    host_count_begin(h, k);
    h->is_counted = true;
    counted_ops(h, k, false);
    h->is_counted = false;
    bool leaves = h->sites.n != nsites || h->stubs.n != nstubs;
    for (size_t i = nstubs; i < h->stubs.n; i++) {
        mem_free(h->stubs.items[i].point);
    }
    h->a = a;
    h->sites.n = nsites, h->stubs.n = nstubs, h->entries.n = nentries, h->relocs.n = nrelocs;
    return !leaves;
}

/* All that a round leaves behind, behind the others. */
static void last_round(JitHost *h, unsigned k)
{
    Set dirty = h->dirty;
    host_block_begin(h, k, h->m->bb[k].b);
    h->dirty = dirty;
    host_count_begin(h, k);
    h->is_counted = true;
    counted_ops(h, k, false);
    h->is_counted = false;
    host_flush(h);
}

/* What is raw where the block goes around may be raw at the head of this body: it was made by the round before. */
static void counted_body(JitHost *h, unsigned k, bool is_brief)
{
    const BbAt *at = &h->bb[k];
    while ((uintptr_t)h->a.p % LOOP_ALIGN) {
        x_byte(&h->a, 0x90);
    }
    const uint8_t *again = h->a.p;
    host_count_begin(h, k);
    h->is_counted = true;
    counted_ops(h, k, is_brief);
    host_flush(h);
    Raws more = h->raws;
    more.raw &= (RegMask)(~at->raw | (more.single ^ at->single));
    host_look(h, &more);
    h->raws.raw &= (RegMask)~more.raw;
    host_count_slow(h, k);
    count_down(h, at->counter, again);
    h->is_counted = false;
}

/* The loop once more, for as many rounds as are certain to be paid and to have memory within reach (count.c). What follows it stays
 * paid all the time. */
void host_emit_counted(JitHost *h, unsigned k)
{
    Asm *a = &h->a;
    const Bb *x = &h->m->bb[k];
    const IrOp *last = &x->b->op[x->count.last];
    BbAt *at = &h->bb[k];
    host_block_begin(h, k, x->b);
    bool is_brief = may_be_brief(h, k);
    host_block_begin(h, k, x->b);
    const uint8_t *plain = a->p;
    host_pay(h, k, x->b->ninsns - last->insn - 1);
    host_fix_later(h, x_jmp(a), k, FIX_PAID);
    host_emit_rounds(h, k, plain);
    x_rr(a, W, X_IMULI, RAX, RDX);
    x_imm32(a, last->insn + 1);
    x_rm(a, W, X_SUB_FROM, RAX, RBP, AT(budget));
    if (at->spilled) {
        host_store_home(h, at->spilled);
    }
    if (is_brief) {
        x_alui(a, W, G_SUB, RDX, 1);
    }
    if (at->counter == COUNT_ON_STACK) {
        x_rm(a, W, X_STORE, RDX, RSP, ON_STACK(count[0]));
    } else {
        x_mov(a, at->counter, RDX);
    }
    counted_rows(h, k);
    counted_body(h, k, is_brief);
    if (is_brief) {
        last_round(h, k);
    }
    if (at->spilled) {
        host_load_home(h, at->spilled);
    }
    host_look_all(h);
    x_fix(x_jcc(a, host_compare(h, last)), plain);
    Set dirty = h->dirty;
    host_block_begin(h, k, x->b);
    h->dirty = dirty;
    h->is_apart = true;
    host_emit_ops(h, x->count.last + 1);
    h->is_apart = false;
}
