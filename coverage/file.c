/* SPDX-License-Identifier: Apache-2.0
 * file.c - a Coverage as JSON (docs/coverage.md). Tables are written in the order of their content and hits by context,
 * scenario and item, so that equal contents are equal bytes; the reader takes any order of rows, but each table before
 * what points into it. */
#include "coverage/model.h"

#include "sim/base/json_in.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */
typedef struct {
    const Coverage *c;
    Buf *out;
    /* [old index] = place in the file */
    uint32_t *kind, *text, *item, *context, *scenario;
} Writer;

typedef int Order(const void *a, const void *b, void *w);

/* The indices 0..n-1 in order; *place (not NULL) is the way back. */
static uint32_t *sorted(size_t n, Order *order, Writer *w, uint32_t **place)
{
    uint32_t *list = x_calloc(n, sizeof *list);
    for (size_t i = 0; i < n; i++) {
        list[i] = (uint32_t)i;
    }
    if (n) {
        qsort_r(list, n, sizeof *list, order, w);
    }
    if (place) {
        *place = x_calloc(n, sizeof **place);
        for (size_t i = 0; i < n; i++) {
            (*place)[list[i]] = (uint32_t)i;
        }
    }
    return list;
}

static int compare_at(const char *const *texts, const void *a, const void *b)
{
    return strcmp(texts[*(const uint32_t *)a], texts[*(const uint32_t *)b]);
}

static int order_kind(const void *a, const void *b, void *w)
{
    return compare_at(((Writer *)w)->c->kinds.items, a, b);
}

static int order_run(const void *a, const void *b, void *w)
{
    return compare_at(((Writer *)w)->c->runs.items, a, b);
}

static int order_scenario(const void *a, const void *b, void *w)
{
    return compare_at(((Writer *)w)->c->scenarios.items, a, b);
}

static int order_text(const void *a, const void *b, void *w)
{
    return compare_at(((Writer *)w)->c->index->texts.items, a, b);
}

