/* SPDX-License-Identifier: Apache-2.0
 * analyse.c - what changed for good, what flickers, what is slow. */
#include "coverage/history/history_int.h"
#include "coverage/history/series.h"

#include <math.h>
#include <stdlib.h>

enum { LASTING = 3, LASTING_MAX = 60 };

/* ---- series ---- */

AllSeries series_of(const HistoryView *v)
{
    size_t nruns = history_nruns(v);
    size_t *which = x_calloc(nruns + 1, sizeof *which);
    Names names = {0};
    AllSeries all = {.memory = x_calloc(nruns + 1, sizeof *all.memory)};
    Buf key = {0};
    for (size_t r = 0; r < nruns; r++) {
        const HistoryRun *run = history_run(v, r);
        buf_clear(&key);
        buf_bytes(&key, run->host, strlen(run->host) + 1);
        buf_str(&key, run->branch);
        const int64_t *at = names_find(&names, key.data, key.n);
        which[r] = at ? (size_t)*at : all.n;
        if (!at) {
            names_add(&names, key.data, key.n, (int64_t)all.n++);
        }
    }
    all.items = x_calloc(all.n + 1, sizeof *all.items);
    for (size_t r = 0; r < nruns; r++) {
        all.items[which[r]].n++;
    }
    size_t at = 0;
    for (size_t i = 0; i < all.n; i++) {
        all.items[i].runs = all.memory + at;
        at += all.items[i].n;
        all.items[i].n = 0;
    }
    for (size_t r = 0; r < nruns; r++) {
        Series *s = &all.items[which[r]];
        s->runs[s->n++] = r;
    }
    buf_free(&key);
    names_free(&names);
    mem_free(which);
    return all;
}

void series_free(AllSeries *s)
{
    mem_free(s->items);
    mem_free(s->memory);
    *s = (AllSeries){0};
}

/* ---- stretches ---- */

typedef struct {
    size_t run;
    uint8_t key; /* what is compared */
    HistoryStatus status;
} Point;
typedef struct {
    size_t from, n; /* of the points */
    uint8_t key;
    bool is_flicker; /* else it is, or belongs to, the lasting status */
    bool is_change;  /* a new lasting status begins */
} Stretch;
typedef struct {
    Point *points;
    Stretch *stretches;
    size_t npoints, nstretches;
} Walk; /* memory for the longest series, used again */

static Walk walk_new(const HistoryView *v)
{
    size_t n = history_nruns(v) + 1;
    return (Walk){.points = x_calloc(n, sizeof *((Walk *)0)->points),
                  .stretches = x_calloc(n, sizeof *((Walk *)0)->stretches)};
}

static void walk_free(Walk *w)
{
    mem_free(w->points);
    mem_free(w->stretches);
}

/* How long a stretch must be to be no chance, when a share of the results since the last change was like it. */
static size_t needed(size_t nlike, size_t nall)
{
    if (!nlike) {
        return LASTING;
    }
    double n = ceil(log(1e-6) / log((double)nlike / (double)nall));
    return n < LASTING ? LASTING : n > LASTING_MAX ? LASTING_MAX : (size_t)n;
}

static void split(Walk *w)
{
    w->nstretches = 0;
    for (size_t i = 0; i < w->npoints; i++) {
        Stretch *last = w->nstretches ? &w->stretches[w->nstretches - 1] : NULL;
        if (last && last->key == w->points[i].key) {
            last->n++;
        } else {
            w->stretches[w->nstretches++] = (Stretch){.from = i, .n = 1, .key = w->points[i].key};
        }
    }
}

/* The lasting status is the first stretch's until a stretch of another one lasts. */
static void judge(Walk *w)
{
    size_t nlike[256] = {0}, nall = 0;
    uint8_t lasting = w->nstretches ? w->stretches[0].key : 0;
    for (size_t i = 0; i < w->nstretches; i++) {
        Stretch *s = &w->stretches[i];
        bool is_last = i + 1 == w->nstretches;
        if (s->key != lasting) {
            bool is_new = is_last && !nlike[s->key]; /* not undone so far, and never seen */
            bool is_undone = !is_last && w->stretches[i + 1].key == lasting;
            s->is_change = is_new || s->n >= needed(nlike[s->key], nall) || (!is_last && !is_undone && !nlike[s->key]);
            s->is_flicker = !s->is_change;
        }
        if (s->is_change) {
            lasting = s->key;
            memset(nlike, 0, sizeof nlike);
            nall = 0;
        }
        nlike[s->key] += s->n;
        nall += s->n;
    }
}

