/* SPDX-License-Identifier: Apache-2.0
 * test_host_aarch64.h - part of host_test.c: how to run an A64 instruction under a random FPCR */
#include <sys/auxv.h>

#define HOST_MODE FP_MODE_AARCH64

/* The operands are in d0, d1, d2 and a; the result is taken from d0 (FROM_D) or result. */
#define HOST(name, code)                                                                                               \
    static uint64_t host_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t control, uint32_t *status)                \
    {                                                                                                                  \
        uint64_t before, after, result;                                                                                \
        __asm__ volatile(".arch armv8.2-a+fp16\n\tmrs %[before], fpcr\n\tmsr fpcr, %[control]\n\tmsr fpsr, xzr\n\t"    \
                         "fmov d0, %[a]\n\tfmov d1, %[b]\n\tfmov d2, %[c]\n\t" code                                    \
                         "\n\tmrs %[after], fpsr\n\tmsr fpcr, %[before]"                                               \
                         : [result] "=&r"(result), [after] "=&r"(after), [before] "=&r"(before)                        \
                         : [a] "r"(a), [b] "r"(b), [c] "r"(c), [control] "r"(control)                                  \
                         : "d0", "d1", "d2", "x9", "cc");                                                              \
        *status = (uint32_t)after;                                                                                     \
        return result;                                                                                                 \
    }
#define FROM_D "\n\tfmov %[result], d0"
/* FpOrder from NZCV */
#define FROM_FLAGS                                                                                                     \
    "\n\tcset %[result], mi\n\tmov x9, #2\n\tcsel %[result], x9, %[result], gt\n\tmov x9, #3\n\t"                      \
    "csel %[result], x9, %[result], vs"

static inline uint64_t host_control(Random *r, FpRound *rm, uint32_t *mode)
{
    static const FpRound round_of_rmode[] = {RM_RNE, RM_RUP, RM_RDN, RM_RTZ};
    enum { FZ16 = 1 << 19, RMODE = 22, FZ = 1 << 24, DN = 1 << 25 };
    uint32_t rmode = random_below(r, 4), bits = random_below(r, 8);
    *rm = round_of_rmode[rmode];
    *mode |= (bits & 1 ? FPM_FZ_IN | FPM_FZ_OUT : 0) | (bits & 2 ? FPM_FZ16_IN | FPM_FZ16_OUT : 0);
    *mode &= bits & 4 ? ~(uint32_t)FPM_NAN_RULE : ~0u;
    return rmode << RMODE | (bits & 1 ? FZ : 0) | (bits & 2 ? FZ16 : 0) | (bits & 4 ? DN : 0);
}

static inline uint32_t host_flags(uint32_t x)
{
    return (x & 1 ? FP_NV : 0) | (x & 2 ? FP_DZ : 0) | (x & 4 ? FP_OF : 0) | (x & 8 ? FP_UF : 0) |
           (x & 16 ? FP_NX : 0) | (x & 128 ? FP_ID : 0);
}

static inline bool has_fma(void)
{
    return true;
}

static inline bool has_f16(void) /* FEAT_FP16 */
{
    return getauxval(AT_HWCAP) & 1 << 9;
}
