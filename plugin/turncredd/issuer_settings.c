/*
 * issuer_settings.c - a section [issuer NAME] of turncredd.conf: an identity provider whose access tokens are taken
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "issuer_settings.h"

#include "base/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FIELD(m) offsetof(struct issuer, m)

const struct setting issuer_settings[] = {
    {"url", SETTING_TEXT, FIELD(url), true, NULL, 0, 0, "the claim iss of the issuer's access tokens"},
    {"audience", SETTING_TEXT, FIELD(audience), true, NULL, 0, 0, "aud that these tokens must name: this service"},
    {"jwks", SETTING_TEXT, FIELD(jwks), true, NULL, 0, 0,
     "the issuer's public keys (JWKS): path of a file, or https URL"},
    {"realms", SETTING_TEXT, FIELD(realms), true, NULL, 0, 0,
     "realms that users of this issuer may have, separated by blanks; *: all"},
    {"types", SETTING_TEXT, FIELD(types), false, "at+jwt", 0, 0,
     "typ that the tokens may have; JWT wants require_claim"},
    {"require_claim", SETTING_TEXT, FIELD(require_claim), false, NULL, 0, 0,
     "claims that the tokens must have: NAME=VALUE, separated by blanks"},
    {"user_claim", SETTING_TEXT, FIELD(user_claim), false, "sub", 0, 0, "claim that names the user"},
    {"algorithms", SETTING_TEXT, FIELD(algorithms), false, "RS256 ES256", 0, 0,
     "algorithms that the tokens may have: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"},
    {"jwks_ca", SETTING_PATH, FIELD(jwks_ca), false, NULL, 0, 0,
     "PEM file: authorities that may certify the server of jwks, instead of the system's"},
    {"jwks_interval", SETTING_DURATION, FIELD(jwks_interval), false, "15min", CONF_SECOND, CONF_DAY,
     "how often the URL in jwks is fetched"},
    {"leeway", SETTING_DURATION, FIELD(leeway), false, "5s", 0, 5 * CONF_MINUTE,
     "how far the issuer's clock may differ when exp, nbf and iat are compared"},
    {NULL, SETTING_TEXT, 0, false, NULL, 0, 0, NULL},
};

static int wrong(char *err, size_t cap, const struct issuer *issuer, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int wrong(char *err, size_t cap, const struct issuer *issuer, const char *format, ...) {
  va_list args;
  int n = snprintf(err, cap, "[issuer %s]: ", issuer->name);
  if (n >= 0 && (size_t)n < cap) {
    va_start(args, format);
    vsnprintf(err + n, cap - (size_t)n, format, args);
    va_end(args);
  }
  return -1;
}

/* Separates the words of a list by one blank each. A comma separates them too. */
static void one_spelling(char list[CONF_VALUE_MAX]) {
  char out[CONF_VALUE_MAX] = "", *save = NULL;
  size_t n = 0;
  for (char *word = strtok_r(list, " ,\t", &save); word; word = strtok_r(NULL, " ,\t", &save)) {
    n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", n ? " " : "", word);
  }
  memcpy(list, out, sizeof out);
}

/* The first word of a list that good does not take, copied into word. False: there is none. */
static bool bad_word(const char *list, bool (*good)(const char *word), char word[CONF_VALUE_MAX]) {
  for (list += strspn(list, " \t"); *list; list += strspn(list, " \t")) {
    size_t n = strcspn(list, " \t");
    memcpy(word, list, n);
    word[n] = '\0';
    if (!good(word)) {
      return true;
    }
    list += n;
  }
  return false;
}

static bool good_algorithm(const char *word) {
  return words_have("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519 Ed448", word);
}

static int check_algorithms(struct issuer *issuer, char *err, size_t cap) {
  char word[CONF_VALUE_MAX];
  one_spelling(issuer->algorithms);
  if (bad_word(issuer->algorithms, good_algorithm, word)) {
    bool unsafe = !strncasecmp(word, "HS", 2) || !strcasecmp(word, "none");
    return wrong(err, cap, issuer,
                 "algorithms: \"%.40s\" is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, "
                 "EdDSA%s",
                 word, unsafe ? ": only asymmetric algorithms are safe here" : "");
  }
  return *issuer->algorithms ? 0 : wrong(err, cap, issuer, "algorithms names no algorithm");
}

/* A token of type JWT may be anything that the issuer signs, ID tokens too: its claims have to say what it is. */
static int check_types(struct issuer *issuer, char *err, size_t cap) {
  one_spelling(issuer->types);
  if (!*issuer->types) {
    return wrong(err, cap, issuer, "types names no type");
  }
  if (!*issuer->require_claim && words_have_nocase(issuer->types, "JWT")) {
    return wrong(err, cap, issuer,
                 "types has JWT: require_claim must be given too, with a claim that access tokens for this service "
                 "alone have, such as scope=turn: ID tokens are JWT as well");
  }
  return 0;
}

static bool good_claim(const char *word) {
  const char *equals = strchr(word, '=');
  return equals && equals != word && equals[1];
}

int issuer_check(struct issuer *issuer, char *err, size_t cap) {
  char word[CONF_VALUE_MAX];
  if (*issuer->jwks != '/' && (!words_are_url(issuer->jwks) || !issuer->jwks[8])) {
    return wrong(err, cap, issuer, "jwks must be the absolute path of a file, or an https URL");
  }
  if (check_algorithms(issuer, err, cap) || check_types(issuer, err, cap)) {
    return -1;
  }
  if (bad_word(issuer->require_claim, good_claim, word)) {
    return wrong(err, cap, issuer, "require_claim: \"%.40s\" is not NAME=VALUE", word);
  }
  return 0;
}

bool issuer_may(const struct issuer *issuer, const char *realm) {
  return words_have(issuer->realms, "*") || words_have(issuer->realms, realm);
}

bool issuer_has_url(const struct issuer *issuer) { return words_are_url(issuer->jwks); }
