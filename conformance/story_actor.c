/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/story_int.h"
#include "sim/base/os.h"

#include <errno.h>
#include <time.h>

struct Actor {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    ActorJob *job;
    void *ctx;
    bool is_busy, is_ending;
};

static void *actor_main(void *arg)
{
    Actor *a = arg;
    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (!a->job && !a->is_ending) {
            pthread_cond_wait(&a->changed, &a->lock);
        }
        if (!a->job) {
            break;
        }
        ActorJob *job = a->job;
        void *ctx = a->ctx;
        a->job = NULL;
        pthread_mutex_unlock(&a->lock);
        job(ctx);
        pthread_mutex_lock(&a->lock);
        a->is_busy = false;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int actor_new(Actor **out, Err *err)
{
    Actor *a = x_alloc(sizeof *a);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&a->thread, NULL, actor_main, a);
    if (rc) {
        pthread_cond_destroy(&a->changed);
        pthread_mutex_destroy(&a->lock);
        mem_free(a);
        return err_native(err, ERR_HOST, rc, "cannot start a thread for a vcpu");
    }
    *out = a;
    return 0;
}

void actor_free(Actor *a)
{
    if (!a) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    a->is_ending = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

void actor_post(Actor *a, ActorJob *job, void *ctx)
{
    pthread_mutex_lock(&a->lock);
    while (a->is_busy) {
        pthread_cond_wait(&a->changed, &a->lock);
    }
    a->job = job;
    a->ctx = ctx;
    a->is_busy = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

bool actor_wait(Actor *a, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u), .tv_nsec = (long)(until_ns % 1000000000u)};
    int rc = 0;
    pthread_mutex_lock(&a->lock);
    while (a->is_busy && rc != ETIMEDOUT) {
        rc = until_ns == UINT64_MAX ? pthread_cond_wait(&a->changed, &a->lock)
                                    : pthread_cond_timedwait(&a->changed, &a->lock, &until);
    }
    bool is_idle = !a->is_busy;
    pthread_mutex_unlock(&a->lock);
    return is_idle;
}

bool actor_cancel(Actor *a)
{
    pthread_mutex_lock(&a->lock);
    bool has_begun = a->is_busy && !a->job;
    a->job = NULL;
    a->is_busy = has_begun;
    pthread_mutex_unlock(&a->lock);
    return !has_begun;
}

bool actor_is_idle(Actor *a)
{
    pthread_mutex_lock(&a->lock);
    bool is_idle = !a->is_busy;
    pthread_mutex_unlock(&a->lock);
    return is_idle;
}

bool actor_is_self(const Actor *a)
{
    return pthread_equal(a->thread, pthread_self());
}
