/* SPDX-License-Identifier: Apache-2.0
 * crt0.S - entry of the guest images. RAM is zero at the start, so .bss is not cleared. With -DSV39: PMP open, an identity map,
 * and main in S-mode. */
    .section .text.start, "ax"
    .globl _start
_start:
    csrr    t0, mhartid
    bnez    t0, park
    .option push
    .option norelax
    la      gp, __global_pointer$ /* the linker makes near data relative to it */
    .option pop
    la      t0, m_trap
    csrw    mtvec, t0
    li      t0, 7
    csrw    mcounteren, t0
    li      t0, 0x6000            /* floating point on */
    csrs    mstatus, t0
    la      sp, stack_top
#ifdef SV39
    call    build_pt              /* returns satp value */
    mv      s0, a0
    /* open PMP; the trap of a hart that has none skips the writes */
    la      t0, 1f
    csrw    mtvec, t0
    li      t0, -1
    csrw    pmpaddr0, t0
    li      t0, 0x1f
    csrw    pmpcfg0, t0
    .balign 4
1:  la      t0, m_trap
    csrw    mtvec, t0
    csrw    satp, s0
    sfence.vma
    li      t0, 0x1800
    csrc    mstatus, t0
    li      t0, 0x0800            /* MPP = S */
    csrs    mstatus, t0
    la      t0, main
    csrw    mepc, t0
    la      ra, park
    mret
#else
    call    main
#endif
park:
    wfi
    j       park

/* Any other trap ends the run without a result. */
    .balign 4
m_trap:
    la      t0, tohost
    li      t1, 1
    sd      t1, 0(t0)
1:  j       1b

    .section .tohost, "aw"
    .balign 64
    .globl tohost, fromhost
tohost:   .dword 0
    .balign 64
fromhost: .dword 0
