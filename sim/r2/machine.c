/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/r2/machine.h"

#include "sim/base/hash.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/interp/interp.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE 0x10000000ull
enum { PAGE = 4096, CAUSE_PAGE = 13, CAUSE_BUS = 5, CAUSE_ALIGN = 4 };

/* ---- the guest ---- */
enum { OP_ADD = 1, OP_SUB, OP_LOGIC, OP_ADC, OP_SBB, OP_DEC };

static uint64_t i2d(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm) /* fcvt.d.w: exact */
{
    (void)f, (void)b, (void)c, (void)imm;
    uint32_t flags = 0;
    return fp_from_int(FMT_F64, (uint32_t)a, FP_I32, 0, RM_RNE, FP_MODE_RISCV, &flags);
}

static uint64_t carry_of(uint64_t op, uint64_t r, uint64_t b, uint64_t c)
{
    switch (op) {
    case OP_ADD:
        return r < b;
    case OP_SUB:
        return r + b < b;
    case OP_ADC:
        return r < b || (c && r == b);
    case OP_SBB:
        return r + b + c < b || (c && r + b + c == b);
    case OP_DEC:
        return b;
    default:
        return 0;
    }
}

/* a: operation, and the carry that came in above it */
static uint64_t carry(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)f, (void)imm;
    return carry_of(a & 0xff, b, c, a >> 8);
}

static uint64_t carry_frame(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    const R2Frame *r = (const R2Frame *)(void *)f;
    (void)a, (void)b, (void)c, (void)imm;
    return carry_of(r->cc_op, r->cc_r, r->cc_b, r->cc_c);
}

#define X(n)                                                                                                           \
    {                                                                                                                  \
        "x" #n, offsetof(R2Frame, x) + 8 * (n)                                                                         \
    }
#define F(n)                                                                                                           \
    {                                                                                                                  \
        "f" #n, offsetof(R2Frame, fr) + 8 * (n)                                                                        \
    }
#define S(name)                                                                                                        \
    {                                                                                                                  \
#name, offsetof(R2Frame, name)                                                                                 \
    }
static const IrSlotInfo slots[] = {
    X(1),  X(2),  X(3),  X(4),  X(5),  X(6),     X(7),    X(8),    X(9),    X(10),     X(11),  X(12), X(13), X(14),
    X(15), X(16), X(17), X(18), X(19), X(20),    X(21),   X(22),   X(23),   X(24),     X(25),  X(26), X(27), X(28),
    X(29), X(30), X(31), F(0),  F(1),  F(2),     F(3),    F(4),    F(5),    F(6),      F(7),   F(8),  F(9),  F(10),
    F(11), F(12), F(13), F(14), F(15), S(cc_op), S(cc_r), S(cc_b), S(cc_c), S(fflags), S(frm),
};
static const Helper helpers[R2_NHELPERS] = {
    [R2_HELPER_I2D] = {"i2d", i2d, 0, 1},
    [R2_HELPER_CARRY] = {"carry", carry, 0, 3},
    [R2_HELPER_CARRY_FRAME] = {"carry_frame", carry_frame, EFF_READS_FRAME, 0},
};
const IrGuest r2_guest = {
    .name = "r2",
    .frame_bytes = sizeof(R2Frame),
    .slots = slots,
    .nslots = ARRAY_LEN(slots),
    .helpers = helpers,
    .nhelpers = R2_NHELPERS,
    .fp_flags = offsetof(R2Frame, fflags),
    .fp_rm = offsetof(R2Frame, frm),
    .fp_mode = FP_MODE_RISCV,
};
#define PIN(n) offsetof(R2Frame, x) + 8 * (n)
const Slot r2_pins[R2_NPINS] = {PIN(2), PIN(10), PIN(11), PIN(12), PIN(15)};

/* ---- programs ---- */
const IrBlock *r2_find(const R2Blocks *all, uint64_t pc)
{
    size_t lo = 0, hi = all->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (all->items[mid].gva < pc) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < all->n && all->items[lo].gva == pc ? &all->items[lo] : NULL;
}

static int by_pc(const void *a, const void *b)
{
    uint64_t x = ((const IrBlock *)a)->gva, y = ((const IrBlock *)b)->gva;
    return (x > y) - (x < y);
}

