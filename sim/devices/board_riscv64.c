/* SPDX-License-Identifier: Apache-2.0
 * RISC-V boards with the memory map of QEMU's machine `virt`, so that the same images run on both.
 *
 * machine: the bare board. virt: what a guest of a hypervisor sees, as with QEMU -accel kvm and aia=none: no CLINT, as timer
 * and IPIs are SBI's, and a PLIC whose context n is the S mode of hart n, as there is no M mode. */
#include "sim/devices/boards.h"
#include "sim/devices/devices.h"

#include <stdio.h>
#include <string.h>

enum {
    NODE_PHANDLE = 0x100 /* of cpu nodes: beyond DEVICE_CPU_PHANDLE */,
    MAX_EXTENSIONS = 96,
    MAX_WORD = 24,
    MAX_WORDS = 1024
};
#define BASE_PREFIX "rv64"
enum { TIMEBASE_HZ = 10000000, CBO_BLOCK_BYTES = 64 };

/* Without these properties Linux does not use what the ISA string says (the binding riscv/cpus.yaml). */
static void riscv64_cache_blocks(Fdt *f, const char *isa)
{
    static const char *const rows[][2] = {{"_zicbom", "riscv,cbom-block-size"},
                                          {"_zicbop", "riscv,cbop-block-size"},
                                          {"_zicboz", "riscv,cboz-block-size"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strstr(isa, rows[i][0])) {
            fdt_u32(f, rows[i][1], CBO_BLOCK_BYTES);
        }
    }
}

/* Linux, Documentation/devicetree/bindings/riscv/extensions.yaml: the same as riscv,isa says, as a list. */
static void riscv64_extensions(Fdt *f, const char *isa)
{
    char words[MAX_WORDS];
    const char *list[MAX_EXTENSIONS];
    size_t n = 0, used = 0;
    const char *letters = isa + strlen(BASE_PREFIX), *more = letters + strcspn(letters, "_");
    for (const char *c = letters; *c && n < MAX_EXTENSIONS;) {
        c += c >= more; /* an underscore */
        size_t len = c < more ? 1 : strcspn(c, "_");
        if (used + len + 1 > sizeof words) {
            break;
        }
        list[n++] = memcpy(words + used, c, len);
        words[used + len] = 0;
        used += len + 1;
        c += len;
    }
    fdt_str(f, "riscv,isa-base", BASE_PREFIX "i");
    fdt_strs(f, "riscv,isa-extensions", list, n);
}

/* One cluster of cores: Linux, Documentation/devicetree/bindings/cpu/cpu-topology.txt. */
static void riscv64_cpu_map(Fdt *f, unsigned nvcpus)
{
    fdt_begin(f, "cpu-map");
    fdt_begin(f, "cluster0");
    for (unsigned i = 0; i < nvcpus; i++) {
        char name[MAX_WORD];
        snprintf(name, sizeof name, "core%u", i);
        fdt_begin(f, name);
        fdt_u32(f, "cpu", NODE_PHANDLE + i);
        fdt_end(f);
    }
    fdt_end(f);
    fdt_end(f);
}

static void riscv64_cpus(Fdt *f, unsigned nvcpus, const BoardFdt *what)
{
    fdt_begin(f, "cpus");
    fdt_u32(f, "#address-cells", 1);
    fdt_u32(f, "#size-cells", 0);
    fdt_u32(f, "timebase-frequency", TIMEBASE_HZ);
    for (unsigned i = 0; i < nvcpus; i++) {
        fdt_begin_at(f, "cpu", i);
        fdt_str(f, "device_type", "cpu");
        fdt_u32(f, "reg", i);
        fdt_str(f, "status", "okay");
        fdt_str(f, "compatible", "riscv");
        fdt_u32(f, "phandle", NODE_PHANDLE + i);
        fdt_str(f, "riscv,isa", what->isa);
        riscv64_extensions(f, what->isa);
        riscv64_cache_blocks(f, what->isa);
        fdt_str(f, "mmu-type", what->mmu);
        fdt_begin(f, "interrupt-controller");
        fdt_u32(f, "#interrupt-cells", 1);
        fdt_u32(f, "#address-cells", 0);
        fdt_empty(f, "interrupt-controller");
        fdt_str(f, "compatible", "riscv,cpu-intc");
        fdt_u32(f, "phandle", DEVICE_CPU_PHANDLE(i));
        fdt_end(f);
        fdt_end(f);
    }
    riscv64_cpu_map(f, nvcpus);
    fdt_end(f);
}

/* Slot n, of sources 1 to 8. */
#define VIRTIO_ROW(n)                                                                                                  \
    {                                                                                                                  \
        .type = &device_virtio_mmio, .base = 0x10001000 + (n)*0x1000, .irq = 1 + (n), .param = (n)                     \
    }
#define VIRTIO_ROWS                                                                                                    \
    VIRTIO_ROW(0), VIRTIO_ROW(1), VIRTIO_ROW(2), VIRTIO_ROW(3), VIRTIO_ROW(4), VIRTIO_ROW(5), VIRTIO_ROW(6),           \
        VIRTIO_ROW(7)

static const BoardRow machine_rows[] = {
    {.type = &device_finisher, .base = 0x100000},
    {.type = &device_goldfish_rtc, .base = 0x101000, .irq = 11},
    {.type = &device_clint, .base = 0x2000000},
    {.type = &device_plic, .base = 0xc000000, .param = 2, .is_irq_chip = true},
    {.type = &device_uart16550, .base = 0x10000000, .irq = 10, .is_console = true},
    VIRTIO_ROWS,
};
const BoardDef board_riscv64_machine = {
    .guest = "riscv64",
    .compatible = "riscv-virtio",
    .model = "riscv-virtio,conf",
    .ram_base = 0x80000000,
    .max_vcpus = DEVICE_MAX_VCPUS,
    .rows = machine_rows,
    .nrows = sizeof machine_rows / sizeof machine_rows[0],
    .fdt_cpus = riscv64_cpus,
};

static const BoardRow virt_rows[] = {
    {.type = &device_finisher, .base = 0x100000},
    {.type = &device_goldfish_rtc, .base = 0x101000, .irq = 11},
    {.type = &device_plic, .base = 0xc000000, .param = 1, .is_irq_chip = true},
    {.type = &device_uart16550, .base = 0x10000000, .irq = 10, .is_console = true},
    VIRTIO_ROWS,
};
const BoardDef board_riscv64_virt = {
    .guest = "riscv64",
    .is_virt = true,
    .compatible = "riscv-virtio",
    .model = "riscv-virtio,conf",
    .ram_base = 0x80000000,
    .max_vcpus = DEVICE_MAX_VCPUS,
    .rows = virt_rows,
    .nrows = sizeof virt_rows / sizeof virt_rows[0],
    .fdt_cpus = riscv64_cpus,
};
