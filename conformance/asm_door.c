/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm_door.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert((int)CONF_LLVM_riscv64 == (int)GUEST_riscv64 && (int)CONF_LLVM_aarch64 == (int)GUEST_aarch64 &&
                   (int)CONF_LLVM_x86_64 == (int)GUEST_x86_64 && (int)CONF_LLVM_GUESTS == (int)GUEST_COUNT,
               "the module numbers guests as accel.h does");

/* The loaded module: one per process, as LLVM itself is; guarded by the lock of asm.c. */
static struct {
    char path[PATH_MAX];
    const ConfLlvm *table;
} loaded;

static int program_folder(char folder[PATH_MAX], Err *err)
{
    ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (n < 0) {
        return err_native(err, ERR_UNAVAILABLE, errno, "/proc/self/exe");
    }
    folder[n] = 0;
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = 0;
    }
    return 0;
}

static int find_module(Buf *path, Err *err)
{
    const char *forced = getenv("CONF_LLVM_MODULE");
    if (forced && *forced) {
        buf_str(path, forced);
        return 0;
    }
    static const char *const places[] = {"../" CONF_LIBDIR "/conf", "conformance/llvm", "../conformance/llvm"};
    char folder[PATH_MAX];
    int rc = program_folder(folder, err);
    for (size_t i = 0; !rc && i < ARRAY_LEN(places); i++) {
        buf_clear(path);
        buf_printf(path, "%s/%s/conf-llvm.so", folder, places[i]);
        if (!access(path->data, R_OK)) {
            return 0;
        }
    }
    return rc ? rc
              : err_set(err, ERR_UNAVAILABLE,
                        "the assembler module conf-llvm.so is not in %s/%s: install conf "
                        "completely, or name it in "
                        "CONF_LLVM_MODULE",
                        folder, places[0]);
}

static const ConfLlvm *load(const char *path, Err *err)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        const char *why = dlerror();
        bool lacks_llvm = why && strstr(why, "libLLVM");
        err_set(err, ERR_UNAVAILABLE, "%s%s", why ? why : path,
                lacks_llvm ? ": LLVM 19 is missing, install the package libllvm19" : "");
        return NULL;
    }
    const ConfLlvm *table = dlsym(module, CONF_LLVM_SYMBOL);
    if (!table || table->abi != CONF_LLVM_ABI || table->size_bytes < sizeof *table) {
        err_set(err, ERR_UNAVAILABLE, "%s: not an assembler module of this conf", path);
        dlclose(module);
        return NULL;
    }
    return table;
}

const ConfLlvm *asm_door_open(Err *err)
{
    /* Looked up each time, so that the environment may change (tests) and a package may be
     * installed meanwhile. */
    Buf path = {0};
    const ConfLlvm *table = NULL;
    if (find_module(&path, err)) {
        goto out;
    }
    if (loaded.table && !strcmp(loaded.path, path.data)) {
        table = loaded.table;
        goto out;
    }
    if (path.n >= sizeof loaded.path) {
        err_set(err, ERR_UNAVAILABLE, "the path of the assembler module is too long");
        goto out;
    }
    table = load(path.data, err);
    if (table) {
        loaded.table = table;
        memcpy(loaded.path, path.data, path.n + 1);
    }
out:
    buf_free(&path);
    return table;
}
