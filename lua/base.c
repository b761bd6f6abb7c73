/* SPDX-License-Identifier: Apache-2.0
 * The globals of the sandbox: Lua's own libraries without what reaches out, and with a price on what loops in C. */
#include "lua/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Runs the library's function in this very frame, so that its messages name it as called. */
static int original(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* ---- tables: lengths are bounded, and no metamethod may state another one ---- */
static lua_Integer list_length(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TTABLE) {
        return 0; /* the library's own check refuses it: nothing here has __index, __newindex and __len */
    }
    if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL) {
        luaL_error(L, "table functions take no table with __len");
    }
    lua_Unsigned n = lua_rawlen(L, 1);
    if (n > SANDBOX_MAX_ITEMS) {
        luaL_error(L, "list of more than %d items", SANDBOX_MAX_ITEMS);
    }
    return (lua_Integer)n;
}

static int table_shift(lua_State *L) /* insert, remove */
{
    bool is_insert = lua_toboolean(L, lua_upvalueindex(2));
    int nargs = lua_gettop(L);
    lua_Integer n = list_length(L);
    lua_settop(L, nargs);
    if (nargs > (is_insert ? 2 : 1)) { /* in the middle: moves the tail */
        sandbox_charge(L, (uint64_t)n / 8);
    }
    return original(L);
}

static int table_sort(lua_State *L)
{
    int nargs = lua_gettop(L);
    sandbox_charge(L, (uint64_t)list_length(L) * 16);
    lua_settop(L, nargs);
    return original(L);
}

static void check_range(lua_State *L, lua_Integer from, lua_Integer to)
{
    if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= SANDBOX_MAX_ITEMS) {
        luaL_error(L, "range of more than %d items", SANDBOX_MAX_ITEMS);
    }
    sandbox_charge(L, to >= from ? (uint64_t)(to - from) / 4 : 0);
}

/* The range is in the arguments `from` and the next one; by default it is the whole list. */
static int over_range(lua_State *L, int from)
{
    int nargs = lua_gettop(L);
    lua_Integer n = list_length(L);
    lua_settop(L, nargs);
    check_range(L, luaL_optinteger(L, from, 1), luaL_optinteger(L, from + 1, n));
    return original(L);
}

static int table_concat(lua_State *L)
{
    return over_range(L, 3);
}

static int table_unpack(lua_State *L)
{
    return over_range(L, 2);
}

static int table_move(lua_State *L)
{
    check_range(L, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3));
    return original(L);
}

/* ---- strings: charged by length ---- */
static int string_any(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING) {
        sandbox_charge(L, lua_rawlen(L, 1) / 32);
    } else {
        sandbox_check(L);
    }
    return original(L);
}

static int string_rep(lua_State *L)
{
    size_t n, nsep;
    luaL_checklstring(L, 1, &n);
    lua_Integer times = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &nsep);
    uint64_t max = sandbox_of(L)->limits.max_bytes;
    if (times > 0 && n + nsep > 0 && (uint64_t)times > max / (n + nsep)) {
        return luaL_error(L, "string.rep: result would exceed the script's %I KiB of memory", (lua_Integer)(max >> 10));
    }
    sandbox_charge(L, times > 0 ? (uint64_t)times * (n + nsep) / 32 : 0);
    return original(L);
}

/* ---- base ---- */
static int base_setmetatable(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL) {
            return luaL_error(L, "__gc is not allowed in scripts");
        }
        lua_pop(L, 1);
    }
    return original(L);
}

static int base_collectgarbage(lua_State *L)
{
    static const char *const options[] = {"collect", "count", NULL};
    Sandbox *s = sandbox_of(L);
    if (luaL_checkoption(L, 1, "collect", options) == 1) {
        lua_pushnumber(L, (lua_Number)s->used_bytes / 1024);
        return 1;
    }
    sandbox_charge(L, 1000 + s->used_bytes / 16);
    lua_gc(L, LUA_GCCOLLECT);
    lua_pushinteger(L, 0);
    return 1;
}

static int coroutine_new(lua_State *L) /* a fresh thread starts with a fresh count: pay for it now */
{
    sandbox_charge(L, HOOK_INSNS);
    return original(L);
}

static void print_to_stderr(const char *text, size_t n)
{
    fflush(stderr);
    if (write(STDERR_FILENO, text, n) < 0) {
        /* nobody listens: a script's prints are no results */
    }
}

