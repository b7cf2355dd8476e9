/*
 * test_store_snapshot.c - snapshots: a change shows in the next one and leaves the one before as it was
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "store/disk.h"
#include "store/snapshot.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void put_realm(struct store_snapshot *s, const char *name, const char *guests, const char *listens,
                      const char *origins) {
  struct realm_fields fields;
  memset(&fields, 0, sizeof fields);
  snprintf(fields.realm.name, sizeof fields.realm.name, "%s", name);
  snprintf(fields.realm.server_name, sizeof fields.realm.server_name, "turn.%s", name);
  fields.realm.mechanisms[0] = STORE_TOKEN;
  fields.realm.max_ttl = 86400;
  fields.guest_kids = guests;
  fields.listen_addresses = listens;
  fields.origins = origins;
  assert_int_equal(snapshot_put_realm(s, &fields), 0);
}

static void put_key_at(struct store_snapshot *s, const char *realm, const char *kid, enum turncred_use use,
                       enum store_key_state state, int64_t not_before, int64_t sign_until, int64_t accept_until) {
  uint8_t k[32];
  struct store_key key;
  memset(&key, 0, sizeof key);
  key.since = not_before;
  memset(k, kid[0], sizeof k);
  assert_int_equal(turncred_key_init(&key.key, use,
                                     use == TURNCRED_USE_TOKEN     ? TURNCRED_A256GCM
                                     : use == TURNCRED_USE_DERIVED ? TURNCRED_HMAC_SHA256
                                                                   : TURNCRED_HMAC_SHA1,
                                     TURNCRED_DERIVATION_NONE, k, sizeof k),
                   TURNCRED_OK);
  key.realm = realm;
  key.kid = kid;
  key.state = state;
  key.not_before = not_before;
  key.sign_until = sign_until;
  key.accept_until = accept_until;
  key.since = not_before * 1000000;
  assert_int_equal(snapshot_put_key(s, &key), 0);
}
static void put_key(struct store_snapshot *s, const char *realm, const char *kid, enum turncred_use use,
                    int64_t not_before) {
  put_key_at(s, realm, kid, use, STORE_KEY_ACTIVE, not_before, 0, 0);
}

static void put_credential(struct store_snapshot *s, const char *realm, const char *username, uint8_t octet) {
  struct store_credential c;
  memset(&c, 0, sizeof c);
  c.realm = realm;
  c.username = c.user = username;
  c.client_address = "192.0.2.1";
  memset(c.md5, octet, sizeof c.md5);
  assert_int_equal(snapshot_put_credential(s, &c), 0);
}

static const struct store_key *key(const struct store_snapshot *s, const char *realm, const char *kid) {
  return store_key_find(s, store_realm_find(s, realm), kid);
}
static const struct store_credential *credential(const struct store_snapshot *s, const char *realm,
                                                 const char *username) {
  return store_credential_find(s, store_realm_find(s, realm), username);
}

static void versions(void **state) {
  (void)state;
  struct store_snapshot *a = snapshot_new(42);
  put_realm(a, "r", "", "192.0.2.1\n2001:db8::1", "https://a.example");
  put_key(a, "r", "k1", TURNCRED_USE_TOKEN, 0);
  put_key(a, "r", "d1", TURNCRED_USE_DERIVED, 10);
  put_credential(a, "r", "alice", 1);
  struct store_snapshot *b = snapshot_fork(a);
  put_key(b, "r", "k1", TURNCRED_USE_DERIVED, 20); /* another use */
  put_key(b, "r", "k2", TURNCRED_USE_TOKEN, 0);
  put_credential(b, "r", "alice", 2);
  put_credential(b, "r", "bob", 3);
  put_realm(b, "r", "", "192.0.2.2", "");
  assert_int_equal(b->keys, 3);
  assert_int_equal(b->credentials, 2);
  assert_int_equal(a->keys, 2);
  assert_int_equal(a->credentials, 1);
  assert_int_equal(key(a, "r", "k1")->key.use, TURNCRED_USE_TOKEN);
  assert_int_equal(key(b, "r", "k1")->key.use, TURNCRED_USE_DERIVED);
  assert_int_equal(credential(a, "r", "alice")->md5[0], 1);
  assert_int_equal(credential(b, "r", "alice")->md5[0], 2);
  assert_string_equal(credential(b, "r", "bob")->client_address, "192.0.2.1");
  assert_null(credential(a, "r", "bob"));
  assert_int_equal(store_realm_find(a, "r")->derived_count, 1);
  assert_int_equal(store_realm_find(b, "r")->derived_count, 2);
  assert_string_equal(store_realm_find(b, "r")->derived[0]->kid, "k1"); /* the newest first */
  assert_ptr_equal(store_realm_by_listener(a, "2001:db8::1"), store_realm_find(a, "r"));
  assert_null(store_realm_by_listener(b, "2001:db8::1"));
  assert_null(store_realm_by_listener(b, "192.0.2.1"));
  assert_ptr_equal(store_realm_by_listener(b, "192.0.2.2"), store_realm_find(b, "r"));
  assert_null(store_realm_by_origin(b, "https://a.example"));
  struct store_snapshot *c = snapshot_fork(b);
  snapshot_free(b);
  assert_int_equal(snapshot_remove_key(c, "r", "k1"), 0);
  assert_int_equal(snapshot_remove_key(c, "r", "k1"), 0);
  assert_int_equal(snapshot_remove_credential(c, "r", "bob"), 0);
  assert_int_equal(snapshot_remove_credential(c, "r", "nobody"), 0);
  assert_int_equal(c->keys, 2);
  assert_int_equal(c->credentials, 1);
  assert_int_equal(store_realm_find(c, "r")->derived_count, 1);
  snapshot_free(a);
  assert_int_equal(snapshot_clear_keys(c), 0);
  assert_int_equal(snapshot_clear_credentials(c), 0);
  assert_int_equal(c->keys + c->credentials, 0);
  assert_int_equal(store_realm_find(c, "r")->derived_count, 0);
  assert_int_equal(snapshot_remove_realm(c, "r"), 0);
  assert_int_equal(snapshot_remove_realm(c, "r"), 0);
  assert_null(store_realm_find(c, "r"));
  assert_null(store_realm_by_listener(c, "192.0.2.2"));
  snapshot_free(c);
}

