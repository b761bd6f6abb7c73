/* SPDX-License-Identifier: Apache-2.0
 * typing.h - the inside of the loader. A scenario becomes cases in three moves: rows and guests are laid out (load.c,
 * rows.c), names of rows and `let` are put in and guest maps resolved (expand.c), and the tree that is left gets its
 * types (typing_*.c). A mistake is said once, at its place; typing goes on with the next key, so that one mistake hides
 * no other. Not thread-safe: one Loader per load. */
#ifndef CONFORMANCE_TYPING_H
#define CONFORMANCE_TYPING_H

#include "conformance/language.h"

enum {
    MAX_DIAGS = 50,
    MAX_ROWS = 4096,       /* of one scenario */
    MAX_CASES = 32768,     /* of one suite */
    MAX_WORK = 16 << 20,   /* nodes visited by all expansions of a suite */
    MAX_ARENA = 256 << 20, /* bytes; checked before each case and each paste */
    MAX_FILE = 16 << 20,
    MAX_ITEMS = 65536, /* of any list or map */
    MAX_NAMES = 1024   /* of one kind: regions, captures, saves, routines..; they are searched one by one */
};

typedef struct {
    const char *name;
    Pos pos;
    const Node *value; /* for this guest; NULL: none there (`~`, or left out of a guest map) */
    bool *is_used;     /* over all cases of the scenario */
} Var;
typedef struct {
    Var *items;
    size_t n;
} Vars;
typedef struct {
    Arena *arena;
    const char *file;
    Diags *diags;
    size_t nerrors;
    bool is_open; /* a script's steps: names may exist that no file shows */
    bool is_full; /* a limit was reached: nothing more is loaded */
    const Node *routines, *fragments, *assets, *defaults;
    bool *routines_used, *fragments_used;
    size_t work;
    Suite *suite;
    VEC(Case) cases;
} Loader;

