/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/json_in.h"
#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <string.h>

TEST(json_in, reads_what_the_writer_wrote)
{
    Buf out = {0}, text = {0};
    Err err = {0};
    Json w = json_to(&out, 2);
    json_open(&w, '{');
    json_kstr(&w, "a \"b\"\n\t", "\x01 \xc3\xa4 \xf0\x9f\x98\x80");
    json_key(&w, "list");
    json_open(&w, '[');
    json_u64(&w, UINT64_MAX);
    json_bool(&w, true);
    json_str(&w, NULL);
    json_close(&w, ']');
    json_close(&w, '}');
    JsonIn j = json_in("x", out.data, out.n, &err);
    json_in_open(&j, '{');
    CHECK(json_in_key(&j, &text));
    CHECK_STR(buf_text(&text), "a \"b\"\n\t");
    json_in_str(&j, &text);
    CHECK_STR(buf_text(&text), "\x01 \xc3\xa4 \xf0\x9f\x98\x80");
    CHECK(json_in_key(&j, &text));
    json_in_open(&j, '[');
    CHECK(json_in_item(&j));
    CHECK_INT(json_in_u64(&j, UINT64_MAX), UINT64_MAX);
    CHECK(json_in_item(&j));
    CHECK(json_in_bool(&j));
    CHECK(json_in_item(&j));
    CHECK_INT(json_in_peek(&j), 'n');
    json_in_skip(&j);
    CHECK(!json_in_item(&j));
    CHECK(!json_in_key(&j, &text));
    CHECK_INT(json_in_end(&j), 0);
    buf_free(&out);
    buf_free(&text);
}

TEST(json_in, escapes_and_surrogates)
{
    static const char text[] = " \"\\u00e4\\u20ac\\ud83d\\ude00\\/\\b\" ";
    Buf got = {0};
    JsonIn j = json_in("x", text, sizeof text - 1, NULL);
    json_in_str(&j, &got);
    CHECK_STR(buf_text(&got), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/\b");
    CHECK_INT(json_in_end(&j), 0);
    buf_free(&got);
}

TEST(json_in, a_string_is_asked_for_where_none_is_or_is_longer_than_the_limit)
{
    Buf long_one = {0}, got = {0};
    Err err;
    JsonIn j = json_in("f.json", "[", 1, &err);
    json_in_str(&j, &got);
    CHECK_HAS(err.text, "f.json:1:1: expected a string, got `[`");
    buf_char(&long_one, '"');
    for (unsigned i = 0; i <= JSON_TEXT_MAX; i++) {
        buf_char(&long_one, 'x');
    }
    buf_char(&long_one, '"');
    j = json_in("f.json", long_one.data, long_one.n, &err);
    json_in_str(&j, &got);
    CHECK_INT(json_in_end(&j), -ERR_LIMIT);
    CHECK_HAS(err.text, "a string of more than ");
    CHECK_INT(got.n, 0);
    buf_free(&long_one);
    buf_free(&got);
}

TEST(json_in, numbers)
{
    static const char text[] = "[-1.5e2, 0, 0.25]";
    JsonIn j = json_in("x", text, sizeof text - 1, NULL);
    json_in_open(&j, '[');
    CHECK(json_in_item(&j) && json_in_number(&j) == -150.0);
    CHECK(json_in_item(&j) && json_in_number(&j) == 0.0);
    CHECK(json_in_item(&j) && json_in_number(&j) == 0.25);
    CHECK(!json_in_item(&j));
    CHECK_INT(json_in_end(&j), 0);
}

/* Skips the text; what the first failure says, or "" */
static void skip_says(const char *text, size_t n, Err *err)
{
    *err = (Err){0};
    JsonIn j = json_in("f.json", text, n, err);
    json_in_skip(&j);
    int rc = json_in_end(&j);
    CHECK_INT(rc, -err->code);
}

TEST(json_in, refuses_everything_else_with_its_place)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "f.json:1:1: expected a value, but the text ends"},
        {"{\n \"a\" 1}", "f.json:2:6: expected `:`, got `1`"},
        {"[1 2]", "expected `,` or `]`, got `2`"},
        {"[1,]", "expected a value, got `]`"},
        {"{\"a\":1,}", "expected a key or `}`, got `}`"},
        {"{1:2}", "expected a key or `}`, got `1`"},
        {"01", "expected a number, got `0`"},
        {"1.", "expected a number"},
        {"-", "expected a number"},
        {"1e", "expected a number"},
        {"nul", "expected a value, got `n`"},
        {"tru", "expected true or false, got `t`"},
        {"1 2", "f.json:1:3: expected the end, got `2`"},
        {"\"\\x\"", "expected an escape"},
        {"\"\\ud800\"", "a character that cannot be in a text"},
        {"\"\\u0000\"", "a character that cannot be in a text"},
        {"\"\\u12g4\"", "expected four hexadecimal digits, got `g`"},
        {"\"\\ud83d\\u12g4\"", "expected four hexadecimal digits, got `g`"},
        {"\"\n\"", "expected a character of a string, in UTF-8, got byte 0x0a"},
        {"\"\xc0\x80\"", "expected a character of a string, in UTF-8, got byte 0xc0"},
        {"\"\xed\xa0\x80\"", "got byte 0xed"},
        {"\"\xf4\x90\x80\x80\"", "got byte 0xf4"},
        {"\"\xc3", "got byte 0xc3"},
        {"\"abc", "but the text ends"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "nested deeper than 32"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Err err;
        skip_says(cases[i].text, strlen(cases[i].text), &err);
        CHECK_HAS(err.text, cases[i].says);
    }
}

TEST(json_in, whole_numbers_have_a_limit_and_no_fraction)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"300", "f:1:1: expected a number of at most 255, got 300"},
        {"18446744073709551616", "a number beyond 2^64"},
        {"1.5", "expected a whole number"},
        {"-1", "expected a whole number, got `-`"},
        {"007", "expected a whole number"},
        {"\"7\"", "expected a whole number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Err err = {0};
        JsonIn j = json_in("f", cases[i].text, strlen(cases[i].text), &err);
        CHECK_INT(json_in_u64(&j, 255), 0);
        CHECK(!json_in_ok(&j));
        CHECK_HAS(err.text, cases[i].says);
        CHECK(!json_in_bool(&j) && !json_in_peek(&j)); /* sticky */
        CHECK_HAS(err.text, cases[i].says);
    }
}
