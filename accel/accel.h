/* SPDX-License-Identifier: Apache-2.0
 * accel.h - the waist: run a virtual CPU somewhere and hear why it stopped.
 *
 * ABOVE (conformance, lua) sees vm_*() and vcpu_*(), written once in life.c, vcpu.c, vm.c, exit.c. BELOW, one
 * folder per backend, fills Backend, VmOps, VcpuOps. A backend implements only what differs between platforms:
 * lifecycle, event queue, device completion, sign extension, save/restore loops and traces live above, once.
 *
 * Rules that bind every backend:
 *  W1 Three kinds of wrong: a guest fault is a VmExit; a host error is -ERR_x with *err filled; our own bug asserts.
 *  W2 Owner thread: create and every other VcpuOp run on one thread; only kick() may come from elsewhere. bind() on
 *     another thread moves ownership where CAP_rebind is FULL, else -ERR_THREAD. VmOps are serialised by vm.c; map,
 *     unmap, irq_line, msi, dirty_get, mem_read and mem_write may arrive while vcpus run.
 *  W3 Pending access. An exit with reply VALUE is an instruction that has not retired: get_regs shows the state before
 *     it. An exit with reply ACK is a store that is on its way: the platform may or may not have moved pc yet, so
 *     get_regs first settles it and shows the state after (sysreg_write, which may still be answered with a fault, shows
 *     the state before). Until reply() is called, set_regs, save and run are -ERR_BUSY. After reply() the next look shows
 *     the instruction retired, exactly once; where a platform needs a re-entry for that (KVM: immediate_exit) it is done
 *     lazily, and a further piece that it brings up is kept for the next run(). An exit without reply shows its
 *     instruction retired (hypercall, halt: pc == pc_after); a fault shows it not begun.
 *     While such a piece is kept, set_regs, inject and reg_list (hence save) are -ERR_BUSY as well, as half an instruction
 *     can be neither changed nor saved. A step (is_step) whose instruction asked for a reply ends, with EXIT_debug, when
 *     that is settled.
 *  W4 One exit = one access of <= 8 bytes: rep/string batches and wide accesses come piece by piece, ascending.
 *  W5 kick is sticky: the running, or else the next, run() returns EXIT_canceled once; kicks do not add up. A kick
 *     before an entry completes a replied access and runs nothing.
 *  W6 All or nothing: set_regs, map, unmap, mem_write and restore change nothing when they fail.
 *  W7 Never guess: a field that the platform did not give is absent from `valid`; an exit that cannot be decoded is
 *     EXIT_unsupported with its native code; EXIT_halt means that the guest idled, and nothing else.
 *  W8 Nobody above holds a pointer into guest memory, so a backend may live on another machine. */
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H

#include "sim/base/buf.h"
#include "sim/base/err.h"
#include "sim/guest/regs.h" /* RegId, RegInfo, GuestId: registers by the architecture's numbers */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Third parties build against this (accel/plugin/header.lua makes their conf-backend.h of it): within a version, tables and
 * structs only grow at the end, lists get further values at the end, and every table starts with its size_bytes. */
#define ACCEL_ABI_VERSION 1u
/* What has grown since the version's first header: 1: Caps.isa. A backend says it in Backend.abi_minor, so that a conf that does
 * not know it yet refuses the backend instead of being written past the end of a struct. */
#define ACCEL_ABI_MINOR 1u

typedef struct Vm Vm; /* ABOVE: opaque */
typedef struct Vcpu Vcpu;
typedef struct BeVm BeVm; /* BELOW: each backend has its own */
typedef struct BeVcpu BeVcpu;
typedef struct Backend Backend;
typedef struct {
    uint64_t addr;
} Gpa;

/* ---- exits: the canonical set: name, who must answer ---- */
/* clang-format off */
#define EXIT_MAP(X)                                                                                \
    X(hypercall, none)                                                                             \
    X(mmio_read, VALUE)                                                                            \
    X(mmio_write, ACK)                                                                             \
    X(sysreg_read, VALUE)                                                                          \
    X(sysreg_write, ACK)                                                                           \
    X(io_read, VALUE)                                                                              \
    X(io_write, ACK)                                                                               \
    X(external_interrupt, none)                                                                    \
    X(nested_page_fault, none)                                                                     \
    X(halt, none)                                                                                  \
    X(idle, none)                                                                                  \
    X(cpu_up, none)                                                                                \
    X(cpu_down, none)                                                                              \
    X(system_down, none)                                                                           \
    X(system_reset, none)                                                                          \
    X(nothing, none)                                                                               \
    X(fail_entry, none)                                                                            \
    X(send_ipi, ACK)                                                                               \
    X(cpuid, VALUE)                                                                                \
    X(exception, none)                                                                             \
    X(debug, none)                                                                                 \
    X(irq_window, none)                                                                            \
    X(eoi, none)                                                                                   \
    X(preempt_timer, none)                                                                         \
    X(shutdown, none)                                                                              \
    X(canceled, none)                                                                              \
    X(budget, none)                                                                                \
    X(internal_error, none)                                                                        \
    X(unsupported, none)                                                                           \
    X(unknown, none)
