/*
 * rotate.c - turncredctl key rotate: replaces the key that signs, without a refused login
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * 1. The new key is published: accepted by servers, used by no issuer. Wait for every instance.
 * 2. It becomes active; being the newest, issuers sign with it. Wait for every instance.
 * 3. The old keys retire: accepted until the last credential under them has run out.
 * Each step commits by itself, and the next call finds the last step, so that it continues a
 * rotation that was interrupted.
 */
#include "config.h"

#include "key_file.h"
#include "keyring.h"
#include "pg/array.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCEPT_UNTIL SQL_SECONDS("k.accept_until")

#define WAIT_SECONDS 60
#define SLACK_SECONDS (TURNCRED_AHEAD_SLACK + 2 * TURNCRED_SKEW)

struct rotation {
  const char *realm;
  enum turncred_use use;
  struct kek_ring *ring;
  struct stored_key old;                 /* the key that signs now */
  char fresh[TURNCRED_USERNAME_MAX + 1]; /* KID of the new key */
  char state[16];                        /* state of the new key */
  json_t *without;                       /* instances not to wait for */
  int64_t seconds;
};

static const struct ctl_column columns[] = {
    {"realm", "realm", CTL_TEXT},
    {"kid", "new key", CTL_TEXT},
    {"state", "its state", CTL_TEXT},
    {"retired", "retired", CTL_TEXT},
    {"accept_until", "accepted until", CTL_TIME},
    {"complete", "complete", CTL_TEXT},
    {"late", "late", CTL_TEXT},
    {NULL, NULL, CTL_TEXT},
};

/* Locks the realm: two rotations of one realm at once would disturb each other. */
static enum ctl_exit lock_realm(struct ctl *ctl, const struct rotation *r) {
  struct pg_params p = {0};
  char *locked = NULL;
  pg_text(&p, r->realm);
  enum ctl_exit rc = ctl_begin(ctl);
  if (!rc) {
    rc = ctl_value(ctl, "SELECT 1 FROM turncred.realm WHERE name = $1 FOR NO KEY UPDATE NOWAIT", &p, &locked);
  }
  if (!rc && !locked) {
    rc = ctl_need_realm(ctl, r->realm);
  }
  free(locked);
  return rc;
}

/* Finds the new key that an earlier call published, if that call did not finish. */
static enum ctl_exit find_unfinished(struct ctl *ctl, struct rotation *r) {
  struct pg_params p = {0};
  json_t *row = NULL;
  pg_text(&p, r->realm);
  pg_text(&p, turncred_use_name(r->use));
  pg_text(&p, r->old.kid);
  enum ctl_exit rc = ctl_row(ctl,
                             "SELECT n.kid, n.state FROM turncred.key n, turncred.key o WHERE n.realm = $1 "
                             "AND n.use = $2 AND n.state = 'published' AND o.realm = $1 AND o.kid = $3 AND "
                             "n.created_at >= o.created_at AND n.not_before > coalesce(o.not_before, "
                             "'-infinity') AND n.alg = o.alg AND n.derivation = o.derivation AND "
                             "NOT n.imported AND n.username_format = o.username_format AND n.separator = o.separator "
                             "AND coalesce(n.accept_until, 'infinity') "
                             "> now() ORDER BY n.created_at DESC LIMIT 1",
                             &p, &row);
  if (row) {
    snprintf(r->fresh, sizeof r->fresh, "%s", json_string_value(json_object_get(row, "kid")));
    snprintf(r->state, sizeof r->state, "%s", json_string_value(json_object_get(row, "state")));
  }
  json_decref(row);
  return rc;
}

/* The octets of --from, or new ones; refuses a rest key without --from. */
static enum ctl_exit new_octets(struct ctl *ctl, const struct rotation *r, struct stored_key *key) {
  const char *from = ctl_get(ctl, "from");
  size_t need = turncred_key_length(key->use, key->alg, key->derivation);
  if (from) {
    enum ctl_exit rc = key_file_octets(ctl, "--from", from, key->use, key->alg, key->derivation, key->k, &key->k_len);
    return rc ? rc : keyring_refuse_reuse(ctl, r->ring, key);
  }
  if (key->use == TURNCRED_USE_REST) {
    return ctl_fail(ctl, CTL_USAGE, "a rest secret is shared with other programs: give the new one with --from");
  }
  key->k_len = need;
  return RAND_priv_bytes(key->k, (int)need) == 1 ? CTL_OK
                                                 : ctl_fail(ctl, CTL_INTERNAL, "the random number generator failed");
}

/* Refuses a key encryption key that an instance lacks, unless --without names the instance: it could not open the new
 * key. One that has stopped reads the files when it starts. */
