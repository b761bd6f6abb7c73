/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIM_BASE_WINDOWS_SEMAPHORE_H
#define SIM_BASE_WINDOWS_SEMAPHORE_H

#include <time.h> /* struct timespec, which winpthreads forgets */

#include_next <semaphore.h>
#endif
