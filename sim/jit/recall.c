/* SPDX-License-Identifier: Apache-2.0
 * recall.c - units that were made before. The key of a unit is a hash of all that its code is made from: the ops of its blocks, which are
 * what was in guest memory when they were translated, how they follow each other, and what is likely of accesses. So nobody looks at guest
 * code, and code that changes itself is another key. */
#include "sim/jit/jit_int.h"

#include <string.h>

typedef struct {
    CodeKey content;
    uint64_t gva;
    uint32_t nops, ninsns, nbytes, depth;
    int8_t succ[IR_MAX_EXITS];
    uint8_t is_entry, is_loop, is_callee, is_target, is_indirect, unused[3];
} BlockKey;
typedef struct {
    uint64_t guest[2], flat_first;
    uint32_t nblocks;
    uint8_t is_region, is_flat, is_ranged, unused;
    BlockKey block[JIT_MAX_BBS];
} UnitKey;
_Static_assert(sizeof(BlockKey) == 56 && offsetof(UnitKey, block) == 32, "no byte of it is by chance");

void jit_recall_open(Jit *j, CodeStore *s)
{
    const IrGuest *g = j->guest;
    Buf b = {0};
    buf_printf(&b, "%s %zu %u %u %u %u %zu", g->name, g->frame_bytes, (unsigned)g->fp_flags, (unsigned)g->fp_rm,
               (unsigned)g->fp_mode, host_features(), j->npins);
    for (size_t p = 0; p < j->npins; p++) {
        buf_printf(&b, " %u", (unsigned)j->pin[p]);
    }
    for (size_t i = 0; i < g->nhelpers; i++) {
        buf_printf(&b, " %s %u %u", g->helpers[i].name, (unsigned)g->helpers[i].effects, (unsigned)g->helpers[i].nsrc);
    }
    CodeKey key = code_store_key(s, b.data, b.n);
    memcpy(j->guest_key, key.w, sizeof j->guest_key);
    buf_free(&b);
    j->store = s;
}

static void block_key(const CodeStore *s, const Bb *x, BlockKey *out)
{
    JBlock *b = x->b;
    if (!(b->content.w[0] | b->content.w[1])) { /* what is behind the ops is insn_at */
        b->content = code_store_key(s, b->op, b->nops * sizeof b->op[0] + b->ninsns * sizeof b->insn_at[0]);
    }
    *out = (BlockKey){.content = b->content,
                      .gva = b->gva,
                      .nops = b->nops,
                      .ninsns = b->ninsns,
                      .nbytes = b->nbytes,
                      .depth = x->depth,
                      .is_entry = x->is_entry,
                      .is_loop = x->is_loop,
                      .is_callee = x->is_callee,
                      .is_target = x->is_target,
                      .is_indirect = x->is_indirect};
    for (unsigned e = 0; e < x->nexits; e++) {
        out->succ[e] = (int8_t)x->succ[e];
    }
}

void jit_recall(Maker *m)
{
    const Jit *j = m->j;
    UnitKey key;
    m->found = NULL;
    if (!j->store) {
        return;
    }
    memset(&key, 0, offsetof(UnitKey, block));
    memcpy(key.guest, j->guest_key, sizeof key.guest);
    key.flat_first = m->is_ranged ? m->flat_first : 0;
    key.nblocks = m->nbbs;
    key.is_region = m->is_region;
    key.is_flat = m->is_flat;
    key.is_ranged = m->is_ranged;
    for (unsigned k = 0; k < m->nbbs; k++) {
        block_key(j->store, &m->bb[k], &key.block[k]);
    }
    m->key = code_store_key(j->store, &key, offsetof(UnitKey, block) + m->nbbs * sizeof key.block[0]);
    m->found = code_store_find(j->store, m->key, &m->found_bytes);
}

Unit *jit_unit_make(Maker *m, struct JitHost *h)
{
    Unit *u = m->found ? host_recall(h, m, m->found, m->found_bytes) : NULL;
    if (u) {
        return u;
    }
    jit_unit_plan(m);
    if (m->is_region) {
        jit_unroll(m);
        jit_charge(m);
    }
    u = host_make(h, m);
    if (u && m->j->store) {
        Buf b = {0};
        host_record(h, &b);
        code_store_add(m->j->store, m->key, b.data, b.n);
        buf_free(&b);
    }
    return u;
}
