/* SPDX-License-Identifier: Apache-2.0
 * The server of the built-in backends. Apart, so that the rest knows no registry. */
#include "accel/remote/server.h"

const Backend *remote_find_built_in(void *ctx, const char *name, Err *err)
{
    (void)ctx;
    const Backend *b = backend_find(name);
    if (!b) {
        err_set(err, ERR_NOENT, "no backend \"%s\" here", name);
    }
    return b;
}

int remote_serve(int fd_in, int fd_out, Err *err)
{
    return server_run(&(ServeArgs){.find = remote_find_built_in, .fd_in = fd_in, .fd_out = fd_out}, err);
}

int worker_server_start(WorkerServer **out, Err *err)
{
    return worker_server_start_for(remote_find_built_in, out, err);
}
