/* SPDX-License-Identifier: Apache-2.0
 * import_history.c - runs, results over time and what coverage/history/history.h finds in them: changes, flaky results, steps in
 * durations. */
#include "coverage/dashboard/dashboard.h"
#include "coverage/history/history.h"

#include <math.h>
#include <string.h>

typedef struct {
    Dash *d;
    History *h;
    HistoryRuns runs;
    HistoryView *view,
        *newest;      /* all runs with durations; the newest that has results, with its reasons (NULL: none has) */
    size_t newest_at; /* that one in runs; the last one if none has results */
    size_t *cases, *backends; /* of the view: their index in d */
} Import;

static char letter_of(HistoryStatus s)
{
    return s == HISTORY_absent ? '.' : dash_status(history_status_name(s));
}

static const char *keep(Dash *d, const char *text)
{
    return text && *text ? arena_strdup(d->arena, text) : NULL;
}

static int load(Import *x, const char *where, uint64_t last, Err *err)
{
    int rc = history_open(&(HistoryOpen){.where = where, .is_reader = true}, &x->h, err);
    rc = rc ? rc : history_runs(x->h, &(HistoryFilter){.last = last}, &x->runs, err);
    if (rc || !x->runs.n) {
        return rc;
    }
    x->newest_at = x->runs.n - 1;
    for (size_t i = x->runs.n;
         i-- > 0 && !history_has_results(&x->runs.runs[x->newest_at]);) { /* measurements alone are no news */
        x->newest_at = history_has_results(&x->runs.runs[i]) ? i : x->newest_at;
    }
    HistoryRuns newest = {.runs = &x->runs.runs[x->newest_at], .n = 1};
    HistoryViewOptions all = {.runs = &x->runs, .what = HISTORY_DURATIONS | HISTORY_COUNTS};
    HistoryViewOptions one = {.runs = &newest, .what = HISTORY_DURATIONS | HISTORY_COUNTS | HISTORY_REASONS};
    rc = history_view(x->h, &all, &x->view, err);
    return rc ? rc : history_view(x->h, &one, &x->newest, err);
}

static void add_names(Import *x)
{
    x->cases = x_calloc(history_ncases(x->view) + 1, sizeof *x->cases);
    x->backends = x_calloc(history_nbackends(x->view) + 1, sizeof *x->backends);
    for (size_t i = 0; i < history_ncases(x->view); i++) {
        const HistoryCase *c = history_case(x->view, i);
        x->cases[i] = dash_case(x->d, c->suite, c->scenario, c->guest);
        DashCase *to = &x->d->cases.items[x->cases[i]];
        to->line = to->line ? to->line : c->line;
    }
    for (size_t i = 0; i < history_nbackends(x->view); i++) {
        x->backends[i] = dash_backend(x->d, history_backend(x->view, i));
    }
}

/* Is all that the reports say what the newest run says? Then they are of that run. */
static bool is_same_run(const Import *x)
{
    HistoryIter it = {0};
    HistoryResult r;
    size_t nboth = 0;
    while (history_next(x->newest, 0, &it, &r)) {
        size_t cell = dash_case(x->d, r.suite, r.scenario, r.guest) * x->d->backends.n + dash_backend(x->d, r.backend);
        char reported = x->d->results.items[cell].status;
        if (reported && reported != letter_of(r.status)) {
            return false;
        }
        nboth += reported != 0;
    }
    return nboth > 0;
}

static void add_runs(Import *x, bool has_reports)
{
    Dash *d = x->d;
    DashRun reported = {0};
    if (has_reports) {
        reported = d->runs.items[d->now];
    }
    d->runs.n = 0;
    for (size_t i = 0; i < x->runs.n; i++) {
        const HistoryRun *r = &x->runs.runs[i];
        DashRun run = {.id = (uint64_t)r->id,
                       .time_ms = r->time_ms,
                       .commit = keep(d, r->commit),
                       .branch = keep(d, r->branch),
                       .host = keep(d, r->host),
                       .cut_short = keep(d, r->cut_short),
                       .duration_ns = r->duration_ns};
        for (int s = HISTORY_absent + 1; s < HISTORY_STATUS_COUNT; s++) {
            run.n[(unsigned char)letter_of((HistoryStatus)s)] = r->n[s];
        }
        VEC_PUSH(&d->runs, run);
    }
    d->now = x->newest_at;
    if (has_reports && !is_same_run(x)) {
        reported.id = d->runs.items[d->runs.n - 1].id + 1;
        d->now = d->runs.n;
        VEC_PUSH(&d->runs, reported);
    }
}

