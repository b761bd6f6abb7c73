/* SPDX-License-Identifier: Apache-2.0
 * Workers of the built-in backends. Apart, so that the rest knows no registry, and an agent no workers. */
#include "accel/remote/remote.h"

int worker_server_start(WorkerServer **out, Err *err)
{
    return worker_server_start_for(remote_find_built_in, out, err);
}
