#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: promtool, in Debian's package prometheus
# promtool reads the alert rules and every expression of the dashboard, and runs the unit tests of the alerts.

setup() {
  top=${top_srcdir:-$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)}
  place=$top/plugin/examples/monitoring
}
said() { /usr/bin/python3 "$top/tests/integration/monitoring/monitoring.py" "$@"; }

@test "the rules and the example configuration are what Prometheus reads" {
  promtool check rules "$place/server.rules.yml" "$place/issuer.rules.yml"
  sed "s#/etc/prometheus/turncred/\*#$place/*#; s#/etc/prometheus/turncred/turncredd.key#$place/README.md#" \
    "$place/prometheus.yml.example" >"$BATS_TEST_TMPDIR/prometheus.yml"
  run promtool check config "$BATS_TEST_TMPDIR/prometheus.yml"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *'2 rule files found'* ]]
}

@test "each alert fires, and does not where all is well" {
  promtool test rules "$place/server.test.yml" "$place/issuer.test.yml"
}

@test "each expression of the dashboard is PromQL" {
  said recording >"$BATS_TEST_TMPDIR/dashboard.yml"
  run promtool check rules "$BATS_TEST_TMPDIR/dashboard.yml"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"SUCCESS: $(($(wc -l <"$BATS_TEST_TMPDIR/dashboard.yml") / 2 - 1)) rules found"* ]]
  # and promtool sees what is none
  sed '0,/expr: .*/s//expr: "sum(up"/' "$BATS_TEST_TMPDIR/dashboard.yml" >"$BATS_TEST_TMPDIR/broken.yml"
  run promtool check rules "$BATS_TEST_TMPDIR/broken.yml"
  [ "$status" -ne 0 ]
}
