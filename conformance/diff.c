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

int diff_search(const DiffConfig *cfg, DiffResult *out, Err *err)
{
    PairConfig how = {.side = {cfg->side[0], cfg->side[1]},
                      .guest = cfg->guest,
                      .window = cfg->window ? cfg->window : WINDOW,
                      .until = UINT64_MAX,
                      .vcpu = -1};
    *out = (DiffResult){0};
    int rc = pass(cfg, &how, out, err);
    while (!rc && out->is_apart && out->is_counted && out->apart.kind != APART_ANSWER &&
           out->apart.end - out->apart.start > 1) {
        uint64_t width = out->apart.end - out->apart.start;
        narrow(&out->apart, &how);
        rc = pass(cfg, &how, out, err);
        if (!rc && (!out->is_apart || out->apart.end - out->apart.start >= width)) {
            out->is_lost = !out->is_apart;
            out->is_apart = true;
            break;
        }
    }
    return rc;
}

void diff_result_free(DiffResult *r)
{
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
    } else if (width <= 1) {
        buf_printf(out, "apart at instruction %" PRIu64 " of vcpu %u\n", a->start + 1, a->vcpu);
    } else {
        buf_printf(out, "apart between instructions %" PRIu64 " and %" PRIu64 " of vcpu %u\n", a->start + 1, a->end,
                   a->vcpu);
    }
    if (a->has_pc && width <= 1) {
        put_insn(cfg, a, out);
    }
    buf_printf(out, "%s%s", WHAT[a->kind], buf_text(&a->text));
    if (r->history.n) {
        buf_printf(out, "exits before it:\n%s", buf_text(&r->history));
    }
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
