/* SPDX-License-Identifier: Apache-2.0
 * whpx.c - the backend's table, open(), and the life of a VM and its vcpus. */
#include "accel/whpx/whpx.h"

#include <string.h>

enum { DEFAULT_VCPUS = 8, MAX_VCPUS = 64, MAX_RANGES = 1024, MAX_MSRS = 4096 };

static void cap_set(Caps *caps, Cap cap, CapLevel level, const char *why)
{
    caps->level[cap] = level;
    caps->why[cap] = why;
}

static void caps_fill(Caps *caps, WHV_CAPABILITY_FEATURES features, WHV_EXTENDED_VM_EXITS exits, bool executes_x87)
{
    static const Cap full[] = {CAP_vcpu,       CAP_gpr_get,  CAP_gpr_set,  CAP_fpu_get,      CAP_fpu_set,
                               CAP_vec,        CAP_sysreg,   CAP_reg_list, CAP_mmio_data,    CAP_exit_detail,
                               CAP_pio,        CAP_map,      CAP_map_ro,   CAP_map_nx,       CAP_map_alias,
                               CAP_multi_vcpu, CAP_multi_vm, CAP_rebind,   CAP_env_virt,     CAP_executes,
                               CAP_cancel,     CAP_deadline, CAP_nmi,      CAP_irq_vector,   CAP_irq_window,
                               CAP_pc_before,  CAP_parked,   CAP_save,     CAP_halt_visible, CAP_page_split};
    static const struct {
        Cap cap;
        const char *why;
    } none[] = {
        {CAP_hw_break, "the platform has no breakpoint registers for the host"},
        {CAP_hw_watch, "the platform has no watchpoint registers for the host"},
        {CAP_sw_break, "the platform does not report the guest's breakpoint instruction to this backend"},
        {CAP_hypercall_visible, "a guest's VMCALL is a call of the hypervisor's own interface"},
        {CAP_irq_line, "an x86 vcpu has no interrupt line of its own"},
        {CAP_irqchip, "this backend leaves the platform's local APIC off"},
        {CAP_msi, "this backend leaves the platform's local APIC off"},
        {CAP_stage2_table, "the platform builds the second stage itself, from the mapped ranges"},
        {CAP_insn_count, "the platform does not count retired instructions"},
        {CAP_virtual_time, "guest time is the host's"},
        {CAP_clock, "guest time is the time stamp counter, which is a register"},
        {CAP_board_inside, "devices are served outside run()"},
        {CAP_boot, "no machine of its own is in this backend: devices are served outside run()"},
        {CAP_env_machine, "the platform gives the guest no machine level of its own"},
        {CAP_fault_inject, "a real hypervisor breaks no rule on request"},
    };
    for (size_t i = 0; i < ARRAY_LEN(full); i++) {
        cap_set(caps, full[i], CAP_FULL, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        cap_set(caps, none[i].cap, CAP_NONE, none[i].why);
    }
    cap_set(caps, CAP_firmware_visible, CAP_NA, "x86 firmware is guest code");
    bool has_dirty = features.DirtyPageTracking, has_cpuid = exits.X64CpuidExit, has_msr = exits.X64MsrExit;
    bool has_exception = exits.ExceptionExit;
    if (!executes_x87) {
        cap_set(caps, CAP_executes, CAP_PARTIAL,
                "not all instructions are executed below this platform (a probe: x87)");
    }
    cap_set(caps, CAP_exception_exit, has_exception ? CAP_FULL : CAP_NONE,
            has_exception ? NULL : "this host's platform has no exit for exceptions");
    cap_set(caps, CAP_step, has_exception ? CAP_PARTIAL : CAP_NONE,
            has_exception ? "by the trap flag: the guest sees it, and does not see its own"
                          : "this host's platform has no exit for exceptions");
    cap_set(caps, CAP_dirty_log, has_dirty ? CAP_FULL : CAP_NONE,
            has_dirty ? NULL : "this host's platform does not track dirty pages");
    cap_set(caps, CAP_cpuid_exit, has_cpuid ? CAP_FULL : CAP_NONE,
            has_cpuid ? NULL : "this host's platform has no exit for CPUID");
    cap_set(caps, CAP_sysreg_exit, has_msr ? CAP_FULL : CAP_NONE,
            has_msr ? "for MSRs named by intercept" : "this host's platform has no exit for MSRs");
    cap_set(caps, CAP_reply_fault, has_msr ? CAP_PARTIAL : CAP_NONE,
            has_msr ? "MSR accesses only" : "this host's platform has no exit for MSRs");
}

static int capability(WHV_CAPABILITY_CODE code, void *out, UINT32 n, Err *err)
{
    WHV_CAPABILITY c;
    UINT32 written = 0;
    memset(&c, 0, sizeof c);
    HRESULT hr = whv.WHvGetCapability(code, &c, sizeof c, &written);
    memcpy(out, &c, n);
    return FAILED(hr) ? whv_err(err, hr, "WHvGetCapability") : 0;
}

static int whpx_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    (void)b;
    WINBOOL is_present = FALSE;
    WHV_CAPABILITY_FEATURES features;
    WHV_EXTENDED_VM_EXITS exits;
    bool executes_x87 = false;
    *caps = (Caps){0};
    if (guest != GUEST_x86_64) {
        return err_set(err, ERR_UNSUPPORTED, "this backend runs guests of the host's architecture only, x86_64");
    }
    int rc = whv_load(err);
    rc = rc ? rc : capability(WHvCapabilityCodeHypervisorPresent, &is_present, sizeof is_present, err);
    if (!rc && !is_present) {
        rc = err_set(err, ERR_UNAVAILABLE,
                     "the hypervisor of Windows does not run: enable virtualisation in the firmware, and `bcdedit /set "
                     "hypervisorlaunchtype auto`, then restart");
    }
    rc = rc ? rc : capability(WHvCapabilityCodeFeatures, &features, sizeof features, err);
    rc = rc ? rc : capability(WHvCapabilityCodeExtendedVmExits, &exits, sizeof exits, err);
    rc = rc ? rc : whpx_probe(&executes_x87, err);
    if (rc) {
        return rc;
    }
    caps->page_bytes = WHPX_PAGE;
    caps->max_vcpus = MAX_VCPUS;
    caps->max_regions = MAX_RANGES;
    caps->vec_bytes = 16;
    caps_fill(caps, features, exits, executes_x87);
    return 0;
}