/* clang-format on */
#define X(name, reply) EXIT_##name,
typedef enum { EXIT_MAP(X) EXIT_COUNT } ExitKind;
#undef X
typedef enum { REPLY_none, REPLY_ACK, REPLY_VALUE } ReplyKind;
const char *exit_name(ExitKind kind); /* "mmio_read"; "?" outside the set */
int exit_find(const char *name);      /* -1 if none */
ReplyKind exit_reply_kind(ExitKind kind);
enum { HAS_pc_before = 1, HAS_pc_after = 2, HAS_insn = 4, HAS_value = 8, HAS_reg = 16, HAS_insns = 32, HAS_gva = 64 };
typedef enum { DEBUG_STEP = 1, DEBUG_BREAK, DEBUG_WATCH, DEBUG_SW_BREAK } DebugKind; /* exit debug: arg[0] */
typedef struct VmExit {
    ExitKind kind;
    ReplyKind reply;
    uint32_t valid; /* HAS_x: fields that the platform really gave (W7) */
    uint8_t vcpu, insn_len, size_bytes, reg_size_bytes;
    bool is_signed, is_completed; /* completed: vm.c or the board answered it; trace only */
    uint16_t piece, npieces;      /* W4; npieces 0 = unknown */
    uint64_t seq,
        insns; /* seq is set above, from 1, of what the observer sees; insns = instructions retired so far (HAS_insns) */
    uint64_t pc_before, pc_after;
    struct {
        uint64_t code, qual[2];
    } native;       /* exit number as the platform spells it, and its qualification */
    RegId reg;      /* mmio_read, sysreg_*: the destination or source register (HAS_reg) */
    uint64_t addr;  /* mmio_*, nested_page_fault: gpa; io_*: port; sysreg_*: index as in RegId; cpuid: leaf; cpu_up,
                      * send_ipi: target hw_id; external_interrupt, exception, eoi: vector; hypercall: nr; fail_entry: reason;
                      * system_*: reason; debug: gva of the break or watch point, pc for a step */
    uint64_t value; /* mmio_write, io_write, sysreg_write: data, zero-extended; cpuid: subleaf; exception: error code */
    uint64_t arg[6]; /* hypercall: arg0..arg5; cpu_up: {entry, opaque}; send_ipi: {aux, all, self, vector};
                      * nested_page_fault: {access MAP_x, gva}; debug: {DebugKind, dr6}; internal_error: {suberror,
                      * nbytes, bytes..} */
} VmExit;
typedef struct {
    uint64_t value;   /* raw, of the access's size; extended by exit.c, never by the backend */
    uint64_t more[3]; /* cpuid: ebx ecx edx (value = eax) */
    bool is_fault;    /* raise the architectural error instead; -ERR_UNSUPPORTED where the platform cannot */
} Reply;
/* What the destination register holds after a read of size_bytes answered with raw: truncated to the size, sign- or
 * zero-extended to 64 bits, or merged into old where the ISA keeps the upper bits (reg_size_bytes 1 or 2). */
uint64_t exit_extend(const VmExit *e, uint64_t raw, uint64_t old);
/* One line, the same on every backend: kind and the canonical fields, no seq, no native code, no host detail.
 * "mmio_read addr 0xd0000008 size 4". With native: " (native 6)" appended, and the qualification where there is one. */
void exit_print(Buf *out, const VmExit *e, bool with_native);

/* ---- capabilities: declared by the backend, proved by probes ---- */
/* clang-format off */
#define CAP_MAP(X)                                                                                 \
    X(vcpu) X(gpr_get) X(gpr_set) X(fpu_get) X(fpu_set) X(vec) X(sysreg) X(reg_list) X(step)       \
    X(hw_break) X(hw_watch) X(sw_break) X(exit_detail) X(mmio_data) X(pio) X(hypercall_visible)    \
    X(firmware_visible) X(sysreg_exit) X(cpuid_exit) X(exception_exit) X(halt_visible)             \
    X(reply_fault) X(pc_before) X(irq_vector) X(irq_line) X(nmi) X(irq_window) X(irqchip) X(msi)   \
    X(map) X(map_ro) X(map_nx) X(map_alias) X(dirty_log) X(stage2_table) X(cancel) X(deadline)     \
    X(insn_count) X(virtual_time) X(clock) X(save) X(multi_vcpu) X(multi_vm) X(rebind)             \
    X(board_inside) X(env_machine) X(env_virt) X(fault_inject) X(executes) X(parked) X(page_split)      \
    X(boot)