static enum ctl_exit refuse_without_kek(struct ctl *ctl, const struct rotation *r, const char *kek_id) {
  struct pg_params p = {0};
  json_t *rows = NULL, *row;
  size_t i;
  enum ctl_exit rc;
  if (!kek_id) {
    return CTL_OK;
  }
  pg_text(&p, kek_id);
  rc = ctl_rows(ctl,
                "SELECT id FROM turncred.instance i WHERE kek_ids <> '{}' AND NOT $1 = ANY (kek_ids) AND "
                "to_jsonb(i)->>'stopped_at' IS NULL",
                &p, &rows);
  json_array_foreach(rows, i, row) {
    const char *id = json_string_value(json_object_get(row, "id"));
    bool passed = false;
    size_t j;
    json_t *one;
    json_array_foreach(r->without, j, one) { passed |= !strcmp(json_string_value(one), id); }
    if (!rc && !passed) {
      rc = ctl_fail(ctl, CTL_REFUSED,
                    "instance \"%s\" does not hold key encryption key \"%s\", so it could not open "
                    "the new key; give it the file first, or name it with --without",
                    id, kek_id);
    }
  }
  json_decref(rows);
  return rc;
}

/* Adds the new key with state published. */
static enum ctl_exit publish(struct ctl *ctl, struct rotation *r) {
  struct stored_key key = r->old;
  struct pg_params p = {0};
  const char *kek_id = NULL;
  char *of_realm = NULL, *not_before = NULL;
  const char *kid = ctl_get(ctl, "kid");
  key.k_len = 0;
  turncred_cleanse(key.k, sizeof key.k);
  snprintf(key.state, sizeof key.state, "published");
  enum ctl_exit rc = CTL_OK;
  if (kid) {
    snprintf(key.kid, sizeof key.kid, "%s", kid);
  } else {
    rc = keyring_new_kid(ctl, key.use, key.kid, sizeof key.kid);
  }
  pg_text(&p, r->realm);
  pg_text(&p, r->old.kid);
  if (!rc) {
    rc = keyring_refuse_crowd(ctl, &key);
  }
  if (!rc) {
    rc = new_octets(ctl, r, &key);
  }
  if (!rc) {
    rc = ctl_value(ctl, "SELECT kek_id FROM turncred.realm WHERE name = $1 AND $2::text IS NOT NULL", &p, &of_realm);
  }
  if (!rc && r->old.kek_id[0]) {
    rc = keyring_choose(ctl, r->ring, ctl_get(ctl, "kek-id"), of_realm, &kek_id);
  }
  if (!rc) {
    rc = refuse_without_kek(ctl, r, kek_id);
  }
  /* newer than the old key, and not in the future of a server whose clock is slow */
  if (!rc) {
    rc = ctl_value(
        ctl,
        "SELECT extract(epoch FROM greatest(now() - interval '10 minutes', CASE WHEN not_before < '9999-12-31' "
        "THEN not_before + interval '1 second' END))::bigint FROM turncred.key WHERE realm = $1 AND kid = $2",
        &p, &not_before);
  }
  if (!rc) {
    struct key_window window = {.not_before = strtoll(not_before, NULL, 10)};
    rc = keyring_insert(ctl, r->ring, &key, kek_id, &window, true);
  }
  snprintf(r->fresh, sizeof r->fresh, "%s", key.kid);
  snprintf(r->state, sizeof r->state, "published");
  keyring_clear(&key);
  free(of_realm);
  free(not_before);
  return rc;
}

/* Commits, then waits for every instance, however long it has been silent. *late gets the ids of
 * those that have not reported in time. */
static enum ctl_exit commit_and_wait(struct ctl *ctl, const struct rotation *r, json_t **late) {
  char *xid = NULL;
  int64_t alive = 0;
  json_decref(*late);
  *late = NULL;
  /* the last change counts: if this call changed nothing, no instance would hurry to report it */
  enum ctl_exit rc =
      ctl_value(ctl, "SELECT coalesce(max(xid), pg_current_xact_id()) FROM turncred.change WHERE " CTL_OF_THIS_CLUSTER,
                NULL, &xid);
  if (!rc) {
    rc = ctl_commit(ctl);
  }
  if (!rc) {
    rc = ctl_wait(ctl, xid, r->seconds, r->without, 0, late, &alive);
  }
  free(xid);
  return rc;
}

