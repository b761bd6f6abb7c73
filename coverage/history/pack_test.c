/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage/history/history_int.h"
#include "sim/base/test.h"

TEST(pack, durations_are_near_and_stay_what_they_are)
{
    for (unsigned bits = 0; bits < 64; bits++) {
        for (uint64_t low = 0; low < 5; low++) {
            uint64_t ns = (UINT64_C(1) << bits) + (low * ((UINT64_C(1) << bits) - 1)) / 5;
            uint64_t got = unpack_duration(pack_duration(ns));
            uint64_t off = got > ns ? got - ns : ns - got;
            CHECK(off <= ns / 2000 || (ns < 2048 && !off));
            CHECK_INT(unpack_duration(pack_duration(got)), got);
        }
    }
    uint64_t last = 0;
    for (unsigned code = 1; code <= pack_duration(UINT64_MAX); code++) { /* their order is that of the codes */
        uint64_t ns = unpack_duration((uint16_t)code);
        CHECK(ns > last);
        last = ns;
    }
}

TEST(pack, chunks_are_checked)
{
    Buf raw = {0}, chunk = {0};
    uint8_t *out = NULL;
    size_t n = 0;
    Err err = {0};
    for (int i = 0; i < 1000; i++) {
        buf_char(&raw, (char)(i / 100));
    }
    pack_chunk(&chunk, &raw);
    CHECK(chunk.n < 100);
    CHECK_INT(unpack_chunk(chunk.data, chunk.n, "x", &out, &n, &err), 0);
    CHECK(n == raw.n && !memcmp(out, raw.data, n));
    mem_free(out);
    size_t nwrong = 0;
    for (size_t i = 0; i < chunk.n; i++) {
        chunk.data[i] ^= 0x10;
        int rc = unpack_chunk(chunk.data, chunk.n, "x", &out, &n, &err);
        nwrong += rc == -ERR_PROTO;
        if (!rc) { /* a bit of padding */
            CHECK(n == raw.n && !memcmp(out, raw.data, n));
            mem_free(out);
        }
        chunk.data[i] ^= 0x10;
    }
    CHECK(nwrong + 1 >= chunk.n);
    CHECK_INT(unpack_chunk(chunk.data, 5, "x", &out, &n, &err), -ERR_PROTO);
    CHECK_STR(err.text, "x: damaged: no chunk");
    buf_free(&raw);
    buf_free(&chunk);
}

TEST(pack, columns_are_checked)
{
    static const int64_t IDS[] = {3, 4, 900, INT64_MAX};
    static const int64_t SPARSE[] = {0, 0, 7, 0};
    static const PackCounts COUNTS[] = {{1, 2, 3}, {UINT64_MAX, 0, UINT32_MAX}};
    Buf b = {0};
    int64_t *ids = NULL, sparse[4];
    PackCounts counts[2];
    size_t n = 0;
    pack_ids(&b, IDS, 4);
    CHECK_INT(unpack_ids((uint8_t *)b.data, b.n, "x", &ids, &n, NULL), 0);
    CHECK(n == 4 && !memcmp(ids, IDS, sizeof IDS));
    mem_free(ids);
    CHECK_INT(unpack_ids((uint8_t *)b.data, b.n - 1, "x", &ids, &n, NULL), -ERR_PROTO);
    buf_clear(&b);
    pack_sparse(&b, SPARSE, 4);
    CHECK_INT(unpack_sparse((uint8_t *)b.data, b.n, "x", sparse, 4, NULL), 0);
    CHECK(!memcmp(sparse, SPARSE, sizeof SPARSE));
    CHECK_INT(unpack_sparse((uint8_t *)b.data, b.n, "x", sparse, 3, NULL), -ERR_PROTO);
    CHECK_INT(unpack_sparse((uint8_t *)b.data, b.n - 1, "x", sparse, 4, NULL), -ERR_PROTO);
    buf_clear(&b);
    pack_counts(&b, COUNTS, 2);
    CHECK_INT(unpack_counts((uint8_t *)b.data, b.n, "x", counts, 2, NULL), 0);
    CHECK(counts[1].exits == UINT64_MAX && counts[1].retries == UINT32_MAX && counts[0].transitions == 2);
    CHECK_INT(unpack_counts((uint8_t *)b.data, b.n, "x", counts, 1, NULL), -ERR_PROTO);
    buf_free(&b);
}

TEST(pack, an_url_is_shown_without_its_password)
{
    Buf b = {0};
    sql_show_url("postgresql://me:secret@host:5432/db?sslkey=x", &b);
    CHECK_STR(buf_text(&b), "postgresql://me@host:5432/db");
    buf_clear(&b);
    sql_show_url("postgres:///db?host=/run/x&password=secret", &b);
    CHECK_STR(buf_text(&b), "postgres:///db");
    buf_clear(&b);
    sql_show_url("postgresql://host/a:b@c", &b);
    CHECK_STR(buf_text(&b), "postgresql://host/a:b@c");
    buf_free(&b);
}
