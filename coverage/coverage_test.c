/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/coverage.h"
#include "sim/base/json.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>

/* Two listed exits and a decode row, on three backends. */
static Coverage *sample(const char *run)
{
    Coverage *c = coverage_new();
    coverage_run(c, run);
    coverage_item(c, "exit", "exits", "halt", "*");
    coverage_item(c, "exit", "exits", "cpuid", "*");
    coverage_item(c, "exit", "exits", "fail_entry", "*");
    coverage_item(c, "decode", "riscv64 I", "addi", "sim-*");
    coverage_item(c, "c_line", "sim", "sim/a.c:1", "");
    coverage_context(c, "kvm", "x86_64", "");
    coverage_context(c, "sim-jit", "riscv64", "jit");
    coverage_context(c, "", "", "");
    coverage_scenario(c, "a.yaml::x");
    coverage_scenario(c, "b.yaml::\xc3\xa4 \"quoted\"");
    coverage_rule(c, &(CovRule){"exit", "cpuid", "sim-*", "*", "served inside"});
    coverage_rule(c, &(CovRule){"exit", "fail_*", "*", "*", "no entry fails"});
    coverage_hit(c, 0, 0, 0, 2);
    coverage_hit(c, 0, 0, 0, 3);
    coverage_hit(c, 0, 1, 1, 1);
    coverage_hit(c, 3, 1, 1, 7);
    coverage_hit(c, 4, 2, 0, 1);
    coverage_hit(c, coverage_found(c, "exit", "exits", "teapot"), 0, 0, 1);
    return c;
}

static const CovRow *row_of(const CovTally *t, const Coverage *c, const char *kind, const char *group,
                            const char *backend)
{
    for (size_t i = 0; i < t->rows.n; i++) {
        const CovRow *r = &t->rows.items[i];
        bool is_group = group ? r->group && !strcmp(r->group, group) : !r->group;
        bool is_backend = backend ? r->backend && !strcmp(r->backend, backend) : !r->backend;
        if (is_group && is_backend && !strcmp(c->kinds.items[r->kind], kind)) {
            return r;
        }
    }
    return NULL;
}

static void check_row(const CovTally *t, const Coverage *c, const char *kind, const char *group, const char *backend,
                      const CovRow *want)
{
    const CovRow *r = row_of(t, c, kind, group, backend);
    if (CHECK(r)) {
        CHECK_INT(r->total, want->total);
        CHECK_INT(r->covered, want->covered);
        CHECK_INT(r->excluded, want->excluded);
        CHECK_INT(r->unlisted, want->unlisted);
    }
}

TEST(coverage, tally_counts_what_could_be_reached)
{
    Coverage *c = sample("r");
    CovMatrix m;
    CovTally t;
    coverage_matrix(c, &m);
    coverage_tally(c, &m, &t);
    CHECK_INT(m.nbackends, 3);
    CHECK_STR(m.backends[0], "");
    CHECK_INT(m.count[0 * 3 + 1], 5);
    /* cpuid is open on kvm; fail_entry nowhere */
    check_row(&t, c, "exit", NULL, NULL, &(CovRow){.total = 2, .covered = 1, .excluded = 1, .unlisted = 1});
    check_row(&t, c, "exit", NULL, "kvm", &(CovRow){.total = 2, .covered = 1, .excluded = 1, .unlisted = 1});
    check_row(&t, c, "exit", "exits", "sim-jit", &(CovRow){.total = 1, .covered = 1, .excluded = 2});
    check_row(&t, c, "decode", NULL, "sim-jit", &(CovRow){.total = 1, .covered = 1});
    CHECK(!row_of(&t, c, "decode", NULL, "kvm")); /* foreign there */
    check_row(&t, c, "c_line", "sim", "", &(CovRow){.total = 1, .covered = 1});
    CHECK(!row_of(&t, c, "c_line", NULL, "kvm"));
    CHECK_STR(c->kinds.items[t.rows.items[0].kind], "exit"); /* in kinds.def's order */
    CHECK(coverage_percent(row_of(&t, c, "exit", NULL, "kvm")) == 50.0);
    CHECK(coverage_percent(&(CovRow){0}) == 100.0);
    coverage_tally_free(&t);
    coverage_matrix_free(&m);
    coverage_free(c);
}

TEST(coverage, an_exclusion_that_was_reached_is_told_and_counts)
{
    Coverage *c = sample("r");
    Buf out = {0};
    CHECK_INT(coverage_contradictions(c, &out), 0);
    coverage_hit(c, coverage_item_find(c, "exit", "cpuid"), 1, 0, 1);
    coverage_hit(c, coverage_item_find(c, "exit", "cpuid"), 1, 1, 1);
    CHECK_INT(coverage_contradictions(c, &out), 1);
    CHECK_STR(buf_text(&out), "exit cpuid on sim-jit riscv64: served inside\n");
    CovMatrix m;
    CovTally t;
    coverage_matrix(c, &m);
    coverage_tally(c, &m, &t);
    check_row(&t, c, "exit", NULL, "sim-jit", &(CovRow){.total = 2, .covered = 2, .excluded = 1});
    coverage_tally_free(&t);
    coverage_matrix_free(&m);
    buf_free(&out);
    coverage_free(c);
}

