/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. */
#ifndef SIM_BASE_WINDOWS_PTHREAD_H
#define SIM_BASE_WINDOWS_PTHREAD_H

#include_next <pthread.h>
#include <sched.h>
#include <signal.h>

int pthread_attr_setaffinity_np(pthread_attr_t *attr, size_t n, const cpu_set_t *set); /* does nothing */
#endif
