/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/remote/server.h"
#include "accel/remote/stub_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void nothing_left(void)
{
    CHECK_INT(atomic_load(&stub_vms), 0);
    CHECK_INT(atomic_load(&stub_vcpus), 0);
    CHECK_INT(atomic_load(&stub_wrong_thread), 0);
}

static void whole_job(bool is_pipes)
{
    Ends e;
    if (!ends_open(&e, is_pipes) || !ends_vcpu(&e)) {
        return;
    }
    CHECK_STR(e.be->name, "stub");
    CHECK(e.be->is_double);
    uint8_t some[100], back[100];
    memset(some, 0x5a, sizeof some);
    CHECK_INT(e.be->vm->mem_write(e.vm, (Gpa){0x1000}, some, sizeof some, NULL), 0);
    CHECK_INT(e.be->vm->mem_read(e.vm, (Gpa){0x1000}, back, sizeof back, NULL), 0);
    CHECK(!memcmp(some, back, sizeof some));
    CHECK_INT(stub_program(e.be, e.v, STUB_MMIO_READ), 0);
    VmExit exit = {0};
    RunArgs args = RUN_FOREVER;
    args.want = HAS_value;
    CHECK_INT(e.be->vcpu->run(e.v, &args, &exit, NULL), 0);
    CHECK_INT(exit.kind, EXIT_mmio_read);
    CHECK_INT(exit.addr, 0xd0000008);
    CHECK_INT(exit.arg[5], 6);
    CHECK_INT(exit.valid, HAS_value);
    CHECK_INT(exit.insns, UINT64_MAX);
    CHECK_INT(e.be->vcpu->run(e.v, &args, &exit, NULL), -ERR_BUSY);
    CHECK_INT(e.be->vcpu->reply(e.v, &(Reply){.value = 0x1234}, NULL), 0);
    CHECK_INT(e.be->vcpu->reply(e.v, &(Reply){.value = 0x1234}, NULL), -ERR_STATE);
    uint64_t regs[2] = {0};
    uint8_t vec[16];
    RegIo io[] = {{STUB_REG(1), &regs[0]}, {STUB_REG(2), &regs[1]}, {STUB_VEC, vec}};
    size_t bad = 0;
    CHECK_INT(e.be->vcpu->get_regs(e.v, io, 3, &bad, NULL), 0);
    CHECK_INT(regs[0], 0x1234);
    CHECK_INT(regs[1], 0x1000);
    ends_close(&e);
    CHECK_INT(e.rc, 0);
    nothing_left();
}

TEST(remote, a_whole_job_over_a_socket)
{
    whole_job(false);
}

TEST(remote, a_whole_job_over_two_pipes)
{
    whole_job(true);
}

static void *kick_soon(void *arg)
{
    Ends *e = arg;
    struct timespec t = {.tv_nsec = 20000000};
    nanosleep(&t, NULL);
    e->be->vcpu->kick(e->v);
    return NULL;
}

TEST(remote, a_kick_ends_a_run_and_is_sticky)
{
    Ends e;
    if (!ends_open(&e, false) || !ends_vcpu(&e)) {
        return;
    }
    CHECK_INT(stub_program(e.be, e.v, STUB_SPIN), 0);
    pthread_t kicker;
    pthread_create(&kicker, NULL, kick_soon, &e);
    VmExit exit = {0};
    CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), 0);
    CHECK_INT(exit.kind, EXIT_canceled);
    pthread_join(kicker, NULL);
    CHECK_INT(stub_program(e.be, e.v, STUB_HALT), 0);
    e.be->vcpu->kick(e.v);
    CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), 0);
    CHECK_INT(exit.kind, EXIT_canceled);
    CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL), 0);
    CHECK_INT(exit.kind, EXIT_halt);
    ends_close(&e);
    nothing_left();
}

/* Not a check of the machine: the numbers are printed when asked for. */
TEST(remote, round_trips_are_counted)
{
    Ends e;
    if (!ends_open(&e, false) || !ends_vcpu(&e)) {
        return;
    }
    uint64_t value = 0, n = getenv("CONF_MEASURE") ? 20000 : 100;
    RegIo io = {STUB_REG(1), &value};
    size_t bad;
    uint64_t start = os_now_ns();
    int rc = 0;
    for (uint64_t i = 0; i < n; i++) {
        rc |= e.be->vcpu->get_regs(e.v, &io, 1, &bad, NULL);
    }
    uint64_t regs_ns = (os_now_ns() - start) / n;
    VmExit exit;
    start = os_now_ns();
    for (uint64_t i = 0; i < n; i++) {
        rc |= e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, NULL);
    }
    uint64_t run_ns = (os_now_ns() - start) / n;
    CHECK_INT(rc, 0);
    if (n > 100) {
        printf("get_regs %llu ns, run %llu ns\n", (unsigned long long)regs_ns, (unsigned long long)run_ns);
    }
    ends_close(&e);
}
