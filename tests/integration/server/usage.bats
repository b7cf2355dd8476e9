#!/usr/bin/env bats
# Who used what: from a relay's counters to the database, over restarts, kills and a database that is away.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived}'" "usage='user'"
  key_add turn.test k1
  key_add turn.test d1 derived
  server_start main 'module:usage_interval = 300ms' "module:prometheus = 127.0.0.1:$(free_port)"
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

rows() { sql "SELECT count(*) FROM turncred.$1"; }
no_rows() { [ "$(rows "$1")" -eq 0 ]; }
row() { [ -n "$(sql "SELECT 1 FROM turncred.$1 WHERE $2 LIMIT 1")" ]; }

@test "off: nothing is written of a session, anywhere" {
  sql "UPDATE turncred.realm SET usage = 'off'"
  server_start off 'module:usage_interval = 300ms' "module:snapshot_file = $TC_DIR/servers/off/snapshot"
  synced
  turn_step off call nobody-asked
  server_stop off
  # the name is in the log that coturn writes with usage or without, and in no other file: no journal, no snapshot, no table,
  # no WAL, no line of the module
  sql CHECKPOINT
  grep -q nobody-asked "$TC_DIR/servers/off/log"
  [ -s "$TC_DIR/servers/off/snapshot" ]
  ! grep 'auth-module.*nobody-asked' "$TC_DIR/servers/off/log"
  [ "$(grep -rl --exclude-dir=run nobody-asked "$TC_DIR" | sed "s,^$TC_DIR/,," | sort | paste -sd ' ')" = 'servers/off/log' ]
  [ ! -e "$TC_DIR/servers/off/usage" ]
  turn_step main call alice
  [ ! -e "$TC_DIR/servers/main/usage" ]
  no_rows session_live
  no_rows session_log
  no_rows session_journal
  # the same call is seen as soon as the realm wants it
  sql "UPDATE turncred.realm SET usage = 'user'"
  synced
  turn_step main call alice
  wait_for 10 row session_log "subject = 'alice' AND why = 'client'"
  grep -rqs alice "$TC_DIR/servers/main/usage" && grep -rqs alice "$TC_DIR/pg/data" # so they would have been found
  [ "$(rows session_log)" -eq 1 ]
}

@test "user: who, over what, and exactly the octets and packets that the client counted" { turn_step main exact; }

@test "a session is an allocation: what is refused leaves none" { turn_step main refused; }

@test "totals: no user; address: where from" { turn_step main levels; }

@test "a token's user is the subject of issue_log" { turn_step main token_subject; }

@test "why: expired, revoked" { turn_step main why; }

@test "session end ends one call, bars nobody, and is acknowledged" { turn_step main operator; }

@test "metrics by realm" { turn_step main metrics; }

# told_once USER: a session of the stopped server
told_once() {
  [ "$(sql "SELECT string_agg(why, ' ') FROM turncred.session_log WHERE subject = '$1' AND received_packets > 5")" = stopped ] &&
    no_rows "session_live WHERE subject = '$1'"
}

@test "SIGTERM: living sessions are told as stopped, at once or at the next start, and once" {
  server_start stopping 'module:usage_interval = 300ms'
  turn_step stopping leave_one stopped
  wait_for 10 row session_live "subject = 'stopped' AND received_packets > 5"
  server_stop stopping
  # the module has 5 seconds for it; the journal has it in any case
  told_once stopped || journal_has stopping stopped
  server_run stopping "$TC_TURNSERVER"
  wait_for 20 told_once stopped
}

@test "SIGTERM while the database is away: the server stops, and tells at its next start" {
  server_start later 'module:usage_interval = 300ms'
  turn_step later leave_one later
  wait_for 10 row session_live "subject = 'later' AND received_packets > 5"
  pg_stop_fast
  server_stop later
  journal_has later later
  pg_start_again
  row session_live "subject = 'later'"
  server_run later "$TC_TURNSERVER"
  wait_for 20 told_once later
}

