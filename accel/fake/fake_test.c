/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake/fake.h"

#include "accel/rig.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(fake, plays_exits_in_order_with_their_fields)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_script(&r, "mmio_read addr=0xd0000008 size=4 signed=1 reg=rdi pc=0x1004 next=0x1008\n"
                   "io_write port=0x3f8 size=1 value=0x41 pc=0x1008 next=0x1009 # a comment; not an end\n"
                   "hypercall nr=8 arg0=1 arg5=6 native=18; halt pc=0x100c next=0x100d");
    rig_setup(&r, 0x1000);
    CHECK_INT(rig_reg(&r, "pc"), 0x1000);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_mmio_read);
    CHECK_INT(e.addr, 0xd0000008);
    CHECK_INT(e.seq, 1);
    CHECK_INT(e.valid, HAS_reg | HAS_pc_before | HAS_pc_after | HAS_insns);
    CHECK_INT(rig_reg(&r, "pc"), 0x1004);
    CHECK_INT(vcpu_reply(r.v, &(Reply){.value = 0xffffffff80000001}, NULL), 0);
    CHECK_INT(rig_reg(&r, "pc"), 0x1008);
    CHECK_INT(rig_reg(&r, "rdi"), 0xffffffff80000001);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.value, 0x41);
    CHECK_INT(rig_reg(&r, "pc"), 0x1009); /* a store settles */
    CHECK_INT(vcpu_reply(r.v, &(Reply){0}, NULL), 0);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.arg[5], 6);
    CHECK_INT(e.native.code, 18);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_halt);
    CHECK_INT(e.insns, 4);
    CHECK_STR(rig_state(&r), "Halted");
    rig_close(&r);
}

TEST(fake, the_end_of_the_script_is_unsupported)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_unsupported);
    CHECK_INT(e.native.code, FAKE_NATIVE_ENDED);
    CHECK_STR(rig_state(&r), "Faulted");
    rig_close(&r);
}

TEST(fake, opens_for_every_guest_and_runs_no_code)
{
    for (unsigned g = 1; g < GUEST_COUNT; g++) {
        Rig r;
        rig_open(&r, NULL, &(VmConfig){.guest = (GuestId)g});
        rig_setup(&r, 0x1000);
        CHECK_INT(rig_reg(&r, "pc"), 0x1000);
        for (int c = 0; c < CAP_COUNT; c++) {
            CHECK_INT(vm_caps(r.vm)->level[c], c == CAP_executes || c == CAP_boot ? CAP_NONE : CAP_FULL);
        }
        rig_close(&r);
    }
}

TEST(fake, a_script_may_come_before_its_vcpu_and_a_wrong_one_changes_nothing)
{
    Vm *vm;
    Vcpu *v;
    VmExit e;
    Buf out = {0};
    Err err = {0};
    CHECK_INT(vm_open(backend_find("fake"), &(VmConfig){.guest = GUEST_riscv64}, NULL, NULL, &vm, NULL), 0);
    CHECK_INT(vm_ctl(vm, NULL, "fake.script", "idle", 4, &out, NULL), 0);
    CHECK_INT(vm_ctl(vm, NULL, "fake.script", "idel", 4, &out, &err), -ERR_INVAL);
    CHECK_INT(vcpu_new(vm, &(VcpuConfig){0}, &v, NULL), 0);
    CHECK_INT(vcpu_setup(v, NULL, NULL), 0);
    CHECK_INT(vcpu_run(v, &RUN_FOREVER, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_idle);
    vm_close(vm);
}

TEST(fake, replies_go_where_the_architecture_puts_them)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "set rax=-1 rbx=-1 rcx=-1 rdx=-1; cpuid leaf=1; sysreg_read index=0x10;"
                   "sysreg_read index=0x10 reg=r9; io_read port=1 size=2");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(vcpu_reply(r.v, &(Reply){.value = 1, .more = {2, 3, 4}}, NULL), 0);
    CHECK_INT(rig_reg(&r, "rax"), 1);
    CHECK_INT(rig_reg(&r, "rbx"), 2);
    CHECK_INT(rig_reg(&r, "rcx"), 3);
    CHECK_INT(rig_reg(&r, "rdx"), 4);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(vcpu_reply(r.v, &(Reply){.value = 0x1122334455667788}, NULL), 0);
    CHECK_INT(rig_reg(&r, "rax"), 0x55667788);
    CHECK_INT(rig_reg(&r, "rdx"), 0x11223344);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(vcpu_reply(r.v, &(Reply){.value = 0x1122334455667788}, NULL), 0);
    CHECK_INT(rig_reg(&r, "r9"), 0x1122334455667788);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(vcpu_reply(r.v, &(Reply){.value = 0xabcd1234}, NULL), 0);
    CHECK_INT(rig_reg(&r, "rax"), 0x55661234);
    rig_close(&r);
}

