/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/result.h"

#include "coverage/collect.h"

const char *status_name(Status s)
{
#define X(name) [STATUS_##name] = #name,
    static const char *const names[] = {STATUS_MAP(X)};
#undef X
    return (unsigned)s < STATUS_COUNT ? names[s] : "?";
}

void result_free(Result *r)
{
    buf_free(&r->reason);
    buf_free(&r->failure);
    VEC_FREE(&r->trace);
    arena_free(r->arena);
    r->arena = NULL;
    covjob_free(r->coverage);
    r->coverage = NULL;
}
