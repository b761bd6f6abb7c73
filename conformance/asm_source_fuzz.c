/* SPDX-License-Identifier: Apache-2.0
 * What is made of a suite's text before an assembler sees it: the text, no longer than by the suffixes of renamed uses, or a refusal with its
 * place. */
#include "conformance/asm_source.h"
#include "sim/base/mem.h"

#include <string.h>

static void check(const AsmInput *in, const AsmSource *s)
{
    const char *line = memchr(s->text.data, '\n', s->text.n);
    if (!line || (size_t)(line + 1 - s->text.data) + in->n + s->shifts.n * strlen(ASM_ALIAS) + 1 != s->text.n) {
        __builtin_trap();
    }
    for (size_t i = 0; i < s->shifts.n; i++) {
        uint32_t at = s->shifts.items[i].line + 1, col = s->shifts.items[i].col + 1;
        asm_source_place(s, &at, &col);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const AsmSymbol defs[] = {{"io", 0x10000000}, {"dev", 0x123456789abc}, {"l", UINT64_MAX}};
    if (!n || n > 65536) {
        return 0;
    }
    /* a guest, a text: in memory of its own size, so that a read behind it is seen */
    char *text = x_alloc(n > 1 ? n - 1 : 1);
    memcpy(text, bytes + 1, n - 1);
    AsmInput in = {.guest = (GuestId)(GUEST_riscv64 + bytes[0] % 3),
                   .text = text,
                   .n = n - 1,
                   .defs = defs,
                   .ndefs = bytes[0] & 4 ? ARRAY_LEN(defs) : 0};
    AsmSource source;
    AsmDiag diag = {0};
    if (!asm_source_build(&in, &source, &diag)) {
        check(&in, &source);
        asm_source_free(&source);
    } else if (!diag.line || !diag.col) {
        __builtin_trap();
    }
    mem_free(text);
    return 0;
}
