/* SPDX-License-Identifier: Apache-2.0
 * Any text as an ISA string, up to a 0 byte, and the bytes behind it as code. */
#include "sim/base/mem.h"
#include "sim/guest/exts.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    size_t n = end ? (size_t)(end - data) : size, left = size - n - (end != NULL);
    char *isa = x_alloc(n + 1); /* of its own, so that ASan sees where it ends */
    memcpy(isa, data, n);
    isa[n] = '\0';
    ExtsLack lack;
    if (exts_code_lacks(isa, data + size - left, left, &lack)) {
        assert(lack.at < left && lack.need[0] && lack.insn[0]);
        assert(memchr(lack.need, 0, sizeof lack.need) && memchr(lack.insn, 0, sizeof lack.insn));
    }
    for (size_t i = 0; exts_name(i); i++) {
        bool has = exts_isa_has(isa, exts_name(i));
        assert(!has || n);
    }
    mem_free(isa);
    return 0;
}
