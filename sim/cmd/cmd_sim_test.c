/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/base/mem.h"
#include "sim/base/os.h"
#include "sim/base/test.h"
#include "sim/cmd/rig_test.h"
#include "sim/sim.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PASS = 0x5555, FAIL = 0x3333, RESET = 0x7777, UART_UPPER = 0x10000, LSR = 5 };

/* Runs, and holds the exit status and what it says against these. */
static void check(const char *args, const Image *image, const char *input, int status, const char *out, const char *err)
{
    Buf said = {0}, why = {0};
    CHECK_INT(job_run(args, image, input, &said, &why), status);
    CHECK_STR(buf_text(&said), out);
    if (err[0]) {
        CHECK_HAS(buf_text(&why), err);
    } else {
        CHECK_STR(buf_text(&why), "");
    }
    buf_free(&said);
    buf_free(&why);
}

static void check_code(Buf *code, const char *args, const char *input, int status, const char *out, const char *err)
{
    Image image = image_flat(code);
    check(args, &image, input, status, out, err);
    image_free(&image);
    buf_free(code);
}

static void code_print(Buf *code, const char *text)
{
    CODE(code, lui(T0, UART_UPPER));
    for (; *text; text++) {
        CODE(code, addi(T1, X0, *text), store(0, T1, T0, 0));
    }
}

/* Echoes until a q comes, then passes. Polls: never idles. The UART's FIFO is on. */
static void code_echo(Buf *code)
{
    code_print(code, "ready\n");
    CODE(code, addi(T1, X0, 1), store(0, T1, T0, 2));
    CODE(code, addi(S0, X0, 'q'), load(4, T1, T0, LSR), slli(T1, T1, 63), branch(0, T1, X0, -8), load(4, T1, T0, 0),
         branch(0, T1, S0, 12), store(0, T1, T0, 0), jump(-24));
    code_finish(code, PASS);
}

/* Sleeps until a byte comes (PLIC 3, source 10 to context 0), and fails with it as the code. */
static void code_sleep(Buf *code)
{
    code_print(code, "ready\n");
    CODE(code, addi(T1, X0, 1), lui(T2, 0xc000), store(2, T1, T2, 40), addi(T1, X0, 0x400), lui(T2, 0xc002),
         store(2, T1, T2, 0), addi(T1, X0, 1), store(0, T1, T0, 1), slli(T1, T1, 11), csr_set(0x304, T1));
    CODE(code, load(4, T1, T0, LSR), slli(T1, T1, 63), branch(1, T1, X0, 12), WFI, jump(-16), load(4, T1, T0, 0),
         slli(T1, T1, 16), lui(T2, 3), addi(T2, T2, 0x333), or_(T1, T1, T2), lui(T0, 0x100), store(2, T1, T0, 0), HERE);
}

TEST(cmd_sim, the_guest_says_the_exit_status)
{
    static const struct {
        uint32_t word;
        int status;
    } ENDS[] = {{PASS, 0}, {FAIL, 1}, {FAIL | 5 << 16, 5}, {FAIL | 255 << 16, 255}, {FAIL | 300 << 16, 255}};
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
        Buf code = {0};
        code_finish(&code, ENDS[i].word);
        check_code(&code, "sim --guest riscv64 --engine interp --jit-threads 2 -m 64M --kernel IMAGE", "",
                   ENDS[i].status, "", "");
    }
}

/* A loop that is worth code, in a run with --code-cache. */
static void run_with_cache(const char *options, const char *path, const char *err)
{
    Buf code = {0};
    char args[256];
    CODE(&code, lui(T1, 0x10), addi(T1, T1, -1), branch(1, T1, X0, -4));
    code_finish(&code, PASS);
    snprintf(args, sizeof args, "sim %s --stats -m 64M --kernel IMAGE --code-cache %s", options, path);
    check_code(&code, args, "", 0, "", err);
}

