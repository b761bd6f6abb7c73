/* SPDX-License-Identifier: Apache-2.0
 * Both ends in one process, and small helpers of the tests. */
#include "accel/remote/server.h"
#include "accel/remote/stub_test.h"
#include "sim/base/test.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve(void *arg)
{
    Ends *e = arg;
    e->rc = server_run(&(ServeArgs){.find = stub_find, .fd_in = e->fd_in, .fd_out = e->fd_out}, &e->err);
    return NULL;
}

bool ends_open(Ends *e, bool is_pipes)
{
    int up[2], down[2];
    *e = (Ends){0};
    if (is_pipes ? pipe(up) || pipe(down) : socketpair(AF_UNIX, SOCK_STREAM, 0, up)) {
        return CHECK(false);
    }
    e->fd_in = up[0];
    e->fd_out = is_pipes ? down[1] : up[0];
    pthread_t thread;
    pthread_create(&thread, NULL, serve, e);
    e->thread = thread;
    Err err = {0};
    int rc = remote_connect(is_pipes ? down[0] : up[1], up[1], "stub", 60000000000u, &e->link, &err);
    e->be = rc ? NULL : remote_backend(e->link);
    return CHECK_STR(err.text, "") && CHECK_INT(rc, 0);
}

bool ends_vcpu(Ends *e)
{
    Err err = {0};
    Caps caps;
    RamId ram = 0;
    int rc = e->be->open(e->be, GUEST_x86_64, &caps, &err);
    rc = rc ? rc : e->be->vm->create(e->be, &(VmConfig){.guest = GUEST_x86_64, .options = "a=1"}, &e->vm, &err);
    rc = rc ? rc : e->be->vm->ram_create(e->vm, 65536, &ram, &err);
    rc = rc ? rc : e->be->vm->map(e->vm, (Gpa){0}, 65536, ram, 0, MAP_R | MAP_W | MAP_X, &err);
    rc = rc ? rc : e->be->vcpu->create(e->vm, &(VcpuConfig){.id = 0}, &e->v, &err);
    rc = rc ? rc : e->be->vcpu->setup(e->v, &(VcpuSetup){.entry = {0x1000}}, &err);
    return CHECK_STR(err.text, "") && CHECK_INT(rc, 0);
}

void ends_close(Ends *e)
{
    if (e->v) {
        e->be->vcpu->destroy(e->v);
    }
    if (e->vm) {
        e->be->vm->destroy(e->vm);
    }
    remote_close(e->link);
    pthread_join((pthread_t)e->thread, NULL);
    close(e->fd_in);
    if (e->fd_out != e->fd_in) {
        close(e->fd_out);
    }
}

int stub_program(const Backend *b, BeVcpu *v, uint64_t program)
{
    size_t bad = 0;
    RegIo io = {.id = STUB_REG(0), .bytes = &program};
    return b->vcpu->set_regs(v, &io, 1, &bad, NULL);
}
