/* SPDX-License-Identifier: Apache-2.0
 * board.c - accel.h's Board on the simulator's devices and firmware (board.h), for vcpus of every backend. */
#include "accel/board.h"
#include "sim/base/mem.h"
#include "sim/sim.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BOARD_VCPUS = 64, MAX_TYPED = 64 << 10 };
/* SBI 2.0: the calls that exits of their own stand for. */
enum { EXT_HSM = 0x48534d, HART_START = 0, HART_STOP = 1 };

typedef struct {
    Board board; /* first: what callers hold */
    SimBoard *sim;
    GuestId guest;
    Env env;
    BoardConsole console;
    BoardBus bus;  /* vm NULL: not attached */
    Vm *elsewhere; /* where its twin is; NULL: nowhere */
    char spec[64];
    pthread_mutex_t lock; /* of typed; before the board's own */
    Buf typed;            /* and not yet taken: a UART has room for a byte or 16 */
    atomic_bool has_typed;
} MachineBoard;

/* ---- what the board does to vcpus ---- */
/* sim.h's lines by cause number of riscv64: software, timer, external, and external of S-mode below M-mode. */
static uint32_t number_of(const MachineBoard *m, unsigned line)
{
    static const uint32_t numbers[2][4] = {[ENV_VIRT] = {1, 5, 9, 9}, [ENV_MACHINE] = {3, 7, 11, 9}};
    return numbers[m->env][line & 3];
}

static void on_line(void *ctx, unsigned vcpu, unsigned line, bool level)
{
    const MachineBoard *m = ctx;
    if (m->bus.vm) {
        m->bus.line(m->bus.vm, (uint8_t)vcpu, number_of(m, line), level);
    }
}

static void on_pulse(void *ctx, unsigned vcpu, unsigned line)
{
    const MachineBoard *m = ctx;
    m->bus.pulse(m->bus.vm, (uint8_t)vcpu, number_of(m, line));
}

static uint64_t on_now(void *ctx, unsigned vcpu)
{
    const MachineBoard *m = ctx;
    return m->bus.vm ? m->bus.now_ns(m->bus.vm, (uint8_t)vcpu) : 0;
}

static void on_output(void *ctx, const void *bytes, size_t n)
{
    const BoardConsole *c = &((MachineBoard *)ctx)->console;
    if (c->output) {
        c->output(c->ctx, bytes, n);
    }
}

static void on_finish(void *ctx, unsigned vcpu, bool is_reset, bool is_failure)
{
    const MachineBoard *m = ctx;
    m->bus.finish(m->bus.vm, (uint8_t)vcpu, is_reset, is_failure);
}

static void on_start(void *ctx, unsigned vcpu, uint64_t entry, uint64_t arg)
{
    const MachineBoard *m = ctx;
    m->bus.start(m->bus.vm, (uint8_t)vcpu, entry, arg);
}

static void on_fence(void *ctx, unsigned vcpu)
{
    const MachineBoard *m = ctx;
    m->bus.fence(m->bus.vm, (uint8_t)vcpu);
}

static bool is_ram(void *ctx, uint64_t gpa, uint64_t n)
{
    const MachineBoard *m = ctx;
    return m->bus.is_ram(m->bus.vm, gpa, n);
}

static bool mem_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    const MachineBoard *m = ctx;
    return !m->bus.mem_read(m->bus.vm, (Gpa){gpa}, bytes, n, NULL);
}

static bool mem_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    const MachineBoard *m = ctx;
    return !m->bus.mem_write(m->bus.vm, (Gpa){gpa}, bytes, n, NULL);
}

/* ---- accel.h's Board ---- */
static void be_attach(void *ctx, const BoardBus *bus)
{
    ((MachineBoard *)ctx)->bus = bus ? *bus : (BoardBus){0};
}

static void be_is_elsewhere(void *ctx, Vm *vm)
{
    ((MachineBoard *)ctx)->elsewhere = vm;
}

static bool be_claims(void *ctx, ExitKind kind, uint64_t addr, bool *is_traced)
{
    const MachineBoard *m = ctx;
    bool drives_lines = false;
    bool is_mmio = kind == EXIT_mmio_read || kind == EXIT_mmio_write;
    bool is_claimed = is_mmio && simboard_claims(m->sim, addr, &drives_lines);
    *is_traced = !drives_lines; /* Irqchip: never traced on any backend */
    return is_claimed;
}

