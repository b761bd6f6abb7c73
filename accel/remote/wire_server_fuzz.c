/* SPDX-License-Identifier: Apache-2.0
 * The server, fed with bytes. An input is a list of {u8 type, u8 flags, u8 object, u16 n, n bytes},
 * framed here so that the parsers behind the framing are reached; a first byte of 0xff means that
 * the rest goes in as it is. HELLO, OPEN, a VM (object 1) with memory and a vcpu (object 2) come
 * first on their own, some of them as a chain. The backend is the tests' stub, which checks its arguments, with its harmful
 * programs off. */
#include "accel/remote/server.h"
#include "accel/remote/stub_test.c" /* a fuzz target is one source file */
#include "accel/remote/wire_fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static void put_start(Buf *b)
{
    Buf p = {0};
    buf_le(&p, WIRE_MAGIC, 4);
    buf_le(&p, WIRE_VERSION, 2);
    buf_le(&p, WIRE_VERSION, 2);
    buf_le(&p, WIRE_FRAME_MIN, 4);
    wire_put_str(&p, "stub");
    put(b, &(WireHead){.type = WIRE_HELLO, .seq = 1, .length = (uint32_t)p.n}, p.data);
    buf_free(&p);
    put(b, &(WireHead){.type = WIRE_OPEN, .seq = 2, .length = 1}, &(uint8_t){GUEST_x86_64});
    static const uint8_t zeros[40], vm[24] = {GUEST_x86_64, [20] = 0xff, 0xff, 0xff, 0xff}, ram[12] = {7, [6] = 1};
    static const uint8_t vcpu[22] = {2};
    static const uint8_t map[32] = {[10] = 1, [24] = 7, [28] = 7}; /* gpa 0, 64 KiB, ram 7, R W X */
    put(b, &(WireHead){.type = WIRE_VM_CREATE, .seq = 3, .object = 1, .length = sizeof vm}, vm);
    put(b, &(WireHead){.type = WIRE_RAM_CREATE, .seq = 4, .object = 1, .length = sizeof ram}, ram);
    put(b, &(WireHead){.type = WIRE_MAP, .flags = WIRE_CHAIN, .seq = 5, .object = 1, .length = sizeof map}, map);
    put(b, &(WireHead){.type = WIRE_VCPU_CREATE, .flags = WIRE_CHAIN, .seq = 6, .object = 1, .length = 22}, vcpu);
    put(b, &(WireHead){.type = WIRE_SETUP, .flags = WIRE_CHAIN, .seq = 7, .object = 2, .length = 17}, zeros);
}

static void put_list(Buf *b, Cursor *c)
{
    uint32_t seq = 8;
    while (cursor_left(c) >= 5) {
        WireHead h = {.type = (uint16_t)cursor_le(c, 1), .seq = seq++};
        h.flags = (uint16_t)cursor_le(c, 1);
        h.object = (uint32_t)cursor_le(c, 1);
        size_t n = (size_t)cursor_le(c, 2);
        n = n < cursor_left(c) ? n : cursor_left(c);
        h.length = (uint32_t)n;
        put(b, &h, cursor_bytes(c, n));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buf b = {0};
    if (size && data[0] == 0xff) {
        buf_bytes(&b, data + 1, size - 1);
    } else {
        Cursor c = cursor_of(data, size);
        put_start(&b);
        put_list(&b, &c);
    }
    int in = memfd_create("fuzz", MFD_CLOEXEC), out = memfd_create("fuzz-out", MFD_CLOEXEC);
    ssize_t n = b.n ? write(in, b.data, b.n) : 0;
    (void)n;
    lseek(in, 0, SEEK_SET);
    atomic_store(&stub_is_tame, 1);
    Err e;
    int rc = server_run(&(ServeArgs){.find = stub_find, .fd_in = in, .fd_out = out}, &e);
    (void)rc;
    if (atomic_load(&stub_vms) || atomic_load(&stub_vcpus) || atomic_load(&stub_wrong_thread)) {
        __builtin_trap(); /* something was left, or done on the wrong thread */
    }
    close(in);
    close(out);
    buf_free(&b);
    return 0;
}
