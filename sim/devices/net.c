/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/net.h"

#include "sim/base/mem.h"

#include <string.h>

static const struct {
    const char *name;
    int (*open)(const char *options, NetEnd **out, Err *err);
} all[] = {{"loopback", net_loopback_open}, {"tap", net_tap_open}, {"user", net_user_open}};

bool net_option(const char **options, char *out, size_t cap)
{
    size_t n = strcspn(*options, ",");
    if (!**options) {
        return false;
    }
    size_t kept = n < cap ? n : cap - 1;
    memcpy(out, *options, kept);
    out[kept] = 0;
    *options += n + ((*options)[n] == ',');
    return true;
}

int net_open(const char *spec, NetEnd **out, Err *err)
{
    size_t n = strcspn(spec, ",");
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (strlen(all[i].name) == n && !strncmp(all[i].name, spec, n)) {
            return all[i].open(spec[n] ? spec + n + 1 : "", out, err);
        }
    }
    return err_set(err, ERR_INVAL, "net '%.100s': expected user, tap,ifname=NAME or loopback", spec);
}

void net_close(NetEnd *e)
{
    if (e) {
        e->ops->free(e);
    }
}
