/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/rig.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>

/* ---- opening ---- */
static const Backend *fake(void)
{
    return backend_find("fake");
}

static int open_with(const Backend *b, const VmConfig *cfg, Err *err)
{
    static const VmConfig plain = {.guest = GUEST_riscv64};
    Vm *vm = NULL;
    int rc = vm_open(b, cfg ? cfg : &plain, NULL, NULL, &vm, err);
    CHECK((rc == 0) == (vm != NULL));
    vm_close(vm);
    return rc;
}

static Caps changed_caps;
static int open_changed(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    (void)b;
    (void)guest;
    (void)err;
    *caps = changed_caps;
    return 0;
}

TEST(vm, a_backend_with_gaps_is_not_opened)
{
    Err err = {0};
    Backend b = *fake();
    VmOps vm = *b.vm;
    VcpuOps vcpu = *b.vcpu;
    b.vm = &vm;
    b.vcpu = &vcpu;
    CHECK_INT(open_with(&b, NULL, &err), 0);
    vcpu.breaks = NULL;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "backend fake: entry vcpu.breaks is missing although it declares hw_break");
    vcpu = *fake()->vcpu;
    vcpu.kick = NULL;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "backend fake: entry vcpu.kick is missing");
    vcpu.breaks = NULL;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "backend fake: entry vcpu.kick is missing; so is vcpu.breaks");
    vcpu.run = NULL;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "backend fake: entry vcpu.run is missing; so are vcpu.kick, vcpu.breaks");
    vcpu = *fake()->vcpu;
    vm.dirty_get = NULL;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    vm = *fake()->vm;
    vm.size_bytes = 8;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_VERSION);
    vm = *fake()->vm;
    b.abi = 2;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_VERSION);
    CHECK_STR(err.text, "backend fake: ABI 2, this program has 1");
}

TEST(vm, a_backend_without_a_name_or_a_way_in_is_not_opened)
{
    Err err = {0};
    Caps caps;
    Backend b = *fake();
    VcpuOps vcpu = *b.vcpu;
    b.vcpu = &vcpu;
    vcpu.size_bytes = 8;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_VERSION);
    CHECK_STR(err.text, "backend fake: its VcpuOps are shorter than this ABI's");
    b.open = NULL;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "backend fake: no name or no open");
    CHECK_INT(fake()->open(fake(), GUEST_COUNT, &caps, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "fake: no guest");
}

TEST(vm, capabilities_that_make_no_sense_are_refused)
{
    Err err = {0};
    Backend b = *fake();
    CHECK_INT(b.open(&b, GUEST_x86_64, &changed_caps, NULL), 0);
    Caps good = changed_caps;
    b.open = open_changed;
    CHECK_INT(open_with(&b, NULL, &err), 0);
    changed_caps.level[CAP_msi] = CAP_PARTIAL;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "backend fake: no reason why msi is partial");
    changed_caps = good;
    changed_caps.page_bytes = 3000;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    changed_caps = good;
    changed_caps.level[CAP_msi] = CAP_FULL + 1;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "backend fake: level 4 of msi");
    changed_caps = good;
    changed_caps.max_vcpus = 0;
    CHECK_INT(open_with(&b, NULL, &err), -ERR_INVAL);
    CHECK_STR(err.text, "backend fake: max_vcpus is 0");
    changed_caps = good;
    changed_caps.level[CAP_env_machine] = CAP_NONE;
    changed_caps.why[CAP_env_machine] = "no highest level";
    CHECK_INT(open_with(&b, &(VmConfig){.guest = GUEST_x86_64, .env = ENV_MACHINE}, &err), -ERR_UNSUPPORTED);
    CHECK_STR(err.feature, "env_machine");
}

