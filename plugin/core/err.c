/*
 * err.c - the name and the text of every error
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "core.h"

static const struct {
  const char *name;
  const char *text;
} errs[] = {
    [TURNCRED_OK] = {"ok", "No error."},
    [TURNCRED_EXPIRED] = {"expired", "The credential has expired; ask the issuer for a new one."},
    [TURNCRED_NOT_YET_VALID] = {"not_yet_valid", "The token is dated in the future; compare the clocks of the "
                                                 "issuer and of this machine."},
    [TURNCRED_BAD_TOKEN] = {"bad_token", "The token does not decrypt or is malformed; check that issuer and "
                                         "server have the same key, algorithm, derivation and server name."},
    [TURNCRED_BAD_USERNAME] = {"bad_username",
                               "The username is not made of a user id of 1 to 492 octets, a colon "
                               "and a time of 1 to 15 digits in the form that the key says (rest: its "
                               "order and separator), or holds octets that TURN servers refuse (blanks, "
                               "quotes, backslash, both union and select)."},
    [TURNCRED_LIFETIME_REFUSED] = {"lifetime_refused", "The token's lifetime is 0 or above the realm's max_ttl; issue "
                                                       "shorter tokens or raise max_ttl."},
    [TURNCRED_TOO_FAR_AHEAD] = {"too_far_ahead", "The expiry lies further ahead than the realm's max_ttl; issue "
                                                 "shorter credentials or raise max_ttl."},
    [TURNCRED_BAD_KEY] = {"bad_key", "The key does not have the length that its algorithm and derivation "
                                     "need, or is meant for another use; store the raw key, neither padded "
                                     "nor encoded."},
    [TURNCRED_BAD_ALGORITHM] = {"bad_algorithm", "The algorithm, derivation, use or username format is unknown or "
                                                 "does not go with the others; see turncred(3) for the names."},
    [TURNCRED_BAD_ARGUMENT] = {"bad_argument", "An argument is missing, too long or malformed; see turncred(3) for "
                                               "its limits."},
    [TURNCRED_NO_SPACE] = {"no_space", "The result does not fit into the buffer; give a larger one."},
    [TURNCRED_UNSEAL] = {"unseal", "The stored value does not open; check that the key encryption key is the "
                                   "one it was sealed with and that the row was not altered or moved."},
    [TURNCRED_NO_MEMORY] = {"no_memory", "Out of memory."},
    [TURNCRED_CRYPTO] = {"crypto", "OpenSSL failed; check its configuration and providers."},
};

static size_t row(enum turncred_err err) {
  return (size_t)err < TC_COUNT(errs) ? (size_t)err : (size_t)TURNCRED_CRYPTO;
}

const char *turncred_err_name(enum turncred_err err) { return errs[row(err)].name; }

const char *turncred_err_text(enum turncred_err err) { return errs[row(err)].text; }
