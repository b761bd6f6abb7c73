/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/language.h"

#include <string.h>

#define KEY(scope, name, type, doc) {SCOPE_##scope, #name, TYPE_##type, doc},
static const KeyInfo keys[] = {
#include "conformance/keys.def"
};
#undef KEY

#define X(name, reply) FIELD_HEAD_##name = EXIT_##name,
enum { EXIT_MAP(X) FIELD_HEAD_trap = HEAD_trap };
#undef X
#define FIELD(exit, field, type, bits, doc) {FIELD_HEAD_##exit, FIELD_##field, FIELD_TYPE_##type, bits, doc},
#define COMMON(field, type, bits, doc)      {-1, FIELD_##field, FIELD_TYPE_##type, bits, doc},
static const FieldInfo fields[] = {
#include "conformance/fields.def"
};
#undef FIELD
#undef COMMON

#define X(name) #name,
static const char *const field_names[FIELD_COUNT] = {FIELD_MAP(X)};
#undef X

#define ERROR_WORD(word, code, doc) {#word, ERR_##code, doc},
static const ErrorWord errors[] = {
#include "conformance/errors.def"
};
#undef ERROR_WORD

#define DEVICE(word, doc) #word,
static const char *const devices[] = {
#include "conformance/devices.def"
};
#undef DEVICE

const KeyInfo *key_table(size_t *n)
{
    *n = ARRAY_LEN(keys);
    return keys;
}

const KeyInfo *key_find(Scope scope, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (keys[i].scope == scope && !strcmp(keys[i].name, name)) {
            return &keys[i];
        }
    }
    return NULL;
}

const char *scope_shown(Scope scope)
{
#define X(name, shown) shown,
    static const char *const names[] = {SCOPE_MAP(X)};
#undef X
    return names[scope];
}

const char *type_name(TypeId type)
{
#define TYPE(name) #name,
    static const char *const names[] = {
#include "conformance/types.def"
    };
#undef TYPE
    return names[type];
}

const FieldInfo *field_table(size_t *n)
{
    *n = ARRAY_LEN(fields);
    return fields;
}

const FieldInfo *field_find(int head, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if ((fields[i].head == head || fields[i].head < 0) && !strcmp(field_names[fields[i].field], name)) {
            return &fields[i];
        }
    }
    return NULL;
}

const char *field_name(FieldId field)
{
    return field_names[field];
}

static const char *const own_heads[] = {"done", "trap", "console", "repeat", "any_order"};

int head_find(const char *word)
{
    for (int i = 0; i < HEAD_COUNT; i++) {
        if (!strcmp(head_name(i), word)) {
            return i;
        }
    }
    return -1;
}

const char *head_name(int head)
{
    return head < EXIT_COUNT ? exit_name((ExitKind)head) : own_heads[head - EXIT_COUNT];
}

const ErrorWord *error_words(size_t *n)
{
    *n = ARRAY_LEN(errors);
    return errors;
}

const ErrorWord *error_word_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        if (!strcmp(errors[i].word, word)) {
            return &errors[i];
        }
    }
    return NULL;
}

static const char *const backends[] = {"sim", "sim-interp", "sim-jit", "sim-hybrid", "kvm",
                                       "hvf", "whpx",       "vz",      "fake"};

const char *const *backend_words(size_t *n)
{
    *n = ARRAY_LEN(backends);
    return backends;
}

bool backend_word_ok(const char *word)
{
    if (!strncmp(word, "plugin:", 7) || !strncmp(word, "remote:", 7)) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        size_t n = strlen(backends[i]);
        if (!strncmp(backends[i], word, n) && (!word[n] || word[n] == '@')) {
            return true;
        }
    }
    return false;
}

const char *const *device_words(size_t *n)
{
    *n = ARRAY_LEN(devices);
    return devices;
}

/* Optimal string alignment: insert, delete, replace and swap of neighbours cost one each; SIZE_MAX for long words. */
enum { NEAR_CHARS = 40 };

static size_t least_of(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b), row[3][NEAR_CHARS + 1];
    if (na > NEAR_CHARS || nb > NEAR_CHARS) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= nb; j++) {
        row[0][j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3], *prev = row[(i + 2) % 3], *older = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = least_of(prev[j] + 1, now[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = least_of(now[j], older[j - 2] + 1, SIZE_MAX);
            }
        }
    }
    return row[na % 3][nb];
}

Near near_start(const char *word)
{
    return (Near){word, NULL, strlen(word) / 3 + 2};
}

void near_try(Near *n, const char *candidate)
{
    size_t d = distance(n->word, candidate);
    if (d < n->least && d < strlen(n->word)) {
        n->least = d;
        n->best = candidate;
    }
}
