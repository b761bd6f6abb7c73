/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/test.h"
#include "sim/devices/rig.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { FCR = IIR };

static uint8_t get(Rig *r, unsigned reg)
{
    return (uint8_t)rig_get(r, 0, reg, 1);
}

static void put(Rig *r, unsigned reg, uint8_t value)
{
    rig_put(r, 0, reg, 1, value);
}

static size_t feed(Rig *r, const char *text, size_t n)
{
    return r->d->type->input(r->d, text, n);
}

TEST(uart16550, bytes_written_go_out_at_once_and_the_transmitter_is_always_empty)
{
    Rig *r = rig_new("uart16550", 1, 0);
    CHECK_INT(get(r, LSR), 0x60);
    put(r, DATA, 'h');
    put(r, DATA, 'i');
    CHECK_STR(buf_text(&r->output), "hi");
    CHECK_INT(get(r, LSR), 0x60);
    rig_free(r);
}

TEST(uart16550, registers_start_as_the_data_sheet_says_and_keep_what_they_hold)
{
    Rig *r = rig_new("uart16550", 1, 0);
    CHECK_INT(get(r, IER), 0);
    CHECK_INT(get(r, IIR), 1);
    CHECK_INT(get(r, LCR), 0);
    CHECK_INT(get(r, MCR), 0);
    CHECK_INT(get(r, MSR), 0xb0);
    put(r, SCR, 0x5a);
    put(r, IER, 0xff);
    put(r, MCR, 0xef);
    put(r, LCR, 0x1b);
    put(r, LSR, 0xff);
    put(r, MSR, 0x00);
    CHECK_INT(get(r, SCR), 0x5a);
    CHECK_INT(get(r, IER), 0x0f);
    CHECK_INT(get(r, MCR), 0x0f);
    CHECK_INT(get(r, LCR), 0x1b);
    CHECK_INT(get(r, LSR), 0x60);
    CHECK_INT(get(r, MSR), 0xb0);
    rig_free(r);
}

TEST(uart16550, the_divisor_latch_shadows_data_and_ier_while_dlab_is_set)
{
    Rig *r = rig_new("uart16550", 1, 0);
    put(r, IER, 5);
    put(r, LCR, 0x80);
    put(r, DATA, 0x34);
    put(r, IER, 0x12);
    CHECK_INT(get(r, DATA), 0x34);
    CHECK_INT(get(r, IER), 0x12);
    put(r, LCR, 3);
    CHECK_INT(get(r, IER), 5);
    CHECK_STR(buf_text(&r->output), "");
    put(r, LCR, 0x83);
    CHECK_INT(get(r, DATA), 0x34);
    rig_free(r);
}

TEST(uart16550, accesses_beyond_the_scratch_register_or_wider_than_a_byte_are_bus_errors)
{
    Rig *r = rig_new("uart16550", 1, 0);
    uint64_t value;
    CHECK_INT(device_read(r->d, 0, 8, 1, &value), -ERR_FAULT);
    CHECK_INT(device_write(r->d, 0, 8, 1, 0), -ERR_FAULT);
    CHECK_INT(device_read(r->d, 0, 0, 2, &value), -ERR_FAULT);
    CHECK_INT(device_write(r->d, 0, 4, 4, 0), -ERR_FAULT);
    rig_free(r);
}

TEST(uart16550, without_fifo_it_takes_one_byte_at_a_time)
{
    Rig *r = rig_new("uart16550", 1, 0);
    put(r, IER, 1);
    CHECK(!r->irq);
    CHECK_INT(feed(r, "ab", 2), 1);
    CHECK(r->irq);
    CHECK_INT(get(r, IIR), 0x04);
    CHECK_INT(get(r, LSR), 0x61);
    CHECK_INT(feed(r, "b", 1), 0);
    CHECK_INT(get(r, DATA), 'a');
    CHECK(!r->irq);
    CHECK_INT(get(r, IIR), 0x01);
    CHECK_INT(get(r, LSR), 0x60);
    CHECK_INT(get(r, DATA), 'a');
    rig_free(r);
}

TEST(uart16550, the_fifo_holds_16_bytes_and_says_whether_the_trigger_is_reached)
{
    static const uint8_t triggers[] = {1, 4, 8, 14};
    for (unsigned level = 0; level < 4; level++) {
        Rig *r = rig_new("uart16550", 1, 0);
        put(r, FCR, (uint8_t)(1 | level << 6));
        put(r, IER, 1);
        CHECK_INT(get(r, IIR), 0xc1);
        CHECK_INT(feed(r, "0123456789abcdefXX", 18), 16);
        for (unsigned left = 16; left; left--) {
            CHECK_INT(get(r, IIR), left >= triggers[level] ? 0xc4 : 0xcc);
            CHECK(r->irq);
            CHECK_INT(get(r, DATA), "0123456789abcdef"[16 - left]);
        }
        CHECK(!r->irq);
        CHECK_INT(get(r, LSR), 0x60);
        rig_free(r);
    }
}

