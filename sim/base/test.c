/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static TestCase *all;
static unsigned nchecks, nfailed;
static const char *skipped;

void test_register(TestCase *t)
{
    TestCase **at = &all;
    while (*at && (strcmp((*at)->module, t->module) < 0 ||
                   (!strcmp((*at)->module, t->module) && strcmp((*at)->claim, t->claim) < 0))) {
        at = &(*at)->next;
    }
    t->next = *at;
    *at = t;
}

void test_skip(const char *why)
{
    skipped = why;
}

void test_note(bool ok, const char *file, int line, const char *text)
{
    __atomic_add_fetch(&nchecks, 1, __ATOMIC_RELAXED); /* tests may check on several threads */
    if (!ok) {
        __atomic_add_fetch(&nfailed, 1, __ATOMIC_RELAXED);
        printf("%s:%d: failed: %s\n", file, line, text);
    }
}

bool test_check_u64(uint64_t got, uint64_t want, const char *file, int line, const char *text)
{
    if (!test_check(got == want, file, line, text)) {
        printf("    got  %" PRIu64 " (0x%" PRIx64 ")\n    want %" PRIu64 " (0x%" PRIx64 ")\n", got, got, want, want);
    }
    return got == want;
}

bool test_check_str(const char *got, const char *want, const char *file, int line, const char *text)
{
    bool ok = got && want && !strcmp(got, want);
    if (!test_check(ok, file, line, text)) {
        printf("    got  \"%s\"\n    want \"%s\"\n", got ? got : "(null)", want ? want : "(null)");
    }
    return ok;
}

bool test_check_has(const char *got, const char *part, const char *file, int line, const char *text)
{
    bool ok = got && part && strstr(got, part);
    if (!test_check(ok, file, line, text)) {
        printf("    got  \"%s\"\n    without \"%s\"\n", got ? got : "(null)", part ? part : "(null)");
    }
    return ok;
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";
    bool is_list = !strcmp(only, "-l");
    unsigned nrun = 0, nbad = 0, nskip = 0;
    char name[256];
    for (TestCase *t = all; t; t = t->next) {
        snprintf(name, sizeof name, "%s.%s", t->module, t->claim);
        if (is_list) {
            puts(name);
            continue;
        }
        if (!strstr(name, only)) {
            continue;
        }
        nchecks = nfailed = 0;
        skipped = NULL;
        t->run();
        nrun++;
        if (skipped) {
            nskip++;
            printf("skip %s: %s\n", name, skipped);
        } else if (nfailed || !nchecks) {
            nbad++;
            printf("FAIL %s%s\n", name, nchecks ? "" : " (checked nothing)");
        }
        fflush(stdout);
    }
    if (!is_list) {
        printf("%u tests, %u failed, %u skipped\n", nrun, nbad, nskip);
    }
    return is_list ? 0 : nbad ? 1 : nrun ? 0 : 4;
}
