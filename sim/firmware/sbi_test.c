/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/firmware/sbi.h"

#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <string.h>

enum { TIME = 0x54494d45, IPI = 0x735049, RFENCE = 0x52464e43, HSM = 0x48534d, SRST = 0x53525354, DBCN = 0x4442434e };
enum { RAM_AT = 0x80000000, RAM_BYTES = 0x20000, HARTS = 4 };

typedef struct {
    Sbi *s;
    SbiReply r; /* of the last call */
    uint64_t timer[HARTS];
    uint32_t ipis, fences_i, sfences; /* bit n: hart n */
    uint64_t start, size, asid;
    unsigned started;
    uint64_t start_addr, start_arg;
    uint8_t ram[RAM_BYTES];
    Buf out;
    size_t room;
    const char *in;
    bool is_broken; /* memory fails after it was checked */
} Host;

static void set_timer(void *ctx, unsigned hart, uint64_t ns)
{
    ((Host *)ctx)->timer[hart] = ns;
}
static void send_ipi(void *ctx, unsigned hart)
{
    ((Host *)ctx)->ipis |= 1u << hart;
}
static void fence_i(void *ctx, unsigned hart)
{
    ((Host *)ctx)->fences_i |= 1u << hart;
}
static void sfence_vma(void *ctx, unsigned hart, uint64_t start, uint64_t size, uint64_t asid)
{
    Host *h = ctx;
    h->sfences |= 1u << hart;
    h->start = start;
    h->size = size;
    h->asid = asid;
}
static void start(void *ctx, unsigned hart, uint64_t addr, uint64_t arg)
{
    Host *h = ctx;
    h->started = hart;
    h->start_addr = addr;
    h->start_arg = arg;
}
static bool is_ram(void *ctx, uint64_t gpa, uint64_t n)
{
    (void)ctx;
    return gpa >= RAM_AT && gpa - RAM_AT <= RAM_BYTES && n <= RAM_BYTES - (gpa - RAM_AT);
}
static bool mem_read(void *ctx, uint64_t gpa, void *bytes, size_t n)
{
    const Host *h = ctx;
    if (h->is_broken || !is_ram(ctx, gpa, n)) {
        return false;
    }
    memcpy(bytes, h->ram + (gpa - RAM_AT), n);
    return true;
}
static bool mem_write(void *ctx, uint64_t gpa, const void *bytes, size_t n)
{
    Host *h = ctx;
    if (h->is_broken || !is_ram(ctx, gpa, n)) {
        return false;
    }
    memcpy(h->ram + (gpa - RAM_AT), bytes, n);
    return true;
}
static size_t console_write(void *ctx, const void *bytes, size_t n)
{
    Host *h = ctx;
    n = n < h->room ? n : h->room;
    h->room -= n;
    buf_bytes(&h->out, bytes, n);
    return n;
}
static size_t console_read(void *ctx, void *bytes, size_t cap)
{
    Host *h = ctx;
    size_t n = strlen(h->in) < cap ? strlen(h->in) : cap;
    memcpy(bytes, h->in, n);
    h->in += n;
    return n;
}

static Host *host_new(void)
{
    Host *h = x_alloc(sizeof *h);
    SbiHost host = {.ctx = h,
                    .ns_per_tick = 100,
                    .mvendorid = 11,
                    .marchid = 12,
                    .mimpid = 13,
                    .set_timer = set_timer,
                    .send_ipi = send_ipi,
                    .fence_i = fence_i,
                    .sfence_vma = sfence_vma,
                    .start = start,
                    .is_ram = is_ram,
                    .mem_read = mem_read,
                    .mem_write = mem_write,
                    .console_write = console_write,
                    .console_read = console_read};
    h->s = sbi_new(&host, HARTS);
    h->in = "";
    h->room = SIZE_MAX;
    return h;
}

static void host_free(Host *h)
{
    sbi_free(h->s);
    buf_free(&h->out);
    mem_free(h);
}

