/* SPDX-License-Identifier: Apache-2.0
 * arith.c - the operations that round: add, sub, mul, div, sqrt, fma, and rem */
#include "sim/softfp/core.h"

/* ---- significands: exact products, quotients and roots of operands with at most 62 significant bits ---- */

/* |a * b| */
FP_INLINE Num sig_mul(Num a, Num b)
{
    Num x = {.exp = a.exp + b.exp + 1, .cls = NUM_FINITE, .sign = a.sign ^ b.sign};
    x.sig = (U128)(uint64_t)(a.sig >> 64) * (uint64_t)(b.sig >> 64);
    if (!(x.sig >> 127)) {
        x.sig <<= 1;
        x.exp--;
    }
    return x;
}

FP_INLINE Num sig_div(Num a, Num b)
{
    Num x = {.exp = a.exp - b.exp, .cls = NUM_FINITE, .sign = a.sign ^ b.sign};
    /* a / b in (1/2, 2), so the quotient in units of 2^-63 has 63 or 64 bits */
    U128 dividend = (U128)(uint64_t)(a.sig >> 64) << 63;
    uint64_t divisor = (uint64_t)(b.sig >> 64);
    uint64_t quotient = (uint64_t)(dividend / divisor);
    x.sig = (U128)quotient << 64 | ((U128)quotient * divisor != dividend);
    if (!(x.sig >> 127)) { /* bit 0 may move: it is sticky wherever it stands */
        x.sig <<= 1;
        x.exp--;
    }
    return x;
}

/* floor(sqrt(n)), 2^126 <= n <= 2^128 - 2^65, so that no step passes 2^64. Each doubles the known bits: with u within 1
 * of the root of n's upper 2k bits, (u << (k - 1)) + (n's upper 3k bits) / u is within 1 of the root of the upper 4k
 * (Heron's step, scaled). */
FP_INLINE uint64_t root128(U128 n)
{
    uint64_t top = (uint64_t)(n >> 64);
    uint32_t u = 1 + (uint32_t)(top >> 62);
    u = (u << 1) + (uint32_t)(top >> 59) / u;
    u = (u << 3) + (uint32_t)(top >> 53) / u;
    u = (u << 7) + (uint32_t)(top >> 41) / u;
    uint64_t v = ((uint64_t)u << 15) + (top >> 17) / u;
    uint64_t w = (v << 31) + (uint64_t)((n >> 33) / v);
    return w - ((U128)w * w > n);
}

FP_INLINE Num sig_sqrt(Num a)
{
    bool is_odd = a.exp & 1;
    Num x = {.exp = (a.exp - is_odd) / 2, .cls = NUM_FINITE};
    U128 radicand = is_odd ? a.sig : a.sig >> 1;
    uint64_t root = root128(radicand);
    x.sig = (U128)root << 64 | ((U128)root * root != radicand);
    return x;
}

/* ---- operations ---- */

/* a + b of finite numbers or zeros, each of at most 126 significant bits */
FP_INLINE uint64_t add_finite(const FpFormat *f, Num a, Num b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        Num t = a;
        a = b;
        b = t;
    }
    U128 large = a.sig >> 1, small = sig_shift_jam(b.sig >> 1, (unsigned)(a.exp - b.exp));
    Num x = {.exp = a.exp + 1, .cls = NUM_FINITE, .sign = a.sign};
    x.sig = a.sign == b.sign ? large + small : large - small;
    if (!x.sig) { /* 754-2019 6.3 */
        return format_sign(f, a.sign == b.sign ? a.sign : rm == RM_RDN);
    }
    return num_pack(f, num_normalise(x), rm, mode, flags);
}

/* a + b, or a - b: a subtracted NaN keeps its sign */
FP_INLINE uint64_t add_in(const FpFormat *f, uint64_t a_bits, uint64_t b_bits, bool is_sub, FpRound rm, uint32_t mode,
                          uint32_t *flags)
{
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    if (FP_LIKELY(a.cls <= NUM_FINITE && b.cls <= NUM_FINITE)) {
        num_use(a.is_subnormal | b.is_subnormal, mode, flags);
        b.sign ^= is_sub;
        return add_finite(f, a, b, rm, mode, flags);
    }
    if (num_is_nan(a) || num_is_nan(b)) {
        return num_nan2(f, a, b, mode, flags);
    }
    b.sign ^= is_sub;
    if (a.cls == NUM_INF && b.cls == NUM_INF && a.sign != b.sign) {
        return num_invalid(f, mode, flags);
    }
    num_use(a.is_subnormal | b.is_subnormal, mode, flags);
    return format_sign(f, a.cls == NUM_INF ? a.sign : b.sign) | format_inf(f);
}

