/* SPDX-License-Identifier: Apache-2.0
 * jit_golden.S - the guest of sim/jit/decode/golden_test.c: short endless loops, one of each typical shape of code. What is before the
 * label NAME only makes registers ready and is not measured. jit_golden.def holds the words; `ci/guest-words` makes them again. */
    .option norelax
    .option arch, +d, +zbb, +zba
    .globl _start
#define DATA 0x80008000
_start:
/* For each shape: where it is entered, where it begins, where it ends. */
#define SHAPE(name) .word name##_entry - _start, name - _start, name##_end - _start
    SHAPE(alu)
    SHAPE(bits)
    SHAPE(divide)
    SHAPE(branch)
    SHAPE(memory)
    SHAPE(copy)
    SHAPE(scan)
    SHAPE(call)
    SHAPE(switch)
    SHAPE(fp64)
    SHAPE(fp32)
    SHAPE(amo)
    SHAPE(csr)
    SHAPE(trap)
    .word 0

alu_entry:
    li      s0, 0x1234
alu:
    addi    a0, a0, 5
    add     a1, a1, a0
    sub     a2, a1, a0
    xor     a3, a2, a1
    slli    a4, a3, 7
    srl     a5, a4, a0
    sraiw   a6, a5, 3
    sltu    a7, a6, a4
    mul     a0, a7, s0
    addw    a1, a1, a6
    and     a2, a2, a3
    lui     a3, 0x12345
    or      a4, a4, a3
    j       alu
alu_end:

bits_entry:
    li      s0, 0x1234567
bits:
    rol     a0, s0, a1
    rori    a1, a0, 11
    clz     a2, a1
    ctz     a3, a1
    cpop    a4, a1
    rev8    a5, a4
    andn    a6, a5, a0
    sh2add  a7, a6, a1
    add.uw  t0, a7, a2
    max     t1, t0, a3
    sext.b  t2, t1
    zext.h  s0, t2
    j       bits
bits_end:

divide_entry:
    li      s0, 7
divide:
    addi    a0, a0, 1000
    div     a1, a0, s0
    remu    a2, a0, s0
    divw    a3, a0, s0
    mulhu   a4, a0, a1
    j       divide
divide_end:

branch_entry:
branch:
    addi    a0, a0, 1
    andi    a1, a0, 1
    beqz    a1, 1f
    addi    a2, a2, 3
    bgeu    a2, a0, branch
1:  xori    a2, a2, 1
    blt     a2, a0, branch
    j       branch
branch_end:

memory_entry:
    li      s0, DATA
    addi    s1, s0, 0x400
memory:
    ld      a0, 0(s0)
    ld      a1, 8(s0)
    add     a0, a0, a1
    sd      a0, 16(s0)
    lw      a2, 24(s1)
    lbu     a3, 28(s1)
    lh      a4, 30(s1)
    sw      a2, 32(s1)
    sb      a3, 36(s1)
    andi    a5, a0, 0x78
    add     a5, a5, s0
    ld      a6, 64(a5)
    sh      a6, 38(s1)
    j       memory
memory_end:

copy_entry:
    li      s0, DATA
    addi    s1, s0, 0x400
copy:
    mv      a0, s0
    mv      a1, s1
1:  ld      a2, 0(a0)
    sd      a2, 0(a1)
    addi    a0, a0, 8
    addi    a1, a1, 8
    bne     a0, s1, 1b
    j       copy
copy_end:

scan_entry:
    li      s0, DATA
    li      a0, 1
    addi    a1, s0, 0x100
    mv      a2, s0
1:  sb      a0, 0(a2)
    addi    a2, a2, 1
    bne     a2, a1, 1b
    sb      zero, 0(a1)
scan:
    mv      a0, s0
1:  lbu     a1, 0(a0)
    addi    a0, a0, 1
    bnez    a1, 1b
    sub     a2, a0, s0
    j       scan
scan_end:

call_entry:
    li      sp, DATA
call:
    addi    a0, a0, 1
    call    1f
    add     a1, a1, a0
    call    2f
    j       call
1:  addi    sp, sp, -16
    sd      ra, 8(sp)
    call    2f
    ld      ra, 8(sp)
    addi    sp, sp, 16
    ret
2:  slli    a0, a0, 1
    ret
call_end:

switch_entry:
    lla     s0, 1f
switch:
    addi    a0, a0, 1
    andi    a1, a0, 3
    slli    a1, a1, 3
    add     a1, a1, s0
    jr      a1
    .balign 8
    .option push
    .option norvc
1:  addi    a2, a2, 1
    j       switch
    xori    a2, a2, 5
    j       switch
    slli    a2, a2, 1
    j       switch
    sub     a2, a2, a0
    j       switch
    .option pop
switch_end:

fp64_entry:
    li      s0, DATA
    li      t0, 0x6000
    csrs    sstatus, t0
fp64:
    fld     fa0, 0(s0)
    fld     fa1, 8(s0)
    fmadd.d fa2, fa0, fa1, fa2
    fadd.d  fa3, fa2, fa0
    fmul.d  fa4, fa3, fa1
    fsub.d  fa5, fa4, fa0
    fsgnj.d fa6, fa5, fa0
    flt.d   a0, fa6, fa0
    fcvt.d.l fa7, a0
    fcvt.l.d a1, fa7, rtz
    fsd     fa5, 16(s0)
    j       fp64
fp64_end:

fp32_entry:
    li      s0, DATA
    li      t0, 0x6000
    csrs    sstatus, t0
fp32:
    flw     fa0, 0(s0)
    flw     fa1, 8(s0)
    fmadd.s fa2, fa0, fa1, fa2
    fadd.s  fa3, fa2, fa0
    fmul.s  fa4, fa3, fa1
    feq.s   a0, fa4, fa0
    fcvt.s.w fa5, a0
    fcvt.d.s fa6, fa5
    fsw     fa5, 16(s0)
    j       fp32
fp32_end:

amo_entry:
    li      s0, DATA
amo:
    addi    a0, a0, 1
    amoadd.d a1, a0, (s0)
    amoswap.w a2, a1, (s0)
1:  lr.d    a3, (s0)
    addi    a3, a3, 1
    sc.d    a4, a3, (s0)
    bnez    a4, 1b
    fence   rw, rw
    j       amo
amo_end:

csr_entry:
csr:
    addi    a0, a0, 1
    csrrw   a1, mscratch, a0
    csrr    a2, mscratch
    csrrs   a3, mstatus, zero
    j       csr
csr_end:

trap_entry:
    lla     t0, 1f
    csrw    mtvec, t0
trap:
    addi    a0, a0, 1
    ecall
    j       trap
    .balign 4
1:  csrr    t1, mepc
    addi    t1, t1, 4
    csrw    mepc, t1
    mret
trap_end:
