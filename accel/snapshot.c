/* SPDX-License-Identifier: Apache-2.0
 * The snapshot of one vcpu. Little-endian:
 *
 *     "confvcpu" | version u16 | guest u8 | vcpu id u8 | model u8 | state u8 | nevents u16 | nregs u32
 *     nevents * { kind u8 | flags u8 (1 level, 2 has_code) | 0 u16 | number u32 | code u64 }
 *     nregs * { register id u64 | its bytes }, in the order in which they must be written
 *     CRC-32 of all that u32
 *
 * Only the virtualcpu model has save and restore, so the state is one of its seven, and model is 0. */
#include "accel/core.h"
#include "sim/base/hash.h"

#include <string.h>

static const char magic[8] = {'c', 'o', 'n', 'f', 'v', 'c', 'p', 'u'};
enum { SNAPSHOT_VERSION = 1, MODEL_virtualcpu = 0, HEADER_BYTES = 20, CRC_BYTES = 4, EVENT_BYTES = 16 };
enum { FLAG_level = 1, FLAG_has_code = 2 };

/* The registers of a vcpu, or of a snapshot: io[i].bytes point into `bytes` or into the snapshot. */
typedef struct {
    RegIo *io;
    size_t n;
    uint8_t *bytes;
} RegSet;

static void regset_free(RegSet *s)
{
    mem_free(s->io);
    mem_free(s->bytes);
    *s = (RegSet){0};
}

static int regset_from_list(Vcpu *v, RegSet *s, Err *err)
{
    const VcpuOps *ops = v->vm->backend->vcpu;
    BeVcpu *be = atomic_load(&v->be);
    size_t n = 0, total = 0, at = 0;
    RegId *ids = NULL;
    int rc = ops->reg_list(be, NULL, &n, err);
    if (!rc && n > MAX_SAVED_REGS) {
        rc = err_set(err, ERR_LIMIT, "save: %zu registers", n);
    }
    if (rc) {
        return rc;
    }
    ids = x_calloc(n, sizeof *ids);
    size_t room = n;
    rc = ops->reg_list(be, ids, &n, err);
    n = n < room ? n : room;
    for (size_t i = 0; i < n; i++) {
        total += REG_SIZE(ids[i]);
    }
    s->io = x_calloc(n, sizeof *s->io);
    s->bytes = x_alloc(total);
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        s->io[i] = (RegIo){.id = ids[i], .bytes = s->bytes + at};
        at += REG_SIZE(ids[i]);
    }
    mem_free(ids);
    return rc;
}

static void put_header(Buf *out, const Vcpu *v, uint8_t state, size_t nregs)
{
    buf_bytes(out, magic, sizeof magic);
    buf_le(out, SNAPSHOT_VERSION, 2);
    buf_le(out, v->vm->cfg.guest, 1);
    buf_le(out, v->cfg.id, 1);
    buf_le(out, MODEL_virtualcpu, 1);
    buf_le(out, state, 1);
    buf_le(out, v->nqueue, 2);
    buf_le(out, nregs, 4);
}

static void put_event(Buf *out, const Event *e)
{
    buf_le(out, e->kind, 1);
    buf_le(out, (e->level ? FLAG_level : 0) | (e->has_code ? FLAG_has_code : 0), 1);
    buf_le(out, 0, 2);
    buf_le(out, e->number, 4);
    buf_le(out, e->code, 8);
}

static void put_all(Buf *out, Vcpu *v, uint8_t state, const RegSet *regs)
{
    size_t start = out->n;
    pthread_mutex_lock(&v->lock); /* interrupt() may come from any thread */
    put_header(out, v, state, regs->n);
    for (unsigned i = 0; i < v->nqueue; i++) {
        put_event(out, &v->queue[i]);
    }
    pthread_mutex_unlock(&v->lock);
    for (size_t i = 0; i < regs->n; i++) {
        buf_le(out, regs->io[i].id, 8);
        buf_bytes(out, regs->io[i].bytes, REG_SIZE(regs->io[i].id));
    }
    buf_le(out, crc32_ieee(0, out->data + start, out->n - start), 4);
}

