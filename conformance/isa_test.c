/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/isa.h"
#include "conformance/world.h"
#include "sim/base/test.h"

#include <string.h>

/* What the code of `text`, the body of a scenario, needs beyond isa; "" if nothing. */
static void lacks(const char *text, const char *isa, const char *want)
{
    Buf yaml = {0}, got = {0};
    Diags diags = {0};
    Arena *arena = arena_new();
    World *w = NULL;
    Err err = {0};
    buf_printf(&yaml, "version: 1\nscenarios:\n- name: s\n%s", text);
    Suite *s = suite_load(arena, "s.yaml", yaml.data, yaml.n, &diags);
    if (CHECK(s != NULL) && CHECK_INT(world_build(&s->cases[0], 0, &w, &err), 0)) {
        bool has_none = isa_case_lacks(&s->cases[0], isa, &got) || world_lacks(w, isa, &got);
        CHECK_INT(has_none, *want != '\0');
        CHECK_STR(buf_text(&got), want);
    }
    world_free(w);
    VEC_FREE(&diags);
    if (s) {
        suite_free(s);
    } else {
        arena_free(arena);
    }
    buf_free(&yaml);
    buf_free(&got);
}

TEST(isa, the_first_instruction_that_is_not_had_is_named_with_its_line)
{
    static const char code[] = "  code:\n"
                               "    riscv64: |\n"
                               "      li a0, 1 ; mul a0, a0, a0     // mul is had\n"
                               "      here: nop ; sh1add a0, a0, a0 # sh1add\n"
                               "      bset a0, a0, a0\n"
                               "      there: sh1add a1, a1, a1\n"
                               "  run: [done]\n";
    lacks(code, "rv64im", "zba (sh1add at line 7)");
    lacks(code, "rv64im_zba", "zbs (bset at line 8)");
    lacks(code, "rv64imb", "");
    lacks(code, "rv64ib", "m (mul at line 6)");
    lacks("  code: {riscv64: \"there: lw a0, 0(a0) ; .option rvc ; lw a0, 0(a0)\"}\n  run: [done]\n", "rv64i",
          "c (c.lw at line 4)");
}

TEST(isa, a_macro_hides_it_and_its_label_tells)
{
    lacks("  code:\n"
          "    riscv64: |\n"
          "      .macro twice r\n"
          "      .insn r 0x33, 2, 0x10, \\r, \\r, \\r\n"
          "      .endm\n"
          "      nop\n"
          "      at: twice a0\n"
          "  run: [done]\n",
          "rv64i", "zba (sh1add at line 10)");
}

TEST(isa, what_directives_put_there_is_no_instruction)
{
    lacks("  code: {riscv64: \"j end ; .word 0x20a52533 ; .zero 6, 0x33 ; .balign 4 ; end: nop\"}\n  run: [done]\n",
          "rv64i", "");
    lacks("  code: {riscv64: \"j end ; .word 0x20a52533 ; end: sh2add a0, a0, a0\"}\n  run: [done]\n", "rv64i",
          "zba (sh2add at line 4)");
}

TEST(isa, code_of_a_region_and_in_hex_needs_too)
{
    lacks("  memory: {fn: {size: 4K, code: \"f: mul a0, a0, a0 ; ret\"}}\n  code: {riscv64: \"nop\"}\n  run: [done]\n",
          "rv64i", "m (mul at line 4)");
    lacks("  code: {riscv64: {hex: 3305a502}}\n  run: [done]\n", "rv64i", "m (mul at line 4)");
    lacks("  code: {x86_64: \"imul rax, rax\"}\n  run: [done]\n", "rv64i", "");
}

TEST(isa, what_no_instruction_shows_is_asked_for)
{
    lacks("  needs: [isa: [m, svnapot]]\n  code: {riscv64: \"nop\"}\n  run: [done]\n", "rv64im", "svnapot (asked for)");
    lacks("  needs: [isa: svnapot]\n  code: {riscv64: \"nop\"}\n  run: [done]\n", "rv64im_svnapot", "");
    lacks("  needs: [isa: svnapot]\n  code: {x86_64: \"nop\"}\n  run: [done]\n", "rv64im", "");
    lacks("  start: paged\n  code: {riscv64: \"nop\"}\n  run: [done]\n", "rv64im", "sv39 (start: paged)");
    lacks("  start: user\n  code: {riscv64: \"nop\"}\n  run: [done]\n", "rv64im", "sv39 (start: user)");
    lacks("  start: user\n  code: {riscv64: \"nop\"}\n  run: [done]\n", "rv64im_sv48", "");
}
