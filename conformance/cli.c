/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/cli.h"

#include "conformance/cmd.h"
#include "sim/base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WORD_MAX = 64 };

/* Optimal string alignment distance; words longer than WORD_MAX are never near. */
static unsigned distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > WORD_MAX || nb > WORD_MAX) {
        return UINT32_MAX;
    }
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++) {
        before[j] = 0;
        last[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= na; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            now[j] = best;
        }
        unsigned *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[nb];
}

const char *cli_nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    size_t limit = strlen(word) / 3;
    unsigned best_distance = (unsigned)(limit ? limit : 1) + 1;
    for (size_t i = 0; i < n; i++) {
        unsigned d = words[i] ? distance(word, words[i]) : UINT32_MAX;
        if (d < best_distance) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

Cli cli_of(const CliOption *options, size_t noptions, int argc, char **argv)
{
    return (Cli){.options = options, .noptions = noptions, .argc = argc, .argv = argv, .at = 1};
}

static int bad_name(const Cli *c, const char *name, Err *err)
{
    const char *near = NULL;
    const char **names = x_calloc(c->noptions + 1, sizeof *names);
    for (size_t i = 0; i < c->noptions; i++) {
        names[i] = c->options[i].name;
    }
    near = cli_nearest(name, names, c->noptions);
    mem_free(names);
    if (near) {
        err_set(err, ERR_INVAL, "unknown option --%s; did you mean --%s?", name, near);
    } else {
        err_set(err, ERR_INVAL, "unknown option --%s", name);
    }
    return CLI_BAD;
}

static int take_arg(Cli *c, size_t i, const char *given, Err *err)
{
    const CliOption *o = &c->options[i];
    c->arg = given;
    if (o->arg == 0 && given) {
        err_set(err, ERR_INVAL, "option --%s takes no argument", o->name);
        return CLI_BAD;
    }
    if (o->arg == 'r' && !given) {
        if (c->at >= c->argc) {
            err_set(err, ERR_INVAL, "option --%s needs an argument", o->name);
            return CLI_BAD;
        }
        c->arg = c->argv[c->at++];
    }
    return (int)i;
}

static int next_long(Cli *c, const char *word, Err *err)
{
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    for (size_t i = 0; i < c->noptions; i++) {
        if (c->options[i].name && strlen(c->options[i].name) == n && !memcmp(c->options[i].name, word, n)) {
            return take_arg(c, i, equals ? equals + 1 : NULL, err);
        }
    }
    char *name = x_strndup(word, n);
    int rc = bad_name(c, name, err);
    mem_free(name);
    return rc;
}

static int next_letter(Cli *c, Err *err)
{
    char letter = *c->letters++;
    const char *rest = *c->letters ? c->letters : NULL;
    c->letters = rest;
    for (size_t i = 0; i < c->noptions; i++) {
        if (!c->options[i].name || c->options[i].letter != letter) {
            continue;
        }
        if (c->options[i].arg != 'r') {
            return take_arg(c, i, NULL, err);
        }
        c->letters = NULL;
        return take_arg(c, i, rest, err);
    }
    err_set(err, ERR_INVAL, "unknown option -%c", isprint((unsigned char)letter) ? letter : '?');
    return CLI_BAD;
}

int cli_next(Cli *c, Err *err)
{
    c->arg = NULL;
    if (c->letters) {
        return next_letter(c, err);
    }
    if (c->at >= c->argc) {
        return CLI_END;
    }
    char *word = c->argv[c->at++];
    if (!c->is_rest && !strcmp(word, "--")) {
        c->is_rest = true;
        return cli_next(c, err);
    }
    if (c->is_rest || word[0] != '-' || !word[1]) {
        c->arg = word;
        return CLI_OPERAND;
    }
    if (word[1] == '-') {
        return next_long(c, word + 2, err);
    }
    c->letters = word + 1;
    return next_letter(c, err);
}

int cli_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out, Err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = 0;
    bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    if (isdigit((unsigned char)text[0])) {
        n = strtoull(text, &end, is_hex ? 16 : 10);
    }
    if (!end || *end || errno || n < min || n > max) {
        return err_set(err, ERR_INVAL, "%s: `%s` is no number from %llu to %llu", what, text, (unsigned long long)min,
                       (unsigned long long)max);
    }
    *out = n;
    return 0;
}

/* A decimal with a unit; the product must stay within [min, max]. */
static int scaled(const char *text, const char *const *units, const double *factors, double *out)
{
    char *end = NULL;
    if (!isdigit((unsigned char)text[0])) {
        return -ERR_INVAL;
    }
    double n = strtod(text, &end);
    for (size_t i = 0; units[i]; i++) {
        if (!strcmp(end, units[i])) {
            *out = n * factors[i];
            return 0;
        }
    }
    return -ERR_INVAL;
}

