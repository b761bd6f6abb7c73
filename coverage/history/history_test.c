/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/history_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t HOUR_MS = 3600000;

static void drop_tables(const char *url)
{
    Sql *sql = NULL;
    Err err = {0};
    CHECK_INT(sql_postgres_open(&(SqlOpen){.where = url, .busy_ms = 60000}, &sql, &err), 0);
    for (size_t i = 0; sql && i < SCHEMA_NTABLES; i++) {
        Buf text = {0};
        buf_printf(&text, "DROP TABLE IF EXISTS %s", SCHEMA_TABLES[i]);
        CHECK_INT(sql->ops->exec(sql, buf_text(&text), &err), 0);
        buf_free(&text);
    }
    if (sql) {
        sql->ops->close(sql);
    }
}

TestPlace place_new(void)
{
    TestPlace p = {.folder = "/tmp/conf-history-XXXXXX"};
    CHECK(mkdtemp(p.folder) != NULL);
    snprintf(p.file, sizeof p.file, "%s/history.db", p.folder);
    const char *url = getenv("CONF_TEST_POSTGRES");
    p.is_url = url && *url;
    p.where = p.is_url ? url : NULL;
    if (p.is_url) {
        drop_tables(url);
    }
    return p;
}

void place_free(TestPlace *p)
{
    static const char *const ENDS[] = {"", "-wal", "-shm", "-journal", ".2", ".2-wal", ".2-shm"};
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", p->file, ENDS[i]);
        unlink(path);
    }
    rmdir(p->folder);
}

static const char *where_of(const TestPlace *p)
{
    return p->where ? p->where : p->file;
}

History *place_open(const TestPlace *p)
{
    History *h = NULL;
    Err err = {0};
    if (history_open(&(HistoryOpen){.where = where_of(p)}, &h, &err)) {
        CHECK_STR(err.text, "");
    }
    return h;
}

int add_letters(History *h, const char *uid, const char *commit, int hour, const char *letters, Err *err)
{
    HistoryResult results[64] = {0};
    char names[64][24];
    size_t n = strlen(letters);
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "c%zu", i);
        results[i] = (HistoryResult){.suite = "s.yaml",
                                     .scenario = names[i],
                                     .guest = "riscv64",
                                     .backend = "b",
                                     .status = letters[i] == 'F'   ? HISTORY_failed
                                               : letters[i] == 's' ? HISTORY_skipped
                                                                   : HISTORY_passed,
                                     .reason = letters[i] == 'F' ? "size: expected 2, got 4" : NULL,
                                     .duration_ns = 1000000 + i};
    }
    HistoryAdd a = {
        .run = {.uid = uid, .commit = commit, .branch = "main", .host = "h", .time_ms = (hour + 1) * HOUR_MS},
        .results = results,
        .nresults = n};
    return history_add(h, &a, NULL, NULL, err);
}

static HistoryView *view_all(History *h, unsigned what)
{
    HistoryRuns runs;
    HistoryView *v = NULL;
    Err err = {0};
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    if (history_view(h, &(HistoryViewOptions){.runs = &runs, .what = what}, &v, &err)) {
        CHECK_STR(err.text, "");
    }
    history_runs_free(&runs);
    return v;
}

/* ---- what goes in comes out ---- */

static const HistoryResult RESULTS[] = {
    {"a.yaml", "one", "riscv64", "kvm", HISTORY_passed, NULL, 1234567, 3, 4, 0, 7},
    {"a.yaml", "one", "riscv64", "sim-jit", HISTORY_failed, "size: expected 2, got 4", 999, 2, 1, 1, 7},
    {"a.yaml", "one", "x86_64", "kvm", HISTORY_skipped, "no \xc3\xa9 \x01 here", 0, 0, 0, 0, 7},
    {"b.yaml", "two", "riscv64", "kvm", HISTORY_error, "died", UINT64_C(864000000000000), UINT64_MAX, 1, 0, 9},
};
static const HistoryBackend BACKENDS[] = {{"kvm", "Linux 6.1"}, {"sim-jit", NULL}};
static const char *const ITEMS[] = {"mmio_read.addr", "halt", "mmio_read.addr", "mmio_write"};
static const HistoryCoverage COVERAGE[] = {
    {"exit", "kvm", 3, 20, ITEMS, 4}, {"exit", "sim-jit", 1, 20, ITEMS + 1, 1}, {"line", NULL, 900, 1000, NULL, 0}};
