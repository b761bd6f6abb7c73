/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/world.h"
#include "accel/board.h"

#include "conformance/asm.h"
#include "conformance/isa.h"
#include "conformance/kit.h"
#include "sim/base/os.h"

#include <stdio.h>
#include <string.h>

enum { MAX_REGION_BYTES = 1 << 30, MAX_FILE_BYTES = 4 << 20 };

typedef struct {
    uint64_t at, size;
    const Region *region;
} Place;
typedef struct {
    const char *name;
    uint64_t value;
    bool is_place; /* names an address: label, region or page; not x_end, x_size, x_pte */
} Symbol;
struct World {
    const Case *c;
    Arena *arena;
    const KitOps *ops;
    Kit kit;
    uint64_t page, code_end, base_end;
    bool has_default_ram;
    VEC(Place) places;
    VEC(Symbol) symbols;
    VEC(WorldRam) rams;
    AsmOutput code;
    AsmOutput *region_code; /* one per region that has code */
    size_t nregion_code;
};

static int fail_at(Err *err, Pos pos, int code)
{
    if (pos.line) {
        err_prefix(err, "%s:%u:%u", pos.file, pos.line, pos.col);
    }
    return -code;
}

/* ---- kit.h: the image ---- */
void kit_put(Kit *k, uint64_t offset, uint64_t value, unsigned nbytes)
{
    uint8_t *at = k->image + offset;
    if (nbytes == 8) { /* page tables are many of these; with a constant count the loop is one store */
        for (unsigned i = 0; i < 8; i++) {
            at[i] = (uint8_t)(value >> (8 * i));
        }
        return;
    }
    for (unsigned i = 0; i < nbytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

uint64_t kit_get64(const Kit *k, uint64_t offset)
{
    Cursor c = cursor_of(k->image + offset, 8);
    return cursor_le(&c, 8);
}

int kit_table_new(Kit *k, uint64_t *offset, Err *err)
{
    if (k->tables_end + KIT_PAGE > k->code_offset) {
        return err_set(err, ERR_LIMIT, "pages: more page tables than the %d that there is room for",
                       (int)(k->code_offset / KIT_PAGE));
    }
    *offset = k->tables_end;
    k->tables_end += KIT_PAGE;
    return 0;
}

/* ---- symbols ---- */
static void add_symbol(World *w, const char *name, uint64_t value, bool is_place)
{
    VEC_PUSH(&w->symbols, (Symbol){name, value, is_place});
}

bool world_symbol(const World *w, const char *name, uint64_t *out)
{
    for (size_t i = 0; i < w->symbols.n; i++) {
        if (!strcmp(w->symbols.items[i].name, name)) {
            *out = w->symbols.items[i].value;
            return true;
        }
    }
    return false;
}

static bool names_lookup(const void *ctx, const char *name, uint64_t *out)
{
    return world_symbol(ctx, name, out);
}

static bool in_block(const World *w, uint64_t addr, uint64_t *start, uint64_t *end)
{
    if (addr >= w->kit.base && addr <= w->base_end) {
        *start = w->kit.base;
        *end = w->base_end;
        return true;
    }
    for (size_t i = 0; i < w->places.n; i++) {
        const Place *p = &w->places.items[i];
        if (addr >= p->at && addr < p->at + p->size) {
            *start = p->at;
            *end = p->at + p->size;
            return true;
        }
    }
    return false;
}

bool world_describe(const World *w, uint64_t addr, Buf *out)
{
    uint64_t start = 0, end = 0;
    const Symbol *best = NULL;
    bool has_block = in_block(w, addr, &start, &end);
    for (size_t i = 0; i < w->symbols.n; i++) {
        const Symbol *s = &w->symbols.items[i];
        bool is_near = s->value == addr || (has_block && s->value >= start && s->value < addr);
        if (s->is_place && is_near && (!best || s->value > best->value)) {
            best = s;
        }
    }
    /* Inside the kit or the stacks there is nothing to name. */
    bool is_code = addr >= w->kit.base + w->kit.code_offset && addr < w->code_end;
    if (best && best->value != addr && start == w->kit.base && !is_code && addr < w->kit.base + KIT_RAM) {
        best = NULL;
    }
    if (!best) {
        return false;
    }
    buf_str(out, best->name);
    if (best->value != addr) {
        buf_printf(out, addr - best->value < 10 ? "+%llu" : "+0x%llx", (unsigned long long)(addr - best->value));
    }
    return true;
}

/* ---- layout ---- */
static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

static const Place *overlapping(const World *w, uint64_t at, uint64_t size)
{
    for (size_t i = 0; i < w->places.n; i++) {
        const Place *p = &w->places.items[i];
        if (at < p->at + p->size && p->at < at + size) {
            return p;
        }
    }
    return NULL;
}

static int place_fixed(World *w, const Region *r, const Names *names, Err *err)
{
    uint64_t at, size = round_up(r->size_bytes, w->page);
    int rc = value_eval(&r->at, names, &at, err);
    if (rc) {
        return fail_at(err, r->at.pos, -rc);
    }
    if (at % w->page) {
        rc = err_set(err, ERR_ALIGN, "region %s at 0x%llx: not a multiple of the page size 0x%llx", r->name,
                     (unsigned long long)at, (unsigned long long)w->page);
        return fail_at(err, r->pos, -rc);
    }
    const Place *other = overlapping(w, at, size);
    bool is_on_base = at < w->kit.base + KIT_REGIONS && w->kit.base < at + size;
    if (other || at + size < at || is_on_base) {
        rc = err_set(err, ERR_EXIST, "region %s at 0x%llx, size 0x%llx: overlaps %s", r->name, (unsigned long long)at,
                     (unsigned long long)size,
                     other        ? other->region->name
                     : is_on_base ? "the code's block"
                                  : "the end");
        return fail_at(err, r->pos, -rc);
    }
    VEC_PUSH(&w->places, (Place){at, size, r});
    return 0;
}

static void place_free(World *w, const Region *r)
{
    uint64_t size = round_up(r->size_bytes, w->page);
    if (r->is_default) {
        VEC_PUSH(&w->places, (Place){w->kit.base + KIT_RAM, size, r});
        w->has_default_ram = true;
        return;
    }
    uint64_t at = r->is_hole ? KIT_HOLES : w->kit.base + KIT_REGIONS;
    const Place *other;
    /* one page more at either end, so that neighbours are always a hole apart */
    while ((other = overlapping(w, at - w->page, size + 2 * w->page))) {
        at = other->at + other->size + w->page;
    }
    VEC_PUSH(&w->places, (Place){at, size, r});
}

static int place_regions(World *w, const Names *names, Err *err)
{
    const Case *c = w->c;
    for (size_t i = 0; i < c->nregions; i++) {
        const Region *r = &c->regions[i];
        if (!r->size_bytes || r->size_bytes > MAX_REGION_BYTES) {
            int rc = err_set(err, ERR_LIMIT, "region %s: size 0x%llx is not in 1..1 GiB", r->name,
                             (unsigned long long)r->size_bytes);
            return fail_at(err, r->pos, -rc);
        }
        int rc = r->has_at ? place_fixed(w, r, names, err) : 0;
        if (rc) {
            return rc;
        }
    }
    for (size_t i = 0; i < c->nregions; i++) {
        if (!c->regions[i].has_at) {
            place_free(w, &c->regions[i]);
        }
    }
    for (size_t i = 0; i < w->places.n; i++) {
        const Place *p = &w->places.items[i];
        const char *name = p->region->name;
        add_symbol(w, name, p->at, true);
        add_symbol(w, arena_printf(w->arena, "%s_end", name), p->at + p->size, false);
        add_symbol(w, arena_printf(w->arena, "%s_size", name), p->size, false);
    }
    return 0;
}

/* Devices that have an address are places too. */
static void place_devices(World *w)
{
    Env env = w->c->start == START_machine ? ENV_MACHINE : ENV_VIRT;
    for (size_t i = 0; i < w->c->ndevices; i++) {
        uint64_t base;
        if (machine_board_find(w->c->guest, env, w->c->devices[i], &base)) {
            add_symbol(w, w->c->devices[i], base, true);
        }
    }
}

static int place_pages(World *w, const Names *names, Err *err)
{
    int rc = w->ops->tables(&w->kit, err);
    for (size_t i = 0; !rc && i < w->c->npages; i++) {
        const Page *p = &w->c->pages[i];
        KitPage page = {.name = p->name, .flags = p->flags, .is_user = p->is_user || w->c->start == START_user};
        page.size_bytes = round_up(p->size_bytes ? p->size_bytes : KIT_PAGE, KIT_PAGE);
        rc = value_eval(&p->va, names, &page.va, err);
        rc = rc ? rc : value_eval(&p->to, names, &page.to, err);
        if (!rc && (page.va % KIT_PAGE || page.to % KIT_PAGE)) {
            rc = err_set(err, ERR_ALIGN, "page %s: va 0x%llx and to 0x%llx must be multiples of 4 KiB", p->name,
                         (unsigned long long)page.va, (unsigned long long)page.to);
        }
        if (!rc && page.size_bytes > 64 * KIT_PAGE) {
            rc = err_set(err, ERR_LIMIT, "page %s: more than 64 pages", p->name);
        }
        rc = rc ? rc : w->ops->map_page(&w->kit, &page, err);
        if (rc) {
            return fail_at(err, p->pos, -rc);
        }
        add_symbol(w, p->name, page.va, true);
        add_symbol(w, arena_printf(w->arena, "%s_pte", p->name), page.pte, false);
        add_symbol(w, arena_printf(w->arena, "%s_end", p->name), page.va + page.size_bytes, false);
    }
    return rc;
}

/* ---- code ---- */
typedef struct {
    const CodePart *part;
    uint32_t line;  /* of the joined text, from 1 */
    uint32_t ncols; /* before the part's text on that line */
} PartPlace;

static int part_text(const World *w, const CodePart *p, Buf *text, Err *err)
{
    switch (p->kind) {
    case CODE_TEXT:
        buf_str(text, p->text);
        return 0;
    case CODE_HEX:
        for (size_t i = 0; i < p->n; i++) {
            buf_printf(text, "%s0x%02x", i ? "," : ".byte ", p->bytes[i]);
        }
        return 0;
    case CODE_FILE: {
        Buf path = {0};
        const char *suite = w->c->suite->file, *slash = strrchr(suite, '/');
        if (p->text[0] != '/' && slash) {
            buf_bytes(&path, suite, (size_t)(slash + 1 - suite));
        }
        buf_str(&path, p->text);
        int rc = os_read_file(path.data, MAX_FILE_BYTES, text, err);
        buf_free(&path);
        return rc;
    }
    case CODE_ELF:
        return err_unsupported(err, "conf", "code: {elf}", "ELF images need a backend that boots images");
    }
    return 0;
}

static int assemble_error(const PartPlace *places, size_t n, const AsmDiag *d, Err *err, int rc)
{
    if (rc != -ERR_INVAL || !d->line) {
        return n ? fail_at(err, places[0].part->pos, -rc) : rc;
    }
    const PartPlace *at = NULL;
    for (size_t i = 0; i < n; i++) {
        at = places[i].line <= d->line ? &places[i] : at;
    }
    if (!at) {
        return rc;
    }
    Pos pos = at->part->pos;
    uint32_t line = d->line - at->line;
    pos.col = line || !places->ncols ? d->col : d->col - at->ncols;
    pos.col += at->part->is_block || !line ? at->part->pos.col - 1 : 0;
    pos.line += line;
    char more[48] = "";
    if (d->nmore) {
        snprintf(more, sizeof more, " (and %u more)", d->nmore);
    }
    err_set(err, ERR_INVAL, "%s:%u:%u: %s%s", pos.file, pos.line, pos.col, d->message, more);
    return -ERR_INVAL;
}

/* Joins the parts with the doorbell after the first, and assembles them at org. */
static int assemble(World *w, const CodePart *parts, size_t n, uint64_t org, bool has_bell, AsmOutput *out, Err *err)
{
    Buf text = {0};
    VEC(PartPlace) places = {0};
    VEC(AsmSymbol) defs = {0};
    uint32_t line = 1;
    int rc = 0;
    const char *mode = w->c->start == START_real ? ".code16; " : w->c->start == START_protected ? ".code32; " : "";
    buf_str(&text, w->c->guest == GUEST_x86_64 ? mode : "");
    for (size_t i = 0; i < n && !rc; i++) {
        VEC_PUSH(&places, (PartPlace){&parts[i], line, i ? 0 : (uint32_t)text.n});
        size_t before = text.n;
        rc = part_text(w, &parts[i], &text, err);
        buf_char(&text, '\n');
        if (!i && has_bell) {
            buf_str(&text, w->ops->done);
        }
        for (size_t k = before; k < text.n; k++) {
            line += text.data[k] == '\n';
        }
    }
    for (size_t i = 0; i < w->symbols.n; i++) {
        VEC_PUSH(&defs, (AsmSymbol){w->symbols.items[i].name, w->symbols.items[i].value});
    }
    AsmInput in = {.guest = w->c->guest,
                   .text = buf_text(&text),
                   .n = text.n,
                   .org = org,
                   .defs = defs.items,
                   .ndefs = defs.n,
                   .max_bytes = KIT_RAM / 2};
    AsmDiag diag = {0};
    if (rc) {
        rc = fail_at(err, parts[places.n - 1].pos, -rc);
    } else {
        rc = asm_assemble(&in, out, &diag, err);
        rc = rc ? assemble_error(places.items, places.n, &diag, err, rc) : 0;
    }
    buf_free(&text);
    VEC_FREE(&places);
    VEC_FREE(&defs);
    return rc;
}

static void add_labels(World *w, const AsmOutput *o)
{
    for (size_t i = 0; i < o->labels.n; i++) {
        uint64_t value;
        if (!world_symbol(w, o->labels.items[i].name, &value)) {
            add_symbol(w, arena_strdup(w->arena, o->labels.items[i].name), o->labels.items[i].value, true);
        }
    }
}

static int build_code(World *w, Err *err)
{
    const Case *c = w->c;
    uint64_t org = w->kit.base + w->kit.code_offset;
    int rc = 0;
    if (c->ncode == 1 && c->code[0].kind == CODE_HEX) { /* no assembler is needed */
        buf_bytes(&w->code.bytes, c->code[0].bytes, c->code[0].n);
        while (w->code.bytes.n % w->ops->code_align) {
            buf_char(&w->code.bytes, 0);
        }
        buf_bytes(&w->code.bytes, w->ops->done_bytes, w->ops->ndone_bytes);
    } else if (!c->ncode) {
        buf_bytes(&w->code.bytes, w->ops->done_bytes, w->ops->ndone_bytes);
    } else {
        rc = assemble(w, c->code, c->ncode, org, true, &w->code, err);
    }
    if (rc) {
        return rc;
    }
    add_labels(w, &w->code);
    uint64_t value;
    if (!world_symbol(w, "code", &value)) {
        add_symbol(w, "code", org, true);
    }
    w->code_end = org + w->code.bytes.n;
    for (size_t i = 0; i < w->places.n; i++) {
        const Place *p = &w->places.items[i];
        if (!p->region->code) {
            continue;
        }
        AsmOutput *o = &w->region_code[w->nregion_code++];
        rc = assemble(w, p->region->code, 1, p->at, false, o, err);
        if (rc) {
            return rc;
        }
        if (o->bytes.n > p->size) {
            rc = err_set(err, ERR_LIMIT, "region %s: its code takes %zu bytes, more than its size", p->region->name,
                         o->bytes.n);
            return fail_at(err, p->region->pos, -rc);
        }
        add_labels(w, o);
    }
    return 0;
}

/* ---- images ---- */
static int region_image(World *w, const Place *p, const AsmOutput *code, const Names *names, WorldRam *ram, Err *err)
{
    const Region *r = p->region;
    *ram = (WorldRam){.name = r->name,
                      .at = p->at,
                      .size_bytes = p->size,
                      .fill = r->fill,
                      .flags = r->flags | (r->is_logged ? MAP_LOG_DIRTY : 0),
                      .is_coalesced = r->is_coalesced};
    if (code) {
        ram->bytes = (const uint8_t *)code->bytes.data;
        ram->nbytes = code->bytes.n;
    } else if (r->n) {
        uint8_t *bytes = arena_alloc(w->arena, r->n * r->unit_bytes);
        for (size_t i = 0; i < r->n; i++) {
            uint64_t value;
            int rc = value_eval(&r->units[i], names, &value, err);
            if (rc) {
                return fail_at(err, r->units[i].pos, -rc);
            }
            for (unsigned b = 0; b < r->unit_bytes; b++) {
                bytes[i * r->unit_bytes + b] = (uint8_t)(value >> (8 * b));
            }
        }
        ram->bytes = bytes;
        ram->nbytes = r->n * r->unit_bytes;
    } else {
        ram->bytes = r->bytes;
        ram->nbytes = r->nbytes;
    }
    return 0;
}

static void sort_rams(World *w)
{
    for (size_t i = 1; i < w->rams.n; i++) {
        for (size_t k = i; k && w->rams.items[k].at < w->rams.items[k - 1].at; k--) {
            WorldRam t = w->rams.items[k];
            w->rams.items[k] = w->rams.items[k - 1];
            w->rams.items[k - 1] = t;
        }
    }
}

static int build_images(World *w, const Names *names, Err *err)
{
    Kit *k = &w->kit;
    size_t nbytes = k->code_offset + w->code.bytes.n;
    uint8_t *image = arena_alloc(w->arena, nbytes);
    memcpy(image, k->image, k->tables_end < k->code_offset ? k->tables_end : k->code_offset);
    memcpy(image + k->code_offset, w->code.bytes.data, w->code.bytes.n);
    VEC_PUSH(&w->rams, (WorldRam){.name = "code",
                                  .at = k->base,
                                  .size_bytes = w->base_end - k->base,
                                  .flags = MAP_R | MAP_W | MAP_X,
                                  .bytes = image,
                                  .nbytes = nbytes});
    size_t ncode = 0;
    for (size_t i = 0; i < w->places.n; i++) {
        const Place *p = &w->places.items[i];
        const AsmOutput *code = p->region->code ? &w->region_code[ncode++] : NULL;
        WorldRam ram;
        if (p->region->is_hole || p->region->is_default) {
            continue; /* nothing, or part of the code's piece */
        }
        int rc = region_image(w, p, code, names, &ram, err);
        if (rc) {
            return rc;
        }
        VEC_PUSH(&w->rams, ram);
    }
    sort_rams(w);
    return 0;
}

static uint64_t stack_bytes(const World *w)
{
    return w->c->start == START_real ? KIT_STACK_BYTES_REAL : KIT_STACK_BYTES;
}

static int place_stacks(World *w, Err *err)
{
    uint64_t stacks = round_up(w->code_end, KIT_PAGE);
    w->kit.stack_top = stacks + stack_bytes(w);
    w->base_end = round_up(stacks + w->c->nvcpus * stack_bytes(w), w->page);
    uint64_t limit = w->c->start == START_real ? 0x10000 : w->kit.base + KIT_RAM;
    if (w->base_end > limit) {
        return err_set(err, ERR_LIMIT, "code and stacks take 0x%llx bytes, more than the 0x%llx there is room for",
                       (unsigned long long)(w->base_end - w->kit.base), (unsigned long long)(limit - w->kit.base));
    }
    if (w->has_default_ram) {
        w->base_end = w->kit.base + KIT_RAM + KIT_RAM_BYTES;
    }
    return 0;
}

static int build(World *w, Err *err)
{
    Names names = {.ctx = w, .lookup = names_lookup};
    place_devices(w);
    int rc = place_regions(w, &names, err);
    rc = rc ? rc : place_pages(w, &names, err);
    rc = rc ? rc : build_code(w, err);
    rc = rc ? rc : place_stacks(w, err);
    if (rc) {
        return rc;
    }
    w->kit.has_on_irq = world_symbol(w, "on_irq", &w->kit.on_irq);
    rc = w->ops->vectors(&w->kit, err);
    return rc ? rc : build_images(w, &names, err);
}

static const KitOps *ops_of(GuestId guest)
{
    switch (guest) {
    case GUEST_riscv64:
        return &kit_riscv64;
    case GUEST_aarch64:
        return &kit_aarch64;
    case GUEST_x86_64:
        return &kit_x86_64;
    case GUEST_COUNT:
        break;
    }
    return NULL;
}

int world_build(const Case *c, uint32_t page_bytes, World **out, Err *err)
{
    World *w = x_alloc(sizeof *w);
    w->c = c;
    w->arena = arena_new();
    w->ops = ops_of(c->guest);
    w->page = page_bytes > KIT_PAGE ? page_bytes : KIT_PAGE;
    bool is_real = c->start == START_real && w->ops->base_real;
    w->kit = (Kit){.base = is_real ? w->ops->base_real : w->ops->base,
                   .code_offset = is_real ? KIT_CODE_REAL : KIT_CODE,
                   .start = c->start};
    w->kit.image = arena_alloc(w->arena, KIT_CODE);
    w->region_code = arena_alloc(w->arena, (c->nregions + 1) * sizeof *w->region_code);
    int rc = build(w, err);
    if (rc) {
        world_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

void world_free(World *w)
{
    if (!w) {
        return;
    }
    asm_output_free(&w->code);
    for (size_t i = 0; i < w->nregion_code; i++) {
        asm_output_free(&w->region_code[i]);
    }
    VEC_FREE(&w->places);
    VEC_FREE(&w->symbols);
    VEC_FREE(&w->rams);
    arena_free(w->arena);
    mem_free(w);
}

const WorldRam *world_rams(const World *w, size_t *n)
{
    *n = w->rams.n;
    return w->rams.items;
}

/* ---- entry ---- */
uint64_t world_entry_pc(const World *w, unsigned index)
{
    Names names = {.ctx = w, .lookup = names_lookup};
    uint64_t pc = w->kit.base + w->kit.code_offset;
    const VcpuDecl *d = &w->c->vcpus[index];
    if (d->has_entry && value_eval(&d->entry, &names, &pc, NULL)) {
        pc = w->kit.base + w->kit.code_offset; /* the error is world_entry's to tell */
    }
    return pc;
}

int world_entry(const World *w, unsigned index, WorldRegs *out, Err *err)
{
    Names names = {.ctx = w, .lookup = names_lookup};
    const VcpuDecl *d = &w->c->vcpus[index];
    uint64_t pc;
    if (d->has_entry) {
        int rc = value_eval(&d->entry, &names, &pc, err);
        if (rc) {
            return fail_at(err, d->entry.pos, -rc);
        }
    }
    int rc = kit_start_check(w->ops, w->c->start, err);
    if (rc) {
        return rc;
    }
    w->ops->entry(&w->kit, world_entry_pc(w, index), w->kit.stack_top + index * stack_bytes(w), out);
    for (size_t i = 0; !rc && i < d->nregs; i++) {
        const RegSet *r = &d->regs[i];
        uint64_t value;
        if (r->bytes || REG_SIZE(r->reg) > 8) {
            continue; /* wide registers are the story's to set */
        }
        rc = value_eval(&r->value, &names, &value, err);
        if (rc) {
            return fail_at(err, r->pos, -rc);
        }
        VEC_PUSH(out, (WorldReg){r->reg, value});
    }
    return rc;
}

/* ---- doorbell and traps ---- */
Ring world_ring(const World *w, const VmExit *e)
{
    return kit_ring(w->ops, e);
}

int world_trap_read(const World *w, Vcpu *v, WorldTrap *out, Err *err)
{
    return kit_trap_read(w->ops, &w->kit, v, out, err);
}

int world_trap_return(const World *w, Vcpu *v, const WorldTrap *t, bool skip, Err *err)
{
    if (!skip) {
        return 0;
    }
    unsigned n = world_insn_len(w, t->pc);
    if (!n) {
        return err_set(err, ERR_UNSUPPORTED, "reply: skip: there is no instruction of the case at 0x%llx",
                       (unsigned long long)t->pc);
    }
    return kit_trap_return(w->ops, &w->kit, v, t, t->pc + n, err);
}

/* ---- instructions ---- */
static const uint8_t *image_at(const World *w, uint64_t addr, size_t *n)
{
    for (size_t i = 0; i < w->rams.n; i++) {
        const WorldRam *r = &w->rams.items[i];
        if (addr >= r->at && addr < r->at + r->nbytes) {
            *n = r->nbytes - (addr - r->at);
            return r->bytes + (addr - r->at);
        }
    }
    return NULL;
}

static unsigned bits_of(const World *w)
{
    return w->c->start == START_real ? 16 : w->c->start == START_protected ? 32 : 64;
}

unsigned world_insn_len(const World *w, uint64_t addr)
{
    size_t n;
    const uint8_t *p = image_at(w, addr, &n);
    if (!p) {
        return 0;
    }
    if (w->c->guest == GUEST_aarch64) {
        return n >= 4 ? 4 : 0;
    }
    if (w->c->guest == GUEST_riscv64) { /* Unprivileged ISA 1.5: the two low bits */
        unsigned len = (p[0] & 3) == 3 ? 4 : 2;
        return n >= len ? len : 0;
    }
    Buf text = {0};
    unsigned len = (unsigned)asm_disasm(w->c->guest, bits_of(w), p, n, addr, &text);
    buf_free(&text);
    return len;
}

void world_disasm(const World *w, uint64_t addr, unsigned ninsns, uint64_t mark, Buf *out)
{
    for (unsigned i = 0; i < ninsns; i++) {
        size_t n;
        const uint8_t *p = image_at(w, addr, &n);
        Buf text = {0}, place = {0};
        size_t len = p ? asm_disasm(w->c->guest, bits_of(w), p, n, addr, &text) : 0;
        if (!len) {
            buf_free(&text);
            return;
        }
        bool has_label = world_describe(w, addr, &place) && !strchr(place.data, '+');
        buf_printf(out, "%s 0x%llx %-10s", addr == mark ? "->" : "  ", (unsigned long long)addr,
                   has_label ? place.data : "");
        for (size_t b = 0; b < len; b++) {
            buf_printf(out, " %02x", p[b]);
        }
        buf_printf(out, "%*s%s\n", len < 8 ? (int)(3 * (8 - len)) + 2 : 2, "", buf_text(&text));
        buf_free(&text);
        buf_free(&place);
        addr += len;
    }
}

bool world_lacks(const World *w, const char *isa, Buf *out)
{
    IsaCode code = {&w->code, w->kit.base + w->kit.code_offset, w->c->code, w->c->ncode};
    bool has_none = w->c->guest == GUEST_riscv64 && isa_code_lacks(&code, isa, out);
    size_t n = 0;
    for (size_t i = 0; w->c->guest == GUEST_riscv64 && !has_none && i < w->places.n; i++) {
        const Place *p = &w->places.items[i];
        if (p->region->code) {
            has_none = isa_code_lacks(&(IsaCode){&w->region_code[n++], p->at, p->region->code, 1}, isa, out);
        }
    }
    return has_none;
}

/* ---- events ---- */
typedef struct {
    GuestId guest;
    const char *word;
    EventKind kind;
    uint32_t number;
} EventWord;
static const EventWord event_words[] = {
    {GUEST_riscv64, "software", EV_LINE, 1},
    {GUEST_riscv64, "timer", EV_LINE, 5},
    {GUEST_riscv64, "external", EV_LINE, 9},
    {GUEST_riscv64, "machine_software", EV_LINE, 3},
    {GUEST_riscv64, "machine_timer", EV_LINE, 7},
    {GUEST_riscv64, "machine_external", EV_LINE, 11},
    {GUEST_aarch64, "irq", EV_LINE, 0},
    {GUEST_aarch64, "fiq", EV_LINE, 1},
    {GUEST_x86_64, "nmi", EV_NMI, 2},
};

int world_event(GuestId guest, const char *word, const uint64_t *number, const uint64_t *level, Event *out, Err *err)
{
    *out = (Event){.level = level ? *level != 0 : true};
    if (!word && number && guest == GUEST_x86_64) {
        if (*number > 255) {
            return err_set(err, ERR_INVAL, "vector %llu is not in 0..255", (unsigned long long)*number);
        }
        out->kind = EV_VECTOR;
        out->number = (uint32_t)*number;
        return 0;
    }
    Buf known = {0};
    int rc = -ERR_INVAL;
    for (size_t i = 0; rc && i < ARRAY_LEN(event_words); i++) {
        const EventWord *e = &event_words[i];
        if (e->guest != guest) {
            continue;
        }
        buf_printf(&known, "%s%s", known.n ? " " : "", e->word);
        if (word ? !strcmp(word, e->word) : number && *number == e->number) {
            out->kind = e->kind;
            out->number = e->number;
            rc = 0;
        }
    }
    if (rc) {
        err_set(err, ERR_INVAL, "`%s` is no interrupt of %s; expected %s%s", word ? word : "the number",
                guest_name(guest), buf_text(&known), guest == GUEST_x86_64 ? " or a vector 0..255" : "");
    }
    buf_free(&known);
    return rc;
}
