/* SPDX-License-Identifier: Apache-2.0
 * story_unmet.c - why a case cannot run on a backend. */
#include "conformance/asset.h"
#include "conformance/isa.h"
#include "conformance/story_int.h"

#include <string.h>

bool story_names_backend(const char *word, const char *backend)
{
    size_t n = strlen(word);
    return strncmp(word, backend, n) == 0 && (backend[n] == '\0' || backend[n] == '@' || backend[n] == ' ' ||
                                              (backend[n] == '-' && !strcmp(word, "sim")));
}

static bool runs_vcpu(const Step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool is_entry = steps[i].kind == STEP_op && steps[i].word &&
                        (!strcmp(steps[i].word, "execute") || !strcmp(steps[i].word, "run"));
        if ((steps[i].kind == STEP_run && steps[i].run.nlists) || is_entry) {
            return true;
        }
    }
    return false;
}

static bool unmet_backend(const Case *c, const Backend *b, Buf *out)
{
    bool is_named = c->nbackends == 0;
    for (size_t i = 0; i < c->nbackends; i++) {
        is_named |= story_names_backend(c->backends[i], b->name);
    }
    if (is_named) {
        return false;
    }
    buf_str(out, "only for");
    for (size_t i = 0; i < c->nbackends; i++) {
        buf_printf(out, "%s %s", i ? "," : "", c->backends[i]);
    }
    return true;
}

static bool unmet_assets(const Boot *b, Buf *out)
{
    const Asset *const all[] = {b->bios, b->kernel, b->initrd};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i] && asset_is_absent(all[i], out)) {
            return true;
        }
    }
    for (size_t i = 0; i < b->ndrives; i++) {
        if (asset_is_absent(b->drives[i], out)) {
            return true;
        }
    }
    return false;
}

/* Whatever a story does, its code lies in memory and a vcpu does it. */
static bool unmet_world(const Case *c, const Backend *b, const Caps *caps, Buf *out)
{
    static const Cap world[] = {CAP_vcpu, CAP_map};
    for (size_t i = 0; i < ARRAY_LEN(world) && !c->boot; i++) {
        if (caps->level[world[i]] < CAP_PARTIAL) {
            const char *why = caps->why[world[i]];
            buf_printf(out, "needs %s: %s: %s", cap_name(world[i]), b->name,
                       why ? why : cap_level_name(caps->level[world[i]]));
            return true;
        }
    }
    return false;
}

static void put_lack(const char *what, const Backend *b, const Caps *caps, Buf *out)
{
    buf_printf(out, "needs %s: %s: isa %s", what, b->name, caps->isa);
}

static bool unmet_isa(const Case *c, const Backend *b, const Caps *caps, Buf *out)
{
    Buf lack = {0};
    bool is_unmet = c->guest == GUEST_riscv64 && caps->isa && isa_case_lacks(c, caps->isa, &lack);
    if (is_unmet) {
        put_lack(buf_text(&lack), b, caps, out);
    }
    buf_free(&lack);
    return is_unmet;
}

bool story_code_unmet(const World *w, const Backend *b, const Caps *caps, Buf *out)
{
    Buf lack = {0};
    bool is_unmet = caps->isa && world_lacks(w, caps->isa, &lack);
    if (is_unmet) {
        put_lack(buf_text(&lack), b, caps, out);
    }
    buf_free(&lack);
    return is_unmet;
}

bool story_unmet(const Case *c, const Backend *b, const Caps *caps, Buf *out)
{
    if (unmet_backend(c, b, out) || unmet_world(c, b, caps, out)) {
        return true;
    }
    if (c->need_device) {
        buf_printf(out, "needs device %s: the board of %s has none", c->need_device, guest_name(c->guest));
        return true;
    }
    if (story_is_fake(caps) && c->nfake == 0 && runs_vcpu(c->steps, c->nsteps)) {
        buf_str(out, "fake runs no code and the scenario has no `fake:` list");
        return true;
    }
    if (!story_is_fake(caps) && !c->boot && caps->level[CAP_executes] < CAP_PARTIAL && runs_vcpu(c->steps, c->nsteps)) {
        const char *why = caps->why[CAP_executes];
        buf_printf(out, "needs executes (runs a vcpu): %s: %s", b->name,
                   why ? why : cap_level_name(caps->level[CAP_executes]));
        return true;
    }
    for (int cap = 0; cap < CAP_COUNT; cap++) {
        bool is_played = cap == CAP_executes && story_is_fake(caps) && c->nfake;
        if (c->needs[cap] && caps->level[cap] < c->needs[cap] && !is_played) {
            bool is_whole = c->needs[cap] == CAP_FULL;
            buf_printf(out, "needs %s%s%s%s%s: %s: %s", is_whole ? "all of " : "", cap_name((Cap)cap),
                       c->need_why[cap] ? " (" : "", c->need_why[cap] ? c->need_why[cap] : "",
                       c->need_why[cap] ? ")" : "", b->name,
                       caps->why[cap] ? caps->why[cap] : cap_level_name(caps->level[cap]));
            return true;
        }
    }
    if (caps->max_vcpus && c->nvcpus > caps->max_vcpus) {
        buf_printf(out, "needs %zu vcpus: %s has %u", c->nvcpus, b->name, caps->max_vcpus);
        return true;
    }
    return unmet_isa(c, b, caps, out) || (c->boot && unmet_assets(c->boot, out));
}
