/* SPDX-License-Identifier: Apache-2.0
 * sim_boot.c - where the images of a machine go.
 *
 *     start of RAM   firmware | kernel            the kernel alone, if there is no firmware
 *     end of RAM     RAM disk | fw_dynamic_info | device tree | room to grow in, as firmware edits it in place
 *
 * The firmware's contract is that of OpenSBI, docs/firmware/fw.md and fw_dynamic.md; fw_jump and fw_payload ignore a2. */
#include "sim/sim_int.h"

#include "sim/base/os.h"

enum { PAGE = 4096, FDT_ALIGN = 2 << 20, FDT_ROOM = 64 << 10 };
/* OpenSBI, docs/firmware/fw_dynamic.md: struct fw_dynamic_info of longs */
enum { INFO_MAGIC = 0x4942534f, INFO_VERSION = 2, INFO_MODE_S = 1, INFO_WORDS = 6 };

typedef struct {
    const SimPlace *where;
    const SimBoot *boot;
    const BootMem *mem;
    uint64_t base;          /* of RAM */
    uint64_t end;           /* of what is loaded at its start */
    BootImage bios, kernel; /* end 0: there is none */
    Err *err;
} Boot;

static uint64_t align_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) & ~(to - 1);
}

static int image_load(const Boot *b, const SimFile *f, const BootHow *how, BootImage *out)
{
    return f->bytes ? boot_load_bytes(b->mem, f->name, f->bytes, f->n, how, out, b->err)
                    : boot_load(b->mem, f->name, how, out, b->err);
}

static int bios_place(Boot *b)
{
    if (!b->boot->bios.name) {
        return 0;
    }
    if (board_def(b->where->board)->is_virt) {
        return err_set(b->err, ERR_UNSUPPORTED, "%s: firmware runs in M mode, which this machine does not have",
                       b->boot->bios.name);
    }
    BootHow how = {.flat_base = b->base, .linux_base = b->base, .elf_machine = b->where->elf_machine};
    int rc = image_load(b, &b->boot->bios, &how, &b->bios);
    b->end = b->bios.end;
    return rc;
}

static int kernel_place(Boot *b)
{
    if (!b->boot->kernel.name) {
        return 0;
    }
    BootHow how = {.flat_base = b->boot->bios.name ? align_up(b->bios.end, BOOT_LINUX_ALIGN) : b->base,
                   .linux_base = b->base,
                   .elf_machine = b->where->elf_machine};
    int rc = image_load(b, &b->boot->kernel, &how, &b->kernel);
    if (!rc && b->boot->bios.name && b->kernel.start < b->bios.end && b->bios.start < b->kernel.end) {
        return err_set(b->err, ERR_INVAL, "%s: loads 0x%llx to 0x%llx, where the firmware is (0x%llx to 0x%llx)",
                       b->boot->kernel.name, (unsigned long long)b->kernel.start, (unsigned long long)b->kernel.end,
                       (unsigned long long)b->bios.start, (unsigned long long)b->bios.end);
    }
    b->end = b->kernel.end > b->end ? b->kernel.end : b->end;
    return rc;
}

static int no_room(const Boot *b, const char *what, uint64_t n)
{
    return err_set(b->err, ERR_LIMIT, "%s (%llu bytes) does not fit: the images end at 0x%llx, RAM at 0x%llx", what,
                   (unsigned long long)n, (unsigned long long)b->end,
                   (unsigned long long)(b->base + b->where->ram_bytes));
}

static int info_place(const Boot *b, uint64_t at)
{
    const uint64_t words[INFO_WORDS] = {INFO_MAGIC,  INFO_VERSION,    b->kernel.entry,
                                        INFO_MODE_S, 0 /* options */, 0 /* hart */};
    Buf bytes = {0};
    for (size_t i = 0; i < INFO_WORDS; i++) {
        buf_le(&bytes, words[i], sizeof words[i]);
    }
    int rc = b->mem->write(b->mem->ctx, at, bytes.data, bytes.n, b->err);
    buf_free(&bytes);
    return rc;
}

/* From the end of RAM downwards. The tree names the disk's place, and its own size decides that: its size does not depend on
 * what the numbers are. */
static int tree_place(Boot *b, const SimFile *disk, Buf *fdt, SimStart *out)
{
    const SimPlace *w = b->where;
    uint64_t ram_end = b->base + w->ram_bytes;
    BoardFdt what = {.ram_bytes = w->ram_bytes,
                     .isa = w->isa,
                     .mmu = w->mmu,
                     .append = b->boot->append,
                     .initrd_start = b->base,
                     .initrd_end = b->base + disk->n};
    Buf draft = {0};
    board_fdt(w->board, &what, &draft);
    uint64_t need = draft.n + FDT_ROOM, info = PAGE, at = (ram_end - need) & ~(uint64_t)(FDT_ALIGN - 1);
    what.initrd_start = (at - info - disk->n) & ~(uint64_t)(PAGE - 1);
    what.initrd_end = what.initrd_start + disk->n;
    if (disk->n) {
        board_fdt(w->board, &what, fdt);
    } else {
        buf_bytes(fdt, draft.data, draft.n);
    }
    buf_free(&draft);
    if (need + info + FDT_ALIGN > w->ram_bytes || at - info < b->end) {
        return no_room(b, "the device tree", fdt->n);
    }
    if (disk->n > at - info - b->end || what.initrd_start < b->end) {
        return no_room(b, disk->name, disk->n);
    }
    *out = (SimStart){.fdt = at, .info = b->boot->bios.name ? at - info : 0};
    int rc = b->mem->write(b->mem->ctx, at, fdt->data, fdt->n, b->err);
    rc = rc || !disk->n ? rc : b->mem->write(b->mem->ctx, what.initrd_start, disk->bytes, disk->n, b->err);
    return rc || !out->info ? rc : info_place(b, out->info);
}

int sim_boot_place(const SimPlace *where, const SimBoot *boot, const BootMem *m, Buf *fdt, SimStart *out, Err *err)
{
    uint64_t base = board_def(where->board)->ram_base;
    Boot b = {.where = where, .boot = boot, .mem = m, .base = base, .end = base, .err = err};
    SimFile disk = boot->initrd;
    Buf read = {0};
    int rc = bios_place(&b);
    rc = rc ? rc : kernel_place(&b);
    if (!rc && disk.name && !disk.bytes) {
        rc = os_read_file(disk.name, BOOT_MAX_BYTES, &read, err);
        disk = (SimFile){disk.name, read.data, read.n};
    }
    rc = rc ? rc : tree_place(&b, &disk, fdt, out);
    buf_free(&read);
    if (!rc) {
        out->entry = boot->bios.name ? b.bios.entry : boot->kernel.name ? b.kernel.entry : base;
        out->has_tohost = b.kernel.has_symbol[BOOT_TOHOST];
        out->tohost = b.kernel.symbol[BOOT_TOHOST];
    }
    return rc;
}
