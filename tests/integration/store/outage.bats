#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The database gone, frozen, mute, restored: what is loaded stays in use, and the way back is found.

load store.bash

setup() {
  store_up
  cat >"$TC_DIR/bin/pg" <<PG
#!/bin/bash
. "$TC_TOP/tests/integration/store/store.bash"
pid=\$(head -n 1 "\$TC_DIR/pg/data/postmaster.pid")
case \$1 in
freeze) kill -STOP \$pid \$(pgrep -P \$pid) ;;
thaw) kill -CONT \$pid \$(pgrep -P \$pid) ;;
*) pg_ctl_run "\$@" ;;
esac
PG
  chmod +x "$TC_DIR/bin/pg"
}
teardown() {
  [[ ${BATS_TEST_COMPLETED-} ]] || cat "$TC_DIR"/probe*.log
  store_down
}

loaded='expect accepts r k = yes'

@test "stopped and started again" {
  run probe -p 300 <<SCRIPT
load 5000
sh pg stop -m fast
within 2000 connected = no
$loaded
during 1000 accepts r k = yes
sh pg start
within 20000 connected = yes
sh psql -Xqc "DELETE FROM turncred.key"
within 1000 has r key k = no
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c 'what is loaded stays in use' "$TC_DIR/probe.log")" -le 4 ]
}

@test "killed, and a change made before we are back" {
  run probe -p 300 <<SCRIPT
load 5000
sh pg stop -m immediate
within 2000 connected = no
$loaded
sh pg start; psql -Xqc "DELETE FROM turncred.key"
within 20000 has r key k = no
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  # libpq's guesses and the hints behind a reason are not the reason
  grep -q 'warning: database: ' "$TC_DIR/probe.log"
  ! grep -Eq 'database: (before or while|This probably|Is the server|DETAIL|HINT)' "$TC_DIR/probe.log"
}

@test "frozen: noticed, nothing lost, and store_stop does not wait for it" {
  run probe -p 300 <<SCRIPT
load 5000
sh pg freeze
within 25000 connected = no
$loaded
expect error = the database does not answer
sh pg thaw
within 30000 connected = yes
$loaded
sh pg freeze
during 600 connected = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  # the script above ended with a frozen database, in the middle of a question
  pg thaw
}

