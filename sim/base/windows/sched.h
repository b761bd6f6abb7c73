/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. */
#ifndef SIM_BASE_WINDOWS_SCHED_H
#define SIM_BASE_WINDOWS_SCHED_H

#include_next <sched.h>
#include <stddef.h>

typedef struct {
    unsigned long long bits; /* of no use: nothing here is tied to a CPU */
} cpu_set_t;
#endif
