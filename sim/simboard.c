/* SPDX-License-Identifier: Apache-2.0
 * simboard.c - a board that stands alone, for vcpus of other backends: sim/machine's devices and sim/firmware's calls
 * behind call-backs. The firmware has a lock of its own, taken before the board's. */
#include "sim/sim.h"

#include "sim/base/mem.h"
#include "sim/devices/boards.h"
#include "sim/devices/devices.h"
#include "sim/devices/virtio_cards.h"
#include "sim/firmware/sbi.h"
#include "sim/guest/guest.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { NS_PER_TICK = 100 };

struct SimBoard {
    SimBoardHost host;
    unsigned nvcpus;
    Board *board;
    VirtioCard *rng;
    Sbi *sbi;                                 /* NULL: no firmware */
    pthread_mutex_t lock;                     /* of sbi */
    _Atomic uint64_t timer_ns[SBI_MAX_HARTS]; /* the firmware's; UINT64_MAX = off */
};

/* ---- what devices do to vcpus ---- */
static void on_line(void *ctx, unsigned vcpu, unsigned line, bool level)
{
    const SimBoard *b = ctx;
    b->host.line(b->host.ctx, vcpu, line, level);
}

static uint64_t on_now(void *ctx, unsigned vcpu)
{
    const SimBoard *b = ctx;
    return b->host.now_ns(b->host.ctx, vcpu);
}

static void on_output(void *ctx, const void *bytes, size_t n)
{
    const SimBoard *b = ctx;
    b->host.output(b->host.ctx, bytes, n);
}

static void on_finish(void *ctx, unsigned vcpu, int kind, uint32_t code)
{
    const SimBoard *b = ctx;
    (void)code;
    b->host.finish(b->host.ctx, vcpu, kind == FINISH_RESET, kind == FINISH_FAIL);
}

static bool on_mem_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    const SimBoard *b = ctx;
    return b->host.mem_read(b->host.ctx, gpa, bytes, n);
}

static bool on_mem_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    const SimBoard *b = ctx;
    return b->host.mem_write(b->host.ctx, gpa, bytes, n);
}

/* Of all slots only the last one has something in it. */
static void *on_peer(void *ctx, const BoardRow *row)
{
    return row->type == &device_virtio_mmio && row->param == VIRTIO_SLOTS - 1 ? ((SimBoard *)ctx)->rng : NULL;
}

/* ---- what the firmware does to them ---- */
static void sbi_set_timer(void *ctx, unsigned hart, uint64_t ns)
{
    SimBoard *b = ctx;
    atomic_store(&b->timer_ns[hart], ns);
    b->host.line(b->host.ctx, hart, LINE_TIMER, false);
}

static void sbi_send_ipi(void *ctx, unsigned hart)
{
    const SimBoard *b = ctx;
    b->host.pulse(b->host.ctx, hart, LINE_SOFTWARE);
}

static void sbi_fence_i(void *ctx, unsigned hart)
{
    const SimBoard *b = ctx;
    b->host.fence(b->host.ctx, hart);
}

static void sbi_sfence_vma(void *ctx, unsigned hart, uint64_t start, uint64_t size, uint64_t asid)
{
    (void)start;
    (void)size;
    (void)asid; /* more may always be flushed than was asked for */
    sbi_fence_i(ctx, hart);
}

static void sbi_start(void *ctx, unsigned hart, uint64_t addr, uint64_t arg)
{
    const SimBoard *b = ctx;
    b->host.start(b->host.ctx, hart, addr, arg);
}

static bool sbi_is_ram(void *ctx, uint64_t gpa, uint64_t n)
{
    const SimBoard *b = ctx;
    return b->host.is_ram(b->host.ctx, gpa, n);
}

static size_t sbi_console_write(void *ctx, const void *bytes, size_t n)
{
    const SimBoard *b = ctx;
    board_console_write(b->board, bytes, n);
    return n;
}

static size_t sbi_console_read(void *ctx, void *bytes, size_t cap)
{
    const SimBoard *b = ctx;
    return board_console_take(b->board, bytes, cap);
}

