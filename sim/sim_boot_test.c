/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sim.h"

#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RAM = 0x80000000, RAM_BYTES = 16 << 20, TREE_AT = RAM + (14 << 20), MIB2 = 2 << 20, PAGE = 4096 };
enum { INFO_MAGIC = 0x4942534f, MODE_S = 1 };

typedef struct {
    char path[64];
} File;

static File file(const char *name, const void *bytes, size_t n)
{
    File f;
    snprintf(f.path, sizeof f.path, "/tmp/conf-boot-%ld-%s", (long)getpid(), name);
    CHECK_INT(os_write_file(f.path, bytes, n, NULL), 0);
    return f;
}

static Sim *machine(bool is_virt, uint64_t ram_bytes, unsigned nvcpus)
{
    Sim *s = NULL;
    CHECK(!sim_new(&(SimConfig){.guest = "riscv64", .is_virt = is_virt}, &s, NULL));
    CHECK(!sim_board(s, &(SimBoardConfig){.ram_bytes = ram_bytes, .nvcpus = nvcpus, .has_firmware = true}, NULL));
    return s;
}

static uint64_t reg(Sim *s, uint8_t vcpu, const char *name)
{
    uint64_t value = 0;
    CHECK(!sim_reg_get(sim_vcpu_at(s, vcpu), reg_find(GUEST_riscv64, name)->id, &value, NULL));
    return value;
}

static bool has_bytes(Sim *s, uint64_t gpa, const void *bytes, size_t n)
{
    uint8_t got[64];
    CHECK(n <= sizeof got);
    CHECK_INT(sim_mem_read(s, gpa, got, n, NULL), 0);
    return !memcmp(got, bytes, n);
}

/* A Linux image of 64 bytes that takes a page from 2 MiB on. */
static File linux_file(void)
{
    Buf b = {0};
    buf_le(&b, 0x6f, 8);
    buf_le(&b, MIB2, 8);
    buf_le(&b, PAGE, 8);
    while (b.n < 64) {
        buf_le(&b, b.n == 56 ? 0x05435352 : 0, 8);
    }
    File f = file("Image", b.data, b.n);
    buf_free(&b);
    return f;
}

/* The value of a property in a device tree: enough of it for these tests, whose names occur once. */
static uint64_t tree_u64(Sim *s, const char *name)
{
    size_t n;
    const uint8_t *t = sim_board_fdt(s, &n);
    uint32_t head[10];
    for (size_t i = 0; i < ARRAY_LEN(head); i++) {
        head[i] = (uint32_t)t[4 * i] << 24 | (uint32_t)t[4 * i + 1] << 16 | (uint32_t)t[4 * i + 2] << 8 | t[4 * i + 3];
    }
    const uint8_t *strings = t + head[3], *at = memmem(strings, head[8], name, strlen(name) + 1);
    CHECK(at != NULL);
    const uint8_t key[] = {0, 0, 0, 3, 0, 0, 0, 8, 0, 0, (uint8_t)((at - strings) >> 8), (uint8_t)(at - strings)};
    const uint8_t *prop = memmem(t + head[2], head[9], key, sizeof key);
    uint64_t value = 0;
    for (size_t i = 0; prop && i < 8; i++) {
        value = value << 8 | prop[sizeof key + i];
    }
    return value;
}

TEST(sim_boot, firmware_begins_on_every_hart_with_the_tree_and_what_to_start)
{
    File bios = file("bios", "firmware", 8), kernel = file("kernel", "payload", 7);
    Sim *s = machine(false, RAM_BYTES, 2);
    CHECK_INT(sim_board_load(s, &(SimBoot){.bios = {.name = bios.path}, .kernel = {.name = kernel.path}}, NULL), 0);
    CHECK(has_bytes(s, RAM, "firmware", 8) && has_bytes(s, RAM + MIB2, "payload", 7));
    for (uint8_t i = 0; i < 2; i++) {
        CHECK_INT(reg(s, i, "pc"), RAM);
        CHECK_INT(reg(s, i, "a0"), i);
        CHECK_INT(reg(s, i, "a1"), TREE_AT);
    }
    uint64_t info[6];
    CHECK_INT(sim_mem_read(s, reg(s, 1, "a2"), info, sizeof info, NULL), 0);
    CHECK(info[0] == INFO_MAGIC && info[1] == 2 && info[2] == RAM + MIB2 && info[3] == MODE_S && !info[4] && !info[5]);
    CHECK(has_bytes(s, TREE_AT, "\xd0\x0d\xfe\xed", 4));
    sim_free(s);
    unlink(bios.path);
    unlink(kernel.path);
}

TEST(sim_boot, firmware_may_be_alone)
{
    File bios = file("bios", "firmware", 8);
    Sim *s = machine(false, RAM_BYTES, 1);
    uint64_t next = 1;
    CHECK_INT(sim_board_load(s, &(SimBoot){.bios = {.name = bios.path}}, NULL), 0);
    CHECK_INT(sim_mem_read(s, reg(s, 0, "a2") + 16, &next, sizeof next, NULL), 0);
    CHECK_INT(next, 0);
    sim_free(s);
    unlink(bios.path);
}

