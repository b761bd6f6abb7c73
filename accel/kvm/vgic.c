/* SPDX-License-Identifier: Apache-2.0
 * vgic.c - the interrupt controller in the kernel for aarch64 guests: GICv3, or GICv2 where the host has only that
 * (Documentation/virt/kvm/devices/arm-vgic-v3.rst, arm-vgic.rst). Its addresses are those of QEMU's machine `virt`. gsi n is
 * SPI n (INTID 32 + n), gsi below 96. */
#if defined(__aarch64__)
#include "accel/kvm/aarch64.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { DIST_ADDR = 0x08000000, CPU_ADDR = 0x08010000, REDIST_ADDR = 0x080a0000, NINTIDS = 128, NSPIS = NINTIDS - 32 };
enum { MAX_REDISTS = 123 }; /* up to the device that follows at 0x09000000 */

static int attr_call(int fd, unsigned long request, uint32_t group, uint64_t attr, void *value)
{
    struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};
    return kvm_ioctl(fd, request, &a);
}

static int attr_set(int fd, uint32_t group, uint64_t attr, void *value, const char *what, Err *err)
{
    int rc = attr_call(fd, KVM_SET_DEVICE_ATTR, group, attr, value);
    return rc < 0 ? kvm_err(err, rc, what) : 0;
}

static int device_new(int vm_fd, uint32_t type, uint32_t flags)
{
    struct kvm_create_device d = {.type = type, .flags = flags};
    int rc = kvm_ioctl(vm_fd, KVM_CREATE_DEVICE, &d);
    return rc < 0 ? rc : (int)d.fd;
}

VgicKind vgic_kind(int vm_fd)
{
    if (device_new(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V3, KVM_CREATE_DEVICE_TEST) >= 0) {
        return VGIC_V3;
    }
    return device_new(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V2, KVM_CREATE_DEVICE_TEST) >= 0 ? VGIC_V2 : VGIC_NONE;
}

int vgic_create(BeVm *vm, Err *err)
{
    bool is_v3 = vgic_kind(vm->fd) == VGIC_V3;
    uint32_t nintids = NINTIDS;
    uint64_t dist = DIST_ADDR, second = is_v3 ? REDIST_ADDR : CPU_ADDR;
    vm->irqchip_fd = device_new(vm->fd, is_v3 ? KVM_DEV_TYPE_ARM_VGIC_V3 : KVM_DEV_TYPE_ARM_VGIC_V2, 0);
    if (vm->irqchip_fd < 0) {
        return kvm_err(err, vm->irqchip_fd, "KVM_CREATE_DEVICE of a vGIC");
    }
    int rc = attr_set(vm->irqchip_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nintids, "KVM_SET_DEVICE_ATTR: NR_IRQS", err);
    if (!rc) {
        rc = attr_set(vm->irqchip_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
                      is_v3 ? KVM_VGIC_V3_ADDR_TYPE_DIST : KVM_VGIC_V2_ADDR_TYPE_DIST, &dist,
                      "KVM_SET_DEVICE_ATTR: address of the distributor", err);
    }
    if (!rc) {
        rc = attr_set(vm->irqchip_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
                      is_v3 ? KVM_VGIC_V3_ADDR_TYPE_REDIST : KVM_VGIC_V2_ADDR_TYPE_CPU, &second,
                      "KVM_SET_DEVICE_ATTR: address of the redistributors or the CPU interface", err);
    }
    return rc;
}

