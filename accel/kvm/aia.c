/* SPDX-License-Identifier: Apache-2.0
 * aia.c - the interrupt controllers in the kernel for riscv64 guests: one APLIC for wires, which sends messages, and an IMSIC
 * for each vcpu (RISC-V AIA 1.0; the kernel's device KVM_DEV_TYPE_RISCV_AIA of Linux 6.5, Documentation/virt/kvm/api.rst 4.79
 * and asm/kvm.h). The addresses are those of QEMU's machine `virt`: the APLIC of S-mode, and one page for the IMSIC of each
 * vcpu in the order in which they were made. gsi n is source n of the APLIC. */
#if defined(__riscv)
#include "accel/kvm/riscv64.h"

#include <errno.h>

enum { APLIC_ADDR = 0x0d000000, IMSIC_ADDR = 0x28000000, IMSIC_BYTES = 0x1000, NSOURCES = 63 };
enum { MAX_IMSICS = 512, TAG_AIA = 17, NIDS = 63 /* which every host's KVM takes */ };
/* Newer than the headers that this must build with. */
enum { DEV_TYPE_AIA = 11 };
enum { GRP_CONFIG = 0, GRP_ADDR = 1, GRP_CTRL = 2, GRP_APLIC = 3, GRP_IMSIC = 4 };
enum { CONFIG_IDS = 1, CONFIG_SRCS = 2, CONFIG_HART_BITS = 5, CTRL_INIT = 0, IMSIC_ISEL_BITS = 12 };

static int attr_call(const BeVm *vm, unsigned long request, uint32_t group, uint64_t attr, void *value)
{
    struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};
    return kvm_ioctl(vm->irqchip_fd, request, &a);
}

static int config_set(const BeVm *vm, uint64_t attr, uint32_t value)
{
    return attr_call(vm, KVM_SET_DEVICE_ATTR, GRP_CONFIG, attr, &value);
}

bool aia_exists(int vm_fd)
{
    struct kvm_create_device d = {.type = DEV_TYPE_AIA, .flags = KVM_CREATE_DEVICE_TEST};
    return kvm_ioctl(vm_fd, KVM_CREATE_DEVICE, &d) >= 0;
}

int aia_create(BeVm *vm, Err *err)
{
    struct kvm_create_device d = {.type = DEV_TYPE_AIA};
    uint64_t aplic = APLIC_ADDR;
    int rc = kvm_ioctl(vm->fd, KVM_CREATE_DEVICE, &d);
    if (rc < 0) {
        return kvm_err(err, rc, "KVM_CREATE_DEVICE of an AIA");
    }
    vm->irqchip_fd = (int)d.fd;
    if ((rc = config_set(vm, CONFIG_IDS, NIDS)) < 0 || (rc = config_set(vm, CONFIG_SRCS, NSOURCES)) < 0 ||
        (rc = attr_call(vm, KVM_SET_DEVICE_ATTR, GRP_ADDR, 0, &aplic)) < 0) {
        return kvm_err(err, rc, "KVM_SET_DEVICE_ATTR: identities, sources and address of the AIA");
    }
    return 0;
}

static int init(BeVm *vm)
{
    uint32_t bits = 0;
    while (1u << bits < vm->nmade) {
        bits++;
    }
    int rc = config_set(vm, CONFIG_HART_BITS, bits);
    for (uint32_t i = 0; rc >= 0 && i < vm->nmade; i++) {
        uint64_t at = IMSIC_ADDR + (uint64_t)i * IMSIC_BYTES;
        rc = attr_call(vm, KVM_SET_DEVICE_ATTR, GRP_ADDR, 1 + i, &at);
    }
    return rc < 0 ? rc : attr_call(vm, KVM_SET_DEVICE_ATTR, GRP_CTRL, CTRL_INIT, NULL);
}

int aia_ready(BeVm *vm, Err *err)
{
    int rc = 0;
    pthread_mutex_lock(&vm->lock);
    if (!vm->is_irqchip_ready && vm->nmade > MAX_IMSICS) {
        rc = err_set(err, ERR_LIMIT, "%u vcpus with irqchip kernel; the limit is %d", vm->nmade, (int)MAX_IMSICS);
    } else if (!vm->is_irqchip_ready) {
        rc = init(vm);
        rc = rc < 0 ? kvm_err(err, rc, "KVM_SET_DEVICE_ATTR: CTRL_INIT of the AIA") : 0;
        vm->is_irqchip_ready = rc == 0;
    }
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

int aia_line(BeVm *vm, uint32_t gsi, bool level, Err *err)
{
    if (gsi == 0 || gsi > NSOURCES) {
        return err_set(err, ERR_INVAL, "gsi %u: source 1 to %d of the APLIC", gsi, (int)NSOURCES);
    }
    int rc = aia_ready(vm, err);
    struct kvm_irq_level line = {.irq = gsi, .level = level};
    if (!rc && (rc = kvm_ioctl(vm->fd, KVM_IRQ_LINE, &line)) < 0) {
        return kvm_err(err, rc, "KVM_IRQ_LINE");
    }
    return rc < 0 ? rc : 0;
}

int aia_msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err)
{
    int rc = aia_ready(vm, err);
    struct kvm_msi msi = {.address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data};
    if (!rc && (rc = kvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &msi)) < 0) {
        return kvm_err(err, rc, "KVM_SIGNAL_MSI");
    }
    return rc < 0 ? rc : 0;
}

