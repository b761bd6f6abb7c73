/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/x86.h"

#if defined(__x86_64__)
X86 x86_has;

#if defined(__has_include)
#if __has_include(<sys/platform/x86.h>)
#define HAS_LIBRARY 1 /* glibc from 2.33 on */
#endif
#endif

#if defined(HAS_LIBRARY)
#include <sys/platform/x86.h>

static __attribute__((constructor)) void look(void)
{
    x86_has = (X86){.avx = CPU_FEATURE_ACTIVE(AVX),
                    .fma = CPU_FEATURE_ACTIVE(FMA),
                    .bmi1 = CPU_FEATURE_ACTIVE(BMI1),
                    .bmi2 = CPU_FEATURE_ACTIVE(BMI2),
                    .lzcnt = CPU_FEATURE_ACTIVE(LZCNT),
                    .popcnt = CPU_FEATURE_ACTIVE(POPCNT)};
}
#else
#include <cpuid.h>

static __attribute__((constructor)) void look(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    x86_has = (X86){.avx = __builtin_cpu_supports("avx"),
                    .fma = __builtin_cpu_supports("fma"),
                    .bmi1 = __builtin_cpu_supports("bmi"),
                    .bmi2 = __builtin_cpu_supports("bmi2"),
                    .lzcnt = __get_cpuid(0x80000001, &a, &b, &c, &d) && c & bit_LZCNT, /* clang 14 has no name for it */
                    .popcnt = __builtin_cpu_supports("popcnt")};
}
#endif
#endif
