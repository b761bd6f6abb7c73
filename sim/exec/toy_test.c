/* SPDX-License-Identifier: Apache-2.0
 * The toy guest itself, beside the tests that use it. */
#include "sim/base/mem.h"
#include "sim/exec/exec.h"
#include "sim/exec/toy.h"

#include <string.h>

#define R(n) ((Slot)((n) ? offsetof(ToyFrame, r) + 8u * (n) : 0))
static ToyFrame *toy(Frame *f)
{
    return (ToyFrame *)(void *)f;
}
static const ToyFrame *toy_const(const Frame *f)
{
    return (const ToyFrame *)(const void *)f;
}

static uint64_t help_time(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a, (void)b, (void)c, (void)imm;
    return exec_now_ns(f);
}
static uint64_t help_eret(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a, (void)b, (void)c, (void)imm;
    toy(f)->is_ie = 1;
    return toy(f)->epc;
}
static uint64_t help_ie(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)a, (void)b, (void)c;
    toy(f)->is_ie = imm != 0;
    return 0;
}
static uint64_t help_move(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)b, (void)c;
    toy(f)->shift = a;
    exec_flush_tlb(f, imm ? (uint64_t)imm * SPACE_PAGE_BYTES : UINT64_MAX, UINT64_MAX);
    return 0;
}
static const Helper helpers[] = {
    {"time", help_time, EFF_READS_FRAME, 0},
    {"eret", help_eret, EFF_READS_FRAME | EFF_WRITES_FRAME | EFF_ENDS, 0},
    {"ie", help_ie, EFF_WRITES_FRAME | EFF_ENDS, 0},
    {"move", help_move, EFF_WRITES_FRAME | EFF_ENDS, 1},
};

static bool tr_plain(IrBuild *k, unsigned op, Slot d, Slot a, int64_t imm)
{
    Slot b = R((unsigned)imm & 15);
    switch (op) {
    case TOY_nop:
        return true;
    case TOY_addi:
        ir_opi(k, IR_add_i, d, a, imm);
        return true;
    case TOY_add:
        ir_op2(k, IR_add, d, a, b);
        return true;
    case TOY_ld:
        ir_load(k, 3, d, a, imm);
        return true;
    case TOY_st:
        ir_store(k, 3, a, imm, d);
        return true;
    case TOY_st4:
        ir_store(k, 2, a, imm, d);
        return true;
    case TOY_amo:
        ir_emit(k, &(IrOp){.op = IR_amo_add, .aux = 3, .d = d, .a = a, .b = b});
        return true;
    case TOY_time:
        ir_call(k, 0, d, IR_ZERO, IR_ZERO, IR_ZERO, 0);
        return true;
    default:
        return false;
    }
}

static bool tr_control(IrBuild *k, const Translate *t, unsigned op, Slot d, Slot a, int64_t imm)
{
    uint64_t next = t->pc + 4;
    Slot to = ir_temp(k);
    switch (op) {
    case TOY_bne:
        ir_brcond(k, COND_NE, d, a, t->pc + (uint64_t)imm * 4);
        ir_jmp(k, next);
        return true;
    case TOY_jmp:
        ir_jmp(k, t->pc + (uint64_t)imm * 4);
        return true;
    case TOY_jmpr:
        ir_emit(k, &(IrOp){.op = IR_jmpr, .a = a});
        return true;
    case TOY_wait:
    case TOY_call:
        ir_opi(k, IR_movi, to, IR_ZERO, (int64_t)next);
        ir_emit(k, &(IrOp){.op = IR_stop, .aux = op == TOY_wait ? STOP_WAIT : STOP_HYPERCALL, .a = to, .imm = 4});
        return true;
    case TOY_eret:
        ir_call(k, 1, to, IR_ZERO, IR_ZERO, IR_ZERO, 0);
        ir_emit(k, &(IrOp){.op = IR_syncr, .a = to});
        return true;
    case TOY_ie:
        ir_call(k, 2, IR_ZERO, IR_ZERO, IR_ZERO, IR_ZERO, imm);
        break;
    case TOY_move:
        ir_call(k, 3, IR_ZERO, a, IR_ZERO, IR_ZERO, imm);
        break;
    default:
        ir_emit(k, &(IrOp){.op = IR_trap, .imm = TOY_CAUSE_ILLEGAL});
        return true;
    }
    ir_emit(k, &(IrOp){.op = IR_sync, .imm = (int64_t)next});
    return true;
}

