/*
 * sealed.c - sealed files: encrypted and authentic in chunks, whole or not at all
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "sealed.h"

#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536
#define TAG 16
#define SALT 32
#define HEADER_MAX 768
#define AHEAD 300 /* seconds that a file may be ahead of the clock */

static const char magic[8] = {'T', 'C', 'S', 'N', 'A', 'P', 0, SEALED_VERSION};
static const char label[] = "turncred-snapshot-v1";
static const char later[] = "a later version of turncred wrote it, and this one goes on without it";

/* --- the sealed stream ------------------------------------------------------------------ */

struct sealed {
  FILE *file;
  EVP_CIPHER_CTX *ctx;
  uint8_t header[HEADER_MAX];
  size_t header_len;
  uint64_t number; /* of the next chunk */
  size_t len, pos; /* of what is in plain */
  bool last;       /* reading: the last chunk is in plain */
  int error;       /* errno value; 0: fine */
  uint8_t plain[CHUNK], sealed[CHUNK + TAG];
};

static int derive(const uint8_t kek[TURNCRED_KEK], const struct sealed *s, const uint8_t *salt, uint8_t key[32]) {
  uint8_t info[sizeof label - 1 + HEADER_MAX];
  memcpy(info, label, sizeof label - 1);
  memcpy(info + sizeof label - 1, s->header, s->header_len);
  OSSL_PARAM params[] = {
      OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 6),
      OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)kek, TURNCRED_KEK),
      OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, SALT),
      OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof label - 1 + s->header_len),
      OSSL_PARAM_END,
  };
  EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
  EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
  int ok = ctx && EVP_KDF_derive(ctx, key, 32, params) > 0;
  EVP_KDF_CTX_free(ctx);
  EVP_KDF_free(kdf);
  return ok ? 0 : EIO;
}

static int stream_key(struct sealed *s, const uint8_t kek[TURNCRED_KEK], int seal) {
  uint8_t key[32];
  s->ctx = EVP_CIPHER_CTX_new();
  int rc = s->ctx ? derive(kek, s, s->header + s->header_len - SALT, key) : ENOMEM;
  if (rc == 0 && EVP_CipherInit_ex(s->ctx, EVP_aes_256_gcm(), NULL, key, NULL, seal) != 1) {
    rc = EIO;
  }
  turncred_cleanse(key, sizeof key);
  return rc;
}

static void stream_free(struct sealed *s) {
  if (!s) {
    return;
  }
  EVP_CIPHER_CTX_free(s->ctx);
  if (s->file) {
    fclose(s->file);
  }
  turncred_cleanse(s, sizeof *s);
  free(s);
}

static bool begin_chunk(struct sealed *s, bool last, int seal) {
  uint8_t nonce[12] = {0};
  int n;
  for (int i = 0; i < 8; i++) {
    nonce[i] = (uint8_t)(s->number >> (56 - 8 * i));
  }
  nonce[8] = last;
  s->number++;
  return EVP_CipherInit_ex(s->ctx, NULL, NULL, NULL, nonce, seal) == 1 &&
         EVP_CipherUpdate(s->ctx, NULL, &n, s->header, (int)s->header_len) == 1;
}

static void flush_chunk(struct sealed *s, bool last) {
  uint8_t length[4] = {(uint8_t)(s->len >> 24), (uint8_t)(s->len >> 16), (uint8_t)(s->len >> 8), (uint8_t)s->len};
  int n = 0, end = 0;
  if (s->error) {
    return;
  }
  if (!begin_chunk(s, last, 1) || EVP_CipherUpdate(s->ctx, s->sealed, &n, s->plain, (int)s->len) != 1 ||
      EVP_CipherFinal_ex(s->ctx, s->sealed + n, &end) != 1 ||
      EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, TAG, s->sealed + s->len) != 1) {
    s->error = EIO;
  } else if (fwrite(length, 1, 4, s->file) != 4 || fwrite(s->sealed, 1, s->len + TAG, s->file) != s->len + TAG) {
    s->error = errno ? errno : EIO;
  }
  s->len = 0;
}

