/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/bless.h"
#include "conformance/story_int.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A suite from text, its first case and what it takes to run it on `fake`. */
typedef struct {
    Suite *suite;
    const Case *c;
    World *w;
    const Backend *b;
    Caps caps;
} Rig;

static const char head[] = "version: 1\ndefaults: {code: {riscv64: {hex: \"13000000\"}}}\nscenarios:\n";

static bool rig_text(Rig *r, const char *file, const char *text, size_t n)
{
    Arena *arena = arena_new();
    Diags diags = {0};
    *r = (Rig){.b = backend_find("fake")};
    r->suite = suite_load(arena, file, text, n, &diags);
    for (size_t i = 0; i < diags.n; i++) {
        printf("%s\n", diags.items[i].text);
    }
    VEC_FREE(&diags);
    if (!CHECK(r->suite && r->suite->ncases)) {
        arena_free(arena);
        return false;
    }
    return true;
}

static bool rig_case(Rig *r, size_t i)
{
    Err err = {0};
    r->c = &r->suite->cases[i];
    world_free(r->w);
    r->w = NULL;
    bool ok = r->b->open(r->b, r->c->guest, &r->caps, &err) == 0 && world_build(r->c, 0, &r->w, &err) == 0;
    if (!ok) {
        printf("%s: %s\n", r->c->id, err.text);
    }
    return CHECK(ok);
}

static bool rig(Rig *r, const char *scenario)
{
    Buf text = {0};
    buf_printf(&text, "%s%s", head, scenario);
    bool ok = rig_text(r, "suite.yaml", text.data, text.n) && rig_case(r, 0);
    buf_free(&text);
    return ok;
}

static void rig_free(Rig *r)
{
    world_free(r->w);
    suite_free(r->suite);
}

static Result run(Rig *r, const StoryOptions *o)
{
    Result out = {0};
    story_run(r->c, r->w, r->b, &r->caps, o, &out);
    return out;
}

static const StoryOptions plain = {.timeout_ns = 600000000000u};

TEST(story, what_the_waist_offers_can_be_played)
{
    static const char path[] = "conformance/tests/pass/fake.yaml";
    Buf text = {0};
    Err err = {0};
    Rig r;
    CHECK_INT(os_read_file(path, 1 << 20, &text, &err), 0);
    bool ok = rig_text(&r, path, buf_text(&text), text.n);
    for (size_t i = 0; ok && i < r.suite->ncases; i++) {
        if (rig_case(&r, i)) {
            Result out = run(&r, &plain);
            if (!CHECK(out.status == STATUS_passed)) {
                printf("%s: %s\n%s", r.c->id, buf_text(&out.reason), buf_text(&out.failure));
            }
            CHECK_INT(out.trace.n, 0);
            result_free(&out);
        }
    }
    rig_free(&r);
    buf_free(&text);
}

TEST(story, a_case_that_takes_too_long_is_an_error_with_its_place)
{
    Rig r;
    Result out = {0};
    char reason[64];
    CHECK(rig(&r, "- {name: n, fake: [\"eoi vector=1\", spin], run: [eoi, done], within: 60s}\n"));
    for (uint64_t ms = 30; ms < 60000 && !strstr(buf_text(&out.failure), "eoi vector 1");
         ms *= 5) { /* a busy machine */
        result_free(&out);
        out = run(&r, &(StoryOptions){.timeout_ns = ms * 1000000});
        snprintf(reason, sizeof reason, "timed out after %.3g s", (double)ms / 1e3);
    }
    CHECK_INT(out.status, STATUS_error);
    CHECK_STR(buf_text(&out.reason), reason);
    CHECK_HAS(buf_text(&out.failure), "  pc code\n");
    CHECK_HAS(buf_text(&out.failure), "the last exits:\n    eoi vector 1\n");
    result_free(&out);
    rig_free(&r);
}

