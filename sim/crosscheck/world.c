/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/crosscheck/world.h"

#include <stdio.h>
#include <string.h>

enum {
    RAM_GPA = 0x100000,
    FAR_GPA = 0x800000,
    DEVICE_GPA = 0x10000000,
    OUTSIDE_GPA = 0x20000000,
    NOBODY_GPA = 0x30000000,
    LOGGED = 11, /* page of RAM */
    PAGE = SPACE_PAGE_BYTES,
    CAUSE_PAGE = 13,
    CAUSE_BUS = 5,
    CAUSE_ALIGN = 4,
    FLAT_PAGES = 4,   /* the first ones, in regime 0 of address space 0 */
    MAX_POINTS = 400, /* traps retire nothing */
};

/* ---- what is at the pages of the window ---- */
#define RAM(n) (RAM_GPA + (n)*PAGE)
static const struct {
    uint64_t gpa;
    uint32_t allow, allow1; /* in regimes 0 and 1 */
} pages[CROSS_PAGES] = {
    {RAM(0), 7, 7},      {RAM(1), 7, 7},     {RAM(2), 7, 5},  /* read-only in the other regime */
    {RAM(3), 3, 3},                                           /* code, as below */
    {0, 0, 0},                                                /* no translation */
    {RAM(5), 7, 0},      {DEVICE_GPA, 3, 3}, {RAM(7), 5, 7},  /* read-only */
    {FAR_GPA, 7, 7},                                          /* host pages that are not neighbours */
    {RAM(9), 7, 7},      {RAM(10), 7, 7},                     /* code: stores to its first half run alone */
    {RAM(LOGGED), 7, 7}, {RAM(0), 7, 7},                      /* page 0 once more */
    {OUTSIDE_GPA, 3, 3}, {NOBODY_GPA, 3, 3}, {RAM(15), 7, 7}, /* has a watchpoint */
};

/* ---- code ---- */
enum { CODES = 512 };
typedef struct Code {
    bool is_used, is_known; /* known: by (block, first), and may be linked */
    unsigned block, first;
    void *code;
    uint32_t ninsns, nexits;
    uint64_t target[IR_MAX_EXITS]; /* of jmp and brcond; 0: of another terminator */
    struct Code *to[IR_MAX_EXITS];
} Code;

struct World {
    const Engine *engine;
    const IrGuest *guest;
    bool is_optimised;
    char name[48];
    void *e;
    CrossFrame *f;
    Space *space;
    Mmu *mmu;
    uint8_t *ram; /* CROSS_PAGES pages */
    JumpEntry jump[1 << JUMP_BITS];
    Code code[CODES];
    const Program *p;
    Choices schedule, links;
    uint64_t left, io, nio, space_tag;
    unsigned regime, npoints, nflushes; /* nflushes: how often all code was thrown away */
    MmuWatch watch;
    char fault[200];
};

static Frame *frame(World *w)
{
    return &w->f->f;
}

static void io_note(World *w, uint64_t what)
{
    w->io = (w->io ^ what) * 0x9e3779b97f4a7c15;
    w->io ^= w->io >> 29;
}

/* ---- call-backs of the MMU ---- */
static bool on_walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap)
{
    const World *w = f->vcpu;
    uint64_t n = (gva - CROSS_WINDOW) / PAGE;
    (void)io;
    if (n < 2) { /* another address space has the first two the other way round */
        n ^= w->space_tag;
    }
    uint32_t allow = n >= CROSS_PAGES ? 0 : regime ? pages[n].allow1 : pages[n].allow;
    if (!(allow & acc & 7u)) {
        *trap = (Trap){.cause = CAUSE_PAGE, .value = gva, .value2 = acc & 7u};
        return false;
    }
    *out = (Walk){.gpa = pages[n].gpa + (gva & (PAGE - 1)), .allow = allow};
    if (n < FLAT_PAGES && !regime && !w->space_tag) { /* X is asked for by nobody */
        out->is_flat = true;
        out->allow = ACC_READ | ACC_WRITE;
        out->flat_first = CROSS_WINDOW;
        out->flat_last = CROSS_WINDOW + FLAT_PAGES * PAGE - 1;
    }
    return true;
}

