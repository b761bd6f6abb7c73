/* SPDX-License-Identifier: Apache-2.0
 * sim_board.c - a machine around the vcpus: devices, firmware calls, and all vcpus in turn on one thread.
 *
 * TIME. The machine's time goes in rounds of a quantum. Within a round each vcpu runs from the round's start to its end by its own
 * clock, one after the other; a vcpu that idles goes to the end at once. So what one does to another is seen at the latest
 * one quantum later, and always at the same instruction. In real time (sim_threads.c) there are no rounds. */
#include "sim/sim_int.h"

#include "sim/boot/boot.h"
#include "sim/devices/boards.h"
#include "sim/devices/devices.h"
#include "sim/devices/htif.h"
#include "sim/devices/virtio_cards.h"
#include "sim/firmware/sbi.h"

#include <string.h>

_Static_assert((int)SIM_CARD_SLOTS == VIRTIO_SLOTS - 1 && (int)SIM_DRIVE_READ_ONLY == DISK_READ_ONLY &&
                   (int)SIM_DRIVE_OVERLAY == DISK_OVERLAY,
               "sim.h says what virtio.h and disk.h say");
_Static_assert((int)WIRE_SOFTWARE == (int)LINE_SOFTWARE && (int)WIRE_TIMER == (int)LINE_TIMER &&
                   (int)WIRE_EXTERNAL == (int)LINE_EXTERNAL && (int)WIRE_EXTERNAL_LOW == (int)LINE_EXTERNAL_LOW,
               "a device's wires are a vcpu's lines");
enum { NS_PER_TICK = 100, TOHOST_BYTES = 8 };

/* ---- what devices and firmware do to vcpus ---- */
static ExecVcpu *exec_of(Sim *s, unsigned vcpu)
{
    return vcpu < SIM_MAX_VCPUS && s->vcpu[vcpu] ? s->vcpu[vcpu]->x : NULL;
}

static void finish(Sim *s, unsigned vcpu, int kind, uint32_t code)
{
    SimMachine *m = s->machine;
    pthread_mutex_lock(&m->finish_lock);
    if (!m->is_finished) { /* of two at once the first */
        m->finish_kind = kind;
        m->finish_code = code;
        m->is_finished = true;
    }
    pthread_mutex_unlock(&m->finish_lock);
    exec_end(exec_of(s, vcpu));
}

static void on_line(void *ctx, unsigned vcpu, unsigned line, bool level)
{
    exec_line(exec_of(ctx, vcpu), (GuestLine)line, level);
}

static uint64_t on_now(void *ctx, unsigned vcpu)
{
    return exec_clock_ns(exec_of(ctx, vcpu));
}

static void on_output(void *ctx, const void *bytes, size_t n)
{
    const SimBoardConfig *cfg = &((Sim *)ctx)->machine->cfg;
    if (cfg->output) {
        cfg->output(cfg->ctx, bytes, n);
    }
}

static void on_finish(void *ctx, unsigned vcpu, int kind, uint32_t code)
{
    finish(ctx, vcpu, kind, code);
}

static bool on_mem_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    return !space_read(((Sim *)ctx)->space, gpa, bytes, n, NULL);
}

static bool on_mem_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    return !space_write(((Sim *)ctx)->space, gpa, bytes, n, NULL);
}

static bool on_mem_discard(void *ctx, uint64_t gpa, size_t n)
{
    return !space_discard(((Sim *)ctx)->space, gpa, n, NULL);
}

static void *on_peer(void *ctx, const BoardRow *row)
{
    const SimMachine *m = ((Sim *)ctx)->machine;
    if (row->type != &device_virtio_mmio) {
        return NULL;
    }
    return m->own_card[row->param] ? m->own_card[row->param] : m->cfg.card[row->param];
}

/* ---- firmware ---- */
static void sbi_set_timer(void *ctx, unsigned hart, uint64_t ns)
{
    Sim *s = ctx;
    s->machine->timer_ns[hart] = ns;
    exec_line(exec_of(s, hart), LINE_TIMER, false);
}