/* Once all vcpus are there; none can be made afterwards. */
int vgic_ready(BeVm *vm, Err *err)
{
    int rc = 0;
    pthread_mutex_lock(&vm->lock);
    if (!vm->is_irqchip_ready) {
        rc = vm->vcpus.n > MAX_REDISTS ? err_set(err, ERR_LIMIT, "%zu vcpus with irqchip kernel; the limit is %d",
                                                 vm->vcpus.n, (int)MAX_REDISTS)
                                       : attr_set(vm->irqchip_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT,
                                                  NULL, "KVM_SET_DEVICE_ATTR: VGIC_CTRL_INIT", err);
        vm->is_irqchip_ready = rc == 0;
    }
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

int vgic_line(BeVm *vm, uint32_t gsi, bool level, Err *err)
{
    if (gsi >= NSPIS) {
        return err_set(err, ERR_INVAL, "gsi %u: SPI 0 to %d", gsi, (int)NSPIS - 1);
    }
    int rc = vgic_ready(vm, err);
    if (rc) {
        return rc;
    }
    struct kvm_irq_level line = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (32 + gsi), .level = level};
    rc = kvm_ioctl(vm->fd, KVM_IRQ_LINE, &line);
    return rc < 0 ? kvm_err(err, rc, "KVM_IRQ_LINE") : 0;
}

/* ---- state: the registers in the order in which they are written back ---- */
typedef struct {
    uint32_t group, first, count, stride;
    uint64_t before; /* offset of the register whose ones clear this one, plus 1; 0 = writing sets it as it is */
} Bank;
enum { WORDS = NINTIDS / 32 };
#define DIST(first, count)                                                                                             \
    {                                                                                                                  \
        KVM_DEV_ARM_VGIC_GRP_DIST_REGS, first, count, 4, 0                                                             \
    }
#define DIST_BITS(set, clear)                                                                                          \
    {                                                                                                                  \
        KVM_DEV_ARM_VGIC_GRP_DIST_REGS, set, WORDS, 4, (clear) + 1                                                     \
    }
#define REDIST(first, count)                                                                                           \
    {                                                                                                                  \
        KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, first, count, 4, 0                                                           \
    }
#define REDIST_BITS(set, clear)                                                                                        \
    {                                                                                                                  \
        KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, set, 1, 4, (clear) + 1                                                       \
    }
#define CPU_REG(first, count)                                                                                          \
    {                                                                                                                  \
        KVM_DEV_ARM_VGIC_GRP_CPU_REGS, first, count, 4, 0                                                              \
    }
#define BANKED_BITS(set, clear, count)                                                                                 \
    {                                                                                                                  \
        KVM_DEV_ARM_VGIC_GRP_DIST_REGS, set, count, 4, (clear) + 1                                                     \
    }
/* GICD_: IGROUPR, IPRIORITYR, ICFGR, IROUTER, ISENABLER, ISPENDR, ISACTIVER; GICR_: WAKER, and those of SGIs and PPIs (IHI 0069H, 12.8 to 12.11) */
static const Bank v3_dist[] = {
    DIST(0x80, WORDS),       DIST(0x400, NINTIDS / 4), DIST(0xc00, NINTIDS / 16), DIST(0x6000 + 8 * 32, 2 * NSPIS),
    DIST_BITS(0x100, 0x180), DIST(0x200, WORDS),       DIST_BITS(0x300, 0x380)};
/* GICD_CTLR comes before all others: nothing that pends is queued while the distributor is off. */
static const Bank v3_head[] = {DIST(0, 1)};
static const Bank v3_cpu[] = {REDIST(0x14, 1),
                              REDIST(0x10080, 1),
                              REDIST(0x10400, 8),
                              REDIST(0x10c00, 2),
                              REDIST_BITS(0x10100, 0x10180),
                              REDIST(0x10200, 1),
                              REDIST_BITS(0x10300, 0x10380)};
/* The first words are of SGIs and PPIs, and each vcpu has its own: GICD_ IGROUPR, IPRIORITYR, ICFGR, ISENABLER, ISPENDR, ISACTIVER,
 * SPENDSGIR; GICC_ CTLR, PMR, BPR, ABPR, APR0 (IHI 0048B, 4.3 and 4.4). With GICD_IIDR the kernel is told that groups may be written. */
