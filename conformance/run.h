/* SPDX-License-Identifier: Apache-2.0
 * run.h - the subcommands that load suites, with what main wired in (loading, Lua). As cmd.h otherwise. */
#ifndef CONFORMANCE_RUN_H
#define CONFORMANCE_RUN_H

#include "conformance/plan.h"

int run_main(const RunHooks *hooks, int argc, char **argv);     /* conf run */
int list_main(const RunHooks *hooks, int argc, char **argv);    /* conf list */
int lint_main(const RunHooks *hooks, int argc, char **argv);    /* conf lint */
int certify_main(const RunHooks *hooks, int argc, char **argv); /* conf certify */
#endif
