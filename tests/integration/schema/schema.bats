#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The schema: constraints and roles (pgTAP), migrations, the SQL contract with psql alone.

load ../store/store.bash

setup_file() { store_up; sql 'CREATE EXTENSION pgtap SCHEMA public'; }
teardown_file() { store_down; }

pgtap() {
  run psql -XqAt -v ON_ERROR_STOP=1 -f "$TC_TOP/tests/integration/schema/$1"
  grep -v '^ok' <<<"$output"
  [ "$status" -eq 0 ]
  if grep -q '^not ok' <<<"$output"; then return 1; fi
  [ "$(grep -c '^ok' <<<"$output")" -ge "$2" ]
}

@test "constraints refuse what they should, by name; feed and housekeeping" { pgtap constraints.sql 135; }

@test "values: the database and plugin/base have one spelling and one refusal" { pgtap values.sql 250; }

@test "roles: each role has the rights that it needs and no others" { pgtap roles.sql 390; }

@test "usage: what is recorded, delivered once, forgotten; the cursor of an auditor" { pgtap usage.sql 57; }

@test "fleet: goodbye, what servers advertise, draining" { pgtap fleet.sql 18; }

@test "devices: several pushed credentials of one user" { pgtap devices.sql 49; }

@test "the migration runs with CREATEROLE and CREATE alone, beside another database of the cluster" {
  sql "CREATE ROLE dba LOGIN CREATEROLE" 'CREATE DATABASE other OWNER dba'
  # a role that did not make the roles must be given the owner
  sql 'GRANT turncred_owner TO dba'
  sql "SET SESSION AUTHORIZATION dba; SELECT 1"
  { echo 'SET SESSION AUTHORIZATION dba;'; cat "$TC_TOP"/plugin/schema/[0-9]*.sql; } |
    psql -Xq1 -v ON_ERROR_STOP=1 -d other
  [ "$(PGDATABASE=other sql 'SELECT max(version) FROM turncred.migration')" -eq "$(sql 'SELECT max(version) FROM turncred.migration')" ]
  sql 'DROP DATABASE other'
}

@test "no statement of the migration survives when one fails" {
  sql 'CREATE DATABASE broken'
  { cat "$TC_TOP"/plugin/schema/[0-9]*.sql; echo 'SELECT 1/0;'; } >"$TC_DIR/broken.sql"
  run psql -Xq1 -v ON_ERROR_STOP=1 -d broken -f "$TC_DIR/broken.sql"
  [ "$status" -ne 0 ]
  [ "$(PGDATABASE=broken sql "SELECT count(*) FROM pg_namespace WHERE nspname = 'turncred'")" -eq 0 ]
  sql 'DROP DATABASE broken'
}

