/*
 * issuer_settings.h - a section [issuer NAME] of turncredd.conf: an identity provider whose access tokens are taken
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Durations are milliseconds. Lists are separated by blanks once they have been checked.
 */
#ifndef TURNCREDD_ISSUER_SETTINGS_H
#define TURNCREDD_ISSUER_SETTINGS_H

#include "base/conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ISSUERS_MAX 16

struct issuer {
  char name[CONF_NAME_MAX];
  char url[CONF_VALUE_MAX]; /* the claim iss */
  char audience[CONF_VALUE_MAX];
  char jwks[CONF_VALUE_MAX]; /* path, or https URL */
  char jwks_ca[CONF_VALUE_MAX];
  int64_t jwks_interval;
  char algorithms[CONF_VALUE_MAX];
  char types[CONF_VALUE_MAX];
  char require_claim[CONF_VALUE_MAX]; /* NAME=VALUE ... */
  char user_claim[CONF_VALUE_MAX];
  char realms[CONF_VALUE_MAX]; /* that its users may have; *: all */
  int64_t leeway;
};

/* The settings of a section, for base/conf.h. */
extern const struct setting issuer_settings[];
/* Checks what the table does not, and brings lists into one spelling. 0, or -1 with a sentence in err. */
int issuer_check(struct issuer *issuer, char *err, size_t err_cap);
/* May users of the issuer have credentials of the realm? */
bool issuer_may(const struct issuer *issuer, const char *realm);
/* The issuers whose keys come from a file have jwks that is a path. */
bool issuer_has_url(const struct issuer *issuer);

#endif
