/* SPDX-License-Identifier: Apache-2.0
 * native.c - the program of flags.ir as it is, on this host. */
#include "sim/r2/r2.h"

uint64_t r2_native_flags(uint8_t *ram)
{
    uint64_t *rsi = (uint64_t *)(void *)(ram + 0x10000), *rdi = (uint64_t *)(void *)(ram + 0x20000);
    uint64_t *rbx = (uint64_t *)(void *)(ram + 0x30000);
    uint64_t rax = 0x9e3779b97f4a7c15, rdx = 0, r8 = 0, r9 = 0, rcx = 20000000;
    rbx[0] = 1ull << 63;
    rbx[1] = 0x123456789abcdef;
    rbx[2] = 0xfedcba98;
    rbx[3] = (uint64_t)(uintptr_t)rsi | 0xfff;
    for (unsigned i = 0; i < 1024; i++) {
        rax ^= rax << 13;
        rax ^= rax >> 7;
        rax ^= rax << 17;
        rsi[i] = rax;
    }
    __asm__ volatile("1: mov (%[rsi]), %[rax]\n"
                     "add (%[rdi]), %[rax]\n"
                     "mov 8(%[rsi]), %[rdx]\n"
                     "adc 8(%[rdi]), %[rdx]\n"
                     "cmp (%[rbx]), %[rdx]\n"
                     "jb 2f\n"
                     "sub 8(%[rbx]), %[rax]\n"
                     "sbb 16(%[rbx]), %[rdx]\n"
                     "2: adc 16(%[rsi]), %[r9]\n"
                     "xor 24(%[rsi]), %[r8]\n"
                     "add %[rax], (%[rdi])\n"
                     "adc %[rdx], 8(%[rdi])\n"
                     "add $8, %[rsi]\n"
                     "and 24(%[rbx]), %[rsi]\n"
                     "dec %[rcx]\n"
                     "jnz 1b\n"
                     : [rax] "+r"(rax), [rdx] "+r"(rdx), [rcx] "+r"(rcx), [rsi] "+r"(rsi), [r8] "+r"(r8), [r9] "+r"(r9)
                     : [rdi] "r"(rdi), [rbx] "r"(rbx)
                     : "cc", "memory");
    return rax ^ rdx ^ r8 ^ r9;
}
