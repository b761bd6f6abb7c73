/* SPDX-License-Identifier: Apache-2.0
 * runs.c - the list of runs, their names, their backends. */
#include "coverage/history/history_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS                                                                                                        \
    "SELECT id, uid, time_ms, ordinal, commit_id, parent, branch, host, version, job, cut_short, is_dirty, "           \
    "duration_ns, seed,"                                                                                               \
    " passed, failed, error, skipped, xfailed, xpassed FROM conf_run ORDER BY time_ms, id"

static HistoryRun read_run(const SqlOps *ops, const SqlRows *rows, Arena *a)
{
    HistoryRun r = {.id = ops->get_int(rows, 0),
                    .uid = arena_strdup(a, ops->get_text(rows, 1, NULL)),
                    .time_ms = ops->get_int(rows, 2),
                    .ordinal = (uint64_t)ops->get_int(rows, 3),
                    .commit = arena_strdup(a, ops->get_text(rows, 4, NULL)),
                    .parent = arena_strdup(a, ops->get_text(rows, 5, NULL)),
                    .branch = arena_strdup(a, ops->get_text(rows, 6, NULL)),
                    .host = arena_strdup(a, ops->get_text(rows, 7, NULL)),
                    .version = arena_strdup(a, ops->get_text(rows, 8, NULL)),
                    .job = arena_strdup(a, ops->get_text(rows, 9, NULL)),
                    .cut_short = arena_strdup(a, ops->get_text(rows, 10, NULL)),
                    .is_dirty = ops->get_int(rows, 11) != 0,
                    .duration_ns = (uint64_t)ops->get_int(rows, 12),
                    .seed = (uint64_t)ops->get_int(rows, 13)};
    for (int s = HISTORY_passed; s < HISTORY_STATUS_COUNT; s++) {
        r.n[s] = (uint64_t)ops->get_int(rows, 13 + s);
    }
    return r;
}

static bool is_wanted(const HistoryRun *r, const HistoryFilter *f)
{
    return (!f->branch || !strcmp(f->branch, r->branch)) && (!f->host || !strcmp(f->host, r->host)) &&
           (!f->commit || !strncmp(f->commit, r->commit, strlen(f->commit))) &&
           (!f->since_ms || r->time_ms >= f->since_ms) && (!f->until_ms || r->time_ms <= f->until_ms) &&
           (!f->first_id || r->id >= f->first_id) && (!f->last_id || r->id <= f->last_id);
}

typedef struct {
    const HistoryFilter *f;
    Arena *arena;
    VEC(HistoryRun) list;
} RunRows;

/* Rows are few (one a run) and short: which ones are wanted is decided here, the same for every database. */
static void on_run(void *ctx, const SqlRows *rows)
{
    RunRows *x = ctx;
    HistoryRun r = read_run(rows->sql->ops, rows, x->arena);
    if (is_wanted(&r, x->f)) {
        VEC_PUSH(&x->list, r);
    }
}

int history_runs(History *h, const HistoryFilter *f, HistoryRuns *out, Err *err)
{
    static const HistoryFilter ALL = {0};
    *out = (HistoryRuns){.arena = arena_new()};
    RunRows x = {.f = f ? f : &ALL, .arena = out->arena};
    int rc = sql_each(h->sql, COLUMNS, SQL_NO_ARGS, on_run, &x, err);
    if (rc) {
        VEC_FREE(&x.list);
        history_runs_free(out);
        return rc;
    }
    size_t skip = x.f->last && x.f->last < x.list.n ? x.list.n - x.f->last : 0;
    if (skip) {
        memmove(x.list.items, x.list.items + skip, (x.list.n - skip) * sizeof *x.list.items);
    }
    out->runs = x.list.items;
    out->n = x.list.n - skip;
    return 0;
}

bool history_has_results(const HistoryRun *r)
{
    uint64_t n = 0;
    for (int s = HISTORY_passed; s < HISTORY_STATUS_COUNT; s++) {
        n += r->n[s];
    }
    return n > 0;
}

void history_runs_free(HistoryRuns *r)
{
    mem_free(r->runs);
    arena_free(r->arena);
    *r = (HistoryRuns){0};
}

/* ---- names ---- */

