/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/machine.h"
#include "accel/core.h"

#include <string.h>

static int image_send(Vm *vm, unsigned which, const MachineFile *f, Err *err)
{
    Buf in = {0};
    size_t n = f->name ? strnlen(f->name, MACHINE_NAME_MAX) : 0;
    if (!f->name) {
        return 0;
    }
    buf_le(&in, which, 1);
    buf_le(&in, n, 2);
    buf_bytes(&in, f->name, n);
    buf_bytes(&in, f->bytes, f->n);
    int rc = vm_ctl(vm, NULL, MACHINE_CTL_IMAGE, in.data, in.n, NULL, err);
    buf_free(&in);
    return rc;
}

int machine_boot(Vm *vm, const MachineBoot *what, Err *err)
{
    if (vm->caps.level[CAP_boot] < CAP_PARTIAL) {
        return err_unsupported(err, vm->backend->name, cap_name(CAP_boot), vm->caps.why[CAP_boot]);
    }
    const MachineFile *files[MACHINE_IMAGES] = {&what->bios, &what->kernel, &what->initrd};
    size_t nnet = what->net ? strnlen(what->net, UINT8_MAX) : 0;
    int rc = 0;
    for (unsigned i = 0; i < MACHINE_DRIVES; i++) {
        files[MACHINE_IMAGES - MACHINE_DRIVES + i] = &what->drives[i];
    }
    for (unsigned i = 0; !rc && i < MACHINE_IMAGES; i++) {
        rc = image_send(vm, i, files[i], err);
    }
    Buf in = {0};
    buf_le(&in, what->ram_bytes, 8);
    buf_le(&in, what->nvcpus, 4);
    buf_le(&in, nnet, 1);
    buf_bytes(&in, what->net, nnet);
    buf_le(&in, what->append != NULL, 1);
    buf_str(&in, what->append ? what->append : "");
    rc = rc ? rc : vm_ctl(vm, NULL, MACHINE_CTL_BOOT, in.data, in.n, NULL, err);
    buf_free(&in);
    return rc;
}

int machine_run(Vm *vm, uint64_t for_ns, const void *typed, size_t ntyped, Buf *output, MachineStop *out, Err *err)
{
    Buf in = {0}, answer = {0};
    buf_le(&in, for_ns, 8);
    buf_bytes(&in, typed, ntyped < MACHINE_TYPED_MAX ? ntyped : MACHINE_TYPED_MAX);
    int rc = vm_ctl(vm, NULL, MACHINE_CTL_RUN, in.data, in.n, &answer, err);
    Cursor c = cursor_of(answer.data, answer.n);
    uint64_t kind = rc ? 0 : cursor_le(&c, 4);
    *out = (MachineStop){.kind = kind < EXIT_COUNT ? (ExitKind)kind : EXIT_unknown,
                         .reason = cursor_le(&c, 8),
                         .insns = cursor_le(&c, 8),
                         .now_ns = cursor_le(&c, 8),
                         .ntaken = (size_t)cursor_le(&c, 4)};
    if (!rc && (!cursor_ok(&c) || out->ntaken > ntyped)) {
        rc = err_set(err, ERR_PROTO, "%s: an answer of %zu bytes that does not parse", MACHINE_CTL_RUN, answer.n);
    }
    if (!rc) {
        buf_bytes(output, c.at, cursor_left(&c));
    }
    buf_free(&in);
    buf_free(&answer);
    return rc;
}
