/* SPDX-License-Identifier: Apache-2.0
 * sim_state.c - a whole machine saved, restored and forked. Sections of the container (snapshot.h):
 *   CONF 0    guest, environment, block of the cpu's features, number of vcpus and of RAMs
 *   MAP  0    regions {gpa, size, ram, offset, flags}
 *   VCPU id   run state, then registers {id u64, bytes} in restore order
 *   RAM  n    by piece
 *   MACH 0    rounds, firmware timers, board, firmware; only with a board */
#include "sim/sim_int.h"

#include "sim/firmware/sbi.h"
#include "sim/snapshot/snapshot.h"

#include <string.h>

#define TAG_CONF SNAP_TAG('C', 'O', 'N', 'F')
#define TAG_MAP  SNAP_TAG('M', 'A', 'P', ' ')
#define TAG_VCPU SNAP_TAG('V', 'C', 'P', 'U')
#define TAG_RAM  SNAP_TAG('R', 'A', 'M', ' ')
#define TAG_MACH SNAP_TAG('M', 'A', 'C', 'H')
enum { MAX_RAMS = SPACE_MAX_RAMS, MAX_REGS = 1024, MAX_REG_BYTES = 64, NAME_BYTES = 16 };

/* ---- save ---- */
static void conf_put(const Sim *s, Buf *out)
{
    char name[NAME_BYTES] = {0};
    memcpy(name, s->isa->name, strnlen(s->isa->name, sizeof name - 1));
    buf_bytes(out, name, sizeof name);
    buf_le(out, s->cfg.is_virt, 1);
    buf_le(out, s->isa->cpu_bytes, 4);
    buf_bytes(out, s->cpu, s->isa->cpu_bytes);
    buf_le(out, atomic_load(&s->nvcpus), 4);
    buf_le(out, space_rams(s->space, NULL, 0), 4);
    buf_le(out, s->machine != NULL, 1);
}

static void map_put(const Sim *s, Buf *out)
{
    SpaceRegion regions[SPACE_MAX_REGIONS];
    size_t n = space_regions(s->space, regions, SPACE_MAX_REGIONS);
    buf_le(out, n, 4);
    for (size_t i = 0; i < n; i++) {
        buf_le(out, regions[i].gpa, 8);
        buf_le(out, regions[i].size_bytes, 8);
        buf_le(out, regions[i].ram, 4);
        buf_le(out, regions[i].offset, 8);
        buf_le(out, regions[i].flags, 4);
    }
}

static void vcpu_put(SimVcpu *v, Buf *out)
{
    ExecState e;
    exec_state_get(v->x, &e);
    const uint64_t words[] = {e.insns,      e.skipped_ns, e.lines,           e.is_waiting,    e.resv_addr,
                              e.resv_val,   e.resv_size,  v->is_parked,      v->is_suspended, v->how.hw_id,
                              v->how.entry, v->how.arg,   v->how.has_stage2, v->how.stage2};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        buf_le(out, words[i], 8);
    }
    RegId ids[MAX_REGS];
    size_t n = sim_reg_list(v, ids, MAX_REGS);
    buf_le(out, n, 4);
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[MAX_REG_BYTES] = {0};
        int rc = sim_reg_get(v, ids[i], bytes, NULL);
        assert(!rc && REG_SIZE(ids[i]) <= sizeof bytes); /* the list says what can be read */
        (void)rc;
        buf_le(out, ids[i], 8);
        buf_bytes(out, bytes, REG_SIZE(ids[i]));
    }
}

static void machine_put(const Sim *s, Buf *out)
{
    const SimMachine *m = s->machine;
    buf_le(out, m->round_ns, 8);
    buf_le(out, m->turn, 4);
    buf_le(out, m->has_tohost, 1);
    buf_le(out, m->tohost, 8);
    for (unsigned i = 0; i < m->cfg.nvcpus; i++) {
        buf_le(out, m->timer_ns[i], 8);
    }
    board_save(m->board, out);
    buf_le(out, m->sbi != NULL, 1);
    if (m->sbi) {
        sbi_save(m->sbi, out);
    }
}

static void state_put(Sim *s, SnapWriter *w, bool has_ram)
{
    conf_put(s, snap_section(w, TAG_CONF, 0));
    map_put(s, snap_section(w, TAG_MAP, 0));
    for (unsigned i = 0; i < SIM_MAX_VCPUS; i++) {
        if (s->vcpu[i]) {
            vcpu_put(s->vcpu[i], snap_section(w, TAG_VCPU, i));
        }
    }
    size_t nrams = has_ram ? space_rams(s->space, NULL, 0) : 0;
    for (size_t i = 0; i < nrams; i++) {
        snap_put_ram(snap_section(w, TAG_RAM, (uint32_t)i), s->space, (uint32_t)i);
    }
    if (s->machine) {
        machine_put(s, snap_section(w, TAG_MACH, 0));
    }
    snap_end(w);
}