static void on_bus_fault(Frame *f, uint64_t gva, uint64_t gpa, Access acc, unsigned regime, Trap *trap)
{
    (void)f, (void)regime;
    *trap = (Trap){.cause = CAUSE_BUS, .value = gva, .value2 = gpa, .value3 = acc};
}

static void on_align_fault(Frame *f, uint64_t gva, Access acc, unsigned regime, Trap *trap)
{
    (void)f, (void)regime;
    *trap = (Trap){.cause = CAUSE_ALIGN, .value = gva, .value2 = acc};
}

static IoResult on_io(void *ctx, uint64_t gva, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value)
{
    World *w = ctx;
    Frame *f = frame(w);
    if (gpa >= NOBODY_GPA || gpa < DEVICE_GPA) {
        return IO_FAULT;
    }
    if (gpa >= OUTSIDE_GPA && f->reply_next == f->nreplies) {
        f->reply_gpa[f->nreplies] = gpa; /* what world_step answers with */
        return IO_EXTERNAL;
    }
    io_note(w, gva ^ gpa << 20 ^ (uint64_t)size_bytes << 60);
    io_note(w, is_write ? *value : ~0ull);
    io_note(w, frame_insns(f));
    *value = is_write ? *value : w->io;
    f->reply_next += gpa >= OUTSIDE_GPA;
    return IO_DONE;
}

static bool on_code_writing(void *ctx, uint64_t gpa, unsigned size_bytes)
{
    (void)ctx, (void)size_bytes;
    return gpa % PAGE < PAGE / 2;
}

static void on_code_written(void *ctx, uint64_t gpa, unsigned size_bytes)
{
    io_note(ctx, gpa << 4 | size_bytes);
}

static void on_mark_alone(void *ctx)
{
    (void)ctx;
}

static void on_watch(void *ctx, uint64_t gva, unsigned size_bytes, bool is_write)
{
    io_note(ctx, gva << 5 | size_bytes << 1 | is_write);
}

/* ---- making and ending ---- */
static void space_make(World *w)
{
    static const struct {
        uint64_t gpa, first, n;
        uint32_t flags;
    } maps[] = {{RAM_GPA, 0, 8, 7},
                {FAR_GPA, 8, 1, 7},
                {RAM(9), 9, 2, 7},
                {RAM(LOGGED), LOGGED, 1, 7 | SPACE_LOG_DIRTY},
                {RAM(12), 12, 4, 7}};
    uint32_t ram;
    int rc = space_ram_new(w->space, CROSS_PAGES * PAGE, &ram, NULL);
    for (size_t i = 0; !rc && i < ARRAY_LEN(maps); i++) {
        rc = space_map(w->space, maps[i].gpa, maps[i].n * PAGE, ram, maps[i].first * PAGE, maps[i].flags, NULL);
    }
    SpaceRam at;
    if (rc || space_rams(w->space, &at, 1) != 1) {
        snprintf(w->fault, sizeof w->fault, "the host has no memory for a guest of %d pages", CROSS_PAGES);
        return;
    }
    w->ram = at.host;
}

static void code_pages_set(World *w)
{
    static const uint64_t code[] = {RAM(FLAT_PAGES - 1), RAM(10)};
    SpaceHit hit;
    for (size_t i = 0; i < ARRAY_LEN(code); i++) {
        if (space_find(w->space, code[i], &hit)) {
            atomic_fetch_or(&hit.pages[(code[i] - hit.gpa) / PAGE], PAGE_CODE);
        }
    }
}

World *world_new(const Engine *engine, CrossGuest guest, bool is_optimised)
{
    static const MmuGuest mmu_guest = {
        .nregimes = 2, .walk = on_walk, .bus_fault = on_bus_fault, .align_fault = on_align_fault};
    World *w = x_alloc(sizeof *w);
    w->engine = engine;
    w->guest = cross_guest(guest);
    w->is_optimised = is_optimised;
    snprintf(w->name, sizeof w->name, "%s%s", engine->name, is_optimised ? ", optimised" : "");
    w->f = x_alloc(sizeof *w->f);
    w->space = space_new();
    space_make(w);
    code_pages_set(w);
    frame(w)->vcpu = w;
    frame(w)->jump = w->jump;
    frame(w)->is_code_flat = true;
    w->mmu = mmu_new(frame(w), w->space, &mmu_guest,
                     &(MmuHost){.ctx = w,
                                .io = on_io,
                                .code_writing = on_code_writing,
                                .code_written = on_code_written,
                                .mark_alone = on_mark_alone,
                                .watch = on_watch});
    w->watch = (MmuWatch){.gva = CROSS_WINDOW + 15 * PAGE + 0x100, .len = 24, .access = ACC_READ | ACC_WRITE};
    w->e = engine->create(w->guest);
    return w;
}

