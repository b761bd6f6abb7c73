/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/exec/exec_int.h"

#include "sim/base/os.h"

#include <assert.h>
#include <string.h>

/* Something has come up in this vcpu itself. */
static void disquiet(Frame *f)
{
    atomic_store_explicit(&f->is_quiet, 0, memory_order_relaxed);
}

/* ---- time ---- */
uint64_t exec_insns(const ExecVcpu *v)
{
    return frame_insns(v->f);
}

uint64_t exec_clock_ns(const ExecVcpu *v)
{
    return v->is_realtime ? os_now_ns() - v->epoch_ns : exec_insns(v) + v->skipped;
}

uint64_t exec_now_ns(const Frame *f)
{
    return exec_clock_ns(f->vcpu);
}

void exec_clock_set(ExecVcpu *v, uint64_t ns)
{
    if (ns > exec_clock_ns(v)) {
        v->skipped += ns - exec_clock_ns(v);
    }
}

void exec_clock_move(ExecVcpu *v, uint64_t ns)
{
    v->skipped = ns - exec_insns(v); /* modulo 2^64: the clock may be behind the instructions */
    if (v->isa->tick) {
        v->isa->tick(v->f, ns);
    }
}

bool exec_is_waiting(const ExecVcpu *v)
{
    return v->is_waiting;
}

/* A reservation of RAM that is mapped nowhere cannot be told, and is none. */
void exec_state_get(const ExecVcpu *v, ExecState *out)
{
    *out = (ExecState){
        .insns = exec_insns(v), .skipped_ns = v->skipped, .lines = atomic_load(&v->lines), .is_waiting = v->is_waiting};
    if (v->f->resv_size && space_gpa_of(v->cfg.space, (const uint8_t *)(uintptr_t)v->f->resv_host, &out->resv_addr)) {
        out->resv_val = v->f->resv_val;
        out->resv_size = v->f->resv_size;
    }
}

/* What the frame knows of its lines is in its registers. */
void exec_state_set(ExecVcpu *v, const ExecState *in)
{
    v->f->budget = 0;
    v->f->insns_end = in->insns;
    v->skipped = in->skipped_ns;
    v->is_waiting = in->is_waiting;
    SpaceHit hit;
    v->f->resv_size = 0;
    if (in->resv_size && space_find(v->cfg.space, in->resv_addr, &hit) && hit.host) {
        v->f->resv_host = (uintptr_t)hit.host + (in->resv_addr - hit.gpa);
        v->f->resv_val = in->resv_val;
        v->f->resv_size = in->resv_size;
    }
    atomic_store(&v->lines, in->lines);
    atomic_store(&v->pulses, 0);
    atomic_store(&v->touched, 0);
}

/* ---- mode ---- */
static void jump_clear(ExecVcpu *v, unsigned i)
{
    if (!v->jump_is_kept[i]) {
        return;
    }
    v->jump_is_kept[i] = false;
    memset(v->tables.jump[i], 0, sizeof v->tables.jump[i]);
    memset(v->tables.jump_parts[i], 0, sizeof v->tables.jump_parts[i]);
    jump_begin(v->tables.jump[i]);
}

static void jump_use(ExecVcpu *v, unsigned i)
{
    v->jump_used[i] = ++v->jump_uses;
    v->jump_now = i;
    v->f->jump = v->tables.jump[i];
}

enum { JUMP_KEY_VOID = 1 << 12 }; /* of a table that is free again: context 0 is none */

/* Contexts that were flushed do not come again: so that nobody has to look into their tables. */
static void jumps_drop_void(ExecVcpu *v)
{
    for (unsigned t = 0; t < JUMP_TABLES && v->jump_key[t]; t++) {
        if (v->jump_key[t] != JUMP_KEY_VOID && !mmu_has_fetch_key(v->mmu, v->jump_key[t] & UINT32_MAX)) {
            jump_clear(v, t);
            v->jump_key[t] = JUMP_KEY_VOID;
            v->jump_used[t] = 0;
        }
    }
}

/* The one for a new context: of those that are free the first, else the one that was not selected for the longest time. Contexts of
 * programs come and go, those of a kernel stay. */
static unsigned jump_oldest(const ExecVcpu *v)
{
    unsigned oldest = 0;
    for (unsigned i = 1; i < JUMP_TABLES; i++) {
        oldest = v->jump_used[i] < v->jump_used[oldest] ? i : oldest;
    }
    return oldest;
}

/* true: a table has been taken from another context. */
static bool jump_select(ExecVcpu *v, uint64_t key)
{
    unsigned i = 0;
    while (i < JUMP_TABLES && v->jump_key[i] != key) {
        i++;
    }
    bool is_taken = i == JUMP_TABLES;
    if (is_taken) {
        i = jump_oldest(v);
        jump_clear(v, i);
        v->jump_key[i] = key;
        jump_begin(v->tables.jump[i]);
    }
    jump_use(v, i);
    return is_taken;
}

static uint64_t *jump_parts(ExecVcpu *v, unsigned table, uint64_t gva)
{
    uint64_t n = (gva >> MMU_PAGE_BITS) * 0x9e3779b97f4a7c15ull >> (64 - JUMP_PAGE_BITS);
    return &v->tables.jump_parts[table][n];
}

