/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/diff.h"

#include "conformance/asm.h"
#include "conformance/image.h"
#include "sim/base/test.h"
#include "sim/jit/jit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RAM = 0x80000000, DATA = 0x80100000 };

/* ---- a backend that is sim-interp but for one fault ---- */
typedef enum { FAULT_NONE, FAULT_REG, FAULT_REG_ONCE, FAULT_START, FAULT_RAM, FAULT_EXIT } Fault;
/* The tables of a backend have no context, hence one at a time. */
static struct {
    Fault fault;
    uint64_t at; /* after so many instructions; FAULT_EXIT: in that exit, from 1; cannot_count: after that exit */
    bool cannot_count;
    uint64_t done, nexits, npasses;
    bool has_struck;
    BeVm *vm;
    VmOps vm_ops;
    VcpuOps vcpu_ops;
    Backend backend;
} mutant;

static const Backend *real(void)
{
    return backend_find("sim-interp");
}

static int mutant_create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    (void)b;
    int rc = real()->vm->create(real(), cfg, out, err);
    mutant.vm = *out;
    mutant.done = mutant.nexits = 0;
    mutant.has_struck = mutant.fault == FAULT_NONE || (mutant.fault == FAULT_REG_ONCE && mutant.npasses);
    mutant.npasses++;
    return rc;
}

static int mutant_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    (void)b;
    int rc = real()->open(real(), guest, caps, err);
    if (mutant.cannot_count) {
        caps->level[CAP_insn_count] = CAP_NONE;
        caps->why[CAP_insn_count] = "for this test";
    }
    return rc;
}

static void strike(BeVcpu *v, VmExit *exit)
{
    static uint8_t wrong[8] = {0x5a};
    RegIo io = {reg_find(GUEST_riscv64, "t6")->id, wrong};
    size_t bad;
    mutant.has_struck = true;
    switch (mutant.fault) {
    case FAULT_REG:
    case FAULT_REG_ONCE:
    case FAULT_START:
        CHECK_INT(real()->vcpu->set_regs(v, &io, 1, &bad, NULL), 0);
        break;
    case FAULT_RAM:
        CHECK_INT(real()->vm->mem_write(mutant.vm, (Gpa){DATA + 8}, wrong, 1, NULL), 0);
        break;
    case FAULT_EXIT:
        if (CHECK(exit)) {
            exit->value ^= 1;
        }
        break;
    case FAULT_NONE:
        break;
    }
}

static int mutant_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    int rc = real()->vcpu->setup(v, s, err);
    if (!rc && mutant.fault == FAULT_START) {
        strike(v, NULL);
    }
    return rc;
}

/* However wide the caller's window is, the fault comes after that instruction. */
static int mutant_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    bool is_by_exit = mutant.fault == FAULT_EXIT || mutant.cannot_count;
    RunArgs one = *args;
    uint64_t left = args->insns;
    for (;;) {
        bool is_cut = !mutant.has_struck && !is_by_exit && mutant.at > mutant.done && mutant.at - mutant.done < left;
        one.insns = is_cut ? mutant.at - mutant.done : left;
        int rc = real()->vcpu->run(v, &one, exit, err);
        if (rc) {
            return rc;
        }
        mutant.done = exit->insns;
        mutant.nexits += exit->kind != EXIT_budget;
        if (!mutant.has_struck && (is_by_exit ? mutant.nexits : mutant.done) == mutant.at) {
            strike(v, exit);
        }
        if (!is_cut || exit->kind != EXIT_budget) {
            return 0;
        }
        left -= left == UINT64_MAX ? 0 : one.insns;
    }
}

static const Backend *mutant_of(Fault fault, uint64_t at)
{
    memset(&mutant, 0, sizeof mutant);
    mutant.fault = fault;
    mutant.at = at;
    mutant.vm_ops = *real()->vm;
    mutant.vm_ops.create = mutant_create;
    mutant.vcpu_ops = *real()->vcpu;
    mutant.vcpu_ops.run = mutant_run;
    mutant.vcpu_ops.setup = mutant_setup;
    mutant.backend = *real();
    mutant.backend.name = "mutant";
    mutant.backend.open = mutant_open;
    mutant.backend.vm = &mutant.vm_ops;
    mutant.backend.vcpu = &mutant.vcpu_ops;
    return &mutant.backend;
}