@test "not there at the start: found when it comes" {
  pg stop -m fast
  run probe -p 300 <<SCRIPT
sh pg start
load 20000
$loaded
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "reachable but mute, as first of two hosts" {
  # accepts connections and says nothing
  /usr/bin/python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(16)
print(s.getsockname()[1], flush=True)
time.sleep(60)' >"$TC_DIR/port" 3>&- 4>&- &
  local mute=$!
  wait_for 5 test -s "$TC_DIR/port"
  TC_CONN="host=127.0.0.1,$TC_DIR/pg/run port=$(<"$TC_DIR/port"),5432 dbname=turncred user=turn1" run probe -p 300 <<SCRIPT
load 25000
$loaded
SCRIPT
  kill $mute
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "refusing logins, schema missing, no rights: says why and goes on trying" {
  local newest
  newest=$(sql 'SELECT max(version) FROM turncred.migration')
  run probe -p 300 <<SCRIPT
load 5000
sh psql -Xqc "ALTER ROLE turn1 NOLOGIN" -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'turn1'" >/dev/null
within 3000 connected = no
$loaded
sh psql -Xqc "ALTER ROLE turn1 LOGIN"
within 20000 connected = yes
sh psql -Xqc "REVOKE turncred_server FROM turn1"
within 3000 connected = no
expect error = permission denied for schema turncred (42501) (GRANT turncred_server TO "turn1")
$loaded
sh psql -Xqc "GRANT turncred_server TO turn1"
within 20000 connected = yes
sh psql -Xqc "INSERT INTO turncred.migration (version, description, min_program) VALUES (900, 'a later one', $newest)"
during 600 connected = yes
sh psql -Xqc "UPDATE turncred.migration SET min_program = $((newest + 1)) WHERE version = 900"
within 3000 connected = no
expect error = the database has turncred schema 900, which needs programs for schema $((newest + 1)) or newer; this one is for $newest: upgrade it
$loaded
sh psql -Xqc "DELETE FROM turncred.migration WHERE version = 900"
within 20000 connected = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "the list of servers cannot be read: said once, again when it can, and changes are followed" {
  run probe -p 300 <<SCRIPT
load 5000
sh psql -Xqc 'REVOKE EXECUTE ON FUNCTION turncred.servers() FROM turncred_server' -c "INSERT INTO turncred.change (kind) VALUES ('server')" -c 'NOTIFY turncred'
sh for i in \$(seq 100); do grep -q 'servers .*permission denied' "$TC_DIR/probe.log" && exit 0; sleep 0.1; done; exit 1
during 1000 connected = yes
$loaded
sh psql -Xqc 'GRANT EXECUTE ON FUNCTION turncred.servers() TO turncred_server'
sh for i in \$(seq 100); do grep -q 'servers .*is loaded again' "$TC_DIR/probe.log" && exit 0; sleep 0.1; done; exit 1
SCRIPT
  sql 'GRANT EXECUTE ON FUNCTION turncred.servers() TO turncred_server'
  cat "$TC_DIR/probe.log"
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c 'permission denied' "$TC_DIR/probe.log")" -eq 1 ]
}

@test "tries to come back grow rarer, and two stores do not try in step" {
  sql 'CREATE ROLE turn2 LOGIN IN ROLE turncred_server'
  echo "own $(id -un) turn2" >>"$TC_DIR/pg/data/pg_ident.conf"
  sql 'SELECT pg_reload_conf()' >/dev/null
  local role pids=() line
  line=$(wc -l <"$TC_DIR/pg/postgresql.log")
  for role in turn1 turn2; do
    "$TC_BUILD/tests/integration/store/store_probe" -d "host=$PGHOST dbname=turncred user=$role" -k "$TC_DIR/kek" -i $role -p 300 \
      >"$TC_DIR/out.$role" 2>&1 3>&- 4>&- <<'SCRIPT' &
load 5000
within 10000 connected = no
during 6000 connected = no
within 60000 connected = yes
SCRIPT
    pids+=($!)
  done
  wait_for 10 both_connected
  sql 'ALTER ROLE turn1 NOLOGIN' 'ALTER ROLE turn2 NOLOGIN' \
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('turn1', 'turn2')" >/dev/null
  wait_for 30 tried_for 8 "$line"
  sql 'ALTER ROLE turn1 LOGIN' 'ALTER ROLE turn2 LOGIN'
  for pid in "${pids[@]}"; do wait "$pid" || { cat "$TC_DIR"/out.*; false; }; done
  tail -n "+$line" "$TC_DIR/pg/postgresql.log" | /usr/bin/python3 "$BATS_TEST_DIRNAME/outage.py"
}
both_connected() { [ "$(sql "SELECT count(DISTINCT usename) FROM pg_stat_activity WHERE usename IN ('turn1', 'turn2')")" = 2 ]; }
# tried_for SECONDS LINE: between the first refusal since that line and the newest one
tried_for() {
  tail -n "+$2" "$TC_DIR/pg/postgresql.log" | grep 'is not permitted to log in' | sed -n '1p;$p' | cut -c12-23 |
    awk -F: -v n="$1" '{ t[NR] = $1 * 3600 + $2 * 60 + $3 } END { exit !(NR == 2 && t[2] - t[1] >= n) }'
}

@test "history lost (restored from a dump): loaded anew, revocations are kept" {
  pg_dump -Fc turncred >"$TC_DIR/dump"
  run probe -p 300 <<SCRIPT
load 5000
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'lost', 'token', 'A128GCM', decode(repeat('0d', 16), 'hex'))" -c "SELECT turncred.revoke('user', 'r', 'eve')" -c "SELECT turncred.revoke('kid', 'r', 'short', p_until => now() + interval '3 seconds')" >/dev/null
within 1000 has r key lost = yes
within 1000 revoked user r eve = for good
sh PGDATABASE=postgres psql -Xqc "DROP DATABASE turncred WITH (FORCE)" -c "CREATE DATABASE turncred"; pg_restore -d turncred "$TC_DIR/dump"
within 20000 has r key lost = no
expect accepts r k = yes
expect revoked user r eve = for now
sh sleep 3
expect revoked kid r short = before
sh psql -Xqc "SELECT turncred.revoke('user', 'r', 'eve')" -c "SELECT turncred.key_set_state('r', 'k', 'disabled')" >/dev/null
within 1000 accepts r k = no
expect revoked user r eve = for good
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  grep -q 'loading everything anew' "$TC_DIR/probe.log"
}

@test "restarted empty: what is loaded stays in use until there is something to load" {
  pg_dump -Fc turncred >"$TC_DIR/dump"
  run probe -p 300 <<SCRIPT
load 5000
sh psql -Xqc "SELECT turncred.revoke('user', 'r', 'eve')" >/dev/null
within 1000 revoked user r eve = for good
sh PGDATABASE=postgres psql -Xqc "DROP DATABASE turncred WITH (FORCE)" -c "CREATE DATABASE turncred"
within 3000 connected = no
$loaded
sh cat "$TC_TOP"/plugin/schema/[0-9]*.sql | psql -Xq1 -v ON_ERROR_STOP=1
within 20000 error = it is another one, or restored, and holds no realm; if that is meant, restart
during 20000 accepts r k = yes
expect revoked user r eve = for good
sh PGDATABASE=postgres psql -Xqc "DROP DATABASE turncred WITH (FORCE)" -c "CREATE DATABASE turncred"; pg_restore -1 -d turncred "$TC_DIR/dump"
within 5000 connected = yes
$loaded
expect revoked user r eve = for now
sh psql -Xqc "DELETE FROM turncred.key" -c "DELETE FROM turncred.realm"
within 1000 realm r = none
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c 'loading everything anew' "$TC_DIR/probe.log")" -eq 1 ]
  grep -q 'database "turncred" does not exist.*; what is loaded stays in use' "$TC_DIR/probe.log"
}

