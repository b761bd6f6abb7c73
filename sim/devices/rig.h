/* SPDX-License-Identifier: Apache-2.0
 * rig.h - for tests: one device with a host that records what it does, and a clock that is stepped by hand. */
#ifndef SIM_DEVICES_RIG_H
#define SIM_DEVICES_RIG_H

#include "sim/devices/devices.h"

enum { RIG_RAM = 0x80000000, RIG_RAM_BYTES = 1 << 20 };
typedef struct {
    DeviceHost host;
    Device *d;
    uint64_t now_ns;
    unsigned nvcpus;
    bool irq;                       /* output 0 */
    bool line[DEVICE_MAX_VCPUS][4]; /* WIRE_x */
    Buf output;
    uint8_t *ram; /* at RIG_RAM */
    unsigned finishes;
    int finish_kind;
    uint32_t finish_code;
} Rig;
Rig *rig_new(const char *device, unsigned nvcpus, uint32_t param); /* reset */
Rig *rig_plugged(const char *device, void *peer);                  /* the same, with one vcpu and this Device.peer */
void rig_free(Rig *r);
/* Accesses that must succeed. */
uint64_t rig_get(Rig *r, unsigned vcpu, uint64_t offset, unsigned size_bytes);
void rig_put(Rig *r, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value);
/* Steps the clock, and ticks when vcpu's deadline is reached, as the dispatcher does. */
void rig_clock(Rig *r, unsigned vcpu, uint64_t now_ns);
/* Saves the device and restores it into a new one, which then behaves the same. */
void rig_swap(Rig *r);
/* device_restore of the device's saved bytes with byte `at` (of the state, after the length) set to value: must be refused. */
void rig_refuses(Rig *r, size_t at, uint8_t value);
#endif
