/* SPDX-License-Identifier: Apache-2.0
 * model.c - the tables, each with an index by content, and their merging. */
#include "coverage/model.h"

#include "sim/base/hash.h"

#include <string.h>

/* ---- an index: open addressing; the tables themselves hold the keys ---- */
typedef bool Same(const Coverage *c, uint32_t i, const void *key);

static void map_put(CovMap *m, uint32_t hash, uint32_t value)
{
    size_t at = hash & (m->cap - 1);
    while (m->slots[at].value != COV_NONE) {
        at = (at + 1) & (m->cap - 1);
    }
    m->slots[at] = (CovSlot){.hash = hash, .value = value};
    m->n++;
}

static void map_grow(CovMap *m)
{
    CovMap old = *m;
    m->cap = old.cap ? 2 * old.cap : 64;
    m->n = 0;
    m->slots = x_calloc(m->cap, sizeof *m->slots);
    for (size_t i = 0; i < m->cap; i++) {
        m->slots[i].value = COV_NONE;
    }
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].value != COV_NONE) {
            map_put(m, old.slots[i].hash, old.slots[i].value);
        }
    }
    mem_free(old.slots);
}

static uint32_t map_find(const CovMap *m, const Coverage *c, uint32_t hash, const void *key, Same *same)
{
    for (size_t at = hash; m->cap; at++) {
        const CovSlot *slot = &m->slots[at & (m->cap - 1)];
        if (slot->value == COV_NONE || (slot->hash == hash && same(c, slot->value, key))) {
            return slot->value;
        }
    }
    return COV_NONE;
}

static void map_add(CovMap *m, uint32_t hash, uint32_t value)
{
    if (2 * (m->n + 1) > m->cap) {
        map_grow(m);
    }
    map_put(m, hash, value);
}

static uint32_t mixed(uint64_t h)
{
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32);
}

static uint32_t hash_texts(const char *const *texts, size_t n)
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) {
        h = h * 0x100000001b3u ^ fnv1a(texts[i], strlen(texts[i]));
    }
    return mixed(h);
}

/* ---- texts ---- */
static const char *text_of(const Coverage *c, CovTextTable table, uint32_t i)
{
    return table == COV_TEXT   ? c->index->texts.items[i]
           : table == COV_KIND ? c->kinds.items[i]
           : table == COV_RUN  ? c->runs.items[i]
                               : c->scenarios.items[i];
}

typedef struct {
    CovTextTable table;
    const char *text;
} TextKey;

static bool same_text(const Coverage *c, uint32_t i, const void *key)
{
    const TextKey *k = key;
    return !strcmp(text_of(c, k->table, i), k->text);
}

static uint32_t text_find(const Coverage *c, CovTextTable table, const char *text)
{
    TextKey key = {.table = table, .text = text};
    return map_find(&c->index->by_text[table], c, hash_texts(&text, 1), &key, same_text);
}

/* Groups, scopes, patterns and reasons repeat: each is kept once. */
static const char *kept(Coverage *c, const char *text)
{
    uint32_t i = text_find(c, COV_TEXT, text);
    if (i == COV_NONE) {
        i = (uint32_t)c->index->texts.n;
        VEC_PUSH(&c->index->texts, arena_strdup(c->arena, text));
        map_add(&c->index->by_text[COV_TEXT], hash_texts(&text, 1), i);
    }
    return c->index->texts.items[i];
}

static uint32_t text_add(Coverage *c, CovTextTable table, const char *text)
{
    uint32_t i = text_find(c, table, text);
    if (i != COV_NONE) {
        return i;
    }
    const char *copy = arena_strdup(c->arena, text);
    if (table == COV_KIND) {
        i = (uint32_t)c->kinds.n;
        VEC_PUSH(&c->kinds, copy);
    } else if (table == COV_RUN) {
        i = (uint32_t)c->runs.n;
        VEC_PUSH(&c->runs, copy);
    } else {
        i = (uint32_t)c->scenarios.n;
        VEC_PUSH(&c->scenarios, copy);
    }
    map_add(&c->index->by_text[table], hash_texts(&text, 1), i);
    return i;
}

/* ---- life ---- */
Coverage *coverage_new(void)
{
    Coverage *c = x_alloc(sizeof *c);
    c->arena = arena_new();
    c->index = x_alloc(sizeof *c->index);
    return c;
}

