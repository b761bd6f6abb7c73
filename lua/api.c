/* SPDX-License-Identifier: Apache-2.0
 * The verbs of the language as functions, expectations, and the primitives that prelude.lua builds on. */
#include "lua/sandbox.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <string.h>

Story *sandbox_story(lua_State *L)
{
    Sandbox *s = sandbox_of(L);
    sandbox_check(L);
    if (!s->story) {
        luaL_error(L, "only a scenario's script can do this, not the file around it");
    }
    return s->story;
}

_Noreturn static void end_as_failed(lua_State *L)
{
    sandbox_end(L, sandbox_of(L)->in_trial ? ENDED_TRIAL : ENDED_STOP);
}

/* ---- verbs ---- */
static const char *const verbs[] = {"run",     "op",   "inject",  "kick", "set",   "write",  "map", "unmap",
                                    "protect", "save", "restore", "type", "check", "native", NULL};

static int push_exits(lua_State *L, Story *story)
{
    size_t n;
    const VmExit *exits = story_exits(story, &n);
    if (n > SANDBOX_MAX_ITEMS) {
        n = SANDBOX_MAX_ITEMS;
    }
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        sandbox_push_exit(L, story, &exits[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int do_verb(lua_State *L) /* upvalue: the verb */
{
    Story *story = sandbox_story(L);
    Sandbox *s = sandbox_of(L);
    const char *verb = lua_tostring(L, lua_upvalueindex(1));
    Pos pos = sandbox_pos(L);
    luaL_checkany(L, 1);
    if (lua_gettop(L) > 2) {
        return luaL_error(L, "%s takes a value and a table of modifiers", verb);
    }
    lua_settop(L, 2);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
    }
    const Node *value = sandbox_node(L, 1, pos);
    const Node *modifiers = lua_isnil(L, 2) ? NULL : sandbox_node(L, 2, pos);
    Err err = {0};
    const Step *step = case_step_from(s->arena, story_case(story), verb, value, modifiers, &err);
    if (!step) {
        sandbox_raise(L, &err);
    }
    uint64_t before = os_now_ns();
    int rc = story_step(story, step, &err);
    s->outside_ns += os_now_ns() - before;
    if (story_failed(story)) {
        end_as_failed(L);
    }
    if (rc != 0 && step->kind == STEP_op) {
        lua_pushboolean(L, false);
        lua_pushstring(L, err.text);
        lua_pushstring(L, err_name(rc));
        return 3;
    }
    if (rc != 0 && story_skip_unmet(story, &err)) {
        sandbox_end(L, ENDED_STOP);
    }
    if (rc != 0) {
        sandbox_raise(L, &err);
    }
    if (step->kind == STEP_run) {
        return push_exits(L, story);
    }
    lua_pushboolean(L, true);
    return 1;
}

/* ---- expectations ---- */
static void describe(lua_State *L, int index, Buf *out)
{
    lua_Integer v;
    size_t n;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) {
            v = lua_tointeger(L, index);
            buf_printf(out, "0x%" PRIx64, (uint64_t)v);
        } else {
            buf_printf(out, "%.17g", lua_tonumber(L, index));
        }
        return;
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &n);
        buf_char(out, '"');
        for (size_t i = 0; i < n && i < 64; i++) {
            bool is_plain = text[i] >= ' ' && text[i] <= '~' && text[i] != '"' && text[i] != '\\';
            buf_printf(out, is_plain ? "%c" : "\\x%02x", (uint8_t)text[i]);
        }
        buf_str(out, n > 64 ? "\".." : "\"");
        return;
    case LUA_TBOOLEAN:
        buf_str(out, lua_toboolean(L, index) ? "true" : "false");
        return;
    case LUA_TNIL:
        buf_str(out, "nothing");
        return;
    default:
        buf_printf(out, "a %s", luaL_typename(L, index));
    }
}

/* A wide register's bytes as a little-endian number: equal to a 64-bit one if the rest is 0. */
static bool wide_equals(lua_State *L, int wide, int number)
{
    size_t n;
    const uint8_t *bytes = (const uint8_t *)lua_tolstring(L, wide, &n);
    uint64_t want = (uint64_t)lua_tointeger(L, number);
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != (i < 8 ? (uint8_t)(want >> 8 * i) : 0)) {
            return false;
        }
    }
    return n >= 8 || want >> 8 * n == 0;
}

