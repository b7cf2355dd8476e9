/*
 * derive.c - turncredctl credential derive: a username and password from a shared key, no database
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "issuing/mint.h"
#include "key_file.h"
#include "values.h"

#include <stdio.h>
#include <string.h>

/* How a credential is derived: the kind, and of REST the hash and the order of the username. */
struct derivation {
  enum turncred_use use;
  enum turncred_alg alg;
  struct turncred_rest_form form;
};

static enum ctl_exit read_derivation(struct ctl *ctl, struct derivation *d) {
  *d = (struct derivation){.use = TURNCRED_USE_DERIVED, .alg = TURNCRED_HMAC_SHA256};
  const char *text = ctl_get(ctl, "kind");
  if (text && (turncred_use_parse(text, &d->use) || (d->use != TURNCRED_USE_DERIVED && d->use != TURNCRED_USE_REST))) {
    return ctl_fail(ctl, CTL_USAGE, "--kind: \"%s\" is not one of derived, rest", text);
  }
  bool rest = d->use == TURNCRED_USE_REST;
  if (!rest && (ctl_has(ctl, "alg") || ctl_has(ctl, "username-format") || ctl_has(ctl, "separator"))) {
    return ctl_fail(ctl, CTL_USAGE, "--alg, --username-format and --separator belong to --kind rest");
  }
  if (rest) {
    d->alg = TURNCRED_HMAC_SHA1;
  }
  enum ctl_exit rc = key_file_rest_alg(ctl, &d->alg);
  return rc ? rc : key_file_form(ctl, d->use, &d->form);
}

/* The realm and the expiry, in UTC seconds, of the command line. */
static enum ctl_exit read_realm_and_expiry(struct ctl *ctl, const char **realm, int64_t *expiry) {
  const char *expiry_text = ctl_get(ctl, "expiry");
  *realm = ctl_get(ctl, "realm");
  if (!**realm || strlen(*realm) > TURNCRED_REALM_MAX) {
    return ctl_fail(ctl, CTL_USAGE, "--realm: 1 to %d octets", TURNCRED_REALM_MAX);
  }
  *expiry = 0;
  if (!ctl_number(expiry_text, 0, 999999999999999, expiry) || (expiry_text[0] == '0' && expiry_text[1])) {
    return ctl_fail(ctl, CTL_USAGE,
                    "--expiry: \"%s\" is not a time in UTC seconds of 1 to 15 digits without "
                    "leading zero",
                    expiry_text);
  }
  return CTL_OK;
}

enum ctl_exit cmd_credential_derive(struct ctl *ctl) {
  static const struct ctl_column columns[] = {{"username", "username", CTL_TEXT},
                                              {"password", "password", CTL_TEXT},
                                              {"long_term_key_md5", "long-term key (MD5)", CTL_TEXT},
                                              {NULL, NULL, CTL_TEXT}};
  struct derivation d;
  const char *realm = NULL;
  int64_t expiry = 0;
  enum ctl_exit rc = read_derivation(ctl, &d);
  if (!rc) {
    rc = ctl_check_user(ctl, "--user", ctl_get(ctl, "user"), TURNCRED_USER_ID_MAX, true);
  }
  if (!rc) {
    rc = read_realm_and_expiry(ctl, &realm, &expiry);
  }
  if (rc) {
    return rc;
  }

  char username[TURNCRED_USERNAME_MAX + 1], password[TURNCRED_PASSWORD_MAX], hex[33];
  uint8_t md5[TURNCRED_LONG_TERM_MD5];
  struct turncred_key key = {0};
  rc = key_file_read(ctl, d.use, d.alg, TURNCRED_DERIVATION_NONE, &key);
  if (rc) {
    return rc;
  }
  struct turncred_ws *ws = turncred_ws_new(1);
  enum turncred_err err = ws ? mint_password(ws, &key, &d.form, ctl_get(ctl, "user"), realm, expiry, username, password)
                             : TURNCRED_NO_MEMORY;
  bool bad_user = err == TURNCRED_BAD_USERNAME || err == TURNCRED_NO_SPACE;
  if (!err) {
    err = turncred_long_term_md5(ws, username, strlen(username), realm, password, md5);
  }
  turncred_ws_free(ws);
  turncred_key_clear(&key);
  if (err) {
    return ctl_core_error(ctl, bad_user ? "--user" : "credential", err);
  }
  turncred_hex_encode(md5, sizeof md5, hex, sizeof hex);
  rc = ctl_print_record(
      ctl, json_pack("{s:s, s:s, s:s}", "username", username, "password", password, "long_term_key_md5", hex), columns);
  turncred_cleanse(password, sizeof password);
  turncred_cleanse(md5, sizeof md5);
  turncred_cleanse(hex, sizeof hex);
  return rc;
}
