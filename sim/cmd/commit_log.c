/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cmd/commit_log.h"

#include "sim/base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NREGS = 32, MAX_HARTS = 64, EXEC = 4, PAGE = 4096 };
typedef struct {
    uint64_t insns, pc, x[NREGS], f[NREGS];
    uint32_t bits;
    uint8_t priv, len;
} Hart;
struct CommitLog {
    FILE *out;
    RegId pc, priv, x[NREGS], f[NREGS];
    bool has_f;
    Hart hart[MAX_HARTS];
};

static RegId id_of(const char *kind, unsigned n)
{
    static const char *const x[NREGS] = {"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
                                         "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
                                         "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    char name[8];
    snprintf(name, sizeof name, "f%u", n);
    const RegInfo *reg = reg_find(GUEST_riscv64, *kind == 'x' ? x[n] : name);
    return reg ? reg->id : 0;
}

int commit_log_open(const char *path, CommitLog **out, Err *err)
{
    FILE *file =
        strcmp(path, "-") != 0 ? fopen(path, "we") : fdopen(dup(STDERR_FILENO), "w"); /* stderr has no buffer */
    if (!file) {
        return err_native(err, ERR_IO, errno, "--commit-log %s: %s", path, strerror(errno));
    }
    CommitLog *l = *out = x_alloc(sizeof *l);
    l->out = file;
    l->pc = reg_find(GUEST_riscv64, "pc")->id;
    l->priv = reg_find(GUEST_riscv64, "priv")->id;
    for (unsigned i = 1; i < NREGS; i++) {
        l->x[i] = id_of("x", i);
    }
    for (unsigned i = 0; i < NREGS; i++) {
        l->f[i] = id_of("f", i);
    }
    return 0;
}

static uint64_t get(SimVcpu *v, RegId id)
{
    uint64_t value = 0;
    return sim_reg_get(v, id, &value, NULL) ? 0 : value;
}

/* n bytes of code within a page. */
static bool fetch(Sim *s, SimVcpu *v, uint64_t pc, void *bytes, size_t n)
{
    uint64_t gpa;
    return sim_translate(v, pc, EXEC, &gpa) && !sim_mem_read(s, gpa, bytes, n, NULL);
}

/* The instruction that comes next. */
static void look_ahead(const CommitLog *l, Sim *s, SimVcpu *v, Hart *h)
{
    uint16_t low = 0, high = 0;
    h->pc = get(v, l->pc);
    h->priv = (uint8_t)(get(v, l->priv) & 3);
    bool is_long = fetch(s, v, h->pc, &low, sizeof low) && (low & 3) == 3;
    h->len = is_long ? 4 : 2;
    if (is_long) {
        (void)fetch(s, v, h->pc + 2, &high, sizeof high);
    }
    h->bits = low | (uint32_t)high << 16;
}

void commit_log_begin(CommitLog *l, Sim *s)
{
    SimVcpu *v;
    uint64_t value;
    l->has_f = !sim_reg_get(sim_vcpu_at(s, 0), l->f[0], &value, NULL);
    for (unsigned i = 0; i < MAX_HARTS && (v = sim_vcpu_at(s, (uint8_t)i)); i++) {
        Hart *h = &l->hart[i];
        h->insns = sim_insns(v);
        for (unsigned n = 0; n < NREGS; n++) {
            h->x[n] = n ? get(v, l->x[n]) : 0;
            h->f[n] = l->has_f ? get(v, l->f[n]) : 0;
        }
        look_ahead(l, s, v, h);
    }
}

static void put_changed(const CommitLog *l, SimVcpu *v, char kind, unsigned n, RegId id, uint64_t *known)
{
    uint64_t value = get(v, id);
    if (value != *known) {
        *known = value;
        fprintf(l->out, " %c%-2u 0x%016" PRIx64, kind, n, value);
    }
}

static void put_line(const CommitLog *l, SimVcpu *v, unsigned hart, Hart *h)
{
    fprintf(l->out, "core %3u: %u 0x%016" PRIx64 " (0x%0*" PRIx32 ")", hart, h->priv, h->pc, h->len * 2, h->bits);
    for (unsigned n = 1; n < NREGS; n++) {
        put_changed(l, v, 'x', n, l->x[n], &h->x[n]);
    }
    for (unsigned n = 0; n < NREGS && l->has_f; n++) {
        put_changed(l, v, 'f', n, l->f[n], &h->f[n]);
    }
    fputc('\n', l->out);
}

void commit_log_look(CommitLog *l, Sim *s)
{
    SimVcpu *v;
    for (unsigned i = 0; i < MAX_HARTS && (v = sim_vcpu_at(s, (uint8_t)i)); i++) {
        Hart *h = &l->hart[i];
        if (sim_insns(v) != h->insns) {
            h->insns = sim_insns(v);
            put_line(l, v, i, h);
            look_ahead(l, s, v, h);
        } else if (get(v, l->pc) != h->pc) { /* a trap, or started */
            look_ahead(l, s, v, h);
        }
    }
}

int commit_log_close(CommitLog *l, Err *err)
{
    if (!l) {
        return 0;
    }
    bool is_lost = ferror(l->out) || fflush(l->out);
    is_lost = fclose(l->out) || is_lost;
    mem_free(l);
    return is_lost ? err_set(err, ERR_IO, "--commit-log: it could not be written whole") : 0;
}
