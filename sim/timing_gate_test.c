/* SPDX-License-Identifier: Apache-2.0
 * timing_gate_test.c - THE GATE FOR EVERY ENGINE: do engines agree on *when*? The guest (timing_gate.S) has two harts with timers,
 * interrupts to each other, UART polling, self-modifying code, atomics and idling. It is run in reference mode (blocks of
 * one instruction), and its state is hashed every 1,000 instructions; then with random block lengths, random budgets, and moved
 * between two machines at random points, by snapshot and by fork, with regions made beside the harts or not. All hashes and the console must be the same: of each engine, and
 * when a machine moves from engine to engine. */
#include "sim/sim.h"

#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NHARTS = 2, QUANTUM_NS = 137, STEP_INSNS = 1000, MAX_STEPS = 2000, RAM_BYTES = 4 << 20 };
#ifndef GATE_RUNS
#define GATE_RUNS 24
#endif

typedef struct {
    Buf console;
    uint64_t hash[MAX_STEPS], random;
    unsigned nsteps;
} Trail;
static uint64_t next_random(Trail *t)
{
    t->random = t->random * 6364136223846793005ull + 1442695040888963407ull;
    return t->random >> 33;
}
static void on_output(void *ctx, const void *bytes, size_t n)
{
    buf_bytes(ctx, bytes, n);
}

static Sim *machine(Trail *t, SimEngine engine, uint32_t cap, uint64_t seed, const char *image)
{
    Sim *s = NULL;
    Err err = {0};
    int rc = sim_new(
        &(SimConfig){
            .guest = "riscv64", .engine = engine, .max_block_insns = cap, .block_seed = seed, .jit_threads = seed % 3},
        &s, &err);
    rc = rc ? rc
            : sim_board(
                  s,
                  &(SimBoardConfig){.ram_bytes = RAM_BYTES, .nvcpus = NHARTS, .ctx = &t->console, .output = on_output},
                  &err);
    rc = rc ? rc : sim_board_load(s, &(SimBoot){.kernel = {.name = image}}, &err);
    if (!CHECK(!rc)) {
        printf("%s\n", err.text);
    }
    return s;
}

static uint64_t state_hash(Sim *s)
{
    uint64_t h = sim_ram_hash(s);
    for (unsigned i = 0; i < NHARTS; i++) {
        h = h * 31 + sim_vcpu_hash(sim_vcpu_at(s, (uint8_t)i));
    }
    return h;
}

/* A thousand instructions, in pieces of random size if the trail has a seed. true: the machine has ended. */
static bool step(Sim *s, Trail *t)
{
    SimExit e = {0};
    uint8_t who;
    for (uint64_t left = STEP_INSNS; left;) {
        uint64_t n = t->random ? 1 + next_random(t) % 97 : left;
        n = n < left ? n : left;
        if (!CHECK(!sim_run_all(s, QUANTUM_NS, &(SimRun){.insns = n}, &who, &e, NULL)) || e.kind != SIM_EXIT_budget) {
            CHECK_INT(e.kind, SIM_EXIT_system_down);
            return true;
        }
        left -= n;
    }
    return false;
}

/* The same state in another machine: by a snapshot into *spare, or by a fork that replaces both. */
static void move(Sim **s, Sim **spare, Trail *t)
{
    Sim *from = *s;
    if (next_random(t) & 1) {
        Buf image = {0};
        CHECK(!sim_save(from, &image, NULL));
        CHECK(!sim_restore(*spare, image.data, image.n, NULL));
        buf_free(&image);
        *s = *spare;
        *spare = from;
    } else {
        Sim *twin = NULL;
        CHECK(!sim_fork(from, &twin, NULL));
        sim_free(*spare);
        *spare = from;
        *s = twin;
    }
}

/* then: the engine of the machine that it moves to; SIM_ENGINES: it stays. */
static void run(Trail *t, SimEngine engine, SimEngine then, uint32_t cap, uint64_t seed, const char *image)
{
    bool moves = then != SIM_ENGINES;
    *t = (Trail){.random = seed};
    Sim *s = machine(t, engine, cap, seed, image), *spare = moves ? machine(t, then, cap, seed + 1, image) : NULL;
    while (t->nsteps < MAX_STEPS && !step(s, t)) {
        t->hash[t->nsteps++] = state_hash(s);
        if (moves && next_random(t) % 8 == 0) {
            move(&s, &spare, t);
        }
    }
    sim_free(s);
    sim_free(spare);
}

static bool same(const Trail *want, const Trail *got, uint64_t seed)
{
    for (unsigned i = 0; i < want->nsteps && i < got->nsteps; i++) {
        if (want->hash[i] != got->hash[i]) {
            printf("seed %llu: the state differs after %u,000 instructions\n", (unsigned long long)seed, i + 1);
            return false;
        }
    }
    return want->nsteps == got->nsteps && !strcmp(buf_text(&want->console), buf_text(&got->console));
}

static void image_write(char path[64])
{
    static const uint32_t words[] = {
#include "sim/timing_gate.def"
    };
    snprintf(path, 64, "/tmp/conf-timing-gate-%d.bin", (int)getpid());
    CHECK(!os_write_file(path, words, sizeof words, NULL));
}

static bool has_engine(SimEngine e)
{
    return !sim_engine_check(e, NULL);
}

static void check_engine(SimEngine engine, const Trail *want, const char *image)
{
    static Trail got;
    run(&got, engine, SIM_ENGINES, 0, 0, image);
    CHECK(same(want, &got, 0));
    buf_free(&got.console);
    for (uint64_t seed = 1; seed <= GATE_RUNS; seed++) {
        SimEngine then = (SimEngine)(seed / 2 % SIM_ENGINES);
        run(&got, engine, seed & 1 && has_engine(then) ? then : SIM_ENGINES, 64, seed, image);
        if (!CHECK(same(want, &got, seed))) {
            printf("engine %s\n", sim_engine_name(engine));
        }
        buf_free(&got.console);
    }
}

TEST(timing_gate, state_is_the_same_every_1000_instructions_whatever_engine_blocks_budgets_and_machines)
{
    char image[64];
    static Trail want;
    image_write(image);
    run(&want, SIM_INTERP, SIM_ENGINES, 1, 0, image);
    CHECK(want.nsteps > 150);
    CHECK(want.console.n > 60);
    for (unsigned e = 0; e < SIM_ENGINES; e++) {
        if (has_engine((SimEngine)e)) {
            check_engine((SimEngine)e, &want, image);
        }
    }
    buf_free(&want.console);
    unlink(image);
}

TEST(timing_gate, the_gate_can_fail)
{
    char image[64];
    static Trail want, got;
    image_write(image);
    run(&want, SIM_INTERP, SIM_ENGINES, 1, 0, image);
    got = (Trail){0};
    Sim *s = machine(&got, SIM_INTERP, 0, 0, image);
    while (got.nsteps < MAX_STEPS && !step(s, &got)) {
        got.hash[got.nsteps++] = state_hash(s);
        if (got.nsteps == 20) { /* one interrupt too many */
            CHECK(!sim_vcpu_line(sim_vcpu_at(s, 1), 0, true, NULL));
        }
    }
    sim_free(s);
    CHECK(!same(&want, &got, 0));
    buf_free(&want.console);
    buf_free(&got.console);
    unlink(image);
}
