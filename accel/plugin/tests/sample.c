/* SPDX-License-Identifier: Apache-2.0
 * sample.c - plugins for plugin_test.c: a vcpu that has a kick, a pc and registers and runs nothing. SAMPLE says which one is built,
 * and what is wrong with it. Built as a stranger would: with conf-backend.h alone. */
#include <conf-backend.h>

enum {
    SAMPLE_GOOD,
    SAMPLE_NO_SYMBOL,
    SAMPLE_NULL_ENTRY,
    SAMPLE_WRONG_ABI,
    SAMPLE_SHORT_BACKEND,
    SAMPLE_LONG_BACKEND,
    SAMPLE_FILLED_TAIL, /* of a later header, and it uses what that added */
    SAMPLE_NEWER_MINOR,
    SAMPLE_SHORT_VM,
    SAMPLE_NO_VM,
    SAMPLE_NO_OPEN,
    SAMPLE_NO_NAME,
    SAMPLE_BAD_NAME,
    SAMPLE_TAKEN_NAME,
    SAMPLE_HOLE, /* declares what it has no entry for */
    SAMPLE_BAD_LEVEL,
    SAMPLE_BAD_ISA,
    SAMPLE_NO_MINOR,    /* says its isa as one that was built before there was one */
    SAMPLE_NO_CODE,     /* fails with a number that is no error */
    SAMPLE_NO_SENTENCE, /* fails without a text */
    SAMPLE_CRASH_LOAD,
    SAMPLE_CRASH_OPEN,
    SAMPLE_CRASH_RUN,
    SAMPLE_HANG_LOAD
};
static const int sample = SAMPLE;

struct ConfBeVm {
    int nothing;
};
struct ConfBeVcpu {
    uint64_t pc;
    volatile int is_kicked;
};

static void crash(void)
{
    abort();
}

#if defined(SAMPLE_IS_CRASH_LOAD) || defined(SAMPLE_IS_HANG_LOAD)
__attribute__((constructor)) static void on_load(void)
{
    volatile int is_for_ever = 1;
    if (sample == SAMPLE_CRASH_LOAD) {
        crash();
    }
    while (is_for_ever) {
    }
}
#endif

static int sample_open(const ConfBackend *b, ConfGuestId guest, ConfCaps *caps, ConfErr *err)
{
    if (sample == SAMPLE_CRASH_OPEN) {
        crash();
    }
    if (sample == SAMPLE_NO_CODE) {
        return 5;
    }
    if (sample == SAMPLE_NO_SENTENCE) {
        return -CONF_ERR_LIMIT;
    }
    if (guest != CONF_GUEST_riscv64) {
        return conf_err_set(err, CONF_ERR_UNSUPPORTED, "%s is for riscv64 only", b->name);
    }
    caps->max_vcpus = 1;
    conf_cap_set(caps, CONF_CAP_vcpu, CONF_CAP_FULL, NULL);
    conf_cap_set(caps, CONF_CAP_env_virt, CONF_CAP_FULL, NULL);
    conf_cap_set(caps, CONF_CAP_cancel, CONF_CAP_FULL, NULL);
    if (sample == SAMPLE_HOLE) {
        conf_cap_set(caps, CONF_CAP_msi, CONF_CAP_FULL, NULL);
    }
    caps->isa = sample == SAMPLE_BAD_ISA ? "riscv64 imac" : "rv64i_zicsr";
    if (sample == SAMPLE_BAD_LEVEL) {
        conf_cap_set(caps, CONF_CAP_step, CONF_CAP_PARTIAL, NULL);
    }
    return 0;
}

static int vm_create(const ConfBackend *b, const ConfVmConfig *cfg, ConfBeVm **out, ConfErr *err)
{
    (void)b;
    (void)cfg;
    *out = (ConfBeVm *)calloc(1, sizeof **out);
    return *out ? 0 : conf_err_set(err, CONF_ERR_NOMEM, "no memory");
}

static void vm_destroy(ConfBeVm *vm)
{
    free(vm);
}

static int vcpu_create(ConfBeVm *vm, const ConfVcpuConfig *cfg, ConfBeVcpu **out, ConfErr *err)
{
    (void)vm;
    (void)cfg;
    *out = (ConfBeVcpu *)calloc(1, sizeof **out);
    return *out ? 0 : conf_err_set(err, CONF_ERR_NOMEM, "no memory");
}

static void vcpu_destroy(ConfBeVcpu *v)
{
    free(v);
}

static int vcpu_setup(ConfBeVcpu *v, const ConfVcpuSetup *s, ConfErr *err)
{
    (void)err;
    v->pc = s->entry.addr;
    return 0;
}