/* ---- a VM ---- */
static void whpx_destroy(BeVm *vm)
{
    if (vm->emulator) {
        (void)whv.WHvEmulatorDestroyEmulator(vm->emulator);
    }
    if (vm->partition) {
        (void)whv.WHvDeletePartition(vm->partition);
    }
    whpx_mem_free(vm);
    VEC_FREE(&vm->leaves);
    VEC_FREE(&vm->msrs);
    pthread_mutex_destroy(&vm->lock);
    mem_free(vm);
}

static int config_check(const VmConfig *cfg, Err *err)
{
    if (cfg->guest != GUEST_x86_64) {
        return err_set(err, ERR_UNSUPPORTED, "this backend runs guests of the host's architecture only, x86_64");
    }
    if (cfg->env != ENV_VIRT) {
        return err_unsupported(err, "whpx", "env_machine", "the platform gives the guest no machine level of its own");
    }
    if (cfg->irqchip == IRQCHIP_KERNEL || cfg->irqchip == IRQCHIP_SPLIT) {
        return err_unsupported(err, "whpx", "irqchip", "this backend leaves the platform's local APIC off");
    }
    if (cfg->cpu && cfg->cpu[0] && strcmp(cfg->cpu, "host") != 0) {
        return err_unsupported(err, "whpx", "cpu", "the only cpu model is `host`");
    }
    if (cfg->options && cfg->options[0]) {
        return err_set(err, ERR_INVAL, "whpx knows no option `%s`", cfg->options);
    }
    if (cfg->max_vcpus > MAX_VCPUS) {
        return err_set(err, ERR_LIMIT, "%llu vcpus: the limit is %d", (unsigned long long)cfg->max_vcpus,
                       (int)MAX_VCPUS);
    }
    return 0;
}

