/* SPDX-License-Identifier: Apache-2.0
 * The expectations are written out again here, in words: what each operation does in each state, on a real vcpu of the
 * fake. A state's name: allowed, and goes there. "=": allowed, stays. E: -ERR_STATE, stays. P: -ERR_STATE, poisoned to
 * Invalid. B: -ERR_BUSY, stays. U: -ERR_UNSUPPORTED, stays. */
#include "accel/rig.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    LifeOp op;
    const char *name; /* the model's word; NULL = not one of its operations */
    const char *want[7];
} Row;

#define ALL(x)                                                                                                         \
    {                                                                                                                  \
        x, x, x, x, x, x, x                                                                                            \
    }

static const char *const vc_states[] = {"Created", "Ready", "Running", "Paused", "Halted", "Faulted", "Destroyed"};
static const Row vc_rows[] = {
    {LIFE_setup, "init", {"Ready", "E", "E", "E", "E", "E", "E"}},
    {LIFE_run, "execute", {"E", "Ready", "Ready", "E", "E", "E", "E"}},
    {LIFE_pause, "pause", {"E", "E", "Paused", "E", "E", "E", "E"}},
    {LIFE_resume, "resume", {"E", "E", "E", "Running", "E", "E", "E"}},
    {LIFE_halt, "halt", {"E", "Halted", "Halted", "Halted", "=", "E", "E"}},
    {LIFE_reset, "reset", {"E", "E", "E", "Ready", "Ready", "E", "E"}},
    {LIFE_interrupt, "interrupt", {"E", "=", "=", "=", "Ready", "E", "E"}},
    {LIFE_destroy, "destroy", {"Destroyed", "Destroyed", "B", "Destroyed", "Destroyed", "Destroyed", "E"}},
    {LIFE_get_regs, "get_regs", {"E", "=", "B", "=", "=", "=", "E"}},
    {LIFE_set_regs, "set_regs", {"E", "=", "B", "=", "=", "E", "E"}},
    {LIFE_set_gpr, "set_gpr", {"E", "=", "B", "=", "=", "E", "E"}},
    {LIFE_set_return, "set_return", {"E", "=", "B", "=", "=", "E", "E"}},
    {LIFE_save, "save", {"E", "=", "B", "=", "=", "=", "E"}},
    {LIFE_restore, "restore", {"Ready", "Ready", "E", "Ready", "Ready", "E", "E"}},
    {LIFE_set_entry, "set_entry", {"=", "E", "E", "E", "E", "E", "E"}},
    {LIFE_set_stage2, "set_stage2", {"=", "E", "E", "E", "E", "E", "E"}},
    {LIFE_bind, NULL, ALL("U")},
    {LIFE_unbind, NULL, ALL("U")},
    {LIFE_reserve, NULL, ALL("U")},
    {LIFE_rollback, NULL, ALL("U")},
    {LIFE_transition, NULL, ALL("U")},
    {LIFE_set_state, NULL, ALL("U")},
};

static const char *const ax_states[] = {"Invalid", "Created", "Free", "Ready", "Running", "Blocked", "Starting"};
static const Row ax_rows[] = {
    {LIFE_setup, "setup", {"P", "Free", "P", "P", "P", "P", "P"}},
    {LIFE_bind, "bind", {"P", "P", "Ready", "P", "P", "P", "Ready"}},
    {LIFE_run, "run", {"P", "P", "P", "Ready", "P", "P", "P"}},
    {LIFE_unbind, "unbind", {"P", "P", "P", "Free", "P", "P", "P"}},
    {LIFE_interrupt, "inject", ALL("=")},
    {LIFE_set_gpr, "set_gpr", ALL("=")},
    {LIFE_set_return, "set_return_value", ALL("=")},
    {LIFE_set_entry, "set_entry", ALL("=")},
    {LIFE_set_stage2, "set_ept_root", ALL("=")},
    {LIFE_set_state, "set_state", ALL("Blocked")},
    {LIFE_transition, "transition_state", ALL("Blocked")},
    {LIFE_reserve, "reserve", {"E", "E", "Starting", "E", "E", "E", "E"}},
    {LIFE_rollback, "rollback", {"E", "E", "E", "E", "E", "E", "Free"}},
    {LIFE_get_regs, "get_regs", {"=", "=", "=", "=", "B", "=", "="}},
    {LIFE_set_regs, "set_regs", {"=", "=", "=", "=", "B", "=", "="}},
    {LIFE_pause, NULL, ALL("U")},
    {LIFE_resume, NULL, ALL("U")},
    {LIFE_halt, NULL, ALL("U")},
    {LIFE_reset, NULL, ALL("U")},
    {LIFE_destroy, NULL, ALL("U")},
    {LIFE_save, NULL, ALL("U")},
    {LIFE_restore, NULL, ALL("U")},
};

