/* SPDX-License-Identifier: Apache-2.0
 * machine.c - machine.h on the simulator: the machine of `conf sim`, in virtual time. What comes is checked here, as it may come over a
 * link. */
#include "accel/machine.h"
#include "accel/sim/impl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* As `conf sim`: one hart alone is waited for by nobody; of several, what one does to another is seen so much later. */
enum { QUANTUM_ALONE_NS = 1000000, QUANTUM_NS = 10000, MAX_OUTPUT = 1 << 20, MAX_FDS = 64, IDLE_MS = 10 };

typedef struct {
    char *name; /* NULL: there is none */
    Buf bytes;
} Image;
struct SimMachineRun {
    Image images[MACHINE_IMAGES];
    bool is_tried; /* to boot, once: what is half made goes with the VM */
    bool is_booted;
    uint32_t nvcpus;
    Buf output;
    SimCard *cards[SIM_CARD_SLOTS];
    size_t ncards;
};

static void images_free(SimMachineRun *m)
{
    for (size_t i = 0; i < MACHINE_IMAGES; i++) {
        mem_free(m->images[i].name);
        m->images[i].name = NULL;
        buf_free(&m->images[i].bytes);
    }
}

void sim_machine_free(SimMachineRun *m)
{
    for (size_t i = 0; m && i < m->ncards; i++) {
        sim_card_free(m->cards[i]);
    }
    if (m) {
        images_free(m);
        buf_free(&m->output);
        mem_free(m);
    }
}

static SimMachineRun *machine_of(BeVm *vm)
{
    if (!vm->machine) {
        vm->machine = x_alloc(sizeof *vm->machine);
    }
    return vm->machine;
}

static int torn(const char *name, Err *err)
{
    return err_set(err, ERR_INVAL, "%s: its bytes do not parse", name);
}

static int ctl_image(BeVm *vm, Cursor *in, Buf *out, Err *err)
{
    (void)out;
    SimMachineRun *m = machine_of(vm);
    uint64_t which = cursor_le(in, 1);
    size_t n = (size_t)cursor_le(in, 2);
    const uint8_t *name = n <= MACHINE_NAME_MAX ? cursor_bytes(in, n) : NULL;
    if (!name || which >= MACHINE_IMAGES || m->is_tried) {
        return torn(MACHINE_CTL_IMAGE, err);
    }
    Image *image = &m->images[which];
    mem_free(image->name);
    image->name = x_strndup((const char *)name, n);
    buf_clear(&image->bytes);
    buf_bytes(&image->bytes, in->at, cursor_left(in));
    return 0;
}

static void on_output(void *ctx, const void *bytes, size_t n)
{
    Buf *output = &((SimMachineRun *)ctx)->output;
    buf_bytes(output, bytes, output->n + n <= MAX_OUTPUT ? n : 0);
}

static SimFile file_of(const Image *i)
{
    return (SimFile){.name = i->name, .bytes = i->name ? buf_text(&i->bytes) : NULL, .n = i->bytes.n};
}

