/* SPDX-License-Identifier: Apache-2.0
 * origin.c - commit, branch and host of this run, without running git: .git as gitrepository-layout(5) describes it. */
#include "coverage/history/history_int.h"
#include "sim/base/os.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { MAX_FILE = 16 << 20, MAX_LINKS = 5 };

static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static void put(char *out, size_t n, const char *text)
{
    if (text) {
        size_t length = strnlen(text, n - 1);
        memcpy(out, text, length);
        out[length] = 0;
    }
}

static bool is_hash(const char *text, size_t n)
{
    return (n == 40 || n == 64) && strspn(text, "0123456789abcdef") >= n;
}

/* A file below the folder, without the line feed at its end; false: it cannot be read. */
static bool read_below(const char *folder, const char *name, Buf *out)
{
    char path[PATH_MAX];
    buf_clear(out);
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path ||
        os_read_file(path, MAX_FILE, out, NULL)) {
        return false;
    }
    while (out->n && (out->data[out->n - 1] == '\n' || out->data[out->n - 1] == '\r')) {
        out->data[--out->n] = 0;
    }
    return true;
}

/* ---- the repository ---- */

typedef struct {
    char git[PATH_MAX];    /* of this work tree: HEAD */
    char common[PATH_MAX]; /* refs, objects */
} Repository;

static bool join(char out[PATH_MAX], const char *folder, const char *name)
{
    return snprintf(out, PATH_MAX, "%s%s%s", name[0] == '/' ? "" : folder, name[0] == '/' ? "" : "/", name) < PATH_MAX;
}

static bool find_git(const char *dir, Repository *r)
{
    char at[PATH_MAX];
    struct stat st;
    Buf text = {0};
    bool found = false;
    if (!realpath(dir ? dir : ".", at)) {
        return false;
    }
    for (;;) {
        if (!join(r->git, at, ".git")) {
            return false;
        }
        if (!stat(r->git, &st)) {
            break;
        }
        char *slash = strrchr(at, '/');
        if (!slash || slash == at) {
            return false;
        }
        *slash = 0;
    }
    found = S_ISDIR(st.st_mode);
    if (!found && read_below(at, ".git", &text) &&
        !strncmp(buf_text(&text), "gitdir: ", 8)) { /* a work tree of its own */
        found = join(r->git, at, buf_text(&text) + 8);
    }
    memcpy(r->common, r->git, sizeof r->common);
    if (found && read_below(r->git, "commondir", &text)) {
        found = join(r->common, r->git, buf_text(&text));
    }
    buf_free(&text);
    return found;
}

static bool find_packed(const Repository *r, const char *ref, char commit[65])
{
    Buf text = {0};
    bool found = false;
    if (read_below(r->common, "packed-refs", &text)) {
        for (const char *line = buf_text(&text); !found && *line;) {
            size_t n = strcspn(line, "\n"), hash = strcspn(line, " \n");
            if (is_hash(line, hash) && n == hash + 1 + strlen(ref) && !strncmp(line + hash + 1, ref, strlen(ref))) {
                memcpy(commit, line, hash);
                commit[hash] = 0;
                found = true;
            }
            line += n + (line[n] == '\n');
        }
    }
    buf_free(&text);
    return found;
}

static void read_head(const Repository *r, HistoryOrigin *out)
{
    static const char HEADS[] = "refs/heads/";
    Buf text = {0};
    bool is_there = read_below(r->git, "HEAD", &text);
    for (int i = 0; is_there && i < MAX_LINKS && !strncmp(buf_text(&text), "ref: ", 5); i++) {
        char ref[PATH_MAX];
        snprintf(ref, sizeof ref, "%s", buf_text(&text) + 5);
        if (strstr(ref, "..") || ref[0] == '/') { /* leads out of the repository */
            is_there = false;
            break;
        }
        if (!i && !strncmp(ref, HEADS, sizeof HEADS - 1)) {
            put(out->branch, sizeof out->branch, ref + sizeof HEADS - 1);
        }
        if (!read_below(r->git, ref, &text) && !read_below(r->common, ref, &text)) {
            is_there = false;
            if (find_packed(r, ref, out->commit)) {
                break;
            }
        }
    }
    if (is_there && is_hash(buf_text(&text), text.n)) {
        put(out->commit, sizeof out->commit, buf_text(&text));
    }
    buf_free(&text);
}

