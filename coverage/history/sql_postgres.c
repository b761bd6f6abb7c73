/* SPDX-License-Identifier: Apache-2.0
 * sql_postgres.c - PostgreSQL through libpq: arguments and results in binary, so that bytes need no quoting. */
#include "coverage/history/sql.h"

#include <endian.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>

#define LIBRARY "libpq.so.5"
/* clang-format off */
#define CALLS(X)                                                                                                       \
    X(PQconnectdb) X(PQfinish) X(PQstatus) X(PQerrorMessage) X(PQexec) X(PQexecParams) X(PQresultStatus) X(PQclear)    \
    X(PQresultErrorField) X(PQntuples) X(PQgetvalue) X(PQgetlength) X(PQgetisnull) X(PQsetNoticeProcessor)             \
    X(PQresultErrorMessage)
/* clang-format on */
#define X(name) __typeof__(name) *name##_at;
typedef struct {
    CALLS(X)
} Library;
#undef X

typedef struct {
    Sql sql;
    const Library *lib;
    PGconn *connection;
    uint64_t busy_ms;
    char *name;
} Postgres;
typedef struct {
    SqlRows rows;
    PGresult *result;
    int at, n;
} PostgresRows;

/* Types of arguments: src/include/catalog/pg_type.dat, which never change. */
enum { INT8OID = 20, TEXTOID = 25, FLOAT8OID = 701, BYTEAOID = 17 };
enum { NARGS = 128 };

static Library library;

static int library_load(Err *err)
{
    static const SqlSymbol SYMBOLS[] = {
#define X(name) {#name, offsetof(Library, name##_at)},
        CALLS(X)
#undef X
    };
    return sql_load(LIBRARY, SYMBOLS, ARRAY_LEN(SYMBOLS), &library)
               ? 0
               : err_set(err, ERR_UNAVAILABLE,
                         "a history in PostgreSQL needs " LIBRARY "; on Debian: apt-get install libpq5");
}

static void quiet(void *ctx, const char *text)
{
    (void)ctx; /* notices, such as that a table is there already */
    (void)text;
}

/* libpq's texts have several lines. */
static void one_line(const char *text, char *out, size_t n)
{
    size_t at = 0;
    for (; *text && at + 1 < n; text++) {
        out[at++] = *text == '\n' || *text == '\t' ? ' ' : *text;
    }
    while (at && out[at - 1] == ' ') {
        at--;
    }
    out[at] = 0;
}

/* SQLSTATE: PostgreSQL's appendix A. */
static int fail(const Postgres *s, const PGresult *result, Err *err)
{
    const char *state = result ? s->lib->PQresultErrorField_at(result, PG_DIAG_SQLSTATE) : NULL;
    char text[240];
    one_line(result ? s->lib->PQresultErrorMessage_at(result) : s->lib->PQerrorMessage_at(s->connection), text,
             sizeof text);
    if (!state) {
        return err_set(err, ERR_UNAVAILABLE, "%s: %s", s->sql.where, text[0] ? text : "the server is gone");
    }
    if (!strcmp(state, "53100")) {
        return err_set(err, ERR_LIMIT, "%s: no room left (%s); nothing was added, what was there is whole",
                       s->sql.where, text);
    }
    if (!strcmp(state, "55P03") || !strcmp(state, "57014") || !strncmp(state, "40", 2)) {
        return err_set(err, ERR_BUSY, "%s: another program has been writing for %" PRIu64 " s; try again", s->sql.where,
                       s->busy_ms / 1000);
    }
    if (!strcmp(state, "42501") || !strncmp(state, "28", 2) || !strcmp(state, "25006")) {
        return err_set(err, ERR_DENIED, "%s: %s", s->sql.where, text);
    }
    if (!strncmp(state, "57", 2) || !strncmp(state, "08", 2)) {
        return err_set(err, ERR_UNAVAILABLE, "%s: %s", s->sql.where, text);
    }
    if (!strncmp(state, "XX", 2)) {
        return err_set(err, ERR_PROTO, "%s: damaged (%s)", s->sql.where, text);
    }
    return err_set(err, ERR_IO, "%s: %s (SQLSTATE %s)", s->sql.where, text, state);
}

static int finish(const Postgres *s, PGresult *result, Err *err)
{
    ExecStatusType status = result ? s->lib->PQresultStatus_at(result) : PGRES_FATAL_ERROR;
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY
               ? 0
               : fail(s, result, err);
}

static int exec(Sql *sql, const char *text, Err *err)
{
    Postgres *s = (Postgres *)sql;
    PGresult *result = s->lib->PQexec_at(s->connection, text);
    int rc = finish(s, result, err);
    s->lib->PQclear_at(result);
    return rc;
}

