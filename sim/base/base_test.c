/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/buf.h"
#include "sim/base/err.h"
#include "sim/base/hash.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(err, set_writes_code_and_sentence)
{
    Err e;
    CHECK_INT(err_set(&e, ERR_ALIGN, "0x%x is not a multiple of %d", 3, 4), -ERR_ALIGN);
    CHECK_INT(e.code, ERR_ALIGN);
    CHECK_STR(e.text, "0x3 is not a multiple of 4");
    CHECK_STR(err_name(-ERR_ALIGN), "ALIGN");
    CHECK_STR(err_name(99), "?");
    CHECK_STR(err_sentence(-ERR_ALIGN), "misaligned");
    CHECK_STR(err_sentence(99), "unknown error");
}

TEST(err, native_keeps_the_number_and_names_it)
{
    Err e;
    CHECK_INT(err_native(&e, ERR_DENIED, EACCES, "open"), -ERR_DENIED);
    CHECK_INT(e.native, EACCES);
    CHECK_STR(e.text, "open: Permission denied");
}

TEST(err, prefix_cuts_instead_of_overflowing)
{
    Err e;
    char text[400];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    CHECK_INT(err_set(&e, ERR_IO, "%s", text), -ERR_IO);
    err_prefix(&e, "place");
    CHECK_INT(strlen(e.text), sizeof e.text - 1);
    CHECK(!strncmp(e.text, "place: xxx", 10));
}

TEST(buf, cursor_reads_back_what_was_written)
{
    Buf b = {0};
    buf_le(&b, 0x1122334455667788u, 8);
    buf_le(&b, 0xfffe, 2);
    Cursor c = cursor_of(b.data, b.n);
    CHECK_INT(cursor_le(&c, 8), 0x1122334455667788u);
    CHECK_INT(cursor_le(&c, 2), 0xfffe);
    CHECK(cursor_ok(&c));
    CHECK_INT(cursor_le(&c, 1), 0);
    CHECK(!cursor_ok(&c));
    buf_free(&b);
}

TEST(buf, text_grows_and_stays_terminated)
{
    Buf b = {0};
    CHECK_STR(buf_text(&b), "");
    for (int i = 0; i < 100; i++) {
        buf_printf(&b, "%d,", i);
    }
    CHECK_INT(b.n, strlen(b.data));
    CHECK_INT(b.n, 290);
    buf_free(&b);
}

TEST(buf, printf_fits_at_the_end_of_the_room_and_beyond)
{
    for (int n = 0; n < 200; n++) {
        Buf b = {0};
        buf_printf(&b, "%s", "");
        buf_str(&b, "ab");
        buf_printf(&b, "%*s", n, "");
        buf_printf(&b, "%s", "");
        buf_printf(&b, "%d", 7);
        CHECK_INT(b.n, n + 3);
        CHECK_INT(strlen(b.data), n + 3);
        CHECK(b.data[1] == 'b' && b.data[n + 2] == '7');
        buf_free(&b);
    }
}

TEST(os, pages_that_are_left_stay)
{
    enum { SIZE = 3 * 4096 };
    char *p = os_pages_new(SIZE);
    p[SIZE - 1] = 7;
    os_pages_leave(true);
    os_pages_free(p, SIZE);
    os_pages_leave(false);
    CHECK_INT(p[SIZE - 1], 7);
    os_unmap(p, SIZE);
    /* the place is free */
    CHECK(mmap(p, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p);
    os_unmap(p, SIZE);
}

TEST(buf, a_hex_digit_is_one_of_22_characters)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    unsigned n = 0;
    for (int c = 0; c < 256; c++) {
        n += hex_digit((char)c) < 16;
    }
    CHECK_INT(n, 22);
    for (unsigned i = 0; digits[i]; i++) {
        CHECK_INT(hex_digit(digits[i]), i % 16);
    }
}

TEST(mem, try_refuses_an_overflowing_product)
{
    CHECK(mem_try(SIZE_MAX / 2, 8) == NULL);
}

TEST(mem, arena_objects_are_zeroed_and_apart)
{
    Arena *a = arena_new();
    for (size_t n = 1; n < 100000; n *= 3) {
        char *p = arena_alloc(a, n), *q = arena_alloc(a, 1);
        CHECK(p[0] == 0 && p[n - 1] == 0 && *q == 0);
        memset(p, 0xff, n);
        CHECK(*q == 0);
    }
    CHECK_STR(arena_printf(a, "%s-%d", "v", 3), "v-3");
    arena_free(a);
}

TEST(json, writes_nested_values_and_escapes)
{
    Buf b = {0};
    Json j = json_to(&b, 0);
    json_open(&j, '{');
    json_kstr(&j, "a\"b", "x\n\x01\xff");
    json_key(&j, "l");
    json_open(&j, '[');
    json_u64(&j, 1);
    json_hex(&j, 255);
    json_bool(&j, false);
    json_str(&j, NULL);
    json_close(&j, ']');
    json_close(&j, '}');
    CHECK_STR(buf_text(&b), "{\"a\\\"b\": \"x\\n\\u0001\xef\xbf\xbd\", \"l\": [1, \"0xff\", false, null]}");
    buf_free(&b);
}

