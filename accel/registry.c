/* SPDX-License-Identifier: Apache-2.0
 * The list of what was built comes from backends.def by way of CMake, which leaves out what this host cannot have. */
#include "accel/accel.h"
#include "sim/base/mem.h"

#include <string.h>

#define BACKEND(name, folder) extern const Backend backend_##name;
#include "accel/backends_built.def"
#undef BACKEND

#define BACKEND(name, folder) &backend_##name,
static const Backend *const backends[] = {
#include "accel/backends_built.def"
    NULL, /* so that a build without any backend compiles */
};
#undef BACKEND

const Backend *const *backend_list(size_t *n)
{
    *n = ARRAY_LEN(backends) - 1;
    return backends;
}

const Backend *backend_find(const char *name)
{
    for (size_t i = 0; name && backends[i]; i++) {
        if (!strcmp(backends[i]->name, name)) {
            return backends[i];
        }
    }
    return NULL;
}