static Sbi *firmware_new(SimBoard *b)
{
    return sbi_new(&(SbiHost){.ctx = b,
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
                   b->nvcpus);
}

/* ---- life ---- */
int simboard_new(const SimBoardPlan *plan, const SimBoardHost *host, SimBoard **out, Err *err)
{
    const BoardDef *def = board_find(plan->guest, plan->is_virt);
    if (!def) {
        return err_set(err, ERR_UNSUPPORTED, "no board for guest '%.40s'", plan->guest);
    }
    SimBoard *b = x_alloc(sizeof *b);
    b->host = *host;
    b->nvcpus = plan->nvcpus;
    BoardHost board_host = {.ctx = b,
                            .line = on_line,
                            .now_ns = on_now,
                            .output = on_output,
                            .finish = on_finish,
                            .mem_read = on_mem_read,
                            .mem_write = on_mem_write,
                            .peer = on_peer};
    b->rng = virtio_rng_new(plan->seed);
    int rc = board_new(def, plan->nvcpus, &board_host, &b->board, err);
    if (rc) {
        virtio_card_free(b->rng);
        mem_free(b);
        return rc;
    }
    pthread_mutex_init(&b->lock, NULL);
    for (unsigned i = 0; i < SBI_MAX_HARTS; i++) {
        atomic_init(&b->timer_ns[i], UINT64_MAX);
    }
    b->sbi = plan->has_firmware && plan->is_virt ? firmware_new(b) : NULL;
    *out = b;
    return 0;
}

void simboard_free(SimBoard *b)
{
    if (b) {
        board_free(b->board);
        virtio_card_free(b->rng);
        sbi_free(b->sbi);
        pthread_mutex_destroy(&b->lock);
        mem_free(b);
    }
}

static bool is_named(const BoardRow *row, const char *device)
{
    bool is_rng = row->type == &device_virtio_mmio && row->param == VIRTIO_SLOTS - 1;
    return !strcmp(row->type->name, device) || (is_rng && !strcmp(device, "virtio_rng"));
}

bool simboard_find(const char *guest, bool is_virt, const char *device, uint64_t *base)
{
    const BoardDef *def = board_find(guest, is_virt);
    for (size_t i = 0; def && i < def->nrows; i++) {
        if (is_named(&def->rows[i], device)) {
            *base = def->rows[i].base;
            return true;
        }
    }
    return false;
}

/* ---- devices ---- */
bool simboard_claims(const SimBoard *b, uint64_t gpa, bool *drives_lines)
{
    const BoardRow *row = board_claims(b->board, gpa);
    *drives_lines = row && row->type->drive;
    return row != NULL;
}

int simboard_access(SimBoard *b, unsigned vcpu, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value)
{
    return board_access(b->board, vcpu, gpa, size_bytes, is_write, value);
}

size_t simboard_input(SimBoard *b, const void *bytes, size_t n)
{
    return board_input(b->board, bytes, n);
}

uint64_t simboard_deadline(SimBoard *b, unsigned vcpu)
{
    if (vcpu >= b->nvcpus) {
        return UINT64_MAX;
    }
    uint64_t device = board_deadline(b->board, vcpu), timer = atomic_load(&b->timer_ns[vcpu]);
    return device < timer ? device : timer;
}

void simboard_tick(SimBoard *b, unsigned vcpu)
{
    if (vcpu >= b->nvcpus) {
        return;
    }
    uint64_t due = atomic_load(&b->timer_ns[vcpu]);
    if (due != UINT64_MAX && due <= b->host.now_ns(b->host.ctx, vcpu)) {
        atomic_store(&b->timer_ns[vcpu], UINT64_MAX);
        b->host.line(b->host.ctx, vcpu, LINE_TIMER, true);
    }
    board_tick(b->board, vcpu);
}

/* ---- firmware ---- */
bool simboard_takes(const SimBoard *b, uint64_t ext)
{
    enum { EXPERIMENTAL = 0x08000000, FIRMWARE_SPECIFIC = 0x0a000000 }; /* SBI 2.0, 3.4; vendors are between */
    return b->sbi && (ext < EXPERIMENTAL || ext >= FIRMWARE_SPECIFIC);
}

static void reply_fill(const SbiReply *r, SimBoardReply *out)
{
    static const SimCallAction actions[] = {
        [SBI_RETURN] = SIM_CALL_RETURN,   [SBI_RETURN_A0] = SIM_CALL_RETURN,      [SBI_STOP] = SIM_CALL_STOP,
        [SBI_SUSPEND] = SIM_CALL_SUSPEND, [SBI_SUSPEND_TO] = SIM_CALL_SUSPEND_TO, [SBI_SHUTDOWN] = SIM_CALL_OFF,
        [SBI_REBOOT] = SIM_CALL_RESET,
    };
    bool returns = r->action == SBI_RETURN || r->action == SBI_SUSPEND;
    *out = (SimBoardReply){.action = actions[r->action],
                           .is_failure = r->is_failure,
                           .nret = returns ? 2 : r->action == SBI_RETURN_A0,
                           .ret = {(uint64_t)r->error, r->value},
                           .entry = r->addr,
                           .arg = r->arg};
}

void simboard_call(SimBoard *b, unsigned vcpu, const SimBoardCall *call, SimBoardReply *out)
{
    SbiCall c = {.hart = vcpu, .ext = call->ext, .fid = call->fid};
    SbiReply r;
    assert(b->sbi && vcpu < b->nvcpus);
    memcpy(c.arg, call->arg, sizeof c.arg);
    pthread_mutex_lock(&b->lock);
    sbi_call(b->sbi, &c, &r);
    pthread_mutex_unlock(&b->lock);
    reply_fill(&r, out);
}

void simboard_resumed(SimBoard *b, unsigned vcpu)
{
    if (b->sbi && vcpu < b->nvcpus) {
        pthread_mutex_lock(&b->lock);
        sbi_resumed(b->sbi, vcpu);
        pthread_mutex_unlock(&b->lock);
    }
}

void simboard_started(SimBoard *b, unsigned vcpu)
{
    if (b->sbi && vcpu < b->nvcpus) {
        pthread_mutex_lock(&b->lock);
        sbi_started(b->sbi, vcpu);
        pthread_mutex_unlock(&b->lock);
    }
}

/* ---- state: 1 if there is firmware, its state, a timer of each vcpu; then the devices. A timer's line that is up is in
 * the vcpu's registers. ---- */
void simboard_save(SimBoard *b, Buf *out)
{
    pthread_mutex_lock(&b->lock);
    buf_le(out, b->sbi != NULL, 1);
    if (b->sbi) {
        sbi_save(b->sbi, out);
        for (unsigned i = 0; i < b->nvcpus; i++) {
            buf_le(out, atomic_load(&b->timer_ns[i]), 8);
        }
    }
    pthread_mutex_unlock(&b->lock);
    board_save(b->board, out);
}

static int firmware_read(const SimBoard *b, Cursor *in, Sbi *to, uint64_t *timer_ns, Err *err)
{
    int rc = sbi_restore(to, in, err);
    for (unsigned i = 0; !rc && i < b->nvcpus; i++) {
        timer_ns[i] = cursor_le(in, 8);
    }
    return rc || cursor_ok(in) ? rc : err_set(err, ERR_INVAL, "board: it ends within the timers");
}

int simboard_restore(SimBoard *b, Cursor *in, Err *err)
{
    uint64_t timer_ns[SBI_MAX_HARTS], has_firmware = cursor_le(in, 1);
    if (!cursor_ok(in) || has_firmware != (b->sbi != NULL)) {
        return err_set(err, ERR_INVAL, "board: its state is of one %s firmware", b->sbi ? "without" : "with");
    }
    Sbi *restored = b->sbi ? firmware_new(b) : NULL;
    int rc = restored ? firmware_read(b, in, restored, timer_ns, err) : 0;
    rc = rc ? rc : board_restore(b->board, in, err);
    if (rc) {
        sbi_free(restored);
        return rc;
    }
    sbi_free(b->sbi);
    b->sbi = restored;
    for (unsigned i = 0; restored && i < b->nvcpus; i++) {
        atomic_store(&b->timer_ns[i], timer_ns[i]);
    }
    return 0;
}

void simboard_cover(SimBoard *b)
{
    board_cover(b->board);
}

void simboard_cover_read(SimBoard *b, Buf *out)
{
    board_cover_read(b->board, out);
}
