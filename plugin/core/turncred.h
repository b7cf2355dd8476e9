/*
 * turncred.h - libturncred: formats of short-lived TURN credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * All functions are pure: no I/O, no clock, no globals, no locks. The caller brings the time, the
 * randomness and the memory. Each encoding function stands beside the one that decodes its result.
 *
 * Conventions
 *   - Functions that can fail return enum turncred_err; TURNCRED_OK is 0. On failure, results are
 *     left as they were, or are cleansed where they could hold secrets.
 *   - Lengths are octets, times are UTC seconds in 64 bits. Strings are NUL-terminated octets.
 *   - Secrets are compared in constant time and cleansed after use.
 *   - A struct turncred_ws holds OpenSSL contexts, and each thread makes one once. Functions that are
 *     given one allocate nothing. Except for turncred_token_encode and turncred_token_decode ws may
 *     be NULL; OpenSSL then allocates contexts for the call.
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

#define TURNCRED_KEY_MAX 128          /* octets of a key K: a block of SHA-512; most keys have 16 to 64 */
#define TURNCRED_SECRET_MAX 1024      /* octets of a REST secret, which becomes a K: turncred_rest_secret */
#define TURNCRED_MAC_KEY_MAX 32       /* octets of a session key inside a token (20 or 32) */
#define TURNCRED_TOKEN_MAX 160        /* octets of the longest token */
#define TURNCRED_TOKEN_BASE64_MAX 217 /* with the NUL */
#define TURNCRED_SERVER_NAME_MAX 255  /* octets, without the NUL */
#define TURNCRED_REALM_MAX 127        /* octets, without the NUL */
#define TURNCRED_USER_ID_MAX 492      /* octets, without the NUL */
#define TURNCRED_USERNAME_MAX 508     /* octets, without the NUL (RFC 8489 14.3) */
#define TURNCRED_PASSWORD_MAX 89      /* with the NUL: base64 of SHA-512, the longest password */
#define TURNCRED_LONG_TERM_MD5 16
#define TURNCRED_LONG_TERM_SHA256 32
#define TURNCRED_SKEW 5                /* seconds: Delta of RFC 7635 section 7 */
#define TURNCRED_AHEAD_SLACK 300       /* seconds a derived expiry may lie beyond max_ttl */
#define TURNCRED_SUBJECT_TAG 4         /* octets */
#define TURNCRED_TAG_KID "subject-tag" /* kid of the key with TURNCRED_USE_TAG: a realm has one at most */

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
  TURNCRED_BAD_ARGUMENT, /* the caller's mistake: NULL or too long */
  TURNCRED_NO_SPACE,     /* the caller's buffer is too small */
  TURNCRED_UNSEAL,       /* sealed data does not open under this key for this row */
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
  TURNCRED_USE_TAG /* only issuers hold it: it makes subject tags, and verifies nothing */
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
  TURNCRED_TIMESTAMP_USER_ID,     /* timestamp:user-id */
  TURNCRED_EITHER_ORDER           /* rest: one secret signs both orders, see turncred_rest_parse */
};

/* Names as in the database and on the command line: "token", "A256GCM", "hkdf-sha256",
 * "user-id:timestamp", "either", "sha1". *_parse returns TURNCRED_BAD_ALGORITHM for any other text; *_name
 * never returns NULL. */
const char *turncred_use_name(enum turncred_use use);
enum turncred_err turncred_use_parse(const char *name, enum turncred_use *use);
const char *turncred_alg_name(enum turncred_alg alg);
enum turncred_err turncred_alg_parse(const char *name, enum turncred_alg *alg);
const char *turncred_derivation_name(enum turncred_derivation derivation);
enum turncred_err turncred_derivation_parse(const char *name, enum turncred_derivation *derivation);
const char *turncred_username_format_name(enum turncred_username_format format);
enum turncred_err turncred_username_format_parse(const char *name, enum turncred_username_format *format);

/* --- keys ------------------------------------------------------------------------------- */

/* A key that is ready for use: its length has been checked, its derivation done. It is plain data
 * that may be copied and embedded; turncred_key_clear cleanses it. */
struct turncred_key {
  enum turncred_use use;
  enum turncred_alg alg;
  enum turncred_derivation derivation;
  uint8_t enc[32];   /* AS-RS key */
  uint8_t auth[128]; /* AUTH key of CBC-HS512; K itself of derived, rest and tag */
  uint16_t enc_len;
  uint16_t auth_len;
  uint8_t allow_zero_iv; /* RFC 7635's literal CBC form is accepted (nonce_length 0) */
  uint32_t slot;         /* the slot of a workspace that keeps this key's context: a hash of the key */
};

