/* SPDX-License-Identifier: Apache-2.0
 * os.c - os.h on Windows. */
#include "sim/base/os.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

enum { OUT_OF_MEMORY = 70 };

uint64_t os_now_ns(void)
{
    static LARGE_INTEGER rate; /* the same for all who write it */
    LARGE_INTEGER now;
    if (!rate.QuadPart) {
        QueryPerformanceFrequency(&rate);
    }
    QueryPerformanceCounter(&now);
    uint64_t hz = (uint64_t)rate.QuadPart, n = (uint64_t)now.QuadPart;
    return n / hz * 1000000000u + n % hz * 1000000000u / hz;
}

int64_t os_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void os_sem_wait_until(sem_t *sem, uint64_t until_ns)
{
    if (until_ns == UINT64_MAX) {
        sem_wait(sem);
        return;
    }
    /* winpthreads waits by the clock of the day: for what is left, from now on */
    uint64_t now = os_now_ns(), left = until_ns > now ? until_ns - now : 0;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    left += (uint64_t)t.tv_nsec;
    t.tv_sec += (time_t)(left / 1000000000u);
    t.tv_nsec = (long)(left % 1000000000u);
    sem_timedwait(sem, &t);
}

static int failed(const char *path, DWORD error, Err *err)
{
    int code = error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND ? ERR_NOENT
               : error == ERROR_ACCESS_DENIED                                 ? ERR_DENIED
                                                                              : ERR_IO;
    int rc = err_set(err, code, "%s: error %lu of Windows", path, (unsigned long)error);
    if (err) {
        err->native = (int64_t)error;
    }
    return rc;
}

int os_read_file(const char *path, size_t max_bytes, Buf *out, Err *err)
{
    HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        return failed(path, GetLastError(), err);
    }
    int rc = 0;
    char chunk[16384];
    size_t total = 0;
    for (;;) {
        DWORD n;
        if (!ReadFile(file, chunk, sizeof chunk, &n, NULL)) {
            rc = failed(path, GetLastError(), err);
            break;
        }
        if (!n) {
            break;
        }
        total += n;
        if (total > max_bytes) {
            rc = err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, max_bytes);
            break;
        }
        buf_bytes(out, chunk, n);
    }
    CloseHandle(file);
    return rc;
}

static int write_new(const char *path, const char *at, size_t n, Err *err)
{
    HANDLE file = CreateFileA(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        return failed(path, GetLastError(), err);
    }
    int rc = 0;
    while (n && !rc) {
        DWORD part = n < (1u << 30) ? (DWORD)n : 1u << 30, done = 0;
        rc = WriteFile(file, at, part, &done, NULL) ? 0 : failed(path, GetLastError(), err);
        at += done;
        n -= done;
    }
    CloseHandle(file);
    return rc;
}

int os_write_file(const char *path, const void *bytes, size_t n, Err *err)
{
    Buf tmp = {0};
    buf_printf(&tmp, "%s.tmp.%lu", path, (unsigned long)GetCurrentProcessId());
    int rc = write_new(tmp.data, bytes, n, err);
    if (!rc && !MoveFileExA(tmp.data, path, MOVEFILE_REPLACE_EXISTING)) {
        rc = failed(path, GetLastError(), err);
    }
    if (rc) {
        DeleteFileA(tmp.data);
    }
    buf_free(&tmp);
    return rc;
}

void *os_pages_new(size_t size_bytes)
{
    void *p = VirtualAlloc(NULL, size_bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (!p) {
        fprintf(stderr, "conf: out of memory (%zu bytes)\n", size_bytes);
        exit(OUT_OF_MEMORY);
    }
    return p;
}

void os_pages_free(void *p, size_t size_bytes)
{
    (void)size_bytes;
    if (p) {
        VirtualFree(p, 0, MEM_RELEASE);
    }
}

void os_pages_clear(void *p, size_t size_bytes)
{
    VirtualFree(p, size_bytes, MEM_DECOMMIT);
    if (!VirtualAlloc(p, size_bytes, MEM_COMMIT, PAGE_READWRITE)) {
        fprintf(stderr, "conf: out of memory (%zu bytes)\n", size_bytes);
        exit(OUT_OF_MEMORY);
    }
}