/* ---- drives and network ---- */
/* The image lies in a file of this process's memory, which is gone with the card. */
static int drive_make(SimMachineRun *m, const Image *image, Err *err)
{
    char path[64];
    int fd = memfd_create("drive", MFD_CLOEXEC);
    if (fd < 0) {
        return err_native(err, ERR_HOST, errno, "%s: memory for a drive", image->name);
    }
    for (size_t done = 0; done < image->bytes.n;) {
        ssize_t n = write(fd, image->bytes.data + done, image->bytes.n - done);
        if (n < 0) {
            int native = errno;
            close(fd);
            return err_native(err, ERR_HOST, native, "%s: memory for a drive", image->name);
        }
        done += (size_t)n;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = sim_card_drive(path, 0, &m->cards[m->ncards], err);
    close(fd);
    m->ncards += !rc;
    if (rc) {
        err_prefix(err, "drive %s", image->name);
    }
    return rc;
}

static int cards_make(SimMachineRun *m, const char *net, Err *err)
{
    int rc = 0;
    for (size_t i = MACHINE_IMAGES - MACHINE_DRIVES; !rc && i < MACHINE_IMAGES; i++) {
        rc = m->images[i].name ? drive_make(m, &m->images[i], err) : 0;
    }
    if (!rc && *net) {
        bool is_known = !strcmp(net, "user") || !strcmp(net, "loopback"); /* others would reach into this host */
        rc = is_known ? sim_card_net(net, &m->cards[m->ncards], err)
                      : err_set(err, ERR_INVAL, "net %.40s: expected user or loopback", net);
        m->ncards += !rc;
    }
    return rc;
}

/* What came from outside meanwhile; waits for it a little where nothing else can happen. False: nothing can come. */
static bool cards_serve(BeVm *vm, bool is_idle)
{
    SimMachineRun *m = vm->machine;
    bool is_any = false;
    for (size_t i = 0; i < m->ncards; i++) {
        struct pollfd fds[MAX_FDS];
        uint64_t timeout_ns = 0;
        if (sim_card_is_outside(m->cards[i])) {
            size_t n = sim_card_fds(m->cards[i], fds, MAX_FDS, &timeout_ns);
            if (poll(fds, n, is_idle ? IDLE_MS : 0) >= 0) {
                sim_card_served(m->cards[i], fds, n);
                is_any = true;
            }
        }
    }
    if (is_any) {
        sim_board_poll(vm->sim);
    }
    return is_any;
}

static int ctl_boot(BeVm *vm, Cursor *in, Buf *out, Err *err)
{
    (void)out;
    SimMachineRun *m = machine_of(vm);
    SimBoardConfig cfg = {.has_firmware = vm->env == ENV_VIRT, .ctx = m, .output = on_output};
    SimBoot boot = {file_of(&m->images[0]), file_of(&m->images[1]), file_of(&m->images[2]), NULL};
    cfg.ram_bytes = cursor_le(in, 8);
    cfg.nvcpus = (uint32_t)cursor_le(in, 4);
    size_t nnet = (size_t)cursor_le(in, 1);
    const uint8_t *net_bytes = cursor_bytes(in, nnet);
    bool has_append = cursor_le(in, 1);
    if (!cursor_ok(in) || m->is_tried || (!boot.bios.name && !boot.kernel.name)) {
        return torn(MACHINE_CTL_BOOT, err);
    }
    m->is_tried = true;
    char *append = x_strndup((const char *)in->at, cursor_left(in));
    boot.append = has_append ? append : NULL;
    char net[UINT8_MAX + 1];
    snprintf(net, sizeof net, "%.*s", (int)nnet, (const char *)net_bytes);
    int rc = cards_make(m, net, err);
    memcpy(cfg.card, m->cards, sizeof cfg.card);
    rc = rc ? rc : sim_board(vm->sim, &cfg, err);
    rc = rc ? rc : sim_board_load(vm->sim, &boot, err);
    m->nvcpus = cfg.nvcpus;
    m->is_booted = !rc;
    mem_free(append);
    images_free(m);
    return rc;
}

static uint64_t insns_of(const BeVm *vm)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < vm->machine->nvcpus; i++) {
        sum += sim_insns(sim_vcpu_at(vm->sim, (uint8_t)i));
    }
    return sum;
}

/* One slice: accesses that nothing answers are bus errors, and it goes on. */
static int run_slice(BeVm *vm, uint64_t for_ns, SimExit *e, Err *err)
{
    uint64_t end = sim_board_now_ns(vm->sim) + for_ns,
             quantum = vm->machine->nvcpus > 1 ? QUANTUM_NS : QUANTUM_ALONE_NS;
    SimRun until = {.insns = UINT64_MAX, .serve_board = true, .until_ns = end};
    for (;;) {
        uint8_t who = 0;
        int rc = sim_run_all(vm->sim, quantum < for_ns ? quantum : for_ns, &until, &who, e, err);
        bool is_hole = !rc && e->needs_reply;
        rc = is_hole ? sim_reply(sim_vcpu_at(vm->sim, who), 0, true, err) : rc;
        if (rc || (!is_hole && e->kind != SIM_EXIT_canceled)) {
            return rc;
        }
    }
}

