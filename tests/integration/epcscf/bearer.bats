#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Access tokens in REGISTER (RFC 8898): turncredd says whose they are. PyJWT makes them.

load ../lib
load ../turncredd/daemon
load epcscf

setup_file() {
  edge_up || return 0
  local issuer=('[issuer portal]' 'url = https://portal.test' 'audience = https://issuer.test' "jwks = $TC_DIR/jwt/jwks.json"
    'realms = turn.test')
  mkdir -p "$TC_DIR/jwt"
  /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/portal.py" keys "$TC_DIR/jwt"
  caller_add vouching derived,push,exchange turn.test
  tokens
  daemon_start main 'push_wait = 1s' 'subject_rate = 0' 'subject_credentials = 0' "${issuer[@]}"
  registrar_start ims IMS VOUCHED
  registrar_start plain
  edge_start main "${TOKENS[@]}" 'LISTEN_WS tcp:127.0.0.1:@PLAIN@'
  before_registrar vouching ims 'EDGE_VISITED "visited.test"' "${TOKENS[@]}" 'EDGE_TRUSTED_NODE yes'
  before_registrar silent ims "${TOKENS[@]}"
  before_registrar doubted plain "${TOKENS[@]}" 'EDGE_TRUSTED_NODE yes'
  synced
}
tokens() {
  TOKENS=('TOKEN_AUTHORITY "https://portal.test"' "TURNCREDD_KEY_FILE \"$TC_DIR/callers/vouching\"" 'TURNCREDD_PAUSE 3')
}
setup() { edge_ready; }
teardown() {
  kill -CONT "$(daemon_pid main 2>/dev/null)" 2>/dev/null || true
  turncred_check
  daemon_check
  edge_check
}
teardown_file() { registrars_down; edge_down; }

@test "a right token registers, and brings the credential of its user" {
  phones_step main registered_by_token
}

@test "a wrong token gets 401 with invalid_token, and nothing is registered" {
  phones_step main wrong_tokens
}

@test "a token of another user registers nobody" {
  phones_step main of_another_user
  phones_step main of_this_user_in_another_spelling
}

@test "token and password at once, two tokens, and a token without TLS are refused" {
  phones_step main two_proofs
  phones_step main without_tls
}

@test "passwords go on as before, and who shows nothing is asked for either" {
  phones_step main passwords_as_before
}

@test "a Contact that cannot be saved: the answer is as with a password" {
  phones_step main contacts_that_cannot_be_saved
}

@test "copies of a request use up nothing" {
  tokens
  edge_start narrow "${TOKENS[@]}" 'ASKING_MAX 5'
  phones_step narrow copies
}

@test "domains whose user ids are URIs want the URI as the token's user" {
  phones_step main uri_as_user
}

@test "no token where the operator has named no authority" {
  edge_start none
  phones_step none no_tokens_here
}

@test "turncredd hangs: 503, and no registration" {
  kill -STOP "$(daemon_pid main)"
  phones_step main nobody_checks
  kill -CONT "$(daemon_pid main)"
  phones_step main checked_again
}

@test "a caller without the scope exchange: 503, and the log says so" {
  tokens
  edge_start scopeless "${TOKENS[@]}" "TURNCREDD_KEY_FILE \"$TC_DIR/callers/edge\""
  phones_step scopeless nobody_checks
  edge_log_has scopeless 'does not check the token of alice@ims.test: 403'
}

@test "before a registrar: the edge vouches, and the token stays with it" {
  phones_step vouching vouched_for
  phones_step vouching wrong_tokens
  phones_step vouching of_another_user
  phones_step vouching two_proofs
}

@test "before a registrar that does not trust its edge: its refusal" {
  phones_step doubted not_trusted
}

@test "before a registrar, without the setting: nobody is vouched for" {
  phones_step silent not_vouched_for
}

@test "no token in a log" {
  grep -q "the token of alice@ims.test, from .*, is refused: " "$TC_DIR/edges/main/log"
  run ! grep -hE 'eyJ[A-Za-z0-9_-]{20}' "$TC_DIR"/edges/*/log "$TC_DIR"/registrars/*/log "$TC_DIR"/daemons/*/log
  run ! grep -hFf "$TC_DIR/callers/vouching" "$TC_DIR"/edges/*/log
  ! grep -hE 'conversion.*failed|substr out|pv_' "$TC_DIR/edges/main/log" "$TC_DIR/edges/vouching/log"
}
