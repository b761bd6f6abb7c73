/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/rig.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static int interrupt(Vcpu *v, uint32_t number)
{
    return vcpu_interrupt(v, &(Event){.kind = EV_VECTOR, .number = number}, NULL);
}

/* ---- exits and states ---- */
TEST(vcpu, each_exit_leads_to_its_state)
{
    static const char *const halts[] = {"halt", "idle"};
    static const char *const faults[] = {"shutdown", "internal_error", "fail_entry", "unsupported", "unknown"};
    for (int k = 0; k < EXIT_COUNT; k++) {
        Rig r;
        VmExit e;
        char line[96];
        const char *name = exit_name((ExitKind)k), *want = "Ready";
        for (size_t i = 0; i < ARRAY_LEN(halts); i++) {
            want = !strcmp(name, halts[i]) ? "Halted" : want;
        }
        for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
            want = !strcmp(name, faults[i]) ? "Faulted" : want;
        }
        rig_open(&r, NULL, NULL);
        rig_setup(&r, 0);
        bool is_sized = !strncmp(name, "mmio", 4) || !strncmp(name, "io_", 3);
        /* a canceled that nobody asked for is not shown, so it is not asked of the script here */
        snprintf(line, sizeof line, "%s %s", k == EXIT_canceled ? "budget" : name, is_sized ? "size=1" : "");
        rig_script(&r, line);
        CHECK_INT(rig_run(&r, &e), 0);
        CHECK_INT(e.kind, k == EXIT_canceled ? EXIT_budget : (ExitKind)k);
        CHECK_STR(rig_state(&r), want);
        CHECK_INT(vcpu_reply_due(r.v), e.reply != REPLY_none);
        rig_close(&r);
    }
}

TEST(vcpu, the_observer_hears_everything_once_and_in_order)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "hypercall nr=1; halt");
    CHECK_STR(rig_heard(&r), "init Created>Ready 0; ");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_STR(rig_heard(&r), "execute Ready>Running 0; exit hypercall nr 0x1 args 0x0 0x0 0x0 0x0 "
                             "0x0 0x0; execute Running>Ready 0; ");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_STR(rig_heard(&r), "execute Ready>Running 0; exit halt; execute Running>Halted 0; ");
    CHECK_INT(interrupt(r.v, 1), 0);
    CHECK_STR(rig_heard(&r), "interrupt Halted>Ready 0; ");
    CHECK_INT(vcpu_pause(r.v, NULL), -ERR_STATE);
    CHECK_STR(rig_heard(&r), "pause Ready>Ready STATE; ");
    rig_close(&r);
}

TEST(vcpu, rejections_say_what_would_have_been_allowed)
{
    Rig r;
    Err err;
    VmExit e;
    rig_open(&r, NULL, NULL);
    CHECK_INT(vcpu_pause(r.v, &err), -ERR_STATE);
    CHECK_STR(err.text, "pause: not allowed in state Created (allowed in: Running)");
    CHECK_INT(vcpu_run(r.v, &RUN_FOREVER, &e, &err), -ERR_STATE);
    CHECK_STR(err.text, "execute: not allowed in state Created (allowed in: Ready, Running)");
    CHECK_INT(vcpu_bind(r.v, &err), -ERR_UNSUPPORTED);
    CHECK_STR(err.module, "virtualcpu");
    CHECK_STR(err.feature, "bind");
    rig_close(&r);
    rig_open(&r, &life_axvcpu, NULL);
    CHECK_INT(vcpu_bind(r.v, &err), -ERR_STATE);
    CHECK_STR(err.text, "bind: VCpu state is not Free or Starting, but Invalid");
    CHECK_STR(rig_state(&r), "Invalid");
    rig_close(&r);
    rig_open(&r, &life_axvcpu, NULL);
    CHECK_INT(vcpu_transition(r.v, 3, 2, &err), -ERR_STATE);
    CHECK_STR(err.text, "transition_state: VCpu state is not Ready, but Invalid");
    CHECK_STR(rig_state(&r), "Invalid");
    CHECK_INT(vcpu_set_state(r.v, 7, &err), -ERR_INVAL);
    rig_close(&r);
}

