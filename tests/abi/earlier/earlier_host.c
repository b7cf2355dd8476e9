/*
 * earlier_host.c - loads a module as a host of the first draft does, and says whether it is refused; only for tests
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "draft1.h"

#include <dlfcn.h>
#include <stdio.h>

static void host_log(enum coturn_auth_log_level level, const char *line) { printf("log %d: %s\n", (int)level, line); }

/* The functions are not called: a module gets as far as its entry. */
static const struct coturn_auth_host host = {
    .header = COTURN_AUTH_HEADER(struct coturn_auth_host),
    .software = "earlier_host",
    .log = host_log,
};

/* The checks and texts of auth_module.c of that draft. */
static int check(const char *path, const struct coturn_auth_module *m) {
  if (!m) {
    printf("%s refuses this turnserver (%s, ABI %d.%d)\n", path, host.software, COTURN_AUTH_ABI_MAJOR,
           COTURN_AUTH_ABI_MINOR);
    return 1;
  }
  if (m->header.magic != COTURN_AUTH_MAGIC) {
    printf("%s: wrong magic: the module says 0x%08x, this turnserver 0x%08x\n", path, (unsigned)m->header.magic,
           COTURN_AUTH_MAGIC);
    return 1;
  }
  printf("%s: %s %s loaded\n", path, m->name, m->version);
  return 0;
}

int main(int argc, char **argv) {
  void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!library) {
    fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "earlier_host MODULE.so");
    return 2;
  }
  coturn_auth_module_entry_fn entry;
  *(void **)&entry = dlsym(library, COTURN_AUTH_MODULE_ENTRY);
  return entry ? check(argv[1], entry(&host)) : 2;
}
