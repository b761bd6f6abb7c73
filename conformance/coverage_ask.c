/* SPDX-License-Identifier: Apache-2.0
 * coverage_ask.c - conf coverage why, gaps and excluded. */
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/cover_int.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SHOWN = 10 };

typedef struct {
    const CoverQuery *q;
    const Coverage *c;
    CovMatrix m;
    uint32_t *hits; /* indices of c->hits, by item, context, scenario */
} Ask;

static int by_item(const void *a, const void *b, void *ctx)
{
    const Coverage *c = ctx;
    const CovHit *x = &c->hits.items[*(const uint32_t *)a], *y = &c->hits.items[*(const uint32_t *)b];
    if (x->item != y->item) {
        return x->item < y->item ? -1 : 1;
    }
    int rc = strcmp(c->contexts.items[x->context].backend, c->contexts.items[y->context].backend);
    rc = rc ? rc : strcmp(c->contexts.items[x->context].guest, c->contexts.items[y->context].guest);
    return rc ? rc : strcmp(c->scenarios.items[x->scenario], c->scenarios.items[y->scenario]);
}

static Ask ask_begin(const CoverQuery *q, const Coverage *c)
{
    Ask a = {.q = q, .c = c, .hits = x_calloc(c->hits.n, sizeof *a.hits)};
    for (size_t i = 0; i < c->hits.n; i++) {
        a.hits[i] = (uint32_t)i;
    }
    if (c->hits.n) {
        qsort_r(a.hits, c->hits.n, sizeof *a.hits, by_item, (void *)c);
    }
    coverage_matrix(c, &a.m);
    return a;
}

static void ask_end(Ask *a)
{
    mem_free(a->hits);
    coverage_matrix_free(&a->m);
}

static const char *kind_of(const Ask *a, uint32_t item)
{
    return a->c->kinds.items[a->c->items.items[item].kind];
}

/* The first hit of the item; c->hits.n if it has none. */
static size_t hits_from(const Ask *a, uint32_t item)
{
    size_t low = 0, high = a->c->hits.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->c->hits.items[a->hits[middle]].item < item) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < a->c->hits.n && a->c->hits.items[a->hits[low]].item == item ? low : a->c->hits.n;
}

static const CovHit *hit_at(const Ask *a, size_t i, uint32_t item)
{
    const CovHit *h = i < a->c->hits.n ? &a->c->hits.items[a->hits[i]] : NULL;
    return h && h->item == item ? h : NULL;
}

/* ---- why ---- */
/* "KIND:NAME", "NAME", or the end of a name after a blank ("addi" for "riscv64 addi"). */
static bool is_meant(const Ask *a, uint32_t item, const char *thing)
{
    const char *kind = kind_of(a, item), *name = a->c->items.items[item].name;
    size_t n = strlen(kind);
    if (!strncmp(thing, kind, n) && thing[n] == ':') {
        thing += n + 1;
    }
    size_t have = strlen(name), want = strlen(thing);
    return !strcmp(name, thing) ||
           (want && have > want && name[have - want - 1] == ' ' && !strcmp(name + have - want, thing));
}

static void put_hits(const Ask *a, uint32_t item, Buf *out)
{
    size_t nleft = 0, nshown = 0;
    const CovHit *last = NULL;
    for (size_t i = hits_from(a, item); hit_at(a, i, item); i++) {
        const CovHit *h = hit_at(a, i, item);
        const CovContext *x = &a->c->contexts.items[h->context];
        if (!cover_wants(&a->q->backends, x->backend)) {
            continue;
        }
        if (!last || last->context != h->context) {
            if (nleft) {
                buf_printf(out, "      and %zu more (-v names them)\n", nleft);
            }
            buf_printf(out, "  %s%s%s\n", *x->backend ? x->backend : "the program", *x->guest ? " " : "", x->guest);
            nleft = nshown = 0;
        }
        last = h;
        if (nshown++ < MAX_SHOWN || a->q->is_verbose) {
            buf_printf(out, "      %s  %llu\n", a->c->scenarios.items[h->scenario], (unsigned long long)h->count);
        } else {
            nleft++;
        }
    }
    if (nleft) {
        buf_printf(out, "      and %zu more (-v names them)\n", nleft);
    }
}

/* Why the item counts for nothing on this backend; NULL: it does count. */
static const char *why_excluded(const Ask *a, uint32_t item, size_t b)
{
    const char *why = NULL;
    if (a->m.state[item * a->m.nbackends + b] != COV_EXCLUDED) {
        return NULL;
    }
    for (size_t x = 0; x < a->c->contexts.n && !why; x++) {
        bool is_there = !strcmp(a->c->contexts.items[x].backend, a->m.backends[b]);
        why = is_there ? coverage_excluded(a->c, item, (uint32_t)x) : NULL;
    }
    return why ? why : "";
}