static const HistoryBench BENCH[] = {{"interp/alu", 0.582, "s", HISTORY_LESS_IS_BETTER},
                                     {"interp/alu.mips", 2062, "Mips", HISTORY_MORE_IS_BETTER}};
static const HistoryAdd WHOLE = {.run = {.uid = "run-1",
                                         .commit = "0123456789abcdef0123456789abcdef01234567",
                                         .parent = "ffff",
                                         .branch = "main",
                                         .host = "box",
                                         .version = "0.1.0",
                                         .job = "https://ci/1",
                                         .cut_short = "SIGINT",
                                         .is_dirty = true,
                                         .ordinal = 12,
                                         .time_ms = 1700000000123,
                                         .duration_ns = 5000000001,
                                         .seed = UINT64_MAX},
                                 .backends = BACKENDS,
                                 .nbackends = 2,
                                 .results = RESULTS,
                                 .nresults = 4,
                                 .coverage = COVERAGE,
                                 .ncoverage = 3,
                                 .bench = BENCH,
                                 .nbench = 2};

static void check_run(const HistoryRun *r)
{
    CHECK_STR(r->uid, "run-1");
    CHECK_STR(r->commit, WHOLE.run.commit);
    CHECK_STR(r->parent, "ffff");
    CHECK_STR(r->branch, "main");
    CHECK_STR(r->host, "box");
    CHECK_STR(r->version, "0.1.0");
    CHECK_STR(r->job, "https://ci/1");
    CHECK_STR(r->cut_short, "SIGINT");
    CHECK(r->is_dirty);
    CHECK_INT(r->ordinal, 12);
    CHECK_INT(r->time_ms, 1700000000123);
    CHECK_INT(r->duration_ns, 5000000001);
    CHECK_INT(r->seed, UINT64_MAX);
    CHECK_INT(r->n[HISTORY_passed], 1);
    CHECK_INT(r->n[HISTORY_failed], 1);
    CHECK_INT(r->n[HISTORY_error], 1);
    CHECK_INT(r->n[HISTORY_skipped], 1);
}

static void check_results(const HistoryView *v)
{
    Buf got = {0};
    HistoryIter it = {0};
    HistoryResult r;
    while (history_next(v, 0, &it, &r)) {
        buf_printf(&got, "%s %s %s %s %s `%s` %u %d\n", r.suite, r.scenario, r.guest, r.backend,
                   history_status_name(r.status), r.reason, r.line, (int)r.retries);
    }
    CHECK_STR(buf_text(&got), "a.yaml one riscv64 kvm passed `` 7 0\n"
                              "a.yaml one riscv64 sim-jit failed `size: expected 2, got 4` 7 1\n"
                              "a.yaml one x86_64 kvm skipped `no \xc3\xa9 \xef\xbf\xbd here` 7 0\n"
                              "b.yaml two riscv64 kvm error `died` 9 0\n");
    buf_free(&got);
    uint64_t exits, transitions;
    uint32_t retries;
    history_counts(v, 0, 0, 2, &exits, &transitions, &retries);
    CHECK_INT(exits, UINT64_MAX);
    CHECK_INT(history_duration_ns(v, 0, 1, 0), 999);
    uint64_t ns = history_duration_ns(v, 0, 0, 0);
    CHECK(ns > 1234567 - 1234567 / 2000 && ns < 1234567 + 1234567 / 2000);
    CHECK_INT(history_status(v, 0, 1, 1), HISTORY_absent);
    CHECK_INT(history_find_case(v, "a.yaml", "one", "x86_64"), 1);
    CHECK_INT(history_find_case(v, "b.yaml", "two", "riscv64"), 2);
    CHECK_INT(history_find_case(v, "b.yaml", "two", "riscv32"), SIZE_MAX);
    CHECK_INT(history_find_backend(v, "sim-jit"), 1);
    CHECK_INT(history_find_backend(v, "x"), SIZE_MAX);
}

