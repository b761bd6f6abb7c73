/* SPDX-License-Identifier: Apache-2.0
 * story_save.c - the verbs `save` and `restore`: all vcpus, all RAM and the platform's own state under one name; and
 * what differs between a save and now. */
#include "conformance/story_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    Buf blob; /* vcpu_save */
    VEC(RegId) ids;
    Buf values; /* of ids, one after the other */
} SavedVcpu;
struct Save {
    Save *next;
    char *name;
    SavedVcpu *vcpus;
    size_t nvcpus;
    uint8_t **rams; /* in the order of world_rams */
    size_t nrams;
    Buf vm;
    bool has_vm;
};

static void save_free(Save *save)
{
    for (size_t i = 0; i < save->nvcpus; i++) {
        buf_free(&save->vcpus[i].blob);
        buf_free(&save->vcpus[i].values);
        VEC_FREE(&save->vcpus[i].ids);
    }
    for (size_t i = 0; i < save->nrams; i++) {
        mem_free(save->rams[i]);
    }
    mem_free(save->vcpus);
    mem_free(save->rams);
    buf_free(&save->vm);
    mem_free(save->name);
    mem_free(save);
}

void saves_free(Story *s)
{
    while (s->saves) {
        Save *next = s->saves->next;
        save_free(s->saves);
        s->saves = next;
    }
}

const Save *save_find(const Story *s, const char *name)
{
    for (const Save *save = s->saves; save; save = save->next) {
        if (strcmp(save->name, name) == 0) {
            return save;
        }
    }
    return NULL;
}

int regs_read(StoryVcpu *sv, const RegId *ids, size_t n, Buf *out, Err *err)
{
    RegIo *io = x_calloc(n, sizeof *io);
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        total += REG_SIZE(ids[i]);
    }
    uint8_t *bytes = x_alloc(total);
    for (size_t i = 0; i < n; i++) {
        io[i] = (RegIo){ids[i], bytes + at};
        at += REG_SIZE(ids[i]);
    }
    int rc = n ? vcpu_get_regs(sv->v, io, n, NULL, err) : 0;
    if (rc == 0) {
        buf_bytes(out, bytes, total);
    }
    mem_free(bytes);
    mem_free(io);
    return rc;
}

/* Registers that run by themselves tell nothing about a restore: clocks and counters, and the platform's own blobs. */
static bool is_compared(RegId id)
{
    static const char *const running[] = {"msr.tsc",    "time",        "cycle",     "instret",   "cntvct_el0",
                                          "cntpct_el0", "pmccntr_el0", "msr.mperf", "msr.aperf", "tsc"};
    const RegInfo *r = reg_info(id);
    for (size_t i = 0; r && i < ARRAY_LEN(running); i++) {
        if (strcmp(r->name, running[i]) == 0) {
            return false;
        }
    }
    return r && REG_CLASS(id) != REG_NATIVE;
}

static int save_vcpu(StoryVcpu *sv, void *ctx, Err *err)
{
    SavedVcpu *to = ctx;
    size_t n = 0;
    int rc = vcpu_save(sv->v, &to->blob, err);
    if (rc) {
        return rc;
    }
    rc = vcpu_reg_list(sv->v, NULL, &n, err);
    if (rc || n > 65536) {
        return rc ? rc : err_set(err, ERR_LIMIT, "save: %zu registers", n);
    }
    RegId *ids = x_calloc(n, sizeof *ids);
    rc = vcpu_reg_list(sv->v, ids, &n, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (is_compared(ids[i])) {
            VEC_PUSH(&to->ids, ids[i]);
        }
    }
    mem_free(ids);
    return rc ? rc : regs_read(sv, to->ids.items, to->ids.n, &to->values, err);
}

