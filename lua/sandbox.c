/* SPDX-License-Identifier: Apache-2.0 */
#include "lua/sandbox.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_BYTES = 64 << 20, DEFAULT_INSNS = 500 * 1000 * 1000, MAX_FIRST_LINE = NODE_MAX_BYTES };
static const uint64_t DEFAULT_NS = 10ull * 1000 * 1000 * 1000;
static const char ended_key; /* its address is the error value of a script that has ended */

/* Accounts with the sizes that Lua states. A block that shrinks by less than half stays where it is. */
static void *sandbox_alloc(void *ctx, void *p, size_t old_bytes, size_t new_bytes)
{
    Sandbox *s = ctx;
    size_t old = p ? old_bytes : 0; /* without a block, old_bytes is a type tag */
    if (new_bytes == 0) {
        mem_free(p);
        s->used_bytes -= old;
        return NULL;
    }
    if (new_bytes > old && new_bytes - old > s->limits.max_bytes - s->used_bytes) {
        s->is_oom = true;
        return NULL;
    }
    if (p && new_bytes <= old && new_bytes >= old / 2) {
        s->used_bytes -= old - new_bytes;
        return p;
    }
    void *q = mem_try(1, new_bytes);
    if (!q) {
        return NULL;
    }
    if (p) {
        memcpy(q, p, old < new_bytes ? old : new_bytes);
        mem_free(p);
    }
    s->used_bytes = s->used_bytes - old + new_bytes;
    return q;
}

Sandbox *sandbox_of(lua_State *L)
{
    Sandbox *s;
    memcpy(&s, lua_getextraspace(L), sizeof s);
    return s;
}

Pos sandbox_pos(lua_State *L)
{
    Sandbox *s = sandbox_of(L);
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (lua_getinfo(L, "Sl", &ar) && ar.currentline > 0 && ar.source[0] == '@' &&
            strcmp(ar.source + 1, s->file) == 0) {
            return (Pos){.file = s->file, .line = (uint32_t)ar.currentline};
        }
    }
    return (Pos){.file = s->file};
}

/* ---- the end of a script ---- */
static void on_count(lua_State *L, lua_Debug *ar);

_Noreturn void sandbox_end(lua_State *L, Ended how)
{
    Sandbox *s = sandbox_of(L);
    if (s->ended == ENDED_NO) {
        s->ended = how;
    }
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1); /* whoever swallows the error does not get far */
    lua_pushlightuserdata(L, (void *)(uintptr_t)&ended_key);
    lua_error(L);
    __builtin_unreachable();
}

_Noreturn void sandbox_limit(lua_State *L, const char *text)
{
    Sandbox *s = sandbox_of(L);
    if (s->ended != ENDED_LIMIT) {
        Pos pos = sandbox_pos(L);
        s->ended = ENDED_LIMIT;
        snprintf(s->limit_text, sizeof s->limit_text, "%" PRIu32 ": %s", pos.line, text);
    }
    sandbox_end(L, ENDED_LIMIT);
}

void sandbox_check(lua_State *L)
{
    Sandbox *s = sandbox_of(L);
    if (s->ended != ENDED_NO) {
        sandbox_end(L, s->ended);
    }
}

void sandbox_charge(lua_State *L, uint64_t insns)
{
    Sandbox *s = sandbox_of(L);
    sandbox_check(L);
    s->used_insns += insns < s->limits.max_insns ? insns : s->limits.max_insns;
    if (s->used_insns > s->limits.max_insns) {
        char text[80];
        snprintf(text, sizeof text, "script ran more than %" PRIu64 " instructions", s->limits.max_insns);
        sandbox_limit(L, text);
    }
    if (os_now_ns() - s->start_ns - s->outside_ns > s->limits.max_ns) {
        char text[80];
        snprintf(text, sizeof text, "script ran longer than %" PRIu64 " ms", s->limits.max_ns / 1000000);
        sandbox_limit(L, text);
    }
}

static void on_count(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    sandbox_charge(L, (uint64_t)lua_gethookcount(L));
}