/* Where it is not reached, and whether it could be. */
static void put_absent(const Ask *a, uint32_t item, Buf *out)
{
    const CovItem *it = &a->c->items.items[item];
    for (size_t b = 0; b < a->m.nbackends; b++) {
        size_t at = item * a->m.nbackends + b;
        const char *backend = a->m.backends[b], *why = why_excluded(a, item, b);
        if (a->m.count[at] || a->m.state[at] == COV_FOREIGN || !cover_wants(&a->q->backends, backend)) {
            continue;
        }
        buf_printf(out, "  not on %s%s%s\n", *backend ? backend : "the program", why ? ": " : "", why ? why : "");
    }
    if (!it->is_listed) {
        buf_str(out, "  it is in no list, and counts in no percentage\n");
    }
}

static void put_item(const Ask *a, uint32_t item, Buf *out)
{
    const CovItem *it = &a->c->items.items[item];
    buf_printf(out, "%s %s (%s)\n", kind_of(a, item), it->name, it->group);
    put_hits(a, item, out);
    put_absent(a, item, out);
}

static int no_such_thing(const Ask *a)
{
    const char **names = x_calloc(2 * a->c->items.n, sizeof *names);
    for (size_t i = 0; i < a->c->items.n; i++) {
        const char *name = a->c->items.items[i].name, *blank = strrchr(name, ' ');
        names[2 * i] = name;
        names[2 * i + 1] = blank ? blank + 1 : NULL;
    }
    const char *colon = strchr(a->q->thing, ':');
    const char *near = cli_nearest(a->q->thing, names, 2 * a->c->items.n);
    near = near || !colon ? near : cli_nearest(colon + 1, names, 2 * a->c->items.n);
    fprintf(stderr, "conf: nothing is called `%s`%s%s%s\n", a->q->thing, near ? "; did you mean `" : "",
            near ? near : "", near ? "`?" : "");
    mem_free(names);
    return CONF_NOTHING;
}

int cover_why(const CoverQuery *q, const Coverage *c)
{
    Ask a = ask_begin(q, c);
    Buf out = {0};
    size_t nfound = 0, nleft = 0;
    for (uint32_t i = 0; i < c->items.n; i++) {
        if (cover_wants(&q->kinds, kind_of(&a, i)) && is_meant(&a, i, q->thing)) {
            if (nfound++ < MAX_SHOWN || q->is_verbose) {
                put_item(&a, i, &out);
            } else {
                nleft++;
            }
        }
    }
    if (nleft) {
        buf_printf(&out, "and %zu more of that name (-v shows them)\n", nleft);
    }
    fputs(buf_text(&out), stdout);
    int status = nfound ? CONF_OK : no_such_thing(&a);
    buf_free(&out);
    ask_end(&a);
    return status;
}

/* ---- gaps ---- */
typedef struct {
    uint32_t item;
    size_t nopen, nmissing; /* backends that could reach it; that do not */
} Gap;
static Gap gap_of(const Ask *a, uint32_t item)
{
    Gap g = {.item = item};
    for (size_t b = 0; b < a->m.nbackends; b++) {
        size_t at = item * a->m.nbackends + b;
        if (a->m.state[at] == COV_OPEN && cover_wants(&a->q->backends, a->m.backends[b])) {
            g.nopen++;
            g.nmissing += !a->m.count[at];
        }
    }
    return g;
}

static int by_group(const void *a, const void *b, void *ctx)
{
    const Coverage *c = ctx;
    const CovItem *x = &c->items.items[((const Gap *)a)->item], *y = &c->items.items[((const Gap *)b)->item];
    if (x->kind != y->kind) {
        return coverage_kind_order(c->kinds.items[x->kind], c->kinds.items[y->kind]);
    }
    int rc = strcmp(x->group, y->group);
    return rc ? rc : strcmp(x->name, y->name);
}

static bool is_same_group(const Ask *a, uint32_t i, uint32_t j)
{
    const CovItem *x = &a->c->items.items[i], *y = &a->c->items.items[j];
    return x->kind == y->kind && !strcmp(x->group, y->group);
}

/* A scenario that reaches most of the group already is the one to be extended. */
static const char *nearest_scenario(const Ask *a, uint32_t like, size_t *nreached)
{
    uint32_t *count = x_calloc(a->c->scenarios.n, sizeof *count), best = 0, last_item = COV_NONE,
             last_scenario = COV_NONE;
    for (size_t i = 0; i < a->c->hits.n; i++) {
        const CovHit *h = &a->c->hits.items[a->hits[i]];
        bool is_again = h->item == last_item && h->scenario == last_scenario;
        if (!is_again && is_same_group(a, h->item, like)) {
            count[h->scenario]++;
            best = count[h->scenario] > count[best] ? h->scenario : best;
        }
        last_item = h->item;
        last_scenario = h->scenario;
    }
    *nreached = a->c->scenarios.n ? count[best] : 0;
    mem_free(count);
    return *nreached ? a->c->scenarios.items[best] : NULL;
}

