/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <string.h>

static bool is_number(const Spec *spec)
{
    return spec->type == FIELD_TYPE_int || spec->type == FIELD_TYPE_size;
}

static uint64_t greatest(const Spec *spec)
{
    return spec->bits >= 64 || !spec->bits ? UINT64_MAX : ((uint64_t)1 << spec->bits) - 1;
}

static void capture(Typer *t, const Node *n, Matcher *out)
{
    const char *name = type_text(t, n, "`as`");
    if (!name) {
        return;
    }
    if (!is_name(name)) {
        say(t->l, n->pos, "a capture is named by letters, digits and _, got `%.60s`", name);
        return;
    }
    out->as = name;
    for (size_t i = 0; i < t->captures.n; i++) {
        if (!strcmp(t->captures.items[i].name, name)) {
            return;
        }
    }
    if (t->captures.n >= MAX_NAMES) {
        say(t->l, n->pos, "more than %d captures", MAX_NAMES);
        return;
    }
    VEC_PUSH(&t->captures, (Named){.name = name, .pos = n->pos});
}

static bool needs_number(Typer *t, const Node *key, const Spec *spec)
{
    if (is_number(spec)) {
        return true;
    }
    say(t->l, key->pos, "`%s` compares numbers; %s is none", key->text, spec->what);
    return false;
}

static bool needs_text(Typer *t, const Node *key, const Spec *spec)
{
    if (spec->type == FIELD_TYPE_text) {
        return true;
    }
    say(t->l, key->pos, "`%s` compares text; %s is none", key->text, spec->what);
    return false;
}

static bool match_in(Typer *t, const Node *n, const Spec *spec, Matcher *out)
{
    if (!is_list(t->l, n, "`in`")) {
        return false;
    }
    if (n->n < 2) {
        say(t->l, n->pos, "`in` of one: write the value itself");
        return false;
    }
    Value *items = typed(t, n->n, sizeof *items);
    bool ok = true;
    for (size_t i = 0; i < n->n; i++) {
        ok &= type_scalar(t, n->items[i], spec, &items[i]);
        for (size_t k = 0; ok && k < i && i < MAX_NAMES; k++) {
            if (items[k].kind == VALUE_INT && items[i].kind == VALUE_INT && items[k].n == items[i].n) {
                say(t->l, n->items[i]->pos, "`%.60s` twice", n->items[i]->text);
            }
        }
    }
    out->items = items;
    out->n = n->n;
    return ok;
}

static bool match_range(Typer *t, const Node *n, const Spec *spec, Matcher *out)
{
    if (n->kind != NODE_SEQ || n->n != 2) {
        say(t->l, n->pos, "`range` is [least, greatest]");
        return false;
    }
    if (!type_scalar(t, n->items[0], spec, &out->a) || !type_scalar(t, n->items[1], spec, &out->b)) {
        return false;
    }
    if (out->a.kind != VALUE_INT || out->b.kind != VALUE_INT) {
        return true;
    }
    uint64_t top = greatest(spec), a = out->a.n & top, b = out->b.n & top;
    if (a > b) {
        say(t->l, n->pos, "an empty range: %.40s is above %.40s", n->items[0]->text, n->items[1]->text);
    } else if (!a && b == top) {
        say(t->l, n->pos, "the full range checks nothing");
    } else if (a == b) {
        say(t->l, n->pos, "a range of one: write the value itself");
    } else {
        return true;
    }
    return false;
}

static bool match_bound(Typer *t, const Node *n, const Spec *spec, Matcher *out)
{
    if (!type_scalar(t, n, spec, &out->a)) {
        return false;
    }
    uint64_t always = out->kind == MATCH_ge ? 0 : greatest(spec);
    if (out->a.kind == VALUE_INT && (out->a.n & greatest(spec)) == always) {
        say(t->l, n->pos, "`%s: %.40s` always holds: it checks nothing", out->kind == MATCH_ge ? "ge" : "le", n->text);
        return false;
    }
    return true;
}

static bool match_mask(Typer *t, const Node *map, const Node *n, const Spec *spec, Matcher *out)
{
    const Node *is = node_get(map, "is");
    if (!is) {
        say(t->l, n->pos, "`mask` needs `is`: {mask: 0xff, is: 3}");
        return false;
    }
    if (!type_scalar(t, n, spec, &out->a) || !type_scalar(t, is, spec, &out->b)) {
        return false;
    }
    if (out->a.kind != VALUE_INT) {
        return true;
    }
    if (!out->a.n) {
        say(t->l, n->pos, "`mask: 0` checks nothing");
        return false;
    }
    if (out->b.kind == VALUE_INT && (out->b.n & ~out->a.n)) {
        say(t->l, is->pos, "%.40s has bits outside the mask %.40s: it can never hold", is->text, n->text);
        return false;
    }
    return true;
}

/* Does the Lua pattern match the empty text? The obvious ways: each item may be absent (* - ?), anchors, captures. Text
 * is searched, so such a pattern matches any text. */
static bool matches_nothing(const char *p)
{
    p += *p == '^';
    while (*p) {
        if (*p == '(' || *p == ')' || (*p == '$' && !p[1])) {
            p++;
            continue;
        }
        if (*p == '%' && p[1] == 'f') { /* a frontier takes no character, but asks for one */
            return false;
        }
        if (*p == '[') {
            p += 1 + (p[1] == '^');
            p += *p == ']';
            while (*p && *p != ']') {
                p += *p == '%' && p[1] ? 2 : 1;
            }
            p += *p == ']';
        } else {
            p += *p == '%' && p[1] ? 2 : 1;
        }
        if (*p != '*' && *p != '-' && *p != '?') {
            return false;
        }
        p++;
    }
    return true;
}

