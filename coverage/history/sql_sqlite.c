/* SPDX-License-Identifier: Apache-2.0
 * sql_sqlite.c - SQLite 3: a file in WAL mode, so that readers never wait and a writer that is killed leaves nothing behind. */
#include "coverage/history/sql.h"
#include "sim/base/os.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY "libsqlite3.so.0"
/* clang-format off */
#define CALLS(X)                                                                                                       \
    X(sqlite3_open_v2) X(sqlite3_close_v2) X(sqlite3_exec) X(sqlite3_free) X(sqlite3_errmsg) X(sqlite3_prepare_v2)     \
    X(sqlite3_extended_errcode) X(sqlite3_system_errno) X(sqlite3_busy_timeout) X(sqlite3_step) X(sqlite3_finalize)    \
    X(sqlite3_bind_int64) X(sqlite3_bind_double) X(sqlite3_bind_text) X(sqlite3_bind_blob64) X(sqlite3_bind_null)      \
    X(sqlite3_column_int64) X(sqlite3_column_double) X(sqlite3_column_text) X(sqlite3_column_blob)                     \
    X(sqlite3_column_bytes) X(sqlite3_errstr) X(sqlite3_get_autocommit) X(sqlite3_reset)
/* clang-format on */
#define X(name) __typeof__(name) *name##_at;
typedef struct {
    CALLS(X)
} Library;
#undef X

enum { NSTATEMENTS = 8 }; /* kept prepared: those of the loops of history_add */
typedef struct {
    char *text; /* NULL: free */
    sqlite3_stmt *statement;
    bool is_used;
} Prepared;
typedef struct {
    Sql sql;
    const Library *lib;
    sqlite3 *db;
    uint64_t busy_ns;
    Prepared prepared[NSTATEMENTS];
    char *name;
} Sqlite;
typedef struct {
    SqlRows rows;
    sqlite3_stmt *statement;
    Prepared *prepared; /* NULL: its own */
} SqliteRows;

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
                         "the history needs " LIBRARY "; on Debian: apt-get install libsqlite3-0");
}

/* What went wrong last, as one of our codes with what to do about it. */
static int fail(const Sqlite *s, int code, Err *err)
{
    const char *text = s->lib->sqlite3_errmsg_at(s->db);
    int system = s->lib->sqlite3_system_errno_at(s->db);
    int extended = s->lib->sqlite3_extended_errcode_at(s->db);
    code &= 0xff;
    if (code == SQLITE_FULL || (code == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT))) {
        return err_set(err, ERR_LIMIT, "%s: no room left (%s); nothing was added, what was there is whole",
                       s->sql.where, system ? strerror(system) : text);
    }
    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_BUSY, "%s: another program has been writing for %" PRIu64 " s; try again", s->sql.where,
                       s->busy_ns / 1000000000);
    case SQLITE_NOTADB:
        return err_set(err, ERR_PROTO, "%s: no history: the file is no SQLite database", s->sql.where);
    case SQLITE_CORRUPT:
        return err_set(err, ERR_PROTO, "%s: damaged (%s); what can be saved: sqlite3 FILE .recover", s->sql.where,
                       text);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return err_set(err, ERR_DENIED, "%s: cannot be written (%s)", s->sql.where, text);
    case SQLITE_CANTOPEN:
        return system == ENOENT ? err_set(err, ERR_NOENT, "%s: no such file", s->sql.where)
               : system == EACCES || system == EPERM || system == EROFS
                   ? err_set(err, ERR_DENIED, "%s: %s", s->sql.where, strerror(system))
                   : err_set(err, ERR_IO, "%s: cannot be opened%s%s", s->sql.where, system ? ": " : "",
                             system ? strerror(system) : "");
    default:
        return err_set(err, ERR_IO, "%s: %s (SQLite %d)", s->sql.where, text, extended);
    }
}

static int exec(Sql *sql, const char *text, Err *err)
{
    Sqlite *s = (Sqlite *)sql;
    int code = s->lib->sqlite3_exec_at(s->db, text, NULL, NULL, NULL);
    return code ? fail(s, code, err) : 0;
}

static Prepared *prepared_of(Sqlite *s, const char *text)
{
    for (size_t i = 0; i < NSTATEMENTS; i++) {
        Prepared *p = &s->prepared[i];
        if (!p->text || !strcmp(p->text, text)) {
            return p->is_used ? NULL : p;
        }
    }
    return NULL;
}