TEST(fake, a_replied_instruction_is_charged_to_the_next_budget)
{
    Rig r;
    VmExit e;
    RunArgs args = RUN_FOREVER;
    args.insns = 5;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "mmio_read size=1 reg=rax insns=2; work insns=100");
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.insns, 2);
    CHECK_INT(vcpu_reply(r.v, &(Reply){0}, NULL), 0);
    args.insns = 3;
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_budget);
    CHECK_INT(e.insns, 5);
    rig_close(&r);
}

TEST(fake, take_wants_the_event_that_is_pending)
{
    Rig r;
    VmExit e;
    Event event = {.kind = EV_VECTOR, .number = 0x40};
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "take 0x40; take; hypercall nr=1");
    CHECK_INT(vcpu_interrupt(r.v, &event, NULL), 0);
    CHECK_INT(vcpu_interrupt(r.v, &event, NULL), 0);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    CHECK(rig_log_has(&r, "vcpu.take thread 0 vcpu 0 number 0x40 taken"));
    rig_script(&r, "take 0x41");
    CHECK_INT(vcpu_interrupt(r.v, &event, NULL), 0);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_unsupported);
    CHECK_INT(e.native.code, FAKE_NATIVE_NOT_PENDING);
    rig_close(&r);
}

typedef struct {
    unsigned n;
} Served;
static bool served_claims(void *ctx, ExitKind kind, uint64_t addr, bool *is_traced)
{
    (void)ctx;
    *is_traced = false;
    return kind == EXIT_mmio_read && addr == 8;
}
static int served_access(void *ctx, uint8_t vcpu, const VmExit *e, Reply *r, Err *err)
{
    (void)vcpu;
    (void)e;
    (void)err;
    ((Served *)ctx)->n++;
    r->value = 0x80;
    return 0;
}

TEST(fake, serves_the_board_within_run)
{
    Rig r;
    VmExit e;
    Served d = {0};
    Board b = {.ctx = &d, .claims = served_claims, .access = served_access};
    RunArgs args = RUN_FOREVER;
    args.serve_board = true;
    rig_open(&r, NULL, &(VmConfig){.guest = GUEST_riscv64, .board = &b});
    rig_setup(&r, 0);
    rig_script(&r, "mmio_read addr=8 size=1 signed=1 reg=a0; mmio_read addr=16 size=1 reg=a1");
    CHECK_INT(vcpu_run(r.v, &args, &e, NULL), 0);
    CHECK_INT(e.addr, 16);
    CHECK_INT(d.n, 1);
    CHECK_INT(rig_reg(&r, "a0"), 0xffffffffffffff80);
    rig_close(&r);
}

TEST(fake, zeros_take_no_page_but_are_written)
{
    Rig r;
    RamId ram;
    static uint8_t bytes[0x4000], back[0x4000];
    rig_open(&r, NULL, &(VmConfig){.guest = GUEST_x86_64, .options = "max_pages=2"});
    CHECK_INT(vm_ram_new(r.vm, 1 << 20, &ram, NULL), 0);
    CHECK_INT(vm_map(r.vm, (Gpa){0}, 1 << 20, ram, 0, MAP_R | MAP_W, NULL), 0);
    bytes[0] = bytes[0x3fff] = 1;
    CHECK_INT(vm_mem_write(r.vm, (Gpa){0}, bytes, sizeof bytes, NULL), 0); /* four pages, of which two are zeros */
    CHECK_INT(vm_mem_read(r.vm, (Gpa){0}, back, sizeof back, NULL), 0);
    CHECK(!memcmp(bytes, back, sizeof back));
    bytes[0] = 0;
    CHECK_INT(vm_mem_write(r.vm, (Gpa){0}, bytes, sizeof bytes, NULL), 0);
    CHECK_INT(vm_mem_read(r.vm, (Gpa){0}, back, sizeof back, NULL), 0);
    CHECK(!memcmp(bytes, back, sizeof back));
    rig_close(&r);
}