static void sbi_send_ipi(void *ctx, unsigned hart)
{
    exec_pulse(exec_of(ctx, hart), LINE_SOFTWARE);
}

static void sbi_fence_i(void *ctx, unsigned hart)
{
    if (((Sim *)ctx)->machine->is_threaded) {
        sim_threads_fence(ctx, hart, true);
    } else {
        exec_flush_code(exec_frame(exec_of(ctx, hart)));
    }
}

static void sbi_sfence_vma(void *ctx, unsigned hart, uint64_t start, uint64_t size, uint64_t asid)
{
    (void)start;
    (void)size; /* more may always be flushed than was asked for */
    if (((Sim *)ctx)->machine->is_threaded) {
        sim_threads_fence(ctx, hart, false);
    } else {
        exec_flush_tlb(exec_frame(exec_of(ctx, hart)), UINT64_MAX, asid);
    }
}

static int reg_put(SimVcpu *v, const char *name, uint64_t value)
{
    uint8_t bytes[8];
    memcpy(bytes, &value, sizeof bytes);
    return v->s->isa->reg_set(exec_frame(v->x), reg_find(v->s->isa->id, name)->id, bytes, NULL);
}

static uint64_t reg_value(SimVcpu *v, const char *name)
{
    uint64_t value = 0;
    int rc = v->s->isa->reg_get(exec_frame(v->x), reg_find(v->s->isa->id, name)->id, &value, NULL);
    return rc ? 0 : value;
}

/* SBI 9.1: S mode at addr, a0 = hart, a1 = opaque, untranslated, interrupts off. */
static void begin_at(SimVcpu *v, uint64_t addr, uint64_t opaque)
{
    SimReset how = {.hw_id = v->how.hw_id, .entry = addr, .is_parked = v->is_parked};
    int rc = sim_vcpu_reset(v, &how, NULL);
    rc = rc ? rc : reg_put(v, "arg0", v->how.hw_id);
    rc = rc ? rc : reg_put(v, "arg1", opaque);
    assert(!rc);
}

static void sbi_start(void *ctx, unsigned hart, uint64_t addr, uint64_t arg)
{
    Sim *s = ctx;
    SimVcpu *v = s->vcpu[hart];
    if (s->machine->is_threaded) {
        sim_threads_settled(v);
        begin_at(v, addr, arg);
    } else {
        begin_at(v, addr, arg);
        exec_clock_set(v->x, s->machine->round_ns);
    }
    v->is_parked = false;
    exec_poke(v->x);
}

static bool sbi_is_ram(void *ctx, uint64_t gpa, uint64_t n)
{
    SpaceHit hit;
    return space_find(((Sim *)ctx)->space, gpa, &hit) && hit.host && n <= hit.size_bytes - (gpa - hit.gpa);
}

static size_t sbi_console_write(void *ctx, const void *bytes, size_t n)
{
    board_console_write(((Sim *)ctx)->machine->board, bytes, n);
    return n;
}

static size_t sbi_console_read(void *ctx, void *bytes, size_t cap)
{
    return board_console_take(((Sim *)ctx)->machine->board, bytes, cap);
}

static void sbi_reply(SimVcpu *v, const SbiReply *r)
{
    Sim *s = v->s;
    switch (r->action) {
    case SBI_RETURN:
        sim_call_return(v, (const uint64_t[]){(uint64_t)r->error, r->value}, 2);
        break;
    case SBI_RETURN_A0:
        sim_call_return(v, (const uint64_t[]){(uint64_t)r->error}, 1);
        break;
    case SBI_STOP:
        v->is_parked = true;
        exec_end(v->x);
        break;
    case SBI_SUSPEND:
        sim_call_return(v, (const uint64_t[]){(uint64_t)r->error, r->value}, 2);
        v->is_suspended = true;
        exec_wait(v->x);
        break;
    case SBI_SUSPEND_TO: {
        uint64_t enabled = reg_value(v, "sie"); /* what may wake it */
        begin_at(v, r->addr, r->arg);
        reg_put(v, "sie", enabled);
        v->is_suspended = true;
        exec_wait(v->x);
        break;
    }
    case SBI_SHUTDOWN:
        finish(s, v->id, r->is_failure ? FINISH_FAIL : FINISH_OFF, r->is_failure);
        break;
    case SBI_REBOOT:
        finish(s, v->id, FINISH_RESET, 0);
        break;
    }
}

