/* SPDX-License-Identifier: Apache-2.0
 * run_test.c - accesses, memory, kicks and deadlines on this host's /dev/kvm. */
#if defined(__x86_64__)
#include "accel/kvm/rig.h"
#include "sim/base/os.h"

#include <string.h>
#include <unistd.h>

BLOB(b_mmio, ".code64",
     "mov $0x10000000,%ebx; movabs $0x1122334455667788,%rax; mov %al,(%rbx); mov %ax,(%rbx); mov "
     "%eax,(%rbx)\n"
     "mov %rax,(%rbx); mov (%rbx),%rcx; movzbl 1(%rbx),%edx; movzwl (%rbx),%esi; mov (%rbx),%edi; "
     "hlt");

TEST(kvm, mmio_of_every_size_goes_both_ways)
{
    Machine m;
    if (open_long(&m)) {
        static const uint64_t want[] = {0x88, 0x7788, 0x55667788, 0x1122334455667788};
        static const struct {
            uint64_t addr, size;
        } reads[] = {{HOLE, 8}, {HOLE + 1, 1}, {HOLE, 2}, {HOLE, 4}};
        PUT_CODE(&m, b_mmio);
        for (unsigned i = 0; i < 4; i++) {
            VmExit e = run(&m);
            CHECK_INT(e.kind, EXIT_mmio_write);
            CHECK_INT(e.addr, HOLE);
            CHECK_INT(e.size_bytes, 1u << i);
            CHECK_INT(e.value, want[i]);
            answer(&m, 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            VmExit e = run(&m);
            CHECK_INT(e.kind, EXIT_mmio_read);
            CHECK_INT(e.addr, reads[i].addr);
            CHECK_INT(e.size_bytes, reads[i].size);
            answer(&m, 0xa1a2a3a4a5a6a7a8);
        }
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rcx), 0xa1a2a3a4a5a6a7a8);
        CHECK_INT(get(&m, rdi), 0xa5a6a7a8);
    }
    close_machine(&m);
}

BLOB(b_load, ".code64", "mov $0x10000000,%ebx; mov (%rbx),%eax; mov $7,%ecx; hlt");

TEST(kvm, a_pending_read_shows_the_state_before_and_its_reply_retires_it_once)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_load);
        CHECK_INT(run(&m).kind, EXIT_mmio_read);
        CHECK_INT(get(&m, rip), CODE + 5);
        CHECK_INT(get(&m, rax), 0);
        CHECK_INT(set(&m, rcx, 1), -ERR_BUSY);
        RunArgs args = RUN_FOREVER;
        VmExit e;
        CHECK_INT(vops()->run(m.v, &args, &e, &m.err), -ERR_BUSY);
        answer(&m, 0x1234);
        CHECK_INT(vops()->reply(m.v, &(Reply){0}, &m.err), -ERR_STATE);
        CHECK_INT(get(&m, rip), CODE + 7);
        CHECK_INT(get(&m, rip), CODE + 7);
        CHECK_INT(get(&m, rax), 0x1234);
        CHECK_INT(get(&m, rcx), 0);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rcx), 7);
        CHECK_INT(get(&m, rip), CODE + (uint64_t)(b_load_end - b_load_start));
    }
    close_machine(&m);
}

BLOB(b_store, ".code64", "mov $0x10000000,%ebx; mov %ebx,(%rbx); mov $0x77,%ecx; hlt");

TEST(kvm, a_pending_store_shows_the_state_after_it)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_store);
        CHECK_INT(run(&m).kind, EXIT_mmio_write);
        CHECK_INT(get(&m, rip), CODE + 7);
        answer(&m, 0);
        CHECK_INT(get(&m, rip), CODE + 7);
        CHECK_INT(run(&m).kind, EXIT_halt);
    }
    close_machine(&m);
}

BLOB(b_split, ".code64", "mov $0x10000ffc,%ebx; mov (%rbx),%rax; mov %rax,(%rbx); hlt");

TEST(kvm, an_access_over_two_pages_comes_in_two_pieces_and_a_look_between_them_loses_neither)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_split);
        VmExit e = run(&m);
        CHECK_INT(e.kind, EXIT_mmio_read);
        CHECK_INT(e.addr, 0x10000ffc);
        CHECK_INT(e.size_bytes, 4);
        answer(&m, 0x11111111);
        CHECK_INT(get(&m, rip), CODE + 5);
        size_t n = 512;
        RegId ids[512];
        CHECK_INT(vops()->reg_list(m.v, ids, &n, &m.err), -ERR_BUSY);
        CHECK_INT(set(&m, rcx, 1), -ERR_BUSY);
        e = run(&m);
        CHECK_INT(e.addr, 0x10001000);
        answer(&m, 0x22222222);
        CHECK_INT(get(&m, rax), 0x2222222211111111);
        e = run(&m);
        CHECK_INT(e.kind, EXIT_mmio_write);
        CHECK_INT(e.value, 0x11111111);
        answer(&m, 0);
        e = run(&m);
        CHECK_INT(e.kind, EXIT_mmio_write);
        CHECK_INT(e.value, 0x22222222);
        answer(&m, 0);
        CHECK_INT(run(&m).kind, EXIT_halt);
    }
    close_machine(&m);
}

BLOB(b_string, ".code64",
     "cld; mov $0x70,%edx; mov $0x3000,%esi; mov $3,%ecx; rep outsb; mov $0x3100,%edi; mov "
     "$4,%ecx; rep insw; hlt");

TEST(kvm, string_port_io_comes_element_by_element)
{
    Machine m;
    if (open_long(&m)) {
        uint8_t got[8];
        PUT_CODE(&m, b_string);
        put(&m, 0x3000, "abc", 3);
        for (unsigned i = 0; i < 3; i++) {
            VmExit e = run(&m);
            CHECK_INT(e.kind, EXIT_io_write);
            CHECK_INT(e.addr, 0x70);
            CHECK_INT(e.value, 'a' + i);
            answer(&m, 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            VmExit e = run(&m);
            CHECK_INT(e.kind, EXIT_io_read);
            CHECK_INT(e.size_bytes, 2);
            answer(&m, 0x4130 + i);
            (void)get(&m, rip); /* a look between the elements changes nothing */
        }
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rdi), 0x3108);
        CHECK_INT(ops()->mem_read(m.vm, (Gpa){0x3100}, got, sizeof got, &m.err), 0);
        CHECK(memcmp(got, "0A1A2A3A", 8) == 0);
    }
    close_machine(&m);
}

BLOB(b_msr, ".code64",
     "mov $0x12345,%ecx; rdmsr; mov %eax,%ebx; mov $7,%eax; xor %edx,%edx; wrmsr; mov "
     "$0x12346,%ecx; rdmsr; hlt\n"
     ".org b_msr_start + 0x100\nmov $13,%edi; hlt");

TEST(kvm, msr_accesses_exit_and_may_be_answered_with_a_fault)
{
    Machine m;
    if (!open_vm(&m, IRQCHIP_NONE)) {
        return;
    }
    CHECK_INT(ops()->intercept(m.vm, IC_SYSREG, 0x12345, 0x12346, true, &m.err), 0);
    CHECK_INT(ops()->intercept(m.vm, IC_SYSREG, 0x999, 0x999, false, &m.err), -ERR_NOENT);
    CHECK_INT(ops()->intercept(m.vm, IC_CPUID, 0, 1, true, &m.err), -ERR_UNSUPPORTED);
    if (add_vcpu(&m, 0, &m.v)) {
        go_long(&m);
        PUT_CODE(&m, b_msr);
        gate(&m, 13, CODE + 0x100);
        VmExit e = run(&m);
        CHECK_INT(e.kind, EXIT_sysreg_read);
        CHECK_INT(e.addr, 0x12345);
        answer(&m, 0x55);
        e = run(&m);
        CHECK_INT(e.kind, EXIT_sysreg_write);
        CHECK_INT(e.value, 7);
        uint64_t before = get(&m, rip);
        answer(&m, 0);
        CHECK_INT(get(&m, rip), before + 2);
        CHECK_INT(get(&m, rbx), 0x55);
        e = run(&m);
        CHECK_INT(e.addr, 0x12346);
        CHECK_INT(vops()->reply(m.v, &(Reply){.is_fault = true}, &m.err), 0);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rdi), 13);
        CHECK_INT(ops()->intercept(m.vm, IC_SYSREG, 1, 2, true, &m.err), -ERR_STATE);
    }
    close_machine(&m);
}

BLOB(b_ro, ".code64", "mov 0x800000,%eax; movl $7,0x800000; mov 0x800000,%ebx; movl $9,0x801000; hlt");

TEST(kvm, a_store_to_a_read_only_region_is_an_mmio_write_until_the_region_is_made_writable)
{
    Machine m;
    if (open_long(&m)) {
        RamId ro;
        uint32_t word = 55;
        CHECK_INT(ops()->ram_create(m.vm, 0x2000, &ro, &m.err), 0);
        CHECK_INT(ops()->map(m.vm, (Gpa){0x800000}, 0x2000, ro, 0, MAP_R, &m.err), 0);
        put(&m, 0x800000, &word, 4);
        PUT_CODE(&m, b_ro);
        VmExit e = run(&m);
        CHECK_INT(e.kind, EXIT_mmio_write);
        CHECK_INT(e.addr, 0x800000);
        CHECK_INT(e.value, 7);
        answer(&m, 0);
        CHECK_INT(get(&m, rax), 55);
        CHECK_INT(ops()->map(m.vm, (Gpa){0x800000}, 0x2000, ro, 0, MAP_R | MAP_W, &m.err), 0);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(get(&m, rbx), 55);
        CHECK_INT(ops()->mem_read(m.vm, (Gpa){0x801000}, &word, 4, &m.err), 0);
        CHECK_INT(word, 9);
    }
    close_machine(&m);
}

TEST(kvm, map_refuses_what_the_contract_refuses)
{
    Machine m;
    if (open_machine(&m)) {
        uint32_t w;
        CHECK_INT(ops()->map(m.vm, (Gpa){0x200000}, 0x800, m.ram, 0, MAP_R, &m.err), -ERR_ALIGN);
        CHECK_INT(ops()->map(m.vm, (Gpa){0xff000}, 0x2000, m.ram, 0, MAP_R, &m.err), -ERR_EXIST);
        CHECK_INT(ops()->map(m.vm, (Gpa){0x200000}, 0x1000, 99, 0, MAP_R, &m.err), -ERR_NOENT);
        CHECK_INT(ops()->map(m.vm, (Gpa){0x200000}, 0x2000, m.ram, RAM_BYTES - 0x1000, MAP_R, &m.err), -ERR_INVAL);
        CHECK_INT(ops()->unmap(m.vm, (Gpa){0x1000}, 0x1000, &m.err), -ERR_NOENT);
        CHECK_INT(ops()->mem_read(m.vm, (Gpa){RAM_BYTES - 2}, &w, 4, &m.err), -ERR_FAULT);
        CHECK_INT(ops()->map(m.vm, (Gpa){0x200000}, 0x1000, m.ram, 0x3000, MAP_R | MAP_W, &m.err), 0);
        put(&m, 0x200000, "alias", 5);
        CHECK_INT(ops()->mem_read(m.vm, (Gpa){0x3000}, &w, 4, &m.err), 0);
        CHECK(memcmp(&w, "alia", 4) == 0);
        CHECK_INT(ops()->unmap(m.vm, (Gpa){0x200000}, 0x1000, &m.err), 0);
        CHECK_INT(ops()->mem_read(m.vm, (Gpa){0x200000}, &w, 4, &m.err), -ERR_FAULT);
    }
    close_machine(&m);
}

BLOB(b_dirty, ".code64", "movb $1,0x40000; movb $1,0x43000; hlt; movb $1,0x41000; hlt");

TEST(kvm, the_dirty_log_keeps_what_was_not_cleared)
{
    Machine m;
    if (open_long(&m)) {
        uint8_t bits = 0xff;
        CHECK_INT(ops()->dirty_get(m.vm, (Gpa){0x40000}, 0x8000, &bits, true, &m.err), -ERR_STATE);
        uint32_t flags = MAP_R | MAP_W | MAP_X | MAP_LOG_DIRTY;
        CHECK_INT(ops()->map(m.vm, (Gpa){0}, RAM_BYTES, m.ram, 0, flags, &m.err), 0);
        PUT_CODE(&m, b_dirty);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(ops()->dirty_get(m.vm, (Gpa){0x40000}, 0x8000, &bits, false, &m.err), 0);
        CHECK_INT(bits, 9);
        CHECK_INT(ops()->dirty_get(m.vm, (Gpa){0x40000}, 0x1000, &bits, true, &m.err), 0);
        CHECK_INT(bits, 1);
        CHECK_INT(run(&m).kind, EXIT_halt);
        CHECK_INT(ops()->dirty_get(m.vm, (Gpa){0x40000}, 0x8000, &bits, true, &m.err), 0);
        CHECK_INT(bits, 8 | 2);
        CHECK_INT(ops()->dirty_get(m.vm, (Gpa){0x40000}, 0x8000, &bits, true, &m.err), 0);
        CHECK_INT(bits, 0);
    }
    close_machine(&m);
}

