/* SPDX-License-Identifier: Apache-2.0
 * softfp.h - IEEE 754-2019 arithmetic in integers: the same bits and the same flags on every host.
 *
 * What for: interpreter helpers, the IR evaluator, and the oracle of code that uses the host's FPU. Results, flags and
 * NaNs are those of the architecture that `mode` describes; nothing here reads or writes host floating-point state.
 *
 * Values. A number of format `fmt` is the low bits of a uint64_t: higher bits of an operand are ignored, those of a
 * result are 0. NaN boxing (Unpriv 21.2) and vector lanes are the caller's.
 * Shapes. An operation has one of the types FpOp1, FpOp2, FpOp3, so that tables hold them. One that does not round
 * (min, max, compare) ignores rm.
 * Flags. Each operation ORs FP_x into *flags and clears none. The order of exceptions is "as if all are masked"; a guest
 * that unmasks some decides from the flags of the one operation, under FPM_UF_IF_EXACT where underflow is unmasked.
 * Errors: none. fmt, rm and kind come from our own code and are asserted; every bit pattern is a valid operand.
 * Thread rule: no state; any thread.
 * Sources: IEEE 754-2019; RISC-V Unprivileged ISA 20240411 ("Unpriv") chapters 20, 21; Intel SDM volume 1 ("SDM1")
 * chapters 4, 10, 11 and volume 2 ("SDM2", by instruction); Arm ARM DDI 0487 shared/functions/float (names FPx). */
#ifndef SIM_SOFTFP_SOFTFP_H
#define SIM_SOFTFP_SOFTFP_H

#include <stdbool.h>
#include <stdint.h>

/* One row of fp_formats (core.h) each; the numbers are those of the IR's aux field. */
typedef enum { FMT_F16, FMT_BF16, FMT_F32, FMT_F64 } FpFmt;

/* 0..4 are the encodings of RISC-V's rm (Unpriv 20.2). RMM: nearest, ties away from zero. ODD: truncated, and the last
 * bit is 1 if inexact (Arm FPRounding_ODD); it never overflows to infinity. */
typedef enum { RM_RNE, RM_RTZ, RM_RDN, RM_RUP, RM_RMM, RM_ODD } FpRound;

/* RISC-V's fflags (Unpriv 20.2), and FP_ID: x86 DE under FPM_ID_ON_USE, Arm IDC under FPM_ID_ON_FLUSH. */
enum { FP_NX = 1, FP_UF = 2, FP_OF = 4, FP_DZ = 8, FP_NV = 16, FP_ID = 32 };

/* FpMode: how an architecture fills in what IEEE 754 leaves open. */
enum {
    /* Result of an operation with a NaN operand, one of three. A signalling NaN raises NV under each. */
    FPM_NAN_DEFAULT = 0, /* always the default NaN (Unpriv 20.3; Arm FPCR.DN) */
    FPM_NAN_ARM = 1,     /* the first signalling, else the first quiet one (FPProcessNaNs); fma: addend first */
    FPM_NAN_SSE = 2,     /* the first one (SDM1 table 4-7); fma: multiplicands first */
    FPM_NAN_RULE = 3,
    FPM_NAN_NEGATIVE = 1 << 2, /* the default NaN has its sign set (x86 indefinite; Arm FPCR.AH) */
    FPM_TINY_AFTER = 1 << 3,   /* tininess is seen after rounding, 754-2019 7.5 a; else before */
    /* Subnormals. Formats f32, f64, bf16 obey FZ; f16 obeys FZ16, except in fp_convert (Arm FPUnpackCV, FPRoundCV). */
    FPM_FZ_IN = 1 << 4,  /* x86 DAZ; Arm FPCR.FZ sets both */
    FPM_FZ_OUT = 1 << 5, /* a tiny result becomes 0 of its sign and raises UF; x86 FTZ, while underflow is masked */
    FPM_FZ16_IN = 1 << 6,
    FPM_FZ16_OUT = 1 << 7,
    FPM_FZ_NX = 1 << 8,        /* FZ_OUT raises NX as well (SDM1 10.2.3.3) */
    FPM_ID_ON_USE = 1 << 9,    /* FP_ID: a subnormal took part in an arithmetic operation (SDM1 4.9.1.2) */
    FPM_ID_ON_FLUSH = 1 << 10, /* FP_ID: FZ_IN flushed an operand (FPUnpack); FZ16_IN never raises it */
    /* fp_to_int of a NaN or of what is out of range, one of three. NV each time. */
    FPM_INT_MAX = 0,              /* nearest limit; NaN: the largest (Unpriv 20.7) */
    FPM_INT_ZERO = 1 << 11,       /* nearest limit; NaN: 0 (FPToFixed) */
    FPM_INT_INDEFINITE = 2 << 11, /* signed: the smallest; unsigned: all ones (SDM1 table 11-1) */
    FPM_INT_RULE = 3 << 11,
    /* fma(inf, 0, quiet NaN) */
    FPM_FMA_NV = 1 << 13,      /* raises NV (Unpriv 20.6; FPMulAdd) */
    FPM_FMA_DEFAULT = 1 << 14, /* gives the default NaN, not the addend (FPMulAdd) */
    /* minimum and maximum */
    FPM_MIN_SECOND = 1 << 15,  /* fp_min, fp_max as MINSD, MAXSD: NaN or two zeros: operand b as it is; any NaN: NV */
    FPM_MINNUM_2008 = 1 << 16, /* fp_minnum, fp_maxnum: a signalling NaN gives a NaN (FPMinNum) */
    FPM_UF_IF_EXACT = 1 << 17, /* UF for a tiny result even if exact: what an unmasked underflow traps on */

