/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/ir/ir_test.h"

#include <stdio.h>
#include <string.h>

static IrOp ops[IR_BLOCK_MAX_OPS], again[IR_BLOCK_MAX_OPS];

/* One op of each kind with random fields that it may have. */
static IrOp random_op(unsigned op, uint64_t *seed)
{
    static const Slot slots[] = {IR_ZERO, TEST_REG(0), TEST_REG(3), TEST_REG(11), IR_TEMP(0), IR_TEMP(31), 520 * 8};
    const IrOpInfo *info = &ir_op_info[op];
    uint64_t r = test_random(seed);
    unsigned nsrc = info->nsrc, aux = 0;
    switch (info->cls) {
    case CLASS_PURE:
        break;
    case CLASS_FP:
        aux = FP_AUX3(r & 3, (r >> 2) % 6, info->shape >= FP_SHAPE_CONVERT ? r >> 8 & 3 : 0);
        aux |= r >> 16 & 1 ? FP_BOXED : 0;
        break;
    case CLASS_LOAD:
    case CLASS_STORE:
    case CLASS_ATOMIC:
        aux = r & 0xf3f;
        break;
    case CLASS_FENCE:
        aux = r % 5;
        break;
    case CLASS_CALL:
        aux = r % TEST_NHELPERS;
        nsrc = test_guest.helpers[aux].nsrc;
        break;
    case CLASS_SIDE_EXIT:
        aux = r % COND_COUNT;
        break;
    case CLASS_TERM:
        aux = op == IR_stop ? r & 0xffff : op == IR_jmp || op == IR_jmpr ? r & 3 : 0;
        break;
    }
    Slot s[4];
    for (unsigned i = 0; i < 4; i++) {
        s[i] = slots[test_random(seed) % ARRAY_LEN(slots)];
    }
    return (IrOp){.op = (uint16_t)op,
                  .aux = (uint16_t)aux,
                  .d = info->has_dst ? s[3] : IR_ZERO,
                  .a = nsrc > 0 ? s[0] : IR_ZERO,
                  .b = nsrc > 1 ? s[1] : IR_ZERO,
                  .c = nsrc > 2 ? s[2] : IR_ZERO,
                  .imm = info->has_imm ? (int64_t)test_operand(seed) : 0};
}

TEST(ir_text, what_is_printed_is_parsed_back_to_the_same_block)
{
    uint64_t seed = 3;
    Buf text = {0}, text2 = {0};
    for (unsigned round = 0; round < 200; round++) {
        IrBlock b, b2;
        IrBuild k;
        Err e = {0};
        ir_begin(&k, &b, ops, test_operand(&seed), (uint32_t)test_random(&seed));
        b.flags = round % 3;
        for (unsigned op = 0; op < IR_COUNT; op++) {
            if (op % 8 == 0) {
                ir_insn(&k, 1 + (unsigned)(test_random(&seed) % 255), (uint16_t)test_random(&seed));
            }
            IrOp o = random_op(op, &seed);
            o.insn = b.ninsns - 1;
            ops[b.nops++] = o;
        }
        buf_clear(&text);
        buf_clear(&text2);
        ir_print(&b, &test_guest, &text);
        if (!CHECK_INT(ir_parse(buf_text(&text), &test_guest, &b2, again, &e), 0)) {
            CHECK_STR(e.text, "");
            break;
        }
        ir_print(&b2, &test_guest, &text2);
        CHECK_STR(buf_text(&text2), buf_text(&text));
        CHECK_INT(b2.nops, b.nops);
        CHECK(!memcmp(ops, again, sizeof(IrOp) * b.nops));
        CHECK(b2.gva == b.gva && b2.mode_key == b.mode_key && b2.flags == b.flags && b2.ninsns == b.ninsns);
        CHECK(b2.nbytes == b.nbytes && !memcmp(b2.insn_at, b.insn_at, sizeof b.insn_at[0] * (b.ninsns + 1)));
        CHECK(!memcmp(b2.insn_row, b.insn_row, sizeof b.insn_row[0] * b.ninsns));
    }
    buf_free(&text);
    buf_free(&text2);
}

