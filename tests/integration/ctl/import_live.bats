#!/usr/bin/env bats
# Whoever gets in at a stock coturn gets in after turncredctl import coturn, or the import has named the row (LOST, exit
# code 7): configurations and databases of other people, with real logins at the stock server and at the patched one.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  CTL=$TC_BUILD/turncredctl
  export CTL
  turncred_need "$CTL" "$TC_STOCK"
  turncred_up
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null
  # coturn's driver sends libpq's own user
  export SCHEMA
  SCHEMA=$("$TC_TOP/scripts/build-coturn" --print-source)/turndb/schema.sql
}
setup() {
  sql 'DELETE FROM turncred.realm'
  rm -f "$TC_DIR"/{before,after,out,logins}
}
teardown() { turncred_check; }
teardown_file() { turncred_down; }

# database 'NAME [OPTION...]': makes a database for coturn, of its own schema; SQL on standard input
database() {
  PGDATABASE=postgres sql "DROP DATABASE IF EXISTS ${1%% *}" "CREATE DATABASE $1"
  PGDATABASE=${1%% *} psql -Xq -v ON_ERROR_STOP=1 -f "$SCHEMA" -f -
}
# turnadmin FILE OPTION...: without the log file that it leaves in /var/log
turnadmin() {
  local db=$1
  shift
  "${TC_STOCK%/*}/turnadmin" -b "$db" "$@" >"$TC_DIR/turnadmin"
  rm -f "$(sed -n 's/.*log file opened: //p' "$TC_DIR/turnadmin")"
}
# psql_userdb NAME: the line for it
psql_userdb() { printf 'psql-userdb="host=%s dbname=%s user=postgres"' "$PGHOST" "$1"; }

# moved EXIT|any EXPECTED LINE...: a stock server with these lines, the logins of TC_DIR/logins, the import of its
# turnserver.conf, a patched server with the same lines, the logins again. EXPECTED: a 1 for each that the stock
# server lets in. $OPTIONS: of the import.
moved() {
  local code=$1 expected=$2 rc=0
  shift 2
  server_start_plain "$TC_STOCK" stock "$@"
  turn_step stock logins before
  process_stop "$TC_DIR/servers/stock" 10
  # shellcheck disable=SC2086 # a list of options
  import ${OPTIONS---add-realms}
  cp "$TC_DIR/out" "$TC_DIR/dry" && cp "$TC_DIR/rc" "$TC_DIR/dry.rc"
  [ "$(sql 'SELECT (SELECT count(*) FROM turncred.realm) + (SELECT count(*) FROM turncred.key)')" = 0 ] || [[ ${KEPT-} ]]
  # shellcheck disable=SC2086
  import ${OPTIONS---add-realms} --apply
  # the dry run says what happens: only the names of new keys are made anew
  diff <(sed 's/kid (made by --apply)/kid/' "$TC_DIR/dry") <(sed 's/kid rest-[0-9a-f-]*/kid/' "$TC_DIR/out")
  [ "$(<"$TC_DIR/dry.rc")" = "$(<"$TC_DIR/rc")" ]
  server_start main "$@" lt-cred-mech
  synced
  turn_step main logins after
  process_stop "$TC_DIR/servers/main" 10
  turn_step main compare "$expected"
  [ "$(jq 'map(.lost) | any' "$TC_DIR/out") $code" = "$([ "$(<"$TC_DIR/rc")" = 7 ] && echo true || echo false) $code" ]
  [[ $code == any || $(<"$TC_DIR/rc") == "$code" ]] || {
    cat "$TC_DIR/rc" "$TC_DIR/err"
    return 1
  }
}
# import OPTION...: its list in TC_DIR/out, messages in err, exit code in rc
import() {
  local rc=0
  "$CTL" import coturn ${SOURCE:+"$SOURCE"} --turnserver-conf "$TC_DIR/servers/stock/turnserver.conf" --json "$@" >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  echo "$rc" >"$TC_DIR/rc"
  jq -e . "$TC_DIR/out" >/dev/null || {
    cat "$TC_DIR/err"
    return 1
  }
}

