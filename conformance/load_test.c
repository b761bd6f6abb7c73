/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/cmd.h"
#include "conformance/run.h"
#include "conformance/scenario.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BROKEN "conformance/tests/broken"

typedef struct {
    Arena *arena;
    Suite *suite; /* NULL: refused */
    Buf diags;    /* one a line */
} Loaded;

static Loaded load_bytes(const char *name, const char *text, size_t n)
{
    Loaded l = {.arena = arena_new()};
    Diags diags = {0};
    l.suite = suite_load(l.arena, name, text, n, &diags);
    for (size_t i = 0; i < diags.n; i++) {
        buf_printf(&l.diags, "%s\n", diags.items[i].text);
    }
    VEC_FREE(&diags);
    return l;
}

static Loaded load_text(const char *text)
{
    return load_bytes("s.yaml", text, strlen(text));
}

static Loaded load_file(const char *path, const char *name)
{
    Buf text = {0};
    Err err = {0};
    CHECK(!os_read_file(path, NODE_MAX_BYTES, &text, &err));
    Loaded l = load_bytes(name, text.n ? text.data : "", text.n);
    buf_free(&text);
    return l;
}

static void loaded_free(Loaded *l)
{
    arena_free(l->arena);
    buf_free(&l->diags);
}

static const Case *find_case(const Loaded *l, const char *id, GuestId guest)
{
    for (size_t i = 0; l->suite && i < l->suite->ncases; i++) {
        if (!strcmp(l->suite->cases[i].id, id) && l->suite->cases[i].guest == guest) {
            return &l->suite->cases[i];
        }
    }
    CHECK_STR(id, "a case of the suite");
    return NULL;
}

TEST(load, the_27_scenarios_of_the_language_load_without_a_word)
{
    Loaded l = load_file("conformance/tests/cases.conf.yaml", "cases.conf.yaml");
    CHECK_STR(buf_text(&l.diags), "");
    CHECK(l.suite && l.suite->ncases == 463);
    loaded_free(&l);
}

/* ---- broken suites ---- */

static int lint_quietly(const char *path)
{
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
    char *argv[] = {(char[]){"lint"}, (char *)path, NULL};
    dup2(null, STDOUT_FILENO);
    int status = lint_main(&(RunHooks){.load = suite_load}, 2, argv);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(null);
    return status;
}

static void check_broken(const char *name)
{
    char path[512], expected_path[512];
    Buf expected = {0};
    Err err = {0};
    snprintf(path, sizeof path, BROKEN "/%s", name);
    snprintf(expected_path, sizeof expected_path, BROKEN "/%.*s.expected", (int)(strlen(name) - 5), name);
    CHECK(!os_read_file(expected_path, 1 << 20, &expected, &err));
    Loaded l = load_file(path, name);
    CHECK(!l.suite);
    if (!CHECK_STR(buf_text(&l.diags), buf_text(&expected))) {
        fprintf(stderr, "    in %s\n", path);
    }
    CHECK_INT(lint_quietly(path), CONF_INVALID);
    loaded_free(&l);
    buf_free(&expected);
}

TEST(load, each_broken_suite_gets_exactly_its_diagnostics_and_exit_status_3)
{
    DIR *dir = opendir(BROKEN);
    size_t n = 0;
    CHECK(dir != NULL);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t len = strlen(e->d_name);
        if (len > 5 && !strcmp(e->d_name + len - 5, ".yaml")) {
            check_broken(e->d_name);
            n++;
        }
    }
    if (dir) {
        closedir(dir);
    }
    CHECK(n >= 60);
}

/* ---- what is too big to commit; memory stays bounded ---- */

static void check_refused(const Buf *text, const char *message, size_t max_bytes)
{
    Loaded l = load_bytes("big.yaml", text->data, text->n);
    CHECK(!l.suite);
    CHECK_HAS(buf_text(&l.diags), message);
    CHECK(arena_bytes(l.arena) < max_bytes);
    loaded_free(&l);
}

static void repeat(Buf *b, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_str(b, text);
    }
}

TEST(load, a_hundred_thousand_brackets_are_refused_at_the_65th)
{
    Buf b = {0};
    repeat(&b, "[", 100000);
    check_refused(&b, "big.yaml:1:65: nested deeper than 64", 1 << 20);
    buf_clear(&b);
    repeat(&b, "{a: ", 100000);
    check_refused(&b, "nested deeper than 64", 1 << 20);
    buf_clear(&b);
    repeat(&b, "- ", 100000);
    check_refused(&b, "nested deeper than 64", 1 << 20);
    buf_free(&b);
}