/* Locks the new key. Refuses one that is in another state by now: somebody has disabled or removed it meanwhile. */
static enum ctl_exit need_state(struct ctl *ctl, const struct rotation *r, const char *state) {
  struct pg_params p = {0};
  char *found = NULL;
  pg_text(&p, r->realm);
  pg_text(&p, r->fresh);
  pg_text(&p, state);
  enum ctl_exit rc = ctl_value(
      ctl, "SELECT 1 FROM turncred.key WHERE realm = $1 AND kid = $2 AND state = $3 FOR NO KEY UPDATE", &p, &found);
  if (!rc && !found) {
    rc = ctl_fail(ctl, CTL_REFUSED,
                  "key \"%s\" is not %s any more: somebody has changed or removed it meanwhile, so no key is retired; "
                  "see turncredctl key list %s, then rotate again",
                  r->fresh, state, r->realm);
  }
  free(found);
  return rc;
}

static enum ctl_exit activate(struct ctl *ctl, const struct rotation *r) {
  struct pg_params p = {0};
  pg_text(&p, r->realm);
  pg_text(&p, r->fresh);
  enum ctl_exit rc = need_state(ctl, r, "published");
  return rc ? rc : ctl_run(ctl, "UPDATE turncred.key SET state = 'active' WHERE realm = $1 AND kid = $2", &p, NULL);
}

/* The kids that --also names, as PostgreSQL's array literal. Refuses one that the realm does not have. */
static enum ctl_exit read_also(struct ctl *ctl, const struct rotation *r, struct pg_array *array) {
  const char *kid;
  enum ctl_exit rc = CTL_OK;
  for (size_t i = 0; !rc && (kid = ctl_get_nth(ctl, "also", i)); i++) {
    struct pg_params p = {0};
    char *there = NULL;
    pg_text(&p, r->realm);
    pg_text(&p, turncred_use_name(r->use));
    pg_text(&p, kid);
    pg_array_text(array, kid);
    rc = ctl_value(ctl, "SELECT 1 FROM turncred.key WHERE realm = $1 AND use = $2 AND kid = $3", &p, &there);
    if (!rc && !there) {
      rc = ctl_fail(ctl, CTL_REFUSED, "--also: realm \"%s\" has no %s key \"%s\"", r->realm, turncred_use_name(r->use),
                    kid);
    }
    free(there);
  }
  return rc;
}

/* Retires every older active key of this use, and those of --also: it signs no more, and servers accept it for max_ttl,
 * until the last credential under it has run out. Keys that were imported stay, since others sign with them. */
static enum ctl_exit retire(struct ctl *ctl, const struct rotation *r, json_t **retired) {
  struct pg_params p = {0};
  struct pg_array also = {0};
  enum ctl_exit rc = read_also(ctl, r, &also);
  const char *kids = pg_array_end(&also);
  pg_text(&p, r->realm);
  pg_text(&p, turncred_use_name(r->use));
  pg_text(&p, r->fresh);
  pg_int(&p, SLACK_SECONDS);
  pg_text(&p, kids);
  if (!rc && !kids) {
    rc = ctl_fail(ctl, CTL_INTERNAL, "out of memory");
  }
  if (!rc) {
    rc = ctl_run(ctl,
                 "UPDATE turncred.key k SET state = 'retired', sign_until = least(k.sign_until, now() + interval '1 "
                 "second'), accept_until = least(k.accept_until, now() + make_interval(secs => r.max_ttl + "
                 "$4::bigint)) FROM turncred.realm r, turncred.key n WHERE r.name = $1 AND k.realm = $1 AND n.realm = "
                 "$1 AND n.kid = $3 AND k.use = $2 AND k.kid <> n.kid AND (k.kid = ANY ($5::text[]) OR (k.state = "
                 "'active' AND NOT k.imported AND greatest(k.not_before, k.created_at) <= greatest(n.not_before, "
                 "n.created_at) AND k.username_format = n.username_format AND k.separator = n.separator))",
                 &p, NULL);
  }
  pg_array_clear(&also);
  if (rc) {
    return rc;
  }
  p.count = 3;
  return ctl_rows(
      ctl,
      "SELECT k.kid, " ACCEPT_UNTIL " AS accept_until FROM "
      "turncred.key k WHERE k.realm = $1 AND k.use = $2 AND k.kid <> $3 AND k.state = "
      "'retired' AND k.accept_until > now() ORDER BY k.accept_until DESC, greatest(k.not_before, k.created_at) DESC",
      &p, retired);
}

