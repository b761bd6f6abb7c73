/* SPDX-License-Identifier: Apache-2.0
 * `conf sim --drive`: guests that drive a virtio block device by hand (VIRTIO 1.2, 2.7, 4.2 and 5.2). The rings lie in the
 * image as a driver would have made them, so that a guest only writes registers. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/cmd/rig_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PASS = 0x5555, RESET = 0x7777, SLOT0 = 0x10001, UART_UPPER = 0x10000, TEXT_BYTES = 6 };
enum { DESC = 0x1000, AVAIL = 0x2000, HEADER = 0x2800, USED = 0x3000, DATA = 0x3800, STATUS = 0x3ff0 };
enum { IN = 0, OUT = 1, NEXT = 1, WRITE = 2 };

static void poke(Buf *code, int offset, uint32_t value)
{
    CODE(code, lui(T1, (value + 0x800) >> 12), addi(T1, T1, (int)(value << 20) >> 20), store(2, T1, T0, offset));
}

/* Negotiates VERSION_1 alone, sets queue 0 up, notifies, and waits until the request has come back. */
static void code_request(Buf *code)
{
    static const struct {
        int offset;
        uint32_t value;
    } pokes[] = {{0x70, 0},
                 {0x70, 3},
                 {0x24, 1},
                 {0x20, 1},
                 {0x70, 11},
                 {0x38, 4},
                 {0x80, 0x80000000 + DESC},
                 {0x90, 0x80000000 + AVAIL},
                 {0xa0, 0x80000000 + USED},
                 {0x44, 1},
                 {0x70, 15},
                 {0x50, 0}};
    CODE(code, lui(T0, SLOT0));
    for (size_t i = 0; i < ARRAY_LEN(pokes); i++) {
        poke(code, pokes[i].offset, pokes[i].value);
    }
    CODE(code, addi(S0, X0, 1), slli(S0, S0, 31), lui(T1, USED >> 12), or_(S0, S0, T1));
    CODE(code, load(5, T1, S0, 2), branch(0, T1, X0, -4)); /* the used ring's index */
}

/* The request in the image, with this text in the data. */
static void code_rings(Buf *code, uint32_t type, uint64_t sector, const char *text)
{
    const struct {
        uint64_t gpa;
        uint32_t n;
        uint16_t flags, next;
    } desc[] = {{0x80000000 + HEADER, 16, NEXT, 1},
                {0x80000000 + DATA, 512, NEXT | (type == IN ? WRITE : 0), 2},
                {0x80000000 + STATUS, 1, WRITE, 0}};
    const struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header = {type, 0, sector};
    code_bytes(code, DESC, desc, sizeof desc);
    code_bytes(code, AVAIL, (const uint16_t[]){0, 1, 0}, 6);
    code_bytes(code, HEADER, &header, sizeof header);
    code_bytes(code, DATA, text, strlen(text));
    code_bytes(code, STATUS, "\xee", 1);
}

/* Prints the status as a digit, then the data. */
static void code_show(Buf *code)
{
    CODE(code, lui(T0, UART_UPPER), addi(T2, S0, 0x7ff), load(4, T1, T2, STATUS - USED - 0x7ff), addi(T1, T1, '0'),
         store(0, T1, T0, 0));
    for (int i = 0; i < TEXT_BYTES; i++) {
        CODE(code, addi(T2, S0, 0x7ff), load(4, T1, T2, DATA - USED - 0x7ff + i), store(0, T1, T0, 0));
    }
}

/* A drive of 4 sectors; sector 1 begins with "second". */
static void drive_make(char *path)
{
    char bytes[4 * 512] = {0};
    static const char template[] = "/tmp/conf-drive-XXXXXX";
    memcpy(path, template, sizeof template);
    int fd = mkstemp(path);
    snprintf(bytes + 512, 512, "second");
    CHECK_INT(write(fd, bytes, sizeof bytes), sizeof bytes);
    close(fd);
}

static void drive_read(const char *path, size_t at, char *bytes)
{
    int fd = open(path, O_RDONLY);
    CHECK_INT(pread(fd, bytes, TEXT_BYTES, (off_t)at), TEXT_BYTES);
    bytes[TEXT_BYTES] = 0;
    close(fd);
}

