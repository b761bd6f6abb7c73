/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/pair.h"

#include "sim/base/os.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

enum { HISTORY = 16, COARSE = 1 << 16, RAM_CHUNK = 1 << 16, MAX_SHOWN = 24 };

struct Pair {
    PairConfig cfg;
    Backend backend;
    bool counts;
    pthread_mutex_t lock; /* of what follows, as vcpus have threads */
    Apart apart, last;    /* last: has no more than the place */
    Buf code[2];
    Buf history[HISTORY];
    uint64_t nexits, position;
    bool is_over; /* apart, or until is reached */
};

/* One RAM or mapping of the pair. */
typedef struct {
    RamId id[2];
} PairRam;
typedef struct {
    uint64_t gpa, size;
} PairMap;
struct BeVm {
    Pair *pair;
    BeVm *at[2];
    VEC(PairRam) rams;
    VEC(PairMap) maps;
};
struct BeVcpu {
    BeVm *vm;
    BeVcpu *at[2];
    uint8_t id;
    atomic_bool is_kicked;
    bool is_reply_due;
    RegId *ids; /* compared; NULL: not listed yet */
    size_t nids, nbytes;
    uint8_t *now[2], *equal; /* their values now; when they were equal last */
    bool has_equal;
    uint64_t position, equal_at, insns;
};

static const VmOps *vm_ops(const BeVm *vm, int i)
{
    return vm->pair->cfg.side[i].backend->vm;
}

static const VcpuOps *vcpu_ops(const BeVcpu *v, int i)
{
    return v->vm->pair->cfg.side[i].backend->vcpu;
}

/* ---- apart ---- */
static int over(Pair *p, Err *err)
{
    p->is_over = true;
    return err_set(err, ERR_STATE, "the comparison is over");
}

/* The first wins. text is taken. */
static int apart(Pair *p, Apart what, Buf *text, Err *err)
{
    pthread_mutex_lock(&p->lock);
    if (p->apart.kind == APART_NOT) {
        p->apart = what;
        p->apart.text = *text;
        *text = (Buf){0};
    }
    int rc = over(p, err);
    pthread_mutex_unlock(&p->lock);
    buf_free(text);
    return rc;
}

/* Both did it, or both refused it for the same reason. */
static int agree(Pair *p, const BeVcpu *v, const char *what, const int rc[2], const Err e[2], Err *err)
{
    if (rc[0] == rc[1]) {
        if (rc[0] && err) {
            *err = e[0];
        }
        return rc[0];
    }
    Buf text = {0};
    buf_printf(&text, "%s:\n", what);
    for (int i = 0; i < 2; i++) {
        buf_printf(&text, "  %c: %s\n", 'a' + i, rc[i] ? e[i].text : "done");
    }
    Apart a = {.kind = APART_ANSWER};
    if (v) {
        a.vcpu = v->id;
        a.start = a.end = v->position;
    }
    return apart(p, a, &text, err);
}

static int lacks(const BeVm *vm, const char *what, Err *err)
{
    return err_unsupported(err, vm->pair->backend.name, what, "one of the two has no such operation");
}

/* ---- memory ---- */
static int ram_create(BeVm *vm, uint64_t size, RamId *out, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    PairRam ram = {0};
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->ram_create(vm->at[i], size, &ram.id[i], &e[i]);
    }
    *out = (RamId)vm->rams.n;
    VEC_PUSH(&vm->rams, ram);
    return agree(vm->pair, NULL, "ram_create", rc, e, err);
}

static int map(BeVm *vm, Gpa at, uint64_t size, RamId ram, uint64_t offset, uint32_t flags, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->map(vm->at[i], at, size, vm->rams.items[ram].id[i], offset, flags, &e[i]);
    }
    int both = agree(vm->pair, NULL, "map", rc, e, err);
    for (size_t i = 0; !both && i < vm->maps.n; i++) {
        if (vm->maps.items[i].gpa == at.addr) {
            return 0; /* other flags */
        }
    }
    if (!both) {
        VEC_PUSH(&vm->maps, (PairMap){at.addr, size});
    }
    return both;
}

