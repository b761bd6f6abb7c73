/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/plan_files.h"

#include "conformance/cli.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WALK_DEPTH = 32 };

static bool ends_with(const char *text, const char *tail)
{
    size_t n = strlen(text), m = strlen(tail);
    return n > m && !strcmp(text + n - m, tail);
}

static bool is_suite(const char *path, bool with_lua)
{
    return ends_with(path, ".yaml") || ends_with(path, ".yml") || (with_lua && ends_with(path, ".lua"));
}

static void add_file(Arena *arena, const char *path, PlanSelector selector, PlanFiles *out)
{
    while (path[0] == '.' && path[1] == '/' && path[2] && path[2] != '/') {
        path += 2;
    }
    for (size_t i = 0; i < out->n; i++) {
        if (!strcmp(out->items[i].path, path)) {
            VEC_PUSH(&out->items[i].selectors, selector);
            return;
        }
    }
    PlanFile file = {.path = arena_strdup(arena, path)};
    VEC_PUSH(&file.selectors, selector);
    VEC_PUSH(out, file);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

typedef struct {
    Arena *arena;
    bool with_lua;
    PlanSelector whole;
    PlanFiles *out;
} Walk;

static int walk(const Walk *w, const char *folder, unsigned depth, Err *err)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        return err_native(err, errno == EACCES ? ERR_DENIED : ERR_IO, errno, "%s", folder);
    }
    VEC(char *) names = {0};
    for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
        if (d->d_name[0] != '.') {
            VEC_PUSH(&names, arena_printf(w->arena, "%s/%s", folder, d->d_name));
        }
    }
    closedir(dir);
    if (names.n) {
        qsort(names.items, names.n, sizeof *names.items, by_text);
    }
    int rc = 0;
    for (size_t i = 0; i < names.n && !rc; i++) {
        struct stat st;
        if (stat(names.items[i], &st)) {
            continue; /* gone, or a link to nowhere: not a suite */
        }
        if (S_ISDIR(st.st_mode) && depth < WALK_DEPTH) {
            rc = walk(w, names.items[i], depth + 1, err);
        } else if (S_ISREG(st.st_mode) && is_suite(names.items[i], w->with_lua)) {
            add_file(w->arena, names.items[i], w->whole, w->out);
        }
    }
    VEC_FREE(&names);
    return rc;
}

/* A file or a directory that is there; -ERR_NOENT silently if not. */
static int add_existing(Arena *arena, const char *path, PlanSelector selector, bool with_lua, PlanFiles *out, Err *err)
{
    struct stat st;
    if (stat(path, &st)) {
        return errno == EACCES ? err_native(err, ERR_DENIED, errno, "%s", path) : -ERR_NOENT;
    }
    if (!S_ISDIR(st.st_mode)) {
        if (ends_with(path, ".lua") && !with_lua) {
            return err_set(err, ERR_UNAVAILABLE, "%s: this conf was built without Lua", path);
        }
        add_file(arena, path, selector, out);
        return 0;
    }
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    Walk w = {.arena = arena, .with_lua = with_lua, .whole = selector, .out = out};
    return walk(&w, arena_strndup(arena, path, n), 0, err);
}

static int add_glob(Arena *arena, const char *word, bool with_lua, PlanFiles *out, Err *err)
{
    if (!strpbrk(word, "*?[")) {
        return -ERR_NOENT;
    }
    glob_t found = {0};
    int rc = glob(word, 0, NULL, &found) ? -ERR_NOENT : 0;
    for (size_t i = 0; !rc && i < found.gl_pathc; i++) {
        rc = add_existing(arena, found.gl_pathv[i], (PlanSelector){.word = word}, with_lua, out, err);
    }
    globfree(&found);
    return rc;
}

/* FILE::NAME or FILE:LINE. */
static int add_selected(Arena *arena, const char *word, bool with_lua, PlanFiles *out, Err *err)
{
    PlanSelector selector = {.word = word};
    const char *at = strstr(word, "::");
    if (at && at > word && at[2]) {
        selector.name = at + 2;
    } else {
        at = strrchr(word, ':');
        if (!at || at == word || cli_number("line", at + 1, 1, UINT32_MAX, &selector.line, NULL)) {
            return -ERR_NOENT;
        }
    }
    const char *path = arena_strndup(arena, word, (size_t)(at - word));
    int rc = add_existing(arena, path, selector, with_lua, out, err);
    return rc == -ERR_NOENT ? err_set(err, ERR_NOENT, "%s: no such file", path) : rc;
}

int plan_files_add(Arena *arena, const char *word, bool with_lua, PlanFiles *out, Err *err)
{
    Err scratch = {0};
    if (!strcmp(word, "-")) {
        word = "/dev/stdin";
    }
    int rc = add_existing(arena, word, (PlanSelector){.word = word}, with_lua, out, &scratch);
    if (rc == -ERR_NOENT) {
        rc = add_selected(arena, word, with_lua, out, &scratch);
    }
    if (rc == -ERR_NOENT && !scratch.code) {
        rc = add_glob(arena, word, with_lua, out, &scratch);
    }
    if (rc == -ERR_NOENT && !scratch.code) {
        err_set(&scratch, ERR_NOENT, "%s: no such file or directory%s", word,
                strpbrk(word, "*?[") ? ", and no file matches it as a pattern" : "");
    }
    if (rc && err) {
        *err = scratch;
    }
    return rc;
}

void plan_files_free(PlanFiles *files)
{
    for (size_t i = 0; i < files->n; i++) {
        VEC_FREE(&files->items[i].selectors);
    }
    VEC_FREE(files);
}
