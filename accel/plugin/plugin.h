/* SPDX-License-Identifier: Apache-2.0
 * plugin.h - backends that others bring, as shared objects: `plugin:PATH` wherever a backend is named.
 *
 * What they build against is conf-backend.h, which header.lua makes of accel.h (docs/howto/add-a-backend.md). Loading runs
 * their code, so it is done in a worker process: plugin_find() is what its server asks. In the program's own process only
 * where the user asked for that (--no-isolation, `conf diff`), by plugin_open(). */
#ifndef ACCEL_PLUGIN_PLUGIN_H
#define ACCEL_PLUGIN_PLUGIN_H

#include "accel/accel.h"

#define PLUGIN_PREFIX "plugin:"

/* The path of "plugin:PATH"; NULL: another name. */
const char *plugin_path(const char *name);
typedef struct Plugin Plugin;
/* Loads the shared object and checks what it exports. A path without a slash is a file of the current folder. -ERR_NOENT,
 * -ERR_DENIED, -ERR_IO: no such file; -ERR_INVAL: not a plugin, or its tables are wrong; -ERR_VERSION: of another ABI;
 * -ERR_UNSUPPORTED: this program cannot load any. Each sentence starts with "plugin:PATH: ". */
MUST_USE int plugin_open(const char *path, Plugin **out, Err *err);
/* Its table, made whole: entries that its header did not have yet are NULL, capabilities that it does not declare are NONE
 * with a reason, and open() fails where its tables do not hold what it declares. Valid until plugin_close. */
const Backend *plugin_backend(const Plugin *p);
void plugin_close(Plugin *p); /* unloads; no VM of it may be left; NULL is fine */

/* For remote.h's RemoteFind, ctx not looked at: a built-in backend or "plugin:PATH", which stays loaded for the life of the
 * process. */
const Backend *plugin_find(void *ctx, const char *name, Err *err);
#endif