/* Adds an error, unless one is there for the same place: a row's mistake shows in many cases. */
void say(Loader *l, Pos pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
void say_limit(Loader *l, Pos pos, const char *fmt, ...) PRINTF_LIKE(3, 4); /* and ends the load */
void diags_finish(Loader *l);                                               /* file order, at most MAX_DIAGS */
/* "; did you mean `x`?" in the arena, or "" */
const char *meant(Loader *l, const Near *n);
const char *kind_shown(const Node *n); /* "a list", "a map", "nothing", "`text`" */
/* Each key known? Says what is not, with the nearest key and the list. False: not a map, or empty (said). */
bool keys_check(Loader *l, const Node *map, Scope scope);
bool is_map(Loader *l, const Node *n, const char *what); /* a map that is not empty; else says so */
bool is_list(Loader *l, const Node *n, const char *what);
bool is_few(Loader *l, const Node *n, size_t most, const char *what); /* else says so */
bool arena_has_room(Loader *l, Pos pos);

/* ---- rows.c ---- */
typedef struct {
    const char **names; /* columns */
    Pos *poss;
    bool *used;
    size_t ncolumns, nfree; /* the first nfree columns need no use: they only name the row */
    const char **labels;    /* rows */
    Pos *row_pos;
    const Node **cells; /* nrows x ncolumns */
    size_t nrows;
} Rows;
bool rows_read(Loader *l, const Node *each, Rows *out); /* each NULL: one row without a name */

/* ---- expand.c ---- */
typedef struct {
    Loader *l;
    GuestId guest;
    const Vars *env;
    bool is_absent; /* a paste met `~`: no such row on this guest */
} Expander;
/* The tree with names of env put in and guest maps resolved; NULL: absent on this guest (said, where it may not be).
 * key: what the node stands under. */
const Node *expand(Expander *x, const Node *n, const char *key);
void say_absent(Expander *x, const Node *n); /* n is absent on this guest where it may not be */
/* `${x}` pasted; in braces: `$x` of env inside `{..}` is replaced too (fake lines). */
const char *expand_paste(Expander *x, const Node *n, bool braces);
const Var *env_find(const Vars *env, const char *name);
bool is_guest_map(const Node *n); /* every key is a guest */
bool is_name(const char *text);   /* [A-Za-z_][A-Za-z0-9_]* */

/* ---- typing ---- */
typedef struct {
    const char *name;
    Pos pos;
    bool is_used, is_changed; /* saves: something was done since */
} Named;
typedef VEC(Named) NamedList;
typedef struct {
    Loader *l;
    Case *c;
    const Vars *env;
    NamedList captures, saves, uses, labels;
    bool any_label;       /* code that is not readable here: any label may exist */
    bool is_expecting;    /* something is compared */
    bool is_expect;       /* inside `expect` */
    RunStep run;          /* the case's own modifiers */
    uint64_t said_ignore; /* exits that `ignore` names, of the run at hand */
    int depth;
    size_t errors; /* of the load when this case began */
} Typer;
typedef struct {
    FieldType type;
    unsigned bits;
    const char *what; /* "data", "arg0" */
} Spec;

void need(Typer *t, Cap cap, Pos pos, const char *what);
bool has_device(const Case *c, const char *word);
void need_console(Typer *t, Pos pos, const char *what); /* a scenario without one is said to need it */
void *typed(Typer *t, size_t count, size_t size_bytes); /* zeroed, in the arena */
bool word_is(const Node *n, const char *word);
/* values: false = said */
bool type_int(Typer *t, const Node *n, unsigned bits, Value *out);
bool type_count(Typer *t, const Node *n, uint64_t least, uint64_t most, uint64_t *out); /* a literal */
bool type_size(Typer *t, const Node *n, uint64_t *out);                                 /* 4K 64K 1M 1G or a literal */
bool type_time(Typer *t, const Node *n, uint64_t *out_ns);
bool type_yes(Typer *t, const Node *n);
const char *type_text(Typer *t, const Node *n, const char *what); /* NULL = said */
const char *type_word(Typer *t, const Node *n, const char *what);
int type_cap(Typer *t, const Node *n);
bool type_vcpu(Typer *t, const Node *n, uint8_t *out);
uint32_t type_flags(Typer *t, const Node *n, bool *is_user);
bool type_matcher(Typer *t, const Node *n, const Spec *spec, Matcher *out);
bool type_scalar(Typer *t, const Node *n, const Spec *spec, Value *out);
bool type_hex(Typer *t, const Node *n, const uint8_t **bytes, size_t *n_out);
/* u8..u64 hex text of a map that has exactly one of them: units or bytes */
typedef struct {
    unsigned unit_bytes;
    const Node *const *units;
    size_t n;
    const uint8_t *bytes;
    size_t nbytes;
} Contents;
bool type_contents(Typer *t, const Node *map, Contents *out);
void use_names(Typer *t, const Node *at, const char *expr);
void labels_sort(Typer *t);   /* once the world is typed: names are looked up in them */
void names_resolve(Typer *t); /* after all: unknown names, captures never read */
bool fits(uint64_t n, bool is_negative, unsigned bits);
bool read_integer(const char *text, uint64_t *n, bool *is_negative);
const char *integer_fault(Arena *a, const char *text); /* why the spelling is refused; NULL: no number at all */

/* parts */
void type_world(Typer *t, const Node *keys, Expander *x);
void type_code(Typer *t, const Node *code, const Node *use, Expander *x);
void type_boot(Typer *t, const Node *n, const Node *keys); /* keys: the scenario's */
void boot_check_steps(Typer *t, const Step *steps, size_t n);
void boot_check_story(Typer *t); /* of a case with `boot`, once it is typed */
bool type_regs_set(Typer *t, const Node *map, int vcpu, const RegSet **out, size_t *n);
/* The register of "name" or "vcpu.name"; NULL = said. */
const RegInfo *type_reg(Typer *t, const Node *key, int vcpu, uint8_t *vcpu_out);
bool type_run(Typer *t, const Node *n, RunStep *out);
void type_modifiers(Typer *t, const Node *map, RunStep *out);
bool type_steps(Typer *t, const Node *list, const char *what, const Step **out, size_t *n);
bool type_step(Typer *t, const Node *n, Step *out);
bool type_check(Typer *t, const Node *n, Check *out);
const char *type_state(Typer *t, const Node *n); /* of the lifecycle; NULL = said */
bool type_exits(Typer *t, const Node *n, const char *what, uint64_t *out);
bool type_console(Typer *t, const Node *n, Matcher *out);
const LifeModel *case_model(const Case *c);
#endif
