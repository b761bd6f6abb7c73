/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/report.h"

#include "conformance/cmd.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const Suite SUITE = {.file = "cases.yaml"};
static const Case GOOD = {.suite = &SUITE, .id = "good", .name = "good", .pos = {.line = 3}, .guest = GUEST_riscv64};
static const Case BAD = {
    .suite = &SUITE, .id = "it's <bad>[r#1]", .name = "it's <bad>", .pos = {.line = 9}, .guest = GUEST_x86_64};
static const Case LOST = {.suite = &SUITE, .id = "lost", .name = "lost", .pos = {.line = 20}, .guest = GUEST_aarch64};

static Result result_of(const Case *c, Status status, const char *reason, const char *failure)
{
    Result r = {.c = c, .backend = "fake", .status = status, .duration_ns = 1500000, .seed = 7, .nexits = 2};
    buf_str(&r.reason, reason);
    buf_str(&r.failure, failure);
    return r;
}

/* One of each status. */
static Run sample(void)
{
    Run run = {.view = {.color = COLOR_NEVER, .is_quiet = true}};
    static const char DETAIL[] = "expected \"a\" & <b>\n\x01 got\tc\n";
    Result r[] = {
        result_of(&GOOD, STATUS_passed, "", ""),
        result_of(&BAD, STATUS_failed, "size: expected 2, got 4", DETAIL),
        result_of(&BAD, STATUS_error, "backend died: signal 11 (SIGSEGV)", ""),
        result_of(&GOOD, STATUS_xfailed, "known gap", ""),
        result_of(&GOOD, STATUS_xpassed, "known gap", ""),
        result_of(&LOST, STATUS_skipped, "needs dirty_log: fake keeps none", ""),
    };
    r[1].fail_pos = (Pos){.file = "cases.yaml", .line = 11, .col = 5};
    run_begin(&run, ARRAY_LEN(r));
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        run_result(&run, &r[i], "fake");
    }
    run.tally.duration_ns = 1234567890;
    return run;
}

static const Reporter *find(const char *name)
{
    size_t n = 0;
    const Reporter *const *list = reporter_list(&n);
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(list[i]->name, name)) {
            return list[i];
        }
    }
    return NULL;
}

static void check_document(const char *name, const char *want)
{
    Run run = sample();
    Buf out = {0};
    find(name)->document(&run, &out);
    CHECK_STR(buf_text(&out), want);
    buf_free(&out);
    run_free(&run);
}

TEST(report, tap_document)
{
    check_document(
        "tap",
        "TAP version 14\n"
        "1..6\n"
        "ok 1 - cases.yaml: good (riscv64, fake)\n"
        "not ok 2 - cases.yaml: it's <bad>[r\\#1] (x86_64, fake)\n"
        "  ---\n"
        "  status: \"failed\"\n"
        "  message: \"size: expected 2, got 4\"\n"
        "  file: \"cases.yaml\"\n"
        "  line: 11\n"
        "  reproduce: \"conf run 'cases.yaml::it'\\\\''s <bad>[r#1]' --backend fake --guest x86_64 --seed 0x7\"\n"
        "  detail: |2\n"
        "    expected \"a\" & <b>\n"
        "    \xef\xbf\xbd got\tc\n"
        "  ...\n"
        "not ok 3 - cases.yaml: it's <bad>[r\\#1] (x86_64, fake)\n"
        "  ---\n"
        "  status: \"error\"\n"
        "  message: \"backend died: signal 11 (SIGSEGV)\"\n"
        "  file: \"cases.yaml\"\n"
        "  line: 9\n"
        "  reproduce: \"conf run 'cases.yaml::it'\\\\''s <bad>[r#1]' --backend fake --guest x86_64 --seed 0x7\"\n"
        "  ...\n"
        "not ok 4 - cases.yaml: good (riscv64, fake) # TODO known gap\n"
        "  ---\n"
        "  status: \"xfailed\"\n"
        "  message: \"known gap\"\n"
        "  file: \"cases.yaml\"\n"
        "  line: 3\n"
        "  reproduce: \"conf run cases.yaml::good --backend fake --guest riscv64 --seed 0x7\"\n"
        "  ...\n"
        "not ok 5 - cases.yaml: good (riscv64, fake)\n"
        "  ---\n"
        "  status: \"xpassed\"\n"
        "  message: \"known gap\"\n"
        "  file: \"cases.yaml\"\n"
        "  line: 3\n"
        "  reproduce: \"conf run cases.yaml::good --backend fake --guest riscv64 --seed 0x7\"\n"
        "  ...\n"
        "ok 6 - cases.yaml: lost (aarch64, fake) # SKIP needs dirty_log: fake keeps none\n");
}

