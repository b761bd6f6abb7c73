/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/devices/boards.h"
#include "sim/devices/htif.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { UART = 0x10000000, PLIC = 0xc000000, CLINT = 0x2000000, TEST_FINISHER = 0x100000, RTC = 0x101000 };

typedef struct {
    Board *b;
    bool line[4][4];
    uint64_t now_ns[4];
    Buf output;
    int kind;
    unsigned finishes, who;
} Host;

static void host_line(void *ctx, unsigned vcpu, unsigned line, bool level)
{
    ((Host *)ctx)->line[vcpu][line] = level;
}
static uint64_t host_now(void *ctx, unsigned vcpu)
{
    return ((Host *)ctx)->now_ns[vcpu];
}
static void host_output(void *ctx, const void *bytes, size_t n)
{
    buf_bytes(&((Host *)ctx)->output, bytes, n);
}
static void host_finish(void *ctx, unsigned vcpu, int kind, uint32_t code)
{
    Host *h = ctx;
    h->finishes++;
    h->who = vcpu;
    h->kind = kind + (int)code;
}

static Host *host_new(bool is_virt, unsigned nvcpus)
{
    Host *h = x_alloc(sizeof *h);
    BoardHost callbacks = {
        .ctx = h, .line = host_line, .now_ns = host_now, .output = host_output, .finish = host_finish};
    CHECK_INT(board_new(board_find("riscv64", is_virt), nvcpus, &callbacks, &h->b, NULL), 0);
    return h;
}

static void host_free(Host *h)
{
    board_free(h->b);
    buf_free(&h->output);
    mem_free(h);
}

static uint64_t get(Host *h, unsigned vcpu, uint64_t gpa, unsigned size_bytes)
{
    uint64_t value = 0xdead;
    CHECK_INT(board_access(h->b, vcpu, gpa, size_bytes, false, &value), 0);
    return value;
}

static void put(Host *h, unsigned vcpu, uint64_t gpa, unsigned size_bytes, uint64_t value)
{
    CHECK_INT(board_access(h->b, vcpu, gpa, size_bytes, true, &value), 0);
}

/* As a driver does it: source 10 with priority 1, for a context; the UART interrupts on input. */
static void uart_irq_on(Host *h, unsigned context)
{
    put(h, 0, PLIC + 40, 4, 1);
    put(h, 0, PLIC + 0x2000 + context * 0x80ull, 4, 1u << 10);
    put(h, 0, UART + 1, 1, 1);
}

TEST(board, each_guest_has_its_boards)
{
    CHECK(board_find("riscv64", false) == &board_riscv64_machine);
    CHECK(board_find("riscv64", true) == &board_riscv64_virt);
    CHECK(!board_find("z80", false));
}

TEST(board, no_vcpus_or_too_many_are_refused)
{
    Board *b;
    Err err;
    BoardHost host = {0};
    CHECK_INT(board_new(&board_riscv64_virt, 0, &host, &b, &err), -ERR_LIMIT);
    CHECK_INT(board_new(&board_riscv64_virt, 65, &host, &b, &err), -ERR_LIMIT);
    CHECK_HAS(err.text, "1 to 64 vcpus, not 65");
    board_free(NULL);
}

TEST(board, device_rows_do_not_overlap_and_have_what_their_role_needs)
{
    const BoardDef *defs[] = {&board_riscv64_machine, &board_riscv64_virt};
    for (unsigned k = 0; k < 2; k++) {
        for (size_t i = 0; i < defs[k]->nrows; i++) {
            const BoardRow *a = &defs[k]->rows[i];
            CHECK(a->base % SPACE_PAGE_BYTES == 0 && a->base + a->type->size_bytes <= defs[k]->ram_base);
            CHECK(!a->is_console || (a->type->input && a->type->take));
            CHECK(!a->is_irq_chip || a->type->wire);
            CHECK(!a->type->deadline == !a->type->tick);
            for (size_t j = i + 1; j < defs[k]->nrows; j++) {
                const BoardRow *c = &defs[k]->rows[j];
                CHECK(a->base + a->type->size_bytes <= c->base || c->base + c->type->size_bytes <= a->base);
                CHECK(!a->irq || a->irq != c->irq);
            }
        }
    }
}

