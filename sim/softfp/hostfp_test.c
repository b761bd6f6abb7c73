/* SPDX-License-Identifier: Apache-2.0
 * hostfp_test.c - the claim of hostfp.h: where a fast path says yes, softfp gives the same bits and no flag that has not
 * accrued; and it says yes to ordinary numbers. */
#include "sim/base/test.h"
#include "sim/softfp/hostfp.h"
#include "sim/softfp/test_operands.h"

enum { NRANDOM = 250000, MAX_FAILURES = 5 };

typedef bool Fast1(uint64_t a, bool has_nx, uint64_t *d);
typedef bool Fast2(uint64_t a, uint64_t b, bool has_nx, uint64_t *d);
typedef bool Fast3(uint64_t a, uint64_t b, uint64_t c, bool has_nx, uint64_t *d);
typedef bool Order(uint64_t a, uint64_t b, uint64_t *d);
typedef uint64_t Soft(const uint64_t v[3], uint32_t mode, uint32_t *flags);

typedef struct {
    const char *name;
    FpFmt fmt;
    bool is_int; /* the operand is an integer */
    Fast1 *fast1;
    Fast2 *fast2;
    Fast3 *fast3;
    Order *order;
    Soft *soft;
} Case;

#define SOFT(name, expr)                                                                                               \
    static uint64_t soft_##name(const uint64_t v[3], uint32_t mode, uint32_t *flags)                                   \
    {                                                                                                                  \
        (void)mode;                                                                                                    \
        return (expr);                                                                                                 \
    }
