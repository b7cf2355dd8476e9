#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# turncredctl schema upgrade: numbered, transactional, once, forward; old programs keep running.

load ../store/store.bash

setup_file() {
  store_up
  ctl=$TC_BUILD/turncredctl
  [[ -x $ctl ]] || skip "turncredctl is not built ($TC_BUILD)"
  mkdir -p "$TC_DIR/schema"
  cp "$TC_TOP"/plugin/schema/[0-9]*.sql "$TC_DIR/schema/"
  newest=$(find "$TC_DIR/schema" -name '[0-9]*.sql' -printf '%f\n' | sort | tail -n 1 | sed 's/^0*\([0-9]*\)-.*/\1/')
  files=$(find "$TC_DIR/schema" -name '[0-9]*.sql' | wc -l)
  export newest files
}
teardown_file() { store_down; }
setup() {
  export TURNCRED_SCHEMA_DIR=$TC_DIR/schema
  PGDATABASE=postgres sql 'CREATE DATABASE fresh'
}
teardown() {
  PGDATABASE=postgres sql 'DROP DATABASE fresh WITH (FORCE)'
  rm -f "$TC_DIR"/schema/09*
}
ctl() { "$TC_BUILD/turncredctl" "$@" --database "host=$PGHOST dbname=fresh user=postgres" 3>&- 4>&-; }
in_fresh() { PGDATABASE=fresh sql "$@"; }

expand() {
  cat >"$TC_DIR/schema/0901-expand.sql" <<'SQL'
SET LOCAL ROLE turncred_owner;
ALTER TABLE turncred.realm ADD COLUMN novelty text NOT NULL DEFAULT 'x';
INSERT INTO turncred.migration (version, description) VALUES (901, 'expand');
RESET ROLE;
SQL
}

@test "an empty database is brought up to date, and again is nothing" {
  run ctl schema upgrade
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(in_fresh 'SELECT max(version), min(length(checksum)) FROM turncred.migration')" = "$newest|64" ]
  run ctl schema upgrade
  [ "$status" -eq 0 ]
  [ "$(in_fresh 'SELECT count(*) FROM turncred.migration')" = "$files" ]
  run ctl schema status
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "a database in another encoding than UTF8 is refused, and doctor names it" {
  PGDATABASE=postgres sql 'DROP DATABASE fresh' "CREATE DATABASE fresh TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
  run ctl schema upgrade
  echo "$output"
  [ "$status" -eq 1 ]
  [[ $output == *"in the encoding LATIN1"*"ENCODING 'UTF8'"* ]]
  [ "$(in_fresh "SELECT count(*) FROM pg_namespace WHERE nspname = 'turncred'")" = 0 ]
  run ctl doctor
  echo "$output"
  [[ $output == *'its encoding is LATIN1'* ]]
  # the file by hand, on a schema from before
  for file in "$TC_DIR"/schema/000[1-3]-*.sql; do PGDATABASE=fresh psql -Xq1 -v ON_ERROR_STOP=1 -f "$file" >/dev/null; done
  run env PGDATABASE=fresh psql -Xq1 -v ON_ERROR_STOP=1 -f "$TC_DIR/schema/0004-values.sql"
  [ "$status" -ne 0 ] && [[ $output == *'turncred needs UTF8'* ]]
}

rules() {
  PGDATABASE=$1 sql "SET standard_conforming_strings = on; SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), E'\n' ORDER BY conname)
    FROM pg_constraint WHERE connamespace = 'turncred'::regnamespace"
}
@test "a database that reads backslashes as older ones did gets the same rules" {
  PGDATABASE=postgres sql 'ALTER DATABASE fresh SET standard_conforming_strings = off'
  ctl schema upgrade
  diff <(rules turncred) <(rules fresh)
}

@test "values from before the rules: repaired where they have one meaning, else named, and nothing stops" {
  local file
  for file in "$TC_DIR"/schema/000[1-3]-*.sql; do PGDATABASE=fresh psql -Xq1 -v ON_ERROR_STOP=1 -f "$file" >/dev/null; done
  in_fresh "INSERT INTO turncred.realm (name, server_name, at_rest, uris, origins, listen_addresses) VALUES ('old', 'x', 'plain',
      '{turn:A.example,turn://b.example,turn:c.example:99999}', '{https://A.example:443/,https://*.example}', '{::ffff:192.0.2.1,10.0.0.0/8,0.0.0.0}')" \
    "SELECT turncred.credential_push_plain('old', 'mapped', decode(repeat('00', 16), 'hex'), p_client_address => '::ffff:192.0.2.7')" \
    "SELECT turncred.credential_push('old', 'sealed', decode(repeat('00', 76), 'hex'), 'k', NULL, '::ffff:192.0.2.7')" \
    "SELECT turncred.credential_push_plain('old', U&'rlo\\202e', decode(repeat('00', 16), 'hex'))" >/dev/null
  run ctl schema upgrade
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *'uri "turn://b.example" is no TURN URI'*'uri "turn:c.example:99999"'*'origin "https://*.example" never matches'*'10.0.0.0/8 is a network'*'the listening address 0.0.0.0'*'it holds a format character'* ]]
  [ "$(in_fresh "SELECT uris, origins, listen_addresses FROM turncred.realm")" = \
    '{turn:a.example,turn://b.example,turn:c.example:99999}|{https://a.example,https://*.example}|{192.0.2.1,10.0.0.0/8,0.0.0.0}' ]
  [ "$(in_fresh "SELECT string_agg(client_address, ' ' ORDER BY username) FROM turncred.credential WHERE username <= 'r'")" = '192.0.2.7' ]
  # what is wrong in one column keeps no other from changing
  in_fresh "UPDATE turncred.realm SET max_ttl = 7200" "UPDATE turncred.credential SET sealed = decode(repeat('11', 76), 'hex') WHERE sealed IS NOT NULL" \
    "UPDATE turncred.credential SET expiry = now()"
  run ctl doctor
  [[ $output == *'turn://b.example'* ]]
  run in_fresh "UPDATE turncred.realm SET uris = '{turn://b.example}'"
  [ "$status" -ne 0 ]
}

