/* SPDX-License-Identifier: Apache-2.0
 * testfloat_main.c - test vectors of Berkeley TestFloat through the instructions of a riscv64 guest; ci/testfloat runs it.
 *
 *   testfloat_gen -rmin f64_add | testfloat_riscv64 f64_add 2 [LIMIT]      2: the rounding mode as rm encodes it (Unpriv 20.2)
 *
 * A line on stdin is operands, result and flags in hexadecimal. Each goes two ways through each engine that this host has: with the
 * rounding mode in the instruction and fflags clear; and with the mode in frm and NX accrued, which takes other paths of
 * sim/softfp/hostfp.h; and then through the evaluator of the IR, which is softfp alone. Prints the number of vectors (at most LIMIT are
 * read) and of wrong ones, and the first few of those on stderr. Status: 0 all right, 1 some wrong, 2 bad usage or input. */
#include "sim/base/mem.h"
#include "sim/engines.h"
#include "sim/guest/guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OP_FP = 0x53, FMADD = 0x43, RD = 10 << 7, RS1 = 11 << 15, RS2 = 12 << 20, RS3 = 13u << 27, DYN = 7, SHOWN = 5 };
enum { MSTATUS_FS_DIRTY = 0x6000, MAX_OPERANDS = 3, FLAG_NX = 1, FRM_SHIFT = 5 };
typedef enum { H = 2, S = 0, D = 1 } Fmt; /* bits 26:25 */

typedef enum { WAY_STATIC, WAY_DYNAMIC, WAY_SOFT } Way;

typedef struct {
    const char *name;
    uint32_t word; /* without registers and rounding mode */
    uint8_t nsrc;
    bool rounds, is_x_in, is_x_out;
    uint8_t bits_in, bits_out; /* what of a register is the operand, and compared */
} Op;

#define FUNCT(funct7, rs2, funct3) ((uint32_t)(funct7) << 25 | (uint32_t)(rs2) << 20 | (uint32_t)(funct3) << 12 | OP_FP)
#define INTS(f, fmt, bits)                                                                                             \
    {"i32_to_" f, FUNCT(104 | (fmt), 0, 0), 1, true, true, false, 32, bits},                                           \
        {"ui32_to_" f, FUNCT(104 | (fmt), 1, 0), 1, true, true, false, 32, bits},                                      \
        {"i64_to_" f, FUNCT(104 | (fmt), 2, 0), 1, true, true, false, 64, bits},                                       \
        {"ui64_to_" f, FUNCT(104 | (fmt), 3, 0), 1, true, true, false, 64, bits},                                      \
        {f "_to_i32", FUNCT(96 | (fmt), 0, 0), 1, true, false, true, bits, 32},                                        \
        {f "_to_ui32", FUNCT(96 | (fmt), 1, 0), 1, true, false, true, bits, 32},                                       \
        {f "_to_i64", FUNCT(96 | (fmt), 2, 0), 1, true, false, true, bits, 64},                                        \
    {                                                                                                                  \
        f "_to_ui64", FUNCT(96 | (fmt), 3, 0), 1, true, false, true, bits, 64                                          \
    }
#define ARITHMETIC(f, fmt, bits)                                                                                       \
    {f "_add", FUNCT(fmt, 0, 0), 2, true, false, false, bits, bits},                                                   \
        {f "_sub", FUNCT(4 | (fmt), 0, 0), 2, true, false, false, bits, bits},                                         \
        {f "_mul", FUNCT(8 | (fmt), 0, 0), 2, true, false, false, bits, bits},                                         \
        {f "_div", FUNCT(12 | (fmt), 0, 0), 2, true, false, false, bits, bits},                                        \
        {f "_sqrt", FUNCT(44 | (fmt), 0, 0), 1, true, false, false, bits, bits},                                       \
        {f "_mulAdd", (uint32_t)(fmt) << 25 | FMADD, 3, true, false, false, bits, bits},                               \
        {f "_eq", FUNCT(80 | (fmt), 0, 2), 2, false, false, true, bits, 64},                                           \
        {f "_lt", FUNCT(80 | (fmt), 0, 1), 2, false, false, true, bits, 64},                                           \
        {f "_le", FUNCT(80 | (fmt), 0, 0), 2, false, false, true, bits, 64},                                           \
        {f "_lt_quiet", FUNCT(80 | (fmt), 0, 5), 2, false, false, true, bits, 64},                                     \
        {f "_le_quiet", FUNCT(80 | (fmt), 0, 4), 2, false, false, true, bits, 64},                                     \
    {                                                                                                                  \
        f "_roundToInt", FUNCT(32 | (fmt), 5, 0), 1, true, false, false, bits, bits                                    \
    }
