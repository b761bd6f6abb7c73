/* SPDX-License-Identifier: Apache-2.0
 * sim.c - Sims, their memory and vcpus, registers. sim_run.c runs them; sim_board.c puts a machine around them. */
#include "sim/sim_int.h"

#include "sim/devices/devices.h"

#include "sim/base/hash.h"
#include "sim/base/os.h"
#include "sim/base/worker.h"
#include "sim/engines.h"

#include <string.h>

/* ---- what a vcpu asks of its surroundings ---- */
/* The device at gpa; NULL: there is none. */
static const SpaceHit *device_at(SimVcpu *v, uint64_t gpa)
{
    uint64_t version = space_version(v->s->space);
    if (v->io_version == version && gpa - v->io.gpa < v->io.size_bytes) {
        return &v->io;
    }
    v->io_version = 0;
    if (!space_find(v->s->space, gpa, &v->io) || !v->io.device) {
        return NULL;
    }
    v->io_version = version;
    return &v->io;
}

static IoResult on_io(void *ctx, ExecVcpu *x, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value)
{
    SimVcpu *v = ctx;
    (void)x;
    if (!v->serves_board) {
        return IO_EXTERNAL;
    }
    const SpaceHit *hit = device_at(v, gpa);
    if (!hit) {
        return v->s->machine ? IO_FAULT : IO_EXTERNAL; /* on a machine that is whole, nobody answers there */
    }
    int rc = is_write ? hit->device->write(hit->ctx, v->id, gpa - hit->gpa, size_bytes, *value)
                      : hit->device->read(hit->ctx, v->id, gpa - hit->gpa, size_bytes, value);
    if (is_write && v->s->machine && v->s->machine->is_threaded) {
        sim_threads_look(v->s);
    }
    return rc ? IO_FAULT : IO_DONE;
}

static bool on_way(void *ctx, ExecVcpu *x, uint64_t gpa, MmuWay *out)
{
    SimVcpu *v = ctx;
    (void)x;
    const SpaceHit *hit = v->serves_board ? device_at(v, gpa) : NULL;
    if (hit) {
        *out = (MmuWay){.read = hit->device->read, .ctx = hit->ctx, .who = v->id, .base = hit->gpa};
    }
    return hit;
}

static uint64_t on_deadline(void *ctx, ExecVcpu *x)
{
    (void)x;
    return sim_board_deadline(ctx);
}

static void on_tick(void *ctx, ExecVcpu *x)
{
    (void)x;
    sim_board_tick(ctx);
}

static bool has_peers(void *ctx, ExecVcpu *x)
{
    (void)x;
    return atomic_load_explicit(&((SimVcpu *)ctx)->s->nvcpus, memory_order_relaxed) > 1;
}

/* One vcpu in virtual time is mostly alone with its board. */
static void on_slice(void *ctx, ExecVcpu *x, bool is_begun)
{
    SimVcpu *v = ctx;
    const SimMachine *m = v->s->machine;
    if (is_begun) {
        v->keeps_board = v->serves_board && m && !m->is_threaded && !has_peers(ctx, x) && board_keep(m->board);
    } else if (v->keeps_board) {
        v->keeps_board = false;
        board_give(m->board);
    }
}

static bool on_call(void *ctx, ExecVcpu *x)
{
    (void)x;
    return ((SimVcpu *)ctx)->serves_board && sim_board_call(ctx);
}

static bool is_watched(void *ctx, ExecVcpu *x, uint64_t gpa, unsigned size_bytes)
{
    (void)x;
    return sim_board_is_watched(((SimVcpu *)ctx)->s, gpa, size_bytes);
}

static void on_code_page(void *ctx, ExecVcpu *x)
{
    const Sim *s = ((SimVcpu *)ctx)->s;
    for (unsigned i = 0; has_peers(ctx, x) && i < SIM_MAX_VCPUS; i++) {
        if (s->vcpu[i] && s->vcpu[i]->x != x) {
            exec_code_page(s->vcpu[i]->x);
        }
    }
}