TEST(coverage, patterns)
{
    CHECK(coverage_matches("*", ""));
    CHECK(coverage_matches("sim-*", "sim-jit"));
    CHECK(!coverage_matches("sim-*", "kvm"));
    CHECK(coverage_matches("*@*", "kvm@nested"));
    CHECK(coverage_matches("a*b*c", "aXbXbc"));
    CHECK(!coverage_matches("a*b*c", "aXbXb"));
    CHECK(!coverage_matches("", "x"));
    CHECK(coverage_matches("", ""));
}

TEST(coverage, a_file_holds_everything)
{
    Coverage *c = sample("r"), *back = NULL;
    Buf first = {0}, second = {0};
    Err err = {0};
    coverage_write(c, &first);
    if (CHECK(!coverage_read("f", first.data, first.n, &back, &err))) {
        CHECK_INT(back->items.n, c->items.n);
        CHECK_INT(back->hits.n, c->hits.n);
        CHECK_INT(back->rules.n, 2);
        CHECK_INT(back->scenarios.n, 2);
        CHECK_INT(back->runs.n, 1);
        CHECK(back->items.items[coverage_item_find(back, "exit", "halt")].is_listed);
        CHECK(!back->items.items[coverage_item_find(back, "exit", "teapot")].is_listed);
        CHECK_STR(back->items.items[coverage_item_find(back, "decode", "addi")].scope, "sim-*");
        coverage_write(back, &second);
        CHECK_STR(buf_text(&second), buf_text(&first));
    } else {
        CHECK_STR(err.text, "");
    }
    buf_free(&first);
    buf_free(&second);
    coverage_free(back);
    coverage_free(c);
}

/* Other items in another order: nothing of it may show in the file. */
static Coverage *other(void)
{
    Coverage *c = coverage_new();
    coverage_run(c, "another");
    coverage_item(c, "trap", "riscv64", "breakpoint", "sim-*");
    coverage_item(c, "exit", "exits", "cpuid", "*");
    coverage_context(c, "fake", "riscv64", "");
    coverage_context(c, "kvm", "x86_64", "");
    coverage_scenario(c, "b.yaml::z");
    coverage_hit(c, 1, 1, 0, 4);
    coverage_hit(c, coverage_found(c, "exit", "exits", "halt"), 0, 0, 9);
    return c;
}

TEST(coverage, merging_is_the_same_in_either_order)
{
    Coverage *a = sample("r"), *b = other(), *ab = coverage_new(), *ba = coverage_new();
    Buf first = {0}, second = {0};
    Err err = {0};
    CHECK_INT(coverage_merge(ab, a, &err), 0);
    CHECK_INT(coverage_merge(ab, b, &err), 0);
    CHECK_INT(coverage_merge(ba, b, &err), 0);
    CHECK_INT(coverage_merge(ba, a, &err), 0);
    coverage_write(ab, &first);
    coverage_write(ba, &second);
    CHECK_STR(buf_text(&first), buf_text(&second));
    CHECK(ab->items.items[coverage_item_find(ab, "exit", "halt")].is_listed);
    CHECK_INT(ab->hits.n, a->hits.n + b->hits.n);
    CHECK_INT(coverage_merge(ab, b, &err), 0); /* again: nothing */
    buf_clear(&second);
    coverage_write(ab, &second);
    CHECK_STR(buf_text(&second), buf_text(&first));
    buf_free(&first);
    buf_free(&second);
    coverage_free(a);
    coverage_free(b);
    coverage_free(ab);
    coverage_free(ba);
}

TEST(coverage, runs_that_overlap_are_not_merged)
{
    Coverage *a = sample("r"), *ab = sample("r"), *c = sample("s");
    Err err = {0};
    Buf before = {0}, after = {0};
    coverage_run(ab, "s");
    coverage_write(c, &before);
    CHECK_INT(coverage_merge(c, ab, &err), -ERR_EXIST);
    CHECK_STR(err.text, "1 of 2 runs are there already, and cannot be told from the others");
    coverage_write(c, &after);
    CHECK_STR(buf_text(&after), buf_text(&before));
    CHECK_INT(coverage_merge(ab, a, &err), 0); /* all of a is there */
    buf_free(&before);
    buf_free(&after);
    coverage_free(a);
    coverage_free(ab);
    coverage_free(c);
}

TEST(coverage, counts_stop_at_their_end)
{
    Coverage *c = sample("r");
    coverage_hit(c, 1, 0, 0, UINT64_MAX - 1);
    coverage_hit(c, 1, 0, 0, 5);
    CovMatrix m;
    coverage_matrix(c, &m);
    CHECK_INT(m.count[1 * m.nbackends + 1], UINT64_MAX);
    coverage_matrix_free(&m);
    coverage_free(c);
}

