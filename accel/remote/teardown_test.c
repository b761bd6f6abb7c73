/* SPDX-License-Identifier: Apache-2.0
 * Ends in the middle of a run, again and again: each is accounted for, and nobody stays. CONF_TEARDOWN=N times (ci/teardown);
 * a few without it. */
#include "accel/remote/stub_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum { AGENT_KILLED, PIPE_PULLED, LINK_ABORTED, VM_CLOSED, VCPU_KICKED, WAY_COUNT } Way;
enum { FEW = 25, NVCPUS = 2 };

typedef struct {
    pid_t agent;
    int fd_out;
    RemoteLink *link;
    Vm *vm;
    pthread_t threads[NVCPUS];
    int rc[NVCPUS];
    VmExit exit[NVCPUS];
} Job;
typedef struct {
    Job *job;
    unsigned id;
    atomic_bool *is_up;
} Guest;

static void agent_exec(const int up[2], const int down[2])
{
    dup2(up[0], STDIN_FILENO);
    dup2(down[1], STDOUT_FILENO);
    close_range(3, ~0u, 0);
    execl(CONF_AGENT, "conf-agent", (char *)NULL);
    _exit(127);
}

static bool job_start(Job *j)
{
    int up[2], down[2];
    Err err = {0};
    *j = (Job){0};
    if (!CHECK(!pipe(up)) || !CHECK(!pipe(down))) {
        return false;
    }
    j->agent = fork();
    if (j->agent == 0) {
        agent_exec(up, down);
    }
    close(up[0]);
    close(down[1]);
    j->fd_out = up[1];
    int rc = remote_connect(down[0], up[1], "fake", 60000000000u, &j->link, &err);
    rc = rc ? rc
            : vm_open(remote_backend(j->link), &(VmConfig){.guest = GUEST_riscv64}, &life_virtualcpu, NULL, &j->vm,
                      &err);
    return CHECK_STR(err.text, "") && CHECK_INT(rc, 0);
}

/* A vcpu's life on its own thread, to the end that comes from outside. */
static void *guest_main(void *arg)
{
    Guest *g = arg;
    Job *j = g->job;
    Vcpu *v;
    Err err = {0};
    Buf out = {0};
    int rc = vcpu_new(j->vm, &(VcpuConfig){.id = (uint8_t)g->id, .hw_id = g->id}, &v, &err);
    rc = rc ? rc : vm_ctl(j->vm, v, "fake.script", "spin", 4, &out, &err);
    rc = rc ? rc : vcpu_setup(v, &(VcpuSetup){.entry = {0x1000}}, &err);
    CHECK_INT(rc, 0);
    CHECK_STR(err.text, "");
    buf_free(&out);
    atomic_store(g->is_up, true);
    j->rc[g->id] = rc ? rc : vcpu_run(v, &RUN_FOREVER, &j->exit[g->id], &err);
    return NULL;
}

static bool is_running(const Job *j)
{
    const LifeModel *m = vm_model(j->vm);
    for (unsigned i = 0; i < NVCPUS; i++) {
        if (strcmp(m->states[vcpu_state(vm_vcpu(j->vm, (uint8_t)i))], "Running") != 0) {
            return false;
        }
    }
    return true;
}

static void job_end(Job *j, Way way)
{
    switch (way) {
    case AGENT_KILLED:
        kill(j->agent, SIGKILL);
        break;
    case PIPE_PULLED: { /* our end becomes one that leads nowhere */
        int nowhere[2];
        CHECK(!pipe(nowhere));
        close(nowhere[0]);
        dup2(nowhere[1], j->fd_out);
        close(nowhere[1]);
        break;
    }
    case LINK_ABORTED:
        remote_abort(j->link);
        break;
    case VM_CLOSED: /* below; what it is to end must have begun, as the vcpus are gone then */
        while (!is_running(j)) {
            poll(NULL, 0, 1);
        }
        break;
    case VCPU_KICKED:
        for (unsigned i = 0; i < NVCPUS; i++) {
            vcpu_kick(vm_vcpu(j->vm, (uint8_t)i));
        }
        break;
    case WAY_COUNT:
        break;
    }
    if (way != VM_CLOSED) {
        for (unsigned i = 0; i < NVCPUS; i++) {
            pthread_join(j->threads[i], NULL);
        }
    }
    vm_close(j->vm);
    if (way == VM_CLOSED) {
        for (unsigned i = 0; i < NVCPUS; i++) {
            pthread_join(j->threads[i], NULL);
        }
    }
    remote_close(j->link);
}

/* Every run said how it ended, and the agent is gone: by itself, but for the one that was killed. */
static bool job_check(const Job *j, Way way)
{
    int status = -1;
    bool ok = true;
    for (unsigned i = 0; i < NVCPUS; i++) {
        bool is_canceled = !j->rc[i] && j->exit[i].kind == EXIT_canceled;
        bool is_lost = way == AGENT_KILLED || way == PIPE_PULLED || way == LINK_ABORTED;
        ok = CHECK(is_lost ? j->rc[i] == -ERR_IO : is_canceled) && ok;
    }
    uint64_t until = os_now_ns() + 120000000000u;
    pid_t got;
    while ((got = waitpid(j->agent, &status, WNOHANG)) == 0 && os_now_ns() < until) {
        poll(NULL, 0, 1);
    }
    ok = CHECK(got == j->agent) && ok;
    if (way == AGENT_KILLED) {
        return CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) && ok;
    }
    return CHECK(WIFEXITED(status)) && CHECK_INT(WEXITSTATUS(status), 0) && ok;
}

TEST(teardown, every_end_in_the_middle_of_a_run_is_accounted_for_and_leaves_nobody)
{
    const char *text = getenv("CONF_TEARDOWN");
    unsigned long n = text ? strtoul(text, NULL, 10) : FEW, ndone = 0;
    struct sigaction old, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &old);
    for (bool ok = true; ok && ndone < n; ndone++) {
        Way way = (Way)(ndone % WAY_COUNT);
        Job j;
        Guest guests[NVCPUS];
        atomic_bool is_up[NVCPUS] = {false};
        if (!job_start(&j)) {
            break;
        }
        for (unsigned i = 0; i < NVCPUS; i++) {
            guests[i] = (Guest){&j, i, &is_up[i]};
            pthread_create(&j.threads[i], NULL, guest_main, &guests[i]);
        }
        for (unsigned i = 0; i < NVCPUS; i++) {
            while (!atomic_load(&is_up[i])) {
                poll(NULL, 0, 1);
            }
        }
        if (ndone % 3 || way == PIPE_PULLED) { /* else it may end just as the run begins */
            poll(NULL, 0, 2);
        }
        job_end(&j, way);
        ok = job_check(&j, way);
    }
    CHECK_INT(ndone, n);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    sigaction(SIGPIPE, &old, NULL);
    if (text) {
        printf("%lu ends in the middle of a run\n", ndone);
    }
}