@test "users of a turnserver.conf alone, as people write them" {
  printf '%s\n' 'user|plain|plain|pw' 'user|line 21|plain2|x' 'user|hash|hash|abc123#' 'user|quoted|quoted|p"w' \
    'user|unclosed|unclosed|pw' 'user|colons|colons|pa:ss:word' 'user|blank|blank|behind the colon' 'user|crlf|crlf|pw' \
    'user|twice|twice|first' 'user|twice|twice|second' 'user|semi|semi|pw;' 'user|josé|josé|pässwörd' 'user|jos\xE9|jos\xE9|pw' \
    'user|has blank|has blank|pw' 'user|gap|gap|pw' 'user|0xup|0xup|pw' 'user|x_A0|m\xC3\xA1s|pw' 'user|tab|tab|pw' \
    'user|12345|12345|pw' 'user|bob:5060|bob:5060|pw' "user|o'brien|o'brien|pw" >"$TC_DIR/logins"
  local upper
  upper=$(printf '0xup:turn.test:pw' | md5sum | cut -c1-32)
  moved 7 '1 0 1 1 1 1 1 1 0 1 1 1 1 0 1 1 1 1 1 0 0' 'user=plain:pw' 'user=plain2' 'user=hash:abc123#' 'user="quoted:p"w"' 'user="unclosed:pw' \
    'user=colons:pa:ss:word' 'user=blank: behind the colon' $'user=crlf:pw\r' 'user=twice:first' 'user=twice:second' \
    'user=semi:pw;' 'user=josé:pässwörd' $'user=jos\xE9:pw' 'user=has blank:pw' '   user   ==  gap:pw' \
    "user=0xup:0x${upper^^}" $'user=m\xC3\xA1s:pw' $'user\ttab:pw' 'user=12345:pw' 'user=bob:5060:pw' "user=o'brien:pw"
}

@test "secrets of a turnserver.conf alone: orders, long ones, quotes; users beside them are dead in coturn" {
  local long
  long=$(printf 'x%.0s' {1..128})
  printf '%s\n' 'secret|secret of line 20|@T:alice|hmac:north-wind' "secret|secret of line 21|@T:alice|hmac:$long" \
    'secret|secret of line 22|@T:alice|hmac:unclosed' 'secret|secret of line 23|@T:alice|hmac:a b # rotate' \
    'user|static|static|pw' 'secret|secret of line 20|@T:@alice:matrix.example.org|hmac:north-wind' >"$TC_DIR/logins"
  moved 0 '1 1 1 1 0 1' 'static-auth-secret=north-wind' "static-auth-secret=$long" 'static-auth-secret="unclosed' \
    'static-auth-secret=a b # rotate' 'user=static:pw'
  [ "$(jq -r '.[] | select(.name == "static") | .used' "$TC_DIR/out")" = false ]
  grep -q '1 rows that this coturn does not take were taken over; --only-used' "$TC_DIR/err"
  import --apply --only-used
  [ "$(jq -r '.[] | select(.name == "static") | .action' "$TC_DIR/out")" = skip ]
}

@test "forms of REST user names: the time alone, nobody behind it, zeros in front, another separator" {
  printf '%s\n' 'secret|secret of line 20|@T|hmac:north-wind' 'secret|secret of line 20|@T:|hmac:north-wind' \
    'secret|secret of line 20|00@T:alice|hmac:north-wind' 'secret|secret of line 20|@T-alice|hmac:north-wind' >"$TC_DIR/logins"
  moved 0 '1 1 1 1' 'static-auth-secret=north-wind'
  sql 'DELETE FROM turncred.realm'
  printf '%s\n' 'secret|secret of line 20|@T@alice|hmac:north-wind' >"$TC_DIR/logins"
  moved 0 '1' 'static-auth-secret=north-wind' 'rest-api-separator=@'
}

