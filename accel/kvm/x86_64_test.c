/* SPDX-License-Identifier: Apache-2.0
 * x86_64_test.c - registers, events, stepping and ends of x86-64 guests on this host's /dev/kvm. */
#if defined(__x86_64__)
#include "accel/kvm/rig.h"

#include <string.h>

/* ---- registers ---- */
TEST(kvm, every_listed_register_reads_back_what_is_written)
{
    Machine m;
    if (open_long(&m)) {
        RegId ids[1024];
        RegIo io[1024];
        size_t n = 0, bad = 0;
        CHECK_INT(vops()->reg_list(m.v, NULL, &n, &m.err), 0);
        CHECK(n > 100 && n <= ARRAY_LEN(ids));
        CHECK_INT(vops()->reg_list(m.v, ids, &n, &m.err), 0);
        uint8_t *bytes = x_calloc(n, 4096);
        for (size_t i = 0; i < n; i++) {
            io[i] = (RegIo){ids[i], bytes + 4096 * i};
        }
        int rc = vops()->get_regs(m.v, io, n, &bad, &m.err);
        CHECK_STR(rc ? m.err.text : "", "");
        rc = vops()->set_regs(m.v, io, n, &bad, &m.err);
        CHECK_STR(rc ? m.err.text : "", "");
        uint8_t *again = x_calloc(n, 4096);
        for (size_t i = 0; i < n; i++) {
            io[i].bytes = again + 4096 * i;
        }
        CHECK_INT(vops()->get_regs(m.v, io, n, &bad, &m.err), 0);
        for (size_t i = 0; i < n; i++) {
            bool is_time = REG_CLASS(ids[i]) == REG_SYS && REG_INDEX(ids[i]) == 0x10;
            if (!is_time && memcmp(bytes + 4096 * i, again + 4096 * i, REG_SIZE(ids[i])) != 0) {
                CHECK_INT(ids[i], 0);
            }
        }
        mem_free(bytes);
        mem_free(again);
    }
    close_machine(&m);
}

TEST(kvm, a_batch_with_one_bad_value_changes_nothing_and_names_the_register)
{
    Machine m;
    if (open_long(&m)) {
        uint64_t a = 0x1111, cr4 = 1ull << 63, star = 0x2222, value = 0;
        size_t bad = 99;
        RegIo io[] = {{rax, &a}, {REG_ID(GUEST_x86_64, 3, REG_SYS, 0xc0000081), &star}, {ctl(5, 3), &cr4}};
        CHECK_INT(vops()->set_regs(m.v, io, 3, &bad, &m.err), -ERR_INVAL);
        CHECK_INT(bad, 2);
        CHECK_HAS(m.err.text, "cr4");
        CHECK_INT(get(&m, rax), 0);
        CHECK_INT(get(&m, io[1].id), 0);
        /* the group before the bad one was written by then, and is taken back */
        uint64_t cr2 = 0x5555, xcr0 = 0;
        RegIo two[] = {{ctl(3, 3), &cr2}, {ctl(7, 3), &xcr0}};
        CHECK_INT(vops()->set_regs(m.v, two, 2, &bad, &m.err), -ERR_INVAL);
        CHECK_INT(bad, 1);
        CHECK_HAS(m.err.text, "xcr0");
        CHECK_INT(get(&m, two[0].id), 0);
        value = 1ull << 63;
        CHECK_INT(set(&m, REG_ID(GUEST_x86_64, 3, REG_CTL, 1), value), -ERR_INVAL);
        CHECK_HAS(m.err.text, "rflags");
        RegIo unknown = {REG_ID(GUEST_x86_64, 3, REG_CTL, 999), &value};
        CHECK_INT(vops()->get_regs(m.v, &unknown, 1, &bad, &m.err), -ERR_NOENT);
        RegIo short_id = {REG_ID(GUEST_x86_64, 2, REG_GPR, 0), &value};
        CHECK_INT(vops()->get_regs(m.v, &short_id, 1, &bad, &m.err), -ERR_NOENT);
    }
    close_machine(&m);
}

BLOB(b_sse, ".code64", "movups %xmm5,0x3000; movups 0x3010,%xmm6; hlt");

TEST(kvm, vector_registers_reach_the_guest_and_come_back)
{
    Machine m;
    if (open_long(&m)) {
        uint8_t xmm[16] = "0123456789abcde", got[16] = {0};
        size_t bad;
        RegIo io = {REG_ID(GUEST_x86_64, 4, REG_VEC, 5), xmm};
        CHECK_INT(vops()->set_regs(m.v, &io, 1, &bad, &m.err), 0);
        put(&m, 0x3010, "vector of memory", 16);
        PUT_CODE(&m, b_sse);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(ops()->mem_read(m.vm, (Gpa){0x3000}, got, 16, &m.err), 0);
        CHECK(memcmp(got, xmm, 16) == 0);
        io = (RegIo){REG_ID(GUEST_x86_64, 4, REG_VEC, 6), got};
        CHECK_INT(vops()->get_regs(m.v, &io, 1, &bad, &m.err), 0);
        CHECK(memcmp(got, "vector of memory", 16) == 0);
    }
    close_machine(&m);
}

