/* SPDX-License-Identifier: Apache-2.0
 * sample_main.c - pages of any size from invented results, always the same for the same arguments: for the tests in a browser
 * and for measuring.
 *
 *     dashboard_sample FOLDER CASES BACKENDS RUNS [single|hostile|green]...
 *
 * What is planted, so that tests can ask for it: case 1 is broken since the run before the last, case 2 is flaky, backend 1
 * became slower in the middle. `hostile` gives names that try to be HTML, scripts, paths and keys of objects; `green` lets
 * everything pass. */
#include "accel/accel.h"
#include "coverage/dashboard/dashboard.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 0x5eed1d0c;
static uint64_t random_of(uint64_t n) /* xorshift64* */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545f4914f6cdd1dull >> 33) % n;
}

static bool is_hostile, is_green, is_single;
static const char *const SUITES[] = {"exits.yaml",     "lifecycle.yaml", "interrupts.yaml", "memory.yaml",
                                     "registers.yaml", "firmware.yaml",  "riscv64.yaml",    "riscv64_mmu.yaml",
                                     "x86_64.yaml",    "aarch64.yaml",   "virtio.yaml",     "stage2.yaml"};
static const char *const BACKENDS[] = {"fake",       "sim-interp",     "sim-jit",       "sim-hybrid",     "kvm",
                                       "kvm@nested", "hvf (double)",   "whpx (double)", "kvm@board-a",    "kvm@board-b",
                                       "remote:lab", "plugin:mine.so", "vz (double)",   "kvm@host-1",     "kvm@host-2",
                                       "kvm@host-3", "sim-interp@arm", "sim-jit@riscv", "sim-hybrid@arm", "fake@ci"};
static const char *const WHAT[] = {"a load from a device is answered",
                                   "mmio load extends and completes",
                                   "a store to a hole leaves with its data",
                                   "wfi idles until an interrupt is injected",
                                   "a page fault has its address",
                                   "the budget ends on the exact instruction",
                                   "destroy in every state",
                                   "a saved vcpu goes on where it was"};
static const char *const HOSTILE[] = {"<script>window.pwned=1</script>",
                                      "</script><script>window.pwned=1</script>",
                                      "<img src=x onerror=window.pwned=1>",
                                      "\"><svg onload=window.pwned=1>",
                                      "javascript:window.pwned=1",
                                      "__proto__",
                                      "constructor",
                                      "%E0%A4%A 100% #/?&=/..",
                                      "<!--<script>",
                                      "\xe2\x80\xa8\xe2\x80\xae rtl \xff\xfe",
                                      "a\nb\tc\x01",
                                      "${window.pwned=1}`"};
static const char *const EXITS[] = {"mmio_read", "mmio_write", "hypercall", "halt", "external_interrupt", "debug"};

static void add_names(Dash *d, size_t ncases, size_t nbackends)
{
    for (size_t i = 0; i < nbackends; i++) {
        Buf name = {0};
        buf_str(&name, is_hostile && i == 2 ? HOSTILE[2] : BACKENDS[i % ARRAY_LEN(BACKENDS)]);
        if (i >= ARRAY_LEN(BACKENDS)) {
            buf_printf(&name, "-%zu", i / ARRAY_LEN(BACKENDS));
        }
        dash_backend(d, buf_text(&name));
        buf_free(&name);
    }
    static const char *const guests[] = {"riscv64", "x86_64", "aarch64"};
    for (size_t i = 0; i < ncases; i++) {
        Buf name = {0};
        if (is_hostile && i < ARRAY_LEN(HOSTILE)) {
            buf_str(&name, HOSTILE[i]);
        } else {
            buf_printf(&name, "%s[s%zu]", WHAT[i % ARRAY_LEN(WHAT)], i);
        }
        const char *suite =
            is_hostile && i % 3 == 0 ? HOSTILE[i % ARRAY_LEN(HOSTILE)] : SUITES[i * ARRAY_LEN(SUITES) / ncases];
        size_t c = dash_case(d, suite, buf_text(&name), guests[i % ARRAY_LEN(guests)]);
        d->cases.items[c].line = (uint32_t)(10 + i % 700);
        buf_free(&name);
    }
}

static char status_of(size_t c, size_t b, size_t run, size_t nruns)
{
    if ((c * 7 + b * 13) % 9 == 0) {
        return 'S';
    }
    if (is_green) {
        return 'P';
    }
    if (c == 1 && b == 1 && run + 2 >= nruns) {
        return 'F';
    }
    if (c == 2 && b == 1 && run % 7 == 3) {
        return 'F';
    }
    if (c % 97 == 40 && b % 5 == 1) {
        return 'x';
    }
    if (c % 211 == 5 && b == 4) {
        return run > nruns / 3 ? 'F' : 'P';
    }
    if (c % 401 == 17 && b == 5 % (b + 1) && b == 5) {
        return 'E';
    }
    return 'P';
}

