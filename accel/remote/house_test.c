/* SPDX-License-Identifier: Apache-2.0
 * A board at the agent's side and at the client's: nobody above can tell them apart. */
#include "accel/board.h"
#include "accel/remote/server.h"
#include "accel/remote/stub_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RAM = 0x80000000u, RAM_BYTES = 0x10000, OUTSIDE = 0xd0 };
typedef enum { LOCAL, KEPT, THERE, PLACE_COUNT } Place; /* KEPT: over a link, by a client whose board has no spec */

typedef struct {
    int fd, rc;
    pthread_t thread;
    RemoteLink *link;
    Board *board, kept;
    Vm *vm;
    Vcpu *v;
    Buf trace, console;
    Err err;
} House;

static void *serve_main(void *arg)
{
    House *h = arg;
    h->rc = server_run(&(ServeArgs){.find = remote_find_built_in, .fd_in = h->fd, .fd_out = h->fd}, NULL);
    return NULL;
}

static void on_exit(void *ctx, const VmExit *e)
{
    Buf *b = &((House *)ctx)->trace;
    buf_printf(b, "%llu%s ", (unsigned long long)e->seq, e->is_completed ? " by board" : "");
    exit_print(b, e, true);
    buf_printf(b, " value 0x%llx valid %u\n", (unsigned long long)e->value, e->valid);
}

static void on_output(void *ctx, const void *bytes, size_t n)
{
    buf_bytes(&((House *)ctx)->console, bytes, n);
}

static const Backend *backend_of(House *h, Place place, const char *name)
{
    int pair[2];
    if (place == LOCAL) {
        return backend_find(name);
    }
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    h->fd = pair[0];
    pthread_create(&h->thread, NULL, serve_main, h);
    CHECK_INT(remote_connect(pair[1], pair[1], name, 60000000000u, &h->link, &h->err), 0);
    return remote_backend(h->link);
}

static bool house_make(House *h, Place place, const char *name)
{
    *h = (House){0};
    RamId ram;
    VmConfig cfg = {.guest = GUEST_riscv64, .firmware = FW_BOARD, .irqchip = IRQCHIP_BOARD};
    CHECK_INT(machine_board_new("riscv64,virt,vcpus=1", &(BoardConsole){h, on_output}, &h->board, &h->err), 0);
    h->kept = *h->board;
    h->kept.spec = NULL;
    cfg.board = place == KEPT ? &h->kept : h->board;
    const Backend *b = backend_of(h, place, name);
    int rc = vm_open(b, &cfg, &life_virtualcpu, &(Observer){.ctx = h, .on_exit = on_exit}, &h->vm, &h->err);
    CHECK_INT(rc, 0);
    bool is_there = !rc && b->vm->has_board && place == THERE;
    CHECK_INT(is_there, place == THERE);
    rc = rc ? rc : vm_ram_new(h->vm, RAM_BYTES, &ram, &h->err);
    rc = rc ? rc : vm_map(h->vm, (Gpa){RAM}, RAM_BYTES, ram, 0, MAP_R | MAP_W | MAP_X, &h->err);
    rc = rc ? rc : vcpu_new(h->vm, &(VcpuConfig){0}, &h->v, &h->err);
    rc = rc ? rc : vcpu_setup(h->v, &(VcpuSetup){.entry = {RAM}}, &h->err);
    return CHECK_STR(h->err.text, "") && CHECK_INT(rc, 0);
}

static void house_end(House *h)
{
    vm_close(h->vm);
    machine_board_free(h->board);
    if (h->link) {
        remote_close(h->link);
        pthread_join(h->thread, NULL);
        close(h->fd);
        CHECK_INT(h->rc, 0);
    }
    buf_free(&h->trace);
    buf_free(&h->console);
}

/* A guest that prints what it reads at its console, byte by byte, while an interrupt of the timer comes; then stores
 * outside of all devices. RV64I. */
static const uint32_t echo[] = {
    0x10000437, /* lui s0, 0x10000: the UART */
    0x04800293, /* li t0, 'H' */
    0x00540023, /* sb t0, 0(s0) */
    0x06900293, /* li t0, 'i' */
    0x00540023, /* sb t0, 0(s0) */
    0x00544303, /* lbu t1, 5(s0): line status */
    0x00137313, /* andi t1, t1, 1: data ready */
    0xfe030ce3, /* beqz t1, -8 */
    0x00044303, /* lbu t1, 0(s0) */
    0x00640023, /* sb t1, 0(s0) */
    0xd00003b7, /* lui t2, 0xd0000: nothing is there */
    0x0063a023, /* sw t1, 0(t2) */
    0x00100437, /* lui s0, 0x100: the finisher */
    0x000052b7, /* lui t0, 5 */
    0x5552829b, /* addiw t0, t0, 0x555 */
    0x00542023, /* sw t0, 0(s0) */
    0x0000006f, /* j . */
};