TEST(kvm, a_dirty_ring_is_asked_for_before_the_first_vcpu_and_of_a_size_that_there_is)
{
    Machine m;
    if (open_vm(&m, IRQCHIP_NONE)) {
        static const struct {
            uint64_t bytes;
            int rc;
        } sizes[] = {{12288, -ERR_INVAL}, {0, -ERR_INVAL}, {1ull << 40, -ERR_LIMIT}, {16384, 0}};
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            CHECK_INT(ops()->ctl(m.vm, NULL, "kvm.dirty_ring", &sizes[i].bytes, 8, NULL, &m.err), sizes[i].rc);
        }
        if (add_vcpu(&m, 0, &m.v)) {
            CHECK_INT(ops()->ctl(m.vm, NULL, "kvm.dirty_ring", &sizes[3].bytes, 8, NULL, &m.err), -ERR_STATE);
        }
    }
    close_machine(&m);
}

/* ---- kick and deadline ---- */
BLOB(b_loop, ".code64", "1: jmp 1b");

typedef struct {
    BeVcpu *v;
    atomic_uint seen, stop;
} Kicker;

static void *kicks(void *arg)
{
    Kicker *k = arg;
    enum { KICKS = 1000 };
    for (unsigned i = 0; i < KICKS; i++) {
        vops()->kick(k->v);
        while (atomic_load(&k->seen) <= i && !atomic_load(&k->stop)) {
            usleep(20);
        }
    }
    return NULL;
}

TEST(kvm, a_thousand_kicks_from_another_thread_each_end_one_run)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_loop);
        Kicker k = {.v = m.v};
        pthread_t t;
        CHECK_INT(pthread_create(&t, NULL, kicks, &k), 0);
        for (unsigned i = 0; i < 1000; i++) {
            VmExit e = run(&m);
            if (e.kind != EXIT_canceled || os_now_ns() == 0) {
                CHECK_INT(e.kind, EXIT_canceled);
                break;
            }
            atomic_fetch_add(&k.seen, 1);
        }
        atomic_store(&k.stop, 1);
        pthread_join(t, NULL);
        CHECK_INT(atomic_load(&k.seen), 1000);
    }
    close_machine(&m);
}

TEST(kvm, kicks_before_a_run_stick_and_do_not_add_up)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_load);
        vops()->kick(m.v);
        vops()->kick(m.v);
        CHECK_INT(run(&m).kind, EXIT_canceled);
        CHECK_INT(get(&m, rip), CODE);
        CHECK_INT(run(&m).kind, EXIT_mmio_read);
        answer(&m, 5);
        vops()->kick(m.v);
        CHECK_INT(run(&m).kind, EXIT_canceled);
        CHECK_INT(get(&m, rip), CODE + 7);
        CHECK_INT(get(&m, rcx), 0);
        CHECK_INT(run(&m).kind, EXIT_halt);
    }
    close_machine(&m);
}

TEST(kvm, a_deadline_ends_a_run_in_time)
{
    Machine m;
    if (open_long(&m)) {
        PUT_CODE(&m, b_loop);
        VmExit e;
        RunArgs args = RUN_FOREVER;
        uint64_t start = os_now_ns();
        args.deadline_ns = start + 20000000;
        CHECK_INT(vops()->run(m.v, &args, &e, &m.err), 0);
        CHECK_INT(e.kind, EXIT_canceled);
        CHECK(os_now_ns() - start >= 20000000);
        CHECK_INT(vops()->run(m.v, &args, &e, &m.err), 0); /* already over */
        CHECK_INT(e.kind, EXIT_canceled);
        args.insns = 10;
        CHECK_INT(vops()->run(m.v, &args, &e, &m.err), -ERR_UNSUPPORTED);
        CHECK_STR(m.err.feature, "insn_count");
    }
    close_machine(&m);
}
#endif