/* clang-format on */
#define X(name) CAP_##name,
typedef enum { CAP_MAP(X) CAP_COUNT } Cap;
#undef X
/* executes: runs guest code (fake does not). parked: secondary vcpus wait for cpu_up. page_split: an access that crosses
 * a page of a hole comes as two pieces. boot: makes a whole machine of images (machine.h). */
typedef enum { CAP_NA, CAP_NONE, CAP_PARTIAL, CAP_FULL } CapLevel;
enum { CAP_ROOM = 128 }; /* so that Caps keeps its layout when the list grows */
typedef struct {
    CapLevel level[CAP_ROOM];
    const char *why[CAP_ROOM]; /* required unless FULL; lives as long as the Backend */
    uint32_t page_bytes, max_vcpus, max_regions, vec_bytes;
    const char *const *ctls; /* names that ctl() accepts, NULL-terminated: "kvm.coalesced"; NULL = none */
    /* riscv64: the ISA string as in the RISC-V unprivileged specification, "ISA Extension Naming Conventions", of what guests have:
     * "rv64imac_zicsr_zifencei", the paged modes as "sv39". What code needs beyond it is skipped with that reason. NULL = not
     * said, then nothing is skipped because of it. Lives as long as the Backend. */
    const char *isa;
} Caps;
/* CAP_virtual_time: this register is the vcpu's own guest time in nanoseconds, to be read and set. A backend without it:
 * time is the instructions retired. */
#define REG_CLOCK(guest) REG_ID(guest, 3, REG_NATIVE, 0)
const char *cap_name(Cap cap);
int cap_find(const char *name);             /* -1 if none */
const char *cap_level_name(CapLevel level); /* n/a none partial full */

/* ---- configuration ---- */
/* VIRT: what every hypervisor gives (VS-mode, EL1, ring 0; SBI, PSCI, VMCALL leave as exits). MACHINE: bare hardware
 * with its highest level (M-mode, EL3/EL2): simulators only. */
typedef enum { ENV_VIRT, ENV_MACHINE } Env;
/* Who serves interrupt controllers and timers. Never traced on any backend, because KERNEL serves them unseen. */
typedef enum { IRQCHIP_NONE, IRQCHIP_BOARD, IRQCHIP_SPLIT, IRQCHIP_KERNEL } Irqchip;
/* SBI/PSCI: raw exit; served by vm.c and traced as completed; served unseen */
typedef enum { FW_EXIT, FW_BOARD, FW_KERNEL } Firmware;
typedef struct {
    GuestId guest;
    Env env;
    Irqchip irqchip;
    Firmware firmware;
    const char *cpu;     /* "rv64gc,h=off"; NULL = default */
    const char *options; /* backend's "key=value,..."; unknown key -ERR_INVAL; NULL = none */
    uint64_t max_vcpus,
        max_ram_bytes;         /* WHPX and VZ fix the count, VZ the memory, before the first vcpu; 0 = default */
    const struct Board *board; /* NULL = none; borrowed until vm_close */
    bool is_lazy;              /* until vm_settle(), operations without an answer may be put off */
} VmConfig;
typedef struct {
    uint8_t id;        /* VcpuId 0..255, value-checked above */
    bool is_secondary; /* parked until cpu_up; the first vcpu that is not is the BSP */
    uint64_t hw_id;    /* hartid, MPIDR affinity or APIC id */
    uint64_t arg;      /* boot argument (dtb address) */
} VcpuConfig;
typedef struct {
    Gpa entry;       /* from set_entry() */
    Gpa stage2;      /* root of second-stage tables in machine memory, if has_stage2 (simulator, ENV_VIRT), */
    bool has_stage2; /* else -ERR_UNSUPPORTED "stage2_table". Without it the second stage is what map() described. */
    bool passthrough_interrupt, passthrough_timer; /* aarch64 setup config */
} VcpuSetup;
typedef struct {
    uint64_t insns; /* UINT64_MAX = none; exact, or -ERR_UNSUPPORTED without CAP_insn_count; ends as EXIT_budget */
    uint64_t deadline_ns; /* host monotonic; UINT64_MAX = none; ends as EXIT_canceled */
    bool is_step;         /* one instruction, then EXIT_debug {DEBUG_STEP} */
    bool serve_board;     /* claimed accesses are served within run (board_inside) */
    bool irq_window;      /* return EXIT_irq_window once an interrupt could be taken */
    uint32_t want;        /* HAS_x that the caller will read; what is not wanted must cost nothing */
    /* With serve_board, of a backend that has_board; NULL = nobody hears of it. Each exit that was served inside and is to
     * be traced, in order, on the thread that runs, before run() returns. */
    void (*served)(void *ctx, const VmExit *e);
    void *served_ctx;
} RunArgs;
#define RUN_FOREVER ((RunArgs){.insns = UINT64_MAX, .deadline_ns = UINT64_MAX})
typedef enum { EV_VECTOR = 1, EV_NMI, EV_LINE, EV_EXCEPTION, EV_SHUTDOWN_REQ } EventKind;
typedef struct {
    EventKind kind;
    uint32_t number; /* x86 vector; aarch64 IRQ 0, FIQ 1; riscv64 cause number (1 software, 5 timer, 9 external; in
                      * ENV_MACHINE 3, 7, 11 of M-mode, 1 and 9) */
    uint64_t code;
    bool level, has_code; /* LINE: level; EXCEPTION: has an error code */
} Event;
typedef enum { MAP_R = 1, MAP_W = 2, MAP_X = 4, MAP_LOG_DIRTY = 8 } MapFlags;
typedef uint32_t RamId; /* a piece of backing memory: what is mapped where is separate, as slots move and alias */
typedef enum { IC_SYSREG = 1, IC_CPUID, IC_EXCEPTION, IC_HYPERCALL, IC_HALT, IC_RDTSC } InterceptKind;
typedef enum { BREAK_EXEC = 1, BREAK_WRITE, BREAK_ACCESS } BreakKind;
typedef struct {
    BreakKind kind;
    uint64_t gva, len;
} Break;

