/* SPDX-License-Identifier: Apache-2.0
 * softfp.c - nanoseconds of each operation, one dependent call after the other: `bench_softfp [NAME-SUBSTRING]` */
#include "sim/softfp/softfp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NVALUES = 1024, NROUNDS = 400, NRUNS = 5 };

typedef struct {
    const char *name;
    FpOp1 *op1;
    FpOp2 *op2;
    FpOp3 *op3;
} Op;

static const Op ops[] = {
    {"add", NULL, fp_add, NULL},         {"sub", NULL, fp_sub, NULL},       {"mul", NULL, fp_mul, NULL},
    {"div", NULL, fp_div, NULL},         {"sqrt", fp_sqrt, NULL, NULL},     {"fma", NULL, NULL, fp_fma},
    {"compare", NULL, fp_compare, NULL}, {"minnum", NULL, fp_minnum, NULL}, {"round_int", fp_round_int, NULL, NULL},
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Ordinary numbers with full fractions and exponents near 0: what programs compute with. */
static void fill(FpFmt fmt, uint64_t *v)
{
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < NVALUES; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        uint64_t exp = state >> 60;
        v[i] = fmt == FMT_F64 ? (1016 + exp) << 52 | (state & ((UINT64_C(1) << 52) - 1))
                              : (120 + exp) << 23 | (state & 0x7fffff);
    }
}

static double measure(const Op *op, FpFmt fmt, const uint64_t *v)
{
    uint32_t flags = 0;
    uint64_t sum = 0;
    double best = 1e9;
    for (int run = 0; run < NRUNS; run++) {
        double start = now_ns();
        for (int round = 0; round < NROUNDS; round++) {
            for (int i = 0; i < NVALUES; i++) {
                /* the result enters the next operand without changing it: latency, not throughput */
                uint64_t a = v[i] + (sum & 1), b = v[(i * 7 + round) % NVALUES], c = v[(i * 3 + 1) % NVALUES];
                sum = op->op1   ? op->op1(fmt, a, RM_RNE, FP_MODE_RISCV, &flags)
                      : op->op2 ? op->op2(fmt, a, b, RM_RNE, FP_MODE_RISCV, &flags)
                                : op->op3(fmt, a, b, c, RM_RNE, FP_MODE_RISCV, &flags);
            }
        }
        double each = (now_ns() - start) / ((double)NVALUES * NROUNDS);
        best = each < best ? each : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    uint64_t v32[NVALUES], v64[NVALUES];
    fill(FMT_F32, v32);
    fill(FMT_F64, v64);
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (argc < 2 || strstr(ops[i].name, argv[1])) {
            printf("%-10s f32 %5.1f ns   f64 %5.1f ns\n", ops[i].name, measure(&ops[i], FMT_F32, v32),
                   measure(&ops[i], FMT_F64, v64));
        }
    }
    return 0;
}
