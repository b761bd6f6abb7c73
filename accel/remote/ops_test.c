/* SPDX-License-Identifier: Apache-2.0
 * Every operation through both ends. */
#include "accel/remote/link.h"
#include "accel/remote/stub_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <string.h>

TEST(remote, caps_come_across)
{
    Ends e;
    if (!ends_open(&e, false)) {
        return;
    }
    Caps caps, again;
    CHECK_INT(e.be->open(e.be, GUEST_x86_64, &caps, NULL), 0);
    CHECK_INT(caps.page_bytes, 4096);
    CHECK_INT(caps.max_vcpus, 16);
    CHECK_INT(caps.vec_bytes, 16);
    CHECK_INT(caps.level[CAP_gpr_get], CAP_FULL);
    CHECK_INT(caps.level[CAP_gpr_set], CAP_NONE);
    CHECK_STR(caps.why[CAP_gpr_set], "the stub has it not");
    CHECK_INT(caps.level[CAP_rebind], CAP_FULL);
    CHECK_INT(caps.level[CAP_board_inside], CAP_NONE); /* x86_64 has no board */
    CHECK_STR(caps.ctls[0], "stub.echo");
    CHECK_STR(caps.ctls[1], "stub.id");
    CHECK(!caps.ctls[2]);
    CHECK_STR(caps.isa, "rv64gc");
    CHECK_INT(e.be->open(e.be, GUEST_x86_64, &again, NULL), 0);
    CHECK(!memcmp(caps.level, again.level, sizeof caps.level));
    CHECK(
        !memcmp(caps.why, again.why, sizeof caps.why)); /* the same strings, so that they live as long as the Backend */
    Err err = {0};
    CHECK_INT(e.be->open(e.be, GUEST_riscv64, &again, &err), -ERR_UNAVAILABLE);
    CHECK_STR(err.text, "only x86_64 here");
    CHECK(!e.be->vm->irq_line && !e.be->vm->unmap && !e.be->vcpu->bind);
    CHECK(e.be->vm->map && e.be->vcpu->breaks);
    ends_close(&e);
}

