/*
 * auth_load.c - checks the authentication module's file and loads it
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */

#include "auth_exchange.h"
#include "auth_module.h"

#if defined(WINDOWS)

int auth_module_load(uid_t owner) {
  UNUSED_ARG(owner);
  return auth_module_options.path ? auth_fail("auth-module: this platform loads no modules.\n") : 0;
}

#else

#include <dlfcn.h>
#include <sys/stat.h>

static int check_mode(const char *path, const struct stat *st, uid_t owner, const char *what) {
  if (st->st_mode & (S_IWGRP | S_IWOTH)) {
    return auth_fail("auth-module: the %s %s is writable by %s (mode %04o). Take that right away.\n", what, path,
                     (st->st_mode & S_IWOTH) ? "others" : "its group", (unsigned)(st->st_mode & 07777));
  }
  if (st->st_uid != 0 && st->st_uid != owner) {
    return auth_fail("auth-module: the %s %s belongs to user %lu, who is neither root nor the server's user "
                     "(%lu).\n",
                     what, path, (unsigned long)st->st_uid, (unsigned long)owner);
  }
  return 0;
}

static int check_file(const char *path, uid_t owner) {
  struct stat st;
  char folder[PATH_MAX];
  char *slash;
  if (stat(path, &st) < 0) {
    return auth_fail("auth-module: cannot read %s: %s\n", path, strerror(errno));
  }
  if (!S_ISREG(st.st_mode)) {
    return auth_fail("auth-module: %s is not a regular file.\n", path);
  }
  if (check_mode(path, &st, owner, "file") < 0) {
    return -1;
  }
  snprintf(folder, sizeof(folder), "%s", path);
  slash = strrchr(folder, '/'); /* the path is absolute */
  slash[slash == folder] = 0;
  if (stat(folder, &st) < 0) {
    return auth_fail("auth-module: cannot read %s: %s\n", folder, strerror(errno));
  }
  return check_mode(folder, &st, owner, "folder");
}

static int check_table(const char *path, const struct coturn_auth_module *m) {
  const struct coturn_auth_header *h = &m->header;
  if (h->magic != COTURN_AUTH_MAGIC) {
    return auth_fail("auth-module: %s: wrong magic: the module says 0x%08x, this turnserver 0x%08x.\n", path,
                     (unsigned)h->magic, (unsigned)COTURN_AUTH_MAGIC);
  }
  if (h->abi_major != COTURN_AUTH_ABI_MAJOR) {
    return auth_fail("auth-module: %s: wrong ABI: the module is made for %u.%u, this turnserver for %u.%u. "
                     "Install the module that belongs to this turnserver.\n",
                     path, (unsigned)h->abi_major, (unsigned)h->abi_minor, (unsigned)COTURN_AUTH_ABI_MAJOR,
                     (unsigned)COTURN_AUTH_ABI_MINOR);
  }
  if (!COTURN_AUTH_HAS(m, struct coturn_auth_module, authenticate)) {
    return auth_fail("auth-module: %s: the module's table has %llu octets, this turnserver needs at least "
                     "%llu.\n",
                     path, (unsigned long long)h->struct_size,
                     (unsigned long long)(offsetof(struct coturn_auth_module, authenticate) + sizeof(m->authenticate)));
  }
  if (!m->name || !m->name[0]) {
    return auth_fail("auth-module: %s: the module has no name.\n", path);
  }
  if (!m->version) {
    return auth_fail("auth-module: %s: the module has no version.\n", path);
  }
  if (!m->init) {
    return auth_fail("auth-module: %s: the module %s has no init().\n", path, m->name);
  }
  if (!m->authenticate) {
    return auth_fail("auth-module: %s: the module %s has no authenticate().\n", path, m->name);
  }
  return 0;
}

int auth_module_load(uid_t owner) {
  const char *given = auth_module_options.path;
  const struct coturn_auth_module *table;
  coturn_auth_module_entry_fn entry;
  char path[PATH_MAX];
  void *library;

  if (!given) {
    return 0;
  }
  if (check_file(given, owner) < 0) {
    return -1;
  }
  if (!realpath(given, path)) {
    return auth_fail("auth-module: cannot read %s: %s\n", given, strerror(errno));
  }
  if (strcmp(path, given) && check_file(path, owner) < 0) {
    return -1;
  }

  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    return auth_fail("auth-module: cannot load: %s\n", dlerror());
  }
  *(void **)&entry = dlsym(library, COTURN_AUTH_MODULE_ENTRY);
  if (!entry) {
    return auth_fail("auth-module: %s does not export %s: it is not an authentication module.\n", path,
                     COTURN_AUTH_MODULE_ENTRY);
  }

  auth_pending_init(auth_session_resume);
  auth_report_init();
  table = entry(&auth_host);
  if (!table) {
    return auth_fail("auth-module: %s refuses this turnserver (%s, ABI %u.%u).\n", path, auth_host.software,
                     (unsigned)COTURN_AUTH_ABI_MAJOR, (unsigned)COTURN_AUTH_ABI_MINOR);
  }
  if (check_table(path, table) < 0) {
    return -1;
  }

  memset(&auth_module, 0, sizeof(auth_module));
  memcpy(&auth_module, table,
         table->header.struct_size < sizeof(auth_module) ? (size_t)table->header.struct_size : sizeof(auth_module));
  TURN_LOG_FUNC(TURN_LOG_LEVEL_INFO, "auth-module: %s %s (ABI %u.%u) loaded from %s by %s (ABI %u.%u)\n",
                auth_module.name, auth_module.version, (unsigned)auth_module.header.abi_major,
                (unsigned)auth_module.header.abi_minor, path, auth_host.software, (unsigned)COTURN_AUTH_ABI_MAJOR,
                (unsigned)COTURN_AUTH_ABI_MINOR);
  return 0;
}

#endif
