/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/devices/net.h"

static void loopback_send(NetEnd *e, const uint8_t *frame, size_t n)
{
    e->sink.arrived(e->sink.ctx, frame, n);
}

static void loopback_free(NetEnd *e)
{
    mem_free(e);
}

static const NetEndOps ops = {.name = "loopback", .send = loopback_send, .free = loopback_free};

int net_loopback_open(const char *options, NetEnd **out, Err *err)
{
    if (*options) {
        return err_set(err, ERR_INVAL, "net loopback: takes no options, not '%.100s'", options);
    }
    *out = x_alloc(sizeof **out);
    **out = (NetEnd){.ops = &ops};
    return 0;
}
