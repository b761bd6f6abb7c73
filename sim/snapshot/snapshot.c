/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/snapshot/snapshot.h"

#include "sim/base/hash.h"

#include <assert.h>
#include <string.h>

enum { HEADER_BYTES = 24, SECTION_BYTES = 16, DIGEST_BYTES = 32 };
static const char magic[] = "CONFSNAP";
enum { MAGIC_BYTES = sizeof magic - 1 };

static void patch(Buf *b, size_t at, uint64_t value, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++) {
        b->data[at + i] = (char)(value >> 8 * i & 0xff);
    }
}

static void digest(const uint8_t *bytes, size_t n, uint8_t out[DIGEST_BYTES])
{
    Sha256 sha;
    sha256_init(&sha);
    sha256_add(&sha, bytes, n);
    sha256_end(&sha, out);
}

/* ---- write ---- */
SnapWriter snap_begin(Buf *out)
{
    SnapWriter w = {.out = out, .start = out->n};
    buf_bytes(out, magic, MAGIC_BYTES);
    buf_le(out, SNAP_VERSION, 4);
    buf_le(out, 0, 4);
    buf_le(out, 0, 8);
    return w;
}

static void section_close(SnapWriter *w)
{
    if (w->section) {
        patch(w->out, w->section + 8, w->out->n - w->section - SECTION_BYTES, 8);
    }
}

Buf *snap_section(SnapWriter *w, uint32_t tag, uint32_t number)
{
    assert(w->nsections < SNAP_MAX_SECTIONS);
    section_close(w);
    w->section = w->out->n;
    w->nsections++;
    buf_le(w->out, tag, 4);
    buf_le(w->out, number, 4);
    buf_le(w->out, 0, 8);
    return w->out;
}

void snap_end(SnapWriter *w)
{
    uint8_t sum[DIGEST_BYTES];
    section_close(w);
    patch(w->out, w->start + 12, w->nsections, 4);
    patch(w->out, w->start + 16, w->out->n - w->start + DIGEST_BYTES, 8);
    digest((const uint8_t *)w->out->data + w->start, w->out->n - w->start, sum);
    buf_bytes(w->out, sum, sizeof sum);
}

/* ---- read ---- */
typedef struct {
    uint32_t tag, number;
    Cursor body;
} Section;

static Cursor sections_of(const SnapReader *r)
{
    return cursor_of(r->bytes + HEADER_BYTES, r->n - HEADER_BYTES);
}

/* false: cut. */
static bool section_next(Cursor *c, Section *out)
{
    out->tag = (uint32_t)cursor_le(c, 4);
    out->number = (uint32_t)cursor_le(c, 4);
    uint64_t n = cursor_le(c, 8);
    const uint8_t *bytes = cursor_ok(c) ? cursor_bytes(c, n) : NULL;
    if (!bytes) {
        return false;
    }
    out->body = cursor_of(bytes, n);
    return true;
}

/* The tag as text, for errors: bytes that do not print are dots. */
typedef struct {
    char text[5];
} TagText;

static TagText tag_text(uint32_t tag)
{
    TagText t = {{0}};
    for (unsigned i = 0; i < 4; i++) {
        char c = (char)(tag >> 8 * i & 0xff);
        t.text[i] = (char)(c > ' ' && c < 127 ? c : '.');
    }
    return t;
}

static bool section_get(const SnapReader *r, uint32_t limit, uint32_t tag, uint32_t number, Cursor *body)
{
    Cursor c = sections_of(r);
    Section section;
    for (uint32_t i = 0; i < limit && section_next(&c, &section); i++) {
        if (section.tag == tag && section.number == number) {
            *body = section.body;
            return true;
        }
    }
    return false;
}

static int sections_check(const SnapReader *r, Err *err)
{
    Cursor c = sections_of(r), other;
    for (uint32_t i = 0; i < r->nsections; i++) {
        Section section;
        size_t at = r->n - cursor_left(&c);
        if (!section_next(&c, &section)) {
            return err_set(err, ERR_INVAL, "snapshot: offset 0x%zx: section %u of %u does not end inside", at, i,
                           r->nsections);
        }
        if (section_get(r, i, section.tag, section.number, &other)) {
            return err_set(err, ERR_INVAL, "snapshot: offset 0x%zx: a second section %s %u", at,
                           tag_text(section.tag).text, section.number);
        }
    }
    if (cursor_left(&c)) {
        return err_set(err, ERR_INVAL, "snapshot: offset 0x%zx: %zu bytes behind the last section",
                       r->n - cursor_left(&c), cursor_left(&c));
    }
    return 0;
}

static int header_check(SnapReader *r, size_t n, Err *err)
{
    if (n < HEADER_BYTES + DIGEST_BYTES || memcmp(r->bytes, magic, MAGIC_BYTES) != 0) {
        return err_set(err, ERR_INVAL, "snapshot: offset 0x0: no snapshot, expected \"%s\" and at least %d bytes",
                       magic, HEADER_BYTES + DIGEST_BYTES);
    }
    Cursor c = cursor_of(r->bytes + MAGIC_BYTES, HEADER_BYTES - MAGIC_BYTES);
    uint64_t version = cursor_le(&c, 4);
    r->nsections = (uint32_t)cursor_le(&c, 4);
    uint64_t length = cursor_le(&c, 8);
    if (version != SNAP_VERSION) {
        return err_set(err, ERR_VERSION, "snapshot: offset 0x8: version %llu, expected %d", (unsigned long long)version,
                       SNAP_VERSION);
    }
    if (length != n) {
        return err_set(err, ERR_INVAL, "snapshot: offset 0x10: length %llu, expected the %zu bytes that there are",
                       (unsigned long long)length, n);
    }
    if (r->nsections > SNAP_MAX_SECTIONS) {
        return err_set(err, ERR_INVAL, "snapshot: offset 0xc: %u sections, expected at most %d", r->nsections,
                       SNAP_MAX_SECTIONS);
    }
    return 0;
}