TEST(load, a_file_above_the_limit_and_a_list_of_too_many_nodes_are_refused)
{
    Buf b = {0};
    repeat(&b, "# filler\n", NODE_MAX_BYTES / 9 + 1);
    check_refused(&b, "larger than 4194304 bytes", 1 << 20);
    buf_clear(&b);
    buf_str(&b, "[");
    repeat(&b, "1,", NODE_MAX_NODES + 1);
    buf_str(&b, "1]");
    check_refused(&b, "more than 1048576 nodes", 512 << 20);
    buf_free(&b);
}

/* Depth through aliases: ten levels of anchors, each ten deep, would be a hundred. */
TEST(load, depth_is_counted_through_aliases)
{
    Buf b = {0};
    buf_str(&b, "a0: &a0 [1]\n");
    for (int i = 1; i < 12; i++) {
        buf_printf(&b, "a%d: &a%d [[[[[[[[[[*a%d]]]]]]]]]]\n", i, i, i - 1);
    }
    check_refused(&b, "nested deeper than 64", 1 << 20);
    buf_free(&b);
}

TEST(load, rows_that_unfold_to_gigabytes_are_refused_in_bounded_memory)
{
    Buf b = {0};
    buf_str(&b, "version: 1\nscenarios:\n- name: x\n  each: {a: [");
    for (int i = 0; i < 4096; i++) {
        buf_printf(&b, "%s%d", i ? ", " : "", i);
    }
    buf_str(&b, "]}\n  code: {riscv64: \"${a}");
    repeat(&b, " nop ;", 50000);
    buf_str(&b, "\"}\n  run: done\n");
    check_refused(&b, "the suite unfolds to more than 256 MiB", 300 << 20);
    buf_clear(&b);
    buf_str(&b, "version: 1\nscenarios:\n- name: x\n  code: {riscv64: nop}\n  each: {a: [");
    for (int i = 0; i < 4096; i++) {
        buf_printf(&b, "%s%d", i ? ", " : "", i);
    }
    buf_str(&b, "]}\n  run: done\n  expect: {memory: {0: {u64: [");
    repeat(&b, "$a, ", 20000);
    buf_str(&b, "1]}}}\n");
    check_refused(&b, "the suite unfolds to more than", 400 << 20);
    buf_free(&b);
}

/* ---- rows, let, guests ---- */

#define HEAD "version: 1\nscenarios:\n- name: s\n"

TEST(expand, a_table_a_grid_and_a_product_name_their_rows)
{
    Loaded l =
        load_text(HEAD "  each: [[id, n], [a, 1], [b, 2]]\n  code: {riscv64: \"li a0, ${n}\"}\n  run: done\n"
                       "- name: g\n  lifecycle: virtualcpu\n  each: {grid: [from, op, gives], rows: [[., init, pause],"
                       " [Created, Ready, denied], [Ready, denied, denied]]}\n  code: {riscv64: \"nop // ${from}\"}\n"
                       "  steps: [{op: $op, gives: $gives}]\n"
                       "- name: p\n  each: {a: [1, 2], b: [x, y, z]}\n  code: {riscv64: \"${a}${b}\"}\n  run: done\n");
    CHECK_STR(buf_text(&l.diags), "");
    CHECK(l.suite && l.suite->ncases == 2 + 4 + 6);
    const Case *c = find_case(&l, "s[b]", GUEST_riscv64);
    CHECK_STR(c ? c->code->text : "", "li a0, 2");
    c = find_case(&l, "g[Ready,init]", GUEST_riscv64);
    CHECK_STR(c ? c->steps[0].word : "", "init");
    CHECK_STR(c ? c->steps[0].gives_word : "", "denied");
    CHECK_INT(c ? c->steps[0].gives_code : 0, ERR_STATE);
    c = find_case(&l, "p[a=2,b=y]", GUEST_riscv64);
    CHECK_STR(c ? c->code->text : "", "2y");
    loaded_free(&l);
}

TEST(expand, a_tilde_that_the_code_uses_leaves_the_row_out_on_that_guest)
{
    Loaded l = load_text(HEAD "  each: [[id, rv, x64], [a, nop, nop], [b, ~, ud2]]\n"
                              "  code: {riscv64: \"${rv}\", x86_64: \"${x64}\"}\n  run: done\n");
    CHECK_STR(buf_text(&l.diags), "");
    CHECK(l.suite && l.suite->ncases == 3);
    CHECK(find_case(&l, "s[b]", GUEST_x86_64) != NULL);
    loaded_free(&l);
}