static VmExit next_exit(House *h, uint64_t insns)
{
    VmExit e = {0};
    RunArgs args = RUN_FOREVER;
    args.insns = insns;
    args.want = HAS_pc_before | HAS_value | HAS_insns;
    CHECK_INT(vcpu_serve(h->v, &args, &e, &h->err), 0);
    CHECK_STR(h->err.text, "");
    return e;
}

static void echo_play(House *h)
{
    CHECK_INT(vm_mem_write(h->vm, (Gpa){RAM}, echo, sizeof echo, &h->err), 0);
    CHECK_INT(next_exit(h, 500).kind, EXIT_budget);
    CHECK_STR(buf_text(&h->console), "Hi");
    CHECK_INT(machine_board_input(h->board, "!", 1), 1);
    VmExit e = next_exit(h, UINT64_MAX);
    CHECK_INT(e.kind, EXIT_mmio_write);
    CHECK_INT((uint32_t)e.addr >> 24, OUTSIDE);
    CHECK_INT(e.value, '!');
    CHECK_STR(buf_text(&h->console), "Hi!");
    Buf saved = {0};
    CHECK_INT(vcpu_reply(h->v, &(Reply){0}, &h->err), 0);
    CHECK_INT(vm_save(h->vm, &saved, &h->err), 0);
    CHECK_INT(vm_restore(h->vm, saved.data, saved.n, &h->err), 0);
    buf_free(&saved);
    CHECK_INT(next_exit(h, UINT64_MAX).kind, EXIT_system_down);
    CHECK_STR(h->err.text, "");
}

TEST(remote_house, a_simulated_guest_s_trace_is_the_same_wherever_its_board_is)
{
    Buf first = {0};
    for (Place place = LOCAL; place < PLACE_COUNT; place++) {
        House h;
        if (house_make(&h, place, "sim-interp")) {
            echo_play(&h);
            if (place == LOCAL) {
                buf_str(&first, buf_text(&h.trace));
                CHECK_HAS(buf_text(&first), "by board mmio_write addr 0x10000000");
            }
            CHECK_STR(buf_text(&h.trace), buf_text(&first));
        }
        house_end(&h);
    }
    buf_free(&first);
}

/* Many accesses in a row: more than one answer holds; a call of the firmware, a line that rises, an exit that is ours. */
static const char script[] = "mmio_write addr=0x10000001 size=1 value=1 pc=0x80000000 next=0x80000004\n"
                             "mmio_write addr=0xc000028 size=4 value=1\n"
                             "mmio_write addr=0x10000000 size=1 value=0x61\n"
                             "mmio_write addr=0x10000000 size=1 value=0x62\n"
                             "hypercall nr=0x1000000000 arg0=0\n"
                             "mmio_read addr=0xd0000010 size=4 reg=a0\n";

TEST(remote_house, a_played_guest_s_trace_is_the_same_wherever_its_board_is)
{
    Buf first = {0};
    for (Place place = LOCAL; place < PLACE_COUNT; place++) {
        House h;
        Buf text = {0}, out = {0};
        for (unsigned i = 0; i < 200; i++) {
            buf_printf(&text, "mmio_read addr=0x10000005 size=1 reg=a%u insns=%u\n", i % 7, i);
        }
        buf_str(&text, script);
        if (house_make(&h, place, "fake")) {
            CHECK_INT(vm_ctl(h.vm, NULL, "fake.script", text.data, text.n, &out, &h.err), 0);
            VmExit e = next_exit(&h, UINT64_MAX);
            CHECK_INT(e.kind, EXIT_mmio_read);
            CHECK_INT(e.seq, 205);
            CHECK_STR(buf_text(&h.console), "ab");
            buf_str(&first, place == LOCAL ? buf_text(&h.trace) : "");
            CHECK_STR(buf_text(&h.trace), buf_text(&first));
        }
        buf_free(&text);
        buf_free(&out);
        house_end(&h);
    }
    buf_free(&first);
}