void sandbox_arena_check(lua_State *L)
{
    Sandbox *s = sandbox_of(L);
    if (arena_bytes(s->arena) > s->limits.max_bytes) {
        char text[80];
        snprintf(text, sizeof text, "script used more than %" PRIu64 " KiB for its steps", s->limits.max_bytes >> 10);
        sandbox_limit(L, text);
    }
}

_Noreturn void sandbox_raise(lua_State *L, const Err *err)
{
    Sandbox *s = sandbox_of(L);
    size_t n = strlen(s->file);
    if (strncmp(err->text, s->file, n) == 0 && err->text[n] == ':') { /* it has a place; column 0 says nothing */
        int digits = (int)strspn(err->text + n + 1, "0123456789");
        const char *rest = err->text + n + 1 + digits;
        lua_pushlstring(L, err->text, (size_t)(rest - err->text));
        lua_pushstring(L, strncmp(rest, ":0:", 3) == 0 ? rest + 2 : rest);
        lua_concat(L, 2);
    } else {
        uint32_t line = sandbox_pos(L).line; /* a tail call leaves no line */
        lua_pushfstring(L, line ? "%s:%d" : "%s", s->file, (int)line);
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), err->text);
    }
    lua_error(L);
    __builtin_unreachable();
}

/* ---- running ---- */
/* Lua cuts long chunk names ("...tail"); the whole name is put back. */
static int err_from_text(const Sandbox *s, const char *text, Err *err)
{
    size_t keep = LUA_IDSIZE - sizeof "...", n = strlen(s->file);
    if (n > LUA_IDSIZE - 1 && strncmp(text, "...", 3) == 0 && strncmp(text + 3, s->file + n - keep, keep) == 0 &&
        text[3 + keep] == ':') {
        return err_set(err, ERR_INVAL, "%s%s", s->file, text + 3 + keep);
    }
    return err_set(err, ERR_INVAL, "%s", text);
}

static int push_text(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

static int err_from_value(Sandbox *s, int rc, Err *err)
{
    lua_State *L = s->L;
    if (rc == LUA_ERRMEM) {
        return err_set(err, ERR_LIMIT, "%s: script used more than %" PRIu64 " KiB of memory", s->file,
                       s->limits.max_bytes >> 10);
    }
    if (lua_type(L, -1) != LUA_TSTRING) { /* may call __tostring: protected, and with hooks on */
        lua_pushcfunction(L, push_text);
        lua_insert(L, -2);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK || lua_type(L, -1) != LUA_TSTRING) {
            return err_set(err, ERR_INVAL, "%s: script raised an error that cannot be shown", s->file);
        }
        return err_set(err, ERR_INVAL, "%s: script raised %s", s->file, lua_tostring(L, -1));
    }
    return err_from_text(s, lua_tostring(L, -1), err);
}

int sandbox_call(Sandbox *s, int nargs, int nresults, Err *err)
{
    lua_State *L = s->L;
    int base = lua_gettop(L) - nargs - 1;
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_INSNS);
    int rc = lua_pcall(L, nargs, nresults, 0);
    int ret = rc != LUA_OK && s->ended == ENDED_NO ? err_from_value(s, rc, err) : 0;
    if (s->ended == ENDED_LIMIT) { /* then, or while its error was shown */
        ret = err_set(err, ERR_LIMIT, "%s:%s", s->file, s->limit_text);
    }
    if (ret != 0 || s->ended != ENDED_NO) {
        lua_settop(L, base);
    }
    return ret;
}

int sandbox_protected(Sandbox *s, lua_CFunction body, void *arg, Err *err)
{
    lua_pushcfunction(s->L, body);
    lua_pushlightuserdata(s->L, arg);
    return sandbox_call(s, 1, 0, err);
}

typedef struct {
    const char *text;
    size_t n;
    uint32_t blank_lines;
} Source;

