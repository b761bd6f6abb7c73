/* SPDX-License-Identifier: Apache-2.0
 * host_test.c - FP_MODE_X86_SSE against the processor it describes: results and all six flags of each instruction,
 * under random MXCSR rounding, DAZ and FTZ. Elsewhere than on an x86_64 these tests are skipped. */
#include "sim/base/test.h"
#include "sim/softfp/softfp.h"
#include "sim/softfp/test_operands.h"

#ifdef __x86_64__
#include <cpuid.h>

enum { MXCSR_DAZ = 1 << 6, MXCSR_MASKS = 0x1f80, MXCSR_RC = 13, MXCSR_FTZ = 1 << 15 };
enum { NRANDOM = 150000 };

typedef uint64_t HostOp(uint64_t a, uint64_t b, uint64_t c, uint32_t mxcsr, uint32_t *flags);

/* The operands are in xmm0, xmm1, xmm2 and a; the result is taken from xmm0 (FROM_XMM) or rax. */
#define HOST(name, code)                                                                                               \
    static uint64_t host_##name(uint64_t a, uint64_t b, uint64_t c, uint32_t mxcsr, uint32_t *flags)                   \
    {                                                                                                                  \
        uint32_t after, before;                                                                                        \
        uint64_t result = 0;                                                                                           \
        __asm__ volatile("stmxcsr %[before]\n\tldmxcsr %[mxcsr]\n\tmovq %[a], %%xmm0\n\tmovq %[b], %%xmm1\n\t"         \
                         "movq %[c], %%xmm2\n\t" code "\n\tstmxcsr %[after]\n\tldmxcsr %[before]"                      \
                         : [result] "=&a"(result), [after] "=m"(after), [before] "=m"(before)                          \
                         : [a] "r"(a), [b] "r"(b), [c] "r"(c), [mxcsr] "m"(mxcsr)                                      \
                         : "xmm0", "xmm1", "xmm2", "rcx", "cc");                                                       \
        *flags = after & 0x3f;                                                                                         \
        return result;                                                                                                 \
    }
#define FROM_XMM "\n\tmovq %%xmm0, %[result]"
/* FpOrder from ZF, PF, CF: all three = unordered, CF = less, ZF = equal */
#define FROM_FLAGS                                                                                                     \
    "\n\tmovl $2, %%eax\n\tmovl $1, %%ecx\n\tcmovcl %%ecx, %%eax\n\tmovl $0, %%ecx\n\tcmovzl %%ecx, %%eax\n\t"         \
    "movl $3, %%ecx\n\tcmovpl %%ecx, %%eax"
