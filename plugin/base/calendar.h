/* calendar.h - dates in UTC and seconds, in 64 bits whatever the width of time_t
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#ifndef TURNCRED_CALENDAR_H
#define TURNCRED_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* UTC seconds of a date. False: the calendar does not have it (30 February), or its year is not 0 to 9999. */
bool calendar_seconds(const struct tm *date, int64_t *seconds);

/* The date of UTC seconds, without tm_wday and tm_yday. False: its year is not 0 to 9999. */
bool calendar_date(int64_t seconds, struct tm *date);

#endif
