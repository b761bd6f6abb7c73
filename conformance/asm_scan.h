/* SPDX-License-Identifier: Apache-2.0
 * asm_scan.h - finds the words of an assembler text without understanding it: what an operand's
 * neighbourhood tells.
 *
 * Needed because LLVM takes a symbol with a known value for a plain number: `j dev` on riscv64 or
 * `b dev` on aarch64 is then a branch to pc+dev, `[rip+dev]` on x86_64 an access at rip+dev, and `%hi(dev)` on
 * riscv64 20 bits of an address that lui cannot make. Such uses are renamed to an undefined symbol (asm_source.h) whose value asm_obj.c puts in. Also finds
 * the place of an undefined symbol. Macro arguments are not seen through. */
#ifndef CONFORMANCE_ASM_SCAN_H
#define CONFORMANCE_ASM_SCAN_H

#include "conformance/asm.h"

typedef struct {
    const char *at;
    size_t n;
    uint32_t line, col;
    bool is_pc_relative; /* LLVM would take a constant here as a distance from pc */
    bool in_brackets;    /* x86 memory operand */
    bool is_hi;          /* the only word of "%hi(word + number)" of riscv64, or the number of "%hi(number)" */
} AsmWord;
/* Each identifier, and each number that is_hi, after a statement's mnemonic, in order; fn returns false to stop. */
typedef bool (*AsmWordFn)(void *user, const AsmWord *word);
void asm_scan(GuestId guest, const char *text, size_t n, AsmWordFn fn, void *user);
/* Does LLVM take a number as this mnemonic's last operand for a distance from pc? */
bool asm_scan_is_pc_relative(GuestId guest, const char *mnemonic, size_t n);
bool asm_scan_find(GuestId guest, const char *text, size_t n, const char *name, AsmWord *found);
#endif
