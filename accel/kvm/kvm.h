/* SPDX-License-Identifier: Apache-2.0
 * kvm.h - private to accel/kvm: the backend `kvm`, guest machines of Linux KVM by its ioctls.
 *
 * kvm.c    Backend, open(), VM and vcpu objects        mem.c   RAM, memory slots, dirty log
 * run.c    entry, kick, deadline, pending accesses     exit.c  exits that are the same on every
 * architecture ctl.c    what only KVM has, by name                  x86_64*.c aarch64.c riscv64.c
 * ring.c   the dirty log by rings              vgic.c, aia.c  interrupt controllers in the kernel
 * onereg.c  what an architecture adds; one of them is compiled in (KVM runs the host's ISA only)
 *
 * Pending accesses (W3). The kernel retires an access at the next KVM_RUN, before it looks at
 * immediate_exit (Documentation/virt/kvm/api.rst, 4.10 KVM_RUN and 5. "The kvm_run structure"). So
 * a replied access is "open" until a KVM_RUN; kvm_settle() makes one with immediate_exit set, which
 * retires it and runs nothing. If that brings a further piece of the same instruction, its exit
 * stays in kvm_run ("kept") and the next run() returns it.
 *
 * Threads: VmOps come one at a time; vcpus run beside them. What they share is in BeVm under
 * `lock`, or atomic. */
#ifndef ACCEL_KVM_KVM_H
#define ACCEL_KVM_KVM_H

#include "accel/slots.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* Newer than the headers that this must build with. */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif
#ifndef KVM_CAP_DIRTY_LOG_RING_ACQ_REL
#define KVM_CAP_DIRTY_LOG_RING_ACQ_REL 223
#endif
/* asm/kvm.h: KVM_GUESTDBG_USE_HW_BP on x86, KVM_GUESTDBG_USE_HW on arm64, one number; riscv has
 * none */
enum { KVM_DEBUG_HW = 1 << 17 };
/* the same of KVM_GUESTDBG_USE_SW_BP; on riscv64 KVM_GUESTDBG_ENABLE alone means it, and the bit is not looked at */
enum {
    KVM_DEBUG_SW = 1 << 16,
    KVM_CHECK_GUEST_DEBUG = 23 /* KVM_CAP_SET_GUEST_DEBUG, which not every asm/kvm.h lets be seen */
};

/* The dirty ring of one vcpu of the kernel (ring.c), which stays mapped as long as the VM is there. */
typedef struct {
    struct kvm_dirty_gfn *entries;
    uint32_t next; /* the first entry that was not looked at */
} KvmRing;

/* A vcpu of the kernel outlives its file descriptor until the VM is gone, and its id cannot be
 * created twice: a destroyed one waits here for its id to come back. */
typedef struct {
    uint32_t kvm_id;
    int fd;
    struct kvm_run *run;
} KvmParked;

typedef struct {
    uint32_t lo, hi; /* inclusive */
} KvmRange;

struct BeVm {
    const Backend *backend;
    int sys_fd, fd;
    int irqchip_fd;        /* the in-kernel interrupt controller, where it is a device of its own; -1 = none */
    bool is_irqchip_ready; /* under lock: it was told that all vcpus are there */
    uint32_t nmade;        /* under lock: vcpus that the kernel has made, those that wait in `parked` among them */
    Irqchip irqchip;
    Firmware firmware;
    size_t run_bytes;
    bool has_smccc_filter; /* aarch64: calls to the hypervisor and the firmware leave the guest */
    atomic_bool has_vcpu;  /* one was created: configuration is closed */
    Slots mem;             /* its indices are the kernel's slot numbers */
    /* With a dirty ring a vcpu that leaves as its ring is full looks at the slots, beside a VmOp. So whoever changes them, or
     * their dirty pages, holds slots_lock. */
    pthread_mutex_t slots_lock;
    uint32_t ring_bytes;  /* of each vcpu; 0 = the dirty log is the kernel's bitmaps. Fixed once there is a vcpu */
    VEC(KvmRing) rings;   /* under slots_lock, as the next */
    uint64_t nring_fulls; /* entries that ended since a ring was full */
    VEC(struct kvm_irq_routing_entry) routes; /* what ctl.c asked for */
    VEC(int) eventfds;                        /* by handle: what ctl.c made */
    VEC(KvmRange) msr_ranges;                 /* x86 intercepts */
    pthread_mutex_t lock;                     /* vcpus, parked, and the gate's sleepers */
    pthread_cond_t gate_moved;
    VEC(BeVcpu *) vcpus;
    VEC(KvmParked) parked;
    atomic_bool is_gated; /* a memory slot is being replaced: no vcpu may enter */
};