@test "a realm that is not UTF-8, a secret that is not" {
  printf '%s\n' 'secret|secret of line 20|@T:alice|hmac:\xE9\xFF' >"$TC_DIR/logins"
  moved 0 '1' $'static-auth-secret=\xE9\xFF'
  sql 'DELETE FROM turncred.realm'
  printf 'realm=\xE9\nuser=alice:pw\nstatic-auth-secret=x\n' >"$TC_DIR/servers/stock/turnserver.conf"
  import --add-realms
  [ "$(<"$TC_DIR/rc")" = 7 ]
  [[ $(jq -r '.[] | select(.kind == "secret") | "\(.realm) \(.lost) \(.reason)"' "$TC_DIR/out") == '\xE9 true the realm'*'not UTF-8'* ]]
}

# reasons KIND: of each row of that kind, with its realm and name
reasons() { jq -r ".[] | select(.kind == \"$1\") | \"\(.realm) \(.name): \(.action) \(.reason)\"" "$TC_DIR/out"; }

@test "a realm, a user, a kid, an origin that is the octet AD alone: each is named, the rest is taken over" {
  mkdir -p "$TC_DIR/servers/stock"
  # in turnserver.conf coturn takes this octet out of a name
  printf 'lt-cred-mech\nrealm=turn.test\nuser=\xAD:pw\nuser=alice:pw\n' >"$TC_DIR/servers/stock/turnserver.conf"
  import --add-realms --apply
  grep -q '^turn.test : skip no name is left' <<<"$(reasons user)"
  [ "$(sql "SELECT string_agg(realm || ' ' || username, ', ') FROM turncred.credential")" = 'turn.test alice' ]
  printf 'lt-cred-mech\nrealm=\xAD\nuser=alice:pw\n' >"$TC_DIR/servers/stock/turnserver.conf"
  import --add-realms --apply
  [[ $(reasons user) == '\xAD alice: skip the realm'*'not UTF-8'* ]]
  # a database keeps it
  /usr/bin/python3 - "$TC_DIR/octet.db" "$SCHEMA" <<'PY'
import sqlite3, sys
db, odd, key = sqlite3.connect(sys.argv[1]), "CAST(X'AD' AS TEXT)", "'MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI='"
db.executescript(open(sys.argv[2]).read())
db.executescript(f"""INSERT INTO turnusers_lt VALUES ('turn.test', {odd}, '{"ab" * 16}'), ({odd}, 'bob', '{"cd" * 16}'), ('turn.test', 'carol', '{"ef" * 16}');
INSERT INTO turn_secret VALUES ({odd}, 'north-wind');
INSERT INTO oauth_key VALUES ({odd}, {key}, 0, 0, 'A256GCM', 'turn.test'), ('k', {key}, 0, 0, 'A256GCM', {odd}), ('good', {key}, 0, 0, 'A256GCM', 'turn.test');
INSERT INTO turn_realm_option VALUES ({odd}, 'user-quota', '5'), ('turn.test', {odd}, '5'), ('turn.test', 'total-quota', {odd});
INSERT INTO turn_origin_to_realm VALUES ({odd}, 'turn.test'), ('https://a.example', {odd});
INSERT INTO denied_peer_ip VALUES ({odd}, '10.0.0.1'), ('turn.test', {odd});""")
PY
  printf 'lt-cred-mech\nrealm=turn.test\n' >"$TC_DIR/servers/stock/turnserver.conf"
  SOURCE=$TC_DIR/octet.db import --add-realms --apply
  cat "$TC_DIR/out"
  [ "$(<"$TC_DIR/rc")" = 7 ]
  [ "$(sql "SELECT string_agg(realm || ' ' || username, ', ' ORDER BY username) FROM turncred.credential")" = 'turn.test alice, turn.test carol' ]
  [ "$(sql "SELECT string_agg(realm || ' ' || kid, ', ') FROM turncred.key")" = 'turn.test good' ]
  [ "$(sql 'SELECT count(*) FROM turncred.realm')" = 1 ]
  grep -q '^turn.test .xAD: skip the name is not UTF-8' <<<"$(reasons user)"
  grep -q '^.xAD bob: skip the realm.s name is not UTF-8' <<<"$(reasons user)"
  grep -q '^turn.test .xAD: skip the kid is too long, or not UTF-8' <<<"$(reasons oauth_key)"
  grep -q '^.xAD .*: skip the realm.s name is not UTF-8' <<<"$(reasons secret)"
  [ "$(jq -c '[.[] | select(.realm == "\\xAD" or .name == "\\xAD") | .action] | [length >= 10, any(. == "add" or . == "update")]' "$TC_DIR/out")" = '[true,false]' ]
}

