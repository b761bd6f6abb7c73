/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/history.h"

#include <string.h>

#define X(name) [HISTORY_##name] = #name,
static const char *const NAMES[] = {HISTORY_STATUS_MAP(X)};
#undef X

const char *history_status_name(HistoryStatus s)
{
    return (unsigned)s < HISTORY_STATUS_COUNT ? NAMES[s] : "?";
}

int history_status_parse(const char *word)
{
    for (int i = 0; i < HISTORY_STATUS_COUNT; i++) {
        if (!strcmp(NAMES[i], word)) {
            return i;
        }
    }
    return -1;
}

bool history_status_is_bad(HistoryStatus s)
{
    return s == HISTORY_failed || s == HISTORY_error || s == HISTORY_xpassed;
}

bool history_status_ran(HistoryStatus s)
{
    return history_status_is_bad(s) || s == HISTORY_passed || s == HISTORY_xfailed;
}