static int save_check(const Vcpu *v, Err *err)
{
    const Vm *vm = v->vm;
    if (vm->caps.level[CAP_save] >= CAP_PARTIAL) {
        return 0;
    }
    return err_unsupported(err, vm->backend->name, "save", vm->caps.why[CAP_save]);
}

int vcpu_save(Vcpu *v, Buf *out, Err *err)
{
    Op o;
    int rc = op_begin(v, LIFE_save, OP_NEEDS_REPLIED, &o, err);
    if (rc) {
        return rc;
    }
    RegSet regs = {0};
    size_t bad = 0;
    rc = save_check(v, err);
    rc = rc ? rc : regset_from_list(v, &regs, err);
    rc = rc ? rc : v->vm->backend->vcpu->get_regs(atomic_load(&v->be), regs.io, regs.n, &bad, err);
    if (!rc) {
        put_all(out, v, o.from, &regs);
    }
    regset_free(&regs);
    return op_end(v, &o, rc ? OUT_ERROR : OUT_OK, 0, rc);
}

/* ---- restore ---- */
typedef struct {
    uint8_t state;
    unsigned nevents;
    Event events[MAX_EVENTS];
    RegSet regs;
} Snapshot;

static int bad_snapshot(Err *err, const char *what)
{
    return err_set(err, ERR_INVAL, "restore: %s", what);
}

static int state_from_snapshot(const Vcpu *v, uint8_t saved, uint8_t *state, Err *err)
{
    const LifeModel *m = v->vm->model;
    const char *name = saved < m->nstates ? m->states[saved] : "?";
    int paused = life_state_find(m, "Paused");
    if (saved == life_state_find(m, "Ready") || saved == paused || saved == life_state_find(m, "Halted")) {
        *state = saved;
        return 0;
    }
    if (saved == life_state_find(m, "Running")) { /* nobody is inside a vcpu that was just restored */
        *state = (uint8_t)paused;
        return 0;
    }
    return err_set(err, ERR_STATE, "restore: a snapshot taken in state %s cannot be gone on from", name);
}

static int get_header(const Vcpu *v, Cursor *c, Snapshot *s, size_t *nregs, Err *err)
{
    uint64_t guest = cursor_le(c, 1), id = cursor_le(c, 1), model = cursor_le(c, 1);
    uint8_t saved = (uint8_t)cursor_le(c, 1);
    s->nevents = (unsigned)cursor_le(c, 2);
    *nregs = (size_t)cursor_le(c, 4);
    if (guest != v->vm->cfg.guest) {
        const char *name = guest_name((GuestId)guest);
        return err_set(err, ERR_INVAL, "restore: the snapshot is of a %s guest, this is %s", name ? name : "?",
                       guest_name(v->vm->cfg.guest));
    }
    if (id != v->cfg.id) {
        return err_set(err, ERR_INVAL, "restore: the snapshot is of vcpu %u, this is %u", (unsigned)id, v->cfg.id);
    }
    if (model != MODEL_virtualcpu || v->vm->model != &life_virtualcpu) {
        return bad_snapshot(err, "the snapshot is of another lifecycle model");
    }
    if (s->nevents > MAX_EVENTS || *nregs > MAX_SAVED_REGS) {
        return bad_snapshot(err, "too many events or registers");
    }
    return state_from_snapshot(v, saved, &s->state, err);
}