/* ---- BELOW. "req" must not be NULL; "opt CAP" may be NULL exactly when that capability is NONE or N/A ---- */
typedef struct {
    uint32_t size_bytes;
    int (*create)(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err); /* req. cfg borrowed for the call. */
    void (*destroy)(BeVm *vm); /* req. All vcpus are gone before; must not block on a guest. */
    int (*ram_create)(BeVm *vm, uint64_t size, RamId *out, Err *err); /* opt map. Zeroed. Local backends: memfd. */
    /* opt map. Overlap -ERR_EXIST, granule -ERR_ALIGN, slots used up -ERR_LIMIT: checked here if the platform does
     * not. Exactly over a region with the same ram and offset: changes its flags. Without W a store is mmio_write. */
    int (*map)(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err);
    int (*unmap)(BeVm *vm, Gpa at, uint64_t size, Err *err); /* exactly one region; else -ERR_NOENT */
    /* req unless map is NONE. Ignores R/W/X, never reaches a device; hole = -ERR_FAULT. Running vcpus see it by their
     * next entry; code written here is executed as written. */
    int (*mem_read)(BeVm *vm, Gpa at, void *buf, size_t n, Err *err);
    int (*mem_write)(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err);
    /* opt dirty_log. What vcpus and mem_write wrote. One bit per Caps.page_bytes, LSB first; fetch and clear is one
     * atomic step per page. */
    int (*dirty_get)(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err);
    int (*irq_line)(BeVm *vm, uint32_t gsi, bool level, Err *err);                            /* opt irqchip */
    int (*msi)(BeVm *vm, uint64_t addr, uint32_t data, Err *err);                             /* opt msi */
    int (*intercept)(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err); /* opt; before 1st vcpu */
    int (*clock)(BeVm *vm, bool set, uint64_t *guest_ns, Err *err); /* opt clock; all vcpus out of run() */
    /* opt save: in-kernel VM state (irqchip, vGIC) as chunks {u32 tag, u32 len, bytes}. Unknown tag: -ERR_VERSION.
     * save appends to out. */
    int (*save)(BeVm *vm, Buf *out, Err *err);
    int (*restore)(BeVm *vm, const void *bytes, size_t n, Err *err);
    /* opt. What one platform alone has, by name ("kvm.ioeventfd"); bytes, so that it crosses a pipe. v may be NULL.
     * The answer is appended to out. */
    int (*ctl)(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err);
    int (*power)(BeVm *vm, int what, Err *err); /* req where CAP_vcpu is NONE (VZ): start, pause, resume, stop */
    int (*settle)(BeVm *vm, Err *err);          /* opt: see vm_settle(). NULL = nothing is ever put off */
    /* opt board_inside, both or none. Was the board of VmConfig built where the backend is, from its spec? Then run() with
     * serve_board serves it and its firmware as vcpu_serve does, the other one is left alone but for Board.printed, and
     * what is typed goes to `type` (ANY THREAD, also while vcpus run). */
    bool (*has_board)(const BeVm *vm);
    int (*type)(BeVm *vm, const void *bytes, size_t n, size_t *ntaken, Err *err);
} VmOps;
typedef struct {
    uint32_t size_bytes;
    int (*create)(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err); /* req; the caller becomes owner */
    void (*destroy)(BeVcpu *v);                                             /* req, owner; not inside run() */
    int (*setup)(BeVcpu *v, const VcpuSetup *s,
                 Err *err);             /* req; architectural reset, GPRs 0, pc = entry; again = reset */
    int (*bind)(BeVcpu *v, Err *err);   /* opt rebind; NULL = nothing to do */
    int (*unbind)(BeVcpu *v, Err *err); /* opt rebind */
    /* req. Until an exit; *exit is wholly written. -ERR_x leaves the guest's state as it was. */
    int (*run)(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err);
    int (*reply)(BeVcpu *v, const Reply *r, Err *err); /* req, once per exit with reply != REPLY_none (W3) */
    void (*kick)(BeVcpu *v); /* req. ANY THREAD, async-signal-safe, W5; valid until destroy returns */
    int (*get_regs)(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err);       /* req; one batch = one round trip */
    int (*set_regs)(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err); /* req; W6; *bad = index at fault */
    /* req: all ids, in the order in which restore must set them; save = list + get, restore = set. ids NULL: count */
    int (*reg_list)(BeVcpu *v, RegId *ids, size_t *n, Err *err);
    /* req. Taken at the next entry, or when unmasked. Cannot be taken now: -ERR_BUSY; the queue is above (irq_window). */
    int (*inject)(BeVcpu *v, const Event *e, Err *err);
    int (*breaks)(BeVcpu *v, const Break *list, size_t n, Err *err); /* opt hw_break, hw_watch; replaces the set */
    /* opt, on the owner. The next run() ends by itself at once, so nobody need be ready to kick it. NULL = never */
    bool (*is_brief)(BeVcpu *v);
} VcpuOps;
struct Backend {
    uint32_t abi, size_bytes;
    const char *name; /* as shown: "kvm", "fake", "kvm@nested" */
    bool is_double;   /* results are labelled "(double)" */
    void *self;       /* the backend's own, e.g. a connection; NULL for built-in ones */
    /* Declares what is there for this guest, cheaply, leaving no VM behind; -ERR_UNAVAILABLE or -ERR_DENIED with the
     * reason and the remedy; -ERR_UNSUPPORTED where no host of this kind could ever have the guest. THREAD-SAFE for
     * built-in backends. */
    int (*open)(const Backend *b, GuestId guest, Caps *caps, Err *err);
    const VmOps *vm;
    const VcpuOps *vcpu; /* NULL where CAP_vcpu is NONE */
    uint64_t abi_minor;  /* ACCEL_ABI_MINOR of the header that it was built with; 0: one without that */
};
/* Are the tables whole for what it declares? -ERR_VERSION, -ERR_INVAL: the entry, capability or number that is not as it must
 * be. caps: as open() has filled it. Every vm_open asks it. */
