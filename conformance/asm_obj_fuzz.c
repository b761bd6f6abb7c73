/* SPDX-License-Identifier: Apache-2.0
 * Bytes as the assembler's object, as a cache file (with its checksum mended, so that the parser
 * behind it is reached) and as a text for the scanner. First byte: guest and reader. */
#include "conformance/asm_cache.h"
#include "conformance/asm_obj.h"
#include "conformance/asm_source.h"
#include "sim/base/hash.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const AsmSymbol defs[] = {{"u", 0x2000}, {"dev", 0x123456789abc}};

static void fuzz_object(GuestId guest, const uint8_t *bytes, size_t n)
{
    AsmObj obj = {.guest = guest, .bytes = bytes, .n = n, .org = 0x1000, .defs = defs, .ndefs = 2, .max_bytes = 4096};
    AsmOutput out;
    AsmObjError bad;
    int rc = asm_obj_flatten(&obj, &out, &bad);
    assert(rc ? !out.bytes.n && !out.labels.n : out.bytes.n <= 4096);
    asm_output_free(&out);
}

static void fuzz_cache(const uint8_t *bytes, size_t n)
{
    uint8_t key[32] = {0};
    AsmOutput out;
    Buf file = {0}, again = {0};
    buf_bytes(&file, bytes, n);
    buf_le(&file, crc32_ieee(0, file.data, n), 4);
    if (asm_cache_decode(key, file.data, file.n, &out)) {
        asm_cache_encode(key, &out, &again);
        assert(again.n == file.n && !memcmp(again.data, file.data, file.n));
    }
    asm_output_free(&out);
    buf_free(&file);
    buf_free(&again);
}

static void fuzz_source(GuestId guest, const uint8_t *bytes, size_t n)
{
    AsmInput in = {.guest = guest, .text = (const char *)bytes, .n = n, .defs = defs, .ndefs = 2};
    AsmSource source;
    AsmDiag diag;
    if (!asm_source_build(&in, &source, &diag)) {
        uint32_t line = 2, col = 1;
        asm_source_place(&source, &line, &col);
        assert(line == 1 && col == 1);
    }
    asm_source_free(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (!n) {
        return 0;
    }
    GuestId guest = (GuestId)(GUEST_riscv64 + bytes[0] % 3);
    switch (bytes[0] / 3 % 3) {
    case 0:
        fuzz_object(guest, bytes + 1, n - 1);
        break;
    case 1:
        fuzz_cache(bytes + 1, n - 1);
        break;
    default:
        fuzz_source(guest, bytes + 1, n - 1);
        break;
    }
    return 0;
}