TEST(cmd_sim, code_that_a_run_made_is_there_for_the_next)
{
    if (sim_engine_check(SIM_JIT, NULL)) {
        test_skip("no engine of this host makes code");
        return;
    }
    char dir[] = "/tmp/cmd_sim_test.XXXXXX", path[64];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/code", dir);
    run_with_cache("--engine jit --jit-threads 0", path, "taken from the cache 0, made ");
    run_with_cache("--engine jit --jit-threads 0", path, ", made 0; in it ");
    run_with_cache("--engine hybrid", path, "taken from the cache ");
    CHECK(!chmod(path, 0666)); /* not trusted, and left alone */
    run_with_cache("--engine jit", path,
                   "expected a file of this user's that nobody else may write; all code is made anew");
    CHECK(!chmod(path, 0600));
    run_with_cache("--engine jit --jit-threads 0", path, ", made 0; in it ");
    CHECK(!truncate(path, 100)); /* damaged, and replaced */
    run_with_cache("--engine jit --jit-threads 0", path, "offset 100: the file ends, expected ");
    run_with_cache("--engine jit --jit-threads 0", path, ", made 0; in it ");
    CHECK(!unlink(path) && !rmdir(dir));
    run_with_cache("--engine jit", "/nonexistent/code", "conf sim: --code-cache: /nonexistent/code");
}

TEST(cmd_sim, tohost_of_an_elf_file_ends_it_with_the_test_that_failed)
{
    for (int test = 0; test < 3; test++) {
        Buf code = {0};
        CODE(&code, lui(T0, 0x80001), slli(T0, T0, 32), 0x0202d293 /* srli t0, t0, 32 */, addi(T1, X0, test * 2 + 1),
             store(3, T1, T0, 0), HERE);
        Image image = image_elf(&code);
        check("sim --kernel IMAGE", &image, "", test, "", "");
        image_free(&image);
        buf_free(&code);
    }
}

TEST(cmd_sim, tohost_prints_too)
{
    Buf code = {0};
    CODE(&code, lui(T0, 0x80001), slli(T0, T0, 32), 0x0202d293 /* srli t0, t0, 32 */, addi(T2, X0, 0x101),
         slli(T2, T2, 48));
    CODE(&code, addi(T1, T2, 'o'), store(3, T1, T0, 0), load(3, T1, T0, 0), branch(1, T1, X0, -4)); /* taken: 0 again */
    CODE(&code, addi(T1, X0, 4), store(3, T1, T0, 0)); /* a system call: nobody serves it */
    CODE(&code, addi(T1, T2, '\n'), store(3, T1, T0, 0), addi(T1, X0, 1), store(3, T1, T0, 0), HERE);
    Image image = image_elf(&code);
    check("sim --kernel IMAGE", &image, "", 0, "o\n", "");
    image_free(&image);
    buf_free(&code);
}

/* a2 at the entry: 0 without firmware. Its word 2 is where the payload is. */
TEST(cmd_sim, firmware_gets_the_whole_machine_and_is_told_of_the_kernel)
{
    Buf code = {0};
    code_print(&code, "fw");
    CODE(&code, load(3, T1, 12, 16), 0x00030067 /* jr t1 */);
    Image bios = image_flat(&code);
    Buf kernel = {0};
    code_print(&kernel, " kernel\n");
    code_finish(&kernel, PASS);
    Image image = image_flat(&kernel);
    char args[128];
    snprintf(args, sizeof args, "sim --bios %s --kernel IMAGE", bios.path);
    check(args, &image, "", 0, "fw kernel\n", "");
    image_free(&bios);
    image_free(&image);
    buf_free(&code);
    buf_free(&kernel);
}

