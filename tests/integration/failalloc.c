/*
 * failalloc.c - lets a test fail one allocation of a program or module (LD_PRELOAD); only for tests
 *
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * FAIL_CONTROL names a file of three int64_t in this machine's byte order, which the test may read and write at any
 * time: how many allocations there were, the number of the one that fails (0: none), and how many descriptors were
 * closed that were not open: had another thread opened one meanwhile, that would have been closed. Only allocations
 * count that come from the program itself or, if FAIL_IN is set, from the shared objects whose names begin with one of
 * its words ("-": the program itself): "- libjansson libcrypto". A program that dies of a signal writes to the standard
 * error stream, after a line "failed:", the frames of the allocation that failed last, after a line "died:" its own,
 * and after a line "end" nothing; "OBJECT(FUNCTION+OFFSET)" each: some have no cores and let no debugger in.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static struct {
  _Atomic int64_t count, fails, closed_twice;
} *control;
#define OBJECTS 8
static struct {
  uintptr_t begins, ends;
} code[OBJECTS]; /* of the objects whose calls count */
static size_t objects;

static int wanted(const char *path) {
  const char *words = getenv("FAIL_IN"), *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  for (const char *word = words ? words : "-"; *word;) {
    size_t n = strcspn(word, " ");
    if (*name ? !strncmp(name, word, n) : n == 1 && *word == '-') {
      return 1;
    }
    word += n + strspn(word + n, " ");
  }
  return 0;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  (void)arg;
  for (int i = 0; i < info->dlpi_phnum && objects < OBJECTS && wanted(info->dlpi_name); i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type == PT_LOAD && p->p_flags & PF_X) {
      code[objects].begins = info->dlpi_addr + p->p_vaddr;
      code[objects].ends = code[objects].begins + p->p_memsz;
      objects++;
    }
  }
  return 0;
}

#define FRAMES 60
static struct {
  void *frames[FRAMES];
  int count;
} failed; /* the last one: a test fails one at a time */

static void tell(const char *line) {
  if (write(STDERR_FILENO, line, strlen(line)) < 0) {
    return; /* nobody listens */
  }
}

static void tell_frames(int number) {
  void *frames[FRAMES];
  (void)number;
  tell("\nfailed:\n");
  backtrace_symbols_fd(failed.frames, failed.count, STDERR_FILENO);
  tell("died:\n");
  backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
  tell("end\n");
}

/* Of a fatal signal; the second one, which comes at once, is the system's to deal with. */
static void watch_deaths(void) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
  struct sigaction action = {.sa_handler = tell_frames, .sa_flags = (int)SA_RESETHAND};
  void *loaded[1];
  backtrace(loaded, 1); /* allocates when it is called first */
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    sigaction(signals[i], &action, NULL);
  }
}

__attribute__((constructor)) static void start(void) {
  const char *name = getenv("FAIL_CONTROL");
  int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
  void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd >= 0) {
    close(fd);
  }
  dl_iterate_phdr(look_at, NULL);
  if (p != MAP_FAILED) {
    watch_deaths();
    control = p;
  }
}

EXPORT void *dlopen(const char *file, int mode) {
  void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
  void *handle = next(file, mode);
  if (!objects) {
    dl_iterate_phdr(look_at, NULL);
  }
  return handle;
}

/* Does this call, which returns to caller, fail? */
static int fails(const void *caller) {
  uintptr_t at = (uintptr_t)caller;
  int counts = 0;
  for (size_t i = 0; control && i < objects; i++) {
    counts |= at >= code[i].begins && at < code[i].ends;
  }
  if (!counts || atomic_fetch_add(&control->count, 1) + 1 != atomic_load(&control->fails)) {
    return 0;
  }
  failed.count = backtrace(failed.frames, FRAMES);
  errno = ENOMEM;
  return 1;
}
#define FAILS() fails(__builtin_return_address(0))

EXPORT void *malloc(size_t size) { return FAILS() ? NULL : __libc_malloc(size); }
EXPORT void *calloc(size_t n, size_t size) { return FAILS() ? NULL : __libc_calloc(n, size); }
EXPORT void *realloc(void *p, size_t size) { return FAILS() ? NULL : __libc_realloc(p, size); }

EXPORT char *strndup(const char *text, size_t max) {
  size_t n = strnlen(text, max);
  char *copy = FAILS() ? NULL : __libc_malloc(n + 1);
  if (copy) {
    memcpy(copy, text, n);
    copy[n] = '\0';
  }
  return copy;
}
EXPORT char *strdup(const char *text) {
  size_t n = strlen(text) + 1;
  char *copy = FAILS() ? NULL : __libc_malloc(n);
  return copy ? memcpy(copy, text, n) : NULL;
}

EXPORT int close(int fd) {
  int rc = (int)syscall(SYS_close, fd);
  if (rc && errno == EBADF && control) {
    atomic_fetch_add(&control->closed_twice, 1);
  }
  return rc;
}

static int print(char **out, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, again);
  va_end(again);
  *out = n < 0 ? NULL : __libc_malloc((size_t)n + 1);
  return *out ? vsnprintf(*out, (size_t)n + 1, format, args) : -1;
}
EXPORT int vasprintf(char **out, const char *format, va_list args) { return FAILS() ? -1 : print(out, format, args); }
EXPORT int asprintf(char **out, const char *format, ...) {
  va_list args;
  if (FAILS()) {
    return -1;
  }
  va_start(args, format);
  int n = print(out, format, args);
  va_end(args);
  return n;
}
