#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# turncredctl doctor: the tests break each checked thing, one by one; doctor names the fault and the remedy,
# and is content again afterwards.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  export TURNCRED_DATABASE="host=$TC_DIR/pg/run dbname=turncred user=postgres" TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema
  realm_add turn.test "mechanisms='{token,derived}'"
  key_add turn.test t1
  key_add turn.test d1 derived
  cp "$TC_TOP"/plugin/schema/[0-9]*.sql "$(mkdir -p "$TC_DIR/schema" && echo "$TC_DIR/schema")"
  "$TC_CTL" schema upgrade --json >/dev/null
  "$TC_CTL" maintain --json >/dev/null
  head -c 8 /dev/zero >"$TC_DIR/no-step"
  server_start main
  until_days 400
  daemon_start main
  synced
  wait_for 10 tagged
}
tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 1 ]; }
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

# doctor [OPTION...]: asks about everything that runs; exit code in rc
doctor() {
  rc=0
  "$TC_CTL" doctor --server "127.0.0.1:$(server_port main)" --issuer "127.0.0.1:$(<"$TC_DIR/daemons/main/port")" \
    --ca-file "$TC_DIR/tls/ca.pem" "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
}
# found RESULT CHECK TEXT REMEDY: such a finding is there
found() {
  jq -e --arg result "$1" --arg check "$2" --arg text "$3" --arg remedy "${4-}" \
    'any(.[]; .result == $result and .check == $check and (.finding | test($text)) and (.remedy | test($remedy)))' \
    "$TC_DIR/out" >/dev/null || { jq -r '.[] | "\(.result) \(.check): \(.finding) -> \(.remedy)"' "$TC_DIR/out"; cat "$TC_DIR/err"; return 1; }
}
# broken RESULT CHECK TEXT REMEDY: asks until it is found; a failure makes the exit code 1, a warning does not
broken() {
  wait_for "${LIMIT:-5}" asked_and_found "$@" >/dev/null || { doctor && found "$@"; return 1; }
  if [[ $1 == FAILED ]]; then [ "$rc" -eq 1 ]; else [ "$rc" -eq 0 ]; fi
}
asked_and_found() { doctor && found "$@"; }
healthy() { wait_for "${1:-15}" is_healthy >/dev/null || { jq -r '.[] | select(.result != "ok")' "$TC_DIR/out"; return 1; }; }
is_healthy() { doctor && jq -e 'all(.[]; .result == "ok")' "$TC_DIR/out" >/dev/null; }
# until_days DAYS [EXTENSION]: a new certificate for turncredd, which takes it at a reload
until_days() {
  openssl x509 -req -in "$TC_DIR/tls/server.csr" -CA "$TC_DIR/tls/ca.pem" -CAkey "$TC_DIR/tls/ca.key" -CAcreateserial -days "$1" \
    -out "$TC_DIR/tls/server.pem" -extfile <(printf '%s\n' subjectAltName=IP:127.0.0.1 "${2-authorityKeyIdentifier=keyid}") 2>/dev/null
}

@test "all is well: each check says so" {
  healthy
  found ok database 'PostgreSQL [0-9]+.* answers'
  found ok schema 'version [0-9]+'
  found ok role 'postgres is a member'
  found ok clock agree
  found ok 'key encryption key' 'opens all 3 sealed keys'
  found ok keys '2 of 2 mechanisms'
  found ok instances 'server "main" is current'
  found ok instances 'issuer "issuer-main" is current'
  found ok housekeeping 'partitions are made ahead'
  found ok server 'answers over UDP for realm "turn.test" and offers tokens'
  found ok issuer 'is ready'
  "$TC_CTL" doctor | grep -q '^database  *ok '
}

@test "database: away, and the rest is looked at all the same" {
  pg_stop "$TC_DIR/pg"
  broken FAILED database 'no connection' 'start PostgreSQL'
  found ok server 'answers over UDP'
  found ok issuer 'is ready'
  pg_restart
  healthy 30
}

