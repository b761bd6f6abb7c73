/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/bench/canned.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RUN_BYTES = 3 * 4096, PIO_OFFSET = 4096, PORT = 0xf1 };

/* open() and ioctl() have no context: what stands in for the device is global. */
static struct {
    bool is_on, is_pio;
    struct kvm_run *run; /* of the vcpu created last */
} canned;

void canned_start(bool is_pio)
{
    canned.is_on = true;
    canned.is_pio = is_pio;
}

bool canned_is_on(void)
{
    return canned.is_on;
}

static int memory_fd(void)
{
    int fd = memfd_create("canned", MFD_CLOEXEC);
    return fd < 0 || ftruncate(fd, RUN_BYTES) ? -1 : fd;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    if (canned.is_on && !strcmp(path, "/dev/kvm")) {
        return memory_fd();
    }
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(args, int) : 0;
    va_end(args);
    return __real_open(path, flags, mode);
}

static int vcpu_new(void)
{
    int fd = memory_fd();
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    canned.run = p == MAP_FAILED ? NULL : p;
    return canned.run ? fd : -1;
}

/* The same access again and again. */
static int run_leave(struct kvm_run *run)
{
    if (canned.is_pio) {
        run->exit_reason = KVM_EXIT_IO;
        run->io.direction = KVM_EXIT_IO_OUT;
        run->io.size = 1;
        run->io.port = PORT;
        run->io.count = 1;
        run->io.data_offset = PIO_OFFSET;
    } else {
        run->exit_reason = KVM_EXIT_MMIO;
        run->mmio.phys_addr = 0xd0000000;
        run->mmio.len = 1;
        run->mmio.is_write = 1;
    }
    return 0;
}

int canned_ioctl(int fd, unsigned long request, void *arg)
{
    (void)fd;
    switch (request) {
    case KVM_RUN:
        return run_leave(canned.run);
    case KVM_GET_API_VERSION:
        return KVM_API_VERSION;
    case KVM_CHECK_EXTENSION:
        return (long)arg == KVM_CAP_NR_MEMSLOTS || (long)arg == KVM_CAP_MAX_VCPUS ? 64 : 1;
    case KVM_GET_VCPU_MMAP_SIZE:
        return RUN_BYTES;
    case KVM_CREATE_VM:
        return memory_fd();
    case KVM_CREATE_VCPU:
        return vcpu_new();
#if defined(__x86_64__)
    case KVM_GET_MSR_INDEX_LIST:
        ((struct kvm_msr_list *)arg)->nmsrs = 0;
        return 0;
    case KVM_GET_SUPPORTED_CPUID:
        ((struct kvm_cpuid2 *)arg)->nent = 0;
        return 0;
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return (int)((struct kvm_msrs *)arg)->nmsrs;
#endif
    default:
        return 0;
    }
}