static int whpx_create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    (void)b;
    int rc = config_check(cfg, err);
    rc = rc ? rc : whv_load(err);
    if (rc) {
        return rc;
    }
    BeVm *vm = x_alloc(sizeof *vm);
    WHV_EXTENDED_VM_EXITS exits = {.AsUINT64 = 0};
    vm->max_vcpus = cfg->max_vcpus ? (uint32_t)cfg->max_vcpus : DEFAULT_VCPUS;
    vm->mem = (Slots){.page_bytes = WHPX_PAGE, .max_slots = MAX_RANGES};
    pthread_mutex_init(&vm->lock, NULL);
    rc = capability(WHvCapabilityCodeExtendedVmExits, &exits, sizeof exits, err);
    vm->can_step = exits.ExceptionExit;
    HRESULT hr = rc ? S_OK : whv.WHvCreatePartition(&vm->partition);
    if (FAILED(hr)) {
        vm->partition = NULL;
        rc = whv_err(err, hr, "WHvCreatePartition");
    }
    rc = rc ? rc : whpx_emulator_new(&vm->emulator, err);
    if (rc) {
        whpx_destroy(vm);
        return rc;
    }
    *out = vm;
    return 0;
}

static int property_set(BeVm *vm, WHV_PARTITION_PROPERTY_CODE code, const void *value, size_t n, const char *name,
                        Err *err)
{
    HRESULT hr = whv.WHvSetPartitionProperty(vm->partition, code, value, (UINT32)n);
    return FAILED(hr) ? whv_err(err, hr, name) : 0;
}

/* When the first vcpu is created. */
static int partition_setup(BeVm *vm, Err *err)
{
    WHV_EXTENDED_VM_EXITS exits = {.X64CpuidExit = vm->leaves.n > 0,
                                   .X64MsrExit = vm->msrs.n > 0,
                                   .ExceptionExit = vm->can_step || vm->exceptions};
    UINT64 exceptions = vm->exceptions | (uint64_t)vm->can_step << VECTOR_DB;
    UINT32 count = vm->max_vcpus;
    int rc = property_set(vm, WHvPartitionPropertyCodeProcessorCount, &count, sizeof count,
                          "WHvSetPartitionProperty of ProcessorCount", err);
    if (!rc && exits.AsUINT64) {
        rc = property_set(vm, WHvPartitionPropertyCodeExtendedVmExits, &exits, sizeof exits,
                          "WHvSetPartitionProperty of ExtendedVmExits", err);
    }
    if (!rc && vm->msrs.n) {
        rc = property_set(vm, WHvPartitionPropertyCodeMsrActionList, vm->msrs.items,
                          vm->msrs.n * sizeof vm->msrs.items[0], "WHvSetPartitionProperty of MsrActionList", err);
    }
    if (!rc && exceptions) {
        rc = property_set(vm, WHvPartitionPropertyCodeExceptionExitBitmap, &exceptions, sizeof exceptions,
                          "WHvSetPartitionProperty of ExceptionExitBitmap", err);
    }
    if (!rc) {
        HRESULT hr = whv.WHvSetupPartition(vm->partition);
        rc = FAILED(hr) ? whv_err(err, hr, "WHvSetupPartition") : 0;
    }
    vm->is_set_up = !rc;
    return rc ? rc : whpx_mem_apply(vm, err);
}

/* ---- intercepts ---- */
static int leaves_change(BeVm *vm, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    size_t at = 0;
    while (at < vm->leaves.n && (vm->leaves.items[at].lo != lo || vm->leaves.items[at].hi != hi)) {
        at++;
    }
    if (hi < lo || hi > UINT32_MAX || (!on && at == vm->leaves.n)) {
        return err_set(err, hi < lo || hi > UINT32_MAX ? ERR_INVAL : ERR_NOENT,
                       "CPUID leaves %#llx to %#llx are not intercepted", (unsigned long long)lo,
                       (unsigned long long)hi);
    }
    if (!on) {
        vm->leaves.items[at] = vm->leaves.items[--vm->leaves.n];
    } else if (at == vm->leaves.n) {
        VEC_PUSH(&vm->leaves, (WhpxLeaves){(uint32_t)lo, (uint32_t)hi});
    }
    return 0;
}

