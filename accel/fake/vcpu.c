/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake/impl.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- registers ---- */
static uint64_t load_le(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void store_le(uint8_t *bytes, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t mask_of(const RegInfo *r)
{
    size_t n = REG_SIZE(r->id);
    return n >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * n)) - 1;
}

static size_t row_of(const BeVcpu *v, const RegInfo *r)
{
    return (size_t)(r - v->vm->regs);
}

uint64_t reg_load(const BeVcpu *v, const char *name)
{
    return load_le(v->regs[row_of(v, reg_find(v->vm->guest, name))]);
}

void reg_store(BeVcpu *v, const RegInfo *reg, uint64_t value)
{
    store_le(v->regs[row_of(v, reg)], value & mask_of(reg));
}

void reg_store_named(BeVcpu *v, const char *name, uint64_t value)
{
    reg_store(v, reg_find(v->vm->guest, name), value);
}

static void regs_reset(BeVcpu *v)
{
    memset(v->regs, 0, v->vm->nregs * sizeof v->regs[0]);
    for (size_t i = 0; i < v->vm->nregs; i++) {
        store_le(v->regs[i], v->vm->regs[i].fixed);
    }
    if (v->vm->guest == GUEST_riscv64) {
        reg_store_named(v, "priv", v->vm->env == ENV_MACHINE ? 3 : 1);
    }
}

/* What is not writable stays; what is fixed reads as one. */
static void reg_write(BeVcpu *v, const RegInfo *r, const uint8_t *bytes)
{
    uint8_t *at = v->regs[row_of(v, r)];
    size_t n = REG_SIZE(r->id);
    if (n > 8) {
        memcpy(at, bytes, n);
        return;
    }
    uint8_t wide[8] = {0};
    memcpy(wide, bytes, n);
    uint64_t old = load_le(at), new = load_le(wide);
    store_le(at, ((old & ~r->writable) | (new & r->writable) | r->fixed) & mask_of(r));
}

static int regs_exist(const BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    for (size_t i = 0; i < n; i++) {
        const RegInfo *r = reg_info(io[i].id);
        if (!r || REG_GUEST(io[i].id) != v->vm->guest) {
            *bad = i;
            return err_set(err, ERR_NOENT, "no register 0x%llx", (unsigned long long)io[i].id);
        }
    }
    return 0;
}

/* ---- ownership ---- */
int fake_owner_check(const BeVcpu *v, const char *op, Err *err)
{
    return pthread_equal(v->owner, pthread_self())
               ? 0
               : err_set(err, ERR_THREAD, "%s: vcpu %u is bound to another thread", op, v->cfg.id);
}

static int start(BeVcpu *v, const char *op, Err *err)
{
    int rc = fake_fails(v->vm, op, err);
    return rc ? rc : fake_owner_check(v, op, err);
}

static int no_reply_due(const BeVcpu *v, const char *op, Err *err)
{
    if (!v->has_due || is_broken(v->vm, W3)) {
        return 0;
    }
    return err_set(err, ERR_BUSY, "%s: the %s exit awaits its reply", op, exit_name(v->due.exit.kind));
}

/* ---- life ---- */
static int open_wake(int *fd, Err *err)
{
    *fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return *fd < 0 ? err_native(err, ERR_LIMIT, errno, "fake: a descriptor for kicks") : 0;
}

static int be_create(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    int wake;
    int rc = fake_fails(vm, "vcpu.create", err);
    rc = rc ? rc : open_wake(&wake, err);
    if (!rc) {
        BeVcpu *v = x_alloc(sizeof *v);
        v->vm = vm;
        v->cfg = *cfg;
        v->owner = pthread_self();
        v->wake = wake;
        v->regs = x_calloc(vm->nregs, sizeof v->regs[0]);
        regs_reset(v);
        pthread_mutex_lock(&vm->lock);
        if (!cfg->id) {
            v->script = vm->early;
            vm->early = (Script){0};
            vm->vcpu0 = v;
        }
        pthread_mutex_unlock(&vm->lock);
        *out = v;
    }
    return fake_log(vm, rc, "vcpu.create", "vcpu %u secondary %d hw_id 0x%llx", cfg->id, cfg->is_secondary,
                    (unsigned long long)cfg->hw_id);
}

