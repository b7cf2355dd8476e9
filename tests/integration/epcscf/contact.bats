#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The eP-CSCF before a registrar that keeps no Path: the registrar has a Contact of the edge (EDGE_OWN_CONTACT).

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  registrar_start bare NO_PATH
  before_registrar main bare 'EDGE_OWN_CONTACT yes'
  synced
}
setup() { edge_ready; }
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { registrars_down; edge_down; }

@test "registered under a Contact of the edge; the client reads its own, and gets its credentials" {
  phones_step main contact_of_the_edge
  phones_step main credentials
}

@test "every spelling of a Contact keeps its parameters; two Contacts are refused" {
  phones_step main spellings
}

@test "calls both ways; without the setting they find no way" {
  phones_step main calls
  before_registrar without bare
  phones_step without no_way
}

@test "the same by TCP" {
  TC_REGISTRAR_BY=tcp registrar_start tcp NO_PATH
  before_registrar tcp tcp 'EDGE_OWN_CONTACT yes' "EDGE_REGISTRAR \"sip:127.0.0.1:$(registrar_port tcp);transport=tcp\"" \
    'LISTEN_EDGE tcp:127.0.0.1:@PLAIN@' 'EDGE_PATH "127.0.0.1:@PLAIN@;transport=tcp"'
  phones_step tcp calls
}

@test "a device that comes over another connection takes its own place" {
  phones_step main another_connection
}

@test "a connection that has broken: one answer, 480" {
  phones_step main breaks
}

@test "several devices of one user: all ring, and each reads the clients' Contacts" {
  phones_step main several_devices
}

@test "Contact: * ends all devices of the user, and nobody else" {
  phones_step main star
}

@test "who is in the registrar's network reaches no phone by guessing" {
  phones_step main stranger
}

@test "connections by the hundred, and the end of each" {
  before_registrar many bare 'EDGE_OWN_CONTACT yes' 'TURNCREDD_TIMEOUT 15'
  phones_step many many
}
