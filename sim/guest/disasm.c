/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/guest/disasm.h"

#include <stdio.h>

void asm_str(AsmText *o, const char *s)
{
    while (*s && o->n + 1 < o->size) {
        o->text[o->n++] = *s++;
    }
    o->text[o->n] = 0;
}

void asm_hex(AsmText *o, uint64_t value)
{
    char digits[20];
    snprintf(digits, sizeof digits, "0x%llx", (unsigned long long)value);
    asm_str(o, digits);
}

void asm_signed_hex(AsmText *o, int64_t value)
{
    if (value < 0) {
        asm_str(o, "-");
    }
    asm_hex(o, value < 0 ? -(uint64_t)value : (uint64_t)value);
}