TEST(cmd_sim, the_device_tree_is_written_and_nothing_runs)
{
    char path[64], args[128];
    snprintf(path, sizeof path, "/tmp/conf-sim-%ld.dtb", (long)getpid());
    snprintf(args, sizeof args, "sim --smp 3 --dtb-dump %s", path);
    Image none = {.fd = -1};
    check(args, &none, "", 0, "", "");
    Buf tree = {0};
    CHECK_INT(os_read_file(path, 1 << 20, &tree, NULL), 0);
    CHECK(tree.n > 500 && !memcmp(tree.data, "\xd0\x0d\xfe\xed", 4));
    CHECK(memmem(tree.data, tree.n, "cpu@2", 6) && !memmem(tree.data, tree.n, "cpu@3", 6));
    buf_free(&tree);
    unlink(path);
    check("sim --dtb-dump /tmp/no/such/folder/x", &none, "", 70, "", "/tmp/no/such/folder/x");
}

TEST(cmd_sim, what_is_plugged_in_and_said_to_the_kernel_is_in_the_device_tree)
{
    char path[64], args[160];
    snprintf(path, sizeof path, "/tmp/conf-sim-%ld-cards.dtb", (long)getpid());
    snprintf(args, sizeof args, "sim --balloon 16M --console virtio --console uart --append hear-hear --dtb-dump %s",
             path);
    Image none = {.fd = -1};
    check(args, &none, "", 0, "", "");
    Buf tree = {0};
    CHECK_INT(os_read_file(path, 1 << 20, &tree, NULL), 0);
    CHECK(memmem(tree.data, tree.n, "hear-hear", 10));
    buf_free(&tree);
    unlink(path);
    check("sim --balloon lots --dtb-dump /dev/null", &none, "", 3, "", "--balloon: `lots`");
    check("sim --initrd /no/such/file --dtb-dump /dev/null", &none, "", 3, "", "/no/such/file");
}

TEST(cmd_sim, firmware_needs_a_machine_with_m_mode)
{
    Buf code = {0};
    code_finish(&code, PASS);
    check_code(&code, "sim --env virt --bios IMAGE", "", 3, "", "firmware runs in M mode");
}

TEST(cmd_sim, the_console_is_standard_output_whole_lines_or_not)
{
    Buf code = {0};
    code_print(&code, "one\ntwo");
    code_finish(&code, PASS);
    check_code(&code, "sim --kernel IMAGE", "", 0, "one\ntwo", "");
}

TEST(cmd_sim, standard_input_is_typed)
{
    Buf code = {0};
    code_echo(&code);
    check_code(&code, "sim --kernel IMAGE", "ab\x01xq", 0, "ready\nab\x01x", ""); /* Ctrl-A is nothing special */
}

TEST(cmd_sim, more_input_than_the_machine_takes_at_once_arrives_whole)
{
    Buf code = {0}, input = {0}, want = {0};
    code_echo(&code);
    buf_str(&want, "ready\n");
    for (int i = 0; i < 1100; i++) {
        buf_printf(&input, "%d ", i);
    }
    buf_str(&want, buf_text(&input));
    buf_char(&input, 'q');
    check_code(&code, "sim --kernel IMAGE", buf_text(&input), 0, buf_text(&want), "");
    buf_free(&input);
    buf_free(&want);
}

static int64_t cpu_ns(clockid_t clock)
{
    struct timespec t = {0};
    CHECK(!clock_gettime(clock, &t));
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

TEST(cmd_sim, an_idle_guest_waits_for_input_without_working)
{
    Buf code = {0}, out = {0};
    code_sleep(&code);
    Image image = image_flat(&code);
    Job j = job_start("sim --kernel IMAGE", &image);
    char line[8] = {0};
    CHECK_INT(read(j.out, line, 6), 6);
    CHECK_STR(line, "ready\n");
    clockid_t clock;
    CHECK(!clock_getcpuclockid(j.pid, &clock));
    int64_t worked_ns = INT64_MAX;
    for (int i = 0; i < 200 && worked_ns >= 1000000; i++) { /* on a busy machine it may begin to idle late */
        int64_t before_ns = cpu_ns(clock);
        usleep(300000);
        worked_ns = cpu_ns(clock) - before_ns;
    }
    CHECK(worked_ns < 1000000);
    CHECK_INT(write(j.in, "A", 1), 1);
    CHECK_INT(job_end(&j, &out, NULL), 'A');
    image_free(&image);
    buf_free(&code);
    buf_free(&out);
}

TEST(cmd_sim, a_network_that_may_answer_is_waited_for_beside_the_keys)
{
    SimCard *user = NULL;
    if (sim_card_net("user", &user, NULL)) {
        test_skip("no libslirp");
        return;
    }
    sim_card_free(user);
    static const char *const args[] = {"sim --net user --kernel IMAGE", "sim --net user --realtime --kernel IMAGE"};
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        Buf code = {0};
        code_sleep(&code);
        check_code(&code, args[i], "\x09", 9, "ready\n", "");
    }
}

