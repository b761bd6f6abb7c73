/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/fake/impl.h"

#include <string.h>

static unsigned thread_ordinal(BeVm *vm)
{
    pthread_t self = pthread_self();
    for (unsigned i = 0; i < vm->nthreads; i++) {
        if (pthread_equal(vm->threads[i], self)) {
            return i;
        }
    }
    if (vm->nthreads == FAKE_MAX_THREADS) {
        return FAKE_MAX_THREADS;
    }
    vm->threads[vm->nthreads] = self;
    return vm->nthreads++;
}

int fake_log(BeVm *vm, int rc, const char *op, const char *fmt, ...)
{
    pthread_mutex_lock(&vm->lock);
    unsigned thread = thread_ordinal(vm);
    if (vm->log.n >= FAKE_LOG_BYTES) {
        vm->nlost++;
    } else {
        va_list args;
        va_start(args, fmt);
        buf_printf(&vm->log, "%s thread %u", op, thread);
        if (*fmt) {
            buf_char(&vm->log, ' ');
        }
        buf_vprintf(&vm->log, fmt, args);
        va_end(args);
        if (rc) {
            buf_printf(&vm->log, " -> -%s\n", err_name(rc));
        } else {
            buf_str(&vm->log, " -> 0\n");
        }
    }
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

int fake_fails(BeVm *vm, const char *op, Err *err)
{
    int rc = 0;
    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < vm->nfails && !rc; i++) {
        if (!strcmp(vm->fails[i].op, op)) {
            rc = err_set(err, vm->fails[i].code, "%s: fake.fail asked for %s", op, err_name(vm->fails[i].code));
            vm->nfails--;
            memmove(&vm->fails[i], &vm->fails[i + 1], (vm->nfails - i) * sizeof vm->fails[0]);
        }
    }
    pthread_mutex_unlock(&vm->lock);
    return rc;
}

int fake_fail_add(BeVm *vm, const char *text, size_t n, Err *err)
{
    Fail f = {0};
    const char *space = n ? memchr(text, ' ', n) : NULL;
    size_t nop = space ? (size_t)(space - text) : 0;
    char name[32] = "";
    if (!nop || nop >= sizeof f.op || n - nop - 1 >= sizeof name) {
        return err_set(err, ERR_INVAL, "fake.fail: expected OP ERROR, such as vcpu.setup HOST");
    }
    memcpy(f.op, text, nop);
    memcpy(name, space + 1, n - nop - 1);
    for (int code = 1; code < ERR_COUNT; code++) {
        if (!strcmp(name, err_name(code))) {
            f.code = code;
        }
    }
    if (!f.code) {
        return err_set(err, ERR_INVAL, "fake.fail: no error %s", name);
    }
    int rc = 0;
    pthread_mutex_lock(&vm->lock);
    if (vm->nfails == FAKE_MAX_FAILS) {
        rc = err_set(err, ERR_LIMIT, "fake.fail: %u wait already", FAKE_MAX_FAILS);
    } else {
        vm->fails[vm->nfails++] = f;
    }
    pthread_mutex_unlock(&vm->lock);
    return rc;
}