TEST(board, console_output_and_input_pass_through_the_uart)
{
    Host *h = host_new(false, 1);
    char got[4];
    put(h, 0, UART, 1, 'o');
    put(h, 0, UART, 1, 'k');
    board_console_write(h->b, "!", 1);
    CHECK_STR(buf_text(&h->output), "ok!");
    put(h, 0, UART + 2, 1, 1);
    CHECK_INT(board_input(h->b, "0123456789abcdefgh", 18), 16);
    CHECK_INT(get(h, 0, UART, 1), '0');
    CHECK_INT(board_console_take(h->b, got, 2), 2);
    CHECK(got[0] == '1' && got[1] == '2');
    CHECK_INT(board_input(h->b, "gh", 2), 2);
    host_free(h);
}

TEST(board, input_raises_source_10_and_so_the_line_of_the_context_that_enabled_it)
{
    Host *h = host_new(false, 2);
    uart_irq_on(h, 3); /* hart 1, S */
    board_input(h->b, "x", 1);
    CHECK(h->line[1][WIRE_EXTERNAL_LOW] && !h->line[1][WIRE_EXTERNAL] && !h->line[0][WIRE_EXTERNAL]);
    CHECK_INT(get(h, 1, PLIC + 0x203004, 4), 10);
    CHECK(!h->line[1][WIRE_EXTERNAL_LOW]);
    CHECK_INT(get(h, 1, UART, 1), 'x');
    put(h, 1, PLIC + 0x203004, 4, 10);
    CHECK(!h->line[1][WIRE_EXTERNAL_LOW]);
    host_free(h);
}

TEST(board, under_a_hypervisor_there_is_no_clint_and_context_n_is_the_supervisor_of_hart_n)
{
    Host *h = host_new(true, 2);
    uint64_t value = 0;
    CHECK(!board_claims(h->b, CLINT));
    CHECK_INT(board_access(h->b, 0, CLINT, 4, false, &value), -ERR_FAULT);
    CHECK_INT(board_deadline(h->b, 0), UINT64_MAX);
    uart_irq_on(h, 1);
    board_input(h->b, "x", 1);
    CHECK(h->line[1][WIRE_EXTERNAL] && !h->line[1][WIRE_EXTERNAL_LOW]);
    host_free(h);
}

TEST(board, deadlines_and_ticks_go_by_the_clock_of_their_vcpu)
{
    Host *h = host_new(false, 2);
    put(h, 0, CLINT + 0x4000, 8, 10);
    put(h, 1, CLINT + 0x4008, 8, 20);
    CHECK_INT(board_deadline(h->b, 0), 1000);
    CHECK_INT(board_deadline(h->b, 1), 2000);
    h->now_ns[0] = 5000;
    board_tick(h->b, 1);
    CHECK(!h->line[0][WIRE_TIMER] && !h->line[1][WIRE_TIMER]);
    board_tick(h->b, 0);
    CHECK(h->line[0][WIRE_TIMER] && !h->line[1][WIRE_TIMER]);
    put(h, 0, RTC + 8, 4, 700);
    CHECK_INT(board_deadline(h->b, 1), 2000);
    CHECK_INT(get(h, 1, CLINT + 0xbff8, 8), 0);
    CHECK_INT(get(h, 0, CLINT + 0xbff8, 8), 50);
    host_free(h);
}

TEST(board, the_finisher_names_the_vcpu_that_ended_the_machine)
{
    Host *h = host_new(true, 2);
    put(h, 1, TEST_FINISHER, 4, 0x00053333);
    CHECK(h->finishes == 1 && h->who == 1 && h->kind == FINISH_FAIL + 5);
    host_free(h);
}

TEST(board, accesses_outside_of_devices_or_by_no_vcpu_are_bus_errors)
{
    Host *h = host_new(false, 1);
    uint64_t value = 0;
    CHECK(board_claims(h->b, UART) && board_claims(h->b, UART) == board_claims(h->b, UART + 0xfff));
    CHECK(board_claims(h->b, UART + 0x8fff) && !board_claims(h->b, UART + 0x9000));
    CHECK(!board_claims(h->b, UART - 1) && !board_claims(h->b, 0x80000000));
    CHECK_INT(board_access(h->b, 0, UART + 0x200, 1, false, &value), -ERR_FAULT);
    CHECK_INT(board_access(h->b, 0, 0x3000000, 1, true, &value), -ERR_FAULT);
    CHECK_INT(board_access(h->b, 1, UART, 1, true, &value), -ERR_FAULT);
    host_free(h);
}

