/* SPDX-License-Identifier: Apache-2.0
 * Relocations of each guest. The expected bytes are those of GNU as and ld (2.40) for the same
 * text, address and symbols, byte for byte. */
#include "conformance/asm.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const AsmSymbol defs[] = {{"tgt", 0x10012344}, {"near", 0x10004ff0}, {"far2", 0x123456789abc}};

static void check_bytes(GuestId guest, uint64_t org, const char *text, const char *hex)
{
    setenv("CONF_NO_CACHE", "1", 1);
    AsmInput in = {.guest = guest, .text = text, .n = strlen(text), .org = org, .defs = defs, .ndefs = 3};
    AsmOutput out;
    AsmDiag diag;
    Err err = {0};
    CHECK_INT(asm_assemble(&in, &out, &diag, &err), 0);
    CHECK_STR(err.text, "");
    char got[512] = "";
    for (size_t i = 0; i < out.bytes.n && 2 * i + 3 < sizeof got; i++) {
        snprintf(got + 2 * i, 3, "%02x", (uint8_t)out.bytes.data[i]);
    }
    CHECK_STR(got, hex);
    asm_output_free(&out);
}

TEST(asm_reloc_riscv, agrees_with_the_gnu_linker)
{
    check_bytes(GUEST_riscv64, 0x10000000,
                "l: nop\n"
                "lui a0, %hi(l2)\n"
                "addi a0, a0, %lo(l2)\n"
                "lw a1, %lo(l2)(a0)\n"
                "sw a1, %lo(l2)(a0)\n"
                "x: auipc a2, %pcrel_hi(tgt)\n"
                "ld a3, %pcrel_lo(x)(a2)\n"
                "sd a3, %pcrel_lo(x)(a2)\n"
                "addi a3, a2, %pcrel_lo(x)\n"
                "call tgt\n"
                "tail tgt\n"
                "jal tgt\n"
                "bne a0, a1, l\n"
                ".quad l2\n"
                ".word l2\n"
                ".quad l2-l\n"
                ".half l2-l\n"
                ".byte l2-l\n"
                ".byte 0\n"
                ".word tgt\n"
                ".balign 4\n"
                "l2: la t0, l\n"
                "lla t1, l\n"
                ".quad far2\n",
                "13000000370500101305850583258505232cb50417260100833606332338d632"
                "9306063397200100e78000321723010067008331ef200131e314b5fc58000010"
                "00000000580000105800000000000000580058004423011097020000938282fa"
                "17030000130303fabc9a785634120000");
}

TEST(asm_reloc_arm, agrees_with_the_gnu_linker)
{
    check_bytes(GUEST_aarch64, 0x10000000,
                "l: nop\n"
                "adrp x0, l2\n"
                "add x0, x0, :lo12:l2\n"
                "ldr x1, [x0, :lo12:l2]\n"
                "ldr w1, [x0, :lo12:l2]\n"
                "ldrb w1, [x0, :lo12:l2]\n"
                "ldrh w1, [x0, :lo12:l2]\n"
                "ldr q1, [x0, :lo12:l2]\n"
                "movz x3, #:abs_g3:far2\n"
                "movk x3, #:abs_g2_nc:far2\n"
                "movk x3, #:abs_g1_nc:far2\n"
                "movk x3, #:abs_g0_nc:far2\n"
                "bl tgt\n"
                "b tgt\n"
                "b.eq near\n"
                "cbz x0, near\n"
                "tbz x0, #33, near\n"
                "adr x4, near\n"
                "ldr x5, near\n"
                ".balign 16\n"
                "l2: .quad l2\n"
                ".quad l2-l\n"
                ".word tgt\n"
                ".word tgt - .\n"
                ".hword 1\n"
                ".hword 2\n"
                "adrp x7, tgt\n",
                "1f2003d50000009000400191012840f9015040b90140413901a040790114c03d"
                "0300e0d28346c2f203cfaaf2835793f2c5480094c4480014c07d0254a07d02b4"
                "807d0ab6647d0210457d02581f2003d550000010000000005000000000000000"
                "44230110e022010001000200870000d0");
}

