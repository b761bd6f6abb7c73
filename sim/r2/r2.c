/* SPDX-License-Identifier: Apache-2.0
 * r2.c - the program of risk test R2.
 *   r2 --time [ROUNDS]             CPU time of each program and engine, interleaved, medians
 *   r2 --once PROGRAM ENGINE       one run, for comparing with other programs
 *   r2 --faults N [--seed S]       N injections over all programs and configurations; exit status 1 if any state differed
 *   r2 --break N                   the same with one side table spoiled: exit status 0 if that was noticed */
#include "sim/r2/faults.h"

#include "sim/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char *const names[] = {"tak", "sort", "matmul", "flags"};
enum { NPROGRAMS = ARRAY_LEN(names), MAX_ROUNDS = 99, INTERP_INSNS = 100000000 };
typedef struct {
    const char *name;
    Kind kind;
    JitConfig cfg;
} EngineRow;
static const EngineRow engines[] = {
    {"range", KIND_JIT, {.is_grouped = true}},
    {"range-each", KIND_JIT, {.is_grouped = false}},
    {"tlb", KIND_JIT, {.is_paged = true, .is_grouped = true}},
    {"tlb-each", KIND_JIT, {.is_paged = true}},
    {"range-plain", KIND_JIT, {.is_grouped = true, .is_plain_jump = true}},
    {"interp", KIND_INTERP, {0}},
    {"interp1", KIND_INTERP1, {0}},
};

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

typedef struct {
    double s;
    uint64_t insns, result;
} Run;

static Run run(const Program *p, const EngineRow *e)
{
    Machine *m = machine_new(e->kind, p, &e->cfg);
    double from = cpu_s();
    machine_run(m, e->kind == KIND_JIT ? 1ull << 50 : INTERP_INSNS);
    Run r = {cpu_s() - from, machine_insns(m), m->f->x[10]};
    machine_free(m);
    return r;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Interpreted programs are stopped early: their column is the time that the whole would take. */
static void time_all(const Program *programs, unsigned rounds)
{
    static double s[NPROGRAMS][ARRAY_LEN(engines)][MAX_ROUNDS];
    static Run last[NPROGRAMS][ARRAY_LEN(engines)];
    for (unsigned r = 0; r < rounds; r++) {
        for (unsigned i = 0; i < NPROGRAMS; i++) {
            for (unsigned e = 0; e < ARRAY_LEN(engines); e++) {
                last[i][e] = run(&programs[i], &engines[e]);
                s[i][e][r] = last[i][e].s * (double)last[i][0].insns / (double)last[i][e].insns;
            }
        }
    }
    printf("%-8s %18s %12s", "ms", "result", "insns");
    for (unsigned e = 0; e < ARRAY_LEN(engines); e++) {
        printf(" %11s", engines[e].name);
    }
    printf("\n");
    for (unsigned i = 0; i < NPROGRAMS; i++) {
        printf("%-8s   %016" PRIx64 " %12" PRIu64, names[i], last[i][0].result, last[i][0].insns);
        for (unsigned e = 0; e < ARRAY_LEN(engines); e++) {
            qsort(s[i][e], rounds, sizeof s[i][e][0], by_value);
            printf(" %11.1f", 1e3 * s[i][e][rounds / 2]);
        }
        printf("\n");
    }
}

static int faults_all(const Program *programs, unsigned long n, uint64_t seed, int break_table)
{
    unsigned long differ = 0;
    static const unsigned configs = 4;
    printf("seed %" PRIu64 "\n", seed);
    for (unsigned i = 0; i < NPROGRAMS; i++) {
        uint64_t total = run(&programs[i], &engines[0]).insns;
        for (unsigned c = 0; c < configs; c++) {
            differ += faults_run(&programs[i], &engines[c].cfg, n / (NPROGRAMS * configs), seed + 17 * i + c, total,
                                 break_table);
        }
    }
    printf("%lu differences\n", differ);
    return break_table < 0 ? differ != 0 : differ == 0;
}

static int once(const Program *programs, const char *program, const char *engine)
{
    for (unsigned i = 0; i < NPROGRAMS; i++) {
        for (unsigned e = 0; e < ARRAY_LEN(engines); e++) {
            if (!strcmp(names[i], program) && !strcmp(engines[e].name, engine)) {
                Run r = run(&programs[i], &engines[e]);
                printf("%s %016" PRIx64 " %" PRIu64 "\n", program, r.result, r.insns);
                return 0;
            }
        }
    }
    fprintf(stderr, "r2: no such program or engine\n");
    return 2;
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], name)) {
            return i + 1 < argc ? argv[i + 1] : "";
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    Program programs[NPROGRAMS];
    for (unsigned i = 0; i < NPROGRAMS; i++) {
        program_load(&programs[i], R2_DIR, names[i]);
    }
    const char *rounds = option(argc, argv, "--time"), *n = option(argc, argv, "--faults"),
               *seed = option(argc, argv, "--seed"), *broken = option(argc, argv, "--break");
    int status = 2;
    if (argc == 4 && !strcmp(argv[1], "--once")) {
        status = once(programs, argv[2], argv[3]);
    } else if (rounds) {
        unsigned long k = *rounds ? strtoul(rounds, NULL, 10) : 5;
        time_all(programs, k < 1 ? 1 : k > MAX_ROUNDS ? MAX_ROUNDS : (unsigned)k);
        status = 0;
    } else if (n || broken) {
        status = faults_all(programs, n ? strtoul(n, NULL, 10) : 20000,
                            seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL),
                            broken ? (int)strtoul(broken, NULL, 10) : -1);
    } else {
        fprintf(stderr, "usage: r2 --time [ROUNDS] | --once PROGRAM ENGINE | --faults N [--seed S] | --break N\n");
    }
    for (unsigned i = 0; i < NPROGRAMS; i++) {
        program_free(&programs[i]);
    }
    return status;
}

/* Until the IR's own lands. */
__attribute__((weak)) uint64_t ir_eval_fp(const IrOp *op, uint64_t a, uint64_t b, uint64_t c, unsigned rm,
                                          uint32_t fp_mode, uint32_t *flags)
{
    FpFmt fmt = (FpFmt)FP_FMT(op->aux);
    FpRound r = (FpRound)rm;
    switch (op->op) {
    case IR_fadd:
        return fp_add(fmt, a, b, r, fp_mode, flags);
    case IR_fsub:
        return fp_sub(fmt, a, b, r, fp_mode, flags);
    case IR_fmul:
        return fp_mul(fmt, a, b, r, fp_mode, flags);
    case IR_fdiv:
        return fp_div(fmt, a, b, r, fp_mode, flags);
    case IR_fsqrt:
        return fp_sqrt(fmt, a, r, fp_mode, flags);
    default:
        return fp_fma(fmt, a, b, c, r, fp_mode, flags);
    }
}
