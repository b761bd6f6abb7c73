/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/synthetic.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PER_SUITE = 50, DAY_MS = 86400000 };
static const int64_t START_MS = INT64_C(1700000000000);

struct Synthetic {
    SyntheticOptions o;
    Arena *arena;
    uint64_t state;
    const char **suites, **scenarios, **guests, **backends;
    double *base_ns; /* by scenario */
    uint8_t *skips;  /* by scenario and backend: is skipped there */
    HistoryResult *results;
    HistoryBackend *versions;
    HistoryAdd add;
    char commit[41], parent[41], uid[33];
};

/* splitmix64 (public domain, S. Vigna) */
static uint64_t random64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double uniform(uint64_t *state)
{
    return ((double)(random64(state) >> 11) + 0.5) / 9007199254740992.0;
}

/* Near enough to a normal distribution, without logarithms: there are millions of them. */
static double normal(uint64_t *state)
{
    uint64_t r = random64(state);
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (double)(r >> (16 * i) & 0xffff) / 65536.0;
    }
    return (sum - 2.0) * 1.7320508; /* the variance of the sum is 4 / 12 */
}

void synthetic_plant(SyntheticOptions *o)
{
    uint64_t state = o->seed ^ UINT64_C(0x706c616e74);
    o->is_planted = true;
    o->regression_run = o->nruns / 4 + random64(&state) % (o->nruns / 2);
    o->regression_scenario = random64(&state) % (o->nscenarios / 3);
    o->regression_backend = random64(&state) % o->nbackends;
    o->flaky_scenario = o->nscenarios / 3 + random64(&state) % (o->nscenarios / 3);
    o->flaky_backend = random64(&state) % o->nbackends;
    o->flaky_percent = 5;
    o->slow_run = o->nruns / 4 + random64(&state) % (o->nruns / 2);
    o->slow_scenario = o->nscenarios / 3 * 2 + random64(&state) % (o->nscenarios / 3);
    o->slow_backend = random64(&state) % o->nbackends;
    o->slow_factor = 1.4;
}

Synthetic *synthetic_new(const SyntheticOptions *o)
{
    static const char *const GUESTS[] = {"riscv64", "aarch64", "x86_64"};
    Synthetic *s = x_alloc(sizeof *s);
    *s = (Synthetic){.o = *o, .arena = arena_new(), .state = o->seed};
    s->o.noise = o->noise > 0 ? o->noise : 0.08;
    s->o.run_noise = o->run_noise > 0 ? o->run_noise : 0.1;
    s->suites = x_calloc(o->nscenarios, sizeof *s->suites);
    s->scenarios = x_calloc(o->nscenarios, sizeof *s->scenarios);
    s->guests = x_calloc(o->nscenarios, sizeof *s->guests);
    s->backends = x_calloc(o->nbackends, sizeof *s->backends);
    s->versions = x_calloc(o->nbackends, sizeof *s->versions);
    s->base_ns = x_calloc(o->nscenarios, sizeof *s->base_ns);
    s->skips = x_calloc(o->nscenarios * o->nbackends, 1);
    s->results = x_calloc(o->nscenarios * o->nbackends, sizeof *s->results);
    for (size_t i = 0; i < o->nscenarios; i++) {
        s->suites[i] = arena_printf(s->arena, "scenarios/suite%02zu.yaml", i / PER_SUITE);
        s->scenarios[i] = arena_printf(s->arena, "scenario %zu does what it says", i);
        s->guests[i] = GUESTS[i % 3];
        s->base_ns[i] = exp(log(1e6) + uniform(&s->state) * log(300)); /* 1 to 300 ms */
        for (size_t b = 0; b < o->nbackends; b++) {
            s->skips[i * o->nbackends + b] = random64(&s->state) % 10 == 0;
        }
    }
    for (size_t b = 0; b < o->nbackends; b++) {
        s->backends[b] = arena_printf(s->arena, "backend%02zu", b);
        s->versions[b] = (HistoryBackend){s->backends[b], "1.0"};
    }
    if (o->is_planted) {
        s->skips[o->regression_scenario * o->nbackends + o->regression_backend] = 0;
        s->skips[o->flaky_scenario * o->nbackends + o->flaky_backend] = 0;
        s->skips[o->slow_scenario * o->nbackends + o->slow_backend] = 0;
    }
    return s;
}