static void put_gap(const Ask *a, const Gap *g, Buf *out)
{
    const CovItem *item = &a->c->items.items[g->item];
    const CovHit *hit = hit_at(a, hits_from(a, g->item), g->item);
    buf_printf(out, "    %s", item->name);
    if (g->nmissing < g->nopen || hit) {
        const char *gap = "  not on ";
        for (size_t b = 0; b < a->m.nbackends; b++) {
            size_t at = g->item * a->m.nbackends + b;
            if (a->m.state[at] == COV_OPEN && !a->m.count[at] && cover_wants(&a->q->backends, a->m.backends[b])) {
                buf_printf(out, "%s%s", gap, a->m.backends[b]);
                gap = ", ";
            }
        }
    }
    if (hit) {
        buf_printf(out, "  (%s on %s)", a->c->scenarios.items[hit->scenario],
                   a->c->contexts.items[hit->context].backend);
    }
    buf_char(out, '\n');
}

static void put_group(const Ask *a, const Gap *gaps, size_t n, Buf *out)
{
    size_t nlisted = 0, nreached = 0;
    const CovItem *first = &a->c->items.items[gaps[0].item];
    for (uint32_t i = 0; i < a->c->items.n; i++) {
        nlisted += a->c->items.items[i].is_listed && is_same_group(a, i, gaps[0].item);
    }
    buf_printf(out, "%s / %s: %zu of %zu\n", coverage_kind_title(kind_of(a, gaps[0].item)), first->group, n, nlisted);
    const char *near = nearest_scenario(a, gaps[0].item, &nreached);
    if (near) {
        buf_printf(out, "  begin at %s, which reaches %zu\n", near, nreached);
    }
    for (size_t i = 0; i < n; i++) {
        if (i < MAX_SHOWN || a->q->is_verbose) {
            put_gap(a, &gaps[i], out);
        }
    }
    if (n > MAX_SHOWN && !a->q->is_verbose) {
        buf_printf(out, "    and %zu more (-v names them)\n", n - MAX_SHOWN);
    }
}

int cover_gaps(const CoverQuery *q, const Coverage *c)
{
    Ask a = ask_begin(q, c);
    VEC(Gap) gaps = {0};
    Buf out = {0};
    for (uint32_t i = 0; i < c->items.n; i++) {
        Gap g = gap_of(&a, i);
        if (c->items.items[i].is_listed && g.nmissing && cover_wants(&q->kinds, kind_of(&a, i))) {
            VEC_PUSH(&gaps, g);
        }
    }
    if (gaps.n) {
        qsort_r(gaps.items, gaps.n, sizeof *gaps.items, by_group, (void *)c);
    }
    for (size_t from = 0, to; from < gaps.n; from = to) {
        for (to = from; to < gaps.n && is_same_group(&a, gaps.items[from].item, gaps.items[to].item);) {
            to++;
        }
        put_group(&a, &gaps.items[from], to - from, &out);
    }
    buf_printf(&out, "%zu gaps\n", gaps.n);
    fputs(buf_text(&out), stdout);
    buf_free(&out);
    VEC_FREE(&gaps);
    ask_end(&a);
    return CONF_OK;
}

/* ---- excluded ---- */
static size_t put_excluded(const Ask *a, const Gap *items, size_t n, size_t b, Buf *out)
{
    size_t nout = 0;
    for (size_t i = 0; i < n; i++) {
        const char *why = why_excluded(a, items[i].item, b);
        if (!why) {
            continue;
        }
        if (!nout++) {
            buf_printf(out, "%s, %s\n", coverage_kind_title(kind_of(a, items[i].item)), a->m.backends[b]);
        }
        buf_printf(out, "    %s: %s\n", a->c->items.items[items[i].item].name, why);
    }
    return nout;
}

int cover_excluded(const CoverQuery *q, const Coverage *c)
{
    Ask a = ask_begin(q, c);
    VEC(Gap) items = {0};
    Buf out = {0};
    size_t nout = 0;
    for (uint32_t i = 0; i < c->items.n; i++) {
        if (cover_wants(&q->kinds, kind_of(&a, i))) {
            VEC_PUSH(&items, ((Gap){.item = i}));
        }
    }
    if (items.n) {
        qsort_r(items.items, items.n, sizeof *items.items, by_group, (void *)c);
    }
    for (size_t from = 0, to; from < items.n; from = to) {
        uint32_t kind = c->items.items[items.items[from].item].kind;
        for (to = from; to < items.n && c->items.items[items.items[to].item].kind == kind;) {
            to++;
        }
        for (size_t b = 0; b < a.m.nbackends; b++) {
            nout += cover_wants(&q->backends, a.m.backends[b])
                        ? put_excluded(&a, &items.items[from], to - from, b, &out)
                        : 0;
        }
    }
    buf_printf(&out, "%zu excluded\n", nout);
    fputs(buf_text(&out), stdout);
    buf_free(&out);
    VEC_FREE(&items);
    ask_end(&a);
    return CONF_OK;
}