TEST(kvm, setup_again_is_a_reset_even_with_an_access_pending)
{
    Machine m;
    if (open_long(&m)) {
        VcpuSetup s = {.entry = {CODE}};
        PUT_CODE(&m, b_load);
        CHECK_INT(run(&m).kind, EXIT_mmio_read);
        CHECK_INT(vops()->setup(m.v, &s, &m.err), 0);
        CHECK_INT(get(&m, rip), CODE);
        CHECK_INT(get(&m, rbx), 0);
        CHECK_INT(get(&m, ctl(2, 3)), 0x60000010);
        CHECK_INT(get(&m, ctl(1, 3)), 2);
        go_long(&m);
        CHECK_INT(run(&m).kind, EXIT_mmio_read);
        CHECK_INT(get(&m, rip), CODE + 5);
        answer(&m, 3);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rax), 3);
    }
    close_machine(&m);
}

/* ---- events ---- */
BLOB(b_int, ".code64", "sti; 1: nop; jmp 1b\n.org b_int_start + 0x100\nmov $0x77,%ebx; hlt; iretq");

TEST(kvm, a_vector_waits_for_the_interrupt_window)
{
    Machine m;
    if (open_long(&m)) {
        VmExit e;
        RunArgs args = RUN_FOREVER;
        Event ev = {.kind = EV_VECTOR, .number = 0x40};
        PUT_CODE(&m, b_int);
        gate(&m, 0x40, CODE + 0x100);
        CHECK_INT(vops()->inject(m.v, &ev, &m.err), -ERR_BUSY);
        args.irq_window = true;
        CHECK_INT(vops()->run(m.v, &args, &e, &m.err), 0);
        CHECK_INT(e.kind, EXIT_irq_window);
        CHECK_INT(vops()->inject(m.v, &ev, &m.err), 0);
        CHECK_INT(vops()->inject(m.v, &ev, &m.err), -ERR_BUSY);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rbx), 0x77);
    }
    close_machine(&m);
}

TEST(kvm, exceptions_and_nmis_are_injected)
{
    Machine m;
    if (open_long(&m)) {
        Event ev = {.kind = EV_EXCEPTION, .number = 14, .has_code = true, .code = 2};
        PUT_CODE(&m, b_int);
        gate(&m, 14, CODE + 0x100);
        gate(&m, 2, CODE + 0x100);
        CHECK_INT(vops()->inject(m.v, &ev, &m.err), 0);
        CHECK_INT(vops()->inject(m.v, &ev, &m.err), -ERR_BUSY);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rbx), 0x77);
        CHECK_INT(set(&m, rbx, 0), 0);
        ev = (Event){.kind = EV_NMI};
        CHECK_INT(vops()->inject(m.v, &ev, &m.err), 0);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rbx), 0x77);
        ev = (Event){.kind = EV_LINE};
        CHECK_INT(vops()->inject(m.v, &ev, &m.err), -ERR_UNSUPPORTED);
    }
    close_machine(&m);
}

/* ---- stepping ---- */
BLOB(b_step, ".code64", "nop; mov $0x10000000,%ebx; mov %eax,(%rbx); nop; mov (%rbx),%ecx; nop; hlt");

TEST(kvm, a_step_is_one_instruction_also_over_device_accesses)
{
    Machine m;
    if (open_long(&m)) {
        static const struct {
            ExitKind kind;
            uint64_t pc;
        } want[] = {{EXIT_debug, CODE + 1}, {EXIT_debug, CODE + 6}, {EXIT_mmio_write, 0},   {EXIT_debug, CODE + 8},
                    {EXIT_debug, CODE + 9}, {EXIT_mmio_read, 0},    {EXIT_debug, CODE + 11}};
        PUT_CODE(&m, b_step);
        RunArgs args = RUN_FOREVER;
        args.is_step = true;
        for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
            VmExit e;
            CHECK_INT(vops()->run(m.v, &args, &e, &m.err), 0);
            CHECK_INT(e.kind, want[i].kind);
            if (e.kind == EXIT_debug) {
                CHECK_INT(e.arg[0], DEBUG_STEP);
                CHECK_INT(e.addr, want[i].pc);
            } else {
                answer(&m, 1);
            }
        }
        CHECK_INT(run(&m).kind, EXIT_halt);
    }
    close_machine(&m);
}