static void jump_note(ExecVcpu *v, uint64_t gva)
{
    *jump_parts(v, v->jump_now, gva) |= 1ull << (gva >> JUMP_PART_BITS) % 64;
    v->jump_is_kept[v->jump_now] = true;
}
_Static_assert(MMU_PAGE_BITS - JUMP_PART_BITS == 6, "the parts of a page are the bits of a word");

static void jump_keep(ExecVcpu *v, const Block *b)
{
    jump_note(v, b->gva);
    if (b->nbytes2) {
        jump_note(v, b->gva + b->nbytes - b->nbytes2);
    }
    jump_put(v->f->jump, b->gva, b->code);
}

/* What leads to this part of a page, or to an instruction that goes on in it, by a jump. */
static void jumps_drop_part(ExecVcpu *v, unsigned table, uint64_t part)
{
    unsigned step = v->isa->insn_min_bytes;
    for (uint64_t pc = part - v->isa->insn_max_bytes + step; pc != part + (1u << JUMP_PART_BITS); pc += step) {
        jump_drop(v->tables.jump[table], pc);
    }
}

static void jumps_drop_page(ExecVcpu *v, uint64_t gva)
{
    uint64_t page = gva & ~(uint64_t)(SPACE_PAGE_BYTES - 1);
    for (unsigned t = 0; t < JUMP_TABLES && v->jump_key[t]; t++) {
        uint64_t parts = v->jump_key[t] == JUMP_KEY_VOID ? 0 : *jump_parts(v, t, page);
        for (; parts; parts &= parts - 1) {
            jumps_drop_part(v, t, page + ((uint64_t)__builtin_ctzll(parts) << JUMP_PART_BITS));
        }
    }
}

static void modes_forget(ExecVcpu *v)
{
    for (size_t i = 0; i < MODES; i++) {
        v->modes[i].word = 0;
    }
    v->mode_word = 0;
}

static Mode *mode_place(ExecVcpu *v, uint64_t word)
{
    return &v->modes[word * 0x9e3779b97f4a7c15ull >> 60];
}
_Static_assert(MODES == 1 << (64 - 60), "mode_place");

static void mode_find(ExecVcpu *v, uint64_t word)
{
    uint64_t space_tag;
    unsigned data, fetch;
    v->f->mode_key = v->isa->mode_key(v->f);
    v->f->is_code_flat = v->isa->fetch_is_flat(v->f->mode_key);
    v->isa->context(v->f, &space_tag, &data, &fetch);
    bool is_void = mmu_select(v->mmu, space_tag, data, fetch);
    uint64_t key = mmu_fetch_key(v->mmu), epoch = key >> 12;
    if (jump_select(v, (uint64_t)v->f->mode_key << 32 | key) || epoch != v->epoch || is_void) {
        modes_forget(v);
        v->epoch = epoch;
    }
    if (word) {
        Mode *m = mode_place(v, word);
        *m = (Mode){.word = word, .mode_key = v->f->mode_key, .jump = v->jump_now};
        mmu_context_get(v->mmu, &m->context);
    }
    v->mode_word = word;
}

/* After what is known to change the mode by what mode_word says, or else calls exec_changed. */
static void mode_follow(ExecVcpu *v)
{
    uint64_t word = v->isa->mode_word ? v->isa->mode_word(v->f) : 0;
    if (v->has_changed) {
        v->has_changed = false;
        modes_forget(v);
    }
    if (word && word == v->mode_word) {
        return;
    }
    const Mode *m = mode_place(v, word);
    if (!word || m->word != word) {
        mode_find(v, word);
        return;
    }
    v->f->mode_key = m->mode_key;
    mmu_context_set(v->mmu, &m->context);
    jump_use(v, m->jump);
    v->mode_word = word;
}

static void mode_refresh(ExecVcpu *v)
{
    v->has_changed = true;
    mode_follow(v);
}

void exec_changed(Frame *f)
{
    ((ExecVcpu *)f->vcpu)->has_changed = true;
    disquiet(f);
}

static void flush_all(ExecVcpu *v)
{
    mmu_flush(v->mmu, UINT64_MAX, UINT64_MAX);
    jumps_drop_void(v);
}

void exec_state_changed(ExecVcpu *v)
{
    flush_all(v);
    v->f->resv_size = 0;
    mode_refresh(v);
}

void exec_forget_translations(ExecVcpu *v)
{
    flush_all(v);
    mode_refresh(v);
}

void exec_flush_tlb(Frame *f, uint64_t gva, uint64_t space_tag)
{
    if (mmu_flush(f->mmu, gva, space_tag)) {
        jumps_drop_page(f->vcpu, gva);
    } else {
        jumps_drop_void(f->vcpu);
        exec_changed(f);
    }
}

/* Code linked across pages must be found again. */
void exec_flush_rights(Frame *f)
{
    ExecVcpu *v = f->vcpu;
    flush_all(v);
    exec_changed(f);
    if (v->has_far_links) {
        v->has_far_links = false;
        blocks_drop_all(v);
    }
}