TEST(fake, a_guest_store_needs_writable_memory_and_memory_is_bounded)
{
    Rig r;
    RamId ram;
    VmExit e;
    Err err = {0};
    rig_open(&r, NULL, &(VmConfig){.guest = GUEST_x86_64, .options = "max_pages=2"});
    rig_setup(&r, 0);
    CHECK_INT(vm_ram_new(r.vm, 1ull << 41, &ram, NULL), -ERR_LIMIT);
    CHECK_INT(vm_ram_new(r.vm, 1ull << 30, &ram, NULL), 0); /* sparse */
    CHECK_INT(vm_map(r.vm, (Gpa){0}, 1ull << 30, ram, 0, MAP_R, NULL), 0);
    rig_script(&r, "write 0x10 aa");
    CHECK_INT(vcpu_run(r.v, &RUN_FOREVER, &e, &err), -ERR_FAULT);
    CHECK_HAS(err.text, "nothing writable is mapped at 0x10");
    CHECK_INT(vm_map(r.vm, (Gpa){0}, 1ull << 30, ram, 0, MAP_R | MAP_W, NULL), 0);
    rig_script(&r, "write 0x10 aabb; hypercall nr=1");
    CHECK_INT(rig_run(&r, &e), 0);
    uint8_t bytes[0x2000] = {0};
    CHECK_INT(vm_mem_read(r.vm, (Gpa){0x11}, bytes, 1, NULL), 0);
    CHECK_INT(bytes[0], 0xbb);
    memset(bytes, 1, sizeof bytes);
    CHECK_INT(vm_mem_write(r.vm, (Gpa){0x1800}, bytes, sizeof bytes, &err), -ERR_NOMEM);
    CHECK_INT(vm_mem_read(r.vm, (Gpa){0x1800}, bytes, 1, NULL), 0);
    CHECK_INT(bytes[0], 0); /* W6 */
    rig_close(&r);
}

TEST(fake, the_log_names_calls_arguments_threads_and_results_and_is_bounded)
{
    Rig r;
    VmExit e;
    Buf log = {0};
    Err err = {0};
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0x1000);
    rig_script(&r, "halt");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK(rig_log_has(&r, "vm.create thread 0 guest x86_64 -> 0\n"
                          "vcpu.create thread 0 vcpu 0 secondary 0 hw_id 0x0 -> 0\n"
                          "vcpu.setup thread 0 vcpu 0 entry 0x1000 -> 0\n"
                          "vcpu.run thread 0 vcpu 0 step 0 kicks 0 exit halt -> 0\n"));
    CHECK_INT(rig_ctl(&r, "fake.log", "clear", NULL, NULL), 0);
    CHECK_INT(rig_ctl(&r, "fake.log", "", &log, NULL), 0);
    CHECK_INT(log.n, 0);
    CHECK_INT(rig_ctl(&r, "fake.log", "bogus", NULL, &err), -ERR_INVAL);
    for (int i = 0; i < 20000; i++) {
        (void)rig_reg(&r, "rax");
    }
    CHECK_INT(rig_ctl(&r, "fake.log", "", &log, NULL), 0);
    CHECK(log.n < 300 * 1024);
    CHECK_HAS(buf_text(&log), " calls not logged)\n");
    buf_free(&log);
    rig_close(&r);
}

TEST(fake, failures_can_be_asked_for_by_name)
{
    Rig r;
    RamId ram;
    Err err = {0};
    rig_open(&r, NULL, NULL);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vm.ram_create NOMEM", NULL, NULL), 0);
    CHECK_INT(vm_ram_new(r.vm, 0x1000, &ram, &err), -ERR_NOMEM);
    CHECK_INT(vm_ram_new(r.vm, 0x1000, &ram, &err), 0);
    CHECK(rig_log_has(&r, "vm.ram_create thread 0 size 0x1000 -> -NOMEM"));
    CHECK_INT(rig_ctl(&r, "fake.fail", "vm.map", NULL, &err), -ERR_INVAL);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vm.map NICE", NULL, &err), -ERR_INVAL);
    CHECK_INT(rig_ctl(&r, "fake.fail", "", NULL, &err), -ERR_INVAL);
    for (int i = 0; i < 16; i++) {
        CHECK_INT(rig_ctl(&r, "fake.fail", "vm.msi IO", NULL, NULL), 0);
    }
    CHECK_INT(rig_ctl(&r, "fake.fail", "vm.msi IO", NULL, NULL), -ERR_LIMIT);
    rig_close(&r);
}

