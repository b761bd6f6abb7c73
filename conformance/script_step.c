/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <string.h>

/* A script's step is typed as a file's, in the world of its case. What a script has said and saved before is not known
 * here, so names that no file shows are left to the run. */
typedef struct {
    Diags diags;
    Loader l;
    Case c; /* a copy: needs that a step adds are the planner's no more */
    Vars env;
    Typer t;
} ScriptTyper;

static void script_start(ScriptTyper *s, Arena *arena, const Case *c)
{
    *s = (ScriptTyper){.l = {.arena = arena, .file = "(script)", .diags = &s->diags, .is_open = true}, .c = *c};
    const Node *root = c->suite ? c->suite->root : NULL;
    s->l.routines = node_get(root, "routines");
    s->l.routines_used = arena_alloc(arena, s->l.routines ? s->l.routines->n : 1);
    s->env.items = arena_alloc(arena, c->nbindings * sizeof *s->env.items);
    s->env.n = c->nbindings;
    for (size_t i = 0; i < c->nbindings; i++) {
        s->env.items[i] = (Var){.name = c->bindings[i].name, .value = c->bindings[i].value};
    }
    s->t = (Typer){.l = &s->l, .c = &s->c, .env = &s->env};
    s->t.run = (RunStep){.insns = UINT64_MAX,
                         .ignore = 1ull << EXIT_nothing | 1ull << EXIT_external_interrupt | 1ull << EXIT_preempt_timer};
}

/* The first mistake becomes the error. */
static int script_end(ScriptTyper *s, Err *err)
{
    int rc = 0;
    if (s->l.nerrors) {
        diags_finish(&s->l);
        rc = err_set(err, ERR_INVAL, "%s", s->diags.n ? s->diags.items[0].text : "not understood");
    }
    VEC_FREE(&s->diags);
    VEC_FREE(&s->t.captures);
    VEC_FREE(&s->t.saves);
    VEC_FREE(&s->t.uses);
    VEC_FREE(&s->t.labels);
    return rc;
}

/* {kind_name: value} with the modifiers beside it. */
static const Node *step_map(Arena *a, const char *kind_name, const Node *value, const Node *modifiers)
{
    size_t n = modifiers && modifiers->kind == NODE_MAP ? modifiers->n : 0;
    Node *map = arena_alloc(a, sizeof *map), *key = arena_alloc(a, sizeof *key);
    *key = (Node){.kind = NODE_SCALAR, .is_plain = true, .pos = value->pos, .text = arena_strdup(a, kind_name)};
    *map = (Node){.kind = NODE_MAP, .pos = value->pos, .n = n + 1};
    map->keys = arena_alloc(a, (n + 1) * sizeof *map->keys);
    map->items = arena_alloc(a, (n + 1) * sizeof *map->items);
    map->keys[0] = key;
    map->items[0] = (Node *)value;
    for (size_t i = 0; i < n; i++) {
        map->keys[i + 1] = modifiers->keys[i];
        map->items[i + 1] = modifiers->items[i];
    }
    return map;
}

const Step *case_step_from(Arena *arena, const Case *c, const char *kind_name, const Node *value, const Node *modifiers,
                           Err *err)
{
    ScriptTyper s;
    script_start(&s, arena, c);
    Expander x = {&s.l, c->guest, &s.env, false};
    const Node *map = expand(&x, step_map(arena, kind_name, value, modifiers), "steps");
    Step *step = arena_alloc(arena, sizeof *step);
    if (!key_find(SCOPE_step, kind_name) || !strcmp(kind_name, "do")) {
        say(&s.l, value->pos, "`%.40s` is no step of a script", kind_name);
    } else if (map) {
        type_step(&s.t, map, step);
    }
    return script_end(&s, err) ? NULL : step;
}

const Matcher *case_matcher_from(Arena *arena, const Case *c, const Node *value, Err *err)
{
    ScriptTyper s;
    script_start(&s, arena, c);
    Expander x = {&s.l, c->guest, &s.env, false};
    const Node *n = expand(&x, value, "regs");
    /* What it is compared with is not known yet: text matchers and quoted text mean text, everything else numbers. */
    static const Spec number = {FIELD_TYPE_int, 64, "a value"}, text = {FIELD_TYPE_text, 0, "a value"};
    bool is_text = n && ((n->kind == NODE_SCALAR && !n->is_plain) || node_get(n, "has") || node_get(n, "lacks") ||
                         node_get(n, "match"));
    Matcher *m = arena_alloc(arena, sizeof *m);
    if (n) {
        type_matcher(&s.t, n, is_text ? &text : &number, m);
    } else {
        say(&s.l, value->pos, "no value for %s", guest_name(c->guest));
    }
    return script_end(&s, err) ? NULL : m;
}
