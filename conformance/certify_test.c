/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/certify.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <string.h>

/* A guest that passed so many in every area; 0: none. */
static Caps runs; /* filled by good() */
static Certify good(uint64_t npassed)
{
    Certify c = {
        .asked = "plugin:./x.so", .shown = "x", .host = "a host", .date = "2026-11-26T00:00:00Z", .nguests = 1};
    CertifyGuest *g = &c.guests[0];
    runs.level[CAP_executes] = CAP_FULL;
    g->guest = GUEST_riscv64;
    g->caps = &runs;
    g->hostile = x_calloc(hostile_count(), sizeof *g->hostile);
    for (int a = 0; a < AREA_COUNT; a++) {
        g->areas[a].n[STATUS_passed] = npassed;
        g->areas[a].n[STATUS_skipped] = 2;
    }
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        g->probes[cap].answer = PROBE_NOT_CLAIMED;
    }
    return c;
}

static void is_verdict(Certify *c, Verdict want, const char *why)
{
    Buf text = {0}, out = {0};
    CHECK_STR(verdict_name(certify_guest_verdict(&c->guests[0], &text)), verdict_name(want));
    CHECK_HAS(buf_text(&text), why);
    CHECK_INT(certify_verdict(c), want);
    certify_json(c, &out);
    CHECK((want == VERDICT_CERTIFIED) == (strstr(buf_text(&out), "\"certified\"") != NULL));
    buf_clear(&out);
    certify_badge(c, &out);
    CHECK((want == VERDICT_CERTIFIED) == (strstr(buf_text(&out), "certified") != NULL));
    buf_clear(&out);
    certify_text(c, &out);
    CHECK((want == VERDICT_CERTIFIED) == (strstr(buf_text(&out), "certified") != NULL));
    buf_free(&text);
    buf_free(&out);
    certify_free(c);
}

TEST(certify, nothing_bad_and_every_core_area_makes_certified)
{
    Certify c = good(3);
    is_verdict(&c, VERDICT_CERTIFIED, "");
}

TEST(certify, it_is_never_certified_when_everything_was_skipped)
{
    Certify c = good(0);
    is_verdict(&c, VERDICT_NOTHING, "every scenario was skipped");
}

TEST(certify, a_guest_that_is_not_there_is_nothing)
{
    Certify c = good(3);
    c.guests[0].caps = NULL;
    c.guests[0].reason = "gone";
    is_verdict(&c, VERDICT_NOTHING, "not available");
    Certify none = {.shown = "x", .asked = "x"};
    CHECK_INT(certify_verdict(&none), VERDICT_NOTHING);
}

TEST(certify, an_empty_core_area_is_incomplete)
{
    Certify c = good(3);
    c.guests[0].areas[AREA_exits].n[STATUS_passed] = 0;
    is_verdict(&c, VERDICT_INCOMPLETE, "nothing passed in the area exits");
}

TEST(certify, what_runs_no_code_is_incomplete)
{
    Certify c = good(3);
    runs.level[CAP_executes] = CAP_NONE;
    is_verdict(&c, VERDICT_INCOMPLETE, "it runs no guest code");
}

TEST(certify, each_kind_of_wrong_refuses)
{
    Certify bad = good(3), claim = good(3), fell = good(3), changed = good(3);
    bad.guests[0].areas[AREA_control].n[STATUS_error] = 1;
    bad.guests[0].failure = x_strdup("      | broke\n");
    bad.guests[0].reproduce = x_strdup("conf run x");
    claim.guests[0].probes[CAP_step].answer = PROBE_CONTRADICTED;
    claim.guests[0].probes[CAP_step].why = x_strdup("it does not");
    fell.guests[0].hostile[1].answer = HOSTILE_FELL;
    fell.guests[0].hostile[1].why = x_strdup("it died");
    changed.guests[0].nchanged = 1;
    changed.guests[0].change = x_strdup("passed, then failed");
    is_verdict(&bad, VERDICT_REFUSED, "1 bad results");
    is_verdict(&claim, VERDICT_REFUSED, "1 claims contradicted");
    is_verdict(&fell, VERDICT_REFUSED, "1 hostile checks lost");
    is_verdict(&changed, VERDICT_REFUSED, "1 results changed");
}

TEST(certify, a_run_cut_short_certifies_nothing)
{
    Certify c = good(3);
    c.cut_short = "SIGINT";
    CHECK_INT(certify_verdict(&c), VERDICT_INCOMPLETE);
    certify_free(&c);
}

TEST(certify, one_refused_guest_refuses_the_backend)
{
    Certify c = good(3), other = good(3);
    c.guests[1] = other.guests[0];
    c.guests[1].areas[AREA_memory].n[STATUS_failed] = 1;
    c.nguests = 2;
    CHECK_INT(certify_guest_verdict(&c.guests[0], NULL), VERDICT_CERTIFIED);
    CHECK_INT(certify_verdict(&c), VERDICT_REFUSED);
    certify_free(&c);
}

TEST(certify, a_scenario_that_saves_belongs_to_saving_and_others_to_their_file)
{
    Suite s = {.file = "there/exits.yaml"};
    Case c = {.suite = &s};
    CHECK_INT(certify_area_of(&c), AREA_exits);
    c.needs[CAP_save] = CAP_PARTIAL;
    CHECK_INT(certify_area_of(&c), AREA_save_restore);
    s.file = "riscv64-fp.yaml";
    CHECK_INT(certify_area_of(&c), AREA_COUNT);
}