TEST(board, attached_to_a_space_its_devices_are_found_there)
{
    Host *h = host_new(false, 1);
    Space *s = space_new();
    SpaceHit hit;
    if (!CHECK(!board_attach(h->b, s, NULL) && space_find(s, UART + 5, &hit) && hit.device && hit.gpa == UART)) {
        space_free(s);
        host_free(h);
        return;
    }
    uint64_t value;
    CHECK_INT(hit.device->read(hit.ctx, 0, 5, 1, &value), 0);
    CHECK_INT(value, 0x60);
    CHECK_INT(hit.device->write(hit.ctx, 0, 0, 1, 'z'), 0);
    CHECK_STR(buf_text(&h->output), "z");
    CHECK_INT(hit.device->write(hit.ctx, 0, 0x800, 1, 'z'), -ERR_FAULT);
    CHECK_INT(board_attach(h->b, s, NULL), -ERR_EXIST);
    space_free(s);
    s = space_new();
    uint32_t ram;
    CHECK_INT(space_ram_new(s, SPACE_PAGE_BYTES, &ram, NULL), 0);
    CHECK_INT(space_map(s, UART, SPACE_PAGE_BYTES, ram, 0, SPACE_R, NULL), 0);
    CHECK_INT(board_attach(h->b, s, NULL), -ERR_EXIST); /* in the way: what was there already goes again */
    CHECK(!space_find(s, PLIC, &hit) && !space_find(s, TEST_FINISHER, &hit));
    space_free(s);
    host_free(h);
}

TEST(board, saved_and_restored_elsewhere_it_goes_on_and_drives_the_lines)
{
    Host *h = host_new(false, 2), *twin = host_new(false, 2);
    Buf b = {0}, again = {0};
    uart_irq_on(h, 0);
    put(h, 0, UART + 2, 1, 1);
    board_input(h->b, "abc", 3);
    put(h, 0, CLINT + 4, 4, 1);
    put(h, 0, CLINT + 0x4000, 8, 30);
    board_save(h->b, &b);
    Cursor c = cursor_of(b.data, b.n);
    CHECK_INT(board_restore(twin->b, &c, NULL), 0);
    CHECK_INT(cursor_left(&c), 0);
    CHECK(twin->line[0][WIRE_EXTERNAL] && twin->line[1][WIRE_SOFTWARE] && !twin->line[0][WIRE_TIMER]);
    CHECK_INT(board_deadline(twin->b, 0), 3000);
    CHECK_INT(get(twin, 0, UART, 1), 'a');
    CHECK_INT(get(twin, 0, PLIC + 0x200004, 4), 10);
    board_save(h->b, &again);
    CHECK(b.n == again.n && !memcmp(b.data, again.data, b.n));
    buf_free(&b);
    buf_free(&again);
    host_free(h);
    host_free(twin);
}

TEST(board, a_state_of_another_board_or_a_damaged_one_is_refused_and_changes_nothing)
{
    Host *h = host_new(false, 2), *virt = host_new(true, 2), *one = host_new(false, 1);
    Buf b = {0}, before = {0}, after = {0};
    Err err;
    uart_irq_on(h, 0);
    board_save(h->b, &b);
    Cursor c = cursor_of(b.data, b.n);
    CHECK_INT(board_restore(virt->b, &c, &err), -ERR_INVAL);
    char counts[64];
    snprintf(counts, sizeof counts, "2 vcpus and %zu devices, expected 2 and %zu", board_riscv64_machine.nrows,
             board_riscv64_virt.nrows);
    CHECK_HAS(err.text, counts);
    c = cursor_of(b.data, b.n);
    CHECK_INT(board_restore(one->b, &c, &err), -ERR_INVAL);
    put(h, 0, PLIC + 40, 4, 3);
    board_save(h->b, &before);
    for (size_t n = 0; n < b.n; n += n < 64 ? 1 : 97) {
        c = cursor_of(b.data, n);
        CHECK_INT(board_restore(h->b, &c, &err), -ERR_INVAL);
    }
    b.data[8] ^= 1; /* the first device's name */
    c = cursor_of(b.data, b.n);
    CHECK_INT(board_restore(h->b, &c, &err), -ERR_INVAL);
    CHECK_HAS(err.text, "device 0 is not finisher");
    board_save(h->b, &after);
    CHECK(before.n == after.n && !memcmp(before.data, after.data, after.n));
    buf_free(&b);
    buf_free(&before);
    buf_free(&after);
    host_free(h);
    host_free(virt);
    host_free(one);
}

