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

@test "constraints refuse what they should, by name; feed and housekeeping" { pgtap constraints.sql 130; }

@test "roles: each role has the rights that it needs and no others" { pgtap roles.sql 220; }

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

somebody_waits_for_a_lock() { [ "$(sql 'SELECT count(*) FROM pg_locks WHERE NOT granted')" -gt 0 ]; }

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
