/* SPDX-License-Identifier: Apache-2.0
 * The SiFive core-local interruptor (SiFive FU540-C000 manual, chapter of that name; same registers as RISC-V ACLINT's MSWI and MTIMER):
 * software interrupts between harts, and a timer of 10 MHz. mtime and mtimecmp take 4 and 8 bytes, msip 4.
 *
 * In virtual time each hart has a clock of its own. mtime is that of the hart that reads; a hart's timer wire goes up by that
 * hart's clock only, so a comparator that another hart has set is looked at when its owner runs (deadline). */
#include "sim/devices/devices.h"
#include "sim/machine/fdt.h"

enum {
    MSIP = 0,
    MTIMECMP = 0x4000,
    MTIME = 0xbff8,
    MTIME_END = 0xc000,
    NS_PER_TICK = 100, /* 10 MHz: timebase-frequency of the board */
};

typedef struct {
    uint64_t mtime_offset; /* mtime = clock in ticks + this, modulo 2^64 */
    uint64_t mtimecmp[DEVICE_MAX_VCPUS];
    uint8_t msip[DEVICE_MAX_VCPUS];
    uint8_t is_due[DEVICE_MAX_VCPUS]; /* the timer wire */
} Clint;
static const StateField state[] = {STATE_FIELD(Clint, mtime_offset),
                                   STATE_ARRAY(Clint, mtimecmp),
                                   STATE_ARRAY(Clint, msip),
                                   STATE_ARRAY(Clint, is_due),
                                   {0}};

static unsigned nvcpus(const Device *d)
{
    return d->host->nvcpus(d->host->ctx);
}

static uint64_t mtime_now(const Device *d)
{
    const Clint *c = d->state;
    return d->host->now_ns(d->host->ctx) / NS_PER_TICK + c->mtime_offset;
}

static void timer_wire(Device *d, unsigned vcpu, bool level)
{
    Clint *c = d->state;
    if (c->is_due[vcpu] != level) {
        c->is_due[vcpu] = level;
        d->host->line(d->host->ctx, vcpu, WIRE_TIMER, level);
    }
}

/* On vcpu's thread: its clock is now_ns. */
static void timer_update(Device *d, unsigned vcpu)
{
    timer_wire(d, vcpu, mtime_now(d) >= ((const Clint *)d->state)->mtimecmp[vcpu]);
}

static void clint_drive(Device *d)
{
    const Clint *c = d->state;
    for (unsigned i = 0; i < nvcpus(d); i++) {
        d->host->line(d->host->ctx, i, WIRE_TIMER, c->is_due[i]);
        d->host->line(d->host->ctx, i, WIRE_SOFTWARE, c->msip[i]);
    }
}

static void clint_reset(Device *d)
{
    Clint *c = d->state;
    for (unsigned i = 0; i < DEVICE_MAX_VCPUS; i++) {
        c->mtimecmp[i] = UINT64_MAX; /* Priv 3.2.1 leaves it open: nobody is interrupted before he asks */
    }
    clint_drive(d);
}

/* false: no 8-byte register at offset. Harts that do not exist have registers that are 0. */
static bool register_of(uint64_t offset, uint64_t *hart)
{
    *hart = (offset - MTIMECMP) / 8;
    return offset >= MTIMECMP && offset < MTIME_END;
}

static int clint_read(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    const Clint *c = d->state;
    uint64_t hart, wide = 0;
    (void)vcpu;
    if (offset < MTIMECMP && size_bytes == 4) {
        *value = offset / 4 < nvcpus(d) ? c->msip[offset / 4] : 0;
        return 0;
    }
    if (!register_of(offset, &hart)) {
        return -ERR_FAULT;
    }
    if (offset >= MTIME) {
        wide = mtime_now(d);
    } else if (hart < nvcpus(d)) {
        wide = c->mtimecmp[hart];
    }
    *value = size_bytes == 8 ? wide : (uint32_t)(wide >> offset % 8 * 8);
    return 0;
}

static uint64_t merged(uint64_t old, uint64_t value, uint64_t offset, unsigned size_bytes)
{
    uint64_t mask = size_bytes == 8 ? UINT64_MAX : 0xffffffffull << offset % 8 * 8;
    return (old & ~mask) | (value << offset % 8 * 8 & mask);
}

