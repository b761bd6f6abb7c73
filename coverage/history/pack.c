/* SPDX-License-Identifier: Apache-2.0
 * pack.c - a run's results as columns of bytes. What most runs have alike (which cases, their status, their counts) is a chunk that
 * they share; what differs each time (durations) is as short as it can be without hurting anyone. What is read here may have
 * been written by anybody: every length is checked. */
#include "coverage/history/history_int.h"

#include <inttypes.h>
#include <zlib.h>

enum { HEAD = 9, RAW = 0, DEFLATED = 1 };

void pack_chunk(Buf *out, const Buf *raw)
{
    uLongf n = compressBound((uLong)raw->n);
    unsigned char *packed = x_alloc(n);
    bool is_shorter = raw->n && compress2(packed, &n, (const Bytef *)buf_text(raw), (uLong)raw->n, 6) == Z_OK &&
                      n < raw->n - raw->n / 4; /* not for a few bytes: reading costs */
    buf_le(out, crc32(0, (const Bytef *)buf_text(raw), (uInt)raw->n), 4);
    buf_le(out, raw->n, 4);
    buf_le(out, is_shorter ? DEFLATED : RAW, 1);
    buf_bytes(out, is_shorter ? (const char *)packed : buf_text(raw), is_shorter ? n : raw->n);
    mem_free(packed);
}

int unpack_chunk(const void *bytes, size_t n, const char *what, uint8_t **raw, size_t *nraw, Err *err)
{
    Cursor c = cursor_of(bytes, n);
    uint32_t crc = (uint32_t)cursor_le(&c, 4);
    size_t size = cursor_le(&c, 4);
    uint8_t method = (uint8_t)cursor_le(&c, 1);
    /* deflate makes at most 1032 bytes of one */
    if (!cursor_ok(&c) || method > DEFLATED || size > PACK_MAX_BYTES || size / 1032 > n ||
        (method == RAW && size != n - HEAD)) {
        return err_set(err, ERR_PROTO, "%s: damaged: no chunk", what);
    }
    uint8_t *out = mem_try(size + 1, 1);
    if (!out) {
        return err_set(err, ERR_NOMEM, "%s: no memory for %zu bytes", what, size);
    }
    uLongf got = (uLongf)size;
    bool is_ok = true;
    if (method == RAW) {
        memcpy(out, c.at, size);
    } else {
        is_ok = uncompress(out, &got, c.at, (uLong)cursor_left(&c)) == Z_OK && got == size;
    }
    if (!is_ok || crc32(0, out, (uInt)size) != crc) {
        mem_free(out);
        return err_set(err, ERR_PROTO, "%s: damaged: its checksum is wrong", what);
    }
    *raw = out;
    *nraw = size;
    return 0;
}

void pack_varint(Buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        buf_char(out, (char)(v | 0x80));
    }
    buf_char(out, (char)v);
}

uint64_t unpack_varint(Cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *b = cursor_bytes(c, 1);
        if (!b) {
            return 0;
        }
        v |= (uint64_t)(*b & 0x7f) << shift;
        if (!(*b & 0x80)) {
            return v;
        }
    }
    c->is_short = true;
    return 0;
}

/* 11 bits of mantissa, the first of them implied, behind the number of bits that were dropped; below 2048 the number itself. */
enum { MANTISSA = 1024 };