static void msr_drop(BeVm *vm, uint32_t index)
{
    for (size_t i = 0; i < vm->msrs.n; i++) {
        if (vm->msrs.items[i].Index == index) {
            vm->msrs.items[i] = vm->msrs.items[--vm->msrs.n];
            return;
        }
    }
}

static int msrs_change(BeVm *vm, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    if (hi < lo || hi > UINT32_MAX || hi - lo >= MAX_MSRS - vm->msrs.n) {
        return err_set(err, ERR_LIMIT, "MSRs %#llx to %#llx: 1 to %d can be intercepted", (unsigned long long)lo,
                       (unsigned long long)hi, (int)MAX_MSRS);
    }
    for (uint64_t index = lo; index <= hi; index++) {
        msr_drop(vm, (uint32_t)index);
        if (on) {
            VEC_PUSH(&vm->msrs, (WHV_MSR_ACTION_ENTRY){.Index = (uint32_t)index,
                                                       .ReadAction = WHvMsrActionExit,
                                                       .WriteAction = WHvMsrActionExit});
        }
    }
    return 0;
}

static int exceptions_change(BeVm *vm, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    enum { LAST_EXCEPTION = 31 };
    if (hi < lo || hi > LAST_EXCEPTION) {
        return err_set(err, ERR_INVAL, "exceptions %#llx to %#llx: 0 to %d can be intercepted", (unsigned long long)lo,
                       (unsigned long long)hi, (int)LAST_EXCEPTION);
    }
    for (uint64_t vector = lo; vector <= hi; vector++) {
        vm->exceptions = on ? vm->exceptions | 1ull << vector : vm->exceptions & ~(1ull << vector);
    }
    return 0;
}

static int whpx_intercept(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    if (vm->is_set_up) {
        return err_set(err, ERR_STATE, "intercepts are chosen before the first vcpu");
    }
    switch (k) {
    case IC_SYSREG:
        return msrs_change(vm, lo, hi, on, err);
    case IC_CPUID:
        return leaves_change(vm, lo, hi, on, err);
    case IC_HALT:
        return on ? 0 : err_unsupported(err, "whpx", "halt_visible", "HLT always exits");
    case IC_EXCEPTION:
        return exceptions_change(vm, lo, hi, on, err);
    case IC_HYPERCALL:
        return err_unsupported(err, "whpx", "hypercall_visible", "a guest's VMCALL is a call of the hypervisor's own");
    case IC_RDTSC:
        return err_unsupported(err, "whpx", "rdtsc_exit", "this backend does not intercept RDTSC");
    }
    return err_set(err, ERR_INVAL, "intercept kind %d", (int)k);
}

/* Nothing of a VM is in the platform but its vcpus and its memory. */
static int whpx_save(BeVm *vm, Buf *out, Err *err)
{
    (void)vm;
    (void)out;
    (void)err;
    return 0;
}

static int whpx_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    (void)vm;
    (void)bytes;
    return n ? err_set(err, ERR_VERSION, "VM state of %zu bytes, which this backend does not know", n) : 0;
}

/* ---- vcpus ---- */
static void whpx_vcpu_destroy(BeVcpu *v)
{
    whpx_run_free(v); /* its timer may be about to cancel */
    (void)whv.WHvDeleteVirtualProcessor(v->vm->partition, v->index);
    mem_free(v);
}