TEST(report, json_document)
{
    Run run = sample();
    Buf out = {0};
    find("json")->document(&run, &out);
    CHECK_HAS(buf_text(&out),
              "{\n  \"schema_version\": 1,\n  \"conf_version\": \"" CONF_VERSION
              "\",\n  \"cut_short\": null,\n  \"summary\": {\n    \"passed\": 1,\n    \"failed\": 1,\n"
              "    \"skipped\": 1,\n    \"errors\": 1,\n    \"xfailed\": 1,\n    \"xpassed\": 1,\n"
              "    \"total\": 6,\n    \"planned\": 6,\n    \"duration_ns\": 1234567890,\n    \"backends\": [\n      {\n"
              "        \"backend\": \"fake\",\n        \"passed\": 1,\n        \"failed\": 1,\n"
              "        \"skipped\": 1,\n        \"errors\": 1,\n        \"xfailed\": 1,\n        \"xpassed\": 1,\n"
              "        \"skipped_for\": [\n          {\n            \"need\": \"dirty_log\",\n            \"n\": 1\n"
              "          }\n        ],\n        \"xfailed_for\": [\n          {\n"
              "            \"reason\": \"known gap\",\n            \"n\": 1\n          }\n        ]\n      }\n"
              "    ]\n  },\n"
              "  \"results\": [\n    {\n      \"suite\": \"cases.yaml\",\n      \"scenario\": \"good\",\n"
              "      \"guest\": \"riscv64\",\n      \"backend\": \"fake\",\n"
              "      \"status\": \"passed\",\n      \"reason\": \"\",\n      \"line\": 3,\n"
              "      \"duration_ns\": 1500000,\n      \"exits\": 2,\n      \"transitions\": 0,\n"
              "      \"seed\": 7\n    },\n");
    CHECK_HAS(buf_text(&out), "\"status\": \"error\",\n      \"reason\": \"backend died: signal 11 (SIGSEGV)\"");
    buf_free(&out);
    run_free(&run);
}

TEST(report, junit_document)
{
    Run run = sample();
    Buf out = {0};
    find("junit")->document(&run, &out);
    const char *text = buf_text(&out);
    CHECK_HAS(text,
              "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
              "<testsuites name=\"conf\" tests=\"6\" failures=\"2\" errors=\"1\" skipped=\"2\" "
              "time=\"1.234567\">\n"
              "  <testsuite name=\"cases.yaml\" tests=\"6\" failures=\"2\" errors=\"1\" skipped=\"2\" "
              "time=\"0.009000\">\n"
              "    <testcase name=\"good (riscv64, fake)\" classname=\"cases.yaml\" file=\"cases.yaml\" line=\"3\" "
              "time=\"0.001500\">\n"
              "      <properties>\n"
              "        <property name=\"backend\" value=\"fake\"/>\n"
              "        <property name=\"guest\" value=\"riscv64\"/>\n"
              "        <property name=\"seed\" value=\"7\"/>\n"
              "      </properties>\n"
              "    </testcase>\n");
    CHECK_HAS(text, "<testcase name=\"it's &lt;bad&gt;[r#1] (x86_64, fake)\"");
    CHECK_HAS(text, "      <failure message=\"size: expected 2, got 4\" type=\"failed\">expected &quot;a&quot; &amp; "
                    "&lt;b&gt;\n\xef\xbf\xbd got\tc\nreproduce: conf run 'cases.yaml::it'\\''s &lt;bad&gt;[r#1]' "
                    "--backend fake --guest x86_64 --seed 0x7</failure>\n");
    CHECK_HAS(text, "<error message=\"backend died: signal 11 (SIGSEGV)\" type=\"error\">");
    CHECK_HAS(text, "<skipped message=\"needs dirty_log: fake keeps none\" type=\"skipped\"/>");
    CHECK_HAS(text, "<skipped message=\"known gap\" type=\"xfailed\"/>");
    CHECK_HAS(text, "<failure message=\"known gap\" type=\"xpassed\">");
    CHECK(strchr(text, '\x01') == NULL);
    buf_free(&out);
    run_free(&run);
}

