/* SPDX-License-Identifier: Apache-2.0
 * Every engine of engines.def, with and without the optimiser, against the oracle. CROSSCHECK_SEED, CROSSCHECK_PROGRAMS (how
 * many) and CROSSCHECK_TRIES (of each form of an op) in the environment change what is tried; a difference prints the seed. */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/crosscheck/crosscheck.h"
#include "sim/jit/jit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

typedef bool EachProgram(World *oracle, World *w, uint64_t seed, Program *p);

/* Of every engine that this host has, plain and optimised. */
static void each_engine(CrossGuest guest, uint64_t seed, EachProgram *fn)
{
    static Program p;
    World *oracle = world_new(&engine_oracle, guest, false);
    for (unsigned i = 0; i < 2 * CROSS_ENGINES; i++) {
        const Engine *e = cross_engine(i / 2);
        if (!e) {
            continue;
        }
        World *w = world_new(e, guest, i & 1);
        CHECK(fn(oracle, w, seed, &p));
        world_free(w);
    }
    world_free(oracle);
}

static bool agrees(World *oracle, World *w, uint64_t seed, Program *p)
{
    Buf report = {0};
    bool ok = cross_check(oracle, w, p, &report);
    if (!ok) {
        printf("seed 0x%llx\n%s", (unsigned long long)seed, buf_text(&report));
    }
    buf_free(&report);
    return ok;
}

static bool each_op(World *oracle, World *w, uint64_t seed, Program *p)
{
    enum { AUX = 0x400 };
    unsigned tries = (unsigned)number_of("CROSSCHECK_TRIES", 1);
    for (unsigned op = 0; op < IR_COUNT; op++) {
        unsigned nfor = ir_op_info[op].cls == CLASS_PURE ? 10 * tries : tries;
        for (unsigned aux = 0; aux < AUX; aux++) {
            for (unsigned i = 0; i < nfor; i++) {
                uint64_t mine = seed + ((uint64_t)op << 32 | aux << 16 | i);
                if (!program_of_op(p, &(Choices){.random = mine}, (IrOpcode)op, (uint16_t)aux)) {
                    break;
                }
                if (!agrees(oracle, w, mine, p)) {
                    printf("op %s aux 0x%x\n", ir_op_info[op].name, aux);
                    return false;
                }
            }
        }
    }
    return true;
}

static bool random_programs(World *oracle, World *w, uint64_t seed, Program *p)
{
    for (uint64_t i = 0, n = number_of("CROSSCHECK_PROGRAMS", 250); i < n; i++) {
        program_random(p, &(Choices){.random = seed + i * 0x1234567});
        if (!agrees(oracle, w, seed + i * 0x1234567, p)) {
            return false;
        }
    }
    return true;
}

TEST(crosscheck, each_op_of_each_form_does_what_the_oracle_does)
{
    each_engine(CROSS_RISCV, number_of("CROSSCHECK_SEED", 1), each_op);
}

TEST(crosscheck, random_programs_are_the_same_on_every_engine)
{
    each_engine(CROSS_RISCV, number_of("CROSSCHECK_SEED", 1), random_programs);
}

TEST(crosscheck, random_programs_are_the_same_with_the_floating_point_of_other_guests)
{
    each_engine(CROSS_SSE, number_of("CROSSCHECK_SEED", 1) + 1, random_programs);
    each_engine(CROSS_ARM, number_of("CROSSCHECK_SEED", 1) + 2, random_programs);
}

#ifdef JIT_HAS_HOST
#include "sim/jit/store.h"

/* ---- code that was made before ---- */
/* A world after the other, whose engines have the store. */
static void with_store(const Engine *e, bool is_optimised, uint64_t seed, CodeStore *s, EachProgram *fn)
{
    static Program p;
    World *oracle = world_new(&engine_oracle, CROSS_RISCV, false), *w = world_new(e, CROSS_RISCV, is_optimised);
    world_recall(w, s);
    CHECK(fn(oracle, w, seed, &p));
    world_free(w);
    world_free(oracle);
}

static uint64_t nsome(void)
{
    return number_of("CROSSCHECK_PROGRAMS", 250) / 3 + 1;
}

static bool some_programs(World *oracle, World *w, uint64_t seed, Program *p)
{
    for (uint64_t i = 0; i < nsome(); i++) {
        program_random(p, &(Choices){.random = seed + i * 0x1234567});
        if (!agrees(oracle, w, seed + i * 0x1234567, p)) {
            return false;
        }
    }
    return true;
}

/* Into another store, by way of a file. */
static CodeStore *reloaded(CodeStore *s)
{
    Buf file = {0};
    Err err;
    code_store_write(s, &file);
    code_store_free(s);
    s = code_store_new(NULL);
    CHECK_INT(code_store_read(s, file.data, file.n, "x", &err), 0);
    buf_free(&file);
    return s;
}

static void made_saved_and_run_again(const Engine *e, bool is_optimised, EachProgram *fn)
{
    uint64_t seed = number_of("CROSSCHECK_SEED", 1) + 3;
    CodeStore *s = code_store_new(NULL);
    with_store(e, is_optimised, seed, s, fn);
    s = reloaded(s);
    uint64_t saved = code_store_stats(s).records;
    with_store(e, is_optimised, seed, s, fn);
    CodeStoreStats now = code_store_stats(s);
    CHECK(saved > nsome() && now.found > nsome());
    if (e != &engine_hybrid_beside) { /* what regions it has depends on when they come */
        CHECK(now.found >= saved && !now.wanting);
    }
    code_store_free(s);
}

TEST(crosscheck, code_that_was_saved_does_what_the_oracle_does)
{
    for (unsigned i = SIM_ENGINES; i < CROSS_ENGINES; i++) {
        made_saved_and_run_again(cross_engine(i), i & 1, some_programs);
    }
    made_saved_and_run_again(&engine_jit_eager, true, each_op);
}

/* Addresses are others in each process; what is saved is not, whatever code has in it. */
TEST(crosscheck, what_is_saved_is_the_same_in_each_process)
{
    static const uint64_t secret[2] = {1, 2};
    const char *path = getenv("CROSSCHECK_SAVE");
    char name[] = "/tmp/crosscheck.XXXXXX";
    Buf mine = {0}, other = {0};
    Err err;
    CodeStore *s = code_store_new(secret);
    with_store(&engine_jit_eager, true, 1, s, some_programs);
    code_store_write(s, &mine);
    code_store_free(s);
    if (path) { /* that other process */
        CHECK_INT(os_write_file(path, mine.data, mine.n, &err), 0);
        buf_free(&mine);
        return;
    }
    int fd = mkstemp(name), status = -1;
    CHECK(fd >= 0 && !close(fd));
    pid_t child = fork();
    if (!child) {
        setenv("CROSSCHECK_SAVE", name, 1);
        execl("/proc/self/exe", "crosscheck_test", "what_is_saved_is_the_same", (char *)NULL);
        _exit(127);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && !status);
    CHECK_INT(os_read_file(name, STORE_MAX_BYTES, &other, &err), 0);
    CHECK(mine.n > 1000 * nsome() && mine.n == other.n && !memcmp(mine.data, other.data, mine.n));
    unlink(name);
    buf_free(&mine);
    buf_free(&other);
}
#endif