static void fill_chunk(struct sealed *s) {
  uint8_t length[4];
  size_t len = 0;
  if (fread(length, 1, 4, s->file) == 4) {
    len = (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
  } else {
    s->error = EBADMSG;
  }
  if (!s->error && (len > CHUNK || fread(s->sealed, 1, len + TAG, s->file) != len + TAG)) {
    s->error = EBADMSG;
  }
  if (s->error) {
    return;
  }
  /* only the last chunk may be shorter, or be followed by nothing */
  int c = len < CHUNK ? EOF : getc(s->file);
  if (len < CHUNK && getc(s->file) != EOF) {
    s->error = EBADMSG;
  }
  if (c != EOF) {
    ungetc(c, s->file);
  }
  s->last = c == EOF;
  int n = 0, end = 0;
  if (s->error || !begin_chunk(s, s->last, 0) || EVP_CipherUpdate(s->ctx, s->plain, &n, s->sealed, (int)len) != 1 ||
      EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_SET_TAG, TAG, s->sealed + len) != 1 ||
      EVP_CipherFinal_ex(s->ctx, s->plain + n, &end) != 1) {
    s->error = EBADMSG;
    turncred_cleanse(s->plain, sizeof s->plain); /* not authentic */
    return;
  }
  s->len = len;
  s->pos = 0;
}

void sealed_put(struct sealed *s, const void *p, size_t n) {
  const uint8_t *in = p;
  while (n > 0 && !s->error) {
    size_t take = CHUNK - s->len < n ? CHUNK - s->len : n;
    memcpy(s->plain + s->len, in, take);
    s->len += take;
    in += take;
    n -= take;
    if (s->len == CHUNK && n > 0) {
      flush_chunk(s, false);
    }
  }
}

void sealed_get(struct sealed *s, void *p, size_t n) {
  uint8_t *out = p;
  while (n > 0 && !s->error) {
    if (s->pos == s->len) {
      if (s->last) {
        s->error = EBADMSG;
      } else {
        fill_chunk(s);
      }
      continue;
    }
    size_t take = s->len - s->pos < n ? s->len - s->pos : n;
    memcpy(out, s->plain + s->pos, take);
    s->pos += take;
    out += take;
    n -= take;
  }
  if (s->error) {
    memset(out, 0, n);
  }
}

void sealed_put_int(struct sealed *s, uint64_t x) {
  uint8_t b[8];
  for (int i = 0; i < 8; i++) {
    b[i] = (uint8_t)(x >> (56 - 8 * i));
  }
  sealed_put(s, b, 8);
}
uint64_t sealed_get_int(struct sealed *s) {
  uint8_t b[8];
  uint64_t x = 0;
  sealed_get(s, b, 8);
  for (int i = 0; i < 8; i++) {
    x = x << 8 | b[i];
  }
  return x;
}
void sealed_put_byte(struct sealed *s, unsigned x) {
  uint8_t b = (uint8_t)x;
  sealed_put(s, &b, 1);
}
unsigned sealed_get_byte(struct sealed *s) {
  uint8_t b;
  sealed_get(s, &b, 1);
  return b;
}
void sealed_put_text(struct sealed *s, const char *text) {
  size_t n = strlen(text);
  sealed_put_byte(s, (unsigned)(n >> 8));
  sealed_put_byte(s, (unsigned)n);
  sealed_put(s, text, n);
}
void sealed_get_text(struct sealed *s, char *out, size_t cap) {
  size_t n = (size_t)sealed_get_byte(s) << 8;
  n |= sealed_get_byte(s);
  *out = 0;
  if (n >= cap) {
    s->error = EBADMSG;
  }
  if (s->error) {
    return;
  }
  sealed_get(s, out, n);
  out[n] = 0;
}

/* --- header ----------------------------------------------------------------------------- */

static void header_text(struct sealed *s, const char *text) {
  size_t n = strlen(text);
  s->header[s->header_len++] = (uint8_t)(n >> 8);
  s->header[s->header_len++] = (uint8_t)n;
  memcpy(s->header + s->header_len, text, n);
  s->header_len += n;
}
static void header_int(struct sealed *s, uint64_t x) {
  for (int i = 0; i < 8; i++) {
    s->header[s->header_len++] = (uint8_t)(x >> (56 - 8 * i));
  }
}

