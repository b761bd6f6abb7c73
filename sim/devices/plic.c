/* SPDX-License-Identifier: Apache-2.0
 * RISC-V Platform-Level Interrupt Controller 1.0.0, with SiFive's 3 bits of priority. Sources are wires and level-triggered.
 * All registers are 4 bytes.
 *
 * param: contexts per hart. 2 = M then S mode (a machine); 1 = S mode only (under a hypervisor, where there is no M mode). The
 * first of a hart drives WIRE_EXTERNAL, the second WIRE_EXTERNAL_LOW. */
#include "sim/devices/devices.h"
#include "sim/machine/fdt.h"

enum {
    SOURCES = 96, /* with source 0, which does not exist */
    WORDS = SOURCES / 32,
    CONTEXTS = DEVICE_MAX_VCPUS * 2,
    PRIORITY_MASK = 7,
    /* the memory map: chapter 3 */
    PENDING = 0x1000,
    ENABLE = 0x2000,
    ENABLE_STRIDE = 0x80,
    CONTEXT = 0x200000,
    CONTEXT_STRIDE = 0x1000,
};

typedef struct {
    uint8_t priority[SOURCES], threshold[CONTEXTS];
    uint32_t level[WORDS];   /* the wires */
    uint32_t pending[WORDS]; /* IP */
    uint32_t claimed[WORDS]; /* the gateway waits for the completion */
    uint32_t enable[CONTEXTS][WORDS];
    uint8_t is_up[CONTEXTS]; /* the notification */
} Plic;
static const StateField state[] = {STATE_ARRAY(Plic, priority), STATE_ARRAY(Plic, threshold),
                                   STATE_ARRAY(Plic, level),    STATE_ARRAY(Plic, pending),
                                   STATE_ARRAY(Plic, claimed),  {"enable", offsetof(Plic, enable), 4, CONTEXTS *WORDS},
                                   STATE_ARRAY(Plic, is_up),    {0}};

static unsigned ncontexts(const Device *d)
{
    return d->host->nvcpus(d->host->ctx) * d->param;
}

static bool bit_get(const uint32_t *words, unsigned i)
{
    return words[i / 32] >> i % 32 & 1;
}

static void bit_set(uint32_t *words, unsigned i, bool value)
{
    words[i / 32] = (words[i / 32] & ~(1u << i % 32)) | (uint32_t)value << i % 32;
}

/* The pending and enabled source of the highest priority, of equals the lowest number (chapter 1.4); 0 = none. Priority 0 means
 * never. */
static unsigned best_source(const Plic *p, unsigned context)
{
    unsigned best = 0;
    for (unsigned word = 0; word < WORDS; word++) {
        for (uint32_t set = p->pending[word] & p->enable[context][word]; set; set &= set - 1) {
            unsigned source = word * 32 + (unsigned)__builtin_ctz(set);
            if (p->priority[source] > (best ? p->priority[best] : 0)) {
                best = source;
            }
        }
    }
    return best;
}

static void context_line(Device *d, unsigned context, bool level)
{
    d->host->line(d->host->ctx, context / d->param, context % d->param ? WIRE_EXTERNAL_LOW : WIRE_EXTERNAL, level);
}

static void notify(Device *d)
{
    Plic *p = d->state;
    for (unsigned i = 0; i < ncontexts(d); i++) {
        unsigned best = best_source(p, i);
        bool is_up = best && p->priority[best] > p->threshold[i];
        if (is_up != p->is_up[i]) {
            p->is_up[i] = is_up;
            context_line(d, i, is_up);
        }
    }
}

/* The gateway (chapter 1.2) lets a high wire through unless its last request is not completed yet. Once through, a request stays
 * though the wire falls. */
static void gateway(Plic *p, unsigned source)
{
    if (bit_get(p->level, source) && !bit_get(p->claimed, source)) {
        bit_set(p->pending, source, true);
    }
}

static void plic_wire(Device *d, unsigned source, bool level)
{
    Plic *p = d->state;
    if (source && source < SOURCES && bit_get(p->level, source) != level) {
        bit_set(p->level, source, level);
        gateway(p, source);
        notify(d);
    }
}

static void plic_drive(Device *d)
{
    const Plic *p = d->state;
    for (unsigned i = 0; i < ncontexts(d); i++) {
        context_line(d, i, p->is_up[i]);
    }
}

static uint32_t claim(Device *d, unsigned context)
{
    Plic *p = d->state;
    unsigned source = best_source(p, context); /* whatever the threshold is: chapter 8 */
    if (source) {
        bit_set(p->pending, source, false);
        bit_set(p->claimed, source, true);
        notify(d);
    }
    return source;
}

/* Of a source that is not enabled for the context: ignored (chapter 9). */
static void complete(Device *d, unsigned context, uint64_t source)
{
    Plic *p = d->state;
    if (source && source < SOURCES && bit_get(p->enable[context], (unsigned)source)) {
        bit_set(p->claimed, (unsigned)source, false);
        gateway(p, (unsigned)source);
        notify(d);
    }
}

typedef enum { REG_NONE, REG_PRIORITY, REG_PENDING, REG_ENABLE, REG_THRESHOLD, REG_CLAIM } Kind;

/* Which register is at offset, and its number: source, word or context. Of what the board does not have (sources, contexts)
 * nothing can be set. */
