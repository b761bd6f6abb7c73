/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a file of saved code, as they are and with head and sum made right; and a record that is right, changed in some places, as that of
 * the unit that it is of. What is taken must lie within the unit; what its code does is for who wrote the file. */
#include "sim/base/mem.h"
#include "sim/jit/jit_int.h"

#include <string.h>

#ifdef JIT_HAS_HOST
enum { GVA = 0x4000, BLOCK_BYTES = 0x100, AT_RECORDS = 12 };
typedef struct {
    Frame f;
    uint64_t r[24];
} FuzzFrame;
#define R(n) ((Slot)(offsetof(FuzzFrame, r) + 8u * (n)))
static const Slot hot[] = {R(0), R(1)};
static uint64_t help(Frame *f, uint64_t a, uint64_t b, uint64_t c, int64_t imm)
{
    (void)f, (void)a, (void)b, (void)c, (void)imm;
    return 0;
}
static const Helper helpers[] = {{"help", help, EFF_READS_FRAME | EFF_ENDS, 0}};
static const IrGuest guest = {.name = "fuzz",
                              .frame_bytes = sizeof(FuzzFrame),
                              .helpers = helpers,
                              .nhelpers = ARRAY_LEN(helpers),
                              .hot = hot,
                              .nhot = ARRAY_LEN(hot)};

static Jit *jit;
static JBlock *block[2];

/* A loop that is unrolled, with what is only noted; then a call. */
static void blocks_make(void)
{
    static IrOp ops[IR_BLOCK_MAX_OPS];
    IrBuild k;
    IrBlock b;
    void *code;
    ir_begin(&k, &b, ops, GVA, 0);
    ir_insn(&k, 4, 0);
    ir_load(&k, 0, R(2), R(3), 0);
    ir_insn(&k, 4, 0);
    ir_opi(&k, IR_add_i, R(3), R(3), 1);
    ir_opi(&k, IR_add_i, R(4), R(2), 5);
    ir_opi(&k, IR_add_i, R(5), R(4), 5);
    ir_insn(&k, 4, 0);
    ir_brcond(&k, COND_NE, R(2), R(6), GVA);
    ir_insn(&k, 4, 0);
    ir_jmp(&k, GVA + BLOCK_BYTES);
    code = engine_jit.prepare(jit, &b, &block[0]);
    block[0] = jblock_of(code);
    ir_begin(&k, &b, ops, GVA + BLOCK_BYTES, 0);
    ir_insn(&k, 4, 0);
    ir_store(&k, 0, R(3), 8, R(2));
    ir_insn(&k, 4, 0);
    ir_call(&k, 0, R(2), IR_ZERO, IR_ZERO, IR_ZERO, 0);
    ir_emit(&k, &(IrOp){.op = IR_sync, .imm = GVA});
    code = engine_jit.prepare(jit, &b, &block[1]);
    block[1] = jblock_of(code);
}

/* which 0: a region of both; 1: the second alone. */
static Maker *unit(unsigned which)
{
    Maker *m = jit->maker;
    jit_unit_begin(m);
    if (which) {
        jit_unit_add(m, block[1]);
    } else {
        jit_unit_add(m, block[0]);
        jit_unit_add(m, block[1]);
        m->is_region = m->bb[0].is_entry = m->bb[0].is_loop = true;
        m->bb[0].succ[0] = 0;
        m->bb[0].succ[1] = 1;
        m->bb[0].depth = 1;
    }
    return m;
}

static const void *right[2];
static size_t right_bytes[2];

static void begin(void)
{
    CodeStore *s = code_store_new(NULL);
    jit = engine_jit.create(&guest);
    engine_jit.recall(jit, s);
    blocks_make();
    for (unsigned i = 0; i < 2; i++) {
        Maker *m = unit(i);
        jit_recall(m);
        jit_region_abandon(m, jit_unit_make(m, jit->host));
        right[i] = code_store_find(s, m->key, &right_bytes[i]);
        if (!right[i]) {
            __builtin_trap();
        }
    }
}

static void check_within(const Unit *u)
{
    for (uint32_t i = 0; i < u->nsites; i++) {
        const Site *s = &u->sites[i];
        if (s->op > s->b->nops || s->entry + s->nentries > u->entries + u->nentries) {
            __builtin_trap();
        }
    }
    for (uint32_t i = 0; i < u->nexits; i++) {
        const JExit *e = &u->exits[i];
        if (e->number >= IR_MAX_EXITS || e->jump < u->code || e->jump + 4 > u->code + u->code_bytes) {
            __builtin_trap();
        }
    }
}

static void try_record(unsigned which, const void *bytes, size_t n, bool must)
{
    Maker *m = unit(which);
    Unit *u = host_recall(jit->host, m, bytes, n);
    if (!u && must) {
        __builtin_trap();
    }
    if (u && host_place(jit->host, u)) {
        check_within(u);
        jit_cache_put(&jit->cache, u->code, u->code_bytes);
    }
    jit_region_abandon(m, u);
}

static void try_file(const void *bytes, size_t n)
{
    CodeStore *s = code_store_new(NULL);
    Err err = {0};
    size_t size;
    if (code_store_read(s, bytes, n, "x", &err)) {
        if (!err.text[0] || code_store_stats(s).records) {
            __builtin_trap();
        }
    }
    for (uint64_t i = 0; i < 4; i++) {
        const uint8_t *found = code_store_find(s, (CodeKey){{i, i}}, &size);
        if (found && size) {
            volatile uint8_t last = found[size - 1];
            (void)last;
        }
    }
    code_store_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!jit) {
        begin();
        try_record(0, right[0], right_bytes[0], true);
        try_record(1, right[1], right_bytes[1], true);
    }
    if (!size) {
        return 0;
    }
    unsigned which = data[0] & 1;
    try_file(data, size);
    CodeStore *s = code_store_new(NULL);
    Buf file = {0};
    uint32_t nrecords = data[0] >> 1;
    code_store_write(s, &file);
    code_store_free(s);
    buf_bytes(&file, data + 1, (size - 1) & ~(size_t)7);
    memcpy(file.data + AT_RECORDS, &nrecords, sizeof nrecords);
    code_store_sum(&file);
    try_file(file.data, file.n);
    buf_free(&file);
    try_record(which, data, size, false);
    uint8_t *changed = x_alloc(right_bytes[which]); /* each 3 bytes: where, and what there is added */
    memcpy(changed, right[which], right_bytes[which]);
    for (size_t i = 1; i + 3 <= size; i += 3) {
        changed[(data[i] | (size_t)data[i + 1] << 8) % right_bytes[which]] += data[i + 2];
    }
    try_record(which, changed, right_bytes[which], false);
    try_record(which, changed, size % right_bytes[which], false);
    mem_free(changed);
    return 0;
}
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data, (void)size;
    return 0;
}
#endif
