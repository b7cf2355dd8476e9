#!/usr/bin/env bats
# turncredctl import coturn: a coturn database with good and bad rows of every table. What is taken
# over works in a patched turnserver as it did in coturn; the source stays as it was.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  CTL=$TC_BUILD/turncredctl
  export CTL
  turncred_need "$CTL"
  turncred_up
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null
  PGDATABASE=postgres sql 'CREATE DATABASE coturn'
  export PGOPTIONS='-c client_min_messages=warning'
  # schema.sql as it is in 4.5.2 to 4.17.1
  PGDATABASE=coturn sql "
CREATE TABLE turnusers_lt (realm varchar(127) default '', name varchar(512), hmackey char(128), PRIMARY KEY (realm,name));
CREATE TABLE turn_secret (realm varchar(127) default '', value varchar(256), primary key (realm,value));
CREATE TABLE turn_origin_to_realm (origin varchar(127), realm varchar(127), primary key (origin));
CREATE TABLE turn_realm_option (realm varchar(127) default '', opt varchar(32), value varchar(128), primary key (realm,opt));
CREATE TABLE oauth_key (kid varchar(128), ikm_key varchar(256), timestamp bigint default 0, lifetime integer default 0, as_rs_alg varchar(64) default '', realm varchar(127), primary key (kid))"
  long=$(printf 'x%.0s' {1..100})
  export long
  PGDATABASE=coturn sql "
INSERT INTO turnusers_lt VALUES ('turn.test', 'gorst', md5('gorst:turn.test:hero')), ('', 'ninefingers', md5('ninefingers:turn.test:youhavetoberealistic')),
  ('turn.test', 'broken', 'nonsense'), ('turn.test', 'sha256', repeat('ab', 32)), ('turn.test', 'has blank', md5('x')), ('elsewhere', 'bob', md5('x'));
INSERT INTO turn_secret VALUES ('turn.test', 'logen'), ('', '$long'), ('turn.test', '');
INSERT INTO oauth_key VALUES ('good', '$(head -c 32 /dev/urandom | base64 -w0)', 0, 0, 'A256GCM', 'turn.test'),
  ('north', '$(head -c 33 /dev/urandom | base64 -w0)', 0, 0, 'A256GCM', 'turn.test'), ('short', 'QUJD', 0, 0, 'A256GCM', 'turn.test'),
  ('empty', '', 0, 0, 'A256GCM', 'turn.test'), ('zero', '!!', 0, 0, 'a256gcm', 'turn.test'), ('old', '$(head -c 32 /dev/urandom | base64 -w0)', 1000, 1000, 'A256GCM', 'turn.test'),
  ('far', '$(head -c 32 /dev/urandom | base64 -w0)', 9223372036854775807, 2147483647, 'A256GCM', 'turn.test'),
  ('exotic', '$(head -c 32 /dev/urandom | base64 -w0)', 0, 0, 'AEAD', 'turn.test');
INSERT INTO turn_realm_option VALUES ('turn.test', 'user-quota', '7'), ('turn.test', 'max-bps', 'many'), ('turn.test', 'performance', '1');
INSERT INTO turn_origin_to_realm VALUES ('https://a.example', 'turn.test')"
}
teardown() { turncred_check; }
teardown_file() { turncred_down; }

# import OPTION...: 7, since the database has keys that coturn takes and nobody should
import() {
  local rc=0
  "$CTL" import coturn "dbname=coturn" --json "$@" >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 7 ] || {
    echo "exit code $rc"
    cat "$TC_DIR/err"
    return 1
  }
}
# action KIND NAME: prints the import's action on the row
action() { jq -r --arg k "$1" --arg n "$2" '.[] | select(.kind == $k and .name == $n) | .action' "$TC_DIR/out"; }
reason() { jq -r --arg k "$1" --arg n "$2" '.[] | select(.kind == $k and .name == $n) | .reason' "$TC_DIR/out"; }
dump() { PGDATABASE=coturn pg_dump --inserts | grep -v "^.\(un\)\?restrict" | sort; }