static int make_header(struct sealed *s, const struct sealed_header *h) {
  uint8_t salt[SALT];
  if (RAND_bytes(salt, sizeof salt) != 1) {
    return EIO;
  }
  memcpy(s->header, magic, sizeof magic);
  s->header_len = sizeof magic;
  header_text(s, h->kek_id);
  header_text(s, h->identity);
  header_text(s, h->instance);
  header_int(s, h->progress);
  header_int(s, (uint64_t)h->time);
  memcpy(s->header + s->header_len, salt, SALT);
  s->header_len += SALT;
  return 0;
}

static bool take(struct sealed *s, size_t n) {
  bool ok = s->header_len + n <= HEADER_MAX && fread(s->header + s->header_len, 1, n, s->file) == n;
  if (ok) {
    s->header_len += n;
  }
  return ok;
}
static bool take_text(struct sealed *s, char *out, size_t cap) {
  if (!take(s, 2)) {
    return false;
  }
  size_t n = (size_t)s->header[s->header_len - 2] << 8 | s->header[s->header_len - 1];
  if (n >= cap || !take(s, n)) {
    return false;
  }
  memcpy(out, s->header + s->header_len - n, n);
  out[n] = 0;
  return strlen(out) == n;
}
static bool take_int(struct sealed *s, uint64_t *x) {
  if (!take(s, 8)) {
    return false;
  }
  *x = 0;
  for (size_t i = 0; i < 8; i++) {
    *x = *x << 8 | s->header[s->header_len - 8 + i];
  }
  return true;
}

/* 0 or an errno value. */
static int read_header(struct sealed *s, struct sealed_header *h) {
  uint64_t at = 0;
  if (!take(s, sizeof magic) || memcmp(s->header, magic, sizeof magic - 1) != 0) {
    return EBADMSG;
  }
  if (s->header[sizeof magic - 1] != SEALED_VERSION) {
    return s->header[sizeof magic - 1] > SEALED_VERSION ? EPROTONOSUPPORT : EBADMSG;
  }
  bool ok = take_text(s, h->kek_id, sizeof h->kek_id) && take_text(s, h->identity, sizeof h->identity) &&
            take_text(s, h->instance, sizeof h->instance) && take_int(s, &h->progress) && take_int(s, &at) &&
            take(s, SALT);
  h->time = (int64_t)at;
  /* nothing has proved yet who wrote the time: it must not overflow what is reckoned with it */
  return ok && h->time >= 0 ? 0 : EBADMSG;
}

int sealed_error(const struct sealed *s) { return s->error; }

void sealed_fail(struct sealed *s, int error) {
  if (!s->error) {
    s->error = error;
  }
}

bool sealed_at_end(const struct sealed *s) { return !s->error && s->last && s->pos == s->len; }

/* --- whole files ------------------------------------------------------------------------ */

