/* SPDX-License-Identifier: Apache-2.0 */
#include "rv64_decode.h"
#include "sim/guest/riscv64/isa.h"
#include "sim/guest/riscv64/riscv.h"
#include "sim/lockstep/lockstep.h"

#include <assert.h>
#include <string.h>

enum { X0, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, T4 = 29, T5 = 30 };
enum { VIRT_DATA = 0x40000000, PAGE = 4096, NPAGES = 16, UART = 0x10000000 };
enum { NOP = 0x13, FENCE_I = 0x100f, RET = 0x8067 };

typedef struct {
    uint64_t random;
    LockProgram *p;
    RiscvCpu cpu;
    unsigned depth; /* of loops */
} Gen;

static uint64_t next(Gen *g) /* splitmix64 */
{
    uint64_t z = g->random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint32_t below(Gen *g, uint32_t n)
{
    return (uint32_t)((next(g) >> 32) % n);
}

/* ---- instructions by hand (Unpriv ch. 34) ---- */
static uint32_t enc_i(uint32_t opcode, uint32_t f3, uint32_t rd, uint32_t rs1, int32_t imm)
{
    return opcode | rd << 7 | f3 << 12 | rs1 << 15 | (uint32_t)imm << 20;
}
static uint32_t enc_s(uint32_t f3, uint32_t rs1, uint32_t rs2, int32_t imm)
{
    return 0x23 | ((uint32_t)imm & 31) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | ((uint32_t)imm >> 5 & 127) << 25;
}
static uint32_t enc_b(uint32_t bits, int32_t imm)
{
    uint32_t v = (uint32_t)imm;
    return (bits & 0x01fff07f) | (v >> 12 & 1) << 31 | (v >> 5 & 63) << 25 | (v >> 1 & 15) << 8 | (v >> 11 & 1) << 7;
}
static uint32_t enc_j(uint32_t bits, int32_t imm)
{
    uint32_t v = (uint32_t)imm;
    return (bits & 0xfff) | (v >> 20 & 1) << 31 | (v >> 1 & 0x3ff) << 21 | (v >> 11 & 1) << 20 | (v >> 12 & 0xff) << 12;
}
static uint32_t addi(uint32_t rd, uint32_t rs1, int32_t imm)
{
    return enc_i(0x13, 0, rd, rs1, imm);
}
static uint32_t lui(uint32_t rd, uint32_t imm20)
{
    return 0x37 | rd << 7 | imm20 << 12;
}
static uint32_t load_d(uint32_t rd, uint32_t rs1, int32_t imm)
{
    return enc_i(0x03, 3, rd, rs1, imm);
}
static uint32_t csr(uint32_t f3, uint32_t rd, uint32_t number, uint32_t rs1)
{
    return enc_i(0x73, f3, rd, rs1, (int32_t)number);
}
static uint32_t branch(uint32_t f3, uint32_t rs1, uint32_t rs2)
{
    return 0x63 | f3 << 12 | rs1 << 15 | rs2 << 20;
}

/* ---- rows of the decode tables ---- */
typedef enum {
    ROWS_ALU,
    ROWS_LOAD,
    ROWS_STORE,
    ROWS_AMO,
    ROWS_FP,
    ROWS_SHORT,
    ROWS_CACHE,
    ROWS_ANY,
    ROWS_KINDS
} RowKind;
static RowKind kind_of(unsigned row)
{
    uint32_t value = rv64_row_bits[row].value;
    if ((value & 3) != 3) {
        return ROWS_SHORT;
    }
    switch (value & 0x7f) {
    case 0x13:
    case 0x1b:
    case 0x33:
    case 0x3b:
    case 0x17:
    case 0x37:
        return ROWS_ALU;
    case 0x03:
    case 0x07:
        return ROWS_LOAD;
    case 0x23:
    case 0x27:
        return ROWS_STORE;
    case 0x2f:
        return ROWS_AMO;
    case 0x43:
    case 0x47:
    case 0x4b:
    case 0x4f:
    case 0x53:
        return ROWS_FP;
    case 0x0f:
        return (value >> 12 & 7) == 2 ? ROWS_CACHE : ROWS_ANY;
    default:
        return ROWS_ANY;
    }
}

/* A row that the cpu has, mostly; 0 if it has none of the kind. */
static unsigned row_of(Gen *g, RowKind kind)
{
    for (unsigned tries = 0; tries < 2000; tries++) {
        unsigned row = RV64_ROW_NONE + 1 + below(g, RV64_ROW_COUNT - RV64_ROW_NONE - 1);
        bool has = g->cpu.has[riscv_row_need(row)] || below(g, 64) == 0;
        if (kind_of(row) == kind && has) {
            return row;
        }
    }
    return 0;
}

static uint32_t fill(Gen *g, unsigned row)
{
    return ((uint32_t)next(g) & ~rv64_row_bits[row].mask) | rv64_row_bits[row].value;
}

static bool is_kept(uint32_t reg) /* has an address or counts */
{
    return reg == SP || reg == GP || reg == TP || reg == S0 || reg == S1;
}

static uint32_t field_put(uint32_t bits, unsigned at, uint32_t reg)
{
    return (bits & ~(31u << at)) | reg << at;
}

static uint32_t spare_rd(Gen *g, uint32_t bits)
{
    return is_kept(bits >> 7 & 31) && below(g, 48) ? field_put(bits, 7, A0 + below(g, 18)) : bits;
}

/* ---- items ---- */
static LockItem *put(Gen *g, uint32_t bits)
{
    LockProgram *p = g->p;
    assert(p->nitems < LOCK_ITEMS);
    p->item[p->nitems] = (LockItem){.bits = bits, .len = (bits & 3) == 3 ? 4 : 2};
    return &p->item[p->nitems++];
}

static uint32_t base_of(Gen *g)
{
    static const uint8_t bases[] = {SP, GP, S0, TP};
    return bases[below(g, below(g, 12) ? 3 : 4)];
}

static void put_alu(Gen *g)
{
    put(g, spare_rd(g, fill(g, row_of(g, ROWS_ALU))));
}

static void put_memory(Gen *g)
{
    RowKind kind = below(g, 2) ? ROWS_LOAD : ROWS_STORE;
    unsigned row = row_of(g, kind);
    uint32_t bits = field_put(fill(g, row), 15, base_of(g));
    uint32_t small = (uint32_t)(int32_t)(below(g, 64) * 8 - 128);
    small += below(g, 4) ? 0 : below(g, 8);
    if (kind == ROWS_STORE) {
        put(g, (bits & 0x01fff07f) | (enc_s(0, 0, 0, (int32_t)small) & 0xfe000f80));
        return;
    }
    put(g, spare_rd(g, (bits & 0xfffff) | small << 20));
}

static void put_amo(Gen *g)
{
    uint32_t base = base_of(g), t = A0 + below(g, 18);
    put(g, enc_i(0x13, 7, t, base, below(g, 16) ? -16 : -1)); /* andi: aligned */
    uint32_t bits = field_put(fill(g, row_of(g, ROWS_AMO)), 15, t);
    if ((bits >> 27) == 2) { /* lr: something between, and its sc */
        put(g, spare_rd(g, bits));
        if (below(g, 2)) {
            put_alu(g);
        }
        bits = (bits & 0x000fffff) | 3u << 27 | (A0 + below(g, 18)) << 20;
        bits = field_put(bits, 7, A0 + below(g, 18));
    }
    put(g, spare_rd(g, bits));
}

static void put_fp(Gen *g)
{
    unsigned row = row_of(g, ROWS_FP);
    if (!row) {
        put_alu(g);
        return;
    }
    uint32_t bits = fill(g, row);
    if (!(rv64_row_bits[row].mask & 0x7000) && below(g, 16)) { /* rm: 5 and 6 are none */
        static const uint8_t modes[] = {7, 7, 7, 0, 1, 2, 3, 4};
        bits = (bits & ~0x7000u) | (uint32_t)modes[below(g, 8)] << 12;
    }
    put(g, spare_rd(g, bits));
}

/* Not those that jump, mostly: they would go anywhere. */
static void put_short(Gen *g)
{
    unsigned row = row_of(g, ROWS_SHORT);
    uint32_t bits = row ? fill(g, row) & 0xffff : NOP;
    uint32_t f3 = bits >> 13, quadrant = bits & 3;
    bool is_jump = (quadrant == 1 && f3 >= 5) || (quadrant == 2 && f3 == 4 && !(bits & 0x7c));
    put(g, is_jump && below(g, 40) ? 0x0001 : bits);
}

static void put_base(Gen *g) /* the register holds its address again, or another */
{
    uint32_t reg = base_of(g);
    if (reg == TP) {
        put(g, lui(TP, below(g, 3) ? UART >> 12 : 0x200c)); /* CLINT: mtime is 8 bytes before */
        return;
    }
    uint32_t page = (g->p->is_paged ? VIRT_DATA : LOCK_RAM + LOCK_DATA) / PAGE + below(g, NPAGES);
    static const int16_t offsets[] = {0, 128, 2040, 2047, -8, -4, -3, -1, 8};
    put(g, lui(reg, page & 0xfffff));
    put(g, enc_i(0x13, 1, reg, reg, 32));
    put(g, enc_i(0x13, 5, reg, reg, 32));
    put(g, addi(reg, reg, below(g, 3) ? (int32_t)below(g, 256) * 8 : offsets[below(g, sizeof offsets / 2)]));
}

static void put_device(Gen *g)
{
    bool is_uart = below(g, 2);
    put(g, lui(TP, is_uart ? UART >> 12 : 0x200c));
    uint32_t rd = A0 + below(g, 18);
    if (!is_uart) {
        put(g, load_d(rd, TP, -8));
    } else if (below(g, 3)) {
        put(g, enc_i(0x03, 4, rd, TP, (int32_t)below(g, 8)));
    } else {
        put(g, enc_s(0, TP, rd, (int32_t)(below(g, 2) ? 7 : 0)));
    }
}

static void put_csr(Gen *g)
{
    static const uint16_t read[] = {0xc00, 0xc01, 0xc02, 0xc03, 0x300, 0x100, 0x301, 0xf14, 0x342, 0x180, 0x344, 0xb00};
    static const uint16_t write[] = {0x001, 0x002, 0x003, 0x001, 0x003, 0x140,
                                     0x141, 0x142, 0x143, 0xb02, 0xb00, 0x106};
    uint32_t rd = below(g, 3) ? A0 + below(g, 18) : X0;
    switch (below(g, 6)) {
    case 0:
    case 1:
        put(g, csr(2, A0 + below(g, 18), read[below(g, 12)], X0));
        return;
    case 2:
    case 3:
        put(g, csr(5, rd, 0x002, below(g, 5))); /* frm: one of the five */
        return;
    default:
        put(g, csr(1 + below(g, 7), rd, write[below(g, 12)], below(g, 32)));
        return;
    }
}

static void put_branch(Gen *g)
{
    static const uint8_t f3[] = {0, 1, 4, 5, 6, 7};
    LockItem *at = put(g, branch(f3[below(g, 6)], A0 + below(g, 18), below(g, 3) ? A0 + below(g, 18) : X0));
    at->to = (int16_t)(1 + below(g, 6));
}

/* Code that changes a nop behind it, now and then with fence.i as it should. */
static void put_change(Gen *g)
{
    uint32_t word = spare_rd(g, fill(g, row_of(g, ROWS_ALU))) | 3;
    uint32_t distance = below(g, 4), at = 4 * 4;
    bool is_fenced = below(g, 2);
    put(g, 0x17 | T5 << 7); /* auipc */
    put(g, lui(T4, (word + 0x800) >> 12));
    put(g, enc_i(0x1b, 0, T4, T4, (int32_t)(word << 20) >> 20));
    put(g, enc_s(2, T5, T4, (int32_t)(at + 4 * distance + (is_fenced ? 4 : 0))));
    if (is_fenced) {
        put(g, FENCE_I);
    }
    for (uint32_t i = 0; i < distance; i++) {
        put_alu(g);
    }
    put(g, NOP);
}

static void put_body(Gen *g, uint32_t n);

static void put_loop(Gen *g)
{
    size_t first;
    put(g, addi(S1, X0, (int32_t)(1 + below(g, below(g, 8) ? 12 : 200))));
    first = g->p->nitems;
    g->depth++;
    put_body(g, 2 + below(g, 10));
    g->depth--;
    put(g, addi(S1, S1, -1));
    size_t last = g->p->nitems;
    put(g, branch(1, S1, X0))->to = (int16_t)((int32_t)first - (int32_t)last);
}

/* j over; f: body; ret; over: call f, twice. */
static void put_call(Gen *g)
{
    LockItem *over = put(g, 0x6f);
    size_t first = g->p->nitems;
    g->depth++;
    put_body(g, 1 + below(g, 5));
    g->depth--;
    put(g, RET);
    over->to = (int16_t)(g->p->nitems - (first - 1));
    for (unsigned i = 0; i < 2; i++) {
        size_t at = g->p->nitems;
        put(g, 0x6f | RA << 7)->to = (int16_t)((int32_t)first - (int32_t)at);
    }
}

static void put_space(Gen *g)
{
    if (!g->p->is_paged || below(g, 3)) {
        put(g, below(g, 3) ? 0x12000073 : fill(g, RV64_sfence_vma)); /* sfence.vma */
        return;
    }
    put(g, 0x73); /* ecall: the other address space */
    if (below(g, 2)) {
        put(g, 0x12000073);
    }
}

static void put_rare(Gen *g)
{
    static const uint32_t calls[] = {0x73, 0x100073, FENCE_I, 0x0ff0000f, 0x8330000f};
    switch (below(g, 6)) {
    case 0:
        put(g, calls[below(g, 5)]);
        return;
    case 1:
        put_space(g);
        return;
    case 2:
        put(g, field_put(fill(g, row_of(g, ROWS_CACHE)), 15, base_of(g)));
        return;
    case 3: { /* any row, but for those that stop or leave: wfi, wrs, mret, sret, csr */
        uint32_t bits = fill(g, row_of(g, ROWS_ANY));
        put(g, (bits & 0x7f) == 0x73 && (bits >> 12 & 7) != 4 ? NOP : field_put(bits, 15, base_of(g)));
        return;
    }
    case 4: /* a jump by a register to what follows */
        put(g, 0x17 | T5 << 7);
        put(g, enc_i(0x67, 0, below(g, 2) ? RA : X0, T5, below(g, 8) ? 8 : 9));
        return;
    default:
        put_change(g);
        return;
    }
}

static void put_body(Gen *g, uint32_t n)
{
    while (n--) {
        uint32_t kind = below(g, 100);
        if (kind < 36) {
            put_alu(g);
        } else if (kind < 52) {
            put_memory(g);
        } else if (kind < 64) {
            put_fp(g);
        } else if (kind < 72) {
            put_short(g);
        } else if (kind < 78) {
            put_branch(g);
        } else if (kind < 81) {
            put_amo(g);
        } else if (kind < 85) {
            put_csr(g);
        } else if (kind < 87) {
            put_device(g);
        } else if (kind < 91) {
            put_base(g);
        } else if (kind < 94) {
            put_rare(g);
        } else if (g->depth == 0) {
            (kind < 98 ? put_loop : put_call)(g);
        }
    }
}

/* ---- state ---- */
static uint64_t number(Gen *g)
{
    uint64_t v = next(g);
    switch (below(g, 6)) {
    case 0:
        return v & 15;
    case 1:
        return 0 - (v & 15);
    case 2:
        return 1ull << (v & 63);
    case 3:
        return (uint64_t)(int64_t)(int32_t)v;
    default:
        return v;
    }
}

static uint64_t fp_number(Gen *g)
{
    static const uint64_t some[] = {0, 1ull << 63, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 1};
    switch (below(g, 6)) {
    case 0:
        return some[below(g, 6)];
    case 1:
        return (next(g) & 0x800fffffffffffff) | (uint64_t)(1019 + below(g, 8)) << 52;
    case 2:
        return 0xffffffff00000000 | (next(g) & 0x807fffff) | (123 + below(g, 8)) << 23;
    case 3:
        return 0xffffffff00000000 | (uint32_t)next(g);
    case 4:
        return 0xffffffffffff0000 | (uint16_t)next(g);
    default:
        return next(g);
    }
}

static void state_make(Gen *g)
{
    LockProgram *p = g->p;
    uint64_t data = p->is_paged ? VIRT_DATA : LOCK_RAM + LOCK_DATA;
    for (unsigned i = 0; i < 32; i++) {
        p->x[i] = number(g);
        p->f[i] = fp_number(g);
    }
    p->x[SP] = data + 0x800;
    p->x[GP] = data + PAGE - 4;
    p->x[S0] = data + 2 * PAGE + 0x400;
    p->x[TP] = UART;
    p->fcsr = below(g, 2) ? 0 : below(g, 5) << 5;
    p->mstatus = (below(g, 8) ? 3ull : below(g, 4)) << 13 | (below(g, 2) ? 8 : 0); /* FS, MIE */
    p->satp = p->is_paged ? 8ull << 60 | (LOCK_RAM + LOCK_TABLES) >> 12 : 0;
}

void lock_generate(LockProgram *p, uint64_t seed)
{
    static const char *const cpus[] = {NULL, NULL, NULL, "rv64gc", "rv64imac", "rv64gc,zfhmin=off,zba=off,zabha=off"};
    static const uint8_t privs[] = {3, 3, 1, 0};
    Gen g = {.random = seed, .p = p};
    p->nitems = 0;
    p->cpu = cpus[below(&g, sizeof cpus / sizeof cpus[0])];
    p->priv = privs[below(&g, 4)];
    p->is_paged = p->priv != 3 && below(&g, 4);
    int rc = guest_riscv64.cpu_parse(p->cpu, &g.cpu, NULL);
    assert(!rc);
    (void)rc;
    state_make(&g);
    put(&g, lui(T1, 0x2004)); /* mtimecmp */
    put(&g, addi(T0, X0, 100 + (int32_t)below(&g, 1900)));
    put(&g, enc_s(3, T1, T0, 0));
    uint32_t n = below(&g, 3) ? 100 + below(&g, 300) : 10 + below(&g, 40);
    while (n-- && p->nitems + 300 < LOCK_ITEMS) { /* no shape has more */
        put_body(&g, 1);
    }
    size_t last = p->nitems;
    put(&g, 0x6f)->to = (int16_t) - (int32_t)last;
}

/* ---- the image ---- */
static void put_le(uint8_t *at, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        at[i] = (uint8_t)(v >> 8 * i);
    }
}