/* Sleeps n times 4096 units of 100 ns of guest time by the CLINT's timer, and passes. */
static void code_timer(Buf *code, uint32_t n)
{
    CODE(code, lui(T0, 0x2004), lui(T1, n), store(3, T1, T0, 0), addi(T1, X0, 0x80), csr_set(0x304, T1), WFI);
    code_finish(code, PASS);
}

TEST(cmd_sim, idle_time_lasts_as_long_as_it_says_while_somebody_may_type)
{
    Buf code = {0}, err = {0};
    code_timer(&code, 0xf4);
    Image image = image_flat(&code);
    uint64_t start = os_now_ns();
    Job j = job_start("sim --stats --kernel IMAGE", &image);
    struct rusage used;
    int status;
    CHECK_INT(wait4(j.pid, &status, 0, &used), j.pid); /* its input is still open */
    CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
    CHECK(os_now_ns() - start >= 90000000);
    char text[512] = {0};
    CHECK(read(j.err, text, sizeof text - 1) > 0);
    CHECK_HAS(text, "conf sim: 10 instructions in 0.");
    CHECK_HAS(text, ", 0.100 s guest time");
    close(j.in);
    close(j.out);
    close(j.err);
    image_free(&image);
    buf_clear(&code);
    code_timer(&code, 0x5f5e1);
    image = image_flat(&code);
    start = os_now_ns();
    CHECK_INT(job_run("sim --stats --kernel IMAGE", &image, "", NULL, &err), 0); /* nobody may: it is skipped */
    CHECK(os_now_ns() - start < 100000000000);
    CHECK_HAS(buf_text(&err), "conf sim: 10 instructions in ");
    CHECK_HAS(buf_text(&err), ", 160.000 s guest time");
    image_free(&image);
    buf_free(&code);
    buf_free(&err);
}

TEST(cmd_sim, an_idle_guest_that_nothing_can_wake_has_failed)
{
    Buf code = {0};
    CODE(&code, WFI, jump(-4));
    check_code(&code, "sim --smp 2 --kernel IMAGE", "", 1, "", "every hart waits for an interrupt");
    code_sleep(&code);
    check_code(&code, "sim --kernel IMAGE", "", 1, "ready\n", "nothing is left that could raise one");
}

TEST(cmd_sim, a_bound_on_instructions_is_exact_and_has_its_own_status)
{
    Buf code = {0};
    CODE(&code, HERE);
    check_code(&code, "sim --insns 1234567 --stats --kernel IMAGE", "", 124, "", "sim: 1234567 instructions in");
    CODE(&code, HERE);
    check_code(&code, "sim --insns 54321 --smp 3 --stats --kernel IMAGE", "", 124, "", "sim: 54321 instructions in");
}

TEST(cmd_sim, a_reset_starts_the_machine_again_and_counts_on)
{
    Buf code = {0};
    code_print(&code, "x");
    code_finish(&code, RESET);
    check_code(&code, "sim --insns 60 --stats --kernel IMAGE", "", 124, "xxxxxxxxx",
               "sim: 60 instructions"); /* 7 each */
}

