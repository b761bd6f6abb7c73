/* SPDX-License-Identifier: Apache-2.0
 * server.h - inside the server: server.c has the threads, server_ops.c does what a message asks
 * for.
 *
 * Threads. A thread owns at most one vcpu (W2): the one that called server_run() the first,
 * further ones a thread each. At any time at most one thread has the role of the reader: it takes
 * the next message and does it itself if that is for the VM or for its own vcpu, else it puts it
 * into the owner's mail. With one vcpu there is thus no switch between threads. Before a RUN the
 * reader gives the role up; the watcher, a thread without a vcpu, takes it a little later unless
 * the run is over by then, as most are: so a kick is heard, and a short run costs no switch either.
 */
#ifndef ACCEL_REMOTE_SERVER_H
#define ACCEL_REMOTE_SERVER_H

#include "accel/remote/remote.h"
#include "accel/remote/wire.h"
#include "sim/base/mem.h"

#include <pthread.h>
#include <sched.h>

/* Serves one connection until it ends: reads frames on the calling thread, runs each vcpu on a thread of its own (its owner,
 * W2), kicks on request. find: which backends the peer may open (by name in HELLO). Returns 0 on an orderly end, -ERR_x
 * otherwise. Closes neither descriptor. */
typedef struct {
    RemoteFind find;
    void *find_ctx;
    int fd_in, fd_out;
    const char *place; /* shown after the name of a backend, "kvm@place"; NULL = none */
    /* For the threads beside the first, which may be tied to fewer; NULL = as the first. */
    const cpu_set_t *cpus;
    /* Ends the process in place of an orderly return, if not NULL: there is nothing left to destroy
     * by then, so threads need no farewell. */
    void (*quit)(int status) __attribute__((noreturn));
    /* Called once when the link is over and the vcpus were kicked, if not NULL: a backend that does
     * not hear its kick is waited for without end, unless this sees to it. */
    void (*on_end)(void);
} ServeArgs;
char *remote_names(void); /* of the built-in backends: "kvm, fake, sim-interp"; mem_free */
MUST_USE int server_run(const ServeArgs *args, Err *err);

typedef struct Server Server;
typedef struct { /* the client's number of a ram, and the backend's */
    uint32_t handle;
    RamId id;
} RamSlot;
typedef struct VmSlot {
    struct VmSlot *next;
    uint32_t handle;
    VEC(RamSlot) rams; /* under lock */
    GuestId guest;
    unsigned nvcpus;  /* under Server.lock */
    const VmOps *ops; /* of the backend, or of house.c */
    const VcpuOps *vcpu_ops;
    BeVm *be;
    pthread_mutex_t lock; /* VmOps are serialised (W2), whatever a peer sends */
} VmSlot;
typedef struct VcpuSlot {
    struct VcpuSlot *next;
    uint32_t handle;
    VmSlot *vm;
    /* NULL until created and once it is being destroyed; under Server.lock, as kicks use it. */
    BeVcpu *be;
    struct Thread *owner;
    bool is_busy;  /* a request is with its owner; under Server.lock */
    bool is_going; /* and it is VCPU_DESTROY */
    bool is_setup; /* these two: the owner's */
    ReplyKind due;
} VcpuSlot;
typedef struct Thread {
    struct Thread *next;
    Server *server;
    pthread_t id;
    pthread_cond_t cond;
    WireMsg mail;
    bool has_mail;
    VcpuSlot *vcpu; /* owned, or about to be */
} Thread;
struct Server {
    ServeArgs args;
    const Backend *backend;
    unsigned version;                 /* of the protocol, chosen */
    uint32_t max_frame;               /* of the peer */
    uint32_t page_bytes[GUEST_COUNT]; /* 0: not opened */
    WireIn in;
    WireOut out;
    Buf held;           /* replies to chained requests, until no more of these are at hand; under send_lock */
    int wake[2], timer; /* -1 while there is only one thread */
    pthread_mutex_t lock, send_lock;
    pthread_cond_t moved;             /* one of these two changed, or a vcpu is gone; under lock */
    bool is_chain_busy, chain_failed; /* a chained request is with another thread; one was not done */
    Thread main, watcher, *threads;   /* threads: all but these two */
    bool has_watcher;
    bool is_polling; /* the watcher waits for bytes, and the role may be taken from it */
    bool is_timer_set;
    uint64_t released_ns; /* when the role was given up for a run */
    Thread *reader;
    VmSlot *vms;
    VcpuSlot *vcpus;
    unsigned nvms, nvcpus, nrunning;
    bool is_over;
    int rc;
    Err why;
};
/* One request being done. */
typedef struct {
    Server *s;
    VmSlot *vm;
    VcpuSlot *v;
    uint32_t object; /* of the request */
    Cursor in;
    Buf out;      /* the reply's payload */
    uint32_t bad; /* register at fault */
    bool is_torn; /* the payload does not parse: ends the link */
} Ctx;
int server_do(Ctx *x, WireType type, Err *err);
/* house.c: a VM whose board, made from the text, is here too; for the operations beside. */
int house_open(const Backend *b, const VmConfig *cfg, const char *spec, BeVm **out, Err *err);
extern const VmOps house_vm_ops;
extern const VcpuOps house_vcpu_ops;
/* What a run with serve_board left for its answer, and forgets it: u32 n, the exits that were served, a bulk of what was
 * printed. */
void house_served(BeVcpu *v, Buf *out);
/* With the lock: a VM or vcpu of the client has that number already, or it is none. */
bool server_has(const Server *s, uint32_t handle);
/* On its owner: destroys the vcpu; the slot stays, empty. */
void server_vcpu_drop(Server *s, VcpuSlot *v);
#endif
