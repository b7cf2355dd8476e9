/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "jwt_check.h"

#include "turncred.h"

#include <jansson.h>
#include <jwt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The header alone, before anything in it is believed. */
static json_t *header_of(const char *token) {
  char text[2052];
  uint8_t octets[1600];
  size_t n = strcspn(token, "."), len;
  if (!token[n] || n == 0 || n + 4 > sizeof text)
    return NULL;
  for (size_t i = 0; i < n; i++)
    text[i] = (char)(token[i] == '-' ? '+' : token[i] == '_' ? '/' : token[i]);
  while (n % 4)
    text[n++] = '=';
  if (turncred_base64_decode(text, n, octets, sizeof octets, &len))
    return NULL;
  json_t *header = json_loadb((const char *)octets, len, JSON_REJECT_DUPLICATES, NULL);
  if (!json_is_object(header)) {
    json_decref(header);
    return NULL;
  }
  return header;
}

/* "at+jwt", or with its media type in front (RFC 9068 section 4). */
static bool access_token(const char *typ) {
  return typ && (!strcasecmp(typ, "at+jwt") || !strcasecmp(typ, "application/at+jwt"));
}

static bool names(const json_t *aud, const char *audience) {
  size_t i;
  json_t *one;
  if (json_is_string(aud))
    return !strcmp(json_string_value(aud), audience);
  json_array_foreach(aud, i, one) {
    if (json_is_string(one) && !strcmp(json_string_value(one), audience))
      return true;
  }
  return false;
}

static const char *check_claims(const json_t *claims, const struct settings *s, int64_t now,
                                char *out, size_t cap) {
  const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
  const json_t *iat = json_object_get(claims, "iat");
  const char *iss = json_string_value(json_object_get(claims, "iss"));
  const json_t *sub = json_object_get(claims, s->jwt_subject);
  double leeway = (double)s->jwt_leeway / 1000;
  if (!iss || strcmp(iss, s->jwt_issuer) != 0)
    return "subject_token: iss is not the issuer that this service trusts";
  if (!names(json_object_get(claims, "aud"), s->jwt_audience))
    return "subject_token: aud does not name this service";
  if (!json_is_number(exp))
    return "subject_token: exp is missing";
  if (json_number_value(exp) + leeway <= (double)now)
    return "subject_token: it has expired";
  if (nbf && (!json_is_number(nbf) || json_number_value(nbf) - leeway > (double)now))
    return "subject_token: it is not yet valid (nbf)";
  if (iat && (!json_is_number(iat) || json_number_value(iat) - leeway > (double)now))
    return "subject_token: it was issued in the future (iat)";
  if (!json_is_string(sub) || !json_string_length(sub) || json_string_length(sub) >= cap ||
      strlen(json_string_value(sub)) != json_string_length(sub))
    return "subject_token: the claim that names the user is missing, empty or too long";
  memcpy(out, json_string_value(sub), json_string_length(sub) + 1);
  return NULL;
}

const char *jwt_check(const char *token, const struct settings *s, const struct jwks *jwks,
                      int64_t now, char *out, size_t cap) {
  size_t len = strlen(token);
  if (len == 0 || len > JWT_TOKEN_MAX)
    return "subject_token: empty or longer than 8192 octets";
  json_t *header = header_of(token);
  if (!header)
    return "subject_token: not a JWT";
  const char *alg = json_string_value(json_object_get(header, "alg"));
  const char *kid = json_string_value(json_object_get(header, "kid"));
  const char *wrong = NULL, *pem = NULL;
  jwt_t *jwt = NULL;
  if (!alg || !settings_has_word(s->jwt_algorithms, alg))
    wrong = "subject_token: its algorithm is not allowed here";
  else if (!access_token(json_string_value(json_object_get(header, "typ"))))
    wrong = "subject_token: typ must be at+jwt";
  else if (json_object_get(header, "crit"))
    wrong = "subject_token: it has critical header parameters";
  else if (!(pem = jwks_find(jwks, kid, alg)))
    wrong = "subject_token: its key is not in the issuer's key set";
  else if (jwt_decode(&jwt, token, (const unsigned char *)pem, (int)strlen(pem)) ||
           jwt_get_alg(jwt) == JWT_ALG_NONE || strcmp(jwt_alg_str(jwt_get_alg(jwt)), alg) != 0)
    wrong = "subject_token: its signature is wrong";
  if (!wrong) {
    char *text = jwt_get_grants_json(jwt, NULL);
    json_t *claims = text ? json_loads(text, 0, NULL) : NULL;
    wrong = claims ? check_claims(claims, s, now, out, cap) : "subject_token: no claims";
    json_decref(claims);
    free(text);
  }
  jwt_free(jwt);
  json_decref(header);
  return wrong;
}
