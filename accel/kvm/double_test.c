/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/kvm/double_test.h"
#include "accel/kvm/fault/ioctl_name.h"
#include "sim/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MAX_FDS = 32,
    MAX_VALUES = 64,
    MAX_SLOTS = 8,
    MAX_VCPU_IDS = 4,
    MAX_MSRS = 32,
    RUN_BYTES = 3 * 4096,
    PAGE = 4096
};
typedef enum { KIND_NONE, KIND_SYS, KIND_VM, KIND_VCPU } FdKind;
typedef struct { /* what was set by a request of this size on this fd */
    int fd;
    size_t size;
    uint8_t *bytes;
} Stored;
typedef struct {
    FdKind kind[MAX_FDS];
    struct kvm_run *run[MAX_FDS];
    Stored stored[MAX_VALUES];
    size_t nstored;
    struct kvm_userspace_memory_region slots[MAX_SLOTS];
    bool vcpu_ids[MAX_VCPU_IDS];
    uint64_t msrs[MAX_MSRS];
    DoubleSpec spec;
    unsigned ncalls, nentries;
    const char *failed;
    bool is_up;
} Double;
static Double the; /* the tests of this program run one after another, on one thread */

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, ...);

static const uint32_t msr_indices[] = {0x10, 0x174, 0xc0000080, 0xc0000081};

static int fail(int error)
{
    errno = error;
    return -1;
}

static int fd_new(FdKind kind)
{
    int fd = memfd_create("kvm-double", MFD_CLOEXEC);
    if (fd < 0 || fd >= MAX_FDS || ftruncate(fd, kind == KIND_VCPU ? RUN_BYTES : 0)) {
        return fail(EMFILE);
    }
    for (size_t i = 0; i < the.nstored; i++) { /* of an earlier fd of this number */
        the.stored[i].fd = the.stored[i].fd == fd ? -1 : the.stored[i].fd;
    }
    the.kind[fd] = kind;
    if (the.run[fd]) {
        munmap(the.run[fd], RUN_BYTES);
        the.run[fd] = NULL;
    }
    if (kind == KIND_VCPU) {
        void *run = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        the.run[fd] = run == MAP_FAILED ? NULL : run;
    }
    if (kind == KIND_VM) {
        memset(the.slots, 0, sizeof the.slots);
        memset(the.vcpu_ids, 0, sizeof the.vcpu_ids);
    }
    return fd;
}

static Stored *stored_of(int fd, size_t size, bool create)
{
    for (size_t i = 0; i < the.nstored; i++) {
        if (the.stored[i].fd == fd && the.stored[i].size == size) {
            return &the.stored[i];
        }
    }
    if (!create || the.nstored == MAX_VALUES) {
        return NULL;
    }
    Stored *s = &the.stored[the.nstored++];
    *s = (Stored){fd, size, x_calloc(1, size)};
    return s;
}

static int pass_value(int fd, unsigned long request, void *arg)
{
    size_t size = _IOC_SIZE(request);
    bool is_set = _IOC_DIR(request) == _IOC_WRITE;
    Stored *s = stored_of(fd, size, is_set);
    if (is_set && s) {
        memcpy(s->bytes, arg, size);
    } else if (s) {
        memcpy(arg, s->bytes, size);
    } else if (size) {
        memset(arg, 0, size);
    }
    return 0;
}

static int vcpu_new(uintptr_t id)
{
    if (id >= MAX_VCPU_IDS) {
        return fail(EINVAL);
    }
    if (the.vcpu_ids[id]) {
        return fail(EEXIST);
    }
    int fd = fd_new(KIND_VCPU);
    the.vcpu_ids[id] = fd >= 0;
    return fd;
}

static int slot_put(const struct kvm_userspace_memory_region *r)
{
    if (r->slot >= MAX_SLOTS || r->guest_phys_addr % PAGE || r->memory_size % PAGE) {
        return fail(EINVAL);
    }
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        const struct kvm_userspace_memory_region *o = &the.slots[i];
        if (i != r->slot && r->memory_size && o->memory_size &&
            o->guest_phys_addr < r->guest_phys_addr + r->memory_size &&
            r->guest_phys_addr < o->guest_phys_addr + o->memory_size) {
            return fail(EEXIST);
        }
    }
    const struct kvm_userspace_memory_region *old = &the.slots[r->slot];
    if (r->memory_size && old->memory_size && (old->flags ^ r->flags) & KVM_MEM_READONLY) {
        return fail(EINVAL);
    }
    the.slots[r->slot] = *r;
    return 0;
}