static const Bank v2_head[] = {DIST(0, 1), DIST(8, 1)};
static const Bank v2_cpu[] = {DIST(0x80, 1),
                              DIST(0x400, 8),
                              DIST(0xc00, 2),
                              BANKED_BITS(0x100, 0x180, 1),
                              BANKED_BITS(0x200, 0x280, 1),
                              BANKED_BITS(0x300, 0x380, 1),
                              BANKED_BITS(0xf20, 0xf10, 4),
                              CPU_REG(0, 3),
                              CPU_REG(0x1c, 1),
                              CPU_REG(0xd0, 1)};
static const Bank v2_dist[] = {DIST(0x84, WORDS - 1),
                               DIST(0x400 + 32, NSPIS / 4),
                               DIST(0x800 + 32, NSPIS / 4),
                               DIST(0xc00 + 8, NSPIS / 16),
                               BANKED_BITS(0x104, 0x184, WORDS - 1),
                               BANKED_BITS(0x204, 0x284, WORDS - 1),
                               BANKED_BITS(0x304, 0x384, WORDS - 1)};
#define ICC(op1, crn, crm, op2) (3u << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
/* SRE, CTLR, BPR0, BPR1, PMR, AP0R0, AP1R0, IGRPEN0, IGRPEN1 */
static const uint32_t v3_cpu_regs[] = {ICC(0, 12, 12, 5), ICC(0, 12, 12, 4), ICC(0, 12, 8, 3),
                                       ICC(0, 12, 12, 3), ICC(0, 4, 6, 0),   ICC(0, 12, 8, 4),
                                       ICC(0, 12, 9, 0),  ICC(0, 12, 12, 6), ICC(0, 12, 12, 7)};

typedef struct {
    uint32_t tag;
    const Bank *head, *cpu, *dist;
    size_t nhead, ncpu, ndist;
    const uint32_t *cpu_regs; /* of 8 bytes each */
    size_t ncpu_regs;
} Layout;
static const Layout layout_v3 = {16,
                                 v3_head,
                                 v3_cpu,
                                 v3_dist,
                                 ARRAY_LEN(v3_head),
                                 ARRAY_LEN(v3_cpu),
                                 ARRAY_LEN(v3_dist),
                                 v3_cpu_regs,
                                 ARRAY_LEN(v3_cpu_regs)};
static const Layout layout_v2 = {
    18, v2_head, v2_cpu, v2_dist, ARRAY_LEN(v2_head), ARRAY_LEN(v2_cpu), ARRAY_LEN(v2_dist), NULL, 0};

static const Layout *layout_of(const BeVm *vm)
{
    return vgic_kind(vm->fd) == VGIC_V3 ? &layout_v3 : &layout_v2;
}

/* One pass over all registers: into out, or from in. */
typedef struct {
    int fd;
    const Layout *layout;
    Buf *out;
    Cursor *in;
} Pass;

static int word_pass(const Pass *p, uint32_t group, uint64_t attr, size_t n)
{
    uint64_t value = 0;
    uint32_t word;
    void *at = n == 8 ? (void *)&value : (void *)&word;
    if (p->out) {
        int rc = attr_call(p->fd, KVM_GET_DEVICE_ATTR, group, attr, at);
        buf_le(p->out, n == 8 ? value : word, n);
        return rc;
    }
    value = cursor_le(p->in, n);
    word = (uint32_t)value;
    return attr_call(p->fd, KVM_SET_DEVICE_ATTR, group, attr, at);
}

static int bank_pass(const Pass *p, const Bank *b, uint64_t cpu)
{
    int rc = 0;
    for (uint32_t i = 0; rc >= 0 && i < b->count; i++) {
        uint32_t ones = UINT32_MAX;
        uint64_t offset = (uint64_t)i * b->stride;
        if (p->in && b->before) {
            rc = attr_call(p->fd, KVM_SET_DEVICE_ATTR, b->group, cpu | (b->before - 1 + offset), &ones);
        }
        rc = rc < 0 ? rc : word_pass(p, b->group, cpu | (b->first + offset), 4);
    }
    return rc;
}

