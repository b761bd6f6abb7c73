/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/remote/server.h"
#include "accel/remote/stub_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const uint64_t GRACE_NS = 60ull * 1000 * 1000 * 1000;

/* A worker with a VM and a vcpu that is to run `program`. */
static bool job_start(WorkerServer *s, const WorkerLimits *limits, uint64_t program, Ends *e)
{
    Err err = {0};
    *e = (Ends){0};
    int rc = worker_start(s, "stub", limits, &e->link, &err);
    if (!CHECK_STR(err.text, "") || !CHECK_INT(rc, 0)) {
        return false;
    }
    e->be = remote_backend(e->link);
    return ends_vcpu(e) && CHECK_INT(stub_program(e->be, e->v, program), 0);
}

static void job_drop(Ends *e)
{
    e->be->vcpu->destroy(e->v);
    e->be->vm->destroy(e->vm);
}

static WorkerServer *server_start(void)
{
    WorkerServer *s = NULL;
    Err err = {0};
    int rc = worker_server_start_for(stub_find, &s, &err);
    CHECK_STR(err.text, "");
    CHECK_INT(rc, 0);
    return s;
}

TEST(worker, a_job_runs_in_a_worker_that_ends_with_its_link)
{
    WorkerServer *s = server_start();
    Ends e;
    VmExit exit = {0};
    WorkerEnd end = {0};
    if (job_start(s, NULL, STUB_HALT, &e)) {
        CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), 0);
        CHECK_INT(exit.kind, EXIT_halt);
        job_drop(&e);
        worker_end(s, e.link, GRACE_NS, &end);
        CHECK(end.has_exited);
        CHECK_INT(end.exit_status, 0);
        CHECK(!end.was_signaled);
        CHECK(end.max_rss_bytes > 4096);
    }
    worker_server_stop(s);
}

TEST(worker, cost_of_a_job_is_measured)
{
    WorkerServer *s = server_start();
    uint64_t n = getenv("CONF_MEASURE") ? 500 : 3, start = os_now_ns(), ending = 0;
    for (uint64_t i = 0; i < n; i++) {
        Ends e;
        VmExit exit;
        WorkerEnd end;
        uint8_t bytes[64] = {1, 2, 3};
        uint64_t value = 1;
        size_t bad;
        RegIo io = {STUB_REG(1), &value};
        if (!job_start(s, NULL, STUB_HALT, &e)) {
            break;
        }
        int rc = e.be->vm->mem_write(e.vm, (Gpa){0}, bytes, sizeof bytes, NULL);
        rc |= e.be->vm->mem_write(e.vm, (Gpa){4096}, bytes, sizeof bytes, NULL);
        rc |= e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL);
        rc |= e.be->vcpu->get_regs(e.v, &io, 1, &bad, NULL);
        CHECK_INT(rc, 0);
        job_drop(&e);
        uint64_t at = os_now_ns();
        worker_end(s, e.link, GRACE_NS, &end);
        ending += os_now_ns() - at;
        CHECK(end.has_exited);
    }
    if (n > 3) {
        printf("job %llu us, of which the end %llu us\n", (unsigned long long)((os_now_ns() - start) / n / 1000),
               (unsigned long long)(ending / n / 1000));
    }
    worker_server_stop(s);
}

/* The vcpu runs `program`, which ends the worker; how it ended. */
static WorkerEnd deadly_job(const WorkerLimits *limits, uint64_t program, int want_rc)
{
    WorkerServer *s = server_start();
    Ends e;
    VmExit exit;
    WorkerEnd end = {0};
    Err err = {0};
    if (job_start(s, limits, program, &e)) {
        CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, &err), want_rc);
        job_drop(&e);
        worker_end(s, e.link, GRACE_NS, &end);
        Ends again; /* the server lives on */
        if (job_start(s, NULL, STUB_HALT, &again)) {
            WorkerEnd good;
            CHECK_INT(again.be->vcpu->run(again.v, &RUN_FOREVER, &exit, NULL), 0);
            job_drop(&again);
            worker_end(s, again.link, GRACE_NS, &good);
            CHECK(good.has_exited && !good.exit_status);
        }
    }
    worker_server_stop(s);
    return end;
}

