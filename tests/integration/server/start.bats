#!/usr/bin/env bats
# How the module starts, what it refuses, and what it reports.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test
  key_add turn.test k1
  key_add turn.test d1 derived
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

# refused NAME REGEX [LINE...]: the server does not start and its log says why
refused() {
  local name=$1 words=$2
  shift 2
  run server_start "$name" "$@"
  [[ $status != 0 ]] || { echo "$name started"; return 1; }
  grep -hE "$words" "$TC_DIR/servers/$name/"{log,output} || { server_log "$name"; return 1; }
}

@test "turncred.so exports its entry alone and needs OpenSSL and libpq alone" {
  [[ $(nm -D --defined-only "$TC_MODULE" | awk '{print $3}') == coturn_auth_module ]]
  run -0 readelf -d "$TC_MODULE"
  local needed
  needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$output" | sort | tr '\n' ' ')
  [[ $needed =~ ^libc.so.6\ libcrypto.so.3\ libpq.so.5\ $ ]] || { echo "$needed"; false; }
}

@test "an unknown setting is refused with file, line and the name that was meant" {
  refused typo 'module\.conf:6: unknown setting "pol_interval": did you mean "poll_interval"\?' 'module:pol_interval = 3s'
}

@test "a key encryption key that is not there, or not 32 octets, is refused by name" {
  printf 'short' >"$TC_DIR/kek-short"
  chmod 600 "$TC_DIR/kek-short"
  refused kek1 "ERROR.*$TC_DIR/nowhere" module:-kek "module:kek = $TC_DIR/nowhere"
  refused kek2 "ERROR.*$TC_DIR/kek-short" module:-kek "module:kek = $TC_DIR/kek-short"
}

@test "the database may be away at the start: 500 until it is there, then let in" {
  pg_stop "$TC_DIR/pg"
  server_start away 'module:wait_at_start = 500ms'
  turn away <<'PY'
c = client()
assert c.challenge().code == 500
PY
  log_has away 'nothing is loaded after wait_at_start'
  pg_restart
  turn_step away comes_back
}

@test "metrics are served on loopback, with grants and refusals counted" {
  local port
  port=$(free_port)
  server_start metrics "module:prometheus = 127.0.0.1:$port"
  turn metrics <<'PY'
expect(0, token())
expect(0, derived())
expect(401, token(k=bytes(32)))
expect(401, token("nobody", k=bytes(32)))
PY
  run -0 /usr/bin/python3 -c "
import urllib.request
print(urllib.request.urlopen('http://127.0.0.1:$port/metrics', timeout=5).read().decode())"
  grep -Eq '^turncred_grants_total\{mechanism="token"\} [1-9]' <<<"$output"
  grep -Eq '^turncred_grants_total\{mechanism="derived"\} [1-9]' <<<"$output"
  grep -Eq '^turncred_denials_total\{reason="bad_token"\} [1-9]' <<<"$output"
  grep -Eq '^turncred_denials_total\{reason="unknown_key"\} [1-9]' <<<"$output"
  grep -Eq '^turncred_database_up 1$' <<<"$output"
  grep -Eq '^turncred_realms 1$' <<<"$output"
  run /usr/bin/python3 -c "
import urllib.request
urllib.request.urlopen('http://127.0.0.1:$port/other', timeout=5)"
  [[ $output == *404* ]]
}

@test "metrics without a descriptor left: asked again later, not without end" {
  local port pid
  port=$(free_port)
  server_start metrics2 "module:prometheus = 127.0.0.1:$port"
  pid=$(<"$TC_DIR/servers/metrics2/pid")
  turn_step metrics2 without_descriptors "$pid" "$port"
}

@test "SIGTERM ends the server, with the module and its threads" {
  server_start short
  local pid
  pid=$(<"$TC_DIR/servers/short/pid")
  kill "$pid"
  wait_for 10 server_gone "$pid"
  ! grep -Ei 'segfault|assert|AddressSanitizer' "$TC_DIR/servers/short/log"
}

