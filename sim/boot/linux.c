/* SPDX-License-Identifier: Apache-2.0
 * Linux, Documentation/arch/riscv/boot-image-header.rst and Documentation/arch/arm64/booting.rst ("kernel image header"): the
 * same fields at the same places, told apart by the magic number at 0x38. gzip: RFC 1952. */
#include "sim/boot/linux.h"

#include "sim/base/mem.h"

#include <string.h>
#ifdef CONF_HAS_ZLIB
#include <zlib.h>
#endif

enum { HEADER_BYTES = 64, TEXT_OFFSET_AT = 8, IMAGE_SIZE_AT = 16, FLAGS_AT = 24, MAGIC_AT = 0x38, MAGIC_BYTES = 4 };
enum { FLAG_BIG_ENDIAN = 1 };

static const struct {
    uint16_t machine;
    const char *arch, *magic;
} kernels[] = {{ELF_MACHINE_RISCV, "riscv", "RSC\x05"}, {ELF_MACHINE_AARCH64, "arm64", "ARM\x64"}};

static uint64_t field(const uint8_t *bytes, size_t at)
{
    Cursor c = cursor_of(bytes + at, sizeof(uint64_t));
    return cursor_le(&c, sizeof(uint64_t));
}

int linux_header(const char *name, const uint8_t *bytes, size_t n, uint16_t machine, bool *is_linux, LinuxHeader *out,
                 Err *err)
{
    size_t which = 0;
    *is_linux = false;
    while (which < ARRAY_LEN(kernels) &&
           (n < HEADER_BYTES || memcmp(bytes + MAGIC_AT, kernels[which].magic, MAGIC_BYTES) != 0)) {
        which++;
    }
    if (which == ARRAY_LEN(kernels)) {
        return 0;
    }
    if (machine && kernels[which].machine != machine) {
        return err_set(err, ERR_UNSUPPORTED, "%s: is a Linux image for %s", name, kernels[which].arch);
    }
    if (field(bytes, FLAGS_AT) & FLAG_BIG_ENDIAN) {
        return err_set(err, ERR_UNSUPPORTED, "%s: offset 0x%x: is a big-endian Linux image", name, FLAGS_AT);
    }
    uint64_t offset = field(bytes, TEXT_OFFSET_AT), size = field(bytes, IMAGE_SIZE_AT);
    if (offset > UINT32_MAX || size > UINT32_MAX) {
        return err_set(err, ERR_INVAL,
                       "%s: offset 0x%x: text_offset 0x%llx and image_size 0x%llx, expected below 4 GiB", name,
                       TEXT_OFFSET_AT, (unsigned long long)offset, (unsigned long long)size);
    }
    *out = (LinuxHeader){.text_offset = offset, .image_bytes = size < n ? n : size};
    *is_linux = true;
    return 0;
}

bool gzip_is(const uint8_t *bytes, size_t n)
{
    return n >= 3 && !memcmp(bytes, "\x1f\x8b\x08", 3);
}

int packing_check(const char *name, const uint8_t *bytes, size_t n, Err *err)
{
    static const struct {
        const char *what, *magic;
        size_t at, nmagic;
    } rows[] = {
        {"is packed with xz",
         "\xfd"
         "7zXZ",
         0, 5},
        {"is packed with zstd", "\x28\xb5\x2f\xfd", 0, 4},
        {"is packed with bzip2", "BZh", 0, 3},
        {"is packed with lz4", "\x02\x21\x4c\x18", 0, 4},
        {"is a compressed EFI kernel (vmlinuz)", "zimg", 4, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (n >= rows[i].at + rows[i].nmagic && !memcmp(bytes + rows[i].at, rows[i].magic, rows[i].nmagic)) {
            return err_set(err, ERR_UNSUPPORTED, "%s: %s, expected an image that is plain or packed with gzip", name,
                           rows[i].what);
        }
    }
    return 0;
}

#ifdef CONF_HAS_ZLIB
int gzip_unpack(const char *name, const uint8_t *bytes, size_t n, size_t max_bytes, Buf *out, Err *err)
{
    enum { GZIP_ONLY = 16 + MAX_WBITS };
    uint8_t chunk[16384];
    size_t before = out->n;
    z_stream z = {.next_in = (Bytef *)bytes, .avail_in = (uInt)n};
    if (n > BOOT_MAX_BYTES || inflateInit2(&z, GZIP_ONLY) != Z_OK) {
        return err_set(err, ERR_NOMEM, "%s: cannot be unpacked here", name);
    }
    int state = Z_OK;
    while (state == Z_OK) {
        z.next_out = chunk;
        z.avail_out = sizeof chunk;
        state = inflate(&z, Z_NO_FLUSH);
        size_t got = sizeof chunk - z.avail_out;
        if (out->n - before + got > max_bytes) {
            inflateEnd(&z);
            return err_set(err, ERR_LIMIT, "%s: is larger than %zu bytes when unpacked", name, max_bytes);
        }
        buf_bytes(out, chunk, got);
    }
    uint64_t at = z.total_in;
    inflateEnd(&z);
    return state == Z_STREAM_END
               ? 0
               : err_set(err, ERR_INVAL, "%s: offset 0x%llx: is %s gzip data", name, (unsigned long long)at,
                         state == Z_BUF_ERROR ? "the end of cut" : "no sound");
}
#else
int gzip_unpack(const char *name, const uint8_t *bytes, size_t n, size_t max_bytes, Buf *out, Err *err)
{
    (void)bytes, (void)n, (void)max_bytes, (void)out;
    return err_set(err, ERR_UNSUPPORTED, "%s: is packed with gzip, expected a plain image: this program has no zlib",
                   name);
}
#endif
