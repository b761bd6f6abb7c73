/* SPDX-License-Identifier: Apache-2.0
 * Console device (VIRTIO 1.2, 5.3) with its one port, without features: what the guest sends is printed at once; what is typed goes into
 * the buffers that it has put there, and waits outside when there are none. */
#include "sim/base/mem.h"
#include "sim/devices/virtio_cards.h"

enum {
    QUEUE_SIZE = 64,
    RX = 0,
    TX = 1,
    CHUNK_BYTES = 4096,
    MAX_BYTES = 1 << 20 /* of one buffer: the rest is dropped */
};

static bool print(Device *d, const VirtqChain *c)
{
    uint8_t bytes[CHUNK_BYTES];
    uint64_t total = c->out_bytes < MAX_BYTES ? c->out_bytes : MAX_BYTES;
    for (uint64_t at = 0; at < total; at += CHUNK_BYTES) {
        size_t n = total - at < CHUNK_BYTES ? (size_t)(total - at) : CHUNK_BYTES;
        if (!virtq_read(d->host, c->segment, c->nout, at, bytes, n)) {
            return false;
        }
        d->host->output(d->host->ctx, d, bytes, n);
    }
    return true;
}

static void console_notify(Device *d, unsigned queue)
{
    VirtqChain c;
    for (unsigned i = 0; queue == TX && i < QUEUE_SIZE && virtio_pop(d, TX, &c); i++) {
        if (!print(d, &c)) {
            virtio_break(d);
            return;
        }
        virtio_push(d, TX, c.head, 0);
    }
}

static size_t console_input(Device *d, const void *bytes, size_t n)
{
    VirtqChain c;
    size_t taken = 0;
    while (taken < n && virtio_pop(d, RX, &c)) {
        size_t piece = c.in_bytes < n - taken ? (size_t)c.in_bytes : n - taken;
        if (!piece || !virtq_write(d->host, c.segment + c.nout, c.nin, 0, (const uint8_t *)bytes + taken, piece)) {
            virtio_break(d);
            return taken;
        }
        virtio_push(d, RX, c.head, piece);
        taken += piece;
    }
    return taken;
}

static void console_free(VirtioCard *c)
{
    mem_free(c);
}

static int console_twin(const VirtioCard *c, VirtioCard **out, Err *err)
{
    (void)c;
    (void)err;
    *out = virtio_console_new();
    return 0;
}

static const VirtioKind console_kind = {
    .name = "console",
    .device_id = VIRTIO_ID_CONSOLE,
    .nqueues = 2,
    .queue_size = QUEUE_SIZE,
    .notify = console_notify,
    .input = console_input,
    .twin = console_twin,
    .free = console_free,
};

VirtioCard *virtio_console_new(void)
{
    VirtioCard *c = x_alloc(sizeof *c);
    c->kind = &console_kind;
    return c;
}