bool sim_board_call(SimVcpu *v)
{
    SimMachine *m = v->s->machine;
    if (!m || !m->sbi) {
        return false;
    }
    GuestCall call = {0};
    v->s->isa->call_get(exec_frame(v->x), &call);
    SbiCall c = {.hart = v->id, .ext = reg_value(v, "a7"), .fid = reg_value(v, "a6")};
    memcpy(c.arg, call.arg, sizeof c.arg);
    SbiReply r;
    SimFences fences = {0};
    pthread_mutex_lock(&m->lock);
    m->fences = &fences;
    sbi_call(m->sbi, &c, &r);
    pthread_mutex_unlock(&m->lock);
    sbi_reply(v, &r);
    if (fences.n) {
        sim_threads_fences_wait(v, &fences);
    }
    return true;
}

/* ---- time ---- */
uint64_t sim_board_deadline(SimVcpu *v)
{
    SimMachine *m = v->s->machine;
    if (!m) {
        return UINT64_MAX;
    }
    uint64_t device = board_deadline(m->board, v->id);
    return device < m->timer_ns[v->id] ? device : m->timer_ns[v->id];
}

void sim_board_tick(SimVcpu *v)
{
    SimMachine *m = v->s->machine;
    if (m->timer_ns[v->id] <= exec_clock_ns(v->x)) {
        m->timer_ns[v->id] = UINT64_MAX;
        exec_line(v->x, LINE_TIMER, true);
    }
    board_tick(m->board, v->id);
}

/* ---- tohost ---- */
bool sim_board_is_watched(const Sim *s, uint64_t gpa, uint64_t n)
{
    const SimMachine *m = s->machine;
    return m && m->has_tohost && gpa < m->tohost + TOHOST_BYTES && gpa + n > m->tohost;
}

void sim_board_watched(SimVcpu *v)
{
    Sim *s = v->s;
    uint64_t word = 0;
    if (space_read(s->space, s->machine->tohost, &word, sizeof word, NULL)) {
        return;
    }
    Htif h = htif_decode(word);
    switch (h.kind) {
    case HTIF_EXIT:
        finish(s, v->id, h.value ? FINISH_FAIL : FINISH_OFF, (uint32_t)h.value);
        break;
    case HTIF_PUTC:
        board_console_write(s->machine->board, &(char){(char)h.value}, 1);
        word = 0;
        if (space_write(s->space, s->machine->tohost, &word, sizeof word, NULL)) {
            return;
        }
        break;
    case HTIF_NONE:
    case HTIF_OTHER:
        break;
    }
}

void sim_board_watch(Sim *s)
{
    SpaceHit hit;
    const SimMachine *m = s->machine;
    if (m->has_tohost && space_find(s->space, m->tohost, &hit) && hit.host) {
        atomic_fetch_or(&hit.pages[(m->tohost - hit.gpa) >> MMU_PAGE_BITS], PAGE_WATCH);
        for (unsigned i = 0; i < m->cfg.nvcpus; i++) {
            exec_code_page(s->vcpu[i]->x);
        }
    }
}

/* ---- create ---- */
static int ram_make(Sim *s, Err *err)
{
    SimMachine *m = s->machine;
    uint32_t ram;
    int rc = space_ram_new(s->space, m->cfg.ram_bytes, &ram, err);
    return rc ? rc
              : space_map(s->space, board_def(m->board)->ram_base, m->cfg.ram_bytes, ram, 0,
                          SPACE_R | SPACE_W | SPACE_X, err);
}

