/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake/impl.h"
#include "sim/base/os.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    BeVcpu *v;
    const RunArgs *args;
    uint64_t budget; /* UINT64_MAX = none */
    VmExit *exit;
    Err *err;
} Play;

enum { GOES_ON = 1 }; /* what the functions below return when run() has nothing to say yet */

/* ---- kicks ---- */
void fake_kick(BeVcpu *v)
{
    int saved = errno; /* may be called from a signal handler */
    atomic_fetch_add(&v->nkicks, 1);
    atomic_store(&v->kicked, true);
    ssize_t done = write(v->wake, &(uint64_t){1}, sizeof(uint64_t));
    (void)done; /* a full counter wakes as well */
    errno = saved;
}

static void drain(BeVcpu *v)
{
    uint64_t nkicks;
    ssize_t done = read(v->wake, &nkicks, sizeof nkicks);
    (void)done; /* there may be none */
}

static bool take_kick(BeVcpu *v)
{
    if (!atomic_exchange(&v->kicked, false)) {
        return false;
    }
    drain(v);
    return true;
}

static bool is_past(uint64_t deadline_ns)
{
    return deadline_ns != UINT64_MAX && os_now_ns() >= deadline_ns;
}

/* ---- exits ---- */
static bool is_fault(ExitKind kind)
{
    return kind == EXIT_nested_page_fault || kind == EXIT_exception || kind == EXIT_shutdown ||
           kind == EXIT_fail_entry || kind == EXIT_internal_error || kind == EXIT_unsupported || kind == EXIT_unknown;
}

static bool retires_at_exit(ExitKind kind)
{
    return kind == EXIT_hypercall || kind == EXIT_halt || kind == EXIT_idle || kind == EXIT_cpu_up ||
           kind == EXIT_cpu_down || kind == EXIT_system_down || kind == EXIT_system_reset;
}

static bool shows_before(ExitKind kind)
{
    return exit_reply_kind(kind) == REPLY_VALUE || kind == EXIT_sysreg_write || is_fault(kind);
}

static int leave(Play *p, ExitKind kind)
{
    *p->exit = (VmExit){.kind = kind, .valid = HAS_insns, .insns = p->v->insns, .reply = exit_reply_kind(kind)};
    return 0;
}

static int leave_step(Play *p)
{
    leave(p, EXIT_debug);
    p->exit->arg[0] = DEBUG_STEP;
    p->exit->addr = reg_load(p->v, "pc");
    return 0;
}

static int leave_unsupported(Play *p, uint64_t native)
{
    leave(p, EXIT_unsupported);
    p->exit->native.code = native;
    return 0;
}

static void set_pc(BeVcpu *v, bool has, uint64_t pc)
{
    if (has) {
        reg_store_named(v, "pc", pc);
    }
}

static void break_rules(const BeVcpu *v, const Entry *e, VmExit *x)
{
    if (is_broken(v->vm, W4) && x->npieces > 1) {
        unsigned whole = x->size_bytes * x->npieces;
        x->size_bytes = (uint8_t)(whole < 255 ? whole : 255);
        x->piece = x->npieces = 0;
    }
    if (is_broken(v->vm, W7)) {
        x->valid |= HAS_pc_before | HAS_pc_after | HAS_insn | HAS_value | HAS_reg | HAS_gva;
        x->pc_before = e->has_pc ? x->pc_before : 0;
    }
}

/* W4 broken: the other pieces are part of the exit that was just made. */
static void skip_pieces(BeVcpu *v, const VmExit *first)
{
    for (; v->next < v->script.entries.n; v->next++) {
        const Entry *e = &v->script.entries.items[v->next];
        if (e->act != ACT_EXIT || e->exit.kind != first->kind || e->exit.piece <= first->piece) {
            return;
        }
    }
}

