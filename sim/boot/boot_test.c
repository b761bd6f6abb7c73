/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/boot/boot.h"
#include "sim/boot/linux.h"

#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RAM_AT = 0x80000000, RAM_BYTES = 16 * SPACE_PAGE_BYTES };
/* The handmade file: header, two program headers, three section headers, symbols, strings, code. */
enum {
    PH0 = 64,
    PH1 = PH0 + 56,
    SH0 = PH1 + 56,
    SYMBOLS = SH0 + 3 * 64,
    STRINGS = SYMBOLS + 4 * 24,
    CODE = 0x200,
    CODE_BYTES = 16,
    FILE_BYTES = CODE + CODE_BYTES
};
static const char strings[] = "\0tohost\0end_signature\0other";
enum { VIRTUAL = 0x40000000 }; /* of the second segment, whose physical address is RAM_AT + 0x2000 */

static void set(uint8_t *f, size_t at, size_t nbytes, uint64_t value)
{
    for (size_t i = 0; i < nbytes; i++) {
        f[at + i] = (uint8_t)(value >> 8 * i);
    }
}

static void set_segment(uint8_t *f, size_t at, uint32_t flags, const uint64_t words[6])
{
    set(f, at, 4, 1);
    set(f, at + 4, 4, flags);
    for (unsigned i = 0; i < 6; i++) { /* offset vaddr paddr filesz memsz align */
        set(f, at + 8 + 8ull * i, 8, words[i]);
    }
}

static void set_section(uint8_t *f, unsigned i, uint32_t type, uint64_t offset, uint64_t size, uint32_t link)
{
    size_t at = SH0 + 64ull * i;
    set(f, at + 4, 4, type);
    set(f, at + 24, 8, offset);
    set(f, at + 32, 8, size);
    set(f, at + 40, 4, link);
}

static void set_symbol(uint8_t *f, unsigned i, uint32_t name, uint16_t section, uint64_t value)
{
    size_t at = SYMBOLS + 24ull * i;
    set(f, at, 4, name);
    set(f, at + 6, 2, section);
    set(f, at + 8, 8, value);
}

static void make(uint8_t f[FILE_BYTES])
{
    memset(f, 0, FILE_BYTES);
    memcpy(f, (const uint8_t[]){0x7f, 'E', 'L', 'F', 2, 1, 1}, 7);
    set(f, 16, 2, 2);
    set(f, 18, 2, ELF_MACHINE_RISCV);
    set(f, 20, 4, 1);
    set(f, 24, 8, VIRTUAL + 4);
    set(f, 32, 8, PH0);
    set(f, 40, 8, SH0);
    set(f, 54, 2, 56);
    set(f, 56, 2, 2);
    set(f, 58, 2, 64);
    set(f, 60, 2, 3);
    set_segment(f, PH0, 6, (uint64_t[]){CODE, RAM_AT, RAM_AT, 8, 0x1800, 0});
    set_segment(f, PH1, 5, (uint64_t[]){CODE + 8, VIRTUAL, RAM_AT + 0x2000, 8, 8, 0});
    set_section(f, 1, 2, SYMBOLS, 4ull * 24, 2);
    set_section(f, 2, 3, STRINGS, sizeof strings, 0);
    set_symbol(f, 1, 1, 1, RAM_AT + 0x1000);
    set_symbol(f, 2, 8, 1, VIRTUAL + 8); /* outside of every segment */
    set_symbol(f, 3, 1, 0, 1);           /* undefined: does not count */
    memcpy(f + STRINGS, strings, sizeof strings);
    memcpy(f + CODE, "abcdefghijklmnop", CODE_BYTES);
}

static Space *ram(void)
{
    Space *s = space_new();
    uint32_t id;
    CHECK_INT(space_ram_new(s, RAM_BYTES, &id, NULL), 0);
    CHECK_INT(space_map(s, RAM_AT, RAM_BYTES, id, 0, SPACE_R, NULL), 0);
    return s;
}

static int load_bytes(Space *s, const char *name, const void *bytes, size_t n, const BootHow *h, BootImage *out,
                      Err *err)
{
    BootMem m = boot_mem_of(s);
    return boot_load_bytes(&m, name, bytes, n, h, out, err);
}