int snap_open(SnapReader *r, const void *bytes, size_t n, Err *err)
{
    uint8_t sum[DIGEST_BYTES];
    *r = (SnapReader){.bytes = bytes};
    int rc = header_check(r, n, err);
    if (rc) {
        return rc;
    }
    r->n = n - DIGEST_BYTES;
    digest(r->bytes, r->n, sum);
    if (memcmp(sum, r->bytes + r->n, sizeof sum) != 0) {
        return err_set(err, ERR_INVAL, "snapshot: offset 0x%zx: the checksum is not that of what is before it", r->n);
    }
    return sections_check(r, err);
}

int snap_find(const SnapReader *r, uint32_t tag, uint32_t number, Cursor *body, Err *err)
{
    return section_get(r, r->nsections, tag, number, body)
               ? 0
               : err_set(err, ERR_NOENT, "snapshot: there is no section %s %u", tag_text(tag).text, number);
}

size_t snap_count(const SnapReader *r, uint32_t tag)
{
    Cursor c = sections_of(r);
    Section section;
    size_t n = 0;
    for (uint32_t i = 0; i < r->nsections && section_next(&c, &section); i++) {
        n += section.tag == tag;
    }
    return n;
}

int snap_done(const Cursor *body, uint32_t tag, uint32_t number, Err *err)
{
    if (!cursor_ok(body)) {
        return err_set(err, ERR_INVAL, "snapshot: section %s %u is too short", tag_text(tag).text, number);
    }
    if (cursor_left(body)) {
        return err_set(err, ERR_INVAL, "snapshot: section %s %u has %zu bytes too many", tag_text(tag).text, number,
                       cursor_left(body));
    }
    return 0;
}

/* ---- RAM ---- */
static bool page_is_zero(const uint8_t *page)
{
    return !page[0] && !memcmp(page, page + 1, SPACE_PAGE_BYTES - 1);
}

static SpaceRam ram_of(const Space *s, uint32_t ram)
{
    SpaceRam rams[SPACE_MAX_RAMS];
    size_t n = space_rams(s, rams, SPACE_MAX_RAMS);
    assert(ram < n);
    (void)n;
    return rams[ram];
}

/* Of touched pages [at, end): runs that are not zero. */
static void put_runs(Buf *out, const uint8_t *host, uint64_t at, uint64_t end)
{
    while (at < end) {
        uint64_t last = at;
        while (last < end && !page_is_zero(host + last * SPACE_PAGE_BYTES)) {
            last++;
        }
        if (last > at) {
            buf_le(out, at, 8);
            buf_le(out, last - at, 8);
            buf_bytes(out, host + at * SPACE_PAGE_BYTES, (last - at) * SPACE_PAGE_BYTES);
        }
        at = last + 1; /* page `last` is zero, or the end */
    }
}

void snap_put_ram(Buf *out, const Space *s, uint32_t ram)
{
    SpaceRam r = ram_of(s, ram);
    buf_le(out, r.size_bytes, 8);
    for (uint64_t first, n, at = 0; space_ram_touched(s, ram, at, &first, &n); at = first + n) {
        put_runs(out, r.host, first, first + n);
    }
    buf_le(out, 0, 8);
    buf_le(out, 0, 8);
}

typedef struct {
    uint64_t first, n;
    const uint8_t *bytes;
} PageRun;

/* false: the end (n is 0, bytes NULL) or malformed (bytes NULL, n is not 0). */
static bool run_next(Cursor *c, PageRun *out)
{
    out->first = cursor_le(c, 8);
    out->n = cursor_le(c, 8);
    bool can_be = cursor_ok(c) && out->n && out->n <= cursor_left(c) / SPACE_PAGE_BYTES;
    out->bytes = can_be ? cursor_bytes(c, out->n * SPACE_PAGE_BYTES) : NULL;
    return out->bytes != NULL;
}

int snap_check_ram(Cursor body, uint64_t size_bytes, Err *err)
{
    uint64_t size = cursor_le(&body, 8), at = 0, npages = size_bytes / SPACE_PAGE_BYTES;
    PageRun run;
    if (!cursor_ok(&body) || size != size_bytes) {
        return err_set(err, ERR_INVAL, "snapshot: RAM of 0x%llx bytes, expected 0x%llx", (unsigned long long)size,
                       (unsigned long long)size_bytes);
    }
    while (run_next(&body, &run)) {
        if (run.first < at || run.first > npages || run.n > npages - run.first) {
            return err_set(err, ERR_INVAL, "snapshot: RAM: %llu pages from page %llu, expected ascending runs of %llu",
                           (unsigned long long)run.n, (unsigned long long)run.first, (unsigned long long)npages);
        }
        at = run.first + run.n;
    }
    if (!cursor_ok(&body) || run.n || run.first || cursor_left(&body)) {
        return err_set(err, ERR_INVAL, "snapshot: RAM: the list of pages is not ended where its section ends");
    }
    return 0;
}

int snap_get_ram(Cursor body, Space *s, uint32_t ram, Err *err)
{
    PageRun run;
    int rc = snap_check_ram(body, ram_of(s, ram).size_bytes, err);
    rc = rc ? rc : space_ram_clear(s, ram, err);
    if (rc) {
        return rc;
    }
    (void)cursor_le(&body, 8);
    while (run_next(&body, &run)) {
        space_ram_put(s, ram, run.first * SPACE_PAGE_BYTES, run.bytes, run.n * SPACE_PAGE_BYTES);
    }
    return 0;
}
