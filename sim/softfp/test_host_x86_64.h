/* SPDX-License-Identifier: Apache-2.0
 * test_host_x86_64.h - part of host_test.c: how to run an SSE instruction under a random MXCSR */
#include <cpuid.h>

#define HOST_MODE FP_MODE_X86_SSE

/* The operands are in xmm0, xmm1, xmm2 and a; the result is taken from xmm0 (FROM_XMM) or rax. */
#define HOST(name, code)                                                                                               \
    static uint64_t host_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t control, uint32_t *status)                \
    {                                                                                                                  \
        uint32_t after, before, mxcsr = (uint32_t)control;                                                             \
        uint64_t result = 0;                                                                                           \
        __asm__ volatile("stmxcsr %[before]\n\tldmxcsr %[mxcsr]\n\tmovq %[a], %%xmm0\n\tmovq %[b], %%xmm1\n\t"         \
                         "movq %[c], %%xmm2\n\t" code "\n\tstmxcsr %[after]\n\tldmxcsr %[before]"                      \
                         : [result] "=&a"(result), [after] "=m"(after), [before] "=m"(before)                          \
                         : [a] "r"(a), [b] "r"(b), [c] "r"(c), [mxcsr] "m"(mxcsr)                                      \
                         : "xmm0", "xmm1", "xmm2", "rcx", "cc");                                                       \
        *status = after;                                                                                               \
        return result;                                                                                                 \
    }
#define FROM_XMM "\n\tmovq %%xmm0, %[result]"
/* FpOrder from ZF, PF, CF: all three = unordered, CF = less, ZF = equal */
#define FROM_FLAGS                                                                                                     \
    "\n\tmovl $2, %%eax\n\tmovl $1, %%ecx\n\tcmovcl %%ecx, %%eax\n\tmovl $0, %%ecx\n\tcmovzl %%ecx, %%eax\n\t"         \
    "movl $3, %%ecx\n\tcmovpl %%ecx, %%eax"

static inline uint64_t host_control(Random *r, FpRound *rm, uint32_t *mode)
{
    static const FpRound round_of_rc[] = {RM_RNE, RM_RDN, RM_RUP, RM_RTZ};
    enum { MASKS = 0x1f80, RC = 13, DAZ = 1 << 6, FTZ = 1 << 15 };
    uint32_t rc = random_below(r, 4), is_daz = random_below(r, 2), is_ftz = random_below(r, 2);
    *rm = round_of_rc[rc];
    *mode |= (is_daz ? FPM_FZ_IN : 0) | (is_ftz ? FPM_FZ_OUT : 0);
    return MASKS | rc << RC | (is_daz ? DAZ : 0) | (is_ftz ? FTZ : 0);
}

static inline uint32_t host_flags(uint32_t x)
{
    return (x & 1 ? FP_NV : 0) | (x & 2 ? FP_ID : 0) | (x & 4 ? FP_DZ : 0) | (x & 8 ? FP_OF : 0) |
           (x & 16 ? FP_UF : 0) | (x & 32 ? FP_NX : 0);
}

static inline bool has_fma(void)
{
    return __builtin_cpu_supports("fma");
}

static inline bool has_f16(void)
{
    unsigned a, b, c, d; /* not every compiler's __builtin_cpu_supports knows f16c */
    return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
