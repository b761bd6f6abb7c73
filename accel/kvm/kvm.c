/* SPDX-License-Identifier: Apache-2.0
 * kvm.c - the backend's table, open(), and the life of a VM and its vcpus. */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern const Backend backend_kvm;

enum { MAX_REGIONS = 1024, MAX_VCPUS = 256 };

int kvm_check(int fd, int cap)
{
    int rc = ioctl(fd, KVM_CHECK_EXTENSION, cap);
    return rc > 0 ? rc : 0;
}

int kvm_ioctl_once(int fd, unsigned long request, void *arg)
{
    int rc = ioctl(fd, request, arg);
    return rc < 0 ? -errno : rc;
}

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int rc;
    do {
        rc = kvm_ioctl_once(fd, request, arg);
    } while (rc == -EINTR);
    return rc;
}

int kvm_err(Err *err, int negative_errno, const char *what)
{
    int code = ERR_HOST;
    switch (-negative_errno) {
    case EINVAL:
        code = ERR_INVAL;
        break;
    case ENOMEM:
        code = ERR_NOMEM;
        break;
    case EACCES:
    case EPERM:
        code = ERR_DENIED;
        break;
    case EEXIST:
        code = ERR_EXIST;
        break;
    case EBUSY:
        code = ERR_BUSY;
        break;
    default:
        break;
    }
    return err_native(err, code, -negative_errno, "%s", what);
}

int kvm_enable_cap(int fd, uint32_t cap, uint64_t arg0)
{
    struct kvm_enable_cap enable = {.cap = cap, .args = {arg0}};
    return kvm_ioctl(fd, KVM_ENABLE_CAP, &enable);
}

void kvm_cap_set(Caps *caps, Cap cap, CapLevel level, const char *why)
{
    caps->level[cap] = level;
    caps->why[cap] = why;
}

int kvm_get(BeVcpu *v, unsigned long request, void *arg, const char *what, Err *err)
{
    int rc = kvm_ioctl(v->fd, request, arg);
    return rc < 0 ? kvm_err(err, rc, what) : 0;
}

static int device_open(int *out, Err *err)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        switch (errno) {
        case EACCES:
        case EPERM:
            return err_set(err, ERR_DENIED,
                           "permission denied on /dev/kvm: join group kvm (usermod -aG kvm $USER), "
                           "then log in again");
        case ENOENT:
        case ENODEV:
        case ENXIO:
            return err_set(err, ERR_UNAVAILABLE,
                           "no /dev/kvm: load the kernel module (kvm_intel or kvm_amd on x86_64, "
                           "kvm elsewhere) or "
                           "enable virtualisation in the firmware or the hypervisor below");
        default:
            return err_native(err, ERR_UNAVAILABLE, errno, "cannot open /dev/kvm");
        }
    }
    int version = kvm_ioctl(fd, KVM_GET_API_VERSION, NULL);
    if (version < 0) {
        close(fd);
        return err_native(err, ERR_UNAVAILABLE, -version, "/dev/kvm does not answer KVM_GET_API_VERSION");
    }
    if (version != KVM_API_VERSION) {
        close(fd);
        return err_set(err, ERR_UNAVAILABLE,
                       "/dev/kvm answers with API version %d, not %d: it is no KVM that "
                       "this backend knows",
                       version, KVM_API_VERSION);
    }
    *out = fd;
    return 0;
}

