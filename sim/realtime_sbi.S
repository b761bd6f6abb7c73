/* SPDX-License-Identifier: Apache-2.0
 * realtime_sbi.S - a guest of sim_threads_test.c in S mode under SBI: hart 0 starts the others, all fence one another at once, the others
 * stop, and hart 0 starts them again as soon as they say that they are stopped. ci/guest-words makes realtime_sbi.def of it.
 * At 0x80400000: how many fences were made; at 8: how many harts had an IPI; at 16: how many starts. */
#define STARTS 20
#define FENCES 50
    .option norelax
    .globl _start
_start:                         // hart 0: a0 = 0
    li s1, 0x80400000
    li s5, STARTS
again:
    li s0, 1
start:
    mv a0, s0                   // hart_start(s0, entry, s1)
    lla a1, entry
    mv a2, s1
    li a6, 0
    li a7, 0x48534d
    ecall
    bnez a0, fail
    addi s0, s0, 1
    li t0, 4
    bne s0, t0, start
    jal fences
    li s0, 1
stopped:
    mv a0, s0                   // hart_get_status(s0) == STOPPED
    li a6, 2
    li a7, 0x48534d
    ecall
    li t0, 1
    bne a1, t0, stopped
    addi s0, s0, 1
    li t0, 4
    bne s0, t0, stopped
    addi s5, s5, -1
    bnez s5, again
    li a0, 0                    // system_reset(shutdown, none)
    li a1, 0
    li a6, 0
    li a7, 0x53525354
    ecall
fail:
    wfi
    j fail

entry:                          // the others: a1 = s1 of hart 0
    mv s1, a1
    addi t0, s1, 16
    li t1, 1
    amoadd.d zero, t1, (t0)
    csrwi sie, 2                // an IPI: to oneself, and waited for
    li t0, 1
    sll a0, t0, a0
    li a1, 0
    li a6, 0
    li a7, 0x735049
    ecall
1:  wfi
    csrr t0, sip
    andi t0, t0, 2
    beqz t0, 1b
    csrci sip, 2
    addi t0, s1, 8
    li t1, 1
    amoadd.d zero, t1, (t0)
    jal fences
    li a6, 1                    // hart_stop
    li a7, 0x48534d
    ecall
    j fail

fences:
    li s4, FENCES
1:  li a0, 0xf                  // remote_sfence_vma of everything, in all four
    li a1, 0
    li a2, 0
    li a3, -1
    andi a6, s4, 1              // every other time remote_fence_i
    li a7, 0x52464e43
    ecall
    bnez a0, fail
    li t1, 1
    amoadd.d zero, t1, (s1)
    addi s4, s4, -1
    bnez s4, 1b
    ret
