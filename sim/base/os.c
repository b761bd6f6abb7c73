/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t os_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t os_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void os_sem_wait_until(sem_t *sem, uint64_t until_ns)
{
    struct timespec t = {.tv_sec = (time_t)(until_ns / 1000000000u), .tv_nsec = (long)(until_ns % 1000000000u)};
    if (until_ns == UINT64_MAX) {
        sem_wait(sem);
    } else {
        sem_clockwait(sem, CLOCK_MONOTONIC, &t);
    }
}

static int code_of_errno(int e)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOENT;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    default:
        return ERR_IO;
    }
}

int os_read_file(const char *path, size_t max_bytes, Buf *out, Err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_native(err, code_of_errno(errno), errno, "%s", path);
    }
    int rc = 0;
    enum { CHUNK = 1 << 14, LARGE = 4 << 20 };
    struct stat st;
    size_t total = 0, size = fstat(fd, &st) || st.st_size < 0 ? 0 : (size_t)st.st_size;
    size = size < max_bytes ? size : max_bytes;
    buf_reserve(out, size + 1); /* one more, to see that it ends there */
    if (size >= LARGE) {
        os_pages_large(out->data + out->n, size);
    }
    for (;;) {
        if (out->n + 1 == out->cap) {
            buf_reserve(out, CHUNK);
        }
        ssize_t n = read(fd, out->data + out->n, out->cap - out->n - 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            rc = err_native(err, code_of_errno(errno), errno, "%s", path);
            break;
        }
        if (n == 0) {
            break;
        }
        total += (size_t)n;
        if (total > max_bytes) {
            rc = err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, max_bytes);
            break;
        }
        out->n += (size_t)n;
        out->data[out->n] = 0;
    }
    close(fd);
    return rc;
}

static int write_all(int fd, const char *path, const char *at, size_t n, Err *err)
{
    while (n) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return err_native(err, code_of_errno(errno), errno, "%s", path);
        }
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

static int write_closing(int fd, const char *path, const void *bytes, size_t n, Err *err)
{
    int rc = write_all(fd, path, bytes, n, err);
    if (close(fd) && !rc) {
        rc = err_native(err, code_of_errno(errno), errno, "%s", path);
    }
    return rc;
}

int os_write_file(const char *path, const void *bytes, size_t n, Err *err)
{
    struct stat st;
    bool is_special = !stat(path, &st) && !S_ISREG(st.st_mode); /* /dev/null, /dev/stdout, a pipe: never replaced */
    if (is_special) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? err_native(err, code_of_errno(errno), errno, "%s", path)
                      : write_closing(fd, path, bytes, n, err);
    }
    Buf tmp = {0};
    buf_printf(&tmp, "%s.tmp.%ld", path, (long)getpid());
    int rc;
    int fd = open(tmp.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        rc = err_native(err, code_of_errno(errno), errno, "%s cannot be written (nor a file beside it)", path);
        goto out;
    }
    rc = write_closing(fd, tmp.data, bytes, n, err);
    if (!rc && rename(tmp.data, path)) {
        rc = err_native(err, code_of_errno(errno), errno, "%s", path);
    }
    if (rc) {
        unlink(tmp.data);
    }
out:
    buf_free(&tmp);
    return rc;
}

/* Of the leak sanitizer, if it is there: what only such pages point to is no leak. */
void __lsan_register_root_region(const void *p, size_t n) __attribute__((weak));
void __lsan_unregister_root_region(const void *p, size_t n) __attribute__((weak));

void *os_pages_new(size_t size_bytes)
{
    void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "conf: out of memory (%zu bytes)\n", size_bytes);
        exit(70);
    }
    if (__lsan_register_root_region) {
        __lsan_register_root_region(p, size_bytes);
    }
    return p;
}

void os_pages_free(void *p, size_t size_bytes)
{
    if (p && __lsan_unregister_root_region) {
        __lsan_unregister_root_region(p, size_bytes);
    }
    if (p) {
        os_unmap(p, size_bytes);
    }
}

static _Thread_local bool is_left;

void os_pages_leave(bool is_it)
{
    is_left = is_it;
}

void os_unmap(void *p, size_t size_bytes)
{
    if (!is_left) {
        munmap(p, size_bytes);
    }
}

void os_pages_clear(void *p, size_t size_bytes)
{
    madvise(p, size_bytes, MADV_DONTNEED);
}

#ifndef MADV_POPULATE_WRITE /* Linux 5.14, glibc 2.35 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE /* Linux 6.1, glibc 2.37 */
#define MADV_COLLAPSE 25
#endif

/* A kernel that does not know the advice is right too. */
static void advise(void *p, size_t size_bytes, int advice)
{
    enum { PAGE = 4096, MUCH = 16 * PAGE };
    uintptr_t from = ((uintptr_t)p + PAGE - 1) / PAGE * PAGE, end = ((uintptr_t)p + size_bytes) / PAGE * PAGE;
    if (size_bytes >= MUCH) {
        madvise((void *)from, end - from, advice);
    }
}

void os_pages_touch(void *p, size_t size_bytes)
{
    advise(p, size_bytes, MADV_POPULATE_WRITE);
}

void os_pages_large(void *p, size_t size_bytes)
{
    advise(p, size_bytes, MADV_HUGEPAGE);
}

/* Asked for like this, shared memory has large pages whatever the host's settings are for others (madvise(2)). Some page must be there. */
static bool is_collapsed(void *p)
{
    (void)*(volatile char *)p;
    return !madvise(p, OS_LARGE_PAGE_BYTES, MADV_COLLAPSE);
}

void os_code_touch(void *code, void *exec, size_t at, size_t size_bytes)
{
    if (size_bytes == OS_LARGE_PAGE_BYTES && is_collapsed((char *)code + at) && is_collapsed((char *)exec + at)) {
        return;
    }
    advise((char *)code + at, size_bytes, MADV_POPULATE_WRITE);
    advise((char *)exec + at, size_bytes, MADV_POPULATE_READ);
}

/* Aligned to large pages. */
static void *map_shared(int fd, size_t size_bytes)
{
    enum { LARGE = OS_LARGE_PAGE_BYTES };
    char *all = mmap(NULL, size_bytes + LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        return MAP_FAILED;
    }
    size_t before = -(uintptr_t)all & (LARGE - 1);
    void *p = mmap(all + before, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    if (before) {
        munmap(all, before);
    }
    munmap(all + before + size_bytes, LARGE - before);
    return p;
}

void *os_code_make(void *exec, size_t size_bytes, size_t used_bytes)
{
    void *code = MAP_FAILED, *run = MAP_FAILED;
    int fd = memfd_create("code", MFD_CLOEXEC);
    if (fd >= 0 && !ftruncate(fd, (off_t)size_bytes)) {
        code = map_shared(fd, size_bytes);
    }
    if (code != MAP_FAILED) {
        memcpy(code, exec, used_bytes);
        run = mmap(exec, size_bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
    }
    if (run == MAP_FAILED) {
        perror("conf: memory for code");
        exit(70);
    }
    close(fd);
    return code;
}

void os_code_free(void *code, size_t size_bytes)
{
    os_unmap(code, size_bytes);
}