static void check_rest(History *h, int64_t run)
{
    HistoryRuns runs;
    HistoryBackends backends;
    HistoryCoverageRows coverage;
    HistoryItems items;
    HistoryBenchRows bench;
    Err err = {0};
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(history_backends(h, run, &backends, &err), 0);
    CHECK_INT(backends.n, 2);
    CHECK_STR(backends.backends[0].version, "Linux 6.1");
    CHECK_INT(history_coverage(h, &runs, &coverage, &err), 0);
    CHECK_INT(coverage.n, 3);
    CHECK_STR(coverage.rows[0].kind, "exit");
    CHECK_STR(coverage.rows[0].backend, "kvm");
    CHECK_INT(coverage.rows[0].covered, 3);
    CHECK_STR(coverage.rows[2].kind, "line");
    CHECK_INT(coverage.rows[2].total, 1000);
    CHECK_INT(history_items(h, run, "exit", "kvm", &items, &err), 0);
    CHECK_INT(items.n, 3);
    CHECK_STR(items.items[0], "halt");
    CHECK_STR(items.items[2], "mmio_write");
    history_items_free(&items);
    CHECK_INT(history_items(h, run, "line", NULL, &items, &err), 0);
    CHECK_INT(items.n, 0);
    CHECK_INT(history_bench(h, &runs, &bench, &err), 0);
    CHECK_INT(bench.n, 2);
    CHECK_STR(bench.rows[1].name, "interp/alu.mips");
    CHECK(bench.rows[0].value == 0.582 && bench.rows[1].direction == HISTORY_MORE_IS_BETTER);
    history_runs_free(&runs);
    history_backends_free(&backends);
    history_coverage_free(&coverage);
    history_items_free(&items);
    history_bench_free(&bench);
}

static void check_whole(History *h, int64_t run)
{
    HistoryView *v = view_all(h, HISTORY_DURATIONS | HISTORY_REASONS | HISTORY_COUNTS);
    CHECK_INT(history_nruns(v), 1);
    CHECK_INT(history_nbackends(v), 2);
    CHECK_INT(history_ncases(v), 3);
    check_run(history_run(v, 0));
    check_results(v);
    check_rest(h, run);
    history_view_free(v);
}

TEST(history, a_run_comes_back_as_it_went_in)
{
    TestPlace p = place_new();
    History *h = place_open(&p);
    int64_t id = 0, again = 0;
    bool is_new = false;
    Err err = {0};
    CHECK_INT(history_add(h, &WHOLE, &id, &is_new, &err), 0);
    CHECK(is_new);
    check_whole(h, id);
    CHECK_INT(history_add(h, &WHOLE, &again, &is_new, &err), 0);
    CHECK(!is_new && again == id);
    history_close(h);
    h = place_open(&p); /* and from another process's view */
    check_whole(h, id);
    CHECK_INT(history_check(h, &err), 0);
    history_close(h);
    place_free(&p);
}

TEST(history, databases_merge_without_double_counting)
{
    TestPlace p = place_new();
    History *h = place_open(&p), *other = NULL;
    char second[128];
    uint64_t n = 0;
    Err err = {0};
    snprintf(second, sizeof second, "%s.2", p.file);
    CHECK_INT(history_open(&(HistoryOpen){.where = second}, &other, &err), 0);
    CHECK_INT(history_add(other, &WHOLE, NULL, NULL, &err), 0);
    CHECK_INT(add_letters(h, "mine", "1111", 1, "..F", &err), 0);
    CHECK_INT(add_letters(other, "mine", "1111", 1, "..F", &err), 0);
    CHECK_INT(history_merge(h, other, &n, &err), 0);
    CHECK_INT(n, 1);
    CHECK_INT(history_merge(h, other, &n, &err), 0);
    CHECK_INT(n, 0);
    CHECK_INT(history_merge(other, h, &n, &err), 0);
    CHECK_INT(n, 0);
    CHECK_INT(history_check(h, &err), 0);
    HistoryPrune prune = {.before_ms = 1600000000000};
    CHECK_INT(history_prune(h, &prune, &n, &err), 0);
    CHECK_INT(n, 1);
    check_whole(h, 2); /* what was merged is all there, and alone */
    history_close(h);
    history_close(other);
    place_free(&p);
}

