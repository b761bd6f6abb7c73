/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <stdlib.h>
#include <string.h>

const LifeModel *case_model(const Case *c)
{
    return c->lifecycle ? c->lifecycle : &life_virtualcpu;
}

/* ---- registers ---- */

static const RegInfo *say_reg(Typer *t, const Node *key, const char *name)
{
    const char *near = reg_nearest(t->c->guest, name);
    say(t->l, key->pos, "%s has no register `%.60s`%s", guest_name(t->c->guest), name,
        near ? arena_printf(t->l->arena, "; did you mean `%s`?", near) : "");
    return NULL;
}

const RegInfo *type_reg(Typer *t, const Node *key, int vcpu, uint8_t *vcpu_out)
{
    const RegInfo *reg = reg_find(t->c->guest, key->text);
    *vcpu_out = (uint8_t)(vcpu > 0 ? vcpu : 0);
    if (reg) {
        if (vcpu < 0 && t->c->nvcpus > 1) {
            say(t->l, key->pos, "of which vcpu? Write %s.%s", t->c->vcpus[0].name, key->text);
        }
        return reg;
    }
    const char *dot = strchr(key->text, '.');
    for (size_t i = 0; dot && i < t->c->nvcpus; i++) {
        size_t n = strlen(t->c->vcpus[i].name);
        if (n == (size_t)(dot - key->text) && !strncmp(t->c->vcpus[i].name, key->text, n)) {
            *vcpu_out = (uint8_t)i;
            reg = reg_find(t->c->guest, dot + 1);
            return reg ? reg : say_reg(t, key, dot + 1);
        }
    }
    return say_reg(t, key, key->text);
}

/* The bytes of a register of more than 8, low first: a list of them, or typed as memory is. */
static const uint8_t *wide_bytes(Typer *t, const Node *n, size_t size)
{
    uint8_t *bytes = typed(t, size, 1);
    Contents c = {.unit_bytes = 1, .units = (const Node *const *)n->items, .n = n->kind == NODE_SEQ ? n->n : 0};
    size_t before = t->l->nerrors;
    if (n->kind == NODE_MAP &&
        (!keys_check(t->l, n, SCOPE_bytes) || t->l->nerrors != before || !type_contents(t, n, &c))) {
        return NULL;
    }
    if (n->kind == NODE_SCALAR || c.n * c.unit_bytes + c.nbytes != size) {
        say(t->l, n->pos, "this register has %zu bytes: give all, low first, as {hex: ..} or {u64: [..]}", size);
        return NULL;
    }
    if (c.nbytes) {
        return c.bytes;
    }
    for (size_t i = 0; i < c.n; i++) {
        Value v;
        if (!type_int(t, c.units[i], c.unit_bytes * 8, &v)) {
            return NULL;
        }
        if (v.kind != VALUE_INT) {
            say(t->l, c.units[i]->pos, "a number, not an expression, in a register of %zu bytes", size);
            return NULL;
        }
        for (unsigned k = 0; k < c.unit_bytes; k++) {
            bytes[i * c.unit_bytes + k] = (uint8_t)(v.n >> (8 * k));
        }
    }
    return bytes;
}

/* As a matcher: the list of its bytes. */
static void wide_matcher(Typer *t, const Node *n, size_t size, Matcher *out)
{
    if (n->kind == NODE_MAP && n->n && key_find(SCOPE_matcher, n->keys[0]->text)) {
        say(t->l, n->pos, "a register of %zu bytes is compared whole: {hex: ..} or {u64: [..]}", size);
        return;
    }
    const uint8_t *bytes = wide_bytes(t, n, size);
    *out = (Matcher){.kind = MATCH_list, .pos = n->pos, .n = bytes ? size : 0};
    Value *items = typed(t, size, sizeof *items);
    for (size_t i = 0; bytes && i < size; i++) {
        items[i] = (Value){.kind = VALUE_INT, .pos = n->pos, .n = bytes[i]};
    }
    out->items = items;
}

bool type_regs_set(Typer *t, const Node *map, int vcpu, const RegSet **out, size_t *n)
{
    *n = 0;
    if (!is_map(t->l, map, "registers to set")) {
        return false;
    }
    RegSet *regs = typed(t, map->n, sizeof *regs);
    *out = regs;
    for (size_t i = 0; i < map->n && !t->l->is_full; i++) {
        uint8_t which = 0;
        const RegInfo *info = type_reg(t, map->keys[i], vcpu, &which);
        if (!info) {
            continue;
        }
        size_t size = REG_SIZE(info->id);
        RegSet *r = &regs[(*n)++];
        *r = (RegSet){.name = map->keys[i]->text, .vcpu = which, .reg = info->id, .pos = map->keys[i]->pos};
        if (size > 8) {
            r->bytes = wide_bytes(t, map->items[i], size);
        } else {
            type_int(t, map->items[i], (unsigned)size * 8, &r->value);
        }
    }
    return true;
}

