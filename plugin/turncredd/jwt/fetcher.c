/*
 * fetcher.c - fetches the public keys of issuers from their URLs, each on a thread of its own
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "fetcher.h"

#include "base/clock.h"
#include "turncredd/log.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_MS 3000L
#define FETCH_MS 5000L /* a whole fetch */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define HURRY_MS 10000 /* from a fetch to one because of an unknown key */

struct source {
  char url[CONF_VALUE_MAX], ca[CONF_VALUE_MAX]; /* url "": there is nothing to fetch */
  int64_t interval_ms;
};

struct fetcher {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t thread;
  struct source source;
  unsigned version; /* counts changes of source */
  struct jwks *keys;
  bool fetching;
  int64_t next_ms;              /* when the next fetch begins */
  int64_t tried_ms, fetched_ms; /* when the last fetch began, and when keys last came; 0: never */
  atomic_bool stop;
};

struct fetchers {
  pthread_mutex_t lock; /* of the list; a fetcher has a lock of its own */
  struct {
    char issuer[CONF_NAME_MAX]; /* "": a free place, whose fetcher, if there is one, has nothing to fetch */
    struct fetcher *fetcher;
  } of[ISSUERS_MAX];
};

int fetchers_init(void) { return curl_global_init(CURL_GLOBAL_DEFAULT) ? -1 : 0; }

/* --- one fetch ---------------------------------------------------------------------------- */

struct body {
  char *text; /* room for JWKS_OCTETS_MAX */
  size_t len;
};

static size_t on_data(char *data, size_t size, size_t count, void *arg) {
  struct body *body = arg;
  size_t n = size * count;
  if (n > JWKS_OCTETS_MAX - body->len) {
    return 0; /* ends the transfer */
  }
  memcpy(body->text + body->len, data, n);
  body->len += n;
  return n;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
  struct fetcher *f = arg;
  (void)total, (void)now, (void)up_total, (void)up_now;
  return atomic_load(&f->stop);
}

static bool set_up(CURL *curl, const struct source *source, struct fetcher *f, struct body *body, char *error) {
  bool ok = true;
#define SET(option, value) ok = ok && curl_easy_setopt(curl, option, value) == CURLE_OK
  SET(CURLOPT_URL, source->url);
  SET(CURLOPT_PROTOCOLS_STR, "https");
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  if (*source->ca) {
    SET(CURLOPT_CAINFO, source->ca);
    SET(CURLOPT_CAPATH, (char *)NULL);
  }
  SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
  SET(CURLOPT_TIMEOUT_MS, FETCH_MS);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_USERAGENT, "turncredd/" PACKAGE_VERSION);
  SET(CURLOPT_ERRORBUFFER, error);
  SET(CURLOPT_WRITEFUNCTION, on_data);
  SET(CURLOPT_WRITEDATA, body);
  SET(CURLOPT_NOPROGRESS, 0L);
  SET(CURLOPT_XFERINFOFUNCTION, on_progress);
  SET(CURLOPT_XFERINFODATA, f);
#undef SET
  return ok;
}

/* Whether the server closed the connection without TLS's close_notify, where only the end of the connection ends the
 * answer, which curl takes for an error since 8. Of an answer with another status the status says more than that error;
 * of a set of keys the JSON shows that it is complete. */
static bool ended_by_closing(CURLcode code, long status) { return code == CURLE_RECV_ERROR && status != 0; }

/* Fetches the keys of a source. NULL with a sentence in err. */
static struct jwks *fetch(struct fetcher *f, const struct source *source, char *err, size_t cap) {
  char error[CURL_ERROR_SIZE] = "";
  long status = 0;
  struct jwks *keys = NULL;
  struct body body = {malloc(JWKS_OCTETS_MAX), 0};
  CURL *curl = curl_easy_init();
  if (!curl || !body.text || !set_up(curl, source, f, &body, error)) {
    snprintf(err, cap, "jwks: %.300s cannot be fetched: out of memory", source->url);
  } else {
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_WRITE_ERROR) {
      snprintf(err, cap, "jwks: %.300s is larger than %d octets", source->url, JWKS_OCTETS_MAX);
    } else if (code != CURLE_OK && !ended_by_closing(code, status)) {
      snprintf(err, cap, "jwks: %.300s cannot be fetched: %s", source->url, *error ? error : curl_easy_strerror(code));
    } else if (status != 200) {
      snprintf(err, cap, "jwks: %.300s answers with status %ld%s", source->url, status,
               status / 100 == 3 ? "; redirects are not followed: name the final URL" : "");
    } else {
      jwks_parse(&keys, body.text, body.len, source->url, err, cap);
    }
    if (!keys && status == 200 && code == CURLE_RECV_ERROR) {
      snprintf(err, cap, "jwks: %.300s cannot be fetched whole: %s", source->url,
               *error ? error : curl_easy_strerror(code));
    }
  }
  curl_easy_cleanup(curl);
  free(body.text);
  return keys;
}

