/* SPDX-License-Identifier: Apache-2.0
 * ir_math.h - the functions that the expressions of ir_ops.def use. Total: defined for every input. */
#ifndef SIM_IR_IR_MATH_H
#define SIM_IR_IR_MATH_H

#include "sim/softfp/softfp.h"

#include <stdint.h>

static inline uint64_t ir_sx32(uint64_t a)
{
    return (uint64_t)(int64_t)(int32_t)(uint32_t)a;
}

/* n below 64. The right shift of a negative value is arithmetic in gcc and clang (implementation-defined in C17). */
static inline uint64_t ir_sar(uint64_t a, uint64_t n)
{
    return (uint64_t)((int64_t)a >> n);
}

static inline uint64_t ir_rotr(uint64_t a, uint64_t n)
{
    return a >> n | a << (-n & 63);
}

static inline uint64_t ir_rotr32(uint64_t a, uint64_t n)
{
    return (uint32_t)((uint32_t)a >> n | (uint32_t)a << (-n & 31));
}

static inline uint64_t ir_clz(uint64_t a)
{
    return a ? (uint64_t)__builtin_clzll(a) : 64;
}

static inline uint64_t ir_ctz(uint64_t a)
{
    return a ? (uint64_t)__builtin_ctzll(a) : 64;
}

static inline uint64_t ir_brev8(uint64_t a)
{
    a = (a >> 1 & 0x5555555555555555) | (a & 0x5555555555555555) << 1;
    a = (a >> 2 & 0x3333333333333333) | (a & 0x3333333333333333) << 2;
    return (a >> 4 & 0x0f0f0f0f0f0f0f0f) | (a & 0x0f0f0f0f0f0f0f0f) << 4;
}

/* The sum carries into bit 7 of a byte if its lower bits are not all 0. */
static inline uint64_t ir_orb(uint64_t a)
{
    uint64_t low = 0x7f7f7f7f7f7f7f7f, top = ((a & low) + low) | a;
    return (top >> 7 & 0x0101010101010101) * 0xff;
}

static inline uint64_t ir_clmul(uint64_t a, uint64_t b)
{
    uint64_t d = 0;
    for (; b; b &= b - 1) {
        d ^= a << __builtin_ctzll(b);
    }
    return d;
}

static inline uint64_t ir_clmulh(uint64_t a, uint64_t b) /* bit i of b puts a's top i bits there */
{
    uint64_t d = 0;
    for (b &= ~1ull; b; b &= b - 1) {
        d ^= a >> (64 - __builtin_ctzll(b));
    }
    return d;
}

static inline uint64_t ir_mulhu(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)a * b >> 64);
}

static inline uint64_t ir_mulh(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)((__int128)(int64_t)a * (int64_t)b) >> 64);
}

static inline uint64_t ir_mulhsu(uint64_t a, uint64_t b)
{
    return (uint64_t)((unsigned __int128)((__int128)(int64_t)a * (__int128)(unsigned __int128)b) >> 64);
}

static inline uint64_t ir_div(uint64_t a, uint64_t b)
{
    if (!b) {
        return ~0ull;
    }
    return b == ~0ull ? -a : (uint64_t)((int64_t)a / (int64_t)b); /* -a: the one quotient that overflows */
}

static inline uint64_t ir_rem(uint64_t a, uint64_t b)
{
    if (!b) {
        return a;
    }
    return b == ~0ull ? 0 : (uint64_t)((int64_t)a % (int64_t)b);
}

static inline uint64_t ir_divw(uint64_t a, uint64_t b)
{
    return (uint32_t)b ? ir_sx32(ir_div(ir_sx32(a), ir_sx32(b))) : ~0ull;
}

static inline uint64_t ir_divuw(uint64_t a, uint64_t b)
{
    return (uint32_t)b ? ir_sx32((uint32_t)a / (uint32_t)b) : ~0ull;
}

static inline uint64_t ir_remw(uint64_t a, uint64_t b)
{
    return ir_sx32((uint32_t)b ? ir_rem(ir_sx32(a), ir_sx32(b)) : a);
}

static inline uint64_t ir_remuw(uint64_t a, uint64_t b)
{
    return ir_sx32((uint32_t)b ? (uint32_t)a % (uint32_t)b : (uint32_t)a);
}

/* ---- NaN boxing (Unpriv 21.2) ---- */
static inline uint64_t ir_box_ones(FpFmt fmt)
{
    return fmt == FMT_F64 ? 0 : fmt == FMT_F32 ? ~0ull << 32 : ~0ull << 16;
}

static inline uint64_t ir_unbox(uint64_t a, FpFmt fmt)
{
    static const uint16_t nan[] = {[FMT_F16] = 0x7e00, [FMT_BF16] = 0x7fc0};
    uint64_t ones = ir_box_ones(fmt), other = fmt == FMT_F32 ? 0x7fc00000 : fmt == FMT_F64 ? 0 : nan[fmt];
    return (a & ones) == ones ? a & ~ones : other;
}
#endif