/* Neither says anything about the vcpu: that its state is not the one that was awaited is no failure of it. */
TEST(story, a_state_that_the_end_of_time_or_of_the_backend_kept_from_coming_is_an_error)
{
    Rig r;
    CHECK(rig(&r,
              "- {name: n, lifecycle: virtualcpu, fake: [spin], steps: [op: init, {op: execute, gives: Faulted}]}\n"));
    Result out = run(&r, &(StoryOptions){.timeout_ns = 1}); /* over before the vcpu's thread can be at work */
    CHECK_INT(out.status, STATUS_error);
    CHECK_STR(buf_text(&out.reason), "op execute: timed out after 1e-09 s");
    result_free(&out);
    rig_free(&r);
    CHECK(rig(&r, "- {name: n, lifecycle: virtualcpu, fake: [\"error HOST\"], steps: [op: init, "
                  "{op: execute, gives: Faulted}]}\n"));
    out = run(&r, &plain);
    CHECK_INT(out.status, STATUS_error);
    CHECK_HAS(buf_text(&out.reason), "op execute: ");
    result_free(&out);
    rig_free(&r);
}

TEST(story, a_backend_without_deadlines_is_kicked_out)
{
    Rig r;
    CHECK(rig(&r, "- {name: n, fake: [spin, done], run: [done], within: 20ms}\n"));
    r.caps.level[CAP_deadline] = CAP_NONE;
    r.caps.why[CAP_deadline] = "a test";
    Result out = run(&r, &plain);
    CHECK_INT(out.status, STATUS_failed);
    CHECK_STR(buf_text(&out.reason), "expected done, got budget");
    result_free(&out);
    rig_free(&r);
}

static void *interrupter(void *arg)
{
    struct timespec t = {0, 20000000};
    nanosleep(&t, NULL);
    story_interrupt(arg, "interrupted by the user");
    return NULL;
}

TEST(story, an_interrupt_from_another_thread_ends_a_run)
{
    Rig r;
    Err err = {0};
    Result out = {0};
    Story *s = NULL;
    pthread_t t;
    CHECK(rig(&r, "- {name: n, fake: [spin], run: [done], within: 60s}\n"));
    CHECK_INT(story_open(r.c, r.w, r.b, &r.caps, &plain, &out, &s, &err), 0);
    CHECK_INT(pthread_create(&t, NULL, interrupter, s), 0);
    CHECK_INT(story_step(s, &r.c->steps[0], &err), 0);
    pthread_join(t, NULL);
    CHECK(story_failed(s));
    CHECK_STR(buf_text(&out.reason), "interrupted by the user");
    story_close(s);
    result_free(&out);
    rig_free(&r);
}

static void *waker(void *arg)
{
    Story *s = arg;
    Event event = {.kind = EV_LINE, .number = 9, .level = true};
    struct timespec t = {0, 100000};
    Err err = {0};
    while (strcmp(life_virtualcpu.states[vcpu_state(story_vcpu(s, 0))], "Halted") != 0) {
        nanosleep(&t, NULL);
    }
    CHECK_INT(vcpu_interrupt(story_vcpu(s, 0), &event, &err), 0);
    return NULL;
}

TEST(story, an_ignored_halt_waits_to_be_woken)
{
    Rig r;
    Err err = {0};
    Result out = {0};
    Story *s = NULL;
    pthread_t t;
    CHECK(rig(&r, "- {name: n, fake: [halt, done], run: [done], ignore: [halt]}\n"));
    CHECK_INT(story_open(r.c, r.w, r.b, &r.caps, &plain, &out, &s, &err), 0);
    CHECK_INT(pthread_create(&t, NULL, waker, s), 0);
    CHECK_INT(story_step(s, &r.c->steps[0], &err), 0);
    pthread_join(t, NULL);
    CHECK_STR(buf_text(&out.reason), "");
    CHECK_INT(out.nexits, 2);
    story_close(s);
    result_free(&out);
    rig_free(&r);
}

