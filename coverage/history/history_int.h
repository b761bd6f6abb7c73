/* SPDX-License-Identifier: Apache-2.0
 * history_int.h - what the files of the history share. The schema is schema.c's, the bytes of a chunk are pack.c's. */
#ifndef COVERAGE_HISTORY_HISTORY_INT_H
#define COVERAGE_HISTORY_HISTORY_INT_H

#include "coverage/history/history.h"
#include "coverage/history/sql.h"

enum { HISTORY_SCHEMA = 2, HISTORY_UID_MAX = 64 };
struct History {
    Sql *sql;
};
/* Makes or migrates the tables; up_to: the version to stop at (HISTORY_SCHEMA; tests make older ones). */
MUST_USE int schema_prepare(Sql *sql, int up_to, bool is_reader, Err *err);
/* "conf_run" etc., children first. */
extern const char *const SCHEMA_TABLES[];
extern const size_t SCHEMA_NTABLES;

/* ---- names.c: from text to a number ---- */
typedef struct {
    struct {
        const char *key;
        size_t n;
        int64_t value;
    } * slots;
    size_t n, cap;
    Arena *arena;
} Names;
int64_t *names_find(const Names *m, const void *key, size_t n); /* NULL: not there */
const char *names_add(Names *m, const void *key, size_t n,
                      int64_t value); /* not there yet; returns the copy of the key */
void names_free(Names *m);

/* ---- pack.c: the columns of a block, as bytes ---- */
/* A chunk is CRC-32, length and the bytes, deflated where that helps. */
void pack_chunk(Buf *out, const Buf *raw);
/* *raw is the caller's (mem_free). what: for messages, "chunk 7 of FILE". -ERR_PROTO. */
MUST_USE int unpack_chunk(const void *bytes, size_t n, const char *what, uint8_t **raw, size_t *nraw, Err *err);
void pack_varint(Buf *out, uint64_t v);
uint64_t unpack_varint(Cursor *c); /* a wrong one makes the cursor short */
uint16_t pack_duration(uint64_t ns);
uint64_t unpack_duration(uint16_t code);
enum { PACK_MAX_ITEMS = 1 << 24, PACK_MAX_BYTES = 1 << 28 }; /* of a chunk that is believed */
/* Ascending numbers. */
void pack_ids(Buf *out, const int64_t *ids, size_t n);
/* *ids is the caller's. */
MUST_USE int unpack_ids(const uint8_t *raw, size_t n, const char *what, int64_t **ids, size_t *nids, Err *err);
/* A sparse column of n: n, then (gap, value) where the value is not 0. out is the caller's, of n. */
void pack_sparse(Buf *out, const int64_t *values, size_t n);
MUST_USE int unpack_sparse(const uint8_t *raw, size_t nraw, const char *what, int64_t *out, size_t n, Err *err);
/* Three columns of n one after the other. */
typedef struct {
    uint64_t exits, transitions;
    uint32_t retries;
} PackCounts;
void pack_counts(Buf *out, const PackCounts *counts, size_t n);
MUST_USE int unpack_counts(const uint8_t *raw, size_t nraw, const char *what, PackCounts *out, size_t n, Err *err);

/* ---- add.c ---- */
/* A text made harmless: UTF-8 without control characters but \n and \t; NULL is "". Returns text itself where it is. */
const char *text_harmless(Arena *a, const char *text);

/* ---- view.c ---- */
/* All texts or cases that the numbers name: a map from number to text. */
typedef struct {
    int64_t id;
    const char *text;
} IdText;
typedef VEC(IdText) IdTexts; /* sorted by id */
MUST_USE int load_texts(Sql *sql, const int64_t *ids, size_t n, Arena *arena, IdTexts *out, Err *err);
const char *id_text(const IdTexts *t, int64_t id); /* "" if it is not there */
MUST_USE int load_chunk(Sql *sql, int64_t id, uint8_t **raw, size_t *n, Err *err);
/* A row of the view by case: statuses; packed durations (NULL: not loaded). */
const uint8_t *view_statuses(const HistoryView *v, size_t run, size_t backend);
const uint16_t *view_durations(const HistoryView *v, size_t run, size_t backend);
int ids_compare(const void *a, const void *b); /* int64_t, for qsort */
size_t ids_unique(int64_t *ids, size_t n);     /* sorts, drops what is double */
#endif
