/* SPDX-License-Identifier: Apache-2.0
 * What may come from other threads, against a fake that spins. Meant for ThreadSanitizer, and right without it. */
#include "accel/rig.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    Rig *r;
    VmExit exit;
    int rc;
    atomic_bool is_stopping, has_started, has_ended;
    atomic_uint nruns, npauses;
} Shared;

static void wait_until_running(const Rig *r)
{
    while (strcmp(rig_state(r), "Running") != 0) {
        sched_yield();
    }
}

static void *run_once(void *arg)
{
    Shared *s = arg;
    s->rc = rig_run(s->r, &s->exit);
    atomic_store(&s->has_ended, true);
    return NULL;
}

static void start_run(Shared *s, pthread_t *t)
{
    CHECK(pthread_create(t, NULL, run_once, s) == 0);
    wait_until_running(s->r);
}

TEST(race, pause_and_halt_stop_a_run_and_are_heard_once)
{
    static const struct {
        int (*stop)(Vcpu *, Err *);
        const char *state, *heard;
    } rows[] = {
        {vcpu_pause, "Paused",
         "init Created>Ready 0; execute Ready>Running 0; exit canceled; pause Running>Paused 0; "},
        {vcpu_halt, "Halted", "init Created>Ready 0; execute Ready>Running 0; exit canceled; halt Running>Halted 0; "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Rig r;
        pthread_t t;
        rig_open(&r, NULL, NULL);
        rig_setup(&r, 0);
        rig_script(&r, "spin");
        Shared s = {.r = &r};
        start_run(&s, &t);
        CHECK_INT(rows[i].stop(r.v, NULL), 0);
        CHECK_STR(rig_state(&r), rows[i].state);
        pthread_join(t, NULL);
        CHECK_STR(rig_heard(&r), rows[i].heard);
        CHECK_INT(s.exit.kind, EXIT_canceled);
        rig_close(&r);
    }
}

TEST(race, a_paused_vcpu_goes_on_where_it_was)
{
    Rig r;
    pthread_t t;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin; hypercall nr=1");
    Shared s = {.r = &r};
    start_run(&s, &t);
    CHECK_INT(vcpu_pause(r.v, NULL), 0);
    pthread_join(t, NULL);
    CHECK_INT(vcpu_resume(r.v, NULL), 0);
    CHECK_STR(rig_state(&r), "Running");
    CHECK_INT(rig_run(&r, &s.exit), 0);
    CHECK_INT(s.exit.kind, EXIT_hypercall);
    CHECK_STR(rig_state(&r), "Ready");
    rig_close(&r);
}

TEST(race, a_second_run_finds_nothing_to_do)
{
    Rig r;
    pthread_t t;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin");
    Shared s = {.r = &r};
    start_run(&s, &t);
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(e.kind, EXIT_nothing);
    CHECK_STR(rig_state(&r), "Running");
    CHECK_INT(vcpu_destroy(r.v, NULL), -ERR_BUSY);
    CHECK_INT(vcpu_save(r.v, NULL, NULL), -ERR_BUSY);
    vcpu_kick(r.v);
    pthread_join(t, NULL);
    CHECK_INT(s.exit.kind, EXIT_canceled);
    CHECK_STR(rig_state(&r), "Ready");
    rig_close(&r);
}

TEST(race, an_interrupt_reaches_a_running_guest_without_an_exit)
{
    Rig r;
    pthread_t t;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin; take 0x40; hypercall nr=1");
    Shared s = {.r = &r};
    start_run(&s, &t);
    CHECK_INT(vcpu_interrupt(r.v, &(Event){.kind = EV_VECTOR, .number = 0x40}, NULL), 0);
    pthread_join(t, NULL);
    CHECK_INT(s.exit.kind, EXIT_hypercall);
    CHECK(!strstr(rig_heard(&r), "canceled"));
    rig_close(&r);
}

TEST(race, a_poisoned_vcpu_stays_poisoned_when_its_run_ends)
{
    Rig r;
    pthread_t t;
    rig_open(&r, &life_axvcpu, NULL);
    rig_setup(&r, 0);
    CHECK_INT(vcpu_bind(r.v, NULL), 0);
    rig_script(&r, "spin");
    Shared s = {.r = &r};
    start_run(&s, &t);
    CHECK_INT(vcpu_bind(r.v, NULL), -ERR_STATE);
    CHECK_STR(rig_state(&r), "Invalid");
    vcpu_kick(r.v);
    pthread_join(t, NULL);
    CHECK_INT(s.rc, 0);
    CHECK_STR(rig_state(&r), "Invalid");
    rig_close(&r);
}

TEST(race, closing_ends_a_run)
{
    Rig r;
    pthread_t t;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin forever=1");
    Shared s = {.r = &r};
    start_run(&s, &t);
    rig_close(&r);
    pthread_join(t, NULL);
    CHECK_INT(s.rc, 0);
    CHECK_INT(s.exit.kind, EXIT_canceled);
}

static void *loop_once(void *arg)
{
    Shared *s = arg;
    VmRunArgs args = {.until = RUN_FOREVER};
    s->rc = vm_run(s->r->vm, &args, &s->exit, NULL);
    return NULL;
}

TEST(race, closing_ends_the_loop)
{
    Rig r;
    pthread_t t;
    rig_open(&r, &life_axvcpu, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin forever=1");
    Shared s = {.r = &r};
    CHECK(pthread_create(&t, NULL, loop_once, &s) == 0);
    wait_until_running(&r);
    rig_close(&r);
    pthread_join(t, NULL);
    CHECK(s.rc == 0 || s.rc == -ERR_STATE); /* the unbind may find the vm closing */
}

/* ---- W2 ---- */
static Backend fixed;
static int open_fixed(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    int rc = backend_find("fake")->open(b, guest, caps, err);
    caps->level[CAP_rebind] = CAP_NONE;
    caps->why[CAP_rebind] = "bound to its thread";
    return rc;
}

typedef struct {
    Vcpu *v;
    int run_rc, regs_rc, kick_state;
} Other;

static void *other_thread(void *arg)
{
    Other *o = arg;
    VmExit e;
    uint8_t bytes[8];
    RegIo io = {.id = reg_find(GUEST_x86_64, "rax")->id, .bytes = bytes};
    o->regs_rc = vcpu_get_regs(o->v, &io, 1, NULL, NULL);
    o->run_rc = vcpu_run(o->v, &RUN_FOREVER, &e, NULL);
    vcpu_kick(o->v);
    o->kick_state = vcpu_state(o->v);
    return NULL;
}

TEST(race, ownership_moves_only_where_the_backend_lets_it)
{
    Rig r;
    pthread_t t;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "hypercall nr=1");
    Other o = {.v = r.v};
    CHECK(pthread_create(&t, NULL, other_thread, &o) == 0);
    pthread_join(t, NULL);
    CHECK_INT(o.regs_rc, 0);
    CHECK_INT(o.run_rc, 0);
    CHECK(rig_log_has(&r, "vcpu.bind thread 1 vcpu 0"));
    rig_close(&r);

    fixed = *backend_find("fake");
    fixed.open = open_fixed;
    CHECK_INT(vm_open(&fixed, &(VmConfig){.guest = GUEST_x86_64}, NULL, NULL, &r.vm, NULL), 0);
    CHECK_INT(vcpu_new(r.vm, &(VcpuConfig){0}, &r.v, NULL), 0);
    CHECK_INT(vcpu_setup(r.v, NULL, NULL), 0);
    o.v = r.v;
    CHECK(pthread_create(&t, NULL, other_thread, &o) == 0);
    pthread_join(t, NULL);
    CHECK_INT(o.regs_rc, -ERR_THREAD);
    CHECK_INT(o.run_rc, -ERR_THREAD);
    CHECK_INT(o.kick_state, 1);
    vm_close(r.vm);
}

static void *own_and_run(void *arg)
{
    Shared *s = arg;
    Vcpu *v;
    if (!vcpu_new(s->r->vm, &(VcpuConfig){0}, &v, NULL) && !vcpu_setup(v, NULL, NULL)) {
        Buf out = {0};
        s->r->v = v;
        s->rc = vm_ctl(s->r->vm, v, "fake.script", "spin forever=1", 14, &out, NULL);
        atomic_store(&s->has_started, true);
        s->rc = s->rc ? s->rc : vcpu_run(v, &RUN_FOREVER, &s->exit, NULL);
    }
    return NULL;
}

TEST(race, a_vcpu_that_cannot_move_is_given_back_by_its_own_thread)
{
    Rig r = {0};
    Shared s = {.r = &r};
    pthread_t t;
    fixed = *backend_find("fake");
    fixed.open = open_fixed;
    CHECK_INT(vm_open(&fixed, &(VmConfig){.guest = GUEST_x86_64}, NULL, NULL, &r.vm, NULL), 0);
    CHECK(pthread_create(&t, NULL, own_and_run, &s) == 0);
    while (!atomic_load(&s.has_started) || vcpu_state(r.v) != 2) {
        sched_yield();
    }
    vm_close(r.vm);
    pthread_join(t, NULL);
    CHECK_INT(s.rc, 0);
    CHECK_INT(s.exit.kind, EXIT_canceled);
}

/* ---- everything at once ---- */
static void *runner(void *arg)
{
    Shared *s = arg;
    VmExit e;
    while (!atomic_load(&s->is_stopping)) {
        int rc = rig_run(s->r, &e);
        if (!rc && e.kind == EXIT_canceled) {
            atomic_fetch_add(&s->nruns, 1);
        }
        const char *state = rig_state(s->r);
        if (!strcmp(state, "Paused")) {
            (void)!vcpu_resume(s->r->v, NULL);
        } else if (!strcmp(state, "Halted")) {
            (void)!vcpu_reset(s->r->v, NULL);
        }
    }
    return NULL;
}

static void *kicker(void *arg)
{
    Shared *s = arg;
    while (!atomic_load(&s->is_stopping)) {
        vcpu_kick(s->r->v);
        sched_yield();
    }
    return NULL;
}

static void *stopper(void *arg)
{
    Shared *s = arg;
    for (unsigned i = 0; !atomic_load(&s->is_stopping); i++) {
        int rc = i % 3 ? vcpu_pause(s->r->v, NULL) : vcpu_halt(s->r->v, NULL);
        atomic_fetch_add(&s->npauses, !rc);
        sched_yield();
    }
    return NULL;
}

static void *interrupter(void *arg)
{
    Shared *s = arg;
    VcpuStats stats;
    while (!atomic_load(&s->is_stopping)) {
        (void)!vcpu_interrupt(s->r->v, &(Event){.kind = EV_VECTOR, .number = 3}, NULL);
        vcpu_stats(s->r->v, &stats);
        CHECK(vcpu_state(s->r->v) < 5);
        sched_yield();
    }
    return NULL;
}

TEST(race, kick_pause_halt_interrupt_and_state_against_a_spinning_guest)
{
    Rig r;
    pthread_t t[4];
    void *(*const bodies[])(void *) = {runner, kicker, stopper, interrupter};
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin forever=1");
    Shared s = {.r = &r};
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        CHECK(pthread_create(&t[i], NULL, bodies[i], &s) == 0);
    }
    while (atomic_load(&s.nruns) < 300 || atomic_load(&s.npauses) < 30) {
        sched_yield();
    }
    atomic_store(&s.is_stopping, true);
    vcpu_kick(r.v);
    for (size_t i = 1; i < ARRAY_LEN(t); i++) {
        pthread_join(t[i], NULL);
    }
    vcpu_kick(r.v);
    pthread_join(t[0], NULL);
    VcpuStats stats;
    vcpu_stats(r.v, &stats);
    CHECK(stats.exits[EXIT_canceled] >= 300);
    CHECK(stats.injected > 0);
    rig_close(&r);
}

