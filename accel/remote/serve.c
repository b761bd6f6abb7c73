/* SPDX-License-Identifier: Apache-2.0
 * The server of the built-in backends. Apart, so that the rest knows no registry. */
#include "accel/remote/server.h"

char *remote_names(void)
{
    size_t n;
    Buf names = {0};
    const Backend *const *list = backend_list(&n);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&names, "%s%s", i ? ", " : "", list[i]->name);
    }
    char *text = x_strdup(buf_text(&names));
    buf_free(&names);
    return text;
}

const Backend *remote_find_built_in(void *ctx, const char *name, Err *err)
{
    (void)ctx;
    const Backend *b = backend_find(name);
    if (!b) {
        char *names = remote_names();
        err_set(err, ERR_NOENT, "no backend \"%.60s\" here, but %s", name, names);
        mem_free(names);
    }
    return b;
}
