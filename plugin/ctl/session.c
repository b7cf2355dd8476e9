/*
 * session.c - turncredctl session list, show and end; usage; user forget
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "config.h"

#include "change.h"

#include <stdlib.h>
#include <time.h>

#define STARTED_AT SQL_SECONDS("started_at")
#define LAST_SEEN SQL_SECONDS("last_seen")
#define LASTS SQL_AGE("started_at")

#define SESSION_COLUMNS                                                                                                \
  "session, instance, realm, mechanism, subject, kid, transport, client_address, relayed_address, " STARTED_AT         \
  " AS started_at, " LAST_SEEN " AS last_seen, " LASTS " AS seconds, received_octets, sent_octets, "                   \
  "received_packets, sent_packets, peer_received_octets, peer_sent_octets, peer_received_packets, peer_sent_packets"

enum ctl_exit cmd_session_list(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"session", "SESSION", CTL_TEXT},  {"realm", "REALM", CTL_TEXT},
      {"subject", "USER", CTL_TEXT},     {"mechanism", "KIND", CTL_TEXT},
      {"transport", "OVER", CTL_TEXT},   {"client_address", "CLIENT", CTL_TEXT},
      {"started_at", "SINCE", CTL_TIME}, {"received_octets", "RECEIVED", CTL_TEXT},
      {"sent_octets", "SENT", CTL_TEXT}, {NULL, NULL, CTL_TEXT},
  };
  struct pg_params p = {0};
  json_t *list = NULL;
  int64_t limit = INT32_MAX;
  enum ctl_exit rc = ctl_get_int(ctl, "limit", 1, INT32_MAX, &limit);
  pg_text(&p, ctl_operand(ctl, 0));
  pg_text(&p, ctl_get(ctl, "user"));
  pg_text(&p, ctl_get(ctl, "server"));
  pg_int(&p, limit);
  if (!rc) {
    rc = ctl_rows(ctl,
                  "SELECT " SESSION_COLUMNS " FROM turncred.session_live_list WHERE ($1::text IS NULL OR realm = $1) "
                  "AND ($2::text IS NULL OR subject = $2) AND ($3::text IS NULL OR instance = $3) "
                  "ORDER BY started_at, session LIMIT $4",
                  &p, &list);
  }
  return rc ? rc : ctl_print_list(ctl, list, columns);
}

enum ctl_exit cmd_session_show(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"session", "session", CTL_TEXT},
      {"instance", "server", CTL_TEXT},
      {"realm", "realm", CTL_TEXT},
      {"subject", "user", CTL_TEXT},
      {"mechanism", "kind", CTL_TEXT},
      {"kid", "kid", CTL_TEXT},
      {"transport", "over", CTL_TEXT},
      {"client_address", "client", CTL_TEXT},
      {"relayed_address", "relayed", CTL_TEXT},
      {"started_at", "since", CTL_TIME},
      {"seconds", "lasts", CTL_SECONDS},
      {"last_seen", "told at", CTL_TIME},
      {"received_octets", "octets from the client", CTL_TEXT},
      {"sent_octets", "octets to the client", CTL_TEXT},
      {"received_packets", "packets from the client", CTL_TEXT},
      {"sent_packets", "packets to the client", CTL_TEXT},
      {"peer_received_octets", "octets from peers", CTL_TEXT},
      {"peer_sent_octets", "octets to peers", CTL_TEXT},
      {NULL, NULL, CTL_TEXT},
  };
  struct pg_params p = {0};
  json_t *row = NULL;
  pg_text(&p, ctl_operand(ctl, 0));
  enum ctl_exit rc =
      ctl_row(ctl, "SELECT " SESSION_COLUMNS " FROM turncred.session_live_list WHERE session = $1", &p, &row);
  if (!rc && !row) {
    rc = ctl_fail(ctl, CTL_REFUSED, "no session \"%s\" lives; turncredctl session list shows those that do",
                  ctl_operand(ctl, 0));
  }
  return rc ? rc : ctl_print_record(ctl, row, columns);
}

enum ctl_exit cmd_session_end(struct ctl *ctl) {
  static const struct ctl_column columns[] = {{"ended", "ended", CTL_TEXT},
                                              {"in_force", "in force everywhere", CTL_TEXT},
                                              {"late", "late", CTL_TEXT},
                                              {NULL, NULL, CTL_TEXT}};
  struct pg_params p = {0};
  pg_text(&p, ctl_operand(ctl, 0));
  enum ctl_exit rc = ctl_begin(ctl);
  if (!rc) {
    rc = ctl_run(ctl, "SELECT turncred.session_end($1)", &p, NULL);
  }
  return ctl_finish_change(ctl, rc, rc ? NULL : json_pack("{s:s}", "ended", ctl_operand(ctl, 0)), columns);
}

enum ctl_exit cmd_usage(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"day", "DAY", CTL_TEXT},
      {"realm", "REALM", CTL_TEXT},
      {"subject", "USER", CTL_TEXT},
      {"sessions", "SESSIONS", CTL_TEXT},
      {"seconds", "SECONDS", CTL_TEXT},
      {"received_octets", "RECEIVED", CTL_TEXT},
      {"sent_octets", "SENT", CTL_TEXT},
      {"peer_received_octets", "FROM PEERS", CTL_TEXT},
      {"peer_sent_octets", "TO PEERS", CTL_TEXT},
      {"lost", "LOST", CTL_TEXT},
      {NULL, NULL, CTL_TEXT},
  };
  struct pg_params p = {0};
  json_t *list = NULL;
  int64_t now = (int64_t)time(NULL), since = now - (int64_t)30 * 86400, until = now;
  enum ctl_exit rc = ctl_get_time(ctl, "since", now, &since);
  if (!rc) {
    rc = ctl_get_time(ctl, "until", now, &until);
  }
  pg_text(&p, ctl_operand(ctl, 0));
  pg_text(&p, ctl_get(ctl, "user"));
  pg_int(&p, since);
  pg_int(&p, until);
  if (!rc) {
    rc = ctl_rows(ctl,
                  "SELECT day::text, realm, subject, sessions, seconds, received_octets, sent_octets, "
                  "peer_received_octets, peer_sent_octets, lost FROM turncred.usage_daily "
                  "WHERE ($1::text IS NULL OR realm = $1) AND ($2::text IS NULL OR subject = $2) AND "
                  "day BETWEEN (to_timestamp($3::bigint) AT TIME ZONE 'UTC')::date AND "
                  "(to_timestamp($4::bigint) AT TIME ZONE 'UTC')::date ORDER BY day, realm, subject",
                  &p, &list);
  }
  return rc ? rc : ctl_print_list(ctl, list, columns);
}

enum ctl_exit cmd_user_forget(struct ctl *ctl) {
  static const struct ctl_column columns[] = {
      {"object", "TABLE", CTL_TEXT}, {"rows", "ROWS", CTL_TEXT}, {NULL, NULL, CTL_TEXT}};
  struct pg_params p = {0};
  json_t *list = NULL;
  pg_text(&p, ctl_operand(ctl, 0));
  pg_text(&p, ctl_operand(ctl, 1));
  enum ctl_exit rc = ctl_need_realm(ctl, ctl_operand(ctl, 0));
  if (!rc) {
    rc = ctl_rows(ctl, "SELECT object, rows FROM turncred.user_forget($1, $2)", &p, &list);
  }
  return rc ? rc : ctl_print_list(ctl, list, columns);
}
