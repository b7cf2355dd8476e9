#!/usr/bin/env bats
# Foreign: mariadb-server
# SPDX-License-Identifier: BSD-3-Clause
# The block of scripts/packaging/IMPORT.md for MySQL copies coturn's tables as coturn has them; a stock coturn on the database
# lets the same users in.

load ../lib

setup_file() {
  CTL=$TC_BUILD/turncredctl
  export CTL
  turncred_need "$CTL" "$TC_STOCK" /usr/sbin/mariadbd /usr/bin/sqlite3
  turncred_up
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null SCHEMA
  SCHEMA=$("$TC_TOP/scripts/build-coturn" --print-source)/turndb/schema.sql
  local dir=$TC_DIR/servers/mysql
  mkdir -p "$dir"
  free_port >"$dir/port"
  mariadb-install-db --no-defaults --datadir="$dir/data" --user="$(id -un)" >"$dir/log" 2>&1
  mariadbd --no-defaults --datadir="$dir/data" --user="$(id -un)" --bind-address=127.0.0.1 --port="$(<"$dir/port")" \
    --socket="$dir/socket" --pid-file="$dir/pidfile" >>"$dir/log" 2>&1 3>&- 4>&- &
  echo $! >"$dir/pid"
  : >"$dir/test"
  wait_for 60 mysql --no-defaults --socket="$dir/socket" -e 'SELECT 1'
  {
    echo "CREATE DATABASE coturn; USE coturn; CREATE USER dbuser@'127.0.0.1' IDENTIFIED BY 'pw';
      GRANT ALL ON coturn.* TO dbuser@'127.0.0.1';"
    sed 's/varchar(512)/varchar(256)/' "$SCHEMA" # an index has 3072 octets at the most
    cat <<<"INSERT INTO turnusers_lt VALUES ('turn.test', 'gorst', md5('gorst:turn.test:hero')), ('turn.test', 'josé', md5('josé:turn.test:pw'));
      INSERT INTO turn_secret VALUES ('turn.test', 'it''s \\\\ secret'); INSERT INTO turn_realm_option VALUES ('turn.test', 'user-quota', '3');
      INSERT INTO oauth_key (kid, ikm_key, as_rs_alg, realm) VALUES ('k1', 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=', 'A256GCM', 'turn.test')"
  } | mysql --no-defaults --default-character-set=utf8mb4 --socket="$dir/socket"
}
teardown() { turncred_check; }
teardown_file() { turncred_down; }

@test "users, a secret, a quota and a key come over; the users log in as at the stock server" {
  local dir=$TC_DIR/servers/mysql port
  port=$(<"$dir/port")
  printf '[client]\nhost=127.0.0.1\nport=%s\nuser=dbuser\npassword=pw\n' "$port" >"$TC_DIR/coturn.cnf"
  local line="mysql-userdb=\"host=127.0.0.1 dbname=coturn user=dbuser password=pw port=$port\""
  printf 'hero\n' >"$TC_DIR/password"
  server_start_plain "$TC_STOCK" stock "$line"
  "$CTL" probe --server "127.0.0.1:$(server_port stock)" --user gorst --password-file "$TC_DIR/password" --allocate-only
  run -7 "$CTL" import coturn --turnserver-conf "$TC_DIR/servers/stock/turnserver.conf" --add-realms
  [[ $output == *mysql-userdb*'not read'* ]]
  awk '/^```/ { inside = $0 == "```sh mysql"; next } inside' "$TC_TOP/scripts/packaging/IMPORT.md" |
    sed "s,/root/turndb,$TC_DIR/turndb,; s,/root/coturn.cnf,$TC_DIR/coturn.cnf,; s,/usr/share/coturn/schema.sql,$SCHEMA," >"$TC_DIR/block"
  bash -euo pipefail "$TC_DIR/block"
  [ "$(sqlite3 "$TC_DIR/turndb" 'SELECT value FROM turn_secret')" = "it's \\ secret" ]
  [ "$(sqlite3 "$TC_DIR/turndb" 'SELECT name FROM turnusers_lt' | xargs)" = 'gorst josé' ]
  "$CTL" import coturn "$TC_DIR/turndb" --turnserver-conf "$TC_DIR/servers/stock/turnserver.conf" --add-realms --apply
  [ "$(sql 'SELECT user_quota FROM turncred.realm')" = 3 ]
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE kid = 'k1'")" = 1 ]
  server_start main "$line"
  synced
  "$CTL" probe --server "127.0.0.1:$(server_port main)" --user gorst --password-file "$TC_DIR/password" --allocate-only
  printf 'pw\n' >"$TC_DIR/password"
  "$CTL" probe --server "127.0.0.1:$(server_port main)" --user josé --password-file "$TC_DIR/password" --allocate-only
}