static bool is_served(const Play *p, const VmExit *x)
{
    const Board *b = p->v->vm->board;
    bool is_traced = false;
    return p->args->serve_board && b && x->reply != REPLY_none && b->claims(b->ctx, x->kind, x->addr, &is_traced);
}

static int serve(Play *p, const VmExit *x)
{
    const Board *b = p->v->vm->board;
    Reply r = {0};
    int rc = b->access(b->ctx, p->v->cfg.id, x, &r, p->err);
    rc = rc ? rc : fake_reply(p->v, &r, p->err);
    if (rc) {
        return rc;
    }
    p->v->is_owed = false;
    p->budget -= p->budget != UINT64_MAX;
    return GOES_ON;
}

static int play_exit(Play *p, const Entry *e)
{
    BeVcpu *v = p->v;
    ExitKind kind = e->exit.kind;
    v->next++;
    if (is_broken(v->vm, W1) && is_fault(kind)) {
        return err_set(p->err, ERR_HOST, "%s at 0x%llx", exit_name(kind), (unsigned long long)e->exit.addr);
    }
    v->insns += retires_at_exit(kind);
    bool is_before = shows_before(kind) && !(is_broken(v->vm, W3) && e->exit.reply != REPLY_none);
    if (is_before || !e->has_next) {
        set_pc(v, e->has_pc, e->exit.pc_before);
    } else {
        set_pc(v, true, e->exit.pc_after);
    }
    *p->exit = e->exit;
    p->exit->valid |= HAS_insns;
    p->exit->insns = v->insns;
    break_rules(v, e, p->exit);
    if (is_broken(v->vm, W4) && e->exit.npieces > 1) {
        skip_pieces(v, &e->exit);
    }
    if (e->exit.reply != REPLY_none) {
        v->has_due = true;
        v->due = *e;
    }
    return is_served(p, p->exit) ? serve(p, p->exit) : 0;
}

/* ---- replies ---- */
static void reply_to_regs(BeVcpu *v, const Entry *e, const Reply *r)
{
    bool is_x86 = v->vm->guest == GUEST_x86_64;
    const RegInfo *to = e->reply_to ? e->reply_to : reg_info(e->exit.reg);
    if (!to && e->exit.kind == EXIT_io_read && is_x86) {
        to = reg_find(v->vm->guest, "rax");
    }
    if (to) {
        bool is_sized = e->exit.kind == EXIT_mmio_read || e->exit.kind == EXIT_io_read;
        uint64_t old = reg_load(v, to->name);
        reg_store(v, to, is_sized ? exit_extend(&e->exit, r->value, old) : r->value);
    } else if (e->exit.kind == EXIT_cpuid && is_x86) { /* SDM vol. 2A, CPUID: the upper halves are cleared */
        reg_store_named(v, "rax", (uint32_t)r->value);
        reg_store_named(v, "rbx", (uint32_t)r->more[0]);
        reg_store_named(v, "rcx", (uint32_t)r->more[1]);
        reg_store_named(v, "rdx", (uint32_t)r->more[2]);
    } else if (e->exit.kind == EXIT_sysreg_read && is_x86) { /* SDM vol. 2B, RDMSR: EDX:EAX */
        reg_store_named(v, "rax", (uint32_t)r->value);
        reg_store_named(v, "rdx", r->value >> 32);
    }
}

static int reply_now(BeVcpu *v, const Reply *r, Err *err)
{
    int rc = fake_owner_check(v, "vcpu.reply", err);
    if (rc) {
        return rc;
    }
    if (!v->has_due) {
        return err_set(err, ERR_STATE, "reply: none is due");
    }
    v->has_due = false;
    if (r->is_fault) {
        return 0;
    }
    if (v->due.exit.reply == REPLY_VALUE) {
        reply_to_regs(v, &v->due, r);
    }
    set_pc(v, v->due.has_next, v->due.exit.pc_after);
    v->insns++;
    v->is_owed = true;
    return 0;
}

