/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. */
#ifndef SIM_BASE_WINDOWS_UNISTD_H
#define SIM_BASE_WINDOWS_UNISTD_H

#include <fcntl.h> /* O_CLOEXEC, for pipe2 */
#include_next <unistd.h>

int pipe2(int fds[2], int flags); /* for wake-ups: counts the bytes, which all read as 0 */
#endif