/* ---- images ---- */
/* Counts in t0 and stores it to DATA for ever. */
static const uint32_t COUNTER[] = {
    0x80100337, /* lui t1, 0x80100 */
    0x02031313, /* slli t1, t1, 32 */
    0x02035313, /* srli t1, t1, 32 */
    0x00128293, /* loop: addi t0, t0, 1 */
    0x00533023, /* sd t0, 0(t1) */
    0xff9ff06f, /* j loop */
};
/* Stores 1, 2, 3 .. to a hole, reads from there, and ends after 10. */
static const uint32_t TALKER[] = {
    0x10000337, /* lui t1, 0x10000 */
    0x00a00393, /* addi t2, x0, 10 */
    0x00128293, /* loop: addi t0, t0, 1 */
    0x00532023, /* sw t0, 0(t1) */
    0x00532e03, /* lw t3, 5(t1) */
    0xfe729ae3, /* bne t0, t2, loop */
    0x00100337, /* lui t1, 0x100 */
    0x00532023, /* sw t0, 0(t1) */
    0x0000006f, /* j . */
};

typedef struct {
    DiffImage image;
    DiffConfig cfg;
    DiffResult r;
    Err err;
} Trial;

static void begin(Trial *t, const Backend *b, const uint32_t *code, size_t nbytes, uint64_t max_insns)
{
    *t = (Trial){.image = {.name = "image",
                           .bytes = (const uint8_t *)code,
                           .n = nbytes,
                           .guest = GUEST_riscv64,
                           .ram_bytes = 2 << 20,
                           .max_insns = max_insns}};
    t->cfg = (DiffConfig){.side = {{.backend = real(), .shown = "a-side"}, {.backend = b, .shown = "b-side"}},
                          .guest = GUEST_riscv64,
                          .play = diff_play_image,
                          .ctx = &t->image};
}

static void search(Trial *t)
{
    CHECK_INT(diff_search(&t->cfg, &t->r, &t->err), 0);
    CHECK_STR(t->err.text, t->r.is_apart ? t->err.text : "");
}

static void check_report(Trial *t, const char *part)
{
    Buf text = {0};
    diff_report(&t->cfg, &t->r, &text);
    CHECK_HAS(buf_text(&text), part);
    buf_free(&text);
}

TEST(diff, a_register_that_changes_is_found_at_its_instruction)
{
    static const uint64_t AT[] = {1, 2, 255, 256, 257, 65535, 65536, 65537, 200000};
    for (size_t i = 0; i < ARRAY_LEN(AT); i++) {
        Trial t;
        begin(&t, mutant_of(FAULT_REG, AT[i]), COUNTER, sizeof COUNTER, 250000);
        search(&t);
        CHECK_INT(t.r.apart.kind, APART_REGS);
        CHECK_INT(t.r.apart.start, AT[i] - 1);
        CHECK_INT(t.r.apart.end, AT[i]);
        CHECK(t.r.apart.has_pc);
        CHECK_HAS(buf_text(&t.r.apart.text), "0x0000000000000000 | 0x000000000000005a   was 0x0000000000000000");
        CHECK(t.r.npasses <= 4);
        diff_result_free(&t.r);
    }
}

TEST(diff, a_report_names_the_instruction)
{
    Trial t;
    begin(&t, mutant_of(FAULT_REG, 1001), COUNTER, sizeof COUNTER, 250000);
    search(&t);
    check_report(&t, "a: a-side\nb: b-side\napart at instruction 1001 of vcpu 0\n"
                     "instruction at 0x80000010: 23 30 53 00   sd t0, 0x0(t1)\nregisters, a | b:\n");
    diff_result_free(&t.r);
}

TEST(diff, what_differs_before_anything_ran_is_laid_to_no_instruction)
{
    Trial t;
    begin(&t, mutant_of(FAULT_START, 0), COUNTER, sizeof COUNTER, 1000);
    search(&t);
    check_report(&t, "apart before instruction 1 of vcpu 0: the two start with other values\nregisters, a | b:\n");
    diff_result_free(&t.r);
}

