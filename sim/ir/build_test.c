/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/ir/ir_test.h"

#include <string.h>

typedef struct {
    IrBlock b;
    IrOp op[IR_BLOCK_MAX_OPS + 1]; /* the last must stay as it is */
    IrBuild k;
} Rig;

static void begin(Rig *r)
{
    memset(r, 0xa5, sizeof *r);
    ir_begin(&r->k, &r->b, r->op, 0x1000, 3);
}

TEST(ir_build, a_block_holds_what_was_emitted)
{
    static Rig r;
    begin(&r);
    ir_insn(&r.k, 4, 11);
    Slot t = ir_temp(&r.k);
    CHECK_INT(t, IR_TEMP(0));
    ir_opi(&r.k, IR_add_i, t, TEST_REG(1), -8);
    ir_store(&r.k, 3 | MEM_ALIGNED, t, 16, TEST_REG(2));
    ir_insn(&r.k, 2, 12);
    CHECK_INT(ir_temp(&r.k), IR_TEMP(0));
    ir_brcond(&r.k, COND_LTU, TEST_REG(0), IR_ZERO, 0x2000);
    ir_jmp(&r.k, 0x1006);
    CHECK(!r.k.is_full);
    CHECK_INT(r.b.nops, 4);
    CHECK_INT(r.b.ninsns, 2);
    CHECK_INT(r.b.nbytes, 6);
    CHECK_INT(r.b.insn_at[0], 0);
    CHECK_INT(r.b.insn_at[1], 4);
    CHECK_INT(r.b.insn_at[2], 6);
    CHECK_INT(r.b.insn_row[1], 12);
    CHECK_INT(r.op[1].op, IR_st);
    CHECK_INT(r.op[1].insn, 0);
    CHECK_INT(r.op[1].imm, 16);
    CHECK_INT(r.op[2].insn, 1);
    CHECK_INT(r.op[2].aux, COND_LTU);
}

TEST(ir_build, names_of_ops_end_in_their_places)
{
    for (unsigned op = 0; op < IR_COUNT; op++) {
        CHECK(ir_op_info[op].name[0]);
        CHECK_INT(ir_op_info[op].name[IR_NAME_BYTES - 1], 0);
    }
}

TEST(ir_build, a_write_to_the_zero_register_is_left_out_or_goes_to_a_temporary)
{
    static Rig r;
    begin(&r);
    ir_insn(&r.k, 4, 0);
    ir_op2(&r.k, IR_add, IR_ZERO, TEST_REG(1), TEST_REG(2));
    CHECK_INT(r.b.nops, 0);
    ir_load(&r.k, 3, IR_ZERO, TEST_REG(1), 0);
    CHECK_INT(r.op[0].d, IR_TEMP(0));
    ir_call(&r.k, TEST_CHECK, IR_ZERO, TEST_REG(1), IR_ZERO, IR_ZERO, 0);
    CHECK_INT(r.op[1].d, IR_ZERO);
    CHECK_INT(r.k.ntemps, 1);
}

TEST(ir_build, a_full_block_swallows_ops_but_keeps_room_for_its_terminator)
{
    static Rig r;
    begin(&r);
    IrOp guard = r.op[IR_BLOCK_MAX_OPS];
    for (unsigned i = 0; i < 2; i++) {
        ir_insn(&r.k, 4, 0);
        for (unsigned j = 0; j < 300; j++) {
            ir_opi(&r.k, IR_add_i, TEST_REG(1), TEST_REG(1), 1);
        }
    }
    CHECK(r.k.is_full);
    CHECK_INT(r.b.nops, IR_BLOCK_MAX_OPS - 1);
    ir_drop_insn(&r.k);
    CHECK(!r.k.is_full);
    CHECK_INT(r.b.nops, 300);
    CHECK_INT(r.b.ninsns, 1);
    CHECK_INT(r.b.nbytes, 4);
    ir_jmp(&r.k, 4);
    CHECK_INT(r.op[300].insn, 0);
    CHECK(!memcmp(&guard, &r.op[IR_BLOCK_MAX_OPS], sizeof guard));
}

TEST(ir_build, the_last_exit_is_kept_for_the_terminator)
{
    static Rig r;
    begin(&r);
    for (unsigned i = 0; i < IR_MAX_EXITS; i++) {
        ir_insn(&r.k, 4, 0);
        ir_brcond(&r.k, COND_EQ, TEST_REG(0), TEST_REG(1), 0);
        CHECK(r.k.is_full == (i == IR_MAX_EXITS - 1));
    }
    ir_drop_insn(&r.k);
    ir_jmp(&r.k, 0);
    CHECK(!r.k.is_full);
    CHECK_INT(r.b.nops, IR_MAX_EXITS);
    CHECK_INT(r.k.nexits, IR_MAX_EXITS);
}

TEST(ir_build, dropping_an_instruction_that_found_no_room_takes_out_no_other)
{
    static Rig r;
    begin(&r);
    for (unsigned i = 0; i <= IR_BLOCK_MAX_INSNS; i++) {
        ir_insn(&r.k, 255, 0);
    }
    CHECK(r.k.is_full);
    ir_drop_insn(&r.k);
    CHECK(!r.k.is_full);
    CHECK_INT(r.b.ninsns, IR_BLOCK_MAX_INSNS);
    CHECK_INT(r.b.insn_at[IR_BLOCK_MAX_INSNS], 255 * IR_BLOCK_MAX_INSNS);
}

TEST(ir_build, more_temporaries_than_there_are_make_it_full)
{
    static Rig r;
    begin(&r);
    ir_insn(&r.k, 4, 0);
    for (unsigned i = 0; i < IR_NTEMPS; i++) {
        CHECK_INT(ir_temp(&r.k), IR_TEMP(i));
    }
    CHECK(!r.k.is_full);
    CHECK(IR_IS_TEMP(ir_temp(&r.k)));
    CHECK(r.k.is_full);
}

TEST(ir_build, a_table_of_jumps_has_two_places_for_an_address)
{
    static JumpEntry table[1 << JUMP_BITS];
    static char code[4];
    const uint64_t pc[] = {0, 2, 1ull << 26, 1ull << 27}; /* all in the same two places */
    jump_begin(table);
    for (size_t i = 0; i < ARRAY_LEN(pc); i++) {
        CHECK_INT(JUMP_INDEX(pc[i]) / 2, 0);
        CHECK(!jump_find(table, pc[i]));
        jump_put(table, pc[i], &code[i]);
        CHECK(jump_find(table, pc[i]) == &code[i]);
    }
    CHECK(jump_find(table, pc[2]) == &code[2]); /* the one before moved on, */
    CHECK(!jump_find(table, pc[0]));            /* those before that are gone */
    jump_put(table, pc[2], &code[0]);           /* back to the first, and in the other no longer */
    CHECK(jump_find(table, pc[2]) == &code[0] && jump_find(table, pc[3]) == &code[3]);
    jump_drop(table, pc[2]);
    CHECK(!jump_find(table, pc[2]) && jump_find(table, pc[3]) == &code[3]);
    jump_drop(table, pc[3]);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        CHECK(table[i].pc == JUMP_FREE(i).pc && !table[i].code);
    }
}
