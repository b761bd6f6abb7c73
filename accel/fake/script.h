/* SPDX-License-Identifier: Apache-2.0
 * script.h - the parser of fake.h's language. Input is not trusted; sizes are bounded. */
#ifndef ACCEL_FAKE_SCRIPT_H
#define ACCEL_FAKE_SCRIPT_H

#include "accel/accel.h"
#include "sim/base/mem.h"

enum { SCRIPT_MAX_BYTES = 1 << 20, SCRIPT_MAX_ENTRIES = 1 << 14 };

typedef enum {
    ACT_EXIT,
    ACT_SET,
    ACT_WORK,
    ACT_WRITE,
    ACT_DIRTY,
    ACT_TAKE,
    ACT_MASK,
    ACT_UNMASK,
    ACT_ERROR,
    ACT_SPIN,
    ACT_CRASH,
    ACT_DIE,
    ACT_HANG,
    ACT_GARBAGE,
    ACT_ALLOC,
} Action;

typedef struct {
    Action act;
    bool is_forever, has_number, has_pc, has_next;
    uint64_t insns;  /* still to retire before the entry acts */
    uint64_t number; /* take: event; error: code; crash: signal; exit: status; alloc: bytes; write, dirty: address */
    size_t from, n;  /* set: in Script.sets; write: in Script.bytes */
    const RegInfo *reply_to;
    VmExit exit; /* pc_before and pc_after also hold pc= of work */
} Entry;

typedef struct {
    const RegInfo *reg;
    uint64_t value;
} SetReg;

typedef struct {
    VEC(Entry) entries;
    VEC(SetReg) sets;
    VEC(uint8_t) bytes;
} Script;

/* *out is empty on failure. */
MUST_USE int script_parse(GuestId guest, const char *text, size_t n, Script *out, Err *err);
void fake_script_free(Script *s);
#endif
