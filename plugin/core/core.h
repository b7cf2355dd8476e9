/*
 * core.h - what the files of libturncred share and do not export
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CORE_H
#define TURNCRED_CORE_H

#include "turncred.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

/* Inside the library secrets are cleansed with explicit_bzero. OPENSSL_cleanse does the same, but
 * octet by octet where the buffer is not aligned, and that makes a verification measurably slower. */

#define TC_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- octets: big endian ------------------------------------------------------------------ */

static inline void tc_put16(uint8_t *p, uint16_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}
static inline void tc_put32(uint8_t *p, uint32_t v) {
  tc_put16(p, (uint16_t)(v >> 16));
  tc_put16(p + 2, (uint16_t)v);
}
static inline void tc_put64(uint8_t *p, uint64_t v) {
  tc_put32(p, (uint32_t)(v >> 32));
  tc_put32(p + 4, (uint32_t)v);
}
static inline uint16_t tc_get16(const uint8_t *p) { return (uint16_t)((p[0] << 8) | p[1]); }
static inline uint32_t tc_get32(const uint8_t *p) { return ((uint32_t)tc_get16(p) << 16) | tc_get16(p + 2); }
static inline uint64_t tc_get64(const uint8_t *p) { return ((uint64_t)tc_get32(p) << 32) | tc_get32(p + 4); }

/* A piece of a message: hashes and HMAC take a list of pieces, so that a message need not be copied
 * into one buffer first. */
struct tc_part {
  const void *data;
  size_t len;
};

#define TC_EXPIRY_MAX INT64_C(999999999999999) /* 15 digits */

/* --- digest.c ---------------------------------------------------------------------------- */

enum tc_digest_id { TC_MD5, TC_SHA1, TC_SHA256, TC_SHA384, TC_SHA512, TC_DIGESTS };

#define TC_DIGEST_MAX 64
#define TC_BLOCK_MAX 128

struct tc_digest {
  EVP_MD *md;
  EVP_MD_CTX *ctx; /* initialized for md */
  size_t size;
  size_t block;
};

/* False: OpenSSL does not have the digest, or memory is short; d is then closed. */
bool tc_digest_open(struct tc_digest *d, enum tc_digest_id id);
void tc_digest_close(struct tc_digest *d);

/* --- hash.c ------------------------------------------------------------------------------ */

/* Both functions: ws may be NULL, then a digest is opened for the call; out has room for the
 * digest's size, which *out_len becomes unless out_len is NULL. False: OpenSSL failed. */
bool tc_hash(struct turncred_ws *ws, enum tc_digest_id id, const struct tc_part *parts, size_t n, uint8_t *out,
             size_t *out_len);
/* The same; false also if key is longer than the digest's block, which turncred_key_init allows no key to be. */
bool tc_hmac(struct turncred_ws *ws, enum tc_digest_id id, const uint8_t *key, size_t key_len,
             const struct tc_part *parts, size_t n, uint8_t *out, size_t *out_len);

/* --- ws.c -------------------------------------------------------------------------------- */

struct tc_digest *tc_ws_digest(struct turncred_ws *ws, enum tc_digest_id id);
/* The context of this key's slot, keyed for the key and the direction. NULL: OpenSSL failed. */
EVP_CIPHER_CTX *tc_ws_cipher(struct turncred_ws *ws, const struct turncred_key *key, bool encrypt);

/* The subkey that sealed rows needed last: most rows that a store loads need the same one. */
struct tc_subkey {
  uint8_t kek[TURNCRED_KEK];
  uint8_t info[512];
  size_t info_len; /* 0: none yet */
  uint8_t subkey[32];
};
struct tc_subkey *tc_ws_subkey(struct turncred_ws *ws);
/* The AES-256-GCM context that opens sealed credentials, keyed. NULL: OpenSSL failed. */
EVP_CIPHER_CTX *tc_ws_credential_cipher(struct turncred_ws *ws, const uint8_t key[32]);
/* The context of AES-256 key wrap with padding; the caller keys it. */
EVP_CIPHER_CTX *tc_ws_wrap_cipher(struct turncred_ws *ws);

/* --- hkdf.c ------------------------------------------------------------------------------ */

/* HKDF of RFC 5869 with an empty salt; the info is the n parts one after the other. out_len is at
 * most 32 octets. ws may be NULL. False: OpenSSL failed, or an argument is too large. */
bool tc_hkdf_sha256(struct turncred_ws *ws, const uint8_t *k, size_t k_len, const struct tc_part *info, size_t n,
                    uint8_t *out, size_t out_len);

/* --- aead.c ------------------------------------------------------------------------------ */

#define TC_GCM_NONCE 12
#define TC_GCM_TAG 16
#define TC_CBC_IV 16
#define TC_CBC_TAG 32 /* RFC 7518 5.2.5: half of HMAC-SHA-512 */

struct tc_aead {
  struct turncred_ws *ws;
  const struct turncred_key *key;
  const uint8_t *nonce;
  size_t nonce_len;
  const uint8_t *aad;
  size_t aad_len;
};

size_t tc_aead_sealed_len(enum turncred_alg alg, size_t plain_len);
bool tc_aead_nonce_ok(const struct turncred_key *key, size_t nonce_len);
/* out has room for tc_aead_sealed_len octets. */
bool tc_aead_seal(const struct tc_aead *a, const uint8_t *plain, size_t plain_len, uint8_t *out);
/* out has room for in_len octets. TURNCRED_BAD_TOKEN: the input is not authentic. TURNCRED_CRYPTO: OpenSSL failed,
 * which says nothing of the input. */
enum turncred_err tc_aead_open(const struct tc_aead *a, const uint8_t *in, size_t in_len, uint8_t *out,
                               size_t *out_len);

/* --- base64.c ---------------------------------------------------------------------------- */

/* Encodes as RFC 4648 section 5 says, without padding; out has room for the result and a NUL. */
void tc_base64url(const uint8_t *in, size_t len, char *out);

/* --- wrap.c ------------------------------------------------------------------------------ */

/* turncred_unwrap with a workspace; ws may be NULL. */
enum turncred_err tc_unwrap(struct turncred_ws *ws, const uint8_t kek[TURNCRED_KEK], const uint8_t *in, size_t in_len,
                            uint8_t *out, size_t cap, size_t *out_len);

/* --- seal.c ------------------------------------------------------------------------------ */

#define TC_FIELDS_MAX 8

/* A label and fields, each field with its length in two octets before it, so that two different
 * lists never give the same octets. */
struct tc_fields {
  struct tc_part part[2 * TC_FIELDS_MAX + 1];
  uint8_t len[TC_FIELDS_MAX][2];
  size_t parts;
  size_t fields;
};

void tc_fields_begin(struct tc_fields *f, const void *label, size_t label_len);
/* False: data is NULL or longer than 65535 octets, or the list is full. */
bool tc_fields_add(struct tc_fields *f, const void *data, size_t len);
bool tc_fields_string(struct tc_fields *f, const char *s);

#endif