static int base_print(lua_State *L)
{
    Sandbox *s = sandbox_of(L);
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1) {
            luaL_addchar(&b, '\t');
        }
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_addchar(&b, '\n');
    luaL_pushresult(&b);
    size_t bytes;
    const char *text = lua_tolstring(L, -1, &bytes);
    sandbox_check(L);
    s->printed += bytes;
    if (s->printed > SANDBOX_MAX_PRINT) {
        sandbox_limit(L, "script printed more than 64 KiB");
    }
    if (s->print) {
        s->print(s->print_ctx, text, bytes);
    } else {
        print_to_stderr(text, bytes);
    }
    return 0;
}

/* ---- math.random: the scenario's stream (splitmix64) ---- */
uint64_t sandbox_random(Sandbox *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static uint64_t random_below(Sandbox *s, uint64_t n) /* unbiased; n > 0 */
{
    uint64_t reject = -n % n, x; /* 2^64 mod n */
    do {
        x = sandbox_random(s);
    } while (x < reject);
    return x % n;
}

static int random_between(lua_State *L, lua_Integer lo, lua_Integer hi)
{
    luaL_argcheck(L, lo <= hi, 2, "interval is empty");
    uint64_t span = (uint64_t)hi - (uint64_t)lo + 1;
    uint64_t x = span ? random_below(sandbox_of(L), span) : sandbox_random(sandbox_of(L));
    lua_pushinteger(L, (lua_Integer)((uint64_t)lo + x));
    return 1;
}

static int base_random(lua_State *L)
{
    Sandbox *s = sandbox_of(L);
    if (!s->story) {
        return luaL_error(L, "random works in a scenario's script only: a suite must load the same each time");
    }
    if (lua_isnoneornil(L, 1)) {
        lua_pushinteger(L, (lua_Integer)sandbox_random(s));
        return 1;
    }
    return random_between(L, luaL_checkinteger(L, 1), luaL_checkinteger(L, 2));
}

static int math_random(lua_State *L) /* Lua's own forms */
{
    Sandbox *s = sandbox_of(L);
    if (!s->story || lua_gettop(L) == 2) {
        return base_random(L);
    }
    if (lua_gettop(L) == 0) {
        lua_pushnumber(L, (lua_Number)(sandbox_random(s) >> 11) * 0x1p-53);
        return 1;
    }
    lua_Integer hi = luaL_checkinteger(L, 1);
    if (hi == 0) {
        lua_pushinteger(L, (lua_Integer)sandbox_random(s));
        return 1;
    }
    return random_between(L, 1, hi);
}

static int math_randomseed(lua_State *L)
{
    return luaL_error(L, "the seed is the run's: see --seed");
}

/* ---- assembly of the globals ---- */
static void replace(lua_State *L, const char *name, lua_CFunction f, int flag) /* in the table on top */
{
    if (lua_getfield(L, -1, name) == LUA_TFUNCTION) {
        lua_pushboolean(L, flag);
        lua_pushcclosure(L, f, 2);
        lua_setfield(L, -2, name);
    } else {
        lua_pop(L, 1);
    }
}

static void remove_all(lua_State *L, const char *const *names)
{
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
}

static void open_tables(lua_State *L)
{
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
    replace(L, "insert", table_shift, 1);
    replace(L, "remove", table_shift, 0);
    replace(L, "sort", table_sort, 0);
    replace(L, "concat", table_concat, 0);
    replace(L, "unpack", table_unpack, 0);
    replace(L, "move", table_move, 0);
    luaL_requiref(L, LUA_COLIBNAME, luaopen_coroutine, 1);
    replace(L, "create", coroutine_new, 0);
    replace(L, "wrap", coroutine_new, 0);
    lua_pop(L, 2);
}

static void open_strings(lua_State *L)
{
    static const char *const charged[] = {"byte", "len", "lower", "upper", "reverse", "sub", "format", "unpack", NULL};
    static const char *const charged_utf8[] = {"len", "offset", "codepoint", NULL};
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    for (const char *const *name = charged; *name; name++) {
        replace(L, *name, string_any, 0);
    }
    replace(L, "rep", string_rep, 0);
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 1);
    for (const char *const *name = charged_utf8; *name; name++) {
        replace(L, *name, string_any, 0);
    }
    lua_pop(L, 2);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

void sandbox_open_base(lua_State *L)
{
    static const char *const gone[] = {"dofile", "load", "loadfile", "require", "warn", NULL};
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    remove_all(L, gone);
    replace(L, "setmetatable", base_setmetatable, 0);
    replace(L, "collectgarbage", base_collectgarbage, 0);
    lua_register(L, "print", base_print);
    lua_register(L, "random", base_random);
    lua_pop(L, 1);
    open_tables(L);
    open_strings(L);
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
    replace(L, "random", math_random, 0);
    replace(L, "randomseed", math_randomseed, 0);
    lua_pop(L, 1);
}
