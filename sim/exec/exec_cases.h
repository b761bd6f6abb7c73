/* SPDX-License-Identifier: Apache-2.0
 * exec_cases.h - tests of the dispatcher, once for each engine: who includes it says ENGINE and CASE(claim). */
#include "sim/exec/exec.h"

#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/exec/toy.h"

#include <string.h>

/* A vcpu with 64 KiB of RAM at 0 and, from 0x20000 on, one device register that counts its reads. */
enum { RAM_BYTES = 0x10000, DEVICE = 0x20000, ENTRY = 0x2000 };
typedef struct {
    Space *space;
    ExecVcpu *v;
    uint64_t device_reads, device_last, device_clock, irq_at;
    unsigned nwritten;
    bool has_device, has_peers;
} Rig;

static IoResult rig_io(void *ctx, ExecVcpu *v, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value)
{
    Rig *r = ctx;
    (void)size_bytes;
    if (!r->has_device || gpa < DEVICE) {
        return IO_EXTERNAL;
    }
    r->device_clock = exec_clock_ns(v);
    if (gpa >= DEVICE + 0x1000) {
        return IO_FAULT;
    }
    if (is_write) {
        r->device_last = *value;
        exec_line(v, LINE_EXTERNAL, *value & 1);
    } else {
        *value = ++r->device_reads;
    }
    return IO_DONE;
}
static uint64_t rig_deadline(void *ctx, ExecVcpu *v)
{
    (void)v;
    return ((Rig *)ctx)->irq_at;
}
static void rig_tick(void *ctx, ExecVcpu *v)
{
    ((Rig *)ctx)->irq_at = UINT64_MAX;
    exec_line(v, LINE_EXTERNAL, true);
}
static bool rig_call(void *ctx, ExecVcpu *v)
{
    (void)ctx;
    return ((ToyFrame *)(void *)exec_frame(v))->r[1] == 7;
}
static bool rig_has_peers(void *ctx, ExecVcpu *v)
{
    (void)v;
    return ((Rig *)ctx)->has_peers;
}
static void rig_code_page(void *ctx, ExecVcpu *v)
{
    (void)ctx, (void)v;
}
static bool rig_is_code_seen(void *ctx, ExecVcpu *v)
{
    (void)ctx, (void)v;
    return false;
}
static void rig_code_written(void *ctx, ExecVcpu *v, uint64_t gpa, uint64_t n)
{
    (void)v, (void)gpa, (void)n;
    ((Rig *)ctx)->nwritten++;
}

static bool rig_is_watched(void *ctx, ExecVcpu *v, uint64_t gpa, unsigned size_bytes)
{
    (void)ctx, (void)v, (void)gpa, (void)size_bytes;
    return false;
}

