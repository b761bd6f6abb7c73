/* SPDX-License-Identifier: Apache-2.0
 * test_host_riscv64.h - part of host_test.c: how to run an F or D instruction under a random fcsr */
#define HOST_MODE FP_MODE_RISCV

/* The operands are in ft0, ft1, ft2 and a, as doubles (FROM_D) or, by TO_S, as floats (FROM_S). */
#define HOST(name, code)                                                                                               \
    static uint64_t host_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t control, uint32_t *status)                \
    {                                                                                                                  \
        uint64_t before, after, result, t;                                                                             \
        __asm__ volatile("csrrw %[before], fcsr, %[control]\n\tfmv.d.x ft0, %[a]\n\tfmv.d.x ft1, %[b]\n\t"             \
                         "fmv.d.x ft2, %[c]\n\t" code "\n\tcsrrw %[after], fcsr, %[before]"                            \
                         : [result] "=&r"(result), [after] "=&r"(after), [before] "=&r"(before), [t] "=&r"(t)          \
                         : [a] "r"(a), [b] "r"(b), [c] "r"(c), [control] "r"(control)                                  \
                         : "ft0", "ft1", "ft2");                                                                       \
        *status = (uint32_t)after;                                                                                     \
        return result;                                                                                                 \
    }
#define TO_S   "fmv.w.x ft0, %[a]\n\tfmv.w.x ft1, %[b]\n\tfmv.w.x ft2, %[c]\n\t"
#define FROM_D "\n\tfmv.x.d %[result], ft0"
#define FROM_S "\n\tfmv.x.w %[result], ft0"
/* FpOrder: 3 - 3 * (a = b) - 2 * (a < b) - (b < a); comparisons that are false raise the same flags as true ones */
#define ORDER(eq, less)                                                                                                \
    eq " %[result], ft0, ft1\n\tslli %[t], %[result], 1\n\tadd %[result], %[result], %[t]\n\t" less                    \
       " %[t], ft0, ft1\n\tadd %[result], %[result], %[t]\n\tadd %[result], %[result], %[t]\n\t" less                  \
       " %[t], ft1, ft0\n\tadd %[result], %[result], %[t]\n\taddi %[result], %[result], -3\n\t"                        \
       "neg %[result], %[result]"

static inline uint64_t host_control(Random *r, FpRound *rm, uint32_t *mode)
{
    (void)mode;
    *rm = (FpRound)random_below(r, 5);
    return (uint64_t)*rm << 5;
}

static inline uint32_t host_flags(uint32_t x)
{
    return x & 31;
}

static inline bool has_fma(void)
{
    return true;
}

static inline bool has_f16(void)
{
    return false;
}
