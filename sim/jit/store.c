/* SPDX-License-Identifier: Apache-2.0
 * store.c - records by key, in memory and in a file. */
#include "sim/jit/store.h"

#include "sim/base/hash.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/x86.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[8] = "CONFCODE";
enum {
    VERSION = 1,
    MAX_RECORDS = 1 << 20,
    ALIGNMENT = 8,
    NEW_PART = 32,       /* this part of the records must be new, for a file to be worth writing */
    MAX_AGE = UINT16_MAX /* times that a file was written since a record was used */
};
/* The file: this, then records with their bytes, each padded to ALIGNMENT. Numbers are the host's, as code is. */
typedef struct {
    char magic[8];
    uint32_t version, nrecords;
    uint64_t nbytes;      /* of the file */
    uint64_t identity[2]; /* of who can run it */
    uint64_t secret[2];
    uint64_t sum; /* of all else */
} FileHead;
typedef struct {
    CodeKey key;
    uint32_t nbytes, age;
} RecordHead;

typedef struct {
    CodeKey key;
    const void *bytes;
    uint32_t nbytes, age;
} Record;
/* Some MiB in large pages of the host: there are tens of thousands of records. */
typedef struct {
    uint8_t *bytes;
    size_t size, used;
} Chunk;
struct CodeStore {
    pthread_mutex_t lock; /* of all but secret and identity */
    VEC(Record) records;
    uint32_t *table; /* by key: 1 + its number; 0: free */
    size_t table_n;  /* a power of two */
    uint64_t secret[2], identity[2];
    VEC(Chunk) chunks; /* where bytes of records are, if not in the file, */
    void *file;        /* which is mapped; NULL: none */
    size_t file_bytes;
    CodeStoreStats stats;
};

/* ---- who can run it ---- */
typedef struct {
    uint8_t id[64];
    size_t n;
} BuildId;

/* GNU build id of the object that this code is in. */
static void note_look(const ElfW(Phdr) * p, ElfW(Addr) base, BuildId *out)
{
    const uint8_t *at = (const uint8_t *)(uintptr_t)(base + p->p_vaddr), *end = at + p->p_memsz; // NOLINT
    while ((size_t)(end - at) >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) n;
        memcpy(&n, at, sizeof n);
        const uint8_t *name = at + sizeof n, *desc = name + ((n.n_namesz + 3u) & ~3u);
        if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && !memcmp(name, "GNU", 4) && n.n_descsz <= sizeof out->id) {
            memcpy(out->id, desc, n.n_descsz);
            out->n = n.n_descsz;
        }
        at = desc + ((n.n_descsz + 3u) & ~3u);
    }
}

static int object_look(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    bool is_here = false;
    uintptr_t here = (uintptr_t)&object_look;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        is_here |= p->p_type == PT_LOAD && here - (info->dlpi_addr + p->p_vaddr) < p->p_memsz;
    }
    for (unsigned i = 0; is_here && i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_NOTE) {
            note_look(&info->dlpi_phdr[i], info->dlpi_addr, ctx);
        }
    }
    return is_here;
}

/* Two builds differ in their id; without one no file is ever this build's. */
static void identify(uint64_t identity[2])
{
    static const uint64_t key[2] = {VERSION, 0};
    struct {
        BuildId build;
        uint8_t has[8];
    } who = {.has = {x86_has.lzcnt, x86_has.bmi2, x86_has.bmi1, x86_has.fma, x86_has.avx, x86_has.popcnt}};
    dl_iterate_phdr(object_look, &who.build);
    if (!who.build.n && getrandom(who.build.id, sizeof who.build.id, 0) < 0) {
        memset(who.build.id, 0, sizeof who.build.id);
    }
    siphash128(key, &who, sizeof who, identity);
}

/* ---- records ---- */
static Chunk *chunk_add(CodeStore *s, size_t size)
{
    VEC_PUSH(&s->chunks, (Chunk){.bytes = os_pages_new(size), .size = size});
    Chunk *c = &s->chunks.items[s->chunks.n - 1];
    os_pages_large(c->bytes, size);
    return c;
}

