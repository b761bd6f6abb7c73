/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/jit/decode/decode.h"

#include "sim/base/mem.h"

#ifdef HAS_ZYDIS
#include <Zydis/Zydis.h>
#endif
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static unsigned features_only = UINT32_MAX, host_has;

void decode_features(unsigned only)
{
    features_only = only;
}

unsigned decode_host(void)
{
    return host_has;
}

unsigned jit_features(unsigned have)
{
    host_has = have;
    return have & features_only;
}

#ifdef HAS_ZYDIS
enum { MAX_CACHES = 8, MAX_REPORTS = 8 };

typedef struct { /* where instructions begin in a cache, a bit for each byte */
    const void *cache;
    const uint8_t *where;
    size_t nbytes;
    uint8_t *begins;
} Map;
static struct {
    bool is_on, is_loud;
    DecodeSeen *seen;
    void *ctx;
    ZydisDecoder decoder;
    Map map[MAX_CACHES];
    DecodeTotals totals;
    Buf report;
    unsigned nwrong;
} watch;

static const uint16_t allowed[] = {
#define INSN(name) ZYDIS_MNEMONIC_##name,
#include "sim/jit/decode/allowed.def"
#undef INSN
};

bool decode_is_here(void)
{
    return true;
}

/* ---- where instructions begin ---- */
static Map *map_of(const void *cache)
{
    for (unsigned i = 0; i < MAX_CACHES; i++) {
        if (watch.map[i].cache == cache) {
            return &watch.map[i];
        }
    }
    return NULL;
}

static void map_free(Map *m)
{
    mem_free(m->begins);
    *m = (Map){0};
}

/* A cache may be where one was that is gone. */
static void map_begin(const JitEvent *e)
{
    Map *m = map_of(e->cache);
    m = m ? m : map_of(NULL);
    m = m ? m : &watch.map[0];
    map_free(m);
    *m = (Map){e->cache, e->where, e->cache_bytes, x_alloc(e->cache_bytes / 8)};
}

static bool begins_at(const Map *m, const uint8_t *at)
{
    size_t i = (size_t)(at - m->where);
    return at >= m->where && i < m->nbytes && m->begins[i / 8] >> i % 8 & 1;
}

static void begin_add(Map *m, const uint8_t *at)
{
    size_t i = (size_t)(at - m->where);
    m->begins[i / 8] |= (uint8_t)(1u << i % 8);
}

static void begins_clear(Map *m, const uint8_t *at, size_t nbytes)
{
    for (size_t i = (size_t)(at - m->where), end = i + nbytes; i < end; i++) {
        m->begins[i / 8] &= (uint8_t) ~(1u << i % 8);
    }
}

/* ---- what is wrong ---- */
static const char *const kinds[] = {"the code around units", "a stub", "a block", "a region", "a jump", ""};

static void wrong(const JitEvent *e, size_t at, const ZydisDecodedInstruction *insn, const char *what)
{
    if (watch.nwrong++ >= MAX_REPORTS) {
        return;
    }
    Buf *out = &watch.report;
    size_t before = out->n;
    buf_printf(out, "%s", kinds[e->kind]);
    if (e->gva) {
        buf_printf(out, " of 0x%" PRIx64, e->gva);
    }
    buf_printf(out, ", byte %zu of %zu:", at, e->nbytes);
    for (size_t i = at; i < e->nbytes && i < at + (insn ? insn->length : 8u); i++) {
        buf_printf(out, " %02x", e->bytes[i]);
    }
    buf_printf(out, "%s%s: %s\n", insn ? "   " : "", insn ? ZydisMnemonicGetString(insn->mnemonic) : "", what);
    if (watch.is_loud) {
        fputs(buf_text(out) + before, stderr);
    }
}

static bool is_allowed(ZydisMnemonic mnemonic)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (allowed[i] == mnemonic) {
            return true;
        }
    }
    return false;
}

/* An operand in memory must have a base: of what is at a fixed address, code knows nothing. */
static bool has_fixed_address(const ZydisDecodedInstruction *i)
{
    bool has_memory = i->attributes & ZYDIS_ATTRIB_HAS_MODRM && i->raw.modrm.mod == 0;
    return i->mnemonic != ZYDIS_MNEMONIC_LEA && has_memory && i->raw.modrm.rm == 4 && i->raw.sib.base == 5;
}

static bool is_rip_relative(const ZydisDecodedInstruction *i)
{
    return i->attributes & ZYDIS_ATTRIB_HAS_MODRM && i->raw.modrm.mod == 0 && i->raw.modrm.rm == 5;
}

static bool is_jump(const ZydisDecodedInstruction *i)
{
    return i->attributes & ZYDIS_ATTRIB_IS_RELATIVE && i->raw.imm[0].is_relative;
}

/* ---- a piece ---- */
static size_t table_at(const JitEvent *e)
{
    uintptr_t end = (uintptr_t)e->at + e->nbytes;
    return e->nbytes + (-end & 15);
}

/* The table behind the code, a constant, or what is outside of the cache: a region reaches the guest's memory so. */
static bool is_near_right(const JitEvent *e, size_t at, const ZydisDecodedInstruction *i)
{
    uint64_t to = at + i->length + (uint64_t)i->raw.disp.value;
    bool is_outside = (uintptr_t)e->at + to - (uintptr_t)e->where >= e->cache_bytes;
    uint64_t in_consts = (uintptr_t)e->at + to - (uintptr_t)e->consts;
    return (e->table_bytes && to == table_at(e)) || (is_outside && e->kind == JIT_REGION) ||
           (in_consts < e->consts_bytes && in_consts % 16 == 0);
}

