/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 16, MAX_STEPS = 65536 };

/* Which modifier may stand beside which verb; `*`: beside every one. */
static const struct {
    const char *key, *verbs;
} modifiers[] = {
    {"gives", " run op inject kick set write map unmap protect save restore native "},
    {"error", " run op inject kick set write map unmap protect save restore native "},
    {"vcpu", " run op inject set save restore native check "},
    {"to", " op "},
    {"from", " op "},
    {"value", " op "},
    {"level", " inject "},
    {"into", " restore "},
    {"times", " run op inject kick set write map unmap protect save restore type native "},
    {"if", " run op inject kick set write map unmap protect save restore type check lua native "},
    {"insns", " run "},
    {"step", " run "},
    {"within", " run "},
    {"ignore", " run "},
    {"include", " run "},
    {"break", " run "},
    {"watch", " run "},
    {"meanwhile", " run "},
};

static bool is_modifier(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(modifiers); i++) {
        if (!strcmp(modifiers[i].key, key)) {
            return true;
        }
    }
    return false;
}

static void check_modifiers(Typer *t, const Node *map, const char *verb)
{
    char word[32];
    snprintf(word, sizeof word, " %s ", verb);
    for (size_t i = 0; i < map->n; i++) {
        for (size_t k = 0; k < ARRAY_LEN(modifiers); k++) {
            if (!strcmp(modifiers[k].key, map->keys[i]->text) && !strstr(modifiers[k].verbs, word)) {
                say(t->l, map->keys[i]->pos, "`%s` does not go with `%s`; it goes with:%.*s", map->keys[i]->text, verb,
                    (int)strlen(modifiers[k].verbs) - 1, modifiers[k].verbs);
            }
        }
    }
}

/* ---- op ---- */

static const char *const own_ops[] = {"break_guest", "request_irq_window"};

static bool is_own_op(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(own_ops); i++) {
        if (!strcmp(own_ops[i], word)) {
            return true;
        }
    }
    return false;
}

