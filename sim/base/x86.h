/* SPDX-License-Identifier: Apache-2.0
 * x86.h - what this processor has of x86-64's extensions, where that may be used: the host's system saves the registers too.
 *
 * Where the C library knows, it is asked: in a virtual machine a CPUID of our own leaves the guest, for some microseconds, and the
 * compiler's __builtin_cpu_supports makes six before main(). Filled in before main(); then constant: any thread. */
#ifndef SIM_BASE_X86_H
#define SIM_BASE_X86_H

#if defined(__x86_64__)
#include <stdbool.h>

typedef struct {
    bool avx, fma, bmi1, bmi2, lzcnt, popcnt;
} X86;
extern X86 x86_has;
#endif
#endif