static int save_rams(Story *s, Save *save, Err *err)
{
    const WorldRam *rams = world_rams(s->w, &save->nrams);
    save->rams = x_calloc(save->nrams, sizeof *save->rams);
    for (size_t i = 0; i < save->nrams; i++) {
        save->rams[i] = mem_try((size_t)rams[i].size_bytes, 1);
        if (!save->rams[i]) {
            return err_set(err, ERR_NOMEM, "save: no memory for a copy of `%s`", rams[i].name);
        }
        int rc = vm_mem_read(s->vm, (Gpa){rams[i].at}, save->rams[i], (size_t)rams[i].size_bytes, err);
        if (rc == -ERR_FAULT) { /* a step unmapped it: then there is nothing to save */
            mem_free(save->rams[i]);
            save->rams[i] = NULL;
            rc = 0;
        }
        if (rc) {
            return rc;
        }
    }
    return 0;
}

int step_save(Story *s, const Step *step, Err *err)
{
    const char *name = step->word ? step->word : "";
    Save *save = x_alloc(sizeof *save);
    save->name = x_strdup(name);
    save->nvcpus = s->c->nvcpus;
    save->vcpus = x_calloc(save->nvcpus, sizeof *save->vcpus);
    int rc = 0;
    for (size_t i = 0; i < save->nvcpus && rc == 0; i++) {
        rc = story_on_owner(&s->vcpus[i], save_vcpu, &save->vcpus[i], err);
    }
    if (rc == 0) {
        rc = save_rams(s, save, err);
    }
    if (rc == 0 && s->b->vm->save) {
        rc = vm_save(s->vm, &save->vm, err);
        save->has_vm = rc == 0;
        rc = rc == -ERR_UNSUPPORTED ? 0 : rc;
    }
    if (rc) {
        save_free(save);
        return rc;
    }
    for (Save **at = &s->saves; *at; at = &(*at)->next) { /* the same name again replaces */
        if (strcmp((*at)->name, name) == 0) {
            Save *old = *at;
            *at = old->next;
            save_free(old);
            break;
        }
    }
    save->next = s->saves;
    s->saves = save;
    return 0;
}

static int restore_vcpu(StoryVcpu *sv, void *ctx, Err *err)
{
    const SavedVcpu *from = ctx;
    return vcpu_restore(sv->v, from->blob.data, from->blob.n, err);
}

static int restore_all(Story *s, const Save *save, Err *err)
{
    int rc = 0;
    const WorldRam *rams = world_rams(s->w, &(size_t){0});
    for (size_t i = 0; i < save->nvcpus && rc == 0; i++) {
        rc = story_on_owner(&s->vcpus[i], restore_vcpu, &save->vcpus[i], err);
    }
    for (size_t i = 0; i < save->nrams && rc == 0; i++) {
        if (save->rams[i]) {
            rc = vm_mem_write(s->vm, (Gpa){rams[i].at}, save->rams[i], (size_t)rams[i].size_bytes, err);
        }
    }
    if (rc == 0 && save->has_vm) {
        rc = vm_restore(s->vm, save->vm.data, save->vm.n, err);
    }
    return rc;
}

int step_restore(Story *s, const Step *step, Err *err)
{
    const Save *save = save_find(s, step->word ? step->word : "");
    if (!save) {
        return err_set(err, ERR_NOENT, "restore: nothing was saved as `%s`", step->word ? step->word : "");
    }
    if (step->into_new) { /* the old VM goes first, as some platforms allow one only; the fake's script begins anew */
        story_vm_drop(s);
        int rc = story_vm_make(s, err);
        if (rc) { /* nothing is left that a step could be about, whatever this one is expected to give */
            Buf why = {0};
            buf_printf(&why, "restore into a new VM: %s", err->text);
            story_verdict_error(s, step->pos, buf_text(&why), NULL);
            buf_free(&why);
            return 0;
        }
    }
    return restore_all(s, save, err);
}

/* ---- comparing ---- */
typedef struct {
    Story *s;
    unsigned max;
    Difference *out;
} Compare;

static void differs(Compare *c, const char *what, const char *was, const char *is)
{
    if (c->out->n++ < c->max) {
        buf_printf(&c->out->text, "      |   %s: was %s, is %s\n", what, was, is);
    }
}

