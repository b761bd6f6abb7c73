/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/whpx/double/linux.h"

enum { SYS_WRITE = 1, SYS_OPEN = 2, SYS_CLOSE = 3, SYS_MMAP = 9, SYS_MUNMAP = 11, SYS_IOCTL = 16 };
enum { O_RDWR_CLOEXEC = 02000002, O_CLOEXEC_FLAG = 02000000, PROT_READ_WRITE = 3, SHARED = 1 };

static long long address(const void *p)
{
    return (long long)(uintptr_t)p;
}

int linux_open(const char *path, int flags, int mode)
{
    return (int)linux_call(SYS_OPEN, address(path), flags | O_CLOEXEC_FLAG, mode, 0, 0, 0);
}

long long linux_write(int fd, const void *bytes, size_t n)
{
    return linux_call(SYS_WRITE, fd, address(bytes), (long long)n, 0, 0, 0);
}

void linux_close(int fd)
{
    linux_call(SYS_CLOSE, fd, 0, 0, 0, 0, 0);
}

long long linux_ioctl_number(int fd, uint32_t request, uint64_t arg)
{
    return linux_call(SYS_IOCTL, fd, request, (long long)arg, 0, 0, 0);
}

long long linux_ioctl_once(int fd, uint32_t request, const void *arg)
{
    return linux_call(SYS_IOCTL, fd, request, address(arg), 0, 0, 0);
}

long long linux_ioctl(int fd, uint32_t request, const void *arg)
{
    long long rc;
    do {
        rc = linux_ioctl_once(fd, request, arg);
    } while (rc == -LINUX_EINTR);
    return rc;
}

void *linux_map_fd(int fd, size_t n)
{
    long long p = linux_call(SYS_MMAP, 0, (long long)n, PROT_READ_WRITE, SHARED, fd, 0);
    return p < 0 && p > -4096 ? NULL : (void *)(uintptr_t)p;
}

void linux_unmap(void *p, size_t n)
{
    linux_call(SYS_MUNMAP, address(p), (long long)n, 0, 0, 0, 0);
}

int linux_kvm_open(void)
{
    return linux_open("/dev/kvm", O_RDWR_CLOEXEC, 0);
}
