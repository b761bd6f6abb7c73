/* SPDX-License-Identifier: Apache-2.0
 * core.h - unpack, round, pack: the one core under every operation of softfp. Not for other folders.
 *
 * An operation unpacks its operands into Num, works on exact values or on ones whose lost bits are jammed into bit 0
 * (the sticky bit), and packs once. A format is a row of fp_formats; functions are inlined with a constant row for
 * f32 and f64 (FP_EACH), and read the row for the others.
 * A new row needs a significand of at most 62 bits. Wider ones (x87, binary128) fit Num, add, compare and
 * conversions as they are; sig_mul, sig_div and sig_sqrt (arith.c) take their operands' upper 64 bits and would need a
 * wider sibling, and values a wider carrier than uint64_t. */
#ifndef SIM_SOFTFP_CORE_H
#define SIM_SOFTFP_CORE_H

#include "sim/softfp/softfp.h"

#define FP_INLINE    static inline __attribute__((always_inline))
#define FP_LIKELY(x) __builtin_expect(!!(x), 1)

typedef unsigned __int128 U128;

typedef struct {
    uint8_t frac_bits, exp_bits;
    uint32_t flush_in, flush_out; /* which FPM_FZx rule it */
    uint32_t flush_raises;        /* FP_ID if a flushed operand may raise it */
} FpFormat;

static const FpFormat fp_formats[] = {
    [FMT_F16] = {10, 5, FPM_FZ16_IN, FPM_FZ16_OUT, 0},
    [FMT_BF16] = {7, 8, FPM_FZ_IN, FPM_FZ_OUT, FP_ID},
    [FMT_F32] = {23, 8, FPM_FZ_IN, FPM_FZ_OUT, FP_ID},
    [FMT_F64] = {52, 11, FPM_FZ_IN, FPM_FZ_OUT, FP_ID},
};

/* fn(row, ...) with a row that the compiler knows, for the formats whose speed matters */
#define FP_EACH(fmt, fn, ...)                                                                                          \
    ((fmt) == FMT_F64   ? fn(&fp_formats[FMT_F64], __VA_ARGS__)                                                        \
     : (fmt) == FMT_F32 ? fn(&fp_formats[FMT_F32], __VA_ARGS__)                                                        \
                        : fn(fp_format(fmt), __VA_ARGS__))

typedef enum { NUM_ZERO, NUM_FINITE, NUM_INF, NUM_QNAN, NUM_SNAN } NumClass;

/* FINITE: (-1)^sign * sig * 2^(exp - 127), bit 127 of sig set. ZERO: sig 0 and an exponent below all others.
 * NaN: the fraction below bit 127, so that a payload moves between formats by truncation. */
typedef struct {
    U128 sig;
    int exp;
    NumClass cls;
    bool sign;
    bool is_subnormal; /* in its format, not flushed */
} Num;

enum { NUM_ZERO_EXP = -0x100000 };

const FpFormat *fp_format(FpFmt fmt);

FP_INLINE int format_bias(const FpFormat *f)
{
    return (1 << (f->exp_bits - 1)) - 1;
}

FP_INLINE uint64_t format_inf(const FpFormat *f) /* bits of +infinity */
{
    return ((UINT64_C(1) << f->exp_bits) - 1) << f->frac_bits;
}

FP_INLINE uint64_t format_sign(const FpFormat *f, bool sign)
{
    return (uint64_t)sign << (f->frac_bits + f->exp_bits);
}

FP_INLINE bool num_is_nan(Num x)
{
    return x.cls >= NUM_QNAN;
}

FP_INLINE unsigned sig_leading_zeros(U128 sig) /* sig != 0 */
{
    uint64_t high = (uint64_t)(sig >> 64);
    return high ? (unsigned)__builtin_clzll(high) : 64 + (unsigned)__builtin_clzll((uint64_t)sig);
}

/* sig >> n; bit 0 set if a bit was lost */
FP_INLINE U128 sig_shift_jam(U128 sig, unsigned n)
{
    if (n >= 128) {
        return sig != 0;
    }
    return n ? sig >> n | ((sig << (128 - n)) != 0) : sig;
}

