/*
 * turncred.h - libturncred: formats of short-lived TURN credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Pure functions: no I/O, no clock, no globals, no locks. Whoever calls brings the time, the
 * randomness and the memory. Encode and decode stand side by side and mirror each other.
 *
 * Conventions
 *   - Functions that can fail return enum turncred_err; TURNCRED_OK is 0. On failure, results are
 *     not touched, or are cleansed where they could hold secrets.
 *   - Lengths are octets, times are UTC seconds in 64 bits. Strings are NUL-terminated octets.
 *   - Secrets are compared in constant time and cleansed after use.
 *   - The verify path (turncred_token_decode, turncred_derived_key, turncred_rest_key) allocates
 *     nothing: it works in a struct turncred_ws that each thread makes once.
 */
#ifndef TURNCRED_H
#define TURNCRED_H

#include <stddef.h>
#include <stdint.h>

/* While the shared library itself is built, everything declared here is exported. */
#if defined(TURNCRED_SHARED) && defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TURNCRED_KEY_MAX          64  /* octets of a key K */
#define TURNCRED_MAC_KEY_MAX      32  /* octets of a session key inside a token (20 or 32) */
#define TURNCRED_TOKEN_MAX        160 /* octets of any token we make */
#define TURNCRED_TOKEN_BASE64_MAX 217 /* with the NUL */
#define TURNCRED_SERVER_NAME_MAX  255 /* octets, without the NUL */
#define TURNCRED_REALM_MAX        127 /* octets, without the NUL */
#define TURNCRED_USER_ID_MAX      492 /* octets, without the NUL */
#define TURNCRED_USERNAME_MAX     508 /* octets, without the NUL (RFC 8489 14.3) */
#define TURNCRED_PASSWORD_MAX     89  /* with the NUL: base64 of SHA-512, the longest we make */
#define TURNCRED_LONG_TERM_MD5    16
#define TURNCRED_LONG_TERM_SHA256 32
#define TURNCRED_SKEW             5   /* seconds: Delta of RFC 7635 section 7 */
#define TURNCRED_AHEAD_SLACK      300 /* seconds a derived expiry may lie beyond max_ttl */
#define TURNCRED_SUBJECT_TAG      4   /* octets */
#define TURNCRED_TAG_KID          "subject-tag" /* kid of a realm's only key with TURNCRED_USE_TAG */

enum turncred_err {
  TURNCRED_OK = 0,
  TURNCRED_EXPIRED,
  TURNCRED_NOT_YET_VALID,
  TURNCRED_BAD_TOKEN,        /* does not decrypt, or has wrong lengths inside */
  TURNCRED_BAD_USERNAME,     /* not user-id ":" expiry, or octets that coturn refuses */
  TURNCRED_LIFETIME_REFUSED, /* 0, or above max_ttl */
  TURNCRED_TOO_FAR_AHEAD,    /* expiry beyond max_ttl plus TURNCRED_AHEAD_SLACK */
  TURNCRED_BAD_KEY,          /* wrong length for its algorithm and derivation */
  TURNCRED_BAD_ALGORITHM,
  TURNCRED_BAD_ARGUMENT, /* the caller's mistake: NULL, too long */
  TURNCRED_NO_SPACE,     /* the buffer is too small */
  TURNCRED_UNSEAL,       /* wrapped data does not open under this key and context */
  TURNCRED_NO_MEMORY,
  TURNCRED_CRYPTO /* OpenSSL failed */
};

/* "expired", "bad_token", ... Never NULL. */
const char *turncred_err_name(enum turncred_err err);
/* One sentence for people, with a remedy. Never NULL. */
const char *turncred_err_text(enum turncred_err err);

enum turncred_use {
  TURNCRED_USE_TOKEN = 1,
  TURNCRED_USE_DERIVED,
  TURNCRED_USE_REST,
  TURNCRED_USE_TAG /* issuers only: names the subject inside tokens; verifies nothing */
};

enum turncred_alg {
  TURNCRED_ALG_NONE = 0,
  TURNCRED_A256GCM,       /* K: 32 octets */
  TURNCRED_A128GCM,       /* K: 16 octets */
  TURNCRED_A256CBC_HS512, /* K: 64 octets, first half AUTH key, second half AS-RS key */
  TURNCRED_HMAC_SHA1,     /* rest: hash of the password */
  TURNCRED_HMAC_SHA256,   /* derived and tag (always), rest */
  TURNCRED_HMAC_SHA384,
  TURNCRED_HMAC_SHA512
};

enum turncred_derivation { TURNCRED_DERIVATION_NONE = 0, TURNCRED_DERIVATION_HKDF_SHA256 };

enum turncred_username_format {
  TURNCRED_USER_ID_TIMESTAMP = 0, /* user-id:timestamp */
  TURNCRED_TIMESTAMP_USER_ID      /* timestamp:user-id */
};

