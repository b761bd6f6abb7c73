/* SPDX-License-Identifier: Apache-2.0
 * preload.c - kvm_fault.so, for LD_PRELOAD before a program that uses /dev/kvm: one call of each machine's life fails.
 *
 *   CONF_KVM_FAULT=N[:ERRNO]  the N-th KVM ioctl from a KVM_CREATE_VM on, which is the first, fails with ERRNO (default
 *                             EIO) and is not made; the next KVM_CREATE_VM counts from 1 again
 *   CONF_KVM_FAULT_LOG=FILE   a line for each: N and the name of the call
 *
 * ci/kvm-faults is who uses it. */
#include "accel/kvm/fault/ioctl_name.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static unsigned long fail_at;
static int fail_errno = EIO, log_fd = -1;
static atomic_ulong ncalls;
static int (*real_ioctl)(int fd, unsigned long request, void *arg);

__attribute__((constructor)) static void learn(void)
{
    const char *at = getenv("CONF_KVM_FAULT"), *log = getenv("CONF_KVM_FAULT_LOG");
    char *end = NULL;
    *(void **)&real_ioctl = dlsym(RTLD_NEXT, "ioctl");
    fail_at = at ? strtoul(at, &end, 10) : 0;
    if (end && *end == ':') {
        fail_errno = (int)strtol(end + 1, NULL, 10);
    }
    if (log) {
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
}

static int fail(unsigned long request)
{
    char line[80];
    int n = snprintf(line, sizeof line, "%lu %s\n", fail_at, kvm_ioctl_name(request));
    if (log_fd >= 0 && write(log_fd, line, (size_t)n) != n) {
        abort(); /* what is not in the log would count as the end of a machine's life */
    }
    errno = fail_errno;
    return -1;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if (_IOC_TYPE(request) != KVMIO) {
        return real_ioctl(fd, request, arg);
    }
    if (request == KVM_CREATE_VM) {
        atomic_store(&ncalls, 0);
    }
    return atomic_fetch_add(&ncalls, 1) + 1 == fail_at ? fail(request) : real_ioctl(fd, request, arg);
}
