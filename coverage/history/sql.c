/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/sql.h"

#include <dlfcn.h>

bool sql_load(const char *library, const SqlSymbol *symbols, size_t n, void *to)
{
    void *loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    bool is_whole = loaded != NULL;
    for (size_t i = 0; is_whole && i < n; i++) {
        void *at = dlsym(loaded, symbols[i].name);
        memcpy((char *)to + symbols[i].at, &at, sizeof at); /* ISO C knows no way from a pointer to a function */
        is_whole = at != NULL;
    }
    return is_whole;
}

bool sql_is_url(const char *where)
{
    return !strncmp(where, "postgresql://", 13) || !strncmp(where, "postgres://", 11);
}

/* scheme://[user[:password]@]host...[?password=...] */
void sql_show_url(const char *url, Buf *out)
{
    const char *rest = strstr(url, "://") + 3;
    size_t authority = strcspn(rest, "/?#");
    const char *at = memrchr(rest, '@', authority);
    const char *colon = at ? memchr(rest, ':', (size_t)(at - rest)) : NULL;
    const char *from = colon ? at : url;
    if (colon) {
        buf_bytes(out, url, (size_t)(colon - url));
    }
    const char *query = strchr(from, '?'); /* parameters may hold another password */
    buf_bytes(out, from, query ? (size_t)(query - from) : strlen(from));
}

int sql_run(Sql *s, const char *text, const SqlArg *args, size_t n, Err *err)
{
    SqlRows *rows = NULL;
    int rc = s->ops->query(s, text, args, n, &rows, err);
    if (rc) {
        return rc;
    }
    rc = s->ops->next(rows, err);
    s->ops->end(rows);
    return rc < 0 ? rc : 0;
}

int sql_one(Sql *s, const char *text, const SqlArg *args, size_t n, int64_t *out, bool *found, Err *err)
{
    SqlRows *rows = NULL;
    *out = 0;
    int rc = s->ops->query(s, text, args, n, &rows, err);
    if (rc) {
        return rc;
    }
    rc = s->ops->next(rows, err);
    if (rc > 0) {
        *out = s->ops->get_int(rows, 0);
    }
    if (found) {
        *found = rc > 0;
    }
    s->ops->end(rows);
    return rc < 0 ? rc : 0;
}

int sql_each(Sql *s, const char *text, const SqlArg *args, size_t n, void (*on_row)(void *ctx, const SqlRows *rows),
             void *ctx, Err *err)
{
    SqlRows *rows = NULL;
    int rc = s->ops->query(s, text, args, n, &rows, err);
    if (rc) {
        return rc;
    }
    while ((rc = s->ops->next(rows, err)) > 0) {
        on_row(ctx, rows);
    }
    s->ops->end(rows);
    return rc;
}

int sql_finish(Sql *s, int rc, Err *err)
{
    if (!rc) {
        rc = s->ops->exec(s, "COMMIT", err);
    }
    if (rc) {
        (void)s->ops->exec(s, "ROLLBACK", NULL); /* may have been rolled back by itself */
    }
    return rc;
}
