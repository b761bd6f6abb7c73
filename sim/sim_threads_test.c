/* SPDX-License-Identifier: Apache-2.0
 * sim_threads_test.c - real time: four harts on threads of their own keep the memory model (RVWMO, Unpriv 18), and stop, start and idle
 * as they shall. */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/engine_test.h"
#include "sim/jit/jit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    NHARTS = 4,
    RAM = 0x80000000,
    RAM_BYTES = 8 << 20,
    PAIR_ROUNDS = 1000,
    QUAD_ROUNDS = 50,
    COUNTS = 5000,
    CODE_ROUNDS = 300,
    UNLINK_ROUNDS = 30,
};
enum { MP = 0x80100000, SB = 0x80200000, IRIW = 0x80300000, SHARED = 0x80400000, SBLR = 0x80500000 };
enum { PATIENCE_MS = 300000 };
static const uint32_t litmus[] = {
#include "sim/litmus.def"
};

static Sim *machine_of(const SimConfig *cfg, const void *image, size_t n)
{
    char path[64];
    Sim *s = NULL;
    Err err = {0};
    snprintf(path, sizeof path, "litmus.%ld.bin", (long)getpid());
    int rc = os_write_file(path, image, n, &err);
    rc = rc ? rc : sim_new(cfg, &s, &err);
    rc = rc ? rc
            : sim_board(s, &(SimBoardConfig){.ram_bytes = RAM_BYTES, .nvcpus = NHARTS, .has_firmware = cfg->is_virt},
                        &err);
    rc = rc ? rc : sim_board_load(s, &(SimBoot){.kernel = {.name = path}}, &err);
    unlink(path);
    if (!CHECK(!rc)) {
        printf("%s\n", err.text);
    }
    return s;
}

static Sim *machine(SimEngine engine, const char *env_cpu, bool is_virt, const void *image, size_t n)
{
    return machine_of(&(SimConfig){.guest = "riscv64", .engine = engine, .cpu = env_cpu, .is_virt = is_virt}, image, n);
}

/* Starts the machine and waits for its stop. */
static SimExit run(Sim *s)
{
    SimExit e = {0};
    uint8_t who;
    CHECK(!sim_start(s, NULL));
    for (unsigned ms = 0; ms < PATIENCE_MS; ms += 100) {
        CHECK(!sim_wait(s, 100000000, &who, &e, NULL));
        if (e.kind != SIM_EXIT_budget) {
            return e;
        }
    }
    sim_halt(s);
    return e;
}

static uint64_t word(Sim *s, uint64_t gpa)
{
    uint64_t value = 0;
    CHECK(!sim_mem_read(s, gpa, &value, sizeof value, NULL));
    return value;
}

/* How many of the rounds at base read what must not be. */
static unsigned count(Sim *s, uint64_t base, unsigned rounds, bool (*is_forbidden)(Sim *s, uint64_t at))
{
    unsigned n = 0;
    for (unsigned i = 0; i < rounds; i++) {
        n += is_forbidden(s, base + 256ull * i);
    }
    return n;
}
static bool is_mp_broken(Sim *s, uint64_t at)
{
    return word(s, at + 144) && !word(s, at + 152);
}
static bool is_sb_broken(Sim *s, uint64_t at)
{
    return !word(s, at + 128) && !word(s, at + 144);
}
static bool is_iriw_broken(Sim *s, uint64_t at)
{
    return word(s, at + 160) && !word(s, at + 168) && word(s, at + 176) && !word(s, at + 184);
}

TEST_ENGINES(sim_threads, forbidden_outcomes_do_not_occur_and_atomics_lose_nothing)
{
    Sim *s = machine(engine, NULL, false, litmus, sizeof litmus);
    CHECK_INT(run(s).kind, SIM_EXIT_system_down);
    CHECK_INT(count(s, MP, PAIR_ROUNDS, is_mp_broken), 0);
    CHECK_INT(count(s, SB, PAIR_ROUNDS, is_sb_broken), 0);
    CHECK_INT(count(s, SBLR, PAIR_ROUNDS, is_sb_broken), 0);
    CHECK_INT(count(s, IRIW, QUAD_ROUNDS, is_iriw_broken), 0);
    CHECK_INT(word(s, SHARED + 320), CODE_ROUNDS - 1);
    CHECK_INT(word(s, SHARED + 64), NHARTS * COUNTS);
    CHECK_INT(word(s, SHARED + 128), NHARTS * COUNTS);
    CHECK_INT(word(s, SHARED + 192), NHARTS * COUNTS);
    sim_free(s);
}

static const uint32_t unlink_words[] = {
#include "sim/unlink.def"
};

static void unlink_under_running_harts(const SimConfig *cfg)
{
    Sim *s = machine_of(cfg, unlink_words, sizeof unlink_words);
    CHECK_INT(run(s).kind, SIM_EXIT_system_down);
    CHECK_INT(word(s, SHARED), UNLINK_ROUNDS);
    CHECK_INT(word(s, SHARED + 16), NHARTS - 1);
    CHECK_INT(word(s, SHARED + 24), 0); /* values that were too old */
    for (unsigned i = 1; i < NHARTS; i++) {
        CHECK(word(s, SHARED + 64 * i) >= UNLINK_ROUNDS);
    }
    sim_free(s);
}

