/* SPDX-License-Identifier: Apache-2.0
 * litmus.S - the guest of sim_threads_test.c: litmus tests of RVWMO (Unpriv 18, appendix A) by four harts in M mode, round after round,
 * each round in memory of its own. ci/guest-words makes litmus.def of it.
 *
 * Memory at 0x80100000, a MiB each test: rounds of 256 bytes: x at 0, y at 64, and what hart h has read at 128 + 16h and 136 + 16h.
 *   MP    h0: x = 1; fence w,w; y = 1          h1: reads y; fence r,r; reads x
 *   SB    h0: x = 1; fence w,r; reads y        h1: y = 1; fence w,r; reads x
 *   SBLR  the same, at 0x80500000, without fences and with lr.aqrl to read
 *   IRIW  h0: x = 1    h1: y = 1    h2: reads x; fence r,r; reads y    h3: reads y; fence r,r; reads x
 *   SMC   h1 writes an instruction, then a word; h0 waits for the word, and runs the instruction after a fence.i
 * At 0x80400000: the barrier; at 64 a count by LR/SC, at 128 one by AMO, of all harts; at 192 one under a spin lock (at 512) that is
 * taken with amoswap.aq and given back with amoswap.rl. */
#define PAIR_ROUNDS 1000
#define QUAD_ROUNDS 50
#define CODE_ROUNDS 300
#define COUNTS 5000
    .option norelax
    .globl _start
_start:
    csrr s0, mhartid
    li s1, 0x80400000           // the barrier
    li s2, 0                    // how many arrivals it must have seen

    li s3, 0x80100000           // MP
    li s4, PAIR_ROUNDS
    li a0, 2
    bge s0, a0, pairs_done
mp: call barrier2
    bnez s0, 1f
    li t0, 1
    sd t0, 0(s3)
    fence w, w
    sd t0, 64(s3)
    j 2f
1:  ld t0, 64(s3)
    fence r, r
    ld t1, 0(s3)
    sd t0, 144(s3)
    sd t1, 152(s3)
2:  addi s3, s3, 256
    addi s4, s4, -1
    bnez s4, mp

    li s3, 0x80200000           // SB
    li s4, PAIR_ROUNDS
sb: call barrier2
    li t0, 1
    bnez s0, 1f
    sd t0, 0(s3)
    fence w, r
    ld t1, 64(s3)
    sd t1, 128(s3)
    j 2f
1:  sd t0, 64(s3)
    fence w, r
    ld t1, 0(s3)
    sd t1, 144(s3)
2:  addi s3, s3, 256
    addi s4, s4, -1
    bnez s4, sb

    li s3, 0x80500000           // SBLR
    li s4, PAIR_ROUNDS
sblr:
    call barrier2
    li t0, 1
    addi t2, s3, 64
    bnez s0, 1f
    sd t0, 0(s3)
    lr.d.aqrl t1, (t2)
    sd t1, 128(s3)
    j 2f
1:  sd t0, 0(t2)
    lr.d.aqrl t1, (s3)
    sd t1, 144(s3)
2:  addi s3, s3, 256
    addi s4, s4, -1
    bnez s4, sblr

    li s4, 1
    bnez s0, write              // SMC: h1 writes `li a0, s4` to where h0 calls it
    addi s7, s1, 256
run:
    fence r, rw
    ld t0, 0(s7)
    bne t0, s4, run
    fence.i
    jal patched
    bne a0, s4, 1f
    ld t0, 64(s7)               // how many calls ran what was written last
    addi t0, t0, 1
    sd t0, 64(s7)
1:  fence
    sd zero, 0(s7)
    addi s4, s4, 1
    li t0, CODE_ROUNDS
    bne s4, t0, run
    j pairs_done
write:
    addi s7, s1, 256
    lla s8, patched
1:  slli t0, s4, 20
    addi t0, t0, 0x513
    sw t0, 0(s8)
    fence w, w
    sd s4, 0(s7)
2:  fence r, rw
    ld t0, 0(s7)
    bnez t0, 2b
    addi s4, s4, 1
    li t0, CODE_ROUNDS
    bne s4, t0, 1b
    j pairs_done
    .balign 4096
patched:
    .word 0x513
    ret
    .balign 4096

pairs_done:
    li s3, 0x80300000           // IRIW
    li s4, QUAD_ROUNDS
    li s2, 3 * 2 * PAIR_ROUNDS
iriw:
    call barrier4
    li t0, 1
    li t1, 1
    beqz s0, 1f
    beq s0, t1, 2f
    li t1, 2
    beq s0, t1, 3f
    ld t0, 64(s3)
    fence r, r
    ld t1, 0(s3)
    sd t0, 176(s3)
    sd t1, 184(s3)
    j 4f
1:  sd t0, 0(s3)
    j 4f
2:  sd t0, 64(s3)
    j 4f
3:  ld t0, 0(s3)
    fence r, r
    ld t1, 64(s3)
    sd t0, 160(s3)
    sd t1, 168(s3)
4:  addi s3, s3, 256
    addi s4, s4, -1
    bnez s4, iriw

    call barrier4               // counts
    addi s5, s1, 64
    addi s6, s1, 128
    addi s7, s1, 512
    li s4, COUNTS
    li t2, 1
count:
1:  lr.d t0, (s5)
    addi t0, t0, 1
    sc.d t1, t0, (s5)
    bnez t1, 1b
    amoadd.d zero, t2, (s6)
2:  amoswap.w.aq t0, t2, (s7)
    bnez t0, 2b
    ld t0, 192(s1)
    addi t0, t0, 1
    sd t0, 192(s1)
    amoswap.w.rl zero, zero, (s7)
    addi s4, s4, -1
    bnez s4, count

    call barrier4
    bnez s0, stop
    li t0, 0x100000             // the test finisher: pass
    li t1, 0x5555
    sw t1, 0(t0)
stop:
    wfi
    j stop

barrier2:
    addi s2, s2, 2
    j 1f
barrier4:
    addi s2, s2, 4
1:  li t0, 1
    fence
    amoadd.d zero, t0, (s1)
2:  ld t0, 0(s1)
    bltu t0, s2, 2b
    fence
    ret
