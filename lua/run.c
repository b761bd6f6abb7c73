/* SPDX-License-Identifier: Apache-2.0 */
#include "lua/sandbox.h"

#include <string.h>

int lua_script_run(void *ctx, Story *story, Err *err)
{
    const Case *c = story_case(story);
    const char *file = c->script_pos.file ? c->script_pos.file : c->suite->file;
    Sandbox *s = sandbox_new(story, ctx, c->lua_function >= 0 ? c->suite->file : file, NULL);
    if (!s) {
        return err_set(err, ERR_NOMEM, "%s: not enough memory to run a script", file);
    }
    int rc = c->lua_function >= 0 ? sandbox_suite_function(s, c->suite, c->lua_function, err)
                                  : sandbox_load(s, c->script, strlen(c->script), c->script_pos.line, err);
    if (rc == 0) {
        rc = sandbox_call(s, 0, 0, err);
    }
    sandbox_free(s);
    return rc;
}
