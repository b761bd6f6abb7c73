/* SPDX-License-Identifier: Apache-2.0
 * linux.h - Linux from inside Wine: raw system calls, as a program for Windows has no C library that makes them, and what the
 * doubles need of KVM. Negative results are -errno. x86_64. */
#ifndef ACCEL_WHPX_DOUBLE_LINUX_H
#define ACCEL_WHPX_DOUBLE_LINUX_H

#include <stddef.h>
#include <stdint.h>

/* This order: linux/kvm.h is for a compiler whose long has 64 bits, but uses none. */
#include <linux/kvm.h>

enum { LINUX_EINTR = 4, LINUX_EAGAIN = 11, LINUX_EINVAL = 22, LINUX_ENOMEM = 12 };

static inline long long linux_call(long long n, long long a, long long b, long long c, long long d, long long e,
                                   long long f)
{
    long long r;
    register long long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

int linux_open(const char *path, int flags, int mode); /* flags as Linux has them; closed on exec */
long long linux_write(int fd, const void *bytes, size_t n);
void linux_close(int fd);
long long linux_ioctl(int fd, uint32_t request, const void *arg);      /* again while it is interrupted */
long long linux_ioctl_once(int fd, uint32_t request, const void *arg); /* KVM_RUN */
long long linux_ioctl_number(int fd, uint32_t request, uint64_t arg);
void *linux_map_fd(int fd, size_t n); /* shared; NULL if it cannot be */
void linux_unmap(void *p, size_t n);
int linux_kvm_open(void); /* /dev/kvm; -errno */
#endif
