/*
 * import_keys.c - coturn's shared secrets become rest keys, its OAuth keys token keys
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Servers accept what imported keys sign; issuers of turncred do not sign with them. Whoever signed with them goes on.
 */
#include "config.h"

#include "base/utf8.h"
#include "import.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the realm has of the key already. */
struct kin {
  bool same, taken, disabled;             /* the key itself; its kid; the key itself, which servers refuse */
  char other[TURNCRED_USERNAME_MAX + 32]; /* a key with its octets for another purpose; "": none */
};

static enum ctl_exit find_kin(struct ctl *ctl, const struct import *im, const struct stored_key *key, struct kin *kin) {
  struct stored_key *rows = NULL;
  struct pg_params p = {0};
  size_t count = 0;
  *kin = (struct kin){.other = ""};
  pg_text(&p, key->realm);
  enum ctl_exit rc = keyring_rows(ctl, im->ring, "realm = $1", &p, &rows, &count);
  for (size_t i = 0; i < count; i++) {
    bool same = rows[i].k_len == key->k_len && !CRYPTO_memcmp(rows[i].k, key->k, key->k_len);
    kin->taken |= !strcmp(rows[i].kid, key->kid);
    bool form = key->use != TURNCRED_USE_REST ||
                (rows[i].form.order == key->form.order && rows[i].form.separator == key->form.separator);
    if (same && form && rows[i].use == key->use && rows[i].alg == key->alg) {
      kin->same = true;
      kin->disabled = !strcmp(rows[i].state, "disabled");
    } else if (same) {
      snprintf(kin->other, sizeof kin->other, "%s (%s)", rows[i].kid,
               turncred_username_format_name(rows[i].form.order));
    }
    keyring_clear(&rows[i]);
  }
  free(rows);
  return rc;
}

/* Adds the key unless the realm has a key of the same use with the same octets, and reports it. */
static enum ctl_exit import_key(struct ctl *ctl, struct import *im, const struct import_row *row,
                                struct stored_key *key, const char *kek_id, const struct key_window *window) {
  struct import_attempt attempt;
  struct kin kin;
  bool refused = false;
  enum ctl_exit rc = find_kin(ctl, im, key, &kin);
  if (rc) {
    return rc;
  }
  if (kin.same) {
    import_note(im, row, kin.disabled ? "skip" : "same", "%s", kin.disabled ? "the key is disabled here" : "");
    return CTL_OK;
  }
  if (kin.other[0]) {
    import_note(im, row, "skip", "key %s has the same octets for another use, algorithm or form of user names",
                kin.other);
    return CTL_OK;
  }
  if (kin.taken) {
    import_note(im, row, "skip", "another key has this kid already");
    return CTL_OK;
  }
  rc = import_attempt(ctl, &attempt);
  if (!rc) {
    rc = keyring_refuse_crowd(ctl, key);
    rc = rc ? rc : keyring_insert(ctl, im->ring, key, kek_id, window, false);
    rc = import_attempted(ctl, &attempt, rc, &refused);
  }
  if (!rc && refused) {
    import_note(im, row, "skip", "%s", attempt.said.text);
  } else if (!rc) {
    /* a secret has no kid, and gets a new one at each run: a look shows none that --apply would not use */
    bool made = key->use == TURNCRED_USE_REST && !im->apply;
    import_note(im, row, "add", "kid %s; issuers here do not sign with it%s", made ? "(made by --apply)" : key->kid,
                row->use == IMPORT_UNUSED ? "; this coturn does not take it, as turnserver.conf has it" : "");
  }
  return rc;
}

/* --- shared secrets --- */

