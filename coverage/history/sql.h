/* SPDX-License-Identifier: Apache-2.0
 * sql.h - the little that the history needs of a SQL database, the same for SQLite and PostgreSQL.
 *
 * Statements are written with $1, $2 ... in this order, each once. Rows are read before the next write; several readings may be
 * open at once. One thread at a time. The client libraries are loaded at the first use: what they bring would else be mapped into
 * every worker process too. */
#ifndef COVERAGE_HISTORY_SQL_H
#define COVERAGE_HISTORY_SQL_H

#include "sim/base/buf.h"
#include "sim/base/err.h"
#include "sim/base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum { SQL_INT, SQL_REAL, SQL_TEXT, SQL_BLOB, SQL_NULL } SqlType;
typedef struct {
    SqlType type;
    int64_t i;
    double d;
    const void *p; /* TEXT (0-terminated), BLOB: borrowed for the call */
    size_t n;
} SqlArg;
static inline SqlArg sql_int(int64_t i)
{
    return (SqlArg){.type = SQL_INT, .i = i};
}
static inline SqlArg sql_real(double d)
{
    return (SqlArg){.type = SQL_REAL, .d = d};
}
static inline SqlArg sql_text(const char *s)
{
    return (SqlArg){.type = SQL_TEXT, .p = s ? s : "", .n = s ? strlen(s) : 0};
}
static inline SqlArg sql_blob(const void *p, size_t n)
{
    return (SqlArg){.type = SQL_BLOB, .p = p, .n = n};
}
static inline SqlArg sql_null(void)
{
    return (SqlArg){.type = SQL_NULL};
}

typedef struct Sql Sql;
typedef struct SqlRows SqlRows;
typedef struct {
    const char *id_type, *blob_type; /* of a column: a primary key that counts by itself; bytes */
    const char *int_type;            /* 64 bits */
    const char *begin_write;         /* waits for every other writer */
    const char *begin_read;          /* all that is read until the end is of one moment */
    const char *tables;              /* counts the tables that are ours: conf_meta */
    const char *others;              /* counts the tables that are not; NULL = they may be there */
    void (*close)(Sql *s);
    int (*exec)(Sql *s, const char *text, Err *err); /* one or more statements without arguments */
    int (*query)(Sql *s, const char *text, const SqlArg *args, size_t n, SqlRows **out, Err *err);
    int (*next)(SqlRows *r, Err *err); /* 1: a row, 0: no more, -ERR_x */
    void (*end)(SqlRows *r);
    int64_t (*get_int)(const SqlRows *r, int column);
    double (*get_real)(const SqlRows *r, int column);
    /* Until the next row; never NULL. n may be NULL. */
    const char *(*get_text)(const SqlRows *r, int column, size_t *n);
    const void *(*get_blob)(const SqlRows *r, int column, size_t *n);
    int (*shrink)(Sql *s, Err *err); /* gives back what was freed; outside of a transaction */
    int (*check)(Sql *s, Err *err);  /* the database's own check of its structure */
} SqlOps;
struct Sql { /* the head of each kind's own */
    const SqlOps *ops;
    const char *where; /* for messages, without a password */
};
struct SqlRows {
    Sql *sql;
};
typedef struct {
    const char *where;
    bool is_reader;
    uint64_t max_bytes, busy_ms;
} SqlOpen;
MUST_USE int sql_sqlite_open(const SqlOpen *o, Sql **out, Err *err);
MUST_USE int sql_postgres_open(const SqlOpen *o, Sql **out, Err *err);
/* The functions of a client library, which stays loaded: to[at] is the pointer of each. False: one of them is not there. */
typedef struct {
    const char *name;
    size_t at; /* offset in *to */
} SqlSymbol;
bool sql_load(const char *library, const SqlSymbol *symbols, size_t n, void *to);
bool sql_is_url(const char *where); /* postgresql://, postgres:// */
/* Appends the URL without its password. */
void sql_show_url(const char *url, Buf *out);

/* A statement that returns no row. */
MUST_USE int sql_run(Sql *s, const char *text, const SqlArg *args, size_t n, Err *err);
/* The first column of the first row; *found (may be NULL) false and *out 0: no row. */
MUST_USE int sql_one(Sql *s, const char *text, const SqlArg *args, size_t n, int64_t *out, bool *found, Err *err);
#define SQL_ARGS(...) (const SqlArg[]){__VA_ARGS__}, sizeof((const SqlArg[]){__VA_ARGS__}) / sizeof(SqlArg)
#define SQL_NO_ARGS   NULL, 0
/* Calls on_row for each row, while the rows are valid; the accessors are rows->sql->ops'. */
MUST_USE int sql_each(Sql *s, const char *text, const SqlArg *args, size_t n,
                      void (*on_row)(void *ctx, const SqlRows *rows), void *ctx, Err *err);
/* Ends a transaction: COMMIT if rc is 0, else ROLLBACK. Returns rc, or what COMMIT came to. */
MUST_USE int sql_finish(Sql *s, int rc, Err *err);
#endif
