/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/history_test.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static int read_string(HistoryFile *f, const char *text, Err *err)
{
    return history_file_read(f, "r.json", text, strlen(text), err);
}

TEST(history_file, a_report_is_read)
{
    static const char REPORT[] =
        "{\"schema_version\": 1, \"conf_version\": \"0.1.0\", \"cut_short\": null,\n"
        " \"summary\": {\"passed\": 1, \"duration_ns\": 55}, \"new\": [{}],\n"
        " \"results\": [{\"suite\": \"a.yaml\", \"scenario\": \"one\", \"guest\": \"x86_64\", \"backend\": \"kvm\",\n"
        "   \"status\": \"xfailed\", \"reason\": \"known\", \"line\": 3, \"duration_ns\": 9, \"exits\": 2,\n"
        "   \"transitions\": 4, \"seed\": 18446744073709551615, \"retries\": 1}]}";
    static const char MORE[] =
        "{\"run\": {\"commit\": \"abcd\", \"branch\": \"main\", \"time_ms\": 77, \"ordinal\": 3, \"is_dirty\": true},\n"
        " \"backends\": [{\"name\": \"kvm\", \"version\": \"6.1\"}],\n"
        " \"coverage\": [{\"kind\": \"exit\", \"backend\": \"kvm\", \"total\": 9, \"items\": [\"b\", \"a\"]},\n"
        "                {\"kind\": \"line\", \"covered\": 5, \"total\": 9}],\n"
        " \"bench\": [{\"name\": \"x\", \"value\": 1.5e3, \"unit\": \"Mips\", \"better\": \"more\"}]}";
    HistoryFile *f = history_file_new();
    Err err = {0};
    CHECK_INT(read_string(f, REPORT, &err), 0);
    CHECK_INT(read_string(f, MORE, &err), 0);
    const HistoryAdd *a = history_file_add(f);
    CHECK_INT(a->nresults, 1);
    CHECK_STR(a->results[0].scenario, "one");
    CHECK_INT(a->results[0].status, HISTORY_xfailed);
    CHECK_INT(a->results[0].retries, 1);
    CHECK_INT(a->run.duration_ns, 55);
    CHECK_STR(a->run.commit, "abcd");
    CHECK(a->run.is_dirty && a->run.ordinal == 3 && a->run.time_ms == 77);
    CHECK_STR(a->backends[0].version, "6.1");
    CHECK_INT(a->ncoverage, 2);
    CHECK_INT(a->coverage[0].covered, 2);
    CHECK_STR(a->coverage[0].items[1], "a");
    CHECK(!a->coverage[1].items);
    CHECK(a->bench[0].value == 1500 && a->bench[0].direction == HISTORY_MORE_IS_BETTER);
    CHECK_INT(strlen(a->run.uid), 32);
    history_file_free(f);
}

TEST(history_file, what_is_wrong_has_a_place)
{
    static const struct {
        const char *text, *want;
    } WRONG[] = {
        {"", "r.json:1:1"},
        {"[]", "r.json:1:1"},
        {"{}", "expected a key results"},
        {"{\"results\": [{\"scenario\": \"x\",\n \"status\": \"fine\"}]}", "r.json:2:"},
        {"{\"results\": [{\"scenario\": \"x\", \"status\": \"absent\"}]}", "`absent` is no status"},
        {"{\"results\": [{\"status\": \"passed\"}]}", "a result needs scenario, backend and status"},
        {"{\"results\": [], \"schema_version\": 2}", "schema_version 2; this conf reads 1"},
        {"{\"bench\": [{\"name\": \"x\"}]}", "needs a name and a value"},
        {"{\"bench\": [{\"better\": \"up\"}]}", "`up` is no direction"},
        {"{\"results\": []} x", "r.json:1:"},
        {"{\"coverage\": [{}]}", "coverage needs a kind"},
    };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        HistoryFile *f = history_file_new();
        Err err = {0};
        CHECK(read_string(f, WRONG[i].text, &err) != 0);
        CHECK_HAS(err.text, WRONG[i].want);
        history_file_free(f);
    }
}

/* ---- where a run comes from ---- */

static void put_file(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        (void)mkdir(path, 0700);
        *p = '/';
    }
    CHECK_INT(os_write_file(path, bytes, n, NULL), 0);
}

static void put_text(const char *folder, const char *name, const char *text)
{
    put_file(folder, name, text, strlen(text));
}

static void unset_ci(void)
{
    static const char *const NAMES[] = {"GITHUB_ACTIONS", "GITLAB_CI", "CONF_HISTORY_HOST"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        unsetenv(NAMES[i]);
    }
}

