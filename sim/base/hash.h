/* SPDX-License-Identifier: Apache-2.0
 * hash.h - SHA-256 (FIPS 180-4) for content addresses, FNV-1a for tables, CRC-32 (IEEE 802.3) for frames and files, SipHash for tables whose
 * keys others choose. */
#ifndef SIM_BASE_HASH_H
#define SIM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t h[8];
    uint64_t nbytes;
    uint8_t block[64];
} Sha256;
void sha256_init(Sha256 *s);
void sha256_add(Sha256 *s, const void *bytes, size_t n);
void sha256_end(Sha256 *s, uint8_t digest[32]);
void sha256_hex(const uint8_t digest[32], char text[65]);
uint64_t fnv1a(const void *bytes, size_t n);
uint32_t crc32_ieee(uint32_t crc, const void *bytes, size_t n); /* start with 0 */
/* SipHash-2-4 of 128 bits, on little-endian hosts: who does not know the key finds no two texts with one value. */
void siphash128(const uint64_t key[2], const void *bytes, size_t n, uint64_t out[2]);
#endif
