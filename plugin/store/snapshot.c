/*
 * snapshot.c - makes the next snapshot from the one before, at the cost of what changes
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "snapshot.h"

#include "base/secret_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* --- parts ------------------------------------------------------------------------------ */

struct realm_lists {
  uint32_t refs;
  const char **all; /* guests, addresses, origins */
  size_t guests, listens, origins;
  struct ip_range *peers; /* allowed ones, denied ones */
  size_t allowed, denied;
  char text[];
};

static struct shared_text *text_new(const char *s) {
  size_t n = strlen(s) + 1;
  struct shared_text *text = malloc(sizeof *text + n);
  if (text) {
    text->refs = 1;
    memcpy(text->text, s, n);
  }
  return text;
}
static struct shared_text *text_ref(struct shared_text *text) {
  text->refs++;
  return text;
}
static void text_unref(struct shared_text *text) {
  if (text && --text->refs == 0) {
    free(text);
  }
}

static void lists_unref(struct realm_lists *lists) {
  if (lists && --lists->refs == 0) {
    free(lists->all);
    free(lists->peers);
    free(lists);
  }
}
static void key_list_unref(struct key_list *list) {
  if (list && --list->refs == 0) {
    free(list);
  }
}

/* Splits text at its line feeds, without lines that are too long. Returns the number of lines; with out NULL it only
 * counts. */
static size_t split(char *text, const char **out) {
  size_t n = 0;
  for (char *line = text; *line;) {
    size_t len = strcspn(line, "\n");
    bool last = !line[len], fits = len <= SNAPSHOT_LINE_MAX;
    if (out) {
      line[len] = 0;
      if (fits) {
        out[n] = line;
      }
    }
    n += fits;
    line += len + !last;
  }
  return n;
}

/* Reads networks, one a line, into out. Returns their number, or SIZE_MAX: one is none. With out NULL it only counts.
 */
static size_t read_peers(const char *text, struct ip_range *out) {
  size_t n = 0;
  for (const char *line = text; line && *line; n++) {
    size_t len = strcspn(line, "\n");
    char one[IP_RANGE_TEXT], why[160];
    if (len >= sizeof one) {
      return SIZE_MAX;
    }
    memcpy(one, line, len);
    one[len] = '\0';
    if (out && ip_range_read(one, &out[n], why, sizeof why)) {
      return SIZE_MAX;
    }
    line += len + (line[len] != '\0');
  }
  return n;
}

/* 0, ENOMEM or EINVAL. */
static int add_peers(struct realm_lists *lists, const char *allowed, const char *denied) {
  size_t a = read_peers(allowed, NULL), d = read_peers(denied, NULL);
  if (a == SIZE_MAX || d == SIZE_MAX) {
    return EINVAL;
  }
  lists->peers = calloc(a + d + 1, sizeof *lists->peers);
  if (!lists->peers) {
    return ENOMEM;
  }
  lists->allowed = a;
  lists->denied = d;
  return read_peers(allowed, lists->peers) != a || read_peers(denied, lists->peers + a) != d ? EINVAL : 0;
}

static void copy_list(char *to, const char *list) { strcpy(to, list ? list : ""); }

/* NULL: *rc is ENOMEM or EINVAL. */
static struct realm_lists *lists_new(const struct realm_fields *f, int *rc) {
  size_t a = f->guest_kids ? strlen(f->guest_kids) + 1 : 1,
         b = f->listen_addresses ? strlen(f->listen_addresses) + 1 : 1;
  size_t c = f->origins ? strlen(f->origins) + 1 : 1;
  struct realm_lists *lists = calloc(1, sizeof *lists + a + b + c);
  *rc = lists ? add_peers(lists, f->allowed_peers, f->denied_peers) : ENOMEM;
  if (!lists) {
    return NULL;
  }
  char *ta = lists->text, *tb = ta + a, *tc = tb + b;
  copy_list(ta, f->guest_kids);
  copy_list(tb, f->listen_addresses);
  copy_list(tc, f->origins);
  lists->refs = 1;
  lists->guests = split(ta, NULL);
  lists->listens = split(tb, NULL);
  lists->origins = split(tc, NULL);
  lists->all = calloc(lists->guests + lists->listens + lists->origins + 1, sizeof *lists->all);
  if (*rc || !lists->all) {
    *rc = *rc ? *rc : ENOMEM;
    lists_unref(lists);
    return NULL;
  }
  split(ta, lists->all);
  split(tb, lists->all + lists->guests);
  split(tc, lists->all + lists->guests + lists->listens);
  return lists;
}