/* ---- errors of the backend ---- */
TEST(vcpu, errors_of_the_backend_go_where_the_model_says)
{
    Rig r;
    Err err = {0};
    VmExit e;
    rig_open(&r, NULL, NULL);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vcpu.setup HOST", NULL, NULL), 0);
    CHECK_INT(vcpu_setup(r.v, NULL, &err), -ERR_HOST);
    CHECK_STR(rig_state(&r), "Faulted");
    rig_close(&r);
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "error IO; hypercall nr=1");
    CHECK_INT(vcpu_run(r.v, &RUN_FOREVER, &e, &err), -ERR_IO);
    CHECK_STR(rig_state(&r), "Ready"); /* free of side effects */
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(vcpu_interrupt(r.v, &(Event){.kind = EV_NMI}, NULL), 0);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vcpu.inject HOST", NULL, NULL), 0);
    rig_heard(&r);
    CHECK_INT(vcpu_run(r.v, &RUN_FOREVER, &e, &err), -ERR_HOST);
    CHECK_STR(rig_heard(&r), "execute Ready>Faulted HOST; "); /* the entry failed, it never ran */
    rig_close(&r);
    rig_open(&r, &life_axvcpu, NULL);
    rig_setup(&r, 0);
    CHECK_INT(vcpu_bind(r.v, NULL), 0);
    rig_script(&r, "error IO");
    CHECK_INT(vcpu_run(r.v, &RUN_FOREVER, &e, &err), -ERR_IO);
    CHECK_STR(rig_state(&r), "Invalid");
    rig_close(&r);
}

TEST(vcpu, a_host_error_of_bind_poisons_unless_it_was_starting)
{
    Rig r;
    rig_open(&r, &life_axvcpu, NULL);
    rig_setup(&r, 0);
    CHECK_INT(vcpu_reserve(r.v, NULL), 0);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vcpu.bind HOST", NULL, NULL), 0);
    CHECK_INT(vcpu_bind(r.v, NULL), -ERR_HOST);
    CHECK_STR(rig_state(&r), "Free");
    CHECK_INT(rig_ctl(&r, "fake.fail", "vcpu.bind HOST", NULL, NULL), 0);
    CHECK_INT(vcpu_bind(r.v, NULL), -ERR_HOST);
    CHECK_STR(rig_state(&r), "Invalid");
    rig_close(&r);
}

/* ---- entry, second stage, reset ---- */
TEST(vcpu, the_entry_is_given_once)
{
    Rig r;
    rig_open(&r, NULL, NULL);
    CHECK_INT(vcpu_set_entry(r.v, (Gpa){0x4000}, NULL), 0);
    CHECK_INT(vcpu_set_entry(r.v, (Gpa){0x5000}, NULL), -ERR_EXIST);
    rig_setup(&r, 0x1000);
    CHECK_INT(rig_reg(&r, "rip"), 0x4000);
    rig_close(&r);
    rig_open(&r, &life_axvcpu, NULL);
    rig_setup(&r, 0x1000);
    CHECK_INT(vcpu_set_entry(r.v, (Gpa){0x5000}, NULL), -ERR_EXIST);
    rig_close(&r);
}

TEST(vcpu, reset_drops_events_and_the_pending_access)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0x1000);
    rig_script(&r, "set rax=7; mmio_read size=4 reg=rbx; hypercall nr=1");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(interrupt(r.v, 0x40), 0);
    CHECK_INT(vcpu_halt(r.v, NULL), 0);
    CHECK_INT(rig_reg(&r, "rax"), 7);
    CHECK_INT(vcpu_reset(r.v, NULL), 0);
    CHECK(!vcpu_reply_due(r.v));
    CHECK_INT(rig_reg(&r, "rax"), 0);
    CHECK_INT(rig_reg(&r, "pc"), 0x1000);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    CHECK(!rig_log_has(&r, "vcpu.inject"));
    rig_close(&r);
}

/* ---- W3 ---- */
TEST(vcpu, until_the_reply_only_looking_is_allowed)
{
    Rig r;
    VmExit e;
    Buf b = {0};
    uint8_t bytes[8] = {0};
    RegIo io = {.id = reg_find(GUEST_x86_64, "rbx")->id, .bytes = bytes};
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0x1000);
    rig_script(&r, "mmio_read addr=0x10 size=1 reg=rbx pc=0x1000 next=0x1002");
    CHECK_INT(vcpu_reply(r.v, &(Reply){0}, NULL), -ERR_STATE);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(rig_reg(&r, "pc"), 0x1000);
    CHECK_INT(vcpu_set_regs(r.v, &io, 1, NULL, NULL), -ERR_BUSY);
    CHECK_INT(vcpu_set_gpr(r.v, 0, 1, NULL), -ERR_BUSY);
    CHECK_INT(vcpu_save(r.v, &b, NULL), -ERR_BUSY);
    CHECK_INT(vcpu_restore(r.v, "", 0, NULL), -ERR_BUSY);
    CHECK_INT(rig_run(&r, &e), -ERR_BUSY);
    CHECK_STR(rig_state(&r), "Ready");
    CHECK_INT(vcpu_reply(r.v, &(Reply){.value = 0x1ff}, NULL), 0);
    CHECK(rig_log_has(&r, "value 0xff")); /* cut to the access */
    CHECK_INT(rig_reg(&r, "pc"), 0x1002);
    CHECK_INT(rig_reg(&r, "rbx"), 0xff);
    CHECK_INT(vcpu_reply(r.v, &(Reply){0}, NULL), -ERR_STATE);
    CHECK_INT(vcpu_set_regs(r.v, &io, 1, NULL, NULL), 0);
    CHECK_INT(b.n, 0);
    rig_close(&r);
}

