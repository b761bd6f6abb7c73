/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/cli.h"
#include "conformance/cmd.h"
#include "conformance/scenario.h"

#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: conf schema\n"
                            "Prints the JSON Schema (draft-07) of the scenario language, for editors: point\n"
                            "the YAML language server at it. `conf lint` is the authority: it refuses more\n"
                            "than a schema can.\n"
                            "\n"
                            "  -h, --help\n";
static const CliOption OPTIONS[] = {{"help", 'h', 0}};

int cmd_schema(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return CONF_OK;
    }
    if (argc != 1) {
        Err err = {0};
        Cli cli = cli_of(OPTIONS, ARRAY_LEN(OPTIONS), argc, argv);
        if (cli_next(&cli, &err) != CLI_BAD) {
            err_set(&err, ERR_INVAL, "`%s`: takes no operand", argv[1]);
        }
        return cli_usage("schema", &err);
    }
    Buf out = {0};
    schema_print(&out);
    bool ok = fwrite(out.data, 1, out.n, stdout) == out.n && fputc('\n', stdout) != EOF && !fflush(stdout);
    buf_free(&out);
    return ok ? CONF_OK : CONF_INTERNAL;
}
