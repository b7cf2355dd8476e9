/*
 * tls.c - TLS and DTLS between TURN client and server
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "tls.h"

#include "base/calendar.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define LINK_MTU 1400 /* of DTLS records: every path over which a call works has room for it */

struct turn_tls {
  SSL_CTX *ctx;
  SSL *ssl;
  bool datagrams;
};

/* Writes why the handshake failed. */
static void why(const struct turn_tls *tls, char *text, size_t cap) {
  char reason[256] = "the server ended the handshake";
  unsigned long code = ERR_get_error();
  long verify = tls->ssl ? SSL_get_verify_result(tls->ssl) : X509_V_OK;
  if (verify != X509_V_OK) {
    snprintf(text, cap,
             "certificate of the server: %s; name its issuer with --ca-file, or its name with "
             "--tls-name",
             X509_verify_cert_error_string(verify));
    return;
  }
  if (code) {
    ERR_error_string_n(code, reason, sizeof reason);
  }
  snprintf(text, cap, "%s: %s", tls->datagrams ? "DTLS" : "TLS", reason);
}

static bool is_address(const char *name) {
  uint8_t octets[16];
  return inet_pton(AF_INET, name, octets) == 1 || inet_pton(AF_INET6, name, octets) == 1;
}

static bool prepare(struct turn_tls *tls, int fd, const struct turn_tls_options *o) {
  tls->ctx = SSL_CTX_new(tls->datagrams ? DTLS_client_method() : TLS_client_method());
  if (!tls->ctx || !SSL_CTX_set_min_proto_version(tls->ctx, tls->datagrams ? DTLS1_2_VERSION : TLS1_2_VERSION)) {
    return false;
  }
  if (!o->insecure) {
    SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
    if (o->ca_file ? !SSL_CTX_load_verify_file(tls->ctx, o->ca_file) : !SSL_CTX_set_default_verify_paths(tls->ctx)) {
      return false;
    }
  }
  tls->ssl = SSL_new(tls->ctx);
  if (!tls->ssl) {
    return false;
  }
  bool address = is_address(o->name);
  if (!address && !SSL_set_tlsext_host_name(tls->ssl, o->name)) {
    return false;
  }
  if (!o->insecure && (address ? !X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), o->name)
                               : !SSL_set1_host(tls->ssl, o->name))) {
    return false;
  }
  if (!tls->datagrams) {
    return SSL_set_fd(tls->ssl, fd) == 1;
  }
  BIO *bio = BIO_new_dgram(fd, BIO_NOCLOSE);
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  if (!bio || getpeername(fd, (struct sockaddr *)&peer, &len)) {
    BIO_free(bio);
    return false;
  }
  BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &peer);
  SSL_set_bio(tls->ssl, bio, bio);
  SSL_set_options(tls->ssl, SSL_OP_NO_QUERY_MTU);
  return DTLS_set_link_mtu(tls->ssl, LINK_MTU) == 1;
}

static short events_for(int error) {
  if (error == SSL_ERROR_WANT_READ) {
    return POLLIN;
  }
  if (error == SSL_ERROR_WANT_WRITE) {
    return POLLOUT;
  }
  return 0;
}

static int handshake(struct turn_tls *tls, int fd, int64_t deadline, char *text, size_t cap) {
  for (;;) {
    ERR_clear_error();
    errno = 0;
    int rc = SSL_connect(tls->ssl), err = errno;
    if (rc == 1) {
      return 0;
    }
    int error = SSL_get_error(tls->ssl, rc);
    short events = events_for(error);
    if (error == SSL_ERROR_SYSCALL && err) { /* of the socket, such as "Connection refused" */
      snprintf(text, cap, "%s", strerror(err));
      return err;
    }
    if (!events) {
      why(tls, text, cap);
      return EPROTO;
    }
    int64_t left = deadline - clock_ms();
    struct timeval tv;
    if (tls->datagrams && DTLSv1_get_timeout(tls->ssl, &tv)) {
      int64_t resend = (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1;
      left = resend < left ? resend : left;
    }
    struct pollfd pfd = {.fd = fd, .events = events};
    poll(&pfd, 1, left > 0 ? (int)left : 0);
    if (clock_ms() >= deadline) {
      snprintf(text, cap, "the %s handshake was not answered in time", tls->datagrams ? "DTLS" : "TLS");
      return ETIMEDOUT;
    }
    if (tls->datagrams) {
      DTLSv1_handle_timeout(tls->ssl);
    }
  }
}

int turn_tls_open(struct turn_tls **out, int fd, bool datagrams, const struct turn_tls_options *options,
                  int64_t deadline, char *text, size_t cap) {
  struct turn_tls *tls = calloc(1, sizeof *tls);
  int err = 0;
  *out = NULL;
  if (!tls) {
    snprintf(text, cap, "out of memory");
    return ENOMEM;
  }
  tls->datagrams = datagrams;
  ERR_clear_error();
  if (!prepare(tls, fd, options)) {
    why(tls, text, cap);
    err = EPROTO;
  }
  if (!err) {
    err = handshake(tls, fd, deadline, text, cap);
  }
  if (err) {
    turn_tls_close(tls);
  } else {
    *out = tls;
  }
  return err;
}

void turn_tls_describe(const struct turn_tls *tls, char *out, size_t cap) {
  snprintf(out, cap, "%s, %s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl));
}

int64_t turn_tls_not_after(const struct turn_tls *tls) {
  X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
  struct tm date = {0};
  int64_t seconds;
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &date) != 1 ||
      !calendar_seconds(&date, &seconds)) {
    return 0;
  }
  return seconds;
}

const char *turn_tls_strict_fault(const struct turn_tls *tls) {
  X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
  X509_STORE_CTX *check = X509_STORE_CTX_new();
  const char *fault = NULL;
  if (certificate && check &&
      X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(tls->ctx), certificate, SSL_get_peer_cert_chain(tls->ssl)) ==
          1) {
    X509_STORE_CTX_set_flags(check, X509_V_FLAG_X509_STRICT | X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(check) != 1) {
      fault = X509_verify_cert_error_string(X509_STORE_CTX_get_error(check));
    }
  }
  X509_STORE_CTX_free(check);
  return fault;
}

static int outcome(const struct turn_tls *tls, int rc, short *events) {
  int error = SSL_get_error(tls->ssl, rc);
  *events = events_for(error);
  if (*events) {
    return EAGAIN;
  }
  if (error == SSL_ERROR_SYSCALL && errno) {
    return errno;
  }
  return ECONNRESET;
}

int turn_tls_write(struct turn_tls *tls, const uint8_t *data, size_t len, size_t *done, short *events) {
  ERR_clear_error();
  errno = 0;
  int rc = SSL_write_ex(tls->ssl, data, len, done);
  return rc == 1 ? 0 : outcome(tls, rc, events);
}

int turn_tls_read(struct turn_tls *tls, uint8_t *data, size_t cap, size_t *done, short *events) {
  ERR_clear_error();
  errno = 0;
  int rc = SSL_read_ex(tls->ssl, data, cap, done);
  return rc == 1 ? 0 : outcome(tls, rc, events);
}

void turn_tls_close(struct turn_tls *tls) {
  if (!tls) {
    return;
  }
  if (tls->ssl && SSL_is_init_finished(tls->ssl)) {
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
  }
  SSL_free(tls->ssl);
  SSL_CTX_free(tls->ctx);
  free(tls);
}
