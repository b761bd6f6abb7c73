/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ir/text.h"

#include <inttypes.h>

const char *const text_sizes[8] = {"1", "2", "4", "8", "s1", "s2", "s4", "s8"};
const TextFlag text_mem_flags[TEXT_NMEM_FLAGS] = {
    {"aligned", MEM_ALIGNED}, {"alone", MEM_ALONE}, {"fetchlike", MEM_FETCHLIKE}};
const TextFlag text_jmp_flags[TEXT_NJMP_FLAGS] = {{"call", JMP_CALL}, {"ret", JMP_RET}, {"even", JMP_EVEN}};
const char *const text_conds[COND_COUNT] = {"eq", "ne", "lt", "ge", "ltu", "geu"};
const char *const text_orders[TEXT_NORDER] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
const char *const text_fmts[TEXT_NFMT] = {"f16", "bf16", "f32", "f64"};
const char *const text_rms[TEXT_NRM] = {"rne", "rtz", "rdn", "rup", "rmm", "odd", NULL, "dyn"};
const char *const text_ints[TEXT_NINT] = {"i32", "u32", "i64", "u64"};

/* Blocks that the verifier would reject are printed too: "?99" is what has no name. */
static void print_word(Buf *out, const char *const *words, size_t n, unsigned i)
{
    if (i < n && words[i]) {
        buf_printf(out, ".%s", words[i]);
    } else {
        buf_printf(out, ".?%u", i);
    }
}

static void print_flags(Buf *out, const TextFlag *flags, size_t n, unsigned aux)
{
    for (size_t i = 0; i < n; i++) {
        if (aux & flags[i].bit) {
            buf_printf(out, ".%s", flags[i].word);
        }
    }
}

static void print_aux(const IrOp *o, const IrGuest *g, Buf *out)
{
    size_t nothers;
    const char *const *others = text_others(o->op, &nothers);
    switch (ir_op_info[o->op].cls) {
    case CLASS_PURE:
        break;
    case CLASS_FP:
        print_word(out, text_fmts, TEXT_NFMT, FP_FMT(o->aux));
        print_word(out, text_rms, TEXT_NRM, FP_RM(o->aux));
        if (others) {
            print_word(out, others, nothers, FP_OTHER(o->aux));
        }
        buf_str(out, o->aux & FP_BOXED ? ".boxed" : "");
        break;
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
        print_word(out, text_sizes, 8, o->aux & (3 | MEM_SIGNED));
        print_flags(out, text_mem_flags, TEXT_NMEM_FLAGS, o->aux);
        if (MEM_REGIME_OF(o->aux)) {
            buf_printf(out, ".r%u", MEM_REGIME_OF(o->aux));
        }
        break;
    case CLASS_FENCE:
        print_word(out, text_orders, TEXT_NORDER, o->aux);
        break;
    case CLASS_CALL:
        if (o->aux < g->nhelpers) {
            buf_printf(out, ".%s", g->helpers[o->aux].name);
        } else {
            buf_printf(out, ".?%u", o->aux);
        }
        break;
    case CLASS_SIDE_EXIT:
        print_word(out, text_conds, COND_COUNT, o->aux);
        break;
    case CLASS_TERM:
        if (o->op == IR_stop) {
            buf_printf(out, ".%u", o->aux);
        } else {
            print_flags(out, text_jmp_flags, TEXT_NJMP_FLAGS, o->aux);
        }
        break;
    }
}

static void print_slot(Buf *out, const IrGuest *g, Slot s)
{
    if (s == IR_ZERO) {
        buf_str(out, "zero");
        return;
    }
    if (IR_IS_TEMP(s) && (s - IR_TEMP(0)) % 8 == 0) {
        buf_printf(out, "%%%u", (s - IR_TEMP(0)) / 8u);
        return;
    }
    for (size_t i = 0; i < g->nslots; i++) {
        if (g->slots[i].at == s) {
            buf_str(out, g->slots[i].name);
            return;
        }
    }
    buf_printf(out, "@%u", s);
}

static void print_number(Buf *out, uint64_t v)
{
    buf_printf(out, v < 0x10000 ? "%" PRIu64 : "0x%" PRIx64, v);
}

static void print_imm(Buf *out, const IrOp *o)
{
    if (o->op == IR_brcond || o->op == IR_jmp || o->op == IR_sync) { /* a pc */
        buf_printf(out, "0x%" PRIx64, (uint64_t)o->imm);
        return;
    }
    if (o->imm < 0) {
        buf_char(out, '-');
    }
    print_number(out, o->imm < 0 ? 0 - (uint64_t)o->imm : (uint64_t)o->imm);
}

static void print_address(Buf *out, const IrGuest *g, const IrOp *o)
{
    buf_char(out, '[');
    print_slot(out, g, o->a);
    if (o->imm) {
        buf_str(out, o->imm < 0 ? " - " : " + ");
        print_number(out, o->imm < 0 ? 0 - (uint64_t)o->imm : (uint64_t)o->imm);
    }
    buf_char(out, ']');
}

static void print_op(const IrOp *o, const IrGuest *g, Buf *out)
{
    const IrOpInfo *info = &ir_op_info[o->op];
    const Slot src[] = {o->a, o->b, o->c};
    bool is_mem = text_is_mem(info->cls);
    const char *sep = " ";
    buf_printf(out, "  %s", info->name);
    print_aux(o, g, out);
    if (info->has_dst) {
        buf_str(out, sep);
        print_slot(out, g, o->d);
        sep = ", ";
    }
    for (unsigned i = 0; i < text_nsrc(o, g); i++) {
        buf_str(out, sep);
        if (i == 0 && is_mem) {
            print_address(out, g, o);
        } else {
            print_slot(out, g, src[i]);
        }
        sep = ", ";
    }
    if (info->has_imm && !is_mem) {
        buf_str(out, sep);
        print_imm(out, o);
    }
    buf_char(out, '\n');
}

void ir_print(const IrBlock *b, const IrGuest *g, Buf *out)
{
    buf_printf(out, "block pc=0x%" PRIx64 " mode=0x%x", b->gva, b->mode_key);
    if (b->flags) {
        buf_printf(out, " flags=0x%x", b->flags);
    }
    buf_char(out, '\n');
    uint32_t k = 0;
    for (uint32_t i = 0; i < b->ninsns; i++) {
        buf_printf(out, "insn %u len=%d row=%u\n", i, b->insn_at[i + 1] - b->insn_at[i], b->insn_row[i]);
        for (; k < b->nops && b->op[k].insn <= i; k++) {
            if (b->op[k].op < IR_COUNT) {
                print_op(&b->op[k], g, out);
            }
        }
    }
}
