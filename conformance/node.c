/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/node.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

const Node *node_key(const Node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->n; i++) {
        if (!strcmp(map->keys[i]->text, key)) {
            return map->keys[i];
        }
    }
    return NULL;
}

const Node *node_get(const Node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->n; i++) {
        if (!strcmp(map->keys[i]->text, key)) {
            return map->items[i];
        }
    }
    return NULL;
}

bool node_is_null(const Node *n)
{
    return n && n->kind == NODE_SCALAR && n->is_plain &&
           (!*n->text || !strcmp(n->text, "~") || !strcmp(n->text, "null"));
}

/* What an alias would add to the tree is known when its anchor is complete: so a document of 200 bytes that unfolds to
 * 10^9 nodes is refused before any of them exists. */
typedef struct {
    char *name;
    Node *node;
    size_t nodes, height; /* of the tree below, aliases unfolded; 0 nodes = still open */
} Anchor;

typedef struct {
    yaml_parser_t yaml;
    Arena *arena;
    const char *file, *text;
    size_t n;
    VEC(Anchor) anchors;
    size_t nodes;
    size_t line_at, line; /* offset of a line's start, and which (from 0): walks forward only */
    Err *err;
} Reader;

static MUST_USE int refuse(Reader *r, yaml_mark_t at, const char *what)
{
    return err_set(r->err, ERR_INVAL, "%s:%zu:%zu: %s", r->file, at.line + 1, at.column + 1, what);
}

/* ---- bytes: what libyaml would count otherwise or let through ---- */

/* Length of the UTF-8 sequence at p (RFC 3629: no overlong forms, no surrogates), 0 if it is none. */
static size_t utf8_length(const uint8_t *p, size_t n, uint32_t *out)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (!len || len > n) {
        return 0;
    }
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (p[i] >> 6 != 2) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *out = c;
    return len;
}

static bool is_control(uint32_t c)
{
    /* U+2028 and U+2029 are line breaks to libyaml and to no editor's line count. */
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
           c == 0xfffe || c == 0xffff;
}

static MUST_USE int check_bytes(Reader *r)
{
    yaml_mark_t at = {0, 0, 0};
    const uint8_t *p = (const uint8_t *)r->text;
    for (size_t i = 0; i < r->n;) {
        uint32_t c = 0;
        size_t len = utf8_length(p + i, r->n - i, &c);
        if (!len) {
            return refuse(r, at, "not UTF-8");
        }
        if (is_control(c)) {
            char what[64];
            snprintf(what, sizeof what, "control character U+%04X", (unsigned)c);
            return refuse(r, at, what);
        }
        i += len;
        at.column++;
        if (c == '\n' || (c == '\r' && (i == r->n || p[i] != '\n'))) {
            at.line++;
            at.column = 0;
        }
    }
    return 0;
}

static void seek_line(Reader *r, size_t line)
{
    if (line < r->line) {
        r->line = r->line_at = 0;
    }
    while (r->line < line && r->line_at < r->n) {
        char c = r->text[r->line_at++];
        if (c == '\n' || (c == '\r' && (r->line_at == r->n || r->text[r->line_at] != '\n'))) {
            r->line++;
        }
    }
}

/* Is there a tab before the first other character of that line? */
static bool has_tab_indent(Reader *r, size_t line)
{
    seek_line(r, line);
    for (size_t i = r->line_at; i < r->n && (r->text[i] == ' ' || r->text[i] == '\t'); i++) {
        if (r->text[i] == '\t') {
            return true;
        }
    }
    return false;
}

/* ---- nodes ---- */

static Pos place(const Reader *r, yaml_mark_t at)
{
    return (Pos){r->file, (uint32_t)at.line + 1, (uint32_t)at.column + 1};
}

/* The first text line of a block scalar: where it stands, less the indentation that is not text. */
static Pos block_place(Reader *r, yaml_mark_t at, const char *text)
{
    size_t line = at.line + 1, skipped = 0;
    while (text[skipped] == '\n') {
        skipped++;
    }
    seek_line(r, line + skipped);
    size_t indent = 0, kept = strspn(text + skipped, " ");
    while (r->line_at + indent < r->n && r->text[r->line_at + indent] == ' ') {
        indent++;
    }
    return (Pos){r->file, (uint32_t)line + 1, (uint32_t)(indent > kept ? indent - kept : 0) + 1};
}

