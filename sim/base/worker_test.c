/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/worker.h"

#include "sim/base/mem.h"
#include "sim/base/test.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

enum { MANY = 500 };
typedef struct {
    WorkerJob job;
    sem_t *begun, *may_end; /* NULL: it waits for nobody */
    unsigned *count;        /* written without a lock by jobs of one thread */
    unsigned number;
    bool has_signals;
} Task;

static void run(WorkerJob *job)
{
    Task *t = (Task *)job;
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    t->has_signals = !sigismember(&now, SIGINT);
    if (t->begun) {
        sem_post(t->begun);
        sem_wait(t->may_end);
    }
    t->number = t->count ? ++*t->count : 0;
}

TEST(worker, jobs_are_done_in_order_and_what_they_wrote_is_seen)
{
    Worker *w = worker_new(1);
    static Task task[MANY];
    unsigned count = 0;
    for (unsigned i = 0; i < MANY; i++) {
        task[i] = (Task){.job.run = run, .count = &count};
        CHECK(worker_give(w, &task[i].job));
    }
    for (unsigned i = 0; i < MANY; i++) {
        worker_wait(w, &task[i].job);
        CHECK(worker_is_done(&task[i].job));
        CHECK_INT(task[i].number, i + 1);
        CHECK(!task[i].has_signals);
    }
    worker_free(w);
}

TEST(worker, a_job_that_has_not_begun_can_be_taken_back_and_one_that_has_cannot)
{
    Worker *w = worker_new(1);
    sem_t begun, may_end;
    unsigned count = 0;
    sem_init(&begun, 0, 0);
    sem_init(&may_end, 0, 0);
    Task first = {.job.run = run, .begun = &begun, .may_end = &may_end, .count = &count};
    Task next[3];
    CHECK(worker_give(w, &first.job));
    sem_wait(&begun);
    for (unsigned i = 0; i < 3; i++) {
        next[i] = (Task){.job.run = run, .count = &count};
        CHECK(worker_give(w, &next[i].job));
    }
    CHECK(!worker_is_done(&first.job));
    CHECK(worker_take_back(w, &next[1].job)); /* in the middle */
    CHECK(worker_take_back(w, &next[2].job)); /* the last */
    CHECK(worker_give(w, &next[1].job));
    CHECK(!worker_take_back(w, &first.job));
    CHECK(!worker_is_done(&first.job));
    sem_post(&may_end);
    worker_wait(w, &first.job);
    worker_wait(w, &next[1].job);
    CHECK(worker_is_done(&first.job));
    CHECK(!worker_take_back(w, &next[0].job));
    CHECK_INT(first.number, 1);
    CHECK_INT(next[0].number, 2);
    CHECK_INT(next[1].number, 3);
    CHECK_INT(count, 3);
    worker_free(w);
    sem_destroy(&begun);
    sem_destroy(&may_end);
}

TEST(worker, as_many_run_at_once_as_there_may_be_threads)
{
    enum { THREADS = 4 };
    Worker *w = worker_new(THREADS);
    sem_t begun, may_end;
    Task task[THREADS + 1];
    sem_init(&begun, 0, 0);
    sem_init(&may_end, 0, 0);
    for (unsigned i = 0; i < THREADS + 1; i++) {
        task[i] = (Task){.job.run = run, .begun = &begun, .may_end = &may_end};
        CHECK(worker_give(w, &task[i].job));
    }
    for (unsigned i = 0; i < THREADS; i++) { /* else it lasts for ever */
        sem_wait(&begun);
    }
    CHECK(worker_take_back(w, &task[THREADS].job));
    for (unsigned i = 0; i < THREADS; i++) {
        sem_post(&may_end);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        worker_wait(w, &task[i].job);
    }
    worker_free(w);
    sem_destroy(&begun);
    sem_destroy(&may_end);
}

TEST(worker, one_without_a_job_has_no_thread_to_end)
{
    Worker *w = worker_new(WORKER_MAX_THREADS);
    CHECK(w);
    worker_free(w);
    worker_free(NULL);
}