static uint64_t duration_of(size_t c, size_t b, size_t run, size_t nruns)
{
    uint64_t ns = 40000 + (c * 2654435761u) % 900000 * (1 + b % 4) + (c % 50 == 0 ? 90000000 : 0);
    if (b == 1 && run > nruns / 2) {
        ns += ns / 2;
    }
    return ns * (95 + random_of(11)) / 100;
}

static void add_result(Dash *d, size_t c, size_t b, char status, uint64_t ns)
{
    DashResult *r = &d->results.items[c * d->backends.n + b];
    *r = (DashResult){.status = status, .duration_ns = ns, .exits = 3 + c % 5, .seed = 0x5eed1d0c};
    if (status == 'S') {
        r->reason =
            c % 2 ? "needs dirty_log: fake keeps none" : "fake runs no code and the scenario has no `fake:` list";
        return;
    }
    if (dash_is_bad(status)) {
        r->reason = is_hostile ? HOSTILE[c % ARRAY_LEN(HOSTILE)] : "exits.yaml:28: size: expected 4, got 2";
        r->failure = is_hostile
                         ? "     28 !   <b>\n        | expected  </pre><script>window.pwned=1</script>\n        | got  "
                           "     &lt;\n"
                         : "     28 !   - mmio_read: {addr: $dev + 8, size: $size, pc: $access}\n"
                           "        | expected  mmio_read addr dev+8 size 4 pc access\n"
                           "        | got       mmio_read addr dev+8 size 2   (native: kvm 0x6)   exit 1 of vcpu v0\n"
                           "        | why       size: expected 4, got 2\n"
                           "    pc access\n"
                           "  -> 0x120007 access     48 0f bf 7b 08           movsx rdi, word ptr [rbx + 0x8]\n";
        r->reproduce = arena_printf(d->arena, "conf run '%s::%s' --backend %s --guest %s --seed 0x5eed1d0c",
                                    d->cases.items[c].suite, d->cases.items[c].scenario, d->backends.items[b],
                                    d->cases.items[c].guest);
    }
    r->ntrace = 4 + c % 8;
    r->trace = arena_alloc(d->arena, r->ntrace * sizeof *r->trace);
    for (size_t i = 0; i < r->ntrace; i++) {
        const char *exit = EXITS[(c + i * 3 + (dash_is_bad(status) && i == 2)) % ARRAY_LEN(EXITS)];
        bool is_op = i == 0 || i + 1 == r->ntrace;
        r->trace[i] =
            (DashTrace){.kind = is_op ? "op" : "exit",
                        .name = is_op        ? (i ? "destroy" : "setup")
                                : is_hostile ? HOSTILE[i % ARRAY_LEN(HOSTILE)]
                                             : exit,
                        .text = is_op ? (i ? "destroy Ready -> Destroyed" : "init Created -> Ready")
                                      : arena_printf(d->arena, "%s addr dev+%zu size 4 pc access", exit, 8 * i),
                        .vcpu = (uint32_t)(c % 4 == 3 ? i % 2 : 0),
                        .line = (uint32_t)(20 + i)};
    }
}

static void add_runs(Dash *d, size_t nruns)
{
    for (size_t i = 0; i < nruns; i++) {
        DashRun run = {.id = i + 1,
                       .time_ms = 1764000000000 - (int64_t)(nruns - i) * 14400000,
                       .commit =
                           arena_printf(d->arena, "%016llx%016llx", (unsigned long long)(i + 1) * 0x9e3779b97f4a7c15,
                                        (unsigned long long)(i + 7) * 0xc2b2ae3d27d4eb4f),
                       .branch = i % 4 == 3 || i + 1 == nruns ? (is_hostile ? HOSTILE[0] : "jit-loops") : "main",
                       .host = i % 3 ? "builder-1" : "builder-2"};
        VEC_PUSH(&d->runs, run);
    }
    d->now = nruns - 1;
    d->last = nruns > 1 ? nruns - 2 : DASH_NONE;
    d->main = nruns > 2 ? nruns - 3 : DASH_NONE;
}

static void fill(Dash *d)
{
    size_t nruns = d->runs.n;
    for (size_t c = 0; c < d->cases.n; c++) {
        for (size_t b = 0; b < d->backends.n; b++) {
            size_t at = (c * d->backends.n + b) * nruns;
            for (size_t r = 0; r < nruns; r++) {
                char status = status_of(c, b, r, nruns);
                uint64_t ns = status == 'S' ? 4000 : duration_of(c, b, r, nruns);
                d->status[at + r] = status;
                d->time[at + r] = dash_time(ns);
                d->runs.items[r].n[(unsigned char)status]++;
                d->runs.items[r].duration_ns += ns / 8;
                if (r == d->now) {
                    add_result(d, c, b, status, ns);
                }
            }
        }
    }
}

