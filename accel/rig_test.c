/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/rig.h"

#include "sim/base/test.h"

#include <string.h>

static void hear_exit(void *ctx, const VmExit *e)
{
    Rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    buf_printf(&r->heard, "exit%s ", e->is_completed ? "*" : "");
    exit_print(&r->heard, e, false);
    buf_str(&r->heard, "; ");
    pthread_mutex_unlock(&r->lock);
}

static void hear_op(void *ctx, uint8_t vcpu, LifeOp op, uint8_t from, uint8_t to, int rc)
{
    Rig *r = ctx;
    (void)vcpu;
    pthread_mutex_lock(&r->lock);
    const LifeModel *m = vm_model(r->vm);
    buf_printf(&r->heard, "%s %s>%s %s; ", m->op_names[op] ? m->op_names[op] : "?", m->states[from], m->states[to],
               rc ? err_name(rc) : "0");
    pthread_mutex_unlock(&r->lock);
}

void rig_open(Rig *r, const LifeModel *model, const VmConfig *cfg)
{
    static const VmConfig plain = {.guest = GUEST_x86_64};
    *r = (Rig){0};
    pthread_mutex_init(&r->lock, NULL);
    Observer o = {.ctx = r, .on_exit = hear_exit, .on_op = hear_op};
    Err err = {0};
    CHECK(vm_open(backend_find("fake"), cfg ? cfg : &plain, model, &o, &r->vm, &err) == 0);
    CHECK_STR(err.text, "");
    CHECK(vcpu_new(r->vm, &(VcpuConfig){0}, &r->v, &err) == 0);
}

void rig_close(Rig *r)
{
    vm_close(r->vm);
    buf_free(&r->heard);
    pthread_mutex_destroy(&r->lock);
}

void rig_setup(Rig *r, uint64_t entry)
{
    CHECK(vcpu_setup(r->v, &(VcpuSetup){.entry = {entry}}, NULL) == 0);
}

int rig_ctl(Rig *r, const char *name, const char *text, Buf *out, Err *err)
{
    Buf unused = {0};
    int rc = vm_ctl(r->vm, NULL, name, text, strlen(text), out ? out : &unused, err);
    buf_free(&unused);
    return rc;
}

void rig_script(Rig *r, const char *text)
{
    Err err = {0};
    CHECK(rig_ctl(r, "fake.script", text, NULL, &err) == 0);
    CHECK_STR(err.text, "");
}

int rig_run(Rig *r, VmExit *exit)
{
    return vcpu_run(r->v, &RUN_FOREVER, exit, NULL);
}

uint64_t rig_reg(Rig *r, const char *name)
{
    uint8_t bytes[16] = {0};
    RegIo io = {.id = reg_find(vm_guest(r->vm), name)->id, .bytes = bytes};
    CHECK(vcpu_get_regs(r->v, &io, 1, NULL, NULL) == 0);
    Cursor c = cursor_of(bytes, 8);
    return cursor_le(&c, 8);
}

const char *rig_state(const Rig *r)
{
    return vm_model(r->vm)->states[vcpu_state(r->v)];
}

const char *rig_heard(Rig *r)
{
    static _Thread_local char text[4096];
    pthread_mutex_lock(&r->lock);
    strncpy(text, buf_text(&r->heard), sizeof text - 1);
    buf_clear(&r->heard);
    pthread_mutex_unlock(&r->lock);
    return text;
}

bool rig_log_has(Rig *r, const char *text)
{
    Buf log = {0};
    CHECK(rig_ctl(r, "fake.log", "", &log, NULL) == 0);
    bool has = strstr(buf_text(&log), text);
    buf_free(&log);
    return has;
}