void world_recall(World *w, struct CodeStore *s)
{
    w->engine->recall(w->e, s);
}

void world_free(World *w)
{
    w->engine->destroy(w->e);
    mmu_free(w->mmu);
    space_free(w->space);
    mem_free(w->f);
    mem_free(w);
}

const char *world_name(const World *w)
{
    return w->name;
}

const char *world_fault(const World *w)
{
    return w->fault;
}

const CrossFrame *world_frame(const World *w)
{
    return w->f;
}

const uint8_t *world_memory(const World *w, size_t *n)
{
    *n = (size_t)CROSS_PAGES * PAGE;
    return w->ram;
}

uint8_t world_dirty(World *w)
{
    uint8_t bit = 0;
    int rc = space_dirty_get(w->space, RAM(LOGGED), PAGE, &bit, true, NULL);
    return rc ? UINT8_MAX : bit;
}

const IrGuest *world_guest(const World *w)
{
    return w->guest;
}

static void jumps_clear(World *w)
{
    memset(w->jump, 0, sizeof w->jump);
    jump_begin(w->jump);
}

static void slice_begin(World *w)
{
    Frame *f = frame(w);
    uint64_t n = 1 + choose(&w->schedule, w->p->slice_insns);
    n = n < w->left ? n : w->left;
    w->left -= n;
    f->insns_end += n;
    f->budget += (int64_t)n;
}

void world_begin(World *w, const Program *p)
{
    CrossFrame *f = w->f;
    w->p = p;
    w->schedule = (Choices){.random = p->schedule};
    w->links = (Choices){.random = p->schedule ^ 0x5555};
    w->left = p->insns;
    w->io = w->nio = 0;
    w->npoints = 0;
    memcpy(f->r, p->reg, sizeof f->r);
    f->fp_flags = p->fp_flags;
    f->fp_rm = p->fp_rm;
    f->f.pc = CROSS_CODE;
    f->f.budget = 0;
    f->f.insns_end = 0;
    f->f.resv_size = f->f.nreplies = f->f.reply_next = 0;
    Choices fill = {.random = p->schedule + 1};
    for (size_t i = 0; w->ram && i < (size_t)CROSS_PAGES * PAGE; i += 8) {
        uint64_t v = choose_u64(&fill);
        memcpy(w->ram + i, &v, sizeof v);
    }
    w->space_tag = w->regime = 0;
    (void)world_dirty(w);
    mmu_select(w->mmu, 0, 0, 0);
    mmu_watch(w->mmu, &w->watch, 1); /* flushes */
    jumps_clear(w);
    slice_begin(w);
}

/* ---- code: parts of blocks, links ---- */
void block_part(const IrBlock *from, uint32_t first, uint32_t n, PartKind kind, IrBlock *out, IrOp *ops)
{
    *out = *from;
    out->op = ops;
    out->gva += from->insn_at[first];
    out->nops = 0;
    out->ninsns = n;
    for (uint32_t i = 0; i <= n; i++) {
        out->insn_at[i] = (uint16_t)(from->insn_at[first + i] - from->insn_at[first]);
        out->insn_row[i < n ? i : 0] = from->insn_row[first + (i < n ? i : 0)];
    }
    out->nbytes = out->insn_at[n];
    bool has_term = first + n == from->ninsns;
    for (uint32_t i = 0; i < from->nops; i++) {
        IrOp o = from->op[i];
        if (o.insn < first || o.insn >= first + n) {
            continue;
        }
        o.insn -= first;
        o.aux |= kind == PART_ALONE && ir_op_info[o.op].may_event && o.op != IR_call ? MEM_ALONE : 0;
        ops[out->nops++] = o;
    }
    if (!has_term) {
        ops[out->nops++] = (IrOp){
            .op = kind == PART_ALONE ? IR_sync : IR_jmp, .insn = n - 1, .imm = (int64_t)(out->gva + out->nbytes)};
    }
}

