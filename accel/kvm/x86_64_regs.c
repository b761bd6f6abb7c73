/* SPDX-License-Identifier: Apache-2.0
 * x86_64_regs.c - registers by id. A batch reads and writes each group that it touches once. */
#if defined(__x86_64__)
#include "accel/kvm/x86_64.h"

#include <errno.h>
#include <string.h>

typedef enum { CONV_PLAIN, CONV_ATTR, CONV_SHADOW, CONV_EXCEPTION, CONV_INTERRUPT, CONV_X87, CONV_MSR } Conv;

typedef struct {
    uint32_t group;
    uint32_t offset; /* in X86State; CONV_MSR: the MSR's address */
    uint32_t bytes;
    Conv conv;
} Where;

enum { NATIVE_XSAVE = 0, NATIVE_LAPIC = 1 };
static const RegId xsave_id = REG_ID(GUEST_x86_64, 12, REG_NATIVE, NATIVE_XSAVE);
static const RegId lapic_id = REG_ID(GUEST_x86_64, 10, REG_NATIVE, NATIVE_LAPIC);

#define AT(member)            ((uint32_t)offsetof(X86State, member))
#define PLAIN(group_, member) ((Where){group_, AT(member), sizeof((X86State *)0)->member, CONV_PLAIN})
#define FXSAVE(at, n)         ((Where){X86_XSAVE, AT(xsave) + (at), n, CONV_PLAIN})

static Where where_gpr(uint64_t index)
{
    static const uint32_t offsets[] = {
        AT(regs.rax), AT(regs.rcx), AT(regs.rdx), AT(regs.rbx), AT(regs.rsp), AT(regs.rbp), AT(regs.rsi), AT(regs.rdi),
        AT(regs.r8),  AT(regs.r9),  AT(regs.r10), AT(regs.r11), AT(regs.r12), AT(regs.r13), AT(regs.r14), AT(regs.r15)};
    return index < ARRAY_LEN(offsets) ? (Where){X86_REGS, offsets[index], 8, CONV_PLAIN} : (Where){0};
}

static Where where_segment(uint64_t index)
{
    static const uint32_t offsets[] = {AT(sregs.cs), AT(sregs.ds), AT(sregs.es), AT(sregs.fs),
                                       AT(sregs.gs), AT(sregs.ss), AT(sregs.tr), AT(sregs.ldt)};
    uint32_t at = offsets[index / 4];
    switch (index % 4) {
    case 0:
        return (Where){X86_SREGS, at + (uint32_t)offsetof(struct kvm_segment, selector), 2, CONV_PLAIN};
    case 1:
        return (Where){X86_SREGS, at + (uint32_t)offsetof(struct kvm_segment, base), 8, CONV_PLAIN};
    case 2:
        return (Where){X86_SREGS, at + (uint32_t)offsetof(struct kvm_segment, limit), 4, CONV_PLAIN};
    default:
        return (Where){X86_SREGS, at, 2, CONV_ATTR};
    }
}

static Where where_ctl(uint64_t index)
{
    enum { CTL_SEGMENTS = 8, CTL_TABLES = 40, CTL_DEBUG = 44, CTL_END = 50 };
    const Where first[CTL_SEGMENTS] = {PLAIN(X86_REGS, regs.rip),   PLAIN(X86_REGS, regs.rflags),
                                       PLAIN(X86_SREGS, sregs.cr0), PLAIN(X86_SREGS, sregs.cr2),
                                       PLAIN(X86_SREGS, sregs.cr3), PLAIN(X86_SREGS, sregs.cr4),
                                       PLAIN(X86_SREGS, sregs.cr8), PLAIN(X86_XCRS, xcrs.xcrs[0].value)};
    const Where tables[] = {PLAIN(X86_SREGS, sregs.gdt.base), PLAIN(X86_SREGS, sregs.gdt.limit),
                            PLAIN(X86_SREGS, sregs.idt.base), PLAIN(X86_SREGS, sregs.idt.limit)};
    const Where debug[] = {PLAIN(X86_DEBUGREGS, debugregs.db[0]), PLAIN(X86_DEBUGREGS, debugregs.db[1]),
                           PLAIN(X86_DEBUGREGS, debugregs.db[2]), PLAIN(X86_DEBUGREGS, debugregs.db[3]),
                           PLAIN(X86_DEBUGREGS, debugregs.dr6),   PLAIN(X86_DEBUGREGS, debugregs.dr7)};
    if (index < CTL_SEGMENTS) {
        return first[index];
    }
    if (index < CTL_TABLES) {
        return where_segment(index - CTL_SEGMENTS);
    }
    if (index < CTL_DEBUG) {
        return tables[index - CTL_TABLES];
    }
    return index < CTL_END ? debug[index - CTL_DEBUG] : (Where){0};
}

