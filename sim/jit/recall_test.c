/* SPDX-License-Identifier: Apache-2.0
 * Which unit is which. What recalled units do is tested in jit_test.c, with programs. */
#include "sim/jit/rig.h"

#include "sim/base/test.h"

#ifdef JIT_HAS_HOST
static unsigned features_off;
unsigned jit_features(unsigned have)
{
    return have & ~features_off;
}

/* How many units of two blocks that go to each other are not in the store, if the first is at gva and adds by. */
typedef struct {
    uint64_t gva;
    int64_t by;
    bool is_linked, is_flat;
} Two;
static uint64_t wanting(CodeStore *store, const IrGuest *guest, const Two *two)
{
    uint64_t before = code_store_stats(store).wanting;
    Rig *g = rig_open_of(&engine_jit_eager, guest, store, 1);
    void *code[2];
    g->f->f.tlb_same = two->is_flat ? JIT_SAME : 0;
    for (unsigned i = 0; i < 2; i++) {
        ir_begin(&g->build, &g->block, g->ops, two->gva + i * BLOCK_BYTES, 0);
        ir_insn(&g->build, INSN_BYTES, 0);
        ir_opi(&g->build, IR_add_i, R(1), R(1), i ? 1 : two->by);
        ir_jmp(&g->build, two->gva + (uint64_t)!i * BLOCK_BYTES);
        code[i] = g->kind->prepare(g->engine, &g->block, &code[i]);
    }
    if (two->is_linked) {
        g->kind->link(g->engine, code[0], 0, code[1]);
    }
    for (unsigned i = 0; i < 3; i++) {
        g->f->f.budget = 3;
        CHECK_INT(g->kind->enter(g->engine, code[0], &g->f->f), LEFT_EXIT);
    }
    g->kind->release(g->engine, code[0]);
    g->kind->release(g->engine, code[1]);
    rig_close(g);
    return code_store_stats(store).wanting - before;
}

TEST(jit, each_part_of_what_a_unit_is_made_from_is_in_its_key)
{
    static const Slot few[] = {R(3), R(0)};
    static const Two base = {.gva = GVA, .by = 5, .is_linked = true};
    Two two = base;
    CodeStore *s = code_store_new(NULL);
    IrGuest other = rig_guest;
    CHECK_INT(wanting(s, &rig_guest, &two), 3); /* two blocks and a region */
    CHECK_INT(wanting(s, &rig_guest, &two), 0);
    two.gva = GVA + 0x1000;
    CHECK_INT(wanting(s, &rig_guest, &two), 3);
    two = base, two.by = 6;
    CHECK_INT(wanting(s, &rig_guest, &two), 2);
    two = base, two.is_linked = false;
    CHECK_INT(wanting(s, &rig_guest, &two), 1);
    two = base, two.is_flat = true;
    CHECK_INT(wanting(s, &rig_guest, &two), 1);
    features_off = JIT_BMI2;
    CHECK_INT(wanting(s, &rig_guest, &base), 3);
    features_off = 0;
    CHECK_INT(wanting(s, &other, &base), 0);
    other.hot = few, other.nhot = ARRAY_LEN(few);
    CHECK_INT(wanting(s, &other, &base), 3);
    other = rig_guest, other.fp_mode ^= 1;
    CHECK_INT(wanting(s, &other, &base), 3);
    other = rig_guest, other.nhelpers--;
    CHECK_INT(wanting(s, &other, &base), 3);
    CHECK_INT(wanting(s, &rig_guest, &base), 0);
    code_store_free(s);
}
#endif