MUST_USE int backend_check(const Backend *b, const Caps *caps, Err *err);
/* The built-in backends, from backends.def. */
const Backend *backend_find(const char *name); /* NULL if none */
const Backend *const *backend_list(size_t *n);

/* ---- lifecycle models: data (life.c), read by vcpu.c. A cell says what an operation does in a state. ---- */
/* clang-format off */
#define LIFE_OP_MAP(X)                                                                             \
    X(setup) X(bind) X(run) X(unbind) X(pause) X(resume) X(halt) X(reset) X(interrupt) X(destroy)  \
    X(get_regs) X(set_regs) X(set_gpr) X(set_return) X(save) X(restore) X(reserve) X(rollback)     \
    X(transition) X(set_entry) X(set_stage2) X(set_state)
/* clang-format on */
#define X(name) LIFE_##name,
typedef enum { LIFE_OP_MAP(X) LIFE_OP_COUNT } LifeOp;
#undef X
typedef enum { OUT_OK, OUT_HALT, OUT_FAULT, OUT_PAUSE, OUT_ERROR, OUT_COUNT } LifeOutcome;
enum { LIFE_STAY = 0xff, LIFE_FROM_ARG = 0xfe }; /* as a target: unchanged; the operation's argument */
typedef struct {
    int8_t verdict;        /* 0 = allowed; ERR_STATE, ERR_BUSY or ERR_UNSUPPORTED = rejected, backend not called */
    uint8_t rejected_to;   /* LIFE_STAY (virtualcpu) or Invalid (axvcpu: a failed precondition poisons) */
    uint8_t during;        /* state while the backend works; LIFE_STAY = no change */
    uint8_t to[OUT_COUNT]; /* applied only if the state is still `during`: a poisoned vcpu stays poisoned */
} LifeCell;
typedef struct {
    const char *name;            /* "virtualcpu", "axvcpu" */
    const char *const *states;   /* nstates names */
    const char *const *op_names; /* LIFE_OP_COUNT; the model's own word ("init" for setup); NULL = not in this model */
    uint8_t nstates, initial;
    const LifeCell (*cell)[LIFE_OP_COUNT]; /* [nstates] */
    const uint32_t *edges;                 /* bit `to` of edges[from]: the legal edges, for coverage and explore */
} LifeModel;
extern const LifeModel life_virtualcpu, life_axvcpu;
const LifeModel *life_find(const char *name);              /* NULL if none */
int life_op_find(const LifeModel *m, const char *name);    /* LifeOp, or -1; accepts the model's word */
int life_state_find(const LifeModel *m, const char *name); /* -1 if none */