/* The octets that K must have. 0: the combination does not exist, or (rest) K may have any length
 * from 1 to TURNCRED_SECRET_MAX. */
size_t turncred_key_length(enum turncred_use use, enum turncred_alg alg, enum turncred_derivation derivation);
/* Makes a key from the k_len shared octets K, which are neither padded nor truncated. A long REST secret
 * is hashed first, as turncred_rest_secret does. TURNCRED_BAD_KEY: K has the wrong length. TURNCRED_BAD_ALGORITHM: the
 * combination does not exist. */
enum turncred_err turncred_key_init(struct turncred_key *key, enum turncred_use use, enum turncred_alg alg,
                                    enum turncred_derivation derivation, const uint8_t *k, size_t k_len);
void turncred_key_clear(struct turncred_key *key);

/* --- workspace -------------------------------------------------------------------------- */

/* OpenSSL contexts of one thread. For each token algorithm the contexts of the slots keys used last
 * stay keyed. */
struct turncred_ws;
/* slots: 1 to 4096. NULL: out of memory, or OpenSSL lacks a cipher or digest. */
struct turncred_ws *turncred_ws_new(size_t slots);
void turncred_ws_free(struct turncred_ws *ws); /* cleanses what it frees; ws may be NULL */

/* --- token: RFC 7635 6.2 ---------------------------------------------------------------- */

struct turncred_token {
  uint8_t mac_key[TURNCRED_MAC_KEY_MAX];
  uint16_t mac_key_len; /* 20 or 32 */
  uint64_t timestamp;   /* 48.16 fixed point seconds */
  uint32_t lifetime;    /* seconds */
};

/* Encrypts a token for the server server_name, whose octets without the NUL are the AAD. nonce has 12
 * octets for GCM, 16 (or none) for CBC. out has room for cap octets. */
enum turncred_err turncred_token_encode(struct turncred_ws *ws, const struct turncred_key *key, const char *server_name,
                                        const uint8_t *nonce, size_t nonce_len, const struct turncred_token *token,
                                        uint8_t *out, size_t cap, size_t *out_len);
/* Decrypts a token and checks the lengths in it, but no time. TURNCRED_BAD_TOKEN: the token is not
 * authentic, or malformed. */
enum turncred_err turncred_token_decode(struct turncred_ws *ws, const struct turncred_key *key, const char *server_name,
                                        const uint8_t *in, size_t in_len, struct turncred_token *token);
/* RFC 7635 section 7: lifetime + 5 > |now - timestamp|, in 64 bits with the fraction; lifetime 0
 * and lifetime > max_ttl are refused. *deadline = timestamp + lifetime + 5 in whole seconds, rounded
 * down. *deadline may equal now: the token then lives for a fraction of a second yet, and a caller
 * that grants whole seconds refuses it. */
enum turncred_err turncred_token_check_time(const struct turncred_token *token, int64_t now, uint32_t max_ttl,
                                            int64_t *deadline);
/* The key of MESSAGE-INTEGRITY: a mac_key of 20 octets itself, or SHA-1 of one of 32 (RFC 7635
 * appendix B). */
enum turncred_err turncred_token_hmac_sha1_key(struct turncred_ws *ws, const struct turncred_token *token,
                                               uint8_t key[20]);
void turncred_token_clear(struct turncred_token *token);

/* The tag of a subject: the first 4 octets of HMAC-SHA256(subkey, subject), where the subkey is
 * HKDF-SHA256(tag key, info = "turncred-subject-tag-v1"). Issuers put the tag in place of the first 4
 * octets of an otherwise random mac_key. The tag key is the realm's key with TURNCRED_USE_TAG (32
 * octets) and not the K that encrypts tokens: it outlives rotations, so that a subject keeps its tag
 * under the next kid. Servers do not need the tag key: they compare tags. */
enum turncred_err turncred_subject_tag(const uint8_t *tag_key, size_t tag_key_len, const char *subject,
                                       uint8_t tag[TURNCRED_SUBJECT_TAG]);
/* The name of a token in logs and revocations: the first 16 octets of SHA-256 of the raw token, in
 * hex with a NUL. */
enum turncred_err turncred_token_fingerprint(struct turncred_ws *ws, const uint8_t *in, size_t in_len, char hex[33]);

/* --- usernames with a time in them ------------------------------------------------------ */

struct turncred_username {
  const char *user_id; /* points into the parsed string; not NUL-terminated */
  size_t user_id_len;
  int64_t expiry;
};

/* Splits user-id ":" expiry at the last colon or, for TURNCRED_TIMESTAMP_USER_ID, expiry ":" user-id
 * at the first. The expiry has 1 to 15 digits without leading zero; the user id has 1 to 492 octets
 * that turncred_username_coturn_accepts. TURNCRED_BAD_USERNAME: the username has another form. */
