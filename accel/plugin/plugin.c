/* SPDX-License-Identifier: Apache-2.0
 * plugin.c - loading, and the checks that make a stranger's tables as safe to call as our own. They may be of an older or a
 * newer header of the same ABI version: what is shorter is filled up with zeros, what is longer must hold zeros there. */
#include "accel/plugin/plugin.h"

#include "accel/remote/remote.h"
#include "sim/base/mem.h"

#include <string.h>
#ifdef CONF_PLUGINS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

enum { TABLE_BYTES_MAX = 4096, NAME_BYTES_MAX = 31 };
#define END_OF(type, field) (offsetof(type, field) + sizeof(((type *)NULL)->field))
/* What the first header of ABI 1 had: no table is shorter. */
enum {
    BACKEND_BYTES_MIN = END_OF(Backend, vcpu),
    VM_BYTES_MIN = END_OF(VmOps, settle),
    VCPU_BYTES_MIN = END_OF(VcpuOps, is_brief),
};

typedef const Backend *Entry(uint32_t abi);
struct Plugin {
    Backend b; /* first: what b points to is the Plugin */
    VmOps vm;
    VcpuOps vcpu;
    char *name; /* "plugin:./libmine.so", as errors show it */
    void *object;
    const Backend *theirs;
};

const char *plugin_path(const char *name)
{
    size_t n = strlen(PLUGIN_PREFIX);
    return name && !strncmp(name, PLUGIN_PREFIX, n) && name[n] ? name + n : NULL;
}

/* ---- tables ---- */
static int table_take(const Plugin *p, const char *what, const void *table, uint32_t size, size_t min, void *out,
                      size_t known, Err *err)
{
    if (size < min || size > TABLE_BYTES_MAX || size % sizeof(void *)) {
        return err_set(err, ERR_INVAL,
                       "%s: %s says that it has %u bytes; this conf's has %zu: set size_bytes to sizeof", p->name, what,
                       size, known);
    }
    const uint8_t *bytes = table;
    for (size_t i = known; i < size; i++) {
        if (bytes[i]) {
            return err_set(err, ERR_VERSION,
                           "%s: %s fills an entry that this conf does not know: build it against this conf's "
                           "conf-backend.h, or update conf",
                           p->name, what);
        }
    }
    memcpy(out, table, size < known ? size : known);
    return 0;
}

static bool name_is_good(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return n > 0 && n <= NAME_BYTES_MAX && !name[n];
}

/* Results, filters and reports tell backends apart by name. */
static bool name_is_taken(const char *name)
{
    static const char *const words[] = {"all", "best", "sim", "plugin", "remote", "hvf", "whpx", "vz"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!strcmp(name, words[i])) {
            return true;
        }
    }
    return !strncmp(name, "sim-", 4) || backend_find(name);
}

static int name_check(const Plugin *p, Err *err)
{
    const char *name = p->b.name;
    if (!name || !name_is_good(name)) {
        return err_set(err, ERR_INVAL, "%s: its name is not 1 to %d of a-z, 0-9, - and _", p->name, NAME_BYTES_MAX);
    }
    if (name_is_taken(name)) {
        return err_set(err, ERR_INVAL, "%s: its name `%s` is one of conf's own: choose another", p->name, name);
    }
    return 0;
}

static int tables_take(Plugin *p, Err *err)
{
    const Backend *t = p->theirs;
    if (t->abi != ACCEL_ABI_VERSION) {
        return err_set(err, ERR_VERSION,
                       "%s: is of ABI %u of conf-backend.h, this conf has %u: build it against this conf's header",
                       p->name, t->abi, ACCEL_ABI_VERSION);
    }
    int rc = table_take(p, "its ConfBackend", t, t->size_bytes, BACKEND_BYTES_MIN, &p->b, sizeof p->b, err);
    rc = rc ? rc : name_check(p, err);
    if (!rc && p->b.abi_minor > ACCEL_ABI_MINOR) {
        return err_set(err, ERR_VERSION,
                       "%s: is of version %u.%llu of conf-backend.h, this conf has %u.%u: build it against this conf's "
                       "header, or update conf",
                       p->name, t->abi, (unsigned long long)p->b.abi_minor, ACCEL_ABI_VERSION, ACCEL_ABI_MINOR);
    }
    if (!rc && (!p->b.open || !p->b.vm)) {
        rc = err_set(err, ERR_INVAL, "%s: its ConfBackend has no %s", p->name, p->b.open ? "vm table" : "open()");
    }
    rc = rc ? rc : table_take(p, "its ConfVmOps", t->vm, t->vm->size_bytes, VM_BYTES_MIN, &p->vm, sizeof p->vm, err);
    if (!rc && p->b.vcpu) {
        rc = table_take(p, "its ConfVcpuOps", t->vcpu, t->vcpu->size_bytes, VCPU_BYTES_MIN, &p->vcpu, sizeof p->vcpu,
                        err);
    }
    return rc;
}

/* ---- the two entries that are given a Backend: theirs must be theirs ---- */
static const Plugin *plugin_of(const Backend *b)
{
    return (const Plugin *)(const void *)b;
}

/* A code that is none, or an error without a sentence. */
static int answer_check(const Plugin *p, const char *what, int rc, Err *err)
{
    if (rc > 0 || rc <= -ERR_COUNT) {
        return err_set(err, ERR_INVAL, "%s: %s returned %d, which is neither 0 nor one of conf-backend.h's -CONF_ERR_x",
                       p->name, what, rc);
    }
    if (rc && err && !err->text[0]) {
        return err_set(err, -rc, "%s: %s: %s", p->name, what, err_sentence(rc));
    }
    return rc;
}

