#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The store follows the database: every change, soon, once, and with no statement for a lookup.

load store.bash

setup_file() { store_up "log_line_prefix = '%u@%d '"; }
teardown_file() { store_down; }

@test "everything there is arrives with the first load" {
  sql "UPDATE turncred.realm SET mechanisms = '{rest,token,pushed}', expiry_token = 'grace', grace_seconds = 7,
       max_ttl = 1000, default_ttl = 100, user_quota = 3, total_quota = 4, max_bps = 5000000000,
       listen_addresses = '{192.0.2.1,2001:db8::1}', origins = '{https://a.example,https://b.example}'"
  sql "SELECT turncred.key_add_plain('r', 'd1', 'derived', 'sha256', decode(repeat('01', 32), 'hex'))" \
    "SELECT turncred.key_add_plain('r', 'd2', 'derived', 'sha256', decode(repeat('02', 32), 'hex'), p_not_before => now() - interval '1 hour')" \
    "SELECT turncred.key_add_plain('r', 'h1', 'rest', 'sha1', 'secret'::bytea, p_username_format => 'timestamp:user-id')" \
    "SELECT turncred.credential_push_password('r', 'alice', '0123456789abcdef', '2100-01-01', '192.0.2.7')"
  run probe <<SCRIPT
load 5000
expect realm r = r turn.r rest,token,pushed expiry=1222 grace=7 ttl=100/1000 quota=3/4 bps=5000000000 guests=0
expect key r k = r/k token A256GCM none active enc=$(printf 'ab%.0s' {1..32}) auth= tag=1
expect credential r alice = r/alice $(printf %s alice:r:0123456789abcdef | md5sum | cut -d' ' -f1) expiry=4102444800 address=192.0.2.7
expect derived r = d2 d1
expect rest r = h1
expect sign r token = k
expect sign r derived = d2
expect listener 192.0.2.1 = r
expect listener 2001:db8::1 = r
expect listener 192.0.2.2 = none
expect origin https://b.example = r
expect counts = realms=1 keys=4 credentials=1 revocations=0
expect key other k = none
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "a change is seen within a second with NOTIFY" {
  run probe -p 60000 <<'SCRIPT'
load 5000
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'n1', 'token', 'A128GCM', decode(repeat('0b', 16), 'hex'))" >/dev/null
within 1000 accepts r n1 = yes
sh psql -Xqc "SELECT turncred.key_set_state('r', 'n1', 'disabled')" >/dev/null
within 1000 accepts r n1 = no
sh psql -Xqc "DELETE FROM turncred.key WHERE kid = 'n1'"
within 1000 key r n1 = none
sh psql -Xqc "INSERT INTO turncred.realm (name, server_name, guest_kids, origins) VALUES ('g', 'turn.g', '{r/k}', '{https://g.example}')"
within 1000 origin https://g.example = g
within 1000 accepts g k = yes
sh psql -Xqc "UPDATE turncred.realm SET guest_kids = '{}', origins = '{}' WHERE name = 'g'"
within 1000 accepts g k = no
expect origin https://g.example = none
sh psql -Xqc "DELETE FROM turncred.realm WHERE name = 'g'"
within 1000 realm g = none
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "the key of subject tags is for issuers; a server neither holds nor names it" {
  local who
  sql "SELECT turncred.tag_key_add('r', NULL, NULL, decode(repeat('7a', 32), 'hex'))" >/dev/null
  # a server whose role sees everything passes it over too
  for who in turn1 postgres; do
    run probe -d "host=$PGHOST dbname=turncred user=$who" <<'SCRIPT'
load 5000
expect key r subject-tag = none
expect sign r tag = none
expect refused = 0
sh psql -Xqc "UPDATE turncred.key SET plain = decode(repeat('7b', 32), 'hex') WHERE use = 'tag'"
during 500 refused = 0
expect sign r token = k
SCRIPT
    echo "$output"
    [ "$status" -eq 0 ]
  done
  run probe -d "host=$PGHOST dbname=turncred user=issuer1" -t issuer <<SCRIPT
load 5000
within 1000 sign r tag = subject-tag
expect key r subject-tag = r/subject-tag tag sha256 none active enc= auth=$(printf '7b%.0s' {1..32}) tag=1
sh psql -Xqc "DELETE FROM turncred.key WHERE use = 'tag'"
within 1000 sign r tag = none
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "without LISTEN a change is seen within the poll interval" {
  run probe -n -p 700 <<'SCRIPT'
load 5000
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'p1', 'token', 'A128GCM', decode(repeat('0c', 16), 'hex'))" >/dev/null
within 1200 accepts r p1 = yes
sh psql -Xqc "DELETE FROM turncred.key WHERE kid = 'p1'"
within 1200 key r p1 = none
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "a server whose poll interval is an hour says every ten seconds that it lives" {
  cat >"$TC_DIR/bin/heard_again" <<'HEARD'
#!/bin/sh
# waits until the last report is another one
seen() { psql -XAtc "SELECT last_seen FROM turncred.instance WHERE reported_by = 'turn1' ORDER BY last_seen DESC LIMIT 1"; }
first=$(seen)
for i in $(seq 140); do
  [ "$(seen)" = "$first" ] || exit 0
  sleep 0.1
done
exit 1
HEARD
  chmod +x "$TC_DIR/bin/heard_again"
  run probe -n -p 3600000 <<'SCRIPT'
load 5000
sh heard_again
sh heard_again
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "pushed credentials come and go within a second, 100 times" {
  {
    echo 'load 5000'
    for i in {1..100}; do
      echo "sh psql -Xqc \"SELECT turncred.credential_push_password('r', 'u$i', 'password of 128 bits')\" >/dev/null"
      echo "within 1000 credential r u$i = r/u$i $(printf %s "u$i:r:password of 128 bits" | md5sum | cut -d' ' -f1) expiry=0 address="
      echo "sh psql -Xqc \"SELECT turncred.credential_remove('r', 'u$i')\" >/dev/null"
      echo "within 1000 credential r u$i = none"
    done
  } >"$TC_DIR/script"
  run probe -p 60000 <"$TC_DIR/script"
  echo "$output" | tail -n 5
  [ "$status" -eq 0 ]
  [ "$(grep -c '^ok: credential' <<<"$output")" -eq 200 ]
  sed -n 's/.* after \(.*\) ms/\1/p' <<<"$output" | sort -n |
    awk '{ t[NR] = $1 } END { printf "# visible after the commit: median %.1f ms, worst %.1f ms\n", t[int((NR + 1) / 2)], t[NR] }' >&3
}


@test "a transaction with a smaller number that commits later is not missed" {
  run probe -p 60000 <<'SCRIPT'
load 5000
sh slow begin "SELECT turncred.credential_push_password('r', 'early', 'password of 128 bits')"
sh psql -Xqc "SELECT turncred.credential_push_password('r', 'late', 'password of 128 bits')" >/dev/null
within 1000 has r credential late = yes
sh [ "$(psql -XAtc "SELECT count(*) FROM turncred.instance WHERE id = 'probe' AND progress > (SELECT max(xid) FROM turncred.change)")" = 0 ]
during 700 has r credential early = no
sh slow commit
within 1000 has r credential early = yes
sh for i in $(seq 50); do [ "$(psql -XAtc "SELECT count(*) FROM turncred.behind((SELECT max(xid) FROM turncred.change))")" = 0 ] && exit 0; sleep 0.1; done; exit 1
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "the same without LISTEN, and with the numbers of the change rows the other way round" {
  run probe -n -p 300 <<'SCRIPT'
load 5000
sh slow begin "SELECT turncred.credential_remove('r', 'early')"
sh for i in 1 2 3; do psql -Xqc "SELECT turncred.credential_push_password('r', 'n$i', 'password of 128 bits')" >/dev/null; done
within 1000 has r credential n3 = yes
sh slow commit
within 1000 has r credential early = no
expect has r credential n1 = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

# The transaction's change is as old as if it had been open for eight days; the store looks when it next reports.
@test "maintenance does not take the change of a transaction that was open for longer than changes are kept" {
  local old="UPDATE turncred.change SET at = at - interval '8 days'"
  run probe -n -p 3600000 <<SCRIPT
load 5000
sh slow begin "SELECT turncred.credential_push_password('r', 'open', 'password of 128 bits'); $old WHERE name = 'open'"
sh psql -XqAtc 'SELECT turncred.maintain_partitions()' -c "$old WHERE kind = 'heartbeat'" >/dev/null
sh slow commit
sh for i in \$(seq 100); do [ "\$(psql -XAtc "SELECT count(*) FROM turncred.credential WHERE username = 'open'")" = 1 ] && break; sleep 0.02; done
sh psql -XqAtc 'SELECT turncred.maintain_partitions()' >/dev/null
within 12000 has r credential open = yes
SCRIPT
  echo "$output"
  cat "$TC_DIR/probe.log"
  [ "$status" -eq 0 ]
  if grep -q 'loading everything anew' "$TC_DIR/probe.log"; then return 1; fi
}

@test "a bulk load is one change and reaches the store" {
  before=$(sql 'SELECT count(*) FROM turncred.change')
  run probe -p 60000 <<'SCRIPT'
load 5000
sh psql -Xqc "INSERT INTO turncred.credential (realm, username, md5) SELECT 'r', 'bulk' || g, decode(md5(g::text), 'hex') FROM generate_series(1, 5000) g"
within 3000 has r credential bulk5000 = yes
expect credential r bulk17 = r/bulk17 70efdf2ec9b086079795c442636b55fb expiry=0 address=
sh psql -Xqc "DELETE FROM turncred.credential WHERE username LIKE 'bulk%'"
within 3000 has r credential bulk17 = no
sh psql -Xqc "TRUNCATE turncred.revocation"
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(sql 'SELECT count(*) FROM turncred.change')" -eq $((before + 3)) ]
}

@test "a batch that is small beside its table is not a reason to load the table" {
  sql "INSERT INTO turncred.credential (realm, username, md5) SELECT 'r', 'many' || g, decode(md5(g::text), 'hex') FROM generate_series(1, 60000) g" \
    'ANALYZE turncred.credential'
  local before
  before=$(sql 'SELECT max(id) FROM turncred.change')
  run probe -p 60000 <<'SCRIPT'
load 5000
sh psql -Xqc "DELETE FROM turncred.credential WHERE substr(username, 5)::int BETWEEN 20000 AND 22499 AND username LIKE 'many%'"
within 3000 has r credential many22499 = no
expect has r credential many20000 = no
expect has r credential many22500 = yes
sh psql -Xqc "UPDATE turncred.credential SET expiry = '2100-01-01' WHERE username LIKE 'many%' AND substr(username, 5)::int <= 2500"
within 3000 credential r many2500 = r/many2500 f7696a9b362ac5a51c3dc8f098b73923 expiry=4102444800 address=
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(sql "SELECT count(*), min(kind) FROM turncred.change WHERE id > $before")" = '5000|credential' ]
  sql "DELETE FROM turncred.credential WHERE username LIKE 'many%'"
}

@test "revocations come and are lifted; credentials from before stay invalid" {
  sql "SELECT turncred.credential_push_password('r', 'bob', 'password of 128 bits')" \
    "SELECT turncred.issue_record('r', 'token', 'bob', now() + interval '1 hour', 'k', '00112233445566778899aabbccddeeff')" >/dev/null
  run probe -p 60000 <<'SCRIPT'
load 5000
expect revoked user r bob = no
sh psql -Xqc "SELECT turncred.revoke('user', 'r', 'bob', 'lost his telephone')" >/dev/null
within 1000 revoked user r bob = for good
expect revoked token r 00112233445566778899aabbccddeeff = for now
within 1000 has r credential bob = no
sh ! psql -Xqc "SELECT turncred.credential_push_password('r', 'bob', 'password of 128 bits')" 2>/dev/null
sh ! psql -Xqc "SELECT turncred.issue_record('r', 'token', 'bob', now(), 'k', '00112233445566778899aabbccddeef0')" 2>/dev/null
sh psql -Xqc "SELECT turncred.lift('user', 'r', 'bob')" >/dev/null
within 1000 revoked user r bob = before
expect revoked token r 00112233445566778899aabbccddeeff = for now
sh psql -Xqc "SELECT turncred.revoke('realm', 'r')" >/dev/null
within 1000 revoked realm r = for good
sh psql -Xqc "SELECT turncred.lift('realm', 'r')" >/dev/null
within 1000 revoked realm r = before
sh psql -Xqc "SELECT turncred.revoke('kid', 'r', 'k', p_until => now() + interval '1 hour')" >/dev/null
within 1000 revoked kid r k = for now
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "maintenance drops old changes that were applied: nothing is loaded anew, but where another one is gone" {
  sql 'SELECT turncred.maintain_partitions()' "UPDATE turncred.change SET at = at - interval '8 days'" >/dev/null
  run probe -p 300 <<'SCRIPT'
load 5000
sh psql -Xqc "UPDATE turncred.realm SET max_ttl = max_ttl + 1 WHERE name = 'r'"
within 1000 generation = 2
sh psql -XqAtc "SELECT object FROM turncred.maintain_partitions()" | grep -q 'rows of change_default'
within 1000 generation = 3
sh psql -Xqc "UPDATE turncred.realm SET max_ttl = max_ttl + 1 WHERE name = 'r'"
within 1000 generation = 4
SCRIPT
  echo "$output"
  cat "$TC_DIR/probe.log"
  [ "$status" -eq 0 ]
  if grep -q 'loading everything anew' "$TC_DIR/probe.log"; then return 1; fi
  sql "UPDATE turncred.change SET at = at - interval '8 days'"
  run probe -p 300 <<'SCRIPT'
load 5000
sh psql -Xqc "DELETE FROM turncred.change WHERE id = (SELECT max(id) FROM turncred.change)"
within 1000 generation = 2
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  grep -q 'loading everything anew: changes that were applied are gone' "$TC_DIR/probe.log"
}

@test "lookups cause no statement" {
  # pg_stat_statements is preloaded nowhere else: the log says it as well
  sql "ALTER SYSTEM SET log_statement = 'all'" 'SELECT pg_reload_conf()' >/dev/null
  # two changes, each until it is in force and reported: the one behind the lookups costs no more than the other
  run probe -p 60000 <<'SCRIPT'
load 5000
sh psql -Xqc "SELECT turncred.credential_push_password('r', 'before', 'password of 128 bits')" >/dev/null
within 1000 has r credential before = yes
sh for i in $(seq 50); do [ "$(psql -XAtc "SELECT count(*) FROM turncred.behind((SELECT max(xid) FROM turncred.change))")" = 0 ] && exit 0; sleep 0.1; done; exit 1
sh psql -Xqc "SELECT 'mark 1'" >/dev/null
sh psql -Xqc "SELECT turncred.credential_push_password('r', 'first', 'password of 128 bits')" >/dev/null
within 1000 has r credential first = yes
sh for i in $(seq 50); do [ "$(psql -XAtc "SELECT count(*) FROM turncred.behind((SELECT max(xid) FROM turncred.change))")" = 0 ] && exit 0; sleep 0.1; done; exit 1
sh psql -Xqc "SELECT 'mark 2'" >/dev/null
lookups 1000 r k nobody
sh psql -Xqc "SELECT turncred.credential_push_password('r', 'second', 'password of 128 bits')" >/dev/null
within 1000 has r credential second = yes
sh for i in $(seq 50); do [ "$(psql -XAtc "SELECT count(*) FROM turncred.behind((SELECT max(xid) FROM turncred.change))")" = 0 ] && exit 0; sleep 0.1; done; exit 1
sh psql -Xqc "SELECT 'mark 3'" >/dev/null
SCRIPT
  sql "ALTER SYSTEM RESET log_statement" 'SELECT pg_reload_conf()' >/dev/null
  echo "$output"
  [ "$status" -eq 0 ]
  grep -E "turn1@|SELECT 'mark" "$TC_DIR/pg/postgresql.log" | sed -n "/SELECT 'mark 1/,\$p"
  [ "$(statements 1)" -gt 0 ]
  [ "$(statements 1)" -eq "$(statements 2)" ]
}

# statements N: how many the server's role has logged between mark N and the next
statements() { sed -n "/SELECT 'mark $1'/,/SELECT 'mark $(($1 + 1))'/p" "$TC_DIR/pg/postgresql.log" | grep -c turn1@; }

@test "an issuer sees the keys it may sign with, revocations, and no credentials" {
  sql "SELECT turncred.key_add_plain('r', 'old', 'token', 'A128GCM', decode(repeat('0d', 16), 'hex'), p_state => 'retired')" \
    "SELECT turncred.key_add_plain('r', 'soon', 'token', 'A128GCM', decode(repeat('0e', 16), 'hex'), p_state => 'published')" >/dev/null
  TC_CONN=${TC_CONN/turn1/issuer1} run probe -t issuer -i issuer -p 60000 <<'SCRIPT'
load 5000
expect has r key old = no
expect has r key soon = yes
expect sign r token = k
sh psql -Xqc "SELECT turncred.key_set_state('r', 'soon', 'active')" -c "SELECT turncred.key_set_state('r', 'k', 'retired')" >/dev/null
within 1000 sign r token = soon
within 1000 has r key k = no
SCRIPT
  sql "SELECT turncred.key_set_state('r', 'k', 'active')" >/dev/null
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(sql "SELECT kind FROM turncred.instance WHERE id = 'issuer'")" = issuer ]
}

@test "readers without locks, while everything changes under them" {
  {
    printf '%s\n' 'load 5000' 'readers 3'
    for i in {1..12}; do
      echo "sh psql -Xqc \"DO 'BEGIN FOR i IN 0 .. 99 LOOP PERFORM turncred.credential_push_password(''r'', ''u'' || i, ''password of 128 bits''); COMMIT; END LOOP; END'\""
      echo "sh psql -Xqc \"DELETE FROM turncred.credential WHERE username LIKE 'u%'\" -c \"DELETE FROM turncred.key WHERE kid = 'dd'\" -c \"SELECT turncred.key_add_plain('r', 'dd', 'derived', 'sha256', decode(repeat('e$((i % 9))', 32), 'hex'))\" >/dev/null"
      ((i % 4)) || echo reload
      ((i % 5)) || printf '%s\n' hold 'sh sleep 0.2' 'expect accepts r k = yes' release
    done
    echo 'within 2000 has r credential u99 = no'
  } >"$TC_DIR/script"
  run probe -p 60000 <"$TC_DIR/script"
  echo "$output"
  [ "$status" -eq 0 ]
  grep -q ' 0 wrong' <<<"$output"
}
