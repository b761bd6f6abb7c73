/* SPDX-License-Identifier: Apache-2.0
 * What is written is read back by an independent reader, dtc, where it is installed, and by the bytes of chapter 5. */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/machine/fdt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void sample(Buf *out)
{
    Fdt *f = fdt_new();
    fdt_reserve(f, 0x80000000, 0x1000);
    fdt_begin(f, "");
    fdt_u32(f, "#address-cells", 2);
    fdt_u32(f, "#size-cells", 2);
    fdt_strs(f, "compatible", (const char *const[]){"a,b", "c"}, 2);
    fdt_begin(f, "chosen");
    fdt_str(f, "bootargs", "console=ttyS0 \"x\"");
    fdt_u64(f, "rng", 0x1122334455667788);
    fdt_end(f);
    fdt_begin_at(f, "serial", 0x10000000);
    fdt_reg(f, 0x10000000, 0x100);
    fdt_cells(f, "interrupts", (uint32_t[]){10, 4, 0xffffffff}, 3);
    fdt_empty(f, "dma-coherent");
    fdt_bytes(f, "mac", "\1\2\3", 3);
    fdt_u32(f, "#size-cells", 7);
    fdt_end(f);
    fdt_end(f);
    fdt_finish(f, 3, out);
    fdt_free(f);
    fdt_free(NULL);
}

static uint32_t be32(const Buf *b, size_t at)
{
    const uint8_t *p = (const uint8_t *)b->data + at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

TEST(fdt, the_header_says_where_the_aligned_blocks_are)
{
    Buf b = {0};
    sample(&b);
    CHECK_INT(be32(&b, 0), 0xd00dfeed);
    CHECK_INT(be32(&b, 4), b.n);
    CHECK_INT(be32(&b, 20), 17);
    CHECK_INT(be32(&b, 24), 16);
    CHECK_INT(be32(&b, 28), 3);
    uint32_t structure = be32(&b, 8), strings = be32(&b, 12), reserved = be32(&b, 16);
    CHECK(structure % 4 == 0 && reserved % 8 == 0);
    CHECK_INT(strings + be32(&b, 32), b.n);
    CHECK_INT(structure + be32(&b, 36), strings);
    CHECK_INT(be32(&b, reserved + 4), 0x80000000);
    CHECK_INT(be32(&b, reserved + 12), 0x1000);
    CHECK(!be32(&b, reserved + 16) && !be32(&b, reserved + 28)); /* the entry that ends the list */
    CHECK_INT(be32(&b, structure), 1);
    CHECK_INT(be32(&b, strings - 4), 9);
    buf_free(&b);
}

TEST(fdt, a_property_name_that_is_used_twice_is_stored_once)
{
    Buf b = {0};
    sample(&b);
    unsigned count = 0;
    uint32_t strings = be32(&b, 12);
    for (size_t at = strings; at < b.n; at += strlen(b.data + at) + 1) {
        count += !strcmp(b.data + at, "#size-cells");
    }
    CHECK_INT(count, 1);
    buf_free(&b);
}

/* The first two letters that differ are not in the hash of names. */
TEST(fdt, names_of_one_hash_are_each_stored_once)
{
    static const char *const names[] = {"abcde", "axyde", "abcde", "axyde", "abcde"};
    static const char stored[] = "abcde\0axyde";
    Buf b = {0};
    Fdt *f = fdt_new();
    fdt_begin(f, "");
    for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
        fdt_u32(f, names[i], i);
    }
    fdt_end(f);
    fdt_finish(f, 0, &b);
    fdt_free(f);
    size_t first = be32(&b, 8) + 8; /* behind the root's token and name */
    CHECK_INT(be32(&b, 32), sizeof stored);
    CHECK(!memcmp(b.data + be32(&b, 12), stored, sizeof stored));
    for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
        CHECK_INT(be32(&b, first + 16 * i + 8), i % 2 * 6);
        CHECK_INT(be32(&b, first + 16 * i + 12), i);
    }
    buf_free(&b);
}

TEST(fdt, dtc_reads_back_what_was_written)
{
    Buf blob = {0}, text = {0};
    Err err;
    char path[64], command[160], line[256];
    sample(&blob);
    snprintf(path, sizeof path, "/tmp/conf-fdt-%ld.dtb", (long)getpid());
    CHECK_INT(os_write_file(path, blob.data, blob.n, &err), 0);
    snprintf(command, sizeof command, "dtc -q -I dtb -O dts %s 2>/dev/null", path);
    FILE *p = popen(command, "r");
    while (p && fgets(line, sizeof line, p)) {
        buf_str(&text, line);
    }
    int status = p ? pclose(p) : -1;
    unlink(path);
    if (status && !text.n) {
        test_skip("dtc is not installed");
    } else {
        CHECK_INT(status, 0);
        CHECK_STR(buf_text(&text),
                  "/dts-v1/;\n\n/memreserve/\t0x0000000080000000 0x0000000000001000;\n/ {\n"
                  "\t#address-cells = <0x02>;\n\t#size-cells = <0x02>;\n\tcompatible = \"a,b\\0c\";\n\n"
                  "\tchosen {\n\t\tbootargs = \"console=ttyS0 \\\"x\\\"\";\n"
                  "\t\trng = <0x11223344 0x55667788>;\n\t};\n\n"
                  "\tserial@10000000 {\n\t\treg = <0x00 0x10000000 0x00 0x100>;\n"
                  "\t\tinterrupts = <0x0a 0x04 0xffffffff>;\n\t\tdma-coherent;\n"
                  "\t\tmac = [01 02 03];\n\t\t#size-cells = <0x07>;\n\t};\n};\n");
    }
    buf_free(&blob);
    buf_free(&text);
}