static int compare_u32(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

static int order_item(const void *a, const void *b, void *ctx)
{
    const Writer *w = ctx;
    const CovItem *x = &w->c->items.items[*(const uint32_t *)a], *y = &w->c->items.items[*(const uint32_t *)b];
    int rc = compare_u32(w->kind[x->kind], w->kind[y->kind]);
    rc = rc ? rc : strcmp(x->group, y->group);
    return rc ? rc : strcmp(x->name, y->name);
}

static int order_context(const void *a, const void *b, void *ctx)
{
    const Writer *w = ctx;
    const CovContext *x = &w->c->contexts.items[*(const uint32_t *)a], *y = &w->c->contexts.items[*(const uint32_t *)b];
    int rc = strcmp(x->backend, y->backend);
    rc = rc ? rc : strcmp(x->guest, y->guest);
    return rc ? rc : strcmp(x->engine, y->engine);
}

static int order_rule(const void *a, const void *b, void *ctx)
{
    const Writer *w = ctx;
    const CovRule *x = &w->c->rules.items[*(const uint32_t *)a], *y = &w->c->rules.items[*(const uint32_t *)b];
    int rc = strcmp(x->kind, y->kind);
    rc = rc ? rc : strcmp(x->item, y->item);
    rc = rc ? rc : strcmp(x->backend, y->backend);
    rc = rc ? rc : strcmp(x->guest, y->guest);
    return rc ? rc : strcmp(x->reason, y->reason);
}

static int order_hit(const void *a, const void *b, void *ctx)
{
    const Writer *w = ctx;
    const CovHit *x = &w->c->hits.items[*(const uint32_t *)a], *y = &w->c->hits.items[*(const uint32_t *)b];
    int rc = compare_u32(w->context[x->context], w->context[y->context]);
    rc = rc ? rc : compare_u32(w->scenario[x->scenario], w->scenario[y->scenario]);
    return rc ? rc : compare_u32(w->item[x->item], w->item[y->item]);
}

static void put_text(Buf *out, const char *text)
{
    Json j = json_to(out, 0);
    json_str(&j, text);
}

/* "KEY": [ rows, one a line ]; put_row writes the row of an index. */
static void put_table(Writer *w, const char *key, const uint32_t *list, size_t n, void (*put_row)(Writer *, uint32_t))
{
    buf_printf(w->out, ",\n\"%s\": [", key);
    for (size_t i = 0; i < n; i++) {
        buf_str(w->out, i ? ",\n" : "\n");
        put_row(w, list[i]);
    }
    buf_char(w->out, ']');
}

static void put_run(Writer *w, uint32_t i)
{
    put_text(w->out, w->c->runs.items[i]);
}

static void put_kind(Writer *w, uint32_t i)
{
    put_text(w->out, w->c->kinds.items[i]);
}

static void put_used_text(Writer *w, uint32_t i)
{
    put_text(w->out, w->c->index->texts.items[i]);
}

static void put_scenario(Writer *w, uint32_t i)
{
    put_text(w->out, w->c->scenarios.items[i]);
}

static void put_context(Writer *w, uint32_t i)
{
    const CovContext *x = &w->c->contexts.items[i];
    Json j = json_to(w->out, 0);
    json_open(&j, '[');
    json_str(&j, x->backend);
    json_str(&j, x->guest);
    json_str(&j, x->engine);
    json_close(&j, ']');
}

static void put_rule(Writer *w, uint32_t i)
{
    const CovRule *r = &w->c->rules.items[i];
    Json j = json_to(w->out, 0);
    json_open(&j, '[');
    json_str(&j, r->kind);
    json_str(&j, r->item);
    json_str(&j, r->backend);
    json_str(&j, r->guest);
    json_str(&j, r->reason);
    json_close(&j, ']');
}

static uint32_t text_place(const Writer *w, const char *text)
{
    uint32_t i = 0;
    while (w->c->index->texts.items[i] != text) { /* groups and scopes are few, and kept once */
        i++;
    }
    return w->text[i];
}

static void put_items(Writer *w, const uint32_t *list)
{
    const char *group = NULL, *scope = NULL;
    uint32_t group_place = 0, scope_place = 0;
    buf_str(w->out, ",\n\"items\": [");
    for (size_t i = 0; i < w->c->items.n; i++) {
        const CovItem *item = &w->c->items.items[list[i]];
        group_place = item->group == group ? group_place : text_place(w, item->group);
        scope_place = item->scope == scope ? scope_place : text_place(w, item->scope);
        group = item->group;
        scope = item->scope;
        buf_printf(w->out, "%s[%u,%u,%u,%d,", i ? ",\n" : "\n", w->kind[item->kind], group_place, scope_place,
                   item->is_listed);
        put_text(w->out, item->name);
        buf_char(w->out, ']');
    }
    buf_char(w->out, ']');
}

static void put_hits(Writer *w, const uint32_t *list)
{
    const CovHit *last = NULL;
    buf_str(w->out, ",\n\"hits\": [");
    for (size_t i = 0; i < w->c->hits.n; i++) {
        const CovHit *h = &w->c->hits.items[list[i]];
        if (!last || last->context != h->context || last->scenario != h->scenario) {
            buf_printf(w->out, "%s\n[%u,%u", last ? "]," : "", w->context[h->context], w->scenario[h->scenario]);
        }
        buf_printf(w->out, ",%u,%" PRIu64, w->item[h->item], h->count);
        last = h;
    }
    buf_str(w->out, last ? "]]" : "]");
}

/* Of the texts those that are groups or scopes; patterns and reasons are written where they stand. */
static uint32_t *used_texts(Writer *w, size_t *n)
{
    uint32_t *all = sorted(w->c->index->texts.n, order_text, w, NULL);
    bool *is_used = x_calloc(w->c->index->texts.n, sizeof *is_used);
    w->text = x_calloc(w->c->index->texts.n, sizeof *w->text);
    const char *group = NULL, *scope = NULL;
    for (size_t i = 0; i < w->c->items.n; i++) {
        const CovItem *item = &w->c->items.items[i];
        for (uint32_t t = 0; (item->group != group || item->scope != scope) && t < w->c->index->texts.n; t++) {
            const char *text = w->c->index->texts.items[t];
            is_used[t] = is_used[t] || text == item->group || text == item->scope;
        }
        group = item->group;
        scope = item->scope;
    }
    *n = 0;
    for (size_t i = 0; i < w->c->index->texts.n; i++) {
        if (is_used[all[i]]) {
            w->text[all[i]] = (uint32_t)*n;
            all[(*n)++] = all[i];
        }
    }
    mem_free(is_used);
    return all;
}

void coverage_write(const Coverage *c, Buf *out)
{
    Writer w = {.c = c, .out = out};
    size_t ntexts = 0;
    uint32_t *runs = sorted(c->runs.n, order_run, &w, NULL);
    uint32_t *kinds = sorted(c->kinds.n, order_kind, &w, &w.kind);
    uint32_t *texts = used_texts(&w, &ntexts);
    uint32_t *items = sorted(c->items.n, order_item, &w, &w.item);
    uint32_t *contexts = sorted(c->contexts.n, order_context, &w, &w.context);
    uint32_t *scenarios = sorted(c->scenarios.n, order_scenario, &w, &w.scenario);
    uint32_t *rules = sorted(c->rules.n, order_rule, &w, NULL);
    uint32_t *hits = sorted(c->hits.n, order_hit, &w, NULL);
    buf_printf(out, "{\"conf_coverage\": %d", COV_VERSION);
    put_table(&w, "runs", runs, c->runs.n, put_run);
    put_table(&w, "kinds", kinds, c->kinds.n, put_kind);
    put_table(&w, "texts", texts, ntexts, put_used_text);
    put_items(&w, items);
    put_table(&w, "contexts", contexts, c->contexts.n, put_context);
    put_table(&w, "scenarios", scenarios, c->scenarios.n, put_scenario);
    put_table(&w, "rules", rules, c->rules.n, put_rule);
    put_hits(&w, hits);
    buf_str(out, "}\n");
    uint32_t *const all[] = {runs, kinds,  texts,  items,  contexts,  scenarios, rules,
                             hits, w.kind, w.text, w.item, w.context, w.scenario};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        mem_free(all[i]);
    }
}

