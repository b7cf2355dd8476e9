/*
 * store_probe.c - a store with a script: what a server would see, for tests and for people
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 *   store_probe [-d CONNINFO] [-w CONNINFO] [-k KEK] [-i INSTANCE] [-t server|issuer] [-p POLL_MS]
 *               [-n] [-s SNAPSHOT] [-a MAX_AGE] [-r PLAIN_REALMS] [-m N] < SCRIPT
 *
 * -n: without LISTEN. -m: the store's own threads find no memory for their first N readers. Lines of the script:
 *   load MS                      waits for the first snapshot, PATIENCE times MS at most
 *   print QUESTION
 *   expect QUESTION = ANSWER     now
 *   within MS QUESTION = ANSWER  asked until it is so, PATIENCE times MS at most; says how long it took
 *   during MS QUESTION = ANSWER  is so all the time
 *   lookups N REALM KID USER     N lookups of each kind; says how long one takes
 *   spread N REALM KID%d USER%d M  the same with names made from random numbers up to M
 *   readers N                    N threads look things up all the time from now on
 *   hold / release               keeps the present snapshot for the following questions
 *   reload
 *   reloaded MS                  the same, and waits for the snapshot that it makes, PATIENCE times MS at most
 *   clock                        prints the time, milliseconds since 1970
 *   sh COMMAND                   ends the script if it fails
 * Questions: realm R; key R KID; accepts R KID; credential R USER; has R key|credential NAME;
 * revoked KIND R NAME; sign R USE; derived R; rest R; listener A; origin O; counts; refused;
 * connected; error; from-disk; generation
 * Environment: PATIENCE, how many times longer than on an idle machine an event may take (default 1).
 * Exit: 0, 1 something is not as expected, 2 the script or the options are wrong.
 */
#include "config.h"

#include "store/snapshot.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct store *store;
static struct store_reader *reader;
static const struct store_snapshot *held;
static double patience = 1; /* limits of what must happen are so many times longer */

static pthread_t script;
static atomic_int no_memory; /* so many readers of other threads than the script's */

/* A reader is all for which it is called. */
void *aligned_alloc(size_t alignment, size_t size) {
  void *p = NULL;
  if (!pthread_equal(pthread_self(), script) && atomic_load(&no_memory) > 0) {
    atomic_fetch_sub(&no_memory, 1);
    errno = ENOMEM;
    return NULL;
  }
  return posix_memalign(&p, alignment, size) ? NULL : p;
}

static double now_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* What this thread has worked: others on the machine do not count. */
static double cpu_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void log_line(enum store_log_level level, const char *line, void *arg) {
  (void)arg;
  static const char *const names[] = {"debug", "info", "warning", "error"};
  fprintf(stderr, "%s: %s\n", names[level], line);
}

