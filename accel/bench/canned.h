/* SPDX-License-Identifier: Apache-2.0
 * canned.h - a /dev/kvm that answers at once, so that what our side of an exit costs can be measured on any machine: every
 * request succeeds and changes nothing, and KVM_RUN leaves with the access that was asked for. */
#ifndef ACCEL_BENCH_CANNED_H
#define ACCEL_BENCH_CANNED_H

#include <stdbool.h>

/* From now on "/dev/kvm" is the canned one (links with --wrap=open). is_pio: the access is OUT, not a store. */
void canned_start(bool is_pio);
bool canned_is_on(void);
int canned_ioctl(int fd, unsigned long request, void *arg);
#endif