@test "credentials from before user ids: each is its username's, and a revocation finds it" {
  local file
  for file in "$TC_DIR"/schema/000[1-3]-*.sql; do PGDATABASE=fresh psql -Xq1 -v ON_ERROR_STOP=1 -f "$file" >/dev/null; done
  in_fresh "INSERT INTO turncred.realm (name, server_name, at_rest) VALUES ('old', 'x', 'plain')" \
    "SELECT turncred.credential_push_plain('old', u, decode(repeat('00', 16), 'hex')) FROM unnest('{alice,bob}'::text[]) u" >/dev/null
  run ctl schema upgrade
  echo "$output"
  [ "$status" -eq 0 ]
  # the same call as before, and one for a device
  in_fresh "SELECT turncred.credential_push_plain('old', 'alice', decode(repeat('11', 16), 'hex'))" \
    "SELECT turncred.credential_push_plain_of('old', 'alice', 'alice~1', decode(repeat('11', 16), 'hex'))" >/dev/null
  [ "$(in_fresh "SELECT string_agg(username || ' ' || user_id, ',' ORDER BY username) FROM turncred.credential_list")" = \
    'alice alice,alice~1 alice,bob bob' ]
  in_fresh "SELECT turncred.revoke('user', 'old', 'alice')" >/dev/null
  [ "$(in_fresh "SELECT string_agg(username, ',') FROM turncred.credential")" = bob ]
}

@test "four at once: each migration is applied once" {
  expand
  local i pids=()
  for i in 1 2 3 4; do ctl schema upgrade >"$TC_DIR/up$i" 2>&1 & pids+=($!); done
  for i in "${pids[@]}"; do wait "$i" || { cat "$TC_DIR"/up?; false; }; done
  [ "$(in_fresh 'SELECT count(*), max(version) FROM turncred.migration')" = "$((files + 1))|901" ]
}