static int unmap(BeVm *vm, Gpa at, uint64_t size, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->unmap(vm->at[i], at, size, &e[i]);
    }
    int both = agree(vm->pair, NULL, "unmap", rc, e, err);
    for (size_t i = 0; !both && i < vm->maps.n; i++) {
        if (vm->maps.items[i].gpa == at.addr) {
            vm->maps.items[i] = vm->maps.items[--vm->maps.n];
            break;
        }
    }
    return both;
}

static void ram_text(Buf *out, uint64_t gpa, const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t at = 0;
    while (a[at] == b[at]) {
        at++;
    }
    size_t from = at & ~(size_t)7, to = from + 8 < n ? from + 8 : n;
    buf_printf(out, "RAM at 0x%" PRIx64 ":\n ", gpa + from);
    for (int side = 0; side < 2; side++) {
        for (size_t i = from; i < to; i++) {
            buf_printf(out, " %02x", side ? b[i] : a[i]);
        }
        buf_str(out, side ? "\n" : " |");
    }
}

/* true: it is the same; else out says where. What cannot be read at all counts as the same: the next access says so. */
static bool ram_same(BeVm *vm, Buf *out)
{
    uint8_t *bytes[2] = {x_alloc(RAM_CHUNK), x_alloc(RAM_CHUNK)};
    bool is_same = true;
    for (size_t m = 0; m < vm->maps.n && is_same; m++) {
        const PairMap *map = &vm->maps.items[m];
        for (uint64_t at = 0; at < map->size && is_same; at += RAM_CHUNK) {
            size_t n = map->size - at < RAM_CHUNK ? (size_t)(map->size - at) : RAM_CHUNK;
            Gpa gpa = {map->gpa + at};
            int rc = vm_ops(vm, 0)->mem_read(vm->at[0], gpa, bytes[0], n, NULL);
            rc = rc ? rc : vm_ops(vm, 1)->mem_read(vm->at[1], gpa, bytes[1], n, NULL);
            is_same = rc || !memcmp(bytes[0], bytes[1], n);
            if (!is_same) {
                ram_text(out, gpa.addr, bytes[0], bytes[1], n);
            }
        }
    }
    mem_free(bytes[0]);
    mem_free(bytes[1]);
    return is_same;
}

static int mem_read(BeVm *vm, Gpa at, void *buf, size_t n, Err *err)
{
    Err e[2] = {0};
    uint8_t *other = mem_try(n, 1);
    if (!other) {
        return err_set(err, ERR_NOMEM, "%zu bytes for the second copy", n);
    }
    int rc[2] = {vm_ops(vm, 0)->mem_read(vm->at[0], at, buf, n, &e[0]),
                 vm_ops(vm, 1)->mem_read(vm->at[1], at, other, n, &e[1])};
    mem_free(other);
    return agree(vm->pair, NULL, "mem_read", rc, e, err);
}

static int mem_write(BeVm *vm, Gpa at, const void *buf, size_t n, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->mem_write(vm->at[i], at, buf, n, &e[i]);
    }
    return agree(vm->pair, NULL, "mem_write", rc, e, err);
}

static int dirty_get(BeVm *vm, Gpa at, uint64_t size, uint8_t *bits, bool clear, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 1; i >= 0; i--) { /* a's bits are the answer */
        rc[i] = vm_ops(vm, i)->dirty_get(vm->at[i], at, size, bits, clear, &e[i]);
    }
    return agree(vm->pair, NULL, "dirty_get", rc, e, err);
}

/* ---- the rest of the VM ---- */
static int irq_line(BeVm *vm, uint32_t gsi, bool level, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->irq_line(vm->at[i], gsi, level, &e[i]);
    }
    return agree(vm->pair, NULL, "irq_line", rc, e, err);
}

static int msi(BeVm *vm, uint64_t addr, uint32_t data, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->msi(vm->at[i], addr, data, &e[i]);
    }
    return agree(vm->pair, NULL, "msi", rc, e, err);
}

static int intercept(BeVm *vm, InterceptKind k, uint64_t lo, uint64_t hi, bool on, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    if (!vm_ops(vm, 0)->intercept || !vm_ops(vm, 1)->intercept) {
        return lacks(vm, "intercept", err);
    }
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->intercept(vm->at[i], k, lo, hi, on, &e[i]);
    }
    return agree(vm->pair, NULL, "intercept", rc, e, err);
}