static void peer(const struct sockaddr *addr, void *arg) {
  char text[NI_MAXHOST];
  (void)arg;
  socklen_t len = addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (getnameinfo(addr, len, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0) {
    fprintf(stderr, "peer %s\n", text);
  }
}

static const char *state_name(enum store_key_state state) {
  static const char *const names[] = {"?", "published", "active", "retired", "disabled"};
  return names[state];
}

static void list_kids(char *out, size_t cap, const struct store_key *const *keys, size_t count) {
  *out = 0;
  for (size_t i = 0; i < count; i++) {
    snprintf(out + strlen(out), cap - strlen(out), "%s%s", i ? " " : "", keys[i]->kid);
  }
  if (count == 0) {
    snprintf(out, cap, "none");
  }
}

static void answer_key(char *out, size_t cap, const struct store_key *key) {
  if (!key) {
    snprintf(out, cap, "none");
    return;
  }
  char enc[2 * sizeof key->key.enc + 1], auth[2 * sizeof key->key.auth + 1];
  turncred_hex_encode(key->key.enc, key->key.enc_len, enc, sizeof enc);
  turncred_hex_encode(key->key.auth, key->key.auth_len, auth, sizeof auth);
  /* octets show in tests only: their keys are worth nothing */
  snprintf(out, cap, "%s/%s %s %s %s %s enc=%s auth=%s tag=%d", key->realm, key->kid, turncred_use_name(key->key.use),
           turncred_alg_name(key->key.alg), turncred_derivation_name(key->key.derivation), state_name(key->state), enc,
           auth, key->subject_tag);
}

static void answer_realm(char *out, size_t cap, const struct store_realm *r) {
  static const char *const names[] = {"", "token", "derived", "rest", "pushed"};
  if (!r) {
    snprintf(out, cap, "none");
    return;
  }
  snprintf(out, cap, "%s %s", r->name, r->server_name);
  for (int i = 0; i < 4 && r->mechanisms[i]; i++) {
    snprintf(out + strlen(out), cap - strlen(out), "%s%s", i ? "," : " ", names[r->mechanisms[i]]);
  }
  snprintf(out + strlen(out), cap - strlen(out),
           " expiry=%d%d%d%d grace=%u ttl=%u/%u quota=%u/%u bps=%" PRIu64 " guests=%zu", r->expiry[1], r->expiry[2],
           r->expiry[3], r->expiry[4], r->grace_seconds, r->default_ttl, r->max_ttl, r->user_quota, r->total_quota,
           r->max_bps, r->guest_count);
}

static void answer_credential(char *out, size_t cap, const struct store_credential *c) {
  if (!c) {
    snprintf(out, cap, "none");
    return;
  }
  char md5[33], sha256[65];
  turncred_hex_encode(c->md5, sizeof c->md5, md5, sizeof md5);
  turncred_hex_encode(c->sha256, sizeof c->sha256, sha256, sizeof sha256);
  bool device = strcmp(c->user, c->username) != 0;
  snprintf(out, cap, "%s/%s %s expiry=%" PRId64 " address=%s%s%s", c->realm, c->username, md5, c->expiry,
           c->client_address, device ? " user=" : "", device ? c->user : "");
}

static int words(char *text, char *out[8]) {
  int n = 0;
  char *save = NULL;
  for (char *w = strtok_r(text, " ", &save); w && n < 8; w = strtok_r(NULL, " ", &save)) {
    out[n++] = w;
  }
  return n;
}

static bool ask(const char *question, char *out, size_t cap) {
  char copy[2048], *w[8] = {0};
  snprintf(copy, sizeof copy, "%s", question);
  int n = words(copy, w);
  struct store_status status;
  store_status(store, &status);
  const struct store_snapshot *s = held ? held : store_acquire(reader);
  const struct store_realm *realm = s && n > 1 ? store_realm_find(s, w[1]) : NULL;
  int64_t now = (int64_t)time(NULL);
  bool known = n > 0;
  snprintf(out, cap, "none");
  if (!known) {
  } else if (strcmp(w[0], "realm") == 0 && n == 2) {
    answer_realm(out, cap, realm);
  } else if (strcmp(w[0], "key") == 0 && n == 3) {
    answer_key(out, cap, realm ? store_key_find(s, realm, w[2]) : NULL);
  } else if (strcmp(w[0], "accepts") == 0 && n == 3) {
    const struct store_key *key = realm ? store_key_find(s, realm, w[2]) : NULL;
    snprintf(out, cap, "%s", key && store_key_accepts(key, now) ? "yes" : "no");
  } else if (strcmp(w[0], "credential") == 0 && n == 3) {
    answer_credential(out, cap, realm ? store_credential_find(s, realm, w[2]) : NULL);
  } else if (strcmp(w[0], "has") == 0 && n == 4) {
    bool there = realm && (strcmp(w[2], "key") == 0 ? store_key_find(s, realm, w[3]) != NULL
                                                    : store_credential_find(s, realm, w[3]) != NULL);
    snprintf(out, cap, "%s", there ? "yes" : "no");
  } else if (strcmp(w[0], "sign") == 0 && n == 3) {
    enum turncred_use use;
    const struct store_key *key = NULL;
    if (realm && turncred_use_parse(w[2], &use) == TURNCRED_OK) {
      key = store_key_to_sign(s, realm, use, now);
    }
    snprintf(out, cap, "%s", key ? key->kid : "none");
  } else if (strcmp(w[0], "derived") == 0 && n == 2) {
    if (realm) {
      list_kids(out, cap, realm->derived, realm->derived_count);
    }
  } else if (strcmp(w[0], "rest") == 0 && n == 2) {
    if (realm) {
      list_kids(out, cap, realm->rest, realm->rest_count);
    }
  } else if (strcmp(w[0], "listener") == 0 && n == 2) {
    realm = s ? store_realm_by_listener(s, w[1]) : NULL;
    snprintf(out, cap, "%s", realm ? realm->name : "none");
  } else if (strcmp(w[0], "origin") == 0 && n == 2) {
    realm = s ? store_realm_by_origin(s, w[1]) : NULL;
    snprintf(out, cap, "%s", realm ? realm->name : "none");
  } else if (strcmp(w[0], "revoked") == 0 && n >= 3) {
    static const char *const kinds[] = {"", "user", "token", "kid", "realm"};
    int kind = 4;
    while (kind > 0 && strcmp(kinds[kind], w[1]) != 0) {
      kind--;
    }
    int64_t at = s && kind ? store_revoked_at(s, (enum store_revocation_kind)kind, w[2], n > 3 ? w[3] : "") : 0;
    snprintf(out, cap, "%s", at == 0 ? "no" : at == INT64_MAX ? "for good" : at > now ? "for now" : "before");
  } else if (strcmp(w[0], "counts") == 0) {
    snprintf(out, cap, "realms=%zu keys=%zu credentials=%zu revocations=%zu", status.realms, status.keys,
             status.credentials, status.revocations);
  } else if (strcmp(w[0], "refused") == 0) {
    snprintf(out, cap, "%zu", status.refused_rows);
  } else if (strcmp(w[0], "connected") == 0) {
    snprintf(out, cap, "%s", status.connected ? "yes" : "no");
  } else if (strcmp(w[0], "from-disk") == 0) {
    snprintf(out, cap, "%s", status.from_disk ? "yes" : "no");
  } else if (strcmp(w[0], "error") == 0) {
    snprintf(out, cap, "%s", status.database_error);
  } else if (strcmp(w[0], "generation") == 0) {
    snprintf(out, cap, "%" PRIu64, s ? s->generation : 0);
  } else {
    known = false;
  }
  if (!held) {
    store_release(reader);
  }
  return known;
}

static int lookups(const char *line) {
  char copy[2048], *w[8] = {0};
  snprintf(copy, sizeof copy, "%s", line);
  if (words(copy, w) != 5) {
    return 2;
  }
  long n = atol(w[1]), found = 0;
  double start = cpu_ms();
  for (long i = 0; i < n; i++) {
    const struct store_snapshot *s = store_acquire(reader);
    const struct store_realm *realm = s ? store_realm_find(s, w[2]) : NULL;
    if (realm) {
      found += store_key_find(s, realm, w[3]) != NULL;
      found += store_credential_find(s, realm, w[4]) != NULL;
      found += store_revoked_at(s, STORE_REVOKED_USER, w[2], w[4]) == 0;
    }
    store_release(reader);
  }
  double took = cpu_ms() - start;
  printf("%ld x 4 lookups, %.0f ns each, %ld found\n", n, took * 1e6 / (double)(n * 4), found);
  return 0;
}

/* A name from a pattern with one %d. */
static void name_from(char *out, size_t cap, const char *pattern, unsigned long number) {
  const char *at = strstr(pattern, "%d");
  int head = at ? (int)(at - pattern) : (int)strlen(pattern);
  snprintf(out, cap, "%.*s%lu%s", head, pattern, number, at ? at + 2 : "");
}

static int spread(const char *line) {
  char copy[2048], *w[8] = {0}, kid[300], user[300];
  snprintf(copy, sizeof copy, "%s", line);
  if (words(copy, w) != 6) {
    return 2;
  }
  unsigned long n = strtoul(w[1], NULL, 10), most = strtoul(w[5], NULL, 10), found = 0;
  uint64_t x = 88172645463325252u;
  double empty = 0, took = 0;
  for (int round = 0; round < 2; round++) {
    double start = cpu_ms();
    for (unsigned long i = 0; i < n; i++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      name_from(kid, sizeof kid, w[3], 1 + x % (most / 10));
      name_from(user, sizeof user, w[4], 1 + x % most);
      if (round == 0) { /* what making names costs */
        continue;
      }
      const struct store_snapshot *s = store_acquire(reader);
      const struct store_realm *realm = s ? store_realm_find(s, w[2]) : NULL;
      found += realm && store_key_find(s, realm, kid) != NULL;
      found += realm && store_credential_find(s, realm, user) != NULL;
      store_release(reader);
    }
    *(round == 0 ? &empty : &took) = cpu_ms() - start;
  }
  printf("%lu times acquire, realm, key, credential, release: %.0f ns, %lu found\n", n,
         (took - empty) * 1e6 / (double)n, found);
  return 0;
}

#define READERS_MAX 16
static pthread_t readers[READERS_MAX];
static int reader_count;
static atomic_bool readers_end;
static atomic_ulong readers_looks, readers_wrong;

/* Reads every octet of what it finds: a snapshot freed too early would show. */
static void *read_on(void *arg) {
  struct store_reader *mine = store_reader_new(store);
  unsigned long looks = 0, wrong = 0;
  (void)arg;
  while (mine && !atomic_load(&readers_end)) {
    const struct store_snapshot *s = store_acquire(mine);
    const struct store_realm *realm = s ? store_realm_find(s, "r") : NULL;
    const struct store_key *key = realm ? store_key_find(s, realm, "k") : NULL;
    char name[16];
    snprintf(name, sizeof name, "u%lu", looks++ % 100);
    const struct store_credential *c = realm ? store_credential_find(s, realm, name) : NULL;
    wrong += key && (strcmp(key->realm, "r") != 0 || strcmp(key->kid, "k") != 0 || key->key.enc_len != 32 ||
                     key->key.enc[31] != 0xab);
    wrong += c && (strcmp(c->realm, "r") != 0 || strcmp(c->username, name) != 0 || strcmp(c->client_address, "") != 0);
    for (size_t i = 0; realm && i < realm->derived_count; i++) {
      wrong += strcmp(realm->derived[i]->realm, "r") != 0;
    }
    store_release(mine);
  }
  atomic_fetch_add(&readers_looks, looks);
  atomic_fetch_add(&readers_wrong, wrong);
  store_reader_free(mine);
  return NULL;
}

static int end_readers(void) {
  atomic_store(&readers_end, true);
  for (int i = 0; i < reader_count; i++) {
    pthread_join(readers[i], NULL);
  }
  if (reader_count > 0) {
    printf("%lu looks by %d readers, %lu wrong\n", atomic_load(&readers_looks), reader_count,
           atomic_load(&readers_wrong));
  }
  return atomic_load(&readers_wrong) != 0;
}

static int expect(const char *how, double ms, char *question) {
  char *equals = strstr(question, " = "), answer[4096];
  if (!equals) {
    return 2;
  }
  *equals = 0;
  const char *want = equals + 3;
  double start = now_ms();
  bool during = strcmp(how, "during") == 0;
  ms *= during ? 1 : patience;
  for (;;) {
    if (!ask(question, answer, sizeof answer)) {
      return 2;
    }
    bool so = strcmp(answer, want) == 0;
    double took = now_ms() - start;
    if (so ? !during || took >= ms : during || took >= ms) {
      printf("%s: %s = %s after %.1f ms\n", so ? "ok" : "NOT", question, answer, took);
      if (!so) {
        printf("     expected: %s\n", want);
      }
      return !so;
    }
    usleep(1000);
  }
}

static uint64_t generation(void) {
  const struct store_snapshot *s = store_acquire(reader);
  uint64_t number = s ? s->generation : 0;
  store_release(reader);
  return number;
}

static bool reloaded(double ms) {
  uint64_t before = generation();
  double end = now_ms() + ms * patience;
  store_reload(store);
  while (generation() == before && now_ms() < end) {
    usleep(1000);
  }
  return generation() != before;
}

static int step(char *line) {
  char answer[4096];
  int used = 0;
  double ms = 0;
  char how[16];
  if (!*line || *line == '#') {
    return 0;
  }
  if (sscanf(line, "load %lf", &ms) == 1) {
    bool there = store_wait(store, (uint32_t)(ms * patience));
    printf("%s\n", there ? "ok: loaded" : "NOT loaded");
    return !there;
  }
  if (strncmp(line, "print ", 6) == 0) {
    if (!ask(line + 6, answer, sizeof answer)) {
      return 2;
    }
    printf("%s = %s\n", line + 6, answer);
    return 0;
  }
  if (strncmp(line, "expect ", 7) == 0) {
    return expect("within", 0, line + 7);
  }
  if (sscanf(line, "%15[a-z] %lf %n", how, &ms, &used) == 2 && used > 0 &&
      (strcmp(how, "within") == 0 || strcmp(how, "during") == 0)) {
    return expect(how, ms, line + used);
  }
  if (strncmp(line, "lookups ", 8) == 0) {
    return lookups(line);
  }
  if (strncmp(line, "spread ", 7) == 0) {
    return spread(line);
  }
  if (sscanf(line, "readers %d", &used) == 1 && used <= READERS_MAX && reader_count == 0) {
    while (reader_count < used && pthread_create(&readers[reader_count], NULL, read_on, NULL) == 0) {
      reader_count++;
    }
    return reader_count == used ? 0 : 2;
  }
  if (strcmp(line, "hold") == 0) {
    held = store_acquire(reader);
    return 0;
  }
  if (strcmp(line, "release") == 0) {
    held = NULL;
    store_release(reader);
    return 0;
  }
  if (strcmp(line, "clock") == 0) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    printf("clock %.3f\n", (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6);
    return 0;
  }
  if (strcmp(line, "reload") == 0) {
    store_reload(store);
    return 0;
  }
  if (sscanf(line, "reloaded %lf", &ms) == 1) {
    bool there = reloaded(ms);
    printf("%s\n", there ? "ok: reloaded" : "NOT reloaded");
    return !there;
  }
  if (strncmp(line, "sh ", 3) == 0) {
    fflush(NULL);
    return system(line + 3) != 0;
  }
  return 2;
}

int main(int argc, char **argv) {
  struct store_config config = {.conninfo = "",
                                .listen = true,
                                .log = log_line,
                                .peer = peer,
                                .version = "probe",
                                .instance = "probe",
                                .poll_ms = 5000};
  char err[400] = "", *line = NULL;
  size_t cap = 0;
  ssize_t n;
  int rc = 0;
  script = pthread_self();
  for (int o; (o = getopt(argc, argv, "d:w:k:i:t:p:ns:a:r:m:")) != -1;) {
    switch (o) {
    case 'd':
      config.conninfo = optarg;
      break;
    case 'w':
      config.conninfo_write = optarg;
      break;
    case 'k':
      config.kek_path = optarg;
      break;
    case 'i':
      config.instance = optarg;
      break;
    case 't':
      config.kind = optarg;
      break;
    case 'p':
      config.poll_ms = (uint32_t)strtoul(optarg, NULL, 10);
      break;
    case 'n':
      config.listen = false;
      break;
    case 's':
      config.snapshot_path = optarg;
      break;
    case 'a':
      config.snapshot_max_age = (uint32_t)strtoul(optarg, NULL, 10);
      break;
    case 'r':
      config.plain_realms = optarg;
      break;
    case 'm':
      no_memory = (int)strtol(optarg, NULL, 10);
      break;
    default:
      return 2;
    }
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  const char *longer = getenv("PATIENCE");
  if (longer && strtod(longer, NULL) > 0) {
    patience = strtod(longer, NULL);
  }
  if (store_new(&store, &config, err, sizeof err)) {
    fprintf(stderr, "store_probe: %s\n", err);
    return 2;
  }
  reader = store_reader_new(store);
  if (!reader || store_start(store)) {
    return 2;
  }
  while (rc == 0 && (n = getline(&line, &cap, stdin)) > 0) {
    line[strcspn(line, "\n")] = 0;
    rc = step(line);
    if (rc) {
      printf("%s: %s\n", rc == 1 ? "failed" : "not understood", line);
    }
  }
  free(line);
  if (end_readers() && rc == 0) {
    rc = 1;
  }
  store_release(reader);
  store_reader_free(reader);
  store_stop(store);
  return rc;
}
