#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Several devices of one subscriber with pushed credentials: each has its own, quota and revocation go by the user.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s' 'subject_rate = 100000'
  edge_start main 'MIN_EXPIRES 1'
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

@test "a second device gets a credential of its own, and the first one's works on" {
  phones_step main each_its_own
}

@test "the end of one registration takes its own credential alone: unregistered, expired, connection closed" {
  phones_step main ended_in_three_ways
}

@test "an instance is one device, whatever its Contact and connection; without one the Contact is" {
  phones_step main what_a_device_is
}

@test "one REGISTER that ends one Contact and keeps another" {
  phones_step main one_of_two_contacts
}

@test "a device registers again at once: its new credential is not taken away with the old registration" {
  phones_step main back_at_once
}

@test "two Contacts over one connection are two devices, in every spelling" {
  phones_step main two_over_one_connection
}

@test "no device is promised an address of its own (GRUU)" {
  phones_step main no_gruu
}

@test "the list of devices does not end before its credentials" {
  phones_step main listed_for_long "$TC_DIR/edges/main/run/ctl"
}

@test "quota counts the user, with all devices" {
  "$TC_CTL" realm set turn.test --user-quota 1 --json >/dev/null
  synced
  phones_step main quota_of_the_user
  "$TC_CTL" realm set turn.test --user-quota 0 --json >/dev/null
}

@test "a revocation of the user ends all devices, and lifting it revives none" {
  phones_step main revoked_with_all_devices
}

@test "turncredd hangs while two devices end: each credential goes when it is back" {
  phones_step main ended_while_it_hangs
}
