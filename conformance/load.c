/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/typing.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* One scenario while its cases are made. */
typedef struct {
    const Node *keys; /* with the suite's defaults */
    const char *name;
    Pos pos;
    Rows rows;
    const Node *let;
    bool *let_used;
    bool guests[GUEST_COUNT];
    size_t ncases;
} Scenario;

static bool is_story_key(const char *key)
{
    return !strcmp(key, "run") || !strcmp(key, "steps") || !strcmp(key, "script");
}

static bool has_story(const Node *n)
{
    return node_get(n, "run") || node_get(n, "steps") || node_get(n, "script");
}

/* A scenario's own key replaces the default whole; its own story replaces a default one of any kind. */
static const Node *with_defaults(Loader *l, const Node *own)
{
    const Node *d = l->defaults;
    if (!d) {
        return own;
    }
    Node *all = arena_alloc(l->arena, sizeof *all);
    *all = *own;
    all->keys = arena_alloc(l->arena, (own->n + d->n) * sizeof *all->keys);
    all->items = arena_alloc(l->arena, (own->n + d->n) * sizeof *all->items);
    memcpy(all->keys, own->keys, own->n * sizeof *all->keys);
    memcpy(all->items, own->items, own->n * sizeof *all->items);
    for (size_t i = 0; i < d->n; i++) {
        bool is_replaced = node_get(own, d->keys[i]->text) || (is_story_key(d->keys[i]->text) && has_story(own));
        if (!is_replaced) {
            all->keys[all->n] = d->keys[i];
            all->items[all->n++] = d->items[i];
        }
    }
    return all;
}

static const char *text_of(Loader *l, const Node *n, const char *what)
{
    if (n->kind == NODE_SCALAR && *n->text && !node_is_null(n)) {
        return n->text;
    }
    say(l, n->pos, "%s must be text, got %s", what, n->kind == NODE_SCALAR ? "nothing" : kind_shown(n));
    return NULL;
}

static const char *const *words_of(Loader *l, const Node *n, const char *what, size_t *out)
{
    *out = 0;
    if (!n || !is_list(l, n, what) || !is_few(l, n, MAX_NAMES, what)) {
        return NULL;
    }
    const char **words = arena_alloc(l->arena, n->n * sizeof *words);
    for (size_t i = 0; i < n->n; i++) {
        const char *word = text_of(l, n->items[i], what);
        for (size_t k = 0; word && k < *out; k++) {
            if (!strcmp(words[k], word)) {
                say(l, n->items[i]->pos, "`%.60s` twice", word);
            }
        }
        if (word) {
            words[(*out)++] = word;
        }
    }
    return words;
}

/* ---- which guests ---- */

static void guests_listed(Loader *l, Scenario *s, const Node *list)
{
    const Node *code = node_get(s->keys, "code");
    bool is_by_guest = code && is_guest_map(code);
    size_t n = 0;
    const char *const *words = words_of(l, list, "`guests`", &n);
    for (size_t i = 0; i < n; i++) {
        GuestId g = guest_find(words[i]);
        if (g && is_by_guest && !node_get(code, words[i])) {
            say(l, list->items[i]->pos, "no code for %s", words[i]);
        } else if (g) {
            s->guests[g] = true;
        } else {
            Near near = near_start(words[i]);
            for (unsigned k = 1; k < GUEST_COUNT; k++) {
                near_try(&near, guest_name((GuestId)k));
            }
            say(l, list->items[i]->pos, "`%.60s` is no guest%s Guests: riscv64 aarch64 x86_64", words[i],
                near.best ? meant(l, &near) : ".");
        }
    }
}

static void guests_of_code(Loader *l, Scenario *s, const Node *code)
{
    if (!is_map(l, code, "`code`")) {
        return;
    }
    for (size_t i = 0; i < code->n; i++) {
        GuestId g = guest_find(code->keys[i]->text);
        if (g) {
            s->guests[g] = true;
            continue;
        }
        Near near = near_start(code->keys[i]->text);
        for (unsigned k = 1; k < GUEST_COUNT; k++) {
            near_try(&near, guest_name((GuestId)k));
        }
        say(l, code->keys[i]->pos, "`%.60s` is no guest%s Guests: riscv64 aarch64 x86_64", code->keys[i]->text,
            near.best ? meant(l, &near) : ".");
    }
}

