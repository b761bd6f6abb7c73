/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <ctype.h>
#include <string.h>

const Var *env_find(const Vars *env, const char *name)
{
    /* The last one wins: a `let` may not repeat a column, so there is only one; a script's bindings come in order. */
    for (size_t i = env ? env->n : 0; i-- > 0;) {
        if (!strcmp(env->items[i].name, name)) {
            return &env->items[i];
        }
    }
    return NULL;
}

bool is_name(const char *text)
{
    if (!isalpha((unsigned char)*text) && *text != '_') {
        return false;
    }
    for (const char *p = text; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_') {
            return false;
        }
    }
    return true;
}

bool is_guest_map(const Node *n)
{
    if (n->kind != NODE_MAP || !n->n) {
        return false;
    }
    for (size_t i = 0; i < n->n; i++) {
        if (!guest_find(n->keys[i]->text)) {
            return false;
        }
    }
    return true;
}

/* A map of guests and others: one of its keys is a guest misspelt. True: said. */
static bool say_mixed(Expander *x, const Node *n)
{
    bool has_guest = false;
    for (size_t i = 0; i < n->n; i++) {
        has_guest |= guest_find(n->keys[i]->text) != 0;
    }
    for (size_t i = 0; has_guest && i < n->n; i++) {
        if (guest_find(n->keys[i]->text)) {
            continue;
        }
        Near near = near_start(n->keys[i]->text);
        for (unsigned g = 1; g < GUEST_COUNT; g++) {
            near_try(&near, guest_name((GuestId)g));
        }
        say(x->l, n->keys[i]->pos, "`%.60s` is no guest%s Guests: riscv64 aarch64 x86_64", n->keys[i]->text,
            near.best ? meant(x->l, &near) : ".");
    }
    return has_guest;
}

/* Where a key may be left out on a guest: fields of an exit, registers, addresses of memory, `at`. */
static bool may_be_absent(const char *map_key, const char *key)
{
    static const char *const maps[] = {"regs", "set", "memory", "write", "let", "scenario"};
    if (key && !strcmp(key, "at")) {
        return true;
    }
    for (size_t i = 0; map_key && i < ARRAY_LEN(maps); i++) {
        if (!strcmp(map_key, maps[i])) {
            return true;
        }
    }
    return map_key && head_find(map_key) >= 0;
}

static size_t name_length(const char *p)
{
    size_t n = 0;
    while (isalpha((unsigned char)p[n]) || p[n] == '_' || (n && isdigit((unsigned char)p[n]))) {
        n++;
    }
    return n;
}

static const Var *var_at(const Expander *x, const char *p, size_t n)
{
    char name[128];
    if (!n || n >= sizeof name) {
        return NULL;
    }
    memcpy(name, p, n);
    name[n] = 0;
    const Var *v = env_find(x->env, name);
    if (v && v->is_used) {
        *v->is_used = true;
    }
    return v;
}

static const char *arena_text(Expander *x, Pos pos, Buf *b)
{
    const char *text = arena_has_room(x->l, pos) ? arena_strdup(x->l->arena, buf_text(b)) : "";
    buf_free(b);
    return text;
}

/* "$dev + $off" with off = 8: "$dev + (8)". */
static const Node *expand_expr(Expander *x, const Node *n)
{
    Buf b = {0};
    bool is_changed = false;
    for (const char *p = n->text; *p;) {
        size_t len = *p == '$' ? name_length(p + 1) : 0;
        const Var *v = len ? var_at(x, p + 1, len) : NULL;
        if (!v) {
            buf_char(&b, *p++);
            continue;
        }
        p += len + 1;
        is_changed = true;
        if (!v->value || v->value->kind != NODE_SCALAR || b.n > NODE_MAX_BYTES) {
            buf_free(&b);
            if (v->value) {
                say(x->l, n->pos, "`$%s` is %s: an expression takes numbers", v->name, kind_shown(v->value));
                return n;
            }
            return NULL;
        }
        buf_printf(&b, "(%s)", v->value->text);
    }
    if (!is_changed) {
        buf_free(&b);
        return n;
    }
    Node *copy = arena_alloc(x->l->arena, sizeof *copy);
    *copy = *n;
    copy->text = arena_text(x, n->pos, &b);
    return copy;
}

static const Node *expand_scalar(Expander *x, const Node *n)
{
    if (!n->is_plain || !strchr(n->text, '$')) {
        return n;
    }
    if (n->text[0] == '$' && is_name(n->text + 1)) {
        const Var *v = var_at(x, n->text + 1, strlen(n->text + 1));
        return v ? v->value : n;
    }
    return expand_expr(x, n);
}

static const Node *expand_guest_map(Expander *x, const Node *n, const char *key)
{
    const Node *value = node_get(n, guest_name(x->guest));
    return value ? expand(x, value, key) : NULL;
}

void say_absent(Expander *x, const Node *n)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the items of a sequence or map are never NULL */
    say(x->l, n->pos, "no value for %s: only a field, a register or `at` may be left out on a guest",
        guest_name(x->guest));
}

