/* SPDX-License-Identifier: Apache-2.0
 * diff_image.c - plays an image on a backend with no more around it than RAM. */
#include "conformance/diff.h"
#include "conformance/image.h"

#include <string.h>

enum { PAGE = 4096 };

/* What of a guest's usual board is known here, so that its programs come to an end: the memory map of QEMU's `virt`. */
typedef struct {
    GuestId guest;
    uint16_t elf_machine;
    uint64_t ram_base;
    uint64_t finisher; /* a store there ends it */
    uint64_t uart_lsr; /* reads as "ready to send", or it would wait for ever */
    uint8_t lsr;
} ImageBoard;
static const ImageBoard BOARDS[] = {
    {.guest = GUEST_riscv64,
     .elf_machine = 243,
     .ram_base = 0x80000000,
     .finisher = 0x100000,
     .uart_lsr = 0x10000005,
     .lsr = 0x60},
};

typedef struct {
    const DiffImage *file;
    const ImageBoard *board;
    Image image;
    Vm *vm;
    Vcpu *v;
} Machine;

static const ImageBoard *board_of(GuestId guest)
{
    for (size_t i = 0; i < ARRAY_LEN(BOARDS); i++) {
        if (BOARDS[i].guest == guest) {
            return &BOARDS[i];
        }
    }
    return NULL;
}

static int parse(Machine *m, Err *err)
{
    GuestId guest = m->file->guest;
    m->board = board_of(guest);
    if (!m->board) {
        return err_set(err, ERR_UNSUPPORTED, "images of guest %s have no memory map here", guest_name(guest));
    }
    ImageHow how = {m->board->ram_base, m->file->ram_bytes, m->board->elf_machine};
    return image_parse(m->file->name, m->file->bytes, m->file->n, &how, &m->image, err);
}

int diff_image_check(const DiffImage *image, Err *err)
{
    Machine m = {.file = image};
    return parse(&m, err);
}

/* The page of tohost is mapped without W: each store to it is an exit, which is how its end is seen. */
static int map_all(Machine *m, Err *err)
{
    uint64_t base = m->board->ram_base, size = m->file->ram_bytes;
    uint64_t page = m->image.has_tohost ? (m->image.tohost - base) & ~(uint64_t)(PAGE - 1) : size;
    RamId ram = 0;
    int rc = vm_ram_new(m->vm, size, &ram, err);
    if (!rc && page) {
        rc = vm_map(m->vm, (Gpa){base}, page, ram, 0, MAP_R | MAP_W | MAP_X, err);
    }
    if (!rc && page < size) {
        rc = vm_map(m->vm, (Gpa){base + page}, PAGE, ram, page, MAP_R | MAP_X, err);
    }
    if (!rc && page + PAGE < size) {
        rc = vm_map(m->vm, (Gpa){base + page + PAGE}, size - page - PAGE, ram, page + PAGE, MAP_R | MAP_W | MAP_X, err);
    }
    for (size_t i = 0; i < m->image.nsegments && !rc; i++) {
        const ImageSegment *s = &m->image.segment[i];
        rc = vm_mem_write(m->vm, (Gpa){s->at}, m->file->bytes + s->offset, s->size, err);
    }
    return rc;
}

static bool is_end(const Machine *m, const VmExit *e)
{
    return e->kind == EXIT_mmio_write &&
           (e->addr == m->board->finisher || (m->image.has_tohost && e->addr == m->image.tohost && e->value));
}

static int answer(Machine *m, const VmExit *e, Err *err)
{
    Reply r = {.value = e->addr == m->board->uart_lsr ? m->board->lsr : 0};
    uint8_t bytes[8];
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(e->value >> 8 * i);
    }
    bool is_ram = e->addr - m->board->ram_base < m->file->ram_bytes && e->size_bytes <= sizeof bytes;
    int rc = 0;
    if (is_ram && e->kind == EXIT_mmio_write) { /* to the page of tohost */
        rc = vm_mem_write(m->vm, (Gpa){e->addr}, bytes, e->size_bytes, err);
    }
    return rc ? rc : vcpu_reply(m->v, &r, err);
}

static int loop(Machine *m, Err *err)
{
    uint64_t left = m->file->max_insns, seen = 0;
    for (;;) {
        VmExit e;
        RunArgs args = RUN_FOREVER;
        args.insns = left;
        args.want = HAS_value | HAS_insns;
        int rc = vcpu_run(m->v, &args, &e, err);
        if (rc) {
            return rc;
        }
        left -= e.valid & HAS_insns && e.insns - seen < left ? e.insns - seen : left;
        seen = e.valid & HAS_insns ? e.insns : seen;
        if (e.kind == EXIT_budget || is_end(m, &e) || e.reply == REPLY_none) {
            return 0;
        }
        rc = answer(m, &e, err);
        if (rc) {
            return rc;
        }
    }
}

int diff_play_image(void *ctx, const Backend *b, const Caps *caps, Err *err)
{
    Machine m = {.file = ctx};
    if (caps->level[CAP_insn_count] != CAP_FULL || caps->level[CAP_map_ro] != CAP_FULL) {
        return err_set(err, ERR_UNSUPPORTED, "an image needs insn_count and map_ro of both");
    }
    Env env = caps->level[CAP_env_machine] == CAP_FULL ? ENV_MACHINE : ENV_VIRT;
    VmConfig cfg = {.guest = m.file->guest, .env = env, .max_vcpus = 1, .max_ram_bytes = m.file->ram_bytes};
    int rc = parse(&m, err);
    rc = rc ? rc : vm_open(b, &cfg, &life_virtualcpu, NULL, &m.vm, err);
    rc = rc ? rc : map_all(&m, err);
    rc = rc ? rc : vcpu_new(m.vm, &(VcpuConfig){0}, &m.v, err);
    rc = rc ? rc : vcpu_setup(m.v, &(VcpuSetup){.entry = {m.image.entry}}, err);
    rc = rc ? rc : loop(&m, err);
    vm_close(m.vm);
    return rc;
}