enum turncred_err turncred_username_parse(const char *username, size_t len, enum turncred_username_format format,
                                          struct turncred_username *out);
/* Makes such a username in out; cap includes the NUL. TURNCRED_BAD_USERNAME: turncred_username_parse
 * would refuse the user id. */
enum turncred_err turncred_username_format(const char *user_id, int64_t expiry, enum turncred_username_format format,
                                           char *out, size_t cap);
/* 1: coturn accepts these octets as a USERNAME. 0: it refuses them, so a credential with this name
 * could never be used. The rule is that of coturn's is_secure_string(): no blank, tab, line feed,
 * carriage return, quote, double quote, backslash or NUL, and not both "union" and "select". */
int turncred_username_coturn_accepts(const char *s, size_t len);
/* TURNCRED_EXPIRED if expiry <= now; TURNCRED_TOO_FAR_AHEAD if expiry > now + max_ttl + slack. */
enum turncred_err turncred_expiry_check(int64_t expiry, int64_t now, uint32_t max_ttl);

/* --- derived: TS 33.203 X.5, signalling, approach 1 ------------------------------------- */

/* The password: base64url without padding of HMAC-SHA-256(K, "turncred-derived-v1" 00 | u16 len user-id | user-id
 * | u16 len realm | realm | u64 expiry). 43 characters and the NUL. */
enum turncred_err turncred_derived_password(struct turncred_ws *ws, const struct turncred_key *key, const char *user_id,
                                            size_t user_id_len, const char *realm, int64_t expiry,
                                            char password[TURNCRED_PASSWORD_MAX]);
/* The long-term key MD5(username:realm:password) of a USERNAME; parsed is what
 * turncred_username_parse made of it. */
enum turncred_err turncred_derived_key(struct turncred_ws *ws, const struct turncred_key *key, const char *username,
                                       size_t username_len, const struct turncred_username *parsed, const char *realm,
                                       uint8_t md5[TURNCRED_LONG_TERM_MD5]);

/* --- rest: the TURN REST API draft ------------------------------------------------------ */

/* How the usernames under a REST key are written. */
struct turncred_rest_form {
  enum turncred_username_format order;
  char separator; /* between time and user id: ':', or what rest-api-separator of coturn says */
};
/* 1: c can stand between a time and a user id: a visible ASCII character, no letter, digit, sign, quote or
 * backslash. */
int turncred_rest_separator_ok(char c);
/* Reads a REST username as coturn does, so that whoever is let in there is let in here:
 *   timestamp:user-id  at the first separator; before it are digits alone
 *   user-id:timestamp  at the last separator; behind it is the time
 *   either             exactly one of the two is there (a time is a number of 1000000000 or more) and the other side
 *                      is not all digits: else a user id would become an expiry
 * A time alone is taken in every order, as are leading zeros and what atol() leaves unread behind a number
 * that no separator follows. Where there is no user id, or an empty one, the whole username is the user id. The
 * time is a number of 1 to 999999999999999. TURNCRED_BAD_USERNAME: the username has another form.
 * TURNCRED_BAD_ARGUMENT: the form is none. */
enum turncred_err turncred_rest_parse(const char *username, size_t len, const struct turncred_rest_form *form,
                                      struct turncred_username *out);
/* Makes such a username in out; cap includes the NUL. user_id "": the time alone. For either order the time comes
 * first. TURNCRED_BAD_USERNAME: turncred_rest_parse would read another user id or time. */
enum turncred_err turncred_rest_format(const char *user_id, int64_t expiry, const struct turncred_rest_form *form,
                                       char *out, size_t cap);
/* The K that stands for a secret of 1 to TURNCRED_SECRET_MAX octets: the secret itself or, where it is longer than the
 * hash's block (64 octets of SHA-1 and SHA-256, else 128), its hash, as HMAC does (RFC 2104 section 2).
 * TURNCRED_BAD_KEY: the secret is empty or longer. */
enum turncred_err turncred_rest_secret(enum turncred_alg alg, const uint8_t *secret, size_t len,
                                       uint8_t k[TURNCRED_KEY_MAX], size_t *k_len);
/* The password base64(HMAC(K, USERNAME)) with the hash that key->alg names, and its long-term key. */
enum turncred_err turncred_rest_password(struct turncred_ws *ws, const struct turncred_key *key, const char *username,
                                         size_t username_len, char password[TURNCRED_PASSWORD_MAX]);