/* --- map types -------------------------------------------------------------------------- */

static bool key_same(const struct hamt_item *item, const void *key) {
  return strcmp(((const struct key_item *)item)->kid, key) == 0;
}
static const void *key_key(const struct hamt_item *item) { return ((const struct key_item *)item)->kid; }
static void key_free(struct hamt_item *hamt) {
  struct key_item *item = (struct key_item *)hamt;
  text_unref(item->realm);
  secret_free(SECRET_LOCKED, item, sizeof *item + strlen(item->kid) + 1 + item->key.k_len);
}
static const struct hamt_type key_type = {key_same, key_key, NULL, key_free};

static bool credential_same(const struct hamt_item *item, const void *key) {
  return strcmp(((const struct credential_item *)item)->text, key) == 0;
}
static const void *credential_key(const struct hamt_item *item) { return ((const struct credential_item *)item)->text; }
static void credential_free(struct hamt_item *hamt) {
  struct credential_item *item = (struct credential_item *)hamt;
  const struct store_credential *c = &item->credential;
  size_t n = strlen(c->username) + 1, m = strlen(c->client_address) + 1;
  size_t user = c->user != c->username ? strlen(c->user) + 1 : 0;
  text_unref(item->realm);
  secret_free(SECRET_HIDDEN, item, sizeof *item + n + m + user);
}
static const struct hamt_type credential_type = {credential_same, credential_key, NULL, credential_free};

static bool revocation_same(const struct hamt_item *hamt, const void *key) {
  const struct revocation_name *a = &((const struct revocation_item *)hamt)->name, *b = key;
  return a->kind == b->kind && strcmp(a->name, b->name) == 0 && strcmp(a->realm, b->realm) == 0;
}
static const void *revocation_key(const struct hamt_item *item) {
  return &((const struct revocation_item *)item)->name;
}
static void revocation_free(struct hamt_item *item) { free(item); }
static const struct hamt_type revocation_type = {revocation_same, revocation_key, NULL, revocation_free};

static bool choice_same(const struct hamt_item *item, const void *key) {
  return strcmp(((const struct choice_item *)item)->text, key) == 0;
}
static const void *choice_key(const struct hamt_item *item) { return ((const struct choice_item *)item)->text; }
static void choice_free(struct hamt_item *item) {
  text_unref(((struct choice_item *)item)->realm);
  free(item);
}
static const struct hamt_type choice_type = {choice_same, choice_key, NULL, choice_free};

static bool realm_same(const struct hamt_item *item, const void *key) {
  return strcmp(((const struct realm_item *)item)->realm.name, key) == 0;
}
static const void *realm_key(const struct hamt_item *item) { return ((const struct realm_item *)item)->realm.name; }
static struct hamt_item *realm_copy(const struct hamt_item *hamt) {
  const struct realm_item *from = (const struct realm_item *)hamt;
  struct realm_item *item = malloc(sizeof *item);
  if (!item) {
    return NULL;
  }
  *item = *from;
  item->name->refs++;
  item->lists->refs++;
  item->derived->refs++;
  item->rest->refs++;
  item->keys = hamt_share(&from->keys);
  item->credentials = hamt_share(&from->credentials);
  item->pile = NULL;
  return &item->hamt;
}
static void realm_free(struct hamt_item *hamt) {
  struct realm_item *item = (struct realm_item *)hamt;
  key_list_unref(item->derived);
  key_list_unref(item->rest);
  hamt_clear(&item->keys);
  hamt_clear(&item->credentials);
  hamt_pile_drop(&item->pile, &credential_type);
  lists_unref(item->lists);
  text_unref(item->name);
  free(item);
}
static const struct hamt_type realm_type = {realm_same, realm_key, realm_copy, realm_free};

/* --- snapshots -------------------------------------------------------------------------- */

struct store_snapshot *snapshot_new(uint64_t seed) {
  struct store_snapshot *snapshot = calloc(1, sizeof *snapshot);
  if (!snapshot) {
    return NULL;
  }
  snapshot->seed = seed;
  hamt_init(&snapshot->realms, &realm_type);
  hamt_init(&snapshot->listeners, &choice_type);
  hamt_init(&snapshot->origins, &choice_type);
  hamt_init(&snapshot->revocations, &revocation_type);
  return snapshot;
}

