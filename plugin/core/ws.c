/*
 * ws.c - the workspace of a thread: its digests, and cipher contexts that stay keyed
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Scheduling an AES key costs more than opening a token with it, so the contexts of the keys used
 * last stay keyed. Slots are direct mapped: each key names its slot, and if the slot holds another
 * key, it is keyed again. Everything is allocated when the workspace is made.
 */
#include "core.h"

#include <openssl/err.h>

#define SLOTS_MAX 4096

struct slot {
  EVP_CIPHER_CTX *ctx;
  uint8_t key[32];
  bool keyed;
  bool encrypt;
};

struct turncred_ws {
  struct tc_digest digests[TC_DIGESTS];
  size_t slots;
  struct slot credential;
  EVP_CIPHER_CTX *wrap;
  struct tc_subkey subkey;
  /* slot[row_of(alg)][i]: one row for each algorithm, because OpenSSL allocates when the cipher of a
   * context changes */
  struct slot *slot[3];
};

static const char *const ciphers[3] = {"AES-256-GCM", "AES-128-GCM", "AES-256-CBC"};

static int row_of(enum turncred_alg alg) {
  switch (alg) {
  case TURNCRED_A256GCM:
    return 0;
  case TURNCRED_A128GCM:
    return 1;
  case TURNCRED_A256CBC_HS512:
    return 2;
  default:
    return -1;
  }
}

static bool open_row(struct slot *row, size_t slots, const char *name) {
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
  bool ok = cipher != NULL;
  size_t i;

  for (i = 0; ok && i < slots; i++) {
    row[i].ctx = EVP_CIPHER_CTX_new();
    ok = row[i].ctx != NULL && EVP_DecryptInit_ex2(row[i].ctx, cipher, NULL, NULL, NULL) == 1 &&
         EVP_CIPHER_CTX_set_padding(row[i].ctx, 0) == 1; /* aead.c pads */
  }
  EVP_CIPHER_free(cipher); /* the contexts hold it */
  return ok;
}

static bool open_wrap(struct turncred_ws *ws) {
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
  bool ok = cipher != NULL && (ws->wrap = EVP_CIPHER_CTX_new()) != NULL;

  if (ok) {
    EVP_CIPHER_CTX_set_flags(ws->wrap, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    ok = EVP_DecryptInit_ex2(ws->wrap, cipher, NULL, NULL, NULL) == 1;
  }
  EVP_CIPHER_free(cipher);
  return ok;
}

struct turncred_ws *turncred_ws_new(size_t slots) {
  struct turncred_ws *ws = OPENSSL_zalloc(sizeof(*ws));
  bool ok = ws != NULL;
  size_t i;

  if (!ok) {
    return NULL;
  }
  ERR_set_mark();
  ws->slots = slots < 1 ? 1 : slots > SLOTS_MAX ? SLOTS_MAX : slots;
  for (i = 0; ok && i < TC_DIGESTS; i++) {
    ok = tc_digest_open(&ws->digests[i], (enum tc_digest_id)i);
  }
  ok = ok && open_row(&ws->credential, 1, "AES-256-GCM") && open_wrap(ws);
  for (i = 0; ok && i < TC_COUNT(ws->slot); i++) {
    ws->slot[i] = OPENSSL_zalloc(ws->slots * sizeof(struct slot));
    ok = ws->slot[i] != NULL && open_row(ws->slot[i], ws->slots, ciphers[i]);
  }
  ERR_pop_to_mark();
  if (!ok) {
    turncred_ws_free(ws);
    return NULL;
  }
  return ws;
}

void turncred_ws_free(struct turncred_ws *ws) {
  size_t i;
  size_t j;

  if (ws == NULL) {
    return;
  }
  for (i = 0; i < TC_DIGESTS; i++) {
    tc_digest_close(&ws->digests[i]);
  }
  EVP_CIPHER_CTX_free(ws->credential.ctx);
  EVP_CIPHER_CTX_free(ws->wrap);
  for (i = 0; i < TC_COUNT(ws->slot); i++) {
    for (j = 0; ws->slot[i] != NULL && j < ws->slots; j++) {
      EVP_CIPHER_CTX_free(ws->slot[i][j].ctx);
    }
    OPENSSL_clear_free(ws->slot[i], ws->slots * sizeof(struct slot));
  }
  OPENSSL_clear_free(ws, sizeof(*ws));
}

struct tc_digest *tc_ws_digest(struct turncred_ws *ws, enum tc_digest_id id) { return &ws->digests[id]; }

/* Compares in constant time, word by word: CRYPTO_memcmp, which goes octet by octet, would take a
 * tenth of the time of a verification. */
static bool same_key(const uint8_t a[32], const uint8_t b[32]) {
  uint64_t x[4];
  uint64_t y[4];
  volatile uint64_t difference;

  memcpy(x, a, sizeof(x));
  memcpy(y, b, sizeof(y));
  difference = (x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]);
  return difference == 0;
}

static EVP_CIPHER_CTX *keyed(struct slot *slot, const uint8_t key[32], bool encrypt) {
  if (slot->keyed && slot->encrypt == encrypt && same_key(slot->key, key)) {
    return slot->ctx;
  }
  slot->keyed = false;
  if (EVP_CipherInit_ex2(slot->ctx, NULL, key, NULL, encrypt, NULL) != 1) {
    return NULL;
  }
  memcpy(slot->key, key, sizeof(slot->key));
  slot->encrypt = encrypt;
  slot->keyed = true;
  return slot->ctx;
}

/* key->enc has 32 octets: behind a shorter key turncred_key_init leaves zeros. */
EVP_CIPHER_CTX *tc_ws_cipher(struct turncred_ws *ws, const struct turncred_key *key, bool encrypt) {
  int row = row_of(key->alg);

  return row < 0 ? NULL : keyed(&ws->slot[row][key->slot % ws->slots], key->enc, encrypt);
}

EVP_CIPHER_CTX *tc_ws_credential_cipher(struct turncred_ws *ws, const uint8_t key[32]) {
  return keyed(&ws->credential, key, false);
}

EVP_CIPHER_CTX *tc_ws_wrap_cipher(struct turncred_ws *ws) { return ws->wrap; }

struct tc_subkey *tc_ws_subkey(struct turncred_ws *ws) { return &ws->subkey; }
