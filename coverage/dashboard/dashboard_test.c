/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/dashboard/dashboard.h"

#include "coverage/coverage.h"
#include "coverage/history/history.h"
#include "sim/base/json_in.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESULT(scenario, backend, status, rest)                                                                        \
    "{\"suite\": \"a.yaml\", \"scenario\": \"" scenario "\", \"guest\": \"riscv64\", \"backend\": \"" backend          \
    "\", \"status\": \"" status "\"" rest "}"
#define REPORT(results)                                                                                                \
    "{\"schema_version\": 1, \"conf_version\": \"0.1.0\", \"cut_short\": null, \"summary\": {\"duration_ns\": 5, "     \
    "\"x\": [1]}, "                                                                                                    \
    "\"results\": [" results "]}"

static int read_report(Dash *d, const char *text, Err *err)
{
    DashReport *r = NULL;
    int rc = report_parse("r.json", text, strlen(text), &r, err);
    rc = rc ? rc : import_reports(d, &r, 1, err);
    report_free(r);
    return rc;
}

static const DashResult *cell(Dash *d, const char *scenario, const char *backend)
{
    return &d->results.items[dash_case(d, "a.yaml", scenario, "riscv64") * d->backends.n + dash_backend(d, backend)];
}

/* ---- reports ---- */
TEST(report, becomes_cases_backends_results_and_a_run)
{
    Dash *d = dash_new();
    Err err = {0};
    CHECK_INT(
        read_report(
            d,
            REPORT(
                RESULT("one", "kvm", "passed", ", \"line\": 7, \"duration_ns\": 1000, \"exits\": 3, \"reason\": \"\"") "," RESULT(
                    "one", "fake", "skipped",
                    ", \"reason\": \"no\", \"new\": {\"key\": [null]}") "," RESULT("two", "kvm", "failed",
                                                                                   ", \"failure\": \"| got\\n\", "
                                                                                   "\"reproduce\": \"conf run\", "
                                                                                   "\"trace\": [{\"kind\": "
                                                                                   "\"exit\", \"vcpu\": 1, \"name\": "
                                                                                   "\"halt\", \"text\": \"halt pc x\", "
                                                                                   "\"line\": 9}, {}]")),
            &err),
        0);
    CHECK_STR(err.text, "");
    CHECK_INT(d->cases.n, 2);
    CHECK_INT(d->cases.items[0].line, 7);
    CHECK_INT(d->backends.n, 2);
    CHECK_INT(cell(d, "one", "kvm")->status, 'P');
    CHECK(!cell(d, "one", "kvm")->reason);
    CHECK_STR(cell(d, "one", "fake")->reason, "no");
    CHECK_INT(cell(d, "two", "fake")->status, 0);
    CHECK_STR(cell(d, "two", "kvm")->failure, "| got\n");
    CHECK_INT(cell(d, "two", "kvm")->ntrace, 2);
    CHECK_STR(cell(d, "two", "kvm")->trace[0].text, "halt pc x");
    CHECK_INT(d->runs.n, 1);
    CHECK_INT(d->runs.items[0].n['F'], 1);
    CHECK_INT(d->runs.items[0].duration_ns, 5);
    dash_free(d);
}

TEST(report, that_is_none_is_refused_with_its_place)
{
    static const struct {
        const char *text, *says;
    } CASES[] = {
        {"", "r.json:1:1"},
        {"[]", "r.json:1:1"},
        {"{}", "r.json: no report of conf run: it has no schema_version"},
        {"{\"schema_version\": 1}", "it has no results"},
        {"{\"schema_version\": 2}", "a report of schema_version 2; this conf reads 1"},
        {REPORT(RESULT("one", "kvm", "fine", "")), "`fine` is no status"},
        {REPORT(RESULT("one", "kvm", "passed", ", \"line\": -1")), "r.json:1:"},
        {REPORT(RESULT("one", "kvm", "passed", ", \"trace\": [1]")), "r.json:1:"},
        {REPORT("{\"suite\": \"a.yaml\"}"), "a result needs suite, scenario, guest, backend and status"},
        {REPORT("{\"suite\": null, \"scenario\": \"s\", \"guest\": \"g\", \"backend\": \"b\", \"status\": \"passed\"}"),
         "a result needs suite"},
        {REPORT(RESULT("one", "kvm", "passed", "")) "x", "r.json:1:"},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Dash *d = dash_new();
        Err err = {0};
        CHECK(read_report(d, CASES[i].text, &err) < 0);
        CHECK_HAS(err.text, CASES[i].says);
        CHECK_INT(d->cases.n + d->runs.n, 0);
        dash_free(d);
    }
}