TEST(ir_text, the_form_is_the_one_that_the_manual_shows)
{
    static const char form[] = "block pc=0x80000000 mode=0x3 flags=0x1\n"
                               "insn 0 len=4 row=12\n"
                               "  add a0, a1, a2\n"
                               "  add_i %31, zero, -5\n"
                               "  movi a1, 0xdeadbeef\n"
                               "  ld.s4.aligned.r2 a3, [a1 + 8]\n"
                               "  ld.8.alone.fetchlike a3, [a1 - 8]\n"
                               "  st.1 [a1 - 0x8000000000000000], zero\n"
                               "  amo_cas.8 a0, [a1], a2, a3\n"
                               "  sc.4 a0, [a1], a2\n"
                               "  fence.acq_rel\n"
                               "  fma.bf16.dyn a0, a1, a2, a3\n"
                               "  fsqrt.f64.rmm a0, a1\n"
                               "  call.check a0, a1, -5\n"
                               "  call.hash zero, a0, a1, a2, 0\n"
                               "  brcond.ltu a0, a1, 0x80000010\n"
                               "insn 1 len=2 row=65535\n"
                               "insn 2 len=2 row=0\n"
                               "  jmp 0x80000020\n"
                               "  jmpr.call.ret.even a0, 4\n"
                               "  trap a0, 13\n"
                               "  stop.77 a0, 5\n"
                               "  sync 0xfffffffffffffffe\n";
    Buf text = {0};
    IrBlock b;
    Err e = {0};
    CHECK_INT(ir_parse(form, &test_guest, &b, ops, &e), 0);
    CHECK_STR(e.text, "");
    ir_print(&b, &test_guest, &text);
    CHECK_STR(buf_text(&text), form);
    buf_free(&text);
}

TEST(ir_text, a_block_that_is_wrong_is_printed_too)
{
    IrBlock b;
    Buf text = {0};
    Err e = {0};
    CHECK_INT(ir_parse("block pc=0 mode=0\ninsn 0 len=4 row=0\njmp 0", &test_guest, &b, ops, &e), 0);
    b.nops = 4;
    ops[0] = (IrOp){.op = IR_call, .aux = 99};
    ops[1] = (IrOp){.op = IR_fadd, .aux = FP_AUX(7, 6), .d = 12, .a = IR_TEMP(1) + 4, .b = TEST_REG(0)};
    ops[2] = (IrOp){.op = IR_COUNT};
    ops[3] = (IrOp){.op = IR_fence, .aux = 9};
    ir_print(&b, &test_guest, &text);
    CHECK_HAS(buf_text(&text), "call.?99 zero, zero, zero, zero, 0\n  fadd.?7.?6 @12, @");
    CHECK_HAS(buf_text(&text), "  fence.?9\n");
    buf_free(&text);
}

