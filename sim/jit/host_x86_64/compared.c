/* SPDX-License-Identifier: Apache-2.0
 * compared.c - calls and returns through registers compare with the places in their region where they may go: the host foresees comparisons by
 * more of what was before than jumps through registers. */
#include "sim/jit/host_x86_64/host.h"

enum { CHAIN = 8 }; /* places in a row; more are halved before */

/* Does block t follow a call of the region? */
static bool is_behind_call(const Maker *m, unsigned t)
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        const JBlock *b = m->bb[k].b;
        if (b->op[b->nops - 1].aux & JMP_CALL && b->gva + b->nbytes == m->bb[t].b->gva) {
            return true;
        }
    }
    return false;
}

/* Blocks are in the order of their addresses. */
void host_places_plan(JitHost *h)
{
    const Maker *m = h->m;
    h->called.n = h->returned.n = 0;
    for (unsigned k = 0; m->ntargets && k < m->nbbs; k++) {
        Places *p = is_behind_call(m, k) ? &h->returned : &h->called;
        if (m->bb[k].is_target) {
            p->at[p->n++] = (uint8_t)k;
        }
    }
}

typedef struct {
    JitHost *h;
    unsigned reg;
    uint64_t origin; /* what is in reg is the pc less that */
    uint8_t *miss[MAX_PLACES];
    unsigned nmiss;
} Compared;

static void compare_with(const Compared *c, unsigned k)
{
    x_alui(&c->h->a, W, G_CMP, c->reg, (int32_t)(c->h->m->bb[k].b->gva - c->origin));
}

static void emit_among(Compared *c, const uint8_t *at, unsigned n, bool is_last)
{
    Asm *a = &c->h->a;
    if (n > CHAIN) {
        unsigned half = n / 2;
        compare_with(c, at[half]);
        uint8_t *upper = x_jcc(a, CC_AE);
        emit_among(c, at, half, false);
        x_fix(upper, a->p);
        emit_among(c, at + half, n - half, is_last);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        compare_with(c, at[i]);
        host_fix_later(c->h, x_jcc(a, CC_E), at[i], FIX_HEAD);
    }
    if (!is_last) {
        c->miss[c->nmiss++] = x_jmp(a);
    }
}

/* So that each place is an immediate of 32 bits. false: they are too far apart. */
static bool origin_choose(Compared *c, uint64_t first, uint64_t last)
{
    uint64_t half = first & ~(uint64_t)INT32_MAX;
    if (is_s32(first) && is_s32(last)) {
        return true;
    }
    c->origin = is_s32(-half) && last - half <= INT32_MAX ? half : first;
    if (last - c->origin > INT32_MAX) {
        return false;
    }
    if (is_s32(-c->origin)) {
        x_rm(&c->h->a, W, X_LEA, RAX, c->reg, (int32_t)-c->origin);
    } else {
        x_movi(&c->h->a, RAX, -c->origin);
        x_rr(&c->h->a, W, X_ADD, RAX, c->reg);
    }
    c->reg = RAX;
    return true;
}

void host_emit_compared(JitHost *h, unsigned reg, unsigned flags)
{
    const Places *p = flags & JMP_RET ? &h->returned : &h->called;
    unsigned most = flags & JMP_RET ? MAX_RETURNS : flags & JMP_CALL ? MAX_CALLED : 0;
    Compared c = {.h = h, .reg = reg};
    if (!p->n || p->n > most || !origin_choose(&c, h->m->bb[p->at[0]].b->gva, h->m->bb[p->at[p->n - 1]].b->gva)) {
        return;
    }
    emit_among(&c, p->at, p->n, true);
    for (unsigned i = 0; i < c.nmiss; i++) {
        x_fix(c.miss[i], h->a.p);
    }
}
