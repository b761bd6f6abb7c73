/* SPDX-License-Identifier: Apache-2.0
 * Many threads at once: vcpus, kicks, memory. */
#include "accel/remote/stub_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { NVCPUS = 8, ROUNDS = 30 };

typedef struct {
    Ends *e;
    BeVcpu *v;
    unsigned id;
    unsigned nbad;
    pthread_t thread;
} Guest;

/* A vcpu's whole life on its own thread; every third run must be kicked out. */
static void *guest_main(void *arg)
{
    Guest *g = arg;
    const VcpuOps *ops = g->e->be->vcpu;
    VmExit exit;
    size_t bad;
    g->nbad += ops->create(g->e->vm, &(VcpuConfig){.id = (uint8_t)g->id}, &g->v, NULL) != 0;
    if (g->nbad) {
        return NULL;
    }
    g->nbad += ops->setup(g->v, &(VcpuSetup){.entry = {g->id}}, NULL) != 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t program = i % 3 ? STUB_MMIO_READ : STUB_SPIN, value = 0, answer = g->id * 1000u + i;
        g->nbad += stub_program(g->e->be, g->v, program) != 0;
        if (program == STUB_SPIN) {
            ops->kick(g->v); /* sticky */
        }
        g->nbad += ops->run(g->v, &RUN_FOREVER, &exit, NULL) != 0;
        g->nbad += exit.vcpu != g->id;
        g->nbad += exit.kind != (program == STUB_SPIN ? EXIT_canceled : EXIT_mmio_read);
        if (program == STUB_MMIO_READ) {
            g->nbad += ops->reply(g->v, &(Reply){.value = answer}, NULL) != 0;
            g->nbad += ops->get_regs(g->v, &(RegIo){STUB_REG(1), &value}, 1, &bad, NULL) != 0 || value != answer;
        }
    }
    ops->destroy(g->v);
    return NULL;
}

TEST(remote_load, eight_vcpus_run_at_once_each_on_its_own_thread)
{
    Ends e;
    Guest guests[NVCPUS];
    if (!ends_open(&e, false) || !ends_vcpu(&e)) {
        return;
    }
    for (unsigned i = 0; i < NVCPUS; i++) {
        guests[i] = (Guest){.e = &e, .id = i + 1};
        pthread_create(&guests[i].thread, NULL, guest_main, &guests[i]);
    }
    unsigned nbad = 0;
    for (unsigned i = 0; i < 50; i++) { /* the VM is served meanwhile */
        uint8_t out[300], in[300];
        memset(out, (int)i + 1, sizeof out);
        nbad += e.be->vm->mem_write(e.vm, (Gpa){i * 300}, out, sizeof out, NULL) != 0;
        nbad += e.be->vm->mem_read(e.vm, (Gpa){i * 300}, in, sizeof in, NULL) != 0 || memcmp(out, in, sizeof in) != 0;
    }
    CHECK_INT(nbad, 0);
    for (unsigned i = 0; i < NVCPUS; i++) {
        pthread_join(guests[i].thread, NULL);
        CHECK_INT(guests[i].nbad, 0);
    }
    ends_close(&e);
    CHECK_INT(e.rc, 0);
    CHECK_INT(atomic_load(&stub_vcpus), 0);
    CHECK_INT(atomic_load(&stub_wrong_thread), 0);
}

/* ---- kicks from everywhere while long messages go out ---- */
static Ends *alarm_ends; /* a signal handler has no argument */
static atomic_bool storm_over;

static void on_alarm(int sig)
{
    (void)sig;
    alarm_ends->be->vcpu->kick(alarm_ends->v);
}

static void *storm(void *arg)
{
    Ends *e = arg;
    while (!atomic_load(&storm_over)) {
        e->be->vcpu->kick(e->v);
        poll(NULL, 0, 1);
    }
    return NULL;
}

static void *writer_main(void *arg)
{
    enum { N = 60000 };
    Ends *e = arg;
    uint8_t *p = x_alloc(N);
    memset(p, 0x77, N);
    while (!atomic_load(&storm_over)) {
        CHECK_INT(e->be->vm->mem_write(e->vm, (Gpa){0}, p, N, NULL), 0);
    }
    mem_free(p);
    return NULL;
}

TEST(remote_load, kicks_from_threads_and_signal_handlers_never_tear_a_frame)
{
    Ends e;
    pthread_t threads[3];
    if (!ends_open(&e, true) || !ends_vcpu(&e)) {
        return;
    }
    atomic_store(&storm_over, false);
    alarm_ends = &e;
    struct sigaction old, act = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &act, &old);
    CHECK_INT(stub_program(e.be, e.v, STUB_SPIN), 0);
    pthread_create(&threads[0], NULL, storm, &e);
    pthread_create(&threads[1], NULL, storm, &e);
    pthread_create(&threads[2], NULL, writer_main, &e);
    unsigned ncanceled = 0;
    uint64_t end_ns = os_now_ns() + 200000000;
    for (bool ok = true; ok && (os_now_ns() < end_ns || ncanceled <= 5);) { /* on a busy machine few in that time */
        VmExit exit = {0};
        pthread_kill(threads[2], SIGUSR1); /* inside its write, often */
        ok = CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), 0) && CHECK_INT(exit.kind, EXIT_canceled);
        ncanceled += ok;
    }
    CHECK(ncanceled > 5);
    atomic_store(&storm_over, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    sigaction(SIGUSR1, &old, NULL);
    ends_close(&e);
    CHECK_INT(e.rc, 0);
}

TEST(remote_load, a_kick_reaches_only_its_own_vcpu)
{
    Ends e;
    BeVcpu *next;
    VmExit exit;
    if (!ends_open(&e, false) || !ends_vcpu(&e)) {
        return;
    }
    for (unsigned i = 0; i < 20; i++) { /* a slot that is used again keeps no kick */
        CHECK_INT(e.be->vcpu->create(e.vm, &(VcpuConfig){.id = 1}, &next, NULL), 0);
        CHECK_INT(e.be->vcpu->setup(next, &(VcpuSetup){.entry = {0}}, NULL), 0);
        CHECK_INT(e.be->vcpu->run(next, &RUN_FOREVER, &exit, NULL), 0);
        CHECK_INT(exit.kind, EXIT_halt);
        e.be->vcpu->kick(next);
        e.be->vcpu->destroy(next);
    }
    CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), 0);
    CHECK_INT(exit.kind, EXIT_halt);
    ends_close(&e);
}
