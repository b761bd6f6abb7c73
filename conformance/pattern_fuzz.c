/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/pattern.h"
#include "sim/base/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    /* a pattern, a newline, text: each in memory of its own size, so that a read behind it is seen */
    if (n == 0 || n > 4096) {
        return 0;
    }
    const uint8_t *line = memchr(bytes, '\n', n);
    size_t np = line ? (size_t)(line - bytes) : n, skip = np + (line != NULL);
    char *pattern = x_strndup((const char *)bytes, np), *text = x_alloc(n - skip ? n - skip : 1);
    memcpy(text, bytes + skip, n - skip);
    PatternMatch m;
    Err err;
    if (pattern_find(text, n - skip, pattern, &m, &err) == 0 && m.is_found && (m.from > m.to || m.to > n - skip)) {
        __builtin_trap();
    }
    mem_free(pattern);
    mem_free(text);
    return 0;
}