typedef struct KvmArch KvmArch; /* what one architecture keeps per vcpu */
typedef enum {
    PEND_NONE,
    PEND_DUE,     /* an exit awaits reply() */
    PEND_SETTLED, /* the same, and the kernel has retired the instruction already, as somebody
                     looked */
    PEND_OPEN     /* replied; the kernel retires it at the next KVM_RUN */
} KvmPending;

struct BeVcpu {
    BeVm *vm;
    VcpuConfig cfg;
    uint32_t kvm_id;
    int fd;
    struct kvm_run *run;
    KvmArch *arch;
    KvmPending pending;
    ExitKind due; /* of the exit that awaits a reply */
    bool is_set_up, has_run;
    bool is_parked;              /* a secondary that nobody has sent anywhere yet, kept here and not by the kernel */
    bool is_synced;              /* kvm_run's registers are those of its exit (KVM_CAP_SYNC_REGS) */
    bool has_kept;               /* kvm_run holds an exit that run() has not returned yet */
    bool is_step_open;           /* the exit that awaits a reply interrupted a single step */
    uint32_t element, nelements; /* string PIO: the element that was returned last, of how many in kvm_run */
    uint32_t debug_control;      /* last KVM_SET_GUEST_DEBUG */
    bool has_new_breaks;
    bool has_sw_break; /* the guest's breakpoint instruction is an exit */
    Break breaks[4];
    size_t nbreaks;
    bool has_timer;
    timer_t timer;
    uint64_t timer_ns; /* it is armed for; 0 = not armed */
    pid_t timer_tid;   /* it signals */
    atomic_int owner_tid;
    atomic_bool is_kicked, is_inside;
};

/* ---- kvm.c ---- */
int kvm_check(int fd, int cap);                               /* KVM_CHECK_EXTENSION; negative results read as 0 */
int kvm_ioctl(int fd, unsigned long request, void *arg);      /* repeats on EINTR; 0 or more, or -errno */
int kvm_ioctl_once(int fd, unsigned long request, void *arg); /* the same, but for EINTR: -EINTR */
int kvm_err(Err *err, int negative_errno, const char *what);  /* -ERR_x for an ioctl's failure, with its text */
int kvm_enable_cap(int fd, uint32_t cap, uint64_t arg0);
void kvm_cap_set(Caps *caps, Cap cap, CapLevel level, const char *why);
int kvm_get(BeVcpu *v, unsigned long request, void *arg, const char *what, Err *err);

/* ---- mem.c ---- */
int kvm_ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err);
int kvm_map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err);
int kvm_unmap(BeVm *vm, Gpa at, uint64_t size, Err *err);
int kvm_mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err);
int kvm_mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err);
int kvm_dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err);
void kvm_mem_free(BeVm *vm);

/* ---- ring.c: the dirty log by rings (KVM_CAP_DIRTY_LOG_RING) ---- */
int kvm_ring_enable(BeVm *vm, uint64_t bytes, Err *err);
int kvm_ring_open(BeVcpu *v, Err *err);   /* of a vcpu that the kernel has just made */
int kvm_ring_harvest(BeVm *vm, Err *err); /* what is in the rings goes to the slots; slots_lock is held */
int kvm_ring_full(BeVm *vm, Err *err);    /* the same, by a vcpu whose ring was full */
void kvm_ring_free(BeVm *vm);

/* ---- run.c ---- */
int kvm_run_init(Err *err); /* once per process: the signal that wakes a vcpu; THREAD-SAFE */
int kvm_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err);
int kvm_reply(BeVcpu *v, const Reply *r, Err *err);
void kvm_kick(BeVcpu *v);
int kvm_settle(BeVcpu *v, Err *err);     /* retires an open access */
int kvm_look(BeVcpu *v, Err *err);       /* before registers are read: W3 */
int kvm_look_write(BeVcpu *v, Err *err); /* before they are written: -ERR_BUSY while an instruction is under way */
int kvm_abandon(BeVcpu *v, Err *err);    /* before a reset: whatever is under way is finished with zeros */
void kvm_run_free(BeVcpu *v);
void kvm_gate_close(BeVm *vm); /* every vcpu leaves the guest and stays out */
void kvm_gate_open(BeVm *vm);

