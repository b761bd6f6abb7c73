/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/floor.h"

#include "sim/base/json_in.h"
#include "sim/base/os.h"

#include <stdlib.h>
#include <string.h>

enum { FLOOR_VERSION = 1, WHOLE = 10000, MAX_FILE = 1 << 24 };

void floor_free(CovFloor *f)
{
    for (size_t i = 0; i < f->list.n; i++) {
        mem_free(f->list.items[i].of);
    }
    VEC_FREE(&f->list);
}

static CovLimit *limit_find(const CovFloor *f, const char *of)
{
    for (size_t i = 0; i < f->list.n; i++) {
        if (!strcmp(f->list.items[i].of, of)) {
            return &f->list.items[i];
        }
    }
    return NULL;
}

/* "95", "95.5", "95.25": at most two digits, at most 100. */
static bool percent_of(const char *text, uint32_t *out)
{
    uint32_t n = 0;
    int digits = 0, after = -1;
    for (; *text; text++) {
        if (*text == '.' && after < 0 && digits) {
            after = 0;
        } else if (*text >= '0' && *text <= '9' && digits < 6) {
            n = n * 10 + (uint32_t)(*text - '0');
            digits++;
            after += after >= 0;
        } else {
            return false;
        }
    }
    for (int i = after < 0 ? 0 : after; i < 2; i++) {
        n *= 10;
    }
    *out = n;
    return digits && after != 0 && after <= 2 && n <= WHOLE;
}

int floor_add(CovFloor *f, const char *text, Err *err)
{
    const char *equals = strrchr(text, '=');
    CovLimit limit = {0};
    if (!equals || equals == text || !percent_of(equals + 1, &limit.percent100)) {
        return err_set(err, ERR_INVAL, "`%.100s` is not KIND=PERCENT, as in exit@kvm=95 or c_line/sim=90.5", text);
    }
    limit.of = x_strndup(text, (size_t)(equals - text));
    VEC_PUSH(&f->list, limit);
    return 0;
}

static void read_limits(JsonIn *j, CovFloor *out)
{
    Buf key = {0};
    bool has_version = false;
    json_in_open(j, '{');
    while (json_in_key(j, &key)) {
        if (!has_version) {
            has_version = !strcmp(buf_text(&key), "conf_coverage_floor");
            uint64_t version = has_version ? json_in_u64(j, UINT64_MAX) : 0;
            if (json_in_ok(j) && version != FLOOR_VERSION) {
                json_in_fail(j, ERR_VERSION, "expected \"conf_coverage_floor\": %d first", FLOOR_VERSION);
            }
            continue;
        }
        double percent = json_in_number(j);
        if (json_in_ok(j) && !(percent >= 0 && percent <= 100)) {
            json_in_fail(j, ERR_INVAL, "`%.100s`: expected a percentage", buf_text(&key));
        } else if (json_in_ok(j) && limit_find(out, buf_text(&key))) {
            json_in_fail(j, ERR_INVAL, "`%.100s` is there twice", buf_text(&key));
        } else if (json_in_ok(j)) {
            CovLimit limit = {.of = x_strdup(buf_text(&key)), .percent100 = (uint32_t)(percent * 100 + 0.5)};
            VEC_PUSH(&out->list, limit);
        }
    }
    if (json_in_ok(j) && !has_version) {
        json_in_fail(j, ERR_VERSION, "expected \"conf_coverage_floor\": %d", FLOOR_VERSION);
    }
    buf_free(&key);
}

int floor_read(const char *name, const void *bytes, size_t n, CovFloor *out, Err *err)
{
    JsonIn j = json_in(name, bytes, n, err);
    *out = (CovFloor){0};
    read_limits(&j, out);
    int rc = json_in_end(&j);
    if (rc) {
        floor_free(out);
    }
    return rc;
}

