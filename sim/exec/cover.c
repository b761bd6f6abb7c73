/* SPDX-License-Identifier: Apache-2.0
 * cover.c - coverage of a vcpu: counters of the guest's list and of the IR's operations. Written by its thread alone, read by
 * any. */
#include "sim/exec/exec_int.h"

#include <inttypes.h>

static size_t cover_count(const GuestIsa *isa)
{
    return isa->cover.count() + IR_COUNT;
}

void exec_cover(ExecVcpu *v)
{
    if (!v->cover) {
        v->cover = x_calloc(cover_count(v->isa), sizeof *v->cover);
    }
}

bool exec_is_covered(const Frame *f)
{
    return ((const ExecVcpu *)f->vcpu)->cover != NULL;
}

static void count(ExecVcpu *v, size_t i)
{
    uint64_t now = atomic_load_explicit(&v->cover[i], memory_order_relaxed);
    atomic_store_explicit(&v->cover[i], now + 1, memory_order_relaxed);
}

void exec_reached(Frame *f, size_t item)
{
    ExecVcpu *v = f->vcpu;
    if (v->cover) {
        count(v, item);
    }
}

void cover_block(ExecVcpu *v, const IrBlock *b)
{
    size_t at = v->isa->cover.count();
    for (uint32_t i = 0; i < b->nops; i++) {
        count(v, at + b->op[i].op);
    }
}

static void item_line(const GuestIsa *isa, size_t i, uint64_t n, Buf *out)
{
    size_t nguest = isa->cover.count();
    if (i < nguest) {
        isa->cover.item(i, out);
    } else {
        static const char *const classes[] = {
            [CLASS_PURE] = "pure",    [CLASS_FP] = "floating point", [CLASS_LOAD] = "memory",
            [CLASS_STORE] = "memory", [CLASS_ATOMIC] = "memory",     [CLASS_FENCE] = "memory",
            [CLASS_CALL] = "control", [CLASS_SIDE_EXIT] = "control", [CLASS_TERM] = "control"};
        const IrOpInfo *op = &ir_op_info[i - nguest];
        buf_printf(out, "ir_op\t%s\t%s", classes[op->cls], op->name);
    }
    buf_printf(out, "\t%" PRIu64 "\n", n);
}

void exec_cover_items(const GuestIsa *isa, Buf *out)
{
    for (size_t i = 0; i < cover_count(isa); i++) {
        item_line(isa, i, 0, out);
    }
}

void exec_cover_read(const ExecVcpu *v, Buf *out)
{
    for (size_t i = 0; v->cover && i < cover_count(v->isa); i++) {
        uint64_t n = atomic_load_explicit(&v->cover[i], memory_order_relaxed);
        if (n) {
            item_line(v->isa, i, n, out);
        }
    }
}
