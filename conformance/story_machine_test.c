/* SPDX-License-Identifier: Apache-2.0
 * Scenarios with `boot` on the simulator, with a few handmade instructions as the asset. */
#include "conformance/story.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Prints A, echoes one byte, and passes: as accel/sim/machine_test.c. */
static const uint32_t echo[] = {0x100002b7, 0x04100313, 0x00628023, 0x0052c303, 0x00137313, 0xfe030ce3, 0x0002c303,
                                0x00628023, 0x001002b7, 0x00005337, 0x55530313, 0x0062a023, 0x0000006f};
#define HEAD                                                                                                           \
    "version: 1\nassets:\n  echo: {riscv64: {path: echo, get: make echo}}\n  gone: {riscv64: {path: gone, get: make "  \
    "gone}}\n"                                                                                                         \
    "defaults: {guests: [riscv64]}\nscenarios:\n"

static void play(const char *scenario, const char *backend, Result *r)
{
    char dir[64], path[80];
    Buf text = {0};
    Diags diags = {0};
    Err err = {0};
    Caps caps;
    World *w = NULL;
    Arena *arena = arena_new();
    snprintf(dir, sizeof dir, "/tmp/conf-assets-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/echo", dir);
    (void)mkdir(dir, 0755);
    CHECK_INT(os_write_file(path, echo, sizeof echo, NULL), 0);
    setenv("CONF_ASSETS", dir, 1);
    buf_printf(&text, "%s%s", HEAD, scenario);
    Suite *s = suite_load(arena, "boot.yaml", text.data, text.n, &diags);
    for (size_t i = 0; i < diags.n; i++) {
        printf("%s\n", diags.items[i].text);
    }
    CHECK(s && s->ncases == 1);
    const Backend *b = backend_find(backend);
    CHECK_INT(b->open(b, GUEST_riscv64, &caps, NULL), 0);
    if (s && CHECK_INT(world_build(&s->cases[0], 0, &w, &err), 0)) {
        story_run(&s->cases[0], w, b, &caps, &(StoryOptions){.seed = 1, .timeout_ns = 600000000000u}, r);
    }
    world_free(w);
    suite_free(s);
    VEC_FREE(&diags);
    buf_free(&text);
    unlink(path);
    rmdir(dir);
    unsetenv("CONF_ASSETS");
}

TEST(boot, a_machine_prints_takes_what_is_typed_and_ends)
{
    Result r = {0};
    play("- name: n\n  boot: {bios: $echo, ram: 16M}\n"
         "  run: [{console: A, then: [type: x]}, console: x, system_down: {reason: 0}]\n"
         "  expect: {console: Ax, insns: {ge: 12}}\n",
         "sim-interp", &r);
    CHECK_INT(r.status, STATUS_passed);
    CHECK_STR(buf_text(&r.failure), "");
    result_free(&r);
}

TEST(boot, within_is_guest_time_and_ends_as_budget)
{
    Result r = {0};
    play("- {name: n, boot: {kernel: $echo, ram: 16M, harts: 2}, within: 3ms, run: [console: A, budget]}\n",
         "sim-interp", &r);
    CHECK_INT(r.status, STATUS_passed);
    result_free(&r);
}

TEST(boot, what_came_instead_is_shown)
{
    Result r = {0};
    play("- {name: n, boot: {bios: $echo, ram: 16M}, within: 3ms, run: [console: B, system_down]}\n", "sim-interp", &r);
    CHECK_INT(r.status, STATUS_failed);
    CHECK_HAS(buf_text(&r.failure), "expected  console \"B\"");
    CHECK_HAS(buf_text(&r.failure), "got       budget");
    result_free(&r);
}

TEST(boot, without_its_asset_it_is_skipped_and_says_how_to_get_it)
{
    Result r = {0};
    play("- {name: n, boot: {bios: $echo, kernel: $gone}, run: system_down}\n", "sim-interp", &r);
    CHECK_INT(r.status, STATUS_skipped);
    CHECK_HAS(buf_text(&r.reason), "needs the asset gone, which is not here (/tmp/conf-assets-");
    CHECK_HAS(buf_text(&r.reason), "/gone); `make gone` fetches it");
    result_free(&r);
}

TEST(boot, a_backend_that_boots_nothing_skips_it_with_the_reason)
{
    Result r = {0};
    play("- {name: n, boot: {kernel: $echo}, steps: [type: x, check: {console: A}]}\n", "fake", &r);
    CHECK_INT(r.status, STATUS_skipped);
    CHECK_HAS(buf_text(&r.reason), "needs boot (uses boot at line 7): fake: plays a script, boots no image");
    result_free(&r);
}