static void take_ranges(ExecVcpu *v)
{
    pthread_mutex_lock(&v->post_lock);
    for (size_t i = 0; i < v->nranges; i++) {
        if (v->ranges[i].n == UINT64_MAX) {
            blocks_drop_all(v);
        } else {
            blocks_drop(v, v->ranges[i].gpa, v->ranges[i].n);
        }
    }
    v->nranges = 0;
    pthread_mutex_unlock(&v->post_lock);
}

void exec_flush_code(Frame *f)
{
    ExecVcpu *v = f->vcpu;
    if (v->host.has_peers(v->host.ctx, v)) { /* alone, every store to code is seen when it is made */
        take_ranges(v);
        blocks_drop_fresh(v);
    }
}

/* ---- what the mmu asks for ---- */
static IoResult on_io(void *ctx, uint64_t gva, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value)
{
    ExecVcpu *v = ctx;
    Frame *f = v->f;
    if (f->reply_next < f->nreplies) {
        bool is_fault = f->reply_is_fault && f->reply_next == f->nreplies - 1;
        *value = is_write ? *value : f->reply[f->reply_next];
        f->reply_next++;
        return is_fault ? IO_FAULT : IO_DONE;
    }
    IoResult r = v->host.io(v->host.ctx, v, gpa, size_bytes, is_write, value);
    if (is_write) {
        v->is_deadline_void = true;
        disquiet(f);
    }
    if (r == IO_DONE && f->nreplies < IR_MAX_REPLIES) {
        /* Kept, so that it is not made a second time if a later access of the instruction leaves the simulator. */
        f->reply_gpa[f->nreplies] = gpa;
        f->reply[f->nreplies++] = *value;
        f->reply_next = f->nreplies;
    }
    if (r == IO_EXTERNAL) {
        v->access = (ExecAccess){.is_write = is_write,
                                 .size_bytes = (uint8_t)size_bytes,
                                 .piece = (uint8_t)f->reply_next,
                                 .gva = gva,
                                 .gpa = gpa,
                                 .value = is_write ? *value : 0};
    }
    return r;
}

static bool on_way(void *ctx, uint64_t gpa, MmuWay *out)
{
    const ExecVcpu *v = ctx;
    return v->host.way && v->host.way(v->host.ctx, ctx, gpa, out);
}

static bool on_code_writing(void *ctx, uint64_t gpa, unsigned size_bytes)
{
    ExecVcpu *v = ctx;
    bool is_code = blocks_drop(v, gpa, size_bytes);
    return v->host.is_watched(v->host.ctx, v, gpa, size_bytes) || is_code;
}

static void on_code_written(void *ctx, uint64_t gpa, unsigned size_bytes)
{
    ExecVcpu *v = ctx;
    v->host.code_written(v->host.ctx, v, gpa, size_bytes);
}

static void on_mark_alone(void *ctx)
{
    ((ExecVcpu *)ctx)->want_mark = true;
}

static void on_watch(void *ctx, uint64_t gva, unsigned size_bytes, bool is_write)
{
    ExecVcpu *v = ctx;
    v->is_watch_hit = true;
    disquiet(v->f);
    v->access = (ExecAccess){.is_write = is_write, .size_bytes = (uint8_t)size_bytes, .gva = gva};
}

/* ---- from other threads ---- */
static void post(ExecVcpu *v, uint32_t what)
{
    atomic_fetch_or(&v->posted, what);
    atomic_store(&v->f->is_quiet, 0);
    if (atomic_load(&v->is_asleep) && atomic_exchange(&v->is_asleep, false)) {
        sem_post(&v->sleep);
    }
}

void exec_kick(ExecVcpu *v)
{
    post(v, POST_KICK);
}

void exec_line(ExecVcpu *v, GuestLine line, bool level)
{
    if (level) {
        atomic_fetch_or(&v->lines, 1u << line);
    } else {
        atomic_fetch_and(&v->lines, ~(1u << line));
    }
    atomic_fetch_or(&v->touched, 1u << line);
    post(v, POST_LINES);
}

void exec_pulse(ExecVcpu *v, GuestLine line)
{
    atomic_fetch_or(&v->pulses, 1u << line);
    post(v, POST_LINES);
}

void exec_wake(ExecVcpu *v)
{
    v->is_waiting = false;
}

void exec_wait(ExecVcpu *v)
{
    v->is_waiting = true;
}

void exec_code_page(ExecVcpu *v)
{
    atomic_fetch_add(&v->writes_asked, 1);
    post(v, POST_WRITES);
}

bool exec_sees_code(const ExecVcpu *v)
{
    return !atomic_load(&v->is_running) || atomic_load(&v->writes_done) == atomic_load(&v->writes_asked);
}

void exec_code_written(ExecVcpu *v, uint64_t gpa, uint64_t n)
{
    pthread_mutex_lock(&v->post_lock);
    if (v->nranges < MAX_POSTED_RANGES) {
        v->ranges[v->nranges].gpa = gpa;
        v->ranges[v->nranges++].n = n;
    } else {
        v->ranges[0].gpa = 0;
        v->ranges[0].n = UINT64_MAX; /* too many to tell apart */
    }
    pthread_mutex_unlock(&v->post_lock);
    post(v, POST_CODE);
}