static void msip_write(Device *d, uint64_t hart, uint64_t value)
{
    Clint *c = d->state;
    if (hart < nvcpus(d) && c->msip[hart] != (value & 1)) {
        c->msip[hart] = value & 1;
        d->host->line(d->host->ctx, (unsigned)hart, WIRE_SOFTWARE, value & 1);
    }
}

static int clint_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    Clint *c = d->state;
    uint64_t hart;
    if (offset < MTIMECMP && size_bytes == 4) {
        msip_write(d, offset / 4, value);
        return 0;
    }
    if (!register_of(offset, &hart)) {
        return -ERR_FAULT;
    }
    if (offset >= MTIME) {
        c->mtime_offset += merged(mtime_now(d), value, offset, size_bytes) - mtime_now(d);
    } else if (hart < nvcpus(d)) {
        c->mtimecmp[hart] = merged(c->mtimecmp[hart], value, offset, size_bytes);
    }
    for (unsigned i = 0; i < nvcpus(d); i++) {
        if (i != vcpu && (offset >= MTIME || i == hart)) {
            timer_wire(d, i, false);
        }
    }
    timer_update(d, vcpu);
    return 0;
}

static uint64_t clint_deadline(const Device *d, unsigned vcpu)
{
    const Clint *c = d->state;
    uint64_t now_ns = d->host->now_ns(d->host->ctx);
    if (c->is_due[vcpu]) {
        return UINT64_MAX;
    }
    if (mtime_now(d) >= c->mtimecmp[vcpu]) {
        return now_ns;
    }
    uint64_t ticks = c->mtimecmp[vcpu] - mtime_now(d), at = now_ns / NS_PER_TICK;
    return ticks > UINT64_MAX / NS_PER_TICK - at ? UINT64_MAX : (at + ticks) * NS_PER_TICK;
}

static int clint_check(const Device *d, Err *err)
{
    const Clint *c = d->state;
    for (unsigned i = 0; i < DEVICE_MAX_VCPUS; i++) {
        if (c->msip[i] > 1 || c->is_due[i] > 1) {
            return err_set(err, ERR_INVAL, "clint: wires of hart %u are %u and %u, expected 0 or 1", i, c->msip[i],
                           c->is_due[i]);
        }
    }
    return 0;
}

static void clint_fdt(const Device *d, Fdt *f)
{
    uint32_t cells[DEVICE_MAX_VCPUS * 4];
    for (unsigned i = 0; i < nvcpus(d); i++) {
        cells[i * 4] = cells[i * 4 + 2] = DEVICE_CPU_PHANDLE(i);
        cells[i * 4 + 1] = 3; /* machine software interrupt: Priv 3.1.15 */
        cells[i * 4 + 3] = 7; /* machine timer interrupt */
    }
    fdt_begin_at(f, "clint", d->base);
    fdt_strs(f, "compatible", (const char *const[]){"sifive,clint0", "riscv,clint0"}, 2);
    fdt_reg(f, d->base, d->type->size_bytes);
    fdt_cells(f, "interrupts-extended", cells, (size_t)nvcpus(d) * 4);
    fdt_end(f);
}

static const DeviceReg regs[] = {
    {"msip", MSIP, MTIMECMP - MSIP, 0, 0, DEVICE_RW},
    {"mtimecmp", MTIMECMP, MTIME - MTIMECMP, 0, 0, DEVICE_RW},
    {"mtime", MTIME, MTIME_END - MTIME, 0, 0, DEVICE_RW},
    {0},
};

DEVICE_TYPE(clint) = {
    .name = "clint",
    .size_bytes = 0x10000,
    .access_bytes = 4 | 8,
    .state_bytes = sizeof(Clint),
    .state = state,
    .reset = clint_reset,
    .read = clint_read,
    .write = clint_write,
    .deadline = clint_deadline,
    .tick = timer_update,
    .drive = clint_drive,
    .fdt = clint_fdt,
    .check = clint_check,
    .regs = regs,
};
