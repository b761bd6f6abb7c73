/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/history_int.h"
#include "sim/base/os.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { BUSY_MS = 60000, NS_PER_MS = 1000000 };

int history_default_path(Buf *out, Err *err)
{
    const char *where = getenv("CONF_HISTORY");
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (where && *where) {
        buf_str(out, where);
    } else if (state && state[0] == '/') { /* a relative path is to be ignored: XDG base directory specification */
        buf_printf(out, "%s/conf/history.db", state);
    } else if (home && *home) {
        buf_printf(out, "%s/.local/state/conf/history.db", home);
    } else {
        return err_set(err, ERR_NOENT,
                       "no place for the history: neither CONF_HISTORY nor XDG_STATE_HOME nor HOME is set");
    }
    return 0;
}

/* The folders above path. */
static int make_folders(const char *path, Err *err)
{
    char *copy = x_strdup(path);
    int rc = 0;
    for (char *p = copy + 1; !rc && (p = strchr(p, '/')); p++) {
        *p = 0;
        if (mkdir(copy, 0777) && errno != EEXIST) {
            int why = errno;
            rc = err_native(err, why == EACCES || why == EROFS ? ERR_DENIED : ERR_IO, why, "history %s: folder %s",
                            path, copy);
        }
        *p = '/';
    }
    mem_free(copy);
    return rc;
}

static int open_file(const HistoryOpen *o, SqlOpen *s, Sql **out, Err *err)
{
    struct stat st;
    bool is_there = !stat(s->where, &st);
    if (!is_there && o->is_reader) {
        return err_set(err, ERR_NOENT, "%s: there is no history yet; `conf run --history` makes it", s->where);
    }
    if (is_there && !S_ISREG(st.st_mode)) {
        return err_set(err, ERR_PROTO, "%s: no history: it is no file", s->where);
    }
    int rc = is_there ? 0 : make_folders(s->where, err);
    return rc ? rc : sql_sqlite_open(s, out, err);
}

int history_open(const HistoryOpen *o, History **out, Err *err)
{
    Buf where = {0};
    int rc = 0;
    if (o->where && *o->where) {
        buf_str(&where, o->where);
    } else {
        rc = history_default_path(&where, err);
    }
    History *h = x_alloc(sizeof *h);
    SqlOpen s = {.where = buf_text(&where),
                 .is_reader = o->is_reader,
                 .max_bytes = o->max_bytes,
                 .busy_ms = o->busy_ns ? (o->busy_ns + NS_PER_MS - 1) / NS_PER_MS : BUSY_MS};
    if (!rc) {
        rc = sql_is_url(s.where) ? sql_postgres_open(&s, &h->sql, err) : open_file(o, &s, &h->sql, err);
    }
    if (!rc) {
        rc = schema_prepare(h->sql, HISTORY_SCHEMA, o->is_reader, err);
    }
    buf_free(&where);
    if (rc) {
        history_close(h);
        return rc;
    }
    *out = h;
    return 0;
}

void history_close(History *h)
{
    if (h) {
        if (h->sql) {
            h->sql->ops->close(h->sql);
        }
        mem_free(h);
    }
}

const char *history_where(const History *h)
{
    return h->sql->where;
}