/* The legacy area of an XSAVE image is that of FXSAVE64 (SDM vol. 1, table 10-2). */
static Where where_fp(uint64_t index)
{
    const Where environment[] = {FXSAVE(0, 2), FXSAVE(2, 2),  FXSAVE(4, 1), FXSAVE(6, 2),
                                 FXSAVE(8, 8), FXSAVE(16, 8), FXSAVE(24, 4)};
    if (index < 8) {
        return (Where){X86_XSAVE, AT(xsave) + 32 + 16 * (uint32_t)index, 16, CONV_X87};
    }
    return index - 8 < ARRAY_LEN(environment) ? environment[index - 8] : (Where){0};
}

static Where where_sys(uint64_t index)
{
    switch (index) { /* the same registers as in kvm_sregs, which checks them together */
    case 0xc0000080:
        return PLAIN(X86_SREGS, sregs.efer);
    case 0xc0000100:
        return PLAIN(X86_SREGS, sregs.fs.base);
    case 0xc0000101:
        return PLAIN(X86_SREGS, sregs.gs.base);
    case 0x1b:
        return PLAIN(X86_SREGS, sregs.apic_base);
    default:
        return index <= UINT32_MAX ? (Where){X86_MSRS, (uint32_t)index, 8, CONV_MSR} : (Where){0};
    }
}

static Where where_state(uint64_t index)
{
    const Where table[] = {PLAIN(X86_MP_STATE, mp_state.mp_state), {X86_EVENTS, 0, 1, CONV_SHADOW},
                           PLAIN(X86_EVENTS, events.nmi.masked),   PLAIN(X86_EVENTS, events.nmi.pending),
                           {X86_EVENTS, 0, 8, CONV_EXCEPTION},     {X86_EVENTS, 0, 8, CONV_INTERRUPT}};
    return index < ARRAY_LEN(table) ? table[index] : (Where){0};
}

static Where where_is(const BeVm *vm, RegId id)
{
    Where w = {0};
    uint64_t index = REG_INDEX(id);
    if (REG_GUEST(id) != GUEST_x86_64) {
        return w;
    }
    switch (REG_CLASS(id)) {
    case REG_GPR:
        w = where_gpr(index);
        break;
    case REG_FP:
        w = where_fp(index);
        break;
    case REG_VEC:
        w = index < 16 ? FXSAVE(160 + 16 * (uint32_t)index, 16) : w;
        break;
    case REG_SYS:
        w = where_sys(index);
        break;
    case REG_CTL:
        w = where_ctl(index);
        break;
    case REG_STATE:
        w = where_state(index);
        break;
    case REG_NATIVE:
        if (id == xsave_id) {
            w = PLAIN(X86_XSAVE, xsave.region);
            w.bytes = 4096; /* newer headers let the struct end in a flexible array */
        } else if (id == lapic_id && x86_has_lapic(vm)) {
            w = PLAIN(X86_LAPIC, lapic);
        }
        break;
    }
    return w.bytes == REG_SIZE(id) ? w : (Where){0};
}

/* ---- conversions ---- */
static uint64_t attr_get(const struct kvm_segment *s)
{
    return (uint64_t)(s->type & 15) | (uint64_t)(s->s & 1) << 4 | (uint64_t)(s->dpl & 3) << 5 |
           (uint64_t)(s->present & !s->unusable) << 7 | (uint64_t)(s->avl & 1) << 12 | (uint64_t)(s->l & 1) << 13 |
           (uint64_t)(s->db & 1) << 14 | (uint64_t)(s->g & 1) << 15;
}