TEST(story, an_ignored_halt_that_nothing_ends_is_a_failure)
{
    Rig r;
    CHECK(rig(&r, "- {name: n, fake: [halt, done], run: [done], ignore: [halt], within: 20ms}\n"));
    Result out = run(&r, &plain);
    CHECK_INT(out.status, STATUS_failed);
    CHECK_STR(buf_text(&out.reason), "expected done, got budget");
    result_free(&out);
    rig_free(&r);
}

TEST(story, a_run_list_beyond_the_limits_is_an_error)
{
    Rig r;
    Buf text = {0};
    buf_str(&text, "- name: n\n  fake: [\"eoi vector=1\"]\n  run: [any_order: [");
    for (int i = 0; i < 65; i++) {
        buf_printf(&text, "%seoi: {vector: %d}", i ? ", " : "", i);
    }
    buf_str(&text, "], done]\n");
    CHECK(rig(&r, buf_text(&text)));
    Result out = run(&r, &plain);
    CHECK_INT(out.status, STATUS_error);
    CHECK_STR(buf_text(&out.reason), "a run list is nested more than 7 deep, or has more than 64 items in any order");
    buf_free(&text);
    result_free(&out);
    rig_free(&r);
}

static bool answer_probe(void *ctx, const char *name, const char *backend)
{
    CHECK_STR(name, "p");
    CHECK_STR(backend, "fake");
    return *(bool *)ctx;
}

static Status with_xfail(const char *fake, const bool *probe)
{
    Rig r;
    char text[512];
    snprintf(text, sizeof text,
             "- {name: n, fake: [%s], run: [done], xfail: {backend: fake, probe: p, reason: \"a gap\"}}\n"
             "- {name: p, role: probe, fake: [done], run: [done]}\n",
             fake);
    CHECK(rig(&r, text));
    Result out =
        run(&r, &(StoryOptions){.timeout_ns = 600000000000u, .probe = answer_probe, .probe_ctx = (void *)probe});
    Status status = out.status;
    if (status == STATUS_xpassed) {
        CHECK_STR(buf_text(&out.reason), "passed, but is marked xfail: a gap");
    }
    result_free(&out);
    rig_free(&r);
    return status;
}

TEST(story, xfail_holds_where_the_probe_fails)
{
    bool gap = false, no_gap = true;
    CHECK_INT(with_xfail("\"eoi vector=1\"", &gap), STATUS_xfailed);
    CHECK_INT(with_xfail("done", &gap), STATUS_xpassed);
    CHECK_INT(with_xfail("\"eoi vector=1\"", &no_gap), STATUS_failed);
    CHECK_INT(with_xfail("done", &no_gap), STATUS_passed);
    CHECK_INT(with_xfail("\"error IO\"", &gap), STATUS_error);
}

static void unmet(const char *scenario, Cap cap, const char *want)
{
    Rig r;
    CHECK(rig(&r, scenario));
    if (cap != CAP_COUNT) {
        r.caps.level[cap] = CAP_NONE;
        r.caps.why[cap] = "this one has none";
    }
    Result out = run(&r, &plain);
    CHECK_INT(out.status, STATUS_skipped);
    CHECK_STR(buf_text(&out.reason), want);
    result_free(&out);
    rig_free(&r);
}

TEST(story, a_case_that_cannot_run_says_why)
{
    unmet("- {name: n, run: [done]}\n", CAP_COUNT, "fake runs no code and the scenario has no `fake:` list");
    unmet("- {name: n, fake: [done], backends: [kvm, sim], run: [done]}\n", CAP_COUNT, "only for kvm, sim");
    unmet("- {name: n, fake: [done], needs: [nmi], run: [done]}\n", CAP_nmi,
          "needs nmi (asked for): fake: this one has none");
    unmet("- name: n\n  fake: [done]\n  memory: {b: {size: 4K, log: true}}\n"
          "  steps: [run: [done], check: {dirty: {b: none}}]\n",
          CAP_dirty_log, "needs dirty_log (uses log at line 6): fake: this one has none");
}

