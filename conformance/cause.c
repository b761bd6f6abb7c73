/* SPDX-License-Identifier: Apache-2.0
 * cause.c - the neutral names of traps. riscv64: scause (Privileged ISA table 10.2; with H 15.6.1); x86_64: vector and, for page
 * faults, error code (SDM 3A table 6-1, 4.7); aarch64: ESR_EL1.EC and ISS (Arm ARM D17.2.37). */
#include "conformance/world.h"

#include <string.h>

typedef struct {
    const char *word;
    int riscv64; /* -1 = the guest has no such trap */
    int x86_64;
    uint64_t x86_mask, x86_code; /* (error code & mask) == code */
    int aarch64[2];              /* ECs: from a lower level, from the same; -1 = none */
    uint64_t iss_mask, iss_code;
} Cause;

/* Page faults of x86: code bit 1 write, bit 4 instruction fetch. Data aborts: ISS.WnR is bit 6; DFSC 5:2 is 1 for a
 * translation, 2 for an access flag, 3 for a permission fault; 0x21 alignment; 0x10 external. */
static const Cause causes[] = {
    {"fetch_misaligned", 0, -1, 0, 0, {0x22, -1}, 0, 0},
    {"fetch_access_fault", 1, -1, 0, 0, {0x20, 0x21}, 0x3f, 0x10},
    {"illegal_instruction", 2, 6, 0, 0, {0x00, -1}, 0, 0},
    {"breakpoint", 3, 3, 0, 0, {0x3c, -1}, 0, 0},
    {"load_misaligned", 4, 17, 0, 0, {0x24, 0x25}, 0x7f, 0x21},
    {"load_access_fault", 5, -1, 0, 0, {0x24, 0x25}, 0x7f, 0x10},
    {"store_misaligned", 6, 17, 0, 0, {0x24, 0x25}, 0x7f, 0x61},
    {"store_access_fault", 7, -1, 0, 0, {0x24, 0x25}, 0x7f, 0x50},
    {"user_call", 8, -1, 0, 0, {0x15, -1}, 0, 0},
    {"supervisor_call", 9, -1, 0, 0, {-1, -1}, 0, 0},
    {"machine_call", 11, -1, 0, 0, {-1, -1}, 0, 0},
    {"fetch_page_fault", 12, 14, 0x10, 0x10, {0x20, 0x21}, 0x30, 0},
    {"load_page_fault", 13, 14, 0x12, 0, {0x24, 0x25}, 0x70, 0},
    {"store_page_fault", 15, 14, 0x12, 0x2, {0x24, 0x25}, 0x70, 0x40},
    {"guest_call", 10, -1, 0, 0, {-1, -1}, 0, 0},
    {"fetch_guest_page_fault", 20, -1, 0, 0, {-1, -1}, 0, 0},
    {"load_guest_page_fault", 21, -1, 0, 0, {-1, -1}, 0, 0},
    {"virtual_instruction", 22, -1, 0, 0, {-1, -1}, 0, 0},
    {"store_guest_page_fault", 23, -1, 0, 0, {-1, -1}, 0, 0},
    {"divide_error", -1, 0, 0, 0, {-1, -1}, 0, 0},
    {"debug", -1, 1, 0, 0, {0x32, 0x33}, 0, 0},
    {"nmi", -1, 2, 0, 0, {-1, -1}, 0, 0},
    {"overflow", -1, 4, 0, 0, {-1, -1}, 0, 0},
    {"bound_range", -1, 5, 0, 0, {-1, -1}, 0, 0},
    {"fp_disabled", -1, 7, 0, 0, {0x07, -1}, 0, 0},
    {"double_fault", -1, 8, 0, 0, {-1, -1}, 0, 0},
    {"invalid_tss", -1, 10, 0, 0, {-1, -1}, 0, 0},
    {"segment_not_present", -1, 11, 0, 0, {-1, -1}, 0, 0},
    {"stack_fault", -1, 12, 0, 0, {0x26, -1}, 0, 0},
    {"general_protection", -1, 13, 0, 0, {-1, -1}, 0, 0},
    {"fp_error", -1, 16, 0, 0, {0x2c, -1}, 0, 0},
    {"alignment_check", -1, 17, 0, 0, {-1, -1}, 0, 0},
    {"machine_check", -1, 18, 0, 0, {0x2f, -1}, 0, 0},
    {"simd_error", -1, 19, 0, 0, {-1, -1}, 0, 0},
    {"sysreg_access", -1, -1, 0, 0, {0x18, -1}, 0, 0},
};

static const Cause *find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        if (!strcmp(causes[i].word, word)) {
            return &causes[i];
        }
    }
    return NULL;
}

bool cause_known(const char *word)
{
    return find(word) != NULL;
}

/* Edit distance, bounded: words are short. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (n + 1 > ARRAY_LEN(row)) {
        return 64;
    }
    for (size_t k = 0; k <= n; k++) {
        row[k] = (unsigned)k;
    }
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0]++;
        for (size_t k = 0; k < n; k++) {
            unsigned change = diagonal + (a[i] != b[k]);
            unsigned step = (row[k] < row[k + 1] ? row[k] : row[k + 1]) + 1;
            diagonal = row[k + 1];
            row[k + 1] = change < step ? change : step;
        }
    }
    return row[n];
}

const char *cause_nearest(const char *word)
{
    const char *best = NULL;
    unsigned least = 5;
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        unsigned d = distance(word, causes[i].word);
        if (d < least) {
            least = d;
            best = causes[i].word;
        }
    }
    return best;
}

static bool matches(GuestId guest, const Cause *c, const WorldTrap *t)
{
    switch (guest) {
    case GUEST_riscv64:
        return c->riscv64 >= 0 && t->cause == (uint64_t)c->riscv64;
    case GUEST_x86_64:
        return c->x86_64 >= 0 && t->cause == (uint64_t)c->x86_64 && (t->code & c->x86_mask) == c->x86_code;
    case GUEST_aarch64:
        return ((c->aarch64[0] >= 0 && t->cause == (uint64_t)c->aarch64[0]) ||
                (c->aarch64[1] >= 0 && t->cause == (uint64_t)c->aarch64[1])) &&
               (t->code & c->iss_mask) == c->iss_code;
    case GUEST_COUNT:
        break;
    }
    return false;
}

bool cause_matches(GuestId guest, const char *word, const WorldTrap *t)
{
    const Cause *c = find(word);
    return c && matches(guest, c, t);
}

const char *cause_word(GuestId guest, const WorldTrap *t)
{
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        if (matches(guest, &causes[i], t)) {
            return causes[i].word;
        }
    }
    return NULL;
}