static void *hammer(void *arg)
{
    Host *h = arg;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t value = i;
        int rc = board_access(h->b, 1, PLIC + 40, 4, true, &value);
        rc |= board_access(h->b, 1, UART + 7, 1, true, &value);
        rc |= board_access(h->b, 1, CLINT + 0x4008, 8, true, &value);
        board_tick(h->b, 1);
        if (rc) {
            return h;
        }
    }
    return NULL;
}

TEST(board, vcpus_on_several_threads_may_use_it_at_once)
{
    Host *h = host_new(false, 2);
    pthread_t other;
    void *bad;
    CHECK_INT(pthread_create(&other, NULL, hammer, h), 0);
    for (unsigned i = 0; i < 2000; i++) {
        board_input(h->b, "a", 1);
        get(h, 0, UART, 1);
        (void)board_deadline(h->b, 0);
    }
    pthread_join(other, &bad);
    CHECK(!bad);
    host_free(h);
}

/* The device tree as dtc prints it; empty if dtc is not installed. */
static void tree_text(Host *h, const BoardFdt *what, Buf *text)
{
    Buf blob = {0};
    char path[64], command[160], line[256];
    board_fdt(h->b, what, &blob);
    snprintf(path, sizeof path, "/tmp/conf-board-%ld.dtb", (long)getpid());
    CHECK_INT(os_write_file(path, blob.data, blob.n, NULL), 0);
    snprintf(command, sizeof command, "dtc -I dtb -O dts %s 2>&1", path);
    FILE *p = popen(command, "r");
    while (p && fgets(line, sizeof line, p)) {
        buf_str(text, line);
    }
    int status = p ? pclose(p) : -1;
    unlink(path);
    buf_free(&blob);
    if (status) {
        CHECK_HAS(buf_text(text), "not found");
        buf_clear(text);
    }
}

TEST(board, its_device_tree_has_no_complaint_of_dtc_and_says_what_qemus_virt_says)
{
    static const char *const parts[] = {
        "bootargs = \"console=ttyS0\";",
        "stdout-path = \"/soc/serial@10000000\";",
        "linux,initrd-start = <0x00 0x84000000>;",
        "linux,initrd-end = <0x00 0x84001000>;",
        "rng-seed = <0x",
        "memory@80000000",
        "reg = <0x00 0x80000000 0x00 0x8000000>;",
        "timebase-frequency = <0x989680>;",
        "cpu@1 {",
        "riscv,isa = \"rv64imac_zicbom_zicboz_zicsr\";",
        "riscv,isa-base = \"rv64i\";",
        "riscv,isa-extensions = \"i\\0m\\0a\\0c\\0zicbom\\0zicboz\\0zicsr\";",
        "cpu-map {",
        "core1 {",
        "cpu = <0x101>;",
        "riscv,cbom-block-size = <0x40>;",
        "riscv,cboz-block-size = <0x40>;",
        "mmu-type = \"riscv,sv39\";",
        "compatible = \"ns16550a\";",
        "interrupts = <0x0a>;",
        "compatible = \"sifive,clint0\\0riscv,clint0\";",
        "interrupts-extended = <0x01 0x03 0x01 0x07 0x02 0x03 0x02 0x07>;",
        "compatible = \"sifive,plic-1.0.0\\0riscv,plic0\";",
        "interrupts-extended = <0x01 0x0b 0x01 0x09 0x02 0x0b 0x02 0x09>;",
        "riscv,ndev = <0x5f>;",
        "compatible = \"sifive,test1\\0sifive,test0\\0syscon\";",
        "compatible = \"syscon-poweroff\";",
        "value = <0x5555>;",
        "compatible = \"syscon-reboot\";",
        "value = <0x7777>;",
        "compatible = \"google,goldfish-rtc\";",
        "virtio_mmio@10001000 {",
        "virtio_mmio@10008000 {",
        "interrupts = <0x08>;",
        "compatible = \"virtio,mmio\";",
    };
    Host *h = host_new(false, 2), *virt = host_new(true, 2);
    BoardFdt what = {.ram_bytes = 128 << 20,
                     .isa = "rv64imac_zicbom_zicboz_zicsr",
                     .mmu = "riscv,sv39",
                     .append = "console=ttyS0",
                     .initrd_start = 0x84000000,
                     .initrd_end = 0x84001000};
    Buf text = {0};
    tree_text(h, &what, &text);
    if (!text.n) {
        test_skip("dtc is not installed");
    } else {
        for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
            CHECK_HAS(buf_text(&text), parts[i]);
        }
        CHECK(!strstr(buf_text(&text), "Warning"));
        buf_clear(&text);
        tree_text(virt, &(BoardFdt){.ram_bytes = 4096, .isa = "rv64i", .mmu = "riscv,sv39"}, &text);
        CHECK_HAS(buf_text(&text), "interrupts-extended = <0x01 0x09 0x02 0x09>;");
        CHECK_HAS(buf_text(&text), "rng-seed = <0x");
        CHECK(!strstr(buf_text(&text), "clint") && !strstr(buf_text(&text), "initrd") &&
              !strstr(buf_text(&text), "bootargs") && !strstr(buf_text(&text), "Warning"));
    }
    buf_free(&text);
    host_free(h);
    host_free(virt);
}

