/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/jit/jit.h"

#ifdef JIT_HAS_HOST
#include "sim/jit/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static CodeKey key_of(uint64_t n)
{
    return (CodeKey){{n, ~n}};
}

static void add(CodeStore *s, uint64_t n)
{
    char text[64];
    snprintf(text, sizeof text, "record %d", (int)n);
    code_store_add(s, key_of(n), text, strlen(text) + 1);
}

static bool has(CodeStore *s, uint64_t n)
{
    char text[64];
    size_t size = 0;
    const char *found = code_store_find(s, key_of(n), &size);
    snprintf(text, sizeof text, "record %d", (int)n);
    return found && size == strlen(text) + 1 && !strcmp(found, text);
}

TEST(store, has_what_was_added_and_nothing_else)
{
    enum { N = 5000 };
    CodeStore *s = code_store_new(NULL);
    for (unsigned i = 0; i < N; i++) {
        CHECK(!has(s, i));
        add(s, i);
    }
    for (unsigned i = 0; i < N; i++) {
        CHECK(has(s, i));
    }
    code_store_add(s, key_of(7), "other", 6); /* the first one stays */
    CHECK(has(s, 7));
    size_t n;
    CHECK(!code_store_find(s, (CodeKey){{7, 7}}, &n));
    CodeStoreStats t = code_store_stats(s);
    CHECK(t.records == N && t.added == N && t.found == N + 1 && t.wanting == N + 1);
    code_store_free(s);
}

TEST(store, keys_are_secret)
{
    CodeStore *a = code_store_new(NULL), *b = code_store_new(NULL);
    CodeKey x = code_store_key(a, "text", 4), y = code_store_key(b, "text", 4), z = code_store_key(a, "text", 4);
    CHECK(x.w[0] == z.w[0] && x.w[1] == z.w[1] && x.w[0] != y.w[0] && x.w[1] != y.w[1]);
    code_store_free(a);
    code_store_free(b);
}

/* ---- files ---- */
static Buf file_of(unsigned first, unsigned end)
{
    CodeStore *s = code_store_new(NULL);
    Buf b = {0};
    for (unsigned i = first; i < end; i++) {
        add(s, i);
    }
    code_store_write(s, &b);
    code_store_free(s);
    return b;
}

TEST(store, a_file_has_what_the_store_had)
{
    Buf b = file_of(0, 100);
    CodeStore *s = code_store_new(NULL);
    Err err;
    CHECK_INT(code_store_read(s, b.data, b.n, "x", &err), 0);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(has(s, i));
    }
    CHECK(!has(s, 100));
    CHECK_INT(code_store_stats(s).added, 0);
    code_store_free(s);
    buf_free(&b);
}

static void check_refused(const Buf *b, size_t n, const char *why)
{
    CodeStore *s = code_store_new(NULL);
    Err err = {0};
    CHECK_INT(code_store_read(s, b->data, n, "x", &err), -ERR_INVAL);
    CHECK_HAS(err.text, why);
    CHECK_HAS(err.text, "offset");
    CHECK(!code_store_stats(s).records && !has(s, 1));
    add(s, 1); /* it is empty, and of use */
    CHECK(has(s, 1));
    code_store_free(s);
}

enum { AT_VERSION = 8, AT_RECORDS = 12, AT_IDENTITY = 24, AT_FIRST = 64, AT_LENGTH = AT_FIRST + 16 };

TEST(store, a_damaged_file_is_refused_with_the_offset)
{
    Buf b = file_of(0, 3);
    for (size_t n = 0; n < b.n; n++) {
        check_refused(&b, n, n < AT_FIRST ? "expected a file that begins with CONFCODE" : "the file ends");
    }
    for (size_t i = AT_FIRST; i < b.n; i++) {
        b.data[i] ^= 0x10;
        check_refused(&b, b.n, "the sum is not that of the file");
        b.data[i] ^= 0x10;
    }
    buf_free(&b);
}