@test "the user before the time: named, and taken where the operator says so" {
  printf '%s\n' 'secret|secret of line 20|@T:alice|hmac:north-wind' 'secret|secret of line 20|alice:@T|hmac:north-wind' >"$TC_DIR/logins"
  OPTIONS='--add-realms --username-format either' moved 0 '1 1' 'static-auth-secret=north-wind'
  printf '%s\n' 'secret|secret of line 20|alice:@T|hmac:north-wind' >"$TC_DIR/logins"
  sql 'DELETE FROM turncred.realm'
  OPTIONS='--add-realms --username-format user-id:timestamp' moved 0 '1' 'static-auth-secret=north-wind'
  # a key of another form
  import
  [[ $(jq -r '.[] | select(.kind == "secret") | "\(.action) \(.lost) \(.reason)"' "$TC_DIR/out") == 'skip true '*'user-id:timestamp'* ]]
  [[ $(jq -r '.[] | select(.name == "username-format") | .reason' "$TC_DIR/out") == *'USER:TIME'*'--username-format either'* ]]
}

@test "a separator that no rest key has, and an empty secret, are named" {
  printf '%s\n' 'secret|secret of line 20|@T+alice|hmac:north-wind' >"$TC_DIR/logins"
  moved 7 '1' 'static-auth-secret=north-wind' 'rest-api-separator=+'
  printf '%s\n' 'secret|secret of line 20|@T:alice|hmac:' >"$TC_DIR/logins"
  sql 'DELETE FROM turncred.realm'
  moved 7 '1' 'static-auth-secret='
}

@test "six secrets in PostgreSQL" {
  local i
  database many <<<"INSERT INTO turn_secret SELECT 'turn.test', 'homeserver-secret-' || i FROM generate_series(1, 6) i;
    INSERT INTO turn_secret VALUES ('', 'of-no-realm')"
  for i in {1..6}; do echo "secret|secret $((i + 1))|@T:alice|hmac:homeserver-secret-$i"; done >"$TC_DIR/logins"
  echo 'secret|secret 1|@T:alice|hmac:of-no-realm' >>"$TC_DIR/logins"
  moved any '1 1 1 1 1 1 0' use-auth-secret "$(psql_userdb many)"
}

@test "SQLite as turnadmin makes it, which coturn takes though nothing names it" {
  local db=$TC_DIR/servers/stock/userdb.sqlite
  server_folder stock
  turnadmin "$db" -a -u gorst -r turn.test -p hero
  turnadmin "$db" -a -u josé -r turn.test -p pässwörd
  turnadmin "$db" -a -u "$(printf 'jos\xE9')" -r turn.test -p pw
  turnadmin "$db" -s logen -r turn.test
  turnadmin "$db" --set-realm-option -r turn.test --user-quota=3 --max-bps=3000000000
  # turnadmin writes another number, 2^64 - 1294967296, which limits nothing
  sqlite3 "$db" "UPDATE turn_realm_option SET value = '3000000000 ' WHERE opt = 'max-bps'"
  printf '%s\n' 'user|gorst|gorst|hero' 'user|josé|josé|pässwörd' 'user|jos\xE9|jos\xE9|pw' >"$TC_DIR/logins"
  moved 7 '1 1 1'
  [ "$(sql "SELECT user_quota || ' ' || max_bps FROM turncred.realm")" = '3 3000000000' ]
  printf '%s\n' 'secret|secret 1|@T:alice|hmac:logen' 'user|gorst|gorst|hero' >"$TC_DIR/logins"
  sql 'DELETE FROM turncred.realm'
  moved 1 '1 0' use-auth-secret
}

