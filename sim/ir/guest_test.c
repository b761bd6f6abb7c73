/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/ir/ir_test.h"

static const IrSlotInfo slots[] = {
    {"a0", TEST_REG(0)},
    {"a1", TEST_REG(1)},
    {"a2", TEST_REG(2)},
    {"a3", TEST_REG(3)},
    {"a4", TEST_REG(4)},
    {"a5", TEST_REG(5)},
    {"a6", TEST_REG(6)},
    {"a7", TEST_REG(7)},
    {"a8", TEST_REG(8)},
    {"a9", TEST_REG(9)},
    {"a10", TEST_REG(10)},
    {"a11", TEST_REG(11)},
    {"fp_flags", offsetof(TestFrame, fp_flags)},
    {"fp_rm", offsetof(TestFrame, fp_rm)},
    {"b0", TEST_FAR(0)},
    {"b1", TEST_FAR(1)},
};

static uint64_t hash(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)f;
    return (a * 31 + b * 17 + c) ^ (uint64_t)imm;
}

static uint64_t check(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b, (void)c;
    if (a == (uint64_t)imm) {
        frame_raise(f, 2, a);
    }
    return a + 1;
}

static uint64_t peek(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    const TestFrame *t = (const TestFrame *)f;
    (void)b, (void)c;
    return t->r[a % TEST_NREGS] + (uint64_t)imm;
}

static uint64_t poke(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    TestFrame *t = (TestFrame *)f;
    (void)c, (void)imm;
    t->r[a % TEST_NREGS] = b;
    return b;
}

static uint64_t flags(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    TestFrame *t = (TestFrame *)f;
    (void)b, (void)c, (void)imm;
    uint64_t old = t->fp_flags;
    t->fp_flags |= a & 31;
    return old;
}

static const Helper helpers[TEST_NHELPERS] = {
    [TEST_HASH] = {"hash", hash, 0, 3},
    [TEST_CHECK] = {"check", check, EFF_EVENT, 1},
    [TEST_PEEK] = {"peek", peek, EFF_READS_FRAME, 1},
    [TEST_POKE] = {"poke", poke, EFF_WRITES_FRAME, 2},
    [TEST_FLAGS] = {"flags", flags, EFF_FP_FLAGS, 1},
    [TEST_MODE] = {"mode", poke, EFF_READS_FRAME | EFF_WRITES_FRAME | EFF_ENDS, 2},
};

const IrGuest test_guest = {
    .name = "test",
    .frame_bytes = sizeof(TestFrame),
    .slots = slots,
    .nslots = ARRAY_LEN(slots),
    .helpers = helpers,
    .nhelpers = TEST_NHELPERS,
    .fp_flags = offsetof(TestFrame, fp_flags),
    .fp_rm = offsetof(TestFrame, fp_rm),
};

uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t test_operand(uint64_t *state)
{
    uint64_t r = test_random(state), v = test_random(state);
    switch (r & 7) {
    case 0:
        return v & 15;
    case 1:
        return 0 - (v & 15);
    case 2:
        return 1ull << (v & 63);
    case 3:
        return (1ull << (v & 63)) - 1;
    case 4:
        return (uint64_t)(int64_t)(int32_t)(1u << (v & 31)) - (v >> 5 & 1);
    case 5:
        return (uint32_t)v;
    default:
        return v >> (r >> 8 & 63);
    }
}
