/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/whpx/api.h"

#include "accel/whpx/errors.h"

#include <pthread.h>

WhvApi whv;
static Err load_error; /* written once, under the pthread_once below; code 0 = loaded */

static const struct {
    HRESULT result;
    const char *name;
    int code;
} results[] = {
#define X(name, number) {name, #name, ERR_HOST},
    WHV_E_MAP(X)
#undef X
        {E_INVALIDARG, "E_INVALIDARG", ERR_INVAL},
    {E_OUTOFMEMORY, "E_OUTOFMEMORY", ERR_NOMEM},
    {E_ACCESSDENIED, "E_ACCESSDENIED", ERR_DENIED},
    {E_NOTIMPL, "E_NOTIMPL", ERR_HOST},
    {E_UNEXPECTED, "E_UNEXPECTED", ERR_HOST},
    {E_FAIL, "E_FAIL", ERR_HOST},
};

int whv_err(Err *err, HRESULT result, const char *call)
{
    int rc = 0;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        if (results[i].result == result) {
            rc = err_set(err, results[i].code, "%s: %s (0x%08lx)", call, results[i].name, (unsigned long)result);
        }
    }
    rc = rc ? rc : err_set(err, ERR_HOST, "%s: result 0x%08lx", call, (unsigned long)result);
    if (err) {
        err->native = (uint32_t)result;
    }
    return rc;
}

static FARPROC find(HMODULE library, const char *file, const char *name)
{
    FARPROC f = GetProcAddress(library, name);
    if (!f && !load_error.code) {
        err_set(&load_error, ERR_UNAVAILABLE, "%s has no %s: this Windows is older than what this backend needs", file,
                name);
    }
    return f;
}

static HMODULE library(const char *file)
{
    HMODULE h = LoadLibraryA(file);
    if (!h && !load_error.code) {
        err_set(&load_error, ERR_UNAVAILABLE,
                "no %s: switch the Windows feature on (as administrator: dism /online /enable-feature "
                "/featurename:HypervisorPlatform), then restart",
                file);
    }
    return h;
}

static void load(void)
{
    static const char platform_file[] = "WinHvPlatform.dll", emulation_file[] = "WinHvEmulation.dll";
    HMODULE platform = library(platform_file), emulation = platform ? library(emulation_file) : NULL;
    if (!platform || !emulation) {
        return;
    }
#define X(name) whv.name = (__typeof__(whv.name))(void *)find(platform, platform_file, #name);
    WHV_PLATFORM_MAP(X)
#undef X
#define X(name) whv.name = (__typeof__(whv.name))(void *)find(emulation, emulation_file, #name);
    WHV_EMULATION_MAP(X)
#undef X
    whv.is_double = GetProcAddress(platform, "ConfDouble") != NULL;
}

int whv_load(Err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (load_error.code && err) {
        *err = load_error;
    }
    return load_error.code ? -load_error.code : 0;
}