static TrResult toy_translate(Translate *t)
{
    if (t->avail < 4) {
        return TR_MORE;
    }
    unsigned op = t->bytes[0];
    Slot d = R(t->bytes[1] & 15u), a = R(t->bytes[2] & 15u);
    int64_t imm = (int64_t)((uint64_t)t->bytes[3] << 56) >> 56; /* signed */
    ir_insn(t->ir, 4, (uint16_t)op);
    if (tr_plain(t->ir, op, d, a, imm)) {
        return TR_NEXT;
    }
    tr_control(t->ir, t, op, d, a, imm);
    return TR_END;
}

static bool toy_walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap)
{
    (void)acc, (void)regime, (void)io;
    if (gva >= TOY_NO_PAGE) {
        *trap = (Trap){.cause = TOY_CAUSE_PAGE, .value = gva};
        return false;
    }
    *out = (Walk){.gpa = gva + toy(f)->shift, .allow = ACC_READ | ACC_WRITE | ACC_EXEC};
    return true;
}
static void toy_bus_fault(Frame *f, uint64_t gva, uint64_t gpa, Access acc, unsigned regime, Trap *trap)
{
    (void)f, (void)gpa, (void)acc, (void)regime;
    *trap = (Trap){.cause = TOY_CAUSE_BUS, .value = gva};
}
static void toy_align_fault(Frame *f, uint64_t gva, Access acc, unsigned regime, Trap *trap)
{
    toy_bus_fault(f, gva, 0, acc, regime, trap);
}
static int toy_cpu_parse(const char *text, void *cpu, Err *err)
{
    (void)text, (void)cpu, (void)err;
    return 0;
}
static void toy_reset(Frame *f, const GuestReset *how)
{
    memset(toy(f)->r, 0, sizeof(ToyFrame) - offsetof(ToyFrame, r));
    f->pc = how->entry;
}
static uint32_t toy_mode_key(const Frame *f)
{
    (void)f;
    return 1;
}
static void toy_context(const Frame *f, uint64_t *space_tag, unsigned *data_regime, unsigned *fetch_regime)
{
    (void)f;
    *space_tag = *data_regime = *fetch_regime = 0;
}
static bool toy_fetch_is_flat(uint32_t mode_key)
{
    (void)mode_key;
    return false;
}
static void toy_take_trap(Frame *f, const Trap *t)
{
    toy(f)->epc = f->pc;
    toy(f)->cause = t->cause;
    toy(f)->tval = t->value;
    toy(f)->is_ie = 0;
    f->pc = TOY_VECTOR;
}
static void toy_line(Frame *f, GuestLine line, bool level)
{
    if (line == LINE_EXTERNAL) {
        toy(f)->line = level;
    }
}
static bool toy_line_get(const Frame *f, GuestLine line)
{
    return line == LINE_EXTERNAL && toy_const(f)->line;
}
static bool toy_pending(const Frame *f, Trap *out)
{
    *out = (Trap){.cause = TOY_CAUSE_IRQ};
    return toy_const(f)->line && toy_const(f)->is_ie;
}
static bool toy_wakes(const Frame *f)
{
    return toy_const(f)->line;
}
static void toy_call_get(const Frame *f, GuestCall *out)
{
    *out = (GuestCall){.nr = toy_const(f)->r[1]};
}
static void toy_call_return(Frame *f, const uint64_t *ret, unsigned n)
{
    toy(f)->r[1] = n ? ret[0] : 0;
}

#define SLOT(n)                                                                                                        \
    {                                                                                                                  \
        "r" #n, offsetof(ToyFrame, r) + 8 * (n)                                                                        \
    }
static const IrSlotInfo slots[] = {SLOT(1), SLOT(2),  SLOT(3),  SLOT(4),  SLOT(5),  SLOT(6),  SLOT(7), SLOT(8),
                                   SLOT(9), SLOT(10), SLOT(11), SLOT(12), SLOT(13), SLOT(14), SLOT(15)};
const GuestIsa guest_toy = {
    .id = GUEST_riscv64,
    .name = "toy",
    .insn_min_bytes = 2, /* addresses are even, and no more is asked of them */
    .insn_max_bytes = 4,
    .ir = {.name = "toy",
           .frame_bytes = sizeof(ToyFrame),
           .slots = slots,
           .nslots = ARRAY_LEN(slots),
           .helpers = helpers,
           .nhelpers = ARRAY_LEN(helpers)},
    .mmu = {.nregimes = 1, .walk = toy_walk, .bus_fault = toy_bus_fault, .align_fault = toy_align_fault},
    .cpu_parse = toy_cpu_parse,
    .reset = toy_reset,
    .mode_key = toy_mode_key,
    .context = toy_context,
    .fetch_is_flat = toy_fetch_is_flat,
    .translate = toy_translate,
    .take_trap = toy_take_trap,
    .line = toy_line,
    .line_get = toy_line_get,
    .pending = toy_pending,
    .wakes = toy_wakes,
    .call_get = toy_call_get,
    .call_return = toy_call_return,
};
