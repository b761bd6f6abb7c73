/* SPDX-License-Identifier: Apache-2.0
 * emulation.c - the double of WinHvEmulation.dll: one instruction, done through the caller's call-backs.
 *
 * The instruction is not decoded here but run by KVM, in a machine of our own that has no memory but the instruction and its
 * page tables: each access of the instruction leaves it, and becomes a call-back. Nothing of the caller's is changed until
 * the instruction is over; then its registers are written at once. A repeated string is done once per call, and rip stays.
 *
 * Paged guests run on our page tables. Each GiB of virtual addresses that the instruction may use is a window of physical
 * addresses without memory, from which the virtual address follows. Tables only grow, as a stale entry could be anywhere in
 * KVM; when their room is used up the machine is made anew. */
#include "accel/whpx/double/faults.h"
#include "accel/whpx/double/linux.h"

#include <stdlib.h>
#include <string.h>
/* the order matters: winhvemulation.h needs these */
#include <windows.h>
#include <winhvemulation.h>
#include <winhvplatform.h>

enum { PAGE = 4096, NPAGES = 512, NWINDOWS = 128, CPUID_ENTRIES = 256, MAX_CALLS_OF_INSN = 4096, MAX_INSN = 16 };
#define OURS    (256ull << 30) /* page tables and code */
#define WINDOWS (257ull << 30)
#define GIB     (1ull << 30)
enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128 };
enum { CR0_PG_BIT = 31, EFER_LMA = 1 << 10, CR4_PAE = 1 << 5 };
enum { XMM_AT = 160, XSTATE_BV_WORD = 128, X87_AND_SSE = 3 }; /* of an XSAVE image */
enum { EMULATOR_MAGIC = 0x57485645 };

typedef struct {
    uint32_t magic;
    WHV_EMULATOR_CALLBACKS calls;
    CRITICAL_SECTION lock;
    int sys_fd, fd, vcpu; /* -1 = the machine is to be made */
    size_t run_bytes;
    struct kvm_run *run;
    uint8_t *pages; /* NPAGES, at OURS; then two for code where paging is off */
    uint32_t npages;
    uint64_t flat_at; /* where those two lie; UINT64_MAX = nowhere */
    uint64_t windows[NWINDOWS];
    uint32_t nwindows;
} Emulator;

/* ---- the machine ---- */
static void machine_close(Emulator *m)
{
    if (m->run) {
        linux_unmap(m->run, m->run_bytes);
    }
    const int fds[] = {m->vcpu, m->fd, m->sys_fd};
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            linux_close(fds[i]);
        }
    }
    m->run = NULL;
    m->vcpu = m->fd = m->sys_fd = -1;
}

static BOOL slot_set(Emulator *m, uint32_t slot, uint64_t gpa, uint64_t size, const void *host)
{
    struct kvm_userspace_memory_region r = {
        .slot = slot, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = (uintptr_t)host};
    return linux_ioctl(m->fd, KVM_SET_USER_MEMORY_REGION, &r) >= 0;
}

