/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as an image, ELF, Linux, packed or flat: refused with a sentence and nothing written, or loaded inside the RAM that there is. */
#include "sim/boot/boot.h"

#include <string.h>

enum { RAM_BYTES = 16 * SPACE_PAGE_BYTES, RAM_AT = 0x80000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Space *s = space_new();
    uint32_t ram;
    BootImage image;
    Err err = {0};
    static uint8_t bytes[RAM_BYTES];
    if (space_ram_new(s, RAM_BYTES, &ram, &err) || space_map(s, RAM_AT, RAM_BYTES, ram, 0, SPACE_R, &err)) {
        __builtin_trap();
    }
    BootMem m = boot_mem_of(s);
    BootHow how = {.flat_base = RAM_AT + 16, .linux_base = RAM_AT};
    int rc = boot_load_bytes(&m, "fuzz", data, size, &how, &image, &err);
    if (rc ? !err.text[0] : image.start < RAM_AT || image.end > RAM_AT + RAM_BYTES || image.start > image.end) {
        __builtin_trap();
    }
    if (rc &&
        (space_read(s, RAM_AT, bytes, sizeof bytes, &err) || bytes[0] || memcmp(bytes, bytes + 1, RAM_BYTES - 1))) {
        __builtin_trap();
    }
    space_free(s);
    return 0;
}
