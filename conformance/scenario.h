/* SPDX-License-Identifier: Apache-2.0
 * scenario.h - what a scenario means: the typed form of the language of conf-scenario(5).
 *
 * load.c makes it: a Suite is a file; a Case is one scenario x row x guest with rows, `let` and guest maps resolved, every
 * key checked, every word known. story.c plays a Case on a backend. Lua steps become the same Step through
 * case_step_from(). Everything hangs from the Suite's arena, is immutable after loading and may be read from any thread.
 * What is left open until run time is a Value: an integer or an expression over names that only exist then (labels,
 * regions, pages, captures). */
#ifndef CONFORMANCE_SCENARIO_H
#define CONFORMANCE_SCENARIO_H

#include "accel/accel.h"
#include "accel/machine.h"
#include "conformance/node.h"

/* ---- values and matchers ---- */
typedef enum { VALUE_NONE, VALUE_INT, VALUE_EXPR, VALUE_TEXT } ValueKind;
typedef struct {
    ValueKind kind;
    Pos pos;
    uint64_t n;       /* INT, two's complement */
    bool is_negative; /* INT was written with a minus: it fits a field of w bits if >= -2^(w-1) */
    const char *text; /* TEXT: a word or text; EXPR: its source "$dev + 8" */
} Value;
/* Names at run time: regions dev dev_end dev_size, pages p p_pte, labels, captures. */
typedef struct {
    const void *ctx;
    bool (*lookup)(const void *ctx, const char *name, uint64_t *out);
    const char *(*nearest)(const void *ctx, const char *name); /* did-you-mean; may be NULL */
} Names;
/* Expressions: $name, integers, + - * << >> & | and parentheses, 64-bit wrap-around; a shift by >= 64 is an error. */
MUST_USE int expr_eval(const char *text, const Names *names, uint64_t *out, Err *err);
/* Calls each(ctx, name) for every $name of the expression; -ERR_INVAL if it does not parse (err: column in the text). */
MUST_USE int expr_names(const char *text, void *ctx, void (*each)(void *ctx, const char *name), Err *err);
MUST_USE int value_eval(const Value *v, const Names *names, uint64_t *out, Err *err); /* INT and EXPR */

/* matcher word, what it compares with */
/* clang-format off */
#define MATCHER_MAP(X)                                                                             \
    X(eq) X(not) X(in) X(range) X(ge) X(le) X(mask) X(has) X(lacks) X(match) X(any) X(list)
/* clang-format on */
#define X(name) MATCH_##name,
typedef enum { MATCHER_MAP(X) MATCH_COUNT } MatchKind;
#undef X
typedef struct Matcher Matcher;
struct Matcher {
    MatchKind kind;
    Pos pos;
    Value a, b; /* eq, ge, le: a; range: a..b inclusive, unsigned; mask: (x & a) == b; has, lacks, match: text a */
    const Matcher *sub; /* not */
    const Value *items; /* in: one of; list: each in order */
    size_t n;
    const char *as; /* captures the value under this name; NULL = no capture */
};

/* ---- fields of an exit (fields.def: FIELD(exit, field, doc)) ---- */
/* clang-format off */
#define FIELD_MAP(X)                                                                               \
    X(addr) X(size) X(data) X(value) X(port) X(reg) X(nr) X(arg0) X(arg1) X(arg2) X(arg3) X(arg4)  \
    X(arg5) X(target) X(entry) X(opaque) X(aux) X(all) X(self) X(vector) X(code) X(leaf)           \
    X(subleaf) X(kind) X(access) X(gva) X(reason) X(suberror) X(bytes) X(cause) X(stream)          \
    X(count) X(text) X(pc) X(next) X(insns) X(native) X(by)
/* clang-format on */
#define X(name) FIELD_##name,
typedef enum { FIELD_MAP(X) FIELD_COUNT } FieldId;
#undef X
typedef struct {
    FieldId field;
    Matcher
        match; /* TEXT values: kind "step|breakpoint|watchpoint", access "r|w|x", by "board", reg a name, cause a word */
} FieldCheck;