@test "a journal that cannot be written at first: the session and what it has used are told later" {
  server_start waiting 'module:usage_interval = 200ms' module:-usage_dir "module:usage_dir = $TC_DIR/servers/waiting/not-yet/usage"
  turn_step waiting leave_one waiting
  log_has waiting 'usage_dir .*not-yet/usage: No such file.*; sessions wait in memory' 10
  mkdir "$TC_DIR/servers/waiting/not-yet"
  # it is idle: nothing but the first report says what it has used
  wait_for 20 row session_live "subject = 'waiting' AND received_packets > 5"
}

@test "kill -9: what had ended is told once, what lived is lost with what was known of it" {
  server_start killed 'module:usage_interval = 300ms'
  turn_step killed call before
  turn_step killed leave_one during
  wait_for 10 row session_live "subject = 'during' AND received_packets > 5"
  pg_stop_fast
  turn_step killed call away
  journal_has killed away
  kill -9 "$(<"$TC_DIR/servers/killed/pid")"
  wait_for 5 server_gone "$(<"$TC_DIR/servers/killed/pid")"
  pg_start_again
  server_run killed "$TC_TURNSERVER"
  wait_for 20 row session_log "subject = 'during' AND why = 'lost' AND received_packets > 5"
  run sql "SELECT string_agg(subject || ' ' || why, ', ' ORDER BY subject) FROM turncred.session_log WHERE instance = 'killed'"
  echo "$output"
  [ "$output" = 'away client, before client, during lost' ]
  [ "$(sql "SELECT count(*) FROM turncred.session_live WHERE instance = 'killed'")" -eq 0 ]
}

journal_has() { wait_for 10 grep -q "\"end\".*\"$2\"" "$TC_DIR/servers/$1/usage/"*.log; }
pg_stop_fast() {
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -m fast -w -t 60 stop >/dev/null 2>&1 </dev/null 3>&- 4>&-
}
pg_start_again() {
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -l "$TC_DIR/pg/postgresql.log" -w -t 60 start >/dev/null 2>&1 \
    </dev/null 3>&- 4>&-
}

@test "the database is away: logins go on, and each session is told once when it is back" {
  pg_stop_fast
  turn_step main many 20
  pg_start_again
  wait_for 30 all_told
  [ "$(sql "SELECT count(*), count(DISTINCT number) FROM turncred.session_log WHERE subject LIKE 'many-%'")" = '20|20' ]
}
all_told() { [ "$(sql "SELECT count(*) FROM turncred.session_log WHERE subject LIKE 'many-%'")" -eq 20 ]; }

@test "one session that the database refuses is named in the log and keeps back no other" {
  sql "ALTER TABLE turncred.session_log ADD CONSTRAINT no_refused CHECK (subject IS DISTINCT FROM 'bad-2') NOT VALID"
  pg_stop_fast # what follows comes in one statement
  for user in ok-1 bad-2 ok-3; do turn_step main call $user; done
  pg_start_again
  wait_for 30 row session_log "subject = 'ok-1'"
  wait_for 30 row session_log "subject = 'ok-3'"
  log_has main 'usage: the database refuses entry [0-9]+ for good: .*no_refused'
  curl -s "http://$(sed -n 's/^prometheus = //p' "$TC_DIR/servers/main/module.conf")/metrics" | grep -qx 'turncred_usage_lost_total 1'
  sql 'ALTER TABLE turncred.session_log DROP CONSTRAINT no_refused'
  [ "$(sql "SELECT count(*) FROM turncred.session_log WHERE subject ~ '^(ok|bad)-'")" -eq 2 ]
}

@test "a database that has lost the row of the journal: the server opens it anew and goes on" {
  sql "DELETE FROM turncred.session_journal WHERE instance = 'main'"
  turn_step main call reopened
  wait_for 20 row session_log "subject = 'reopened' AND why = 'client'"
  [ "$(sql "SELECT count(*) FROM turncred.session_log WHERE subject = 'reopened'")" -eq 1 ]
}
