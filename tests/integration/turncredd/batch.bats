#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Credentials for many users in one request: each has its own result, one sync records them all.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{derived,rest,pushed}'" "max_ttl=7200"
  key_add turn.test d1 derived
  key_add turn.test r1 rest
  caller_add edge derived,rest,push turn.test
  caller_add narrow derived turn.test
  server_start main
  daemon_start main
  daemon_start slow 'caller_rate = 10' 'subject_rate = 2'
  daemon_start small 'journal_entries = 16'
  synced
}
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

batch=/v1/realms/turn.test/batch
# users N: a body for that many users
users() { jq -nc --argjson n "$1" '{requests: [range($n) | {user: "user\(.)"}]}'; }
statuses() { value '[.results[].status] | map(tostring) | join(" ")'; }
# result N: the answer of one user becomes that of the call
result() { jq ".results[$1].answer" "$TC_DIR/answer" >"$TC_DIR/one" && mv "$TC_DIR/one" "$TC_DIR/answer"; }
syncs() { curl -s --max-time 5 "http://127.0.0.1:$(<"$TC_DIR/daemons/main/monitor")/metrics" | sed -n 's/^turncredd_journal_syncs_total //p'; }

@test "a hundred users: each logs in, one sync, all in issue_log" {
  local before
  before=$(syncs)
  CALLER=edge call_json 200 POST $batch "$(users 100)"
  [ "$(syncs)" -eq $((before + 1)) ]
  [ "$(value '[.results[] | select(.status == 201)] | length')" = 100 ]
  [ "$(value '[.results[].answer.username | split(":")[0]] == [range(100) | "user\(.)"]')" = true ]
  [ "$(header Cache-Control)" = no-store ]
  cp "$TC_DIR/answer" "$TC_DIR/batch"
  for i in 0 57 99; do cp "$TC_DIR/batch" "$TC_DIR/answer" && result $i && probe main; done
  wait_for 10 logged 100
}
logged() { [ "$(sql "SELECT count(DISTINCT subject) FROM turncred.issue_log WHERE subject LIKE 'user%' AND caller = 'edge'")" = "$1" ]; }

@test "what fails is told per user, and does not touch the others" {
  CALLER=edge call_json 200 POST $batch '{"requests": [{"user": "alice", "ttl": 600}, {"user": "b c"}, {"kind": "rest", "user": "carl"}, 7,
    {"user": "dora", "ttl": 999999}, {"user": "erin", "kind": "pushed"}, {"user": "frank", "colour": "red"}, {"kind": "derived"}, {"user": "gus"}]}'
  [ "$(statuses)" = '201 400 201 400 400 200 400 400 201' ]
  [ "$(value '.results[0].answer.ttl')" = 600 ]
  [[ $(value '.results[1].answer.error_description') == user:* ]]
  [[ $(value '.results[4].answer.error_description') == ttl:* ]]
  [[ $(value '.results[6].answer.error_description') == colour:* ]]
  cp "$TC_DIR/answer" "$TC_DIR/batch"
  for i in 0 2 5 8; do cp "$TC_DIR/batch" "$TC_DIR/answer" && result $i && probe main; done
  CALLER=narrow call_json 200 POST $batch '{"requests": [{"user": "alice"}, {"user": "alice", "kind": "rest"}, {"user": "alice", "kind": "pushed"}]}'
  [ "$(statuses)" = '201 403 403' ]
  CALLER=edge call_json 200 POST /v1/realms/none.test/batch '{"requests": [{"user": "alice"}]}'
  [ "$(statuses)" = 403 ]
}

@test "a journal with room for some: those are issued" {
  DAEMON=small CALLER=edge call_json 200 POST $batch "$(users 20)"
  [ "$(value '[.results[].status] | group_by(.) | map("\(.[0])x\(length)") | join(" ")')" = '201x16 503x4' ]
  [ "$(value '.results[19].retry_after')" = 5 ]
}

@test "what is no batch" {
  local body
  for body in '{}' '{"requests": []}' '{"requests": {"user": "a"}}' '{"requests": null}' '{"requests": [{"user": "a"}], "kind": "rest"}' "$(users 101)"; do
    CALLER=edge call_json 400 POST $batch "$body"
    has_error invalid_request
  done
  CALLER=edge call 405 GET $batch
  call_json 401 POST $batch "$(users 1)"
}

@test "the caller's rate counts users, the subject's rate counts each user" {
  DAEMON=slow CALLER=edge call_json 200 POST $batch "$(users 30)"
  [ "$(value '[.results[] | select(.status == 201)] | length >= 10 and length < 20')" = true ]
  [ "$(value '.results[29].status')" = 429 ]
  [ "$(value '.results[29].retry_after')" = 1 ]
  DAEMON=slow CALLER=narrow call_json 200 POST $batch '{"requests": [{"user": "x"}, {"user": "x"}, {"user": "x"}, {"user": "y"}]}'
  [ "$(statuses)" = '201 201 429 201' ]
}