static int guest_clock(BeVm *vm, bool set, uint64_t *guest_ns, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    uint64_t ns[2] = {*guest_ns, *guest_ns};
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->clock(vm->at[i], set, &ns[i], &e[i]);
    }
    *guest_ns = ns[0];
    return agree(vm->pair, NULL, "clock", rc, e, err);
}

static int ctl(BeVm *vm, BeVcpu *v, const char *name, const void *in, size_t nin, Buf *out, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    Buf unused = {0};
    if (!vm_ops(vm, 0)->ctl || !vm_ops(vm, 1)->ctl) {
        return lacks(vm, "ctl", err);
    }
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->ctl(vm->at[i], v ? v->at[i] : NULL, name, in, nin, i ? &unused : out, &e[i]);
    }
    buf_free(&unused);
    return agree(vm->pair, NULL, "ctl", rc, e, err);
}

/* {u32 bytes of a's chunks, a's, b's}. What both keep inside is theirs, and not compared. */
static int save(BeVm *vm, Buf *out, Err *err)
{
    Err e[2] = {0};
    Buf one[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->save ? vm_ops(vm, i)->save(vm->at[i], &one[i], &e[i]) : 0;
    }
    buf_le(out, one[0].n, 4);
    buf_bytes(out, one[0].data, one[0].n);
    buf_bytes(out, one[1].data, one[1].n);
    buf_free(&one[0]);
    buf_free(&one[1]);
    return agree(vm->pair, NULL, "save", rc, e, err);
}

static int restore(BeVm *vm, const void *bytes, size_t n, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    Cursor c = cursor_of(bytes, n);
    size_t len[2] = {(size_t)cursor_le(&c, 4), 0};
    const uint8_t *part[2] = {cursor_bytes(&c, len[0]), NULL};
    len[1] = cursor_left(&c);
    part[1] = cursor_bytes(&c, len[1]);
    if (!cursor_ok(&c)) {
        return err_set(err, ERR_INVAL, "restore: %zu bytes are not of a pair", n);
    }
    for (int i = 0; i < 2; i++) {
        rc[i] = vm_ops(vm, i)->restore ? vm_ops(vm, i)->restore(vm->at[i], part[i], len[i], &e[i]) : 0;
    }
    return agree(vm->pair, NULL, "restore", rc, e, err);
}

static void vm_end(BeVm *vm)
{
    for (int i = 0; i < 2; i++) {
        if (vm->at[i]) {
            vm_ops(vm, i)->destroy(vm->at[i]);
        }
    }
    VEC_FREE(&vm->rams);
    VEC_FREE(&vm->maps);
    mem_free(vm);
}

static void destroy(BeVm *vm)
{
    Pair *p = vm->pair;
    Buf text = {0};
    if (!p->is_over && !ram_same(vm, &text)) {
        (void)!apart(p, (Apart){.kind = APART_RAM, .end = p->position}, &text, NULL);
    }
    vm_end(vm);
}

static int create(const Backend *b, const VmConfig *cfg, BeVm **out, Err *err)
{
    Pair *p = b->self;
    Err e[2] = {0};
    int rc[2];
    BeVm *vm = x_alloc(sizeof *vm);
    vm->pair = p;
    for (int i = 0; i < 2; i++) {
        const PairSide *side = &p->cfg.side[i];
        VmConfig one = *cfg;
        one.is_lazy = false;
        one.board = NULL; /* its devices must hear of each access once: above */
        one.options = side->options ? side->options : cfg->options;
        one.cpu = side->cpu ? side->cpu : cfg->cpu;
        rc[i] = side->backend->vm->create(side->backend, &one, &vm->at[i], &e[i]);
    }
    for (int i = 0; i < 2; i++) {
        if (rc[i]) { /* of what was asked for, not of a guest */
            if (err) {
                *err = e[i];
                err_prefix(err, "%s", p->cfg.side[i].shown);
            }
            vm->at[i] = NULL;
            vm->at[!i] = rc[!i] ? NULL : vm->at[!i];
            vm_end(vm);
            return rc[i];
        }
    }
    *out = vm;
    return 0;
}

/* ---- looking ---- */
static int reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err);

