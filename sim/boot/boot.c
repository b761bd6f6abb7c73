/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/boot/boot.h"

#include "sim/base/buf.h"
#include "sim/base/os.h"
#include "sim/boot/elf.h"
#include "sim/boot/linux.h"

/* ---- the memory of a Space ---- */
static uint64_t space_ram_bytes(void *ctx, uint64_t gpa)
{
    SpaceHit h;
    return space_find(ctx, gpa, &h) && !h.device ? h.size_bytes - (gpa - h.gpa) : 0;
}

static int space_put(void *ctx, uint64_t gpa, const void *bytes, size_t n, Err *err)
{
    return space_write(ctx, gpa, bytes, n, err);
}

static int space_zero(void *ctx, uint64_t gpa, uint64_t n, Err *err)
{
    static const uint8_t zeros[SPACE_PAGE_BYTES];
    int rc = 0;
    for (uint64_t done = 0; !rc && done < n; done += sizeof zeros) {
        rc = space_write(ctx, gpa + done, zeros, n - done < sizeof zeros ? n - done : sizeof zeros, err);
    }
    return rc;
}

BootMem boot_mem_of(Space *s)
{
    return (BootMem){.ctx = s, .ram_bytes = space_ram_bytes, .write = space_put, .zero = space_zero};
}

/* ---- images ---- */
int boot_check_ram(const BootMem *m, const char *name, uint64_t gpa, uint64_t size_bytes, Err *err)
{
    if (size_bytes && gpa + (size_bytes - 1) < gpa) {
        return err_set(err, ERR_FAULT, "%s: 0x%llx + 0x%llx passes the end of the address space", name,
                       (unsigned long long)gpa, (unsigned long long)size_bytes);
    }
    for (uint64_t done = 0, n; done < size_bytes; done += n) {
        n = m->ram_bytes(m->ctx, gpa + done);
        if (!n) {
            return err_set(err, ERR_FAULT, "%s: loads 0x%llx + 0x%llx, but at 0x%llx there is no RAM", name,
                           (unsigned long long)gpa, (unsigned long long)size_bytes, (unsigned long long)(gpa + done));
        }
    }
    return 0;
}

static int flat_load(const BootMem *m, const char *name, const uint8_t *bytes, size_t n, const BootHow *how,
                     BootImage *out, Err *err)
{
    LinuxHeader linux_image = {0};
    bool is_linux = false;
    uint64_t at = how->flat_base, size = n;
    int rc = packing_check(name, bytes, n, err);
    rc = rc ? rc : linux_header(name, bytes, n, how->elf_machine, &is_linux, &linux_image, err);
    if (is_linux) {
        uint64_t wanted = how->linux_base + linux_image.text_offset;
        at = wanted < how->flat_base ? how->flat_base : wanted;
        size = linux_image.image_bytes;
    }
    rc = rc ? rc : boot_check_ram(m, name, at, size, err);
    rc = rc ? rc : m->write(m->ctx, at, bytes, n, err);
    *out = (BootImage){.is_linux = is_linux, .entry = at, .start = at, .end = at + size};
    return rc;
}

static int unpacked_load(const BootMem *m, const char *name, const uint8_t *bytes, size_t n, const BootHow *how,
                         BootImage *out, Err *err)
{
    *out = (BootImage){0};
    if (!n) {
        return err_set(err, ERR_INVAL, "%s: is empty, expected an ELF file, a Linux image or a flat binary", name);
    }
    return elf_is(bytes, n) ? elf_load(m, name, bytes, n, how->elf_machine, out, err)
                            : flat_load(m, name, bytes, n, how, out, err);
}

int boot_load_bytes(const BootMem *m, const char *name, const void *bytes, size_t n, const BootHow *how, BootImage *out,
                    Err *err)
{
    if (!gzip_is(bytes, n)) {
        return unpacked_load(m, name, bytes, n, how, out, err);
    }
    Buf plain = {0};
    *out = (BootImage){0};
    int rc = gzip_unpack(name, bytes, n, BOOT_MAX_BYTES, &plain, err);
    rc = rc ? rc : unpacked_load(m, name, (const uint8_t *)buf_text(&plain), plain.n, how, out, err);
    buf_free(&plain);
    return rc;
}

int boot_load(const BootMem *m, const char *path, const BootHow *how, BootImage *out, Err *err)
{
    Buf b = {0};
    int rc = os_read_file(path, BOOT_MAX_BYTES, &b, err);
    rc = rc ? rc : boot_load_bytes(m, path, buf_text(&b), b.n, how, out, err);
    buf_free(&b);
    return rc;
}