/* ---- run lists ---- */
typedef struct Step Step;
typedef struct Item Item;
typedef enum {
    ITEM_EXIT,     /* an exit of the waist */
    ITEM_DONE,     /* the guest ran off the end of its code: the doorbell */
    ITEM_TRAP,     /* a guest exception that the kit's vectors caught: fields cause addr code pc next */
    ITEM_CONSOLE,  /* the console transcript since the last console item ends with / matches text */
    ITEM_REPEAT,   /* items, times */
    ITEM_ANY_ORDER /* items, each once, in any order */
} ItemKind;
typedef enum { ANSWER_NONE, ANSWER_VALUE, ANSWER_FAULT, ANSWER_SKIP, ANSWER_RETRY, ANSWER_CPUID } AnswerKind;
struct Item {
    ItemKind kind;
    ExitKind exit;
    Pos pos;
    const FieldCheck *fields;
    size_t nfields;
    AnswerKind answer; /* reply: value | fault | skip | retry | {eax, ebx, ecx, edx} */
    Value reply[4];
    const Step *then; /* done before the reply */
    size_t nthen;
    uint64_t min_times, max_times; /* times n or [n, m]; optional: 0..1 */
    int if_cap;                    /* expected exactly where the backend claims this Cap; -1 = always */
    const Item *items;             /* REPEAT, ANY_ORDER */
    size_t nitems;
    Matcher console; /* CONSOLE */
};
typedef struct {
    uint8_t vcpu; /* index into Case.vcpus */
    Pos pos;
    const Item *items;
    size_t n;
} RunList;

/* ---- checks ---- */
typedef struct {
    uint8_t vcpu;
    RegId reg;
    const char *name; /* as written */
    Matcher match;    /* list: bytes of a wide register, low first */
    Pos pos;
} RegCheck;
typedef struct {
    Value addr;
    unsigned unit_bytes;  /* 1 2 4 8; 0 = raw bytes */
    const Matcher *items; /* unit > 0: consecutive units */
    size_t n;
    const uint8_t *bytes; /* unit 0: nbytes to compare (hex:, text:) */
    size_t nbytes;
    Pos pos;
} MemCheck;
typedef struct {
    const char *region;
    const uint32_t *pages; /* ascending page numbers within the region; n 0 = none */
    size_t n;
    Pos pos;
} DirtyCheck;
typedef struct {
    const char *name; /* a capture: its list of values in order */
    const Matcher *items;
    size_t n;
    Pos pos;
} ValuesCheck;
typedef struct {
    Pos pos;
    bool is_empty;
    const char *state; /* NULL = not checked */
    const RegCheck *regs;
    size_t nregs;
    const MemCheck *memory;
    size_t nmemory;
    const Matcher *console;
    const char *const *transitions; /* whole list of states, first included; NULL = not checked */
    size_t ntransitions;
    const DirtyCheck *dirty;
    size_t ndirty;
    const Matcher *insns;
    const ValuesCheck *values;
    size_t nvalues;
    const char *same_as, *differs_from; /* names of saves */
    uint64_t never;                     /* bit per ExitKind: kinds that no vcpu may have returned so far */
} Check;

/* ---- steps ---- */
/* clang-format off */
#define STEP_MAP(X)                                                                                \
    X(run) X(op) X(inject) X(kick) X(set) X(write) X(map) X(unmap) X(protect) X(save) X(restore)   \
    X(type) X(check) X(lua) X(native)