static bool value_equals(lua_State *L, int got, int want)
{
    if (lua_type(L, got) == LUA_TSTRING && lua_isinteger(L, want)) {
        return wide_equals(L, got, want);
    }
    return lua_rawequal(L, got, want) != 0;
}

/* expect: got, want, what. */
static int expect_fails(lua_State *L, const char *why)
{
    Sandbox *s = sandbox_of(L);
    Buf *out = &s->scratch;
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    if (!lua_isnoneornil(L, 3)) {
        luaL_tolstring(L, 3, NULL);
        luaL_addvalue(&text);
        luaL_addstring(&text, ": ");
    }
    if (why) {
        luaL_addstring(&text, why);
    } else {
        buf_clear(out);
        buf_str(out, "expected ");
        describe(L, 2, out);
        buf_str(out, ", got ");
        describe(L, 1, out);
        luaL_addlstring(&text, out->data, out->n);
    }
    luaL_pushresult(&text);
    story_fail(sandbox_story(L), sandbox_pos(L), lua_tostring(L, -1));
    end_as_failed(L);
}

static int expect_matcher(lua_State *L, Story *story)
{
    Sandbox *s = sandbox_of(L);
    if (!lua_isinteger(L, 1)) {
        return luaL_error(L, "a matcher compares integers and texts, not a %s", luaL_typename(L, 1));
    }
    Err err = {0};
    const Matcher *m = case_matcher_from(s->arena, story_case(story), sandbox_node(L, 2, sandbox_pos(L)), &err);
    if (!m) {
        sandbox_raise(L, &err);
    }
    buf_clear(&s->scratch);
    if (!story_match(story, m, (uint64_t)lua_tointeger(L, 1), 8, &s->scratch)) {
        lua_pushlstring(L, s->scratch.n ? s->scratch.data : "", s->scratch.n);
        return expect_fails(L, lua_tostring(L, -1));
    }
    story_checked(story);
    return 0;
}

static int do_expect(lua_State *L)
{
    Story *story = sandbox_story(L);
    lua_settop(L, 3);
    lua_Integer v;
    if (lua_type(L, 1) == LUA_TNUMBER && !lua_isinteger(L, 1) && lua_numbertointeger(lua_tonumber(L, 1), &v) &&
        (lua_Number)v == lua_tonumber(L, 1)) {
        lua_pushinteger(L, v); /* 2.0 is 2 */
        lua_replace(L, 1);
    }
    switch (lua_type(L, 2)) {
    case LUA_TNIL:
        return luaL_error(L, "expect(value, matcher, what): the matcher is missing");
    case LUA_TTABLE:
        return expect_matcher(L, story);
    case LUA_TNUMBER:
    case LUA_TSTRING:
    case LUA_TBOOLEAN:
        if (!value_equals(L, 1, 2)) {
            return expect_fails(L, NULL);
        }
        story_checked(story);
        return 0;
    default:
        return luaL_error(L, "a %s is no matcher", luaL_typename(L, 2));
    }
}

static int do_held(lua_State *L) /* the prelude compared by itself, and it held */
{
    story_checked(sandbox_story(L));
    return 0;
}

static int do_fail(lua_State *L)
{
    Story *story = sandbox_story(L);
    luaL_tolstring(L, 1, NULL);
    story_fail(story, sandbox_pos(L), lua_tostring(L, -1));
    end_as_failed(L);
}

static int do_fail_at(lua_State *L) /* fail_at(line, what) */
{
    Story *story = sandbox_story(L);
    Pos pos = {.file = sandbox_of(L)->file, .line = (uint32_t)luaL_checkinteger(L, 1)};
    story_fail(story, pos.line ? pos : sandbox_pos(L), luaL_checkstring(L, 2));
    end_as_failed(L);
}

static int do_skip(lua_State *L)
{
    story_skip(sandbox_story(L), luaL_checkstring(L, 1));
    sandbox_end(L, ENDED_STOP);
}