TEST(cmd_sim, nothing_at_an_address_is_a_fault_of_the_guest)
{
    Buf code = {0};
    CODE(&code, 0x00000297 /* auipc t0, 0 */, addi(T0, T0, 20), csr_set(0x305, T0), load(2, T1, X0, 0x100), HERE,
         csr_get(T1, 0x342), slli(T1, T1, 16), lui(T2, 3), addi(T2, T2, 0x333), or_(T1, T1, T2), lui(T0, 0x100),
         store(2, T1, T0, 0), HERE);
    check_code(&code, "sim --kernel IMAGE", "", 5, "", ""); /* Priv 3.1.15: load access fault */
}

TEST(cmd_sim, under_sbi_the_guest_begins_in_s_mode)
{
    Buf code = {0};
    CODE(&code, 0x00000297, addi(T0, T0, 20), csr_set(0x105, T0), csr_get(T1, 0x300), HERE); /* mstatus: illegal */
    code_finish(&code, PASS);
    check_code(&code, "sim --env virt --kernel IMAGE", "", 0, "", "");
    CODE(&code, lui(17, 0x53525), addi(17, 17, 0x354), addi(16, X0, 0), addi(10, X0, 0), addi(11, X0, 0), 0x73, HERE);
    check_code(&code, "sim --env virt --kernel IMAGE", "", 0, "", ""); /* SBI 10: system reset, shutdown */
}

TEST(cmd_sim, wrong_usage_says_what_was_meant)
{
    Buf none = {0};
    static const struct {
        const char *args, *err;
    } WRONG[] = {
        {"sim", "--kernel or --bios is missing"},
        {"sim --kernal x", "did you mean --kernel?"},
        {"sim --kernel x --engine intrep", "did you mean `interp`?"},
        {"sim --kernel x --engine none", "known: interp jit hybrid"},
        {"sim --kernel x --jit-threads 17", "--jit-threads: `17`"},
        {"sim --kernel x --env machin", "did you mean `machine`?"},
        {"sim --kernel x --guest riscv46", "did you mean `riscv64`?"},
        {"sim --kernel x -m lots", "-m: `lots`"},
        {"sim --kernel x --smp 0", "--smp: `0`"},
        {"sim --kernel x --smp 1000", "1000 vcpus: expected 1 to"},
        {"sim --kernel x --insns many", "--insns: `many`"},
        {"sim --kernel x --cpu rv64q", "Try `conf sim --help`"},
        {"sim x", "takes no operand; --kernel and --bios name images"},
    };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        check_code(&none, WRONG[i].args, "", 2, "", WRONG[i].err);
    }
    check_code(&none, "sim --kernel /nonexistent", "", 3, "", "conf sim: /nonexistent");
}

TEST(cmd_sim, help_is_narrow)
{
    Buf out = {0};
    CHECK_INT(job_run("sim --help", &(Image){0}, "", &out, NULL), 0);
    CHECK_HAS(buf_text(&out), "usage: conf sim");
    for (char *at = out.data, *line; (line = strsep(&at, "\n"));) {
        CHECK(strlen(line) <= 80);
    }
    buf_free(&out);
}

TEST(cmd_sim, output_that_is_lost_is_no_success)
{
    Buf code = {0};
    code_print(&code, "word");
    code_finish(&code, PASS);
    Image image = image_flat(&code);
    int full = open("/dev/full", O_WRONLY);
    Tty t;
    bool is_same = false;
    tty_start(&t, "sim --kernel IMAGE", &image, full);
    CHECK_INT(tty_end(&t, &is_same), 70);
    CHECK(is_same);
    close(full);
    image_free(&image);
    buf_free(&code);
}

TEST(cmd_sim, a_reader_who_has_gone_ends_it)
{
    Buf code = {0};
    code_echo(&code);
    Image image = image_flat(&code);
    Job j = job_start("sim --kernel IMAGE", &image);
    char line[8] = {0};
    CHECK_INT(read(j.out, line, 6), 6);
    close(j.out);
    j.out = open("/dev/null", O_RDONLY);
    CHECK_INT(write(j.in, "a\n", 2), 2);
    Buf why = {0};
    CHECK_INT(job_end(&j, NULL, &why), 141);
    CHECK_STR(buf_text(&why), "");
    image_free(&image);
    buf_free(&code);
    buf_free(&why);
}