/* Hands over what the console has room for. */
static void feed(MachineBoard *m)
{
    pthread_mutex_lock(&m->lock);
    size_t n = m->typed.n ? simboard_input(m->sim, m->typed.data, m->typed.n) : 0;
    if (n) {
        memmove(m->typed.data, m->typed.data + n, m->typed.n - n);
        m->typed.n -= n;
    }
    atomic_store(&m->has_typed, m->typed.n > 0);
    pthread_mutex_unlock(&m->lock);
}

static int be_access(void *ctx, uint8_t vcpu, const VmExit *e, Reply *r, Err *err)
{
    MachineBoard *m = ctx;
    uint64_t value = e->value;
    (void)err;
    int rc = simboard_access(m->sim, vcpu, e->addr, e->size_bytes, e->kind == EXIT_mmio_write, &value);
    r->is_fault = rc != 0;
    r->value = value;
    if (atomic_load(&m->has_typed)) { /* the guest may have read a byte */
        feed(m);
    }
    return 0;
}

static uint64_t be_deadline(void *ctx, uint8_t vcpu)
{
    return simboard_deadline(((MachineBoard *)ctx)->sim, vcpu);
}

static void be_tick(void *ctx, uint8_t vcpu)
{
    simboard_tick(((MachineBoard *)ctx)->sim, vcpu);
}

static SimBoardCall call_of(const VmExit *e)
{
    SimBoardCall c = {.ext = e->addr >> 32, .fid = (uint32_t)e->addr};
    memcpy(c.arg, e->arg, sizeof c.arg);
    if (e->kind == EXIT_cpu_up) {
        c = (SimBoardCall){.ext = EXT_HSM, .fid = HART_START, .arg = {e->addr, e->arg[0], e->arg[1]}};
    } else if (e->kind == EXIT_cpu_down) {
        c = (SimBoardCall){.ext = EXT_HSM, .fid = HART_STOP};
    }
    return c;
}

static bool be_takes(void *ctx, const VmExit *e)
{
    const MachineBoard *m = ctx;
    return e->kind == EXIT_cpu_up || e->kind == EXIT_cpu_down ||
           (e->kind == EXIT_hypercall && simboard_takes(m->sim, e->addr >> 32));
}

static void be_call(void *ctx, uint8_t vcpu, const VmExit *e, CallAnswer *out)
{
    static const CallAction actions[] = {
        [SIM_CALL_RETURN] = CALL_RETURN,         [SIM_CALL_STOP] = CALL_STOP,    [SIM_CALL_SUSPEND] = CALL_SUSPEND,
        [SIM_CALL_SUSPEND_TO] = CALL_SUSPEND_TO, [SIM_CALL_OFF] = CALL_FINISHED, [SIM_CALL_RESET] = CALL_FINISHED,
    };
    MachineBoard *m = ctx;
    SimBoardCall call = call_of(e);
    SimBoardReply r;
    simboard_call(m->sim, vcpu, &call, &r);
    *out = (CallAnswer){
        .action = actions[r.action], .nret = r.nret, .ret = {r.ret[0], r.ret[1]}, .entry = r.entry, .arg = r.arg};
    if (out->action == CALL_FINISHED) {
        on_finish(m, vcpu, r.action == SIM_CALL_RESET, r.is_failure);
    }
}

static void be_resumed(void *ctx, uint8_t vcpu)
{
    simboard_resumed(((MachineBoard *)ctx)->sim, vcpu);
}

static void be_started(void *ctx, uint8_t vcpu)
{
    simboard_started(((MachineBoard *)ctx)->sim, vcpu);
}

static void be_save(void *ctx, Buf *out)
{
    simboard_save(((MachineBoard *)ctx)->sim, out);
}

static int be_restore(void *ctx, Cursor *in, Err *err)
{
    return simboard_restore(((MachineBoard *)ctx)->sim, in, err);
}

/* ---- what board ---- */
static int bad_spec(const char *spec, Err *err)
{
    return err_set(err, ERR_INVAL,
                   "board '%.60s': expected GUEST,virt,vcpus=N or GUEST,machine,vcpus=N, N from 1 to %d", spec,
                   MAX_BOARD_VCPUS);
}

static bool take_word(const char **at, const char *word)
{
    size_t n = strlen(word);
    bool is = !strncmp(*at, word, n) && (*at)[n] == ',';
    *at += is ? n + 1 : 0;
    return is;
}