int fake_reply(BeVcpu *v, const Reply *r, Err *err)
{
    int rc = fake_fails(v->vm, "vcpu.reply", err);
    rc = rc ? rc : reply_now(v, r, err);
    return fake_log(v->vm, rc, "vcpu.reply", "vcpu %u value 0x%llx fault %d", v->cfg.id, (unsigned long long)r->value,
                    r->is_fault);
}

/* ---- entries ---- */
static int play_spin(Play *p, const Entry *e)
{
    BeVcpu *v = p->v;
    if (v->has_pending) {
        v->next += !e->is_forever;
        v->has_pending = !e->is_forever;
        return GOES_ON;
    }
    if (p->args->is_step || p->budget != UINT64_MAX) {
        uint64_t n = p->args->is_step ? 1 : p->budget;
        v->insns += n;
        p->budget -= p->budget != UINT64_MAX ? n : 0;
        return p->args->is_step ? leave_step(p) : GOES_ON;
    }
    uint64_t deadline = p->args->deadline_ns;
    for (;;) {
        if (take_kick(v) || is_past(deadline)) {
            v->next += !e->is_forever;
            return leave(p, EXIT_canceled);
        }
        uint64_t now = os_now_ns(), left = deadline > now ? deadline - now : 0;
        uint64_t ms = left / 1000000 + 1;
        int limit = deadline == UINT64_MAX ? -1 : (int)(ms < 60000 ? ms : 60000);
        struct pollfd fd = {.fd = v->wake, .events = POLLIN};
        if (poll(&fd, 1, limit) > 0 && !atomic_load(&v->kicked)) {
            drain(v); /* woken without a kick: noise */
        }
    }
}

static int play_take(Play *p, const Entry *e)
{
    BeVcpu *v = p->v;
    v->next++;
    bool is_there = v->has_pending && (!e->has_number || v->pending.number == e->number);
    fake_log(v->vm, 0, "vcpu.take", "vcpu %u number 0x%x %s", v->cfg.id,
             is_there ? v->pending.number : (unsigned)e->number, is_there ? "taken" : "not pending");
    if (!is_there) {
        return leave_unsupported(p, FAKE_NATIVE_NOT_PENDING);
    }
    v->has_pending = false;
    return GOES_ON;
}

static int play_memory(Play *p, const Entry *e)
{
    BeVcpu *v = p->v;
    v->next++;
    int rc = e->act == ACT_DIRTY ? mem_mark_dirty(v->vm, e->number, p->err)
                                 : mem_guest_store(v->vm, e->number, v->script.bytes.items + e->from, e->n, p->err);
    return rc ? rc : GOES_ON;
}

static int play_entry(Play *p, const Entry *e)
{
    BeVcpu *v = p->v;
    switch (e->act) {
    case ACT_EXIT:
        return play_exit(p, e);
    case ACT_SPIN:
        return play_spin(p, e);
    case ACT_TAKE:
        return play_take(p, e);
    case ACT_WRITE:
    case ACT_DIRTY:
        return play_memory(p, e);
    case ACT_SET:
        for (size_t i = 0; i < e->n; i++) {
            const SetReg *s = &v->script.sets.items[e->from + i];
            reg_store(v, s->reg, s->value);
        }
        break;
    case ACT_WORK:
        set_pc(v, e->has_pc, e->exit.pc_after);
        break;
    case ACT_MASK:
    case ACT_UNMASK:
        v->is_masked = e->act == ACT_MASK;
        break;
    case ACT_ERROR:
        v->next++;
        return err_set(p->err, (int)e->number, "the script says error %s", err_name((int)e->number));
    case ACT_CRASH:
    case ACT_DIE:
    case ACT_HANG:
    case ACT_GARBAGE:
    case ACT_ALLOC: {
        int rc = misbehave(e, p->err);
        v->next++;
        return rc ? rc : GOES_ON;
    }
    }
    v->next++;
    return GOES_ON;
}

