/* SPDX-License-Identifier: Apache-2.0
 * lockstep SECONDS SEED [ENGINE...]: random programs (lockstep.h) on these engines (default: all that this host has), each beside the
 * interpreter with blocks of one instruction. Registers are compared every so many instructions, RAM less often. Where they go
 * apart: the first instruction, the program made smaller, what differs, and the code. Exit status: 0 equal, 1 apart, 2 usage. */
#include "sim/base/hash.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/guest/riscv64/isa.h"
#include "sim/lockstep/lockstep.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUN_INSNS = 40000, STEP_INSNS = 1000, RAM_EVERY = 8, QUANTUM_NS = 1000, SMALLER_TRIES = 400 };

typedef struct {
    SimEngine engine;
    uint32_t max_block_insns;
    uint64_t block_seed;
} Side;
static const Side reference = {SIM_INTERP, 1, 0};

/* ---- machines ---- */
static void reg_put(SimVcpu *v, const char *name, uint64_t value)
{
    Err err;
    const RegInfo *reg = reg_find(GUEST_riscv64, name);
    if (sim_reg_set(v, reg->id, &value, &err)) {
        return; /* of a cpu without it */
    }
}

static uint64_t reg_get(SimVcpu *v, RegId id)
{
    uint64_t value = 0;
    if (sim_reg_get(v, id, &value, NULL)) {
        return 0;
    }
    return value;
}

