/* SPDX-License-Identifier: Apache-2.0
 * How much code the JIT makes of typical guest code: golden.txt, so that a change of the emitter shows in a diff. The guest is
 * sim/jit_golden.S. The features of the host are fixed, x86-64 and x86-64-v3, so the numbers are those of every machine; what has
 * not all of v3 compares the former only. With CONF_UPDATE_GOLDEN set the file is written anew (read the difference before you
 * commit it), on a machine that has v3:
 *
 *     CONF_UPDATE_GOLDEN=1 build/dev/sim/jit/decode/jit_decode_test golden */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/jit/decode/decode.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef JIT_HAS_HOST
#define GOLDEN "sim/jit/decode/golden.txt"
enum { RAM = 0x80000000, RAM_BYTES = 1 << 20, TABLE = RAM + 0x10000, INSNS = 60000 };

static const uint32_t WORDS[] = {
#include "sim/jit_golden.def"
};
static const struct {
    const char *name;
    bool has_paged; /* under Sv39 too */
} SHAPES[] = {{"alu", false},  {"bits", false}, {"divide", false}, {"branch", false}, {"memory", true},
              {"copy", true},  {"scan", true},  {"call", true},    {"switch", true},  {"fp64", true},
              {"fp32", false}, {"amo", true},   {"csr", false},    {"trap", false}};
enum { V3 = JIT_BMI1 | JIT_BMI2 | JIT_LZCNT | JIT_POPCNT | JIT_FMA | JIT_AVX };
static const struct {
    const char *name;
    unsigned features;
} CPUS[] = {{"x86-64", 0}, {"x86-64-v3", V3}};

typedef struct {
    unsigned pieces, blocks, insns, host, hot_bytes, cold_bytes;
} Sum;
typedef struct {
    uint64_t from, to; /* addresses of the shape */
    Sum block, region; /* of all blocks; of the region that was made last */
} Measure;

static void seen(void *ctx, const JitEvent *e, unsigned ninsns, unsigned nhot)
{
    Measure *m = ctx;
    (void)ninsns;
    if (e->gva - m->from >= m->to - m->from || (e->kind != JIT_BLOCK && e->kind != JIT_REGION)) {
        return;
    }
    if (e->kind == JIT_BLOCK && m->region.blocks) { /* of the end of the run, which cuts one */
        return;
    }
    Sum *s = e->kind == JIT_BLOCK ? &m->block : &m->region;
    if (e->kind == JIT_REGION) {
        *s = (Sum){.pieces = s->pieces};
    }
    s->pieces++;
    s->blocks += e->nblocks;
    s->insns += e->ninsns;
    s->host += nhot;
    s->hot_bytes += (unsigned)e->hot_bytes;
    s->cold_bytes += (unsigned)(e->nbytes - e->hot_bytes);
}

static void set(SimVcpu *v, const char *name, uint64_t value)
{
    CHECK(!sim_reg_set(v, reg_find(GUEST_riscv64, name)->id, &value, NULL));
}

/* S mode; one entry for 1 GiB, to where it is. */
static void page(Sim *s, SimVcpu *v)
{
    enum { ENTRY = 2, FLAGS = 0xcf };
    uint64_t entry = (uint64_t)RAM >> 12 << 10 | FLAGS;
    CHECK(!sim_mem_write(s, TABLE + ENTRY * sizeof entry, &entry, sizeof entry, NULL));
    set(v, "satp", 8ull << 60 | TABLE >> 12);
    set(v, "mstatus", 0x6000);
    set(v, "pmpaddr0", UINT64_MAX >> 10);
    set(v, "pmpcfg0", 0x1f);
    set(v, "priv", 1);
}

static void measure(unsigned shape, bool is_paged, Measure *m)
{
    Sim *s = NULL;
    SimVcpu *v = NULL;
    SimExit e = {0};
    uint32_t ram;
    const uint32_t *at = &WORDS[3 * shape];
    *m = (Measure){.from = RAM + at[1], .to = RAM + at[2]};
    CHECK(!sim_new(&(SimConfig){.guest = "riscv64", .engine = SIM_JIT}, &s, NULL));
    CHECK(!sim_ram_new(s, RAM_BYTES, &ram, NULL));
    CHECK(!sim_map(s, RAM, RAM_BYTES, ram, 0, 7, NULL));
    CHECK(!sim_mem_write(s, RAM, WORDS, sizeof WORDS, NULL));
    CHECK(!sim_vcpu_new(s, 0, &v, NULL));
    CHECK(!sim_vcpu_reset(v, &(SimReset){.entry = RAM + at[0]}, NULL));
    if (is_paged) {
        page(s, v);
    }
    CHECK(!sim_run(v, &(SimRun){.insns = INSNS}, &e, NULL));
    CHECK_INT(e.kind, SIM_EXIT_budget);
    sim_free(s);
}

