/*
 * caller.c - turncredctl caller add, list and remove: programs that may ask turncredd for
 * credentials
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "issuing/mint.h"
#include "pg/array.h"
#include "sql.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOT_AFTER SQL_SECONDS("not_after")

/* The option's value "a,b" as PostgreSQL's literal of a text[]; the caller frees *out. */
static enum ctl_exit array_of(const struct ctl *ctl, const char *option, char **out) {
  struct pg_array array = {0};
  char *copy = strdup(ctl_get(ctl, option)), *rest = copy, *word;
  bool empty = false;
  while (copy && (word = strsep(&rest, ","))) {
    empty |= !*word;
    pg_array_text(&array, word);
  }
  const char *text = copy ? pg_array_end(&array) : NULL;
  *out = text ? strdup(text) : NULL;
  pg_array_clear(&array);
  free(copy);
  if (!*out) {
    return ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  return empty ? ctl_fail(ctl, CTL_USAGE, "--%s: names separated by commas", option) : CTL_OK;
}

/* SHA-256 and subject (RFC 4514) of the certificate in PEM that --certificate names. */
static enum ctl_exit read_certificate(struct ctl *ctl, uint8_t digest[32], char *subject, size_t cap) {
  const char *path = ctl_get(ctl, "certificate");
  BIO *file = BIO_new_file(path, "r"), *text = BIO_new(BIO_s_mem());
  X509 *crt = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
  unsigned len = 32;
  enum ctl_exit rc = CTL_OK;
  if (!crt || !text || X509_digest(crt, EVP_sha256(), digest, &len) != 1 ||
      X509_NAME_print_ex(text, X509_get_subject_name(crt), 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) <
          0) {
    rc = ctl_fail(ctl, CTL_USAGE, "--certificate: %s is not a certificate in PEM", path);
  }
  int n = rc ? 0 : BIO_read(text, subject, (int)cap - 1);
  subject[n > 0 ? n : 0] = '\0';
  X509_free(crt);
  BIO_free(file);
  BIO_free(text);
  return rc;
}

/* How a caller proves who it is: one of key, certificate and subject of a certificate. */
struct proof {
  char key[MINT_SECRET];
  uint8_t key_sha256[32], cert_sha256[32];
  char subject[1025];
  bool has_key, has_cert, has_subject;
};

/* Makes a new key, unless --certificate or --certificate-subject is given. */
static enum ctl_exit read_proof(struct ctl *ctl, struct proof *proof) {
  const char *subject = ctl_get(ctl, "certificate-subject");
  enum ctl_exit rc = CTL_OK;
  proof->has_cert = ctl_has(ctl, "certificate");
  proof->has_subject = subject != NULL;
  proof->has_key = !proof->has_cert && !proof->has_subject;
  if (proof->has_cert && proof->has_subject) {
    return ctl_fail(ctl, CTL_USAGE, "give one of --certificate and --certificate-subject");
  }
  if (subject && (!*subject || strlen(subject) >= sizeof proof->subject)) {
    return ctl_fail(ctl, CTL_USAGE, "--certificate-subject: 1 to %zu octets", sizeof proof->subject - 1);
  }
  if (subject) {
    snprintf(proof->subject, sizeof proof->subject, "%s", subject);
  }
  if (proof->has_cert) {
    rc = read_certificate(ctl, proof->cert_sha256, proof->subject, sizeof proof->subject);
  }
  if (proof->has_key && (mint_secret(proof->key) ||
                         turncred_sha256(NULL, (const uint8_t *)proof->key, strlen(proof->key), proof->key_sha256))) {
    rc = ctl_fail(ctl, CTL_INTERNAL, "the random number generator failed");
  }
  return rc;
}

static const struct ctl_column columns[] = {
    {"name", "NAME", CTL_TEXT},     {"proof", "PROOF", CTL_TEXT},         {"scopes", "SCOPES", CTL_TEXT},
    {"realms", "REALMS", CTL_TEXT}, {"not_after", "NOT AFTER", CTL_TIME}, {"key", "KEY", CTL_TEXT},
    {NULL, NULL, CTL_TEXT},
};

#define CALLER_MEMBERS                                                                                                 \
  "name, CASE WHEN key_sha256 IS NOT NULL THEN 'key' WHEN cert_sha256 IS NOT NULL THEN "                               \
  "'certificate ' || encode(cert_sha256, 'hex') ELSE 'subject ' || cert_subject END AS proof, "                        \
  "scopes, realms, " NOT_AFTER " AS not_after"

enum ctl_exit cmd_caller_add(struct ctl *ctl) {
  struct proof proof = {0};
  struct pg_params p = {0};
  char *scopes = NULL, *realms = NULL;
  json_t *row = NULL;
  int64_t not_after = 0;
  enum ctl_exit rc = array_of(ctl, "scopes", &scopes);
  if (!rc) {
    rc = array_of(ctl, "realms", &realms);
  }
  if (!rc) {
    rc = ctl_get_end(ctl, "not-after", time(NULL), &not_after);
  }
  if (!rc) {
    rc = read_proof(ctl, &proof);
  }
  pg_text(&p, ctl_operand(ctl, 0));
  if (proof.has_key) {
    pg_octets(&p, proof.key_sha256, 32);
  } else {
    pg_text(&p, NULL);
  }
  if (proof.has_cert) {
    pg_octets(&p, proof.cert_sha256, 32);
  } else {
    pg_text(&p, NULL);
  }
  pg_text(&p, proof.has_subject ? proof.subject : NULL);
  pg_text(&p, scopes);
  pg_text(&p, realms);
  pg_time(&p, not_after);
  if (!rc) {
    rc = ctl_run(ctl,
                 "INSERT INTO turncred.caller (name, key_sha256, cert_sha256, cert_subject, "
                 "scopes, realms, not_after) VALUES ($1, $2, $3, $4, $5::text[], $6::text[], "
                 "to_timestamp($7::bigint))",
                 &p, NULL);
  }
  struct pg_params q = {0};
  pg_text(&q, ctl_operand(ctl, 0));
  if (!rc) {
    rc = ctl_row(ctl, "SELECT " CALLER_MEMBERS " FROM turncred.caller WHERE name = $1", &q, &row);
  }
  if (!rc && proof.has_key) {
    json_object_set_new(row, "key", json_string(proof.key));
  }
  if (!rc) {
    rc = ctl_print_record(ctl, row, columns);
  }
  turncred_cleanse(&proof, sizeof proof);
  free(scopes);
  free(realms);
  return rc;
}

enum ctl_exit cmd_caller_list(struct ctl *ctl) {
  json_t *list = NULL;
  enum ctl_exit rc = ctl_rows(ctl, "SELECT " CALLER_MEMBERS " FROM turncred.caller ORDER BY name", NULL, &list);
  return rc ? rc : ctl_print_list(ctl, list, columns);
}

enum ctl_exit cmd_caller_remove(struct ctl *ctl) {
  static const struct ctl_column removed[] = {{"removed", "removed", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  struct pg_params p = {0};
  int64_t rows = 0;
  pg_text(&p, ctl_operand(ctl, 0));
  enum ctl_exit rc = ctl_run(ctl, "DELETE FROM turncred.caller WHERE name = $1", &p, &rows);
  if (!rc && !rows) {
    rc =
        ctl_fail(ctl, CTL_REFUSED, "there is no caller \"%s\"; turncredctl caller list shows all", ctl_operand(ctl, 0));
  }
  return rc ? rc : ctl_print_record(ctl, json_pack("{s:s}", "removed", ctl_operand(ctl, 0)), removed);
}