/* Capabilities that no KVM has, or every KVM has, whatever the architecture. */
static void common_caps(int fd, Caps *caps)
{
    static const Cap full[] = {CAP_vcpu,      CAP_gpr_get,    CAP_gpr_set,     CAP_fpu_get,   CAP_fpu_set,
                               CAP_vec,       CAP_reg_list,   CAP_exit_detail, CAP_mmio_data, CAP_map,
                               CAP_map_alias, CAP_multi_vcpu, CAP_multi_vm,    CAP_rebind,    CAP_env_virt,
                               CAP_executes,  CAP_deadline,   CAP_sysreg};
    static const struct {
        Cap cap;
        const char *why;
    } none[] = {
        {CAP_map_nx, "a KVM memory slot has no execute permission of its own"},
        {CAP_stage2_table, "KVM builds the second stage itself, from the memory slots"},
        {CAP_insn_count, "KVM does not count retired instructions"},
        {CAP_virtual_time, "guest time is the host's"},
        {CAP_board_inside, "devices are served outside run()"},
        {CAP_boot, "no machine of its own is in this backend: devices are served outside run()"},
        {CAP_env_machine, "KVM gives the guest no machine or hypervisor level of its own"},
        {CAP_fault_inject, "a real hypervisor breaks no rule on request"},
        {CAP_cpuid_exit, "KVM answers CPUID in the kernel"},
        {CAP_exception_exit, "KVM delivers guest exceptions to the guest"},
        {CAP_sysreg_exit, "KVM serves system registers in the kernel"},
        {CAP_hypercall_visible, "KVM serves hypercalls in the kernel"},
        {CAP_firmware_visible, "KVM serves firmware calls in the kernel"},
        {CAP_halt_visible, "KVM waits in the kernel when the guest idles"},
        {CAP_reply_fault, "KVM has no way to answer an access with a fault"},
        {CAP_sw_break, "KVM does not report the guest's breakpoint instruction"},
        {CAP_step, "KVM does not report single steps"},
        {CAP_hw_break, "KVM has no breakpoint registers for the host here"},
        {CAP_hw_watch, "KVM has no watchpoint registers for the host here"},
        {CAP_parked, "KVM does not park secondary vcpus here"},
        {CAP_irqchip, "no interrupt controller in this backend for this architecture"},
        {CAP_msi, "no message-signalled interrupts in this backend for this architecture"},
        {CAP_irq_line, "no interrupt line in this backend for this architecture"},
        {CAP_clock, "no guest clock that this backend can set"},
        {CAP_save, "no state beside registers is saved"},
    };
    static const Cap absent[] = {CAP_pio, CAP_irq_vector, CAP_nmi, CAP_irq_window};
    for (size_t i = 0; i < ARRAY_LEN(full); i++) {
        kvm_cap_set(caps, full[i], CAP_FULL, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        kvm_cap_set(caps, none[i].cap, CAP_NONE, none[i].why);
    }
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        kvm_cap_set(caps, absent[i], CAP_NA, "the architecture has no such thing");
    }
    kvm_cap_set(caps, CAP_pc_before, CAP_PARTIAL,
                "not at a store: whether the kernel has moved the pc at such an exit depends on "
                "the instruction");
    kvm_cap_set(caps, CAP_page_split, CAP_FULL, NULL);
    bool has_ro = kvm_check(fd, KVM_CAP_READONLY_MEM) != 0;
    kvm_cap_set(caps, CAP_map_ro, has_ro ? CAP_FULL : CAP_NONE, has_ro ? NULL : "no KVM_CAP_READONLY_MEM");
    bool can_exit = kvm_check(fd, KVM_CAP_IMMEDIATE_EXIT) != 0;
    kvm_cap_set(caps, CAP_cancel, can_exit ? CAP_FULL : CAP_NONE, can_exit ? NULL : "no KVM_CAP_IMMEDIATE_EXIT");
    kvm_cap_set(caps, CAP_dirty_log, CAP_FULL, NULL);
}

static int kvm_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    (void)b;
    *caps = (Caps){0};
    if (guest != kvm_arch_guest) {
        return err_set(err, ERR_UNSUPPORTED, "KVM runs guests of the host's architecture only, %s", kvm_arch_name);
    }
    int fd;
    int rc = device_open(&fd, err);
    if (rc) {
        return rc;
    }
    caps->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
    int vcpus = kvm_check(fd, KVM_CAP_MAX_VCPUS), slots = kvm_check(fd, KVM_CAP_NR_MEMSLOTS);
    caps->max_vcpus = vcpus > 0 && vcpus < MAX_VCPUS ? (uint32_t)vcpus : MAX_VCPUS;
    caps->max_regions = slots > 0 && slots < MAX_REGIONS ? (uint32_t)slots : MAX_REGIONS;
    caps->vec_bytes = 16;
    caps->ctls = kvm_ctls;
    common_caps(fd, caps);
    kvm_arch_caps(fd, caps);
    close(fd);
    return 0;
}

