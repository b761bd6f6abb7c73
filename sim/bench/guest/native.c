/* SPDX-License-Identifier: Apache-2.0
 * native.c - main of a kernel (-DKERNEL=name) for the host: prints "name checksum 0". */
#include "sim/bench/guest/kernels.h"

#include <stdio.h>

#define CAT2(a, b) a##b
#define CAT(a, b)  CAT2(a, b)
#define STR2(s)    #s
#define STR(s)     STR2(s)

uint64_t area[AREA_BYTES / 8] __attribute__((aligned(4096)));

int main(void)
{
    printf("%s %016llx 0\n", STR(KERNEL), (unsigned long long)CAT(k_, KERNEL)());
    return 0;
}