TEST(vm, the_configuration_is_checked)
{
    Err err = {0};
    CHECK_INT(open_with(fake(), &(VmConfig){0}, &err), -ERR_INVAL);
    CHECK_INT(open_with(fake(), &(VmConfig){.guest = GUEST_COUNT}, &err), -ERR_INVAL);
    CHECK_INT(open_with(fake(), &(VmConfig){.guest = GUEST_x86_64, .max_vcpus = 257}, &err), -ERR_LIMIT);
    CHECK_INT(open_with(fake(), &(VmConfig){.guest = GUEST_x86_64, .options = "speed=9"}, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "max_pages=N");
    vm_close(NULL);
}

TEST(vm, vcpus_have_ids_and_are_bounded)
{
    Rig r;
    Vcpu *v;
    rig_open(&r, NULL, &(VmConfig){.guest = GUEST_aarch64, .max_vcpus = 2});
    CHECK_INT(vcpu_new(r.vm, &(VcpuConfig){.id = 0}, &v, NULL), -ERR_EXIST);
    CHECK_INT(vcpu_new(r.vm, &(VcpuConfig){.id = 255}, &v, NULL), 0);
    CHECK(vm_vcpu(r.vm, 255) == v);
    CHECK(vm_vcpu(r.vm, 1) == NULL);
    CHECK_INT(vcpu_id(v), 255);
    CHECK(vcpu_vm(v) == r.vm);
    CHECK_INT(vcpu_new(r.vm, &(VcpuConfig){.id = 3}, &v, NULL), -ERR_LIMIT);
    CHECK_INT(vm_intercept(r.vm, IC_CPUID, 0, 1, true, NULL), -ERR_STATE);
    rig_close(&r);
}

/* ---- memory ---- */
enum { K4 = 0x1000, RWX = MAP_R | MAP_W | MAP_X };
#define NEAR_END 0xfffffffffffff000ull

TEST(vm, maps_are_checked_before_any_backend_sees_them)
{
    Rig r;
    RamId ram;
    Err err = {0};
    rig_open(&r, NULL, NULL);
    CHECK_INT(vm_ram_new(r.vm, 0x10001, &ram, NULL), -ERR_ALIGN);
    CHECK_INT(vm_ram_new(r.vm, 0, &ram, NULL), -ERR_INVAL);
    CHECK_INT(vm_ram_new(r.vm, 0x10000, &ram, NULL), 0);
    CHECK_INT(vm_map(r.vm, (Gpa){0x1234}, K4, ram, 0, RWX, NULL), -ERR_ALIGN);
    CHECK_INT(vm_map(r.vm, (Gpa){0x1000}, 0x123, ram, 0, RWX, NULL), -ERR_ALIGN);
    CHECK_INT(vm_map(r.vm, (Gpa){0x1000}, K4, ram, 0x10, RWX, NULL), -ERR_ALIGN);
    CHECK_INT(vm_map(r.vm, (Gpa){0x1000}, 0, ram, 0, RWX, NULL), -ERR_INVAL);
    CHECK_INT(vm_map(r.vm, (Gpa){NEAR_END}, 2 * K4, ram, 0, RWX, NULL), -ERR_INVAL);
    CHECK_INT(vm_map(r.vm, (Gpa){0x1000}, K4, ram, 0x10000, RWX, NULL), -ERR_INVAL);
    CHECK_INT(vm_map(r.vm, (Gpa){0x1000}, 2 * K4, ram, ~0xfffull, RWX, NULL), -ERR_INVAL);
    CHECK_INT(vm_map(r.vm, (Gpa){0x1000}, K4, ram + 1, 0, RWX, NULL), -ERR_NOENT);
    CHECK_INT(vm_map(r.vm, (Gpa){0x1000}, K4, ram, 0, 64, NULL), -ERR_INVAL);
    CHECK(!rig_log_has(&r, "vm.map"));
    CHECK_INT(vm_map(r.vm, (Gpa){NEAR_END}, K4, ram, 0, RWX, NULL), 0); /* up to the last byte */
    CHECK_INT(vm_map(r.vm, (Gpa){0x4000}, 2 * K4, ram, 0, RWX, NULL), 0);
    CHECK_INT(vm_map(r.vm, (Gpa){0x5000}, K4, ram, 0, RWX, &err), -ERR_EXIST);
    CHECK_HAS(err.text, "meet the region at 0x4000");
    CHECK_INT(vm_map(r.vm, (Gpa){0x3000}, 2 * K4, ram, 0, RWX, NULL), -ERR_EXIST);
    CHECK_INT(vm_map(r.vm, (Gpa){0x4000}, 2 * K4, ram, 0x2000, RWX, NULL), -ERR_EXIST);
    CHECK_INT(vm_map(r.vm, (Gpa){0x4000}, 2 * K4, ram, 0, MAP_R, NULL), 0); /* other flags */
    CHECK_INT(vm_unmap(r.vm, (Gpa){0x4000}, K4, NULL), -ERR_NOENT);
    CHECK_INT(vm_unmap(r.vm, (Gpa){0x4000}, 2 * K4, NULL), 0);
    CHECK_INT(vm_unmap(r.vm, (Gpa){0x4000}, 2 * K4, NULL), -ERR_NOENT);
    rig_close(&r);
}

/* A capability that is not there is the reason, and the backend is not asked. */
TEST(vm, what_a_backend_does_not_have_is_refused_with_its_reason)
{
    static const VmConfig cfg = {.guest = GUEST_x86_64};
    static const Cap lacks[] = {CAP_map, CAP_dirty_log, CAP_save};
    Err err = {0};
    Vm *vm = NULL;
    RamId ram;
    uint8_t byte = 0;
    Backend b = *fake();
    VmOps ops = *b.vm;
    CHECK_INT(b.open(&b, GUEST_x86_64, &changed_caps, NULL), 0);
    b.open = open_changed;
    b.vm = &ops;
    ops.intercept = NULL;
    ops.restore = NULL;
    for (size_t i = 0; i < ARRAY_LEN(lacks); i++) {
        changed_caps.level[lacks[i]] = CAP_NONE;
        changed_caps.why[lacks[i]] = "it is a stone";
    }
    if (!CHECK(!vm_open(&b, &cfg, NULL, NULL, &vm, &err))) {
        printf("%s\n", err.text);
        return;
    }
    CHECK_INT(vm_ram_new(vm, K4, &ram, &err), -ERR_UNSUPPORTED);
    CHECK_STR(err.text, "fake: map: it is a stone");
    CHECK_INT(vm_map(vm, (Gpa){0}, K4, 0, 0, RWX, NULL), -ERR_UNSUPPORTED);
    CHECK_INT(vm_unmap(vm, (Gpa){0}, K4, NULL), -ERR_UNSUPPORTED);
    CHECK_INT(vm_mem_read(vm, (Gpa){0}, &byte, 1, NULL), -ERR_UNSUPPORTED);
    CHECK_INT(vm_mem_write(vm, (Gpa){0}, &byte, 1, NULL), -ERR_UNSUPPORTED);
    CHECK_INT(vm_dirty_get(vm, (Gpa){0}, K4, &byte, false, &err), -ERR_UNSUPPORTED);
    CHECK_STR(err.feature, "dirty_log");
    CHECK_INT(vm_intercept(vm, IC_HYPERCALL, 0, 0, true, &err), -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "this backend has no such entry");
    CHECK_INT(vm_restore(vm, "", 0, &err), -ERR_UNSUPPORTED);
    vm_close(vm);
    CHECK_INT(vm_open(fake(), &cfg, NULL, NULL, &vm, &err), 0);
    CHECK_INT(vm_intercept(vm, IC_CPUID, 2, 1, true, &err), -ERR_INVAL);
    CHECK_STR(err.text, "intercept: 0x2 is above 0x1");
    vm_close(vm);
}

typedef struct {
    Vm *vm;
    int settle, ctl;
} Last;

static void last_calls(void *ctx, const BoardBus *bus)
{
    Last *last = ctx;
    if (bus) {
        last->vm = bus->vm;
    } else {
        last->settle = vm_settle(last->vm, NULL);
        last->ctl = vm_ctl(last->vm, NULL, "fake.log", NULL, 0, NULL, NULL);
    }
}

TEST(vm, what_is_asked_of_it_while_it_closes_is_refused)
{
    Last last = {0};
    Board board = {.ctx = &last, .attach = last_calls};
    Rig r;
    rig_open(&r, NULL, &(VmConfig){.guest = GUEST_x86_64, .board = &board});
    rig_close(&r);
    CHECK_INT(last.settle, -ERR_STATE);
    CHECK_INT(last.ctl, -ERR_STATE);
}

TEST(vm, there_is_an_end_to_regions)
{
    Rig r;
    RamId ram;
    unsigned n = 0;
    rig_open(&r, NULL, NULL);
    uint32_t max = vm_caps(r.vm)->max_regions;
    CHECK_INT(vm_ram_new(r.vm, K4, &ram, NULL), 0);
    while (n <= max && !vm_map(r.vm, (Gpa){(max - n) * 0x10000ull}, K4, ram, 0, RWX, NULL)) {
        n++;
    }
    CHECK_INT(n, max);
    CHECK_INT(vm_map(r.vm, (Gpa){1ull << 40}, K4, ram, 0, RWX, NULL), -ERR_LIMIT);
    rig_close(&r);
}

TEST(vm, memory_is_read_and_written_whole_or_not_at_all)
{
    Rig r;
    RamId ram;
    uint8_t in[0x1800], out[0x1800];
    memset(in, 0x5a, sizeof in);
    rig_open(&r, NULL, NULL);
    CHECK_INT(vm_ram_new(r.vm, 0x4000, &ram, NULL), 0);
    CHECK_INT(vm_map(r.vm, (Gpa){0x11000}, K4, ram, 0x2000, MAP_R, NULL), 0);
    CHECK_INT(vm_map(r.vm, (Gpa){0x10000}, K4, ram, 0, RWX, NULL), 0);
    CHECK_INT(vm_mem_write(r.vm, (Gpa){0x10800}, in, 0x1801, NULL), -ERR_FAULT);
    CHECK_INT(vm_mem_read(r.vm, (Gpa){0x10800}, out, 0x1800, NULL), 0);
    CHECK_INT(out[0], 0);
    CHECK_INT(vm_mem_write(r.vm, (Gpa){0x10800}, in, 0x1800, NULL), 0); /* over two regions, one read-only */
    CHECK_INT(vm_mem_read(r.vm, (Gpa){0x10800}, out, 0x1800, NULL), 0);
    CHECK(!memcmp(in, out, sizeof in));
    CHECK_INT(vm_mem_read(r.vm, (Gpa){0xfff0}, out, 0x20, NULL), -ERR_FAULT);
    CHECK_INT(vm_mem_read(r.vm, (Gpa){~0ull}, out, 2, NULL), -ERR_FAULT);
    CHECK_INT(vm_mem_read(r.vm, (Gpa){0xfff0}, out, 0, NULL), 0);
    rig_close(&r);
}

TEST(vm, the_dirty_log_is_a_bit_per_page)
{
    Rig r;
    RamId ram;
    uint8_t bits[2] = {0xff, 0xff};
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    CHECK_INT(vm_ram_new(r.vm, 10 * K4, &ram, NULL), 0);
    CHECK_INT(vm_map(r.vm, (Gpa){0}, 10 * K4, ram, 0, RWX | MAP_LOG_DIRTY, NULL), 0);
    CHECK_INT(vm_mem_write(r.vm, (Gpa){0x1fff}, "ab", 2, NULL), 0);
    rig_script(&r, "write 0x9008 c0ffee; dirty 0x4000; hypercall nr=1");
    VmExit e;
    CHECK_INT(rig_run(&r, &e), 0);
    CHECK_INT(vm_dirty_get(r.vm, (Gpa){0}, 10 * K4, bits, false, NULL), 0);
    CHECK_INT(bits[0], 0x16);
    CHECK_INT(bits[1], 0x02);
    CHECK_INT(vm_dirty_get(r.vm, (Gpa){0x1000}, K4, bits, true, NULL), 0);
    CHECK_INT(bits[0], 1);
    CHECK_INT(vm_dirty_get(r.vm, (Gpa){0}, 10 * K4, bits, true, NULL), 0);
    CHECK_INT(bits[0], 0x14);
    CHECK_INT(vm_dirty_get(r.vm, (Gpa){0}, 11 * K4, bits, true, NULL), -ERR_FAULT);
    CHECK_INT(vm_map(r.vm, (Gpa){0}, 10 * K4, ram, 0, RWX, NULL), 0);
    CHECK_INT(vm_dirty_get(r.vm, (Gpa){0}, 10 * K4, bits, true, NULL), -ERR_NOENT);
    rig_close(&r);
}

TEST(vm, the_rest_goes_down_to_the_backend)
{
    Rig r;
    Buf b = {0};
    Err err = {0};
    uint64_t ns = 12345, now = 0;
    rig_open(&r, NULL, NULL);
    CHECK_INT(vm_irq_line(r.vm, 5, true, NULL), 0);
    CHECK_INT(vm_msi(r.vm, 0xfee00000, 0x41, NULL), 0);
    CHECK(rig_log_has(&r, "vm.irq_line thread 0 gsi 5 level 1 -> 0"));
    CHECK(rig_log_has(&r, "vm.msi thread 0 addr 0xfee00000 data 0x41 -> 0"));
    CHECK_INT(vm_clock(r.vm, true, &ns, NULL), 0);
    CHECK_INT(vm_save(r.vm, &b, NULL), 0);
    ns = 1;
    CHECK_INT(vm_clock(r.vm, true, &ns, NULL), 0);
    CHECK_INT(vm_restore(r.vm, b.data, b.n, NULL), 0);
    CHECK_INT(vm_clock(r.vm, false, &now, NULL), 0);
    CHECK_INT(now, 12345);
    CHECK_INT(vm_restore(r.vm, b.data, b.n - 1, NULL), -ERR_INVAL);
    b.data[0] ^= 1;
    CHECK_INT(vm_restore(r.vm, b.data, b.n, NULL), -ERR_VERSION);
    buf_clear(&b);
    CHECK_INT(rig_ctl(&r, "fake.fail", "vm.save IO", NULL, NULL), 0);
    CHECK_INT(vm_save(r.vm, &b, NULL), -ERR_IO);
    CHECK_INT(vm_ctl(r.vm, NULL, "kvm.ioeventfd", "", 0, &b, &err), -ERR_UNSUPPORTED);
    CHECK_STR(err.feature, "kvm.ioeventfd");
    buf_free(&b);
    rig_close(&r);
}

/* ---- the loop ---- */
typedef struct {
    uint64_t last, value;
    unsigned naccess;
    int rc;
} Device;

static bool claims(void *ctx, ExitKind kind, uint64_t addr, bool *is_traced)
{
    (void)ctx;
    bool is_mmio = kind == EXIT_mmio_read || kind == EXIT_mmio_write;
    *is_traced = addr != 0xd0000100;
    return (is_mmio && addr >> 12 == 0xd0000) || (kind == EXIT_io_read && addr == 0x60);
}

static int device_access(void *ctx, uint8_t vcpu, const VmExit *e, Reply *r, Err *err)
{
    (void)vcpu;
    Device *d = ctx;
    d->naccess++;
    d->last = e->value;
    r->value = d->value;
    return d->rc ? err_set(err, -d->rc, "the device is on fire") : 0;
}

static void board_of(Board *b, Device *d)
{
    *b = (Board){.ctx = d, .claims = claims, .access = device_access};
}

TEST(loop, the_board_completes_with_the_right_width_and_sign)
{
    Rig r;
    Board b;
    VmExit e;
    Device d = {.value = 0xffffffffffffff80};
    board_of(&b, &d);
    rig_open(&r, NULL, &(VmConfig){.guest = GUEST_x86_64, .board = &b});
    rig_setup(&r, 0);
    rig_script(&r, "set rax=-1 rbx=-1 rcx=-1 rdx=-1 rsi=0x1122334455667788;"
                   "mmio_read addr=0xd0000000 size=1 signed=1 reg=rax reg_size=8;"
                   "mmio_read addr=0xd0000000 size=1 reg=rbx reg_size=8;"
                   "mmio_read addr=0xd0000000 size=4 reg=rcx reg_size=4;"
                   "mmio_read addr=0xd0000000 size=1 reg=rsi reg_size=1;"
                   "mmio_write addr=0xd0000008 size=4 value=77; io_read port=0x60 size=1 reply-to=rdx;"
                   "mmio_read addr=0xd0000100 size=8 reg=r8; io_read port=0x61 size=1");
    CHECK_STR(rig_heard(&r), "init Created>Ready 0; ");
    VmRunArgs args = {.until = RUN_FOREVER};
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_io_read); /* nobody claims port 0x61 */
    CHECK_INT(e.addr, 0x61);
    CHECK(!e.is_completed);
    CHECK(vcpu_reply_due(r.v));
    CHECK_INT(d.naccess, 7);
    CHECK_INT(rig_reg(&r, "rax"), 0xffffffffffffff80);
    CHECK_INT(rig_reg(&r, "rbx"), 0x80);
    CHECK_INT(rig_reg(&r, "rcx"), 0xffffff80);
    CHECK_INT(rig_reg(&r, "rsi"), 0x1122334455667780);
    CHECK_INT(rig_reg(&r, "rdx"), 0xffffffffffffff80); /* AL, the rest is kept */
    CHECK_INT(rig_reg(&r, "r8"), 0xffffffffffffff80);
    const char *heard = rig_heard(&r);
    CHECK_HAS(heard, "exit* mmio_read addr 0xd0000000 size 1; ");
    CHECK_HAS(heard, "exit* mmio_write addr 0xd0000008 size 4 value 0x4d; ");
    CHECK_HAS(heard, "exit io_read port 0x61 size 1; ");
    CHECK(!strstr(heard, "0xd0000100")); /* claimed, but never traced */
    rig_close(&r);
}