static void put_device(struct store_snapshot *s, const char *realm, const char *user, const char *username) {
  struct store_credential c;
  memset(&c, 0, sizeof c);
  c.realm = realm;
  c.username = username;
  c.user = user;
  c.client_address = "192.0.2.1";
  assert_int_equal(snapshot_put_credential(s, &c), 0);
}

static void device_of_a_user(void **state) {
  (void)state;
  struct store_snapshot *s = snapshot_new(1);
  put_realm(s, "r", "", "", "");
  put_device(s, "r", "alice", "alice~1");
  assert_string_equal(credential(s, "r", "alice~1")->user, "alice");
  assert_string_equal(credential(s, "r", "alice~1")->client_address, "192.0.2.1");
  assert_null(credential(s, "r", "alice"));
  put_device(s, "r", "alice~1", "alice~1");
  assert_ptr_equal(credential(s, "r", "alice~1")->user, credential(s, "r", "alice~1")->username);
  snapshot_free(s);
}

static void unknown_realm(void **state) {
  (void)state;
  struct store_snapshot *s = snapshot_new(1);
  struct store_key k;
  struct store_credential c;
  memset(&k, 0, sizeof k);
  memset(&c, 0, sizeof c);
  k.realm = c.realm = "nowhere";
  k.kid = c.username = c.user = c.client_address = "";
  assert_int_equal(snapshot_put_key(s, &k), ENOENT);
  assert_int_equal(snapshot_put_credential(s, &c), ENOENT);
  snapshot_free(s);
  snapshot_free(NULL);
}

static void guests(void **state) {
  (void)state;
  struct store_snapshot *s = snapshot_new(1);
  put_realm(s, "home", "", "", "");
  put_realm(s, "host", "home/k\nnowhere/x\nhome/a/b", "", "");
  put_key(s, "home", "k", TURNCRED_USE_TOKEN, 0);
  put_key(s, "home", "a/b", TURNCRED_USE_TOKEN, 0);
  put_key(s, "home", "other", TURNCRED_USE_TOKEN, 0);
  assert_string_equal(key(s, "host", "k")->realm, "home");
  assert_string_equal(key(s, "host", "a/b")->kid, "a/b");
  assert_null(key(s, "host", "other"));
  assert_null(key(s, "host", "x"));
  put_key(s, "host", "k", TURNCRED_USE_TOKEN, 0);
  assert_string_equal(key(s, "host", "k")->realm, "host"); /* its own comes first */
  snapshot_free(s);
}