uint16_t pack_duration(uint64_t ns)
{
    if (ns < 2 * MANTISSA) {
        return (uint16_t)ns;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 10;
    return (uint16_t)(2 * MANTISSA + (shift - 1) * MANTISSA + ((ns >> shift) - MANTISSA));
}

uint64_t unpack_duration(uint16_t code)
{
    if (code < 2 * MANTISSA) {
        return code;
    }
    unsigned shift = (code - 2 * MANTISSA) / MANTISSA + 1;
    uint64_t mantissa = MANTISSA + (code - 2 * MANTISSA) % MANTISSA;
    return shift > 53 ? UINT64_MAX
                      : (mantissa << shift) + (UINT64_C(1) << (shift - 1)); /* the middle of what it stands for */
}

void pack_ids(Buf *out, const int64_t *ids, size_t n)
{
    int64_t last = 0;
    pack_varint(out, n);
    for (size_t i = 0; i < n; i++) {
        pack_varint(out, (uint64_t)(ids[i] - last));
        last = ids[i];
    }
}

static int damaged(const char *what, const char *why, Err *err)
{
    return err_set(err, ERR_PROTO, "%s: damaged: %s", what, why);
}

int unpack_ids(const uint8_t *raw, size_t nraw, const char *what, int64_t **ids, size_t *nids, Err *err)
{
    Cursor c = cursor_of(raw, nraw);
    uint64_t n = unpack_varint(&c), last = 0;
    if (!cursor_ok(&c) || n > PACK_MAX_ITEMS || n > cursor_left(&c)) {
        return damaged(what, "a wrong number of items", err);
    }
    int64_t *out = mem_try(n + 1, sizeof *out);
    if (!out) {
        return err_set(err, ERR_NOMEM, "%s: no memory for %" PRIu64 " items", what, n);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t gap = unpack_varint(&c);
        bool is_wrong = !cursor_ok(&c) || !gap || gap > (uint64_t)INT64_MAX - last;
        if (is_wrong) {
            mem_free(out);
            return damaged(what, "items are not ascending", err);
        }
        last += gap;
        out[i] = (int64_t)last;
    }
    if (cursor_left(&c)) {
        mem_free(out);
        return damaged(what, "bytes behind the last item", err);
    }
    *ids = out;
    *nids = n;
    return 0;
}

void pack_sparse(Buf *out, const int64_t *values, size_t n)
{
    size_t from = 0;
    pack_varint(out, n);
    for (size_t i = 0; i < n; i++) {
        if (values[i]) {
            pack_varint(out, i - from);
            pack_varint(out, (uint64_t)values[i]);
            from = i + 1;
        }
    }
}

int unpack_sparse(const uint8_t *raw, size_t nraw, const char *what, int64_t *out, size_t n, Err *err)
{
    Cursor c = cursor_of(raw, nraw);
    size_t at = 0;
    memset(out, 0, n * sizeof *out);
    if (unpack_varint(&c) != n) {
        return damaged(what, "a column does not fit its cases", err);
    }
    while (cursor_left(&c)) {
        uint64_t gap = unpack_varint(&c), value = unpack_varint(&c);
        if (!cursor_ok(&c) || gap >= n - at || !value || value > INT64_MAX) {
            return damaged(what, "a column does not fit its cases", err);
        }
        out[at + gap] = (int64_t)value;
        at += gap + 1;
        if (at == n) {
            break;
        }
    }
    return cursor_left(&c) ? damaged(what, "bytes behind the last case", err) : 0;
}

void pack_counts(Buf *out, const PackCounts *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pack_varint(out, counts[i].exits);
    }
    for (size_t i = 0; i < n; i++) {
        pack_varint(out, counts[i].transitions);
    }
    for (size_t i = 0; i < n; i++) {
        pack_varint(out, counts[i].retries);
    }
}

int unpack_counts(const uint8_t *raw, size_t nraw, const char *what, PackCounts *out, size_t n, Err *err)
{
    Cursor c = cursor_of(raw, nraw);
    for (size_t i = 0; i < n; i++) {
        out[i].exits = unpack_varint(&c);
    }
    for (size_t i = 0; i < n; i++) {
        out[i].transitions = unpack_varint(&c);
    }
    for (size_t i = 0; i < n; i++) {
        out[i].retries = (uint32_t)unpack_varint(&c);
    }
    return !cursor_ok(&c) || cursor_left(&c) ? damaged(what, "a column does not fit its cases", err) : 0;
}