static void add_covered(History *h, int hour, const char *branch, const char *const *items, size_t n, uint64_t total)
{
    Err err = {0};
    const HistoryCoverage c[] = {
        {"exit", "kvm", n, 30, items, n},
        {"c_line", NULL, total, 500, NULL, 0},
    };
    HistoryAdd a = {
        .run = {.branch = branch, .host = "h", .time_ms = (hour + 1) * HOUR_MS}, .coverage = c, .ncoverage = 2};
    CHECK_INT(history_add(h, &a, NULL, NULL, &err), 0);
    CHECK_STR(err.text, "");
}

TEST(history, coverage_that_changed_is_named_with_its_run)
{
    TestPlace p = place_new();
    History *h = place_open(&p);
    HistoryRuns runs;
    HistoryCoverChanges list;
    Err err = {0};
    static const char *const all[] = {"halt", "mmio_read", "shutdown"};
    add_covered(h, 0, "main", all, 2, 400);
    add_covered(h, 1, "topic", all, 1, 400); /* another series */
    add_covered(h, 2, "main", all, 2, 400);
    add_covered(h, 3, "main", all + 1, 2, 410);
    add_covered(h, 4, "main", all, 0, 410);
    add_covered(h, 5, "main", all, 1, 410);
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(history_cover_changes(h, &runs, false, &list, &err), 0);
    if (CHECK_INT(list.n, 4)) {
        const HistoryCoverChange *c = list.items;
        CHECK(c[0].run == 5 && c[0].before == 4 && c[0].nlost == 0 && c[0].ngained == 1);
        CHECK_STR(c[0].gained[0], "halt");
        CHECK(c[1].run == 4 && c[1].before == 3 && c[1].nlost == 2 && c[1].ngained == 0);
        CHECK_STR(c[1].lost[0], "mmio_read");
        CHECK_STR(c[1].lost[1], "shutdown");
        CHECK_STR(c[2].kind, "c_line");
        CHECK(c[2].run == 3 && c[2].covered[0] == 400 && c[2].covered[1] == 410 && !c[2].nlost && !c[2].ngained);
        CHECK(c[3].run == 3 && c[3].before == 2 && c[3].nlost == 1 && c[3].ngained == 1);
        CHECK_STR(c[3].lost[0], "halt");
        CHECK_STR(c[3].gained[0], "shutdown");
        CHECK_STR(c[3].backend, "kvm");
    }
    history_cover_changes_free(&list);
    runs.n = 2; /* of two branches: only if they are to be one series */
    CHECK_INT(history_cover_changes(h, &runs, false, &list, &err), 0);
    CHECK_INT(list.n, 0);
    history_cover_changes_free(&list);
    CHECK_INT(history_cover_changes(h, &runs, true, &list, &err), 0);
    if (CHECK_INT(list.n, 1)) {
        CHECK_STR(list.items[0].lost[0], "mmio_read");
    }
    history_cover_changes_free(&list);
    CHECK(!history_has_results(&runs.runs[0]));
    history_runs_free(&runs);
    history_close(h);
    place_free(&p);
}