static void be_destroy(BeVcpu *v)
{
    BeVm *vm = v->vm;
    int rc = fake_owner_check(v, "vcpu.destroy", NULL);
    fake_log(vm, rc, "vcpu.destroy", "vcpu %u", v->cfg.id);
    pthread_mutex_lock(&vm->lock);
    vm->vcpu0 = vm->vcpu0 == v ? NULL : vm->vcpu0;
    pthread_mutex_unlock(&vm->lock);
    close(v->wake);
    fake_script_free(&v->script);
    mem_free(v->regs);
    mem_free(v);
}

static int be_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    int rc = start(v, "vcpu.setup", err);
    if (!rc) {
        regs_reset(v);
        reg_store_named(v, "pc", s->entry.addr);
        v->has_due = v->has_pending = v->is_masked = v->is_owed = false;
    }
    return fake_log(v->vm, rc, "vcpu.setup", "vcpu %u entry 0x%llx", v->cfg.id, (unsigned long long)s->entry.addr);
}

static int be_bind(BeVcpu *v, Err *err)
{
    int rc = fake_fails(v->vm, "vcpu.bind", err);
    if (!rc && !is_broken(v->vm, W2)) {
        v->owner = pthread_self();
    }
    return fake_log(v->vm, rc, "vcpu.bind", "vcpu %u", v->cfg.id);
}

static int be_unbind(BeVcpu *v, Err *err)
{
    return fake_log(v->vm, start(v, "vcpu.unbind", err), "vcpu.unbind", "vcpu %u", v->cfg.id);
}

/* ---- registers, as called ---- */
static int be_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = start(v, "vcpu.get_regs", err);
    rc = rc ? rc : regs_exist(v, io, n, bad, err);
    for (size_t i = 0; i < n && !rc; i++) {
        memcpy(io[i].bytes, v->regs[row_of(v, reg_info(io[i].id))], REG_SIZE(io[i].id));
    }
    return fake_log(v->vm, rc, "vcpu.get_regs", "vcpu %u n %zu", v->cfg.id, n);
}

static int be_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = start(v, "vcpu.set_regs", err);
    rc = rc ? rc : no_reply_due(v, "set_regs", err);
    if (!rc) {
        rc = regs_exist(v, io, n, bad, err);
        n = rc && is_broken(v->vm, W6) ? *bad : n;
        bool is_written = !rc || is_broken(v->vm, W6);
        for (size_t i = 0; i < n && is_written; i++) {
            reg_write(v, reg_info(io[i].id), io[i].bytes);
        }
    }
    return fake_log(v->vm, rc, "vcpu.set_regs", "vcpu %u n %zu", v->cfg.id, n);
}

static int be_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    int rc = start(v, "vcpu.reg_list", err);
    for (size_t i = 0; ids && i < v->vm->nregs && i < *n && !rc; i++) {
        ids[i] = v->vm->regs[i].id;
    }
    *n = rc ? 0 : v->vm->nregs;
    return fake_log(v->vm, rc, "vcpu.reg_list", "vcpu %u", v->cfg.id);
}

static int be_inject(BeVcpu *v, const Event *e, Err *err)
{
    int rc = start(v, "vcpu.inject", err);
    if (!rc && (v->is_masked || v->has_pending)) {
        rc = err_set(err, ERR_BUSY, "inject: %s", v->is_masked ? "masked" : "one is pending");
    }
    if (!rc) {
        v->has_pending = true;
        v->pending = *e;
    }
    return fake_log(v->vm, rc, "vcpu.inject", "vcpu %u kind %u number 0x%x", v->cfg.id, (unsigned)e->kind, e->number);
}

static int be_breaks(BeVcpu *v, const Break *list, size_t n, Err *err)
{
    (void)list; /* a script says where it stops */
    return fake_log(v->vm, start(v, "vcpu.breaks", err), "vcpu.breaks", "vcpu %u n %zu", v->cfg.id, n);
}

const VcpuOps fake_vcpu_ops = {
    .size_bytes = sizeof(VcpuOps),
    .create = be_create,
    .destroy = be_destroy,
    .setup = be_setup,
    .bind = be_bind,
    .unbind = be_unbind,
    .run = fake_run,
    .reply = fake_reply,
    .kick = fake_kick,
    .get_regs = be_get_regs,
    .set_regs = be_set_regs,
    .reg_list = be_reg_list,
    .inject = be_inject,
    .breaks = be_breaks,
    .is_brief = fake_is_brief,
};