/* good on fake was skipped, `it's <bad>` passed, then it was an error already; the xfailed one was not there. */
static const int8_t WAS[] = {STATUS_skipped, STATUS_passed, STATUS_error, -1, STATUS_xpassed, STATUS_skipped};
static const RunSince SINCE = {.against = "run 12 of main, 0123456789, 2026-11-26 04:27", .was = WAS, .ngone = 3};

#define AGAIN "conf run 'cases.yaml::it'\\''s <bad>[r#1]' --backend fake --guest x86_64 --seed 0x7"

TEST(report, github_annotates_what_became_bad_first)
{
    Run run = sample();
    Buf out = {0};
    int8_t was[ARRAY_LEN(WAS)];
    RunSince since = SINCE;
    memcpy(was, WAS, sizeof was);
    was[1] = STATUS_failed; /* for long */
    was[2] = STATUS_passed;
    since.was = was;
    run.since = &since;
    find("github")->document(&run, &out);
    CHECK_STR(
        buf_text(&out),
        "::error file=cases.yaml,line=9,title=new error%3A it's <bad>[r#1] (x86_64%2C fake)::backend died: signal 11 "
        "(SIGSEGV)%0Areproduce: " AGAIN "\n"
        "::error file=cases.yaml,line=11,title=failed%3A it's <bad>[r#1] (x86_64%2C fake)::size: expected 2, got 4%0A"
        "expected \"a\" & <b>%0A\xef\xbf\xbd got\tc%0A%0Areproduce: " AGAIN "\n"
        "::error file=cases.yaml,line=3,title=xpassed%3A good (riscv64%2C fake)::known gap%0Areproduce: conf run "
        "cases.yaml::good --backend fake --guest riscv64 --seed 0x7\n");
    buf_free(&out);
    run_free(&run);
}

/* A name or a reason can end no command and begin none. */
TEST(report, github_is_told_no_commands_by_a_suite)
{
    static const Case EVIL = {
        .suite = &SUITE, .id = "x::y,z\n::set-output a=b%0A", .pos = {.line = 1}, .guest = GUEST_riscv64};
    Run run = {.view = {.color = COLOR_NEVER, .is_quiet = true}};
    Buf out = {0};
    Result r = result_of(&EVIL, STATUS_failed, "r\n::error::mine\r", "");
    run_begin(&run, 1);
    run_result(&run, &r, "fake");
    find("github")->document(&run, &out);
    CHECK_HAS(buf_text(&out), "title=failed%3A x%3A%3Ay%2Cz%0A%3A%3Aset-output a=b%250A (");
    CHECK_HAS(buf_text(&out), "::r%0A::error::mine\xef\xbf\xbd%0Areproduce");
    CHECK(strchr(buf_text(&out), '\n') == buf_text(&out) + out.n - 1);
    buf_free(&out);
    run_free(&run);
}

