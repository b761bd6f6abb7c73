/* SPDX-License-Identifier: Apache-2.0
 * schema.c - the tables, and how each version is made from the one before. A version that was released never changes: a new one
 * is a new step.
 *
 *   conf_meta     schema = the version
 *   conf_text     every name and sentence once, found by its hash (the first 16 bytes of SHA-256)
 *   conf_chunk    every column of bytes once (pack.c), found the same way
 *   conf_case     suite, scenario, guest
 *   conf_run      a run
 *   conf_backend  what a backend said of itself in a run
 *   conf_block    the results of one run on one backend: layout is the sorted cases, the others are columns beside it
 *   conf_cover    totals of coverage, and the covered items
 *   conf_bench    measured values */
#include "coverage/history/history_int.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* $id, $blob and $int are the database's own types. Steps after the last that are there are done in one transaction. */
static const char *const STEPS[HISTORY_SCHEMA] = {
    "CREATE TABLE conf_meta(name TEXT PRIMARY KEY, value $int NOT NULL);"
    "CREATE TABLE conf_text(id $id, hash $blob NOT NULL UNIQUE, value TEXT NOT NULL);"
    "CREATE TABLE conf_chunk(id $id, hash $blob NOT NULL UNIQUE, data $blob NOT NULL);"
    "CREATE TABLE conf_case(id $id, suite $int NOT NULL, scenario $int NOT NULL, guest $int NOT NULL, line $int NOT "
    "NULL,"
    " UNIQUE(suite, scenario, guest));"
    "CREATE TABLE conf_run(id $id, uid TEXT NOT NULL UNIQUE, time_ms $int NOT NULL, ordinal $int NOT NULL, commit_id "
    "TEXT NOT NULL,"
    " parent TEXT NOT NULL, branch TEXT NOT NULL, host TEXT NOT NULL, version TEXT NOT NULL, job TEXT NOT NULL,"
    " cut_short TEXT NOT NULL, is_dirty $int NOT NULL, duration_ns $int NOT NULL, seed $int NOT NULL, passed $int NOT "
    "NULL,"
    " failed $int NOT NULL, error $int NOT NULL, skipped $int NOT NULL, xfailed $int NOT NULL, xpassed $int NOT NULL);"
    "CREATE TABLE conf_backend(run $int NOT NULL, name $int NOT NULL, version $int NOT NULL, PRIMARY KEY(run, name));"
    "CREATE TABLE conf_block(run $int NOT NULL, backend $int NOT NULL, layout $int NOT NULL, status $int NOT NULL,"
    " reason $int NOT NULL, counts $int NOT NULL, duration $blob NOT NULL, PRIMARY KEY(run, backend));",
    "CREATE TABLE conf_cover(run $int NOT NULL, kind $int NOT NULL, backend $int NOT NULL, covered $int NOT NULL,"
    " total $int NOT NULL, items $int NOT NULL, PRIMARY KEY(run, kind, backend));"
    "CREATE TABLE conf_bench(run $int NOT NULL, name $int NOT NULL, unit $int NOT NULL, value DOUBLE PRECISION NOT "
    "NULL,"
    " direction $int NOT NULL, PRIMARY KEY(run, name));",
};
const char *const SCHEMA_TABLES[] = {"conf_bench", "conf_cover", "conf_block", "conf_backend", "conf_run",
                                     "conf_case",  "conf_chunk", "conf_text",  "conf_meta"};
const size_t SCHEMA_NTABLES = ARRAY_LEN(SCHEMA_TABLES);

static void put_step(const SqlOps *ops, const char *text, Buf *out)
{
    static const char *const WORDS[] = {"$id", "$blob", "$int"};
    const char *const types[] = {ops->id_type, ops->blob_type, ops->int_type};
    while (*text) {
        size_t i = 0;
        while (i < ARRAY_LEN(WORDS) && strncmp(text, WORDS[i], strlen(WORDS[i])) != 0) {
            i++;
        }
        if (i < ARRAY_LEN(WORDS)) {
            buf_str(out, types[i]);
            text += strlen(WORDS[i]);
        } else {
            buf_char(out, *text++);
        }
    }
}

static int version_of(Sql *sql, int64_t *version, Err *err)
{
    bool found = false;
    int rc = sql_one(sql, sql->ops->tables, SQL_NO_ARGS, version, NULL, err);
    if (rc || !*version) {
        return rc;
    }
    rc = sql_one(sql, "SELECT value FROM conf_meta WHERE name = 'schema'", SQL_NO_ARGS, version, &found, err);
    if (!rc && (!found || *version < 1)) {
        rc = err_set(err, ERR_PROTO, "%s: no history: conf_meta names no schema", sql->where);
    }
    if (!rc && *version > HISTORY_SCHEMA) {
        rc = err_set(err, ERR_VERSION,
                     "%s: made by a newer conf (schema %" PRId64 ", this one knows up to %d); nothing was changed",
                     sql->where, *version, HISTORY_SCHEMA);
    }
    return rc;
}

static int migrate(Sql *sql, int64_t from, int up_to, Err *err)
{
    int rc = 0;
    assert(from >= 0 && up_to <= HISTORY_SCHEMA); /* version_of has looked */
    for (int64_t v = from; !rc && v < up_to; v++) {
        Buf text = {0};
        put_step(sql->ops, STEPS[v], &text);
        rc = sql->ops->exec(sql, buf_text(&text), err);
        buf_free(&text);
    }
    if (!rc && !from) {
        rc = sql->ops->exec(sql, "INSERT INTO conf_meta(name, value) VALUES('schema', 0)", err);
    }
    return rc ? rc
              : sql_run(sql, "UPDATE conf_meta SET value = $1 WHERE name = 'schema'", SQL_ARGS(sql_int(up_to)), err);
}

int schema_prepare(Sql *sql, int up_to, bool is_reader, Err *err)
{
    int64_t version = 0;
    int rc = version_of(sql, &version, err);
    if (rc || version >= up_to) {
        return rc;
    }
    if (is_reader && !version) {
        return err_set(err, ERR_NOENT, "%s: there is no history yet", sql->where);
    }
    rc = sql->ops->exec(sql, sql->ops->begin_write, err);
    if (rc) {
        return rc;
    }
    rc = version_of(sql, &version, err); /* another process may have been faster */
    if (!rc && version < up_to) {
        rc = migrate(sql, version, up_to, err);
    }
    return sql_finish(sql, rc, err);
}
