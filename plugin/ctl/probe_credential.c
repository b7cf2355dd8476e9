/*
 * probe_credential.c - the credential that a probe shows to the server, from JSON or from files
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "probe_credential.h"

#include "base/secret.h"
#include "key_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MAX 16384

/* Copies a member of a credential; what and member name it in the message. */
static enum ctl_exit copy_name(const struct ctl *ctl, const char *what, const char *member, const char *text, char *out,
                               size_t cap) {
  if (!*text || strlen(text) >= cap) {
    return ctl_fail(ctl, CTL_USAGE, "%s: %s has %zu octets; 1 to %zu are possible", what, member, strlen(text),
                    cap - 1);
  }
  memcpy(out, text, strlen(text) + 1);
  return CTL_OK;
}

/* Decodes a member of a credential from base64. */
static enum ctl_exit decode(const struct ctl *ctl, const char *what, const char *member, const char *text, uint8_t *out,
                            size_t cap, size_t *len) {
  if (turncred_base64_decode(text, strlen(text), out, cap, len) || !*len) {
    return ctl_fail(ctl, CTL_USAGE, "%s: %s is not standard base64 with padding of 1 to %zu octets", what, member, cap);
  }
  return CTL_OK;
}

/* Refuses a session key of a length other than 20 and 32 octets. */
static enum ctl_exit mac_key_length(const struct ctl *ctl, const char *what, size_t len) {
  return len == 20 || len == 32 ? CTL_OK
                                : ctl_fail(ctl, CTL_USAGE, "%s: a session key has 20 or 32 octets, not %zu", what, len);
}

/* Fills *out from one credential, or from the first entry of its iceServers. */
static enum ctl_exit from_object(const struct ctl *ctl, const char *what, json_t *object, struct turn_credential *out) {
  json_t *servers = json_object_get(object, "iceServers");
  if (!json_object_get(object, "access_token") && !json_object_get(object, "username") && json_is_array(servers) &&
      json_array_size(servers)) {
    object = json_array_get(servers, 0);
  }
  const char *token = json_string_value(json_object_get(object, "access_token"));
  const char *kid = json_string_value(json_object_get(object, "kid"));
  const char *key = json_string_value(json_object_get(object, "key"));
  const char *username = json_string_value(json_object_get(object, "username"));
  const char *password = json_string_value(json_object_get(object, "password"));
  enum ctl_exit rc;
  if (!password) {
    password = json_string_value(json_object_get(object, "credential"));
  }
  if (token) {
    if (!kid || !key) {
      return ctl_fail(ctl, CTL_USAGE, "%s: access_token needs kid and key (the session key) beside it", what);
    }
    out->is_token = true;
    rc = copy_name(ctl, what, "kid", kid, out->username, sizeof out->username);
    if (!rc) {
      rc = decode(ctl, what, "access_token", token, out->token, sizeof out->token, &out->token_len);
    }
    if (!rc) {
      rc = decode(ctl, what, "key", key, out->mac_key, sizeof out->mac_key, &out->mac_key_len);
    }
    return rc ? rc : mac_key_length(ctl, what, out->mac_key_len);
  }
  if (!username || !password) {
    return ctl_fail(ctl, CTL_USAGE, "%s: the JSON has neither access_token, kid and key nor username and password",
                    what);
  }
  rc = copy_name(ctl, what, "username", username, out->username, sizeof out->username);
  return rc ? rc : copy_name(ctl, what, "password", password, out->password, sizeof out->password);
}

enum ctl_exit probe_credential_from_json(const struct ctl *ctl, const char *what, const char *file,
                                         struct turn_credential *out) {
  char text[512];
  size_t len = 0;
  uint8_t *octets = malloc(JSON_MAX);
  json_error_t error;
  if (!octets) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  memset(out, 0, sizeof *out);
  enum ctl_exit rc = CTL_OK;
  if (secret_read(file, what, octets, JSON_MAX, &len, text, sizeof text)) {
    rc = ctl_fail(ctl, CTL_USAGE, "%s", text);
  }
  json_t *object = rc ? NULL : json_loadb((const char *)octets, len, JSON_REJECT_DUPLICATES, &error);
  if (!rc && !json_is_object(object)) {
    rc = object ? ctl_fail(ctl, CTL_USAGE, "%s: not a JSON object", what)
                : ctl_fail(ctl, CTL_USAGE,
                           "%s: line %d of %s is not JSON; give the output of turncredctl token "
                           "issue --json or credential issue --json",
                           what, error.line, strcmp(file, "-") ? file : "standard input");
  }
  if (!rc) {
    rc = from_object(ctl, what, object, out);
  }
  json_decref(object);
  turncred_cleanse(octets, JSON_MAX);
  free(octets);
  return rc;
}