static void check(Buf *code, const char *path, const char *options, int status, const char *out, const char *err)
{
    char args[256];
    Buf said = {0}, why = {0};
    Image image = image_flat(code);
    snprintf(args, sizeof args, "sim -m 16M --insns 100000000 --drive %s%s --kernel IMAGE", path, options);
    CHECK_INT(job_run(args, &image, "", &said, &why), status);
    CHECK_STR(buf_text(&said), out);
    if (err[0]) {
        CHECK_HAS(buf_text(&why), err);
    } else {
        CHECK_STR(buf_text(&why), "");
    }
    buf_free(&said);
    buf_free(&why);
    image_free(&image);
}

static void code_of(Buf *code, uint32_t type, const char *text)
{
    code_request(code);
    code_show(code);
    code_finish(code, PASS);
    code_rings(code, type, 1, text);
}

TEST(cmd_sim_drive, a_guest_reads_a_sector)
{
    char path[64];
    Buf code = {0};
    drive_make(path);
    code_of(&code, IN, "......");
    check(&code, path, "", 0, "0second", "");
    check(&code, path, ",ro", 0, "0second", "");
    buf_free(&code);
    unlink(path);
}

TEST(cmd_sim_drive, what_it_writes_is_in_the_file_or_with_overlay_or_ro_not)
{
    static const struct {
        const char *options, *out, *file;
    } rows[] = {{",ro", "1change", "second"},
                {",overlay", "0change", "second"},
                {",ro,overlay", "1change", "second"},
                {",overlay,ro", "1change", "second"},
                {"", "0change", "change"}};
    char path[64], now[TEXT_BYTES + 1];
    Buf code = {0};
    drive_make(path);
    code_of(&code, OUT, "change");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check(&code, path, rows[i].options, 0, rows[i].out, "");
        drive_read(path, 512, now);
        CHECK_STR(now, rows[i].file);
    }
    buf_free(&code);
    unlink(path);
}

/* A function of the guest at DATA prints a digit. The device reads a sector over it, in which it prints another. */
TEST(cmd_sim_drive, code_that_a_device_overwrites_is_run_as_it_is_then)
{
    enum { RA = 1, A0 = 10, JALR_T2_1 = 1 << 20 | T2 << 15 | RA << 7 | 0x67, RET = RA << 15 | 0x67, FENCE_I = 0x100f };
    const uint32_t before[] = {addi(A0, X0, '1'), RET}, after[] = {addi(A0, X0, '2'), RET};
    char path[64];
    Buf code = {0};
    drive_make(path);
    int fd = open(path, O_WRONLY);
    CHECK_INT(pwrite(fd, after, sizeof after, 512), sizeof after);
    close(fd);
    CODE(&code, addi(S0, X0, 1), slli(S0, S0, 31), lui(T1, USED >> 12), or_(S0, S0, T1), addi(T2, S0, 0x7ff));
    CODE(&code, JALR_T2_1, lui(T0, UART_UPPER), store(0, A0, T0, 0), JALR_T2_1, store(0, A0, T0, 0));
    code_request(&code);
    CODE(&code, FENCE_I, addi(T2, S0, 0x7ff), JALR_T2_1, lui(T0, UART_UPPER), store(0, A0, T0, 0));
    code_finish(&code, PASS);
    code_rings(&code, IN, 1, "");
    code_bytes(&code, DATA, before, sizeof before);
    check(&code, path, "", 0, "112", "");
    buf_free(&code);
    unlink(path);
}

/* Reads, writes if what was read is not "change" yet, and resets; the second time it reads it. The request's type is in the image,
 * which is loaded anew. */
