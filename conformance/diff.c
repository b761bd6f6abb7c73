/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/diff.h"

#include "conformance/asm.h"

#include <inttypes.h>
#include <string.h>

enum { WINDOW = 1 << 16, FINER = 256, FINER_RAM = 16 };

/* ---- search ---- */
static int pass(const DiffConfig *cfg, const PairConfig *how, DiffResult *out, Err *err)
{
    Pair *p = pair_new(how);
    const Backend *b = pair_backend(p);
    Caps caps = {0};
    int rc = b->open(b, cfg->guest, &caps, err);
    out->is_open = !rc;
    if (!rc) {
        rc = cfg->play(cfg->ctx, b, &caps, err);
        rc = pair_is_over(p) ? 0 : rc;
    }
    buf_free(&out->apart.text);
    buf_clear(&out->history);
    out->apart = *pair_apart(p);
    out->apart.text = (Buf){0};
    buf_str(&out->apart.text, buf_text(&pair_apart(p)->text));
    pair_history(p, &out->history);
    out->is_counted = pair_counts(p);
    out->is_apart = out->apart.kind != APART_NOT;
    out->position = pair_position(p);
    out->nexits = pair_nexits(p);
    out->npasses++;
    out->has_last = pair_last(p, &out->last);
    for (unsigned i = 0; i < 2 && how->wants_code; i++) {
        buf_clear(&out->code[i]);
        buf_bytes(&out->code[i], pair_code(p, i)->data, pair_code(p, i)->n);
    }
    pair_free(p);
    return rc;
}

/* The next pass, in narrower windows of the one that was apart. */
static void narrow(const Apart *a, PairConfig *how)
{
    how->compares_ram = how->compares_ram || a->kind == APART_RAM;
    how->from = a->start;
    how->until = a->end + 1; /* an exit comes before its instruction counts */
    how->vcpu = a->vcpu;
    how->window = (a->end - a->start) / (how->compares_ram ? FINER_RAM : FINER);
    how->window = how->window ? how->window : 1;
}

/* One look, after so many instructions, with as little cut before as if there were none. */
static int look_once(const DiffConfig *cfg, PairConfig how, uint64_t at, DiffResult *out, Err *err)
{
    how.from = how.until = at;
    how.window = 1;
    int rc = pass(cfg, &how, out, err);
    out->is_apart = out->is_apart && out->apart.end <= at; /* an exit may come later */
    return rc;
}

/* `how` found them apart, and narrower windows did not. The first pass found them apart between wide.start and wide.end. */
static int halve(const DiffConfig *cfg, const PairConfig *how, Apart wide, DiffResult *out, Err *err)
{
    uint64_t equal = wide.start, apart = wide.end;
    Apart last = wide;
    int rc = pass(cfg, how, out, err); /* once more as it was */
    out->is_lost = !rc && !out->is_apart;
    if (rc || out->is_lost) {
        return rc;
    }
    rc = look_once(cfg, *how, apart, out, err);
    out->is_hidden = !rc && !out->is_apart;
    while (!rc && !out->is_hidden && apart - equal > 1) {
        uint64_t middle = equal + (apart - equal) / 2;
        rc = look_once(cfg, *how, middle, out, err);
        last = out->is_apart ? last : out->last;
        equal = out->is_apart ? equal : middle;
        apart = out->is_apart ? middle : apart;
    }
    if (!rc && out->is_hidden) {
        return pass(cfg, how, out, err);
    }
    rc = rc ? rc : look_once(cfg, *how, apart, out, err);
    if (!rc && out->is_apart) {
        out->is_whole = true;
        out->apart.start = equal;
        out->apart.end = apart;
        out->apart.has_pc = last.has_pc;
        out->apart.pc = last.pc;
        out->apart.ncode = last.ncode;
        memcpy(out->apart.code, last.code, sizeof last.code);
    }
    return rc;
}

/* The first pass once more, for the code that it ran; nothing else of what it finds counts. */
static int code_get(const DiffConfig *cfg, PairConfig how, DiffResult *out, Err *err)
{
    DiffResult again = {0};
    how.wants_code = true;
    how.code_pc = out->apart.pc;
    how.compares_ram = how.compares_ram || out->apart.kind == APART_RAM;
    int rc = pass(cfg, &how, &again, err);
    for (unsigned i = 0; i < 2; i++) {
        out->code[i] = again.code[i];
        again.code[i] = (Buf){0};
    }
    diff_result_free(&again);
    return rc;
}

