/* SPDX-License-Identifier: Apache-2.0
 * sim_restore_fuzz.c - damaged snapshots whose checksum is right. The input is a list of {offset u16, byte u8}, put over a good
 * snapshot of a small machine. sim_restore must take it or refuse it, and when it refuses, the machine is as it was. */
#include "sim/base/hash.h"
#include "sim/base/mem.h"
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { DIGEST_BYTES = 32 };

static Sim *machine(void)
{
    Sim *s = NULL;
    Err err;
    if (sim_new(&(SimConfig){.guest = "riscv64", .is_virt = true}, &s, &err) ||
        sim_board(s, &(SimBoardConfig){.ram_bytes = 1 << 20, .nvcpus = 2, .has_firmware = true}, &err)) {
        abort();
    }
    return s;
}

static uint64_t hash(Sim *s)
{
    return sim_ram_hash(s) ^ sim_vcpu_hash(sim_vcpu_at(s, 0)) ^ sim_vcpu_hash(sim_vcpu_at(s, 1)) << 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static Sim *s;
    static Buf good;
    if (!s) {
        s = machine();
        if (sim_save(s, &good, NULL)) {
            abort();
        }
    }
    Buf image = {0};
    buf_bytes(&image, good.data, good.n);
    for (; n >= 3; n -= 3, data += 3) {
        size_t at = (size_t)(data[0] | data[1] << 8) % (image.n - DIGEST_BYTES);
        image.data[at] = (char)data[2];
    }
    Sha256 sha;
    sha256_init(&sha);
    sha256_add(&sha, image.data, image.n - DIGEST_BYTES);
    sha256_end(&sha, (uint8_t *)image.data + image.n - DIGEST_BYTES);
    uint64_t before = hash(s);
    Err err = {0};
    if (sim_restore(s, image.data, image.n, &err)) {
        if (!err.text[0] || hash(s) != before) {
            abort();
        }
    } else if (sim_restore(s, good.data, good.n, &err)) {
        abort();
    }
    buf_free(&image);
    return 0;
}
