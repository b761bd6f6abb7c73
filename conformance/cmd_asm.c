/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm.h"
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "sim/base/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INPUT = 16 << 20 };
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char asm_help[] = "usage: conf asm --guest GUEST [--org ADDRESS] [-o OUTPUT] [FILE]\n"
                               "Assembles FILE (default or -: standard input) to a flat image and lists it.\n"
                               "\n"
                               "  -g, --guest GUEST   riscv64, aarch64 or x86_64 (Intel syntax)\n"
                               "      --org ADDRESS   address of the first byte (default 0)\n"
                               "  -D, --def NAME=N    define a symbol; may be repeated\n"
                               "  -o, --output OUTPUT write the raw bytes there instead (-: standard output)\n"
                               "  -h, --help          this text\n"
                               "\n"
                               "exit status: 0 assembled, 1 not, 2 usage\n";
static const char disasm_help[] = "usage: conf disasm --guest GUEST [--org ADDRESS] [--bits N] [--hex] [FILE]\n"
                                  "Lists the instructions in FILE (default or -: standard input), raw bytes.\n"
                                  "\n"
                                  "  -g, --guest GUEST   riscv64, aarch64 or x86_64 (Intel syntax)\n"
                                  "      --org ADDRESS   address of the first byte (default 0)\n"
                                  "      --bits N        64 (default); 32 or 16 for x86_64\n"
                                  "      --hex           FILE is hexadecimal text, e.g. \"48 8b 03\" or 488b03\n"
                                  "  -h, --help          this text\n"
                                  "\n"
                                  "exit status: 0 ok, 1 unreadable input or no disassembler, 2 usage\n";

typedef VEC(AsmSymbol) Defs;
typedef struct {
    const char *name; /* the subcommand */
    const char *help;
    GuestId guest;
    uint64_t org;
    unsigned bits;
    bool is_hex;
    const char *file, *output;
    Defs defs;
} Options;

static int usage(const Options *o, const char *what, const char *which)
{
    fprintf(stderr, "conf %s: %s%s%s; see conf %s --help\n", o->name, what, which ? " " : "", which ? which : "",
            o->name);
    return EXIT_USAGE;
}

