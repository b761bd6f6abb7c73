/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/history_test.h"
#include "coverage/history/series.h"
#include "sim/base/test.h"

#include <math.h>
#include <stdio.h>

/* One case in runs one after the other: ". F s" as in add_letters. */
static HistoryView *view_of(const TestPlace *p, const char *letters, const char *commits)
{
    History *h = place_open(p);
    HistoryRuns runs;
    HistoryView *v = NULL;
    Err err = {0};
    for (size_t i = 0; letters[i]; i++) {
        char uid[32], commit[16];
        snprintf(uid, sizeof uid, "r%zu", i);
        snprintf(commit, sizeof commit, "c%d", commits ? commits[i] : (int)i);
        CHECK_INT(add_letters(h, uid, commit, (int)i, (char[]){letters[i], 0}, &err), 0);
    }
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(history_view(h, &(HistoryViewOptions){.runs = &runs}, &v, &err), 0);
    history_runs_free(&runs);
    history_close(h);
    return v;
}

static void check_letters(const char *letters, const char *commits, const char *want)
{
    TestPlace p = place_new();
    HistoryView *v = view_of(&p, letters, commits);
    HistoryChanges c;
    HistoryFlakies f;
    Buf got = {0};
    history_changes(v, false, &c);
    history_flaky(v, &f);
    for (size_t i = 0; i < c.n; i++) {
        buf_printf(&got, "%s>%s@%zu ", history_status_name(c.items[i].from), history_status_name(c.items[i].to),
                   c.items[i].run);
    }
    for (size_t i = 0; i < f.n; i++) {
        buf_printf(&got, "flaky %zu/%zu flickers %zu same %zu rate %.2f", f.items[i].nbad, f.items[i].nruns,
                   f.items[i].nflickers, f.items[i].nsame_commit, f.items[i].rate);
    }
    CHECK_STR(buf_text(&got), want);
    buf_free(&got);
    history_changes_free(&c);
    history_flaky_free(&f);
    history_view_free(v);
    place_free(&p);
}

TEST(history, what_lasts_is_a_change_and_what_flickers_is_not)
{
    check_letters("........", NULL, "");
    check_letters("....FFFF", NULL, "passed>failed@4 ");
    check_letters(".......F", NULL, "passed>failed@7 ");
    check_letters("...FFFF....", NULL, "failed>passed@7 passed>failed@3 ");
    check_letters("...F....", NULL, ""); /* once is nothing yet */
    check_letters("...F...F....", NULL, "flaky 2/12 flickers 2 same 0 rate 0.17");
    check_letters("..F...F..F..FFFFFFFFFFFFFFFF", NULL, "passed>failed@12 flaky 19/28 flickers 3 same 0 rate 0.11");
    check_letters("..s.sFsFF", NULL, "passed>failed@5 ");
    check_letters("..F.", "aabb", "flaky 1/4 flickers 1 same 1 rate 0.25");
    check_letters("..F.", "abcd", "");
    check_letters("ssss", NULL, "");
}

TEST(history, two_runs_differ_in_what_they_differ)
{
    TestPlace p = place_new();
    History *h = place_open(&p);
    HistoryRuns runs;
    HistoryView *v = NULL;
    HistoryChanges c;
    Err err = {0};
    CHECK_INT(add_letters(h, "a", "1", 1, "..F", &err), 0);
    CHECK_INT(add_letters(h, "b", "2", 2, ".F.s", &err), 0);
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(history_view(h, &(HistoryViewOptions){.runs = &runs}, &v, &err), 0);
    history_compare(v, 0, 1, &c);
    CHECK_INT(c.n, 3);
    CHECK_STR(history_case(v, c.items[0].c)->scenario, "c1");
    CHECK_INT(c.items[1].to, HISTORY_passed);
    CHECK_INT(c.items[2].from, HISTORY_absent);
    history_changes_free(&c);
    history_view_free(v);
    history_runs_free(&runs);
    history_close(h);
    place_free(&p);
}

/* ---- steps ---- */

