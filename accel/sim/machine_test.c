/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/machine.h"
#include "accel/sim/impl.h"
#include "sim/base/test.h"

#include <string.h>

extern const Backend backend_sim_interp, backend_fake;

/* Prints A, echoes one byte, and passes (finisher). */
static const uint32_t echo[] = {
    0x100002b7, 0x04100313, 0x00628023,                         /* lui t0, uart; li t1, 'A'; sb t1, 0(t0) */
    0x0052c303, 0x00137313, 0xfe030ce3, 0x0002c303, 0x00628023, /* until LSR.DR; lbu t1, 0(t0); sb t1, 0(t0) */
    0x001002b7, 0x00005337, 0x55530313, 0x0062a023, 0x0000006f /* j . */}; /* the finisher's 0x5555 */
static const uint32_t idle[] = {0x10500073, 0xffdff06f};                   /* wfi; j -4 */
static const MachineFile echo_file = {"echo", echo, sizeof echo};
enum { MS = 1000000, RAM = 16 << 20 };

static Vm *vm_of(const Backend *b, Env env)
{
    Vm *vm = NULL;
    VmConfig cfg = {.guest = GUEST_riscv64, .env = env};
    CHECK_INT(vm_open(b, &cfg, &life_virtualcpu, NULL, &vm, NULL), 0);
    return vm;
}

TEST(sim_machine, boots_prints_takes_what_is_typed_and_ends)
{
    Vm *vm = vm_of(&backend_sim_interp, ENV_MACHINE);
    MachineBoot what = {.bios = echo_file, .ram_bytes = RAM, .nvcpus = 1};
    MachineStop stop;
    Buf out = {0};
    CHECK_INT(machine_boot(vm, &what, NULL), 0);
    CHECK_INT(machine_run(vm, MS, NULL, 0, &out, &stop, NULL), 0);
    CHECK_INT(stop.kind, EXIT_budget);
    CHECK_STR(buf_text(&out), "A");
    CHECK(stop.now_ns >= MS && stop.insns > 1000);
    CHECK_INT(machine_run(vm, MS, "x", 1, &out, &stop, NULL), 0);
    CHECK_INT(stop.kind, EXIT_system_down);
    CHECK_INT(stop.reason, 0);
    CHECK_INT(stop.ntaken, 1);
    CHECK_STR(buf_text(&out), "Ax");
    buf_free(&out);
    vm_close(vm);
}

TEST(sim_machine, does_the_same_every_time_with_several_harts)
{
    MachineStop stop[2];
    for (int i = 0; i < 2; i++) {
        Vm *vm = vm_of(&backend_sim_interp, ENV_MACHINE);
        MachineBoot what = {.kernel = echo_file, .ram_bytes = RAM, .nvcpus = 4};
        Buf out = {0};
        CHECK_INT(machine_boot(vm, &what, NULL), 0);
        CHECK_INT(machine_run(vm, MS, NULL, 0, &out, &stop[i], NULL), 0);
        CHECK_STR(buf_text(&out), "AAAA");
        buf_free(&out);
        vm_close(vm);
    }
    CHECK_INT(stop[0].insns, stop[1].insns);
    CHECK_INT(stop[0].now_ns, stop[1].now_ns);
}

TEST(sim_machine, that_idles_for_ever_says_so)
{
    Vm *vm = vm_of(&backend_sim_interp, ENV_VIRT);
    MachineBoot what = {.kernel = {"idle", idle, sizeof idle}, .ram_bytes = RAM, .nvcpus = 2};
    MachineStop stop;
    Buf out = {0};
    CHECK_INT(machine_boot(vm, &what, NULL), 0);
    CHECK_INT(machine_run(vm, MS, NULL, 0, &out, &stop, NULL), 0);
    CHECK_INT(stop.kind, EXIT_halt);
    buf_free(&out);
    vm_close(vm);
}

