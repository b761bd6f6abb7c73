/* SPDX-License-Identifier: Apache-2.0
 * disasm.h - where disassemblers write: a caller's buffer of any size; what does not fit is cut, the text always ends. */
#ifndef SIM_GUEST_DISASM_H
#define SIM_GUEST_DISASM_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *text;
    size_t n, size; /* n: characters so far; size > 0: of text */
} AsmText;
void asm_str(AsmText *o, const char *s);
void asm_hex(AsmText *o, uint64_t value);       /* 0x1f */
void asm_signed_hex(AsmText *o, int64_t value); /* -0x1f */
#endif
