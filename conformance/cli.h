/* SPDX-License-Identifier: Apache-2.0
 * cli.h - what the subcommands share: options with did-you-mean, numbers, the terminal's rules. THREAD-SAFE unless
 * said. */
#ifndef CONFORMANCE_CLI_H
#define CONFORMANCE_CLI_H

#include "accel/accel.h"
#include "sim/base/buf.h"
#include "sim/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The word of the list that is nearest to `word`: at most a third of its letters (at least one) inserted, deleted,
 * replaced or swapped; NULL if none is. Words may be NULL (skipped). */
const char *cli_nearest(const char *word, const char *const *words, size_t n);

/* One option of a subcommand. Long names only, but for the letter. */
typedef struct {
    const char *name; /* "backend": --backend X, --backend=X; NULL = no option */
    char letter;      /* 0 = none */
    char arg;         /* 0 none, 'r' required, 'o' optional (only as --name=X) */
} CliOption;
typedef struct {
    const CliOption *options;
    size_t noptions;
    int argc;
    char **argv;
    int at;              /* next word */
    const char *letters; /* rest of a word of several letters, "-vk X" */
    bool is_rest;        /* after -- */
    const char *arg;     /* of the option or the operand just returned; NULL = none */
} Cli;
enum { CLI_END = -1, CLI_OPERAND = -2, CLI_BAD = -3 };
Cli cli_of(const CliOption *options, size_t noptions, int argc, char **argv);
/* The next option's index, CLI_OPERAND, CLI_END; CLI_BAD: not in the list or without its argument, said in *err
 * ("unknown option --bakend; did you mean --backend?"). Options and operands may be mixed. */
int cli_next(Cli *c, Err *err);
/* A whole number within [min, max], decimal or 0x; -ERR_INVAL with "what: ...". */
MUST_USE int cli_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *out, Err *err);
/* "1.5", "90s", "250ms", "2m" to nanoseconds; no unit is seconds; 1 ms to 10 days. */
MUST_USE int cli_duration(const char *what, const char *text, uint64_t *out_ns, Err *err);
/* "64M", "1G", "4096" to bytes. */
MUST_USE int cli_bytes(const char *what, const char *text, uint64_t *out, Err *err);
/* "riscv64"; -ERR_INVAL: "unknown guest `riscv6`; did you mean `riscv64`?" or with the list. */
MUST_USE int cli_guest(const char *text, GuestId *out, Err *err);
/* --format: table or json. */
MUST_USE int cli_format(const char *text, bool *is_json, Err *err);

typedef enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } ColorMode;
/* -ERR_INVAL: not auto, always or never. */
MUST_USE int cli_color_mode(const char *text, ColorMode *out, Err *err);
/* NO_COLOR (not empty) beats CLICOLOR_FORCE and FORCE_COLOR (not empty, not "0"), which beat TERM=dumb and no terminal.
 */
bool cli_color(ColorMode mode, int fd);
/* May a line be redrawn: a terminal, not TERM=dumb, not in CI. */
bool cli_progress(int fd);
unsigned cli_width(int fd); /* columns: COLUMNS, the terminal's, or 80 */
/* Appends the word as one argument of a POSIX shell: quoted only where it must be. */
void cli_shell_word(Buf *out, const char *word);
/* Prints "conf NAME: text" and where help is, on stderr; returns CONF_USAGE. */
int cli_usage(const char *command, const Err *err);
#endif
