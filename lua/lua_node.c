/* SPDX-License-Identifier: Apache-2.0
 * Lua tables -> Nodes, and back for `row`.
 *
 * A table with the keys 1..n is a list; one with names (or integers: addresses) is a map, its names in alphabetical
 * order, as Lua knows no other. Integers are 64-bit two's complement: negative ones keep their minus, so that they fit
 * narrow fields. Texts that look like words count as words, and $names as names, as without quotes in YAML. Metatables
 * are not looked at. Cycles end at the depth limit, shared tables that fan out at the node limit. */
#include "lua/sandbox.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    lua_State *L;
    Arena *arena;
    Pos pos;
    size_t nnodes, nbytes;
} Maker;

static Node *make_node(Maker *m, int index, int depth);

_Noreturn static void refuse(Maker *m, const char *text)
{
    luaL_error(m->L, "%s", text);
    __builtin_unreachable();
}

static Node *new_node(Maker *m, NodeKind kind)
{
    if (++m->nnodes > SANDBOX_MAX_NODES) {
        refuse(m, "table has too many values to be a step");
    }
    Node *n = arena_alloc(m->arena, sizeof *n);
    n->kind = kind;
    n->pos = m->pos;
    return n;
}

static char *keep_text(Maker *m, const char *text, size_t n)
{
    m->nbytes += n;
    if (m->nbytes > NODE_MAX_BYTES) {
        refuse(m, "table has too much text to be a step");
    }
    if (memchr(text, 0, n)) {
        refuse(m, "text with a 0 byte has no meaning here; write bytes as a list of u8");
    }
    return arena_strndup(m->arena, text, n);
}

static Node *make_number(Maker *m, int index)
{
    lua_State *L = m->L;
    lua_Integer v;
    if (lua_isinteger(L, index)) {
        v = lua_tointeger(L, index);
    } else if (!lua_numbertointeger(lua_tonumber(L, index), &v) || (lua_Number)v != lua_tonumber(L, index)) {
        refuse(m, "only integers of 64 bits have a meaning here");
    }
    Node *n = new_node(m, NODE_SCALAR);
    n->is_plain = true;
    n->text =
        v < 0 ? arena_printf(m->arena, "%" PRId64, (int64_t)v) : arena_printf(m->arena, "0x%" PRIx64, (uint64_t)v);
    return n;
}

/* As if written without quotes: a word, a $name, a size or a time ("4K", "10ms"). What would be a number, null or a truth value there stays a text. */
static bool is_word(const char *text)
{
    static const char *const others[] = {"null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (strcmp(text, others[i]) == 0) {
            return false;
        }
    }
    size_t n = strlen(text);
    bool is_measure = n && isdigit((unsigned char)text[0]) && strchr("KMGs", text[n - 1]);
    return is_measure || text[0] == '$' || isalpha((unsigned char)text[0]) || text[0] == '_';
}

static Node *make_text(Maker *m, int index)
{
    size_t n;
    const char *text = lua_tolstring(m->L, index, &n);
    Node *node = new_node(m, NODE_SCALAR);
    node->text = keep_text(m, text, n);
    node->is_plain = is_word(node->text);
    return node;
}

static Node *make_list(Maker *m, int index, size_t n, int depth)
{
    lua_State *L = m->L;
    Node *list = new_node(m, NODE_SEQ);
    list->items = arena_alloc(m->arena, n * sizeof(Node *));
    list->n = n;
    for (size_t i = 0; i < n; i++) {
        if (lua_rawgeti(L, index, (lua_Integer)i + 1) == LUA_TNIL) {
            refuse(m, "list with holes, or list and map in one table");
        }
        list->items[i] = make_node(m, lua_gettop(L), depth + 1);
        lua_pop(L, 1);
    }
    return list;
}

static Node *make_key(Maker *m, int index)
{
    if (lua_type(m->L, index) == LUA_TSTRING) {
        Node *key = make_text(m, index);
        key->is_plain = true;
        return key;
    }
    if (lua_isinteger(m->L, index)) {
        return make_number(m, index);
    }
    refuse(m, "keys of a table are names or integers");
}

typedef struct {
    Node *key, *item;
} Entry;

static int entry_compare(const void *a, const void *b)
{
    return strcmp(((const Entry *)a)->key->text, ((const Entry *)b)->key->text);
}