@test "the telnet command am shows module, snapshot, database and counters" {
  local port
  port=$(free_port)
  server_start cli -no-cli cli-ip=127.0.0.1 "cli-port=$port" cli-password=operator
  turn_step cli telnet "$port" "$(sql 'SELECT max(version) FROM turncred.migration')"
}

@test "observing: coturn decides, the module's opinion is counted and differences are named" {
  server_start observe -auth-module-only auth-module-observe user=alice:secret
  turn observe <<'PY'
expect(0, password("alice", "secret"))  # only coturn lets it in
expect(401, derived())  # only the module would
PY
  log_has observe 'observed .*coturn lets in, module would refuse reason=unknown_key|observed .*coturn lets in, module would refuse reason=bad_username'
  log_has observe 'observed .*coturn refuses, module would let in'
}

@test "reload reads everything again, and names settings that need a restart" {
  server_start reload
  # the signal handlers are there when the server answers
  turn reload <<'PY'
expect(0, token())
PY
  local dir=$TC_DIR/servers/reload
  echo 'listen = no' >>"$dir/module.conf"
  kill -USR2 "$(<"$dir/pid")"
  log_has reload 'the new listen takes effect at a restart'
  log_has reload 'auth-module: reload: done'
  echo 'lisen = no' >>"$dir/module.conf"
  kill -USR2 "$(<"$dir/pid")"
  log_has reload 'unknown setting "lisen": did you mean "listen"\? \(the settings in force stay\)'
  turn reload <<'PY'
expect(0, token())
PY
}

@test "without the database: everything loaded keeps working, and it comes back" {
  server_start outage
  turn outage <<'PY'
expect(0, token())
PY
  pg_stop "$TC_DIR/pg"
  turn outage <<'PY'
for i in range(20):
    expect(0, token())
    expect(0, derived())
    expect(401, token(k=bytes(32)))
PY
  pg_restart
  synced 20
  key_add turn.test after
  turn outage <<'PY'
wait_until(lambda: login(token("after")) == 0, 10, 0.1)
PY
}

@test "with snapshot_file a server starts while the database is away" {
  local file=$TC_DIR/servers/disk/snapshot
  server_start disk "module:snapshot_file = $file"
  wait_for 10 test -s "$file"
  server_stop disk
  turn disk <<'PY'
octets = (DIR / "servers/disk/snapshot").read_bytes()
assert key("k1")[:8] not in octets and key("d1")[:8] not in octets
PY
  pg_stop "$TC_DIR/pg"
  server_start disk "module:snapshot_file = $file"
  turn disk <<'PY'
expect(0, token())
expect(0, derived())
expect(401, token(k=bytes(32)))
PY
  server_stop disk
  # one octet changed: refused by name, and nothing is let in
  flip_octet "$file" 100
  server_start disk "module:snapshot_file = $file" 'module:wait_at_start = 200ms'
  log_has disk "$file"
  turn disk <<'PY'
assert client().challenge().code == 500
PY
  pg_restart
  turn disk <<'PY'
wait_until(lambda: client().challenge().code == 401, 20, 0.2)
expect(0, token())
PY
}

@test "a key encryption key from systemd's credentials" {
  export CREDENTIALS_DIRECTORY=$TC_DIR/kek
  server_start credential module:-kek 'module:kek = credential:main'
  turn credential <<'PY'
expect(0, token())
PY
  unset CREDENTIALS_DIRECTORY
  refused nocredential 'CREDENTIALS_DIRECTORY' module:-kek 'module:kek = credential:main'
}

