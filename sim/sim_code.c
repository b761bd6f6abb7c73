/* SPDX-License-Identifier: Apache-2.0
 * sim_code.c - saved code, as a library. */
#include "sim/jit/jit.h"
#include "sim/sim.h"

#ifdef JIT_HAS_HOST
#include "sim/jit/store.h"

int sim_code_new(SimCode **out, Err *err)
{
    (void)err;
    *out = code_store_new(NULL);
    return 0;
}

void sim_code_free(SimCode *c)
{
    code_store_free(c);
}

int sim_code_load(SimCode *c, const char *path, Err *err)
{
    return code_store_load(c, path, err);
}

int sim_code_save(SimCode *c, const char *path, Err *err)
{
    return code_store_save(c, path, err);
}

void sim_code_stats(SimCode *c, SimCodeStats *out)
{
    CodeStoreStats s = code_store_stats(c);
    *out = (SimCodeStats){
        .pieces = s.records, .bytes = s.bytes, .used = s.found, .made = s.wanting, .was_other = s.was_other};
}
#else
int sim_code_new(SimCode **out, Err *err)
{
    *out = NULL;
    return err_set(err, ERR_UNAVAILABLE, "saved code: makes code for x86-64 hosts only");
}

void sim_code_free(SimCode *c)
{
    (void)c;
}

int sim_code_load(SimCode *c, const char *path, Err *err)
{
    (void)c, (void)path;
    return err_set(err, ERR_UNAVAILABLE, "saved code: makes code for x86-64 hosts only");
}

int sim_code_save(SimCode *c, const char *path, Err *err)
{
    return sim_code_load(c, path, err);
}

void sim_code_stats(SimCode *c, SimCodeStats *out)
{
    (void)c;
    *out = (SimCodeStats){0};
}
#endif