@test "schema: none, older, newer, another file" {
  PGDATABASE=postgres sql 'CREATE DATABASE empty'
  doctor --database "host=$TC_DIR/pg/run dbname=empty user=postgres"
  found FAILED schema 'no turncred schema' 'schema upgrade'
  PGDATABASE=postgres sql 'DROP DATABASE empty'
  export TURNCRED_SCHEMA_DIR=$TC_DIR/schema
  echo 'SELECT 1;' >"$TC_DIR/schema/0901-next.sql"
  broken warning schema 'this program has 901' 'schema upgrade'
  rm "$TC_DIR/schema/0901-next.sql"
  # one that turncredctl made knows its files
  PGDATABASE=postgres sql 'CREATE DATABASE upgraded'
  local upgraded="host=$TC_DIR/pg/run dbname=upgraded user=postgres"
  "$TC_CTL" schema upgrade --database "$upgraded" --json
  doctor --database "$upgraded" && found ok schema version
  echo '-- edited' >>"$TC_DIR/schema/0001-init.sql"
  doctor --database "$upgraded" && found warning schema 'migration 1 was applied from another file' 'who edited'
  PGDATABASE=postgres sql 'DROP DATABASE upgraded'
  export TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema
  sql "INSERT INTO turncred.migration (version, description) VALUES (902, 'later')"
  broken warning schema 'version 902 is newer' 'update turncredctl'
  sql 'DELETE FROM turncred.migration WHERE version = 902'
  healthy
}

@test "role: a role without rights" {
  doctor --database "$TC_ISSUER"
  [ "$rc" -eq 1 ]
  found FAILED role 'issuer1 is no member of turncred_admin' 'GRANT turncred_admin'
}

@test "clocks: ours, a server's, an issuer's" {
  local step=$TC_BUILD/tests/abi/.libs/clockstep.so
  [ -e "$step" ] || skip "$step is not built (make check builds it)"
  /usr/bin/python3 -c 'import sys; sys.stdout.buffer.write((-90).to_bytes(8, sys.byteorder, signed=True))' >"$TC_DIR/back"
  /usr/bin/python3 -c 'import sys; sys.stdout.buffer.write((7).to_bytes(8, sys.byteorder, signed=True))' >"$TC_DIR/ahead"
  LD_PRELOAD=$step CLOCKSTEP=$TC_DIR/back "$TC_CTL" doctor --json >"$TC_DIR/out" || true
  found FAILED clock "database's clock is [89][0-9] s ahead of this machine's" NTP
  TC_DAEMON_ENV="LD_PRELOAD=$step CLOCKSTEP=$TC_DIR/ahead" daemon_start early
  LIMIT=20 broken FAILED clock 'clock of "issuer-early" is [67]\.[0-9] s ahead' NTP
  daemon_stop early
  "$TC_CTL" server forget issuer-early --json
  TC_WRAPPER="env LD_PRELOAD=$step CLOCKSTEP=$TC_DIR/back" server_start late
  LIMIT=20 broken FAILED clock 'clock of "late" is [89][0-9]\.[0-9] s behind' NTP
  server_stop late
  "$TC_CTL" server forget late --json
  healthy
  # a schema that does not know of it
  sql 'ALTER FUNCTION turncred.instance_clock(text, timestamptz) RENAME TO hidden'
  daemon_start older
  wait_for 20 known issuer-older
  [ "$(sql "SELECT clock_offset_ms IS NULL FROM turncred.instance WHERE id = 'issuer-older'")" = t ]
  sql 'ALTER FUNCTION turncred.hidden(text, timestamptz) RENAME TO instance_clock'
  daemon_stop older
  "$TC_CTL" server forget issuer-older --json
}

@test "key encryption key: none given, a wrong one, plain keys" {
  TURNCRED_KEK='' doctor
  found warning 'key encryption key' '3 sealed keys were not tried' '--kek'
  mkdir "$TC_DIR/wrong" && (umask 077 && head -c 32 /dev/urandom >"$TC_DIR/wrong/main")
  TURNCRED_KEK=$TC_DIR/wrong/main doctor
  [ "$rc" -eq 1 ]
  found FAILED 'key encryption key' 'key "t1" of realm "turn.test" does not open under "main"' 'add the file'
  TURNCRED_KEK=$TC_DIR/nowhere doctor
  found FAILED 'key encryption key' 'cannot be used'
  sql "INSERT INTO turncred.realm (name, server_name, mechanisms, at_rest) VALUES ('plain', 'p', '{derived}', 'plain')"
  sql "SELECT turncred.key_add_plain('plain', 'p1', 'derived', 'sha256', decode(repeat('ab', 32), 'hex'))" >/dev/null
  broken warning 'keys at rest' '1 keys are stored plain' sealed
  "$TC_CTL" realm remove plain --with-contents --json
  healthy
}

