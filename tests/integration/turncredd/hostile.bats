#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# What comes over the wire without a credential, and a disk that is full, do not take turncredd from its callers.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived,pushed}'"
  key_add turn.test d1 derived
  caller_add all derived,push,revoke '*'
  caller_add certificate derived turn.test --certificate-subject CN=portal,O=Test
  server_start main
  daemon_start main 'body_octets = 1048576'
  synced
}
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() {
  processes_stop daemons 30
  if mountpoint -q "${TC_DIR:-/nonexistent}/daemons/full/state"; then umount "$TC_DIR/daemons/full/state"; fi
  daemon_down
}

hostile() { /usr/bin/python3 "$BATS_TEST_DIRNAME/hostile.py" "$@"; }
port() { cat "$TC_DIR/daemons/$1/port"; }
monitor() { curl -s --max-time 5 "http://127.0.0.1:$(<"$TC_DIR/daemons/$1/monitor")$2"; }

@test "silent connections without a credential shut nobody out" {
  daemon_start crowded 'connections = 100' 'connections_per_address = 40' 'first_request_timeout = 30s'
  hostile flood "$(port crowded)" 600 40 100
  [ "$(monitor crowded /readyz | jq -r .status)" = ready ]
  # as it is installed
  hostile flood "$(port main)" 1100 256 1000
}

@test "who begins no request is cut off soon" {
  daemon_start quick 'first_request_timeout = 2s' # time enough for a handshake on a busy machine
  hostile first_request "$(port quick)"
}

@test "a request that two parsers may read differently is refused, and its connection closed" {
  hostile desync "$(port main)"
}

@test "a parameter that is given twice is refused" {
  CALLER=all call 400 DELETE '/v1/realms/turn.test/credentials/alice?revoke=false&revoke=true'
  has_error invalid_request twice
  CALLER=all call 400 DELETE '/v1/realms/turn.test/credentials/alice?revoke=true&revoke=false'
  [ "$(sql "SELECT count(*) FROM turncred.revocation WHERE name = 'alice'")" = 0 ]
}

@test "a body of a megabyte in chunks of one octet is read in a moment" { hostile chunks "$(port main)" 1000000; }

# certificate_for NAME EXTENSIONS: by ca, with the subject of the caller `certificate`
certificate_for() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=Test/CN=portal -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$1.pem" -extfile <(printf '%s\n' "$2") 2>/dev/null
}
shows() { # NAME STATUS [DAEMON]
  DAEMON=${3-main} call_json "$2" POST /v1/realms/turn.test/credentials '{"user": "c"}' --cert "$TC_DIR/tls/$1.pem" --key "$TC_DIR/tls/$1.key"
}

@test "a certificate that is for servers opens no caller" {
  cd "$TC_DIR/tls"
  certificate_for of_server 'extendedKeyUsage = serverAuth'
  certificate_for of_mail 'extendedKeyUsage = emailProtection'
  certificate_for of_client 'extendedKeyUsage = clientAuth'
  certificate_for of_both 'extendedKeyUsage = serverAuth, clientAuth'
  shows of_server 401
  shows of_mail 401
  shows of_client 201
  shows of_both 201
  shows client 201
  shows stranger 401
}

crl() { # [NAME...]: ca's revocation list with these
  local name
  cd "$TC_DIR/tls"
  printf '%s\n' '[ca]' 'default_ca = x' '[x]' "database = $PWD/index" 'default_md = sha256' 'default_crl_days = 2' >crl.conf
  : >index
  for name in "$@"; do openssl ca -config crl.conf -cert ca.pem -keyfile ca.key -revoke "$name.pem"; done
  openssl ca -config crl.conf -cert ca.pem -keyfile ca.key -gencrl -out crl.pem "${CRL_OPTIONS[@]}"
}

@test "a revoked certificate opens no caller after the next reload, and an outdated list opens none" {
  cd "$TC_DIR/tls"
  certificate_for revoked 'extendedKeyUsage = clientAuth'
  crl 2>/dev/null
  daemon_start lists "tls_client_crl = $TC_DIR/tls/crl.pem"
  shows revoked 201 lists
  crl revoked 2>/dev/null
  kill -HUP "$(daemon_pid lists)"
  daemon_log_has lists 'have been read again'
  shows revoked 401 lists
  shows client 201 lists
  CRL_OPTIONS=(-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z)
  crl revoked 2>/dev/null
  kill -HUP "$(daemon_pid lists)"
  wait_for 5 shows client 401 lists
  # the caller with a key goes on
  DAEMON=lists CALLER=all call_json 201 POST /v1/realms/turn.test/credentials '{"user": "c"}'
  echo nothing >crl.pem
  kill -HUP "$(daemon_pid lists)"
  daemon_log_has lists 'tls_client_crl: '
  run "$TC_DAEMON" --config "$TC_DIR/daemons/lists/conf" --check
  [ "$status" -ne 0 ]
}

@test "/readyz says when nothing can be written, and so does the log, once; then it is ready again by itself" {
  mkdir -p "$TC_DIR/daemons/full/state"
  if mount -t tmpfs -o size=256k full "$TC_DIR/daemons/full/state" 2>/dev/null; then
    daemon_start full
    fill() { head -c 1M /dev/zero >"$TC_DIR/daemons/full/state/filler" 2>/dev/null || true; }
    make_room() { rm "$TC_DIR/daemons/full/state/filler"; }
    end() { umount "$TC_DIR/daemons/full/state"; }
    local why='No space left on device'
  else
    # without the right to mount, such as in a container: no file may grow; the log goes through a pipe
    echo 'exec env --ignore-signal=XFSZ "$@" 2> >(exec cat >&2)' >"$TC_DIR/piped"
    TC_DAEMON_WRAPPER="bash $TC_DIR/piped" daemon_start full
    fill() {
      prlimit --pid "$(daemon_pid full)" --fsize=0:
      DAEMON=full CALLER=all call_json 503 POST /v1/realms/turn.test/credentials '{"user": "nobody"}'
    }
    make_room() { prlimit --pid "$(daemon_pid full)" --fsize=unlimited:; }
    end() { :; }
    local why='File too large'
  fi
  fill
  [ "$(monitor full /readyz | jq -r .status)" = journal_unwritable ]
  local n
  for n in 1 2 3 4 5 6; do DAEMON=full CALLER=all call_json 503 POST /v1/realms/turn.test/credentials '{"user": "nobody"}'; done
  # one line every ten seconds at the most
  [ "$(grep -c 'cannot be written' "$TC_DIR/daemons/full/log")" -le 2 ]
  daemon_log_has full 'cannot be written: '"$why"
  make_room
  wait_for 5 is_ready full
  DAEMON=full CALLER=all call_json 201 POST /v1/realms/turn.test/credentials '{"user": "nobody"}'
  daemon_log_has full 'can be written again'
  daemon_stop full
  end
}
is_ready() { [ "$(monitor "$1" /readyz | jq -r .status)" = ready ]; }