static int bind(const Sqlite *s, sqlite3_stmt *statement, const SqlArg *args, size_t n)
{
    int code = 0;
    for (size_t i = 0; i < n && !code; i++) {
        int at = (int)i + 1;
        switch (args[i].type) {
        case SQL_INT:
            code = s->lib->sqlite3_bind_int64_at(statement, at, args[i].i);
            break;
        case SQL_REAL:
            code = s->lib->sqlite3_bind_double_at(statement, at, args[i].d);
            break;
        case SQL_TEXT:
            code = s->lib->sqlite3_bind_text_at(statement, at, args[i].p, (int)args[i].n, SQLITE_TRANSIENT);
            break;
        case SQL_BLOB:
            code =
                s->lib->sqlite3_bind_blob64_at(statement, at, args[i].p ? args[i].p : "", args[i].n, SQLITE_TRANSIENT);
            break;
        case SQL_NULL:
            code = s->lib->sqlite3_bind_null_at(statement, at);
            break;
        }
    }
    return code;
}

static void end(SqlRows *rows)
{
    SqliteRows *r = (SqliteRows *)rows;
    const Sqlite *s = (const Sqlite *)rows->sql;
    if (r->prepared) {
        s->lib->sqlite3_reset_at(r->statement);
        r->prepared->is_used = false;
    } else {
        s->lib->sqlite3_finalize_at(r->statement);
    }
    mem_free(r);
}

static int query(Sql *sql, const char *text, const SqlArg *args, size_t n, SqlRows **out, Err *err)
{
    Sqlite *s = (Sqlite *)sql;
    SqliteRows *r = x_alloc(sizeof *r);
    r->rows.sql = sql;
    r->prepared = n ? prepared_of(s, text) : NULL;
    r->statement = r->prepared ? r->prepared->statement : NULL;
    int code = r->statement ? 0 : s->lib->sqlite3_prepare_v2_at(s->db, text, -1, &r->statement, NULL);
    if (r->prepared && !code) {
        r->prepared->text = r->prepared->text ? r->prepared->text : x_strdup(text);
        r->prepared->statement = r->statement;
        r->prepared->is_used = true;
    } else {
        r->prepared = NULL;
    }
    code = code ? code : bind(s, r->statement, args, n);
    if (code) {
        int rc = fail(s, code, err);
        end(&r->rows);
        return rc;
    }
    *out = &r->rows;
    return 0;
}

static int next(SqlRows *rows, Err *err)
{
    SqliteRows *r = (SqliteRows *)rows;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there are rows if query has not failed */
    const Sqlite *s = (const Sqlite *)rows->sql;
    int code = s->lib->sqlite3_step_at(r->statement);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : fail(s, code, err);
}

static int64_t get_int(const SqlRows *rows, int column)
{
    const Library *l = ((const Sqlite *)rows->sql)->lib;
    return l->sqlite3_column_int64_at(((const SqliteRows *)rows)->statement, column);
}

static double get_real(const SqlRows *rows, int column)
{
    const Library *l = ((const Sqlite *)rows->sql)->lib;
    return l->sqlite3_column_double_at(((const SqliteRows *)rows)->statement, column);
}

static const char *get_text(const SqlRows *rows, int column, size_t *n)
{
    const Library *l = ((const Sqlite *)rows->sql)->lib;
    sqlite3_stmt *statement = ((const SqliteRows *)rows)->statement;
    const char *text = (const char *)l->sqlite3_column_text_at(statement, column);
    if (n) {
        *n = text ? (size_t)l->sqlite3_column_bytes_at(statement, column) : 0;
    }
    return text ? text : "";
}

static const void *get_blob(const SqlRows *rows, int column, size_t *n)
{
    const Library *l = ((const Sqlite *)rows->sql)->lib;
    sqlite3_stmt *statement = ((const SqliteRows *)rows)->statement;
    const void *bytes = l->sqlite3_column_blob_at(statement, column);
    *n = bytes ? (size_t)l->sqlite3_column_bytes_at(statement, column) : 0;
    return bytes ? bytes : "";
}

static int shrink(Sql *sql, Err *err)
{
    return exec(sql, "PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)", err);
}

static int check(Sql *sql, Err *err)
{
    SqlRows *rows = NULL;
    int rc = query(sql, "PRAGMA integrity_check(1)", SQL_NO_ARGS, &rows, err);
    if (rc) {
        return rc;
    }
    rc = next(rows, err);
    if (rc > 0) {
        const char *text = get_text(rows, 0, NULL);
        rc = strcmp(text, "ok") ? err_set(err, ERR_PROTO, "%s: damaged: %s", sql->where, text) : 0;
    }
    end(rows);
    return rc;
}

static void close_db(Sql *sql)
{
    Sqlite *s = (Sqlite *)sql;
    for (size_t i = 0; i < NSTATEMENTS; i++) {
        s->lib->sqlite3_finalize_at(s->prepared[i].statement);
        mem_free(s->prepared[i].text);
    }
    s->lib->sqlite3_close_v2_at(s->db);
    mem_free(s->name);
    mem_free(s);
}