static void *room_for(CodeStore *s, size_t nbytes)
{
    enum { CHUNK_BYTES = 2 * OS_LARGE_PAGE_BYTES };
    size_t size = (nbytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    Chunk *c = s->chunks.n ? &s->chunks.items[s->chunks.n - 1] : NULL;
    if (!c || size > c->size - c->used) {
        c = chunk_add(s, size > CHUNK_BYTES ? size : CHUNK_BYTES);
    }
    c->used += size;
    return c->bytes + c->used - size;
}

/* All but who it is. */
static void forget(CodeStore *s)
{
    for (size_t i = 0; i < s->chunks.n; i++) {
        os_pages_free(s->chunks.items[i].bytes, s->chunks.items[i].size);
    }
    VEC_FREE(&s->chunks);
    if (s->file) {
        munmap(s->file, s->file_bytes);
        s->file = NULL;
    }
    VEC_FREE(&s->records);
    mem_free(s->table);
    s->table = NULL;
    s->table_n = 0;
    s->stats = (CodeStoreStats){0};
}

CodeStore *code_store_new(const uint64_t secret[2])
{
    CodeStore *s = x_alloc(sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    if (secret) {
        memcpy(s->secret, secret, sizeof s->secret);
    } else if (getrandom(s->secret, sizeof s->secret, 0) != (ssize_t)sizeof s->secret) {
        s->secret[0] = os_now_ns(), s->secret[1] = (uintptr_t)s;
    }
    identify(s->identity);
    return s;
}

void code_store_free(CodeStore *s)
{
    if (!s) {
        return;
    }
    forget(s);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

CodeKey code_store_key(const CodeStore *s, const void *bytes, size_t n)
{
    CodeKey key;
    siphash128(s->secret, bytes, n, key.w);
    return key;
}

/* Where the number of its record is, or would be. */
static uint32_t *place_of(const CodeStore *s, CodeKey key)
{
    size_t i = key.w[0] & (s->table_n - 1);
    while (s->table[i]) {
        const CodeKey *k = &s->records.items[s->table[i] - 1].key;
        if (k->w[0] == key.w[0] && k->w[1] == key.w[1]) {
            break;
        }
        i = (i + 1) & (s->table_n - 1);
    }
    return &s->table[i];
}

static void table_grow(CodeStore *s)
{
    enum { FIRST = 1024 };
    if (s->records.n < s->table_n / 2) {
        return;
    }
    mem_free(s->table);
    s->table_n = s->table_n ? s->table_n * 2 : FIRST;
    s->table = x_calloc(s->table_n, sizeof *s->table);
    for (size_t i = 0; i < s->records.n; i++) {
        *place_of(s, s->records.items[i].key) = (uint32_t)i + 1;
    }
}

static uint64_t size_of(uint64_t nbytes) /* in a file */
{
    return sizeof(RecordHead) + ((nbytes + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1));
}

/* r.bytes NULL: it gets room; NULL: there is none, or one of that key. */
static Record *record_put(CodeStore *s, Record r)
{
    table_grow(s);
    uint32_t *place = place_of(s, r.key);
    if (*place || s->records.n == MAX_RECORDS || s->stats.bytes + size_of(r.nbytes) > STORE_MAX_BYTES) {
        s->stats.left_out += !*place;
        return NULL;
    }
    VEC_PUSH(&s->records, r);
    *place = (uint32_t)s->records.n;
    s->stats.records++;
    s->stats.bytes += size_of(r.nbytes);
    return &s->records.items[s->records.n - 1];
}

const void *code_store_find(CodeStore *s, CodeKey key, size_t *n)
{
    pthread_mutex_lock(&s->lock);
    uint32_t number = s->table_n ? *place_of(s, key) : 0;
    Record *r = number ? &s->records.items[number - 1] : NULL;
    const void *bytes = r ? r->bytes : NULL;
    s->stats.found += r != NULL;
    s->stats.wanting += !r;
    if (r) {
        r->age = 0;
        *n = r->nbytes;
    }
    pthread_mutex_unlock(&s->lock);
    return bytes;
}

void code_store_add(CodeStore *s, CodeKey key, const void *bytes, size_t n)
{
    if (n > STORE_MAX_BYTES) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    Record *r = record_put(s, (Record){.key = key, .nbytes = (uint32_t)n});
    if (r) {
        void *copy = room_for(s, n);
        memcpy(copy, bytes, n);
        r->bytes = copy;
        s->stats.added++;
    }
    pthread_mutex_unlock(&s->lock);
}

CodeStoreStats code_store_stats(CodeStore *s)
{
    pthread_mutex_lock(&s->lock);
    CodeStoreStats stats = s->stats;
    pthread_mutex_unlock(&s->lock);
    return stats;
}

/* ---- the file ---- */
/* Of whole words. It finds damage, no malice: who can write the file can write code. */
enum { LANES = 4 };
typedef struct {
    uint64_t lane[LANES];
    size_t nwords;
} Sum;

static void sum_add(Sum *s, const uint8_t *p, size_t n)
{
    const uint64_t odd = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < n / sizeof(uint64_t); i++) {
        uint64_t word, *to = &s->lane[s->nwords++ % LANES];
        memcpy(&word, p + i * sizeof word, sizeof word);
        *to = (*to ^ word) * odd;
        *to ^= *to >> 29;
    }
}

static uint64_t sum_end(const Sum *s, const FileHead *head)
{
    FileHead zeroed = *head;
    uint64_t out[2];
    zeroed.sum = 0;
    siphash128(s->lane, &zeroed, sizeof zeroed, out);
    siphash128(out, s->lane, sizeof s->lane, out);
    return out[0];
}

static int refuse(Err *err, const char *name, size_t at, const char *what)
{
    return err_set(err, ERR_INVAL, "%s: offset %zu: %s", name, at, what);
}

static int records_read(CodeStore *s, const FileHead *head, const uint8_t *p, size_t n, const char *name, Err *err)
{
    size_t at = sizeof *head;
    for (uint32_t i = 0; i < head->nrecords; i++) {
        RecordHead r;
        if (n - at < sizeof r) {
            return refuse(err, name, at, "the file ends, expected a record");
        }
        memcpy(&r, p + at, sizeof r);
        if (r.nbytes > n - at || size_of(r.nbytes) > n - at) {
            return refuse(err, name, at, "a record is longer than the file, expected one within it");
        }
        (void)record_put(s, (Record){.key = r.key,
                                     .bytes = p + at + sizeof r,
                                     .nbytes = r.nbytes,
                                     .age = r.age < MAX_AGE ? r.age + 1 : MAX_AGE});
        at += size_of(r.nbytes);
    }
    return at == n ? 0 : refuse(err, name, at, "bytes behind the last record, expected the end of the file");
}

/* It is this program's, and who may use it agrees: is it whole? */
static int file_read(CodeStore *s, const FileHead *head, const uint8_t *p, size_t n, const char *name, Err *err)
{
    Sum sum = {0};
    if (head->nbytes != n || n % ALIGNMENT) {
        return err_set(err, ERR_INVAL, "%s: offset %zu: the file ends, expected %llu bytes", name, n,
                       (unsigned long long)head->nbytes);
    }
    sum_add(&sum, p + sizeof *head, n - sizeof *head);
    if (head->sum != sum_end(&sum, head)) {
        return refuse(err, name, offsetof(FileHead, sum), "the sum is not that of the file, expected what was written");
    }
    return head->nrecords <= MAX_RECORDS
               ? records_read(s, head, p, n, name, err)
               : refuse(err, name, offsetof(FileHead, nrecords), "too many records, expected at most 1048576");
}

/* p is in a chunk of the store's, or its file. */
static int bytes_read(CodeStore *s, const uint8_t *p, size_t n, const char *name, Err *err)
{
    FileHead head;
    if (n < sizeof head || memcmp(p, MAGIC, sizeof MAGIC)) {
        return refuse(err, name, 0, "no saved code, expected a file that begins with CONFCODE");
    }
    memcpy(&head, p, sizeof head);
    if (head.version != VERSION || memcmp(head.identity, s->identity, sizeof head.identity)) {
        forget(s);
        s->stats.was_other = true;
        return 0;
    }
    memcpy(s->secret, head.secret, sizeof s->secret);
    return file_read(s, &head, p, n, name, err);
}

int code_store_read(CodeStore *s, const void *bytes, size_t n, const char *name, Err *err)
{
    Chunk *c = chunk_add(s, n ? n : 1);
    memcpy(c->bytes, bytes, n);
    c->used = c->size;
    int rc = bytes_read(s, c->bytes, n, name, err);
    if (rc) {
        forget(s);
    }
    return rc;
}

static int by_age(const void *a, const void *b)
{
    const Record *x = *(const Record *const *)a, *y = *(const Record *const *)b;
    return x->age != y->age ? (x->age > y->age) - (x->age < y->age) : (x > y) - (x < y);
}

/* Where a file goes: to a Buf, or through it to fd. */
typedef struct {
    Buf *buf;
    int fd; /* -1: to the Buf */
    bool has_failed;
    FileHead head;
    Sum sum;
} Sink;

static void sink_flush(Sink *k)
{
    const Buf *b = k->buf;
    for (size_t at = 0; at < b->n && !k->has_failed;) {
        ssize_t n = write(k->fd, b->data + at, b->n - at);
        k->has_failed = n < 0 && errno != EINTR;
        at += n < 0 ? 0 : (size_t)n;
    }
    buf_clear(k->buf);
}

static void sink_put(Sink *k, const void *bytes, size_t n)
{
    enum { FLUSH_BYTES = 1 << 20 };
    size_t at = k->buf->n;
    buf_bytes(k->buf, bytes, n);
    while (k->buf->n % ALIGNMENT) {
        buf_char(k->buf, 0);
    }
    sum_add(&k->sum, (const uint8_t *)k->buf->data + at, k->buf->n - at);
    k->head.nbytes += k->buf->n - at;
    if (k->fd >= 0 && k->buf->n >= FLUSH_BYTES) {
        sink_flush(k);
    }
}

/* The head is written when all else is. */
static void records_write(CodeStore *s, Sink *k)
{
    pthread_mutex_lock(&s->lock);
    const Record **order = x_calloc(s->records.n, sizeof(Record *));
    for (size_t i = 0; i < s->records.n; i++) {
        order[i] = &s->records.items[i];
    }
    if (s->records.n) {
        qsort(order, s->records.n, sizeof order[0], by_age);
    }
    for (size_t i = 0; i < s->records.n && k->head.nbytes + size_of(order[i]->nbytes) <= STORE_MAX_BYTES; i++) {
        const Record *r = order[i];
        RecordHead one = {.key = r->key, .nbytes = r->nbytes, .age = r->age};
        sink_put(k, &one, sizeof one);
        sink_put(k, r->bytes, r->nbytes);
        k->head.nrecords++;
    }
    pthread_mutex_unlock(&s->lock);
    mem_free(order);
}

static Sink sink_of(const CodeStore *s, Buf *buf, int fd)
{
    Sink k = {.buf = buf, .fd = fd, .head = {.version = VERSION, .nbytes = sizeof k.head}};
    memcpy(k.head.magic, MAGIC, sizeof k.head.magic);
    memcpy(k.head.identity, s->identity, sizeof k.head.identity);
    memcpy(k.head.secret, s->secret, sizeof k.head.secret);
    buf_bytes(buf, &k.head, sizeof k.head);
    return k;
}

void code_store_write(CodeStore *s, Buf *out)
{
    Sink k = sink_of(s, out, -1);
    records_write(s, &k);
    k.head.sum = sum_end(&k.sum, &k.head);
    memcpy(out->data, &k.head, sizeof k.head);
}

void code_store_sum(Buf *file)
{
    FileHead head;
    Sum sum = {0};
    memcpy(&head, file->data, sizeof head);
    sum_add(&sum, (const uint8_t *)file->data + sizeof head, file->n - sizeof head);
    head.nbytes = file->n;
    head.sum = sum_end(&sum, &head);
    memcpy(file->data, &head, sizeof head);
}

static int trusted(int fd, const char *path, size_t *size, Err *err)
{
    struct stat st;
    if (fstat(fd, &st)) {
        return err_native(err, ERR_IO, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)) {
        return err_set(err, ERR_DENIED, "%s: holds code, expected a file of this user's that nobody else may write",
                       path);
    }
    if (st.st_size > STORE_MAX_BYTES) {
        return err_set(err, ERR_LIMIT, "%s: offset %d: expected the end of the file", path, STORE_MAX_BYTES);
    }
    *size = (size_t)st.st_size;
    return 0;
}

/* Mapped, and not read: tens of MiB, of which the host has the pages already. A file is replaced, never changed where it is. */
static int file_map(CodeStore *s, int fd, const char *path, Err *err)
{
    size_t n = 0;
    int rc = trusted(fd, path, &n, err);
    if (rc || !n) {
        return rc ? rc : bytes_read(s, (const uint8_t *)"", 0, path, err);
    }
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED) {
        return err_native(err, ERR_IO, errno, "%s", path);
    }
    s->file = p;
    s->file_bytes = n;
    return bytes_read(s, p, n, path, err);
}

int code_store_load(CodeStore *s, const char *path, Err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT ? 0 : err_native(err, errno == EACCES ? ERR_DENIED : ERR_IO, errno, "%s", path);
    }
    int rc = file_map(s, fd, path, err);
    close(fd);
    if (rc) {
        forget(s);
    }
    return rc;
}

