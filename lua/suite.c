/* SPDX-License-Identifier: Apache-2.0
 * Suites written in Lua: scenario{} collects tables as nodes, or finds one scenario's function again. */
#include "lua/sandbox.h"

#include <stdlib.h>
#include <string.h>

static const char SOURCE_KEY[] = "x-lua-source", WANTED_KEY[] = "conf.wanted";
enum { MAX_SCENARIOS = 100000 };

/* scenario{..}: a function as script becomes "@N" in a copy of the table. */
static void collect(lua_State *L, Sandbox *s)
{
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 2);
    }
    if (lua_getfield(L, 2, "script") == LUA_TFUNCTION) {
        lua_pushfstring(L, "@%d", (int)s->suite.n);
        lua_setfield(L, 2, "script");
    } else if (lua_type(L, -1) == LUA_TSTRING && lua_tostring(L, -1)[0] == '@') {
        luaL_error(L, "a script cannot start with @");
    }
    Pos pos = sandbox_pos(L);
    pos.col = 1;
    VEC_PUSH(&s->suite.nodes, (Node *)(uintptr_t)sandbox_node(L, 2, pos));
}

static int do_scenario(lua_State *L)
{
    Sandbox *s = sandbox_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (!s->suite.is_open) {
        return luaL_error(L, "scenario{} stands in a .lua suite, not in a script");
    }
    if (s->suite.n >= MAX_SCENARIOS) {
        return luaL_error(L, "more than %d scenarios in a file", MAX_SCENARIOS);
    }
    if (s->suite.wanted < 0) {
        collect(L, s);
    } else if (s->suite.n == (size_t)s->suite.wanted) {
        lua_getfield(L, 1, "script");
        lua_setfield(L, LUA_REGISTRYINDEX, WANTED_KEY);
    }
    s->suite.n++;
    return 0;
}

void sandbox_open_suite(lua_State *L)
{
    lua_register(L, "scenario", do_scenario);
}

static int run_file(Sandbox *s, const char *text, size_t n, int wanted, Err *err)
{
    Story *story = s->story;
    s->story = NULL; /* the file around the scripts is the same in every run: it sees no story */
    s->suite.is_open = true;
    s->suite.wanted = wanted;
    s->suite.n = 0;
    int rc = sandbox_load(s, text, n, 1, err);
    if (rc == 0) {
        rc = sandbox_call(s, 0, 0, err);
    }
    s->suite.is_open = false;
    s->story = story;
    return rc;
}

int sandbox_suite_function(Sandbox *s, const Suite *suite, int index, Err *err)
{
    const Node *source = node_get(suite->root, SOURCE_KEY);
    if (!source) {
        return err_set(err, ERR_INVAL, "%s: no .lua suite", suite->file);
    }
    int rc = run_file(s, source->text, strlen(source->text), index, err);
    if (rc != 0) {
        return rc;
    }
    if (lua_getfield(s->L, LUA_REGISTRYINDEX, WANTED_KEY) != LUA_TFUNCTION) {
        lua_pop(s->L, 1);
        return err_set(err, ERR_INVAL, "%s: the file made other scenarios than when it was loaded", suite->file);
    }
    return 0;
}

/* ---- loading ---- */
static Node *make(Arena *a, const char *file, NodeKind kind, const char *text, size_t n)
{
    Node *node = arena_alloc(a, sizeof *node);
    node->kind = kind;
    node->pos = (Pos){.file = file, .line = 1, .col = 1};
    node->text = text;
    node->n = n;
    if (kind != NODE_SCALAR) {
        node->items = arena_alloc(a, (n + 1) * sizeof(Node *));
        node->keys = arena_alloc(a, (n + 1) * sizeof(Node *));
    }
    return node;
}

static Node *make_root(Arena *a, const char *file, const Sandbox *s, const char *source)
{
    static const char *const keys[] = {"version", "scenarios", SOURCE_KEY};
    Node *root = make(a, file, NODE_MAP, NULL, ARRAY_LEN(keys));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        root->keys[i] = make(a, file, NODE_SCALAR, keys[i], 0);
        root->keys[i]->is_plain = true;
    }
    root->items[0] = make(a, file, NODE_SCALAR, "1", 0);
    root->items[0]->is_plain = true;
    root->items[1] = make(a, file, NODE_SEQ, NULL, s->suite.nodes.n);
    for (size_t i = 0; i < s->suite.nodes.n; i++) {
        root->items[1]->items[i] = s->suite.nodes.items[i];
    }
    root->items[2] = make(a, file, NODE_SCALAR, source, 0);
    return root;
}

static void add_diag(Arena *a, const char *file, const Err *err, Diags *diags)
{
    size_t n = strlen(file);
    Diag d = {.pos = {.file = arena_strdup(a, file)}, .text = arena_strdup(a, err->text)};
    if (strncmp(err->text, file, n) == 0 && err->text[n] == ':') {
        d.pos.line = (uint32_t)strtoul(err->text + n + 1, NULL, 10);
    } else {
        d.text = arena_printf(a, "%s: %s", file, err->text);
    }
    VEC_PUSH(diags, d);
}

Suite *lua_suite_load(Arena *arena, const char *file, const char *text, size_t n, Diags *diags)
{
    Err err = {0};
    if (n > NODE_MAX_BYTES || memchr(text, 0, n)) {
        err_set(&err, ERR_INVAL, n > NODE_MAX_BYTES ? "file is larger than 4 MiB" : "file has a 0 byte");
        add_diag(arena, file, &err, diags);
        return NULL;
    }
    static const LuaLimits limits = {.max_insns = 50 * 1000 * 1000};
    Sandbox *s = sandbox_new(NULL, &limits, file, arena);
    if (!s) {
        err_set(&err, ERR_NOMEM, "out of memory");
        add_diag(arena, file, &err, diags);
        return NULL;
    }
    Suite *suite = NULL;
    if (run_file(s, text, n, -1, &err) != 0) {
        add_diag(arena, file, &err, diags);
    } else if (s->suite.nodes.n == 0) {
        err_set(&err, ERR_INVAL, "the file calls scenario{} nowhere");
        add_diag(arena, file, &err, diags);
    } else {
        suite = suite_from_node(arena, s->file, make_root(arena, s->file, s, arena_strndup(arena, text, n)), diags);
    }
    sandbox_free(s);
    return suite;
}
