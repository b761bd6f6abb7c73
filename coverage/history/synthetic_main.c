/* SPDX-License-Identifier: Apache-2.0
 * conf-synthetic FILE|URL [SCENARIOS [BACKENDS [RUNS [SEED]]]] - fills a history with made-up runs and times what is asked of it; docs/history.md has
 * figures. What is planted is named first, so that it can be looked for. */
#include "coverage/history/synthetic.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static double ms_since(uint64_t from)
{
    return (double)(os_now_ns() - from) / 1e6;
}

static int fail(const Err *err)
{
    fprintf(stderr, "conf-synthetic: %s\n", err->text);
    return 1;
}

static int fill(History *h, const SyntheticOptions *o, Err *err)
{
    Synthetic *s = synthetic_new(o);
    const char *suite, *guest;
    double sum = 0, most = 0, first = 0;
    int rc = 0;
    printf("planted: regression of `%s` on ", synthetic_scenario(s, o->regression_scenario, &suite, &guest));
    printf("%s at run %zu\n", synthetic_backend(s, o->regression_backend), o->regression_run + 1);
    printf("planted: flaky `%s` on ", synthetic_scenario(s, o->flaky_scenario, &suite, &guest));
    printf("%s, %u %%\n", synthetic_backend(s, o->flaky_backend), o->flaky_percent);
    printf("planted: slower `%s` on ", synthetic_scenario(s, o->slow_scenario, &suite, &guest));
    printf("%s at run %zu, x%.2f\n", synthetic_backend(s, o->slow_backend), o->slow_run + 1, o->slow_factor);
    for (size_t i = 0; !rc && i < o->nruns; i++) {
        const HistoryAdd *a = synthetic_run(s, i);
        uint64_t from = os_now_ns();
        rc = history_add(h, a, NULL, NULL, err);
        double ms = ms_since(from);
        sum += ms;
        first = i ? first : ms;
        most = i && ms > most ? ms : most;
    }
    printf("add: %.1f ms a run of %zu results (the first %.1f, the slowest other %.1f)\n", sum / (double)o->nruns,
           o->nscenarios * o->nbackends, first, most);
    synthetic_free(s);
    return rc;
}

static int ask(History *h, Err *err)
{
    HistoryRuns runs;
    HistoryView *v = NULL;
    uint64_t from = os_now_ns();
    int rc = history_runs(h, NULL, &runs, err);
    if (rc) {
        return rc;
    }
    printf("list of %zu runs: %.1f ms\n", runs.n, ms_since(from));
    HistoryRuns two = {.runs = runs.runs + (runs.n > 2 ? runs.n - 2 : 0), .n = runs.n < 2 ? runs.n : 2};
    HistoryViewOptions o = {.runs = &two, .what = HISTORY_REASONS | HISTORY_DURATIONS | HISTORY_COUNTS};
    from = os_now_ns();
    rc = history_view(h, &o, &v, err);
    if (!rc) {
        HistoryChanges c;
        history_compare(v, 0, history_nruns(v) - 1, &c);
        printf("compare of two runs: %.1f ms (%zu differences)\n", ms_since(from), c.n);
        history_changes_free(&c);
        history_view_free(v);
    }
    o = (HistoryViewOptions){.runs = &runs, .scenario = "scenario 7 does what it says"};
    from = os_now_ns();
    rc = rc ? rc : history_view(h, &o, &v, err);
    if (!rc) {
        printf("one scenario in all runs: %.1f ms\n", ms_since(from));
        history_view_free(v);
    }
    o = (HistoryViewOptions){.runs = &runs};
    from = os_now_ns();
    rc = rc ? rc : history_view(h, &o, &v, err);
    if (!rc) {
        HistoryChanges c;
        HistoryFlakies f;
        printf("statuses of all runs: %.1f ms\n", ms_since(from));
        from = os_now_ns();
        history_changes(v, false, &c);
        printf("changes: %.1f ms, %zu\n", ms_since(from), c.n);
        from = os_now_ns();
        history_flaky(v, &f);
        printf("flaky: %.1f ms, %zu\n", ms_since(from), f.n);
        history_changes_free(&c);
        history_flaky_free(&f);
        history_view_free(v);
    }
    o = (HistoryViewOptions){.runs = &runs, .what = HISTORY_DURATIONS};
    from = os_now_ns();
    rc = rc ? rc : history_view(h, &o, &v, err);
    if (!rc) {
        HistoryTrends t;
        HistorySlowest s;
        printf("statuses and durations of all runs: %.1f ms\n", ms_since(from));
        from = os_now_ns();
        history_trends(v, NULL, &t);
        printf("trends: %.1f ms, %zu\n", ms_since(from), t.n);
        from = os_now_ns();
        history_slowest(v, 20, &s);
        printf("slowest: %.1f ms, %zu\n", ms_since(from), s.n);
        history_trends_free(&t);
        history_slowest_free(&s);
        history_view_free(v);
    }
    history_runs_free(&runs);
    return rc;
}

int main(int argc, char **argv)
{
    History *h = NULL;
    Err err = {0};
    size_t n[4] = {2000, 20, 500, 1};
    if (argc < 2 || argc > 6) {
        fprintf(stderr, "usage: conf-synthetic FILE|URL [SCENARIOS [BACKENDS [RUNS [SEED]]]]\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        n[i - 2] = strtoul(argv[i], NULL, 0);
    }
    SyntheticOptions o = {.nscenarios = n[0], .nbackends = n[1], .nruns = n[2], .seed = n[3]};
    if (n[0] < 3 || !n[1] || (n[2] && n[2] < 4)) {
        fprintf(stderr, "conf-synthetic: at least 3 scenarios, 1 backend and 4 runs (0: only ask)\n");
        return 2;
    }
    if (history_open(&(HistoryOpen){.where = argv[1]}, &h, &err)) {
        return fail(&err);
    }
    int rc = 0;
    if (o.nruns) {
        synthetic_plant(&o);
        rc = fill(h, &o, &err);
    }
    rc = rc ? rc : ask(h, &err);
    history_close(h);
    return rc ? fail(&err) : 0;
}