TEST(loop, the_vcpu_is_bound_around_it_on_every_path)
{
    Rig r;
    Board b;
    VmExit e;
    Err err = {0};
    Device d = {0};
    board_of(&b, &d);
    VmRunArgs args = {.until = RUN_FOREVER};
    rig_open(&r, &life_axvcpu, &(VmConfig){.guest = GUEST_riscv64, .board = &b});
    rig_setup(&r, 0);
    rig_script(&r, "hypercall nr=1; mmio_read addr=0xd0000000 size=1 reg=a0; error IO");
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_STR(rig_state(&r), "Free");
    CHECK_HAS(rig_heard(&r), "bind Free>Ready 0; run Ready>Running 0; exit hypercall nr 0x1 args 0x0 0x0 0x0 "
                             "0x0 0x0 0x0; run Running>Ready 0; unbind Ready>Free 0; ");
    d.rc = -ERR_IO;
    CHECK_INT(vm_run(r.vm, &args, &e, &err), -ERR_IO);
    CHECK_STR(err.text, "the device is on fire");
    CHECK_STR(rig_state(&r), "Free"); /* upstream's loop forgets it here */
    CHECK_INT(vcpu_reply(r.v, &(Reply){0}, NULL), 0);
    CHECK_INT(vm_run(r.vm, &args, &e, &err), -ERR_IO);
    CHECK_HAS(err.text, "the script says");
    CHECK_STR(rig_state(&r), "Invalid");
    CHECK_INT(vm_run(r.vm, &args, &e, &err), -ERR_STATE);
    CHECK_HAS(err.text, "but Invalid");
    rig_close(&r);
}