TEST(report, of_several_the_last_counts_and_new_backends_keep_what_was_there)
{
    Dash *d = dash_new();
    Err err = {0};
    DashReport *r[2];
    static const char first[] = REPORT(RESULT("one", "kvm", "failed", "") "," RESULT("two", "kvm", "passed", ""));
    static const char second[] = REPORT(RESULT("one", "kvm", "passed", "") "," RESULT("one", "fake", "passed", ""));
    CHECK_INT(report_parse("a", first, strlen(first), &r[0], &err), 0);
    CHECK_INT(report_parse("b", second, strlen(second), &r[1], &err), 0);
    CHECK_INT(import_reports(d, r, 2, &err), 0);
    CHECK_INT(cell(d, "one", "kvm")->status, 'P');
    CHECK_INT(cell(d, "two", "kvm")->status, 'P');
    dash_backend(d, "new");
    dash_case(d, "a.yaml", "three", "riscv64");
    CHECK_INT(dash_results(d, &err), 0);
    CHECK_INT(cell(d, "two", "kvm")->status, 'P');
    CHECK_INT(cell(d, "three", "kvm")->status, 0);
    report_free(r[0]);
    report_free(r[1]);
    dash_free(d);
}

TEST(report, with_a_trace_without_end_is_cut)
{
    Buf text = {0};
    Dash *d = dash_new();
    Err err = {0};
    buf_str(&text, "{\"schema_version\": 1, \"results\": [{\"suite\": \"a.yaml\", \"scenario\": \"one\", \"guest\": "
                   "\"riscv64\", \"backend\": "
                   "\"kvm\", \"status\": \"passed\", \"trace_dropped\": 5, \"trace\": [{}");
    for (int i = 0; i < DASH_TRACE_MAX; i++) {
        buf_str(&text, ", {}");
    }
    buf_str(&text, "]}]}");
    CHECK_INT(read_report(d, buf_text(&text), &err), 0);
    CHECK_INT(cell(d, "one", "kvm")->ntrace, DASH_TRACE_MAX);
    CHECK_INT(cell(d, "one", "kvm")->ndropped, 6);
    buf_free(&text);
    dash_free(d);
}

/* ---- the model ---- */
TEST(model, statuses_have_letters)
{
    CHECK_INT(dash_status("passed"), 'P');
    CHECK_INT(dash_status("xpassed"), 'X');
    CHECK_INT(dash_status("absent"), 0);
    CHECK(dash_is_bad('X') && dash_is_bad('E') && dash_is_bad('F') && !dash_is_bad('x') && !dash_is_bad('S'));
}

TEST(model, durations_keep_their_order_and_seven_thousandths)
{
    CHECK_INT(dash_time(0), 0);
    CHECK_INT(dash_time(1), 1);
    CHECK_INT(dash_time(UINT64_MAX), 4095);
    CHECK(dash_time(1000) < dash_time(1010));
    CHECK_INT(dash_time(2000000) - dash_time(1000000), 102);
}

TEST(model, too_many_results_are_refused)
{
    Dash *d = dash_new();
    Err err = {0};
    for (int i = 0; i < 3000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        dash_case(d, "s", name, "g");
        dash_backend(d, name);
    }
    CHECK_INT(dash_results(d, &err), -ERR_LIMIT);
    CHECK_HAS(err.text, "3000 cases on 3000 backends");
    dash_free(d);
}

/* ---- the data ---- */
TEST(data, is_json_without_a_less_than_sign_whatever_the_names)
{
    static const char *const NAMES[] = {
        "</script><script>alert(1)</script>", "<!--", "__proto__", "\xff\xfe", "a\nb\x01\"\\", ""};
    char mask[] = "1";
    Dash *d = dash_new();
    Err err = {0};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        dash_backend(d, NAMES[i]);
        dash_case(d, NAMES[i], NAMES[i], NAMES[i]);
    }
    CHECK_INT(dash_results(d, &err), 0);
    for (size_t i = 0; i < d->results.n; i++) {
        d->results.items[i] = (DashResult){
            .status = 'F', .reason = NAMES[i % ARRAY_LEN(NAMES)], .failure = NAMES[0], .reproduce = NAMES[1]};
    }
    VEC_PUSH(&d->runs, (DashRun){.id = 1, .branch = NAMES[0], .commit = NAMES[1]});
    d->now = 0;
    VEC_PUSH(&d->cover_backends, NAMES[0]);
    VEC_PUSH(&d->kinds, (DashKind){.name = NAMES[2], .title = NAMES[0]});
    VEC_PUSH(&d->items, (DashItem){.name = NAMES[0], .group = NAMES[1], .mask = mask});
    for (int part = 0; part < 3; part++) {
        Buf json = {0};
        if (part == 0) {
            dash_json(d, false, &json);
        } else if (part == 1) {
            dash_json_coverage(d, &json);
        } else {
            dash_json_case(d, 0, &json);
        }
        CHECK(!memchr(json.data, '<', json.n));
        JsonIn j = json_in("data", json.data, json.n, &err);
        json_in_skip(&j);
        CHECK_INT(json_in_end(&j), 0);
        CHECK_STR(err.text, "");
        buf_free(&json);
    }
    dash_free(d);
}

