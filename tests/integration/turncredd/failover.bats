#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The primary of two database hosts is killed under load and its standby promoted: logins, issued credentials, pushes and
# revocations. Connection strings name both hosts with target_session_attrs=read-write.

load ../lib
load daemon

setup_file() {
  daemon_up 'wal_level = replica' 'max_wal_senders = 4' || return 0
  printf 'own %s turn1\n' "$(pg_user)" >>"$TC_DIR/pg/data/pg_ident.conf"
  echo 'local replication all peer map=own' >>"$TC_DIR/pg/data/pg_hba.conf"
  sql 'SELECT pg_reload_conf()' >/dev/null
  standby_up
  local hosts="host=$TC_DIR/pg/run,$TC_DIR/standby/run dbname=turncred target_session_attrs=read-write connect_timeout=2"
  export TC_DATABASE="$hosts user=turn1" TC_ISSUER="$hosts user=issuer1" TURNCRED_DATABASE="$hosts user=postgres"
  realm_add turn.test "mechanisms='{derived,pushed,token}'" "uris='{turn:turn.test}'"
  key_add turn.test d1 derived
  key_add turn.test k1
  caller_add pcscf derived,push,revoke '*'
  server_start main
  daemon_start main
  synced
}
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() {
  [[ ! -d ${TC_DIR:-/nonexistent}/standby ]] || pg_stop "$TC_DIR/standby"
  daemon_down
}

# A second host, which each commit of the first one waits for.
standby_up() {
  mkdir -p "$TC_DIR/standby/run"
  [[ $EUID != 0 ]] || chown -R "$(pg_user)": "$TC_DIR/standby"
  as_user "$(pg_user)" "$(pg_bin)/pg_basebackup" -h "$TC_DIR/pg/run" -U postgres -D "$TC_DIR/standby/data" -R -X stream -c fast \
    >/dev/null 3>&- 4>&-
  echo "unix_socket_directories = '$TC_DIR/standby/run'" >>"$TC_DIR/standby/data/postgresql.conf"
  pg standby -w -t 60 start
  wait_for 20 streams
  sql "ALTER SYSTEM SET synchronous_standby_names = '*'" 'SELECT pg_reload_conf()' >/dev/null
  wait_for 20 is_synchronous
  # the new primary has no standby to wait for
  echo "synchronous_standby_names = ''" >>"$TC_DIR/standby/data/postgresql.conf"
}
streams() { [[ $(sql "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1 ]]; }
is_synchronous() { [[ $(sql "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1 ]]; }
pg() { # FOLDER PG_CTL-WORD...
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/$1/data" -l "$TC_DIR/$1/postgresql.log" "${@:2}" >/dev/null 2>&1 </dev/null 3>&- 4>&-
}

@test "the primary is killed under load and the standby promoted: no failed login, no lost issue; a revocation holds" {
  cat >"$TC_DIR/kill" <<KILL
#!/bin/bash
. "$TC_TOP/scripts/lib.sh"
as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -m immediate stop >/dev/null
KILL
  cat >"$TC_DIR/promote" <<PROMOTE
#!/bin/bash
. "$TC_TOP/scripts/lib.sh"
as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/standby/data" -w -t 60 promote
PROMOTE
  chmod +x "$TC_DIR/kill" "$TC_DIR/promote"
  "$TC_CTL" credential issue turn.test eve --json >"$TC_DIR/eve"
  run "$TC_CTL" revoke user turn.test eve --json
  [ "$status" -eq 0 ]
  run ! grep -q asynchronously <<<"$output" # each commit waits for the standby, so nothing is warned of
  turn_step main under_load "https://127.0.0.1:$(<"$TC_DIR/daemons/main/port")" | tee "$TC_DIR/load" >&3
  # every credential that was handed out is in the log of the new primary
  wait_for 30 journal_is_empty
  PGHOST=$TC_DIR/standby/run sql "SELECT subject FROM turncred.issue_log WHERE kind = 'derived'" | sort >"$TC_DIR/logged"
  sort "$TC_DIR/issued" | comm -23 - "$TC_DIR/logged" | tee "$TC_DIR/lost"
  [ ! -s "$TC_DIR/lost" ] && [ -s "$TC_DIR/issued" ]
  [ "$(PGHOST=$TC_DIR/standby/run sql "SELECT turncred.is_revoked('user', 'turn.test', 'eve')")" = t ]
  run "$TC_CTL" probe --server "127.0.0.1:$(server_port main)" --credential "$TC_DIR/eve" --json
  [ "$status" -ne 0 ] && [[ $output == *401* ]]
  # and changes go on to come from there
  "$TC_CTL" key rotate turn.test --use derived --wait 20s --json >"$TC_DIR/rotated"
  [ "$(jq -r .complete "$TC_DIR/rotated")" = true ]
}
journal_is_empty() {
  [[ $(curl -s "http://127.0.0.1:$(<"$TC_DIR/daemons/main/monitor")/metrics" | sed -n 's/^turncredd_journal_entries //p') == 0 ]]
}