TEST(history, what_is_wrong_with_a_run_is_said_and_nothing_is_added)
{
    TestPlace p = place_new();
    History *h = place_open(&p);
    HistoryRuns runs;
    Err err = {0};
    HistoryResult twice[] = {RESULTS[0], RESULTS[0]};
    HistoryAdd a = {.results = twice, .nresults = 2};
    CHECK_INT(history_add(h, &a, NULL, NULL, &err), -ERR_EXIST);
    CHECK_STR(err.text, "two results of a.yaml::one on kvm for riscv64; nothing was added");
    twice[1].status = HISTORY_absent;
    CHECK_INT(history_add(h, &a, NULL, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "result 2 has no scenario, backend or status");
    HistoryCoverage cover[] = {COVERAGE[0], COVERAGE[0]};
    a = (HistoryAdd){.coverage = cover, .ncoverage = 2};
    CHECK_INT(history_add(h, &a, NULL, NULL, &err), -ERR_EXIST);
    CHECK_HAS(err.text, "coverage exit of kvm is given twice");
    HistoryBench bench[] = {{"x", 1.0 / 0.0, "s", HISTORY_LESS_IS_BETTER}};
    a = (HistoryAdd){.bench = bench, .nbench = 1};
    CHECK_INT(history_add(h, &a, NULL, NULL, &err), -ERR_INVAL);
    a = (HistoryAdd){.run = {.uid = "no spaces"}};
    CHECK_INT(history_add(h, &a, NULL, NULL, &err), -ERR_INVAL);
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(runs.n, 0);
    history_runs_free(&runs);
    history_close(h);
    place_free(&p);
}

TEST(history, runs_have_names)
{
    TestPlace p = place_new();
    History *h = place_open(&p);
    Err err = {0};
    int64_t id = 0;
    CHECK_INT(history_find_run(h, "last", &id, &err), -ERR_NOENT);
    CHECK_INT(add_letters(h, "u1", "aaaa1111", 1, ".", &err), 0);
    CHECK_INT(add_letters(h, "u2", "bbbb2222", 3, ".", &err), 0);
    CHECK_INT(add_letters(h, "u3", "aaaa1111", 2, ".", &err), 0);
    static const struct {
        const char *name;
        int64_t id;
    } NAMES[] = {{"1", 1}, {"last", 2}, {"last~1", 3}, {"last~2", 1}, {"aaaa", 3}, {"u1", 1}, {"branch:main", 2}};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        CHECK_INT(history_find_run(h, NAMES[i].name, &id, &err), 0);
        CHECK_INT(id, NAMES[i].id);
    }
    static const char *const WRONG[] = {"last~3", "last~x", "lasting", "9", "zzzz", "aaa", "branch:x"};
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        CHECK(history_find_run(h, WRONG[i], &id, &err) != 0);
    }
    CHECK_INT(history_run_before(h, 2, NULL, &id, &err), 0);
    CHECK_INT(id, 3);
    CHECK_INT(history_run_before(h, 1, NULL, &id, &err), 0);
    CHECK_INT(id, 0);
    history_close(h);
    place_free(&p);
}

TEST(history, a_view_takes_what_is_asked_for)
{
    TestPlace p = place_new();
    History *h = place_open(&p);
    HistoryRuns runs;
    HistoryView *v = NULL;
    Err err = {0};
    CHECK_INT(history_add(h, &WHOLE, NULL, NULL, &err), 0);
    CHECK_INT(add_letters(h, "u", "c", 1, "..", &err), 0);
    CHECK_INT(history_runs(h, &(HistoryFilter){.last = 1}, &runs, &err), 0);
    CHECK_INT(runs.n, 1);
    CHECK_INT(history_view(h, &(HistoryViewOptions){.runs = &runs, .scenario = "o*", .backend = "k*"}, &v, &err), 0);
    CHECK_INT(history_nbackends(v), 1);
    CHECK_INT(history_ncases(v), 2);
    CHECK_INT(history_duration_ns(v, 0, 0, 0), 0);
    CHECK_STR(history_reason(v, 0, 0, 0), "");
    history_view_free(v);
    runs.n = 0;
    CHECK_INT(history_view(h, &(HistoryViewOptions){.runs = &runs}, &v, &err), 0);
    CHECK_INT(history_ncases(v), 0);
    history_view_free(v);
    history_runs_free(&runs);
    history_close(h);
    place_free(&p);
}

