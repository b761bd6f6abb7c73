/* SPDX-License-Identifier: Apache-2.0
 * Every matcher with a number, a text and bytes: what holds, and the sentence where it does not. */
#include "conformance/story_int.h"
#include "sim/base/test.h"

#include <string.h>

static Value number(uint64_t n)
{
    return (Value){.kind = VALUE_INT, .n = n};
}

static Value text(const char *t)
{
    return (Value){.kind = VALUE_TEXT, .text = t};
}

static const Value few[] = {{.kind = VALUE_INT, .n = 1}, {.kind = VALUE_INT, .n = 2}};
static const Value words[] = {{.kind = VALUE_TEXT, .text = "a"}, {.kind = VALUE_TEXT, .text = "b"}};
static const Value bad[] = {{.kind = VALUE_TEXT, .text = "x"}};
static const Value minus[] = {{.kind = VALUE_INT, .n = (uint64_t)-1, .is_negative = true}};

static Matcher list_of(MatchKind kind, const Value *items, size_t n)
{
    return (Matcher){.kind = kind, .items = items, .n = n};
}

/* want NULL: it holds. */
static void int_says(const Matcher *m, uint64_t value, unsigned width, const char *want)
{
    Buf why = {0};
    MatchCtx x = {.why = &why}, quiet = {0};
    CHECK_INT(match_int(&x, m, value, width, false), !want);
    CHECK_INT(match_int(&quiet, m, value, width, false), !want);
    CHECK_STR(buf_text(&why), want ? want : "");
    buf_free(&why);
}

static void text_says(const Matcher *m, const char *value, const char *want)
{
    Buf why = {0};
    MatchCtx x = {.why = &why}, quiet = {0};
    CHECK_INT(match_text(&x, m, value, strlen(value)), !want);
    CHECK_INT(match_text(&quiet, m, value, strlen(value)), !want);
    CHECK_STR(buf_text(&why), want ? want : "");
    buf_free(&why);
}

static void bytes_say(const Matcher *m, const char *value, size_t n, const char *want)
{
    Buf why = {0};
    MatchCtx x = {.why = &why}, quiet = {0};
    CHECK_INT(match_bytes(&x, m, (const uint8_t *)value, n), !want);
    CHECK_INT(match_bytes(&quiet, m, (const uint8_t *)value, n), !want);
    CHECK_STR(buf_text(&why), want ? want : "");
    buf_free(&why);
}

TEST(match, numbers)
{
    Matcher in = list_of(MATCH_in, few, 2), odd = list_of(MATCH_in, bad, 1), list = list_of(MATCH_list, few, 2);
    Matcher not_in = {.kind = MATCH_not, .sub = &in}, not_odd = {.kind = MATCH_not, .sub = &odd},
            not_any = {.kind = MATCH_not};
    int_says(&in, 2, 4, NULL);
    int_says(&in, 3, 4, "expected one of [1, 2], got 3");
    int_says(&odd, 3, 4, "`x` is no number");
    int_says(&not_in, 3, 4, NULL);
    int_says(&not_in, 1, 4, "expected not one of [1, 2], got 1");
    int_says(&not_odd, 1, 4, "`x` is no number");
    int_says(&not_any, 1, 4, "expected not , got 1");
    int_says(&list, 1, 4, "a list cannot match a number");
    int_says(&(Matcher){.kind = MATCH_eq, .a = number(0x1ff)}, 0xff, 1, "0x1ff does not fit 1 byte");
    int_says(&(Matcher){.kind = MATCH_eq, .a = number(0x1ffff)}, 0xff, 2, "0x1ffff does not fit 2 bytes");
    int_says(&(Matcher){.kind = MATCH_eq, .a = minus[0]}, 0xff, 1, NULL);
    int_says(&(Matcher){.kind = MATCH_eq, .a = minus[0]}, 0xfe, 1, "expected -1, got 0xfe");
    int_says(&(Matcher){.kind = MATCH_eq}, 0, 8, "`nothing` is no number");
    int_says(&(Matcher){.kind = MATCH_range, .a = number(1), .b = text("x")}, 1, 8, "`x` is no number");
    int_says(&(Matcher){.kind = MATCH_range, .a = text("x"), .b = number(1)}, 1, 8, "`x` is no number");
    int_says(&(Matcher){.kind = MATCH_range, .a = number(1), .b = number(3)}, 4, 8, "expected 1 to 3, got 4");
    int_says(&(Matcher){.kind = MATCH_range, .a = number(1), .b = number(3)}, 0, 8, "expected 1 to 3, got 0");
    int_says(&(Matcher){.kind = MATCH_ge, .a = text("x")}, 1, 8, "`x` is no number");
    int_says(&(Matcher){.kind = MATCH_ge, .a = number(2)}, 1, 8, "expected at least 2, got 1");
    int_says(&(Matcher){.kind = MATCH_le, .a = number(2)}, 2, 8, NULL);
    int_says(&(Matcher){.kind = MATCH_le, .a = number(2)}, 3, 8, "expected at most 2, got 3");
    int_says(&(Matcher){.kind = MATCH_mask, .a = text("x"), .b = number(1)}, 1, 8, "`x` is no number");
    int_says(&(Matcher){.kind = MATCH_mask, .a = number(1), .b = text("x")}, 1, 8, "`x` is no number");
    int_says(&(Matcher){.kind = MATCH_mask, .a = number(6), .b = number(4)}, 5, 8, NULL);
    int_says(&(Matcher){.kind = MATCH_mask, .a = number(6), .b = number(4)}, 2, 8, "expected 4 under mask 6, got 2");
    for (MatchKind kind = MATCH_has; kind <= MATCH_match; kind++) {
        int_says(&(Matcher){.kind = kind, .a = text("x")}, 1, 8,
                 "`has`, `lacks` and `match` compare text, this is a number");
    }
    int_says(&(Matcher){.kind = MATCH_any}, 1, 8, NULL);
}

