/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/devices/disk.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = DISK_SECTOR_BYTES, NSECTORS = 41 /* the last page of an overlay is not whole */ };

/* A file of nbytes, byte i of it i / 512 + 1. */
static void image_make(char *path, size_t nbytes)
{
    static const char template[] = "/tmp/conf-disk-XXXXXX";
    memcpy(path, template, sizeof template);
    int fd = mkstemp(path);
    uint8_t *bytes = x_alloc(nbytes);
    for (size_t i = 0; i < nbytes; i++) {
        bytes[i] = (uint8_t)(i / SECTOR + 1);
    }
    CHECK_INT(write(fd, bytes, nbytes), nbytes);
    mem_free(bytes);
    close(fd);
}

static int job(Disk *d, DiskOp op, uint64_t sector, uint64_t n, void *bytes)
{
    DiskJob j = {.op = op, .nranges = 1, .range = {{sector * SECTOR, n * SECTOR}}, .bytes = bytes};
    disk_submit(d, &j);
    disk_wait(d, &j);
    return j.rc;
}

static uint8_t byte_at(Disk *d, uint64_t sector)
{
    uint8_t bytes[SECTOR] = {0};
    CHECK_INT(job(d, DISK_READ, sector, 1, bytes), 0);
    CHECK_INT(bytes[0], bytes[SECTOR - 1]);
    return bytes[0];
}

static uint8_t byte_of_file(const char *path, uint64_t sector)
{
    uint8_t byte = 0xee;
    int fd = open(path, O_RDONLY);
    CHECK_INT(pread(fd, &byte, 1, (off_t)(sector * SECTOR)), 1);
    close(fd);
    return byte;
}

TEST(disk, what_is_written_is_read_and_is_in_the_file)
{
    char path[32];
    Disk *d;
    uint8_t bytes[3 * SECTOR];
    image_make(path, NSECTORS * SECTOR);
    CHECK_INT(disk_open(path, 0, &d, NULL), 0);
    CHECK_INT(disk_size_bytes(d), NSECTORS * SECTOR);
    memset(bytes, 0xaa, sizeof bytes);
    CHECK_INT(job(d, DISK_WRITE, 7, 3, bytes), 0);
    CHECK_INT(job(d, DISK_ZERO, 20, 15, NULL), 0);
    CHECK_INT(job(d, DISK_FLUSH, 0, 0, NULL), 0);
    CHECK(byte_at(d, 6) == 7 && byte_at(d, 7) == 0xaa && byte_at(d, 9) == 0xaa && byte_at(d, 10) == 11);
    CHECK(byte_at(d, 19) == 20 && byte_at(d, 20) == 0 && byte_at(d, 34) == 0 && byte_at(d, 35) == 36);
    CHECK(byte_of_file(path, 8) == 0xaa && byte_of_file(path, 30) == 0);
    disk_free(d);
    disk_free(NULL);
    unlink(path);
}

TEST(disk, an_overlay_takes_what_is_written_and_leaves_the_file)
{
    char path[32];
    Disk *d;
    uint8_t bytes[20 * SECTOR];
    image_make(path, NSECTORS * SECTOR);
    chmod(path, 0400);
    CHECK_INT(disk_open(path, DISK_OVERLAY, &d, NULL), 0);
    memset(bytes, 0xaa, sizeof bytes);
    CHECK_INT(job(d, DISK_WRITE, 7, 3, bytes), 0);
    CHECK_INT(job(d, DISK_WRITE, 40, 1, bytes), 0);
    CHECK_INT(job(d, DISK_ZERO, 12, 22, NULL), 0);
    CHECK_INT(job(d, DISK_WRITE, 18, 1, bytes), 0); /* into a page of zeroes */
    CHECK_INT(job(d, DISK_FLUSH, 0, 0, NULL), 0);
    static const uint8_t want[][2] = {{6, 7},     {7, 0xaa}, {9, 0xaa}, {10, 11}, {11, 12}, {12, 0},   {17, 0},
                                      {18, 0xaa}, {19, 0},   {33, 0},   {34, 35}, {39, 40}, {40, 0xaa}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        CHECK_INT(byte_at(d, want[i][0]), want[i][1]);
        CHECK_INT(byte_of_file(path, want[i][0]), want[i][0] + 1);
    }
    CHECK_INT(job(d, DISK_READ, 5, 20, bytes), 0); /* over borders of pages */
    CHECK(bytes[0] == 6 && bytes[2 * SECTOR] == 0xaa && bytes[5 * SECTOR] == 11 && bytes[19 * SECTOR] == 0);
    disk_free(d);
    unlink(path);
}

