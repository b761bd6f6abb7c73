/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/devices.h"

#include "sim/base/mem.h"

#include <string.h>

static const DeviceType *const all[] = {
#define DEVICE(name) &device_##name,
#include "sim/devices/devices.def"
#undef DEVICE
};

const DeviceType *device_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!strcmp(all[i]->name, name)) {
            return all[i];
        }
    }
    return NULL;
}

void devices_cover(Buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        device_cover(all[i], NULL, NULL, out);
    }
}