/* Only what somebody has set: several lines may be one bit of the guest, and some bits the guest clears itself. */
static void take_lines(ExecVcpu *v)
{
    uint32_t touched = atomic_exchange(&v->touched, 0), lines = atomic_load(&v->lines);
    uint32_t pulses = atomic_exchange(&v->pulses, 0);
    for (unsigned i = 0; i < LINE_COUNT; i++) {
        if (touched >> i & 1) {
            v->isa->line(v->f, (GuestLine)i, lines >> i & 1);
        }
        if (pulses >> i & 1) {
            v->isa->line(v->f, (GuestLine)i, true);
        }
    }
}

enum { POST_STAYS = POST_KICK | POST_PAUSE }; /* until exec_run acts on it */

/* What others asked for since the last look, but for what ends a run. */
static void take_posted(ExecVcpu *v)
{
    uint32_t posted = atomic_load_explicit(&v->posted, memory_order_acquire);
    if (posted & ~(uint32_t)POST_STAYS) {
        posted = atomic_fetch_and(&v->posted, POST_STAYS);
    }
    if (posted & POST_FENCE) {
        exec_fence_self(v);
    }
    if (posted & POST_LINES) {
        take_lines(v);
    }
    if (posted & POST_CODE) {
        take_ranges(v);
    }
    if (posted & POST_WRITES) {
        uint64_t asked = atomic_load(&v->writes_asked);
        mmu_flush_writes(v->mmu);
        atomic_store(&v->writes_done, asked);
    }
    if (v->space_version != space_version(v->cfg.space)) {
        v->space_version = space_version(v->cfg.space);
        blocks_drop_all(v);
        flush_all(v);
        v->has_changed = true;
    }
    if (v->has_changed) { /* others may flush too */
        mode_refresh(v);
    }
    blocks_reap(v);
}

/* ---- breakpoints ---- */
bool exec_is_break(const ExecVcpu *v, uint64_t pc)
{
    for (size_t i = 0; i < v->nbreaks; i++) {
        if (v->breaks[i].gva == pc) {
            return true;
        }
    }
    return false;
}

int exec_breaks(ExecVcpu *v, const ExecBreak *list, size_t n, Err *err)
{
    if (n > EXEC_MAX_BREAKS) {
        return err_set(err, ERR_LIMIT, "%zu breakpoints: at most %d", n, EXEC_MAX_BREAKS);
    }
    v->nbreaks = v->nwatches = 0;
    for (size_t i = 0; i < n; i++) {
        if (list[i].access & ACC_EXEC) {
            v->breaks[v->nbreaks++] = list[i];
        } else {
            v->watches[v->nwatches++] =
                (MmuWatch){.gva = list[i].gva, .len = list[i].len ? list[i].len : 1, .access = list[i].access};
        }
    }
    blocks_drop_all(v);
    blocks_reap(v);
    mmu_watch(v->mmu, v->watches, v->nwatches);
    mode_refresh(v);
    return 0;
}

/* ---- traps ---- */
static void trap_take(ExecVcpu *v, const Trap *t)
{
    uint64_t insns = exec_insns(v);
    v->useless_traps = insns == v->last_trap_insns ? v->useless_traps + 1 : 0;
    v->last_trap_insns = insns;
    if (v->useless_traps) { /* a handler that faults at once would otherwise stop the clock, and never end the run */
        v->skipped++;
        v->end_insns -= v->end_insns != UINT64_MAX && v->end_insns > insns;
    }
    v->f->resv_size = 0;
    v->is_waiting = false;
    v->stats.traps++;
    if (v->cover) {
        v->isa->cover.trap(v->f, t);
    }
    v->isa->take_trap(v->f, t);
    mode_follow(v);
}

/* ---- running blocks ---- */
enum { GO_ON = -1 }; /* beside the values of ExecStop */

static void instruction_done(Frame *f)
{
    f->nreplies = f->reply_next = 0;
    f->reply_is_fault = false;
}

/* The guest's trap, or a fault of the level below it. */
static int trap_deliver(ExecVcpu *v, const Trap *t)
{
    Stage2Fault fault;
    if (v->isa->stage2_fault && v->isa->stage2_fault(v->f, t, &fault)) {
        v->access = (ExecAccess){
            .is_write = fault.acc == ACC_WRITE, .is_exec = fault.acc == ACC_EXEC, .gva = t->value, .gpa = fault.gpa};
        return EXEC_STAGE2;
    }
    trap_take(v, t);
    return GO_ON;
}

static int external_left(ExecVcpu *v, const Block *b)
{
    v->access.dst = v->access.is_write ? IR_ZERO : b->access_dst;
    v->access.is_signed = !v->access.is_write && b->access_aux & MEM_SIGNED;
    v->access.insn_len = b->last_len;
    v->access.reg_size_bytes = 8;
    v->is_external = true;
    return EXEC_EXTERNAL;
}

static int trap_left(ExecVcpu *v)
{
    Trap t = v->f->trap;
    instruction_done(v->f);
    return trap_deliver(v, &t);
}

