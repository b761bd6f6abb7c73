/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a snapshot, with the magic, the version and the checksum put right so that the parser behind them is
 * reached: refused with nothing changed, or taken, and then it can be saved again. */
#include "accel/accel.h"
#include "sim/base/hash.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { FIXED_BYTES = 10, CRC_BYTES = 4 };

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void make_snapshot(Buf *b, const uint8_t *bytes, size_t n)
{
    buf_str(b, "confvcpu");
    buf_le(b, 1, 2);
    buf_bytes(b, bytes, n);
    buf_le(b, crc32_ieee(0, b->data, b->n), CRC_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Vm *vm;
    Vcpu *v;
    Buf in = {0}, out = {0};
    Err err = {0};
    GuestId guest = n ? (GuestId)(1 + bytes[0] % (GUEST_COUNT - 1)) : GUEST_x86_64;
    require(!vm_open(backend_find("fake"), &(VmConfig){.guest = guest}, NULL, NULL, &vm, NULL));
    require(!vcpu_new(vm, &(VcpuConfig){0}, &v, NULL));
    int rc = vcpu_restore(v, bytes, n, NULL);
    require(rc || n > FIXED_BYTES + CRC_BYTES);
    make_snapshot(&in, bytes, n);
    uint8_t before = vcpu_state(v);
    rc = vcpu_restore(v, in.data, in.n, &err);
    require(rc ? vcpu_state(v) == before && err.text[0] : !vcpu_save(v, &out, NULL));
    buf_free(&in);
    buf_free(&out);
    vm_close(vm);
    return 0;
}
