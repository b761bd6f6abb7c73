/* SPDX-License-Identifier: Apache-2.0
 * sim.c - the tables of `sim-*`, one for each engine of the simulator, open(), and the VM. */
#include "accel/sim/impl.h"

#include <assert.h>
#include <string.h>

#define ENGINE(NAME, name) extern const Backend backend_sim_##name;
#include "sim/engines.def"
#undef ENGINE

enum { PAGE_BYTES = 4096, MAX_REGIONS = 1024 };

static const SimArch *const arches[] = {&sim_arch_riscv64};

static const SimArch *arch_of(GuestId guest)
{
    for (size_t i = 0; i < ARRAY_LEN(arches); i++) {
        if (arches[i]->guest == guest) {
            return arches[i];
        }
    }
    return NULL;
}

static int no_guest(GuestId guest, Err *err)
{
    const char *name = guest_name(guest);
    return err_set(err, ERR_UNSUPPORTED, "no simulator of %s yet", name ? name : "that guest");
}

static SimEngine engine_of(const Backend *b)
{
    static const Backend *const backends[SIM_ENGINES] = {
#define ENGINE(NAME, name) [SIM_##NAME] = &backend_sim_##name,
#include "sim/engines.def"
#undef ENGINE
    };
    unsigned e = 0;
    while (backends[e] != b) {
        e++;
        assert(e < SIM_ENGINES); /* backend_find knows no others */
    }
    return (SimEngine)e;
}

/* ---- open ---- */
void sim_cap_set(Caps *caps, Cap cap, CapLevel level, const char *why)
{
    caps->level[cap] = level;
    caps->why[cap] = why;
}

static int be_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    static const struct {
        Cap cap;
        const char *why;
    } none[] = {
        {CAP_sw_break, "a breakpoint instruction enters the guest's own handler"},
        {CAP_sysreg_exit, "system registers are served by the simulator"},
        {CAP_cpuid_exit, "CPU identification is served by the simulator"},
        {CAP_exception_exit, "exceptions enter the guest's own handler"},
        {CAP_irqchip, "no interrupt controller inside: the board's is outside of the backend"},
        {CAP_msi, "no interrupt controller inside"},
        {CAP_fault_inject, "a simulator breaks no rule on request"},
    };
    const SimArch *arch = arch_of(guest);
    if (!arch) {
        return no_guest(guest, err);
    }
    int rc = sim_engine_check(engine_of(b), err);
    if (rc) {
        return rc;
    }
    *caps =
        (Caps){.page_bytes = PAGE_BYTES, .max_vcpus = MAX_VCPUS, .max_regions = MAX_REGIONS, .ctls = sim_machine_ctls};
    for (int i = 0; i < CAP_COUNT; i++) {
        caps->level[i] = CAP_FULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        sim_cap_set(caps, none[i].cap, CAP_NONE, none[i].why);
    }
    arch->caps(caps);
    return 0;
}

/* ---- create ---- */
static bool number_of(const char *text, size_t n, uint64_t *out)
{
    enum { MAX_DIGITS = 19 };
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || n > MAX_DIGITS) {
            return false;
        }
        *out = *out * 10 + (uint64_t)(text[i] - '0');
    }
    return n > 0;
}

/* "max_block_insns=N,block_seed=N,jit_threads=N": blocks of at most N instructions, of random length from a seed; threads beside the
 * vcpus (sim.h). */
static int option_parse(const char *text, size_t n, SimConfig *out, Err *err)
{
    static const char *const keys[] = {"max_block_insns=", "jit_threads=", "block_seed="};
    uint32_t *const number[] = {&out->max_block_insns, &out->jit_threads};
    uint64_t value;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        size_t len = strlen(keys[i]);
        if (n < len || strncmp(text, keys[i], len) != 0 || !number_of(text + len, n - len, &value) ||
            (i < ARRAY_LEN(number) && value > UINT32_MAX)) {
            continue;
        }
        if (i < ARRAY_LEN(number)) {
            *number[i] = (uint32_t)value;
        } else {
            out->block_seed = value;
        }
        return 0;
    }
    return err_set(err, ERR_INVAL, "option '%.*s': expected max_block_insns=N, block_seed=N or jit_threads=N",
                   n > 60 ? 60 : (int)n, text);
}

