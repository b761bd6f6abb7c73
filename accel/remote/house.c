/* SPDX-License-Identifier: Apache-2.0
 * house.c - a VM with its board at the server's side, as the operations that a message asks for: the waist (accel.h) once
 * more, over the real backend. Its lifecycle allows everything, as the client's judges. */
#include "accel/board.h"
#include "accel/remote/server.h"

#include <string.h>

enum { MAX_SERVED = 64, MAX_IDS = 256 }; /* exits of one answer to SERVE, about; ids of vcpus */

struct BeVm {
    Vm *vm;
    Board *board;
    BeVcpu *vcpus[MAX_IDS]; /* by id; each is read by its own thread while it runs */
};
struct BeVcpu {
    BeVm *house;
    Vcpu *v;
    VEC(VmExit) served;
    Buf printed;
};

/* ---- a lifecycle of one state ---- */
#define EVERY_OP(name) [LIFE_##name] = {0, LIFE_STAY, 0, {0, 0, 0, 0, 0}},
#define X(name)        EVERY_OP(name)
static const LifeCell any_cells[1][LIFE_OP_COUNT] = {{LIFE_OP_MAP(X)}};
#undef X
#define X(name) #name,
static const char *const any_names[LIFE_OP_COUNT] = {LIFE_OP_MAP(X)};
#undef X
static const char *const any_states[] = {"Any"};
static const uint32_t any_edges[] = {1};
static const LifeModel life_any = {
    .name = "any", .states = any_states, .op_names = any_names, .nstates = 1, .cell = any_cells, .edges = any_edges};

/* ---- what a run leaves for its answer ---- */
/* An answer is due: the run ends before its next instruction, and the client asks again. */
static void on_exit_served(void *ctx, const VmExit *e)
{
    BeVm *h = ctx;
    BeVcpu *v = h->vcpus[e->vcpu];
    if (v && e->is_completed) {
        VEC_PUSH(&v->served, *e);
        if (v->served.n == MAX_SERVED) {
            vcpu_kick(v->v);
        }
    }
}

/* Nobody says on whose behalf the console prints, but it prints on that vcpu's thread. */
static _Thread_local BeVcpu *running;

static void on_output(void *ctx, const void *bytes, size_t n)
{
    (void)ctx;
    if (running) {
        buf_bytes(&running->printed, bytes, n);
        vcpu_kick(running->v);
    }
}

/* ---- the VM ---- */
int house_open(const Backend *b, const VmConfig *cfg, const char *spec, BeVm **out, Err *err)
{
    BeVm *h = x_alloc(sizeof *h);
    VmConfig inside = *cfg;
    int rc = machine_board_new(spec, &(BoardConsole){h, on_output}, &h->board, err);
    inside.board = h->board;
    rc = rc ? rc : vm_open(b, &inside, &life_any, &(Observer){.ctx = h, .on_exit = on_exit_served}, &h->vm, err);
    if (rc) {
        machine_board_free(h->board);
        mem_free(h);
        return rc;
    }
    *out = h;
    return 0;
}

static void h_destroy(BeVm *h)
{
    vm_close(h->vm);
    machine_board_free(h->board);
    mem_free(h);
}

static int h_ram_create(BeVm *h, uint64_t size, RamId *out, Err *err)
{
    return vm_ram_new(h->vm, size, out, err);
}

static int h_map(BeVm *h, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    return vm_map(h->vm, at, size, ram, offset, flags, err);
}

static int h_unmap(BeVm *h, Gpa at, uint64_t size, Err *err)
{
    return vm_unmap(h->vm, at, size, err);
}

static int h_mem_read(BeVm *h, Gpa at, void *buf, size_t n, Err *err)
{
    return vm_mem_read(h->vm, at, buf, n, err);
}

static int h_mem_write(BeVm *h, Gpa at, const void *buf, size_t n, Err *err)
{
    return vm_mem_write(h->vm, at, buf, n, err);
}

static int h_dirty_get(BeVm *h, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    return vm_dirty_get(h->vm, at, size, bits, clear, err);
}

static int h_irq_line(BeVm *h, uint32_t gsi, bool level, Err *err)
{
    return vm_irq_line(h->vm, gsi, level, err);
}

static int h_msi(BeVm *h, uint64_t addr, uint32_t data, Err *err)
{
    return vm_msi(h->vm, addr, data, err);
}

static int h_intercept(BeVm *h, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    return vm_intercept(h->vm, k, lo, hi, on, err);
}

static int h_clock(BeVm *h, bool set, uint64_t *guest_ns, Err *err)
{
    return vm_clock(h->vm, set, guest_ns, err);
}