TEST(os, read_file_says_what_is_missing_and_bounds_what_is_endless)
{
    Buf b = {0};
    Err e;
    CHECK_INT(os_read_file("/nonexistent/x", 10, &b, &e), -ERR_NOENT);
    CHECK_HAS(e.text, "/nonexistent/x");
    CHECK_INT(os_read_file("/dev/zero", 100000, &b, &e), -ERR_LIMIT);
    buf_free(&b);
}

TEST(hash, agrees_with_published_vectors) /* FIPS 180-4 examples; CRC-32 check value of "123456789" */
{
    Sha256 s;
    uint8_t d[32];
    char hex[65];
    sha256_init(&s);
    sha256_add(&s, "abc", 3);
    sha256_end(&s, d);
    sha256_hex(d, hex);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_init(&s);
    sha256_add(&s, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
    sha256_end(&s, d);
    sha256_hex(d, hex);
    CHECK_STR(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK_INT(crc32_ieee(0, "123456789", 9), 0xcbf43926);
}

TEST(
    hash,
    siphash_agrees_with_its_reference) /* vectors_sip128 of the authors' implementation: key and text are 0, 1, 2 and so on */
{
    static const struct {
        size_t n;
        uint64_t want[2];
    } CASES[] = {{0, {0xe6a825ba047f81a3, 0x930255c71472f66d}}, {1, {0x44af996bd8c187da, 0x45fc229b11597634}}};
    uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908}, got[2], other[2];
    uint8_t text[64];
    for (unsigned i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        siphash128(key, text, CASES[i].n, got);
        CHECK(got[0] == CASES[i].want[0] && got[1] == CASES[i].want[1]);
    }
    for (size_t n = 1; n < sizeof text; n++) { /* each byte counts, and so does the length */
        siphash128(key, text, n, got);
        text[n - 1] ^= 1;
        siphash128(key, text, n, other);
        CHECK(got[0] != other[0] && got[1] != other[1]);
        text[n - 1] ^= 1;
        siphash128(key, text, n - 1, other);
        CHECK(got[0] != other[0] && got[1] != other[1]);
    }
}

TEST(os, write_file_replaces_files_and_never_a_device)
{
    char dir[] = "/tmp/os_test.XXXXXX", path[64];
    Buf b = {0};
    Err e;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/f", dir);
    CHECK_INT(os_write_file(path, "one", 3, &e), 0);
    CHECK_INT(os_write_file(path, "two", 3, &e), 0);
    CHECK_INT(os_read_file(path, 10, &b, &e), 0);
    CHECK_STR(buf_text(&b), "two");
    buf_free(&b);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(mkfifo(path, 0600), 0); /* stands for /dev/null: a test must not put the machine's own at risk */
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char got[4] = {0};
    struct stat st;
    CHECK_INT(os_write_file(path, "abc", 3, &e), 0);
    CHECK_INT(read(fd, got, 3), 3);
    CHECK_STR(got, "abc");
    CHECK(!stat(path, &st) && S_ISFIFO(st.st_mode));
    close(fd);
    CHECK_INT(unlink(path), 0);
    CHECK_INT(mkdir(path, 0700), 0); /* is not replaced, and nothing is left beside it */
    CHECK_INT(os_write_file(path, "abc", 3, &e), -ERR_IO);
    CHECK(strstr(e.text, path) != NULL);
    CHECK_INT(rmdir(path), 0);
    CHECK_INT(rmdir(dir), 0);
}

TEST(os, what_may_not_be_read_is_denied)
{
    char path[] = "/tmp/os_test.XXXXXX";
    Buf b = {0};
    Err e;
    int fd = mkstemp(path);
    bool is_root = geteuid() == 0; /* who may read everything */
    CHECK(fd >= 0);
    CHECK_INT(fchmod(fd, 0), 0);
    CHECK(!is_root || !seteuid(65534));
    int rc = os_read_file(path, 10, &b, &e);
    CHECK(!is_root || !seteuid(0));
    CHECK_INT(rc, -ERR_DENIED);
    CHECK(strstr(e.text, path) != NULL);
    close(fd);
    CHECK_INT(unlink(path), 0);
}

TEST(os, a_large_file_is_read_whole)
{
    char path[] = "/tmp/os_test.XXXXXX";
    Buf b = {0};
    Err e;
    enum { SIZE = 5 << 20 };
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_INT(ftruncate(fd, SIZE), 0);
    CHECK_INT(pwrite(fd, "end", 3, SIZE - 3), 3);
    CHECK_INT(os_read_file(path, SIZE - 1, &b, &e), -ERR_LIMIT);
    buf_free(&b);
    CHECK_INT(os_read_file(path, SIZE, &b, &e), 0);
    CHECK_INT(b.n, SIZE);
    CHECK(!memcmp(b.data + SIZE - 3, "end", 3));
    buf_free(&b);
    close(fd);
    CHECK_INT(unlink(path), 0);
}