static bool is_compared(const Pair *p, RegId id)
{
    const RegInfo *pc = reg_find(p->cfg.guest, "pc");
    switch (REG_CLASS(id)) {
    case REG_GPR:
    case REG_FP:
    case REG_VEC:
        return true;
    case REG_SYS:
    case REG_CTL:
    case REG_STATE:
        return p->counts || (pc && pc->id == id);
    case REG_NATIVE:
        break;
    }
    return false;
}

static int list_make(BeVcpu *v, Err *err)
{
    size_t n = 0;
    int rc = v->ids ? 0 : reg_list(v, NULL, &n, err);
    if (v->ids || rc) {
        return rc;
    }
    RegId *ids = x_calloc(n + 1, sizeof *ids);
    rc = reg_list(v, ids, &n, err);
    for (size_t i = 0; !rc && i < n; i++) {
        if (is_compared(v->vm->pair, ids[i])) {
            ids[v->nids++] = ids[i];
            v->nbytes += REG_SIZE(ids[i]);
        }
    }
    if (rc) {
        mem_free(ids);
        return rc;
    }
    v->ids = ids;
    v->now[0] = x_alloc(v->nbytes);
    v->now[1] = x_alloc(v->nbytes);
    v->equal = x_alloc(v->nbytes);
    return 0;
}

static int look_at(BeVcpu *v, int side, Err *err)
{
    RegIo *io = x_calloc(v->nids + 1, sizeof *io);
    size_t bad = 0;
    uint8_t *at = v->now[side];
    for (size_t i = 0; i < v->nids; i++) {
        io[i] = (RegIo){v->ids[i], at};
        at += REG_SIZE(v->ids[i]);
    }
    int rc = vcpu_ops(v, side)->get_regs(v->at[side], io, v->nids, &bad, err);
    mem_free(io);
    return rc;
}

static bool value_of(const BeVcpu *v, const uint8_t *values, const char *name, uint64_t *out)
{
    const RegInfo *reg = reg_find(v->vm->pair->cfg.guest, name);
    for (size_t i = 0; i < v->nids; i++) {
        if (reg && v->ids[i] == reg->id && REG_SIZE(reg->id) <= 8) {
            Cursor c = cursor_of(values, REG_SIZE(reg->id));
            *out = cursor_le(&c, REG_SIZE(reg->id));
            return true;
        }
        values += REG_SIZE(v->ids[i]);
    }
    return false;
}

static void put_value(Buf *out, const uint8_t *bytes, size_t n)
{
    buf_str(out, "0x");
    while (n--) {
        buf_printf(out, "%02x", bytes[n]);
    }
}

static void regs_text(const BeVcpu *v, Buf *out)
{
    unsigned nshown = 0, nmore = 0;
    size_t at = 0;
    for (size_t i = 0; i < v->nids; at += REG_SIZE(v->ids[i++])) {
        size_t n = REG_SIZE(v->ids[i]);
        const RegInfo *reg = reg_info(v->ids[i]);
        if (!memcmp(v->now[0] + at, v->now[1] + at, n)) {
            continue;
        }
        if (nshown++ >= MAX_SHOWN) {
            nmore++;
            continue;
        }
        buf_printf(out, "  %-12s ", reg ? reg->name : "?");
        put_value(out, v->now[0] + at, n);
        buf_str(out, " | ");
        put_value(out, v->now[1] + at, n);
        if (v->has_equal) {
            buf_str(out, "   was ");
            put_value(out, v->equal + at, n);
        }
        buf_char(out, '\n');
    }
    if (nmore) {
        buf_printf(out, "  and %u more\n", nmore);
    }
}

/* A pc that is translated says nothing of where the bytes are: Priv 4.1.11, satp; but for M mode. Of a guest in a guest (4 and
 * above) there are two tables. */
static bool is_translated(const BeVcpu *v)
{
    uint64_t satp = 0, priv = 0;
    return value_of(v, v->equal, "satp", &satp) && value_of(v, v->equal, "priv", &priv) && priv != 3 &&
           (satp >> 60 || priv > 3);
}

static Apart apart_here(const BeVcpu *v, ApartKind kind)
{
    Apart a = {.kind = kind, .vcpu = v->id, .start = v->equal_at, .end = v->position};
    a.has_pc = v->has_equal && value_of(v, v->equal, "pc", &a.pc);
    for (size_t n = sizeof a.code; a.has_pc && !is_translated(v) && n && !a.ncode; n /= 2) {
        a.ncode = vm_ops(v->vm, 0)->mem_read(v->vm->at[0], (Gpa){a.pc}, a.code, n, NULL) ? 0 : n;
    }
    return a;
}

