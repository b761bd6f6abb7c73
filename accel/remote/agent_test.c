/* SPDX-License-Identifier: Apache-2.0
 * The built-in fake through the whole stack: conf-agent over pipes, and a worker; and the waist
 * above a link. */
#include "accel/remote/stub_test.h"
#include "sim/base/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* conf-agent on two pipes. */
static pid_t agent_start(int *fd_in, int *fd_out)
{
    int up[2], down[2];
    if (!CHECK(!pipe(up)) || !CHECK(!pipe(down))) {
        abort();
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(up[0], STDIN_FILENO);
        dup2(down[1], STDOUT_FILENO);
        close_range(3, ~0u, 0);
        execl(CONF_AGENT, "conf-agent", (char *)NULL);
        _exit(127);
    }
    close(up[0]);
    close(down[1]);
    *fd_in = down[0];
    *fd_out = up[1];
    return pid;
}

static int script(Vm *vm, const char *text, Err *err)
{
    Buf out = {0};
    int rc = vm_ctl(vm, NULL, "fake.script", text, strlen(text), &out, err);
    buf_free(&out);
    return rc;
}

/* What a runner does: the waist over a link's backend. */
static void waist_job(const Backend *b)
{
    Vm *vm = NULL;
    Vcpu *v = NULL;
    RamId ram = 0;
    VmExit exit = {0};
    Err err = {0};
    uint64_t value = 0;
    size_t bad;
    int rc = vm_open(b, &(VmConfig){.guest = GUEST_x86_64}, &life_virtualcpu, NULL, &vm, &err);
    rc = rc ? rc : vm_ram_new(vm, 65536, &ram, &err);
    rc = rc ? rc : vm_map(vm, (Gpa){0}, 65536, ram, 0, MAP_R | MAP_W | MAP_X, &err);
    rc = rc ? rc : vm_mem_write(vm, (Gpa){0x1000}, "code", 4, &err);
    rc = rc ? rc
            : script(vm,
                     "mmio_read addr=0xd0000008 size=4 reg=rax pc=0x1000 next=0x1003\nhypercall "
                     "nr=8\nspin",
                     &err);
    rc = rc ? rc : vcpu_new(vm, &(VcpuConfig){.id = 0}, &v, &err);
    rc = rc ? rc : vcpu_setup(v, &(VcpuSetup){.entry = {0x1000}}, &err);
    rc = rc ? rc : vcpu_run(v, &RUN_FOREVER, &exit, &err);
    CHECK_INT(exit.kind, EXIT_mmio_read);
    CHECK_INT(exit.addr, 0xd0000008);
    rc = rc ? rc : vcpu_reply(v, &(Reply){.value = 0x55aa}, &err);
    rc = rc ? rc : vcpu_run(v, &RUN_FOREVER, &exit, &err);
    CHECK_INT(exit.kind, EXIT_hypercall);
    rc = rc ? rc : vcpu_get_regs(v, &(RegIo){reg_find(GUEST_x86_64, "rax")->id, &value}, 1, &bad, &err);
    CHECK_INT(value, 0x55aa);
    Buf blob = {0};
    rc = rc ? rc : vcpu_save(v, &blob, &err);
    rc = rc ? rc : vcpu_restore(v, blob.data, blob.n, &err);
    CHECK(blob.n > 200);
    buf_free(&blob);
    rc = rc ? rc : vm_save(vm, &blob, &err);
    rc = rc ? rc : vm_restore(vm, blob.data, blob.n, &err);
    buf_free(&blob);
    vcpu_kick(v);
    rc = rc ? rc : vcpu_run(v, &RUN_FOREVER, &exit, &err);
    CHECK_INT(exit.kind, EXIT_canceled);
    CHECK_STR(err.text, "");
    CHECK_INT(rc, 0);
    vm_close(vm);
}

