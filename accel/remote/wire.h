/* SPDX-License-Identifier: Apache-2.0
 * wire.h - the bytes of the remote protocol: frames, messages, and the values that travel in them.
 *
 * docs/wire.md is the description for people who write the other end in another language; this
 * header has the numbers. Everything is little-endian. A message is one frame, or several with the
 * same type, seq and object of which all but the last carry WIRE_MORE; only KICK frames may come
 * between them. A request and its reply have the same type and seq.
 *
 * put functions append to a Buf and cannot fail. get functions read from a Cursor: where bytes are
 * missing or a value is out of range they leave the cursor short, so that one wire_done() at the
 * end of a payload tells. THREAD-SAFE: nothing here has state but the objects that are passed in.
 */
#ifndef ACCEL_REMOTE_WIRE_H
#define ACCEL_REMOTE_WIRE_H

#include "accel/accel.h"

#define WIRE_MAGIC 0x666e6f63u /* "conf" */
enum {
    WIRE_OLDEST = 2,  /* of the protocol, that both ends still speak */
    WIRE_VERSION = 3, /* 3: the answer to OPEN ends with Caps.isa */
    WIRE_HEADER = 16,
    WIRE_FRAME_MIN = 4096,                         /* no peer may ask for a smaller largest payload */
    WIRE_FRAME_MAX = 256 * 1024,                   /* what this implementation asks for */
    WIRE_READ_MAX = 4 << 20,                       /* bytes of one MEM_READ or DIRTY_GET answer */
    WIRE_BULK_MAX = 256 << 20,                     /* bytes of any other bulk field, zeros included */
    WIRE_MESSAGE_MAX = WIRE_BULK_MAX + (64 << 20), /* payloads of all frames of a message */
    WIRE_REGS_MAX = 4 << 20,                       /* bytes of all registers of one GET_REGS */
    WIRE_LIST_MAX = 65536,                         /* ids of a REG_LIST, entries of BREAKS */
    WIRE_NAME_MAX = 255,                           /* bytes of the name of a backend or a ctl */
    WIRE_TEXT_MAX = 4096,                          /* bytes of any other string */
    WIRE_VMS_MAX = 64,
    WIRE_RAMS_MAX = 4096, /* of one VM */
    WIRE_CHAIN_MAX = 64,  /* chained requests that this client has unanswered */
    WIRE_VCPUS_MAX = 512, /* of one link */
};

/* Message types; the request's meaning is that of the operation in accel.h. Numbers never change;
 * new ones are added. */
/* clang-format off */
#define WIRE_MAP(X)                                                                                \
    X(HELLO, 1) X(OPEN, 2) X(VM_CREATE, 3) X(VM_DESTROY, 4) X(RAM_CREATE, 5) X(MAP, 6) X(UNMAP, 7) \
    X(MEM_READ, 8) X(MEM_WRITE, 9) X(DIRTY_GET, 10) X(IRQ_LINE, 11) X(MSI, 12) X(INTERCEPT, 13)    \
    X(CLOCK, 14) X(SAVE, 15) X(RESTORE, 16) X(CTL, 17) X(POWER, 18) X(VCPU_CREATE, 20)             \
    X(VCPU_DESTROY, 21) X(SETUP, 22) X(BIND, 23) X(UNBIND, 24) X(RUN, 25) X(REPLY, 26) X(KICK, 27) \
    X(GET_REGS, 28) X(SET_REGS, 29) X(REG_LIST, 30) X(INJECT, 31) X(BREAKS, 32) X(TYPE, 19)         \
    X(SERVE, 33) X(VM_WITH_BOARD, 34) X(ABORT, 40)
/* clang-format on */
#define X(name, number) WIRE_##name = (number),
typedef enum { WIRE_MAP(X) WIRE_TYPE_COUNT } WireType;
#undef X
const char *wire_name(unsigned type); /* "MEM_READ"; "?" if none */
static inline bool wire_runs(unsigned type)
{
    return type == WIRE_RUN || type == WIRE_SERVE;
}

/* Flags of a frame. CHAIN, of a request: it comes after the one before it, and is not tried if that one, chained as well,
 * failed or was not tried. */