TEST(diff, ram_that_changes_is_found_at_its_instruction)
{
    static const uint64_t AT[] = {1, 17, 99999, 250000};
    for (size_t i = 0; i < ARRAY_LEN(AT); i++) {
        Trial t;
        begin(&t, mutant_of(FAULT_RAM, AT[i]), COUNTER, sizeof COUNTER, 250000);
        search(&t);
        CHECK_INT(t.r.apart.kind, APART_RAM);
        CHECK_INT(t.r.apart.end, AT[i]);
        CHECK_INT(t.r.apart.start, AT[i] - 1);
        CHECK_HAS(buf_text(&t.r.apart.text), "RAM at 0x80100008:\n  00 00 00 00 00 00 00 00 | 5a 00 00");
        diff_result_free(&t.r);
    }
}

TEST(diff, an_exit_that_differs_is_shown_with_those_before)
{
    Trial t;
    begin(&t, mutant_of(FAULT_EXIT, 5), TALKER, sizeof TALKER, 1000);
    search(&t);
    CHECK_INT(t.r.apart.kind, APART_EXIT);
    CHECK_HAS(buf_text(&t.r.apart.text), "a: mmio_write addr 0x10000000 size 4 value 0x3");
    CHECK_HAS(buf_text(&t.r.apart.text), "b: mmio_write addr 0x10000000 size 4 value 0x2");
    CHECK_INT(t.r.nexits, 4);
    check_report(&t, "exits before it:\n  vcpu 0 at ");
    diff_result_free(&t.r);
}

/* TALKER to its end, on what cannot count. */
static int play_talker(void *ctx, const Backend *b, const Caps *caps, Err *err)
{
    Vm *vm = NULL;
    Vcpu *v = NULL;
    RamId ram = 0;
    (void)ctx;
    (void)caps;
    int rc = vm_open(b, &(VmConfig){.guest = GUEST_riscv64, .env = ENV_MACHINE}, &life_virtualcpu, NULL, &vm, err);
    rc = rc ? rc : vm_ram_new(vm, 1 << 16, &ram, err);
    rc = rc ? rc : vm_map(vm, (Gpa){RAM}, 1 << 16, ram, 0, MAP_R | MAP_W | MAP_X, err);
    rc = rc ? rc : vm_mem_write(vm, (Gpa){RAM}, TALKER, sizeof TALKER, err);
    rc = rc ? rc : vcpu_new(vm, &(VcpuConfig){0}, &v, err);
    rc = rc ? rc : vcpu_setup(v, &(VcpuSetup){.entry = {RAM}}, err);
    for (VmExit e = {0}; !rc && e.addr != 0x100000;) {
        rc = vcpu_run(v, &RUN_FOREVER, &e, err);
        rc = rc ? rc : vcpu_reply(v, &(Reply){0}, err);
    }
    vm_close(vm);
    return rc;
}

TEST(diff, without_counting_it_goes_from_exit_to_exit)
{
    Trial t;
    begin(&t, mutant_of(FAULT_EXIT, 5), TALKER, sizeof TALKER, 1000);
    mutant.cannot_count = true;
    t.cfg.play = play_talker;
    search(&t);
    CHECK(!t.r.is_counted);
    CHECK_INT(t.r.apart.kind, APART_EXIT);
    CHECK_INT(t.r.npasses, 1);
    check_report(&t, "apart after 4 equal exits");
    diff_result_free(&t.r);
    begin(&t, mutant_of(FAULT_NONE, 0), TALKER, sizeof TALKER, 1000);
    mutant.cannot_count = true;
    t.cfg.play = play_talker;
    search(&t);
    CHECK(!t.r.is_apart);
    check_report(&t, "equal: 21 exits");
    diff_result_free(&t.r);
}

TEST(diff, an_image_needs_to_be_ended_by_a_count)
{
    Trial t;
    begin(&t, mutant_of(FAULT_NONE, 0), TALKER, sizeof TALKER, 1000);
    mutant.cannot_count = true;
    CHECK_INT(diff_search(&t.cfg, &t.r, &t.err), -ERR_UNSUPPORTED);
    CHECK_HAS(t.err.text, "insn_count");
    CHECK(t.r.is_open);
    diff_result_free(&t.r);
}