struct store_snapshot *snapshot_fork(const struct store_snapshot *from) {
  struct store_snapshot *snapshot = malloc(sizeof *snapshot);
  if (!snapshot) {
    return NULL;
  }
  *snapshot = *from;
  snapshot->realms = hamt_share(&from->realms);
  snapshot->listeners = hamt_share(&from->listeners);
  snapshot->origins = hamt_share(&from->origins);
  snapshot->revocations = hamt_share(&from->revocations);
  snapshot->next = NULL;
  return snapshot;
}

void snapshot_free(struct store_snapshot *snapshot) {
  if (!snapshot) {
    return;
  }
  hamt_clear(&snapshot->realms);
  hamt_clear(&snapshot->listeners);
  hamt_clear(&snapshot->origins);
  hamt_clear(&snapshot->revocations);
  free(snapshot);
}

const struct realm_item *snapshot_realm(const struct store_snapshot *snapshot, const char *realm) {
  return (const struct realm_item *)hamt_find(&snapshot->realms, snapshot_hash(snapshot, realm), realm);
}

static struct realm_item *edit_realm(struct store_snapshot *snapshot, const char *realm, int *rc) {
  struct realm_item *item =
      (struct realm_item *)hamt_edit(&snapshot->realms, snapshot_hash(snapshot, realm), realm, rc);
  if (!item && *rc == 0) {
    *rc = ENOENT;
  }
  return item;
}

/* --- realms ----------------------------------------------------------------------------- */

/* Points the members that readers see to the item's lists. */
static void show_lists(struct realm_item *item) {
  struct store_realm *realm = &item->realm;
  const struct realm_lists *lists = item->lists;
  realm->guest_kids = lists->all;
  realm->guest_count = lists->guests;
  realm->listen_addresses = lists->all + lists->guests;
  realm->listen_count = lists->listens;
  realm->origins = lists->all + lists->guests + lists->listens;
  realm->origin_count = lists->origins;
  realm->allowed_peers = lists->peers;
  realm->allowed_count = lists->allowed;
  realm->denied_peers = lists->peers + lists->allowed;
  realm->denied_count = lists->denied;
  realm->derived = item->derived->key;
  realm->derived_count = item->derived->count;
  realm->rest = item->rest->key;
  realm->rest_count = item->rest->count;
}

static int put_choice(struct store_snapshot *snapshot, struct hamt *map, const char *text, struct shared_text *realm) {
  size_t n = strlen(text) + 1;
  struct choice_item *item = malloc(sizeof *item + n);
  if (!item) {
    return ENOMEM;
  }
  item->hamt = (struct hamt_item){1, snapshot_hash(snapshot, text)};
  item->realm = text_ref(realm);
  memcpy(item->text, text, n);
  return hamt_put(map, &item->hamt);
}

/* Puts the listening addresses and origins that choose this realm into the maps (in), or removes
 * them. */
static int update_choices(struct store_snapshot *snapshot, const struct realm_item *item, bool in) {
  const struct store_realm *realm = &item->realm;
  for (size_t i = 0; i < realm->listen_count + realm->origin_count; i++) {
    bool listen = i < realm->listen_count;
    struct hamt *map = listen ? &snapshot->listeners : &snapshot->origins;
    const char *text = listen ? realm->listen_addresses[i] : realm->origins[i - realm->listen_count];
    uint32_t hash = snapshot_hash(snapshot, text);
    int rc = 0;
    if (in) {
      rc = put_choice(snapshot, map, text, item->name);
    } else {
      const struct choice_item *now = (const struct choice_item *)hamt_find(map, hash, text);
      if (now && strcmp(now->realm->text, realm->name) == 0) {
        rc = hamt_remove(map, hash, text);
      }
    }
    if (rc) {
      return rc;
    }
  }
  return 0;
}

static struct key_list *key_list_new(size_t count) {
  struct key_list *list = malloc(sizeof *list + count * sizeof(void *));
  if (list) {
    list->refs = 1;
    list->count = 0;
  }
  return list;
}

