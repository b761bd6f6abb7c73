/* SPDX-License-Identifier: Apache-2.0
 * ctl.c - what only KVM has, by name. Arguments and answers are 64-bit little-endian numbers, as a scenario's `native` gives
 * them; v: asks about a vcpu.
 *   kvm.check_extension cap             -> KVM_CHECK_EXTENSION on the VM
 *   kvm.enable_cap cap arg0             KVM_ENABLE_CAP on the VM
 *   kvm.exit_reason (v)                 -> of the last exit
 *   kvm.irq_line gsi level              KVM_IRQ_LINE, as vm_irq_line
 *   kvm.msi addr data                   KVM_SIGNAL_MSI, as vm_msi
 *   kvm.ioeventfd addr size flags data  -> handle; a store there counts and does not exit. size 0: any; flags 1: only of
 *                                       data, 2: a port
 *   kvm.irqfd gsi                       -> handle; a signal raises the line
 *   kvm.route_msi gsi addr data         with irqchip split: a signal of an irqfd of that gsi is this message; one that is level
 *                                       triggered (data bit 15) has its end of interrupt exit
 *   kvm.eventfd_signal handle           kvm.eventfd_read handle -> the count, which becomes 0
 *   kvm.coalesced addr size is_pio on   stores there are gathered and do not exit, until the ring is full
 *   kvm.coalesced_get (v)               -> {addr, size, value} of each gathered store, oldest first
 *   kvm.dirty_ring bytes                before the first vcpu: the dirty log by rings of that size, a power of 2
 *   kvm.dirty_ring_fulls                -> how often a vcpu has left the guest as its ring was full
 *   kvm.sw_break on (v)                 the guest's breakpoint instruction is an exit, and not for the guest
 * aarch64 and riscv64:
 *   kvm.one_reg_get id (v)              -> KVM_GET_ONE_REG of the kernel's own id, of up to 8 bytes
 *   kvm.one_reg_set id value (v)        KVM_SET_ONE_REG
 * x86_64 alone:
 *   kvm.cpuid leaf subleaf eax ebx ecx edx (v)  what CPUID answers there; before the vcpu's first entry
 *   kvm.cpuid_get leaf subleaf (v)      -> {eax, ebx, ecx, edx} as set for the vcpu; nothing where the leaf is not
 *   kvm.sync_regs valid dirty rax (v)   -> errno of a KVM_RUN that runs nothing, with these in kvm_valid_regs and
 *                                       kvm_dirty_regs and rax in the general registers of kvm_run */
#include "accel/kvm/kvm.h"
#if defined(__x86_64__)
#include "accel/kvm/x86_64.h"
#endif

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MAX_ARGS = 6, MAX_EVENTFDS = 64 };
typedef struct {
    BeVm *vm;
    BeVcpu *v; /* NULL where the call does not want one */
    uint64_t arg[MAX_ARGS];
    Buf *out;
} Ctl;

static int ctl_check_extension(const Ctl *c, Err *err)
{
    (void)err;
    buf_le(c->out, (uint64_t)kvm_check(c->vm->fd, (int)c->arg[0]), 8);
    return 0;
}

static int ctl_enable_cap(const Ctl *c, Err *err)
{
    int rc = kvm_enable_cap(c->vm->fd, (uint32_t)c->arg[0], c->arg[1]);
    return rc < 0 ? kvm_err(err, rc, "KVM_ENABLE_CAP") : 0;
}

static int ctl_exit_reason(const Ctl *c, Err *err)
{
    (void)err;
    buf_le(c->out, c->v->run->exit_reason, 8);
    return 0;
}

static int ctl_irq_line(const Ctl *c, Err *err)
{
    return kvm_arch_irq_line(c->vm, (uint32_t)c->arg[0], c->arg[1] != 0, err);
}

static int ctl_msi(const Ctl *c, Err *err)
{
    return kvm_arch_msi(c->vm, c->arg[0], (uint32_t)c->arg[1], err);
}

