/* SPDX-License-Identifier: Apache-2.0
 * device.h - what a device is. One file in sim/devices/ holds a device's registers, state, reset and device-tree node, and
 * ends with DEVICE_TYPE; one line in sim/devices/devices.def makes it known (sim/devices/devices.h finds it by name). A device knows offsets, never addresses; it reaches the
 * machine through DeviceHost only. State is in a struct that `state` describes field by field: save, restore, reset checks
 * and the debugger walk that table, so that nothing can be forgotten.
 *
 * THREADS. All functions of a device run with the board's lock held, on the thread of the vcpu that accessed it.
 * TIME. now_ns() is the guest clock of the accessing vcpu; deadlines are in the same time. In virtual time both are
 * instruction counts: nothing here may read the host's clock. */
#ifndef SIM_MACHINE_DEVICE_H
#define SIM_MACHINE_DEVICE_H

#include "sim/base/buf.h"
#include "sim/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Device Device;
struct Fdt;

typedef struct
{ /* one field of a device's state struct: count elements of size_bytes (1 2 4 8) each, in little-endian order */
    const char *name;
    uint32_t offset, size_bytes, count;
} StateField;
#define STATE_FIELD(type, field)                                                                                       \
    {                                                                                                                  \
#field, offsetof(type, field), sizeof(((type *)0)->field), 1                                                   \
    }
#define STATE_ARRAY(type, field)                                                                                       \
    {                                                                                                                  \
#field, offsetof(type, field), sizeof(((type *)0)->field[0]),                                                  \
            sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0])                                                 \
    }

/* A register, or several of one kind, for coverage: bytes from first on; with a stride again every so many, up to end. */
enum { DEVICE_R = 1, DEVICE_W = 2, DEVICE_RW = 3, DEVICE_REGS_MAX = 32 };
typedef struct DeviceReg {
    const char *name;
    uint32_t first, bytes, stride, end;
    uint8_t access; /* what has a meaning: DEVICE_R, DEVICE_W or both */
} DeviceReg;
typedef struct DeviceFeature { /* of virtio: a bit that a kind of device offers */
    const char *kind, *name;
    uint8_t bit;
} DeviceFeature;

typedef struct DeviceType {
    const char *name;        /* "uart16550" */
    uint64_t size_bytes;     /* of its window */
    uint32_t access_bytes;   /* bit mask of the sizes it takes: 1 | 2 | 4 | 8; others are bus errors */
    size_t state_bytes;      /* of the struct that Device.state points to; zeroed before reset */
    const StateField *state; /* ends with a NULL name */
    void (*reset)(Device *d);
    /* 0, or -ERR_FAULT: no register there (bus error). offset is aligned to size_bytes and inside the window. */
    int (*read)(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value);
    int (*write)(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value);
    /* NULL = has no time. Next instant at which tick() must be called for this vcpu; UINT64_MAX = none. A read
     * does not move it. */
    uint64_t (*deadline)(const Device *d, unsigned vcpu);
    void (*tick)(Device *d, unsigned vcpu); /* now_ns() >= deadline(): move wires */
    /* NULL = none. Bytes have come in from outside (console); returns how many were taken. */
    size_t (*input)(Device *d, const void *bytes, size_t n);
    /* NULL = as its row says. It is the console now, instead of the row that is by itself. */
    bool (*is_console)(const Device *d);
    /* NULL = none. Takes bytes that came in and were not read yet, as firmware that shares the console does. */
    size_t (*take)(Device *d, void *bytes, size_t cap);
    /* NULL = takes no wire. A wire into the device (an interrupt controller) moved. */
    void (*wire)(Device *d, unsigned number, bool level);
    /* NULL = has no line of a vcpu. Sets each of its lines to what the state says: after restore. */
    void (*drive)(Device *d);
    /* NULL = not in the device tree. Adds its node; base is its address, and props come from the board's row. */
    void (*fdt)(const Device *d, struct Fdt *fdt);
    /* NULL = none. Adds nodes that do not lie on the bus (no reg), at the root. */
    void (*fdt_root)(const Device *d, struct Fdt *fdt);
    int (*check)(const Device *d, Err *err); /* NULL = any state of the right size is sound; after restore */
    /* State of no fixed size, which the table cannot describe: Device.more. NULL = the type has none. */
    void (*more_save)(Device *d, Buf *out); /* appends */
    /* Makes d->more from what more_save wrote; on failure it is as before. After the table and check. -ERR_INVAL. */
    int (*more_restore)(Device *d, Cursor *in, Err *err);
    void (*more_free)(Device *d);
    /* NULL = none. The restored device has taken the place of the one before, which is gone: what lies in its peer is set now. */
    void (*adopt)(Device *d);
    int (*saveable)(const Device *d, Err *err); /* NULL = always. -ERR_UNSUPPORTED: why it cannot be saved as it is */
    void (*poll)(Device *d);       /* NULL = none. Takes what came to its peer from outside: when the owner looks */
    const DeviceReg *regs;         /* at most DEVICE_REGS_MAX, ends with a NULL name */
    const DeviceFeature *features; /* NULL = none; at most 64, ends with a NULL kind */
} DeviceType;

