/*
 * seal.c - wraps keys at rest, each under a subkey that depends on the row it is stored in
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

void tc_fields_begin(struct tc_fields *f, const void *label, size_t label_len) {
  f->part[0].data = label;
  f->part[0].len = label_len;
  f->parts = 1;
  f->fields = 0;
}

bool tc_fields_add(struct tc_fields *f, const void *data, size_t len) {
  if (data == NULL || len > UINT16_MAX || f->fields == TC_FIELDS_MAX) {
    return false;
  }
  tc_put16(f->len[f->fields], (uint16_t)len);
  f->part[f->parts].data = f->len[f->fields];
  f->part[f->parts++].len = 2;
  f->part[f->parts].data = data;
  f->part[f->parts++].len = len;
  f->fields++;
  return true;
}

bool tc_fields_string(struct tc_fields *f, const char *s) { return s != NULL && tc_fields_add(f, s, strlen(s)); }

static enum turncred_err row_key(struct turncred_ws *ws, const uint8_t *kek, const struct turncred_key_row *row,
                                 uint8_t subkey[32]) {
  struct tc_fields f;

  if (kek == NULL || row == NULL) {
    return TURNCRED_BAD_ARGUMENT;
  }
  tc_fields_begin(&f, "turncred-key-v1", 15);
  if (!tc_fields_string(&f, row->kek_id) || !tc_fields_string(&f, row->realm) || !tc_fields_string(&f, row->kid) ||
      !tc_fields_string(&f, turncred_use_name(row->use)) || !tc_fields_string(&f, turncred_alg_name(row->alg)) ||
      !tc_fields_string(&f, turncred_derivation_name(row->derivation))) {
    return TURNCRED_BAD_ARGUMENT;
  }
  return tc_hkdf_sha256(ws, kek, TURNCRED_KEK, f.part, f.parts, subkey, 32) ? TURNCRED_OK : TURNCRED_CRYPTO;
}

enum turncred_err turncred_key_seal(const uint8_t kek[TURNCRED_KEK], const struct turncred_key_row *row,
                                    const uint8_t *k, size_t k_len, uint8_t *out, size_t cap, size_t *out_len) {
  uint8_t subkey[32];
  enum turncred_err err = row_key(NULL, kek, row, subkey);

  if (err == TURNCRED_OK) {
    err = turncred_wrap(subkey, k, k_len, out, cap, out_len);
    explicit_bzero(subkey, sizeof(subkey));
  }
  return err;
}

enum turncred_err turncred_key_unseal(struct turncred_ws *ws, const uint8_t kek[TURNCRED_KEK],
                                      const struct turncred_key_row *row, const uint8_t *in, size_t in_len,
                                      uint8_t *out, size_t cap, size_t *out_len) {
  uint8_t subkey[32];
  enum turncred_err err = row_key(ws, kek, row, subkey);

  if (err == TURNCRED_OK) {
    err = tc_unwrap(ws, subkey, in, in_len, out, cap, out_len);
    explicit_bzero(subkey, sizeof(subkey));
  }
  return err;
}
