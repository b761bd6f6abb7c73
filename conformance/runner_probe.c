/* SPDX-License-Identifier: Apache-2.0
 * runner_probe.c - probes and hostile checks, each on a worker (or a connection) of its own. */
#include "conformance/runner_int.h"

static const uint64_t LIMIT_NS = 30000000000u;

/* What is asked on a connection; whether the backend did wrong. */
typedef bool Question(void *ctx, const Backend *b, const PlanOpen *open, GuestId guest, Buf *why);

/* Asks; a process that died of it is wrong whatever was answered. */
static bool ask(Runner *r, const Plan *p, size_t backend, GuestId guest, Question *question, void *ctx, Buf *why)
{
    const PlanBackend *b = &p->backends.items[backend];
    Slot *s = &r->slots[0];
    Peer peer;
    PeerEnd end;
    Err err = {0};
    if (peer_open(s, b, backend, &peer, &err)) {
        buf_str(why, err.text);
        return true;
    }
    remote_limits(peer.link, LIMIT_NS, LIMIT_NS);
    bool is_wrong = question(ctx, remote_backend(peer.link), &b->open[guest], guest, why);
    peer_close(s, &peer, is_wrong, peer_patience_ns(&peer), &end);
    if (end.is_crash) {
        buf_printf(why, "%s%s", why->n ? "; " : "", end.text);
    }
    return is_wrong || end.is_crash;
}

typedef struct {
    Cap cap;
    ProbeAnswer answer;
} ProbeCtx;

static bool ask_probe(void *ctx, const Backend *b, const PlanOpen *open, GuestId guest, Buf *why)
{
    ProbeCtx *x = ctx;
    x->answer = probe_run(b, guest, &open->caps, x->cap, why);
    return x->answer == PROBE_CONTRADICTED;
}

ProbeAnswer runner_probe(Runner *r, const Plan *p, size_t backend, GuestId guest, Cap cap, Buf *why)
{
    const Caps *caps = &p->backends.items[backend].open[guest].caps;
    ProbeCtx x = {.cap = cap};
    if (caps->level[cap] != CAP_FULL || !probe_exists(cap, caps)) {
        return caps->level[cap] != CAP_FULL ? PROBE_NOT_CLAIMED : PROBE_NOT_PROBED;
    }
    return ask(r, p, backend, guest, ask_probe, &x, why) ? PROBE_CONTRADICTED : x.answer;
}

typedef struct {
    size_t check;
    HostileAnswer answer;
} HostileCtx;

static bool ask_hostile(void *ctx, const Backend *b, const PlanOpen *open, GuestId guest, Buf *why)
{
    HostileCtx *x = ctx;
    x->answer = hostile_run(b, guest, &open->caps, x->check, why);
    return x->answer == HOSTILE_FELL;
}

HostileAnswer runner_hostile(Runner *r, const Plan *p, size_t backend, GuestId guest, size_t check, Buf *why)
{
    HostileCtx x = {.check = check};
    return ask(r, p, backend, guest, ask_hostile, &x, why) ? HOSTILE_FELL : x.answer;
}

typedef struct {
    const char *name;
    Buf *out;
} CtlCtx;

static bool ask_ctl(void *ctx, const Backend *b, const PlanOpen *open, GuestId guest, Buf *why)
{
    CtlCtx *x = ctx;
    Vm *vm = NULL;
    (void)open;
    (void)why;
    int rc = vm_open(b, &(VmConfig){.guest = guest}, NULL, NULL, &vm, NULL);
    rc = rc ? rc : vm_ctl(vm, NULL, x->name, NULL, 0, x->out, NULL);
    vm_close(vm);
    return rc && rc != -ERR_UNSUPPORTED;
}

void runner_ctl(Runner *r, const Plan *p, size_t backend, GuestId guest, const char *name, Buf *out)
{
    CtlCtx x = {.name = name, .out = out};
    Buf why = {0};
    ask(r, p, backend, guest, ask_ctl, &x, &why);
    buf_free(&why);
}
