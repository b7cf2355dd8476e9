#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Entries of the journal that the database refuses for good: set aside, counted, shown, replayed or dropped; the others go on.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived}'"
  key_add turn.test t1
  key_add turn.test d1 derived
  caller_add all derived,token,revoke '*'
  daemon_start main
  wait_for 5 tagged
  refuse
}
tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 1 ]; }
setup() { daemon_ready; }
teardown() { daemon_check; }
teardown_file() { daemon_down; }

# An operator's own rule, which refuses what turncredd issues
refuse() { sql "ALTER TABLE turncred.issue_log ADD CONSTRAINT house_rule CHECK (subject NOT LIKE 'bad%') NOT VALID"; }
allow() { sql 'ALTER TABLE turncred.issue_log DROP CONSTRAINT house_rule'; }
ready() { curl -s --max-time 5 "http://127.0.0.1:$(<"$TC_DIR/daemons/${DAEMON:-main}/monitor")/readyz"; }
undelivered() { [ "$(ready | jq .undelivered)" = "$1" ]; }
aside() { [ "$(ready | jq .set_aside)" = "$1" ]; }
issue() { CALLER=all call_json 201 POST "/v1/realms/${REALM:-turn.test}/credentials" "{\"user\": \"$1\"}"; }
logged() { [ "$(sql "SELECT count(*) FROM turncred.issue_log WHERE subject LIKE '$1'")" = "$2" ]; }
files() { find "$TC_DIR/daemons/main/state/set-aside" -name '*.json' | wc -l; }
reload() { kill -HUP "$(daemon_pid main)"; }
doctor() { TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema "$TC_CTL" doctor --json 2>&1 || true; }

@test "one that is refused is set aside, and those behind it are delivered" {
  local n
  for n in alice bad1 bob bad2 carol; do issue $n; done
  wait_for 10 logged carol 1
  wait_for 10 undelivered 0
  logged alice 1 && logged bob 1 && logged 'bad%' 0
  aside 2 && [ "$(files)" = 2 ]
  [ "$(ready | jq -r '.status, .journal' | xargs)" = 'ready true' ]
  # an operator can read it
  jq -e '.sub == "bad1" and .realm == "turn.test" and (.refused | contains("house_rule")) and .q > 0' "$TC_DIR"/daemons/main/state/set-aside/*2.json
  [ "$(stat -c %a "$TC_DIR/daemons/main/state/set-aside")" = 700 ]
  curl -s "http://127.0.0.1:$(<"$TC_DIR/daemons/main/monitor")/metrics" | grep -qx 'turncredd_journal_set_aside 2'
  [ "$(sql 'SELECT sum(set_aside) FROM turncred.journal')" = 2 ]
  doctor >"$TC_DIR/doctor" || true
  grep 'issuer-main.* has set 2 issues aside' "$TC_DIR/doctor" || { cat "$TC_DIR/doctor"; false; }
  [ "$(grep -c 'house_rule.*set aside\|set aside.*house_rule' "$TC_DIR/daemons/main/log")" -ge 1 ]
}

@test "a restart and a crash change nothing: no entry twice, none lost" {
  daemon_stop main
  daemon_run main
  aside 2 && [ "$(files)" = 2 ]
  issue bad3
  wait_for 10 aside 3
  daemon_kill main
  daemon_run main
  wait_for 10 undelivered 0
  aside 3 && [ "$(files)" = 3 ]
  issue dora
  wait_for 10 logged dora 1
  logged alice 1
}

@test "many among many: every one that fits is delivered" {
  local n users=()
  for n in {1..120}; do
    users+=("$((n % 7 ? 0 : 1))-$n")
  done
  # all wait while the database is away, so that they come in one batch
  pg_stop "$TC_DIR/pg"
  for n in "${users[@]}"; do [[ $n == 1-* ]] && issue "bad-$n" || issue "good-$n"; done
  pg_restart
  wait_for 20 logged 'good-%' 103
  wait_for 20 undelivered 0
  aside 20
}

@test "removing a file drops the entry; a reload replays the others, each once, and revocations find them" {
  rm "$(grep -l '"sub":"bad2"' "$TC_DIR"/daemons/main/state/set-aside/*.json)"
  reload
  daemon_log_has main 'set aside in .*: 0 entries delivered, 19 still refused'
  wait_for 5 aside 19
  CALLER=
  printf 'user = "all:%s"\n' "$(key_of all)" >"$TC_DIR/basic"
  call 200 POST /oauth2/token -K "$TC_DIR/basic" -d 'grant_type=client_credentials&audience=turn.test-server&subject=bad-token'
  wait_for 10 aside 20
  "$TC_CTL" revoke user turn.test bad-token --wait 0 --json
  [ "$(sql "SELECT count(*) FROM turncred.revocation WHERE kind = 'token'")" = 0 ]
  allow
  reload
  daemon_log_has main 'set aside in .*: 20 entries delivered, 0 still refused'
  wait_for 5 aside 0
  [ "$(files)" = 0 ]
  logged 'bad-1-%' 17 && logged bad1 1 && logged bad3 1 && logged bad2 0
  # the token of a user that was revoked meanwhile
  [ "$(sql "SELECT count(*) FROM turncred.revocation WHERE kind = 'token'")" = 1 ]
  [ "$(sql 'SELECT sum(set_aside) FROM turncred.journal')" = 0 ]
  ! doctor | grep -q 'issues aside' || false
}

@test "as many are set aside as the journal may hold, then issuing stops instead of filling the disk" {
  refuse
  daemon_start small 'journal_entries = 16'
  export DAEMON=small
  local n
  for n in {1..16}; do issue "bad$n"; done
  wait_for 10 aside 16
  for n in {1..16}; do issue "bad$n"; done
  wait_for 10 undelivered 16
  daemon_log_has small '16 entries of the journal are set aside in .*, as many as may'
  CALLER=all call_json 503 POST /v1/realms/turn.test/credentials '{"user": "good"}'
  allow
  rm "$TC_DIR"/daemons/small/state/set-aside/*
  kill -HUP "$(daemon_pid small)"
  wait_for 15 undelivered 0
  wait_for 5 aside 0
  issue good
}

@test "a database in LATIN1 with a schema from before: what it can hold is delivered" {
  PGDATABASE=postgres sql "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
  local file
  for file in "$TC_TOP"/plugin/schema/000[1-3]-*.sql; do PGDATABASE=latin psql -Xq1 -v ON_ERROR_STOP=1 -f "$file" >/dev/null; done
  PGDATABASE=latin sql "INSERT INTO turncred.realm (name, server_name, mechanisms, at_rest) VALUES ('turn.test', 'x', '{derived}', 'plain')" \
    "SELECT turncred.key_add_plain('turn.test', 'd', 'derived', 'sha256', sha256('x'))" \
    "INSERT INTO turncred.caller (name, key_sha256, scopes, realms) VALUES ('all', sha256('$(key_of all)'), '{derived}', '{*}')" >/dev/null
  daemon_start latin "database = host=$TC_DIR/pg/run dbname=latin user=issuer1"
  export DAEMON=latin
  local n
  for n in alice 電話📞 josé bob; do issue "$n"; done
  wait_for 10 undelivered 0
  aside 1
  [ "$(PGDATABASE=latin sql "SET client_encoding = UTF8; SELECT string_agg(subject, ' ' ORDER BY issued_at) FROM turncred.issue_log")" = 'alice josé bob' ]
  daemon_stop latin
}