TEST(history, prune_keeps_the_newest_of_each_branch_and_what_they_use)
{
    TestPlace p = place_new();
    History *h = place_open(&p);
    Err err = {0};
    uint64_t n = 0;
    int64_t chunks = 0, texts = 0;
    char uid[16];
    for (int i = 0; i < 10; i++) {
        snprintf(uid, sizeof uid, "r%d", i);
        CHECK_INT(add_letters(h, uid, "c", i, i % 2 ? "..F" : "F..", &err), 0);
    }
    CHECK_INT(history_add(h, &WHOLE, NULL, NULL, &err), 0);
    HistoryPrune prune = {.keep = 2, .before_ms = 9 * HOUR_MS, .is_dry = true};
    CHECK_INT(history_prune(h, &prune, &n, &err), 0);
    CHECK_INT(n, 8);
    prune.is_dry = false;
    CHECK_INT(history_prune(h, &prune, &n, &err), 0);
    CHECK_INT(n, 8);
    CHECK_INT(history_check(h, &err), 0);
    prune = (HistoryPrune){.before_ms = INT64_MAX};
    CHECK_INT(history_prune(h, &prune, &n, &err), 0);
    CHECK_INT(n, 3);
    CHECK_INT(sql_one(h->sql, "SELECT count(*) FROM conf_chunk", SQL_NO_ARGS, &chunks, NULL, &err), 0);
    CHECK_INT(chunks, 0);
    CHECK_INT(sql_one(h->sql, "SELECT count(*) FROM conf_text", SQL_NO_ARGS, &texts, NULL, &err), 0);
    CHECK_INT(texts, 10); /* of the cases: 2 + 1 suites, 2 + 3 scenarios, 2 guests */
    CHECK_INT(add_letters(h, "new", "c", 1, "F..", &err), 0);
    CHECK_INT(history_check(h, &err), 0);
    history_close(h);
    place_free(&p);
}

/* ---- what can happen to a database ---- */

TEST(history, an_old_schema_is_migrated_and_a_newer_one_refused)
{
    TestPlace p = place_new();
    Sql *sql = NULL;
    Err err = {0};
    SqlOpen o = {.where = where_of(&p), .busy_ms = 60000};
    CHECK_INT(p.is_url ? sql_postgres_open(&o, &sql, &err) : sql_sqlite_open(&o, &sql, &err), 0);
    CHECK_INT(schema_prepare(sql, 1, false, &err), 0);
    CHECK_INT(
        sql->ops->exec(
            sql,
            "INSERT INTO conf_run(uid, time_ms, ordinal, commit_id, parent, branch, host, version, job, cut_short,"
            " is_dirty, duration_ns, seed, passed, failed, error, skipped, xfailed, xpassed)"
            " VALUES('old', 1, 0, 'c', '', 'main', 'h', '', '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0)",
            &err),
        0);
    CHECK(sql->ops->exec(sql, "SELECT * FROM conf_bench", NULL) != 0); /* it is old */
    sql->ops->close(sql);
    History *h = place_open(&p);
    int64_t id = 0;
    CHECK_INT(history_find_run(h, "old", &id, &err), 0);
    CHECK_INT(history_add(h, &WHOLE, NULL, NULL, &err), 0);
    CHECK_INT(h->sql->ops->exec(h->sql, "UPDATE conf_meta SET value = 3", &err), 0);
    history_close(h);
    h = NULL;
    CHECK_INT(history_open(&(HistoryOpen){.where = where_of(&p)}, &h, &err), -ERR_VERSION);
    CHECK_HAS(err.text, "made by a newer conf (schema 3, this one knows up to 2); nothing was changed");
    place_free(&p);
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(text, 1, n, f) == n);
    if (f) {
        fclose(f);
    }
}