@test "turn_secret alone, in a schema that the search path of coturn's role has" {
  PGDATABASE=postgres sql 'DROP DATABASE IF EXISTS hubs' 'CREATE DATABASE hubs'
  PGDATABASE=hubs sql 'CREATE SCHEMA coturn' 'CREATE TABLE coturn.turn_secret (realm varchar(127), value varchar(256))' \
    "INSERT INTO coturn.turn_secret VALUES ('turn.test', 'hubs-secret')"
  echo 'secret|secret 1|@T:alice|hmac:hubs-secret' >"$TC_DIR/logins"
  moved 0 '1' use-auth-secret "psql-userdb=\"host=$PGHOST dbname=hubs user=postgres options=-csearch_path=coturn\""
  # another role, without that search path
  run -0 --separate-stderr "$CTL" import coturn "dbname=hubs" --default-realm turn.test
  # shellcheck disable=SC2154 # run sets it
  [[ $stderr == *"tables are in schema coturn"* ]]
}

@test "a database in SQL_ASCII and one in LATIN1: one name in other octets costs no other" {
  local db
  for db in "ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'" \
    "latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"; do
    sql 'DELETE FROM turncred.realm'
    PGCLIENTENCODING=SQL_ASCII database "$db" <<<"
      INSERT INTO turnusers_lt VALUES ('turn.test', 'gorst', md5('gorst:turn.test:hero')),
      ('turn.test', E'jos\\xe9', '$(printf 'jos\xE9:turn.test:pw' | md5sum | cut -c1-32)'),
      ('turn.test', 'josé', '$(printf 'josé:turn.test:pw' | md5sum | cut -c1-32)')"
    printf '%s\n' 'user|gorst|gorst|hero' 'user|jos\xE9|jos\xE9|pw' 'user|josé|josé|pw' >"$TC_DIR/logins"
    moved 7 '1 1 1' "$(psql_userdb "${db%% *}")"
  done
}

@test "realms by origin: a secret of the file is for each, a user's row for its own" {
  database origins <<<"INSERT INTO turn_origin_to_realm VALUES ('https://b.example:443', 'b.example');
    INSERT INTO turn_secret VALUES ('b.example', 'of-b')"
  printf '%s\n' 'secret|secret of line 20|@T:alice|hmac:in-the-file' 'secret|secret of line 20|@T:alice|hmac:in-the-file|https://b.example:443' \
    'secret|secret 1|@T:alice|hmac:of-b|https://b.example:443' 'secret|secret 1|@T:alice|hmac:of-b' >"$TC_DIR/logins"
  moved 0 '1 1 1 0' static-auth-secret=in-the-file "$(psql_userdb origins)"
}

