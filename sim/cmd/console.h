/* SPDX-License-Identifier: Apache-2.0
 * console.h - the guest's console on two file descriptors: what it prints goes to one, what comes from the other waits here
 * until the machine takes it. Only console_serve waits for input.
 *
 * Cards to which something comes from outside of the machine (a network) are waited for and served as well.
 *
 * On a terminal (is_raw) Ctrl-A is the escape: x ends the run, h says so, Ctrl-A again is Ctrl-A for the guest. */
#ifndef SIM_CMD_CONSOLE_H
#define SIM_CMD_CONSOLE_H

#include "sim/sim.h"

#include <pthread.h>

typedef enum {
    CONSOLE_OPEN,
    CONSOLE_QUIT,   /* Ctrl-A x */
    CONSOLE_CLOSED, /* nobody reads the output any more */
    CONSOLE_LOST    /* output could not be written: native */
} ConsoleState;
typedef struct {
    int in, out;
    SimCard *const *card;   /* SIM_CARD_SLOTS of them */
    bool is_raw, is_escape; /* escape: Ctrl-A was typed */
    bool is_eof;
    _Atomic ConsoleState state;
    int native; /* errno of LOST */
    size_t nin, nout;
    uint8_t input[4096]; /* the machine has not taken these yet */
    uint8_t output[4096];
    pthread_mutex_t lock; /* of output, nout and the writing of it: vcpus may print while the console is served */
} Console;
#define CONSOLE_INIT(in_, out_)                                                                                        \
    {                                                                                                                  \
        .in = (in_), .out = (out_), .lock = PTHREAD_MUTEX_INITIALIZER                                                  \
    }
/* SimBoardConfig.output; ctx is the Console. Written at the end of a line, when full, and by console_flush. */
void console_output(void *ctx, const void *bytes, size_t n);
void console_flush(Console *c);
/* Can anything come that the machine has not seen? If not, a machine that idles does so for ever. */
bool console_can_wake(const Console *c);
/* Waits at most timeout_ns (UINT64_MAX: for ever) for input, takes what is there, and offers it to the machine. */
void console_serve(Console *c, Sim *s, uint64_t timeout_ns);
#endif
