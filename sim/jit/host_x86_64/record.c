/* SPDX-License-Identifier: Apache-2.0
 * record.c - a unit that was made, as bytes that are good in each process, and back. A record is the file's word: all of it that leads to a place is
 * checked against the unit that it is said to be of. */
#include "sim/jit/host_x86_64/host.h"

#include "sim/softmmu/softmmu.h"

typedef struct {
    uint32_t code_bytes, code_end, hot_end, table_bytes; /* as JitHost's; code_bytes: from the buffer's beginning */
    uint32_t nblocks, nrelocs, nsites, nexits, nentries;
} Head;
typedef struct {
    uint32_t entry; /* 0: none */
    uint16_t counted, copies;
} BlockAt;
/* Behind the head: blocks, relocations, sites, exits, entries, code from HOST_ENTRY on. */

void host_record(const JitHost *h, Buf *out)
{
    const Maker *m = h->m;
    Head head = {.code_bytes = host_at(h, h->a.p),
                 .code_end = h->code_end,
                 .hot_end = h->hot_end,
                 .table_bytes = h->table_bytes,
                 .nblocks = m->nbbs,
                 .nrelocs = (uint32_t)h->relocs.n,
                 .nsites = (uint32_t)h->sites.n,
                 .nexits = (uint32_t)h->exits.n,
                 .nentries = (uint32_t)h->entries.n};
    buf_bytes(out, &head, sizeof head);
    for (unsigned k = 0; k < m->nbbs; k++) {
        const uint8_t *entry = m->is_region ? h->bb[k].entry : NULL;
        BlockAt at = {.entry = entry ? host_at(h, entry) : 0,
                      .counted = (uint16_t)m->bb[k].count.last,
                      .copies = (uint16_t)m->bb[k].copies};
        buf_bytes(out, &at, sizeof at);
    }
    buf_bytes(out, h->relocs.items, h->relocs.n * sizeof h->relocs.items[0]);
    buf_bytes(out, h->sites.items, h->sites.n * sizeof h->sites.items[0]);
    buf_bytes(out, h->exits.items, h->exits.n * sizeof h->exits.items[0]);
    buf_bytes(out, h->entries.items, h->entries.n * sizeof h->entries.items[0]);
    buf_bytes(out, h->buffer + HOST_ENTRY, head.code_bytes - HOST_ENTRY);
}

/* ---- and back ---- */
static bool is_head_good(const JitHost *h, const Head *head, size_t nbytes)
{
    uint64_t want = sizeof *head + (uint64_t)head->nblocks * sizeof(BlockAt) + (uint64_t)head->nrelocs * sizeof(Reloc) +
                    (uint64_t)head->nsites * sizeof(SiteAt) + (uint64_t)head->nexits * sizeof(ExitAt) +
                    (uint64_t)head->nentries * sizeof(Entry) + head->code_bytes - HOST_ENTRY;
    return head->nblocks == h->m->nbbs && head->code_bytes <= HOST_BUFFER_BYTES && head->hot_end >= HOST_ENTRY &&
           head->hot_end <= head->code_end && head->code_end <= head->code_bytes &&
           head->table_bytes <= head->code_bytes - head->code_end && nbytes == want;
}

static bool is_in_code(const JitHost *h, uint32_t at, uint32_t nbytes)
{
    return at >= HOST_ENTRY && at < h->code_end && h->code_end - at >= nbytes;
}

static bool blocks_take(JitHost *h, const BlockAt *at)
{
    Maker *m = h->m;
    for (unsigned k = 0; k < m->nbbs; k++) {
        Bb *x = &m->bb[k];
        bool has_entry = m->is_region && x->is_entry;
        if (has_entry ? !is_in_code(h, at[k].entry, 1) : at[k].entry != 0) {
            return false;
        }
        if (at[k].counted >= x->b->nops || (!m->is_region && (at[k].counted || at[k].copies)) ||
            (at[k].copies && !jit_unroll_again(x, k, at[k].copies))) {
            return false;
        }
        x->count.last = at[k].counted;
        x->copies = at[k].copies;
        h->bb[k] = (BbAt){.entry = at[k].entry ? h->buffer + at[k].entry : NULL};
    }
    return true;
}

/* Within reach from all places where code may be. */
static bool is_near(const JitHost *h, uint32_t to)
{
    const CodeCache *c = &h->j->cache;
    int64_t far = (int64_t)(h->m->flat_addend + h->m->flat_first + (uint64_t)(int64_t)(int32_t)to -
                            (uintptr_t)(c->code + c->exec));
    return h->m->is_ranged && far < INT32_MAX && far - CACHE_BYTES > INT32_MIN;
}

static bool is_reloc_good(const JitHost *h, const Reloc *r)
{
    uint32_t nbytes = r->kind == RELOC_CODE || r->kind == RELOC_RANGE ? 4 : 8, end = host_at(h, h->a.p);
    if (r->at < HOST_ENTRY || r->at + nbytes > end) {
        return false;
    }
    switch (r->kind) {
    case RELOC_CODE:
        return r->to < HOST_AROUND_BYTES;
    case RELOC_RANGE:
        return is_near(h, r->to);
    case RELOC_SITE:
        return r->to < h->sites.n;
    case RELOC_EXIT:
        return r->to < h->exits.n;
    case RELOC_HERE:
        return is_in_code(h, r->to, 1);
    case RELOC_HELPER:
        return r->to < h->m->guest->nhelpers;
    case RELOC_BLOCK:
    case RELOC_HEAT:
    case RELOC_TAG:
        return r->to < h->m->nbbs;
    default:
        return false;
    }
}