/* One call of `hart`; returns the error. */
static int64_t call(Host *h, unsigned hart, uint64_t ext, uint64_t fid, uint64_t a0, uint64_t a1, uint64_t a2)
{
    SbiCall c = {.hart = hart, .ext = ext, .fid = fid, .arg = {a0, a1, a2}};
    memset(&h->r, 0xee, sizeof h->r);
    sbi_call(h->s, &c, &h->r);
    return h->r.error;
}

static void start_all(Host *h)
{
    for (unsigned i = 1; i < HARTS; i++) {
        CHECK_INT(call(h, 0, HSM, 0, i, RAM_AT, 0), SBI_SUCCESS);
    }
}

TEST(sbi, base_says_version_2_who_it_is_and_what_it_has)
{
    static const uint64_t values[] = {0x02000000, 0x636f6e66, 1, 0, 11, 12, 13};
    static const uint64_t has[] = {0, 1, 2, 8, 0x10, TIME, IPI, RFENCE, HSM, SRST, DBCN};
    static const uint64_t lacks[] = {3, 4, 9, 0x11, 0x504d55, 0x535441, UINT64_MAX, 0x100000010};
    Host *h = host_new();
    for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
        if (i != 3) {
            CHECK_INT(call(h, 0, 0x10, i, 0, 0, 0), SBI_SUCCESS);
            CHECK(h->r.value == values[i] && h->r.action == SBI_RETURN);
        }
    }
    for (unsigned i = 0; i < ARRAY_LEN(has); i++) {
        CHECK_INT(call(h, 0, 0x10, 3, has[i], 0, 0), SBI_SUCCESS);
        CHECK_INT(h->r.value, 1);
    }
    for (unsigned i = 0; i < ARRAY_LEN(lacks); i++) {
        CHECK_INT(call(h, 0, 0x10, 3, lacks[i], 0, 0), SBI_SUCCESS);
        CHECK_INT(h->r.value, 0);
    }
    host_free(h);
}