void coverage_free(Coverage *c)
{
    if (!c) {
        return;
    }
    for (int i = 0; i < COV_TEXT_TABLES; i++) {
        mem_free(c->index->by_text[i].slots);
    }
    mem_free(c->index->items.slots);
    mem_free(c->index->contexts.slots);
    mem_free(c->index->rules.slots);
    mem_free(c->index->hits.slots);
    VEC_FREE(&c->index->texts);
    mem_free(c->index);
    VEC_FREE(&c->kinds);
    VEC_FREE(&c->scenarios);
    VEC_FREE(&c->runs);
    VEC_FREE(&c->items);
    VEC_FREE(&c->contexts);
    VEC_FREE(&c->rules);
    VEC_FREE(&c->hits);
    arena_free(c->arena);
    mem_free(c);
}

/* ---- items ---- */
typedef struct {
    uint32_t kind;
    const char *name;
} ItemKey;

static bool same_item(const Coverage *c, uint32_t i, const void *key)
{
    const ItemKey *k = key;
    return c->items.items[i].kind == k->kind && !strcmp(c->items.items[i].name, k->name);
}

static uint32_t hash_item(const ItemKey *k)
{
    return mixed(fnv1a(k->name, strlen(k->name)) + k->kind);
}

static uint32_t item_add(Coverage *c, const CovItem *item)
{
    ItemKey key = {.kind = item->kind, .name = item->name};
    uint32_t hash = hash_item(&key);
    uint32_t i = map_find(&c->index->items, c, hash, &key, same_item);
    if (i == COV_NONE) {
        i = (uint32_t)c->items.n;
        CovItem own = {.kind = item->kind,
                       .group = kept(c, item->group),
                       .name = arena_strdup(c->arena, item->name),
                       .scope = kept(c, item->scope),
                       .is_listed = item->is_listed};
        VEC_PUSH(&c->items, own);
        map_add(&c->index->items, hash, i);
    } else if (item->is_listed && !c->items.items[i].is_listed) {
        c->items.items[i].is_listed = true; /* what the universe says of it counts */
        c->items.items[i].group = kept(c, item->group);
        c->items.items[i].scope = kept(c, item->scope);
    }
    return i;
}

uint32_t coverage_item(Coverage *c, const char *kind, const char *group, const char *name, const char *scope)
{
    CovItem item = {.group = group, .name = name, .scope = scope, .is_listed = true};
    item.kind = text_add(c, COV_KIND, kind);
    return item_add(c, &item);
}

uint32_t coverage_found(Coverage *c, const char *kind, const char *group, const char *name)
{
    CovItem item = {.group = group, .name = name, .scope = "*"};
    item.kind = text_add(c, COV_KIND, kind);
    return item_add(c, &item);
}

uint32_t coverage_kind_add(Coverage *c, const char *kind)
{
    return text_add(c, COV_KIND, kind);
}

uint32_t coverage_kind_find(const Coverage *c, const char *kind)
{
    return text_find(c, COV_KIND, kind);
}

uint32_t coverage_item_find(const Coverage *c, const char *kind, const char *name)
{
    ItemKey key = {.kind = coverage_kind_find(c, kind), .name = name};
    return key.kind == COV_NONE ? COV_NONE : map_find(&c->index->items, c, hash_item(&key), &key, same_item);
}

/* ---- contexts, scenarios, runs, rules ---- */
static bool same_context(const Coverage *c, uint32_t i, const void *key)
{
    const CovContext *k = key, *x = &c->contexts.items[i];
    return !strcmp(x->backend, k->backend) && !strcmp(x->guest, k->guest) && !strcmp(x->engine, k->engine);
}

uint32_t coverage_context(Coverage *c, const char *backend, const char *guest, const char *engine)
{
    CovContext key = {.backend = backend, .guest = guest, .engine = engine};
    uint32_t hash = hash_texts((const char *[]){backend, guest, engine}, 3);
    uint32_t i = map_find(&c->index->contexts, c, hash, &key, same_context);
    if (i == COV_NONE) {
        i = (uint32_t)c->contexts.n;
        CovContext own = {.backend = kept(c, backend), .guest = kept(c, guest), .engine = kept(c, engine)};
        VEC_PUSH(&c->contexts, own);
        map_add(&c->index->contexts, hash, i);
    }
    return i;
}

uint32_t coverage_scenario(Coverage *c, const char *id)
{
    return text_add(c, COV_SCENARIO, id);
}

void coverage_run(Coverage *c, const char *id)
{
    text_add(c, COV_RUN, id);
}