@test "a migration that fails leaves nothing of itself, and what was before stays" {
  expand
  echo 'CREATE TABLE turncred.half (x int); SELECT 1/0; INSERT INTO turncred.migration (version, description) VALUES (902, $$x$$);' \
    >"$TC_DIR/schema/0902-broken.sql"
  run ctl schema upgrade
  echo "$output"
  [ "$status" -ne 0 ]
  [[ $output == *0902-broken.sql*'division by zero'* ]]
  [ "$(in_fresh 'SELECT max(version) FROM turncred.migration')" = 901 ]
  [ "$(in_fresh "SELECT count(*) FROM pg_tables WHERE tablename = 'half'")" = 0 ]
  echo 'SELECT 1;' >"$TC_DIR/schema/0902-broken.sql"
  run ctl schema upgrade
  echo "$output"
  [ "$status" -ne 0 ]
  [[ $output == *'does not record itself'* ]]
}

@test "a database that is newer than the program is refused" {
  ctl schema upgrade
  in_fresh "INSERT INTO turncred.migration (version, description) VALUES (907, 'from the future')"
  run ctl schema upgrade
  echo "$output"
  [ "$status" -ne 0 ]
  [[ $output == *"schema 907, this program knows up to $newest"* ]]
}

@test "an old server keeps running while the schema expands; after the contraction it logs that and keeps its data" {
  expand
  # the first contraction leaves behind what is older than this program, the second one this program too
  echo "INSERT INTO turncred.migration (version, description, min_program) VALUES (902, 'contract', $newest);" >"$TC_DIR/first"
  echo "INSERT INTO turncred.migration (version, description, min_program) VALUES (903, 'contract', $((newest + 1)));" >"$TC_DIR/second"
  cat >"$TC_DIR/bin/upgrade" <<UP
#!/bin/sh
exec "$TC_BUILD/turncredctl" schema upgrade --database "host=$PGHOST dbname=turncred user=postgres"
UP
  chmod +x "$TC_DIR/bin/upgrade"
  run probe -p 300 <<SCRIPT
load 5000
sh upgrade
during 1000 connected = yes
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'later', 'token', 'A128GCM', decode(md5('later'), 'hex'))" >/dev/null
within 1000 accepts r later = yes
sh mv "$TC_DIR/first" "$TURNCRED_SCHEMA_DIR/0902-contract.sql"; upgrade
during 1000 connected = yes
sh mv "$TC_DIR/second" "$TURNCRED_SCHEMA_DIR/0903-contract.sql"; upgrade
within 3000 connected = no
expect error = the database has turncred schema 903, which needs programs for schema $((newest + 1)) or newer; this one is for $newest: upgrade it
expect accepts r k = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "a turncredctl that the schema has left behind changes nothing, and doctor and schema status say why" {
  ctl schema upgrade
  ctl realm add before --server-name turn.example
  in_fresh "INSERT INTO turncred.migration (version, description, min_program) VALUES (902, 'contract', $newest)"
  ctl realm set before --max-ttl 7200
  in_fresh "UPDATE turncred.migration SET min_program = $((newest + 1)) WHERE version = 902"
  for command in "realm add after --server-name turn.example" "realm list" "key add before" "maintain"; do
    run ctl $command
    echo "$command: $output"
    [ "$status" -eq 1 ]
    [[ $output == *"needs programs for schema $((newest + 1)) or newer, this turncredctl is for $newest: upgrade turncred"* ]]
  done
  [ "$(in_fresh 'SELECT count(*) FROM turncred.realm')" = 1 ]
  run ctl doctor
  echo "$output"
  [ "$status" -eq 1 ]
  [[ $output == *"version 902 has left this program behind, which knows $newest"* ]]
  run ctl schema status
  echo "$output"
  [ "$status" -eq 1 ]
  [[ $output == *"has version 902, which is newer than this program's $newest"* ]]
}

