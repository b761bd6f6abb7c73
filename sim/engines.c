/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/engines.h"
#include "sim/interp/interp.h"
#include "sim/jit/jit.h"

#include <assert.h>

const Engine *engine_of(SimEngine e, const char **why)
{
#ifdef JIT_HAS_HOST
    const Engine *jit = &engine_jit, *hybrid = &engine_hybrid;
    *why = NULL;
#else
    const Engine *jit = NULL, *hybrid = NULL;
    *why = e == SIM_INTERP ? NULL : "makes code for x86-64 hosts only";
#endif
    switch (e) {
    case SIM_INTERP:
        return &engine_interp;
    case SIM_JIT:
        return jit;
    case SIM_HYBRID:
        return hybrid;
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

SimEngine sim_engine_best(void)
{
    return sim_engine_check(SIM_HYBRID, NULL) ? SIM_INTERP : SIM_HYBRID;
}