static void add_item(Dash *d, size_t kind, const char *group, const char *name, unsigned percent)
{
    DashItem it = {.kind = kind, .group = group, .name = name, .mask = arena_alloc(d->arena, d->cover_backends.n + 1)};
    bool is_covered = random_of(100) < percent;
    for (size_t b = 0; b < d->cover_backends.n; b++) {
        it.mask[b] = kind >= 4 && !strstr(d->cover_backends.items[b], "sim") ? '-'
                     : is_covered && random_of(8)                            ? '1'
                                                                             : '0';
    }
    if (strchr(it.mask, '1')) {
        d->kinds.items[kind].covered++;
        it.nscenarios = 1 + random_of(40);
        it.nby = it.nscenarios < DASH_BY_MAX ? it.nscenarios : DASH_BY_MAX;
        for (size_t i = 0; i < it.nby; i++) {
            it.by[i] = (uint32_t)random_of(d->cover_scenarios.n);
        }
    }
    d->kinds.items[kind].total++;
    VEC_PUSH(&d->items, it);
}

static void add_lifecycle(Dash *d, const LifeModel *m)
{
    for (int op = 0; op < LIFE_OP_COUNT; op++) {
        for (int s = 0; s < m->nstates && m->op_names[op]; s++) {
            add_item(d, 2, arena_printf(d->arena, "%s %s", m->name, m->cell[s][op].verdict ? "rejected" : "legal"),
                     arena_printf(d->arena, "%s %s in %s", m->name, m->op_names[op], m->states[s]), 93);
        }
    }
    for (int a = 0; a < m->nstates; a++) {
        for (int z = 0; z < m->nstates; z++) {
            if (m->edges[a] & 1u << z) {
                add_item(d, 3, m->name, arena_printf(d->arena, "%s %s->%s", m->name, m->states[a], m->states[z]), 92);
            }
        }
    }
}

static void add_coverage(Dash *d)
{
    static const char *const kinds[][2] = {{"exit", "exit reasons"},         {"exit_field", "exit fields"},
                                           {"lifecycle", "lifecycle cells"}, {"lifecycle_edge", "lifecycle edges"},
                                           {"decode", "instructions"},       {"operand_class", "operand classes"},
                                           {"csr", "CSRs and accesses"},     {"trap", "trap causes"}};
    static const char *const extensions[] = {"riscv64 I", "riscv64 M", "riscv64 A",   "riscv64 F",
                                             "riscv64 D", "riscv64 C", "riscv64 Zbb", "riscv64 H"};
    static const char *const ops[] = {"add", "sub", "xor", "or",  "and", "sll", "srl",
                                      "sra", "slt", "lui", "jal", "beq", "lw",  "sw"};
    static const char *const fields[] = {"addr", "size", "data", "pc", "next", "insns"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        VEC_PUSH(&d->kinds, (DashKind){.name = kinds[i][0], .title = kinds[i][1]});
    }
    for (size_t b = 0; b < d->backends.n && b < 7; b++) {
        VEC_PUSH(&d->cover_backends, d->backends.items[b]);
    }
    for (size_t i = 0; i < d->cases.n && i < 300; i++) {
        VEC_PUSH(&d->cover_scenarios,
                 arena_printf(d->arena, "%s::%s", d->cases.items[i].suite, d->cases.items[i].scenario));
    }
    for (int e = 0; e < EXIT_COUNT; e++) {
        add_item(d, 0, "", exit_name((ExitKind)e), 90);
        for (size_t f = 0; f < 3; f++) {
            add_item(d, 1, exit_name((ExitKind)e),
                     arena_printf(d->arena, "%s.%s", exit_name((ExitKind)e), fields[((size_t)e + f) % 6]), 85);
        }
    }
    add_lifecycle(d, &life_virtualcpu);
    add_lifecycle(d, &life_axvcpu);
    for (size_t x = 0; x < ARRAY_LEN(extensions); x++) {
        for (size_t i = 0; i < 55; i++) {
            const char *name =
                arena_printf(d->arena, "%s%s.%zu", x > 2 ? "f" : "", ops[i % ARRAY_LEN(ops)], i / ARRAY_LEN(ops));
            add_item(d, 4, extensions[x], is_hostile && !i ? HOSTILE[x] : arena_printf(d->arena, "riscv64 %s", name),
                     x > 6 ? 55 : 97);
            add_item(d, 5, extensions[x], arena_printf(d->arena, "riscv64 %s rd=zero", name), 70);
        }
    }
    for (size_t i = 0; i < 60; i++) {
        add_item(d, 6, "riscv64",
                 arena_printf(d->arena, "riscv64 %s%zu %s", i % 4 < 2 ? "mhpmcounter" : "mcsr", i / 4,
                              i % 2 ? "read" : "write"),
                 80);
        add_item(d, 7, "riscv64", arena_printf(d->arena, "cause %zu", i), 60);
    }
    for (size_t k = 0; k < d->kinds.n; k++) {
        DashKind *kind = &d->kinds.items[k];
        kind->over = arena_alloc(d->arena, (d->runs.n + 1) * sizeof *kind->over);
        kind->of = arena_alloc(d->arena, (d->runs.n + 1) * sizeof *kind->of);
        for (size_t r = 0; r < d->runs.n; r++) {
            kind->of[r] = (int64_t)kind->total;
            kind->over[r] = (int64_t)((double)kind->covered * (0.6 + 0.4 * (double)(r + 1) / (double)d->runs.n));
        }
    }
}

