/* SPDX-License-Identifier: Apache-2.0
 * store.h - what was made once, under a key of all that it was made from: for other vcpus of this process, and, by a file, for later ones.
 * What a record holds is for who adds it to know (recall.c); here it is bytes.
 *
 * The file holds code that will be run, and is trusted as the program itself is: one that somebody else owns or could write is refused. What is in
 * it is checked all the same, as files are damaged. Keys are of a hash with a secret of the store, so that no guest can make two blocks of one key.
 * THREADS. find and add: any, at any time. */
#ifndef SIM_JIT_STORE_H
#define SIM_JIT_STORE_H

#include "sim/base/buf.h"
#include "sim/base/err.h"

typedef struct CodeStore CodeStore;
typedef struct {
    uint64_t w[2];
} CodeKey;
enum { STORE_MAX_BYTES = 64 << 20 }; /* of records, in memory and in a file */

CodeStore *code_store_new(const uint64_t secret[2]); /* NULL: a random one, or that of the file */
void code_store_free(CodeStore *s);                  /* NULL is fine */
CodeKey code_store_key(const CodeStore *s, const void *bytes, size_t n);
/* The record, aligned to 8, which stays as long as the store; NULL: there is none. */
const void *code_store_find(CodeStore *s, CodeKey key, size_t *n);
/* Does nothing if there is one of that key already, or no room. bytes are copied. */
void code_store_add(CodeStore *s, CodeKey key, const void *bytes, size_t n);
typedef struct {
    uint64_t records, bytes, found, added, wanting; /* wanting: were looked for, and not there */
    uint64_t left_out;                              /* for want of room */
    bool was_other; /* the file was of another build of the program, or for another processor, and counted as empty */
} CodeStoreStats;
CodeStoreStats code_store_stats(CodeStore *s);

/* Before all else: the records of a file. 0 also if there is none, or it was_other. Else -ERR_DENIED if it is not this user's alone to write, or
 * -ERR_INVAL with the offset and what was expected there, -ERR_LIMIT, -ERR_IO; then nothing was read. */
MUST_USE int code_store_load(CodeStore *s, const char *path, Err *err);
/* The file is replaced by another of mode 0600, if there is enough that is new. Records that were not used for the longest time are left out if
 * they are too many. With several processes the last one's stays. -ERR_DENIED, -ERR_IO; -ERR_INVAL: path is something else than
 * such a file, an empty one or none, and stays as it is. */
MUST_USE int code_store_save(CodeStore *s, const char *path, Err *err);
/* The same from, and to, memory. */
MUST_USE int code_store_read(CodeStore *s, const void *bytes, size_t n, const char *name, Err *err);
void code_store_write(CodeStore *s, Buf *out);
void code_store_sum(Buf *file); /* makes length and sum right: for tests */
#endif