static int sync_left(ExecVcpu *v)
{
    instruction_done(v->f);
    mode_follow(v);
    if (v->is_watch_hit) {
        v->is_watch_hit = false;
        return EXEC_BREAK;
    }
    return GO_ON;
}

static void slice_show(ExecVcpu *v, bool is_begun)
{
    if (v->host.slice) {
        v->host.slice(v->host.ctx, v, is_begun);
    }
}

static int stop_left(ExecVcpu *v)
{
    slice_show(v, false);
    mode_refresh(v);
    switch ((StopReason)v->f->stop_reason) {
    case STOP_WAIT:
        v->is_waiting = true;
        return GO_ON;
    case STOP_HYPERCALL:
        v->is_deadline_void = true;
        return v->host.call(v->host.ctx, v) ? (mode_refresh(v), GO_ON) : EXEC_CALL;
    }
    return GO_ON;
}

static void mark_if_asked(ExecVcpu *v)
{
    Fetch at;
    Trap trap;
    if (v->want_mark && mmu_fetch(v->mmu, v->f->pc, &at, &trap)) {
        blocks_mark_alone(v, at.gpa);
    }
    v->want_mark = false;
}

/* What an engine left with, when it is more than the next block. */
static int left_handle(ExecVcpu *v, Left left)
{
    switch (left) {
    case LEFT_EVENT:
        return v->f->event == EVENT_EXTERNAL ? external_left(v, v->f->left_block) : trap_left(v);
    case LEFT_STOP:
        instruction_done(v->f);
        return stop_left(v);
    case LEFT_SYNC:
        return sync_left(v);
    case LEFT_EXIT:
    case LEFT_INDIRECT:
    case LEFT_BUDGET:
        instruction_done(v->f);
        return GO_ON;
    }
    return GO_ON;
}

/* The instruction at pc alone, whatever it accesses, from the replies that there are. */
static int single_run(ExecVcpu *v)
{
    Frame *f = v->f;
    Trap trap;
    f->reply_next = 0;
    Block *b = block_get(v, KIND_SINGLE, 1, &trap);
    if (!b) {
        instruction_done(f);
        return trap_deliver(v, &trap);
    }
    if (f->budget < 1) { /* this is no moment for a deadline: the instruction has begun */
        f->insns_end += (uint64_t)(1 - f->budget);
        f->budget = 1;
    }
    Left left = v->cfg.engine->enter(v->engine, b->code, f);
    assert(left != LEFT_EVENT || f->event != EVENT_ALONE);
    return left_handle(v, left);
}

/* Both are in one page, and nowhere else. */
static bool is_near(const Block *from, const Block *to)
{
    return from->gva >> MMU_PAGE_BITS == to->gva >> MMU_PAGE_BITS && !from->nbytes2 && !to->nbytes2;
}

/* An exit to another page stays valid only while that page is where it was: it goes by way of the jump cache. */
static void exit_connect(ExecVcpu *v, Block *to)
{
    Block *from = v->f->left_block;
    if (from->kind != KIND_NORMAL || from->is_dead || to->is_dead) {
        return;
    }
    if (is_near(from, to)) {
        block_link(v, from, v->f->left_exit, to);
    } else if (v->isa->fetch_is_flat(v->f->mode_key)) {
        v->has_far_links = true;
        block_link(v, from, v->f->left_exit, to);
    } else if (!(from->by_jump >> v->f->left_exit & 1)) {
        from->by_jump |= (uint8_t)(1u << v->f->left_exit);
        v->cfg.engine->link(v->engine, from->code, v->f->left_exit, LINK_BY_JUMP_CACHE);
    }
}

/* The code at pc by way of the jump cache, which knows no lengths: if it is too long for the budget it comes back at once. */
static void *code_known(const Frame *f)
{
    return jump_find(f->jump, f->pc);
}

/* The code at pc, found or made, cut to the budget; left: why the block before was left. NULL: *trap is the fetch's. */
static void *code_get(ExecVcpu *v, Left left, Trap *trap)
{
    Block *b = block_get(v, KIND_NORMAL, 0, trap);
    if (!b) {
        return NULL;
    }
    if (left == LEFT_EXIT) {
        exit_connect(v, b);
    }
    if (!exec_is_break(v, b->gva)) { /* to a breakpoint every way leads through here */
        jump_keep(v, b);
    }
    if (b->ninsns > (uint64_t)v->f->budget) { /* the optimiser has made one step of it: it cannot be left half-way */
        b = block_get(v, KIND_CUT, (uint32_t)v->f->budget, trap);
        assert(b); /* the first byte has just been fetched; if one block can be made of it, so can a shorter one */
    }
    return b->code;
}

/* The guest's trap in Frame.trap, and what is to be done before it is taken; false: the outer loop must look at it. */
static bool trap_is_plain(ExecVcpu *v, const Frame *f, uint64_t insns)
{
    Stage2Fault fault;
    return f->event == EVENT_TRAP && insns != v->last_trap_insns &&
           !(v->isa->stage2_causes >> (f->trap.cause & 63) & 1 && v->isa->stage2_fault(f, &f->trap, &fault));
}

