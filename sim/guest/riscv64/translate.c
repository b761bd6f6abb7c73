/* SPDX-License-Identifier: Apache-2.0 */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

uint64_t riscv_next_pc(const Translate *t)
{
    return t->pc + ((t->bytes[0] & 3) == 3 ? 4 : 2);
}

static uint32_t word_of(const uint8_t *b, unsigned n)
{
    uint32_t w = b[0] | (uint32_t)b[1] << 8;
    return n == 4 ? w | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24 : w;
}

uint32_t riscv_insn_bits(const Translate *t)
{
    return word_of(t->bytes, (t->bytes[0] & 3) == 3 ? 4 : 2);
}

/* Priv 3.1.16: mtval holds the instruction's bits. */
static TrResult trap_with_bits(Translate *t, uint64_t cause)
{
    Slot bits = ir_temp(t->ir);
    ir_emit(t->ir, &(IrOp){.op = IR_movi, .d = bits, .imm = riscv_insn_bits(t)});
    ir_emit(t->ir, &(IrOp){.op = IR_trap, .a = bits, .imm = (int64_t)cause});
    return TR_END;
}

TrResult riscv_illegal(Translate *t)
{
    return trap_with_bits(t, CAUSE_ILLEGAL);
}

TrResult riscv_denied(Translate *t)
{
    return trap_with_bits(t, t->mode_key & KEY_V ? CAUSE_VIRTUAL : CAUSE_ILLEGAL);
}

TrResult riscv_sync(Translate *t)
{
    ir_emit(t->ir, &(IrOp){.op = IR_sync, .imm = (int64_t)riscv_next_pc(t)});
    return TR_END;
}

RiscvNeed riscv_row_need(unsigned row)
{
    static const uint8_t need_of[] = {
#define X(label) [RV64_EXT_##label] = NEED_##label,
        RV64_EXTS(X)
#undef X
    };
    return row == RV64_ROW_NONE ? NEED_ALWAYS : (RiscvNeed)need_of[rv64_row_ext[row]];
}

TrResult riscv_translate(Translate *t)
{
    if (t->avail < 2) {
        return TR_MORE;
    }
    unsigned len = (t->bytes[0] & 3) == 3 ? 4 : 2; /* what would be longer is illegal, as 32 bits (Unpriv 1.5) */
    if (t->avail < len) {
        return TR_MORE;
    }
    const RiscvCpu *cpu = t->cpu;
    Rv64Args args = {0};
    uint32_t w = word_of(t->bytes, len);
    unsigned row = len == 4 ? rv64_decode32(w, &args) : rv64_decode16(w, &args);
    if (!cpu->has[riscv_row_need(row)]) {
        row = RV64_ROW_NONE;
    }
    ir_insn(t->ir, len, (uint16_t)row);
    return row == RV64_ROW_NONE ? riscv_illegal(t) : rv64_dispatch(t, row, &args);
}