static int options_parse(const char *text, SimConfig *out, Err *err)
{
    int rc = 0;
    while (text && *text && !rc) {
        size_t n = strcspn(text, ",");
        rc = option_parse(text, n, out, err);
        text += n + (text[n] == ',');
    }
    return rc;
}

static int config_check(const Backend *b, const VmConfig *cfg, Err *err)
{
    if (!arch_of(cfg->guest)) {
        return no_guest(cfg->guest, err);
    }
    if (cfg->irqchip != IRQCHIP_NONE && cfg->irqchip != IRQCHIP_BOARD) {
        return err_unsupported(err, b->name, "irqchip", "no interrupt controller inside");
    }
    if (cfg->firmware == FW_KERNEL) {
        return err_unsupported(err, b->name, "firmware",
                               "calls to the firmware leave as exits; nothing here serves them");
    }
    return 0;
}

static int be_create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    SimConfig sc = {
        .guest = guest_name(cfg->guest), .cpu = cfg->cpu, .engine = engine_of(b), .is_virt = cfg->env == ENV_VIRT};
    Sim *sim = NULL;
    int rc = config_check(b, cfg, err);
    rc = rc ? rc : options_parse(cfg->options, &sc, err);
    rc = rc ? rc : sim_new(&sc, &sim, err);
    if (rc) {
        return rc;
    }
    BeVm *vm = x_alloc(sizeof *vm);
    vm->backend = b;
    vm->arch = arch_of(cfg->guest);
    vm->sim = sim;
    vm->env = cfg->env;
    vm->board = cfg->board;
    *out = vm;
    return 0;
}

static void be_destroy(BeVm *vm)
{
    sim_free(vm->sim); /* and its vcpus */
    sim_machine_free(vm->machine);
    mem_free(vm);
}

/* ---- memory ---- */
static int be_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    return sim_ram_new(vm->sim, size, out, err);
}

static int be_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    return sim_map(vm->sim, at.addr, size, ram, offset, flags, err);
}

static int be_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    return sim_unmap(vm->sim, at.addr, size, err);
}

static int be_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    return sim_mem_read(vm->sim, at.addr, buf, n, err);
}

static int be_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    return sim_mem_write(vm->sim, at.addr, buf, n, err);
}

static int be_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    return sim_dirty_get(vm->sim, at.addr, size, bits, clear, err);
}

/* ---- time and state ---- */
/* Each vcpu has its own guest time; that of the VM is that of the one that has come furthest. */
static int be_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    (void)err;
    uint64_t furthest = 0;
    for (size_t i = 0; i < MAX_VCPUS; i++) {
        if (vm->vcpus[i] && set) {
            sim_clock_set(vm->vcpus[i], *guest_ns);
        } else if (vm->vcpus[i] && sim_clock_ns(vm->vcpus[i]) > furthest) {
            furthest = sim_clock_ns(vm->vcpus[i]);
        }
    }
    *guest_ns = set ? *guest_ns : furthest;
    return 0;
}

/* There is no state beside the vcpus and their RAM: no chunks. */
static int be_save(BeVm *vm, Buf *out, Err *err)
{
    (void)vm;
    (void)out;
    (void)err;
    return 0;
}

static int be_restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    Cursor c = cursor_of(bytes, n);
    (void)vm;
    return n ? err_set(err, ERR_VERSION, "restore: unknown chunk 0x%llx", (unsigned long long)cursor_le(&c, 4)) : 0;
}

static const VmOps vm_ops = {
    .size_bytes = sizeof(VmOps),
    .create = be_create,
    .destroy = be_destroy,
    .ram_create = be_ram_create,
    .map = be_map,
    .unmap = be_unmap,
    .mem_read = be_mem_read,
    .mem_write = be_mem_write,
    .dirty_get = be_dirty_get,
    .clock = be_clock,
    .save = be_save,
    .restore = be_restore,
    .ctl = sim_machine_ctl,
};

#define ENGINE(NAME, name_)                                                                                            \
    const Backend backend_sim_##name_ = {                                                                              \
        .abi = ACCEL_ABI_VERSION,                                                                                      \
        .abi_minor = ACCEL_ABI_MINOR,                                                                                  \
        .size_bytes = sizeof(Backend),                                                                                 \
        .name = "sim-" #name_,                                                                                         \
        .open = be_open,                                                                                               \
        .vm = &vm_ops,                                                                                                 \
        .vcpu = &sim_vcpu_ops,                                                                                         \
    };
#include "sim/engines.def"
#undef ENGINE
