/* SPDX-License-Identifier: Apache-2.0
 * dashboard_report_fuzz.c - any bytes as a report: refused with a sentence, or pages whose data is JSON without '<'. */
#include "coverage/dashboard/dashboard.h"
#include "sim/base/json_in.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_json(const Buf *json)
{
    JsonIn j = json_in("data", json->data, json->n, NULL);
    json_in_skip(&j);
    if (json_in_end(&j) == -ERR_INVAL || memchr(json->data, '<', json->n)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Err err = {0};
    DashReport *report = NULL;
    Dash *d = dash_new();
    Buf json = {0};
    int rc = report_parse("fuzz", bytes, n, &report, &err);
    rc = rc ? rc : import_reports(d, &report, 1, &err);
    if (rc && !err.text[0]) {
        abort();
    }
    if (!rc) {
        dash_json(d, false, &json);
        check_json(&json);
        for (size_t c = 0; c < d->cases.n && c < 4; c++) {
            buf_clear(&json);
            dash_json_case(d, c, &json);
            check_json(&json);
        }
    }
    buf_free(&json);
    report_free(report);
    dash_free(d);
    return 0;
}