/* Whoever cannot tell does not. */
static void code_ask(const BeVcpu *v)
{
    Pair *p = v->vm->pair;
    Buf pc = {0};
    buf_le(&pc, p->cfg.code_pc, 8);
    for (int i = 0; i < 2; i++) {
        buf_clear(&p->code[i]);
        if (vm_ops(v->vm, i)->ctl &&
            vm_ops(v->vm, i)->ctl(v->vm->at[i], v->at[i], "sim.code", pc.data, pc.n, &p->code[i], NULL)) {
            buf_clear(&p->code[i]);
        }
    }
    buf_free(&pc);
}

/* text is taken. */
static int apart_at(BeVcpu *v, ApartKind kind, Buf *text, Err *err)
{
    if (v->vm->pair->cfg.wants_code) {
        code_ask(v);
    }
    return apart(v->vm->pair, apart_here(v, kind), text, err);
}

static bool is_watched(const BeVcpu *v)
{
    const PairConfig *c = &v->vm->pair->cfg;
    return (c->vcpu < 0 || c->vcpu == v->id) && v->position >= c->from;
}

/* Both stand still and owe no answer. */
static int look(BeVcpu *v, Err *err)
{
    Pair *p = v->vm->pair;
    Err e[2] = {0};
    if (!is_watched(v)) {
        return 0;
    }
    int rc = list_make(v, err);
    if (rc) {
        return rc;
    }
    int got[2] = {look_at(v, 0, &e[0]), look_at(v, 1, &e[1])};
    rc = agree(p, v, "get_regs", got, e, err);
    if (rc) {
        return rc;
    }
    Buf text = {0};
    if (memcmp(v->now[0], v->now[1], v->nbytes) != 0) {
        regs_text(v, &text);
        return apart_at(v, APART_REGS, &text, err);
    }
    if (p->cfg.compares_ram && !ram_same(v->vm, &text)) {
        return apart_at(v, APART_RAM, &text, err);
    }
    memcpy(v->equal, v->now[0], v->nbytes);
    v->has_equal = true;
    v->equal_at = v->position;
    pthread_mutex_lock(&p->lock);
    p->last = apart_here(v, APART_NOT);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

/* ---- running ---- */
static void exit_text(const Pair *p, const VmExit *e, Buf *out)
{
    exit_print(out, e, false);
    if (p->counts && e->valid & HAS_insns) {
        buf_printf(out, ", %" PRIu64 " instructions", e->insns);
    }
}

static int exits_compare(BeVcpu *v, const VmExit e[2], Err *err)
{
    Pair *p = v->vm->pair;
    Buf text[2] = {0}, both = {0};
    uint32_t has = e[0].valid & e[1].valid;
    exit_text(p, &e[0], &text[0]);
    exit_text(p, &e[1], &text[1]);
    bool is_same = !strcmp(buf_text(&text[0]), buf_text(&text[1])) &&
                   (!(has & HAS_pc_before) || e[0].pc_before == e[1].pc_before) &&
                   (!(has & HAS_pc_after) || e[0].pc_after == e[1].pc_after);
    int rc = 0;
    if (is_same && e[0].kind != EXIT_budget) {
        pthread_mutex_lock(&p->lock);
        Buf *line = &p->history[p->nexits++ % HISTORY];
        buf_clear(line);
        buf_printf(line, "vcpu %u at %" PRIu64 ": %s", v->id, v->position, buf_text(&text[0]));
        pthread_mutex_unlock(&p->lock);
    } else if (!is_same) {
        for (int i = 0; i < 2; i++) {
            buf_printf(&both, "  %c: %s\n", 'a' + i, buf_text(&text[i]));
        }
        rc = apart_at(v, APART_EXIT, &both, err);
    }
    buf_free(&text[0]);
    buf_free(&text[1]);
    return rc;
}

static uint64_t window_of(const BeVcpu *v)
{
    const PairConfig *c = &v->vm->pair->cfg;
    if (c->vcpu >= 0 && c->vcpu != v->id) {
        return COARSE;
    }
    uint64_t n = v->position < c->from ? c->from - v->position : c->window;
    return v->position < c->from && n > COARSE ? COARSE : n;
}

static void advance(BeVcpu *v, const VmExit *e, uint64_t budget)
{
    Pair *p = v->vm->pair;
    uint64_t insns = e->valid & HAS_insns ? e->insns - v->insns : 0;
    v->position += e->kind == EXIT_budget ? budget : insns;
    v->insns = e->valid & HAS_insns ? e->insns : v->insns;
    pthread_mutex_lock(&p->lock);
    p->position = v->position > p->position ? v->position : p->position;
    pthread_mutex_unlock(&p->lock);
}

static bool is_past(const BeVcpu *v)
{
    const PairConfig *c = &v->vm->pair->cfg;
    return (c->vcpu < 0 || c->vcpu == v->id) && v->position >= c->until;
}

/* One window on both. *budget: what it may use. */
static int run_window(BeVcpu *v, const RunArgs *args, uint64_t left, VmExit e[2], uint64_t *budget, Err *err)
{
    Pair *p = v->vm->pair;
    RunArgs one = *args;
    Err why[2] = {0};
    int rc[2];
    one.serve_board = false;
    one.insns = left;
    if (p->counts) {
        uint64_t window = window_of(v);
        one.insns = left < window ? left : window;
        one.deadline_ns = UINT64_MAX; /* looked at between windows, or one would stop earlier than the other */
        one.want |= HAS_insns;
    }
    for (int i = 0; i < 2; i++) {
        rc[i] = vcpu_ops(v, i)->run(v->at[i], &one, &e[i], &why[i]);
    }
    *budget = one.insns;
    int both = agree(p, v, "run", rc, why, err);
    if (both) {
        return both;
    }
    advance(v, &e[0], one.insns);
    return exits_compare(v, e, err);
}

static int canceled(const BeVcpu *v, VmExit *exit)
{
    *exit = (VmExit){.kind = EXIT_canceled, .vcpu = v->id, .valid = HAS_insns, .insns = v->insns};
    return 0;
}

static int run(BeVcpu *v, const RunArgs *args, VmExit *exit, Err *err)
{
    Pair *p = v->vm->pair;
    uint64_t left = args->insns;
    int rc = p->is_over ? over(p, err) : v->has_equal || v->is_reply_due ? 0 : look(v, err);
    v->is_reply_due = false;
    while (!rc) {
        VmExit e[2];
        uint64_t budget;
        if (p->counts && (atomic_exchange(&v->is_kicked, false) ||
                          (args->deadline_ns != UINT64_MAX && os_now_ns() >= args->deadline_ns))) {
            return canceled(v, exit);
        }
        rc = run_window(v, args, left, e, &budget, err);
        if (rc) {
            break;
        }
        left -= left == UINT64_MAX || e[0].kind != EXIT_budget ? 0 : budget;
        v->is_reply_due = e[0].reply != REPLY_none;
        rc = v->is_reply_due ? 0 : look(v, err);
        if (!rc && is_past(v)) {
            rc = over(p, err);
        }
        if (!rc && (e[0].kind != EXIT_budget || !left)) {
            *exit = e[0];
            break;
        }
    }
    return rc;
}

static int reply(BeVcpu *v, const Reply *r, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vcpu_ops(v, i)->reply(v->at[i], r, &e[i]);
    }
    return agree(v->vm->pair, v, "reply", rc, e, err);
}