/* Names as in the database and on the command line: "token", "A256GCM", "hkdf-sha256",
 * "user-id:timestamp", "sha1". *_parse returns TURNCRED_BAD_ALGORITHM for others; *_name never
 * NULL. */
const char *turncred_use_name(enum turncred_use use);
enum turncred_err turncred_use_parse(const char *name, enum turncred_use *use);
const char *turncred_alg_name(enum turncred_alg alg);
enum turncred_err turncred_alg_parse(const char *name, enum turncred_alg *alg);
const char *turncred_derivation_name(enum turncred_derivation derivation);
enum turncred_err turncred_derivation_parse(const char *name, enum turncred_derivation *derivation);
const char *turncred_username_format_name(enum turncred_username_format format);
enum turncred_err turncred_username_format_parse(const char *name,
                                                 enum turncred_username_format *format);

/* --- keys ------------------------------------------------------------------------------- */

/* A key ready for use: lengths checked, derivation done. Plain data: copy it, embed it; cleanse it
 * with turncred_key_clear. */
struct turncred_key {
  enum turncred_use use;
  enum turncred_alg alg;
  enum turncred_derivation derivation;
  uint8_t enc[32];  /* AS-RS key */
  uint8_t auth[64]; /* AUTH key of CBC-HS512; K itself of derived, rest and tag */
  uint16_t enc_len;
  uint16_t auth_len;
  uint8_t allow_zero_iv; /* RFC 7635's literal CBC form is accepted (nonce_length 0) */
  uint32_t slot;         /* which slot of a workspace keeps its context; from a hash of the key */
};

/* Octets that K must have, or 0 if the combination does not exist. rest: 0, any length 1 to 64. */
size_t turncred_key_length(enum turncred_use use, enum turncred_alg alg,
                           enum turncred_derivation derivation);
/* TURNCRED_BAD_KEY, TURNCRED_BAD_ALGORITHM. Nothing is padded or truncated. */
enum turncred_err turncred_key_init(struct turncred_key *key, enum turncred_use use,
                                    enum turncred_alg alg, enum turncred_derivation derivation,
                                    const uint8_t *k, size_t k_len);
void turncred_key_clear(struct turncred_key *key);

/* --- workspace -------------------------------------------------------------------------- */

/* OpenSSL contexts of one thread, kept keyed for the keys used last (slots of them). */
struct turncred_ws;
struct turncred_ws *turncred_ws_new(size_t slots); /* NULL: no memory, or OpenSSL lacks a cipher or
                                                     digest */
void turncred_ws_free(struct turncred_ws *ws);     /* cleanses; NULL is fine */

/* --- token: RFC 7635 6.2 ---------------------------------------------------------------- */

struct turncred_token {
  uint8_t mac_key[TURNCRED_MAC_KEY_MAX];
  uint16_t mac_key_len; /* 20 or 32 */
  uint64_t timestamp;   /* 48.16 fixed point seconds */
  uint32_t lifetime;    /* seconds */
};

/* nonce: 12 octets for GCM, 16 (or none) for CBC. server_name is the AAD, without NUL.
 * out has room for cap octets. */
enum turncred_err turncred_token_encode(struct turncred_ws *ws, const struct turncred_key *key,
                                        const char *server_name, const uint8_t *nonce,
                                        size_t nonce_len, const struct turncred_token *token,
                                        uint8_t *out, size_t cap, size_t *out_len);
/* Decrypts and checks lengths, not times. TURNCRED_BAD_TOKEN for whatever is wrong with it. */
enum turncred_err turncred_token_decode(struct turncred_ws *ws, const struct turncred_key *key,
                                        const char *server_name, const uint8_t *in, size_t in_len,
                                        struct turncred_token *token);
/* RFC 7635 section 7: lifetime + 5 > |now - timestamp|, in 64 bits with the fraction; lifetime 0
 * and lifetime > max_ttl are refused. *deadline = timestamp + lifetime + 5 (whole seconds, cut). It
 * may equal now, when only a fraction of a second is left: whoever grants whole seconds refuses. */
enum turncred_err turncred_token_check_time(const struct turncred_token *token, int64_t now,
                                            uint32_t max_ttl, int64_t *deadline);
/* HMAC-SHA1 key of MESSAGE-INTEGRITY: mac_key as it is (20), or SHA1(mac_key) (32, appendix B). */
enum turncred_err turncred_token_hmac_sha1_key(const struct turncred_token *token, uint8_t key[20]);
/* The same without allocation. */
enum turncred_err turncred_token_hmac_sha1_key_ws(struct turncred_ws *ws,
                                                  const struct turncred_token *token,
                                                  uint8_t key[20]);