typedef struct {
    uint32_t word[64];
    unsigned n;
} Handler;

static unsigned at_end(Handler *h, uint32_t word)
{
    h->word[h->n] = word;
    return h->n++;
}

static void lead(Handler *h, unsigned from, unsigned to) /* the branch or jump at `from` goes to `to` */
{
    int32_t distance = ((int32_t)to - (int32_t)from) * 4;
    h->word[from] = (h->word[from] & 0x7f) == 0x63 ? enc_b(h->word[from], distance) : enc_j(h->word[from], distance);
}

/* Goes on behind the instruction that trapped; of a fetch: at one of four places in the code, in turn. A timer interrupt: the next
 * is later. An ecall changes the address space: not the program itself, as one that a wild jump enters in the middle would write a root that
 * is none, and what happens then is up to what a TLB has. It uses what mscratch points to. */
enum { SAVE_COUNT = 16, SAVE_CODE = 24, SAVE_OTHER_SPACE = 32 };
static void handler_make(Handler *h, bool is_paged)
{
    enum { COUNT = SAVE_COUNT, CODE = SAVE_CODE, NCAUSES = 3, NCALLS = 2 };
    static const uint8_t fetch_causes[NCAUSES] = {1, 12, 20}; /* Priv 3.1.15; 0 cannot be, or as others */
    static const uint8_t call_causes[NCALLS] = {8, 9};
    unsigned to_wild[NCAUSES], to_other[NCALLS];
    at_end(h, csr(1, SP, 0x340, SP));
    at_end(h, enc_s(3, SP, T0, 0));
    at_end(h, enc_s(3, SP, T1, 8));
    at_end(h, csr(2, T0, 0x342, X0));
    unsigned to_irq = at_end(h, branch(4, T0, X0));
    for (unsigned i = 0; i < NCAUSES; i++) {
        at_end(h, addi(T1, X0, fetch_causes[i]));
        to_wild[i] = at_end(h, branch(0, T0, T1));
    }
    for (unsigned i = 0; i < NCALLS && is_paged; i++) {
        at_end(h, addi(T1, X0, call_causes[i]));
        to_other[i] = at_end(h, branch(0, T0, T1));
    }
    unsigned behind = at_end(h, csr(2, T0, 0x341, X0));
    at_end(h, enc_i(0x03, 5, T1, T0, 0)); /* lhu: 3 in the low bits are 4 bytes, else 2 */
    at_end(h, enc_i(0x13, 7, T1, T1, 3));
    at_end(h, addi(T1, T1, -3));
    at_end(h, addi(T0, T0, 2));
    at_end(h, enc_b(branch(1, T1, X0), 8));
    at_end(h, addi(T0, T0, 2));
    at_end(h, csr(1, X0, 0x341, T0));
    unsigned out = at_end(h, load_d(T0, SP, 0));
    at_end(h, load_d(T1, SP, 8));
    at_end(h, csr(1, SP, 0x340, SP));
    at_end(h, 0x30200073); /* mret */
    unsigned wild = at_end(h, load_d(T0, SP, COUNT));
    at_end(h, addi(T0, T0, 1));
    at_end(h, enc_s(3, SP, T0, COUNT));
    at_end(h, enc_i(0x13, 7, T0, T0, 3));
    at_end(h, enc_i(0x13, 1, T0, T0, 6));
    at_end(h, load_d(T1, SP, CODE));
    at_end(h, 0x33 | T0 << 7 | T0 << 15 | T1 << 20); /* add */
    at_end(h, csr(1, X0, 0x341, T0));
    lead(h, at_end(h, 0x6f), out);
    unsigned irq = at_end(h, lui(T1, 0x2004)); /* mtimecmp */
    at_end(h, load_d(T0, T1, 0));
    at_end(h, addi(T0, T0, 2047));
    at_end(h, enc_s(3, T1, T0, 0));
    lead(h, at_end(h, 0x6f), out);
    lead(h, to_irq, irq);
    for (unsigned i = 0; i < NCAUSES; i++) {
        lead(h, to_wild[i], wild);
    }
    if (is_paged) {
        unsigned other = at_end(h, csr(2, T0, 0x180, X0));
        at_end(h, load_d(T1, SP, SAVE_OTHER_SPACE));
        at_end(h, 0x33 | T0 << 7 | 4 << 12 | T0 << 15 | T1 << 20); /* xor */
        at_end(h, csr(1, X0, 0x180, T0));
        lead(h, at_end(h, 0x6f), behind);
        for (unsigned i = 0; i < NCALLS; i++) {
            lead(h, to_other[i], other);
        }
    }
}