int diff_search(const DiffConfig *cfg, DiffResult *out, Err *err)
{
    const PairConfig first = {.side = {cfg->side[0], cfg->side[1]},
                              .guest = cfg->guest,
                              .window = cfg->window ? cfg->window : WINDOW,
                              .until = UINT64_MAX,
                              .vcpu = -1};
    PairConfig how = first;
    *out = (DiffResult){0};
    int rc = pass(cfg, &how, out, err);
    Apart wide = out->apart;
    wide.text = (Buf){0};
    while (!rc && out->is_apart && out->is_counted && out->apart.kind != APART_ANSWER &&
           out->apart.end - out->apart.start > 1) {
        PairConfig before = how;
        Apart found = out->apart;
        found.text = (Buf){0};
        narrow(&found, &how);
        rc = pass(cfg, &how, out, err);
        if (!rc && !out->is_apart) {
            rc = halve(cfg, &before, wide, out, err);
            out->is_apart = true;
            break;
        }
        if (!rc && out->apart.end - out->apart.start >= found.end - found.start) {
            break;
        }
    }
    if (!rc && out->is_apart && !out->is_lost && out->is_counted && out->apart.has_pc) {
        rc = code_get(cfg, first, out, err);
    }
    return rc;
}

void diff_result_free(DiffResult *r)
{
    buf_free(&r->code[0]);
    buf_free(&r->code[1]);
    buf_free(&r->apart.text);
    buf_free(&r->history);
}

/* ---- report ---- */
static void put_insn(const DiffConfig *cfg, const Apart *a, Buf *out)
{
    Buf text = {0};
    size_t n = a->ncode ? asm_disasm(cfg->guest, 64, a->code, a->ncode, a->pc, &text) : 0;
    buf_printf(out, "instruction at 0x%" PRIx64 ":", a->pc);
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, " %02x", a->code[i]);
    }
    buf_printf(out, "%s%s\n", n ? "   " : " its bytes are not at that physical address", buf_text(&text));
    buf_free(&text);
}

/* ---- the code of it ---- */
enum { CODE_GUEST, CODE_IR, CODE_HOST, MAX_INSNS_SHOWN = 400 };
typedef struct { /* a piece of what ctl "sim.code" answers */
    unsigned kind;
    uint64_t at;
    const char *what, *bytes;
    size_t nwhat, n;
    const uint8_t *all; /* of it, and how long that is */
    size_t nall;
} CodePiece;

static bool code_next(Cursor *c, CodePiece *out)
{
    out->all = c->at;
    out->kind = (unsigned)cursor_le(c, 1);
    out->at = cursor_le(c, 8);
    out->nwhat = (size_t)cursor_le(c, 4);
    out->what = (const char *)cursor_bytes(c, out->nwhat);
    out->n = (size_t)cursor_le(c, 4);
    out->bytes = (const char *)cursor_bytes(c, out->n);
    out->nall = (size_t)(c->at - out->all);
    return cursor_ok(c) && out->nall;
}

/* One instruction a line; at: of the first, as it is to be shown. */
static void put_insns(GuestId guest, const CodePiece *p, uint64_t at, uint64_t mark, unsigned nbytes_shown, Buf *out)
{
    const uint8_t *bytes = (const uint8_t *)p->bytes;
    unsigned n = 0;
    for (size_t i = 0, len; i < p->n; i += len) {
        Buf text = {0};
        if (n++ == MAX_INSNS_SHOWN) {
            buf_printf(out, "      and %zu bytes more\n", p->n - i);
            break;
        }
        len = asm_disasm(guest, 64, bytes + i, p->n - i, at + i, &text);
        bool is_known = len;
        len = len ? len : 1;
        buf_printf(out, "  %s 0x%04" PRIx64 "  ", p->kind == CODE_GUEST && at + i == mark ? "->" : "  ", at + i);
        for (size_t k = 0; k < len || k < nbytes_shown; k++) {
            buf_printf(out, k < len ? "%02x " : "   ", k < len ? bytes[i + k] : 0);
        }
        buf_printf(out, "  %s\n", is_known ? buf_text(&text) : "?");
        buf_free(&text);
    }
}

static void put_ir(const CodePiece *p, Buf *out)
{
    for (size_t i = 0; i < p->n;) {
        const char *end = memchr(p->bytes + i, '\n', p->n - i);
        size_t n = end ? (size_t)(end - p->bytes) - i : p->n - i;
        buf_str(out, "    ");
        buf_bytes(out, p->bytes + i, n);
        buf_char(out, '\n');
        i += n + 1;
    }
}

