/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as YAML: a tree within the limits, or an error with a place. */
#include "conformance/node.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static size_t count(const Node *n, int depth)
{
    if (depth > NODE_MAX_DEPTH || !n->pos.line || !n->pos.col) {
        abort();
    }
    size_t sum = 1;
    for (size_t i = 0; i < (n->kind == NODE_SCALAR ? 0 : n->n); i++) {
        sum += count(n->items[i], depth + 1);
        if (n->kind == NODE_MAP && node_get(n, n->keys[i]->text) != n->items[i]) {
            abort(); /* keys are unique */
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Arena *arena = arena_new();
    const Node *root = NULL;
    Err err = {0};
    int rc = node_parse_yaml(arena, "fuzz.yaml", (const char *)bytes, n, &root, &err);
    if (rc ? root != NULL || strncmp(err.text, "fuzz.yaml:", 10) != 0 : count(root, 1) > NODE_MAX_NODES) {
        abort();
    }
    arena_free(arena);
    return 0;
}