static void rig_open(Rig *r, uint32_t cap, uint64_t seed)
{
    uint32_t ram;
    *r = (Rig){.space = space_new(), .has_device = true, .irq_at = UINT64_MAX};
    CHECK(!space_ram_new(r->space, RAM_BYTES, &ram, NULL));
    CHECK(!space_map(r->space, 0, RAM_BYTES, ram, 0, SPACE_R | SPACE_W | SPACE_X, NULL));
    ExecHost host = {.ctx = r,
                     .io = rig_io,
                     .deadline = rig_deadline,
                     .tick = rig_tick,
                     .call = rig_call,
                     .has_peers = rig_has_peers,
                     .code_page = rig_code_page,
                     .is_code_seen = rig_is_code_seen,
                     .code_written = rig_code_written,
                     .is_watched = rig_is_watched};
    r->v = exec_new(
        &(ExecConfig){
            .isa = &guest_toy, .engine = &ENGINE, .space = r->space, .max_block_insns = cap, .block_seed = seed},
        &host, 0);
    guest_toy.reset(exec_frame(r->v), &(GuestReset){.entry = ENTRY});
    exec_state_changed(r->v);
}
static void rig_close(Rig *r)
{
    exec_free(r->v);
    space_free(r->space);
}
static ToyFrame *frame(Rig *r)
{
    return (ToyFrame *)(void *)exec_frame(r->v);
}
static void code(Rig *r, uint64_t at, const uint32_t *insns, size_t n)
{
    CHECK(!space_write(r->space, at, insns, n * 4, NULL));
}
#define CODE(r, at, ...)                                                                                               \
    code(r, at, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
static ExecStop run(Rig *r, uint64_t insns)
{
    return exec_run(r->v, &(ExecRun){.insns = insns, .until_ns = UINT64_MAX});
}

/* Adds r1 to r2, ten times, then waits. */
static void code_loop(Rig *r)
{
    CODE(r, ENTRY, TOY(addi, 1, 0, 10), TOY(add, 2, 2, 1), TOY(addi, 1, 1, -1), TOY(bne, 1, 0, -2), TOY(wait, 0, 0, 0));
}

CASE(a_loop_runs_to_its_end_and_counts)
{
    Rig r;
    rig_open(&r, 0, 0);
    code_loop(&r);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    CHECK_INT(frame(&r)->r[2], 55);
    CHECK_INT(exec_insns(r.v), 1 + 3 * 10 + 1);
    CHECK_INT(exec_clock_ns(r.v), 32);
    CHECK_INT(exec_frame(r.v)->pc, ENTRY + 20);
    CHECK(exec_is_waiting(r.v));
    rig_close(&r);
}

CASE(a_budget_is_exact_at_every_count_and_block_length)
{
    for (uint32_t cap = 0; cap < 4; cap++) {
        for (uint64_t n = 1; n <= 32; n++) {
            Rig r;
            rig_open(&r, cap, 0);
            code_loop(&r);
            ExecStop stop = run(&r, n);
            CHECK_INT(stop, EXEC_BUDGET); /* also when the last instruction was the wait */
            CHECK_INT(exec_insns(r.v), n);
            /* r1 + r2's rest: each count has its own state */
            uint64_t done = n - 1, round = done / 3, in = done % 3;
            CHECK_INT(frame(&r)->r[1], n > 31 ? 0 : 10 - round - (in == 2));
            while (stop == EXEC_BUDGET) {
                stop = run(&r, 1);
            }
            CHECK_INT(frame(&r)->r[2], 55);
            CHECK_INT(exec_insns(r.v), 32);
            rig_close(&r);
        }
    }
}

CASE(a_device_in_mid_block_is_read_once_and_at_its_own_instruction)
{
    for (uint32_t cap = 0; cap < 3; cap++) {
        Rig r;
        rig_open(&r, cap, 0);
        CODE(&r, ENTRY, TOY(addi, 3, 3, 1), TOY(ld, 4, 5, 0), TOY(add, 6, 6, 4), TOY(addi, 1, 1, -1),
             TOY(bne, 1, 0, -4), TOY(wait, 0, 0, 0));
        frame(&r)->r[1] = 3;
        frame(&r)->r[5] = DEVICE;
        CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
        CHECK_INT(r.device_reads, 3);
        CHECK_INT(frame(&r)->r[6], 1 + 2 + 3);
        CHECK_INT(frame(&r)->r[3], 3);
        CHECK_INT(r.device_clock, 11); /* 2 rounds of 5, and one instruction before it */
        CHECK_INT(exec_insns(r.v), 16);
        rig_close(&r);
    }
}

CASE(a_device_that_raises_its_line_interrupts_after_that_instruction)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, TOY_VECTOR, TOY(addi, 9, 0, 77), TOY(wait, 0, 0, 0));
    CODE(&r, ENTRY, TOY(ie, 0, 0, 1), TOY(addi, 1, 0, 1), TOY(st, 1, 5, 0), TOY(addi, 2, 0, 9));
    frame(&r)->r[5] = DEVICE;
    CHECK_INT(run(&r, 5), EXEC_BUDGET);
    CHECK_INT(frame(&r)->epc, ENTRY + 12);
    CHECK_INT(frame(&r)->cause, TOY_CAUSE_IRQ);
    CHECK_INT(frame(&r)->r[2], 0);
    CHECK_INT(frame(&r)->r[9], 77);
    rig_close(&r);
}

