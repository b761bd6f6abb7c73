/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#include "accel/kvm/rig.h"
#include "sim/base/os.h"

const VmOps *ops(void)
{
    return backend_kvm.vm;
}

const VcpuOps *vops(void)
{
    return backend_kvm.vcpu;
}

static bool have_kvm(void)
{
    Caps caps;
    static Err err; /* the reason of a skip is printed later */
    int rc = backend_kvm.open(&backend_kvm, GUEST_x86_64, &caps, &err);
    if (rc == -ERR_UNAVAILABLE || rc == -ERR_DENIED) {
        test_skip(err.text);
        return false;
    }
    CHECK_INT(rc, 0);
    return rc == 0;
}

/* Does this host's KVM say that it lacks cap? Then the test is skipped with its reason. */
bool lacks(Cap cap)
{
    Caps caps;
    Err err = {0};
    if (backend_kvm.open(&backend_kvm, GUEST_x86_64, &caps, &err) == 0 && caps.level[cap] == CAP_NONE) {
        test_skip(caps.why[cap]);
        return true;
    }
    return false;
}

bool open_vm(Machine *m, Irqchip irqchip)
{
    *m = (Machine){0};
    if (!have_kvm()) {
        return false;
    }
    VmConfig cfg = {.guest = GUEST_x86_64, .irqchip = irqchip};
    int rc = ops()->create(&backend_kvm, &cfg, &m->vm, &m->err);
    if (!CHECK(rc == 0)) {
        return false;
    }
    CHECK_INT(ops()->ram_create(m->vm, RAM_BYTES, &m->ram, &m->err), 0);
    CHECK_INT(ops()->map(m->vm, (Gpa){0}, RAM_BYTES, m->ram, 0, MAP_R | MAP_W | MAP_X, &m->err), 0);
    return true;
}

bool add_vcpu(Machine *m, uint8_t id, BeVcpu **out)
{
    VcpuConfig cfg = {.id = id, .hw_id = id};
    VcpuSetup setup = {.entry = {CODE}};
    if (!CHECK(vops()->create(m->vm, &cfg, out, &m->err) == 0)) {
        return false;
    }
    return CHECK(vops()->setup(*out, &setup, &m->err) == 0);
}

bool open_machine(Machine *m)
{
    return open_vm(m, IRQCHIP_NONE) && add_vcpu(m, 0, &m->v);
}

void close_machine(Machine *m)
{
    if (m->v) {
        vops()->destroy(m->v);
    }
    if (m->vm) {
        ops()->destroy(m->vm);
    }
}

void put(Machine *m, uint64_t at, const void *bytes, size_t n)
{
    CHECK_INT(ops()->mem_write(m->vm, (Gpa){at}, bytes, n, &m->err), 0);
}

RegId ctl(uint64_t index, unsigned lg2)
{
    return REG_ID(GUEST_x86_64, lg2, REG_CTL, index);
}

uint64_t get(Machine *m, RegId id)
{
    uint64_t value = 0;
    size_t bad;
    RegIo io = {id, &value};
    int rc = vops()->get_regs(m->v, &io, 1, &bad, &m->err);
    CHECK_STR(rc ? m->err.text : "", "");
    return value;
}

int set(Machine *m, RegId id, uint64_t value)
{
    size_t bad;
    RegIo io = {id, &value};
    return vops()->set_regs(m->v, &io, 1, &bad, &m->err);
}

/* 64-bit flat ring 0, identity map of 2 MiB pages over the first GiB, an IDT whose gates are empty.
 */
void go_long(Machine *m)
{
    uint64_t gdt[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff};
    uint64_t pml4 = TABLES + 0x1007, pdpt = TABLES + 0x2007, pd[512];
    for (uint64_t i = 0; i < ARRAY_LEN(pd); i++) {
        pd[i] = i << 21 | 0x87;
    }
    put(m, GDT, gdt, sizeof gdt);
    put(m, TABLES, &pml4, 8);
    put(m, TABLES + 0x1000, &pdpt, 8);
    put(m, TABLES + 0x2000, pd, sizeof pd);
    uint64_t cr0 = 0x80000033, cr3 = TABLES, cr4 = 0x620, efer = 0x501, gdt_base = GDT, idt_base = IDT, rsp = 0x9000;
    uint16_t cs = 8, cs_attr = 0xa09b, data = 16, data_attr = 0xc093, gdt_limit = 23, idt_limit = 4095;
    uint32_t limit = 0xffffffff;
    RegIo io[] = {{ctl(2, 3), &cr0},        {ctl(4, 3), &cr3},
                  {ctl(5, 3), &cr4},        {REG_ID(GUEST_x86_64, 3, REG_SYS, 0xc0000080), &efer},
                  {ctl(8, 1), &cs},         {ctl(10, 2), &limit},
                  {ctl(11, 1), &cs_attr},   {ctl(12, 1), &data},
                  {ctl(14, 2), &limit},     {ctl(15, 1), &data_attr},
                  {ctl(28, 1), &data},      {ctl(30, 2), &limit},
                  {ctl(31, 1), &data_attr}, {ctl(40, 3), &gdt_base},
                  {ctl(41, 1), &gdt_limit}, {ctl(42, 3), &idt_base},
                  {ctl(43, 1), &idt_limit}, {REG_ID(GUEST_x86_64, 3, REG_GPR, 4), &rsp},
                  {ctl(16, 1), &data},      {ctl(18, 2), &limit},
                  {ctl(19, 1), &data_attr}};
    size_t bad;
    int rc = vops()->set_regs(m->v, io, ARRAY_LEN(io), &bad, &m->err);
    CHECK_STR(rc ? m->err.text : "", "");
}

void gate(Machine *m, unsigned vector, uint64_t handler)
{
    uint64_t d[2] = {(handler & 0xffff) | 8ull << 16 | 0x8eull << 40, 0};
    put(m, IDT + vector * 16, d, sizeof d);
}

bool open_long(Machine *m)
{
    if (!open_machine(m)) {
        return false;
    }
    go_long(m);
    return true;
}

VmExit run(Machine *m)
{
    VmExit exit = {.kind = EXIT_COUNT};
    RunArgs args = RUN_FOREVER;
    args.deadline_ns = os_now_ns() + 60000000000ull; /* of a guest that hangs */
    int rc = vops()->run(m->v, &args, &exit, &m->err);
    CHECK_STR(rc ? m->err.text : "", "");
    return exit;
}

void answer(Machine *m, uint64_t value)
{
    Reply r = {.value = value};
    CHECK_INT(vops()->reply(m->v, &r, &m->err), 0);
}
#endif