/* --- the thread --------------------------------------------------------------------------- */

/* Waits until the next fetch is due or the thread shall end. Called under the lock. */
static void wait_for_fetch(struct fetcher *f) {
  for (;;) {
    int64_t wait = *f->source.url ? f->next_ms - clock_ms() : RETRY_MAX_MS;
    if (atomic_load(&f->stop) || wait <= 0) {
      return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait / 1000;
    until.tv_nsec += wait % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
      until.tv_sec++;
      until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&f->wake, &f->lock, &until);
  }
}

static void log_result(struct fetcher *f, const struct source *source, bool fetched, const char *err,
                       const char *last_error) {
  if (!fetched && !atomic_load(&f->stop) && strcmp(err, last_error) != 0) {
    log_line(LOG_WARNING, "%s (keys in force stay)", err);
  }
  if (fetched && *last_error) {
    log_line(LOG_INFO, "jwks: %s is fetched again", source->url);
  }
}

/* Puts new keys into force, or (keys NULL) sets when the next try begins. *delay: milliseconds until a try after a
 * failure. Called under the lock. */
static void take_result(struct fetcher *f, const struct source *source, struct jwks *keys, int64_t *delay) {
  if (!keys) {
    f->next_ms = clock_ms() + (*delay < source->interval_ms ? *delay : source->interval_ms);
    *delay = 2 * *delay < RETRY_MAX_MS ? 2 * *delay : RETRY_MAX_MS;
    return;
  }
  jwks_unref(f->keys);
  f->keys = keys;
  f->fetched_ms = clock_ms();
  f->next_ms = f->fetched_ms + source->interval_ms;
  *delay = RETRY_MIN_MS;
}

static void *run(void *arg) {
  struct fetcher *f = arg;
  char last_error[700] = "";
  int64_t delay = RETRY_MIN_MS;
  unsigned version = 0;
  pthread_setname_np(pthread_self(), "fetcher");
  pthread_mutex_lock(&f->lock);
  for (;;) {
    wait_for_fetch(f);
    if (atomic_load(&f->stop)) {
      break;
    }
    if (version != f->version) {
      delay = RETRY_MIN_MS;
    }
    struct source source = f->source;
    version = f->version;
    f->fetching = true;
    f->tried_ms = clock_ms();
    pthread_mutex_unlock(&f->lock);
    char err[700] = "";
    struct jwks *keys = fetch(f, &source, err, sizeof err);
    log_result(f, &source, keys != NULL, err, last_error);
    memcpy(last_error, err, sizeof err);
    pthread_mutex_lock(&f->lock);
    f->fetching = false;
    if (version == f->version) {
      take_result(f, &source, keys, &delay);
    } else { /* the source has changed meanwhile, and its fetch is due */
      jwks_unref(keys);
    }
  }
  pthread_mutex_unlock(&f->lock);
  return NULL;
}

/* --- one issuer --------------------------------------------------------------------------- */

static struct fetcher *start(void) {
  struct fetcher *f = calloc(1, sizeof *f);
  pthread_condattr_t attr;
  if (!f) {
    return NULL;
  }
  pthread_mutex_init(&f->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&f->wake, &attr);
  pthread_condattr_destroy(&attr);
  atomic_init(&f->stop, false);
  if (!pthread_create(&f->thread, NULL, run, f)) {
    return f;
  }
  pthread_cond_destroy(&f->wake);
  pthread_mutex_destroy(&f->lock);
  free(f);
  return NULL;
}

static void end(struct fetcher *f) {
  pthread_mutex_lock(&f->lock);
  atomic_store(&f->stop, true);
  pthread_cond_signal(&f->wake);
  pthread_mutex_unlock(&f->lock);
}

static void join(struct fetcher *f) {
  pthread_join(f->thread, NULL);
  jwks_unref(f->keys);
  pthread_cond_destroy(&f->wake);
  pthread_mutex_destroy(&f->lock);
  free(f);
}

/* issuer NULL: there is nothing to fetch. */
static void configure(struct fetcher *f, const struct issuer *issuer) {
  struct source source = {.interval_ms = issuer ? issuer->jwks_interval : 0};
  if (issuer) {
    snprintf(source.url, sizeof source.url, "%s", issuer->jwks);
    snprintf(source.ca, sizeof source.ca, "%s", issuer->jwks_ca);
  }
  pthread_mutex_lock(&f->lock);
  if (strcmp(source.url, f->source.url) != 0) {
    jwks_unref(f->keys);
    f->keys = NULL;
    f->fetched_ms = 0;
  }
  f->source = source;
  f->version++;
  f->next_ms = clock_ms();
  pthread_cond_signal(&f->wake);
  pthread_mutex_unlock(&f->lock);
}

