/* SPDX-License-Identifier: Apache-2.0
 * test.h - unit tests beside the code. A folder's *_test.c files become one program, run by ctest:
 *
 *     TEST(buf, text_of_an_empty_buffer_is_an_empty_string)   // module, claim
 *     {
 *         CHECK_STR(buf_text(&(Buf){0}), "");
 *     }
 *
 * A failed CHECK prints file:line and both sides, and goes on; the test fails. `prog NAME-SUBSTRING` runs some, `-l`
 * lists. A test that makes no CHECK fails: it asserts nothing. test_skip(why) marks one that cannot run here. */
#ifndef SIM_BASE_TEST_H
#define SIM_BASE_TEST_H

#include <stdbool.h>
#include <stdint.h>

typedef struct TestCase {
    const char *module, *claim;
    void (*run)(void);
    struct TestCase *next;
} TestCase;
void test_register(TestCase *t);
void test_note(bool ok, const char *file, int line, const char *text);
bool test_check_u64(uint64_t got, uint64_t want, const char *file, int line, const char *text);
bool test_check_str(const char *got, const char *want, const char *file, int line, const char *text);
bool test_check_has(const char *got, const char *part, const char *file, int line, const char *text);
void test_skip(const char *why);

static inline bool test_check(bool ok, const char *file, int line, const char *text)
{
    test_note(ok, file, line, text);
    return ok; /* here, so that static analysis sees that a check which fails is one that was false */
}

#define TEST(module_, claim_)                                                                                          \
    static void test_##module_##_##claim_(void);                                                                       \
    __attribute__((constructor)) static void register_##module_##_##claim_(void)                                       \
    {                                                                                                                  \
        static TestCase t = {#module_, #claim_, test_##module_##_##claim_, 0};                                         \
        test_register(&t);                                                                                             \
    }                                                                                                                  \
    static void test_##module_##_##claim_(void)
#define CHECK(cond)          test_check((cond), __FILE__, __LINE__, #cond)
#define CHECK_INT(got, want) test_check_u64((uint64_t)(got), (uint64_t)(want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) test_check_str((got), (want), __FILE__, __LINE__, #got)
#define CHECK_HAS(got, part) test_check_has((got), (part), __FILE__, __LINE__, #got)
#endif