@test "without --apply nothing is written, and every row is judged" {
  dump >"$TC_DIR/before"
  import
  grep -q 'nothing was written' "$TC_DIR/err"
  [ "$(sql 'SELECT (SELECT count(*) FROM turncred.realm) + (SELECT count(*) FROM turncred.key) + (SELECT count(*) FROM turncred.credential)')" = 0 ]
  [ "$(action user gorst)" = skip ]
  [[ $(reason user gorst) == *add-realms* ]]
  [[ $(reason user ninefingers) == *default-realm* ]]
  import --add-realms --default-realm turn.test
  [ "$(sql 'SELECT count(*) FROM turncred.realm')" = 0 ]
  [ "$(action realm turn.test)" = add ]
  [ "$(action user gorst)" = add ]
  [ "$(action user ninefingers)" = add ]
  [ "$(action user bob)" = add ]
  [ "$(action user broken)" = skip ]
  [[ $(reason user sha256) == *SHA-256* ]]
  [[ $(reason user 'has blank') == *refuses* ]]
  [ "$(action oauth_key good)" = add ]
  [[ $(reason oauth_key north) == *'33 octets, exactly 32'*--truncate* ]]
  [[ $(reason oauth_key short) == *zeros* ]]
  [[ $(reason oauth_key empty) == *zero* ]]
  [[ $(reason oauth_key zero) == *all-zero* ]]
  [[ $(reason oauth_key old) == *'run out'* ]]
  [[ $(reason oauth_key exotic) == *AEAD* ]]
  [ "$(action oauth_key far)" = add ]
  [ "$(action option user-quota)" = set ]
  [ "$(action option max-bps)" = skip ]
  [ "$(action option performance)" = skip ]
  # no secret in the report
  run ! grep -q "logen\|$long" "$TC_DIR/out"
}

@test "with --apply the rows are there, sealed; a second import changes nothing" {
  import --add-realms --default-realm turn.test --truncate --apply
  [ "$(action oauth_key north)" = add ]
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE realm = 'turn.test' AND wrapped IS NOT NULL")" = 5 ]
  [ "$(sql "SELECT count(*) FROM turncred.credential WHERE realm = 'turn.test' AND sealed IS NOT NULL")" = 2 ]
  [ "$(sql "SELECT user_quota || ' ' || origins[1] FROM turncred.realm WHERE name = 'turn.test'")" = '7 https://a.example' ]
  import --add-realms --default-realm turn.test --truncate --apply
  [ "$(jq '[.[] | select(.action == "add")] | length' "$TC_DIR/out")" = 0 ]
  [ "$(jq '[.[] | select(.action == "same")] | length' "$TC_DIR/out")" = 10 ]
  # a user whose password changed there
  PGDATABASE=coturn sql "UPDATE turnusers_lt SET hmackey = md5('gorst:turn.test:changed') WHERE name = 'gorst'"
  import --default-realm turn.test --truncate --apply
  [ "$(action user gorst)" = update ]
  PGDATABASE=coturn sql "UPDATE turnusers_lt SET hmackey = md5('gorst:turn.test:hero') WHERE name = 'gorst'"
  import --default-realm turn.test --truncate --apply
  dump >"$TC_DIR/after"
  diff "$TC_DIR/before" "$TC_DIR/after"
}

@test "old clients get in: users, and both secrets, the long one too" {
  local secret expiry
  server_start main
  synced
  for user in gorst:hero ninefingers:youhavetoberealistic; do
    printf '%s\n' "${user#*:}" >"$TC_DIR/password"
    "$CTL" probe --server "127.0.0.1:$(server_port main)" --user "${user%:*}" --password-file "$TC_DIR/password" --allocate-only
  done
  printf 'wrong\n' >"$TC_DIR/password"
  "$CTL" probe --server "127.0.0.1:$(server_port main)" --user gorst --password-file "$TC_DIR/password" --expect-error 401
  expiry=$(($(date +%s) + 600))
  for secret in logen "$long"; do
    printf %s "$expiry:old-client" | openssl dgst -sha1 -hmac "$secret" -binary | base64 >"$TC_DIR/password"
    "$CTL" probe --server "127.0.0.1:$(server_port main)" --user "$expiry:old-client" --password-file "$TC_DIR/password" --allocate-only
  done
}