static size_t run_index(const Dash *d, int64_t id)
{
    for (size_t i = 0; i < d->runs.n; i++) {
        if (d->runs.items[i].id == (uint64_t)id) {
            return i;
        }
    }
    return DASH_NONE;
}

static int find_compared(Import *x, Err *err)
{
    Dash *d = x->d;
    const HistoryRun *newest = &x->runs.runs[x->newest_at];
    bool is_reported = d->now == x->runs.n; /* a run of its own after the newest */
    int64_t last = newest->id, main_id = newest->id;
    int rc = is_reported ? 0 : history_run_before(x->h, newest->id, NULL, &last, err);
    if (!rc && (!is_reported || !newest->branch || strcmp(newest->branch, "main") != 0)) {
        rc = history_run_before(x->h, newest->id, "main", &main_id, err);
    }
    d->last = last ? run_index(d, last) : DASH_NONE;
    d->main = main_id && main_id != last ? run_index(d, main_id) : DASH_NONE;
    return rc;
}

/* What the newest run knows of its results; reports know more and came first. */
static void add_results(Import *x)
{
    HistoryIter it = {0};
    HistoryResult r;
    while (history_next(x->newest, 0, &it, &r)) {
        size_t cell = dash_case(x->d, r.suite, r.scenario, r.guest) * x->d->backends.n + dash_backend(x->d, r.backend);
        DashResult *to = &x->d->results.items[cell];
        if (!to->status) {
            *to = (DashResult){.status = letter_of(r.status),
                               .duration_ns = r.duration_ns,
                               .exits = r.exits,
                               .transitions = r.transitions,
                               .seed = x->runs.runs[x->newest_at].seed,
                               .reason = keep(x->d, r.reason)};
        }
    }
}

static void add_cells(Import *x)
{
    Dash *d = x->d;
    for (size_t run = 0; run < x->runs.n; run++) {
        for (size_t b = 0; b < history_nbackends(x->view); b++) {
            for (size_t c = 0; c < history_ncases(x->view); c++) {
                HistoryStatus s = history_status(x->view, run, b, c);
                size_t at = (x->cases[c] * d->backends.n + x->backends[b]) * d->runs.n + run;
                if (s != HISTORY_absent) {
                    d->status[at] = letter_of(s);
                    d->time[at] = dash_time(history_duration_ns(x->view, run, b, c));
                }
            }
        }
    }
    for (size_t i = 0; i < d->results.n; i++) { /* also what only a report has */
        if (d->results.items[i].status) {
            d->status[i * d->runs.n + d->now] = d->results.items[i].status;
            d->time[i * d->runs.n + d->now] = dash_time(d->results.items[i].duration_ns);
        }
    }
}

/* ---- what is found in them ---- */
static void add_changes(Import *x)
{
    HistoryChanges changes = {0};
    history_changes(x->view, false, &changes);
    for (size_t i = 0; i < changes.n; i++) {
        const HistoryChange *c = &changes.items[i];
        VEC_PUSH(&x->d->changes, (DashChange){.run = c->run,
                                              .before = c->before,
                                              .backend = x->backends[c->backend],
                                              .c = x->cases[c->c],
                                              .from = letter_of(c->from),
                                              .to = letter_of(c->to)});
    }
    history_changes_free(&changes);
}