static MUST_USE int next_event(Reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->yaml, event)) {
        return 0;
    }
    const char *what = r->yaml.problem ? r->yaml.problem : "no YAML";
    yaml_mark_t at = r->yaml.problem_mark;
    if (has_tab_indent(r, at.line)) {
        return refuse(r, at, "tab in the indentation: indent with spaces");
    }
    char text[200];
    const char *context = r->yaml.context ? r->yaml.context : "";
    snprintf(text, sizeof text, "%s%s%s", what, *context ? " " : "", context);
    return refuse(r, at, text);
}

static MUST_USE int count_node(Reader *r, yaml_mark_t at, size_t nodes, size_t depth)
{
    if (depth > NODE_MAX_DEPTH) {
        char text[64];
        snprintf(text, sizeof text, "nested deeper than %d", NODE_MAX_DEPTH);
        return refuse(r, at, text);
    }
    r->nodes += nodes;
    if (r->nodes > NODE_MAX_NODES) {
        char text[80];
        snprintf(text, sizeof text, "more than %d nodes, aliases unfolded", NODE_MAX_NODES);
        return refuse(r, at, text);
    }
    return 0;
}

static MUST_USE int read_alias(Reader *r, const yaml_event_t *event, size_t depth, Node **out, size_t *height)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = r->anchors.n; i-- > 0;) {
        const Anchor *a = &r->anchors.items[i];
        if (strcmp(a->name, name) != 0) {
            continue;
        }
        if (!a->nodes) {
            return refuse(r, event->start_mark, "an anchor that contains itself");
        }
        *out = a->node;
        *height = a->height;
        return count_node(r, event->start_mark, a->nodes, depth + a->height - 1);
    }
    char text[160];
    snprintf(text, sizeof text, "no anchor `%.100s` before this alias", name);
    return refuse(r, event->start_mark, text);
}

static MUST_USE int read_scalar(Reader *r, const yaml_event_t *event, Node *node)
{
    size_t n = event->data.scalar.length;
    const char *text = (const char *)event->data.scalar.value;
    if (memchr(text, 0, n)) {
        return refuse(r, event->start_mark, "a zero byte in text");
    }
    node->kind = NODE_SCALAR;
    node->text = arena_strndup(r->arena, text, n);
    node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->is_block =
        event->data.scalar.style == YAML_LITERAL_SCALAR_STYLE || event->data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
    if (node->is_block) {
        node->pos = block_place(r, event->start_mark, node->text);
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    const Node *x = *(Node *const *)a, *y = *(Node *const *)b;
    int order = strcmp(x->text, y->text);
    if (order) {
        return order;
    }
    if (x->pos.line != y->pos.line) {
        return x->pos.line < y->pos.line ? -1 : 1;
    }
    return x->pos.col < y->pos.col ? -1 : x->pos.col > y->pos.col;
}

static MUST_USE int check_unique(Reader *r, const Node *map)
{
    if (map->n < 2) {
        return 0;
    }
    Node **sorted = x_calloc(map->n, sizeof *sorted);
    memcpy(sorted, map->keys, map->n * sizeof *sorted);
    qsort(sorted, map->n, sizeof *sorted, by_text);
    int rc = 0;
    for (size_t i = 1; i < map->n && !rc; i++) {
        if (!strcmp(sorted[i - 1]->text, sorted[i]->text)) {
            rc = err_set(r->err, ERR_INVAL, "%s:%u:%u: key `%.80s` twice (first at line %u)", r->file,
                         sorted[i]->pos.line, sorted[i]->pos.col, sorted[i]->text, sorted[i - 1]->pos.line);
        }
    }
    mem_free(sorted);
    return rc;
}

static bool is_end(const yaml_event_t *event)
{
    return event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
}

typedef VEC(Node *) Nodes;

static MUST_USE int read_node(Reader *r, const yaml_event_t *event, size_t depth, Node **out, size_t *height);

/* The children of a seq, or keys and values in turn of a map. */
static MUST_USE int read_children(Reader *r, Node *node, size_t depth, Nodes *nodes, size_t *height)
{
    for (;;) {
        yaml_event_t event;
        int rc = next_event(r, &event);
        if (rc) {
            return rc;
        }
        if (is_end(&event)) {
            yaml_event_delete(&event);
            return 0;
        }
        Node *child = NULL;
        size_t h = 0;
        rc = read_node(r, &event, depth + 1, &child, &h);
        if (!rc && node->kind == NODE_MAP && nodes->n % 2 == 0 && child->kind != NODE_SCALAR) {
            rc = refuse(r, event.start_mark, "a key must be a word, not a list or a map");
        }
        yaml_event_delete(&event);
        if (rc) {
            return rc;
        }
        VEC_PUSH(nodes, child);
        *height = h + 1 > *height ? h + 1 : *height;
    }
}

static MUST_USE int read_collection(Reader *r, Node *node, size_t depth, size_t *height)
{
    Nodes nodes = {0};
    int rc = read_children(r, node, depth, &nodes, height);
    if (!rc) {
        bool is_map = node->kind == NODE_MAP;
        node->n = is_map ? nodes.n / 2 : nodes.n;
        node->items = arena_alloc(r->arena, node->n * sizeof *node->items);
        node->keys = is_map ? arena_alloc(r->arena, node->n * sizeof *node->keys) : NULL;
        for (size_t i = 0; i < node->n; i++) {
            node->items[i] = nodes.items[is_map ? 2 * i + 1 : i];
            if (is_map) {
                node->keys[i] = nodes.items[2 * i];
            }
        }
        rc = is_map ? check_unique(r, node) : 0;
    }
    VEC_FREE(&nodes);
    return rc;
}

static const char *event_anchor(const yaml_event_t *event, const char **tag)
{
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        *tag = (const char *)event->data.scalar.tag;
        return (const char *)event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        *tag = (const char *)event->data.sequence_start.tag;
        return (const char *)event->data.sequence_start.anchor;
    default:
        *tag = (const char *)event->data.mapping_start.tag;
        return (const char *)event->data.mapping_start.anchor;
    }
}