TEST(sim_boot, a_linux_image_and_its_disk_lie_apart_from_all_else)
{
    static uint8_t disk_bytes[3 * PAGE + 5] = "disk";
    File kernel = linux_file(), disk = file("disk", disk_bytes, sizeof disk_bytes);
    Sim *s = machine(true, RAM_BYTES, 2);
    CHECK_INT(
        sim_board_load(s, &(SimBoot){.kernel = {.name = kernel.path}, .initrd = {.name = disk.path}, .append = "quiet"},
                       NULL),
        0);
    CHECK_INT(reg(s, 0, "pc"), RAM + MIB2);
    CHECK_INT(reg(s, 0, "a1"), TREE_AT);
    CHECK_INT(reg(s, 0, "a2"), 0);
    uint64_t start = tree_u64(s, "linux,initrd-start");
    CHECK_INT(tree_u64(s, "linux,initrd-end") - start, sizeof disk_bytes);
    CHECK(start % PAGE == 0 && start > RAM + MIB2 + PAGE && start + sizeof disk_bytes <= TREE_AT - PAGE);
    CHECK(has_bytes(s, start, "disk", 5));
    sim_free(s);
    unlink(kernel.path);
    unlink(disk.path);
}

TEST(sim_boot, a_machine_may_be_described_without_an_image)
{
    size_t n = 0;
    Sim *s = machine(false, RAM_BYTES, 1);
    CHECK_INT(sim_board_load(s, &(SimBoot){0}, NULL), 0);
    CHECK(sim_board_fdt(s, &n) && n > 500);
    CHECK_INT(reg(s, 0, "pc"), RAM);
    sim_free(s);
}

typedef struct {
    SimBoot boot;
    uint64_t ram_bytes;
    const char *text;
    int rc;
    bool is_virt;
} Refused;

static void check_refused(const Refused *r)
{
    Err err = {0};
    Sim *s = machine(r->is_virt, r->ram_bytes, 1);
    CHECK_INT(sim_board_load(s, &r->boot, &err), r->rc);
    CHECK_HAS(err.text, r->text);
    sim_free(s);
}

TEST(sim_boot, what_cannot_be_placed_is_refused_with_the_reason)
{
    static uint8_t zeros[3 << 20];
    File small = file("small", "tiny", 4), big = file("big", zeros, sizeof zeros), kernel = linux_file();
    const char *none = "/tmp/conf-boot-nothing";
    const Refused rows[] = {
        {{.bios = {.name = small.path}},
         RAM_BYTES,
         "firmware runs in M mode, which this machine does not",
         -ERR_UNSUPPORTED,
         true},
        {{.bios = {.name = none}}, RAM_BYTES, none, -ERR_NOENT, false},
        {{.bios = {.name = small.path}, .kernel = {.name = none}}, RAM_BYTES, none, -ERR_NOENT, false},
        {{.kernel = {.name = small.path}, .initrd = {.name = none}}, RAM_BYTES, none, -ERR_NOENT, false},
        {{.kernel = {.name = small.path}, .initrd = {.name = big.path}},
         4 << 20,
         "-big (3145728 bytes) does not fit: the images end at 0x80000004, RAM at 0x80400000",
         -ERR_LIMIT,
         false},
        {{.kernel = {.name = big.path}}, 4 << 20, "the device tree (", -ERR_LIMIT, false},
        {{.kernel = {.name = small.path}},
         PAGE,
         "does not fit: the images end at 0x80000004, RAM at 0x80001000",
         -ERR_LIMIT,
         false},
        {{.bios = {.name = small.path}, .kernel = {.name = kernel.path}},
         MIB2,
         "at 0x80200000 there is no RAM",
         -ERR_FAULT,
         false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_refused(&rows[i]);
    }
    unlink(small.path);
    unlink(big.path);
    unlink(kernel.path);
}

/* An ELF kernel says itself where it goes. */
TEST(sim_boot, a_kernel_over_the_firmware_is_refused)
{
    Buf b = {0};
    buf_bytes(&b, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0", 16);
    buf_le(&b, 2 | 243 << 16 | 1ull << 32, 8);
    buf_le(&b, RAM, 8);
    buf_le(&b, 64, 8);
    buf_le(&b, 0, 8);
    buf_le(&b, 64ull << 32 | 56ull << 48, 8);
    buf_le(&b, 1, 8);
    const uint64_t segment[] = {1 | 7ull << 32, 0, RAM, RAM, 8, 8, 0};
    for (size_t i = 0; i < ARRAY_LEN(segment); i++) {
        buf_le(&b, segment[i], 8);
    }
    File bios = file("bios", "firmware", 8), kernel = file("elf", b.data, b.n);
    check_refused(&(Refused){{.bios = {.name = bios.path}, .kernel = {.name = kernel.path}},
                             RAM_BYTES,
                             "loads 0x80000000 to 0x80000008, where the firmware is (0x80000000 to 0x80000008)",
                             -ERR_INVAL,
                             false});
    buf_free(&b);
    unlink(bios.path);
    unlink(kernel.path);
}