TEST(cmd_sim_drive, an_overlay_outlives_a_reset_of_the_machine)
{
    char path[64];
    Buf code = {0};
    drive_make(path);
    code_request(&code);
    CODE(&code, addi(T2, S0, 0x7ff), load(4, T1, T2, DATA - USED - 0x7ff), addi(T2, X0, 'c'), branch(0, T1, T2, 8),
         jump(0));
    size_t patch = code.n - 4, to_write;
    code_show(&code);
    code_finish(&code, PASS);
    to_write = code.n;
    /* header.type = OUT; data[0] = 'c'; desc[1].flags = NEXT; avail index 2; notify; used index 2 */
    CODE(&code, addi(T0, X0, 1), slli(T0, T0, 31), lui(T2, DESC >> 12), or_(T0, T0, T2));
    CODE(&code, addi(T1, X0, NEXT), store(1, T1, T0, 16 + 12));
    CODE(&code, addi(T0, X0, 1), slli(T0, T0, 31), lui(T2, AVAIL >> 12), or_(T0, T0, T2));
    CODE(&code, addi(T1, X0, 2), store(1, T1, T0, 2), addi(T2, T0, 0x7ff), addi(T1, X0, OUT), store(2, T1, T2, 1));
    CODE(&code, addi(T2, S0, 0x7ff), addi(T1, X0, 'c'), store(0, T1, T2, DATA - USED - 0x7ff));
    CODE(&code, lui(T0, SLOT0), store(2, X0, T0, 0x50), addi(T2, X0, 2), load(5, T1, S0, 2), branch(1, T1, T2, -4));
    code_finish(&code, RESET);
    uint32_t over = jump((int)(to_write - patch));
    memcpy(code.data + patch, &over, 4);
    code_rings(&code, IN, 1, "......");
    check(&code, path, ",overlay", 0, "0cecond", "");
    buf_free(&code);
    unlink(path);
}

TEST(cmd_sim_drive, what_is_no_drive_is_said_before_anything_runs)
{
    char path[64];
    Buf code = {0};
    drive_make(path);
    code_finish(&code, PASS);
    check(&code, "/nowhere", "", 3, "", "conf sim: drive /nowhere: it cannot be opened");
    check(&code, "/tmp", "", 3, "", "expected a file or a block device");
    CHECK_INT(truncate(path, 1000), 0);
    check(&code, path, ",ro", 3, "", "1000 bytes, expected a multiple of 512");
    check(&code, path, ",rw", 3, "", "it cannot be opened");
    CHECK_INT(truncate(path, 1024), 0);
    check(&code, path, " --net users", 3, "", "net 'users': expected user, tap,ifname=NAME or loopback");
    check(&code, path, " --console tty", 2, "", "--console: unknown `tty`");
    unlink(path);
    check(&code, "a --drive b --drive c --drive d --drive e --drive f --drive g --drive h", "", 2, "",
          "--drive h: there is room for 7");
    buf_free(&code);
}

/* The page at 0x5000 goes into a balloon. */
TEST(cmd_sim_balloon, what_was_in_a_page_that_the_guest_gives_is_gone)
{
    enum { PAGE_AT = 0x5000 };
    Buf code = {0}, said = {0}, why = {0};
    CODE(&code, lui(T1, 0x80005), slli(T1, T1, 32), 0x02035313 /* srli t1, t1, 32 */, load(4, S0 + 1, T1, 1));
    code_request(&code);
    CODE(&code, lui(T1, 0x80005), slli(T1, T1, 32), 0x02035313, load(4, T2, T1, 1), lui(T0, UART_UPPER));
    CODE(&code, store(0, S0 + 1, T0, 0), addi(T2, T2, '0'), store(0, T2, T0, 0));
    code_finish(&code, PASS);
    const struct {
        uint64_t gpa;
        uint32_t n;
        uint16_t flags, next;
    } desc = {0x80000000 + HEADER, 4, 0, 0};
    const uint32_t number = 0x80000000u / 4096 + PAGE_AT / 4096;
    code_bytes(&code, DESC, &desc, sizeof desc);
    code_bytes(&code, AVAIL, (const uint16_t[]){0, 1, 0}, 6);
    code_bytes(&code, HEADER, &number, sizeof number);
    code_bytes(&code, PAGE_AT, "full", 4);
    Image image = image_flat(&code);
    CHECK_INT(job_run("sim -m 16M --insns 100000000 --balloon 4K --kernel IMAGE", &image, "", &said, &why), 0);
    CHECK_STR(buf_text(&said), "u0");
    CHECK_STR(buf_text(&why), "");
    image_free(&image);
    buf_free(&code);
    buf_free(&said);
    buf_free(&why);
}
