/*
 * calendar.c - dates in UTC and seconds, in 64 bits whatever the width of time_t
 *
 * timegm and gmtime_r end in 2038 where time_t has 32 bits (Debian on i386). OpenSSL counts days.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/calendar.h"

#include <limits.h>
#include <openssl/crypto.h>

#define DAY 86400

static const struct tm epoch = {.tm_year = 70, .tm_mday = 1};

static bool same(const struct tm *a, const struct tm *b) {
  return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday && a->tm_hour == b->tm_hour &&
         a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

bool calendar_seconds(const struct tm *date, int64_t *seconds) {
  struct tm back;
  int days, rest;
  if (!OPENSSL_gmtime_diff(&days, &rest, &epoch, date)) {
    return false;
  }
  *seconds = (int64_t)days * DAY + rest;
  return calendar_date(*seconds, &back) && same(date, &back);
}

bool calendar_date(int64_t seconds, struct tm *date) {
  int64_t days = seconds / DAY, rest = seconds % DAY;
  *date = epoch;
  return days >= INT_MIN && days <= INT_MAX && OPENSSL_gmtime_adj(date, (int)days, (long)rest);
}
