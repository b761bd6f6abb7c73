/* SPDX-License-Identifier: Apache-2.0
 * hostfp.h - the arithmetic of softfp.h by this processor's own, where that is provably the same: ten times as fast.
 *
 * What for: inline fast paths of engines. An engine tries, and calls softfp where the answer is no.
 * Claim. fp_host_X(.., has_nx, &d) is true only if softfp's X to nearest even, under any FpMode, gives d and raises nothing, or
 *   nothing but NX where has_nx says that NX has accrued already. Then there is no NaN, no overflow, no underflow, no division
 *   by zero. What an FpMode of FP_HOST_NOT_MODES does with subnormals is not looked at: such modes must not come here.
 * How. IEEE 754-2019 leaves nothing open for such operands. That a result is exact, where NX has not accrued, is seen from the
 *   error, which is a floating-point number itself: of a sum by TwoSum (Knuth, TAOCP 2, 4.2.2), of a product, quotient or root
 *   by one fused operation (Boldo and Daumas, "Representable correcting terms", 2003), or, of f32, in double, where
 *   products of two f32 are exact. hostfp_test.c compares both ways over operands at every limit.
 * Assumes the processor's default environment: to nearest even, nothing flushed. Reads and clears no status of its FPU.
 * Values are as in softfp.h; the bits above an f32 operand must be 0. Thread rule: no state; any thread. */
#ifndef SIM_SOFTFP_HOSTFP_H
#define SIM_SOFTFP_HOSTFP_H

#include "sim/base/x86.h"
#include "sim/softfp/softfp.h"

#include <float.h>
#include <stdbool.h>
#include <stdint.h>

#define FP_HOST_NOT_MODES                                                                                              \
    (FPM_FZ_IN | FPM_FZ_OUT | FPM_FZ16_IN | FPM_FZ16_OUT | FPM_ID_ON_USE | FPM_ID_ON_FLUSH | FPM_UF_IF_EXACT)

_Static_assert(FLT_EVAL_METHOD == 0, "each operation rounds to its own type");
_Static_assert(FLT_MANT_DIG == 24 && DBL_MANT_DIG == 53, "float and double are f32 and f64");

typedef union {
    uint64_t bits;
    double value;
} FpHostF64;
typedef union {
    uint32_t bits;
    float value;
} FpHostF32;

static inline double fp_host_f64(uint64_t bits)
{
    return (FpHostF64){.bits = bits}.value;
}

static inline uint64_t fp_host_f64_bits(double value)
{
    return (FpHostF64){.value = value}.bits;
}

static inline float fp_host_f32(uint64_t bits)
{
    return (FpHostF32){.bits = (uint32_t)bits}.value;
}

static inline uint32_t fp_host_f32_bits(float value)
{
    return (FpHostF32){.value = value}.bits;
}

/* ---- fused multiplication, if the processor has it ---- */
static inline bool fp_host_has_fused(void)
{
#if defined(__x86_64__)
    return x86_has.fma;
#else
    return true;
#endif
}

