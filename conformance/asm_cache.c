/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/asm_cache.h"
#include "conformance/llvm/conf_llvm.h"
#include "sim/base/hash.h"
#include "sim/base/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A change of what asm.c makes of the same text needs a new number: old files are then never asked
 * for. */
static const char format[] = "conf asm 2, LLVM " CONF_LLVM_VERSION;
static const char magic[8] = {'C', 'O', 'N', 'F', 'A', 'S', 'M', '2'};
enum { MAX_FILE = 256 << 20, MAX_LABEL = 65535 };

static void add_number(Sha256 *s, uint64_t v)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(v >> (8 * i));
    }
    sha256_add(s, bytes, sizeof bytes);
}

void asm_cache_key(const AsmInput *in, uint8_t key[32])
{
    Sha256 s;
    sha256_init(&s);
    sha256_add(&s, format, sizeof format);
    add_number(&s, CONF_LLVM_ABI);
    add_number(&s, (uint64_t)in->guest);
    add_number(&s, in->org);
    add_number(&s, in->ndefs);
    for (size_t i = 0; i < in->ndefs; i++) {
        sha256_add(&s, in->defs[i].name, strlen(in->defs[i].name) + 1);
        add_number(&s, in->defs[i].value);
    }
    add_number(&s, in->n);
    sha256_add(&s, in->text, in->n);
    sha256_end(&s, key);
}

static bool make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p == '/') {
            *p = 0;
            bool is_ok = !mkdir(path, 0700) || errno == EEXIST;
            *p = '/';
            if (!is_ok) {
                return false;
            }
        }
    }
    return true;
}

bool asm_cache_path(const uint8_t key[32], bool is_made, Buf *path)
{
    const char *off = getenv("CONF_NO_CACHE");
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (off && *off && strcmp(off, "0")) {
        return false;
    }
    if (xdg && *xdg == '/') {
        buf_str(path, xdg);
    } else if (home && *home == '/') {
        buf_printf(path, "%s/.cache", home);
    } else {
        return false;
    }
    char hex[65];
    sha256_hex(key, hex);
    buf_printf(path, "/conf/asm/%s", hex);
    return !is_made || make_folders(path->data);
}

void asm_cache_encode(const uint8_t key[32], const AsmOutput *out, Buf *file)
{
    buf_bytes(file, magic, sizeof magic);
    buf_bytes(file, key, 32);
    buf_le(file, out->bytes.n, 8);
    buf_le(file, out->labels.n, 4);
    for (size_t i = 0; i < out->labels.n; i++) {
        size_t n = strlen(out->labels.items[i].name);
        buf_le(file, out->labels.items[i].value, 8);
        buf_le(file, n, 2);
        buf_bytes(file, out->labels.items[i].name, n);
    }
    buf_le(file, out->data.n, 4);
    for (size_t i = 0; i < out->data.n; i++) {
        buf_le(file, out->data.items[i].at, 8);
        buf_le(file, out->data.items[i].n, 8);
    }
    buf_bytes(file, out->bytes.data, out->bytes.n);
    buf_le(file, crc32_ieee(0, file->data, file->n), 4);
}

static bool decode_labels(Cursor *c, uint64_t count, AsmOutput *out)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t value = cursor_le(c, 8);
        size_t n = cursor_le(c, 2);
        const uint8_t *name = cursor_bytes(c, n);
        if (!cursor_ok(c) || !name || memchr(name, 0, n)) {
            return false;
        }
        VEC_PUSH(&out->labels, (AsmSymbol){x_strndup((const char *)name, n), value});
    }
    return true;
}

static bool decode_data(Cursor *c, uint64_t nimage, AsmOutput *out)
{
    uint64_t end = 0; /* ascending and apart, as asm_obj.c makes them */
    for (uint64_t i = 0, n = cursor_le(c, 4); i < n; i++) {
        AsmSpan s = {.at = cursor_le(c, 8)};
        s.n = cursor_le(c, 8);
        if (!cursor_ok(c) || s.at > nimage || s.n > nimage - s.at || !s.n || (i && s.at <= end)) {
            return false;
        }
        end = s.at + s.n;
        VEC_PUSH(&out->data, s);
    }
    return cursor_ok(c);
}

bool asm_cache_decode(const uint8_t key[32], const void *file, size_t n, AsmOutput *out)
{
    *out = (AsmOutput){0};
    if (n < 4) {
        return false;
    }
    Cursor end = cursor_of((const uint8_t *)file + n - 4, 4), c = cursor_of(file, n - 4);
    if (crc32_ieee(0, file, n - 4) != cursor_le(&end, 4)) {
        return false;
    }
    const uint8_t *head = cursor_bytes(&c, sizeof magic + 32);
    if (!head || memcmp(head, magic, sizeof magic) || memcmp(head + sizeof magic, key, 32)) {
        return false;
    }
    uint64_t nimage = cursor_le(&c, 8), nlabels = cursor_le(&c, 4);
    bool is_ok =
        cursor_ok(&c) && decode_labels(&c, nlabels, out) && decode_data(&c, nimage, out) && cursor_left(&c) == nimage;
    if (is_ok && nimage) {
        buf_bytes(&out->bytes, cursor_bytes(&c, nimage), nimage);
    }
    if (!is_ok) {
        asm_output_free(out);
    }
    return is_ok;
}

bool asm_cache_get(const uint8_t key[32], AsmOutput *out)
{
    Buf path = {0}, file = {0};
    bool is_hit = asm_cache_path(key, false, &path) && !os_read_file(path.data, MAX_FILE, &file, NULL) &&
                  asm_cache_decode(key, file.data, file.n, out);
    buf_free(&path);
    buf_free(&file);
    return is_hit;
}

void asm_cache_put(const uint8_t key[32], const AsmOutput *out)
{
    for (size_t i = 0; i < out->labels.n; i++) {
        if (strlen(out->labels.items[i].name) > MAX_LABEL) {
            return;
        }
    }
    Buf path = {0}, file = {0};
    if (asm_cache_path(key, true, &path)) {
        asm_cache_encode(key, out, &file);
        /* A cache that cannot be written costs time, not the result. */
        int rc = os_write_file(path.data, file.data, file.n, NULL);
        (void)rc;
    }
    buf_free(&path);
    buf_free(&file);
}
