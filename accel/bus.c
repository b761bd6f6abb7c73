/* SPDX-License-Identifier: Apache-2.0
 * What a board and its firmware do to the vcpus of a Vm. Whatever it is for, it is mail: put down under Vcpu.lock by
 * any thread, taken by the vcpu's own before it enters, so that a board needs to know nothing of threads and owners. */
#include "accel/core.h"
#include "sim/base/os.h"

#include <sched.h>

/* ---- mail ---- */
void vcpu_wake(Vcpu *v)
{
    uint8_t state = atomic_load(&v->state);
    const LifeCell *cell = cell_of(v, state, LIFE_interrupt);
    uint8_t to = cell->to[OUT_OK];
    if (!cell->verdict && to != LIFE_STAY && to != state) {
        state_apply(v, LIFE_interrupt, to, 0);
    }
}

typedef enum { POST_LINE, POST_PULSE, POST_START, POST_FENCE } PostKind;
typedef struct {
    PostKind kind;
    uint32_t bit;
    bool level;
    uint64_t entry, arg;
} Post;

/* Under lock. False: it changes nothing. */
static bool post_add(Vcpu *v, const Post *p)
{
    Mail *m = &v->mail;
    switch (p->kind) {
    case POST_LINE:
        if (p->level == ((m->level & p->bit) != 0)) {
            return false;
        }
        m->level ^= p->bit;
        m->changed |= p->bit;
        return true;
    case POST_PULSE:
        m->pulses |= p->bit;
        return true;
    case POST_START:
        m->has_start = true;
        m->entry = p->entry;
        m->arg = p->arg;
        atomic_store(&v->is_started, true);
        return true;
    case POST_FENCE:
        m->has_fence = true;
        return true;
    }
    return false;
}

static Vcpu *post(Vm *vm, uint8_t vcpu, const Post *p)
{
    Vcpu *v = vm_vcpu(vm, vcpu);
    if (!v) {
        return NULL;
    }
    pthread_mutex_lock(&v->lock);
    bool is_new = post_add(v, p), is_inside = v->inside == INSIDE_RUN;
    if (is_new) {
        atomic_store(&v->has_mail, true);
        vcpu_wake(v);
    }
    pthread_mutex_unlock(&v->lock);
    if (is_new && is_inside) {
        kick_quietly(v);
    }
    return v;
}

/* ---- taking it ---- */
static int reg_put(Vcpu *v, const char *name, uint64_t value, Err *err)
{
    uint8_t bytes[8];
    size_t bad;
    const RegInfo *reg = reg_find(v->vm->cfg.guest, name);
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    return v->vm->backend->vcpu->set_regs(atomic_load(&v->be), &(RegIo){reg->id, bytes}, 1, &bad, err);
}

/* As the firmware's specification says what a started vcpu finds: aarch64 x0 = context id (DEN 0022, 6.4); riscv64 a0 =
 * hart id, a1 = opaque (SBI 2.0, 9.1), the rest as after a reset. */
static int take_start(Vcpu *v, uint64_t entry, uint64_t arg, Err *err)
{
    VcpuSetup setup = v->setup;
    setup.entry = (Gpa){entry};
    int rc = vcpu_setup_now(v, &setup, err);
    rc = rc ? rc : reg_put(v, "pc", entry, err); /* which unparks */
    if (!rc && v->vm->cfg.guest == GUEST_riscv64) {
        rc = reg_put(v, "arg0", v->cfg.hw_id, err);
        rc = rc ? rc : reg_put(v, "arg1", arg, err);
    } else if (!rc && v->vm->cfg.guest == GUEST_aarch64) {
        rc = reg_put(v, "arg0", arg, err);
    }
    return rc;
}

/* A write of the root of the page tables with what it holds: whoever keeps translations drops them. Code that was
 * written is executed as written by every backend's own means. */
static int take_fence(Vcpu *v, Err *err)
{
    uint8_t bytes[8];
    size_t bad;
    const RegInfo *root = reg_find(v->vm->cfg.guest, "satp");
    if (!root) {
        return 0;
    }
    RegIo io = {root->id, bytes};
    const VcpuOps *ops = v->vm->backend->vcpu;
    int rc = ops->get_regs(atomic_load(&v->be), &io, 1, &bad, err);
    return rc ? rc : ops->set_regs(atomic_load(&v->be), &io, 1, &bad, err);
}

/* Lines first to last. What could not be taken now (-ERR_BUSY: half an instruction) is left in m. */
static int take_lines(Vcpu *v, Mail *m, Err *err)
{
    int rc = 0;
    for (uint32_t n = 0; n < 32 && !rc; n++) {
        uint32_t bit = 1u << n;
        if ((m->changed | m->pulses) & bit) {
            Event e = {.kind = EV_LINE, .number = n, .level = (m->level | m->pulses) & bit};
            rc = v->vm->backend->vcpu->inject(atomic_load(&v->be), &e, err);
            if (!rc) {
                m->changed &= ~bit;
                m->pulses &= ~bit;
                v->stats.injected++;
            }
        }
    }
    return rc;
}

