/* SPDX-License-Identifier: Apache-2.0
 * rig.h - a riscv64 vcpu without memory management and dispatcher, for tests of translators: translates instructions, verifies the
 * block, optimises it, verifies it again, and evaluates it by ir_eval. Memory is RIG_BYTES at RIG_BASE, flat; an access elsewhere is an access fault. */
#ifndef SIM_GUEST_RISCV64_DOUBLE_RIG_H
#define SIM_GUEST_RISCV64_DOUBLE_RIG_H

#include "sim/guest/riscv64/isa.h"
#include "sim/guest/riscv64/riscv.h"

enum { RIG_BASE = 0x1000, RIG_BYTES = 0x1000, RIG_PC = 0x80000000 };
typedef struct {
    RiscvFrame r; /* first: r.f is the Frame */
    uint8_t mem[RIG_BYTES];
    IrOp ops[IR_BLOCK_MAX_OPS];
    IrBlock block;
    /* how the block was left */
    enum { RIG_NEXT, RIG_JUMP, RIG_TRAP, RIG_STOP, RIG_SYNC, RIG_UNSOUND } left;
    unsigned loads, stores;
    Err err; /* UNSOUND: what the verifier said */
} Rig;
/* A vcpu after reset at RIG_PC; cpu NULL = all. */
void rig_open(Rig *g, bool is_virt, const char *cpu);
/* Sets privilege and the frame that goes with it. */
void rig_mode(Rig *g, unsigned priv);
/* One instruction at pc, in a block of its own; pc moves, a trap stays in r.f.trap. Returns how it was left. */
int rig_step(Rig *g, uint32_t insn);
/* Translates only; the row. */
unsigned rig_translate(Rig *g, uint32_t insn);
uint64_t rig_mem(const Rig *g, uint64_t gva); /* 8 bytes */
void rig_mem_set(Rig *g, uint64_t gva, uint64_t value);

/* Encodings (Unpriv 2.2) */
#define ENC_R(f7, rs2, rs1, f3, rd, op)                                                                                \
    ((uint32_t)(f7) << 25 | (uint32_t)(rs2) << 20 | (uint32_t)(rs1) << 15 | (uint32_t)(f3) << 12 |                     \
     (uint32_t)(rd) << 7 | (op))
#define ENC_I(imm, rs1, f3, rd, op)                                                                                    \
    ((uint32_t)(imm) << 20 | (uint32_t)(rs1) << 15 | (uint32_t)(f3) << 12 | (uint32_t)(rd) << 7 | (op))
#define ENC_S(imm, rs2, rs1, f3)                                                                                       \
    (((uint32_t)(imm) >> 5 & 127) << 25 | (uint32_t)(rs2) << 20 | (uint32_t)(rs1) << 15 | (uint32_t)(f3) << 12 |       \
     ((uint32_t)(imm)&31) << 7 | 0x23)
#define CSRRW(rd, csr, rs1) ENC_I(csr, rs1, 1, rd, 0x73)
#define CSRRS(rd, csr, rs1) ENC_I(csr, rs1, 2, rd, 0x73)
#define CSRRC(rd, csr, rs1) ENC_I(csr, rs1, 3, rd, 0x73)
enum {
    INSN_ECALL = 0x73,
    INSN_EBREAK = 0x100073,
    INSN_SRET = 0x10200073,
    INSN_MRET = 0x30200073,
    INSN_WFI = 0x10500073
};
enum { INSN_SFENCE_VMA = 0x12000073, INSN_FENCE_I = 0x100f };
#endif