static void take_snapshot(Buf *out)
{
    Rig r;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0x1000);
    CHECK(vcpu_save(r.v, out, NULL) == 0);
    rig_close(&r);
}

static int regs_op(Vcpu *v, bool is_set, Err *err)
{
    uint8_t bytes[8] = {0};
    RegIo io = {.id = reg_find(GUEST_x86_64, "rcx")->id, .bytes = bytes};
    return is_set ? vcpu_set_regs(v, &io, 1, NULL, err) : vcpu_get_regs(v, &io, 1, NULL, err);
}

static int snapshot_op(Vcpu *v, bool is_save, Err *err)
{
    Buf b = {0};
    if (!is_save) {
        take_snapshot(&b);
    }
    int rc = is_save ? vcpu_save(v, &b, err) : vcpu_restore(v, b.data, b.n, err);
    buf_free(&b);
    return rc;
}

static int do_op(Vcpu *v, LifeOp op, Err *err)
{
    VmExit exit;
    uint8_t blocked = 5;
    switch (op) {
    case LIFE_setup:
        return vcpu_setup(v, &(VcpuSetup){.entry = {0x1000}}, err);
    case LIFE_bind:
        return vcpu_bind(v, err);
    case LIFE_run:
        return vcpu_run(v, &RUN_FOREVER, &exit, err);
    case LIFE_unbind:
        return vcpu_unbind(v, err);
    case LIFE_pause:
        return vcpu_pause(v, err);
    case LIFE_resume:
        return vcpu_resume(v, err);
    case LIFE_halt:
        return vcpu_halt(v, err);
    case LIFE_reset:
        return vcpu_reset(v, err);
    case LIFE_interrupt:
        return vcpu_interrupt(v, &(Event){.kind = EV_VECTOR, .number = 0x40}, err);
    case LIFE_destroy:
        return vcpu_destroy(v, err);
    case LIFE_get_regs:
    case LIFE_set_regs:
        return regs_op(v, op == LIFE_set_regs, err);
    case LIFE_set_gpr:
        return vcpu_set_gpr(v, 3, 1, err);
    case LIFE_set_return:
        return vcpu_set_return(v, 1, err);
    case LIFE_save:
    case LIFE_restore:
        return snapshot_op(v, op == LIFE_save, err);
    case LIFE_reserve:
        return vcpu_reserve(v, err);
    case LIFE_rollback:
        return vcpu_rollback(v, err);
    case LIFE_transition:
        return vcpu_transition(v, vcpu_state(v), blocked, err);
    case LIFE_set_entry:
        return vcpu_set_entry(v, (Gpa){0x2000}, err);
    case LIFE_set_stage2:
        return vcpu_set_stage2(v, (Gpa){0}, err);
    case LIFE_set_state:
        return vcpu_set_state(v, blocked, err);
    case LIFE_OP_COUNT:
        break;
    }
    return -ERR_INVAL;
}

/* By legal operations only. */
static void drive_virtualcpu(Rig *r, unsigned state)
{
    VmExit e;
    if (state == 0) {
        return;
    }
    rig_setup(r, 0x1000);
    if (state == 4) {
        CHECK(vcpu_halt(r->v, NULL) == 0);
    } else if (state == 5) {
        CHECK(rig_run(r, &e) == 0); /* past the end of no script */
    } else if (state == 6) {
        CHECK(vcpu_destroy(r->v, NULL) == 0);
    }
}

