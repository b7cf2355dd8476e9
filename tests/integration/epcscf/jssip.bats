#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: JsSIP, by npm
# JsSIP, from the npm registry, gets its credentials from the eP-CSCF.

load ../lib
load ../turncredd/daemon
load epcscf

# Exact versions; npm installs them into the build folder and keeps them there. Without a registry, put
# them into a folder and name that folder in NODE_PATH.
packages=(jssip@3.13.8 ws@8.18.3)

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  edge_start main
  synced
  fetch_jssip
}
setup() {
  edge_ready
  has_jssip || skip "npm cannot fetch ${packages[*]}: $(<"$TC_DIR/npm")"
}
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { edge_down; }

has_jssip() { NODE_PATH=$TC_BUILD/node/node_modules:${NODE_PATH-} node -e 'require("jssip"); require("ws")' 2>/dev/null; }
fetch_jssip() {
  local dir=$TC_BUILD/node
  ! has_jssip || return 0
  if ! command -v npm >/dev/null; then
    echo 'there is no npm' >"$TC_DIR/npm"
    return 0
  fi
  rm -rf "$dir"
  mkdir -p "$dir"
  timeout 300 npm install --prefix "$dir" --no-save --ignore-scripts --no-audit --no-fund "${packages[@]}" >"$TC_DIR/npm.log" 2>&1 3>&- 4>&- || {
    grep -im 3 'err' "$TC_DIR/npm.log" | tr '\n' ' ' >"$TC_DIR/npm"
    rm -rf "$dir"
  }
}

# jssip EDGE USER FUNCTION [PASSWORD-FILE]: a function of jssip.py with JsSIP as that user
jssip() {
  export NODE_PATH=$TC_BUILD/node/node_modules:${NODE_PATH-}
  phones_step "$1" "$3" "$2" "${4:-$TC_DIR/passwords/$2@ims.test}"
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