TEST(kvm, a_breakpoint_stops_before_its_instruction)
{
    Machine m = {0};
    if (!lacks(CAP_hw_break) && open_long(&m)) {
        Break b = {.kind = BREAK_EXEC, .gva = CODE + 6, .len = 1};
        PUT_CODE(&m, b_step);
        CHECK_INT(vops()->breaks(m.v, &b, 1, &m.err), 0);
        VmExit e = run(&m);
        CHECK_INT(e.kind, EXIT_debug);
        CHECK_INT(e.arg[0], DEBUG_BREAK);
        CHECK_INT(e.addr, CODE + 6);
        CHECK_INT(vops()->breaks(m.v, NULL, 0, &m.err), 0);
        CHECK_INT(run(&m).kind, EXIT_mmio_write);
        b = (Break){.kind = BREAK_WRITE, .gva = CODE + 1, .len = 4};
        CHECK_INT(vops()->breaks(m.v, &b, 1, &m.err), -ERR_INVAL);
    }
    close_machine(&m);
}

/* ---- ends of a guest ---- */
BLOB(b_triple, ".code64", "movabs $0xffff800000001000,%rax; mov (%rax),%rbx; hlt");
BLOB(b_fetch, ".code64", "mov $0x10000000,%eax; jmp *%rax");

TEST(kvm, a_triple_fault_is_shutdown_and_a_fetch_from_a_hole_is_an_internal_error_with_its_pc)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_triple);
        CHECK_INT(run(&m).kind, EXIT_shutdown);
        CHECK_INT(vops()->setup(m.v, &(VcpuSetup){.entry = {CODE}}, &m.err), 0);
        go_long(&m);
        PUT_CODE(&m, b_fetch);
        RunArgs args = RUN_FOREVER;
        VmExit e;
        args.want = HAS_pc_before;
        CHECK_INT(vops()->run(m.v, &args, &e, &m.err), 0);
        CHECK_INT(e.kind, EXIT_internal_error);
        CHECK_INT(e.arg[0], KVM_INTERNAL_ERROR_EMULATION);
        CHECK(e.valid & HAS_pc_before);
        CHECK_INT(e.pc_before, HOLE);
    }
    close_machine(&m);
}

BLOB(b_wants, ".code64", "mov $0x10000000,%ebx; in $0x10,%al; mov (%rbx),%eax; mov %eax,(%rbx); out %al,$0x10; hlt");

TEST(kvm, a_pc_is_given_where_it_is_known_and_only_when_wanted)
{
    Machine m;
    if (open_long(&m)) {
        static const struct {
            uint32_t valid;
            uint64_t before, after;
        } want[] = {{HAS_pc_before, CODE + 5, 0},
                    {HAS_pc_before, CODE + 7, 0},
                    {0, 0, 0},
                    {0, 0, 0},
                    {HAS_pc_after, 0, CODE + 14}};
        PUT_CODE(&m, b_wants);
        RunArgs args = RUN_FOREVER;
        for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
            VmExit e;
            args.want = HAS_pc_before | HAS_pc_after;
            CHECK_INT(vops()->run(m.v, &args, &e, &m.err), 0);
            CHECK_INT(e.valid & (HAS_pc_before | HAS_pc_after), want[i].valid);
            CHECK_INT(e.pc_before, want[i].before);
            CHECK_INT(e.pc_after, want[i].after);
            if (e.reply != REPLY_none) {
                answer(&m, 0);
            }
        }
    }
    close_machine(&m);
}

/* ---- more than one ---- */
TEST(kvm, a_destroyed_vcpu_may_come_back_reset)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_load);
        CHECK_INT(run(&m).kind, EXIT_mmio_read);
        BeVcpu *twin;
        CHECK_INT(vops()->create(m.vm, &(VcpuConfig){.id = 1}, &twin, &m.err), -ERR_EXIST);
        vops()->destroy(m.v);
        m.v = NULL;
        if (add_vcpu(&m, 0, &m.v)) {
            CHECK_INT(get(&m, rbx), 0);
            go_long(&m);
            CHECK_INT(run(&m).kind, EXIT_mmio_read);
            CHECK_INT(get(&m, rip), CODE + 5);
        }
    }
    close_machine(&m);
}

static void *other_vcpu(void *arg)
{
    Machine *m = arg;
    return (void *)(uintptr_t)(run(m).kind == EXIT_canceled);
}

BLOB(b_reads, ".code64", "1: mov 0x800000,%eax; jmp 1b");