TEST(disk, an_overlay_saved_and_read_is_the_same_and_damage_is_refused)
{
    char path[32];
    Disk *d, *twin;
    Buf saved = {0}, again = {0};
    Overlay *o = NULL;
    Err err;
    uint8_t bytes[SECTOR] = {1};
    image_make(path, NSECTORS * SECTOR);
    CHECK_INT(disk_open(path, DISK_OVERLAY, &d, NULL), 0);
    CHECK_INT(job(d, DISK_WRITE, 9, 1, bytes), 0);
    CHECK_INT(job(d, DISK_ZERO, 24, 16, NULL), 0);
    overlay_save(disk_overlay(d), &saved);
    CHECK_INT(saved.n, 8 + 8 + 4096 + 8 + 8);
    twin = disk_twin(d);
    disk_free(d);
    CHECK_INT(byte_at(twin, 24), 25);
    Cursor c = cursor_of(saved.data, saved.n);
    CHECK_INT(overlay_read(&c, disk_size_bytes(twin), &o, NULL), 0);
    disk_overlay_set(twin, o);
    CHECK_INT(byte_at(twin, 24), 0);
    overlay_save(disk_overlay(twin), &again);
    CHECK(saved.n == again.n && !memcmp(saved.data, again.data, saved.n));
    for (size_t n = 0; n < saved.n; n += n < 20 ? 1 : 500) {
        c = cursor_of(saved.data, n);
        CHECK_INT(overlay_read(&c, NSECTORS * SECTOR, &o, &err), -ERR_INVAL);
    }
    c = cursor_of(saved.data, saved.n);
    CHECK_INT(overlay_read(&c, 4096, &o, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "page 1 of a disk of 1 is cut or out of order");
    disk_free(twin);
    buf_free(&saved);
    buf_free(&again);
    unlink(path);
}

TEST(disk, jobs_are_done_in_order)
{
    enum { N = 200 };
    char path[32];
    Disk *d;
    static DiskJob jobs[N];
    static uint8_t bytes[N][SECTOR];
    image_make(path, NSECTORS * SECTOR);
    CHECK_INT(disk_open(path, DISK_OVERLAY, &d, NULL), 0);
    for (unsigned i = 0; i < N; i++) { /* writes and reads of one sector in turn */
        memset(bytes[i], i % 2 ? 0 : (int)i, SECTOR);
        jobs[i] = (DiskJob){
            .op = i % 2 ? DISK_READ : DISK_WRITE, .nranges = 1, .range = {{SECTOR, SECTOR}}, .bytes = bytes[i]};
        disk_submit(d, &jobs[i]);
    }
    for (unsigned i = N; i-- > 0;) {
        disk_wait(d, &jobs[i]);
        CHECK(!jobs[i].rc && bytes[i][17] == (i & ~1u));
    }
    disk_free(d);
    unlink(path);
}

TEST(disk, a_file_that_shrinks_under_it_is_an_error_of_the_job)
{
    char path[32];
    Disk *d;
    uint8_t bytes[SECTOR];
    image_make(path, NSECTORS * SECTOR);
    CHECK_INT(disk_open(path, DISK_READ_ONLY, &d, NULL), 0);
    CHECK_INT(truncate(path, SECTOR), 0);
    CHECK_INT(job(d, DISK_READ, 1, 1, bytes), -ERR_IO);
    CHECK_INT(job(d, DISK_READ, 0, 1, bytes), 0);
    disk_free(d);
    unlink(path);
}

TEST(disk, nor_has_an_overlay_what_lies_under_it_then)
{
    char path[32];
    Disk *d;
    uint8_t bytes[SECTOR] = {0};
    image_make(path, NSECTORS * SECTOR);
    CHECK_INT(disk_open(path, DISK_OVERLAY, &d, NULL), 0);
    CHECK_INT(truncate(path, SECTOR), 0);
    CHECK_INT(job(d, DISK_WRITE, 9, 1, bytes), -ERR_IO); /* a part of a page, the rest of which would be the file's */
    CHECK_INT(job(d, DISK_ZERO, 9, 1, NULL), -ERR_IO);
    CHECK_INT(job(d, DISK_READ, 9, 1, bytes), -ERR_IO);
    disk_free(d);
    unlink(path);
}

TEST(disk, a_host_that_takes_no_more_bytes_is_an_error_of_the_job)
{
    char path[32];
    Disk *d;
    uint8_t bytes[SECTOR] = {0};
    struct rlimit before, none;
    image_make(path, NSECTORS * SECTOR);
    CHECK_INT(disk_open(path, 0, &d, NULL), 0);
    CHECK(!getrlimit(RLIMIT_FSIZE, &before));
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    none = before;
    none.rlim_cur = SECTOR;
    CHECK(!setrlimit(RLIMIT_FSIZE, &none));
    CHECK_INT(job(d, DISK_WRITE, 3, 1, bytes), -ERR_IO);
    CHECK_INT(job(d, DISK_WRITE, 0, 1, bytes), 0);
    CHECK(!setrlimit(RLIMIT_FSIZE, &before));
    signal(SIGXFSZ, handler);
    CHECK_INT(job(d, DISK_WRITE, 3, 1, bytes), 0);
    disk_free(d);
    unlink(path);
}

TEST(disk, one_writes_or_any_number_reads)
{
    char path[32];
    Disk *a, *b, *c;
    Err err;
    image_make(path, SECTOR);
    CHECK_INT(disk_open(path, 0, &a, NULL), 0);
    CHECK_INT(disk_open(path, DISK_OVERLAY, &b, &err), -ERR_BUSY);
    CHECK_HAS(err.text, "somebody writes it");
    disk_free(a);
    CHECK_INT(disk_open(path, DISK_OVERLAY, &b, NULL), 0);
    CHECK_INT(disk_open(path, DISK_READ_ONLY, &c, NULL), 0);
    CHECK_INT(disk_open(path, 0, &a, &err), -ERR_BUSY);
    CHECK_HAS(err.text, "somebody uses it; options ro and overlay share it");
    disk_free(b);
    disk_free(c);
    unlink(path);
}

TEST(disk, what_is_no_image_is_refused_with_the_reason)
{
    char path[32];
    Disk *d;
    Err err;
    CHECK_INT(disk_open("/nowhere/disk", 0, &d, &err), -ERR_NOENT);
    CHECK_HAS(err.text, "drive /nowhere/disk: it cannot be opened");
    CHECK_INT(disk_open("/tmp", 0, &d, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "expected a file or a block device");
    CHECK_INT(disk_open("/tmp", DISK_READ_ONLY, &d, &err), -ERR_INVAL);
    CHECK_INT(disk_open("/dev/null", 0, &d, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "expected a file or a block device");
    image_make(path, SECTOR + 1);
    CHECK_INT(disk_open(path, 0, &d, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "513 bytes, expected a multiple of 512");
    CHECK_INT(truncate(path, 0), 0);
    CHECK_INT(disk_open(path, 0, &d, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "0 bytes");
    CHECK_INT(truncate(path, 1ll << 40), 0); /* an overlay of so large a one costs nothing */
    if (CHECK(!disk_open(path, DISK_OVERLAY, &d, &err))) {
        CHECK_INT(byte_at(d, 1234567), 0);
        disk_free(d);
    }
    unlink(path);
    CHECK_INT(mkfifo(path, 0600), 0);
    CHECK_INT(disk_open(path, DISK_READ_ONLY, &d, &err), -ERR_INVAL);
    unlink(path);
}