@test "a foreign component with psql alone: key, push, replace, list, revoke, lift; a store obeys" {
  cat >"$TC_DIR/bin/as" <<'AS'
#!/bin/sh
# as USER SQL
u=$1; shift
exec psql -XqAt -v ON_ERROR_STOP=1 -U "$u" -c "$1"
AS
  chmod +x "$TC_DIR/bin/as"
  run probe -p 60000 <<'SCRIPT'
load 5000
sh as admin1 "INSERT INTO turncred.realm (name, server_name, mechanisms, at_rest) VALUES ('example.org', 'turn.example.org', '{token,pushed}', 'plain')"
sh as admin1 "SELECT turncred.key_add_plain('example.org', 'kid-1', 'token', 'A256GCM', decode('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex'))" >/dev/null
within 1000 key example.org kid-1 = example.org/kid-1 token A256GCM none active enc=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f auth= tag=1
sh as issuer1 "SELECT turncred.credential_push_plain('example.org', 'alice', p_md5 => decode(md5('alice:example.org:the password'), 'hex'), p_expiry => '2100-01-01')" >/dev/null
within 1000 credential example.org alice = example.org/alice ec4be2f7847b24a2cdb7dcc349ab1563 expiry=4102444800 address=
sh as issuer1 "SELECT turncred.credential_push_password('example.org', 'alice', 'another password', p_client_address => '192.0.2.7')" >/dev/null
within 1000 credential example.org alice = example.org/alice aa7652d1bb2c5fe29261afea785183df expiry=0 address=192.0.2.7
sh [ "$(as issuer1 "SELECT username || ' ' || is_sealed FROM turncred.credential_list WHERE realm = 'example.org'")" = 'alice false' ]
sh as admin1 "SELECT turncred.revoke('user', 'example.org', 'alice', 'test')" >/dev/null
within 1000 has example.org credential alice = no
within 1000 revoked user example.org alice = for good
sh as admin1 "SELECT turncred.lift('user', 'example.org', 'alice')" >/dev/null
sh as issuer1 "SELECT turncred.credential_push_password('example.org', 'alice', 'another password')" >/dev/null
within 1000 has example.org credential alice = yes
sh as issuer1 "SELECT turncred.credential_remove('example.org', 'alice')" >/dev/null
within 1000 has example.org credential alice = no
sh as admin1 "SELECT turncred.key_set_state('example.org', 'kid-1', 'disabled')" >/dev/null
within 1000 accepts example.org kid-1 = no
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "two maintenance runs at once, and a revocation against an issuer at the same moment" {
  for i in 1 2; do psql -XqAt -U admin1 -c 'SELECT count(*) FROM turncred.maintain_partitions()' >"$TC_DIR/m$i" 3>&- & done
  wait
  [ $(($(<"$TC_DIR/m1") + $(<"$TC_DIR/m2"))) -eq 14 ]
  # the issuer's row is not committed when the revocation begins: it waits, and then sees the token
  slow begin "SELECT turncred.issue_record('r', 'token', 'eve', now() + interval '1 hour', 'k', 'ffffffffffffffffffffffffffffffff')"
  psql -Xq -c "SELECT turncred.revoke('user', 'r', 'eve')" >/dev/null 3>&- &
  local revoking=$!
  wait_for 10 somebody_waits_for_a_lock
  kill -0 $revoking
  slow commit
  wait $revoking
  [ "$(sql "SELECT count(*) FROM turncred.revocation WHERE kind = 'token' AND name = 'ffffffffffffffffffffffffffffffff'")" -eq 1 ]
}

# waiting COUNT: so many sessions wait for a lock
waiting() { [ "$(sql 'SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted')" -ge "$1" ]; }
somebody_waits_for_a_lock() { waiting 1; }

@test "maintenance does not wait for a dump, and makes no other statement wait" {
  sql 'CREATE TABLE turncred.change_20200101 PARTITION OF turncred.change FOR VALUES FROM ($$2020-01-01$$) TO ($$2020-01-02$$)' \
    'ALTER TABLE turncred.change_20200101 OWNER TO turncred_owner'
  slow begin 'LOCK TABLE turncred.change IN ACCESS SHARE MODE'
  local start=$SECONDS
  run psql -XqAt -U admin1 -c 'SELECT * FROM turncred.maintain_partitions()'
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *'busy|change'* ]]
  [ $((SECONDS - start)) -lt 20 ]
  sql "UPDATE turncred.realm SET max_ttl = max_ttl + 1 WHERE name = 'r'"
  slow commit
  run psql -XqAt -U admin1 -c 'SELECT * FROM turncred.maintain_partitions()'
  echo "$output"
  [[ $output == *'drop|change_20200101'* ]]
}

@test "a user is revoked by the name of a credential that is being pushed: neither ends in a deadlock" {
  sql "SELECT turncred.credential_push_plain('r', 'dan', decode(md5('x'), 'hex'))" >/dev/null
  slow begin "SELECT FROM turncred.credential WHERE username = 'dan' FOR UPDATE"
  psql -XqAt -v ON_ERROR_STOP=1 -U issuer1 -c "SELECT removed FROM turncred.credential_take_back('r', 'dan', true)" >"$TC_DIR/back" 2>&1 3>&- &
  local back=$!
  wait_for 20 waiting 1
  psql -XqAt -v ON_ERROR_STOP=1 -U issuer1 -c "SELECT turncred.credential_push_recorded('r', 'dan', NULL, NULL, decode(md5('y'), 'hex'), NULL, NULL, '', '', '')" >"$TC_DIR/push" 2>&1 3>&- &
  local push=$!
  wait_for 20 waiting 2
  slow commit
  wait $back || { cat "$TC_DIR/back" && false; }
  wait $push || true
  cat "$TC_DIR/push"
  [[ $(<"$TC_DIR/push") != *deadlock* ]]
  [ "$(sql "SELECT turncred.is_revoked('user', 'r', 'dan')" "SELECT count(*) FROM turncred.credential WHERE username = 'dan'" | xargs)" = 't 0' ]
}

