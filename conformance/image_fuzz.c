/* SPDX-License-Identifier: Apache-2.0
 * Any file is refused with a sentence, or its segments are within the file and within RAM. */
#include "conformance/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const ImageHow HOW = {.ram_base = 0x80000000, .ram_bytes = 1 << 20, .elf_machine = 243};
    Image image;
    Err err = {0};
    if (image_parse("fuzz", bytes, n, &HOW, &image, &err)) {
        return 0;
    }
    for (size_t i = 0; i < image.nsegments; i++) {
        const ImageSegment *s = &image.segment[i];
        if (s->offset > n || s->size > n - s->offset || s->at < HOW.ram_base ||
            s->at - HOW.ram_base + s->size > HOW.ram_bytes) {
            abort();
        }
    }
    return 0;
}