static void add_flaky(Import *x)
{
    HistoryFlakies flaky = {0};
    history_flaky(x->view, &flaky);
    for (size_t i = 0; i < flaky.n; i++) {
        const HistoryFlaky *f = &flaky.items[i];
        DashFlaky to = {.c = x->cases[f->c],
                        .backend = x->backends[f->backend],
                        .nruns = f->nruns,
                        .nbad = f->nbad,
                        .nflickers = f->nflickers,
                        .nsame_commit = f->nsame_commit,
                        .rate = f->rate,
                        .nevidence = f->nevidence};
        memcpy(to.evidence, f->evidence, sizeof to.evidence);
        VEC_PUSH(&x->d->flaky, to);
    }
    history_flaky_free(&flaky);
}

static void add_trends(Import *x)
{
    HistoryTrends trends = {0};
    history_trends(x->view, NULL, &trends);
    for (size_t i = 0; i < trends.n; i++) {
        const HistoryTrend *t = &trends.items[i];
        VEC_PUSH(&x->d->trends, (DashTrend){.backend = x->backends[t->backend],
                                            .c = t->c == SIZE_MAX ? DASH_NONE : x->cases[t->c],
                                            .run = t->run,
                                            .before = t->run ? t->run - 1 : 0,
                                            .before_ns = t->before_ns,
                                            .after_ns = t->after_ns,
                                            .p = t->p});
    }
    history_trends_free(&trends);
}

/* ---- coverage and benchmarks ---- */
static DashKind *kind_of(Dash *d, const char *name)
{
    for (size_t i = 0; i < d->kinds.n; i++) {
        if (!strcmp(d->kinds.items[i].name, name)) {
            return &d->kinds.items[i];
        }
    }
    const char *kept = arena_strdup(d->arena, name);
    VEC_PUSH(&d->kinds, (DashKind){.name = kept, .title = kept});
    return &d->kinds.items[d->kinds.n - 1];
}

/* Rows of all backends together ("" as backend) if there are, else the best of one backend. */
static int add_coverage(Import *x, Err *err)
{
    Dash *d = x->d;
    HistoryCoverageRows rows = {0};
    size_t nknown = d->kinds.n;
    int rc = history_coverage(x->h, &x->runs, &rows, err);
    for (size_t i = 0; i < rows.n && !rc; i++) {
        const HistoryCoverageRow *row = &rows.rows[i];
        DashKind *k = kind_of(d, row->kind);
        size_t run = run_index(d, row->run);
        if (!k->over) {
            k->over = arena_alloc(d->arena, d->runs.n * sizeof *k->over);
            k->of = arena_alloc(d->arena, d->runs.n * sizeof *k->of);
            for (size_t r = 0; r < d->runs.n; r++) {
                k->over[r] = k->of[r] = -1;
            }
        }
        if (run != DASH_NONE && k->over[run] < (int64_t)row->covered) {
            k->over[run] = (int64_t)row->covered;
            k->of[run] = (int64_t)row->total;
        }
    }
    history_coverage_free(&rows);
    /* As it is now, else as the newest run that looked has it; what files of coverage say is newer. */
    for (size_t i = nknown; !rc && i < d->kinds.n; i++) {
        DashKind *k = &d->kinds.items[i];
        size_t at = d->now;
        for (size_t r = d->runs.n; r-- > 0 && k->over[at] < 0;) {
            at = k->over[r] >= 0 ? r : at;
        }
        k->covered = (uint64_t)k->over[at];
        k->total = (uint64_t)k->of[at];
    }
    return rc;
}

static void add_names_of(Dash *d, DashCoverChange *to, int side, const char *const *names, size_t n)
{
    to->n[side] = n;
    to->nnames[side] = n > DASH_NAMES_MAX ? DASH_NAMES_MAX : n;
    to->names[side] = arena_alloc(d->arena, (to->nnames[side] + 1) * sizeof *to->names[side]);
    for (size_t i = 0; i < to->nnames[side]; i++) {
        to->names[side][i] = arena_strdup(d->arena, names[i]);
    }
}