/* ---- broken rules: what each looks like from above, beside the same with the rule kept ---- */
static void open_broken(Rig *r, const char *rules, const char *script)
{
    rig_open(r, NULL, NULL);
    rig_setup(r, 0x1000);
    rig_script(r, script);
    CHECK_INT(rig_ctl(r, "fake.break", rules, NULL, NULL), 0);
}

TEST(broken, w1_a_guest_fault_is_an_error_of_the_host)
{
    Rig r;
    VmExit e;
    open_broken(&r, "", "nested_page_fault addr=8 access=r");
    CHECK_INT(rig_run(&r, &e), 0);
    rig_close(&r);
    open_broken(&r, "W1", "nested_page_fault addr=8 access=r");
    CHECK_INT(rig_run(&r, &e), -ERR_HOST);
    rig_close(&r);
}

static void *get_rax(void *arg)
{
    uint8_t bytes[8];
    RegIo io = {.id = reg_find(GUEST_x86_64, "rax")->id, .bytes = bytes};
    Rig *r = arg;
    return vcpu_get_regs(r->v, &io, 1, NULL, NULL) == 0 ? r : NULL;
}

TEST(broken, w2_bind_leaves_the_owner)
{
    for (int is_broken_now = 0; is_broken_now < 2; is_broken_now++) {
        Rig r;
        pthread_t t;
        void *result;
        open_broken(&r, is_broken_now ? "W2" : "", "");
        CHECK(pthread_create(&t, NULL, get_rax, &r) == 0);
        pthread_join(t, &result);
        CHECK((result != NULL) == !is_broken_now);
        rig_close(&r);
    }
}

TEST(broken, w3_an_access_shows_as_retired_before_its_reply)
{
    for (int is_broken_now = 0; is_broken_now < 2; is_broken_now++) {
        Rig r;
        VmExit e;
        uint8_t bytes[8] = {0};
        Buf b = {0};
        open_broken(&r, is_broken_now ? "W3" : "", "mmio_read size=1 reg=rax pc=0x1000 next=0x1002");
        CHECK_INT(rig_run(&r, &e), 0);
        CHECK_INT(rig_reg(&r, "pc"), is_broken_now ? 0x1002 : 0x1000);
        /* what must be busy stays so, as it is watched above */
        RegIo io = {.id = reg_find(GUEST_x86_64, "rbx")->id, .bytes = bytes};
        CHECK_INT(vcpu_set_regs(r.v, &io, 1, NULL, NULL), -ERR_BUSY);
        CHECK_INT(vcpu_save(r.v, &b, NULL), -ERR_BUSY);
        CHECK_INT(rig_run(&r, &e), -ERR_BUSY);
        rig_close(&r);
    }
}

TEST(broken, w4_the_pieces_come_as_one)
{
    Rig r;
    VmExit e;
    open_broken(&r, "W4",
                "mmio_write size=8 value=1 piece=0 npieces=2; mmio_write size=8 value=1 piece=1 npieces=2;"
                "hypercall nr=1");
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.size_bytes, 16);
    CHECK_INT(vcpu_reply(r.v, &(Reply){0}, NULL), 0);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    rig_close(&r);
}

TEST(broken, w5_a_kick_before_the_run_is_lost)
{
    for (int is_broken_now = 0; is_broken_now < 2; is_broken_now++) {
        Rig r;
        VmExit e;
        open_broken(&r, is_broken_now ? "W5" : "", "hypercall nr=1");
        vcpu_kick(r.v);
        CHECK_INT(rig_run(&r, &e), 0);
        CHECK_INT(e.kind, is_broken_now ? EXIT_hypercall : EXIT_canceled);
        rig_close(&r);
    }
}

TEST(broken, w6_half_a_batch_is_written)
{
    for (int is_broken_now = 0; is_broken_now < 2; is_broken_now++) {
        Rig r;
        size_t bad = 0;
        uint8_t bytes[8] = {7};
        RegIo io[] = {{.id = reg_find(GUEST_x86_64, "rax")->id, .bytes = bytes},
                      {.id = REG_ID(GUEST_x86_64, 3, REG_GPR, 99), .bytes = bytes}};
        open_broken(&r, is_broken_now ? "W6" : "", "");
        CHECK_INT(vcpu_set_regs(r.v, io, 2, &bad, NULL), -ERR_NOENT);
        CHECK_INT(bad, 1);
        CHECK_INT(rig_reg(&r, "rax"), is_broken_now ? 7 : 0);
        rig_close(&r);
    }
}