@test "OAuth keys: of the realm, of another one, of none; the name of the server" {
  local k kid
  k=$(openssl rand -hex 32)
  database tokens <<<"INSERT INTO oauth_key SELECT kid, encode(decode('$k', 'hex'), 'base64'), 0, 0, alg, realm FROM (VALUES
    ('here', 'A256GCM', 'turn.test'), ('there', 'a256gcm', 'there.test'), ('nowhere', 'A256GCM', ''),
    ('later', 'A256GCM', 'turn.test'), ('dead', '', 'turn.test')) v(kid, alg, realm);
    UPDATE oauth_key SET timestamp = extract(epoch FROM now() + interval '1 day'), lifetime = 86400 WHERE kid = 'later';
    UPDATE oauth_key SET ikm_key = encode(decode(md5(kid) || md5(kid), 'hex'), 'base64') WHERE kid <> 'here'"
  local lines=(oauth server-name=name.test "$(psql_userdb tokens)")
  server_start_plain "$TC_STOCK" stock "${lines[@]}"
  key_of() { [[ $1 == here ]] && echo "$k" || printf '%s' "$(printf %s "$1" | md5sum | cut -c1-32)"{,}; }
  for kid in here there nowhere later; do
    turn_step stock token_enters "$kid" "$(key_of "$kid" | tr -d ' ')" name.test 16 in
  done
  turn_step stock token_enters dead "$(key_of dead | tr -d ' ')" name.test 16 out
  process_stop "$TC_DIR/servers/stock" 10
  import --add-realms --apply
  cat "$TC_DIR/err"
  [ "$(<"$TC_DIR/rc")" = 1 ] # the row without an algorithm
  server_start main "${lines[@]}"
  synced
  for kid in here there nowhere later; do
    turn_step main token_enters "$kid" "$(key_of "$kid" | tr -d ' ')" name.test 20 in
  done
  process_stop "$TC_DIR/servers/main" 10
  # issuers do not sign with them
  run -1 "$CTL" token issue turn.test alice
  # a realm of another server name
  sql "UPDATE turncred.realm SET server_name = 'other.test'"
  import
  [[ $(jq -r '.[] | select(.name == "server-name") | "\(.lost) \(.reason)"' "$TC_DIR/out") == 'true '*'--server-name name.test' ]]
  [ "$(<"$TC_DIR/rc")" = 7 ]
}

@test "a coturn that lets in everybody: the import says so" {
  printf '%s\n' 'turnserver.conf|no-auth|anybody|at all' >"$TC_DIR/logins"
  server_folder stock
  OPTIONS='--default-realm turn.test' moved 7 '1' -lt-cred-mech
}

@test "Redis: the import says that it is not read; the block of the guide copies it" {
  local port redis block=$TC_DIR/redis.sh
  turncred_need "$(command -v redis-server)" "$(command -v sqlite3)"
  port=$(free_port)
  mkdir -p "$TC_DIR/servers/redis"
  redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$TC_DIR" >"$TC_DIR/servers/redis/log" 2>&1 3>&- 4>&- &
  echo $! >"$TC_DIR/servers/redis/pid"
  echo "$BATS_TEST_NAME" >"$TC_DIR/servers/redis/test"
  redis="redis-cli -p $port -n 2"
  wait_for 10 redis-cli -p "$port" PING
  local db="redis-userdb=ip=127.0.0.1 dbname=2 port=$port"
  "${TC_STOCK%/*}/turnadmin" -N "ip=127.0.0.1 dbname=2 port=$port" -a -u gorst -r turn.test -p hero >"$TC_DIR/turnadmin"
  rm -f "$(sed -n 's/.*log file opened: //p' "$TC_DIR/turnadmin")"
  $redis SADD turn/realm/turn.test/secret "it's secret"
  printf '%s\n' 'source|redis-userdb|gorst|hero' >"$TC_DIR/logins"
  moved 7 '1' "$db"
  awk '/^```/ { inside = $0 == "```sh redis"; next } inside' "$TC_TOP/scripts/packaging/IMPORT.md" |
    sed "s,^redis=.*,redis='$redis',; s,/root/turndb,$TC_DIR/turndb,; s,/usr/share/coturn/schema.sql,$SCHEMA," >"$block"
  bash -euo pipefail "$block"
  sql 'DELETE FROM turncred.realm'
  SOURCE=$TC_DIR/turndb moved 0 '1' "$db"
  printf '%s\n' "secret|secret 1|@T:alice|hmac:it's secret" >"$TC_DIR/logins"
  sql 'DELETE FROM turncred.realm'
  SOURCE=$TC_DIR/turndb moved 0 '1' "$db" use-auth-secret
}
