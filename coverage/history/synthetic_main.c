/* SPDX-License-Identifier: Apache-2.0
 * conf-synthetic FILE|URL [SCENARIOS [BACKENDS [RUNS [SEED]]]] - fills a history with made-up runs and times what is asked of it; docs/history.md has
 * figures. What is planted is named first, so that it can be looked for. */
#include "coverage/history/synthetic.h"
#include "sim/base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Wall time and the process's own: on a busy machine only the latter says something. */
typedef struct {
    uint64_t wall, cpu;
} Mark;

static Mark now(void)
{
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return (Mark){os_now_ns(), (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec};
}

static void print_since(Mark from, const char *what, size_t n)
{
    Mark to = now();
    printf("%-36s %8.1f ms, CPU %7.1f ms, %zu\n", what, (double)(to.wall - from.wall) / 1e6,
           (double)(to.cpu - from.cpu) / 1e6, n);
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
    double sum = 0, cpu = 0, most = 0, first = 0;
    int rc = 0;
    printf("planted: regression of `%s` on ", synthetic_scenario(s, o->regression_scenario, &suite, &guest));
    printf("%s at run %zu\n", synthetic_backend(s, o->regression_backend), o->regression_run + 1);
    printf("planted: flaky `%s` on ", synthetic_scenario(s, o->flaky_scenario, &suite, &guest));
    printf("%s, %u %%\n", synthetic_backend(s, o->flaky_backend), o->flaky_percent);
    printf("planted: slower `%s` on ", synthetic_scenario(s, o->slow_scenario, &suite, &guest));
    printf("%s at run %zu, x%.2f\n", synthetic_backend(s, o->slow_backend), o->slow_run + 1, o->slow_factor);
    for (size_t i = 0; !rc && i < o->nruns; i++) {
        const HistoryAdd *a = synthetic_run(s, i);
        Mark from = now();
        rc = history_add(h, a, NULL, NULL, err);
        Mark to = now();
        double wall = (double)(to.wall - from.wall) / 1e6;
        sum += wall;
        cpu += (double)(to.cpu - from.cpu) / 1e6;
        first = i ? first : wall;
        most = i && wall > most ? wall : most;
    }
    printf("add: %.1f ms a run of %zu results, CPU %.1f ms (the first %.1f, the slowest other %.1f)\n",
           sum / (double)o->nruns, o->nscenarios * o->nbackends, cpu / (double)o->nruns, first, most);
    synthetic_free(s);
    return rc;
}

static int ask(History *h, Err *err)
{
    HistoryRuns runs;
    HistoryView *v = NULL;
    Mark from = now();
    int rc = history_runs(h, NULL, &runs, err);
    if (rc) {
        return rc;
    }
    print_since(from, "list of the runs", runs.n);
    HistoryRuns two = {.runs = runs.runs + (runs.n > 2 ? runs.n - 2 : 0), .n = runs.n < 2 ? runs.n : 2};
    HistoryViewOptions o = {.runs = &two, .what = HISTORY_REASONS | HISTORY_DURATIONS | HISTORY_COUNTS};
    from = now();
    rc = history_view(h, &o, &v, err);
    if (!rc) {
        HistoryChanges c;
        history_compare(v, 0, history_nruns(v) - 1, &c);
        print_since(from, "compare of two runs, differences", c.n);
        history_changes_free(&c);
        history_view_free(v);
    }
    o = (HistoryViewOptions){.runs = &runs, .scenario = "scenario 7 does what it says"};
    from = now();
    rc = rc ? rc : history_view(h, &o, &v, err);
    if (!rc) {
        print_since(from, "one scenario in all runs", history_ncases(v));
        history_view_free(v);
    }
    o = (HistoryViewOptions){.runs = &runs};
    from = now();
    rc = rc ? rc : history_view(h, &o, &v, err);
    if (!rc) {
        HistoryChanges c;
        HistoryFlakies f;
        print_since(from, "load: statuses of all runs", history_nruns(v));
        from = now();
        history_changes(v, false, &c);
        print_since(from, "changes", c.n);
        from = now();
        history_flaky(v, &f);
        print_since(from, "flaky", f.n);
        history_changes_free(&c);
        history_flaky_free(&f);
        history_view_free(v);
    }
    o = (HistoryViewOptions){.runs = &runs, .what = HISTORY_DURATIONS};
    from = now();
    rc = rc ? rc : history_view(h, &o, &v, err);
    if (!rc) {
        HistoryTrends t;
        HistorySlowest s;
        print_since(from, "load: with durations", history_nruns(v));
        from = now();
        history_trends(v, NULL, &t);
        print_since(from, "trends", t.n);
        from = now();
        history_slowest(v, 20, &s);
        print_since(from, "slowest", s.n);
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
