/* SPDX-License-Identifier: Apache-2.0
 * node.h - a parsed document with places: what YAML files and Lua tables become before they get a meaning.
 * Nodes live in an Arena, are immutable once made and may be shared (aliases; rows pasted into many cases). */
#ifndef CONFORMANCE_NODE_H
#define CONFORMANCE_NODE_H

#include "sim/base/err.h"
#include "sim/base/mem.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *file;   /* as the user named it; "(script)" for Lua tables */
    uint32_t line, col; /* from 1; 0 = no place */
} Pos;
typedef enum { NODE_SCALAR, NODE_SEQ, NODE_MAP } NodeKind;
typedef struct Node Node;
struct Node {
    NodeKind kind;
    bool is_plain;    /* scalar without quotes or block style: may be a number, null or a $name */
    bool is_block;    /* | or >: text line k stands on file line pos.line + k */
    Pos pos;          /* of the first character (block scalars: of the first text line, column of its text) */
    const char *text; /* scalar: 0-terminated, and no 0 inside */
    Node **items;     /* seq: n values; map: n values */
    Node **keys;      /* map: n scalars, unique */
    size_t n;
};
const Node *node_get(const Node *map, const char *key); /* NULL if absent or not a map */
const Node *node_key(const Node *map, const char *key); /* the key's own node, for its place */
bool node_is_null(const Node *n);                       /* plain ~, null or nothing */

/* Limits of a document: bytes, nesting, nodes after alias expansion. */
enum { NODE_MAX_BYTES = 4 << 20, NODE_MAX_DEPTH = 64, NODE_MAX_NODES = 1 << 20 };
/* Parses YAML 1.2 (through libyaml) from memory. Refuses, with file:line:col: several documents, duplicate keys, tags,
 * non-scalar keys, recursive anchors, text that is not UTF-8 or has control characters, and what exceeds the limits.
 * -ERR_INVAL; err->text starts with the place. */
MUST_USE int node_parse_yaml(Arena *a, const char *file, const char *text, size_t n, const Node **out, Err *err);
#endif