FP_INLINE Num num_normalise(Num x) /* sig != 0 */
{
    unsigned n = sig_leading_zeros(x.sig);
    x.sig <<= n;
    x.exp -= (int)n;
    return x;
}

/* The rare patterns: exponent all zeros or all ones. */
Num num_unpack_special(const FpFormat *f, uint64_t bits, uint32_t mode, uint32_t *flags);

FP_INLINE Num num_unpack(const FpFormat *f, uint64_t bits, uint32_t mode, uint32_t *flags)
{
    unsigned max = (1u << f->exp_bits) - 1;
    unsigned biased = (unsigned)(bits >> f->frac_bits) & max;
    if (!FP_LIKELY(biased - 1 < max - 1)) {
        return num_unpack_special(f, bits, mode, flags);
    }
    Num x = {.exp = (int)biased - format_bias(f), .cls = NUM_FINITE};
    x.sign = bits >> (f->frac_bits + f->exp_bits) & 1;
    x.sig = (U128)(bits << (63 - f->frac_bits) | UINT64_C(1) << 63) << 64;
    return x;
}

/* Whether the magnitude grows by one unit: is_odd, is_half, is_more = last bit kept, first bit lost, any further. */
FP_INLINE bool round_up(FpRound rm, bool sign, bool is_odd, bool is_half, bool is_more)
{
    switch (rm) {
    case RM_RNE:
        return is_half && (is_more || is_odd);
    case RM_RTZ:
        return false;
    case RM_RDN:
        return sign && (is_half || is_more);
    case RM_RUP:
        return !sign && (is_half || is_more);
    case RM_RMM:
        return is_half;
    case RM_ODD:
        return !is_odd && (is_half || is_more);
    }
    __builtin_unreachable();
}

uint64_t num_pack_overflow(const FpFormat *f, bool sign, FpRound rm, uint32_t *flags);
uint64_t num_pack_tiny(const FpFormat *f, Num x, FpRound rm, uint32_t mode, uint32_t *flags);

/* Rounds a finite number other than 0. */
FP_INLINE uint64_t num_pack(const FpFormat *f, Num x, FpRound rm, uint32_t mode, uint32_t *flags)
{
    int biased = x.exp + format_bias(f);
    if (!FP_LIKELY(biased >= 1)) {
        return num_pack_tiny(f, x, rm, mode, flags);
    }
    unsigned nlost = 127u - f->frac_bits;
    uint64_t kept = (uint64_t)(x.sig >> nlost);
    U128 lost = x.sig << (128 - nlost);
    kept += round_up(rm, x.sign, kept & 1, lost >> 127, lost << 1 != 0);
    /* The integer bit of kept, or what it carried, counts up the exponent. */
    uint64_t bits = ((uint64_t)(biased - 1) << f->frac_bits) + kept;
    if (!FP_LIKELY(bits < format_inf(f))) {
        return num_pack_overflow(f, x.sign, rm, flags);
    }
    *flags |= lost ? FP_NX : 0;
    return format_sign(f, x.sign) | bits;
}

/* ---- NaNs ---- */
uint64_t num_default_nan(const FpFormat *f, uint32_t mode);
/* The default NaN, and NV. */
uint64_t num_invalid(const FpFormat *f, uint32_t mode, uint32_t *flags);
/* The result for operands of which one or more is a NaN, listed in the order in which they win. */
uint64_t num_nan1(const FpFormat *f, Num a, uint32_t mode, uint32_t *flags);
uint64_t num_nan2(const FpFormat *f, Num a, Num b, uint32_t mode, uint32_t *flags);
uint64_t num_nan3(const FpFormat *f, Num a, Num b, Num c, uint32_t mode, uint32_t *flags);

/* For operations in which a subnormal operand counts as used (FPM_ID_ON_USE). */
FP_INLINE void num_use(bool is_subnormal, uint32_t mode, uint32_t *flags)
{
    if (is_subnormal && (mode & FPM_ID_ON_USE)) {
        *flags |= FP_ID;
    }
}
#endif
