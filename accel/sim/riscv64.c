/* SPDX-License-Identifier: Apache-2.0
 * riscv64.c - riscv64 guests: interrupt lines by cause number, and SBI calls as exits. In ENV_VIRT an ecall from S-mode leaves
 * as hypercall, the extension in the upper and the function in the lower 32 bits of its number, as KVM shows it; calls that start
 * and stop harts and the machine have exits of their own. */
#include "accel/sim/impl.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

/* Of the cpu that a VM without a name of one gets. It has H, which ENV_MACHINE shows; scenarios for H ask for that level. */
static char isa[512];

static void isa_make(void)
{
    int rc = sim_isa_string("riscv64", NULL, isa, sizeof isa, NULL);
    assert(!rc); /* all that is implemented is a cpu */
    (void)rc;
}

static void caps(Caps *caps)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, isa_make);
    caps->isa = isa;
    static const Cap absent[] = {CAP_pio, CAP_irq_vector, CAP_nmi, CAP_irq_window, CAP_cpuid_exit};
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        sim_cap_set(caps, absent[i], CAP_NA, "the architecture has no such thing");
    }
    sim_cap_set(caps, CAP_vec, CAP_NONE, "the V extension is not simulated");
}

/* ---- SBI 2.0: chapters 9 (HSM), 10 (SRST), 5 (legacy) ---- */
typedef struct {
    uint32_t extension, function;
    void (*make)(VmExit *e);
} SbiCall;

static void hart_start(VmExit *e)
{
    uint64_t entry = e->arg[1], opaque = e->arg[2];
    e->kind = EXIT_cpu_up;
    e->addr = e->arg[0];
    memset(e->arg, 0, sizeof e->arg);
    e->arg[0] = entry;
    e->arg[1] = opaque;
}

static void hart_stop(VmExit *e)
{
    e->kind = EXIT_cpu_down;
    e->addr = 0;
    memset(e->arg, 0, sizeof e->arg);
}

static void legacy_shutdown(VmExit *e)
{
    hart_stop(e);
    e->kind = EXIT_system_down;
}

static void system_reset(VmExit *e)
{
    enum { SHUTDOWN = 0, COLD_REBOOT = 1, WARM_REBOOT = 2 };
    uint32_t type = (uint32_t)e->arg[0], reason = (uint32_t)e->arg[1];
    if (type > WARM_REBOOT) {
        return; /* a vendor's: for the caller to know, or to answer with an error */
    }
    hart_stop(e);
    e->kind = type == SHUTDOWN ? EXIT_system_down : EXIT_system_reset;
    e->addr = reason;
}

static const SbiCall sbi_calls[] = {
    {0x48534d, 0, hart_start},
    {0x48534d, 1, hart_stop},
    {0x53525354, 0, system_reset},
    {8, 0, legacy_shutdown},
};

static void call(VmExit *e)
{
    uint32_t extension = (uint32_t)(e->addr >> 32), function = (uint32_t)e->addr;
    for (size_t i = 0; i < ARRAY_LEN(sbi_calls); i++) {
        const SbiCall *c = &sbi_calls[i];
        bool is_legacy = c->extension < 0x10; /* these have no function number: a6 is anything */
        if (c->extension == extension && (is_legacy || c->function == function)) {
            c->make(e);
            return;
        }
    }
}

/* ---- events ---- */
/* The software interrupt of S-mode is no wire: whoever sends it sets the bit, and the guest clears it (Priv 12.1.3). */
static int software(BeVcpu *v, bool level, Err *err)
{
    const uint32_t ssip = 1u << (16 + 1); /* the upper half of irq_state is what software has set */
    RegId id = reg_find(GUEST_riscv64, "irq_state")->id;
    uint32_t state = 0;
    int rc = sim_reg_get(v->s, id, &state, err);
    state = level ? state | ssip : state & ~ssip;
    return rc ? rc : sim_reg_set(v->s, id, &state, err);
}

static int inject(BeVcpu *v, const Event *e, Err *err)
{
    /* cause number -> line: sim.h's 0 software, 1 timer, 2 external are of the environment's highest level; 3 is the
     * supervisor's external interrupt below a machine level */
    static const struct {
        Env env;
        uint32_t number, line;
    } lines[] = {{ENV_VIRT, 5, 1},    {ENV_VIRT, 9, 2},     {ENV_MACHINE, 3, 0},
                 {ENV_MACHINE, 7, 1}, {ENV_MACHINE, 11, 2}, {ENV_MACHINE, 9, 3}};
    enum { SUPERVISOR_SOFTWARE = 1 };
    if (e->kind != EV_LINE) {
        return err_unsupported(err, v->vm->backend->name, "inject", "a riscv64 hart takes its interrupt lines only");
    }
    if (e->number == SUPERVISOR_SOFTWARE) {
        return software(v, e->level, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (lines[i].env == v->vm->env && lines[i].number == e->number) {
            return sim_vcpu_line(v->s, lines[i].line, e->level, err);
        }
    }
    return err_set(err, ERR_INVAL, "interrupt %u: the lines of a hart %s", e->number,
                   v->vm->env == ENV_MACHINE ? "with M-mode are 3, 7, 11 (machine software, timer, external), 1 and 9"
                                             : "are 1 (software), 5 (timer), 9 (external)");
}

const SimArch sim_arch_riscv64 = {.guest = GUEST_riscv64, .caps = caps, .call = call, .inject = inject};