/* ---- eventfds: a handle is an index ---- */
static int eventfd_new(BeVm *vm, Err *err)
{
    if (vm->eventfds.n == MAX_EVENTFDS) {
        return err_set(err, ERR_LIMIT, "%d eventfds; the limit is the same", (int)MAX_EVENTFDS);
    }
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? err_native(err, ERR_HOST, errno, "eventfd") : fd;
}

static int eventfd_keep(const Ctl *c, int fd, int rc, const char *what, Err *err)
{
    if (rc < 0) {
        close(fd);
        return kvm_err(err, rc, what);
    }
    VEC_PUSH(&c->vm->eventfds, fd);
    buf_le(c->out, c->vm->eventfds.n - 1, 8);
    return 0;
}

static int ctl_ioeventfd(const Ctl *c, Err *err)
{
    enum { ONLY_DATA = 1, PORT = 2 };
    int fd = eventfd_new(c->vm, err);
    if (fd < 0) {
        return fd;
    }
    struct kvm_ioeventfd e = {.addr = c->arg[0], .len = (uint32_t)c->arg[1], .fd = fd, .datamatch = c->arg[3]};
    e.flags = (c->arg[2] & ONLY_DATA ? 1u << kvm_ioeventfd_flag_nr_datamatch : 0) |
              (c->arg[2] & PORT ? 1u << kvm_ioeventfd_flag_nr_pio : 0);
    return eventfd_keep(c, fd, kvm_ioctl(c->vm->fd, KVM_IOEVENTFD, &e), "KVM_IOEVENTFD", err);
}

static int ctl_irqfd(const Ctl *c, Err *err)
{
    int fd = eventfd_new(c->vm, err);
    if (fd < 0) {
        return fd;
    }
    struct kvm_irqfd e = {.fd = (uint32_t)fd, .gsi = (uint32_t)c->arg[0]};
    return eventfd_keep(c, fd, kvm_ioctl(c->vm->fd, KVM_IRQFD, &e), "KVM_IRQFD", err);
}

static int ctl_route_msi(const Ctl *c, Err *err)
{
    enum { MAX_ROUTES = 64 };
    BeVm *vm = c->vm;
    if (vm->irqchip != IRQCHIP_SPLIT) { /* a table replaces the routes of the chips in the kernel */
        return err_unsupported(err, "kvm", "route_msi", "needs irqchip split");
    }
    if (vm->routes.n == MAX_ROUTES) {
        return err_set(err, ERR_LIMIT, "%d routes; the limit is the same", (int)MAX_ROUTES);
    }
    struct kvm_irq_routing_entry e = {.gsi = (uint32_t)c->arg[0], .type = KVM_IRQ_ROUTING_MSI};
    e.u.msi.address_lo = (uint32_t)c->arg[1];
    e.u.msi.address_hi = (uint32_t)(c->arg[1] >> 32);
    e.u.msi.data = (uint32_t)c->arg[2];
    VEC_PUSH(&vm->routes, e);
    struct kvm_irq_routing *table = x_alloc(sizeof *table + vm->routes.n * sizeof e);
    table->nr = (uint32_t)vm->routes.n;
    memcpy(table->entries, vm->routes.items, vm->routes.n * sizeof e);
    int rc = kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, table);
    mem_free(table);
    if (rc < 0) {
        vm->routes.n--;
    }
    return rc < 0 ? kvm_err(err, rc, "KVM_SET_GSI_ROUTING") : 0;
}

static int eventfd_of(const Ctl *c, Err *err)
{
    return c->arg[0] < c->vm->eventfds.n ? c->vm->eventfds.items[c->arg[0]]
                                         : err_set(err, ERR_NOENT, "no eventfd %llu", (unsigned long long)c->arg[0]);
}

static int ctl_eventfd_signal(const Ctl *c, Err *err)
{
    uint64_t one = 1;
    int fd = eventfd_of(c, err);
    if (fd < 0) {
        return fd;
    }
    return write(fd, &one, sizeof one) == sizeof one ? 0 : err_native(err, ERR_HOST, errno, "write to an eventfd");
}

