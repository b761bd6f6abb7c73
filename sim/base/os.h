/* SPDX-License-Identifier: Apache-2.0
 * os.h - the few host services that everything needs. THREAD-SAFE. */
#ifndef SIM_BASE_OS_H
#define SIM_BASE_OS_H

#include "sim/base/buf.h"
#include "sim/base/err.h"

#include <semaphore.h>

uint64_t os_now_ns(void); /* monotonic */
int64_t os_wall_ms(void); /* of the clock on the wall, since 1970 */
/* Takes the semaphore, or returns when os_now_ns() reaches until_ns (UINT64_MAX: never), or for no reason. */
void os_sem_wait_until(sem_t *sem, uint64_t until_ns);
/* Reads a whole file; -ERR_NOENT, -ERR_DENIED, -ERR_IO, or -ERR_LIMIT when it is larger than max_bytes (checked while
 * reading, so that an endless device file is safe). out is appended to. */
MUST_USE int os_read_file(const char *path, size_t max_bytes, Buf *out, Err *err);
/* Writes path.tmp.PID and renames it over path: readers see the old or the new file, whole. What is
 * no regular file (/dev/null, /dev/stdout, a pipe) is written to in place. */
MUST_USE int os_write_file(const char *path, const void *bytes, size_t n, Err *err);
/* Zeroed pages that cost nothing until they are touched; for large tables of which little is used. Ends the process on
 * out-of-memory, as x_alloc. size_bytes is rounded up to whole pages by the host. */
void *os_pages_new(size_t size_bytes);
/* All of [p, p + size_bytes) is about to be written: if it is much, its pages are made at once, which costs less than one by one. */
void os_pages_touch(void *p, size_t size_bytes);
/* The same of memory that nobody shares: large pages are welcome. */
void os_pages_large(void *p, size_t size_bytes);
void os_pages_free(void *p, size_t size_bytes);
void os_pages_clear(void *p, size_t size_bytes); /* zero again, and cost nothing again */
/* What follows is not on Windows. Gives a mapping back. */
void os_unmap(void *p, size_t size_bytes);
/* What this thread gives back from now on, by os_unmap, os_pages_free or os_code_free, stays mapped (is_it), or no longer. For what is freed just before the
 * process ends: then the kernel takes all at once, in a third of the time. */
void os_pages_leave(bool is_it);
/* Memory for code. Whole pages [exec, exec + size_bytes) of os_pages_new become memory that is
 * mapped twice: run and read where it is, written at the address that is returned. Their first used_bytes stay what they are, the rest
 * is zero. Ends the process if the host does not give it. exec goes with its pages, the other address with os_code_free. */
enum { OS_LARGE_PAGE_BYTES = 2 << 20 };
void *os_code_make(void *exec, size_t size_bytes, size_t used_bytes);
/* Bytes from at on, of both, are about to be used: their pages are made at once, as far as the host can do that. OS_LARGE_PAGE_BYTES become one
 * page, if exec is aligned to that, as at is, and the host has such pages; what is in them stays. */
void os_code_touch(void *code, void *exec, size_t at, size_t size_bytes);
void os_code_free(void *code, size_t size_bytes);
#endif
