/* SPDX-License-Identifier: Apache-2.0
 * Any text as a .lua suite: a suite or diagnostics, in bounded time and memory. */
#include "lua/conf_lua.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    Diags diags = {0};
    Arena *arena = arena_new();
    Suite *s = lua_suite_load(arena, "fuzz.lua", (const char *)data, n, &diags);
    if (s) {
        suite_free(s);
    } else {
        arena_free(arena);
    }
    VEC_FREE(&diags);
    return 0;
}