int coverage_save(const Coverage *c, const char *path, Err *err)
{
    Buf out = {0};
    coverage_write(c, &out);
    int rc = os_write_file(path, out.data, out.n, err);
    buf_free(&out);
    return rc;
}

/* ---- reading ---- */
enum { T_VERSION, T_RUNS, T_KINDS, T_TEXTS, T_ITEMS, T_CONTEXTS, T_SCENARIOS, T_RULES, T_HITS, T_COUNT };
static const char *const TABLES[T_COUNT] = {"conf_coverage", "runs",      "kinds", "texts", "items",
                                            "contexts",      "scenarios", "rules", "hits"};
typedef struct {
    JsonIn j;
    Coverage *c;
    unsigned seen; /* a bit per table */
    Buf text, group, scope, name, reason;
    Arena *arena;
    VEC(const char *) texts;
    VEC(uint32_t) items, contexts; /* [place in the file] = index: a file may say the same twice */
    VEC(uint32_t) scenarios, kinds;
} Reader;

static void name_read(Reader *r, Buf *text)
{
    json_in_str(&r->j, text);
    if (text->n > COV_TEXT_MAX) {
        json_in_fail(&r->j, ERR_LIMIT, "a name of %zu bytes, more than %d", text->n, COV_TEXT_MAX);
    }
    for (size_t i = 0; i < text->n && json_in_ok(&r->j); i++) {
        if ((unsigned char)text->data[i] < ' ' || text->data[i] == 0x7f) {
            json_in_fail(&r->j, ERR_INVAL, "a control character in a name");
        }
    }
}

/* The next cell of a row must be there; the row must end. */
static bool cell(Reader *r)
{
    if (json_in_ok(&r->j) && !json_in_item(&r->j)) {
        json_in_fail(&r->j, ERR_INVAL, "the row is too short");
    }
    return json_in_ok(&r->j);
}