static void put_piece(const DiffConfig *cfg, const CodePiece *p, uint64_t pc, Buf *out)
{
    enum { GUEST_BYTES = 4, HOST_BYTES = 10 };
    switch (p->kind) {
    case CODE_GUEST:
        buf_printf(out, "  %.*s at 0x%" PRIx64 ":\n", (int)p->nwhat, p->what, p->at);
        put_insns(cfg->guest, p, p->at, pc, GUEST_BYTES, out);
        break;
    case CODE_IR:
        buf_str(out, "  its IR:\n");
        put_ir(p, out);
        break;
    case CODE_HOST: /* where it is differs from run to run */
        buf_printf(out, "  its host code, %zu bytes of a %.*s:\n", p->n, (int)p->nwhat, p->what);
        put_insns(GUEST_x86_64, p, 0, UINT64_MAX, HOST_BYTES, out);
        break;
    default:
        break;
    }
}

/* Guest code and IR that both have are shown once. */
static void put_code(const DiffConfig *cfg, const DiffResult *r, Buf *out)
{
    for (unsigned side = 0; side < 2; side++) {
        const Buf *other = &r->code[0];
        bool is_named = false;
        CodePiece p;
        for (Cursor c = cursor_of(r->code[side].data, r->code[side].n); cursor_left(&c) && code_next(&c, &p);) {
            if (side && p.kind != CODE_HOST && other->n && memmem(other->data, other->n, p.all, p.nall)) {
                continue;
            }
            if (!is_named) {
                buf_printf(out, "code of %c, %s:\n", 'a' + side, cfg->side[side].shown);
                is_named = true;
            }
            put_piece(cfg, &p, r->apart.pc, out);
        }
    }
}

static void put_apart(const DiffConfig *cfg, const DiffResult *r, Buf *out)
{
    static const char *const WHAT[] = {[APART_NOT] = "",
                                       [APART_ANSWER] = "an operation: ",
                                       [APART_EXIT] = "exits:\n",
                                       [APART_REGS] = "registers, a | b:\n",
                                       [APART_RAM] = ""};
    const Apart *a = &r->apart;
    uint64_t width = a->end - a->start;
    if (!r->is_counted) {
        buf_printf(out, "apart after %" PRIu64 " equal exits (one of the two does not count instructions)\n",
                   r->nexits);
    } else if (!width && a->kind == APART_REGS) { /* they were looked at before either ran */
        buf_printf(out, "apart before instruction %" PRIu64 " of vcpu %u: %s\n", a->start + 1, a->vcpu,
                   a->start ? "nothing ran since they were equal" : "the two start with other values");
    } else if (width <= 1 && r->is_whole) {
        buf_printf(out, "apart at instruction %" PRIu64 " of vcpu %u, if the block that it is in runs as a whole\n",
                   a->start + 1, a->vcpu);
    } else if (width <= 1) {
        buf_printf(out, "apart at instruction %" PRIu64 " of vcpu %u\n", a->start + 1, a->vcpu);
    } else {
        buf_printf(out, "apart between instructions %" PRIu64 " and %" PRIu64 " of vcpu %u\n", a->start + 1, a->end,
                   a->vcpu);
    }
    if (r->is_hidden) {
        buf_str(out, "with narrower windows they are equal: it depends on where blocks are cut\n");
    }
    if (a->has_pc && width <= 1) {
        put_insn(cfg, a, out);
    }
    buf_printf(out, "%s%s", WHAT[a->kind], buf_text(&a->text));
    if (r->history.n) {
        buf_printf(out, "exits before it:\n%s", buf_text(&r->history));
    }
    put_code(cfg, r, out);
}

void diff_report(const DiffConfig *cfg, const DiffResult *r, Buf *out)
{
    buf_printf(out, "a: %s\nb: %s\n", cfg->side[0].shown, cfg->side[1].shown);
    if (r->is_lost) {
        buf_str(out, "apart once, and not again: one of the two is not deterministic\n");
    } else if (r->is_apart) {
        put_apart(cfg, r, out);
    } else if (r->is_counted) {
        buf_printf(out, "equal: %" PRIu64 " instructions, %" PRIu64 " exits\n", r->position, r->nexits);
    } else {
        buf_printf(out, "equal: %" PRIu64 " exits\n", r->nexits);
    }
}