static Vcpu *add_vcpu(Rig *r, uint8_t id, bool is_secondary, const char *script)
{
    Vcpu *v;
    Buf out = {0};
    CHECK(vcpu_new(r->vm, &(VcpuConfig){.id = id, .hw_id = id, .is_secondary = is_secondary}, &v, NULL) == 0);
    CHECK(vcpu_setup(v, NULL, NULL) == 0);
    CHECK(vm_ctl(r->vm, v, "fake.script", script, strlen(script), &out, NULL) == 0);
    return v;
}

TEST(loop, round_robin_gives_each_its_quantum)
{
    Rig r;
    VmExit e;
    rig_open(&r, NULL, NULL);
    rig_setup(&r, 0);
    rig_script(&r, "spin forever=1");
    add_vcpu(&r, 1, false, "work insns=25; hypercall nr=1");
    VmRunArgs args = {.until = RUN_FOREVER, .quantum_insns = 10, .is_round_robin = true};
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    CHECK_INT(e.vcpu, 1);
    CHECK_INT(e.insns, 26);
    args.until.insns = 15; /* of both together */
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_unsupported);
    CHECK_INT(e.vcpu, 1);
    args.until.insns = 7;
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_budget);
    CHECK_INT(e.vcpu, 0);
    CHECK_INT(e.insns, 47); /* three turns, one before vcpu 1 ended, and the rest */
    rig_close(&r);
}