TEST(store, a_file_whose_lengths_are_wrong_is_refused_with_the_offset)
{
    static const struct {
        size_t at;
        uint32_t value;
        const char *why;
    } CASES[] = {{AT_RECORDS, 4, "the file ends, expected a record"},
                 {AT_RECORDS, 2, "expected the end of the file"},
                 {AT_RECORDS, UINT32_MAX, "too many records"},
                 {AT_LENGTH, UINT32_MAX, "offset 64: a record is longer than the file"},
                 {AT_LENGTH, UINT32_MAX - 30, "offset 64: a record is longer than the file"},
                 {0, 0, "begins with CONFCODE"}};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Buf b = file_of(0, 3);
        memcpy(b.data + CASES[i].at, &CASES[i].value, sizeof CASES[i].value);
        code_store_sum(&b);
        check_refused(&b, b.n, CASES[i].why);
        buf_free(&b);
    }
}

TEST(store, a_file_of_another_program_or_processor_counts_as_empty)
{
    for (unsigned i = 0; i < 2; i++) {
        Buf b = file_of(0, 3);
        CodeStore *s = code_store_new(NULL);
        Err err;
        b.data[i ? AT_IDENTITY : AT_VERSION] ^= 4;
        code_store_sum(&b);
        CHECK_INT(code_store_read(s, b.data, b.n, "x", &err), 0);
        CHECK(code_store_stats(s).was_other && !has(s, 1));
        code_store_free(s);
        buf_free(&b);
    }
}

typedef struct {
    char dir[32], path[64];
} Place;

static Place place_new(void)
{
    Place p = {.dir = "/tmp/store_test.XXXXXX"};
    CHECK(mkdtemp(p.dir) != NULL);
    snprintf(p.path, sizeof p.path, "%s/f", p.dir);
    return p;
}

static void place_free(const Place *p)
{
    unlink(p->path);
    CHECK(!rmdir(p->dir)); /* nothing else is left there */
}

/* Loads, uses of [first, end) what there is and adds the rest, and saves. Returns how many there were. */
static unsigned run(const Place *p, unsigned first, unsigned end)
{
    CodeStore *s = code_store_new(NULL);
    Err err;
    unsigned n = 0;
    CHECK_INT(code_store_load(s, p->path, &err), 0);
    for (unsigned i = first; i < end; i++) {
        n += has(s, i);
        add(s, i);
    }
    CHECK_INT(code_store_save(s, p->path, &err), 0);
    code_store_free(s);
    return n;
}

TEST(store, a_file_is_replaced_if_there_is_enough_that_is_new)
{
    Place p = place_new();
    struct stat st, again;
    CHECK_INT(run(&p, 0, 100), 0);
    CHECK(!stat(p.path, &st) && (st.st_mode & 0777) == 0600);
    CHECK_INT(run(&p, 0, 102), 100); /* too little */
    CHECK(!stat(p.path, &again) && st.st_ino == again.st_ino && st.st_size == again.st_size);
    CHECK_INT(run(&p, 0, 110), 100);
    CHECK_INT(run(&p, 0, 110), 110);
    place_free(&p);
}

TEST(store, what_was_not_used_for_the_longest_time_is_left_out_of_a_file_that_would_be_too_large)
{
    enum { BYTES = 1 << 20, N = STORE_MAX_BYTES / BYTES };
    Place p = place_new();
    uint8_t *bytes = x_alloc(BYTES);
    Err err;
    size_t size;
    for (unsigned round = 0; round < 3;
         round++) { /* 0: 0 to 9; 1: 10 to 19; 2: 0 to 4 and as many others as there is room for */
        CodeStore *s = code_store_new(NULL);
        CHECK_INT(code_store_load(s, p.path, &err), 0);
        for (unsigned i = 0; i < (round < 2 ? 10 : 5); i++) {
            unsigned n = i + (round == 1 ? 10 : 0);
            CHECK(!code_store_find(s, key_of(n), &size) == (round < 2));
            code_store_add(s, key_of(n), bytes, BYTES);
        }
        for (unsigned i = 0; round == 2 && i < N; i++) {
            code_store_add(s, key_of(1000 + i), bytes, BYTES);
        }
        CodeStoreStats t = code_store_stats(s);
        CHECK(t.bytes <= STORE_MAX_BYTES && (round < 2 || t.left_out > 0));
        CHECK_INT(code_store_save(s, p.path, &err), 0);
        code_store_free(s);
    }
    struct stat st;
    CodeStore *s = code_store_new(NULL);
    CHECK(!stat(p.path, &st) && st.st_size <= STORE_MAX_BYTES && st.st_size > STORE_MAX_BYTES - 2 * BYTES);
    CHECK_INT(code_store_load(s, p.path, &err), 0);
    for (unsigned i = 0; i < 5; i++) {
        CHECK(code_store_find(s, key_of(i), &size) != NULL);
    }
    code_store_free(s);
    mem_free(bytes);
    place_free(&p);
}

