/* SPDX-License-Identifier: Apache-2.0
 * cmd.h - the subcommands of `conf`: one cmd_<name>.c each. argv[0] is the subcommand's name. They print and return the
 * process's exit status. */
#ifndef CONFORMANCE_CMD_H
#define CONFORMANCE_CMD_H

enum { /* exit statuses, documented in conf(1) */
       CONF_OK = 0,
       CONF_FAILURES = 1,
       CONF_USAGE = 2,
       CONF_INVALID = 3,
       CONF_NOTHING = 4,
       CONF_NO_BACKEND = 5,
       CONF_INTERNAL = 70,
       CONF_SIGINT = 130,
       CONF_SIGTERM = 143
};
int cmd_run(int argc, char **argv);
int cmd_new(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_lint(int argc, char **argv);
int cmd_coverage(int argc, char **argv);
int cmd_schema(int argc, char **argv);
int cmd_backends(int argc, char **argv);
int cmd_asm(int argc, char **argv);
int cmd_disasm(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_repl(int argc, char **argv);
#endif