TEST(story, a_case_that_runs_a_vcpu_needs_a_backend_that_executes)
{
    Rig r;
    CHECK(rig(&r, "- {name: n, fake: [done], run: [done]}\n"));
    r.caps.ctls = NULL; /* no fake, then */
    r.caps.why[CAP_executes] = "not yet";
    Result out = run(&r, &plain);
    CHECK_INT(out.status, STATUS_skipped);
    CHECK_STR(buf_text(&out.reason), "needs executes (runs a vcpu): fake: not yet");
    result_free(&out);
    rig_free(&r);
}

/* ---- scripts ---- */
static int script_empty(void *ctx, Story *s, Err *err)
{
    (void)ctx;
    (void)s;
    (void)err;
    return 0;
}

static int script_checks(void *ctx, Story *s, Err *err)
{
    Matcher five = {.kind = MATCH_eq, .a = {.kind = VALUE_INT, .n = 5}};
    Buf why = {0};
    (void)err;
    CHECK(story_match(s, &five, 5, 8, &why));
    CHECK(!story_match(s, &five, 6, 8, &why));
    CHECK_STR(buf_text(&why), "expected 5, got 6");
    if (*(bool *)ctx) {
        story_fail(s, story_case(s)->script_pos, buf_text(&why));
    }
    CHECK_INT(story_seed(s), 7);
    CHECK_STR(story_backend(s), "fake");
    CHECK(story_vcpu(s, 0) && !story_vcpu(s, 1));
    buf_free(&why);
    return 0;
}

static int script_tries(void *ctx, Story *s, Err *err)
{
    Buf why = {0};
    Pos pos = {0};
    (void)ctx;
    (void)err;
    story_trial_begin(s);
    story_fail(s, (Pos){"suite.yaml", 9, 1}, "too large");
    CHECK(story_failed(s));
    CHECK(story_trial_end(s, &pos, &why));
    CHECK_STR(buf_text(&why), "too large");
    CHECK_INT(pos.line, 9);
    CHECK(!story_failed(s));
    story_trial_begin(s);
    story_checked(s);
    CHECK(!story_trial_end(s, NULL, NULL));
    buf_free(&why);
    return 0;
}

static void scripted(ScriptRun *script, void *ctx, Status status, const char *reason)
{
    Rig r;
    CHECK(rig(&r, "- {name: n, script: \"x()\"}\n"));
    Result out = run(&r, &(StoryOptions){.timeout_ns = 600000000000u, .seed = 7, .script = script, .script_ctx = ctx});
    CHECK_INT(out.status, status);
    CHECK_STR(buf_text(&out.reason), reason);
    result_free(&out);
    rig_free(&r);
}

TEST(story, scripts_must_expect_something)
{
    bool no = false, yes = true;
    scripted(NULL, NULL, STATUS_error, "built without Lua");
    scripted(script_empty, NULL, STATUS_error, "the script ended without an expectation");
    scripted(script_checks, &no, STATUS_passed, "");
    scripted(script_checks, &yes, STATUS_failed, "expected 5, got 6");
}

TEST(story, a_trial_that_fails_is_no_failure)
{
    scripted(script_tries, NULL, STATUS_passed, "");
}

/* ---- console: filled by hand ---- */
static Story *console_story(Rig *r, Result *out)
{
    Story *s = NULL;
    Err err = {0};
    CHECK(rig(r, "- {name: n, fake: [\"eoi vector=1\", done], run: [eoi, done]}\n"));
    CHECK_INT(story_open(r->c, r->w, r->b, &r->caps, &plain, out, &s, &err), 0);
    buf_str(&s->console, "Linux version 6.1\nready\n");
    return s;
}