static void windows(void **state) {
  (void)state;
  struct store_snapshot *s = snapshot_new(1);
  put_realm(s, "r", "", "", "");
  put_key_at(s, "r", "old", TURNCRED_USE_TOKEN, STORE_KEY_ACTIVE, 100, 200, 300);
  put_key_at(s, "r", "new", TURNCRED_USE_TOKEN, STORE_KEY_ACTIVE, 150, 400, 500);
  put_key_at(s, "r", "next", TURNCRED_USE_TOKEN, STORE_KEY_PUBLISHED, 160, 0, 0);
  put_key_at(s, "r", "off", TURNCRED_USE_TOKEN, STORE_KEY_DISABLED, 0, 0, 0);
  put_key_at(s, "r", "gone", TURNCRED_USE_TOKEN, STORE_KEY_RETIRED, 0, 0, 1000);
  const struct store_realm *r = store_realm_find(s, "r");
  const struct store_key *old = key(s, "r", "old");
  assert_false(store_key_accepts(old, 99));
  assert_true(store_key_accepts(old, 100));
  assert_true(store_key_accepts(old, 299));
  assert_false(store_key_accepts(old, 300));
  assert_false(store_key_accepts(key(s, "r", "off"), 200));
  assert_true(store_key_accepts(key(s, "r", "gone"), 200));
  assert_true(store_key_accepts(key(s, "r", "next"), 200));
  assert_null(store_key_to_sign(s, r, TURNCRED_USE_TOKEN, 99));
  assert_string_equal(store_key_to_sign(s, r, TURNCRED_USE_TOKEN, 149)->kid, "old");
  assert_string_equal(store_key_to_sign(s, r, TURNCRED_USE_TOKEN, 170)->kid, "new");
  assert_string_equal(store_key_to_sign(s, r, TURNCRED_USE_TOKEN, 399)->kid, "new");
  assert_null(store_key_to_sign(s, r, TURNCRED_USE_TOKEN, 400));
  assert_null(store_key_to_sign(s, r, TURNCRED_USE_DERIVED, 170));
  put_key(s, "r", "r1", TURNCRED_USE_REST, 10);
  put_key(s, "r", "r2", TURNCRED_USE_REST, 20);
  assert_string_equal(store_key_to_sign(s, store_realm_find(s, "r"), TURNCRED_USE_REST, 30)->kid, "r2");
  snapshot_free(s);
}

static void revocations(void **state) {
  (void)state;
  struct store_snapshot *s = snapshot_new(1);
  struct revocation_name name = {STORE_REVOKED_USER, "r", "alice"};
  assert_int_equal(snapshot_put_revocation(s, &name, INT64_MAX), 0);
  assert_int_equal(store_revoked_at(s, STORE_REVOKED_USER, "r", "alice"), INT64_MAX);
  assert_int_equal(store_revoked_at(s, STORE_REVOKED_KID, "r", "alice"), 0);
  assert_int_equal(store_revoked_at(s, STORE_REVOKED_USER, "s", "alice"), 0);
  assert_int_equal(snapshot_put_revocation(s, &name, 1000), 0);
  assert_int_equal(store_revoked_at(s, STORE_REVOKED_USER, "r", "alice"), 1000);
  assert_int_equal(s->revocations.count, 1);
  assert_int_equal(snapshot_remove_revocation(s, &name), 0);
  assert_int_equal(snapshot_remove_revocation(s, &name), 0);
  assert_int_equal(store_revoked_at(s, STORE_REVOKED_USER, "r", "alice"), 0);
  snapshot_free(s);
}

static int put_peers(struct store_snapshot *s, const char *realm, const char *allowed, const char *denied) {
  struct realm_fields fields;
  memset(&fields, 0, sizeof fields);
  snprintf(fields.realm.name, sizeof fields.realm.name, "%s", realm);
  fields.allowed_peers = allowed;
  fields.denied_peers = denied;
  return snapshot_put_realm(s, &fields);
}

static int put_usage(struct store_snapshot *s, const char *realm, enum store_usage usage) {
  struct realm_fields fields;
  memset(&fields, 0, sizeof fields);
  snprintf(fields.realm.name, sizeof fields.realm.name, "%s", realm);
  fields.realm.usage = usage;
  fields.realm.offer_shown = *realm == 'o';
  memset(fields.realm.usage_salt, 0xab, sizeof fields.realm.usage_salt);
  return snapshot_put_realm(s, &fields);
}

static bool lets_in(const struct store_snapshot *s, const char *realm, const char *peer) {
  uint8_t octets[16];
  bool v6 = strchr(peer, ':');
  assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, peer, octets), 1);
  return store_peer_allowed(store_realm_find(s, realm), octets, v6 ? 16 : 4);
}

