/* SPDX-License-Identifier: Apache-2.0
 * Every engine of engines.def, with and without the optimiser, against the oracle. CROSSCHECK_SEED, CROSSCHECK_PROGRAMS (how
 * many) and CROSSCHECK_TRIES (of each form of an op) in the environment change what is tried; a difference prints the seed. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/crosscheck/crosscheck.h"

#include <stdio.h>
#include <stdlib.h>

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