static Sbi *firmware_new(Sim *s, unsigned nvcpus)
{
    return sbi_new(&(SbiHost){.ctx = s,
                              .ns_per_tick = NS_PER_TICK,
                              .set_timer = sbi_set_timer,
                              .send_ipi = sbi_send_ipi,
                              .fence_i = sbi_fence_i,
                              .sfence_vma = sbi_sfence_vma,
                              .start = sbi_start,
                              .is_ram = sbi_is_ram,
                              .mem_read = on_mem_read,
                              .mem_write = on_mem_write,
                              .console_write = sbi_console_write,
                              .console_read = sbi_console_read},
                   nvcpus);
}

static int vcpus_make(Sim *s, Err *err)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < s->machine->cfg.nvcpus; i++) {
        SimVcpu *v;
        rc = sim_vcpu_new(s, (uint8_t)i, &v, err);
    }
    return rc;
}

static int cards_make(SimMachine *m, bool is_twin, Err *err)
{
    int rc = 0;
    m->own_card[VIRTIO_SLOTS - 1] = virtio_rng_new(m->cfg.seed);
    for (unsigned i = 0; !rc && is_twin && i < SIM_CARD_SLOTS; i++) {
        const SimCard *c = m->cfg.card[i];
        rc = c ? c->kind->twin(c, &m->own_card[i], err) : 0;
        m->cfg.card[i] = m->own_card[i];
    }
    return rc;
}

/* What goes wrong half-way goes with sim_free. */
static int machine_make(Sim *s, const SimBoardConfig *cfg, bool has_ram, Err *err)
{
    const BoardDef *def = board_find(s->isa->name, s->cfg.is_virt);
    if (!def) {
        return err_set(err, ERR_UNSUPPORTED, "no board for guest %s", s->isa->name);
    }
    if (s->machine) {
        return err_set(err, ERR_EXIST, "the simulator has a board");
    }
    if (!cfg->nvcpus || cfg->nvcpus > def->max_vcpus) {
        return err_set(err, ERR_LIMIT, "%u vcpus: expected 1 to %u", cfg->nvcpus, def->max_vcpus);
    }
    SimMachine *m = s->machine = x_alloc(sizeof *m);
    m->cfg = *cfg;
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->finish_lock, NULL);
    pthread_mutex_init(&m->stop_lock, NULL);
    pthread_cond_init(&m->stop_cond, NULL);
    for (unsigned i = 0; i < SIM_MAX_VCPUS; i++) {
        m->timer_ns[i] = UINT64_MAX;
    }
    BoardHost host = {.ctx = s,
                      .line = on_line,
                      .now_ns = on_now,
                      .output = on_output,
                      .finish = on_finish,
                      .mem_read = on_mem_read,
                      .mem_write = on_mem_write,
                      .mem_discard = on_mem_discard,
                      .peer = on_peer};
    int rc = vcpus_make(s, err); /* first: devices drive their lines from the start */
    rc = rc ? rc : cards_make(m, has_ram, err);
    rc = rc ? rc : board_new(def, cfg->nvcpus, &host, &m->board, err);
    if (!rc && s->is_covered) {
        board_cover(m->board);
    }
    rc = !rc && !has_ram ? ram_make(s, err) : rc;
    rc = rc ? rc : board_attach(m->board, s->space, err);
    if (!rc && cfg->has_firmware && s->cfg.is_virt) {
        m->sbi = firmware_new(s, cfg->nvcpus);
    }
    return rc;
}

int sim_card_drive(const char *path, uint32_t flags, SimCard **out, Err *err)
{
    return virtio_blk_new(path, flags, out, err);
}

int sim_card_net(const char *spec, SimCard **out, Err *err)
{
    return virtio_net_new(spec, out, err);
}

SimCard *sim_card_balloon(uint64_t wanted_bytes)
{
    return virtio_balloon_new(wanted_bytes);
}