#define HOST_BOTH(name, code)                                                                                          \
    HOST(name##_f64, code "d %%xmm1, %%xmm0" FROM_XMM)                                                                 \
    HOST(name##_f32, code "s %%xmm1, %%xmm0" FROM_XMM)
HOST_BOTH(add, "adds")
HOST_BOTH(sub, "subs")
HOST_BOTH(mul, "muls")
HOST_BOTH(div, "divs")
HOST_BOTH(min, "mins")
HOST_BOTH(max, "maxs")
HOST(sqrt_f64, "sqrtsd %%xmm0, %%xmm0" FROM_XMM)
HOST(sqrt_f32, "sqrtss %%xmm0, %%xmm0" FROM_XMM)
HOST(round_f64, "roundsd $12, %%xmm0, %%xmm0" FROM_XMM)
HOST(round_f32, "roundss $12, %%xmm0, %%xmm0" FROM_XMM)
HOST(rint_f64, "roundsd $4, %%xmm0, %%xmm0" FROM_XMM)
HOST(rint_f32, "roundss $4, %%xmm0, %%xmm0" FROM_XMM)
HOST(ucomi_f64, "ucomisd %%xmm1, %%xmm0" FROM_FLAGS)
HOST(ucomi_f32, "ucomiss %%xmm1, %%xmm0" FROM_FLAGS)
HOST(comi_f64, "comisd %%xmm1, %%xmm0" FROM_FLAGS)
HOST(comi_f32, "comiss %%xmm1, %%xmm0" FROM_FLAGS)
HOST(f64_of_f32, "cvtss2sd %%xmm0, %%xmm0" FROM_XMM)
HOST(f32_of_f64, "cvtsd2ss %%xmm0, %%xmm0" FROM_XMM)
HOST(f32_of_f16, "vcvtph2ps %%xmm0, %%xmm0" FROM_XMM)
HOST(f16_of_f32, "vcvtps2ph $4, %%xmm0, %%xmm0" FROM_XMM)
HOST(i32_of_f64, "cvtsd2si %%xmm0, %%eax")
HOST(i64_of_f64, "cvtsd2si %%xmm0, %%rax")
HOST(i32_of_f32, "cvtss2si %%xmm0, %%eax")
HOST(i64_of_f32, "cvtss2si %%xmm0, %%rax")
HOST(f64_of_i32, "cvtsi2sdl %k[a], %%xmm0" FROM_XMM)
HOST(f64_of_i64, "cvtsi2sdq %[a], %%xmm0" FROM_XMM)
HOST(f32_of_i32, "cvtsi2ssl %k[a], %%xmm0" FROM_XMM)
HOST(f32_of_i64, "cvtsi2ssq %[a], %%xmm0" FROM_XMM)
/* a * b + c in each of the three forms. The multiplicands' order, by which NaNs win, is that of the SDM2 formula:
 * 132 DEST * SRC3 + SRC2, 213 SRC2 * DEST + SRC3, 231 SRC2 * SRC3 + DEST; AT&T writes SRC3, SRC2, DEST. */
#define HOST_FMA(name, form132, form213, form231)                                                                      \
    HOST(fma132_##name, form132 " %%xmm1, %%xmm2, %%xmm0" FROM_XMM)                                                    \
    HOST(fma213_##name, form213 " %%xmm2, %%xmm0, %%xmm1\n\tmovapd %%xmm1, %%xmm0" FROM_XMM)                           \
    HOST(fma231_##name, form231 " %%xmm1, %%xmm0, %%xmm2\n\tmovapd %%xmm2, %%xmm0" FROM_XMM)
HOST_FMA(f64, "vfmadd132sd", "vfmadd213sd", "vfmadd231sd")
HOST_FMA(f32, "vfmadd132ss", "vfmadd213ss", "vfmadd231ss")

static bool has_fma(void)
{
    return __builtin_cpu_supports("fma");
}

static bool has_f16c(void)
{
    unsigned a, b, c, d; /* not every compiler's __builtin_cpu_supports knows f16c */
    return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

typedef enum { SHAPE_1, SHAPE_2, SHAPE_3, SHAPE_CONVERT, SHAPE_TO_INT, SHAPE_FROM_INT } Shape;

typedef struct {
    const char *name;
    HostOp *host;
    bool (*is_there)(void);
    Shape shape;
    FpFmt fmt, to;
    FpInt kind;
    uint32_t ignored; /* flags and modes that the instruction has not */
    FpOp1 *op1;
    FpOp2 *op2;
    FpOp3 *op3;
} HostCase;

#define OP1(host, fp, fmt)                                                                                             \
    {                                                                                                                  \
#host, host_##host, NULL, SHAPE_1, fmt, fmt, 0, 0, fp, NULL, NULL                                              \
    }
#define OP2(host, fp, fmt)                                                                                             \
    {                                                                                                                  \
#host, host_##host, NULL, SHAPE_2, fmt, fmt, 0, 0, NULL, fp, NULL                                              \
    }
#define OP3(host, fp, fmt)                                                                                             \
    {                                                                                                                  \
#host, host_##host, has_fma, SHAPE_3, fmt, fmt, 0, 0, NULL, NULL, fp                                           \
    }
#define BOTH1(name, fp) OP1(name##_f64, fp, FMT_F64), OP1(name##_f32, fp, FMT_F32)
#define BOTH2(name, fp) OP2(name##_f64, fp, FMT_F64), OP2(name##_f32, fp, FMT_F32)
#define CONVERT(host, is_there, to, from, ignored)                                                                     \
    {                                                                                                                  \
#host, host_##host, is_there, SHAPE_CONVERT, from, to, 0, ignored, NULL, NULL, NULL                            \
    }
#define TO_INT(host, kind, fmt)                                                                                        \
    {                                                                                                                  \
#host, host_##host, NULL, SHAPE_TO_INT, fmt, fmt, kind, 0, NULL, NULL, NULL                                    \
    }
#define FROM_INT(host, kind, fmt)                                                                                      \
    {                                                                                                                  \
#host, host_##host, NULL, SHAPE_FROM_INT, fmt, fmt, kind, 0, NULL, NULL, NULL                                  \
    }

static const HostCase cases[] = {
    BOTH2(add, fp_add),
    BOTH2(sub, fp_sub),
    BOTH2(mul, fp_mul),
    BOTH2(div, fp_div),
    BOTH2(min, fp_min),
    BOTH2(max, fp_max),
    BOTH2(ucomi, fp_compare),
    BOTH2(comi, fp_compare_signal),
    BOTH1(sqrt, fp_sqrt),
    BOTH1(round, fp_round_int),
    BOTH1(rint, fp_round_int_exact),
    OP3(fma132_f64, fp_fma, FMT_F64),
    OP3(fma213_f64, fp_fma, FMT_F64),
    OP3(fma231_f64, fp_fma, FMT_F64),
    OP3(fma132_f32, fp_fma, FMT_F32),
    OP3(fma213_f32, fp_fma, FMT_F32),
    OP3(fma231_f32, fp_fma, FMT_F32),
    CONVERT(f64_of_f32, NULL, FMT_F64, FMT_F32, 0),
    CONVERT(f32_of_f64, NULL, FMT_F32, FMT_F64, 0),
    /* SDM2 VCVTPH2PS, VCVTPS2PH: no DE for a subnormal f16 source, FTZ is not for f16 */
    CONVERT(f32_of_f16, has_f16c, FMT_F32, FMT_F16, FPM_ID_ON_USE),
    CONVERT(f16_of_f32, has_f16c, FMT_F16, FMT_F32, 0),
    TO_INT(i32_of_f64, FP_I32, FMT_F64),
    TO_INT(i64_of_f64, FP_I64, FMT_F64),
    TO_INT(i32_of_f32, FP_I32, FMT_F32),
    TO_INT(i64_of_f32, FP_I64, FMT_F32),
    FROM_INT(f64_of_i32, FP_I32, FMT_F64),
    FROM_INT(f64_of_i64, FP_I64, FMT_F64),
    FROM_INT(f32_of_i32, FP_I32, FMT_F32),
    FROM_INT(f32_of_i64, FP_I64, FMT_F32),
};

static uint64_t soft(const HostCase *t, uint64_t a, uint64_t b, uint64_t c, FpRound rm, uint32_t mode, uint32_t *flags)
{
    mode &= ~t->ignored;
    switch (t->shape) {
    case SHAPE_1:
        return t->op1(t->fmt, a, rm, mode, flags);
    case SHAPE_2:
        return t->op2(t->fmt, a, b, rm, mode, flags);
    case SHAPE_3:
        return t->op3(t->fmt, a, b, c, rm, mode, flags);
    case SHAPE_CONVERT:
        return fp_convert(t->to, t->fmt, a, rm, mode, flags);
    case SHAPE_TO_INT:
        return fp_to_int(t->fmt, a, t->kind, 0, rm, mode, flags);
    case SHAPE_FROM_INT:
        return fp_from_int(t->fmt, a, t->kind, 0, rm, mode, flags);
    }
    __builtin_unreachable();
}

static uint32_t flags_of_mxcsr(uint32_t x)
{
    return (x & 1 ? FP_NV : 0) | (x & 2 ? FP_ID : 0) | (x & 4 ? FP_DZ : 0) | (x & 8 ? FP_OF : 0) |
           (x & 16 ? FP_UF : 0) | (x & 32 ? FP_NX : 0);
}

/* The bits of a result that the instruction defines. */
static uint64_t result_mask(const HostCase *t)
{
    if (t->shape == SHAPE_TO_INT) {
        return t->kind == FP_I32 ? UINT32_MAX : UINT64_MAX;
    }
    return format_mask(fp_format(t->to));
}

static bool is_same(const HostCase *t, Random *r)
{
    static const FpRound round_of_rc[] = {RM_RNE, RM_RDN, RM_RUP, RM_RTZ};
    const FpFormat *f = fp_format(t->fmt);
    uint32_t bits = random_below(r, 16), rc = bits & 3, mode = FP_MODE_X86_SSE, flags = 0, host_flags;
    uint32_t mxcsr = MXCSR_MASKS | rc << MXCSR_RC | (bits & 4 ? MXCSR_DAZ : 0) | (bits & 8 ? MXCSR_FTZ : 0);
    mode |= (bits & 4 ? FPM_FZ_IN : 0) | (bits & 8 ? FPM_FZ_OUT : 0);
    uint64_t a = random_operand(f, r), b = random_partner(f, r, a), c = random_operand(f, r);
    if (t->shape == SHAPE_FROM_INT) {
        a = (random_next(r) >> random_below(r, 64)) ^ -(uint64_t)random_below(r, 2);
    }
    if (t->shape == SHAPE_3 && random_below(r, 2)) { /* near the product: cancellation */
        uint32_t unused = 0;
        c = random_partner(f, r, fp_mul(t->fmt, a, b, RM_RNE, FP_MODE_RISCV, &unused)) ^ format_sign(f, true);
    }
    uint64_t want = t->host(a, b, c, mxcsr, &host_flags) & result_mask(t);
    uint64_t got = soft(t, a, b, c, round_of_rc[rc], mode, &flags);
    host_flags = flags_of_mxcsr(host_flags);
    if (got == want && flags == host_flags) {
        return true;
    }
    printf("%s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ") mxcsr %#x: got %#" PRIx64 " flags %#x, host %#" PRIx64
           " flags %#x (CONF_SEED=%" PRIu64 ")\n",
           t->name, a, b, c, mxcsr, got, flags, want, host_flags, r->seed);
    return false;
}

TEST(softfp, sse_mode_agrees_with_this_processor)
{
    Random r = random_start();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].is_there && !cases[i].is_there()) {
            continue;
        }
        unsigned nbad = 0;
        for (unsigned n = 0; n < NRANDOM && nbad < 5; n++) {
            nbad += !is_same(&cases[i], &r);
        }
        CHECK_INT(nbad, 0);
    }
}
#else
TEST(softfp, sse_mode_agrees_with_this_processor)
{
    test_skip("no x86_64");
}
#endif