static void *pause_soon(void *arg)
{
    Vcpu *v = arg;
    while (vcpu_state(v) != 2) {
        sched_yield();
    }
    CHECK(vcpu_pause(v, NULL) == 0);
    return NULL;
}

static void drive_paused(Rig *r)
{
    VmExit e;
    pthread_t t;
    CHECK(pthread_create(&t, NULL, pause_soon, r->v) == 0);
    CHECK(rig_run(r, &e) == 0);
    CHECK_INT(e.kind, EXIT_canceled);
    pthread_join(t, NULL);
}

static void drive(Rig *r, const LifeModel *m, unsigned state)
{
    if (m == &life_axvcpu) {
        CHECK(vcpu_set_state(r->v, (uint8_t)state, NULL) == 0);
    } else {
        drive_virtualcpu(r, state);
        if (state == 2 || state == 3) {
            rig_script(r, "spin");
            drive_paused(r);
        }
        if (state == 2) { /* Running without a thread inside is what resume leaves */
            CHECK(vcpu_resume(r->v, NULL) == 0);
        }
        if (state != 6) {
            rig_script(r, "hypercall nr=1");
        }
    }
    CHECK_INT(vcpu_state(r->v), state);
}

static void expect(const char *want, const char *from, int *rc, const char **to)
{
    *to = from;
    *rc = 0;
    if (!strcmp(want, "E") || !strcmp(want, "P")) {
        *rc = -ERR_STATE;
        *to = *want == 'P' ? "Invalid" : from;
    } else if (!strcmp(want, "B")) {
        *rc = -ERR_BUSY;
    } else if (!strcmp(want, "U")) {
        *rc = -ERR_UNSUPPORTED;
    } else if (strcmp(want, "=") != 0) {
        *to = want;
    }
}

static void walk_cell(const LifeModel *m, const Row *row, unsigned state, const char *from)
{
    Rig r;
    Err err = {0};
    int want_rc;
    const char *want_to;
    expect(row->want[state], from, &want_rc, &want_to);
    rig_open(&r, m, NULL);
    if (m == &life_axvcpu) {
        rig_script(&r, "hypercall nr=1");
    }
    drive(&r, m, state);
    rig_heard(&r);
    VcpuStats before, after;
    vcpu_stats(r.v, &before);
    int rc = do_op(r.v, row->op, &err);
    vcpu_stats(r.v, &after);
    bool ok = CHECK_INT(rc, want_rc);
    ok &= CHECK_STR(rig_state(&r), want_to);
    ok &= CHECK(rc == 0 || strlen(err.text) > 10);
    ok &= CHECK_INT(after.rejected - before.rejected, rc != 0);
    /* The table says the same, and every change was heard. */
    const LifeCell *c = &m->cell[state][row->op];
    ok &= CHECK_INT(c->verdict, -want_rc);
    char change[64];
    snprintf(change, sizeof change, "%s>%s", from, want_to);
    const char *heard = rig_heard(&r);
    ok &= row->op == LIFE_run && !rc ? CHECK_HAS(heard, "Running>Ready 0") : CHECK_HAS(heard, change);
    if (!ok) {
        printf("    %s: %s in state %s: %s\n", m->name, row->name ? row->name : "?", from, err.text);
    }
    rig_close(&r);
}

static void walk(const LifeModel *m, const Row *rows, size_t n, const char *const *states)
{
    CHECK_INT(n, LIFE_OP_COUNT);
    bool has_seen[LIFE_OP_COUNT] = {0};
    for (size_t i = 0; i < n; i++) {
        CHECK(!has_seen[rows[i].op]);
        has_seen[rows[i].op] = true;
        CHECK(rows[i].name ? life_op_find(m, rows[i].name) == (int)rows[i].op : m->op_names[rows[i].op] == NULL);
        for (unsigned s = 0; s < 7; s++) {
            CHECK_STR(m->states[s], states[s]);
            walk_cell(m, &rows[i], s, states[s]);
        }
    }
}

TEST(life, every_operation_in_every_state_of_virtualcpu)
{
    walk(&life_virtualcpu, vc_rows, ARRAY_LEN(vc_rows), vc_states);
}