SimCard *sim_card_console(void)
{
    return virtio_console_new();
}

void sim_card_free(SimCard *c)
{
    virtio_card_free(c);
}

bool sim_card_is_outside(const SimCard *c)
{
    return c && c->kind->is_outside && c->kind->is_outside(c);
}

size_t sim_card_fds(SimCard *c, struct pollfd *fds, size_t cap, uint64_t *timeout_ns)
{
    return sim_card_is_outside(c) ? c->kind->fds(c, fds, cap, timeout_ns) : 0;
}

void sim_card_served(SimCard *c, const struct pollfd *fds, size_t n)
{
    if (sim_card_is_outside(c)) {
        c->kind->served(c, fds, n);
    }
}

int sim_board(Sim *s, const SimBoardConfig *cfg, Err *err)
{
    return machine_make(s, cfg, false, err);
}

int sim_board_twin(Sim *t, const SimBoardConfig *cfg, Err *err)
{
    return machine_make(t, cfg, true, err);
}

void sim_board_free(Sim *s)
{
    if (s->machine) {
        board_free(s->machine->board);
        for (unsigned i = 0; i < VIRTIO_SLOTS; i++) {
            virtio_card_free(s->machine->own_card[i]);
        }
        sbi_free(s->machine->sbi);
        buf_free(&s->machine->fdt);
        pthread_mutex_destroy(&s->machine->lock);
        pthread_mutex_destroy(&s->machine->finish_lock);
        pthread_mutex_destroy(&s->machine->stop_lock);
        pthread_cond_destroy(&s->machine->stop_cond);
        mem_free(s->machine);
    }
}

/* ---- images ---- */
static int vcpus_boot(Sim *s, const SimStart *start, Err *err)
{
    int rc = 0;
    for (unsigned i = 0; !rc && i < s->machine->cfg.nvcpus; i++) {
        bool is_parked = s->cfg.is_virt && i; /* bare hardware starts all at once */
        rc = sim_vcpu_reset(
            s->vcpu[i], &(SimReset){.hw_id = i, .entry = start->entry, .arg = start->fdt, .is_parked = is_parked}, err);
        rc = rc || !start->info ? rc : reg_put(s->vcpu[i], "arg2", start->info);
    }
    return rc;
}

enum { ISA_STRING_BYTES = 512 };

int sim_board_load(Sim *s, const SimBoot *boot, Err *err)
{
    SimMachine *m = s->machine;
    if (!m) {
        return err_set(err, ERR_STATE, "an image needs a board");
    }
    SimStart start;
    BootMem mem = boot_mem_of(s->space);
    buf_clear(&m->fdt);
    char isa[ISA_STRING_BYTES];
    s->isa->isa_string(s->cpu, false, isa, sizeof isa);
    SimPlace where = {.board = m->board,
                      .ram_bytes = m->cfg.ram_bytes,
                      .isa = isa,
                      .mmu = s->isa->fdt_mmu(s->cpu),
                      .elf_machine = s->isa->elf_machine};
    int rc = sim_boot_place(&where, boot, &mem, &m->fdt, &start, err);
    rc = rc ? rc : vcpus_boot(s, &start, err);
    if (!rc) {
        m->has_tohost = start.has_tohost;
        m->tohost = start.tohost;
        sim_board_watch(s);
    }
    return rc;
}

const void *sim_board_fdt(const Sim *s, size_t *n)
{
    *n = s->machine ? s->machine->fdt.n : 0;
    return *n ? s->machine->fdt.data : NULL;
}

size_t sim_board_input(Sim *s, const void *bytes, size_t n)
{
    size_t taken = s->machine ? board_input(s->machine->board, bytes, n) : 0;
    if (taken && s->machine->is_threaded) {
        sim_threads_look(s);
    }
    return taken;
}

void sim_board_poll(Sim *s)
{
    if (s->machine) {
        board_poll(s->machine->board);
        if (s->machine->is_threaded) {
            sim_threads_look(s);
        }
    }
}