static void walk(const HistoryView *v, const Series *s, size_t backend, size_t c, bool is_any, Walk *w)
{
    w->npoints = 0;
    for (size_t i = 0; i < s->n; i++) {
        HistoryStatus status = history_status(v, s->runs[i], backend, c);
        if (is_any ? status != HISTORY_absent : history_status_ran(status)) {
            w->points[w->npoints++] = (Point){
                .run = s->runs[i], .status = status, .key = is_any ? (uint8_t)status : history_status_is_bad(status)};
        }
    }
    w->nstretches = 0;
    size_t i = 1; /* nearly all are of one kind */
    while (i < w->npoints && w->points[i].key == w->points[0].key) {
        i++;
    }
    if (i < w->npoints) {
        split(w);
        judge(w);
    }
}

/* ---- changes ---- */

typedef VEC(HistoryChange) ChangeList;

static int compare_changes(const void *a, const void *b)
{
    const HistoryChange *x = a, *y = b;
    if (x->run != y->run) {
        return x->run > y->run ? -1 : 1;
    }
    if (x->c != y->c) {
        return x->c < y->c ? -1 : 1;
    }
    return x->backend < y->backend ? -1 : x->backend > y->backend;
}

static void give_changes(ChangeList *list, HistoryChanges *out)
{
    if (list->n) {
        qsort(list->items, list->n, sizeof *list->items, compare_changes);
    }
    out->items = list->items;
    out->n = list->n;
}

void history_changes(const HistoryView *v, bool is_any, HistoryChanges *out)
{
    AllSeries all = series_of(v);
    Walk w = walk_new(v);
    ChangeList list = {0};
    for (size_t s = 0; s < all.n; s++) {
        for (size_t b = 0; b < history_nbackends(v); b++) {
            for (size_t c = 0; c < history_ncases(v); c++) {
                walk(v, &all.items[s], b, c, is_any, &w);
                for (size_t i = 0; i < w.nstretches; i++) {
                    if (w.stretches[i].is_change) {
                        const Point *p = &w.points[w.stretches[i].from];
                        VEC_PUSH(&list, (HistoryChange){.run = p->run,
                                                        .before = p[-1].run,
                                                        .backend = b,
                                                        .c = c,
                                                        .from = p[-1].status,
                                                        .to = p->status});
                    }
                }
            }
        }
    }
    walk_free(&w);
    series_free(&all);
    give_changes(&list, out);
}

void history_compare(const HistoryView *v, size_t from, size_t to, HistoryChanges *out)
{
    ChangeList list = {0};
    for (size_t c = 0; c < history_ncases(v); c++) {
        for (size_t b = 0; b < history_nbackends(v); b++) {
            HistoryStatus was = history_status(v, from, b, c), is = history_status(v, to, b, c);
            if (was != is) {
                VEC_PUSH(&list,
                         (HistoryChange){.run = to, .before = from, .backend = b, .c = c, .from = was, .to = is});
            }
        }
    }
    give_changes(&list, out);
}

void history_changes_free(HistoryChanges *c)
{
    mem_free(c->items);
    *c = (HistoryChanges){0};
}

/* ---- flaky ---- */

/* By run: which commit on which host it is of; SIZE_MAX: not known, or of a tree with changes. */
static size_t *commits_of(const HistoryView *v)
{
    size_t n = history_nruns(v);
    size_t *commit = x_calloc(n + 1, sizeof *commit);
    Names names = {0};
    Buf key = {0};
    for (size_t r = 0; r < n; r++) {
        const HistoryRun *run = history_run(v, r);
        commit[r] = SIZE_MAX;
        if (*run->commit && !run->is_dirty) {
            buf_clear(&key);
            buf_bytes(&key, run->host, strlen(run->host) + 1);
            buf_str(&key, run->commit);
            const int64_t *at = names_find(&names, key.data, key.n);
            commit[r] = at ? (size_t)*at : names.n;
            if (!at) {
                names_add(&names, key.data, key.n, (int64_t)names.n);
            }
        }
    }
    buf_free(&key);
    names_free(&names);
    return commit;
}

typedef struct {
    const HistoryView *v;
    size_t *commit;
    uint8_t *seen; /* by commit: 1 good, 2 bad, 4 counted */
    Walk walk;
} FlakyWalk;

static void note_evidence(HistoryFlaky *f, size_t run)
{
    if (f->nevidence == HISTORY_EVIDENCE) { /* the newest are kept */
        memmove(f->evidence, f->evidence + 1, (HISTORY_EVIDENCE - 1) * sizeof *f->evidence);
        f->nevidence--;
    }
    f->evidence[f->nevidence++] = run;
}

static void count_same_commit(FlakyWalk *t, HistoryFlaky *f)
{
    const Walk *w = &t->walk;
    for (size_t i = 0; i < w->npoints; i++) {
        size_t commit = t->commit[w->points[i].run];
        if (commit != SIZE_MAX) {
            t->seen[commit] |= w->points[i].key ? 2 : 1;
            if (t->seen[commit] == 3) {
                t->seen[commit] = 7;
                f->nsame_commit++;
            }
        }
    }
    for (size_t i = 0; i < w->npoints; i++) {
        if (t->commit[w->points[i].run] != SIZE_MAX) {
            t->seen[t->commit[w->points[i].run]] = 0;
        }
    }
}