/* clang-format on */
#define X(name) STEP_##name,
typedef enum { STEP_MAP(X) STEP_COUNT } StepKind;
#undef X
typedef enum { GIVES_OK_UNSAID, GIVES_OK, GIVES_STATE, GIVES_ERROR } GivesKind;
typedef struct {
    const char *name; /* register as written, "arg0" */
    uint8_t vcpu;
    RegId reg;
    Value value;          /* size <= 8 */
    const uint8_t *bytes; /* wider: REG_SIZE bytes; NULL otherwise */
    Pos pos;
} RegSet;
typedef struct {
    Value addr;
    const Value *units; /* of unit_bytes each; or */
    unsigned unit_bytes;
    size_t n;
    const uint8_t *bytes;
    size_t nbytes;
    Pos pos;
} MemWrite;
typedef struct { /* every modifier of run:, with the case's own as defaults */
    const RunList *lists;
    size_t nlists;
    uint64_t insns;     /* budget; UINT64_MAX = no exact bound asked */
    uint64_t within_ns; /* wall safety limit for backends without virtual time; 0 = a tenth of the case's time */
    uint64_t ignore;    /* bit per ExitKind */
    bool include_completed;
    bool is_step; /* one instruction, then the exit debug {kind: step} */
    const Value *breaks, *watches;
    size_t nbreaks, nwatches;
    const Step *meanwhile; /* done on another thread while the run is under way */
    size_t nmeanwhile;
} RunStep;
struct Step {
    StepKind kind;
    Pos pos;
    int vcpu; /* index; -1 = the case has one and none was named */
    GivesKind gives;
    const char *gives_word; /* STATE: state name; ERROR: word of errors.def, "denied" */
    int gives_code;         /* ERROR: ERR_x */
    const Matcher *error;   /* against the error's text */
    uint32_t times;
    int if_cap;
    RunStep run;
    const char
        *word; /* op: operation; inject: "external", "irq", "nmi".. or NULL; save, restore: name; native: call; type:
                            * text; map, unmap, protect: region; lua: text; set_state: in `to` */
    const char *to, *from; /* op set_state, transition_state: target state, required state */
    bool into_new;         /* restore into: new - a new VM on the same backend */
    Value number;          /* inject: vector or line; op set_gpr: value; set_stage2: root */
    Value level;           /* inject: NONE = edge / raise */
    const RegSet *regs;
    size_t nregs;
    const MemWrite *writes;
    size_t nwrites;
    uint32_t map_flags;
    Value map_at, map_size;
    const Check *check;
    const Node *args;   /* native: args */
    const char *answer; /* native: as; or NULL */
};