CASE(a_timer_fires_at_its_instruction_count_whatever_the_blocks)
{
    for (uint32_t cap = 0; cap < 5; cap++) {
        for (uint64_t at = 1; at < 12; at++) {
            Rig r;
            rig_open(&r, cap, 0);
            CODE(&r, TOY_VECTOR, TOY(wait, 0, 0, 0));
            CODE(&r, ENTRY, TOY(ie, 0, 0, 1), TOY(addi, 1, 1, 1), TOY(addi, 1, 1, 1), TOY(addi, 1, 1, 1),
                 TOY(jmp, 0, 0, -3));
            r.irq_at = at;
            CHECK_INT(run(&r, 100), EXEC_BUDGET); /* the line stays up: wait does not end the run */
            CHECK_INT(frame(&r)->cause, TOY_CAUSE_IRQ);
            CHECK_INT(frame(&r)->r[1], (at - 1) - (at - 1) / 4);
            rig_close(&r);
        }
    }
}

CASE(idle_time_goes_to_the_timer_at_once)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, ENTRY, TOY(wait, 0, 0, 0), TOY(time, 3, 0, 0), TOY(wait, 0, 0, 0));
    r.irq_at = 1000000;
    CHECK_INT(run(&r, 2), EXEC_BUDGET);
    CHECK_INT(frame(&r)->r[3], 1000000);
    CHECK_INT(exec_insns(r.v), 2);
    rig_close(&r);
}

CASE(an_external_load_stops_before_it_and_retires_with_its_reply)
{
    Rig r;
    rig_open(&r, 0, 0);
    r.has_device = false;
    CODE(&r, ENTRY, TOY(addi, 1, 1, 1), TOY(ld, 2, 5, 8), TOY(addi, 1, 1, 1), TOY(wait, 0, 0, 0));
    frame(&r)->r[5] = DEVICE;
    CHECK_INT(run(&r, UINT64_MAX), EXEC_EXTERNAL);
    const ExecAccess *a = exec_access(r.v);
    CHECK(!a->is_write);
    CHECK_INT(a->gpa, DEVICE + 8);
    CHECK_INT(a->size_bytes, 8);
    CHECK_INT(a->dst, offsetof(ToyFrame, r) + 16);
    CHECK_INT(exec_frame(r.v)->pc, ENTRY + 4);
    CHECK_INT(exec_insns(r.v), 1);
    exec_reply(r.v, 0x1234, false);
    CHECK(!exec_settle(r.v));
    CHECK_INT(exec_frame(r.v)->pc, ENTRY + 8);
    CHECK_INT(frame(&r)->r[2], 0x1234);
    CHECK_INT(exec_insns(r.v), 2);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    CHECK_INT(frame(&r)->r[1], 2);
    rig_close(&r);
}

CASE(an_external_store_is_answered_by_a_fault)
{
    Rig r;
    rig_open(&r, 0, 0);
    r.has_device = false;
    CODE(&r, TOY_VECTOR, TOY(wait, 0, 0, 0));
    CODE(&r, ENTRY, TOY(st4, 1, 5, 0), TOY(addi, 2, 2, 1));
    frame(&r)->r[1] = 0x1122334455667788;
    frame(&r)->r[5] = DEVICE;
    CHECK_INT(run(&r, UINT64_MAX), EXEC_EXTERNAL);
    CHECK(exec_access(r.v)->is_write);
    CHECK_INT(exec_access(r.v)->value, 0x55667788);
    exec_reply(r.v, 0, true);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    CHECK_INT(frame(&r)->cause, TOY_CAUSE_BUS);
    CHECK_INT(frame(&r)->epc, ENTRY);
    CHECK_INT(frame(&r)->r[2], 0);
    rig_close(&r);
}

