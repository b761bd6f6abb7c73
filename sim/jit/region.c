/* SPDX-License-Identifier: Apache-2.0
 * region.c - the hot tier: a block that is run often becomes one piece of code with all blocks that it links to, so that loops
 * close in registers. A region lives as long as every link that it was made of: links are the dispatcher's, which takes one back
 * when its target dies, so nothing here knows of pages. */
#include "sim/jit/jit_int.h"
#include "sim/softmmu/softmmu.h"

#include <string.h>

enum { HEAT_AGAIN = 1 << 30 }; /* nothing was gained: not again soon */

void jit_block_aim(const Jit *j, JBlock *b)
{
    const uint8_t *to = NULL;
    if (b->hot) {
        to = b->hot->region->code + b->hot->entry + j->cache.exec;
    } else if (b->unit && b->unit->code + HOST_ENTRY + j->cache.exec != b->head) {
        to = b->unit->code + HOST_ENTRY + j->cache.exec;
    }
    host_redirect(j, b, to);
}

/* ---- dropping ---- */
static void member_unlink(Member *m)
{
    Member **at = &m->b->members;
    while (*at != m) {
        at = &(*at)->next;
    }
    *at = m->next;
}

static void exits_unlink(Unit *u)
{
    for (uint32_t i = 0; i < u->nexits; i++) {
        JExit *e = &u->exits[i], **at = &e->from->exits[e->number];
        while (*at != e) {
            at = &(*at)->next;
        }
        *at = e->next;
    }
}

static void region_drop(Jit *j, Unit *u)
{
    exits_unlink(u);
    for (uint32_t i = 0; i < u->nmembers; i++) {
        Member *m = &u->members[i];
        if (m->b->hot == m) {
            m->b->hot = NULL;
            m->b->heat = j->heat;
            jit_block_aim(j, m->b);
        }
        member_unlink(m);
    }
    u->is_dead = true;
    u->next = j->dead;
    j->dead = u;
    j->stats.dropped++;
}

void jit_regions_drop(Jit *j, JBlock *b)
{
    while (b->members) {
        region_drop(j, b->members->region);
    }
}

static bool has_member(const Unit *u, const JBlock *b)
{
    for (const Member *m = b->members; m; m = m->next) {
        if (m->region == u) {
            return true;
        }
    }
    return false;
}

void jit_regions_drop_edge(Jit *j, JBlock *from, const JBlock *to)
{
    Member *next;
    for (Member *m = from->members; m; m = next) {
        next = m->next;
        if (has_member(m->region, to)) {
            region_drop(j, m->region);
        }
    }
}

void jit_regions_reap(Jit *j)
{
    while (j->dead) {
        Unit *u = j->dead;
        j->dead = u->next;
        for (uint32_t i = 0; i < u->nmembers; i++) {
            mem_free(u->members[i].unrolled);
        }
        jit_cache_put(&j->cache, u->code, u->code_bytes);
        mem_free(u->members);
        mem_free(u);
    }
}

/* ---- making ---- */
static bool is_covered(const Maker *m, const Unit *u) /* by what is being made */
{
    for (uint32_t i = 0; i < u->nmembers; i++) {
        uint32_t mark = u->members[i].b->mark;
        if (!mark || m->bb[mark - 1].is_callee) { /* of which the region has its own copy */
            return false;
        }
    }
    return true;
}

void jit_marks_set(Maker *m)
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        m->bb[k].b->mark = k + 1;
    }
}

void jit_marks_clear(Maker *m)
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        m->bb[k].b->mark = 0;
    }
}

/* From the root of a region that it is in, if it is still reachable from there: then that one is made anew with one more entry. */
static JBlock *region_form(Maker *m, JBlock *b, const Frame *f)
{
    for (const Member *in = b->members; in; in = in->next) {
        jit_unit_begin(m);
        jit_region_add(m, in->region->root, f);
        if (b->mark) {
            return in->region->root;
        }
        jit_marks_clear(m);
    }
    jit_unit_begin(m);
    jit_region_add(m, b, f);
    return b;
}

/* A block that is warm would soon have the region made anew, for one entry more. */
static bool will_be_hot(const Maker *m, unsigned k)
{
    return !m->bb[k].is_callee && m->j->heat - m->bb[k].b->heat >= m->j->heat / WARM_PART;
}

static void entries_choose(Maker *m, const JBlock *hot)
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        const JBlock *b = m->bb[k].b;
        m->bb[k].is_entry = b == hot || (b->hot ? is_covered(m, b->hot->region) : will_be_hot(m, k));
    }
}

/* What it replaces goes; its blocks go to it where it has an entry. */
static void region_install(Jit *j, const Maker *m, Unit *u)
{
    Unit *old[JIT_MAX_BBS];
    unsigned nold = 0;
    for (unsigned k = 0; k < m->nbbs; k++) {
        const Member *hot = m->bb[k].b->hot;
        if (hot && !hot->region->is_dead && is_covered(m, hot->region)) {
            old[nold++] = hot->region;
            hot->region->is_dead = true;
        }
    }
    for (unsigned i = 0; i < nold; i++) {
        region_drop(j, old[i]);
    }
    for (uint32_t i = 0; i < u->nmembers; i++) {
        Member *in = &u->members[i];
        in->next = in->b->members;
        in->b->members = in;
        if (in->entry && !in->b->hot) {
            in->b->hot = in;
            jit_block_aim(j, in->b);
        }
    }
    jit_unit_connect(j, u);
    j->stats.regions++;
    j->stats.rows += m->nrows;
    j->stats.lent += m->nlent;
}

JBlock *jit_region_begin(Maker *m, JBlock *b, const Frame *f)
{
    b->heat = HEAT_AGAIN;
    JBlock *root = region_form(m, b, f);
    m->flat_first = f->flat_first;
    m->flat_addend = f->flat_addend;
    m->is_ranged = f->flat_end && host_has_range(f->flat_first);
    if (f->tlb_same >= JIT_SAME && f->window_addend != f->tlb_addend) {
        mmu_window_addend(f->mmu, f->tlb_addend);
    }
    m->is_flat = m->is_ranged || f->tlb_same >= JIT_SAME;
    entries_choose(m, b);
    jit_recall(m);
    return root;
}

void jit_region_abandon(Maker *m, Unit *u)
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        mem_free(m->bb[k].unrolled);
    }
    host_unit_free(u);
}

void jit_region_end(Jit *j, Maker *m, struct JitHost *h, JBlock *root, Unit *u)
{
    j->is_full = !u || !host_place(h, u);
    if (j->is_full) {
        jit_region_abandon(m, u);
    } else {
        u->root = root;
        region_install(j, m, u);
    }
    jit_marks_clear(m);
}

void jit_region_try(Jit *j, JBlock *b, const Frame *f)
{
    if (j->beside) {
        jit_beside_try(j, b, f);
        return;
    }
    JBlock *root = jit_region_begin(j->maker, b, f);
    Unit *u = jit_unit_make(j->maker, j->host);
    jit_region_end(j, j->maker, j->host, root, u);
}
