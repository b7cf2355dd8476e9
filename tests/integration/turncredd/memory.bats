#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Keys in turncredd's memory: they are there while they are in force, and overwritten when they are removed or replaced.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'" "kek_id='main'"
  key_add turn.test k1
  key_add turn.test d1 derived
  key_add turn.test d2 derived
  key_add turn.test r1 rest sha1
  caller_add portal token,derived,rest,push turn.test
  # a folder with two, of which one goes
  mkdir -m 700 "$TC_DIR/keks"
  cp "$TC_DIR/kek/main" "$TC_DIR/keks/main"
  (umask 077 && head -c 32 /dev/urandom >"$TC_DIR/keks/old")
  # in a container root may not look into a process that is not dumpable
  TC_DAEMON_ENV=LD_PRELOAD=$TC_BUILD/tests/integration/.libs/dumpable.so daemon_start main "kek = $TC_DIR/keks"
}
setup() {
  daemon_ready
  [[ $EUID == 0 ]] || skip 'turncredd lets nobody but root look into its memory'
}
teardown() { daemon_check; }
teardown_file() { daemon_down; }

# step FUNCTION [WORD...]: of memory.py
step() {
  PYTHONPATH=$TC_TOP/tests/integration:$TC_TOP/tests/conformance PYTHONDONTWRITEBYTECODE=1 \
    /usr/bin/python3 "$BATS_TEST_DIRNAME/memory.py" "$1" "$(daemon_pid main)" "${@:2}"
}
issue() { CALLER=portal call "${2:-201}" POST /v1/realms/turn.test/credentials --json "{\"user\":\"alice\",\"kind\":\"$1\"}"; }
use_all() {
  issue derived && issue rest && issue pushed 200 &&
    call 200 POST /oauth2/token -u "portal:$(key_of portal)" -d 'grant_type=client_credentials&audience=turn.test-server&subject=alice'
}

@test "a key that is removed is in turncredd's memory no longer" {
  use_all
  step there "$TC_DIR/keys/turn.test/k1" "$TC_DIR/keys/turn.test/d2" "$TC_DIR/keys/turn.test/r1"
  sql "DELETE FROM turncred.key WHERE realm = 'turn.test' AND kid IN ('d2', 'r1')"
  step gone "$TC_DIR/keys/turn.test/d2" "$TC_DIR/keys/turn.test/r1"
  step there "$TC_DIR/keys/turn.test/k1" "$TC_DIR/keys/turn.test/d1"
  use_all_but_rest
}
use_all_but_rest() { issue derived && issue pushed 200; }

@test "a key encryption key that is replaced is in turncredd's memory no longer" {
  step there "$TC_DIR/keks/main" "$TC_DIR/keks/old"
  mv "$TC_DIR/keks/old" "$TC_DIR/old-kek"
  kill -HUP "$(daemon_pid main)"
  step gone "$TC_DIR/old-kek"
  step there "$TC_DIR/keks/main"
  issue derived
}

@test "a password that was issued and a key that was shown are cleared with the connection, but for the buffers of TLS" {
  issue derived
  step cleared "$(jq -r .password "$TC_DIR/answer")"
}

# The key as PEM text and as the number that it is
@test "a TLS key that is replaced is in turncredd's memory no longer" {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$TC_DIR/other.key" -out "$TC_DIR/other.pem" 2>/dev/null
  openssl pkey -in "$TC_DIR/tls/server.key" | sed -n 2p | tr -d '\n' >"$TC_DIR/tls-text"
  [ "$(wc -c <"$TC_DIR/tls-text")" = 64 ]
  step there "$TC_DIR/tls-text"
  cp "$TC_DIR/other.pem" "$TC_DIR/tls/server.pem" && cp "$TC_DIR/other.key" "$TC_DIR/tls/server.key"
  kill -HUP "$(daemon_pid main)"
  # GnuTLS leaves decoded octets in memory that it has freed (SECURITY.md)
  step gone "$TC_DIR/tls-text"
}