static bool is_number(const char *name, int64_t *n)
{
    char *end;
    *n = strtoll(name, &end, 10);
    return name[0] >= '1' && name[0] <= '9' && !*end && end - name < 10;
}

static int last_name(const HistoryRuns *runs, const char *name, size_t *at, Err *err)
{
    int64_t back = 0;
    if (name[4] && (name[4] != '~' || (strcmp(name + 4, "~0") && !is_number(name + 5, &back)))) {
        return err_set(err, ERR_NOENT, "run `%s`: expected last or last~N", name);
    }
    if ((uint64_t)back >= runs->n) {
        return err_set(err, ERR_NOENT, "run `%s`: there are only %zu runs", name, runs->n);
    }
    *at = runs->n - 1 - (size_t)back;
    return 0;
}

static int find_in(const HistoryRuns *runs, const char *name, size_t *at, Err *err)
{
    int64_t id = 0;
    bool has_id = is_number(name, &id);
    if (!runs->n) {
        return err_set(err, ERR_NOENT, "the history has no runs yet");
    }
    if (!strncmp(name, "last", 4)) {
        return last_name(runs, name, at, err);
    }
    for (size_t i = runs->n; i-- > 0;) {
        const HistoryRun *r = &runs->runs[i];
        if ((has_id && r->id == id) || !strcmp(r->uid, name) ||
            (!strncmp(name, "branch:", 7) && !strcmp(r->branch, name + 7))) {
            *at = i;
            return 0;
        }
    }
    for (size_t i = runs->n; i-- > 0 && strlen(name) >= 4;) {
        if (!strncmp(runs->runs[i].commit, name, strlen(name))) {
            *at = i;
            return 0;
        }
    }
    return err_set(err, ERR_NOENT,
                   "no run `%.100s`; a run is a number, last, last~N, a commit (at least 4 letters) or branch:NAME",
                   name);
}

int history_find_run(History *h, const char *name, int64_t *id, Err *err)
{
    HistoryRuns runs;
    size_t at = 0;
    int rc = history_runs(h, NULL, &runs, err);
    if (rc) {
        return rc;
    }
    rc = find_in(&runs, name, &at, err);
    if (!rc) {
        *id = runs.runs[at].id;
    }
    history_runs_free(&runs);
    return rc;
}

int history_run_before(History *h, int64_t id, const char *branch, int64_t *before, Err *err)
{
    HistoryRuns runs;
    int rc = history_runs(h, NULL, &runs, err);
    if (rc) {
        return rc;
    }
    size_t at = 0;
    *before = 0;
    while (at < runs.n && runs.runs[at].id != id) {
        at++;
    }
    const char *want = branch ? branch : at < runs.n ? runs.runs[at].branch : "";
    for (size_t i = at; i-- > 0 && at < runs.n;) {
        if (!strcmp(runs.runs[i].branch, want) && history_has_results(&runs.runs[i])) {
            *before = runs.runs[i].id;
            break;
        }
    }
    history_runs_free(&runs);
    return 0;
}

typedef struct {
    Arena *arena;
    VEC(HistoryBackend) list;
} BackendRows;

static void on_backend(void *ctx, const SqlRows *rows)
{
    BackendRows *x = ctx;
    const SqlOps *ops = rows->sql->ops;
    const char *name = arena_strdup(x->arena, ops->get_text(rows, 0, NULL));
    const char *version = arena_strdup(x->arena, ops->get_text(rows, 1, NULL));
    VEC_PUSH(&x->list, (HistoryBackend){.name = name, .version = version});
}

int history_backends(History *h, int64_t run, HistoryBackends *out, Err *err)
{
    *out = (HistoryBackends){.arena = arena_new()};
    BackendRows x = {.arena = out->arena};
    int rc = sql_each(h->sql,
                      "SELECT n.value, v.value FROM conf_backend b JOIN conf_text n ON n.id = b.name JOIN conf_text v"
                      " ON v.id = b.version WHERE b.run = $1 ORDER BY n.value",
                      SQL_ARGS(sql_int(run)), on_backend, &x, err);
    out->backends = x.list.items;
    out->n = x.list.n;
    if (rc) {
        history_backends_free(out);
    }
    return rc;
}

void history_backends_free(HistoryBackends *b)
{
    mem_free(b->backends);
    arena_free(b->arena);
    *b = (HistoryBackends){0};
}
