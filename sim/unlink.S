/* SPDX-License-Identifier: Apache-2.0
 * unlink.S - the guest of a test of sim_threads_test.c: hart 0 changes a function that three others call all the time, so often that
 * their code of it is hot, linked and part of regions, and falls apart under them. After a fence.i nobody may get a value that is older
 * than what hart 0 had announced before it. unlink.def holds the words; `ci/guest-words` makes them again. */
#define ROUNDS 30
#define CALLS  2000
    .option norelax
    .globl _start
_start:
    csrr    tp, mhartid
    li      s0, 0x80400000          /* +0 announced, +8 the end, +16 harts that are done, +24 errors, +64 * hart passes */
    lla     s1, value
    bnez    tp, runner

    li      s2, 0
change:
    addi    s2, s2, 1
    slli    t0, s2, 20
    addi    t0, t0, 0x513           /* li a0, s2 */
    sw      t0, 0(s1)
    fence   rw, rw
    fence.i
    sd      s2, 0(s0)
    li      s3, 100
1:  call    value
    bne     a0, s2, wrong
2:  addi    s3, s3, -1
    bnez    s3, 1b
    addi    s4, s0, 64
    li      s3, 3
3:  ld      t0, 0(s4)               /* each of the others makes a pass meanwhile */
4:  ld      t1, 0(s4)
    beq     t0, t1, 4b
    addi    s4, s4, 64
    addi    s3, s3, -1
    bnez    s3, 3b
    li      t0, ROUNDS
    blt     s2, t0, change
    li      t0, 1
    sd      t0, 8(s0)
    li      t1, 3
5:  ld      t0, 16(s0)
    bne     t0, t1, 5b
    li      t0, 0x100000
    li      t1, 0x5555
    sw      t1, 0(t0)
6:  j       6b
wrong:
    addi    t0, s0, 24
    li      t1, 1
    amoadd.d zero, t1, (t0)
    j       2b

runner:
    slli    t0, tp, 6
    add     s4, s0, t0
pass:
    ld      s2, 0(s0)
    fence   rw, rw
    fence.i
    li      s3, CALLS
1:  call    value
    blt     a0, s2, old
2:  addi    s3, s3, -1
    bnez    s3, 1b
    ld      t0, 0(s4)
    addi    t0, t0, 1
    sd      t0, 0(s4)
    ld      t0, 8(s0)
    beqz    t0, pass
    addi    t0, s0, 16
    li      t1, 1
    amoadd.d zero, t1, (t0)
3:  wfi
    j       3b
old:
    addi    t0, s0, 24
    li      t1, 1
    amoadd.d zero, t1, (t0)
    j       2b

    .balign 64
    .option norvc
value:
    li      a0, 0
    ret
