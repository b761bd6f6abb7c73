/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/language.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <stdio.h>
#include <string.h>

/* A reader of JSON's grammar (RFC 8259), as far as the writer can produce it. */
static const char *skip(const char *p)
{
    return p + strspn(p, " \n\r\t");
}

static const char *read_string(const char *p)
{
    if (!p || *p != '"') {
        return NULL;
    }
    for (p++; *p && *p != '"'; p++) {
        p += *p == '\\' && p[1];
    }
    return *p ? p + 1 : NULL;
}

static const char *read_value(const char *p, int depth);

static const char *read_list(const char *p, char end, int depth)
{
    p = skip(p + 1);
    if (*p == end) {
        return p + 1;
    }
    for (;;) {
        if (end == '}') {
            p = read_string(skip(p));
            if (!p || *(p = skip(p)) != ':') {
                return NULL;
            }
            p++;
        }
        p = read_value(skip(p), depth + 1);
        if (!p) {
            return NULL;
        }
        p = skip(p);
        if (*p == end) {
            return p + 1;
        }
        if (*p++ != ',') {
            return NULL;
        }
    }
}

static const char *read_value(const char *p, int depth)
{
    if (depth > 64) {
        return NULL;
    }
    if (*p == '{' || *p == '[') {
        return read_list(p, *p == '{' ? '}' : ']', depth);
    }
    if (*p == '"') {
        return read_string(p);
    }
    size_t n = strspn(p, "-0123456789");
    return n ? p + n : !strncmp(p, "true", 4) ? p + 4 : !strncmp(p, "false", 5) ? p + 5 : NULL;
}

static void check_named(const char *schema, const char *name)
{
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    if (!CHECK(strstr(schema, quoted) != NULL)) {
        fprintf(stderr, "    no %s in the schema\n", quoted);
    }
}

TEST(schema, it_is_json_and_names_every_key_field_and_exit)
{
    Buf out = {0};
    schema_print(&out);
    const char *end = read_value(out.data, 0);
    CHECK(end && !*skip(end));
    size_t n = 0;
    const KeyInfo *keys = key_table(&n);
    for (size_t i = 0; i < n; i++) {
        check_named(out.data, keys[i].name);
        CHECK(key_find(keys[i].scope, keys[i].name) == &keys[i]); /* no key twice */
    }
    const FieldInfo *fields = field_table(&n);
    for (size_t i = 0; i < n; i++) {
        check_named(out.data, field_name(fields[i].field));
    }
    for (int i = 0; i < HEAD_COUNT; i++) {
        check_named(out.data, head_name(i));
    }
    buf_free(&out);
}

TEST(schema, every_reference_has_its_definition)
{
    Buf out = {0};
    schema_print(&out);
    size_t n = 0;
    for (const char *p = out.data; (p = strstr(p, "\"#/definitions/")); n++) {
        char name[64];
        p += strlen("\"#/definitions/");
        size_t len = strcspn(p, "\"");
        snprintf(name, sizeof name, "%.*s", (int)len, p);
        check_named(out.data, name);
    }
    CHECK(n > 100);
    buf_free(&out);
}

TEST(language, a_misspelt_word_is_near_its_neighbour_and_to_nothing_else)
{
    Near near = near_start("sise");
    near_try(&near, "addr");
    near_try(&near, "size");
    CHECK_STR(near.best, "size");
    near = near_start("x");
    near_try(&near, "y");
    CHECK(!near.best);
    near = near_start("ab");
    near_try(&near, "ba"); /* neighbours swapped: one step */
    CHECK_STR(near.best, "ba");
    near = near_start("a_word_that_is_longer_than_any_key_of_the_language");
    near_try(&near, "size");
    CHECK(!near.best);
}

TEST(language, every_exit_has_the_common_fields_and_no_field_twice)
{
    size_t n = 0;
    const FieldInfo *fields = field_table(&n);
    for (int head = 0; head <= HEAD_trap; head++) {
        CHECK(field_find(head, "pc") != NULL);
        uint64_t seen = 0;
        for (size_t i = 0; i < n; i++) {
            if (fields[i].head == head || fields[i].head < 0) {
                CHECK(!(seen & 1ull << fields[i].field));
                seen |= 1ull << fields[i].field;
            }
        }
    }
    CHECK(!field_find(EXIT_halt, "addr"));
}

/* ".SS scope", then ".B key" and the table's text, before the next ".SS" or ".SH". */
static void check_manual(const char *page, const char *scope, const char *key, const char *doc)
{
    Buf head = {0}, entry = {0};
    buf_printf(&head, "\n.SS %s\n", scope);
    buf_printf(&entry, "\n.B %s\n%s\n", key, doc);
    const char *from = strstr(page, buf_text(&head));
    const char *end = from ? strstr(from + head.n, "\n.S") : NULL;
    const char *at = from ? strstr(from, buf_text(&entry)) : NULL;
    if (!CHECK(at && end && at < end)) {
        printf("conf-scenario.5 lacks under `.SS %s`:\n.TP 14\n.B %s\n%s\n", scope, key, doc);
    }
    buf_free(&head);
    buf_free(&entry);
}

TEST(schema, the_manual_has_every_key_and_every_field)
{
    static const char *const ROWS[][3] = {
#define KEY(scope, key, type, doc) {#scope, #key, doc},
#include "conformance/keys.def"
#undef KEY
#define FIELD(exit, field, type, bits, doc) {"exit " #exit, #field, doc},
#define COMMON(field, type, bits, doc)      {"every exit", #field, doc},
#include "conformance/fields.def"
#undef FIELD
#undef COMMON
    };
    Buf page = {0};
    Err err = {0};
    if (CHECK_INT(os_read_file("docs/man/conf-scenario.5", 1 << 20, &page, &err), 0)) {
        for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
            check_manual(buf_text(&page), ROWS[i][0], ROWS[i][1], ROWS[i][2]);
        }
    }
    buf_free(&page);
}