TEST(store, a_file_that_others_could_write_is_refused)
{
    static const mode_t modes[] = {0620, 0602, 0666};
    Place p = place_new();
    Err err = {0};
    CHECK_INT(run(&p, 0, 3), 0);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        CodeStore *s = code_store_new(NULL);
        CHECK(!chmod(p.path, modes[i]));
        CHECK_INT(code_store_load(s, p.path, &err), -ERR_DENIED);
        CHECK_HAS(err.text, p.path);
        CHECK(!has(s, 1));
        code_store_free(s);
    }
    CHECK(!chmod(p.path, 0644));
    CHECK_INT(run(&p, 0, 3), 3);
    CodeStore *s = code_store_new(NULL);
    CHECK_INT(code_store_load(s, "/dev/null", &err), -ERR_DENIED);
    CHECK_INT(code_store_load(s, p.dir, &err), -ERR_DENIED);
    add(s, 1);
    CHECK_INT(code_store_save(s, "/dev/null", &err), -ERR_INVAL); /* and it is still there */
    CHECK_INT(code_store_save(s, "/nonexistent/f", &err), -ERR_IO);
    CHECK_HAS(err.text, "/nonexistent/f");
    struct stat st;
    CHECK(!stat("/dev/null", &st) && S_ISCHR(st.st_mode));
    code_store_free(s);
    place_free(&p);
}

TEST(store, a_file_that_holds_something_else_is_not_replaced)
{
    static const char *const texts[] = {"CONFCOD", "a disk image, say, by a slip of the keyboard"};
    Place p = place_new();
    Err err = {0};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        Buf now = {0};
        CodeStore *s = code_store_new(NULL);
        CHECK_INT(os_write_file(p.path, texts[i], strlen(texts[i]), &err), 0);
        CHECK_INT(code_store_load(s, p.path, &err), -ERR_INVAL);
        add(s, 1);
        CHECK_INT(code_store_save(s, p.path, &err), -ERR_INVAL);
        CHECK_HAS(err.text, "expected one of saved code, or none");
        CHECK_INT(os_read_file(p.path, 100, &now, &err), 0);
        CHECK_STR(buf_text(&now), texts[i]);
        buf_free(&now);
        code_store_free(s);
    }
    CHECK_INT(os_write_file(p.path, "", 0, &err), 0);
    CodeStore *s = code_store_new(NULL);
    add(s, 1);
    CHECK_INT(code_store_save(s, p.path, &err), 0);
    code_store_free(s);
    place_free(&p);
}

/* ---- threads ---- */
enum { THREADS = 4, EACH = 2000 };
static void *use(void *ctx)
{
    CodeStore *s = ctx;
    for (unsigned i = 0; i < EACH; i++) {
        if (!has(s, i)) {
            add(s, i);
        }
    }
    return NULL;
}

TEST(store, threads_add_and_find_at_the_same_time)
{
    CodeStore *s = code_store_new(NULL);
    pthread_t t[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(!pthread_create(&t[i], NULL, use, s));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
    }
    CHECK_INT(code_store_stats(s).records, EACH);
    code_store_free(s);
}
#endif