/* ---- kick is async-signal-safe ---- */
static Vcpu *_Atomic signal_target; /* a handler has no argument */
static void on_signal(int number)
{
    (void)number;
    vcpu_kick(atomic_load(&signal_target));
}

TEST(race, a_kick_from_a_signal_handler_on_the_running_thread)
{
    Rig r;
    pthread_t t;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin");
    atomic_store(&signal_target, r.v);
    struct sigaction act = {.sa_handler = on_signal}, old;
    sigaction(SIGUSR1, &act, &old);
    Shared s = {.r = &r};
    start_run(&s, &t);
    do { /* again, as TSan calls a handler late: not before the poll that it should end, unless one comes meanwhile */
        pthread_kill(t, SIGUSR1);
        usleep(1000);
    } while (!atomic_load(&s.has_ended));
    pthread_join(t, NULL);
    CHECK_INT(s.exit.kind, EXIT_canceled);
    sigaction(SIGUSR1, &old, NULL);
    rig_close(&r);
}

TEST(race, kicks_and_destroy)
{
    Rig r;
    pthread_t t;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    Shared s = {.r = &r};
    CHECK(pthread_create(&t, NULL, kicker, &s) == 0);
    VcpuStats stats = {0};
    while (stats.kicks < 50) {
        vcpu_stats(r.v, &stats);
        sched_yield();
    }
    CHECK_INT(vcpu_destroy(r.v, NULL), 0);
    while (stats.kicks < 100) {
        vcpu_stats(r.v, &stats);
        sched_yield();
    }
    atomic_store(&s.is_stopping, true);
    pthread_join(t, NULL);
    CHECK_STR(rig_state(&r), "Destroyed");
    rig_close(&r);
}