static struct realm_item *realm_item_new(struct store_snapshot *snapshot, const char *name) {
  static const struct realm_fields none;
  int rc;
  struct realm_item *item = calloc(1, sizeof *item);
  if (!item) {
    return NULL;
  }
  item->hamt = (struct hamt_item){1, snapshot_hash(snapshot, name)};
  hamt_init(&item->keys, &key_type);
  hamt_init(&item->credentials, &credential_type);
  item->name = text_new(name);
  item->derived = key_list_new(0);
  item->rest = key_list_new(0);
  item->lists = lists_new(&none, &rc);
  if (item->name && item->derived && item->rest && item->lists) {
    return item;
  }
  realm_free(&item->hamt); /* frees item */
  // cppcheck-suppress memleak
  return NULL;
}

int snapshot_put_realm(struct store_snapshot *snapshot, const struct realm_fields *fields) {
  const char *name = fields->realm.name;
  int rc;
  struct realm_lists *lists = lists_new(fields, &rc);
  if (!lists) {
    return rc;
  }
  struct realm_item *item = edit_realm(snapshot, name, &rc);
  if (rc == ENOENT) {
    rc = ENOMEM;
    if ((item = realm_item_new(snapshot, name))) {
      memcpy(item->realm.name, name, sizeof item->realm.name);
      rc = hamt_put(&snapshot->realms, &item->hamt);
    }
  } else if (rc == 0) {
    rc = update_choices(snapshot, item, false);
  }
  if (rc) {
    lists_unref(lists);
    return rc;
  }
  item->realm = fields->realm;
  snapshot->quota_fleet |= fields->realm.quota_fleet;
  lists_unref(item->lists);
  item->lists = lists;
  show_lists(item);
  return update_choices(snapshot, item, true);
}

int snapshot_remove_realm(struct store_snapshot *snapshot, const char *realm) {
  const struct realm_item *item = snapshot_realm(snapshot, realm);
  if (!item) {
    return 0;
  }
  int rc = update_choices(snapshot, item, false);
  if (rc) {
    return rc;
  }
  size_t keys = item->keys.count, credentials = item->credentials.count;
  rc = hamt_remove(&snapshot->realms, item->hamt.hash, realm);
  if (rc == 0) {
    snapshot->keys -= keys;
    snapshot->credentials -= credentials;
  }
  return rc;
}

/* --- keys ------------------------------------------------------------------------------- */

bool snapshot_key_newer(const struct store_key *a, const struct store_key *b) {
  return a->since != b->since ? a->since > b->since : strcmp(a->kid, b->kid) < 0;
}

/* A copy of the list without the key called kid and with key (NULL: with none), the newest first. */
static struct key_list *list_with(const struct key_list *from, const char *kid, const struct store_key *key) {
  struct key_list *list = key_list_new(from->count + 1);
  if (!list) {
    return NULL;
  }
  for (size_t i = 0; i < from->count; i++) {
    if (strcmp(from->key[i]->kid, kid) == 0) {
      continue;
    }
    if (key && snapshot_key_newer(key, from->key[i])) {
      list->key[list->count++] = key;
      key = NULL;
    }
    list->key[list->count++] = from->key[i];
  }
  if (key) {
    list->key[list->count++] = key;
  }
  return list;
}

/* Takes the key called kid out of the list that had it, and puts key (NULL: none) into its own. */
static int put_lists(struct realm_item *item, const char *kid, enum turncred_use old_use, const struct store_key *key) {
  for (int i = 0; i < 2; i++) {
    enum turncred_use use = i == 0 ? TURNCRED_USE_DERIVED : TURNCRED_USE_REST;
    struct key_list **at = i == 0 ? &item->derived : &item->rest;
    bool here = key && key->key.use == use;
    if (!here && old_use != use) {
      continue;
    }
    struct key_list *list = list_with(*at, kid, here ? key : NULL);
    if (!list) {
      return ENOMEM;
    }
    key_list_unref(*at);
    *at = list;
  }
  show_lists(item);
  return 0;
}

const struct key_item *snapshot_key(const struct store_snapshot *snapshot, const struct realm_item *realm,
                                    const char *kid) {
  return (const struct key_item *)hamt_find(&realm->keys, snapshot_hash(snapshot, kid), kid);
}

