/* SPDX-License-Identifier: Apache-2.0
 * conf_lua.h - the scripting face: scripts of scenarios, suites written in Lua, the REPL. lua/ alone includes lua.h.
 *
 * Every script gets a Lua state of its own, so scripts of different jobs may run on different threads at once and
 * cannot see each other. The state is a sandbox: conf-lua(7) "LIMITS" lists what is missing and what is bounded;
 * sandbox.h says how. */
#ifndef LUA_CONF_LUA_H
#define LUA_CONF_LUA_H

#include "conformance/cmd.h"
#include "conformance/story.h"

/* Bounds of one script; 0 = the default. Instructions are of the Lua machine; library functions that loop in C
 * (patterns, sorting, moving) are charged for their steps. Seconds are the script's own: time inside steps is the
 * story's. */
typedef struct {
    uint64_t max_bytes; /* 64 MiB: of the Lua state, and once more of the steps that it made */
    uint64_t max_insns; /* 500 million */
    uint64_t max_ns;    /* the story's --timeout, or 10 s */
} LuaLimits;

/* Runs the script of the story's case: Case.script, or the function Case.lua_function of a .lua suite. ctx: const
 * LuaLimits *, or NULL. A failed expectation is in the story (returns 0); -ERR_INVAL with "suite.yaml:40: text" when
 * the script is wrong, -ERR_LIMIT when it exceeded a bound. THREAD-SAFE for different stories. */
ScriptRun lua_script_run;

/* Loads a suite from the text of a .lua file, which calls scenario{..} once per scenario: same keys, same checks as in
 * YAML. Ownership and diagnostics as suite_load. A scenario's script may be a function. Functions belong to the state
 * that made them and jobs run on many threads, so the suite keeps the file's text (key x-lua-source of its root) and
 * lua_script_run runs the file again in the job's own state to get at the N-th scenario's function. Hence a file must
 * make the same scenarios each time; nothing in the sandbox (no clock, no randomness outside scripts) lets it do
 * otherwise. */
Suite *lua_suite_load(Arena *arena, const char *file, const char *text, size_t n, Diags *diags);
#endif
