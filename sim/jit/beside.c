/* SPDX-License-Identifier: Apache-2.0
 * beside.c - regions that a Worker makes while the vcpu runs on. Only their making is beside: the vcpu's thread chooses the blocks, which stay
 * what they are until the code is there, and puts the code into place when it is between two pieces of code anyway. So links, the cache
 * and what code runs are one thread's, as ever. A region of which a block was released or a link was taken back meanwhile is void. */
#include "sim/base/os.h"
#include "sim/jit/jit_int.h"

enum {
    BUSY_HEAT = 200, /* runs after which a block asks again, if another's region is being made */
    PATIENCE =
        1 << 20, /* instructions of the vcpu in which a thread must have begun, else the host has no processor for it */
};

typedef struct Beside {
    WorkerJob job;
    Worker *worker;
    struct JitHost *host; /* NULL: nothing was made yet */
    Maker maker;
    JBlock *root, *hot; /* hot: who asked; NULL: it was released */
    Unit *made;
    bool is_busy, is_void;
    unsigned delay;   /* jit_delay's, less the looks since then */
    uint64_t since;   /* instructions of the vcpu, when the job was given */
    JBlock *released; /* blocks of the region that is being made */
} Beside;

void jit_beside_open(Jit *j, Worker *w)
{
    Beside *s = os_pages_new(sizeof *s);
    s->worker = w;
    s->maker.j = j;
    s->maker.guest = j->guest;
    j->beside = s;
}

static void job_run(WorkerJob *job)
{
    Beside *s = (Beside *)job;
    s->made = jit_unit_make(&s->maker, s->host);
}

/* The blocks are the vcpu's again. */
static void job_end(Beside *s)
{
    s->is_busy = false;
    for (unsigned k = 0; k < s->maker.nbbs; k++) {
        s->maker.bb[k].b->is_beside = false;
    }
}

static void released_free(Beside *s)
{
    while (s->released) {
        JBlock *b = s->released;
        s->released = b->next;
        mem_free(b);
    }
}

static void job_take(Jit *j)
{
    Beside *s = j->beside;
    job_end(s);
    if (s->is_void) {
        j->stats.voided++;
        jit_region_abandon(&s->maker, s->made);
        if (s->hot) {
            s->hot->heat = j->heat;
        }
        released_free(s);
    } else {
        jit_marks_set(&s->maker);
        jit_region_end(j, &s->maker, s->host, s->root, s->made);
    }
}

void jit_beside_poll(Jit *j, const Frame *f)
{
    Beside *s = j->beside;
    if (!s || !s->is_busy) {
        return;
    }
    if (s->delay != JIT_WHEN_MADE) {
        if (s->delay) {
            s->delay--;
            return;
        }
        worker_wait(s->worker, &s->job);
    }
    if (worker_is_done(&s->job)) {
        job_take(j);
    } else if (frame_insns(f) - s->since > PATIENCE && !s->is_void && worker_take_back(s->worker, &s->job)) {
        job_run(&s->job);
        job_take(j);
    }
}

void jit_beside_try(Jit *j, JBlock *b, const Frame *f)
{
    Beside *s = j->beside;
    jit_beside_poll(j, f);
    if (s->is_busy || b->hot) { /* it may have come into place just now */
        b->heat = j->heat < BUSY_HEAT ? j->heat : BUSY_HEAT;
        return;
    }
    s->host = s->host ? s->host : host_open_beside(j->host);
    s->root = jit_region_begin(&s->maker, b, f);
    if (s->maker.found) { /* which costs no more than handing it over */
        jit_region_end(j, &s->maker, s->host, s->root, jit_unit_make(&s->maker, s->host));
        return;
    }
    s->hot = b;
    s->is_void = false;
    for (unsigned k = 0; k < s->maker.nbbs; k++) {
        s->maker.bb[k].b->is_beside = true;
    }
    jit_marks_clear(&s->maker);
    s->is_busy = true;
    s->since = frame_insns(f);
    s->job.run = job_run;
    s->delay = jit_delay ? jit_delay(b->gva) : JIT_WHEN_MADE;
    if (!worker_give(s->worker, &s->job)) {
        job_run(&s->job);
        job_take(j);
    } else if (!s->delay) {
        jit_beside_poll(j, f);
    }
}

void jit_beside_release(Jit *j, JBlock *b)
{
    Beside *s = j->beside;
    if (!b->is_beside) {
        mem_free(b);
        return;
    }
    s->is_void = true;
    s->hot = s->hot == b ? NULL : s->hot;
    b->next = s->released;
    s->released = b;
}

void jit_beside_unlink(Jit *j, const JBlock *from, const JBlock *to)
{
    if (from->is_beside && to->is_beside) {
        j->beside->is_void = true;
    }
}

void jit_beside_close(Jit *j)
{
    Beside *s = j->beside;
    if (!s) {
        return;
    }
    if (s->is_busy) {
        if (!worker_take_back(s->worker, &s->job)) {
            worker_wait(s->worker, &s->job);
            jit_region_abandon(&s->maker, s->made);
        }
        released_free(s);
    }
    if (s->host) {
        host_close(s->host);
    }
    os_pages_free(s, sizeof *s);
}