static int spec_parse(const char *spec, MachineBoard *m, uint32_t *nvcpus, Err *err)
{
    const char *at = spec, *number = "vcpus=";
    int guest = 0;
    while (guest < GUEST_COUNT && (!guest_name((GuestId)guest) || !take_word(&at, guest_name((GuestId)guest)))) {
        guest++;
    }
    bool is_machine = take_word(&at, "machine");
    if (guest == GUEST_COUNT || !(is_machine || take_word(&at, "virt")) || strncmp(at, number, strlen(number)) != 0) {
        return bad_spec(spec, err);
    }
    at += strlen(number);
    size_t ndigits = strspn(at, "0123456789");
    unsigned long n = ndigits && ndigits < 4 && !at[ndigits] ? strtoul(at, NULL, 10) : 0;
    if (!n || n > MAX_BOARD_VCPUS) {
        return bad_spec(spec, err);
    }
    m->guest = (GuestId)guest;
    m->env = is_machine ? ENV_MACHINE : ENV_VIRT;
    *nvcpus = (uint32_t)n;
    return 0;
}

int machine_board_new(const char *spec, const BoardConsole *console, Board **out, Err *err)
{
    MachineBoard *m = x_alloc(sizeof *m);
    uint32_t nvcpus = 0;
    SimBoardHost host = {.ctx = m,
                         .line = on_line,
                         .now_ns = on_now,
                         .output = on_output,
                         .finish = on_finish,
                         .pulse = on_pulse,
                         .start = on_start,
                         .fence = on_fence,
                         .is_ram = is_ram,
                         .mem_read = mem_read,
                         .mem_write = mem_write};
    int rc = spec_parse(spec, m, &nvcpus, err);
    if (!rc) {
        SimBoardPlan plan = {.guest = guest_name(m->guest),
                             .is_virt = m->env == ENV_VIRT,
                             .has_firmware = m->env == ENV_VIRT,
                             .nvcpus = nvcpus};
        rc = simboard_new(&plan, &host, &m->sim, err);
    }
    if (rc) {
        mem_free(m);
        return rc;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->console = console ? *console : (BoardConsole){0};
    snprintf(m->spec, sizeof m->spec, "%s", spec);
    m->board = (Board){.ctx = m,
                       .spec = m->spec,
                       .claims = be_claims,
                       .access = be_access,
                       .attach = be_attach,
                       .deadline = be_deadline,
                       .tick = be_tick,
                       .resumed = be_resumed,
                       .started = be_started,
                       .save = be_save,
                       .restore = be_restore,
                       .is_elsewhere = be_is_elsewhere,
                       .printed = on_output};
    if (m->env == ENV_VIRT) {
        m->board.takes = be_takes;
        m->board.call = be_call;
    }
    *out = &m->board;
    return 0;
}

void machine_board_free(Board *b)
{
    if (b) {
        MachineBoard *m = b->ctx;
        simboard_free(m->sim);
        pthread_mutex_destroy(&m->lock);
        buf_free(&m->typed);
        mem_free(m);
    }
}

void machine_board_cover(Board *b)
{
    simboard_cover(((MachineBoard *)b->ctx)->sim);
}

void machine_board_cover_read(Board *b, Buf *out)
{
    simboard_cover_read(((MachineBoard *)b->ctx)->sim, out);
}

size_t machine_board_input(Board *b, const void *bytes, size_t n)
{
    MachineBoard *m = b->ctx;
    if (m->elsewhere) {
        return vm_type(m->elsewhere, bytes, n);
    }
    pthread_mutex_lock(&m->lock);
    size_t room = MAX_TYPED - m->typed.n, taken = n < room ? n : room;
    buf_bytes(&m->typed, bytes, taken);
    pthread_mutex_unlock(&m->lock);
    feed(m);
    return taken;
}

bool machine_board_find(GuestId guest, Env env, const char *word, uint64_t *base)
{
    static const char *const types[][2] = {{"uart", "uart16550"},   {"irqchip", "plic"}, {"power", "finisher"},
                                           {"rtc", "goldfish_rtc"}, {"timer", "clint"},  {"ipi", "clint"},
                                           {"random", "virtio_rng"}};
    for (size_t i = 0; i < ARRAY_LEN(types) && guest_name(guest); i++) {
        if (!strcmp(types[i][0], word)) {
            return simboard_find(guest_name(guest), env == ENV_VIRT, types[i][1], base);
        }
    }
    return false;
}

bool machine_board_exists(GuestId guest, Env env)
{
    uint64_t base;
    return machine_board_find(guest, env, "uart", &base);
}