/* n instructions of b from the first on, as a block that goes on at what follows: by jmp, or by sync. */
static IrBlock part_of(const IrBlock *b, uint32_t first, uint32_t n, bool is_sync, uint16_t aux, IrOp *ops)
{
    IrBlock p = {.op = ops, .ninsns = n, .gva = b->gva + b->insn_at[first], .mode_key = b->mode_key};
    p.nbytes = b->insn_at[first + n] - (uint32_t)b->insn_at[first];
    for (uint32_t i = 0; i <= n; i++) {
        p.insn_at[i] = (uint16_t)(b->insn_at[first + i] - b->insn_at[first]);
    }
    for (uint32_t q = 0; q < b->nops; q++) {
        if (b->op[q].insn >= first && b->op[q].insn < first + n) {
            ops[p.nops] = b->op[q];
            ops[p.nops].insn -= first;
            ops[p.nops++].aux |= ir_op_info[b->op[q].op].may_event ? aux : 0;
        }
    }
    if (first + n < b->ninsns) {
        ops[p.nops++] = (IrOp){.op = is_sync ? IR_sync : IR_jmp, .insn = n - 1, .imm = (int64_t)(p.gva + p.nbytes)};
    }
    return p;
}

static void check(const IrBlock *b)
{
    Err err = {0};
    if (ir_verify(b, &r2_guest, &err)) {
        fprintf(stderr, "r2: block 0x%llx: %s\n", (unsigned long long)b->gva, err.text);
        exit(1);
    }
}

static void blocks_parse(R2Blocks *out, const char *path, char *text)
{
    for (char *at = strstr(text, "block pc="); at;) {
        char *following = strstr(at + 1, "\nblock pc=");
        if (following) {
            *following++ = 0;
        }
        IrBlock b;
        IrOp ops[IR_BLOCK_MAX_OPS];
        Err err = {0};
        if (ir_parse(at, &r2_guest, &b, ops, &err)) {
            fprintf(stderr, "r2: %s: block at byte %zu: %s\n", path, (size_t)(at - text), err.text);
            exit(1);
        }
        b.op = x_alloc(b.nops * sizeof *b.op);
        memcpy(b.op, ops, b.nops * sizeof *b.op);
        check(&b);
        VEC_PUSH(out, b);
        at = following;
    }
    qsort(out->items, out->n, sizeof *out->items, by_pc);
}

void program_load(Program *p, const char *dir, const char *name)
{
    Buf path = {0}, text = {0};
    Err err = {0};
    *p = (Program){.name = name};
    buf_printf(&path, "%s/%s.ir", dir, name);
    if (os_read_file(buf_text(&path), 1 << 20, &text, &err)) {
        fprintf(stderr, "r2: %s\n", err.text);
        exit(1);
    }
    blocks_parse(&p->blocks, buf_text(&path), text.data);
    for (size_t i = 0; i < p->blocks.n; i++) {
        const IrBlock *b = &p->blocks.items[i];
        for (uint32_t k = 0; k < b->ninsns; k++) {
            IrOp ops[IR_BLOCK_MAX_OPS];
            IrBlock one = part_of(b, k, 1, false, 0, ops);
            one.op = x_alloc(one.nops * sizeof *ops);
            memcpy(one.op, ops, one.nops * sizeof *ops);
            check(&one);
            VEC_PUSH(&p->singles, one);
        }
    }
    qsort(p->singles.items, p->singles.n, sizeof *p->singles.items, by_pc);
    buf_free(&path);
    buf_free(&text);
}

void program_free(Program *p)
{
    R2Blocks *lists[] = {&p->blocks, &p->singles};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < lists[l]->n; i++) {
            mem_free(lists[l]->items[i].op);
        }
        VEC_FREE(lists[l]);
    }
}

/* ---- memory ---- */
/* What is injected happens at the n-th access to a page, so the page stays out of the TLB: each access walks, once. */
static bool walk(Frame *f, uint64_t gva, Access acc, unsigned regime, const PhysIo *io, Walk *out, Trap *trap)
{
    Machine *m = f->vcpu;
    uint64_t page = gva & ~(uint64_t)(PAGE - 1);
    (void)regime, (void)io;
    bool is_special = page == m->bad_page || page == m->device_page, is_due = is_special && !m->skip;
    if (is_special && m->skip && (page == m->device_page || m->bad_access & (uint32_t)acc)) {
        m->skip--;
    }
    if (gva - R2_RAM >= R2_RAM_BYTES || (is_due && page == m->bad_page && m->bad_access & (uint32_t)acc)) {
        *trap = (Trap){.cause = CAUSE_PAGE, .value = gva, .value2 = acc};
        return false;
    }
    *out = (Walk){.gpa = is_due && page == m->device_page ? DEVICE + gva % PAGE : gva,
                  .allow = is_special ? 0 : ACC_READ | ACC_WRITE};
    return true;
}

static void bus_fault(Frame *f, uint64_t gva, uint64_t gpa, Access acc, unsigned regime, Trap *trap)
{
    (void)f, (void)gpa, (void)acc, (void)regime;
    *trap = (Trap){.cause = CAUSE_BUS, .value = gva};
}

static void align_fault(Frame *f, uint64_t gva, Access acc, unsigned regime, Trap *trap)
{
    (void)f, (void)acc, (void)regime;
    *trap = (Trap){.cause = CAUSE_ALIGN, .value = gva};
}