TEST(sim_machine, what_cannot_be_booted_is_refused_with_the_reason)
{
    const struct {
        MachineBoot what;
        Env env;
        int rc;
        const char *text;
    } rows[] = {
        {{.bios = echo_file, .ram_bytes = RAM, .nvcpus = 1},
         ENV_VIRT,
         -ERR_UNSUPPORTED,
         "echo: firmware runs in M mode"},
        {{.kernel = {"none", "", 0}, .ram_bytes = RAM, .nvcpus = 1}, ENV_VIRT, -ERR_INVAL, "none: is empty"},
        {{.kernel = echo_file, .ram_bytes = RAM, .nvcpus = 0}, ENV_VIRT, -ERR_LIMIT, "0 vcpus"},
        {{.kernel = echo_file, .ram_bytes = 4096, .nvcpus = 1}, ENV_VIRT, -ERR_LIMIT, "does not fit"},
        {{.ram_bytes = RAM, .nvcpus = 1}, ENV_VIRT, -ERR_INVAL, "machine.boot"},
        {{.kernel = echo_file, .drives = {echo_file}, .ram_bytes = RAM, .nvcpus = 1},
         ENV_VIRT,
         -ERR_INVAL,
         "drive echo: "},
        {{.kernel = echo_file, .net = "tap,ifname=x", .ram_bytes = RAM, .nvcpus = 1},
         ENV_VIRT,
         -ERR_INVAL,
         "net tap,ifname=x: expected user or loopback"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Vm *vm = vm_of(&backend_sim_interp, rows[i].env);
        Err err = {0};
        CHECK_INT(machine_boot(vm, &rows[i].what, &err), rows[i].rc);
        CHECK_HAS(err.text, rows[i].text);
        vm_close(vm);
    }
}

TEST(sim_machine, has_drives_and_a_network_card_of_its_own)
{
    static const uint8_t sectors[1024] = "boot sector";
    Vm *vm = vm_of(&backend_sim_interp, ENV_VIRT);
    MachineBoot what = {.kernel = {"idle", idle, sizeof idle},
                        .drives = {{"disk", sectors, sizeof sectors}, {"more", sectors, sizeof sectors}},
                        .net = "loopback",
                        .ram_bytes = RAM,
                        .nvcpus = 1};
    CHECK_INT(machine_boot(vm, &what, NULL), 0);
    vm_close(vm);
}

TEST(sim_machine, messages_out_of_turn_or_torn_are_refused)
{
    Vm *vm = vm_of(&backend_sim_interp, ENV_MACHINE);
    MachineStop stop;
    Buf out = {0};
    CHECK_INT(machine_run(vm, MS, NULL, 0, &out, &stop, NULL), -ERR_STATE);
    CHECK_INT(vm_ctl(vm, NULL, MACHINE_CTL_IMAGE, "\x07\x00\x00", 3, NULL, NULL), -ERR_INVAL);
    CHECK_INT(vm_ctl(vm, NULL, "sim.code", "12345678", 8, NULL, NULL), -ERR_INVAL); /* of no vcpu */
    CHECK_INT(vm_ctl(vm, NULL, MACHINE_CTL_IMAGE,
                     "\x01\x05\x00"
                     "ab",
                     5, NULL, NULL),
              -ERR_INVAL);
    CHECK_INT(vm_ctl(vm, NULL, MACHINE_CTL_BOOT, "\x01", 1, NULL, NULL), -ERR_INVAL);
    MachineBoot what = {.bios = echo_file, .ram_bytes = RAM, .nvcpus = 1};
    CHECK_INT(machine_boot(vm, &what, NULL), 0);
    CHECK_INT(machine_boot(vm, &what, NULL), -ERR_INVAL); /* once */
    CHECK_INT(machine_run(vm, 0, NULL, 0, &out, &stop, NULL), -ERR_INVAL);
    CHECK_INT(machine_run(vm, MACHINE_SLICE_MAX_NS + 1ull, NULL, 0, &out, &stop, NULL), -ERR_INVAL);
    vm_close(vm);
}

TEST(sim_machine, a_backend_without_one_says_why)
{
    Vm *vm = vm_of(&backend_fake, ENV_VIRT);
    Err err = {0};
    CHECK_INT(machine_boot(vm, &(MachineBoot){.kernel = echo_file}, &err), -ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "plays a script, boots no image");
    vm_close(vm);
}
