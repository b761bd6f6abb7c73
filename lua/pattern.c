/* SPDX-License-Identifier: Apache-2.0
 * string.find, match, gmatch, gsub for scripts, made of a matcher that pays (conformance/pattern.h).
 *
 * A pattern such as ".-.-.-.-x" takes time that grows with a power of the subject's length, and Lua's own matcher runs
 * in C, where no hook fires. This one charges the script for its steps, so the usual budget ends it. */
#include "conformance/pattern.h"
#include "lua/sandbox.h"

#include <ctype.h>
#include <string.h>

static int charge(void *L, uint64_t nsteps, Err *err)
{
    (void)err; /* raises */
    sandbox_charge(L, nsteps);
    return 0;
}

typedef struct {
    lua_State *L;
    PatternSearch search;
    PatternMatch at;
    size_t unpaid; /* bytes of replacements not charged yet */
} Match;

static Match match_new(lua_State *L, const char *text, size_t n, const char *pattern, size_t npattern)
{
    return (Match){.L = L,
                   .search = {.text = text,
                              .text_end = text + n,
                              .pattern = pattern,
                              .pattern_end = pattern + npattern,
                              .charge = charge,
                              .ctx = L}};
}

static bool match_search(Match *m, size_t from)
{
    Err err;
    if (pattern_search(&m->search, from, &m->at, &err)) {
        luaL_error(m->L, "%s", err.text);
    }
    return m->at.is_found;
}

static bool match_here(Match *m, size_t from)
{
    Err err;
    if (pattern_match_at(&m->search, from, &m->at, &err)) {
        luaL_error(m->L, "%s", err.text);
    }
    return m->at.is_found;
}

/* ---- results ---- */
static const char *matched(const Match *m, size_t *n)
{
    *n = m->at.to - m->at.from;
    return m->search.text + m->at.from;
}

static void push_capture(Match *m, int i)
{
    const PatternSearch *s = &m->search;
    if (i >= s->ncaptures) {
        if (i > 0) {
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        }
        size_t n;
        const char *text = matched(m, &n);
        lua_pushlstring(m->L, text, n);
    } else if (s->captures[i].n == PATTERN_POSITION) {
        lua_pushinteger(m->L, s->captures[i].at - s->text + 1);
    } else if (s->captures[i].n == PATTERN_OPEN) {
        luaL_error(m->L, "unfinished capture");
    } else {
        lua_pushlstring(m->L, s->captures[i].at, (size_t)s->captures[i].n);
    }
}

/* All captures, or the whole match if there are none (is_find: nothing then). */
static int push_captures(Match *m, bool is_find)
{
    int n = m->search.ncaptures == 0 && !is_find ? 1 : m->search.ncaptures;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++) {
        push_capture(m, i);
    }
    return n;
}

/* ---- the functions ---- */
static size_t start_of(lua_Integer init, size_t n) /* offset; above n: beyond the text */
{
    if (init > 0) {
        return (lua_Unsigned)init - 1 > n ? n + 1 : (size_t)init - 1;
    }
    if (init == 0) {
        return 0;
    }
    return (lua_Unsigned)-init > n ? 0 : n - (size_t)(lua_Unsigned)-init;
}

static int find_plain(lua_State *L, const char *text, size_t n, const char *part, size_t npart)
{
    sandbox_charge(L, n / 16); /* memmem is linear */
    const char *whole = lua_tostring(L, 1);
    const char *at = npart ? memmem(text, n, part, npart) : text;
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - whole + 1);
    lua_pushinteger(L, at - whole + (lua_Integer)npart);
    return 2;
}

static bool has_specials(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] && strchr("^$*+?.([%-", p[i])) {
            return true;
        }
    }
    return false;
}

static int find_or_match(lua_State *L, bool is_find)
{
    size_t n, npattern;
    const char *text = luaL_checklstring(L, 1, &n), *p = luaL_checklstring(L, 2, &npattern);
    size_t start = start_of(luaL_optinteger(L, 3, 1), n);
    sandbox_check(L);
    if (start > n) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && (lua_toboolean(L, 4) || !has_specials(p, npattern))) {
        return find_plain(L, text + start, n - start, p, npattern);
    }
    Match m = match_new(L, text, n, p, npattern);
    if (!match_search(&m, start)) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find) {
        lua_pushinteger(L, (lua_Integer)m.at.from + 1);
        lua_pushinteger(L, (lua_Integer)m.at.to);
        return push_captures(&m, true) + 2;
    }
    return push_captures(&m, false);
}

