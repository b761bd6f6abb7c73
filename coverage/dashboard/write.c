/* SPDX-License-Identifier: Apache-2.0
 * write.c - the files of the pages. The frame of HTML is all HTML that there is; the rest is made by the scripts. A content
 * security policy says so to the browser: no network, no script but these, no HTML out of text. */
#include "coverage/dashboard/write.h"

#include "coverage/dashboard/dashboard.h"
#include "sim/base/hash.h"
#include "sim/base/os.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool dash_has_charts(void)
{
    return dash_chart_bytes > 0;
}

int dash_folder(const char *path, Err *err)
{
    char *part = x_strdup(path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(part, 0777); /* the last one says what is wrong */
        *slash = '/';
    }
    int rc = mkdir(part, 0777) && errno != EEXIST ? err_native(err, ERR_IO, errno, "%s", path) : 0;
    mem_free(part);
    return rc;
}

/* Without waiting for the disk, which for thousands of files takes many seconds; a part that was cut is no JavaScript, and the
 * pages say so. */
static int write_file(const char *folder, const char *name, const void *bytes, size_t n, Err *err)
{
    Buf path = {0};
    buf_printf(&path, "%s/%s", folder, name);
    FILE *f = fopen(buf_text(&path), "we");
    bool is_written = f && fwrite(bytes, 1, n, f) == n;
    int error = errno;
    if (f && fclose(f)) {
        error = is_written ? errno : error;
        is_written = false;
    }
    int rc = is_written ? 0 : err_native(err, error == ENOSPC ? ERR_LIMIT : ERR_IO, error, "%s", buf_text(&path));
    buf_free(&path);
    return rc;
}

/* 'sha256-...' of a script's or style's text, as a policy names it (CSP 3, 2.3.1). */
static void put_hash(Buf *out, const void *bytes, size_t n)
{
    static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t digest[33] = {0};
    Sha256 s;
    sha256_init(&s);
    sha256_add(&s, bytes, n);
    sha256_end(&s, digest);
    buf_str(out, " 'sha256-");
    for (int i = 0; i < 33; i += 3) { /* 32 bytes: the last group has two, and one = */
        uint32_t v = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | digest[i + 2];
        for (int k = 18; k >= 0; k -= 6) {
            bool is_pad = i == 30 && k == 0;
            buf_char(out, is_pad ? '=' : BASE64[v >> k & 63]);
        }
    }
    buf_char(out, '\'');
}

static void put_head(bool is_single, Buf *out)
{
    buf_str(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                 "content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" "
                 "content=\"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
                 "require-trusted-types-for 'script'; trusted-types conf; script-src");
    if (is_single) {
        put_hash(out, dash_chart_text, dash_chart_bytes);
        put_hash(out, dash_app_text, dash_app_bytes);
        put_hash(out, dash_start_text, dash_start_bytes);
        buf_str(out, "; style-src");
        put_hash(out, dash_style_text, dash_style_bytes);
    } else {
        buf_str(out, " 'self' file:; style-src 'self' file:");
    }
    buf_str(out, "\">\n<meta name=\"generator\" content=\"conf " CONF_VERSION "\">\n<title>conf</title>\n"
                 "<link rel=\"icon\" href=\"data:,\">\n");
}

static void put_element(Buf *out, const char *name, const void *bytes, size_t n)
{
    buf_printf(out, "<%s>", name);
    buf_bytes(out, bytes, n);
    buf_printf(out, "</%s>\n", name);
}

static void put_part(Buf *out, const char *name, const Buf *json)
{
    buf_printf(out, "<script type=\"application/json\" id=\"part:%s\">", name);
    buf_bytes(out, json->data, json->n);
    buf_str(out, "</script>\n");
}

static const char NO_SCRIPT[] = "<noscript>These pages need JavaScript.</noscript>\n";