/* --- all issuers -------------------------------------------------------------------------- */

struct fetchers *fetchers_new(void) {
  struct fetchers *all = calloc(1, sizeof *all);
  if (all) {
    pthread_mutex_init(&all->lock, NULL);
  }
  return all;
}

void fetchers_stop(struct fetchers *all) {
  if (!all) {
    return;
  }
  for (size_t i = 0; i < ISSUERS_MAX; i++) { /* all at once: each may be in the middle of a fetch */
    if (all->of[i].fetcher) {
      end(all->of[i].fetcher);
    }
  }
  for (size_t i = 0; i < ISSUERS_MAX; i++) {
    if (all->of[i].fetcher) {
      join(all->of[i].fetcher);
    }
  }
  pthread_mutex_destroy(&all->lock);
  free(all);
}

/* The place of an issuer; "": a free one. -1: there is none. Called under the lock. */
static int place_of(const struct fetchers *all, const char *issuer) {
  for (int i = 0; i < ISSUERS_MAX; i++) {
    if (!strcmp(all->of[i].issuer, issuer)) {
      return i;
    }
  }
  return -1;
}

static bool fetches(const struct settings *s, const char *name) {
  for (size_t i = 0; i < s->issuer_count; i++) {
    if (!strcmp(s->issuers[i].name, name)) {
      return issuer_has_url(&s->issuers[i]);
    }
  }
  return false;
}

int fetchers_configure(struct fetchers *all, const struct settings *s) {
  int rc = 0;
  pthread_mutex_lock(&all->lock);
  for (size_t i = 0; i < ISSUERS_MAX; i++) {
    if (*all->of[i].issuer && !fetches(s, all->of[i].issuer)) {
      all->of[i].issuer[0] = '\0';
      configure(all->of[i].fetcher, NULL);
    }
  }
  for (size_t i = 0; i < s->issuer_count; i++) {
    const struct issuer *issuer = &s->issuers[i];
    int place = place_of(all, issuer->name);
    place = place < 0 ? place_of(all, "") : place; /* as many places as sections: there is one */
    if (!issuer_has_url(issuer)) {
      continue;
    }
    if (!all->of[place].fetcher && !(all->of[place].fetcher = start())) {
      rc = -1;
      continue;
    }
    snprintf(all->of[place].issuer, sizeof all->of[place].issuer, "%s", issuer->name);
    configure(all->of[place].fetcher, issuer);
  }
  pthread_mutex_unlock(&all->lock);
  return rc;
}

/* The fetcher of an issuer, locked. NULL: none fetches from the issuer's URL. A reload may have given the place, or the
 * name, to another issuer, whose keys must not check this one's tokens. */
static struct fetcher *lock_fetcher(struct fetchers *all, const struct issuer *issuer) {
  pthread_mutex_lock(&all->lock);
  int place = place_of(all, issuer->name);
  struct fetcher *f = place < 0 ? NULL : all->of[place].fetcher;
  if (f) {
    pthread_mutex_lock(&f->lock);
    if (strcmp(f->source.url, issuer->jwks) != 0) {
      pthread_mutex_unlock(&f->lock);
      f = NULL;
    }
  }
  pthread_mutex_unlock(&all->lock);
  return f;
}

struct jwks *fetchers_keys(struct fetchers *all, const struct issuer *issuer) {
  struct fetcher *f = lock_fetcher(all, issuer);
  struct jwks *keys = NULL;
  if (f) {
    keys = jwks_ref(f->keys);
    pthread_mutex_unlock(&f->lock);
  }
  return keys;
}

bool fetchers_hurry(struct fetchers *all, const struct issuer *issuer) {
  struct fetcher *f = lock_fetcher(all, issuer);
  if (!f) {
    return false;
  }
  int64_t now = clock_ms();
  bool soon = f->fetching || f->next_ms <= now;
  if (!soon && now - f->tried_ms >= HURRY_MS) {
    f->next_ms = now;
    pthread_cond_signal(&f->wake);
    soon = true;
  }
  pthread_mutex_unlock(&f->lock);
  return soon;
}

size_t fetchers_ages(struct fetchers *all, struct fetcher_age ages[ISSUERS_MAX]) {
  size_t n = 0;
  pthread_mutex_lock(&all->lock);
  for (size_t i = 0; i < ISSUERS_MAX; i++) {
    struct fetcher *f = *all->of[i].issuer ? all->of[i].fetcher : NULL;
    if (f) {
      pthread_mutex_lock(&f->lock);
      ages[n].seconds = f->fetched_ms ? (clock_ms() - f->fetched_ms) / 1000 : -1;
      pthread_mutex_unlock(&f->lock);
      snprintf(ages[n].issuer, sizeof ages[n].issuer, "%s", all->of[i].issuer);
      n++;
    }
  }
  pthread_mutex_unlock(&all->lock);
  return n;
}
