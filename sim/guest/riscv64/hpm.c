/* SPDX-License-Identifier: Apache-2.0
 * hpm.c - hardware performance counters (Priv 3.1.10) and their overflow (Sscofpmf). Events have the numbers of SBI's PMU extension: 1
 * cycles, 2 instructions retired; as the clock counts instructions, the two are one. An event is lost or found exactly at its instruction:
 * an overflow is a deadline of the dispatcher, as a timer's is. */
#include "sim/guest/riscv64/riscv.h"

enum { EVENT_NONE, EVENT_CYCLES, EVENT_INSTRUCTIONS };
#define EVENT_OF    (1ull << 63)
#define EVENT_MINH  (1ull << 62)
#define EVENT_SINH  (1ull << 61)
#define EVENT_UINH  (1ull << 60)
#define EVENT_VSINH (1ull << 59) /* with H */
#define EVENT_VUINH (1ull << 58)
#define EVENT_FLAGS (EVENT_OF | EVENT_MINH | EVENT_SINH | EVENT_UINH | EVENT_VSINH | EVENT_VUINH)

static uint64_t value_of(const RiscvHpm *h, uint64_t insns)
{
    return h->base + (h->is_on ? insns : 0);
}

static bool counts(const RiscvFrame *r, unsigned i)
{
    static const uint64_t inhibits[2][4] = {
        {[PRIV_U] = EVENT_UINH, [PRIV_S] = EVENT_SINH, [PRIV_M] = EVENT_MINH},
        {[PRIV_U] = EVENT_VUINH, [PRIV_S] = EVENT_VSINH}, /* V */
    };
    uint64_t event = r->hpm[i].event;
    return event & ~EVENT_FLAGS && !(event & inhibits[r->v][r->priv]) && !(r->mcountinhibit >> (HPM_FIRST + i) & 1);
}

/* Has it come round to 0 without that being noted? */
static bool is_due(const RiscvHpm *h, uint64_t insns)
{
    return h->wraps_at && insns >= h->wraps_at;
}

static void note_overflow(RiscvFrame *r, RiscvHpm *h, uint64_t insns)
{
    if (is_due(h, insns)) {
        h->wraps_at = 0;
        h->event |= EVENT_OF;
        r->mip_soft |= IRQ_LCOFI;
    }
}

/* value: of counter i, after insns. An overflow while OF is set is not noted (Sscofpmf 2). */
static void start(RiscvFrame *r, unsigned i, uint64_t value, uint64_t insns)
{
    RiscvHpm *h = &r->hpm[i];
    h->is_on = counts(r, i);
    h->base = value - (h->is_on ? insns : 0);
    bool has_overflow = r->cpu.has[NEED_Sscofpmf] && h->is_on && !(h->event & EVENT_OF);
    h->wraps_at = has_overflow && value && -value <= UINT64_MAX - insns ? insns - value : 0;
}

void riscv_hpm_settle_events(RiscvFrame *r, uint64_t insns)
{
    exec_changed(&r->f); /* the deadline */
    for (unsigned i = 0; i < HPM_COUNTERS; i++) {
        uint64_t value = value_of(&r->hpm[i], insns);
        note_overflow(r, &r->hpm[i], insns);
        start(r, i, value, insns);
    }
}

uint64_t riscv_hpm_counter(const RiscvFrame *r, unsigned i, uint64_t insns)
{
    return value_of(&r->hpm[i], insns);
}

void riscv_hpm_counter_write(RiscvFrame *r, unsigned i, uint64_t value, uint64_t insns)
{
    if (r->cpu.has[NEED_Zihpm]) {
        start(r, i, value, insns);
    }
}

/* An overflow that the dispatcher has not come to is there for who looks from outside. */
uint64_t riscv_hpm_event(const RiscvFrame *r, unsigned i, uint64_t insns)
{
    return r->hpm[i].event | (is_due(&r->hpm[i], insns) ? EVENT_OF : 0);
}

bool riscv_hpm_is_due(const RiscvFrame *r, uint64_t insns)
{
    bool is_any = false;
    for (unsigned i = 0; i < HPM_COUNTERS; i++) {
        is_any = is_any || is_due(&r->hpm[i], insns);
    }
    return is_any;
}

/* WARL: an event that is none stops the counter. */
void riscv_hpm_event_write(RiscvFrame *r, unsigned i, uint64_t value, uint64_t insns)
{
    if (!r->cpu.has[NEED_Zihpm]) {
        return;
    }
    uint64_t event = value & ~EVENT_FLAGS, of_guests = r->cpu.has[NEED_H] ? 0 : EVENT_VSINH | EVENT_VUINH;
    uint64_t flags = r->cpu.has[NEED_Sscofpmf] ? value & EVENT_FLAGS & ~of_guests : 0;
    uint64_t count = value_of(&r->hpm[i], insns);
    r->hpm[i].event = flags | (event == EVENT_CYCLES || event == EVENT_INSTRUCTIONS ? event : EVENT_NONE);
    start(r, i, count, insns);
    r->has_hpm_event = false;
    for (unsigned k = 0; k < HPM_COUNTERS; k++) {
        r->has_hpm_event = r->has_hpm_event || r->hpm[k].event & ~EVENT_FLAGS;
    }
}

uint64_t riscv_hpm_overflows(const RiscvFrame *r, uint64_t insns)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < HPM_COUNTERS; i++) {
        bits |= (riscv_hpm_event(r, i, insns) & EVENT_OF ? 1ull : 0) << (HPM_FIRST + i);
    }
    return bits;
}

uint64_t riscv_hpm_deadline(const RiscvFrame *r)
{
    uint64_t insns = frame_insns(&r->f), rest = UINT64_MAX;
    for (unsigned i = 0; r->has_hpm_event && i < HPM_COUNTERS; i++) {
        const RiscvHpm *h = &r->hpm[i];
        uint64_t left = is_due(h, insns) ? 0 : h->wraps_at - insns;
        rest = h->wraps_at && left < rest ? left : rest;
    }
    uint64_t now = rest == UINT64_MAX ? 0 : exec_now_ns(&r->f);
    return rest > UINT64_MAX - now ? UINT64_MAX : now + rest;
}

void riscv_hpm_tick(RiscvFrame *r)
{
    for (unsigned i = 0; i < HPM_COUNTERS; i++) {
        note_overflow(r, &r->hpm[i], frame_insns(&r->f));
    }
}
