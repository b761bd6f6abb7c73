/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. */
#ifndef SIM_BASE_WINDOWS_FCNTL_H
#define SIM_BASE_WINDOWS_FCNTL_H

#include_next <fcntl.h>

enum { O_CLOEXEC = 0, O_NONBLOCK = 0x4000000, F_DUPFD_CLOEXEC = 1030 };
int fcntl(int fd, int command, int arg); /* F_DUPFD_CLOEXEC */
#endif