CASE(a_load_over_two_pages_of_a_hole_comes_in_two_pieces)
{
    Rig r;
    rig_open(&r, 0, 0);
    r.has_device = false;
    CODE(&r, ENTRY, TOY(ld, 2, 5, 0), TOY(wait, 0, 0, 0));
    frame(&r)->r[5] = DEVICE + 0xffd;
    CHECK_INT(run(&r, UINT64_MAX), EXEC_EXTERNAL);
    CHECK_INT(exec_access(r.v)->size_bytes, 3);
    exec_reply(r.v, 0x030201, false);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_EXTERNAL);
    CHECK_INT(exec_access(r.v)->size_bytes, 5);
    CHECK_INT(exec_access(r.v)->gpa, DEVICE + 0x1000);
    CHECK_INT(exec_access(r.v)->piece, 1);
    CHECK_INT(frame(&r)->r[2], 0);
    exec_reply(r.v, 0x0807060504, false);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    CHECK_INT(frame(&r)->r[2], 0x0807060504030201);
    rig_close(&r);
}

CASE(code_that_changes_itself_runs_as_written)
{
    for (uint32_t cap = 0; cap < 4; cap++) {
        Rig r;
        rig_open(&r, cap, 0);
        /* The store replaces the instruction after it; the second round changes it again. */
        CODE(&r, ENTRY, TOY(st4, 1, 5, 0), TOY(nop, 0, 0, 0), TOY(add, 1, 0, 6), TOY(addi, 7, 7, 1), TOY(bne, 7, 8, -4),
             TOY(wait, 0, 0, 0));
        frame(&r)->r[1] = TOY(addi, 2, 2, 1);
        frame(&r)->r[6] = TOY(addi, 3, 3, 1);
        frame(&r)->r[5] = ENTRY + 4;
        frame(&r)->r[8] = 3;
        CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
        CHECK_INT(frame(&r)->r[2], 1);
        CHECK_INT(frame(&r)->r[3], 2);
        rig_close(&r);
    }
}

CASE(code_written_from_outside_is_run_as_written)
{
    Rig r;
    rig_open(&r, 0, 0);
    code_loop(&r);
    CHECK_INT(run(&r, 10), EXEC_BUDGET);
    CODE(&r, ENTRY + 4, TOY(wait, 0, 0, 0));
    exec_code_written(r.v, ENTRY + 4, 4);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    CHECK_INT(exec_frame(r.v)->pc, ENTRY + 8);
    rig_close(&r);
}

CASE(a_page_of_code_is_a_page_of_data_again_after_many_stores_when_no_code_is_left)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, ENTRY, TOY(jmpr, 0, 5, 0));
    CODE(&r, 0x4000, TOY(st, 0, 5, 0), TOY(st, 0, 5, 8), TOY(wait, 0, 0, 0));
    CODE(&r, 0x3000, TOY(wait, 0, 0, 0));
    frame(&r)->r[5] = 0x3000;
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    SpaceHit hit;
    CHECK(space_find(r.space, 0x3000, &hit));
    CHECK(atomic_load(&hit.pages[3]) & PAGE_CODE);
    for (int i = 0; i < 40; i++) {
        CHECK(i || atomic_load(&hit.pages[3]) & PAGE_CODE);
        frame(&r)->f.pc = 0x4000;
        exec_forget(r.v);
        CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    }
    CHECK(!(atomic_load(&hit.pages[3]) & PAGE_CODE));
    CHECK(atomic_load(&hit.pages[4]) & PAGE_CODE);
    rig_close(&r);
}