uint64_t fp_add(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    return FP_EACH(fmt, add_in, a, b, false, rm, mode, flags);
}

uint64_t fp_sub(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    return FP_EACH(fmt, add_in, a, b, true, rm, mode, flags);
}

FP_INLINE uint64_t mul_in(const FpFormat *f, uint64_t a_bits, uint64_t b_bits, FpRound rm, uint32_t mode,
                          uint32_t *flags)
{
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    if (FP_LIKELY(a.cls == NUM_FINITE && b.cls == NUM_FINITE)) {
        num_use(a.is_subnormal | b.is_subnormal, mode, flags);
        return num_pack(f, sig_mul(a, b), rm, mode, flags);
    }
    if (num_is_nan(a) || num_is_nan(b)) {
        return num_nan2(f, a, b, mode, flags);
    }
    bool is_inf = a.cls == NUM_INF || b.cls == NUM_INF;
    if (is_inf && (a.cls == NUM_ZERO || b.cls == NUM_ZERO)) {
        return num_invalid(f, mode, flags);
    }
    num_use(a.is_subnormal | b.is_subnormal, mode, flags);
    return format_sign(f, a.sign ^ b.sign) | (is_inf ? format_inf(f) : 0);
}

uint64_t fp_mul(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    return FP_EACH(fmt, mul_in, a, b, rm, mode, flags);
}

FP_INLINE uint64_t div_in(const FpFormat *f, uint64_t a_bits, uint64_t b_bits, FpRound rm, uint32_t mode,
                          uint32_t *flags)
{
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    if (FP_LIKELY(a.cls == NUM_FINITE && b.cls == NUM_FINITE)) {
        num_use(a.is_subnormal | b.is_subnormal, mode, flags);
        return num_pack(f, sig_div(a, b), rm, mode, flags);
    }
    if (num_is_nan(a) || num_is_nan(b)) {
        return num_nan2(f, a, b, mode, flags);
    }
    if (a.cls == b.cls) { /* 0 / 0, inf / inf */
        return num_invalid(f, mode, flags);
    }
    uint64_t sign = format_sign(f, a.sign ^ b.sign);
    if (b.cls == NUM_ZERO) { /* before the use of a subnormal: SDM1 4.9.2 */
        *flags |= a.cls == NUM_FINITE ? FP_DZ : 0;
        return sign | format_inf(f);
    }
    num_use(a.is_subnormal | b.is_subnormal, mode, flags);
    return sign | (a.cls == NUM_INF ? format_inf(f) : 0);
}

uint64_t fp_div(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags)
{
    return FP_EACH(fmt, div_in, a, b, rm, mode, flags);
}

FP_INLINE uint64_t sqrt_in(const FpFormat *f, uint64_t a_bits, FpRound rm, uint32_t mode, uint32_t *flags)
{
    Num a = num_unpack(f, a_bits, mode, flags);
    if (FP_LIKELY(a.cls == NUM_FINITE && !a.sign)) {
        num_use(a.is_subnormal, mode, flags);
        return num_pack(f, sig_sqrt(a), rm, mode, flags);
    }
    if (num_is_nan(a)) {
        return num_nan1(f, a, mode, flags);
    }
    if (a.cls == NUM_ZERO) {
        return format_sign(f, a.sign); /* 754-2019 5.4.1: of -0 as well */
    }
    return a.sign ? num_invalid(f, mode, flags) : format_inf(f);
}

uint64_t fp_sqrt(FpFmt fmt, uint64_t a, FpRound rm, uint32_t mode, uint32_t *flags)
{
    return FP_EACH(fmt, sqrt_in, a, rm, mode, flags);
}

