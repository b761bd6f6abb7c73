/* SPDX-License-Identifier: Apache-2.0
 * x86_64_probe.c - does this host's KVM do what it accepts? A guest of a few real-mode instructions
 * tells, once per process; children of a process that has asked know it too. It costs 10 to 20 ms
 * where the kernel is slow to take a VM down. Hosts whose KVM emulates instructions accept
 * KVM_SET_GUEST_DEBUG and ignore parts of it. */
#if defined(__x86_64__)
#include "accel/kvm/x86_64.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, CODE = 0x100, WATCHED = 0x800 };

typedef struct {
    int sys, vm, vcpu;
    size_t run_bytes;
    struct kvm_run *run;
    uint8_t *page;
} Guest;

static void guest_close(Guest *g)
{
    if (g->run != MAP_FAILED) {
        munmap(g->run, g->run_bytes);
    }
    if (g->page != MAP_FAILED) {
        munmap(g->page, PAGE);
    }
    const int fds[] = {g->vcpu, g->vm, g->sys};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static bool guest_open(Guest *g)
{
    *g = (Guest){.vm = -1, .vcpu = -1, .run = MAP_FAILED, .page = MAP_FAILED};
    g->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (g->sys < 0 || (g->vm = ioctl(g->sys, KVM_CREATE_VM, 0)) < 0) {
        return false;
    }
    g->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region r = {.memory_size = PAGE, .userspace_addr = (uintptr_t)g->page};
    (void)ioctl(g->vm, KVM_SET_TSS_ADDR, 0xfeffd000ul);
    if (g->page == MAP_FAILED || ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &r) ||
        (g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0)) < 0) {
        return false;
    }
    int n = ioctl(g->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (n < (int)sizeof(struct kvm_run)) {
        return false;
    }
    g->run_bytes = (size_t)n;
    g->run = mmap(NULL, g->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
    return g->run != MAP_FAILED;
}

/* Runs code from CODE with debug control d; the exit reason, or -1. Every code ends in HLT. */
static int guest_run(Guest *g, const uint8_t *code, size_t n, struct kvm_guest_debug d)
{
    struct kvm_sregs s;
    struct kvm_regs r = {.rip = CODE, .rflags = 2, .rsp = 0x700};
    memset(g->page, 0xf4, PAGE);
    memcpy(g->page + CODE, code, n);
    if (ioctl(g->vcpu, KVM_GET_SREGS, &s)) {
        return -1;
    }
    s.cs.base = s.cs.selector = 0;
    if (ioctl(g->vcpu, KVM_SET_SREGS, &s) || ioctl(g->vcpu, KVM_SET_REGS, &r) ||
        ioctl(g->vcpu, KVM_SET_GUEST_DEBUG, &d)) {
        return -1;
    }
    int rc = kvm_ioctl(g->vcpu, KVM_RUN, NULL);
    return rc < 0 ? -1 : (int)g->run->exit_reason;
}

enum { TSC = 0x10, TSC_HIGH = 0x10000 };

/* What the guest's counter is set to is what the guest reads of it. */
static bool keeps_tsc(Guest *g)
{
    static const uint8_t rdtsc[] = {0x0f, 0x31, 0xf4};
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry tsc;
    } msrs = {.head = {.nmsrs = 1}, .tsc = {.index = TSC, .data = (uint64_t)TSC_HIGH << 32}};
    struct kvm_regs r;
    return ioctl(g->vcpu, KVM_SET_MSRS, &msrs) == 1 &&
           guest_run(g, rdtsc, sizeof rdtsc, (struct kvm_guest_debug){0}) == KVM_EXIT_HLT &&
           !ioctl(g->vcpu, KVM_GET_REGS, &r) && r.rdx >= TSC_HIGH && r.rdx < 2 * TSC_HIGH;
}

static void probe(X86Probe *out)
{
    static const uint8_t nops[] = {0x90, 0x90, 0xf4};
    static const uint8_t store[] = {0xa2, WATCHED & 0xff, WATCHED >> 8, 0x90, 0xf4}; /* mov %al, WATCHED */
    static const uint8_t int3[] = {0xcc, 0xf4};
    static const uint8_t x87[] = {0xdb, 0xe3, 0xd9, 0xe8, 0xd8, 0xc0, 0xf4}; /* fninit; fld1; fadd %st(0), %st */
    struct kvm_guest_debug none = {0};
    struct kvm_guest_debug step = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
    struct kvm_guest_debug brk = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};
    struct kvm_guest_debug watch = brk;
    struct kvm_guest_debug sw = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP};
    brk.arch.debugreg[0] = CODE + 1;
    brk.arch.debugreg[7] = 0x602;
    watch.arch.debugreg[0] = WATCHED;
    watch.arch.debugreg[7] = 0x602 | 1 << 16;
    Guest g;
    if (guest_open(&g)) {
        out->has_run = true;
        out->steps = guest_run(&g, nops, sizeof nops, step) == KVM_EXIT_DEBUG;
        out->hw_breaks = guest_run(&g, nops, sizeof nops, brk) == KVM_EXIT_DEBUG;
        out->hw_watches = guest_run(&g, store, sizeof store, watch) == KVM_EXIT_DEBUG;
        out->executes_x87 = guest_run(&g, x87, sizeof x87, none) == KVM_EXIT_HLT;
        out->keeps_tsc = keeps_tsc(&g);
        /* last: where it is not reported it leaves the guest in the middle of an exception */
        out->sw_breaks = guest_run(&g, int3, sizeof int3, sw) == KVM_EXIT_DEBUG;
    }
    guest_close(&g);
}

static X86Probe result; /* written once, under the pthread_once below */

static void probe_once(void)
{
    probe(&result);
}

X86Probe x86_probe(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, probe_once);
    return result;
}
#endif