TEST(diff, equal_ones_are_equal)
{
    Trial t;
    begin(&t, mutant_of(FAULT_NONE, 0), TALKER, sizeof TALKER, 1000);
    t.cfg.side[0].options = "max_block_insns=1";
    search(&t);
    CHECK(!t.r.is_apart);
    CHECK_INT(t.r.nexits, 21);
    check_report(&t, "equal: ");
    diff_result_free(&t.r);
    begin(&t, mutant_of(FAULT_NONE, 0), COUNTER, sizeof COUNTER, 123457);
    search(&t);
    CHECK(!t.r.is_apart);
    CHECK_INT(t.r.position, 123457);
    diff_result_free(&t.r);
}

TEST(diff, what_does_not_come_again_is_called_so)
{
    Trial t;
    begin(&t, mutant_of(FAULT_REG_ONCE, 1000), COUNTER, sizeof COUNTER, 5000);
    search(&t);
    CHECK(t.r.is_apart);
    CHECK(t.r.is_lost);
    check_report(&t, "not deterministic");
    diff_result_free(&t.r);
}

TEST(diff, options_that_a_side_refuses_are_an_error)
{
    Trial t;
    begin(&t, real(), COUNTER, sizeof COUNTER, 5000);
    t.cfg.side[1].options = "speed=9";
    CHECK_INT(diff_search(&t.cfg, &t.r, &t.err), -ERR_INVAL);
    CHECK_HAS(t.err.text, "b-side: option 'speed=9'");
    diff_result_free(&t.r);
}

/* ---- an engine that is wrong: its code, in this program ---- */
#ifdef JIT_HAS_HOST
static struct {
    bool is_on;
    JitEventKind kind; /* JIT_AROUND: any */
    unsigned min_insns, nspoilt;
} spoiler;

/* xor (REX.W 33 /r) becomes or. */
void jit_watch(const JitEvent *e)
{
    bool is_code = e->kind == JIT_BLOCK || e->kind == JIT_REGION;
    if (!spoiler.is_on || !is_code || (spoiler.kind != JIT_AROUND && e->kind != spoiler.kind) ||
        e->ninsns < spoiler.min_insns) {
        return;
    }
    for (size_t i = 0, n; i < e->nbytes; i += n) {
        Buf text = {0};
        n = asm_disasm(GUEST_x86_64, 64, e->bytes + i, e->nbytes - i, 0, &text);
        if (!strncmp(buf_text(&text), "xor r", 5) && e->bytes[i + 1] == 0x33) {
            e->bytes[i + 1] = 0x0b;
            spoiler.nspoilt++;
        }
        buf_free(&text);
        n = n ? n : 1;
    }
}

static const uint32_t XORS[] = {
    0x00600313, /* li t1, 6 */
    0x00128293, /* loop: addi t0, t0, 1 */
    0x0062c3b3, /* xor t2, t0, t1 */
    0x007e0e33, /* add t3, t3, t2 */
    0xff5ff06f, /* j loop */
};

/* sim-interp beside sim-jit, which does xor wrong in such code. */
static void begin_spoilt(Trial *t, JitEventKind kind, unsigned min_insns)
{
    begin(t, backend_find("sim-jit"), XORS, sizeof XORS, 20000);
    spoiler.is_on = true;
    spoiler.kind = kind;
    spoiler.min_insns = min_insns;
    spoiler.nspoilt = 0;
    search(t);
    spoiler.is_on = false;
    CHECK(spoiler.nspoilt > 0);
    CHECK(t->r.is_apart);
}

