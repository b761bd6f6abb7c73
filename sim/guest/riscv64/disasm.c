/* SPDX-License-Identifier: Apache-2.0
 * disasm.c - operands as LLVM writes them; the texts around them are in the decode tables. */
#include "rv64_decode.h"
#include "sim/guest/riscv64/riscv.h"

void rv64_asm_reg(AsmText *o, int32_t value)
{
    static const char *const names[32] = {"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
                                          "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
                                          "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    asm_str(o, names[value & 31]);
}

void rv64_asm_freg(AsmText *o, int32_t value)
{
    static const char *const names[32] = {"ft0", "ft1", "ft2",  "ft3",  "ft4", "ft5", "ft6",  "ft7",
                                          "fs0", "fs1", "fa0",  "fa1",  "fa2", "fa3", "fa4",  "fa5",
                                          "fa6", "fa7", "fs2",  "fs3",  "fs4", "fs5", "fs6",  "fs7",
                                          "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"};
    asm_str(o, names[value & 31]);
}

static void asm_rm(AsmText *o, int32_t value, int32_t silent)
{
    static const char *const names[8] = {", rne", ", rtz", ", rdn", ", rup", ", rmm", "", "", ", dyn"};
    if (value != silent) {
        asm_str(o, names[value & 7]);
    }
}

void rv64_asm_rm(AsmText *o, int32_t value)
{
    asm_rm(o, value, 7);
}

void rv64_asm_rm_exact(AsmText *o, int32_t value) /* of what is always exact, where assemblers write 0 */
{
    asm_rm(o, value, 0);
}

void rv64_asm_fpimm(AsmText *o, int32_t value)
{
    static const char *const numbers[32] = {"-1.0",
                                            "min",
                                            "1.52587890625e-05",
                                            "3.0517578125e-05",
                                            "0.00390625",
                                            "0.0078125",
                                            "0.0625",
                                            "0.125",
                                            "0.25",
                                            "0.3125",
                                            "0.375",
                                            "0.4375",
                                            "0.5",
                                            "0.625",
                                            "0.75",
                                            "0.875",
                                            "1.0",
                                            "1.25",
                                            "1.5",
                                            "1.75",
                                            "2.0",
                                            "2.5",
                                            "3.0",
                                            "4.0",
                                            "8.0",
                                            "16.0",
                                            "128.0",
                                            "256.0",
                                            "32768.0",
                                            "65536.0",
                                            "inf",
                                            "nan"};
    asm_str(o, numbers[value & 31]);
}

void rv64_asm_imm(AsmText *o, int32_t value)
{
    asm_signed_hex(o, value);
}

void rv64_asm_uimm(AsmText *o, int32_t value)
{
    asm_hex(o, (uint64_t)value);
}

void rv64_asm_dec(AsmText *o, int32_t value) /* the number of a mnemonic, 0 to 31 */
{
    char text[3] = {(char)('0' + value / 10 % 10), (char)('0' + value % 10), '\0'};
    asm_str(o, value < 10 ? text + 1 : text);
}

void rv64_asm_upper(AsmText *o, int32_t value)
{
    asm_hex(o, (uint32_t)value >> 12);
}

void rv64_asm_signed_upper(AsmText *o, int32_t value) /* so LLVM writes a HINT of C.LUI */
{
    asm_signed_hex(o, value >> 12);
}

void rv64_asm_order(AsmText *o, int32_t value) /* Unpriv 2.7: bits 3 to 0 are I O R W */
{
    static const char *const names[16] = {"0", "w",  "r",  "rw",  "o",  "ow",  "or",  "orw",
                                          "i", "iw", "ir", "irw", "io", "iow", "ior", "iorw"};
    asm_str(o, names[value & 15]);
}

void rv64_asm_ord(AsmText *o, int32_t value)
{
    static const char *const names[4] = {"", ".rl", ".aq", ".aqrl"};
    asm_str(o, names[value & 3]);
}

const char *riscv_csr_name(unsigned number)
{
    switch (number) {
#define NAME(number, name)                                                                                             \
    case number:                                                                                                       \
        return #name;
#include "sim/guest/riscv64/csr_names.def"
#undef NAME
    default:
        return NULL;
    }
}

void rv64_asm_csr(AsmText *o, int32_t value)
{
    const char *name = riscv_csr_name((unsigned)value);
    if (name) {
        asm_str(o, name);
    } else {
        asm_hex(o, (uint64_t)value);
    }
}

unsigned riscv_disasm(const uint8_t *bytes, unsigned n, uint64_t pc, char *text, size_t size)
{
    unsigned len = n >= 2 && (bytes[0] & 3) == 3 ? 4 : 2;
    (void)pc; /* LLVM prints targets as offsets */
    AsmText o = {.text = text, .size = size};
    if (size) {
        text[0] = 0;
    }
    if (n < len || !size) {
        return n < len ? 0 : len;
    }
    Rv64Args args = {0};
    uint32_t w = bytes[0] | (uint32_t)bytes[1] << 8;
    if (len == 4) {
        w |= (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    }
    rv64_asm(&o, len == 4 ? rv64_decode32(w, &args) : rv64_decode16(w, &args), &args);
    return len;
}