TEST(history, what_is_no_history_is_refused_and_left_as_it_was)
{
    TestPlace p = place_new();
    History *h = NULL;
    Err err = {0};
    Buf text = {0};
    CHECK_INT(history_open(&(HistoryOpen){.where = p.file, .is_reader = true}, &h, &err), -ERR_NOENT);
    CHECK_HAS(err.text, "there is no history yet");
    CHECK_INT(history_open(&(HistoryOpen){.where = p.folder}, &h, &err), -ERR_PROTO);
    CHECK_HAS(err.text, "it is no file");
    CHECK_INT(history_open(&(HistoryOpen){.where = "/proc/nonesuch/x.db"}, &h, &err), -ERR_IO);
    char line[6000];
    memset(line, 'x', sizeof line);
    write_file(p.file, line, sizeof line);
    CHECK_INT(history_open(&(HistoryOpen){.where = p.file}, &h, &err), -ERR_PROTO);
    CHECK_HAS(err.text, "no history: the file is no SQLite database");
    CHECK_INT(os_read_file(p.file, 1 << 20, &text, &err), 0);
    CHECK(text.n == sizeof line && !memcmp(text.data, line, text.n));
    unlink(p.file);
    Sql *sql = NULL;
    CHECK_INT(sql_sqlite_open(&(SqlOpen){.where = p.file, .busy_ms = 60000}, &sql, &err), 0);
    CHECK_INT(sql->ops->exec(sql, "CREATE TABLE accounts(x)", &err), 0);
    sql->ops->close(sql);
    CHECK_INT(history_open(&(HistoryOpen){.where = p.file}, &h, &err), -ERR_PROTO);
    CHECK_HAS(err.text, "a SQLite database of something else");
    buf_free(&text);
    place_free(&p);
}

/* Each byte range of the file in turn is overwritten: an answer that is right, or an error that says so; never a crash. */
TEST(history, a_damaged_file_is_an_error_or_reads_right)
{
    TestPlace p = place_new();
    p.is_url = false;
    p.where = NULL;
    History *h = place_open(&p);
    Err err = {0};
    Buf whole = {0};
    size_t nrefused = 0;
    CHECK_INT(history_add(h, &WHOLE, NULL, NULL, &err), 0);
    CHECK_INT(add_letters(h, "x", "c", 1, "..F.s", &err), 0);
    history_close(h);
    CHECK_INT(os_read_file(p.file, 1 << 24, &whole, &err), 0);
    for (size_t at = 0; at + 64 <= whole.n; at += whole.n / 150) {
        char saved[64];
        memcpy(saved, whole.data + at, sizeof saved);
        memset(whole.data + at, at % 3 ? 0xff : 0x55, sizeof saved);
        write_file(p.file, whole.data, whole.n);
        memcpy(whole.data + at, saved, sizeof saved);
        h = NULL;
        int rc = history_open(&(HistoryOpen){.where = p.file, .busy_ns = 1000000}, &h, &err);
        rc = rc ? rc : history_check(h, &err);
        nrefused += rc != 0;
        CHECK(!rc || *err.text);
        history_close(h);
    }
    fprintf(stderr, "history: %zu of 150 damages noticed, the others were in free space\n", nrefused);
    CHECK(nrefused > 5);
    buf_free(&whole);
    place_free(&p);
}

TEST(history, a_full_disk_is_said_and_nothing_is_lost)
{
    TestPlace p = place_new();
    p.where = NULL; /* a server's disk is not ours to fill */
    History *h = NULL;
    Err err = {0};
    HistoryRuns runs;
    Synthetic *s = synthetic_new(&(SyntheticOptions){.nscenarios = 200, .nbackends = 4, .nruns = 200, .seed = 5});
    CHECK_INT(history_open(&(HistoryOpen){.where = p.file, .max_bytes = 400000}, &h, &err), 0);
    size_t n = 0;
    int rc = 0;
    while (!rc && n < 200) {
        rc = history_add(h, synthetic_run(s, n), NULL, NULL, &err);
        n += !rc;
    }
    CHECK_INT(rc, -ERR_LIMIT);
    CHECK_HAS(err.text, "no room left");
    CHECK_HAS(err.text, "nothing was added, what was there is whole");
    CHECK(n > 10);
    CHECK_INT(history_check(h, &err), 0);
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(runs.n, n);
    history_runs_free(&runs);
    uint64_t pruned = 0;
    CHECK_INT(history_prune(h, &(HistoryPrune){.keep = n / 2}, &pruned, &err), 0);
    CHECK_INT(history_add(h, synthetic_run(s, n), NULL, NULL, &err), 0); /* there is room again */
    history_close(h);
    synthetic_free(s);
    place_free(&p);
}