TEST(broken, w7_fields_are_guessed)
{
    for (int is_broken_now = 0; is_broken_now < 2; is_broken_now++) {
        Rig r;
        VmExit e;
        open_broken(&r, is_broken_now ? "W7" : "", "mmio_read addr=8 size=4");
        CHECK_INT(rig_run(&r, &e), 0);
        CHECK_INT((e.valid & (HAS_pc_before | HAS_reg)) != 0, is_broken_now);
        rig_close(&r);
    }
}

TEST(broken, w8_memory_is_written_late)
{
    for (int is_broken_now = 0; is_broken_now < 2; is_broken_now++) {
        Rig r;
        RamId ram;
        VmExit e;
        char byte = 0;
        open_broken(&r, is_broken_now ? "W8" : "", "hypercall nr=1");
        CHECK_INT(vm_ram_new(r.vm, 0x1000, &ram, NULL), 0);
        CHECK_INT(vm_map(r.vm, (Gpa){0}, 0x1000, ram, 0, MAP_R | MAP_W, NULL), 0);
        CHECK_INT(vm_mem_write(r.vm, (Gpa){0x10}, "x", 1, NULL), 0);
        CHECK_INT(vm_mem_read(r.vm, (Gpa){0x10}, &byte, 1, NULL), 0);
        CHECK_INT(byte, is_broken_now ? 0 : 'x');
        CHECK_INT(rig_run(&r, &e), 0);
        CHECK_INT(vm_mem_read(r.vm, (Gpa){0x10}, &byte, 1, NULL), 0);
        CHECK_INT(byte, 'x');
        rig_close(&r);
    }
}

TEST(broken, only_rules_that_exist)
{
    Rig r;
    Err err = {0};
    rig_open(&r, NULL, NULL);
    CHECK_INT(rig_ctl(&r, "fake.break", "W9", NULL, &err), -ERR_INVAL);
    CHECK_INT(rig_ctl(&r, "fake.break", "W1 W22", NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "fake.break: expected W1 to W8, at byte 3");
    CHECK_INT(rig_ctl(&r, "fake.break", " W1  W8 ", NULL, &err), 0);
    rig_close(&r);
}

/* ---- misbehaviours, each in a process of its own ---- */
static int end_of(const char *script, unsigned kill_after_ms)
{
    pid_t child = fork();
    if (!child) {
        Vm *vm;
        Vcpu *v;
        VmExit e;
        Buf out = {0};
        int rc = vm_open(backend_find("fake"), &(VmConfig){.guest = GUEST_x86_64}, NULL, NULL, &vm, NULL);
        rc = rc ? rc : vm_ctl(vm, NULL, "fake.script", script, strlen(script), &out, NULL);
        rc = rc ? rc : vcpu_new(vm, &(VcpuConfig){0}, &v, NULL);
        rc = rc ? rc : vcpu_setup(v, NULL, NULL);
        if (!rc && kill_after_ms) {
            vcpu_kick(v);
            rc = vcpu_run(v, &RUN_FOREVER, &e, NULL);
        }
        rc = rc ? rc : vcpu_run(v, &RUN_FOREVER, &e, NULL);
        _exit(rc ? 100 - rc : 50 + (int)e.kind);
    }
    int status = 0;
    if (kill_after_ms) {
        poll(NULL, 0, (int)kill_after_ms);
        CHECK_INT(waitpid(child, &status, WNOHANG), 0); /* still there */
        kill(child, SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

TEST(misbehave, ends_processes_as_told)
{
    int status = end_of("crash SIGABRT", 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    status = end_of("crash SIGSEGV", 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    status = end_of("exit 7", 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = end_of("hang", 100);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = end_of("alloc 0x800000; halt", 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 50 + EXIT_halt);
}

TEST(misbehave, garbage_reaches_pipes_and_the_script_goes_on)
{
    int fd[2];
    CHECK(pipe(fd) == 0);
    int status = end_of("garbage; halt", 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 50 + EXIT_halt);
    struct pollfd p = {.fd = fd[0], .events = POLLIN};
    CHECK_INT(poll(&p, 1, 0), fd[1] <= 63);
    close(fd[0]);
    close(fd[1]);
}