/* ---- trials: forall's engine ---- */
/* trial(f, x): true; or false, why, line when an expectation or a step failed; or nil, error when f is wrong. */
static int do_trial(lua_State *L)
{
    Story *story = sandbox_story(L);
    Sandbox *s = sandbox_of(L);
    if (s->in_trial) {
        return luaL_error(L, "forall inside forall");
    }
    lua_settop(L, 2);
    story_trial_begin(story);
    s->in_trial = true;
    int rc = lua_pcall(L, 1, 0, 0);
    s->in_trial = false;
    Pos pos = {0};
    buf_clear(&s->scratch);
    bool is_failed = story_trial_end(story, &pos, &s->scratch);
    if (s->is_repl) {
        story_trial_begin(story);
    }
    if (s->ended == ENDED_TRIAL) {
        s->ended = ENDED_NO;
        lua_sethook(L, lua_gethook(L), LUA_MASKCOUNT, HOOK_INSNS);
    }
    sandbox_check(L);
    if (rc == LUA_ERRMEM) {
        sandbox_limit(L, "script used more memory than it may");
    }
    if (is_failed) {
        lua_pushboolean(L, false);
        lua_pushlstring(L, s->scratch.n ? s->scratch.data : "", s->scratch.n);
        lua_pushinteger(L, pos.line);
        return 3;
    }
    if (rc != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushboolean(L, true);
    return 1;
}

/* ---- names ---- */
static int do_symbol(lua_State *L) /* symbol(name): its value, or nothing */
{
    Sandbox *s = sandbox_of(L);
    const char *name = luaL_checkstring(L, 1);
    const Names *names = s->story ? story_names(s->story) : NULL;
    uint64_t value;
    if (names && names->lookup(names->ctx, name, &value)) {
        lua_pushinteger(L, (lua_Integer)value);
        return 1;
    }
    return 0;
}

static void push_name(lua_State *L, const char *name, const char *suffix)
{
    lua_pushfstring(L, "%s%s", name, suffix);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int do_names(lua_State *L) /* names(): list of the names of regions and pages */
{
    const Case *c = story_case(sandbox_story(L));
    lua_newtable(L);
    for (size_t i = 0; i < c->nregions; i++) {
        push_name(L, c->regions[i].name, "");
        push_name(L, c->regions[i].name, "_end");
        push_name(L, c->regions[i].name, "_size");
    }
    for (size_t i = 0; i < c->npages; i++) {
        push_name(L, c->pages[i].name, "");
        push_name(L, c->pages[i].name, "_pte");
    }
    return 1;
}

static void push_row(lua_State *L, Story *story)
{
    const Case *c = story_case(story);
    lua_createtable(L, 0, (int)c->nbindings);
    for (size_t i = 0; i < c->nbindings; i++) {
        sandbox_push_node(L, c->bindings[i].value, story_names(story), c->guest);
        lua_setfield(L, -2, c->bindings[i].name);
    }
}

void sandbox_open_api(lua_State *L)
{
    static const luaL_Reg primitives[] = {{"expect", do_expect}, {"held", do_held},       {"trial", do_trial},
                                          {"symbol", do_symbol}, {"fail_at", do_fail_at}, {"names", do_names},
                                          {NULL, NULL}};
    Sandbox *s = sandbox_of(L);
    for (const char *const *verb = verbs; *verb; verb++) {
        lua_pushstring(L, *verb);
        lua_pushcclosure(L, do_verb, 1);
        lua_setglobal(L, strcmp(*verb, "type") == 0 ? "type_text" : *verb); /* `type` is Lua's */
    }
    lua_register(L, "fail", do_fail);
    lua_register(L, "skip", do_skip);
    luaL_newlib(L, primitives);
    if (s->story) {
        push_row(L, s->story);
        lua_setfield(L, -2, "row");
        lua_pushstring(L, guest_name(story_case(s->story)->guest));
        lua_setglobal(L, "guest");
        lua_pushstring(L, story_backend(s->story));
        lua_setglobal(L, "backend");
        lua_pushinteger(L, (lua_Integer)story_seed(s->story));
        lua_setglobal(L, "seed");
    }
    lua_setfield(L, LUA_REGISTRYINDEX, SANDBOX_PRIMITIVES);
}