/* Retires what the entry has before it acts, as far as the budget or a step goes. */
static int play_insns(Play *p, Entry *e)
{
    BeVcpu *v = p->v;
    uint64_t n = p->args->is_step ? 1 : e->insns < p->budget ? e->insns : p->budget;
    e->insns -= n;
    v->insns += n;
    p->budget -= p->budget != UINT64_MAX ? n : 0;
    if (!p->args->is_step) {
        return GOES_ON;
    }
    if (!e->insns && e->act == ACT_WORK) {
        (void)play_entry(p, e);
    }
    return leave_step(p);
}

static int play_one(Play *p)
{
    BeVcpu *v = p->v;
    bool is_over = v->next == v->script.entries.n;
    if (take_kick(v) || is_past(p->args->deadline_ns)) {
        /* A loop that was to be kicked is over also when the kick came before it was entered. */
        const Entry *next = is_over ? NULL : &v->script.entries.items[v->next];
        v->next += next && next->act == ACT_SPIN && !next->is_forever;
        return leave(p, EXIT_canceled);
    }
    if (!p->budget) {
        return leave(p, EXIT_budget);
    }
    if (p->args->irq_window && !v->is_masked && !v->has_pending) {
        return leave(p, EXIT_irq_window);
    }
    if (is_over) {
        return leave_unsupported(p, FAKE_NATIVE_ENDED);
    }
    Entry *e = &v->script.entries.items[v->next];
    return e->insns ? play_insns(p, e) : play_entry(p, e);
}

static int play(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    int rc = fake_owner_check(v, "vcpu.run", err);
    if (rc) {
        return rc;
    }
    if (v->has_due && !is_broken(v->vm, W3)) {
        return err_set(err, ERR_BUSY, "run: the %s exit awaits its reply", exit_name(v->due.exit.kind));
    }
    v->has_due = false;
    mem_flush_held(v->vm);
    if (is_broken(v->vm, W5)) {
        (void)take_kick(v);
    }
    Play p = {.v = v, .args = args, .budget = args->insns, .exit = exit, .err = err};
    if (v->is_owed && p.budget && p.budget != UINT64_MAX) {
        p.budget--;
    }
    v->is_owed = v->is_owed && !args->insns;
    do {
        rc = play_one(&p);
    } while (rc == GOES_ON);
    return rc;
}

/* What waits or goes wrong may last. */
bool fake_is_brief(BeVcpu *v)
{
    for (size_t i = v->next; i < v->script.entries.n; i++) {
        switch (v->script.entries.items[i].act) {
        case ACT_EXIT:
        case ACT_ERROR:
            return true;
        case ACT_SET:
        case ACT_WORK:
        case ACT_WRITE:
        case ACT_DIRTY:
        case ACT_TAKE:
        case ACT_MASK:
        case ACT_UNMASK:
            break;
        case ACT_SPIN:
        case ACT_CRASH:
        case ACT_DIE:
        case ACT_HANG:
        case ACT_GARBAGE:
        case ACT_ALLOC:
            return false;
        }
    }
    return true;
}

int fake_run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    *exit = (VmExit){0};
    int rc = fake_fails(v->vm, "vcpu.run", err);
    if (!rc) {
        atomic_store(&v->is_running, true);
        rc = play(v, args, exit, err);
        atomic_store(&v->is_running, false);
    }
    if (args->insns == UINT64_MAX) {
        return fake_log(v->vm, rc, "vcpu.run", "vcpu %u step %d kicks %u exit %s", v->cfg.id, args->is_step,
                        atomic_exchange(&v->nkicks, 0), rc ? "none" : exit_name(exit->kind));
    }
    return fake_log(v->vm, rc, "vcpu.run", "vcpu %u insns %llu kicks %u exit %s", v->cfg.id,
                    (unsigned long long)args->insns, atomic_exchange(&v->nkicks, 0),
                    rc ? "none" : exit_name(exit->kind));
}