TEST(diff, an_op_that_an_engine_makes_wrong_is_shown_with_its_code)
{
    Trial t;
    begin_spoilt(&t, JIT_AROUND, 0);
    CHECK(!t.r.is_whole);
    check_report(&t, "apart at instruction 7 of vcpu 0\ninstruction at 0x80000008: b3 c3 62 00   xor t2, t0, t1\n"
                     "registers, a | b:\n  t2 ");
    check_report(&t, "code of a, a-side:\n  block at 0x80000000:\n     0x80000000  13 03 60 00   li t1, 0x6\n");
    check_report(&t, "  block at 0x80000004:\n     0x80000004  93 82 12 00   addi t0, t0, 0x1\n"
                     "  -> 0x80000008  b3 c3 62 00   xor t2, t0, t1\n     0x8000000c  33 0e 7e 00   add t3, t3, t2\n");
    check_report(&t, "  its IR:\n    block pc=0x80000004 mode=");
    check_report(&t, "    insn 1 len=4 row=");
    check_report(&t, "      xor t2, t0, t1\n");
    check_report(&t, "code of b, b-side:\n  its host code, ");
    check_report(&t, " bytes of a block, but it is entered in a region now:\n     0x0000  48 b8 ");
    check_report(&t, "   or r");
    check_report(&t, " bytes of a region of 1 block, of that at 0x80000004:\n");
    diff_result_free(&t.r);
}

TEST(diff, what_is_wrong_in_whole_blocks_only_is_found_with_its_block)
{
    Trial t;
    begin_spoilt(&t, JIT_BLOCK, 4);
    CHECK(t.r.is_whole);
    CHECK_INT(t.r.apart.end - t.r.apart.start, 1);
    check_report(&t, ", if the block that it is in runs as a whole\ninstruction at 0x80000010: 6f f0 5f ff   j ");
    check_report(&t, "  block at 0x80000004:\n     0x80000004  93 82 12 00   addi t0, t0, 0x1\n");
    check_report(&t, "  -> 0x80000010  ");
    check_report(&t, "   or r");
    diff_result_free(&t.r);
}

TEST(diff, what_is_wrong_in_a_region_only_is_found_with_its_region)
{
    Trial t;
    begin_spoilt(&t, JIT_REGION, 0);
    CHECK(t.r.is_whole);
    CHECK(t.r.apart.start > 4000); /* it ran 1000 times before */
    CHECK_INT(t.r.apart.end - t.r.apart.start, 1);
    check_report(&t, ", if the block that it is in runs as a whole\n");
    check_report(&t, " bytes of a region of 1 block, of that at 0x80000004:\n");
    diff_result_free(&t.r);
}
#endif

/* ---- the command ---- */
static void check_command(const char *args, const char *path, int status, const char *said)
{
    char text[512], chunk[8192] = {0}, *argv[24] = {0};
    int argc = 0, out = memfd_create("out", 0);
    static const RunHooks HOOKS = {.load = suite_load};
    snprintf(text, sizeof text, "%s", args);
    for (char *at = text, *word; (word = strsep(&at, " ")) && argc < 23;) {
        argv[argc++] = !strcmp(word, "IMAGE") ? (char *)path : word;
    }
    fflush(stdout);
    fflush(stderr);
    int out0 = dup(1), err0 = dup(2);
    dup2(out, 1);
    dup2(out, 2);
    int got = diff_main(&HOOKS, argc, argv);
    fflush(stdout);
    dup2(out0, 1);
    dup2(err0, 2);
    close(out0);
    close(err0);
    CHECK(pread(out, chunk, sizeof chunk - 1, 0) >= 0);
    close(out);
    CHECK_INT(got, status);
    CHECK_HAS(chunk, said);
}

TEST(cmd_diff, compares_two_configurations_over_an_image)
{
    char path[64];
    int fd = memfd_create("image", 0);
    static const uint32_t PRODUCT[] = {0x00700293, 0x02528333, 0x00100337, 0x00532023, 0x0000006f}; /* li, mul, end */
    CHECK_INT(write(fd, PRODUCT, sizeof PRODUCT), sizeof PRODUCT);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    check_command("diff --a sim-interp --b sim-interp:max_block_insns=1 --kernel IMAGE", path, 0,
                  "a: sim-interp\nb: sim-interp:max_block_insns=1\nequal: ");
    check_command("diff --a sim-interp --b sim-interp:cpu=rv64iac --kernel IMAGE", path, 1, /* no M */
                  "apart at instruction 2 of vcpu 0\ninstruction at 0x80000004: 33 83 52 02   mul t1, t0, t0\n");
    check_command("diff --a sim-interp --b sim-interp:max_block_insns=2,cpu=rv64x --kernel IMAGE", path, 2, "rv64x");
    close(fd);
}