static bool match_text(Typer *t, const Node *key, const Node *n, const Spec *spec, Matcher *out)
{
    if (!needs_text(t, key, spec)) {
        return false;
    }
    const char *text = type_text(t, n, arena_printf(t->l->arena, "`%s`", key->text));
    if (!text) {
        return false;
    }
    out->a = (Value){.kind = VALUE_TEXT, .pos = n->pos, .text = text};
    if (out->kind == MATCH_match && matches_nothing(text)) {
        say(t->l, n->pos, "the pattern matches any text: it checks nothing");
        return false;
    }
    return true;
}

static bool match_not(Typer *t, const Node *n, const Spec *spec, Matcher *out)
{
    Matcher *sub = typed(t, 1, sizeof *sub);
    out->sub = sub;
    if (++t->depth > 16) {
        say(t->l, n->pos, "nested too deep");
        t->depth--;
        return false;
    }
    bool ok = type_matcher(t, n, spec, sub);
    t->depth--;
    if (ok && sub->kind == MATCH_any) {
        say(t->l, n->pos, "`not: {any: true}` can never hold");
        return false;
    }
    return ok;
}

static bool match_word(Typer *t, const Node *map, size_t i, const Spec *spec, Matcher *out)
{
    const Node *key = map->keys[i], *n = map->items[i];
    switch (out->kind) {
    case MATCH_not:
        return match_not(t, n, spec, out);
    case MATCH_in:
        return match_in(t, n, spec, out);
    case MATCH_range:
        return needs_number(t, key, spec) && match_range(t, n, spec, out);
    case MATCH_ge:
    case MATCH_le:
        return needs_number(t, key, spec) && match_bound(t, n, spec, out);
    case MATCH_mask:
        return needs_number(t, key, spec) && match_mask(t, map, n, spec, out);
    case MATCH_has:
    case MATCH_lacks:
    case MATCH_match:
        return match_text(t, key, n, spec, out);
    case MATCH_any:
        if (t->is_expect && !node_get(map, "as")) {
            say(t->l, key->pos, "`any` alone checks nothing in `expect`");
            return false;
        }
        return type_yes(t, n);
    case MATCH_eq:
    case MATCH_list:
    case MATCH_COUNT:
        break;
    }
    return false;
}

static MatchKind kind_of(const char *word)
{
#define X(name) #name,
    static const char *const names[] = {MATCHER_MAP(X)};
#undef X
    for (int i = 0; i < MATCH_COUNT; i++) {
        if (!strcmp(names[i], word)) {
            return (MatchKind)i;
        }
    }
    return MATCH_COUNT;
}

static bool match_map(Typer *t, const Node *map, const Spec *spec, Matcher *out)
{
    size_t before = t->l->nerrors, found = map->n;
    if (!keys_check(t->l, map, SCOPE_matcher) || t->l->nerrors != before) {
        return false;
    }
    for (size_t i = 0; i < map->n; i++) {
        const Node *key = map->keys[i];
        if (!strcmp(key->text, "as")) {
            capture(t, map->items[i], out);
        } else if (!strcmp(key->text, "is")) {
            if (!node_get(map, "mask")) {
                say(t->l, key->pos, "`is` belongs to `mask`: {mask: 0xff, is: 3}");
                return false;
            }
        } else if (found < map->n) {
            say(t->l, key->pos, "one matcher word, not two: `%s` is there already", map->keys[found]->text);
            return false;
        } else {
            found = i;
        }
    }
    if (found == map->n) {
        out->kind = MATCH_any; /* {as: x} */
        return t->l->nerrors == before;
    }
    out->kind = kind_of(map->keys[found]->text);
    return match_word(t, map, found, spec, out) && t->l->nerrors == before;
}

static bool match_list(Typer *t, const Node *n, const Spec *spec, Matcher *out)
{
    if (spec->type != FIELD_TYPE_bytes) {
        say(t->l, n->pos, "%s is one value, got %s%s", spec->what, kind_shown(n),
            n->n ? "; one of several is {in: [..]}" : "");
        return false;
    }
    if (!is_list(t->l, n, spec->what)) {
        return false;
    }
    Value *items = typed(t, n->n, sizeof *items);
    bool ok = true;
    for (size_t i = 0; i < n->n; i++) {
        ok &= type_int(t, n->items[i], 8, &items[i]);
    }
    out->kind = MATCH_list;
    out->items = items;
    out->n = n->n;
    return ok;
}

bool type_matcher(Typer *t, const Node *n, const Spec *spec, Matcher *out)
{
    *out = (Matcher){.kind = MATCH_eq, .pos = n->pos};
    switch (n->kind) {
    case NODE_SCALAR:
        return type_scalar(t, n, spec, &out->a);
    case NODE_SEQ:
        return match_list(t, n, spec, out);
    case NODE_MAP:
        return match_map(t, n, spec, out);
    }
    return false;
}

bool type_console(Typer *t, const Node *n, Matcher *out)
{
    static const Spec text = {FIELD_TYPE_text, 0, "the console"};
    if (word_is(n, "none")) {
        *out = (Matcher){.kind = MATCH_eq, .pos = n->pos, .a = {.kind = VALUE_TEXT, .pos = n->pos, .text = ""}};
        return true;
    }
    return type_matcher(t, n, &text, out);
}