static int whpx_vcpu_create(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    if (cfg->hw_id >= vm->max_vcpus) {
        return err_set(err, ERR_LIMIT, "APIC id %#llx: the platform numbers the %u vcpus of this VM from 0",
                       (unsigned long long)cfg->hw_id, vm->max_vcpus);
    }
    int rc = vm->is_set_up ? 0 : partition_setup(vm, err);
    if (rc) {
        return rc;
    }
    BeVcpu *v = x_alloc(sizeof *v);
    v->vm = vm;
    v->cfg = *cfg;
    v->index = (UINT32)cfg->hw_id;
    rc = whpx_run_init(v, err);
    if (!rc) {
        HRESULT hr = whv.WHvCreateVirtualProcessor(vm->partition, v->index, 0);
        rc = FAILED(hr) ? whv_err(err, hr, "WHvCreateVirtualProcessor") : 0;
    }
    if (rc) {
        whpx_run_free(v);
        mem_free(v);
        return rc;
    }
    *out = v;
    return 0;
}

static int whpx_setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    if (s->has_stage2) {
        return err_unsupported(err, "whpx", "stage2_table",
                               "the platform builds the second stage itself, from the mapped ranges");
    }
    whpx_abandon(v);
    int rc = whpx_reset(v, s->entry.addr, err);
    if (!rc) {
        v->is_set_up = true;
        v->is_parked = v->cfg.is_secondary;
    }
    return rc;
}

static int vcpu_get_regs_be(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    *bad = 0;
    int rc = whpx_look(v, err);
    return rc ? rc : whpx_get_regs(v, io, n, bad, err);
}

/* A parked vcpu that is sent somewhere is parked no longer; a restored one is what its mp_state says, which comes last. */
static void parked_update(BeVcpu *v, const RegIo *io, size_t n)
{
    enum { WAITS_FOR_INIT = 1 };
    for (size_t i = 0; i < n; i++) {
        uint32_t state;
        if (REG_CLASS(io[i].id) == REG_CTL && REG_INDEX(io[i].id) == 0) {
            v->is_parked = false;
        } else if (REG_CLASS(io[i].id) == REG_STATE && REG_INDEX(io[i].id) == 0) {
            memcpy(&state, io[i].bytes, sizeof state);
            v->is_parked = state == WAITS_FOR_INIT;
        }
    }
}

static int vcpu_set_regs_be(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    *bad = 0;
    int rc = whpx_look_write(v, err);
    rc = rc ? rc : whpx_set_regs(v, io, n, bad, err);
    if (!rc && v->cfg.is_secondary) {
        parked_update(v, io, n);
    }
    return rc;
}

static int vcpu_reg_list_be(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    /* The list opens a save: half an instruction cannot be saved. */
    int rc = ids ? whpx_look_write(v, err) : 0;
    return rc ? rc : whpx_reg_list(v, ids, n, err);
}

static const VmOps vm_ops = {
    .size_bytes = sizeof(VmOps),
    .create = whpx_create,
    .destroy = whpx_destroy,
    .ram_create = whpx_ram_create,
    .map = whpx_map,
    .unmap = whpx_unmap,
    .mem_read = whpx_mem_read,
    .mem_write = whpx_mem_write,
    .dirty_get = whpx_dirty_get,
    .intercept = whpx_intercept,
    .save = whpx_save,
    .restore = whpx_restore,
};

static const VcpuOps vcpu_ops = {
    .size_bytes = sizeof(VcpuOps),
    .create = whpx_vcpu_create,
    .destroy = whpx_vcpu_destroy,
    .setup = whpx_setup,
    .run = whpx_run,
    .reply = whpx_reply,
    .kick = whpx_kick,
    .get_regs = vcpu_get_regs_be,
    .set_regs = vcpu_set_regs_be,
    .reg_list = vcpu_reg_list_be,
    .inject = whpx_inject,
};

/* Whether the hypervisor is a double is known once its library is loaded: before main(). For all others it is constant. */
static Backend backend = {
    .abi = ACCEL_ABI_VERSION,
    .size_bytes = sizeof(Backend),
    .name = "whpx",
    .open = whpx_open,
    .vm = &vm_ops,
    .vcpu = &vcpu_ops,
};
extern const Backend backend_whpx __attribute__((alias("backend")));

__attribute__((constructor)) static void find_double(void)
{
    backend.is_double = !whv_load(NULL) && whv.is_double;
}
