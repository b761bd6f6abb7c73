/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/bless_edit.h"

#include "sim/base/test.h"

#include <string.h>

static const char SUITE[] = "version: 1\n"
                            "scenarios:\n"
                            "- name: first\n"
                            "  run: # a comment\n"
                            "  - halt # old\n"
                            "  - mmio_write:\n"
                            "      addr: 3\n"
                            "\n"
                            "  # of expect\n"
                            "  expect: {regs: {arg0: 1}}\n"
                            "- name: second\n"
                            "  code: {x86_64: nop}\n"
                            "  run: done\n"
                            "\n"
                            "# of the third\n"
                            "- {name: third, run: done}\n"
                            "- name: fourth\n"
                            "  steps:\n"
                            "  - run: done\n"
                            "- name: rows\n"
                            "  each: {n: [1, 2]}\n"
                            "  run: [done]\n"
                            "- name: last\n"
                            "  run: [done]\n"
                            "  # the end";

/* SUITE with `name`'s list replaced, or the reason why not. */
static void splice(const char *name, Buf *out)
{
    Arena *arena = arena_new();
    Err err = {0};
    Suite s = {.file = "s.yaml"};
    CHECK_INT(node_parse_yaml(arena, "s.yaml", SUITE, strlen(SUITE), &s.root, &err), 0);
    Case c = {.suite = &s, .name = name, .nvcpus = 1};
    if (bless_splice(SUITE, strlen(SUITE), &c, "- halt\n- done\n", out, &err)) {
        buf_str(out, err.text);
    }
    arena_free(arena);
}

static void check_replaced(const char *name, const char *old, const char *new)
{
    Buf got = {0}, want = {0};
    const char *at = strstr(SUITE, old);
    CHECK(at != NULL);
    buf_bytes(&want, SUITE, (size_t)(at - SUITE));
    buf_str(&want, new);
    buf_str(&want, at + strlen(old));
    splice(name, &got);
    CHECK_STR(buf_text(&got), buf_text(&want));
    buf_free(&got);
    buf_free(&want);
}

TEST(bless, a_list_is_replaced_and_all_else_stays)
{
    check_replaced("first", "  run: # a comment\n  - halt # old\n  - mmio_write:\n      addr: 3\n",
                   "  run:\n  - halt\n  - done\n");
    check_replaced("second", "  run: done\n", "  run:\n  - halt\n  - done\n");
    check_replaced("last", "  run: [done]\n  # the end", "  run:\n  - halt\n  - done\n  # the end");
}

TEST(bless, what_is_not_simple_is_left_alone)
{
    static const struct {
        const char *name, *why;
    } CASES[] = {{"third", "another key stands on its line"},
                 {"fourth", "not one `run:`"},
                 {"rows", "several rows"},
                 {"nobody", "not one `run:`"}};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Buf got = {0};
        splice(CASES[i].name, &got);
        CHECK_HAS(buf_text(&got), CASES[i].why);
        buf_free(&got);
    }
}