/* ---- the world ---- */
typedef enum { START_kernel, START_paged, START_user, START_machine, START_real, START_protected } StartKind;
typedef enum { CODE_TEXT, CODE_HEX, CODE_FILE, CODE_ELF } CodeKind;
typedef struct {
    CodeKind kind;
    const char *text;     /* source after pasting of ${x}; a path for FILE (assembly text) and ELF */
    const uint8_t *bytes; /* HEX */
    size_t n;
    Pos pos;
    bool is_block;
    const char *fragment; /* laid after the code; NULL = the code itself */
} CodePart;
typedef struct {
    const char *name;
    Pos pos;
    bool has_at, is_hole, is_logged, is_coalesced;
    bool is_default; /* the `ram` of a case without `memory`: one piece with the code */
    Value at;
    uint64_t size_bytes; /* page-rounded by layout */
    uint64_t ring_bytes; /* of each vcpu's dirty ring; 0 = none asked for */
    uint32_t flags;      /* MAP_x; default RWX */
    uint8_t fill;
    const Value *units; /* initial contents */
    unsigned unit_bytes;
    size_t n;
    const uint8_t *bytes;
    size_t nbytes;
    const CodePart *code; /* contents assembled at the region's address */
} Region;
typedef struct {
    const char *name;
    Pos pos;
    Value va, to;
    uint64_t size_bytes;
    uint32_t flags;
    bool is_user;
} Page;
typedef struct {
    const char *name;
    Pos pos;
    uint8_t id;
    bool has_entry, is_parked;
    Value entry;
    const RegSet *regs;
    size_t nregs;
} VcpuDecl;
typedef struct {
    InterceptKind kind;
    Value lo;
    const char *reg; /* sysregs by name; NULL = lo is the number */
    Pos pos;
} InterceptDecl;
typedef struct
{ /* fake: [..] - what the backend `fake` plays instead of running code: its script's lines, one an item */
    uint8_t vcpu;
    const char *line; /* with ${..} pasted and $expr still inside braces: "mmio_read addr={$dev + 8} size=4" */
    Pos pos;
} FakeLine;
typedef struct {
    const char *backend; /* NULL = any */
    const char *probe;   /* name of a scenario with role: probe; NULL = unconditional */
    const char *reason;
    Pos pos;
} Xfail;
typedef struct {
    const char *name; /* row column or let: for Lua's `row` */
    const Node *value;
} Binding;
typedef struct {
    const char *name, *path; /* path: below the folder of assets (asset.h) */
    const char *get;         /* the command that fetches it; NULL = not said */
} Asset;
typedef struct { /* boot: a whole machine of the backend's (accel/machine.h) instead of a world of our own */
    Pos pos;
    const Asset *bios, *kernel, *initrd; /* NULL = none */
    const Asset *drives[MACHINE_DRIVES];
    size_t ndrives;
    const char *cmdline, *net; /* NULL = none */
    uint64_t ram_bytes;
    uint32_t nharts;
} Boot;
typedef struct Suite Suite;
typedef struct {
    const Suite *suite;
    const char *id; /* "name" or "name[row]"; unique in its suite per guest */
    const char *name, *row, *why;
    Pos pos; /* of the scenario's `- name` */
    GuestId guest;
    const char *const *tags;
    size_t ntags;
    const char *const *backends; /* allowed; n 0 = all */
    size_t nbackends;
    bool is_probe;
    CapLevel needs[CAP_COUNT];       /* the least level, declared or derived; CAP_NA: not needed */
    const char *need_why[CAP_COUNT]; /* "uses save at line 12"; "asked for" */
    const char *const *isa;          /* riscv64: names of extensions that are asked for (isa.h) */
    size_t nisa;
    const char *need_device; /* a device that the guest's board has not; NULL = none */
    const Boot *boot;        /* NULL = code, regions and vcpus below */
    const Xfail *xfail;
    const LifeModel *lifecycle; /* NULL = the runner sets up and tears down (virtualcpu beneath) */
    StartKind start;
    const CodePart *code;
    size_t ncode;
    const Region *regions;
    size_t nregions;
    const Page *pages;
    size_t npages;
    const VcpuDecl *vcpus; /* at least one: "v0" */
    size_t nvcpus;
    const char *const *devices;
    size_t ndevices;
    const InterceptDecl *intercepts;
    size_t nintercepts;
    const FakeLine *fake; /* n 0: the backend fake skips the case, unless it runs no vcpu */
    size_t nfake;
    const Step *steps; /* run: X is one step */
    size_t nsteps;
    const char *script; /* Lua text; NULL = steps */
    Pos script_pos;
    int lua_function; /* scenario of a .lua file: registry key of its function; -1 = none */
    const Check *expect;
    const Binding *bindings;
    size_t nbindings;
} Case;

struct Suite {
    Arena *arena;
    const char *file;
    const Node *root;
    Case *cases; /* scenario order, then row order, then guest order of the registry */
    size_t ncases;
};
/* One diagnostic of loading. text: "suite.yaml:24:33: `sise` is no field of mmio_read; did you mean `size`? Fields: .." */
typedef struct {
    Pos pos;
    bool is_warning;
    const char *text;
} Diag;
typedef VEC(Diag) Diags;
/* Loads a suite from text. Every mistake found is added to diags (at most 50), in file order. Returns NULL when there is an
 * error among them. The suite's arena owns all, also the diagnostics' texts; free diags' array with VEC_FREE and a failed
 * load's texts with the arena passed in: arena is owned by the suite on success, by the caller on failure. THREAD-SAFE. */
Suite *suite_load(Arena *arena, const char *file, const char *text, size_t n, Diags *diags);
/* The same from a document made elsewhere (scenario{} tables of a .lua file). A scenario's `script` may then be a scalar
 * "@N": N becomes Case.lua_function. */
Suite *suite_from_node(Arena *arena, const char *file, const Node *root, Diags *diags);
void suite_free(Suite *s); /* frees the arena; NULL is fine */

/* A step from a node (a Lua table made into nodes), in the case's world: the same checks as in a file. NULL and *err. The
 * result lives in arena (a script's own, freed with it). kind_name: "run", "set".. */
const Step *case_step_from(Arena *arena, const Case *c, const char *kind_name, const Node *value, const Node *modifiers,
                           Err *err);
const Matcher *case_matcher_from(Arena *arena, const Case *c, const Node *value, Err *err);
/* The JSON Schema (draft-07) of the language, from the same tables that the loader checks with. */
void schema_print(Buf *out);
#endif