static void guests_read(Loader *l, Scenario *s, bool is_whole)
{
    const Node *list = node_get(s->keys, "guests"), *code = node_get(s->keys, "code");
    if (code) {
        guests_of_code(l, s, code);
    }
    if (list) {
        memset(s->guests, 0, sizeof s->guests);
        guests_listed(l, s, list);
    } else if (!code && is_whole) {
        say(l, s->pos, "no guest: give `code` or `guests`");
    }
}

/* ---- one case ---- */

/* Columns, then `let`, each resolved for the guest; a `let` may use columns and what stands above it. */
static Vars env_of(Loader *l, Scenario *s, size_t row, GuestId guest)
{
    size_t nlet = s->let ? s->let->n : 0;
    Vars env = {arena_alloc(l->arena, (s->rows.ncolumns + nlet) * sizeof(Var)), 0};
    for (size_t i = 0; i < s->rows.ncolumns; i++) {
        const Node *cell = s->rows.cells[row * s->rows.ncolumns + i];
        Expander x = {l, guest, NULL, false};
        const Node *value = node_is_null(cell)   ? NULL
                            : is_guest_map(cell) ? node_get(cell, guest_name(guest))
                                                 : expand(&x, cell, "let");
        env.items[env.n++] = (Var){s->rows.names[i], s->rows.poss[i], value, &s->rows.used[i]};
    }
    for (size_t i = 0; i < nlet; i++) {
        Expander x = {l, guest, &env, false};
        const Node *value = expand(&x, s->let->items[i], "let");
        env.items[env.n++] = (Var){s->let->keys[i]->text, s->let->keys[i]->pos,
                                   value && node_is_null(value) ? NULL : value, &s->let_used[i]};
    }
    return env;
}

static void bindings_of(Loader *l, const Vars *env, Case *c)
{
    Binding *b = arena_alloc(l->arena, env->n * sizeof *b);
    for (size_t i = 0; i < env->n; i++) {
        if (env->items[i].value) {
            b[c->nbindings++] = (Binding){env->items[i].name, env->items[i].value};
        }
    }
    c->bindings = b;
}

/* A function may use any. */
static void function_uses(const Vars *env)
{
    for (size_t i = 0; i < env->n; i++) {
        *env->items[i].is_used = true;
    }
}