static bool is_code_seen(void *ctx, ExecVcpu *x)
{
    const Sim *s = ((SimVcpu *)ctx)->s;
    unsigned left = atomic_load_explicit(&s->nvcpus, memory_order_relaxed);
    for (unsigned i = 0; i < SIM_MAX_VCPUS && left; i++) {
        const SimVcpu *v = s->vcpu[i];
        left -= v != NULL;
        if (v && v->x != x && !exec_sees_code(v->x)) {
            return false;
        }
    }
    return true;
}

static void code_written(const Sim *s, const ExecVcpu *writer, uint64_t gpa, uint64_t n)
{
    for (unsigned i = 0; i < SIM_MAX_VCPUS; i++) {
        if (s->vcpu[i] && s->vcpu[i]->x != writer) {
            exec_code_written(s->vcpu[i]->x, gpa, n);
        }
    }
}

static void on_code_written(void *ctx, ExecVcpu *x, uint64_t gpa, uint64_t n)
{
    SimVcpu *v = ctx;
    if (has_peers(ctx, x)) {
        code_written(v->s, x, gpa, n);
    }
    if (sim_board_is_watched(v->s, gpa, n)) {
        sim_board_watched(v);
    }
}

static void on_space_code(void *ctx, uint64_t gpa, uint64_t n)
{
    code_written(ctx, NULL, gpa, n);
}

/* ---- create ---- */
int sim_new(const SimConfig *cfg, Sim **out, Err *err)
{
    const GuestIsa *isa = guest_isa(cfg->guest);
    if (!isa) {
        return err_set(err, ERR_UNSUPPORTED, "no simulator of guest '%.40s'", cfg->guest ? cfg->guest : "");
    }
    int rc = sim_engine_check(cfg->engine, err);
    if (rc) {
        return rc;
    }
    if (cfg->jit_threads > SIM_MAX_JIT_THREADS) {
        return err_set(err, ERR_INVAL, "%u threads to make code, expected at most %u", (unsigned)cfg->jit_threads,
                       (unsigned)SIM_MAX_JIT_THREADS);
    }
    void *cpu = x_alloc(isa->cpu_bytes);
    rc = isa->cpu_parse(cfg->cpu, cpu, err);
    if (rc) {
        mem_free(cpu);
        return rc;
    }
    if (cfg->is_virt && isa->cpu_virt) {
        isa->cpu_virt(cpu);
    }
    Sim *s = x_alloc(sizeof *s);
    s->cfg = *cfg;
    s->cfg.guest = isa->name;
    s->cfg.cpu = NULL; /* parsed */
    s->isa = isa;
    s->cpu = cpu;
    s->worker = cfg->jit_threads ? worker_new(cfg->jit_threads) : NULL;
    s->space = space_new();
    space_on_code(s->space, on_space_code, s);
    *out = s;
    return 0;
}

int sim_isa_string(const char *guest, const char *cpu, char *text, size_t size, Err *err)
{
    const GuestIsa *isa = guest_isa(guest);
    if (!isa) {
        return err_set(err, ERR_UNSUPPORTED, "no simulator of guest '%.40s'", guest ? guest : "");
    }
    void *parsed = x_alloc(isa->cpu_bytes);
    int rc = isa->cpu_parse(cpu, parsed, err);
    if (!rc) {
        isa->isa_string(parsed, true, text, size);
    }
    mem_free(parsed);
    return rc;
}

void sim_space_set(Sim *s, Space *space)
{
    space_free(s->space);
    s->space = space;
    space_on_code(space, on_space_code, s);
}

