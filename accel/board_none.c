/* SPDX-License-Identifier: Apache-2.0
 * board_none.c - board.h where the simulator, whose devices boards are made of, is not built. */
#include "accel/board.h"

int machine_board_new(const char *spec, const BoardConsole *console, Board **out, Err *err)
{
    (void)spec;
    (void)console;
    (void)out;
    return err_unsupported(err, "conf-agent", "board_inside", "this build has no devices");
}

void machine_board_free(Board *b)
{
    (void)b; /* there is none */
}

size_t machine_board_input(Board *b, const void *bytes, size_t n)
{
    (void)b;
    (void)bytes;
    (void)n;
    return 0;
}

bool machine_board_find(GuestId guest, Env env, const char *word, uint64_t *base)
{
    (void)guest;
    (void)env;
    (void)word;
    (void)base;
    return false;
}

void machine_board_cover(Board *b)
{
    (void)b;
}

void machine_board_cover_read(Board *b, Buf *out)
{
    (void)b;
    (void)out;
}

bool machine_board_exists(GuestId guest, Env env)
{
    (void)guest;
    (void)env;
    return false;
}