TEST(worker, a_crash_costs_one_job_and_its_signal_is_told)
{
    WorkerEnd end = deadly_job(NULL, STUB_SEGV, -ERR_IO);
    CHECK(end.was_signaled);
    CHECK(!end.has_exited);
    CHECK_INT(end.signal, SIGSEGV);
}

TEST(worker, a_memory_cap_is_an_error_in_the_worker)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    test_skip("the sanitizer's allocator ends the process instead");
    return;
#endif
    WorkerServer *s = server_start();
    Ends e;
    VmExit exit;
    WorkerEnd end = {0};
    Err err = {0};
    if (job_start(s, &(WorkerLimits){.max_memory_bytes = 64 << 20}, STUB_EAT, &e)) {
        CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, &err), -ERR_NOMEM);
        CHECK_HAS(err.text, "after ");
        job_drop(&e);
        worker_end(s, e.link, GRACE_NS, &end);
        CHECK(end.has_exited || end.exit_status == 70); /* it may not even have memory for a reply */
        CHECK(end.max_rss_bytes > 30 << 20);
    }
    worker_server_stop(s);
}

TEST(worker, a_cpu_limit_ends_it)
{
    WorkerEnd end = deadly_job(&(WorkerLimits){.max_cpu_s = 1}, STUB_BURN, -ERR_IO);
    CHECK(end.was_signaled);
    CHECK_INT(end.signal, SIGXCPU);
    CHECK(end.cpu_ns > 500000000);
}

TEST(worker, one_that_does_not_end_is_killed_after_the_grace)
{
    WorkerServer *s = server_start();
    Ends e;
    VmExit exit;
    WorkerEnd end = {0};
    if (job_start(s, NULL, STUB_DEAF, &e)) {
        remote_limits(e.link, GRACE_NS, 20000000);
        CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), -ERR_TIMEOUT);
        job_drop(&e);
        uint64_t start = os_now_ns();
        worker_end(s, e.link, 50000000, &end);
        CHECK(os_now_ns() - start >= 50000000);
        CHECK(end.was_signaled);
        CHECK_INT(end.signal, SIGKILL);
    }
    worker_server_stop(s);
}

TEST(worker, a_spinning_guest_is_kicked_out)
{
    WorkerServer *s = server_start();
    Ends e;
    VmExit exit;
    WorkerEnd end = {0};
    if (job_start(s, NULL, STUB_SPIN, &e)) {
        for (int i = 0; i < 20; i++) {
            e.be->vcpu->kick(e.v);
            CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), 0);
            CHECK_INT(exit.kind, EXIT_canceled);
        }
        job_drop(&e);
        worker_end(s, e.link, GRACE_NS, &end);
        CHECK(end.has_exited && !end.exit_status);
    }
    worker_server_stop(s);
}

TEST(worker, a_start_says_why_it_failed)
{
    WorkerServer *s = server_start();
    RemoteLink *link = NULL;
    Err err = {0};
    WorkerEnd end = {.signal = 1};
    CHECK_INT(worker_start(s, "none", NULL, &link, &err), -ERR_NOENT);
    CHECK_HAS(err.text, "no backend \"none\"");
    worker_end(s, NULL, GRACE_NS, &end); /* nothing was left to end */
    CHECK(!end.has_exited && !end.was_signaled && !end.signal);
    worker_server_stop(s);
    worker_server_stop(NULL);
}

