/* SPDX-License-Identifier: Apache-2.0
 * Pieces of RAM: anonymous memory without reservation, and copy-on-write twins over a memfd. */
#include "sim/machine/space_impl.h"

#include "sim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What small programs use lies at the start of their RAM, and a device tree at its end: large pages there would cost them more than
 * they give. */
enum { PAGEMAP_CHUNK = 512, SMALL_PAGES_BYTES = 2 << 20, LARGE_RAM_BYTES = 16 << 20 };
/* Linux, Documentation/admin-guide/mm/pagemap.rst */
static const uint64_t PAGEMAP_PRESENT = 1ull << 63, PAGEMAP_SWAPPED = 1ull << 62, PAGEMAP_FILE = 1ull << 61;

static void *map_or_null(void *at, uint64_t size_bytes, int flags, int fd)
{
    void *p = mmap(at, size_bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE | (at ? MAP_FIXED : 0), fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* A memfd cannot have large pages on most hosts, so RAM is one as late as can be (ram_seal). */
static void *ram_map(void *at, uint64_t size_bytes, int fd)
{
    uint8_t *host = map_or_null(at, size_bytes, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE, fd);
    if (host && fd < 0 && size_bytes >= LARGE_RAM_BYTES) {
        os_pages_large(host + SMALL_PAGES_BYTES, size_bytes - 2 * SMALL_PAGES_BYTES);
    }
    return host;
}

static int no_memory(uint64_t size_bytes, Err *err)
{
    return err_native(err, ERR_NOMEM, errno, "RAM of 0x%llx bytes", (unsigned long long)size_bytes);
}

void ram_close(Ram *r)
{
    if (r->pages) {
        os_unmap((void *)r->pages, ram_npages(r));
    }
    if (r->host) {
        os_unmap(r->host, r->size_bytes);
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
}

/* host over r->fd, or of anonymous memory, and clean page flags. */
static int ram_place(Ram *r, Err *err)
{
    r->host = ram_map(NULL, r->size_bytes, r->fd);
    r->pages = r->host ? map_or_null(NULL, ram_npages(r), MAP_PRIVATE | MAP_ANONYMOUS, -1) : NULL;
    if (!r->pages) {
        int rc = no_memory(r->size_bytes, err);
        ram_close(r);
        return rc;
    }
    return 0;
}

/* A memfd of that size; -1 with a sentence in err. */
static int memfd_new(uint64_t size_bytes, int *rc, Err *err)
{
    int fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    *rc = fd >= 0 ? 0 : err_native(err, ERR_LIMIT, errno, "memfd for RAM");
    if (fd >= 0 && (size_bytes > INT64_MAX || ftruncate(fd, (off_t)size_bytes))) {
        *rc = no_memory(size_bytes, err);
        close(fd);
        fd = -1;
    }
    return fd;
}

int ram_open(Ram *r, uint64_t size_bytes, Err *err)
{
    *r = (Ram){.size_bytes = size_bytes, .fd = -1};
    if (!size_bytes || size_bytes % SPACE_PAGE_BYTES) {
        return err_set(err, ERR_INVAL, "RAM of 0x%llx bytes is not whole pages of 0x%x bytes",
                       (unsigned long long)size_bytes, SPACE_PAGE_BYTES);
    }
    return ram_place(r, err);
}

/* What was touched and is in no memfd: a page is private once it is anonymous memory. A host that does not say (no /proc,
 * larger pages) makes all pages candidates. */
typedef struct {
    int fd;
    uint64_t first, n; /* info[0 .. n) is of these pages */
    uint64_t info[PAGEMAP_CHUNK];
} Pagemap;

static void pagemap_open(Pagemap *p)
{
    p->fd = sysconf(_SC_PAGESIZE) == SPACE_PAGE_BYTES ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1;
    p->first = p->n = 0;
}

static void pagemap_close(const Pagemap *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
}

static void pagemap_fill(Pagemap *p, const Ram *r, uint64_t first)
{
    uint64_t left = ram_npages(r) - first;
    off_t at = (off_t)(((uintptr_t)r->host / SPACE_PAGE_BYTES + first) * sizeof p->info[0]);
    p->first = first;
    p->n = left < PAGEMAP_CHUNK ? left : PAGEMAP_CHUNK;
    ssize_t want = (ssize_t)(p->n * sizeof p->info[0]);
    if (p->fd < 0 || pread(p->fd, p->info, (size_t)want, at) != want) {
        for (size_t i = 0; i < p->n; i++) {
            p->info[i] = PAGEMAP_PRESENT;
        }
    }
}

static bool is_private(Pagemap *p, const Ram *r, uint64_t page)
{
    if (page - p->first >= p->n) {
        pagemap_fill(p, r, page);
    }
    uint64_t info = p->info[page - p->first];
    return info & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED) && !(info & PAGEMAP_FILE);
}

static void overlay_copy(const Ram *r, const Ram *twin)
{
    Pagemap p;
    pagemap_open(&p);
    for (uint64_t i = 0; i < ram_npages(r); i++) {
        uint64_t at = i * SPACE_PAGE_BYTES;
        if (is_private(&p, r, i) && memcmp(twin->host + at, r->host + at, SPACE_PAGE_BYTES) != 0) {
            memcpy(twin->host + at, r->host + at, SPACE_PAGE_BYTES);
        }
    }
    pagemap_close(&p);
}

/* The memfd's next pages that are no hole, if there is one; first = the number of pages: none. */
static void base_touched(const Ram *r, uint64_t from, uint64_t *first, uint64_t *end)
{
    *first = *end = ram_npages(r);
    if (r->fd < 0) {
        return;
    }
    off_t data = lseek(r->fd, (off_t)(from * SPACE_PAGE_BYTES), SEEK_DATA);
    off_t hole = data >= 0 ? lseek(r->fd, data, SEEK_HOLE) : -1;
    if (hole >= 0) {
        *first = (uint64_t)data / SPACE_PAGE_BYTES;
        *end = ((uint64_t)hole + SPACE_PAGE_BYTES - 1) / SPACE_PAGE_BYTES;
    } else if (errno != ENXIO) { /* a host that cannot say: all of it */
        *first = from;
    }
}

bool ram_touched(const Ram *r, uint64_t from, uint64_t *first, uint64_t *npages)
{
    uint64_t end, at = from;
    if (from >= ram_npages(r)) {
        return false;
    }
    base_touched(r, from, first, &end);
    Pagemap p; /* private pages before the base's next ones come first */
    pagemap_open(&p);
    while (at < *first && !is_private(&p, r, at)) {
        at++;
    }
    if (at < *first) {
        end = at + 1;
        while (end < *first && is_private(&p, r, end)) {
            end++;
        }
        *first = at;
    }
    pagemap_close(&p);
    *npages = end - *first;
    return *npages != 0;
}

/* The dirty log goes on in both; no vcpu of the twin has translated anything. */
static void flags_copy(const Ram *r, Ram *twin)
{
    for (uint64_t i = 0; i < ram_npages(r); i++) {
        if (atomic_load_explicit(&r->pages[i], memory_order_relaxed) & PAGE_DIRTY) {
            atomic_store_explicit(&twin->pages[i], PAGE_DIRTY, memory_order_relaxed);
        }
    }
}

static bool is_zero(const uint8_t *page)
{
    static const uint8_t zeros[SPACE_PAGE_BYTES];
    return !memcmp(page, zeros, sizeof zeros);
}

/* Pages [first, first + n), but those that are zero, to a fresh memfd. */
static bool memfd_put(int fd, const Ram *r, uint64_t first, uint64_t n)
{
    for (uint64_t at = first; at < first + n; at++) {
        const uint8_t *page = r->host + at * SPACE_PAGE_BYTES;
        ssize_t want = SPACE_PAGE_BYTES;
        if (!is_zero(page) && pwrite(fd, page, (size_t)want, (off_t)(at * SPACE_PAGE_BYTES)) != want) {
            return false;
        }
    }
    return true;
}

/* What has been written so far goes to a memfd, the base that nobody writes any more. It is mapped in place, so that host
 * addresses stay. */
static int ram_seal(Ram *r, Err *err)
{
    int rc, fd = memfd_new(r->size_bytes, &rc, err);
    for (uint64_t first, n, at = 0; !rc && ram_touched(r, at, &first, &n); at = first + n) {
        rc = memfd_put(fd, r, first, n) ? 0 : no_memory(r->size_bytes, err);
    }
    if (!rc && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
        rc = err_native(err, ERR_HOST, errno, "sealing RAM");
    }
    if (!rc && !ram_map(r->host, r->size_bytes, fd)) {
        rc = no_memory(r->size_bytes, err);
    }
    if (rc && fd >= 0) {
        close(fd);
    }
    if (!rc) {
        r->fd = fd;
    }
    return rc;
}

int ram_fork(Ram *r, Ram *twin, Err *err)
{
    bool was_sealed = r->fd >= 0;
    int rc = was_sealed ? 0 : ram_seal(r, err);
    if (rc) {
        return rc;
    }
    *twin = (Ram){.size_bytes = r->size_bytes, .fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0)};
    if (twin->fd < 0) {
        return err_native(err, ERR_LIMIT, errno, "memfd for RAM");
    }
    rc = ram_place(twin, err);
    if (rc) {
        return rc;
    }
    if (was_sealed) {
        overlay_copy(r, twin);
    }
    flags_copy(r, twin);
    return 0;
}

/* What the memfd holds is the twins' too. */
bool ram_punch(const Ram *r, uint64_t offset, uint64_t n)
{
    return r->fd < 0 && !madvise(r->host + offset, n, MADV_DONTNEED);
}

/* Fresh memory takes the old one's place, at no cost for what was untouched. */
int ram_clear(Ram *r, Err *err)
{
    for (uint64_t first, n, at = 0; ram_touched(r, at, &first, &n); at = first + n) {
        for (uint64_t i = first; i < first + n; i++) {
            if (is_zero(r->host + i * SPACE_PAGE_BYTES)) {
                atomic_fetch_and_explicit(&r->pages[i], PAGE_DIRTY, memory_order_relaxed);
            } else {
                atomic_store_explicit(&r->pages[i], PAGE_DIRTY, memory_order_relaxed);
            }
        }
    }
    if (!ram_map(r->host, r->size_bytes, -1)) {
        return no_memory(r->size_bytes, err);
    }
    if (r->fd >= 0) {
        close(r->fd);
        r->fd = -1;
    }
    return 0;
}
