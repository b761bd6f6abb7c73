/* SPDX-License-Identifier: Apache-2.0
 * engine_test.h - a test that runs once for each engine that this host has:
 *
 *     TEST_ENGINES(sim, a_thing_is_so) { Sim *s = bare(engine); ... } */
#ifndef SIM_ENGINE_TEST_H
#define SIM_ENGINE_TEST_H

#include "sim/base/test.h"
#include "sim/sim.h"

#include <stdio.h>

static inline void test_each_engine(void (*fn)(SimEngine engine))
{
    for (unsigned e = 0; e < SIM_ENGINES; e++) {
        Err err;
        if (sim_engine_check((SimEngine)e, &err)) {
            printf("%s\n", err.text);
        } else {
            fn((SimEngine)e);
        }
    }
}

#define TEST_ENGINES(module, claim)                                                                                    \
    static void each_##module##_##claim(SimEngine engine);                                                             \
    TEST(module, claim)                                                                                                \
    {                                                                                                                  \
        test_each_engine(each_##module##_##claim);                                                                     \
    }                                                                                                                  \
    static void each_##module##_##claim(SimEngine engine)
#endif