TEST(uart16550, switching_the_fifo_or_clearing_it_drops_what_was_received)
{
    Rig *r = rig_new("uart16550", 1, 0);
    feed(r, "a", 1);
    put(r, FCR, 1);
    CHECK_INT(get(r, LSR), 0x60);
    feed(r, "abc", 3);
    put(r, FCR, 1);
    CHECK_INT(get(r, LSR), 0x61);
    put(r, FCR, 3);
    CHECK_INT(get(r, LSR), 0x60);
    feed(r, "abc", 3);
    put(r, FCR, 0xc2); /* without bit 0 the FIFO goes off and the rest does not count */
    CHECK_INT(get(r, LSR), 0x60);
    CHECK_INT(get(r, IIR), 0x01);
    rig_free(r);
}

TEST(uart16550, the_empty_transmitter_interrupts_once_for_each_enabling_and_each_byte)
{
    Rig *r = rig_new("uart16550", 1, 0);
    put(r, IER, 2);
    CHECK(r->irq);
    CHECK_INT(get(r, IIR), 0x02);
    CHECK(!r->irq);
    CHECK_INT(get(r, IIR), 0x01);
    put(r, DATA, 'x');
    CHECK(r->irq);
    CHECK_INT(get(r, IIR), 0x02);
    CHECK(!r->irq);
    put(r, IER, 2); /* no edge */
    CHECK(!r->irq);
    put(r, IER, 0);
    put(r, IER, 2);
    CHECK(r->irq);
    put(r, IER, 0);
    CHECK(!r->irq);
    rig_free(r);
}

TEST(uart16550, received_data_comes_before_the_transmitter_and_does_not_use_it_up)
{
    Rig *r = rig_new("uart16550", 1, 0);
    put(r, IER, 3);
    feed(r, "a", 1);
    CHECK_INT(get(r, IIR), 0x04);
    CHECK_INT(get(r, IIR), 0x04);
    CHECK_INT(get(r, DATA), 'a');
    CHECK_INT(get(r, IIR), 0x02);
    CHECK_INT(get(r, IIR), 0x01);
    rig_free(r);
}

TEST(uart16550, loopback_returns_bytes_and_reports_an_overrun_first)
{
    Rig *r = rig_new("uart16550", 1, 0);
    put(r, IER, 5);
    put(r, MCR, 0x10);
    CHECK_INT(feed(r, "z", 1), 0);
    put(r, DATA, 'a');
    CHECK_INT(get(r, LSR), 0x61);
    put(r, DATA, 'b'); /* without FIFO the new byte replaces the old */
    CHECK_INT(get(r, IIR), 0x06);
    CHECK_INT(get(r, LSR), 0x63);
    CHECK_INT(get(r, IIR), 0x04);
    CHECK_INT(get(r, DATA), 'b');
    CHECK_STR(buf_text(&r->output), "");
    put(r, FCR, 1);
    for (unsigned i = 0; i < 17; i++) { /* with one the new byte is lost */
        put(r, DATA, (uint8_t)('a' + i));
    }
    CHECK_INT(get(r, LSR), 0x63);
    for (unsigned i = 0; i < 16; i++) {
        CHECK_INT(get(r, DATA), 'a' + i);
    }
    CHECK_INT(get(r, LSR), 0x60);
    rig_free(r);
}

TEST(uart16550, loopback_ties_modem_outputs_to_inputs_and_their_changes_interrupt)
{
    Rig *r = rig_new("uart16550", 1, 0);
    put(r, IER, 8);
    put(r, MCR, 0x10);
    CHECK(r->irq);
    CHECK_INT(get(r, IIR), 0x00);
    CHECK_INT(get(r, MSR), 0x0b); /* CTS, DSR and DCD fell */
    CHECK(!r->irq);
    put(r, MCR, 0x11);
    CHECK_INT(get(r, MSR), 0x22);
    put(r, MCR, 0x13);
    CHECK_INT(get(r, MSR), 0x31);
    put(r, MCR, 0x17); /* RI rises: no delta */
    CHECK_INT(get(r, MSR), 0x70);
    put(r, MCR, 0x1b); /* RI falls, DCD rises */
    CHECK_INT(get(r, MSR), 0xbc);
    put(r, MCR, 0x00);
    CHECK_INT(get(r, MSR), 0xb0);
    rig_free(r);
}

TEST(uart16550, firmware_takes_what_was_received_like_the_guest)
{
    Rig *r = rig_new("uart16550", 1, 0);
    char got[8];
    put(r, FCR, 1);
    put(r, IER, 1);
    feed(r, "abc", 3);
    CHECK_INT(r->d->type->take(r->d, got, 2), 2);
    CHECK(got[0] == 'a' && got[1] == 'b' && r->irq);
    CHECK_INT(r->d->type->take(r->d, got, 8), 1);
    CHECK(got[0] == 'c' && !r->irq);
    CHECK_INT(r->d->type->take(r->d, got, 8), 0);
    rig_free(r);
}

TEST(uart16550, saved_in_the_middle_it_goes_on_the_same)
{
    Rig *r = rig_new("uart16550", 1, 0);
    put(r, FCR, 0x41);
    put(r, IER, 3);
    put(r, SCR, 9);
    feed(r, "abcde", 5);
    rig_swap(r);
    CHECK_INT(get(r, IIR), 0xc4);
    CHECK_INT(get(r, DATA), 'a');
    CHECK_INT(get(r, DATA), 'b');
    CHECK_INT(get(r, IIR), 0xcc);
    CHECK_INT(get(r, SCR), 9);
    rig_refuses(r, 11, 17);  /* count */
    rig_refuses(r, 0, 0x80); /* ier */
    rig_refuses(r, 7, 0);    /* trigger */
    rig_free(r);
}