/* The password of out->username under the TURN REST secret of --secret-file. */
static enum ctl_exit rest_password(const struct ctl *ctl, struct turn_credential *out) {
  enum turncred_alg alg = TURNCRED_HMAC_SHA1;
  struct turncred_key key = {0};
  uint8_t k[TURNCRED_KEY_MAX];
  size_t len = 0;
  enum ctl_exit rc = key_file_rest_alg(ctl, &alg);
  if (!rc) {
    rc = key_file_octets(ctl, "--secret-file", ctl_get(ctl, "secret-file"), TURNCRED_USE_REST, alg,
                         TURNCRED_DERIVATION_NONE, k, &len);
  }
  enum turncred_err err =
      rc ? TURNCRED_OK : turncred_key_init(&key, TURNCRED_USE_REST, alg, TURNCRED_DERIVATION_NONE, k, len);
  if (!rc && !err) {
    err = turncred_rest_password(NULL, &key, out->username, strlen(out->username), out->password);
  }
  turncred_key_clear(&key);
  turncred_cleanse(k, sizeof k);
  return err ? ctl_core_error(ctl, "--user", err) : rc;
}

enum ctl_exit probe_credential_from_options(const struct ctl *ctl, struct turn_credential *out) {
  const char *json = ctl_get(ctl, "credential"), *kid = ctl_get(ctl, "kid");
  const char *user = ctl_get(ctl, "user");
  bool token = kid || ctl_has(ctl, "token-file") || ctl_has(ctl, "key-file");
  bool plain = user || ctl_has(ctl, "password-file") || ctl_has(ctl, "secret-file");
  char text[512];
  memset(out, 0, sizeof *out);
  if ((json != NULL) + token + plain != 1) {
    return ctl_fail(ctl, CTL_USAGE,
                    "give one credential: --credential FILE, or --kid, --token-file and "
                    "--key-file, or --user and --password-file or --secret-file");
  }
  if (json) {
    return probe_credential_from_json(ctl, "--credential", json, out);
  }
  if (plain) {
    bool secret = ctl_has(ctl, "secret-file");
    if (!user || secret == ctl_has(ctl, "password-file")) {
      return ctl_fail(ctl, CTL_USAGE, "--user and one of --password-file, --secret-file go together");
    }
    enum ctl_exit rc = copy_name(ctl, "--user", "the name", user, out->username, sizeof out->username);
    if (!rc && secret) {
      return rest_password(ctl, out);
    }
    if (!rc && secret_read_line(ctl_get(ctl, "password-file"), "--password-file", out->password, sizeof out->password,
                                text, sizeof text)) {
      rc = ctl_fail(ctl, CTL_USAGE, "%s", text);
    }
    return rc;
  }
  if (!kid || !ctl_has(ctl, "token-file") || !ctl_has(ctl, "key-file")) {
    return ctl_fail(ctl, CTL_USAGE,
                    "--kid, --token-file (base64 token) and --key-file (raw session key) go "
                    "together");
  }
  char line[2048];
  out->is_token = true;
  enum ctl_exit rc = copy_name(ctl, "--kid", "the key id", kid, out->username, sizeof out->username);
  if (!rc && secret_read_line(ctl_get(ctl, "token-file"), "--token-file", line, sizeof line, text, sizeof text)) {
    rc = ctl_fail(ctl, CTL_USAGE, "%s", text);
  }
  if (!rc) {
    rc = decode(ctl, "--token-file", "the token", line, out->token, sizeof out->token, &out->token_len);
  }
  if (!rc && secret_read(ctl_get(ctl, "key-file"), "--key-file", out->mac_key, sizeof out->mac_key, &out->mac_key_len,
                         text, sizeof text)) {
    rc = ctl_fail(ctl, CTL_USAGE, "%s", text);
  }
  return rc ? rc : mac_key_length(ctl, "--key-file", out->mac_key_len);
}
