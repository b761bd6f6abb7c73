/* SPDX-License-Identifier: Apache-2.0
 * native.c - main of a kernel (-DKERNEL=name, -DTIMES=n; 1) for the host: prints "name checksum 0". */
#include "sim/bench/guest/kernels.h"

#include <stdio.h>

#ifndef TIMES
#define TIMES 1
#endif

#define CAT2(a, b) a##b
#define CAT(a, b)  CAT2(a, b)
#define STR2(s)    #s
#define STR(s)     STR2(s)

uint64_t area[AREA_BYTES / 8] __attribute__((aligned(4096)));

int main(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < TIMES; i++) {
        sum = sum * 31 + CAT(k_, KERNEL)();
    }
    printf("%s %016llx 0\n", STR(KERNEL), (unsigned long long)sum);
    return 0;
}