void sim_free(Sim *s)
{
    if (!s) {
        return;
    }
    sim_halt(s);
    for (unsigned i = 0; i < SIM_MAX_VCPUS; i++) {
        sim_vcpu_free(s->vcpu[i]);
    }
    sim_board_free(s);
    space_free(s->space);
    worker_free(s->worker);
    mem_free(s->cpu);
    mem_free(s);
}

void sim_free_last(Sim *s)
{
    os_pages_leave(true);
    sim_free(s);
    os_pages_leave(false);
}

GuestId sim_guest(const Sim *s)
{
    return s->isa->id;
}

/* ---- memory ---- */
int sim_ram_new(Sim *s, uint64_t size_bytes, uint32_t *ram, Err *err)
{
    return space_ram_new(s->space, size_bytes, ram, err);
}

int sim_map(Sim *s, uint64_t gpa, uint64_t size_bytes, uint32_t ram, uint64_t offset, uint32_t flags, Err *err)
{
    return space_map(s->space, gpa, size_bytes, ram, offset, flags, err);
}

int sim_unmap(Sim *s, uint64_t gpa, uint64_t size_bytes, Err *err)
{
    return space_unmap(s->space, gpa, size_bytes, err);
}

int sim_mem_read(Sim *s, uint64_t gpa, void *buf, size_t n, Err *err)
{
    return space_read(s->space, gpa, buf, n, err);
}

int sim_mem_write(Sim *s, uint64_t gpa, const void *buf, size_t n, Err *err)
{
    return space_write(s->space, gpa, buf, n, err);
}

/* A page that becomes clean must come to the slow path again when it is stored to. */
int sim_dirty_get(Sim *s, uint64_t gpa, uint64_t size_bytes, uint8_t *bits, bool clear, Err *err)
{
    int rc = space_dirty_get(s->space, gpa, size_bytes, bits, clear, err);
    for (unsigned i = 0; !rc && clear && i < SIM_MAX_VCPUS; i++) {
        if (s->vcpu[i]) {
            exec_code_page(s->vcpu[i]->x);
        }
    }
    return rc;
}

/* ---- vcpus ---- */
int sim_vcpu_new(Sim *s, uint8_t id, SimVcpu **out, Err *err)
{
    if (s->vcpu[id]) {
        return err_set(err, ERR_EXIST, "vcpu %u exists", id);
    }
    SimVcpu *v = x_alloc(sizeof *v);
    const char *why;
    v->s = s;
    v->id = id;
    ExecConfig cfg = {.isa = s->isa,
                      .engine = engine_of(s->cfg.engine, &why),
                      .cpu = s->cpu,
                      .space = s->space,
                      .max_block_insns = s->cfg.max_block_insns,
                      .block_seed = s->cfg.block_seed,
                      .worker = s->worker,
                      .store = s->cfg.code};
    ExecHost host = {.ctx = v,
                     .io = on_io,
                     .way = on_way,
                     .deadline = on_deadline,
                     .tick = on_tick,
                     .slice = on_slice,
                     .call = on_call,
                     .has_peers = has_peers,
                     .code_page = on_code_page,
                     .is_code_seen = is_code_seen,
                     .code_written = on_code_written,
                     .is_watched = is_watched};
    v->x = exec_new(&cfg, &host, id);
    if (s->is_covered) {
        exec_cover(v->x);
    }
    s->vcpu[id] = v;
    atomic_fetch_add(&s->nvcpus, 1);
    int rc = sim_vcpu_reset(v, &(SimReset){.hw_id = id}, err);
    if (rc) {
        sim_vcpu_free(v);
        return rc;
    }
    *out = v;
    return 0;
}

SimVcpu *sim_vcpu_at(const Sim *s, uint8_t id)
{
    return s->vcpu[id];
}

void sim_vcpu_free(SimVcpu *v)
{
    if (v) {
        v->s->vcpu[v->id] = NULL;
        atomic_fetch_sub(&v->s->nvcpus, 1);
        exec_free(v->x);
        mem_free(v);
    }
}