TEST(report, sarif_has_the_bad_results)
{
    Run run = sample();
    Buf out = {0};
    run.since = &SINCE;
    find("sarif")->document(&run, &out);
    const char *text = buf_text(&out);
    CHECK_HAS(text, "\"version\": \"2.1.0\",\n  \"runs\": [\n    {\n      \"tool\": {\n        \"driver\": {\n"
                    "          \"name\": \"conf\",\n");
    CHECK_HAS(
        text,
        "          \"ruleId\": \"failed\",\n          \"ruleIndex\": 0,\n          \"level\": \"error\",\n"
        "          \"baselineState\": \"new\",\n          \"message\": {\n"
        "            \"text\": \"it's <bad>[r#1] (x86_64, fake): size: expected 2, got 4\\nexpected \\\"a\\\" & <b>\\n"
        "\xef\xbf\xbd got\\tc\\n\"\n          },\n");
    CHECK_HAS(
        text,
        "                \"artifactLocation\": {\n                  \"uri\": \"cases.yaml\"\n                },\n"
        "                \"region\": {\n                  \"startLine\": 11,\n                  \"startColumn\": 5\n");
    CHECK_HAS(text, "\"ruleId\": \"error\",\n          \"ruleIndex\": 1,\n          \"level\": \"error\",\n"
                    "          \"baselineState\": \"unchanged\"");
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, "\"ruleId\"")); p++) {
        n++;
    }
    CHECK_INT(n, 3);
    CHECK_HAS(text, "\"executionSuccessful\": true");
    buf_free(&out);
    run_free(&run);
}

TEST(report, summary_says_what_has_changed)
{
    Run run = sample();
    Buf out = {0};
    run.since = &SINCE;
    find("summary")->document(&run, &out);
    CHECK_STR(
        buf_text(&out),
        "## conf: 3 of 6 bad\n\n"
        "| backend | passed | failed | error | skipped | xfailed | xpassed |\n|---|--:|--:|--:|--:|--:|--:|\n"
        "| fake | 1 | 1 | 1 | 1 | 1 | 1 |\n"
        "\n### Since run 12 of main, 0123456789, 2026-11-26 04:27\n\n"
        "1 became bad, 0 became good, 1 changed otherwise, 1 are new, 3 are gone, 3 are as they were.\n"
        "\n**Became bad**\n\n"
        "- it's &lt;bad\\>\\[r\\#1\\] (x86\\_64, fake), cases.yaml:11: failed, was passed: size: expected 2, got 4\n"
        "\n**Changed otherwise**\n\n"
        "- good (riscv64, fake), cases.yaml:3: passed, was skipped\n"
        "\n**New**\n\n"
        "- good (riscv64, fake), cases.yaml:3: xfailed: known gap\n"
        "\n### What is bad\n\n"
        "<details><summary>failed: it's &lt;bad>[r#1] (x86_64, fake), cases.yaml:11: size: expected 2, got "
        "4</summary>\n\n"
        "```text\nexpected \"a\" & <b>\n\xef\xbf\xbd got\tc\nreproduce: " AGAIN "\n```\n\n</details>\n"
        "<details><summary>error: it's &lt;bad>[r#1] (x86_64, fake), cases.yaml:9: backend died: signal 11 "
        "(SIGSEGV)</summary>\n\n```text\nreproduce: " AGAIN "\n```\n\n</details>\n"
        "<details><summary>xpassed: good (riscv64, fake), cases.yaml:3: known gap</summary>\n\n```text\n"
        "reproduce: conf run cases.yaml::good --backend fake --guest riscv64 --seed 0x7\n```\n\n</details>\n");
    buf_free(&out);
    run_free(&run);
}