/* Two address spaces: code and devices where they are, and pages of data of all kinds. */
static void tables_put(const LockProgram *p, uint8_t *image)
{
    enum { V = 1, R = 2, W = 4, X = 8, U = 16, A = 64, D = 128, ALL = V | R | W | A | D };
    static const uint16_t kinds[NPAGES] = {ALL, ALL, ALL, ALL, 0,   V | R | A, V | R | W, V | R | W | A,
                                           ALL, ALL, ALL, ALL, ALL, ALL,       ALL,       ALL};
    uint64_t user = p->priv == 0 ? U : 0;
    for (unsigned space = 0; space < 2; space++) {
        uint8_t *root = image + LOCK_TABLES + space * 4 * PAGE, *mid = root + PAGE, *leaf = mid + PAGE;
        uint64_t at = LOCK_RAM + LOCK_TABLES + space * 4 * PAGE;
        put_le(root, ALL | user, 8);
        put_le(root + 8, (at + PAGE) >> 12 << 10 | V, 8);
        put_le(root + 16, (uint64_t)LOCK_RAM >> 12 << 10 | ALL | X | user, 8);
        put_le(mid, (at + 2 * PAGE) >> 12 << 10 | V, 8);
        for (unsigned i = 0; i < NPAGES; i++) {
            uint64_t page = i == 15 ? 0 : (i * 5 + space * 3) % NPAGES;
            uint64_t gpa = i == 8 ? UART : (uint64_t)LOCK_RAM + LOCK_DATA + page * PAGE;
            put_le(leaf + 8 * i, kinds[i] ? gpa >> 12 << 10 | kinds[i] | user : 0, 8);
        }
    }
}