/* Syncs the folder, so that the older file does not come back after a power cut. 0, or an errno value. */
static int sync_folder(const char *path) {
  char folder[4096];
  const char *slash = strrchr(path, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = fd < 0 || fsync(fd) ? errno : 0;
  if (fd >= 0) {
    close(fd);
  }
  return rc;
}

int sealed_write(const char *path, const struct sealed_header *header, const uint8_t kek[TURNCRED_KEK],
                 sealed_fill_fn fill, const void *arg, char *err, size_t err_cap) {
  char tmp[4096];
  int n = snprintf(tmp, sizeof tmp, "%s.new", path);
  if (n < 0 || (size_t)n >= sizeof tmp) {
    return fail_with(ENAMETOOLONG, err, err_cap, "snapshot: the path is too long");
  }
  struct sealed *s = calloc(1, sizeof *s);
  if (!s) {
    return fail_with(ENOMEM, err, err_cap, "snapshot: out of memory");
  }
  unlink(tmp);
  int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  int rc = fd < 0 || !(s->file = fdopen(fd, "w")) ? errno : make_header(s, header);
  if (fd >= 0 && !s->file) {
    close(fd);
  }
  if (rc == 0) {
    rc = stream_key(s, kek, 1);
  }
  if (rc == 0 && fwrite(s->header, 1, s->header_len, s->file) != s->header_len) {
    rc = errno;
  }
  if (rc == 0) {
    if (fill(s, arg)) {
      sealed_put_byte(s, 'E');
    }
    flush_chunk(s, true);
    rc = s->error;
  }
  if (rc == 0 && (fflush(s->file) || fsync(fd))) {
    rc = errno;
  }
  stream_free(s);
  if (rc == 0) {
    rc = rename(tmp, path) ? errno : sync_folder(path);
  }
  if (rc) {
    if (fd >= 0) {
      unlink(tmp);
    }
    return fail_with(rc, err, err_cap, "snapshot %s: %s", path, strerror(rc));
  }
  return 0;
}

int sealed_read(const char *path, const struct sealed_reading *how, sealed_read_fn read, void *arg,
                struct sealed_header *header, char *err, size_t err_cap) {
  struct sealed *s = calloc(1, sizeof *s);
  if (!s) {
    return fail_with(ENOMEM, err, err_cap, "snapshot: out of memory");
  }
  memset(header, 0, sizeof *header);
  const uint8_t *kek = NULL;
  int rc = 0;
  if (!(s->file = fopen(path, "re"))) {
    rc = fail_with(errno, err, err_cap, "snapshot %s: %s", path, strerror(errno));
  } else if ((rc = read_header(s, header))) {
    fail_with(rc, err, err_cap, "snapshot %s: %s", path,
              rc == EPROTONOSUPPORT ? later : "not a snapshot of this program's format");
  } else if (!how->keks || !(kek = kek_ring_find(how->keks, header->kek_id))) {
    rc = fail_with(ENOKEY, err, err_cap,
                   "snapshot %s: it is sealed under key encryption key %.64s, which this program does not have", path,
                   kek_id_valid(header->kek_id) ? header->kek_id : "?");
  } else if (strcmp(header->instance, how->instance) != 0) {
    rc = fail_with(EPERM, err, err_cap, "snapshot %s: it is of another instance", path);
  } else if (header->time > how->now + AHEAD) {
    rc = fail_with(ESTALE, err, err_cap, "snapshot %s: it is dated in the future; is the clock right?", path);
  } else if (how->now - header->time > (int64_t)how->max_age) {
    rc = fail_with(ESTALE, err, err_cap, "snapshot %s: it is %lld seconds old, and %u are allowed (snapshot_max_age)",
                   path, (long long)(how->now - header->time), how->max_age);
  } else if ((rc = stream_key(s, kek, 0)) || (rc = read(s, arg))) {
    fail_with(rc, err, err_cap, "snapshot %s: %s", path,
              rc == ENOMEM            ? "out of memory"
              : rc == EPROTONOSUPPORT ? later
                                      : "it is damaged, cut, or was not made by this instance");
  }
  stream_free(s);
  return rc;
}

/* --- of a text -------------------------------------------------------------------------- */

static bool put_whole_text(struct sealed *s, const void *arg) {
  size_t n = strlen(arg);
  sealed_put_byte(s, 'T');
  sealed_put_int(s, n);
  sealed_put(s, arg, n);
  return s->error == 0;
}

static int get_whole_text(struct sealed *s, void *arg) {
  char **out = arg;
  unsigned kind = sealed_get_byte(s);
  uint64_t n = sealed_get_int(s);
  if (s->error || kind != 'T' || n > SEALED_TEXT_MAX) {
    return EBADMSG;
  }
  char *text = malloc((size_t)n + 1);
  if (!text) {
    return ENOMEM;
  }
  sealed_get(s, text, (size_t)n);
  text[n] = 0;
  if (s->error || sealed_get_byte(s) != 'E' || !sealed_at_end(s)) {
    free(text);
    return EBADMSG;
  }
  *out = text;
  return 0;
}

int sealed_write_text(const char *path, const char *text, const struct sealed_header *header,
                      const uint8_t kek[TURNCRED_KEK], char *err, size_t err_cap) {
  if (strlen(text) > SEALED_TEXT_MAX) {
    return fail_with(EFBIG, err, err_cap, "snapshot %s: it would be larger than %d octets", path, SEALED_TEXT_MAX);
  }
  return sealed_write(path, header, kek, put_whole_text, text, err, err_cap);
}

int sealed_read_text(const char *path, const char *identity, const struct sealed_reading *how, char **out,
                     struct sealed_header *header, char *err, size_t err_cap) {
  char *text = NULL;
  int rc = sealed_read(path, how, get_whole_text, &text, header, err, err_cap);
  if (!rc && strcmp(header->identity, identity) != 0) {
    rc = fail_with(EBADMSG, err, err_cap, "snapshot %s: it holds the content of another file", path);
  }
  if (rc) {
    free(text);
  } else {
    *out = text;
  }
  return rc;
}