static const Op ops[] = {
    ARITHMETIC("f16", H, 16),
    ARITHMETIC("f32", S, 32),
    ARITHMETIC("f64", D, 64),
    INTS("f16", H, 16),
    INTS("f32", S, 32),
    INTS("f64", D, 64),
    {"f16_to_f32", FUNCT(32 | S, H, 0), 1, true, false, false, 16, 32},
    {"f16_to_f64", FUNCT(32 | D, H, 0), 1, true, false, false, 16, 64},
    {"f32_to_f16", FUNCT(32 | H, S, 0), 1, true, false, false, 32, 16},
    {"f32_to_f64", FUNCT(32 | D, S, 0), 1, true, false, false, 32, 64},
    {"f64_to_f16", FUNCT(32 | H, D, 0), 1, true, false, false, 64, 16},
    {"f64_to_f32", FUNCT(32 | S, D, 0), 1, true, false, false, 64, 32},
};

typedef struct {
    const GuestIsa *isa;
    const Op *op;
    Frame *f;
    void *cpu;
    const Engine *engine[SIM_ENGINES];              /* NULL: not on this host */
    void *made[SIM_ENGINES], *code[SIM_ENGINES][2]; /* code: by WAY_STATIC, WAY_DYNAMIC */
    IrOp ops[IR_BLOCK_MAX_OPS];
    IrBlock block;
    RegId in[MAX_OPERANDS], out, fcsr;
    unsigned rm;
} Bench;

typedef struct {
    uint64_t in[MAX_OPERANDS], out;
    uint32_t flags;
} Vector;

static uint64_t ones(unsigned bits)
{
    return bits == 64 ? 0 : ~0ull << bits;
}

static RegId reg_id(const char *name)
{
    return reg_find(GUEST_riscv64, name)->id;
}

static bool reg_put(const Bench *b, RegId id, uint64_t value)
{
    Err err = {0};
    if (b->isa->reg_set(b->f, id, &value, &err)) {
        fprintf(stderr, "testfloat_riscv64: %s\n", err.text);
        return false;
    }
    return true;
}

static uint64_t reg_take(const Bench *b, RegId id)
{
    uint64_t value = 0;
    return b->isa->reg_get(b->f, id, &value, NULL) ? ~0ull : value;
}

static bool translate(Bench *b, unsigned rm)
{
    uint32_t w = b->op->word | RD | RS1 | (b->op->nsrc > 1 ? RS2 : 0) | (b->op->nsrc > 2 ? RS3 : 0) |
                 (b->op->rounds ? rm << 12 : 0);
    uint8_t bytes[4] = {(uint8_t)w, (uint8_t)(w >> 8), (uint8_t)(w >> 16), (uint8_t)(w >> 24)};
    IrBuild k;
    uint32_t key = b->isa->mode_key(b->f);
    ir_begin(&k, &b->block, b->ops, 0, key);
    Translate t = {.ir = &k, .mode_key = key, .bytes = bytes, .avail = sizeof bytes, .cpu = b->cpu};
    if (b->isa->translate(&t) != TR_NEXT) {
        fprintf(stderr, "testfloat_riscv64: %08x is no floating-point instruction\n", w);
        return false;
    }
    ir_jmp(&k, 4);
    ir_optimise(&b->block, &b->isa->ir);
    return true;
}

