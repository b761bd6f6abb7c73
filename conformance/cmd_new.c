/* SPDX-License-Identifier: Apache-2.0
 * cmd_new.c - conf new: a first scenario, commented, that passes at once wherever something can run it. */
#include "conformance/cli.h"
#include "conformance/cmd.h"

#include "accel/accel.h"
#include "sim/base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char HELP[] = "usage: conf new [--guest G]... NAME\n"
                           "Writes NAME.yaml with a small scenario that passes at once. Never overwrites.\n"
                           "\n"
                           "      --guest G   riscv64, aarch64 or x86_64 (repeatable; default: all three)\n"
                           "  -h, --help\n";

enum { O_GUEST, O_HELP, O_COUNT };
static const CliOption OPTIONS[O_COUNT] = {[O_GUEST] = {"guest", 0, 'r'}, [O_HELP] = {"help", 'h', 0}};

typedef struct {
    const char *name;
    bool is_guest[GUEST_COUNT], has_guest, is_help;
} Command;

static int parse(Command *c, int argc, char **argv, Err *err)
{
    Cli cli = cli_of(OPTIONS, O_COUNT, argc, argv);
    GuestId guest;
    for (int i = cli_next(&cli, err); i != CLI_END; i = cli_next(&cli, err)) {
        switch (i) {
        case O_GUEST:
            if (cli_guest(cli.arg, &guest, err)) {
                return -ERR_INVAL;
            }
            c->is_guest[guest] = c->has_guest = true;
            break;
        case O_HELP:
            c->is_help = true;
            break;
        case CLI_OPERAND:
            if (c->name) {
                return err_set(err, ERR_INVAL, "`%s`: one NAME is enough", cli.arg);
            }
            c->name = cli.arg;
            break;
        default:
            return -ERR_INVAL;
        }
    }
    for (const char *p = c->name; p && *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("-_./ ", *p)) {
            return err_set(err, ERR_INVAL, "`%s`: letters, digits, spaces and - _ . / only", c->name);
        }
    }
    if (!c->is_help && (!c->name || !isalnum((unsigned char)c->name[strlen(c->name) - 1]))) {
        return err_set(err, ERR_INVAL, "needs a NAME");
    }
    return 0;
}

/* "dir/my-first.yaml" names the scenario "my first". */
static void put_title(Buf *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < strlen(name) - strlen(".yaml"); i++) {
        buf_char(out, name[i] == '-' || name[i] == '_' ? ' ' : name[i]);
    }
}

static void put_scenario(Buf *out, const Command *c, const char *path)
{
    static const char *const CODE[GUEST_COUNT] = {
        [GUEST_riscv64] = "    riscv64: \"li s0, dev ; li a0, 7 ; store: sw a0, 8(s0)\"\n",
        [GUEST_aarch64] = "    aarch64: \"ldr x9, =dev ; mov x0, #7 ; store: str w0, [x9, #8]\"\n",
        [GUEST_x86_64] = "    x86_64:  \"mov rbx, offset dev ; mov edi, 7 ; store: mov [rbx + 8], edi\"\n",
    };
    buf_str(out, "# yaml-language-server: $schema=conf.schema.json\n"
                 "# A scenario is a world (code, memory), a story (run), and a check at the end (expect).\n"
                 "# Every key is in conf-scenario(5); `conf schema > conf.schema.json` teaches them to editors.\n"
                 "version: 1\n"
                 "scenarios:\n"
                 "- name: \"");
    put_title(out, path);
    buf_str(out, "\"\n"
                 "  why: a store that nothing answers leaves to the caller, with its address and data\n"
                 "  memory: {dev: {hole: 4K}} # addresses that nothing answers: `dev` in code, $dev here\n"
                 "  code: # runs in kernel mode; `;` ends a statement, `//` starts a comment, `store:` is a label\n");
    for (int g = 1; g < GUEST_COUNT; g++) {
        if (!c->has_guest || c->is_guest[g]) {
            buf_str(out, CODE[g]);
        }
    }
    buf_str(out, "  # The backend `fake` runs no code: these lines say what the code would do.\n"
                 "  fake: [set arg0=7, \"mmio_write addr={$dev + 8} size=4 value=7 pc={$store}\", done]\n"
                 "  run: # every exit, in order; of its fields only the named ones are compared\n"
                 "  - mmio_write: {addr: $dev + 8, size: 4, data: 7}\n"
                 "  - done # the code ran off its end\n"
                 "  expect: {regs: {arg0: 7}} # a0, x0, rdi\n");
}

static int write_new(const char *path, const Buf *text, Err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return errno == EEXIST ? err_set(err, ERR_EXIST, "%s is there already; it was not touched", path)
                               : err_native(err, ERR_IO, errno, "%s", path);
    }
    ssize_t done = write(fd, text->data, text->n);
    if (close(fd) || done != (ssize_t)text->n) {
        unlink(path);
        return err_native(err, ERR_IO, errno, "%s", path);
    }
    return 0;
}

int cmd_new(int argc, char **argv)
{
    Command c = {0};
    Err err = {0};
    if (parse(&c, argc, argv, &err)) {
        return cli_usage("new", &err);
    }
    if (c.is_help) {
        fputs(HELP, stdout);
        return CONF_OK;
    }
    Buf path = {0}, text = {0}, word = {0};
    size_t n = strlen(c.name);
    bool has_suffix = n > 5 && !strcmp(c.name + n - 5, ".yaml");
    buf_printf(&path, "%s%s", c.name, has_suffix ? "" : ".yaml");
    put_scenario(&text, &c, buf_text(&path));
    int rc = write_new(buf_text(&path), &text, &err);
    if (rc) {
        fprintf(stderr, "conf new: %s\n", err.text);
    } else {
        cli_shell_word(&word, buf_text(&path));
        printf("%s is written. Run it with:\n  conf run %s\n", buf_text(&path), buf_text(&word));
    }
    buf_free(&path);
    buf_free(&text);
    buf_free(&word);
    return rc ? CONF_USAGE : CONF_OK;
}
