/* SPDX-License-Identifier: Apache-2.0
 * repl.h - the inside of `conf repl`: a session is one scenario's world and story, and a script state that lives on. */
#ifndef LUA_REPL_H
#define LUA_REPL_H

#include "accel/plugin/plugin.h"
#include "accel/remote/remote.h"
#include "lua/sandbox.h"

typedef struct {
    const char *backend, *guest, *target; /* options; NULL = choose */
    uint64_t seed, timeout_ns;            /* timeout: of one run by hand */
    bool is_in_process, is_batch;
} ReplOptions;
typedef struct {
    ReplOptions o;
    WorkerServer *server;
    RemoteLink *link;
    Plugin *plugin; /* in process */
    const Backend *backend;
    Caps caps;
    Suite *suite;
    const Case *c;
    World *world;
    Story *story;
    Result result;
    Sandbox *script;
    bool is_quit;
    unsigned line; /* of the input, from 1 */
} Repl;

/* repl_world.c: everything up to the story. Diagnostics go to stderr. 0, or an exit status of cmd.h. */
MUST_USE int repl_open(Repl *r);
void repl_close(Repl *r);
/* repl_api.c: primitives of repl.lua, in the table SANDBOX_PRIMITIVES. Protected caller. */
void repl_open_api(lua_State *L);
/* A signal handler's: ends the run under way, if one is. Async-signal-safe. */
void repl_interrupt(void);
bool repl_was_interrupted(void); /* since it was last asked */
/* repl_eval.c: does one line or chunk; prints its values. -ERR_x: wrong, said in *err; *is_incomplete: more lines may
 * mend it. */
MUST_USE int repl_eval(Repl *r, const char *text, bool *is_incomplete, Err *err);
/* Names that start with prefix, one a line, appended to out. */
void repl_complete(Repl *r, const char *prefix, Buf *out);
#endif
