/* SPDX-License-Identifier: Apache-2.0
 * story_golden_test.c - scenarios that fail on purpose, with the exact text that they must fail with:
 * tests/fail/NAME.yaml and NAME.expected. With CONF_UPDATE_GOLDEN set, the texts are written anew (read the difference
 * before it is committed). */
#include "conformance/language.h"
#include "conformance/story.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char fail_dir[] = "conformance/tests/fail";

static Suite *load(const char *path)
{
    Arena *arena = arena_new();
    Buf text = {0};
    Diags diags = {0};
    Err err = {0};
    CHECK_INT(os_read_file(path, 1 << 20, &text, &err), 0);
    Suite *s = suite_load(arena, path, buf_text(&text), text.n, &diags);
    for (size_t i = 0; i < diags.n; i++) {
        printf("%s\n", diags.items[i].text);
    }
    CHECK(s != NULL);
    if (!s) {
        arena_free(arena);
    }
    VEC_FREE(&diags);
    buf_free(&text);
    return s;
}

static void run_case(const Case *c, Result *r, Buf *out)
{
    const Backend *fake = backend_find("fake");
    Caps caps;
    Err err = {0};
    World *w = NULL;
    CHECK(fake && fake->open(fake, c->guest, &caps, &err) == 0);
    buf_printf(out, "%s  %s\n", c->id, guest_name(c->guest));
    if (world_build(c, 0, &w, &err)) {
        buf_printf(out, "world: %s\n", err.text);
        return;
    }
    StoryOptions o = {.seed = 1, .timeout_ns = 600000000000u};
    story_run(c, w, fake, &caps, &o, r);
    buf_printf(out, "%s at line %u: %s\n%s\n", status_name(r->status), r->fail_pos.line, buf_text(&r->reason),
               buf_text(&r->failure));
    world_free(w);
}

static void suite_text(const char *path, Buf *out)
{
    Suite *s = load(path);
    for (size_t i = 0; s && i < s->ncases; i++) {
        Result r = {0};
        run_case(&s->cases[i], &r, out);
        CHECK(r.status == STATUS_failed || r.status == STATUS_error);
        result_free(&r);
    }
    suite_free(s);
}

static void golden(const char *name)
{
    char path[128], expected[128];
    Buf got = {0}, want = {0};
    Err err = {0};
    snprintf(path, sizeof path, "%s/%s.yaml", fail_dir, name);
    snprintf(expected, sizeof expected, "%s/%s.expected", fail_dir, name);
    suite_text(path, &got);
    if (getenv("CONF_UPDATE_GOLDEN")) {
        CHECK_INT(os_write_file(expected, got.data, got.n, &err), 0);
    }
    CHECK_INT(os_read_file(expected, 1 << 20, &want, &err), 0);
    CHECK_STR(buf_text(&got), buf_text(&want));
    buf_free(&got);
    buf_free(&want);
}

TEST(golden, every_field_that_differs_is_named)
{
    golden("fields");
}

TEST(golden, every_matcher_that_fails_says_why)
{
    golden("matchers");
}

TEST(golden, every_part_of_a_check_that_fails_says_why)
{
    golden("checks");
}

TEST(golden, runs_and_steps_that_fail_say_where_and_why)
{
    golden("runs");
}

TEST(golden, devices_fail_as_written)
{
    golden("board");
}

/* A scenario "KIND WORD" that fails by WORD must be there for each word of the language. */
static void has_golden(const char *file, const char *kind, const char *word)
{
    Buf text = {0}, entry = {0};
    Err err = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/%s.expected", fail_dir, file);
    CHECK_INT(os_read_file(path, 1 << 20, &text, &err), 0);
    buf_printf(&entry, "%s %s  ", kind, word);
    const char *at = strstr(buf_text(&text), buf_text(&entry));
    if (!at) {
        printf("no scenario `%s %s` in %s\n", kind, word, path);
    }
    CHECK(at != NULL);
    CHECK(at && strstr(at, "failed at line ") == strchr(at, '\n') + 1);
    buf_free(&entry);
    buf_free(&text);
}

TEST(golden, no_matcher_is_without_a_failing_scenario)
{
#define X(name) has_golden("matchers", "matcher", #name);
    MATCHER_MAP(X)
#undef X
}

TEST(golden, no_field_is_without_a_failing_scenario)
{
#define X(name) has_golden("fields", "field", #name);
    FIELD_MAP(X)
#undef X
}

TEST(golden, no_part_of_a_check_is_without_a_failing_scenario)
{
    size_t n;
    const KeyInfo *keys = key_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (keys[i].scope == SCOPE_check) {
            has_golden("checks", "check", keys[i].name);
        }
    }
}