TEST(remote, errors_come_across_whole)
{
    Ends e;
    if (!ends_open(&e, false) || !ends_vcpu(&e)) {
        return;
    }
    Err err = {0};
    VmExit exit;
    CHECK_INT(stub_program(e.be, e.v, STUB_FAIL), 0);
    CHECK_INT(e.be->vcpu->run(e.v, &RUN_FOREVER, &exit, &err), -ERR_UNSUPPORTED);
    CHECK_INT(err.code, ERR_UNSUPPORTED);
    CHECK_INT(err.native, -5);
    CHECK_STR(err.feature, "everything");
    CHECK_STR(err.module, "stub");
    CHECK_STR(err.text, "stub: everything: it only fails");
    uint64_t values[3];
    RegIo io[] = {{STUB_REG(1), &values[0]}, {STUB_REG(2), &values[1]}, {STUB_REG(99), &values[2]}};
    size_t bad = 77;
    CHECK_INT(e.be->vcpu->get_regs(e.v, io, 3, &bad, &err), -ERR_INVAL);
    CHECK_INT(bad, 2);
    CHECK_HAS(err.text, "no register 0x");
    CHECK_INT(e.be->vcpu->set_regs(e.v, io, 3, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "SET_REGS: invalid argument"); /* the stub left no sentence */
    CHECK_INT(e.be->vm->mem_read(e.vm, (Gpa){65536}, values, 1, &err), -ERR_FAULT);
    CHECK_STR(err.text, "nothing at 0x10000");
    BeVm *vm;
    VmConfig cfg = {.guest = GUEST_x86_64, .options = "b=2"};
    CHECK_INT(e.be->vm->create(e.be, &cfg, &vm, &err), -ERR_INVAL);
    CHECK_STR(err.text, "option \"b=2\"");
    BeVcpu *v;
    CHECK_INT(e.be->vcpu->create(e.vm, &(VcpuConfig){.id = 99}, &v, &err), -ERR_LIMIT);
    CHECK_INT(e.be->vcpu->create(e.vm, &(VcpuConfig){.id = 1}, &v, &err), 0); /* the thread is free again */
    e.be->vcpu->destroy(v);
    CHECK_INT(e.be->vcpu->reply(e.v, &(Reply){0}, &err), -ERR_STATE);
    CHECK_INT(e.be->vcpu->create(e.vm, &(VcpuConfig){.id = 2}, &v, &err), 0);
    CHECK_INT(e.be->vcpu->run(v, &RUN_FOREVER, &exit, &err), -ERR_STATE); /* before setup */
    e.be->vcpu->destroy(v);
    ends_close(&e);
    CHECK_INT(e.rc, 0);
    CHECK_INT(atomic_load(&stub_vcpus), 0);
}

TEST(remote, memory_longer_than_a_frame_moves_all_or_nothing)
{
    enum { N = 6 << 20 };
    Ends e;
    if (!ends_open(&e, false)) {
        return;
    }
    Caps caps;
    RamId ram;
    uint8_t *out = x_alloc(N), *in = x_alloc(N);
    for (size_t i = 0; i < N; i++) {
        out[i] = i / 100000 % 3 ? (uint8_t)(i * 7 >> 3) : 0;
    }
    CHECK_INT(e.be->open(e.be, GUEST_x86_64, &caps, NULL), 0);
    CHECK_INT(e.be->vm->create(e.be, &(VmConfig){.guest = GUEST_x86_64}, &e.vm, NULL), 0);
    CHECK_INT(e.be->vm->ram_create(e.vm, N, &ram, NULL), 0);
    CHECK_INT(e.be->vm->map(e.vm, (Gpa){0x1000}, N, ram, 0, MAP_R, NULL), 0);
    CHECK_INT(e.be->vm->mem_write(e.vm, (Gpa){0x2000}, out, N, NULL), -ERR_FAULT);
    CHECK_INT(e.be->vm->mem_read(e.vm, (Gpa){0x1000}, in, N, NULL), 0);
    CHECK(!in[N / 2] && !memcmp(in, in + 1, N - 1)); /* nothing was written */
    CHECK_INT(e.be->vm->mem_write(e.vm, (Gpa){0x1000}, out, N, NULL), 0);
    CHECK_INT(e.be->vm->mem_read(e.vm, (Gpa){0x1000}, in, N, NULL), 0);
    CHECK(!memcmp(in, out, N));
    CHECK_INT(e.be->vm->mem_read(e.vm, (Gpa){0x1000}, in, 0, NULL), 0);
    CHECK_INT(e.be->vm->mem_write(e.vm, (Gpa){0x1000}, in, 0, NULL), 0);
    CHECK_INT(e.be->vm->mem_write(e.vm, (Gpa){0}, out, (size_t)WIRE_BULK_MAX + 1, NULL), -ERR_LIMIT);
    mem_free(in);
    mem_free(out);
    ends_close(&e);
    CHECK_INT(e.rc, 0);
}

TEST(remote, the_rarer_vm_operations_come_across)
{
    Ends e;
    if (!ends_open(&e, false) || !ends_vcpu(&e)) {
        return;
    }
    uint64_t ns = 123456789012345;
    CHECK_INT(e.be->vm->clock(e.vm, true, &ns, NULL), 0);
    Buf blob = {0};
    buf_str(&blob, "x");
    CHECK_INT(e.be->vm->save(e.vm, &blob, NULL), 0);
    CHECK_INT(blob.n, 9); /* appended */
    ns = 0;
    CHECK_INT(e.be->vm->clock(e.vm, true, &ns, NULL), 0);
    CHECK_INT(e.be->vm->restore(e.vm, blob.data, 9, NULL), -ERR_VERSION);
    CHECK_INT(e.be->vm->restore(e.vm, blob.data + 1, 8, NULL), 0);
    CHECK_INT(e.be->vm->clock(e.vm, false, &ns, NULL), 0);
    CHECK_INT(ns, 123456789012345);
    buf_clear(&blob);
    CHECK_INT(e.be->vm->ctl(e.vm, NULL, "stub.echo", "\0abc", 4, &blob, NULL), 0);
    CHECK(blob.n == 4 && !memcmp(blob.data, "\0abc", 4));
    buf_clear(&blob);
    CHECK_INT(e.be->vm->ctl(e.vm, e.v, "stub.id", NULL, 0, &blob, NULL), 0); /* on the vcpu's thread */
    CHECK_INT(blob.n, 1);
    CHECK_INT(e.be->vm->ctl(e.vm, NULL, "stub.none", NULL, 0, &blob, NULL), -ERR_NOENT);
    buf_free(&blob);
    uint8_t bits[2] = {0xff, 0xff};
    CHECK_INT(e.be->vm->dirty_get(e.vm, (Gpa){0x5000}, 9 * 4096, bits, true, NULL), 0);
    CHECK_INT(bits[0], 5);
    CHECK_INT(bits[1], 0);
    ends_close(&e);
    CHECK_INT(atomic_load(&stub_wrong_thread), 0);
}

TEST(remote, the_rarer_vcpu_operations_come_across)
{
    Ends e;
    if (!ends_open(&e, true) || !ends_vcpu(&e)) {
        return;
    }
    size_t n = 0, bad;
    CHECK_INT(e.be->vcpu->reg_list(e.v, NULL, &n, NULL), 0);
    CHECK_INT(n, 32);
    RegId ids[32];
    n = 31;
    CHECK_INT(e.be->vcpu->reg_list(e.v, ids, &n, NULL), -ERR_LIMIT);
    n = 32;
    CHECK_INT(e.be->vcpu->reg_list(e.v, ids, &n, NULL), 0);
    CHECK(ids[31] == STUB_REG(31));
    Event ev = {.kind = EV_LINE, .number = 0x1234, .code = 0x56, .level = true};
    CHECK_INT(e.be->vcpu->inject(e.v, &ev, NULL), 0);
    Break list[] = {{BREAK_EXEC, 1, 2}, {BREAK_ACCESS, 0x1000, 8}};
    CHECK_INT(e.be->vcpu->breaks(e.v, list, 2, NULL), 0);
    uint64_t value[2];
    uint8_t vec[16] = {1, 2, 3, [15] = 9}, vec_back[16];
    RegIo io[] = {{STUB_REG(3), &value[0]}, {STUB_REG(4), &value[1]}};
    CHECK_INT(e.be->vcpu->get_regs(e.v, io, 2, &bad, NULL), 0);
    CHECK_INT(value[0], (uint64_t)EV_LINE << 48 | 0x1234ull << 16 | 0x5600 | 1);
    CHECK_INT(value[1], 0x1008 + BREAK_ACCESS);
    CHECK_INT(e.be->vcpu->breaks(e.v, NULL, 0, NULL), 0);
    CHECK_INT(e.be->vcpu->set_regs(e.v, &(RegIo){STUB_VEC, vec}, 1, &bad, NULL), 0);
    CHECK_INT(e.be->vcpu->get_regs(e.v, &(RegIo){STUB_VEC, vec_back}, 1, &bad, NULL), 0);
    CHECK(!memcmp(vec, vec_back, 16));
    CHECK_INT(e.be->vcpu->get_regs(e.v, NULL, 0, &bad, NULL), 0);
    RunArgs args = RUN_FOREVER;
    VmExit exit;
    args.deadline_ns = os_now_ns() + 3000000;
    CHECK_INT(stub_program(e.be, e.v, STUB_SPIN), 0);
    CHECK_INT(e.be->vcpu->run(e.v, &args, &exit, NULL), 0);
    CHECK_INT(exit.kind, EXIT_canceled);
    CHECK(os_now_ns() >= args.deadline_ns);
    CHECK_INT(e.be->vcpu->setup(e.v, &(VcpuSetup){.entry = {0x77}}, NULL), 0);
    CHECK_INT(e.be->vcpu->get_regs(e.v, &(RegIo){STUB_REG(2), value}, 1, &bad, NULL), 0);
    CHECK_INT(value[0], 0x77);
    ends_close(&e);
}

static BeVm *lazy_vm(Ends *e)
{
    Caps caps;
    BeVm *vm = NULL;
    CHECK_INT(e->be->open(e->be, GUEST_x86_64, &caps, NULL), 0);
    CHECK_INT(e->be->vm->create(e->be, &(VmConfig){.guest = GUEST_x86_64, .is_lazy = true}, &vm, NULL), 0);
    return vm;
}

TEST(remote, what_a_lazy_vm_puts_off_is_done_by_the_time_it_settles)
{
    Ends e;
    if (!ends_open(&e, false)) {
        return;
    }
    BeVm *vm = lazy_vm(&e);
    RamId ram = 99;
    BeVcpu *v = NULL;
    VmExit exit;
    uint32_t word = 0x12345678, got = 0;
    CHECK_INT(atomic_load(&stub_vms), 0); /* nothing was sent */
    CHECK_INT(e.be->vm->ram_create(vm, 65536, &ram, NULL), 0);
    CHECK_INT(e.be->vm->map(vm, (Gpa){0}, 65536, ram, 0, MAP_R | MAP_W | MAP_X, NULL), 0);
    for (uint64_t i = 0; i < 200; i++) { /* more than may be unanswered */
        CHECK_INT(e.be->vm->mem_write(vm, (Gpa){i * 4}, &word, 4, NULL), 0);
    }
    CHECK_INT(e.be->vcpu->create(vm, &(VcpuConfig){.id = 0}, &v, NULL), 0);
    CHECK_INT(e.be->vcpu->setup(v, &(VcpuSetup){.entry = {0x1000}}, NULL), 0);
    CHECK_INT(stub_program(e.be, v, STUB_SPIN), 0);
    e.be->vcpu->kick(v); /* of a vcpu that is not there yet */
    CHECK_INT(e.be->vm->settle(vm, NULL), 0);
    CHECK_INT(e.be->vm->mem_read(vm, (Gpa){796}, &got, 4, NULL), 0);
    CHECK_INT(got, word);
    CHECK_INT(e.be->vcpu->run(v, &RUN_FOREVER, &exit, NULL), 0);
    CHECK_INT(exit.kind, EXIT_canceled);
    e.v = v;
    e.vm = vm;
    ends_close(&e);
    CHECK_INT(atomic_load(&stub_vms), 0);
}

TEST(remote, the_first_failure_of_a_lazy_vm_is_told_once_and_nothing_after_it_is_tried)
{
    for (int by_settle = 0; by_settle < 2; by_settle++) {
        Ends e;
        if (!ends_open(&e, false)) {
            return;
        }
        BeVm *vm = lazy_vm(&e);
        RamId ram = 0;
        BeVcpu *v = NULL;
        Err err = {0};
        uint8_t byte = 0;
        CHECK_INT(e.be->vm->ram_create(vm, 65536, &ram, NULL), 0);
        CHECK_INT(e.be->vm->map(vm, (Gpa){0}, 65536, ram, 4096, MAP_R, NULL), 0); /* the stub refuses an offset */
        CHECK_INT(e.be->vm->mem_write(vm, (Gpa){1 << 30}, &byte, 1, NULL), 0);    /* and this, if it came */
        CHECK_INT(e.be->vcpu->create(vm, &(VcpuConfig){.id = 0}, &v, NULL), 0);
        int rc = by_settle ? e.be->vm->settle(vm, &err) : e.be->vm->mem_read(vm, (Gpa){0}, &byte, 1, &err);
        CHECK(rc < 0 && rc != -ERR_STATE && rc != -ERR_FAULT);
        CHECK_INT(err.code, -rc);
        CHECK_INT(atomic_load(&stub_vcpus), 0);
        CHECK_INT(e.be->vm->settle(vm, &err), 0);
        CHECK_INT(e.be->vm->map(vm, (Gpa){0}, 65536, ram, 0, MAP_R, &err), 0); /* each by itself again */
        CHECK_INT(e.be->vm->mem_write(vm, (Gpa){1 << 30}, &byte, 1, &err), -ERR_FAULT);
        e.be->vcpu->destroy(v); /* one that never was */
        CHECK_INT(e.be->vm->mem_read(vm, (Gpa){0}, &byte, 1, &err), 0);
        e.vm = vm;
        ends_close(&e);
    }
}

TEST(remote, a_vm_goes_after_its_vcpu_whichever_thread_has_it)
{
    Ends e;
    VmExit exit;
    if (!ends_open(&e, false)) {
        return;
    }
    for (int i = 0; i < WIRE_VMS_MAX + 10; i++) { /* one that stayed would be one too many in the end */
        if (!ends_vcpu(&e)) {
            break;
        }
        CHECK_INT(stub_program(e.be, e.v, STUB_SPIN), 0);
        RunArgs args = RUN_FOREVER;
        args.deadline_ns = os_now_ns() + 400000; /* long enough for the watcher to take over */
        CHECK_INT(e.be->vcpu->run(e.v, &args, &exit, NULL), 0);
        e.be->vcpu->destroy(e.v);
        e.be->vm->destroy(e.vm);
        e.v = NULL;
        e.vm = NULL;
    }
    ends_close(&e);
    CHECK_INT(atomic_load(&stub_vms), 0);
}
