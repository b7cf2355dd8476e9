/*
 * keyring.h - rows of turncred.key with their octets: unsealed when read, sealed when added
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CTL_KEYRING_H
#define TURNCRED_CTL_KEYRING_H

#include "base/kek.h"
#include "core/turncred.h"
#include "issuing/tag_key.h"
#include "sql.h"

/* A row of turncred.key with its octets; the caller cleanses it with keyring_clear(). */
struct stored_key {
  char realm[TURNCRED_REALM_MAX + 1];
  char kid[TURNCRED_USERNAME_MAX + 1];
  char kek_id[KEK_ID_MAX + 1]; /* "": the row is plain */
  char state[16];
  enum turncred_use use;
  enum turncred_alg alg;
  enum turncred_derivation derivation;
  struct turncred_rest_form form; /* rest; of others the order user-id:timestamp */
  bool subject_tag, allow_zero_iv;
  bool imported; /* whoever made it elsewhere goes on signing with it */
  struct ctl_limits limits;
  uint8_t k[TURNCRED_KEY_MAX];
  size_t k_len; /* 0: no key of the ring opens the row */
};

/* Times of a row of turncred.key in UTC seconds; 0: open. */
struct key_window {
  int64_t not_before, sign_until, accept_until;
};

/* Cleanses *key. */
void keyring_clear(struct stored_key *key);

/* Loads the key encryption keys that --kek, TURNCRED_KEK or the configuration file names; CTL_USAGE
 * with a message if nothing names them. The caller frees *ring. */
enum ctl_exit keyring_load(struct ctl *ctl, struct kek_ring **ring);
/* The same, but *ring is NULL without a message if nothing names them. */
enum ctl_exit keyring_load_optional(struct ctl *ctl, struct kek_ring **ring);
/* Which key of the ring seals: named, else of_realm, else the ring's only key. named and of_realm
 * may be NULL. */
enum ctl_exit keyring_choose(const struct ctl *ctl, const struct kek_ring *ring, const char *named,
                             const char *of_realm, const char **id);
/* Rows of turncred.key by a condition over k with params ("k.realm = $1"). The caller frees *out
 * after keyring_clear of each. ring may be NULL. */
enum ctl_exit keyring_rows(struct ctl *ctl, const struct kek_ring *ring, const char *condition,
                           const struct pg_params *params, struct stored_key **out, size_t *count);
/* The key with which issuers sign now in this realm, or the key kid if it is not NULL, opened. */
enum ctl_exit keyring_signer(struct ctl *ctl, const char *realm, enum turncred_use use, const char *kid,
                             struct stored_key *key);
/* True if the octets, a secret or a K, stand in coturn's own examples: anybody knows them. */
bool keyring_published(const uint8_t *octets, size_t len);
/* Refuses octets that another key already has for another purpose, in any realm whose keys ring
 * opens. */
enum ctl_exit keyring_refuse_reuse(struct ctl *ctl, const struct kek_ring *ring, const struct stored_key *key);
/* Derived and rest credentials do not name their key: servers try keys_tried of a realm. Refuses this one
 * beside so many others, which would shut out what the oldest one signed. */
enum ctl_exit keyring_refuse_crowd(struct ctl *ctl, const struct stored_key *key);
/* Adds the row, sealed under kek_id, or plain if kek_id is NULL. has_subject_tag: key->subject_tag
 * is given; else the realm decides. */
enum ctl_exit keyring_insert(struct ctl *ctl, const struct kek_ring *ring, const struct stored_key *key,
                             const char *kek_id, const struct key_window *window, bool has_subject_tag);
/* token, derived or rest; TURNCRED_BAD_ALGORITHM for others: the key of subject tags is not made,
 * rotated or issued with by hand. */
enum turncred_err keyring_use_parse(const char *text, enum turncred_use *use);
/* The realm's key of subject tags, made if there is none yet; signer is the key that signs. */
enum ctl_exit keyring_tag_key(struct ctl *ctl, const struct stored_key *signer, uint8_t key[TAG_KEY_OCTETS]);
/* Makes a KID that no key has: the use, the day, random digits. */
enum ctl_exit keyring_new_kid(const struct ctl *ctl, enum turncred_use use, char *out, size_t cap);

#endif