static void sum_print(const Sum *s, Buf *out)
{
    if (!s->blocks) {
        buf_printf(out, " |%29s", "none");
        return;
    }
    buf_printf(out, " | %3u %3u %4u %5.2f %5u %5u", s->blocks, s->insns, s->host, (double)s->host / s->insns,
               s->hot_bytes, s->cold_bytes);
}

static void golden_make(unsigned cpu, Buf *out)
{
    for (unsigned i = 0; i < 2 * ARRAY_LEN(SHAPES); i++) {
        unsigned shape = i / 2;
        bool is_paged = i & 1;
        Measure m;
        if (is_paged && !SHAPES[shape].has_paged) {
            continue;
        }
        decode_features(CPUS[cpu].features);
        decode_begin(true, seen, &m);
        measure(shape, is_paged, &m);
        DecodeTotals totals;
        Buf report = {0};
        CHECK(decode_end(&totals, &report));
        buf_free(&report);
        CHECK(m.block.blocks);
        buf_printf(out, "%-9s %-7s %s", CPUS[cpu].name, SHAPES[shape].name, is_paged ? "sv39" : "bare");
        sum_print(&m.block, out);
        sum_print(&m.region, out);
        buf_char(out, '\n');
    }
    decode_features(UINT32_MAX);
}

static const char HEAD[] =
    "# How much code the JIT makes: written and compared by golden_test.c, which says how to renew it.\n"
    "# blk: blocks; gst, host: guest and host instructions of the way that is mostly run, and the latter for one of "
    "the former; hot,\n"
    "# cold: bytes of that way, and of what is rarely run. First of all blocks by themselves, then of the region of "
    "them, with the\n"
    "# copies of loops that are unrolled.\n"
    "# host    shape   mode | blk gst host   h/g   hot  cold | blk gst host   h/g   hot  cold\n";

/* The lines of the one that the other has not. */
static void lines_without(const char *text, const char *other, char mark, Buf *out)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        char line[256];
        snprintf(line, sizeof line, "%.*s\n", (int)n, text);
        if (!strstr(other, line)) {
            buf_printf(out, "%c %s", mark, line);
        }
        text += n + (text[n] == '\n');
    }
}

TEST(jit_decode, golden_amounts_of_code_are_as_they_were)
{
    Buf now = {0}, was = {0}, diff = {0};
    if (!decode_is_here()) {
        test_skip("libzydis-dev was not there when this was built");
        return;
    }
    buf_str(&now, HEAD);
    golden_make(0, &now);
    bool has_v3 = (decode_host() & V3) == V3;
    if (has_v3) {
        golden_make(1, &now);
    }
    if (getenv("CONF_UPDATE_GOLDEN") && CHECK(has_v3)) {
        CHECK_INT(os_write_file(GOLDEN, now.data, now.n, NULL), 0);
    }
    CHECK_INT(os_read_file(GOLDEN, 1 << 20, &was, NULL), 0);
    char *v3 = strstr(was.data ? (char *)was.data : "", "\nx86-64-v3 ");
    if (v3 && !has_v3) {
        was.n = (size_t)(v3 + 1 - (char *)was.data);
        *(v3 + 1) = 0;
    }
    lines_without(buf_text(&was), buf_text(&now), '-', &diff);
    lines_without(buf_text(&now), buf_text(&was), '+', &diff);
    if (!CHECK(!diff.n)) {
        printf("%s%s: other amounts of code. If that is wanted, CONF_UPDATE_GOLDEN=1 %s golden renews it\n",
               buf_text(&diff), GOLDEN, "build/dev/sim/jit/decode/jit_decode_test");
    }
    buf_free(&now);
    buf_free(&was);
    buf_free(&diff);
}
#endif
