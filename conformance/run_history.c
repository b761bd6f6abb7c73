/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/run_history.h"

#include "conformance/history_cmd.h"
#include "coverage/history/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

_Static_assert((int)HISTORY_passed == STATUS_passed + 1 && (int)HISTORY_failed == STATUS_failed + 1 &&
                   (int)HISTORY_error == STATUS_error + 1 && (int)HISTORY_skipped == STATUS_skipped + 1 &&
                   (int)HISTORY_xfailed == STATUS_xfailed + 1 && (int)HISTORY_xpassed == STATUS_xpassed + 1 &&
                   (int)HISTORY_STATUS_COUNT == STATUS_COUNT + 1,
               "the history has the statuses of a run, behind absent");

struct RunHistory {
    History *db;
    HistoryOrigin origin;
    int64_t start_ms;
    RunSince since;
    Buf against;
    int8_t *was;
    HistoryCover cover;
    HistoryItems *before; /* of the run before, one for each of cover.rows; NULL = none */
};

static int tell(const Err *err)
{
    fprintf(stderr, "conf: history: %s\n", err->text);
    return -err->code;
}

/* The newest whole one of the branch, else of main, else of all; of those on this host, if there are any. */
static const HistoryRun *last_run(const HistoryRuns *runs, const HistoryOrigin *o)
{
    const HistoryRun *best = NULL;
    int best_score = -1;
    for (size_t i = 0; i < runs->n; i++) {
        const HistoryRun *r = &runs->runs[i];
        int score = (!strcmp(r->branch, o->branch) ? 4
                     : !strcmp(r->branch, "main")  ? 2
                                                   : 0) +
                    !strcmp(r->host, o->host);
        if (score >= best_score && !*r->cut_short &&
            history_has_results(r)) { /* of a run that was cut short most would seem new */
            best = r;
            best_score = score;
        }
    }
    return best;
}

/* How many results of the old run this one does not have: all of them but those that were found. */
static void compare(RunHistory *h, const HistoryView *v, Run *run)
{
    const HistoryRun *old = history_run(v, 0);
    size_t nfound = 0, nold = 0;
    h->was = x_calloc(run->lines.n + 1, 1);
    for (size_t i = 0; i < run->lines.n; i++) {
        const Result *r = run->lines.items[i].r;
        size_t c = history_find_case(v, result_file(r), r->c->id, guest_name(r->c->guest));
        size_t b = history_find_backend(v, r->backend);
        h->was[i] = (int8_t)(c == SIZE_MAX || b == SIZE_MAX ? -1 : (int)history_status(v, 0, b, c) - 1);
        nfound += h->was[i] >= 0;
    }
    for (int s = HISTORY_passed; s < HISTORY_STATUS_COUNT; s++) {
        nold += old->n[s];
    }
    char time[32], commit[16];
    history_put_time(old->time_ms, time);
    history_put_commit(old, commit);
    buf_printf(&h->against, "run %" PRId64 " of %s, %s, %s", old->id, *old->branch ? old->branch : "no branch", commit,
               time);
    h->since.against = buf_text(&h->against);
    h->since.was = h->was;
    h->since.ngone = nold > nfound ? nold - nfound : 0;
    run->since = &h->since;
}

/* Both are sorted. */
static void only(const char *const *a, size_t na, const char *const *b, size_t nb, SinceCovered *out, int side)
{
    for (size_t i = 0, k = 0; i < na; i++) {
        while (k < nb && strcmp(b[k], a[i]) < 0) {
            k++;
        }
        if (k == nb || strcmp(b[k], a[i]) != 0) {
            VEC_PUSH(&out->only[side], a[i]);
        }
    }
}

static void compare_kind(RunHistory *h, const HistoryCoverageRow *old, const HistoryCoverage *now,
                         const HistoryItems *items)
{
    SinceCovered x = {.kind = now->kind, .covered = {old->covered, now->covered}, .total = {old->total, now->total}};
    if (items->n || !old->covered) { /* else it brought only totals */
        only(items->items, items->n, now->items, now->nitems, &x, 0);
        only(now->items, now->nitems, items->items, items->n, &x, 1);
    }
    h->since.has_coverage = true;
    if (x.only[0].n || x.only[1].n || old->covered != now->covered || old->total != now->total) {
        VEC_PUSH(&h->since.covered, x);
    }
}

/* Kind by kind, all backends together, where the run before looked too. */
static int compare_coverage(RunHistory *h, const HistoryRuns *last, Err *err)
{
    HistoryCoverageRows rows = {0};
    int rc = h->cover.rows.n ? history_coverage(h->db, last, &rows, err) : 0;
    h->before = x_calloc(h->cover.rows.n + 1, sizeof *h->before);
    for (size_t i = 0; !rc && i < h->cover.rows.n; i++) {
        const HistoryCoverage *now = &h->cover.rows.items[i];
        for (size_t k = 0; !rc && k < rows.n; k++) {
            const HistoryCoverageRow *old = &rows.rows[k];
            if (!*now->backend && !*old->backend && !strcmp(now->kind, old->kind)) {
                rc = history_items(h->db, old->run, old->kind, "", &h->before[i], err);
                if (!rc) {
                    compare_kind(h, old, now, &h->before[i]);
                }
            }
        }
    }
    history_coverage_free(&rows);
    return rc;
}