#define HASH_A "0123456789abcdef0123456789abcdef01234567"
#define HASH_B "89abcdef0123456789abcdef0123456789abcdef"

TEST(history_origin, git_is_read_without_git)
{
    char folder[] = "/tmp/conf-origin-XXXXXX", below[64], text[128];
    HistoryOrigin o;
    unset_ci();
    CHECK(mkdtemp(folder) != NULL);
    put_text(folder, ".git/HEAD", "ref: refs/heads/topic/x\n");
    put_text(folder, ".git/packed-refs", "# pack-refs\n" HASH_B " refs/heads/topic\n" HASH_A " refs/heads/topic/x\n");
    put_text(folder, "src/a", "");
    snprintf(below, sizeof below, "%s/src", folder);
    history_origin(below, &o);
    CHECK_STR(o.commit, HASH_A);
    CHECK_STR(o.branch, "topic/x");
    CHECK_STR(o.parent, "");
    CHECK(*o.host && !o.is_ci);
    static const char COMMIT[] = "commit 99\0tree " HASH_A "\nparent " HASH_A "\nauthor x\n\ntext\nparent " HASH_B "\n";
    unsigned char packed[512];
    uLongf n = sizeof packed;
    CHECK_INT(compress(packed, &n, (const Bytef *)COMMIT, sizeof COMMIT - 1), Z_OK);
    put_file(folder, ".git/objects/89/abcdef0123456789abcdef0123456789abcdef", packed, n);
    put_text(folder, ".git/refs/heads/topic/x", HASH_B "\n");
    history_origin(below, &o);
    CHECK_STR(o.commit, HASH_B);
    CHECK_STR(o.parent, HASH_A);
    put_text(folder, ".git/worktrees/w/HEAD", HASH_A "\n"); /* a work tree of its own, detached */
    put_text(folder, ".git/worktrees/w/commondir", "../..\n");
    snprintf(text, sizeof text, "gitdir: %s/.git/worktrees/w\n", folder);
    put_text(folder, "src/.git", text);
    history_origin(below, &o);
    CHECK_STR(o.commit, HASH_A);
    CHECK_STR(o.branch, "");
    put_text(folder, "src/.git", "gitdir: /nonesuch\n");
    history_origin(below, &o);
    CHECK_STR(o.commit, "");
    put_text(folder, ".git/HEAD", "ref: ../../../etc/passwd\n");
    history_origin(folder, &o);
    CHECK_STR(o.commit, "");
    snprintf(text, sizeof text, "rm -rf %s", folder);
    CHECK_INT(system(text), 0);
}

TEST(history_origin, ci_says_what_it_runs)
{
    HistoryOrigin o;
    unset_ci();
    setenv("GITHUB_ACTIONS", "true", 1);
    setenv("GITHUB_SHA", HASH_A, 1);
    setenv("GITHUB_REF_NAME", "main", 1);
    unsetenv("GITHUB_HEAD_REF");
    setenv("RUNNER_OS", "Linux", 1);
    setenv("RUNNER_ARCH", "X64", 1);
    setenv("GITHUB_REPOSITORY", "a/b", 1);
    setenv("GITHUB_RUN_ID", "7", 1);
    unsetenv("GITHUB_SERVER_URL");
    history_origin("/", &o);
    CHECK_STR(o.commit, HASH_A);
    CHECK_STR(o.branch, "main");
    CHECK_STR(o.host, "github Linux X64");
    CHECK_STR(o.job, "https://github.com/a/b/actions/runs/7");
    setenv("GITHUB_HEAD_REF", "topic", 1);
    setenv("CONF_HISTORY_HOST", "lab", 1);
    history_origin("/", &o);
    CHECK_STR(o.branch, "topic");
    CHECK_STR(o.host, "lab");
    unset_ci();
    setenv("GITLAB_CI", "true", 1);
    setenv("CI_COMMIT_SHA", HASH_B, 1);
    setenv("CI_COMMIT_REF_NAME", "main", 1);
    setenv("CI_COMMIT_BEFORE_SHA", "0000000000000000000000000000000000000000", 1);
    history_origin("/", &o);
    CHECK_STR(o.commit, HASH_B);
    CHECK_STR(o.parent, "");
    CHECK(o.is_ci);
    setenv("CI_COMMIT_BEFORE_SHA", HASH_A, 1);
    history_origin("/", &o);
    CHECK_STR(o.parent, HASH_A);
    unset_ci();
}