static const BootHow how = {.flat_base = RAM_AT + 0x3000, .elf_machine = ELF_MACHINE_RISCV};

TEST(boot, an_elf_file_is_placed_by_physical_address_with_its_bss_cleared)
{
    uint8_t f[FILE_BYTES], got[16];
    BootImage image;
    Space *s = ram();
    CHECK_INT(space_write(s, RAM_AT + 8, "dirty", 5, NULL), 0);
    CHECK_INT(space_write(s, RAM_AT + 0x17fc, "12345678", 8, NULL), 0);
    make(f);
    CHECK_INT(load_bytes(s, "a.elf", f, sizeof f, &how, &image, NULL), 0);
    CHECK_INT(space_read(s, RAM_AT, got, 16, NULL), 0);
    CHECK(!memcmp(got, "abcdefgh\0\0\0\0\0\0\0\0", 16));
    CHECK_INT(space_read(s, RAM_AT + 0x17fc, got, 8, NULL), 0);
    CHECK(!memcmp(got,
                  "\0\0\0\0"
                  "5678",
                  8));
    CHECK_INT(space_read(s, RAM_AT + 0x2000, got, 8, NULL), 0);
    CHECK(!memcmp(got, "ijklmnop", 8));
    CHECK(image.is_elf && image.start == RAM_AT && image.end == RAM_AT + 0x2008);
    CHECK_INT(image.entry, RAM_AT + 0x2004);
    CHECK(image.has_symbol[BOOT_TOHOST] && !image.has_symbol[BOOT_FROMHOST]);
    CHECK_INT(image.symbol[BOOT_TOHOST], RAM_AT + 0x1000);
    CHECK(image.has_symbol[BOOT_END_SIGNATURE] && !image.has_symbol[BOOT_BEGIN_SIGNATURE]);
    CHECK_INT(image.symbol[BOOT_END_SIGNATURE], VIRTUAL + 8);
    space_free(s);
}

TEST(boot, a_stripped_elf_file_has_no_symbols_and_any_machine_may_be_let_through)
{
    uint8_t f[FILE_BYTES];
    BootImage image;
    Space *s = ram();
    make(f);
    set(f, 40, 8, 0);
    set(f, 18, 2, 77);
    CHECK_INT(load_bytes(s, "a.elf", f, sizeof f, &(BootHow){0}, &image, NULL), 0);
    CHECK(!image.has_symbol[BOOT_TOHOST]);
    make(f);
    set(f, 60, 2, 0);
    CHECK_INT(load_bytes(s, "a.elf", f, sizeof f, &how, &image, NULL), 0);
    CHECK(!image.has_symbol[BOOT_TOHOST]);
    space_free(s);
}

TEST(boot, headers_that_load_nothing_are_passed_over)
{
    uint8_t f[FILE_BYTES];
    BootImage image;
    Space *s = ram();
    make(f);
    set(f, PH0, 4, 0x70000003); /* a note of the processor's */
    set(f, PH0 + 8, 8, 0xffffffffffff);
    CHECK_INT(load_bytes(s, "a.elf", f, sizeof f, &how, &image, NULL), 0);
    CHECK_INT(image.start, RAM_AT + 0x2000);
    space_free(s);
}

