/* SPDX-License-Identifier: Apache-2.0
 * See poll.h. No descriptor is a socket here (sys/stat.h). */
#ifndef SIM_BASE_WINDOWS_SYS_SOCKET_H
#define SIM_BASE_WINDOWS_SYS_SOCKET_H

#include <sys/uio.h>

enum { MSG_NOSIGNAL = 0, MSG_DONTWAIT = 0 };
struct msghdr {
    struct iovec *msg_iov;
    size_t msg_iovlen;
};
ssize_t sendmsg(int fd, const struct msghdr *m, int flags); /* fails: ENOTSOCK */
#endif