TEST(cmd_sim, a_reader_who_goes_while_the_guest_sleeps_ends_it_too)
{
    Buf code = {0}, why = {0};
    code_sleep(&code);
    Image image = image_flat(&code);
    Job j = job_start("sim --kernel IMAGE", &image);
    char line[8] = {0};
    CHECK_INT(read(j.out, line, 6), 6);
    close(j.out);
    j.out = open("/dev/null", O_RDONLY);
    int status = 0;
    CHECK_INT(waitpid(j.pid, &status, 0), j.pid); /* its input is still open */
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 141);
    close(j.in);
    close(j.out);
    close(j.err);
    image_free(&image);
    buf_free(&code);
    buf_free(&why);
}

/* Standard output that does not block, and is full until somebody reads. */
TEST(cmd_sim, output_that_is_not_taken_at_once_waits)
{
    enum { ROUNDS = 40 };
    Buf code = {0}, seen = {0};
    int out[2] = {-1, -1};
    Tty t;
    bool is_same = false;
    CHECK(!pipe2(out, O_NONBLOCK | O_CLOEXEC));
    CODE(&code, lui(T0, UART_UPPER), addi(T1, X0, 'x'), lui(T2, ROUNDS)); /* 4096 each: more than a pipe holds */
    CODE(&code, store(0, T1, T0, 0), addi(T2, T2, -1), branch(1, T2, X0, -8));
    code_finish(&code, PASS);
    Image image = image_flat(&code);
    tty_start(&t, "sim --kernel IMAGE", &image, out[1]);
    close(out[1]);
    int held = 0, room = fcntl(out[0], F_GETPIPE_SZ) - 4096;
    for (unsigned ms = 0; ms < 60000 && held < room; ms++) {
        CHECK(!ioctl(out[0], FIONREAD, &held));
        usleep(1000);
    }
    usleep(200000); /* the next writes find no room */
    struct pollfd p = {.fd = out[0], .events = POLLIN};
    while (seen.n < ROUNDS * 4096 && poll(&p, 1, 60000) == 1) {
        char chunk[4096];
        ssize_t n = read(out[0], chunk, sizeof chunk);
        if (n <= 0) {
            break;
        }
        buf_bytes(&seen, chunk, (size_t)n);
    }
    CHECK_INT(seen.n, ROUNDS * 4096);
    CHECK_INT(tty_end(&t, &is_same), 0);
    CHECK(is_same);
    close(out[0]);
    image_free(&image);
    buf_free(&code);
    buf_free(&seen);
}

/* ---- the terminal ---- */
static void begin(Tty *t, Image *image)
{
    Buf code = {0};
    code_echo(&code);
    *image = image_flat(&code);
    buf_free(&code);
    tty_start(t, "sim --kernel IMAGE", image, -1);
    CHECK(tty_await(t, "ready\r\n")); /* and a line feed begins a line */
    CHECK(tty_await_echo(t, false));
}

static void check_end(Tty *t, Image *image, int status)
{
    bool is_same = false;
    CHECK_INT(tty_end(t, &is_same), status);
    CHECK(is_same);
    image_free(image);
}

TEST(terminal, is_raw_while_it_runs_and_restored_when_the_guest_ends)
{
    Tty t;
    Image image;
    begin(&t, &image);
    tty_type(&t, "ab\x03\x1a\x01\x01", 6); /* Ctrl-C, Ctrl-Z and Ctrl-A go to the guest */
    CHECK(tty_await(&t, "ab\x03\x1a\x01"));
    tty_type(&t, "\x01h", 2);
    CHECK(tty_await(&t, "Ctrl-A x: end"));
    tty_type(&t, "q", 1);
    check_end(&t, &image, 0);
}

TEST(terminal, is_restored_after_the_escape_key)
{
    Tty t;
    Image image;
    begin(&t, &image);
    tty_type(&t, "\x01x", 2);
    check_end(&t, &image, 0);
}