static bool is_slot_good(const JitHost *h, Slot s)
{
    return s % 8 == 0 && s <= h->m->guest->frame_bytes - 8;
}

static bool is_operand_good(const JitHost *h, const Entry *e)
{
    return e->kind == ENTRY_GPR ? e->reg < JIT_HOST_REGS : is_slot_good(h, e->slot);
}

static bool are_entries_good(const JitHost *h, const JBlock *b, const Entry *e, const Entry *end)
{
    for (; e < end; e++) {
        size_t more = e->kind == ENTRY_CONST  ? sizeof(uint64_t) / sizeof *e
                      : e->kind == ENTRY_SLOT ? 1
                      : e->kind == ENTRY_OP   ? 1 + ENTRY_OPERANDS
                                              : 0;
        if (e->kind > ENTRY_OP || !is_slot_good(h, e->slot) || (size_t)(end - e) <= more ||
            (e->kind <= ENTRY_RAW32 && e->reg >= JIT_HOST_REGS) ||
            (e->kind == ENTRY_SLOT && !is_slot_good(h, e[1].slot))) {
            return false;
        }
        if (e->kind == ENTRY_OP && (e[1].slot >= b->nops || ir_op_info[b->op[e[1].slot].op].cls != CLASS_PURE ||
                                    !is_operand_good(h, e + 2) || !is_operand_good(h, e + 3))) {
            return false;
        }
        e += more;
    }
    return true;
}

static bool is_site_good(const JitHost *h, const SiteAt *s)
{
    unsigned k = s->k & (unsigned)~SITE_UNROLLED;
    if (k >= h->m->nbbs || (s->k & SITE_UNROLLED && !h->m->bb[k].unrolled)) {
        return false;
    }
    const JBlock *b = host_block_of(h, s);
    return s->op <= b->nops && s->first <= h->entries.n && s->nentries <= h->entries.n - s->first &&
           are_entries_good(h, b, h->entries.items + s->first, h->entries.items + s->first + s->nentries);
}

static bool is_exit_good(const JitHost *h, const ExitAt *e)
{
    return e->k < h->m->nbbs && e->number < h->m->bb[e->k].nexits && e->jump % 4 == 0 && e->jump > HOST_ENTRY &&
           is_in_code(h, e->jump, 4) && is_in_code(h, e->leave, 1) && (!e->far || is_in_code(h, e->far, 1));
}

static bool is_all_good(const JitHost *h)
{
    bool is_good = true;
    for (size_t i = 0; i < h->relocs.n && is_good; i++) {
        is_good = is_reloc_good(h, &h->relocs.items[i]);
    }
    for (size_t i = 0; i < h->sites.n && is_good; i++) {
        is_good = is_site_good(h, &h->sites.items[i]);
    }
    for (size_t i = 0; i < h->exits.n && is_good; i++) {
        is_good = is_exit_good(h, &h->exits.items[i]);
    }
    return is_good;
}

static void undo(Maker *m)
{
    for (unsigned k = 0; k < m->nbbs; k++) {
        mem_free(m->bb[k].unrolled);
        m->bb[k].unrolled = NULL;
        m->bb[k].copies = 0;
        m->bb[k].count.last = 0;
    }
}

/* v, of which n items are next. */
#define TAKE(v, count)                                                                                                 \
    do {                                                                                                               \
        (v)->n = (count);                                                                                              \
        if ((v)->cap < (v)->n) {                                                                                       \
            (v)->cap = (v)->n;                                                                                         \
            (v)->items = x_realloc((v)->items, (v)->cap * sizeof *(v)->items);                                         \
        }                                                                                                              \
        if ((v)->n) {                                                                                                  \
            memcpy((v)->items, p, (v)->n * sizeof *(v)->items);                                                        \
        }                                                                                                              \
        p += (v)->n * sizeof *(v)->items;                                                                              \
    } while (0)

Unit *host_recall(JitHost *h, Maker *m, const void *record, size_t nbytes)
{
    const uint8_t *p = record;
    Head head;
    h->m = m;
    if (nbytes < sizeof head) {
        return NULL;
    }
    memcpy(&head, p, sizeof head);
    if (!is_head_good(h, &head, nbytes)) {
        return NULL;
    }
    h->code_end = head.code_end;
    h->hot_end = head.hot_end;
    h->table_bytes = head.table_bytes;
    h->a.p = h->buffer + head.code_bytes;
    BlockAt at[JIT_MAX_BBS];
    p += sizeof head;
    memcpy(at, p, m->nbbs * sizeof at[0]);
    p += m->nbbs * sizeof at[0];
    TAKE(&h->relocs, head.nrelocs);
    TAKE(&h->sites, head.nsites);
    TAKE(&h->exits, head.nexits);
    TAKE(&h->entries, head.nentries);
    memcpy(h->buffer + HOST_ENTRY, p, head.code_bytes - HOST_ENTRY);
    if (!blocks_take(h, at) || !is_all_good(h)) {
        undo(m);
        return NULL;
    }
    return host_unit(h);
}