/* ---- ABOVE ---- */
typedef struct { /* on the thread that caused the event; must not call back into the same Vcpu */
    void *ctx;
    void (*on_exit)(void *ctx, const VmExit *e); /* every exit, completed ones marked: the trace */
    /* every lifecycle operation: from == to when the state stayed; rc 0 or -ERR_x. Each state change is reported exactly
     * once, in order per vcpu. `during` states are reported too (Ready -> Running, then Running -> Ready). */
    void (*on_op)(void *ctx, uint8_t vcpu, LifeOp op, uint8_t from, uint8_t to, int rc);
    /* every other call that can fail, and the end of vcpu_run: its function's name ("vm_map"), rc 0 or -ERR_x. Also a
     * lifecycle operation that was refused for its arguments, before its state was looked at. */
    void (*on_call)(void *ctx, const char *call, int rc);
} Observer;
/* What a Vm gives its board while it is attached. line, pulse, start and fence reach a vcpu before its next instruction,
 * wherever it runs, and wake it. now_ns and finish: on the thread of the vcpu on whose behalf the board works; the others
 * are THREAD-SAFE. None calls the board back. A vcpu that is not there takes nothing. */
typedef struct BoardBus {
    Vm *vm;
    void (*line)(Vm *vm, uint8_t vcpu, uint32_t number, bool level); /* EV_LINE's number, below 32; held at the level */
    void (*pulse)(Vm *vm, uint8_t vcpu, uint32_t number); /* pending once more, until the guest itself takes it back */
    /* The guest's time of that vcpu: where CAP_virtual_time is there the backend's (REG_CLOCK), else of the host since
     * vm_open. */
    uint64_t (*now_ns)(Vm *vm, uint8_t vcpu);
    /* The guest ends the machine: its vcpu's run returns EXIT_system_down or system_reset with the reason. */
    void (*finish)(Vm *vm, uint8_t vcpu, bool is_reset, uint64_t reason);
    void (*start)(Vm *vm, uint8_t vcpu, uint64_t entry, uint64_t arg); /* set up anew, as a cpu_up that was accepted */
    void (*fence)(Vm *vm, uint8_t vcpu); /* it forgets translations and fetched code, before the call returns */
    bool (*is_ram)(Vm *vm, uint64_t gpa, uint64_t n);
    int (*mem_read)(Vm *vm, Gpa at, void *buf, size_t n, Err *err); /* vm_mem_read, vm_mem_write */
    int (*mem_write)(Vm *vm, Gpa at, const void *buf, size_t n, Err *err);
} BoardBus;
/* What becomes of a vcpu that called the firmware. */
typedef enum {
    CALL_RETURN,     /* ret[i] into arg<i>; goes on */
    CALL_STOP,       /* stops until BoardBus.start */
    CALL_SUSPEND,    /* as RETURN, then idles; `resumed` when it goes on */
    CALL_SUSPEND_TO, /* idles; then `resumed`, and begins at entry as after BoardBus.start */
    CALL_FINISHED    /* the machine ends; finish() was called */
} CallAction;
typedef struct {
    CallAction action;
    unsigned nret;
    uint64_t ret[2], entry, arg;
} CallAnswer;
/* Devices as vm.c sees them; the simulator's machine library builds them, for every backend (board.h). Only claims and
 * access are required. Every function may be called from any vcpu's thread. Vcpus of a VM with `attach` idle inside
 * of vcpu_serve and vm_run: EXIT_halt and EXIT_idle are not seen, as they are not where a kernel serves time and
 * interrupts. */