TEST(agent, the_waist_works_over_an_agent_s_pipes)
{
    int fd_in, fd_out, status = -1;
    Err err = {0};
    RemoteLink *link = NULL;
    pid_t pid = agent_start(&fd_in, &fd_out);
    CHECK_INT(remote_connect(fd_in, fd_out, "fake", 60000000000u, &link, &err), 0);
    CHECK_STR(err.text, "");
    if (link) {
        waist_job(remote_backend(link));
    }
    remote_close(link);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(agent, one_that_dies_is_an_io_error)
{
    int fd_in, fd_out;
    Err err = {0};
    Caps caps;
    RemoteLink *link = NULL;
    pid_t pid = agent_start(&fd_in, &fd_out);
    CHECK_INT(remote_connect(fd_in, fd_out, "fake", 60000000000u, &link, &err), 0);
    if (!link) {
        return;
    }
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
    const Backend *b = remote_backend(link); /* no SIGPIPE ends us */
    CHECK_INT(b->open(b, GUEST_x86_64, &caps, &err), -ERR_IO);
    CHECK_INT(b->open(b, GUEST_x86_64, &caps, &err), -ERR_IO);
    remote_close(link);
}

/* A job on fake in a worker whose script misbehaves: what run says, and the end. */
static WorkerEnd fake_job(const char *text, int want_rc)
{
    WorkerServer *s = NULL;
    RemoteLink *link = NULL;
    Err err = {0};
    WorkerEnd end = {0};
    CHECK_INT(worker_server_start(&s, &err), 0);
    CHECK_INT(worker_start(s, "fake", NULL, &link, &err), 0);
    Vm *vm = NULL;
    Vcpu *v = NULL;
    VmExit exit = {0};
    remote_limits(link, 60000000000u, want_rc == -ERR_TIMEOUT ? 200000000 : 60000000000u);
    CHECK_INT(vm_open(remote_backend(link), &(VmConfig){.guest = GUEST_riscv64}, &life_axvcpu, NULL, &vm, &err), 0);
    CHECK_INT(script(vm, text, &err), 0);
    CHECK_INT(vcpu_new(vm, &(VcpuConfig){.id = 0}, &v, &err), 0);
    CHECK_INT(vcpu_setup(v, &(VcpuSetup){.entry = {0x1000}}, &err), 0);
    CHECK_INT(vcpu_bind(v, &err), 0);
    CHECK_INT(vcpu_run(v, &RUN_FOREVER, &exit, &err), want_rc);
    vm_close(vm);
    worker_end(s, link, want_rc == -ERR_TIMEOUT ? 0 : 60000000000u, &end);
    worker_server_stop(s);
    return end;
}

TEST(agent, a_misbehaving_backend_costs_its_worker_alone)
{
    CHECK_INT(fake_job("halt", 0).exit_status, 0);
    CHECK_INT(fake_job("crash SIGSEGV", -ERR_IO).signal, SIGSEGV);
    CHECK_INT(fake_job("crash SIGABRT", -ERR_IO).signal, SIGABRT);
    CHECK_INT(fake_job("exit 9", -ERR_IO).exit_status, 9);
    CHECK_INT(fake_job("hang", -ERR_TIMEOUT).signal, SIGKILL);
    WorkerEnd end = fake_job("garbage", -ERR_PROTO);
    CHECK(end.has_exited || end.was_signaled);
}

TEST(agent, one_whose_backend_hangs_leaves_when_its_client_does)
{
    int fd_in, fd_out, status = -1;
    Err err = {0};
    RemoteLink *link = NULL;
    Vm *vm = NULL;
    Vcpu *v = NULL;
    VmExit exit;
    pid_t pid = agent_start(&fd_in, &fd_out);
    CHECK_INT(remote_connect(fd_in, fd_out, "fake", 60000000000u, &link, &err), 0);
    if (!link) {
        return;
    }
    remote_limits(link, 60000000000u, 50000000);
    CHECK_INT(vm_open(remote_backend(link), &(VmConfig){.guest = GUEST_x86_64}, &life_virtualcpu, NULL, &vm, &err), 0);
    CHECK_INT(script(vm, "hang", &err), 0);
    CHECK_INT(vcpu_new(vm, &(VcpuConfig){.id = 0}, &v, &err), 0);
    CHECK_INT(vcpu_setup(v, &(VcpuSetup){.entry = {0}}, &err), 0);
    CHECK_INT(vcpu_run(v, &RUN_FOREVER, &exit, &err), -ERR_TIMEOUT);
    vm_close(vm);
    remote_close(link);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
