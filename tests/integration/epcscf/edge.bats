#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The eP-CSCF before somebody else's registrar: what the registrar accepted is the identity, and its answer brings the
# credential, to the client alone.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  registrar_start plain
  registrar_start ims IMS
  registrar_start open OPEN
  before_registrar main plain 'TURNCREDD_PAUSE 3'
  before_registrar ims ims 'EDGE_VISITED "visited.test"'
  synced
}
setup() { edge_ready; }
teardown() {
  kill -CONT "$(daemon_pid main 2>/dev/null)" 2>/dev/null || true
  turncred_check
  daemon_check
  edge_check
}
teardown_file() { registrars_down; edge_down; }

@test "registered by the registrar, with a credential of turncredd in its answer that the TURN server takes" {
  phones_step main registered_and_given
}

@test "no credential without the registrar's consent, and none under another name" {
  phones_step main nothing_without_the_password
}

@test "a registrar that asks nobody for a password gives no identity, unless the operator trusts it" {
  before_registrar open open
  phones_step open registrar_that_asks_nobody
  before_registrar trusting open 'EDGE_TRUSTS_REGISTRAR yes'
  phones_step trusting registrar_that_is_trusted
}

@test "headers that a client writes in the place of its edge go no further" {
  phones_step main forged_headers
  phones_step ims forged_headers
}

@test "integrity-protected and P-Visited-Network-ID are the edge's own words" {
  phones_step ims integrity
}

@test "the identity is the first P-Associated-URI" {
  phones_step ims name_that_the_network_gives
}

@test "the end of a registration ends the pushed credential and the flow" {
  phones_step main ends_of_registrations
}

@test "the network ends a registration: the reg event says so" {
  phones_step ims ended_by_the_network "$TC_DIR/registrars/ims/run/ctl"
}

@test "a connection belongs to one subscriber" {
  phones_step main one_subscriber_for_a_connection
}

@test "calls both ways, the registrar between" {
  phones_step main calls_through_the_registrar
  phones_step ims calls_through_the_registrar
}

@test "calls to and from a phone that has come by IPv6" {
  local at='[::1]'
  has_ipv6 || at=127.0.0.1 # what is left
  at+=:$(free_port)
  before_registrar six plain "LISTEN_WS tcp:$at"
  phones_step six called_by_ipv6 "$at"
  at=${at%:*}:$(free_port)
  edge_start own-six "LISTEN_WS tcp:$at"
  phones_step own-six called_by_ipv6 "$at"
}

@test "the registrar's network reaches phones by their Path alone" {
  phones_step main stranger_in_the_network
}

@test "answers that come twice, late and in another order" {
  local port
  port=$(free_port)
  before_registrar again plain "EDGE_REGISTRAR \"sip:127.0.0.1:$port\""
  phones_step again answers_that_come_again "$port"
}

@test "a copy of an answer brings back no registration that has ended" {
  local port
  port=$(free_port)
  before_registrar copy open "EDGE_REGISTRAR \"sip:127.0.0.1:$port\"" 'EDGE_TRUSTS_REGISTRAR yes'
  phones_step copy answer_again_after_the_end "$port"
}

@test "requests that come twice, octet for octet, reach the phone once" {
  phones_step main requests_that_come_again
}

@test "turncredd hangs: who asks waits for a set time, nobody else at all" {
  kill -STOP "$(daemon_pid main)"
  phones_step main hung
  sed "s/^/# /" "$TC_DIR/measured" >&3
  kill -CONT "$(daemon_pid main)"
  phones_step main credential_again
}

@test "the second registrar when the first is down, or has no address" {
  local name
  for name in down unknown; do
    local first=registrar.invalid
    [[ $name == unknown ]] || first=127.0.0.1:$(free_port)
    before_registrar "$name" plain "EDGE_REGISTRAR \"sip:$first\"" "EDGE_REGISTRAR_2 \"sip:127.0.0.1:$(registrar_port plain)\"" \
      'EDGE_REGISTRAR_WAIT 1000'
    phones_step "$name" registered_at_the_second
  done
  # what is no INVITE gets there as well
  phones_step unknown calls_through_the_registrar
}