TEST(sbi, unknown_extensions_and_functions_are_not_supported)
{
    static const uint64_t rows[][2] = {{0x10, 7}, {TIME, 1}, {IPI, 1},  {RFENCE, 7},     {HSM, 4},
                                       {SRST, 1}, {DBCN, 3}, {0x99, 0}, {UINT64_MAX, 0}, {0x100000010, 0}};
    Host *h = host_new();
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(call(h, 0, rows[i][0], rows[i][1], 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
        CHECK(h->r.action == SBI_RETURN && h->r.value == 0);
    }
    host_free(h);
}

TEST(sbi, the_timer_of_the_caller_is_set_in_nanoseconds_and_never_is_never)
{
    Host *h = host_new();
    CHECK_INT(call(h, 2, TIME, 0, 1234, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->timer[2], 123400);
    CHECK_INT(call(h, 2, TIME, 0, UINT64_MAX, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->timer[2], UINT64_MAX);
    CHECK_INT(call(h, 1, TIME, 0, UINT64_MAX / 100 + 1, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->timer[1], UINT64_MAX);
    CHECK_INT(call(h, 1, TIME, 0, UINT64_MAX / 100, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->timer[1], UINT64_MAX / 100 * 100);
    host_free(h);
}

TEST(sbi, hart_masks_are_relative_to_their_base_and_minus_one_is_everybody)
{
    static const struct {
        uint64_t mask, base;
        uint32_t harts;
    } rows[] = {{1, 0, 1}, {0xf, 0, 0xf},        {5, 1, 0xa},          {1, 3, 8},
                {0, 0, 0}, {0, UINT64_MAX, 0xf}, {99, UINT64_MAX, 0xf}};
    Host *h = host_new();
    start_all(h);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        h->ipis = h->fences_i = 0;
        CHECK_INT(call(h, 0, IPI, 0, rows[i].mask, rows[i].base, 0), SBI_SUCCESS);
        CHECK_INT(h->ipis, rows[i].harts);
        CHECK_INT(call(h, 0, RFENCE, 0, rows[i].mask, rows[i].base, 0), SBI_SUCCESS);
        CHECK_INT(h->fences_i, rows[i].harts);
    }
    host_free(h);
}

TEST(sbi, a_mask_that_names_a_hart_that_is_not_there_does_nothing)
{
    static const uint64_t rows[][2] = {{0x10, 0}, {3, 3}, {1, 4}, {0, 4}, {1, UINT64_MAX - 1}, {1ull << 63, 0}};
    Host *h = host_new();
    start_all(h);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(call(h, 0, IPI, 0, rows[i][0], rows[i][1], 0), SBI_ERR_INVALID_PARAM);
        CHECK_INT(call(h, 0, RFENCE, 0, rows[i][0], rows[i][1], 0), SBI_ERR_INVALID_PARAM);
        CHECK_INT(call(h, 0, RFENCE, 1, rows[i][0], rows[i][1], 0), SBI_ERR_INVALID_PARAM);
        CHECK_INT(call(h, 0, RFENCE, 2, rows[i][0], rows[i][1], 0), SBI_ERR_INVALID_PARAM);
    }
    CHECK(!h->ipis && !h->fences_i && !h->sfences);
    host_free(h);
}

TEST(sbi, masks_reach_harts_up_to_the_64th)
{
    Host *h = host_new();
    SbiHost host = {.ctx = h, .ns_per_tick = 1, .send_ipi = send_ipi};
    Sbi *s = sbi_new(&host, 64);
    SbiReply r;
    SbiCall c = {.ext = IPI, .arg = {UINT64_MAX, 0}};
    sbi_call(s, &c, &r);
    CHECK_INT(r.error, SBI_SUCCESS);
    CHECK_INT(h->ipis, 1); /* the others are stopped */
    c.arg[0] = 1;
    c.arg[1] = 63;
    sbi_call(s, &c, &r);
    CHECK_INT(r.error, SBI_SUCCESS);
    c.arg[0] = 2;
    sbi_call(s, &c, &r);
    CHECK_INT(r.error, SBI_ERR_INVALID_PARAM);
    sbi_free(s);
    host_free(h);
}

TEST(sbi, stopped_harts_get_no_ipi_and_suspended_ones_do)
{
    Host *h = host_new();
    CHECK_INT(call(h, 0, HSM, 0, 1, RAM_AT, 0), SBI_SUCCESS);
    CHECK_INT(call(h, 1, HSM, 3, 0, 0, 0), SBI_SUCCESS);
    CHECK_INT(call(h, 0, IPI, 0, 0, UINT64_MAX, 0), SBI_SUCCESS);
    CHECK_INT(h->ipis, 3);
    CHECK_INT(call(h, 0, IPI, 0, 4, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->ipis, 3);
    host_free(h);
}

TEST(sbi, remote_fences_cover_a_range_of_one_or_all_address_spaces)
{
    static const struct {
        uint64_t start, size, got_start, got_size;
        int64_t error;
        bool is_called;
    } rows[] = {
        {0x1000, 0x2000, 0x1000, 0x2000, SBI_SUCCESS, true},
        {0, 0, 0, UINT64_MAX, SBI_SUCCESS, true},
        {0x5000, UINT64_MAX, 0, UINT64_MAX, SBI_SUCCESS, true},
        {0xfffffffffffff000, 0x1000, 0xfffffffffffff000, 0x1000, SBI_SUCCESS, true},
        {0x5000, 0, 0, 0, SBI_SUCCESS, false},
        {0xfffffffffffff000, 0x1001, 0, 0, SBI_ERR_INVALID_ADDRESS, false},
    };
    Host *h = host_new();
    start_all(h);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned fid = 1; fid <= 2; fid++) {
            SbiCall c = {.ext = RFENCE, .fid = fid, .arg = {6, 0, rows[i].start, rows[i].size, 77}};
            SbiReply r;
            h->sfences = 0;
            sbi_call(h->s, &c, &r);
            CHECK_INT(r.error, rows[i].error);
            CHECK_INT(h->sfences, rows[i].is_called ? 6 : 0);
            if (rows[i].is_called) {
                CHECK(h->start == rows[i].got_start && h->size == rows[i].got_size);
                CHECK_INT(h->asid, fid == 2 ? 77 : UINT64_MAX);
            }
        }
    }
    for (unsigned fid = 3; fid <= 6; fid++) {
        CHECK_INT(call(h, 0, RFENCE, fid, 1, 0, 0), SBI_ERR_NOT_SUPPORTED);
    }
    host_free(h);
}

TEST(sbi, a_stopped_hart_is_started_once_at_its_address_with_its_argument)
{
    Host *h = host_new();
    CHECK(!sbi_is_stopped(h->s, 0) && sbi_is_stopped(h->s, 2));
    CHECK_INT(call(h, 0, HSM, 2, 2, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 1);
    CHECK_INT(call(h, 0, HSM, 0, 2, 0x1000, 5), SBI_ERR_INVALID_ADDRESS);
    CHECK(sbi_is_stopped(h->s, 2));
    CHECK_INT(call(h, 0, HSM, 0, 2, RAM_AT + 8, 5), SBI_SUCCESS);
    CHECK(h->started == 2 && h->start_addr == RAM_AT + 8 && h->start_arg == 5);
    CHECK_INT(call(h, 0, HSM, 2, 2, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 0);
    CHECK_INT(call(h, 0, HSM, 0, 2, RAM_AT, 5), SBI_ERR_ALREADY_AVAILABLE);
    CHECK_INT(call(h, 0, HSM, 0, 0, RAM_AT, 5), SBI_ERR_ALREADY_AVAILABLE);
    CHECK_INT(call(h, 0, HSM, 0, HARTS, RAM_AT, 5), SBI_ERR_INVALID_PARAM);
    CHECK_INT(call(h, 0, HSM, 0, UINT64_MAX, RAM_AT, 5), SBI_ERR_INVALID_PARAM);
    CHECK_INT(call(h, 0, HSM, 2, HARTS, 0, 0), SBI_ERR_INVALID_PARAM);
    host_free(h);
}

TEST(sbi, a_hart_that_stops_itself_can_be_started_again)
{
    Host *h = host_new();
    start_all(h);
    call(h, 3, HSM, 1, 0, 0, 0);
    CHECK_INT(h->r.action, SBI_STOP);
    CHECK(sbi_is_stopped(h->s, 3));
    CHECK_INT(call(h, 0, HSM, 0, 3, RAM_AT, 0), SBI_SUCCESS);
    CHECK(!sbi_is_stopped(h->s, 3));
    host_free(h);
}

TEST(sbi, a_hart_suspends_keeping_its_state_or_resumes_at_an_address)
{
    Host *h = host_new();
    CHECK_INT(call(h, 0, HSM, 3, 0xffffffff00000000, 1, 2), SBI_SUCCESS); /* the type is 32 bits wide */
    CHECK_INT(h->r.action, SBI_SUSPEND);
    CHECK_INT(call(h, 0, HSM, 2, 0, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 4);
    sbi_resumed(h->s, 0);
    CHECK_INT(call(h, 0, HSM, 2, 0, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 0);
    CHECK_INT(call(h, 0, HSM, 3, 0x80000000, RAM_AT + 4, 9), SBI_SUCCESS);
    CHECK(h->r.action == SBI_SUSPEND_TO && h->r.addr == RAM_AT + 4 && h->r.arg == 9);
    sbi_resumed(h->s, 0);
    sbi_resumed(h->s, 1); /* a stopped hart stays stopped */
    CHECK(sbi_is_stopped(h->s, 1));
    CHECK_INT(call(h, 0, HSM, 3, 0x80000000, 0x10, 9), SBI_ERR_INVALID_ADDRESS);
    CHECK_INT(call(h, 0, HSM, 3, 1, 0, 0), SBI_ERR_INVALID_PARAM);
    CHECK_INT(call(h, 0, HSM, 3, 0x10000000, 0, 0), SBI_ERR_INVALID_PARAM);
    CHECK_INT(call(h, 0, HSM, 3, 0x80000001, RAM_AT, 0), SBI_ERR_INVALID_PARAM);
    CHECK_INT(call(h, 0, HSM, 3, 0x90000000, RAM_AT, 0), SBI_ERR_INVALID_PARAM);
    CHECK(h->r.action == SBI_RETURN);
    host_free(h);
}

TEST(sbi, system_reset_ends_the_machine_or_refuses_reserved_types_and_reasons)
{
    static const struct {
        uint64_t type, reason;
        int64_t error;
        SbiAction action;
        bool is_failure;
    } rows[] = {
        {0, 0, SBI_SUCCESS, SBI_SHUTDOWN, false},
        {0, 1, SBI_SUCCESS, SBI_SHUTDOWN, true},
        {1, 0, SBI_SUCCESS, SBI_REBOOT, false},
        {2, 1, SBI_SUCCESS, SBI_REBOOT, true},
        {0xffffffff00000000, 0xffffffff00000000, SBI_SUCCESS, SBI_SHUTDOWN, false},
        {3, 0, SBI_ERR_INVALID_PARAM, SBI_RETURN, false},
        {0xf0000000, 0, SBI_ERR_INVALID_PARAM, SBI_RETURN, false},
        {0, 2, SBI_ERR_INVALID_PARAM, SBI_RETURN, false},
        {0, 0xe0000000, SBI_ERR_INVALID_PARAM, SBI_RETURN, false},
        {0, 0xf0000000, SBI_ERR_INVALID_PARAM, SBI_RETURN, false},
    };
    Host *h = host_new();
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(call(h, 0, SRST, 0, rows[i].type, rows[i].reason, 0), rows[i].error);
        CHECK(h->r.action == rows[i].action && h->r.is_failure == rows[i].is_failure);
    }
    host_free(h);
}

TEST(sbi, the_debug_console_writes_from_memory_as_much_as_there_is_room_for)
{
    Host *h = host_new();
    memset(h->ram, 'x', RAM_BYTES);
    memcpy(h->ram + 16, "hello", 5);
    CHECK_INT(call(h, 0, DBCN, 0, 5, RAM_AT + 16, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 5);
    CHECK_STR(buf_text(&h->out), "hello");
    CHECK_INT(call(h, 0, DBCN, 0, 0, 0, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 0);
    CHECK_INT(call(h, 0, DBCN, 0, RAM_BYTES, RAM_AT, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 0x10000); /* a part, so that no guest keeps the host busy */
    h->room = 300;
    CHECK_INT(call(h, 0, DBCN, 0, 1000, RAM_AT, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 300);
    host_free(h);
}

TEST(sbi, the_debug_console_refuses_memory_that_is_not_there)
{
    static const uint64_t rows[][3] = {
        {1, 0, 0}, {2, RAM_AT + RAM_BYTES - 1, 0}, {1, RAM_AT, 1}, {UINT64_MAX, RAM_AT, 0}, {16, UINT64_MAX - 3, 0}};
    Host *h = host_new();
    h->in = "abc";
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_INT(call(h, 0, DBCN, 0, rows[i][0], rows[i][1], rows[i][2]), SBI_ERR_INVALID_PARAM);
        CHECK_INT(call(h, 0, DBCN, 1, rows[i][0], rows[i][1], rows[i][2]), SBI_ERR_INVALID_PARAM);
        CHECK_INT(h->r.value, 0);
    }
    CHECK_STR(buf_text(&h->out), "");
    CHECK_STR(h->in, "abc");
    h->is_broken = true;
    CHECK_INT(call(h, 0, DBCN, 0, 1, RAM_AT, 0), SBI_ERR_FAILED);
    CHECK_INT(call(h, 0, DBCN, 1, 1, RAM_AT, 0), SBI_ERR_FAILED);
    host_free(h);
}

TEST(sbi, the_debug_console_reads_what_there_is)
{
    Host *h = host_new();
    h->in = "abcdef";
    CHECK_INT(call(h, 0, DBCN, 1, 4, RAM_AT + 8, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 4);
    CHECK(!memcmp(h->ram + 7, "\0abcd\0", 6));
    CHECK_INT(call(h, 0, DBCN, 1, 400, RAM_AT, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 2);
    CHECK_INT(call(h, 0, DBCN, 1, 400, RAM_AT, 0), SBI_SUCCESS);
    CHECK_INT(h->r.value, 0);
    CHECK_INT(call(h, 0, DBCN, 1, 0, 0, 0), SBI_SUCCESS);
    host_free(h);
}

TEST(sbi, the_debug_console_writes_a_byte_or_fails)
{
    Host *h = host_new();
    CHECK_INT(call(h, 0, DBCN, 2, 0x141, 0, 0), SBI_SUCCESS);
    CHECK_STR(buf_text(&h->out), "A");
    CHECK_INT(h->r.value, 0);
    h->room = 0;
    CHECK_INT(call(h, 0, DBCN, 2, 'B', 0, 0), SBI_ERR_FAILED);
    host_free(h);
}

TEST(sbi, legacy_calls_ignore_the_function_number_and_answer_in_a0_alone)
{
    Host *h = host_new();
    h->in = "\xff";
    CHECK_INT(call(h, 1, 0, 99, 7, 0, 0), 0);
    CHECK(h->r.action == SBI_RETURN_A0 && h->timer[1] == 700);
    CHECK_INT(call(h, 0, 1, 99, 'c', 0, 0), 0);
    CHECK(h->r.action == SBI_RETURN_A0);
    CHECK_STR(buf_text(&h->out), "c");
    CHECK_INT(call(h, 0, 2, 99, 0, 0, 0), 0xff);
    CHECK_INT(call(h, 0, 2, 99, 0, 0, 0), -1);
    CHECK(h->r.action == SBI_RETURN_A0);
    call(h, 0, 8, 99, 0, 0, 0);
    CHECK(h->r.action == SBI_SHUTDOWN && !h->r.is_failure);
    host_free(h);
}

TEST(sbi, hart_states_are_saved_and_restored_or_refused)
{
    Host *h = host_new(), *twin = host_new();
    Buf b = {0};
    Err err;
    CHECK_INT(call(h, 0, HSM, 0, 2, RAM_AT, 0), SBI_SUCCESS);
    CHECK_INT(call(h, 2, HSM, 3, 0, 0, 0), SBI_SUCCESS);
    sbi_save(h->s, &b);
    for (size_t n = 0; n < b.n; n++) {
        Cursor c = cursor_of(b.data, n);
        CHECK_INT(sbi_restore(twin->s, &c, &err), -ERR_INVAL);
    }
    Cursor c = cursor_of(b.data, b.n);
    CHECK_INT(sbi_restore(twin->s, &c, NULL), 0);
    CHECK_INT(cursor_left(&c), 0);
    CHECK_INT(call(twin, 0, HSM, 2, 2, 0, 0), SBI_SUCCESS);
    CHECK_INT(twin->r.value, 4);
    b.data[5] = 2;
    c = cursor_of(b.data, b.n);
    CHECK_INT(sbi_restore(twin->s, &c, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "state of hart 1 is 2");
    CHECK(sbi_is_stopped(twin->s, 1));
    sbi_reset(twin->s);
    CHECK(!sbi_is_stopped(twin->s, 0) && sbi_is_stopped(twin->s, 2));
    buf_free(&b);
    host_free(h);
    host_free(twin);
    sbi_free(NULL);
}
