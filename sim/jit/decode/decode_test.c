/* SPDX-License-Identifier: Apache-2.0
 * Every byte of code that the engines make for crosscheck's random programs. CROSSCHECK_SEED and CROSSCHECK_PROGRAMS (how many) as
 * there. */
#include "sim/base/mem.h"
#include "sim/base/test.h"
#include "sim/crosscheck/crosscheck.h"
#include "sim/jit/decode/decode.h"
#include "sim/jit/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef JIT_HAS_HOST
static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static bool can_decode(void)
{
    if (!decode_is_here()) {
        test_skip("libzydis-dev was not there when this was built");
    }
    return decode_is_here();
}

static Program p;

static void play(World *oracle, World *w)
{
    Buf why = {0};
    CHECK(cross_agrees(oracle, w, &p, &why));
    buf_free(&why);
}

static void programs(const Engine *e, CrossGuest guest, bool is_optimised, uint64_t seed, uint64_t n)
{
    World *oracle = world_new(&engine_oracle, guest, false), *w = world_new(e, guest, is_optimised);
    for (uint64_t i = 0; i < n; i++) {
        program_random(&p, &(Choices){.random = seed + i * 0x1234567});
        play(oracle, w);
    }
    world_free(w);
    world_free(oracle);
}

/* Each op of each form. */
static void ops(const Engine *e, uint64_t seed)
{
    enum { AUX = 0x400 };
    World *oracle = world_new(&engine_oracle, CROSS_RISCV, false), *w = world_new(e, CROSS_RISCV, false);
    for (unsigned op = 0; op < IR_COUNT; op++) {
        for (unsigned aux = 0; aux < AUX; aux++) {
            uint64_t mine = seed + ((uint64_t)op << 32 | aux << 16);
            if (program_of_op(&p, &(Choices){.random = mine}, (IrOpcode)op, (uint16_t)aux)) {
                play(oracle, w);
            }
        }
    }
    world_free(w);
    world_free(oracle);
}

static void check_end(uint64_t at_least)
{
    Buf report = {0};
    DecodeTotals t;
    bool is_right = decode_end(&t, &report);
    if (!CHECK(is_right)) {
        printf("%s", buf_text(&report));
    }
    CHECK(t.pieces > at_least);
    CHECK(t.insns > 2 * t.pieces);
    CHECK(t.jumps > t.pieces);
    buf_free(&report);
}

static DecodeTotals programs_with(CodeStore *s)
{
    DecodeTotals t;
    Buf report = {0};
    decode_begin(false, NULL, NULL);
    World *oracle = world_new(&engine_oracle, CROSS_RISCV, false), *w = world_new(&engine_jit_eager, CROSS_RISCV, true);
    world_recall(w, s);
    for (uint64_t i = 0; i < 60; i++) {
        program_random(&p, &(Choices){.random = 77 + i * 0x1234567});
        play(oracle, w);
    }
    world_free(w);
    world_free(oracle);
    CHECK(decode_end(&t, &report));
    buf_free(&report);
    return t;
}

TEST(jit_decode, code_that_was_saved_is_seen_like_code_that_is_made)
{
    CodeStore *s = code_store_new(NULL);
    DecodeTotals made = programs_with(s), found = programs_with(s);
    CodeStoreStats stats = code_store_stats(s);
    CHECK(stats.found >= stats.wanting && stats.wanting > 100);
    CHECK(made.pieces > 100 && made.pieces == found.pieces && made.insns == found.insns && made.bytes == found.bytes &&
          made.jumps == found.jumps);
    code_store_free(s);
}

TEST(jit_decode, random_programs_become_instructions_and_jumps_to_instructions)
{
    uint64_t seed = number_of("CROSSCHECK_SEED", 1), n = number_of("CROSSCHECK_PROGRAMS", 40);
    if (!can_decode()) {
        return;
    }
    for (unsigned i = 0; i < CROSS_ENGINES; i++) {
        const Engine *e = cross_engine(i);
        for (unsigned guest = 0; e && strcmp(e->name, "interp") && guest < CROSS_GUESTS; guest++) {
            decode_begin(true, NULL, NULL);
            programs(e, (CrossGuest)guest, i & 1, seed + guest, n);
            check_end(n);
        }
    }
}

/* With all that this host has, and with nothing but what every one has. */
TEST(jit_decode, each_op_of_each_form_becomes_instructions)
{
    if (!can_decode()) {
        return;
    }
    for (unsigned is_plain = 0; is_plain < 2; is_plain++) {
        decode_features(is_plain ? 0 : UINT32_MAX);
        decode_begin(true, NULL, NULL);
        ops(&engine_jit_eager, number_of("CROSSCHECK_SEED", 1));
        check_end(1000);
    }
    decode_features(UINT32_MAX);
}

/* ---- can it fail? Pieces that are wrong, as the emitter would tell of them ---- */
static uint8_t cache[4096];

static void tell(JitEventKind kind, size_t at, const uint8_t *bytes, size_t n, size_t table_bytes)
{
    memcpy(cache + at, bytes, n);
    jit_watch(&(JitEvent){.kind = kind,
                          .cache = cache,
                          .where = cache,
                          .cache_bytes = sizeof cache,
                          .bytes = cache + at,
                          .at = cache + at,
                          .nbytes = n,
                          .table_bytes = table_bytes,
                          .gva = 0x4000});
}