@test "the first registrar answers when the second has been asked: the client gets the second's answer, whole" {
  local first second
  first=$(free_port)
  second=$(free_port)
  before_registrar late plain "EDGE_REGISTRAR \"sip:127.0.0.1:$first\"" "EDGE_REGISTRAR_2 \"sip:127.0.0.1:$second\"" 'EDGE_REGISTRAR_WAIT 1000'
  phones_step late first_is_late "$first" "$second"
}

@test "the second registrar ends a registration: the reg event says so" {
  local user first second
  second="EDGE_REGISTRAR_2 \"sip:127.0.0.1:$(registrar_port ims)\""
  for user in crowd-45 crowd-46; do
    first=registrar.invalid
    [[ $user == crowd-46 ]] || first=127.0.0.1:$(free_port)
    before_registrar "second-$user" ims "EDGE_REGISTRAR \"sip:$first\"" "$second" 'EDGE_REGISTRAR_WAIT 500' 'EDGE_VISITED "visited.test"'
    phones_step "second-$user" ended_by_the_network "$TC_DIR/registrars/ims/run/ctl" "$user"
  done
}

@test "the second registrar is asked once" {
  local second
  second=$(free_port)
  before_registrar once plain 'EDGE_REGISTRAR "sip:registrar.invalid"' "EDGE_REGISTRAR_2 \"sip:127.0.0.1:$second\"" 'EDGE_REGISTRAR_WAIT 1000'
  phones_step once asked_once "$second"
}

@test "the only registrar has no address: 504" {
  before_registrar nowhere plain 'EDGE_REGISTRAR "sip:registrar.invalid"'
  phones_step nowhere no_registrar
}

@test "TLS to the registrar, both ways, with certificates that are checked" {
  local dir=$TC_DIR/tls-of-registrar by="EDGE_REGISTRAR \"sip:127.0.0.1:PORT;transport=tls\""
  mkdir -p "$dir"
  printf '%s\n' '[server:default]' method=TLSv1.2+ "certificate=$TC_DIR/tls/server.pem" "private_key=$TC_DIR/tls/server.key" \
    '[client:default]' method=TLSv1.2+ verify_certificate=yes require_certificate=yes "ca_list=$TC_DIR/tls/ca.pem" >"$dir/tls.cfg"
  TC_REGISTRAR_BY=tls registrar_start tls IMS "TLS_CONFIG=\"$dir/tls.cfg\""
  by=${by/PORT/$(registrar_port tls)}
  local address
  # the clients' listener as settings.cfg has it, and another one
  for address in 0.0.0.0 127.0.0.1; do
    before_registrar "tls-$address" tls "$by" 'LISTEN_EDGE tls:127.0.0.1:@PLAIN@' 'EDGE_PATH "127.0.0.1:@PLAIN@;transport=tls"' \
      "TLS_CONFIG \"$dir/tls.cfg\"" "LISTEN_WSS tls:$address:@WSS@"
    phones_step "tls-$address" registered_and_given
    phones_step "tls-$address" calls_through_the_registrar
  done
  # the registrar's answers come to the clients' socket then, the only one for TLS
  before_registrar outwards tls "$by" "TLS_CONFIG \"$dir/tls.cfg\""
  phones_step outwards registered_and_given
  sed "s,tls/ca.pem,tls/otherca.pem," "$dir/tls.cfg" >"$dir/stranger.cfg"
  before_registrar stranger tls "$by" 'LISTEN_EDGE tls:127.0.0.1:@PLAIN@' 'EDGE_PATH "127.0.0.1:@PLAIN@;transport=tls"' \
    "TLS_CONFIG \"$dir/stranger.cfg\"" 'EDGE_REGISTRAR_WAIT 3000'
  phones_step stranger registrar_that_is_not_trusted
}

@test "more than a hundred connections end, and all their credentials, in both modes" {
  # a credential whose answer was too late nobody takes away: none is, however busy the machine
  before_registrar many plain 'TURNCREDD_TIMEOUT 15'
  phones_step many many
  edge_start own 'TURNCREDD_TIMEOUT 15'
  phones_step own many
}
