/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as the files of a repository: HEAD, packed-refs, a ref and a commit, one after the other with a 0xff between. What comes out is
 * a hash or nothing. */
#include "coverage/history/history_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* Made once; the same names are written again and again. */
static const char *folder(void)
{
    static char path[64];
    if (!*path) {
        static const char *const BELOW[] = {
            "", "/.git", "/.git/refs", "/.git/refs/heads", "/.git/objects", "/.git/objects/01"};
        snprintf(path, sizeof path, "/tmp/conf-origin-fuzz-%d", (int)getpid());
        for (size_t i = 0; i < ARRAY_LEN(BELOW); i++) {
            char name[128];
            snprintf(name, sizeof name, "%s%s", path, BELOW[i]);
            (void)mkdir(name, 0700);
        }
    }
    return path;
}

static void check_hash(const char *text)
{
    size_t n = strlen(text);
    require(!n || n == 40 || n == 64);
    require(strspn(text, "0123456789abcdef") == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const FILES[] = {".git/HEAD", ".git/packed-refs", ".git/refs/heads/main",
                                        ".git/objects/01/23456789abcdef0123456789abcdef01234567"};
    HistoryOrigin o;
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++) {
        char path[192];
        const uint8_t *mark = n && i + 1 < ARRAY_LEN(FILES) ? memchr(data, 0xff, n) : NULL;
        size_t length = mark ? (size_t)(mark - data) : n;
        snprintf(path, sizeof path, "%s/%s", folder(), FILES[i]);
        FILE *f = fopen(path, "w"); /* without a sync: there are thousands a second */
        require(f && fwrite(data, 1, length, f) == length);
        fclose(f);
        length += mark != NULL;
        data += length;
        n -= length;
    }
    unsetenv("GITHUB_ACTIONS");
    unsetenv("GITLAB_CI");
    history_origin(folder(), &o);
    check_hash(o.commit);
    check_hash(o.parent);
    return 0;
}