static void kvm_destroy(BeVm *vm)
{
    for (size_t i = 0; i < vm->parked.n; i++) {
        munmap(vm->parked.items[i].run, vm->run_bytes);
        close(vm->parked.items[i].fd);
    }
    VEC_FREE(&vm->parked);
    VEC_FREE(&vm->vcpus);
    VEC_FREE(&vm->msr_ranges);
    for (size_t i = 0; i < vm->eventfds.n; i++) {
        close(vm->eventfds.items[i]);
    }
    VEC_FREE(&vm->eventfds);
    VEC_FREE(&vm->routes);
    kvm_ring_free(vm);
    kvm_mem_free(vm);
    const int fds[] = {vm->irqchip_fd, vm->fd, vm->sys_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    pthread_cond_destroy(&vm->gate_moved);
    pthread_mutex_destroy(&vm->slots_lock);
    pthread_mutex_destroy(&vm->lock);
    mem_free(vm);
}

static int config_check(const VmConfig *cfg, Err *err)
{
    if (cfg->guest != kvm_arch_guest) {
        return err_set(err, ERR_UNSUPPORTED, "KVM runs guests of the host's architecture only, %s", kvm_arch_name);
    }
    if (cfg->env != ENV_VIRT) {
        return err_unsupported(err, "kvm", "env_machine", "KVM gives the guest no machine level of its own");
    }
    if (cfg->cpu && cfg->cpu[0] && strcmp(cfg->cpu, "host") != 0) {
        return err_unsupported(err, "kvm", "cpu", "the only cpu model is `host`");
    }
    if (cfg->options && cfg->options[0]) {
        return err_set(err, ERR_INVAL, "kvm knows no option `%s`", cfg->options);
    }
    return 0;
}

static int vm_fds(BeVm *vm, Err *err)
{
    int rc = device_open(&vm->sys_fd, err);
    if (rc) {
        return rc;
    }
    do {
        vm->fd = ioctl(vm->sys_fd, KVM_CREATE_VM, kvm_arch_vm_type(vm->sys_fd));
    } while (vm->fd < 0 && errno == EINTR);
    if (vm->fd < 0) {
        return err_native(err, errno == ENOMEM ? ERR_NOMEM : ERR_UNAVAILABLE, errno, "KVM_CREATE_VM");
    }
    int run_bytes = ioctl(vm->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_bytes < (int)sizeof(struct kvm_run)) {
        return err_set(err, ERR_UNAVAILABLE, "KVM_GET_VCPU_MMAP_SIZE answers %d", run_bytes);
    }
    vm->run_bytes = (size_t)run_bytes;
    int slots = kvm_check(vm->sys_fd, KVM_CAP_NR_MEMSLOTS);
    vm->mem.max_slots = slots > 0 && slots < MAX_REGIONS ? (uint32_t)slots : MAX_REGIONS;
    return 0;
}

static int kvm_create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    int rc = config_check(cfg, err);
    if (rc || (rc = kvm_run_init(err))) {
        return rc;
    }
    BeVm *vm = x_alloc(sizeof *vm);
    vm->backend = b;
    vm->sys_fd = vm->fd = vm->irqchip_fd = -1;
    vm->irqchip = cfg->irqchip;
    vm->firmware = cfg->firmware;
    vm->mem.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
    pthread_mutex_init(&vm->lock, NULL);
    pthread_mutex_init(&vm->slots_lock, NULL);
    pthread_cond_init(&vm->gate_moved, NULL);
    rc = vm_fds(vm, err);
    if (!rc) {
        rc = kvm_arch_vm_init(vm, err);
    }
    if (rc) {
        kvm_destroy(vm);
        return rc;
    }
    *out = vm;
    return 0;
}