static int banks_pass(const Pass *p, const Bank *banks, size_t n, uint64_t cpu)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        rc = bank_pass(p, &banks[i], cpu);
    }
    return rc;
}

/* The kernel names a vcpu by its affinity in a GICv3, by its id in a GICv2. */
static int cpu_pass(const Pass *p, const BeVcpu *v)
{
    bool is_v3 = p->layout == &layout_v3;
    uint64_t cpu =
        is_v3 ? v->cfg.hw_id << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT : (uint64_t)v->kvm_id << KVM_DEV_ARM_VGIC_CPUID_SHIFT;
    int rc = banks_pass(p, p->layout->cpu, p->layout->ncpu, cpu);
    for (size_t i = 0; rc >= 0 && i < p->layout->ncpu_regs; i++) {
        rc = word_pass(p, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, cpu | p->layout->cpu_regs[i], 8);
    }
    return rc;
}

static size_t banks_words(const Bank *banks, size_t n)
{
    size_t words = 0;
    for (size_t i = 0; i < n; i++) {
        words += banks[i].count;
    }
    return words;
}

static size_t state_bytes(const Layout *l, size_t ncpus)
{
    return 4 * (banks_words(l->head, l->nhead) + banks_words(l->dist, l->ndist)) +
           ncpus * (8 + 4 * banks_words(l->cpu, l->ncpu) + 8 * l->ncpu_regs);
}

/* The vcpu of a chunk: by its affinity. */
static const BeVcpu *chunk_vcpu(const BeVm *vm, const Pass *p, size_t nth)
{
    if (p->out) {
        buf_le(p->out, vm->vcpus.items[nth]->cfg.hw_id, 8);
        return vm->vcpus.items[nth];
    }
    uint64_t hw_id = cursor_le(p->in, 8);
    for (size_t i = 0; i < vm->vcpus.n; i++) {
        if (vm->vcpus.items[i]->cfg.hw_id == hw_id) {
            return vm->vcpus.items[i];
        }
    }
    return NULL;
}

static int state_pass(const BeVm *vm, const Pass *p)
{
    const Layout *l = p->layout;
    int rc = banks_pass(p, l->head, l->nhead, 0);
    for (size_t i = 0; rc >= 0 && i < vm->vcpus.n; i++) {
        const BeVcpu *v = chunk_vcpu(vm, p, i);
        rc = v ? cpu_pass(p, v) : -ENOENT;
    }
    return rc < 0 ? rc : banks_pass(p, l->dist, l->ndist, 0);
}

/* The line levels are not in it: whoever holds a line high says so again. */
int vgic_save(BeVm *vm, Buf *out, Err *err)
{
    const Layout *l = layout_of(vm);
    int rc = vgic_ready(vm, err);
    if (rc) {
        return rc;
    }
    buf_le(out, l->tag, 4);
    buf_le(out, state_bytes(l, vm->vcpus.n), 4);
    rc = state_pass(vm, &(Pass){.fd = vm->irqchip_fd, .layout = l, .out = out});
    return rc < 0 ? kvm_err(err, rc, "KVM_GET_DEVICE_ATTR of the vGIC") : 0;
}

int vgic_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    const Layout *l = layout_of(vm);
    Cursor c = cursor_of(bytes, n);
    uint64_t tag = cursor_le(&c, 4), length = cursor_le(&c, 4);
    if (tag != l->tag || length != cursor_left(&c) || length != state_bytes(l, vm->vcpus.n)) {
        return err_set(err, ERR_VERSION, "VM state of %zu bytes is none of this host's vGIC with %zu vcpus", n,
                       vm->vcpus.n);
    }
    int rc = vgic_ready(vm, err);
    if (rc) {
        return rc;
    }
    rc = state_pass(vm, &(Pass){.fd = vm->irqchip_fd, .layout = l, .in = &c});
    return rc < 0 ? kvm_err(err, rc, "KVM_SET_DEVICE_ATTR of the vGIC") : 0;
}
#endif