static void console_check(Matcher m, const char *want)
{
    Rig r;
    Result out = {0};
    Err err = {0};
    Story *s = console_story(&r, &out);
    m.pos = (Pos){"suite.yaml", 4, 1};
    Check check = {.console = &m};
    CHECK_INT(step_check(s, &check, -1, &err), 0);
    CHECK_STR(buf_text(&out.reason), want);
    story_close(s);
    result_free(&out);
    rig_free(&r);
}

static Matcher text_matcher(MatchKind kind, const char *text)
{
    return (Matcher){.kind = kind, .a = {.kind = VALUE_TEXT, .text = text}};
}

TEST(story, the_console_is_compared_whole_unless_a_matcher_says_otherwise)
{
    console_check(text_matcher(MATCH_eq, "Linux version 6.1\nready\n"), "");
    console_check(text_matcher(MATCH_has, "ready"), "");
    console_check(text_matcher(MATCH_match, "version %d+%.%d+\n"), "");
    console_check(text_matcher(MATCH_eq, "ready\n"),
                  "console: expected \"ready\\n\", got \"Linux version 6.1\\nready\\n\"");
    console_check(text_matcher(MATCH_lacks, "version"),
                  "console: expected text without \"version\", got \"Linux version 6.1\\nready\\n\"");
    console_check((Matcher){.kind = MATCH_ge, .a = {.kind = VALUE_INT, .n = 1}},
                  "console: `range`, `ge`, `le`, `mask` and lists compare numbers, this is text");
}

TEST(story, console_items_wait_for_their_text)
{
    Rig r;
    Result out = {0};
    Err err = {0};
    Story *s = console_story(&r, &out);
    Item items[] = {
        {.kind = ITEM_CONSOLE,
         .min_times = 1,
         .max_times = 1,
         .if_cap = -1,
         .console = text_matcher(MATCH_match, "6%.1")},
        {.kind = ITEM_EXIT, .exit = EXIT_eoi, .min_times = 1, .max_times = 1, .if_cap = -1},
        {.kind = ITEM_CONSOLE,
         .min_times = 1,
         .max_times = 1,
         .if_cap = -1,
         .console = text_matcher(MATCH_eq, "never")},
    };
    RunList list = {.items = items, .n = ARRAY_LEN(items), .pos = {"suite.yaml", 4, 1}};
    Step step = r.c->steps[0];
    step.run.lists = &list;
    CHECK_INT(story_step(s, &step, &err), 0);
    CHECK_STR(buf_text(&out.reason), "expected console \"never\", got done");
    story_close(s);
    result_free(&out);
    rig_free(&r);
}

/* ---- traces ---- */
TEST(story, a_long_trace_keeps_its_head_and_its_tail)
{
    Rig r;
    Buf text = {0};
    buf_str(&text, "- name: n\n  fake: [");
    for (int i = 0; i < 1000; i++) {
        buf_printf(&text, "\"eoi vector=%d\", ", i);
    }
    buf_str(&text, "done]\n  run: [{eoi: {vector: {range: [0, 999]}}, times: 1000}, done]\n");
    CHECK(rig(&r, buf_text(&text)));
    Result out = run(&r, &(StoryOptions){.timeout_ns = 600000000000u, .is_verbose = true});
    CHECK_INT(out.status, STATUS_passed);
    CHECK_INT(out.trace.n, TRACE_HEAD + TRACE_TAIL);
    CHECK_INT(out.nexits, 1001);
    CHECK_INT(out.trace_dropped, 1001 - TRACE_HEAD - TRACE_TAIL);
    CHECK_STR(out.trace.items[TRACE_HEAD - 1].text, "eoi vector 0xff");
    CHECK_STR(out.trace.items[TRACE_HEAD].text, "eoi vector 0x2e9");
    CHECK_STR(out.trace.items[out.trace.n - 1].text, "done");
    buf_free(&text);
    result_free(&out);
    rig_free(&r);
}

