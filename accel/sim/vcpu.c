/* SPDX-License-Identifier: Apache-2.0
 * vcpu.c - the life of a vcpu, its registers and events.
 *
 * Beside the guest's registers there are two of the backend: the guest clock in nanoseconds (NATIVE 0), which makes a save
 * whole, as guest time is this vcpu's own; and mp_state: 0 runnable, 3 waiting for an interrupt, 5 parked (linux/kvm.h's
 * KVM_MP_STATE_x). */
#include "accel/sim/impl.h"

#include <string.h>

enum { NATIVE_CLOCK = 0, STATE_MP = 0 };
enum { MP_RUNNABLE = 0, MP_WAITING = 3, MP_PARKED = 5 };

static RegId clock_id(const BeVcpu *v)
{
    return REG_ID(v->vm->arch->guest, 3, REG_NATIVE, NATIVE_CLOCK);
}

static RegId mp_id(const BeVcpu *v)
{
    return REG_ID(v->vm->arch->guest, 2, REG_STATE, STATE_MP);
}

/* ---- life ---- */
static int be_create(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    SimVcpu *s = vm->vcpus[cfg->id];
    int rc = s ? 0 : sim_vcpu_new(vm->sim, cfg->id, &s, err);
    if (rc) {
        return rc;
    }
    vm->vcpus[cfg->id] = s;
    BeVcpu *v = x_alloc(sizeof *v);
    v->vm = vm;
    v->s = s;
    v->cfg = *cfg;
    *out = v;
    return 0;
}

static void be_destroy(BeVcpu *v)
{
    mem_free(v);
}

static void lines_low(BeVcpu *v)
{
    for (uint32_t line = 0; sim_vcpu_line(v->s, line, false, NULL) == 0; line++) {
    }
}

static int be_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    SimReset how = {.hw_id = v->cfg.hw_id,
                    .entry = s->entry.addr,
                    .arg = v->cfg.arg,
                    .has_stage2 = s->has_stage2,
                    .stage2 = s->stage2.addr};
    lines_low(v);
    int rc = sim_vcpu_reset(v->s, &how, err);
    if (rc) {
        return rc;
    }
    v->pending = PEND_NONE;
    v->has_kept = v->is_step_open = false;
    v->shown_insns = sim_insns(v->s);
    v->is_parked = v->cfg.is_secondary;
    v->is_set_up = true;
    return 0;
}

/* ---- registers ---- */
static uint32_t mp_get(const BeVcpu *v)
{
    return v->is_parked ? MP_PARKED : sim_is_waiting(v->s) ? MP_WAITING : MP_RUNNABLE;
}

static int mp_set(BeVcpu *v, uint32_t state, Err *err)
{
    if (state != MP_RUNNABLE && state != MP_WAITING && state != MP_PARKED) {
        return err_set(err, ERR_INVAL, "mp_state %u: 0 runnable, 3 waiting, 5 parked", state);
    }
    v->is_parked = state == MP_PARKED;
    sim_wait_set(v->s, state == MP_WAITING);
    return 0;
}

static int reg_get(BeVcpu *v, RegId id, void *bytes, Err *err)
{
    if (id == clock_id(v)) {
        uint64_t ns = sim_clock_ns(v->s);
        memcpy(bytes, &ns, sizeof ns);
        return 0;
    }
    if (id == mp_id(v)) {
        uint32_t state = mp_get(v);
        memcpy(bytes, &state, sizeof state);
        return 0;
    }
    return sim_reg_get(v->s, id, bytes, err);
}

static int reg_set(BeVcpu *v, RegId id, const void *bytes, Err *err)
{
    if (id == clock_id(v)) {
        uint64_t ns;
        memcpy(&ns, bytes, sizeof ns);
        sim_clock_set(v->s, ns);
        return 0;
    }
    if (id == mp_id(v)) {
        uint32_t state;
        memcpy(&state, bytes, sizeof state);
        return mp_set(v, state, err);
    }
    return sim_reg_set(v->s, id, bytes, err);
}

static int be_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = sim_look(v, err);
    *bad = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        rc = reg_get(v, io[i].id, io[i].bytes, err);
        *bad = i;
    }
    return rc;
}

static size_t bytes_of(const RegIo *io, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        total += REG_SIZE(io[i].id);
    }
    return total;
}

