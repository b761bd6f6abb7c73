/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/r2/faults.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 4096, NPAGES = R2_RAM_BYTES / PAGE, WINDOW_INSNS = 3000, PER_POINT = 125, MAX_SHOWN = 5 };

static uint64_t random64(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t page_in(const Machine *m, const TlbEntry *table, unsigned i) /* 0: not since the last flush */
{
    uint64_t tag = table[i].tag, page = tag & ~(uint64_t)(PAGE - 1);
    return (tag & (PAGE - 1)) == m->f->f.tlb_key && page - R2_RAM < R2_RAM_BYTES ? page : 0;
}

/* A page that the program touched a moment ago; 0: none. */
static uint64_t page_recent(const Machine *m, uint64_t *seed)
{
    unsigned first = (unsigned)(random64(seed) % NPAGES);
    const TlbEntry *table = random64(seed) & 1 ? m->f->f.tlb_read : m->f->f.tlb_write;
    for (unsigned i = 0; i < NPAGES; i++) {
        uint64_t page = page_in(m, table, (first + i) % NPAGES);
        if (page) {
            return page;
        }
    }
    return 0;
}

static bool pages_differ(const Machine *a, const Machine *b, uint64_t page)
{
    return page && memcmp(a->ram + (page - R2_RAM), b->ram + (page - R2_RAM), PAGE);
}

/* Pages that either has stored to since the last flush; the others were the same then. */
static bool memory_differs(const Machine *a, const Machine *b)
{
    for (unsigned i = 0; i < NPAGES; i++) {
        if (pages_differ(a, b, page_in(a, a->f->f.tlb_write, i)) ||
            pages_differ(a, b, page_in(b, b->f->f.tlb_write, i))) {
            return true;
        }
    }
    return pages_differ(a, b, a->device_page) || pages_differ(a, b, a->bad_page);
}

static bool frame_differs(const Machine *a, const Machine *b, bool is_loud)
{
    const R2Frame *x = a->f, *y = b->f;
    bool differs = false;
#define SAME(field)                                                                                                    \
    if (x->f.field != y->f.field) {                                                                                    \
        differs = true;                                                                                                \
        if (is_loud) {                                                                                                 \
            fprintf(stderr, "  %s: 0x%" PRIx64 ", not 0x%" PRIx64 "\n", #field, (uint64_t)x->f.field,                  \
                    (uint64_t)y->f.field);                                                                             \
        }                                                                                                              \
    }
    SAME(zero)
    SAME(budget)
    SAME(pc)
    SAME(event)
    SAME(insns_end)
    SAME(trap.cause)
    SAME(trap.value)
    SAME(trap.value2)
    SAME(stop_reason)
    SAME(stop_imm)
    SAME(mode_key)
    SAME(resv_size)
#undef SAME
    size_t from = offsetof(R2Frame, x), end = offsetof(R2Frame, ram_limit);
    for (size_t at = from; at < end; at += 8) {
        uint64_t v = *(const uint64_t *)(const void *)((const char *)x + at);
        uint64_t w = *(const uint64_t *)(const void *)((const char *)y + at);
        differs = differs || v != w;
        if (v != w && is_loud) {
            fprintf(stderr, "  slot %zu: 0x%" PRIx64 ", not 0x%" PRIx64 "\n", (at - from) / 8, v, w);
        }
    }
    return differs;
}

static void pages_copy(Machine *to, const Machine *from) /* what from has stored to since the last flush */
{
    for (unsigned i = 0; i < NPAGES; i++) {
        uint64_t page = page_in(from, from->f->f.tlb_write, i);
        if (page) {
            memcpy(to->ram + (page - R2_RAM), from->ram + (page - R2_RAM), PAGE);
        }
    }
}

/* b gets a's state, which has run ahead alone. */
static void leap(Machine *a, Machine *b, uint64_t n)
{
    machine_inject(a, 0, 0, 0, 0);
    machine_inject(b, 0, 0, 0, 0);
    if (machine_run(a, n) == LEFT_STOP) {
        machine_reset(a);
        machine_reset(b);
        memset(a->ram, 0, R2_RAM_BYTES);
        memset(b->ram, 0, R2_RAM_BYTES);
        return;
    }
    if (a->is_paged) {
        pages_copy(b, a);
    } else { /* it does not know where it stored */
        memcpy(b->ram, a->ram, R2_RAM_BYTES);
    }
    memcpy(b->f->x, a->f->x, offsetof(R2Frame, ram_limit) - offsetof(R2Frame, x));
    b->f->f.pc = a->f->f.pc;
    b->f->f.budget = a->f->f.budget;
    b->f->f.insns_end = a->f->f.insns_end;
}

typedef struct {
    bool is_loud;
    unsigned long traps, accesses, cuts, boundaries, differ;
} Counts;

/* One window of both machines under one injection. */
static void inject(Machine *a, Machine *b, uint64_t *seed, Counts *c)
{
    static const uint32_t accesses[] = {ACC_READ | ACC_WRITE, ACC_WRITE, ACC_READ};
    uint64_t kind = random64(seed) % 3, page = page_recent(b, seed), n = 1 + random64(seed) % WINDOW_INSNS;
    uint32_t access = accesses[random64(seed) % 3];
    unsigned alones = 1 + (unsigned)(random64(seed) % 3);
    unsigned skip = (unsigned)(random64(seed) % (1u << random64(seed) % 7)); /* mostly few */
    Machine *both[] = {a, b};
    Left left[2];
    unsigned long ncuts = a->ncuts, nios = a->nios;
    for (unsigned i = 0; i < 2; i++) {
        machine_inject(both[i], kind == 0 ? page : 0, access, kind == 1 ? page : 0, skip);
        both[i]->alones_left = kind == 1 ? alones : 0;
        left[i] = machine_run(both[i], n);
    }
    bool is_trap = left[0] == LEFT_EVENT && a->f->f.event == EVENT_TRAP;
    c->traps += is_trap;
    c->accesses += a->nios - nios;
    c->cuts += a->ncuts - ncuts;
    c->boundaries += left[0] == LEFT_BUDGET && a->ncuts == ncuts;
    bool is_loud = c->is_loud && c->differ < MAX_SHOWN;
    if (left[0] != left[1] || a->io_hash != b->io_hash || frame_differs(a, b, false) || memory_differs(a, b)) {
        c->differ++;
        if (is_loud) {
            fprintf(stderr, "difference: left %d %d, event %u, %s%s\n", left[0], left[1], a->f->f.event,
                    a->io_hash != b->io_hash ? "device " : "", memory_differs(a, b) ? "memory " : "");
            frame_differs(a, b, true);
        }
        memcpy(a->ram, b->ram, R2_RAM_BYTES);
        memcpy(a->f->x, b->f->x, offsetof(R2Frame, ram_limit) - offsetof(R2Frame, x));
        a->f->f.pc = b->f->f.pc;
        a->f->f.budget = b->f->f.budget;
        a->f->f.insns_end = b->f->f.insns_end;
        a->io_hash = b->io_hash;
        left[0] = left[1];
    }
    for (unsigned i = 0; i < 2; i++) {
        both[i]->f->f.trap = (Trap){0};
        both[i]->f->f.event = 0;
        if (left[i] == LEFT_STOP) {
            machine_reset(both[i]);
            memset(both[i]->ram, 0, R2_RAM_BYTES);
        }
    }
}

unsigned long faults_run(const Program *p, const JitConfig *cfg, unsigned long n, uint64_t seed, uint64_t total,
                         int break_table)
{
    Machine *a = machine_new(KIND_JIT, p, cfg), *b = machine_new(KIND_INTERP1, p, NULL);
    Counts c = {.is_loud = break_table < 0};
    bool is_broken = break_table >= 0;
    unsigned long npoints = n / PER_POINT ? n / PER_POINT : 1;
    for (unsigned long i = 0; i < n; i++) {
        if (i % PER_POINT == 0) {
            c.differ += memcmp(a->ram, b->ram, R2_RAM_BYTES) != 0;
            leap(a, b, 1 + random64(&seed) % (2 * total / npoints + 1));
        }
        if (is_broken && i == n / 2) { /* by now the program's units are there */
            jit_break_table(a->jit, (unsigned)break_table);
        }
        inject(a, b, &seed, &c);
    }
    bool is_same = !memcmp(a->ram, b->ram, R2_RAM_BYTES);
    c.differ += !is_same;
    JitStats s = jit_stats(a->jit);
    if (is_broken) {
        printf("%s, %s: %lu of %lu windows differ\n", p->name, cfg->is_paged ? "tlb" : "range", c.differ, n);
    } else {
        printf(
            "%-8s %-5s %-7s %7lu injections: %6lu traps, %6lu device accesses, %6lu budgets ended in a block, %5lu at "
            "its end; %lu differences (%zu units, %zu of %zu tables used)\n",
            p->name, cfg->is_paged ? "tlb" : "range", cfg->is_grouped ? "grouped" : "each", n, c.traps, c.accesses,
            c.cuts, c.boundaries, c.differ, s.units, s.used, s.sites);
    }
    machine_free(a);
    machine_free(b);
    return c.differ;
}