# second FIRST SECOND: the second statement while the first one is not committed yet, and waits for it; its output is $TC_DIR/second
second() {
  slow begin "$1"
  psql -XqAt -v ON_ERROR_STOP=1 -U admin1 -c "$2" >"$TC_DIR/second" 2>&1 3>&- &
  local pid=$!
  wait_for 20 waiting 1
  slow commit
  if wait $pid; then return 1; fi
  cat "$TC_DIR/second"
}

@test "rules across rows hold for two transactions at once" {
  sql "INSERT INTO turncred.realm (name, server_name, at_rest, keys_tried) VALUES ('t1', 't', 'plain', 1), ('t2', 't', 'plain', 1), ('t3', 't', 'plain', 1)"
  second "SELECT turncred.key_add_plain('t1', 'd1', 'derived', 'sha256', sha256('1'))" \
    "SELECT turncred.key_add_plain('t1', 'd2', 'derived', 'sha256', sha256('2'))"
  [[ $(<"$TC_DIR/second") == *'servers try no more'* ]]
  second "UPDATE turncred.realm SET origins = '{https://t.example}' WHERE name = 't1'" \
    "UPDATE turncred.realm SET origins = '{https://t.example}' WHERE name = 't2'"
  [[ $(<"$TC_DIR/second") == *'already chooses realm "t1"'* ]]
  second "SELECT turncred.credential_push_plain('t2', 'ann', decode(md5('x'), 'hex'))" \
    "UPDATE turncred.realm SET at_rest = 'sealed' WHERE name = 't2'"
  [[ $(<"$TC_DIR/second") == *'are still stored plain'* ]]
  second "SELECT turncred.key_add_plain('t3', 'd', 'derived', 'sha256', sha256('3'))" \
    "UPDATE turncred.realm SET at_rest = 'sealed' WHERE name = 't3'"
  [[ $(<"$TC_DIR/second") == *'are still stored plain'* ]]
  sql "DELETE FROM turncred.key WHERE realm = 't3'" "DELETE FROM turncred.credential WHERE realm = 't2'"
  second "UPDATE turncred.realm SET at_rest = 'sealed' WHERE name = 't3'" \
    "SELECT turncred.key_add_plain('t3', 'd', 'derived', 'sha256', sha256('3'))"
  [[ $(<"$TC_DIR/second") == *'sealed only'* ]]
  second "UPDATE turncred.realm SET at_rest = 'sealed' WHERE name = 't2'" \
    "SELECT turncred.credential_push_plain('t2', 'ann', decode(md5('x'), 'hex'))"
  [[ $(<"$TC_DIR/second") == *'sealed only'* ]]
  sql "DELETE FROM turncred.realm WHERE name ~ '^t[123]$'"
}

