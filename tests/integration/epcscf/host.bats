#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# An eP-CSCF host (plugin/epcscf/HOST.md): turncredd beside Kamailio goes on while the central database is away.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  local sealed=("snapshot_file = $TC_DIR/sealed/snapshot" 'snapshot_max_age = 7d' 'push_wait = 500ms')
  mkdir -p "$TC_DIR/jwt" "$TC_DIR/sealed"
  /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/portal.py" keys "$TC_DIR/jwt"
  caller_add vouching derived,push,exchange turn.test
  issuer portal "$TC_DIR/jwt/jwks.json" 'realms = turn.test'
  daemon_start main "${sealed[@]}" 'database_timeout = 1s' "${ISSUER[@]}"
  daemon_start slow 'push_wait = 500ms' 'database_timeout = 30s'
  edge_start main 'TOKEN_AUTHORITY "https://portal.test"' "TURNCREDD_KEY_FILE \"$TC_DIR/callers/vouching\"" 'TURNCREDD_PAUSE 20'
  DAEMON=slow edge_start slow 'TURNCREDD_PAUSE 20'
  synced
}
setup() { edge_ready; }
teardown() {
  thaw
  turncred_check
  daemon_check
  edge_check
}
teardown_file() { edge_down; }
postmaster() { head -n 1 "$TC_DIR/pg/data/postmaster.pid"; }
freeze() {
  local pid
  pid=$(postmaster)
  # shellcheck disable=SC2046 # one word for each process
  kill -STOP "$pid" $(pgrep -P "$pid")
}
thaw() {
  local pid
  pid=$(postmaster 2>/dev/null) || return 0
  # shellcheck disable=SC2046
  kill -CONT $(pgrep -P "$pid") "$pid" 2>/dev/null || true
}

@test "the database is frozen: derived and tokens go on, pushed is refused in time, nobody waits for it" {
  phones_step main before_the_outage
  freeze
  phones_step main while_it_is_away
  thaw
  phones_step main after_the_outage
}

@test "a turncredd that waits longer for the database than Kamailio for turncredd takes credentials from all" {
  phones_step slow before_the_outage
  freeze
  phones_step slow all_without
  thaw
}

@test "the database is stopped, and turncredd restarts: it signs on from its sealed snapshot" {
  wait_for 10 sealed
  pg_stop "$TC_DIR/pg"
  phones_step main while_it_is_away
  daemon_stop main
  phones_step main all_without
  daemon_run main
  # the refused connections have made nobody pause
  phones_step main while_it_is_away
}
sealed() { [[ -s $TC_DIR/sealed/snapshot && -s $TC_DIR/daemons/main/state/callers ]]; }