static void value_text(Buf *out, const uint8_t *bytes, size_t n)
{
    Cursor c = cursor_of(bytes, n);
    if (n <= 8) {
        number_print(out, cursor_le(&c, n));
        return;
    }
    for (size_t i = n > 32 ? 32 : n; i-- > 0;) {
        buf_printf(out, "%02x", bytes[i]);
    }
    buf_str(out, n > 32 ? ".." : "");
}

typedef struct {
    const SavedVcpu *saved;
    Buf now;
} Reading;

static int read_now(StoryVcpu *sv, void *ctx, Err *err)
{
    Reading *r = ctx;
    return regs_read(sv, r->saved->ids.items, r->saved->ids.n, &r->now, err);
}

static int compare_vcpu(Compare *c, StoryVcpu *sv, const SavedVcpu *saved, Err *err)
{
    Reading r = {.saved = saved};
    int rc = story_on_owner(sv, read_now, &r, err);
    size_t at = 0;
    for (size_t i = 0; i < saved->ids.n && rc == 0; i++) {
        RegId id = saved->ids.items[i];
        const uint8_t *was = (const uint8_t *)saved->values.data + at, *is = (const uint8_t *)r.now.data + at;
        if (memcmp(was, is, REG_SIZE(id)) != 0) {
            Buf a = {0}, b = {0}, what = {0};
            value_text(&a, was, REG_SIZE(id));
            value_text(&b, is, REG_SIZE(id));
            buf_printf(&what, "%s%s%s", c->s->c->nvcpus > 1 ? sv->decl->name : "", c->s->c->nvcpus > 1 ? "." : "",
                       reg_info(id)->name);
            differs(c, buf_text(&what), buf_text(&a), buf_text(&b));
            buf_free(&a);
            buf_free(&b);
            buf_free(&what);
        }
        at += REG_SIZE(id);
    }
    buf_free(&r.now);
    return rc;
}

static void compare_bytes(Compare *c, const WorldRam *ram, const uint8_t *was, const uint8_t *is)
{
    for (size_t i = 0; i < ram->size_bytes; i++) {
        if (was[i] != is[i]) {
            Buf what = {0};
            char a[8], b[8];
            place_print(&what, c->s->w, ram->at + i);
            snprintf(a, sizeof a, "0x%02x", was[i]);
            snprintf(b, sizeof b, "0x%02x", is[i]);
            differs(c, buf_text(&what), a, b);
            buf_free(&what);
        }
    }
}

static int compare_ram(Compare *c, const WorldRam *ram, const uint8_t *was, Err *err)
{
    uint8_t *is = mem_try((size_t)ram->size_bytes, 1);
    if (!is) {
        return err_set(err, ERR_NOMEM, "no memory for a copy of `%s`", ram->name);
    }
    int rc = vm_mem_read(c->s->vm, (Gpa){ram->at}, is, (size_t)ram->size_bytes, err);
    if (rc == 0 && memcmp(was, is, (size_t)ram->size_bytes) != 0) {
        compare_bytes(c, ram, was, is);
    }
    mem_free(is);
    return rc;
}

int save_compare(Story *s, const Save *save, unsigned max, Difference *out, Err *err)
{
    Compare c = {s, max, out};
    size_t nrams;
    const WorldRam *rams = world_rams(s->w, &nrams);
    int rc = 0;
    for (size_t i = 0; i < save->nvcpus && rc == 0; i++) {
        rc = compare_vcpu(&c, &s->vcpus[i], &save->vcpus[i], err);
    }
    for (size_t i = 0; i < nrams && rc == 0; i++) {
        rc = save->rams[i] ? compare_ram(&c, &rams[i], save->rams[i], err) : 0;
    }
    if (out->n > max) {
        buf_printf(&out->text, "      |   and %zu more\n", out->n - max);
    }
    return rc;
}
