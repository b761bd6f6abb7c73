/* SPDX-License-Identifier: Apache-2.0
 * backend.c - the three tables of conf-backend.h, around cpu.h. Read the rules W1 to W8 at the top of that header first: the
 * comments here only say where each of them is kept. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "cpu.h"

#include <conf-backend.h>
#include <stdatomic.h>
#include <time.h>

enum { PAGE_BYTES = 4096, MAX_RAMS = 64, MAX_REGIONS = 64, LOOK_INSNS = 4096 /* between two looks at the clock */ };
static const char NAME[] = "toy", VERSION[] = "0.1.0";

typedef struct {
    uint8_t *bytes;
    uint64_t size;
} Ram;
typedef struct {
    uint64_t at, size, offset;
    ConfRamId ram;
    uint32_t flags;
} Region;
struct ConfBeVm {
    Ram rams[MAX_RAMS];
    Region regions[MAX_REGIONS];
    unsigned nrams, nregions;
};

typedef enum {
    PENDING_NONE,
    PENDING_LOAD,
    PENDING_STORE,
    PENDING_LOOKED /* a store that get_regs has settled */
} Pending;
struct ConfBeVcpu {
    ConfBeVm *vm;
    ConfVcpuConfig cfg;
    Cpu cpu;
    atomic_int is_kicked;
    Pending pending;
    bool is_set_up, is_step_open; /* a step whose instruction awaits its reply */
    uint64_t shown; /* instructions retired as of the last exit: what settles one counts in the next budget */
};

/* ---- what can this do ---- */
static int toy_open(const ConfBackend *b, ConfGuestId guest, ConfCaps *caps, ConfErr *err)
{
    static const ConfCap full[] = {
        CONF_CAP_vcpu,
        CONF_CAP_gpr_get,
        CONF_CAP_gpr_set,
        CONF_CAP_sysreg,
        CONF_CAP_reg_list,
        CONF_CAP_step,
        CONF_CAP_exit_detail,
        CONF_CAP_mmio_data,
        CONF_CAP_pc_before,
        CONF_CAP_executes,
        CONF_CAP_irq_line,
        CONF_CAP_hypercall_visible,
        CONF_CAP_firmware_visible,
        CONF_CAP_map,
        CONF_CAP_map_ro,
        CONF_CAP_map_alias,
        CONF_CAP_halt_visible,
        CONF_CAP_reply_fault,
        CONF_CAP_cancel,
        CONF_CAP_deadline,
        CONF_CAP_save,
        CONF_CAP_insn_count,
        CONF_CAP_multi_vm,
        CONF_CAP_env_virt,
        CONF_CAP_virtual_time,
        CONF_CAP_rebind,
    };
    static const char *const ctls[] = {"version", NULL};
    static const struct {
        ConfCap cap;
        ConfCapLevel level;
        const char *why;
    } others[] = {
        {CONF_CAP_fpu_get, CONF_CAP_NONE, "the toy has no F and D"},
        {CONF_CAP_fpu_set, CONF_CAP_NONE, "the toy has no F and D"},
        {CONF_CAP_vec, CONF_CAP_NONE, "the toy has no V"},
        {CONF_CAP_multi_vcpu, CONF_CAP_NONE, "the toy has one hart"},
        {CONF_CAP_map_nx, CONF_CAP_NONE, "the toy fetches from all memory"},
        {CONF_CAP_page_split, CONF_CAP_NONE, "an access to a hole is one exit, wherever it lies"},
        {CONF_CAP_env_machine, CONF_CAP_NONE, "the toy has no M-mode"},
        {CONF_CAP_pio, CONF_CAP_NA, "the architecture has no such thing"},
        {CONF_CAP_irq_vector, CONF_CAP_NA, "the architecture has no such thing"},
        {CONF_CAP_nmi, CONF_CAP_NA, "the architecture has no such thing"},
        {CONF_CAP_cpuid_exit, CONF_CAP_NA, "the architecture has no such thing"},
    };
    if (guest != CONF_GUEST_riscv64) {
        return conf_err_set(err, CONF_ERR_UNSUPPORTED, "%s is a riscv64 hart: --guest riscv64", b->name);
    }
    for (size_t i = 0; i < sizeof full / sizeof full[0]; i++) {
        conf_cap_set(caps, full[i], CONF_CAP_FULL, NULL);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        conf_cap_set(caps, others[i].cap, others[i].level, others[i].why);
    }
    caps->page_bytes = PAGE_BYTES;
    caps->max_vcpus = 1;
    caps->max_regions = MAX_REGIONS;
    caps->ctls = ctls;
    caps->isa =
        "rv64im_zicntr_zicsr_zifencei"; /* scenarios whose code uses more are skipped, with this as the reason */
    return 0;
}