static void peers(void **state) {
  (void)state;
  struct store_snapshot *s = snapshot_new(1);
  assert_int_equal(put_peers(s, "none", "", NULL), 0);
  assert_true(lets_in(s, "none", "192.0.2.1") && lets_in(s, "none", "::1"));
  assert_int_equal(put_peers(s, "some", "192.0.2.0/24\n2001:db8::/32", "192.0.2.7"), 0);
  assert_true(lets_in(s, "some", "192.0.2.1") && lets_in(s, "some", "2001:db8::1"));
  assert_false(lets_in(s, "some", "192.0.2.7") || lets_in(s, "some", "192.0.3.1") || lets_in(s, "some", "2001:db9::1"));
  /* what cannot be read changes nothing */
  assert_int_equal(put_peers(s, "some", "192.0.2.0/24\nx", ""), EINVAL);
  assert_int_equal(put_peers(s, "some", "", "192.0.2.1/24"), EINVAL);
  assert_int_equal(put_peers(s, "some", "\n", ""), EINVAL);
  assert_int_equal(put_peers(s, "new", "2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0000/128", ""), EINVAL);
  assert_false(lets_in(s, "some", "192.0.2.7") || store_realm_find(s, "new"));
  /* the snapshot before keeps its lists */
  struct store_snapshot *next = snapshot_fork(s);
  assert_int_equal(put_peers(next, "some", "", "0.0.0.0/0"), 0);
  assert_false(lets_in(next, "some", "192.0.2.1"));
  assert_true(lets_in(next, "some", "2001:db9::1") && lets_in(s, "some", "192.0.2.1"));
  snapshot_free(next);
  snapshot_free(s);
}

