/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/remote/wire.h"

#include "sim/base/mem.h"
#include "sim/base/os.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ZERO_BLOCK: leaving out less saves bytes that cost next to nothing, and makes the receiver copy the others. */
enum { READ_CHUNK = 8 * 1024, ZERO_BLOCK = 1024, STR_NULL = 0xffff };

const char *wire_name(unsigned type)
{
    switch (type) {
#define X(name, number)                                                                                                \
    case number:                                                                                                       \
        return #name;
        WIRE_MAP(X)
#undef X
    default:
        return "?";
    }
}

static void put_le(uint8_t *out, uint64_t value, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

void wire_head_put(uint8_t out[WIRE_HEADER], const WireHead *h)
{
    put_le(out, h->length, 4);
    put_le(out + 4, h->type, 2);
    put_le(out + 6, h->flags, 2);
    put_le(out + 8, h->seq, 4);
    put_le(out + 12, h->object, 4);
}

WireHead wire_head_get(const uint8_t in[WIRE_HEADER])
{
    Cursor c = cursor_of(in, WIRE_HEADER);
    WireHead h = {.length = (uint32_t)cursor_le(&c, 4)};
    h.type = (uint16_t)cursor_le(&c, 2);
    h.flags = (uint16_t)cursor_le(&c, 2);
    h.seq = (uint32_t)cursor_le(&c, 4);
    h.object = (uint32_t)cursor_le(&c, 4);
    return h;
}

/* ---- reading ---- */
void wire_msg_free(WireMsg *m)
{
    mem_free(m->payload);
    *m = (WireMsg){0};
}

void wire_in_init(WireIn *in, int fd, uint32_t max_frame)
{
    *in = (WireIn){.fd = fd, .max_frame = max_frame, .max_message = WIRE_MESSAGE_MAX};
    in->buf = x_alloc(READ_CHUNK);
}

void wire_in_free(WireIn *in)
{
    mem_free(in->buf);
    wire_msg_free(&in->part);
    *in = (WireIn){.fd = -1};
}

static int reject(const WireIn *in, Err *err, const char *what, uint64_t value)
{
    return err_set(err, ERR_PROTO, "frame at offset %llu: %s %llu", (unsigned long long)in->offset, what,
                   (unsigned long long)value);
}

/* Makes room for one more frame; the frame is bounded, so memory grows no faster than the bytes
 * that come. */
static int part_room(WireIn *in, size_t extra, Err *err)
{
    WireMsg *m = &in->part;
    if (extra > in->max_message - m->n) {
        return reject(in, err, "message longer than", in->max_message);
    }
    if (m->n + extra <= m->cap) {
        return 0;
    }
    size_t cap = m->cap * 2 > m->n + extra ? m->cap * 2 : m->n + extra;
    uint8_t *p = mem_try(1, cap);
    if (!p) {
        return err_set(err, ERR_NOMEM, "frame at offset %llu: no memory for a message of %zu bytes",
                       (unsigned long long)in->offset, cap);
    }
    if (m->n) {
        memcpy(p, m->payload, m->n);
    }
    mem_free(m->payload);
    m->payload = p;
    m->cap = cap;
    return 0;
}

/* What a login, a shell or a crash prints, where frames were expected. */
static int text_check(const WireIn *in, Err *err)
{
    const uint8_t *bytes = in->buf + in->at;
    size_t n = strnlen((const char *)bytes, in->n - in->at), k = 0;
    char line[80];
    for (size_t i = 0; i < n && i < WIRE_HEADER; i++) {
        if ((bytes[i] < ' ' && !strchr("\r\n\t", bytes[i])) || bytes[i] > '~') {
            return 0;
        }
    }
    if (n < WIRE_HEADER) {
        return 0;
    }
    while (k < n && k + 1 < sizeof line && bytes[k] >= ' ' && bytes[k] <= '~') {
        line[k] = (char)bytes[k];
        k++;
    }
    line[k] = 0;
    return err_set(err, ERR_PROTO, "frame at offset %llu: it is none, but text: \"%s\"", (unsigned long long)in->offset,
                   line);
}

static int head_check(const WireIn *in, const WireHead *h, Err *err)
{
    int rc = text_check(in, err);
    if (rc) {
        return rc;
    }
    if (h->length > in->max_frame) {
        return reject(in, err, "payload too long:", h->length);
    }
    if (wire_name(h->type)[0] == '?') {
        return reject(in, err, "unknown type", h->type);
    }
    if (h->flags & ~(unsigned)(WIRE_IS_REPLY | WIRE_IS_ERROR | WIRE_MORE | WIRE_CHAIN)) {
        return reject(in, err, "unknown flags", h->flags);
    }
    if ((h->flags & WIRE_MORE) && !h->length) {
        return reject(in, err, "empty frame of a longer message, type", h->type);
    }
    if (h->type == WIRE_KICK && (h->length || h->flags)) {
        return reject(in, err, "KICK with a payload or flags, length", h->length);
    }
    return 0;
}

/* A header: starts a message or goes on with one. Returns 1 if it was a KICK, whole in itself. */
static int head_take(WireIn *in, WireMsg *out, Err *err)
{
    WireHead h = wire_head_get(in->buf + in->at);
    int rc = head_check(in, &h, err);
    if (rc) {
        return rc;
    }
    WireMsg *m = &in->part;
    if (h.type == WIRE_KICK) {
        *out = (WireMsg){.head = h, .offset = in->offset};
    } else if (!in->has_part) {
        in->part = (WireMsg){.head = h, .offset = in->offset};
        in->has_part = true;
    } else if (h.type != m->head.type || h.seq != m->head.seq || h.object != m->head.object) {
        return reject(in, err, "another message begins inside one of type", m->head.type);
    }
    if (h.type != WIRE_KICK) {
        m->head.flags = h.flags;
        rc = part_room(in, h.length, err);
        if (rc) {
            return rc;
        }
        in->left = h.length;
    }
    in->at += WIRE_HEADER;
    in->offset += WIRE_HEADER;
    return h.type == WIRE_KICK;
}

int wire_in_next(WireIn *in, WireMsg *out, Err *err)
{
    for (;;) {
        size_t have = in->n - in->at;
        if (!in->left) {
            if (have < WIRE_HEADER) {
                return 0;
            }
            int rc = head_take(in, out, err);
            if (rc) {
                return rc;
            }
            have = in->n - in->at;
        }
        size_t k = have < in->left ? have : in->left;
        if (k) {
            memcpy(in->part.payload + in->part.n, in->buf + in->at, k);
            in->part.n += k;
            in->at += k;
            in->offset += k;
            in->left -= k;
        }
        if (in->left) {
            return 0;
        }
        if (!(in->part.head.flags & WIRE_MORE)) {
            *out = in->part;
            in->part = (WireMsg){0};
            in->has_part = false;
            return 1;
        }
    }
}

int wire_in_fill(WireIn *in, bool *is_eof, Err *err)
{
    size_t have = in->n - in->at;
    memmove(in->buf, in->buf + in->at, have);
    in->at = 0;
    in->n = have;
    *is_eof = false;
    ssize_t got = read(in->fd, in->buf + have, READ_CHUNK - have);
    if (got > 0) {
        in->n += (size_t)got;
        return 1;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return 0;
    }
    if (got < 0) {
        return err_native(err, ERR_IO, errno, "the peer is gone");
    }
    *is_eof = !have && !in->has_part;
    return err_set(err, ERR_IO, "the peer closed the connection%s at offset %llu", *is_eof ? "" : " inside a message",
                   (unsigned long long)(in->offset + have));
}

/* ---- writing ---- */
void wire_put_message(Buf *b, const WireHead *h, const Buf *payload, uint32_t max_frame)
{
    size_t at = 0;
    do {
        uint8_t head[WIRE_HEADER];
        WireHead frame = *h;
        frame.length = payload->n - at < max_frame ? (uint32_t)(payload->n - at) : max_frame;
        frame.flags |= at + frame.length < payload->n ? WIRE_MORE : 0;
        wire_head_put(head, &frame);
        buf_bytes(b, head, sizeof head);
        if (frame.length) {
            buf_bytes(b, payload->data + at, frame.length);
        }
        at += frame.length;
    } while (at < payload->n);
}

/* ---- values ---- */
void wire_put_str(Buf *b, const char *s)
{
    if (!s) {
        buf_le(b, STR_NULL, 2);
        return;
    }
    size_t n = strlen(s);
    n = n < WIRE_TEXT_MAX ? n : WIRE_TEXT_MAX;
    buf_le(b, n, 2);
    buf_bytes(b, s, n);
}

char *wire_get_str(Cursor *c, size_t max)
{
    size_t n = (size_t)cursor_le(c, 2);
    if (n == STR_NULL || !cursor_ok(c)) {
        return NULL;
    }
    if (n > max) {
        c->is_short = true;
        return NULL;
    }
    const uint8_t *p = cursor_bytes(c, n);
    if (!p) {
        return NULL;
    }
    char *s = x_alloc(n + 1);
    for (size_t i = 0; i < n; i++) { /* it may be printed: no escape sequences from a peer, no early end */
        s[i] = (p[i] < ' ' || p[i] == 0x7f) ? '?' : (char)p[i];
    }
    return s;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    static const uint8_t zeros[ZERO_BLOCK];
    return !memcmp(p, zeros, n);
}

/* Length of the run of blocks from `at` that are (not) zero. */
static size_t run_of(const uint8_t *p, size_t n, size_t at, bool zero)
{
    size_t start = at;
    while (at < n) {
        size_t k = n - at < ZERO_BLOCK ? n - at : ZERO_BLOCK;
        if (is_zero(p + at, k) != zero) {
            break;
        }
        at += k;
    }
    return at - start;
}

void wire_put_bulk(Buf *b, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    buf_le(b, n, 8);
    for (size_t at = 0; at < n;) {
        size_t zeros = run_of(p, n, at, true);
        size_t literal = run_of(p, n, at + zeros, false);
        buf_le(b, zeros, 4);
        buf_le(b, literal, 4);
        buf_bytes(b, p + at + zeros, literal);
        at += zeros + literal;
    }
}

/* The runs, after the total. is_clean: out is zero already, so that untouched pages stay so. */
static bool get_runs(Cursor *c, uint8_t *out, size_t n, bool is_clean)
{
    for (size_t at = 0; at < n;) {
        size_t zeros = (size_t)cursor_le(c, 4), literal = (size_t)cursor_le(c, 4);
        if (!cursor_ok(c) || (!zeros && !literal) || zeros > n - at || literal > n - at - zeros) {
            c->is_short = true;
            return false;
        }
        const uint8_t *p = cursor_bytes(c, literal);
        if (!p) {
            return false;
        }
        if (!is_clean) {
            memset(out + at, 0, zeros);
        }
        memcpy(out + at + zeros, p, literal);
        at += zeros + literal;
    }
    return true;
}

bool wire_get_bulk_into(Cursor *c, void *out, size_t n)
{
    uint64_t total = cursor_le(c, 8);
    if (!cursor_ok(c) || total != n) {
        c->is_short = true;
        return false;
    }
    return get_runs(c, out, n, false);
}

int wire_get_bulk(Cursor *c, size_t max, WireBulk *out)
{
    *out = (WireBulk){0};
    uint64_t total = wire_get_max(c, 8, max);
    if (!cursor_ok(c)) {
        return -ERR_PROTO;
    }
    Cursor runs = *c;
    if (total && cursor_le(&runs, 4) == 0 && cursor_le(&runs, 4) == total) {
        *c = runs;
        *out = (WireBulk){.bytes = cursor_bytes(c, (size_t)total), .n = (size_t)total};
        return out->bytes ? 0 : -ERR_PROTO;
    }
    uint8_t *p = mem_try(1, (size_t)total);
    if (!p) {
        return -ERR_NOMEM;
    }
    if (!get_runs(c, p, (size_t)total, true)) {
        mem_free(p);
        return -ERR_PROTO;
    }
    *out = (WireBulk){.bytes = p, .n = (size_t)total, .made = p};
    return 0;
}

void wire_put_err(Buf *b, const Err *e, uint32_t bad)
{
    buf_le(b, (uint64_t)e->code, 4);
    buf_le(b, (uint64_t)e->native, 8);
    wire_put_str(b, e->feature);
    wire_put_str(b, e->module);
    wire_put_str(b, e->text);
    buf_le(b, bad, 4);
}

static void get_text(Cursor *c, char *out, size_t size)
{
    char *s = wire_get_str(c, WIRE_TEXT_MAX);
    size_t n = s ? strlen(s) : 0;
    n = n < size ? n : size - 1;
    if (n) {
        memcpy(out, s, n);
    }
    out[n] = 0;
    mem_free(s);
}

void wire_get_err(Cursor *c, Err *e, uint32_t *bad)
{
    *e = (Err){0};
    uint32_t code = (uint32_t)cursor_le(c, 4);
    e->native = (int64_t)cursor_le(c, 8);
    /* A newer peer may know more errors; its sentence is still of use. */
    e->code = code >= 1 && code < ERR_COUNT ? (int)code : ERR_HOST;
    get_text(c, e->feature, sizeof e->feature);
    get_text(c, e->module, sizeof e->module);
    get_text(c, e->text, sizeof e->text);
    *bad = (uint32_t)cursor_le(c, 4);
}

void wire_put_exit(Buf *b, const VmExit *e)
{
    buf_le(b, (uint64_t)e->kind, 2);
    buf_le(b, (uint64_t)e->reply, 1);
    buf_le(b, (uint64_t)(e->is_signed ? 1 : 0) | (e->is_completed ? 2 : 0), 1);
    buf_le(b, e->valid, 4);
    const uint8_t small[] = {e->vcpu, e->insn_len, e->size_bytes, e->reg_size_bytes};
    buf_bytes(b, small, sizeof small);
    buf_le(b, e->piece, 2);
    buf_le(b, e->npieces, 2);
    const uint64_t words[] = {e->insns,          e->pc_before, e->pc_after, e->native.code, e->native.qual[0],
                              e->native.qual[1], e->reg,       e->addr,     e->value,       e->arg[0],
                              e->arg[1],         e->arg[2],    e->arg[3],   e->arg[4],      e->arg[5]};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        buf_le(b, words[i], 8);
    }
}