/* ---- VM and memory ---- */
static int vm_create(const ConfBackend *b, const ConfVmConfig *cfg, ConfBeVm **out, ConfErr *err)
{
    if (cfg->irqchip != CONF_IRQCHIP_NONE && cfg->irqchip != CONF_IRQCHIP_BOARD) {
        return conf_err_unsupported(err, b->name, "irqchip", "no interrupt controller inside");
    }
    if (cfg->cpu) {
        return conf_err_unsupported(err, b->name, "cpu", "there is one, RV64IM");
    }
    if (cfg->options && cfg->options[0]) {
        return conf_err_set(err, CONF_ERR_INVAL, "%s has no options", b->name);
    }
    *out = (ConfBeVm *)calloc(1, sizeof **out);
    return *out ? 0 : conf_err_set(err, CONF_ERR_NOMEM, "no memory for a VM");
}

static void vm_destroy(ConfBeVm *vm)
{
    for (unsigned i = 0; i < vm->nrams; i++) {
        free(vm->rams[i].bytes);
    }
    free(vm);
}

static int vm_ram_create(ConfBeVm *vm, uint64_t size, ConfRamId *out, ConfErr *err)
{
    uint8_t *bytes = vm->nrams < MAX_RAMS && size <= SIZE_MAX ? (uint8_t *)calloc(1, (size_t)size) : NULL;
    if (!bytes) {
        return conf_err_set(err, vm->nrams < MAX_RAMS ? CONF_ERR_NOMEM : CONF_ERR_LIMIT, "no room for that memory");
    }
    *out = vm->nrams;
    vm->rams[vm->nrams++] = (Ram){bytes, size};
    return 0;
}

/* conf has checked bounds, alignment and overlap already. */
static int vm_map(ConfBeVm *vm, ConfGpa at, uint64_t size, ConfRamId ram, uint64_t offset, uint32_t flags, ConfErr *err)
{
    for (unsigned i = 0; i < vm->nregions; i++) {
        if (vm->regions[i].at == at.addr) { /* exactly the same place: other flags */
            vm->regions[i].flags = flags;
            return 0;
        }
    }
    if (vm->nregions == MAX_REGIONS) {
        return conf_err_set(err, CONF_ERR_LIMIT, "no more than %d regions", MAX_REGIONS);
    }
    vm->regions[vm->nregions++] = (Region){at.addr, size, offset, ram, flags};
    return 0;
}

static int vm_unmap(ConfBeVm *vm, ConfGpa at, uint64_t size, ConfErr *err)
{
    for (unsigned i = 0; i < vm->nregions; i++) {
        if (vm->regions[i].at == at.addr && vm->regions[i].size == size) {
            vm->regions[i] = vm->regions[--vm->nregions];
            return 0;
        }
    }
    return conf_err_set(err, CONF_ERR_NOENT, "no such region");
}