static void put_back(Vcpu *v, const Mail *m)
{
    pthread_mutex_lock(&v->lock);
    v->mail.changed |= m->changed;
    v->mail.pulses |= m->pulses;
    atomic_store(&v->has_mail, true);
    pthread_mutex_unlock(&v->lock);
}

int mail_take(Vcpu *v, Err *err)
{
    pthread_mutex_lock(&v->lock);
    Mail m = v->mail;
    v->mail = (Mail){.level = m.level};
    atomic_store(&v->has_mail, false);
    pthread_mutex_unlock(&v->lock);
    int rc = m.has_start ? take_start(v, m.entry, m.arg, err) : 0;
    if (m.has_start) { /* the setup has asked for the lines that are up once more */
        pthread_mutex_lock(&v->lock);
        m.changed |= v->mail.changed;
        v->mail.changed = 0;
        pthread_mutex_unlock(&v->lock);
    }
    rc = rc || !m.has_fence ? rc : take_fence(v, err);
    Err why = {0}; /* a line that has to wait is no news for the caller */
    int refused = rc ? 0 : take_lines(v, &m, &why);
    if (refused == -ERR_BUSY) {
        put_back(v, &m);
    } else if (refused) {
        rc = refused;
        if (err) {
            *err = why;
        }
    }
    return rc;
}

/* ---- time ---- */
static bool has_virtual_time(const Vm *vm)
{
    return vm->caps.level[CAP_virtual_time] >= CAP_PARTIAL;
}

uint64_t guest_ns(Vcpu *v)
{
    uint8_t bytes[8];
    size_t bad;
    RegIo io = {REG_CLOCK(v->vm->cfg.guest), bytes};
    if (!has_virtual_time(v->vm)) {
        return os_now_ns() - v->vm->opened_ns;
    }
    if (v->vm->backend->vcpu->get_regs(atomic_load(&v->be), &io, 1, &bad, NULL)) {
        return v->insns + v->skipped_ns;
    }
    Cursor c = cursor_of(bytes, sizeof bytes);
    return cursor_le(&c, 8);
}

int guest_ns_set(Vcpu *v, uint64_t ns, Err *err)
{
    uint8_t bytes[8];
    size_t bad;
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(ns >> (8 * i));
    }
    RegIo io = {REG_CLOCK(v->vm->cfg.guest), bytes};
    int rc = v->vm->backend->vcpu->set_regs(atomic_load(&v->be), &io, 1, &bad, err);
    if (rc == -ERR_NOENT) {
        v->skipped_ns = ns - v->insns;
        rc = 0;
    }
    return rc;
}

/* ---- the bus ---- */
static void bus_line(Vm *vm, uint8_t vcpu, uint32_t number, bool level)
{
    post(vm, vcpu, &(Post){.kind = POST_LINE, .bit = 1u << number % 32, .level = level});
}

static void bus_pulse(Vm *vm, uint8_t vcpu, uint32_t number)
{
    post(vm, vcpu, &(Post){.kind = POST_PULSE, .bit = 1u << number % 32});
}

static uint64_t bus_now_ns(Vm *vm, uint8_t vcpu)
{
    Vcpu *v = vm_vcpu(vm, vcpu);
    return v ? guest_ns(v) : 0;
}

static void bus_finish(Vm *vm, uint8_t vcpu, bool is_reset, uint64_t reason)
{
    Vcpu *v = vm_vcpu(vm, vcpu);
    if (v) {
        v->finish = (Finish){.is_set = true, .is_reset = is_reset, .reason = reason};
    }
}

static void bus_start(Vm *vm, uint8_t vcpu, uint64_t entry, uint64_t arg)
{
    post(vm, vcpu, &(Post){.kind = POST_START, .entry = entry, .arg = arg});
}

/* Waits until the vcpu is out of the guest: it takes its mail before it enters again. Two that fence each other are
 * both out. */
static void bus_fence(Vm *vm, uint8_t vcpu)
{
    Vcpu *v = post(vm, vcpu, &(Post){.kind = POST_FENCE});
    while (v && atomic_load(&v->inside) == INSIDE_RUN && atomic_load(&v->has_mail)) {
        sched_yield();
    }
}

void bus_attach(Vm *vm)
{
    const Board *b = vm->cfg.board;
    if (b && b->attach) {
        b->attach(b->ctx, &(BoardBus){.vm = vm,
                                      .line = bus_line,
                                      .pulse = bus_pulse,
                                      .now_ns = bus_now_ns,
                                      .finish = bus_finish,
                                      .start = bus_start,
                                      .fence = bus_fence,
                                      .is_ram = vm_is_mapped,
                                      .mem_read = vm_mem_read,
                                      .mem_write = vm_mem_write});
    }
}