static void look_for_flakes(FlakyWalk *t, const Series *s, HistoryFlaky *f, size_t *noff)
{
    Walk *w = &t->walk;
    walk(t->v, s, f->backend, f->c, false, w);
    f->nruns += w->npoints;
    for (size_t i = 0; i < w->npoints; i++) {
        uint64_t exits, transitions;
        uint32_t retries;
        history_counts(t->v, w->points[i].run, f->backend, f->c, &exits, &transitions, &retries);
        f->nbad += w->points[i].key;
        f->nretries += retries;
        if (retries) {
            note_evidence(f, w->points[i].run);
        }
    }
    for (size_t i = 0; i < w->nstretches; i++) {
        if (w->stretches[i].is_flicker) {
            f->nflickers++;
            *noff += w->stretches[i].n;
            note_evidence(f, w->points[w->stretches[i].from].run);
        }
    }
    if (w->nstretches) {
        count_same_commit(t, f);
    }
}

static int compare_flaky(const void *a, const void *b)
{
    const HistoryFlaky *x = a, *y = b;
    if (x->rate != y->rate) {
        return x->rate > y->rate ? -1 : 1;
    }
    return x->c != y->c ? (x->c < y->c ? -1 : 1) : x->backend < y->backend ? -1 : x->backend > y->backend;
}

static int compare_places(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

void history_flaky(const HistoryView *v, HistoryFlakies *out)
{
    AllSeries all = series_of(v);
    FlakyWalk t = {.v = v, .commit = commits_of(v), .seen = x_calloc(history_nruns(v) + 1, 1), .walk = walk_new(v)};
    VEC(HistoryFlaky) list = {0};
    for (size_t b = 0; b < history_nbackends(v); b++) {
        for (size_t c = 0; c < history_ncases(v); c++) {
            HistoryFlaky f = {.backend = b, .c = c};
            size_t noff = 0;
            for (size_t s = 0; s < all.n; s++) {
                look_for_flakes(&t, &all.items[s], &f, &noff);
            }
            if (f.nsame_commit || f.nretries || f.nflickers >= 2) {
                f.rate = (double)noff / (double)f.nruns;
                qsort(f.evidence, f.nevidence, sizeof *f.evidence, compare_places);
                VEC_PUSH(&list, f);
            }
        }
    }
    mem_free(t.commit);
    mem_free(t.seen);
    walk_free(&t.walk);
    series_free(&all);
    if (list.n) {
        qsort(list.items, list.n, sizeof *list.items, compare_flaky);
    }
    *out = (HistoryFlakies){.items = list.items, .n = list.n};
}

void history_flaky_free(HistoryFlakies *f)
{
    mem_free(f->items);
    *f = (HistoryFlakies){0};
}

/* ---- slowest ---- */

static int compare_slow(const void *a, const void *b)
{
    const HistorySlow *x = a, *y = b;
    if (x->median_ns != y->median_ns) {
        return x->median_ns > y->median_ns ? -1 : 1;
    }
    return x->c != y->c ? (x->c < y->c ? -1 : 1) : x->backend < y->backend ? -1 : x->backend > y->backend;
}

void history_slowest(const HistoryView *v, size_t max, HistorySlowest *out)
{
    VEC(HistorySlow) list = {0};
    size_t nruns = history_nruns(v);
    uint16_t *codes = x_calloc(nruns + 1, sizeof *codes); /* packed durations are in the order of what they stand for */
    for (size_t b = 0; b < history_nbackends(v) && view_durations(v, 0, 0); b++) {
        for (size_t c = 0; c < history_ncases(v); c++) {
            HistorySlow s = {.backend = b, .c = c};
            for (size_t r = 0; r < nruns; r++) {
                if (history_status_ran((HistoryStatus)view_statuses(v, r, b)[c])) {
                    uint16_t code = view_durations(v, r, b)[c];
                    uint64_t ns = unpack_duration(code);
                    codes[s.nruns++] = code;
                    s.total_ns += ns;
                    s.max_ns = ns > s.max_ns ? ns : s.max_ns;
                }
            }
            if (s.nruns) {
                s.median_ns = unpack_duration(key_median(codes, s.nruns));
                VEC_PUSH(&list, s);
            }
        }
    }
    mem_free(codes);
    if (list.n) {
        qsort(list.items, list.n, sizeof *list.items, compare_slow);
    }
    *out = (HistorySlowest){.items = list.items, .n = list.n > max ? max : list.n};
}

void history_slowest_free(HistorySlowest *s)
{
    mem_free(s->items);
    *s = (HistorySlowest){0};
}