static uint8_t *bytes_at(ConfBeVm *vm, uint64_t address, uint64_t *left, uint32_t needed)
{
    for (unsigned i = 0; i < vm->nregions; i++) {
        const Region *r = &vm->regions[i];
        if (address >= r->at && address - r->at < r->size && (r->flags & needed) == needed) {
            *left = r->size - (address - r->at);
            return vm->rams[r->ram].bytes + r->offset + (address - r->at);
        }
    }
    return NULL;
}

uint8_t *memory_at(void *memory, uint64_t address, unsigned n, Access access)
{
    uint64_t left = 0;
    uint8_t *at = bytes_at((ConfBeVm *)memory, address, &left, access == ACCESS_WRITE ? CONF_MAP_W : 0);
    return left >= n ? at : NULL;
}

/* Copies over the borders of regions. W6: nothing is written before every byte is known to be there. */
static int vm_copy(ConfBeVm *vm, uint64_t address, uint8_t *to, const uint8_t *from, size_t n, ConfErr *err)
{
    for (int is_real = 0; is_real < 2; is_real++) {
        for (size_t done = 0; done < n;) {
            uint64_t left = 0;
            uint8_t *at = bytes_at(vm, address + done, &left, 0);
            size_t part = left < n - done ? (size_t)left : n - done;
            if (!at) {
                return conf_err_set(err, CONF_ERR_FAULT, "nothing at 0x%llx", (unsigned long long)(address + done));
            }
            if (is_real && to) {
                memcpy(to + done, at, part);
            } else if (is_real) {
                memcpy(at, from + done, part);
            }
            done += part;
        }
    }
    return 0;
}

static int vm_mem_read(ConfBeVm *vm, ConfGpa at, void *buf, size_t n, ConfErr *err)
{
    return vm_copy(vm, at.addr, (uint8_t *)buf, NULL, n, err);
}

static int vm_mem_write(ConfBeVm *vm, ConfGpa at, const void *buf, size_t n, ConfErr *err)
{
    return vm_copy(vm, at.addr, NULL, (const uint8_t *)buf, n, err);
}

/* What only this backend has, by name. "version" is asked for by `conf certify`. */
static int vm_ctl(ConfBeVm *vm, ConfBeVcpu *v, const char *name, const void *in, size_t nin, ConfBuf *out, ConfErr *err)
{
    (void)vm;
    (void)v;
    (void)name; /* one of ConfCaps.ctls: there is one */
    (void)in;
    (void)nin;
    return conf_buf_append(out, VERSION, sizeof VERSION - 1) ? conf_err_set(err, CONF_ERR_NOMEM, "no memory") : 0;
}

/* ---- life of a vcpu ---- */
static int vcpu_create(ConfBeVm *vm, const ConfVcpuConfig *cfg, ConfBeVcpu **out, ConfErr *err)
{
    *out = (ConfBeVcpu *)calloc(1, sizeof **out);
    if (!*out) {
        return conf_err_set(err, CONF_ERR_NOMEM, "no memory for a vcpu");
    }
    (*out)->vm = vm;
    (*out)->cfg = *cfg;
    (*out)->cpu.memory = vm;
    return 0;
}

static void vcpu_destroy(ConfBeVcpu *v)
{
    free(v);
}

static int vcpu_setup(ConfBeVcpu *v, const ConfVcpuSetup *s, ConfErr *err)
{
    if (s->has_stage2) {
        return conf_err_unsupported(err, NAME, "stage2_table", "the second stage is what was mapped");
    }
    cpu_reset(&v->cpu, s->entry.addr, v->cfg.hw_id, v->cfg.arg);
    v->pending = PENDING_NONE;
    v->is_set_up = true;
    v->is_step_open = false;
    v->shown = 0;
    return 0;
}

/* W5, and async-signal-safe: nothing but the flag. */
static void vcpu_kick(ConfBeVcpu *v)
{
    atomic_store(&v->is_kicked, 1);
}

