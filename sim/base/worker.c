/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/worker.h"

#include "sim/base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>

struct Worker {
    pthread_mutex_t lock; /* of all but max */
    pthread_cond_t has_job, has_done;
    WorkerJob *first, **end;
    unsigned max, nthreads, nfree; /* free: wait for a job */
    unsigned nwaiting;             /* jobs that were given and have not begun */
    bool is_ending;
    pthread_t thread[WORKER_MAX_THREADS];
};

static WorkerJob *next_job(Worker *w)
{
    w->nfree++;
    while (!w->first && !w->is_ending) {
        pthread_cond_wait(&w->has_job, &w->lock);
    }
    w->nfree--;
    WorkerJob *job = w->first;
    if (job) {
        w->first = job->next;
        w->end = w->first ? w->end : &w->first;
        w->nwaiting--;
    }
    return job;
}

static void *thread_run(void *arg)
{
    Worker *w = arg;
    WorkerJob *job;
    pthread_mutex_lock(&w->lock);
    while ((job = next_job(w))) {
        pthread_mutex_unlock(&w->lock);
        job->run(job);
        pthread_mutex_lock(&w->lock);
        atomic_store_explicit(&job->is_done, true, memory_order_release); /* from here on it is the caller's */
        pthread_cond_broadcast(&w->has_done);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals are for the threads that were there before. */
static void thread_begin(Worker *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    w->nthreads += !pthread_create(&w->thread[w->nthreads], NULL, thread_run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

Worker *worker_new(unsigned max_threads)
{
    assert(max_threads && max_threads <= WORKER_MAX_THREADS);
    Worker *w = x_alloc(sizeof *w);
    w->max = max_threads;
    w->end = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->has_job, NULL);
    pthread_cond_init(&w->has_done, NULL);
    return w;
}

void worker_free(Worker *w)
{
    if (!w) {
        return;
    }
    assert(!w->first);
    pthread_mutex_lock(&w->lock);
    w->is_ending = true;
    pthread_cond_broadcast(&w->has_job);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->nthreads; i++) {
        pthread_join(w->thread[i], NULL);
    }
    pthread_cond_destroy(&w->has_done);
    pthread_cond_destroy(&w->has_job);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

bool worker_give(Worker *w, WorkerJob *job)
{
    job->next = NULL;
    atomic_init(&job->is_done, false);
    pthread_mutex_lock(&w->lock);
    if (w->nfree <= w->nwaiting && w->nthreads < w->max) {
        thread_begin(w);
    }
    bool has_thread = w->nthreads;
    if (has_thread) {
        *w->end = job;
        w->end = &job->next;
        w->nwaiting++;
    }
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->has_job); /* who wakes finds the lock free */
    return has_thread;
}

bool worker_take_back(Worker *w, WorkerJob *job)
{
    pthread_mutex_lock(&w->lock);
    WorkerJob **at = &w->first;
    while (*at && *at != job) {
        at = &(*at)->next;
    }
    bool is_there = *at;
    if (is_there) {
        *at = job->next;
        w->end = job->next ? w->end : at;
        w->nwaiting--;
    }
    pthread_mutex_unlock(&w->lock);
    return is_there;
}

void worker_wait(Worker *w, WorkerJob *job)
{
    if (!worker_is_done(job)) {
        pthread_mutex_lock(&w->lock);
        while (!worker_is_done(job)) {
            pthread_cond_wait(&w->has_done, &w->lock);
        }
        pthread_mutex_unlock(&w->lock);
    }
}