static bool same_rule(const Coverage *c, uint32_t i, const void *key)
{
    const CovRule *k = key, *x = &c->rules.items[i];
    return !strcmp(x->kind, k->kind) && !strcmp(x->item, k->item) && !strcmp(x->backend, k->backend) &&
           !strcmp(x->guest, k->guest) && !strcmp(x->reason, k->reason);
}

void coverage_rule(Coverage *c, const CovRule *rule)
{
    uint32_t hash = hash_texts((const char *[]){rule->kind, rule->item, rule->backend, rule->guest, rule->reason}, 5);
    if (map_find(&c->index->rules, c, hash, rule, same_rule) == COV_NONE) {
        CovRule own = {.kind = kept(c, rule->kind),
                       .item = kept(c, rule->item),
                       .backend = kept(c, rule->backend),
                       .guest = kept(c, rule->guest),
                       .reason = kept(c, rule->reason)};
        map_add(&c->index->rules, hash, (uint32_t)c->rules.n);
        VEC_PUSH(&c->rules, own);
    }
}

/* ---- hits ---- */
static bool same_hit(const Coverage *c, uint32_t i, const void *key)
{
    const CovHit *k = key, *x = &c->hits.items[i];
    return x->item == k->item && x->context == k->context && x->scenario == k->scenario;
}

void coverage_hit(Coverage *c, uint32_t item, uint32_t context, uint32_t scenario, uint64_t n)
{
    if (!n) {
        return;
    }
    CovHit key = {.item = item, .context = context, .scenario = scenario, .count = n};
    uint32_t hash = mixed(((uint64_t)item * 0x100000001b3u ^ context) * 0x9e3779b97f4a7c15u ^ scenario);
    uint32_t i = map_find(&c->index->hits, c, hash, &key, same_hit);
    if (i == COV_NONE) {
        map_add(&c->index->hits, hash, (uint32_t)c->hits.n);
        VEC_PUSH(&c->hits, key);
        return;
    }
    uint64_t *count = &c->hits.items[i].count;
    *count = *count + n < n ? UINT64_MAX : *count + n;
}

/* ---- merging ---- */
/* How many of from's runs are in into. */
static size_t runs_shared(const Coverage *into, const Coverage *from)
{
    size_t n = 0;
    for (size_t i = 0; i < from->runs.n; i++) {
        n += text_find(into, COV_RUN, from->runs.items[i]) != COV_NONE;
    }
    return n;
}

static void merge_tables(Coverage *into, const Coverage *from, uint32_t *items, uint32_t *contexts, uint32_t *scenarios)
{
    for (size_t i = 0; i < from->kinds.n; i++) {
        text_add(into, COV_KIND, from->kinds.items[i]);
    }
    for (size_t i = 0; i < from->items.n; i++) {
        CovItem item = from->items.items[i];
        item.kind = text_add(into, COV_KIND, from->kinds.items[item.kind]);
        items[i] = item_add(into, &item);
    }
    for (size_t i = 0; i < from->contexts.n; i++) {
        const CovContext *x = &from->contexts.items[i];
        contexts[i] = coverage_context(into, x->backend, x->guest, x->engine);
    }
    for (size_t i = 0; i < from->scenarios.n; i++) {
        scenarios[i] = coverage_scenario(into, from->scenarios.items[i]);
    }
    for (size_t i = 0; i < from->rules.n; i++) {
        coverage_rule(into, &from->rules.items[i]);
    }
    for (size_t i = 0; i < from->runs.n; i++) {
        coverage_run(into, from->runs.items[i]);
    }
}

int coverage_merge(Coverage *into, const Coverage *from, Err *err)
{
    size_t nshared = runs_shared(into, from);
    if (from->runs.n && nshared == from->runs.n) {
        return 0;
    }
    if (nshared) {
        return err_set(err, ERR_EXIST, "%zu of %zu runs are there already, and cannot be told from the others", nshared,
                       from->runs.n);
    }
    uint32_t *items = x_calloc(from->items.n, sizeof *items);
    uint32_t *contexts = x_calloc(from->contexts.n, sizeof *contexts);
    uint32_t *scenarios = x_calloc(from->scenarios.n, sizeof *scenarios);
    merge_tables(into, from, items, contexts, scenarios);
    for (size_t i = 0; i < from->hits.n; i++) {
        const CovHit *h = &from->hits.items[i];
        coverage_hit(into, items[h->item], contexts[h->context], scenarios[h->scenario], h->count);
    }
    mem_free(items);
    mem_free(contexts);
    mem_free(scenarios);
    return 0;
}
