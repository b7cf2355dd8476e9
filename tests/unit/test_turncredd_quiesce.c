/*
 * test_turncredd_quiesce.c - a listener is retired while its worker threads have taken the socket out of their sets
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "testing.h"
#include "turncredd/http/quiesce.h"

#include <dirent.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 3
#define WAIT_MS 20000

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **context) {
  (void)cls, (void)connection, (void)url, (void)method, (void)version, (void)data, (void)size, (void)context;
  return MHD_NO;
}

/* Is fd in this epoll set? */
static bool holds(const char *set, int fd) {
  char path[300], line[200], wanted[40];
  bool found = false;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%s", set);
  snprintf(wanted, sizeof wanted, "tfd: %8d ", fd);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) {
    found |= !strncmp(line, wanted, strlen(wanted));
  }
  if (file) {
    fclose(file);
  }
  return found;
}

/* Takes fd out of all epoll sets of the process, as the worker threads do. Returns their number. */
static int take_out(int fd) {
  int sets[64], n = 0;
  DIR *folder = opendir("/proc/self/fdinfo");
  assert_non_null(folder);
  for (struct dirent *entry; (entry = readdir(folder)) && n < 64;) {
    if (holds(entry->d_name, fd)) {
      sets[n++] = atoi(entry->d_name);
    }
  }
  closedir(folder);
  for (int i = 0; i < n; i++) {
    assert_int_equal(syscall(SYS_epoll_ctl, sets[i], EPOLL_CTL_DEL, fd, NULL), 0);
  }
  return n;
}

static void a_worker_that_is_quicker_ends_nothing(void **state) {
  (void)state;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, 5), 0);
  struct MHD_Daemon *mhd =
      MHD_start_daemon(MHD_USE_ERROR_LOG | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, answer, NULL,
                       MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)WORKERS, MHD_OPTION_END);
  assert_non_null(mhd);
  /* each worker has put the socket into its set */
  const struct timespec moment = {0, 1000000};
  int taken = 0;
  for (int ms = 0; taken < WORKERS && ms < WAIT_MS; ms++) {
    taken += take_out(fd);
    nanosleep(&moment, NULL);
  }
  assert_int_equal(taken, WORKERS);
  assert_int_equal(quiesce_daemon(mhd), fd);
  MHD_stop_daemon(mhd);
  close(fd);
}

static void other_errors_stay(void **state) {
  struct epoll_event event = {.events = EPOLLIN};
  int set = epoll_create1(EPOLL_CLOEXEC), ends[2];
  (void)state;
  assert_true(set >= 0);
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL), 0);
  assert_int_equal(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &event), -1);
  assert_int_equal(errno, ENOENT);
  assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event), 0);
  assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event), -1);
  assert_int_equal(errno, EEXIST);
  assert_int_equal(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL), 0);
  close(ends[0]);
  assert_int_equal(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL), -1);
  assert_int_equal(errno, EBADF);
  close(ends[1]);
  close(set);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_worker_that_is_quicker_ends_nothing),
      cmocka_unit_test(other_errors_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
