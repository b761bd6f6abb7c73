/* SPDX-License-Identifier: Apache-2.0
 * test_operands.h - random operands that look for trouble, for this folder's tests. The seed is CONF_SEED (a number) or
 * fixed; a failure prints it. */
#ifndef SIM_SOFTFP_TEST_OPERANDS_H
#define SIM_SOFTFP_TEST_OPERANDS_H

#include "sim/softfp/core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    uint64_t state, seed;
} Random;

static inline Random random_start(void)
{
    const char *text = getenv("CONF_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : UINT64_C(0x5eed);
    return (Random){seed, seed};
}

static inline uint64_t random_next(Random *r) /* splitmix64 */
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline unsigned random_below(Random *r, unsigned n)
{
    return (unsigned)(random_next(r) >> 33) % n;
}

/* A fraction of few bits, of a run of bits, with noise at the end, or any. */
static inline uint64_t random_fraction(const FpFormat *f, Random *r)
{
    unsigned n = f->frac_bits;
    uint64_t mask = (UINT64_C(1) << n) - 1, x = random_next(r);
    unsigned at = random_below(r, n + 1);
    switch (random_below(r, 8)) {
    case 0:
        return x & mask & ~((UINT64_C(1) << at) - 1); /* a short one: products and roots of these are ties */
    case 1:
        return x & mask & ((UINT64_C(1) << at) - 1);
    case 2:
        return UINT64_C(1) << at & mask;
    case 3:
        return mask & ~(UINT64_C(1) << at);
    case 4:
        return (UINT64_C(1) << at) - 1;
    case 5:
        return (mask << at & mask) ^ (x & 3 & mask);
    case 6:
        return x & 1 ? mask : 0;
    default:
        return x & mask;
    }
}

static inline uint64_t random_operand(const FpFormat *f, Random *r)
{
    int max = (1 << f->exp_bits) - 1, bias = format_bias(f), near = f->frac_bits + 3, exp;
    uint64_t fraction = random_fraction(f, r);
    switch (random_below(r, 16)) {
    case 0:
        exp = 0;
        fraction = random_below(r, 2) ? fraction : 0;
        break;
    case 1:
        exp = max;
        fraction = random_below(r, 2) ? fraction : 0;
        break;
    case 2:
    case 3:
        exp = 0;
        break;
    case 4:
        exp = (int)random_below(r, 4);
        break;
    case 5:
        exp = max - 1 - (int)random_below(r, 3);
        break;
    case 6:
    case 7:
        exp = (int)random_below(r, (unsigned)max);
        break;
    case 8:
    case 9:
        exp = bias;
        break;
    default:
        exp = bias - near + (int)random_below(r, 2u * (unsigned)near);
    }
    exp = exp < 0 ? 0 : exp > max ? max : exp;
    return format_sign(f, random_next(r) >> 63) | (uint64_t)exp << f->frac_bits | fraction;
}

static inline uint64_t format_mask(const FpFormat *f)
{
    return format_sign(f, true) * 2 - 1;
}
/* Such that a * b (or a / b) is the smallest normal number or the largest one, or beside it: where tininess before and
 * after rounding differ, and where overflow begins. */
static inline uint64_t random_limit_partner(FpFmt fmt, Random *r, uint64_t a)
{
    const FpFormat *f = fp_format(fmt);
    uint32_t unused = 0, pick = random_below(r, 8);
    uint64_t limit = pick & 4 ? format_inf(f) - 1 : UINT64_C(1) << f->frac_bits;
    uint64_t x = pick & 1 ? a : limit, y = pick & 1 ? limit : a;
    return (fp_div(fmt, x, y, RM_RNE, 0, &unused) + random_below(r, 3) - 1) & format_mask(f);
}

/* A partner: near a (cancellation), at a limit, or any. */
static inline uint64_t random_partner(FpFmt fmt, Random *r, uint64_t a)
{
    const FpFormat *f = fp_format(fmt);
    int max = (1 << f->exp_bits) - 1, exp = (int)(a >> f->frac_bits) & max;
    switch (random_below(r, 8)) {
    case 0:
        return a ^ format_sign(f, random_next(r) >> 63) ^ (random_next(r) & 3);
    case 1:
        exp += (int)random_below(r, 2u * f->frac_bits + 5) - (int)f->frac_bits - 2;
        exp = exp < 0 ? 0 : exp >= max ? max - 1 : exp;
        return format_sign(f, random_next(r) >> 63) | (uint64_t)exp << f->frac_bits | random_fraction(f, r);
    case 2:
    case 3:
        return random_limit_partner(fmt, r, a);
    default:
        return random_operand(f, r);
    }
}
#endif