#define SOFT_OF(x, F)                                                                                                  \
    SOFT(add_##x, fp_add(F, v[0], v[1], RM_RNE, mode, flags))                                                          \
    SOFT(sub_##x, fp_sub(F, v[0], v[1], RM_RNE, mode, flags))                                                          \
    SOFT(mul_##x, fp_mul(F, v[0], v[1], RM_RNE, mode, flags))                                                          \
    SOFT(div_##x, fp_div(F, v[0], v[1], RM_RNE, mode, flags))                                                          \
    SOFT(sqrt_##x, fp_sqrt(F, v[0], RM_RNE, mode, flags))                                                              \
    SOFT(fma_##x, fp_fma(F, v[0], v[1], v[2], RM_RNE, mode, flags))                                                    \
    SOFT(eq_##x, fp_compare_signal(F, v[0], v[1], RM_RNE, mode, flags) == FP_EQUAL)                                    \
    SOFT(lt_##x, fp_compare_signal(F, v[0], v[1], RM_RNE, mode, flags) == FP_LESS)                                     \
    SOFT(le_##x, fp_compare_signal(F, v[0], v[1], RM_RNE, mode, flags) <= FP_LESS)                                     \
    SOFT(min_##x, fp_minnum(F, v[0], v[1], RM_RNE, mode, flags))                                                       \
    SOFT(max_##x, fp_maxnum(F, v[0], v[1], RM_RNE, mode, flags))                                                       \
    SOFT(i32_of_##x, fp_to_int(F, v[0], FP_I32, 0, RM_RTZ, mode, flags))                                               \
    SOFT(u32_of_##x, fp_to_int(F, v[0], FP_U32, 0, RM_RTZ, mode, flags))                                               \
    SOFT(i64_of_##x, fp_to_int(F, v[0], FP_I64, 0, RM_RTZ, mode, flags))                                               \
    SOFT(u64_of_##x, fp_to_int(F, v[0], FP_U64, 0, RM_RTZ, mode, flags))
SOFT_OF(f32, FMT_F32)
SOFT_OF(f64, FMT_F64)
SOFT(f32_of_f64, fp_convert(FMT_F32, FMT_F64, v[0], RM_RNE, mode, flags))
SOFT(f64_of_f32, fp_convert(FMT_F64, FMT_F32, v[0], RM_RNE, mode, flags))
SOFT(f64_of_i32, fp_from_int(FMT_F64, v[0], FP_I32, 0, RM_RNE, mode, flags))
SOFT(f64_of_u32, fp_from_int(FMT_F64, v[0], FP_U32, 0, RM_RNE, mode, flags))
SOFT(f64_of_i64, fp_from_int(FMT_F64, v[0], FP_I64, 0, RM_RNE, mode, flags))
SOFT(f32_of_i32, fp_from_int(FMT_F32, v[0], FP_I32, 0, RM_RNE, mode, flags))

static bool exact_f64_of_f32(uint64_t a, bool has_nx, uint64_t *d)
{
    (void)has_nx;
    return fp_host_f64_of_f32(a, d);
}

static bool exact_f64_of_i32(uint64_t a, bool has_nx, uint64_t *d)
{
    (void)has_nx;
    *d = fp_host_f64_of_i32(a);
    return true;
}

static bool exact_f64_of_u32(uint64_t a, bool has_nx, uint64_t *d)
{
    (void)has_nx;
    *d = fp_host_f64_of_u32(a);
    return true;
}

#define ROWS_OF(x, fmt)                                                                                                \
    {"add_" #x, fmt, false, NULL, fp_host_add_##x, NULL, NULL, soft_add_##x},                                          \
        {"sub_" #x, fmt, false, NULL, fp_host_sub_##x, NULL, NULL, soft_sub_##x},                                      \
        {"mul_" #x, fmt, false, NULL, fp_host_mul_##x, NULL, NULL, soft_mul_##x},                                      \
        {"div_" #x, fmt, false, NULL, fp_host_div_##x, NULL, NULL, soft_div_##x},                                      \
        {"sqrt_" #x, fmt, false, fp_host_sqrt_##x, NULL, NULL, NULL, soft_sqrt_##x},                                   \
        {"fma_" #x, fmt, false, NULL, NULL, fp_host_fma_##x, NULL, soft_fma_##x},                                      \
        {"eq_" #x, fmt, false, NULL, NULL, NULL, fp_host_eq_##x, soft_eq_##x},                                         \
        {"lt_" #x, fmt, false, NULL, NULL, NULL, fp_host_lt_##x, soft_lt_##x},                                         \
        {"le_" #x, fmt, false, NULL, NULL, NULL, fp_host_le_##x, soft_le_##x},                                         \
        {"min_" #x, fmt, false, NULL, NULL, NULL, fp_host_min_##x, soft_min_##x},                                      \
        {"max_" #x, fmt, false, NULL, NULL, NULL, fp_host_max_##x, soft_max_##x},                                      \
        {"i32_of_" #x, fmt, false, fp_host_i32_of_##x, NULL, NULL, NULL, soft_i32_of_##x},                             \
        {"u32_of_" #x, fmt, false, fp_host_u32_of_##x, NULL, NULL, NULL, soft_u32_of_##x},                             \
        {"i64_of_" #x, fmt, false, fp_host_i64_of_##x, NULL, NULL, NULL, soft_i64_of_##x},                             \
        {"u64_of_" #x, fmt, false, fp_host_u64_of_##x, NULL, NULL, NULL, soft_u64_of_##x},
static const Case cases[] = {
    ROWS_OF(f32, FMT_F32)
        ROWS_OF(f64, FMT_F64){"f32_of_f64", FMT_F64, false, fp_host_f32_of_f64, NULL, NULL, NULL, soft_f32_of_f64},
    {"f64_of_f32", FMT_F32, false, exact_f64_of_f32, NULL, NULL, NULL, soft_f64_of_f32},
    {"f64_of_i32", FMT_F64, true, exact_f64_of_i32, NULL, NULL, NULL, soft_f64_of_i32},
    {"f64_of_u32", FMT_F64, true, exact_f64_of_u32, NULL, NULL, NULL, soft_f64_of_u32},
    {"f64_of_i64", FMT_F64, true, fp_host_f64_of_i64, NULL, NULL, NULL, soft_f64_of_i64},
    {"f32_of_i32", FMT_F32, true, fp_host_f32_of_i32, NULL, NULL, NULL, soft_f32_of_i32},
};

static bool fast(const Case *t, const uint64_t v[3], bool has_nx, uint64_t *d)
{
    return t->fast1   ? t->fast1(v[0], has_nx, d)
           : t->fast2 ? t->fast2(v[0], v[1], has_nx, d)
           : t->fast3 ? t->fast3(v[0], v[1], v[2], has_nx, d)
                      : t->order(v[0], v[1], d);
}

static void operands(const Case *t, Random *r, uint64_t v[3])
{
    const FpFormat *f = fp_format(t->fmt);
    v[0] = random_operand(f, r);
    v[1] = random_partner(t->fmt, r, v[0]);
    v[2] = random_operand(f, r);
    if (t->is_int) {
        v[0] = (random_next(r) >> random_below(r, 64)) ^ -(uint64_t)random_below(r, 2);
    }
    if (t->fast3 && random_below(r, 2)) { /* near the product: cancellation */
        uint32_t unused = 0;
        v[2] = random_partner(t->fmt, r, fp_mul(t->fmt, v[0], v[1], RM_RNE, FP_MODE_RISCV, &unused));
        v[2] ^= format_sign(f, true);
    }
}

static bool is_same(const Case *t, const uint64_t v[3], bool has_nx, uint32_t mode)
{
    uint64_t d = 0;
    uint32_t flags = 0;
    if (!fast(t, v, has_nx, &d)) {
        return true;
    }
    uint64_t want = t->soft(v, mode, &flags);
    if (d == want && !(flags & ~(has_nx ? (unsigned)FP_NX : 0u))) {
        return true;
    }
    printf("%s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 "), NX accrued %d: got %#" PRIx64 ", softfp %#" PRIx64
           " flags %#x\n",
           t->name, v[0], v[1], v[2], has_nx, d, want, flags);
    return false;
}

static bool is_here(const Case *t)
{
    return !t->fast3 || fp_host_has_fused();
}

TEST(hostfp, where_it_says_yes_softfp_gives_the_same_and_raises_nothing_new)
{
    static const uint32_t modes[] = {FP_MODE_RISCV, FP_MODE_AARCH64 & ~FP_HOST_NOT_MODES,
                                     FP_MODE_X86_SSE & ~FP_HOST_NOT_MODES};
    Random r = random_start();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned nbad = 0;
        for (unsigned n = 0; is_here(&cases[i]) && n < NRANDOM && nbad < MAX_FAILURES; n++) {
            uint64_t v[3];
            operands(&cases[i], &r, v);
            nbad += !is_same(&cases[i], v, false, modes[n % 3]);
            nbad += !is_same(&cases[i], v, true, modes[n % 3]);
        }
        CHECK_INT(nbad, 0);
    }
}

TEST(hostfp, it_says_yes_to_ordinary_numbers)
{
    Random r = random_start();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const FpFormat *f = fp_format(cases[i].fmt);
        unsigned nyes = 0, nexact = 0;
        for (unsigned n = 0; is_here(&cases[i]) && n < 1000; n++) {
            uint64_t v[3], d;
            for (unsigned k = 0; k < 3; k++) { /* 1 to 32768; whole numbers to 256 */
                uint64_t exp = (uint64_t)(format_bias(f) + (int)random_below(&r, 15)) << f->frac_bits;
                v[k] = exp | (random_next(&r) & ((1ull << f->frac_bits) - 1));
            }
            nyes += fast(&cases[i], v, true, &d);
            uint32_t flags = 0;
            for (unsigned k = 0; k < 3 && !cases[i].is_int; k++) {
                v[k] = fp_from_int(cases[i].fmt, 1 + random_below(&r, 256), FP_U32, 0, RM_RNE, FP_MODE_RISCV, &flags);
            }
            v[0] = cases[i].soft == soft_sqrt_f32 || cases[i].soft == soft_sqrt_f64 ? v[1] : v[0];
            flags = 0;
            cases[i].soft(v, FP_MODE_RISCV, &flags);
            nexact += flags || cases[i].fast3 || (cases[i].is_int && n) || fast(&cases[i], v, false, &d);
        }
        CHECK_INT(nyes, is_here(&cases[i]) ? 1000 : 0);
        CHECK_INT(nexact, is_here(&cases[i]) ? 1000 : 0);
    }
}