# window COLUMN SQL-VALUE RESULT TEXT REMEDY: of the derived key
window() {
  sql "UPDATE turncred.key SET $1 = $2 WHERE kid = 'd1'"
  broken "$3" keys "$4" "$5"
  sql "UPDATE turncred.key SET not_before = NULL, sign_until = NULL, accept_until = NULL, state = 'active' WHERE kid = 'd1'"
}
@test "keys' windows and states: not yet, soon over, over, not signing, used up" {
  window not_before "now() + interval '1 hour'" FAILED 'offers derived, but no derived key signs now' 'key add'
  window sign_until "now() + interval '3 days'" warning 'last derived key .* stops signing in (71|72) hours' 'key rotate'
  window accept_until "now() + interval '3 days'" warning 'stops signing in (71|72) hours' 'key rotate'
  window sign_until "now() - interval '1 hour'" FAILED 'no derived key signs now' 'key add'
  window accept_until "now() - interval '1 hour'" FAILED 'no derived key signs now' 'key add'
  local state
  for state in published retired disabled; do window state "'$state'" FAILED 'no derived key signs now' '--state active'; done
  local reserved
  reserved=$(sql "SELECT tokens_reserved FROM turncred.key WHERE kid = 't1'")
  sql "UPDATE turncred.key SET tokens_reserved = 4000000000 WHERE kid = 't1'"
  broken warning keys 'has signed 4000000000 of 2\^32 tokens' 'key rotate'
  sql "UPDATE turncred.key SET tokens_reserved = $reserved WHERE kid = 't1'"
  healthy
}

@test "instances: silent, behind, stale, without a key encryption key, rows refused" {
  sql "INSERT INTO turncred.instance (id, kind, progress, kek_ids, last_seen) VALUES ('gone', 'server', pg_current_xact_id(), '{main}', now() - interval '1 hour')"
  broken FAILED instances 'server "gone" was last heard of 36[0-9][0-9] s ago' 'server forget'
  sql "UPDATE turncred.instance SET last_seen = now(), progress = '3' WHERE id = 'gone'"
  broken FAILED instances '"gone" does not have the latest changes' 'its log'
  sql "UPDATE turncred.instance SET last_seen = now(), progress = pg_current_xact_id(), snapshot_age = 500, database_state = 'frozen' WHERE id = 'gone'"
  broken FAILED instances '"gone" works from data of 500 s ago \(frozen\)' 'reaches the database'
  sql "UPDATE turncred.instance SET last_seen = now(), snapshot_age = 0, kek_ids = '{}' WHERE id = 'gone'"
  broken FAILED instances '"gone" does not hold key encryption key main' 'give the instance the file'
  sql "UPDATE turncred.instance SET last_seen = now(), kek_ids = '{main}', refused_rows = 2 WHERE id = 'gone'"
  broken FAILED instances '"gone" could not use 2 rows' 'its log'
  "$TC_CTL" server forget gone --json
  # a real one that says goodbye, and one that is killed
  daemon_start stopped
  wait_for 10 known issuer-stopped
  daemon_stop stopped
  doctor
  found ok instances 'issuer "issuer-stopped" has stopped in an orderly way'
  daemon_run stopped
  wait_for 10 reports_again issuer-stopped
  daemon_kill stopped
  rm "$TC_DIR/daemons/stopped/pid"
  sql "UPDATE turncred.instance SET last_seen = now() - interval '2 minutes' WHERE id = 'issuer-stopped'"
  broken FAILED instances 'issuer "issuer-stopped" was last heard of'
  "$TC_CTL" server forget issuer-stopped --json
  healthy
}
reports_again() { [ "$(sql "SELECT stopped_at IS NULL FROM turncred.instance WHERE id = '$1'")" = t ]; }
known() { [ "$(sql "SELECT count(*) FROM turncred.instance WHERE id = '$1'")" = 1 ]; }

@test "housekeeping: expired rows are still there, no partition is made ahead" {
  credential_push turn.test old 0123456789abcdefABCDEF "$(($(date +%s) - 3 * 86400))"
  broken warning housekeeping '1 credentials that ran out' 'turncredctl maintain'
  "$TC_CTL" maintain --json >/dev/null
  healthy
  local partition
  for partition in $(sql "SELECT c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = 'turncred.change'::regclass AND c.relname ~ '_[0-9]{8}\$' AND to_date(right(c.relname, 8), 'YYYYMMDD') > now()"); do
    sql "DROP TABLE turncred.$partition"
  done
  broken warning housekeeping 'no partition is made ahead' 'turncredctl maintain'
  "$TC_CTL" maintain --json >/dev/null
  healthy
}