static void exits_note(Code *c, const IrBlock *b)
{
    c->nexits = 0;
    for (uint32_t i = 0; i < b->nops; i++) {
        IrClass cls = ir_op_info[b->op[i].op].cls;
        if (cls == CLASS_SIDE_EXIT || cls == CLASS_TERM) {
            bool is_direct = b->op[i].op == IR_brcond || b->op[i].op == IR_jmp;
            c->target[c->nexits++] = is_direct ? (uint64_t)b->op[i].imm : 0;
        }
    }
}

static void code_release(World *w, Code *c)
{
    for (size_t i = 0; i < CODES; i++) {
        for (unsigned k = 0; w->code[i].is_used && k < IR_MAX_EXITS; k++) {
            if (w->code[i].to[k] == c) {
                w->engine->link(w->e, w->code[i].code, k, NULL);
                w->code[i].to[k] = NULL;
            }
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(w->jump); i += 1) {
        w->jump[i] = w->jump[i].code == c->code && c->code ? JUMP_FREE(i) : w->jump[i];
    }
    w->engine->release(w->e, c->code);
    *c = (Code){0};
}

void world_end(World *w)
{
    for (size_t i = 0; i < CODES; i++) {
        if (w->code[i].is_used) {
            code_release(w, &w->code[i]);
        }
    }
}

/* The block and instruction at pc; false: none. */
static bool place_of(const Program *p, uint64_t pc, unsigned *block, unsigned *first)
{
    uint64_t k = (pc - CROSS_CODE) / CROSS_BLOCK_BYTES;
    if (pc < CROSS_CODE || k >= p->nblocks) {
        return false;
    }
    for (uint32_t i = 0; i < p->block[k].ninsns; i++) {
        if (p->block[k].gva + p->block[k].insn_at[i] == pc) {
            *block = (unsigned)k;
            *first = i;
            return true;
        }
    }
    return false;
}

static Code *code_known(World *w, unsigned block, unsigned first)
{
    for (size_t i = 0; i < CODES; i++) {
        if (w->code[i].is_known && w->code[i].block == block && w->code[i].first == first) {
            return &w->code[i];
        }
    }
    return NULL;
}

static Code *code_slot(World *w)
{
    for (size_t i = 0; i < CODES; i++) {
        if (!w->code[i].is_used) {
            return &w->code[i];
        }
    }
    w->nflushes++;
    world_end(w);
    return &w->code[0];
}

static Code *code_make(World *w, unsigned block, unsigned first, uint32_t n, PartKind kind)
{
    const IrBlock *from = &w->p->block[block];
    IrBlock b;
    IrOp ops[IR_BLOCK_MAX_OPS + 1];
    block_part(from, first, n, kind, &b, ops);
    if (w->is_optimised) {
        ir_optimise(&b, w->guest);
    }
    Code *c = code_slot(w);
    *c = (Code){.is_used = true, .is_known = kind == PART_REST, .block = block, .first = first, .ninsns = b.ninsns};
    exits_note(c, &b);
    c->code = w->engine->prepare(w->e, &b, c);
    if (!c->code) { /* full: everything goes */
        *c = (Code){0};
        w->nflushes++;
        world_end(w);
        return code_make(w, block, first, n, kind);
    }
    return c;
}

static Code *code_at(World *w, unsigned block, unsigned first)
{
    Code *c = code_known(w, block, first);
    return c ? c : code_make(w, block, first, w->p->block[block].ninsns - first, PART_REST);
}

static void links_shake(World *w)
{
    Code *c = &w->code[choose(&w->links, CODES / 8)];
    if (!c->is_known || choose(&w->links, 4)) {
        return;
    }
    if (choose(&w->links, 3) == 0) {
        code_release(w, c);
        return;
    }
    for (unsigned k = 0; k < c->nexits; k++) {
        if (c->to[k]) {
            w->engine->link(w->e, c->code, k, NULL);
            c->to[k] = NULL;
        }
    }
}

static void link_maybe(World *w, Code *from, unsigned exit, Code *to)
{
    if (!w->p->is_linked || !from->is_known || !to->is_known || from->to[exit] || choose(&w->links, 8) == 0) {
        return;
    }
    if (choose(&w->links, 6) == 0) {
        w->engine->link(w->e, from->code, exit, LINK_BY_JUMP_CACHE);
        return;
    }
    w->engine->link(w->e, from->code, exit, to->code);
    from->to[exit] = to;
}

/* ---- running ---- */
static bool broken(World *w, const char *what, uint64_t n)
{
    snprintf(w->fault, sizeof w->fault, "%s (0x%llx)", what, (unsigned long long)n);
    return false;
}

/* ir.h's rules for what the dispatcher sees of each Left. */
static bool left_is_allowed(World *w, Left left)
{
    Frame *f = frame(w);
    Code *c = f->left_block;
    if (f->zero) {
        return broken(w, "the zero slot was written", f->zero);
    }
    if (f->budget < 0) {
        return broken(w, "the budget is below 0", (uint64_t)f->budget);
    }
    if ((left == LEFT_EVENT || left == LEFT_EXIT) && (c < w->code || c >= w->code + CODES || !c->is_used)) {
        return broken(w, "left_block is no tag of code that there is", (uint64_t)(uintptr_t)c);
    }
    if (left == LEFT_EXIT && (f->left_exit >= c->nexits || c->target[f->left_exit] != f->pc)) {
        return broken(w, "left_exit is no exit of left_block to pc", f->left_exit);
    }
    if (left == LEFT_EVENT && (f->event < EVENT_TRAP || f->event > EVENT_EXTERNAL)) {
        return broken(w, "LEFT_EVENT without an event", f->event);
    }
    return true;
}

static Left code_run(World *w, Code *c)
{
    frame(w)->left_block = NULL;
    return w->engine->enter(w->e, c->code, frame(w));
}

/* One instruction that may touch devices and code, with the answers from outside that it asks for. */
static Left alone_run(World *w, unsigned block, unsigned first)
{
    Frame *f = frame(w);
    Left left;
    for (;;) {
        f->reply_next = 0;
        Code *c = code_make(w, block, first, 1, PART_ALONE);
        left = code_run(w, c);
        bool is_allowed = left_is_allowed(w, left);
        code_release(w, c);
        if (!is_allowed || left != LEFT_EVENT || f->event != EVENT_EXTERNAL || f->nreplies == IR_MAX_REPLIES) {
            break;
        }
        io_note(w, f->reply_gpa[f->nreplies]);
        f->reply[f->nreplies++] = w->io;
    }
    f->nreplies = f->reply_next = 0;
    return left;
}

/* As many instructions at pc as the budget has. */
static Left cut_run(World *w)
{
    Frame *f = frame(w);
    unsigned block, first;
    if (!place_of(w->p, f->pc, &block, &first)) {
        broken(w, "LEFT_BUDGET at what is no block", f->pc);
        return LEFT_BUDGET;
    }
    if (code_at(w, block, first)->ninsns <= (uint64_t)f->budget) {
        broken(w, "LEFT_BUDGET before a block that the budget is enough for", (uint64_t)f->budget);
        return LEFT_BUDGET;
    }
    Code *c = code_make(w, block, first, (uint32_t)f->budget, PART_CUT);
    Left left = code_run(w, c);
    bool is_exit = left_is_allowed(w, left) && left == LEFT_EXIT;
    code_release(w, c);
    return is_exit ? LEFT_BUDGET : left; /* there is nothing to link */
}

/* The code at pc runs, cut to the budget. */
static Left block_run(World *w, unsigned block, unsigned first)
{
    Frame *f = frame(w);
    Code *c = code_at(w, block, first);
    Left left = LEFT_BUDGET;
    if (c->ninsns <= (uint64_t)f->budget || choose(&w->links, 2)) {
        left = code_run(w, c);
        if (!left_is_allowed(w, left)) {
            return left;
        }
    }
    if (left == LEFT_BUDGET && f->budget > 0) {
        return cut_run(w);
    }
    if (left == LEFT_EXIT && place_of(w->p, f->pc, &block, &first)) {
        unsigned nflushes = w->nflushes;
        Code *from = f->left_block, *to = code_at(w, block, first);
        if (nflushes == w->nflushes) {
            link_maybe(w, from, f->left_exit, to);
        }
    }
    return left;
}

/* What the dispatcher does at a sync: another address space or regime, a flush, and code for the jump cache. */
static void between(World *w)
{
    switch (choose(&w->schedule, 8)) {
    case 0:
        mmu_flush(w->mmu, UINT64_MAX, UINT64_MAX);
        break;
    case 1:
        mmu_flush(w->mmu, CROSS_WINDOW + choose(&w->schedule, CROSS_PAGES) * PAGE, UINT64_MAX);
        break;
    case 2:
    case 3:
        w->space_tag = choose(&w->schedule, 2);
        w->regime = (unsigned)choose(&w->schedule, 2);
        mmu_select(w->mmu, w->space_tag, w->regime, 0);
        break;
    default:
        break;
    }
}

static void jump_keep(World *w, uint64_t pc)
{
    unsigned block, first;
    if (place_of(w->p, pc, &block, &first) && choose(&w->links, 4)) {
        size_t i = JUMP_INDEX(pc);
        i = choose(&w->links, 2) ? i : JUMP_OTHER(i);
        w->jump[i] = (JumpEntry){.pc = pc, .code = code_at(w, block, first)->code};
    }
}

/* A point, if this is one. */
static bool point_of(World *w, Left left, Point *out)
{
    Frame *f = frame(w);
    *out = (Point){.pc = f->pc, .insns = frame_insns(f), .io = w->io};
    if (w->fault[0]) {
        out->kind = POINT_BROKEN;
        return true;
    }
    switch (left) {
    case LEFT_EVENT:
        out->kind = POINT_TRAP;
        out->cause = f->trap.cause;
        out->value = f->trap.value ^ f->trap.value2 << 32 ^ f->trap.value3 << 48;
        return true;
    case LEFT_STOP:
        out->kind = POINT_STOP;
        out->reason = f->stop_reason;
        out->imm = f->stop_imm;
        return true;
    case LEFT_SYNC:
        out->kind = POINT_SYNC;
        return true;
    case LEFT_EXIT:
    case LEFT_INDIRECT:
    case LEFT_BUDGET:
        break;
    }
    out->kind = POINT_SLICE;
    return f->budget == 0;
}

/* After a point: what the dispatcher does about it. */
static void point_done(World *w, const Point *p)
{
    Frame *f = frame(w);
    if (p->kind == POINT_TRAP) {
        f->resv_size = 0;
        f->pc = CROSS_CODE + choose(&w->schedule, w->p->nblocks) * CROSS_BLOCK_BYTES;
    }
    if (p->kind == POINT_SYNC || p->kind == POINT_STOP) {
        between(w);
    }
    if (f->budget == 0) {
        slice_begin(w);
    }
    links_shake(w);
}

void world_step(World *w, Point *out)
{
    Frame *f = frame(w);
    unsigned block, first;
    for (;;) {
        if (!place_of(w->p, f->pc, &block, &first)) {
            *out = (Point){.kind = POINT_OUT, .pc = f->pc, .insns = frame_insns(f), .io = w->io};
            return;
        }
        if (f->budget == 0 || w->npoints == MAX_POINTS) {
            *out = (Point){.kind = POINT_END, .pc = f->pc, .insns = frame_insns(f), .io = w->io};
            return;
        }
        Left left = block_run(w, block, first);
        if (left == LEFT_EVENT && !w->fault[0] && f->event != EVENT_TRAP) {
            bool is_place = place_of(w->p, f->pc, &block, &first);
            left = is_place ? alone_run(w, block, first) : left;
            if (!is_place || (left == LEFT_EVENT && f->event != EVENT_TRAP && !w->fault[0])) {
                broken(w, "an event that an instruction alone cannot have", f->event);
            }
        }
        if (left == LEFT_INDIRECT) {
            jump_keep(w, f->pc);
        }
        if (point_of(w, left, out)) {
            if (out->kind != POINT_BROKEN) {
                w->npoints++;
                point_done(w, out);
            }
            return;
        }
    }
}
