/* SPDX-License-Identifier: Apache-2.0
 * The simulator's board around a guest of the backend `fake`: what reaches the devices, the firmware and back. */
#include "accel/board.h"
#include "accel/rig.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <sched.h>
#include <string.h>

enum { RAM = 0x80000000u };
#define UART_ON                                                                                                        \
    "mmio_write addr=0x10000001 size=1 value=1; mmio_write addr=0xc000028 size=4 value=1;"                             \
    "mmio_write addr=0xc002000 size=4 value=0x400;"
#define CALL(ext, fid) "hypercall nr=0x" #ext "0000000" #fid
#define VENDOR         "hypercall nr=0x0900000000000001"

typedef struct {
    Rig r;
    Board *b;
    Buf console;
} Bench;

static void on_output(void *ctx, const void *bytes, size_t n)
{
    buf_bytes(&((Bench *)ctx)->console, bytes, n);
}

static void bench_open(Bench *b, const LifeModel *model)
{
    RamId ram;
    *b = (Bench){0};
    CHECK_INT(machine_board_new("riscv64,virt,vcpus=2", &(BoardConsole){b, on_output}, &b->b, NULL), 0);
    rig_open(&b->r, model, &(VmConfig){.guest = GUEST_riscv64, .firmware = FW_BOARD, .board = b->b});
    CHECK_INT(vm_ram_new(b->r.vm, 0x1000, &ram, NULL), 0);
    CHECK_INT(vm_map(b->r.vm, (Gpa){RAM}, 0x1000, ram, 0, MAP_R | MAP_W | MAP_X, NULL), 0);
    rig_setup(&b->r, RAM);
    rig_heard(&b->r);
}

static void bench_close(Bench *b)
{
    rig_close(&b->r);
    machine_board_free(b->b);
    buf_free(&b->console);
}

static VmExit serve(Bench *b, const char *script)
{
    VmExit e;
    Err err = {0};
    rig_script(&b->r, script);
    CHECK_INT(vcpu_serve(b->r.v, &RUN_FOREVER, &e, &err), 0);
    CHECK_STR(err.text, "");
    return e;
}

TEST(board, a_description_is_a_guest_an_environment_and_vcpus)
{
    static const char *const bad[] = {"",
                                      "riscv64",
                                      "riscv64,virt",
                                      "riscv64,virt,vcpus=",
                                      "riscv64,virt,vcpus=0",
                                      "riscv64,virt,vcpus=65",
                                      "riscv64,virt,vcpus=1x",
                                      "riscv64,virt,vcpus=99999999999999999999",
                                      "riscv128,virt,vcpus=1",
                                      "riscv64,virtual,vcpus=1"};
    Board *b = NULL;
    Err err = {0};
    uint64_t base;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_INT(machine_board_new(bad[i], NULL, &b, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "expected GUEST,virt,vcpus=N");
    }
    CHECK_INT(machine_board_new("x86_64,virt,vcpus=1", NULL, &b, &err), -ERR_UNSUPPORTED);
    CHECK_INT(machine_board_new("riscv64,machine,vcpus=64", NULL, &b, &err), 0);
    CHECK_STR(b->spec, "riscv64,machine,vcpus=64");
    CHECK(!b->call);
    machine_board_free(b);
    CHECK(machine_board_find(GUEST_riscv64, ENV_VIRT, "power", &base) && base == 0x100000);
    CHECK(machine_board_find(GUEST_riscv64, ENV_VIRT, "random", &base) && base == 0x10008000);
    CHECK(!machine_board_find(GUEST_riscv64, ENV_VIRT, "timer", &base));
    CHECK(machine_board_find(GUEST_riscv64, ENV_MACHINE, "timer", &base));
    CHECK(!machine_board_exists(GUEST_aarch64, ENV_VIRT));
}