static void kick(BeVcpu *v)
{
    atomic_store(&v->is_kicked, true);
    for (int i = 0; i < 2 && !v->vm->pair->counts; i++) {
        vcpu_ops(v, i)->kick(v->at[i]);
    }
}

/* ---- the rest of the vcpu ---- */
static void two_vcpus_free(BeVcpu *v)
{
    for (int i = 0; i < 2; i++) {
        if (v->at[i]) {
            vcpu_ops(v, i)->destroy(v->at[i]);
        }
    }
    mem_free(v->ids);
    mem_free(v->now[0]);
    mem_free(v->now[1]);
    mem_free(v->equal);
    mem_free(v);
}

static int two_vcpus_new(BeVm *vm, const VcpuConfig *cfg, BeVcpu **out, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    BeVcpu *v = x_alloc(sizeof *v);
    v->vm = vm;
    v->id = cfg->id;
    for (int i = 0; i < 2; i++) {
        rc[i] = vcpu_ops(v, i)->create(vm->at[i], cfg, &v->at[i], &e[i]);
    }
    int both = agree(vm->pair, v, "vcpu create", rc, e, err);
    if (both) {
        v->at[0] = rc[0] ? NULL : v->at[0];
        v->at[1] = rc[1] ? NULL : v->at[1];
        two_vcpus_free(v);
        return both;
    }
    *out = v;
    return 0;
}