@test "users and secrets of a turnserver.conf, with its realm; coturn's own order of precedence" {
  local expiry rc=0
  cat >"$TC_DIR/turnserver.conf" <<CONF
# user=commented:out
  realm=turn.test
user=static:first
user = static:statics-password
user "hexed:0x$(printf %s hexed:turn.test:hexes-password | md5sum | cut -c1-32)"
user=gorst:the-files-password
user=nopassword
static-auth-secret=in-the-file
CONF
  import --truncate --turnserver-conf "$TC_DIR/turnserver.conf"
  [ "$(action user hexed)" = add ]
  [[ $(jq -r '.[] | select(.name == "static") | .action' "$TC_DIR/out" | sort | xargs) == 'add skip' ]]
  [[ $(reason user 'line 7') == *'not name:password'* ]]
  [[ $(jq -r '.[] | select(.name == "gorst") | .action' "$TC_DIR/out" | sort | xargs) == 'skip update' ]]
  [ "$(action user ninefingers)" = same ] # the file's realm is the default one
  run ! grep -q 'statics-password\|in-the-file' "$TC_DIR/out" "$TC_DIR/err"
  import --truncate --turnserver-conf "$TC_DIR/turnserver.conf" --apply
  [ "$(action secret 'secret of line 8')" = add ]
  import --truncate --turnserver-conf "$TC_DIR/turnserver.conf" --apply
  [ "$(jq '[.[] | select(.action == "add" or .action == "update")] | length' "$TC_DIR/out")" = 0 ]
  server_start main
  synced
  for user in static:statics-password hexed:hexes-password gorst:the-files-password; do
    printf '%s\n' "${user#*:}" >"$TC_DIR/password"
    "$CTL" probe --server "127.0.0.1:$(server_port main)" --user "${user%:*}" --password-file "$TC_DIR/password" --allocate-only
  done
  printf 'first\n' >"$TC_DIR/password"
  "$CTL" probe --server "127.0.0.1:$(server_port main)" --user static --password-file "$TC_DIR/password" --expect-error 401
  expiry=$(($(date +%s) + 600))
  printf %s "$expiry:old-client" | openssl dgst -sha1 -hmac in-the-file -binary | base64 >"$TC_DIR/password"
  "$CTL" probe --server "127.0.0.1:$(server_port main)" --user "$expiry:old-client" --password-file "$TC_DIR/password" --allocate-only
  "$CTL" import coturn "dbname=coturn" --turnserver-conf /nonexistent 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 2 ]
  grep -q 'turnserver-conf /nonexistent' "$TC_DIR/err"
}

@test "a foreign or missing database, and a password in CONNINFO, are refused" {
  local rc=0
  "$CTL" import coturn "dbname=turncred" >/dev/null 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 3 ]
  grep -q 'coturn database.*turnusers_lt' "$TC_DIR/err"
  rc=0
  "$CTL" import coturn "dbname=nothing" >/dev/null 2>&1 || rc=$?
  [ "$rc" = 3 ]
  rc=0
  "$CTL" import coturn "dbname=coturn password=x" >/dev/null 2>&1 || rc=$?
  [ "$rc" = 2 ]
}

# spelled LINE: the import of a turnserver.conf with this line finds coturn's users, with this line's password alone
spelled() {
  printf 'realm=turn.test\nlt-cred-mech\n%s\n' "$1" >"$TC_DIR/spelled.conf"
  local ours="host=$PGHOST dbname=turncred user=postgres"
  env -u PGHOST -u PGUSER -u PGDATABASE TURNCRED_DATABASE="$ours" \
    "$CTL" import coturn --turnserver-conf "$TC_DIR/spelled.conf" --add-realms --json >"$TC_DIR/out" 2>"$TC_DIR/err" || true
  [[ $(action user ninefingers) == @(add|same) ]] || {
    echo "$1"
    cat "$TC_DIR/err"
    return 1
  }
}

