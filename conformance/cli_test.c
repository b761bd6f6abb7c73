/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/cli.h"

#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <stdlib.h>
#include <string.h>

static const CliOption OPTIONS[] = {{"backend", 'b', 'r'}, {"verbose", 'v', 0}, {"fail-fast", 0, 'o'}};

/* The options and operands of a command line as one text. */
static void read_line(const char **words, int n, Buf *out, Err *err)
{
    Cli c = cli_of(OPTIONS, ARRAY_LEN(OPTIONS), n, (char **)words);
    for (int i = cli_next(&c, err); i != CLI_END; i = cli_next(&c, err)) {
        if (i == CLI_BAD) {
            buf_printf(out, "!%s", err->text);
            return;
        }
        buf_printf(out, "%s=%s;", i == CLI_OPERAND ? "" : OPTIONS[i].name, c.arg ? c.arg : "-");
    }
}
#define CHECK_LINE(want, ...)                                                                                          \
    do {                                                                                                               \
        const char *words[] = {"run", __VA_ARGS__};                                                                    \
        Buf got = {0};                                                                                                 \
        Err err = {0};                                                                                                 \
        read_line(words, (int)ARRAY_LEN(words), &got, &err);                                                           \
        CHECK_STR(buf_text(&got), want);                                                                               \
        buf_free(&got);                                                                                                \
    } while (0)

TEST(cli, options_and_operands_mix)
{
    CHECK_LINE("=a.yaml;backend=kvm;=b;verbose=-;", "a.yaml", "--backend", "kvm", "b", "-v");
    CHECK_LINE("verbose=-;backend=x;", "-vbx");
    CHECK_LINE("backend=x;", "-b", "x");
    CHECK_LINE("fail-fast=-;=3;fail-fast=2;", "--fail-fast", "3", "--fail-fast=2");
    CHECK_LINE("=--verbose;=-;", "--", "--verbose", "-");
    CHECK_LINE("=-;", "-");
}

TEST(cli, a_mistaken_option_is_answered_with_the_nearest)
{
    CHECK_LINE("!unknown option --bakend; did you mean --backend?", "--bakend", "x");
    CHECK_LINE("!unknown option --zzz", "--zzz");
    CHECK_LINE("!unknown option -x", "-x");
    CHECK_LINE("!option --backend needs an argument", "--backend");
    CHECK_LINE("!option --verbose takes no argument", "--verbose=1");
}

TEST(cli, near_words)
{
    static const char *const WORDS[] = {"run", "list", "backends", NULL};
    CHECK_STR(cli_nearest("lsit", WORDS, 4), "list");
    CHECK_STR(cli_nearest("backend", WORDS, 4), "backends");
    CHECK(cli_nearest("execute", WORDS, 4) == NULL);
    CHECK(cli_nearest("", WORDS, 4) == NULL);
}

TEST(cli, numbers_durations_and_sizes_are_checked)
{
    uint64_t n = 0;
    Err err = {0};
    CHECK_INT(cli_number("-j", "0x10", 1, 64, &n, NULL), 0);
    CHECK_INT(n, 16);
    CHECK_INT(cli_number("-j", "65", 1, 64, &n, &err), -ERR_INVAL);
    CHECK_STR(err.text, "-j: `65` is no number from 1 to 64");
    CHECK_INT(cli_number("-j", "-1", 0, 64, &n, NULL), -ERR_INVAL);
    CHECK_INT(cli_number("-j", "1x", 0, 64, &n, NULL), -ERR_INVAL);
    CHECK_INT(cli_number("-j", "99999999999999999999", 0, UINT64_MAX, &n, NULL), -ERR_INVAL);
    CHECK_INT(cli_duration("--timeout", "250ms", &n, NULL), 0);
    CHECK_INT(n, 250000000);
    CHECK_INT(cli_duration("--timeout", "1.5", &n, NULL), 0);
    CHECK_INT(n, 1500000000);
    CHECK_INT(cli_duration("--timeout", "0", &n, NULL), -ERR_INVAL);
    CHECK_INT(cli_duration("--timeout", "nan", &n, NULL), -ERR_INVAL);
    CHECK_INT(cli_bytes("--memory-limit", "64M", &n, NULL), 0);
    CHECK_INT(n, 64 << 20);
    CHECK_INT(cli_bytes("--memory-limit", "64Q", &n, NULL), -ERR_INVAL);
}

TEST(cli, the_terminal_rules)
{
    static const char *const NAMES[] = {"NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "TERM", "CI"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        unsetenv(NAMES[i]);
    }
    CHECK(!cli_color(COLOR_AUTO, -1)); /* no terminal */
    CHECK(cli_color(COLOR_ALWAYS, -1));
    setenv("CLICOLOR_FORCE", "1", 1);
    CHECK(cli_color(COLOR_AUTO, -1));
    CHECK(!cli_color(COLOR_NEVER, -1));
    setenv("NO_COLOR", "1", 1);
    CHECK(!cli_color(COLOR_AUTO, -1));
    setenv("NO_COLOR", "", 1);
    setenv("CLICOLOR_FORCE", "0", 1);
    CHECK(!cli_color(COLOR_AUTO, -1));
    CHECK(!cli_progress(-1));
    unsetenv("NO_COLOR");
    unsetenv("CLICOLOR_FORCE");
}

TEST(cli, shell_words)
{
    Buf out = {0};
    cli_shell_word(&out, "a/b.yaml:3");
    CHECK_STR(buf_text(&out), "a/b.yaml:3");
    buf_clear(&out);
    cli_shell_word(&out, "it's $x");
    CHECK_STR(buf_text(&out), "'it'\\''s $x'");
    buf_clear(&out);
    cli_shell_word(&out, "");
    CHECK_STR(buf_text(&out), "''");
    buf_free(&out);
}

TEST(cli, guests_and_formats)
{
    GuestId guest = GUEST_COUNT;
    bool is_json = false;
    Err err = {0};
    CHECK_INT(cli_guest("aarch64", &guest, &err), 0);
    CHECK_INT(guest, GUEST_aarch64);
    CHECK_INT(cli_guest("riscv6", &guest, &err), (uint64_t)-ERR_INVAL);
    CHECK_STR(err.text, "unknown guest `riscv6`; did you mean `riscv64`?");
    CHECK_INT(cli_guest("z80", &guest, &err), (uint64_t)-ERR_INVAL);
    CHECK_STR(err.text, "unknown guest `z80`; known: riscv64 aarch64 x86_64");
    CHECK(!cli_format("json", &is_json, &err) && is_json);
    CHECK(!cli_format("table", &is_json, &err) && !is_json);
    CHECK_INT(cli_format("xml", &is_json, &err), (uint64_t)-ERR_INVAL);
    CHECK_STR(err.text, "--format: `xml` is neither table nor json");
}
