/* SPDX-License-Identifier: Apache-2.0
 * bare_events.c - kernels that only bare metal can run, one event a turn: a trap and its return, a read of a device's register,
 * a swap of a CSR, code that is changed and then called. */
#include "sim/bench/guest/kernels.h"
uint64_t k_trap(void)
{
    uint64_t n = 0, old;
    __asm__ volatile("csrr %1, mtvec\n la t0, 2f\n csrw mtvec, t0\n li t1, 3000000\n"
                     "1: ecall\n addi t1, t1, -1\n bnez t1, 1b\n j 3f\n"
                     ".balign 4\n"
                     "2: csrr t0, mepc\n addi t0, t0, 4\n csrw mepc, t0\n addi %0, %0, 1\n mret\n"
                     "3: csrw mtvec, %1\n"
                     : "+&r"(n), "=&r"(old)::"t0", "t1", "memory");
    return n;
}
uint64_t k_mmio(void)
{
    uint64_t n = 0;
    for (int i = 0; i < 3000000; i++)
        n += *(volatile uint8_t *)0x10000005 != 0;
    return n;
}
uint64_t k_csr(void)
{
    uint64_t v = 1, o;
    for (int i = 0; i < 10000000; i++) {
        __asm__ volatile("csrrw %0, mscratch, %1" : "=r"(o) : "r"(v));
        v += o;
    }
    return v;
}
static uint32_t code[2] __attribute__((aligned(64)));
uint64_t k_smc(void)
{
    uint64_t s = 0;
    for (int i = 0; i < 100000; i++) {
        code[0] = 0x00000513u | (uint32_t)(i & 2047) << 20; /* li a0, imm */
        code[1] = 0x00008067u;                              /* ret */
        __asm__ volatile("fence.i" ::: "memory");
        s += ((uint64_t(*)(void))code)();
    }
    return s;
}