CASE(traps_show_the_state_before_their_instruction)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, TOY_VECTOR, TOY(wait, 0, 0, 0));
    CODE(&r, ENTRY, TOY(addi, 1, 0, 5), TOY(ld, 1, 5, 0), TOY(addi, 1, 0, 6));
    frame(&r)->r[5] = TOY_NO_PAGE + 0x123;
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    CHECK_INT(frame(&r)->cause, TOY_CAUSE_PAGE);
    CHECK_INT(frame(&r)->tval, TOY_NO_PAGE + 0x123);
    CHECK_INT(frame(&r)->epc, ENTRY + 4);
    CHECK_INT(frame(&r)->r[1], 5);
    CHECK_INT(exec_insns(r.v), 2); /* addi, and the handler's wait */
    rig_close(&r);
}

CASE(a_store_of_which_one_half_faults_stores_nothing)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, TOY_VECTOR, TOY(wait, 0, 0, 0));
    CODE(&r, ENTRY, TOY(st, 1, 5, 0));
    frame(&r)->shift = -(uint64_t)(TOY_NO_PAGE - RAM_BYTES); /* the last page of RAM is the last that translates */
    exec_state_changed(r.v);
    frame(&r)->f.pc = ENTRY + TOY_NO_PAGE - RAM_BYTES;
    frame(&r)->r[1] = ~0ull;
    frame(&r)->r[5] = TOY_NO_PAGE - 4;
    run(&r, 1);
    uint32_t last;
    CHECK(!space_read(r.space, RAM_BYTES - 4, &last, 4, NULL));
    CHECK_INT(last, 0);
    CHECK_INT(frame(&r)->tval, TOY_NO_PAGE);
    rig_close(&r);
}

CASE(a_handler_that_faults_for_ever_uses_up_its_run)
{
    Rig r;
    rig_open(&r, 0, 0);
    frame(&r)->f.pc = TOY_NO_PAGE;
    frame(&r)->shift = 0x200000; /* the vector is no RAM either */
    exec_state_changed(r.v);
    CHECK_INT(run(&r, 1000), EXEC_BUDGET);
    CHECK_INT(exec_insns(r.v), 0);
    CHECK(exec_clock_ns(r.v) >= 900);
    rig_close(&r);
}

CASE(steps_are_one_instruction_or_one_trap_entry)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, TOY_VECTOR, TOY(addi, 9, 0, 1), TOY(wait, 0, 0, 0));
    CODE(&r, ENTRY, TOY(addi, 1, 0, 5), TOY(jmp, 0, 0, 2), TOY(nop, 0, 0, 0), TOY(ld, 1, 5, 0));
    frame(&r)->r[5] = TOY_NO_PAGE;
    static const uint64_t pcs[] = {ENTRY + 4, ENTRY + 12, TOY_VECTOR, TOY_VECTOR + 4, TOY_VECTOR + 8};
    for (size_t i = 0; i < ARRAY_LEN(pcs); i++) {
        CHECK_INT(exec_run(r.v, &(ExecRun){.insns = UINT64_MAX, .until_ns = UINT64_MAX, .is_step = true}), EXEC_STEP);
        CHECK_INT(exec_frame(r.v)->pc, pcs[i]);
    }
    rig_close(&r);
}

CASE(a_breakpoint_stops_before_its_instruction_once_a_pass)
{
    Rig r;
    rig_open(&r, 0, 0);
    code_loop(&r);
    CHECK(!exec_breaks(r.v, &(ExecBreak){.gva = ENTRY + 8, .access = ACC_EXEC}, 1, NULL));
    for (int i = 0; i < 10; i++) {
        CHECK_INT(run(&r, UINT64_MAX), EXEC_BREAK);
        CHECK_INT(exec_frame(r.v)->pc, ENTRY + 8);
        CHECK_INT(exec_insns(r.v), 2 + 3 * i);
    }
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    rig_close(&r);
}

CASE(a_breakpoint_is_met_by_indirect_jumps_too)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, ENTRY, TOY(addi, 1, 1, 1), TOY(jmpr, 0, 5, 0)); /* jumps to itself */
    frame(&r)->r[5] = ENTRY;
    CHECK(!exec_breaks(r.v, &(ExecBreak){.gva = ENTRY, .access = ACC_EXEC}, 1, NULL));
    for (unsigned i = 0; i < 4; i++) {
        CHECK_INT(run(&r, UINT64_MAX), EXEC_BREAK);
        CHECK_INT(frame(&r)->r[1], i);
    }
    rig_close(&r);
}