typedef struct {
    GuestId guest;
    const char *ret, *arg;
    uint64_t ok, already, no_such;
} Start;

static void start_secondary(const Start *s)
{
    Rig r;
    VmExit e;
    VmRunArgs args = {.until = RUN_FOREVER, .quantum_insns = 10, .is_round_robin = true};
    rig_open(&r, NULL, &(VmConfig){.guest = s->guest, .firmware = FW_BOARD});
    rig_setup(&r, 0);
    Vcpu *ap = add_vcpu(&r, 1, true, "work insns=1; cpu_down; hypercall nr=2");
    rig_script(&r, "nothing; cpu_up target=1 entry=0x8000 arg=9; work insns=5; cpu_up target=7;"
                   "hypercall nr=1");
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_nothing);
    rig_heard(&r);
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_hypercall);
    CHECK_INT(e.vcpu, 0);
    CHECK_INT(rig_reg(&r, s->ret), s->no_such);
    CHECK_HAS(rig_heard(&r), "exit* cpu_up target 0x1 entry 0x8000 arg 0x9; ");
    uint8_t pc[8] = {0}, arg[8] = {0};
    RegIo io[] = {{.id = reg_find(s->guest, "pc")->id, .bytes = pc},
                  {.id = reg_find(s->guest, s->arg)->id, .bytes = arg}};
    CHECK_INT(vcpu_get_regs(ap, io, 2, NULL, NULL), 0);
    CHECK_INT(pc[1], 0x80);
    CHECK_INT(arg[0], 9);
    rig_script(&r, "cpu_up target=1; hypercall nr=3");
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(rig_reg(&r, s->ret), s->already);
    rig_script(&r, "work insns=40; cpu_up target=1 entry=0x9000; hypercall nr=3");
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0); /* it went down in its turn, and comes up again */
    CHECK_INT(rig_reg(&r, s->ret), s->ok);
    CHECK_INT(e.vcpu, 0);
    rig_script(&r, "spin forever=1");
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.vcpu, 1);
    CHECK_INT(e.addr, 2);
    rig_close(&r);
}