@test "psql-userdb in nine spellings, with its password" {
  local hba=$TC_DIR/pg/data/pg_hba.conf where=${PGHOST//\//%2F}
  sed -i '1i local coturn dbuser,turnuser,spaced,odd scram-sha-256' "$hba"
  PGDATABASE=coturn sql "CREATE ROLE dbuser LOGIN PASSWORD 'pw'" "CREATE ROLE turnuser LOGIN PASSWORD 'pw'" \
    "CREATE ROLE spaced LOGIN PASSWORD 'two words'" "CREATE ROLE odd LOGIN PASSWORD E'pa:ss\\\\word'" \
    'GRANT SELECT ON ALL TABLES IN SCHEMA public TO dbuser, turnuser, spaced, odd' 'SELECT pg_reload_conf()'
  spelled "psql-userdb=\"postgresql://dbuser:pw@$where/coturn\""
  spelled "psql-userdb=\"host=$PGHOST dbname=coturn user=spaced password='two words'\""
  spelled "psql-userdb=\"host=$PGHOST dbname=coturn user=odd password=pa:ss\\\\word\""
  spelled "psql-userdb = \"host=$PGHOST dbname=coturn user=dbuser password=pw\""
  spelled "psql-userdb \"host=$PGHOST dbname=coturn user=dbuser password=pw\""
  spelled "  psql-userdb=\"host=$PGHOST dbname=coturn user=dbuser password=pw\""
  spelled "psql-userdb=\"host=$PGHOST dbname=coturn user=dbuser password = pw\""
  spelled "psql-userdb=\"host=$PGHOST dbname=coturn user=turnuser password=pw\""
  spelled "sql-userdb=host=$PGHOST dbname=coturn user=dbuser password=pw connect_timeout=30"
  run ! spelled "psql-userdb=\"host=$PGHOST dbname=coturn user=dbuser password=wrong\""
  grep -q 'password authentication failed' "$TC_DIR/err"
  run ! grep -q 'pw\|two words\|pa:ss' "$TC_DIR/out" "$TC_DIR/err"
}

@test "a command line of coturn's: its secret, its realm, the file that it names" {
  printf 'realm=of.the.file\nuser=bob:pw\n' >"$TC_DIR/named.conf"
  printf '%s\0' /usr/bin/turnserver -c "$TC_DIR/named.conf" -r turn.test --static-auth-se=on-the-command-line -n1 \
    --user-quota 5 -vz --user=carol:pw >"$TC_DIR/cmdline"
  run -7 --separate-stderr "$CTL" import coturn --turnserver-cmdline "$TC_DIR/cmdline" --json "dbname=coturn"
  # shellcheck disable=SC2154 # run sets it
  [[ $stderr == *"no-auth: coturn lets in everybody"* ]]
  printf '%s\n' turnserver -c "$TC_DIR/named.conf" --realm turn.test --static-auth-secret on-the-command-line >"$TC_DIR/cmdline"
  "$CTL" import coturn --turnserver-cmdline "$TC_DIR/cmdline" --json >"$TC_DIR/out" 2>"$TC_DIR/err"
  [ "$(action secret 'secret of argument 6')" = add ]
  [ "$(jq -r '.[] | select(.name == "bob") | "\(.realm) \(.action) \(.used)"' "$TC_DIR/out")" = 'turn.test add false' ]
  run ! grep -q on-the-command-line "$TC_DIR/out" "$TC_DIR/err"
  run -2 "$CTL" import coturn
  [[ $output == *--turnserver-conf* ]]
}

@test "one row that the database refuses among 1200, a realm that it refuses, a table that the role may not read" {
  PGDATABASE=postgres sql 'DROP DATABASE IF EXISTS large' 'CREATE DATABASE large'
  PGDATABASE=large sql 'CREATE TABLE turnusers_lt (realm varchar(127), name varchar(512), hmackey char(128))' \
    "INSERT INTO turnusers_lt SELECT 'large.test', 'user' || i, md5('x') FROM generate_series(1, 1200) i" \
    "INSERT INTO turnusers_lt VALUES ('large.test', E'user7\\u0085', md5('x')), ('a/b', 'of-slash', md5('x')),
      ('', 'user8', md5('x')), ('', 'user1', md5('x')), ('large.test', repeat('n', 511), md5('x'))" \
    'CREATE TABLE turn_secret (realm varchar(127), value varchar(256))' "INSERT INTO turn_secret VALUES ('large.test', 'x')" \
    'CREATE TABLE oauth_key (kid varchar(128))' 'DROP ROLE IF EXISTS reader' 'CREATE ROLE reader LOGIN' \
    'GRANT SELECT ON turnusers_lt TO reader'
  sed -i '1i local large reader trust' "$TC_DIR/pg/data/pg_hba.conf"
  sql 'SELECT pg_reload_conf()'
  run -7 --separate-stderr "$CTL" import coturn "dbname=large user=reader" --add-realms --default-realm large.test --json --apply
  printf '%s' "$output" >"$TC_DIR/out"
  [ "$(sql "SELECT count(*) FROM turncred.credential WHERE realm = 'large.test'")" = 1200 ]
  [ "$(jq -r '[.[] | select(.lost) | .kind + " " + (.name | .[:8])] | sort | join(",")' "$TC_DIR/out")" = \
    'realm a/b,table turn_sec,user nnnnnnnn,user of-slash,user user7'$'\u0085' ]
  [[ $(jq -r '.[] | select(.name == "oauth_key") | .reason' "$TC_DIR/out") == *'no column "ikm_key"'* ]]
  [[ $(jq -r '.[] | select(.name == "turn_secret") | .reason' "$TC_DIR/out") == *'permission denied'* ]]
}


@test "rows of the default realm and of no realm, of the file and of the database: coturn's own wins, at each import" {
  local md5 i
  declare -A md5=([none]=$(printf a | md5sum) [own]=$(printf b | md5sum) [file]=$(printf c | md5sum) [hidden]=$(printf d | md5sum))
  for i in "${!md5[@]}"; do md5[$i]=${md5[$i]%% *}; done
  PGDATABASE=postgres sql 'DROP DATABASE IF EXISTS twice' 'CREATE DATABASE twice'
  PGDATABASE=twice sql 'CREATE TABLE turnusers_lt (realm varchar(127), name varchar(512), hmackey char(128))' \
    "INSERT INTO turnusers_lt VALUES ('', 'eve', '${md5[none]}'), ('own.test', 'eve', '${md5[own]}'), ('', 'old', '${md5[none]}'),
      ('guest.test', 'kim', '${md5[hidden]}')" \
    'CREATE TABLE turn_realm_option (realm varchar(127), opt varchar(32), value varchar(128))' \
    "INSERT INTO turn_realm_option VALUES ('', 'user-quota', '5'), ('own.test', 'user-quota', '7')" \
    'CREATE TABLE turn_origin_to_realm (origin varchar(127), realm varchar(127))' \
    "INSERT INTO turn_origin_to_realm VALUES ('https://g.example', 'guest.test')"
  printf '%s\n' realm=own.test lt-cred-mech "user=kim:0x${md5[file]}" >"$TC_DIR/own.conf"
  sql "INSERT INTO turncred.realm (name, server_name, mechanisms, at_rest)
    SELECT name, name, '{pushed}', 'plain' FROM unnest('{own.test,guest.test}'::text[]) name"
  for i in 1 2 3; do
    env -u TURNCRED_KEK "$CTL" import coturn dbname=twice --turnserver-conf "$TC_DIR/own.conf" --apply --json \
      >"$TC_DIR/out" 2>"$TC_DIR/err" || [ $? = 1 ] # rows are passed over that do not work in coturn
    [ "$(sql "SELECT string_agg(realm || '/' || username || ' ' || encode(md5, 'hex'), ',' ORDER BY realm, username)
      FROM turncred.credential WHERE realm IN ('own.test', 'guest.test')")" = \
      "guest.test/kim ${md5[file]},own.test/eve ${md5[own]},own.test/kim ${md5[file]},own.test/old ${md5[none]}" ]
    [ "$(sql "SELECT user_quota FROM turncred.realm WHERE name = 'own.test'")" = 7 ]
  done
  [ "$(jq '[.[] | select(.kind == "user" and (.action == "add" or .action == "update"))] | length' "$TC_DIR/out")" = 0 ]
  [ "$(jq -r '[.[] | select(.kind == "user" and .action == "skip") | "\(.realm)/\(.name) \(.used) \(.reason)"] | sort | join("\n")' "$TC_DIR/out")" = \
    'guest.test/kim false turnserver.conf has this user too, and coturn takes the user from there
own.test/eve false the default realm has a row of this user, too, and coturn takes that one' ]
}

@test "coturn's tables in a schema that the role may not use: the message says so" {
  PGDATABASE=postgres sql 'DROP DATABASE IF EXISTS walled' 'CREATE DATABASE walled'
  PGDATABASE=walled sql 'CREATE SCHEMA walled' 'CREATE TABLE walled.turnusers_lt (name varchar(512), hmackey char(128))' \
    'DROP ROLE IF EXISTS outsider' 'CREATE ROLE outsider LOGIN'
  sed -i '1i local walled outsider trust' "$TC_DIR/pg/data/pg_hba.conf"
  sql 'SELECT pg_reload_conf()'
  run -3 --separate-stderr "$CTL" import coturn 'dbname=walled user=outsider' --json
  [[ $stderr == *'the coturn database: '*'permission denied for schema walled'* ]]
}
