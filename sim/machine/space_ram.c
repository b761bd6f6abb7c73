/* SPDX-License-Identifier: Apache-2.0
 * Pieces of RAM: memfds, mapped without reservation, and their copy-on-write twins. */
#include "sim/machine/space_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGEMAP_CHUNK = 512 };
/* Linux, Documentation/admin-guide/mm/pagemap.rst */
static const uint64_t PAGEMAP_PRESENT = 1ull << 63, PAGEMAP_SWAPPED = 1ull << 62, PAGEMAP_FILE = 1ull << 61;

static void *map_or_null(void *at, uint64_t size_bytes, int flags, int fd)
{
    void *p = mmap(at, size_bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE | (at ? MAP_FIXED : 0), fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int no_memory(const Ram *r, Err *err)
{
    return err_native(err, ERR_NOMEM, errno, "RAM of 0x%llx bytes", (unsigned long long)r->size_bytes);
}

void ram_close(Ram *r)
{
    if (r->pages) {
        munmap((void *)r->pages, ram_npages(r));
    }
    if (r->host) {
        munmap(r->host, r->size_bytes);
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
}

/* host over r->fd, and clean page flags. */
static int ram_place(Ram *r, int share, Err *err)
{
    r->host = map_or_null(NULL, r->size_bytes, share, r->fd);
    r->pages = r->host ? map_or_null(NULL, ram_npages(r), MAP_PRIVATE | MAP_ANONYMOUS, -1) : NULL;
    if (!r->pages) {
        int rc = no_memory(r, err);
        ram_close(r);
        return rc;
    }
    return 0;
}

int ram_open(Ram *r, uint64_t size_bytes, Err *err)
{
    *r = (Ram){.size_bytes = size_bytes, .fd = -1};
    if (!size_bytes || size_bytes % SPACE_PAGE_BYTES) {
        return err_set(err, ERR_INVAL, "RAM of 0x%llx bytes is not whole pages of 0x%x bytes",
                       (unsigned long long)size_bytes, SPACE_PAGE_BYTES);
    }
    r->fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (r->fd < 0) {
        return err_native(err, ERR_LIMIT, errno, "memfd for RAM");
    }
    if (size_bytes > INT64_MAX || ftruncate(r->fd, (off_t)size_bytes)) {
        int rc = no_memory(r, err);
        ram_close(r);
        return rc;
    }
    return ram_place(r, MAP_SHARED, err);
}

/* Of n pages from page `first` of an overlay, which may be private copies: PAGEMAP_x words into info. A host that does not
 * say (no /proc) makes all of them candidates. */
static void pagemap_read(int fd, const Ram *r, uint64_t first, size_t n, uint64_t *info)
{
    off_t at = (off_t)(((uintptr_t)r->host / SPACE_PAGE_BYTES + first) * sizeof *info);
    ssize_t want = (ssize_t)(n * sizeof *info);
    if (fd < 0 || pread(fd, info, (size_t)want, at) != want) {
        for (size_t i = 0; i < n; i++) {
            info[i] = PAGEMAP_PRESENT;
        }
    }
}

/* What r has written since its base was sealed. A page of the overlay is private once it is anonymous memory. */
static void overlay_copy(const Ram *r, Ram *twin)
{
    uint64_t info[PAGEMAP_CHUNK];
    int fd = sysconf(_SC_PAGESIZE) == SPACE_PAGE_BYTES ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1;
    for (uint64_t first = 0, n; first < ram_npages(r); first += n) {
        n = ram_npages(r) - first < PAGEMAP_CHUNK ? ram_npages(r) - first : PAGEMAP_CHUNK;
        pagemap_read(fd, r, first, n, info);
        for (size_t i = 0; i < n; i++) {
            uint64_t at = (first + i) * SPACE_PAGE_BYTES;
            bool is_private = info[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED) && !(info[i] & PAGEMAP_FILE);
            if (is_private && memcmp(twin->host + at, r->host + at, SPACE_PAGE_BYTES) != 0) {
                memcpy(twin->host + at, r->host + at, SPACE_PAGE_BYTES);
            }
        }
    }
    if (fd >= 0) {
        close(fd);
    }
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

/* The memfd with what has been written so far becomes the base that nobody writes any more: the shared mapping
 * is replaced in place, so that host addresses stay. */
static int ram_seal(Ram *r, Err *err)
{
    if (!map_or_null(r->host, r->size_bytes, MAP_PRIVATE, r->fd)) {
        return no_memory(r, err);
    }
    r->is_overlay = true;
    if (fcntl(r->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
        return err_native(err, ERR_HOST, errno, "sealing RAM");
    }
    return 0;
}

int ram_fork(Ram *r, Ram *twin, Err *err)
{
    *twin = (Ram){.size_bytes = r->size_bytes, .is_overlay = true, .fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0)};
    if (twin->fd < 0) {
        return err_native(err, ERR_LIMIT, errno, "memfd for RAM");
    }
    int rc = ram_place(twin, MAP_PRIVATE, err);
    if (rc) {
        return rc;
    }
    if (r->is_overlay) {
        overlay_copy(r, twin);
    } else if ((rc = ram_seal(r, err)) != 0) {
        ram_close(twin);
        return rc;
    }
    flags_copy(r, twin);
    return 0;
}
