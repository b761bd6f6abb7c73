/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/boot/boot.h"

#include "sim/base/buf.h"
#include "sim/base/os.h"
#include "sim/boot/elf.h"

int boot_check_ram(const Space *s, const char *name, uint64_t gpa, uint64_t size_bytes, Err *err)
{
    if (size_bytes && gpa + (size_bytes - 1) < gpa) {
        return err_set(err, ERR_FAULT, "%s: 0x%llx + 0x%llx passes the end of the address space", name,
                       (unsigned long long)gpa, (unsigned long long)size_bytes);
    }
    for (uint64_t done = 0; done < size_bytes;) {
        SpaceHit h;
        if (!space_find(s, gpa + done, &h) || h.device) {
            return err_set(err, ERR_FAULT, "%s: loads 0x%llx + 0x%llx, but at 0x%llx there is no RAM", name,
                           (unsigned long long)gpa, (unsigned long long)size_bytes, (unsigned long long)(gpa + done));
        }
        done += h.size_bytes - (gpa + done - h.gpa);
    }
    return 0;
}

int boot_load_bytes(Space *s, const char *name, const void *bytes, size_t n, const BootHow *how, BootImage *out,
                    Err *err)
{
    *out = (BootImage){0};
    if (elf_is(bytes, n)) {
        return elf_load(s, name, bytes, n, how->elf_machine, out, err);
    }
    if (!n) {
        return err_set(err, ERR_INVAL, "%s: is empty, expected an ELF file or a flat binary", name);
    }
    int rc = boot_check_ram(s, name, how->flat_base, n, err);
    rc = rc ? rc : space_write(s, how->flat_base, bytes, n, err);
    *out = (BootImage){.entry = how->flat_base, .start = how->flat_base, .end = how->flat_base + n};
    return rc;
}

int boot_load(Space *s, const char *path, const BootHow *how, BootImage *out, Err *err)
{
    Buf b = {0};
    int rc = os_read_file(path, BOOT_MAX_BYTES, &b, err);
    rc = rc ? rc : boot_load_bytes(s, path, buf_text(&b), b.n, how, out, err);
    buf_free(&b);
    return rc;
}

int boot_load_raw(Space *s, const char *path, uint64_t gpa, uint64_t *size_bytes, Err *err)
{
    Buf b = {0};
    int rc = os_read_file(path, BOOT_MAX_BYTES, &b, err);
    rc = rc ? rc : boot_check_ram(s, path, gpa, b.n, err);
    rc = rc ? rc : space_write(s, gpa, buf_text(&b), b.n, err);
    *size_bytes = b.n;
    buf_free(&b);
    return rc;
}