/* More than one chunk, and chunks of all lengths around the boundary. */
static void disk(void **state) {
  (void)state;
  char path[] = "/tmp/turncred-snap.XXXXXX", kekdir[] = "/tmp/turncred-snapkek.XXXXXX", err[300];
  char kek_path[64], command[100];
  struct kek_ring *keks;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  assert_non_null(mkdtemp(kekdir));
  snprintf(kek_path, sizeof kek_path, "%s/main", kekdir);
  assert_int_equal(kek_generate(kek_path, err, sizeof err), 0);
  assert_int_equal(kek_ring_load(&keks, kek_path, err, sizeof err), 0);
  struct sealed_header in = {"main", "db 1", "here", 77, 1000}, out;
  struct store_snapshot *s = snapshot_new(1), *back;
  put_realm(s, "r", "home/k", "192.0.2.1", "");
  for (int i = 0; i < 600; i++) {
    char name[40];
    snprintf(name, sizeof name, "user%d", i);
    put_credential(s, "r", name, (uint8_t)i);
  }
  put_device(s, "r", "user7", "user7~1");
  assert_int_equal(put_peers(s, "p", "192.0.2.0/24\n2001:db8::/32", "192.0.2.7"), 0);
  assert_int_equal(put_usage(s, "u", STORE_USAGE_ADDRESS), 0);
  assert_int_equal(put_usage(s, "o", STORE_USAGE_OFF), 0);
  for (int i = 0; i < 140; i++) {
    /* the length of the names moves the end of the file over the boundary octet by octet */
    struct revocation_name name = {STORE_REVOKED_USER, "r", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    char text[16];
    snprintf(text, sizeof text, "%.*s%d", i % 3, "aaa", i);
    name.name = text;
    assert_int_equal(snapshot_put_revocation(s, &name, i + 1), 0);
    assert_int_equal(disk_write(path, s, &in, kek_ring_find(keks, "main"), err, sizeof err), 0);
    assert_int_equal(disk_read(path, &(struct sealed_reading){keks, "here", 1010, 20}, 9, &back, &out, err, sizeof err),
                     0);
    assert_int_equal(back->credentials, 601);
    assert_true(lets_in(back, "p", "192.0.2.1") && lets_in(back, "p", "2001:db8::1") && lets_in(back, "r", "::1"));
    assert_int_equal(store_realm_find(back, "u")->usage, STORE_USAGE_ADDRESS);
    assert_int_equal(store_realm_find(back, "u")->usage_salt[31], 0xab);
    assert_int_equal(store_realm_find(back, "p")->usage, STORE_USAGE_OFF);
    assert_true(store_realm_find(back, "o")->offer_shown && !store_realm_find(back, "u")->offer_shown);
    assert_false(lets_in(back, "p", "192.0.2.7") || lets_in(back, "p", "198.51.100.1"));
    assert_string_equal(credential(back, "r", "user7~1")->user, "user7");
    assert_string_equal(credential(back, "r", "user7")->user, "user7");
    assert_int_equal(back->revocations.count, i + 1);
    assert_int_equal(store_revoked_at(back, STORE_REVOKED_USER, "r", text), i + 1);
    assert_string_equal(store_realm_find(back, "r")->guest_kids[0], "home/k");
    assert_int_equal(credential(back, "r", "user255")->md5[0], 255);
    snapshot_free(back);
  }
  assert_int_equal(out.progress, 77);
  assert_string_equal(out.identity, "db 1");
  assert_int_equal(disk_read(path, &(struct sealed_reading){keks, "here", 1021, 20}, 9, &back, &out, err, sizeof err),
                   ESTALE);
  assert_int_equal(disk_read(path, &(struct sealed_reading){keks, "here", 600, 20}, 9, &back, &out, err, sizeof err),
                   ESTALE);
  assert_int_equal(disk_read(path, &(struct sealed_reading){keks, "there", 1010, 20}, 9, &back, &out, err, sizeof err),
                   EPERM);
  assert_int_equal(disk_read(path, &(struct sealed_reading){NULL, "here", 1010, 20}, 9, &back, &out, err, sizeof err),
                   ENOKEY);
  assert_int_equal(disk_write("/nowhere/x", s, &in, kek_ring_find(keks, "main"), err, sizeof err), ENOENT);
  snapshot_free(s);
  /* a text of a program's own, as long as it likes, is not taken for another one */
  const struct sealed_reading how = {keks, "here", 1010, 20};
  char *text = malloc(200001), *again = NULL;
  memset(text, 'x', 200000);
  for (size_t n = 0; n <= 200000; n = n ? n * 3 + 65000 : 1) {
    text[n] = '\0';
    assert_int_equal(sealed_write_text(path, text, &in, kek_ring_find(keks, "main"), err, sizeof err), 0);
    text[n] = 'x';
    assert_int_equal(sealed_read_text(path, "db 1", &how, &again, &out, err, sizeof err), 0);
    assert_int_equal(strlen(again), n);
    free(again);
  }
  assert_int_equal(sealed_read_text(path, "db 2", &how, &again, &out, err, sizeof err), EBADMSG);
  assert_int_equal(disk_read(path, &(struct sealed_reading){keks, "here", 1010, 20}, 9, &back, &out, err, sizeof err),
                   EBADMSG);
  assert_int_equal(truncate(path, 300), 0);
  assert_int_equal(sealed_read_text(path, "db 1", &how, &again, &out, err, sizeof err), EBADMSG);
  free(text);
  kek_ring_free(keks);
  unlink(path);
  snprintf(command, sizeof command, "rm -rf %s", kekdir);
  assert_int_equal(system(command), 0);
}

static int threads_left = -1; /* -1: as many as the system has */
static atomic_bool told;

/* Stands for that of the C library. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg) {
  int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  void *found = dlsym(RTLD_NEXT, "pthread_create");
  memcpy(&next, &found, sizeof next);
  if (threads_left == 0) {
    return EAGAIN;
  }
  threads_left -= threads_left > 0;
  return next(thread, attr, run, arg);
}

static void hear(enum store_log_level level, const char *line, void *arg) {
  (void)arg;
  if (level == STORE_LOG_ERROR && strstr(line, "snapshot /nonexistent/x: it is not written")) {
    atomic_store(&told, true);
  }
}

static void saver_that_does_not_start(void **state) {
  (void)state;
  char err[300];
  struct store *store;
  const struct store_config config = {.conninfo = "host=/nonexistent", .snapshot_path = "/nonexistent/x", .log = hear};
  assert_int_equal(store_new(&store, &config, err, sizeof err), 0);
  threads_left = 1;
  assert_int_equal(store_start(store), 0);
  threads_left = -1;
  store_stop(store);
  assert_true(atomic_load(&told));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(versions),
      cmocka_unit_test(device_of_a_user),
      cmocka_unit_test(unknown_realm),
      cmocka_unit_test(guests),
      cmocka_unit_test(windows),
      cmocka_unit_test(revocations),
      cmocka_unit_test(peers),
      cmocka_unit_test(disk),
      cmocka_unit_test(saver_that_does_not_start),
  };
  return cmocka_run_group_tests_name("store snapshot", tests, NULL, NULL);
}