/* An operand is not finite. */
static uint64_t fma_special(const FpFormat *f, Num a, Num b, Num c, uint32_t mode, uint32_t *flags)
{
    bool is_inf_zero = (a.cls == NUM_INF && b.cls == NUM_ZERO) || (a.cls == NUM_ZERO && b.cls == NUM_INF);
    if (is_inf_zero && c.cls == NUM_QNAN) { /* 754-2019 7.2 c leaves it open */
        *flags |= mode & FPM_FMA_NV ? FP_NV : 0;
        return mode & FPM_FMA_DEFAULT ? num_default_nan(f, mode) : num_nan1(f, c, mode, flags);
    }
    if (num_is_nan(a) || num_is_nan(b) || num_is_nan(c)) {
        return (mode & FPM_NAN_RULE) == FPM_NAN_ARM ? num_nan3(f, c, a, b, mode, flags)
                                                    : num_nan3(f, a, b, c, mode, flags);
    }
    bool is_inf = a.cls == NUM_INF || b.cls == NUM_INF, sign = a.sign ^ b.sign;
    if (is_inf_zero || (is_inf && c.cls == NUM_INF && c.sign != sign)) {
        return num_invalid(f, mode, flags);
    }
    num_use(a.is_subnormal | b.is_subnormal | c.is_subnormal, mode, flags);
    return format_sign(f, is_inf ? sign : c.sign) | format_inf(f);
}

FP_INLINE uint64_t fma_in(const FpFormat *f, uint64_t a_bits, uint64_t b_bits, uint64_t c_bits, FpRound rm,
                          uint32_t mode, uint32_t *flags)
{
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    Num c = num_unpack(f, c_bits, mode, flags);
    if (!FP_LIKELY(a.cls <= NUM_FINITE && b.cls <= NUM_FINITE && c.cls <= NUM_FINITE)) {
        return fma_special(f, a, b, c, mode, flags);
    }
    num_use(a.is_subnormal | b.is_subnormal | c.is_subnormal, mode, flags);
    Num product = {.exp = NUM_ZERO_EXP, .sign = a.sign ^ b.sign};
    if (FP_LIKELY(a.cls != NUM_ZERO && b.cls != NUM_ZERO)) {
        product = sig_mul(a, b);
    }
    return add_finite(f, product, c, rm, mode, flags);
}

uint64_t fp_fma(FpFmt fmt, uint64_t a, uint64_t b, uint64_t c, FpRound rm, uint32_t mode, uint32_t *flags)
{
    return FP_EACH(fmt, fma_in, a, b, c, rm, mode, flags);
}

/* |a| and |b| finite: a - n * b by long division, 32 bits of n at a time; only n's last bit matters. */
static Num rem_finite(Num a, Num b)
{
    int nbits = a.exp - b.exp; /* >= -1 */
    uint64_t divisor = (uint64_t)(b.sig >> 64), rest = (uint64_t)(a.sig >> 64);
    bool is_odd = false;
    if (nbits < 0) {
        rest >>= 1;
    } else {
        is_odd = rest >= divisor;
        rest -= is_odd ? divisor : 0;
    }
    for (int n; nbits > 0; nbits -= n) {
        n = nbits < 32 ? nbits : 32;
        U128 dividend = (U128)rest << n;
        is_odd = (uint64_t)(dividend / divisor) & 1;
        rest = (uint64_t)(dividend % divisor);
    }
    Num x = {.exp = b.exp, .cls = NUM_FINITE, .sign = a.sign};
    U128 twice = (U128)rest << 1;
    if (twice > divisor || (twice == divisor && is_odd)) {
        rest = divisor - rest;
        x.sign ^= true;
    }
    x.sig = (U128)rest << 64;
    return x;
}

uint64_t fp_rem(FpFmt fmt, uint64_t a_bits, uint64_t b_bits, FpRound rm, uint32_t mode, uint32_t *flags)
{
    const FpFormat *f = fp_format(fmt);
    Num a = num_unpack(f, a_bits, mode, flags), b = num_unpack(f, b_bits, mode, flags);
    if (num_is_nan(a) || num_is_nan(b)) {
        return num_nan2(f, a, b, mode, flags);
    }
    if (a.cls == NUM_INF || b.cls == NUM_ZERO) {
        return num_invalid(f, mode, flags);
    }
    num_use(a.is_subnormal | b.is_subnormal, mode, flags);
    if (a.cls == NUM_ZERO) {
        return format_sign(f, a.sign);
    }
    if (b.cls == NUM_INF || a.exp < b.exp - 1) {
        return num_pack(f, a, rm, mode, flags);
    }
    Num x = rem_finite(a, b);
    return x.sig ? num_pack(f, num_normalise(x), rm, mode, flags) : format_sign(f, a.sign);
}

uint64_t fp_negate(FpFmt fmt, uint64_t a, uint32_t mode)
{
    const FpFormat *f = fp_format(fmt);
    uint64_t sign = format_sign(f, true), magnitude = a & (sign - 1);
    bool is_nan = magnitude > format_inf(f);
    return magnitude | ((a & sign) ^ (is_nan && (mode & FPM_NAN_RULE) == FPM_NAN_SSE ? 0 : sign));
}