static int dirty_log(const struct kvm_dirty_log *log)
{
    if (log->slot >= MAX_SLOTS || !(the.slots[log->slot].flags & KVM_MEM_LOG_DIRTY_PAGES)) {
        return fail(ENOENT);
    }
    memset(log->dirty_bitmap, 0, (the.slots[log->slot].memory_size / PAGE + 63) / 64 * 8);
    return 0;
}

static int enter(int fd)
{
    struct kvm_run *run = the.run[fd];
    if (!run) {
        return fail(ENODEV);
    }
    if (run->immediate_exit) {
        return fail(EINTR);
    }
    if (!the.spec.exit || !the.spec.exit(the.nentries++, run)) {
        run->exit_reason = KVM_EXIT_HLT;
    }
    return 0;
}

#if defined(__x86_64__)
static int msrs(unsigned long request, struct kvm_msrs *io)
{
    for (uint32_t i = 0; i < io->nmsrs; i++) {
        uint64_t *value = &the.msrs[io->entries[i].index % MAX_MSRS];
        if (request == KVM_SET_MSRS) {
            *value = io->entries[i].data;
        } else {
            io->entries[i].data = *value;
        }
    }
    return (int)io->nmsrs;
}

static int of_x86(int fd, unsigned long request, void *arg)
{
    switch (request) {
    case KVM_GET_MSR_INDEX_LIST: {
        struct kvm_msr_list *list = arg;
        list->nmsrs = ARRAY_LEN(msr_indices);
        memcpy(list->indices, msr_indices, sizeof msr_indices);
        return 0;
    }
    case KVM_GET_SUPPORTED_CPUID: {
        struct kvm_cpuid2 *c = arg;
        c->nent = 1;
        c->entries[0] = (struct kvm_cpuid_entry2){.function = 1};
        return 0;
    }
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return msrs(request, arg);
    case KVM_SET_CPUID2: /* of variable size, nothing is read back */
    case KVM_SET_TSS_ADDR:
    case KVM_SET_IRQCHIP: /* _IOR by its number, though it sets */
        return 0;
    default:
        return pass_value(fd, request, arg);
    }
}
#else
static int of_x86(int fd, unsigned long request, void *arg)
{
    return pass_value(fd, request, arg);
}
#endif

static int serve(int fd, unsigned long request, void *arg)
{
    enum { NR_MEMSLOTS = MAX_SLOTS };
    switch (request) {
    case KVM_GET_API_VERSION:
        return KVM_API_VERSION;
    case KVM_CHECK_EXTENSION:
        return (uintptr_t)arg == KVM_CAP_NR_MEMSLOTS ? NR_MEMSLOTS
               : (uintptr_t)arg == KVM_CAP_MAX_VCPUS ? MAX_VCPU_IDS
                                                     : 1;
    case KVM_CREATE_VM:
        return fd_new(KIND_VM);
    case KVM_GET_VCPU_MMAP_SIZE:
        return RUN_BYTES;
    case KVM_CREATE_VCPU:
        return vcpu_new((uintptr_t)arg);
    case KVM_SET_USER_MEMORY_REGION:
        return slot_put(arg);
    case KVM_GET_DIRTY_LOG:
        return dirty_log(arg);
    case KVM_RUN:
        return enter(fd);
    default:
        return of_x86(fd, request, arg);
    }
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if (!the.is_up || fd < 0 || fd >= MAX_FDS || the.kind[fd] == KIND_NONE) {
        return __real_ioctl(fd, request, arg);
    }
    if (++the.ncalls == the.spec.fail_at) {
        the.failed = kvm_ioctl_name(request);
        return fail(the.spec.error);
    }
    return serve(fd, request, arg);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = (mode_t)va_arg(ap, int);
    va_end(ap);
    if (!the.is_up || strcmp(path, "/dev/kvm") != 0) {
        return __real_open(path, flags, mode);
    }
    return fd_new(KIND_SYS);
}

void double_up(const DoubleSpec *spec)
{
    the = (Double){.spec = *spec, .is_up = true};
}

void double_down(void)
{
    for (size_t i = 0; i < the.nstored; i++) {
        mem_free(the.stored[i].bytes);
    }
    for (size_t i = 0; i < MAX_FDS; i++) {
        if (the.run[i]) {
            munmap(the.run[i], RUN_BYTES);
        }
    }
    the = (Double){0};
}

unsigned double_calls(void)
{
    return the.ncalls;
}

const char *double_failed(void)
{
    return the.failed;
}
