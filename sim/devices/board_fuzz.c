/* SPDX-License-Identifier: Apache-2.0
 * A board under any guest: first byte: which board; then u16 n and n bytes to restore from; then accesses {device, vcpu and size, offset
 * u24, value u32} with the clock moving. Whatever happens, saving and restoring is the identity. */
#include "sim/devices/boards.h"

#include <string.h>

enum { VCPUS = 3 };

static void on_line(void *ctx, unsigned vcpu, unsigned line, bool level)
{
    (void)ctx;
    (void)level;
    if (vcpu >= VCPUS || line > WIRE_EXTERNAL_LOW) {
        __builtin_trap();
    }
}
static uint64_t on_now(void *ctx, unsigned vcpu)
{
    return *(uint64_t *)ctx * (vcpu + 1);
}
static void on_output(void *ctx, const void *bytes, size_t n)
{
    (void)ctx;
    if (!bytes || !n) {
        __builtin_trap();
    }
}
static void on_finish(void *ctx, unsigned vcpu, int kind, uint32_t code)
{
    (void)ctx;
    if (vcpu >= VCPUS || kind < FINISH_OFF || kind > FINISH_FAIL || code > 0xffff) {
        __builtin_trap();
    }
}

static void poke(Board *b, uint64_t *now, Cursor *c)
{
    const BoardDef *def = board_def(b);
    unsigned what = (unsigned)cursor_le(c, 1), how = (unsigned)cursor_le(c, 1), vcpu = how % VCPUS;
    uint64_t offset = cursor_le(c, 2) | cursor_le(c, 1) << 16, value = cursor_le(c, 4);
    if (what & 0x80) {
        *now += value;
        (void)board_input(b, &value, how % 9);
        (void)board_console_take(b, &value, offset % 9);
    } else {
        (void)board_access(b, vcpu, def->rows[what % def->nrows].base + offset, 1u << (how >> 2) % 4, how & 0x80,
                           &value);
    }
    if (board_deadline(b, vcpu) <= on_now(now, vcpu)) {
        board_tick(b, vcpu);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t now = 0;
    Board *b;
    Err err = {0};
    Cursor c = cursor_of(data, size);
    const BoardDef *def = cursor_le(&c, 1) & 1 ? &board_riscv64_virt : &board_riscv64_machine;
    BoardHost host = {.ctx = &now, .line = on_line, .now_ns = on_now, .output = on_output, .finish = on_finish};
    if (board_new(def, VCPUS, &host, &b, &err)) {
        __builtin_trap();
    }
    size_t n = (size_t)cursor_le(&c, 2);
    n = n < cursor_left(&c) ? n : cursor_left(&c);
    Cursor state = cursor_of(cursor_bytes(&c, n), n);
    if (board_restore(b, &state, &err) && !err.text[0]) {
        __builtin_trap();
    }
    while (cursor_left(&c) >= 9) {
        poke(b, &now, &c);
    }
    Buf saved = {0}, again = {0};
    board_save(b, &saved);
    state = cursor_of(saved.data, saved.n);
    if (board_restore(b, &state, &err) || cursor_left(&state)) {
        __builtin_trap();
    }
    board_save(b, &again);
    if (saved.n != again.n || memcmp(saved.data, again.data, saved.n) != 0) {
        __builtin_trap();
    }
    buf_free(&saved);
    buf_free(&again);
    board_free(b);
    return 0;
}
