/* SPDX-License-Identifier: Apache-2.0
 * fake.h - the backend `fake`: it plays a script and runs no code. Any guest, every capability FULL but `executes`.
 * It is for tests of all that lies above the waist: every exit, error, race and misbehaviour can be had on request,
 * without a hypervisor. Registers are a plain store of regs.def (cut to what is writable and fixed), memory is sparse.
 *
 * CTLS (vm_ctl; the v argument is the vcpu, NULL = vcpu 0, also before it exists)
 *   fake.script  in = text: replaces what is left of the vcpu's script. -ERR_INVAL with the line and what was
 *                expected; -ERR_BUSY while the vcpu runs. The old script stays when the new one is wrong.
 *   fake.log     out = every call so far, one a line: "vcpu.run thread 1 vcpu 0 step 0 kicks 0 exit halt -> 0".
 *                in = "clear" empties it. Threads are numbered in the order in which they showed up. kick() is
 *                counted, and shown with the next run. At most 256 KiB; then "(n calls not logged)".
 *   fake.fail    in = "OP ERROR", such as "vcpu.setup HOST": the next call of OP (as the log spells it) fails so.
 *   fake.break   in = "W1 W5": breaks these rules of accel.h from now on; "" keeps all again:
 *                W1 a guest fault is returned as -ERR_HOST   W2 bind() leaves the owner as it was
 *                W3 an access shows as retired before its reply, and nothing is busy meanwhile
 *                W4 the pieces of an access come as one      W5 a kick before run() is lost
 *                W6 set_regs that fails has set the registers before the bad one
 *                W7 fields that the script does not give are valid, and 0
 *                W8 what mem_write wrote is seen from the next run on (a page kept instead of copied)
 *
 * OPTIONS (VmConfig.options): max_pages=N, pages of guest memory that may be touched; default 16384. cpu: any, no
 * effect.
 *
 * SCRIPT. One entry a line; `;` also ends an entry, `#` starts a comment. An entry is a word and key=value pairs.
 * Numbers are decimal or 0x hex, -1 is all ones. Registers go by the guest's names or the neutral ones (pc sp
 * arg0.. ret).
 *
 * Exits: the word is the exit's name (accel.h) and run() returns it. Keys of every exit:
 *   pc=A next=B     its instruction's address and the next one's. pc is set as W3 says: before the reply of a VALUE
 *                   exit and at a fault it is A, else B. Without them pc stays as it is, and the exit has no
 *                   pc_before or pc_after.
 *   insns=N         instructions that retire before the exit's own one (default 0). The own one is counted when it
 *                   retires: at the exit; where a reply is due, with the reply (and charged to the next run's
 *                   budget); a fault's never.
 *   native=N qual0=N qual1=N insn_len=N
 * and by kind:
 *   mmio_read, mmio_write     addr size signed=0|1 reg=R reg_size piece npieces; value (write)
 *   io_read, io_write         port size piece npieces; value (write)
 *   sysreg_read, sysreg_write index reg=R; value (write)
 *   cpuid                     leaf subleaf
 *   hypercall                 nr arg0 .. arg5
 *   nested_page_fault         addr access=rwx gva
 *   exception                 vector code
 *   external_interrupt, eoi   vector
 *   cpu_up                    target entry arg
 *   send_ipi                  target aux all=0|1 self=0|1 vector
 *   debug                     kind=step|break|watch|sw_break addr
 *   fail_entry, system_down, system_reset, cpu_down   reason
 *   internal_error            suberror
 *   reply-to=R (VALUE exits)  where the reply goes, extended by exit_extend(); default: reg; for io_read rax; for
 *                             cpuid rax rbx rcx rdx; for sysreg_read without reg rdx:rax.
 *   A reply with is_fault leaves pc and registers as they are.
 *
 * Entries that go on without an exit, as guest code between two exits would:
 *   set R=V ...        writes registers (any bits, also read-only ones)
 *   work insns=N       N instructions retire; pc=A sets pc after them
 *   write A HEXBYTES   stores, where W is mapped, and marks dirty
 *   dirty A            marks the page dirty
 *   take N             an injected event must be pending, with that number; it is taken, the log says so. `take`
 *                      alone: any. Else EXIT_unsupported with native code 1.
 *   mask, unmask       from here inject() is -ERR_BUSY; and no longer. With RunArgs.irq_window, run() returns
 *                      EXIT_irq_window whenever nothing is masked or pending.
 * Entries that end run() in another way:
 *   error NAME         returns -ERR_NAME, such as BUSY
 *   spin               the guest loops: blocks until a kick or the deadline (EXIT_canceled), or until an event is
 *                      injected (no exit); then the script goes on. A kick that comes before it is entered ends it
 *                      too. `spin forever=1` loops on after a cancel, and takes what is injected. With a budget it
 *                      does not block but uses the budget up (EXIT_budget), and loops on.
 * Misbehaviours, for what must survive them; only ever in a process of its own:
 *   crash SIGSEGV      or SIGABRT: dies of it
 *   exit N             ends the process with that status
 *   hang               ignores kicks, for ever
 *   garbage            writes noise on the pipes and sockets 3..63, and goes on
 *   alloc BYTES        touches memory until it has it, frees it and goes on; -ERR_NOMEM when refused
 * After the last entry: EXIT_unsupported with native code 0.
 *
 * RunArgs.insns ends exactly: EXIT_budget after N instructions, before an exit whose own instruction would be N + 1.
 * RunArgs.is_step: EXIT_debug {step} after one instruction of `work` or of insns=; an exit's own instruction exits.
 * RunArgs.serve_board: accesses that the board claims are answered within run(). */
#ifndef ACCEL_FAKE_FAKE_H
#define ACCEL_FAKE_FAKE_H

#include "accel/accel.h"

extern const Backend backend_fake;

enum { FAKE_NATIVE_ENDED = 0, FAKE_NATIVE_NOT_PENDING = 1 }; /* native.code of its EXIT_unsupported */
#endif