/* Says once for each realm what stock coturn takes beyond a rest key. */
static void note_forms(struct import *im, const struct import_row *row, json_t *entry) {
  const struct import_row realm = {"realm", row->realm, "max-ttl", row->use};
  const struct import_row form = {"realm", row->realm, "username-format", row->use};
  if (json_object_get(entry, "rest_noted")) {
    return;
  }
  json_object_set_new(entry, "rest_noted", json_true());
  import_note(
      im, &realm, "note",
      "REST user names whose time is more than %lld hours and 5 minutes ahead are refused, which coturn takes: if "
      "your issuer gives longer lives, first turncredctl realm set %s --max-ttl ...",
      (long long)json_integer_value(json_object_get(entry, "max_ttl")) / 3600, row->realm);
  if (im->form == TURNCRED_TIMESTAMP_USER_ID) {
    import_note(
        im, &form, "note",
        "TIME:USER and the time alone are let in, USER:TIME is refused, which coturn takes under the same secret: if "
        "your issuer writes it so, give --username-format either, or user-id:timestamp");
  }
}

/* A REST secret. row->realm "": the default realm. */
static enum ctl_exit import_secret(struct ctl *ctl, struct import *im, struct import_row row, const char *secret) {
  struct stored_key key = {.use = TURNCRED_USE_REST,
                           .alg = TURNCRED_HMAC_SHA1,
                           .form = {im->form, (char)(im->conf.given ? im->conf.separator : ':')},
                           .state = "published",
                           .imported = true};
  const char *kek_id = NULL;
  json_t *entry = import_target(im, &row);
  if (!entry || !import_can_store(im, &row, entry, &kek_id)) {
    return CTL_OK;
  }
  if (!*secret) {
    import_note(im, &row, "skip", "the secret is empty: anybody can make passwords for this coturn");
    return CTL_OK;
  }
  if (!turncred_rest_separator_ok(key.form.separator)) {
    import_note(im, &row, "skip", "rest-api-separator=%c: no rest key has it between time and name",
                key.form.separator);
    return CTL_OK;
  }
  enum turncred_err err = turncred_rest_secret(key.alg, (const uint8_t *)secret, strlen(secret), key.k, &key.k_len);
  if (err == TURNCRED_BAD_KEY) {
    import_note(im, &row, "skip", "the secret is longer than %d octets", TURNCRED_SECRET_MAX);
    return CTL_OK;
  }
  if (err) {
    return ctl_fail(ctl, CTL_INTERNAL, "%s", turncred_err_text(err));
  }
  snprintf(key.realm, sizeof key.realm, "%s", row.realm);
  import_need_mechanism(im, &row, entry, "rest");
  note_forms(im, &row, entry);
  if (keyring_published((const uint8_t *)secret, strlen(secret))) {
    import_note(im, &row, "note",
                "PUBLISHED: the secret stands in coturn's own examples, so anybody can make passwords: replace it");
  }
  enum ctl_exit rc = keyring_new_kid(ctl, key.use, key.kid, sizeof key.kid);
  if (!rc) {
    rc = import_key(ctl, im, &row, &key, kek_id, &(struct key_window){0});
  }
  keyring_clear(&key);
  return rc;
}

static enum ctl_exit import_secret_row(struct ctl *ctl, struct import *im, const char *const *row, int64_t n) {
  char name[40];
  snprintf(name, sizeof name, "secret %lld", (long long)n);
  const struct import_row secret = {"secret", row[0], name, import_row_use(im, import_secret_use(im), row[0])};
  return import_secret(ctl, im, secret, row[1]);
}

/* A secret of turnserver.conf: coturn takes it in every realm. */
static enum ctl_exit import_conf_secret(struct ctl *ctl, struct import *im, const struct turnserver_line *line) {
  enum ctl_exit rc = CTL_OK;
  char name[40];
  const char *realm;
  json_t *ignored;
  snprintf(name, sizeof name, "secret of %s %u", line->argument ? "argument" : "line", line->number);
  if (!json_object_size(im->served)) {
    rc = import_secret(ctl, im, (struct import_row){"secret", "", name, import_secret_use(im)}, line->value);
  }
  json_object_foreach(im->served, realm, ignored) {
    if (!rc) {
      rc = import_secret(ctl, im, (struct import_row){"secret", realm, name, import_secret_use(im)}, line->value);
    }
  }
  return rc;
}