/* What the board gives a device. */
typedef struct DeviceHost {
    void *ctx;
    void (*irq)(void *ctx, const Device *d, unsigned output, bool level); /* one of the device's own output wires */
    void (*line)(void *ctx, unsigned vcpu, unsigned line, bool level);    /* WIRE_x of a vcpu: irq controllers */
    uint64_t (*now_ns)(void *ctx);
    void (*output)(void *ctx, const Device *d, const void *bytes, size_t n); /* console, log */
    void (*finish)(void *ctx, int kind, uint32_t code);                      /* FINISH_x: the guest ends the machine */
    unsigned (*nvcpus)(void *ctx);
    /* Guest memory by physical address: all of it or nothing. False: not all of it is RAM. Aligned 2, 4 and 8 bytes are moved at
     * once. A write is a store as any other: code translated from there is void, and dirty logs have it. */
    bool (*mem_read)(void *ctx, uint64_t gpa, void *bytes, size_t n);
    bool (*mem_write)(void *ctx, uint64_t gpa, const void *bytes, size_t n);
    /* As a write of zeros to whole pages (SPACE_PAGE_BYTES), which then cost the host nothing where it can have them back. */
    bool (*mem_discard)(void *ctx, uint64_t gpa, size_t n);
    /* NULL = nobody asks. A driver has accepted these of the features of a kind. */
    void (*accepted)(void *ctx, const Device *d, const char *kind, uint64_t features);
} DeviceHost;
enum { FINISH_OFF, FINISH_RESET, FINISH_FAIL };
/* Wires into a vcpu: the numbers of guest.h's GuestLine. */
enum { WIRE_SOFTWARE, WIRE_TIMER, WIRE_EXTERNAL, WIRE_EXTERNAL_LOW };
enum { DEVICE_MAX_VCPUS = 64 };

struct Device {
    const DeviceType *type;
    const DeviceHost *host;
    void *state; /* type->state_bytes */
    void *more;  /* the type's own, NULL at first; see more_save */
    void *peer; /* what the machine's owner plugged in (a drive); NULL = nothing. Borrowed; each type says what it is */
    uint32_t index; /* of the board's devices */
    uint32_t param; /* from the board's row: what differs between boards; each device says what it means */
    /* For fdt() only. */
    uint64_t base;
    uint32_t irq;         /* the board's number of output 0; 0 = not wired */
    uint32_t phandle;     /* its own */
    uint32_t irq_phandle; /* of the interrupt controller that irq goes to */
};
/* Phandle of a vcpu's local interrupt controller in the device tree. */
#define DEVICE_CPU_PHANDLE(vcpu) ((uint32_t)(vcpu) + 1)

#define DEVICE_TYPE(name_) const DeviceType device_##name_
/* Zeroed and not yet reset: the owner fills param and the rest in, then calls device_reset. */
Device *device_new(const DeviceType *t, const DeviceHost *host);
void device_free(Device *d); /* NULL is fine */
void device_reset(Device *d);
static inline bool device_takes(const Device *d, uint64_t offset, unsigned size_bytes)
{
    return size_bytes <= 8 && d->type->access_bytes & size_bytes && !(size_bytes & (size_bytes - 1)) &&
           !(offset & (size_bytes - 1)) && offset < d->type->size_bytes && size_bytes <= d->type->size_bytes - offset;
}
/* Checks size and alignment, then calls the device. -ERR_FAULT: bus error. */
static inline int device_read(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    *value = 0;
    return device_takes(d, offset, size_bytes) ? d->type->read(d, vcpu, offset, size_bytes, value) : -ERR_FAULT;
}
int device_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value);
/* Appends the fields' bytes in table order, preceded by their total in 4 bytes, then what more_save has to say. */
void device_save(Device *d, Buf *out);
/* -ERR_INVAL with the offset and what was expected; the device is unchanged when it fails. When it succeeds, device_adopt once
 * the device is in use. */
MUST_USE int device_restore(Device *d, Cursor *in, Err *err);
void device_adopt(Device *d);
/* Coverage: appends lines "KIND\tGROUP\tNAME\tCOUNT\n" for the registers and features of a type; counts NULL: all, with 0, else
 * those that are not 0. reg: [register * 2 + is_write]. feature: [place in features]. */
void device_cover(const DeviceType *t, const uint64_t *reg, const uint64_t *feature, Buf *out);
/* Place in regs; -1: no register that this access has a meaning for. */
int device_reg_at(const DeviceType *t, uint64_t offset, bool is_write);
#endif