static int h_save(BeVm *h, Buf *out, Err *err)
{
    return vm_save(h->vm, out, err);
}

static int h_restore(BeVm *h, const void *bytes, size_t n, Err *err)
{
    return vm_restore(h->vm, bytes, n, err);
}

static int h_ctl(BeVm *h, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    int rc = vm_ctl(h->vm, v ? v->v : NULL, name, in, nin, out, err);
    if (!rc && !strcmp(name, "sim.coverage")) { /* its devices are on this side */
        machine_board_cover(h->board);
        bool is_read = out && nin == 4 && !memcmp(in, "read", nin);
        if (is_read) {
            machine_board_cover_read(h->board, out);
        }
    }
    return rc;
}

static bool h_has_board(const BeVm *h)
{
    return h->board != NULL;
}

static int h_type(BeVm *h, const void *bytes, size_t n, size_t *ntaken, Err *err)
{
    (void)err;
    *ntaken = machine_board_input(h->board, bytes, n);
    return 0;
}

/* ---- vcpus ---- */
static int h_vcpu_create(BeVm *h, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    Vcpu *v;
    int rc = vcpu_new(h->vm, cfg, &v, err);
    if (rc) {
        return rc;
    }
    BeVcpu *be = x_alloc(sizeof *be);
    be->house = h;
    be->v = v;
    h->vcpus[cfg->id] = be;
    *out = be;
    return 0;
}

static void h_vcpu_destroy(BeVcpu *v)
{
    int rc = vcpu_destroy(v->v, NULL);
    (void)rc; /* it is the owner, and everything is allowed */
    v->house->vcpus[vcpu_id(v->v)] = NULL;
    VEC_FREE(&v->served);
    buf_free(&v->printed);
    mem_free(v);
}

static int h_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    return vcpu_setup(v->v, s, err);
}

static int h_bind(BeVcpu *v, Err *err)
{
    return vcpu_bind(v->v, err);
}

static int h_unbind(BeVcpu *v, Err *err)
{
    return vcpu_unbind(v->v, err);
}

static int h_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    if (!args->serve_board) {
        return vcpu_run(v->v, args, exit, err);
    }
    RunArgs above = *args; /* else a simulator serves the board by itself, and traces nothing */
    above.serve_board = false;
    running = v;
    int rc = vcpu_serve(v->v, &above, exit, err);
    running = NULL;
    return rc;
}

void house_served(BeVcpu *v, Buf *out)
{
    buf_le(out, v->served.n, 4);
    for (size_t i = 0; i < v->served.n; i++) {
        wire_put_exit(out, &v->served.items[i]);
    }
    wire_put_bulk(out, v->printed.data, v->printed.n);
    v->served.n = 0;
    buf_clear(&v->printed);
}

static int h_reply(BeVcpu *v, const Reply *r, Err *err)
{
    return vcpu_reply(v->v, r, err);
}

static void h_kick(BeVcpu *v)
{
    vcpu_kick(v->v);
}

static int h_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    return vcpu_get_regs(v->v, io, n, bad, err);
}

static int h_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    return vcpu_set_regs(v->v, io, n, bad, err);
}

static int h_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    return vcpu_reg_list(v->v, ids, n, err);
}

static int h_inject(BeVcpu *v, const Event *e, Err *err)
{
    return vcpu_interrupt(v->v, e, err);
}

static int h_breaks(BeVcpu *v, const Break *list, size_t n, Err *err)
{
    return vcpu_breaks(v->v, list, n, err);
}

const VmOps house_vm_ops = {
    .size_bytes = sizeof(VmOps),
    .destroy = h_destroy,
    .ram_create = h_ram_create,
    .map = h_map,
    .unmap = h_unmap,
    .mem_read = h_mem_read,
    .mem_write = h_mem_write,
    .dirty_get = h_dirty_get,
    .irq_line = h_irq_line,
    .msi = h_msi,
    .intercept = h_intercept,
    .clock = h_clock,
    .save = h_save,
    .restore = h_restore,
    .ctl = h_ctl,
    .has_board = h_has_board,
    .type = h_type,
};
const VcpuOps house_vcpu_ops = {
    .size_bytes = sizeof(VcpuOps),
    .create = h_vcpu_create,
    .destroy = h_vcpu_destroy,
    .setup = h_setup,
    .bind = h_bind,
    .unbind = h_unbind,
    .run = h_run,
    .reply = h_reply,
    .kick = h_kick,
    .get_regs = h_get_regs,
    .set_regs = h_set_regs,
    .reg_list = h_reg_list,
    .inject = h_inject,
    .breaks = h_breaks,
};
