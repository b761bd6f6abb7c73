/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/cmd.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    int status;
    Buf said; /* standard output, then standard error */
} Run;

static int swap_fd(int fd, int with)
{
    int saved = dup(fd);
    dup2(with, fd);
    return saved;
}

static void restore_fd(int fd, int saved)
{
    dup2(saved, fd);
    close(saved);
}

/* args: blank-separated, the first is the command. */
static Run run(int (*cmd)(int, char **), const char *args, const char *input)
{
    char text[512], *argv[16] = {0};
    int argc = 0;
    snprintf(text, sizeof text, "%s", args);
    for (char *at = text, *word; (word = strsep(&at, " ")) && argc < 15;) {
        argv[argc++] = word;
    }
    setenv("CONF_NO_CACHE", "1", 1);
    int in = memfd_create("in", 0), out = memfd_create("out", 0);
    CHECK_INT(write(in, input, strlen(input)), strlen(input));
    lseek(in, 0, SEEK_SET);
    fflush(stdout);
    fflush(stderr);
    int in0 = swap_fd(0, in), out0 = swap_fd(1, out), err0 = swap_fd(2, out);
    Run r = {.status = cmd(argc, argv)};
    fflush(stdout);
    restore_fd(0, in0);
    restore_fd(1, out0);
    restore_fd(2, err0);
    char chunk[8192];
    ssize_t n = pread(out, chunk, sizeof chunk, 0);
    buf_bytes(&r.said, chunk, n > 0 ? (size_t)n : 0);
    close(in);
    close(out);
    return r;
}

static void check(int (*cmd)(int, char **), const char *args, const char *input, int status, const char *said)
{
    Run r = run(cmd, args, input);
    CHECK_INT(r.status, status);
    CHECK_HAS(buf_text(&r.said), said);
    buf_free(&r.said);
}

TEST(cmd_asm, lists_addresses_labels_bytes_and_text)
{
    check(cmd_asm, "asm --guest x86_64 --org 0x1000 -D p=0x42", "start: mov al, p\nl: jmp l\nend:", 0,
          "start:\n    1000:  b0 42                          mov al, 0x42\nl:\n"
          "    1002:  eb fe                          jmp 0x1002\nend:\n");
    check(cmd_asm, "asm -g riscv64 -", "nop; .half 0xffff", 0, ".byte 0xff, 0xff");
}

TEST(cmd_asm, says_where_a_text_is_wrong)
{
    check(cmd_asm, "asm -g x86_64", "nop\n bogus\nbogus\n", 1,
          "<stdin>:2:2: invalid instruction mnemonic 'bogus'\n<stdin>: 1 more error\n");
}

TEST(cmd_asm, writes_raw_bytes)
{
    check(cmd_asm, "asm -g x86_64 -o -", "mov al, 0x41", 0, "\xb0\x41");
    check(cmd_asm, "asm -g x86_64 -o /proc/nowhere/x", "nop", 1, "/proc/nowhere/x");
}

TEST(cmd_asm, usage_errors_are_2)
{
    check(cmd_asm, "asm", "", 2, "--guest is missing");
    check(cmd_asm, "asm -g vax", "", 2, "not vax");
    check(cmd_asm, "asm -g x86_64 --org -1", "", 2, "not an address: -1");
    check(cmd_asm, "asm -g x86_64 -D x", "", 2, "not NAME=NUMBER: x");
    check(cmd_asm, "asm -g x86_64 a b", "", 2, "more than one file: b");
    check(cmd_asm, "asm --wrong", "", 2, "wrong");
    check(cmd_asm, "asm -g x86_64 /nonexistent", "", 1, "/nonexistent");
    check(cmd_disasm, "disasm -g aarch64 --bits 32", "", 2, "are for x86_64");
    check(cmd_disasm, "disasm -g x86_64 --bits 8", "", 2, "--bits is 64, 32 or 16");
}

TEST(cmd_asm, help_is_narrow)
{
    Run both[2] = {run(cmd_asm, "asm --help", ""), run(cmd_disasm, "disasm -h", "")};
    for (int i = 0; i < 2; i++) {
        CHECK_INT(both[i].status, 0);
        for (char *at = both[i].said.data, *line; (line = strsep(&at, "\n"));) {
            CHECK(strlen(line) <= 80);
        }
        buf_free(&both[i].said);
    }
}

TEST(cmd_disasm, raw_and_hexadecimal_input)
{
    check(cmd_disasm, "disasm -g x86_64", "\x90\xc3", 0, "       1:  c3                             ret\n");
    check(cmd_disasm, "disasm -g x86_64 --hex --bits 16 --org 0x7c00", "b8 34 12\nebfe", 0,
          "    7c00:  b8 34 12                       mov ax, 0x1234\n    7c03:  eb fe");
    check(cmd_disasm, "disasm -g aarch64 --hex", "e0030", 1, "not a pair of hexadecimal digits at byte 4");
    check(cmd_disasm, "disasm -g aarch64 --hex", "ffffffff", 0, ".byte 0xff, 0xff, 0xff, 0xff");
}

TEST(cmd_disasm, a_missing_disassembler_is_a_failure)
{
    setenv("CONF_LLVM_MODULE", "/nonexistent.so", 1);
    check(cmd_disasm, "disasm -g x86_64", "\x90", 1, "libllvm19");
    unsetenv("CONF_LLVM_MODULE");
}