static bool trap_go_on(ExecVcpu *v, Frame *f)
{
    uint64_t insns = frame_insns(f);
    if (!trap_is_plain(v, f, insns)) {
        return false;
    }
    f->event = 0;
    f->resv_size = 0;
    v->useless_traps = 0;
    v->last_trap_insns = insns;
    v->stats.traps++;
    if (v->cover) {
        v->isa->cover.trap(f, &f->trap);
    }
    v->isa->take_trap(f, &f->trap);
    return true;
}

/* After a sync or trap that changed more than a word says at once. */
static __attribute__((noinline)) bool mode_is_followed(ExecVcpu *v)
{
    Trap t;
    mode_follow(v);
    return !v->isa->pending(v->f, &t);
}

/* Frame.go_on: what trap_left, sync_left and then the outer loop do, if no more is to be done. Once the trap is taken, the rest is
 * left to them as a sync. */
static LINE_ALIGNED GoOn go_on(Frame *f, uint64_t left)
{
    ExecVcpu *v = f->vcpu;
    if (!atomic_load_explicit(&f->is_quiet, memory_order_relaxed) ||
        v->space_version != atomic_load_explicit(v->space_version_now, memory_order_acquire)) {
        return (GoOn){NULL, left};
    }
    if (left == LEFT_EVENT) {
        if (!trap_go_on(v, f)) {
            return (GoOn){NULL, left};
        }
        left = LEFT_SYNC;
        if (v->has_changed) {
            return (GoOn){NULL, left};
        }
    }
    instruction_done(f);
    uint64_t word = v->calm_word ? v->calm_word(f) : 0;
    bool is_calm = word && word == v->mode_word && !v->has_changed;
    if ((!is_calm && !mode_is_followed(v)) || f->budget <= 0) {
        return (GoOn){NULL, left};
    }
    return (GoOn){code_known(f), left};
}

static int slice_run_blocks(ExecVcpu *v);

static void go_on_end(Frame *f)
{
    f->go_on = NULL;
    disquiet(f);
}

static int slice_run(ExecVcpu *v)
{
    v->f->go_on = v->may_go_on ? go_on : NULL;
    atomic_store(&v->f->is_quiet, v->may_go_on);
    if (atomic_load(&v->posted)) { /* who posts from now on sees that it is quiet */
        disquiet(v->f);
    }
    slice_show(v, true);
    int stop = slice_run_blocks(v);
    slice_show(v, false);
    go_on_end(v->f);
    return stop;
}

/* Runs until the budget is used up, or something happens that the outer loop must look at. */
static int slice_run_blocks(ExecVcpu *v)
{
    Frame *f = v->f;
    Left left = LEFT_BUDGET; /* of the block before */
    void *code = code_known(f);
    while (f->budget > 0) {
        Trap trap;
        bool is_known = code;
        if (!code && !(code = code_get(v, left, &trap))) {
            return trap_deliver(v, &trap);
        }
        int64_t budget = f->budget;
        v->stats.blocks++;
        left = v->cfg.engine->enter(v->engine, code, f);
        code = NULL;
        if (left == LEFT_EVENT && f->event == EVENT_ALONE) {
            mark_if_asked(v);
            go_on_end(f); /* this instruction alone */
            return single_run(v);
        }
        if (f->go_on && (left == LEFT_SYNC || left == LEFT_EVENT)) {
            GoOn next = go_on(f, left);
            left = (Left)next.left;
            code = next.code;
            if (code) {
                continue;
            }
        }
        bool is_too_long = is_known && left == LEFT_BUDGET && f->budget == budget;
        if ((left != LEFT_EXIT && left != LEFT_INDIRECT && !is_too_long) || exec_is_break(v, f->pc)) {
            return left_handle(v, left);
        }
    }
    return GO_ON;
}

