/* SPDX-License-Identifier: Apache-2.0
 * model.c - the tables of a Dash and the index of its cases. */
#include "coverage/dashboard/dashboard.h"
#include "sim/base/hash.h"

#include <math.h>
#include <string.h>

struct DashIndex { /* of cases, by open addressing; a slot is a case + 1, or 0 */
    size_t *slots, cap;
    size_t ncases, nbackends; /* that the results have room for */
};

#define X(name, letter) {#name, letter},
static const struct {
    const char *name;
    char letter;
} STATUSES[] = {DASH_STATUS_MAP(X)};
#undef X

char dash_status(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(STATUSES); i++) {
        if (!strcmp(STATUSES[i].name, name)) {
            return STATUSES[i].letter;
        }
    }
    return 0;
}

bool dash_is_bad(char status)
{
    return status == 'F' || status == 'E' || status == 'X';
}

Dash *dash_new(void)
{
    Dash *d = x_alloc(sizeof *d);
    d->arena = arena_new();
    d->index = x_alloc(sizeof *d->index);
    d->now = d->last = d->main = DASH_NONE;
    return d;
}

void dash_free(Dash *d)
{
    if (!d) {
        return;
    }
    VEC_FREE(&d->backends);
    VEC_FREE(&d->cases);
    VEC_FREE(&d->results);
    VEC_FREE(&d->runs);
    VEC_FREE(&d->kinds);
    VEC_FREE(&d->cover_backends);
    VEC_FREE(&d->cover_scenarios);
    VEC_FREE(&d->items);
    VEC_FREE(&d->flaky);
    VEC_FREE(&d->changes);
    VEC_FREE(&d->trends);
    VEC_FREE(&d->cover_changes);
    for (size_t i = 0; i < d->bench.n; i++) {
        VEC_FREE(&d->bench.items[i].steps);
    }
    VEC_FREE(&d->bench);
    VEC_FREE(&d->code);
    mem_free(d->status);
    mem_free(d->time);
    mem_free(d->index->slots);
    mem_free(d->index);
    arena_free(d->arena);
    mem_free(d);
}

static uint64_t case_hash(const char *suite, const char *scenario, const char *guest)
{
    uint64_t h = fnv1a(suite, strlen(suite));
    h = h * 31 ^ fnv1a(scenario, strlen(scenario));
    return h * 31 ^ fnv1a(guest, strlen(guest));
}

static size_t *slot_of(const Dash *d, const char *suite, const char *scenario, const char *guest)
{
    struct DashIndex *x = d->index;
    for (size_t at = case_hash(suite, scenario, guest);; at++) {
        size_t *slot = &x->slots[at & (x->cap - 1)];
        const DashCase *c = *slot ? &d->cases.items[*slot - 1] : NULL;
        if (!c || (!strcmp(c->scenario, scenario) && !strcmp(c->suite, suite) && !strcmp(c->guest, guest))) {
            return slot;
        }
    }
}

static void index_grow(Dash *d)
{
    struct DashIndex *x = d->index;
    mem_free(x->slots);
    x->cap = x->cap ? 2 * x->cap : 256;
    x->slots = x_calloc(x->cap, sizeof *x->slots);
    for (size_t i = 0; i < d->cases.n; i++) {
        const DashCase *c = &d->cases.items[i];
        *slot_of(d, c->suite, c->scenario, c->guest) = i + 1;
    }
}

size_t dash_case(Dash *d, const char *suite, const char *scenario, const char *guest)
{
    if (2 * (d->cases.n + 1) > d->index->cap) {
        index_grow(d);
    }
    size_t *slot = slot_of(d, suite, scenario, guest);
    if (!*slot) {
        VEC_PUSH(&d->cases, (DashCase){.suite = arena_strdup(d->arena, suite),
                                       .scenario = arena_strdup(d->arena, scenario),
                                       .guest = arena_strdup(d->arena, guest)});
        *slot = d->cases.n;
    }
    return *slot - 1;
}

size_t dash_backend(Dash *d, const char *name)
{
    for (size_t i = 0; i < d->backends.n; i++) {
        if (!strcmp(d->backends.items[i], name)) {
            return i;
        }
    }
    VEC_PUSH(&d->backends, arena_strdup(d->arena, name));
    return d->backends.n - 1;
}

int dash_results(Dash *d, Err *err)
{
    if (d->backends.n && d->cases.n > DASH_CELLS_MAX / d->backends.n) {
        return err_set(err, ERR_LIMIT, "%zu cases on %zu backends are more than the %d results of a dashboard",
                       d->cases.n, d->backends.n, DASH_CELLS_MAX);
    }
    struct DashIndex *x = d->index;
    size_t n = d->cases.n * d->backends.n;
    DashResult *results = x_calloc(n, sizeof *results);
    for (size_t c = 0; c < x->ncases; c++) {
        for (size_t b = 0; b < x->nbackends; b++) {
            results[c * d->backends.n + b] = d->results.items[c * x->nbackends + b];
        }
    }
    VEC_FREE(&d->results);
    d->results.items = results;
    d->results.n = d->results.cap = n;
    x->ncases = d->cases.n;
    x->nbackends = d->backends.n;
    return 0;
}

int dash_history(Dash *d, Err *err)
{
    size_t n = d->results.n;
    mem_free(d->status);
    mem_free(d->time);
    d->status = mem_try(n, d->runs.n * sizeof *d->status);
    d->time = mem_try(n, d->runs.n * sizeof *d->time);
    if (n && d->runs.n && (!d->status || !d->time)) {
        return err_set(err, ERR_LIMIT, "no memory for the history of %zu results over %zu runs", n, d->runs.n);
    }
    if (n && d->runs.n) {
        memset(d->status, '.', n * d->runs.n);
    }
    return 0;
}

uint16_t dash_time(uint64_t ns)
{
    if (!ns) {
        return 0;
    }
    double v = 1 + log2((double)ns) * 4094 / 40;
    return v > 4095 ? 4095 : (uint16_t)lround(v);
}