void turncred_token_clear(struct turncred_token *token);

/* First 4 octets of HMAC-SHA256(subkey of the tag key "turncred-subject-tag-v1", subject). Issuers
 * put it in front of an otherwise random mac_key. The tag key is the realm's (TURNCRED_USE_TAG, 32
 * octets), not the token's K: it outlives rotations, so that a subject keeps its tag under the next
 * kid. Servers never need it: they compare tags. */
enum turncred_err turncred_subject_tag(const uint8_t *tag_key, size_t tag_key_len,
                                       const char *subject, uint8_t tag[TURNCRED_SUBJECT_TAG]);
/* SHA-256 of the raw token, first 16 octets in hex with the NUL: the name of a token in logs. */
enum turncred_err turncred_token_fingerprint(const uint8_t *in, size_t in_len, char hex[33]);
/* The same without allocation. */
enum turncred_err turncred_token_fingerprint_ws(struct turncred_ws *ws, const uint8_t *in,
                                                size_t in_len, char hex[33]);

/* --- usernames with a time in them ------------------------------------------------------ */

struct turncred_username {
  const char *user_id; /* points into the parsed string; not NUL-terminated */
  size_t user_id_len;
  int64_t expiry;
};

/* user-id ":" expiry, split at the LAST colon; expiry 1 to 15 digits without leading zero;
 * user-id 1 to 492 octets that coturn's is_secure_string accepts. TURNCRED_TIMESTAMP_USER_ID is the
 * other order, split at the first colon. TURNCRED_BAD_USERNAME. */
enum turncred_err turncred_username_parse(const char *username, size_t len,
                                          enum turncred_username_format format,
                                          struct turncred_username *out);
/* Makes one; cap includes the NUL. TURNCRED_BAD_USERNAME for user ids that parse would refuse. */
enum turncred_err turncred_username_format(const char *user_id, int64_t expiry,
                                           enum turncred_username_format format, char *out,
                                           size_t cap);
/* What coturn's is_secure_string accepts in a USERNAME (its user_name argument set). 1 or 0. */
int turncred_username_is_secure(const char *s, size_t len);
/* TURNCRED_EXPIRED if expiry <= now; TURNCRED_TOO_FAR_AHEAD if expiry > now + max_ttl + slack. */
enum turncred_err turncred_expiry_check(int64_t expiry, int64_t now, uint32_t max_ttl);

/* --- derived: TS 33.203 X.5, signalling, approach 1 ------------------------------------- */

/* In derived and rest, ws may be NULL (then OpenSSL allocates). */

/* base64url without padding of HMAC-SHA-256(K, "turncred-derived-v1" 00 | u16 len user-id | user-id
 * | u16 len realm | realm | u64 expiry). 43 characters and the NUL. */
enum turncred_err turncred_derived_password(struct turncred_ws *ws, const struct turncred_key *key,
                                            const char *user_id, size_t user_id_len,
                                            const char *realm, int64_t expiry,
                                            char password[TURNCRED_PASSWORD_MAX]);
/* The long-term key MD5(username:realm:password) of a parsed USERNAME. */
enum turncred_err turncred_derived_key(struct turncred_ws *ws, const struct turncred_key *key,
                                       const char *username, size_t username_len,
                                       const struct turncred_username *parsed, const char *realm,
                                       uint8_t md5[TURNCRED_LONG_TERM_MD5]);

/* --- rest: the TURN REST API draft ------------------------------------------------------ */

/* base64(HMAC(K, USERNAME)), hash by key->alg. */
enum turncred_err turncred_rest_password(struct turncred_ws *ws, const struct turncred_key *key,
                                         const char *username, size_t username_len,
                                         char password[TURNCRED_PASSWORD_MAX]);
enum turncred_err turncred_rest_key(struct turncred_ws *ws, const struct turncred_key *key,
                                    const char *username, size_t username_len, const char *realm,
                                    uint8_t md5[TURNCRED_LONG_TERM_MD5]);

/* --- long-term keys: RFC 8489 9.2.2 and 18.5.1 ------------------------------------------ */

/* ws may be NULL (then OpenSSL allocates). */
enum turncred_err turncred_long_term_md5(struct turncred_ws *ws, const char *username,
                                         size_t username_len, const char *realm,
                                         const char *password, uint8_t key[TURNCRED_LONG_TERM_MD5]);
enum turncred_err turncred_long_term_sha256(struct turncred_ws *ws, const char *username,
                                            size_t username_len, const char *realm,
                                            const char *password,
                                            uint8_t key[TURNCRED_LONG_TERM_SHA256]);

/* --- sealing at rest -------------------------------------------------------------------- */

#define TURNCRED_KEK         32                     /* octets of a key encryption key */
#define TURNCRED_WRAPPED_MAX (TURNCRED_KEY_MAX + 8) /* RFC 5649: up to a multiple of 8, plus 8 */