/* Many bad results with long texts stay below the 1 MiB that GitHub shows, and no text closes its own fence. */
TEST(report, summary_is_bounded)
{
    Run run = {.view = {.color = COLOR_NEVER, .is_quiet = true}};
    Buf out = {0}, detail = {0};
    buf_str(&detail, "a fence ````` of five\n");
    for (int i = 0; i < 20000; i++) {
        buf_str(&detail, "\xc3\xa9");
    }
    run_begin(&run, 3000);
    for (int i = 0; i < 3000; i++) {
        Result r = result_of(&BAD, STATUS_failed, "size: expected 2, got 4", buf_text(&detail));
        run_result(&run, &r, "fake");
    }
    find("summary")->document(&run, &out);
    CHECK(out.n < 200000);
    CHECK_HAS(buf_text(&out), "\n``````text\na fence ````` of five\n");
    CHECK_HAS(buf_text(&out), "\n...\n``````\n");
    CHECK_HAS(buf_text(&out), "- and 2960 more\n");
    buf_clear(&out);
    find("github")->document(&run, &out);
    CHECK_HAS(buf_text(&out), "::notice title=conf::2990 more bad results;");
    buf_free(&out);
    buf_clear(&detail);
    buf_free(&detail);
    run_free(&run);
}

/* What pretty prints for the lines of a run and at its end. */
static void pretty(const Run *run, Buf *out)
{
    for (size_t i = 0; i < run->lines.n; i++) {
        reporter_pretty.result(run, &run->lines.items[i], out);
    }
    reporter_pretty.end(run, out);
}

TEST(report, pretty_shows_what_is_wrong_and_how_to_see_it_again)
{
    Run run = sample();
    Buf out = {0};
    pretty(&run, &out);
    CHECK_STR(buf_text(&out),
              "FAIL  it's <bad>[r#1]  x86_64  fake  cases.yaml:11\n"
              "  expected \"a\" & <b>\n"
              "  \xef\xbf\xbd got\tc\n"
              "  reproduce: conf run 'cases.yaml::it'\\''s <bad>[r#1]' --backend fake --guest x86_64 --seed 0x7\n"
              "ERROR it's <bad>[r#1]  x86_64  fake  cases.yaml:9\n"
              "  backend died: signal 11 (SIGSEGV)\n"
              "  reproduce: conf run 'cases.yaml::it'\\''s <bad>[r#1]' --backend fake --guest x86_64 --seed 0x7\n"
              "XPASS good  riscv64  fake  cases.yaml:3\n"
              "  known gap\n"
              "  reproduce: conf run cases.yaml::good --backend fake --guest riscv64 --seed 0x7\n"
              "skipped:\n"
              "     1  needs dirty_log: fake keeps none\n"
              "ran on no backend:\n"
              "        cases.yaml:20  lost\n"
              "1 passed, 1 failed, 1 errors, 1 skipped, 1 xfailed (1 xpassed) in 1.23 s\n");
    CHECK_INT(run_status(&run), CONF_FAILURES);
    buf_free(&out);
    run_free(&run);
}

TEST(report, pretty_shows_the_trace_of_what_passes_if_asked_to)
{
    Run run = {.view = {.color = COLOR_NEVER, .is_verbose = true}};
    Buf out = {0};
    Result r = result_of(&GOOD, STATUS_passed, "", "");
    for (uint32_t i = 0; i <= TRACE_HEAD; i++) {
        VEC_PUSH(&r.trace, (TraceEntry){.kind = TRACE_EXIT, .pos = {.line = i}, .text = "eoi"});
    }
    r.trace_dropped = 5;
    reporter_pretty.result(&run, &(Line){.r = &r}, &out);
    CHECK_HAS(buf_text(&out), "(1.500 ms)\n       = eoi\n     1 = eoi\n");
    CHECK_HAS(buf_text(&out), "\n   255 = eoi\n  .. 5 more ..\n   256 = eoi\n");
    VEC_FREE(&r.trace);
    buf_free(&out);
    result_free(&r);
}