#define HEAD  "{\"conf_coverage\": 1, \"runs\": [\"r\"], \"kinds\": [\"exit\"], \"texts\": [\"g\", \"*\"], "
#define ITEMS HEAD "\"items\": [[0,0,1,1,\"halt\"]], "
#define ALL   ITEMS "\"contexts\": [[\"kvm\",\"x86_64\",\"\"]], \"scenarios\": [\"s\"], \"rules\": [], "

TEST(coverage, a_file_that_is_wrong_is_refused_with_its_place)
{
    static const struct {
        const char *text, *says;
        int code;
    } cases[] = {
        {"", "f:1:1: expected an object, but the text ends", ERR_INVAL},
        {"{}", "f:1:3: a table is missing", ERR_INVAL},
        {"{\"conf_coverage\": 2}", "version 2 of the format; this conf reads version 1", ERR_VERSION},
        {"{\"conf_coverage\": 1, \"kinds\": []}", "`kinds` is not in its place", ERR_INVAL},
        {"{\"conf_coverage\": 1, \"conf_coverage\": 1}", "`conf_coverage` is not in its place", ERR_INVAL},
        {"{\"colour\": 1}", "unknown key `colour`", ERR_INVAL},
        {HEAD "\"items\": [[1,0,1,1,\"halt\"]]}", "expected a number of at most 0, got 1", ERR_LIMIT},
        {HEAD "\"items\": [[0,0,1,2,\"halt\"]]}", "expected a number of at most 1, got 2", ERR_LIMIT},
        {HEAD "\"items\": [[0,0,1,1]]}", "the row is too short", ERR_INVAL},
        {HEAD "\"items\": [[0,0,1,1,\"halt\",3]]}", "the row is too long", ERR_INVAL},
        {HEAD "\"items\": [[0,0,1,1,\"ha\\nlt\"]]}", "a control character in a name", ERR_INVAL},
        {ITEMS "\"contexts\": [[\"kvm\",\"x86_64\"]]}", "the row is too short", ERR_INVAL},
        {ALL "\"hits\": [[0,0,0]]}", "the row is too short", ERR_INVAL},
        {ALL "\"hits\": [[0,0,1,1]]}", "expected a number of at most 0, got 1", ERR_LIMIT},
        {ALL "\"hits\": [[0,0,0,0]]}", "a hit of 0", ERR_INVAL},
        {ALL "\"hits\": [[0,0,0,1]]} x", "expected the end, got `x`", ERR_INVAL},
        {ITEMS "\"contexts\": [], \"scenarios\": [], \"rules\": [[\"exit\",\"*\",\"*\",\"*\",\"\"]]}",
         "a rule without a reason", ERR_INVAL},
        {ITEMS "\"contexts\": [], \"scenarios\": [], \"rules\": [], \"hits\": [[0]]}", "it points into an empty table",
         ERR_INVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Coverage *c = NULL;
        Err err = {0};
        CHECK_INT(coverage_read("f", cases[i].text, strlen(cases[i].text), &c, &err), -cases[i].code);
        CHECK_HAS(err.text, cases[i].says);
        CHECK(!c);
    }
    Coverage *c = NULL;
    CHECK_INT(coverage_read("f", ALL "\"hits\": [[0,0,0,1]]}", strlen(ALL "\"hits\": [[0,0,0,1]]}"), &c, NULL), 0);
    coverage_free(c);
}

TEST(coverage, a_name_has_a_limit)
{
    Buf text = {0};
    Coverage *c = NULL;
    Err err = {0};
    buf_str(&text, "{\"conf_coverage\": 1, \"runs\": [\"");
    for (int i = 0; i <= COV_TEXT_MAX; i++) {
        buf_char(&text, 'x');
    }
    buf_str(&text, "\"]}");
    CHECK_INT(coverage_read("f", text.data, text.n, &c, &err), -ERR_LIMIT);
    CHECK_HAS(err.text, "a name of 2049 bytes, more than 2048");
    buf_free(&text);
}

TEST(coverage, many_hits_keep_their_places)
{
    Coverage *c = coverage_new(), *back = NULL;
    Buf out = {0};
    for (unsigned i = 0; i < 500; i++) {
        char name[32];
        snprintf(name, sizeof name, "item %u", i);
        uint32_t item = coverage_item(c, i % 2 ? "decode" : "csr", "g", name, "*");
        for (unsigned s = 0; s < 40; s++) {
            snprintf(name, sizeof name, "s%u", s);
            uint32_t scenario = coverage_scenario(c, name);
            coverage_hit(c, item, coverage_context(c, s % 3 ? "kvm" : "fake", "riscv64", ""), scenario, i + s + 1);
        }
    }
    CHECK_INT(c->hits.n, 500 * 40);
    coverage_write(c, &out);
    CHECK_INT(coverage_read("f", out.data, out.n, &back, NULL), 0);
    uint64_t sum = 0;
    for (size_t i = 0; back && i < back->hits.n; i++) {
        sum += back->hits.items[i].count;
    }
    CHECK_INT(sum, 500u * 40 * (250 + 20)); /* the sum of i + s + 1 */
    buf_free(&out);
    coverage_free(back);
    coverage_free(c);
}
