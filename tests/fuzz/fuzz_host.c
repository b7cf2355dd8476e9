/*
 * fuzz_host.c - libFuzzer: STUN messages through the authentication of a patched turnserver, in its process
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The whole server runs as a thread, as its main() does it, with turncred.so and the database that host_world has made;
 * host_build links them. An input is messages of one UDP client. Each begins with an octet of flags, an octet for the
 * method and one for the length of its attributes in words; the fuzzer writes the attributes, and unless the flags say
 * otherwise USERNAME, REALM, NONCE, a token and MESSAGE-INTEGRITY of a right credential follow, so that it gets behind
 * the login. Whatever comes, the server answers the next Binding request.
 *
 * Environment: FUZZ_CONF, FUZZ_PORT, FUZZ_REALM; for each KIND of PUSHED, DERIVED and TOKEN: FUZZ_KIND_USER and
 * FUZZ_KIND_PASSWORD (of a token: its session key in hex), FUZZ_TOKEN in hex
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 10000
#define RETRANSMIT_MS 500
#define MESSAGES_MAX 12
#define DATAGRAM_MAX 4096
#define HEADER 20

enum {           /* flags */
       KIND = 3, /* the credential; NONE: no credential */
       NO_INTEGRITY = 4,
       FINGERPRINT = 8,
       TICKET = 16,      /* the attribute MOBILITY-TICKET holds the ticket that the server gave last */
       BEHIND = 32,      /* the attributes stand behind MESSAGE-INTEGRITY */
       WRONG_NONCE = 64, /* an old one */
       RAW = 128,        /* the octets are the datagram */
};
enum { PUSHED, DERIVED, TOKEN, NONE };
enum { USERNAME = 6, INTEGRITY = 8, REALM = 0x14, NONCE = 0x15, ACCESS_TOKEN = 0x1b, MOBILITY_TICKET = 0x8030 };

int turnserver_main(int argc, char **argv); /* mainrelay.c */

static struct credential {
  const char *user;
  uint8_t key[32];
  size_t key_len;
} credentials[3];
static uint8_t token[600];
static size_t token_len;
static const char *realm;
static struct sockaddr_in server = {.sin_family = AF_INET};

struct client {
  int fd;
  uint64_t next; /* transaction */
  uint8_t nonce[128], ticket[256];
  size_t nonce_len, ticket_len;
  unsigned answer; /* type of the last answer that is none to a Binding request of settled() */
};

struct message {
  uint8_t octets[DATAGRAM_MAX];
  size_t len;
};

static void put16(uint8_t *p, size_t value) {
  p[0] = (uint8_t)(value >> 8);
  p[1] = (uint8_t)value;
}

static void begin(struct message *m, struct client *c, unsigned type) {
  static const uint8_t cookie[] = {0x21, 0x12, 0xa4, 0x42};
  memset(m->octets, 0, HEADER);
  put16(m->octets, type);
  memcpy(m->octets + 4, cookie, 4);
  c->next++;
  memcpy(m->octets + 8, &c->next, sizeof c->next);
  m->len = HEADER;
}

static void append(struct message *m, const void *octets, size_t len) {
  if (len && m->len + len <= sizeof m->octets) {
    memcpy(m->octets + m->len, octets, len);
    m->len += len;
  }
  put16(m->octets + 2, m->len - HEADER);
}

static void attribute(struct message *m, unsigned type, const void *value, size_t len) {
  uint8_t head[4];
  put16(head, type);
  put16(head + 2, len);
  append(m, head, 4);
  append(m, value, len);
  append(m, "\0\0\0", (4 - len % 4) % 4);
}