static void state_put(SimVcpu *v, const LockProgram *p)
{
    static const char *const x[] = {"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
                                    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
                                    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    reg_put(v, "mstatus", p->mstatus);
    reg_put(v, "mtvec", LOCK_RAM);
    reg_put(v, "mscratch", (uint64_t)LOCK_RAM + LOCK_SAVE);
    reg_put(v, "mie", 0x80);
    reg_put(v, "mcounteren", 7);
    reg_put(v, "scounteren", 7);
    reg_put(v, "menvcfg", 0xf1);
    reg_put(v, "senvcfg", 0xf1);
    reg_put(v, "pmpaddr0", ~0ull);
    reg_put(v, "pmpcfg0", 0x1f);
    reg_put(v, "satp", p->satp);
    for (unsigned i = 1; i < 32; i++) {
        reg_put(v, x[i], p->x[i]);
    }
    for (unsigned i = 0; i < 32; i++) {
        char name[8];
        snprintf(name, sizeof name, "f%u", i);
        reg_put(v, name, p->f[i]);
    }
    reg_put(v, "fcsr", p->fcsr);
    reg_put(v, "priv", p->priv);
    reg_put(v, "pc", (uint64_t)LOCK_RAM + LOCK_CODE);
}

static Sim *machine(const LockProgram *p, const Side *side)
{
    static uint8_t image[LOCK_IMAGE_BYTES];
    Sim *s = NULL;
    Err err = {0};
    SimConfig cfg = {.guest = "riscv64",
                     .cpu = p->cpu,
                     .engine = side->engine,
                     .max_block_insns = side->max_block_insns,
                     .block_seed = side->block_seed};
    int rc = sim_new(&cfg, &s, &err);
    rc = rc ? rc : sim_board(s, &(SimBoardConfig){.ram_bytes = LOCK_RAM_BYTES, .nvcpus = 1}, &err);
    lock_image(p, image);
    rc = rc ? rc : sim_board_load(s, &(SimBoot){.kernel = {"program", image, sizeof image}}, &err);
    if (rc) {
        printf("lockstep: %s\n", err.text);
        exit(2);
    }
    state_put(sim_vcpu_at(s, 0), p);
    return s;
}

/* n more instructions; false: the machine has ended, idles, or does nothing but trap. */
static bool run(Sim *s, uint64_t n)
{
    SimExit e = {0};
    uint8_t who;
    uint64_t end = sim_insns(sim_vcpu_at(s, 0)) + n, until_ns = sim_board_now_ns(s) + 100 * (n + QUANTUM_NS);
    int rc = sim_run_all(s, QUANTUM_NS, &(SimRun){.insns = n, .until_ns = until_ns}, &who, &e, NULL);
    return !rc && e.kind == SIM_EXIT_budget && sim_insns(sim_vcpu_at(s, 0)) == end;
}

static uint64_t hash_of(Sim *s, bool with_ram)
{
    return sim_vcpu_hash(sim_vcpu_at(s, 0)) ^ (with_ram ? sim_ram_hash(s) : 0);
}

/* ---- comparing ---- */
/* Are they equal after n instructions, run in steps of STEP_INSNS and the rest? */
static bool same_after(const LockProgram *p, const Side *side, uint64_t n)
{
    Sim *a = machine(p, &reference), *b = machine(p, side);
    bool is_same = true, goes_on = true;
    for (uint64_t done = 0; done < n && goes_on; done += STEP_INSNS) {
        uint64_t step = n - done < STEP_INSNS ? n - done : STEP_INSNS;
        goes_on = run(a, step);
        is_same = run(b, step) == goes_on;
        goes_on = goes_on && is_same;
    }
    is_same = is_same && hash_of(a, true) == hash_of(b, true);
    sim_free(a);
    sim_free(b);
    return is_same;
}

/* The first count at which they are seen to differ, and of those in a step the least; 0: none. */
static uint64_t first_apart(const LockProgram *p, const Side *side)
{
    Sim *a = machine(p, &reference), *b = machine(p, side);
    uint64_t done = 0, low = 0, high = 0;
    bool goes_on = true;
    while (!high && goes_on && done < RUN_INSNS) {
        goes_on = run(a, STEP_INSNS);
        bool is_same = run(b, STEP_INSNS) == goes_on;
        done += STEP_INSNS;
        bool with_ram = !goes_on || done % (RAM_EVERY * STEP_INSNS) == 0 || done >= RUN_INSNS;
        if (!is_same || hash_of(a, with_ram) != hash_of(b, with_ram)) {
            high = done;
        }
        low = high || !with_ram ? low : done;
    }
    sim_free(a);
    sim_free(b);
    while (high && high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (same_after(p, side, middle)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

/* ---- smaller: what can become a nop ---- */
static void smaller(LockProgram *p, const Side *side)
{
    enum { NOP = 0x13, SHORT_NOP = 1 };
    LockProgram *before = x_alloc(sizeof *before);
    unsigned tries = 0;
    for (size_t chunk = p->nitems / 2; chunk; chunk /= 2) {
        for (size_t at = 0; at + 1 < p->nitems && tries < SMALLER_TRIES; at += chunk) {
            bool is_any = false;
            *before = *p;
            for (size_t i = at; i < at + chunk && i + 1 < p->nitems; i++) { /* the last leads to the first */
                LockItem nop = {.bits = p->item[i].len == 4 ? NOP : SHORT_NOP, .len = p->item[i].len};
                is_any = is_any || p->item[i].bits != nop.bits;
                p->item[i] = nop;
            }
            tries += is_any;
            if (is_any && !first_apart(p, side)) {
                *p = *before;
            }
        }
    }
    mem_free(before);
}

/* ---- showing ---- */
static void code_show(Sim *s, uint64_t pc)
{
    uint8_t bytes[4] = {0};
    uint64_t gpa;
    char text[80] = "?";
    SimVcpu *v = sim_vcpu_at(s, 0);
    if (sim_translate(v, pc, 4, &gpa) && !sim_mem_read(s, gpa, bytes, 2, NULL)) {
        unsigned n = (bytes[0] & 3) == 3 ? 4 : 2;
        if (n == 2 || (sim_translate(v, pc + 2, 4, &gpa) && !sim_mem_read(s, gpa, bytes + 2, 2, NULL))) {
            guest_riscv64.disasm(bytes, n, pc, text, sizeof text);
        }
    }
    printf("    0x%llx  %02x%02x%02x%02x  %s\n", (unsigned long long)pc, bytes[3], bytes[2], bytes[1], bytes[0], text);
}

static void difference_show(Sim *a, Sim *b, const Side *side)
{
    enum { MAX_REGS = 400 };
    RegId ids[MAX_REGS];
    size_t n = sim_reg_list(sim_vcpu_at(a, 0), ids, MAX_REGS);
    for (size_t i = 0; i < n && i < MAX_REGS; i++) {
        uint64_t va = reg_get(sim_vcpu_at(a, 0), ids[i]), vb = reg_get(sim_vcpu_at(b, 0), ids[i]);
        if (va != vb) {
            printf("  %-10s 0x%016llx (interp)  0x%016llx (%s)\n", reg_info(ids[i])->name, (unsigned long long)va,
                   (unsigned long long)vb, sim_engine_name(side->engine));
        }
    }
    for (uint64_t at = 0; at < LOCK_RAM_BYTES; at += 8) {
        uint64_t va = 0, vb = 0;
        int rc = sim_mem_read(a, LOCK_RAM + at, &va, 8, NULL);
        rc = rc ? rc : sim_mem_read(b, LOCK_RAM + at, &vb, 8, NULL);
        if (!rc && va != vb) {
            printf("  RAM 0x%llx 0x%016llx (interp)  0x%016llx (%s)\n", (unsigned long long)(LOCK_RAM + at),
                   (unsigned long long)va, (unsigned long long)vb, sim_engine_name(side->engine));
        }
    }
}

static void run_to(Sim *s, uint64_t n)
{
    for (uint64_t done = 0; done < n; done += STEP_INSNS) {
        if (!run(s, n - done < STEP_INSNS ? n - done : STEP_INSNS)) {
            return;
        }
    }
}

static void report(LockProgram *p, uint64_t seed, const Side *side)
{
    enum { SHOWN = 24 };
    uint64_t at = first_apart(p, side);
    printf("seed %llu: %s goes apart from the interpreter at instruction %llu", (unsigned long long)seed,
           sim_engine_name(side->engine), (unsigned long long)at);
    smaller(p, side);
    uint64_t n = first_apart(p, side);
    printf("; of the smaller program at %llu\ncpu %s, privilege %llu, %s\nthe last instructions until then:\n",
           (unsigned long long)n, p->cpu ? p->cpu : "max", (unsigned long long)p->priv, p->is_paged ? "Sv39" : "Bare");
    Sim *a = machine(p, &reference), *b = machine(p, side);
    const RegInfo *pc = reg_find(GUEST_riscv64, "pc");
    uint64_t from = n > SHOWN ? n - SHOWN : 0;
    run_to(a, from);
    for (uint64_t i = from; i < n; i++) {
        code_show(a, reg_get(sim_vcpu_at(a, 0), pc->id));
        if (!run(a, 1)) {
            break;
        }
    }
    run_to(b, n);
    difference_show(a, b, side);
    sim_free(a);
    sim_free(b);
    printf("instructions that are no nops:\n");
    for (size_t i = 0, addr = LOCK_RAM + (uint64_t)LOCK_CODE; i < p->nitems; addr += p->item[i].len, i++) {
        if (p->item[i].bits != 0x13 && p->item[i].bits != 1) {
            char text[80];
            uint8_t bytes[4];
            memcpy(bytes, &p->item[i].bits, sizeof bytes);
            guest_riscv64.disasm(bytes, p->item[i].len, addr, text, sizeof text);
            printf("    0x%zx  %08x  %s%s\n", addr, p->item[i].bits, text,
                   p->item[i].to ? "  (offset is filled in)" : "");
        }
    }
}

int main(int argc, char **argv)
{
    static LockProgram p;
    if (argc < 3) {
        fputs("usage: lockstep SECONDS SEED [ENGINE...]\n", stderr);
        return 2;
    }
    uint64_t until = os_now_ns() + strtoull(argv[1], NULL, 0) * 1000000000u, seed = strtoull(argv[2], NULL, 0), n = 0;
    for (; os_now_ns() < until; n++) {
        lock_generate(&p, seed + n);
        for (unsigned e = 0; e < SIM_ENGINES; e++) {
            bool is_wanted = argc == 3;
            for (int i = 3; i < argc; i++) {
                is_wanted = is_wanted || !strcmp(argv[i], sim_engine_name((SimEngine)e));
            }
            Side side = {(SimEngine)e, n & 1 ? 64 : 0, n & 1 ? seed + n : 0};
            if (is_wanted && !sim_engine_check((SimEngine)e, NULL) && first_apart(&p, &side)) {
                report(&p, seed + n, &side);
                return 1;
            }
        }
    }
    printf("%llu programs from seed %llu in lockstep\n", (unsigned long long)n, (unsigned long long)seed);
    return 0;
}
