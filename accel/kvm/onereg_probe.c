/* SPDX-License-Identifier: Apache-2.0
 * onereg_probe.c - are signed loads from a device sign-extended? Some kernels, or emulated
 * processors that report the access to them, lose the sign. One guest instruction tells, through
 * the backend itself. */
#if !defined(__x86_64__)
#include "accel/kvm/kvm.h"
#include "sim/base/os.h"

extern const Backend backend_kvm;

enum { RAM_BYTES = 0x10000 };
#define CODE_AT 0x80000000ull
#define HOLE_AT 0x10000000ull
#define WAIT_NS 60000000000ull

#if defined(__aarch64__)
static const uint32_t load_signed = 0x39800022; /* ldrsb x2, [x1] */
enum { REG_BASE = 1, REG_DEST = 2 };
#else
static const uint32_t load_signed = 0x00058603; /* lb a2, 0(a1) */
enum { REG_BASE = 11, REG_DEST = 12 };
#endif

static RegId gpr(uint64_t n)
{
    return REG_ID(kvm_arch_guest, 3, REG_GPR, n);
}

/* 1 extended, 0 not, -1 the guest did something else. */
static int load_once(BeVm *vm, BeVcpu *v)
{
    const VcpuOps *ops = backend_kvm.vcpu;
    uint64_t base = HOLE_AT, value = 0;
    size_t bad;
    RamId ram;
    VmExit exit;
    RunArgs args = RUN_FOREVER;
    RegIo in = {gpr(REG_BASE), &base}, out = {gpr(REG_DEST), &value};
    args.deadline_ns = os_now_ns() + WAIT_NS;
    if (kvm_ram_create(vm, RAM_BYTES, &ram, NULL) ||
        kvm_map(vm, (Gpa){CODE_AT}, RAM_BYTES, ram, 0, MAP_R | MAP_W | MAP_X, NULL) ||
        kvm_mem_write(vm, (Gpa){CODE_AT}, &load_signed, sizeof load_signed, NULL) ||
        ops->setup(v, &(VcpuSetup){.entry = {CODE_AT}}, NULL) || ops->set_regs(v, &in, 1, &bad, NULL) ||
        ops->run(v, &args, &exit, NULL) || exit.kind != EXIT_mmio_read ||
        ops->reply(v, &(Reply){.value = 0x80}, NULL) || ops->get_regs(v, &out, 1, &bad, NULL)) {
        return -1;
    }
    return value == 0xffffffffffffff80;
}

static int result = -1; /* written once, under the pthread_once below */

static void probe_once(void)
{
    VmConfig cfg = {.guest = kvm_arch_guest};
    VcpuConfig vcpu = {.id = 0};
    BeVm *vm = NULL;
    BeVcpu *v = NULL;
    if (backend_kvm.vm->create(&backend_kvm, &cfg, &vm, NULL)) {
        return;
    }
    if (backend_kvm.vcpu->create(vm, &vcpu, &v, NULL) == 0) {
        kvm_arch_probed(v);
        result = load_once(vm, v);
        backend_kvm.vcpu->destroy(v);
    }
    backend_kvm.vm->destroy(vm);
}

void kvm_onereg_probe(Caps *caps)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, probe_once);
    if (result == 0) {
        kvm_cap_set(caps, CAP_mmio_data, CAP_PARTIAL,
                    "signed loads from a device arrive zero-extended on this host (a probe)");
    }
}
#endif