static void look_at_insn(const JitEvent *e, size_t at, const ZydisDecodedInstruction *i)
{
    enum { SEGMENTS = ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS };
    if (!is_allowed(i->mnemonic)) {
        wrong(e, at, i, "no instruction that the emitter uses (allowed.def)");
    } else if (has_fixed_address(i) || i->attributes & SEGMENTS) {
        wrong(e, at, i, "its address has no base, or a segment");
    } else if (is_rip_relative(i) && !is_near_right(e, at, i)) {
        wrong(e, at, i, "it reads code, and not the table behind it or a constant");
    }
}

/* Of every instruction: once all beginnings are known. */
static void look_at_jump(const Map *m, const JitEvent *e, size_t at, const ZydisDecodedInstruction *i)
{
    if (is_jump(i)) {
        watch.totals.jumps++;
        if (!begins_at(m, e->at + at + i->length + i->raw.imm[0].value.s)) {
            wrong(e, at, i, "leads to where no instruction begins");
        }
    }
}

static void look_at_table(const Map *m, const JitEvent *e)
{
    for (size_t at = table_at(e); at < table_at(e) + e->table_bytes; at += sizeof(JumpEntry)) {
        JumpEntry entry;
        memcpy(&entry, e->bytes + at, sizeof entry);
        watch.totals.jumps += entry.code != NULL;
        if (entry.code && !begins_at(m, entry.code)) {
            wrong(e, at, NULL, "the table of jumps leads to where no instruction begins");
        }
    }
}

static void piece(Map *m, const JitEvent *e)
{
    unsigned n = 0, nhot = 0, nwrong = watch.nwrong;
    ZydisDecodedInstruction i;
    size_t at;
    begins_clear(m, e->at, e->nbytes);
    for (at = 0; at < e->nbytes; at += i.length, n++) {
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&watch.decoder, NULL, e->bytes + at, e->nbytes - at, &i))) {
            wrong(e, at, NULL, "no instruction, or cut off");
            return;
        }
        begin_add(m, e->at + at);
        look_at_insn(e, at, &i);
        nhot += at < e->hot_bytes;
    }
    for (at = 0; at < e->nbytes; at += i.length) {
        (void)ZydisDecoderDecodeInstruction(&watch.decoder, NULL, e->bytes + at, e->nbytes - at, &i);
        look_at_jump(m, e, at, &i);
    }
    look_at_table(m, e);
    watch.totals.pieces++;
    watch.totals.insns += n;
    watch.totals.bytes += e->nbytes;
    if (watch.seen && nwrong == watch.nwrong) {
        watch.seen(watch.ctx, e, n, nhot);
    }
}

static void aimed(const Map *m, const JitEvent *e)
{
    ZydisDecodedInstruction i;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&watch.decoder, NULL, e->bytes, e->nbytes, &i)) ||
        i.mnemonic != ZYDIS_MNEMONIC_JMP || !is_jump(&i)) {
        wrong(e, 0, NULL, "no jump");
    } else if (!begins_at(m, e->at)) {
        wrong(e, 0, &i, "is where no instruction begins");
    } else {
        look_at_jump(m, e, 0, &i);
    }
}

void jit_watch(const JitEvent *e)
{
    if (!watch.is_on) {
        return;
    }
    if (e->kind == JIT_AROUND) {
        map_begin(e);
    }
    Map *m = map_of(e->cache);
    if (!m) { /* it was there before we were */
        return;
    }
    switch (e->kind) {
    case JIT_AROUND:
    case JIT_STUB:
    case JIT_BLOCK:
    case JIT_REGION:
        piece(m, e);
        break;
    case JIT_JUMP:
        aimed(m, e);
        break;
    case JIT_DROPPED:
        begins_clear(m, e->at, e->nbytes);
        break;
    }
}

void decode_begin(bool is_loud, DecodeSeen *seen, void *ctx)
{
    watch.is_on = true;
    watch.is_loud = is_loud;
    watch.seen = seen;
    watch.ctx = ctx;
    ZydisDecoderInit(&watch.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

bool decode_end(DecodeTotals *out, Buf *report)
{
    bool is_right = !watch.nwrong;
    *out = watch.totals;
    buf_str(report, buf_text(&watch.report));
    if (watch.nwrong > MAX_REPORTS) {
        buf_printf(report, "and %u more\n", watch.nwrong - MAX_REPORTS);
    }
    for (unsigned i = 0; i < MAX_CACHES; i++) {
        map_free(&watch.map[i]);
    }
    buf_free(&watch.report);
    memset(&watch, 0, sizeof watch);
    return is_right;
}
#else
bool decode_is_here(void)
{
    return false;
}

void decode_begin(bool is_loud, DecodeSeen *seen, void *ctx)
{
    (void)is_loud, (void)seen, (void)ctx;
}

bool decode_end(DecodeTotals *out, Buf *report)
{
    *out = (DecodeTotals){0};
    buf_str(report, "libzydis-dev was not there when this was built\n");
    return false;
}

void jit_watch(const JitEvent *e)
{
    (void)e;
}
#endif
