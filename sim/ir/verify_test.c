/* SPDX-License-Identifier: Apache-2.0
 * Each rule of ir_verify has a block that breaks it and nothing else. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/ir/ir_test.h"

#define BLOCK "block pc=0x1000 mode=0\ninsn 0 len=4 row=0\n"
#define INSN1 "insn 1 len=4 row=0\n"
#define JMP   "jmp 0x2000\n"

static IrOp ops[IR_BLOCK_MAX_OPS];
static IrBlock block;

static bool parse(const char *text)
{
    Err e = {0};
    bool ok = CHECK_INT(ir_parse(text, &test_guest, &block, ops, &e), 0);
    return ok || CHECK_STR(e.text, "");
}

static const char *verdict(void)
{
    static Err e;
    e = (Err){0};
    int rc = ir_verify(&block, &test_guest, &e);
    return rc ? e.text : "right";
}

typedef struct {
    const char *text, *verdict;
} Case;

TEST(ir_verify, a_block_that_keeps_the_rules_is_right)
{
    static const char *const right[] = {
        BLOCK JMP,
        BLOCK "ld.8 %0, [a0 + 8]\nst.8 [a1], %0\nadd_i a0, a0, 8\nadd_i a1, a1, 8\n" JMP,
        BLOCK "ld.8 a0, [a0]\n" INSN1 "ld.8 a0, [a0]\n" JMP,
        BLOCK "add a0, a1, a2\n" INSN1
              "call.check zero, a0, 3\nsub a1, a0, zero\nbrcond.eq a0, a1, 0x10\nmovi a2, 1\n" JMP,
        BLOCK "call.mode zero, a0, a1, 0\nsync 0x1004\n",
        BLOCK "call.mode %0, a0, a1, 0\nmov a3, %0\nstop.1 a3, 0\n",
        BLOCK "trap a0, 2\n",
        BLOCK "fadd.f64.dyn a0, a1, a2\n" INSN1 "fma.f32.rne a0, a0, a1, a2\njmpr.ret a0, 0\n",
        BLOCK "lr.s4.aligned a0, [a1]\n" INSN1 "sc.4.aligned a0, [a1], a2\nfence.seq_cst\n" JMP,
        BLOCK INSN1 JMP,
    };
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        CHECK(parse(right[i]));
        CHECK_STR(verdict(), "right");
    }
}

TEST(ir_verify, an_operand_is_a_slot_of_the_guest_or_a_temporary_that_this_instruction_wrote)
{
    static const Case cases[] = {
        {BLOCK "mov a0, @8\n" JMP, "op 0 (mov) of insn 0: reads @8, which is no slot of test"},
        {BLOCK "mov a0, @60000\n" JMP, "reads @60000"},
        {BLOCK "mov @16, a0\n" JMP, "writes @16, which is no slot of test"},
        {BLOCK "call.hash @16, a0, a0, a0, 0\n" JMP, "writes @16"},
        {BLOCK "mov a0, %3\n" JMP, "reads %3 before this instruction wrote it"},
        {BLOCK "movi %0, 1\n" INSN1 "mov a0, %0\n" JMP, "op 1 (mov) of insn 1: reads %0 before"},
        {BLOCK "add_i zero, a0, 1\n" JMP, "writes the zero slot"},
        {BLOCK "ld.8 zero, [a0]\n" JMP, "writes the zero slot"},
        {BLOCK "jmpr %0, 0\n", "reads %0 before"},
        {BLOCK "st.8 [a0], %1\n" JMP, "reads %1 before"},
        {BLOCK "sel a0, a1, a2, %1\n" JMP, "reads %1 before"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK(parse(cases[i].text));
        CHECK_HAS(verdict(), cases[i].verdict);
    }
}

TEST(ir_verify, no_event_follows_a_write_of_an_architectural_slot_in_an_instruction)
{
    static const Case cases[] = {
        {BLOCK "movi a0, 1\nld.8 a1, [a2]\n" JMP, "op 1 (ld) of insn 0: may raise an event after movi wrote"},
        {BLOCK "ld.8 a0, [a1]\nst.8 [a1], a2\n" JMP, "event after ld wrote"},
        {BLOCK "movi a0, 1\namo_add.8 a1, [a2], a3\n" JMP, "event after movi"},
        {BLOCK "movi a0, 1\ncall.check zero, a1, 0\n" JMP, "event after movi"},
        {BLOCK "movi a0, 1\ntrap zero, 2\n", "event after movi"},
        {BLOCK "fadd.f64.rne %0, a0, a1\nst.8 [a1], %0\n" JMP, "event after fadd"},
        {BLOCK "call.poke zero, a0, a1, 0\nld.8 a1, [a2]\n" JMP, "event after call"},
        {BLOCK "call.flags zero, a0, 0\nld.8 a1, [a2]\n" JMP, "event after call"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK(parse(cases[i].text));
        CHECK_HAS(verdict(), cases[i].verdict);
    }
}

TEST(ir_verify, one_terminator_ends_the_block_in_its_last_instruction)
{
    static const Case cases[] = {
        {BLOCK "mov a0, a1\n", "the last op is no terminator"},
        {BLOCK JMP JMP, "op 0 (jmp) of insn 0: a terminator before the last op"},
        {BLOCK JMP INSN1, "the terminator is not of the last instruction"},
        {BLOCK "brcond.eq a0, a1, 4\n", "the last op is no terminator"},
        {BLOCK "call.mode zero, a0, a1, 0\n" JMP, "op 1 (jmp) of insn 0: leaves after a helper with EFF_ENDS"},
        {BLOCK "call.mode zero, a0, a1, 0\nbrcond.eq a0, a1, 0x10\nsync 0x1004\n",
         "leaves after a helper with EFF_ENDS"},
        {BLOCK "call.mode zero, a0, a1, 0\n" INSN1 "sync 0x1008\n",
         "follows the instruction of a helper with EFF_ENDS"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK(parse(cases[i].text));
        CHECK_HAS(verdict(), cases[i].verdict);
    }
}

TEST(ir_verify, a_block_has_at_most_eight_exits)
{
    Buf text = {0};
    buf_str(&text, BLOCK);
    for (unsigned i = 0; i < IR_MAX_EXITS - 1; i++) {
        buf_str(&text, "brcond.eq a0, a1, 0x10\n");
    }
    buf_str(&text, JMP);
    CHECK(parse(buf_text(&text)));
    CHECK_STR(verdict(), "right");
    ops[block.nops] = ops[block.nops - 1];
    ops[block.nops - 1] = ops[0];
    block.nops++;
    CHECK_HAS(verdict(), "more than 8 exits");
    buf_free(&text);
}

static void right(void)
{
    CHECK(parse(BLOCK "add a0, a1, a2\n" INSN1 "ld.8 a0, [a1]\n" JMP));
    CHECK_STR(verdict(), "right");
}

TEST(ir_verify, counts_are_consistent_and_within_limits)
{
#define CASE(change, text) (right(), (change), CHECK_HAS(verdict(), text))
    CASE(block.ninsns = 0, "0 instructions");
    CASE(block.ninsns = 65, "65 instructions");
    CASE(block.nops = 0, "0 ops");
    CASE(block.nops = 513, "513 ops");
    CASE(block.insn_at[0] = 2, "not ascending from 0");
    CASE(block.insn_at[1] = 0, "not ascending");
    CASE(block.insn_at[1] = 8, "not ascending");
    CASE(block.nbytes = 7, "7 bytes, but insn_at ends at 8");
    CASE(block.nbytes = block.insn_at[2] = 8193, "more than two pages");
    CASE(ops[0].insn = 2, "insn is not ascending, or not below 2");
    CASE(ops[1].insn = 0, "may raise an event after add");
    CASE(ops[2].insn = 0, "insn is not ascending");
    CASE(ops[0].op = IR_COUNT, "no op has number");
}

TEST(ir_verify, fields_that_an_op_does_not_use_are_zero_and_aux_is_of_its_class)
{
    CASE(ops[1].b = TEST_REG(1), "operand b is not used and not zero");
    CASE(ops[0].c = TEST_REG(1), "operand c is not used and not zero");
    CASE(ops[2].a = TEST_REG(1), "operand a is not used and not zero");
    CASE(ops[2].d = TEST_REG(1), "has a destination, but no result");
    CASE(ops[0].imm = 1, "imm is not used and not 0");
    CASE(ops[0].aux = 1, "aux 1, not below 1");
    CASE(ops[2].aux = 8, "aux 8, not below 8");
    CASE(ops[1].aux |= 0x40, "has bits that it may not have");
    CASE(ops[1].aux |= 0x1000, "has bits that it may not have");
    CASE((ops[1].op = IR_lr, ops[1].aux |= MEM_FETCHLIKE), "has bits that it may not have");
    CASE((ops[1].op = IR_st, ops[1].d = IR_ZERO, ops[1].aux |= MEM_SIGNED), "has bits that it may not have");
    CASE((ops[0].op = IR_fadd, ops[0].aux = FP_AUX(4, 0)), "is no format and rounding");
    CASE((ops[0].op = IR_fadd, ops[0].aux = FP_AUX(FMT_F64, 6)), "is no format and rounding");
    CASE((ops[0].op = IR_fadd, ops[0].aux = 0x40), "is no format and rounding");
    CASE((ops[0].op = IR_fadd, ops[0].aux = FMT_F64, ops[0].d = test_guest.fp_flags), "writes fp_flags twice");
    CASE((ops[0].op = IR_call, ops[0].aux = TEST_NHELPERS), "aux 6, not below 6");
    CASE((ops[0] = (IrOp){.op = IR_brcond, .aux = COND_COUNT}), "aux 6, not below 6");
    CASE((ops[0] = (IrOp){.op = IR_fence, .aux = 5}), "aux 5, not below 5");
    CASE((ops[0] = (IrOp){.op = IR_mov, .d = TEST_REG(0) + 4}), "writes @");
    CASE((ops[0] = (IrOp){.op = IR_mov, .d = TEST_REG(0), .a = IR_TEMP(0) + 4}), "reads @");
}

TEST(ir_verify, a_guest_without_fp_has_no_fp_ops)
{
    IrGuest g = test_guest;
    Err e = {0};
    CHECK(parse(BLOCK "fadd.f64.dyn a0, a1, a2\n" JMP));
    g.fp_rm = IR_ZERO;
    CHECK_INT(ir_verify(&block, &g, &e), -ERR_INVAL);
    CHECK_HAS(e.text, "test has no FP flags or rounding");
    ops[0].aux = FP_AUX(FMT_F64, 0);
    CHECK_INT(ir_verify(&block, &g, &e), 0);
    g.fp_flags = IR_ZERO;
    CHECK_INT(ir_verify(&block, &g, &e), -ERR_INVAL);
}