int floor_load(const char *path, CovFloor *out, Err *err)
{
    Buf text = {0};
    *out = (CovFloor){0};
    int rc = os_read_file(path, MAX_FILE, &text, err);
    rc = rc == -ERR_NOENT ? 0 : rc ? rc : floor_read(path, text.data, text.n, out, err);
    buf_free(&text);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const CovLimit *)a)->of, ((const CovLimit *)b)->of);
}

int floor_save(const CovFloor *f, const char *path, Err *err)
{
    Buf out = {0};
    CovLimit *sorted = x_calloc(f->list.n, sizeof *sorted);
    for (size_t i = 0; i < f->list.n; i++) {
        sorted[i] = f->list.items[i];
    }
    if (f->list.n) {
        qsort(sorted, f->list.n, sizeof *sorted, by_name);
    }
    buf_printf(&out, "{\n  \"conf_coverage_floor\": %d", FLOOR_VERSION);
    for (size_t i = 0; i < f->list.n; i++) {
        buf_str(&out, ",\n  ");
        Json j = json_to(&out, 0);
        json_str(&j, sorted[i].of);
        buf_printf(&out, ": %u.%02u", sorted[i].percent100 / 100, sorted[i].percent100 % 100);
    }
    buf_str(&out, "\n}\n");
    mem_free(sorted);
    int rc = os_write_file(path, out.data, out.n, err);
    buf_free(&out);
    return rc;
}

static uint32_t row_percent100(const CovRow *row)
{
    return row->total ? (uint32_t)(row->covered * (uint64_t)WHOLE / row->total) : WHOLE;
}

static void row_name(const Coverage *c, const CovRow *row, Buf *out)
{
    buf_clear(out);
    buf_str(out, c->kinds.items[row->kind]);
    if (row->group) {
        buf_printf(out, "/%s", row->group);
    }
    if (row->backend && *row->backend) {
        buf_printf(out, "@%s", row->backend);
    }
}

/* The row of a limit; the program's own rows and those of all backends together have the same name, and are the same. */
static const CovRow *row_find(const CovTally *t, const Coverage *c, const char *of)
{
    Buf name = {0};
    const CovRow *found = NULL;
    for (size_t i = 0; i < t->rows.n && !found; i++) {
        row_name(c, &t->rows.items[i], &name);
        found = !strcmp(buf_text(&name), of) ? &t->rows.items[i] : NULL;
    }
    buf_free(&name);
    return found;
}

size_t floor_check(const CovFloor *f, const Coverage *c, const CovTally *t, Buf *out, size_t *nabsent)
{
    size_t nbelow = 0;
    *nabsent = 0;
    for (size_t i = 0; i < f->list.n; i++) {
        const CovLimit *limit = &f->list.items[i];
        const CovRow *row = row_find(t, c, limit->of);
        uint32_t now = row ? row_percent100(row) : 0;
        if (!row) {
            ++*nabsent;
        } else if (now < limit->percent100) {
            buf_printf(out, "%s: %u.%02u %% of %llu, the limit is %u.%02u %%\n", limit->of, now / 100, now % 100,
                       (unsigned long long)row->total, limit->percent100 / 100, limit->percent100 % 100);
            nbelow++;
        }
    }
    return nbelow;
}

size_t floor_raise(CovFloor *f, const Coverage *c, const CovTally *t)
{
    Buf name = {0};
    size_t n = 0;
    for (size_t i = 0; i < t->rows.n; i++) {
        const CovRow *row = &t->rows.items[i];
        bool is_code = !strncmp(c->kinds.items[row->kind], "c_", 2);
        if (!row->total || (row->group && !is_code) || (row->backend && !*row->backend)) {
            continue;
        }
        row_name(c, row, &name);
        CovLimit *limit = limit_find(f, buf_text(&name));
        uint32_t now = row_percent100(row);
        if (!limit) {
            CovLimit fresh = {.of = x_strdup(buf_text(&name)), .percent100 = now};
            VEC_PUSH(&f->list, fresh);
            n++;
        } else if (now > limit->percent100) {
            limit->percent100 = now;
            n++;
        }
    }
    buf_free(&name);
    return n;
}