/* The block, on each engine. */
static bool prepare(Bench *b, Way way)
{
    bool ok = true;
    for (unsigned e = 0; e < SIM_ENGINES; e++) {
        b->code[e][way] = b->engine[e] ? b->engine[e]->prepare(b->made[e], &b->block, NULL) : NULL;
        ok = ok && (b->code[e][way] || !b->engine[e]);
    }
    return ok;
}

static bool bench_open(Bench *b)
{
    static const char *const f_names[] = {"f11", "f12", "f13"}, *const x_names[] = {"a1", "a2", "a3"};
    for (unsigned i = 0; i < MAX_OPERANDS; i++) {
        b->in[i] = reg_id(b->op->is_x_in ? x_names[i] : f_names[i]);
    }
    b->out = reg_id(b->op->is_x_out ? "a0" : "f10");
    b->fcsr = reg_id("fcsr");
    b->cpu = x_alloc(b->isa->cpu_bytes);
    Err err = {0};
    if (b->isa->cpu_parse(NULL, b->cpu, &err)) {
        fprintf(stderr, "testfloat_riscv64: %s\n", err.text);
        return false;
    }
    b->f = x_alloc(b->isa->ir.frame_bytes);
    b->isa->reset(b->f, &(GuestReset){.cpu = b->cpu});
    for (unsigned e = 0; e < SIM_ENGINES; e++) {
        const char *why;
        b->engine[e] = engine_of((SimEngine)e, &why);
        b->made[e] = b->engine[e] ? b->engine[e]->create(&b->isa->ir) : NULL;
    }
    return reg_put(b, reg_id("mstatus"), MSTATUS_FS_DIRTY) && translate(b, b->rm) && prepare(b, WAY_STATIC) &&
           reg_put(b, b->fcsr, b->rm << FRM_SHIFT) && translate(b, DYN) && prepare(b, WAY_DYNAMIC);
}

static void bench_close(Bench *b)
{
    for (unsigned e = 0; e < SIM_ENGINES; e++) {
        if (b->engine[e]) {
            b->engine[e]->destroy(b->made[e]);
        }
    }
    mem_free(b->f);
    mem_free(b->cpu);
}

/* ---- the ways ---- */
static uint64_t *slot(const Bench *b, Slot s)
{
    return (uint64_t *)(void *)((char *)b->f + s);
}

static void evaluate(const Bench *b)
{
    const IrGuest *g = &b->isa->ir;
    for (const IrOp *o = b->block.op; ir_op_info[o->op].cls != CLASS_TERM; o++) {
        uint64_t x = *slot(b, o->a), y = *slot(b, o->b), z = *slot(b, o->c);
        if (ir_op_info[o->op].cls == CLASS_PURE) {
            *slot(b, o->d) = ir_eval((IrOpcode)o->op, x, y, z, o->imm);
            continue;
        }
        uint32_t flags = (uint32_t)*slot(b, g->fp_flags);
        *slot(b, o->d) = ir_eval_fp(o, x, y, z, (unsigned)*slot(b, g->fp_rm), g->fp_mode, &flags);
        *slot(b, g->fp_flags) = flags;
    }
}