static bool row_end(Reader *r)
{
    if (json_in_ok(&r->j) && json_in_item(&r->j)) {
        json_in_fail(&r->j, ERR_INVAL, "the row is too long");
    }
    return json_in_ok(&r->j);
}

static uint32_t cell_index(Reader *r, size_t n)
{
    if (!cell(r)) {
        return 0;
    }
    if (!n) {
        json_in_fail(&r->j, ERR_INVAL, "it points into an empty table");
        return 0;
    }
    return (uint32_t)json_in_u64(&r->j, n - 1);
}

static void cell_name(Reader *r, Buf *text)
{
    buf_clear(text);
    if (cell(r)) {
        name_read(r, text);
    }
}

static bool is_room(Reader *r, size_t n, size_t max)
{
    if (n >= max) {
        json_in_fail(&r->j, ERR_LIMIT, "more than %zu rows", max);
    }
    return json_in_ok(&r->j);
}

static void read_run(Reader *r)
{
    name_read(r, &r->name);
    if (json_in_ok(&r->j) && is_room(r, r->c->runs.n, COV_RUNS_MAX)) {
        coverage_run(r->c, buf_text(&r->name));
    }
}

static void read_kind(Reader *r)
{
    name_read(r, &r->name);
    if (json_in_ok(&r->j) && is_room(r, r->kinds.n, COV_CONTEXTS_MAX)) {
        VEC_PUSH(&r->kinds, coverage_kind_add(r->c, buf_text(&r->name)));
    }
}

static void read_text(Reader *r)
{
    name_read(r, &r->name);
    if (json_in_ok(&r->j) && is_room(r, r->texts.n, COV_SCENARIOS_MAX)) {
        VEC_PUSH(&r->texts, arena_strdup(r->arena, buf_text(&r->name)));
    }
}

static void read_scenario(Reader *r)
{
    name_read(r, &r->name);
    if (json_in_ok(&r->j) && is_room(r, r->scenarios.n, COV_SCENARIOS_MAX)) {
        VEC_PUSH(&r->scenarios, coverage_scenario(r->c, buf_text(&r->name)));
    }
}

static void read_item(Reader *r)
{
    json_in_open(&r->j, '[');
    uint32_t kind = cell_index(r, r->kinds.n);
    uint32_t group = cell_index(r, r->texts.n);
    uint32_t scope = cell_index(r, r->texts.n);
    bool is_listed = cell_index(r, 2);
    cell_name(r, &r->name);
    if (!row_end(r) || !is_room(r, r->items.n, COV_ITEMS_MAX)) {
        return;
    }
    const char *kind_name = r->c->kinds.items[r->kinds.items[kind]];
    const char *group_name = r->texts.items[group], *name = buf_text(&r->name);
    VEC_PUSH(&r->items, is_listed ? coverage_item(r->c, kind_name, group_name, name, r->texts.items[scope])
                                  : coverage_found(r->c, kind_name, group_name, name));
}

static void read_context(Reader *r)
{
    json_in_open(&r->j, '[');
    cell_name(r, &r->name);
    cell_name(r, &r->group);
    cell_name(r, &r->scope);
    if (row_end(r) && is_room(r, r->contexts.n, COV_CONTEXTS_MAX)) {
        VEC_PUSH(&r->contexts, coverage_context(r->c, buf_text(&r->name), buf_text(&r->group), buf_text(&r->scope)));
    }
}

static void read_rule(Reader *r)
{
    json_in_open(&r->j, '[');
    cell_name(r, &r->text);
    cell_name(r, &r->name);
    cell_name(r, &r->group);
    cell_name(r, &r->scope);
    cell_name(r, &r->reason);
    if (!row_end(r) || !is_room(r, r->c->rules.n, COV_RULES_MAX)) {
        return;
    }
    if (!r->reason.n) {
        json_in_fail(&r->j, ERR_INVAL, "a rule without a reason");
        return;
    }
    coverage_rule(r->c, &(CovRule){.kind = buf_text(&r->text),
                                   .item = buf_text(&r->name),
                                   .backend = buf_text(&r->group),
                                   .guest = buf_text(&r->scope),
                                   .reason = buf_text(&r->reason)});
}