/* ---- exit.c ---- */
/* Translates what is in kvm_run. 0 = *exit is written; 1 = not for above: enter again. */
int kvm_exit_decode(BeVcpu *v, const RunArgs *args, VmExit *exit);
void kvm_exit_errno(BeVcpu *v, int error, VmExit *exit); /* KVM_RUN failed because of what the guest did */
void kvm_exit_start(BeVcpu *v, VmExit *exit, ExitKind kind);

/* ---- ctl.c ---- */
extern const char *const kvm_ctls[];
int kvm_ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err);

/* ---- onereg.c: architectures whose registers go one by one (KVM_GET_ONE_REG) ---- */
int kvm_onereg_get(BeVcpu *v, uint64_t kvm_id, void *bytes);       /* 0 or -errno */
int kvm_onereg_set(BeVcpu *v, uint64_t kvm_id, const void *bytes); /* 0 or -errno */
uint64_t kvm_onereg_u64(BeVcpu *v, uint64_t kvm_id);               /* 0 if it cannot be read */
/* Declares mmio_data; a small guest finds out whether signed loads arrive sign-extended (once per
 * process). */
void kvm_onereg_probe(Caps *caps);
void kvm_arch_probed(BeVcpu *v); /* that guest's vcpu, before it runs: what its registers tell of every vcpu */
/* What an architecture tells onereg.c. */
extern const uint64_t kvm_arch_reg_base; /* KVM_REG_ARM64, KVM_REG_RISCV */
uint64_t kvm_arch_reg_id(RegId id);      /* the kernel's id; 0 = none */
RegId kvm_arch_reg_of(uint64_t kvm_id);  /* the reverse; 0 = it has no name of its own */
/* Registers of class STATE beside mp_state, which this backend keeps as the kernel has none for them: 0, -ENOENT or -EINVAL. */
int kvm_arch_state_get(BeVcpu *v, RegId id, uint8_t *out);
int kvm_arch_state_set(BeVcpu *v, RegId id, const uint8_t *in);

/* ---- one architecture ---- */
extern const GuestId kvm_arch_guest;
extern const char kvm_arch_name[];
void kvm_arch_caps(int sys_fd, Caps *caps);
unsigned long kvm_arch_vm_type(int sys_fd); /* argument of KVM_CREATE_VM */
int kvm_arch_vm_init(BeVm *vm, Err *err);
int kvm_arch_vm_ready(BeVm *vm, Err *err); /* before the first entry of any vcpu: finish in-kernel devices */
int kvm_arch_vcpu_id(const VcpuConfig *cfg, uint32_t *out, Err *err);
int kvm_arch_vcpu_init(BeVcpu *v, Err *err);
void kvm_arch_vcpu_free(BeVcpu *v);
void kvm_arch_abandon(BeVcpu *v); /* an instruction under way is about to be finished with zeros: keep it short */
int kvm_arch_setup(BeVcpu *v, const VcpuSetup *s, Err *err);
bool kvm_arch_parks(const BeVm *vm); /* secondary vcpus wait here, until somebody writes their pc */
int kvm_arch_unpark(BeVcpu *v, Err *err);
void kvm_arch_before_run(BeVcpu *v, const RunArgs *args);
int kvm_arch_exit(BeVcpu *v, const RunArgs *args, VmExit *exit); /* reasons that exit.c does not know */
void kvm_arch_debug(BeVcpu *v, VmExit *exit);
void kvm_arch_pc(BeVcpu *v, const RunArgs *args, VmExit *exit); /* fills pc_before, pc_after as wanted and known */
int kvm_arch_reply(BeVcpu *v, const Reply *r, Err *err);        /* kinds beside mmio_read, mmio_write */
int kvm_arch_reply_fault(BeVcpu *v, Err *err);
/* 0 = a step that a reply finished is reported now; 1 = by the kernel */
int kvm_arch_step_exit(BeVcpu *v, VmExit *exit, Err *err);
int kvm_arch_guest_debug(BeVcpu *v, struct kvm_guest_debug *d, Err *err); /* break registers from v->breaks */
const char *kvm_arch_no_sw_break(void); /* why the guest's breakpoint instruction is never reported; NULL = it can be */
int kvm_arch_inject(BeVcpu *v, const Event *e, Err *err);
int kvm_arch_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err);
int kvm_arch_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err);
int kvm_arch_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err);
int kvm_arch_irq_line(BeVm *vm, uint32_t gsi, bool level, Err *err);
int kvm_arch_msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err);
int kvm_arch_intercept(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err);
int kvm_arch_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err);
int kvm_arch_save(BeVm *vm, Buf *out, Err *err);
int kvm_arch_restore(BeVm *vm, const void *bytes, size_t n, Err *err);
#endif