/* What the backend was asked for, as it wrote it down itself. */
static void rarer_calls(House *h, Buf *log)
{
    RamId ram;
    uint64_t ns = 12345;
    uint8_t bits = 0xff;
    Buf out = {0};
    static const char outside[] = "mmio_write addr=0xd0000000 size=1 value=1\n";
    CHECK_INT(vm_irq_line(h->vm, 5, true, &h->err), 0);
    CHECK_INT(vm_msi(h->vm, 0xfee00000, 0x41, &h->err), 0);
    CHECK_INT(vm_clock(h->vm, true, &ns, &h->err), 0);
    CHECK_INT(vm_ram_new(h->vm, RAM_BYTES, &ram, &h->err), 0);
    CHECK_INT(vm_map(h->vm, (Gpa){2 * RAM}, RAM_BYTES, ram, 0, MAP_R | MAP_W | MAP_LOG_DIRTY, &h->err), 0);
    CHECK_INT(vm_mem_write(h->vm, (Gpa){2 * RAM + 0x1000}, "x", 1, &h->err), 0);
    CHECK_INT(vm_dirty_get(h->vm, (Gpa){2 * RAM}, 8 * 4096, &bits, true, &h->err), 0);
    CHECK_INT(vm_unmap(h->vm, (Gpa){2 * RAM}, RAM_BYTES, &h->err), 0);
    CHECK_INT(vcpu_interrupt(h->v, &(Event){.kind = EV_LINE, .number = 9, .level = true}, &h->err), 0);
    CHECK_INT(vm_ctl(h->vm, NULL, "fake.script", outside, sizeof outside - 1, &out, &h->err), 0);
    CHECK_INT(next_exit(h, UINT64_MAX).kind, EXIT_mmio_write);
    CHECK_STR(h->err.text, "");
    CHECK_INT(vm_ctl(h->vm, NULL, "fake.log", "", 0, log, &h->err), 0);
    buf_printf(log, "dirty %u\n", bits);
    buf_free(&out);
}

TEST(remote_house, the_rarer_calls_come_to_the_backend_wherever_the_board_is)
{
    static const char *const calls[] = {"vm.irq_line thread",        "gsi 5 level 1",      "vm.msi thread",
                                        "addr 0xfee00000 data 0x41", "vm.clock thread",    "set 1 ns 12345",
                                        "vm.unmap thread",           "vcpu.inject thread", "dirty 2\n"};
    for (Place place = LOCAL; place < PLACE_COUNT; place++) {
        House h;
        Buf log = {0};
        if (house_make(&h, place, "fake")) {
            rarer_calls(&h, &log);
            for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
                CHECK_HAS(buf_text(&log), calls[i]);
            }
        }
        buf_free(&log);
        house_end(&h);
    }
}

static void *kick_later(void *arg)
{
    const House *h = arg;
    struct timespec t = {.tv_nsec = 20000000};
    nanosleep(&t, NULL);
    vcpu_kick(h->v);
    return NULL;
}

TEST(remote_house, a_guest_that_idles_for_ever_is_kicked_out)
{
    static const uint32_t wfi[] = {0x10500073, 0xffdff06f}; /* wfi; j -4 */
    House h;
    pthread_t kicker;
    if (house_make(&h, THERE, "sim-interp")) {
        CHECK_INT(vm_mem_write(h.vm, (Gpa){RAM}, wfi, sizeof wfi, &h.err), 0);
        pthread_create(&kicker, NULL, kick_later, &h);
        CHECK_INT(next_exit(&h, UINT64_MAX).kind, EXIT_canceled);
        pthread_join(kicker, NULL);
        uint64_t until = os_now_ns() + 20000000;
        RunArgs args = RUN_FOREVER;
        VmExit e;
        args.deadline_ns = until;
        CHECK_INT(vcpu_serve(h.v, &args, &e, &h.err), 0);
        CHECK_INT(e.kind, EXIT_canceled);
        CHECK(os_now_ns() >= until);
    }
    house_end(&h);
}

TEST(remote_house, a_link_that_ends_while_the_guest_idles_inside_leaves_nothing)
{
    static const uint32_t wfi[] = {0x10500073, 0xffdff06f};
    House h;
    VmExit e;
    if (house_make(&h, THERE, "sim-interp")) {
        CHECK_INT(vm_mem_write(h.vm, (Gpa){RAM}, wfi, sizeof wfi, &h.err), 0);
        remote_limits(h.link, 60000000000u, 30000000);
        CHECK_INT(vcpu_serve(h.v, &RUN_FOREVER, &e, &h.err), -ERR_TIMEOUT);
        CHECK_INT(machine_board_input(h.board, "x", 1), 0);
    }
    house_end(&h);
}

TEST(remote_house, a_board_that_is_none_is_refused)
{
    House h = {0};
    const Backend *b = backend_of(&h, THERE, "sim-interp");
    CHECK_INT(machine_board_new("riscv64,virt,vcpus=1", NULL, &h.board, &h.err), 0);
    h.kept = *h.board;
    h.kept.spec = "riscv64,virt,vcpus=many";
    VmConfig cfg = {.guest = GUEST_riscv64, .board = &h.kept};
    CHECK_INT(vm_open(b, &cfg, NULL, NULL, &h.vm, &h.err), -ERR_INVAL);
    CHECK_HAS(h.err.text, "expected GUEST,virt,vcpus=N");
    house_end(&h);
}
