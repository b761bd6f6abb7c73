/* SPDX-License-Identifier: Apache-2.0
 * A board at the server's side, both ends. The first byte of an input says which: even, the rest is the answers of a
 * server to SERVE, SERVE and TYPE, {u16 n, n bytes} each; odd, it is requests {u8 type, u16 n, n bytes} to the VM or vcpu of a
 * server whose board is inside, over the backend `fake`. */
#include "accel/remote/server.h"
#include "accel/remote/wire_fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { VM = 1, VCPU = 2 };

static void put_buf(Buf *b, const WireHead *h, const Buf *payload)
{
    WireHead full = *h;
    full.length = (uint32_t)payload->n;
    put(b, &full, payload->data);
}

static void put_rest(Buf *b, const WireHead *h, Cursor *c)
{
    Buf p = {0};
    size_t n = (size_t)cursor_le(c, 2);
    n = n < cursor_left(c) ? n : cursor_left(c);
    buf_bytes(&p, cursor_bytes(c, n), n);
    put_buf(b, h, &p);
    buf_free(&p);
}

static int fd_of(Buf *b)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    ssize_t n = b->n ? write(fd, b->data, b->n) : 0;
    (void)n;
    lseek(fd, 0, SEEK_SET);
    buf_free(b);
    return fd;
}

/* ---- the client ---- */
static void put_answers(Buf *b, Cursor *c)
{
    static const WireType empty[] = {WIRE_VM_WITH_BOARD, WIRE_VCPU_CREATE, WIRE_SETUP};
    static const WireType fed[] = {WIRE_SERVE, WIRE_SERVE, WIRE_TYPE};
    Buf p = {0}, none = {0};
    uint32_t seq = 1;
    buf_le(&p, WIRE_MAGIC, 4);
    buf_le(&p, WIRE_VERSION, 2);
    buf_le(&p, WIRE_FRAME_MIN, 4);
    buf_le(&p, 0, 1);
    buf_le(&p, UINT64_MAX, 8);
    wire_put_str(&p, "fuzz");
    put_buf(b, &(WireHead){.type = WIRE_HELLO, .flags = WIRE_IS_REPLY, .seq = seq++}, &p);
    buf_clear(&p);
    static const uint32_t numbers[] = {4096, 1, 1, 0};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        buf_le(&p, numbers[i], 4);
    }
    buf_le(&p, CAP_COUNT, 2);
    for (int i = 0; i < CAP_COUNT; i++) {
        buf_le(&p, CAP_FULL, 1);
        wire_put_str(&p, NULL);
    }
    buf_le(&p, 0, 2);
    wire_put_str(&p, "rv64gc");
    put_buf(b, &(WireHead){.type = WIRE_OPEN, .flags = WIRE_IS_REPLY, .seq = seq++}, &p);
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        put_buf(b, &(WireHead){.type = (uint16_t)empty[i], .flags = WIRE_IS_REPLY, .seq = seq++}, &none);
    }
    for (size_t i = 0; i < ARRAY_LEN(fed); i++) {
        put_rest(b, &(WireHead){.type = (uint16_t)fed[i], .flags = WIRE_IS_REPLY, .seq = seq++}, c);
    }
    buf_free(&p);
}

static void is_elsewhere(void *ctx, Vm *vm)
{
    (void)ctx, (void)vm;
}

static void printed(void *ctx, const void *bytes, size_t n)
{
    buf_bytes(ctx, bytes, n);
}

static void on_exit(void *ctx, const VmExit *e)
{
    exit_print(ctx, e, true);
}

static void client_play(Cursor *c)
{
    Buf b = {0}, heard = {0};
    Err e;
    RemoteLink *link;
    Vm *vm;
    Vcpu *v;
    VmExit exit;
    Board board = {.ctx = &heard, .spec = "x", .is_elsewhere = is_elsewhere, .printed = printed};
    put_answers(&b, c);
    int in = packets_of(&b), out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (remote_connect(in, out, "fuzz", 2000000000, &link, &e)) {
        __builtin_trap(); /* what comes first is good */
    }
    buf_free(&b);
    int rc = vm_open(remote_backend(link), &(VmConfig){.guest = GUEST_riscv64, .board = &board}, NULL,
                     &(Observer){.ctx = &heard, .on_exit = on_exit}, &vm, &e);
    if (rc || vcpu_new(vm, &(VcpuConfig){0}, &v, &e) || vcpu_setup(v, &(VcpuSetup){.entry = {0}}, &e)) {
        __builtin_trap();
    }
    for (int i = 0; i < 2 && !rc; i++) {
        rc = vcpu_serve(v, &RUN_FOREVER, &exit, &e);
    }
    if (vm_type(vm, "hello", 5) > 5) {
        __builtin_trap();
    }
    vm_close(vm);
    remote_close(link);
    buf_free(&heard);
}