# keeps SQL: a session that has run this as ROLE and stays in its transaction, as a server that somebody has taken over;
# its pid is in $TC_DIR/kept, and `kept end` ends it
keeps() {
  rm -f "$TC_DIR/kept"
  { printf '%s\n' 'BEGIN;' "$2;" "\\! touch $TC_DIR/kept"; tail -f /dev/null --pid=$$; } |
    psql -Xq -v ON_ERROR_STOP=1 -U "$1" >/dev/null 2>&1 3>&- 4>&- &
  wait_for 10 test -e "$TC_DIR/kept"
}
kept_end() { sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'" >/dev/null; }

@test "a user is forgotten while maintenance gives up a session of the same user: neither ends in a deadlock" {
  sql "INSERT INTO turncred.realm (name, server_name, mechanisms, usage) VALUES ('f', 'f', '{derived}', 'user')"
  # one session is told by a server that lives, a later one by a server that has been silent for days
  sql "INSERT INTO turncred.session_live (instance, server_start, number, realm, mechanism, subject, started_at, last_seen)
    VALUES ('here', now(), 1, 'f', 'derived', 'zoe', now(), now()), ('gone', now() - interval '9 days', 2, 'f', 'derived', 'zoe', now(), now() - interval '9 days')" \
    "INSERT INTO turncred.session_log SELECT now(), now(), 'f', 'derived', 'zoe', 'k', 'udp', NULL, NULL, 'here', now(), 3, 'client', 1, 1, 1, 1, 1, 1, 1, 1"
  # it stops in the middle, with rows of session_log changed
  slow begin "SELECT FROM turncred.session_live WHERE instance = 'here' FOR UPDATE"
  psql -XqAt -v ON_ERROR_STOP=1 -U admin1 -c "SELECT * FROM turncred.user_forget('f', 'zoe')" >"$TC_DIR/forget" 2>&1 3>&- &
  local forgetting=$!
  wait_for 20 waiting 1
  psql -XqAt -v ON_ERROR_STOP=1 -U admin1 -c 'SELECT * FROM turncred.maintain_usage(30)' >"$TC_DIR/maintain" 2>&1 3>&- &
  local maintaining=$!
  wait_for 20 waiting 2
  slow commit
  wait $forgetting || { cat "$TC_DIR/forget" && false; }
  wait $maintaining || { cat "$TC_DIR/maintain" && false; }
  grep -qx 'session_live|[12]' "$TC_DIR/forget"
  psql -XqAt -U admin1 -c 'SELECT * FROM turncred.maintain_usage(30)' >/dev/null # the other one may have given way
  [ "$(sql "SELECT string_agg(number || ' ' || why || coalesce(' ' || subject, ''), ', ' ORDER BY number) FROM turncred.session_log WHERE realm = 'f'")" = '2 lost, 3 client' ]
  sql "DELETE FROM turncred.session_log WHERE realm = 'f'" "DELETE FROM turncred.session_live WHERE realm = 'f'" # other tests count events
}

# forgotten_during SQL: what a server tells of a user's two sessions stops between them, and the user is forgotten meanwhile
forgotten_during() {
  # the later one comes first in the table, and the earlier one first in what the server tells
  sql "INSERT INTO turncred.session_live (instance, server_start, number, realm, mechanism, subject, started_at, last_seen)
    VALUES ('here', to_timestamp(1), 2, 'g', 'derived', 'zoe', now(), to_timestamp(1)), ('here', to_timestamp(1), 1, 'g', 'derived', 'zoe', now(), to_timestamp(1))"
  slow begin "SELECT FROM turncred.session_live WHERE instance = 'here' AND number = 1 FOR UPDATE"
  # the plan of a table that is larger
  PGOPTIONS='-c enable_hashjoin=off -c enable_mergejoin=off' psql -XqAt -v ON_ERROR_STOP=1 -U turn1 -c "$1" >"$TC_DIR/tell" 2>&1 3>&- &
  local telling=$!
  wait_for 20 waiting 1
  psql -XqAt -v ON_ERROR_STOP=1 -U admin1 -c "SELECT * FROM turncred.user_forget('g', 'zoe')" >"$TC_DIR/forget" 2>&1 3>&- &
  local forgetting=$!
  wait_for 20 waiting 2
  slow commit
  wait $telling || { cat "$TC_DIR/tell" && false; }
  wait $forgetting || { cat "$TC_DIR/forget" && false; }
  [ "$(sql "SELECT count(*) FROM turncred.session_live WHERE subject = 'zoe'")" -eq 0 ]
  [ "$(sql "SELECT count(*) FROM turncred.session_log WHERE subject = 'zoe'")" -eq 0 ]
}

@test "a user is forgotten while a server tells of two sessions of the same user: neither ends in a deadlock" {
  local stream="'00000000-0000-4000-8000-0000000000f0'" counters='"c": [7, 0, 0, 0, 0, 0, 0, 0]'
  sql "INSERT INTO turncred.realm (name, server_name, mechanisms, usage) VALUES ('g', 'g', '{derived}', 'user')"
  psql -Xq -U turn1 -c "SELECT turncred.usage_open($stream, 'here')" >/dev/null
  forgotten_during "SELECT turncred.usage_progress($stream, 1000000, '[{\"n\": 1, \"t\": 2000000, $counters}, {\"n\": 2, \"t\": 2000000, $counters}]')"
  [ "$(<"$TC_DIR/tell")" = 2 ]
  [ "$(sql "SELECT sum(received_octets) FROM turncred.session_live WHERE realm = 'g'")" -eq 14 ]
  sql "DELETE FROM turncred.session_live WHERE realm = 'g'"
  # shellcheck disable=SC2059 # the entry is the format
  end() { printf '{"q": %d, "e": "end", "l": 1000000, "n": %d, "realm": "g", "m": "derived", "sub": "zoe", "t": 1000000, "u": 2000000, "why": "client", '"$counters}" "$1" "$1"; }
  forgotten_during "SELECT turncred.usage_deliver($stream, '[$(end 1), $(end 2)]')"
  [ "$(<"$TC_DIR/tell")" = 2 ]
  [ "$(sql "SELECT count(*) FROM turncred.session_log WHERE realm = 'g' AND received_octets = 7")" -eq 2 ]
  sql "DELETE FROM turncred.session_log WHERE realm = 'g'"
}

@test "maintenance does not wait for a delivery that hangs: the server's sessions are given up the next time" {
  sql "INSERT INTO turncred.session_live (instance, server_start, number, realm, mechanism, started_at, last_seen)
    VALUES ('silent', now() - interval '9 days', 1, 'r', 'derived', now() - interval '9 days', now() - interval '9 days')"
  psql -Xq -U turn1 -c "SELECT turncred.usage_open('00000000-0000-4000-8000-0000000000f1', 'silent')" >/dev/null
  slow begin "SELECT FROM turncred.session_journal WHERE instance = 'silent' FOR UPDATE"
  [ "$(psql -XqAt -v ON_ERROR_STOP=1 -U admin1 -c 'SELECT * FROM turncred.maintain_usage()')" = 'busy|session_journal' ]
  slow commit
  [[ $(psql -XqAt -v ON_ERROR_STOP=1 -U admin1 -c 'SELECT * FROM turncred.maintain_usage()') == *'sessions of silent'* ]]
  [ "$(sql "SELECT count(*) FROM turncred.session_live WHERE instance = 'silent'")" -eq 0 ]
}

@test "a forgetting that has to wait for maintenance says for whom" {
  keeps postgres 'SELECT FROM turncred.subject_lock WHERE bucket = -1 FOR UPDATE'
  sql "ALTER FUNCTION turncred.user_forget(text, text) SET lock_timeout = '1s'" # instead of 30 s
  run psql -XqAt -U admin1 -c "SELECT turncred.user_forget('f', 'zoe')"
  sql "ALTER FUNCTION turncred.user_forget(text, text) SET lock_timeout = '30s'"
  kept_end
  echo "$output"
  [ "$status" -ne 0 ]
  [[ $output == *'nothing is forgotten'*'role postgres, program "psql"'*'turncredctl maintain'* ]]
}

@test "no role but the owner holds a lock that a revocation, a push, a delivery or maintenance waits for" {
  # every advisory lock that this schema has ever used
  keeps turn1 'SELECT pg_advisory_lock(1953853027, g) FROM generate_series(-1, 1023) g'
  sql "SET statement_timeout = '4s'; SELECT turncred.revoke('user', 'r', 'mallory')" \
    "SET statement_timeout = '4s'; SELECT turncred.lift('user', 'r', 'mallory')" >/dev/null
  PGOPTIONS='-c statement_timeout=4s' psql -Xq -v ON_ERROR_STOP=1 -U issuer1 >/dev/null <<'SQL'
SELECT turncred.issue_record('r', 'token', 'mallory', now() + interval '1 hour', 'k', '0123456789abcdef0123456789abcdee');
SELECT turncred.credential_push_password('r', 'mallory', 'a password of 128 bits');
SELECT * FROM turncred.credential_take_back('r', 'mallory', true);
SELECT turncred.journal_open('00000000-0000-4000-8000-000000000001', 'i');
SELECT turncred.journal_deliver('00000000-0000-4000-8000-000000000001',
  '[{"q": 1, "t": 1764000000000000, "realm": "r", "kind": "derived", "sub": "trent", "exp": 1764003600}]');
SQL
  sql 'ALTER TABLE turncred.issue_log DETACH PARTITION turncred.issue_log_'"$(date -u -d tomorrow +%Y%m%d)" \
    'DROP TABLE turncred.issue_log_'"$(date -u -d tomorrow +%Y%m%d)" 2>/dev/null || true
  [ -n "$(psql -XqAt -U admin1 -c 'SELECT * FROM turncred.maintain_partitions()')" ]
  kept_end
}

@test "a revocation that has to wait ends after 5 s and says for whom" {
  keeps issuer1 "SET application_name = 'slow issuer'; SELECT turncred.issue_record('r', 'token', 'eve2', now() + interval '1 hour', 'k', 'ffffffffffffffffffffffffffffff00')"
  local began=$SECONDS
  run psql -XqAt -U admin1 -c "SELECT turncred.revoke('user', 'r', 'eve2')"
  echo "$output"
  [ "$status" -ne 0 ]
  [ $((SECONDS - began)) -le 15 ]
  [[ $output == *'nothing is revoked'*'role issuer1, program "slow issuer"'*pg_terminate_backend* ]]
  kept_end
  sql "SELECT turncred.revoke('user', 'r', 'eve2')" >/dev/null
}

@test "the cursor becomes webhooks: each event once, in order, over a receiver that fails at first" {
  sql "UPDATE turncred.realm SET usage = 'user' WHERE name = 'r'"
  # shellcheck disable=SC2059 # the entry is the format
  one() { printf "$entry" "$1" "$1" "$1"; }
  local entry='{"q": %d, "e": "end", "l": 1, "n": %d, "realm": "r", "m": "rest", "sub": "u%d", "t": 1000000, "u": 2000000, "why": "client", "c": [1, 2, 3, 4, 5, 6, 7, 8]}'
  psql -XqAt -U turn1 -v ON_ERROR_STOP=1 -v a="[$(one 1),$(one 2)]" -v b="[$(one 3)]" <<'SQL'
SELECT turncred.usage_open('00000000-0000-4000-8000-00000000000a', 's1');
SELECT turncred.usage_deliver('00000000-0000-4000-8000-00000000000a', :'a');
SELECT turncred.usage_deliver('00000000-0000-4000-8000-00000000000a', :'b');
SQL
  /usr/bin/python3 "$TC_TOP/tests/integration/schema/receiver.py" "$TC_DIR/received" >"$TC_DIR/receiver" 3>&- 4>&- &
  local receiver=$!
  wait_for 10 test -s "$TC_DIR/receiver"
  run timeout 60 env PGUSER=admin1 PGOPTIONS= ONCE=1 POLL=0.2 "$TC_TOP/plugin/examples/webhooks/webhooks" "$(<"$TC_DIR/receiver")" "$TC_DIR/cursor"
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(/usr/bin/python3 -c 'import json,sys; print([json.loads(l)["subject"] for l in open(sys.argv[1])])' "$TC_DIR/received")" = "['u1', 'u2', 'u3']" ]
  run timeout 60 env PGUSER=admin1 PGOPTIONS= ONCE=1 "$TC_TOP/plugin/examples/webhooks/webhooks" "$(<"$TC_DIR/receiver")" "$TC_DIR/cursor"
  [ "$status" -eq 0 ]
  [ "$(wc -l <"$TC_DIR/received")" -eq 3 ]
  # a cursor that cannot be kept ends it: it would begin anew at each start
  run timeout 60 env PGUSER=admin1 PGOPTIONS= ONCE=1 "$TC_TOP/plugin/examples/webhooks/webhooks" "$(<"$TC_DIR/receiver")" "$TC_DIR/nowhere/cursor"
  [ "$status" -eq 1 ]
  [ "$(wc -l <"$TC_DIR/received")" -eq 4 ]
  kill "$receiver"
}
