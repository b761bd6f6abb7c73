/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More are kept than shown, as they are found in another order than they stand in the file. */
enum { MAX_KEPT = 1000 };

static bool is_said(const Loader *l, Pos pos, const char *text)
{
    for (size_t i = 0; i < l->diags->n; i++) {
        const Diag *d = &l->diags->items[i];
        if (pos.line ? d->pos.line == pos.line && d->pos.col == pos.col : !strcmp(d->text, text)) {
            return true;
        }
    }
    return false;
}

static void add(Loader *l, Pos pos, const char *text)
{
    if (l->diags->n >= MAX_KEPT) {
        l->is_full = true;
    }
    l->nerrors++;
    if (l->is_full || is_said(l, pos, text)) {
        return;
    }
    if (pos.line) {
        text = arena_printf(l->arena, "%s:%u:%u: %s", pos.file, pos.line, pos.col, text);
    }
    VEC_PUSH(l->diags, (Diag){.pos = pos, .text = text});
}

/* Texts of the file are shown cut, so that a message stays a line. */
static void add_cut(Loader *l, Pos pos, const char *fmt, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, args);
    add(l, pos, arena_strdup(l->arena, text));
}

void say(Loader *l, Pos pos, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_cut(l, pos, fmt, args);
    va_end(args);
}

void say_limit(Loader *l, Pos pos, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_cut(l, pos, fmt, args);
    va_end(args);
    l->is_full = true;
}

static int by_place(const void *a, const void *b)
{
    const Diag *x = a, *y = b;
    if (x->pos.line != y->pos.line) {
        return x->pos.line < y->pos.line ? -1 : 1;
    }
    return x->pos.col < y->pos.col ? -1 : x->pos.col > y->pos.col;
}

void diags_finish(Loader *l)
{
    if (l->diags->n) {
        qsort(l->diags->items, l->diags->n, sizeof *l->diags->items, by_place);
    }
    if (l->diags->n > MAX_DIAGS) {
        l->diags->n = MAX_DIAGS;
    }
}

const char *meant(Loader *l, const Near *n)
{
    return n->best ? arena_printf(l->arena, "; did you mean `%s`?", n->best) : "";
}

const char *kind_shown(const Node *n)
{
    if (!n || node_is_null(n)) {
        return "nothing";
    }
    switch (n->kind) {
    case NODE_SCALAR:
        return n->is_plain ? "a word" : "text";
    case NODE_SEQ:
        return n->n ? "a list" : "an empty list";
    case NODE_MAP:
        return n->n ? "a map" : "an empty map";
    }
    return "?";
}

bool is_few(Loader *l, const Node *n, size_t most, const char *what)
{
    if (n->n > most) {
        say(l, n->pos, "%s has %zu entries: at most %zu", what, n->n, most);
    }
    return n->n <= most;
}

bool is_map(Loader *l, const Node *n, const char *what)
{
    if (n->kind == NODE_MAP && n->n) {
        return is_few(l, n, MAX_ITEMS, what);
    }
    if (n->kind == NODE_MAP) {
        say(l, n->pos, "%s is empty", what);
    } else {
        say(l, n->pos, "%s must be a map, got %s", what, kind_shown(n));
    }
    return false;
}

bool is_list(Loader *l, const Node *n, const char *what)
{
    if (n->kind == NODE_SEQ && n->n) {
        return is_few(l, n, MAX_ITEMS, what);
    }
    if (n->kind == NODE_SEQ) {
        say(l, n->pos, "%s is empty", what);
    } else {
        say(l, n->pos, "%s must be a list, got %s", what, kind_shown(n));
    }
    return false;
}

static const char *keys_of(Loader *l, Scope scope, Near *near)
{
    Buf list = {0};
    size_t n = 0;
    const KeyInfo *keys = key_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (keys[i].scope == scope) {
            buf_printf(&list, " %s", keys[i].name);
            near_try(near, keys[i].name);
        }
    }
    const char *text = arena_strdup(l->arena, buf_text(&list));
    buf_free(&list);
    return text;
}

bool keys_check(Loader *l, const Node *map, Scope scope)
{
    if (!is_map(l, map, scope_shown(scope))) {
        return false;
    }
    for (size_t i = 0; i < map->n && !l->is_full; i++) {
        const char *key = map->keys[i]->text;
        if (key_find(scope, key) || (scope == SCOPE_suite && !strncmp(key, "x-", 2))) {
            continue;
        }
        Near near = near_start(key);
        const char *list = keys_of(l, scope, &near);
        say(l, map->keys[i]->pos, "`%.60s` is no key of %s%s Keys:%s", key, scope_shown(scope),
            near.best ? meant(l, &near) : ".", list);
    }
    return true;
}

bool arena_has_room(Loader *l, Pos pos)
{
    if (arena_bytes(l->arena) > MAX_ARENA) {
        say_limit(l, pos, "the suite unfolds to more than %d MiB", MAX_ARENA >> 20);
    }
    return !l->is_full;
}