TEST(vcpu, a_faulted_reply_leaves_the_instruction_where_it_was)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0x1000);
    rig_script(&r, "sysreg_write index=0x10 value=5 pc=0x1000 next=0x1002");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(vcpu_reply(r.v, &(Reply){.is_fault = true}, NULL), 0);
    CHECK_INT(rig_reg(&r, "pc"), 0x1000);
    rig_close(&r);
}

TEST(vcpu, a_backend_that_refuses_the_reply_keeps_it_due)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0x1000);
    rig_script(&r, "mmio_read size=1 reg=rbx");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vcpu.reply UNSUPPORTED", NULL, NULL), 0);
    CHECK_INT(vcpu_reply(r.v, &(Reply){.is_fault = true}, NULL), -ERR_UNSUPPORTED);
    CHECK(vcpu_reply_due(r.v));
    CHECK_INT(vcpu_reply(r.v, &(Reply){0}, NULL), 0);
    rig_close(&r);
}

/* ---- events ---- */
TEST(vcpu, events_go_in_one_by_one_and_windows_are_our_own_business)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "mask; work insns=3; unmask; take 0x40; take 0x41; take 0x42; hypercall nr=1");
    CHECK_INT(interrupt(r.v, 0x40), 0);
    CHECK_INT(interrupt(r.v, 0x41), 0);
    CHECK_INT(interrupt(r.v, 0x42), 0);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    VcpuStats s;
    vcpu_stats(r.v, &s);
    CHECK_INT(s.injected, 3);
    CHECK_INT(s.exits[EXIT_irq_window], 0);
    CHECK_INT(s.exits[EXIT_hypercall], 1);
    CHECK(s.entries > 1);
    CHECK_HAS(rig_heard(&r), "execute Ready>Running 0; exit hypercall");
    rig_close(&r);
}

TEST(vcpu, many_windows_are_fine_as_long_as_events_go_in)
{
    Rig r;
    VmExit e;
    Buf b = {0};
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    for (uint32_t i = 0; i < 40; i++) {
        buf_printf(&b, "take %u;", i);
        CHECK_INT(interrupt(r.v, i), 0);
    }
    buf_str(&b, "hypercall nr=1");
    rig_script(&r, b.data);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    buf_free(&b);
    rig_close(&r);
}

TEST(vcpu, a_window_that_the_caller_asked_for_is_the_callers)
{
    Rig r;
    VmExit e;
    RunArgs args = RUN_FOREVER;
    args.irq_window = true;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "mask; work insns=1; unmask; hypercall nr=1");
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_irq_window);
    rig_close(&r);
}

TEST(vcpu, a_backend_with_windows_that_are_none_is_not_asked_for_ever)
{
    Rig r;
    VmExit e;
    Buf b = {0};
    buf_str(&b, "mask;");
    for (int i = 0; i < 20; i++) {
        buf_str(&b, "irq_window;");
    }
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, b.data);
    CHECK_INT(interrupt(r.v, 0x40), 0);
    CHECK_INT(rig_run(&r, &e), 0); /* 0x40 went in before the script masked, so this window is the script's */
    CHECK_INT(e.kind, EXIT_irq_window);
    rig_script(&r, b.data);
    CHECK_INT(interrupt(r.v, 0x41), 0);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_irq_window);
    VcpuStats s;
    vcpu_stats(r.v, &s);
    CHECK_INT(s.entries, 1 + 17);
    buf_free(&b);
    rig_close(&r);
}