static int busy_check(const Sim *s, Err *err)
{
    for (unsigned i = 0; i < SIM_MAX_VCPUS; i++) {
        const SimVcpu *v = s->vcpu[i];
        if (v && (exec_reply_due(v->x) || exec_is_replied(v->x))) {
            return err_set(err, ERR_BUSY, "vcpu %u: an access awaits its reply", i);
        }
    }
    return 0;
}

static int saveable_check(Sim *s, Err *err)
{
    int rc = busy_check(s, err);
    return !rc && s->machine ? board_saveable(s->machine->board, err) : rc;
}

int sim_save(Sim *s, Buf *out, Err *err)
{
    int rc = saveable_check(s, err);
    if (!rc) {
        SnapWriter w = snap_begin(out);
        state_put(s, &w, true);
    }
    return rc;
}

/* ---- restore: check everything, then change ---- */
/* The bytes that this Sim would write there itself: configuration and map must be the same. */
static int same_check(const SnapReader *r, uint32_t tag, const char *what, void (*put)(const Sim *, Buf *),
                      const Sim *s, Err *err)
{
    Cursor c;
    int rc = snap_find(r, tag, 0, &c, err);
    if (rc) {
        return rc;
    }
    Buf own = {0};
    put(s, &own);
    const uint8_t *bytes = cursor_left(&c) == own.n ? cursor_bytes(&c, own.n) : NULL;
    rc = bytes && !memcmp(bytes, own.data, own.n)
             ? 0
             : err_set(err, ERR_INVAL, "the snapshot is of another machine: %s differs", what);
    buf_free(&own);
    return rc;
}

static int rams_check(const SnapReader *r, const Sim *s, Err *err)
{
    SpaceRam rams[MAX_RAMS];
    size_t n = space_rams(s->space, rams, MAX_RAMS);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        Cursor c;
        rc = snap_find(r, TAG_RAM, (uint32_t)i, &c, err);
        rc = rc ? rc : snap_check_ram(c, rams[i].size_bytes, err);
    }
    return rc;
}

static int regs_take(SimVcpu *v, Cursor *c, Err *err)
{
    uint64_t n = cursor_le(c, 4);
    for (uint64_t i = 0; i < n && cursor_ok(c); i++) {
        RegId id = cursor_le(c, 8);
        size_t size = REG_SIZE(id);
        const uint8_t *bytes = size <= MAX_REG_BYTES ? cursor_bytes(c, size) : NULL;
        int rc = bytes ? v->s->isa->reg_set(exec_frame(v->x), id, bytes, err)
                       : err_set(err, ERR_INVAL, "vcpu %u: register %llu of the snapshot is cut or too large", v->id,
                                 (unsigned long long)i);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int vcpu_take(SimVcpu *v, Cursor c, Err *err)
{
    uint64_t word[14];
    for (size_t i = 0; i < ARRAY_LEN(word); i++) {
        word[i] = cursor_le(&c, 8);
    }
    ExecState e = {.insns = word[0],
                   .skipped_ns = word[1],
                   .lines = (uint32_t)word[2] & ((1u << LINE_COUNT) - 1),
                   .is_waiting = word[3] != 0,
                   .resv_addr = word[4],
                   .resv_val = word[5],
                   .resv_size = word[6] <= 8 ? word[6] : 0};
    SimReset how = {
        .hw_id = word[9], .entry = word[10], .arg = word[11], .has_stage2 = word[12] != 0, .stage2 = word[13]};
    int rc = sim_vcpu_reset(v, &how, err);
    exec_state_set(v->x, &e); /* before the registers: counters are kept relative to it */
    rc = rc ? rc : regs_take(v, &c, err);
    rc = rc ? rc : snap_done(&c, TAG_VCPU, v->id, err);
    exec_state_changed(v->x);
    exec_state_set(v->x, &e);
    v->is_parked = word[7] != 0;
    v->is_suspended = word[8] != 0;
    return rc;
}

static int vcpus_take(Sim *s, const SnapReader *r, Err *err)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < SIM_MAX_VCPUS; i++) {
        Cursor c;
        if (s->vcpu[i]) {
            rc = snap_find(r, TAG_VCPU, i, &c, err);
            rc = rc ? rc : vcpu_take(s->vcpu[i], c, err);
        }
    }
    return rc;
}

