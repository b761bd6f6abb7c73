/* SPDX-License-Identifier: Apache-2.0
 * devices.h - the devices that exist. Each is one file, named in devices.def. Constant and THREAD-SAFE. */
#ifndef SIM_DEVICES_DEVICES_H
#define SIM_DEVICES_DEVICES_H

#include "sim/machine/device.h"

#define DEVICE(name) extern const DeviceType device_##name;
#include "sim/devices/devices.def"
#undef DEVICE

/* NULL if there is none of that name. */
const DeviceType *device_find(const char *name);
/* Appends the registers and features of all devices, as device_cover() does. */
void devices_cover(Buf *out);
#endif