TEST(vcpu, the_queue_is_bounded_and_what_is_refused_is_dropped)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    for (int i = 0; i < 64; i++) {
        CHECK_INT(interrupt(r.v, 1), 0);
    }
    CHECK_INT(interrupt(r.v, 1), -ERR_LIMIT);
    CHECK_INT(vcpu_interrupt(r.v, &(Event){.kind = (EventKind)77}, NULL), -ERR_INVAL);
    CHECK_INT(vcpu_halt(r.v, NULL), 0);
    CHECK_INT(vcpu_reset(r.v, NULL), 0);
    rig_script(&r, "hypercall nr=1; hypercall nr=2");
    CHECK_INT(interrupt(r.v, 9), 0);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vcpu.inject INVAL", NULL, NULL), 0);
    CHECK_INT(rig_run(&r, &e), -ERR_INVAL);
    CHECK_STR(rig_state(&r), "Ready");
    CHECK_INT(rig_run(&r, &e), 0); /* it is not tried again */
    CHECK_INT(e.kind, EXIT_hypercall);
    rig_close(&r);
}

/* ---- kicks, budgets, steps ---- */
TEST(vcpu, a_kick_is_sticky_and_does_not_add_up)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "hypercall nr=1; hypercall nr=2");
    vcpu_kick(r.v);
    vcpu_kick(r.v);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_canceled);
    CHECK_STR(rig_state(&r), "Ready");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.addr, 1);
    VcpuStats s;
    vcpu_stats(r.v, &s);
    CHECK_INT(s.kicks, 2);
    rig_close(&r);
}

TEST(vcpu, a_cancel_that_nobody_asked_for_is_not_shown)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "canceled; canceled; hypercall nr=1; canceled;canceled;canceled;canceled;canceled;"
                   "canceled;canceled;canceled;canceled;canceled;canceled;canceled;canceled;"
                   "canceled;canceled;canceled;canceled;hypercall nr=2");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_canceled); /* a backend that does nothing else is not hidden for ever */
    rig_close(&r);
}

TEST(vcpu, budgets_are_exact_over_swallowed_exits)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "work insns=4; canceled; work insns=10; hypercall nr=1");
    RunArgs args = RUN_FOREVER;
    args.insns = 6;
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_budget);
    CHECK_INT(e.insns, 6);
    args.insns = 8; /* the hypercall would be the ninth */
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_budget);
    CHECK_INT(e.insns, 14);
    args.insns = 1;
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    CHECK_INT(e.insns, 15);
    args.insns = 0;
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_budget);
    rig_close(&r);
}

TEST(vcpu, steps_are_one_instruction)
{
    Rig r;
    VmExit e;
    RunArgs args = RUN_FOREVER;
    args.is_step = true;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0x1000);
    rig_script(&r, "work insns=2 pc=0x1008; hypercall nr=1");
    for (int i = 1; i <= 2; i++) {
        CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
        CHECK_INT(e.kind, EXIT_debug);
        CHECK_INT(e.arg[0], DEBUG_STEP);
        CHECK_INT(e.insns, i);
    }
    CHECK_INT(rig_reg(&r, "pc"), 0x1008);
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    rig_close(&r);
}

TEST(vcpu, a_deadline_ends_a_spinning_guest)
{
    Rig r;
    VmExit e;
    RunArgs args = RUN_FOREVER;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin");
    uint64_t start = os_now_ns();
    args.deadline_ns = start + 20 * 1000000;
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_canceled);
    CHECK(os_now_ns() >= args.deadline_ns);
    CHECK_STR(rig_state(&r), "Ready");
    rig_close(&r);
}

