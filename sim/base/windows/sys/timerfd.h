/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. */
#ifndef SIM_BASE_WINDOWS_SYS_TIMERFD_H
#define SIM_BASE_WINDOWS_SYS_TIMERFD_H

#include <pthread.h> /* struct itimerspec */

enum { TFD_CLOEXEC = 0 };
int timerfd_create(int clock, int flags);                                                    /* CLOCK_MONOTONIC */
int timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *was); /* once, from now on */
#endif
