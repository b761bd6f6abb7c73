/* SPDX-License-Identifier: Apache-2.0
 * asset.c - files that scenarios name and that are no part of the project: where they are, and what is said when they are not. */
#include "conformance/asset.h"

#include <stdlib.h>
#include <unistd.h>

void asset_path(const Asset *a, Buf *out)
{
    const char *own = getenv("CONF_ASSETS"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own && *own) {
        buf_str(out, own);
    } else if (xdg && *xdg) {
        buf_printf(out, "%s/conf/assets", xdg);
    } else {
        buf_printf(out, "%s/.cache/conf/assets", home ? home : "");
    }
    buf_printf(out, "/%s", a->path);
}

bool asset_is_absent(const Asset *a, Buf *why)
{
    Buf path = {0};
    asset_path(a, &path);
    bool is_absent = access(buf_text(&path), R_OK) != 0;
    if (is_absent) {
        buf_printf(why, "needs the asset %s, which is not here (%s)", a->name, buf_text(&path));
        if (a->get) {
            buf_printf(why, "; `%s` fetches it", a->get);
        }
    }
    buf_free(&path);
    return is_absent;
}