/* ---- the server ---- */
static void put_board(Buf *b)
{
    Buf p = {0};
    buf_le(&p, WIRE_MAGIC, 4);
    buf_le(&p, WIRE_VERSION, 2);
    buf_le(&p, WIRE_VERSION, 2);
    buf_le(&p, WIRE_FRAME_MIN, 4);
    wire_put_str(&p, "fake");
    put_buf(b, &(WireHead){.type = WIRE_HELLO, .seq = 1}, &p);
    buf_clear(&p);
    buf_le(&p, GUEST_riscv64, 1);
    put_buf(b, &(WireHead){.type = WIRE_OPEN, .seq = 2}, &p);
    buf_le(&p, 0, 1);
    buf_le(&p, IRQCHIP_BOARD, 1);
    buf_le(&p, FW_BOARD, 1);
    buf_le(&p, 0, 8);
    buf_le(&p, 0, 8);
    wire_put_str(&p, NULL);
    wire_put_str(&p, "max_pages=64");
    wire_put_str(&p, "riscv64,virt,vcpus=1");
    put_buf(b, &(WireHead){.type = WIRE_VM_WITH_BOARD, .seq = 3, .object = VM}, &p);
    static const uint8_t vcpu[22] = {VCPU}, setup[17] = {0};
    buf_clear(&p);
    buf_bytes(&p, vcpu, sizeof vcpu);
    put_buf(b, &(WireHead){.type = WIRE_VCPU_CREATE, .seq = 4, .object = VM}, &p);
    buf_clear(&p);
    buf_bytes(&p, setup, sizeof setup);
    put_buf(b, &(WireHead){.type = WIRE_SETUP, .seq = 5, .object = VCPU}, &p);
    buf_free(&p);
}

/* No run waits for longer than there is time for in a fuzz target. */
static bool is_tame(WireType type, Cursor at)
{
    enum { LEFT_AT = 8, LONG_NS = 1000000 };
    if (!wire_runs(type)) {
        return true;
    }
    cursor_bytes(&at, 2 + LEFT_AT);
    return cursor_le(&at, 8) <= LONG_NS;
}

/* fake can hang, die and write garbage when it is told to. */
static bool is_harmful(Cursor c)
{
    static const char *const words[] = {"hang", "crash", "exit", "garbage", "spin",
                                        "eat",  "oom",   "kill", "sleep",   "leak"};
    size_t n = cursor_left(&c);
    const uint8_t *bytes = cursor_bytes(&c, n);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (n && memmem(bytes, n, words[i], strlen(words[i]))) {
            return true;
        }
    }
    return false;
}

static void server_play(Cursor *c)
{
    Buf b = {0};
    uint32_t seq = 6;
    if (is_harmful(*c)) {
        return;
    }
    put_board(&b);
    while (cursor_left(c) >= 3) {
        WireType type = (WireType)cursor_le(c, 1);
        bool is_vcpu = type > WIRE_VCPU_CREATE && type <= WIRE_SERVE;
        if (!is_tame(type, *c)) {
            break;
        }
        put_rest(&b, &(WireHead){.type = (uint16_t)type, .seq = seq++, .object = is_vcpu ? VCPU : VM}, c);
    }
    int in = fd_of(&b), out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    Err e;
    int rc = server_run(&(ServeArgs){.find = remote_find_built_in, .fd_in = in, .fd_out = out}, &e);
    (void)rc;
    close(in);
    close(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Cursor c = cursor_of(data, size);
    if (cursor_le(&c, 1) & 1) {
        server_play(&c);
    } else {
        client_play(&c);
    }
    return 0;
}