TEST(data, of_a_case_has_its_history_in_short)
{
    Dash *d = dash_new();
    Err err = {0};
    Buf json = {0};
    CHECK_INT(read_report(d, REPORT(RESULT("one", "kvm", "failed", "")), &err), 0);
    d->runs.n = 0;
    for (int i = 0; i < 5; i++) {
        VEC_PUSH(&d->runs, (DashRun){.id = (uint64_t)i + 1});
    }
    d->now = 4;
    CHECK_INT(dash_history(d, &err), 0);
    memcpy(d->status, "PPP.F", 5);
    dash_json_case(d, 0, &json);
    CHECK_HAS(buf_text(&json), "\"history\": [[0, \"P3.F\", \"AAAAAAAAAA\"]]");
    buf_free(&json);
    dash_free(d);
}

/* ---- gcovr ---- */
TEST(gcovr, files_have_numbers_and_the_nearest_link)
{
    static const char json[] =
        "{\"files\": [{\"filename\": \"sim/base/buf.c\", \"line_covered\": 9, \"line_total\": 10, \"branch_covered\": "
        "1, "
        "\"branch_total\": 2, \"function_covered\": 3, \"function_total\": 4, \"line_percent\": null}, "
        "{\"filename\": \"buf.c\"}, {\"filename\": \"none.c\"}]}";
    static const char html[] = "<a href=\"index.functions.html\">List</a> <a href=\"index.buf.c.11.html\">buf.c</a>"
                               "<a href=\"javascript:alert(1).html\">none.c</a><a href=\"../x.html\">none.c</a>"
                               "<a href=\"index.buf.c.22.html\">base/buf.c</a><a href=\"open";
    Dash *d = dash_new();
    Err err = {0};
    CHECK_INT(import_gcovr(d, "summary.json", json, strlen(json), html, strlen(html), "gcovr/", &err), 0);
    CHECK_STR(d->code.items[0].href, "gcovr/index.buf.c.22.html");
    CHECK_INT(d->code.items[0].branches[1], 2);
    CHECK_STR(d->code.items[1].href, "gcovr/index.buf.c.11.html");
    CHECK(!d->code.items[2].href);
    CHECK(import_gcovr(d, "summary.json", "{}", 2, NULL, 0, "gcovr/", &err) == -ERR_INVAL);
    CHECK_HAS(err.text, "no summary of gcovr");
    CHECK(import_gcovr(d, "summary.json", "{\"files\": [{}]}", 15, NULL, 0, "gcovr/", &err) == -ERR_INVAL);
    CHECK_HAS(err.text, "summary.json:1:");
    CHECK_INT(d->code.n, 3);
    dash_free(d);
}