static int machine_take(Sim *s, const SnapReader *r, Err *err)
{
    SimMachine *m = s->machine;
    Cursor c;
    if (!m) {
        return 0;
    }
    int rc = snap_find(r, TAG_MACH, 0, &c, err);
    if (rc) {
        return rc;
    }
    SimMachine now = *m; /* pointers are the same, values those of the snapshot */
    now.round_ns = cursor_le(&c, 8);
    now.turn = (unsigned)cursor_le(&c, 4);
    now.has_tohost = cursor_le(&c, 1) != 0;
    now.tohost = cursor_le(&c, 8);
    for (unsigned i = 0; i < m->cfg.nvcpus; i++) {
        now.timer_ns[i] = cursor_le(&c, 8);
    }
    if (!cursor_ok(&c) || now.turn > m->cfg.nvcpus) {
        return err_set(err, ERR_INVAL, "section MACH of the snapshot is cut or malformed");
    }
    rc = board_restore(m->board, &c, err);
    bool has_firmware = !rc && cursor_le(&c, 1);
    if (!rc && has_firmware != (m->sbi != NULL)) {
        rc = err_set(err, ERR_INVAL, "the snapshot is of another machine: who serves firmware calls differs");
    }
    rc = !rc && m->sbi ? sbi_restore(m->sbi, &c, err) : rc;
    rc = rc ? rc : snap_done(&c, TAG_MACH, 0, err);
    if (!rc) {
        *m = now;
        sim_board_watch(s);
    }
    return rc;
}

static int rams_take(Sim *s, const SnapReader *r, Err *err)
{
    size_t n = space_rams(s->space, NULL, 0);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        Cursor c;
        rc = snap_find(r, TAG_RAM, (uint32_t)i, &c, err);
        rc = rc ? rc : snap_get_ram(c, s->space, (uint32_t)i, err);
    }
    for (unsigned i = 0; i < SIM_MAX_VCPUS; i++) {
        if (s->vcpu[i]) {
            exec_code_written(s->vcpu[i]->x, 0, UINT64_MAX);
        }
    }
    return rc;
}

/* Registers and devices can only be checked by setting them: what was there before is kept, and put back if one is refused. */
static int state_take(Sim *s, const SnapReader *r, Err *err)
{
    Buf before = {0};
    SnapWriter w = snap_begin(&before);
    state_put(s, &w, false);
    int rc = vcpus_take(s, r, err);
    rc = rc ? rc : machine_take(s, r, err);
    if (rc) {
        SnapReader back;
        int rc2 = snap_open(&back, before.data, before.n, NULL);
        rc2 = rc2 ? rc2 : vcpus_take(s, &back, NULL);
        rc2 = rc2 ? rc2 : machine_take(s, &back, NULL);
        assert(!rc2); /* it has just been there */
    }
    buf_free(&before);
    return rc;
}

int sim_restore(Sim *s, const void *bytes, size_t n, Err *err)
{
    SnapReader r;
    int rc = busy_check(s, err);
    rc = rc ? rc : snap_open(&r, bytes, n, err);
    rc = rc ? rc : same_check(&r, TAG_CONF, "the configuration", conf_put, s, err);
    rc = rc ? rc : same_check(&r, TAG_MAP, "the memory map", map_put, s, err);
    rc = rc ? rc : rams_check(&r, s, err);
    rc = rc ? rc : state_take(s, &r, err);
    return rc ? rc : rams_take(s, &r, err);
}

/* ---- fork ---- */
static int twin_make(Sim *s, Sim *t, Err *err)
{
    Space *space;
    int rc = space_fork(s->space, &space, err);
    if (rc) {
        return rc;
    }
    sim_space_set(t, space);
    memcpy(t->cpu, s->cpu, s->isa->cpu_bytes);
    if (s->machine) {
        return sim_board_twin(t, &s->machine->cfg, err);
    }
    for (unsigned i = 0; !rc && i < SIM_MAX_VCPUS; i++) {
        SimVcpu *v;
        rc = s->vcpu[i] ? sim_vcpu_new(t, (uint8_t)i, &v, err) : 0;
    }
    return rc;
}

int sim_fork(Sim *s, Sim **out, Err *err)
{
    Sim *t = NULL;
    SimConfig cfg = s->cfg;
    int rc = saveable_check(s, err);
    rc = rc ? rc : sim_new(&cfg, &t, err);
    rc = rc ? rc : twin_make(s, t, err);
    if (!rc) {
        Buf state = {0};
        SnapReader r;
        SnapWriter w = snap_begin(&state);
        state_put(s, &w, false);
        rc = snap_open(&r, state.data, state.n, err);
        rc = rc ? rc : vcpus_take(t, &r, err);
        rc = rc ? rc : machine_take(t, &r, err);
        buf_free(&state);
    }
    if (rc) {
        sim_free(t);
        return rc;
    }
    *out = t;
    return 0;
}