TEST(loop, the_board_firmware_starts_and_stops_secondaries)
{
    start_secondary(&(Start){GUEST_riscv64, "a0", "a1", 0, (uint64_t)-6, (uint64_t)-3});
    start_secondary(&(Start){GUEST_aarch64, "x0", "x0", 0, (uint64_t)-4, (uint64_t)-2});
}

TEST(loop, without_firmware_the_caller_starts_them)
{
    Rig r;
    VmExit e;
    VmRunArgs args = {.until = RUN_FOREVER, .quantum_insns = 10, .is_round_robin = true};
    rig_open(&r, NULL, &(VmConfig){.guest = GUEST_riscv64});
    rig_setup(&r, 0);
    add_vcpu(&r, 1, true, "hypercall nr=2");
    rig_script(&r, "work insns=30; cpu_up target=1 entry=0x8000; spin forever=1");
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.kind, EXIT_cpu_up);
    CHECK(!e.is_completed);
    CHECK_INT(vm_run(r.vm, &args, &e, NULL), 0);
    CHECK_INT(e.vcpu, 1);
    CHECK_INT(e.addr, 2);
    rig_close(&r);
}

TEST(loop, with_nothing_to_run_it_says_so)
{
    Vm *vm;
    VmExit e;
    Err err = {0};
    Rig r;
    VmRunArgs args = {.until = RUN_FOREVER};
    CHECK_INT(vm_open(fake(), &(VmConfig){.guest = GUEST_x86_64}, NULL, NULL, &vm, NULL), 0);
    CHECK_INT(vm_run(vm, &args, &e, &err), -ERR_STATE);
    CHECK_HAS(err.text, "no vcpu to boot on");
    vm_close(vm);
    rig_open(&r, NULL, NULL);
    args.is_round_robin = true;
    CHECK_INT(vm_run(r.vm, &args, &e, &err), -ERR_STATE);
    CHECK_HAS(err.text, "not allowed in state Created");
    rig_close(&r);
}
