/* SPDX-License-Identifier: Apache-2.0
 * timing_gate.S - the guest of timing_gate_test.c: two or more harts in M mode on the `machine` board that do everything whose
 * moment could depend on how an engine cuts blocks: timer interrupts, software interrupts to each other, UART polling,
 * self-modifying code, AMOs, LR/SC, WFI, cycle and time reads, misaligned accesses, a page fault's kin (access faults).
 * Hart 0 ends the machine after ROUNDS rounds. timing_gate.def holds the words; `ci/guest-words` makes them again. */
#define ROUNDS 4000
    .option norelax
    .option rvc
    .globl _start
_start:
    csrr    tp, mhartid
    lla     sp, data
    slli    t0, tp, 12
    add     sp, sp, t0              /* 4 KiB of its own */
    csrw    mscratch, sp
    lla     t0, trap
    csrw    mtvec, t0
    li      s0, 0x2004000           /* mtimecmp of this hart */
    slli    t0, tp, 3
    add     s0, s0, t0
    li      s1, 0x200bff8           /* mtime */
    ld      t0, 0(s1)
    addi    t0, t0, 3
    sd      t0, 0(s0)
    li      t0, 0x88                /* MTIE, MSIE */
    csrw    mie, t0
    li      s2, 0                   /* round */
    li      s3, 0x9e3779b97f4a7c15
    xor     s3, s3, tp
    li      s4, 0x10000000          /* UART */
    lla     s5, shared
    lla     s6, site
    slli    t0, tp, 2
    add     s6, s6, t0              /* each hart changes its own instruction */
    csrsi   mstatus, 8
loop:
    slli    t0, s3, 13
    xor     s3, s3, t0
    srli    t0, s3, 7
    xor     s3, s3, t0
    slli    t0, s3, 17
    xor     s3, s3, t0
    andi    t0, s3, 0x3f8
    add     t0, t0, sp
    ld      t1, 1024(t0)
    add     t1, t1, s3
    sd      t1, 1021(t0)            /* misaligned */
    amoadd.d t2, s3, (s5)
    addi    t3, s5, 64
1:  lr.d    t4, (t3)
    addi    t4, t4, 1
    sc.d    t5, t4, (t3)
    bnez    t5, 1b
    addi    s2, s2, 1
    andi    t0, s2, 15
    bnez    t0, 2f
    li      t1, 0x00078793          /* addi a5, a5, imm */
    andi    t2, s2, 0x7f0
    slli    t2, t2, 20
    or      t1, t1, t2
    sw      t1, 0(s6)
    fence.i
2:  j       site
back:
    andi    t0, s2, 31
    bnez    t0, 3f
    li      t1, 0x2000000           /* msip of the next hart */
    xori    t2, tp, 1
    slli    t2, t2, 2
    add     t1, t1, t2
    li      t2, 1
    sw      t2, 0(t1)
3:  andi    t0, s2, 63
    bnez    t0, 5f
4:  lbu     t1, 5(s4)
    andi    t1, t1, 0x20
    beqz    t1, 4b
    andi    t1, s3, 15
    addi    t1, t1, 'a'
    sb      t1, 0(s4)
5:  andi    t0, s2, 127
    bnez    t0, 6f
    wfi
    rdcycle t1
    rdtime  t2
    xor     t1, t1, t2
    add     s3, s3, t1
6:  andi    t0, s2, 255
    bnez    t0, 7f
    li      t1, 0x70000000          /* nothing there: an access fault */
    ld      t1, 0(t1)
7:  bnez    tp, loop
    li      t0, ROUNDS
    bltu    s2, t0, loop
    li      t0, 0x100000
    li      t1, 0x5555
    sw      t1, 0(t0)
    j       .
    .balign 4
site:
    .word   0x00078793              /* hart 0's */
    .word   0x00078793              /* hart 1's: both run both */
    .word   0x00078793
    .word   0x00078793
    j       back
    .balign 4
trap:
    csrrw   sp, mscratch, sp
    sd      t0, 0(sp)
    sd      t1, 8(sp)
    csrr    t0, mcause
    bgez    t0, 8f
    slli    t0, t0, 1
    li      t1, 14
    beq     t0, t1, 9f
    li      t0, 0x2000000           /* software: acknowledge */
    slli    t1, tp, 2
    add     t0, t0, t1
    sw      zero, 0(t0)
    ld      t0, 16(sp)
    addi    t0, t0, 1
    sd      t0, 16(sp)
    j       10f
9:  ld      t0, 0(s1)               /* timer: the next in 2 to 9 ticks */
    andi    t1, s3, 7
    addi    t1, t1, 2
    add     t0, t0, t1
    sd      t0, 0(s0)
    ld      t0, 24(sp)
    addi    t0, t0, 1
    sd      t0, 24(sp)
    j       10f
8:  csrr    t0, mepc                /* the access fault: over it (a compressed load) */
    lhu     t1, 0(t0)
    andi    t1, t1, 3
    addi    t0, t0, 2
    li      sp, 3
    bne     t1, sp, 11f
    addi    t0, t0, 2
11: csrr    sp, mscratch
    csrw    mepc, t0
    lla     sp, data
    slli    t0, tp, 12
    add     sp, sp, t0
    ld      t0, 32(sp)
    addi    t0, t0, 1
    sd      t0, 32(sp)
10: ld      t0, 0(sp)
    ld      t1, 8(sp)
    csrrw   sp, mscratch, sp
    mret
    .balign 4096, 0
shared:
    .zero   4096
data:
