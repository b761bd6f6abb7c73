/* SPDX-License-Identifier: Apache-2.0
 * The SiFive test finisher: one write-only register that ends the machine. The binding is Linux's
 * devicetree/bindings/power: syscon-poweroff and syscon-reboot; the values are those of the SiFive test device. */
#include "sim/devices/devices.h"
#include "sim/machine/fdt.h"

enum { FINISHER_FAIL = 0x3333, FINISHER_PASS = 0x5555, FINISHER_RESET = 0x7777 };

static const StateField state[] = {{0}};

static void reset(Device *d)
{
    (void)d;
}

static int test_read(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    (void)d;
    (void)vcpu;
    (void)offset;
    (void)size_bytes;
    *value = 0;
    return 0;
}

/* The low half says what, the high half of a failure with which code; other values are ignored. */
static int test_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    (void)vcpu;
    (void)size_bytes;
    if (offset) {
        return 0;
    }
    switch (value & 0xffff) {
    case FINISHER_FAIL:
        d->host->finish(d->host->ctx, FINISH_FAIL, (uint32_t)(value >> 16 & 0xffff));
        break;
    case FINISHER_PASS:
        d->host->finish(d->host->ctx, FINISH_OFF, 0);
        break;
    case FINISHER_RESET:
        d->host->finish(d->host->ctx, FINISH_RESET, 0);
        break;
    }
    return 0;
}

static void syscon_node(Fdt *f, const Device *d, const char *name, const char *compatible, uint32_t value)
{
    fdt_begin(f, name);
    fdt_str(f, "compatible", compatible);
    fdt_u32(f, "regmap", d->phandle);
    fdt_u32(f, "offset", 0);
    fdt_u32(f, "value", value);
    fdt_end(f);
}

static void test_fdt(const Device *d, Fdt *f)
{
    fdt_begin_at(f, "test", d->base);
    fdt_strs(f, "compatible", (const char *const[]){"sifive,test1", "sifive,test0", "syscon"}, 3);
    fdt_reg(f, d->base, d->type->size_bytes);
    fdt_u32(f, "phandle", d->phandle);
    fdt_end(f);
}

static void test_fdt_root(const Device *d, Fdt *f)
{
    syscon_node(f, d, "poweroff", "syscon-poweroff", FINISHER_PASS);
    syscon_node(f, d, "reboot", "syscon-reboot", FINISHER_RESET);
}

static const DeviceReg regs[] = {
    {"test", 0, 4, 0, 0, DEVICE_W},
    {0},
};

DEVICE_TYPE(finisher) = {
    .name = "finisher",
    .size_bytes = 0x1000,
    .access_bytes = 2 | 4,
    .state_bytes = 1,
    .state = state,
    .reset = reset,
    .read = test_read,
    .write = test_write,
    .fdt = test_fdt,
    .fdt_root = test_fdt_root,
    .regs = regs,
};
