/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/floor.h"
#include "coverage/gcovr.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char report[] =
    "{\"files\": [{\"file\": \"sim/a.c\", \"functions\": [{\"execution_count\": 3, \"lineno\": 1, \"name\": \"f\"},"
    "{\"execution_count\": 0, \"name\": \"g\"}], \"lines\": ["
    "{\"branches\": [{\"count\": 2, \"fallthrough\": true}, {\"count\": 0}], \"count\": 2, \"gcovr/noncode\": false, "
    "\"line_number\": 7},"
    "{\"branches\": [], \"count\": 0, \"line_number\": 9},"
    "{\"branches\": [], \"count\": 0, \"gcovr/noncode\": true, \"line_number\": 10}]}], \"gcovr/format_version\": "
    "\"0.3\"}";

static Coverage *read_report(void)
{
    Coverage *c = coverage_new();
    Err err = {0};
    if (gcovr_read("g.json", report, sizeof report - 1, "unit tests", c, &err)) {
        CHECK_STR(err.text, "");
    }
    return c;
}

TEST(gcovr, a_report_becomes_lines_functions_and_branches)
{
    Coverage *c = read_report();
    CHECK_INT(c->items.n, 6);
    CHECK(coverage_item_find(c, "c_line", "sim/a.c:7") != COV_NONE);
    CHECK(coverage_item_find(c, "c_line", "sim/a.c:9") != COV_NONE);
    CHECK_INT(coverage_item_find(c, "c_line", "sim/a.c:10"), COV_NONE);
    CHECK(coverage_item_find(c, "c_branch", "sim/a.c:7#1") != COV_NONE);
    CHECK(coverage_item_find(c, "c_function", "sim/a.c g") != COV_NONE);
    CHECK_STR(c->items.items[0].group, "sim");
    CHECK_STR(c->scenarios.items[0], "unit tests");
    CovMatrix m;
    CovTally t;
    coverage_matrix(c, &m);
    coverage_tally(c, &m, &t);
    CHECK_STR(c->kinds.items[t.rows.items[0].kind], "c_line");
    CHECK_INT(t.rows.items[0].covered, 1);
    CHECK_INT(t.rows.items[0].total, 2);
    coverage_tally_free(&t);
    coverage_matrix_free(&m);
    coverage_free(c);
}

TEST(gcovr, what_is_no_report_adds_nothing)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{}", "no `files`"},
        {"{\"files\": [{\"lines\": []}]}", "`file` must come before"},
        {"{\"files\": [{\"file\": \"a\\nb\"}]}", "that is no file's name"},
        {"{\"files\": [{\"file\": \"a.c\", \"lines\": [{\"count\": 1, \"line_number\": 2}, {\"count\": -1}]}]}",
         "g:1:80: expected a whole number"},
        {"{\"files\": [{\"file\": \"a.c\"}]", "but the text ends"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Coverage *c = coverage_new();
        Err err = {0};
        CHECK_INT(gcovr_read("g", cases[i].text, strlen(cases[i].text), "x", c, &err), -ERR_INVAL);
        CHECK_HAS(err.text, cases[i].says);
        CHECK_INT(c->items.n, 0);
        coverage_free(c);
    }
}

TEST(gcovr, lcov_has_code_by_line_and_items_as_functions)
{
    Coverage *c = read_report();
    Buf out = {0};
    coverage_hit(c, coverage_item(c, "exit", "exits", "halt", "*"), coverage_context(c, "kvm", "x86_64", ""), 0, 4);
    coverage_item(c, "exit", "exits", "idle", "*");
    lcov_write(c, &out);
    CHECK_STR(buf_text(&out),
              "TN:\nSF:conf/exit/exits\nFN:1,halt\nFNDA:4,halt\nDA:1,4\nFN:2,idle\nFNDA:0,idle\nDA:2,0\n"
              "FNF:2\nFNH:1\nBRF:0\nBRH:0\nLF:2\nLH:1\nend_of_record\n"
              "TN:\nSF:sim/a.c\nDA:7,2\nBRDA:7,0,0,2\nBRDA:7,0,1,0\nDA:9,0\nFN:1,f\nFNDA:3,f\nFN:2,g\n"
              "FNDA:0,g\nFNF:2\nFNH:1\nBRF:2\nBRH:1\nLF:2\nLH:1\nend_of_record\n");
    buf_free(&out);
    coverage_free(c);
}

TEST(gcovr, cobertura_has_packages_classes_and_rates)
{
    Coverage *c = read_report();
    Buf out = {0};
    coverage_hit(c, coverage_item(c, "exit", "exits", "a<b", "*"), coverage_context(c, "kvm", "x86_64", ""), 0, 4);
    cobertura_write(c, 1700000000, &out);
    static const char *const has[] = {
        "<coverage line-rate=\"0.6667\" branch-rate=\"0.5000\" lines-covered=\"2\" lines-valid=\"3\"",
        "timestamp=\"1700000000\"",
        "<package name=\"conf/exit\" line-rate=\"1.0000\"",
        ("<method name=\"a&lt;b\" signature=\"\" line-rate=\"1\" branch-rate=\"1\"><lines><line number=\"1\" "
         "hits=\"4\"/>"),
        "<package name=\"sim\" line-rate=\"0.5000\" branch-rate=\"0.5000\"",
        "<class name=\"sim/a.c\" filename=\"sim/a.c\"",
        "<line number=\"7\" hits=\"2\" branch=\"true\" condition-coverage=\"50% (1/2)\"/>",
        "<line number=\"9\" hits=\"0\" branch=\"false\"/>",
    };
    for (size_t i = 0; i < ARRAY_LEN(has); i++) {
        CHECK_HAS(buf_text(&out), has[i]);
    }
    buf_free(&out);
    coverage_free(c);
}

