/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/guest/regs.h"
#include "sim/base/mem.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name, *target;
} Neutral;

typedef struct {
    const char *name;
    const RegInfo *regs;
    const Neutral *neutral;
    size_t nregs, nneutral;
} GuestRegs;

#define REG_CLASS_GPR    REG_GPR
#define REG_CLASS_FP     REG_FP
#define REG_CLASS_VEC    REG_VEC
#define REG_CLASS_SYS    REG_SYS
#define REG_CLASS_CTL    REG_CTL
#define REG_CLASS_STATE  REG_STATE
#define REG_CLASS_NATIVE REG_NATIVE

/* Each table is read twice: as rows, and as the cases of a switch from id to row, which the compiler turns into a
 * search tree; a number that is used twice in a table does not compile. */
#define NEUTRAL(name, target)
#define REG(name, cls, index, lg2, writable, fixed)                                                                    \
    {REG_ID(GUEST, lg2, REG_CLASS_##cls, index), #name, writable, fixed},
#define GUEST GUEST_riscv64
static const RegInfo regs_riscv64[] = {
#include "sim/guest/riscv64/regs.def"
};
#undef GUEST
#define GUEST GUEST_aarch64
static const RegInfo regs_aarch64[] = {
#include "sim/guest/aarch64/regs.def"
};
#undef GUEST
#define GUEST GUEST_x86_64
static const RegInfo regs_x86_64[] = {
#include "sim/guest/x86_64/regs.def"
};
#undef GUEST
#undef REG
#undef NEUTRAL

#define REG(name, cls, index, lg2, writable, fixed)
#define NEUTRAL(name, target) {#name, #target},
static const Neutral neutral_riscv64[] = {
#include "sim/guest/riscv64/regs.def"
};
static const Neutral neutral_aarch64[] = {
#include "sim/guest/aarch64/regs.def"
};
static const Neutral neutral_x86_64[] = {
#include "sim/guest/x86_64/regs.def"
};
#undef REG
#undef NEUTRAL

#define ROW(isa) [GUEST_##isa] = {#isa, regs_##isa, neutral_##isa, ARRAY_LEN(regs_##isa), ARRAY_LEN(neutral_##isa)}
static const GuestRegs guests[GUEST_COUNT] = {ROW(riscv64), ROW(aarch64), ROW(x86_64)};

#define NEUTRAL(name, target)
#define REG(name, cls, index, lg2, writable, fixed)                                                                    \
    case REG_ID(GUEST, lg2, REG_CLASS_##cls, index):                                                                   \
        return &TABLE[__COUNTER__ - FIRST];
static const RegInfo *info_riscv64(RegId id)
{
    enum { FIRST = __COUNTER__ + 1 };
#define GUEST GUEST_riscv64
#define TABLE regs_riscv64
    switch (id) {
#include "sim/guest/riscv64/regs.def"
    default:
        return NULL;
    }
#undef GUEST
#undef TABLE
}

static const RegInfo *info_aarch64(RegId id)
{
    enum { FIRST = __COUNTER__ + 1 };
#define GUEST GUEST_aarch64
#define TABLE regs_aarch64
    switch (id) {
#include "sim/guest/aarch64/regs.def"
    default:
        return NULL;
    }
#undef GUEST
#undef TABLE
}

static const RegInfo *info_x86_64(RegId id)
{
    enum { FIRST = __COUNTER__ + 1 };
#define GUEST GUEST_x86_64
#define TABLE regs_x86_64
    switch (id) {
#include "sim/guest/x86_64/regs.def"
    default:
        return NULL;
    }
#undef GUEST
#undef TABLE
}

static const GuestRegs *guest_regs(GuestId guest)
{
    return (unsigned)guest < GUEST_COUNT && guests[guest].name ? &guests[guest] : NULL;
}

const RegInfo *reg_info(RegId id)
{
    switch ((unsigned)(id >> 60)) {
    case GUEST_riscv64:
        return info_riscv64(id);
    case GUEST_aarch64:
        return info_aarch64(id);
    case GUEST_x86_64:
        return info_x86_64(id);
    default:
        return NULL;
    }
}

const char *reg_text(RegId id, char *buf, size_t n)
{
    const RegInfo *row = reg_info(id);
    bool is_msr = REG_GUEST(id) == GUEST_x86_64 && REG_CLASS(id) == REG_SYS;
    if (row) {
        return row->name;
    }
    snprintf(buf, n, "%s %#llx", is_msr ? "MSR" : "register", (unsigned long long)(is_msr ? REG_INDEX(id) : id));
    return buf;
}

bool reg_x86_64_fits(RegId id, const void *bytes)
{
    enum { RFLAGS = 1, SEGMENTS = 8, TABLES = 40 }; /* of REG_CTL, regs.def */
    uint64_t value = 0, index = REG_INDEX(id);
    const RegInfo *row = reg_info(id);
    bool is_checked = REG_CLASS(id) == REG_STATE ||
                      (REG_CLASS(id) == REG_CTL && (index == RFLAGS || (index >= SEGMENTS && index < TABLES)));
    if (!row || !is_checked || row->writable == 0) {
        return true;
    }
    memcpy(&value, bytes, REG_SIZE(id) < 8 ? REG_SIZE(id) : 8);
    return (value & ~(row->writable | row->fixed)) == 0;
}

const RegInfo *reg_find(GuestId guest, const char *name)
{
    const GuestRegs *g = guest_regs(guest);
    if (!g || !name) {
        return NULL;
    }
    for (size_t i = 0; i < g->nneutral; i++) {
        if (g->neutral[i].name[0] == name[0] && !strcmp(g->neutral[i].name, name)) {
            name = g->neutral[i].target;
            break;
        }
    }
    for (size_t i = 0; i < g->nregs; i++) {
        if (g->regs[i].name[0] == name[0] && !strcmp(g->regs[i].name, name)) {
            return &g->regs[i];
        }
    }
    return NULL;
}

const RegInfo *reg_table(GuestId guest, size_t *n)
{
    const GuestRegs *g = guest_regs(guest);
    *n = g ? g->nregs : 0;
    return g ? g->regs : NULL;
}

enum { NAME_MAX_CHARS = 32 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Optimal string alignment: insert, delete, replace, swap two neighbours cost one each. */
static size_t name_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    size_t row[3][NAME_MAX_CHARS + 1];
    if (na > NAME_MAX_CHARS || nb > NAME_MAX_CHARS) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= nb; j++) {
        row[0][j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        size_t *now = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = min3(prev[j] + 1, now[j - 1] + 1, prev[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && prev2[j - 2] + 1 < now[j]) {
                now[j] = prev2[j - 2] + 1;
            }
        }
    }
    return row[na % 3][nb];
}

const char *reg_nearest(GuestId guest, const char *name)
{
    const GuestRegs *g = guest_regs(guest);
    if (!g || !name) {
        return NULL;
    }
    const char *best = NULL;
    size_t limit = strlen(name) / 3 + 1, least = limit + 1;
    for (size_t i = 0; i < g->nregs + g->nneutral; i++) {
        const char *other = i < g->nregs ? g->regs[i].name : g->neutral[i - g->nregs].name;
        size_t d = name_distance(name, other);
        if (d < least) {
            least = d;
            best = other;
        }
    }
    return best;
}

const char *guest_name(GuestId guest)
{
    const GuestRegs *g = guest_regs(guest);
    return g ? g->name : NULL;
}

GuestId guest_find(const char *name)
{
    for (unsigned i = 1; name && i < GUEST_COUNT; i++) {
        if (!strcmp(guests[i].name, name)) {
            return (GuestId)i;
        }
    }
    return (GuestId)0;
}