TEST(boot, each_malformed_field_is_refused_with_its_place_and_nothing_is_written)
{
    static const struct {
        size_t at, nbytes;
        uint64_t value;
        int rc;
        const char *text;
    } rows[] = {
        {4, 1, 1, -ERR_UNSUPPORTED, "bad.elf: offset 0x4: EI_CLASS is 1, expected 2"},
        {5, 1, 2, -ERR_UNSUPPORTED, "EI_DATA is 2, expected 1"},
        {6, 1, 0, -ERR_UNSUPPORTED, "EI_VERSION is 0, expected 1"},
        {16, 2, 1, -ERR_INVAL, "offset 0x10: e_type is 0x1, expected 2 (executable)"},
        {18, 2, 62, -ERR_UNSUPPORTED, "offset 0x12: e_machine is 62, expected 243"},
        {20, 4, 9, -ERR_UNSUPPORTED, "e_version is 9"},
        {32, 8, FILE_BYTES - 8, -ERR_INVAL, "offset 0x20: e_phoff is 0x208"},
        {32, 8, 0xfffffffffffffff8, -ERR_INVAL, "e_phoff is 0xfffffffffffffff8"},
        {54, 2, 32, -ERR_INVAL, "offset 0x36: e_phentsize is 0x20, expected 0x38"},
        {56, 2, 0, -ERR_INVAL, "e_phnum is 0x0, expected at least one"},
        {56, 2, 0xffff, -ERR_INVAL, "e_phoff"},
        {58, 2, 40, -ERR_INVAL, "offset 0x3a: e_shentsize is 0x28, expected 0x40"},
        {40, 8, FILE_BYTES, -ERR_INVAL, "offset 0x28: e_shoff is 0x210"},
        {60, 2, 0xffff, -ERR_INVAL, "e_shoff"},
        {PH0 + 8, 8, FILE_BYTES - 7, -ERR_INVAL, "offset 0x48: p_offset is 0x209"},
        {PH0 + 8, 8, UINT64_MAX, -ERR_INVAL, "p_offset is 0xffffffffffffffff"},
        {PH0 + 32, 8, 0x1801, -ERR_INVAL, "offset 0x60: p_filesz is 0x1801, expected at most p_memsz"},
        {PH0 + 24, 8, 0xfffffffffffff000, -ERR_INVAL, "offset 0x58: p_paddr is 0xfffffffffffff000"},
        {PH0 + 40, 8, UINT64_MAX, -ERR_INVAL, "p_paddr"},
        {PH0 + 40, 8, 0x100000000, -ERR_FAULT, "bad.elf: loads 0x80000000 + 0x100000000, but at 0x80010000"},
        {PH1 + 24, 8, 0x10000, -ERR_FAULT, "at 0x10000 there is no RAM"},
        {SH0 + 64 + 24, 8, FILE_BYTES, -ERR_INVAL, "offset 0x108: sh_offset is 0x210"},
        {SH0 + 64 + 32, 8, UINT64_MAX, -ERR_INVAL, "sh_offset"},
        {SH0 + 64 + 40, 4, 3, -ERR_INVAL, "sh_link of the symbol table is 0x3"},
        {SH0 + 64 + 40, 4, 1, -ERR_INVAL, "string table is 0x2, expected 3"},
        {SH0 + 64 + 40, 4, 0, -ERR_INVAL, "string table is 0x0, expected 3"},
        {SH0 + 128 + 32, 8, 4, -ERR_INVAL, "with a 0 byte at its end"},
        {SH0 + 128 + 32, 8, 0, -ERR_INVAL, "with a 0 byte at its end"},
        {SH0 + 128 + 24, 8, FILE_BYTES, -ERR_INVAL, "sh_offset"},
        {SYMBOLS + 24, 4, sizeof strings, -ERR_INVAL, "st_name is 0x1c"},
    };
    uint8_t f[FILE_BYTES], after[RAM_BYTES];
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        BootImage image;
        Err err;
        Space *s = ram();
        make(f);
        set(f, rows[i].at, rows[i].nbytes, rows[i].value);
        CHECK_INT(load_bytes(s, "bad.elf", f, sizeof f, &how, &image, &err), rows[i].rc);
        CHECK_HAS(err.text, rows[i].text);
        CHECK_INT(space_read(s, RAM_AT, after, sizeof after, NULL), 0);
        CHECK(!after[0] && !memcmp(after, after + 1, sizeof after - 1));
        space_free(s);
    }
}