/* The parts stand in the head, as the scripts fill the body anew. */
static void put_single(const Dash *d, Buf *out)
{
    Buf json = {0};
    put_head(true, out);
    put_element(out, "style", dash_style_text, dash_style_bytes);
    dash_json(d, true, &json);
    put_part(out, "data.js", &json);
    if (d->items.n) {
        buf_clear(&json);
        dash_json_coverage(d, &json);
        put_part(out, "d/coverage.js", &json);
    }
    for (size_t c = 0; c < d->cases.n; c++) {
        char name[32];
        snprintf(name, sizeof name, "d/%zu.js", c);
        buf_clear(&json);
        dash_json_case(d, c, &json);
        put_part(out, name, &json);
    }
    buf_printf(out, "</head>\n<body>\n%s", NO_SCRIPT);
    put_element(out, "script", dash_chart_text, dash_chart_bytes);
    put_element(out, "script", dash_app_text, dash_app_bytes);
    put_element(out, "script", dash_start_text, dash_start_bytes);
    buf_str(out, "</body>\n</html>\n");
    buf_free(&json);
}

static void put_page(Buf *out)
{
    put_head(false, out);
    buf_printf(out,
               "<link rel=\"stylesheet\" href=\"style.css\">\n<script src=\"app.js\" defer></script>\n<script "
               "src=\"data.js\" defer></script>\n<script src=\"start.js\" defer></script>\n</head>\n<body>\n%s</body>\n"
               "</html>\n",
               NO_SCRIPT);
}

static int write_call(const char *folder, const char *name, const char *before, const Buf *json, Err *err)
{
    Buf text = {0};
    buf_str(&text, before);
    buf_bytes(&text, json->data, json->n);
    buf_str(&text, ");\n");
    int rc = write_file(folder, name, text.data, text.n, err);
    buf_free(&text);
    return rc;
}

/* d/N.js of pages that had more cases. */
static void remove_older(const Dash *d, const char *folder)
{
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        char *end;
        unsigned long long n = strtoull(e->d_name, &end, 10);
        if (end != e->d_name && !strcmp(end, ".js") && n >= d->cases.n) {
            (void)unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static int write_details(const Dash *d, const char *folder, Err *err)
{
    Buf json = {0}, path = {0};
    buf_printf(&path, "%s/d", folder);
    int rc = dash_folder(buf_text(&path), err);
    for (size_t c = 0; c < d->cases.n && !rc; c++) {
        char name[32], before[48];
        snprintf(name, sizeof name, "%zu.js", c);
        snprintf(before, sizeof before, "conf_detail(%zu,", c);
        buf_clear(&json);
        dash_json_case(d, c, &json);
        rc = write_call(buf_text(&path), name, before, &json, err);
    }
    if (!rc && d->items.n) {
        buf_clear(&json);
        dash_json_coverage(d, &json);
        rc = write_call(buf_text(&path), "coverage.js", "conf_coverage(", &json, err);
    }
    if (!rc) {
        remove_older(d, buf_text(&path));
    }
    buf_free(&json);
    buf_free(&path);
    return rc;
}

static int write_parts(const Dash *d, const char *folder, Err *err)
{
    Buf json = {0};
    int rc = write_details(d, folder, err);
    rc = rc ? rc : write_file(folder, "style.css", dash_style_text, dash_style_bytes, err);
    rc = rc ? rc : write_file(folder, "app.js", dash_app_text, dash_app_bytes, err);
    rc = rc ? rc : write_file(folder, "start.js", dash_start_text, dash_start_bytes, err);
    if (!rc && dash_has_charts()) {
        rc = write_file(folder, "chart.js", dash_chart_text, dash_chart_bytes, err);
    }
    dash_json(d, false, &json);
    rc = rc ? rc : write_call(folder, "data.js", "conf_dashboard(", &json, err);
    buf_free(&json);
    return rc;
}

int dash_write(const Dash *d, const char *folder, bool is_single, Err *err)
{
    Buf page = {0};
    int rc = dash_folder(folder, err);
    if (!rc && !is_single) {
        rc = write_parts(d, folder, err);
    }
    if (is_single) {
        put_single(d, &page);
    } else {
        put_page(&page);
    }
    Buf path = {0};
    buf_printf(&path, "%s/index.html", folder);
    rc = rc ? rc : os_write_file(buf_text(&path), page.data, page.n, err);
    buf_free(&path);
    buf_free(&page);
    return rc;
}