@test "as a unit with User= runs it: never root, key and database password from systemd's credentials" {
  [[ $(id -u) == 0 ]] || skip "only root can become somebody else"
  local dir=$TC_DIR/credentials secret pid
  secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  sql "CREATE ROLE turn2 LOGIN IN ROLE turncred_server PASSWORD '$secret'"
  sed -i '1i local turncred turn2 scram-sha-256' "$TC_DIR/pg/data/pg_hba.conf"
  sql 'SELECT pg_reload_conf()' >/dev/null
  # as systemd makes them: nobody else's, read-only
  install -d -m 700 "$dir"
  install -m 400 "$TC_DIR/kek/main" "$dir/main"
  printf '*:*:turncred:turn2:%s\n' "$secret" >"$dir/database"
  chmod 400 "$dir/database"
  server_folder unit
  chown -R nobody "$dir" "$TC_DIR/servers/unit"
  export CREDENTIALS_DIRECTORY=$dir
  TC_WRAPPER='setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs' server_start unit \
    module:-kek 'module:kek = credential:main' module:-database \
    "module:database = host=$TC_DIR/pg/run dbname=turncred user=turn2 passfile=$dir/database" \
    "module:snapshot_file = $TC_DIR/servers/unit/snapshot"
  unset CREDENTIALS_DIRECTORY
  turn unit <<'PY'
expect(0, token())
expect(0, derived())
PY
  pid=$(<"$TC_DIR/servers/unit/pid")
  [[ $(stat -c %U "/proc/$pid") == nobody ]]
  [[ $(sql "SELECT count(*) FROM pg_stat_activity WHERE usename = 'turn2'") == 1 ]]
  wait_for 10 test -s "$TC_DIR/servers/unit/snapshot"
  # the server can read them again, because it still runs as the same user
  kill -USR2 "$pid"
  log_has unit 'auth-module: reload: done'
  turn unit <<'PY'
expect(0, token())
PY
  run -1 grep -r "$secret" "$TC_DIR/servers/unit"
  # in a container root may not look there, the server's own user may
  run -1 as_user nobody grep -a "$secret" "/proc/$pid/cmdline" "/proc/$pid/environ"
}

@test "proc-user: the module starts before the server gives root up, and names the files that it can no longer read" {
  [[ $(id -u) == 0 ]] || skip "only root can give root up"
  chmod 755 "$TC_DIR/servers"
  server_folder dropped
  chmod 777 "$TC_DIR/servers/dropped"
  server_start dropped proc-user=nobody proc-group=nogroup
  local pid
  pid=$(<"$TC_DIR/servers/dropped/pid")
  turn dropped <<'PY'
expect(0, token())
PY
  [[ $(stat -c %U "/proc/$pid") == nobody ]]
  kill -USR2 "$pid"
  log_has dropped "$TC_DIR/kek/main"
  turn dropped <<'PY'
expect(0, token())
expect(0, derived())
PY
}

@test "fail2ban's filter finds what an attacker does, and not what an honest client runs into" {
  server_start banned
  turn_step banned fail2ban_filter
}

# the last one here: it gives the database another port
@test "the address of the database is denied as a relay peer" {
  # the tests' own database has no address: this one is asked by TCP
  echo "listen_addresses = '127.0.0.1'" >>"$TC_DIR/pg/data/postgresql.conf"
  local port
  port=$(free_port)
  echo "port = $port" >>"$TC_DIR/pg/data/postgresql.conf"
  echo 'host turncred turn1 127.0.0.1/32 trust' >>"$TC_DIR/pg/data/pg_hba.conf"
  pg_restart
  export PGPORT=$port
  server_start peer module:-database "module:database = host=127.0.0.1 port=$port dbname=turncred user=turn1" \
    "module:snapshot_file = $TC_DIR/peer.snapshot"
  turn_step peer denied_peer
  # ... also by a server that has not reached it since it started
  wait_for 15 test -s "$TC_DIR/peer.snapshot"
  pg_stop "$TC_DIR/pg"
  server_stop peer
  server_run peer "$TC_TURNSERVER"
  log_has peer 'using the snapshot on disk' 20
  turn_step peer denied_peer
}