/* Blank lines before the text make Lua's line numbers those of the file that the text stands in. */
static const char *read_source(lua_State *L, void *ctx, size_t *n)
{
    static const char blanks[65] = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
                                   "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    Source *source = ctx;
    (void)L;
    if (source->blank_lines > 0) {
        *n = source->blank_lines < 64 ? source->blank_lines : 64;
        source->blank_lines -= (uint32_t)*n;
        return blanks;
    }
    *n = source->n;
    source->n = 0;
    return *n ? source->text : NULL;
}

int sandbox_load(Sandbox *s, const char *text, size_t n, uint32_t first_line, Err *err)
{
    Source source = {.text = text, .n = n, .blank_lines = first_line ? first_line - 1 : 0};
    if (source.blank_lines > MAX_FIRST_LINE) {
        return err_set(err, ERR_LIMIT, "%s: script starts beyond line %d", s->file, MAX_FIRST_LINE);
    }
    int rc = lua_load(s->L, read_source, &source, arena_printf(s->arena, "@%s", s->file), "t");
    if (rc == LUA_OK) {
        return 0;
    }
    int ret = err_from_value(s, rc, err);
    lua_pop(s->L, 1);
    return ret;
}

/* ---- a state ---- */
static int open_all(lua_State *L)
{
    sandbox_open_base(L);
    sandbox_open_pattern(L);
    sandbox_open_api(L);
    sandbox_open_vm(L);
    sandbox_open_suite(L);
    return 0;
}

static uint64_t stream_of(const Story *story)
{
    uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a: a stream per scenario, whatever else runs */
    for (const char *p = story_case(story)->id; p && *p; p++) {
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3ull;
    }
    return hash ^ story_seed(story);
}

extern const unsigned char lua_prelude_text[]; /* prelude.lua, made a C array by embed.cmake */
extern const size_t lua_prelude_bytes;

static int open_prelude(lua_State *L)
{
    sandbox_prelude(L, "=prelude", (const char *)lua_prelude_text, lua_prelude_bytes);
    return 0;
}

Sandbox *sandbox_new(Story *story, const LuaLimits *limits, const char *file, Arena *arena)
{
    Sandbox *s = x_alloc(sizeof *s);
    s->arena = arena ? arena : arena_new();
    s->is_arena_lent = arena != NULL;
    s->limits = limits ? *limits : (LuaLimits){0};
    s->limits.max_bytes = s->limits.max_bytes ? s->limits.max_bytes : DEFAULT_BYTES;
    s->limits.max_insns = s->limits.max_insns ? s->limits.max_insns : DEFAULT_INSNS;
    uint64_t story_ns = story ? story_timeout_ns(story) : 0;
    s->limits.max_ns = s->limits.max_ns ? s->limits.max_ns : story_ns ? story_ns : DEFAULT_NS;
    s->file = arena_strdup(s->arena, file);
    s->start_ns = os_now_ns();
    s->story = story;
    s->suite.wanted = -1;
    s->random = story ? stream_of(story) : 0;
    s->L = lua_newstate(sandbox_alloc, s);
    if (s->L) {
        memcpy(lua_getextraspace(s->L), &s, sizeof s);
        if (sandbox_protected(s, open_all, NULL, NULL) == 0 && sandbox_protected(s, open_prelude, NULL, NULL) == 0) {
            return s;
        }
    }
    sandbox_free(s);
    return NULL;
}

void sandbox_free(Sandbox *s)
{
    if (!s) {
        return;
    }
    if (s->L) {
        lua_close(s->L);
    }
    buf_free(&s->scratch);
    VEC_FREE(&s->suite.nodes);
    if (!s->is_arena_lent) {
        arena_free(s->arena);
    }
    mem_free(s);
}

void sandbox_prelude(lua_State *L, const char *name, const char *text, size_t n)
{
    if (luaL_loadbufferx(L, text, n, name, "t") != LUA_OK) {
        lua_error(L);
    }
    lua_getfield(L, LUA_REGISTRYINDEX, SANDBOX_PRIMITIVES);
    lua_call(L, 1, 0);
}
