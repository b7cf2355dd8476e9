#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# What plugin/examples/monitoring names is there: each metric in the exports of a real turnserver and a real turncredd, each
# alert in the runbook and in a unit test. rules.bats runs promtool.

load ../lib
load ../turncredd/daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived}'"
  key_add turn.test t1
}
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

said() { /usr/bin/python3 "$TC_TOP/tests/integration/monitoring/monitoring.py" "$@"; }

@test "each metric of the rules and the dashboard is exported, and a legend names its labels" {
  local port metric labels own
  port=$(free_port)
  server_start main "module:prometheus = 127.0.0.1:$port"
  issuer portal https://127.0.0.1:1/jwks # whose keys never come
  daemon_start main "${ISSUER[@]}"
  curl -sS --max-time 5 "http://127.0.0.1:$port/metrics" >"$TC_DIR/server"
  curl -sS --max-time 5 "http://127.0.0.1:$(<"$TC_DIR/daemons/main/monitor")/metrics" >"$TC_DIR/issuer"
  cat "$TC_DIR/server" "$TC_DIR/issuer" | sed -n 's/^\([a-z_]*\)[ {].*/\1/p' | sort -u >"$TC_DIR/exported"
  said metrics >"$TC_DIR/named"
  [ "$(wc -l <"$TC_DIR/named")" -ge 40 ]
  run comm -13 "$TC_DIR/exported" "$TC_DIR/named"
  echo "not exported: $output"
  [ "$status" -eq 0 ] && [ -z "$output" ]
  # the values of labels that expressions select
  local reason
  for reason in $(said expressions | grep -o 'reason=~*"[^"]*"' | sed 's/.*"\(.*\)"/\1/; s/|/ /g'); do
    grep -q "^turncred_refused_requests_total{reason=\"$reason\"}" "$TC_DIR/server"
  done
  for reason in 2xx 4xx 5xx; do grep -q "^turncredd_answers_total{status=\"$reason\"}" "$TC_DIR/issuer"; done
  # a legend tells each series from the others
  said legends >"$TC_DIR/legends"
  [ "$(wc -l <"$TC_DIR/legends")" -ge 15 ]
  while read -r metric labels; do
    own=$(sed -n "s/^$metric{\([^}]*\)}.*/\1/p" "$TC_DIR/server" "$TC_DIR/issuer" | sed 's/="[^"]*"//g; s/,/\n/g')
    echo "$metric: $labels"
    [ "$labels" = "$(printf 'instance\n%s\n' "$own" | sed '/^$/d' | sort -u | xargs)" ]
  done <"$TC_DIR/legends"
}

@test "each alert has a line in the runbook and a unit test that makes it fire" {
  said alerts | sort >"$BATS_TEST_TMPDIR/alerts"
  [ "$(wc -l <"$BATS_TEST_TMPDIR/alerts")" -ge 25 ]
  diff <(said runbook | sort) "$BATS_TEST_TMPDIR/alerts"
  diff <(said tested | sort -u) "$BATS_TEST_TMPDIR/alerts"
}