static int string_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int string_match(lua_State *L)
{
    return find_or_match(L, false);
}

static int gmatch_next(lua_State *L) /* upvalues: text, pattern, offset to go on from, end of the last match or -1 */
{
    size_t n, npattern;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &n);
    const char *p = lua_tolstring(L, lua_upvalueindex(2), &npattern);
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    Match m = match_new(L, text, n, p, npattern);
    for (size_t from = (size_t)lua_tointeger(L, lua_upvalueindex(3)); from <= n; from++) {
        if (match_here(&m, from) && (lua_Integer)m.at.to != last) {
            lua_pushinteger(L, (lua_Integer)m.at.to);
            lua_copy(L, -1, lua_upvalueindex(3));
            lua_copy(L, -1, lua_upvalueindex(4));
            return push_captures(&m, false);
        }
    }
    return 0;
}

static int string_gmatch(lua_State *L)
{
    size_t n;
    luaL_checklstring(L, 1, &n);
    luaL_checkstring(L, 2);
    size_t start = start_of(luaL_optinteger(L, 3, 1), n);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)start);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* ---- gsub ---- */
static void add_whole(const Match *m, luaL_Buffer *b)
{
    size_t n;
    const char *text = matched(m, &n);
    luaL_addlstring(b, text, n);
}

static void add_text(Match *m, luaL_Buffer *b)
{
    size_t n;
    const char *r = lua_tolstring(m->L, 3, &n), *end = r + n;
    m->unpaid += n;
    if (m->unpaid >= PATTERN_STEPS_PER_CHARGE) {
        sandbox_charge(m->L, m->unpaid);
        m->unpaid = 0;
    }
    while (r < end) {
        const char *percent = memchr(r, '%', (size_t)(end - r));
        luaL_addlstring(b, r, (size_t)((percent ? percent : end) - r));
        if (!percent) {
            return;
        }
        r = percent + 1;
        if (r < end && *r == '%') {
            luaL_addchar(b, '%');
        } else if (r < end && *r == '0') {
            add_whole(m, b);
        } else if (r < end && isdigit((uint8_t)*r)) {
            push_capture(m, *r - '1');
            luaL_tolstring(m->L, -1, NULL);
            lua_remove(m->L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
        r++;
    }
}

/* Appends what stands for the match: the match itself where the value is false or nil. */
static void add_value(Match *m, luaL_Buffer *b)
{
    lua_State *L = m->L;
    int kind = lua_type(L, 3);
    if (kind == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, false), 1);
    } else if (kind == LUA_TTABLE) {
        push_capture(m, 0);
        lua_gettable(L, 3);
    } else {
        add_text(m, b);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        add_whole(m, b);
        return;
    }
    if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(b);
}

static int string_gsub(lua_State *L)
{
    size_t n, npattern;
    const char *text = luaL_checklstring(L, 1, &n), *p = luaL_checklstring(L, 2, &npattern);
    int kind = lua_type(L, 3);
    luaL_argexpected(L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE, 3,
                     "string/function/table");
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)n + 1), count = 0;
    bool is_anchored = npattern > 0 && *p == '^';
    Match m = match_new(L, text, n, p + is_anchored, npattern - is_anchored);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t from = 0, last = SIZE_MAX;
    while (count < max) {
        if (match_here(&m, from) && m.at.to != last) {
            count++;
            add_value(&m, &b);
            from = last = m.at.to;
        } else if (from < n) {
            luaL_addchar(&b, text[from++]);
        } else {
            break;
        }
        if (is_anchored) {
            break;
        }
    }
    luaL_addlstring(&b, text + from, n - from);
    luaL_pushresult(&b);
    lua_pushinteger(L, count);
    return 2;
}

void sandbox_open_pattern(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch}, {"gsub", string_gsub}, {NULL, NULL}};
    lua_getglobal(L, LUA_STRLIBNAME);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
