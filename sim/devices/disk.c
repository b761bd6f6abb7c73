/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/disk.h"

#include "sim/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct { /* shared by twins */
    _Atomic unsigned nusers;
    int fd;
    uint64_t size_bytes;
    char *path;
} File;

struct Disk {
    File *file;
    uint32_t flags;
    Overlay *overlay; /* NULL: none */
    bool has_thread, is_ending;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t work, done;
    DiskJob *first, **last; /* not yet done */
};

/* ---- the file ---- */
static bool file_read(const File *f, uint64_t at, uint8_t *bytes, uint64_t n)
{
    while (n) {
        ssize_t got = pread(f->fd, bytes, n, (off_t)at);
        if (got <= 0 && !(got < 0 && errno == EINTR)) { /* 0: somebody made it shorter */
            return false;
        }
        got = got < 0 ? 0 : got;
        bytes += got;
        at += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return true;
}

static bool file_write(const File *f, uint64_t at, const uint8_t *bytes, uint64_t n)
{
    while (n) {
        ssize_t got = pwrite(f->fd, bytes, n, (off_t)at);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        got = got < 0 ? 0 : got;
        bytes += got;
        at += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return true;
}

/* The bytes are the same however the host does it. */
static bool file_zero(const File *f, const DiskRange *r, bool keeps_space)
{
    static const uint8_t zeroes[64 << 10];
    int how = keeps_space ? FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if (!fallocate(f->fd, how, (off_t)r->at, (off_t)r->n)) {
        return true;
    }
    for (uint64_t done = 0, n; done < r->n; done += n) { /* not every file system has it */
        n = r->n - done < sizeof zeroes ? r->n - done : sizeof zeroes;
        if (!file_write(f, r->at + done, zeroes, n)) {
            return false;
        }
    }
    return true;
}

/* ---- the overlay over it ---- */
/* Piece by piece, each inside a page: how many bytes at `at` are in the page. */
static uint64_t piece(uint64_t at, uint64_t n)
{
    uint64_t left = OVERLAY_PAGE_BYTES - at % OVERLAY_PAGE_BYTES;
    return n < left ? n : left;
}

static bool disk_read(const Disk *d, uint64_t at, uint8_t *bytes, uint64_t n)
{
    if (!d->overlay) {
        return file_read(d->file, at, bytes, n);
    }
    for (uint64_t k; n; at += k, bytes += k, n -= k) {
        const uint8_t *page = overlay_find(d->overlay, at / OVERLAY_PAGE_BYTES);
        k = piece(at, n);
        if (page) {
            memcpy(bytes, page + at % OVERLAY_PAGE_BYTES, k);
        } else if (!file_read(d->file, at, bytes, k)) {
            return false;
        }
    }
    return true;
}

/* A page of which not all is written gets the rest from the file; the last one may reach beyond its end. */
static uint8_t *page_for(Disk *d, uint64_t at, uint64_t n)
{
    uint64_t page = at / OVERLAY_PAGE_BYTES, start = page * OVERLAY_PAGE_BYTES;
    uint64_t left = d->file->size_bytes - start;
    uint8_t below[OVERLAY_PAGE_BYTES] = {0};
    bool is_new = false, is_part = n < OVERLAY_PAGE_BYTES && !overlay_find(d->overlay, page);
    if (is_part && !file_read(d->file, start, below, left < sizeof below ? left : sizeof below)) {
        return NULL;
    }
    uint8_t *to = overlay_page(d->overlay, page, &is_new);
    if (to && is_new) {
        memcpy(to, below, sizeof below);
    }
    return to;
}

static bool disk_write(Disk *d, uint64_t at, const uint8_t *bytes, uint64_t n)
{
    if (!d->overlay) {
        return file_write(d->file, at, bytes, n);
    }
    for (uint64_t k; n; at += k, bytes += k, n -= k) {
        k = piece(at, n);
        uint8_t *page = page_for(d, at, k);
        if (!page) {
            return false;
        }
        memcpy(page + at % OVERLAY_PAGE_BYTES, bytes, k);
    }
    return true;
}

static bool disk_zero(Disk *d, const DiskRange *r, bool keeps_space)
{
    if (!d->overlay) {
        return file_zero(d->file, r, keeps_space);
    }
    for (uint64_t at = r->at, n = r->n, k; n; at += k, n -= k) {
        k = piece(at, n);
        if (k == OVERLAY_PAGE_BYTES) {
            if (!overlay_zero(d->overlay, at / OVERLAY_PAGE_BYTES)) {
                return false;
            }
            continue;
        }
        uint8_t *page = page_for(d, at, k);
        if (!page) {
            return false;
        }
        memset(page + at % OVERLAY_PAGE_BYTES, 0, k);
    }
    return true;
}

/* ---- the thread ---- */
static bool job_do(Disk *d, const DiskJob *j)
{
    bool is_ok = true;
    switch (j->op) {
    case DISK_READ:
        return disk_read(d, j->range[0].at, j->bytes, j->range[0].n);
    case DISK_WRITE:
        return disk_write(d, j->range[0].at, j->bytes, j->range[0].n);
    case DISK_ZERO:
        for (unsigned i = 0; is_ok && i < j->nranges; i++) {
            is_ok = disk_zero(d, &j->range[i], j->keeps_space);
        }
        return is_ok;
    case DISK_FLUSH:
        return d->overlay || d->flags & DISK_READ_ONLY || !fdatasync(d->file->fd);
    }
    return false;
}

static void *worker(void *arg)
{
    Disk *d = arg;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->first && !d->is_ending) {
            pthread_cond_wait(&d->work, &d->lock);
        }
        DiskJob *j = d->first;
        if (!j) {
            break;
        }
        pthread_mutex_unlock(&d->lock);
        int rc = job_do(d, j) ? 0 : -ERR_IO;
        pthread_mutex_lock(&d->lock);
        d->first = j->next;
        d->last = d->first ? d->last : &d->first;
        j->rc = rc;
        j->is_done = true;
        pthread_cond_broadcast(&d->done);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

void disk_submit(Disk *d, DiskJob *job)
{
    job->is_done = false;
    job->next = NULL;
    if (!d->has_thread) {
        d->has_thread = !pthread_create(&d->thread, NULL, worker, d);
    }
    if (!d->has_thread) { /* the host has no thread to spare: the guest cannot tell */
        job->rc = job_do(d, job) ? 0 : -ERR_IO;
        job->is_done = true;
        return;
    }
    pthread_mutex_lock(&d->lock);
    *d->last = job;
    d->last = &job->next;
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
}

void disk_wait(Disk *d, DiskJob *job)
{
    pthread_mutex_lock(&d->lock);
    while (!job->is_done) {
        pthread_cond_wait(&d->done, &d->lock);
    }
    pthread_mutex_unlock(&d->lock);
}

/* ---- life ---- */
static int native(Err *err, const char *path, const char *what)
{
    int code = errno == ENOENT ? ERR_NOENT : errno == EACCES || errno == EPERM || errno == EROFS ? ERR_DENIED : ERR_IO;
    return err_native(err, code, errno, "drive %.200s: %s", path, what);
}

static int size_find(File *f, Err *err)
{
    struct stat st;
    if (fstat(f->fd, &st)) {
        return native(err, f->path, "it cannot be looked at");
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return err_set(err, ERR_INVAL, "drive %.200s: expected a file or a block device", f->path);
    }
    off_t end = S_ISREG(st.st_mode) ? st.st_size : lseek(f->fd, 0, SEEK_END);
    if (end <= 0 || end % DISK_SECTOR_BYTES) {
        return err_set(err, ERR_INVAL, "drive %.200s: %lld bytes, expected a multiple of %d", f->path, (long long)end,
                       DISK_SECTOR_BYTES);
    }
    f->size_bytes = (uint64_t)end;
    return f->size_bytes <= DISK_MAX_BYTES ? 0
                                           : err_set(err, ERR_LIMIT, "drive %.200s: more than %llu bytes", f->path,
                                                     (unsigned long long)DISK_MAX_BYTES);
}

/* File systems without locks are left alone. */
static int file_lock(const File *f, bool writes, Err *err)
{
    struct flock lock = {.l_type = writes ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(f->fd, F_OFD_SETLK, &lock) && (errno == EAGAIN || errno == EACCES)) {
        return err_set(err, ERR_BUSY, "drive %.200s: somebody %s it%s", f->path, writes ? "uses" : "writes",
                       writes ? "; options ro and overlay share it with others who do not write" : "");
    }
    return 0;
}

static Disk *disk_of(File *f, uint32_t flags)
{
    Disk *d = x_alloc(sizeof *d);
    *d = (Disk){.file = f, .flags = flags, .last = &d->first};
    d->overlay = flags & DISK_OVERLAY ? overlay_new(f->size_bytes) : NULL;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->work, NULL);
    pthread_cond_init(&d->done, NULL);
    return d;
}

static void file_close(File *f)
{
    if (atomic_fetch_sub(&f->nusers, 1) == 1) {
        close(f->fd);
        mem_free(f->path);
        mem_free(f);
    }
}

int disk_open(const char *path, uint32_t flags, Disk **out, Err *err)
{
    bool writes = !(flags & (DISK_READ_ONLY | DISK_OVERLAY));
    int fd =
        open(path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK); /* a pipe is found out, not waited for */
    if (fd < 0) {
        int code = errno;
        bool is_readable = writes && !access(path, R_OK);
        errno = code;
        return code == EISDIR ? err_set(err, ERR_INVAL, "drive %.200s: expected a file or a block device", path)
                              : native(err, path,
                                       is_readable ? "it cannot be written; options ro and overlay only read it"
                                                   : "it cannot be opened");
    }
    File *f = x_alloc(sizeof *f);
    *f = (File){.fd = fd, .path = x_strdup(path)};
    atomic_init(&f->nusers, 1);
    int rc = size_find(f, err);
    rc = rc ? rc : file_lock(f, writes, err);
    if (rc) {
        file_close(f);
        return rc;
    }
    *out = disk_of(f, flags);
    return 0;
}

Disk *disk_twin(const Disk *d)
{
    atomic_fetch_add(&d->file->nusers, 1);
    return disk_of(d->file, d->flags);
}

void disk_free(Disk *d)
{
    if (!d) {
        return;
    }
    if (d->has_thread) {
        pthread_mutex_lock(&d->lock);
        assert(!d->first);
        d->is_ending = true;
        pthread_cond_signal(&d->work);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
    }
    overlay_free(d->overlay);
    pthread_cond_destroy(&d->done);
    pthread_cond_destroy(&d->work);
    pthread_mutex_destroy(&d->lock);
    file_close(d->file);
    mem_free(d);
}

uint64_t disk_size_bytes(const Disk *d)
{
    return d->file->size_bytes;
}

uint32_t disk_flags(const Disk *d)
{
    return d->flags;
}

const char *disk_path(const Disk *d)
{
    return d->file->path;
}

const Overlay *disk_overlay(const Disk *d)
{
    return d->overlay;
}

void disk_overlay_set(Disk *d, Overlay *o)
{
    overlay_free(d->overlay);
    d->overlay = o;
}