/* ---- registers ---- */
TEST(vcpu, registers_are_checked_and_masked)
{
    Rig r;
    size_t bad = 99, n = 0;
    uint8_t one[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, two[16] = {1};
    RegIo io[] = {{.id = reg_find(GUEST_x86_64, "rflags")->id, .bytes = one},
                  {.id = reg_find(GUEST_x86_64, "rax")->id, .bytes = two},
                  {.id = reg_find(GUEST_riscv64, "a0")->id, .bytes = two}};
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    CHECK_INT(vcpu_set_regs(r.v, io, 3, &bad, NULL), -ERR_NOENT);
    CHECK_INT(bad, 2);
    CHECK_INT(rig_reg(&r, "rax"), 0); /* W6 */
    CHECK_INT(vcpu_set_regs(r.v, io, 2, &bad, NULL), 0);
    CHECK_INT(rig_reg(&r, "rflags"), 0x3f7fd7);
    CHECK_INT(rig_reg(&r, "rax"), 1);
    CHECK_INT(vcpu_set_gpr(r.v, 7, 42, NULL), 0);
    CHECK_INT(rig_reg(&r, "rdi"), 42);
    CHECK_INT(vcpu_set_gpr(r.v, 16, 42, NULL), -ERR_INVAL);
    CHECK_INT(vcpu_set_return(r.v, 43, NULL), 0);
    CHECK_INT(rig_reg(&r, "ret"), 43);
    CHECK_INT(vcpu_reg_list(r.v, NULL, &n, NULL), 0);
    CHECK(n > 100);
    CHECK_INT(vcpu_breaks(r.v, &(Break){.kind = BREAK_EXEC, .gva = 1, .len = 1}, 1, NULL), 0);
    rig_close(&r);
}

/* ---- a backend that can do less ---- */
static const Cap poor_caps[] = {CAP_insn_count, CAP_deadline,     CAP_step, CAP_irq_window,
                                CAP_save,       CAP_stage2_table, CAP_nmi,  CAP_hw_break};

static int open_poor(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    int rc = backend_find("fake")->open(b, guest, caps, err);
    for (size_t i = 0; i < ARRAY_LEN(poor_caps); i++) {
        caps->level[poor_caps[i]] = CAP_NONE;
        caps->why[poor_caps[i]] = "cut out by a test";
    }
    return rc;
}

static void check_missing(int rc, const Err *err, const char *feature)
{
    CHECK_INT(rc, -ERR_UNSUPPORTED);
    CHECK_STR(err->feature, feature);
    CHECK_STR(err->module, "fake");
    CHECK_HAS(err->text, "cut out by a test");
}

TEST(vcpu, what_the_backend_lacks_is_named_and_harms_nothing)
{
    Backend poor = *backend_find("fake");
    Vm *vm;
    Vcpu *v;
    VmExit e;
    Err err;
    Buf b = {0};
    RunArgs args = RUN_FOREVER;
    poor.open = open_poor;
    CHECK_INT(vm_open(&poor, &(VmConfig){.guest = GUEST_x86_64}, &life_axvcpu, NULL, &vm, NULL), 0);
    CHECK_INT(vcpu_new(vm, &(VcpuConfig){0}, &v, NULL), 0);
    check_missing(vcpu_set_stage2(v, (Gpa){0x1000}, &err), &err, "stage2_table");
    CHECK_INT(vcpu_set_stage2(v, (Gpa){0}, NULL), 0); /* the default root works everywhere */
    VcpuSetup own_table = {.has_stage2 = true, .stage2 = {0x1000}};
    check_missing(vcpu_setup(v, &own_table, &err), &err, "stage2_table");
    CHECK_INT(vcpu_setup(v, NULL, NULL), 0);
    CHECK_INT(vcpu_bind(v, NULL), 0);
    args.insns = 5;
    check_missing(vcpu_run(v, &args, &e, &err), &err, "insn_count");
    args = RUN_FOREVER;
    args.deadline_ns = 5;
    check_missing(vcpu_run(v, &args, &e, &err), &err, "deadline");
    args = RUN_FOREVER;
    args.is_step = true;
    check_missing(vcpu_run(v, &args, &e, &err), &err, "step");
    args = RUN_FOREVER;
    args.irq_window = true;
    check_missing(vcpu_run(v, &args, &e, &err), &err, "irq_window");
    check_missing(vcpu_interrupt(v, &(Event){.kind = EV_NMI}, &err), &err, "nmi");
    CHECK_INT(vcpu_state(v), 3); /* nothing of this poisons */
    /* Without windows an event waits for a later entry. */
    CHECK_INT(vm_ctl(vm, v, "fake.script", "take 1;hypercall;hypercall;take 2;hypercall", 43, &b, NULL), 0);
    CHECK_INT(interrupt(v, 1), 0);
    CHECK_INT(interrupt(v, 2), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(vcpu_run(v, &RUN_FOREVER, &e, NULL), 0);
        CHECK_INT(e.kind, EXIT_hypercall);
    }
    vm_close(vm);
    CHECK_INT(vm_open(&poor, &(VmConfig){.guest = GUEST_x86_64}, NULL, NULL, &vm, NULL), 0);
    CHECK_INT(vcpu_new(vm, &(VcpuConfig){0}, &v, NULL), 0);
    CHECK_INT(vcpu_setup(v, NULL, NULL), 0);
    check_missing(vcpu_save(v, &b, &err), &err, "save");
    check_missing(vcpu_restore(v, "", 0, &err), &err, "save");
    CHECK_INT(vcpu_state(v), 1);
    vm_close(vm);
}