TEST(report, pretty_has_a_row_for_each_backend_where_there_are_several)
{
    static const Xfail XFAIL = {.reason = "the host loses the sign"};
    Case gap = GOOD;
    gap.xfail = &XFAIL;
    Run run = {.view = {.color = COLOR_NEVER, .is_quiet = true}};
    Result r[] = {
        result_of(&GOOD, STATUS_passed, "", ""),
        result_of(&LOST, STATUS_skipped, "needs dirty_log (uses log at line 4): toy: keeps none", ""),
        result_of(&LOST, STATUS_skipped, "needs zba (sh1add at line 7): toy: isa rv64i", ""),
        result_of(&GOOD, STATUS_skipped, "needs zba (sh2add at line 9): toy: isa rv64i", ""),
        result_of(&GOOD, STATUS_skipped, "needs 2 vcpus: toy has 1", ""),
        result_of(&GOOD, STATUS_skipped, "only for kvm", ""),
        result_of(&gap, STATUS_xfailed, "arg0: expected 1, got 2", ""),
        result_of(&GOOD, STATUS_passed, "", ""),
    };
    run_begin(&run, ARRAY_LEN(r));
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        r[i].backend = i ? "toy" : "sim-interp";
        run_result(&run, &r[i], "toy");
    }
    Buf out = {0};
    pretty(&run, &out);
    CHECK_STR(buf_text(&out), "skipped:\n"
                              "     1  needs dirty_log (uses log at line 4): toy: keeps none\n"
                              "     2  needs zba: toy: isa rv64i\n"
                              "     1  needs 2 vcpus: toy has 1\n"
                              "     1  only for kvm\n"
                              "backend     passed  failed  errors  skipped  xfailed  xpassed\n"
                              "sim-interp       1       0       0        0        0        0\n"
                              "toy              1       0       0        5        1        0\n"
                              "    skipped for want of: 2 zba, 1 2 vcpus, 1 dirty_log, 1 only for kvm\n"
                              "    expected to fail: 1 the host loses the sign\n"
                              "ran on no backend:\n"
                              "        cases.yaml:20  lost\n"
                              "2 passed, 0 failed, 0 errors, 5 skipped, 1 xfailed (0 xpassed) in 0.00 s\n");
    buf_free(&out);
    run_free(&run);
}

TEST(report, pretty_shouts_when_all_was_skipped)
{
    Run run = {.view = {.color = COLOR_NEVER, .is_quiet = true}};
    Result r = result_of(&LOST, STATUS_skipped, "permission denied", "");
    run_begin(&run, 1);
    run_result(&run, &r, "kvm");
    Buf out = {0};
    pretty(&run, &out);
    CHECK_STR(buf_text(&out), "skipped:\n     1  permission denied\nNOTHING RAN: all 1 results skipped\n"
                              "0 passed, 0 failed, 0 errors, 1 skipped, 0 xfailed (0 xpassed) in 0.00 s\n");
    CHECK_INT(run_status(&run), CONF_OK);
    buf_free(&out);
    run_free(&run);
}

TEST(report, a_run_cut_short_says_so_in_every_format)
{
    static const char *const WANT[] = {"cut short by SIGINT: 6 of 9 results",
                                       "<property name=\"cut_short\" value=\"SIGINT\"/>",
                                       "1..9\n",
                                       "\"cut_short\": \"SIGINT\"",
                                       "::warning title=conf::cut short by SIGINT: 6 of 9 results",
                                       "\"executionSuccessful\": false",
                                       "Cut short by SIGINT: 6 of 9 results.",
                                       "\"cut_short\": \"SIGINT\""};
    Run run = sample();
    run.cut_short = "SIGINT";
    run.njobs = 9;
    size_t n = 0;
    const Reporter *const *list = reporter_list(&n);
    for (size_t i = 0; i < n; i++) {
        Buf out = {0};
        if (list[i]->document) {
            list[i]->document(&run, &out);
        } else {
            pretty(&run, &out);
        }
        CHECK_HAS(buf_text(&out), WANT[i]);
        buf_free(&out);
    }
    run_free(&run);
}

TEST(report, json_has_the_failure_and_how_to_see_it_again)
{
    Run run = sample();
    Buf out = {0};
    find("json")->document(&run, &out);
    CHECK_HAS(buf_text(&out),
              "\"reproduce\": \"conf run 'cases.yaml::it'\\\\''s <bad>[r#1]' --backend fake --guest x86_64 --seed "
              "0x7\",\n      \"failure\": \"expected \\\"a\\\" & <b>\\n\xef\xbf\xbd got\\tc\\n\"");
    CHECK(!strstr(buf_text(&out), "\"trace\""));
    buf_free(&out);
    run_free(&run);
}