static int ctl_eventfd_read(const Ctl *c, Err *err)
{
    uint64_t count = 0;
    int fd = eventfd_of(c, err);
    if (fd < 0) {
        return fd;
    }
    if (read(fd, &count, sizeof count) != sizeof count) {
        count = 0; /* EAGAIN: nothing since the last time */
    }
    buf_le(c->out, count, 8);
    return 0;
}

/* ---- coalesced accesses (api.rst 4.116): one ring for the VM, in the pages of every vcpu ---- */
static struct kvm_coalesced_mmio_ring *coalesced_ring(const BeVcpu *v)
{
    size_t page = (size_t)kvm_check(v->vm->fd, KVM_CAP_COALESCED_MMIO);
    bool fits = page && (page + 1) * v->vm->mem.page_bytes <= v->vm->run_bytes;
    return fits ? (struct kvm_coalesced_mmio_ring *)((uint8_t *)v->run + page * v->vm->mem.page_bytes) : NULL;
}

static int ctl_coalesced(const Ctl *c, Err *err)
{
    struct kvm_coalesced_mmio_zone z = {.addr = c->arg[0], .size = (uint32_t)c->arg[1], .pio = c->arg[2] != 0};
    bool on = c->arg[3] != 0;
    int rc = kvm_ioctl(c->vm->fd, on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &z);
    return rc < 0 ? kvm_err(err, rc, on ? "KVM_REGISTER_COALESCED_MMIO" : "KVM_UNREGISTER_COALESCED_MMIO") : 0;
}

static int ctl_coalesced_get(const Ctl *c, Err *err)
{
    struct kvm_coalesced_mmio_ring *ring = coalesced_ring(c->v);
    if (!ring) {
        return err_unsupported(err, "kvm", "coalesced", "no KVM_CAP_COALESCED_MMIO");
    }
    uint32_t nslots = (uint32_t)((c->vm->mem.page_bytes - sizeof *ring) / sizeof ring->coalesced_mmio[0]);
    uint32_t first = ring->first, last = __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE);
    while (first != last && first < nslots) {
        const struct kvm_coalesced_mmio *e = &ring->coalesced_mmio[first];
        uint64_t value = 0;
        memcpy(&value, e->data, e->len <= sizeof value ? e->len : sizeof value);
        buf_le(c->out, e->phys_addr, 8);
        buf_le(c->out, e->len, 8);
        buf_le(c->out, value, 8);
        first = (first + 1) % nslots;
        __atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
    }
    return 0;
}

static int ctl_dirty_ring(const Ctl *c, Err *err)
{
    return kvm_ring_enable(c->vm, c->arg[0], err);
}

static int ctl_dirty_ring_fulls(const Ctl *c, Err *err)
{
    (void)err;
    pthread_mutex_lock(&c->vm->slots_lock);
    buf_le(c->out, c->vm->nring_fulls, 8);
    pthread_mutex_unlock(&c->vm->slots_lock);
    return 0;
}

static int ctl_sw_break(const Ctl *c, Err *err)
{
    const char *why = kvm_arch_no_sw_break();
    if (why) {
        return err_unsupported(err, "kvm", "sw_break", why);
    }
    c->v->has_sw_break = c->arg[0] != 0;
    return 0;
}

#if defined(__x86_64__)
static int ctl_cpuid(const Ctl *c, Err *err)
{
    uint32_t leaf[6];
    for (size_t i = 0; i < ARRAY_LEN(leaf); i++) {
        leaf[i] = (uint32_t)c->arg[i];
    }
    return x86_cpuid_put(c->v, leaf[0], leaf[1], leaf + 2, err);
}

static int ctl_cpuid_get(const Ctl *c, Err *err)
{
    uint32_t regs[4];
    int found = x86_cpuid_get(c->v, (uint32_t)c->arg[0], (uint32_t)c->arg[1], regs, err);
    for (size_t i = 0; found > 0 && i < ARRAY_LEN(regs); i++) {
        buf_le(c->out, regs[i], 8);
    }
    return found < 0 ? found : 0;
}

