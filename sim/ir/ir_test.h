/* SPDX-License-Identifier: Apache-2.0
 * ir_test.h - what the tests of the IR share: a guest of a few registers, its helpers by effect, random numbers. */
#ifndef SIM_IR_IR_TEST_H
#define SIM_IR_IR_TEST_H

#include "sim/ir/ir.h"

enum { TEST_NREGS = 12 };
typedef struct TestFrame {
    Frame f;
    uint64_t r[TEST_NREGS]; /* a0.. */
    uint64_t fp_flags, fp_rm;
    uint64_t gap[256 - TEST_NREGS - 2];
    uint64_t far[2]; /* b0, b1: in the optimiser's buckets of a0 and a1 */
} TestFrame;
#define TEST_FAR(n) ((Slot)(offsetof(TestFrame, far) + 8u * (n)))
#define TEST_REG(n) ((Slot)(offsetof(TestFrame, r) + 8u * (n)))
enum { TEST_HASH, TEST_CHECK, TEST_PEEK, TEST_POKE, TEST_FLAGS, TEST_MODE, TEST_NHELPERS };
extern const IrGuest test_guest;

uint64_t test_random(uint64_t *state); /* splitmix64 */
/* A number as programs have them: small, near a power of two, all ones, or any. */
uint64_t test_operand(uint64_t *state);
#endif
