#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The eP-CSCF and messages that are right, but long, folded or rarely spelt so, of clients and of somebody else's registrar.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  mkdir -p "$TC_DIR/registrars/none"
  free_port >"$TC_DIR/registrars/none/port"
  # one process alone: what a message leaves behind in it, the next one finds
  before_registrar main none 'EDGE_TRUSTS_REGISTRAR yes' 'SIP_PROCESSES 1'
  before_registrar contact none 'EDGE_TRUSTS_REGISTRAR yes' 'SIP_PROCESSES 1' 'EDGE_OWN_CONTACT yes'
  edge_start own 'SIP_PROCESSES 1'
  synced
}
setup() { edge_ready; }
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { edge_down; }

@test "integrity-protected of a client goes no further, however long its Authorization is" {
  phones_step main long_authorization "$(registrar_port none)"
}

@test "integrity-protected of a client goes no further in any other request or header" {
  phones_step main claims_elsewhere "$(registrar_port none)"
}

@test "an Authorization of several lines keeps its octets" {
  before_registrar ims none 'EDGE_TRUSTS_REGISTRAR yes' 'EDGE_VISITED "visited.test"'
  phones_step ims folded_authorization "$(registrar_port none)"
}

@test "a long list of identities: the first one counts, and nobody gets another's credential" {
  phones_step main long_identities "$(registrar_port none)"
}

@test "an empty list of identities: To is the identity" {
  phones_step main no_identities "$(registrar_port none)"
}

@test "all registrations of a user end at once, whatever the answer says" {
  phones_step main all_unregistered "$(registrar_port none)"
  phones_step contact all_unregistered "$(registrar_port none)"
}

@test "a long list of Contacts has the client's" {
  phones_step main long_contacts "$(registrar_port none)"
  phones_step contact long_contacts "$(registrar_port none)"
}

@test "a long Call-ID has a seal of its own" {
  phones_step own long_call_id
}

@test "a registration lives as long as the registrar said, and not as quoted words of the client say" {
  phones_step main quoted_expires "$(registrar_port none)"
}

@test "a registration of a week: a credential as long as the realm gives" {
  before_registrar week none 'EDGE_TRUSTS_REGISTRAR yes' 'realm:ims.test ttl -1'
  phones_step week registered_for_a_week "$(registrar_port none)"
}

@test "folded headers and compact forms of the registrar are understood" {
  phones_step main spellings_of_answers "$(registrar_port none)"
  phones_step contact spellings_of_answers "$(registrar_port none)"
}

@test "a Contact without brackets is understood" {
  phones_step main without_brackets "$(registrar_port none)"
  phones_step contact without_brackets "$(registrar_port none)"
}

@test "a folded Contact of a client is the same device, and hides no second Contact" {
  phones_step main folded_device "$(registrar_port none)"
  phones_step contact hidden_contact "$(registrar_port none)"
}

@test "a comma in a Contact parts nothing" {
  phones_step main commas "$(registrar_port none)"
  phones_step contact commas "$(registrar_port none)"
}

@test "refusals and redirections of the registrar reach the client as they are" {
  phones_step main other_answers "$(registrar_port none)"
}

@test "a client that supports path alone supports nothing for a registrar without Path" {
  phones_step contact supports_path "$(registrar_port none)"
}

@test "quotes, commas and blanks by the thousand keep nobody waiting" {
  phones_step contact by_the_thousand "$(registrar_port none)"
  phones_step own by_the_thousand
}

@test "an answer to a REGISTER that does not come from the registrar is none" {
  phones_step main forged_answer "$(registrar_port none)"
}

@test "a method that is spelt in small letters is none" {
  phones_step main method_in_small_letters "$(registrar_port none)"
  phones_step own method_in_small_letters
}

@test "a REGISTER for somebody else's domain does not reach it" {
  phones_step main somebody_elses_domain "$(registrar_port none)"
}

@test "seals are made with a secret that is random, and another one at each start" {
  local edge seen=()
  for edge in main contact own; do
    seen+=("$(secret "$edge")")
    [[ ${seen[-1]} =~ ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$ ]]
  done
  [[ $(printf '%s\n' "${seen[@]}" | sort -u | wc -l) == 3 ]]
}
secret() { kamcmd -s "unix:$TC_DIR/edges/$1/run/ctl" htable.get secret dialog | awk '$1 == "value:" { print $2 }'; }

@test "the seal of a client's dialog is no other seal, whatever its Call-ID is" {
  phones_step main seals_are_apart "$(registrar_port none)"
  phones_step contact seals_are_apart "$(registrar_port none)"
}

@test "a NOTIFY without a body, or with a large one, ends nothing that it does not name" {
  before_registrar notified none 'EDGE_TRUSTS_REGISTRAR yes' 'SIP_PROCESSES 1' 'EDGE_VISITED "visited.test"'
  phones_step notified notified "$(registrar_port none)"
  phones_step notified own_reg_event "$(registrar_port none)"
}

@test "an answer to no request goes nowhere" {
  phones_step main answers_to_nobody
  phones_step own answers_to_nobody
}

@test "what only the network says about a user, no client says" {
  phones_step main words_of_the_network "$(registrar_port none)"
  phones_step own asserted_in_an_answer
}

@test "TLS without WebSocket at the clients' port is no network" {
  phones_step main tls_alone "$(registrar_port none)"
  # nor at one more that the operator has added
  before_registrar more none 'EDGE_TRUSTS_REGISTRAR yes' $'SIP_PROCESSES 1\nlisten=tls:127.0.0.1:@PLAIN@'
  phones_step more tls_alone "$(registrar_port none)" "$(<"$TC_DIR/edges/more/plain")"
}

@test "a client's message is one message, also over a connection to the registrar" {
  local port
  port=$(free_port)
  before_registrar tcp none 'EDGE_TRUSTS_REGISTRAR yes' 'SIP_PROCESSES 1' "EDGE_REGISTRAR \"sip:127.0.0.1:$port;transport=tcp\"" \
    'LISTEN_EDGE tcp:127.0.0.1:@PLAIN@' 'EDGE_PATH "127.0.0.1:@PLAIN@;transport=tcp"'
  phones_step tcp one_message_alone "$port"
}
