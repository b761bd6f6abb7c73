/* SPDX-License-Identifier: Apache-2.0
 * The client, fed with bytes, while it makes every call. An input is a list of replies {u8 flags,
 * u16 n, n bytes} to the calls in their order, framed here with the type and seq that the call will
 * have; flags with bit 0x80 (and then nothing more) stand for a good reply. A first byte of 0xff
 * means that the rest comes in as it is. The reply to HELLO comes first on its own. A first byte of 0xfe
 * before a list: the VM is lazy, and all that can be is put off. */
#include "accel/remote/remote.h"
#include "accel/remote/wire_fuzz.h"

#include <fcntl.h>
#include <unistd.h>

/* The calls of make_calls(), in order, as long as none fails that others need. */
static const WireType order[] = {WIRE_OPEN,         WIRE_VM_CREATE,   WIRE_RAM_CREATE, WIRE_MAP,    WIRE_MEM_READ,
                                 WIRE_MEM_WRITE,    WIRE_DIRTY_GET,   WIRE_CLOCK,      WIRE_SAVE,   WIRE_CTL,
                                 WIRE_RESTORE,      WIRE_VCPU_CREATE, WIRE_SETUP,      WIRE_RUN,    WIRE_REPLY,
                                 WIRE_GET_REGS,     WIRE_SET_REGS,    WIRE_REG_LIST,   WIRE_INJECT, WIRE_BREAKS,
                                 WIRE_VCPU_DESTROY, WIRE_VM_DESTROY};
enum { NORDER = sizeof order / sizeof order[0] };

static void put_hello(Buf *b)
{
    Buf p = {0};
    buf_le(&p, WIRE_MAGIC, 4);
    buf_le(&p, WIRE_VERSION, 2);
    buf_le(&p, WIRE_FRAME_MIN, 4);
    buf_le(&p, 0, 1);
    buf_le(&p, UINT64_MAX, 8);
    wire_put_str(&p, "fuzz");
    put(b, &(WireHead){.type = WIRE_HELLO, .flags = WIRE_IS_REPLY, .seq = 1, .length = (uint32_t)p.n}, p.data);
    buf_free(&p);
}

/* A bulk of n zeros. */
static size_t bulk_of(uint8_t *out, uint32_t n)
{
    out[0] = out[8] = (uint8_t)n;
    out[1] = out[9] = (uint8_t)(n >> 8);
    return n ? 16 : 8;
}

static size_t good_reply(WireType type, uint8_t out[136])
{
    if (type == WIRE_OPEN) {
        out[1] = 0x10; /* page_bytes; no caps, no ctls, no isa */
        out[20] = out[21] = 0xff;
        return 22;
    }
    if (type == WIRE_REG_LIST) {
        return 4;
    }
    if (type == WIRE_MEM_READ || type == WIRE_DIRTY_GET || type == WIRE_SAVE || type == WIRE_CTL) {
        return bulk_of(out, type == WIRE_MEM_READ ? 300 : type == WIRE_DIRTY_GET ? 2 : 0);
    }
    return type == WIRE_CLOCK ? 8 : type == WIRE_RUN ? 136 : type == WIRE_GET_REGS ? 72 : 0;
}

static void put_list(Buf *b, Cursor *c)
{
    for (unsigned i = 0; i < NORDER && cursor_left(c); i++) {
        WireHead h = {.type = (uint16_t)order[i], .seq = i + 2};
        h.flags = (uint16_t)(cursor_le(c, 1) | WIRE_IS_REPLY);
        if (h.flags & 0x80) {
            uint8_t good[136] = {0};
            h.flags = WIRE_IS_REPLY;
            h.length = (uint32_t)good_reply(order[i], good);
            put(b, &h, good);
            continue;
        }
        size_t n = (size_t)cursor_le(c, 2);
        n = n < cursor_left(c) ? n : cursor_left(c);
        h.length = (uint32_t)n;
        put(b, &h, cursor_bytes(c, n));
    }
}

