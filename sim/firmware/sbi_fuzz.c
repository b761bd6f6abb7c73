/* SPDX-License-Identifier: Apache-2.0
 * Calls {hart, extension by index or as it is, function, a0..a5} by any guest: an error of the specification or an action, in bounded
 * time; hart states stay such that they can be restored. */
#include "sim/firmware/sbi.h"

#include <string.h>

enum { HARTS = 5, RAM_BYTES = 4096 };
typedef struct {
    uint8_t ram[RAM_BYTES];
    uint64_t written;
} Host;

static void on_timer(void *ctx, unsigned hart, uint64_t ns)
{
    (void)ctx;
    (void)ns;
    if (hart >= HARTS) {
        __builtin_trap();
    }
}
static void on_hart(void *ctx, unsigned hart)
{
    on_timer(ctx, hart, 0);
}
static void on_sfence(void *ctx, unsigned hart, uint64_t start, uint64_t size, uint64_t asid)
{
    (void)ctx;
    (void)asid;
    if (hart >= HARTS || !size || (size != UINT64_MAX && start + (size - 1) < start)) {
        __builtin_trap();
    }
}
static void on_start(void *ctx, unsigned hart, uint64_t addr, uint64_t arg)
{
    (void)ctx;
    (void)arg;
    if (hart >= HARTS || addr >= RAM_BYTES) {
        __builtin_trap();
    }
}
static bool is_ram(void *ctx, uint64_t gpa, uint64_t n)
{
    (void)ctx;
    return gpa < RAM_BYTES && n <= RAM_BYTES - gpa;
}
static bool mem_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    memcpy(bytes, ((Host *)ctx)->ram + gpa, n);
    return true;
}
static bool mem_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    memcpy(((Host *)ctx)->ram + gpa, bytes, n);
    return true;
}
static size_t console_write(void *ctx, const void *bytes, size_t n)
{
    Host *h = ctx;
    h->written += ((const uint8_t *)bytes)[n - 1];
    return h->written % 5 ? n : n / 2;
}
static size_t console_read(void *ctx, void *bytes, size_t cap)
{
    size_t n = ((Host *)ctx)->written % (cap + 1);
    memset(bytes, 'r', n);
    return n;
}

static void one_call(Sbi *s, Cursor *c)
{
    static const uint64_t exts[] = {0,        1,          2,        8,          0x10,      0x54494d45,
                                    0x735049, 0x52464e43, 0x48534d, 0x53525354, 0x4442434e};
    SbiCall call = {.hart = (unsigned)cursor_le(c, 1) % HARTS};
    uint64_t which = cursor_le(c, 1);
    call.ext = which < 200 ? exts[which % (sizeof exts / sizeof exts[0])] : cursor_le(c, 8);
    call.fid = cursor_le(c, 1) % 8;
    for (unsigned i = 0; i < 6; i++) { /* small numbers, negative ones, and any */
        uint64_t form = cursor_le(c, 1);
        call.arg[i] = form < 100 ? form : form < 200 ? ~(form - 100) : cursor_le(c, 8);
    }
    SbiReply r;
    sbi_call(s, &call, &r);
    bool is_standard = r.error <= 0 && r.error >= SBI_ERR_ALREADY_AVAILABLE;
    bool is_legacy = r.action == SBI_RETURN_A0 && r.error <= 255 && r.error >= -1;
    if (!is_standard && !is_legacy) {
        __builtin_trap();
    }
    if (r.action == SBI_SUSPEND || r.action == SBI_SUSPEND_TO) {
        sbi_resumed(s, call.hart);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Host h = {.written = 1};
    SbiHost host = {.ctx = &h,
                    .ns_per_tick = 100,
                    .set_timer = on_timer,
                    .send_ipi = on_hart,
                    .fence_i = on_hart,
                    .sfence_vma = on_sfence,
                    .start = on_start,
                    .is_ram = is_ram,
                    .mem_read = mem_read,
                    .mem_write = mem_write,
                    .console_write = console_write,
                    .console_read = console_read};
    Sbi *s = sbi_new(&host, HARTS);
    Cursor c = cursor_of(data, size);
    Err err;
    if (sbi_restore(s, &c, &err)) {
        c = cursor_of(data, size);
    }
    while (cursor_ok(&c) && cursor_left(&c)) {
        one_call(s, &c);
    }
    Buf b = {0};
    sbi_save(s, &b);
    c = cursor_of(b.data, b.n);
    if (sbi_restore(s, &c, &err)) {
        __builtin_trap();
    }
    buf_free(&b);
    sbi_free(s);
    return 0;
}