void lock_image(const LockProgram *p, uint8_t image[LOCK_IMAGE_BYTES])
{
    static uint32_t at[LOCK_ITEMS + 1];
    memset(image, 0, LOCK_IMAGE_BYTES);
    Handler h = {.n = 0};
    handler_make(&h, p->is_paged);
    for (unsigned i = 0; i < h.n; i++) {
        put_le(image + 4 * i, h.word[i], 4);
    }
    put_le(image + LOCK_SAVE + SAVE_CODE, LOCK_RAM + LOCK_CODE, 8);
    put_le(image + LOCK_SAVE + SAVE_OTHER_SPACE, 1ull << 44 | 4,
           8); /* another ASID, and bit 2 of the root's page number */
    tables_put(p, image);
    uint64_t random = p->x[31];
    for (unsigned i = 0; i < NPAGES * PAGE; i += 8) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        put_le(image + LOCK_DATA + i, random >> 13, 8);
    }
    for (size_t i = 0; i < p->nitems; i++) {
        at[i + 1] = at[i] + p->item[i].len;
    }
    for (size_t i = 0; i < p->nitems; i++) {
        LockItem k = p->item[i];
        if (k.to) {
            size_t to = i + (size_t)(int64_t)k.to;
            int32_t distance = (int32_t)at[to < p->nitems ? to : 0] - (int32_t)at[i];
            k.bits = (k.bits & 0x7f) == 0x63 ? enc_b(k.bits, distance) : enc_j(k.bits, distance);
        }
        put_le(image + LOCK_CODE + at[i], k.bits, k.len);
    }
}