TEST(boot, a_file_cut_anywhere_in_its_tables_is_refused)
{
    uint8_t f[FILE_BYTES];
    Space *s = ram();
    make(f);
    for (size_t n = 4; n < FILE_BYTES; n++) {
        BootImage image;
        Err err;
        CHECK_INT(load_bytes(s, "cut.elf", f, n, &how, &image, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "cut.elf: ");
    }
    space_free(s);
}

TEST(boot, an_elf_file_that_loads_nothing_or_more_than_128_segments_is_refused)
{
    enum { MANY = 200 };
    uint8_t f[64 + 56 * MANY] = {0};
    uint8_t head[FILE_BYTES];
    BootImage image;
    Err err;
    Space *s = ram();
    make(head);
    memcpy(f, head, 64);
    set(f, 40, 8, 0);
    set(f, 56, 2, MANY);
    CHECK_INT(load_bytes(s, "x", f, sizeof f, &how, &image, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "at least one PT_LOAD");
    for (unsigned i = 0; i < MANY; i++) {
        set_segment(f, 64 + 56ull * i, 7, (uint64_t[]){0, RAM_AT, RAM_AT, 1, 1, 0});
    }
    CHECK_INT(load_bytes(s, "x", f, sizeof f, &how, &image, &err), -ERR_LIMIT);
    CHECK_HAS(err.text, "more than 128 segments");
    space_free(s);
}

TEST(boot, other_files_are_flat_and_start_at_their_base)
{
    BootImage image;
    Err err;
    char got[6];
    Space *s = ram();
    CHECK_INT(load_bytes(s, "flat", "\177ELhi", 5, &how, &image, NULL), 0);
    CHECK(!image.is_elf && image.entry == RAM_AT + 0x3000 && image.end == RAM_AT + 0x3005);
    CHECK_INT(space_read(s, RAM_AT + 0x3000, got, 6, NULL), 0);
    CHECK(!memcmp(got, "\177ELhi", 6));
    CHECK_INT(load_bytes(s, "flat", "", 0, &how, &image, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "flat: is empty");
    CHECK_INT(load_bytes(s, "flat", "abc", 3, &(BootHow){.flat_base = RAM_AT + RAM_BYTES - 2}, &image, &err),
              -ERR_FAULT);
    CHECK_HAS(err.text, "at 0x80010000 there is no RAM");
    CHECK_INT(load_bytes(s, "flat", "abc", 3, &(BootHow){.flat_base = UINT64_MAX}, &image, &err), -ERR_FAULT);
    CHECK_HAS(err.text, "passes the end");
    space_free(s);
}

TEST(boot, files_are_read_by_name)
{
    uint8_t f[FILE_BYTES];
    char path[64];
    BootImage image;
    Err err;
    Space *s = ram();
    BootMem m = boot_mem_of(s);
    make(f);
    snprintf(path, sizeof path, "/tmp/conf-boot-%ld.elf", (long)getpid());
    CHECK_INT(os_write_file(path, f, sizeof f, NULL), 0);
    CHECK_INT(boot_load(&m, path, &how, &image, NULL), 0);
    CHECK_INT(image.entry, RAM_AT + 0x2004);
    unlink(path);
    CHECK_INT(boot_load(&m, path, &how, &image, &err), -ERR_NOENT);
    CHECK_HAS(err.text, path);
    space_free(s);
}

/* ---- Linux images ---- */
enum { LINUX_BYTES = 80 };
static void make_linux(uint8_t f[LINUX_BYTES], uint64_t text_offset, uint64_t image_size)
{
    memset(f, 0x13, LINUX_BYTES);
    set(f, 8, 8, text_offset);
    set(f, 16, 8, image_size);
    set(f, 24, 8, 0);
    set(f, 0x38, 4, 0x05435352); /* "RSC\5" */
}

TEST(boot, a_linux_image_goes_where_its_header_says_and_takes_what_it_needs)
{
    uint8_t f[LINUX_BYTES], got[4];
    BootImage image;
    Err err;
    Space *s = ram();
    BootHow at = {.flat_base = RAM_AT, .linux_base = RAM_AT, .elf_machine = ELF_MACHINE_RISCV};
    make_linux(f, 0x2000, 0x3000);
    CHECK_INT(load_bytes(s, "Image", f, sizeof f, &at, &image, NULL), 0);
    CHECK(image.is_linux && !image.is_elf && image.entry == RAM_AT + 0x2000 && image.end == RAM_AT + 0x5000);
    CHECK_INT(space_read(s, RAM_AT + 0x2000 + 0x38, got, 4, NULL), 0);
    CHECK(!memcmp(got, "RSC\x05", 4));
    at.flat_base = RAM_AT + 0x4000; /* the place is taken up to here */
    CHECK_INT(load_bytes(s, "Image", f, sizeof f, &at, &image, NULL), 0);
    CHECK_INT(image.entry, RAM_AT + 0x4000);
    make_linux(f, 0, 1); /* smaller than the file: the file counts */
    CHECK_INT(load_bytes(s, "Image", f, sizeof f, &at, &image, NULL), 0);
    CHECK_INT(image.end, RAM_AT + 0x4000 + LINUX_BYTES);
    make_linux(f, 0, RAM_BYTES); /* its bss ends beyond RAM */
    CHECK_INT(load_bytes(s, "Image", f, sizeof f, &at, &image, &err), -ERR_FAULT);
    CHECK_HAS(err.text, "Image: loads 0x80004000 + 0x10000, but at 0x80010000 there is no RAM");
    CHECK_INT(load_bytes(s, "short", f, 0x3b, &at, &image, NULL), 0); /* no header in it: flat */
    CHECK(!image.is_linux);
    space_free(s);
}

TEST(boot, a_linux_image_that_cannot_run_is_refused_with_the_reason)
{
    static const struct {
        size_t at, nbytes;
        uint64_t value;
        int rc;
        const char *text;
    } rows[] = {
        {0x38, 4, 0x644d5241, -ERR_UNSUPPORTED, "Image: is a Linux image for arm64"},
        {24, 1, 1, -ERR_UNSUPPORTED, "Image: offset 0x18: is a big-endian Linux image"},
        {12, 1, 1, -ERR_INVAL, "offset 0x8: text_offset 0x100002000 and image_size 0x3000, expected below 4 GiB"},
        {16, 8, UINT64_MAX, -ERR_INVAL, "image_size 0xffffffffffffffff"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t f[LINUX_BYTES];
        BootImage image;
        Err err;
        Space *s = ram();
        make_linux(f, 0x2000, 0x3000);
        set(f, rows[i].at, rows[i].nbytes, rows[i].value);
        CHECK_INT(load_bytes(s, "Image", f, sizeof f, &how, &image, &err), rows[i].rc);
        CHECK_HAS(err.text, rows[i].text);
        space_free(s);
    }
}

/* ---- packed files: gzip of "hello hello hello hello\n" ---- */
static const uint8_t packed[] = {0x1f, 0x8b, 0x08, 0,    0,    0,    0,    0,    2,    0xff,
                                 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x27, 0xb9,
                                 0x00, 0x00, 0x88, 0x59, 0x0b, 0x18, 0,    0,    0};

TEST(boot, a_file_packed_with_gzip_is_unpacked_first)
{
    char got[24];
    BootImage image;
    Space *s = ram();
    CHECK_INT(load_bytes(s, "a.gz", packed, sizeof packed, &how, &image, NULL), 0);
    CHECK_INT(image.end - image.start, sizeof got);
    CHECK_INT(space_read(s, image.start, got, sizeof got, NULL), 0);
    CHECK(!memcmp(got, "hello hello hello hello\n", sizeof got));
    space_free(s);
}

TEST(boot, a_packed_file_may_not_be_larger_than_its_reader_takes)
{
    Buf out = {0};
    Err err;
    CHECK_INT(gzip_unpack("a.gz", packed, sizeof packed, 24, &out, NULL), 0);
    buf_clear(&out);
    CHECK_INT(gzip_unpack("a.gz", packed, sizeof packed, 23, &out, &err), -ERR_LIMIT);
    CHECK_HAS(err.text, "a.gz: is larger than 23 bytes when unpacked");
    CHECK_INT(out.n, 0);
    buf_free(&out);
}

TEST(boot, a_packed_file_that_is_cut_or_spoilt_or_of_another_kind_is_refused)
{
    uint8_t f[sizeof packed];
    BootImage image;
    Err err;
    Space *s = ram();
    for (size_t n = 3; n < sizeof packed; n++) {
        CHECK_INT(load_bytes(s, "cut.gz", packed, n, &how, &image, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "cut.gz: offset 0x");
    }
    memcpy(f, packed, sizeof f);
    f[22] ^= 1; /* its checksum */
    CHECK_INT(load_bytes(s, "bad.gz", f, sizeof f, &how, &image, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "is no sound gzip data");
    CHECK_INT(load_bytes(s, "a.xz",
                         "\xfd"
                         "7zXZ\0",
                         6, &how, &image, &err),
              -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "a.xz: is packed with xz, expected an image that is plain or packed with gzip");
    CHECK_INT(load_bytes(s, "vmlinuz", "MZ\0\0zimg", 8, &how, &image, &err), -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "is a compressed EFI kernel");
    space_free(s);
}
