/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/softfp/core.h"

#include <assert.h>
#include <stddef.h>

_Static_assert(sizeof fp_formats / sizeof fp_formats[0] == FMT_F64 + 1, "a row for each FpFmt");

const FpFormat *fp_format(FpFmt fmt)
{
    assert((unsigned)fmt < sizeof fp_formats / sizeof fp_formats[0]);
    return &fp_formats[fmt];
}

Num num_unpack_special(const FpFormat *f, uint64_t bits, uint32_t mode, uint32_t *flags)
{
    bool is_top = (bits & format_inf(f)) != 0;
    Num x = {.sign = bits >> (f->frac_bits + f->exp_bits) & 1};
    x.sig = (U128)(bits & ((UINT64_C(1) << f->frac_bits) - 1)) << (127 - f->frac_bits);
    if (is_top) {
        x.cls = !x.sig ? NUM_INF : x.sig >> 126 & 1 ? NUM_QNAN : NUM_SNAN; /* 754-2019 6.2.1 */
        return x;
    }
    if (x.sig && (mode & f->flush_in)) {
        *flags |= mode & FPM_ID_ON_FLUSH ? f->flush_raises : 0;
        x.sig = 0;
    }
    if (!x.sig) {
        x.cls = NUM_ZERO;
        x.exp = NUM_ZERO_EXP;
        return x;
    }
    x.cls = NUM_FINITE;
    x.is_subnormal = true;
    x.exp = 1 - format_bias(f);
    return num_normalise(x);
}

uint64_t num_pack_overflow(const FpFormat *f, bool sign, FpRound rm, uint32_t *flags)
{
    *flags |= FP_OF | FP_NX;
    /* 754-2019 7.4: infinity where the rounding of 1.5 units would go up */
    bool is_inf = round_up(rm, sign, true, true, true);
    return format_sign(f, sign) | (format_inf(f) - !is_inf);
}

/* 754-2019 7.5: below the smallest normal number, before rounding or after rounding with an unbounded exponent */
static bool is_tiny(const FpFormat *f, Num x, FpRound rm, uint32_t mode)
{
    if (!(mode & FPM_TINY_AFTER) || x.exp != -format_bias(f)) {
        return true;
    }
    unsigned nlost = 127u - f->frac_bits;
    uint64_t kept = (uint64_t)(x.sig >> nlost);
    U128 lost = x.sig << (128 - nlost);
    kept += round_up(rm, x.sign, kept & 1, lost >> 127, lost << 1 != 0);
    return kept >> (f->frac_bits + 1) == 0;
}

uint64_t num_pack_tiny(const FpFormat *f, Num x, FpRound rm, uint32_t mode, uint32_t *flags)
{
    bool tiny = is_tiny(f, x, rm, mode);
    if (tiny && (mode & f->flush_out)) {
        *flags |= FP_UF | (mode & FPM_FZ_NX ? FP_NX : 0);
        return format_sign(f, x.sign);
    }
    unsigned nlost = 127u - f->frac_bits;
    U128 sig = sig_shift_jam(x.sig, (unsigned)(1 - format_bias(f) - x.exp));
    uint64_t kept = (uint64_t)(sig >> nlost);
    U128 lost = sig << (128 - nlost);
    kept += round_up(rm, x.sign, kept & 1, lost >> 127, lost << 1 != 0);
    *flags |= lost ? FP_NX : 0;
    *flags |= tiny && (lost || (mode & FPM_UF_IF_EXACT)) ? FP_UF : 0;
    return format_sign(f, x.sign) | kept;
}

uint64_t num_default_nan(const FpFormat *f, uint32_t mode)
{
    return format_sign(f, mode & FPM_NAN_NEGATIVE) | format_inf(f) | UINT64_C(1) << (f->frac_bits - 1);
}

uint64_t num_invalid(const FpFormat *f, uint32_t mode, uint32_t *flags)
{
    *flags |= FP_NV;
    return num_default_nan(f, mode);
}

static uint64_t nan_of(const FpFormat *f, const Num *list, size_t n, uint32_t mode, uint32_t *flags)
{
    const Num *first = NULL, *signalling = NULL;
    for (size_t i = n; i-- > 0;) {
        first = num_is_nan(list[i]) ? &list[i] : first;
        signalling = list[i].cls == NUM_SNAN ? &list[i] : signalling;
    }
    assert(first);
    *flags |= signalling ? FP_NV : 0;
    uint32_t rule = mode & FPM_NAN_RULE;
    if (rule == FPM_NAN_DEFAULT) {
        return num_default_nan(f, mode);
    }
    const Num *x = rule == FPM_NAN_ARM && signalling ? signalling : first;
    return format_sign(f, x->sign) | format_inf(f) | UINT64_C(1) << (f->frac_bits - 1) |
           (uint64_t)(x->sig >> (127 - f->frac_bits));
}

uint64_t num_nan1(const FpFormat *f, Num a, uint32_t mode, uint32_t *flags)
{
    return nan_of(f, &a, 1, mode, flags);
}

uint64_t num_nan2(const FpFormat *f, Num a, Num b, uint32_t mode, uint32_t *flags)
{
    return nan_of(f, (Num[]){a, b}, 2, mode, flags);
}

uint64_t num_nan3(const FpFormat *f, Num a, Num b, Num c, uint32_t mode, uint32_t *flags)
{
    return nan_of(f, (Num[]){a, b, c}, 3, mode, flags);
}