static bool file_write(CodeStore *s, int fd)
{
    Buf buf = {0};
    Sink k = sink_of(s, &buf, fd);
    records_write(s, &k);
    sink_flush(&k);
    buf_free(&buf);
    k.head.sum = sum_end(&k.sum, &k.head);
    return !k.has_failed && pwrite(fd, &k.head, sizeof k.head, 0) == (ssize_t)sizeof k.head;
}

/* Is there nothing, or a file of ours, whole or not? */
static bool may_replace(const char *path)
{
    char magic[sizeof MAGIC];
    struct stat st;
    if (lstat(path, &st)) {
        return true;
    }
    int fd = S_ISREG(st.st_mode) && st.st_size ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    bool is_ours =
        fd >= 0 && read(fd, magic, sizeof magic) == (ssize_t)sizeof magic && !memcmp(magic, MAGIC, sizeof magic);
    if (fd >= 0) {
        close(fd);
    }
    return is_ours || (S_ISREG(st.st_mode) && !st.st_size);
}

int code_store_save(CodeStore *s, const char *path, Err *err)
{
    CodeStoreStats now = code_store_stats(s);
    if (now.added <= now.records / NEW_PART) {
        return 0;
    }
    if (!may_replace(path)) {
        return err_set(err, ERR_INVAL,
                       "%s: holds something else, expected one of saved code, or none; it stays as it is", path);
    }
    Buf temporary = {0};
    int rc = 0;
    buf_printf(&temporary, "%s.XXXXXX", path);
    int fd = mkostemp(temporary.data, O_CLOEXEC); /* mode 0600 */
    bool is_written = fd >= 0 && file_write(s, fd);
    if ((fd >= 0 && close(fd)) || !is_written || rename(temporary.data, path)) {
        rc = err_native(err, errno == EACCES ? ERR_DENIED : ERR_IO, errno, "%s", path);
        if (fd >= 0) {
            unlink(temporary.data);
        }
    }
    buf_free(&temporary);
    return rc;
}