/* ---- exits ---- */
static int leave(ConfBeVcpu *v, ConfExitKind kind, ConfVmExit *e)
{
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->reply = conf_exit_reply_kind(kind);
    e->vcpu = v->cfg.id;
    e->valid = CONF_HAS_insns;
    e->insns = v->shown = v->cpu.retired;
    e->native.code = (uint64_t)kind;
    return 0;
}

static int leave_access(ConfBeVcpu *v, ConfVmExit *e)
{
    const Cpu *c = &v->cpu;
    bool is_load = v->pending == PENDING_LOAD;
    leave(v, is_load ? CONF_EXIT_mmio_read : CONF_EXIT_mmio_write, e);
    e->valid |= CONF_HAS_pc_before | CONF_HAS_pc_after | CONF_HAS_insn | (is_load ? CONF_HAS_reg : CONF_HAS_value);
    e->pc_before = c->pc;
    e->pc_after = c->pc + 4;
    e->insn_len = 4;
    e->size_bytes = (uint8_t)c->size_bytes;
    e->addr = c->address;
    e->npieces = 1;
    if (is_load) {
        e->reg = CONF_REG_ID(CONF_GUEST_riscv64, 3, CONF_REG_GPR, c->rd);
        e->reg_size_bytes = 8;
        e->is_signed = c->is_signed;
    } else {
        e->value = c->value;
    }
    return 0;
}

/* SBI 2.0, chapters 9 and 10: calls that start and stop have exits of their own. */
static int leave_call(ConfBeVcpu *v, ConfVmExit *e)
{
    enum { HSM = 0x48534d, SRST = 0x53525354, LEGACY_SHUTDOWN = 8, SHUTDOWN = 0, WARM_REBOOT = 2 };
    const uint64_t *a = &v->cpu.x[10], extension = a[7] & 0xffffffff, function = a[6] & 0xffffffff;
    leave(v, CONF_EXIT_hypercall, e);
    e->valid |= CONF_HAS_pc_before | CONF_HAS_pc_after;
    e->pc_before = v->cpu.pc - 4;
    e->pc_after = v->cpu.pc;
    if (extension == HSM && function == 0) {
        e->kind = CONF_EXIT_cpu_up;
        e->addr = a[0];
        e->arg[0] = a[1];
        e->arg[1] = a[2];
    } else if (extension == HSM && function == 1) {
        e->kind = CONF_EXIT_cpu_down;
    } else if (extension == LEGACY_SHUTDOWN) {
        e->kind = CONF_EXIT_system_down;
    } else if (extension == SRST && function == 0 && (uint32_t)a[0] <= WARM_REBOOT) {
        e->kind = (uint32_t)a[0] == SHUTDOWN ? CONF_EXIT_system_down : CONF_EXIT_system_reset;
        e->addr = a[1] & 0xffffffff;
    } else {
        e->addr = extension << 32 | function;
        memcpy(e->arg, a, sizeof e->arg);
    }
    return 0;
}

static int leave_step(ConfBeVcpu *v, ConfVmExit *e)
{
    leave(v, CONF_EXIT_debug, e);
    e->valid |= CONF_HAS_pc_after;
    e->addr = e->pc_after = v->cpu.pc;
    e->arg[0] = CONF_DEBUG_STEP;
    return 0;
}

static int leave_wait(ConfBeVcpu *v, ConfVmExit *e)
{
    leave(v, CONF_EXIT_halt, e);
    e->valid |= CONF_HAS_pc_after;
    e->pc_after = v->cpu.pc;
    return 0;
}

/* ---- pending accesses: W3 ---- */
static void settle(ConfBeVcpu *v, uint64_t value)
{
    cpu_finish(&v->cpu, value);
    v->pending = PENDING_NONE;
}

