/* SPDX-License-Identifier: Apache-2.0
 * National PC16550D (NS16550A): one byte a register, 16 bytes of FIFO. The transmitter takes no time: a byte that is written
 * goes out at once, so THRE is always set, and a received byte has "timed out" in the FIFO as soon as it is there (FIFO
 * interrupt mode: the line is idle). Names in parentheses are sections of National's data sheet PC16550D, June 1995. */
#include "sim/devices/devices.h"
#include "sim/machine/fdt.h"

#include <string.h>

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR, REGISTERS, FIFO_BYTES = 16 };
enum { IER_RDA = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { IIR_NONE = 1, IIR_MODEM = 0, IIR_THRE = 2, IIR_RDA = 4, IIR_LINE = 6, IIR_TIMEOUT = 12, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_TRIGGER_SHIFT = 6 };
enum { LCR_DLAB = 0x80 };
enum { MCR_LOOP = 0x10, MCR_MASK = 0x1f };
enum { LSR_DR = 1, LSR_OE = 2, LSR_THRE = 0x20, LSR_TEMT = 0x40 };
enum { MSR_DELTAS = 0x0f, MSR_TERI = 4, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

typedef struct {
    uint8_t ier, lcr, mcr, scr, dll, dlm;
    uint8_t is_fifo, trigger; /* FCR */
    uint8_t msr;
    uint8_t is_overrun, is_thre_due; /* latches: LSR.OE; THRE interrupt not yet seen or served */
    uint8_t count, fifo[FIFO_BYTES];
} Uart;
static const StateField state[] = {STATE_FIELD(Uart, ier),         STATE_FIELD(Uart, lcr),
                                   STATE_FIELD(Uart, mcr),         STATE_FIELD(Uart, scr),
                                   STATE_FIELD(Uart, dll),         STATE_FIELD(Uart, dlm),
                                   STATE_FIELD(Uart, is_fifo),     STATE_FIELD(Uart, trigger),
                                   STATE_FIELD(Uart, msr),         STATE_FIELD(Uart, is_overrun),
                                   STATE_FIELD(Uart, is_thre_due), STATE_FIELD(Uart, count),
                                   STATE_ARRAY(Uart, fifo),        {0}};

static unsigned capacity(const Uart *u)
{
    return u->is_fifo ? FIFO_BYTES : 1;
}

/* The cause of the highest priority (Interrupt Identification Register). */
static uint8_t cause(const Uart *u)
{
    if (u->ier & IER_LINE && u->is_overrun) {
        return IIR_LINE;
    }
    if (u->ier & IER_RDA && u->count) {
        return u->is_fifo && u->count < u->trigger ? IIR_TIMEOUT : IIR_RDA;
    }
    if (u->ier & IER_THRE && u->is_thre_due) {
        return IIR_THRE;
    }
    return u->ier & IER_MODEM && u->msr & MSR_DELTAS ? IIR_MODEM : IIR_NONE;
}

static void irq_update(Device *d)
{
    d->host->irq(d->host->ctx, d, 0, cause(d->state) != IIR_NONE);
}

static void receive(Uart *u, uint8_t byte)
{
    if (u->count ==
        capacity(u)) { /* (Line Status Register, OE): a full FIFO keeps what it has; without one the old byte is lost */
        u->is_overrun = 1;
        if (!u->is_fifo) {
            u->fifo[0] = byte;
        }
        return;
    }
    u->fifo[u->count++] = byte;
}

static uint8_t rbr_read(Uart *u)
{
    uint8_t byte = u->fifo[0]; /* of an empty one: the last byte again */
    if (u->count) {
        u->count--;
        memmove(u->fifo, u->fifo + 1, u->count);
    }
    return byte;
}

static void thr_write(Device *d, uint8_t byte)
{
    Uart *u = d->state;
    if (u->mcr & MCR_LOOP) {
        receive(u, byte);
    } else {
        d->host->output(d->host->ctx, d, &byte, 1);
    }
    u->is_thre_due = 1;
}

static void ier_write(Uart *u, uint8_t value)
{
    if (value & ~u->ier & IER_THRE) { /* enabling it with the register empty raises it */
        u->is_thre_due = 1;
    }
    u->ier = value & 0x0f;
}

/* (FIFO Control Register): bits other than 0 count only with bit 0; a change of bit 0 clears the FIFOs. */
static void fcr_write(Uart *u, uint8_t value)
{
    static const uint8_t triggers[] = {1, 4, 8, 14};
    bool is_fifo = value & FCR_ENABLE;
    if (is_fifo != u->is_fifo || (is_fifo && value & FCR_CLEAR_RX)) {
        u->count = 0;
    }
    u->is_fifo = is_fifo;
    u->trigger = is_fifo ? triggers[value >> FCR_TRIGGER_SHIFT] : 1;
}

/* (Modem Status Register): the inputs, which are what is connected, a terminal that is always ready, or in loopback the outputs
 * (Modem Control Register). */
static void modem_update(Uart *u)
{
    uint8_t now = MSR_CTS | MSR_DSR | MSR_DCD, old = u->msr & (uint8_t)~MSR_DELTAS;
    if (u->mcr & MCR_LOOP) {
        now = (uint8_t)((u->mcr & 1 ? MSR_DSR : 0) | (u->mcr & 2 ? MSR_CTS : 0) | (u->mcr & 4 ? MSR_RI : 0) |
                        (u->mcr & 8 ? MSR_DCD : 0));
    }
    uint8_t changed = (uint8_t)((now ^ old) >> 4);
    if (now & MSR_RI) { /* only its trailing edge counts */
        changed &= (uint8_t)~MSR_TERI;
    }
    u->msr = now | (u->msr & MSR_DELTAS) | changed;
}

static void uart_reset(Device *d)
{
    Uart *u = d->state;
    u->trigger = 1;
    u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
    u->is_thre_due = 1;
    irq_update(d);
}

static uint8_t iir_read(Uart *u)
{
    uint8_t value = cause(u);
    if (value == IIR_THRE) { /* seen is served */
        u->is_thre_due = 0;
    }
    return value | (u->is_fifo ? IIR_FIFO : 0);
}

static uint8_t register_read(Uart *u, uint64_t offset)
{
    uint8_t value = 0;
    switch (offset) {
    case RBR_THR:
        return u->lcr & LCR_DLAB ? u->dll : rbr_read(u);
    case IER:
        return u->lcr & LCR_DLAB ? u->dlm : u->ier;
    case IIR_FCR:
        return iir_read(u);
    case LCR:
        return u->lcr;
    case MCR:
        return u->mcr;
    case LSR:
        value = LSR_THRE | LSR_TEMT | (u->count ? LSR_DR : 0) | (u->is_overrun ? LSR_OE : 0);
        u->is_overrun = 0;
        return value;
    case MSR:
        value = u->msr;
        u->msr &= (uint8_t)~MSR_DELTAS;
        return value;
    }
    return u->scr;
}

static __attribute__((noinline)) int any_read(Device *d, uint64_t offset, uint64_t *value)
{
    if (offset >= REGISTERS) {
        return -ERR_FAULT;
    }
    Uart *u = d->state;
    uint8_t before = cause(u);
    *value = register_read(u, offset);
    if (cause(u) != before) {
        irq_update(d);
    }
    return 0;
}

static int uart_read(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    (void)vcpu;
    (void)size_bytes;
    Uart *u = d->state;
    if (offset == LSR && !u->is_overrun) { /* what drivers poll: it changes nothing */
        *value = register_read(u, LSR);
        return 0;
    }
    return any_read(d, offset, value);
}

static void register_write(Device *d, uint64_t offset, uint8_t value)
{
    Uart *u = d->state;
    bool is_divisor = u->lcr & LCR_DLAB;
    switch (offset) {
    case RBR_THR:
        if (is_divisor) {
            u->dll = value;
        } else {
            thr_write(d, value);
        }
        break;
    case IER:
        if (is_divisor) {
            u->dlm = value;
        } else {
            ier_write(u, value);
        }
        break;
    case IIR_FCR:
        fcr_write(u, value);
        break;
    case LCR:
        u->lcr = value;
        break;
    case MCR:
        u->mcr = value & MCR_MASK;
        modem_update(u);
        break;
    case SCR:
        u->scr = value;
        break;
    } /* LSR is for factory tests, MSR is read-only */
}

static int uart_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    (void)vcpu;
    (void)size_bytes;
    if (offset >= REGISTERS) {
        return -ERR_FAULT;
    }
    register_write(d, offset, (uint8_t)value);
    irq_update(d);
    return 0;
}

/* As many as there is room for, so that nothing that comes from outside is ever lost; none in loopback, where the input is
 * disconnected (Modem Control Register). */
static size_t uart_input(Device *d, const void *bytes, size_t n)
{
    Uart *u = d->state;
    size_t taken = 0;
    while (taken < n && u->count < capacity(u) && !(u->mcr & MCR_LOOP)) {
        receive(u, ((const uint8_t *)bytes)[taken++]);
    }
    irq_update(d);
    return taken;
}

static size_t uart_take(Device *d, void *bytes, size_t cap)
{
    Uart *u = d->state;
    size_t n = 0;
    while (n < cap && u->count) {
        ((uint8_t *)bytes)[n++] = rbr_read(u);
    }
    irq_update(d);
    return n;
}

static int uart_check(const Device *d, Err *err)
{
    const Uart *u = d->state;
    if (u->is_fifo > 1 || u->count > capacity(u) || !u->trigger || u->trigger > 14 || u->is_overrun > 1 ||
        u->is_thre_due > 1 || u->ier & 0xf0 || u->mcr & ~MCR_MASK) {
        return err_set(err, ERR_INVAL, "uart16550: fifo %u holds %u, trigger %u, ier 0x%x, mcr 0x%x: out of range",
                       u->is_fifo, u->count, u->trigger, u->ier, u->mcr);
    }
    return 0;
}

static void uart_fdt(const Device *d, Fdt *f)
{
    fdt_begin_at(f, "serial", d->base);
    fdt_u32(f, "interrupts", d->irq);
    fdt_u32(f, "interrupt-parent", d->irq_phandle);
    fdt_u32(f, "clock-frequency", 3686400);
    fdt_reg(f, d->base, d->type->size_bytes);
    fdt_str(f, "compatible", "ns16550a");
    fdt_end(f);
}

static const DeviceReg regs[] = {
    {"RBR/THR", RBR_THR, 1, 0, 0, DEVICE_RW},
    {"IER", IER, 1, 0, 0, DEVICE_RW},
    {"IIR/FCR", IIR_FCR, 1, 0, 0, DEVICE_RW},
    {"LCR", LCR, 1, 0, 0, DEVICE_RW},
    {"MCR", MCR, 1, 0, 0, DEVICE_RW},
    {"LSR", LSR, 1, 0, 0, DEVICE_R},
    {"MSR", MSR, 1, 0, 0, DEVICE_R},
    {"SCR", SCR, 1, 0, 0, DEVICE_RW},
    {0},
};

DEVICE_TYPE(uart16550) = {
    .name = "uart16550",
    .size_bytes = 0x100,
    .access_bytes = 1,
    .state_bytes = sizeof(Uart),
    .state = state,
    .reset = uart_reset,
    .read = uart_read,
    .write = uart_write,
    .input = uart_input,
    .take = uart_take,
    .fdt = uart_fdt,
    .check = uart_check,
    .regs = regs,
};