/* ---- limits ---- */
typedef struct {
    Coverage *c;
    CovMatrix m;
    CovTally t;
} Counted;

static Counted counted(void)
{
    Counted x = {.c = read_report()};
    coverage_hit(x.c, coverage_item(x.c, "exit", "exits", "halt", "*"), coverage_context(x.c, "kvm", "x86_64", ""), 0,
                 4);
    coverage_item(x.c, "exit", "exits", "idle", "*");
    coverage_item(x.c, "exit", "exits", "budget", "*");
    coverage_matrix(x.c, &x.m);
    coverage_tally(x.c, &x.m, &x.t);
    return x;
}

static void counted_free(Counted *x)
{
    coverage_tally_free(&x->t);
    coverage_matrix_free(&x->m);
    coverage_free(x->c);
}

TEST(floor, tells_what_is_below_and_what_is_not_there)
{
    Counted x = counted();
    CovFloor f = {0};
    Buf out = {0};
    size_t nabsent = 0;
    CHECK_INT(floor_add(&f, "exit@kvm=33.33", NULL), 0);
    CHECK_INT(floor_add(&f, "exit=33.34", NULL), 0);
    CHECK_INT(floor_add(&f, "c_line/sim=50", NULL), 0);
    CHECK_INT(floor_add(&f, "c_branch=50.01", NULL), 0);
    CHECK_INT(floor_add(&f, "exit@fake=0", NULL), 0);
    CHECK_INT(floor_check(&f, x.c, &x.t, &out, &nabsent), 2);
    CHECK_INT(nabsent, 1);
    CHECK_STR(buf_text(&out),
              "exit: 33.33 % of 3, the limit is 33.34 %\nc_branch: 50.00 % of 2, the limit is 50.01 %\n");
    buf_free(&out);
    floor_free(&f);
    counted_free(&x);
}

TEST(floor, limits_are_spelled_exactly)
{
    static const char *const wrong[] = {"exit",    "=5",      "exit=",   "exit=101", "exit=1.234",
                                        "exit=5%", "exit=1.", "exit=.5", "exit=-1",  "exit=1e1"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CovFloor f = {0};
        CHECK_INT(floor_add(&f, wrong[i], NULL), -ERR_INVAL);
        floor_free(&f);
    }
}

TEST(floor, is_raised_kept_and_never_lowered)
{
    Counted x = counted();
    CovFloor f = {0}, back = {0};
    Buf out = {0};
    size_t nabsent = 0;
    char path[] = "/tmp/conf-floor-XXXXXX";
    close(mkstemp(path));
    CHECK_INT(floor_add(&f, "exit=90", NULL), 0);
    CHECK_INT(floor_add(&f, "exit@kvm=1", NULL), 0);
    CHECK(floor_raise(&f, x.c, &x.t) > 0);
    CHECK_INT(floor_raise(&f, x.c, &x.t), 0);
    CHECK_INT(floor_save(&f, path, NULL), 0);
    CHECK_INT(floor_load(path, &back, NULL), 0);
    CHECK_INT(back.list.n, f.list.n);
    CHECK_INT(floor_check(&back, x.c, &x.t, &out, &nabsent), 1);
    CHECK_STR(buf_text(&out), "exit: 33.33 % of 3, the limit is 90.00 %\n");
    CHECK_INT(nabsent, 0);
    buf_clear(&out);
    CHECK_INT(os_read_file(path, 1 << 16, &out, NULL), 0);
    CHECK_HAS(buf_text(&out), "\"exit@kvm\": 33.33\n");
    CHECK_HAS(buf_text(&out), "\"c_line/sim\": 50.00,");
    unlink(path);
    buf_free(&out);
    floor_free(&f);
    floor_free(&back);
    counted_free(&x);
}

TEST(floor, a_file_that_is_wrong_is_refused)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{}", "expected \"conf_coverage_floor\": 1"},
        {"{\"exit\": 5}", "expected \"conf_coverage_floor\": 1 first"},
        {"{\"conf_coverage_floor\": 2}", "expected \"conf_coverage_floor\": 1 first"},
        {"{\"conf_coverage_floor\": 1, \"exit\": 101}", "`exit`: expected a percentage"},
        {"{\"conf_coverage_floor\": 1, \"exit\": 1, \"exit\": 1}", "`exit` is there twice"},
        {"{\"conf_coverage_floor\": 1, \"exit\": \"x\"}", "expected a number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CovFloor f;
        Err err = {0};
        CHECK(floor_read("f", cases[i].text, strlen(cases[i].text), &f, &err));
        CHECK_HAS(err.text, cases[i].says);
        CHECK_INT(f.list.n, 0);
    }
    CovFloor none;
    CHECK_INT(floor_load("/nowhere/floor.json", &none, NULL), 0);
    CHECK_INT(none.list.n, 0);
}