/* Gives the snapshot a number that no other one has, not even after everything was loaded anew. */
static void count_subjects(struct store_snapshot *snapshot) {
  static _Atomic uint64_t last;
  snapshot->subjects = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

int snapshot_put_key(struct store_snapshot *snapshot, const struct store_key *key) {
  int rc = 0;
  count_subjects(snapshot);
  struct realm_item *realm = edit_realm(snapshot, key->realm, &rc);
  if (rc) {
    return rc;
  }
  size_t n = strlen(key->kid) + 1;
  struct key_item *item = secret_new(SECRET_LOCKED, sizeof *item + n + key->k_len);
  if (!item) {
    return ENOMEM;
  }
  item->hamt = (struct hamt_item){1, snapshot_hash(snapshot, key->kid)};
  item->key = *key;
  item->realm = text_ref(realm->name);
  memcpy(item->kid, key->kid, n);
  item->key.realm = item->realm->text;
  item->key.kid = item->kid;
  if (key->k) {
    memcpy(item->kid + n, key->k, key->k_len);
    item->key.k = (const uint8_t *)item->kid + n;
  }
  const struct key_item *old = snapshot_key(snapshot, realm, key->kid);
  enum turncred_use old_use = old ? old->key.key.use : 0;
  /* the lists come first: they may point to the new item before the map does, never to a freed one */
  item->hamt.refs++;
  rc = put_lists(realm, item->kid, old_use, &item->key);
  if (rc == 0) {
    size_t before = realm->keys.count;
    rc = hamt_put(&realm->keys, &item->hamt);
    if (rc) {
      put_lists(realm, item->kid, item->key.key.use, old ? &old->key : NULL);
    }
    snapshot->keys += realm->keys.count - before;
  } else {
    hamt_unref(&key_type, &item->hamt);
  }
  hamt_unref(&key_type, &item->hamt);
  return rc;
}

int snapshot_remove_key(struct store_snapshot *snapshot, const char *realm_name, const char *kid) {
  const struct realm_item *seen = snapshot_realm(snapshot, realm_name);
  if (!seen || !snapshot_key(snapshot, seen, kid)) {
    return 0;
  }
  int rc = 0;
  struct realm_item *realm = edit_realm(snapshot, realm_name, &rc);
  if (rc) {
    return rc;
  }
  rc = put_lists(realm, kid, snapshot_key(snapshot, realm, kid)->key.key.use, NULL);
  if (rc == 0) {
    rc = hamt_remove(&realm->keys, snapshot_hash(snapshot, kid), kid);
  }
  if (rc == 0) {
    snapshot->keys--;
  }
  return rc;
}

/* --- credentials ------------------------------------------------------------------------ */

static struct credential_item *credential_new(const struct store_snapshot *snapshot, const struct realm_item *realm,
                                              const struct store_credential *credential) {
  size_t n = strlen(credential->username) + 1, m = strlen(credential->client_address) + 1;
  size_t user = strcmp(credential->user, credential->username) ? strlen(credential->user) + 1 : 0;
  struct credential_item *item = secret_new(SECRET_HIDDEN, sizeof *item + n + m + user);
  if (!item) {
    return NULL;
  }
  item->hamt = (struct hamt_item){1, snapshot_hash(snapshot, credential->username)};
  item->credential = *credential;
  item->realm = text_ref(realm->name);
  memcpy(item->text, credential->username, n);
  memcpy(item->text + n, credential->client_address, m);
  memcpy(item->text + n + m, credential->user, user);
  item->credential.realm = item->realm->text;
  item->credential.username = item->text;
  item->credential.user = user ? item->text + n + m : item->text;
  item->credential.client_address = item->text + n;
  return item;
}

int snapshot_put_credential(struct store_snapshot *snapshot, const struct store_credential *credential) {
  int rc = 0;
  struct realm_item *realm = edit_realm(snapshot, credential->realm, &rc);
  struct credential_item *item = realm ? credential_new(snapshot, realm, credential) : NULL;
  if (!item) {
    return rc ? rc : ENOMEM;
  }
  size_t before = realm->credentials.count;
  rc = hamt_put(&realm->credentials, &item->hamt);
  snapshot->credentials += realm->credentials.count - before;
  return rc;
}

int snapshot_pile_credential(struct store_snapshot *snapshot, const struct store_credential *credential) {
  int rc = 0;
  struct realm_item *realm = edit_realm(snapshot, credential->realm, &rc);
  struct credential_item *item = realm ? credential_new(snapshot, realm, credential) : NULL;
  if (!item) {
    return rc ? rc : ENOMEM;
  }
  return hamt_pile_add(&realm->pile, &credential_type, &item->hamt);
}

int snapshot_remove_credential(struct store_snapshot *snapshot, const char *realm_name, const char *username) {
  const struct realm_item *seen = snapshot_realm(snapshot, realm_name);
  uint32_t hash = snapshot_hash(snapshot, username);
  if (!seen || !hamt_find(&seen->credentials, hash, username)) {
    return 0;
  }
  int rc = 0;
  struct realm_item *realm = edit_realm(snapshot, realm_name, &rc);
  if (rc == 0) {
    rc = hamt_remove(&realm->credentials, hash, username);
  }
  if (rc == 0) {
    snapshot->credentials--;
  }
  return rc;
}

/* --- revocations ------------------------------------------------------------------------ */

int snapshot_put_revocation(struct store_snapshot *snapshot, const struct revocation_name *name, int64_t until) {
  size_t n = strlen(name->name) + 1, m = strlen(name->realm) + 1;
  struct revocation_item *item = malloc(sizeof *item + n + m);
  if (!item) {
    return ENOMEM;
  }
  item->hamt = (struct hamt_item){1, snapshot_hash_revocation(snapshot, name)};
  memcpy(item->text, name->name, n);
  memcpy(item->text + n, name->realm, m);
  item->name = (struct revocation_name){name->kind, item->text + n, item->text};
  item->until = until;
  count_subjects(snapshot);
  return hamt_put(&snapshot->revocations, &item->hamt);
}

int snapshot_remove_revocation(struct store_snapshot *snapshot, const struct revocation_name *name) {
  int rc = hamt_remove(&snapshot->revocations, snapshot_hash_revocation(snapshot, name), name);
  return rc == ENOENT ? 0 : rc;
}

void snapshot_clear_revocations(struct store_snapshot *snapshot) { hamt_clear(&snapshot->revocations); }

/* --- clearing --------------------------------------------------------------------------- */

struct names {
  size_t count;
  char (*name)[TURNCRED_REALM_MAX + 1];
};
static bool add_name(const struct hamt_item *item, void *arg) {
  struct names *names = arg;
  memcpy(names->name[names->count++], ((const struct realm_item *)item)->realm.name, TURNCRED_REALM_MAX + 1);
  return true;
}

/* The names of all realms; the caller frees names->name. 0 or ENOMEM. */
static int list_names(const struct store_snapshot *snapshot, struct names *names) {
  *names = (struct names){0, calloc(snapshot->realms.count + 1, sizeof *names->name)};
  if (!names->name) {
    return ENOMEM;
  }
  hamt_each(&snapshot->realms, add_name, names);
  return 0;
}

int snapshot_settle_credentials(struct store_snapshot *snapshot) {
  struct names names;
  int rc = list_names(snapshot, &names);
  for (size_t i = 0; rc == 0 && i < names.count; i++) {
    struct realm_item *realm = edit_realm(snapshot, names.name[i], &rc);
    if (realm) {
      size_t before = realm->credentials.count;
      rc = hamt_pile_settle(&realm->pile, &realm->credentials);
      snapshot->credentials += realm->credentials.count - before;
    }
  }
  free(names.name);
  return rc;
}

static int clear_each(struct store_snapshot *snapshot, bool keys) {
  struct names names;
  int rc = list_names(snapshot, &names);
  for (size_t i = 0; i < names.count && rc == 0; i++) {
    struct realm_item *item = edit_realm(snapshot, names.name[i], &rc);
    if (rc) {
      break;
    }
    if (keys) {
      struct key_list *derived = key_list_new(0), *rest = key_list_new(0);
      if (!derived || !rest) {
        key_list_unref(derived);
        key_list_unref(rest);
        rc = ENOMEM;
        break;
      }
      key_list_unref(item->derived);
      key_list_unref(item->rest);
      item->derived = derived;
      item->rest = rest;
      show_lists(item);
    }
    hamt_clear(keys ? &item->keys : &item->credentials);
  }
  free(names.name);
  if (rc == 0 && keys) {
    snapshot->keys = 0;
  } else if (rc == 0) {
    snapshot->credentials = 0;
  }
  return rc;
}

int snapshot_clear_keys(struct store_snapshot *snapshot) { return clear_each(snapshot, true); }
int snapshot_clear_credentials(struct store_snapshot *snapshot) { return clear_each(snapshot, false); }