static void attr_set(struct kvm_segment *s, uint64_t attr)
{
    s->type = attr & 15;
    s->s = attr >> 4 & 1;
    s->dpl = attr >> 5 & 3;
    s->present = attr >> 7 & 1;
    s->unusable = !s->present;
    s->avl = attr >> 12 & 1;
    s->l = attr >> 13 & 1;
    s->db = attr >> 14 & 1;
    s->g = attr >> 15 & 1;
}

static uint64_t exception_get(const struct kvm_vcpu_events *e)
{
    bool is_pending = e->exception.injected || e->exception.pending;
    return !is_pending ? 0
                       : (uint64_t)e->exception.nr | (uint64_t)(e->exception.has_error_code != 0) << 8 | 1u << 9 |
                             (uint64_t)e->exception.error_code << 32;
}

static void exception_set(struct kvm_vcpu_events *e, uint64_t value)
{
    e->exception.nr = (uint8_t)value;
    e->exception.has_error_code = value >> 8 & 1;
    e->exception.injected = value >> 9 & 1;
    e->exception.pending = 0;
    e->exception.error_code = (uint32_t)(value >> 32);
}

static void value_get(const X86State *s, const Where *w, uint8_t *out, size_t *msr)
{
    const uint8_t *base = (const uint8_t *)s;
    uint64_t value;
    switch (w->conv) {
    case CONV_PLAIN:
    case CONV_X87:
        memcpy(out, base + w->offset, w->bytes);
        return;
    case CONV_ATTR:
        value = attr_get((const struct kvm_segment *)(const void *)(base + w->offset));
        break;
    case CONV_SHADOW: /* KVM: MOV SS 1, STI 2 */
        value = (uint64_t)(s->events.interrupt.shadow >> 1 & 1) | (uint64_t)(s->events.interrupt.shadow & 1) << 1;
        break;
    case CONV_EXCEPTION:
        value = exception_get(&s->events);
        break;
    case CONV_INTERRUPT:
        value = s->events.interrupt.injected ? s->events.interrupt.nr | 1u << 9 : 0;
        break;
    case CONV_MSR:
    default:
        value = s->msrs.items[(*msr)++].data;
        break;
    }
    memcpy(out, &value, w->bytes);
}

static void value_set(X86State *s, const Where *w, const uint8_t *in, size_t *msr)
{
    enum { X87_BYTES = 10 };
    uint8_t *base = (uint8_t *)s;
    uint64_t value = 0;
    memcpy(&value, in, w->bytes < 8 ? w->bytes : 8);
    switch (w->conv) {
    case CONV_PLAIN:
        memcpy(base + w->offset, in, w->bytes);
        return;
    case CONV_X87:
        memset(base + w->offset, 0, w->bytes);
        memcpy(base + w->offset, in, X87_BYTES);
        return;
    case CONV_ATTR:
        attr_set((struct kvm_segment *)(void *)(base + w->offset), value);
        return;
    case CONV_SHADOW:
        s->events.interrupt.shadow = (uint8_t)((value & 1) << 1 | (value >> 1 & 1));
        return;
    case CONV_EXCEPTION:
        exception_set(&s->events, value);
        return;
    case CONV_INTERRUPT:
        s->events.interrupt.injected = value >> 9 & 1;
        s->events.interrupt.nr = (uint8_t)value;
        s->events.interrupt.soft = 0;
        return;
    case CONV_MSR:
        s->msrs.items[(*msr)++].data = value;
        return;
    }
}

/* ---- state by groups ---- */
static void *group_at(X86State *s, uint32_t group)
{
    switch (group) {
    case X86_SREGS:
        return &s->sregs;
    case X86_XCRS:
        return &s->xcrs;
    case X86_XSAVE:
        return &s->xsave;
    case X86_LAPIC:
        return &s->lapic;
    case X86_REGS:
        return &s->regs;
    case X86_DEBUGREGS:
        return &s->debugregs;
    case X86_EVENTS:
        return &s->events;
    default:
        return &s->mp_state;
    }
}

/* KVM_GET_MSRS or KVM_SET_MSRS in the pieces that the kernel takes; returns how many it did, or
 * -errno. */
