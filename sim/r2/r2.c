/* SPDX-License-Identifier: Apache-2.0
 * r2.c - the program of risk test R2.
 *   r2 --time [ROUNDS]             CPU time of each program and engine, interleaved, medians
 *   r2 --once PROGRAM ENGINE       one run, for comparing with other programs
 *   r2 --faults N [--seed S]       N injections over all programs and configurations; exit status 1 if any state differed
 *   r2 --break N [--seed S]        N times a side table is spoiled: exit status 0 if that was noticed, mostly */
#include "sim/r2/faults.h"

#include "sim/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char *const names[] = {"tak", "sort", "matmul", "flags", "flags_frame", "flags_edge"};
enum {
    NPROGRAMS = ARRAY_LEN(names),
    NCONFIGS = 4, /* the first engines: what injections run on */
    MAX_ROUNDS = 99,
    INTERP_INSNS = 50000000,
    BREAK_WINDOWS = 2000,
    BREAK_INSNS = 100000000,
};
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
    {"range-pair", KIND_JIT, {.is_grouped = true, .jump = JUMP_PAIR}},
    {"tlb-pair", KIND_JIT, {.is_paged = true, .is_grouped = true, .jump = JUMP_PAIR}},
    {"range-plain", KIND_JIT, {.is_grouped = true, .jump = JUMP_PLAIN}},
    {"interp", KIND_INTERP, {0}},
    {"interp1", KIND_INTERP1, {0}},
    {"native", KIND_NATIVE, {0}},
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

static Run run_native(const Program *p)
{
    if (strncmp(p->name, "flags", 5) != 0) { /* the others are not part of this program */
        return (Run){0, 1, 0};
    }
    Machine *m = machine_new(KIND_INTERP, p, NULL); /* for its memory */
    double from = cpu_s();
    uint64_t result = r2_native_flags(m->ram + (-(uintptr_t)m->ram & 0x3ffff));
    Run r = {cpu_s() - from, 0, result};
    machine_free(m);
    return r;
}

static Run run(const Program *p, const EngineRow *e)
{
    if (e->kind == KIND_NATIVE) {
        return run_native(p);
    }
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
                uint64_t insns = last[i][e].insns ? last[i][e].insns : last[i][0].insns;
                s[i][e][r] = last[i][e].s * (double)last[i][0].insns / (double)insns;
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

static int faults_all(const Program *programs, unsigned long n, uint64_t seed)
{
    unsigned long differ = 0, each = (n + NPROGRAMS * NCONFIGS - 1) / (NPROGRAMS * NCONFIGS);
    printf("seed %" PRIu64 "\n", seed);
    for (unsigned i = 0; i < NPROGRAMS; i++) {
        uint64_t total = run(&programs[i], &engines[0]).insns;
        for (unsigned c = 0; c < NCONFIGS; c++) {
            differ += faults_run(&programs[i], &engines[c].cfg, each, seed + 17 * i + c, total, -1);
        }
    }
    printf("%lu differences\n", differ);
    return differ != 0;
}

static int break_all(const Program *programs, unsigned long n, uint64_t seed)
{
    unsigned long noticed = 0;
    printf("seed %" PRIu64 "\n", seed);
    for (unsigned long k = 0; k < n; k++) {
        unsigned e = (unsigned)(((seed + k) * 0x9e3779b97f4a7c15) >> 40);
        noticed += faults_run(&programs[k % NPROGRAMS], &engines[k / NPROGRAMS % NCONFIGS].cfg, BREAK_WINDOWS, seed + k,
                              BREAK_INSNS, (int)(e & 0xffff)) != 0;
    }
    printf("%lu of %lu spoiled tables noticed\n", noticed, n);
    return noticed * 2 < n;
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
        uint64_t from = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
        status =
            n ? faults_all(programs, strtoul(n, NULL, 10), from) : break_all(programs, strtoul(broken, NULL, 10), from);
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