/* ---- coverage ---- */
TEST(coverage, items_have_a_letter_per_backend_and_their_scenarios)
{
    Coverage *c = coverage_new();
    Dash *d = dash_new();
    uint32_t halt = coverage_item(c, "exit", "exits", "halt", "*"),
             budget = coverage_item(c, "exit", "exits", "budget", "*");
    uint32_t add = coverage_item(c, "decode", "riscv64 I", "add", "sim-*");
    uint32_t kvm = coverage_context(c, "kvm", "riscv64", ""), sim = coverage_context(c, "sim-jit", "riscv64", "jit");
    coverage_rule(
        c, &(CovRule){.kind = "exit", .item = "budget", .backend = "kvm", .guest = "*", .reason = "counts nothing"});
    coverage_hit(c, halt, kvm, coverage_scenario(c, "a.yaml::x"), 3);
    coverage_hit(c, halt, sim, coverage_scenario(c, "a.yaml::x"), 1);
    coverage_hit(c, halt, sim, coverage_scenario(c, "a.yaml::y"), 1);
    uint32_t line = coverage_item(c, "c_line", "accel", "accel/life.c:1", ""),
             program = coverage_context(c, "", "", "");
    (void)coverage_item(c, "c_line", "accel", "accel/life.c:2", "");
    coverage_hit(c, line, program, coverage_scenario(c, "unit tests"), 1);
    import_coverage(d, c);
    CHECK_INT(d->cover_backends.n, 3); /* the program itself first */
    CHECK_INT(d->items.n, 3);          /* lines of C are not listed, but told by folder */
    CHECK_INT(d->code.n, 1);
    CHECK_STR(d->code.items[0].path, "accel");
    CHECK_INT(d->code.items[0].lines[0], 1);
    CHECK_INT(d->code.items[0].lines[1], 2);
    CHECK_STR(d->items.items[halt].mask, "-11");
    CHECK_STR(d->items.items[budget].mask, "--0");
    CHECK_STR(d->items.items[budget].reason, "counts nothing");
    CHECK_STR(d->items.items[add].mask, "--0");
    CHECK_INT(d->items.items[halt].nscenarios, 2);
    CHECK_INT(d->items.items[halt].nby, 2);
    CHECK_STR(d->kinds.items[0].title, "exit reasons");
    CHECK_INT(d->kinds.items[0].covered, 1);
    CHECK_INT(d->kinds.items[0].total, 2);
    coverage_free(c);
    dash_free(d);
}

/* ---- history ---- */
static void add_run(History *h, const char *branch, int64_t time_ms, HistoryStatus one)
{
    Err err = {0};
    HistoryResult results[] = {{.suite = "a.yaml",
                                .scenario = "one",
                                .guest = "riscv64",
                                .backend = "kvm",
                                .status = one,
                                .reason = "because",
                                .duration_ns = 5000,
                                .exits = 2},
                               {.suite = "a.yaml",
                                .scenario = "two",
                                .guest = "riscv64",
                                .backend = "kvm",
                                .status = HISTORY_passed,
                                .duration_ns = 7000}};
    HistoryCoverage covers = {.kind = "exit", .backend = "", .covered = 20, .total = 30};
    HistoryBench bench = {.name = "interp/alu", .value = 400, .unit = "Mips", .direction = HISTORY_MORE_IS_BETTER};
    HistoryAdd add = {.run = {.commit = "abc", .branch = branch, .host = "h", .time_ms = time_ms, .duration_ns = 9},
                      .results = results,
                      .nresults = 2,
                      .coverage = &covers,
                      .ncoverage = 1,
                      .bench = &bench,
                      .nbench = 1};
    CHECK_INT(history_add(h, &add, NULL, NULL, &err), 0);
    CHECK_STR(err.text, "");
}

static void add_extra(History *h, int64_t time_ms, size_t ncovered)
{
    static const char *const items[] = {"halt", "debug"};
    Err err = {0};
    HistoryCoverage covers = {
        .kind = "exit", .backend = "fake", .covered = ncovered, .total = 30, .items = items, .nitems = ncovered};
    HistoryBench bench = {.name = "interp/alu", .value = 1, .unit = "Mips"};
    HistoryAdd add = {.run = {.branch = "bench", .host = "h", .time_ms = time_ms},
                      .coverage = &covers,
                      .ncoverage = 1,
                      .bench = &bench,
                      .nbench = 1};
    CHECK_INT(history_add(h, &add, NULL, NULL, &err), 0);
}

typedef struct {
    char path[32];
    Buf db;
    History *h;
    Err err;
} HistoryFixture;

/* Four runs of two branches; false: there is no SQLite here. */
static bool history_begin(HistoryFixture *f)
{
    *f = (HistoryFixture){.path = "/tmp/conf-dash-XXXXXX"};
    CHECK(mkdtemp(f->path) != NULL);
    buf_printf(&f->db, "%s/h.db", f->path);
    if (history_open(&(HistoryOpen){.where = buf_text(&f->db)}, &f->h, &f->err)) {
        test_skip(f->err.text);
        buf_free(&f->db);
        return false;
    }
    add_run(f->h, "main", 1000, HISTORY_passed);
    add_run(f->h, "topic", 2000, HISTORY_passed);
    add_run(f->h, "main", 3000, HISTORY_passed);
    add_run(f->h, "topic", 4000, HISTORY_failed);
    return true;
}