CASE(a_watchpoint_stops_after_the_access)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, ENTRY, TOY(st, 1, 5, 0), TOY(ld, 2, 5, 8), TOY(st, 1, 5, 8), TOY(wait, 0, 0, 0));
    frame(&r)->r[5] = 0x5000;
    frame(&r)->r[1] = 42;
    CHECK(!exec_breaks(r.v, &(ExecBreak){.gva = 0x500c, .len = 1, .access = ACC_WRITE}, 1, NULL));
    CHECK_INT(run(&r, UINT64_MAX), EXEC_BREAK);
    CHECK_INT(exec_frame(r.v)->pc, ENTRY + 12);
    CHECK_INT(exec_access(r.v)->gva, 0x5008);
    uint64_t stored = 0;
    CHECK(!space_read(r.space, 0x5008, &stored, 8, NULL));
    CHECK_INT(stored, 42);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    rig_close(&r);
}

CASE(a_kick_before_a_run_ends_it_once_and_runs_nothing)
{
    Rig r;
    rig_open(&r, 0, 0);
    code_loop(&r);
    exec_kick(r.v);
    exec_kick(r.v);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_CANCELED);
    CHECK_INT(exec_insns(r.v), 0);
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    rig_close(&r);
}

CASE(a_call_is_served_or_stops_after_it)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, ENTRY, TOY(addi, 1, 0, 7), TOY(call, 0, 0, 0), TOY(addi, 1, 0, 8), TOY(call, 0, 0, 0));
    CHECK_INT(run(&r, UINT64_MAX), EXEC_CALL);
    CHECK_INT(frame(&r)->r[1], 8);
    CHECK_INT(exec_frame(r.v)->pc, ENTRY + 16);
    rig_close(&r);
}

CASE(a_change_of_translation_is_seen_by_the_next_instruction)
{
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, ENTRY, TOY(ld, 2, 5, 0), TOY(move, 0, 6, 0), TOY(nop, 0, 0, 0));
    CODE(&r, ENTRY + 0x1000, TOY(nop, 0, 0, 0), TOY(nop, 0, 0, 0), TOY(ld, 3, 5, 0), TOY(wait, 0, 0, 0));
    frame(&r)->r[5] = 0x5000;
    frame(&r)->r[6] = 0x1000;
    uint64_t values[] = {11, 22};
    CHECK(!space_write(r.space, 0x5000, &values[0], 8, NULL));
    CHECK(!space_write(r.space, 0x6000, &values[1], 8, NULL));
    CHECK_INT(run(&r, UINT64_MAX), EXEC_WAIT);
    CHECK_INT(frame(&r)->r[2], 11);
    CHECK_INT(frame(&r)->r[3], 22);
    rig_close(&r);
}

/* The jump cache knew the way there. */
CASE(a_flush_of_one_page_is_seen_by_jumps_to_it)
{
    enum { TURNS = 20, SHIFT = 0x4000, PAGE = 3 };
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, ENTRY, TOY(addi, 6, 7, 0), TOY(jmpr, 0, 8, 0), TOY(addi, 1, 1, -1), TOY(bne, 1, 0, -3), TOY(bne, 9, 0, 2),
         TOY(wait, 0, 0, 0), TOY(addi, 9, 0, 0), TOY(addi, 1, 0, TURNS), TOY(move, 0, 10, PAGE), TOY(jmp, 0, 0, -9));
    CODE(&r, PAGE << 12, TOY(addi, 2, 2, 1), TOY(jmpr, 0, 6, 0));
    CODE(&r, (PAGE << 12) + SHIFT, TOY(addi, 3, 3, 1), TOY(jmpr, 0, 6, 0));
    frame(&r)->r[1] = TURNS;
    frame(&r)->r[7] = ENTRY + 8;
    frame(&r)->r[8] = PAGE << 12;
    frame(&r)->r[9] = 1;
    frame(&r)->r[10] = SHIFT;
    CHECK_INT(run(&r, 10000), EXEC_WAIT);
    CHECK_INT(frame(&r)->r[2], TURNS);
    CHECK_INT(frame(&r)->r[3], TURNS);
    rig_close(&r);
}