/* a * b + c. x86_64: the instruction, as C's own would be a call where not every processor has it. */
static inline double fp_host_fused_f64(double a, double b, double c)
{
#if defined(__x86_64__)
    __asm__("vfmadd231sd %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
#else
    return __builtin_fma(a, b, c);
#endif
}

static inline float fp_host_fused_f32(float a, float b, float c)
{
#if defined(__x86_64__)
    __asm__("vfmadd231ss %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
#else
    return __builtin_fmaf(a, b, c);
#endif
}

/* ---- the root: C's own may be a call, which tells errno of negative numbers ---- */
static inline double fp_host_root_f64(double a)
{
#if defined(__x86_64__)
    __asm__("sqrtsd %0, %0" : "+x"(a));
    return a;
#else
    return __builtin_sqrt(a);
#endif
}

static inline float fp_host_root_f32(float a)
{
#if defined(__x86_64__)
    __asm__("sqrtss %0, %0" : "+x"(a));
    return a;
#else
    return __builtin_sqrtf(a);
#endif
}

/* ---- ranges ---- */
#define FP_HOST_FINITE_F64(bits) ((bits) << 1 < 0xffe0000000000000ull)
#define FP_HOST_FINITE_F32(bits) ((uint32_t)((bits) << 1) < 0xff000000u)
/* Normal and finite, and not the smallest binade, into which a tiny result may have been rounded up. */
#define FP_HOST_NORMAL_F64(bits) (((bits) << 1) - (2ull << 53) < 2045ull << 53)
#define FP_HOST_NORMAL_F32(bits) ((uint32_t)((bits) << 1) - (2u << 24) < 253u << 24)
/* Large enough that the error of a product or quotient of this size is a number. */
#define FP_HOST_ROOMY_F64(bits) ((bits) << 1 >= 128ull << 53)
#define FP_HOST_ZERO_F64(bits)  (!((bits) << 1))
#define FP_HOST_ZERO_F32(bits)  (!(uint32_t)((bits) << 1))

/* ---- f64 ---- */
/* A sum below the normal numbers is exact: no underflow. An infinite intermediate gives an error that is no 0. */
static inline bool fp_host_add_f64(uint64_t a_bits, uint64_t b_bits, bool has_nx, uint64_t *d)
{
    double a = fp_host_f64(a_bits), b = fp_host_f64(b_bits), sum = a + b;
    *d = fp_host_f64_bits(sum);
    if (has_nx) {
        return FP_HOST_FINITE_F64(*d);
    }
    double b_part = sum - a, error = (a - (sum - b_part)) + (b - b_part);
    return FP_HOST_FINITE_F64(*d) && error == 0;
}

static inline bool fp_host_sub_f64(uint64_t a, uint64_t b, bool has_nx, uint64_t *d)
{
    return fp_host_add_f64(a, b ^ 1ull << 63, has_nx, d);
}

static inline bool fp_host_mul_f64(uint64_t a_bits, uint64_t b_bits, bool has_nx, uint64_t *d)
{
    double a = fp_host_f64(a_bits), b = fp_host_f64(b_bits), product = a * b;
    *d = fp_host_f64_bits(product);
    if (!FP_HOST_NORMAL_F64(*d)) {
        return FP_HOST_ZERO_F64(*d) && (FP_HOST_ZERO_F64(a_bits) || FP_HOST_ZERO_F64(b_bits));
    }
    return has_nx || (FP_HOST_ROOMY_F64(*d) && fp_host_has_fused() && fp_host_fused_f64(a, b, -product) == 0);
}

static inline bool fp_host_div_f64(uint64_t a_bits, uint64_t b_bits, bool has_nx, uint64_t *d)
{
    double a = fp_host_f64(a_bits), b = fp_host_f64(b_bits), quotient = a / b;
    *d = fp_host_f64_bits(quotient);
    if (!FP_HOST_NORMAL_F64(*d)) {
        return FP_HOST_ZERO_F64(*d) && FP_HOST_ZERO_F64(a_bits);
    }
    return has_nx || (FP_HOST_ROOMY_F64(a_bits) && fp_host_has_fused() && fp_host_fused_f64(quotient, b, -a) == 0);
}

static inline bool fp_host_sqrt_f64(uint64_t a_bits, bool has_nx, uint64_t *d)
{
    double a = fp_host_f64(a_bits), root = fp_host_root_f64(a);
    *d = fp_host_f64_bits(root);
    if (!FP_HOST_NORMAL_F64(*d)) {
        return FP_HOST_ZERO_F64(*d);
    }
    return has_nx || (FP_HOST_ROOMY_F64(a_bits) && fp_host_has_fused() && fp_host_fused_f64(root, root, -a) == 0);
}

/* Call only if fp_host_has_fused(). */
static inline bool fp_host_fma_f64(uint64_t a, uint64_t b, uint64_t c, bool has_nx, uint64_t *d)
{
    *d = fp_host_f64_bits(fp_host_fused_f64(fp_host_f64(a), fp_host_f64(b), fp_host_f64(c)));
    return has_nx && FP_HOST_NORMAL_F64(*d);
}

/* ---- f32 ---- */
static inline bool fp_host_add_f32(uint64_t a_bits, uint64_t b_bits, bool has_nx, uint64_t *d)
{
    float a = fp_host_f32(a_bits), b = fp_host_f32(b_bits), sum = a + b;
    *d = fp_host_f32_bits(sum);
    if (has_nx) {
        return FP_HOST_FINITE_F32(*d);
    }
    float b_part = sum - a, error = (a - (sum - b_part)) + (b - b_part);
    return FP_HOST_FINITE_F32(*d) && error == 0;
}

static inline bool fp_host_sub_f32(uint64_t a, uint64_t b, bool has_nx, uint64_t *d)
{
    return fp_host_add_f32(a, b ^ 1u << 31, has_nx, d);
}

static inline bool fp_host_mul_f32(uint64_t a_bits, uint64_t b_bits, bool has_nx, uint64_t *d)
{
    double product = (double)fp_host_f32(a_bits) * (double)fp_host_f32(b_bits);
    float rounded = (float)product;
    *d = fp_host_f32_bits(rounded);
    if (!FP_HOST_NORMAL_F32(*d)) {
        return product == 0;
    }
    return has_nx || (double)rounded == product;
}

static inline bool fp_host_div_f32(uint64_t a_bits, uint64_t b_bits, bool has_nx, uint64_t *d)
{
    float a = fp_host_f32(a_bits), b = fp_host_f32(b_bits), quotient = a / b;
    *d = fp_host_f32_bits(quotient);
    if (!FP_HOST_NORMAL_F32(*d)) {
        return FP_HOST_ZERO_F32(*d) && FP_HOST_ZERO_F32(a_bits);
    }
    return has_nx || (double)quotient * (double)b == (double)a;
}

static inline bool fp_host_sqrt_f32(uint64_t a_bits, bool has_nx, uint64_t *d)
{
    float a = fp_host_f32(a_bits), root = fp_host_root_f32(a);
    *d = fp_host_f32_bits(root);
    if (!FP_HOST_NORMAL_F32(*d)) {
        return FP_HOST_ZERO_F32(*d);
    }
    return has_nx || (double)root * (double)root == (double)a;
}

static inline bool fp_host_fma_f32(uint64_t a, uint64_t b, uint64_t c, bool has_nx, uint64_t *d)
{
    *d = fp_host_f32_bits(fp_host_fused_f32(fp_host_f32(a), fp_host_f32(b), fp_host_f32(c)));
    return has_nx && FP_HOST_NORMAL_F32(*d);
}

/* ---- order: false if an operand is a NaN, of any kind ---- */
#define FP_HOST_ORDER(name, expr)                                                                                      \
    static inline bool fp_host_##name##_f64(uint64_t a_bits, uint64_t b_bits, uint64_t *d)                             \
    {                                                                                                                  \
        double a = fp_host_f64(a_bits), b = fp_host_f64(b_bits);                                                       \
        *d = (expr);                                                                                                   \
        return !__builtin_isunordered(a, b);                                                                           \
    }                                                                                                                  \
    static inline bool fp_host_##name##_f32(uint64_t a_bits, uint64_t b_bits, uint64_t *d)                             \
    {                                                                                                                  \
        float a = fp_host_f32(a_bits), b = fp_host_f32(b_bits);                                                        \
        *d = (expr);                                                                                                   \
        return !__builtin_isunordered(a, b);                                                                           \
    }
FP_HOST_ORDER(eq, a == b)
FP_HOST_ORDER(lt, a < b)
FP_HOST_ORDER(le, a <= b)
/* Equal operands are the same, or zeros: or prefers -0, and +0 (fp_minnum, fp_maxnum without NaNs). */
FP_HOST_ORDER(min, a == b ? a_bits | b_bits : a < b ? a_bits : b_bits)
FP_HOST_ORDER(max, a == b ? a_bits & b_bits : a < b ? b_bits : a_bits)
#undef FP_HOST_ORDER

/* ---- conversions ---- */
static inline bool fp_host_f32_of_f64(uint64_t a_bits, bool has_nx, uint64_t *d)
{
    double a = fp_host_f64(a_bits);
    float rounded = (float)a;
    *d = fp_host_f32_bits(rounded);
    if (!FP_HOST_NORMAL_F32(*d)) {
        return FP_HOST_ZERO_F64(a_bits);
    }
    return has_nx || (double)rounded == a;
}

static inline bool fp_host_f64_of_f32(uint64_t a, uint64_t *d) /* exact */
{
    *d = fp_host_f64_bits((double)fp_host_f32(a));
    return FP_HOST_FINITE_F32(a);
}

static inline uint64_t fp_host_f64_of_i32(uint64_t a) /* exact */
{
    return fp_host_f64_bits((double)(int32_t)a);
}

static inline uint64_t fp_host_f64_of_u32(uint64_t a)
{
    return fp_host_f64_bits((double)(uint32_t)a);
}

static inline bool fp_host_f64_of_i64(uint64_t a, bool has_nx, uint64_t *d)
{
    *d = fp_host_f64_bits((double)(int64_t)a);
    return has_nx || a + (1ull << 53) <= 1ull << 54;
}

static inline bool fp_host_f32_of_i32(uint64_t a, bool has_nx, uint64_t *d)
{
    *d = fp_host_f32_bits((float)(int32_t)a);
    return has_nx || (uint32_t)a + (1u << 24) <= 1u << 25;
}

/* Truncation (RM_RTZ) of what is within the integers. Its fraction being gone, the integer is exact as a double. */
#define FP_HOST_TRUNCATE(name, type, bits, below, above)                                                               \
    static inline bool fp_host_##name##_of_f64(uint64_t a_bits, bool has_nx, uint64_t *d)                              \
    {                                                                                                                  \
        double a = fp_host_f64(a_bits);                                                                                \
        if (!(a > (below) && a < (above))) { /* a NaN too */                                                           \
            return false;                                                                                              \
        }                                                                                                              \
        type value = (type)a;                                                                                          \
        *d = (bits)value;                                                                                              \
        return has_nx || (double)value == a;                                                                           \
    }                                                                                                                  \
    static inline bool fp_host_##name##_of_f32(uint64_t a, bool has_nx, uint64_t *d)                                   \
    {                                                                                                                  \
        return fp_host_##name##_of_f64(fp_host_f64_bits((double)fp_host_f32(a)), has_nx, d);                           \
    }
FP_HOST_TRUNCATE(i32, int32_t, uint32_t, -0x1.00000002p31, 0x1p31)
FP_HOST_TRUNCATE(u32, uint32_t, uint32_t, -1.0, 0x1p32)
FP_HOST_TRUNCATE(i64, int64_t, uint64_t, -0x1p63, 0x1p63)
FP_HOST_TRUNCATE(u64, uint64_t, uint64_t, -1.0, 0x1p64)
#undef FP_HOST_TRUNCATE
#endif
