/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/remote/wire.h"
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file with the bytes, to be read from its start. */
static int fd_of(const void *bytes, size_t n)
{
    int fd = memfd_create("wire", MFD_CLOEXEC);
    CHECK(write(fd, bytes, n) == (ssize_t)n);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void put_frame(Buf *b, const WireHead *h, const void *payload)
{
    uint8_t head[WIRE_HEADER];
    wire_head_put(head, h);
    buf_bytes(b, head, sizeof head);
    buf_bytes(b, payload, h->length);
}

/* The result of reading b's first message to the end; its Err in *e. */
static int read_all(const Buf *b, WireMsg *m, Err *e)
{
    WireIn in;
    wire_in_init(&in, fd_of(b->data, b->n), WIRE_FRAME_MIN);
    in.max_message = 3 * WIRE_FRAME_MIN;
    bool is_eof;
    int rc;
    do {
        rc = wire_in_next(&in, m, e);
    } while (!rc && (rc = wire_in_fill(&in, &is_eof, e)) >= 0 && (rc = 0) == 0);
    close(in.fd);
    wire_in_free(&in);
    return rc;
}

TEST(wire, a_header_is_sixteen_little_endian_bytes)
{
    uint8_t bytes[WIRE_HEADER];
    wire_head_put(bytes, &(WireHead){.length = 0x01020304, .type = 0x0506, .flags = 0x0708, .seq = 9, .object = 10});
    CHECK(!memcmp(bytes, "\x04\x03\x02\x01\x06\x05\x08\x07\x09\0\0\0\x0a\0\0\0", sizeof bytes));
    WireHead h = wire_head_get(bytes);
    CHECK_INT(h.length, 0x01020304);
    CHECK_INT(h.type, 0x0506);
    CHECK_INT(h.flags, 0x0708);
    CHECK_INT(h.seq, 9);
    CHECK_INT(h.object, 10);
}

TEST(wire, an_exit_travels_whole)
{
    VmExit e = {.kind = EXIT_sysreg_write,
                .reply = REPLY_ACK,
                .valid = 0x7f,
                .vcpu = 200,
                .insn_len = 15,
                .size_bytes = 8,
                .reg_size_bytes = 4,
                .is_signed = true,
                .is_completed = true,
                .piece = 3,
                .npieces = 9,
                .insns = 1,
                .pc_before = 2,
                .pc_after = 3,
                .native = {4, {5, 6}},
                .reg = 7,
                .addr = 8,
                .value = 9,
                .arg = {10, 11, 12, 13, 14, UINT64_MAX}};
    VmExit got;
    memset(&got, 0x55, sizeof got);
    Buf b = {0};
    wire_put_exit(&b, &e);
    CHECK_INT(b.n, 16 + 15 * 8);
    Cursor c = cursor_of(b.data, b.n);
    wire_get_exit(&c, &got);
    CHECK(wire_done(&c));
    CHECK(!memcmp(&got.insns, &e.insns, sizeof e - offsetof(VmExit, insns)));
    CHECK_INT(got.kind, EXIT_sysreg_write);
    CHECK_INT(got.npieces, 9);
    CHECK(got.is_signed && got.is_completed);
    b.data[0] = EXIT_COUNT; /* a kind that does not exist */
    c = cursor_of(b.data, b.n);
    wire_get_exit(&c, &got);
    CHECK(!wire_done(&c));
    buf_free(&b);
}

TEST(wire, an_error_travels_whole_and_without_control_characters)
{
    Err e = {.code = ERR_UNSUPPORTED, .native = -7, .feature = "stage2_table", .module = "kvm", .text = "a\033[31mb"};
    Err got;
    uint32_t bad;
    Buf b = {0};
    wire_put_err(&b, &e, 3);
    Cursor c = cursor_of(b.data, b.n);
    wire_get_err(&c, &got, &bad);
    CHECK(wire_done(&c));
    CHECK_INT(got.code, ERR_UNSUPPORTED);
    CHECK_INT(got.native, -7);
    CHECK_INT(bad, 3);
    CHECK_STR(got.feature, "stage2_table");
    CHECK_STR(got.module, "kvm");
    CHECK_STR(got.text, "a?[31mb");
    b.data[1] = 9; /* an error of the future */
    c = cursor_of(b.data, b.n);
    wire_get_err(&c, &got, &bad);
    CHECK_INT(got.code, ERR_HOST);
    buf_free(&b);
}

TEST(wire, bulk_bytes_come_back_and_zeros_cost_nothing)
{
    enum { N = 100000 };
    uint8_t *p = x_alloc(N), *q = x_alloc(N);
    memset(p + 5000, 0xaa, 3000);
    p[N - 1] = 1;
    Buf b = {0};
    wire_put_bulk(&b, p, N);
    CHECK(b.n < 3000 + 4 * 1024);
    Cursor c = cursor_of(b.data, b.n);
    memset(q, 0xff, N);
    CHECK(wire_get_bulk_into(&c, q, N) && wire_done(&c));
    CHECK(!memcmp(p, q, N));
    for (size_t n = 0; n < 300; n++) { /* every length, zeros at both ends */
        buf_clear(&b);
        wire_put_bulk(&b, p + 5000 - n / 2, n);
        c = cursor_of(b.data, b.n);
        WireBulk got;
        CHECK_INT(wire_get_bulk(&c, N, &got), 0);
        CHECK(wire_done(&c) && got.n == n && (!n || !memcmp(got.bytes, p + 5000 - n / 2, n)));
        mem_free(got.made);
    }
    buf_free(&b);
    mem_free(p);
    mem_free(q);
}

static int bulk_of(const uint32_t *words, size_t n)
{
    Buf b = {0};
    for (size_t i = 0; i < n; i++) {
        buf_le(&b, words[i], 4);
    }
    Cursor c = cursor_of(b.data, b.n);
    WireBulk got;
    int rc = wire_get_bulk(&c, 1000, &got);
    mem_free(got.made);
    buf_free(&b);
    return rc;
}

TEST(wire, hostile_bulks_are_refused)
{
    CHECK_INT(bulk_of((const uint32_t[]){100, 0, 100, 0}, 4), 0);
    CHECK_INT(bulk_of((const uint32_t[]){100, 0, 0, 0}, 4), -ERR_PROTO);   /* no progress */
    CHECK_INT(bulk_of((const uint32_t[]){100, 0, 101, 0}, 4), -ERR_PROTO); /* past the total */
    CHECK_INT(bulk_of((const uint32_t[]){100, 0, 0xffffffff, 2}, 4), -ERR_PROTO);
    CHECK_INT(bulk_of((const uint32_t[]){100, 0, 0, 100, 7}, 5), -ERR_PROTO); /* bytes missing */
    CHECK_INT(bulk_of((const uint32_t[]){1001, 0, 1001, 0}, 4), -ERR_PROTO);  /* above the limit */
    CHECK_INT(bulk_of((const uint32_t[]){100, 1, 100, 0}, 4), -ERR_PROTO);
    CHECK_INT(bulk_of((const uint32_t[]){100, 0}, 2), -ERR_PROTO);
}

TEST(wire, frames_of_a_message_are_joined_with_a_kick_between)
{
    Buf b = {0};
    WireHead h = {.length = 3, .type = WIRE_MEM_WRITE, .flags = WIRE_MORE, .seq = 4, .object = 1};
    put_frame(&b, &h, "abc");
    put_frame(&b, &(WireHead){.type = WIRE_KICK, .object = 2}, "");
    h.flags = 0;
    put_frame(&b, &h, "def");
    WireIn in;
    wire_in_init(&in, fd_of(b.data, b.n), WIRE_FRAME_MIN);
    bool is_eof;
    WireMsg m;
    Err e = {0};
    CHECK_INT(wire_in_next(&in, &m, &e), 0);
    CHECK_INT(wire_in_fill(&in, &is_eof, &e), 1);
    CHECK_INT(wire_in_next(&in, &m, &e), 1);
    CHECK_INT(m.head.type, WIRE_KICK);
    CHECK_INT(m.head.object, 2);
    CHECK_INT(wire_in_next(&in, &m, &e), 1);
    CHECK_INT(m.head.type, WIRE_MEM_WRITE);
    CHECK_INT(m.n, 6);
    CHECK(m.payload && !memcmp(m.payload, "abcdef", 6));
    wire_msg_free(&m);
    CHECK_INT(wire_in_fill(&in, &is_eof, &e), -ERR_IO);
    CHECK(is_eof);
    close(in.fd);
    wire_in_free(&in);
    buf_free(&b);
}

/* One frame that must be refused, saying `part`. */
static void refused(const WireHead *h, const char *part)
{
    static const char payload[WIRE_FRAME_MIN + 1];
    Buf b = {0};
    WireMsg m;
    Err e = {0};
    put_frame(&b, &(WireHead){.type = WIRE_KICK, .object = 1}, "");
    put_frame(&b, &(WireHead){.length = 1, .type = WIRE_RUN, .flags = WIRE_MORE, .seq = 1}, "x");
    put_frame(&b, h, payload);
    WireIn in;
    wire_in_init(&in, fd_of(b.data, b.n), WIRE_FRAME_MIN);
    bool is_eof;
    int rc = 0;
    while (rc >= 0) {
        rc = wire_in_next(&in, &m, &e);
        rc = rc ? rc : wire_in_fill(&in, &is_eof, &e);
    }
    CHECK_INT(rc, -ERR_PROTO);
    CHECK_HAS(e.text, "frame at offset 33: ");
    CHECK_HAS(e.text, part);
    close(in.fd);
    wire_in_free(&in);
    buf_free(&b);
}

TEST(wire, frames_that_break_the_rules_are_refused_with_their_offset)
{
    refused(&(WireHead){.length = WIRE_FRAME_MIN + 1, .type = WIRE_RUN, .seq = 1}, "payload too long: 4097");
    refused(&(WireHead){.type = 0, .seq = 1}, "unknown type 0");
    refused(&(WireHead){.type = 999, .seq = 1}, "unknown type 999");
    refused(&(WireHead){.type = WIRE_RUN, .flags = 16, .seq = 1}, "unknown flags 16");
    refused(&(WireHead){.type = WIRE_RUN, .flags = WIRE_MORE, .seq = 1}, "empty frame");
    refused(&(WireHead){.type = WIRE_RUN, .seq = 2}, "another message begins");
    refused(&(WireHead){.type = WIRE_BIND, .seq = 1}, "another message begins");
    refused(&(WireHead){.length = 1, .type = WIRE_KICK}, "KICK with a payload");
}

TEST(wire, a_message_of_too_many_frames_is_refused)
{
    static const char payload[WIRE_FRAME_MIN];
    Buf b = {0};
    for (int i = 0; i < 4; i++) {
        put_frame(&b, &(WireHead){.length = sizeof payload, .type = WIRE_RUN, .flags = WIRE_MORE}, payload);
    }
    WireMsg m;
    Err e = {0};
    CHECK_INT(read_all(&b, &m, &e), -ERR_PROTO);
    CHECK_HAS(e.text, "message longer than 12288");
    buf_free(&b);
}

TEST(wire, an_end_inside_a_frame_says_where)
{
    Buf b = {0};
    put_frame(&b, &(WireHead){.length = 10, .type = WIRE_RUN}, "0123456789");
    for (size_t n = 1; n < b.n; n++) {
        Buf cut = {.data = b.data, .n = n};
        WireMsg m;
        Err e = {0};
        char where[64];
        snprintf(where, sizeof where, "inside a message at offset %zu", n);
        CHECK_INT(read_all(&cut, &m, &e), -ERR_IO);
        CHECK_HAS(e.text, where);
    }
    buf_free(&b);
}

TEST(wire, the_document_lists_every_message)
{
    Buf doc = {0};
    Err e = {0};
    CHECK_INT(os_read_file("docs/wire.md", 1 << 20, &doc, &e), 0);
    char row[64];
#define X(name, number)                                                                                                \
    snprintf(row, sizeof row, "| %d | %s |", (number), #name);                                                         \
    CHECK_HAS(buf_text(&doc), row);
    WIRE_MAP(X)
#undef X
#define X(name, reply)                                                                                                 \
    snprintf(row, sizeof row, "%d %s", EXIT_##name, #name);                                                            \
    CHECK_HAS(buf_text(&doc), row);
    EXIT_MAP(X)
#undef X
#define X(name)                                                                                                        \
    snprintf(row, sizeof row, "%d %s", CAP_##name, #name);                                                             \
    CHECK_HAS(buf_text(&doc), row);
    CAP_MAP(X)
#undef X
    static const struct {
        const char *text, *reg; /* as it stands there; the register, of an id */
        RegClass cls;
    } ids[] = {{"1 GPR ", NULL, REG_GPR},         {"2 FP ", NULL, REG_FP},          {"3 VEC ", NULL, REG_VEC},
               {"4 SYS ", NULL, REG_SYS},         {"5 CTL ", NULL, REG_CTL},        {"6 STATE", NULL, REG_STATE},
               {"7 NATIVE", NULL, REG_NATIVE},    {"0x1301000000000005", "t0", 0},  {"0x1305000000000000", "pc", 0},
               {"0x1304000000000141", "sepc", 0}, {"0x1005000000000001", "priv", 0}};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        CHECK_HAS(buf_text(&doc), ids[i].text);
        if (ids[i].cls) {
            CHECK_INT(strtoul(ids[i].text, NULL, 0), ids[i].cls);
        } else {
            CHECK_INT(strtoull(ids[i].text, NULL, 0), reg_find(GUEST_riscv64, ids[i].reg)->id);
        }
    }
    buf_free(&doc);
}
