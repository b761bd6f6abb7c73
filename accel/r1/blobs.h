/* SPDX-License-Identifier: Apache-2.0
 * blobs.h - the guest code of r1.c, for the architecture that it is compiled for; with R1_SIM_RISCV64 for riscv64 on any host,
 * in machine code, as a simulator runs it.
 * Before each blob: arg0 = a hole, arg1 = data, arg2 = the case's own address, the other argument
 * registers 0. The same accesses in the same order on every architecture. A blob ends with DONE, a
 * store of 13 to arg0 + 0x400, and loops. blob_at and blob_after (LABELs) are the instruction that
 * the case is about, and the one behind it. */
#ifndef ACCEL_R1_BLOBS_H
#define ACCEL_R1_BLOBS_H

#include <stdint.h>

#define LABEL(name) ".globl r1_" #name "\nr1_" #name ":\n"
#if defined(__riscv) && !defined(R1_SIM_RISCV64)
#define BLOB_MODE ".option push\n.option norvc\n.option norelax\n"
#define BLOB_END  ".option pop\n"
#else
#define BLOB_MODE
#define BLOB_END
#endif
#define BLOB(name, text)                                                                                               \
    extern const uint8_t r1_##name##_start[], r1_##name##_end[];                                                       \
    __asm__(".pushsection .rodata\n" BLOB_MODE ".balign 8\n" LABEL(name##_start) text LABEL(name##_end) BLOB_END       \
            ".popsection\n")
#define MARKS(name) extern const uint8_t r1_##name##_at[], r1_##name##_after[]

#if defined(R1_SIM_RISCV64)
/* The instructions of the riscv64 blobs below, as `conf asm --guest riscv64` encodes them with .option norvc. */
#define W(n)        ".4byte 0x" #n "\n"
#define R1_GUEST    GUEST_riscv64
#define DONE        W(00d00293) W(40552023) W(0000006f)
#define STORES      W(00b50023) W(00b51023) W(00b52023) W(00b53023)
#define LOADS       W(00053603) W(00054683) W(00055703) W(00056783)
#define SIGNED      W(00050603) W(00051683) W(00052703)
#define LOAD4       W(00056603)
#define STORE4      W(00b52023)
#define LOAD_SLOT   W(00066683)
#define STORE_SLOT  W(00b62023)
#define RELOAD_SLOT W(00066703)
#define SPLIT       W(000012b7) W(ffc2829b) W(00a282b3) W(0002b603) W(00b2b023)
#define NOP         W(00000013)
#define IDLE        W(10500073)
#define LOOP        W(0000006f)
#define CALL                                                                                                           \
    W(00050913)                                                                                                        \
    W(090008b7)                                                                                                        \
    W(12300813) W(00100513) W(00200593) W(00300613) W(00400693) W(00500713) W(00600793) W(00000073)
#define CALL_DONE W(40a92023) W(0000006f)
#define CALL_NR   0x0900000000000123
#define WAIT_FLAG W(00062683) W(fe068ee3)
#elif defined(__x86_64__)
#define R1_GUEST    GUEST_x86_64
#define DONE        "movl $13, 0x400(%rdi)\n1: jmp 1b\n"
#define STORES      "mov %sil, (%rdi)\nmov %si, (%rdi)\nmov %esi, (%rdi)\nmov %rsi, (%rdi)\n"
#define LOADS       "mov (%rdi), %rdx\nmovzbl (%rdi), %ecx\nmovzwl (%rdi), %r8d\nmov (%rdi), %r9d\n"
#define SIGNED      "movsbq (%rdi), %rdx\nmovswq (%rdi), %rcx\nmovslq (%rdi), %r8\n"
#define LOAD4       "mov (%rdi), %edx\n"
#define STORE4      "mov %esi, (%rdi)\n"
#define LOAD_SLOT   "mov (%rdx), %ecx\n"
#define STORE_SLOT  "mov %esi, (%rdx)\n"
#define RELOAD_SLOT "mov (%rdx), %r8d\n"
#define SPLIT       "mov 0xffc(%rdi), %rdx\nmov %rsi, 0xffc(%rdi)\n"
#define NOP         "nop\n"
#define IDLE        "hlt\n"
#define LOOP        "1: jmp 1b\n"
#define CALL                                                                                                           \
    "mov %rdi, %r12\nmov $0x123, %eax\nmov $1, %edi\nmov $2, %esi\nmov $3, %edx\nmov $4, %ecx\n"                       \
    "mov $5, %r8d\nmov $6, %r9d\nvmcall\n"
#define CALL_DONE "mov %eax, 0x400(%r12)\n1: jmp 1b\n"
#define CALL_NR   0x123
#define WAIT_FLAG "1: mov (%rdx), %ecx\ntest %ecx, %ecx\njz 1b\n"
#elif defined(__aarch64__)
#define R1_GUEST    GUEST_aarch64
#define DONE        "mov w9, #13\nstr w9, [x0, #0x400]\n1: b 1b\n"
#define STORES      "strb w1, [x0]\nstrh w1, [x0]\nstr w1, [x0]\nstr x1, [x0]\n"
#define LOADS       "ldr x2, [x0]\nldrb w3, [x0]\nldrh w4, [x0]\nldr w5, [x0]\n"
#define SIGNED      "ldrsb x2, [x0]\nldrsh x3, [x0]\nldrsw x4, [x0]\n"
#define LOAD4       "ldr w2, [x0]\n"
#define STORE4      "str w1, [x0]\n"
#define LOAD_SLOT   "ldr w3, [x2]\n"
#define STORE_SLOT  "str w1, [x2]\n"
#define RELOAD_SLOT "ldr w4, [x2]\n"
#define SPLIT       "add x9, x0, #0xffc\nldr x2, [x9]\nstr x1, [x9]\n"
#define NOP         "nop\n"
#define IDLE        "wfi\n"
#define LOOP        "1: b 1b\n"
/* a vendor-specific hypervisor service, fast and 64-bit (SMCCC 1.4, 2.5) */
#define CALL                                                                                                           \
    "mov x12, x0\nmovz x0, #0x123\nmovk x0, #0xc600, lsl #16\nmov x1, #1\nmov x2, #2\nmov x3, "                        \
    "#3\n"                                                                                                             \
    "mov x4, #4\nmov x5, #5\nmov x6, #6\nhvc #0\n"
#define CALL_DONE "str w0, [x12, #0x400]\n1: b 1b\n"
#define CALL_NR   0xc6000123
#define WAIT_FLAG "1: ldr w3, [x2]\ncbz w3, 1b\n"
#elif defined(__riscv)
#define R1_GUEST    GUEST_riscv64
#define DONE        "li t0, 13\nsw t0, 0x400(a0)\n1: j 1b\n"
#define STORES      "sb a1, 0(a0)\nsh a1, 0(a0)\nsw a1, 0(a0)\nsd a1, 0(a0)\n"
#define LOADS       "ld a2, 0(a0)\nlbu a3, 0(a0)\nlhu a4, 0(a0)\nlwu a5, 0(a0)\n"
#define SIGNED      "lb a2, 0(a0)\nlh a3, 0(a0)\nlw a4, 0(a0)\n"
#define LOAD4       "lwu a2, 0(a0)\n"
#define STORE4      "sw a1, 0(a0)\n"
#define LOAD_SLOT   "lwu a3, 0(a2)\n"
#define STORE_SLOT  "sw a1, 0(a2)\n"
#define RELOAD_SLOT "lwu a4, 0(a2)\n"
#define SPLIT       "li t0, 0xffc\nadd t0, t0, a0\nld a2, 0(t0)\nsd a1, 0(t0)\n"
#define NOP         "nop\n"
#define IDLE        "wfi\n"
#define LOOP        "1: j 1b\n"
/* a vendor-specific SBI extension (SBI 2.0, chapter 3), function 0x123 */
#define CALL                                                                                                           \
    "mv s2, a0\nli a7, 0x09000000\nli a6, 0x123\nli a0, 1\nli a1, 2\nli a2, 3\nli a3, 4\nli a4, "                      \
    "5\n"                                                                                                              \
    "li a5, 6\necall\n"
#define CALL_DONE "sw a0, 0x400(s2)\n1: j 1b\n"
#define CALL_NR   0x0900000000000123
#define WAIT_FLAG "1: lw a3, 0(a2)\nbeqz a3, 1b\n"
#else
#error "no guest code for this architecture"
#endif

BLOB(sizes, STORES LOADS DONE);
BLOB(signed, SIGNED DONE);
BLOB(load, LABEL(load_at) LOAD4 LABEL(load_after) DONE);
BLOB(store, LABEL(store_at) STORE4 LABEL(store_after) DONE);
BLOB(split, SPLIT DONE);
BLOB(halt, LABEL(halt_at) IDLE LABEL(halt_after) DONE);
BLOB(call, CALL LABEL(call_after) CALL_DONE);
BLOB(loop, LOOP);
BLOB(slot, LOAD_SLOT STORE_SLOT RELOAD_SLOT DONE);
BLOB(step, NOP LABEL(step_1) STORE4 LABEL(step_2) NOP LABEL(step_3) LOAD4 LABEL(step_4) NOP LABEL(step_5) DONE);
BLOB(wait, WAIT_FLAG DONE);
BLOB(flag, STORE_SLOT DONE);
MARKS(load);
MARKS(store);
MARKS(halt);
extern const uint8_t r1_call_after[], r1_step_1[], r1_step_2[], r1_step_3[], r1_step_4[], r1_step_5[];

/* x86 alone; on other architectures the capability is missing and the code is not run. */
#if defined(__x86_64__) && !defined(R1_SIM_RISCV64)
BLOB(string, "cld\nmov $0x70, %edx\nmov $0x80003000, %esi\nmov $3, %ecx\nrep outsb\nmov $0x80003100, %edi\n"
             "mov $4, %ecx\nrep insw\nmov $0x10000000, %edi\n" DONE);
BLOB(msr, "mov $0x12345, %ecx\nrdmsr\nmov %eax, %r8d\nmov $7, %eax\nxor %edx, %edx\nwrmsr\nmov "
          "$0x12346, %ecx\nrdmsr\n"
          "mov $99, %r9d\n" DONE ".org r1_msr_start + 0x100\nmov $13, %r9d\n" DONE);
#else
BLOB(string, DONE);
BLOB(msr, DONE);
#endif
#endif