static int add_cover_changes(Import *x, Err *err)
{
    Dash *d = x->d;
    HistoryCoverChanges list;
    int rc = history_cover_changes(x->h, &x->runs, false, &list, err);
    for (size_t i = 0; !rc && i < list.n && i < DASH_COVER_CHANGES_MAX; i++) {
        const HistoryCoverChange *c = &list.items[i];
        DashCoverChange to = {.run = c->run,
                              .before = c->before,
                              .kind = arena_strdup(d->arena, c->kind),
                              .backend = arena_strdup(d->arena, c->backend),
                              .covered = {c->covered[0], c->covered[1]},
                              .total = {c->total[0], c->total[1]}};
        add_names_of(d, &to, 0, c->lost, c->nlost);
        add_names_of(d, &to, 1, c->gained, c->ngained);
        VEC_PUSH(&d->cover_changes, to);
    }
    if (!rc) {
        history_cover_changes_free(&list);
    }
    return rc;
}

/* The rows of one series, n of them. */
static void add_series(Dash *d, const HistoryBenchRow *rows, size_t n, size_t nseries)
{
    DashBench bench = {.name = arena_strdup(d->arena, rows->name),
                       .unit = arena_strdup(d->arena, rows->unit),
                       .host = arena_strdup(d->arena, rows->host),
                       .branch = arena_strdup(d->arena, rows->branch),
                       .is_more_better = rows->direction == HISTORY_MORE_IS_BETTER,
                       .values = arena_alloc(d->arena, d->runs.n * sizeof *bench.values)};
    double *values = x_calloc(n, sizeof *values);
    HistoryStep steps[8];
    for (size_t r = 0; r < d->runs.n; r++) {
        bench.values[r] = NAN;
    }
    for (size_t i = 0; i < n; i++) {
        bench.values[rows[i].place] = values[i] = rows[i].value;
    }
    size_t nsteps = history_steps(values, n, &(HistoryStepOptions){.nseries = nseries}, steps, ARRAY_LEN(steps));
    for (size_t i = 0; i < nsteps && i < ARRAY_LEN(steps); i++) {
        VEC_PUSH(&bench.steps, (DashStep){rows[steps[i].at].place, steps[i].before, steps[i].after, steps[i].p});
    }
    VEC_PUSH(&d->bench, bench);
    mem_free(values);
}

static int add_bench(Import *x, Err *err)
{
    HistoryBenchRows rows = {0};
    size_t nseries = 0;
    int rc = history_bench(x->h, &x->runs, &rows, err);
    for (size_t i = 0; i < rows.n; i++) {
        nseries += !i || !history_bench_is_one_series(&rows.rows[i - 1], &rows.rows[i]);
    }
    for (size_t from = 0, end; !rc && from < rows.n; from = end) {
        for (end = from + 1; end < rows.n && history_bench_is_one_series(&rows.rows[from], &rows.rows[end]);) {
            end++;
        }
        add_series(x->d, &rows.rows[from], end - from, nseries);
    }
    history_bench_free(&rows);
    return rc;
}

static int add_all(Import *x, Err *err)
{
    bool has_reports = x->d->results.n > 0;
    add_names(x);
    int rc = dash_results(x->d, err);
    if (rc) {
        return rc;
    }
    add_runs(x, has_reports);
    rc = find_compared(x, err);
    rc = rc ? rc : dash_history(x->d, err);
    if (rc) {
        return rc;
    }
    if (x->d->now < x->runs.n) {
        add_results(x);
    }
    add_cells(x);
    add_changes(x);
    add_flaky(x);
    add_trends(x);
    rc = add_coverage(x, err);
    rc = rc ? rc : add_cover_changes(x, err);
    return rc ? rc : add_bench(x, err);
}

int import_history(Dash *d, const char *where, uint64_t last, Err *err)
{
    Import x = {.d = d};
    int rc = load(&x, where, last, err);
    if (!rc && x.runs.n) {
        rc = add_all(&x, err);
    }
    history_view_free(x.view);
    history_view_free(x.newest);
    history_runs_free(&x.runs);
    history_close(x.h);
    mem_free(x.cases);
    mem_free(x.backends);
    return rc;
}