static const Node *expand_seq(Expander *x, const Node *n, const char *key)
{
    Node **items = NULL;
    for (size_t i = 0; i < n->n && !x->l->is_full; i++) {
        const Node *item = expand(x, n->items[i], key);
        if (!item) {
            say_absent(x, n->items[i]);
            item = n->items[i];
        }
        if (item != n->items[i] && !items) {
            items = arena_alloc(x->l->arena, n->n * sizeof *items);
            memcpy(items, n->items, n->n * sizeof *items);
        }
        if (items) {
            items[i] = (Node *)item;
        }
    }
    if (!items) {
        return n;
    }
    Node *copy = arena_alloc(x->l->arena, sizeof *copy);
    *copy = *n;
    copy->items = items;
    return copy;
}

static const Node *expand_entry(Expander *x, const Node *n, size_t i, const char *map_key, const Node **key)
{
    *key = expand_scalar(x, n->keys[i]);
    if (!*key || (*key)->kind != NODE_SCALAR) {
        if (*key) {
            say(x->l, n->keys[i]->pos, "`%.60s` is %s: a key is one word", n->keys[i]->text, kind_shown(*key));
        }
        return NULL;
    }
    const Node *value = expand(x, n->items[i], (*key)->text);
    if (!value && !may_be_absent(map_key, n->keys[i]->text)) {
        say_absent(x, n->items[i]);
        return n->items[i]; /* of its type nothing is said then, as that is the same place */
    }
    return value;
}

static const Node *expand_map(Expander *x, const Node *n, const char *key)
{
    if (say_mixed(x, n)) {
        return expand_guest_map(x, n, key);
    }
    Node *copy = arena_alloc(x->l->arena, sizeof *copy);
    *copy = *n;
    copy->n = 0;
    copy->items = arena_alloc(x->l->arena, n->n * sizeof *copy->items);
    copy->keys = arena_alloc(x->l->arena, n->n * sizeof *copy->keys);
    bool is_changed = false;
    for (size_t i = 0; i < n->n && !x->l->is_full; i++) {
        const Node *k = NULL, *value = expand_entry(x, n, i, key, &k);
        is_changed |= k != n->keys[i] || value != n->items[i];
        if (value) {
            copy->keys[copy->n] = (Node *)k;
            copy->items[copy->n++] = (Node *)value;
        }
    }
    return is_changed ? copy : n;
}

const Node *expand(Expander *x, const Node *n, const char *key)
{
    if (++x->l->work > MAX_WORK) {
        say_limit(x->l, n->pos, "the suite unfolds to more than %d nodes", MAX_WORK);
    }
    if (x->l->is_full) {
        return n;
    }
    switch (n->kind) {
    case NODE_SCALAR:
        return expand_scalar(x, n);
    case NODE_SEQ:
        return expand_seq(x, n, key);
    case NODE_MAP:
        return is_guest_map(n) ? expand_guest_map(x, n, key) : expand_map(x, n, key);
    }
    return n;
}

/* ---- ${x} ---- */

static void say_unknown_paste(Expander *x, Pos pos, const char *p, size_t n)
{
    char name[64];
    size_t len = n < sizeof name - 1 ? n : sizeof name - 1;
    memcpy(name, p, len);
    name[len] = 0;
    Near near = near_start(name);
    for (size_t i = 0; x->env && i < x->env->n; i++) {
        near_try(&near, x->env->items[i].name);
    }
    say(x->l, pos, "`${%s}`: no column and no `let` of that name%s", name, meant(x->l, &near));
}

/* One `${x}` or, in braces, `$x` at p: appends its text. Returns what was read; 0: nothing of the kind. */
static size_t paste_one(Expander *x, Pos pos, const char *p, bool in_braces, Buf *b)
{
    bool is_paste = p[1] == '{';
    size_t len = name_length(p + 1 + is_paste);
    if (!len || (is_paste && p[2 + len] != '}') || (!is_paste && !in_braces)) {
        return 0;
    }
    const Var *v = var_at(x, p + 1 + is_paste, len);
    if (!v && is_paste) {
        say_unknown_paste(x, pos, p + 2, len);
    }
    if (!v) {
        return is_paste ? len + 3 : 0;
    }
    if (!v->value) {
        x->is_absent = true;
    } else if (v->value->kind != NODE_SCALAR) {
        say(x->l, pos, "`%s` is %s: only words, numbers and text can be pasted", v->name, kind_shown(v->value));
    } else if (is_paste) {
        /* `$rom + 8` is `rom + 8` to an assembler: the same name, as a symbol */
        for (const char *s = v->value->text; *s; s++) {
            if (!v->value->is_plain || *s != '$') {
                buf_char(b, *s);
            }
        }
    } else {
        buf_printf(b, "(%s)", v->value->text);
    }
    return len + 1 + (is_paste ? 2 : 0);
}

const char *expand_paste(Expander *x, const Node *n, bool braces)
{
    if (!strchr(n->text, '$')) {
        return n->text;
    }
    Buf b = {0};
    bool in_braces = false;
    Pos pos = n->pos;
    for (const char *p = n->text; *p && b.n <= NODE_MAX_BYTES;) {
        if (*p == '\n') {
            pos.line += n->is_block;
        }
        size_t len = *p == '$' ? paste_one(x, pos, p, in_braces, &b) : 0;
        if (len) {
            p += len;
            continue;
        }
        in_braces = braces && (*p == '{' || (in_braces && *p != '}'));
        len = 1 + strcspn(p + 1, "$\n{}");
        buf_bytes(&b, p, len);
        p += len;
    }
    if (b.n > NODE_MAX_BYTES) {
        say_limit(x->l, n->pos, "pasted text of more than %d bytes", NODE_MAX_BYTES);
    }
    return arena_text(x, n->pos, &b);
}