/* ---- the outer loop ---- */
bool exec_has_news(const ExecVcpu *v)
{
    return atomic_load(&v->posted);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Within a run, only what this vcpu asks of its host moves the host's deadline. */
static uint64_t host_deadline(ExecVcpu *v)
{
    if (v->is_deadline_void) {
        v->is_deadline_void = false;
        v->host_deadline = v->host.deadline(v->host.ctx, v);
    }
    return v->host_deadline;
}

static uint64_t guest_deadline(const ExecVcpu *v)
{
    return v->isa->deadline ? v->isa->deadline(v->f) : UINT64_MAX;
}

uint64_t exec_deadline(ExecVcpu *v)
{
    return min_u64(guest_deadline(v), v->host.deadline(v->host.ctx, v));
}

static void timers_fire(ExecVcpu *v, uint64_t now)
{
    if (guest_deadline(v) <= now) {
        v->isa->tick(v->f, now);
    }
    if (host_deadline(v) <= now) {
        v->host.tick(v->host.ctx, v);
        v->is_deadline_void = true;
        take_posted(v);
    }
}

/* Idle: the clock goes on to what will wake it, if that is within the run's bounds. */
static int idle(ExecVcpu *v, uint64_t until_ns)
{
    if (v->isa->wakes(v->f)) {
        v->is_waiting = false;
        return GO_ON;
    }
    uint64_t at = min_u64(guest_deadline(v), host_deadline(v));
    if (at >= until_ns || v->is_realtime) {
        return EXEC_WAIT;
    }
    exec_clock_set(v, at);
    return GO_ON;
}

static bool is_stopped_by_break(ExecVcpu *v)
{
    if (!exec_is_break(v, v->f->pc) || (v->is_break_passed && v->break_insns == exec_insns(v))) {
        return false;
    }
    v->is_break_passed = true; /* the next run starts with this instruction */
    v->break_insns = exec_insns(v);
    v->access = (ExecAccess){.is_exec = true, .gva = v->f->pc};
    return true;
}

static void budget_set(ExecVcpu *v, uint64_t insns, uint64_t rest)
{
    v->f->budget = (int64_t)min_u64(rest, v->is_realtime ? EXEC_SLICE_REALTIME_INSNS : EXEC_SLICE_INSNS);
    v->f->insns_end = insns + (uint64_t)v->f->budget;
}

/* One turn: what is due now, else a slice. */
static int turn(ExecVcpu *v, const ExecRun *until)
{
    Trap t;
    uint64_t insns = exec_insns(v), now = exec_clock_ns(v);
    v->is_deadline_void = v->is_deadline_void || v->is_realtime; /* others move it */
    if (now >= until->until_ns) { /* what is due now is for the next run: so two runs are as one */
        return EXEC_CLOCK;
    }
    if (v->end_insns <= insns) {
        return EXEC_BUDGET;
    }
    uint64_t deadline = min_u64(guest_deadline(v), host_deadline(v));
    if (deadline <= now) {
        timers_fire(v, now);
        deadline = min_u64(guest_deadline(v), host_deadline(v));
    }
    if (v->isa->pending(v->f, &t)) {
        trap_take(v, &t);
        return GO_ON;
    }
    if (v->is_waiting) {
        return idle(v, until->until_ns);
    }
    if (v->nbreaks && is_stopped_by_break(v)) {
        return EXEC_BREAK;
    }
    uint64_t rest = min_u64(v->end_insns - insns, min_u64(deadline, until->until_ns) - now);
    budget_set(v, insns, until->is_step ? 1 : rest);
    return slice_run(v);
}

static ExecStop run(ExecVcpu *v, const ExecRun *until)
{
    uint64_t insns = exec_insns(v), traps = v->stats.traps;
    int stop = GO_ON;
    v->is_deadline_void = true;
    v->end_insns = until->insns > UINT64_MAX - insns ? UINT64_MAX : insns + until->insns;
    v->may_go_on = !until->is_step && !v->nbreaks;
    take_posted(v);
    if (v->is_replied) {
        v->is_replied = false;
        stop = single_run(v);
    }
    while (stop == GO_ON) {
        take_posted(v);
        if (v->is_ended) {
            v->is_ended = false;
            return EXEC_ENDED;
        }
        uint32_t posted = atomic_load_explicit(&v->posted, memory_order_acquire);
        if (posted & POST_KICK) {
            atomic_fetch_and(&v->posted, ~(uint32_t)POST_KICK);
            return EXEC_CANCELED;
        }
        if (posted & POST_PAUSE) {
            atomic_fetch_and(&v->posted, ~(uint32_t)POST_PAUSE);
            return EXEC_CLOCK;
        }
        if (until->is_step && (exec_insns(v) != insns || v->stats.traps != traps)) {
            return EXEC_STEP;
        }
        stop = turn(v, until);
    }
    return (ExecStop)stop;
}

ExecStop exec_run(ExecVcpu *v, const ExecRun *until)
{
    assert(!v->is_external); /* the caller has replied */
    atomic_store(&v->is_running, true);
    ExecStop stop = run(v, until);
    atomic_store(&v->is_running, false);
    return stop;
}

/* ---- accesses for the caller ---- */
const ExecAccess *exec_access(const ExecVcpu *v)
{
    return &v->access;
}

bool exec_reply_due(const ExecVcpu *v)
{
    return v->is_external;
}

bool exec_is_replied(const ExecVcpu *v)
{
    return v->is_replied;
}

void exec_reply(ExecVcpu *v, uint64_t value, bool is_fault)
{
    assert(v->is_external && v->f->nreplies < IR_MAX_REPLIES);
    v->f->reply_gpa[v->f->nreplies] = v->access.gpa;
    v->f->reply[v->f->nreplies++] = value;
    v->f->reply_is_fault = is_fault;
    v->is_external = false;
    v->is_replied = true;
}

bool exec_settle(ExecVcpu *v)
{
    if (v->is_replied) {
        v->is_replied = false;
        atomic_store(&v->is_running, true);
        take_posted(v);
        single_run(v);
        atomic_store(&v->is_running, false);
    }
    return v->is_external;
}

void exec_forget(ExecVcpu *v)
{
    instruction_done(v->f);
    v->is_external = v->is_replied = v->is_waiting = v->is_ended = v->is_watch_hit = v->is_break_passed = false;
    atomic_store(&v->pulses, 0);
    atomic_store(&v->touched,
                 atomic_load(&v->lines)); /* of the wires, the new frame has seen none: those that are high */
    atomic_fetch_or(&v->posted, POST_LINES);
}

void exec_end(ExecVcpu *v)
{
    v->is_ended = true;
    disquiet(v->f);
}

/* ---- real time ---- */
void exec_realtime(ExecVcpu *v, bool is_on, uint64_t epoch_ns)
{
    if (!is_on) {
        v->skipped = exec_clock_ns(v) - exec_insns(v);
        atomic_fetch_and(&v->posted, ~(uint32_t)POST_PAUSE);
    }
    v->is_realtime = is_on;
    v->epoch_ns = epoch_ns;
}

void exec_sleep(ExecVcpu *v, bool is_parked)
{
    uint32_t wakers =
        is_parked ? POST_POKE | POST_STAYS : UINT32_MAX; /* its frame is not its own: no look at the rest */
    atomic_store(&v->sleep_until, 0);
    atomic_store(&v->is_asleep, true);
    uint64_t until = is_parked ? UINT64_MAX : exec_deadline(v); /* who moves it from now on sees that it is asleep */
    atomic_store(&v->sleep_until, until);
    if (!(atomic_load(&v->posted) & wakers)) { /* what comes from now on sees that it is asleep */
        os_sem_wait_until(&v->sleep, until > UINT64_MAX - v->epoch_ns ? UINT64_MAX : until + v->epoch_ns);
    }
    atomic_fetch_add(&v->wakes, 1);
    atomic_store(&v->is_asleep, false);
    atomic_fetch_and(&v->posted, ~(uint32_t)POST_POKE);
}

void exec_poke(ExecVcpu *v)
{
    post(v, POST_POKE);
}

void exec_pause(ExecVcpu *v)
{
    post(v, POST_PAUSE);
}

bool exec_is_asleep(const ExecVcpu *v)
{
    return atomic_load(&v->is_asleep);
}

uint64_t exec_sleeps_until(const ExecVcpu *v)
{
    return atomic_load(&v->sleep_until);
}

uint64_t exec_wakes(const ExecVcpu *v)
{
    return atomic_load(&v->wakes);
}

uint64_t exec_fence(ExecVcpu *v, bool is_code)
{
    if (is_code) {
        atomic_store(&v->fence_code, true);
    }
    uint64_t ticket = atomic_fetch_add(&v->fence_asked, 1) + 1;
    post(v, POST_FENCE);
    return ticket;
}

bool exec_has_fenced(const ExecVcpu *v, uint64_t ticket)
{
    return atomic_load(&v->fence_done) >= ticket || atomic_load(&v->is_asleep);
}

void exec_fence_self(ExecVcpu *v)
{
    uint64_t asked = atomic_load(&v->fence_asked);
    if (asked != atomic_load(&v->fence_done)) {
        exec_flush_tlb(v->f, UINT64_MAX, UINT64_MAX);
        if (atomic_exchange(&v->fence_code, false)) {
            exec_flush_code(v->f);
        }
        atomic_store(&v->fence_done, asked);
    }
}

/* ---- life ---- */
ExecVcpu *exec_new(const ExecConfig *cfg, const ExecHost *host, unsigned id)
{
    ExecVcpu *v = os_pages_new(sizeof *v);
    v->cfg = *cfg;
    v->host = *host;
    v->isa = cfg->isa;
    v->calm_word = cfg->isa->calm_word;
    v->random = cfg->block_seed + id;
    v->f = x_alloc(cfg->isa->ir.frame_bytes);
    v->f->vcpu = v;
    v->f->jump = v->tables.jump[0]; /* until the first mode_refresh, before which nothing runs */
    v->engine = cfg->engine->create(&cfg->isa->ir);
    if (cfg->worker && cfg->engine->assist) {
        cfg->engine->assist(v->engine, cfg->worker);
    }
    if (cfg->store && cfg->engine->recall) {
        cfg->engine->recall(v->engine, cfg->store);
    }
    v->space_version = space_version(cfg->space);
    v->space_version_now = space_version_at(cfg->space);
    pthread_mutex_init(&v->post_lock, NULL);
    sem_init(&v->sleep, 0, 0);
    MmuHost mmu_host = {.ctx = v,
                        .io = on_io,
                        .way = on_way,
                        .code_writing = on_code_writing,
                        .code_written = on_code_written,
                        .mark_alone = on_mark_alone,
                        .watch = on_watch};
    v->mmu = mmu_new(v->f, cfg->space, &cfg->isa->mmu, &mmu_host);
    return v;
}

void exec_free(ExecVcpu *v)
{
    if (!v) {
        return;
    }
    blocks_free(v);
    v->cfg.engine->destroy(v->engine);
    mmu_free(v->mmu);
    mem_free(v->cover);
    pthread_mutex_destroy(&v->post_lock);
    sem_destroy(&v->sleep);
    mem_free(v->f);
    os_pages_free(v, sizeof *v);
}

Frame *exec_frame(ExecVcpu *v)
{
    return v->f;
}

bool exec_translate(ExecVcpu *v, uint64_t gva, Access acc, uint64_t *gpa)
{
    return mmu_translate(v->mmu, gva, acc, gpa);
}

void exec_stats(const ExecVcpu *v, ExecStats *out)
{
    *out = v->stats;
    MmuStats m;
    mmu_stats(v->mmu, &m);
    out->tlb_fills = m.fills;
    out->walks = m.walks;
    out->io = m.io;
}
