/* SPDX-License-Identifier: Apache-2.0
 * convert.c - between formats, to and from integers, and to integral values */
#include "sim/softfp/core.h"

#include <assert.h>

uint64_t fp_convert(FpFmt to_fmt, FpFmt from_fmt, uint64_t a_bits, FpRound rm, uint32_t mode, uint32_t *flags)
{
    const FpFormat *to = fp_format(to_fmt), *from = fp_format(from_fmt);
    mode &= ~(uint32_t)(FPM_FZ16_IN | FPM_FZ16_OUT); /* FPUnpackCV, FPRoundCV */
    Num a = num_unpack(from, a_bits, mode, flags);
    if (num_is_nan(a)) {
        return num_nan1(to, a, mode, flags);
    }
    num_use(a.is_subnormal, mode, flags);
    if (a.cls != NUM_FINITE) {
        return format_sign(to, a.sign) | (a.cls == NUM_INF ? format_inf(to) : 0);
    }
    return num_pack(to, a, rm, mode, flags);
}

typedef struct {
    uint8_t nbits;
    bool is_signed;
} IntFormat;

static const IntFormat int_formats[] = {
    [FP_I32] = {32, true},
    [FP_U32] = {32, false},
    [FP_I64] = {64, true},
    [FP_U64] = {64, false},
};

static const IntFormat *int_format(FpInt kind)
{
    assert((unsigned)kind < sizeof int_formats / sizeof int_formats[0]);
    return &int_formats[kind];
}

static uint64_t int_mask(const IntFormat *t)
{
    return UINT64_MAX >> (64 - t->nbits);
}

uint64_t fp_from_int(FpFmt fmt, uint64_t value, FpInt kind, unsigned fbits, FpRound rm, uint32_t mode, uint32_t *flags)
{
    const FpFormat *f = fp_format(fmt);
    const IntFormat *t = int_format(kind);
    assert(fbits <= 64);
    value &= int_mask(t);
    Num x = {.exp = 63 - (int)fbits, .cls = NUM_FINITE, .sign = t->is_signed && value >> (t->nbits - 1)};
    x.sig = (U128)(x.sign ? -value & int_mask(t) : value) << 64;
    return x.sig ? num_pack(f, num_normalise(x), rm, mode, flags) : 0;
}

/* |x| to an integer, x.exp <= 63: at most 2^64. */
static U128 num_round_int(Num x, FpRound rm, bool *is_inexact)
{
    U128 fixed = sig_shift_jam(x.sig, (unsigned)(63 - x.exp)); /* units at bit 64 */
    uint64_t kept = (uint64_t)(fixed >> 64), lost = (uint64_t)fixed;
    *is_inexact = lost != 0;
    return (U128)kept + round_up(rm, x.sign, kept & 1, lost >> 63, lost << 1 != 0);
}

static uint64_t int_invalid(const IntFormat *t, Num x, uint32_t mode, uint32_t *flags)
{
    *flags |= FP_NV;
    uint64_t mask = int_mask(t), most = t->is_signed ? mask >> 1 : mask, least = mask ^ most;
    uint32_t rule = mode & FPM_INT_RULE;
    if (rule == FPM_INT_INDEFINITE) {
        return t->is_signed ? least : most;
    }
    if (num_is_nan(x)) {
        return rule == FPM_INT_ZERO ? 0 : most;
    }
    return x.sign ? least : most;
}

uint64_t fp_to_int(FpFmt fmt, uint64_t a_bits, FpInt kind, unsigned fbits, FpRound rm, uint32_t mode, uint32_t *flags)
{
    const IntFormat *t = int_format(kind);
    assert(fbits <= 64);
    Num x = num_unpack(fp_format(fmt), a_bits, mode, flags);
    if (x.cls == NUM_ZERO) {
        return 0;
    }
    x.exp += (int)fbits;
    if (x.cls != NUM_FINITE || x.exp > 63) {
        return int_invalid(t, x, mode, flags);
    }
    bool is_inexact;
    U128 magnitude = num_round_int(x, rm, &is_inexact);
    uint64_t mask = int_mask(t), most = t->is_signed ? mask >> 1 : mask, least = mask ^ most;
    if (magnitude > (x.sign ? least : most)) {
        return int_invalid(t, x, mode, flags);
    }
    *flags |= is_inexact ? FP_NX : 0;
    return (x.sign ? -(uint64_t)magnitude : (uint64_t)magnitude) & mask;
}

/* x86 ROUNDSD, RISC-V fround, Arm FRINT raise no FP_ID for a subnormal that is used. */
static uint64_t round_int(FpFmt fmt, uint64_t a_bits, FpRound rm, uint32_t mode, uint32_t *flags, uint32_t inexact)
{
    const FpFormat *f = fp_format(fmt);
    Num x = num_unpack(f, a_bits, mode, flags);
    if (num_is_nan(x)) {
        return num_nan1(f, x, mode, flags);
    }
    uint64_t sign = format_sign(f, x.sign);
    if (x.cls != NUM_FINITE) {
        return sign | (x.cls == NUM_INF ? format_inf(f) : 0);
    }
    if (x.exp < f->frac_bits) {
        bool is_inexact;
        x.sig = num_round_int(x, rm, &is_inexact) << 64;
        x.exp = 63;
        *flags |= is_inexact ? inexact : 0;
    }
    return x.sig ? num_pack(f, num_normalise(x), rm, mode, flags) : sign;
}

uint64_t fp_round_int(FpFmt fmt, uint64_t a, FpRound rm, uint32_t mode, uint32_t *flags)
{
    return round_int(fmt, a, rm, mode, flags, 0);
}

uint64_t fp_round_int_exact(FpFmt fmt, uint64_t a, FpRound rm, uint32_t mode, uint32_t *flags)
{
    return round_int(fmt, a, rm, mode, flags, FP_NX);
}
