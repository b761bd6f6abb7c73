/* SPDX-License-Identifier: Apache-2.0
 * What a bad backend does to its process. Nothing here is reached but by a script that asks for it. */
#include "accel/fake/impl.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_FD = 3, LAST_FD = 63, NOISE_BYTES = 64 };

static void crash(int number)
{
    signal(number, SIG_DFL);
    raise(number);
}

static void hang(void)
{
    for (;;) {
        poll(NULL, 0, -1);
    }
}

/* Noise that looks like no frame, on whatever could be the link to the parent; never blocks on a full pipe. */
static void garbage(void)
{
    uint8_t noise[NOISE_BYTES];
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (uint8_t)(0xa5 ^ i * 37);
    }
    for (int fd = FIRST_FD; fd <= LAST_FD; fd++) {
        struct stat st;
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        bool is_link = !fstat(fd, &st) && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode));
        if (is_link && poll(&p, 1, 0) == 1 && p.revents == POLLOUT) {
            ssize_t done = write(fd, noise, sizeof noise);
            (void)done; /* noise that did not go out is no loss */
        }
    }
}

static int alloc(uint64_t want, Err *err)
{
    enum { CHUNK = 1 << 20 };
    VEC(uint8_t *) chunks = {0};
    int rc = 0;
    for (uint64_t had = 0; had < want && !rc; had += CHUNK) {
        uint8_t *p = mem_try(CHUNK, 1);
        if (!p) {
            rc = err_set(err, ERR_NOMEM, "alloc: refused after %llu bytes", (unsigned long long)had);
            break;
        }
        memset(p, 0xa5, CHUNK);
        VEC_PUSH(&chunks, p);
    }
    for (size_t i = 0; i < chunks.n; i++) {
        mem_free(chunks.items[i]);
    }
    VEC_FREE(&chunks);
    return rc;
}

int misbehave(const Entry *e, Err *err)
{
    if (e->act == ACT_CRASH) {
        crash((int)e->number);
    } else if (e->act == ACT_DIE) {
        _exit((int)(e->number & 0xff));
    } else if (e->act == ACT_HANG) {
        hang();
    } else if (e->act == ACT_GARBAGE) {
        garbage();
    } else if (e->act == ACT_ALLOC) {
        return alloc(e->number, err);
    }
    return 0;
}