enum { WIRE_IS_REPLY = 1, WIRE_IS_ERROR = 2, WIRE_MORE = 4, WIRE_CHAIN = 8 };
typedef struct {
    uint32_t length; /* bytes of payload after the header */
    uint16_t type, flags;
    uint32_t seq;    /* the client's, from 1; a reply repeats it; 0 for KICK and ABORT, and for a
                    * VM_DESTROY or VCPU_DESTROY that is not to be answered */
    uint32_t object; /* handle of the VM or vcpu, 0 if none */
} WireHead;
void wire_head_put(uint8_t out[WIRE_HEADER], const WireHead *h);
WireHead wire_head_get(const uint8_t in[WIRE_HEADER]);

/* ---- reading ---- */
typedef struct {
    WireHead head;    /* of the first frame */
    uint64_t offset;  /* of its header in the stream */
    uint8_t *payload; /* mem_free, or wire_msg_free */
    size_t n, cap;
} WireMsg;
void wire_msg_free(WireMsg *m);
/* Takes frames apart. Holds at most one read's bytes and one unfinished message, which grows with
 * the bytes that came. */
typedef struct {
    int fd;
    uint32_t max_frame; /* longest payload that is accepted */
    size_t max_message;
    uint64_t offset; /* in the stream, of buf[at] */
    uint8_t *buf;
    size_t at, n;
    WireMsg part; /* the unfinished message */
    size_t left;  /* bytes of its current frame still to come */
    bool has_part;
} WireIn;
void wire_in_init(WireIn *in, int fd, uint32_t max_frame);
void wire_in_free(WireIn *in);
/* 1: *out is the next message, the caller's. 0: more bytes are needed. -ERR_PROTO with the offset,
 * -ERR_NOMEM. */
int wire_in_next(WireIn *in, WireMsg *out, Err *err);
/* One read(2). 1: bytes came. 0: none now (EAGAIN, EINTR). -ERR_IO: the peer's end, or an error.
 * *is_eof tells an end between messages. */
int wire_in_fill(WireIn *in, bool *is_eof, Err *err);

/* ---- writing ---- */
typedef struct {
    int fd;
    bool is_socket;
    int wake_fd; /* readable = give up with -ERR_IO; -1 = none */
} WireOut;
WireOut wire_out_of(int fd, int wake_fd);
/* Writes one frame, waiting until deadline_ns (host monotonic, UINT64_MAX = none). Raises no
 * SIGPIPE. Async-signal-safe. 0 or -ERR_IO, -ERR_TIMEOUT (then *native is errno): no Err, as a
 * signal handler must not format text. */
int wire_out_frame(const WireOut *out, const WireHead *h, const void *payload, uint64_t deadline_ns, int *native);
/* The same after `before`, whole frames that were held back. h may be NULL: only these. */
int wire_out_after(const WireOut *out, const Buf *before, const WireHead *h, const void *payload, uint64_t deadline_ns,
                   int *native);
/* Appends a message to frames that are held back. h: all but length and MORE. */
void wire_put_message(Buf *b, const WireHead *h, const Buf *payload, uint32_t max_frame);

/* ---- values ---- */
void wire_put_str(Buf *b, const char *s); /* NULL travels as such; longer than WIRE_TEXT_MAX is cut */
/* NULL with an intact cursor: NULL travelled. The text is x_alloc'ed, without control characters.
 */
char *wire_get_str(Cursor *c, size_t max);
/* Bytes with their longer runs of zeros left out. */
void wire_put_bulk(Buf *b, const void *bytes, size_t n);
bool wire_get_bulk_into(Cursor *c, void *out, size_t n); /* false, and c short, unless it holds exactly n bytes */
/* 0, -ERR_PROTO (larger than max, or torn), -ERR_NOMEM. Where nothing was left out *bytes lies in the cursor's own bytes;
 * otherwise it is *made, which was mem_try'ed (else NULL). */
typedef struct {
    const uint8_t *bytes;
    size_t n;
    uint8_t *made; /* mem_free */
} WireBulk;
int wire_get_bulk(Cursor *c, size_t max, WireBulk *out);
void wire_put_err(Buf *b, const Err *e, uint32_t bad);
void wire_get_err(Cursor *c, Err *e, uint32_t *bad); /* bad: index of the register at fault, UINT32_MAX if none */
void wire_put_exit(Buf *b, const VmExit *e);
void wire_get_exit(Cursor *c, VmExit *e);
bool wire_get_bool(Cursor *c);
uint64_t wire_get_max(Cursor *c, size_t nbytes, uint64_t max); /* short if above max */
bool wire_done(const Cursor *c);                               /* everything was there, and nothing else */
#endif