TEST(match, texts)
{
    Matcher in = list_of(MATCH_in, words, 2), list = list_of(MATCH_list, words, 2);
    Matcher not_in = {.kind = MATCH_not, .sub = &in}, not_list = {.kind = MATCH_not, .sub = &list},
            not_any = {.kind = MATCH_not};
    static const MatchKind of_numbers[] = {MATCH_range, MATCH_ge, MATCH_le, MATCH_mask, MATCH_list};
    text_says(&in, "b", NULL);
    text_says(&in, "c", "expected one of [\"a\", \"b\"], got \"c\"");
    text_says(&not_in, "c", NULL);
    text_says(&not_in, "a", "expected not one of [\"a\", \"b\"], got \"a\"");
    text_says(&not_list, "a", "`range`, `ge`, `le`, `mask` and lists compare numbers, this is text");
    text_says(&not_any, "a", "expected not , got \"a\"");
    text_says(&(Matcher){.kind = MATCH_eq, .a = number(1)}, "1", "expected 1, got \"1\"");
    text_says(&(Matcher){.kind = MATCH_has, .a = number(1)}, "1", "expected text with 1, got \"1\"");
    text_says(&(Matcher){.kind = MATCH_lacks, .a = text("a")}, "cab", "expected text without \"a\", got \"cab\"");
    text_says(&(Matcher){.kind = MATCH_match, .a = text("^%d+$")}, "12", NULL);
    text_says(&(Matcher){.kind = MATCH_match, .a = text("^%d+$")}, "1x\n\"\\\x01",
              "expected text like \"^%d+$\", got \"1x\\n\\\"\\\\\\x01\"");
    text_says(&(Matcher){.kind = MATCH_match, .a = text("[")}, "x", "match: malformed pattern (missing ']')");
    text_says(&(Matcher){.kind = MATCH_any}, "x", NULL);
    for (size_t i = 0; i < ARRAY_LEN(of_numbers); i++) {
        text_says(&(Matcher){.kind = of_numbers[i]}, "1",
                  "`range`, `ge`, `le`, `mask` and lists compare numbers, this is text");
    }
}

TEST(match, bytes)
{
    static const char nine[] = "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21";
    Matcher list = list_of(MATCH_list, few, 2), odd = list_of(MATCH_list, bad, 1);
    Matcher not_list = {.kind = MATCH_not, .sub = &list}, not_odd = {.kind = MATCH_not, .sub = &odd},
            not_any = {.kind = MATCH_not};
    Matcher not_eq = {.kind = MATCH_not, .sub = &(Matcher){.kind = MATCH_eq, .a = number(1)}};
    static const MatchKind others[] = {MATCH_eq,   MATCH_in,  MATCH_range, MATCH_ge,   MATCH_le,
                                       MATCH_mask, MATCH_has, MATCH_lacks, MATCH_match};
    bytes_say(&list, nine, 2, NULL);
    bytes_say(&list, nine, 3, "expected [1, 2], got [1, 2, 3]");
    bytes_say(&list, nine, 1, "expected [1, 2], got [1]");
    bytes_say(&odd, nine, 1, "`x` is no number");
    bytes_say(&not_list, nine, 3, NULL);
    bytes_say(&not_list, nine, 2, "expected not [1, 2], got [1, 2]");
    bytes_say(&not_odd, nine, 1, "`x` is no number");
    bytes_say(&not_any, nine, 9, "expected not , got [1, 2, 3, 4, 5, 6, 7, 8, 9]");
    bytes_say(& not_eq, nine, 2, NULL); /* 0x0201 */
    bytes_say(& not_eq, nine, 9, "9 bytes are compared with a list of bytes");
    bytes_say(&(Matcher){.kind = MATCH_any}, nine, 9, NULL);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        bytes_say(&(Matcher){.kind = others[i]}, nine, 9, "9 bytes are compared with a list of bytes");
    }
}
