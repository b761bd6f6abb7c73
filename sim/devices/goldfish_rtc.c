/* SPDX-License-Identifier: Apache-2.0
 * Goldfish real-time clock (Android emulator, "Goldfish virtual hardware", chapter RTC): nanoseconds since the epoch, and one
 * alarm. The machine is switched on at the epoch: guest time is no function of the host's. 4-byte registers. */
#include "sim/devices/devices.h"
#include "sim/machine/fdt.h"

enum {
    TIME_LOW = 0x00, /* reading it latches TIME_HIGH */
    TIME_HIGH = 0x04,
    ALARM_LOW = 0x08, /* writing it arms the alarm */
    ALARM_HIGH = 0x0c,
    IRQ_ENABLED = 0x10,
    CLEAR_ALARM = 0x14,
    ALARM_STATUS = 0x18,
    CLEAR_INTERRUPT = 0x1c,
};

typedef struct {
    uint64_t time_offset_ns, alarm_ns;
    uint32_t time_high, alarm_high;
    uint8_t is_armed, is_pending, is_enabled;
} Rtc;
static const StateField state[] = {STATE_FIELD(Rtc, time_offset_ns), STATE_FIELD(Rtc, alarm_ns),
                                   STATE_FIELD(Rtc, time_high),      STATE_FIELD(Rtc, alarm_high),
                                   STATE_FIELD(Rtc, is_armed),       STATE_FIELD(Rtc, is_pending),
                                   STATE_FIELD(Rtc, is_enabled),     {0}};

static uint64_t rtc_now(const Device *d)
{
    return d->host->now_ns(d->host->ctx) + ((const Rtc *)d->state)->time_offset_ns;
}

static void rtc_update(Device *d, unsigned vcpu)
{
    Rtc *r = d->state;
    (void)vcpu;
    if (r->is_armed && rtc_now(d) >= r->alarm_ns) {
        r->is_armed = 0;
        r->is_pending = 1;
    }
    d->host->irq(d->host->ctx, d, 0, r->is_pending && r->is_enabled);
}

static void rtc_reset(Device *d)
{
    rtc_update(d, 0);
}

static uint64_t rtc_deadline(const Device *d, unsigned vcpu)
{
    const Rtc *r = d->state;
    (void)vcpu;
    if (!r->is_armed) { /* asked before every entry: the clock may be far away */
        return UINT64_MAX;
    }
    uint64_t now = rtc_now(d), now_ns = d->host->now_ns(d->host->ctx);
    uint64_t left = r->alarm_ns > now ? r->alarm_ns - now : 0;
    return left > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + left;
}

static int rtc_read(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    Rtc *r = d->state;
    (void)vcpu;
    (void)size_bytes;
    switch (offset) {
    case TIME_LOW:
        r->time_high = (uint32_t)(rtc_now(d) >> 32);
        *value = (uint32_t)rtc_now(d);
        return 0;
    case TIME_HIGH:
        *value = r->time_high;
        return 0;
    case ALARM_LOW:
        *value = (uint32_t)r->alarm_ns;
        return 0;
    case ALARM_HIGH:
        *value = r->alarm_high;
        return 0;
    case IRQ_ENABLED:
        *value = r->is_enabled;
        return 0;
    case ALARM_STATUS:
        *value = r->is_armed;
        return 0;
    case CLEAR_ALARM:
    case CLEAR_INTERRUPT:
        *value = 0;
        return 0;
    }
    return -ERR_FAULT;
}

static int rtc_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    Rtc *r = d->state;
    (void)size_bytes;
    switch (offset) {
    case TIME_LOW:
        r->time_offset_ns += ((uint64_t)r->time_high << 32 | value) - rtc_now(d);
        break;
    case TIME_HIGH:
        r->time_high = (uint32_t)value;
        break;
    case ALARM_LOW:
        r->alarm_ns = (uint64_t)r->alarm_high << 32 | value;
        r->is_armed = 1;
        break;
    case ALARM_HIGH:
        r->alarm_high = (uint32_t)value;
        break;
    case IRQ_ENABLED:
        r->is_enabled = value & 1;
        break;
    case CLEAR_ALARM:
        r->is_armed = 0;
        break;
    case CLEAR_INTERRUPT:
        r->is_pending = 0;
        break;
    case ALARM_STATUS: /* read-only */
        return 0;
    default:
        return -ERR_FAULT;
    }
    rtc_update(d, vcpu);
    return 0;
}

static int rtc_check(const Device *d, Err *err)
{
    const Rtc *r = d->state;
    return r->is_armed <= 1 && r->is_pending <= 1 && r->is_enabled <= 1
               ? 0
               : err_set(err, ERR_INVAL, "goldfish_rtc: flags %u %u %u, expected 0 or 1", r->is_armed, r->is_pending,
                         r->is_enabled);
}

static void rtc_fdt(const Device *d, Fdt *f)
{
    fdt_begin_at(f, "rtc", d->base);
    fdt_u32(f, "interrupts", d->irq);
    fdt_u32(f, "interrupt-parent", d->irq_phandle);
    fdt_reg(f, d->base, d->type->size_bytes);
    fdt_str(f, "compatible", "google,goldfish-rtc");
    fdt_end(f);
}

static const DeviceReg regs[] = {
    {"TIME_LOW", TIME_LOW, 4, 0, 0, DEVICE_RW},
    {"TIME_HIGH", TIME_HIGH, 4, 0, 0, DEVICE_RW},
    {"ALARM_LOW", ALARM_LOW, 4, 0, 0, DEVICE_RW},
    {"ALARM_HIGH", ALARM_HIGH, 4, 0, 0, DEVICE_RW},
    {"IRQ_ENABLED", IRQ_ENABLED, 4, 0, 0, DEVICE_RW},
    {"CLEAR_ALARM", CLEAR_ALARM, 4, 0, 0, DEVICE_W},
    {"ALARM_STATUS", ALARM_STATUS, 4, 0, 0, DEVICE_R},
    {"CLEAR_INTERRUPT", CLEAR_INTERRUPT, 4, 0, 0, DEVICE_W},
    {0},
};

DEVICE_TYPE(goldfish_rtc) = {
    .name = "goldfish_rtc",
    .size_bytes = 0x1000,
    .access_bytes = 4,
    .state_bytes = sizeof(Rtc),
    .state = state,
    .reset = rtc_reset,
    .read = rtc_read,
    .write = rtc_write,
    .deadline = rtc_deadline,
    .tick = rtc_update,
    .fdt = rtc_fdt,
    .check = rtc_check,
    .regs = regs,
};