TEST(board, devices_answer_and_interrupt_a_guest_of_any_backend)
{
    Bench b;
    bench_open(&b, NULL);
    VmExit e =
        serve(&b, UART_ON "mmio_write addr=0x10000000 size=1 value=0x68; mmio_write addr=0x10000000 size=1 value=0x69;"
                          "mmio_read addr=0x10000000 size=8 reg=a0;" VENDOR);
    CHECK_INT(e.kind, EXIT_hypercall); /* a vendor's: the caller's */
    CHECK_STR(buf_text(&b.console), "hi");
    const char *heard = rig_heard(&b.r);
    CHECK_HAS(heard, "exit* mmio_write addr 0x10000000 size 1 value 0x68; ");
    CHECK(!strstr(heard, "0xc000028")); /* the interrupt controller's */
    CHECK_INT(machine_board_input(b.b, "x", 1), 1);
    serve(&b, "take 9; mmio_read addr=0x10000000 size=1 reg=a0; mmio_read addr=0xc200004 size=4 reg=a1;" VENDOR);
    CHECK_INT(rig_reg(&b.r, "a0"), 'x');
    CHECK_INT(rig_reg(&b.r, "a1"), 10);
    serve(&b, "take 9;" VENDOR);                      /* and the line is low again */
    CHECK_INT(machine_board_input(b.b, "abc", 3), 3); /* more than a UART without FIFO takes at once */
    serve(&b, "mmio_read addr=0x10000000 size=1 reg=a0; mmio_read addr=0x10000000 size=1 reg=a1;"
              "mmio_read addr=0x10000000 size=1 reg=a2; mmio_read addr=0x10000005 size=1 reg=a3;" VENDOR);
    CHECK_INT(rig_reg(&b.r, "a0"), 'a');
    CHECK_INT(rig_reg(&b.r, "a1"), 'b');
    CHECK_INT(rig_reg(&b.r, "a2"), 'c');
    CHECK_INT(rig_reg(&b.r, "a3") & 1, 0);
    CHECK(rig_log_has(&b.r, "vcpu.reply thread 0 vcpu 0 value 0x0 fault 1")); /* 8 bytes of a UART: bus error */
    bench_close(&b);
}

TEST(board, the_firmware_answers_and_its_timer_comes_to_the_instruction)
{
    Bench b;
    bench_open(&b, NULL);
    serve(&b, CALL(10, 0) ";" VENDOR);
    CHECK_INT(rig_reg(&b.r, "a0"), 0);
    CHECK_INT(rig_reg(&b.r, "a1"), 2 << 24);
    CHECK_HAS(rig_heard(&b.r), "exit* hypercall nr 0x1000000000 ");
    uint64_t before = serve(&b, VENDOR).insns;
    VmExit e = serve(&b, CALL(54494d45, 0) " arg0=10; work insns=2000; take 5;" VENDOR);
    CHECK_INT(e.insns, before + 2002);
    CHECK(rig_log_has(&b.r, "vcpu.inject thread 0 vcpu 0 kind 3 number 0x5 -> 0"));
    CHECK(!strstr(rig_heard(&b.r), "budget"));
    serve(&b, CALL(54494d45, 0) " arg0=1000000;" /* not near: */ "work insns=5;" VENDOR);
    serve(&b, "halt; take 5;" VENDOR); /* idles to it */
    const char *heard = rig_heard(&b.r);
    CHECK(!strstr(heard, "exit halt"));
    CHECK_HAS(heard, "execute Running>Halted 0; interrupt Halted>Ready 0; ");
    bench_close(&b);
}

TEST(board, the_guest_ends_the_machine)
{
    Bench b;
    bench_open(&b, NULL);
    VmExit e = serve(&b, "mmio_write addr=0x100000 size=4 value=0x13333;" VENDOR);
    CHECK_INT(e.kind, EXIT_system_down);
    CHECK_INT(e.addr, 1);
    CHECK_HAS(rig_heard(&b.r), "exit* mmio_write addr 0x100000 size 4 value 0x13333; ");
    e = serve(&b, "mmio_write addr=0x100000 size=4 value=0x7777;" VENDOR);
    CHECK_INT(e.kind, EXIT_system_reset);
    CHECK_INT(serve(&b, VENDOR).kind, EXIT_hypercall);
    bench_close(&b);
}

static Vcpu *second(Bench *b, const char *script)
{
    Vcpu *v;
    Buf out = {0};
    CHECK_INT(vcpu_new(b->r.vm, &(VcpuConfig){.id = 1, .hw_id = 1, .is_secondary = true}, &v, NULL), 0);
    CHECK_INT(vcpu_setup(v, NULL, NULL), 0);
    CHECK_INT(vm_ctl(b->r.vm, v, "fake.script", script, strlen(script), &out, NULL), 0);
    return v;
}

