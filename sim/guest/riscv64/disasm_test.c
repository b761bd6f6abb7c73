/* SPDX-License-Identifier: Apache-2.0
 * That all texts equal LLVM's is the test sweep_riscv64. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/guest/riscv64/isa.h"

#include <string.h>

TEST(riscv64_disasm, texts_are_those_of_the_assembler)
{
    static const struct {
        uint32_t insn;
        const char *text;
    } rows[] = {{0x00b50533, "add\ta0, a0, a1"},
                {0xfff00513, "li\ta0, -0x1"},
                {0x8082, "ret"},
                {0x0000, ""},
                {0x30051573, "csrrw\ta0, mstatus, a0"},
                {0x08b5252f, "amoswap.w\ta0, a1, (a0)"},
                {0x10500073, "wfi"},
                {0x00000073, "ecall"},
                {0x80051573, "csrrw\ta0, 0x800, a0"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t bytes[4];
        char text[40];
        memcpy(bytes, &rows[i].insn, sizeof bytes);
        CHECK_INT(guest_riscv64.disasm(bytes, 4, 0, text, sizeof text), (rows[i].insn & 3) == 3 ? 4 : 2);
        CHECK_STR(text, rows[i].text);
    }
}

TEST(riscv64_disasm, too_few_bytes_are_no_instruction_and_a_small_buffer_cuts)
{
    static const uint8_t bytes[] = {0x33, 0x05, 0xb5, 0x00};
    char text[8] = "x";
    CHECK_INT(guest_riscv64.disasm(bytes, 3, 0, text, sizeof text), 0);
    CHECK_INT(guest_riscv64.disasm(bytes, 1, 0, text, sizeof text), 0);
    CHECK_INT(guest_riscv64.disasm(bytes, 0, 0, text, sizeof text), 0);
    CHECK_STR(text, "");
    CHECK_INT(guest_riscv64.disasm(bytes, 4, 0, text, sizeof text), 4);
    CHECK_STR(text, "add\ta0,");
    CHECK_INT(guest_riscv64.disasm(bytes, 4, 0, NULL, 0), 4);
}