static void add_findings(Dash *d)
{
    size_t n = d->runs.n;
    if (n < 3 || is_green) {
        return;
    }
    VEC_PUSH(&d->flaky, (DashFlaky){.c = 2,
                                    .backend = 1,
                                    .nruns = n,
                                    .nbad = n / 7,
                                    .nflickers = n / 7,
                                    .nsame_commit = 1,
                                    .rate = 1.0 / 7,
                                    .evidence = {0, 1, n - 2},
                                    .nevidence = 3});
    VEC_PUSH(&d->changes, (DashChange){.run = n - 2, .before = n - 3, .backend = 1, .c = 1, .from = 'P', .to = 'F'});
    VEC_PUSH(&d->trends, (DashTrend){.backend = 1,
                                     .c = DASH_NONE,
                                     .run = n / 2,
                                     .before = n / 2 - 1,
                                     .before_ns = 4e5,
                                     .after_ns = 6e5,
                                     .p = 1e-9});
    VEC_PUSH(
        &d->trends,
        (DashTrend){
            .backend = 3, .c = 3, .run = n / 2, .before = n / 2 - 1, .before_ns = 9e5, .after_ns = 3e5, .p = 1e-6});
    DashBench bench = {.name = "interp/alu",
                       .unit = "Mips",
                       .host = "lab",
                       .branch = "main",
                       .is_more_better = true,
                       .values = arena_alloc(d->arena, n * sizeof(double))};
    for (size_t r = 0; r < n; r++) {
        bench.values[r] = r % 11 ? 400 + (double)random_of(20) + (r > n / 2 ? 60 : 0) : NAN;
    }
    VEC_PUSH(&bench.steps, (DashStep){n / 2 + 1, 410, 470, 1e-9});
    VEC_PUSH(&d->bench, bench);
    static const char *lost[] = {"halt"}, *gained[] = {"debug"};
    lost[0] = is_hostile ? HOSTILE[0] : lost[0];
    for (size_t r = n - 1; r > 0; r -= r < n / 2 ? r : n / 2) {
        VEC_PUSH(&d->cover_changes, (DashCoverChange){.run = r,
                                                      .before = r - 1,
                                                      .kind = "exit",
                                                      .backend = d->backends.items[0],
                                                      .covered = {21, 42},
                                                      .total = {50, 51},
                                                      .names = {lost, gained},
                                                      .nnames = {1, 1},
                                                      .n = {1, 22}});
    }
    for (size_t i = 0; i < 6; i++) {
        VEC_PUSH(&d->code, (DashCode){.path = arena_printf(d->arena, "accel/file%zu.c", i),
                                      .lines = {90 + i, 100 + i},
                                      .branches = {70, 100},
                                      .functions = {9, 10}});
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: dashboard_sample FOLDER CASES BACKENDS RUNS [single|hostile|green]...\n");
        return 2;
    }
    for (int i = 5; i < argc; i++) {
        is_single |= !strcmp(argv[i], "single");
        is_hostile |= !strcmp(argv[i], "hostile");
        is_green |= !strcmp(argv[i], "green");
    }
    Dash *d = dash_new();
    Err err = {0};
    d->written_ms = 1764000000000;
    d->title = is_hostile ? HOSTILE[2] : "conf";
    add_names(d, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    add_runs(d, strtoull(argv[4], NULL, 10));
    int rc = dash_results(d, &err);
    rc = rc ? rc : dash_history(d, &err);
    if (!rc) {
        fill(d);
        add_coverage(d);
        add_findings(d);
        rc = dash_write(d, argv[1], is_single, &err);
    }
    if (rc) {
        fprintf(stderr, "dashboard_sample: %s\n", err.text);
    }
    dash_free(d);
    return rc ? 1 : 0;
}