    FP_MODE_RISCV = FPM_NAN_DEFAULT | FPM_TINY_AFTER | FPM_INT_MAX | FPM_FMA_NV,
    FP_MODE_X86_SSE = FPM_NAN_SSE | FPM_NAN_NEGATIVE | FPM_TINY_AFTER | FPM_FZ_NX | FPM_ID_ON_USE | FPM_INT_INDEFINITE |
                      FPM_MIN_SECOND,
    FP_MODE_AARCH64 = FPM_NAN_ARM | FPM_ID_ON_FLUSH | FPM_INT_ZERO | FPM_FMA_NV | FPM_FMA_DEFAULT | FPM_MINNUM_2008,
};

typedef uint64_t FpOp1(FpFmt fmt, uint64_t a, FpRound rm, uint32_t mode, uint32_t *flags);
typedef uint64_t FpOp2(FpFmt fmt, uint64_t a, uint64_t b, FpRound rm, uint32_t mode, uint32_t *flags);
typedef uint64_t FpOp3(FpFmt fmt, uint64_t a, uint64_t b, uint64_t c, FpRound rm, uint32_t mode, uint32_t *flags);

/* ---- arithmetic, correctly rounded ---- */
FpOp2 fp_add, fp_sub, fp_mul, fp_div;
FpOp1 fp_sqrt;
FpOp3 fp_fma; /* a * b + c, one rounding; the negated forms by fp_negate of operands */
FpOp2 fp_rem; /* a - n * b, n = a / b to nearest even: always exact (754-2019 5.3.1) */
/* The sign turned. Under FPM_NAN_SSE a NaN keeps its sign, as x86 negates products, not operands
 * (SDM2 VFNMADD). */
uint64_t fp_negate(FpFmt fmt, uint64_t a, uint32_t mode);

/* ---- to an integer in the same format; the sign of a zero is the operand's ---- */
FpOp1 fp_round_int;       /* raises no NX */
FpOp1 fp_round_int_exact; /* raises NX */

/* ---- minimum, maximum; -0 < +0, but see FPM_MIN_SECOND ---- */
FpOp2 fp_min, fp_max;       /* a NaN operand gives a NaN: 754-2019 minimum; Arm FMIN, Zfa fminm */
FpOp2 fp_minnum, fp_maxnum; /* a quiet NaN loses: 754-2019 minimumNumber; RISC-V FMIN, Arm FMINNM */

/* ---- comparison: an FpOrder, made for `1u << order & mask` ---- */
typedef enum { FP_EQUAL, FP_LESS, FP_GREATER, FP_UNORDERED } FpOrder;
FpOp2 fp_compare;        /* quiet: NV for a signalling NaN */
FpOp2 fp_compare_signal; /* NV for any NaN */

/* One bit set, the result of RISC-V fclass (Unpriv 20.9). Raises and flushes nothing. */
enum {
    FP_CLASS_NEG_INF = 1,
    FP_CLASS_NEG_NORMAL = 2,
    FP_CLASS_NEG_SUBNORMAL = 4,
    FP_CLASS_NEG_ZERO = 8,
    FP_CLASS_ZERO = 16,
    FP_CLASS_SUBNORMAL = 32,
    FP_CLASS_NORMAL = 64,
    FP_CLASS_INF = 128,
    FP_CLASS_SNAN = 256,
    FP_CLASS_QNAN = 512,
};
uint32_t fp_class(FpFmt fmt, uint64_t a);

/* ---- conversions ---- */
/* A NaN keeps its sign and the upper bits of its payload, unless FPM_NAN_DEFAULT. */
uint64_t fp_convert(FpFmt to, FpFmt from, uint64_t a, FpRound rm, uint32_t mode, uint32_t *flags);
/* Integers. A 32-bit one is the low half of a uint64_t: the other half of an operand is ignored, of a result is 0.
 * fbits (0..64): the integer counts units of 2^-fbits (Arm FixedToFP, FPToFixed); 0 for plain integers. */
typedef enum { FP_I32, FP_U32, FP_I64, FP_U64 } FpInt;
uint64_t fp_from_int(FpFmt fmt, uint64_t value, FpInt kind, unsigned fbits, FpRound rm, uint32_t mode, uint32_t *flags);
/* NX if inexact and in range; out of range: FPM_INT_x. */
uint64_t fp_to_int(FpFmt fmt, uint64_t a, FpInt kind, unsigned fbits, FpRound rm, uint32_t mode, uint32_t *flags);
#endif