typedef struct {
    Host *h;
    _Atomic bool is_done;
} Other;

static void *other_prints(void *arg)
{
    enum { OTHERS = 300 };
    Other *o = arg;
    for (unsigned i = 0; i < OTHERS; i++) {
        board_console_write(o->h->b, "b", 1);
    }
    o->is_done = true;
    return NULL;
}

/* Who keeps it over and over lets others in; they see nothing of what happens meanwhile. */
TEST(board, is_kept_from_others_for_a_while_and_not_for_ever)
{
    Host *h = host_new(false, 2);
    Other o = {.h = h};
    pthread_t thread;
    CHECK(board_keep(h->b));
    CHECK(!pthread_create(&thread, NULL, other_prints, &o));
    board_give(h->b);
    while (!o.is_done) {
        if (!board_keep(h->b)) {
            put(h, 0, UART, 1, '-');
            continue;
        }
        put(h, 0, UART, 1, '(');
        board_console_write(h->b, "a", 1); /* any function of the board, as always */
        (void)board_deadline(h->b, 0);
        CHECK_INT(get(h, 0, UART + 5, 1), 0x60);
        put(h, 0, UART, 1, ')');
        board_give(h->b);
    }
    pthread_join(thread, NULL);
    const char *text = buf_text(&h->output);
    unsigned others = 0;
    for (; *text; text++) {
        others += *text == 'b';
        CHECK(*text != '(' || !strncmp(text, "(a)", 3));
    }
    CHECK_INT(others, 300);
    CHECK(board_keep(h->b)); /* nobody waits any more */
    board_give(h->b);
    host_free(h);
}

typedef struct {
    Host *h;
    _Atomic bool is_done;
    long switches;
} Sleeper;

static void *sleeper_prints(void *arg)
{
    Sleeper *s = arg;
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    board_console_write(s->h->b, "b", 1);
    getrusage(RUSAGE_THREAD, &after);
    s->switches = after.ru_nvcsw - before.ru_nvcsw;
    s->is_done = true;
    return NULL;
}

/* Looking every 50 us, as it did once, it slept a thousand times and more meanwhile. */
TEST(board, who_waits_for_it_sleeps_until_it_is_given)
{
    enum { HELD_NS = 200000000 };
    Host *h = host_new(false, 2);
    Sleeper s = {.h = h};
    pthread_t thread;
    struct timespec held = {.tv_nsec = HELD_NS};
    CHECK(board_keep(h->b));
    CHECK(!pthread_create(&thread, NULL, sleeper_prints, &s));
    nanosleep(&held, NULL);
    CHECK(!s.is_done);
    board_give(h->b);
    pthread_join(thread, NULL);
    CHECK(s.switches < 500);
    host_free(h);
}

TEST(htif, tohost_says_exit_output_or_something_that_is_not_served)
{
    static const struct {
        uint64_t tohost, value;
        HtifKind kind;
    } rows[] = {
        {0, 0, HTIF_NONE},
        {1, 0, HTIF_EXIT},
        {7, 3, HTIF_EXIT},
        {0xffffffffffff, 0x7fffffffffff, HTIF_EXIT},
        {0x80001000, 0x80001000, HTIF_OTHER},
        {0x0101000000000041, 0x41, HTIF_PUTC},
        {0x0101000000000141, 0x41, HTIF_PUTC},
        {0x0100000000000000, 0x0100000000000000, HTIF_OTHER},
        {0x0001000000000001, 0x0001000000000001, HTIF_OTHER},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        Htif h = htif_decode(rows[i].tohost);
        CHECK(h.kind == rows[i].kind && h.value == rows[i].value);
    }
}