static const MmuGuest mmu_guest = {.nregimes = 1, .walk = walk, .bus_fault = bus_fault, .align_fault = align_fault};

/* The device holds what the page held, so that the program goes on; what it saw, and when, is hashed. */
static IoResult io(void *ctx, uint64_t gva, uint64_t gpa, unsigned size_bytes, bool is_write, uint64_t *value)
{
    Machine *m = ctx;
    uint8_t *p = m->ram + (m->device_page - R2_RAM) + (gpa - DEVICE);
    if (is_write) {
        memcpy(p, value, size_bytes);
    } else {
        *value = 0;
        memcpy(value, p, size_bytes);
    }
    uint64_t seen[] = {m->io_hash, gva, gpa, size_bytes, is_write, *value, machine_insns(m)};
    m->io_hash = fnv1a(seen, sizeof seen);
    m->nios++;
    return IO_DONE;
}

static bool code_writing(void *ctx, uint64_t gpa, unsigned size_bytes)
{
    (void)ctx, (void)gpa, (void)size_bytes;
    return false;
}

static void code_written(void *ctx, uint64_t gpa, unsigned size_bytes)
{
    (void)ctx, (void)gpa, (void)size_bytes;
}

static void mark_alone(void *ctx)
{
    (void)ctx;
}

static void watch(void *ctx, uint64_t gva, unsigned size_bytes, bool is_write)
{
    (void)ctx, (void)gva, (void)size_bytes, (void)is_write;
}

static void limit_set(Machine *m)
{
    uint64_t end = R2_RAM + R2_RAM_BYTES, pages[] = {m->bad_page, m->device_page};
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        end = pages[i] && pages[i] < end ? pages[i] : end;
    }
    uint64_t size = end - R2_RAM;
    m->f->ram_limit = size > R2_MAX_SPAN ? size - R2_MAX_SPAN : 0;
}

void machine_inject(Machine *m, uint64_t bad_page, uint32_t access, uint64_t device_page, unsigned skip)
{
    m->skip = skip;
    m->bad_page = bad_page;
    m->bad_access = access;
    m->device_page = device_page;
    mmu_flush(m->f->f.mmu, UINT64_MAX, UINT64_MAX);
    limit_set(m);
}

/* ---- life ---- */
Machine *machine_new(Kind kind, const Program *p, const JitConfig *cfg)
{
    Machine *m = x_alloc(sizeof *m);
    Err err = {0};
    uint32_t ram;
    SpaceHit hit;
    m->kind = kind;
    m->program = p;
    m->f = x_alloc(sizeof *m->f);
    m->space = space_new();
    if (space_ram_new(m->space, R2_RAM_BYTES, &ram, &err) ||
        space_map(m->space, R2_RAM, R2_RAM_BYTES, ram, 0, SPACE_R | SPACE_W, &err) ||
        !space_find(m->space, R2_RAM, &hit)) {
        fprintf(stderr, "r2: %s\n", err.text);
        exit(1);
    }
    m->ram = hit.host;
    m->f->f.vcpu = m;
    m->f->f.jump = x_calloc(1u << JUMP_BITS, sizeof(JumpEntry));
    m->f->f.jump_key = 1;
    const MmuHost host = {.ctx = m,
                          .io = io,
                          .code_writing = code_writing,
                          .code_written = code_written,
                          .mark_alone = mark_alone,
                          .watch = watch};
    mmu_new(&m->f->f, m->space, &mmu_guest, &host);
    if (kind == KIND_JIT) {
        JitConfig c = *cfg;
        c.ram = m->ram;
        m->jump = c.jump;
        m->is_paged = c.is_paged;
        m->jit = jit_new(&c, &p->blocks);
    } else {
        m->interp = engine_interp.create(&r2_guest);
        m->parts = engine_interp.create(&r2_guest);
        m->code = x_calloc(kind == KIND_INTERP ? p->blocks.n : p->singles.n, sizeof *m->code);
    }
    machine_reset(m);
    return m;
}

void machine_free(Machine *m)
{
    if (m->jit) {
        jit_free(m->jit);
    } else {
        engine_interp.destroy(m->interp);
        engine_interp.destroy(m->parts);
    }
    mmu_free(m->f->f.mmu);
    space_free(m->space);
    mem_free(m->code);
    mem_free(m->f->f.jump);
    mem_free(m->f);
    mem_free(m);
}

void machine_reset(Machine *m)
{
    R2Frame *f = m->f;
    memset(f->x, 0, offsetof(R2Frame, ram_limit) - offsetof(R2Frame, x));
    f->f.budget = 0;
    f->f.insns_end = 0;
    f->f.pc = R2_INIT;
    f->f.event = 0;
    f->f.trap = (Trap){0};
    m->io_hash = 0;
    machine_inject(m, 0, 0, 0, 0);
}