TEST(story, a_trace_shows_exits_operations_and_steps)
{
    Rig r;
    CHECK(rig(&r, "- name: n\n  lifecycle: virtualcpu\n  fake: [\"eoi vector=1\", done]\n"
                  "  steps: [op: init, set: {arg0: 1}, run: [eoi, done]]\n"));
    Result out = run(&r, &(StoryOptions){.timeout_ns = 600000000000u, .is_verbose = true});
    Buf text = {0};
    for (size_t i = 0; i < out.trace.n; i++) {
        buf_printf(&text, "%u %s\n", out.trace.items[i].pos.line, out.trace.items[i].text);
    }
    CHECK_STR(buf_text(&text), "7 op init\n0 init: Created -> Ready\n7 set arg0\n0 execute: Ready -> Running\n"
                               "0 execute: Running -> Ready\n7 eoi vector 1\n0 execute: Ready -> Running\n"
                               "0 execute: Running -> Ready\n7 done\n");
    CHECK_INT(out.ntransitions, 5);
    buf_free(&text);
    result_free(&out);
    rig_free(&r);
}

TEST(bless, prints_what_was_observed_as_items)
{
    Rig r;
    Buf text = {0};
    CHECK(rig(
        &r,
        "- name: n\n  memory: {dev: {hole: 4K}}\n"
        "  fake: [nothing, \"mmio_read addr={$dev} size=4\", \"mmio_write addr={$dev} size=1 value=7\", eoi, done]\n"
        "  run: [done]\n"));
    Result out = run(&r, &(StoryOptions){.timeout_ns = 600000000000u, .is_bless = true});
    CHECK_INT(out.status, STATUS_passed);
    bless_print(&out, &text);
    CHECK_STR(buf_text(&text), "- {mmio_read: {addr: 0xd0000000, size: 4}, reply: 0}\n"
                               "- mmio_write: {addr: 0xd0000000, size: 1, data: 7}\n- eoi: {vector: 0}\n- done\n");
    buf_free(&text);
    result_free(&out);
    rig_free(&r);
}

TEST(bless, a_guest_that_halts_is_observed_up_to_the_halt)
{
    Rig r;
    Buf text = {0};
    CHECK(rig(&r, "- {name: n, fake: [halt, done], run: [done]}\n"));
    Result out = run(&r, &(StoryOptions){.timeout_ns = 600000000000u, .is_bless = true});
    CHECK_INT(out.status, STATUS_passed);
    bless_print(&out, &text);
    CHECK_STR(buf_text(&text), "- halt\n");
    buf_free(&text);
    result_free(&out);
    rig_free(&r);
}

/* A run without an end of its own is entered once: by `insns` it ends in an exit that a list can name, by the clock it does not. */
TEST(bless, a_guest_that_never_ends_is_observed_up_to_its_budget)
{
    static const struct {
        const char *key, *items, *refusal;
    } rows[] = {{"insns: 5", "- eoi: {vector: 0}\n- budget\n", NULL},
                {"within: 10ms", NULL, "the run was still under way when its time was over"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Rig r;
        Buf text = {0};
        char suite[100];
        snprintf(suite, sizeof suite, "- {name: n, fake: [eoi, spin], run: [done], %s}\n", rows[i].key);
        CHECK(rig(&r, suite));
        Result out = run(&r, &(StoryOptions){.timeout_ns = 600000000000u, .is_bless = true});
        CHECK_INT(out.status, STATUS_passed);
        bless_print(&out, &text);
        CHECK(!rows[i].items || !strcmp(buf_text(&text), rows[i].items));
        const char *why = bless_refusal(&out);
        CHECK(rows[i].refusal ? why && !strcmp(why, rows[i].refusal) : !why);
        buf_free(&text);
        result_free(&out);
        rig_free(&r);
    }
}

TEST(result, every_status_has_a_name)
{
    CHECK_STR(status_name(STATUS_xpassed), "xpassed");
    CHECK_STR(status_name(STATUS_COUNT), "?");
}