static enum ctl_exit report(struct ctl *ctl, const struct rotation *r, json_t *retired, json_t *late, bool complete) {
  json_t *kids = json_array(), *row;
  json_int_t until = 0;
  size_t i;
  char names[512] = "";
  json_array_foreach(retired, i, row) {
    json_array_append(kids, json_object_get(row, "kid"));
    if (!until) {
      until = json_integer_value(json_object_get(row, "accept_until"));
    }
  }
  ctl_cell(late, CTL_TEXT, names, sizeof names);
  enum ctl_exit rc =
      ctl_print_record(ctl,
                       json_pack("{s:s, s:s, s:s, s:o, s:I, s:b, s:O}", "realm", r->realm, "kid", r->fresh, "state",
                                 r->state, "retired", kids, "accept_until", until, "complete", complete, "late", late),
                       columns);
  if (!rc && !complete) {
    rc = ctl_fail(ctl, CTL_LATE,
                  "not complete: key \"%s\" is %s, and these instances have not reported it: %s\n  remedy: "
                  "look at them (turncredctl server list), then continue with turncredctl key rotate "
                  "%s --use %s%s; leave one out with --without INSTANCE, or forget it (server "
                  "forget) if it is gone for good",
                  r->fresh, r->state, names, r->realm, turncred_use_name(r->use),
                  strcmp(r->state, "active") ? "" : " --finish");
  }
  return rc;
}

static enum ctl_exit run(struct ctl *ctl, struct rotation *r, json_t **late, json_t **retired) {
  bool complete = false;
  enum ctl_exit rc = lock_realm(ctl, r);
  if (!rc && !r->fresh[0]) {
    rc = find_unfinished(ctl, r);
  }
  if (!rc && !r->fresh[0]) {
    rc = publish(ctl, r);
  }
  if (!rc && !strcmp(r->state, "published")) {
    rc = commit_and_wait(ctl, r, late);
    if (!rc && !json_array_size(*late)) {
      rc = lock_realm(ctl, r);
      if (!rc) {
        rc = activate(ctl, r);
      }
      snprintf(r->state, sizeof r->state, "active");
    }
  }
  if (!rc && !strcmp(r->state, "active")) {
    rc = commit_and_wait(ctl, r, late);
    if (!rc && !json_array_size(*late)) {
      rc = lock_realm(ctl, r);
      if (!rc) {
        rc = need_state(ctl, r, "active");
      }
      if (!rc) {
        rc = retire(ctl, r, retired);
      }
      if (!rc) {
        rc = commit_and_wait(ctl, r, late);
      }
      complete = true;
    }
  }
  ctl_rollback(ctl);
  /* the old keys are retired: an instance that has not heard of it yet loses nothing */
  return rc ? rc : report(ctl, r, *retired, *late, complete);
}

enum ctl_exit cmd_key_rotate(struct ctl *ctl) {
  struct rotation r = {.realm = ctl_operand(ctl, 0), .use = TURNCRED_USE_TOKEN};
  const char *use = ctl_get(ctl, "use"), *id;
  json_t *late = NULL, *retired = NULL;
  if (use && !strcmp(use, "tag")) {
    return ctl_fail(ctl, CTL_USAGE,
                    "--use: the key of subject tags is not rotated, so that users keep their names "
                    "from one token key to the next; it opens nothing and verifies nothing");
  }
  if (use && keyring_use_parse(use, &r.use)) {
    return ctl_fail(ctl, CTL_USAGE, "--use: \"%s\" is not one of token, derived, rest", use);
  }
  if (ctl_has(ctl, "kid") && strlen(ctl_get(ctl, "kid")) > TURNCRED_USERNAME_MAX) {
    return ctl_fail(ctl, CTL_USAGE, "--kid: at most %d octets", TURNCRED_USERNAME_MAX);
  }
  r.without = json_array();
  for (size_t i = 0; (id = ctl_get_nth(ctl, "without", i)); i++) {
    json_array_append_new(r.without, json_string(id));
  }
  enum ctl_exit rc = ctl_get_wait(ctl, WAIT_SECONDS, &r.seconds);
  if (!rc) {
    rc = keyring_load_optional(ctl, &r.ring);
  }
  if (!rc) {
    rc = keyring_signer(ctl, r.realm, r.use, NULL, &r.old);
  }
  if (!rc) { /* before anything changes */
    struct pg_array also = {0};
    rc = read_also(ctl, &r, &also);
    pg_array_clear(&also);
  }
  if (!rc && ctl_has(ctl, "finish")) {
    /* the newest active key is the new key: only the old keys are left to retire */
    snprintf(r.fresh, sizeof r.fresh, "%s", r.old.kid);
    snprintf(r.state, sizeof r.state, "active");
  }
  if (!rc) {
    rc = run(ctl, &r, &late, &retired);
  }
  keyring_clear(&r.old);
  kek_ring_free(r.ring);
  json_decref(r.without);
  json_decref(late);
  json_decref(retired);
  return rc;
}