typedef struct Board {
    void *ctx;
    const char *spec; /* from which a remote agent builds the same board on its side; NULL = cannot */
    /* Takes no lock and changes nothing. */
    bool (*claims)(void *ctx, ExitKind kind, uint64_t addr, bool *is_traced);
    /* r->is_fault: bus error; read as 0 and ignored where the platform has no CAP_reply_fault. */
    int (*access)(void *ctx, uint8_t vcpu, const VmExit *e, Reply *r, Err *err);
    void (*attach)(void *ctx, const BoardBus *bus); /* by vm_open; NULL by vm_close. One Vm at a time. */
    /* The guest's time at which `tick` is due for the vcpu; UINT64_MAX = none. */
    uint64_t (*deadline)(void *ctx, uint8_t vcpu);
    void (*tick)(void *ctx, uint8_t vcpu);
    /* FW_BOARD: is the exit (hypercall, cpu_up, cpu_down) a call of this firmware? As claims. Without these two the starts
     * and stops of secondary vcpus are served by the loop itself, and nothing else is. hw_id must be id. */
    bool (*takes)(void *ctx, const VmExit *e);
    void (*call)(void *ctx, uint8_t vcpu, const VmExit *e, CallAnswer *out);
    void (*resumed)(void *ctx, uint8_t vcpu);
    void (*started)(void *ctx, uint8_t vcpu);        /* opt; a vcpu was created that waits for no start */
    void (*save)(void *ctx, Buf *out);               /* by vm_save, appends; both or none */
    int (*restore)(void *ctx, Cursor *in, Err *err); /* by vm_restore, all or nothing; after the vcpus */
    /* opt, with spec. The board is built anew, from spec, where the backend is (VmOps.has_board), and this one stands for it:
     * what is typed here goes to vm_type(), what was printed there comes here, on the thread of the vcpu that printed. vm
     * NULL: by vm_close. */
    void (*is_elsewhere)(void *ctx, Vm *vm);
    void (*printed)(void *ctx, const void *bytes, size_t n);
} Board;

/* A Vm and its Vcpus. Every function that takes an Err accepts NULL. Functions marked THREAD-SAFE may be called from any
 * thread at any time while the object lives; all others on the owner thread (vm_*: one thread at a time). */
MUST_USE int vm_open(const Backend *b, const VmConfig *cfg, const LifeModel *m, const Observer *o, Vm **out, Err *err);
/* Of a VM opened with is_lazy: waits for all that was put off, and ends the putting off. Until then an operation that only
 * makes or sets something may return 0 before it is done (a backend on another machine sends many in one message). The
 * first that failed is told here, or by the next operation that has an answer; those after it were not tried. */
MUST_USE int vm_settle(Vm *vm, Err *err);
void vm_close(Vm *vm); /* THREAD-SAFE: kicks, waits for run() to return, destroys; NULL is fine */
/* For a Board that is elsewhere: types at its console. How many bytes were taken; 0 also if the backend is gone. THREAD-SAFE. */
size_t vm_type(Vm *vm, const void *bytes, size_t n);
const Caps *vm_caps(const Vm *vm);
const LifeModel *vm_model(const Vm *vm);
GuestId vm_guest(const Vm *vm);
MUST_USE int vm_ram_new(Vm *vm, uint64_t size, RamId *out, Err *err);
MUST_USE int vm_map(Vm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err);
MUST_USE int vm_unmap(Vm *vm, Gpa at, uint64_t size, Err *err);
MUST_USE int vm_mem_read(Vm *vm, Gpa at, void *buf, size_t n, Err *err);
MUST_USE int vm_mem_write(Vm *vm, Gpa at, const void *buf, size_t n, Err *err);
MUST_USE int vm_dirty_get(Vm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err);
MUST_USE int vm_irq_line(Vm *vm, uint32_t gsi, bool level, Err *err);
MUST_USE int vm_msi(Vm *vm, uint64_t addr, uint32_t data, Err *err);
MUST_USE int vm_intercept(Vm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err);
MUST_USE int vm_clock(Vm *vm, bool set, uint64_t *guest_ns, Err *err);
MUST_USE int vm_save(Vm *vm, Buf *out, Err *err);
MUST_USE int vm_restore(Vm *vm, const void *bytes, size_t n, Err *err);
MUST_USE int vm_ctl(Vm *vm, Vcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err);

/* Creates a vcpu in its model's initial state. -ERR_INVAL: id above 255; -ERR_EXIST: id taken; -ERR_LIMIT. */
MUST_USE int vcpu_new(Vm *vm, const VcpuConfig *cfg, Vcpu **out, Err *err);
Vcpu *vm_vcpu(const Vm *vm, uint8_t id); /* NULL if none */
/* Operations. Each looks its cell up, calls the backend if allowed, applies the outcome and reports to the observer.
 * -ERR_STATE: rejected by the model ("pause: not allowed in state Ready (allowed in: Running)"); -ERR_BUSY: running, or a
 * reply is due. In axvcpu a rejected operation moves the vcpu to Invalid. */
