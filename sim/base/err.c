/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void err_start(Err *e, int code, int64_t native)
{
    memset(e, 0, sizeof *e);
    e->code = code;
    e->native = native;
}

/* The names in parentheses: no macro of err.h is meant. */
int(err_set)(Err *e, int code, const char *fmt, ...)
{
    if (e) {
        va_list args;
        err_start(e, code, 0);
        va_start(args, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, args);
        va_end(args);
    }
    return -code;
}

int(err_native)(Err *e, int code, int64_t native, const char *fmt, ...)
{
    if (e) {
        va_list args;
        err_start(e, code, native);
        va_start(args, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, args);
        va_end(args);
        size_t n = strlen(e->text);
        char reason[96];
        /* The GNU strerror_r may return its own text instead of filling the buffer. */
        const char *text = strerror_r((int)native, reason, sizeof reason);
        snprintf(e->text + n, sizeof e->text - n, ": %s", text);
    }
    return -code;
}

int(err_unsupported)(Err *e, const char *module, const char *feature, const char *why)
{
    err_set(e, ERR_UNSUPPORTED, "%s: %s: %s", module, feature, why);
    if (e) {
        snprintf(e->module, sizeof e->module, "%s", module);
        snprintf(e->feature, sizeof e->feature, "%s", feature);
    }
    return -ERR_UNSUPPORTED;
}

void err_prefix(Err *e, const char *fmt, ...)
{
    if (!e) {
        return;
    }
    char prefix[sizeof e->text];
    char joined[sizeof prefix + sizeof e->text + 4];
    va_list args;
    va_start(args, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, args);
    va_end(args);
    snprintf(joined, sizeof joined, "%s: %s", prefix, e->text);
    joined[sizeof e->text - 1] = 0;
    memcpy(e->text, joined, sizeof e->text);
}

const char *err_name(int code)
{
    switch (code < 0 ? -code : code) {
#define ERR(name, number, sentence)                                                                                    \
    case number:                                                                                                       \
        return #name;
#include "sim/base/err.def"
#undef ERR
    default:
        return "?";
    }
}

const char *err_sentence(int code)
{
    switch (code < 0 ? -code : code) {
#define ERR(name, number, sentence)                                                                                    \
    case number:                                                                                                       \
        return sentence;
#include "sim/base/err.def"
#undef ERR
    default:
        return "unknown error";
    }
}