/* AES-256 key wrap with padding (RFC 5649). */
enum turncred_err turncred_wrap(const uint8_t kek[TURNCRED_KEK], const uint8_t *key, size_t key_len,
                                uint8_t *out, size_t cap, size_t *out_len);
enum turncred_err turncred_unwrap(const uint8_t kek[TURNCRED_KEK], const uint8_t *in, size_t in_len,
                                  uint8_t *out, size_t cap, size_t *out_len);

/* What a wrapped key is bound to; none may be NULL. */
struct turncred_key_row {
  const char *kek_id;
  const char *realm;
  const char *kid;
  enum turncred_use use;
  enum turncred_alg alg;
  enum turncred_derivation derivation;
};
/* Wraps K under HKDF-SHA256(kek, empty salt, info = "turncred-key-v1" | kek_id | realm | kid | use
 * | alg | derivation, 32 octets), so that rows cannot be swapped. Each field has its length in two
 * octets, big endian, in front; use, alg and derivation are their names. */
enum turncred_err turncred_key_seal(const uint8_t kek[TURNCRED_KEK],
                                    const struct turncred_key_row *row, const uint8_t *k,
                                    size_t k_len, uint8_t *out, size_t cap, size_t *out_len);
enum turncred_err turncred_key_unseal(const uint8_t kek[TURNCRED_KEK],
                                      const struct turncred_key_row *row, const uint8_t *in,
                                      size_t in_len, uint8_t *out, size_t cap, size_t *out_len);
/* The same, faster: for loading many rows. ws may be NULL. */
enum turncred_err turncred_key_unseal_ws(struct turncred_ws *ws, const uint8_t kek[TURNCRED_KEK],
                                         const struct turncred_key_row *row, const uint8_t *in,
                                         size_t in_len, uint8_t *out, size_t cap, size_t *out_len);

/* Pushed credentials: long-term keys are as good as passwords. AES-256-GCM under HKDF-SHA256(kek,
 * empty salt, info = "turncred-credential-v1" | kek_id | realm, 32 octets), AAD = realm | username
 * | u64 expiry | client address ("" if none), each field with its length in two octets in front.
 * Plaintext: MD5 key (16) | SHA-256 key (32). Sealed: nonce (12) | ciphertext (48) | tag (16). */
#define TURNCRED_CREDENTIAL_PLAIN  48
#define TURNCRED_CREDENTIAL_SEALED 76
struct turncred_credential_row {
  const char *kek_id;
  const char *realm;
  const char *username;
  int64_t expiry; /* 0: none */
  const char *client_address;
};
enum turncred_err turncred_credential_seal(const uint8_t kek[TURNCRED_KEK],
                                           const struct turncred_credential_row *row,
                                           const uint8_t nonce[12],
                                           const uint8_t plain[TURNCRED_CREDENTIAL_PLAIN],
                                           uint8_t sealed[TURNCRED_CREDENTIAL_SEALED]);
enum turncred_err turncred_credential_unseal(const uint8_t kek[TURNCRED_KEK],
                                             const struct turncred_credential_row *row,
                                             const uint8_t *sealed, size_t sealed_len,
                                             uint8_t plain[TURNCRED_CREDENTIAL_PLAIN]);
/* The same, faster: for loading many rows. ws may be NULL. */
enum turncred_err turncred_credential_unseal_ws(struct turncred_ws *ws,
                                                const uint8_t kek[TURNCRED_KEK],
                                                const struct turncred_credential_row *row,
                                                const uint8_t *sealed, size_t sealed_len,
                                                uint8_t plain[TURNCRED_CREDENTIAL_PLAIN]);

/* --- small tools that credentials need -------------------------------------------------- */

/* Standard base64 with padding; cap includes the NUL. Decoding is strict: no blanks, no missing
 * padding, no trailing bits. */
enum turncred_err turncred_base64_encode(const uint8_t *in, size_t len, char *out, size_t cap);
enum turncred_err turncred_base64_decode(const char *in, size_t in_len, uint8_t *out, size_t cap,
                                         size_t *out_len);
enum turncred_err turncred_hex_encode(const uint8_t *in, size_t len, char *out, size_t cap);
enum turncred_err turncred_hex_decode(const char *in, size_t in_len, uint8_t *out, size_t cap,
                                      size_t *out_len);
/* Allocates nothing unless ws is NULL. */
enum turncred_err turncred_sha256(struct turncred_ws *ws, const uint8_t *in, size_t len,
                                  uint8_t digest[32]);
void turncred_cleanse(void *p, size_t n);

#ifdef __cplusplus
}
#endif

#if defined(TURNCRED_SHARED) && defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif /* TURNCRED_H */