/* e: of WAY_STATIC and WAY_DYNAMIC */
static bool is_right(const Bench *b, const Vector *v, Way way, SimEngine e)
{
    static const char *const names[] = {"static", "dynamic, NX accrued", "evaluator"};
    uint32_t accrued = way == WAY_DYNAMIC ? FLAG_NX : 0;
    uint64_t boxes = b->op->is_x_in ? 0 : ones(b->op->bits_in), garbage = b->op->is_x_in ? ones(b->op->bits_in) : 0;
    for (unsigned i = 0; i < b->op->nsrc; i++) {
        if (!reg_put(b, b->in[i], v->in[i] | boxes | garbage)) {
            return false;
        }
    }
    (void)reg_put(b, b->fcsr, accrued | b->rm << FRM_SHIFT);
    if (way == WAY_SOFT) {
        evaluate(b);
    } else {
        b->f->budget = 1000;
        (void)b->engine[e]->enter(b->made[e], b->code[e][way], b->f);
    }
    uint64_t got = reg_take(b, b->out), above = ones(b->op->bits_out);
    uint64_t sign = b->op->is_x_out && got >> (b->op->bits_out - 1) & 1 ? above : 0;
    uint64_t want = v->out | (b->op->is_x_out ? sign : above);
    uint32_t flags = (uint32_t)reg_take(b, b->fcsr) & 31;
    if (got == want && flags == (v->flags | accrued)) {
        return true;
    }
    fprintf(stderr,
            "%s rm %u (%s, %s): %" PRIx64 " %" PRIx64 " %" PRIx64 ": %" PRIx64 " flags %x, expected %" PRIx64
            " flags %x\n",
            b->op->name, b->rm, way == WAY_SOFT ? "IR" : sim_engine_name(e), names[way], v->in[0], v->in[1], v->in[2],
            got, flags, want, v->flags | accrued);
    return false;
}

/* ---- input ---- */
static bool number(char **at, uint64_t *out)
{
    char *end;
    *out = strtoull(*at, &end, 16);
    bool is_number = end != *at && (*end == ' ' || *end == '\n' || !*end);
    *at = end;
    return is_number;
}

static bool vector(char *line, unsigned nsrc, Vector *v)
{
    uint64_t flags = 0;
    bool ok = true;
    for (unsigned i = 0; i < nsrc; i++) {
        ok = ok && number(&line, &v->in[i]);
    }
    ok = ok && number(&line, &v->out) && number(&line, &flags) && flags < 32;
    v->flags = (uint32_t)flags;
    return ok;
}

static int run(const Bench *b, uint64_t limit)
{
    char line[160];
    uint64_t nvectors = 0, nwrong = 0;
    while (nvectors < limit && fgets(line, sizeof line, stdin)) {
        Vector v = {0};
        if (!vector(line, b->op->nsrc, &v)) {
            fprintf(stderr, "testfloat_riscv64: no vector of %s: %s\n", b->op->name, line);
            return 2;
        }
        nvectors++;
        bool is_wrong = nwrong < SHOWN && !is_right(b, &v, WAY_SOFT, SIM_INTERP);
        for (unsigned e = 0; e < SIM_ENGINES && nwrong < SHOWN; e++) {
            is_wrong |= b->engine[e] && !is_right(b, &v, WAY_STATIC, (SimEngine)e);
            is_wrong |= b->engine[e] && !is_right(b, &v, WAY_DYNAMIC, (SimEngine)e);
        }
        nwrong += is_wrong;
    }
    printf("%" PRIu64 " vectors, %" PRIu64 " wrong\n", nvectors, nwrong);
    return !nvectors ? 2 : nwrong ? 1 : 0;
}

static int usage(void)
{
    fputs("usage: testfloat_gen ... OPERATION | testfloat_riscv64 OPERATION RM [LIMIT]\n", stderr);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        fprintf(stderr, "%s%s", ops[i].name, i + 1 < ARRAY_LEN(ops) ? " " : "\n");
    }
    return 2;
}

int main(int argc, char **argv)
{
    const Op *op = NULL;
    for (size_t i = 0; argc > 2 && i < ARRAY_LEN(ops); i++) {
        op = strcmp(ops[i].name, argv[1]) ? op : &ops[i];
    }
    if (!op || argv[2][0] < '0' || argv[2][0] > '4' || argv[2][1]) {
        return usage();
    }
    const GuestIsa *isa = guest_isa("riscv64");
    Bench *b = x_alloc(sizeof *b);
    *b = (Bench){.isa = isa, .op = op, .rm = (unsigned)(argv[2][0] - '0')};
    int status = bench_open(b) ? run(b, argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_MAX) : 2;
    bench_close(b);
    mem_free(b);
    return status;
}
