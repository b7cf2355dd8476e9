#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Keys in memory: a core of turnserver is possible and has none of them, they are locked where limits allow, and nobody
# else sees them.

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'"
  key_add turn.test k1
  key_add turn.test d1 derived
  key_add turn.test r1 rest sha1
  credential_push turn.test pushed 'a pushed password of 128 bits'
  server_start main
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

pid() { cat "$TC_DIR/servers/$1/pid"; }

@test "a core of a server with live sessions of every kind has no key in it" {
  turn_step main no_key_in_a_core "$(pid main)"
}

@test "no key in argv, environment, logs and files of the server" { turn_step main no_key_in_sight "$(pid main)"; }

@test "keys are locked where the limit allows, and a word in the log where it does not" {
  turn_step main locked "$(pid main)" yes
  run grep -c 'may be swapped' "$TC_DIR/servers/main/log"
  [ "$output" = 0 ]
  server_folder tight
  # root may lock as much as it likes
  if [[ $EUID == 0 ]]; then
    chmod 755 "$TC_DIR/servers"
    chmod 777 "$TC_DIR/servers/tight"
    (ulimit -l 0 && TC_WRAPPER='setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock' server_start tight)
  else
    (ulimit -l 0 && server_start tight)
  fi
  log_has tight 'keys are in memory that may be swapped: .*LimitMEMLOCK'
  turn_step tight locked "$(pid tight)" no
}