TEST_ENGINES(sim_threads, code_that_another_hart_changes_falls_apart_under_those_that_run_it)
{
    unlink_under_running_harts(&(SimConfig){.guest = "riscv64", .engine = engine});
}

static size_t code_bytes;
size_t jit_code_bytes(void)
{
    return code_bytes;
}

TEST_ENGINES(sim_threads, code_made_beside_the_harts_falls_apart_as_well_with_much_memory_for_it_and_with_little)
{
    static const size_t some[] = {0, 14 << 10, 20 << 10}; /* 8 are for the code around units */
    for (unsigned i = 0; i < ARRAY_LEN(some); i++) {
        code_bytes = some[i];
        unlink_under_running_harts(&(SimConfig){.guest = "riscv64", .engine = engine, .jit_threads = 1 + i});
    }
    code_bytes = 0;
}

TEST_ENGINES(sim_threads, a_machine_ends_while_its_code_is_being_made)
{
    SimExit e;
    uint8_t who;
    for (unsigned i = 0; i < 12; i++) {
        Sim *s = machine_of(&(SimConfig){.guest = "riscv64", .engine = engine, .jit_threads = 1 + i % 2}, litmus,
                            sizeof litmus);
        CHECK(!sim_start(s, NULL));
        CHECK(!sim_wait(s, i * 500000, &who, &e, NULL));
        sim_free(s);
    }
}

TEST_ENGINES(sim_threads, a_machine_goes_from_real_time_to_virtual_time_and_back)
{
    Sim *s = machine(engine, NULL, false, litmus, sizeof litmus);
    SimExit e = {.kind = SIM_EXIT_budget};
    uint8_t who;
    uint64_t clock = 0;
    for (unsigned i = 0; i < 400 && e.kind == SIM_EXIT_budget; i++) {
        CHECK(!sim_start(s, NULL));
        CHECK(!sim_wait(s, i % 3 * 1000000, &who, &e, NULL));
        sim_halt(s);
        CHECK(sim_board_now_ns(s) >= clock);
        clock = sim_board_now_ns(s);
        if (e.kind == SIM_EXIT_budget) {
            CHECK(!sim_run_all(s, 1000, &(SimRun){.insns = 5000}, &who, &e, NULL));
        }
    }
    while (e.kind == SIM_EXIT_budget) {
        CHECK(!sim_run_all(s, 1000, &(SimRun){.insns = 10000000}, &who, &e, NULL));
    }
    CHECK_INT(e.kind, SIM_EXIT_system_down);
    CHECK_INT(word(s, SHARED + 64), NHARTS * COUNTS);
    CHECK_INT(count(s, MP, PAIR_ROUNDS, is_mp_broken), 0);
    sim_free(s);
}

TEST_ENGINES(sim_threads, harts_that_all_idle_with_no_timer_are_a_halt)
{
    static const uint32_t idle[] = {0x10500073 /* wfi */, 0xffdff06f /* j -4 */};
    Sim *s = machine(engine, NULL, false, idle, sizeof idle);
    CHECK_INT(run(s).kind, SIM_EXIT_halt);
    CHECK_INT(run(s).kind, SIM_EXIT_halt);
    sim_free(s);
}

TEST_ENGINES(sim_threads, what_runs_on_is_a_budget_and_halts_when_told)
{
    static const uint32_t spin[] = {0x6f /* j . */};
    Sim *s = machine(engine, NULL, false, spin, sizeof spin);
    SimExit e = {0};
    uint8_t who;
    Err err = {0};
    CHECK_INT(sim_wait(s, 0, &who, &e, &err), -ERR_STATE);
    CHECK(!sim_start(s, NULL));
    CHECK_INT(sim_start(s, &err), -ERR_STATE);
    CHECK(!sim_wait(s, 1000000, &who, &e, NULL));
    CHECK_INT(e.kind, SIM_EXIT_budget);
    sim_halt(s);
    sim_halt(s);
    CHECK_INT(sim_wait(s, 0, &who, &e, &err), -ERR_STATE);
    CHECK(!sim_start(s, NULL)); /* freed while it runs */
    sim_free(s);
}

TEST_ENGINES(sim_threads, harts_start_stop_and_fence_one_another_under_firmware)
{
    enum { STARTS = 20, FENCES = 50 };
    static const uint32_t guest[] = {
#include "sim/realtime_sbi.def"
    };
    for (int is_virtual = 0; is_virtual < 2; is_virtual++) {
        Sim *s = machine(engine, NULL, true, guest, sizeof guest);
        SimExit e = {0};
        uint8_t who;
        if (is_virtual) {
            CHECK(!sim_run_all(s, 1000, &(SimRun){.insns = 100000000}, &who, &e, NULL));
        } else {
            e = run(s);
        }
        CHECK_INT(e.kind, SIM_EXIT_system_down);
        CHECK_INT(word(s, SHARED), NHARTS * STARTS * FENCES);
        CHECK_INT(word(s, SHARED + 8), (NHARTS - 1) * STARTS);
        CHECK_INT(word(s, SHARED + 16), (NHARTS - 1) * STARTS);
        sim_free(s);
    }
}
