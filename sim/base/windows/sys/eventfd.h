/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. */
#ifndef SIM_BASE_WINDOWS_SYS_EVENTFD_H
#define SIM_BASE_WINDOWS_SYS_EVENTFD_H

enum { EFD_NONBLOCK = 1, EFD_CLOEXEC = 0 };
int eventfd(unsigned count, int flags);
#endif