static void vcpu_calls(const Backend *be, BeVm *vm)
{
    BeVcpu *v;
    VmExit exit;
    uint64_t value[2] = {0};
    uint8_t big[64];
    RegIo io[] = {{REG_ID(GUEST_x86_64, 3, REG_GPR, 0), value}, {REG_ID(GUEST_x86_64, 6, REG_VEC, 0), big}};
    RegId ids[64];
    size_t bad, n = 64;
    Err e;
    int rc = be->vcpu->create(vm, &(VcpuConfig){.id = 0}, &v, &e);
    if (rc) {
        return;
    }
    rc |= be->vcpu->setup(v, &(VcpuSetup){.entry = {0}}, &e);
    be->vcpu->kick(v);
    rc |= be->vcpu->run(v, &RUN_FOREVER, &exit, &e);
    rc |= be->vcpu->reply(v, &(Reply){.value = 1}, &e);
    rc |= be->vcpu->get_regs(v, io, 2, &bad, &e);
    rc |= be->vcpu->set_regs(v, io, 1, &bad, &e);
    rc |= be->vcpu->reg_list(v, ids, &n, &e);
    rc |= be->vcpu->inject(v, &(Event){.kind = EV_NMI}, &e);
    rc |= be->vcpu->breaks(v, NULL, 0, &e);
    be->vcpu->destroy(v);
}

static void make_calls(const Backend *be, bool is_lazy)
{
    Caps caps;
    BeVm *vm;
    RamId ram;
    uint8_t bytes[300] = {1};
    uint64_t ns = 0;
    Buf out = {0};
    Err e;
    int rc = be->open(be, GUEST_x86_64, &caps, &e);
    rc = rc ? rc : be->vm->create(be, &(VmConfig){.guest = GUEST_x86_64, .is_lazy = is_lazy}, &vm, &e);
    if (rc) {
        return;
    }
    rc |= be->vm->ram_create(vm, 4096, &ram, &e);
    rc |= be->vm->map(vm, (Gpa){0}, 4096, 0, 0, MAP_R, &e);
    rc |= be->vm->mem_read(vm, (Gpa){0}, bytes, sizeof bytes, &e);
    rc |= be->vm->mem_write(vm, (Gpa){0}, bytes, sizeof bytes, &e);
    rc |= be->vm->dirty_get(vm, (Gpa){0}, caps.page_bytes * 9ull, bytes, true, &e);
    rc |= be->vm->clock(vm, false, &ns, &e);
    rc |= be->vm->save(vm, &out, &e);
    rc |= be->vm->ctl(vm, NULL, "x", NULL, 0, &out, &e);
    rc |= be->vm->restore(vm, "x", 1, &e);
    buf_free(&out);
    if (be->vcpu) {
        vcpu_calls(be, vm);
    }
    rc |= be->vm->settle(vm, &e);
    be->vm->destroy(vm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buf b = {0};
    Err e;
    RemoteLink *link;
    bool is_lazy = size && data[0] == 0xfe;
    if (size && data[0] == 0xff) {
        buf_bytes(&b, data + 1, size - 1);
    } else {
        Cursor c = cursor_of(data + is_lazy, size - is_lazy);
        put_hello(&b);
        put_list(&b, &c);
    }
    int in = packets_of(&b), out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (!remote_connect(in, out, "fuzz", 2000000000, &link, &e)) {
        const Backend *be = remote_backend(link);
        if (be->vm->ram_create && be->vm->map && be->vm->mem_read && be->vm->mem_write && be->vm->dirty_get &&
            be->vm->clock && be->vm->save && be->vm->ctl && be->vm->restore && (!be->vcpu || be->vcpu->breaks)) {
            make_calls(be, is_lazy);
        }
        remote_close(link);
    }
    buf_free(&b);
    return 0;
}