TEST(ir_text, an_error_says_where_what_and_what_was_expected)
{
#define HEAD "block pc=0 mode=0\ninsn 0 len=4 row=0\n"
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "1:1: end of text, expected block"},
        {"\n\n blok", "3:2: 'blok', expected block"},
        {"block mode=0", "1:7: 'mode', expected pc=number"},
        {"block pc 0", "1:10: '0', expected ="},
        {"block pc=0x mode=0", "1:10: '0x', expected pc=number"},
        {"block pc=18446744073709551616 mode=0", "1:10: '18446744073709551616', expected pc=number"},
        {"block pc=0 mode=0x100000000", "1:17: '0x100000000', expected mode=number"},
        {"block pc=0 mode=0 flag=1", "1:19: 'flag', expected flags=number"},
        {"block pc=0 mode=0 flags=1 x", "1:27: 'x', expected the end of the line"},
        {"block pc=0 mode=0\nadd a0, a0, a0", "2:1: 'add', expected insn before the first op"},
        {"block pc=0 mode=0\ninsn 1 len=4 row=0", "2:6: '1', expected the next index"},
        {"block pc=0 mode=0\ninsn 0 len=256 row=0", "2:12: '256', expected len=1 to 255"},
        {"block pc=0 mode=0\ninsn 0 len=0 row=0", "expected len=1 to 255"},
        {"block pc=0 mode=0\ninsn 0 len=1 row=65536", "2:18: '65536', expected row=0 to 65535"},
        {HEAD "  frob a0", "3:3: 'frob', expected an op or insn"},
        {HEAD "  , a0", "3:3: ',', expected an op or insn"},
        {HEAD "  add a0 a1", "3:10: 'a1', expected a comma and an operand"},
        {HEAD "  add a0, a1", "3:13: end of text, expected a comma and an operand"},
        {HEAD "  add a0, a1, b9\n", "3:15: 'b9', expected a slot: a register's name, %0 to %31, or zero"},
        {HEAD "  add a0, a1, %32\n", "3:15: '%32', expected a slot"},
        {HEAD "  add a0, a1, @65536\n", "3:15: '@65536', expected a slot"},
        {HEAD "  add a0, a1,\n", "3:14: end of line, expected a slot"},
        {HEAD "  add.x a0, a1, a2\n", "3:7: 'x', expected no further suffix"},
        {HEAD "  movi a0, a1\n", "3:12: 'a1', expected a number of 64 bits"},
        {HEAD "  movi a0, -9223372036854775809\n", "expected a number of 64 bits"},
        {HEAD "  ld.3 a0, [a1]", "3:6: '3', expected a size"},
        {HEAD "  ld a0, [a1]", "3:5: '', expected a size"},
        {HEAD "  ld.4.alone.aligned a0, [a1]", "3:14: 'aligned', expected no further suffix"},
        {HEAD "  ld.4.r16 a0, [a1]", "3:8: 'r16', expected a regime"},
        {HEAD "  ld.4 a0, a1", "3:12: 'a1', expected an address"},
        {HEAD "  ld.4 a0, [a1 8]", "3:16: '8', expected ] of the address"},
        {HEAD "  fadd.f80.rne a0, a1, a2", "3:8: 'f80', expected a format"},
        {HEAD "  fadd.f64.up a0, a1, a2", "3:12: 'up', expected a rounding"},
        {HEAD "  call.frob a0, 0", "3:8: 'frob', expected the name of a helper"},
        {HEAD "  brcond.gt a0, a1, 0", "3:10: 'gt', expected a condition"},
        {HEAD "  fence.strong", "3:9: 'strong', expected an order"},
        {HEAD "  stop.65536 a0, 0", "3:8: '65536', expected a reason"},
        {HEAD "  jmp 0 0", "3:9: '0', expected the end of the line"},
        {HEAD "  mov \x01", "3:7: byte 0x01, expected a slot"},
        {HEAD "  mov \xff", "3:7: byte 0xff, expected a slot"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        IrBlock b;
        Err e = {0};
        CHECK_INT(ir_parse(cases[i].text, &test_guest, &b, ops, &e), -ERR_INVAL);
        CHECK_HAS(e.text, cases[i].error);
    }
}

TEST(ir_text, more_than_a_block_can_hold_is_an_error)
{
    Buf text = {0};
    IrBlock b;
    Err e = {0};
    buf_str(&text, HEAD);
    for (unsigned i = 0; i <= IR_BLOCK_MAX_OPS; i++) {
        buf_str(&text, "mov a0, a1\n");
    }
    CHECK_INT(ir_parse(buf_text(&text), &test_guest, &b, ops, &e), -ERR_INVAL);
    CHECK_STR(e.text, "515:1: 'mov', expected at most 512 ops");
    buf_clear(&text);
    buf_str(&text, "block pc=0 mode=0 # a comment\n\n");
    for (unsigned i = 0; i <= IR_BLOCK_MAX_INSNS; i++) {
        buf_printf(&text, "insn %u len=255 row=0\n", i);
    }
    CHECK_INT(ir_parse(buf_text(&text), &test_guest, &b, ops, &e), -ERR_INVAL);
    CHECK_STR(e.text, "67:1: 'insn', expected at most 64 instructions");
    buf_free(&text);
}
