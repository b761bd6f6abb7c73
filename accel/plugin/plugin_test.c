/* SPDX-License-Identifier: Apache-2.0
 * The header of third parties is ours under other names; good plugins work, bad ones end as a sentence, in a worker. */
#include "accel/plugin/plugin.h"

#include "accel/remote/remote.h"
#include "sim/base/test.h"

#include <conf-backend.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- conf-backend.h ---- */
#define SAME(ours, theirs)                                                                                             \
    _Static_assert(sizeof(ours) == sizeof(theirs) && _Alignof(ours) == _Alignof(theirs), #ours " has another layout")
#define SAME_AT(ours, theirs, field) _Static_assert(offsetof(ours, field) == offsetof(theirs, field), #ours "." #field)
SAME(Err, ConfErr);
SAME(Buf, ConfBuf);
SAME(RegIo, ConfRegIo);
SAME(VmExit, ConfVmExit);
SAME(Reply, ConfReply);
SAME(Caps, ConfCaps);
SAME(VmConfig, ConfVmConfig);
SAME(VcpuConfig, ConfVcpuConfig);
SAME(VcpuSetup, ConfVcpuSetup);
SAME(RunArgs, ConfRunArgs);
SAME(Event, ConfEvent);
SAME(Break, ConfBreak);
SAME(VmOps, ConfVmOps);
SAME(VcpuOps, ConfVcpuOps);
SAME(Backend, ConfBackend);
SAME_AT(Err, ConfErr, text);
SAME_AT(VmExit, ConfVmExit, arg);
SAME_AT(Caps, ConfCaps, ctls);
SAME_AT(VmOps, ConfVmOps, settle);
SAME_AT(VcpuOps, ConfVcpuOps, is_brief);
SAME_AT(Backend, ConfBackend, vcpu);

/* ABI 1 as it was published, on hosts of 64 bits: whoever changes one of these breaks every plugin there is. Add at the
 * ends, or make it ABI 2. */
#define PINNED(what, number) _Static_assert((int)(what) == (number), #what " is pinned by ABI 1")
#if UINTPTR_MAX == UINT64_MAX
PINNED(ACCEL_ABI_VERSION, 1);
PINNED(offsetof(Err, text), 80);
PINNED(sizeof(Err), 400);
PINNED(sizeof(RegIo), 16);
PINNED(sizeof(Break), 24);
PINNED(offsetof(VmExit, arg), 104);
PINNED(offsetof(Caps, ctls), 1552);
PINNED(offsetof(Caps, isa), 1560);
PINNED(offsetof(VmConfig, is_lazy), 56);
PINNED(offsetof(VcpuConfig, arg), 16);
PINNED(offsetof(VcpuSetup, passthrough_timer), 18);
PINNED(offsetof(RunArgs, want), 20);
PINNED(offsetof(Event, has_code), 17);
PINNED(offsetof(VmOps, settle), 136);
PINNED(offsetof(VcpuOps, is_brief), 112);
PINNED(offsetof(Backend, vcpu), 48);
PINNED(offsetof(Backend, abi_minor), 56);
#endif
PINNED(EXIT_hypercall, 0);
PINNED(EXIT_cpuid, 18);
PINNED(EXIT_unknown, 29);
PINNED(CAP_vcpu, 0);
PINNED(CAP_irqchip, 27);
PINNED(CAP_boot, 51);
PINNED(CAP_ROOM, 128);
_Static_assert((int)CAP_COUNT <= (int)CAP_ROOM, "Caps has no room for that many");

TEST(plugin, the_header_has_our_registers_by_number)
{
    CHECK(CONF_REG_riscv64_a0 == reg_find(GUEST_riscv64, "a0")->id);
    CHECK(CONF_REG_riscv64_arg0 == reg_find(GUEST_riscv64, "arg0")->id);
    CHECK(CONF_REG_aarch64_pc == reg_find(GUEST_aarch64, "pc")->id);
    CHECK(CONF_REG_x86_64_cs_base == reg_find(GUEST_x86_64, "cs.base")->id);
    CHECK_INT(CONF_REG_SIZE(CONF_REG_riscv64_priv), 1);
}

TEST(plugin, the_header_knows_which_exits_await_a_reply)
{
    for (int kind = 0; kind < EXIT_COUNT; kind++) {
        CHECK_INT(conf_exit_reply_kind((ConfExitKind)kind), exit_reply_kind((ExitKind)kind));
    }
    CHECK_INT(conf_exit_reply_kind(CONF_EXIT_COUNT), CONF_REPLY_none);
}

TEST(plugin, its_buffers_and_errors_are_ours)
{
    Buf buf = {0};
    Err err = {0};
    buf_str(&buf, "a");
    CHECK_INT(conf_buf_append((ConfBuf *)(void *)&buf, "bc", 2), 0);
    buf_str(&buf, "d");
    CHECK_STR(buf_text(&buf), "abcd");
    CHECK_INT(conf_buf_append((ConfBuf *)(void *)&buf, "", SIZE_MAX), -ERR_NOMEM);
    buf_free(&buf);
    CHECK_INT(conf_err_unsupported((ConfErr *)(void *)&err, "toy", "msi", "no bus"), -ERR_UNSUPPORTED);
    CHECK_STR(err.text, "toy: msi: no bus");
    CHECK_STR(err.feature, "msi");
    CHECK_STR(err.module, "toy");
    CHECK_INT(conf_err_set(NULL, CONF_ERR_IO, "nobody hears"), -ERR_IO);
}

/* ---- loading ---- */
/* In a worker, as conf does it: the link's error, or that of open() for riscv64, or of a run. */
static int in_worker(const char *path, Err *err)
{
    WorkerServer *s = NULL;
    RemoteLink *link = NULL;
    WorkerEnd end;
    Caps caps;
    Vm *vm = NULL;
    Vcpu *v = NULL;
    VmExit e;
    Buf name = {0};
    buf_printf(&name, "plugin:%s", path);
    CHECK_INT(worker_server_start_for(plugin_find, &s, err), 0);
    int rc = worker_start(s, buf_text(&name), &(WorkerLimits){.max_cpu_s = 1}, &link, err);
    rc = rc ? rc : remote_backend(link)->open(remote_backend(link), GUEST_riscv64, &caps, err);
    rc = rc ? rc : vm_open(remote_backend(link), &(VmConfig){.guest = GUEST_riscv64}, NULL, NULL, &vm, err);
    rc = rc ? rc : vcpu_new(vm, &(VcpuConfig){0}, &v, err);
    rc = rc ? rc : vcpu_setup(v, &(VcpuSetup){0}, err);
    rc = rc ? rc : vcpu_run(v, &RUN_FOREVER, &e, err);
    CHECK(rc || e.kind == EXIT_shutdown);
    vm_close(vm);
    worker_end(s, link, 60000000000u, &end);
    worker_server_stop(s);
    buf_free(&name);
    return rc;
}

TEST(plugin, a_good_one_runs_in_a_worker_and_says_no_to_other_guests)
{
    Err err = {0};
    CHECK_INT(in_worker(SAMPLES "/sample_good.so", &err), 0);
    CHECK_STR(err.text, "");
}

TEST(plugin, what_it_does_not_declare_is_none_with_a_reason)
{
    Err err = {0};
    Plugin *p = NULL;
    Caps caps = {0};
    CHECK_INT(plugin_open(SAMPLES "/sample_good.so", &p, &err), 0);
    const Backend *b = plugin_backend(p);
    CHECK_STR(b->name, "sample");
    CHECK_INT(b->open(b, GUEST_riscv64, &caps, &err), 0);
    CHECK_INT(caps.level[CAP_vcpu], CAP_FULL);
    CHECK_INT(caps.level[CAP_map], CAP_NONE);
    CHECK_STR(caps.why[CAP_map], "the plugin does not declare it");
    CHECK_INT(b->open(b, GUEST_x86_64, &caps, &err), -ERR_UNSUPPORTED);
    CHECK_STR(err.text, "sample is for riscv64 only");
    CHECK_INT(b->open(b, GUEST_riscv64, &caps, &err), 0);
    CHECK_STR(caps.isa, "rv64i_zicsr");
    plugin_close(p);
    plugin_close(NULL);
}

static const struct {
    const char *file;
    int rc;
    const char *says;
} BAD[] = {
    {"no_such.so", -ERR_NOENT, "no_such.so: cannot be read: No such file or directory"},
    {".", -ERR_INVAL, ": is not a file"},
    {"text.so", -ERR_INVAL, "text.so: is not a shared object that can be loaded here: "},
    {"sample_no_symbol.so", -ERR_INVAL, "sample_no_symbol.so: does not export conf_backend(): see CONF_BACKEND_EXPORT"},
    {"sample_null_entry.so", -ERR_VERSION, "conf_backend(1) returned NULL: it does not serve this conf's ABI"},
    {"sample_wrong_abi.so", -ERR_VERSION, "is of ABI 99 of conf-backend.h, this conf has 1: build it against"},
    {"sample_short_backend.so", -ERR_INVAL,
     "its ConfBackend says that it has 24 bytes; this conf's has 64: set size_bytes"},
    {"sample_long_backend.so", -ERR_INVAL, "its ConfBackend says that it has 1048576 bytes"},
    {"sample_filled_tail.so", -ERR_VERSION, "its ConfBackend fills an entry that this conf does not know"},
    {"sample_newer_minor.so", -ERR_VERSION, "is of version 1.2 of conf-backend.h, this conf has 1.1: build it against"},
    {"sample_short_vm.so", -ERR_INVAL, "its ConfVmOps says that it has 16 bytes"},
    {"sample_no_vm.so", -ERR_INVAL, "its ConfBackend has no vm table"},
    {"sample_no_open.so", -ERR_INVAL, "its ConfBackend has no open()"},
    {"sample_no_name.so", -ERR_INVAL, "its name is not 1 to 31 of a-z, 0-9, - and _"},
    {"sample_bad_name.so", -ERR_INVAL, "its name is not 1 to 31 of a-z, 0-9, - and _"},
    {"sample_taken_name.so", -ERR_INVAL, "its name `fake` is one of conf's own: choose another"},
    {"sample_hole.so", -ERR_INVAL, "entry vm.msi is missing although it declares msi"},
    {"sample_bad_level.so", -ERR_INVAL, "no reason why step is partial"},
    {"sample_bad_isa.so", -ERR_INVAL, "its isa \"riscv64 imac\" is no ISA string of riscv64, such as rv64imac_zicsr"},
    {"sample_no_minor.so", -ERR_INVAL, "it fills ConfCaps.isa without abi_minor: set it to CONF_BACKEND_ABI_MINOR"},
    {"sample_no_code.so", -ERR_INVAL, "open() returned 5, which is neither 0 nor one of conf-backend.h's"},
    {"sample_no_sentence.so", -ERR_LIMIT, "sample_no_sentence.so: open(): limit reached"},
    {"sample_crash_load.so", -ERR_IO, "backend died: signal 6 (SIGABRT)"},
    {"sample_crash_open.so", -ERR_IO, "the peer closed the connection"},
    {"sample_crash_run.so", -ERR_IO, "the peer closed the connection"},
    {"sample_hang_load.so", -ERR_IO, "backend died: signal 24 (SIGXCPU)"}, /* the limit of this test */
};

TEST(plugin, a_bad_one_is_an_error_that_says_which_file_and_why)
{
    FILE *f = fopen(SAMPLES "/text.so", "w");
    CHECK(f && fputs("this is no ELF file\n", f) >= 0 && fclose(f) == 0);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char path[512];
        Err err = {0};
        snprintf(path, sizeof path, SAMPLES "/%s", BAD[i].file);
        CHECK_INT(in_worker(path, &err), BAD[i].rc);
        CHECK_HAS(err.text, BAD[i].says);
        CHECK(BAD[i].rc == -ERR_IO || strstr(err.text, "plugin:" SAMPLES "/") == err.text);
    }
}

TEST(plugin, a_path_without_a_slash_is_a_file_of_this_folder)
{
    Err err = {0};
    Plugin *p = NULL;
    CHECK_INT(plugin_open("libc.so.6", &p, &err), -ERR_NOENT);
    CHECK_HAS(err.text, "plugin:libc.so.6: cannot be read");
}

TEST(plugin, names_of_others_are_no_plugins)
{
    CHECK(!plugin_path("fake") && !plugin_path("plugin:") && !plugin_path("remote:plugin:x") && !plugin_path(NULL));
    CHECK_STR(plugin_path("plugin:./x.so"), "./x.so");
    Err err = {0};
    CHECK(plugin_find(NULL, "fake", &err) == backend_find("fake"));
    CHECK(!plugin_find(NULL, "nothing", &err));
    CHECK_HAS(err.text, "no backend \"nothing\" here");
}
