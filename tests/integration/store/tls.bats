#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# How a store may reach its database: TLS with verification, client certificates, password and
# service files; and that no password shows anywhere.

load store.bash

setup_file() {
  export PORT
  PORT=$(free_port)
  store_up || return
  certificates
  (umask 077 && echo "127.0.0.1:$PORT:turncred:turn1:a password of 128 bits
db.test:$PORT:turncred:turn1:a password of 128 bits" >"$TC_DIR/passfile")
  sql "ALTER ROLE turn1 PASSWORD 'a password of 128 bits'"
  cp "$TC_DIR"/tls/{ca.crt,server.crt,server.key} "$TC_DIR/pg/data/"
  [[ $EUID != 0 ]] || chown "$(pg_user)": "$TC_DIR"/pg/data/{ca.crt,server.crt,server.key}
  chmod 600 "$TC_DIR/pg/data/server.key"
  # a client that shows a certificate says so by its application_name's database user: two lines
  printf '%s\n' 'hostssl turncred certificate 127.0.0.1/32 cert map=cert' \
    'hostssl turncred turn1 127.0.0.1/32 scram-sha-256' >>"$TC_DIR/pg/data/pg_hba.conf"
  echo 'cert turn-server certificate' >>"$TC_DIR/pg/data/pg_ident.conf"
  printf '%s\n' "listen_addresses = '127.0.0.1'" "port = $PORT" 'ssl = on' "ssl_ca_file = 'ca.crt'" \
    "log_statement = 'all'" >>"$TC_DIR/pg/data/postgresql.conf"
  pg_ctl_run -m fast restart
  export PGPORT=$PORT
  sql 'CREATE ROLE certificate LOGIN IN ROLE turncred_server'
}
certificates() {
  mkdir -p "$TC_DIR/tls"
  (
    cd "$TC_DIR/tls" || exit
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca \
      -keyout ca.key -out ca.crt
    for name in server:db.test client:turn-server; do
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=${name#*:}" \
        -keyout "${name%:*}.key" -out request
      openssl x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out "${name%:*}.crt"
    done
  ) >"$TC_DIR/tls.log" 2>&1
}
teardown_file() { store_down; }

base="host=db.test hostaddr=127.0.0.1 dbname=turncred user=turn1 sslrootcert=\$TC_DIR/tls/ca.crt"

works() {
  run probe -p 300 <<'SCRIPT'
load 8000
expect accepts r k = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

fails() {
  local words=$1
  run probe -p 300 <<<'load 1000'
  echo "$output"
  [ "$status" -eq 1 ]
  [[ $output == *"$words"* ]]
}

@test "verify-full with a password file" {
  TC_CONN="$(eval echo "$base") port=$PORT sslmode=verify-full passfile=$TC_DIR/passfile" works
}

@test "verify-full refuses another name and another authority" {
  TC_CONN="host=other.test hostaddr=127.0.0.1 port=$PORT dbname=turncred user=turn1 sslmode=verify-full sslrootcert=$TC_DIR/tls/ca.crt passfile=$TC_DIR/passfile" \
    fails 'does not match host name'
  TC_CONN="host=db.test hostaddr=127.0.0.1 port=$PORT dbname=turncred user=turn1 sslmode=verify-full sslrootcert=$TC_DIR/tls/server.crt passfile=$TC_DIR/passfile" \
    fails 'certificate verify failed'
}

@test "a client certificate instead of a password" {
  TC_CONN="$(eval echo "$base") port=$PORT sslmode=verify-full user=certificate sslcert=$TC_DIR/tls/client.crt sslkey=$TC_DIR/tls/client.key passfile=/dev/null" works
  TC_CONN="$(eval echo "$base") port=$PORT sslmode=verify-full passfile=/dev/null" fails 'no password supplied'
}

@test "a service file" {
  printf '[turn]\nhost=db.test\nhostaddr=127.0.0.1\nport=%s\ndbname=turncred\nuser=turn1\nsslmode=verify-full\nsslrootcert=%s\npassfile=%s\n' \
    "$PORT" "$TC_DIR/tls/ca.crt" "$TC_DIR/passfile" >"$TC_DIR/service"
  PGSERVICEFILE=$TC_DIR/service TC_CONN="service=turn" works
}

@test "a password in the connection string is in no log, error or argument of ours" {
  TC_CONN="postgresql://turn1:wrong-Geheimnis@127.0.0.1:$PORT/turncred?sslmode=require" fails 'password authentication failed'
  [[ $output != *Geheimnis* ]]
  run "$TC_BUILD/tests/integration/store/store_probe" -d "host=x password=Geheimnis nonsense=1" </dev/null
  echo "$output"
  [ "$status" -eq 2 ]
  [[ $output == *"not a PostgreSQL connection string"* ]]
  [[ $output != *Geheimnis* ]]
  run grep -c Geheimnis "$TC_DIR/pg/postgresql.log"
  [ "$output" = 0 ]
}

@test "the database's address is told, so that it can be denied as relay peer" {
  TC_CONN="$(eval echo "$base") port=$PORT sslmode=verify-full passfile=$TC_DIR/passfile" works
  [ "$(grep -c '^peer 127.0.0.1$' "$TC_DIR/probe.log")" -eq 1 ]
}

@test "the addresses to which libpq may fail over are told, too, each once" {
  TC_CONN="host=db.test,192.0.2.77 hostaddr=127.0.0.1,127.0.0.2 dbname=turncred user=turn1 sslrootcert=$TC_DIR/tls/ca.crt port=$PORT sslmode=verify-full passfile=$TC_DIR/passfile" works
  grep '^peer' "$TC_DIR/probe.log" | sort >"$TC_DIR/peers"
  printf 'peer 127.0.0.1\npeer 127.0.0.2\npeer 192.0.2.77\n' | diff - "$TC_DIR/peers"
}
