#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Requests within dialogs reach the other phone, whichever side sends them, and nobody else gets through.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  edge_start main "LISTEN_WS tcp:127.0.0.1:@PLAIN@" "LISTEN_UDP udp:127.0.0.1:@PLAIN@"
  synced
}
setup() { edge_ready; }
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { edge_down; }

@test "a call: ACK, PRACK, UPDATE, INFO, re-INVITE, REFER, NOTIFY and BYE, from the caller and from the callee" {
  phones_step main every_request_both_ways caller
  phones_step main every_request_both_ways callee
}

@test "a call from wss to ws: both routes lead back" {
  phones_step main over_two_listeners
}

@test "CANCEL reaches the phone that rings; one for nothing is told so" {
  phones_step main cancelled
}

@test "SUBSCRIBE and NOTIFY: a subscription is a dialog, too" {
  phones_step main subscription
}

@test "a redirection's Contact is left alone" {
  phones_step main redirected
}

@test "the other phone is gone: 430 in a dialog, 480 for a new call, never 500" {
  phones_step main gone
}

@test "a phone that comes back over another connection takes its calls along" {
  phones_step main came_back
}

@test "requests of dialogs that nobody has, and of other people's: 481" {
  phones_step main not_its_dialog
}