TEST(history, a_step_is_found_where_it_is)
{
    double values[60];
    HistoryStep step[4] = {0};
    for (size_t i = 0; i < 60; i++) {
        values[i] = (i < 37 ? 10.0 : 13.0) * (1 + 0.02 * sin((double)(i * i)));
    }
    CHECK_INT(history_steps(values, 60, NULL, step, 4), 1);
    CHECK_INT(step[0].at, 37);
    CHECK(step[0].before > 9.7 && step[0].before < 10.3 && step[0].after > 12.6 && step[0].after < 13.4);
    CHECK(step[0].p < 0.001);
    values[5] = values[20] = values[50] = 1000; /* outliers change nothing */
    CHECK_INT(history_steps(values, 60, NULL, step, 4), 1);
    CHECK_INT(step[0].at, 37);
    CHECK_INT(history_steps(values, 60, &(HistoryStepOptions){.min_change = 0.5}, step, 4), 0);
    CHECK_INT(history_steps(values, 9, NULL, step, 4), 0);
    CHECK_INT(history_steps(values, 0, NULL, step, 4), 0);
    for (size_t i = 0; i < 60; i++) {
        values[i] = 5; /* equal values share their rank */
    }
    CHECK_INT(history_steps(values, 60, NULL, step, 4), 0);
}

TEST(history, several_steps_are_found_each)
{
    double values[400];
    HistoryStep step[8] = {0};
    for (size_t i = 0; i < 400; i++) {
        double level = i < 100 ? 1.0 : i < 250 ? 1.5 : i < 390 ? 1.2 : 2.0;
        values[i] = level * (1 + 0.03 * sin((double)(i * i)));
    }
    CHECK_INT(history_steps(values, 400, NULL, step, 8), 3);
    CHECK_INT(step[0].at, 100);
    CHECK_INT(step[1].at, 250);
    CHECK_INT(step[2].at, 390);
}

TEST(history, samples_differ_or_not)
{
    double a[12], b[12];
    for (size_t i = 0; i < 12; i++) {
        a[i] = (double)(i * 7 % 12);
        b[i] = (double)(i * 5 % 12) + 0.5;
    }
    CHECK(history_differ(a, 12, b, 12) > 0.2);
    CHECK(history_differ(a, 12, a, 12) == 1);
    for (size_t i = 0; i < 12; i++) {
        b[i] += 12;
    }
    CHECK(history_differ(a, 12, b, 12) < 1e-3);
    CHECK(history_differ(b, 12, a, 3) < 0.2);
    CHECK(history_differ(a, 1, b, 1) > 0.2);
}

TEST(history, the_median_is_the_middle)
{
    for (size_t n = 1; n < 300; n++) {
        uint16_t keys[300], sorted[300];
        uint32_t state = (uint32_t)n;
        for (size_t i = 0; i < n; i++) {
            state = state * 1664525 + 1013904223;
            keys[i] = (uint16_t)(state >> 16) % (n % 3 ? 65535 : 4);
        }
        memcpy(sorted, keys, sizeof sorted);
        size_t less = 0, equal = 0;
        uint16_t m = key_median(keys, n);
        for (size_t i = 0; i < n; i++) {
            less += sorted[i] < m;
            equal += sorted[i] == m;
        }
        CHECK(less <= n / 2 && less + equal > n / 2);
    }
}

/* ---- the acceptance: planted is named, noise is silent ---- */

static HistoryView *view_synthetic(const TestPlace *p, const SyntheticOptions *o)
{
    Synthetic *s = synthetic_new(o);
    History *h = place_open(p);
    HistoryRuns runs;
    HistoryView *v = NULL;
    Err err = {0};
    CHECK_INT(h->sql->ops->exec(h->sql, p->is_url ? "SET synchronous_commit = off" : "PRAGMA synchronous = OFF", &err),
              0);
    for (size_t i = 0; i < o->nruns; i++) {
        CHECK_INT(history_add(h, synthetic_run(s, i), NULL, NULL, &err), 0);
    }
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(history_view(h, &(HistoryViewOptions){.runs = &runs, .what = HISTORY_DURATIONS}, &v, &err), 0);
    history_runs_free(&runs);
    history_close(h);
    synthetic_free(s);
    return v;
}

static void case_name(const HistoryView *v, size_t backend, size_t c, Buf *out)
{
    buf_clear(out);
    buf_printf(out, "%s %s", c == HISTORY_ALL_CASES ? "all" : history_case(v, c)->scenario,
               history_backend(v, backend));
}