static int query(Sql *sql, const char *text, const SqlArg *args, size_t n, SqlRows **out, Err *err)
{
    Postgres *s = (Postgres *)sql;
    Oid types[NARGS];
    const char *values[NARGS];
    int lengths[NARGS], formats[NARGS];
    uint64_t numbers[NARGS];
    if (n > NARGS) {
        return err_set(err, ERR_LIMIT, "a statement with %zu arguments", n);
    }
    for (size_t i = 0; i < n; i++) {
        const SqlArg *a = &args[i];
        uint64_t bits = (uint64_t)a->i;
        if (a->type == SQL_REAL) {
            memcpy(&bits, &a->d, sizeof bits);
        }
        numbers[i] = htobe64(bits);
        bool is_number = a->type == SQL_INT || a->type == SQL_REAL;
        types[i] = a->type == SQL_INT    ? INT8OID
                   : a->type == SQL_REAL ? FLOAT8OID
                   : a->type == SQL_TEXT ? TEXTOID
                   : a->type == SQL_BLOB ? BYTEAOID
                                         : 0;
        values[i] = a->type == SQL_NULL ? NULL : is_number ? (const char *)&numbers[i] : a->p ? a->p : "";
        lengths[i] = is_number ? 8 : (int)a->n;
        formats[i] = a->type != SQL_TEXT;
    }
    PGresult *result = s->lib->PQexecParams_at(s->connection, text, (int)n, types, values, lengths, formats, 1);
    int rc = finish(s, result, err);
    if (rc) {
        s->lib->PQclear_at(result);
        return rc;
    }
    PostgresRows *r = x_alloc(sizeof *r);
    *r = (PostgresRows){.rows.sql = sql, .result = result, .at = -1, .n = s->lib->PQntuples_at(result)};
    *out = &r->rows;
    return 0;
}

static int next(SqlRows *rows, Err *err)
{
    PostgresRows *r = (PostgresRows *)rows;
    (void)err; /* all rows are here already */
    return ++r->at < r->n;
}

static void end(SqlRows *rows)
{
    PostgresRows *r = (PostgresRows *)rows;
    ((const Postgres *)rows->sql)->lib->PQclear_at(r->result);
    mem_free(r);
}

static const char *value(const SqlRows *rows, int column, size_t *n)
{
    const PostgresRows *r = (const PostgresRows *)rows;
    const Library *l = ((const Postgres *)rows->sql)->lib;
    bool is_null = l->PQgetisnull_at(r->result, r->at, column);
    *n = is_null ? 0 : (size_t)l->PQgetlength_at(r->result, r->at, column);
    return is_null ? "" : l->PQgetvalue_at(r->result, r->at, column);
}

/* Integers come as wide as their type is; all of ours are 8 bytes. */
static uint64_t bits_of(const SqlRows *rows, int column)
{
    size_t n;
    const unsigned char *p = (const unsigned char *)value(rows, column, &n);
    uint64_t bits = 0;
    for (size_t i = 0; i < n && i < 8; i++) {
        bits = bits << 8 | p[i];
    }
    return bits;
}

static int64_t get_int(const SqlRows *rows, int column)
{
    return (int64_t)bits_of(rows, column);
}

static double get_real(const SqlRows *rows, int column)
{
    uint64_t bits = bits_of(rows, column);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static const char *get_text(const SqlRows *rows, int column, size_t *n)
{
    size_t length;
    return value(rows, column, n ? n : &length); /* libpq puts a 0 behind each value */
}

static const void *get_blob(const SqlRows *rows, int column, size_t *n)
{
    return value(rows, column, n);
}

static int nothing(Sql *sql, Err *err)
{
    (void)sql; /* autovacuum and checksums are the server's */
    (void)err;
    return 0;
}

static void close_db(Sql *sql)
{
    Postgres *s = (Postgres *)sql;
    s->lib->PQfinish_at(s->connection);
    mem_free(s->name);
    mem_free(s);
}

static const SqlOps OPS = {
    .id_type = "BIGSERIAL PRIMARY KEY",
    .blob_type = "BYTEA",
    .int_type = "BIGINT",
    /* The number is any that all writers of a history agree on; the lock is of this database and ends with the transaction. */
    .begin_write = "BEGIN; SELECT pg_advisory_xact_lock(6514371100)",
    .begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    .tables = "SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('conf_meta')",
    .others = NULL, /* a schema may be shared: our names begin with conf_ */
    .close = close_db,
    .exec = exec,
    .query = query,
    .next = next,
    .end = end,
    .get_int = get_int,
    .get_real = get_real,
    .get_text = get_text,
    .get_blob = get_blob,
    .shrink = nothing,
    .check = nothing,
};

int sql_postgres_open(const SqlOpen *o, Sql **out, Err *err)
{
    int rc = library_load(err);
    if (rc) {
        return rc;
    }
    Buf shown = {0};
    sql_show_url(o->where, &shown);
    Postgres *s = x_alloc(sizeof *s);
    s->lib = &library;
    s->name = buf_take(&shown);
    s->sql = (Sql){.ops = &OPS, .where = s->name};
    s->busy_ms = o->busy_ms;
    s->connection = s->lib->PQconnectdb_at(o->where);
    if (!s->connection || s->lib->PQstatus_at(s->connection) != CONNECTION_OK) {
        rc = fail(s, NULL, err);
        close_db(&s->sql);
        return rc;
    }
    s->lib->PQsetNoticeProcessor_at(s->connection, quiet, NULL);
    char text[160];
    snprintf(text, sizeof text,
             "SET client_encoding = 'UTF8'; SET lock_timeout = %" PRIu64 "; SET bytea_output = 'hex'",
             o->busy_ms > INT32_MAX ? (uint64_t)INT32_MAX : o->busy_ms);
    rc = exec(&s->sql, text, err);
    if (rc) {
        close_db(&s->sql);
        return rc;
    }
    *out = &s->sql;
    return 0;
}