/* It begins in the page of the jump to it, and goes on in the one that is flushed. */
CASE(a_flush_of_one_page_is_seen_by_jumps_to_an_instruction_that_ends_in_it)
{
    enum { TURNS = 20, SHIFT = 0x4000, PAGE = 4, FIRST = (PAGE << 12) - 14 };
    Rig r;
    rig_open(&r, 0, 0);
    CODE(&r, ENTRY, TOY(addi, 6, 7, 0), TOY(jmpr, 0, 8, 0), TOY(addi, 1, 1, -1), TOY(bne, 1, 0, -3), TOY(bne, 9, 0, 2),
         TOY(wait, 0, 0, 0), TOY(addi, 9, 0, 0), TOY(addi, 1, 0, TURNS), TOY(move, 0, 10, PAGE), TOY(jmp, 0, 0, -9));
    CODE(&r, FIRST, TOY(addi, 3, 3, 1), TOY(jmp, 0, 0, 2), TOY(wait, 0, 0, 0), TOY(addi, 2, 2, 1), TOY(jmpr, 0, 6, 0));
    CODE(&r, FIRST + 12 + SHIFT, TOY(addi, 2, 2, 2), TOY(jmpr, 0, 6, 0));
    frame(&r)->r[1] = TURNS;
    frame(&r)->r[7] = ENTRY + 8;
    frame(&r)->r[8] = FIRST;
    frame(&r)->r[9] = 1;
    frame(&r)->r[10] = SHIFT;
    CHECK_INT(run(&r, 10000), EXEC_WAIT);
    CHECK_INT(frame(&r)->r[2], TURNS + 2 * TURNS);
    CHECK_INT(frame(&r)->r[3], 2 * TURNS);
    rig_close(&r);
}

CASE(random_blocks_and_budgets_end_in_the_same_state)
{
    uint64_t want[16] = {0}, want_insns = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        Rig r;
        rig_open(&r, seed ? 64 : 0, seed);
        CODE(&r, TOY_VECTOR, TOY(addi, 9, 9, 1), TOY(st, 0, 5, 0), TOY(eret, 0, 0, 0));
        CODE(&r, ENTRY, TOY(ie, 0, 0, 1), TOY(addi, 1, 1, -1), TOY(ld, 2, 5, 0), TOY(add, 3, 3, 2), TOY(amo, 4, 6, 1),
             TOY(st, 2, 6, 64), TOY(addi, 10, 0, 1), TOY(time, 11, 0, 0), TOY(st, 10, 5, 0), TOY(add, 12, 12, 11),
             TOY(bne, 1, 0, -9), TOY(wait, 0, 0, 0));
        frame(&r)->r[1] = 50;
        frame(&r)->r[5] = DEVICE;
        frame(&r)->r[6] = 0x5000;
        ExecStop stop = EXEC_BUDGET;
        for (uint64_t n = seed; stop == EXEC_BUDGET; n = n * 25214903917u + 11) {
            stop = run(&r, seed ? 1 + (n >> 16) % 17 : UINT64_MAX);
        }
        CHECK_INT(stop, EXEC_WAIT);
        if (!seed) {
            memcpy(want, frame(&r)->r, sizeof want);
            want_insns = exec_insns(r.v);
            CHECK_INT(want[9], 50);
        }
        CHECK(!memcmp(want, frame(&r)->r, sizeof want));
        CHECK_INT(exec_insns(r.v), want_insns);
        rig_close(&r);
    }
}