TEST(kvm, a_region_changes_its_flags_under_a_running_vcpu_that_never_sees_a_hole)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_reads);
        RamId ro;
        CHECK_INT(ops()->ram_create(m.vm, 0x1000, &ro, &m.err), 0);
        CHECK_INT(ops()->map(m.vm, (Gpa){0x800000}, 0x1000, ro, 0, MAP_R, &m.err), 0);
        pthread_t t;
        CHECK_INT(pthread_create(&t, NULL, other_vcpu, &m), 0);
        Err err = {0};
        for (unsigned i = 0; i < 20; i++) {
            uint32_t flags = i % 2 ? MAP_R : MAP_R | MAP_W;
            CHECK_INT(ops()->map(m.vm, (Gpa){0x800000}, 0x1000, ro, 0, flags, &err), 0);
        }
        vops()->kick(m.v);
        void *ok;
        pthread_join(t, &ok);
        CHECK(ok != NULL);
    }
    close_machine(&m);
}

BLOB(b_split_irq, ".code64",
     "mov $0xfee00000,%ebx; movl $0x1ff,0xf0(%rbx); mov $0x10000000,%edx; mov %al,(%rdx); sti\n1: hlt; jmp 1b\n"
     ".org b_split_irq_start + 0x100\nmovl $0,0xb0(%rbx); mov %al,8(%rdx); iretq");

TEST(kvm, a_routed_message_interrupts_through_a_split_irqchip_and_its_end_exits)
{
    enum { VECTOR = 0x51, GSI = 5, LEVEL_TRIGGERED = 3 << 14 };
    static const uint64_t route[] = {GSI, 0xfee00000, LEVEL_TRIGGERED | VECTOR}, gsi = GSI, handle = 0;
    Machine m;
    Buf answered = {0};
    if (open_vm(&m, IRQCHIP_SPLIT) && add_vcpu(&m, 0, &m.v)) {
        uint64_t pd = TABLES + 0x3007, apic = 0xfee00087;
        go_long(&m);
        put(&m, TABLES + 0x1000 + 3 * 8, &pd, 8);
        put(&m, TABLES + 0x3000 + 0x1f7 * 8, &apic, 8);
        PUT_CODE(&m, b_split_irq);
        gate(&m, VECTOR, CODE + 0x100);
        CHECK_INT(ops()->ctl(m.vm, NULL, "kvm.route_msi", route, sizeof route, NULL, &m.err), 0);
        CHECK_INT(ops()->ctl(m.vm, NULL, "kvm.irqfd", &gsi, 8, &answered, &m.err), 0);
        VmExit e = run(&m);
        CHECK_INT(e.kind, EXIT_mmio_write);
        answer(&m, 0);
        CHECK_INT(ops()->ctl(m.vm, NULL, "kvm.eventfd_signal", &handle, 8, NULL, &m.err), 0);
        uint64_t ended = 0, stored = 0;
        for (unsigned i = 0; i < 2; i++) { /* a KVM that emulates instructions tells the end at its next entry only */
            e = run(&m);
            ended = e.kind == EXIT_eoi ? e.addr : ended;
            stored = e.kind == EXIT_mmio_write ? e.addr : stored;
            if (e.reply != REPLY_none) {
                answer(&m, 0);
            }
        }
        CHECK_INT(ended, VECTOR);
        CHECK_INT(stored, HOLE + 8);
    }
    buf_free(&answered);
    close_machine(&m);
    if (open_vm(&m, IRQCHIP_KERNEL)) {
        CHECK_INT(ops()->ctl(m.vm, NULL, "kvm.route_msi", route, sizeof route, NULL, &m.err), -ERR_UNSUPPORTED);
    }
    close_machine(&m);
}

TEST(kvm, in_kernel_chips_are_saved_and_brought_back)
{
    static const Irqchip chips[] = {IRQCHIP_NONE, IRQCHIP_SPLIT, IRQCHIP_KERNEL};
    for (size_t i = 0; i < ARRAY_LEN(chips); i++) {
        Machine m;
        if (open_vm(&m, chips[i]) && add_vcpu(&m, 0, &m.v)) {
            Buf state = {0};
            CHECK_INT(ops()->save(m.vm, &state, &m.err), 0);
            CHECK_INT(ops()->restore(m.vm, state.data, state.n, &m.err), 0);
            CHECK_INT(ops()->restore(m.vm, state.data, state.n - 1, &m.err), -ERR_INVAL);
            state.data[0] = 99;
            CHECK_INT(ops()->restore(m.vm, state.data, state.n, &m.err), -ERR_VERSION);
            int want = chips[i] == IRQCHIP_KERNEL ? 0 : -ERR_UNSUPPORTED;
            CHECK_INT(ops()->irq_line(m.vm, 5, true, &m.err), want);
            buf_free(&state);
        }
        close_machine(&m);
    }
}
#endif
