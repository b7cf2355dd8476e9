/*
 * wire.h - big-endian integers in octets, and padding to four octets
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_STUN_WIRE_H
#define TURNCRED_STUN_WIRE_H

#include <stddef.h>
#include <stdint.h>

static inline void wire_put16(uint8_t *p, unsigned v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static inline void wire_put32(uint8_t *p, uint32_t v) {
  wire_put16(p, v >> 16);
  wire_put16(p + 2, v & 0xFFFF);
}

static inline unsigned wire_get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

static inline uint32_t wire_get32(const uint8_t *p) { return (uint32_t)wire_get16(p) << 16 | wire_get16(p + 2); }

static inline size_t wire_padded(size_t len) { return (len + 3) & ~(size_t)3; }

#endif