static int ctl_sync_regs(const Ctl *c, Err *err)
{
    int rc = x86_sync_regs(c->v, c->arg[0], c->arg[1], c->arg[2], err);
    if (rc >= 0) {
        buf_le(c->out, (uint64_t)rc, 8);
    }
    return rc < 0 ? rc : 0;
}
#define CTLS_OF_ARCH CTL(cpuid, 6, true) CTL(cpuid_get, 2, true) CTL(sync_regs, 3, true)
#else
static int one_reg_call(const Ctl *c, unsigned long request, uint64_t *value, Err *err)
{
    uint64_t lg2 = (c->arg[0] & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT;
    struct kvm_one_reg reg = {.id = c->arg[0], .addr = (uintptr_t)value};
    int rc = lg2 > 3 ? err_set(err, ERR_INVAL, "a register of %llu bytes; the limit is 8", 1ull << lg2)
                     : kvm_look_write(c->v, err);
    return rc ? rc
              : kvm_get(c->v, request, &reg, request == KVM_GET_ONE_REG ? "KVM_GET_ONE_REG" : "KVM_SET_ONE_REG", err);
}

static int ctl_one_reg_get(const Ctl *c, Err *err)
{
    uint64_t value = 0;
    int rc = one_reg_call(c, KVM_GET_ONE_REG, &value, err);
    if (!rc) {
        buf_le(c->out, value, 8);
    }
    return rc;
}

static int ctl_one_reg_set(const Ctl *c, Err *err)
{
    uint64_t value = c->arg[1];
    return one_reg_call(c, KVM_SET_ONE_REG, &value, err);
}
#define CTLS_OF_ARCH CTL(one_reg_get, 1, true) CTL(one_reg_set, 2, true)
#endif

static const struct {
    unsigned nargs;
    bool wants_vcpu;
    int (*call)(const Ctl *c, Err *err);
} table[] = {
#define CTL(name, nargs, wants_vcpu) {nargs, wants_vcpu, ctl_##name},
#define CTLS                                                                                                           \
    CTL(check_extension, 1, false)                                                                                     \
    CTL(enable_cap, 2, false)                                                                                          \
    CTL(exit_reason, 0, true)                                                                                          \
    CTL(irq_line, 2, false)                                                                                            \
    CTL(msi, 2, false)                                                                                                 \
    CTL(ioeventfd, 4, false)                                                                                           \
    CTL(irqfd, 1, false)                                                                                               \
    CTL(route_msi, 3, false)                                                                                           \
    CTL(eventfd_signal, 1, false)                                                                                      \
    CTL(eventfd_read, 1, false)                                                                                        \
    CTL(coalesced, 4, false)                                                                                           \
    CTL(coalesced_get, 0, true)                                                                                        \
    CTL(dirty_ring, 1, false)                                                                                          \
    CTL(dirty_ring_fulls, 0, false)                                                                                    \
    CTL(sw_break, 1, true)                                                                                             \
    CTLS_OF_ARCH
    CTLS
#undef CTL
};

const char *const kvm_ctls[] = {
#define CTL(name, nargs, wants_vcpu) "kvm." #name,
    CTLS
#undef CTL
        NULL};

int kvm_ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (strcmp(kvm_ctls[i], name) != 0) {
            continue;
        }
        if (nin != 8 * table[i].nargs) {
            return err_set(err, ERR_INVAL, "%s takes %u numbers of 8 bytes, not %zu bytes", name, table[i].nargs, nin);
        }
        if (table[i].wants_vcpu && !v) {
            return err_set(err, ERR_INVAL, "%s asks about a vcpu", name);
        }
        Ctl ctl = {.vm = vm, .v = v, .out = out};
        Cursor c = cursor_of(in, nin);
        for (unsigned k = 0; k < table[i].nargs; k++) {
            ctl.arg[k] = cursor_le(&c, 8);
        }
        return table[i].call(&ctl, err);
    }
    return err_unsupported(err, "kvm", name, "no such control");
}