TEST(life, every_operation_in_every_state_of_axvcpu)
{
    walk(&life_axvcpu, ax_rows, ARRAY_LEN(ax_rows), ax_states);
}

static unsigned count_edges(const LifeModel *m)
{
    unsigned n = 0;
    for (unsigned s = 0; s < m->nstates; s++) {
        CHECK(!(m->edges[s] >> s & 1)); /* staying is no transition */
        CHECK(!(m->edges[s] >> m->nstates));
        n += (unsigned)__builtin_popcount(m->edges[s]);
    }
    return n;
}

TEST(life, the_legal_edges_are_those_of_the_models)
{
    CHECK_INT(count_edges(&life_virtualcpu), 18);
    CHECK_INT(count_edges(&life_axvcpu), 8);
    for (unsigned to = 0; to < 7; to++) { /* terminal but for destroy; the end; out of reach */
        CHECK_INT(life_virtualcpu.edges[5] >> to & 1, to == 6);
        CHECK_INT(life_virtualcpu.edges[6] >> to & 1, 0);
        CHECK_INT(life_axvcpu.edges[5] >> to & 1, 0);
        CHECK_INT(life_axvcpu.edges[0] >> to & 1, 0);
    }
}

/* Every target of a cell is a legal edge, a poisoning, or the work of restore, set_state or transition. */
static void check_targets(const LifeModel *m)
{
    for (unsigned s = 0; s < m->nstates; s++) {
        for (unsigned op = 0; op < LIFE_OP_COUNT; op++) {
            const LifeCell *c = &m->cell[s][op];
            unsigned from = c->during == LIFE_STAY ? s : c->during;
            CHECK(c->during == LIFE_STAY || c->during == s || m->edges[s] >> c->during & 1);
            for (unsigned o = 0; o < OUT_COUNT; o++) {
                unsigned to = c->to[o];
                bool is_free = to == LIFE_STAY || to == LIFE_FROM_ARG || to == from;
                bool is_poison = m == &life_axvcpu && to == 0;
                CHECK(is_free || is_poison || (to < m->nstates && m->edges[from] >> to & 1));
                CHECK(!c->verdict || to == LIFE_STAY);
            }
        }
    }
}

TEST(life, no_cell_leads_off_the_edges)
{
    check_targets(&life_virtualcpu);
    check_targets(&life_axvcpu);
}

TEST(life, outcomes_of_a_run)
{
    static const char *const vc[] = {"Ready", "Halted", "Faulted", "Paused", "Ready"};
    static const char *const ax[] = {"Ready", "Ready", "Ready", "Ready", "Invalid"};
    for (int o = 0; o < OUT_COUNT; o++) {
        CHECK_STR(vc_states[life_virtualcpu.cell[1][LIFE_run].to[o]], vc[o]);
        CHECK_STR(ax_states[life_axvcpu.cell[3][LIFE_run].to[o]], ax[o]);
    }
    CHECK_STR(vc_states[life_virtualcpu.cell[0][LIFE_setup].to[OUT_ERROR]], "Faulted");
    CHECK_STR(ax_states[life_axvcpu.cell[1][LIFE_setup].to[OUT_ERROR]], "Invalid");
    CHECK_STR(ax_states[life_axvcpu.cell[6][LIFE_bind].to[OUT_ERROR]], "Free");
}

TEST(life, names)
{
    CHECK(life_find("virtualcpu") == &life_virtualcpu);
    CHECK(life_find("axvcpu") == &life_axvcpu);
    CHECK(life_find("other") == NULL && life_find(NULL) == NULL);
    CHECK_INT(life_op_find(&life_virtualcpu, "setup"), LIFE_setup);
    CHECK_INT(life_op_find(&life_virtualcpu, "bind"), -1);
    CHECK_INT(life_op_find(&life_axvcpu, "interrupt"), LIFE_interrupt);
    CHECK_INT(life_op_find(&life_axvcpu, "fly"), -1);
    CHECK_INT(life_state_find(&life_axvcpu, "Blocked"), 5);
    CHECK_INT(life_state_find(&life_axvcpu, "Paused"), -1);
}
