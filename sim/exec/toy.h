/* SPDX-License-Identifier: Apache-2.0
 * toy.h - an instruction set for tests of what is ISA-free: dispatcher, softmmu, engines. Not part of the product.
 *
 * Instructions are 4 bytes: op, d, a, imm (signed). r0 reads as zero. Operations: */
#ifndef SIM_EXEC_TOY_H
#define SIM_EXEC_TOY_H

#include "sim/guest/guest.h"

enum {
    TOY_nop,
    TOY_addi, /* rd = ra + imm */
    TOY_add,  /* rd = ra + r[imm] */
    TOY_ld,   /* rd = 8 bytes at ra + imm */
    TOY_st,   /* 8 bytes at ra + imm = rd */
    TOY_st4,  /* 4 bytes */
    TOY_amo,  /* rd = 8 bytes at ra; += r[imm] */
    TOY_bne,  /* if (rd != ra) pc += imm * 4 */
    TOY_jmp,  /* pc += imm * 4 */
    TOY_jmpr, /* pc = ra */
    TOY_wait,
    TOY_call,  /* to the level above */
    TOY_time,  /* rd = guest clock */
    TOY_eret,  /* pc = epc, interrupts on */
    TOY_ie,    /* interrupts on if imm */
    TOY_move,  /* translation: gpa = gva + ra, flushed; of page imm alone, unless that is 0 */
    TOY_count, /* the number of operations; others are traps of cause 2 */
};
#define TOY(op, d, a, imm)                                                                                             \
    ((uint32_t)(TOY_##op) | (uint32_t)(d) << 8 | (uint32_t)(a) << 16 | (uint32_t)(uint8_t)(imm) << 24)
enum { TOY_CAUSE_ILLEGAL = 2, TOY_CAUSE_BUS = 5, TOY_CAUSE_PAGE = 13, TOY_CAUSE_IRQ = 100, TOY_VECTOR = 0x1000 };
enum { TOY_NO_PAGE = 0x100000 }; /* addresses from here on do not translate */

typedef struct {
    Frame f;
    uint64_t r[16];
    uint64_t epc, cause, tval, shift;
    uint64_t is_ie, line;
} ToyFrame;
extern const GuestIsa guest_toy;
#endif