/* ---- vcpus ---- */
static bool parked_take(BeVm *vm, BeVcpu *v)
{
    bool found = false;
    pthread_mutex_lock(&vm->lock);
    for (size_t i = 0; i < vm->parked.n && !found; i++) {
        if (vm->parked.items[i].kvm_id == v->kvm_id) {
            v->fd = vm->parked.items[i].fd;
            v->run = vm->parked.items[i].run;
            v->has_run = true; /* its registers are a stranger's: the first setup resets them all */
            vm->parked.items[i] = vm->parked.items[--vm->parked.n];
            found = true;
        }
    }
    pthread_mutex_unlock(&vm->lock);
    return found;
}

static int vcpu_fd_open(BeVcpu *v, Err *err)
{
    BeVm *vm = v->vm;
    if (parked_take(vm, v)) {
        return 0;
    }
    v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)v->kvm_id);
    if (v->fd < 0) {
        int code = errno == EEXIST ? ERR_EXIST : errno == EINVAL ? ERR_LIMIT : ERR_HOST;
        return err_native(err, code, errno, "KVM_CREATE_VCPU for hw_id %#llx", (unsigned long long)v->cfg.hw_id);
    }
    pthread_mutex_lock(&vm->lock);
    vm->nmade++;
    pthread_mutex_unlock(&vm->lock);
    v->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (v->run == MAP_FAILED) {
        int error = errno;
        v->run = NULL;
        close(v->fd);
        v->fd = -1;
        return err_native(err, ERR_NOMEM, error, "mapping kvm_run");
    }
    return kvm_ring_open(v, err);
}

static void kvm_vcpu_destroy(BeVcpu *v)
{
    BeVm *vm = v->vm;
    pthread_mutex_lock(&vm->lock);
    for (size_t i = 0; i < vm->vcpus.n; i++) {
        if (vm->vcpus.items[i] == v) {
            vm->vcpus.items[i] = vm->vcpus.items[--vm->vcpus.n];
            break;
        }
    }
    pthread_mutex_unlock(&vm->lock);
    if (v->fd >= 0) {
        Err ignored = {0};
        (void)kvm_abandon(v, &ignored); /* else the next user of this fd would finish our access */
        pthread_mutex_lock(&vm->lock);
        VEC_PUSH(&vm->parked, (KvmParked){v->kvm_id, v->fd, v->run});
        pthread_mutex_unlock(&vm->lock);
    }
    kvm_run_free(v);
    kvm_arch_vcpu_free(v);
    mem_free(v);
}

static int kvm_vcpu_create(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    BeVcpu *v = x_alloc(sizeof *v);
    v->vm = vm;
    v->cfg = *cfg;
    v->fd = -1;
    int rc = kvm_arch_vcpu_id(cfg, &v->kvm_id, err);
    if (!rc) {
        rc = vcpu_fd_open(v, err);
    }
    vm->has_vcpu = true;
    if (!rc) {
        rc = kvm_arch_vcpu_init(v, err);
    }
    if (rc) {
        kvm_vcpu_destroy(v);
        return rc;
    }
    pthread_mutex_lock(&vm->lock);
    VEC_PUSH(&vm->vcpus, v);
    pthread_mutex_unlock(&vm->lock);
    *out = v;
    return 0;
}

static int kvm_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    if (s->has_stage2) {
        return err_unsupported(err, "kvm", "stage2_table", "KVM builds the second stage itself, from the memory slots");
    }
    int rc = kvm_abandon(v, err);
    if (rc || (rc = kvm_arch_setup(v, s, err))) {
        return rc;
    }
    v->is_set_up = true;
    v->is_parked = v->cfg.is_secondary && kvm_arch_parks(v->vm);
    return 0;
}

static int kvm_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = kvm_look(v, err);
    if (rc) {
        *bad = 0;
        return rc;
    }
    return kvm_arch_get_regs(v, io, n, bad, err);
}