uint64_t machine_insns(const Machine *m)
{
    return frame_insns(&m->f->f);
}

/* ---- running ---- */
static void *code_at(Machine *m, uint64_t pc)
{
    if (m->jit) {
        return jit_unit(m->jit, pc);
    }
    const R2Blocks *all = m->kind == KIND_INTERP ? &m->program->blocks : &m->program->singles;
    const IrBlock *b = r2_find(all, pc);
    if (!b) {
        return NULL;
    }
    void **code = &m->code[b - all->items];
    if (!*code) {
        *code = engine_interp.prepare(m->interp, b, code);
    }
    return *code;
}

static Left enter(Machine *m, void *code)
{
    return m->jit ? jit_enter(m->jit, code, m->f) : engine_interp.enter(m->interp, code, &m->f->f);
}

static void link_exit(Machine *m, void *from, void *to)
{
    if (m->jit) {
        jit_link(m->jit, to);
    } else {
        engine_interp.link(m->interp, *(void **)from, m->f->f.left_exit, to); /* the tag: where its code is noted */
    }
}

static void jump_fill(Machine *m, uint64_t pc, void *code)
{
    if (m->jump == JUMP_KEYED) {
        m->f->f.jump[JUMP_INDEX(pc)] = (JumpEntry){.pc = pc, .key = m->f->f.jump_key, .code = code};
        return;
    }
    uint64_t index = m->jump == JUMP_PAIR ? JUMP_INDEX(pc) : pc >> 1 & ((1 << JUMP_BITS) - 1);
    uint64_t entry[2] = {pc, (uint64_t)(uintptr_t)code};
    memcpy((char *)m->f->f.jump + index * sizeof entry, entry, sizeof entry);
}

/* At most n instructions from the pc on, as a block of their own that is run once. */
static Left run_part(Machine *m, uint64_t n, uint16_t aux)
{
    const IrBlock *b = NULL;
    const R2Blocks *all = &m->program->blocks;
    for (size_t i = 0; i < all->n; i++) {
        uint64_t offset = m->f->f.pc - all->items[i].gva;
        b = offset < all->items[i].nbytes ? &all->items[i] : b;
    }
    assert(b);
    uint32_t first = 0;
    while (b->gva + b->insn_at[first] != m->f->f.pc) {
        first++;
    }
    IrOp ops[IR_BLOCK_MAX_OPS];
    uint32_t rest = b->ninsns - first;
    IrBlock part = part_of(b, first, n < rest ? (uint32_t)n : rest, true, aux, ops);
    if (m->jit) {
        return enter(m, jit_single(m->jit, &part));
    }
    void *code = engine_interp.prepare(m->parts, &part, NULL);
    Left left = engine_interp.enter(m->parts, code, &m->f->f);
    engine_interp.release(m->parts, code);
    return left;
}

/* After an engine left with what the dispatcher acts on: whether the run is over. */
static bool must_return(Machine *m, Left *why)
{
    Frame *f = &m->f->f;
    Left left = *why;
    for (;;) {
        if (left == LEFT_EVENT && f->event == EVENT_ALONE) {
            m->nalones++;
            left = run_part(m, 1, MEM_ALONE);
            if (m->alones_left && !--m->alones_left && left != LEFT_EVENT) {
                f->event = EVENT_ALONE; /* says so; the access is done */
                *why = LEFT_EVENT;
                return true;
            }
        } else if (left == LEFT_BUDGET && f->budget > 0) {
            m->ncuts++;
            left = run_part(m, (uint64_t)f->budget, 0);
        } else {
            *why = left == LEFT_STOP || left == LEFT_EVENT ? left : LEFT_BUDGET;
            return *why != LEFT_BUDGET || f->budget == 0;
        }
    }
}

Left machine_run(Machine *m, uint64_t n)
{
    Frame *f = &m->f->f;
    f->insns_end += n - (uint64_t)f->budget;
    f->budget = (int64_t)n;
    f->event = 0;
    void *from = NULL; /* whose exit was taken and may be linked */
    for (;;) {
        void *code = code_at(m, f->pc);
        if (code && from) {
            link_exit(m, from, code);
        }
        Left left = code ? enter(m, code) : run_part(m, (uint64_t)f->budget, 0);
        from = code && left == LEFT_EXIT && f->left_block ? f->left_block : NULL;
        if (left == LEFT_INDIRECT && (code = code_at(m, f->pc))) {
            jump_fill(m, f->pc, code);
        }
        bool is_jump = left == LEFT_EXIT || left == LEFT_INDIRECT;
        if (is_jump ? !f->budget : must_return(m, &left)) {
            return is_jump ? LEFT_BUDGET : left;
        }
    }
}
