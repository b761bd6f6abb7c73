/* SPDX-License-Identifier: Apache-2.0
 * compare.c - order, minimum and maximum, class */
#include "sim/softfp/core.h"

/* No NaNs. Zeros are equal; is_less_zero: -0 is less than +0. */
static FpOrder num_order(Num a, Num b, bool is_less_zero)
{
    if (a.cls == NUM_ZERO && b.cls == NUM_ZERO) {
        return !is_less_zero || a.sign == b.sign ? FP_EQUAL : a.sign ? FP_LESS : FP_GREATER;
    }
    if (a.sign != b.sign) {
        return a.sign ? FP_LESS : FP_GREATER;
    }
    if (a.cls != b.cls) { /* ZERO < FINITE < INF */
        return (a.cls < b.cls) ^ a.sign ? FP_LESS : FP_GREATER;
    }
    if (a.cls != NUM_FINITE || (a.exp == b.exp && a.sig == b.sig)) {
        return FP_EQUAL;
    }
    bool is_smaller = a.exp != b.exp ? a.exp < b.exp : a.sig < b.sig;
    return is_smaller ^ a.sign ? FP_LESS : FP_GREATER;
}

static FpOrder compare(FpFmt fmt, uint64_t a_bits, uint64_t b_bits, bool is_signalling, uint32_t mode, uint32_t *flags)
{
    const FpFormat *f = fp_format(fmt);
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    if (num_is_nan(a) || num_is_nan(b)) {
        *flags |= is_signalling || a.cls == NUM_SNAN || b.cls == NUM_SNAN ? FP_NV : 0;
        return FP_UNORDERED;
    }
    num_use(a.is_subnormal | b.is_subnormal, mode, flags);
    return num_order(a, b, false);
}

uint64_t fp_compare(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    (void)rm;
    return compare(fmt, a, b, false, mode, flags);
}

uint64_t fp_compare_signal(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    (void)rm;
    return compare(fmt, a, b, true, mode, flags);
}

/* By way of num_pack: an operand that survives may still be flushed, or be tiny (FPMax ends in FPRound). */
static uint64_t repack(const FpFormat *f, Num x, uint32_t mode, uint32_t *flags)
{
    if (x.cls == NUM_FINITE) {
        return num_pack(f, x, RM_RNE, mode, flags);
    }
    return format_sign(f, x.sign) | (x.cls == NUM_INF ? format_inf(f) : 0);
}

/* The operand that compares as `wanted` with the other one. */
static uint64_t extreme(FpFmt fmt, uint64_t a_bits, uint64_t b_bits, FpOrder wanted, uint32_t mode, uint32_t *flags)
{
    const FpFormat *f = fp_format(fmt);
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    if (num_is_nan(a) || num_is_nan(b)) {
        return num_nan2(f, a, b, mode, flags);
    }
    return repack(f, num_order(a, b, true) == wanted ? a : b, mode, flags);
}

/* SDM2 MINSD: "If the values being compared are both 0.0s, the value in the second operand is returned", and so if
 * either is a NaN: not even quieted. Subnormals under DAZ are zeros here too, also where they only stand by. */
static uint64_t extreme_second(FpFmt fmt, uint64_t a_bits, uint64_t b_bits, FpOrder wanted, uint32_t mode,
                               uint32_t *flags)
{
    const FpFormat *f = fp_format(fmt);
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    bool is_first = false;
    if (num_is_nan(a) || num_is_nan(b)) {
        *flags |= FP_NV;
    } else {
        num_use(a.is_subnormal | b.is_subnormal, mode, flags);
        is_first = num_order(a, b, false) == wanted;
    }
    const Num *x = is_first ? &a : &b;
    uint64_t mask = format_sign(f, true) * 2 - 1;
    return x->cls == NUM_ZERO ? format_sign(f, x->sign) : (is_first ? a_bits : b_bits) & mask;
}

/* The same where a quiet NaN stands for "no operand". */
static uint64_t extreme_number(FpFmt fmt, uint64_t a_bits, uint64_t b_bits, FpOrder wanted, uint32_t mode,
                               uint32_t *flags)
{
    const FpFormat *f = fp_format(fmt);
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    bool is_signalling = a.cls == NUM_SNAN || b.cls == NUM_SNAN;
    if ((num_is_nan(a) && num_is_nan(b)) || (is_signalling && (mode & FPM_MINNUM_2008))) {
        return num_nan2(f, a, b, mode, flags);
    }
    *flags |= is_signalling ? FP_NV : 0;
    bool is_first = !num_is_nan(a) && (num_is_nan(b) || num_order(a, b, true) == wanted);
    return repack(f, is_first ? a : b, mode, flags);
}

uint64_t fp_min(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    (void)rm;
    return (mode & FPM_MIN_SECOND ? extreme_second : extreme)(fmt, a, b, FP_LESS, mode, flags);
}

uint64_t fp_max(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    (void)rm;
    return (mode & FPM_MIN_SECOND ? extreme_second : extreme)(fmt, a, b, FP_GREATER, mode, flags);
}

uint64_t fp_minnum(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    (void)rm;
    return extreme_number(fmt, a, b, FP_LESS, mode, flags);
}

uint64_t fp_maxnum(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    (void)rm;
    return extreme_number(fmt, a, b, FP_GREATER, mode, flags);
}

uint32_t fp_class(FpFmt fmt, uint64_t a)
{
    uint32_t flags = 0;
    Num x = num_unpack(fp_format(fmt), a, 0, &flags);
    switch (x.cls) {
    case NUM_ZERO:
        return x.sign ? FP_CLASS_NEG_ZERO : FP_CLASS_ZERO;
    case NUM_FINITE:
        if (x.is_subnormal) {
            return x.sign ? FP_CLASS_NEG_SUBNORMAL : FP_CLASS_SUBNORMAL;
        }
        return x.sign ? FP_CLASS_NEG_NORMAL : FP_CLASS_NORMAL;
    case NUM_INF:
        return x.sign ? FP_CLASS_NEG_INF : FP_CLASS_INF;
    case NUM_QNAN:
        return FP_CLASS_QNAN;
    case NUM_SNAN:
        return FP_CLASS_SNAN;
    }
    __builtin_unreachable();
}
