/* SPDX-License-Identifier: Apache-2.0
 * Any text as an expression: what parses is evaluated, and both passes agree on what parses. */
#include "conformance/scenario.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool lookup(const void *ctx, const char *name, uint64_t *out)
{
    (void)ctx;
    *out = strlen(name);
    return name[0] != 'z';
}

static void count(void *ctx, const char *name)
{
    *(size_t *)ctx += name[0] == 'z';
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = x_strndup((const char *)bytes, n);
    const Names names = {NULL, lookup, NULL};
    uint64_t value = 0;
    size_t nunknown = 0;
    Err parse = {0}, eval = {0};
    int parsed = expr_names(text, &nunknown, count, &parse), evaluated = expr_eval(text, &names, &value, &eval);
    /* What does not parse has no value; what parses has one unless a name is unknown or a shift too wide. */
    if ((parsed && !evaluated) || (!parsed && evaluated && !nunknown && !strstr(eval.text, "shift"))) {
        abort();
    }
    mem_free(text);
    return 0;
}