TEST(report, trace_keeps_what_happened)
{
    Run run = {.view = {.color = COLOR_NEVER, .is_quiet = true}};
    Buf out = {0};
    Result r = result_of(&GOOD, STATUS_passed, "", ""), none = result_of(&GOOD, STATUS_passed, "", "");
    VEC_PUSH(&r.trace, (TraceEntry){.kind = TRACE_EXIT, .vcpu = 1, .pos = {.line = 4}, .text = "halt pc a<b"});
    VEC_PUSH(&r.trace, (TraceEntry){.kind = TRACE_OP, .text = "save: Ready -> Ready (busy)"});
    r.trace_dropped = 3;
    CHECK_INT(run_report_add(&run, "trace=/dev/null", NULL), 0);
    run_begin(&run, 2);
    run_result(&run, &r, "fake");
    run_result(&run, &none, "fake");
    CHECK_INT(run.lines.items[0].r->trace.n, 0);
    find("trace")->document(&run, &out);
    CHECK_HAS(
        buf_text(&out),
        "\"trace\": [{\"kind\": \"exit\", \"vcpu\": 1, \"name\": \"halt\", \"text\": \"halt pc a<b\", \"line\": 4}, "
        "{\"kind\": \"op\", \"vcpu\": 0, \"name\": \"save\", \"text\": \"save: Ready -> Ready (busy)\", \"line\": "
        "0}],\n      \"trace_dropped\": 3\n");
    const char *first = strstr(buf_text(&out), "\"trace\"");
    CHECK(first && !strstr(first + 1, "\"trace\""));
    buf_free(&out);
    run_free(&run);
}

TEST(report, files_are_written_at_the_end_and_whole)
{
    char path[] = "/tmp/conf-report-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    Run run = {.view = {.color = COLOR_NEVER, .is_quiet = true}};
    Buf spec = {0}, text = {0};
    buf_printf(&spec, "json=%s", path);
    CHECK_INT(run_report_add(&run, buf_text(&spec), NULL), 0);
    Result r = result_of(&GOOD, STATUS_passed, "", "");
    run_begin(&run, 1);
    run.out = tmpfile();
    run_result(&run, &r, "fake");
    run_close(&run, NULL, 5);
    CHECK_INT(run_end(&run), 0);
    CHECK_INT(os_read_file(path, 1 << 20, &text, NULL), 0);
    CHECK_HAS(buf_text(&text), "\"passed\": 1");
    fclose(run.out);
    unlink(path);
    buf_free(&spec);
    buf_free(&text);
    run_free(&run);
}

TEST(report, an_unknown_format_is_answered_with_the_nearest)
{
    Run run = {0};
    Err err = {0};
    CHECK_INT(run_report_add(&run, "juint=x", &err), -ERR_INVAL);
    CHECK_HAS(err.text, "did you mean `junit`?");
    CHECK_INT(run_report_add(&run, "junit", &err), -ERR_INVAL);
    CHECK_HAS(err.text, "junit=FILE");
    CHECK_INT(run_report_add(&run, "xml=x", &err), -ERR_INVAL);
    CHECK_HAS(err.text, "known: pretty junit tap json github sarif summary");
    CHECK_INT(run_report_add(&run, "github", &err), 0); /* to stdout */
    CHECK_STR(run.reports.items[0].path, "-");
    run_free(&run);
}

TEST(report, text_from_outside_is_made_harmless)
{
    Buf out = {0};
    text_clean(&out, "a\x1b[2J\xc3\xa9\xff\xed\xa0\x80\xc0\x80\xf0\x9f\x98\x80");
    CHECK_STR(buf_text(&out), "a\xef\xbf\xbd[2J\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                              "\xef\xbf\xbd\xf0\x9f\x98\x80");
    buf_free(&out);
}
