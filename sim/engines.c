/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/engines.h"
#include "sim/interp/interp.h"
#include "sim/jit/jit.h"

#include <assert.h>

const Engine *engine_of(SimEngine e, const char **why)
{
    *why = NULL;
    switch (e) {
    case SIM_INTERP:
        return &engine_interp;
    case SIM_JIT:
#ifdef JIT_HAS_HOST
        return &engine_jit;
#else
        *why = "makes code for x86-64 hosts only";
        return NULL;
#endif
    case SIM_ENGINES:
        break;
    }
    assert(!"an engine");
    return NULL;
}

const char *sim_engine_name(SimEngine e)
{
    static const char *const names[SIM_ENGINES] = {
#define ENGINE(NAME, name) [SIM_##NAME] = #name,
#include "sim/engines.def"
#undef ENGINE
    };
    return (unsigned)e < SIM_ENGINES ? names[e] : NULL;
}

int sim_engine_check(SimEngine e, Err *err)
{
    const char *why;
    if ((unsigned)e >= SIM_ENGINES) {
        return err_set(err, ERR_INVAL, "no engine has number %d", (int)e);
    }
    return engine_of(e, &why) ? 0 : err_set(err, ERR_UNAVAILABLE, "engine %s: %s", sim_engine_name(e), why);
}