static int setup(BeVcpu *v, const VcpuSetup *s, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vcpu_ops(v, i)->setup(v->at[i], s, &e[i]);
    }
    return agree(v->vm->pair, v, "setup", rc, e, err);
}

static int bind(BeVcpu *v, Err *err)
{
    Err e[2] = {0};
    int rc[2] = {0};
    for (int i = 0; i < 2; i++) {
        rc[i] = vcpu_ops(v, i)->bind ? vcpu_ops(v, i)->bind(v->at[i], &e[i]) : 0;
    }
    return agree(v->vm->pair, v, "bind", rc, e, err);
}

static int unbind(BeVcpu *v, Err *err)
{
    Err e[2] = {0};
    int rc[2] = {0};
    for (int i = 0; i < 2; i++) {
        rc[i] = vcpu_ops(v, i)->unbind ? vcpu_ops(v, i)->unbind(v->at[i], &e[i]) : 0;
    }
    return agree(v->vm->pair, v, "unbind", rc, e, err);
}

/* a's bytes are the answer; where they differ, the next look says so. */
static int get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 1; i >= 0; i--) {
        rc[i] = vcpu_ops(v, i)->get_regs(v->at[i], io, n, bad, &e[i]);
    }
    return agree(v->vm->pair, v, "get_regs", rc, e, err);
}

static int set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 1; i >= 0; i--) {
        rc[i] = vcpu_ops(v, i)->set_regs(v->at[i], io, n, bad, &e[i]);
    }
    return agree(v->vm->pair, v, "set_regs", rc, e, err);
}

static int one_list(BeVcpu *v, int side, RegId **ids, size_t *n, Err *err)
{
    int rc = vcpu_ops(v, side)->reg_list(v->at[side], NULL, n, err);
    *ids = rc ? NULL : x_calloc(*n + 1, sizeof **ids);
    return rc ? rc : vcpu_ops(v, side)->reg_list(v->at[side], *ids, n, err);
}

/* Those that both have, in a's order. */
static int reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    Err e[2] = {0};
    RegId *list[2] = {NULL, NULL};
    size_t len[2] = {0};
    int rc[2] = {one_list(v, 0, &list[0], &len[0], &e[0]), one_list(v, 1, &list[1], &len[1], &e[1])};
    int both = agree(v->vm->pair, v, "reg_list", rc, e, err);
    size_t nboth = 0;
    for (size_t i = 0; !both && list[0] && list[1] && i < len[0]; i++) {
        for (size_t j = 0; j < len[1]; j++) {
            if (list[0][i] == list[1][j] && nboth < (ids ? *n : SIZE_MAX)) {
                if (ids) {
                    ids[nboth] = list[0][i];
                }
                nboth++;
                break;
            }
        }
    }
    *n = both ? *n : nboth;
    mem_free(list[0]);
    mem_free(list[1]);
    return both;
}

static int inject(BeVcpu *v, const Event *event, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vcpu_ops(v, i)->inject(v->at[i], event, &e[i]);
    }
    return agree(v->vm->pair, v, "inject", rc, e, err);
}

static int breaks(BeVcpu *v, const Break *list, size_t n, Err *err)
{
    Err e[2] = {0};
    int rc[2];
    for (int i = 0; i < 2; i++) {
        rc[i] = vcpu_ops(v, i)->breaks(v->at[i], list, n, &e[i]);
    }
    return agree(v->vm->pair, v, "breaks", rc, e, err);
}

