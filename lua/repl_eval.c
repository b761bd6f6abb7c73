/* SPDX-License-Identifier: Apache-2.0 */
#include "lua/repl.h"
#include "sim/base/os.h"

#include <string.h>

static bool ends_in_eof(const char *text)
{
    size_t n = strlen(text);
    return n > 5 && strcmp(text + n - 5, "<eof>") == 0;
}

/* An expression is tried first: its values are shown. */
static int load_line(Repl *r, const char *text, bool *is_incomplete, Err *err)
{
    Buf expression = {0};
    buf_printf(&expression, "return %s", text);
    int rc = sandbox_load(r->script, expression.data, expression.n, r->line, NULL);
    buf_free(&expression);
    if (rc != 0) {
        rc = sandbox_load(r->script, text, strlen(text), r->line, err);
        *is_incomplete = rc != 0 && ends_in_eof(err->text);
    }
    return rc;
}

static void renew(Sandbox *s)
{
    s->ended = ENDED_NO;
    s->used_insns = s->printed = s->outside_ns = 0;
    s->start_ns = os_now_ns();
}

static int show_values(Repl *r, int base, Err *err)
{
    lua_State *L = r->script->L;
    int n = lua_gettop(L) - base;
    lua_getfield(L, LUA_REGISTRYINDEX, SANDBOX_PRIMITIVES);
    lua_getfield(L, -1, "show");
    lua_remove(L, -2);
    lua_insert(L, base + 1);
    return sandbox_call(r->script, n, 0, err);
}

/* A line is a trial: what fails in it is said, and the session goes on. */
int repl_eval(Repl *r, const char *text, bool *is_incomplete, Err *err)
{
    Sandbox *s = r->script;
    Buf why = {0};
    int base = lua_gettop(s->L);
    *is_incomplete = false;
    renew(s);
    int rc = load_line(r, text, is_incomplete, err);
    if (rc != 0) {
        return rc;
    }
    story_trial_begin(r->story);
    rc = sandbox_call(s, 0, LUA_MULTRET, err);
    if (story_trial_end(r->story, NULL, &why) && rc == 0) {
        rc = err_set(err, ERR_STATE, "%s", buf_text(&why));
    } else if (rc == 0 && story_failed(r->story)) {
        rc = err_set(err, ERR_IO, "the session is over: %s", buf_text(&r->result.reason));
        r->is_quit = true;
    }
    buf_free(&why);
    if (rc == 0) {
        rc = show_values(r, base, err);
    }
    lua_settop(s->L, base);
    return rc;
}

typedef struct {
    const char *prefix;
    Buf *out;
} Completion;

static int complete(lua_State *L)
{
    Completion *c = lua_touserdata(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, SANDBOX_PRIMITIVES);
    lua_getfield(L, -1, "complete");
    lua_pushstring(L, c->prefix);
    lua_call(L, 1, 1);
    buf_str(c->out, luaL_checkstring(L, -1));
    return 0;
}

void repl_complete(Repl *r, const char *prefix, Buf *out)
{
    Completion c = {prefix, out};
    renew(r->script);
    (void)!sandbox_protected(r->script, complete, &c, NULL); /* no names, then */
}