static int vcpu_reply(ConfBeVcpu *v, const ConfReply *r, ConfErr *err)
{
    if (v->pending == PENDING_NONE) {
        return conf_err_set(err, CONF_ERR_STATE, "no reply is due");
    }
    if (r->is_fault && v->pending == PENDING_LOOKED) {
        return conf_err_unsupported(err, NAME, "reply_fault",
                                    "the registers were looked at, which has retired the store");
    }
    if (r->is_fault) {
        cpu_trap(&v->cpu, v->pending == PENDING_LOAD ? CAUSE_LOAD_ACCESS : CAUSE_STORE_ACCESS, v->cpu.address);
        v->pending = PENDING_NONE;
    } else if (v->pending == PENDING_LOOKED) {
        v->pending = PENDING_NONE;
    } else {
        settle(v, r->value);
    }
    return 0;
}

/* ---- run ---- */
static bool is_past(uint64_t deadline_ns)
{
    struct timespec now;
    if (deadline_ns == UINT64_MAX) {
        return false;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec >= deadline_ns;
}

static int leave_stop(ConfBeVcpu *v, Stop stop, const ConfRunArgs *args, ConfVmExit *e)
{
    switch (stop) {
    case STOP_LOAD:
    case STOP_STORE:
        v->pending = stop == STOP_LOAD ? PENDING_LOAD : PENDING_STORE;
        v->is_step_open = args->is_step; /* ends when this is settled */
        return leave_access(v, e);
    case STOP_CALL:
        return leave_call(v, e);
    case STOP_WAIT:
        return leave_wait(v, e);
    case STOP_NONE:
        break;
    }
    return leave_step(v, e);
}

static int vcpu_run(ConfBeVcpu *v, const ConfRunArgs *args, ConfVmExit *e, ConfErr *err)
{
    uint64_t left = args->insns, late = v->cpu.retired - v->shown;
    bool is_step_over = v->is_step_open && args->is_step;
    if (!v->is_set_up) {
        return conf_err_set(err, CONF_ERR_STATE, "run before setup");
    }
    if (v->pending != PENDING_NONE) {
        return conf_err_set(err, CONF_ERR_BUSY, "a reply is due");
    }
    if (args->irq_window) {
        return conf_err_unsupported(err, NAME, "irq_window", "lines are held, so there is nothing to wait for");
    }
    left -= left == UINT64_MAX ? 0 : late < left ? late : left;
    if (atomic_exchange(&v->is_kicked, 0)) {
        return leave(v, CONF_EXIT_canceled, e);
    }
    v->is_step_open = false;
    if (is_step_over) {
        return leave_step(v, e);
    }
    for (uint64_t steps = 0;; steps++) {
        if (left == 0) {
            return leave(v, CONF_EXIT_budget, e);
        }
        if (atomic_load(&v->is_kicked) || (steps % LOOK_INSNS == 0 && is_past(args->deadline_ns))) {
            atomic_store(&v->is_kicked, 0);
            return leave(v, CONF_EXIT_canceled, e);
        }
        Stop stop = cpu_step(&v->cpu);
        if (stop != STOP_NONE || args->is_step) {
            return leave_stop(v, stop, args, e);
        }
        left -= left != UINT64_MAX; /* one that traps counts as well, or a guest that only traps would never end */
    }
}

/* ---- registers ---- */
/* Beside the guest's own there are three of the backend, so that a save is whole: guest time (CONF_CAP_virtual_time), the
 * instructions retired, and the wires. */
#define REG_TIME    CONF_REG_CLOCK(CONF_GUEST_riscv64)
#define REG_RETIRED CONF_REG_ID(CONF_GUEST_riscv64, 3, CONF_REG_NATIVE, 1)
#define REG_LINES   CONF_REG_ID(CONF_GUEST_riscv64, 3, CONF_REG_NATIVE, 2)

static const ConfRegId SAVED[] = {/* in the order in which a restore sets them */
                                  CONF_REG_riscv64_sstatus,
                                  CONF_REG_riscv64_sie,
                                  CONF_REG_riscv64_stvec,
                                  CONF_REG_riscv64_scounteren,
                                  CONF_REG_riscv64_sscratch,
                                  CONF_REG_riscv64_sepc,
                                  CONF_REG_riscv64_scause,
                                  CONF_REG_riscv64_stval,
                                  CONF_REG_riscv64_sip,
                                  CONF_REG_riscv64_priv,
                                  CONF_REG_riscv64_pc,
                                  REG_RETIRED,
                                  REG_TIME,
                                  REG_LINES};
enum { NSAVED = sizeof SAVED / sizeof SAVED[0], NGPRS = 32 };

static bool reg_get(const Cpu *c, ConfRegId id, uint64_t *value)
{
    uint64_t index = CONF_REG_INDEX(id);
    if (CONF_REG_CLASS(id) == CONF_REG_GPR && index < NGPRS) {
        *value = c->x[index];
    } else if (id == CONF_REG_riscv64_pc) {
        *value = c->pc;
    } else if (id == CONF_REG_riscv64_priv) {
        *value = c->priv;
    } else if (id == REG_RETIRED) {
        *value = c->retired;
    } else if (id == REG_TIME) {
        *value = cpu_time_ns(c);
    } else if (id == REG_LINES) {
        *value = c->lines;
    } else {
        return CONF_REG_CLASS(id) == CONF_REG_SYS && index < 0x1000 && cpu_csr_get(c, (unsigned)index, value);
    }
    return true;
}

static bool reg_set(Cpu *c, ConfRegId id, uint64_t value)
{
    uint64_t index = CONF_REG_INDEX(id);
    if (CONF_REG_CLASS(id) == CONF_REG_GPR && index < NGPRS) {
        c->x[index] = index ? value : 0;
    } else if (id == CONF_REG_riscv64_pc) {
        c->pc = value;
    } else if (id == CONF_REG_riscv64_priv && value <= PRIV_S) {
        c->priv = (unsigned)value;
    } else if (id == REG_RETIRED) {
        c->retired = value;
    } else if (id == REG_TIME) {
        c->ahead_ns = (int64_t)(value - c->retired);
    } else if (id == REG_LINES) {
        c->lines = value;
    } else if (id == CONF_REG_riscv64_satp && value) {
        return false; /* nothing is translated here */
    } else {
        return CONF_REG_CLASS(id) == CONF_REG_SYS && index < 0x1000 && cpu_csr_set(c, (unsigned)index, value);
    }
    return true;
}

static int no_register(ConfRegId id, ConfErr *err)
{
    char why[64];
    snprintf(why, sizeof why, "no register 0x%llx, or no such value of it", (unsigned long long)id);
    return conf_err_unsupported(err, NAME, "sysreg", why);
}

static int vcpu_get_regs(ConfBeVcpu *v, ConfRegIo *io, size_t n, size_t *bad, ConfErr *err)
{
    if (v->pending == PENDING_STORE) { /* W3: looking settles a store */
        settle(v, 0);
        v->pending = PENDING_LOOKED;
    }
    for (*bad = 0; *bad < n; (*bad)++) {
        uint64_t value;
        if (!reg_get(&v->cpu, io[*bad].id, &value)) {
            return no_register(io[*bad].id, err);
        }
        memcpy(io[*bad].bytes, &value, CONF_REG_SIZE(io[*bad].id));
    }
    return 0;
}

/* W6: done on a copy, which takes the place of the original when all went well. */
static int vcpu_set_regs(ConfBeVcpu *v, const ConfRegIo *io, size_t n, size_t *bad, ConfErr *err)
{
    Cpu copy = v->cpu;
    *bad = 0;
    if (v->pending != PENDING_NONE) {
        return conf_err_set(err, CONF_ERR_BUSY, "a reply is due");
    }
    for (; *bad < n; (*bad)++) {
        uint64_t value = 0;
        if (CONF_REG_SIZE(io[*bad].id) > sizeof value) {
            return no_register(io[*bad].id, err);
        }
        memcpy(&value, io[*bad].bytes, CONF_REG_SIZE(io[*bad].id));
        if (!reg_set(&copy, io[*bad].id, value)) {
            return no_register(io[*bad].id, err);
        }
    }
    v->shown += copy.retired - v->cpu.retired; /* a restored count is not one of instructions run */
    v->cpu = copy;
    return 0;
}

static int vcpu_reg_list(ConfBeVcpu *v, ConfRegId *ids, size_t *n, ConfErr *err)
{
    size_t room = *n;
    *n = NGPRS - 1 + NSAVED;
    if (!ids) {
        return 0;
    }
    if (v->pending != PENDING_NONE) {
        return conf_err_set(err, CONF_ERR_BUSY, "a reply is due");
    }
    if (room < *n) {
        return conf_err_set(err, CONF_ERR_LIMIT, "room for %zu of %zu registers", room, *n);
    }
    for (unsigned i = 1; i < NGPRS; i++) {
        ids[i - 1] = CONF_REG_ID(CONF_GUEST_riscv64, 3, CONF_REG_GPR, i);
    }
    memcpy(ids + NGPRS - 1, SAVED, sizeof SAVED); /* after the count of instructions, guest time */
    return 0;
}

/* ---- interrupts ---- */
static int vcpu_inject(ConfBeVcpu *v, const ConfEvent *event, ConfErr *err)
{
    enum { SOFTWARE = 1, TIMER = 5, EXTERNAL = 9 };
    if (event->kind != CONF_EV_LINE) {
        return conf_err_unsupported(err, NAME, "inject", "a riscv64 hart takes its interrupt lines only");
    }
    if (v->pending != PENDING_NONE) {
        return conf_err_set(err, CONF_ERR_BUSY, "a reply is due");
    }
    uint64_t bit = (uint64_t)1 << (event->number & 63);
    /* The software interrupt is no wire: whoever sends it sets the bit, and the guest clears it. */
    uint64_t *word = event->number == SOFTWARE ? &v->cpu.software : &v->cpu.lines;
    if (event->number != SOFTWARE && event->number != TIMER && event->number != EXTERNAL) {
        return conf_err_set(err, CONF_ERR_INVAL, "the lines of a hart are 1 (software), 5 (timer), 9 (external)");
    }
    *word = event->level ? *word | bit : *word & ~bit;
    return 0;
}

/* ---- the tables ---- */
static const ConfVmOps VM_OPS = {
    .size_bytes = sizeof VM_OPS,
    .create = vm_create,
    .destroy = vm_destroy,
    .ram_create = vm_ram_create,
    .map = vm_map,
    .unmap = vm_unmap,
    .mem_read = vm_mem_read,
    .mem_write = vm_mem_write,
    .ctl = vm_ctl,
};
static const ConfVcpuOps VCPU_OPS = {
    .size_bytes = sizeof VCPU_OPS,
    .create = vcpu_create,
    .destroy = vcpu_destroy,
    .setup = vcpu_setup,
    .run = vcpu_run,
    .reply = vcpu_reply,
    .kick = vcpu_kick,
    .get_regs = vcpu_get_regs,
    .set_regs = vcpu_set_regs,
    .reg_list = vcpu_reg_list,
    .inject = vcpu_inject,
};
static const ConfBackend TOY = {
    .abi = CONF_BACKEND_ABI,
    .size_bytes = sizeof TOY,
    .name = NAME,
    .open = toy_open,
    .vm = &VM_OPS,
    .vcpu = &VCPU_OPS,
    .abi_minor = CONF_BACKEND_ABI_MINOR,
};

CONF_BACKEND_EXPORT const ConfBackend *conf_backend(uint32_t abi)
{
    return abi == CONF_BACKEND_ABI ? &TOY : NULL;
}
