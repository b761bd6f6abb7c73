/* SPDX-License-Identifier: Apache-2.0
 * story_fake.c - what the backend `fake` plays instead of running code: the lines of the scenario's `fake:` list, in
 * the language of accel/fake/fake.h, with {expressions} evaluated and two words more: `done` and `trap`, the exits of
 * the guest's doorbell (world.h). A trap's cause comes from the registers that the kit's vectors leave: `set
 * scause=15`. */
#include "conformance/story_int.h"

#include <string.h>

static const char script_ctl[] = "fake.script";

bool story_is_fake(const Caps *caps)
{
    for (const char *const *p = caps->ctls; p && *p; p++) {
        if (strcmp(*p, script_ctl) == 0) {
            return true;
        }
    }
    return false;
}

/* "addr={$dev + 8}" -> "addr=0xd0000008" */
static int braces(Story *s, const FakeLine *line, Buf *out, Err *err)
{
    const char *at = line->line;
    while (*at) {
        const char *open = strchr(at, '{'), *close = open ? strchr(open, '}') : NULL;
        if (!close) {
            buf_str(out, at);
            return 0;
        }
        char *text = x_strndup(open + 1, (size_t)(close - open - 1));
        uint64_t n = 0;
        STORY_LOCK(s);
        int rc = expr_eval(text, &s->names, &n, err);
        STORY_UNLOCK(s);
        mem_free(text);
        if (rc) {
            err_prefix(err, "fake: line %u", line->pos.line);
            return rc;
        }
        buf_bytes(out, at, (size_t)(open - at));
        buf_printf(out, "0x%llx", (unsigned long long)n);
        at = close + 1;
    }
    return 0;
}

static bool word_is(const char *at, size_t n, const char *word)
{
    size_t len = strlen(word);
    return n >= len && memcmp(at, word, len) == 0 && (n == len || at[len] == ' ');
}

static void ring(GuestId guest, bool is_done, const char *keys, size_t n, Buf *out)
{
    if (guest == GUEST_x86_64) {
        buf_printf(out, "io_write port=0x%x size=1 value=0", is_done ? 0xf4 : 0xf5);
    } else {
        buf_printf(out, "mmio_write addr=0x%x size=1 value=0", is_done ? 0x100 : 0x108);
    }
    const char *eq = memchr(keys, '=', n); /* pc= and next= of the ring itself, as of every exit */
    if (eq) {
        buf_printf(out, " %.*s", (int)n, keys);
    }
    buf_char(out, '\n');
}

/* One line, which may hold several entries separated by `;`. */
static void entries(GuestId guest, const char *text, Buf *out)
{
    while (*text) {
        text += strspn(text, " ;");
        size_t n = strcspn(text, ";");
        bool is_done = word_is(text, n, "done"), is_trap = word_is(text, n, "trap");
        if (is_done || is_trap) {
            ring(guest, is_done, text + 4, n - 4, out);
        } else if (n) {
            buf_bytes(out, text, n);
            buf_char(out, '\n');
        }
        text += n;
    }
}

static int load_one(StoryVcpu *sv, void *ctx, Err *err)
{
    const Buf *script = ctx;
    return vm_ctl(sv->story->vm, sv->v, script_ctl, buf_text(script), script->n, NULL, err);
}

int story_fake_load(Story *s, Err *err)
{
    int rc = 0;
    for (size_t v = 0; v < s->c->nvcpus && rc == 0 && story_is_fake(s->caps); v++) {
        Buf script = {0};
        for (size_t i = 0; i < s->c->nfake && rc == 0; i++) {
            Buf line = {0};
            if (s->c->fake[i].vcpu == v) {
                rc = braces(s, &s->c->fake[i], &line, err);
                entries(s->c->guest, buf_text(&line), &script);
            }
            buf_free(&line);
        }
        if (rc == 0 && script.n) {
            rc = story_on_owner(&s->vcpus[v], load_one, &script, err);
        }
        buf_free(&script);
    }
    return rc;
}

int story_fake_shutdown(StoryVcpu *sv, Err *err)
{
    Buf script = {0};
    buf_str(&script, "shutdown");
    int rc = story_on_owner(sv, load_one, &script, err);
    buf_free(&script);
    return rc;
}