static int get_events(const Vcpu *v, Cursor *c, Snapshot *s, Err *err)
{
    for (unsigned i = 0; i < s->nevents; i++) {
        Event *e = &s->events[i];
        e->kind = (EventKind)cursor_le(c, 1);
        uint64_t flags = cursor_le(c, 1), zero = cursor_le(c, 2);
        e->level = flags & FLAG_level;
        e->has_code = flags & FLAG_has_code;
        e->number = (uint32_t)cursor_le(c, 4);
        e->code = cursor_le(c, 8);
        if (!cursor_ok(c) || zero || flags & ~(uint64_t)(FLAG_level | FLAG_has_code)) {
            return bad_snapshot(err, "a broken event");
        }
        int rc = events_check(v, e, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int get_regs(const Vcpu *v, Cursor *c, size_t nregs, RegSet *s, Err *err)
{
    s->io = x_calloc(nregs, sizeof *s->io);
    for (s->n = 0; s->n < nregs; s->n++) {
        RegId id = cursor_le(c, 8);
        const uint8_t *bytes = cursor_bytes(c, REG_SIZE(id));
        if (!bytes) {
            return bad_snapshot(err, "it ends within a register");
        }
        if (REG_GUEST(id) != v->vm->cfg.guest) {
            return bad_snapshot(err, "a register of another guest");
        }
        s->io[s->n] = (RegIo){.id = id, .bytes = (void *)bytes}; /* set_regs only reads them */
    }
    return cursor_left(c) ? bad_snapshot(err, "bytes behind the last register") : 0;
}

static int parse(const Vcpu *v, const uint8_t *bytes, size_t n, Snapshot *s, Err *err)
{
    if (n < HEADER_BYTES + CRC_BYTES || memcmp(bytes, magic, sizeof magic) != 0) {
        return bad_snapshot(err, "not the snapshot of a vcpu");
    }
    Cursor c = cursor_of(bytes, n - CRC_BYTES), tail = cursor_of(bytes + n - CRC_BYTES, CRC_BYTES);
    cursor_bytes(&c, sizeof magic);
    uint64_t version = cursor_le(&c, 2);
    if (version != SNAPSHOT_VERSION) {
        return err_set(err, ERR_VERSION, "restore: version %u, this program reads %u", (unsigned)version,
                       SNAPSHOT_VERSION);
    }
    if (cursor_le(&tail, 4) != crc32_ieee(0, bytes, n - CRC_BYTES)) {
        return bad_snapshot(err, "the checksum is wrong");
    }
    size_t nregs = 0;
    int rc = get_header(v, &c, s, &nregs, err);
    rc = rc ? rc : get_events(v, &c, s, err);
    return rc ? rc : get_regs(v, &c, nregs, &s->regs, err);
}

static int restore_into(Vcpu *v, const Snapshot *s, Err *err)
{
    size_t bad = 0;
    if (!v->is_setup) {
        VcpuSetup plain = {.entry = v->entry, .stage2 = v->stage2, .has_stage2 = v->has_stage2};
        bool had_entry = v->has_entry;
        int rc = vcpu_setup_now(v, &plain, err);
        if (rc) {
            return rc;
        }
        v->has_entry = had_entry; /* until the restore has worked, setup is still to come */
        v->is_setup = false;
    }
    int rc = v->vm->backend->vcpu->set_regs(atomic_load(&v->be), s->regs.io, s->regs.n, &bad, err);
    if (rc) {
        err_prefix(err, "restore: register %zu of %zu", bad + 1, s->regs.n);
        return rc;
    }
    v->is_setup = v->has_entry = true;
    pthread_mutex_lock(&v->lock);
    memcpy(v->queue, s->events, sizeof v->queue);
    v->nqueue = s->nevents;
    pthread_mutex_unlock(&v->lock);
    return 0;
}

int vcpu_restore(Vcpu *v, const void *bytes, size_t n, Err *err)
{
    Op o;
    int rc = op_begin(v, LIFE_restore, OP_NEEDS_REPLIED, &o, err);
    if (rc) {
        return rc;
    }
    Snapshot s = {0};
    rc = save_check(v, err);
    rc = rc ? rc : parse(v, bytes, n, &s, err);
    rc = rc ? rc : restore_into(v, &s, err);
    regset_free(&s.regs);
    return op_end(v, &o, rc ? OUT_ERROR : OUT_OK, s.state, rc);
}
