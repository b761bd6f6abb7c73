/* SPDX-License-Identifier: Apache-2.0
 * Patterns of the sandbox against Lua's own matcher: same results, or both refuse. Input: pattern, 0, subject. */
#include "lua/sandbox.h"
#include "sim/base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATTERN = 12, MAX_SUBJECT = 16 }; /* what Lua's matcher gets through in time */
static const char *const calls[] = {"find", "match", "gsub"};

static void open_plain(lua_State *L)
{
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
    lua_settop(L, 0);
}

/* All results as one text; false: refused. */
static bool call(lua_State *L, const char *name, const char *pattern, size_t np, const char *subject, size_t ns,
                 Buf *out)
{
    lua_settop(L, 0);
    lua_getglobal(L, LUA_STRLIBNAME);
    lua_getfield(L, -1, name);
    lua_pushlstring(L, subject, ns);
    lua_pushlstring(L, pattern, np);
    if (strcmp(name, "gsub") == 0) {
        lua_pushliteral(L, "<%0>");
    }
    bool is_good = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0) == LUA_OK;
    for (int i = 2; is_good && i <= lua_gettop(L); i++) {
        size_t n;
        const char *text = luaL_tolstring(L, i, &n);
        buf_printf(out, "%zu:", n);
        buf_bytes(out, text, n);
        lua_pop(L, 1);
    }
    return is_good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *zero = memchr(data, 0, n);
    size_t np = zero ? (size_t)(zero - data) : n, ns = zero ? n - np - 1 : 0;
    np = np < MAX_PATTERN ? np : MAX_PATTERN;
    ns = ns < MAX_SUBJECT ? ns : MAX_SUBJECT;
    const char *pattern = (const char *)data, *subject = zero ? (const char *)zero + 1 : "";
    static Sandbox *s; /* made once: a state takes longer than a match */
    static lua_State *plain;
    if (!s) {
        s = sandbox_new(NULL, NULL, "fuzz", NULL);
        plain = luaL_newstate();
        open_plain(plain);
    }
    s->used_insns = 0;
    s->start_ns = os_now_ns();
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        Buf want = {0}, got = {0};
        bool is_wanted = call(plain, calls[i], pattern, np, subject, ns, &want);
        bool is_got = call(s->L, calls[i], pattern, np, subject, ns, &got);
        if (is_wanted != is_got || strcmp(buf_text(&want), buf_text(&got)) != 0) {
            fprintf(stderr, "%s: want %d %s\ngot %d %s\n", calls[i], is_wanted, buf_text(&want), is_got,
                    buf_text(&got));
            fprintf(stderr, "%s\n", lua_tostring(is_wanted ? s->L : plain, -1));
            abort();
        }
        buf_free(&want);
        buf_free(&got);
    }
    return 0;
}
