/* SPDX-License-Identifier: Apache-2.0
 * faults.h - calls of a double that fail on request, and a count of them.
 *
 * Environment: CONF_WHPX_FAIL=NAME:N or NAME:N:K fails the Nth call of that function in this process, or K of them from the Nth on, with
 * E_FAIL and nothing done;
 * CONF_WHPX_CALLS=FILE appends a line "NAME COUNT" for each function that was called when the process ends, and "left COUNT" if
 * partitions, processors or emulators were not given back. */
#ifndef ACCEL_WHPX_DOUBLE_FAULTS_H
#define ACCEL_WHPX_DOUBLE_FAULTS_H

#include <stdbool.h>
#include <windows.h>

bool double_fails(const char *call); /* counts; THREAD-SAFE */
void double_counts_write(void);
void double_object(int change); /* one more, or one less, that the caller has to give back */
#define DOUBLE_CALL(name)                                                                                              \
    do {                                                                                                               \
        if (double_fails(#name)) {                                                                                     \
            return E_FAIL;                                                                                             \
        }                                                                                                              \
    } while (0)
#endif