static Kind decode(const Device *d, uint64_t offset, unsigned *context, unsigned *index)
{
    if (offset < PENDING) {
        *index = (unsigned)(offset / 4);
        return *index && *index < SOURCES ? REG_PRIORITY : REG_NONE;
    }
    if (offset < ENABLE) {
        *index = (unsigned)(offset - PENDING) / 4;
        return *index < WORDS ? REG_PENDING : REG_NONE;
    }
    if (offset < CONTEXT) {
        *context = (unsigned)(offset - ENABLE) / ENABLE_STRIDE;
        *index = (unsigned)(offset - ENABLE) % ENABLE_STRIDE / 4;
        return *context < ncontexts(d) && *index < WORDS ? REG_ENABLE : REG_NONE;
    }
    *context = (unsigned)(offset - CONTEXT) / CONTEXT_STRIDE;
    switch (*context < ncontexts(d) ? offset % CONTEXT_STRIDE : CONTEXT_STRIDE) {
    case 0:
        return REG_THRESHOLD;
    case 4:
        return REG_CLAIM;
    }
    return REG_NONE;
}

static int plic_read(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t *value)
{
    const Plic *p = d->state;
    unsigned context = 0, index = 0;
    (void)vcpu;
    (void)size_bytes;
    *value = 0;
    switch (decode(d, offset, &context, &index)) {
    case REG_NONE: /* reserved: reads as 0 */
        break;
    case REG_PRIORITY:
        *value = p->priority[index];
        break;
    case REG_PENDING:
        *value = p->pending[index];
        break;
    case REG_ENABLE:
        *value = p->enable[context][index];
        break;
    case REG_THRESHOLD:
        *value = p->threshold[context];
        break;
    case REG_CLAIM:
        *value = claim(d, context);
        break;
    }
    return 0;
}

static int plic_write(Device *d, unsigned vcpu, uint64_t offset, unsigned size_bytes, uint64_t value)
{
    Plic *p = d->state;
    unsigned context = 0, index = 0;
    (void)vcpu;
    (void)size_bytes;
    switch (decode(d, offset, &context, &index)) {
    case REG_NONE:
    case REG_PENDING: /* read-only */
        return 0;
    case REG_PRIORITY:
        p->priority[index] = value & PRIORITY_MASK;
        break;
    case REG_ENABLE:
        p->enable[context][index] = (uint32_t)value & (index ? UINT32_MAX : ~1u); /* source 0 does not exist */
        break;
    case REG_THRESHOLD:
        p->threshold[context] = value & PRIORITY_MASK;
        break;
    case REG_CLAIM:
        complete(d, context, value);
        return 0;
    }
    notify(d);
    return 0;
}

static int plic_check(const Device *d, Err *err)
{
    const Plic *p = d->state;
    for (unsigned i = 0; i < SOURCES; i++) {
        if (p->priority[i] > PRIORITY_MASK) {
            return err_set(err, ERR_INVAL, "plic: priority of source %u is %u, expected at most %u", i, p->priority[i],
                           PRIORITY_MASK);
        }
    }
    for (unsigned i = 0; i < CONTEXTS; i++) {
        if (p->threshold[i] > PRIORITY_MASK || p->is_up[i] > 1 || p->enable[i][0] & 1) {
            return err_set(err, ERR_INVAL, "plic: context %u: threshold %u, wire %u, enable 0x%x: out of range", i,
                           p->threshold[i], p->is_up[i], p->enable[i][0]);
        }
    }
    if ((p->pending[0] | p->claimed[0] | p->level[0]) & 1) {
        return err_set(err, ERR_INVAL, "plic: source 0 is in use, expected it not to exist");
    }
    return 0;
}

static void plic_fdt(const Device *d, Fdt *f)
{
    uint32_t cells[CONTEXTS * 2];
    for (unsigned i = 0; i < ncontexts(d); i++) {
        bool is_machine = d->param == 2 && i % 2 == 0;
        cells[i * 2] = DEVICE_CPU_PHANDLE(i / d->param);
        cells[i * 2 + 1] = is_machine ? 11 : 9; /* machine, supervisor external interrupt: Priv 3.1.15 */
    }
    fdt_begin_at(f, "plic", d->base);
    fdt_strs(f, "compatible", (const char *const[]){"sifive,plic-1.0.0", "riscv,plic0"}, 2);
    fdt_reg(f, d->base, d->type->size_bytes);
    fdt_empty(f, "interrupt-controller");
    fdt_u32(f, "#interrupt-cells", 1);
    fdt_u32(f, "#address-cells", 0);
    fdt_u32(f, "riscv,ndev", SOURCES - 1);
    fdt_cells(f, "interrupts-extended", cells, (size_t)ncontexts(d) * 2);
    fdt_u32(f, "phandle", d->phandle);
    fdt_end(f);
}

static const DeviceReg regs[] = {
    {"priority", 4, PENDING - 4, 0, 0, DEVICE_RW},
    {"pending", PENDING, ENABLE - PENDING, 0, 0, DEVICE_R},
    {"enable", ENABLE, CONTEXT - ENABLE, 0, 0, DEVICE_RW},
    {"threshold", CONTEXT, 4, CONTEXT_STRIDE, 0x600000, DEVICE_RW},
    {"claim/complete", CONTEXT + 4, 4, CONTEXT_STRIDE, 0x600000, DEVICE_RW},
    {0},
};

DEVICE_TYPE(plic) = {
    .name = "plic",
    .size_bytes = 0x600000,
    .access_bytes = 4,
    .state_bytes = sizeof(Plic),
    .state = state,
    .reset = plic_drive,
    .read = plic_read,
    .write = plic_write,
    .wire = plic_wire,
    .drive = plic_drive,
    .fdt = plic_fdt,
    .check = plic_check,
    .regs = regs,
};
