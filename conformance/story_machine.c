/* SPDX-License-Identifier: Apache-2.0
 * story_machine.c - a scenario with `boot`: the backend's own machine (machine.h), run in slices of guest time between which the
 * console is looked at. Where slices end depends on the guest and the scenario alone, so that what is typed arrives at the
 * same instruction every time. */
#include "accel/machine.h"
#include "conformance/asset.h"
#include "conformance/story_int.h"
#include "sim/base/os.h"

#include <string.h>

enum {
    /* Of guest time. What is typed waits so long at most, and a guest that polls a device costs so much between two looks at the
     * console: under a sanitizer, seconds of 10 ms. */
    SLICE_NS = 1000000,
    MAX_IMAGE = 256 << 20,
    MAX_TRANSCRIPT = 16 << 20,
    PEEK = 8,
    SHOWN_LINES = 12
};

static int image_read(const Asset *a, Buf *bytes, MachineFile *out, Err *err)
{
    Buf path = {0};
    if (!a) {
        return 0;
    }
    asset_path(a, &path);
    int rc = os_read_file(buf_text(&path), MAX_IMAGE, bytes, err);
    *out = (MachineFile){a->name, buf_text(bytes), bytes->n};
    buf_free(&path);
    return rc;
}

int story_machine_make(Story *s, Vm *vm, Err *err)
{
    const Boot *b = s->c->boot;
    Buf bytes[MACHINE_IMAGES] = {0};
    MachineBoot what = {.append = b->cmdline, .ram_bytes = b->ram_bytes, .nvcpus = b->nharts, .net = b->net};
    int rc = image_read(b->bios, &bytes[0], &what.bios, err);
    rc = rc ? rc : image_read(b->kernel, &bytes[1], &what.kernel, err);
    rc = rc ? rc : image_read(b->initrd, &bytes[2], &what.initrd, err);
    for (size_t i = 0; !rc && i < b->ndrives; i++) {
        rc = image_read(b->drives[i], &bytes[MACHINE_IMAGES - MACHINE_DRIVES + i], &what.drives[i], err);
    }
    rc = rc ? rc : machine_boot(vm, &what, err);
    for (size_t i = 0; i < MACHINE_IMAGES; i++) {
        buf_free(&bytes[i]);
    }
    return rc;
}

int story_machine_type(Story *s, const char *text, Err *err)
{
    size_t n = strlen(text);
    if (s->typed.n + n > MACHINE_TYPED_MAX) {
        return err_set(err, ERR_LIMIT, "type: more than %d bytes wait to be read", MACHINE_TYPED_MAX);
    }
    buf_bytes(&s->typed, text, n);
    return 0;
}

/* What was printed joins the transcript. True: the run list has come to it. */
static bool transcript_add(StoryVcpu *sv, const Buf *output)
{
    Story *s = sv->story;
    const Item *next[PEEK];
    size_t end;
    bool is_awaited = false;
    STORY_LOCK(s);
    if (s->console.n + output->n <= MAX_TRANSCRIPT) {
        buf_bytes(&s->console, output->data, output->n);
    }
    size_t n = output->n ? walk_next(&sv->walk, next, PEEK) : 0;
    for (size_t i = 0; i < n; i++) {
        is_awaited |= next[i]->kind == ITEM_CONSOLE && story_console_took(s, next[i], &end);
    }
    STORY_UNLOCK(s);
    return is_awaited;
}

static int slice(StoryVcpu *sv, bool *is_awaited, MachineStop *stop, Err *err)
{
    Story *s = sv->story;
    Buf output = {0};
    uint64_t length = SLICE_NS < sv->guest_left_ns ? SLICE_NS : sv->guest_left_ns;
    uint64_t before = s->machine_ns;
    int rc = machine_run(s->vm, length, s->typed.data, s->typed.n, &output, stop, err);
    if (!rc) {
        s->typed.n -= stop->ntaken;
        if (s->typed.n) {
            memmove(s->typed.data, s->typed.data + stop->ntaken, s->typed.n);
        }
        s->machine_ns = stop->now_ns;
        uint64_t passed = stop->now_ns - before;
        sv->guest_left_ns -= passed < sv->guest_left_ns ? passed : sv->guest_left_ns;
        *is_awaited = transcript_add(sv, &output);
    }
    buf_free(&output);
    return rc;
}

int story_machine_run(StoryVcpu *sv, VmExit *e, Err *err)
{
    Story *s = sv->story;
    MachineStop stop = {0};
    bool is_awaited = false;
    if (s->has_machine_end) { /* it ended in the slice in which it printed what was waited for */
        s->has_machine_end = false;
        *e = s->machine_end;
        return 0;
    }
    for (;;) {
        if (atomic_load(&s->is_interrupted) || atomic_load(&s->is_stopping) || os_now_ns() >= s->deadline_ns) {
            *e = (VmExit){.kind = EXIT_canceled};
            return 0;
        }
        if (!sv->guest_left_ns) { /* used up to the slice in which the console came to an item */
            *e = (VmExit){.kind = EXIT_budget};
            return 0;
        }
        int rc = slice(sv, &is_awaited, &stop, err);
        if (rc) {
            return rc;
        }
        if (is_awaited || stop.kind != EXIT_budget || !sv->guest_left_ns) {
            break;
        }
    }
    *e = (VmExit){.kind = stop.kind, .addr = stop.reason, .insns = stop.insns, .valid = HAS_insns};
    if (is_awaited) {
        s->has_machine_end = e->kind != EXIT_budget;
        s->machine_end = *e;
        e->kind = EXIT_canceled;
        atomic_store(&sv->has_console_news, true);
    }
    return 0;
}

const Item *story_machine_awaits(StoryVcpu *sv)
{
    const Item *next = NULL;
    return sv->story->c->boot && sv->list && walk_next(&sv->walk, &next, 1) ? next : NULL;
}

void story_machine_text(StoryVcpu *sv, const Item *awaited, Buf *out)
{
    Story *s = sv->story;
    buf_str(out, "      | expected  ");
    item_print(s, awaited, out);
    STORY_LOCK(s);
    size_t n = s->console.n, from = n;
    for (unsigned lines = 0; from && lines <= SHOWN_LINES; from--) {
        lines += s->console.data[from - 1] == '\n';
    }
    buf_printf(out, "\n      | the console, after %.3f s of guest time, ends with:\n", (double)s->machine_ns / 1e9);
    bool is_start = true;
    for (; from < n; from++) {
        unsigned char c = (unsigned char)s->console.data[from];
        buf_str(out, is_start ? "      |   " : "");
        if (c == '\n' || (c >= ' ' && c < 0x7f)) {
            buf_char(out, (char)c);
        }
        is_start = c == '\n';
    }
    buf_str(out, is_start ? "" : "\n");
    STORY_UNLOCK(s);
}
