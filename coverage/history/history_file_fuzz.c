/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a report: an error with a place, or a run that can be added. */
#include "coverage/history/history_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* One in memory; emptied by hand, as pruning would keep the names. */
static History *database(void)
{
    static History *h;
    Err err = {0};
    if (!h) {
        char path[64];
        snprintf(path, sizeof path, "/tmp/conf-history-fuzz-%d.db", (int)getpid());
        require(!history_open(&(HistoryOpen){.where = path}, &h, &err), err.text);
        require(!h->sql->ops->exec(h->sql, "PRAGMA synchronous = OFF", &err), err.text);
        unlink(path);
    }
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    HistoryFile *f = history_file_new();
    Err err = {0};
    int rc = history_file_read(f, "x", data, n, &err);
    require(!rc || !strncmp(err.text, "x:", 2), "an error without a place");
    if (!rc) {
        History *h = database();
        int64_t id = 0;
        HistoryAdd *a = history_file_add(f);
        rc = history_add(h, a, &id, NULL, &err);
        require(!rc || rc == -ERR_EXIST || rc == -ERR_INVAL, err.text);
        if (!rc) {
            uint64_t nruns = 0;
            require(!history_check(h, &err), err.text);
            require(!history_prune(h, &(HistoryPrune){.before_ms = INT64_MAX}, &nruns, &err), err.text);
        }
    }
    history_file_free(f);
    return 0;
}
