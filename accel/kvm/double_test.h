/* SPDX-License-Identifier: Apache-2.0
 * double_test.h - for the tests of accel/kvm: a double of /dev/kvm, so that they run where there is none, and so that any
 * call can be made to fail.
 *
 * The test program is linked with --wrap for open() and ioctl(): while a double is up, they come here when they mean
 * /dev/kvm. File descriptors are real ones (memfd), so that mmap() and close() are the system's. It keeps what a
 * KVM_SET_x wrote for the KVM_GET_x of the same size, plays exits, and refuses what the kernel's documentation refuses: a
 * memory slot that overlaps, a vcpu's id that is taken, too many slots. It runs no guest code: what passes here says that
 * the backend keeps its own promises, and nothing about a kernel. */
#ifndef ACCEL_KVM_DOUBLE_TEST_H
#define ACCEL_KVM_DOUBLE_TEST_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills kvm_run for the n-th entry (from 0) of any vcpu since the double is up; false: halts. */
typedef bool (*DoubleExit)(unsigned n, struct kvm_run *run);
typedef struct {
    unsigned fail_at; /* the n-th call fails once, from 1; 0 = none */
    int error;        /* with this errno */
    DoubleExit exit;
} DoubleSpec;
void double_up(const DoubleSpec *spec);
void double_down(void);
unsigned double_calls(void);     /* calls so far */
const char *double_failed(void); /* the name of the call that was made to fail; NULL = not reached */
#endif