static Node *make_map(Maker *m, int index, size_t n, int depth)
{
    lua_State *L = m->L;
    Node *map = new_node(m, NODE_MAP);
    Entry *entries = arena_alloc(m->arena, n * sizeof *entries);
    size_t i = 0;
    lua_pushnil(L);
    while (i < n && lua_next(L, index)) {
        int value = lua_gettop(L);
        entries[i].key = make_key(m, value - 1);
        entries[i++].item = make_node(m, value, depth + 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1); /* the last key, or nil where there is none */
    qsort(entries, n, sizeof *entries, entry_compare);
    map->keys = arena_alloc(m->arena, n * sizeof(Node *));
    map->items = arena_alloc(m->arena, n * sizeof(Node *));
    map->n = n;
    for (i = 0; i < n; i++) {
        if (i > 0 && strcmp(entries[i].key->text, entries[i - 1].key->text) == 0) {
            refuse(m, "the same key twice, as a name and as an integer");
        }
        map->keys[i] = entries[i].key;
        map->items[i] = entries[i].item;
    }
    return map;
}

static Node *make_table(Maker *m, int index, int depth)
{
    lua_State *L = m->L;
    if (depth > NODE_MAX_DEPTH - 2) {
        refuse(m, "table nests too deep, or holds itself");
    }
    luaL_checkstack(L, 6, "tables nest too deep");
    size_t n = 0, length = lua_rawlen(L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        n++;
        lua_pop(L, 1);
    }
    if (n > SANDBOX_MAX_NODES) {
        refuse(m, "table has too many values to be a step");
    }
    if (length == n && n > 0) {
        return make_list(m, index, n, depth);
    }
    if (length > 0) {
        refuse(m, "list with holes, or list and map in one table");
    }
    return make_map(m, index, n, depth);
}

static Node *make_node(Maker *m, int index, int depth)
{
    switch (lua_type(m->L, index)) {
    case LUA_TNUMBER:
        return make_number(m, index);
    case LUA_TSTRING:
        return make_text(m, index);
    case LUA_TBOOLEAN: {
        Node *n = new_node(m, NODE_SCALAR);
        n->is_plain = true;
        n->text = lua_toboolean(m->L, index) ? "true" : "false";
        return n;
    }
    case LUA_TTABLE:
        return make_table(m, index, depth);
    default:
        luaL_error(m->L, "a %s has no meaning here", luaL_typename(m->L, index));
        return NULL;
    }
}

const Node *sandbox_node(lua_State *L, int index, Pos pos)
{
    Maker m = {.L = L, .arena = sandbox_of(L)->arena, .pos = pos};
    sandbox_arena_check(L);
    Node *n = make_node(&m, lua_absindex(L, index), 0);
    sandbox_charge(L, m.nnodes * 4 + m.nbytes / 32);
    return n;
}

/* ---- and back ---- */
static void push_scalar(lua_State *L, const Node *n, const Names *names)
{
    uint64_t value;
    if (node_is_null(n)) {
        lua_pushnil(L);
    } else if (n->is_plain && (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0)) {
        lua_pushboolean(L, n->text[0] == 't');
    } else if (n->is_plain && expr_eval(n->text, names, &value, NULL) == 0) {
        lua_pushinteger(L, (lua_Integer)value);
    } else {
        lua_pushstring(L, n->text);
    }
}

/* A map by guest gives its value for this guest. */
static const Node *for_guest(const Node *n, GuestId guest)
{
    if (n->kind != NODE_MAP || n->n == 0) {
        return n;
    }
    for (size_t i = 0; i < n->n; i++) {
        if (guest_find(n->keys[i]->text) == 0) {
            return n;
        }
    }
    return node_get(n, guest_name(guest));
}

void sandbox_push_node(lua_State *L, const Node *n, const Names *names, GuestId guest)
{
    luaL_checkstack(L, 4, "values nest too deep");
    n = n ? for_guest(n, guest) : NULL;
    if (!n) {
        lua_pushnil(L);
        return;
    }
    if (n->kind == NODE_SCALAR) {
        push_scalar(L, n, names);
        return;
    }
    lua_createtable(L, 0, 0);
    for (size_t i = 0; i < n->n; i++) {
        sandbox_push_node(L, n->items[i], names, guest);
        if (n->kind == NODE_SEQ) {
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        } else {
            lua_setfield(L, -2, n->keys[i]->text);
        }
    }
}
