/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/whpx/double/faults.h"

#include "accel/whpx/double/linux.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CALLS = 64, NAME_BYTES = 64, LINUX_O_APPEND_CREATE = 02101 };
static struct {
    SRWLOCK lock;
    const char *names[MAX_CALLS];
    unsigned counts[MAX_CALLS];
    bool is_read;
    char failing[NAME_BYTES];
    unsigned failing_at, nfailing;
    atomic_int nobjects;
} calls = {.lock = SRWLOCK_INIT};

static void environment_read(void)
{
    char text[NAME_BYTES + 16];
    DWORD n = GetEnvironmentVariableA("CONF_WHPX_FAIL", text, sizeof text);
    char *colon = n && n < sizeof text ? strchr(text, ':') : NULL;
    if (colon && (size_t)(colon - text) < sizeof calls.failing) {
        memcpy(calls.failing, text, (size_t)(colon - text));
        calls.failing_at = (unsigned)strtoul(colon + 1, &colon, 10);
        calls.nfailing = *colon == ':' ? (unsigned)strtoul(colon + 1, NULL, 10) : 1;
    }
    calls.is_read = true;
}

bool double_fails(const char *call)
{
    AcquireSRWLockExclusive(&calls.lock);
    if (!calls.is_read) {
        environment_read();
    }
    size_t i = 0;
    while (i < MAX_CALLS - 1 && calls.names[i] && strcmp(calls.names[i], call) != 0) {
        i++;
    }
    calls.names[i] = call;
    unsigned nth = ++calls.counts[i];
    bool fails = nth >= calls.failing_at && nth - calls.failing_at < calls.nfailing && !strcmp(call, calls.failing);
    ReleaseSRWLockExclusive(&calls.lock);
    return fails;
}

void double_object(int change)
{
    atomic_fetch_add(&calls.nobjects, change);
}

void double_counts_write(void)
{
    char path[MAX_PATH], line[NAME_BYTES + 16];
    DWORD n = GetEnvironmentVariableA("CONF_WHPX_CALLS", path, sizeof path);
    int fd = n && n < sizeof path ? linux_open(path, LINUX_O_APPEND_CREATE, 0644) : -1;
    for (size_t i = 0; fd >= 0 && i < MAX_CALLS && calls.names[i]; i++) {
        linux_write(fd, line, (size_t)snprintf(line, sizeof line, "%s %u\n", calls.names[i], calls.counts[i]));
    }
    int nleft = atomic_load(&calls.nobjects);
    if (fd >= 0 && nleft) {
        linux_write(fd, line, (size_t)snprintf(line, sizeof line, "left %d\n", nleft));
    }
    if (fd >= 0) {
        linux_close(fd);
    }
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD why, LPVOID reserved);
BOOL WINAPI DllMain(HINSTANCE self, DWORD why, LPVOID reserved)
{
    (void)self;
    (void)reserved;
    if (why == DLL_PROCESS_DETACH) {
        double_counts_write();
    }
    return TRUE;
}