static int stage2_check(const Sim *s, uint64_t root, Err *err)
{
    if (!s->isa->stage2_check || !s->cfg.is_virt) {
        return err_unsupported(err, "sim", "stage2_table",
                               s->cfg.is_virt ? "this guest's second stage of translation is not simulated"
                                              : "a whole machine has no level below it");
    }
    return s->isa->stage2_check(root, err);
}

int sim_vcpu_reset(SimVcpu *v, const SimReset *how, Err *err)
{
    int rc = how->has_stage2 ? stage2_check(v->s, how->stage2, err) : 0;
    if (rc) {
        return rc;
    }
    GuestReset g = {.is_virt = v->s->cfg.is_virt,
                    .hw_id = how->hw_id,
                    .entry = how->entry,
                    .arg = how->arg,
                    .has_stage2 = how->has_stage2,
                    .stage2 = how->stage2,
                    .cpu = v->s->cpu};
    v->how = *how;
    v->is_parked = how->is_parked;
    exec_forget(v->x);
    v->s->isa->reset(exec_frame(v->x), &g);
    exec_state_changed(v->x);
    return 0;
}

/* ---- registers ---- */
int sim_reg_get(SimVcpu *v, RegId id, void *bytes, Err *err)
{
    return v->s->isa->reg_get(exec_frame(v->x), id, bytes, err);
}

int sim_reg_set(SimVcpu *v, RegId id, const void *bytes, Err *err)
{
    if (exec_reply_due(v->x) || exec_is_replied(v->x)) {
        return err_set(err, ERR_BUSY, "vcpu %u: an access awaits its reply", v->id);
    }
    int rc = v->s->isa->reg_set(exec_frame(v->x), id, bytes, err);
    if (!rc && REG_CLASS(id) != REG_GPR && REG_CLASS(id) != REG_FP) {
        exec_state_changed(v->x);
    }
    return rc;
}

size_t sim_reg_list(const SimVcpu *v, RegId *ids, size_t cap)
{
    return v->s->isa->reg_list(exec_frame(v->x), ids, cap);
}

bool sim_translate(SimVcpu *v, uint64_t gva, uint32_t access, uint64_t *gpa)
{
    return exec_translate(v->x, gva, (Access)(access | ACC_PROBE), gpa);
}

int sim_vcpu_line(SimVcpu *v, uint32_t line, bool level, Err *err)
{
    if (line >= LINE_COUNT) {
        return err_set(err, ERR_INVAL, "line %u: expected less than %d", line, LINE_COUNT);
    }
    exec_line(v->x, (GuestLine)line, level);
    return 0;
}

int sim_breaks(SimVcpu *v, const SimBreak *list, size_t n, Err *err)
{
    ExecBreak breaks[EXEC_MAX_BREAKS];
    for (size_t i = 0; i < n && i < EXEC_MAX_BREAKS; i++) {
        breaks[i] = (ExecBreak){.gva = list[i].gva, .len = list[i].len, .access = list[i].access};
    }
    return exec_breaks(v->x, breaks, n, err);
}

uint64_t sim_insns(const SimVcpu *v)
{
    return exec_insns(v->x);
}

uint64_t sim_clock_ns(const SimVcpu *v)
{
    return exec_clock_ns(v->x);
}

void sim_clock_set(SimVcpu *v, uint64_t ns)
{
    exec_clock_move(v->x, ns);
}

bool sim_is_waiting(const SimVcpu *v)
{
    return exec_is_waiting(v->x);
}

void sim_wait_set(SimVcpu *v, bool is_waiting)
{
    (is_waiting ? exec_wait : exec_wake)(v->x);
}

void sim_call_return(SimVcpu *v, const uint64_t *ret, unsigned n)
{
    v->s->isa->call_return(exec_frame(v->x), ret, n);
}

