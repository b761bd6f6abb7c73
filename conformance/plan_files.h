/* SPDX-License-Identifier: Apache-2.0
 * plan_files.h - the words of a command line that name suites: files, directories, globs, with selectors. */
#ifndef CONFORMANCE_PLAN_FILES_H
#define CONFORMANCE_PLAN_FILES_H

#include "sim/base/err.h"
#include "sim/base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* One selection within a file. name NULL and line 0: the whole file. */
typedef struct {
    const char *name;
    uint64_t line;
    const char *word; /* as the user wrote it */
} PlanSelector;
typedef struct {
    const char *path;
    VEC(PlanSelector) selectors;
} PlanFile;
typedef VEC(PlanFile) PlanFiles;
/* Appends the files of one word, each path once: a second mention adds its selector. Directories are walked, sorted,
 * without hidden entries, for *.yaml, *.yml and (with_lua) *.lua. -ERR_NOENT: nothing of that name; -ERR_DENIED,
 * -ERR_IO. */
MUST_USE int plan_files_add(Arena *arena, const char *word, bool with_lua, PlanFiles *out, Err *err);
void plan_files_free(PlanFiles *files);
#endif