void synthetic_free(Synthetic *s)
{
    mem_free(s->suites);
    mem_free(s->scenarios);
    mem_free(s->guests);
    mem_free(s->backends);
    mem_free(s->versions);
    mem_free(s->base_ns);
    mem_free(s->skips);
    mem_free(s->results);
    arena_free(s->arena);
    mem_free(s);
}

static void make_result(Synthetic *s, size_t run, size_t i, size_t b, double factor, HistoryResult *r)
{
    const SyntheticOptions *o = &s->o;
    uint64_t chance = random64(&s->state);
    double ns = s->base_ns[i] * (1 + 0.05 * (double)b) * factor * (1 + o->noise * normal(&s->state));
    if (chance % 100 == 0) {
        ns *= 2 + (double)(chance >> 8 & 3); /* something else ran */
    }
    *r = (HistoryResult){.suite = s->suites[i],
                         .scenario = s->scenarios[i],
                         .guest = s->guests[i],
                         .backend = s->backends[b],
                         .status = HISTORY_passed,
                         .exits = 3 + i % 17,
                         .transitions = i % 5,
                         .line = (uint32_t)(2 + i % PER_SUITE * 12)};
    if (s->skips[i * o->nbackends + b]) {
        r->status = HISTORY_skipped;
        r->reason = "needs dirty_log: this backend keeps none";
        ns = 0;
    }
    if (o->is_planted && i == o->regression_scenario && b == o->regression_backend && run >= o->regression_run) {
        r->status = HISTORY_failed;
        r->reason = "size: expected 2, got 4";
    }
    if (o->is_planted && i == o->flaky_scenario && b == o->flaky_backend && chance / 100 % 100 < o->flaky_percent) {
        r->status = HISTORY_error;
        r->reason = "backend died: signal 11 (SIGSEGV)";
    }
    if (o->is_planted && i == o->slow_scenario && b == o->slow_backend && run >= o->slow_run) {
        ns *= o->slow_factor;
    }
    r->duration_ns = (uint64_t)ns;
}

const HistoryAdd *synthetic_run(Synthetic *s, size_t run)
{
    const SyntheticOptions *o = &s->o;
    double factor = exp(o->run_noise * normal(&s->state));
    HistoryResult *r = s->results;
    for (size_t i = 0; i < o->nscenarios; i++) {
        for (size_t b = 0; b < o->nbackends; b++) {
            make_result(s, run, i, b, factor, r++);
        }
    }
    memcpy(s->parent, s->commit, sizeof s->parent);
    snprintf(s->commit, sizeof s->commit, "%08zx%032llx", run + 1, (unsigned long long)o->seed);
    snprintf(s->uid, sizeof s->uid, "synthetic-%llx-%zu", (unsigned long long)(o->seed & 0xffffffff), run);
    s->add = (HistoryAdd){.run = {.uid = s->uid,
                                  .commit = s->commit,
                                  .parent = s->parent,
                                  .branch = "main",
                                  .host = "synthetic",
                                  .version = "0",
                                  .ordinal = run + 1,
                                  .time_ms = START_MS + (int64_t)run * DAY_MS / 4,
                                  .duration_ns = 1000000000},
                          .backends = s->versions,
                          .nbackends = o->nbackends,
                          .results = s->results,
                          .nresults = o->nscenarios * o->nbackends};
    return &s->add;
}

const char *synthetic_scenario(const Synthetic *s, size_t i, const char **suite, const char **guest)
{
    *suite = s->suites[i];
    *guest = s->guests[i];
    return s->scenarios[i];
}

const char *synthetic_backend(const Synthetic *s, size_t i)
{
    return s->backends[i];
}
