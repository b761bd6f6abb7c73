/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. */
#ifndef SIM_BASE_WINDOWS_STRING_H
#define SIM_BASE_WINDOWS_STRING_H

#include_next <string.h>

char *strerror_r(int number, char *text, size_t n); /* as of GNU */
#endif