TEST(terminal, is_restored_by_every_signal_that_ends_it)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT};
    for (size_t i = 0; i < ARRAY_LEN(SIGNALS); i++) {
        Tty t;
        Image image;
        begin(&t, &image);
        CHECK_INT(kill(t.job, SIGNALS[i]), 0);
        check_end(&t, &image, 1000 + SIGNALS[i]);
    }
}

TEST(terminal, is_restored_while_stopped_and_raw_again_after)
{
    Tty t;
    Image image;
    begin(&t, &image);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(kill(t.job, SIGTSTP), 0);
        tty_await_stop(&t);
        CHECK(tty_await_echo(&t, true));
        tty_continue(&t);
        CHECK(tty_await_echo(&t, false));
    }
    tty_type(&t, "zq", 2);
    CHECK(tty_await(&t, "z"));
    check_end(&t, &image, 0);
}

TEST(terminal, is_raw_again_after_a_stop_that_cannot_be_caught)
{
    Tty t;
    Image image;
    begin(&t, &image);
    CHECK_INT(kill(t.job, SIGSTOP), 0);
    tty_await_stop(&t);
    tty_continue(&t);
    tty_type(&t, "q", 1);
    check_end(&t, &image, 0);
}

TEST(cmd_sim, real_time_types_sleeps_and_ends_as_virtual_time_does)
{
    Buf sleeper = {0}, idle = {0};
    code_sleep(&sleeper);
    check_code(&sleeper, "sim --realtime --kernel IMAGE", "\x07", 7, "ready\n", "");
    CODE(&idle, WFI, jump(-4));
    check_code(&idle, "sim --realtime --smp 3 --kernel IMAGE", "", 1, "", "every hart waits");
}

TEST(cmd_sim, real_time_counts_no_instructions_for_a_bound)
{
    Buf code = {0};
    CODE(&code, WFI);
    check_code(&code, "sim --realtime --insns 5 --kernel IMAGE", "", 2, "", "not with --realtime");
}

TEST(cmd_sim, the_commit_log_has_a_line_for_each_instruction)
{
    Buf code = {0};
    CODE(&code, addi(T1, X0, 5), addi(T1, T1, 0), lui(T0, 0x100), lui(T1, 5), addi(T1, T1, 0x555), store(2, T1, T0, 0));
    check_code(&code, "sim --commit-log - --kernel IMAGE", "", 0, "",
               "core   0: 3 0x0000000080000000 (0x00500313) x6  0x0000000000000005\n"
               "core   0: 3 0x0000000080000004 (0x00030313)\n"
               "core   0: 3 0x0000000080000008 (0x001002b7) x5  0x0000000000100000\n"
               "core   0: 3 0x000000008000000c (0x00005337) x6  0x0000000000005000\n"
               "core   0: 3 0x0000000080000010 (0x55530313) x6  0x0000000000005555\n"
               "core   0: 3 0x0000000080000014 (0x0062a023)\n");
    Buf traps = {0};
    CODE(&traps, 0x00000297 /* auipc t0, 0 */, addi(T0, T0, 16), csr_set(0x305, T0), 0x73 /* ecall */);
    code_finish(&traps, PASS);
    check_code(&traps, "sim --commit-log - --kernel IMAGE", "", 0, "",
               "core   0: 3 0x0000000080000004 (0x01028293) x5  0x0000000080000010\n"
               "core   0: 3 0x0000000080000008 (0x3052a073)\n"
               "core   0: 3 0x0000000080000010 (0x00005337) x6  0x0000000000005000\n");
    Buf nothing = {0}, more = {0};
    CODE(&nothing, WFI);
    check_code(&nothing, "sim --commit-log /nowhere/f --kernel IMAGE", "", 70, "", "/nowhere/f");
    CODE(&more, WFI);
    check_code(&more, "sim --commit-log - --realtime --kernel IMAGE", "", 2, "", "not with --realtime");
}
