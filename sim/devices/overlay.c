/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/devices/overlay.h"

#include "sim/base/mem.h"
#include "sim/base/os.h"

#include <string.h>

enum { LEAF_PAGES = 512 };
typedef struct {
    uint8_t *page[LEAF_PAGES]; /* NULL: never written; ZEROES */
} Leaf;
struct Overlay {
    uint64_t npages;
    size_t nleaves;
    Leaf **leaf; /* of untouched memory until it is used */
};
static const uint8_t ZEROES[OVERLAY_PAGE_BYTES];

static bool is_zeroes(const uint8_t *page)
{
    return page == ZEROES;
}

static uint64_t pages_of(uint64_t size_bytes)
{
    return (size_bytes + OVERLAY_PAGE_BYTES - 1) / OVERLAY_PAGE_BYTES;
}

Overlay *overlay_new(uint64_t disk_size_bytes)
{
    Overlay *o = x_alloc(sizeof *o);
    o->npages = pages_of(disk_size_bytes);
    o->nleaves = (size_t)((o->npages + LEAF_PAGES - 1) / LEAF_PAGES);
    o->leaf = os_pages_new(o->nleaves * sizeof *o->leaf);
    return o;
}

void overlay_free(Overlay *o)
{
    if (!o) {
        return;
    }
    for (size_t i = 0; i < o->nleaves; i++) {
        for (size_t k = 0; o->leaf[i] && k < LEAF_PAGES; k++) {
            if (!is_zeroes(o->leaf[i]->page[k])) {
                mem_free(o->leaf[i]->page[k]);
            }
        }
        mem_free(o->leaf[i]);
    }
    os_pages_free(o->leaf, o->nleaves * sizeof *o->leaf);
    mem_free(o);
}

const uint8_t *overlay_find(const Overlay *o, uint64_t page)
{
    const Leaf *leaf = o->leaf[page / LEAF_PAGES];
    return leaf ? leaf->page[page % LEAF_PAGES] : NULL;
}

static uint8_t **place(Overlay *o, uint64_t page)
{
    Leaf **leaf = &o->leaf[page / LEAF_PAGES];
    if (!*leaf) {
        *leaf = mem_try(1, sizeof **leaf);
    }
    return *leaf ? &(*leaf)->page[page % LEAF_PAGES] : NULL;
}

uint8_t *overlay_page(Overlay *o, uint64_t page, bool *is_new)
{
    uint8_t **at = place(o, page);
    *is_new = at && !*at;
    if (at && (!*at || is_zeroes(*at))) {
        uint8_t *fresh = mem_try(1, OVERLAY_PAGE_BYTES);
        *at = fresh ? fresh : *at;
        return fresh;
    }
    return at ? *at : NULL;
}

bool overlay_zero(Overlay *o, uint64_t page)
{
    uint8_t **at = place(o, page);
    if (at && !is_zeroes(*at)) {
        mem_free(*at);
        *at = (uint8_t *)(uintptr_t)ZEROES; /* never written through: overlay_page replaces it */
    }
    return at != NULL;
}

/* ---- as bytes: number of pages, then of each in order {number << 1 | is all zeroes, its bytes if not} ---- */
void overlay_save(const Overlay *o, Buf *out)
{
    uint64_t n = 0;
    size_t at = out->n;
    buf_le(out, 0, 8);
    for (uint64_t i = 0; i < o->npages; i++) {
        if (!o->leaf[i / LEAF_PAGES]) {
            i += LEAF_PAGES - 1;
            continue;
        }
        const uint8_t *page = overlay_find(o, i);
        if (page) {
            n++;
            buf_le(out, i << 1 | is_zeroes(page), 8);
            buf_bytes(out, page, is_zeroes(page) ? 0 : OVERLAY_PAGE_BYTES);
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        out->data[at + i] = (char)(n >> 8 * i);
    }
}

static int page_read(Cursor *in, Overlay *o, uint64_t *next, Err *err)
{
    uint64_t word = cursor_le(in, 8), number = word >> 1;
    bool is_zero = word & 1, is_new;
    const uint8_t *bytes = is_zero ? ZEROES : cursor_bytes(in, OVERLAY_PAGE_BYTES);
    if (!cursor_ok(in) || number < *next || number >= o->npages) {
        return err_set(err, ERR_INVAL, "overlay: page %llu of a disk of %llu is cut or out of order",
                       (unsigned long long)number, (unsigned long long)o->npages);
    }
    *next = number + 1;
    uint8_t *page = is_zero ? NULL : overlay_page(o, number, &is_new);
    if (is_zero ? !overlay_zero(o, number) : !page) {
        return err_set(err, ERR_NOMEM, "overlay: page %llu cannot be held", (unsigned long long)number);
    }
    if (page) {
        memcpy(page, bytes, OVERLAY_PAGE_BYTES);
    }
    return 0;
}

int overlay_read(Cursor *in, uint64_t disk_size_bytes, Overlay **out, Err *err)
{
    Overlay *o = overlay_new(disk_size_bytes);
    uint64_t n = cursor_le(in, 8), next = 0;
    int rc = cursor_ok(in) ? 0 : err_set(err, ERR_INVAL, "overlay: its length is missing");
    for (uint64_t i = 0; !rc && i < n; i++) {
        rc = page_read(in, o, &next, err);
    }
    if (rc) {
        overlay_free(o);
        return rc;
    }
    *out = o;
    return 0;
}