/* The first parent that a commit names, if it is no part of a pack. */
static void read_parent(const Repository *r, HistoryOrigin *out)
{
    char name[96];
    unsigned char plain[4096];
    Buf text = {0};
    snprintf(name, sizeof name, "objects/%.2s/%s", out->commit, out->commit + 2);
    if (read_below(r->common, name, &text)) {
        z_stream z = {
            .next_in = (Bytef *)text.data, .avail_in = (uInt)text.n, .next_out = plain, .avail_out = sizeof plain - 1};
        if (inflateInit(&z) == Z_OK) {
            int rc = inflate(&z, Z_SYNC_FLUSH);
            size_t n = sizeof plain - 1 - z.avail_out;
            inflateEnd(&z);
            plain[n] = 0;
            const char *body = rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? memchr(plain, 0, n) : NULL;
            const char *parent = body ? strstr(body + 1, "\nparent ") : NULL;
            if (parent && is_hash(parent + 8, strcspn(parent + 8, "\n"))) {
                snprintf(out->parent, sizeof out->parent, "%.*s", (int)strcspn(parent + 8, "\n"), parent + 8);
            }
        }
    }
    buf_free(&text);
}

/* ---- CI ---- */

static void from_github(HistoryOrigin *out)
{
    out->is_ci = true;
    put(out->commit, sizeof out->commit, env("GITHUB_SHA"));
    put(out->branch, sizeof out->branch, env("GITHUB_HEAD_REF") ? env("GITHUB_HEAD_REF") : env("GITHUB_REF_NAME"));
    snprintf(out->host, sizeof out->host, "github %s %s", env("RUNNER_OS") ? env("RUNNER_OS") : "?",
             env("RUNNER_ARCH") ? env("RUNNER_ARCH") : "?");
    if (env("GITHUB_REPOSITORY") && env("GITHUB_RUN_ID")) {
        snprintf(out->job, sizeof out->job, "%s/%s/actions/runs/%s",
                 env("GITHUB_SERVER_URL") ? env("GITHUB_SERVER_URL") : "https://github.com", env("GITHUB_REPOSITORY"),
                 env("GITHUB_RUN_ID"));
    }
}

static void from_gitlab(HistoryOrigin *out)
{
    const char *branch = env("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"), *before = env("CI_COMMIT_BEFORE_SHA");
    out->is_ci = true;
    put(out->commit, sizeof out->commit, env("CI_COMMIT_SHA"));
    put(out->branch, sizeof out->branch, branch ? branch : env("CI_COMMIT_REF_NAME"));
    put(out->host, sizeof out->host, env("CI_RUNNER_DESCRIPTION") ? env("CI_RUNNER_DESCRIPTION") : "gitlab");
    put(out->job, sizeof out->job, env("CI_JOB_URL"));
    if (before && strspn(before, "0") != strlen(before)) { /* all 0: not known */
        put(out->parent, sizeof out->parent, before);
    }
}

void history_origin(const char *dir, HistoryOrigin *out)
{
    Repository r;
    HistoryOrigin git = {0};
    *out = (HistoryOrigin){0};
    if (env("GITHUB_ACTIONS")) {
        from_github(out);
    } else if (env("GITLAB_CI")) {
        from_gitlab(out);
    }
    if (find_git(dir, &r)) {
        read_head(&r, &git);
        if (!*out->commit) {
            put(out->commit, sizeof out->commit, git.commit);
            put(out->branch, sizeof out->branch, *out->branch ? NULL : git.branch);
        }
        if (*out->commit && !*out->parent) {
            read_parent(&r, out);
        }
    }
    if (env("CONF_HISTORY_HOST")) {
        put(out->host, sizeof out->host, env("CONF_HISTORY_HOST"));
    } else if (!*out->host && gethostname(out->host, sizeof out->host - 1)) {
        out->host[0] = 0;
    }
}