TEST(jit_decode, what_is_no_code_is_found)
{
    static const struct {
        uint8_t bytes[12], n;
        JitEventKind kind;
        const char *why; /* NULL: it is right */
    } PIECES[] = {
        {{0x48, 0x89, 0xc8}, 3, JIT_BLOCK, NULL},                                                     /* mov rax, rcx */
        {{0xe9, 0xfb, 0xff, 0xff, 0xff}, 5, JIT_BLOCK, NULL},                                         /* jmp . */
        {{0xe9, 0xf7, 0xfe, 0xff, 0xff}, 5, JIT_BLOCK, NULL},                                         /* to around */
        {{0x06}, 1, JIT_BLOCK, "a block of 0x4000, byte 0 of 1: 06: no instruction, or cut off"},     /* push es */
        {{0x48, 0x89}, 2, JIT_REGION, "a region of 0x4000, byte 0 of 2: 48 89: no instruction"},      /* cut off */
        {{0x90, 0xcc}, 2, JIT_BLOCK, "byte 1 of 2: cc   int3: no instruction that the emitter uses"}, /* int3 */
        {{0xf4}, 1, JIT_STUB, "a stub of 0x4000, byte 0 of 1: f4   hlt: no instruction that"},        /* hlt */
        {{0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0}, 8, JIT_BLOCK, "mov: its address has no base"},         /* mov rax, [0] */
        {{0x64, 0x48, 0x8b, 0x00}, 4, JIT_BLOCK, "mov: its address has no base, or a segment"},       /* fs:[rax] */
        {{0x48, 0x8d, 0x05, 0, 0, 0, 0}, 7, JIT_BLOCK, "lea: it reads code, and not the table"},      /* [rip] */
        {{0xe9, 0xfc, 0xff, 0xff, 0xff}, 5, JIT_BLOCK, "jmp: leads to where no instruction begins"},  /* into itself */
        {{0xe8, 0, 0, 0, 0x10}, 5, JIT_BLOCK, "call: leads to where no instruction begins"},          /* far away */
        {{0x90, 0, 0, 0, 0}, 5, JIT_JUMP, "a jump of 0x4000, byte 0 of 5: 90 00 00 00 00: no jump"},
        {{0xe9, 0, 0, 0, 0}, 5, JIT_JUMP, "jmp: is where no instruction begins"},
    };
    if (!can_decode()) {
        return;
    }
    for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++) {
        static const uint8_t RET[] = {0xc3};
        Buf report = {0};
        DecodeTotals t;
        decode_begin(false, NULL, NULL);
        tell(JIT_AROUND, 0, RET, 1, 0);
        tell(PIECES[i].kind, 0x104, PIECES[i].bytes, PIECES[i].n, 0);
        CHECK_INT(decode_end(&t, &report), !PIECES[i].why);
        if (PIECES[i].why) {
            CHECK_HAS(buf_text(&report), PIECES[i].why);
        } else {
            CHECK_STR(buf_text(&report), "");
        }
        buf_free(&report);
    }
}

TEST(jit_decode, a_jump_to_what_was_dropped_is_found)
{
    static const uint8_t RET[] = {0xc3}, JUMP[] = {0xe9, 0xfb, 0, 0, 0}; /* from 0x100 to 0x200 */
    Buf report = {0};
    DecodeTotals t;
    if (!can_decode()) {
        return;
    }
    decode_begin(false, NULL, NULL);
    tell(JIT_AROUND, 0, RET, 1, 0);
    tell(JIT_BLOCK, 0x200, RET, 1, 0);
    tell(JIT_BLOCK, 0x100, JUMP, sizeof JUMP, 0);
    tell(JIT_JUMP, 0x100, JUMP, sizeof JUMP, 0);
    tell(JIT_DROPPED, 0x200, RET, 1, 0);
    tell(JIT_JUMP, 0x100, JUMP, sizeof JUMP, 0);
    CHECK(!decode_end(&t, &report));
    CHECK_INT(t.jumps, 3);
    CHECK_STR(buf_text(&report),
              "a jump of 0x4000, byte 0 of 5: e9 fb 00 00 00   jmp: leads to where no instruction begins\n");
    buf_free(&report);
}

TEST(jit_decode, a_table_of_jumps_leads_to_instructions)
{
    if (!can_decode()) {
        return;
    }
    for (unsigned is_wrong = 0; is_wrong < 2; is_wrong++) {
        static const uint8_t RET[] = {0xc3};
        Buf report = {0};
        DecodeTotals t;
        JumpEntry entry = {.pc = 0x4000, .code = cache + 0x200 + is_wrong};
        decode_begin(false, NULL, NULL);
        memcpy(cache + 0x210, &entry, sizeof entry);
        tell(JIT_AROUND, 0, RET, 1, 0);
        tell(JIT_REGION, 0x200, RET, 1, sizeof entry);
        CHECK_INT(decode_end(&t, &report), !is_wrong);
        CHECK_HAS(buf_text(&report), is_wrong ? "the table of jumps leads to" : "");
        buf_free(&report);
    }
}
#endif
