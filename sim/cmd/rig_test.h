/* SPDX-License-Identifier: Apache-2.0
 * rig_test.h - for unit tests of `conf sim`: guests of a few handmade instructions, and the command in a process of its own,
 * on pipes or as the job of a small shell on a terminal. */
#ifndef SIM_CMD_RIG_TEST_H
#define SIM_CMD_RIG_TEST_H

#include "sim/base/buf.h"

#include <stdbool.h>
#include <sys/types.h>

/* ---- guests: RV64I, Unpriv 35 (instruction listings) ---- */
enum { X0, T0 = 5, T1, T2, S0 };
enum { WFI = 0x10500073, HERE = 0x6f }; /* j . */
uint32_t lui(unsigned rd, uint32_t upper);
uint32_t addi(unsigned rd, unsigned rs, int imm);
uint32_t slli(unsigned rd, unsigned rs, unsigned by);
uint32_t or_(unsigned rd, unsigned a, unsigned b);
uint32_t load(unsigned funct3, unsigned rd, unsigned base, int offset);  /* 2 lw, 4 lbu */
uint32_t store(unsigned funct3, unsigned rs, unsigned base, int offset); /* 0 sb, 2 sw, 3 sd */
uint32_t branch(unsigned funct3, unsigned a, unsigned b, int offset);    /* 0 beq, 1 bne */
uint32_t jump(int offset);
uint32_t csr_set(unsigned csr, unsigned rs); /* csrrs x0 */
uint32_t csr_get(unsigned rd, unsigned csr);
/* Appends: end the machine by the finisher's word. */
void code_finish(Buf *code, uint32_t word);
void code_insns(Buf *code, const uint32_t *insns, size_t n);
/* Appends zeroes up to here, or puts bytes there. */
void code_pad(Buf *code, size_t to);
void code_bytes(Buf *code, size_t at, const void *bytes, size_t n);
#define CODE(buf, ...)                                                                                                 \
    code_insns((buf), (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
/* A file with these bytes, or an ELF file of one segment at 0x80000000 with the symbol tohost at 0x80001000; the name is
 * "/proc/PID/fd/N", for processes of the test too. */
typedef struct {
    int fd;
    char path[64];
} Image;
Image image_flat(const Buf *code);
Image image_elf(const Buf *code);
void image_free(Image *image);

/* ---- the command ---- */
typedef struct {
    pid_t pid;
    int in, out, err; /* our ends */
} Job;
/* args: blank-separated, the first is "sim"; IMAGE stands for image's name. */
Job job_start(const char *args, const Image *image);
/* Ends its input, reads what it says, waits. Returns its exit status, or 1000 + the signal that ended it. */
int job_end(Job *j, Buf *out, Buf *err);
/* The same in one go, with this input. */
int job_run(const char *args, const Image *image, const char *input, Buf *out, Buf *err);

typedef struct {
    int master, events, orders;
    pid_t shell, job;
    Buf seen; /* what came to the terminal */
} Tty;
/* A shell that runs the command as its job in the foreground of a new terminal. out: -1, or where standard output goes. */
void tty_start(Tty *t, const char *args, const Image *image, int out);
bool tty_await(Tty *t, const char *text); /* until it is seen; false: 20 s were not enough */
bool tty_await_echo(Tty *t, bool on);     /* until the terminal echoes, or does not */
void tty_type(Tty *t, const char *bytes, size_t n);
void tty_await_stop(Tty *t);
void tty_continue(Tty *t); /* in the foreground, as `fg` */
/* Waits for the job's end, as job_end; *is_same: the terminal is as it was before the job. */
int tty_end(Tty *t, bool *is_same);
#endif
