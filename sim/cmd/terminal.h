/* SPDX-License-Identifier: Apache-2.0
 * terminal.h - a terminal in raw mode that becomes as it was on every way out.
 *
 * Ways out: terminal_restore, exit(3), and the signals that end or stop a process and can be caught. Such a signal first
 * restores the terminal and then does what it would have done without us; after a stop, SIGCONT makes it raw again.
 * THREADS. One terminal at a time in a process, on one thread; the handlers run on any. */
#ifndef SIM_CMD_TERMINAL_H
#define SIM_CMD_TERMINAL_H

#include "sim/base/err.h"

#include <stdbool.h>

/* *is_raw: fd is a terminal, and raw now: each byte comes at once and without echo, none is a signal. No terminal: nothing
 * is done. -ERR_HOST: a terminal that would not. */
MUST_USE int terminal_raw(int fd, bool *is_raw, Err *err);
void terminal_restore(void); /* also when it is not raw */
#endif