/* What the registers of io hold now, in their order; so that a set that fails half-way is taken back (W6). */
static int regs_keep(BeVcpu *v, const RegIo *io, size_t n, uint8_t *old, size_t *bad, Err *err)
{
    for (size_t i = 0; i < n; i++) {
        int rc = reg_get(v, io[i].id, old, err);
        if (rc) {
            *bad = i;
            return rc;
        }
        old += REG_SIZE(io[i].id);
    }
    return 0;
}

static void regs_take_back(BeVcpu *v, const RegIo *io, size_t n, const uint8_t *old)
{
    const uint8_t *at = old + bytes_of(io, n);
    while (n-- > 0) {
        at -= REG_SIZE(io[n].id);
        (void)!reg_set(v, io[n].id, at, NULL); /* it held this */
    }
}

/* Whoever says where a vcpu goes on has ended its waiting. */
static void start_if_sent(BeVcpu *v, const RegIo *io, size_t n)
{
    RegId pc = reg_find(v->vm->arch->guest, "pc")->id;
    bool is_sent = false;
    for (size_t i = 0; i < n; i++) {
        is_sent = io[i].id != mp_id(v) && (is_sent || io[i].id == pc);
        if (io[i].id == mp_id(v)) {
            return;
        }
    }
    if (is_sent) {
        (void)!mp_set(v, MP_RUNNABLE, NULL);
    }
}

static int be_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = sim_look_write(v, err);
    *bad = 0;
    if (rc) {
        return rc;
    }
    uint8_t *old = x_alloc(bytes_of(io, n) + 1);
    rc = regs_keep(v, io, n, old, bad, err);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = reg_set(v, io[i].id, io[i].bytes, err);
        if (rc) {
            regs_take_back(v, io, i, old);
            *bad = i;
        }
    }
    if (!rc) {
        start_if_sent(v, io, n);
    }
    mem_free(old);
    return rc;
}

/* The clock comes first, as timers compare with it; mp_state last, as a pc ends waiting. */
static int be_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    size_t nguest = sim_reg_list(v->s, NULL, 0), room = *n;
    *n = nguest + 2;
    if (!ids) {
        return 0;
    }
    int rc = sim_look_write(v, err); /* the list opens a save: half an instruction cannot be saved */
    if (rc) {
        return rc;
    }
    if (room < nguest + 2) {
        return err_set(err, ERR_LIMIT, "reg_list: room for %zu of %zu registers", room, nguest + 2);
    }
    ids[0] = clock_id(v);
    sim_reg_list(v->s, ids + 1, nguest);
    ids[nguest + 1] = mp_id(v);
    return 0;
}

/* ---- events ---- */
static int be_inject(BeVcpu *v, const Event *e, Err *err)
{
    int rc = sim_look_write(v, err);
    return rc ? rc : v->vm->arch->inject(v, e, err);
}

static int be_breaks(BeVcpu *v, const Break *list, size_t n, Err *err)
{
    static const uint32_t access[] = {[BREAK_EXEC] = MAP_X, [BREAK_WRITE] = MAP_W, [BREAK_ACCESS] = MAP_R | MAP_W};
    SimBreak breaks[MAX_BREAKS];
    if (n > MAX_BREAKS) {
        return err_set(err, ERR_LIMIT, "%zu break and watch points; the limit is %d", n, MAX_BREAKS);
    }
    for (size_t i = 0; i < n; i++) {
        if (list[i].kind < BREAK_EXEC || list[i].kind > BREAK_ACCESS) {
            return err_set(err, ERR_INVAL, "break %zu: no kind %u", i, (unsigned)list[i].kind);
        }
        breaks[i] = (SimBreak){.gva = list[i].gva, .len = list[i].len, .access = access[list[i].kind]};
    }
    return sim_breaks(v->s, breaks, n, err);
}

const VcpuOps sim_vcpu_ops = {
    .size_bytes = sizeof(VcpuOps),
    .create = be_create,
    .destroy = be_destroy,
    .setup = be_setup,
    .run = sim_be_run,
    .reply = sim_be_reply,
    .kick = sim_be_kick,
    .get_regs = be_get_regs,
    .set_regs = be_set_regs,
    .reg_list = be_reg_list,
    .inject = be_inject,
    .breaks = be_breaks,
};