MUST_USE int vcpu_set_entry(Vcpu *v, Gpa entry, Err *err); /* once, before setup; again: -ERR_EXIST */
MUST_USE int vcpu_set_stage2(Vcpu *v, Gpa root, Err *err); /* set_ept_root; address 0 = the default root (the map) */
MUST_USE int vcpu_setup(Vcpu *v, const VcpuSetup *s, Err *err); /* s->entry is ignored where set_entry gave one */
MUST_USE int vcpu_bind(Vcpu *v, Err *err);                      /* the calling thread becomes the owner */
MUST_USE int vcpu_unbind(Vcpu *v, Err *err);
/* Runs until an exit; every exit comes back raw, but for windows that the event queue asked for itself. THREAD-SAFE with
 * pause, halt, kick, interrupt, state. Called while another thread runs the vcpu (virtualcpu: allowed): EXIT_nothing. */
MUST_USE int vcpu_run(Vcpu *v, const RunArgs *args, VmExit *exit, Err *err);
/* As vcpu_run, but goes on over all that the board and its firmware answer (traced as completed), and over idling until
 * something wakes the vcpu (Board). For vcpus that each have a thread; vm_run is for all of them on one. */
MUST_USE int vcpu_serve(Vcpu *v, const RunArgs *args, VmExit *exit, Err *err);
MUST_USE int vcpu_reply(Vcpu *v, const Reply *r, Err *err); /* -ERR_STATE: no reply is due */
bool vcpu_reply_due(const Vcpu *v);
void vcpu_kick(Vcpu *v);                     /* THREAD-SAFE, async-signal-safe */
MUST_USE int vcpu_pause(Vcpu *v, Err *err);  /* THREAD-SAFE: kicks, waits until run() is out */
MUST_USE int vcpu_resume(Vcpu *v, Err *err); /* to Running; the next vcpu_run enters */
MUST_USE int vcpu_halt(Vcpu *v, Err *err);   /* THREAD-SAFE, as pause */
MUST_USE int vcpu_reset(Vcpu *v, Err *err);  /* setup again, events dropped, pending access abandoned */
MUST_USE int vcpu_interrupt(Vcpu *v, const Event *e, Err *err); /* THREAD-SAFE: queues, kicks; injected at entry */
MUST_USE int vcpu_destroy(Vcpu *v, Err *err); /* gives the platform's vcpu back; the Vcpu itself lives until vm_close */
MUST_USE int vcpu_get_regs(Vcpu *v, RegIo *io, size_t n, size_t *bad, Err *err);
MUST_USE int vcpu_set_regs(Vcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err);
MUST_USE int vcpu_reg_list(Vcpu *v, RegId *ids, size_t *n, Err *err);
MUST_USE int vcpu_set_gpr(Vcpu *v, unsigned index, uint64_t value, Err *err);
MUST_USE int vcpu_set_return(Vcpu *v, uint64_t value, Err *err); /* the register `ret` */
/* Snapshot of one vcpu: a versioned, checksummed list of {id, bytes} plus state and queued events; appended to out.
 * restore checks version, guest, vcpu id and checksum first and changes nothing when it fails. */
MUST_USE int vcpu_save(Vcpu *v, Buf *out, Err *err);
MUST_USE int vcpu_restore(Vcpu *v, const void *bytes, size_t n, Err *err);
MUST_USE int vcpu_reserve(Vcpu *v, Err *err);  /* axvcpu: Free -> Starting, a cpu_up was accepted */
MUST_USE int vcpu_rollback(Vcpu *v, Err *err); /* axvcpu: Starting -> Free */
MUST_USE int vcpu_transition(Vcpu *v, uint8_t from, uint8_t to, Err *err); /* axvcpu transition_state: checked `from` */
MUST_USE int vcpu_set_state(Vcpu *v, uint8_t to, Err *err);                /* axvcpu's unsafe set_state */
MUST_USE int vcpu_breaks(Vcpu *v, const Break *list, size_t n, Err *err);
uint8_t vcpu_state(const Vcpu *v); /* THREAD-SAFE, one atomic load */
uint8_t vcpu_id(const Vcpu *v);
Vm *vcpu_vm(const Vcpu *v);
typedef struct {
    uint64_t entries, exits[EXIT_COUNT], kicks, injected, transitions, rejected;
} VcpuStats;
void vcpu_stats(const Vcpu *v, VcpuStats *out); /* THREAD-SAFE */
/* The loop. Completes what the board claims (width merge, sign extension in exit.c), returns the first exit that it does
 * not, unbinds on every path (axvcpu). Round-robin: all vcpus in turn, quantum_insns each, or one exit each where the
 * backend cannot count. With a board that has `attach`, EXIT_halt is returned when everybody idles and no deadline of the
 * board will wake anybody. */
typedef struct {
    RunArgs until;
    uint64_t quantum_insns;
    bool is_round_robin;
} VmRunArgs;
MUST_USE int vm_run(Vm *vm, const VmRunArgs *args, VmExit *exit, Err *err);
#endif