/* A Lua text that names a column uses it, as `row.size` or in a helper of its own. */
static void script_uses(const Vars *env, const char *text)
{
    for (size_t i = 0; i < env->n; i++) {
        const char *name = env->items[i].name;
        size_t n = strlen(name);
        for (const char *p = text; (p = strstr(p, name)); p += n) {
            bool is_whole = (p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_')) &&
                            !isalnum((unsigned char)p[n]) && p[n] != '_';
            if (is_whole) {
                *env->items[i].is_used = true;
                break;
            }
        }
    }
}

static void type_script(Typer *t, const Node *n)
{
    const char *text = type_text(t, n, "`script`");
    if (!text) {
        return;
    }
    t->is_expecting = true;
    t->l->is_open = true;
    t->c->script = text;
    t->c->script_pos = n->pos;
    if (text[0] == '@' && isdigit((unsigned char)text[1])) {
        t->c->lua_function = (int)strtol(text + 1, NULL, 10);
        function_uses(t->env);
    }
    script_uses(t->env, text);
}

static void type_one_run(Typer *t, const Node *n)
{
    Step *step = typed(t, 1, sizeof *step);
    step->kind = STEP_run;
    step->pos = n->pos;
    step->vcpu = -1;
    step->times = 1;
    step->if_cap = -1;
    step->run = t->run;
    if (type_run(t, n, &step->run)) {
        t->c->steps = step;
        t->c->nsteps = 1;
    }
}

static void type_story(Typer *t, const Scenario *s, Expander *x)
{
    static const char *const keys[] = {"run", "steps", "expect"};
    const Node *part[3] = {NULL, NULL, NULL};
    for (size_t i = 0; i < 3; i++) {
        const Node *n = node_get(s->keys, keys[i]);
        part[i] = n ? expand(x, n, keys[i]) : NULL;
        if (n && !part[i]) {
            say(t->l, n->pos, "no value for %s: only a field, a register or `at` may be left out on a guest",
                guest_name(x->guest));
        }
    }
    const Node *script = node_get(s->keys, "script");
    if (script) {
        type_script(t, script);
    }
    if (part[0]) {
        type_one_run(t, part[0]);
    }
    if (part[1]) {
        type_steps(t, part[1], "`steps`", &t->c->steps, &t->c->nsteps);
    }
    if (part[2]) {
        Check *check = typed(t, 1, sizeof *check);
        t->is_expect = true;
        if (type_check(t, part[2], check)) {
            t->c->expect = check;
        }
    }
    if (!t->is_expecting && t->l->nerrors == t->errors) {
        say(t->l, s->pos, "it expects nothing: give `run`, `expect`, a `check` or a step with `gives`");
    }
}

/* Keys of which a plain copy is not enough: they are read from the scenario as written. */
static const Node *expand_keys(Expander *x, const Node *keys)
{
    static const char *const raw[] = {"name",  "why",   "tags",   "role",   "guests", "backends",
                                      "needs", "xfail", "each",   "let",    "code",   "use",
                                      "run",   "steps", "script", "expect", "fake",   "memory"};
    Node *out = arena_alloc(x->l->arena, sizeof *out);
    *out = *keys;
    out->items = arena_alloc(x->l->arena, keys->n * sizeof *out->items);
    out->keys = arena_alloc(x->l->arena, keys->n * sizeof *out->keys);
    out->n = 0;
    for (size_t i = 0; i < keys->n; i++) {
        const Node *value = keys->items[i];
        bool is_raw = false;
        for (size_t k = 0; k < ARRAY_LEN(raw); k++) {
            is_raw |= !strcmp(raw[k], keys->keys[i]->text);
        }
        value = is_raw ? value : expand(x, value, keys->keys[i]->text);
        if (value) {
            out->keys[out->n] = keys->keys[i];
            out->items[out->n++] = (Node *)value;
        }
    }
    return out;
}

static void check_backend(Loader *l, const Node *n, const char *word)
{
    if (!word || backend_word_ok(word)) {
        return;
    }
    size_t count = 0;
    const char *const *words = backend_words(&count);
    Near near = near_start(word);
    for (size_t i = 0; i < count; i++) {
        near_try(&near, words[i]);
    }
    say(l, n->pos, "`%.60s` is no backend%s", word, meant(l, &near));
}

static void head_of(Loader *l, const Scenario *s, Case *c)
{
    const Node *n = node_get(s->keys, "why");
    c->why = n ? text_of(l, n, "`why`") : NULL;
    c->tags = words_of(l, node_get(s->keys, "tags"), "`tags`", &c->ntags);
    n = node_get(s->keys, "backends");
    c->backends = words_of(l, n, "`backends`", &c->nbackends);
    for (size_t i = 0; i < c->nbackends; i++) {
        check_backend(l, n->items[i]->kind == NODE_SCALAR ? n->items[i] : n, c->backends[i]);
    }
    n = node_get(s->keys, "role");
    if (n && n->kind == NODE_SCALAR && !strcmp(n->text, "probe")) {
        c->is_probe = true;
    } else if (n) {
        say(l, n->pos, "`role` can only be `probe`");
    }
    size_t errors = l->nerrors;
    n = node_get(s->keys, "xfail");
    if (!n || !keys_check(l, n, SCOPE_xfail)) {
        return;
    }
    Xfail *x = arena_alloc(l->arena, sizeof *x);
    const Node *reason = node_get(n, "reason"), *backend = node_get(n, "backend"), *probe = node_get(n, "probe");
    *x = (Xfail){.pos = n->pos};
    x->reason = reason ? text_of(l, reason, "`reason`") : NULL;
    x->backend = backend ? text_of(l, backend, "`backend`") : NULL;
    check_backend(l, backend ? backend : n, x->backend);
    x->probe = probe ? text_of(l, probe, "`probe`") : NULL;
    x->pos = probe ? probe->pos : n->pos;
    if (!reason && l->nerrors == errors) {
        say(l, n->pos, "`xfail` needs a `reason`");
    }
    c->xfail = x;
}

static void case_load(Loader *l, Scenario *s, size_t row, GuestId guest)
{
    if (l->cases.n >= MAX_CASES) {
        say_limit(l, s->pos, "more than %d cases in one suite", MAX_CASES);
    }
    if (!arena_has_room(l, s->pos)) {
        return;
    }
    Vars env = env_of(l, s, row, guest);
    Case c = {.suite = l->suite,
              .name = s->name,
              .row = s->rows.labels[row],
              .pos = s->pos,
              .guest = guest,
              .lua_function = -1};
    c.id = c.row ? arena_printf(l->arena, "%s[%s]", c.name, c.row) : c.name;
    Expander x = {l, guest, &env, false};
    l->is_open = false;
    Typer t = {.l = l, .c = &c, .env = &env, .errors = l->nerrors};
    t.run = (RunStep){.insns = UINT64_MAX,
                      .ignore = 1ull << EXIT_nothing | 1ull << EXIT_external_interrupt | 1ull << EXIT_preempt_timer};
    head_of(l, s, &c);
    const Node *keys = expand_keys(&x, s->keys);
    type_code(&t, node_get(keys, "code"), node_get(keys, "use"), &x);
    if (!x.is_absent) {
        type_world(&t, keys, &x);
    }
    labels_sort(&t);
    if (!x.is_absent) {
        type_modifiers(&t, keys, &t.run);
        type_story(&t, s, &x);
        if (c.boot) {
            boot_check_story(&t);
        }
        names_resolve(&t);
    }
    bindings_of(l, &env, &c);
    VEC_FREE(&t.captures);
    VEC_FREE(&t.saves);
    VEC_FREE(&t.uses);
    VEC_FREE(&t.labels);
    if (!x.is_absent) { /* ~ in a cell that the code uses: no such row on this guest */
        VEC_PUSH(&l->cases, c);
        s->ncases++;
    }
}

/* ---- one scenario ---- */

static bool let_read(Loader *l, Scenario *s)
{
    s->let = node_get(s->keys, "let");
    if (!s->let) {
        return true;
    }
    if (!is_map(l, s->let, "`let`") || !is_few(l, s->let, MAX_NAMES, "`let`")) {
        return false;
    }
    s->let_used = arena_alloc(l->arena, s->let->n * sizeof *s->let_used);
    for (size_t i = 0; i < s->let->n; i++) {
        const Node *key = s->let->keys[i];
        if (!is_name(key->text)) {
            say(l, key->pos, "a name is letters, digits and _, got `%.60s`", key->text);
            return false;
        }
        for (size_t k = 0; k < s->rows.ncolumns; k++) {
            if (!strcmp(s->rows.names[k], key->text)) {
                say(l, key->pos, "`%.60s` is a column of `each` already", key->text);
                return false;
            }
        }
        if (node_is_null(s->let->items[i])) {
            say(l, s->let->items[i]->pos, "`%.60s` has no value", key->text);
        }
    }
    return true;
}

static void check_unused(Loader *l, const Scenario *s)
{
    for (size_t i = s->rows.nfree; i < s->rows.ncolumns; i++) {
        if (!s->rows.used[i]) {
            say(l, s->rows.poss[i], "column `%s` is never used", s->rows.names[i]);
        }
    }
    for (size_t i = 0; s->let && i < s->let->n; i++) {
        if (!s->let_used[i]) {
            say(l, s->let->keys[i]->pos, "`let` of `%s` is never used", s->let->keys[i]->text);
        }
    }
}

/* is_whole: no key was misspelt, so that what is missing is missing. */
static bool story_check(Loader *l, const Scenario *s, bool is_whole)
{
    const Node *run = node_key(s->keys, "run"), *steps = node_key(s->keys, "steps"),
               *script = node_key(s->keys, "script");
    int n = !!run + !!steps + !!script;
    if (n > 1) {
        say(l, script ? script->pos : steps->pos, "one of `run`, `steps` and `script`, not two");
    } else if (!n && is_whole) {
        say(l, s->pos, "nothing happens: give `run`, `steps` or `script`");
    }
    return n == 1;
}

static void scenario_load(Loader *l, const Node *n)
{
    size_t errors = l->nerrors;
    if (!keys_check(l, n, SCOPE_scenario)) {
        return;
    }
    bool is_whole = l->nerrors == errors;
    Scenario s = {.keys = with_defaults(l, n), .pos = n->pos};
    const Node *name = node_get(n, "name");
    if (!name && is_whole) {
        say(l, n->pos, "a scenario needs a `name`");
    }
    s.name = name ? text_of(l, name, "`name`") : NULL;
    if (s.name && (strlen(s.name) > 200 || strpbrk(s.name, "\n\t"))) {
        say(l, name->pos, "a name is one line of at most 200 characters");
    }
    if (!s.name || !rows_read(l, node_get(s.keys, "each"), &s.rows) || !let_read(l, &s) ||
        !story_check(l, &s, is_whole)) {
        return;
    }
    guests_read(l, &s, is_whole);
    for (size_t row = 0; row < s.rows.nrows; row++) {
        for (unsigned g = 1; g < GUEST_COUNT && !l->is_full; g++) {
            if (s.guests[g]) {
                case_load(l, &s, row, (GuestId)g);
            }
        }
    }
    if (l->nerrors == errors && !s.ncases) {
        say(l, s.pos, "no case: every row is left out (~) on every guest");
    }
    if (l->nerrors == errors) {
        check_unused(l, &s);
    }
}

/* ---- the suite ---- */

static int by_id(const void *a, const void *b)
{
    const Case *x = *(const Case *const *)a, *y = *(const Case *const *)b;
    int order = strcmp(x->id, y->id);
    if (order || x->guest != y->guest) {
        return order ? order : x->guest < y->guest ? -1 : 1;
    }
    return x->pos.line < y->pos.line ? -1 : x->pos.line > y->pos.line;
}

static void check_ids(Loader *l)
{
    const Case **sorted = x_calloc(l->cases.n, sizeof *sorted);
    for (size_t i = 0; i < l->cases.n; i++) {
        sorted[i] = &l->cases.items[i];
    }
    qsort(sorted, l->cases.n, sizeof *sorted, by_id);
    for (size_t i = 1; i < l->cases.n; i++) {
        if (!strcmp(sorted[i]->id, sorted[i - 1]->id) && sorted[i]->guest == sorted[i - 1]->guest &&
            sorted[i]->pos.line != sorted[i - 1]->pos.line) {
            say(l, sorted[i]->pos, "scenario `%.100s` twice (first at line %u)", sorted[i]->id,
                sorted[i - 1]->pos.line);
        }
    }
    mem_free(sorted);
}

static void check_probes(Loader *l)
{
    VEC(const char *) probes = {0};
    for (size_t i = 0; i < l->cases.n; i++) {
        const Case *c = &l->cases.items[i];
        if (c->is_probe && (!probes.n || strcmp(probes.items[probes.n - 1], c->name) != 0)) {
            VEC_PUSH(&probes, c->name);
        }
    }
    for (size_t i = 0; i < l->cases.n && !l->is_full; i++) {
        const Xfail *x = l->cases.items[i].xfail;
        bool is_found = !x || !x->probe;
        for (size_t k = 0; k < probes.n && !is_found; k++) {
            is_found = !strcmp(probes.items[k], x->probe);
        }
        if (!is_found) {
            Near near = near_start(x->probe);
            for (size_t k = 0; k < probes.n && k < MAX_NAMES; k++) {
                near_try(&near, probes.items[k]);
            }
            say(l, x->pos, "no scenario `%.60s` with `role: probe`%s", x->probe, meant(l, &near));
        }
    }
    VEC_FREE(&probes);
}

static void check_unused_parts(Loader *l)
{
    for (size_t i = 0; l->routines && i < l->routines->n; i++) {
        if (!l->routines_used[i]) {
            say(l, l->routines->keys[i]->pos, "routine `%.60s` is never used", l->routines->keys[i]->text);
        }
    }
    for (size_t i = 0; l->fragments && i < l->fragments->n; i++) {
        if (!l->fragments_used[i]) {
            say(l, l->fragments->keys[i]->pos, "fragment `%.60s` is never used", l->fragments->keys[i]->text);
        }
    }
}

static void check_asset(Loader *l, const Node *file)
{
    size_t errors = l->nerrors;
    if (!keys_check(l, file, SCOPE_asset) || l->nerrors != errors) {
        return;
    }
    const Node *path = node_get(file, "path"), *get = node_get(file, "get");
    const char *text = path ? text_of(l, path, "`path`") : NULL;
    if (!path) {
        say(l, file->pos, "an asset needs a `path`");
    } else if (text && (*text == '/' || !strcmp(text, "..") || !strncmp(text, "../", 3) || strstr(text, "/.."))) {
        say(l, path->pos, "an asset is named from the folder of assets, without `..`");
    }
    if (get) {
        text_of(l, get, "`get`");
    }
}

static void check_assets(Loader *l)
{
    for (size_t i = 0; l->assets && i < l->assets->n; i++) {
        const Node *asset = l->assets->items[i];
        if (!is_guest_map(asset)) {
            say(l, asset->pos, "an asset is a map by guest: {riscv64: {path: ..}}");
            continue;
        }
        for (size_t k = 0; k < asset->n; k++) {
            check_asset(l, asset->items[k]);
        }
    }
}

static const Node *part_of(Loader *l, const Node *root, const char *key)
{
    const Node *n = node_get(root, key);
    const char *what = arena_printf(l->arena, "`%s`", key);
    return n && is_map(l, n, what) && is_few(l, n, MAX_NAMES, what) ? n : NULL;
}

static void parts_read(Loader *l, const Node *root)
{
    const Node *version = node_get(root, "version");
    if (!version && !l->nerrors) {
        say(l, root->pos, "the suite needs `version: 1`");
    } else if (version && (version->kind != NODE_SCALAR || strcmp(version->text, "1") != 0)) {
        say(l, version->pos, "version 1 is the only one");
    }
    l->routines = part_of(l, root, "routines");
    l->fragments = part_of(l, root, "fragments");
    l->assets = part_of(l, root, "assets");
    l->defaults = part_of(l, root, "defaults");
    l->routines_used = arena_alloc(l->arena, l->routines ? l->routines->n : 1);
    l->fragments_used = arena_alloc(l->arena, l->fragments ? l->fragments->n : 1);
    check_assets(l);
    if (l->defaults && keys_check(l, l->defaults, SCOPE_scenario) && node_key(l->defaults, "name")) {
        say(l, node_key(l->defaults, "name")->pos, "a name cannot be a default");
    }
}

static void suite_read(Loader *l, const Node *root)
{
    if (!keys_check(l, root, SCOPE_suite)) {
        return;
    }
    parts_read(l, root);
    const Node *scenarios = node_get(root, "scenarios");
    if (!scenarios) {
        if (!l->nerrors) {
            say(l, root->pos, "the suite needs `scenarios`");
        }
        return;
    }
    if (!is_list(l, scenarios, "`scenarios`")) {
        return;
    }
    for (size_t i = 0; i < scenarios->n && !l->is_full; i++) {
        scenario_load(l, scenarios->items[i]);
    }
    check_ids(l);
    check_probes(l);
    if (!l->nerrors) {
        check_unused_parts(l);
    }
}

Suite *suite_from_node(Arena *arena, const char *file, const Node *root, Diags *diags)
{
    Loader l = {.arena = arena, .file = arena_strdup(arena, file), .diags = diags};
    l.suite = arena_alloc(arena, sizeof *l.suite);
    *l.suite = (Suite){.arena = arena, .file = l.file, .root = root};
    suite_read(&l, root);
    if (!l.nerrors) {
        l.suite->ncases = l.cases.n;
        l.suite->cases = arena_alloc(arena, l.cases.n * sizeof(Case));
        if (l.cases.n) {
            memcpy(l.suite->cases, l.cases.items, l.cases.n * sizeof(Case));
        }
    }
    VEC_FREE(&l.cases);
    diags_finish(&l);
    return l.nerrors ? NULL : l.suite;
}

Suite *suite_load(Arena *arena, const char *file, const char *text, size_t n, Diags *diags)
{
    const Node *root = NULL;
    Err err = {0};
    if (!node_parse_yaml(arena, file, text, n, &root, &err)) {
        return suite_from_node(arena, file, root, diags);
    }
    /* The place stands in the text already; as a Pos it is for tools that show it elsewhere. */
    Pos pos = {arena_strdup(arena, file), 0, 0};
    size_t len = strlen(file);
    if (!strncmp(err.text, file, len) && err.text[len] == ':') {
        char *end = err.text + len + 1;
        pos.line = (uint32_t)strtoul(end, &end, 10);
        pos.col = *end == ':' ? (uint32_t)strtoul(end + 1, NULL, 10) : 0;
    }
    VEC_PUSH(diags, (Diag){.pos = pos, .text = arena_strdup(arena, err.text)});
    return NULL;
}

void suite_free(Suite *s)
{
    if (s) {
        arena_free(s->arena);
    }
}