# What stands in the tables that every version has
contents() {
  in_fresh "SELECT md5(string_agg(t, E'\\n' ORDER BY t)) FROM (
    SELECT 'k' || (realm, kid, use, alg, derivation, plain, wrapped, state, not_before, accept_until)::text AS t FROM turncred.key
    UNION ALL SELECT 'c' || (realm, username, md5, sealed, expiry, client_address, pushed_at)::text FROM turncred.credential
    UNION ALL SELECT 'v' || (kind, realm, name, revoked_at, lifted_at)::text FROM turncred.revocation
    UNION ALL SELECT 'i' || (realm, kind, subject, expiry, kid, fingerprint)::text FROM turncred.issue_log
    UNION ALL SELECT 'r' || (name, server_name, mechanisms, max_ttl, at_rest)::text FROM turncred.realm) t"
}

@test "forward from every version: its data stays, its server goes on, and the schema is the one of a new database" {
  local version file before
  printf '%s\n' '#!/bin/sh' "exec '$TC_BUILD/turncredctl' schema upgrade --database 'host=$PGHOST dbname=fresh user=postgres'" >"$TC_DIR/bin/upgrade"
  chmod +x "$TC_DIR/bin/upgrade"
  ctl schema upgrade
  pg_dump -s fresh | grep -v '^\\\(un\)\?restrict ' >"$TC_DIR/new.sql"
  for ((version = 1; version < newest; version++)); do
    PGDATABASE=postgres sql 'DROP DATABASE fresh WITH (FORCE)' 'CREATE DATABASE fresh'
    for file in "$TC_DIR"/schema/[0-9]*.sql; do
      file=${file##*/}
      ((10#${file%%-*} > version)) || PGDATABASE=fresh psql -Xq1 -v ON_ERROR_STOP=1 -f "$TC_DIR/schema/$file" >/dev/null
    done
    [ "$(in_fresh 'SELECT max(version) FROM turncred.migration')" = "$version" ]
    in_fresh "INSERT INTO turncred.realm (name, server_name, at_rest, mechanisms) VALUES ('r', 'turn.r', 'plain', '{token,derived,pushed}')" \
      "SELECT turncred.key_add_plain('r', 'k', 'token', 'A256GCM', decode(repeat('ab', 32), 'hex'))" \
      "SELECT turncred.key_add_plain('r', 'd', 'derived', 'sha256', decode(repeat('cd', 32), 'hex'), p_accept_until => '2100-01-01')" \
      "SELECT turncred.credential_push_password('r', 'alice', '0123456789abcdef', '2100-01-01', '192.0.2.1')" \
      "SELECT turncred.issue_record('r', 'token', 'eve', now() + interval '1 hour', 'k', 'ffffffffffffffffffffffffffffffff')" \
      "SELECT turncred.revoke('user', 'r', 'eve')" >/dev/null
    before=$(contents)
    TC_CONN="host=$PGHOST dbname=fresh user=turn1" run probe -p 300 <<'SCRIPT'
load 5000
sh upgrade
during 1500 connected = yes
expect accepts r k = yes
expect has r credential alice = yes
expect revoked user r eve = for good
expect refused = 0
sh psql -Xqd fresh -c "SELECT turncred.key_add_plain('r', 'later', 'token', 'A128GCM', decode(md5('later'), 'hex'))" -c "SELECT turncred.key_set_state('r', 'k', 'disabled')" >/dev/null
within 1000 accepts r later = yes
within 1000 accepts r k = no
sh psql -Xqd fresh -c "DELETE FROM turncred.key WHERE kid = 'later'" -c "SELECT turncred.key_set_state('r', 'k', 'active')" >/dev/null
within 1000 accepts r k = yes
SCRIPT
    echo "from version $version: $output"
    [ "$status" -eq 0 ]
    [ "$(in_fresh 'SELECT max(version) FROM turncred.migration')" = "$newest" ]
    [ "$(contents)" = "$before" ]
    pg_dump -s fresh | grep -v '^\\\(un\)\?restrict ' | diff - "$TC_DIR/new.sql"
  done
}