static void check_planted(uint64_t seed)
{
    TestPlace p = place_new();
    SyntheticOptions o = {.nscenarios = 60, .nbackends = 3, .nruns = 500, .seed = seed};
    synthetic_plant(&o);
    HistoryView *v = view_synthetic(&p, &o);
    Buf want = {0}, got = {0};
    HistoryChanges c;
    HistoryFlakies f;
    HistoryTrends t;
    history_changes(v, false, &c);
    CHECK_INT(c.n, 1);
    if (c.n) {
        buf_printf(&want, "scenario %zu does what it says backend%02zu", o.regression_scenario, o.regression_backend);
        case_name(v, c.items[0].backend, c.items[0].c, &got);
        CHECK_STR(buf_text(&got), buf_text(&want));
        CHECK_INT(c.items[0].run, o.regression_run);
        CHECK_INT(c.items[0].to, HISTORY_failed);
    }
    history_flaky(v, &f);
    CHECK_INT(f.n, 1);
    if (f.n) {
        buf_clear(&want);
        buf_printf(&want, "scenario %zu does what it says backend%02zu", o.flaky_scenario, o.flaky_backend);
        case_name(v, f.items[0].backend, f.items[0].c, &got);
        CHECK_STR(buf_text(&got), buf_text(&want));
        CHECK(f.items[0].rate > 0.02 && f.items[0].rate < 0.09);
        for (size_t i = 0; i < f.items[0].nevidence; i++) {
            CHECK_INT(history_status(v, f.items[0].evidence[i], f.items[0].backend, f.items[0].c), HISTORY_error);
        }
    }
    history_trends(v, NULL, &t);
    CHECK_INT(t.n, 1);
    if (t.n) {
        buf_clear(&want);
        buf_printf(&want, "scenario %zu does what it says backend%02zu", o.slow_scenario, o.slow_backend);
        case_name(v, t.items[0].backend, t.items[0].c, &got);
        CHECK_STR(buf_text(&got), buf_text(&want));
        CHECK_INT(t.items[0].run, o.slow_run);
        double factor = t.items[0].after_ns / t.items[0].before_ns;
        CHECK(factor > 1.3 && factor < 1.5);
    }
    history_changes_free(&c);
    history_flaky_free(&f);
    history_trends_free(&t);
    history_view_free(v);
    buf_free(&want);
    buf_free(&got);
    place_free(&p);
}

TEST(history, what_was_planted_in_500_runs_is_named_with_its_run)
{
    check_planted(1);
    check_planted(2);
    check_planted(3);
}

TEST(history, noise_raises_no_alarm_in_20_tries_of_500_runs)
{
    size_t nalarms = 0;
    for (uint64_t seed = 100; seed < 120; seed++) {
        TestPlace p = place_new();
        SyntheticOptions o = {
            .nscenarios = 40, .nbackends = 2, .nruns = 500, .seed = seed, .noise = seed % 2 ? 0.05 : 0.3};
        HistoryView *v = view_synthetic(&p, &o);
        HistoryChanges c;
        HistoryFlakies f;
        HistoryTrends t;
        history_changes(v, true, &c);
        history_flaky(v, &f);
        history_trends(v, NULL, &t);
        nalarms += c.n + f.n + t.n;
        history_changes_free(&c);
        history_flaky_free(&f);
        history_trends_free(&t);
        history_view_free(v);
        place_free(&p);
    }
    CHECK_INT(nalarms, 0);
}

/* A backend that becomes slower as a whole is said once, not for each of its cases. */
TEST(history, a_slower_backend_is_one_trend)
{
    TestPlace p = place_new();
    History *h = place_open(&p);
    Synthetic *s = synthetic_new(&(SyntheticOptions){.nscenarios = 40, .nbackends = 2, .nruns = 120, .seed = 9});
    HistoryResult *mine = x_calloc(80, sizeof *mine);
    HistoryRuns runs;
    HistoryView *v = NULL;
    HistoryTrends t;
    Err err = {0};
    for (size_t i = 0; i < 120; i++) {
        HistoryAdd a = *synthetic_run(s, i);
        memcpy(mine, a.results, 80 * sizeof *mine);
        for (size_t k = 0; k < 80; k++) {
            mine[k].duration_ns *= i >= 70 && !strcmp(mine[k].backend, "backend01") ? 2 : 1;
        }
        a.results = mine;
        CHECK_INT(history_add(h, &a, NULL, NULL, &err), 0);
    }
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(history_view(h, &(HistoryViewOptions){.runs = &runs, .what = HISTORY_DURATIONS}, &v, &err), 0);
    history_trends(v, NULL, &t);
    CHECK_INT(t.n, 1);
    CHECK(t.n && t.items[0].c == HISTORY_ALL_CASES && t.items[0].backend == 1);
    CHECK_INT(t.n ? t.items[0].run : 0, 70);
    history_trends_free(&t);
    history_view_free(v);
    history_runs_free(&runs);
    history_close(h);
    synthetic_free(s);
    mem_free(mine);
    place_free(&p);
}
