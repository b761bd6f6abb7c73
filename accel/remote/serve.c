/* SPDX-License-Identifier: Apache-2.0
 * The server of the built-in backends. Apart, so that the rest knows no registry. */
#include "accel/remote/server.h"

int remote_serve(int fd_in, int fd_out, Err *err)
{
    return server_run(&(ServeArgs){.find = backend_find, .fd_in = fd_in, .fd_out = fd_out}, err);
}

int worker_server_start(WorkerServer **out, Err *err)
{
    return worker_server_start_for(backend_find, out, err);
}
