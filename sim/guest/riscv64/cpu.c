/* SPDX-License-Identifier: Apache-2.0
 * cpu.c - what a riscv64 cpu has: "rv64imac,svadu=off". */
#include "sim/guest/riscv64/riscv.h"

#include "sim/base/mem.h"

#include <string.h>

static const struct {
    const char *name;
    RiscvNeed need;
} features[] = {{"sstc", NEED_SSTC}, {"svadu", NEED_SVADU}, {"pmp", NEED_PMP}};

/* The part before the first comma: n characters. */
static int parse_isa(const char *s, size_t n, RiscvCpu *cpu, Err *err)
{
    if (n < 5 || strncmp(s, "rv64i", 5) != 0) {
        return err_set(err, ERR_INVAL, "cpu \"%.*s\": expected rv64i with extensions, such as rv64imac", (int)n, s);
    }
    bool has_c = false;
    for (size_t i = 5; i < n; i++) {
        switch (s[i]) {
        case 'm':
            cpu->has[NEED_M] = true;
            break;
        case 'a':
            cpu->has[NEED_A] = true;
            break;
        case 'c':
            has_c = true;
            break;
        default:
            return err_set(err, ERR_INVAL, "cpu \"%.*s\": there is no extension '%c'; m, a and c are", (int)n, s, s[i]);
        }
    }
    if (!has_c) { /* without C, instructions are aligned to 4 bytes and other targets trap, which nothing here does */
        return err_set(err, ERR_INVAL, "cpu \"%.*s\": c cannot be left out", (int)n, s);
    }
    return 0;
}

static int parse_feature(const char *s, size_t n, RiscvCpu *cpu, Err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        size_t len = strlen(features[i].name);
        if (n < len || strncmp(s, features[i].name, len) != 0) {
            continue;
        }
        if (n == len + 3 && !strncmp(s + len, "=on", 3)) {
            cpu->has[features[i].need] = true;
            return 0;
        }
        if (n == len + 4 && !strncmp(s + len, "=off", 4)) {
            cpu->has[features[i].need] = false;
            return 0;
        }
        return err_set(err, ERR_INVAL, "cpu: \"%.*s\": expected %s=on or %s=off", (int)n, s, features[i].name,
                       features[i].name);
    }
    return err_set(err, ERR_INVAL, "cpu: there is no feature \"%.*s\"; sstc, svadu and pmp are", (int)n, s);
}

int riscv_cpu_parse(const char *text, void *cpu, Err *err)
{
    text = text ? text : "rv64imac";
    size_t n = strcspn(text, ",");
    RiscvCpu out = {.has = {[NEED_ALWAYS] = true, [NEED_SSTC] = true, [NEED_SVADU] = true, [NEED_PMP] = true}};
    int rc = parse_isa(text, n, &out, err);
    while (rc >= 0 && text[n]) {
        text += n + 1;
        n = strcspn(text, ",");
        rc = parse_feature(text, n, &out, err);
    }
    if (rc >= 0) {
        memcpy(cpu, &out, sizeof out);
    }
    return rc;
}