TEST(board, one_thread_starts_stops_and_interrupts_the_others)
{
    Bench b;
    VmExit e;
    Vcpu *v;
    VmRunArgs args = {.until = RUN_FOREVER, .quantum_insns = 10, .is_round_robin = true};
    bench_open(&b, NULL);
    CHECK_INT(vcpu_new(b.r.vm, &(VcpuConfig){.id = 1, .hw_id = 7}, &v, NULL), -ERR_INVAL);
    v = second(&b, "work insns=3; halt; take 1; cpu_down; " VENDOR);
    rig_script(&b.r, "cpu_up target=1 entry=0x80000010 arg=9; work insns=30;" CALL(
                         735049, 0) " arg0=2; work insns=30;" CALL(48534d, 2) " arg0=1; halt");
    CHECK_INT(vm_run(b.r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_halt); /* one idles for ever, the other was stopped */
    CHECK_INT(rig_reg(&b.r, "a1"), 1);
    uint8_t pc[8] = {0}, arg[8] = {0};
    RegIo io[] = {{.id = reg_find(GUEST_riscv64, "pc")->id, .bytes = pc},
                  {.id = reg_find(GUEST_riscv64, "a1")->id, .bytes = arg}};
    CHECK_INT(vcpu_get_regs(v, io, 2, NULL, NULL), 0);
    CHECK_INT(pc[0], 0x10);
    CHECK_INT(arg[0], 9);
    bench_close(&b);
}

static void *serve_main(void *ctx)
{
    VmExit e;
    CHECK_INT(vcpu_serve(ctx, &RUN_FOREVER, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    return NULL;
}

/* Until v, which another thread serves, idles for the n-th time. */
static void await_idle(const Vcpu *v, uint64_t n)
{
    VcpuStats stats = {0};
    while (stats.exits[EXIT_idle] < n || strcmp(life_virtualcpu.states[vcpu_state(v)], "Halted") != 0) {
        sched_yield();
        vcpu_stats(v, &stats);
    }
}

TEST(board, vcpus_on_threads_of_their_own_wait_for_each_other)
{
    Bench b;
    pthread_t thread;
    VmExit e;
    bench_open(&b, NULL);
    Vcpu *v = second(&b, "idle; idle; take 1;" VENDOR);
    CHECK(!pthread_create(&thread, NULL, serve_main, v));
    await_idle(v, 1);
    serve(&b, "cpu_up target=1 entry=0x80000000;" VENDOR); /* which ends the first */
    await_idle(v, 2);
    serve(&b, CALL(735049, 0) " arg0=2;" CALL(52464e43, 1) " arg0=2;" VENDOR);
    CHECK_INT(rig_reg(&b.r, "a0"), 0);
    pthread_join(thread, NULL);
    rig_script(&b.r, "halt;" VENDOR);
    vcpu_kick(b.r.v);
    CHECK_INT(vcpu_serve(b.r.v, &RUN_FOREVER, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_canceled);
    RunArgs args = RUN_FOREVER;
    args.deadline_ns = os_now_ns() + 1000000;
    CHECK_INT(vcpu_serve(b.r.v, &args, &e, NULL), 0); /* idles, to the deadline */
    CHECK_INT(e.kind, EXIT_canceled);
    CHECK_INT(vcpu_serve(b.r.v, &args, &e, NULL), 0); /* and still does */
    CHECK_INT(e.kind, EXIT_canceled);
    bench_close(&b);
}

TEST(board, its_state_is_part_of_the_vms)
{
    Bench a, b;
    Buf state = {0};
    Err err = {0};
    bench_open(&a, NULL);
    bench_open(&b, NULL);
    serve(&a, UART_ON CALL(54494d45, 0) " arg0=10;" VENDOR);
    CHECK_INT(machine_board_input(a.b, "x", 1), 1);
    CHECK_INT(vm_save(a.r.vm, &state, NULL), 0);
    CHECK_INT(vm_restore(b.r.vm, state.data, 7, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "no state of a board");
    CHECK_INT(vm_restore(b.r.vm, state.data, state.n, &err), 0);
    serve(&b, "take 9; mmio_read addr=0x10000000 size=1 reg=a0; work insns=2000; take 9; " VENDOR);
    CHECK_INT(rig_reg(&b.r, "a0"), 'x');
    buf_free(&state);
    bench_close(&a);
    bench_close(&b);
}