/* ---- the backend ---- */
static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int open_both(const Backend *b, GuestId guest, Caps *out, Err *err)
{
    Pair *p = b->self;
    Caps caps[2] = {0};
    for (int i = 0; i < 2; i++) {
        const Backend *one = p->cfg.side[i].backend;
        int rc = one->open(one, guest, &caps[i], err);
        if (rc) {
            err_prefix(err, "%s", p->cfg.side[i].shown);
            return rc;
        }
    }
    *out = caps[0];
    for (int i = 0; i < CAP_COUNT; i++) {
        if (caps[1].level[i] < caps[0].level[i]) {
            out->level[i] = caps[1].level[i];
            out->why[i] = caps[1].why[i];
        }
    }
    out->level[CAP_board_inside] = CAP_NONE;
    out->why[CAP_board_inside] = "of two backends, each access is served once, above";
    out->level[CAP_boot] = CAP_NONE;
    out->why[CAP_boot] = "of two backends, each access is served once, above";
    out->page_bytes = caps[0].page_bytes > caps[1].page_bytes ? caps[0].page_bytes : caps[1].page_bytes;
    out->max_vcpus = least(caps[0].max_vcpus, caps[1].max_vcpus);
    out->max_regions = least(caps[0].max_regions, caps[1].max_regions);
    out->vec_bytes = least(caps[0].vec_bytes, caps[1].vec_bytes);
    out->isa = NULL; /* what one of them lacks is a difference, to be shown at its instruction */
    p->counts = out->level[CAP_insn_count] == CAP_FULL;
    return 0;
}

static const VmOps pair_vm_ops = {.size_bytes = sizeof(VmOps),
                                  .create = create,
                                  .destroy = destroy,
                                  .ram_create = ram_create,
                                  .map = map,
                                  .unmap = unmap,
                                  .mem_read = mem_read,
                                  .mem_write = mem_write,
                                  .dirty_get = dirty_get,
                                  .irq_line = irq_line,
                                  .msi = msi,
                                  .intercept = intercept,
                                  .clock = guest_clock,
                                  .save = save,
                                  .restore = restore,
                                  .ctl = ctl};
static const VcpuOps pair_vcpu_ops = {.size_bytes = sizeof(VcpuOps),
                                      .create = two_vcpus_new,
                                      .destroy = two_vcpus_free,
                                      .setup = setup,
                                      .bind = bind,
                                      .unbind = unbind,
                                      .run = run,
                                      .reply = reply,
                                      .kick = kick,
                                      .get_regs = get_regs,
                                      .set_regs = set_regs,
                                      .reg_list = reg_list,
                                      .inject = inject,
                                      .breaks = breaks};

Pair *pair_new(const PairConfig *cfg)
{
    Pair *p = x_alloc(sizeof *p);
    p->cfg = *cfg;
    p->backend = (Backend){.abi = ACCEL_ABI_VERSION,
                           .size_bytes = sizeof(Backend),
                           .name = cfg->side[0].backend->name, /* what suites say of a, they mean here too */
                           .is_double = cfg->side[0].backend->is_double,
                           .self = p,
                           .open = open_both,
                           .vm = &pair_vm_ops,
                           .vcpu = &pair_vcpu_ops};
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void pair_free(Pair *p)
{
    for (size_t i = 0; i < HISTORY; i++) {
        buf_free(&p->history[i]);
    }
    buf_free(&p->apart.text);
    buf_free(&p->code[0]);
    buf_free(&p->code[1]);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

const Backend *pair_backend(const Pair *p)
{
    return &p->backend;
}

const Apart *pair_apart(const Pair *p)
{
    return &p->apart;
}

bool pair_last(const Pair *p, Apart *out)
{
    *out = p->last;
    return p->last.has_pc;
}

const Buf *pair_code(const Pair *p, unsigned side)
{
    return &p->code[side];
}

bool pair_is_over(const Pair *p)
{
    return p->is_over;
}

bool pair_counts(const Pair *p)
{
    return p->counts;
}

uint64_t pair_position(const Pair *p)
{
    return p->position;
}

uint64_t pair_nexits(const Pair *p)
{
    return p->nexits;
}

void pair_history(const Pair *p, Buf *out)
{
    uint64_t n = p->nexits < HISTORY ? p->nexits : HISTORY;
    for (uint64_t i = p->nexits - n; i < p->nexits; i++) {
        buf_printf(out, "  %s\n", buf_text(&p->history[i % HISTORY]));
    }
}
