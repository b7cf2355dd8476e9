#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: JsSIP, by npm
# JsSIP, from the npm registry, gets its credentials from the eP-CSCF.

load ../lib
load ../turncredd/daemon
load epcscf

# versions and hashes: clients/package-lock.json
MODULES=$TC_BUILD/npm/epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  edge_start main
  synced
  "$TC_TOP/scripts/npm-modules" "$TC_TOP/tests/integration/epcscf/clients" "$MODULES" >"$TC_DIR/npm" 2>&1 3>&- 4>&- ||
    touch "$TC_DIR/no-npm"
}
setup() {
  edge_ready
  [[ ! -e $TC_DIR/no-npm ]] || skip "npm cannot fetch JsSIP: $(<"$TC_DIR/npm")"
}
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { edge_down; }

# jssip EDGE USER FUNCTION [PASSWORD-FILE]: a function of jssip.py with JsSIP as that user
jssip() {
  NODE_PATH=$MODULES/node_modules phones_step "$1" "$3" "$2" "${4:-$TC_DIR/passwords/$2@ims.test}"
}

@test "derived in the answer to REGISTER, pushed in that to OPTIONS; both allocate; the end of each" {
  jssip main alice both_kinds
}

@test "it does not ask, and gets none; a wrong password gets none" {
  jssip main bob not_asked_for
  echo wrong >"$TC_DIR/wrong"
  jssip main bob wrong_password "$TC_DIR/wrong"
}

@test "turncredd hangs: registered without" {
  kill -STOP "$(daemon_pid main)"
  jssip main carol hung
  kill -CONT "$(daemon_pid main)"
}