@test "notifications that say nothing, and many of them, do no harm" {
  run probe -p 60000 <<SCRIPT
load 5000
sh for i in \$(seq 50); do echo "NOTIFY turncred; NOTIFY turncred, 'garbage';"; done | psql -Xq
during 300 accepts r k = yes
sh psql -Xqc "DELETE FROM turncred.key"
within 1000 has r key k = no
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "a database that takes no writes (full, or read-only): changes are still followed" {
  run probe -p 300 <<SCRIPT
load 5000
sh psql -Xqc "ALTER ROLE turn1 SET default_transaction_read_only = on" -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'turn1'" >/dev/null
sh sleep 1
sh psql -Xqc "DELETE FROM turncred.key"
within 1000 has r key k = no
during 2000 connected = yes
SCRIPT
  echo "$output"; cat "$TC_DIR/probe.log"
  [ "$status" -eq 0 ]
  [ "$(grep -c 'progress is not reported: cannot execute .* read-only' "$TC_DIR/probe.log")" -eq 1 ]
}

@test "a table that somebody has locked: what is loaded stays, and it goes on afterwards" {
  slow begin 'LOCK TABLE turncred.change IN ACCESS EXCLUSIVE MODE'
  run probe -p 300 <<SCRIPT
sh slow commit
load 20000
$loaded
sh slow begin 'LOCK TABLE turncred.credential IN ACCESS EXCLUSIVE MODE'
sh psql -Xqc "DELETE FROM turncred.key"
within 1000 has r key k = no
sh slow commit
sh psql -Xqc "DELETE FROM turncred.realm"
within 1000 realm r = none
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "ten thousand changes while a transaction is open are each applied once" {
  # polls N: waits until the store has asked the database so many times more
  cat >"$TC_DIR/bin/polls" <<'POLLS'
#!/bin/sh
last='' seen=-1
for i in $(seq 400); do
  now=$(psql -XAtc "SELECT max(query_start) FROM pg_stat_activity WHERE usename = 'turn1'")
  [ "$now" = "$last" ] || seen=$((seen + 1))
  [ "$seen" -lt "$1" ] || exit 0
  last=$now
  sleep 0.05
done
exit 1
POLLS
  chmod +x "$TC_DIR/bin/polls"
  run probe -p 300 <<'SCRIPT'
load 5000
sh slow begin "SELECT turncred.credential_push_password('r', 'slow', 'password of 128 bits')"
sh psql -Xqc "DO 'BEGIN FOR i IN 1 .. 10000 LOOP PERFORM turncred.credential_push_plain(''r'', ''n'' || i, ''\x00112233445566778899aabbccddeeff''); END LOOP; END'"
within 5000 counts = realms=1 keys=1 credentials=10000 revocations=0
print generation
sh polls 8
print generation
sh slow commit
within 2000 counts = realms=1 keys=1 credentials=10001 revocations=0
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c '^generation' <<<"$output")" -eq 2 ]
  [ "$(grep '^generation' <<<"$output" | sort -u | wc -l)" -eq 1 ]
}
