/* SPDX-License-Identifier: Apache-2.0
 * sim_cmd.h - the command `conf sim`: a whole machine by hand. Beside the simulator, not part of it: it uses sim.h as any
 * other caller does, and the command line of conformance/cli.h. main.c wires it in. */
#ifndef SIM_CMD_SIM_CMD_H
#define SIM_CMD_SIM_CMD_H

enum { /* exit statuses beside those of conformance/cmd.h and the guest's own; documented in conf(1) */
       SIM_EXIT_STATUS_LIMIT = 124, /* --insns are used up: as timeout(1) */
       SIM_EXIT_STATUS_PIPE = 141   /* who read the console has gone: as the shell shows SIGPIPE */
};
/* argv[0] is "sim". Prints, and returns the process's exit status. One at a time in a process, as the terminal is one. */
int cmd_sim(int argc, char **argv);
#endif
