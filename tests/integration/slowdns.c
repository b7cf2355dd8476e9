/*
 * slowdns.c - LD_PRELOAD: DNS knows the name slow.test, which is 127.0.0.1, and does not answer while the file exists
 * that SLOW_DNS names
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ATTEMPTS 12000 /* of 10 ms */

typedef int getaddrinfo_fn(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out);

__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **out) {
  getaddrinfo_fn *next = (getaddrinfo_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
  const char *file = getenv("SLOW_DNS");
  if (!file || !name || strcmp(name, "slow.test") != 0 || (hints && hints->ai_flags & AI_NUMERICHOST)) {
    return next(name, service, hints, out);
  }
  for (int i = 0; i < ATTEMPTS && !access(file, F_OK); i++) {
    poll(NULL, 0, 10);
  }
  return access(file, F_OK) ? next("127.0.0.1", service, hints, out) : EAI_AGAIN;
}
