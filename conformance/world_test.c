/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/world.h"

#include "sim/base/test.h"

#include <string.h>

typedef struct {
    Suite *suite;
    World *world;
    Err err;
} Rig;

static const Case *case_of(const Suite *s, GuestId guest)
{
    for (size_t i = 0; i < s->ncases; i++) {
        if (s->cases[i].guest == guest) {
            return &s->cases[i];
        }
    }
    return NULL;
}

/* Loads a suite text of one scenario and builds the world of its case for `guest`. */
static bool rig_build(Rig *r, GuestId guest, const char *text)
{
    Arena *arena = arena_new();
    Diags diags = {0};
    *r = (Rig){0};
    r->suite = suite_load(arena, "suite.yaml", text, strlen(text), &diags);
    for (size_t i = 0; i < diags.n; i++) {
        CHECK_STR(diags.items[i].text, "");
    }
    VEC_FREE(&diags);
    if (!r->suite) {
        arena_free(arena);
        return false;
    }
    const Case *c = case_of(r->suite, guest);
    return c && !world_build(c, 0, &r->world, &r->err);
}

static void rig_free(Rig *r)
{
    world_free(r->world);
    suite_free(r->suite);
}

#define SUITE(body) "version: 1\nscenarios:\n- name: n\n" body

static const char three[] =
    SUITE("  memory: {dev: {hole: 4K}, buf: {u64: [$dev + 1, 2]}}\n"
          "  code:\n"
          "    riscv64: \"li s0, dev ; access: lbu a0, 8(s0) ; li a1, buf\"\n"
          "    aarch64: \"ldr x9, =dev ; access: ldrb w0, [x9, #8] ; ldr x10, =buf\"\n"
          "    x86_64: \"mov rbx, offset dev ; access: movzx edi, byte ptr [rbx + 8] ; mov rsi, offset buf\"\n"
          "  run: [{mmio_read: {addr: $dev + 8}, reply: 1}, done]\n");

TEST(world, regions_are_symbols_and_labels_are_names)
{
    for (GuestId g = GUEST_riscv64; g < GUEST_COUNT; g++) {
        Rig r;
        uint64_t dev = 0, buf = 0, access = 0, end = 0;
        if (!CHECK(rig_build(&r, g, three))) {
            CHECK_STR(r.err.text, "");
            rig_free(&r);
            continue;
        }
        CHECK(world_symbol(r.world, "dev", &dev) && world_symbol(r.world, "buf", &buf));
        CHECK(world_symbol(r.world, "access", &access) && world_symbol(r.world, "buf_end", &end));
        CHECK_INT(dev, 0xd0000000);
        CHECK_INT(end - buf, 0x1000);
        CHECK(access > world_entry_pc(r.world, 0));
        Buf text = {0};
        CHECK(world_describe(r.world, dev + 8, &text));
        CHECK_STR(buf_text(&text), "dev+8");
        buf_clear(&text);
        CHECK(world_describe(r.world, access, &text));
        CHECK_STR(buf_text(&text), "access");
        buf_free(&text);
        size_t n;
        const WorldRam *rams = world_rams(r.world, &n);
        CHECK_INT(n, 2);
        CHECK_INT(rams[1].at, buf);
        Cursor c = cursor_of(rams[1].bytes, rams[1].nbytes);
        CHECK_INT(cursor_le(&c, 8), dev + 1);
        rig_free(&r);
    }
}