static int be_open(const Backend *b, GuestId guest, Caps *caps, Err *err)
{
    const Plugin *p = plugin_of(b);
    int rc = answer_check(p, "open()", p->theirs->open(p->theirs, guest, caps, err), err);
    if (rc) {
        return rc;
    }
    if (caps->isa && p->b.abi_minor < 1) {
        return err_set(err, ERR_INVAL, "%s: it fills ConfCaps.isa without abi_minor: set it to CONF_BACKEND_ABI_MINOR",
                       p->name);
    }
    for (int i = 0; i < CAP_COUNT; i++) {
        if (caps->level[i] == CAP_NA && !caps->why[i]) {
            caps->level[i] = CAP_NONE;
            caps->why[i] = "the plugin does not declare it";
        }
    }
    rc = backend_check(b, caps, err);
    if (rc) {
        err_prefix(err, "%s", p->name);
    }
    return rc;
}

static int be_create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    const Plugin *p = plugin_of(b);
    *out = NULL;
    int rc = answer_check(p, "vm.create()", p->theirs->vm->create(p->theirs, cfg, out, err), err);
    if (!rc && !*out) {
        return err_set(err, ERR_INVAL, "%s: vm.create() returned 0 and no VM", p->name);
    }
    return rc;
}

static int tables_wrap(Plugin *p, Err *err)
{
    if (!p->vm.create) {
        return err_set(err, ERR_INVAL, "%s: entry vm.create is missing", p->name);
    }
    p->b.size_bytes = sizeof p->b;
    p->vm.size_bytes = sizeof p->vm;
    p->vcpu.size_bytes = sizeof p->vcpu;
    p->b.open = be_open;
    p->b.vm = &p->vm;
    p->b.vcpu = p->b.vcpu ? &p->vcpu : NULL;
    p->vm.create = be_create;
    return 0;
}

/* ---- loading ---- */
#ifdef CONF_PLUGINS
static int file_check(const Plugin *p, const char *path, Err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int code = errno == ENOENT ? ERR_NOENT : errno == EACCES ? ERR_DENIED : ERR_IO;
    if (fd < 0) {
        return err_native(err, code, errno, "%s: cannot be read", p->name);
    }
    bool is_file = !fstat(fd, &st) && S_ISREG(st.st_mode);
    close(fd);
    return is_file ? 0 : err_set(err, ERR_INVAL, "%s: is not a file", p->name);
}

/* What the loader says starts with the path, which our sentence has already. */
static const char *loader_says(const char *path)
{
    const char *text = dlerror();
    size_t n = strlen(path);
    return !text ? "no reason given" : !strncmp(text, path, n) && !strncmp(text + n, ": ", 2) ? text + n + 2 : text;
}

static int object_load(Plugin *p, const char *path, Err *err)
{
    int rc = file_check(p, path, err);
    if (rc) {
        return rc;
    }
    p->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!p->object) {
        return err_set(err, ERR_INVAL, "%s: is not a shared object that can be loaded here: %s", p->name,
                       loader_says(path));
    }
    void *symbol = dlsym(p->object, "conf_backend");
    Entry *entry;
    if (!symbol) {
        return err_set(err, ERR_INVAL, "%s: does not export conf_backend(): see CONF_BACKEND_EXPORT in conf-backend.h",
                       p->name);
    }
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from an object's address to a function's */
    p->theirs = entry(ACCEL_ABI_VERSION);
    if (!p->theirs) {
        return err_set(err, ERR_VERSION, "%s: conf_backend(%u) returned NULL: it does not serve this conf's ABI",
                       p->name, ACCEL_ABI_VERSION);
    }
    return 0;
}

static void object_unload(Plugin *p)
{
    if (p->object) {
        dlclose(p->object);
    }
}
#else
static int object_load(Plugin *p, const char *path, Err *err)
{
    (void)path;
    return err_set(err, ERR_UNSUPPORTED, "%s: this program was built without the loading of plugins", p->name);
}

static void object_unload(Plugin *p)
{
    (void)p;
}
#endif

int plugin_open(const char *path, Plugin **out, Err *err)
{
    Plugin *p = x_alloc(sizeof *p);
    Buf name = {0}, file = {0};
    buf_printf(&name, PLUGIN_PREFIX "%s", path);
    buf_printf(&file, "%s%s", strchr(path, '/') ? "" : "./", path);
    p->name = buf_take(&name);
    int rc = object_load(p, buf_text(&file), err);
    rc = rc ? rc : tables_take(p, err);
    rc = rc ? rc : tables_wrap(p, err);
    buf_free(&file);
    if (rc) {
        plugin_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

const Backend *plugin_backend(const Plugin *p)
{
    return &p->b;
}

void plugin_close(Plugin *p)
{
    if (p) {
        object_unload(p);
        mem_free(p->name);
    }
    mem_free(p);
}

const Backend *plugin_find(void *ctx, const char *name, Err *err)
{
    const char *path = plugin_path(name);
    Plugin *p = NULL;
    if (!path) {
        return remote_find_built_in(ctx, name, err);
    }
    return plugin_open(path, &p, err) ? NULL : plugin_backend(p);
}
