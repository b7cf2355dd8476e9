/*
 * test_base_calendar.c - dates to seconds and back, past 2038 too where time_t has 32 bits
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "testing.h"

#include "base/calendar.h"

static struct tm date_of(int year, int month, int day, int hour, int minute, int second) {
  struct tm date = {0};
  date.tm_year = year - 1900;
  date.tm_mon = month - 1;
  date.tm_mday = day;
  date.tm_hour = hour;
  date.tm_min = minute;
  date.tm_sec = second;
  return date;
}

/* The seconds are those of date -u -d */
static void known_dates(void **state) {
  (void)state;
  static const struct {
    int year, month, day, hour, minute, second;
    int64_t seconds;
  } known[] = {
      {1970, 1, 1, 0, 0, 0, 0},
      {1969, 12, 31, 23, 59, 59, -1},
      {1901, 12, 13, 20, 45, 51, -2147483649LL},
      {2000, 2, 29, 12, 0, 0, 951825600},
      {2038, 1, 19, 3, 14, 7, 2147483647LL},
      {2038, 1, 19, 3, 14, 8, 2147483648LL},
      {2099, 2, 1, 12, 0, 0, 4073630400LL},
      {2106, 2, 7, 6, 28, 16, 4294967296LL},
      {9999, 12, 31, 23, 59, 59, 253402300799LL},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    struct tm date =
        date_of(known[i].year, known[i].month, known[i].day, known[i].hour, known[i].minute, known[i].second);
    int64_t seconds = 0;
    assert_true(calendar_seconds(&date, &seconds));
    assert_true(seconds == known[i].seconds);
    assert_true(calendar_date(known[i].seconds, &date));
    assert_int_equal(date.tm_year + 1900, known[i].year);
    assert_int_equal(date.tm_mon + 1, known[i].month);
    assert_int_equal(date.tm_mday, known[i].day);
    assert_int_equal(date.tm_hour, known[i].hour);
    assert_int_equal(date.tm_min, known[i].minute);
    assert_int_equal(date.tm_sec, known[i].second);
  }
}

static void refuses_dates_that_no_calendar_has(void **state) {
  (void)state;
  static const int none[][6] = {{2026, 2, 30, 0, 0, 0},    {2099, 2, 29, 0, 0, 0}, {2100, 2, 29, 0, 0, 0},
                                {2026, 4, 31, 0, 0, 0},    {2026, 0, 1, 0, 0, 0},  {2026, 13, 1, 0, 0, 0},
                                {2026, 1, 0, 0, 0, 0},     {2026, 1, 1, 24, 0, 0}, {2026, 1, 1, 0, 60, 0},
                                {2026, 12, 31, 23, 59, 60}};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    struct tm date = date_of(none[i][0], none[i][1], none[i][2], none[i][3], none[i][4], none[i][5]);
    int64_t seconds;
    assert_false(calendar_seconds(&date, &seconds));
  }
  struct tm date;
  assert_false(calendar_date(INT64_MAX, &date));
  assert_false(calendar_date(INT64_MIN, &date));
  assert_false(calendar_date(253402300800LL, &date));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_dates),
      cmocka_unit_test(refuses_dates_that_no_calendar_has),
  };
  return cmocka_run_group_tests_name("base/calendar", tests, NULL, NULL);
}