static BOOL machine_open(Emulator *m)
{
    if (m->vcpu >= 0) {
        return TRUE;
    }
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 e[CPUID_ENTRIES];
    } cpuid = {.head = {.nent = CPUID_ENTRIES}};
    m->sys_fd = linux_kvm_open();
    m->fd = m->sys_fd < 0 ? -1 : (int)linux_ioctl_number(m->sys_fd, KVM_CREATE_VM, 0);
    long long n = m->fd < 0 ? -1 : linux_ioctl_number(m->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    m->run_bytes = (size_t)n;
    memset(m->pages, 0, NPAGES * PAGE);
    m->npages = 1; /* the first is the top table */
    m->nwindows = 0;
    m->flat_at = UINT64_MAX;
    cpuid.head.nent = CPUID_ENTRIES;
    if (n > 0 && linux_ioctl_number(m->fd, KVM_SET_TSS_ADDR, 0xfeffd000) >= 0 &&
        slot_set(m, 0, OURS, NPAGES * PAGE, m->pages)) {
        m->vcpu = (int)linux_ioctl_number(m->fd, KVM_CREATE_VCPU, 0);
        m->run = m->vcpu < 0 ? NULL : linux_map_fd(m->vcpu, m->run_bytes);
    }
    if (!m->run || linux_ioctl(m->sys_fd, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0 ||
        linux_ioctl(m->vcpu, KVM_SET_CPUID2, &cpuid) < 0) {
        machine_close(m);
        return FALSE;
    }
    return TRUE;
}

/* ---- page tables of our own ---- */
static uint64_t *page_at(Emulator *m, uint64_t gpa)
{
    return (uint64_t *)(void *)(m->pages + (gpa - OURS));
}

static uint64_t page_new(Emulator *m)
{
    return m->npages < NPAGES ? OURS + PAGE * (uint64_t)m->npages++ : 0;
}

/* The table below the entry, made if there is none; 0: no room. */
static uint64_t *table_below(Emulator *m, uint64_t *entry)
{
    if (!(*entry & P)) {
        uint64_t gpa = page_new(m);
        if (!gpa) {
            return NULL;
        }
        *entry = gpa | P | W | U | A;
    }
    return page_at(m, *entry & 0x000ffffffffff000ull);
}

static uint64_t *directory_of(Emulator *m, uint64_t gva)
{
    uint64_t *pdpt = table_below(m, &page_at(m, OURS)[gva >> 39 & 511]);
    return pdpt ? table_below(m, &pdpt[gva >> 30 & 511]) : NULL;
}

static BOOL window_map(Emulator *m, uint64_t gva)
{
    uint64_t gib = gva & ~(GIB - 1);
    for (uint32_t i = 0; i < m->nwindows; i++) {
        if (m->windows[i] == gib) {
            return TRUE;
        }
    }
    uint64_t *pd = m->nwindows < NWINDOWS ? directory_of(m, gva) : NULL;
    if (!pd) {
        return FALSE;
    }
    uint64_t to = WINDOWS + GIB * m->nwindows;
    m->windows[m->nwindows++] = gib;
    for (uint64_t i = 0; i < 512; i++) {
        if (!(pd[i] & P)) {
            pd[i] = (to + (i << 21)) | P | W | U | A | D | PS;
        }
    }
    return TRUE;
}

/* The page in which code at gva lies, for its bytes; made on first use, of the window's own entry before that is one. */
static uint8_t *code_page(Emulator *m, uint64_t gva)
{
    uint64_t *pd = directory_of(m, gva);
    if (!pd) {
        return NULL;
    }
    uint64_t *large = &pd[gva >> 21 & 511];
    if (!(*large & P) || *large & PS) {
        uint64_t old = *large, gpa = page_new(m);
        if (!gpa) {
            return NULL;
        }
        for (uint64_t i = 0; old & P && i < 512; i++) {
            page_at(m, gpa)[i] = (old & ~(uint64_t)PS) + (i << 12);
        }
        *large = gpa | P | W | U | A;
    }
    uint64_t *entry = &page_at(m, *large & 0x000ffffffffff000ull)[gva >> 12 & 511];
    if (!(*entry & P) || (*entry & 0x000ffffffffff000ull) >= WINDOWS) {
        uint64_t gpa = page_new(m);
        if (!gpa) {
            return NULL;
        }
        *entry = gpa | P | W | U | A | D;
    }
    return (uint8_t *)page_at(m, *entry & 0x000ffffffffff000ull);
}

/* ---- registers, by the call-backs ---- */
static const WHV_REGISTER_NAME names[] = {
    WHvX64RegisterRax, WHvX64RegisterRcx,  WHvX64RegisterRdx,    WHvX64RegisterRbx, WHvX64RegisterRsp,
    WHvX64RegisterRbp, WHvX64RegisterRsi,  WHvX64RegisterRdi,    WHvX64RegisterR8,  WHvX64RegisterR9,
    WHvX64RegisterR10, WHvX64RegisterR11,  WHvX64RegisterR12,    WHvX64RegisterR13, WHvX64RegisterR14,
    WHvX64RegisterR15, WHvX64RegisterRip,  WHvX64RegisterRflags, WHvX64RegisterEs,  WHvX64RegisterCs,
    WHvX64RegisterSs,  WHvX64RegisterDs,   WHvX64RegisterFs,     WHvX64RegisterGs,  WHvX64RegisterLdtr,
    WHvX64RegisterTr,  WHvX64RegisterIdtr, WHvX64RegisterGdtr,   WHvX64RegisterCr0, WHvX64RegisterCr4,
    WHvX64RegisterEfer};
enum {
    NNAMES = sizeof names / sizeof names[0],
    NGPRS = 16,
    AT_RIP = 16,
    AT_RFLAGS,
    AT_SEGMENTS,
    AT_IDTR = 26,
    AT_GDTR,
    AT_CR0,
    AT_CR4,
    AT_EFER,
    NWRITTEN = 18,
    NXMMS = 16
};

typedef struct {
    WHV_REGISTER_VALUE v[NNAMES], xmm[NXMMS];
    struct kvm_regs r;
    struct kvm_sregs s;
    struct kvm_xsave x;
    uint8_t bytes[MAX_INSN];
    uint8_t nbytes;
    BOOL is_paged, is_vector, has_rep;
    uint64_t linear;
} Work;

static void segment_take(struct kvm_segment *s, const WHV_X64_SEGMENT_REGISTER *in)
{
    *s = (struct kvm_segment){.base = in->Base, .limit = in->Limit, .selector = in->Selector};
    s->type = in->SegmentType;
    s->s = in->NonSystemSegment;
    s->dpl = in->DescriptorPrivilegeLevel;
    s->present = in->Present;
    s->unusable = !in->Present;
    s->avl = in->Available;
    s->l = in->Long;
    s->db = in->Default;
    s->g = in->Granularity;
}

static uint64_t *gpr(struct kvm_regs *r, int i)
{
    uint64_t *const all[NGPRS] = {(uint64_t *)&r->rax, (uint64_t *)&r->rcx, (uint64_t *)&r->rdx, (uint64_t *)&r->rbx,
                                  (uint64_t *)&r->rsp, (uint64_t *)&r->rbp, (uint64_t *)&r->rsi, (uint64_t *)&r->rdi,
                                  (uint64_t *)&r->r8,  (uint64_t *)&r->r9,  (uint64_t *)&r->r10, (uint64_t *)&r->r11,
                                  (uint64_t *)&r->r12, (uint64_t *)&r->r13, (uint64_t *)&r->r14, (uint64_t *)&r->r15};
    return all[i];
}

static void xmm_names(WHV_REGISTER_NAME out[NXMMS])
{
    for (int i = 0; i < NXMMS; i++) {
        out[i] = (WHV_REGISTER_NAME)(WHvX64RegisterXmm0 + i);
    }
}

/* Is it one that may use XMM registers, or repeat? */
static void insn_look(Work *w)
{
    uint8_t n = 0;
    while (n + 2 < w->nbytes && (memchr("\x66\x67\xf2\xf3\xf0\x2e\x36\x3e\x26\x64\x65", w->bytes[n], 11) ||
                                 (w->s.cs.l && (w->bytes[n] & 0xf0) == 0x40))) {
        w->has_rep |= (w->bytes[n] & 0xfe) == 0xf2;
        n++;
    }
    uint8_t op = w->bytes[n], op2 = w->bytes[n + 1];
    w->is_vector =
        op == 0xc4 || op == 0xc5 || op == 0x62 ||
        (op == 0x0f && ((op2 & 0xf8) == 0x10 || (op2 & 0xf8) == 0x28 || (op2 >= 0x50 && op2 < 0x80) || op2 >= 0xd0));
}

static HRESULT registers_read(Emulator *m, void *ctx, Work *w)
{
    HRESULT hr = m->calls.WHvEmulatorGetVirtualProcessorRegisters(ctx, names, NNAMES, w->v);
    if (FAILED(hr)) {
        return hr;
    }
    if (linux_ioctl(m->vcpu, KVM_GET_SREGS, &w->s) < 0) {
        return E_FAIL;
    }
    for (int i = 0; i < NGPRS; i++) {
        *gpr(&w->r, i) = w->v[i].Reg64;
    }
    w->r.rip = w->v[AT_RIP].Reg64;
    w->r.rflags = w->v[AT_RFLAGS].Reg64 & ~0x100ull;
    struct kvm_segment *const segments[] = {&w->s.es, &w->s.cs, &w->s.ss,  &w->s.ds,
                                            &w->s.fs, &w->s.gs, &w->s.ldt, &w->s.tr};
    for (int i = 0; i < 8; i++) {
        segment_take(segments[i], &w->v[AT_SEGMENTS + i].Segment);
    }
    w->s.idt = (struct kvm_dtable){.base = 0, .limit = 0}; /* a fault of the instruction ends the machine */
    w->s.gdt = (struct kvm_dtable){.base = w->v[AT_GDTR].Table.Base, .limit = w->v[AT_GDTR].Table.Limit};
    w->s.cr0 = w->v[AT_CR0].Reg64;
    w->s.cr4 = w->v[AT_CR4].Reg64 & ~(1ull << 17 | 3ull << 20); /* no PCID, SMEP, SMAP: the tables are ours */
    w->s.efer = w->v[AT_EFER].Reg64;
    w->is_paged = w->s.cr0 >> CR0_PG_BIT & 1;
    w->s.cr3 = OURS;
    w->linear = w->s.efer & EFER_LMA && w->s.cs.l ? w->r.rip : (uint32_t)(w->s.cs.base + w->r.rip);
    insn_look(w);
    if (w->is_vector) {
        WHV_REGISTER_NAME xmm[NXMMS];
        xmm_names(xmm);
        hr = m->calls.WHvEmulatorGetVirtualProcessorRegisters(ctx, xmm, NXMMS, w->xmm);
        if (FAILED(hr) || linux_ioctl(m->vcpu, KVM_GET_XSAVE, &w->x) < 0) {
            return FAILED(hr) ? hr : E_FAIL;
        }
        memcpy((uint8_t *)w->x.region + XMM_AT, w->xmm, sizeof w->xmm);
        w->x.region[XSTATE_BV_WORD] |= X87_AND_SSE;
    }
    return S_OK;
}

/* The instruction's bytes to where it is fetched from, and windows for what its registers may point to. */
static BOOL place(Emulator *m, const Work *w)
{
    uint64_t at = w->linear, page = at & ~(uint64_t)(PAGE - 1);
    size_t first = PAGE - (size_t)(at - page);
    first = first < w->nbytes ? first : w->nbytes;
    if (!w->is_paged) {
        uint8_t *flat = m->pages + NPAGES * PAGE;
        memset(flat, 0xf4, 2 * PAGE);
        memcpy(flat + (at - page), w->bytes, w->nbytes);
        if (m->flat_at != page) {
            if (m->flat_at != UINT64_MAX && !slot_set(m, 1, m->flat_at, 0, flat)) {
                return FALSE;
            }
            m->flat_at = page;
            return slot_set(m, 1, page, 2 * PAGE, flat);
        }
        return TRUE;
    }
    if (!(w->s.efer & EFER_LMA)) {
        return FALSE; /* two- and three-level paging: not in this double */
    }
    uint8_t *code = code_page(m, page), *next = first < w->nbytes ? code_page(m, page + PAGE) : NULL;
    if (!code || (first < w->nbytes && !next)) {
        return FALSE;
    }
    memcpy(code + (at - page), w->bytes, first);
    if (next) {
        memcpy(next, w->bytes + first, w->nbytes - first);
    }
    BOOL ok = window_map(m, at) && window_map(m, w->s.fs.base) && window_map(m, w->s.gs.base);
    for (uint64_t i = 0; i < 4; i++) {
        ok = ok && window_map(m, i * GIB);
    }
    for (int i = 0; i < NGPRS; i++) {
        uint64_t value = *gpr((struct kvm_regs *)&w->r, i);
        if ((uint64_t)((int64_t)(value << 16) >> 16) == value) {
            ok = ok && window_map(m, value);
        }
    }
    return ok;
}

static BOOL load(Emulator *m, const Work *w)
{
    return linux_ioctl(m->vcpu, KVM_SET_SREGS, &w->s) >= 0 && linux_ioctl(m->vcpu, KVM_SET_REGS, &w->r) >= 0 &&
           (!w->is_vector || linux_ioctl(m->vcpu, KVM_SET_XSAVE, &w->x) >= 0);
}

static HRESULT registers_write(Emulator *m, void *ctx, Work *w)
{
    if (linux_ioctl(m->vcpu, KVM_GET_REGS, &w->r) < 0) {
        return E_FAIL;
    }
    for (int i = 0; i < NGPRS; i++) {
        w->v[i].Reg64 = *gpr(&w->r, i);
    }
    w->v[AT_RIP].Reg64 = w->r.rip;
    w->v[AT_RFLAGS].Reg64 =
        (w->r.rflags & ~0x10100ull) | (w->v[AT_RFLAGS].Reg64 & 0x100); /* RF ends with the instruction */
    HRESULT hr = S_OK;
    if (w->is_vector) {
        WHV_REGISTER_NAME xmm[NXMMS];
        xmm_names(xmm);
        if (linux_ioctl(m->vcpu, KVM_GET_XSAVE, &w->x) < 0) {
            return E_FAIL;
        }
        memcpy(w->xmm, (uint8_t *)w->x.region + XMM_AT, sizeof w->xmm);
        hr = m->calls.WHvEmulatorSetVirtualProcessorRegisters(ctx, xmm, NXMMS, w->xmm);
    }
    return FAILED(hr) ? hr : m->calls.WHvEmulatorSetVirtualProcessorRegisters(ctx, names, NWRITTEN, w->v);
}

/* ---- accesses ---- */
static uint64_t gva_of(const Emulator *m, const Work *w, uint64_t gpa)
{
    uint64_t window = gpa >= WINDOWS ? (gpa - WINDOWS) / GIB : NWINDOWS;
    return !w->is_paged || window >= m->nwindows ? gpa : m->windows[window] + gpa % GIB;
}

static BOOL memory_access(Emulator *m, void *ctx, const Work *w, WHV_EMULATOR_STATUS *status)
{
    struct kvm_run *run = m->run;
    uint64_t gva = gva_of(m, w, run->mmio.phys_addr), gpa = gva;
    WHV_TRANSLATE_GVA_RESULT_CODE code = WHvTranslateGvaResultSuccess;
    WHV_TRANSLATE_GVA_FLAGS flags =
        run->mmio.is_write ? WHvTranslateGvaFlagValidateWrite : WHvTranslateGvaFlagValidateRead;
    if (FAILED(m->calls.WHvEmulatorTranslateGvaPage(ctx, gva & ~(uint64_t)(PAGE - 1), flags, &code, &gpa))) {
        status->TranslateGvaPageCallbackFailed = 1;
        return FALSE;
    }
    if (code != WHvTranslateGvaResultSuccess) {
        status->InternalEmulationFailure = 1; /* a page fault of the guest: not in this double */
        return FALSE;
    }
    if (gpa % PAGE) {
        status->TranslateGvaPageCallbackGpaIsNotAligned = 1;
        return FALSE;
    }
    WHV_EMULATOR_MEMORY_ACCESS_INFO a = {
        .GpaAddress = gpa | gva % PAGE, .Direction = run->mmio.is_write, .AccessSize = (UINT8)run->mmio.len};
    memcpy(a.Data, run->mmio.data, sizeof a.Data);
    if (FAILED(m->calls.WHvEmulatorMemoryCallback(ctx, &a))) {
        status->MemoryCallbackFailed = 1;
        return FALSE;
    }
    if (!run->mmio.is_write) {
        memcpy(run->mmio.data, a.Data, sizeof a.Data);
    }
    return TRUE;
}

static BOOL io_access(Emulator *m, void *ctx, WHV_EMULATOR_STATUS *status)
{
    struct kvm_run *run = m->run;
    for (uint32_t i = 0; i < run->io.count; i++) {
        uint8_t *data = (uint8_t *)run + run->io.data_offset + (size_t)i * run->io.size;
        WHV_EMULATOR_IO_ACCESS_INFO a = {
            .Direction = run->io.direction == KVM_EXIT_IO_OUT, .Port = run->io.port, .AccessSize = run->io.size};
        memcpy(&a.Data, data, run->io.size);
        if (FAILED(m->calls.WHvEmulatorIoPortCallback(ctx, &a))) {
            status->IoPortCallbackFailed = 1;
            return FALSE;
        }
        if (run->io.direction == KVM_EXIT_IO_IN) {
            memcpy(data, &a.Data, run->io.size);
        }
    }
    return TRUE;
}

/* The instruction is not finished: what KVM holds of it is, with whatever is there, in our own machine. */
static void drain(Emulator *m)
{
    m->run->immediate_exit = 1;
    for (int i = 0; i < MAX_CALLS_OF_INSN && linux_ioctl_once(m->vcpu, KVM_RUN, NULL) >= 0; i++) {
    }
    m->run->immediate_exit = 0;
}

/* TRUE: the instruction is over, and its registers are in the machine. */
static BOOL run(Emulator *m, void *ctx, Work *w, WHV_EMULATOR_STATUS *status)
{
    struct kvm_run *k = m->run;
    k->immediate_exit = 0;
    long long rc = linux_ioctl(m->vcpu, KVM_RUN, NULL);
    for (int i = 0; i < MAX_CALLS_OF_INSN && rc >= 0; i++) {
        BOOL is_memory = k->exit_reason == KVM_EXIT_MMIO, is_io = k->exit_reason == KVM_EXIT_IO;
        if (!is_memory && !is_io) {
            break;
        }
        if (!(is_memory ? memory_access(m, ctx, w, status) : io_access(m, ctx, status))) {
            drain(m);
            return FALSE;
        }
        k->immediate_exit = 1; /* no further than the end of the instruction */
        rc = linux_ioctl_once(m->vcpu, KVM_RUN, NULL);
        if (rc == -LINUX_EINTR) {
            k->immediate_exit = 0;
            return TRUE;
        }
    }
    k->immediate_exit = 0;
    status->InternalEmulationFailure = 1;
    machine_close(m); /* whatever state it is in */
    return FALSE;
}

static uint64_t count_mask(const Work *w, BOOL is_prefixed)
{
    BOOL is_64 = w->s.efer & EFER_LMA && w->s.cs.l, is_32 = !is_64 && w->s.cs.db;
    return is_64 ? is_prefixed ? UINT32_MAX : UINT64_MAX : is_32 != is_prefixed ? UINT32_MAX : UINT16_MAX;
}

static BOOL emulate(Emulator *m, void *ctx, Work *w, WHV_EMULATOR_STATUS *status)
{
    if (FAILED(registers_read(m, ctx, w))) {
        status->GetVirtualProcessorRegistersCallbackFailed = 1;
        return FALSE;
    }
    if (!place(m, w)) { /* there may be room in a new one */
        machine_close(m);
        if (!machine_open(m) || !place(m, w)) {
            status->InternalEmulationFailure = 1;
            return FALSE;
        }
    }
    /* Once: KVM would read ahead for a string. */
    uint64_t mask = count_mask(w, memchr(w->bytes, 0x67, 3) != NULL), rip = w->r.rip, count = w->r.rcx & mask;
    if (w->has_rep && count > 1) {
        w->r.rcx = (w->r.rcx & ~mask) | 1;
    }
    if (!load(m, w)) {
        status->InternalEmulationFailure = 1;
        return FALSE;
    }
    if (!run(m, ctx, w, status)) {
        return FALSE;
    }
    struct kvm_regs after;
    if (w->has_rep && count > 1 && linux_ioctl(m->vcpu, KVM_GET_REGS, &after) >= 0 && (after.rcx & mask) == 0) {
        after.rcx = (after.rcx & ~mask) | ((count - 1) & mask);
        after.rip = rip;
        linux_ioctl(m->vcpu, KVM_SET_REGS, &after);
    }
    if (FAILED(registers_write(m, ctx, w))) {
        status->SetVirtualProcessorRegistersCallbackFailed = 1;
        return FALSE;
    }
    status->EmulationSuccessful = 1;
    return TRUE;
}

/* ---- the library ---- */
HRESULT WINAPI WHvEmulatorCreateEmulator(const WHV_EMULATOR_CALLBACKS *calls, WHV_EMULATOR_HANDLE *out)
{
    DOUBLE_CALL(WHvEmulatorCreateEmulator);
    if (!calls || !out || calls->Size != sizeof *calls || calls->Reserved || !calls->WHvEmulatorIoPortCallback ||
        !calls->WHvEmulatorMemoryCallback || !calls->WHvEmulatorGetVirtualProcessorRegisters ||
        !calls->WHvEmulatorSetVirtualProcessorRegisters || !calls->WHvEmulatorTranslateGvaPage) {
        return E_INVALIDARG;
    }
    Emulator *m = calloc(1, sizeof *m);
    uint8_t *pages = VirtualAlloc(NULL, (NPAGES + 2) * PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (!m || !pages) {
        free(m);
        return E_OUTOFMEMORY;
    }
    *m = (Emulator){.magic = EMULATOR_MAGIC, .calls = *calls, .sys_fd = -1, .fd = -1, .vcpu = -1, .pages = pages};
    InitializeCriticalSection(&m->lock);
    double_object(1);
    *out = m;
    return S_OK;
}

HRESULT WINAPI WHvEmulatorDestroyEmulator(WHV_EMULATOR_HANDLE handle)
{
    DOUBLE_CALL(WHvEmulatorDestroyEmulator);
    Emulator *m = handle;
    if (!m || m->magic != EMULATOR_MAGIC) {
        return E_INVALIDARG;
    }
    machine_close(m);
    VirtualFree(m->pages, 0, MEM_RELEASE);
    DeleteCriticalSection(&m->lock);
    m->magic = 0;
    double_object(-1);
    free(m);
    return S_OK;
}

static HRESULT try(WHV_EMULATOR_HANDLE handle, void *ctx, UINT8 nbytes, const UINT8 *bytes, WHV_EMULATOR_STATUS *status)
{
    Emulator *m = handle;
    if (!m || m->magic != EMULATOR_MAGIC || !status || nbytes > MAX_INSN) {
        return E_INVALIDARG;
    }
    Work *w = calloc(1, sizeof *w);
    if (!w) {
        return E_OUTOFMEMORY;
    }
    w->nbytes = nbytes;
    memcpy(w->bytes, bytes, nbytes);
    status->AsUINT32 = 0;
    EnterCriticalSection(&m->lock);
    BOOL has_machine = machine_open(m);
    if (has_machine && nbytes) {
        emulate(m, ctx, w, status);
    } else {
        status->InternalEmulationFailure = 1;
    }
    LeaveCriticalSection(&m->lock);
    free(w);
    return has_machine ? S_OK : E_FAIL;
}

HRESULT WINAPI WHvEmulatorTryIoEmulation(WHV_EMULATOR_HANDLE emulator, VOID *ctx, const WHV_VP_EXIT_CONTEXT *vp,
                                         const WHV_X64_IO_PORT_ACCESS_CONTEXT *io, WHV_EMULATOR_STATUS *status)
{
    DOUBLE_CALL(WHvEmulatorTryIoEmulation);
    return !vp || !io ? E_INVALIDARG : try(emulator, ctx, io->InstructionByteCount, io->InstructionBytes, status);
}

HRESULT WINAPI WHvEmulatorTryMmioEmulation(WHV_EMULATOR_HANDLE emulator, VOID *ctx, const WHV_VP_EXIT_CONTEXT *vp,
                                           const WHV_MEMORY_ACCESS_CONTEXT *m, WHV_EMULATOR_STATUS *status)
{
    DOUBLE_CALL(WHvEmulatorTryMmioEmulation);
    return !vp || !m ? E_INVALIDARG : try(emulator, ctx, m->InstructionByteCount, m->InstructionBytes, status);
}