enum ctl_exit import_secrets(struct ctl *ctl, struct import *im) {
  enum ctl_exit rc = source_read(ctl, im, SOURCE_SECRETS, import_secret_row);
  for (size_t i = 0; !rc && i < im->conf.count; i++) {
    rc = im->conf.lines[i].secret ? import_conf_secret(ctl, im, &im->conf.lines[i]) : CTL_OK;
  }
  return rc;
}

/* --- OAuth keys --- */

/* A row of oauth_key, read as coturn reads it. */
struct oauth_row {
  const char *kid;
  enum turncred_alg alg;
  bool known_alg;
  int64_t start, lifetime; /* seconds; lifetime 0: for ever */
  uint8_t octets[192];
  size_t len;
  bool base64;
};

#define NEVER 253402300800 /* when the year 9999 is over */

static void read_oauth_row(const char *const *row, struct oauth_row *out) {
  char alg[65];
  size_t at = 0;
  for (const char *c = row[4]; *c && at + 1 < sizeof alg; c++) {
    if (!isspace((unsigned char)*c)) {
      alg[at++] = (char)(*c == '_' ? '-' : toupper((unsigned char)*c));
    }
  }
  alg[at] = '\0';
  out->kid = row[0];
  out->alg = TURNCRED_A256GCM;
  out->known_alg =
      !turncred_alg_parse(alg, &out->alg) && (out->alg == TURNCRED_A256GCM || out->alg == TURNCRED_A128GCM);
  out->start = strtoll(row[2], NULL, 10);
  out->start = out->start < NEVER ? out->start : NEVER;
  out->lifetime = (uint32_t)strtoll(row[3], NULL, 10);
  out->base64 = !turncred_base64_decode(row[1], strlen(row[1]), out->octets, sizeof out->octets, &out->len);
}

/* Why the key is not taken over; NULL: it is. *dead: coturn does not take it either. */
static const char *refuse_oauth(const struct import *im, const struct oauth_row *o, const char *alg, bool *dead,
                                char *text, size_t cap) {
  size_t need = o->known_alg ? turncred_key_length(TURNCRED_USE_TOKEN, o->alg, TURNCRED_DERIVATION_NONE) : 0;
  *dead = true;
  if (!o->known_alg) {
    snprintf(text, cap, "as_rs_alg \"%s\" is not A256GCM or A128GCM", alg);
    return text;
  }
  if (!*o->kid || !turncred_username_coturn_accepts(o->kid, strlen(o->kid))) {
    return "coturn refuses this kid in a USERNAME";
  }
  if (o->lifetime && o->start + o->lifetime <= time(NULL)) {
    return "the key has run out";
  }
  *dead = false;
  if (strlen(o->kid) > TURNCRED_USERNAME_MAX || !utf8_is(o->kid, strlen(o->kid))) {
    return "the kid is too long, or not UTF-8";
  }
  if (!o->base64) {
    return "ikm_key is not base64: coturn takes an all-zero key instead, so anybody can make tokens for it";
  }
  if (o->len < need) {
    snprintf(text, cap, "ikm_key holds %zu octets, %zu are needed: coturn fills up with zeros", o->len, need);
    return text;
  }
  if (o->len > need && !im->truncate) {
    snprintf(text, cap,
             "ikm_key holds %zu octets, exactly %zu are needed; coturn uses the first %zu: --truncate does the same",
             o->len, need, need);
    return text;
  }
  return NULL;
}