TEST(cmd_diff, an_image_without_code_is_not_equal_to_another)
{
    char path[64];
    uint8_t elf[64] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    elf[16] = 2, elf[18] = 243, elf[32] = 64, elf[54] = 56;
    int fd = memfd_create("image", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    check_command("diff --a sim-interp --b sim-interp --kernel IMAGE", path, 3,
                  ": is empty: there is nothing to run\n");
    CHECK_INT(write(fd, elf, sizeof elf), sizeof elf);
    check_command("diff --a sim-interp --b sim-interp --kernel IMAGE", path, 3,
                  ": no segment is to be loaded: there is nothing to run\n");
    close(fd);
}

TEST(cmd_diff, compares_two_configurations_over_a_scenario)
{
    check_command("diff --a sim-interp --b sim-interp:max_block_insns=1 -g riscv64 scenarios/simulator.yaml:28", "", 0,
                  "the scenario itself: passed");
    check_command("diff --a fake --b fake -g riscv64 scenarios/simulator.yaml:28", "", 4, "");
}

TEST(cmd_diff, wrong_usage_says_what_was_meant)
{
    static const struct {
        const char *args;
        int status;
        const char *said;
    } WRONG[] = {
        {"diff", 2, "--a is missing"},
        {"diff --a fake x", 2, "--b is missing"},
        {"diff --a fkae --b fake x", 2, "did you mean `fake`?"},
        {"diff --a warp --b fake x", 2, "unknown backend `warp`; known:"},
        {"diff --a fake --b fake", 2, "needs one SCENARIO, or --kernel"},
        {"diff --a fake --b fake x --kernel y", 2, "needs one SCENARIO, or --kernel"},
        {"diff --a fake --b fake --windwo 5 x", 2, "did you mean --window?"},
        {"diff --a fake --b fake --kernel /nonexistent", 3, "/nonexistent"},
        {"diff --a fake --b fake nonexistent.yaml", 2, "no such file"},
        {"diff --a fake --b fake scenarios/simulator.yaml", 2, "scenarios are selected; name one"},
        {"diff --help", 0, "usage: conf diff --a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        check_command(WRONG[i].args, "", WRONG[i].status, WRONG[i].said);
    }
}

/* ---- image files ---- */
TEST(image, a_file_that_lies_is_refused_with_a_sentence)
{
    static const ImageHow HOW = {.ram_base = RAM, .ram_bytes = 1 << 20, .elf_machine = 243};
    static const struct {
        size_t at;
        uint8_t byte;
        const char *why;
    } LIES[] = {
        {4, 1, "ELF class 1"},
        {18, 62, "machine 62"},
        {32, 0xf0, "program headers at offset 240"},
        {64 + 32, 0xff, "not in the file"},
        {64 + 27, 0x70, "outside of RAM"},
        {54, 8, "program headers"},
    };
    uint8_t good[128] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    good[16] = 2, good[18] = 243, good[27] = 0x80, good[32] = 64, good[54] = 56, good[56] = 1;
    good[64] = 1, good[64 + 8] = 120, good[64 + 27] = 0x80, good[64 + 32] = 4, good[64 + 40] = 8;
    Image image;
    Err err = {0};
    CHECK_INT(image_parse("f", good, sizeof good, &HOW, &image, &err), 0);
    CHECK(image.is_elf && image.nsegments == 1 && image.entry == RAM && image.segment[0].offset == 120);
    for (size_t i = 0; i < ARRAY_LEN(LIES); i++) {
        uint8_t bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[LIES[i].at] = LIES[i].byte;
        CHECK(image_parse("f", bad, sizeof bad, &HOW, &image, &err) < 0);
        CHECK_HAS(err.text, LIES[i].why);
    }
    CHECK_INT(image_parse("f", good, 20, &HOW, &image, &err), -ERR_INVAL);
    CHECK_INT(image_parse("f", (const uint8_t *)"flat", 4, &HOW, &image, &err), 0);
    CHECK(!image.is_elf && image.entry == RAM && image.segment[0].size == 4);
}