static const SqlOps OPS = {
    .id_type = "INTEGER PRIMARY KEY",
    .blob_type = "BLOB",
    .int_type = "INTEGER",
    .begin_write = "BEGIN IMMEDIATE",
    .begin_read = "BEGIN",
    .tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'conf_meta'",
    .others = "SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'conf\\_%' ESCAPE '\\' AND name NOT LIKE "
              "'sqlite\\_%' ESCAPE '\\'",
    .close = close_db,
    .exec = exec,
    .query = query,
    .next = next,
    .end = end,
    .get_int = get_int,
    .get_real = get_real,
    .get_text = get_text,
    .get_blob = get_blob,
    .shrink = shrink,
    .check = check,
};

/* Before anything of the file is changed: is it one of ours, or empty? */
static int look(Sqlite *s, bool *is_new, Err *err)
{
    int64_t ours = 0, others = 0;
    int rc = sql_one(&s->sql, OPS.tables, SQL_NO_ARGS, &ours, NULL, err);
    rc = rc ? rc : sql_one(&s->sql, OPS.others, SQL_NO_ARGS, &others, NULL, err);
    if (!rc && others && !ours) {
        rc = err_set(err, ERR_PROTO, "%s: no history: a SQLite database of something else", s->sql.where);
    }
    *is_new = !ours;
    return rc;
}

/* The mode is the file's. Changing it asks for all locks at once and does not wait, so we do. */
static int set_wal(Sqlite *s, Err *err)
{
    uint64_t until = os_now_ns() + s->busy_ns;
    int rc = exec(&s->sql, "PRAGMA journal_mode = WAL", err);
    while (rc == -ERR_BUSY && os_now_ns() < until) {
        usleep(10000);
        rc = exec(&s->sql, "PRAGMA journal_mode = WAL", err);
    }
    return rc;
}

/* A folder that cannot be written, as on a read-only disk: SQLite would want to make a file beside ours. Without a log that was left behind
 * the file is all there is, and nobody changes it. */
static bool is_immutable(const SqlOpen *o)
{
    struct stat st;
    char *folder = x_strdup(o->where), *slash = strrchr(folder, '/');
    Buf log = {0};
    buf_printf(&log, "%s-wal", o->where);
    if (slash) {
        slash[slash == folder] = 0; /* "/" stays */
    }
    bool is_fixed = o->is_reader && access(slash ? folder : ".", W_OK) && (stat(buf_text(&log), &st) || !st.st_size);
    buf_free(&log);
    mem_free(folder);
    return is_fixed;
}

/* "file:" and the path, with what means something in a URI escaped. */
static void put_uri(const char *path, Buf *out)
{
    buf_str(out, "file:");
    for (; *path; path++) {
        if (strchr("%?#", *path)) {
            buf_printf(out, "%%%02X", (unsigned char)*path);
        } else {
            buf_char(out, *path);
        }
    }
    buf_str(out, "?immutable=1");
}

static int open_database(Sqlite *s, const SqlOpen *o)
{
    Buf uri = {0};
    bool is_fixed = is_immutable(o);
    int flags = SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE |
                (is_fixed       ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
                 : o->is_reader ? SQLITE_OPEN_READWRITE
                                : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    put_uri(o->where, &uri);
    int code = s->lib->sqlite3_open_v2_at(is_fixed ? buf_text(&uri) : o->where, &s->db, flags, NULL);
    buf_free(&uri);
    return code;
}

int sql_sqlite_open(const SqlOpen *o, Sql **out, Err *err)
{
    int rc = library_load(err);
    if (rc) {
        return rc;
    }
    Sqlite *s = x_alloc(sizeof *s);
    s->lib = &library;
    s->name = x_strdup(o->where);
    s->sql = (Sql){.ops = &OPS, .where = s->name};
    s->busy_ns = o->busy_ms * 1000000;
    int code = open_database(s, o);
    bool is_new = false;
    if (code) {
        rc = fail(s, code, err);
    }
    if (!rc) {
        s->lib->sqlite3_busy_timeout_at(s->db, (int)(o->busy_ms > INT32_MAX ? INT32_MAX : o->busy_ms));
        rc = look(s, &is_new, err);
    }
    if (!rc && is_new && !o->is_reader) {
        rc = exec(&s->sql, "PRAGMA auto_vacuum = INCREMENTAL", err);
        rc = rc ? rc : set_wal(s, err);
    }
    if (!rc) { /* FULL: a commit has reached the disk; one sync a run is nothing */
        rc = exec(&s->sql, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cell_size_check = ON", err);
    }
    if (!rc && o->max_bytes) {
        char text[80];
        snprintf(text, sizeof text, "PRAGMA max_page_count = %" PRIu64, o->max_bytes / 4096 + 1);
        rc = exec(&s->sql, text, err);
    }
    if (rc) {
        close_db(&s->sql);
        return rc;
    }
    *out = &s->sql;
    return 0;
}
