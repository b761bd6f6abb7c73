/* SPDX-License-Identifier: Apache-2.0
 * synthetic.h - a history that is made up, of any size, the same for the same seed: for tests and for measuring. Durations differ by
 * case, by run (a busy host) and by noise with outliers; what is planted is known. */
#ifndef COVERAGE_HISTORY_SYNTHETIC_H
#define COVERAGE_HISTORY_SYNTHETIC_H

#include "coverage/history/history.h"

typedef struct {
    size_t nscenarios, nbackends, nruns;
    uint64_t seed;
    double noise;     /* of a duration, sigma of its logarithm; 0 = 0.08 */
    double run_noise; /* of all of a run; 0 = 0.1 */
    bool is_planted;  /* else there is nothing but noise */
    /* planted, as indices: */
    size_t regression_run, regression_scenario, regression_backend; /* fails from that run on */
    size_t flaky_scenario, flaky_backend;                           /* fails in flaky_percent of the runs */
    unsigned flaky_percent;
    size_t slow_run, slow_scenario, slow_backend; /* takes slow_factor times as long from that run on */
    double slow_factor;
} SyntheticOptions;
/* As the tests and the tool plant it: fills what is planted by the seed. */
void synthetic_plant(SyntheticOptions *o);

typedef struct Synthetic Synthetic;
Synthetic *synthetic_new(const SyntheticOptions *o);
void synthetic_free(Synthetic *s);
/* Run i, from 0; valid until the next call. Runs must be asked for in order. */
const HistoryAdd *synthetic_run(Synthetic *s, size_t run);
/* The name of a scenario (suite and guest in *suite, *guest) and of a backend; they live as long as s. */
const char *synthetic_scenario(const Synthetic *s, size_t i, const char **suite, const char **guest);
const char *synthetic_backend(const Synthetic *s, size_t i);
#endif