enum turncred_err turncred_rest_key(struct turncred_ws *ws, const struct turncred_key *key, const char *username,
                                    size_t username_len, const char *realm, uint8_t md5[TURNCRED_LONG_TERM_MD5]);

/* --- long-term keys: RFC 8489 9.2.2 and 18.5.1 ------------------------------------------ */

enum turncred_err turncred_long_term_md5(struct turncred_ws *ws, const char *username, size_t username_len,
                                         const char *realm, const char *password, uint8_t key[TURNCRED_LONG_TERM_MD5]);
enum turncred_err turncred_long_term_sha256(struct turncred_ws *ws, const char *username, size_t username_len,
                                            const char *realm, const char *password,
                                            uint8_t key[TURNCRED_LONG_TERM_SHA256]);

/* --- sealing at rest -------------------------------------------------------------------- */

#define TURNCRED_KEK 32                             /* octets of a key encryption key */
#define TURNCRED_WRAPPED_MAX (TURNCRED_KEY_MAX + 8) /* RFC 5649: up to a multiple of 8, plus 8 */

/* AES-256 key wrap with padding (RFC 5649). */
enum turncred_err turncred_wrap(const uint8_t kek[TURNCRED_KEK], const uint8_t *key, size_t key_len, uint8_t *out,
                                size_t cap, size_t *out_len);
enum turncred_err turncred_unwrap(const uint8_t kek[TURNCRED_KEK], const uint8_t *in, size_t in_len, uint8_t *out,
                                  size_t cap, size_t *out_len);

/* The row to which a sealed key is bound; no member may be NULL. */
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
enum turncred_err turncred_key_seal(const uint8_t kek[TURNCRED_KEK], const struct turncred_key_row *row,
                                    const uint8_t *k, size_t k_len, uint8_t *out, size_t cap, size_t *out_len);
/* TURNCRED_UNSEAL: in was not sealed with this kek for this row, or was changed since. */
enum turncred_err turncred_key_unseal(struct turncred_ws *ws, const uint8_t kek[TURNCRED_KEK],
                                      const struct turncred_key_row *row, const uint8_t *in, size_t in_len,
                                      uint8_t *out, size_t cap, size_t *out_len);

/* Pushed credentials are sealed because their long-term keys are as good as passwords. AES-256-GCM under
 * HKDF-SHA256(kek, empty salt, info = "turncred-credential-v1" | kek_id | realm, 32 octets), AAD = realm | username |
 * u64 expiry | client address ("" if none) and, where it is given, | user id, each field with its length in two octets
 * in front. Plaintext: MD5 key (16) | SHA-256 key (32). Sealed: nonce (12) | ciphertext (48) | tag (16). */
#define TURNCRED_CREDENTIAL_PLAIN 48
#define TURNCRED_CREDENTIAL_SEALED 76
struct turncred_credential_row {
  const char *kek_id;
  const char *realm;
  const char *username;
  int64_t expiry; /* 0: none */
  const char *client_address;
  const char *user_id; /* whose it is; NULL: the username is the user id */
};
enum turncred_err turncred_credential_seal(const uint8_t kek[TURNCRED_KEK], const struct turncred_credential_row *row,
                                           const uint8_t nonce[12], const uint8_t plain[TURNCRED_CREDENTIAL_PLAIN],
                                           uint8_t sealed[TURNCRED_CREDENTIAL_SEALED]);
enum turncred_err turncred_credential_unseal(struct turncred_ws *ws, const uint8_t kek[TURNCRED_KEK],
                                             const struct turncred_credential_row *row, const uint8_t *sealed,
                                             size_t sealed_len, uint8_t plain[TURNCRED_CREDENTIAL_PLAIN]);

/* --- small tools that credentials need -------------------------------------------------- */

/* Standard base64 with padding; cap of the encoding includes the NUL. Decoding is strict: it refuses
 * blanks, missing padding, and bits behind the data that no encoder sets. */
enum turncred_err turncred_base64_encode(const uint8_t *in, size_t len, char *out, size_t cap);
enum turncred_err turncred_base64_decode(const char *in, size_t in_len, uint8_t *out, size_t cap, size_t *out_len);
enum turncred_err turncred_hex_encode(const uint8_t *in, size_t len, char *out, size_t cap);
enum turncred_err turncred_hex_decode(const char *in, size_t in_len, uint8_t *out, size_t cap, size_t *out_len);
enum turncred_err turncred_sha256(struct turncred_ws *ws, const uint8_t *in, size_t len, uint8_t digest[32]);
/* Overwrites n octets with zeros; p may be NULL. */
void turncred_cleanse(void *p, size_t n);

#ifdef __cplusplus
}
#endif

#if defined(TURNCRED_SHARED) && defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif /* TURNCRED_H */