void wire_get_exit(Cursor *c, VmExit *e)
{
    *e = (VmExit){0};
    e->kind = (ExitKind)wire_get_max(c, 2, EXIT_COUNT - 1);
    e->reply = (ReplyKind)wire_get_max(c, 1, REPLY_VALUE);
    unsigned flags = (unsigned)wire_get_max(c, 1, 3);
    e->is_signed = flags & 1;
    e->is_completed = flags & 2;
    e->valid = (uint32_t)cursor_le(c, 4);
    e->vcpu = (uint8_t)cursor_le(c, 1);
    e->insn_len = (uint8_t)cursor_le(c, 1);
    e->size_bytes = (uint8_t)wire_get_max(c, 1, 8);
    e->reg_size_bytes = (uint8_t)wire_get_max(c, 1, 8);
    e->piece = (uint16_t)cursor_le(c, 2);
    e->npieces = (uint16_t)cursor_le(c, 2);
    uint64_t *words[] = {&e->insns,          &e->pc_before, &e->pc_after, &e->native.code, &e->native.qual[0],
                         &e->native.qual[1], &e->reg,       &e->addr,     &e->value,       &e->arg[0],
                         &e->arg[1],         &e->arg[2],    &e->arg[3],   &e->arg[4],      &e->arg[5]};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        *words[i] = cursor_le(c, 8);
    }
}

bool wire_get_bool(Cursor *c)
{
    return wire_get_max(c, 1, 1) != 0;
}

uint64_t wire_get_max(Cursor *c, size_t nbytes, uint64_t max)
{
    uint64_t value = cursor_le(c, nbytes);
    if (value > max) {
        c->is_short = true;
        return 0;
    }
    return value;
}

bool wire_done(const Cursor *c)
{
    return cursor_ok(c) && !cursor_left(c);
}