static void integrity(struct message *m, const struct credential *by) {
  uint8_t mac[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  put16(m->octets + 2, m->len - HEADER + 24);
  MUST(HMAC(EVP_sha1(), by->key, (int)by->key_len, m->octets, m->len, mac, &len) && len == 20);
  attribute(m, INTEGRITY, mac, len);
}

static void fingerprint(struct message *m) {
  uint32_t crc = ~0u;
  put16(m->octets + 2, m->len - HEADER + 8);
  for (size_t i = 0; i < m->len; i++) {
    crc ^= m->octets[i];
    for (int bit = 0; bit < 8; bit++) {
      crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
  }
  crc = htonl(~crc ^ 0x5354554eu);
  attribute(m, 0x8028, &crc, sizeof crc);
}

static void identify(struct message *m, const struct client *c, unsigned flags) {
  unsigned kind = flags & KIND;
  if (kind == NONE) {
    return;
  }
  attribute(m, USERNAME, credentials[kind].user, strlen(credentials[kind].user));
  attribute(m, REALM, realm, strlen(realm));
  attribute(m, NONCE, flags & WRONG_NONCE ? (const uint8_t *)"0123456789abcdef" : c->nonce,
            flags & WRONG_NONCE ? 16 : c->nonce_len);
  if (kind == TOKEN) {
    attribute(m, ACCESS_TOKEN, token, token_len);
  }
}

/* What the server's answer teaches. */
static void learn(struct client *c, const uint8_t *octets, size_t len) {
  for (size_t at = HEADER; at + 4 <= len;) {
    unsigned type = (unsigned)(octets[at] << 8 | octets[at + 1]);
    size_t n = (size_t)(octets[at + 2] << 8 | octets[at + 3]);
    MUST(at + 4 + n <= len);
    if (type == NONCE && n <= sizeof c->nonce) {
      memcpy(c->nonce, octets + at + 4, n);
      c->nonce_len = n;
    }
    if (type == MOBILITY_TICKET && n <= sizeof c->ticket) {
      memcpy(c->ticket, octets + at + 4, n);
      c->ticket_len = n;
    }
    at += 4 + (n + 3) / 4 * 4;
  }
}

static void send_it(const struct client *c, const struct message *m) {
  ssize_t done = send(c->fd, m->octets, m->len, 0);
  (void)done; /* an empty datagram, or one too long, is none */
}

/* Takes answers up to that of the transaction. False: it did not come within RETRANSMIT_MS. */
static bool answered(struct client *c, const uint8_t *transaction) {
  uint8_t answer[DATAGRAM_MAX];
  for (ssize_t n; (n = recv(c->fd, answer, sizeof answer, 0)) >= 0 || errno == EINTR;) { /* libFuzzer's alarm */
    if (n < HEADER || answer[0] > 3) {                                                   /* ChannelData */
      continue;
    }
    learn(c, answer, (size_t)n);
    if (!memcmp(answer + 8, transaction, 12)) {
      return true;
    }
    c->answer = (unsigned)(answer[0] << 8 | answer[1]);
  }
  return false;
}

/* Sends a Binding request and takes all answers up to its own, as a client over UDP does (RFC 8489 section 6.2.1): what
 * comes while coturn closes a session is lost, such as after a ticket of a relay thread that does not exist. False:
 * none came within ANSWER_MS. */
static bool settled(struct client *c) {
  struct message m;
  bool done = false;
  begin(&m, c, 1);
  append(&m, NULL, 0);
  c->answer = 0;
  for (int n = 0; n < ANSWER_MS / RETRANSMIT_MS && !done; n++) {
    send_it(c, &m);
    done = answered(c, m.octets + 8);
  }
  return done;
}

static void write_attributes(struct message *m, const struct client *c, const uint8_t *octets, size_t len,
                             unsigned flags) {
  if (flags & TICKET) {
    attribute(m, MOBILITY_TICKET, c->ticket, c->ticket_len);
  }
  append(m, octets, len);
}

static void one_message(struct client *c, struct fuzz *in) {
  static const unsigned methods[] = {0x003, 0x004, 0x008, 0x009, 0x001, 0x016, 0x00a,
                                     0x00b, 0x00c, 0x007, 0x103, 0x113, 0x017};
  unsigned flags = fuzz_octet(in), method = methods[fuzz_octet(in) % (sizeof methods / sizeof *methods)];
  size_t len;
  uint8_t *octets = fuzz_octets(in, 4 * (size_t)fuzz_octet(in), &len);
  struct message m;
  begin(&m, c, method);
  if (flags & RAW) {
    m.len = 0;
    memcpy(m.octets, octets, len);
    m.len = len;
  } else {
    if (!(flags & BEHIND)) {
      write_attributes(&m, c, octets, len, flags);
    }
    identify(&m, c, flags);
    if (!(flags & NO_INTEGRITY) && (flags & KIND) != NONE) {
      integrity(&m, &credentials[flags & KIND]);
    }
    if (flags & BEHIND) {
      write_attributes(&m, c, octets, len, flags);
    }
    if (flags & FINGERPRINT) {
      fingerprint(&m);
    }
  }
  free(octets);
  send_it(c, &m);
  MUST(settled(c));
}

/* A request of one attribute of 4 octets, and its answer. */
static void request_of(struct client *c, unsigned method, unsigned kind, unsigned type, uint32_t value) {
  struct message m;
  begin(&m, c, method);
  value = htonl(value);
  attribute(&m, type, &value, sizeof value);
  identify(&m, c, kind);
  if (kind != NONE) {
    integrity(&m, &credentials[kind]);
  }
  send_it(c, &m);
  MUST(settled(c));
}

/* Each client has an address of its own: the server holds a 5-tuple for a second after its allocation has ended, or as
 * long as one lives that nobody ended, and answers 437 without a nonce to whoever gets the same port meanwhile. */
static int dial(void) {
  static uint32_t clients;
  const struct timeval limit = {0, RETRANSMIT_MS * 1000};
  struct sockaddr_in client = {.sin_family = AF_INET};
  client.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x10000 + clients++ % 0xfd0000);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  MUST(fd >= 0 && !bind(fd, (struct sockaddr *)&client, sizeof client) &&
       !connect(fd, (struct sockaddr *)&server, sizeof server) &&
       !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
  return fd;
}

/* Ends the client's allocation, whose ever it is. False: there is none. */
static bool end(struct client *c) {
  bool ended = false;
  for (unsigned kind = PUSHED; kind <= TOKEN && !ended; kind++) {
    request_of(c, 4, kind, 0x0d, 0);
    ended = c->answer == 0x104;
  }
  return ended;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct fuzz in = {data, size};
  struct client c = {.fd = dial()};
  request_of(&c, 3, NONE, 0x19, 17u << 24); /* an Allocate that gets the nonce */
  MUST(c.nonce_len);
  for (int n = 0; in.left && n < MESSAGES_MAX; n++) {
    one_message(&c, &in);
  }
  if (!end(&c)) { /* a session that never had an allocation would live for a minute, and there are 1,000 a second */
    request_of(&c, 3, PUSHED, 0x19, 17u << 24);
    end(&c);
  }
  close(c.fd);
  return 0;
}

static void *serve(void *arg) {
  static char *argv[] = {"turnserver", "-c", NULL, NULL};
  argv[2] = arg;
  MUST(turnserver_main(3, argv) == 0);
  return NULL;
}

static size_t octets_of_hex(const char *hex, uint8_t *out, size_t cap) {
  size_t n = 0;
  for (unsigned octet; *hex && n < cap && sscanf(hex, "%2x", &octet) == 1; hex += 2) {
    out[n++] = (uint8_t)octet;
  }
  return n;
}

static const char *need(const char *name) {
  const char *value = getenv(name);
  if (!value) {
    fprintf(stderr, "%s is not set: tests/fuzz/host_world sets it\n", name);
    exit(2);
  }
  return value;
}

/* RFC 8489 section 9.2.2 */
static void long_term(struct credential *c, const char *user, const char *password) {
  char text[1200];
  unsigned len = 0;
  snprintf(text, sizeof text, "%s:%s:%s", user, realm, password);
  MUST(EVP_Digest(text, strlen(text), c->key, &len, EVP_md5(), NULL) && len == 16);
  c->user = user;
  c->key_len = len;
}

/* A right credential of each kind gets an allocation: the fuzzer would not come behind the login otherwise. */
static void log_in(void) {
  for (unsigned kind = PUSHED; kind <= TOKEN; kind++) {
    struct client c = {.fd = dial()};
    request_of(&c, 3, NONE, 0x19, 17u << 24);
    request_of(&c, 3, kind, 0x19, 17u << 24);
    MUST(c.answer == 0x103);
    MUST(end(&c));
    close(c.fd);
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  pthread_t thread;
  (void)argc;
  (void)argv;
  realm = need("FUZZ_REALM");
  server.sin_port = htons((uint16_t)atoi(need("FUZZ_PORT")));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  long_term(&credentials[PUSHED], need("FUZZ_PUSHED_USER"), need("FUZZ_PUSHED_PASSWORD"));
  long_term(&credentials[DERIVED], need("FUZZ_DERIVED_USER"), need("FUZZ_DERIVED_PASSWORD"));
  credentials[TOKEN].user = need("FUZZ_TOKEN_USER");
  credentials[TOKEN].key_len = octets_of_hex(need("FUZZ_TOKEN_PASSWORD"), credentials[TOKEN].key, 32);
  token_len = octets_of_hex(need("FUZZ_TOKEN"), token, sizeof token);
  MUST(!pthread_create(&thread, NULL, serve, (char *)(uintptr_t)need("FUZZ_CONF")));
  bool up = false;
  for (int i = 0; i < 300 && !up; i++) { /* nobody listens yet: errno is ECONNREFUSED at once */
    struct client c = {.fd = dial()};
    const struct timespec moment = {0, 100000000};
    up = settled(&c);
    close(c.fd);
    nanosleep(&moment, NULL);
  }
  MUST(up);
  log_in();
  return 0;
}
