/* SPDX-License-Identifier: Apache-2.0
 * asm_cache.h - assembled texts on disk, one file per text, named by the SHA-256 of all that the
 * result depends on.
 *
 * Folder: $XDG_CACHE_HOME/conf/asm, default $HOME/.cache/conf/asm; an XDG_CACHE_HOME that is not
 * absolute is ignored (XDG base directory specification). CONF_NO_CACHE=1 in the environment:
 * neither read nor written. A file, little-endian: magic "CONFASM1", key (32), length of the image
 * (8), number of labels (4), per label value (8), length of the name (2), name; image; CRC-32 of
 * all before (4). Anything unexpected is a miss. Nothing here is ever an error. */
#ifndef CONFORMANCE_ASM_CACHE_H
#define CONFORMANCE_ASM_CACHE_H

#include "conformance/asm.h"

void asm_cache_key(const AsmInput *in, uint8_t key[32]);
/* True: *out is filled. */
bool asm_cache_get(const uint8_t key[32], AsmOutput *out);
void asm_cache_put(const uint8_t key[32], const AsmOutput *out);
/* The file's bytes; decode fills *out only if it returns true. */
void asm_cache_encode(const uint8_t key[32], const AsmOutput *out, Buf *file);
bool asm_cache_decode(const uint8_t key[32], const void *file, size_t n, AsmOutput *out);
/* The file's path; false if there is no cache here. Makes the folder if is_made. */
bool asm_cache_path(const uint8_t key[32], bool is_made, Buf *path);
#endif