static void check_regs(Typer *t, const Node *map, Check *c)
{
    if (!is_map(t->l, map, "`regs`")) {
        return;
    }
    RegCheck *regs = typed(t, map->n, sizeof *regs);
    c->regs = regs;
    for (size_t i = 0; i < map->n && !t->l->is_full; i++) {
        uint8_t vcpu = 0;
        const RegInfo *info = type_reg(t, map->keys[i], -1, &vcpu);
        if (!info) {
            continue;
        }
        size_t size = REG_SIZE(info->id);
        Spec spec = {FIELD_TYPE_int, (unsigned)(size > 8 ? 8 : size * 8), map->keys[i]->text};
        RegCheck *r = &regs[c->nregs++];
        *r = (RegCheck){.vcpu = vcpu, .reg = info->id, .name = map->keys[i]->text, .pos = map->keys[i]->pos};
        if (size <= 8) {
            type_matcher(t, map->items[i], &spec, &r->match);
        } else {
            wide_matcher(t, map->items[i], size, &r->match);
        }
    }
}

/* ---- memory ---- */

static bool check_units(Typer *t, const Contents *contents, MemCheck *m)
{
    Spec spec = {FIELD_TYPE_int, contents->unit_bytes * 8, "memory"};
    Matcher *items = typed(t, contents->n, sizeof *items);
    bool ok = true;
    for (size_t i = 0; i < contents->n; i++) {
        ok &= type_matcher(t, contents->units[i], &spec, &items[i]);
    }
    m->items = items;
    m->n = contents->n;
    m->unit_bytes = contents->unit_bytes;
    return ok;
}

static void check_memory(Typer *t, const Node *map, Check *c)
{
    if (!is_map(t->l, map, "`memory`")) {
        return;
    }
    MemCheck *list = typed(t, map->n, sizeof *list);
    c->memory = list;
    for (size_t i = 0; i < map->n && !t->l->is_full; i++) {
        const Node *value = map->items[i];
        MemCheck *m = &list[c->nmemory++];
        *m = (MemCheck){.pos = map->keys[i]->pos};
        type_int(t, map->keys[i], 64, &m->addr);
        Contents contents = {.unit_bytes = 8, .units = &value, .n = 1};
        size_t before = t->l->nerrors;
        bool is_typed = value->kind == NODE_MAP && (!value->n || !key_find(SCOPE_matcher, value->keys[0]->text));
        if (value->kind == NODE_SEQ) {
            say(t->l, value->pos, "of what width? Write {u64: [..]} or u8, u16, u32");
        } else if (!is_typed) {
            check_units(t, &contents, m);
        } else if (keys_check(t->l, value, SCOPE_bytes) && t->l->nerrors == before &&
                   type_contents(t, value, &contents)) {
            m->bytes = contents.bytes;
            m->nbytes = contents.nbytes;
            if (contents.n) {
                check_units(t, &contents, m);
            }
        }
    }
}