static int msrs_ioctl(BeVcpu *v, unsigned long request, struct kvm_msr_entry *e, size_t n)
{
    enum { MAX_MSRS = 255 }; /* below MAX_IO_MSRS */
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry e[MAX_MSRS];
    } io;
    size_t done = 0;
    while (done < n) {
        size_t part = n - done < MAX_MSRS ? n - done : MAX_MSRS;
        memset(&io.head, 0, sizeof io.head);
        io.head.nmsrs = (uint32_t)part;
        memcpy(io.e, e + done, part * sizeof *e);
        int rc = kvm_ioctl(v->fd, request, &io);
        if (rc < 0) {
            return rc;
        }
        memcpy(e + done, io.e, (size_t)rc * sizeof *e);
        done += (size_t)rc;
        if ((size_t)rc < part) {
            break;
        }
    }
    return (int)done;
}

int x86_state_get(BeVcpu *v, uint32_t groups, X86State *s, Err *err)
{
    static const struct {
        unsigned long request;
        const char *name;
    } gets[X86_GROUPS] = {{KVM_GET_SREGS, "KVM_GET_SREGS"},         {KVM_GET_XCRS, "KVM_GET_XCRS"},
                          {KVM_GET_XSAVE, "KVM_GET_XSAVE"},         {0, NULL},
                          {KVM_GET_LAPIC, "KVM_GET_LAPIC"},         {KVM_GET_REGS, "KVM_GET_REGS"},
                          {KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS"}, {KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS"},
                          {KVM_GET_MP_STATE, "KVM_GET_MP_STATE"}};
    for (uint32_t i = 0; i < X86_GROUPS; i++) {
        if (!(groups >> i & 1) || 1u << i == X86_MSRS) {
            continue;
        }
        int rc = kvm_get(v, gets[i].request, group_at(s, 1u << i), gets[i].name, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static const struct {
    unsigned long request;
    const char *name;
} sets[X86_GROUPS] = {{KVM_SET_SREGS, "KVM_SET_SREGS"},         {KVM_SET_XCRS, "KVM_SET_XCRS"},
                      {KVM_SET_XSAVE, "KVM_SET_XSAVE"},         {KVM_SET_MSRS, "KVM_SET_MSRS"},
                      {KVM_SET_LAPIC, "KVM_SET_LAPIC"},         {KVM_SET_REGS, "KVM_SET_REGS"},
                      {KVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS"}, {KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS"},
                      {KVM_SET_MP_STATE, "KVM_SET_MP_STATE"}};

const char *x86_set_name(uint32_t group)
{
    return sets[__builtin_ctz(group | 1u << (X86_GROUPS - 1))].name;
}

int x86_state_set(BeVcpu *v, uint32_t groups, X86State *s, uint32_t *failed, size_t *nmsrs)
{
    enum { XSTATE_BV_WORD = 128, X87_AND_SSE = 3 };
    *nmsrs = 0;
    for (uint32_t i = 0; i < X86_GROUPS; i++) {
        uint32_t group = 1u << i;
        int rc = 0;
        if (!(groups & group)) {
            continue;
        }
        if (group == X86_MSRS) {
            rc = msrs_ioctl(v, KVM_SET_MSRS, s->msrs.items, s->msrs.n);
            *nmsrs = rc > 0 ? (size_t)rc : 0;
            rc = rc >= 0 && (size_t)rc < s->msrs.n ? -EINVAL : rc;
        } else {
            if (group == X86_XSAVE) { /* else the kernel takes these parts to be in their initial state */
                s->xsave.region[XSTATE_BV_WORD] |= X87_AND_SSE;
            }
            rc = kvm_ioctl(v->fd, sets[i].request, group_at(s, group));
        }
        if (rc < 0) {
            *failed = group;
            return rc;
        }
    }
    return 0;
}

/* ---- batches ---- */
static int batch_where(BeVcpu *v, const RegIo *io, size_t n, uint32_t *groups, Err *err)
{
    X86Msrs *msrs = &v->arch->now.msrs;
    char text[REG_TEXT_BYTES];
    msrs->n = 0;
    for (size_t i = 0; i < n; i++) {
        Where w = where_is(v->vm, io[i].id);
        if (!w.group) {
            err_set(err, ERR_NOENT, "kvm has no %s", reg_text(io[i].id, text, sizeof text));
            return (int)i;
        }
        *groups |= w.group;
        if (w.conv == CONV_MSR) {
            VEC_PUSH(msrs, (struct kvm_msr_entry){.index = w.offset});
        }
    }
    return -1;
}

/* The nth MSR of a batch, as an index into it. */
static size_t batch_msr(BeVcpu *v, const RegIo *io, size_t n, size_t nth)
{
    for (size_t i = 0; i < n; i++) {
        if (where_is(v->vm, io[i].id).conv == CONV_MSR && nth-- == 0) {
            return i;
        }
    }
    return 0;
}

static int batch_read(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    uint32_t groups = 0;
    char text[REG_TEXT_BYTES];
    *bad = 0;
    int at = batch_where(v, io, n, &groups, err);
    if (at >= 0) {
        *bad = (size_t)at;
        return -ERR_NOENT;
    }
    X86State *now = &v->arch->now;
    int rc = x86_state_get(v, groups, now, err);
    if (rc || !(groups & X86_MSRS)) {
        return rc ? rc : (int)groups;
    }
    rc = msrs_ioctl(v, KVM_GET_MSRS, now->msrs.items, now->msrs.n);
    if (rc < 0) {
        return kvm_err(err, rc, "KVM_GET_MSRS");
    }
    if ((size_t)rc < now->msrs.n) {
        *bad = batch_msr(v, io, n, (size_t)rc);
        return err_set(err, ERR_NOENT, "kvm has no %s", reg_text(io[*bad].id, text, sizeof text));
    }
    return (int)groups;
}

int kvm_arch_get_regs(BeVcpu *v, RegIo *io, size_t n, size_t *bad, Err *err)
{
    int groups = batch_read(v, io, n, bad, err);
    if (groups < 0) {
        return groups;
    }
    size_t msr = 0;
    for (size_t i = 0; i < n; i++) {
        Where w = where_is(v->vm, io[i].id);
        value_get(&v->arch->now, &w, io[i].bytes, &msr);
    }
    return 0;
}

/* next = now with the batch applied, but for entry `skip`. */
static void batch_apply(BeVcpu *v, const RegIo *io, size_t n, size_t skip)
{
    X86State *now = &v->arch->now, *next = &v->arch->next;
    X86Msrs msrs = next->msrs;
    *next = *now;
    next->msrs = msrs;
    next->msrs.n = 0;
    for (size_t i = 0; i < now->msrs.n; i++) {
        VEC_PUSH(&next->msrs, now->msrs.items[i]);
    }
    size_t msr = 0;
    for (size_t i = 0; i < n; i++) {
        Where w = where_is(v->vm, io[i].id);
        if (i == skip) {
            msr += w.conv == CONV_MSR;
        } else {
            value_set(next, &w, io[i].bytes, &msr);
        }
    }
}

/* Which entry made KVM refuse the group: the one without which it is taken. */
static size_t batch_culprit(BeVcpu *v, const RegIo *io, size_t n, uint32_t group, size_t nmsrs)
{
    if (group == X86_MSRS) {
        return batch_msr(v, io, n, nmsrs);
    }
    size_t first = n;
    for (size_t i = 0; i < n; i++) {
        if (where_is(v->vm, io[i].id).group != group) {
            continue;
        }
        uint32_t failed;
        first = first == n ? i : first;
        batch_apply(v, io, n, i);
        if (x86_state_set(v, group, &v->arch->next, &failed, &nmsrs) == 0) {
            return i;
        }
    }
    return first == n ? 0 : first;
}

int kvm_arch_set_regs(BeVcpu *v, const RegIo *io, size_t n, size_t *bad, Err *err)
{
    char text[REG_TEXT_BYTES];
    int groups = batch_read(v, io, n, bad, err);
    if (groups < 0) {
        return groups;
    }
    for (size_t i = 0; i < n; i++) {
        if (!reg_x86_64_fits(io[i].id, io[i].bytes)) {
            *bad = i;
            return err_set(err, ERR_INVAL, "%s: reserved bits are set", reg_text(io[i].id, text, sizeof text));
        }
    }
    batch_apply(v, io, n, n);
    uint32_t failed = 0;
    size_t nmsrs = 0;
    int rc = x86_state_set(v, (uint32_t)groups, &v->arch->next, &failed, &nmsrs);
    if (rc == 0) {
        return 0;
    }
    size_t ignored_n;
    uint32_t ignored;
    bool is_refused = rc == -EINVAL;
    *bad = is_refused ? batch_culprit(v, io, n, failed, nmsrs) : 0;
    (void)x86_state_set(v, (uint32_t)groups, &v->arch->now, &ignored, &ignored_n);
    return is_refused ? err_native(err, ERR_INVAL, -rc, "kvm does not take this value of %s",
                                   reg_text(io[*bad].id, text, sizeof text))
                      : kvm_err(err, rc, x86_set_name(failed));
}

/* ---- the list ---- */
int x86_msrs_learn(BeVcpu *v, X86Msrs *out, Err *err)
{
    enum { MAX_LIST = 2048, HYPERV_FIRST = 0x40000000, HYPERV_LAST = 0x400001ff };
    struct kvm_msr_list *list = x_alloc(sizeof *list + MAX_LIST * sizeof list->indices[0]);
    list->nmsrs = MAX_LIST;
    int rc = kvm_ioctl(v->vm->sys_fd, KVM_GET_MSR_INDEX_LIST, list);
    for (uint32_t i = 0; rc >= 0 && i < list->nmsrs; i++) {
        uint32_t index = list->indices[i];
        if (where_sys(index).conv == CONV_MSR && (index < HYPERV_FIRST || index > HYPERV_LAST)) {
            VEC_PUSH(out, (struct kvm_msr_entry){.index = index});
        }
    }
    mem_free(list);
    if (rc < 0) {
        return kvm_err(err, rc, "KVM_GET_MSR_INDEX_LIST");
    }
    static const struct {
        unsigned long request;
        const char *name;
    } passes[] = {{KVM_GET_MSRS, "KVM_GET_MSRS"}, {KVM_SET_MSRS, "KVM_SET_MSRS"}};
    for (size_t pass = 0; pass < ARRAY_LEN(passes); pass++) {
        for (size_t done = 0; done < out->n;) {
            rc = msrs_ioctl(v, passes[pass].request, out->items + done, out->n - done);
            if (rc < 0) {
                return kvm_err(err, rc, passes[pass].name);
            }
            done += (size_t)rc;
            if (done < out->n) { /* this one cannot be read, or not be written back */
                memmove(out->items + done, out->items + done + 1, (out->n - done - 1) * sizeof *out->items);
                out->n--;
            }
        }
    }
    return 0;
}

int kvm_arch_reg_list(BeVcpu *v, RegId *ids, size_t *n, Err *err)
{
    const X86Msrs *msrs = &v->arch->reset.msrs;
    RegId last[4];
    size_t at = 0, cap = ids ? *n : 0, nlast = 0, nrows = 0;
    const RegInfo *rows = reg_table(GUEST_x86_64, &nrows);
#define LIST(id_)                                                                                                      \
    do {                                                                                                               \
        if (at < cap) {                                                                                                \
            ids[at] = (id_);                                                                                           \
        }                                                                                                              \
        at++;                                                                                                          \
    } while (0)
    LIST(xsave_id);
    if (x86_has_lapic(v->vm)) {
        LIST(lapic_id);
    }
    for (size_t i = 0; i < nrows; i++) {
        RegId id = rows[i].id;
        if (REG_CLASS(id) != REG_SYS || where_sys(REG_INDEX(id)).conv != CONV_MSR) {
            LIST(id);
        }
    }
    for (size_t i = 0; i < msrs->n; i++) {
        RegId id = REG_ID(GUEST_x86_64, 3, REG_SYS, msrs->items[i].index);
        bool is_time = msrs->items[i].index == 0x10 || msrs->items[i].index == 0x6e0; /* TSC, TSC_DEADLINE */
        if (is_time && nlast < ARRAY_LEN(last)) {
            last[nlast++] = id;
        } else {
            LIST(id);
        }
    }
    for (size_t i = 0; i < nlast; i++) {
        LIST(last[i]);
    }
#undef LIST
    bool is_short = ids && at > cap;
    *n = at;
    return is_short ? err_set(err, ERR_LIMIT, "room for %zu register ids, %zu are needed", cap, at) : 0;
}
#endif