static bool number_of(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

static bool def_of(const char *text, Defs *defs)
{
    const char *equals = strchr(text, '=');
    uint64_t value;
    if (!equals || equals == text || !number_of(equals + 1, &value)) {
        return false;
    }
    VEC_PUSH(defs, (AsmSymbol){x_strndup(text, (size_t)(equals - text)), value});
    return true;
}

static void options_free(Options *o)
{
    for (size_t i = 0; i < o->defs.n; i++) {
        mem_free((char *)o->defs.items[i].name);
    }
    VEC_FREE(&o->defs);
}

enum { OPT_GUEST, OPT_ORG, OPT_HELP, OPT_DEF, OPT_OUTPUT, OPT_BITS, OPT_HEX, OPT_COUNT };
static const CliOption asm_options[OPT_COUNT] = {[OPT_GUEST] = {"guest", 'g', 'r'},
                                                 [OPT_ORG] = {"org", 0, 'r'},
                                                 [OPT_HELP] = {"help", 'h', 0},
                                                 [OPT_DEF] = {"def", 'D', 'r'},
                                                 [OPT_OUTPUT] = {"output", 'o', 'r'}};
static const CliOption disasm_options[OPT_COUNT] = {[OPT_GUEST] = {"guest", 'g', 'r'},
                                                    [OPT_ORG] = {"org", 0, 'r'},
                                                    [OPT_HELP] = {"help", 'h', 0},
                                                    [OPT_BITS] = {"bits", 0, 'r'},
                                                    [OPT_HEX] = {"hex", 0, 0}};

/* One option; 0, or the exit status + 1 when the command ends here. */
static int take_option(Options *o, int c, const char *arg)
{
    uint64_t n;
    switch (c) {
    case OPT_GUEST:
        o->guest = guest_find(arg);
        return !o->guest ? 1 + usage(o, "the guests are riscv64, aarch64 and x86_64, not", arg) : 0;
    case OPT_ORG:
        return number_of(arg, &o->org) ? 0 : 1 + usage(o, "not an address:", arg);
    case OPT_BITS:
        if (!number_of(arg, &n) || (n != 64 && n != 32 && n != 16)) {
            return 1 + usage(o, "--bits is 64, 32 or 16, not", arg);
        }
        o->bits = (unsigned)n;
        return 0;
    case OPT_HEX:
        o->is_hex = true;
        return 0;
    case OPT_DEF:
        return def_of(arg, &o->defs) ? 0 : 1 + usage(o, "not NAME=NUMBER:", arg);
    case OPT_OUTPUT:
        o->output = arg;
        return 0;
    case OPT_HELP:
        fputs(o->help, stdout);
        return 1 + EXIT_OK;
    default:
        return 0;
    }
}

static int parse(Options *o, int argc, char **argv, const CliOption *known)
{
    Cli cli = cli_of(known, OPT_COUNT, argc, argv);
    Err err = {0};
    o->name = argv[0];
    o->bits = 64;
    for (int i = cli_next(&cli, &err); i != CLI_END; i = cli_next(&cli, &err)) {
        int rc = 0;
        if (i == CLI_BAD) {
            rc = 1 + cli_usage(o->name, &err);
        } else if (i == CLI_OPERAND && o->file) {
            rc = 1 + usage(o, "more than one file:", cli.arg);
        } else if (i == CLI_OPERAND) {
            o->file = cli.arg;
        } else {
            rc = take_option(o, i, cli.arg);
        }
        if (rc) {
            return rc;
        }
    }
    if (!o->guest) {
        return 1 + usage(o, "--guest is missing", NULL);
    }
    if (o->bits != 64 && o->guest != GUEST_x86_64) {
        return 1 + usage(o, "--bits 32 and 16 are for x86_64", NULL);
    }
    o->file = o->file && strcmp(o->file, "-") ? o->file : "/dev/stdin";
    return 0;
}

static const char *shown_name(const Options *o)
{
    return strcmp(o->file, "/dev/stdin") ? o->file : "<stdin>";
}

static void list_labels(const AsmSymbols *labels, uint64_t at, size_t *next)
{
    for (; *next < labels->n && labels->items[*next].value <= at; ++*next) {
        printf("%s:\n", labels->items[*next].name);
    }
}

/* Length of the instruction at `at`, at most `room`, or of the data bytes to show in its stead. */
static size_t list_one(const Options *o, const uint8_t *bytes, size_t room, uint64_t at)
{
    Buf text = {0};
    size_t n = asm_disasm(o->guest, o->bits, bytes, room, at, &text);
    if (!n) {
        n = o->guest == GUEST_x86_64 ? 1 : o->guest == GUEST_riscv64 ? 2 : 4;
        n = n < room ? n : room;
        buf_str(&text, ".byte");
        for (size_t i = 0; i < n; i++) {
            buf_printf(&text, "%s 0x%02x", i ? "," : "", bytes[i]);
        }
    }
    printf("%8llx: ", (unsigned long long)at);
    for (size_t i = 0; i < n; i++) {
        printf(" %02x", bytes[i]);
    }
    size_t width = o->guest == GUEST_x86_64 ? 30 : 12;
    printf("%*s  %s\n", (int)(3 * n < width ? width - 3 * n : 0), "", buf_text(&text));
    buf_free(&text);
    return n;
}

static void list(const Options *o, const Buf *bytes, const AsmSymbols *labels)
{
    size_t next = 0;
    for (size_t at = 0; at < bytes->n;) {
        list_labels(labels, o->org + at, &next);
        size_t room = bytes->n - at;
        if (next < labels->n && labels->items[next].value - (o->org + at) < room) {
            room = (size_t)(labels->items[next].value - (o->org + at)); /* a label may follow data */
        }
        at += list_one(o, (const uint8_t *)bytes->data + at, room, o->org + at);
    }
    list_labels(labels, UINT64_MAX, &next);
}

static int write_image(const Options *o, const Buf *bytes, Err *err)
{
    if (strcmp(o->output, "-")) {
        return os_write_file(o->output, buf_text(bytes), bytes->n, err);
    }
    if (fwrite(buf_text(bytes), 1, bytes->n, stdout) != bytes->n || fflush(stdout)) {
        return err_native(err, ERR_IO, errno, "standard output");
    }
    return 0;
}

static int assemble_and_show(const Options *o, const Buf *text)
{
    AsmInput in = {.guest = o->guest,
                   .text = buf_text(text),
                   .n = text->n,
                   .org = o->org,
                   .defs = o->defs.items,
                   .ndefs = o->defs.n};
    AsmOutput out;
    AsmDiag diag;
    Err err = {0};
    int rc = asm_assemble(&in, &out, &diag, &err);
    if (rc == -ERR_INVAL && diag.line) {
        fprintf(stderr, "%s:%u:%u: %s\n", shown_name(o), diag.line, diag.col, diag.message);
    } else if (rc) {
        fprintf(stderr, "%s: %s\n", shown_name(o), err.text);
    }
    if (diag.nmore) {
        fprintf(stderr, "%s: %u more error%s\n", shown_name(o), diag.nmore, diag.nmore > 1 ? "s" : "");
    }
    if (!rc && o->output) {
        rc = write_image(o, &out.bytes, &err);
        if (rc) {
            fprintf(stderr, "conf asm: %s\n", err.text);
        }
    } else if (!rc) {
        list(o, &out.bytes, &out.labels);
    }
    asm_output_free(&out);
    return rc ? EXIT_FAILED : EXIT_OK;
}

static int read_input(const Options *o, Buf *text)
{
    Err err = {0};
    int rc = os_read_file(o->file, MAX_INPUT, text, &err);
    if (rc) {
        fprintf(stderr, "conf %s: %s\n", o->name, err.text);
    }
    return rc;
}

int cmd_asm(int argc, char **argv)
{
    Options o = {.help = asm_help};
    Buf text = {0};
    int rc = parse(&o, argc, argv, asm_options);
    if (rc) {
        rc -= 1;
    } else {
        rc = read_input(&o, &text) ? EXIT_FAILED : assemble_and_show(&o, &text);
    }
    buf_free(&text);
    options_free(&o);
    return rc;
}

/* Replaces hexadecimal text (pairs of digits, with blanks and commas between) by its bytes. */
static int unhex(const Options *o, Buf *text)
{
    Buf bytes = {0};
    size_t i = 0;
    while (i < text->n) {
        char c = text->data[i];
        if (strchr(" \t\r\n,", c)) {
            i++;
            continue;
        }
        unsigned high = hex_digit(c), low = i + 1 < text->n ? hex_digit(text->data[i + 1]) : 16;
        if (high > 15 || low > 15) {
            fprintf(stderr, "%s: not a pair of hexadecimal digits at byte %zu\n", shown_name(o), i);
            buf_free(&bytes);
            return -ERR_INVAL;
        }
        buf_char(&bytes, (char)(high << 4 | low));
        i += 2;
    }
    buf_free(text);
    *text = bytes;
    return 0;
}

/* A broken installation must not pass for bytes that are no code. */
static int check_disassembler(void)
{
    Buf text = {0};
    static const uint8_t nop = 0x90;
    bool is_there = asm_disasm(GUEST_x86_64, 64, &nop, 1, 0, &text) == 1;
    buf_free(&text);
    if (!is_there) {
        fputs("conf disasm: no disassembler: conf-llvm.so or LLVM 19 (package libllvm19) is "
              "missing\n",
              stderr);
    }
    return is_there ? 0 : -ERR_UNAVAILABLE;
}

int cmd_disasm(int argc, char **argv)
{
    Options o = {.help = disasm_help};
    Buf bytes = {0};
    int rc = parse(&o, argc, argv, disasm_options);
    if (rc) {
        rc -= 1;
    } else if (check_disassembler() || read_input(&o, &bytes) || (o.is_hex && unhex(&o, &bytes))) {
        rc = EXIT_FAILED;
    } else {
        AsmSymbols none = {0};
        list(&o, &bytes, &none);
    }
    buf_free(&bytes);
    options_free(&o);
    return rc;
}