TEST(worker, a_worker_that_nobody_ended_is_replaced)
{
    WorkerServer *s = server_start();
    Ends first, second;
    WorkerEnd end;
    if (job_start(s, NULL, STUB_HALT, &first) && job_start(s, NULL, STUB_HALT, &second)) {
        VmExit exit;
        CHECK_INT(first.be->vcpu->run(first.v, &RUN_FOREVER, &exit, NULL), -ERR_IO);
        CHECK_INT(second.be->vcpu->run(second.v, &RUN_FOREVER, &exit, NULL), 0);
        job_drop(&first);
        remote_close(first.link);
        job_drop(&second);
        worker_end(s, second.link, GRACE_NS, &end);
        CHECK(end.has_exited);
    }
    worker_server_stop(s);
}

TEST(worker, a_pinned_thread_gets_its_worker_on_the_same_cpu)
{
    cpu_set_t old, one;
    CHECK(!sched_getaffinity(0, sizeof old, &old));
    WorkerServer *s = server_start();
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK(!sched_setaffinity(0, sizeof one, &one));
    Ends e;
    VmExit exit;
    WorkerEnd end;
    if (job_start(s, NULL, STUB_HALT, &e)) {
        CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), 0);
        job_drop(&e);
        worker_end(s, e.link, GRACE_NS, &end);
        CHECK(end.has_exited);
    }
    sched_setaffinity(0, sizeof old, &old);
    worker_server_stop(s);
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d)) {
        n++;
    }
    if (d) {
        closedir(d);
    }
    return n;
}

TEST(worker, starting_and_killing_again_and_again_leaves_nothing)
{
    unsigned before = count_fds();
    WorkerServer *s = server_start();
    const char *asked = getenv("CONF_CYCLES");
    long n = asked ? strtol(asked, NULL, 10) : 40;
    for (long i = 0; i < n; i++) {
        Ends e;
        WorkerEnd end = {0};
        if (!job_start(s, NULL, STUB_SPIN, &e)) {
            break;
        }
        if (i % 2) {
            remote_abort(e.link);
        }
        job_drop(&e);
        worker_end(s, e.link, i % 4 < 2 ? 0 : GRACE_NS, &end);
        if (!CHECK(end.has_exited || (end.was_signaled && end.signal == SIGKILL))) {
            break;
        }
    }
    worker_server_stop(s);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    CHECK_INT(count_fds(), before);
}

/* A program with two worker servers, each with a running worker, killed with SIGKILL. */
static void doomed_main(int ready)
{
    for (int i = 0; i < 2; i++) {
        Ends e;
        if (!job_start(server_start(), NULL, STUB_DEAF, &e)) {
            _exit(1);
        }
        remote_limits(e.link, GRACE_NS, 5000000);
        VmExit exit;
        int rc = e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL);
        (void)rc;
    }
    pid_t bystander = fork(); /* keeps our descriptors open, so that nobody sees an end of file */
    if (bystander == 0) {
        pause();
        _exit(0);
    }
    if (write(ready, &bystander, sizeof bystander) == sizeof bystander) {
        pause();
    }
    _exit(1);
}

TEST(worker, nobody_outlives_a_program_that_is_killed)
{
    int ready[2];
    pid_t bystander = -1;
    CHECK(!pipe(ready));
    CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 1)); /* orphans become our children, so that we can count them */
    pid_t pid = fork();
    if (pid == 0) {
        doomed_main(ready[1]);
    }
    close(ready[1]);
    CHECK(read(ready[0], &bystander, sizeof bystander) == sizeof bystander && bystander > 0);
    kill(pid, SIGKILL);
    unsigned nreaped = 0;
    uint64_t end_ns = os_now_ns() + GRACE_NS;
    while (nreaped < 5 && os_now_ns() < end_ns) { /* the program, two servers, two workers */
        pid_t got = waitpid(-1, NULL, WNOHANG);
        nreaped += got > 0;
        if (!got) {
            poll(NULL, 0, 1);
        }
    }
    CHECK_INT(nreaped, 5);
    if (bystander > 0) {
        kill(bystander, SIGKILL);
        CHECK(waitpid(bystander, NULL, 0) == bystander);
    }
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(ready[0]);
}