static int ctl_run(BeVm *vm, Cursor *in, Buf *out, Err *err)
{
    SimMachineRun *m = machine_of(vm);
    uint64_t for_ns = cursor_le(in, 8);
    size_t ntyped = cursor_left(in);
    SimExit e;
    if (!cursor_ok(in) || !for_ns || ntyped > MACHINE_TYPED_MAX || for_ns > MACHINE_SLICE_MAX_NS) {
        return torn(MACHINE_CTL_RUN, err);
    }
    if (!m->is_booted) {
        return err_set(err, ERR_STATE, "%s: nothing was booted", MACHINE_CTL_RUN);
    }
    size_t ntaken = ntyped ? sim_board_input(vm->sim, in->at, ntyped) : 0;
    int rc = run_slice(vm, for_ns, &e, err);
    if (!rc) {
        bool may_come = cards_serve(vm, e.kind == SIM_EXIT_halt);
        e.kind = may_come && e.kind == SIM_EXIT_halt ? SIM_EXIT_budget : e.kind;
        buf_le(out, sim_exit_kind(e.kind), 4);
        buf_le(out, e.kind == SIM_EXIT_system_down ? e.addr : 0, 8);
        buf_le(out, insns_of(vm), 8);
        buf_le(out, sim_board_now_ns(vm->sim), 8);
        buf_le(out, ntaken, 4);
        buf_bytes(out, m->output.data, m->output.n);
        buf_clear(&m->output);
    }
    return rc;
}

/* Coverage (docs/coverage.md): on; what there is; what was reached. */
static int ctl_cover(BeVm *vm, Cursor *in, Buf *out, Err *err)
{
    size_t n = cursor_left(in);
    const char *what = (const char *)in->at;
    if (n == 2 && !memcmp(what, "on", n)) {
        sim_cover(vm->sim);
    } else if (n == 5 && !memcmp(what, "items", n)) {
        sim_cover_items(vm->sim, out);
    } else if (n == 4 && !memcmp(what, "read", n)) {
        sim_cover_read(vm->sim, out);
    } else {
        return err_set(err, ERR_INVAL, "sim.coverage: expected on, items or read");
    }
    return 0;
}

static void code_put(void *ctx, SimCodeKind kind, const char *what, uint64_t at, const void *bytes, size_t n)
{
    Buf *out = ctx;
    buf_le(out, kind, 1);
    buf_le(out, at, 8);
    buf_le(out, strlen(what), 4);
    buf_str(out, what);
    buf_le(out, n, 4);
    buf_bytes(out, bytes, n);
}

/* {u64 gva}: pieces of code, {u8 SimCodeKind, u64 at, u32 n, what, u32 n, bytes} each. */
static int ctl_code(BeVcpu *v, Cursor *in, Buf *out, Err *err)
{
    uint64_t gva = cursor_le(in, 8);
    if (!v || !cursor_ok(in) || cursor_left(in)) {
        return err_set(err, ERR_INVAL, "sim.code: expected a vcpu and the 8 bytes of an address");
    }
    sim_code(v->s, gva, code_put, out);
    return 0;
}

#define CTL_CODE "sim.code"
const char *const sim_machine_ctls[] = {MACHINE_CTL_IMAGE, MACHINE_CTL_BOOT, MACHINE_CTL_RUN,
                                        "sim.coverage",    CTL_CODE,         NULL};

int sim_machine_ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    static int (*const fns[])(BeVm *, Cursor *, Buf *, Err *) = {ctl_image, ctl_boot, ctl_run, ctl_cover};
    Cursor c = cursor_of(in, nin);
    Buf dropped = {0};
    if (!strcmp(name, CTL_CODE)) {
        int rc = ctl_code(v, &c, out ? out : &dropped, err);
        buf_free(&dropped);
        return rc;
    }
    for (size_t i = 0; i < ARRAY_LEN(fns); i++) {
        if (!strcmp(name, sim_machine_ctls[i])) {
            int rc = fns[i](vm, &c, out ? out : &dropped, err);
            buf_free(&dropped);
            return rc;
        }
    }
    return err_unsupported(err, vm->backend->name, name, "this backend has no such ctl");
}