@test "TURN servers: unreachable, open to anybody, a certificate that ends" {
  doctor --server 127.0.0.1:1
  [ "$rc" -eq 1 ]
  found FAILED server '127.0.0.1:1 over UDP' 'the port is open'
  server_start_plain "$TC_TURNSERVER" open -lt-cred-mech no-auth
  doctor --server "127.0.0.1:$(server_port open)"
  [ "$rc" -eq 1 ]
  found FAILED server 'lets anybody in.* open relay' 'lt-cred-mech'
  server_stop open
  local port
  port=$(free_port)
  until_days 2
  server_start tls -no-tls "tls-listening-port=$port" "cert=$TC_DIR/tls/server.pem" "pkey=$TC_DIR/tls/server.key"
  doctor --tls-server "127.0.0.1:$port"
  found ok server 'answers over TLS'
  found FAILED certificate "the certificate of 127.0.0.1:$port ends" 'renew the certificate'
  "$TC_CTL" doctor --tls-server "127.0.0.1:$port" --json >"$TC_DIR/out" || true # the system's authorities
  found FAILED server 'certificate'
  until_days 400
  server_stop tls
  "$TC_CTL" server forget tls --json
}

reload_until() { until_days "$@" && kill -HUP "$(daemon_pid main)"; }
@test "turncredd: unreachable, not ready, certificates" {
  reload_until 400
  LIMIT=10 broken ok certificate "127.0.0.1:$(<"$TC_DIR/daemons/main/port") is good until"
  reload_until 10
  LIMIT=10 broken warning certificate 'ends' 'renew the certificate'
  reload_until 2
  LIMIT=10 broken FAILED certificate 'ends' 'renew the certificate'
  # OpenSSL's own programs take it
  reload_until 400 authorityKeyIdentifier=none
  LIMIT=10 broken warning certificate 'Python 3.13.*refuse.*: Missing Authority Key Identifier' 'keyUsage keyCertSign'
  doctor --issuer 127.0.0.1:1
  [ "$rc" -eq 1 ]
  found FAILED issuer '127.0.0.1:1: ' 'turncredd runs'
  "$TC_CTL" doctor --issuer "127.0.0.1:$(<"$TC_DIR/daemons/main/port")" --ca-file "$TC_DIR/tls/otherca.pem" --json >"$TC_DIR/out" || true
  found FAILED issuer certificate
  daemon_start unready 'database = host=/nowhere user=x'  || true
  wait_for 20 unready_listens
  doctor --issuer "127.0.0.1:$(<"$TC_DIR/daemons/unready/port")"
  [ "$rc" -eq 1 ]
  found FAILED issuer 'answers 503 to GET /readyz' 'its log'
}
unready_listens() { curl -s --cacert "$TC_DIR/tls/ca.pem" -o /dev/null "https://127.0.0.1:$(<"$TC_DIR/daemons/unready/port")/healthz"; }

# with_hosts COMMAND...: knows names with several addresses, of which 127.0.0.1 alone has servers
with_hosts() {
  printf '%s\n' '127.0.0.2 two.test' '127.0.0.1 two.test' '127.0.0.2 none.test' '127.0.0.3 none.test' >"$TC_DIR/hosts"
  LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_HOSTS=$TC_DIR/hosts "$@"
}

@test "a server or an issuer that answers at one address of its name and not at another is a warning" {
  local port http
  port=$(server_port main)
  http=$(<"$TC_DIR/daemons/main/port")
  with_hosts doctor --server "turn:two.test:$port?transport=tcp" --server "none.test:$port"
  [ "$rc" -eq 1 ]
  found warning server "two.test:$port.* at 127.0.0.1:$port answers over TCP for realm .*; but 127.0.0.2:$port.*Connection refused" 'out of DNS'
  found FAILED server "none.test:$port over UDP: 127.0.0.2:$port.*refused; 127.0.0.3:$port.*refused" 'port is open'
  with_hosts doctor --server "two.test:$port" --issuer "https://127.0.0.1:$http/" --issuer "none.test:$http"
  found warning server "two.test:$port at 127.0.0.1:$port answers over UDP"
  found ok issuer 'https://127.0.0.1.* is ready'
  found FAILED issuer "none.test:$http: 127.0.0.2:$http.*refused; 127.0.0.3:$http.*refused"
  # the certificate is for 127.0.0.1, which this name is not
  with_hosts doctor --issuer "two.test:$http"
  found FAILED issuer "two.test:$http: .*127.0.0.1:$http: .*certificate"
}

@test "servers that cannot be are refused before anything is asked" {
  local option
  for option in "--server 127.0.0.1:99999" "--server 127.0.0.1:0" "--tls-server 127.0.0.1:65536" "--issuer 127.0.0.1:70000" \
    "--server turn://127.0.0.1" "--server https://127.0.0.1" "--tls-server turn:127.0.0.1" "--issuer turn:127.0.0.1"; do
    # shellcheck disable=SC2086
    doctor $option
    [ "$rc" -eq 2 ] || echo "exit code $rc: $option"
    [ "$rc" -eq 2 ]
    grep -q -- "${option%% *}" "$TC_DIR/err"
  done
}