static void say_op(Typer *t, const Node *n, const LifeModel *model)
{
    Near near = near_start(n->text);
    Buf list = {0};
    for (size_t i = 0; i < LIFE_OP_COUNT; i++) {
        if (model->op_names[i]) {
            near_try(&near, model->op_names[i]);
            buf_printf(&list, " %s", model->op_names[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(own_ops); i++) {
        near_try(&near, own_ops[i]);
        buf_printf(&list, " %s", own_ops[i]);
    }
    say(t->l, n->pos, "`%.60s` is no operation of %s%s Operations:%s", n->text, model->name,
        near.best ? meant(t->l, &near) : ".", buf_text(&list));
    buf_free(&list);
}

/* Words beside an op that only some ops take, and some need. */
static void op_words(Typer *t, const Node *n, const Node *map, int op, Step *s)
{
    const Node *to = node_get(map, "to"), *from = node_get(map, "from"), *value = node_get(map, "value");
    bool is_to = op == LIFE_set_state || op == LIFE_transition, is_from = op == LIFE_transition;
    if (is_to != (to != NULL)) {
        say(t->l, to ? node_key(map, "to")->pos : n->pos, is_to ? "`%s` needs `to`: a state" : "`%s` takes no `to`",
            n->text);
    }
    if (is_from != (from != NULL)) {
        say(t->l, from ? node_key(map, "from")->pos : n->pos,
            is_from ? "`%s` needs `from`: a state" : "`%s` takes no `from`", n->text);
    }
    if (value && op == LIFE_set_stage2) {
        need(t, CAP_stage2_table, node_key(map, "value")->pos, n->text);
    }
    if (value && op != LIFE_set_gpr && op != LIFE_set_return && op != LIFE_set_stage2) {
        say(t->l, node_key(map, "value")->pos, "`%s` takes no `value`", n->text);
    } else if (value) {
        type_int(t, value, 64, &s->number);
    }
}

static void type_op(Typer *t, const Node *n, const Node *map, Step *s)
{
    const LifeModel *model = case_model(t->c);
    s->word = type_word(t, n, "`op`");
    if (!s->word) {
        return;
    }
    int op = life_op_find(model, s->word);
    if (op < 0 && !is_own_op(s->word)) {
        say_op(t, n, model);
        return;
    }
    if (!strcmp(s->word, "request_irq_window")) {
        need(t, CAP_irq_window, n->pos, "request_irq_window");
    }
    if (op == LIFE_save || op == LIFE_restore) {
        need(t, CAP_save, n->pos, s->word);
    }
    if (op == LIFE_interrupt && s->gives != GIVES_ERROR) { /* one that the model rejects comes to no backend */
        need(t, t->c->guest == GUEST_x86_64 ? CAP_irq_vector : CAP_irq_line, n->pos, s->word);
    }
    op_words(t, n, map, op, s);
}

/* ---- inject ---- */

static void type_inject(Typer *t, const Node *n, const Node *map, Step *s)
{
    static const char *const words[] = {"external", "software", "timer", "irq", "fiq", "nmi"};
    bool is_word = n->kind == NODE_SCALAR && n->is_plain && isalpha((unsigned char)*n->text);
    const Node *level = node_get(map, "level");
    if (level) {
        uint64_t number = 0;
        type_count(t, level, 0, 1, &number);
        s->level = (Value){.kind = VALUE_INT, .pos = level->pos, .n = number};
    }
    if (!is_word) {
        type_int(t, n, 32, &s->number);
        need(t, t->c->guest == GUEST_x86_64 ? CAP_irq_vector : CAP_irq_line, n->pos, "inject");
        return;
    }
    s->word = n->text;
    Near near = near_start(n->text);
    bool is_known = false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        near_try(&near, words[i]);
        is_known |= !strcmp(words[i], n->text);
    }
    bool is_riscv = t->c->guest == GUEST_riscv64, is_arm = t->c->guest == GUEST_aarch64;
    bool is_here = !strcmp(n->text, "nmi")                              ? t->c->guest == GUEST_x86_64
                   : !strcmp(n->text, "irq") || !strcmp(n->text, "fiq") ? is_arm
                                                                        : is_riscv;
    if (!is_known) {
        say(t->l, n->pos, "`%.60s` is no interrupt%s", n->text, meant(t->l, &near));
    } else if (!is_here) {
        say(t->l, n->pos, "%s has no interrupt `%s`: %s", guest_name(t->c->guest), n->text,
            is_riscv ? "external, software, timer or a number"
            : is_arm ? "irq or fiq"
                     : "nmi or a vector");
    }
    need(t, !strcmp(n->text, "nmi") ? CAP_nmi : CAP_irq_line, n->pos, "inject");
}

/* ---- memory ---- */

static void type_write(Typer *t, const Node *map, Step *s)
{
    if (!is_map(t->l, map, "`write`")) {
        return;
    }
    MemWrite *list = typed(t, map->n, sizeof *list);
    s->writes = list;
    for (size_t i = 0; i < map->n; i++) {
        const Node *value = map->items[i];
        Contents c;
        size_t before = t->l->nerrors;
        MemWrite *w = &list[s->nwrites];
        *w = (MemWrite){.pos = map->keys[i]->pos};
        type_int(t, map->keys[i], 64, &w->addr);
        if (value->kind != NODE_MAP) {
            say(t->l, value->pos, "of what width? Write {u64: [..]} or u8, u16, u32, hex, text");
            continue;
        }
        if (!keys_check(t->l, value, SCOPE_bytes) || t->l->nerrors != before || !type_contents(t, value, &c)) {
            continue;
        }
        s->nwrites++;
        w->bytes = c.bytes;
        w->nbytes = c.nbytes;
        Value *units = typed(t, c.n, sizeof *units);
        for (size_t k = 0; k < c.n; k++) {
            type_int(t, c.units[k], c.unit_bytes * 8, &units[k]);
        }
        w->units = units;
        w->n = c.n;
        w->unit_bytes = c.unit_bytes;
    }
}

static const Region *type_region(Typer *t, const Node *n)
{
    const char *word = type_text(t, n, "a region");
    Near near = near_start(word ? word : "");
    for (size_t i = 0; word && i < t->c->nregions; i++) {
        if (!strcmp(t->c->regions[i].name, word + (*word == '$'))) {
            return &t->c->regions[i];
        }
        near_try(&near, t->c->regions[i].name);
    }
    if (word) {
        say(t->l, n->pos, "no region `%.60s`%s", word, meant(t->l, &near));
    }
    return NULL;
}

/* map: {at, size, flags, region}: of the region's memory, or new memory; unmap, protect: {region} or {at, size}. */
/* A region that can be mapped and unmapped. */
static const Region *type_mapped(Typer *t, const Node *n)
{
    const Region *r = type_region(t, n);
    if (r && r->is_default) {
        say(t->l, n->pos, "`ram` is one piece with the code unless `memory` declares it: it is mapped as it is");
    }
    return r;
}

static void type_map(Typer *t, const Node *n, Step *s)
{
    size_t before = t->l->nerrors;
    s->map_flags = MAP_R | MAP_W | MAP_X;
    if (n->kind == NODE_SCALAR && s->kind != STEP_protect) { /* unmap: buf */
        const Region *r = type_mapped(t, n);
        s->word = r ? r->name : NULL;
        return;
    }
    if (!keys_check(t->l, n, SCOPE_map) || t->l->nerrors != before) {
        return;
    }
    const Node *region = node_get(n, "region"), *at = node_get(n, "at"), *size = node_get(n, "size"),
               *flags = node_get(n, "flags");
    const Region *r = region ? type_mapped(t, region) : NULL;
    s->word = r ? r->name : NULL;
    uint64_t bytes = 0;
    if (size && type_size(t, size, &bytes)) { /* else the region's, whole pages: the world knows */
        s->map_size = (Value){.kind = VALUE_INT, .pos = size->pos, .n = bytes};
    }
    if (at) {
        type_int(t, at, 64, &s->map_at);
    }
    if (flags) {
        s->map_flags = type_flags(t, flags, NULL);
    }
    if (r && r->is_hole) {
        say(t->l, region->pos, "`%s` is a hole: it has no memory", r->name);
    } else if (!at && !region) {
        say(t->l, n->pos, "which memory? Give `region`, or `at` and `size`");
    } else if (!size && !region) {
        say(t->l, n->pos, "how much? Give `size` or `region`");
    } else if (s->kind == STEP_protect && !flags) {
        say(t->l, n->pos, "`protect` needs `flags`");
    } else if (s->kind == STEP_unmap && flags) {
        say(t->l, flags->pos, "`unmap` takes no flags");
    }
    if (s->kind != STEP_unmap && !(s->map_flags & MAP_W)) {
        need(t, CAP_map_ro, n->pos, "a read-only region");
    }
}

/* ---- save, restore, the small ones ---- */

static void type_save(Typer *t, const Node *n, Step *s)
{
    s->word = type_word(t, n, "the name of a save");
    need(t, CAP_save, n->pos, "save");
    if (t->saves.n >= MAX_NAMES) {
        say(t->l, n->pos, "more than %d saves", MAX_NAMES);
    } else if (s->word) {
        VEC_PUSH(&t->saves, (Named){.name = s->word, .pos = n->pos});
    }
}

static void type_restore(Typer *t, const Node *n, const Node *map, Step *s)
{
    const Node *into = node_get(map, "into");
    s->word = type_word(t, n, "the name of a save");
    need(t, CAP_save, n->pos, "restore");
    if (into && !word_is(into, "new")) {
        say(t->l, into->pos, "`into` can only be `new`");
    }
    s->into_new = into != NULL;
    bool is_known = !s->word || t->l->is_open;
    Near near = near_start(s->word ? s->word : "");
    for (size_t i = 0; i < t->saves.n && !is_known; i++) {
        is_known = !strcmp(t->saves.items[i].name, s->word);
        near_try(&near, t->saves.items[i].name);
    }
    if (!is_known) {
        say(t->l, n->pos, "no `save: %.60s` before%s", s->word, meant(t->l, &near));
    }
}

/* What names a value must name one that is known. */
static void type_native_args(Typer *t, const Node *n)
{
    Value ignored;
    for (size_t i = 0; n && n->kind != NODE_SCALAR && i < n->n; i++) {
        type_native_args(t, n->items[i]);
    }
    if (n && n->kind == NODE_SCALAR && n->is_plain && strchr(n->text, '$')) {
        (void)type_int(t, n, 64, &ignored);
    }
}

static void type_native(Typer *t, const Node *n, Step *s)
{
    if (!keys_check(t->l, n, SCOPE_native)) {
        return;
    }
    const Node *call = node_get(n, "call");
    if (!call) {
        say(t->l, n->pos, "`native` needs `call`");
        return;
    }
    s->word = type_word(t, call, "`call`");
    s->args = node_get(n, "args");
    type_native_args(t, s->args);
    const Node *as = node_get(n, "as");
    s->answer = as ? type_word(t, as, "`as`") : NULL;
    if (s->answer) {
        VEC_PUSH(&t->captures, (Named){.name = s->answer, .pos = as->pos});
    }
}

static void type_typed(Typer *t, const Node *n, Step *s)
{
    s->word = type_text(t, n, "`type`");
    need_console(t, n->pos, "`type`");
}

static void type_run_step(Typer *t, const Node *n, const Node *map, Step *s)
{
    uint64_t ignored = t->said_ignore;
    bool includes = t->run.include_completed;
    s->run = t->run;
    if (node_get(map, "ignore")) {
        s->run.ignore = 1ull << EXIT_nothing | 1ull << EXIT_external_interrupt | 1ull << EXIT_preempt_timer;
    }
    type_modifiers(t, map, &s->run);
    t->run.include_completed = s->run.include_completed;
    type_run(t, n, &s->run);
    t->run.include_completed = includes;
    t->said_ignore = ignored;
    if (s->vcpu > 0 && s->run.nlists == 1 && n->kind != NODE_MAP) {
        ((RunList *)s->run.lists)->vcpu = (uint8_t)s->vcpu;
    }
}

/* ---- gives ---- */

static void type_gives(Typer *t, const Node *n, Step *s)
{
    const LifeModel *model = case_model(t->c);
    const char *word = type_word(t, n, "`gives`");
    if (!word) {
        return;
    }
    t->is_expecting = true;
    s->gives_word = word;
    const ErrorWord *error = error_word_find(word);
    if (!strcmp(word, "ok")) {
        s->gives = GIVES_OK;
        return;
    }
    if (error) {
        s->gives = GIVES_ERROR;
        s->gives_code = error->code;
        return;
    }
    if (life_state_find(model, word) >= 0) {
        s->gives = GIVES_STATE;
        return;
    }
    Near near = near_start(word);
    size_t nwords = 0;
    const ErrorWord *words = error_words(&nwords);
    for (size_t i = 0; i < nwords; i++) {
        near_try(&near, words[i].word);
    }
    for (size_t i = 0; i < model->nstates; i++) {
        near_try(&near, model->states[i]);
    }
    near_try(&near, "ok");
    say(t->l, n->pos, "`%.60s` is no state of %s, no error and not `ok`%s", word, model->name, meant(t->l, &near));
}

static void type_common(Typer *t, const Node *map, Step *s)
{
    static const Spec text = {FIELD_TYPE_text, 0, "an error's text"};
    const Node *n;
    if ((n = node_get(map, "vcpu"))) {
        uint8_t vcpu = 0;
        s->vcpu = type_vcpu(t, n, &vcpu) ? vcpu : -1;
    }
    if ((n = node_get(map, "gives"))) {
        type_gives(t, n, s);
    }
    if ((n = node_get(map, "error"))) {
        Matcher *m = typed(t, 1, sizeof *m);
        type_matcher(t, n, &text, m);
        s->error = m;
        if (s->gives != GIVES_ERROR) {
            say(t->l, node_key(map, "error")->pos, "`error` needs `gives` with the error's word");
        }
    }
    if ((n = node_get(map, "times"))) {
        uint64_t times = 1;
        type_count(t, n, 1, 1000000, &times);
        s->times = (uint32_t)times;
    }
    if ((n = node_get(map, "if"))) {
        s->if_cap = type_cap(t, n);
    }
    if ((n = node_get(map, "to"))) {
        s->to = type_state(t, n);
    }
    if ((n = node_get(map, "from"))) {
        s->from = type_state(t, n);
    }
}

/* ---- one step ---- */

static StepKind verb_find(const char *word)
{
#define X(name) #name,
    static const char *const names[] = {STEP_MAP(X)};
#undef X
    for (int i = 0; i < STEP_COUNT; i++) {
        if (!strcmp(names[i], word)) {
            return (StepKind)i;
        }
    }
    return STEP_COUNT;
}

/* The key of a step that is its verb; NULL = said. */
static const Node *verb_of(Typer *t, const Node *n)
{
    size_t before = t->l->nerrors;
    if (n->kind == NODE_SCALAR) {
        say(t->l, n->pos, "a step is a map, `verb: value`, got %s", kind_shown(n));
        return NULL;
    }
    const Node *verb = NULL;
    for (size_t i = 0; n->kind == NODE_MAP && i < n->n; i++) {
        const Node *key = n->keys[i];
        if (head_find(key->text) >= 0 && !key_find(SCOPE_step, key->text)) {
            say(t->l, key->pos, "`%s` is an exit, not a step: write run: [%s]", key->text, key->text);
            return NULL;
        }
        if (is_modifier(key->text) || !key_find(SCOPE_step, key->text)) {
            continue;
        }
        if (verb) {
            say(t->l, key->pos, "a step does one thing: `%s` begins another (with its own `-`)", key->text);
            return NULL;
        }
        verb = key;
    }
    if (!keys_check(t->l, n, SCOPE_step) || t->l->nerrors != before) {
        return NULL;
    }
    if (!verb) {
        say(t->l, n->pos,
            "a step without a verb: run op do inject kick set write map unmap protect save restore type "
            "check lua native");
    }
    return verb;
}

static void type_verb(Typer *t, const Node *value, const Node *map, Step *s)
{
    Check *check;
    uint8_t vcpu = 0;
    switch (s->kind) {
    case STEP_run:
        type_run_step(t, value, map, s);
        break;
    case STEP_op:
        type_op(t, value, map, s);
        break;
    case STEP_inject:
        type_inject(t, value, map, s);
        break;
    case STEP_kick:
        s->vcpu = type_vcpu(t, value, &vcpu) ? vcpu : -1;
        break;
    case STEP_set:
        type_regs_set(t, value, s->vcpu, &s->regs, &s->nregs);
        break;
    case STEP_write:
        type_write(t, value, s);
        break;
    case STEP_map:
    case STEP_unmap:
    case STEP_protect:
        type_map(t, value, s);
        break;
    case STEP_save:
        type_save(t, value, s);
        break;
    case STEP_restore:
        type_restore(t, value, map, s);
        break;
    case STEP_type:
        type_typed(t, value, s);
        break;
    case STEP_check:
        check = typed(t, 1, sizeof *check);
        type_check(t, value, check);
        s->check = check;
        break;
    case STEP_lua:
        s->word = type_text(t, value, "`lua`");
        t->is_expecting = true;
        break;
    case STEP_native:
        type_native(t, value, s);
        break;
    case STEP_COUNT:
        break;
    }
}

/* Whether a vcpu must be named: an operation of one vcpu, where there are several. */
static bool needs_vcpu(const Step *s)
{
    return s->kind == STEP_op || s->kind == STEP_inject;
}

static void mark_changes(Typer *t, const Step *s)
{
    bool changes = s->kind != STEP_save && s->kind != STEP_check && s->kind != STEP_kick;
    for (size_t i = 0; changes && i < t->saves.n; i++) {
        bool is_own_restore = s->kind == STEP_restore && s->word && !strcmp(s->word, t->saves.items[i].name);
        t->saves.items[i].is_changed |= !is_own_restore;
    }
}

bool type_step(Typer *t, const Node *n, Step *s)
{
    size_t before = t->l->nerrors;
    *s = (Step){.pos = n->pos, .vcpu = -1, .times = 1, .if_cap = -1};
    const Node *verb = verb_of(t, n);
    if (!verb) {
        return false;
    }
    s->kind = verb_find(verb->text);
    check_modifiers(t, n, verb->text);
    type_common(t, n, s);
    type_verb(t, node_get(n, verb->text), n, s);
    if (needs_vcpu(s) && s->vcpu < 0 && t->c->nvcpus > 1 && !t->l->is_open) {
        say(t->l, n->pos, "of which vcpu? Give `vcpu`");
    }
    mark_changes(t, s);
    return t->l->nerrors == before;
}

/* ---- lists; `do` lays a routine's steps in place ---- */

typedef VEC(Step) StepList;

static void type_list(Typer *t, const Node *list, StepList *out);

static void type_do(Typer *t, const Node *map, const Node *value, StepList *out)
{
    const char *name = type_word(t, value, "`do`");
    const Node *routine = name ? node_get(t->l->routines, name) : NULL;
    if (!name) {
        return;
    }
    if (map->n > 1) {
        say(t->l, map->pos, "`do` stands alone: modifiers belong to the routine's steps");
        return;
    }
    if (!routine) {
        Near near = near_start(name);
        for (size_t i = 0; t->l->routines && i < t->l->routines->n; i++) {
            near_try(&near, t->l->routines->keys[i]->text);
        }
        say(t->l, value->pos, "no routine `%.60s`%s", name, meant(t->l, &near));
        return;
    }
    for (size_t i = 0; i < t->l->routines->n; i++) {
        t->l->routines_used[i] |= t->l->routines->items[i] == routine;
    }
    if (word_is(routine, "none")) {
        return;
    }
    if (!is_list(t->l, routine, "a routine")) {
        return;
    }
    Expander x = {t->l, t->c->guest, t->env, false};
    const Node *steps = expand(&x, routine, "steps");
    type_list(t, steps, out);
}

static void type_list(Typer *t, const Node *list, StepList *out)
{
    if (++t->depth > MAX_DEPTH) {
        say(t->l, list->pos, "nested too deep: does a routine call itself?");
        t->depth--;
        return;
    }
    for (size_t i = 0; i < list->n && !t->l->is_full; i++) {
        const Node *n = list->items[i], *routine = node_get(n, "do");
        Step step;
        if (out->n >= MAX_STEPS || ++t->l->work > MAX_WORK) {
            say_limit(t->l, n->pos, "more than %d steps in one list", MAX_STEPS);
        } else if (routine) {
            type_do(t, n, routine, out);
        } else if (type_step(t, n, &step)) {
            VEC_PUSH(out, step);
        }
    }
    t->depth--;
}

bool type_steps(Typer *t, const Node *list, const char *what, const Step **out, size_t *n)
{
    size_t before = t->l->nerrors;
    if (!is_list(t->l, list, what)) {
        return false;
    }
    StepList steps = {0};
    type_list(t, list, &steps);
    Step *copy = typed(t, steps.n, sizeof *copy);
    if (steps.n) {
        memcpy(copy, steps.items, steps.n * sizeof *copy);
    }
    *out = copy;
    *n = steps.n;
    VEC_FREE(&steps);
    return t->l->nerrors == before;
}