uint64_t sim_board_now_ns(const Sim *s)
{
    return s->machine ? s->machine->round_ns : 0;
}

/* ---- all vcpus in turn ---- */
void sim_finish_fill(Sim *s, SimExit *out)
{
    SimMachine *m = s->machine;
    m->is_finished = false;
    out->kind = m->finish_kind == FINISH_RESET ? SIM_EXIT_system_reset : SIM_EXIT_system_down;
    out->addr = m->finish_kind == FINISH_FAIL;
    out->value = m->finish_code;
}

/* One vcpu to the end of the round. true: a stop for the caller. *left: instructions of the whole run. */
static bool vcpu_turn(SimVcpu *v, uint64_t end_ns, bool is_step, uint64_t *left, SimExit *out)
{
    SimMachine *m = v->s->machine;
    while (!v->is_parked && exec_clock_ns(v->x) < end_ns) {
        uint64_t before = exec_insns(v->x);
        sim_serve(v, true);
        ExecStop stop = exec_run(v->x, &(ExecRun){.insns = *left, .until_ns = end_ns, .is_step = is_step});
        *left -= *left == UINT64_MAX ? 0 : exec_insns(v->x) - before;
        if (v->is_suspended && !exec_is_waiting(v->x)) {
            v->is_suspended = false;
            sbi_resumed(m->sbi, v->id);
        }
        if (stop == EXEC_CLOCK) {
            return false;
        }
        if (stop == EXEC_WAIT) {
            exec_clock_set(v->x, end_ns);
            return false;
        }
        if (stop == EXEC_ENDED && !m->is_finished) {
            continue; /* parked itself */
        }
        sim_exit_fill(v, stop, out);
        if (stop == EXEC_ENDED) {
            sim_finish_fill(v->s, out);
        }
        return true;
    }
    return false;
}

/* Everybody idles: the next instant at which something happens; UINT64_MAX: never, by itself. */
static uint64_t idle_until(Sim *s)
{
    uint64_t at = UINT64_MAX;
    for (unsigned i = 0; i < s->machine->cfg.nvcpus; i++) {
        SimVcpu *v = s->vcpu[i];
        if (v->is_parked) {
            continue;
        }
        if (!exec_is_waiting(v->x) || exec_has_news(v->x)) {
            return 0;
        }
        uint64_t deadline = exec_deadline(v->x);
        at = deadline < at ? deadline : at;
    }
    return at;
}

static void skip_to(Sim *s, uint64_t ns, uint64_t quantum)
{
    SimMachine *m = s->machine;
    if (ns > m->round_ns) {
        m->round_ns += (ns - m->round_ns) / quantum * quantum; /* rounds stay where they would have been */
    }
}

int sim_run_all(Sim *s, uint64_t quantum, const SimRun *until, uint8_t *who, SimExit *out, Err *err)
{
    SimMachine *m = s->machine;
    if (!m || !quantum) {
        return err_set(err, ERR_STATE, "running all vcpus needs a board and a quantum");
    }
    if (sim_threads_stop_take(s, who, out)) {
        return 0;
    }
    for (uint64_t left = until->insns;;) {
        for (; m->turn < m->cfg.nvcpus; m->turn++) {
            if (vcpu_turn(s->vcpu[m->turn], m->round_ns + quantum, until->is_step, &left, out)) {
                *who = (uint8_t)m->turn;
                return 0;
            }
        }
        m->turn = 0;
        m->round_ns += quantum;
        uint64_t at = idle_until(s);
        if (at == UINT64_MAX) {
            *who = 0;
            sim_exit_fill(s->vcpu[0], EXEC_WAIT, out);
            return 0;
        }
        skip_to(s, until->until_ns && until->until_ns < at ? until->until_ns : at, quantum);
        if (until->until_ns && m->round_ns >= until->until_ns) {
            *who = 0;
            sim_exit_fill(s->vcpu[0], EXEC_BUDGET, out);
            return 0;
        }
    }
}