static void read_hits(Reader *r)
{
    json_in_open(&r->j, '[');
    uint32_t context = cell_index(r, r->contexts.n);
    uint32_t scenario = cell_index(r, r->scenarios.n);
    while (json_in_ok(&r->j) && json_in_item(&r->j)) {
        if (!r->items.n) {
            json_in_fail(&r->j, ERR_INVAL, "it points into an empty table");
            return;
        }
        uint32_t item = (uint32_t)json_in_u64(&r->j, r->items.n - 1);
        uint64_t count = cell(r) ? json_in_u64(&r->j, UINT64_MAX) : 0;
        if (json_in_ok(&r->j) && !count) {
            json_in_fail(&r->j, ERR_INVAL, "a hit of 0");
        }
        if (json_in_ok(&r->j)) {
            coverage_hit(r->c, r->items.items[item], r->contexts.items[context], r->scenarios.items[scenario], count);
        }
    }
}

static void read_table(Reader *r, int table)
{
    static void (*const read_row[T_COUNT])(Reader *) = {
        [T_RUNS] = read_run,         [T_KINDS] = read_kind,         [T_TEXTS] = read_text, [T_ITEMS] = read_item,
        [T_CONTEXTS] = read_context, [T_SCENARIOS] = read_scenario, [T_RULES] = read_rule, [T_HITS] = read_hits};
    if (table == T_VERSION) {
        uint64_t version = json_in_u64(&r->j, UINT64_MAX);
        if (json_in_ok(&r->j) && version != COV_VERSION) {
            json_in_fail(&r->j, ERR_VERSION, "version %" PRIu64 " of the format; this conf reads version %d", version,
                         COV_VERSION);
        }
        return;
    }
    json_in_open(&r->j, '[');
    while (json_in_ok(&r->j) && json_in_item(&r->j)) {
        read_row[table](r);
    }
}

static void read_document(Reader *r)
{
    json_in_open(&r->j, '{');
    while (json_in_key(&r->j, &r->text)) {
        int table = 0;
        while (table < T_COUNT && strcmp(TABLES[table], buf_text(&r->text)) != 0) {
            table++;
        }
        if (table == T_COUNT) {
            json_in_fail(&r->j, ERR_INVAL, "unknown key `%.100s`", buf_text(&r->text));
        } else if (r->seen != (1u << table) - 1) {
            json_in_fail(&r->j, ERR_INVAL,
                         "`%s` is not in its place: the keys are conf_coverage, runs, kinds, texts, items, "
                         "contexts, scenarios, rules, hits",
                         TABLES[table]);
        } else {
            r->seen |= 1u << table;
            read_table(r, table);
        }
    }
    if (json_in_ok(&r->j) && r->seen != (1u << T_COUNT) - 1) {
        json_in_fail(&r->j, ERR_INVAL, "a table is missing");
    }
}

int coverage_read(const char *name, const void *bytes, size_t n, Coverage **out, Err *err)
{
    Reader r = {.j = json_in(name, bytes, n, err), .c = coverage_new(), .arena = arena_new()};
    *out = NULL;
    read_document(&r);
    int rc = json_in_end(&r.j);
    Buf *const texts[] = {&r.text, &r.group, &r.scope, &r.name, &r.reason};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_free(texts[i]);
    }
    VEC_FREE(&r.texts);
    VEC_FREE(&r.items);
    VEC_FREE(&r.contexts);
    VEC_FREE(&r.scenarios);
    VEC_FREE(&r.kinds);
    arena_free(r.arena);
    if (rc) {
        coverage_free(r.c);
        return rc;
    }
    *out = r.c;
    return 0;
}

int coverage_load(const char *path, Coverage **out, Err *err)
{
    Buf text = {0};
    *out = NULL;
    int rc = os_read_file(path, COV_FILE_MAX, &text, err);
    rc = rc ? rc : coverage_read(path, text.data, text.n, out, err);
    buf_free(&text);
    return rc;
}
