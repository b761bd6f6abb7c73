/* SPDX-License-Identifier: Apache-2.0
 * sandbox.h - the inside of lua/: one sandboxed Lua state and what hangs from it.
 *
 * How a script is held:
 *  - Text chunks only; no io, os, load, require, debug, string.dump; __gc is refused, as finalizers run with hooks off;
 * xpcall calls its handler after unwinding, as handlers of an error that a hook raised would run with hooks off.
 *  - A count hook every HOOK_INSNS instructions checks the budget and the clock. Once a script has ended (a limit,
 * fail, skip, a failed expectation), `ended` stays set and each later hook raises again, every instruction, so pcall
 * cannot go on. New coroutines inherit the hook but start a fresh count; making one is therefore charged like a hook.
 *  - Hooks do not fire inside C: library functions that may loop for long are replaced (string.find, match, gmatch,
 * gsub, rep: pattern.c) or checked before (table.*, collectgarbage) and charged with sandbox_charge().
 *  - The allocator refuses what exceeds max_bytes; Lua turns that into a memory error.
 * No C function may hold heap memory of its own across a call that can raise: what is needed goes to the arena or to
 * `scratch`. */
#ifndef LUA_SANDBOX_H
#define LUA_SANDBOX_H

#include "lua/conf_lua.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

enum { HOOK_INSNS = 256, SANDBOX_MAX_ITEMS = 1 << 22, SANDBOX_MAX_PRINT = 64 << 10 };
typedef enum {
    ENDED_NO,
    ENDED_STOP,  /* fail, skip, a failed step: said in the story */
    ENDED_TRIAL, /* the same within a trial: forall goes on */
    ENDED_LIMIT  /* limit_text says which */
} Ended;

typedef struct Sandbox {
    lua_State *L;
    Arena *arena; /* steps and nodes */
    bool is_arena_lent;
    Buf scratch;      /* for one C function at a time */
    LuaLimits limits; /* defaults filled in */
    uint64_t used_bytes, used_insns, start_ns, printed;
    uint64_t outside_ns; /* spent in steps */
    uint64_t random;     /* state of the stream */
    Ended ended;
    bool in_trial, is_oom;
    char limit_text[96];
    const char *file;                                     /* of the chunk, as the user named it */
    Story *story;                                         /* NULL while a suite is loaded */
    void (*print)(void *ctx, const char *text, size_t n); /* NULL: stderr */
    void *print_ctx;
    struct { /* what scenario{} does */
        VEC(Node *) nodes;
        size_t n;     /* calls so far */
        int wanted;   /* keep the function of this one, from 0; -1 = collect nodes */
        bool is_open; /* scenario{} may be called */
    } suite;
    bool is_repl; /* each line is a trial already */
    void *host;   /* the REPL's own */
} Sandbox;

/* sandbox.c. limits NULL: defaults. Story NULL: no step can be done. arena NULL: one of its own, else lent. NULL: out
 * of memory. */
Sandbox *sandbox_new(Story *story, const LuaLimits *limits, const char *file, Arena *arena);
void sandbox_free(Sandbox *s); /* NULL is fine */
Sandbox *sandbox_of(lua_State *L);
/* Runs body(L) in protected mode with all checks on. 0, also when the script ended by fail or skip; else -ERR_x and
 * *err. */
MUST_USE int sandbox_protected(Sandbox *s, lua_CFunction body, void *arg, Err *err);
/* As sandbox_protected for the function and nargs arguments on the stack; leaves nresults there on success. */
MUST_USE int sandbox_call(Sandbox *s, int nargs, int nresults, Err *err);
/* Text -> a function on the stack; first_line: the number of its first line in the file. */
MUST_USE int sandbox_load(Sandbox *s, const char *text, size_t n, uint32_t first_line, Err *err);
void sandbox_charge(lua_State *L, uint64_t insns); /* raises when the budget is used up */
void sandbox_check(lua_State *L);                  /* raises when the script has ended */
_Noreturn void sandbox_end(lua_State *L, Ended how);
_Noreturn void sandbox_limit(lua_State *L, const char *text);
_Noreturn void sandbox_raise(lua_State *L, const Err *err); /* "file:line: text" */
Pos sandbox_pos(lua_State *L);                              /* of the innermost Lua function of the script's file */
void sandbox_arena_check(lua_State *L);
void sandbox_open_base(lua_State *L); /* the globals of the sandbox; protected caller */
void sandbox_open_pattern(lua_State *L);
/* Functions that the prelude builds on, a table in the registry; passed to each prelude chunk as its argument. */
#define SANDBOX_PRIMITIVES "conf.primitives"
void sandbox_prelude(lua_State *L, const char *name, const char *text, size_t n);

/* lua_node.c */
enum { SANDBOX_MAX_NODES = 1 << 18 };
const Node *sandbox_node(lua_State *L, int index, Pos pos); /* raises */
void sandbox_push_node(lua_State *L, const Node *n, const Names *names, GuestId guest);

/* api.c, api_vm.c, api_exit.c */
void sandbox_open_api(lua_State *L);
void sandbox_open_vm(lua_State *L);
void sandbox_push_exit(lua_State *L, Story *story, const VmExit *e);
uint64_t sandbox_random(Sandbox *s);
/* Story of the script; raises while a suite is loaded. */
Story *sandbox_story(lua_State *L);

/* suite.c */
void sandbox_open_suite(lua_State *L);
/* Runs the suite's file and leaves the wanted scenario's function on the stack. */
MUST_USE int sandbox_suite_function(Sandbox *s, const Suite *suite, int index, Err *err);
#endif