static MUST_USE int read_node(Reader *r, const yaml_event_t *event, size_t depth, Node **out, size_t *height)
{
    if (event->type == YAML_ALIAS_EVENT) {
        return read_alias(r, event, depth, out, height);
    }
    const char *tag = NULL, *anchor = event_anchor(event, &tag);
    if (tag) {
        return refuse(r, event->start_mark, "tags (!) are not part of the language");
    }
    size_t before = r->nodes, slot = r->anchors.n;
    int rc = count_node(r, event->start_mark, 1, depth);
    if (rc) {
        return rc;
    }
    Node *node = *out = arena_alloc(r->arena, sizeof *node);
    node->pos = place(r, event->start_mark);
    *height = 1;
    if (anchor) {
        VEC_PUSH(&r->anchors, (Anchor){.name = x_strdup(anchor), .node = node});
    }
    if (event->type == YAML_SCALAR_EVENT) {
        rc = read_scalar(r, event, node);
    } else {
        node->kind = event->type == YAML_MAPPING_START_EVENT ? NODE_MAP : NODE_SEQ;
        rc = read_collection(r, node, depth, height);
    }
    if (anchor) {
        r->anchors.items[slot].nodes = r->nodes - before;
        r->anchors.items[slot].height = *height;
    }
    return rc;
}

static MUST_USE int read_document(Reader *r, const Node **out)
{
    yaml_event_t event;
    for (;;) {
        int rc = next_event(r, &event);
        if (rc) {
            return rc;
        }
        if (event.type == YAML_STREAM_END_EVENT) {
            bool is_empty = !*out;
            yaml_event_delete(&event);
            return is_empty ? refuse(r, (yaml_mark_t){0, 0, 0}, "nothing in it") : 0;
        }
        if (event.type == YAML_DOCUMENT_START_EVENT && *out) {
            rc = refuse(r, event.start_mark, "a second document: one file is one document");
        } else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT &&
                   event.type != YAML_DOCUMENT_END_EVENT) {
            Node *node = NULL;
            size_t height = 0;
            rc = read_node(r, &event, 1, &node, &height);
            *out = node;
        }
        yaml_event_delete(&event);
        if (rc) {
            return rc;
        }
    }
}

int node_parse_yaml(Arena *a, const char *file, const char *text, size_t n, const Node **out, Err *err)
{
    *out = NULL;
    Reader r = {.arena = a, .file = arena_strdup(a, file), .text = text, .n = n, .err = err};
    if (n > NODE_MAX_BYTES) {
        return err_set(err, ERR_INVAL, "%s: larger than %d bytes", file, NODE_MAX_BYTES);
    }
    int rc = check_bytes(&r);
    if (rc) {
        return rc;
    }
    if (!yaml_parser_initialize(&r.yaml)) {
        return err_set(err, ERR_NOMEM, "%s: no memory for the YAML parser", file);
    }
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text, n);
    rc = read_document(&r, out);
    yaml_parser_delete(&r.yaml);
    for (size_t i = 0; i < r.anchors.n; i++) {
        mem_free(r.anchors.items[i].name);
    }
    VEC_FREE(&r.anchors);
    if (rc) {
        *out = NULL;
    }
    return rc;
}