static Dash *history_read(HistoryFixture *f, const char *report, size_t limit)
{
    Dash *d = dash_new();
    if (report) {
        CHECK_INT(read_report(d, report, &f->err), 0);
    }
    CHECK_INT(import_history(d, buf_text(&f->db), limit, &f->err), 0);
    return d;
}

static void history_end(HistoryFixture *f)
{
    CHECK_INT(unlink(buf_text(&f->db)), 0);
    CHECK_INT(rmdir(f->path), 0);
    buf_free(&f->db);
}

TEST(history, gives_runs_results_and_what_to_compare_with)
{
    HistoryFixture f;
    if (!history_begin(&f)) {
        return;
    }
    history_close(f.h);
    Dash *d = history_read(&f, NULL, 500);
    CHECK_STR(f.err.text, "");
    CHECK_INT(d->runs.n, 4);
    CHECK_INT(d->now, 3);
    CHECK_INT(d->last, 1);
    CHECK_INT(d->main, 2);
    CHECK_INT(cell(d, "one", "kvm")->status, 'F');
    CHECK_STR(cell(d, "one", "kvm")->reason, "because");
    CHECK(!memcmp(&d->status[dash_case(d, "a.yaml", "one", "riscv64") * 4], "PPPF", 4));
    CHECK_INT(d->kinds.n, 1);
    CHECK_INT(d->kinds.items[0].over[3], 20);
    CHECK_INT(d->kinds.items[0].of[3], 30);
    CHECK_INT(d->bench.n, 2); /* of two branches */
    CHECK_STR(d->bench.items[1].branch, "topic");
    CHECK(d->bench.items[1].is_more_better && d->bench.items[1].values[3] == 400 && isnan(d->bench.items[1].values[2]));
    dash_free(d);

    /* The report of the newest run brings its details; one that says otherwise is a run of its own. */
    d = history_read(&f, REPORT(RESULT("one", "kvm", "failed", ", \"failure\": \"text\"")), 500);
    CHECK_INT(d->runs.n, 4);
    CHECK_STR(cell(d, "one", "kvm")->failure, "text");
    CHECK_INT(cell(d, "two", "kvm")->status, 'P');
    dash_free(d);
    d = history_read(&f, REPORT(RESULT("one", "kvm", "passed", "")), 500);
    CHECK_INT(d->runs.n, 5);
    CHECK_INT(d->now, 4);
    CHECK_INT(d->last, 3);
    CHECK_INT(d->main, 2);
    CHECK_INT(cell(d, "two", "kvm")->status, 0);
    dash_free(d);
    history_end(&f);
}

TEST(history, of_measurements_and_coverage_alone_are_runs_too_and_no_news)
{
    HistoryFixture f;
    if (!history_begin(&f)) {
        return;
    }
    add_extra(f.h, 5000, 1);
    add_extra(f.h, 6000, 2);
    history_close(f.h);
    Dash *d = history_read(&f, NULL, 500);
    CHECK_INT(d->runs.n, 6);
    CHECK_INT(d->now, 3);
    CHECK_INT(d->last, 1);
    CHECK_INT(d->kinds.items[0].over[5], 2);
    if (CHECK_INT(d->cover_changes.n, 1)) {
        const DashCoverChange *c = &d->cover_changes.items[0];
        CHECK(c->run == 5 && c->before == 4 && c->n[0] == 0 && c->n[1] == 1 && c->nnames[1] == 1);
        CHECK_STR(c->names[1][0], "debug");
    }
    Buf json = {0};
    dash_json(d, false, &json);
    CHECK_HAS(buf_text(&json), "\"cover_changes\": [[5, 4, \"exit\", \"fake\", 1, 2, 30, 30, 0, [], 1, [\"debug\"]]]");
    CHECK_HAS(buf_text(&json), "\"covered\": 20, \"total\": 30, \"last\": 20, \"main\": 20, \"over\": [20, 20, 20, 20, "
                               "1, 2], \"of\": [30, 30, 30, 30, 30, 30]");
    buf_free(&json);
    dash_free(d);
    d = history_read(&f, NULL, 1); /* nothing else at all */
    CHECK_INT(d->runs.n, 1);
    CHECK_INT(d->now, 0);
    CHECK_INT(d->cases.n, 0);
    CHECK_INT(d->bench.n, 1);
    dash_free(d);
    d = dash_new();
    CHECK_INT(import_history(d, "/nowhere/h.db", 500, &f.err), -ERR_NOENT);
    dash_free(d);
    history_end(&f);
}