static const Region *region_find(const Case *c, const char *name)
{
    for (size_t i = 0; i < c->nregions; i++) {
        if (!strcmp(c->regions[i].name, name)) {
            return &c->regions[i];
        }
    }
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void dirty_pages(Typer *t, const Node *n, DirtyCheck *d)
{
    if (word_is(n, "none")) {
        return;
    }
    if (n->kind != NODE_SEQ || !n->n) {
        say(t->l, n->pos, "expected a list of page numbers, or `none`, got %s", kind_shown(n));
        return;
    }
    uint32_t *pages = typed(t, n->n, sizeof *pages);
    for (size_t i = 0; i < n->n; i++) {
        uint64_t page = 0;
        type_count(t, n->items[i], 0, UINT32_MAX, &page);
        pages[i] = (uint32_t)page;
    }
    qsort(pages, n->n, sizeof *pages, by_number);
    for (size_t i = 1; i < n->n; i++) {
        if (pages[i] == pages[i - 1]) {
            say(t->l, n->pos, "page %u twice", pages[i]);
        }
    }
    d->pages = pages;
    d->n = n->n;
}

static void check_dirty(Typer *t, const Node *map, Check *c)
{
    if (!is_map(t->l, map, "`dirty`")) {
        return;
    }
    DirtyCheck *list = typed(t, map->n, sizeof *list);
    c->dirty = list;
    for (size_t i = 0; i < map->n && !t->l->is_full; i++) {
        const Node *key = map->keys[i];
        const char *name = key->text + (*key->text == '$');
        const Region *r = region_find(t->c, name);
        DirtyCheck *d = &list[c->ndirty++];
        *d = (DirtyCheck){.region = name, .pos = key->pos};
        if (!r) {
            Near near = near_start(name);
            for (size_t k = 0; k < t->c->nregions; k++) {
                near_try(&near, t->c->regions[k].name);
            }
            say(t->l, key->pos, "no region `%.60s`%s", name, meant(t->l, &near));
        } else if (!r->is_logged) {
            say(t->l, key->pos, "region `%s` is not logged: give it `log: true`", name);
        }
        dirty_pages(t, map->items[i], d);
    }
}

/* ---- the rest ---- */

const char *type_state(Typer *t, const Node *n)
{
    const char *word = type_word(t, n, "a state");
    const LifeModel *model = case_model(t->c);
    if (!word || life_state_find(model, word) >= 0) {
        return word;
    }
    Near near = near_start(word);
    Buf list = {0};
    for (size_t i = 0; i < model->nstates; i++) {
        near_try(&near, model->states[i]);
        buf_printf(&list, " %s", model->states[i]);
    }
    say(t->l, n->pos, "`%.60s` is no state of %s%s States:%s", word, model->name, near.best ? meant(t->l, &near) : ".",
        buf_text(&list));
    buf_free(&list);
    return NULL;
}

static void check_transitions(Typer *t, const Node *n, Check *c)
{
    static const char *const nothing[1];
    if (word_is(n, "none")) {
        c->transitions = nothing;
        return;
    }
    if (!is_list(t->l, n, "`transitions`")) {
        return;
    }
    const char **states = typed(t, n->n, sizeof *states);
    for (size_t i = 0; i < n->n; i++) {
        states[i] = type_state(t, n->items[i]);
    }
    c->transitions = states;
    c->ntransitions = n->n;
}

static void check_values(Typer *t, const Node *map, Check *c)
{
    static const Spec spec = {FIELD_TYPE_int, 64, "a value"};
    if (!is_map(t->l, map, "`values`")) {
        return;
    }
    ValuesCheck *list = typed(t, map->n, sizeof *list);
    c->values = list;
    for (size_t i = 0; i < map->n && !t->l->is_full; i++) {
        const Node *key = map->keys[i], *value = map->items[i];
        VEC_PUSH(&t->uses, (Named){.name = key->text, .pos = key->pos});
        if (!is_list(t->l, value, "the values of a capture")) {
            continue;
        }
        Matcher *items = typed(t, value->n, sizeof *items);
        for (size_t k = 0; k < value->n; k++) {
            type_matcher(t, value->items[k], &spec, &items[k]);
        }
        list[c->nvalues++] = (ValuesCheck){key->text, items, value->n, key->pos};
    }
}

static const char *check_save(Typer *t, const Node *n, const char *what, bool must_differ)
{
    const char *name = type_word(t, n, what);
    if (!name || t->l->is_open) {
        return name;
    }
    Near near = near_start(name);
    for (size_t i = t->saves.n; i-- > 0;) {
        if (!strcmp(t->saves.items[i].name, name)) {
            if (!t->saves.items[i].is_changed) {
                say(t->l, n->pos,
                    must_differ ? "nothing was done since `save: %s`: it cannot differ"
                                : "nothing was done since `save: %s`: it checks nothing",
                    name);
            }
            return name;
        }
        near_try(&near, t->saves.items[i].name);
    }
    say(t->l, n->pos, "no `save: %.60s` before%s", name, meant(t->l, &near));
    return NULL;
}

static void check_text(Typer *t, const Node *map, Check *c)
{
    const Node *n;
    if ((n = node_get(map, "console"))) {
        Matcher *m = typed(t, 1, sizeof *m);
        type_console(t, n, m);
        c->console = m;
        need_console(t, node_key(map, "console")->pos, "`console`");
    }
    if ((n = node_get(map, "insns"))) {
        static const Spec spec = {FIELD_TYPE_int, 64, "insns"};
        Matcher *m = typed(t, 1, sizeof *m);
        type_matcher(t, n, &spec, m);
        c->insns = m;
        need(t, CAP_insn_count, n->pos, "insns");
    }
    if ((n = node_get(map, "same_as"))) {
        c->same_as = check_save(t, n, "`same_as`", false);
    }
    if ((n = node_get(map, "differs_from"))) {
        c->differs_from = check_save(t, n, "`differs_from`", true);
    }
    if ((n = node_get(map, "never"))) {
        type_exits(t, n, "`never`", &c->never);
    }
}

bool type_check(Typer *t, const Node *n, Check *c)
{
    size_t before = t->l->nerrors;
    *c = (Check){.pos = n->pos};
    t->is_expecting = true;
    if (!keys_check(t->l, n, SCOPE_check)) {
        return false;
    }
    const Node *part;
    if ((part = node_get(n, "state"))) {
        c->state = type_state(t, part);
    }
    if ((part = node_get(n, "regs"))) {
        check_regs(t, part, c);
    }
    if ((part = node_get(n, "memory"))) {
        check_memory(t, part, c);
    }
    if ((part = node_get(n, "transitions"))) {
        check_transitions(t, part, c);
    }
    if ((part = node_get(n, "dirty"))) {
        check_dirty(t, part, c);
    }
    if ((part = node_get(n, "values"))) {
        check_values(t, part, c);
    }
    check_text(t, n, c);
    return t->l->nerrors == before;
}