/* The last instructions of the code are the doorbell, and the kit's own words decode as what their comments say. */
TEST(world, kit_code_disassembles_as_meant)
{
    static const struct {
        GuestId guest;
        const char *has;
    } rows[] = {
        {GUEST_riscv64, "sb zero, 0x100(zero)"}, {GUEST_aarch64, "strb wzr, [x17]"}, {GUEST_x86_64, "out 0xf4, al"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Rig r;
        Buf text = {0};
        CHECK(rig_build(&r, rows[i].guest, three));
        world_disasm(r.world, world_entry_pc(r.world, 0), 8, 0, &text);
        CHECK_HAS(buf_text(&text), rows[i].has);
        buf_free(&text);
        rig_free(&r);
    }
}

TEST(world, an_assembly_error_points_into_the_suite)
{
    Rig r;
    CHECK(
        !rig_build(&r, GUEST_x86_64, SUITE("  code:\n    x86_64: |\n      nop\n      mov eax, rbx\n  run: [done]\n")));
    CHECK_HAS(r.err.text, "suite.yaml:7:");
    rig_free(&r);
}

TEST(world, the_default_ram_is_one_piece_with_the_code)
{
    for (GuestId g = GUEST_riscv64; g < GUEST_COUNT; g++) {
        Rig r;
        uint64_t ram = 0, end = 0;
        CHECK(rig_build(&r, g, SUITE("  code: {riscv64: nop, aarch64: nop, x86_64: nop}\n  run: [done]\n")));
        size_t n;
        const WorldRam *rams = world_rams(r.world, &n);
        CHECK_INT(n, 1);
        CHECK(world_symbol(r.world, "ram", &ram) && world_symbol(r.world, "ram_end", &end));
        CHECK_INT(end - ram, 1 << 20);
        CHECK_INT(rams[0].at + rams[0].size_bytes, end);
        rig_free(&r);
    }
}

TEST(world, overlapping_regions_are_refused_by_name)
{
    Rig r;
    CHECK(!rig_build(&r, GUEST_x86_64,
                     SUITE("  memory: {a: {at: 0x8000, size: 8K}, b: {at: 0x9000, size: 4K}}\n"
                           "  code: {x86_64: \"mov rax, offset a ; mov rax, offset b\"}\n  run: [done]\n")));
    CHECK_HAS(r.err.text, "overlaps a");
    rig_free(&r);
}

/* Pages of which each wants tables of its own. */
static const char *many_pages(Buf *out)
{
    buf_str(out, "version: 1\nscenarios:\n- name: n\n  start: paged\n  pages:\n");
    for (unsigned i = 1; i < 200; i++) {
        buf_printf(out, "    p%u: {va: 0x%llx, to: 0x1000}\n", i, (unsigned long long)i << 21);
    }
    buf_str(out, "  code: {riscv64: nop}\n  run: [done]\n");
    return buf_text(out);
}

TEST(world, what_does_not_fit_is_refused_with_its_place)
{
    static const struct {
        GuestId guest;
        const char *suite, *text;
    } rows[] = {
        {GUEST_riscv64,
         SUITE("  memory: {a: {at: 0x90000010, size: 4K}}\n  code: {riscv64: \"li a0, a\"}\n  run: [done]\n"),
         "suite.yaml:4:12: region a at 0x90000010: not a multiple of the page size 0x1000"},
        {GUEST_riscv64, SUITE("  memory: {a: {size: 2G}}\n  code: {riscv64: \"li a0, a\"}\n  run: [done]\n"),
         "suite.yaml:4:12: region a: size 0x80000000 is not in 1..1 GiB"},
        {GUEST_riscv64,
         SUITE("  memory: {a: {at: 0xfffffffffffff000, size: 8K}}\n  code: {riscv64: \"li a0, a\"}\n  run: [done]\n"),
         "overlaps the end"},
        {GUEST_riscv64,
         SUITE("  memory: {a: {size: 4K, code: {riscv64: \".skip 5000\"}}}\n  code: {riscv64: \"li a0, a\"}\n  run: "
               "[done]\n"),
         "region a: its code takes 5000 bytes, more than its size"},
        {GUEST_riscv64,
         SUITE("  start: paged\n  pages: {p: {va: 0x1010, to: 0x1000}}\n  code: {riscv64: \"li a0, p\"}\n  run: "
               "[done]\n"),
         "page p: va 0x1010 and to 0x1000 must be multiples of 4 KiB"},
        {GUEST_riscv64,
         SUITE("  start: paged\n  pages: {p: {va: 0x8000000000000000, to: 0x1000}}\n  code: {riscv64: nop}\n  run: "
               "[done]\n"),
         "page p: va 0x8000000000000000 is not canonical in Sv39"},
        {GUEST_x86_64,
         SUITE("  start: paged\n  pages: {p: {va: 0x8000000000000000, to: 0x1000}}\n  code: {x86_64: nop}\n  run: "
               "[done]\n"),
         "page p: va 0x8000000000000000 is not canonical"},
        {GUEST_aarch64,
         SUITE("  start: paged\n  pages: {p: {va: 0x8000000000000000, to: 0x1000}}\n  code: {aarch64: nop}\n  run: "
               "[done]\n"),
         "page p: va 0x8000000000000000 is outside the 39 bits of TTBR0"},
        {GUEST_riscv64,
         SUITE("  start: paged\n  pages: {p: {va: 0x1000, to: 0x1000, size: 260K}}\n  code: {riscv64: nop}\n  run: "
               "[done]\n"),
         "page p: more than 64 pages"},
        {GUEST_riscv64, SUITE("  code: {riscv64: \"nop ; .skip 0x110000 ; on_irq: sret\"}\n  run: [done]\n"),
         "on_irq lies more than 1 MiB behind the start of the code"},
        {GUEST_x86_64,
         SUITE("  start: real\n  code: {x86_64: \"nop ; .skip 0x10000 ; on_irq: iret\"}\n  run: [done]\n"),
         "more than the 0xf000 there is room for"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Rig r;
        CHECK(!rig_build(&r, rows[i].guest, rows[i].suite));
        CHECK_HAS(r.err.text, rows[i].text);
        rig_free(&r);
    }
    Rig r;
    Buf text = {0};
    CHECK(!rig_build(&r, GUEST_riscv64, many_pages(&text)));
    CHECK_HAS(r.err.text, "pages: more page tables than the ");
    rig_free(&r);
    buf_free(&text);
}

TEST(world, a_page_has_its_leaf_entry_where_its_name_says)
{
    for (GuestId g = GUEST_riscv64; g < GUEST_COUNT; g++) {
        Rig r;
        uint64_t pte = 0, buf = 0;
        bool ok =
            rig_build(&r, g,
                      SUITE("  start: paged\n  memory: {buf: {size: 4K}}\n"
                            "  pages: {p: {va: 0x40000000, to: $buf, flags: r}}\n"
                            "  code: {riscv64: \"li a0, p\", aarch64: \"ldr x0, =p\", x86_64: \"mov rax, offset p\"}\n"
                            "  run: [done]\n"));
        if (!CHECK(ok)) {
            CHECK_STR(r.err.text, "");
            rig_free(&r);
            continue;
        }
        CHECK(world_symbol(r.world, "p_pte", &pte) && world_symbol(r.world, "buf", &buf));
        size_t n;
        const WorldRam *rams = world_rams(r.world, &n);
        Cursor c = cursor_of(rams[0].bytes + (pte - rams[0].at), 8);
        uint64_t entry = cursor_le(&c, 8);
        uint64_t frame = g == GUEST_riscv64 ? entry >> 10 << 12 : entry & 0x000ffffffffff000;
        CHECK_INT(frame, buf);
        rig_free(&r);
    }
}

TEST(world, a_doorbell_is_one_byte_at_two_places_of_the_guest)
{
    for (GuestId g = GUEST_riscv64; g < GUEST_COUNT; g++) {
        Rig r;
        if (!CHECK(rig_build(&r, g, three))) {
            rig_free(&r);
            continue;
        }
        bool is_x86 = g == GUEST_x86_64;
        VmExit e = {.kind = is_x86 ? EXIT_io_write : EXIT_mmio_write, .addr = is_x86 ? 0xf4 : 0x100, .size_bytes = 1};
        CHECK_INT(world_ring(r.world, &e), RING_DONE);
        e.addr = is_x86 ? 0xf5 : 0x108;
        CHECK_INT(world_ring(r.world, &e), RING_TRAP);
        e.size_bytes = 2;
        CHECK_INT(world_ring(r.world, &e), RING_NONE);
        e = (VmExit){.kind = is_x86 ? EXIT_mmio_write : EXIT_io_write, .addr = is_x86 ? 0xf4 : 0x100, .size_bytes = 1};
        CHECK_INT(world_ring(r.world, &e), RING_NONE);
        rig_free(&r);
    }
}

TEST(world, starts_are_those_of_the_guest)
{
    static const char *const no_machine[] = {
        [GUEST_aarch64] = "aarch64: start: machine: no backend here runs EL2 or EL3",
        [GUEST_x86_64] = "x86_64: start: machine: no backend here starts at the reset vector",
    };
    for (GuestId g = GUEST_riscv64; g < GUEST_COUNT; g++) {
        Rig r;
        if (!CHECK(rig_build(&r, g, SUITE("  code: {riscv64: nop, aarch64: nop, x86_64: nop}\n  run: [done]\n")))) {
            rig_free(&r);
            continue;
        }
        for (StartKind start = START_kernel; start <= START_protected; start++) {
            WorldRegs regs = {0};
            Case c = *case_of(r.suite, g);
            World *w;
            c.start = start; /* a suite with some of these would not load */
            bool is_built = !world_build(&c, 0, &w, &r.err);
            CHECK_INT(is_built, start != START_real || g == GUEST_x86_64); /* no room below 64 KiB */
            if (!is_built) {
                continue;
            }
            bool is_known = start <= START_user || (start == START_machine ? g == GUEST_riscv64 : g == GUEST_x86_64);
            int code = start == START_machine ? -ERR_UNSUPPORTED : -ERR_INVAL;
            CHECK_INT(world_entry(w, 0, &regs, &r.err), (uint64_t)(is_known ? 0 : code));
            CHECK_INT(regs.n > 0, is_known);
            if (!is_known) {
                CHECK_HAS(r.err.text, start == START_machine ? no_machine[g] : "real and protected are x86_64's");
            }
            VEC_FREE(&regs);
            world_free(w);
        }
        rig_free(&r);
    }
}

TEST(cause, words_follow_the_tables_of_each_guest)
{
    WorldTrap store_x86 = {.cause = 14, .code = 2}, load_rv = {.cause = 13}, abort_arm = {.cause = 0x25, .code = 0x4f};
    CHECK_STR(cause_word(GUEST_x86_64, &store_x86), "store_page_fault");
    CHECK_STR(cause_word(GUEST_riscv64, &load_rv), "load_page_fault");
    CHECK_STR(cause_word(GUEST_aarch64, &abort_arm), "store_page_fault");
    CHECK(!cause_matches(GUEST_x86_64, "load_page_fault", &store_x86));
    CHECK(!cause_known("store_page_falt"));
    CHECK_STR(cause_nearest("store_page_falt"), "store_page_fault");
}
