#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# turncredd hangs, stops and comes back: registrations go on without credentials, and no other phone waits.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  edge_start main 'TURNCREDD_PAUSE 3'
  synced
}
setup() { edge_ready; }
teardown() {
  kill -CONT "$(daemon_pid main 2>/dev/null)" 2>/dev/null || true
  turncred_check
  daemon_check
  edge_check
}
teardown_file() { edge_down; }

show_measured() { sed "s/^/# /" "$TC_DIR/measured" >&3; : >"$TC_DIR/measured"; }

@test "turncredd answers: the time for comparison" {
  phones_step main answering
  show_measured
}

@test "turncredd hangs: all phones register without a credential, and phones that do not ask do not wait" {
  kill -STOP "$(daemon_pid main)"
  phones_step main hung
  show_measured
  edge_log_has main 'turncredd does not answer'
  kill -CONT "$(daemon_pid main)"
  phones_step main credential_again
}

@test "a failing TLS connection closes no other connection" {
  # without fork_apart.c (Kamailio 5.6) or tls_threads_mode (6.0) it does
  phones_step main tls_that_fails_elsewhere
}

@test "turncredd is stopped: all register at once, and get credentials when it is back" {
  daemon_stop main
  phones_step main stopped
  show_measured
  daemon_run main
  phones_step main credential_again
}

@test "while turncredd is away, phones get the credentials of before again" {
  phones_step main kept_while_it_hangs
}

@test "unregistered while turncredd hangs: the credential is deleted as soon as turncredd is back" {
  phones_step main unregistered_while_it_hangs
}

@test "unregistered while turncredd is stopped: the removal is tried again, but not several times in a second" {
  local tried
  phones_step main unregistered_while_stopped
  edge_log_has main 'turncredd does not answer'
  tried=$(grep -c 'turncredd does not answer' "$TC_DIR/edges/main/log")
  sleep 3
  (($(grep -c 'turncredd does not answer' "$TC_DIR/edges/main/log") - tried < 8))
  daemon_run main
  wait_for 20 nobody_has_pushed
}
nobody_has_pushed() { [[ $(sql "SELECT count(*) FROM turncred.credential WHERE user_id = 'alice'") == 0 ]]; }

@test "unregistered while its credential is being made: not handed out, and taken back" {
  phones_step main unregistered_while_asking
}

@test "more than may wait do not wait" {
  edge_start narrow 'ASKING_MAX 5' 'TURNCREDD_PAUSE 3'
  kill -STOP "$(daemon_pid main)"
  phones_step narrow hung_and_narrow
  show_measured
  # and the number of waiting requests comes down again
  wait_for 10 nobody_waits narrow
}
nobody_waits() { kamcmd -s "unix:$TC_DIR/edges/$1/run/ctl" htable.get asking now | grep -Eq 'value: 0$'; }

@test "who is cancelled, or waits for so long that tm ends the request, is answered and waits no more" {
  edge_start queue 'ASKING_PROCESSES 1' 'TURNCREDD_TIMEOUT 40'
  phones_step queue waits_in_vain
  wait_for 10 nobody_waits queue
}
