/* SPDX-License-Identifier: Apache-2.0
 * err.h - error codes and the one error record.
 *
 * A fallible function is MUST_USE int and returns 0 or -ERR_x. The sentence with context is written once, where the
 * cause is known, with err_set() into the Err that the caller lent; callers above pass it on and never rewrite it
 * (err_prefix() may put a place such as "suite.yaml:3:7" in front). Three kinds of wrong are never mixed: a guest
 * fault is a value (VmExit), a host or input error is an Err, our own bug is an assert.
 * Thread rule: an Err belongs to the caller; no function keeps a pointer to one. */
#ifndef SIM_BASE_ERR_H
#define SIM_BASE_ERR_H

#include <stdint.h>

#define MUST_USE               __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define ERR(name, number, sentence) ERR_##name = (number),
enum {
#include "sim/base/err.def"
    ERR_COUNT
};
#undef ERR

typedef struct Err {
    int code;         /* ERR_x, positive; 0 = none */
    int64_t native;   /* errno, hv_return_t, HRESULT; 0 = none */
    char feature[32]; /* UNSUPPORTED: the capability or feature that is missing, e.g. "stage2_table" */
    char module[32];  /* UNSUPPORTED: who lacks it, e.g. "kvm" */
    char text[320];   /* one sentence, no final stop, no newline */
} Err;

/* Writes *e (NULL is fine) and returns -code, so that `return err_set(...)` reads well. Longer texts are cut. */
int err_set(Err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As err_set with errno's (or another platform code's) number and its text appended. */
int err_native(Err *e, int code, int64_t native, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* -ERR_UNSUPPORTED with feature and module filled: "<module>: <feature>: <sentence>". */
int err_unsupported(Err *e, const char *module, const char *feature, const char *why);
/* Puts "prefix: " before the text. */
void err_prefix(Err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "INVAL" for ERR_INVAL or -ERR_INVAL; "?" for a number that is none. */
const char *err_name(int code);
/* The sentence of err.def. */
const char *err_sentence(int code);

#ifdef __clang_analyzer__ /* what static analysis cannot see from a declaration: these never return 0 */
static inline int err_never_0(int rc)
{
    if (!rc) {
        __builtin_unreachable();
    }
    return rc;
}
#define err_set(...)         err_never_0((err_set)(__VA_ARGS__))
#define err_native(...)      err_never_0((err_native)(__VA_ARGS__))
#define err_unsupported(...) err_never_0((err_unsupported)(__VA_ARGS__))
#endif
#endif
