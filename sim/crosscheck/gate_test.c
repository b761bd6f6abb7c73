/* SPDX-License-Identifier: Apache-2.0
 * The comparison itself: can it fail? Engines that are wrong in one way each, made of the oracle, are found and shown small. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/crosscheck/crosscheck.h"

#include <stdio.h>
#include <string.h>

/* ---- engines that are wrong ---- */
typedef void Sabotage(IrOp *op); /* of each op, before the oracle sees it */
static Sabotage *sabotage;       /* of the test that runs: an Engine has no room for it */
static unsigned retired_too_many;

static void *wrong_prepare(void *engine, const IrBlock *b, void *tag)
{
    static IrOp ops[IR_BLOCK_MAX_OPS];
    IrBlock copy = *b;
    memcpy(ops, b->op, b->nops * sizeof *ops);
    copy.op = ops;
    for (uint32_t i = 0; sabotage && i < b->nops; i++) {
        sabotage(&ops[i]);
    }
    return engine_oracle.prepare(engine, &copy, tag);
}

static Left wrong_enter(void *engine, void *code, Frame *f)
{
    Left left = engine_oracle.enter(engine, code, f);
    if (left == LEFT_SYNC && f->budget > 0) {
        f->budget -= retired_too_many;
    }
    return left;
}

static void adds_one_too_many(IrOp *op)
{
    op->imm += op->op == IR_add_i && op->imm == 8;
}
static void signed_bytes_are_not(IrOp *op)
{
    op->aux &= (uint16_t) ~(op->op == IR_ld && MEM_SIZE(op->aux) == 1 ? MEM_SIGNED : 0u);
}
static void stores_of_4_are_of_8(IrOp *op)
{
    op->aux |= op->op == IR_st && MEM_LG2(op->aux) == 2 ? 1 : 0;
}
static void less_is_less_unsigned(IrOp *op)
{
    op->aux = op->op == IR_brcond && op->aux == COND_LT ? COND_LTU : op->aux;
}
static void rounds_down_for_up(IrOp *op)
{
    bool is_up = ir_op_info[op->op].cls == CLASS_FP && FP_RM(op->aux) == RM_RUP;
    op->aux ^= is_up ? (RM_RUP ^ RM_RDN) << 3 : 0;
}
static void bits_of_the_target_stay(IrOp *op)
{
    op->aux &= (uint16_t) ~(op->op == IR_jmpr ? JMP_EVEN : 0u);
}
static void reservations_hold_always(IrOp *op)
{
    if (op->op == IR_sc) {
        op->op = IR_st;
        op->d = IR_ZERO;
    }
}
static void divides_as_x86(IrOp *op)
{
    op->op = op->op == IR_remu ? IR_rem : op->op;
}
static void faults_before_its_time(IrOp *op)
{
    op->insn -= op->op == IR_ld && op->insn > 0;
}

TEST(crosscheck_gate, what_is_wrong_in_an_engine_is_found_and_shown_small)
{
    enum { PROGRAMS = 3000, SMALL_OPS = 30 };
    static const struct {
        const char *name;
        Sabotage *how;
        unsigned too_many;
    } wrongs[] = {
        {"adds_one_too_many", adds_one_too_many, 0},
        {"signed_bytes_are_not", signed_bytes_are_not, 0},
        {"stores_of_4_are_of_8", stores_of_4_are_of_8, 0},
        {"less_is_less_unsigned", less_is_less_unsigned, 0},
        {"rounds_down_for_up", rounds_down_for_up, 0},
        {"bits_of_the_target_stay", bits_of_the_target_stay, 0},
        {"reservations_hold_always", reservations_hold_always, 0},
        {"divides_as_x86", divides_as_x86, 0},
        {"faults_before_its_time", faults_before_its_time, 0},
        {"retires_one_too_many", NULL, 1},
    };
    Engine wrong = engine_oracle;
    wrong.name = "wrong";
    wrong.prepare = wrong_prepare;
    wrong.enter = wrong_enter;
    World *oracle = world_new(&engine_oracle, CROSS_RISCV, false), *w = world_new(&wrong, CROSS_RISCV, false);
    static Program p;
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        Buf report = {0};
        sabotage = wrongs[i].how;
        retired_too_many = wrongs[i].too_many;
        unsigned n = 0, nops = 0;
        bool ok = true;
        for (; ok && n < PROGRAMS; n++) {
            program_random(&p, &(Choices){.random = 77 + n});
            ok = cross_check(oracle, w, &p, &report);
        }
        for (unsigned k = 0; k < p.nblocks; k++) {
            nops += p.block[k].nops;
        }
        CHECK(!ok);
        CHECK(nops <= SMALL_OPS);
        CHECK_HAS(buf_text(&report), "block pc=0x4000");
        if (ok || nops > SMALL_OPS) {
            printf("%s: after %u programs, %u ops\n%s", wrongs[i].name, n, nops, buf_text(&report));
        }
        buf_free(&report);
    }
    sabotage = NULL;
    retired_too_many = 0;
    world_free(oracle);
    world_free(w);
}