/* ---- state: the registers in the order in which they are written back ---- */
typedef struct {
    uint32_t first, count;
    uint32_t clear; /* offset of the registers whose ones clear these; 0 = writing sets them as they are */
} Bank;
/* domaincfg, sourcecfg, target, setie, setip (AIA 4.5) */
enum { WORDS = NSOURCES / 32 + 1 };
static const Bank aplic_banks[] = {
    {0, 1, 0}, {4, NSOURCES, 0}, {0x3004, NSOURCES, 0}, {0x1e00, WORDS, 0x1f00}, {0x1c00, WORDS, 0x1d00}};
/* eidelivery, eithreshold, eip0, eie0: of 64 bits each (AIA 3.8) */
static const uint32_t imsic_regs[] = {0x70, 0x72, 0x80, 0xc0};

/* One pass over all registers: into out, or from in. */
typedef struct {
    const BeVm *vm;
    Buf *out;
    Cursor *in;
} Pass;

static int word_pass(const Pass *p, uint32_t group, uint64_t attr, size_t n)
{
    unsigned long value = p->in ? (unsigned long)cursor_le(p->in, n) : 0;
    uint32_t word = (uint32_t)value;
    int rc = attr_call(p->vm, p->in ? KVM_SET_DEVICE_ATTR : KVM_GET_DEVICE_ATTR, group, attr,
                       n == 8 ? (void *)&value : (void *)&word);
    if (p->out) {
        buf_le(p->out, n == 8 ? value : word, n);
    }
    return rc;
}

static int state_pass(const Pass *p)
{
    int rc = 0;
    for (size_t b = 0; b < ARRAY_LEN(aplic_banks); b++) {
        const Bank *bank = &aplic_banks[b];
        for (uint32_t i = 0; rc >= 0 && i < bank->count; i++) {
            uint32_t ones = UINT32_MAX;
            if (p->in && bank->clear) {
                rc = attr_call(p->vm, KVM_SET_DEVICE_ATTR, GRP_APLIC, bank->clear + 4 * i, &ones);
            }
            rc = rc < 0 ? rc : word_pass(p, GRP_APLIC, bank->first + 4 * i, 4);
        }
    }
    for (uint64_t v = 0; v < p->vm->nmade; v++) {
        for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(imsic_regs); i++) {
            rc = word_pass(p, GRP_IMSIC, v << IMSIC_ISEL_BITS | imsic_regs[i], 8);
        }
    }
    return rc;
}

static size_t state_bytes(const BeVm *vm)
{
    size_t words = 0;
    for (size_t b = 0; b < ARRAY_LEN(aplic_banks); b++) {
        words += aplic_banks[b].count;
    }
    return 4 * words + 8 * ARRAY_LEN(imsic_regs) * vm->nmade;
}

/* The line levels are not in it: whoever holds a line high says so again. */
int aia_save(BeVm *vm, Buf *out, Err *err)
{
    int rc = aia_ready(vm, err);
    if (rc) {
        return rc;
    }
    buf_le(out, TAG_AIA, 4);
    buf_le(out, state_bytes(vm), 4);
    rc = state_pass(&(Pass){.vm = vm, .out = out});
    return rc < 0 ? kvm_err(err, rc, "KVM_GET_DEVICE_ATTR of the AIA") : 0;
}

int aia_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    Cursor c = cursor_of(bytes, n);
    uint64_t tag = cursor_le(&c, 4), length = cursor_le(&c, 4);
    if (tag != TAG_AIA || length != cursor_left(&c) || length != state_bytes(vm)) {
        return err_set(err, ERR_VERSION, "VM state of %zu bytes is none of an AIA with %u vcpus", n, vm->nmade);
    }
    int rc = aia_ready(vm, err);
    if (rc) {
        return rc;
    }
    rc = state_pass(&(Pass){.vm = vm, .in = &c});
    return rc < 0 ? kvm_err(err, rc, "KVM_SET_DEVICE_ATTR of the AIA") : 0;
}
#endif