/* A parked vcpu that is sent somewhere is parked no longer; a restored one is what its mp_state says, which comes last. */
static int parked_update(BeVcpu *v, const RegIo *io, size_t n, Err *err)
{
    bool was_parked = v->is_parked, has_state = false;
    for (size_t i = 0; i < n; i++) {
        uint32_t state;
        if (REG_CLASS(io[i].id) == REG_CTL && REG_INDEX(io[i].id) == 0) {
            v->is_parked = false;
        } else if (REG_CLASS(io[i].id) == REG_STATE && REG_INDEX(io[i].id) == 0 && REG_SIZE(io[i].id) == sizeof state) {
            memcpy(&state, io[i].bytes, sizeof state);
            v->is_parked = state == KVM_MP_STATE_STOPPED;
            has_state = true;
        }
    }
    return was_parked && !v->is_parked && !has_state ? kvm_arch_unpark(v, err) : 0;
}

static int kvm_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    int rc = kvm_look_write(v, err);
    if (rc) {
        *bad = 0;
        return rc;
    }
    rc = kvm_arch_set_regs(v, io, n, bad, err);
    return rc || !v->cfg.is_secondary || !kvm_arch_parks(v->vm) ? rc : parked_update(v, io, n, err);
}

static int kvm_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    /* The list opens a save: half an instruction cannot be saved. */
    int rc = ids ? kvm_look_write(v, err) : 0;
    return rc ? rc : kvm_arch_reg_list(v, ids, n, err);
}

static int kvm_inject(BeVcpu *v, const Event *e, Err *err)
{
    int rc = kvm_look_write(v, err);
    return rc ? rc : kvm_arch_inject(v, e, err);
}

static int kvm_breaks(BeVcpu *v, const Break *list, size_t n, Err *err)
{
    if (n > ARRAY_LEN(v->breaks)) {
        return err_set(err, ERR_LIMIT, "%zu break and watch points; the limit is %zu", n, ARRAY_LEN(v->breaks));
    }
    Break old[ARRAY_LEN(v->breaks)];
    size_t nold = v->nbreaks;
    memcpy(old, v->breaks, sizeof old);
    if (n) {
        memcpy(v->breaks, list, n * sizeof *list);
    }
    v->nbreaks = n;
    struct kvm_guest_debug d = {0};
    int rc = kvm_arch_guest_debug(v, &d, err);
    if (rc) {
        memcpy(v->breaks, old, sizeof old);
        v->nbreaks = nold;
        return rc;
    }
    v->has_new_breaks = true;
    return 0;
}

static const VmOps vm_ops = {
    .size_bytes = sizeof(VmOps),
    .create = kvm_create,
    .destroy = kvm_destroy,
    .ram_create = kvm_ram_create,
    .map = kvm_map,
    .unmap = kvm_unmap,
    .mem_read = kvm_mem_read,
    .mem_write = kvm_mem_write,
    .dirty_get = kvm_dirty_get,
    .irq_line = kvm_arch_irq_line,
    .msi = kvm_arch_msi,
    .intercept = kvm_arch_intercept,
    .clock = kvm_arch_clock,
    .save = kvm_arch_save,
    .restore = kvm_arch_restore,
    .ctl = kvm_ctl,
};

static const VcpuOps vcpu_ops = {
    .size_bytes = sizeof(VcpuOps),
    .create = kvm_vcpu_create,
    .destroy = kvm_vcpu_destroy,
    .setup = kvm_setup,
    .run = kvm_run,
    .reply = kvm_reply,
    .kick = kvm_kick,
    .get_regs = kvm_get_regs,
    .set_regs = kvm_set_regs,
    .reg_list = kvm_reg_list,
    .inject = kvm_inject,
    .breaks = kvm_breaks,
};

const Backend backend_kvm = {
    .abi = ACCEL_ABI_VERSION,
    .abi_minor = ACCEL_ABI_MINOR,
    .size_bytes = sizeof(Backend),
    .name = "kvm",
    .open = kvm_open,
    .vm = &vm_ops,
    .vcpu = &vcpu_ops,
};