TEST(asm_reloc_x86, agrees_with_the_gnu_linker)
{
    check_bytes(GUEST_x86_64, 0x1000,
                "l: nop\n"
                "mov eax, offset l2\n"
                "mov al, [l2]\n"
                "mov rax, offset tgt\n"
                "lea rax, [rip+tgt]\n"
                "mov byte ptr [rip+tgt], 5\n"
                "call tgt\n"
                "jmp tgt\n"
                "jne tgt\n"
                "jmp l\n"
                ".quad l2, far2\n"
                ".long l2, tgt\n"
                ".long tgt-.\n"
                ".word l2-l\n"
                "l2: nop\n"
                "movabs rbx, offset tgt\n",
                "90b8521000008a04255210000048c7c044230110488d0529130110c605221301"
                "1005e81d130110e9181301100f8512130110ebcc5210000000000000bc9a7856"
                "341200005210000044230110f812011052009048bb4423011000000000");
}

/* What does not fit is refused, by the assembler itself where it knows the number, else here. */
static void check_refused(GuestId guest, uint64_t org, const char *text, const char *part)
{
    setenv("CONF_NO_CACHE", "1", 1);
    AsmInput in = {.guest = guest, .text = text, .n = strlen(text), .org = org, .defs = defs, .ndefs = 3};
    AsmOutput out = {0};
    AsmDiag diag = {0};
    Err err = {0};
    CHECK(asm_assemble(&in, &out, &diag, &err) != 0);
    if (!CHECK_HAS(diag.message, part)) {
        printf("    %s\n", text);
    }
    asm_output_free(&out);
}

TEST(asm_reloc, what_does_not_fit_is_refused)
{
    static const char reach[] = "is out of reach of the place that uses it", range[] = "out of range";
    static const struct {
        GuestId guest;
        const char *text, *part;
    } rows[] = {
        {GUEST_x86_64, ".word tgt", range},
        {GUEST_x86_64, "l: .word l", reach},
        {GUEST_x86_64, "l: .byte l", reach},
        {GUEST_x86_64, ".byte tgt-.", reach},
        {GUEST_x86_64, ".word tgt-.", reach},
        {GUEST_x86_64, ".long tgt+0x7fffffff0000-.", reach},
        {GUEST_x86_64, "mov eax, [far2]", reach},
        {GUEST_x86_64, "jmp far2", reach},
        {GUEST_aarch64, ".hword tgt - .", reach},
        {GUEST_aarch64, "l: .hword l", reach},
        {GUEST_aarch64, "l: movz x3, #:abs_g0:l", reach},
        {GUEST_aarch64, "movz x3, #:abs_g0:tgt", range},
        {GUEST_aarch64, "b.eq far2", reach},
        {GUEST_aarch64, "tbz x0, #1, far2", reach},
        {GUEST_aarch64, "b far2", reach},
        {GUEST_aarch64, "adr x0, far2", reach},
        {GUEST_aarch64, "adrp x0, far2", reach},
        {GUEST_aarch64, "nop; l: ldr x1, [x0, :lo12:l]", "is not aligned to the size of the access"},
        {GUEST_riscv64, "jal far2", reach},
        {GUEST_riscv64, "x: auipc a2, %pcrel_hi(far2)", reach},
        {GUEST_riscv64, "call far2", reach},
        {GUEST_riscv64, ".half tgt", range},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_refused(rows[i].guest, 0x10000000, rows[i].text, rows[i].part);
    }
}

TEST(asm_reloc, distances_and_groups_of_all_widths)
{
    check_bytes(GUEST_x86_64, 0x1000, ".quad tgt-.\nl: .word l\n", "44130110000000000810");
    check_bytes(GUEST_x86_64, 0x10, "nop\nl: .byte l\n", "9011");
    check_bytes(GUEST_x86_64, 0x10004f80, ".word near-.\n.byte near-.\n.byte 0\n", "70006e00");
    check_bytes(GUEST_aarch64, 0x10000000, ".quad tgt - .\nl: movz x3, #:abs_g1:l\nmovz x3, #:abs_g2:l\n",
                "44230100000000000300a2d20300c0d2");
    check_bytes(GUEST_aarch64, 0x1000, "l: movz x3, #:abs_g0:l\nmovz x3, #:abs_g3:l\n.hword l\n.hword 0\n",
                "030082d20300e0d200100000");
    check_bytes(GUEST_aarch64, 0x10004f80, ".hword near - .\n.hword 0\n", "70000000");
    check_bytes(GUEST_riscv64, 0x10000000, ".word tgt-.\n", "44230100");
}