/* ---- watching ---- */
static uint64_t hash_more(uint64_t h, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint64_t word;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    for (; n; n--, p++) {
        h = (h ^ *p) * 0x100000001b3ull;
    }
    return h;
}

typedef struct {
    SimCodeSeen *seen;
    void *ctx;
} CodeSeen;

static void on_code(void *ctx, ExecCodeKind kind, const char *what, uint64_t at, const void *bytes, size_t n)
{
    static const SimCodeKind kinds[] = {
        [EXEC_CODE_GUEST] = SIM_CODE_GUEST, [EXEC_CODE_IR] = SIM_CODE_IR, [EXEC_CODE_HOST] = SIM_CODE_HOST};
    const CodeSeen *s = ctx;
    s->seen(s->ctx, kinds[kind], what, at, bytes, n);
}

void sim_code(SimVcpu *v, uint64_t gva, SimCodeSeen *seen, void *ctx)
{
    exec_code(v->x, gva, on_code, &(CodeSeen){seen, ctx});
}

uint64_t sim_vcpu_hash(SimVcpu *v)
{
    RegId ids[512];
    size_t n = sim_reg_list(v, ids, ARRAY_LEN(ids));
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < n && i < ARRAY_LEN(ids); i++) {
        uint8_t bytes[64] = {0};
        if (!sim_reg_get(v, ids[i], bytes, NULL)) {
            h = hash_more(h, bytes, REG_SIZE(ids[i]));
        }
    }
    ExecState state;
    exec_state_get(v->x, &state);
    h = hash_more(h, &state.insns, sizeof state.insns);
    h = hash_more(h, &state.skipped_ns, sizeof state.skipped_ns);
    return hash_more(h, &state.is_waiting, sizeof state.is_waiting);
}

static bool is_zero_page(const uint8_t *page)
{
    static const uint8_t zero[SPACE_PAGE_BYTES];
    return !memcmp(page, zero, sizeof zero);
}

/* Pages that are not zero, each with its place: reading a page that nobody has touched would commit it. */
uint64_t sim_ram_hash(Sim *s)
{
    SpaceRam rams[SPACE_MAX_RAMS];
    size_t n = space_rams(s->space, rams, SPACE_MAX_RAMS);
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < n; i++) {
        uint64_t from = 0, first, npages;
        for (; space_ram_touched(s->space, (uint32_t)i, from, &first, &npages); from = first + npages) {
            for (uint64_t at = first; at < first + npages; at++) {
                const uint8_t *page = rams[i].host + at * SPACE_PAGE_BYTES;
                if (!is_zero_page(page)) {
                    h = hash_more(h, &at, sizeof at);
                    h = hash_more(h, page, SPACE_PAGE_BYTES);
                }
            }
        }
    }
    return h;
}

void sim_cover(Sim *s)
{
    s->is_covered = true;
    for (unsigned i = 0; i < SIM_MAX_VCPUS; i++) {
        if (s->vcpu[i]) {
            exec_cover(s->vcpu[i]->x);
        }
    }
    if (s->machine) {
        board_cover(s->machine->board);
    }
}

void sim_cover_items(const Sim *s, Buf *out)
{
    exec_cover_items(s->isa, out);
    devices_cover(out);
}

void sim_cover_read(Sim *s, Buf *out)
{
    for (unsigned i = 0; i < SIM_MAX_VCPUS; i++) {
        if (s->vcpu[i]) {
            exec_cover_read(s->vcpu[i]->x, out);
        }
    }
    if (s->machine) {
        board_cover_read(s->machine->board, out);
    }
}

void sim_stats(const SimVcpu *v, SimStats *out)
{
    ExecStats e;
    exec_stats(v->x, &e);
    *out = (SimStats){.insns = exec_insns(v->x),
                      .blocks = e.blocks,
                      .translations = e.translations,
                      .tlb_fills = e.tlb_fills,
                      .walks = e.walks,
                      .io = e.io,
                      .traps = e.traps};
}