int cli_duration(const char *what, const char *text, uint64_t *out_ns, Err *err)
{
    static const char *const UNITS[] = {"", "s", "ms", "m", "h", NULL};
    static const double FACTORS[] = {1e9, 1e9, 1e6, 60e9, 3600e9};
    double ns = 0;
    if (scaled(text, UNITS, FACTORS, &ns) || !(ns >= 1e6) || !(ns <= 864000e9)) {
        return err_set(err, ERR_INVAL, "%s: `%s` is no duration such as 10, 1.5s, 250ms or 2m", what, text);
    }
    *out_ns = (uint64_t)ns;
    return 0;
}

int cli_bytes(const char *what, const char *text, uint64_t *out, Err *err)
{
    static const char *const UNITS[] = {"", "K", "M", "G", "KiB", "MiB", "GiB", NULL};
    static const double FACTORS[] = {1, 1024, 1048576, 1073741824, 1024, 1048576, 1073741824};
    double bytes = 0;
    if (scaled(text, UNITS, FACTORS, &bytes) || !(bytes <= 1e15)) {
        return err_set(err, ERR_INVAL, "%s: `%s` is no size such as 64M or 1G", what, text);
    }
    *out = (uint64_t)bytes;
    return 0;
}

int cli_guest(const char *text, GuestId *out, Err *err)
{
    const char *names[GUEST_COUNT] = {0};
    *out = guest_find(text);
    if (*out) {
        return 0;
    }
    for (int g = 1; g < GUEST_COUNT; g++) {
        names[g] = guest_name((GuestId)g);
    }
    const char *near = cli_nearest(text, names, GUEST_COUNT);
    return near ? err_set(err, ERR_INVAL, "unknown guest `%s`; did you mean `%s`?", text, near)
                : err_set(err, ERR_INVAL, "unknown guest `%s`; known: riscv64 aarch64 x86_64", text);
}

int cli_format(const char *text, bool *is_json, Err *err)
{
    *is_json = !strcmp(text, "json");
    if (*is_json || !strcmp(text, "table")) {
        return 0;
    }
    return err_set(err, ERR_INVAL, "--format: `%s` is neither table nor json", text);
}

int cli_color_mode(const char *text, ColorMode *out, Err *err)
{
    static const char *const WORDS[] = {"auto", "always", "never"};
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (!strcmp(text, WORDS[i])) {
            *out = (ColorMode)i;
            return 0;
        }
    }
    return err_set(err, ERR_INVAL, "--color: `%s` is none of auto, always, never", text);
}

static bool env_is_on(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcmp(value, "0") != 0;
}

static bool is_dumb(void)
{
    const char *term = getenv("TERM");
    return !term || !*term || !strcmp(term, "dumb");
}

bool cli_color(ColorMode mode, int fd)
{
    if (mode != COLOR_AUTO) {
        return mode == COLOR_ALWAYS;
    }
    const char *no_color = getenv("NO_COLOR");
    if (no_color && *no_color) {
        return false;
    }
    if (env_is_on("CLICOLOR_FORCE") || env_is_on("FORCE_COLOR")) {
        return true;
    }
    return !is_dumb() && isatty(fd);
}

bool cli_progress(int fd)
{
    const char *ci = getenv("CI");
    bool is_ci = ci && *ci && strcmp(ci, "false") != 0 && strcmp(ci, "0") != 0;
    return !is_ci && !is_dumb() && isatty(fd);
}

unsigned cli_width(int fd)
{
    const char *columns = getenv("COLUMNS");
    uint64_t n = 0;
    if (columns && !cli_number("COLUMNS", columns, 20, 1000, &n, NULL)) {
        return (unsigned)n;
    }
    struct winsize size;
    return !ioctl(fd, TIOCGWINSZ, &size) && size.ws_col >= 20 ? size.ws_col : 80;
}

void cli_shell_word(Buf *out, const char *word)
{
    static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (*word && strspn(word, PLAIN) == strlen(word)) {
        buf_str(out, word);
        return;
    }
    buf_char(out, '\'');
    for (const char *p = word; *p; p++) {
        if (*p == '\'') {
            buf_str(out, "'\\''");
        } else {
            buf_char(out, *p);
        }
    }
    buf_char(out, '\'');
}

int cli_usage(const char *command, const Err *err)
{
    fprintf(stderr, "conf %s: %s\nTry `conf %s --help`.\n", command, err->text, command);
    return CONF_USAGE;
}