TEST(expand, let_and_guest_maps_give_each_guest_its_own_value)
{
    Loaded l = load_text(HEAD "  let: {v: {riscv64: 5, x86_64: 6}, w: $v}\n"
                              "  code: {riscv64: \"li a0, ${v}\", x86_64: \"mov edi, ${w}\"}\n  run: done\n"
                              "  expect: {regs: {arg0: $v, scause: {riscv64: 15}, cr2: {x86_64: $here + $v}}}\n"
                              "  memory: {here: 4K}\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *rv = find_case(&l, "s", GUEST_riscv64), *x64 = find_case(&l, "s", GUEST_x86_64);
    if (rv && x64) {
        CHECK_INT(rv->expect->nregs, 2);
        CHECK_INT(rv->expect->regs[0].match.a.n, 5);
        CHECK_INT(rv->expect->regs[1].match.a.n, 15);
        CHECK_STR(x64->code->text, "mov edi, 6");
        CHECK_STR(x64->expect->regs[1].match.a.text, "$here + (6)");
        CHECK_INT(x64->nbindings, 2);
    }
    loaded_free(&l);
}

TEST(expand, fake_lines_are_pasted_and_keep_run_time_names_in_braces)
{
    Loaded l = load_text(HEAD "  each: {size: [4]}\n  memory: {dev: {hole: 4K}}\n  code: {riscv64: nop}\n  run: done\n"
                              "  fake: [\"mmio_read addr={$dev + $size} size=${size} text=$size\", done]\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s[size=4]", GUEST_riscv64);
    CHECK_INT(c ? c->nfake : 0, 2);
    CHECK_STR(c ? c->fake[0].line : "", "mmio_read addr={$dev + (4)} size=4 text=$size");
    loaded_free(&l);
}

TEST(expand, defaults_are_replaced_whole)
{
    Loaded l =
        load_text("version: 1\ndefaults: {code: {riscv64: nop, x86_64: nop}, run: done, within: 5ms}\nscenarios:\n"
                  "- name: a\n- name: b\n  code: {riscv64: wfi}\n  steps: [run: halt]\n  within: 60s\n");
    CHECK_STR(buf_text(&l.diags), "");
    CHECK(l.suite && l.suite->ncases == 3);
    const Case *a = find_case(&l, "a", GUEST_x86_64), *b = find_case(&l, "b", GUEST_riscv64);
    CHECK_INT(a ? a->steps[0].run.within_ns : 0, 5000000);
    CHECK_INT(b ? b->steps[0].run.within_ns : 0, 60000000000);
    CHECK(b && b->steps[0].run.lists[0].items[0].exit == EXIT_halt);
    loaded_free(&l);
}

TEST(expand, plain_words_are_text_whatever_yaml_1_1_made_of_them)
{
    Loaded l = load_text(HEAD "  tags: [no, on, yes, off]\n  why: no\n  code: {riscv64: nop}\n  run: done\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s", GUEST_riscv64);
    CHECK_STR(c ? c->tags[0] : "", "no");
    CHECK_STR(c ? c->why : "", "no");
    loaded_free(&l);
}

/* ---- typing ---- */

TEST(typing, a_routine_is_laid_in_place)
{
    Loaded l =
        load_text("version: 1\nroutines: {Ready: [op: init], Up: [do: Ready, op: execute], None: none}\nscenarios:\n"
                  "- name: s\n  lifecycle: virtualcpu\n  code: {riscv64: nop}\n"
                  "  steps: [do: None, do: Up, {op: pause, gives: Paused}]\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s", GUEST_riscv64);
    if (c) {
        CHECK_INT(c->nsteps, 3);
        CHECK_STR(c->steps[1].word, "execute");
        CHECK_INT(c->steps[1].pos.line, 2);
        CHECK_INT(c->steps[2].gives, GIVES_STATE);
    }
    loaded_free(&l);
}

TEST(typing, needs_follow_from_what_is_used_with_their_reason)
{
    Loaded l = load_text(
        HEAD "  code: {x86_64: \"a: nop\"}\n  memory: {rom: {size: 4K, flags: r}, log: {size: 4K, log: true}}\n"
             "  vcpus: {a: {}, b: {parked: true}}\n  needs: [clock: full]\n  start: machine\n"
             "  intercept: {sysregs: [msr.tsc]}\n  steps:\n  - save: x\n"
             "  - {run: {a: [halt, io_write: {data: 1}, hypercall: {nr: 1}]}, break: [$a], watch: [$a]}\n"
             "  - {inject: 0x40, vcpu: a}\n  - {inject: nmi, vcpu: a}\n  - {op: request_irq_window, vcpu: a}\n"
             "  - {run: {a: budget}, insns: 5}\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s", GUEST_x86_64);
    static const Cap caps[] = {CAP_map_ro,
                               CAP_dirty_log,
                               CAP_multi_vcpu,
                               CAP_parked,
                               CAP_clock,
                               CAP_env_machine,
                               CAP_sysreg_exit,
                               CAP_save,
                               CAP_halt_visible,
                               CAP_pio,
                               CAP_hypercall_visible,
                               CAP_hw_break,
                               CAP_hw_watch,
                               CAP_irq_vector,
                               CAP_nmi,
                               CAP_irq_window,
                               CAP_insn_count};
    size_t n = 0;
    for (size_t i = 0; c && i < ARRAY_LEN(caps); i++) {
        if (!CHECK(c->needs[caps[i]])) {
            fprintf(stderr, "    %s\n", cap_name(caps[i]));
        }
    }
    for (int i = 0; c && i < CAP_COUNT; i++) {
        n += c->needs[i] != CAP_NA;
    }
    CHECK_INT(n, ARRAY_LEN(caps));
    CHECK_STR(c ? c->need_why[CAP_save] : "", "uses save at line 11");
    CHECK_STR(c ? c->need_why[CAP_clock] : "", "asked for");
    CHECK_INT(c ? c->needs[CAP_save] : CAP_NA, CAP_PARTIAL);
    CHECK_INT(c ? c->needs[CAP_clock] : CAP_NA, CAP_FULL);
    loaded_free(&l);
}

static CapLevel interrupt_needs(const char *gives, const char *guest, GuestId id, Cap cap)
{
    Buf text = {0};
    buf_printf(&text, HEAD "  lifecycle: virtualcpu\n  code: {%s: nop}\n  steps: [{op: interrupt, gives: %s}]\n", guest,
               gives);
    Loaded l = load_text(buf_text(&text));
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s", id);
    CapLevel level = c ? c->needs[cap] : CAP_NA;
    loaded_free(&l);
    buf_free(&text);
    return level;
}

TEST(typing, an_interrupt_that_the_model_rejects_needs_no_line)
{
    CHECK_INT(interrupt_needs("ok", "riscv64", GUEST_riscv64, CAP_irq_line), CAP_PARTIAL);
    CHECK_INT(interrupt_needs("Ready", "aarch64", GUEST_aarch64, CAP_irq_line), CAP_PARTIAL);
    CHECK_INT(interrupt_needs("ok", "x86_64", GUEST_x86_64, CAP_irq_vector), CAP_PARTIAL);
    CHECK_INT(interrupt_needs("denied", "riscv64", GUEST_riscv64, CAP_irq_line), CAP_NA);
}

TEST(typing, an_item_that_may_be_absent_needs_nothing)
{
    Loaded l = load_text(
        HEAD "  code: {x86_64: hlt}\n  run: [{halt: any, optional: true}, {halt: {pc: 3}, if: halt_visible}, done]\n"
             "  ignore: [idle]\n");
    /* the optional one and the next could both take a halt */
    CHECK_HAS(buf_text(&l.diags), "one exit could match this item and the one at line 5");
    loaded_free(&l);
    l = load_text(HEAD "  code: {x86_64: hlt}\n  run: [{halt: any, if: halt_visible}, done]\n  ignore: [idle]\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s", GUEST_x86_64);
    if (c) {
        CHECK(!c->needs[CAP_halt_visible]);
        CHECK_INT(c->steps[0].run.lists[0].items[0].if_cap, CAP_halt_visible);
        CHECK(c->steps[0].run.ignore & 1ull << EXIT_idle);
        CHECK(c->steps[0].run.ignore & 1ull << EXIT_nothing);
    }
    loaded_free(&l);
}

TEST(typing, an_exit_that_is_named_is_not_ignored_by_default)
{
    Loaded l = load_text(HEAD "  code: {x86_64: nop}\n  run: [nothing, done]\n");
    const Case *c = find_case(&l, "s", GUEST_x86_64);
    CHECK(c && !(c->steps[0].run.ignore & 1ull << EXIT_nothing));
    CHECK(c && c->steps[0].run.ignore & 1ull << EXIT_preempt_timer);
    loaded_free(&l);
}

TEST(typing, a_wide_register_is_bytes_in_every_spelling)
{
    Loaded l = load_text(HEAD "  code: {x86_64: nop}\n  steps:\n"
                              "  - set: {xmm0: {u64: [0x0706050403020100, 0x0f0e0d0c0b0a0908]}, xmm1: {hex: "
                              "\"000102030405060708090a0b0c0d0e0f\"}}\n"
                              "  - check: {regs: {xmm0: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]}}\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s", GUEST_x86_64);
    for (unsigned i = 0; c && i < 16; i++) {
        CHECK_INT(c->steps[0].regs[0].bytes[i], i);
        CHECK_INT(c->steps[0].regs[1].bytes[i], i);
        CHECK_INT(c->steps[1].check->regs[0].match.items[i].n, i);
    }
    loaded_free(&l);
}

TEST(typing, block_text_knows_where_its_lines_stand)
{
    Loaded l = load_text(HEAD "  code:\n    riscv64: |\n      one: nop\n\n      two: nop\n  run: done\n");
    const Case *c = find_case(&l, "s", GUEST_riscv64);
    CHECK(c && c->code->is_block);
    CHECK_INT(c ? c->code->pos.line : 0, 6);
    CHECK_INT(c ? c->code->pos.col : 0, 7);
    loaded_free(&l);
}

TEST(typing, sizes_and_times_take_units)
{
    Loaded l = load_text(
        HEAD "  code: {riscv64: nop}\n  memory: {a: 64K, b: {size: 0x2000}, c: {hole: 1G}, d: {u16: [1, 2, 3]}}\n"
             "  steps: [{run: done, within: 10us}]\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s", GUEST_riscv64);
    if (c) {
        CHECK_INT(c->regions[0].size_bytes, 65536);
        CHECK_INT(c->regions[1].size_bytes, 0x2000);
        CHECK_INT(c->regions[2].size_bytes, 1 << 30);
        CHECK_INT(c->regions[3].size_bytes, 6);
        CHECK_INT(c->steps[0].run.within_ns, 10000);
    }
    loaded_free(&l);
}

/* ---- steps of a script ---- */

static const Node *node_of(Arena *a, const char *text)
{
    const Node *n = NULL;
    Err err = {0};
    CHECK(!node_parse_yaml(a, "(script)", text, strlen(text), &n, &err));
    return n;
}

TEST(script, a_step_is_checked_as_in_a_file)
{
    Loaded l = load_text(HEAD "  each: {size: [4]}\n  memory: {dev: {hole: 4K}}\n  code: {riscv64: \"here: nop\"}\n  "
                              "script: run \"done\" -- row.size\n");
    CHECK_STR(buf_text(&l.diags), "");
    const Case *c = find_case(&l, "s[size=4]", GUEST_riscv64);
    Arena *a = arena_new();
    Err err = {0};
    const Step *s =
        c ? case_step_from(a, c, "run", node_of(a, "[{mmio_read: {addr: $dev, size: $size}, reply: 1}, done]"),
                           node_of(a, "{insns: 5}"), &err)
          : NULL;
    CHECK(s && s->run.lists[0].n == 2 && s->run.insns == 5);
    CHECK(s && s->run.lists[0].items[0].fields[0].match.a.n == 4);
    CHECK(c && !case_step_from(a, c, "set", node_of(a, "{a99: 1}"), NULL, &err));
    CHECK_HAS(err.text, "riscv64 has no register `a99`; did you mean `a0`?");
    CHECK(c && !case_step_from(a, c, "do", node_of(a, "X"), NULL, &err));
    CHECK(c && !case_step_from(a, c, "run", node_of(a, "[{mmio_read: {sise: 4}, reply: 1}]"), NULL, &err));
    CHECK_HAS(err.text, "did you mean `size`?");
    const Matcher *m = c ? case_matcher_from(a, c, node_of(a, "{range: [1, 9]}"), &err) : NULL;
    CHECK(m && m->kind == MATCH_range && m->b.n == 9);
    CHECK(c && !case_matcher_from(a, c, node_of(a, "{rnage: [1, 9]}"), &err));
    m = c ? case_matcher_from(a, c, node_of(a, "{has: x}"), &err) : NULL;
    CHECK(m && m->kind == MATCH_has);
    arena_free(a);
    loaded_free(&l);
}