/* coturn finds a key by its kid alone. So realms whose challenges the client gets have it as a guest. */
static enum ctl_exit add_guest(struct ctl *ctl, struct import *im, const struct import_row *row) {
  struct pg_params p = {0};
  char guest[TURNCRED_REALM_MAX + TURNCRED_USERNAME_MAX + 2];
  struct import_attempt attempt;
  bool refused = false;
  int64_t changed = 0;
  if (!im->default_realm || !strcmp(im->default_realm, row->realm) || row->use == IMPORT_UNUSED ||
      !json_object_get(im->realms, im->default_realm)) {
    return CTL_OK;
  }
  snprintf(guest, sizeof guest, "%s/%s", row->realm, row->name);
  pg_text(&p, im->default_realm);
  pg_text(&p, guest);
  enum ctl_exit rc = import_attempt(ctl, &attempt);
  if (!rc) {
    rc = ctl_run(
        ctl,
        "UPDATE turncred.realm SET guest_kids = guest_kids || $2::text WHERE name = $1 AND NOT $2 = ANY (guest_kids)",
        &p, &changed);
    rc = import_attempted(ctl, &attempt, rc, &refused);
  }
  const struct import_row realm = {"realm", im->default_realm, guest, row->use};
  if (!rc && (refused || changed)) {
    import_note(im, &realm, refused ? "skip" : "set", "%s",
                refused ? attempt.said.text : "coturn takes the kid in its default realm, too: it is a guest there");
  }
  return rc;
}

/* Tokens are bound to a server name, which has to be coturn's. */
static void check_server_name(struct import *im, const struct import_row *row, json_t *entry) {
  const char *realm =
      im->default_realm && json_object_get(im->realms, im->default_realm) ? im->default_realm : row->realm;
  const char *here = json_string_value(json_object_get(json_object_get(im->realms, realm), "server_name"));
  const char *there = *im->conf.server_name ? im->conf.server_name : realm;
  const struct import_row line = {"realm", realm, "server-name", row->use};
  if (row->use == IMPORT_USED && here && strcmp(here, there) && !json_object_get(entry, "server_name_noted")) {
    json_object_set_new(entry, "server_name_noted", json_true());
    import_warn(im, &line,
                "coturn's tokens are bound to \"%s\", those of this realm to \"%s\": turncredctl realm set %s "
                "--server-name %s",
                there, here, realm, there);
  }
}

static enum ctl_exit import_oauth_row(struct ctl *ctl, struct import *im, const char *const *values, int64_t n) {
  struct import_row row = {"oauth_key", values[5], values[0], import_token_use(im)};
  struct stored_key key = {.use = TURNCRED_USE_TOKEN, .state = "published", .imported = true};
  struct oauth_row o;
  char text[160];
  const char *kek_id = NULL;
  bool dead = false;
  (void)n;
  read_oauth_row(values, &o);
  const char *why = refuse_oauth(im, &o, values[4], &dead, text, sizeof text);
  row.use = dead ? IMPORT_UNUSED : row.use;
  json_t *entry = dead ? NULL : import_target(im, &row);
  enum ctl_exit rc = CTL_OK;
  if (dead || (entry && why)) {
    import_note(im, &row, "skip", "%s", why);
  } else if (entry && import_can_store(im, &row, entry, &kek_id)) {
    int64_t end = o.lifetime ? o.start + o.lifetime : 0;
    /* coturn looks at the end alone */
    const struct key_window window = {.not_before = o.start <= time(NULL) ? o.start : 0,
                                      .accept_until = end < NEVER ? end : 0};
    key.alg = o.alg;
    key.k_len = turncred_key_length(key.use, o.alg, key.derivation);
    memcpy(key.k, o.octets, key.k_len);
    snprintf(key.realm, sizeof key.realm, "%s", row.realm);
    snprintf(key.kid, sizeof key.kid, "%s", row.name);
    import_need_mechanism(im, &row, entry, "token");
    check_server_name(im, &row, entry);
    if (keyring_published(key.k, key.k_len)) {
      import_note(im, &row, "note",
                  "PUBLISHED: the key stands in coturn's own examples, so anybody can make tokens: replace it");
    }
    rc = import_key(ctl, im, &row, &key, kek_id, &window);
    rc = rc ? rc : add_guest(ctl, im, &row);
  }
  keyring_clear(&key);
  turncred_cleanse(&o, sizeof o);
  return rc;
}

enum ctl_exit import_oauth_keys(struct ctl *ctl, struct import *im) {
  return source_read(ctl, im, SOURCE_OAUTH, import_oauth_row);
}