static void run_history_free(RunHistory *h)
{
    for (size_t i = 0; i < h->since.covered.n; i++) {
        VEC_FREE(&h->since.covered.items[i].only[0]);
        VEC_FREE(&h->since.covered.items[i].only[1]);
    }
    VEC_FREE(&h->since.covered);
    for (size_t i = 0; h->before && i < h->cover.rows.n; i++) {
        history_items_free(&h->before[i]);
    }
    mem_free(h->before);
    history_cover_free(&h->cover);
    history_close(h->db);
    buf_free(&h->against);
    mem_free(h->was);
    mem_free(h);
}

RunHistory *run_history_begin(const char *where, Run *run, int64_t start_ms, const Coverage *coverage)
{
    RunHistory *h = x_alloc(sizeof *h);
    HistoryRuns runs = {0};
    Err err = {0};
    h->start_ms = start_ms;
    if (coverage) {
        history_cover_add(&h->cover, coverage);
    }
    history_origin(NULL, &h->origin);
    int rc = history_open(&(HistoryOpen){.where = where}, &h->db, &err);
    rc = rc ? rc : history_runs(h->db, NULL, &runs, &err);
    const HistoryRun *last = rc ? NULL : last_run(&runs, &h->origin);
    if (last) {
        HistoryView *v = NULL;
        HistoryRun copy = *last;
        HistoryRuns one = {.runs = &copy, .n = 1};
        rc = history_view(h->db, &(HistoryViewOptions){.runs = &one}, &v, &err);
        rc = rc ? rc : compare_coverage(h, &one, &err);
        if (!rc) {
            compare(h, v, run);
        }
        history_view_free(v);
    }
    history_runs_free(&runs);
    if (rc) {
        tell(&err);
        run_history_free(h);
        return NULL;
    }
    return h;
}

/* What the backend says of itself; else the kernel is KVM's version, and conf is that of what comes with it. */
static void version_of(Runner *runner, const Plan *plan, size_t backend, GuestId guest, const char *shown, Buf *out)
{
    struct utsname host;
    if (runner) {
        runner_ctl(runner, plan, backend, guest, "version", out);
    }
    if (!out->n && !strcmp(shown, "kvm") && !uname(&host)) {
        buf_printf(out, "%s %s", host.sysname, host.release);
    } else if (!out->n && !plan->backends.items[backend].command) {
        buf_str(out, "conf " CONF_VERSION);
    }
}

typedef VEC(HistoryBackend) Backends;

static void list_backends(Runner *runner, const Plan *plan, Arena *arena, Backends *out)
{
    for (size_t b = 0; b < plan->backends.n; b++) {
        for (int g = 1; g < GUEST_COUNT; g++) {
            const PlanOpen *open = &plan->backends.items[b].open[g];
            Buf version = {0};
            if (open->state != OPEN_OK) {
                continue;
            }
            version_of(runner, plan, b, (GuestId)g, open->shown, &version);
            VEC_PUSH(out, (HistoryBackend){.name = open->shown, .version = arena_strdup(arena, buf_text(&version))});
            buf_free(&version);
            break; /* it is one program for all guests */
        }
    }
}

static int add(RunHistory *h, const Run *run, Runner *runner, const Plan *plan, int64_t *id, Err *err)
{
    Arena *arena = arena_new();
    Backends backends = {0};
    HistoryResult *results = x_calloc(run->lines.n + 1, sizeof *results);
    for (size_t i = 0; i < run->lines.n; i++) {
        const Result *r = run->lines.items[i].r;
        results[i] = (HistoryResult){.suite = result_file(r),
                                     .scenario = r->c->id,
                                     .guest = guest_name(r->c->guest),
                                     .backend = r->backend,
                                     .status = (HistoryStatus)(r->status + 1),
                                     .reason = buf_text(&r->reason),
                                     .duration_ns = r->duration_ns,
                                     .exits = r->nexits,
                                     .transitions = r->ntransitions,
                                     .line = r->c->pos.line};
    }
    list_backends(runner, plan, arena, &backends);
    HistoryAdd a = {
        .run = {.commit = h->origin.commit,
                .parent = h->origin.parent,
                .branch = h->origin.branch,
                .host = h->origin.host,
                .job = h->origin.job,
                .version = CONF_VERSION,
                .cut_short = run->cut_short,
                .is_dirty = !h->origin.is_ci, /* whether it was is not looked at: that is the whole of git's index */
                .time_ms = h->start_ms,
                .duration_ns = run->tally.duration_ns,
                .seed = run->view.seed},
        .backends = backends.items,
        .nbackends = backends.n,
        .results = results,
        .nresults = run->lines.n,
        .coverage = h->cover.rows.items,
        .ncoverage = h->cover.rows.n};
    int rc = history_add(h->db, &a, id, NULL, err);
    VEC_FREE(&backends);
    mem_free(results);
    arena_free(arena);
    return rc;
}

int run_history_end(RunHistory *h, Run *run, Runner *runner, const Plan *plan)
{
    int64_t id = 0;
    Err err = {0};
    if (!h) {
        return -ERR_IO;
    }
    int rc = add(h, run, runner, plan, &id, &err);
    if (rc) {
        tell(&err);
    } else if (!run->view.is_quiet) {
        fprintf(run->out, "history: run %" PRId64 " in %s\n", id, history_where(h->db));
    }
    run->since = NULL;
    run_history_free(h);
    return rc;
}