/* ---- several at once, and killed ---- */

static int add_many(const TestPlace *p, int who, int n, int fd)
{
    History *h = NULL;
    Err err = {0};
    if (history_open(&(HistoryOpen){.where = where_of(p)}, &h, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        char uid[32], commit[16];
        snprintf(uid, sizeof uid, "w%d-%d-%d", who, i, (int)getpid());
        snprintf(commit, sizeof commit, "c%d", i);
        if (add_letters(h, uid, commit, i, i % 3 ? "..F" : "...s", &err)) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        if (fd >= 0 && write(fd, uid, sizeof uid) != sizeof uid) { /* committed */
            return 1;
        }
    }
    history_close(h);
    return 0;
}

TEST(history, writers_at_once_all_get_in)
{
    enum { WRITERS = 6, EACH = 8 };
    TestPlace p = place_new();
    pid_t pids[WRITERS];
    Err err = {0};
    HistoryRuns runs;
    for (int w = 0; w < WRITERS; w++) { /* the database is made by whoever is first */
        pids[w] = fork();
        if (!pids[w]) {
            _exit(add_many(&p, w, EACH, -1));
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        int status = -1;
        CHECK(waitpid(pids[w], &status, 0) == pids[w] && WIFEXITED(status) && !WEXITSTATUS(status));
    }
    History *h = place_open(&p);
    CHECK_INT(history_runs(h, NULL, &runs, &err), 0);
    CHECK_INT(runs.n, WRITERS * EACH);
    CHECK_INT(history_check(h, &err), 0);
    history_runs_free(&runs);
    history_close(h);
    place_free(&p);
}

/* What the child said was committed must be there. */
static size_t check_committed(History *h, int fd)
{
    char uid[32];
    size_t n = 0;
    int64_t id;
    Err err = {0};
    while (read(fd, uid, sizeof uid) == sizeof uid) {
        CHECK_INT(history_find_run(h, uid, &id, &err), 0);
        n++;
    }
    return n;
}

TEST(history, a_killed_writer_loses_nothing_that_was_committed)
{
    const char *env = getenv("CONF_HISTORY_KILLS");
    int nkills = env ? (int)strtol(env, NULL, 10) : 30;
    TestPlace p = place_new();
    History *h = place_open(&p);
    size_t ncommitted = 0;
    uint64_t seed = 12345;
    Err err = {0};
    for (int k = 0; k < nkills; k++) {
        int fds[2];
        CHECK(!pipe(fds));
        pid_t pid = fork();
        if (!pid) {
            close(fds[0]);
            _exit(add_many(&p, k, 1000, fds[1]));
        }
        close(fds[1]);
        char first[32];
        if (k % 2 && read(fds[0], first, sizeof first) ==
                         sizeof first) { /* half of them are killed while they add, not while they open */
            int64_t id;
            ncommitted++;
            CHECK_INT(history_find_run(h, first, &id, &err), 0);
        }
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        usleep(2000 + (useconds_t)(seed >> 33) % 30000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        ncommitted += check_committed(h, fds[0]);
        close(fds[0]);
        if (k % 50 == 49 || k + 1 == nkills) { /* as a program that starts then finds it */
            history_close(h);
            h = place_open(&p);
            CHECK_INT(history_check(h, &err), 0);
            uint64_t pruned;
            CHECK_INT(history_prune(h, &(HistoryPrune){.keep = 20}, &pruned, &err), 0);
        }
    }
    CHECK(ncommitted > 10);
    fprintf(stderr, "history: %d writers killed, %zu runs committed\n", nkills, ncommitted);
    history_close(h);
    place_free(&p);
}