static int vcpu_run(ConfBeVcpu *v, const ConfRunArgs *args, ConfVmExit *e, ConfErr *err)
{
    (void)args;
    (void)err;
    if (sample == SAMPLE_CRASH_RUN) {
        crash();
    }
    e->kind = v->is_kicked ? CONF_EXIT_canceled : CONF_EXIT_shutdown;
    e->reply = conf_exit_reply_kind(e->kind);
    v->is_kicked = 0;
    return 0;
}

static int vcpu_reply(ConfBeVcpu *v, const ConfReply *r, ConfErr *err)
{
    (void)v;
    (void)r;
    return conf_err_set(err, CONF_ERR_STATE, "nothing awaits a reply");
}

static void vcpu_kick(ConfBeVcpu *v)
{
    v->is_kicked = 1;
}

static int vcpu_get_regs(ConfBeVcpu *v, ConfRegIo *io, size_t n, size_t *bad, ConfErr *err)
{
    for (*bad = 0; *bad < n; (*bad)++) {
        if (io[*bad].id != CONF_REG_riscv64_pc) {
            return conf_err_unsupported(err, "sample", "sysreg", "it has a pc only");
        }
        memcpy(io[*bad].bytes, &v->pc, sizeof v->pc);
    }
    return 0;
}

static int vcpu_set_regs(ConfBeVcpu *v, const ConfRegIo *io, size_t n, size_t *bad, ConfErr *err)
{
    (void)v;
    (void)io;
    *bad = 0;
    return n ? conf_err_unsupported(err, "sample", "gpr_set", "nothing can be set") : 0;
}

static int vcpu_reg_list(ConfBeVcpu *v, ConfRegId *ids, size_t *n, ConfErr *err)
{
    (void)v;
    (void)err;
    if (ids && *n) {
        ids[0] = CONF_REG_riscv64_pc;
    }
    *n = 1;
    return 0;
}

static int vcpu_inject(ConfBeVcpu *v, const ConfEvent *event, ConfErr *err)
{
    (void)v;
    (void)event;
    return conf_err_unsupported(err, "sample", "irq_line", "it takes no events");
}

/* What a later header might have: longer than this conf's. */
typedef struct {
    ConfBackend b;
    void *later[2];
} LaterBackend;

#ifdef SAMPLE_IS_NO_SYMBOL
#define ENTRY conf_backened
#else
#define ENTRY conf_backend
#endif
CONF_BACKEND_EXPORT const ConfBackend *ENTRY(uint32_t abi)
{
    static ConfVmOps vm;
    static ConfVcpuOps vcpu;
    static LaterBackend later;
    vm.size_bytes = sample == SAMPLE_SHORT_VM ? 16 : (uint32_t)sizeof vm;
    vm.create = vm_create;
    vm.destroy = vm_destroy;
    vcpu.size_bytes = (uint32_t)sizeof vcpu;
    vcpu.create = vcpu_create;
    vcpu.destroy = vcpu_destroy;
    vcpu.setup = vcpu_setup;
    vcpu.run = vcpu_run;
    vcpu.reply = vcpu_reply;
    vcpu.kick = vcpu_kick;
    vcpu.get_regs = vcpu_get_regs;
    vcpu.set_regs = vcpu_set_regs;
    vcpu.reg_list = vcpu_reg_list;
    vcpu.inject = vcpu_inject;
    later.b.abi = sample == SAMPLE_WRONG_ABI ? 99 : CONF_BACKEND_ABI;
    later.b.size_bytes = sample == SAMPLE_SHORT_BACKEND  ? 24
                         : sample == SAMPLE_LONG_BACKEND ? 1u << 20
                                                         : (uint32_t)sizeof later;
    later.b.name = sample == SAMPLE_NO_NAME      ? NULL
                   : sample == SAMPLE_BAD_NAME   ? "A Sample"
                   : sample == SAMPLE_TAKEN_NAME ? "fake"
                                                 : "sample";
    later.b.open = sample == SAMPLE_NO_OPEN ? NULL : sample_open;
    later.b.vm = sample == SAMPLE_NO_VM ? NULL : &vm;
    later.b.vcpu = &vcpu;
    later.b.abi_minor = sample == SAMPLE_NO_MINOR      ? 0
                        : sample == SAMPLE_NEWER_MINOR ? CONF_BACKEND_ABI_MINOR + 1
                                                       : CONF_BACKEND_ABI_MINOR;
    later.later[1] = sample == SAMPLE_FILLED_TAIL ? &later : NULL;
    return sample == SAMPLE_NULL_ENTRY || abi != CONF_BACKEND_ABI ? NULL : &later.b;
}
