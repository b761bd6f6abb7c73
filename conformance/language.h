/* SPDX-License-Identifier: Apache-2.0
 * language.h - the words of the scenario language as tables: keys.def, fields.def, errors.def, devices.def.
 * THREAD-SAFE: constant data. Inside the loader and `conf schema` only. */
#ifndef CONFORMANCE_LANGUAGE_H
#define CONFORMANCE_LANGUAGE_H

#include "conformance/scenario.h"

#define SCOPE_MAP(X)                                                                                                   \
    X(suite, "a suite")                                                                                                \
    X(scenario, "a scenario")                                                                                          \
    X(item, "an item")                                                                                                 \
    X(step, "a step")                                                                                                  \
    X(check, "a check")                                                                                                \
    X(matcher, "a matcher")                                                                                            \
    X(region, "a region")                                                                                              \
    X(bytes, "memory contents")                                                                                        \
    X(page, "a page")                                                                                                  \
    X(vcpu, "a vcpu")                                                                                                  \
    X(intercept, "`intercept`")                                                                                        \
    X(boot, "`boot`")                                                                                                  \
    X(xfail, "`xfail`")                                                                                                \
    X(codefile, "code")                                                                                                \
    X(asset, "an asset")                                                                                               \
    X(map, "a mapping")                                                                                                \
    X(native, "`native`")                                                                                              \
    X(grid, "a grid")                                                                                                  \
    X(cpuid, "a cpuid reply")
#define X(name, shown) SCOPE_##name,
typedef enum { SCOPE_MAP(X) SCOPE_COUNT } Scope;
#undef X
#define TYPE(name) TYPE_##name,
typedef enum {
#include "conformance/types.def"
    TYPE_COUNT
} TypeId;
#undef TYPE
typedef struct {
    Scope scope;
    const char *name;
    TypeId type;
    const char *doc;
} KeyInfo;
const KeyInfo *key_table(size_t *n);
const KeyInfo *key_find(Scope scope, const char *name);
const char *scope_shown(Scope scope); /* "a scenario" */
const char *type_name(TypeId type);

typedef enum {
    FIELD_TYPE_int,
    FIELD_TYPE_size,
    FIELD_TYPE_reg,
    FIELD_TYPE_text,
    FIELD_TYPE_access,
    FIELD_TYPE_debug,
    FIELD_TYPE_bytes,
    FIELD_TYPE_cause,
    FIELD_TYPE_by
} FieldType;
enum { HEAD_done = EXIT_COUNT, HEAD_trap, HEAD_console, HEAD_repeat, HEAD_any_order, HEAD_COUNT };
typedef struct {
    int head; /* ExitKind, HEAD_done or HEAD_trap; -1 = of every exit */
    FieldId field;
    FieldType type;
    unsigned bits;
    const char *doc;
} FieldInfo;
const FieldInfo *field_table(size_t *n);
const FieldInfo *field_find(int head, const char *name);
const char *field_name(FieldId field);
int head_find(const char *word); /* the word that an item is called by; -1 if none */
const char *head_name(int head);

typedef struct {
    const char *word;
    int code; /* ERR_x */
    const char *doc;
} ErrorWord;
const ErrorWord *error_words(size_t *n);
const ErrorWord *error_word_find(const char *word);
/* Is it a backend that this or another build may have: "kvm", "kvm@nested", "plugin:x.so"? */
bool backend_word_ok(const char *word);
const char *const *backend_words(size_t *n);
const char *const *device_words(size_t *n);

/* The word of the list that `word` is most likely a misspelling of; NULL if none is near. */
typedef struct {
    const char *word, *best;
    size_t least;
} Near;
Near near_start(const char *word);
void near_try(Near *n, const char *candidate);
#endif
